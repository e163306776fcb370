//! The two queues that a target can stand in: in flight, in the order of deadlines, and due, in the order in which the
//! next probe fell due. Both are first in, first out: one constant timeout makes the order of sending the order of
//! deadlines, so there is no heap and no timer wheel.
//!
//! A target stands in one of the two at most, so both are threaded through one table of links, made once: entering,
//! leaving from the middle and changing queues cost a few words each, and nothing is allocated while probing.

use crate::error::Error;
use crate::room::filled;
use crate::targets::TargetId;

/// No target.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    before: u32,
    after: u32,
}

/// One of the queues; what lies between its ends is in [`Links`].
#[derive(Debug)]
pub(super) struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    /// Nobody stands in it.
    pub(super) const EMPTY: Queue = Queue { first: NONE, last: NONE };

    /// Who has stood in it longest.
    pub(super) fn first(&self) -> Option<TargetId> {
        (self.first != NONE).then_some(TargetId(self.first))
    }
}

/// The table of links: one for each target.
#[derive(Debug)]
pub(super) struct Links(Vec<Link>);

impl Links {
    /// Links for as many targets.
    pub(super) fn new(targets: usize) -> Result<Self, Error> {
        filled(targets, Link { before: NONE, after: NONE }).map(Links)
    }

    /// `target`, who stands in no queue, enters `queue` at its end.
    pub(super) fn enter(&mut self, queue: &mut Queue, target: TargetId) {
        self.0[target.index()] = Link { before: queue.last, after: NONE };
        match queue.last {
            NONE => queue.first = target.0,
            last => self.0[last as usize].after = target.0,
        }
        queue.last = target.0;
    }

    /// `target`, who stands in `queue`, leaves it.
    pub(super) fn leave(&mut self, queue: &mut Queue, target: TargetId) {
        let Link { before, after } = self.0[target.index()];
        match before {
            NONE => queue.first = after,
            before => self.0[before as usize].after = after,
        }
        match after {
            NONE => queue.last = before,
            after => self.0[after as usize].before = before,
        }
    }

    /// Who stands behind `target` in its queue.
    pub(super) fn after(&self, target: TargetId) -> Option<TargetId> {
        match self.0[target.index()].after {
            NONE => None,
            after => Some(TargetId(after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TargetId = TargetId(0);
    const B: TargetId = TargetId(1);
    const C: TargetId = TargetId(2);

    /// Who stands in `queue`, walked from its front; and backwards along the links, which must agree.
    fn standing(links: &Links, queue: &Queue) -> Vec<TargetId> {
        let walk: Vec<TargetId> = std::iter::successors(queue.first(), |&target| links.after(target)).collect();
        let last = (queue.last != NONE).then_some(TargetId(queue.last));
        let back = std::iter::successors(last, |&target| match links.0[target.index()].before {
            NONE => None,
            before => Some(TargetId(before)),
        });
        let mut back: Vec<TargetId> = back.collect();
        back.reverse();
        assert_eq!(walk, back);
        walk
    }

    fn three() -> (Links, Queue) {
        let (mut links, mut queue) = (Links::new(3).expect("memory for three"), Queue::EMPTY);
        for target in [A, B, C] {
            links.enter(&mut queue, target);
        }
        (links, queue)
    }

    #[test]
    fn nobody_stands_in_an_empty_queue() {
        let links = Links::new(3).expect("memory for three");
        assert_eq!(standing(&links, &Queue::EMPTY), []);
    }

    #[test]
    fn first_in_is_first() {
        let (mut links, mut queue) = three();
        for rest in [&[A, B, C][..], &[B, C], &[C]] {
            assert_eq!(standing(&links, &queue), rest);
            links.leave(&mut queue, rest[0]);
        }
        assert_eq!(standing(&links, &queue), []);
    }

    #[test]
    fn anybody_can_leave_and_enter_again_at_the_end() {
        for (who, rest) in [(A, [B, C]), (B, [A, C]), (C, [A, B])] {
            let (mut links, mut queue) = three();
            links.leave(&mut queue, who);
            assert_eq!(standing(&links, &queue), rest);
            links.enter(&mut queue, who);
            assert_eq!(standing(&links, &queue), [rest[0], rest[1], who]);
        }
    }

    #[test]
    fn two_queues_share_the_table_and_do_not_touch_each_other() {
        let (mut links, mut one) = three();
        let mut other = Queue::EMPTY;
        for who in [B, A, C] {
            links.leave(&mut one, who);
            links.enter(&mut other, who);
        }
        assert_eq!((standing(&links, &one), standing(&links, &other)), (vec![], vec![B, A, C]));
    }

    #[test]
    fn long_random_traffic_is_as_two_plain_lists_have_it() {
        const TARGETS: u32 = 40;
        let mut links = Links::new(TARGETS as usize).expect("memory for a few");
        let mut queues = [Queue::EMPTY, Queue::EMPTY];
        let mut lists = [Vec::new(), Vec::new()];
        let mut rng = 1_u64;
        for _ in 0..20_000 {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let target = TargetId((rng >> 33) as u32 % TARGETS);
            match lists.iter().position(|list| list.contains(&target)) {
                Some(place) => {
                    links.leave(&mut queues[place], target);
                    lists[place].retain(|&other| other != target);
                }
                None => {
                    let place = (rng >> 63) as usize;
                    links.enter(&mut queues[place], target);
                    lists[place].push(target);
                }
            }
            for (queue, list) in queues.iter().zip(&lists) {
                assert_eq!(standing(&links, queue), *list);
            }
        }
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_error() {
        assert!(matches!(Links::new(usize::MAX), Err(Error::Memory(usize::MAX))));
    }
}
