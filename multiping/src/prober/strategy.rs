//! What differs between kinds of runs: which probe is next, and what becomes of its target.

use std::time::{Duration, Instant};

use crate::address::{Address, TargetId};

/// The order and the times of probes, and the state of each target.
///
/// A [`Prober`](super::Prober) asks it what to send and reports what happened. It owns the
/// addresses of its targets, and knows nothing of packets, pace or the network. Time is an
/// argument.
pub trait Strategy {
    /// The address of a target; `None`: there is no such target, or no longer.
    fn address(&self, target: TargetId) -> Option<Address>;

    /// Changes whenever a removed target's id is given to another target. It goes into the seal, so
    /// that a late reply to the predecessor's probe verifies for no target.
    fn generation(&self, _target: TargetId) -> u32 {
        0
    }

    /// How many probes a second will be due on average, where that is known: it says whether
    /// wake-ups are worth coalescing. `None`: as many as the pace allows.
    fn load(&self) -> Option<f64> {
        None
    }

    /// How long a probe that is due may wait for others, so that they are sent by one wake-up.
    fn max_delay(&self) -> Duration {
        Duration::MAX
    }

    /// Prepares what [`Self::ready`] returns for `now`.
    fn make_ready(&mut self, _now: Instant) {}

    /// The probes that are due at `now`, first things first: the target and the attempt of each.
    fn ready(&self, now: Instant) -> impl Iterator<Item = (TargetId, u32)>;

    /// When the next probe is due, whether or not the pace allows it. `None`: none is known to be.
    fn next_due(&self) -> Option<Instant>;

    /// When [`Self::expire`] has something to do. `None`: not until something is sent.
    fn next_timeout(&self) -> Option<Instant>;

    /// The next probe to `target` was sent at `at`.
    fn mark_sent(&mut self, target: TargetId, at: Instant);

    /// The kernel refused to send the next probe to `target`. `no_buffers`: for lack of buffers,
    /// which is never particular to a target.
    fn mark_refused(&mut self, target: TargetId, errno: i32, no_buffers: bool, at: Instant);

    /// The state of an attempt.
    fn attempt(&self, target: TargetId, attempt: u32) -> Attempt;

    /// An attempt in flight was answered.
    fn record_reply(&mut self, target: TargetId, attempt: u32, rtt: Duration);

    /// The round-trip delay of a reply that arrived at `at`, be it late or a duplicate; `None`: it
    /// is not known, or no longer, when the attempt was sent.
    fn rtt(&self, _target: TargetId, _attempt: u32, _at: Instant) -> Option<Duration> {
        None
    }

    /// An attempt was answered after its timeout, with a delay that [`Self::rtt`] knows. Returns
    /// what its timeout was reported as, if it was; if not, it will not be.
    fn record_late(&mut self, _target: TargetId, _attempt: u32) -> Option<Timeout> {
        None
    }

    /// A valid reply came from `target` that did not count: after its timeout, or from another
    /// source where that is checked.
    fn record_invalid(&mut self, _target: TargetId, _why: Invalid) {}

    /// An ICMP error says that an attempt in flight failed, and errors count as failures.
    fn record_failure(&mut self, _target: TargetId, _attempt: u32) {}

    /// Ends every attempt in flight that failed so. `blame` says whether this machine may have lost
    /// the link over which it was sent.
    fn end_failed(&mut self, _blame: impl FnMut(Address, Instant) -> Blame, _on_end: impl FnMut(TimedOut)) {}

    /// Ends every attempt that has timed out by `now`. `blame` says whether this machine may be to
    /// blame for the silence of a probe that was sent then; `on_timeout` is called for each
    /// attempt.
    fn expire(&mut self, now: Instant, blame: impl FnMut(Address, Instant) -> Blame, on_timeout: impl FnMut(TimedOut));

    /// The next target to report as done: nothing more will be sent to it, and nothing is in
    /// flight.
    fn poll_done(&mut self) -> Option<TargetId> {
        None
    }

    /// Whether there is such a target.
    fn has_done(&self) -> bool {
        false
    }

    /// Whether there is nothing more to send, to wait for or to report.
    fn is_done(&self) -> bool;
}

/// The state of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Attempt {
    /// In flight.
    InFlight {
        /// When it was sent.
        sent: Instant,
        /// How long a reply may take.
        timeout: Duration,
    },
    /// Answered.
    Answered,
    /// Timed out, or never made.
    Over,
}

/// Whether this machine may be to blame for the silence of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// No.
    #[default]
    No,
    /// It may be, and one more probe will show.
    Possible,
    /// It may be, and the same may happen to the next probes.
    Likely,
}

/// An attempt that was not answered in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {
    /// The target.
    pub target: TargetId,
    /// Which attempt at it.
    pub attempt: u32,
    /// When it was sent.
    pub sent: Instant,
    /// What it counts for.
    pub timeout: Timeout,
}

/// Why a valid reply does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// It came after its timeout.
    Late,
    /// It came from another address than the one probed, and the source is checked.
    OtherSource,
}

impl Timeout {
    /// Whether this machine may be to blame.
    pub(super) fn is_excused(self) -> bool {
        matches!(self, Timeout::Refunded | Timeout::Doubtful)
    }
}

/// What an attempt without a reply counts for. It is exhaustive, as
/// [`Event`](crate::prober::Event) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The target was silent.
    Counted,
    /// An ICMP error said that the probe was not delivered, and that settles the target.
    Failed,
    /// The attempt is repeated, because this machine may be to blame.
    Refunded,
    /// This machine may be to blame, and the attempt is not repeated: the silence says nothing of
    /// the target.
    Doubtful,
}
