//! A probe, what its reply may turn out to be, and how often each happened.

use std::fmt;
use std::time::Duration;

use crate::targets::{Address, TargetId};
use crate::token::Token;

/// One Echo Request that is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whom it is for.
    pub target: TargetId,
    /// Where it goes.
    pub address: Address,
    /// What it carries.
    pub token: Token,
    /// Its Sequence Number: a running counter, for people who watch the wire.
    pub seq: u16,
}

/// What a reply turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The first valid answer to a probe in flight.
    Answer {
        /// Who was probed.
        target: TargetId,
        /// Which of its attempts this answers.
        attempt: u32,
        /// The round-trip delay (RFC 2681).
        rtt: Duration,
    },
    /// A further answer to an answered probe.
    Duplicate,
    /// An answer to a probe that had timed out.
    Late,
    /// Its checksum or its token is wrong.
    Damaged,
    /// Not ours, or refused because of its source address.
    Stray,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fate::Answer { rtt, .. } => write!(f, "answer {:.1} usec", rtt.as_secs_f64() * 1e6),
            Fate::Duplicate => f.write_str("duplicate"),
            Fate::Late => f.write_str("late"),
            Fate::Damaged => f.write_str("damaged"),
            Fate::Stray => f.write_str("stray"),
        }
    }
}

/// What happened in a run, in packets and once in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Probes that left.
    pub sent: u64,
    /// Probes that our own system refused to send.
    pub refused: u64,
    /// First valid answers.
    pub replies: u64,
    /// Answers that came from another address than the one probed.
    pub elsewhere: u64,
    /// See [`Fate::Duplicate`].
    pub duplicates: u64,
    /// See [`Fate::Late`].
    pub late: u64,
    /// See [`Fate::Damaged`].
    pub damaged: u64,
    /// See [`Fate::Stray`].
    pub stray: u64,
    /// Attempts given back because this machine may have lost their replies.
    pub given_back: u64,
    /// For how long in all the kernel had no room for a probe.
    pub no_room: Duration,
}

/// Whether a reply from `from` comes from the address that was probed. A zone is compared where the target has one.
pub(super) fn same_source(target: Address, from: Address) -> bool {
    match (target, from) {
        (Address::V6(ip, 0), Address::V6(from, _)) => ip == from,
        _ => target == from,
    }
}
