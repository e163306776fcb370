//! `--json=packets`: a record for each packet, as they come.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use multiping::address::{Address, TargetId};
use multiping::prober::{Event, ReplyKind, TimedOut, Timeout};
use multiping::wire::{IcmpError, Query, QueryBody, RecordedRoute, Reply};

use crate::report::json::optional;
use crate::report::json::record::{self, About, Text, errno_name, rtt_nanoseconds};
use crate::report::json::write;
use crate::report::{Rfc3339, Times};

/// What happened to a probe.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    /// The target.
    pub target: TargetId,
    /// Which attempt at the target it is about.
    attempt: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Arrival {
        kind: &'static str,
        seq: u16,
        bytes: usize,
        ttl: Option<u8>,
        rtt: Option<Duration>,
        from: Option<Address>,
        query: Option<Query>,
        route: Option<RecordedRoute>,
    },
    TimedOut,
    IcmpError {
        error: IcmpError,
        from: Address,
    },
    SendError {
        errno: i32,
    },
}

impl Packet {
    /// What there is to write of an event; `None`: nothing.
    pub fn of(event: &Event) -> Option<Self> {
        match *event {
            Event::Received { from, reply: Some(reply), kind, elsewhere, ttl, route, .. } => {
                let (target, attempt) = kind.about()?;
                let (kind, rtt) = match kind {
                    ReplyKind::Reply { rtt, .. } => ("reply", Some(rtt)),
                    ReplyKind::Duplicate { rtt, .. } => ("duplicate", rtt),
                    ReplyKind::Late { rtt, .. } => ("late", rtt),
                    ReplyKind::Altered { .. } | ReplyKind::Damaged | ReplyKind::Stray => ("damaged", None),
                };
                let (seq, bytes, from) = (reply.seq(), reply.message_len(), elsewhere.then_some(from));
                let query = if let Reply::Query(query) = reply { Some(query) } else { None };
                let what = What::Arrival { kind, seq, bytes, ttl, rtt, from, query, route };
                Some(Packet { target, attempt, what })
            }
            // One that an ICMP error ended did not time out.
            Event::TimedOut(TimedOut { timeout: Timeout::Failed, .. }) => None,
            Event::TimedOut(TimedOut { target, attempt, .. }) => Some(Packet { target, attempt, what: What::TimedOut }),
            Event::IcmpError { from, error, about: Some((target, attempt)), .. } => {
                Some(Packet { target, attempt, what: What::IcmpError { error, from } })
            }
            Event::SendError { probe, error, .. } => {
                let (attempt, what) = (probe.token.attempt, What::SendError { errno: error.errno() });
                Some(Packet { target: probe.target, attempt, what })
            }
            Event::Sent { .. }
            | Event::Received { .. }
            | Event::IcmpError { .. }
            | Event::Message { .. }
            | Event::Done { .. } => None,
        }
    }

    /// Writes the record. `time` is since 1970; `target` and `label` are of the target's first
    /// line.
    pub fn write(&self, time: Duration, target: impl Display, label: &str, out: &mut impl Write) -> io::Result<()> {
        let about = About { time: Text(Rfc3339(time)), target: Text(target), label, probe: self.attempt };
        match self.what {
            What::Arrival { kind, seq, bytes, ttl, rtt, from, query, ref route } => {
                let (rtt_ns, from) = (rtt.map(rtt_nanoseconds), from.map(Text));
                let times =
                    query.and_then(|query| Times::of(&Reply::Query(query), || time, rtt)).map(optional::Times::from);
                let route = route.as_ref().map(RecordedRoute::hops);
                let mask = query.and_then(|query| match query.body {
                    QueryBody::Mask(mask) => Some(Text(mask)),
                    QueryBody::Timestamp { .. } => None,
                });
                write(&record::Arrival { kind, about, seq, bytes, ttl, rtt_ns, from, times, mask, route }, out)
            }
            What::TimedOut => write(&record::TimedOut { about }, out),
            What::IcmpError { error, from } => write(&record::IcmpErrorRecord::new(about, error, from), out),
            What::SendError { errno } => write(&record::SendError { about, errno, errno_name: errno_name(errno) }, out),
        }
    }
}
