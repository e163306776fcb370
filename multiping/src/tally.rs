//! The state of one target in a sweep, in eight bytes: with a million targets every byte is a megabyte.
//!
//! A tally holds counts and one time. The time is when the probe in flight was sent, and the mean
//! RTT once the target is settled: the two are never needed together. (Where several RTTs are
//! averaged, their sums are kept elsewhere until then.) Times are in ticks of 100 ns, kept in 32
//! bits: a point in time wraps after 429 s, which is more than twice the longest timeout; an RTT is
//! at most a timeout and never wraps.

use std::time::Duration;

/// One tick of the 32-bit times.
pub const TICK: Duration = Duration::from_nanos(100);

/// The phase that a target is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No probe has been tried yet.
    #[default]
    Untried,
    /// A probe is in flight, or was refused by the kernel and has its timeout all the same.
    InFlight,
    /// The next probe is due.
    Due,
    /// No more probes will be sent.
    Settled,
}

/// What is known of a target in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It replied; this is its mean RTT.
    Alive(Duration),
    /// Its probes were sent, and it was silent.
    Unreachable,
    /// None of its probes was sent: the last errno of the kernel's refusals.
    Unsent(i32),
    /// It was silent, but this machine lost so many replies that this means nothing.
    Undecided,
    /// The run ended before the target was settled.
    Unsettled,
}

/// Counts and times of one target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// When the probe in flight was sent; once settled, the mean RTT. In ticks.
    pub(crate) ticks: u32,
    /// How many probes were answered.
    pub(crate) replies: u8,
    /// How many probes timed out and counted.
    pub(crate) timeouts: u8,
    /// The errno of the last refused probe; 0: none was refused. (Linux has none above 133.)
    errno: u8,
    flags: u8,
}

// The bits of `Tally::flags`.
const PHASE: u8 = 0b0000_0011;
const REFUNDS: u8 = 0b0001_1100;
const ONE_REFUND: u8 = 0b0000_0100;
const SENT: u8 = 0b0010_0000;
const UNDECIDED: u8 = 0b0100_0000;

impl Tally {
    /// How many attempts may be refunded to one target because this machine lost replies.
    const MAX_REFUNDS: u8 = 5;

    /// The phase that the target is in.
    pub fn phase(&self) -> Phase {
        match self.flags & PHASE {
            0 => Phase::Untried,
            1 => Phase::InFlight,
            2 => Phase::Due,
            _ => Phase::Settled,
        }
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.flags = self.flags & !PHASE | phase as u8;
    }

    /// How many attempts have ended: the number of the one in flight, or of the next.
    pub(crate) fn attempt(&self) -> u32 {
        u32::from(self.replies) + u32::from(self.timeouts) + u32::from(self.refunds())
    }

    /// Whether any probe was sent.
    pub(crate) fn was_sent(&self) -> bool {
        self.flags & SENT != 0
    }

    pub(crate) fn mark_sent(&mut self) {
        self.flags |= SENT;
    }

    pub(crate) fn set_errno(&mut self, errno: i32) {
        self.errno = u8::try_from(errno).unwrap_or(u8::MAX);
    }

    fn refunds(&self) -> u8 {
        (self.flags & REFUNDS) / ONE_REFUND
    }

    /// Takes back an attempt whose reply this machine may have lost. The sixth is not taken back:
    /// silence then means nothing.
    pub(crate) fn refund(&mut self) -> bool {
        if self.refunds() < Self::MAX_REFUNDS {
            self.flags += ONE_REFUND;
            true
        } else {
            self.flags |= UNDECIDED;
            false
        }
    }

    /// What is known of the target so far.
    pub fn verdict(&self) -> Verdict {
        if self.phase() != Phase::Settled {
            Verdict::Unsettled
        } else if self.replies > 0 {
            Verdict::Alive(TICK * self.ticks)
        } else if !self.was_sent() {
            Verdict::Unsent(self.errno.into())
        } else if self.flags & UNDECIDED != 0 {
            Verdict::Undecided
        } else {
            Verdict::Unreachable
        }
    }
}
