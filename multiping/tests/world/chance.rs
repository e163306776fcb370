//! Chance that a seed decides: the same seed, the same world.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014): a few
//! lines, good enough for dice, and it may be started anywhere. [`Chance::about`] makes a stream of its own for one
//! matter, so that what the network does to a probe does not depend on what was sent before it.

use std::ops::Range;
use std::time::Duration;

/// A stream of dice.
pub struct Chance(u64);

impl Chance {
    /// The stream of this seed.
    pub fn new(seed: u64) -> Self {
        Chance(seed)
    }

    /// The stream of this seed about one matter.
    pub fn about(seed: u64, matter: [u64; 2]) -> Self {
        let outer = Chance(seed ^ matter[0].rotate_left(32)).draw();
        Chance(Chance(outer ^ matter[1]).draw())
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0. (That small numbers come up a little more often matters to nobody here.)
    pub fn below(&mut self, end: u64) -> u64 {
        self.draw() % end
    }

    /// Yes, in so many of a hundred cases.
    pub fn percent(&mut self, cases: u64) -> bool {
        self.below(100) < cases
    }

    /// A time in `range`, its end included.
    pub fn within(&mut self, range: &Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_nanos() as u64;
        range.start + Duration::from_nanos(self.below(span + 1))
    }

    /// A number in `range`, its end excluded.
    pub fn number(&mut self, range: &Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}
