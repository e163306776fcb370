//! Whose fault it is that a target was silent: the target's, or this machine's.

use crate::address::{Address, Family, PerFamily};
use crate::prober::strategy::Refused;
use crate::prober::{Prober, Sweep};
use crate::tally::Verdict;

/// What is known of sending to one family.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SendHistory {
    /// How many targets had a probe sent.
    reached: usize,
    /// While sending fails: how many targets had been reached when that began; 0 if it began among
    /// the retries.
    reached_at_failure: Option<usize>,
    /// Whether a probe was given up for lack of buffers.
    no_buffers: bool,
}

impl SendHistory {
    /// A probe was sent, the `first` to its target or not.
    pub(super) fn sent(&mut self, first: bool) {
        self.reached += usize::from(first);
        self.reached_at_failure = None;
    }

    /// A probe was refused.
    pub(super) fn refused(&mut self, probe: Refused, other_routes_ok: bool) {
        let new = self.reached_at_failure.is_none() && !other_routes_ok;
        if new && !probe.was_sent && self.reached > 0 {
            // Among the retries only targets that were refused before are still unreached. Measured
            // against these, even a few without a route would be all that remained; so they are
            // measured against all targets.
            self.reached_at_failure = Some(if probe.first_attempt { self.reached } else { 0 });
        }
    }

    /// A probe was given up for lack of buffers.
    pub(super) fn gave_up(&mut self) {
        self.no_buffers = true;
    }

    /// Whether sending failed in mid-run: it had worked, and then more than half of the remaining of
    /// all `targets` (of all of them, if it first failed among the retries) were `unsent`. A single
    /// remaining target is not evidence. Also true if one probe was given up for lack of buffers.
    fn failed(&self, targets: usize, unsent: usize) -> bool {
        let remaining = self.reached_at_failure.map(|reached| targets - reached);
        remaining.is_some_and(|remaining| remaining > 1 && unsent * 2 > remaining) || self.no_buffers && unsent > 0
    }
}

/// Why targets were never sent to, where that is not particular to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Not one probe left this machine.
    NothingSent,
    /// Sending worked, and then failed.
    SendingFailed,
}

/// Targets of one family that were never sent to for the same reason.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// The error number.
    pub errno: i32,
    /// The first of the targets.
    pub first: Address,
    /// How many there are.
    pub targets: usize,
}

/// What the verdicts of a run come to.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// How many targets are called unreachable.
    pub unreachable: usize,
    /// How many targets stayed undecided.
    pub undecided: usize,
    /// Why targets were never sent to.
    pub refusals: Vec<Refusals>,
    /// By family, the fault of this machine that kept targets from being sent to. `None`: that is
    /// particular to each of them, and they are unreachable.
    pub fault: PerFamily<Option<Fault>>,
}

impl Diagnosis {
    /// Judges a run that has ended.
    pub fn new(prober: &Prober<Sweep>) -> Self {
        let mut diagnosis = Diagnosis::default();
        let addresses = prober.strategy().addresses();
        for (target, address) in addresses.iter() {
            match prober.strategy().verdict(target) {
                Verdict::Unreachable => diagnosis.unreachable += 1,
                Verdict::Undecided => diagnosis.undecided += 1,
                Verdict::Unsent(errno) => diagnosis.add_refusal(address, errno),
                Verdict::Alive(_) | Verdict::Unsettled => {}
            }
        }
        for family in Family::BOTH {
            let unsent = diagnosis.refusals_of(family).map(|refusals| refusals.targets).sum();
            if unsent == 0 {
                continue;
            }
            diagnosis.fault[family] = if !prober.sent_outward() {
                Some(Fault::NothingSent)
            } else if prober.send_history(family).failed(addresses.count(family), unsent) {
                Some(Fault::SendingFailed)
            } else {
                diagnosis.unreachable += unsent;
                None
            };
        }
        diagnosis
    }

    /// Why targets of `family` were never sent to.
    pub fn refusals_of(&self, family: Family) -> impl Iterator<Item = &Refusals> {
        self.refusals.iter().filter(move |refusals| refusals.first.family() == family)
    }

    /// Whether a target of `family` with this verdict is called unreachable.
    pub fn is_unreachable(&self, verdict: Verdict, family: Family) -> bool {
        match verdict {
            Verdict::Unreachable => true,
            Verdict::Unsent(_) => self.fault[family].is_none(),
            Verdict::Alive(_) | Verdict::Undecided | Verdict::Unsettled => false,
        }
    }

    fn add_refusal(&mut self, address: Address, errno: i32) {
        let same = |refusals: &&mut Refusals| refusals.errno == errno && refusals.first.family() == address.family();
        match self.refusals.iter_mut().find(same) {
            Some(refusals) => refusals.targets += 1,
            None => self.refusals.push(Refusals { errno, first: address, targets: 1 }),
        }
    }
}
