//! In which order targets are probed for the first time: that of their numbers, or a random one.
//!
//! A random order must not cost memory for each target, so it is not drawn up but computed: a keyed Feistel network over
//! the next power of four, walked on until it lands on a target (the cycle-walking of format-preserving encryption).
//! Each family is shuffled for itself, because a batch is of one family.

use crate::targets::TargetId;
use crate::token::Key;

/// Enough to make neighbours strangers; nobody's security depends on it.
const ROUNDS: u8 = 4;

/// An order of targets of two families, numbered one family after the other.
#[derive(Debug)]
pub(super) struct Order {
    first_v6: u32,
    count: u32,
    shuffled: bool,
}

impl Order {
    /// An order of `v4` and `v6` targets.
    pub(super) fn new(v4: usize, v6: usize, shuffled: bool) -> Self {
        Order { first_v6: v4 as u32, count: (v4 + v6) as u32, shuffled }
    }

    /// The target at this place, if there are so many.
    pub(super) fn at(&self, place: u32, key: &Key) -> Option<TargetId> {
        let (first, count) = match place {
            place if place < self.first_v6 => (0, self.first_v6),
            place if place < self.count => (self.first_v6, self.count - self.first_v6),
            _ => return None,
        };
        if !self.shuffled {
            return Some(TargetId(place));
        }
        let mut number = place - first;
        loop {
            number = permuted(number, count, key);
            if number < count {
                return Some(TargetId(first + number));
            }
        }
    }
}

/// `number` under a permutation of all numbers below the power of four that is not less than `count`.
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
    fn every_target_has_one_place_in_either_order() {
        let key = Key::new(RandomState::new());
        for (v4, v6) in [(0, 0), (1, 0), (0, 1), (2, 3), (5, 0), (64, 65), (1000, 17), (0, 4097)] {
            for shuffled in [false, true] {
                let order = Order::new(v4, v6, shuffled);
                let all: BTreeSet<_> = (0..(v4 + v6) as u32).filter_map(|place| order.at(place, &key)).collect();
                assert_eq!(all.len(), v4 + v6, "{v4} and {v6}, shuffled: {shuffled}");
                assert_eq!(order.at((v4 + v6) as u32, &key), None);
                assert!(all.last().is_none_or(|last| last.index() < v4 + v6));
                let first: BTreeSet<_> = (0..v4 as u32).filter_map(|place| order.at(place, &key)).collect();
                assert!(first.iter().all(|target| target.index() < v4), "the first family comes first");
            }
        }
    }

    #[test]
    fn a_shuffled_order_separates_neighbours() {
        let key = Key::new(RandomState::new());
        let order = Order::new(10_000, 0, true);
        let targets: Vec<u32> = (0..10_000).filter_map(|place| order.at(place, &key)).map(|target| target.0).collect();
        let neighbours = targets.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        // Two are expected by chance.
        assert!(neighbours < 30, "{neighbours} pairs of neighbours were left together");
    }

    #[test]
    fn another_key_makes_another_order() {
        let [one, other] = [0, 1].map(|_| {
            let (key, order) = (Key::new(RandomState::new()), Order::new(1000, 0, true));
            (0..1000).filter_map(|place| order.at(place, &key)).collect::<Vec<_>>()
        });
        assert_ne!(one, other);
    }
}
