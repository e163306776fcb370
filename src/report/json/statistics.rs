//! The records of runs with statistics.

use std::io::{self, Write};
use std::time::Duration;

use multiping::address::{Address, TargetId};
use multiping::prober::Diagnosis;
use multiping::stats::{Counter, Counts, Percent, Percentile, Word};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::figures::Figures;
use crate::list::UnresolvedLine;
use crate::report::json::optional::Sizes;
use crate::report::json::packet::Packet;
use crate::report::json::record::{
    LastError, Probes, Reason, Rtts, Silence, States, Target, Text, errno_name, nanoseconds,
};
use crate::report::json::{Closing, Totals, write};
use crate::report::sizes::Found;
use crate::report::state::State;
use crate::report::{EventContext, EventLines, Hosts, Style, histogram};

/// `--json=packets`: a record for each packet, as they come.
pub struct Packets;

impl EventLines for Packets {
    fn write(&mut self, out: &mut Vec<u8>, context: &EventContext) -> io::Result<()> {
        let EventContext { event, stamp, figures, hosts, .. } = *context;
        let (Some(packet), Some(time)) = (Packet::of(event), stamp) else { return Ok(()) };
        match hosts.parts(packet.target, figures.addresses()) {
            Some((shown, label)) => packet.write(time, shown, label, out),
            None => Ok(()),
        }
    }
}

/// A run with statistics that has ended.
pub struct Finished<'a> {
    /// The figures, summed up.
    pub figures: &'a Figures,
    /// The names of the targets.
    pub hosts: &'a Hosts,
    /// Whose fault silence and refusals are.
    pub diagnosis: &'a Diagnosis,
    /// Which percentiles are written, and whether histograms are.
    pub style: &'a Style,
    /// What was found by probes of many sizes, if that was asked for.
    pub sizes: &'a [Found],
    /// The names without an address.
    pub unresolved: &'a [UnresolvedLine],
    /// How many damaged replies there were, of which some belong to no target.
    pub damaged: u64,
    /// When the run ended, counted from its start.
    pub elapsed: Duration,
}

impl Finished<'_> {
    /// Writes a record for each line of the list, in its order, and the last one.
    pub fn write(&self, closing: &Closing, out: &mut impl Write) -> io::Result<()> {
        let mut states = States::default();
        let mut unresolved = self.unresolved.iter().peekable();
        let addresses = self.figures.addresses();
        for (number, (target, _)) in (0..).zip(self.hosts.lines().iter(addresses)) {
            let Some(address) = addresses.get(target) else { continue };
            let line = self.hosts.lines().number(number);
            while let Some(name) = unresolved.next_if(|name| (1..line).contains(&name.line)) {
                states.add(State::Unresolved);
                write(&Target::unresolved(name, self.percentiles(|_| None)), &mut *out)?;
            }
            states.add(self.write_target(target, address, number, out)?);
        }
        for name in unresolved {
            states.add(State::Unresolved);
            write(&Target::unresolved(name, self.percentiles(|_| None)), &mut *out)?;
        }
        write(&closing.record(states, self.totals()), out)
    }

    fn write_target(&self, target: TargetId, address: Address, number: u32, out: &mut impl Write) -> io::Result<State> {
        let figures = self.figures;
        let Some(stats) = figures.stats(target) else { return Ok(State::Unsettled) };
        let counts = stats.counts();
        let of = |counter| counts.get(counter);
        let silence = Silence { was_late: of(Counter::Late) > 0, has_errors: of(Counter::IcmpErrors) > 0 };
        let verdict = figures.verdict(target);
        let state = State::of(verdict, Some(self.diagnosis), address.family());
        let reason = Reason::of(state, verdict, self.diagnosis, silence);
        let errno = figures.send_error(target).map(|error| error.errno());
        let (lines, rtts) = (self.hosts.lines(), stats.rtts());
        let record = Target {
            target: Text(lines.shown(number, address)),
            label: lines.label(number),
            line: lines.number(number),
            family: Some(address.family().into()),
            state,
            reason,
            probes: probes(counts),
            duplicates: of(Counter::Duplicates),
            damaged: of(Counter::Damaged),
            elsewhere: of(Counter::OtherSource),
            reordered: of(Counter::Reordered),
            icmp_errors: of(Counter::IcmpErrors),
            send_errors: of(Counter::SendErrors),
            error: LastError::new(figures.icmp_error(target)),
            errno,
            errno_name: errno.map(errno_name),
            ttl: stats.ttl(),
            ttl_changes: of(Counter::TtlChanges),
            rtts: self.rtts(rtts, |percent| stats.percentile_of_sent(percent)),
            jitter_ns: stats.jitter().map(nanoseconds),
            jitter_rfc3550_ns: stats.jitter_rfc3550().map(nanoseconds),
            longest_outage_ns: stats.longest_outage(self.elapsed).map(nanoseconds),
            longest_loss_run: Some(stats.longest_loss_run().into()),
            rtts_ns: figures.values(target).map(|values| values.map(|rtt| rtt.map(nanoseconds)).collect()),
            sizes: self.sizes.get(target.index()).map(|found| Sizes::new(found, address.family())),
            histogram: self.style.histogram.then(|| {
                let rows = histogram::rows(rtts).into_iter();
                rows.map(|row| (nanoseconds(row.from), nanoseconds(row.to), row.count)).collect()
            }),
        };
        write(&record, out)?;
        Ok(state)
    }

    /// The figures of all targets, each of which counts once, on however many lines it is.
    fn totals(&self) -> Totals<Percentiles> {
        let totals = self.figures.totals();
        let counts = totals.counts();
        Totals {
            probes: probes(counts),
            duplicates: counts.get(Counter::Duplicates),
            icmp_errors: counts.get(Counter::IcmpErrors),
            send_errors: counts.get(Counter::SendErrors),
            damaged: self.damaged,
            rtts: self.rtts(totals.rtts(), |percent| totals.percentile_of_sent(percent)),
        }
    }

    fn rtts<W: Word, const BITS: u32>(
        &self,
        rtts: &multiping::stats::Rtts<W, BITS>,
        of_sent: impl Fn(Percent) -> Option<Percentile>,
    ) -> Rtts<Percentiles> {
        Rtts {
            samples: rtts.n(),
            rtt_error_ratio: rtts.error_ratio(),
            rtt_min_ns: rtts.min().map(nanoseconds),
            rtt_mean_ns: rtts.mean().map(nanoseconds),
            rtt_max_ns: rtts.max().map(nanoseconds),
            rtt_stddev_ns: rtts.stddev().map(nanoseconds),
            percentiles: self.percentiles(|percent| match self.style.of_sent {
                false => rtts.percentile(percent),
                true => match of_sent(percent)? {
                    Percentile::Rtt(rtt) => Some(rtt),
                    Percentile::Lost => None,
                },
            }),
        }
    }

    fn percentiles(&self, value: impl Fn(Percent) -> Option<Duration>) -> Percentiles {
        Percentiles(self.style.percentiles.iter().map(|&percent| (percent, value(percent))).collect())
    }
}

/// What became of probes. One whose reply may have been lost on this machine is in no figure.
fn probes<W: Word>(counts: &Counts<W>) -> Probes {
    let of = |counter| counts.get(counter);
    Probes::new(of(Counter::Answered), of(Counter::Late), of(Counter::Lost))
}

/// Percentiles with their keys: `rtt_p99_9_ns`.
#[derive(Clone)]
struct Percentiles(Vec<(Percent, Option<Duration>)>);

impl Serialize for Percentiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (percent, value) in &self.0 {
            let key = format!("rtt_p{}_ns", percent.to_string().replace('.', "_"));
            map.serialize_entry(&key, &value.map(nanoseconds))?;
        }
        map.end()
    }
}
