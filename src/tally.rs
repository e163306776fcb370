//! What one target has answered, in eight bytes: with a million targets every byte is a megabyte.
//!
//! A tally holds counts and one time. The time is the moment its probe left while a probe is in flight, and the mean
//! RTT once the target is settled: the two are never wanted together. (Where several answers are averaged the sums
//! stand elsewhere until then.) Times are in ticks of 100 ns, kept in 32 bits: a moment wraps after 429 s, which is
//! more than twice the longest timeout; an RTT is at most a timeout and never wraps.

use std::time::Duration;

/// One tick of the 32-bit times.
pub const TICK: Duration = Duration::from_nanos(100);

/// Where a target is on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// No probe has been tried yet.
    #[default]
    Fresh,
    /// A probe is in flight, or was refused by our own system and awaits its timeout all the same.
    InFlight,
    /// The next probe is due.
    Due,
    /// Nothing more will be sent.
    Settled,
}

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered; this is its mean RTT.
    Alive(Duration),
    /// It was sent its probes and stayed silent.
    Unreachable,
    /// None of its probes left this machine, for the reason of this error number.
    Unsent(u8),
    /// It stayed silent, but so many replies were lost on this machine that this means nothing.
    Undecided,
    /// The run ended before the target was settled.
    Unsettled,
}

/// Counts and times of one target.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// When the probe in flight left; once settled, the mean RTT. In ticks.
    pub(crate) ticks: u32,
    /// How many probes were answered.
    pub(crate) replies: u8,
    /// How many probes timed out and counted.
    pub(crate) silences: u8,
    /// Why our own system refused the last probe it refused; 0: it refused none.
    pub(crate) errno: u8,
    flags: u8,
}

// The bits of `Tally::flags`: two of phase, three of give-backs, two truths.
const PHASE: u8 = 0b0000_0011;
const GIVEN_BACK: u8 = 0b0001_1100;
const GIVEN_BACK_ONE: u8 = 0b0000_0100;
const LEFT: u8 = 0b0010_0000;
const DOUBTFUL: u8 = 0b0100_0000;

impl Tally {
    /// How often an attempt may be given back to one target because replies were lost on this machine.
    const MAX_GIVEN_BACK: u8 = 5;

    /// Where the target is on its way.
    pub fn phase(&self) -> Phase {
        match self.flags & PHASE {
            0 => Phase::Fresh,
            1 => Phase::InFlight,
            2 => Phase::Due,
            _ => Phase::Settled,
        }
    }

    pub(crate) fn enter(&mut self, phase: Phase) {
        self.flags = self.flags & !PHASE | phase as u8;
    }

    /// How many attempts have ended: the number of the one in flight, or of the next.
    pub(crate) fn attempt(&self) -> u32 {
        u32::from(self.replies) + u32::from(self.silences) + u32::from(self.given_back())
    }

    /// Whether any probe left this machine.
    pub(crate) fn left(&self) -> bool {
        self.flags & LEFT != 0
    }

    pub(crate) fn mark_left(&mut self) {
        self.flags |= LEFT;
    }

    fn given_back(&self) -> u8 {
        (self.flags & GIVEN_BACK) / GIVEN_BACK_ONE
    }

    /// Takes back an attempt whose reply this machine may have lost. The sixth is not taken back, and leaves doubt.
    pub(crate) fn give_back(&mut self) -> bool {
        if self.given_back() < Self::MAX_GIVEN_BACK {
            self.flags += GIVEN_BACK_ONE;
            true
        } else {
            self.flags |= DOUBTFUL;
            false
        }
    }

    /// How the target ended, or stands.
    pub fn verdict(&self) -> Verdict {
        if self.phase() != Phase::Settled {
            Verdict::Unsettled
        } else if self.replies > 0 {
            Verdict::Alive(TICK * self.ticks)
        } else if !self.left() {
            Verdict::Unsent(self.errno)
        } else if self.flags & DOUBTFUL != 0 {
            Verdict::Undecided
        } else {
            Verdict::Unreachable
        }
    }
}
