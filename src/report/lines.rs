//! Lines for people, one for each reply of a run with statistics, in the form of ping(8) of
//! iputils, which many scripts and parsers read.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use multiping::address::TargetId;
use multiping::prober::{Event, ReplyKind, TimedOut, Timeout};
use multiping::tally::in_ticks;
use multiping::wire::{Query, QueryBody, RecordedRoute, Reply};
use nix::errno::Errno;

use crate::report::reasons::{self, Source};
use crate::report::times::Times;
use crate::report::unit::{Rfc3339, Unit};
use crate::report::{EventContext, EventLines};

/// A line for each reply.
pub struct ReplyLines {
    /// In which unit RTTs are.
    pub unit: Unit,
    /// Whether replies have a line.
    pub show_replies: bool,
    /// Whether lost, late and refused probes have a line.
    pub show_lost: bool,
    /// Whether ICMP errors about probes have a line.
    pub show_errors: bool,
    /// The addresses of this machine, in their order.
    pub own: Vec<IpAddr>,
    /// The data of a probe.
    pub data: Vec<u8>,
    /// The last route of each target, where routes are recorded.
    pub routes: Vec<Option<RecordedRoute>>,
}

impl EventLines for ReplyLines {
    fn write(&mut self, out: &mut Vec<u8>, context: &EventContext) -> io::Result<()> {
        let EventContext { event, stamp, time, figures, hosts } = *context;
        let addresses = figures.addresses();
        let start = |out: &mut Vec<u8>| stamp.map_or(Ok(()), |stamp| write!(out, "{} ", Rfc3339(stamp)));
        match *event {
            Event::Received { from, reply: Some(reply), kind, ttl, elsewhere, route, .. } => {
                let Some((target, _)) = kind.about() else { return Ok(()) };
                let Some(host) = hosts.name(target, addresses) else { return Ok(()) };
                let is_shown = match kind {
                    ReplyKind::Late { rtt, .. } => self.show_lost && rtt.is_some(),
                    _ => self.show_replies,
                };
                if !is_shown {
                    return Ok(());
                }
                start(out)?;
                write!(out, "{} bytes from ", reply.message_len())?;
                if elsewhere {
                    write!(out, "{from}: ")?
                } else {
                    write!(out, "{host}: ")?
                }
                self.write_reply(out, kind, &reply, ttl, time)?;
                if elsewhere {
                    write!(out, " (for {host})")?;
                }
                if let Some(route) = route {
                    self.write_route(out, target, route)?;
                }
                writeln!(out)
            }
            Event::TimedOut(TimedOut { target, attempt, timeout, .. }) if self.show_lost => {
                let Some(host) = hosts.name(target, addresses) else { return Ok(()) };
                start(out)?;
                write!(out, "no answer from {host}: icmp_seq={attempt}")?;
                writeln!(out, "{}", if timeout == Timeout::Counted { "" } else { " (may have been lost here)" })
            }
            Event::SendError { probe, error, .. } if self.show_lost => {
                let Some(host) = hosts.name(probe.target, addresses) else { return Ok(()) };
                let (attempt, why) = (probe.token.attempt, Errno::from_raw(error.errno()).desc());
                start(out)?;
                writeln!(out, "not sent to {host}: icmp_seq={attempt}: {why}")
            }
            Event::IcmpError { from, error, about: Some((target, attempt)), .. } if self.show_errors => {
                let Some(host) = hosts.name(target, addresses) else { return Ok(()) };
                let is_remote = !from.ip().is_loopback() && self.own.binary_search(&from.ip()).is_err();
                start(out)?;
                writeln!(out, "{}", reasons::line(&Source { from, is_remote }, attempt, &host, error))
            }
            _ => Ok(()),
        }
    }
}

impl ReplyLines {
    /// Writes a route as ping(8) does: behind the reply if it is the one of the reply before, else
    /// in lines of its own.
    fn write_route(&mut self, out: &mut Vec<u8>, target: TargetId, route: RecordedRoute) -> io::Result<()> {
        let Some(last) = self.routes.get_mut(target.index()) else { return Ok(()) };
        if *last == Some(route) {
            return write!(out, "\t(same route)");
        }
        *last = Some(route);
        for (number, hop) in route.hops().iter().enumerate() {
            write!(out, "\n{}\t{hop}", if number == 0 { "RR: " } else { "" })?;
        }
        Ok(())
    }

    fn write_reply(
        &self,
        out: &mut Vec<u8>,
        kind: ReplyKind,
        reply: &Reply,
        ttl: Option<u8>,
        time: Option<Duration>,
    ) -> io::Result<()> {
        let (attempt, rtt, mark) = match kind {
            ReplyKind::Reply { attempt, rtt, .. } => (attempt, Some(rtt), ""),
            ReplyKind::Duplicate { attempt, rtt, .. } => (attempt, rtt, " (DUP!)"),
            ReplyKind::Late { attempt, rtt, .. } => (attempt, rtt, " (LATE)"),
            ReplyKind::Altered { attempt, .. } => (attempt, None, ""),
            ReplyKind::Damaged | ReplyKind::Stray => return Ok(()),
        };
        write!(out, "icmp_seq={attempt}")?;
        if let Some(ttl) = ttl {
            write!(out, " ttl={ttl}")?;
        }
        if let Some(rtt) = rtt {
            write!(out, " time={}", self.unit.figure(in_ticks(rtt)).with_unit())?;
        }
        write!(out, "{mark}")?;
        match (reply, kind) {
            (Reply::Echo(reply), ReplyKind::Altered { byte, .. }) => {
                match (reply.data.get(byte), self.data.get(byte)) {
                    (Some(is), Some(was)) => {
                        write!(out, " (DAMAGED: byte {byte} is 0x{is:02x}, was sent as 0x{was:02x})")
                    }
                    _ => write!(out, " (DAMAGED)"),
                }
            }
            (Reply::Echo(_), _) => Ok(()),
            (Reply::Query(Query { body: QueryBody::Mask(mask), .. }), _) => write!(out, " mask={mask}"),
            (Reply::Query(_), _) => match time.and_then(|time| Times::of(reply, || time, rtt)) {
                Some(times) => write!(out, "{times}"),
                None => Ok(()),
            },
        }
    }
}
