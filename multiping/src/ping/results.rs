//! What became of each target of a list.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::address::{Address, TargetId, TargetMap};
use crate::event::Counts;
use crate::prober::Sweep;
use crate::tally::{self, TICK};
use crate::wire::IcmpError;

/// What became of one target.
///
/// ```
/// use multiping::{Address, Options, ping};
///
/// let targets = (1..=3).map(|number| Address::from([127, 0, 0, number]));
/// let results = match ping(targets, &Options::new()) {
///     Ok(results) => results,
///     Err(error) => return println!("skipped: {error}"), // no right to ping
/// };
/// for outcome in results.iter() {
///     println!("{}: {:?}", outcome.address, outcome.verdict);
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Its address. (`0.0.0.0` if its name has none.)
    pub address: Address,
    /// What became of it.
    pub verdict: Verdict,
}

/// What became of a target. Only [`Verdict::Silent`] and [`Verdict::Unreachable`] speak against it:
/// whatever this machine did wrong has a verdict of its own.
///
/// ```
/// use multiping::Verdict;
///
/// /// Whether to tell somebody at night: only of what speaks against a target.
/// fn alarms(verdict: &Verdict) -> bool {
///     matches!(verdict, Verdict::Silent | Verdict::Unreachable { .. })
/// }
///
/// assert!(alarms(&Verdict::Silent));
/// assert!(!alarms(&Verdict::Undecided) && !alarms(&Verdict::Unsettled));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Verdict {
    /// It answered.
    Alive {
        /// The round-trip times.
        rtt: Rtt,
    },
    /// Its probes left this machine, each had its full timeout, and none was answered.
    Silent,
    /// It was silent, and a router, or the target itself, said why.
    Unreachable {
        /// Who said so.
        by: Address,
        /// The last ICMP error about it.
        error: IcmpError,
    },
    /// None of its probes left this machine, for this reason.
    Unsent(io::Error),
    /// It was silent, but this machine lost replies, or could not send to it for part of the time:
    /// that proves nothing.
    Undecided,
    /// Its name has no address, for this reason.
    Unresolved(io::Error),
    /// The run ended first: it was cancelled, or the deadline came.
    Unsettled,
}

/// The round-trip times of a target, to 100 ns.
///
/// ```
/// use multiping::{Address, Options, ping};
///
/// let targets = (1..=3).map(|number| Address::from([127, 0, 0, number]));
/// let results = match ping(targets, &Options::new()) {
///     Ok(results) => results,
///     Err(error) => return println!("skipped: {error}"), // no right to ping
/// };
/// for (address, rtt) in results.alive() {
///     println!("{address}: {:?} of {} replies", rtt.mean, rtt.replies);
///     assert!(rtt.min <= rtt.mean && rtt.mean <= rtt.max);
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rtt {
    /// The mean.
    pub mean: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// How many answers there were.
    pub replies: u32,
}

/// The last ICMP error about each target that had any, and who sent it.
pub(super) type IcmpErrorsSeen = HashMap<TargetId, (Address, IcmpError)>;

/// The shortest and the longest RTT of a target, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extremes {
    min: u32,
    max: u32,
}

impl Default for Extremes {
    fn default() -> Self {
        Extremes { min: u32::MAX, max: 0 }
    }
}

impl Extremes {
    pub(super) fn record(&mut self, rtt: Duration) {
        let ticks = tally::ticks(rtt);
        (self.min, self.max) = (self.min.min(ticks), self.max.max(ticks));
    }
}

impl Verdict {
    /// Whether it answered.
    pub fn is_alive(&self) -> bool {
        matches!(self, Verdict::Alive { .. })
    }

    pub(super) fn new(sweep: &Sweep, extremes: &[Extremes], errors: &IcmpErrorsSeen, target: TargetId) -> Self {
        match sweep.verdict(target) {
            tally::Verdict::Alive(mean) => {
                let extremes = extremes.get(target.index());
                let (min, max) = extremes.map_or((mean, mean), |extremes| (TICK * extremes.min, TICK * extremes.max));
                let replies = sweep.tally(target).map_or(0, |tally| tally.replies.into());
                Verdict::Alive { rtt: Rtt { mean, min, max, replies } }
            }
            tally::Verdict::Unreachable => match errors.get(&target) {
                Some(&(by, error)) if error.is_failure() => Verdict::Unreachable { by, error },
                _ => Verdict::Silent,
            },
            tally::Verdict::Refused { errno, was_sent: false, .. } => {
                Verdict::Unsent(io::Error::from_raw_os_error(errno))
            }
            tally::Verdict::Refused { was_sent: true, .. } | tally::Verdict::Undecided => Verdict::Undecided,
            tally::Verdict::Unsettled => Verdict::Unsettled,
        }
    }
}

/// What became of each target of a list, in the order given. In memory a target takes about 24
/// bytes, 40 with IPv6.
///
/// ```
/// use multiping::{Address, Options, ping};
///
/// let targets = (1..=3).map(|number| Address::from([127, 0, 0, number]));
/// let results = match ping(targets, &Options::new()) {
///     Ok(results) => results,
///     Err(error) => return println!("skipped: {error}"), // no right to ping
/// };
/// assert_eq!(results.len(), 3);
/// println!("{} silent, {} packets", results.silent().count(), results.counts().sent);
/// println!("complete: {}", results.is_complete());
/// ```
pub struct Results {
    sweep: Sweep,
    map: TargetMap,
    extremes: Vec<Extremes>,
    errors: IcmpErrorsSeen,
    /// The places in the list of names without an address, and why.
    unresolved: Vec<(usize, Arc<io::Error>)>,
    counts: Counts,
    is_complete: bool,
}

impl Results {
    pub(super) fn new(
        sweep: Sweep,
        map: TargetMap,
        extremes: Vec<Extremes>,
        errors: IcmpErrorsSeen,
        counts: Counts,
        is_complete: bool,
    ) -> Self {
        Results { sweep, map, extremes, errors, unresolved: Vec::new(), counts, is_complete }
    }

    /// With names without an address at these places of the list.
    #[cfg(feature = "resolve")]
    pub(super) fn with_unresolved(self, unresolved: Vec<(usize, Arc<io::Error>)>) -> Self {
        Results { unresolved, ..self }
    }

    /// How many targets were given.
    pub fn len(&self) -> usize {
        self.map.len() + self.unresolved.len()
    }

    /// Whether none was given.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What became of each target, in the order given.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Outcome> {
        (0..self.len()).map(|place| self.outcome(place))
    }

    /// The targets that answered, with their round-trip times, in the order given.
    pub fn alive(&self) -> impl Iterator<Item = (Address, Rtt)> {
        self.iter().filter_map(|outcome| match outcome.verdict {
            Verdict::Alive { rtt } => Some((outcome.address, rtt)),
            _ => None,
        })
    }

    /// The targets that did not answer, in the order given: [`Verdict::Silent`] and
    /// [`Verdict::Unreachable`].
    pub fn silent(&self) -> impl Iterator<Item = Address> {
        self.iter()
            .filter(|outcome| matches!(outcome.verdict, Verdict::Silent | Verdict::Unreachable { .. }))
            .map(|outcome| outcome.address)
    }

    /// What happened, in packets.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether the run went to its end: it was not cancelled, and no deadline came first.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn outcome(&self, place: usize) -> Outcome {
        let unresolved = self.unresolved.binary_search_by_key(&place, |&(place, _)| place);
        match unresolved {
            Ok(index) => {
                let why = &self.unresolved[index].1;
                let verdict = Verdict::Unresolved(io::Error::new(why.kind(), why.clone()));
                Outcome { address: Address::from([0, 0, 0, 0]), verdict }
            }
            Err(before) => {
                let target = self.map.get(place - before).unwrap_or(TargetId(u32::MAX));
                let address = self.sweep.addresses().get(target).unwrap_or(Address::from([0, 0, 0, 0]));
                Outcome { address, verdict: Verdict::new(&self.sweep, &self.extremes, &self.errors, target) }
            }
        }
    }
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
