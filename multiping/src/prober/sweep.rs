//! The strategy of batch mode: each target is probed until it has replied often enough or timed out
//! too often, one probe at a time. In 20 bytes a target with its address.
//!
//! A send that the kernel refuses is no attempt: the target is due again after a while. One that is
//! refused for long is set aside, so that it delays no other, and tried again when all else is
//! settled.

mod moves;
mod refusals;

use std::iter;
use std::time::{Duration, Instant};

use crate::address::{Address, Addresses, Family, TargetId};
use crate::alloc::{OutOfMemory, try_with_capacity};
use crate::plan::Plan;
use crate::prober::order::Order;
use crate::prober::queue::{Nodes, Queue};
use crate::prober::strategy::{Attempt, Blame, Invalid, Strategy, TimedOut, Timeout};
use crate::prober::sweep::refusals::Round;
use crate::tally::{self, Phase, TICK, Tally, Verdict, long_ticks};
use crate::token::Key;

/// Probes each target of a list, first attempts before all others.
///
/// ```
/// use std::{hash::RandomState, time::Instant};
/// use multiping::{Address, proto::{AddressList, Key, Plan, Strategy, Sweep, TargetId}};
///
/// let now = Instant::now();
/// let mut list = AddressList::default();
/// list.push(Address::from([192, 0, 2, 1]))?;
/// let (addresses, _) = list.dedup()?;
/// let sweep = Sweep::new(&Plan::default(), addresses, &Key::new(RandomState::new()), now)?;
/// assert_eq!(sweep.ready(now).next(), Some((TargetId(0), 0)));
/// # Ok::<_, multiping::OutOfMemory>(())
/// ```
pub struct Sweep {
    addresses: Addresses,
    retries: u8,
    responses: u8,
    spacing: Duration,
    /// The distinct timeouts of successive attempts; the last one holds for all further attempts.
    timeouts: Vec<Duration>,
    total_timeout: Duration,
    /// Of the targets up to the last one that has been tried, so that a target takes its memory
    /// when it is tried.
    tallies: Vec<Tally>,
    /// Sums of RTTs in ticks of the same, where more than one reply is needed.
    sums: Vec<u64>,
    nodes: Nodes,
    /// The probes in flight, a queue for each of `timeouts`.
    in_flight: Vec<Queue>,
    /// Targets that were refused, in the order in which they are due again.
    refused: Queue,
    set_aside: Queue,
    /// Targets whose probe in flight failed, and the attempt. Grows only if errors count.
    failed: Vec<(TargetId, u32)>,
    due: Queue,
    due_count: usize,
    refused_count: usize,
    set_aside_count: usize,
    round: Option<Round>,
    order: Order,
    /// How many targets have been tried, in that order.
    tried: u32,
    settled: usize,
    given_up: usize,
    alive: usize,
    silent: usize,
    after_retry: usize,
    epoch: Instant,
    /// When the last probe was sent, in ticks from the epoch: 32-bit times are counted back from
    /// it.
    last_ticks: u64,
    /// When the last send was refused, in coarse ticks from the epoch: likewise.
    last_refusal: u64,
    /// When a target was last tried for the first time.
    last_first_attempt: Instant,
}

impl Sweep {
    /// How many bytes the state of a target takes, apart from its address.
    pub const BYTES_PER_TARGET: usize = size_of::<Tally>() + Nodes::BYTES_PER_TARGET;

    /// A sweep over `addresses` that begins at `now`; `key` shuffles it if the plan says so.
    pub fn new(plan: &Plan, addresses: Addresses, key: &Key, now: Instant) -> Result<Self, OutOfMemory> {
        let targets = addresses.len();
        let (v4, v6) = (addresses.count(Family::V4), addresses.count(Family::V6));
        let sums = if plan.responses() > 1 { targets } else { 0 };
        let timeouts = plan.timeouts();
        Ok(Sweep {
            tallies: try_with_capacity(targets)?,
            sums: try_with_capacity(sums)?,
            nodes: Nodes::new(targets)?,
            in_flight: vec![Queue::EMPTY; timeouts.len()],
            refused: Queue::EMPTY,
            set_aside: Queue::EMPTY,
            failed: Vec::new(),
            due: Queue::EMPTY,
            due_count: 0,
            refused_count: 0,
            set_aside_count: 0,
            round: None,
            order: Order::new(v4, v6, plan.shuffle().then(|| key.clone())),
            tried: 0,
            settled: 0,
            given_up: 0,
            alive: 0,
            silent: 0,
            after_retry: 0,
            epoch: now,
            last_ticks: 0,
            last_refusal: 0,
            last_first_attempt: now,
            retries: plan.retries(),
            responses: plan.responses(),
            spacing: plan.spacing(),
            timeouts,
            total_timeout: plan.total_timeout(),
            addresses,
        })
    }

    /// The targets.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// How many targets have been tried at least once.
    pub fn tried(&self) -> usize {
        self.tried as usize
    }

    /// How many targets are settled.
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// How many targets are alive so far.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// How many targets have let a timeout pass, or failed by an ICMP error, and have not answered
    /// so far.
    pub fn silent(&self) -> usize {
        self.silent
    }

    /// How many targets answered for the first time after a timeout.
    pub fn after_retry(&self) -> usize {
        self.after_retry
    }

    /// The state of a target. `None`: there is no such target, or neither it nor one behind it has
    /// been tried.
    pub fn tally(&self, target: TargetId) -> Option<&Tally> {
        self.tallies.get(target.index())
    }

    /// The mean RTT of a target's replies so far.
    pub fn mean_rtt(&self, target: TargetId) -> Option<Duration> {
        let tally = self.tally(target).filter(|tally| tally.replies > 0)?;
        // Before a target is settled, its ticks are the time of its last probe.
        let sum = self.sums.get(target.index()).filter(|_| tally.phase() != Phase::Settled);
        match sum {
            Some(sum) => Some(TICK * u32::try_from(sum / u64::from(tally.replies)).ok()?),
            None => Some(TICK * tally.ticks),
        }
    }

    /// What is known of a target so far.
    pub fn verdict(&self, target: TargetId) -> Verdict {
        self.tally(target).map_or(Verdict::Unsettled, Tally::verdict)
    }

    /// How many targets have a probe to send now or later, whatever is in flight.
    pub(super) fn waiting(&self) -> usize {
        self.untried() + self.due_count + self.refused_count + self.set_aside_count
    }

    pub(super) fn untried(&self) -> usize {
        self.addresses.len() - self.tried()
    }

    pub(super) fn last_first_attempt(&self) -> Instant {
        self.last_first_attempt
    }

    /// How long a target that never replies is probed from its first attempt on, if each is sent at
    /// once.
    pub(super) fn total_timeout(&self) -> Duration {
        self.total_timeout
    }

    /// The timeout of a target's last attempt.
    pub(super) fn last_timeout(&self) -> Duration {
        self.timeout(self.retries)
    }

    /// Ends the run: targets that have replied are alive, those with a timeout are unreachable, and
    /// the rest stay unsettled. Returns how many targets were unsettled.
    pub fn stop(&mut self) -> usize {
        let unsettled = self.addresses.len() - self.settled - self.given_up;
        for number in 0..self.tallies.len() {
            let tally = &self.tallies[number];
            let is_over = matches!(tally.phase(), Phase::Settled | Phase::GivenUp);
            if !is_over && (tally.replies > 0 || tally.timeouts > 0) {
                self.settle(TargetId(number as u32));
            }
        }
        unsettled
    }

    /// The timeout of a probe to a target that has timed out this often.
    fn timeout(&self, timeouts: u8) -> Duration {
        self.timeouts[self.queue_of(timeouts)]
    }

    /// Which queue a probe is in that is sent to a target that has timed out this often.
    fn queue_of(&self, timeouts: u8) -> usize {
        usize::from(timeouts).min(self.timeouts.len() - 1)
    }

    /// Takes `target` from those that are to be sent to.
    fn take(&mut self, target: TargetId, at: Instant) -> Phase {
        let end = target.index() + 1;
        if self.tallies.len() < end {
            self.tallies.resize(end, Tally::default());
            if self.responses > 1 {
                self.sums.resize(end, 0);
            }
        }
        let phase = self.tallies[target.index()].phase();
        if phase == Phase::Untried {
            self.tried += 1;
            self.last_first_attempt = at;
        } else {
            self.due_count -= 1;
            self.nodes.remove(&mut self.due, target);
        }
        phase
    }

    /// Moves `target`, which was taken, in flight.
    fn set_in_flight(&mut self, target: TargetId, at: Instant) {
        let ticks = self.ticks(at).clamp(self.last_ticks, self.latest());
        self.last_ticks = ticks;
        let tally = &mut self.tallies[target.index()];
        tally.ticks = ticks as u32;
        tally.set_phase(Phase::InFlight);
        let queue = self.queue_of(self.tallies[target.index()].timeouts);
        self.nodes.push_back(&mut self.in_flight[queue], target);
    }

    fn remove_from_flight(&mut self, target: TargetId) {
        let queue = self.queue_of(self.tallies[target.index()].timeouts);
        self.nodes.remove(&mut self.in_flight[queue], target);
    }

    /// Makes `target` due, in `phase`.
    fn enqueue(&mut self, target: TargetId, phase: Phase) {
        self.tallies[target.index()].set_phase(phase);
        self.nodes.push_back(&mut self.due, target);
        self.due_count += 1;
    }

    fn settle(&mut self, target: TargetId) {
        let tally = &mut self.tallies[target.index()];
        let sum = self.sums.get(target.index());
        if let Some(mean) = sum.and_then(|sum| sum.checked_div(u64::from(tally.replies))) {
            tally.ticks = mean as u32;
        }
        tally.set_phase(Phase::Settled);
        self.alive += usize::from(tally.replies > 0);
        self.settled += 1;
    }

    /// When the next probe may be sent to `target`, which is due.
    fn due_at(&self, target: TargetId) -> Instant {
        match self.tallies[target.index()].phase() {
            // Its last probe was sent longer ago than any spacing, if ever.
            Phase::DueAgain => self.epoch,
            _ => self.sent_at(target) + self.spacing,
        }
    }

    /// When the last probe to `target` was sent. Its 32 bits are counted back from the last probe
    /// of all: no probe is in flight for longer than they reach.
    fn sent_at(&self, target: TargetId) -> Instant {
        self.epoch + Duration::from_nanos(self.sent_ticks(target) * TICK.as_nanos() as u64)
    }

    fn sent_ticks(&self, target: TargetId) -> u64 {
        let back = (self.last_ticks as u32).wrapping_sub(self.tallies[target.index()].ticks);
        self.last_ticks - u64::from(back)
    }

    /// The oldest probe in flight of each timeout, and that timeout.
    fn oldest_in_flight(&self) -> impl Iterator<Item = (TargetId, Duration)> {
        let oldest = self.in_flight.iter().map(Queue::first).zip(&self.timeouts);
        oldest.filter_map(|(target, &timeout)| Some((target?, timeout)))
    }

    /// Ends the attempt at `target` in flight, which was not answered. `failed`: an ICMP error said
    /// that it was not delivered, and no other is made.
    fn end_attempt(&mut self, target: TargetId, blame: Blame, failed: bool) -> Timeout {
        self.remove_from_flight(target);
        let tally = &mut self.tallies[target.index()];
        let is_excused = blame == Blame::Likely || blame == Blame::Possible && tally.refunds() == 0;
        if is_excused && tally.refund() {
            self.enqueue(target, Phase::Due);
            return Timeout::Refunded;
        }
        self.silent += usize::from(tally.replies == 0 && tally.timeouts == 0);
        if !failed && tally.timeouts < self.retries {
            tally.timeouts += 1;
            self.enqueue(target, Phase::Due);
        } else {
            self.settle(target);
        }
        match failed {
            false => Timeout::Counted,
            true if is_excused => Timeout::Doubtful,
            true => Timeout::Failed,
        }
    }

    /// The latest tick that does not wrap past the oldest probe in flight. It is reached only if
    /// the process was stopped for minutes in a send call; that batch then gets an earlier send
    /// time and times out early.
    fn latest(&self) -> u64 {
        let oldest = self.oldest_in_flight().map(|(target, _)| self.sent_ticks(target)).min();
        oldest.map_or(u64::MAX, |oldest| oldest + u64::from(u32::MAX))
    }

    fn ticks(&self, at: Instant) -> u64 {
        long_ticks(at.saturating_duration_since(self.epoch))
    }

    /// The probe in flight that times out next, when it was sent, and when it times out.
    fn first_to_time_out(&self) -> Option<(TargetId, Instant, Instant)> {
        let oldest = self.oldest_in_flight().map(|(target, timeout)| {
            let sent = self.sent_at(target);
            (target, sent, sent + timeout)
        });
        oldest.min_by_key(|&(.., deadline)| deadline)
    }
}

impl Strategy for Sweep {
    fn address(&self, target: TargetId) -> Option<Address> {
        self.addresses.get(target)
    }

    /// First attempts first, then the others in the order in which they fell due.
    fn ready(&self, now: Instant) -> impl Iterator<Item = (TargetId, u32)> {
        let untried = (self.tried..).map_while(|nth| self.order.at(nth)).map(|target| (target, 0));
        let first = if self.untried() == 0 { self.due.first() } else { None };
        let due = iter::successors(first, |&target| self.nodes.next(target))
            .take_while(move |&target| self.due_at(target) <= now)
            .map(|target| (target, self.tallies[target.index()].attempt()));
        untried.chain(due)
    }

    fn next_due(&self) -> Option<Instant> {
        match self.untried() {
            0 => self.due.first().map(|target| self.due_at(target)),
            _ => Some(self.epoch),
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let failed = (!self.failed.is_empty()).then_some(self.epoch);
        let timeout = failed.or_else(|| self.first_to_time_out().map(|(.., deadline)| deadline));
        [timeout, self.next_retry(), self.next_round()].into_iter().flatten().min()
    }

    fn mark_sent(&mut self, target: TargetId, at: Instant) {
        let phase = self.take(target, at);
        if let Some(round) = &mut self.round {
            round.progress |= phase == Phase::DueAgain;
        }
        self.set_in_flight(target, at);
    }

    fn mark_refused(&mut self, target: TargetId, errno: i32, no_buffers: bool, at: Instant) {
        self.refuse(target, errno, no_buffers, at);
    }

    fn attempt(&self, target: TargetId, attempt: u32) -> Attempt {
        let Some(tally) = self.tally(target) else { return Attempt::Over };
        if tally.phase() == Phase::InFlight && attempt == tally.attempt() {
            return Attempt::InFlight { sent: self.sent_at(target), timeout: self.timeout(tally.timeouts) };
        }
        // Which of several attempts were answered is not kept: where some were and some were not,
        // this is a guess, and only for the counters.
        let last = attempt + 1 == tally.attempt();
        if tally.replies > 0 && (last || tally.timeouts == 0) { Attempt::Answered } else { Attempt::Over }
    }

    fn record_reply(&mut self, target: TargetId, _: u32, rtt: Duration) {
        self.remove_from_flight(target);
        let ticks = tally::ticks(rtt);
        let tally = &mut self.tallies[target.index()];
        if tally.replies == 0 && tally.timeouts > 0 {
            self.silent -= 1;
            self.after_retry += 1;
        }
        tally.replies += 1;
        match self.sums.get_mut(target.index()) {
            Some(sum) => *sum += u64::from(ticks),
            None => tally.ticks = ticks,
        }
        if tally.replies >= self.responses { self.settle(target) } else { self.enqueue(target, Phase::Due) }
    }

    fn record_invalid(&mut self, target: TargetId, why: Invalid) {
        let tally = self.tallies.get_mut(target.index());
        tally.into_iter().for_each(|tally| match why {
            Invalid::Late => tally.mark_late(),
            Invalid::OtherSource => tally.mark_other_source(),
        });
    }

    fn record_failure(&mut self, target: TargetId, attempt: u32) {
        // Without memory for it the timeout ends the attempt.
        if self.failed.try_reserve(1).is_ok() {
            self.failed.push((target, attempt));
        }
    }

    fn end_failed(&mut self, mut blame: impl FnMut(Address, Instant) -> Blame, mut on_end: impl FnMut(TimedOut)) {
        while let Some((target, attempt)) = self.failed.pop() {
            // It may have been answered since, or have failed twice.
            let Attempt::InFlight { sent, .. } = self.attempt(target, attempt) else { continue };
            let blame = self.addresses.get(target).map_or(Blame::No, |address| blame(address, sent));
            let timeout = self.end_attempt(target, blame, true);
            on_end(TimedOut { target, attempt, sent, timeout });
        }
    }

    fn expire(
        &mut self,
        now: Instant,
        mut blame: impl FnMut(Address, Instant) -> Blame,
        mut on_timeout: impl FnMut(TimedOut),
    ) {
        while let Some((target, sent, _)) = self.first_to_time_out().filter(|&(.., deadline)| deadline <= now) {
            let attempt = self.tallies[target.index()].attempt();
            let blame = self.addresses.get(target).map_or(Blame::No, |address| blame(address, sent));
            let timeout = self.end_attempt(target, blame, false);
            on_timeout(TimedOut { target, attempt, sent, timeout });
        }
        self.retry_refused(now);
    }

    fn is_done(&self) -> bool {
        self.settled + self.given_up == self.addresses.len()
    }
}
