//! The probes of one target over time, and its RTTs, in bounded memory.
//!
//! Time is cut into bins of one width for a whole run. When the bins do not suffice, each two are
//! united and the width doubles, so that a run may last as long as it likes. A bin keeps its
//! counts, its extremes and its sum exactly, and a random sample of its RTTs for the percentiles.

use std::collections::VecDeque;

/// RTTs are kept in units of 100 ns, in which the prober measures.
const TICK: u64 = 100;

/// How finely a target's probes are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detail {
    /// The most bins.
    pub bins: usize,
    /// The most RTTs kept in a bin.
    pub sample: usize,
}

impl Detail {
    /// What there is memory for, with so many targets; 100 MB at most.
    pub fn of(targets: usize) -> Self {
        match targets {
            0..=24 => Detail { bins: 300, sample: 64 },
            25..=1000 => Detail { bins: 120, sample: 6 },
            1001..=20_000 => Detail { bins: 60, sample: 0 },
            _ => Detail { bins: 0, sample: 0 },
        }
    }
}

/// The probes that were sent to one target in some stretch of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bin {
    /// Answered, in time or late.
    pub answered: u32,
    /// Lost.
    pub lost: u32,
    min: u32,
    max: u32,
    sum: u64,
    sample: Vec<u32>,
}

impl Bin {
    /// Whether it has no probe.
    pub fn is_empty(&self) -> bool {
        self.answered == 0 && self.lost == 0
    }

    /// Whether some of its RTTs are kept.
    pub fn has_sample(&self) -> bool {
        !self.sample.is_empty()
    }

    /// The share of the lost; none without probes.
    pub fn loss(&self) -> Option<f64> {
        (!self.is_empty()).then(|| f64::from(self.lost) / (f64::from(self.lost) + f64::from(self.answered)))
    }

    /// The shortest, the mean and the longest RTT, in ns.
    pub fn range(&self) -> Option<(u64, u64, u64)> {
        let ns = |ticks: u32| u64::from(ticks) * TICK;
        (self.answered > 0).then(|| (ns(self.min), self.sum / u64::from(self.answered) * TICK, ns(self.max)))
    }

    /// A percentile by nearest rank, in ns: estimated from the sample, or else the mean.
    pub fn percentile(&self, percent: usize) -> Option<u64> {
        let (_, mean, _) = self.range()?;
        let rank = (self.sample.len() * percent).div_ceil(100).max(1);
        let mut sorted = self.sample.clone();
        sorted.sort_unstable();
        Some(sorted.get(rank - 1).map_or(mean, |ticks| u64::from(*ticks) * TICK))
    }

    fn add(&mut self, ticks: u32, most: usize) {
        self.min = if self.answered == 0 { ticks } else { self.min.min(ticks) };
        self.max = self.max.max(ticks);
        self.sum += u64::from(ticks);
        self.answered = self.answered.saturating_add(1);
        if self.sample.len() < most {
            self.sample.push(ticks);
        } else if most > 0 {
            // Algorithm R: each RTT of the bin is as likely to be kept as any other. The same input
            // has to give the same picture, so the numbers are the fractions of the golden ratio.
            let fraction = u64::from(self.answered).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
            let place = ((fraction * u64::from(self.answered)) >> 32) as usize;
            if let Some(kept) = self.sample.get_mut(place) {
                *kept = ticks;
            }
        }
    }

    /// Adds what is known of `answered` RTTs only in sum.
    fn add_many(&mut self, answered: u32, (min, mean, max): (u32, u32, u32)) {
        if answered > 0 {
            self.min = if self.answered == 0 { min } else { self.min.min(min) };
            self.max = self.max.max(max);
            self.sum += u64::from(mean) * u64::from(answered);
            self.answered = self.answered.saturating_add(answered);
        }
    }

    /// Adds the probes of another bin.
    pub fn unite(&mut self, other: &Bin, most: usize) {
        if other.answered > 0 {
            self.min = if self.answered == 0 { other.min } else { self.min.min(other.min) };
            self.max = self.max.max(other.max);
        }
        self.resample(Some(other), most);
        self.sum += other.sum;
        self.answered = self.answered.saturating_add(other.answered);
        self.lost = self.lost.saturating_add(other.lost);
    }

    /// Of the kept RTTs, each of which stands for its share of its bin, evenly spaced ones stay.
    fn resample(&mut self, other: Option<&Bin>, most: usize) {
        let weigh = |bin: &Bin| {
            let weight = f64::from(bin.answered) / bin.sample.len().max(1) as f64;
            bin.sample.iter().map(|ticks| (*ticks, weight)).collect::<Vec<_>>()
        };
        let mut all = [weigh(self), other.map_or(Vec::new(), weigh)].concat();
        if all.len() <= most {
            self.sample = all.into_iter().map(|(ticks, _)| ticks).collect();
            return;
        }
        all.sort_unstable_by_key(|(ticks, _)| *ticks);
        let step = all.iter().map(|(_, weight)| weight).sum::<f64>() / most.max(1) as f64;
        self.sample = Vec::with_capacity(most);
        let mut passed = 0.0;
        for (ticks, weight) in all {
            passed += weight;
            while self.sample.len() < most && passed >= step * (self.sample.len() as f64 + 0.5) {
                self.sample.push(ticks);
            }
        }
    }
}

/// RTTs by size: 32 classes for each doubling, so that a class is 3 % wide at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    first: usize,
    counts: Vec<u32>,
}

impl Histogram {
    const STEPS: u64 = 32;

    fn class(ticks: u64) -> usize {
        let shift = u64::from((ticks / Self::STEPS).checked_ilog2().map_or(0, |log| log + 1)).saturating_sub(1);
        (shift * Self::STEPS + (ticks >> shift)) as usize
    }

    /// The low edge of a class, in ticks.
    fn edge(class: usize) -> u64 {
        let class = class as u64;
        let shift = (class / Self::STEPS).saturating_sub(1);
        (class - shift * Self::STEPS) << shift
    }

    /// Adds RTTs of about so many ns.
    pub fn add(&mut self, ns: u64, number: u32) {
        let class = Self::class(ns / TICK);
        if self.counts.is_empty() {
            self.first = class;
        }
        if class < self.first {
            self.counts.splice(..0, vec![0; self.first - class]);
            self.first = class;
        }
        if class - self.first >= self.counts.len() {
            self.counts.resize(class - self.first + 1, 0);
        }
        self.counts[class - self.first] = self.counts[class - self.first].saturating_add(number);
    }

    /// Adds those of another.
    pub fn unite(&mut self, other: &Histogram) {
        for (low, _, number) in other.classes() {
            self.add(low, number);
        }
    }

    /// Low and high edge in ns, and the number, of each class that is not empty.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64, u32)> + '_ {
        let class = |(place, number): (usize, &u32)| {
            let class = self.first + place;
            (*number > 0).then(|| (Self::edge(class) * TICK, Self::edge(class + 1) * TICK, *number))
        };
        self.counts.iter().enumerate().filter_map(class)
    }

    /// How many RTTs it has.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|number| u64::from(*number)).sum()
    }

    /// A percentile by nearest rank, in ns, as far as a class tells: its middle.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let rank = (self.total() * percent).div_ceil(100).max(1);
        let mut passed = 0;
        self.classes().find_map(|(low, high, number)| {
            passed += u64::from(number);
            (passed >= rank).then(|| if high - low <= TICK { low } else { low.midpoint(high) })
        })
    }
}

/// The upper bounds of the classes of the counted RTTs, in ns: 50 us times powers of two.
pub fn bounds() -> impl Iterator<Item = u64> {
    (0..20).map(|power| 50_000 << power)
}

/// What a target's records add up to. Nothing here is estimated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the schema's words")]
pub struct Counters {
    pub received: u64,
    pub late: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub damaged: u64,
    pub icmp_errors: u64,
    pub send_errors: u64,
    pub ttl: Option<u64>,
    pub rtt_min_ns: Option<u64>,
    pub rtt_max_ns: Option<u64>,
    pub rtt_sum_ns: u64,
    /// RTTs up to each of [`bounds`] and no lower one; the last are longer than all.
    pub by_bound: [u64; 21],
}

impl Counters {
    /// Probes whose fate is known.
    pub fn sent(&self) -> u64 {
        self.received + self.late + self.lost
    }

    fn add(&mut self, ns: u64) {
        let place = bounds().position(|bound| ns <= bound).unwrap_or(20);
        self.by_bound[place] += 1;
        self.rtt_sum_ns += ns;
        self.rtt_min_ns = Some(self.rtt_min_ns.map_or(ns, |min| min.min(ns)));
        self.rtt_max_ns = Some(self.rtt_max_ns.map_or(ns, |max| max.max(ns)));
    }
}

/// The probes of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// By the time of their sending.
    pub bins: Vec<Bin>,
    /// By their RTT.
    pub histogram: Histogram,
    /// Added up.
    pub counters: Counters,
    /// Whether single probes are known, and not only intervals.
    pub has_packets: bool,
    /// Probes whose timeout is over and that may still be answered late: number, and end of
    /// timeout.
    pub timed_out: VecDeque<(u64, i64)>,
    /// When the last interval ended.
    pub interval_end: Option<i64>,
}

impl Series {
    /// An answer to the probe that was sent at the bin's time.
    pub fn answer(&mut self, bin: Option<usize>, ns: u64, detail: Detail) {
        self.has_packets = true;
        self.counters.add(ns);
        if detail.bins > 0 {
            self.histogram.add(ns, 1);
        }
        if let Some(bin) = bin {
            self.bin(bin).add(u32::try_from(ns / TICK).unwrap_or(u32::MAX), detail.sample);
        }
    }

    /// A loss of the probe that was sent at the bin's time.
    pub fn lose(&mut self, bin: Option<usize>) {
        self.has_packets = true;
        if let Some(bin) = bin {
            let bin = self.bin(bin);
            bin.lost = bin.lost.saturating_add(1);
        }
    }

    /// Takes a loss back: the probe was answered late.
    pub fn find(&mut self, bin: Option<usize>) {
        if let Some(bin) = bin {
            let bin = self.bin(bin);
            bin.lost = bin.lost.saturating_sub(1);
        }
    }

    /// An interval, of which only the sums are known: answers with their shortest, mean and longest
    /// RTT, and losses.
    pub fn interval(&mut self, bin: Option<usize>, answered: u64, lost: u64, rtts: Option<(u64, u64, u64)>) {
        let Some(bin) = bin else { return };
        let ticks = |ns: u64| u32::try_from(ns / TICK).unwrap_or(u32::MAX);
        let bin = self.bin(bin);
        bin.lost = bin.lost.saturating_add(u32::try_from(lost).unwrap_or(u32::MAX));
        if let Some((min, mean, max)) = rtts {
            let answered = u32::try_from(answered).unwrap_or(u32::MAX);
            bin.add_many(answered, (ticks(min), ticks(mean), ticks(max)));
        }
    }

    /// Counts as lost what timed out before this time and was not answered late either.
    pub fn settle(&mut self, before: i64) {
        while self.timed_out.front().is_some_and(|(_, time)| *time < before) {
            self.timed_out.pop_front();
            self.counters.lost += 1;
        }
    }

    /// A whole run in one bin, of which only the sums are known.
    pub fn of_run(answered: u64, lost: u64, rtts: Option<(u64, u64, u64)>) -> Self {
        let mut series = Series::default();
        series.interval(Some(0), answered, lost, rtts);
        series
    }

    /// Unites each two bins.
    pub fn halve(&mut self, detail: Detail) {
        let pairs = self.bins.chunks(2).map(|pair| {
            let mut united = pair[0].clone();
            match pair.get(1) {
                Some(second) => united.unite(second, detail.sample),
                None => united.resample(None, detail.sample),
            }
            united
        });
        self.bins = pairs.collect();
    }

    fn bin(&mut self, place: usize) -> &mut Bin {
        if place >= self.bins.len() {
            self.bins.resize(place + 1, Bin::default());
        }
        &mut self.bins[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DETAIL: Detail = Detail { bins: 8, sample: 16 };

    #[test]
    fn classes_of_a_histogram_meet_and_are_narrow() {
        for ticks in (0..5000).chain((1..40).map(|power| (1 << power) - 1)) {
            let class = Histogram::class(ticks);
            assert!(Histogram::edge(class) <= ticks && ticks < Histogram::edge(class + 1), "{ticks}");
            let width = Histogram::edge(class + 1) - Histogram::edge(class);
            assert!(width == 1 || width * 32 <= ticks, "{ticks}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values_within_a_class() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut values: Vec<u64> = (0..5000).map(|_| 100 * random.u64(1..3_000_000)).collect();
        let mut histogram = Histogram::default();
        values.iter().for_each(|ns| histogram.add(*ns, 1));
        values.sort_unstable();
        for percent in [1, 10, 50, 90, 99, 100] {
            let exact = values[(5000 * percent as usize).div_ceil(100) - 1] as f64;
            let found = histogram.percentile(percent).expect("not empty") as f64;
            assert!((found / exact - 1.0).abs() < 0.04, "p{percent}: {found} for {exact}");
        }
        assert_eq!(Histogram::default().percentile(50), None);
    }

    #[test]
    fn uniting_bins_keeps_counts_and_extremes() {
        let mut series = Series::default();
        for probe in 0..1000_u64 {
            if probe % 10 == 3 {
                series.lose(Some(probe as usize / 125));
            } else {
                series.answer(Some(probe as usize / 125), 1000 * (probe + 1), DETAIL);
            }
        }
        for bins in [8, 4, 2, 1] {
            assert_eq!(series.bins.len(), bins);
            assert_eq!(series.bins.iter().map(|bin| bin.answered).sum::<u32>(), 900);
            assert_eq!(series.bins.iter().map(|bin| bin.lost).sum::<u32>(), 100);
            assert!(series.bins.iter().all(|bin| bin.sample.len() == 16));
            series.halve(DETAIL);
        }
        let (min, _, max) = series.bins[0].range().expect("answers");
        assert_eq!((min, max), (1000, 1_000_000));
        let median = series.bins[0].percentile(50).expect("answers");
        assert!((400_000..600_000).contains(&median), "{median}");
    }

    #[test]
    fn a_full_bin_outweighs_one_with_few_answers() {
        let mut many = Bin::default();
        (0..10_000).for_each(|_| many.add(10, 16));
        let mut few = Bin::default();
        (0..16).for_each(|_| few.add(99, 16));
        many.unite(&few, 16);
        assert!(many.sample.iter().filter(|ticks| **ticks == 99).count() <= 1);
    }

    #[test]
    fn rtts_are_counted_up_to_their_bound() {
        let mut counters = Counters::default();
        [50_000, 50_001, 100_000, 26_214_400_000, 26_214_400_001].into_iter().for_each(|ns| counters.add(ns));
        assert_eq!(bounds().last(), Some(26_214_400_000));
        assert_eq!(counters.by_bound[..2], [1, 2]);
        assert_eq!(counters.by_bound[19..], [1, 1]);
    }
}
