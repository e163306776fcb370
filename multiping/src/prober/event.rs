//! Probes, what happens to them, and how often.

use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::address::{Address, TargetId};
use crate::prober::backpressure::SendError;
use crate::prober::strategy::{TimedOut, Timeout};
use crate::token::Token;
use crate::wire::{IcmpError, Original, RecordedRoute, Reply};

/// One request to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The target.
    pub target: TargetId,
    /// Its address.
    pub address: Address,
    /// The token that the probe carries.
    pub token: Token,
    /// The Sequence Number: a running counter, for people who read packet captures.
    pub seq: u16,
    /// How many bytes of data it carries, if not as many as all.
    pub size: Option<u16>,
}

/// What happened to a probe, or what arrived. It is exhaustive, so that the compiler finds each
/// loop that has to handle a new case.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// A probe was sent.
    Sent {
        /// The probe.
        probe: Probe,
        /// When it was sent.
        at: Instant,
    },
    /// The kernel did not accept a probe.
    SendError {
        /// The probe.
        probe: Probe,
        /// Why.
        error: SendError,
        /// When.
        at: Instant,
    },
    /// A packet arrived.
    Received {
        /// Its source address.
        from: Address,
        /// The reply in it, if it is one.
        reply: Option<Reply<'a>>,
        /// What it is for this run.
        kind: ReplyKind,
        /// Whether it is to a probe of ours, and comes from another address than the one probed.
        elsewhere: bool,
        /// Its TTL or Hop Limit, if that is known.
        ttl: Option<u8>,
        /// Its Type Of Service or Traffic Class, if that is known.
        tos: Option<u8>,
        /// When it arrived.
        at: Instant,
        /// The address that it was sent to, where that is known.
        to: Option<IpAddr>,
        /// The route that it has recorded, where that is asked for.
        route: Option<RecordedRoute>,
    },
    /// An ICMP error arrived that quotes a request.
    IcmpError {
        /// Its source address.
        from: Address,
        /// The error.
        error: IcmpError,
        /// The request.
        original: Original<'a>,
        /// The target and the attempt that it counts for. `None`: it is not about a probe in
        /// flight.
        about: Option<(TargetId, u32)>,
        /// When it arrived.
        at: Instant,
    },
    /// Any other ICMP message arrived.
    Message {
        /// Its source address.
        from: Address,
        /// Its type field.
        msg_type: u8,
        /// Its code field.
        code: u8,
        /// When it arrived.
        at: Instant,
    },
    /// A probe was not answered in time.
    TimedOut(TimedOut),
    /// Nothing more will be sent to a target, and nothing is in flight. A late reply to its last
    /// probes, or a duplicate, may still come.
    Done {
        /// The target.
        target: TargetId,
    },
}

/// What a packet that arrived is for this run. It is exhaustive, as [`Event`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// The first valid reply to a probe in flight.
    Reply {
        /// The target that was probed.
        target: TargetId,
        /// Which attempt at it is answered.
        attempt: u32,
        /// The round-trip delay (RFC 2681).
        rtt: Duration,
    },
    /// A further reply to an answered probe.
    Duplicate {
        /// The target that was probed.
        target: TargetId,
        /// Which attempt at it was answered before.
        attempt: u32,
        /// The round-trip delay of this reply; `None`: the strategy does not know it.
        rtt: Option<Duration>,
    },
    /// A reply to a probe that had timed out.
    Late {
        /// The target that was probed.
        target: TargetId,
        /// Which attempt at it is answered too late.
        attempt: u32,
        /// The round-trip delay; `None`: the strategy does not know it, and the attempt stays timed
        /// out.
        rtt: Option<Duration>,
        /// What the timeout was reported as, if it was reported before the reply was read.
        timeout: Option<Timeout>,
    },
    /// The token is right, but not the data after it.
    Altered {
        /// The target that was probed.
        target: TargetId,
        /// Which attempt at it is answered.
        attempt: u32,
        /// The first byte of the data that is not what was sent, counted from 0.
        byte: usize,
    },
    /// The checksum or the token is wrong.
    Damaged,
    /// Not ours, or refused because of its source address.
    Stray,
}

impl ReplyKind {
    /// The target and the attempt that it is to, if it is to a probe of ours.
    pub fn about(&self) -> Option<(TargetId, u32)> {
        match *self {
            ReplyKind::Reply { target, attempt, .. }
            | ReplyKind::Duplicate { target, attempt, .. }
            | ReplyKind::Late { target, attempt, .. }
            | ReplyKind::Altered { target, attempt, .. } => Some((target, attempt)),
            ReplyKind::Damaged | ReplyKind::Stray => None,
        }
    }
}

impl fmt::Display for ReplyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReplyKind::Reply { rtt, .. } => write!(f, "answer {:.1} usec", rtt.as_secs_f64() * 1e6),
            ReplyKind::Duplicate { .. } => f.write_str("duplicate"),
            ReplyKind::Late { .. } => f.write_str("late"),
            ReplyKind::Altered { .. } | ReplyKind::Damaged => f.write_str("damaged"),
            ReplyKind::Stray => f.write_str("stray"),
        }
    }
}

/// What happened in a run, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Probes sent.
    pub sent: u64,
    /// Probes that the kernel refused to send.
    pub refused: u64,
    /// First valid replies.
    pub replies: u64,
    /// Probes that timed out, whether or not that counted.
    pub timeouts: u64,
    /// Replies from another address than the one probed.
    pub other_source: u64,
    /// See [`ReplyKind::Duplicate`].
    pub duplicates: u64,
    /// See [`ReplyKind::Late`].
    pub late: u64,
    /// See [`ReplyKind::Altered`] and [`ReplyKind::Damaged`].
    pub damaged: u64,
    /// See [`ReplyKind::Stray`].
    pub stray: u64,
    /// ICMP errors about probes in flight, where these are not ignored.
    pub icmp_errors: u64,
    /// Attempts repeated, or doubtful, because this machine may have lost their replies.
    pub overflow_refunds: u64,
    /// Attempts repeated, or doubtful, because a link lost its carrier or a route went.
    pub link_refunds: u64,
    /// Attempts repeated, or doubtful, because packets waited in a queue of this machine.
    pub queue_refunds: u64,
    /// Attempts repeated, or doubtful, because this machine may have dropped the probes.
    pub discard_refunds: u64,
    /// Attempts repeated, or doubtful, because no reference answered.
    pub reference_refunds: u64,
    /// Replies whose probes may have waited in a queue of this machine, and the longest of their
    /// RTTs.
    pub queued: u64,
    /// See `queued`.
    pub longest_queued: Duration,
    /// How long in all the neighbour table was full.
    pub no_buffers: Duration,
}

/// The interpolated send times of `count` packets that were sent `during` one system call.
/// Capped at 100 us a packet: a longer call means that the process was stopped in it, usually after
/// the packets were sent.
pub fn send_times(during: &Range<Instant>, count: usize) -> impl Iterator<Item = Instant> + use<> {
    const MAX_PER_PACKET: u64 = 100_000; // in nanoseconds, in which 64 bits are enough
    let (start, count) = (during.start, count as u64);
    let span = during.end.saturating_duration_since(during.start).as_nanos();
    let span = u64::try_from(span).unwrap_or(u64::MAX).min(MAX_PER_PACKET * count);
    (0..count).map(move |index| start + Duration::from_nanos(span * (2 * index + 1) / (2 * count)))
}
