//! What batch mode knows of the targets of a list, whichever thread has probed them.
//!
//! A target has its number in the list; the prober that its address was dealt to
//! ([`Addresses::deal`]) has another one for it.

use std::fmt::{self, Display, Formatter};
use std::slice;
use std::time::{Duration, Instant};

use multiping::address::{Address, Addresses, Family, TargetId};
use multiping::prober::{Counts, Details, Prober, Strategy, Sweep, TargetDetails, Verdicts};
use multiping::tally::{Tally, Verdict};

/// The probers of all targets, and what is known beside that, if anything is.
#[derive(Clone, Copy)]
pub struct Swept<'a> {
    probers: &'a [Prober<Sweep>],
    details: &'a [Details],
    first_v6: u32,
}

impl<'a> Swept<'a> {
    /// The targets of `probers`, with the details of each share, where they are kept.
    pub fn new(probers: &'a [Prober<Sweep>], details: &'a [Details]) -> Self {
        let v4 = probers.iter().map(|prober| prober.strategy().addresses().count(Family::V4));
        Swept { probers, details, first_v6: v4.sum::<usize>() as u32 }
    }

    /// The targets of one prober.
    pub fn by(prober: &'a Prober<Sweep>) -> Self {
        Swept::new(slice::from_ref(prober), &[])
    }

    /// The probers.
    pub fn probers(&self) -> &'a [Prober<Sweep>] {
        self.probers
    }

    /// The strategy that has a target, and the number that it has there.
    fn find(&self, target: TargetId) -> Option<(usize, &'a Sweep, TargetId)> {
        let (share, place) = match self.probers {
            [_] => (0, target),
            probers => Addresses::share_of(target, self.first_v6, probers.len() as u32),
        };
        Some((share, self.probers.get(share)?.strategy(), place))
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.sum(|sweep| sweep.addresses().len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address of a target, if there is such a target.
    pub fn address(&self, target: TargetId) -> Option<Address> {
        let (_, sweep, place) = self.find(target)?;
        sweep.address(place)
    }

    /// All targets, in ascending order.
    pub fn targets(&self) -> impl Iterator<Item = TargetId> {
        (0..self.len() as u32).map(TargetId)
    }

    /// What is known of a target so far.
    pub fn verdict(&self, target: TargetId) -> Verdict {
        self.find(target).map_or(Verdict::Unsettled, |(_, sweep, place)| sweep.verdict(place))
    }

    /// The state of a target, if there is such a target and it may have been tried.
    pub fn tally(&self, target: TargetId) -> Option<&'a Tally> {
        let (_, sweep, place) = self.find(target)?;
        sweep.tally(place)
    }

    /// The mean RTT of a target's replies so far.
    pub fn mean_rtt(&self, target: TargetId) -> Option<Duration> {
        let (_, sweep, place) = self.find(target)?;
        sweep.mean_rtt(place)
    }

    /// The details of a target; `None`: none are kept.
    pub fn details(&self, target: TargetId) -> Option<&'a TargetDetails> {
        let (share, _, place) = self.find(target)?;
        self.details.get(share)?.get(place)
    }

    /// How many targets are alive.
    pub fn alive(&self) -> usize {
        self.sum(Sweep::alive)
    }

    /// How many targets are settled.
    pub fn settled(&self) -> usize {
        self.sum(Sweep::settled)
    }

    /// How many targets answered for the first time after a timeout.
    pub fn after_retry(&self) -> usize {
        self.sum(Sweep::after_retry)
    }

    /// Whether any probe was sent to another machine.
    pub fn sent_outward(&self) -> bool {
        self.probers.iter().any(Prober::sent_outward)
    }

    /// What happened, in packets.
    pub fn counts(&self) -> Counts {
        self.probers.iter().map(Prober::counts).fold(Counts::default(), |sum, counts| Counts {
            sent: sum.sent + counts.sent,
            refused: sum.refused + counts.refused,
            replies: sum.replies + counts.replies,
            timeouts: sum.timeouts + counts.timeouts,
            other_source: sum.other_source + counts.other_source,
            duplicates: sum.duplicates + counts.duplicates,
            late: sum.late + counts.late,
            damaged: sum.damaged + counts.damaged,
            stray: sum.stray + counts.stray,
            icmp_errors: sum.icmp_errors + counts.icmp_errors,
            overflow_refunds: sum.overflow_refunds + counts.overflow_refunds,
            link_refunds: sum.link_refunds + counts.link_refunds,
            queue_refunds: sum.queue_refunds + counts.queue_refunds,
            discard_refunds: sum.discard_refunds + counts.discard_refunds,
            reference_refunds: sum.reference_refunds + counts.reference_refunds,
            queued: sum.queued + counts.queued,
            longest_queued: sum.longest_queued.max(counts.longest_queued),
            // The same buffers were full for each of them, at the same time.
            no_buffers: sum.no_buffers.max(counts.no_buffers),
        })
    }

    fn sum(&self, count: impl Fn(&Sweep) -> usize) -> usize {
        self.probers.iter().map(|prober| count(prober.strategy())).sum()
    }
}

impl Verdicts for Swept<'_> {
    fn verdicts(&self) -> impl Iterator<Item = (TargetId, Address, Verdict)> {
        self.targets().filter_map(|target| {
            let (_, sweep, place) = self.find(target)?;
            Some((target, sweep.address(place)?, sweep.verdict(place)))
        })
    }

    fn invalid_replies(&self, target: TargetId) -> (bool, bool) {
        self.find(target).map_or((false, false), |(_, sweep, place)| sweep.invalid_replies(place))
    }
}

/// How far a run has come, for the status line.
#[derive(Clone, Copy, Debug, Default)]
pub struct BatchProgress {
    /// How many targets there are.
    pub targets: usize,
    /// How many targets have been tried.
    pub tried: usize,
    /// How many are alive so far.
    pub alive: usize,
    /// How many have let a timeout pass and have not answered so far.
    pub silent: usize,
    /// About how much longer the run takes.
    pub remaining: Duration,
}

impl BatchProgress {
    /// The state of `prober` at `now`.
    pub fn of(prober: &Prober<Sweep>, now: Instant) -> Self {
        let sweep = prober.strategy();
        BatchProgress {
            targets: sweep.addresses().len(),
            tried: sweep.tried(),
            alive: sweep.alive(),
            silent: sweep.silent(),
            remaining: prober.remaining(now),
        }
    }

    /// That of two shares of a run.
    pub fn with(self, other: BatchProgress) -> Self {
        BatchProgress {
            targets: self.targets + other.targets,
            tried: self.tried + other.tried,
            alive: self.alive + other.alive,
            silent: self.silent + other.silent,
            remaining: self.remaining.max(other.remaining),
        }
    }
}

impl Display for BatchProgress {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let BatchProgress { targets, tried, alive, silent, remaining } = self;
        write!(f, "{tried} of {targets} probed, {alive} alive, {silent} silent, ")?;
        write!(f, "about {} s left", remaining.as_secs_f64().ceil())
    }
}
