//! Lines for programs that want as little as possible: address, number of the probe, and RTT in
//! milliseconds or why there is none, with one blank between.

use std::io::{self, Write};

use multiping::prober::{Event, ReplyKind, TimedOut};
use multiping::tally::in_ticks;
use nix::errno::Errno;

use crate::report::unit::{Rfc3339, Unit};
use crate::report::{EventContext, EventLines};

/// `192.0.2.1 17 0.365`, with marks behind the RTT: `D` for a duplicate, `L` for a late reply, `F`
/// for one from another source. `-` in its place: the probe is lost.
pub struct Packed {
    /// Whether replies in time have a line.
    pub show_replies: bool,
}

impl EventLines for Packed {
    fn write(&mut self, out: &mut Vec<u8>, context: &EventContext) -> io::Result<()> {
        let EventContext { event, stamp, figures, .. } = *context;
        let addresses = figures.addresses();
        let mut line = |target, attempt, what: std::fmt::Arguments| {
            let Some(address) = addresses.get(target) else { return Ok(()) };
            if let Some(stamp) = stamp {
                write!(out, "{} ", Rfc3339(stamp))?;
            }
            writeln!(out, "{address} {attempt} {what}")
        };
        match *event {
            Event::Received { kind, elsewhere, .. } => {
                let (rtt, mark) = match kind {
                    ReplyKind::Reply { .. } | ReplyKind::Duplicate { .. } if !self.show_replies => return Ok(()),
                    ReplyKind::Reply { rtt, .. } => (rtt, ""),
                    ReplyKind::Duplicate { rtt: Some(rtt), .. } => (rtt, "D"),
                    ReplyKind::Late { rtt: Some(rtt), .. } => (rtt, "L"),
                    _ => return Ok(()),
                };
                let Some((target, attempt)) = kind.about() else { return Ok(()) };
                let source = if elsewhere { "F" } else { "" };
                line(target, attempt, format_args!("{}{mark}{source}", Unit::Ms.figure(in_ticks(rtt))))
            }
            Event::TimedOut(TimedOut { target, attempt, .. }) => line(target, attempt, format_args!("-")),
            Event::SendError { probe, error, .. } => {
                let errno = Errno::from_raw(error.errno());
                line(probe.target, probe.token.attempt, format_args!("!{errno:?}"))
            }
            _ => Ok(()),
        }
    }
}
