//! The figures of a run with statistics, for people: a line for each line of the list, and one over
//! all.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use multiping::address::{Address, TargetId};
use multiping::prober::Diagnosis;
use multiping::stats::{Counter, Counts, Percent, Percentile, Rtts, Stats, Word};
use multiping::tally::Verdict;
use nix::errno::Errno;

use crate::figures::Figures;
use crate::report::histogram;
use crate::report::hosts::Hosts;
use crate::report::state::State;
use crate::report::unit::{Short, Unit};

/// How the figures are shown.
#[derive(Clone, Debug)]
pub struct Style {
    /// The unit of times.
    pub unit: Unit,
    /// Which percentiles are shown.
    pub percentiles: Vec<Percent>,
    /// Whether lost probes count in percentiles, with an infinite RTT.
    pub of_sent: bool,
    /// How many lines of targets there are at most, the worst ones.
    pub worst: Option<usize>,
    /// Whether histograms are shown: of each target if there are few, else over all.
    pub histogram: bool,
}

impl Default for Style {
    fn default() -> Self {
        let percentiles = [50_000, 90_000, 99_000].into_iter().filter_map(Percent::from_thousandths).collect();
        Style { unit: Unit::default(), percentiles, of_sent: false, worst: None, histogram: false }
    }
}

/// The figures of a run so far.
pub struct Table<'a> {
    /// The figures, summed up.
    pub figures: &'a Figures,
    /// The names of the targets.
    pub hosts: &'a Hosts,
    /// How they are shown.
    pub style: &'a Style,
    /// How long the run has taken.
    pub elapsed: Duration,
    /// Whose fault silence and refusals are, once the run has ended.
    pub diagnosis: Option<&'a Diagnosis>,
}

/// A line of the list.
struct Line<'a> {
    target: TargetId,
    address: Address,
    number: u32,
    stats: &'a Stats,
}

impl Table<'_> {
    /// Writes the table.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let lines = self.lines();
        let widths = (
            self.width("target", &lines, |line| self.shown(line)),
            self.width("label", &lines, |line| self.hosts.lines().label(line.number).to_owned()),
        );
        self.write_header(out, widths)?;
        lines.iter().try_for_each(|line| self.write_line(out, line, widths))?;
        self.write_values(out, &lines)?;
        if self.style.histogram {
            self.write_histograms(out, &lines)?;
        }
        self.write_totals(out)
    }

    /// The lines of the list that are shown.
    fn lines(&self) -> Vec<Line<'_>> {
        let addresses = self.figures.addresses();
        let lines = self.hosts.lines().iter(addresses).zip(0..);
        let mut lines: Vec<_> = lines
            .filter_map(|((target, _), number)| {
                let (address, stats) = (addresses.get(target)?, self.figures.stats(target)?);
                Some(Line { target, address, number, stats })
            })
            .collect();
        if let Some(worst) = self.style.worst {
            // No answer first, then the highest loss, then the longest RTT.
            lines.sort_by_cached_key(|line| {
                let counts = line.stats.counts();
                let (lost, sent) = (counts.get(Counter::Lost), counts.sent().max(1));
                let loss = (u128::from(lost) << 32) / u128::from(sent);
                let p90 = Percent::from_thousandths(90_000).and_then(|p90| line.stats.rtts().percentile(p90));
                (counts.get(Counter::Answered) > 0, u128::MAX - loss, Duration::MAX - p90.unwrap_or_default())
            });
            lines.truncate(worst);
        }
        lines
    }

    fn shown(&self, line: &Line) -> String {
        self.hosts.lines().shown(line.number, line.address).to_string()
    }

    /// The width of a column; 0 if it is empty.
    fn width(&self, name: &str, lines: &[Line], text: impl Fn(&Line) -> String) -> usize {
        let longest = lines.iter().map(|line| text(line).chars().count()).max().unwrap_or(0);
        if longest == 0 { 0 } else { longest.max(name.len()) }
    }

    fn write_header(&self, out: &mut impl Write, (target, label): (usize, usize)) -> io::Result<()> {
        write!(out, "{:target$}", "target")?;
        if label > 0 {
            write!(out, "  {:label$}", "label")?;
        }
        let width = self.style.unit.width();
        write_counts(out, [&"sent", &"recv", &"late", &"lost", &"loss", &"dup"])?;
        let percentiles = self.style.percentiles.iter().map(|percent| format!("p{percent}"));
        let names = ["min", "mean"].map(str::to_owned).into_iter().chain(percentiles);
        for name in names.chain(["max", "stddev", "jitter"].map(str::to_owned)) {
            write!(out, " {name:>width$}")?;
        }
        writeln!(out, "{} {:>7}", " ".repeat(self.style.unit.behind().len()), "outage")
    }

    fn write_line(&self, out: &mut impl Write, line: &Line, (target, label): (usize, usize)) -> io::Result<()> {
        write!(out, "{:target$}", self.shown(line))?;
        if label > 0 {
            write!(out, "  {:label$}", self.hosts.lines().label(line.number))?;
        }
        let (stats, counts) = (line.stats, line.stats.counts());
        let of = |counter| counts.get(counter);
        let loss = counts.loss().map_or("-".to_owned(), |loss| loss.to_string());
        let (received, late) = (of(Counter::Answered), of(Counter::Late));
        let (lost, duplicates) = (of(Counter::Lost), of(Counter::Duplicates));
        write_counts(out, [&counts.sent(), &received, &late, &lost, &loss, &duplicates])?;
        let figures = self.figures(stats.rtts(), |percent| stats.percentile_of_sent(percent));
        let width = self.style.unit.width();
        for figure in figures.into_iter().chain([self.figure(stats.jitter())]) {
            write!(out, " {figure:>width$}")?;
        }
        write!(out, "{}", self.style.unit.behind())?;
        let outage = stats.longest_outage(self.elapsed).filter(|outage| !outage.is_zero());
        write!(out, " {:>7}", outage.map_or("-".to_owned(), |outage| Short(outage).to_string()))?;
        self.write_reason(out, line.target, counts)?;
        writeln!(out)
    }

    /// What routers said of a target that answered less than it was asked, and what went wrong on
    /// this machine.
    fn write_reason(&self, out: &mut impl Write, target: TargetId, counts: &Counts<u32>) -> io::Result<()> {
        if let Some((error, from)) = self.figures.icmp_error(target).filter(|_| counts.get(Counter::Lost) > 0) {
            write!(out, " {} from {from}", error.name())?;
        }
        let (errors, doubtful) = (counts.get(Counter::SendErrors), counts.get(Counter::Doubtful));
        if errors > 0 {
            let why = self.figures.send_error(target).map_or("", |error| Errno::from_raw(error.errno()).desc());
            write!(out, " {errors} not sent: {why}")?;
        }
        if doubtful > 0 {
            write!(out, " {doubtful} doubtful")?;
        }
        Ok(())
    }

    /// The RTTs of each probe, where they are kept.
    fn write_values(&self, out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
        for line in lines {
            let Some(values) = self.figures.values(line.target) else { continue };
            let Some(host) = self.hosts.name(line.target, self.figures.addresses()) else { continue };
            write!(out, "RTTs of {host}:")?;
            for value in values {
                write!(out, " {}", self.figure(value))?;
            }
            writeln!(out, "{}", self.style.unit.behind())?;
        }
        Ok(())
    }

    fn write_histograms(&self, out: &mut impl Write, lines: &[Line]) -> io::Result<()> {
        const FEW: usize = 5;
        if self.figures.addresses().len() > FEW {
            let totals = self.figures.totals();
            writeln!(out, "RTTs over all, n={}", totals.rtts().n())?;
            let percentiles = self.percentiles(totals.rtts(), |percent| totals.percentile_of_sent(percent));
            return histogram::write(out, totals.rtts(), &percentiles);
        }
        for line in lines {
            let Some(host) = self.hosts.name(line.target, self.figures.addresses()) else { continue };
            let (rtts, counts) = (line.stats.rtts(), line.stats.counts());
            write!(out, "RTTs of {host}, n={}, {} lost", rtts.n(), counts.get(Counter::Lost))?;
            match counts.loss() {
                Some(loss) => writeln!(out, " ({loss})")?,
                None => writeln!(out)?,
            }
            let percentiles = self.percentiles(rtts, |percent| line.stats.percentile_of_sent(percent));
            histogram::write(out, rtts, &percentiles)?;
        }
        Ok(())
    }

    fn write_totals(&self, out: &mut impl Write) -> io::Result<()> {
        let figures = self.figures;
        let (addresses, totals) = (figures.addresses(), figures.totals());
        let mut states = [State::Alive, State::Unreachable, State::Unsent, State::Undecided, State::Unsettled]
            .map(|state| (state, 0_usize));
        let mut unsent = None;
        for (target, address) in addresses.iter() {
            let verdict = figures.verdict(target);
            let of_target = State::of(verdict, self.diagnosis, address.family());
            states.iter_mut().for_each(|(state, count)| *count += usize::from(*state == of_target));
            if let (State::Unsent, Verdict::Refused { errno, .. }) = (of_target, verdict) {
                unsent.get_or_insert(errno);
            }
        }
        let targets = addresses.len();
        write!(out, "{targets} target{}:", if targets == 1 { "" } else { "s" })?;
        let shown = states.iter().filter(|&&(state, count)| count > 0 || state == State::Alive);
        for (place, (state, count)) in shown.enumerate() {
            write!(out, "{} {count} {}", if place > 0 { "," } else { "" }, state.name())?;
            if let Some(errno) = unsent.filter(|_| *state == State::Unsent) {
                write!(out, " ({:?})", Errno::from_raw(errno))?;
            }
        }
        let counts = totals.counts();
        write!(out, "; {} sent, {} lost", counts.sent(), counts.get(Counter::Lost))?;
        if let Some(loss) = counts.loss() {
            write!(out, " ({loss})")?;
        }
        for (counter, name) in [
            (Counter::Late, "late"),
            (Counter::SendErrors, "not sent"),
            (Counter::Doubtful, "doubtful"),
            (Counter::Damaged, "damaged"),
        ] {
            if counts.get(counter) > 0 {
                write!(out, ", {} {name}", counts.get(counter))?;
            }
        }
        if totals.rtts().n() > 0 {
            let percentiles: String = self.style.percentiles.iter().map(|percent| format!("/p{percent}")).collect();
            let values = self.figures(totals.rtts(), |percent| totals.percentile_of_sent(percent)).join("/");
            write!(out, "; RTT over all n={} min/mean{percentiles}/max/stddev {values}", totals.rtts().n())?;
            write!(out, "{}", self.style.unit.behind())?;
        }
        writeln!(out, "; {:.3} s", self.elapsed.as_secs_f64())
    }

    /// Minimum, mean, percentiles, maximum and standard deviation.
    fn figures<W: Word, const BITS: u32>(
        &self,
        rtts: &Rtts<W, BITS>,
        of_sent: impl Fn(Percent) -> Option<Percentile>,
    ) -> Vec<String> {
        let percentile = |&percent: &Percent| match self.percentile(percent, rtts, &of_sent) {
            Some(Percentile::Lost) => "lost".to_owned(),
            Some(Percentile::Rtt(rtt)) => self.figure(Some(rtt)),
            None => self.figure(None),
        };
        let first = [rtts.min(), rtts.mean()].map(|time| self.figure(time));
        let last = [rtts.max(), rtts.stddev()].map(|time| self.figure(time));
        first.into_iter().chain(self.style.percentiles.iter().map(percentile)).chain(last).collect()
    }

    /// The percentiles that are RTTs.
    fn percentiles<W: Word, const BITS: u32>(
        &self,
        rtts: &Rtts<W, BITS>,
        of_sent: impl Fn(Percent) -> Option<Percentile>,
    ) -> Vec<(Percent, Duration)> {
        let known = |&percent: &Percent| match self.percentile(percent, rtts, &of_sent)? {
            Percentile::Rtt(rtt) => Some((percent, rtt)),
            Percentile::Lost => None,
        };
        self.style.percentiles.iter().filter_map(known).collect()
    }

    /// A percentile of the RTTs, or `of_sent`.
    fn percentile<W: Word, const BITS: u32>(
        &self,
        percent: Percent,
        rtts: &Rtts<W, BITS>,
        of_sent: &impl Fn(Percent) -> Option<Percentile>,
    ) -> Option<Percentile> {
        if self.style.of_sent { of_sent(percent) } else { rtts.percentile(percent).map(Percentile::Rtt) }
    }

    fn figure(&self, time: Option<Duration>) -> String {
        time.map_or("-".to_owned(), |time| self.style.unit.figure(time).to_string())
    }
}

/// The columns of counts, which never touch: a number may be longer than its column is wide.
fn write_counts(out: &mut impl Write, cells: [&dyn Display; 6]) -> io::Result<()> {
    const WIDTHS: [usize; 6] = [7, 7, 5, 6, 8, 4];
    cells.iter().zip(WIDTHS).try_for_each(|(cell, width)| write!(out, " {cell:>width$}"))
}

/// The state of a run, in one line of at most 79 characters or so.
pub struct Progress<'a> {
    /// The figures, summed up.
    pub figures: &'a Figures,
    /// The unit of times.
    pub unit: Unit,
    /// How long the run has taken.
    pub elapsed: Duration,
}

impl Display for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (totals, targets) = (self.figures.totals(), self.figures.addresses().len());
        let (counts, rtts) = (totals.counts(), totals.rtts());
        let (sent, lost) = (counts.sent(), counts.get(Counter::Lost));
        write!(
            f,
            "{}/{targets} answering, {} lossy, {}/{sent} lost",
            self.figures.answering(),
            self.figures.lossy(),
            lost
        )?;
        if let (Some(min), Some(mean), Some(max)) = (rtts.min(), rtts.mean(), rtts.max()) {
            let [min, mean, max] = [min, mean, max].map(|time| self.unit.figure(time).to_string());
            write!(f, ", RTT {min}/{mean}/{max}{}", self.unit.behind())?;
        }
        write!(f, ", {} s", self.elapsed.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_long_runs_do_not_touch() {
        let mut out = Vec::new();
        write_counts(&mut out, [&100_000_000, &100_000_000, &1, &2_000_000, &"100.0000 %", &1_000_000])
            .expect("writing to memory does not fail");
        let line = String::from_utf8_lossy(&out);
        assert_eq!(line, " 100000000 100000000     1 2000000 100.0000 % 1000000");
    }
}
