//! Random numbers that follow from a seed: the same seed, the same world.

use std::ops::Range;
use std::time::Duration;

/// A stream of random numbers.
pub struct Rng(fastrand::Rng);

impl Rng {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Rng(fastrand::Rng::with_seed(seed))
    }

    /// A stream of this seed for one purpose, independent of its other streams: what the network
    /// does to a probe must not depend on what was sent before it.
    pub fn stream(seed: u64, purpose: [u64; 2]) -> Self {
        let mix = |seed, number: u64| Rng::new(seed ^ number.rotate_left(32)).u64();
        Rng::new(purpose.into_iter().fold(seed, mix))
    }

    /// Any number.
    pub fn u64(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.u64(..end)
    }

    /// True in `odds` of 100 cases.
    pub fn percent(&mut self, odds: u64) -> bool {
        self.below(100) < odds
    }

    /// A time in `range`, its end included.
    pub fn duration(&mut self, range: &Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_nanos() as u64;
        range.start + Duration::from_nanos(self.0.u64(..=span))
    }

    /// A number in `range`, its end excluded.
    pub fn number(&mut self, range: &Range<u64>) -> u64 {
        self.0.u64(range.clone())
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.0.usize(..choices.len())]
    }
}
