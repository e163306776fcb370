//! When may the next packet leave? Answers with an `Instant`; never sleeps, never counts anything but packets.
//!
//! The schedule is absolute: packet after packet is due one interval after the one before, so that an average rate comes
//! out exactly however late each wake-up is. What a late wake-up left unsent may be made good, but only a little of it:
//! credit beyond a burst is lost, and after a stall the schedule moves on from the present. (The generic cell rate
//! algorithm of ITU-T I.371, with its "theoretical arrival time" as our `due`.)

use std::time::{Duration, Instant};

use crate::plan::Rate;

/// As much of the schedule as may be made good at once: 10 ms worth of packets leave together at the most.
const BURST: Duration = Duration::from_millis(10);

/// At low rates a burst is one packet, and this much of its interval may be made good: a late wake-up's worth.
const LATENESS: Duration = Duration::from_millis(2);

/// Picoseconds, in which the interval at the highest rate is still a number of six digits.
const PER_SECOND: u128 = 1_000_000_000_000;
const PER_NANOSECOND: u128 = 1_000;

/// The pace of everything that leaves.
#[derive(Debug)]
pub struct Pacer {
    start: Instant,
    /// Between two packets, in picoseconds; 0 if the rate is unlimited.
    interval: u128,
    /// The interval that was asked for.
    asked: u128,
    /// The interval before it was lengthened.
    full: u128,
    /// When the next packet is due, in picoseconds from the start.
    due: u128,
}

impl Pacer {
    /// How often the rate may be halved: to one thirty-second, and no further.
    const MAX_HALVINGS: u32 = 5;

    /// A schedule whose first packet is due at `start`.
    pub fn new(rate: Rate, start: Instant) -> Self {
        let interval = match rate {
            Rate::PerSecond(pps) => (PER_SECOND as f64 / pps) as u128,
            Rate::Unlimited => 0,
        };
        Pacer { start, interval, asked: interval, full: interval, due: 0 }
    }

    /// How many packets may leave at `now`, up to `most`.
    pub fn allows(&self, now: Instant, most: usize) -> usize {
        let lag = self.elapsed(now).checked_sub(self.due_at(now));
        match lag.map(|lag| lag.checked_div(self.interval)) {
            None => 0,
            Some(None) => most, // no interval: unlimited
            Some(Some(behind)) => usize::try_from(behind + 1).map_or(most, |packets| packets.min(most)),
        }
    }

    /// Takes note of packets that left at `now`.
    pub fn spend(&mut self, packets: usize, now: Instant) {
        self.due = self.due_at(now) + packets as u128 * self.interval;
    }

    /// When the next packet may leave, if it is not now.
    pub fn next(&self, now: Instant) -> Instant {
        let wait = self.due.saturating_sub(self.elapsed(now)).div_ceil(PER_NANOSECOND);
        now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// Halves the rate, but never below a thirty-second of it. A rate that is unlimited is first taken to be what it
    /// was so far: `sent` packets since the start.
    pub fn slow_down(&mut self, sent: u64, now: Instant) {
        if self.interval == 0 {
            self.full = self.elapsed(now) / u128::from(sent.max(1));
            self.interval = self.full.max(1);
            self.due = self.elapsed(now);
        }
        self.interval = (self.interval * 2).min((self.full << Self::MAX_HALVINGS).max(1));
    }

    /// Goes back to the rate that was asked for.
    pub fn recover(&mut self) {
        self.interval = self.asked;
    }

    /// When the next packet is due, as of `now`: what the schedule lags behind by more than a burst is lost.
    fn due_at(&self, now: Instant) -> u128 {
        let burst = (BURST.as_nanos() * PER_NANOSECOND).saturating_sub(self.interval);
        let slack = burst.max(LATENESS.as_nanos() * PER_NANOSECOND);
        self.due.max(self.elapsed(now).saturating_sub(slack))
    }

    /// Picoseconds from the start to `now`.
    fn elapsed(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.start).as_nanos() * PER_NANOSECOND
    }
}
