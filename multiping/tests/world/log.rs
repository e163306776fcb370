//! What happened in a run, in the world's own words: what left when, what arrived when and in which shape, when the
//! driver was at work. The oracle judges from it, and people read it when a world is replayed.

use std::fmt::{self, Display, Formatter};
use std::ops::Range;
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily, TargetId};
use multiping::prober::{Answered, Counts, Fault, ReplyKind, SendError};
use multiping::tally::Verdict;
use multiping::token::Token;

use crate::network::Packet;

/// A probe that left or was refused.
#[derive(Clone, Debug)]
pub struct Departure {
    pub target: TargetId,
    pub address: Address,
    pub token: [u8; Token::LEN],
    /// When it left, in truth.
    pub at: Duration,
    /// What the driver knows of that: the clock before and after the system call.
    pub call: Range<Duration>,
    /// Why it did not leave.
    pub refused: Option<SendError>,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub packet: Packet,
    /// When the driver looked.
    pub seen: Duration,
    pub outcome: Outcome,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receive buffer was full.
    Overflowed,
    /// It was handed to the prober, who said this.
    Judged(ReplyKind),
}

/// What happened in a run.
pub struct Log {
    pub targets: Vec<Address>,
    pub departures: Vec<Departure>,
    pub arrivals: Vec<Arrival>,
    /// When the driver reported overflow.
    pub overflows: Vec<(Family, Duration)>,
    /// When the driver called `handle_timeouts`.
    pub rounds: Vec<Duration>,
    /// From when the driver should have been at work until when it was done: lateness, stops, slow sending.
    pub lapses: Vec<Range<Duration>>,
    pub end: Duration,
    pub verdicts: Vec<Verdict>,
    /// What the prober holds this machine to blame for.
    pub faults: PerFamily<Option<Fault>>,
    /// Unreachable targets that did answer.
    pub answered: Answered,
    pub counts: Counts,
}

impl Display for Log {
    /// The whole story in the order of time, for people.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut story = Vec::new();
        for departure in &self.departures {
            let Departure { target, address, call, at, refused, .. } = departure;
            let what = refused.map_or("sent".to_owned(), |errno| format!("refused with {errno:?}"));
            story.push((*at, format!("{what} to #{} {address} (call {call:?})", target.0)));
        }
        for Arrival { packet, seen, outcome } in &self.arrivals {
            story.push((packet.at, format!("from {} (seen {seen:?}): {outcome:?}", packet.from)));
        }
        story.extend(self.overflows.iter().map(|(family, at)| (*at, format!("{family:?} overflow reported"))));
        story.extend(self.lapses.iter().map(|lapse| (lapse.start, format!("behind until {:?}", lapse.end))));
        story.sort_by_key(|&(at, _)| at);
        for (at, event) in story {
            writeln!(f, "{:>14.6} s  {event}", at.as_secs_f64())?;
        }
        for (place, verdict) in self.verdicts.iter().enumerate() {
            writeln!(f, "#{place} {}: {verdict:?}", self.targets[place])?;
        }
        writeln!(f, "end {:?}, faults {:?}, {:?}", self.end, self.faults, self.counts)
    }
}
