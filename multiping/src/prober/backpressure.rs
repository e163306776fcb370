//! Probes that the kernel does not accept, and how long to wait while its buffers are full.

use std::time::{Duration, Instant};

/// Why the kernel did not accept a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The socket's send buffer is full. That is how the kernel slows sending down, and it is
    /// waited for. (Some 500 neighbours that do not answer ARP fill it.)
    SocketFull,
    /// The neighbour table is full. Targets that need no new entry can be sent to all the same.
    TableFull,
    /// Any other error.
    Refused {
        /// The error number.
        errno: i32,
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
            SendError::TableFull => ENOBUFS,
            SendError::Refused { errno } => errno,
        }
    }

    /// Whether it is for lack of buffers, and so never particular to a target.
    pub fn is_no_buffers(self) -> bool {
        matches!(self, SendError::SocketFull | SendError::TableFull)
    }
}

/// How long to wait before the next try while the socket is full.
pub const RETRY_INTERVAL: Duration = Duration::from_millis(1);

/// How long to wait for buffers while no packet at all is accepted. (An entry of a full neighbour
/// table is freed after 45 s at most, by the kernel's default of base_reachable_time_ms.)
pub const MAX_JAM: Duration = Duration::from_secs(50);

/// The least time between two refused sends at an unlimited rate: each costs a system call.
pub const REFUSAL_INTERVAL: Duration = Duration::from_micros(100);

/// How sending is held up, and for how long.
#[derive(Debug, Default)]
pub(super) struct Backpressure {
    /// Since when the socket has been full without accepting a packet.
    full_since: Option<Instant>,
    /// Since when the neighbour table has been full without a packet being accepted.
    table_full_since: Option<Instant>,
    /// When sending may go on.
    until: Option<Instant>,
}

impl Backpressure {
    /// Records that the socket is full. Returns whether to wait for it: if not, it is stuck.
    pub(super) fn wait_for_socket(&mut self, now: Instant) -> bool {
        let wait = now < *self.full_since.get_or_insert(now) + MAX_JAM;
        self.until = wait.then_some(now + RETRY_INTERVAL);
        wait
    }

    /// Records a refused send. Where the rate is unlimited, the next send waits for a moment.
    pub(super) fn refused(&mut self, error: SendError, is_unlimited: bool, now: Instant) {
        if error == SendError::TableFull {
            self.table_full_since.get_or_insert(now);
        }
        self.until = is_unlimited.then_some(now + REFUSAL_INTERVAL);
    }

    /// Records that packets were accepted. Returns for how long the neighbour table had been full.
    pub(super) fn accepted(&mut self, now: Instant) -> Duration {
        self.full_since = None;
        self.until = None;
        self.table_full_since.take().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// When sending may go on, if that is later than `now`.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|&until| now < until)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn a_full_socket_is_waited_for_and_then_stuck_until_it_accepts_a_packet() {
        let start = Instant::now();
        let mut backpressure = Backpressure::default();
        let mut now = start;
        while backpressure.wait_for_socket(now) {
            now = backpressure.until(now).expect("a wait");
        }
        assert_eq!(now, start + MAX_JAM);
        assert!(!backpressure.wait_for_socket(now + RETRY_INTERVAL), "it is not waited for again");
        assert_eq!(backpressure.accepted(now), Duration::ZERO);
        assert!(backpressure.wait_for_socket(now));
    }

    #[test]
    fn the_time_of_a_full_table_runs_from_the_first_refusal_to_the_next_accepted_packet() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut backpressure = Backpressure::default();
        for seconds in 0..5 {
            backpressure.refused(SendError::TableFull, false, start + second * seconds);
        }
        assert_eq!(backpressure.accepted(start + second * 7), second * 7);
        assert_eq!(backpressure.accepted(start + second * 9), Duration::ZERO);
        backpressure.refused(SendError::Refused { errno: 1 }, false, start);
        assert_eq!(backpressure.accepted(start + second), Duration::ZERO);
    }

    #[test]
    fn refused_sends_are_paced_where_the_rate_is_unlimited() {
        let now = Instant::now();
        let mut backpressure = Backpressure::default();
        backpressure.refused(SendError::Refused { errno: 1 }, true, now);
        assert_eq!(backpressure.until(now), Some(now + REFUSAL_INTERVAL));
        assert_eq!(backpressure.until(now + REFUSAL_INTERVAL), None);
        backpressure.refused(SendError::Refused { errno: 1 }, false, now);
        assert_eq!(backpressure.until(now), None, "the pacer paces them");
    }
}
