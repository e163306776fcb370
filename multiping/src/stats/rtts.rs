//! Round-trip times: exact while there is memory, then a histogram in the same memory.

use std::time::Duration;

use crate::alloc::{OutOfMemory, try_filled};
use crate::stats::histogram;
use crate::stats::percent::{Percent, Percentile};
use crate::tally::{self, TICK};

/// The longest RTT that is kept, in ticks (214.7 s); a longer one counts as this.
pub(super) const MAX_TICKS: u32 = (1 << 31) - 1;

/// `rtt` in whole ticks, rounded down, at most [`MAX_TICKS`].
pub(super) fn ticks(rtt: Duration) -> u32 {
    tally::ticks(rtt).min(MAX_TICKS)
}

/// A counter: `u32` for one target, `u64` for all of them.
pub trait Word: Copy + Default + Into<u64> {
    /// `n`, or the largest value if it does not fit.
    fn saturating(n: u64) -> Self;
}

impl Word for u32 {
    fn saturating(n: u64) -> Self {
        u32::try_from(n).unwrap_or(u32::MAX)
    }
}

impl Word for u64 {
    fn saturating(n: u64) -> Self {
        n
    }
}

/// How many RTTs to allocate memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// As many as a histogram has counters: any number of RTTs may come.
    Any,
    /// Any number, none of which is longer: the histogram has no counters above. Should one be
    /// longer all the same, percentiles have it in the last bucket.
    Within(Duration),
    /// No more than this many will come. Those beyond a smaller number than that of the histogram's
    /// counters are not in the percentiles; all other figures stay right.
    UpTo(usize),
    /// This many, exactly (`--exact`). Those beyond turn them into a histogram as with
    /// [`Keep::Any`]; if there is no memory for one, they are not in the percentiles.
    Every(usize),
}

/// Round-trip times (RFC 2681), in ticks of 100 ns up to 214.7 s.
///
/// The RTTs themselves are kept while there is memory for them, and percentiles are exact. The next
/// one turns them, in place, into a log-linear histogram of 2^`BITS` buckets an octave: a
/// percentile is then off by less than 1 / 2^(`BITS` + 1) of its value. Minimum, maximum, mean and
/// standard deviation are always exact. All memory is allocated at the start.
#[derive(Debug)]
pub struct Rtts<W, const BITS: u32> {
    /// The RTTs, or the counters of the histogram.
    words: Box<[W]>,
    /// The sum of the squares: a `u128` without its alignment of 16 bytes.
    squares: [u8; 16],
    sum: u64,
    n: W,
    min: u32,
    max: u32,
    /// How many counters the histogram has.
    counters: u16,
}

impl<W: Word, const BITS: u32> Rtts<W, BITS> {
    /// How many counters the histogram has at most.
    pub const COUNTERS: usize = {
        let counters = histogram::len(BITS);
        assert!(counters < 1 << 16, "an index has to fit into half of the smallest word");
        counters
    };

    /// For how many RTTs memory is allocated, at 1 of `W` each.
    pub fn words(keep: Keep) -> usize {
        match keep {
            Keep::Any => Self::COUNTERS,
            Keep::Within(longest) => histogram::index(ticks(longest), BITS) + 1,
            Keep::UpTo(most) => most.min(Self::COUNTERS),
            Keep::Every(count) => count,
        }
    }

    /// Allocates all memory that will be used.
    pub fn new(keep: Keep) -> Result<Self, OutOfMemory> {
        let count = Self::words(keep);
        let counters = if matches!(keep, Keep::Within(_)) { count } else { Self::COUNTERS } as u16;
        let words = try_filled(count, W::default())?.into_boxed_slice();
        Ok(Rtts { words, squares: [0; 16], sum: 0, n: W::default(), min: u32::MAX, max: 0, counters })
    }

    /// Adds an RTT.
    pub fn record(&mut self, rtt: Duration) {
        self.add(ticks(rtt));
    }

    /// Adds an RTT of at most [`MAX_TICKS`].
    pub(super) fn add(&mut self, ticks: u32) {
        let place = self.n();
        let n = W::saturating(place.saturating_add(1));
        if n.into() == place {
            return; // the counter is full
        }
        if let Some(word) = usize::try_from(place).ok().and_then(|place| self.words.get_mut(place)) {
            *word = W::saturating(ticks.into());
        } else if self.words.len() >= self.counters() {
            if place == self.words.len() as u64 {
                self.turn_into_histogram();
            }
            self.bump(ticks);
        }
        self.n = n;
        self.min = self.min.min(ticks);
        self.max = self.max.max(ticks);
        self.sum = self.sum.saturating_add(ticks.into());
        let square = u128::from(ticks) * u128::from(ticks);
        self.squares = self.squares().saturating_add(square).to_ne_bytes();
    }

    /// Counts the RTTs in `words` where they stand.
    fn turn_into_histogram(&mut self) {
        // First each RTT is replaced by the index of its counter, which fits into the low 16 bits.
        // The counters are in the bits above, until all indexes are read.
        const INDEX: u64 = 0xffff;
        let counters = self.counters();
        let (table, rest) = self.words.split_at_mut(counters);
        for word in &mut *table {
            *word = W::saturating(histogram::index((*word).into() as u32, BITS).min(counters - 1) as u64);
        }
        for place in 0..table.len() {
            let index = (table[place].into() & INDEX) as usize;
            table[index] = W::saturating(table[index].into() + INDEX + 1);
        }
        for word in &mut *table {
            *word = W::saturating((*word).into() >> 16);
        }
        // With `Keep::Every` there may be more RTTs than counters.
        for place in counters..counters + rest.len() {
            self.bump(self.words[place].into() as u32);
        }
    }

    fn bump(&mut self, ticks: u32) {
        let counter = &mut self.words[histogram::index(ticks, BITS).min(self.counters() - 1)];
        *counter = W::saturating((*counter).into().saturating_add(1));
    }

    fn counters(&self) -> usize {
        self.counters.into()
    }

    fn squares(&self) -> u128 {
        u128::from_ne_bytes(self.squares)
    }

    /// How many RTTs there are. After 2^32 - 1 for one target, further ones are left out.
    pub fn n(&self) -> u64 {
        self.n.into()
    }

    /// Whether percentiles are exact, and of all RTTs.
    pub fn is_exact(&self) -> bool {
        self.n() <= self.words.len() as u64
    }

    /// The bound of the relative error of percentiles: 0 if they are exact.
    pub fn error_ratio(&self) -> f64 {
        if self.is_exact() { 0.0 } else { 1.0 / f64::from(2u32 << BITS) }
    }

    /// The shortest RTT.
    pub fn min(&self) -> Option<Duration> {
        (self.n() > 0).then(|| TICK * self.min)
    }

    /// The longest RTT.
    pub fn max(&self) -> Option<Duration> {
        (self.n() > 0).then(|| TICK * self.max)
    }

    /// The mean RTT, rounded to whole nanoseconds, halves up.
    pub fn mean(&self) -> Option<Duration> {
        mean(self.sum.into(), self.n())
    }

    /// The standard deviation of the RTTs (of the population, as in ping(8)), rounded to whole
    /// nanoseconds.
    pub fn stddev(&self) -> Option<Duration> {
        let n = u128::from(self.n());
        if n == 0 {
            return None;
        }
        // n^2 times the variance. In integers nothing cancels out, and it is never below 0.
        let spread = n.saturating_mul(self.squares()).saturating_sub(u128::from(self.sum) * u128::from(self.sum));
        let ticks = (spread as f64).sqrt() / n as f64;
        Some(Duration::from_nanos((ticks * TICK.as_nanos() as f64).round() as u64))
    }

    /// A percentile of the RTTs by the nearest rank ([`Percent::rank`]): an RTT that occurred, if
    /// [`Rtts::is_exact`].
    pub fn percentile(&self, percent: Percent) -> Option<Duration> {
        self.at_rank(percent.rank(self.kept()))
    }

    /// The same over all probes that were sent: `lost` of them have an infinite RTT (RFC 2681).
    pub fn percentile_of_sent(&self, percent: Percent, lost: u64) -> Option<Percentile> {
        let sent = self.kept().saturating_add(lost);
        match self.at_rank(percent.rank(sent)) {
            Some(rtt) => Some(Percentile::Rtt(rtt)),
            None => (sent > 0).then_some(Percentile::Lost),
        }
    }

    /// How many RTTs are not above `rtt`; of a histogram, by the values that its buckets stand for.
    pub fn count_up_to(&self, rtt: Duration) -> u64 {
        let (limit, kept) = (ticks(rtt), self.kept());
        match usize::try_from(kept).ok().and_then(|kept| self.words.get(..kept)) {
            Some(rtts) => rtts.iter().filter(|&&rtt| rtt.into() <= u64::from(limit)).count() as u64,
            None if limit >= self.max => kept,
            None => {
                let counters = (0..).zip(&self.words[..self.counters()]);
                let below =
                    counters.filter(|&(index, _)| histogram::middle(index, BITS).clamp(self.min, self.max) <= limit);
                below.map(|(_, &counter)| counter.into()).sum()
            }
        }
    }

    /// How many RTTs the percentiles are taken from.
    fn kept(&self) -> u64 {
        let len = self.words.len();
        if len < self.counters() { self.n().min(len as u64) } else { self.n() }
    }

    /// The RTT of this rank, counted from 1, if there are so many.
    fn at_rank(&self, rank: u64) -> Option<Duration> {
        let kept = self.kept();
        if rank > kept {
            return None;
        }
        let ticks = match usize::try_from(kept).ok().and_then(|kept| self.words.get(..kept)) {
            Some(rtts) => self.smallest_reaching(rank, rtts),
            None if rank == 1 => self.min,
            None if rank == kept => self.max,
            None => self.bucket_of(rank),
        };
        Some(TICK * ticks)
    }

    /// The smallest RTT that at least `rank` of these do not exceed. Bisection needs neither memory
    /// nor sorted RTTs.
    fn smallest_reaching(&self, rank: u64, rtts: &[W]) -> u32 {
        let (mut low, mut high) = (self.min, self.max);
        while low < high {
            let middle = low + (high - low) / 2;
            let limit = u64::from(middle);
            if rtts.iter().filter(|&&rtt| rtt.into() <= limit).count() as u64 >= rank {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    fn bucket_of(&self, rank: u64) -> u32 {
        let mut reached = 0;
        let index = self.words.iter().position(|&counter| {
            reached += counter.into();
            reached >= rank
        });
        index.map_or(self.max, |index| histogram::middle(index, BITS).clamp(self.min, self.max))
    }
}

/// The mean of `n` times of `sum` ticks in all, rounded to whole nanoseconds, halves up.
pub(super) fn mean(sum: u128, n: u64) -> Option<Duration> {
    let n = u128::from(n);
    let nanos = (sum * TICK.as_nanos() + n / 2).checked_div(n)?;
    // At most 214.7 s.
    Some(Duration::from_nanos(nanos as u64))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use super::*;

    /// The histogram counted one by one, beside the one that was turned in place.
    fn check_turning<W: Word + PartialEq + std::fmt::Debug, const BITS: u32>(keep: Keep, n: u32) {
        let mut rtts = Rtts::<W, BITS>::new(keep).unwrap();
        let (memory, len) = (rtts.words.as_ptr(), rtts.words.len());
        let mut expected = vec![0u64; Rtts::<W, BITS>::COUNTERS];
        let mut rng = fastrand::Rng::with_seed(n.into());
        for i in 0..n {
            // Values of all sizes, among them many that are the index of some counter.
            let ticks = rng.u32(..) >> (1 + i % 31);
            rtts.add(ticks);
            expected[histogram::index(ticks, BITS)] += 1;
            assert_eq!(rtts.is_exact(), i < len as u32);
            assert_eq!((rtts.words.as_ptr(), rtts.words.len()), (memory, len), "nothing is allocated");
        }
        let counters: Vec<u64> = rtts.words[..expected.len()].iter().map(|&word| word.into()).collect();
        assert_eq!(counters, expected, "{n} RTTs in {len} words");
    }

    #[test]
    fn rtts_turn_into_a_histogram_in_place() {
        for n in [449, 450, 5000] {
            check_turning::<u32, 4>(Keep::Any, n);
        }
        check_turning::<u32, 5>(Keep::Any, 865);
        check_turning::<u64, 7>(Keep::Any, 3201);
        check_turning::<u64, 7>(Keep::Any, 10_000);
    }

    #[test]
    fn more_rtts_than_the_histogram_has_counters_turn_into_it_as_well() {
        check_turning::<u32, 4>(Keep::Every(448), 449);
        check_turning::<u32, 4>(Keep::Every(449), 450);
        check_turning::<u32, 4>(Keep::Every(70_000), 70_001);
    }

    #[test]
    fn equal_rtts_fill_one_counter() {
        for ticks in [0, 1, 447, MAX_TICKS] {
            let mut rtts = Rtts::<u32, 4>::new(Keep::Any).unwrap();
            (0..1000).for_each(|_| rtts.add(ticks));
            assert_eq!(rtts.words[histogram::index(ticks, 4)], 1000);
            assert_eq!(rtts.words.iter().sum::<u32>(), 1000);
            assert_eq!(rtts.percentile(Percent::from_thousandths(50_000).unwrap()), Some(TICK * ticks));
        }
    }

    #[test]
    fn when_the_number_of_rtts_no_longer_fits_the_figures_stay_what_they_are() {
        let mut rtts = Rtts::<u32, 4>::new(Keep::Any).unwrap();
        (0..500).for_each(|_| rtts.add(7));
        rtts.n = u32::MAX - 1;
        rtts.sum = u64::from(rtts.n) * 7;
        rtts.squares = (u128::from(rtts.n) * 49).to_ne_bytes();
        for ticks in [7, 9, 1] {
            rtts.add(ticks);
        }
        assert_eq!((rtts.n(), rtts.min(), rtts.max()), (u64::from(u32::MAX), Some(TICK * 7), Some(TICK * 7)));
        assert_eq!((rtts.mean(), rtts.stddev()), (Some(TICK * 7), Some(Duration::ZERO)));
    }

    #[test]
    fn sums_of_the_longest_rtts_do_not_overflow() {
        let mut rtts = Rtts::<u32, 4>::new(Keep::Any).unwrap();
        let n = u64::from(u32::MAX - 1);
        (rtts.n, rtts.min, rtts.max) = (u32::MAX - 1, MAX_TICKS, MAX_TICKS);
        rtts.sum = n * u64::from(MAX_TICKS);
        rtts.squares = (u128::from(n) * u128::from(MAX_TICKS).pow(2)).to_ne_bytes();
        rtts.add(MAX_TICKS);
        assert_eq!((rtts.mean(), rtts.stddev()), (Some(TICK * MAX_TICKS), Some(Duration::ZERO)));
    }
}
