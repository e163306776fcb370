//! The slow start: few probes in flight until it is known that the first hop forwards them, and
//! more with each reply.

use std::time::{Duration, Instant};

use crate::prober::Prober;

/// How many probes may be in flight at the start: what is sent before the first router's ARP answer
/// has come is queued for it, and only as much as a few hundred packets.
pub const SLOW_START: u64 = 64;

/// How many more may be in flight with each reply from another machine. That one host of the local
/// network replies proves nothing of a router, so a single reply does not end the start.
const GROWTH: u64 = 2;

/// How long the start lasts at most: the interval in which an ARP question is repeated.
pub const MAX_SLOW_START: Duration = Duration::from_secs(1);

/// Whether the number of probes in flight is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowStart {
    /// Nothing has been sent to another machine.
    Before { window: u64 },
    /// Until then at most.
    On { until: Instant, window: u64 },
    /// A second has gone, or a probe has timed out.
    Over,
}

impl Default for SlowStart {
    fn default() -> Self {
        SlowStart::Before { window: SLOW_START }
    }
}

impl SlowStart {
    /// A probe was sent to another machine.
    pub(super) fn begin(&mut self, at: Instant) {
        if let SlowStart::Before { window } = *self {
            *self = SlowStart::On { until: at + MAX_SLOW_START, window };
        }
    }

    /// A reply came from another machine.
    pub(super) fn grow(&mut self) {
        if let SlowStart::On { window, .. } = self {
            *window += GROWTH;
        }
    }

    /// How many more probes may be in flight at `now`, beside `in_flight`.
    pub(super) fn window(self, in_flight: u64, now: Instant) -> u64 {
        match self {
            SlowStart::On { until, window } if now < until => window.saturating_sub(in_flight),
            _ => u64::MAX,
        }
    }

    /// Until when no more may be in flight.
    pub(super) fn full_until(self, in_flight: u64, now: Instant) -> Option<Instant> {
        match self {
            SlowStart::On { until, .. } if self.window(in_flight, now) == 0 => Some(until),
            _ => None,
        }
    }
}

impl<S> Prober<S> {
    /// With so many probes in flight at the start, instead of [`SLOW_START`]: fewer where other
    /// probers send to the same routers.
    pub fn with_slow_start(self, window: u64) -> Self {
        Prober { slow_start: SlowStart::Before { window }, ..self }
    }
}
