//! In which order targets are probed for the first time: that of their numbers, or a random one.
//!
//! A random order must not cost memory for each target, so it is computed: a keyed Feistel network
//! over the next power of four, walked on until it yields a target (the cycle walking of
//! format-preserving encryption). Each family is shuffled by itself, because a batch is of one
//! family.

use crate::address::TargetId;
use crate::token::Key;

/// Enough to separate adjacent targets; no one's security depends on it.
const ROUNDS: u8 = 4;

/// An order of targets of two families, numbered one family after the other.
pub(super) struct Order {
    first_v6: u32,
    count: u32,
    /// What shuffles it, if anything does.
    key: Option<Key>,
}

impl Order {
    /// An order of this many IPv4 and IPv6 targets.
    pub(super) fn new(v4: usize, v6: usize, key: Option<Key>) -> Self {
        Order { first_v6: v4 as u32, count: (v4 + v6) as u32, key }
    }

    /// Whether it is that of the numbers.
    pub(super) fn is_plain(&self) -> bool {
        self.key.is_none()
    }

    /// Makes a plain order one of this many targets.
    pub(super) fn set_count(&mut self, targets: usize) {
        (self.first_v6, self.count) = (targets as u32, targets as u32);
    }

    /// The `nth` target, if there are so many.
    pub(super) fn at(&self, nth: u32) -> Option<TargetId> {
        let (first, count) = match nth {
            nth if nth < self.first_v6 => (0, self.first_v6),
            nth if nth < self.count => (self.first_v6, self.count - self.first_v6),
            _ => return None,
        };
        let Some(key) = &self.key else { return Some(TargetId(nth)) };
        let mut number = nth - first;
        loop {
            number = permuted(number, count, key);
            if number < count {
                return Some(TargetId(first + number));
            }
        }
    }
}

/// `number` under a permutation of all numbers below the power of four that is not less than
/// `count`.
fn permuted(number: u32, count: u32, key: &Key) -> u32 {
    let half = (count.saturating_sub(1).checked_ilog2().map_or(0, |log| log + 1)).div_ceil(2);
    let mask = (1_u64 << half) - 1;
    let (mut left, mut right) = (u64::from(number) >> half, u64::from(number) & mask);
    for round in 0..ROUNDS {
        (left, right) = (right, left ^ (key.number((round, right)) & mask));
    }
    (left << half | right) as u32
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::hash::RandomState;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn every_target_has_one_place_in_either_order() {
        let key = Key::new(RandomState::new());
        for (v4, v6) in [(0, 0), (1, 0), (0, 1), (2, 3), (5, 0), (64, 65), (1000, 17), (0, 4097)] {
            for shuffled in [false, true] {
                let order = Order::new(v4, v6, shuffled.then(|| key.clone()));
                let all: BTreeSet<_> = (0..(v4 + v6) as u32).filter_map(|nth| order.at(nth)).collect();
                assert_eq!(all.len(), v4 + v6, "{v4} and {v6}, shuffled: {shuffled}");
                assert_eq!(order.at((v4 + v6) as u32), None);
                assert!(all.last().is_none_or(|last| last.index() < v4 + v6));
                let first: BTreeSet<_> = (0..v4 as u32).filter_map(|nth| order.at(nth)).collect();
                assert!(first.iter().all(|target| target.index() < v4), "the first family comes first");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn a_shuffled_order_separates_neighbours() {
        let key = Key::new(RandomState::new());
        let order = Order::new(10_000, 0, Some(key));
        let targets: Vec<u32> = (0..10_000).filter_map(|nth| order.at(nth)).map(|target| target.0).collect();
        let neighbours = targets.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        // Two are expected by chance.
        assert!(neighbours < 30, "{neighbours} pairs of neighbours are still together");
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn another_key_makes_another_order() {
        let [one, other] = [0, 1].map(|_| {
            let order = Order::new(1000, 0, Some(Key::new(RandomState::new())));
            (0..1000).filter_map(|nth| order.at(nth)).collect::<Vec<_>>()
        });
        assert_ne!(one, other);
    }
}
