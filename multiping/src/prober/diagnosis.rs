//! Whose fault it is that a target was silent or could not be sent to: the target's, or this
//! machine's.

use std::slice;

use crate::address::{Address, Family, PerFamily, TargetId};
use crate::prober::{Prober, Strategy, Sweep};
use crate::tally::{Tally, Verdict};

/// What is known of the targets of a run.
pub trait Verdicts {
    /// Every target with its address, in ascending order, and what is known of it.
    fn verdicts(&self) -> impl Iterator<Item = (TargetId, Address, Verdict)>;

    /// Whether replies came late from a target, and whether from another address where the source
    /// is checked.
    fn invalid_replies(&self, target: TargetId) -> (bool, bool);
}

impl Verdicts for Sweep {
    fn verdicts(&self) -> impl Iterator<Item = (TargetId, Address, Verdict)> {
        self.addresses().iter().map(|(target, address)| (target, address, self.verdict(target)))
    }

    fn invalid_replies(&self, target: TargetId) -> (bool, bool) {
        self.tally(target).map_or((false, false), |tally: &Tally| (tally.was_late(), tally.had_other_source()))
    }
}

/// Why this machine could not send to targets, where that is not particular to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Most of the targets were refused.
    Most,
    /// Several targets had no way out: no route, or a link that is down. Or one that is this
    /// machine itself: its loopback interface is down.
    NoWayOut,
    /// Targets were refused that had been sent to before, or that had answered.
    Lost,
    /// Buffers were full for so long that waiting was given up.
    NoBuffers,
}

/// Targets of one family that were refused until the end for the same reason.
#[derive(Clone, Copy, Debug)]
pub struct Refusals {
    /// The error number.
    pub errno: i32,
    /// The first of the targets.
    pub first: Address,
    /// How many there are.
    pub targets: usize,
}

impl Refusals {
    /// Whether there was no route, or only over a link that is down.
    pub fn is_no_way_out(&self) -> bool {
        matches!(self.errno, ENETDOWN | ENETUNREACH)
    }
}

/// Unreachable targets from which replies came that did not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answered {
    /// How many there are.
    pub targets: usize,
    /// From how many replies came after their timeout.
    pub late: usize,
    /// From how many damaged replies came.
    pub damaged: usize,
    /// From how many replies came from another source, where that is checked.
    pub other_source: usize,
    /// The first of them.
    pub first: Option<Address>,
}

/// What the verdicts of a run come to.
#[derive(Debug, Default)]
pub struct Diagnosis {
    /// How many targets are called unreachable.
    pub unreachable: usize,
    /// How many targets stayed undecided.
    pub undecided: usize,
    /// The targets that were refused until the end, by reason.
    pub refusals: Vec<Refusals>,
    /// By family, the fault of this machine that this shows. `None`: each refusal is particular to
    /// its target, which is unreachable.
    pub fault: PerFamily<Option<Fault>>,
    /// Unreachable targets that did answer.
    pub answered: Answered,
    /// No reference ever answered, so that no target is called unreachable.
    pub no_reference: bool,
}

/// The most targets that are tried once more: see [`Diagnosis::witnesses`].
const MAX_WITNESSES: usize = 8;

/// Error numbers of Linux.
const EPERM: i32 = 1;
const EACCES: i32 = 13;
const ENETDOWN: i32 = 100;
const ENETUNREACH: i32 = 101;

/// The refused targets of one family.
#[derive(Clone, Copy, Debug, Default)]
struct Refused {
    all: usize,
    no_way_out: usize,
    were_sent: usize,
    /// Those of them that a rule forbids now, as that of a firewall which bans a host.
    were_banned: usize,
    no_buffers: usize,
    /// Those of them that are this machine's own addresses, while its loopback interface is down.
    own: usize,
}

impl Diagnosis {
    /// Judges a sweep that has ended; see [`Diagnosis::judge`].
    pub fn new(prober: &Prober<Sweep>, is_remote: impl Fn(Address) -> bool, has_global_ipv6: bool) -> Self {
        Diagnosis::judge(slice::from_ref(prober), prober.strategy(), is_remote, has_global_ipv6)
    }

    /// Judges a run of one prober or several that has ended, of whose targets `known` is known.
    /// `is_remote` says whether an address is another machine's: what reaches this one says nothing
    /// of its network.
    /// `has_global_ipv6`: this machine has a global IPv6 address; without one, IPv6 targets without
    /// a route are no fault of it.
    pub fn judge<S: Strategy>(
        probers: &[Prober<S>],
        known: &impl Verdicts,
        is_remote: impl Fn(Address) -> bool,
        has_global_ipv6: bool,
    ) -> Self {
        let no_reference = probers.iter().all(Prober::no_reference_answered);
        let mut diagnosis = Diagnosis { no_reference, ..Diagnosis::default() };
        let is_damaged = |address: Address| {
            let mut damaged = probers.iter().flat_map(Prober::damaged_from);
            damaged.any(|&from| address.is_source(from))
        };
        let mut refused: PerFamily<Refused> = PerFamily::default();
        let mut alive: PerFamily<bool> = PerFamily::default();
        for (target, address, verdict) in known.verdicts() {
            match verdict {
                Verdict::Unreachable | Verdict::Refused { .. } if diagnosis.no_reference => diagnosis.undecided += 1,
                Verdict::Unreachable => {
                    diagnosis.unreachable += 1;
                    diagnosis.note_answer(address, known.invalid_replies(target), is_damaged(address));
                }
                Verdict::Undecided => diagnosis.undecided += 1,
                Verdict::Refused { errno, no_buffers, was_sent } => {
                    let refused = &mut refused[address.family()];
                    refused.all += 1;
                    refused.no_way_out += usize::from(matches!(errno, ENETDOWN | ENETUNREACH));
                    refused.no_buffers += usize::from(no_buffers);
                    refused.own += usize::from(errno == ENETDOWN && !is_remote(address));
                    refused.were_sent += usize::from(was_sent);
                    refused.were_banned += usize::from(was_sent && matches!(errno, EPERM | EACCES));
                    diagnosis.add_refusal(address, errno);
                }
                Verdict::Alive(_) => alive[address.family()] = alive[address.family()] || is_remote(address),
                Verdict::Unsettled => {}
            }
        }
        for family in Family::BOTH {
            if alive[family] {
                // Whether a rule forbids others as well, one of those shows that are alive.
                refused[family].were_sent -= refused[family].were_banned;
            }
        }
        let mut total: PerFamily<usize> = PerFamily::default();
        if refused.into_iter().any(|(_, refused)| refused.all > 0) {
            let remote = known.verdicts().filter(|&(_, address, _)| is_remote(address));
            remote.for_each(|(_, address, _)| total[address.family()] += 1);
        }
        diagnosis.fault = faults(refused, total, has_global_ipv6);
        if !probers.iter().any(Prober::sent_outward) {
            // That no probe left this machine is more than particular.
            diagnosis.fault = PerFamily::from_fn(|family| (refused[family].all > 0).then_some(Fault::Most));
        }
        for (family, fault) in diagnosis.fault {
            if fault.is_none() {
                diagnosis.unreachable += refused[family].all;
            }
        }
        diagnosis
    }

    /// Where refusals look particular to targets of `family`: targets of it that are alive, from
    /// all parts of the list, and last the one whose address is most like that of the first
    /// refused one. If one of these cannot be sent to any more either, the refusals are this
    /// machine's fault, however few targets were left when it began: see [`Self::mark_lost`].
    pub fn witnesses(
        &self,
        known: &impl Verdicts,
        family: Family,
        is_remote: impl Fn(Address) -> bool,
    ) -> Vec<Address> {
        if self.fault[family].is_some() || self.no_reference || self.refusals_of(family).next().is_none() {
            return Vec::new();
        }
        let alive = || {
            let alive = known.verdicts().filter(|(.., verdict)| matches!(verdict, Verdict::Alive(_)));
            alive.map(|(_, address, _)| address).filter(|&address| address.family() == family && is_remote(address))
        };
        let step = alive().count().div_ceil(MAX_WITNESSES - 1).max(1);
        let mut witnesses: Vec<Address> = alive().step_by(step).collect();
        let forbidden = self.refusals_of(family).find(|refusals| !refusals.is_no_way_out());
        if let Some(first) = forbidden.or_else(|| self.refusals_of(family).next()).map(|refusals| refusals.first) {
            witnesses.extend(alive().min_by_key(|&address| distance(address, first)));
        }
        witnesses
    }

    /// Takes the refusals of `family`, which looked particular, for this machine's fault.
    pub fn mark_lost(&mut self, family: Family) {
        self.unreachable -= self.refusals_of(family).map(|refusals| refusals.targets).sum::<usize>();
        self.fault[family] = Some(Fault::Lost);
    }

    /// Why targets of `family` were refused.
    pub fn refusals_of(&self, family: Family) -> impl Iterator<Item = &Refusals> {
        self.refusals.iter().filter(move |refusals| refusals.first.family() == family)
    }

    /// Whether a target of `family` with this verdict is called unreachable.
    pub fn is_unreachable(&self, verdict: Verdict, family: Family) -> bool {
        match verdict {
            _ if self.no_reference => false,
            Verdict::Unreachable => true,
            Verdict::Refused { .. } => self.fault[family].is_none(),
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

    fn note_answer(&mut self, address: Address, (late, other_source): (bool, bool), damaged: bool) {
        let answered = &mut self.answered;
        answered.late += usize::from(late);
        answered.other_source += usize::from(other_source);
        answered.damaged += usize::from(damaged);
        if late || other_source || damaged {
            answered.targets += 1;
            answered.first.get_or_insert(address);
        }
    }
}

/// How far apart two addresses of a family are: the less, the more bits of their prefixes agree.
fn distance(one: Address, other: Address) -> u128 {
    let bits = |address: Address| match address {
        Address::V4(ip) => ip.to_bits().into(),
        Address::V6(ip, _) => ip.to_bits(),
    };
    bits(one) ^ bits(other)
}

/// Whether refusals are this machine's fault, by family.
fn faults(refused: PerFamily<Refused>, total: PerFamily<usize>, has_global_ipv6: bool) -> PerFamily<Option<Fault>> {
    // Without a global address IPv6 proves nothing.
    let counts = |family| family == Family::V4 || has_global_ipv6;
    let evident: usize =
        Family::BOTH.into_iter().filter(|&family| counts(family)).map(|family| refused[family].all).sum();
    let lost = Family::BOTH.into_iter().map(|family| refused[family].were_sent).sum::<usize>() >= 2;
    PerFamily::from_fn(|family| {
        let Refused { all, no_way_out, no_buffers, own, .. } = refused[family];
        if all == 0 {
            None
        } else if no_buffers > 0 {
            Some(Fault::NoBuffers)
        } else if lost {
            Some(Fault::Lost)
        } else if own > 0 {
            Some(Fault::NoWayOut)
        } else if !counts(family) {
            None
        } else if evident * 2 > total.v4 + total.v6 || total[family] >= 2 && all * 2 > total[family] {
            Some(Fault::Most)
        } else if no_way_out >= 2 && no_way_out * 4 >= total[family] {
            Some(Fault::NoWayOut)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(all: usize) -> PerFamily<Refused> {
        PerFamily { v4: Refused { all, ..Refused::default() }, v6: Refused::default() }
    }

    fn fault(refused: PerFamily<Refused>, v4: usize, v6: usize) -> PerFamily<Option<Fault>> {
        faults(refused, PerFamily { v4, v6 }, true)
    }

    #[test]
    fn a_few_refused_targets_are_particular_wherever_they_are() {
        assert_eq!(fault(v4(2), 42, 0).v4, None);
        assert_eq!(fault(v4(1), 2, 0).v4, None, "half of two");
        assert_eq!(fault(v4(0), 0, 0).v4, None);
    }

    #[test]
    fn most_targets_refused_are_this_machines_fault() {
        assert_eq!(fault(v4(22), 42, 0).v4, Some(Fault::Most));
        assert_eq!(fault(v4(1), 1, 0).v4, Some(Fault::Most), "a list of one");
        // One IPv4 target beside IPv6 ones proves nothing; two of two do.
        assert_eq!(fault(v4(1), 1, 9).v4, None);
        assert_eq!(fault(v4(2), 2, 9).v4, Some(Fault::Most));
    }

    #[test]
    fn a_quarter_without_a_way_out_is_this_machines_fault() {
        let refused = |no_way_out| PerFamily {
            v4: Refused { all: no_way_out, no_way_out, ..Refused::default() },
            v6: Refused::default(),
        };
        assert_eq!(fault(refused(30), 70, 0).v4, Some(Fault::NoWayOut));
        assert_eq!(fault(refused(2), 8, 0).v4, Some(Fault::NoWayOut));
        assert_eq!(fault(refused(2), 9, 0).v4, None);
        assert_eq!(fault(refused(1), 2, 0).v4, None);
    }

    #[test]
    fn two_targets_that_had_been_sent_to_are_this_machines_fault() {
        let refused = |were_sent| PerFamily {
            v4: Refused { all: 2, were_sent, ..Refused::default() },
            v6: Refused { all: 1, ..Refused::default() },
        };
        assert_eq!(fault(refused(1), 500, 500).v4, None);
        let both = fault(refused(2), 500, 500);
        assert_eq!((both.v4, both.v6), (Some(Fault::Lost), Some(Fault::Lost)));
    }

    #[test]
    fn without_a_global_address_ipv6_proves_nothing() {
        let refused = PerFamily { v4: Refused::default(), v6: Refused { all: 5, no_way_out: 5, ..Refused::default() } };
        assert_eq!(faults(refused, PerFamily { v4: 1, v6: 5 }, false).v6, None);
        assert_eq!(faults(refused, PerFamily { v4: 1, v6: 5 }, true).v6, Some(Fault::Most));
    }

    #[test]
    fn that_the_loopback_interface_is_down_is_this_machines_fault() {
        let refused = Refused { all: 1, no_way_out: 1, own: 1, ..Refused::default() };
        let faults = faults(PerFamily { v4: refused, v6: refused }, PerFamily { v4: 100, v6: 0 }, false);
        assert_eq!((faults.v4, faults.v6), (Some(Fault::NoWayOut), Some(Fault::NoWayOut)));
    }

    #[test]
    fn full_buffers_are_never_the_targets_fault() {
        let refused = PerFamily { v4: Refused { all: 1, no_buffers: 1, ..Refused::default() }, v6: Refused::default() };
        assert_eq!(fault(refused, 1000, 0).v4, Some(Fault::NoBuffers));
    }
}
