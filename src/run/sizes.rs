//! Runs with probes of many sizes: what is found of each target, from the events of the run.

use multiping::address::TargetId;
use multiping::alloc::{OutOfMemory, try_filled};
use multiping::prober::{Event, ReplyKind, SizeRange};
use multiping::wire::HEADER;

use crate::report::sizes::Found;

/// What is found by probes of many sizes.
pub(super) struct Sweep {
    range: SizeRange,
    found: Vec<Found>,
}

impl Sweep {
    /// A sweep over these sizes, of so many targets.
    pub(super) fn new(range: SizeRange, targets: usize) -> Result<Self, OutOfMemory> {
        Ok(Sweep { range, found: try_filled(targets, Found::default())? })
    }

    /// Records an event of the run.
    pub(super) fn record(&mut self, event: &Event) {
        match *event {
            Event::Received {
                reply: Some(reply),
                kind: ReplyKind::Reply { target, attempt, .. } | ReplyKind::Late { target, attempt, .. },
                ..
            } => {
                // A reply that was cut short says nothing of the way back.
                let size = self.range.size(attempt);
                if reply.message_len() >= HEADER + usize::from(size) {
                    self.with(target, |found| found.answered(size));
                }
            }
            Event::IcmpError { from, error, about: Some((target, _)), .. } => {
                if let Some(mtu) = error.mtu() {
                    self.with(target, |found| found.named(mtu, from));
                }
            }
            _ => {}
        }
    }

    fn with(&mut self, target: TargetId, change: impl FnOnce(&mut Found)) {
        self.found.get_mut(target.index()).map(change);
    }

    /// What was found so far.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }
}
