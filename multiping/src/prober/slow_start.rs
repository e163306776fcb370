//! The slow start: few probes in flight until it is known that the first hop forwards them.

use std::time::{Duration, Instant};

/// How many probes may be in flight at the start, until something has come back from another machine or
/// a probe has timed out: what is sent before the first router's ARP answer has come is queued for it,
/// and only as much as a few hundred packets.
pub const SLOW_START: u64 = 64;

/// How long the start lasts at most: the interval in which an ARP question is repeated.
pub const MAX_SLOW_START: Duration = Duration::from_secs(1);

/// Whether the number of probes in flight is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowStart {
    /// Nothing has been sent to another machine.
    Before,
    /// Until then at most.
    Until(Instant),
    Over,
}

impl SlowStart {
    /// A probe was sent to another machine.
    pub(super) fn begin(&mut self, at: Instant) {
        if *self == SlowStart::Before {
            *self = SlowStart::Until(at + MAX_SLOW_START);
        }
    }

    /// Whether a reply from another machine ends it.
    pub(super) fn is_on(self) -> bool {
        matches!(self, SlowStart::Until(_))
    }

    /// How many more probes may be in flight at `now`, beside `in_flight`.
    pub(super) fn window(self, in_flight: u64, now: Instant) -> u64 {
        match self {
            SlowStart::Until(until) if now < until => SLOW_START.saturating_sub(in_flight),
            _ => u64::MAX,
        }
    }

    /// Until when no more may be in flight.
    pub(super) fn full_until(self, in_flight: u64, now: Instant) -> Option<Instant> {
        match self {
            SlowStart::Until(until) if self.window(in_flight, now) == 0 => Some(until),
            _ => None,
        }
    }
}
