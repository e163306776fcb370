//! The messages beside Echo that ask a host: Timestamp (RFC 792 page 16) and Address Mask (RFC 950
//! appendix I). They are of IPv4 only, and have a fixed length.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::plan::ProbeKind;
use crate::wire::{Echo, HEADER, Malformed};

/// The types of request and reply.
const TIMESTAMP: [u8; 2] = [13, 14];
const MASK: [u8; 2] = [17, 18];

/// A message that asks a host, or its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// The Identifier.
    pub ident: u16,
    /// The Sequence Number.
    pub seq: u16,
    /// What follows.
    pub body: QueryBody,
}

/// What is asked, or replied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryBody {
    /// Three times of day. A reply has the first as it was sent.
    Timestamp {
        /// When the request was sent, or whatever the sender put there.
        originate: HostTime,
        /// When the host received it.
        receive: HostTime,
        /// When the host sent the reply.
        transmit: HostTime,
    },
    /// The mask of the host's network; zero in a request.
    Mask(Ipv4Addr),
}

/// Milliseconds since midnight UTC, or any other number with the highest bit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostTime(pub u32);

impl HostTime {
    /// What marks a number that is no time of day.
    pub const NON_STANDARD: u32 = 1 << 31;

    /// The time since midnight UTC; `None`: it is none.
    pub fn time_of_day(self) -> Option<Duration> {
        const DAY: Duration = Duration::from_secs(86_400);
        Some(Duration::from_millis(self.0.into())).filter(|&time| time < DAY)
    }
}

impl Query {
    /// The type of requests and of replies of this kind; `None`: they are Echo messages.
    pub fn types(kind: ProbeKind) -> Option<[u8; 2]> {
        match kind {
            ProbeKind::Echo => None,
            ProbeKind::Timestamp => Some(TIMESTAMP),
            ProbeKind::Mask => Some(MASK),
        }
    }

    /// Which kind it is of.
    pub fn kind(&self) -> ProbeKind {
        match self.body {
            QueryBody::Timestamp { .. } => ProbeKind::Timestamp,
            QueryBody::Mask(_) => ProbeKind::Mask,
        }
    }

    /// The length of the ICMP message.
    pub fn message_len(&self) -> usize {
        match self.body {
            QueryBody::Timestamp { .. } => HEADER + 12,
            QueryBody::Mask(_) => HEADER + 4,
        }
    }

    /// Whether a message of this type is a request of some kind, or else a reply.
    pub(super) fn kind_of(msg_type: u8) -> Option<(ProbeKind, bool)> {
        match msg_type {
            msg_type if TIMESTAMP.contains(&msg_type) => Some((ProbeKind::Timestamp, msg_type == TIMESTAMP[0])),
            msg_type if MASK.contains(&msg_type) => Some((ProbeKind::Mask, msg_type == MASK[0])),
            _ => None,
        }
    }

    /// Reads what follows the common header. What follows the message is left.
    pub(super) fn parse(kind: ProbeKind, body: &[u8]) -> Result<Self, Malformed> {
        let Echo { ident, seq, data } = Echo::parse(body)?;
        let word = |index: usize| data.get(index * 4..).and_then(<[u8]>::first_chunk::<4>).ok_or(Malformed);
        let time = |index| word(index).map(|bytes| HostTime(u32::from_be_bytes(*bytes)));
        let body = match kind {
            ProbeKind::Echo => return Err(Malformed),
            ProbeKind::Mask => QueryBody::Mask(Ipv4Addr::from(*word(0)?)),
            ProbeKind::Timestamp => QueryBody::Timestamp { originate: time(0)?, receive: time(1)?, transmit: time(2)? },
        };
        Ok(Query { ident, seq, body })
    }

    /// Writes what follows the common header; `out` has the right length.
    pub(super) fn emit(&self, out: &mut [u8]) -> Option<()> {
        let mut data = [0; 12];
        let length = match self.body {
            QueryBody::Timestamp { originate, receive, transmit } => {
                let times = [originate, receive, transmit].map(|time| time.0);
                data.chunks_exact_mut(4).zip(times).for_each(|(to, time)| to.copy_from_slice(&time.to_be_bytes()));
                12
            }
            QueryBody::Mask(mask) => {
                *data.first_chunk_mut()? = mask.octets();
                4
            }
        };
        Echo { ident: self.ident, seq: self.seq, data: data.get(..length)? }.emit(out)
    }
}
