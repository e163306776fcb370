//! How long to wait while the kernel has no buffers for what is to be sent.

use std::time::{Duration, Instant};

/// Why the kernel did not accept a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The socket's send buffer is full (EAGAIN).
    SocketFull,
    /// The queue of an interface or the neighbour table is full (ENOBUFS).
    NoBuffers,
    /// Any other error.
    Refused {
        /// The error number.
        errno: i32,
        /// A route to an earlier target still exists, so only this target is affected.
        other_routes_ok: bool,
    },
}

/// Error numbers of Linux.
const EAGAIN: i32 = 11;
const ENOBUFS: i32 = 105;

impl SendError {
    /// The error number.
    pub fn errno(self) -> i32 {
        match self {
            SendError::SocketFull => EAGAIN,
            SendError::NoBuffers => ENOBUFS,
            SendError::Refused { errno, .. } => errno,
        }
    }
}

/// How long to wait before the next try.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// How long to retry while the kernel reports full buffers and no packet is sent. After that the
/// queue is treated as stuck. (An entry of a full neighbour table is freed after 45 s at most, by
/// the kernel's default of base_reachable_time_ms.)
pub const MAX_JAM: Duration = Duration::from_secs(50);

/// The shorter limit once waiting has failed: ENOBUFS is also returned for packets that are never
/// accepted (for example dropped by a qdisc), and these must not delay the other targets again.
pub const MAX_NEXT_JAM: Duration = Duration::from_millis(100);

/// Full buffers, and how long they have been full.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    /// Since when no packet has been accepted.
    since: Option<Instant>,
    /// The last try, while waiting for the next one.
    tried: Option<(Instant, SendError)>,
    /// Whether waiting for ENOBUFS to end has failed before.
    has_failed: bool,
}

impl Backpressure {
    /// Records that buffers were full for a probe. Returns whether to try it again.
    pub(super) fn retry(&mut self, error: SendError, now: Instant) -> bool {
        let no_buffers = error == SendError::NoBuffers;
        let max = if no_buffers && self.has_failed { MAX_NEXT_JAM } else { MAX_JAM };
        let retry = now < *self.since.get_or_insert(now) + max;
        self.tried = retry.then_some((now, error));
        self.has_failed |= !retry && no_buffers;
        retry
    }

    /// When to try again, if a try has failed.
    pub(super) fn until(&self) -> Option<Instant> {
        self.tried.map(|(tried, _)| tried + RETRY_INTERVAL)
    }

    /// Ends a wait that is over at `now`. Returns its length if it was due to ENOBUFS: a full socket
    /// only slows sending down to what the kernel can take.
    pub(super) fn resume(&mut self, now: Instant) -> Duration {
        match self.tried.take() {
            Some((tried, SendError::NoBuffers)) => now.saturating_duration_since(tried),
            _ => Duration::ZERO,
        }
    }

    /// Records that a packet was accepted.
    pub(super) fn clear(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use super::*;

    /// How long a probe is retried that is never accepted.
    fn retried_for(backpressure: &mut Backpressure, error: SendError, mut now: Instant) -> Duration {
        let start = now;
        while backpressure.retry(error, now) {
            now = backpressure.until().expect("a wait");
            backpressure.resume(now);
        }
        now - start
    }

    #[test]
    fn other_targets_are_delayed_for_long_only_once() {
        let now = Instant::now();
        let mut backpressure = Backpressure::default();
        assert_eq!(retried_for(&mut backpressure, SendError::NoBuffers, now), MAX_JAM);
        assert_eq!(retried_for(&mut backpressure, SendError::NoBuffers, now + MAX_JAM), Duration::ZERO);
        backpressure.clear();
        assert_eq!(retried_for(&mut backpressure, SendError::NoBuffers, now), MAX_NEXT_JAM);
        backpressure.clear();
        assert_eq!(retried_for(&mut backpressure, SendError::SocketFull, now), MAX_JAM);
    }

    #[test]
    fn only_waits_for_enobufs_are_counted() {
        let now = Instant::now();
        for (error, counted) in [(SendError::NoBuffers, RETRY_INTERVAL), (SendError::SocketFull, Duration::ZERO)] {
            let mut backpressure = Backpressure::default();
            assert!(backpressure.retry(error, now));
            assert_eq!(backpressure.resume(now + RETRY_INTERVAL), counted);
            assert_eq!(backpressure.resume(now + RETRY_INTERVAL), Duration::ZERO, "counted once");
        }
    }
}
