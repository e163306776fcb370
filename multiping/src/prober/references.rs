//! References: hosts that are known to answer, probed beside the targets. While none of them does,
//! the silence of a target proves nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::address::{Address, TargetId};
use crate::prober::strategy::Attempt;

/// The ids of references are above those of targets.
const FIRST_ID: u32 = u32::MAX - MAX_REFERENCES as u32;

/// The most references.
pub const MAX_REFERENCES: usize = 64;

/// How often a reference is probed.
const MAX_PERIOD: Duration = Duration::from_secs(1);
const MIN_PERIOD: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Reference {
    address: Address,
    next_due: Instant,
    next_attempt: u32,
    /// The probes that may still be answered: attempt and send time.
    in_flight: VecDeque<(u32, Instant)>,
    /// When the last probe was sent that was answered.
    answered: Option<Instant>,
}

/// Hosts that are known to answer.
#[derive(Debug, Default)]
pub(super) struct References {
    list: Vec<Reference>,
    period: Duration,
    timeout: Duration,
}

impl References {
    /// References that are probed from `now` on. Within each `timeout` of a target, each is probed
    /// at least once.
    pub(super) fn new(addresses: impl IntoIterator<Item = Address>, timeout: Duration, now: Instant) -> Self {
        let reference =
            |address| Reference { address, next_due: now, next_attempt: 0, in_flight: VecDeque::new(), answered: None };
        References {
            list: addresses.into_iter().take(MAX_REFERENCES).map(reference).collect(),
            period: (timeout / 2).clamp(MIN_PERIOD, MAX_PERIOD),
            timeout,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn index(target: TargetId) -> Option<usize> {
        target.0.checked_sub(FIRST_ID).map(|index| index as usize)
    }

    /// Whether `target` is the id of a reference.
    pub(super) fn is_reference(target: TargetId) -> bool {
        target.0 >= FIRST_ID
    }

    pub(super) fn address(&self, target: TargetId) -> Option<Address> {
        Some(self.list.get(Self::index(target)?)?.address)
    }

    /// The probes that are due at `now`.
    pub(super) fn ready(&self, now: Instant) -> impl Iterator<Item = (TargetId, u32)> {
        let numbered = self.list.iter().zip(FIRST_ID..).filter(move |(reference, _)| reference.next_due <= now);
        numbered.map(|(reference, number)| (TargetId(number), reference.next_attempt))
    }

    /// When the next probe is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.list.iter().map(|reference| reference.next_due).min()
    }

    /// The next probe to a reference was sent, or refused.
    pub(super) fn mark_tried(&mut self, target: TargetId, sent: bool, at: Instant) {
        let (period, timeout) = (self.period, self.timeout);
        let Some(reference) = Self::index(target).and_then(|index| self.list.get_mut(index)) else { return };
        reference.next_due = at + period;
        if sent {
            reference.in_flight.push_back((reference.next_attempt, at));
            reference.next_attempt = reference.next_attempt.wrapping_add(1);
        }
        while reference.in_flight.front().is_some_and(|&(_, sent)| sent + timeout < at) {
            reference.in_flight.pop_front();
        }
    }

    /// The state of a probe to a reference.
    pub(super) fn attempt(&self, target: TargetId, attempt: u32) -> Attempt {
        let reference = Self::index(target).and_then(|index| self.list.get(index));
        let in_flight = reference.and_then(|reference| {
            reference.in_flight.iter().find(|&&(other, _)| other == attempt).map(|&(_, sent)| sent)
        });
        in_flight.map_or(Attempt::Over, |sent| Attempt::InFlight { sent, timeout: self.timeout })
    }

    /// A probe to a reference was answered.
    pub(super) fn record_reply(&mut self, target: TargetId, attempt: u32) {
        let Some(reference) = Self::index(target).and_then(|index| self.list.get_mut(index)) else { return };
        if let Some(place) = reference.in_flight.iter().position(|&(other, _)| other == attempt) {
            let sent = reference.in_flight.remove(place).map(|(_, sent)| sent);
            reference.answered = reference.answered.max(sent);
        }
    }

    /// Whether some reference answered a probe that was sent at `sent` or later.
    pub(super) fn answered_since(&self, sent: Instant) -> bool {
        self.list.iter().any(|reference| reference.answered.is_some_and(|answered| answered >= sent))
    }

    /// Whether there are references and none of them has ever answered.
    pub(super) fn never_answered(&self) -> bool {
        !self.is_empty() && self.list.iter().all(|reference| reference.answered.is_none())
    }
}
