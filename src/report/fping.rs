//! The lines of fping 5.5, whose clients read them with patterns of their own.

mod headers;
mod icmp;
mod json;
mod netdata;
mod number;
mod rounds;
mod stats;

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

pub use crate::report::fping::headers::{Header, HeaderFields};
pub use crate::report::fping::icmp::icmp_error;
pub use crate::report::fping::json::{json_figures, json_reply, json_stats, json_timeout, json_values, json_warning};
pub use crate::report::fping::netdata::charts;
pub use crate::report::fping::number::Ms;
pub use crate::report::fping::rounds::{Figures, Label, figures_line, probe_line, values_line};
pub use crate::report::fping::stats::{Stats, Trips};

use crate::report::Times;

/// A name as it was typed, which need not be text: bytes that are none are shown as a mark.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a [u8]);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        // For the padding, which a list of pieces has not.
        f.pad(&String::from_utf8_lossy(self.0))
    }
}

/// Which targets have a line in the default mode, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// Whether alive targets have one.
    pub alive: bool,
    /// Whether unreachable targets have one.
    pub unreachable: bool,
    /// Whether the line is the name and nothing more.
    pub bare: bool,
    /// Whether that of an alive target has the round-trip time.
    pub elapsed: bool,
    /// What it has of the header of the reply.
    pub headers: HeaderFields,
}

impl Once {
    /// The line of a target that has answered.
    pub fn alive(&self, name: Name, rtt: Duration, times: Option<Times>, header: &Header) -> String {
        let verdict = if self.bare { "" } else { " is alive" };
        let times = times.map_or(String::new(), |times| timestamps(&times, self.bare));
        let header = self.headers.text(header);
        match self.elapsed {
            true => format!("{name}{verdict}{times}{header} ({} ms)\n", Ms::from(rtt)),
            false => format!("{name}{verdict}{times}{header}\n"),
        }
    }

    /// The line of a target that has not.
    pub fn unreachable(&self, name: Name) -> String {
        format!("{name}{}\n", if self.bare { "" } else { " is unreachable" })
    }
}

/// The line of a further reply to an answered probe, with as many bytes of ICMP.
pub fn duplicate(name: Name, seq: u32, bytes: usize, rtt: Duration) -> String {
    format!("{name} : duplicate for [{seq}], {bytes} bytes, {} ms\n", Ms::from(rtt))
}

/// What follows a line with the times of a reply to a Timestamp request, behind a comma if the line
/// is not `bare`.
pub fn timestamps(times: &Times, bare: bool) -> String {
    let comma = if bare { "" } else { "," };
    let originate = times.originate.unwrap_or_default();
    let [originate, receive, transmit, local] =
        [originate, times.receive, times.transmit, times.local].map(|time| time.0);
    format!("{comma} timestamps: Originate={originate} Receive={receive} Transmit={transmit} Localreceive={local}")
}

/// The last line where some number of targets had to be reachable.
pub fn enough(required: u32, reachable: u32) -> String {
    let enough = if reachable >= required { "Enough" } else { "Not enough" };
    format!("{enough} hosts reachable (required: {required}, reachable: {reachable})\n")
}

#[cfg(test)]
mod tests {
    use multiping::wire::HostTime;

    use super::*;

    const RTT: Duration = Duration::from_micros(1500);

    #[test]
    fn lines_of_the_default_mode() {
        let (headers, none) = (HeaderFields::default(), &Header::default());
        let far = &Header { ttl: Some(63), ..*none };
        let plain = Once { alive: true, unreachable: true, bare: false, elapsed: false, headers };
        assert_eq!(plain.alive(Name(b"a"), RTT, None, none), "a is alive\n");
        assert_eq!(plain.unreachable(Name(b"a")), "a is unreachable\n");
        let timed = Once { elapsed: true, ..plain };
        assert_eq!(timed.alive(Name(b"a"), RTT, None, none), "a is alive (1.50 ms)\n");
        let both = Once { headers: HeaderFields { ttl: true, ..headers }, ..timed };
        assert_eq!(both.alive(Name(b"a"), RTT, None, far), "a is alive (TTL 63) (1.50 ms)\n");
        assert_eq!(timed.unreachable(Name(b"a")), "a is unreachable\n");
        let bare = Once { bare: true, ..timed };
        assert_eq!(bare.alive(Name(b"a"), RTT, None, none), "a (1.50 ms)\n");
        assert_eq!(bare.unreachable(Name(b"a")), "a\n");
        let times = Times {
            originate: Some(HostTime(1)),
            receive: HostTime(2),
            transmit: HostTime(HostTime::NON_STANDARD),
            local: HostTime(4),
        };
        let text = "timestamps: Originate=1 Receive=2 Transmit=2147483648 Localreceive=4 (TTL 63) (1.50 ms)\n";
        assert_eq!(both.alive(Name(b"a"), RTT, Some(times), far), format!("a is alive, {text}"));
        let bare_too = Once { bare: true, ..both };
        assert_eq!(bare_too.alive(Name(b"a"), RTT, Some(times), far), format!("a {text}"));
        assert_eq!(duplicate(Name(b"a"), 2, 64, RTT), "a : duplicate for [2], 64 bytes, 1.50 ms\n");
        assert_eq!(enough(2, 2), "Enough hosts reachable (required: 2, reachable: 2)\n");
        assert_eq!(enough(2, 1), "Not enough hosts reachable (required: 2, reachable: 1)\n");
    }
}
