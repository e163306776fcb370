//! Targets that move to another sweep of the same run, which has none left to try.
//!
//! Nothing is allocated for it while the sweeps run, so that it cannot fail: a sweep takes as many
//! as it has room for.

use crate::address::Addresses;
use crate::alloc::{OutOfMemory, try_reserve};
use crate::prober::sweep::Sweep;
use crate::tally::Tally;

impl Sweep {
    /// Makes room for `more` targets, with IPv6 ones among them or without. It costs no memory
    /// before they are appended and tried.
    pub fn reserve(&mut self, more: usize, with_v6: bool) -> Result<(), OutOfMemory> {
        self.addresses.reserve(more, with_v6)?;
        let more_tallies = self.addresses.len() + more - self.tallies.len();
        try_reserve(&mut self.tallies, more_tallies)?;
        self.nodes.reserve(more_tallies)?;
        if self.responses > 1 {
            try_reserve(&mut self.sums, more_tallies)?;
        }
        Ok(())
    }

    /// How many targets can be appended: none, if targets are tried in a random order, or if some
    /// are set aside, as those are to be tried again when all others are settled.
    pub fn room(&self) -> usize {
        let ends = self.set_aside_count > 0 || self.round.is_some();
        if ends || !self.order.is_plain() { 0 } else { self.spare_capacity() }
    }

    fn spare_capacity(&self) -> usize {
        let sums = if self.responses > 1 { self.sums.capacity() } else { usize::MAX };
        let tallies = self.tallies.capacity().min(self.nodes.capacity()).min(sums);
        tallies.saturating_sub(self.addresses.len()).min(self.addresses.room())
    }

    /// How many targets at its end can be removed: those that have not been tried. None, if targets
    /// are tried in a random order: those that have not been tried are everywhere then.
    pub fn removable(&self) -> usize {
        if self.order.is_plain() { self.untried() } else { 0 }
    }

    /// Moves the last `count` targets to `parcel`, [`Sweep::removable`] at most.
    pub fn remove_last(&mut self, count: usize, parcel: &mut Addresses) {
        debug_assert!(count <= self.removable());
        self.addresses.move_last(count, parcel);
        self.order.set_count(self.addresses.len());
    }

    /// Appends the targets in `parcel`: at most as many as [`Sweep::room`] said before the last
    /// turn, which may have set some aside.
    pub fn append(&mut self, parcel: &mut Addresses) {
        debug_assert!(parcel.len() <= self.spare_capacity());
        if parcel.is_empty() {
            return; // any order stays what it is
        }
        parcel.move_last(parcel.len(), &mut self.addresses);
        self.order.set_count(self.addresses.len());
    }

    /// Moves the last `count` targets back to the end of `other`, where they were removed, with
    /// what is known of them. Both runs have ended; what was counted stays counted here.
    pub fn return_last(&mut self, count: usize, other: &mut Sweep) {
        let (from, to) = (self.addresses.len() - count, other.addresses.len());
        move_tail(&mut self.tallies, from, &mut other.tallies, to, Tally::default());
        move_tail(&mut self.sums, from, &mut other.sums, to, 0);
        self.addresses.move_last(count, &mut other.addresses);
    }
}

/// Moves the items of `list` from an index on to an index of `other`, which has fewer so far. What
/// is between is `filler`.
fn move_tail<T: Clone>(list: &mut Vec<T>, from: usize, other: &mut Vec<T>, to: usize, filler: T) {
    if list.len() > from {
        other.resize(to, filler);
        other.extend(list.drain(from..));
    }
}
