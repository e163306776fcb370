//! What depends on the order of a target's probes: jitter, outages and reordering.
//!
//! Several probes are in flight at a time, and replies come in any order. So the last probes are
//! kept in a ring until nothing can happen to them any more.

use std::time::Duration;

use crate::alloc::{OutOfMemory, try_filled};
use crate::stats::rtts::{MAX_TICKS, mean};

/// What is known of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It was not sent.
    Unsent,
    InFlight,
    /// It was not answered in time, and this machine may be to blame.
    Doubtful,
    Lost,
    Late,
    /// In time, with this RTT in ticks.
    Answered(u32),
}

/// A probe in the ring.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When it was sent: the low 32 bits of a time in [`UNIT`]s.
    sent: u32,
    /// A state above [`MAX_TICKS`], or an RTT.
    state: u32,
}

const UNSENT: u32 = MAX_TICKS + 1;
const IN_FLIGHT: u32 = MAX_TICKS + 2;
const LOST: u32 = MAX_TICKS + 3;
const LATE: u32 = MAX_TICKS + 4;
const DOUBTFUL: u32 = MAX_TICKS + 5;

/// The unit of send times. 32 bits of it are 4.9 days: figures may be read, and a probe may leave
/// the ring, up to 4.3 days after it was sent.
const UNIT: Duration = Duration::from_micros(100);

/// In [`UNIT`]s: figures may be read as of up to 14.9 hours before the last probe was sent. (A few
/// microseconds occur: a clock read before the last batch was sent.)
const AHEAD: u64 = 1 << 29;

/// The RFC 3550 jitter is kept in 2^-20 ticks.
const FRACTION: u32 = 20;

/// The order of the probes to one target.
#[derive(Debug)]
pub(super) struct Sequence {
    /// The probe with number n is at n modulo the length.
    ring: Box<[Slot]>,
    /// The sum of the differences in ticks.
    differences: u64,
    /// See [`FRACTION`].
    smoothed: u64,
    losses: Losses,
    /// How many differences there are.
    pairs: u32,
    /// The number after the highest of a probe that was sent.
    next: u32,
}

impl Sequence {
    /// `window`: how many probes are kept in the ring.
    pub(super) fn new(window: usize) -> Result<Self, OutOfMemory> {
        // Jitter needs the probe before.
        let ring = try_filled(window.max(2), Slot { sent: 0, state: UNSENT })?.into_boxed_slice();
        Ok(Sequence { ring, differences: 0, smoothed: 0, losses: Losses::default(), pairs: 0, next: 0 })
    }

    /// The number after the highest of a probe that was sent.
    pub(super) fn begun(&self) -> u32 {
        self.next
    }

    /// The probe of this number is sent at `at`. Numbers left out were not sent.
    pub(super) fn begin(&mut self, attempt: u32, at: Duration) {
        let at = units(at);
        let window = self.window();
        // What leaves the ring does so in order; after a whole turn of it nothing is left.
        for number in self.next..=attempt.min(self.next.saturating_add(window - 1)) {
            let slot = self.slot(number);
            let left = std::mem::replace(slot, Slot { sent: 0, state: UNSENT });
            self.losses.add(left, at);
        }
        self.next = self.next.max(attempt.saturating_add(1));
        if self.is_in_ring(attempt) {
            *self.slot(attempt) = Slot { sent: at as u32, state: IN_FLIGHT };
        }
    }

    /// What is known of this probe, if it is still in the ring.
    pub(super) fn state(&self, attempt: u32) -> Option<State> {
        if !self.is_in_ring(attempt) {
            return None;
        }
        let slot = self.ring.get(self.place(attempt))?;
        Some(match slot.state {
            UNSENT => State::Unsent,
            IN_FLIGHT => State::InFlight,
            LOST => State::Lost,
            LATE => State::Late,
            DOUBTFUL => State::Doubtful,
            ticks => State::Answered(ticks),
        })
    }

    /// The timeout of this probe is over.
    pub(super) fn lose(&mut self, attempt: u32) {
        self.set(attempt, LOST);
    }

    /// The timeout of this probe is over, which says nothing.
    pub(super) fn doubt(&mut self, attempt: u32) {
        self.set(attempt, DOUBTFUL);
    }

    /// This probe was answered after its timeout.
    pub(super) fn answer_late(&mut self, attempt: u32) {
        self.set(attempt, LATE);
    }

    /// This probe was answered in time. Returns whether a later one was before.
    pub(super) fn answer(&mut self, attempt: u32, ticks: u32) -> bool {
        if !self.is_in_ring(attempt) {
            return false;
        }
        let before = attempt.checked_sub(1);
        for neighbour in [before, attempt.checked_add(1)].into_iter().flatten() {
            if let Some(State::Answered(other)) = self.state(neighbour) {
                self.add_difference(ticks.abs_diff(other));
            }
        }
        self.set(attempt, ticks);
        (attempt..self.next).skip(1).any(|later| matches!(self.state(later), Some(State::Answered(_))))
    }

    fn add_difference(&mut self, difference: u32) {
        let Some(pairs) = self.pairs.checked_add(1) else { return };
        self.pairs = pairs;
        self.differences += u64::from(difference);
        // J += (|D| - J) / 16
        let difference = u64::from(difference) << FRACTION;
        self.smoothed = self.smoothed - self.smoothed / 16 + difference / 16;
    }

    /// The mean difference between the RTTs of successive probes that were answered in time.
    pub(super) fn jitter(&self) -> Option<Duration> {
        mean(self.differences.into(), self.pairs.into())
    }

    /// The smoothed difference.
    pub(super) fn jitter_rfc3550(&self) -> Option<Duration> {
        let smoothed = u128::from(self.smoothed);
        (self.pairs > 0).then(|| mean(smoothed, 1 << FRACTION)).flatten()
    }

    /// The losses up to `end`.
    pub(super) fn losses(&self, end: Duration) -> Losses {
        let mut losses = self.losses;
        let end = units(end);
        for number in self.next.saturating_sub(self.window())..self.next {
            if let Some(&slot) = self.ring.get(self.place(number)) {
                losses.add(slot, end);
            }
        }
        losses.end_row(end);
        losses
    }

    fn window(&self) -> u32 {
        u32::try_from(self.ring.len()).unwrap_or(u32::MAX)
    }

    fn is_in_ring(&self, attempt: u32) -> bool {
        attempt < self.next && self.next - attempt <= self.window()
    }

    fn place(&self, attempt: u32) -> usize {
        attempt as usize % self.ring.len()
    }

    fn slot(&mut self, attempt: u32) -> &mut Slot {
        &mut self.ring[attempt as usize % self.ring.len()]
    }

    fn set(&mut self, attempt: u32, state: u32) {
        if self.is_in_ring(attempt) {
            self.slot(attempt).state = state;
        }
    }
}

/// A time since the start of the run.
fn units(at: Duration) -> u64 {
    // 64 bits of nanoseconds are five centuries.
    (at.as_nanos() as u64) / UNIT.as_nanos() as u64
}

/// Rows of lost probes, fed in the order of their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Losses {
    /// When the first probe of the current row was sent.
    start: u64,
    outage: u64,
    /// How many probes the current row has.
    row: u32,
    longest: u32,
}

impl Losses {
    /// The next probe, seen at `now`.
    fn add(&mut self, slot: Slot, now: u64) {
        let latest = now.saturating_add(AHEAD);
        let sent = latest.saturating_sub((latest as u32).wrapping_sub(slot.sent).into());
        match slot.state {
            // It says nothing about the target, so the row goes on.
            UNSENT | IN_FLIGHT | DOUBTFUL => {}
            LOST => {
                if self.row == 0 {
                    self.start = sent;
                }
                self.row = self.row.saturating_add(1);
            }
            _ => self.end_row(sent),
        }
    }

    fn end_row(&mut self, at: u64) {
        let outage = at.saturating_sub(self.start);
        if self.row > 0 {
            (self.longest, self.outage) = (self.longest, self.outage).max((self.row, outage));
        }
        self.row = 0;
    }

    /// The number of probes in the longest row.
    pub(super) fn longest_run(&self) -> u32 {
        self.longest
    }

    /// From the sending of the first probe of the longest row to that of the next one that was not
    /// lost. Of several such rows, the one that took longest.
    pub(super) fn outage(&self) -> Duration {
        let nanos = u128::from(self.outage) * UNIT.as_nanos();
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
