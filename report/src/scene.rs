//! What there is to draw: the targets of all runs, worst first, on one axis of time.
//!
//! Runs of one name are one: their figures are added up, as when the same list is probed every five
//! minutes. Targets of runs of different names are different, as when two machines probe them.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::figures::{count, counted, percent, share, span};
use crate::record::{State, Target};
use crate::run::{Row, Run};
use crate::series::{Bin, Histogram, Series};

/// What there is to draw.
pub struct Scene<'a> {
    /// The targets, worst first.
    pub subjects: Vec<Subject<'a>>,
    /// What the runs are called.
    pub names: Vec<&'a str>,
    /// When the first began.
    pub start: crate::record::Time,
    /// The length of the axis of time, in ns.
    pub length: i64,
    /// Whether there are figures over time.
    pub has_time: bool,
    /// Whether a run has no end.
    pub cut_off: bool,
    /// The widest bin, in ns.
    width: i64,
}

/// A target.
pub struct Subject<'a> {
    /// Its figures.
    pub target: Cow<'a, Target>,
    /// The name of its run, if there are several.
    pub run: Option<&'a str>,
    /// Its probes: begin on the axis, width of a bin, and bins.
    parts: Vec<(i64, i64, Cow<'a, Series>)>,
}

/// The name of a run, an address and its label.
type Key<'a> = (&'a str, Cow<'a, str>, Cow<'a, str>);

impl<'a> Scene<'a> {
    /// Of these runs.
    pub fn new(runs: &'a [Run]) -> Self {
        let start = runs.iter().map(Run::start_time).min().unwrap_or_default();
        let mut names: Vec<&str> = Vec::new();
        let mut subjects: Vec<Subject<'a>> = Vec::new();
        let mut places: HashMap<(Key<'a>, usize), usize> = HashMap::new();
        let (mut length, mut width) = (1, 1);
        for run in runs {
            let mut seen: HashMap<Key<'a>, usize> = HashMap::new();
            if !names.contains(&run.name()) {
                names.push(run.name());
            }
            let begin = run.start_time().0 - start.0;
            // Of several runs each is at least a column.
            let column = if run.bins() > 0 || runs.len() == 1 { 0 } else { step(runs, run) };
            let (bins, bin) = if column > 0 { (1, column) } else { (run.bins() as i64, run.width() as i64) };
            if bins > 0 {
                width = width.max(bin);
                length = length.max(begin.saturating_add(bins.saturating_mul(bin)));
            }
            for Row { target, series } in run.rows() {
                let series = match series.filter(|series| !series.bins.is_empty()) {
                    Some(series) => Some(Cow::Borrowed(series)),
                    None => (column > 0).then(|| Cow::Owned(whole(&target))),
                };
                let part = series.map(|series| (begin, bin, series));
                let (address, label) = match &target {
                    Cow::Borrowed(target) => {
                        (Cow::Borrowed(target.target.as_str()), Cow::Borrowed(target.label.as_str()))
                    }
                    Cow::Owned(target) => (Cow::Owned(target.target.clone()), Cow::Owned(target.label.clone())),
                };
                // Runs are added up, not equal lines of one list.
                let key = (run.name(), address, label);
                let number = seen.entry(key.clone()).and_modify(|number| *number += 1).or_insert(0);
                let key = (key, *number);
                match places.get(&key) {
                    Some(place) => subjects[*place].add(&target, part),
                    None => {
                        places.insert(key, subjects.len());
                        subjects.push(Subject { target, run: Some(run.name()), parts: part.into_iter().collect() });
                    }
                }
            }
        }
        for subject in &mut subjects {
            subject.finish();
            subject.run = subject.run.filter(|run| names.len() > 1 && !run.is_empty());
        }
        subjects.sort_by(|one, other| crate::run::worse(&one.target, &other.target));
        let has_time = subjects.iter().any(|subject| !subject.parts.is_empty());
        let cut_off = runs.iter().any(Run::is_cut_off);
        Scene { subjects, names, start, length, has_time, cut_off, width }
    }

    /// How long a column is where there are at most so many, in ns, and how many there are.
    pub fn grid(&self, most: usize) -> (i64, usize) {
        let bins = (self.length as u64).div_ceil(self.width as u64).max(1);
        let column = self.width.saturating_mul(bins.div_ceil(most.max(1) as u64) as i64);
        (column, (self.length as u64).div_ceil(column as u64).max(1) as usize)
    }

    /// What stands for the RTTs of a target: batch mode and runs that were added up have no median.
    pub fn typical(&self) -> &'static str {
        let has_median = |subject: &Subject<'_>| subject.target.median().is_some();
        if self.subjects.iter().any(has_median) { "median" } else { "mean" }
    }

    /// How many targets are in this state.
    pub fn number(&self, state: State) -> usize {
        self.subjects.iter().filter(|subject| subject.target.state == state).count()
    }

    /// The states and their numbers in words.
    pub fn states(&self) -> String {
        let states = State::ALL.iter().filter(|state| self.number(**state) > 0);
        states
            .map(|state| format!("{} {}", count(self.number(*state) as u64), state.name()))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The title: the target, or how many there are.
    pub fn title(&self) -> String {
        match self.subjects.as_slice() {
            [subject] => subject.name(),
            subjects => format!("{}: {}", counted(subjects.len() as u64, "target"), self.states()),
        }
    }

    /// Names, begin, duration and sums.
    pub fn subtitle(&self) -> String {
        let sum = |figure: fn(&Target) -> u64| self.subjects.iter().map(|subject| figure(&subject.target)).sum::<u64>();
        let (sent, lost, samples) = (sum(|t| t.sent), sum(|t| t.lost), sum(|t| t.received + t.late));
        let loss = share(lost, sent).map_or(String::new(), |loss| format!(" ({})", percent(loss)));
        let mut parts: Vec<String> =
            self.names.iter().take(4).filter(|name| !name.is_empty()).map(|name| (*name).to_owned()).collect();
        parts.push(self.start.date_and_time());
        if self.has_time {
            parts.push(span(self.length as u64));
        }
        // The figures of a single target stand by themselves.
        if self.subjects.len() != 1 {
            parts.push(format!("{} sent, {} lost{loss}", count(sent), count(lost)));
            parts.push(format!("n = {}", count(samples)));
        }
        parts.join(" · ")
    }
}

/// The time from one run of this name to the next, or else how long it took.
fn step(runs: &[Run], run: &Run) -> i64 {
    let starts = || runs.iter().filter(|other| other.name() == run.name()).map(|other| other.start_time().0);
    let between = starts().count() as i64 - 1;
    let all = starts().max().unwrap_or(0) - starts().min().unwrap_or(0);
    all.checked_div(between).filter(|step| *step > 0).unwrap_or(run.duration_ns() as i64).max(1)
}

/// What a record tells of its run as a whole.
fn whole(target: &Target) -> Series {
    let rtts = Option::zip(target.rtt_min_ns, target.rtt_mean_ns).zip(target.rtt_max_ns);
    let rtts = rtts.map(|((min, mean), max)| (min, mean, max));
    Series::of_run(target.received + target.late, target.lost, rtts)
}

impl<'a> Subject<'a> {
    /// Address, label, and run if there are several.
    pub fn name(&self) -> String {
        let target = &self.target;
        let label = if target.label.is_empty() { String::new() } else { format!(" {}", target.label) };
        let run = self.run.map_or(String::new(), |run| format!(" ({run})"));
        format!("{}{label}{run}", target.target)
    }

    /// Its loss; where nothing was sent, none.
    pub fn loss(&self) -> f64 {
        self.target.loss().unwrap_or(0.0)
    }

    /// Whether it is known over time.
    pub fn has_time(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Its probes in columns of this length.
    pub fn columns(&self, (column, number): (i64, usize), sample: usize) -> Vec<Bin> {
        let mut columns = vec![Bin::default(); number];
        for (begin, width, series) in &self.parts {
            for (place, bin) in series.bins.iter().enumerate() {
                let middle = begin.saturating_add(width.saturating_mul(place as i64)).saturating_add(width / 2);
                if let Some(column) = columns.get_mut((middle / column) as usize) {
                    column.unite(bin, sample);
                }
            }
        }
        columns
    }

    /// Its RTTs by size.
    pub fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::default();
        self.parts.iter().for_each(|(_, _, series)| histogram.unite(&series.histogram));
        histogram
    }

    /// A percentile: the record's, or else that of the probes.
    pub fn percentile(&self, percent: u32) -> Option<u64> {
        self.target.percentile(percent * 1000).or_else(|| self.histogram().percentile(u64::from(percent)))
    }

    /// The figures and the reason in one line.
    pub fn summary(&self) -> String {
        let target = &*self.target;
        let mut parts = vec![format!("{} sent, {} lost", count(target.sent), count(target.lost))];
        if let Some(loss) = target.loss() {
            parts[0] += &format!(" ({})", percent(loss));
        }
        if target.state != State::Alive {
            parts.insert(0, target.state.name().to_owned());
        }
        for (name, ns) in [
            ("min", target.rtt_min_ns),
            ("median", self.percentile(50)),
            ("p90", self.percentile(90)),
            ("max", target.rtt_max_ns),
        ] {
            parts.extend(ns.map(|ns| format!("{name} {}", crate::figures::time(ns))));
        }
        parts.push(format!("n = {}", count(target.received + target.late)));
        parts.join(" · ")
    }

    /// Adds the figures of a later run.
    fn add(&mut self, later: &Target, part: Option<(i64, i64, Cow<'a, Series>)>) {
        let sum = self.target.to_mut();
        let mean = |t: &Target| t.rtt_mean_ns.unwrap_or(0).saturating_mul(t.received + t.late);
        let answered = sum.received + sum.late + later.received + later.late;
        sum.rtt_mean_ns = (mean(sum) + mean(later)).checked_div(answered);
        sum.sent += later.sent;
        sum.received += later.received;
        sum.late += later.late;
        sum.lost += later.lost;
        sum.duplicates += later.duplicates;
        sum.samples += later.samples;
        sum.rtt_min_ns = [sum.rtt_min_ns, later.rtt_min_ns].into_iter().flatten().min();
        sum.rtt_max_ns = sum.rtt_max_ns.max(later.rtt_max_ns);
        sum.longest_outage_ns = sum.longest_outage_ns.max(later.longest_outage_ns);
        // The state is that of the last run.
        (sum.state, sum.reason) = (later.state, later.reason.clone());
        // These cannot be added up.
        (sum.rtt_stddev_ns, sum.jitter_ns) = (None, None);
        sum.percentiles.clear();
        self.parts.extend(part);
    }

    /// Percentiles of what was added up.
    fn finish(&mut self) {
        if self.parts.len() > 1 {
            let histogram = self.histogram();
            let percentiles = [10, 50, 90, 99].into_iter();
            let known = percentiles.filter_map(|percent| Some((percent as u32 * 1000, histogram.percentile(percent)?)));
            self.target.to_mut().percentiles = known.collect();
        }
    }
}
