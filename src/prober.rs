//! The state machine that decides what is sent when, and what an answer is worth.
//!
//! It is clockwork: no sockets, no clock, no randomness. The driver tells it what happened (`handle_*`) and asks what to
//! do (`poll_*`); time is an argument, and calls in excess do no harm. So the whole of it runs in a virtual world,
//! thousands of times in a second.
//!
//! The driver owes it one courtesy: all packets that had arrived at some moment are handed over before
//! [`Prober::handle_timeouts`] is called with that moment. Then it does not matter how late anybody looks: what counts
//! is when a reply arrived.

mod fate;
mod inflight;
mod order;
mod pacer;

use std::ops::Range;
use std::time::{Duration, Instant};

pub use crate::prober::fate::{Counts, Fate, Probe};

use crate::error::Error;
use crate::plan::Plan;
use crate::prober::fate::same_source;
use crate::prober::inflight::{Links, Queue};
use crate::prober::order::Order;
use crate::prober::pacer::Pacer;
use crate::room::filled;
use crate::tally::{Phase, TICK, Tally, Verdict};
use crate::targets::{Address, TargetId, Targets};
use crate::token::{Key, Token};
use crate::wire::{Echo, Family};

/// The most probes that leave in one system call. Their times of leaving are interpolated, so larger batches make RTTs
/// less exact: beside busy processors, 16 made the error's 99th percentile fifty times that of 8, for 0.7 % of the time.
pub const MAX_BATCH: usize = 8;

/// What is known of one family as a whole.
#[derive(Clone, Copy, Debug, Default)]
struct FamilyState {
    /// The Identifier of its probes.
    ident: u16,
    /// When replies were last seen to be lost in this machine's receive buffer.
    overflow: Option<Instant>,
    /// How many of its targets have had a probe leave.
    reached: usize,
    /// How many of its targets had not been reached when sending began to fail, if it fails now; all of its targets, if
    /// it began to fail among the retries.
    unreached_when_broken: Option<usize>,
    /// Whether the kernel had no room for one of its probes, however long that was waited for.
    crowded_out: bool,
}

/// The state of one run.
pub struct Prober {
    plan: Plan,
    key: Key,
    targets: Targets,
    tallies: Vec<Tally>,
    /// Sums of RTTs in ticks, where more than one answer is wanted.
    sums: Vec<u64>,
    links: Links,
    in_flight: Queue,
    due: Queue,
    due_count: usize,
    order: Order,
    /// How many targets have been tried, in that order.
    tried: u32,
    pacer: Pacer,
    batch: Vec<Probe>,
    families: [FamilyState; 2],
    counts: Counts,
    /// Whether a probe has left for elsewhere than this machine.
    networked: bool,
    settled: usize,
    alive: usize,
    epoch: Instant,
    /// When the last probe left, in ticks from the epoch: what 32-bit moments are counted back from.
    last_ticks: u64,
    /// When a target was last tried for the first time.
    last_first: Instant,
    /// When losses last lowered the rate, until it has recovered.
    overflowing: Option<Instant>,
}

impl Prober {
    /// Prepares to probe `targets` from `now` on. `idents` are the Identifiers that probes of either family will carry.
    pub fn new(plan: Plan, key: Key, idents: [u16; 2], targets: Targets, now: Instant) -> Result<Self, Error> {
        let sums = if plan.responses > 1 { targets.len() } else { 0 };
        Ok(Prober {
            tallies: filled(targets.len(), Tally::default())?,
            sums: filled(sums, 0)?,
            links: Links::new(targets.len())?,
            in_flight: Queue::EMPTY,
            due: Queue::EMPTY,
            due_count: 0,
            order: Order::new(targets.of(Family::V4), targets.of(Family::V6), plan.shuffle),
            tried: 0,
            pacer: Pacer::new(plan.rate, now),
            batch: Vec::with_capacity(MAX_BATCH),
            families: idents.map(|ident| FamilyState { ident, ..FamilyState::default() }),
            counts: Counts::default(),
            networked: false,
            settled: 0,
            alive: 0,
            epoch: now,
            last_ticks: 0,
            last_first: now,
            overflowing: None,
            plan,
            key,
            targets,
        })
    }

    /// What is sent to everyone.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The targets and lines of the run.
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many targets have been tried at least once.
    pub fn tried(&self) -> usize {
        self.tried as usize
    }

    /// How many targets are settled.
    pub fn settled(&self) -> usize {
        self.settled
    }

    /// How many targets are known to be alive.
    pub fn alive(&self) -> usize {
        self.alive
    }

    /// About how long the run will take from `now` on if nobody answers any more who has been silent so far.
    pub fn remaining(&self, now: Instant) -> Duration {
        let last_first = match self.targets.len() - self.tried() {
            0 => self.last_first,
            untried => now + self.pacer.duration(untried),
        };
        let all_silent = last_first + self.plan.timeout * (u32::from(self.plan.retries) + 1);
        let waiting = self.targets.len() - self.tried() + self.due_count;
        let all_sent = now + self.pacer.duration(waiting) + self.plan.timeout;
        all_silent.max(all_sent).saturating_duration_since(now)
    }

    /// Whether every target is settled.
    pub fn is_done(&self) -> bool {
        self.settled == self.targets.len()
    }

    /// How a target ended, or stands.
    pub fn verdict(&self, target: TargetId) -> Verdict {
        self.tallies.get(target.index()).map_or(Verdict::Unsettled, Tally::verdict)
    }

    /// The probes that may leave now: of one family, first attempts before others. Until [`Self::handle_sent`] or
    /// [`Self::handle_refused`] says what became of them, asking again gives the same ones.
    pub fn poll_send(&mut self, now: Instant) -> &[Probe] {
        self.batch.clear();
        let most = self.pacer.allows(now, MAX_BATCH);
        let mut next = self.first_to_send(now);
        while let Some(target) = next
            && self.batch.len() < most
            && let Some(address) = self.targets.address(target)
            && self.batch.first().is_none_or(|first| first.address.family() == address.family())
        {
            let attempt = self.tallies[target.index()].attempt();
            let token = self.key.token(target.0, attempt, address);
            let seq = (self.counts.sent + self.batch.len() as u64) as u16;
            self.batch.push(Probe { target, address, token, seq });
            next = match self.tallies[target.index()].phase() {
                Phase::Fresh => self.fresh_target(self.batch.len() as u32),
                _ => self.links.after(target).filter(|&target| self.is_spaced(target, now)),
            };
        }
        &self.batch
    }

    /// The first `count` probes of the last batch left, the first of them not before the start and the last not after
    /// the end of `left`; see [`left_at`].
    pub fn handle_sent(&mut self, count: usize, left: Range<Instant>) {
        let count = count.min(self.batch.len());
        for place in 0..count {
            let at = left_at(&left, place, count);
            let target = self.batch[place].target;
            self.take_off(target, at);
            let tally = &mut self.tallies[target.index()];
            let state = &mut self.families[self.batch[place].address.family().index()];
            state.reached += usize::from(!tally.left());
            state.unreached_when_broken = None;
            tally.mark_left();
        }
        self.counts.sent += count as u64;
        self.pacer.spend(count, left.end);
        self.batch.drain(..count);
    }

    /// Our own system refused to send the first probe of the last batch that has not left. The attempt is not the
    /// target's fault: it stands until its ordinary timeout, and the reason is kept. `only_here`: targets that were
    /// reached before could still be sent to, so that it is this one that has no route.
    pub fn handle_refused(&mut self, errno: u8, only_here: bool, now: Instant) {
        let Some(&Probe { target, address, .. }) = self.batch.first() else { return };
        self.take_off(target, now);
        let tally = &mut self.tallies[target.index()];
        tally.errno = errno;
        let (family, left) = (address.family(), tally.left());
        let state = &mut self.families[family.index()];
        if state.unreached_when_broken.is_none() && !only_here && !left && state.reached > 0 {
            // Among the retries only targets that were refused before are still unreached. Measured against these, even
            // a few without a route would be all that remained; so they are measured against all targets.
            let others = if tally.attempt() == 0 { state.reached } else { 0 };
            state.unreached_when_broken = Some(self.targets.of(family) - others);
        }
        self.counts.refused += 1;
        self.pacer.spend(1, now);
        self.batch.clear();
    }

    /// Nothing could leave for so long, because the kernel had no room for it.
    pub fn handle_no_room(&mut self, time: Duration) {
        self.counts.no_room += time;
    }

    /// The kernel had no room for a probe to `family`, which was waited for in vain. That is never the target's fault.
    pub fn handle_crowded_out(&mut self, family: Family) {
        self.families[family.index()].crowded_out = true;
    }

    /// A probe has left this machine, and not only for itself.
    pub fn handle_network(&mut self) {
        self.networked = true;
    }

    /// An Echo Reply arrived from `from` at `at`.
    pub fn handle_reply(&mut self, from: Address, reply: &Echo, at: Instant) -> Fate {
        let fate = self.fate(from, reply, at);
        match fate {
            Fate::Answer { target, rtt, .. } => {
                self.counts.replies += 1;
                let expected = self.targets.address(target).is_some_and(|address| same_source(address, from));
                self.counts.elsewhere += u64::from(!expected);
                self.answered(target, rtt);
            }
            Fate::Duplicate => self.counts.duplicates += 1,
            Fate::Late => self.counts.late += 1,
            Fate::Damaged => self.counts.damaged += 1,
            Fate::Stray => self.counts.stray += 1,
        }
        fate
    }

    /// Something arrived that could not be read: cut short, or with a wrong checksum.
    pub fn handle_damaged(&mut self) -> Fate {
        self.counts.damaged += 1;
        Fate::Damaged
    }

    /// Something arrived that is no Echo Reply.
    pub fn handle_other(&mut self) -> Fate {
        self.counts.stray += 1;
        Fate::Stray
    }

    /// Replies of `family` were lost in this machine's receive buffer, some time before `now`.
    pub fn handle_overflow(&mut self, family: Family, now: Instant) {
        self.families[family.index()].overflow = Some(now);
        // One loss is seen once for each drain that it lasts; slowing down more often than a reply takes to notice
        // would only punish.
        if self.overflowing.is_none_or(|since| now.saturating_duration_since(since) >= Self::CALM / 4) {
            self.overflowing = Some(now);
            self.pacer.slow_down(self.counts.sent, now);
        }
    }

    /// How long nothing must have been lost before the rate goes back to what was asked for.
    const CALM: Duration = Duration::from_millis(1000);

    /// Every probe whose time is over at `now`, and that is still unanswered, is over.
    pub fn handle_timeouts(&mut self, now: Instant) {
        if self.overflowing.is_some_and(|since| now.saturating_duration_since(since) >= Self::CALM) {
            self.overflowing = None;
            self.pacer.recover(now);
        }
        while let Some(target) = self.in_flight.first()
            && let sent = self.sent_at(target)
            && sent + self.plan.timeout <= now
        {
            self.links.leave(&mut self.in_flight, target);
            self.silent(target, sent);
        }
    }

    /// Nothing more will be sent or received. Whoever has answered at all is alive, and whoever has stayed silent at all
    /// is unreachable; the others stay unsettled. Says how many targets were unsettled until now.
    pub fn handle_deadline(&mut self) -> usize {
        let unsettled = self.targets.len() - self.settled;
        for number in 0..self.tallies.len() {
            let tally = &self.tallies[number];
            if tally.phase() != Phase::Settled && (tally.replies > 0 || tally.silences > 0) {
                self.settle(TargetId(number as u32));
            }
        }
        unsettled
    }

    /// When to come back: the next moment at which there may be something to send or to give up. `None`: never.
    pub fn poll_wakeup(&self, now: Instant) -> Option<Instant> {
        let deadline = self.in_flight.first().map(|target| self.sent_at(target) + self.plan.timeout);
        let send = if self.fresh_target(0).is_some() {
            Some(self.pacer.next(now))
        } else {
            let target = self.due.first();
            target.map(|target| self.pacer.next(now).max(self.spaced_from(target)))
        };
        // At a rate that was lowered, the next packet may be due long after the rate has recovered.
        let recovery = send.and(self.overflowing).map(|since| since + Self::CALM);
        [deadline, send, recovery].into_iter().flatten().min()
    }

    /// Whether anything waits to be sent, now or once the pace allows.
    pub fn has_work(&self) -> bool {
        self.fresh_target(0).is_some() || self.due.first().is_some()
    }

    /// Whether any probe has left this machine: what goes no further says nothing of its network.
    pub fn is_networked(&self) -> bool {
        self.networked
    }

    /// Whether sending to `family` broke off: it had worked, and then failed for more than half of what remained (among the
    /// retries, of all; half of one last target says nothing), or for want of room for a single target.
    pub fn broke_off(&self, family: Family) -> bool {
        let unsent = |(target, address): &(TargetId, Address)| {
            address.family() == family && matches!(self.verdict(*target), Verdict::Unsent(_))
        };
        let (unsent, state) = (self.targets.addresses().filter(unsent).count(), &self.families[family.index()]);
        state.unreached_when_broken.is_some_and(|remained| remained > 1 && unsent * 2 > remained)
            || state.crowded_out && unsent > 0
    }

    /// The target to send to next, if its time has come.
    fn first_to_send(&self, now: Instant) -> Option<TargetId> {
        self.fresh_target(0).or(self.due.first().filter(|&target| self.is_spaced(target, now)))
    }

    /// The `nth` of the targets that have not been tried yet.
    fn fresh_target(&self, nth: u32) -> Option<TargetId> {
        self.order.at(self.tried + nth, &self.key)
    }

    /// Whether enough time has gone since the last probe to `target`.
    fn is_spaced(&self, target: TargetId, now: Instant) -> bool {
        self.spaced_from(target) <= now
    }

    fn spaced_from(&self, target: TargetId) -> Instant {
        self.sent_at(target) + self.plan.spacing
    }

    /// The next probe to `target` is on its way, or as good as.
    fn take_off(&mut self, target: TargetId, at: Instant) {
        match self.tallies[target.index()].phase() {
            Phase::Fresh => {
                self.tried += 1;
                self.last_first = at;
            }
            _ => {
                self.due_count -= 1;
                self.links.leave(&mut self.due, target);
            }
        }
        let ticks = self.ticks(at).clamp(self.last_ticks, self.latest());
        self.last_ticks = ticks;
        let tally = &mut self.tallies[target.index()];
        tally.ticks = ticks as u32;
        tally.enter(Phase::InFlight);
        self.links.enter(&mut self.in_flight, target);
    }

    /// What a reply is, by its ident, token, source and time.
    fn fate(&self, from: Address, reply: &Echo, at: Instant) -> Fate {
        if reply.ident != self.families[from.family().index()].ident {
            return Fate::Stray;
        }
        let Some(token) = Token::parse(reply.data) else { return Fate::Damaged };
        let target = TargetId(token.target);
        let Some(address) = self.targets.address(target) else { return Fate::Damaged };
        if self.key.token(token.target, token.attempt, address) != token {
            return Fate::Damaged;
        }
        if self.plan.check_source && !same_source(address, from) {
            return Fate::Stray;
        }
        let tally = &self.tallies[target.index()];
        if tally.phase() == Phase::InFlight && token.attempt == tally.attempt() {
            let rtt = at.saturating_duration_since(self.sent_at(target));
            return if rtt <= self.plan.timeout {
                Fate::Answer { target, attempt: token.attempt, rtt }
            } else {
                Fate::Late
            };
        }
        // Which of several attempts were answered is not kept: where some were and some were not, this is a guess.
        let last = token.attempt + 1 == tally.attempt();
        if tally.replies > 0 && (last || tally.silences == 0) { Fate::Duplicate } else { Fate::Late }
    }

    /// A probe in flight to `target` was answered.
    fn answered(&mut self, target: TargetId, rtt: Duration) {
        self.links.leave(&mut self.in_flight, target);
        let ticks = (rtt.as_nanos() / TICK.as_nanos()) as u32;
        let tally = &mut self.tallies[target.index()];
        tally.replies += 1;
        match self.sums.get_mut(target.index()) {
            Some(sum) => *sum += u64::from(ticks),
            None => tally.ticks = ticks,
        }
        if tally.replies >= self.plan.responses {
            self.settle(target);
        } else {
            self.fall_due(target);
        }
    }

    /// A probe to `target`, sent at `sent`, timed out.
    fn silent(&mut self, target: TargetId, sent: Instant) {
        let overflow =
            self.targets.address(target).and_then(|address| self.families[address.family().index()].overflow);
        let tally = &mut self.tallies[target.index()];
        if overflow.is_some_and(|overflow| overflow >= sent) && tally.give_back() {
            self.counts.given_back += 1;
            self.fall_due(target);
        } else if tally.silences < self.plan.retries {
            tally.silences += 1;
            self.fall_due(target);
        } else {
            self.settle(target);
        }
    }

    fn fall_due(&mut self, target: TargetId) {
        self.tallies[target.index()].enter(Phase::Due);
        self.links.enter(&mut self.due, target);
        self.due_count += 1;
    }

    fn settle(&mut self, target: TargetId) {
        let tally = &mut self.tallies[target.index()];
        if let Some(sum) = self.sums.get(target.index())
            && let Some(mean) = sum.checked_div(u64::from(tally.replies))
        {
            tally.ticks = mean as u32;
        }
        tally.enter(Phase::Settled);
        self.alive += usize::from(tally.replies > 0);
        self.settled += 1;
    }

    /// When the last probe to `target` left. Its 32 bits are counted back from the last probe of all: nothing stays in
    /// flight for longer than they reach.
    fn sent_at(&self, target: TargetId) -> Instant {
        let back = (self.last_ticks as u32).wrapping_sub(self.tallies[target.index()].ticks);
        let ticks = self.last_ticks - u64::from(back);
        self.epoch + Duration::from_nanos(ticks * TICK.as_nanos() as u64)
    }

    /// The latest moment that 32 bits can tell from that of the first probe in flight, in ticks. A process that was
    /// stopped for minutes in the middle of sending may come to this; the batch in its hands is then taken to have left
    /// too early, and is probed again.
    fn latest(&self) -> u64 {
        match self.in_flight.first() {
            None => u64::MAX,
            Some(target) => self.ticks(self.sent_at(target)) + u64::from(u32::MAX),
        }
    }

    fn ticks(&self, at: Instant) -> u64 {
        (at.saturating_duration_since(self.epoch).as_nanos() / TICK.as_nanos()) as u64
    }
}

/// When the packet at `place` among `count` is taken to have left, of which the first left not before the start and the
/// last not after the end of `left`: at its proportional place in between. A system call that took absurdly long was not
/// busy sending for all that time: the process was stopped in it, after the packets had left as a rule.
pub fn left_at(left: &Range<Instant>, place: usize, count: usize) -> Instant {
    const LONGEST: Duration = Duration::from_micros(100);
    let span = left.end.saturating_duration_since(left.start).min(LONGEST * count as u32);
    left.start + span * (2 * place as u32 + 1) / (2 * count as u32)
}
