//! The queues that a target can be in: in flight, in the order of timeouts, and due, in the order
//! in which the next probe fell due. All are first in, first out: probes with equal timeouts time
//! out in the order in which they were sent, so there is no heap and no timer wheel.
//!
//! A target is in one queue at most, so all are threaded through one table of nodes, allocated
//! before the first: appending and removing write a few words.

use crate::address::TargetId;
use crate::alloc::{OutOfMemory, try_reserve, try_with_capacity};

/// No target.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    prev: u32,
    next: u32,
}

/// One of the queues; what is between its ends is in [`Nodes`].
#[derive(Clone, Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    /// The empty queue.
    pub(super) const EMPTY: Queue = Queue { first: NONE, last: NONE };

    /// The oldest entry.
    pub(super) fn first(&self) -> Option<TargetId> {
        (self.first != NONE).then_some(TargetId(self.first))
    }
}

/// The table of nodes: one for each target.
#[derive(Debug)]
pub(super) struct Nodes(Vec<Node>);

impl Nodes {
    /// How many bytes a target takes.
    pub(super) const BYTES_PER_TARGET: usize = size_of::<Node>();

    /// A table with room for this many targets.
    pub(super) fn new(targets: usize) -> Result<Self, OutOfMemory> {
        try_with_capacity(targets).map(Nodes)
    }

    /// Makes room for `more` targets than it has in its queues so far.
    pub(super) fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        try_reserve(&mut self.0, more)
    }

    /// For how many targets there is room in all.
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Appends `target`, which is in no queue.
    pub(super) fn push_back(&mut self, queue: &mut Queue, target: TargetId) {
        if self.0.len() <= target.index() {
            self.0.resize(target.index() + 1, Node { prev: NONE, next: NONE });
        }
        self.0[target.index()] = Node { prev: queue.last, next: NONE };
        match queue.last {
            NONE => queue.first = target.0,
            last => self.0[last as usize].next = target.0,
        }
        queue.last = target.0;
    }

    /// Removes `target` from `queue`, which it is in.
    pub(super) fn remove(&mut self, queue: &mut Queue, target: TargetId) {
        let Node { prev, next } = self.0[target.index()];
        match prev {
            NONE => queue.first = next,
            prev => self.0[prev as usize].next = next,
        }
        match next {
            NONE => queue.last = prev,
            next => self.0[next as usize].prev = prev,
        }
    }

    /// The entry behind `target` in its queue.
    pub(super) fn next(&self, target: TargetId) -> Option<TargetId> {
        match self.0[target.index()].next {
            NONE => None,
            next => Some(TargetId(next)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TargetId = TargetId(0);
    const B: TargetId = TargetId(1);
    const C: TargetId = TargetId(2);

    /// The entries of `queue`, walked from its front; and backwards, which must agree.
    fn entries(nodes: &Nodes, queue: &Queue) -> Vec<TargetId> {
        let walk: Vec<TargetId> = std::iter::successors(queue.first(), |&target| nodes.next(target)).collect();
        let last = (queue.last != NONE).then_some(TargetId(queue.last));
        let back = std::iter::successors(last, |&target| match nodes.0[target.index()].prev {
            NONE => None,
            prev => Some(TargetId(prev)),
        });
        let mut back: Vec<TargetId> = back.collect();
        back.reverse();
        assert_eq!(walk, back);
        walk
    }

    fn three() -> (Nodes, Queue) {
        let (mut nodes, mut queue) = (Nodes::new(3).expect("memory for three"), Queue::EMPTY);
        for target in [A, B, C] {
            nodes.push_back(&mut queue, target);
        }
        (nodes, queue)
    }

    #[test]
    fn an_empty_queue_has_no_entries() {
        let nodes = Nodes::new(3).expect("memory for three");
        assert_eq!(entries(&nodes, &Queue::EMPTY), []);
    }

    #[test]
    fn first_in_is_first() {
        let (mut nodes, mut queue) = three();
        for rest in [&[A, B, C][..], &[B, C], &[C]] {
            assert_eq!(entries(&nodes, &queue), rest);
            nodes.remove(&mut queue, rest[0]);
        }
        assert_eq!(entries(&nodes, &queue), []);
    }

    #[test]
    fn any_entry_can_be_removed_and_appended_again() {
        for (target, rest) in [(A, [B, C]), (B, [A, C]), (C, [A, B])] {
            let (mut nodes, mut queue) = three();
            nodes.remove(&mut queue, target);
            assert_eq!(entries(&nodes, &queue), rest);
            nodes.push_back(&mut queue, target);
            assert_eq!(entries(&nodes, &queue), [rest[0], rest[1], target]);
        }
    }

    #[test]
    fn two_queues_share_the_table_and_do_not_affect_each_other() {
        let (mut nodes, mut one) = three();
        let mut other = Queue::EMPTY;
        for target in [B, A, C] {
            nodes.remove(&mut one, target);
            nodes.push_back(&mut other, target);
        }
        assert_eq!((entries(&nodes, &one), entries(&nodes, &other)), (vec![], vec![B, A, C]));
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn long_random_traffic_is_as_in_two_plain_lists() {
        const TARGETS: u32 = 40;
        let mut nodes = Nodes::new(TARGETS as usize).expect("memory for a few");
        let mut queues = [Queue::EMPTY, Queue::EMPTY];
        let mut lists = [Vec::new(), Vec::new()];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let target = TargetId(rng.u32(..TARGETS));
            match lists.iter().position(|list| list.contains(&target)) {
                Some(place) => {
                    nodes.remove(&mut queues[place], target);
                    lists[place].retain(|&other| other != target);
                }
                None => {
                    let place = rng.usize(..2);
                    nodes.push_back(&mut queues[place], target);
                    lists[place].push(target);
                }
            }
            for (queue, list) in queues.iter().zip(&lists) {
                assert_eq!(entries(&nodes, queue), *list);
            }
        }
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        assert!(matches!(Nodes::new(usize::MAX), Err(OutOfMemory { items: usize::MAX })));
    }
}
