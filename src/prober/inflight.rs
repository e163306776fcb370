//! The two queues that a target can stand in: in flight, in the order of deadlines, and due, in the order in which the
//! next probe fell due. Both are first in, first out: one constant timeout makes the order of sending the order of
//! deadlines, so there is no heap and no timer wheel.
//!
//! A target stands in one of the two at most, so both are threaded through one table of links, made once: entering,
//! leaving from the middle and changing queues cost a few words each, and nothing is allocated while probing.

use crate::error::Error;
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
pub struct Queue {
    first: u32,
    last: u32,
}

impl Queue {
    /// Nobody stands in it.
    pub const EMPTY: Queue = Queue { first: NONE, last: NONE };

    /// Who has stood in it longest.
    pub fn first(&self) -> Option<TargetId> {
        (self.first != NONE).then_some(TargetId(self.first))
    }
}

/// The table of links: one for each target.
#[derive(Debug)]
pub struct Links(Vec<Link>);

impl Links {
    /// Links for as many targets.
    pub fn new(targets: usize) -> Result<Self, Error> {
        let mut links = Vec::new();
        links.try_reserve_exact(targets).map_err(|_| Error::Memory(targets))?;
        links.resize(targets, Link { before: NONE, after: NONE });
        Ok(Links(links))
    }

    /// `target`, who stands in no queue, enters `queue` at its end.
    pub fn enter(&mut self, queue: &mut Queue, target: TargetId) {
        self.0[target.index()] = Link { before: queue.last, after: NONE };
        match queue.last {
            NONE => queue.first = target.0,
            last => self.0[last as usize].after = target.0,
        }
        queue.last = target.0;
    }

    /// `target`, who stands in `queue`, leaves it.
    pub fn leave(&mut self, queue: &mut Queue, target: TargetId) {
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
    pub fn after(&self, target: TargetId) -> Option<TargetId> {
        match self.0[target.index()].after {
            NONE => None,
            after => Some(TargetId(after)),
        }
    }
}
