//! Targets that move to another sweep of the same run, which has none left to try.

use crate::address::{Addresses, Family};
use crate::alloc::{OutOfMemory, try_append, try_reserve_for, try_split_off};
use crate::prober::sweep::Sweep;
use crate::tally::Tally;

/// The last targets of a sweep, of one family, and what is known of them.
#[derive(Debug, Default)]
pub struct Moved {
    addresses: Addresses,
    /// Fewer, if the last ones have not been tried.
    tallies: Vec<Tally>,
    sums: Vec<u64>,
}

impl Moved {
    /// How many targets these are.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }
}

impl Sweep {
    /// How many targets at its end have not been tried and may be moved: of one family, and if that
    /// is IPv6, not its first one, so that this sweep never has IPv4 targets to move that another
    /// one could not append. None, if targets are tried in a random order: those that have not been
    /// tried are everywhere then.
    pub fn movable(&self) -> usize {
        let most = match self.addresses.count(Family::V6) {
            0 => self.addresses.len(),
            v6 => v6 - 1,
        };
        if self.order.is_plain() { self.untried().min(most) } else { 0 }
    }

    /// Removes the last `count` targets, [`Sweep::movable`] at most while it runs. Once the run has
    /// ended, any of one family may be removed; what was counted stays counted here.
    pub fn split_off(&mut self, count: usize) -> Result<Moved, OutOfMemory> {
        let addresses = self.addresses.split_off(count)?;
        let tried = |tallies: usize| tallies.saturating_sub(self.addresses.len());
        let (tallies, sums) = (tried(self.tallies.len()), tried(self.sums.len()));
        let (tallies, sums) = (try_split_off(&mut self.tallies, tallies)?, try_split_off(&mut self.sums, sums)?);
        self.renew_order();
        Ok(Moved { addresses, tallies, sums })
    }

    /// Whether `moved` can be appended: the targets keep their numbers, and it has not begun to try
    /// those again that were refused for long, before which all others are to be settled.
    pub fn can_append(&self, moved: &Moved) -> bool {
        self.round.is_none() && self.addresses.can_append(&moved.addresses)
    }

    /// Appends targets that another sweep had; see [`Sweep::can_append`]. While it runs, only such
    /// as have not been tried.
    pub fn append(&mut self, mut moved: Moved) -> Result<(), OutOfMemory> {
        let (before, after) = (self.addresses.len(), self.addresses.len() + moved.len());
        try_reserve_for(&mut self.tallies, after)?;
        self.nodes.reserve_for(after)?;
        if self.responses > 1 {
            try_reserve_for(&mut self.sums, after)?;
        }
        self.addresses.append(moved.addresses)?;
        if !moved.tallies.is_empty() {
            self.tallies.resize(before, Tally::default());
            try_append(&mut self.tallies, &mut moved.tallies)?;
        }
        if !moved.sums.is_empty() {
            self.sums.resize(before, 0);
            try_append(&mut self.sums, &mut moved.sums)?;
        }
        self.renew_order();
        Ok(())
    }

    fn renew_order(&mut self) {
        self.order.set_counts(self.addresses.count(Family::V4), self.addresses.count(Family::V6));
    }
}
