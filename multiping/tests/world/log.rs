//! What happened in a run, as the world saw it: which packets were sent and arrived, when, and when
//! the driver ran. The oracle judges from it; it is printed when a world is run again.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily, TargetId};
use multiping::prober::{Answered, Counts, Fault, ReplyKind, SendError};
use multiping::tally::Verdict;
use multiping::token::Token;

use crate::network::Packet;

/// A probe that was sent or refused.
#[derive(Clone, Debug)]
pub struct Departure {
    pub target: TargetId,
    pub address: Address,
    pub token: [u8; Token::LEN],
    pub seq: u16,
    /// When it was sent.
    pub at: Duration,
    /// The clock before and after the system call, which is what the driver knows.
    pub call: Range<Duration>,
    /// Why it was not sent.
    pub refused: Option<SendError>,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub packet: Packet,
    /// When the driver read it.
    pub read_at: Duration,
    pub reception: Reception,
}

/// How a message was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// The receive buffer was full.
    Dropped,
    /// The prober classified it so.
    Handled(ReplyKind),
    /// An ICMP error, which counted for this attempt at this target, if for any.
    Error(Option<(TargetId, u32)>),
}

/// What happened in a run.
pub struct Log {
    pub targets: Vec<Address>,
    pub departures: Vec<Departure>,
    pub arrivals: Vec<Arrival>,
    /// When the driver reported overflow.
    pub overflows: Vec<(Family, Duration)>,
    /// When the driver called `handle_timeouts`.
    pub timeout_checks: Vec<Duration>,
    /// From when the driver should have run until it was done: late wake-ups, stops, slow sending.
    pub delays: Vec<Range<Duration>>,
    pub end: Duration,
    pub verdicts: Vec<Verdict>,
    /// What the prober holds this machine to blame for.
    pub faults: PerFamily<Option<Fault>>,
    /// Whether a witness could not be sent to at the end.
    pub refused_witnesses: PerFamily<bool>,
    /// Unreachable targets that did answer.
    pub answered: Answered,
    pub counts: Counts,
}

impl Display for Log {
    /// Everything that happened, in order of time.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut events = Vec::new();
        for departure in &self.departures {
            let Departure { target, address, call, at, refused, .. } = departure;
            let what = refused.map_or("sent".to_owned(), |errno| format!("refused with {errno:?}"));
            events.push((*at, format!("{what} to #{} {address} (call {call:?})", target.0)));
        }
        for Arrival { packet, read_at, reception } in &self.arrivals {
            events.push((packet.at, format!("from {} (read at {read_at:?}): {reception:?}", packet.from)));
        }
        events.extend(self.overflows.iter().map(|(family, at)| (*at, format!("{family:?} overflow reported"))));
        events.extend(self.delays.iter().map(|delay| (delay.start, format!("delayed until {:?}", delay.end))));
        events.sort_by_key(|&(at, _)| at);
        for (at, event) in events {
            writeln!(f, "{:>14.6} s  {event}", at.as_secs_f64())?;
        }
        for (place, verdict) in self.verdicts.iter().enumerate() {
            writeln!(f, "#{place} {}: {verdict:?}", self.targets[place])?;
        }
        writeln!(f, "end {:?}, faults {:?}, {:?}", self.end, self.faults, self.counts)
    }
}
