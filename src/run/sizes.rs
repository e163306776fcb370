//! Runs with probes of many sizes: what is found of each target, and which size is next where that
//! depends on the answers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use multiping::address::{Addresses, Family, TargetId};
use multiping::alloc::{OutOfMemory, try_filled, try_with_capacity};
use multiping::prober::{Event, Prober, ReplyKind, Roster, SizeRange, SizeSearch, Sizes, Timeout};
use multiping::wire::{HEADER, IcmpError};
use nix::errno::Errno;

use crate::cli::Sizing;
use crate::limits::headers;
use crate::report::sizes::Found;

/// How long to wait after the kernel has refused a probe for another reason than its size.
const REFUSAL_WAIT: Duration = Duration::from_secs(1);

/// What is found by probes of many sizes.
pub(super) struct SizeRun {
    way: Way,
    found: Vec<Found>,
}

/// How the sizes are chosen.
enum Way {
    /// One after the other.
    Range(SizeRange),
    /// By bisection.
    Search(Searches),
}

/// The searches of all targets.
struct Searches {
    targets: Vec<Target>,
    /// When which target is sent its next probe.
    due: BinaryHeap<Reverse<(Instant, u32)>>,
    /// The least time between two probes to a target.
    spacing: Duration,
}

/// The search of one target.
#[derive(Clone, Copy)]
struct Target {
    search: SizeSearch,
    /// The attempt that is waited for.
    awaited: Option<u32>,
    /// When the last probe was sent.
    sent: Instant,
}

impl SizeRun {
    /// A run over these targets from `start` on. Two probes to a target are at least `spacing`
    /// apart.
    pub(super) fn new(
        sizing: Sizing,
        addresses: &Addresses,
        spacing: Duration,
        start: Instant,
    ) -> Result<Self, OutOfMemory> {
        let mut found = try_filled(addresses.len(), Found::default())?;
        let way = match sizing {
            Sizing::Range(range) => Way::Range(range),
            Sizing::Search { least, greatest, tries } => {
                found.iter_mut().for_each(|found| found.is_complete = Some(false));
                let mut targets = try_with_capacity(addresses.len())?;
                let search = SizeSearch::new(least, greatest, tries);
                targets.extend(addresses.iter().map(|_| Target { search, awaited: None, sent: start }));
                let mut due = try_with_capacity(addresses.len())?;
                due.extend(addresses.iter().map(|(target, _)| Reverse((start, target.0))));
                Way::Search(Searches { targets, due: BinaryHeap::from(due), spacing })
            }
        };
        Ok(SizeRun { way, found })
    }

    /// The sizes of the first probes.
    pub(super) fn sizes(&self) -> Result<Sizes, OutOfMemory> {
        match &self.way {
            Way::Range(range) => Ok(Sizes::Range(*range)),
            Way::Search(searches) => try_filled(searches.targets.len(), 0).map(Sizes::Each),
        }
    }

    /// Records an event of the run.
    pub(super) fn record(&mut self, event: &Event) {
        match *event {
            Event::Sent { probe, at } => {
                if let Some(target) = self.searched(probe.target) {
                    (target.awaited, target.sent) = (Some(probe.token.attempt), at);
                }
            }
            Event::SendError { probe, error, at } => {
                let is_too_large = error.errno() == Errno::EMSGSIZE as i32;
                if let Some(target) = self.searched(probe.target) {
                    (target.awaited, target.sent) = (Some(probe.token.attempt), at);
                    if !is_too_large {
                        target.sent += REFUSAL_WAIT;
                    }
                }
                let verdict = if is_too_large { SizeSearch::too_large } else { SizeSearch::unknown };
                self.settle(probe.target, probe.token.attempt, verdict);
            }
            Event::Received {
                reply: Some(reply),
                kind: ReplyKind::Reply { target, attempt, .. } | ReplyKind::Late { target, attempt, .. },
                ..
            } => {
                // A reply that was cut short says nothing of the way back.
                let Some(size) = self.size(target, attempt) else { return };
                let is_whole = reply.message_len() >= HEADER + usize::from(size);
                if let Some(found) = self.found.get_mut(target.index()).filter(|_| is_whole) {
                    found.answered(size);
                }
                self.settle(target, attempt, if is_whole { SizeSearch::answered } else { SizeSearch::lost });
            }
            Event::TimedOut(timed_out) => {
                let is_lost = matches!(timed_out.timeout, Timeout::Counted | Timeout::Failed);
                let verdict = if is_lost { SizeSearch::lost } else { SizeSearch::unknown };
                self.settle(timed_out.target, timed_out.attempt, verdict);
            }
            Event::IcmpError { from, error, about: Some((target, attempt)), .. } if is_too_large(&error) => {
                let fits = error.mtu().map(|mtu| mtu.saturating_sub(headers(error.family).into()));
                if let (Some(mtu), Some(found)) = (error.mtu(), self.found.get_mut(target.index())) {
                    found.named(mtu, from);
                }
                self.settle(target, attempt, |search| match fits {
                    Some(fits) => search.too_large_for(fits),
                    None => search.too_large(),
                });
            }
            _ => {}
        }
    }

    /// A target that is searched.
    fn searched(&mut self, target: TargetId) -> Option<&mut Target> {
        match &mut self.way {
            Way::Range(_) => None,
            Way::Search(searches) => searches.targets.get_mut(target.index()),
        }
    }

    /// The size of an attempt, if it is known.
    fn size(&mut self, target: TargetId, attempt: u32) -> Option<u16> {
        if let Way::Range(range) = &self.way {
            return Some(range.size(attempt));
        }
        let searched = self.searched(target).filter(|searched| searched.awaited == Some(attempt));
        searched.and_then(|searched| searched.search.next())
    }

    /// The attempt that a search waits for has ended so.
    fn settle(&mut self, target: TargetId, attempt: u32, verdict: impl FnOnce(&mut SizeSearch)) {
        let Way::Search(Searches { targets, due, spacing, .. }) = &mut self.way else { return };
        let Some(searched) = targets.get_mut(target.index()) else { return };
        if searched.awaited != Some(attempt) {
            return;
        }
        searched.awaited = None;
        verdict(&mut searched.search);
        // There is room: each target has one place.
        due.push(Reverse((searched.sent + *spacing, target.0)));
        if let Some(found) = self.found.get_mut(target.index()) {
            found.is_complete = Some(searched.search.is_complete());
        }
    }

    /// Has the probes sent that are due.
    pub(super) fn handle_turn(&mut self, prober: &mut Prober<Roster>, now: Instant) {
        let Way::Search(Searches { targets, due, .. }) = &mut self.way else { return };
        while let Some(Reverse((_, index))) = due.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            due.pop();
            let target = TargetId(index);
            let next = targets.get(target.index()).and_then(|target| target.search.next());
            if let Some(size) = next {
                prober.set_size(target, size);
            }
            let roster = prober.strategy_mut();
            if let Some(id) = roster.id(target) {
                if next.is_some() {
                    roster.probe(id, now)
                } else {
                    roster.finish(id)
                };
            }
        }
    }

    /// When the next probe is due.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        match &self.way {
            Way::Range(_) => None,
            Way::Search(searches) => searches.due.peek().map(|Reverse((at, _))| *at),
        }
    }

    /// What was found so far.
    pub(super) fn found(&self) -> &[Found] {
        &self.found
    }
}

/// Whether a router drops what is too large for its next link (RFC 792 page 4, RFC 4443 §3.2).
fn is_too_large(error: &IcmpError) -> bool {
    matches!((error.family, error.msg_type, error.code), (Family::V4, 3, 4) | (Family::V6, 2, _))
}
