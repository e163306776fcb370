//! The state of one target in a sweep, in eight bytes: with a million targets every byte is a
//! megabyte.
//!
//! A tally holds counts and one time. What the time is depends on the phase: when the probe in
//! flight was sent; since when the kernel has refused to send to the target, and when it did so
//! last; or the mean RTT once the target is settled. They are never needed together. (Where several
//! RTTs are averaged, their sums are kept elsewhere until then.) Times are in ticks of 100 ns, kept
//! in 32 bits: a point in time wraps after 429 s, which is more than twice the longest timeout; an
//! RTT is at most a timeout and never wraps.

use std::time::Duration;

/// One tick of the 32-bit times.
pub const TICK: Duration = Duration::from_nanos(100);

/// A time in whole ticks, rounded down. (`as_nanos` takes a division in 128 bits, and each packet a
/// call of this.)
pub(crate) fn long_ticks(time: Duration) -> u64 {
    const NANOS: u32 = TICK.subsec_nanos();
    let a_second = u64::from(1_000_000_000 / NANOS);
    time.as_secs().saturating_mul(a_second).saturating_add(u64::from(time.subsec_nanos() / NANOS))
}

/// The same in 32 bits; of a longer time the most that they hold.
pub fn ticks(time: Duration) -> u32 {
    u32::try_from(long_ticks(time)).unwrap_or(u32::MAX)
}

/// A time in whole ticks, rounded down, as statistics keep it.
pub fn in_ticks(time: Duration) -> Duration {
    TICK * ticks(time)
}

/// The phase that a target is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No probe has been tried yet.
    #[default]
    Untried,
    /// A probe is in flight.
    InFlight,
    /// The next probe is due after a reply, a timeout or a refund.
    Due,
    /// The kernel refused the next probe; it is due again after a while.
    Refused,
    /// It is due again.
    DueAgain,
    /// It was refused for so long that it is tried again only when all else is settled.
    SetAside,
    /// It was refused until the end.
    GivenUp,
    /// No more probes will be sent.
    Settled,
}

impl Phase {
    const ALL: [Phase; 8] = [
        Phase::Untried,
        Phase::InFlight,
        Phase::Due,
        Phase::Refused,
        Phase::DueAgain,
        Phase::SetAside,
        Phase::GivenUp,
        Phase::Settled,
    ];
}

/// What is known of a target in the end. It is exhaustive: the compiler finds each writer of
/// results that has to handle a new case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It replied; this is its mean RTT.
    Alive(Duration),
    /// Its probes were sent, each had its full timeout, and it was silent.
    Unreachable,
    /// The kernel refused to send to it until the end.
    Refused {
        /// The errno of the last refusal.
        errno: i32,
        /// For lack of buffers, which is never particular to a target.
        no_buffers: bool,
        /// Probes to it had been sent before.
        was_sent: bool,
    },
    /// It was silent, but this machine kept so many of its probes or replies that this means
    /// nothing.
    Undecided,
    /// The run ended before the target was settled.
    Unsettled,
}

/// Counts and times of one target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// See the top of this file. In ticks, but for refusals: see [`Tally::refused_since`].
    pub(crate) ticks: u32,
    /// How many probes were answered.
    pub(crate) replies: u8,
    /// How many probes timed out and counted.
    pub(crate) timeouts: u8,
    /// The errno of the last refused probe (Linux has none above 133), or [`NO_BUFFERS`].
    errno: u8,
    flags: u8,
}

/// Stands for an errno where buffers were full.
const NO_BUFFERS: u8 = u8::MAX;

/// The errno that it stands for (ENOBUFS).
const ENOBUFS: i32 = 105;

// The bits of `Tally::flags`.
const PHASE: u8 = 0b0000_0111;
const REFUNDS: u8 = 0b0011_1000;
const ONE_REFUND: u8 = 0b0000_1000;
const LATE: u8 = 0b0100_0000;
const OTHER_SOURCE: u8 = 0b1000_0000;

impl Tally {
    /// How many attempts may be refunded to one target. One more, and silence means nothing.
    pub const MAX_REFUNDS: u8 = 5;

    /// The phase that the target is in.
    pub fn phase(&self) -> Phase {
        Phase::ALL[usize::from(self.flags & PHASE)]
    }

    pub(crate) fn set_phase(&mut self, phase: Phase) {
        self.flags = self.flags & !PHASE | phase as u8;
    }

    /// How many probes were sent and have ended: the number of the one in flight, or of the next.
    pub(crate) fn attempt(&self) -> u32 {
        u32::from(self.replies) + u32::from(self.timeouts) + u32::from(self.refunds())
    }

    /// Records why the next probe was refused.
    pub(crate) fn set_errno(&mut self, errno: i32, no_buffers: bool) {
        self.errno = match u8::try_from(errno) {
            Ok(errno) if !no_buffers => errno,
            _ => NO_BUFFERS,
        };
    }

    /// Since when the target has been refused, and when it was refused last: the low 16 bits of
    /// times in the unit of the caller.
    pub(crate) fn refused_since(&self) -> (u16, u16) {
        ((self.ticks >> 16) as u16, self.ticks as u16)
    }

    pub(crate) fn set_refused_since(&mut self, first: u16, last: u16) {
        self.ticks = u32::from(first) << 16 | u32::from(last);
    }

    /// How many attempts were taken back.
    pub(crate) fn refunds(&self) -> u8 {
        (self.flags & REFUNDS) / ONE_REFUND
    }

    /// Takes back an attempt for whose silence this machine may be to blame. Returns whether it may
    /// be repeated.
    pub(crate) fn refund(&mut self) -> bool {
        if self.refunds() <= Self::MAX_REFUNDS {
            self.flags += ONE_REFUND;
        }
        self.refunds() <= Self::MAX_REFUNDS
    }

    /// Records a reply that came after its timeout.
    pub(crate) fn mark_late(&mut self) {
        self.flags |= LATE;
    }

    /// Records a reply that was refused because of its source address.
    pub(crate) fn mark_other_source(&mut self) {
        self.flags |= OTHER_SOURCE;
    }

    /// Whether a reply came after its timeout.
    pub fn was_late(&self) -> bool {
        self.flags & LATE != 0
    }

    /// Whether a reply was refused because of its source address.
    pub fn had_other_source(&self) -> bool {
        self.flags & OTHER_SOURCE != 0
    }

    /// How many probes were answered.
    pub fn replies(&self) -> u8 {
        self.replies
    }

    /// The errno of the last send that the kernel refused.
    pub fn errno(&self) -> Option<i32> {
        match self.errno {
            0 => None,
            NO_BUFFERS => Some(ENOBUFS),
            errno => Some(errno.into()),
        }
    }

    /// What is known of the target so far.
    pub fn verdict(&self) -> Verdict {
        match self.phase() {
            Phase::Settled if self.replies > 0 => Verdict::Alive(TICK * self.ticks),
            Phase::Settled if self.refunds() > Self::MAX_REFUNDS => Verdict::Undecided,
            Phase::Settled => Verdict::Unreachable,
            Phase::GivenUp => {
                let no_buffers = self.errno == NO_BUFFERS;
                let errno = if no_buffers { ENOBUFS } else { self.errno.into() };
                Verdict::Refused { errno, no_buffers, was_sent: self.attempt() > 0 }
            }
            _ => Verdict::Unsettled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_takes_eight_bytes() {
        assert_eq!(size_of::<Tally>(), 8);
    }

    #[test]
    fn the_parts_of_the_flags_do_not_affect_each_other() {
        let mut tally = Tally::default();
        for phase in Phase::ALL {
            tally.set_phase(phase);
            assert_eq!(tally.phase(), phase);
        }
        for refund in 1..=Tally::MAX_REFUNDS {
            assert!(tally.refund(), "{refund}");
        }
        assert!(!tally.refund() && !tally.refund());
        tally.mark_late();
        tally.mark_other_source();
        assert_eq!((tally.phase(), tally.was_late(), tally.had_other_source()), (Phase::Settled, true, true));
        assert_eq!(tally.verdict(), Verdict::Undecided);
    }

    #[test]
    fn a_refusal_keeps_its_reason_and_its_times() {
        let mut tally = Tally::default();
        tally.set_phase(Phase::GivenUp);
        tally.set_refused_since(7, 65_535);
        assert_eq!(tally.refused_since(), (7, 65_535));
        for errno in [1, 101, 133] {
            tally.set_errno(errno, false);
            assert_eq!(tally.verdict(), Verdict::Refused { errno, no_buffers: false, was_sent: false });
        }
        tally.set_errno(ENOBUFS, true);
        assert_eq!(tally.verdict(), Verdict::Refused { errno: ENOBUFS, no_buffers: true, was_sent: false });
    }
}
