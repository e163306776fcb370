//! What is known of one target of a roster: 96 bytes.

use crate::address::Address;
use crate::prober::roster::schedule::Schedule;

/// No turn.
pub(super) const NEVER: u64 = u64::MAX;

/// The place of one target, which another one may take later. Times are in nanoseconds.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// `None`: the slot is free.
    pub(super) address: Option<Address>,
    /// When the next turn is.
    pub(super) turn: u64,
    /// Between two turns; 0: there are none.
    pub(super) period: u64,
    /// [`NEVER`]: there is none.
    pub(super) timeout: u64,
    /// Which of the last 64 attempts were answered, the last one in the lowest bit.
    answered: u64,
    /// How many turns remain; 0: any number.
    turns: u32,
    /// The target's first attempt: numbers go on where the predecessor's ended.
    pub(super) first_attempt: u32,
    pub(super) next_attempt: u32,
    /// All older attempts of the target are forgotten.
    pub(super) oldest_attempt: u32,
    pub(super) generation: u32,
    /// The number of the slot's live entry among the due times.
    pub(super) entry: u32,
    /// How many probes were sent more than half a period late.
    pub(super) slipped: u32,
    pub(super) in_flight: u16,
    pub(super) max_in_flight: u16,
    /// How many probes out of turn are to be sent.
    pub(super) extras: u16,
    /// Whether a reply makes the next turn due at once.
    pub(super) after_reply: bool,
    /// Whether it ends after its last turn or the last probe out of turn.
    pub(super) winds_down: bool,
    pub(super) place: Place,
    pub(super) end: End,
}

/// Where a target's next probe waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Place {
    /// There is none.
    #[default]
    Nowhere,
    /// Among the due times.
    Queued,
    /// Among those that are next.
    Ready,
    /// Until a probe in flight has ended.
    Blocked,
}

/// How far a target has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// It is probed.
    #[default]
    Open,
    /// Nothing more is sent; probes are in flight.
    Finishing,
    /// Nothing more is sent, and nothing is in flight.
    Done,
}

/// A turn that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// It was taken more than half a period late.
    pub(super) slipped: bool,
    /// How many turns were missed before the next one.
    pub(super) skipped: u64,
    pub(super) is_last: bool,
}

impl Slot {
    /// Gives a free slot to a target. Of the predecessor nothing remains but the numbers that tell
    /// its probes and entries from those of the successor.
    pub(super) fn occupy(&mut self, address: Address) {
        *self = Slot {
            address: Some(address),
            first_attempt: self.next_attempt,
            next_attempt: self.next_attempt,
            oldest_attempt: self.next_attempt,
            generation: self.generation,
            ..Slot::default()
        };
    }

    /// Frees the slot.
    pub(super) fn vacate(&mut self) {
        self.address = None;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Probes the target by `schedule` from now on, with the first turn at `turn`.
    pub(super) fn follow(&mut self, schedule: &Schedule, turn: u64) {
        self.turn = turn;
        self.period = schedule.period().map_or(0, |period| period.as_nanos() as u64);
        self.timeout = schedule.timeout().map_or(NEVER, |timeout| timeout.as_nanos() as u64);
        self.after_reply = schedule.after_reply();
        self.turns = schedule.count();
        self.max_in_flight = schedule.max_in_flight();
    }

    /// How long a turn may be put off: none is missed by a quarter of its period, and what a reply
    /// makes due is due at once.
    pub(super) fn max_delay(&self) -> u64 {
        match self.period {
            _ if self.after_reply => 0,
            0 => u64::MAX,
            period => period / 4,
        }
    }

    /// Whether its turns end by themselves.
    pub(super) fn is_counted(&self) -> bool {
        self.turns > 0 && self.period > 0
    }

    /// Whether one more probe may be sent now. Without a timeout it may, in the place of another.
    pub(super) fn has_room(&self) -> bool {
        let max = if self.timeout == NEVER { u16::MAX } else { self.max_in_flight };
        self.in_flight < max
    }

    /// When the next probe is due, if a probe out of turn is due at `extra`.
    pub(super) fn due(&self, extra: u64) -> u64 {
        if self.extras > 0 { self.turn.min(extra) } else { self.turn }
    }

    /// The number of the next attempt, which is made now.
    pub(super) fn begin_attempt(&mut self) -> u32 {
        let attempt = self.next_attempt;
        self.next_attempt = attempt.wrapping_add(1);
        self.answered <<= 1;
        attempt
    }

    /// Takes the turn, at `at`, and sets the next one: the first that is later than `at`. Those
    /// before it are skipped, so that what was missed is not made up for in a burst; and all remain
    /// where they are in the period, so that a stop does not bring targets together that were
    /// apart. Those that are less than `spacing` later are skipped as well.
    pub(super) fn take_turn(&mut self, at: u64, spacing: u64) -> Turn {
        let period = self.period.max(1);
        let lateness = at.saturating_sub(self.turn);
        let skipped = lateness / period;
        let next = self.turn.saturating_add(period.saturating_mul(skipped + 1));
        let skipped = skipped + at.saturating_add(spacing).saturating_sub(next).div_ceil(period);
        self.turn = self.turn.saturating_add(period.saturating_mul(skipped + 1));
        let slipped = lateness > period / 2;
        self.slipped = self.slipped.saturating_add(u32::from(slipped));
        let is_last = self.turns == 1;
        self.turns = self.turns.saturating_sub(1);
        Turn { slipped, skipped, is_last }
    }

    /// Records that an attempt was answered.
    pub(super) fn mark_answered(&mut self, attempt: u32) {
        if let Some(bit) = self.answered_bit(attempt) {
            self.answered |= bit;
        }
    }

    /// Whether an attempt was answered, as far as that is known: one of the last 64.
    pub(super) fn was_answered(&self, attempt: u32) -> bool {
        self.answered_bit(attempt).is_some_and(|bit| self.answered & bit != 0)
    }

    fn answered_bit(&self, attempt: u32) -> Option<u64> {
        1_u64.checked_shl(self.next_attempt.wrapping_sub(1).wrapping_sub(attempt))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn slot() -> Slot {
        let mut slot = Slot::default();
        slot.occupy(Address::V4(Ipv4Addr::LOCALHOST));
        slot.follow(&Schedule::default(), 10 * SECOND);
        slot
    }

    #[test]
    fn what_is_late_is_followed_by_the_next_turn_that_is_not() {
        const HALF: u64 = SECOND / 2;
        for (lateness, slipped, skipped) in [
            (0, false, 0),
            (HALF, false, 0),
            (HALF + 1, true, 0),
            (SECOND - 1, true, 0),
            (SECOND, true, 1),
            (5 * SECOND + 1, true, 5),
        ] {
            let mut slot = slot();
            let turn = slot.take_turn(10 * SECOND + lateness, 0);
            assert_eq!(turn, Turn { slipped, skipped, is_last: false }, "{lateness}");
            assert_eq!((slot.turn, slot.slipped), ((11 + skipped) * SECOND, slipped.into()));
        }
    }

    #[test]
    fn turns_that_come_too_soon_after_a_late_one_are_skipped() {
        const HALF: u64 = SECOND / 2;
        for (lateness, spacing, skipped) in [
            (0, SECOND, 0),
            (1, SECOND, 1),
            (HALF, HALF, 0),
            (HALF + 1, HALF, 1),
            (SECOND - 1, 1, 0),
            (SECOND - 1, 2, 1),
            (SECOND, SECOND, 1),
            (SECOND + 1, SECOND, 2),
            (0, 3 * SECOND, 2),
        ] {
            let mut slot = slot();
            let at = 10 * SECOND + lateness;
            assert_eq!(slot.take_turn(at, spacing).skipped, skipped, "{lateness} {spacing}");
            assert!(slot.turn >= at + spacing && slot.turn % SECOND == 0, "{lateness} {spacing}");
        }
    }

    #[test]
    fn turns_that_are_counted_have_a_last_one() {
        let mut slot = slot();
        slot.follow(&Schedule::default().with_count(3), 0);
        let last: Vec<bool> = (0..3).map(|nth| slot.take_turn(nth * SECOND, 0).is_last).collect();
        assert_eq!(last, [false, false, true]);
    }

    #[test]
    fn the_last_64_attempts_are_known_exactly_across_the_wrap() {
        let mut slot = slot();
        slot.next_attempt = u32::MAX - 30;
        let is_answered = |nth: u32| nth % 3 == 0;
        for nth in 0..100_u32 {
            let attempt = slot.begin_attempt();
            if is_answered(nth) {
                slot.mark_answered(attempt);
            }
            for age in 0..64.min(nth + 1) {
                let earlier = attempt.wrapping_sub(age);
                assert_eq!(slot.was_answered(earlier), is_answered(nth - age), "{earlier} at {attempt}");
            }
            assert!(!slot.was_answered(attempt.wrapping_sub(64)) && !slot.was_answered(attempt.wrapping_add(1)));
        }
    }

    #[test]
    fn a_successor_takes_over_numbers_and_nothing_else() {
        let mut slot = slot();
        let attempt = slot.begin_attempt();
        slot.mark_answered(attempt);
        (slot.slipped, slot.end, slot.extras) = (7, End::Done, 3);
        slot.generation = u32::MAX;
        slot.vacate();
        slot.occupy(Address::V4(Ipv4Addr::LOCALHOST));
        assert_eq!((slot.generation, slot.next_attempt, slot.first_attempt), (0, attempt + 1, attempt + 1));
        assert!(!slot.was_answered(attempt));
        assert_eq!((slot.slipped, slot.end, slot.extras), (0, End::Open, 0));
    }
}
