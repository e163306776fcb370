//! What the prober asks of a roster and reports to it: attempts from their turn to their end.

use std::time::{Duration, Instant};

use crate::address::{Address, TargetId};
use crate::alloc::OutOfMemory;
use crate::prober::MAX_BATCH;
use crate::prober::roster::flights::{Flight, State};
use crate::prober::roster::slot::{End, NEVER, Place};
use crate::prober::roster::{Roster, is_queued};
use crate::prober::strategy::{Attempt, Blame, Strategy, TimedOut, Timeout};

/// How long nothing is sent after memory for the probes in flight was refused.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

impl Strategy for Roster {
    fn address(&self, target: TargetId) -> Option<Address> {
        self.slots.get(target.index())?.address
    }

    fn generation(&self, target: TargetId) -> u32 {
        self.slots[target.index()].generation
    }

    fn load(&self) -> Option<f64> {
        Some(self.load as f64 / 1e9)
    }

    fn max_delay(&self) -> Duration {
        Duration::from_nanos(self.max_delay)
    }

    fn make_ready(&mut self, now: Instant) {
        let now = self.nanos(now);
        if self.ready.len() < MAX_BATCH && self.due.first().is_some_and(|entry| entry.at <= now) {
            let room = self.flights.reserve(MAX_BATCH);
            self.fill_ready(now, room);
        }
    }

    /// In the order in which they fell due. (What had to wait for a flight to end, and for the pace
    /// after that, may be a few places behind its own.)
    fn ready(&self, _now: Instant) -> impl Iterator<Item = (TargetId, u32)> {
        self.ready.iter().map(|entry| (TargetId(entry.slot), self.slots[entry.slot as usize].next_attempt))
    }

    fn next_due(&self) -> Option<Instant> {
        let due = match self.ready.first() {
            Some(entry) => entry.at,
            None => self.due.first()?.at.max(self.retry_at),
        };
        Some(self.instant(due))
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.flights.next_timeout().map(|at| self.instant(at))
    }

    fn mark_sent(&mut self, target: TargetId, at: Instant) {
        let at = self.nanos(at);
        let Some((attempt, is_last)) = self.take_ready(target, at) else { return };
        let slot = &mut self.slots[target.index()];
        self.flights.insert(target.0, attempt, at, slot.timeout);
        slot.in_flight += 1;
        self.skip_forgotten(target.0);
        self.give_up_oldest(target.0, at);
        if is_last {
            self.retire(target.0);
        }
    }

    /// The probe has taken its turn, and is not in flight.
    fn mark_refused(&mut self, target: TargetId, _errno: i32, _no_buffers: bool, at: Instant) {
        let Some((_, is_last)) = self.take_ready(target, self.nanos(at)) else { return };
        self.skip_forgotten(target.0);
        if is_last {
            self.retire(target.0);
            self.end_if_idle(target.0);
        }
    }

    fn attempt(&self, target: TargetId, attempt: u32) -> Attempt {
        match self.flights.get(target.0, attempt) {
            Some(&Flight { sent, timeout, state: State::InFlight }) => {
                Attempt::InFlight { sent: self.instant(sent), timeout: Duration::from_nanos(timeout) }
            }
            Some(Flight { state: State::TimedOut(_), .. }) => Attempt::Over,
            Some(Flight { state: State::Answered, .. }) => Attempt::Answered,
            None if self.slots[target.index()].was_answered(attempt) => Attempt::Answered,
            None => Attempt::Over,
        }
    }

    fn record_reply(&mut self, target: TargetId, attempt: u32, rtt: Duration) {
        let sent = self.flights.get(target.0, attempt).map_or(0, |flight| flight.sent);
        let at = sent.saturating_add(rtt.as_nanos() as u64);
        self.flights.set(target.0, attempt, State::Answered, at);
        self.forget_answered(target, attempt);
        self.hasten_turn(target.0, at);
        self.slots[target.index()].mark_answered(attempt);
        self.land(target.0);
    }

    /// Known to the time for which replies are late, whenever it is asked.
    fn rtt(&self, target: TargetId, attempt: u32, at: Instant) -> Option<Duration> {
        let flight = self.flights.get(target.0, attempt)?;
        let at = self.nanos(at);
        let known = at <= self.flights.known_until(flight);
        known.then(|| Duration::from_nanos(at.saturating_sub(flight.sent)))
    }

    fn record_late(&mut self, target: TargetId, attempt: u32) -> Option<Timeout> {
        let state = self.flights.get(target.0, attempt)?.state;
        self.flights.set(target.0, attempt, State::Answered, self.handed_over);
        self.forget_answered(target, attempt);
        self.slots[target.index()].mark_answered(attempt);
        match state {
            State::InFlight => {
                self.land(target.0);
                None
            }
            State::TimedOut(timeout) => Some(timeout),
            State::Answered => None,
        }
    }

    fn expire(
        &mut self,
        now: Instant,
        mut blame: impl FnMut(Address, Instant) -> Blame,
        mut on_timeout: impl FnMut(TimedOut),
    ) {
        let now = self.nanos(now);
        self.handed_over = self.handed_over.max(now);
        while let Some((index, attempt, sent)) = self.flights.expire(now) {
            let sent = self.instant(sent);
            let address = self.slots[index as usize].address;
            let is_excused = address.is_some_and(|address| blame(address, sent) > Blame::No);
            let timeout = if is_excused { Timeout::Doubtful } else { Timeout::Counted };
            self.flights.set(index, attempt, State::TimedOut(timeout), now);
            self.land(index);
            on_timeout(TimedOut { target: TargetId(index), attempt, sent, timeout });
        }
        self.flights.forget(now);
    }

    fn poll_done(&mut self) -> Option<TargetId> {
        self.done.pop_front().map(TargetId)
    }

    fn has_done(&self) -> bool {
        !self.done.is_empty()
    }

    fn is_done(&self) -> bool {
        self.open == 0 && !self.has_done()
    }
}

impl Roster {
    /// The next probe to a target was sent or refused at `at`. Returns its number, and whether
    /// nothing more will be sent; `None`: it was not to be sent.
    fn take_ready(&mut self, target: TargetId, at: u64) -> Option<(u32, bool)> {
        let place = self.ready.iter().position(|entry| entry.slot == target.0)?;
        self.ready.remove(place);
        let slot = &mut self.slots[target.index()];
        slot.place = Place::Nowhere;
        let attempt = slot.begin_attempt();
        let mut is_last = false;
        if slot.extras > 0 {
            slot.extras -= 1;
        } else {
            let turn = slot.take_turn(at, self.spacing);
            self.slips.slipped += u64::from(turn.slipped);
            self.slips.skipped += turn.skipped;
            is_last = turn.is_last;
        }
        is_last |= slot.winds_down && !slot.is_counted() && slot.extras == 0;
        if !is_last {
            let due = slot.due(at);
            self.enqueue(target.0, due);
        }
        Some((attempt, is_last))
    }

    /// Moves what is due to the ready ones, if there is `room` for their flights. If not, it is
    /// tried again a little later; what slips meanwhile is counted.
    pub(super) fn fill_ready(&mut self, now: u64, room: Result<(), OutOfMemory>) {
        if room.is_err() {
            self.slips.no_memory += 1;
            self.retry_at = now + RETRY_INTERVAL.as_nanos() as u64;
            return;
        }
        while self.ready.len() < MAX_BATCH {
            let Some(entry) = self.due.pop(now, |entry| is_queued(&self.slots, entry)) else { return };
            let slot = &mut self.slots[entry.slot as usize];
            if slot.has_room() {
                slot.place = Place::Ready;
                self.ready.push(entry);
            } else {
                slot.place = Place::Blocked;
            }
        }
    }

    /// Where a target without a timeout has one probe more in flight than it may, the oldest one
    /// has timed out at `at`.
    fn give_up_oldest(&mut self, index: u32, at: u64) {
        let slot = &self.slots[index as usize];
        if slot.timeout != NEVER || slot.in_flight <= slot.max_in_flight {
            return;
        }
        let (mut attempt, end) = (slot.oldest_attempt, slot.next_attempt);
        while attempt != end && !self.give_up(index, attempt, at) {
            attempt = attempt.wrapping_add(1);
        }
    }

    /// Has a probe in flight without a timeout time out at `at`. Returns whether there was such a
    /// one.
    fn give_up(&mut self, index: u32, attempt: u32, at: u64) -> bool {
        let sent = self.flights.get(index, attempt).map_or(0, |flight| flight.sent);
        self.flights.set_timeout(index, attempt, at.saturating_sub(sent))
    }

    /// Gives a target's probes in flight that have no timeout this one, if there are any; `None`:
    /// they have timed out.
    pub(super) fn end_endless(&mut self, index: u32, timeout: Option<u64>) {
        if !self.flights.has_endless() {
            return;
        }
        let slot = &self.slots[index as usize];
        let (mut attempt, end) = (slot.oldest_attempt, slot.next_attempt);
        while attempt != end {
            match timeout {
                Some(timeout) => self.flights.set_timeout(index, attempt, timeout),
                None => self.give_up(index, attempt, self.handed_over),
            };
            attempt = attempt.wrapping_add(1);
        }
    }

    /// A reply that arrived at `at` makes the next turn due, where the schedule says so.
    fn hasten_turn(&mut self, index: u32, at: u64) {
        let slot = &mut self.slots[index as usize];
        if slot.after_reply && slot.end == End::Open && slot.turn != NEVER && at < slot.turn {
            slot.turn = at;
            if slot.place == Place::Queued {
                self.withdraw(index);
                self.enqueue(index, at);
            }
        }
    }

    /// Forgets an attempt that was answered, if its duplicates need no RTT.
    fn forget_answered(&mut self, target: TargetId, attempt: u32) {
        if !self.keeps_answered {
            self.flights.remove(target.0, attempt);
        }
    }

    /// Finds which attempts of a target are forgotten, so that they are not looked for when it is
    /// removed.
    fn skip_forgotten(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        while slot.oldest_attempt != slot.next_attempt && self.flights.get(index, slot.oldest_attempt).is_none() {
            slot.oldest_attempt = slot.oldest_attempt.wrapping_add(1);
        }
    }

    /// A probe to a target is no longer in flight.
    fn land(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        slot.in_flight -= 1;
        if slot.place == Place::Blocked {
            let due = slot.due(self.handed_over);
            self.enqueue(index, due);
        }
        self.end_if_idle(index);
    }
}
