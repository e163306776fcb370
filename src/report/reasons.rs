//! Lines about ICMP errors, for people.

use std::fmt::{self, Display, Formatter};

use multiping::address::Address;
use multiping::prober::{Event, LastError};
use multiping::wire::IcmpError;

use crate::report::Results;
use crate::report::hosts::Host;

/// The last ICMP error about each target, in the order of the list. `is_remote` says whether an
/// address is another machine's.
pub fn last_errors(results: &Results, is_remote: impl Fn(Address) -> bool) -> impl Iterator<Item = String> {
    (0..).zip(results.targets()).filter_map(move |(number, (target, shown))| {
        let LastError { error, from, attempt } = results.swept.details(target)?.last_error()?;
        let host = Host::new(shown, results.lines.label(number));
        Some(line(&Source { from, is_remote: is_remote(from) }, attempt, &host, error))
    })
}

/// An ICMP error about a probe.
pub fn line(source: &Source, attempt: impl Display, host: &Host, error: impl Display) -> String {
    format!("From {source}: icmp_seq={attempt} for {host}: {error}")
}

/// Where an ICMP error comes from.
pub struct Source {
    /// The address.
    pub from: Address,
    /// Whether it is another machine's: this one's kernel reports what has no neighbour.
    pub is_remote: bool,
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_remote { self.from.fmt(f) } else { f.write_str("this machine") }
    }
}

/// An ICMP message of any program, as text; `None`: the event is none, or a reply of ours.
pub fn message(event: &Event) -> Option<String> {
    match *event {
        Event::IcmpError { from, error, original, about, .. } => {
            let destination = original.destination;
            Some(match about {
                Some((_, attempt)) => format!("From {from}: icmp_seq={attempt} for {destination}: {error}"),
                None => format!("From {from}: for {destination}: {error} (not a probe in flight)"),
            })
        }
        Event::Message { from, msg_type, code, .. } => Some(match IcmpError::named(from.family(), msg_type, code) {
            Some(error) => format!("From {from}: {error} (about other traffic)"),
            None => format!("From {from}: ICMP type {msg_type} code {code}"),
        }),
        _ => None,
    }
}
