//! Times in their order, from which entries are deleted lazily.
//!
//! An entry that no longer holds stays where it is until it comes up, or until more than half of
//! all entries are stale and all of these are removed at once. Whether an entry is live is known
//! elsewhere, so most methods are told by a closure. The first entry is always live.
//!
//! Where all periods or timeouts are the same, most entries are added in their order: a queue takes
//! those, which is written and read from one end to the other, and the heap is left with the others.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::alloc::{OutOfMemory, try_grow, try_grow_queue};

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
    /// Each entry is later than the one before it.
    queue: VecDeque<Entry>,
    /// The entries that would not be, and those that come while the queue is full.
    heap: BinaryHeap<Reverse<Entry>>,
    /// How many entries are live.
    live: usize,
}

impl LazyHeap {
    /// Makes room for `live` live entries and as many stale ones. All may have to be in the heap: an
    /// entry far in the future, at the end of the queue, sends those that follow there.
    pub(super) fn reserve(&mut self, live: usize) -> Result<(), OutOfMemory> {
        let heap = &mut self.heap;
        if heap.capacity() < 2 * live {
            let (entries, bytes) = (heap.len(), size_of::<Reverse<Entry>>());
            try_grow(entries, || heap.try_reserve(2 * live - entries).map(|()| heap.capacity() * bytes))?;
        }
        try_grow_queue(&mut self.queue, live)
    }

    /// How many entries are live.
    pub(super) fn live(&self) -> usize {
        self.live
    }

    /// The earliest live entry.
    pub(super) fn first(&self) -> Option<Entry> {
        let of_heap = self.heap.peek().map(|&Reverse(entry)| entry);
        self.queue.front().copied().into_iter().chain(of_heap).min()
    }

    /// Adds an entry, for which there is room.
    pub(super) fn push(&mut self, entry: Entry) {
        self.live += 1;
        if self.queue.len() < self.queue.capacity() && self.queue.back().is_none_or(|&last| last < entry) {
            self.queue.push_back(entry);
        } else {
            self.heap.push(Reverse(entry));
        }
    }

    /// Removes and returns the earliest live entry if its time has come by `now`. From then on it
    /// may not be called live.
    pub(super) fn pop(&mut self, now: u64, is_live: impl Fn(Entry) -> bool) -> Option<Entry> {
        let first = self.first().filter(|entry| entry.at <= now)?;
        self.remove(first);
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
        if self.queue.len() + self.heap.len() > 2 * self.live {
            self.queue.retain(|&entry| is_live(entry));
            self.heap.retain(|&Reverse(entry)| is_live(entry));
        }
        while let Some(first) = self.first().filter(|&entry| !is_live(entry)) {
            self.remove(first);
        }
    }

    /// Removes the first entry.
    fn remove(&mut self, first: Entry) {
        if self.queue.front() == Some(&first) {
            self.queue.pop_front();
        } else {
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
    fn long_random_traffic_is_as_in_a_sorted_set_and_within_its_room() {
        let mut heap = LazyHeap::default();
        let mut live: BTreeSet<Entry> = BTreeSet::new();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut random = |end: u64| rng.u64(..end);
        let mut most = 0;
        for step in 0..20_000_u32 {
            // In turn the entries become more and fewer, and come in disorder and in order.
            match random(if step / 2000 % 2 == 0 { 3 } else { 8 }) {
                0 | 1 => {
                    let last = live.last().map_or(0, |last| last.at);
                    let at = if step / 100 % 2 == 0 { random(1000) } else { last + random(2) };
                    // Of equal times, some have lower numbers than those before them, or the same.
                    let entry = Entry { at, number: step.reverse_bits() >> 28, slot: step };
                    heap.reserve(live.len() + 1).expect("there is memory");
                    let capacities = |heap: &LazyHeap| (heap.queue.capacity(), heap.heap.capacity());
                    let before = capacities(&heap);
                    assert!(before.0 > live.len() && before.1 >= 2 * live.len());
                    heap.push(entry);
                    live.insert(entry);
                    assert_eq!(capacities(&heap), before, "what was reserved is enough");
                }
                2..5 => {
                    // A little before or after the first one is due.
                    let now = (live.first().map_or(0, |first| first.at) + random(3)).saturating_sub(1);
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
            let entries = heap.queue.len() + heap.heap.len();
            assert!(entries <= 2 * live.len() + 1, "{entries} entries for {}", live.len());
            most = most.max(live.len());
        }
        assert!(most > 500, "{most} at most");
    }

    #[test]
    fn what_comes_in_order_is_queued_while_the_queue_is_not_full() {
        let mut heap = LazyHeap::default();
        heap.reserve(4).expect("there is memory");
        let mut push = |at, queued| {
            let before = heap.queue.len();
            heap.push(Entry { at, number: 0, slot: 0 });
            assert_eq!(heap.queue.len() > before, queued, "{at}");
            heap.queue.capacity() - heap.queue.len()
        };
        // One far in the future keeps those that follow out, until something is later.
        let free = [(1, true), (9, true), (2, false), (3, false), (10, true)].map(|(at, queued)| push(at, queued));
        for at in 0..free[4] as u64 {
            push(11 + at, true);
        }
        push(100, false);
        let mut order = Vec::new();
        while let Some(entry) = heap.pop(1000, |_| true) {
            order.push(entry.at);
        }
        assert!(order.is_sorted() && order.len() == free[4] + 6, "{order:?}");
    }
}
