//! One run: its records, collected in memory that is bounded for each target.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use crate::record::{End, Interval, Mode, Packet, Rejected, Start, State, Target, Time};
use crate::series::{Counters, Detail, Series};

/// What is known of a run.
#[derive(Debug)]
pub struct Run {
    /// Its first record, or what stands for it.
    pub start: Start,
    /// The lines of the list that are no targets.
    pub rejected: Vec<Rejected>,
    /// Its last record. Without it, the records were cut off or the run goes on.
    pub end: Option<End>,
    /// Whether more records may come.
    goes_on: bool,
    targets: Vec<Target>,
    /// What is known of addresses, and label and address of each. Lines with equal addresses are
    /// one target.
    series: Vec<(Series, Box<str>, Box<str>)>,
    places: HashMap<Box<str>, usize>,
    detail: Detail,
    /// The width of the bins, in ns.
    width: i64,
    /// The latest time of a record.
    latest: Time,
}

/// A target with its probes.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Its figures; made up from its probes if the record is missing.
    pub target: Cow<'a, Target>,
    /// Its probes, as far as they are known.
    pub series: Option<&'a Series>,
}

/// What a packet record tells of its probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answered in time.
    Reply,
    /// Answered once more.
    Duplicate,
    /// Answered after its timeout.
    Late,
    /// An answer with wrong data.
    Damaged,
    /// Not answered in time.
    Timeout,
    /// An ICMP error.
    IcmpError,
    /// Not sent.
    SendError,
}

impl Event {
    /// By the type of the record.
    pub fn of(kind: &str) -> Option<Self> {
        Some(match kind {
            "reply" => Event::Reply,
            "duplicate" => Event::Duplicate,
            "late" => Event::Late,
            "damaged" => Event::Damaged,
            "timeout" => Event::Timeout,
            "icmp-error" => Event::IcmpError,
            "send-error" => Event::SendError,
            _ => return None,
        })
    }
}

/// Nanoseconds as a difference of times.
fn difference(ns: u64) -> i64 {
    i64::try_from(ns).unwrap_or(i64::MAX)
}

impl Run {
    /// A run that begins.
    pub fn new(start: Start) -> Self {
        let detail = Detail::of(usize::try_from(start.targets).unwrap_or(usize::MAX));
        let period = start.period_ns.unwrap_or(1_000_000_000);
        let width = match (start.mode, start.count) {
            (Mode::Count, Some(count)) => period.max(period.saturating_mul(count).div_ceil(detail.bins.max(1) as u64)),
            (Mode::Batch, _) => 50_000_000,
            _ => period,
        };
        Run {
            latest: start.time,
            rejected: Vec::new(),
            end: None,
            goes_on: false,
            targets: Vec::new(),
            series: Vec::new(),
            places: HashMap::new(),
            detail,
            width: difference(width).max(1),
            start,
        }
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.start.run
    }

    /// When it started; for records without a start, when the first came.
    pub fn start_time(&self) -> Time {
        self.start.time
    }

    /// How many targets have a record.
    pub fn records(&self) -> usize {
        self.targets.len()
    }

    /// The width of a bin, in ns.
    pub fn width(&self) -> u64 {
        self.width as u64
    }

    /// How many bins are in use.
    pub fn bins(&self) -> usize {
        self.series.iter().map(|(series, ..)| series.bins.len()).max().unwrap_or(0)
    }

    /// Whether its last records are missing.
    pub fn is_cut_off(&self) -> bool {
        self.end.is_none() && !self.goes_on
    }

    /// Whether all of it was probed, and nothing failed on the prober's machine.
    pub fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.complete && end.failures.is_empty())
    }

    /// How long it took, or takes so far.
    pub fn duration_ns(&self) -> u64 {
        self.end.as_ref().map_or((self.latest.0 - self.start.time.0).max(0) as u64, |end| end.duration_ns)
    }

    /// Adds a packet, or its absence.
    pub fn packet(&mut self, event: Event, packet: &Packet<'_>) {
        let timeout = difference(self.start.timeout_ns.unwrap_or(0));
        let late = self.late();
        let place = self.place(&packet.target, packet.label.as_ref().map_or("", |label| &label.0), packet.time);
        let rtt = packet.rtt_ns.filter(|_| matches!(event, Event::Reply | Event::Late));
        // A probe counts where it was sent. The time was cut to microseconds.
        let time = packet.time.0.saturating_add(1000);
        let sent = match (event, rtt) {
            (_, Some(rtt)) => Some(time.saturating_sub(difference(rtt))),
            (Event::Timeout, None) => Some(time.saturating_sub(timeout)),
            _ => None,
        };
        let bin = sent.and_then(|sent| self.bin(sent));
        let detail = self.detail;
        let series = &mut self.series[place].0;
        series.counters.ttl = packet.ttl.filter(|_| event == Event::Reply).or(series.counters.ttl);
        match event {
            Event::Reply => series.counters.received += 1,
            Event::Duplicate => series.counters.duplicates += 1,
            Event::Damaged => series.counters.damaged += 1,
            Event::IcmpError => series.counters.icmp_errors += 1,
            Event::SendError => series.counters.send_errors += 1,
            Event::Timeout => {
                series.timed_out.push_back((packet.probe, packet.time.0));
                series.lose(bin);
            }
            Event::Late => {
                series.counters.late += 1;
                if let Some(place) = series.timed_out.iter().position(|(probe, _)| *probe == packet.probe) {
                    series.timed_out.remove(place);
                    series.find(bin);
                }
            }
        }
        if let Some(rtt) = rtt {
            series.answer(bin, rtt, detail);
        }
        series.settle(packet.time.0.saturating_sub(late));
    }

    /// Adds the figures of an interval, unless the target's packets are known.
    pub fn interval(&mut self, interval: &Interval<'_>) {
        let place = self.place(&interval.target, interval.label.as_ref().map_or("", |label| &label.0), interval.time);
        if self.series[place].0.has_packets {
            return;
        }
        let end = interval.time.0;
        let begin = self.series[place].0.interval_end.replace(end).unwrap_or(self.start.time.0);
        let length = end.saturating_sub(begin);
        if self.detail.bins > 0 && self.series.iter().all(|(series, ..)| series.bins.is_empty()) {
            self.width = length.max(1);
        }
        let bin = self.bin(begin.saturating_add(length / 2));
        let rtts = Option::zip(interval.rtt_min_ns, interval.rtt_mean_ns).zip(interval.rtt_max_ns);
        let answered = interval.received + interval.late;
        let series = &mut self.series[place].0;
        series.interval(bin, answered, interval.lost, rtts.map(|((min, mean), max)| (min, mean, max)));
        let Counters { received, late, lost, rtt_min_ns, rtt_max_ns, rtt_sum_ns, .. } = &mut series.counters;
        *received += interval.received;
        *late += interval.late;
        *lost += interval.lost;
        *rtt_min_ns = [*rtt_min_ns, interval.rtt_min_ns].into_iter().flatten().min();
        *rtt_max_ns = (*rtt_max_ns).max(interval.rtt_max_ns);
        *rtt_sum_ns += interval.rtt_mean_ns.unwrap_or(0).saturating_mul(answered);
    }

    /// Adds the record of a target.
    pub fn target(&mut self, mut target: Target) {
        let known = self.places.get(target.target.as_str()).map(|place| &self.series[*place].0);
        let has_bins = known.is_some_and(|series| !series.bins.is_empty());
        let has_histogram = known.is_some_and(|series| series.histogram.total() > 0);
        if let Some(rtts) = target.rtts_ns.take().filter(|_| !has_bins) {
            self.values(&target, &rtts);
        } else if let Some(classes) = target.histogram.take().filter(|_| !has_histogram) {
            let place = self.place(&target.target, &target.label, self.latest);
            for (low, high, number) in classes.into_iter().filter(|_| self.detail.bins > 0) {
                let number = u32::try_from(number).unwrap_or(u32::MAX);
                self.series[place].0.histogram.add(low.midpoint(high), number);
            }
        }
        target.histogram = None;
        self.targets.push(target);
    }

    /// Adds the RTTs of all probes of a target. Their times are those of the schedule.
    fn values(&mut self, target: &Target, rtts: &[Option<u64>]) {
        let place = self.place(&target.target, &target.label, self.latest);
        let period = difference(self.start.period_ns.unwrap_or(1_000_000_000));
        for (probe, rtt) in rtts.iter().enumerate() {
            let bin = self.bin(self.start.time.0.saturating_add(period.saturating_mul(probe as i64)));
            let detail = self.detail;
            let series = &mut self.series[place].0;
            match rtt {
                Some(rtt) => series.answer(bin, *rtt, detail),
                None => series.lose(bin),
            }
        }
    }

    /// Counts as lost what timed out and cannot be answered late any more, as of the latest record.
    /// More records may come, unless the run has ended.
    pub fn settle(&mut self) {
        self.goes_on = self.end.is_none();
        let before = if self.goes_on { self.latest.0.saturating_sub(self.late()) } else { i64::MAX };
        self.series.iter_mut().for_each(|(series, ..)| series.settle(before));
    }

    /// How long after its timeout a reply is late, in ns.
    fn late(&self) -> i64 {
        difference(self.start.late_ns.or(self.start.timeout_ns).unwrap_or(0))
    }

    /// No more records will come.
    pub fn close(&mut self) {
        self.goes_on = false;
        self.series.iter_mut().for_each(|(series, ..)| series.settle(i64::MAX));
    }

    /// All targets, worst first: by state, then loss, then RTT.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let series = |address: &str| self.places.get(address).map(|place| &self.series[*place].0);
        let known: HashSet<&str> = self.targets.iter().map(|target| target.target.as_str()).collect();
        let mut rows: Vec<Row<'_>> = Vec::with_capacity(self.targets.len());
        rows.extend(
            self.targets.iter().map(|target| Row { target: Cow::Borrowed(target), series: series(&target.target) }),
        );
        let unknown = self.series.iter().filter(|(_, _, address)| !known.contains(&**address));
        rows.extend(unknown.map(|(series, label, address)| Row {
            target: Cow::Owned(estimate(series, label, address, self.goes_on)),
            series: Some(series),
        }));
        rows.sort_by(|one, other| worse(&one.target, &other.target));
        rows
    }

    /// The place of an address among the series.
    fn place(&mut self, address: &str, label: &str, time: Time) -> usize {
        if self.start.time.0 == 0 {
            self.start.time = time;
        }
        self.latest = self.latest.max(time);
        if let Some(place) = self.places.get(address) {
            return *place;
        }
        let place = self.series.len();
        self.series.push((Series::default(), label.into(), address.into()));
        self.places.insert(address.into(), place);
        let detail = Detail::of(self.series.len().max(usize::try_from(self.start.targets).unwrap_or(0)));
        if detail != self.detail {
            self.detail = detail;
            while self.bins() > detail.bins {
                self.double();
            }
        }
        place
    }

    /// The bin for this time.
    fn bin(&mut self, time: i64) -> Option<usize> {
        if self.detail.bins == 0 {
            return None;
        }
        let since = time.saturating_sub(self.start.time.0).max(0);
        while since / self.width >= self.detail.bins as i64 {
            self.double();
        }
        Some((since / self.width) as usize)
    }

    fn double(&mut self) {
        self.width = self.width.saturating_mul(2);
        for (series, ..) in &mut self.series {
            if self.detail.bins == 0 {
                series.bins.clear();
            } else {
                series.halve(self.detail);
            }
        }
    }
}

/// Which of two targets comes first: by state, then loss, then RTT.
pub fn worse(one: &Target, other: &Target) -> Ordering {
    let loss = other.loss().unwrap_or(0.0).total_cmp(&one.loss().unwrap_or(0.0));
    one.state.cmp(&other.state).then(loss).then(other.typical().cmp(&one.typical()))
}

/// Figures for a target without a record: the records were cut off, or the run goes on. That it did
/// not answer proves nothing then.
fn estimate(series: &Series, label: &str, address: &str, goes_on: bool) -> Target {
    let counters = &series.counters;
    let answered = counters.received + counters.late;
    let alive = counters.received > 0;
    let percentiles =
        [10, 50, 90, 99].map(|percent| Some((percent as u32 * 1000, series.histogram.percentile(percent)?)));
    Target {
        target: address.to_owned(),
        label: label.to_owned(),
        family: Some(if address.contains(':') { "ipv6" } else { "ipv4" }.to_owned()),
        state: if alive { State::Alive } else { State::Unsettled },
        reason: (!alive && !goes_on).then(|| "cut-short".to_owned()),
        sent: counters.sent(),
        received: counters.received,
        late: counters.late,
        lost: counters.lost,
        duplicates: counters.duplicates,
        damaged: counters.damaged,
        elsewhere: 0,
        reordered: 0,
        icmp_errors: counters.icmp_errors,
        send_errors: counters.send_errors,
        icmp_name: None,
        icmp_from: None,
        icmp_mtu: None,
        errno_name: None,
        ttl: counters.ttl,
        samples: answered,
        rtt_min_ns: counters.rtt_min_ns,
        rtt_mean_ns: counters.rtt_sum_ns.checked_div(answered).filter(|_| counters.rtt_min_ns.is_some()),
        rtt_max_ns: counters.rtt_max_ns,
        rtt_stddev_ns: None,
        jitter_ns: None,
        longest_outage_ns: None,
        longest_loss_run: None,
        rtts_ns: None,
        histogram: None,
        percentiles: percentiles.into_iter().flatten().collect(),
    }
}
