//! A heap of times from which entries are deleted lazily.
//!
//! An entry that no longer holds stays where it is until it comes up, or until more than half of
//! all entries are stale and all of these are removed at once. Whether an entry is live is known
//! elsewhere, so most methods are told by a closure. The first entry is always live.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::alloc::{OutOfMemory, try_grow};

/// Something to do at a time. The order is that of the times, then that of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    /// When.
    pub(super) at: u64,
    /// What tells the entry from others of the slot.
    pub(super) number: u32,
    /// For which slot.
    pub(super) slot: u32,
}

/// Entries of which the earliest comes first.
#[derive(Debug, Default)]
pub(super) struct LazyHeap {
    heap: BinaryHeap<Reverse<Entry>>,
    /// How many entries are live.
    live: usize,
}

impl LazyHeap {
    /// Makes room for `live` live entries and as many stale ones.
    pub(super) fn reserve(&mut self, live: usize) -> Result<(), OutOfMemory> {
        if 2 * live <= self.heap.capacity() {
            return Ok(());
        }
        let entries = self.heap.len();
        let bytes = |heap: &BinaryHeap<_>| heap.capacity() * size_of::<Reverse<Entry>>();
        try_grow(entries, || self.heap.try_reserve(2 * live - entries).map(|()| bytes(&self.heap)))
    }

    /// How many entries are live.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The earliest live entry.
    pub(super) fn first(&self) -> Option<Entry> {
        self.heap.peek().map(|&Reverse(entry)| entry)
    }

    /// Adds an entry, for which there is room.
    pub(super) fn push(&mut self, entry: Entry) {
        self.live += 1;
        self.heap.push(Reverse(entry));
    }

    /// Removes and returns the earliest live entry if its time has come by `now`. From then on it
    /// may not be called live.
    pub(super) fn pop(&mut self, now: u64, is_live: impl Fn(Entry) -> bool) -> Option<Entry> {
        let first = self.first().filter(|entry| entry.at <= now)?;
        self.heap.pop();
        self.live -= 1;
        self.clean(|entry| entry != first && is_live(entry));
        Some(first)
    }

    /// A live entry has become stale.
    pub(super) fn mark_stale(&mut self, is_live: impl Fn(Entry) -> bool) {
        self.live -= 1;
        self.clean(is_live);
    }

    fn clean(&mut self, is_live: impl Fn(Entry) -> bool) {
        if self.heap.len() > 2 * self.live {
            self.heap.retain(|&Reverse(entry)| is_live(entry));
        }
        while self.first().is_some_and(|entry| !is_live(entry)) {
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn long_random_traffic_is_as_in_a_sorted_set_and_within_twice_its_room() {
        let mut heap = LazyHeap::default();
        let mut live: BTreeSet<Entry> = BTreeSet::new();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut random = |end: u64| rng.u64(..end);
        for number in 0..20_000 {
            match random(5) {
                0 | 1 => {
                    let entry = Entry { at: random(1000), slot: random(50) as u32, number };
                    heap.reserve(live.len() + 1).expect("there is memory");
                    let capacity = heap.heap.capacity();
                    heap.push(entry);
                    live.insert(entry);
                    assert_eq!(heap.heap.capacity(), capacity, "what was reserved is enough");
                }
                2 => {
                    let now = random(1000);
                    let due = live.first().copied().filter(|entry| entry.at <= now);
                    assert_eq!(heap.pop(now, |entry| live.contains(&entry)), due);
                    due.map(|entry| live.remove(&entry));
                }
                _ => {
                    let place = random(live.len() as u64 + 1) as usize;
                    if let Some(&entry) = live.iter().nth(place) {
                        live.remove(&entry);
                        heap.mark_stale(|entry| live.contains(&entry));
                    }
                }
            }
            assert_eq!((heap.first(), heap.live()), (live.first().copied(), live.len()));
            assert!(heap.heap.len() <= 2 * live.len() + 1, "{} entries for {}", heap.heap.len(), live.len());
        }
    }
}
