//! The probes that were sent: those in flight, and those whose replies are late or duplicates.
//!
//! They are in a map by slot and attempt. Its keys come from tokens whose seal was checked, so
//! nobody can choose them, and the hash needs no secret.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use crate::alloc::{OutOfMemory, try_grow, try_grow_queue};
use crate::prober::roster::lazy_heap::{Entry, LazyHeap};
use crate::prober::roster::slot::NEVER;
use crate::prober::strategy::Timeout;

/// What became of a probe that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    InFlight,
    /// Answered, in time or late.
    Answered,
    TimedOut(Timeout),
}

/// A probe that was sent. Times are in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    pub(super) sent: u64,
    /// [`NEVER`]: none so far.
    pub(super) timeout: u64,
    pub(super) state: State,
}

impl Flight {
    fn timeout_at(&self) -> u64 {
        self.sent.saturating_add(self.timeout)
    }
}

/// How many queues there are: 2^18 ms is more than half of the longest timeout and late time.
const CLASSES: usize = 19;

/// All probes that are known.
#[derive(Default)]
pub(super) struct Flights {
    map: HashMap<u64, Flight, BuildHasherDefault<KeyHasher>>,
    /// When those in flight time out; an entry's number is the attempt.
    timeouts: LazyHeap,
    /// How long after its timeout a probe is known; `None`: as long again as the timeout.
    late: Option<u64>,
    /// All in the order in which they were sent, so that they are forgotten in that order; those
    /// that are known for more than twice as long are in another queue. What was removed is still
    /// there.
    ends: [VecDeque<(u32, u32)>; CLASSES],
    /// How many are in none of these queues, because they have no timeout yet.
    endless: usize,
}

impl Flights {
    /// Has probes be known for this long after their timeout, instead of for as long again.
    pub(super) fn set_late(&mut self, late: Duration) {
        self.late = Some(late.as_nanos() as u64);
    }

    /// Makes room for `probes` more.
    pub(super) fn reserve(&mut self, probes: usize) -> Result<(), OutOfMemory> {
        self.timeouts.reserve(self.timeouts.live() + probes)?;
        for queue in &mut self.ends {
            try_grow_queue(queue, queue.len() + probes + self.endless)?;
        }
        if self.map.len() + probes <= self.map.capacity() {
            return Ok(());
        }
        let bytes = |map: &HashMap<_, _, _>| map.capacity() * size_of::<(u64, Flight)>();
        try_grow(self.map.len(), || self.map.try_reserve(probes).map(|()| bytes(&self.map)))
    }

    /// Adds a probe in flight, for which there is room.
    pub(super) fn insert(&mut self, slot: u32, attempt: u32, sent: u64, timeout: u64) {
        let flight = Flight { sent, timeout, state: State::InFlight };
        self.map.insert(key(slot, attempt), flight);
        self.timeouts.push(Entry { at: flight.timeout_at(), number: attempt, slot });
        match timeout {
            NEVER => self.endless += 1,
            _ => self.push_end(slot, attempt, timeout),
        }
    }

    /// Gives a probe in flight that has no timeout this one. Returns whether there was such a one.
    pub(super) fn set_timeout(&mut self, slot: u32, attempt: u32, timeout: u64) -> bool {
        let flight = self.map.get_mut(&key(slot, attempt));
        let Some(flight) = flight.filter(|flight| flight.timeout == NEVER) else { return false };
        flight.timeout = timeout;
        let at = flight.timeout_at();
        self.endless -= 1;
        self.push_end(slot, attempt, timeout);
        self.timeouts.mark_stale(|entry| in_flight(&self.map, entry));
        self.timeouts.push(Entry { at, number: attempt, slot });
        true
    }

    fn push_end(&mut self, slot: u32, attempt: u32, timeout: u64) {
        let class = (self.known_for(timeout) / 1_000_000).checked_ilog2().unwrap_or(0);
        self.ends[(class as usize).min(CLASSES - 1)].push_back((slot, attempt));
    }

    /// A probe, as long as it is known.
    pub(super) fn get(&self, slot: u32, attempt: u32) -> Option<&Flight> {
        self.map.get(&key(slot, attempt))
    }

    /// Changes the state of a probe that is not in flight, or no longer. One that had no timeout
    /// is known for as long again as its reply took.
    pub(super) fn set(&mut self, slot: u32, attempt: u32, state: State, at: u64) {
        if let Some(flight) = self.get(slot, attempt).filter(|flight| flight.timeout == NEVER) {
            self.set_timeout(slot, attempt, at.saturating_sub(flight.sent).min(NEVER - 1));
        }
        if let Some(flight) = self.map.get_mut(&key(slot, attempt)) {
            let was_in_flight = flight.state == State::InFlight;
            flight.state = state;
            if was_in_flight {
                self.timeouts.mark_stale(|entry| in_flight(&self.map, entry));
            }
        }
    }

    /// Removes a probe, if it is known.
    pub(super) fn remove(&mut self, slot: u32, attempt: u32) {
        let Some(removed) = self.map.remove(&key(slot, attempt)) else { return };
        self.endless -= usize::from(removed.timeout == NEVER);
        if removed.state == State::InFlight {
            self.timeouts.mark_stale(|entry| in_flight(&self.map, entry));
        }
    }

    /// Up to when replies to a probe are known.
    pub(super) fn known_until(&self, flight: &Flight) -> u64 {
        flight.sent.saturating_add(self.known_for(flight.timeout))
    }

    fn known_for(&self, timeout: u64) -> u64 {
        timeout.saturating_add(self.late.unwrap_or(timeout))
    }

    /// Forgets the probes to which all replies that are known have been handed over by `now`, soon:
    /// at the latest after twice the time. None of them may be in flight.
    pub(super) fn forget(&mut self, now: u64) {
        for class in 0..CLASSES {
            while let Some(&(slot, attempt)) = self.ends[class].front() {
                if self.get(slot, attempt).is_some_and(|flight| self.known_until(flight) > now) {
                    break;
                }
                self.ends[class].pop_front();
                self.map.remove(&key(slot, attempt));
            }
        }
    }

    /// Whether any probe in flight has no timeout.
    pub(super) fn has_endless(&self) -> bool {
        self.endless > 0
    }

    /// When the next probe in flight times out.
    pub(super) fn next_timeout(&self) -> Option<u64> {
        self.timeouts.first().map(|entry| entry.at).filter(|&at| at != NEVER)
    }

    /// Ends the flight of the next probe that has timed out by `now`: its slot, its attempt, and
    /// when it was sent.
    pub(super) fn expire(&mut self, now: u64) -> Option<(u32, u32, u64)> {
        let Entry { slot, number: attempt, .. } = self.timeouts.pop(now, |entry| in_flight(&self.map, entry))?;
        let flight = self.map.get_mut(&key(slot, attempt))?;
        flight.state = State::TimedOut(Timeout::Counted);
        Some((slot, attempt, flight.sent))
    }

    /// How many probes are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.timeouts.live()
    }

    /// How many probes are known.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }
}

fn in_flight(map: &HashMap<u64, Flight, BuildHasherDefault<KeyHasher>>, entry: Entry) -> bool {
    map.get(&key(entry.slot, entry.number))
        .is_some_and(|flight| flight.state == State::InFlight && flight.timeout_at() == entry.at)
}

fn key(slot: u32, attempt: u32) -> u64 {
    u64::from(slot) << 32 | u64::from(attempt)
}

/// Multiplies by the golden ratio and folds the product, so that slot and attempt change both the
/// low bits of the hash, which give the place in the map, and the high ones, which tell entries
/// apart.
#[derive(Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u64(&mut self, key: u64) {
        let product = (self.0 ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = product ^ (product >> 32);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: u32 = 1024;

    /// How many different values there are among the low bits of the hashes, and among the high
    /// ones.
    fn different(keys: impl Iterator<Item = u64>) -> (usize, usize) {
        let (mut places, mut tags) = ([false; KEYS as usize], [false; 128]);
        for key in keys {
            let mut hasher = KeyHasher::default();
            hasher.write_u64(key);
            places[hasher.finish() as usize % KEYS as usize] = true;
            tags[(hasher.finish() >> 57) as usize] = true;
        }
        let count = |seen: &[bool]| seen.iter().filter(|seen| **seen).count();
        (count(&places), count(&tags))
    }

    #[test]
    fn hashes_of_neighbouring_slots_and_attempts_are_spread() {
        for first in [0, u32::MAX - 300] {
            let slots = different((0..KEYS).map(|slot| key(slot, first)));
            let attempts = different((0..KEYS).map(|nth| key(nth / 16, first + nth % 16)));
            for (places, tags) in [slots, attempts] {
                // 1,024 balls are in 647 of as many boxes by chance.
                assert!(places > 560 && tags > 120, "{places} places and {tags} tags");
            }
        }
    }
}
