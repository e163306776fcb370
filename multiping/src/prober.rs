//! The state machine that decides what is sent when, and what a reply is worth.
//!
//! It is pure: no sockets, no clock, no randomness. Its caller reports what happened (`handle_*`)
//! and asks what to do (`poll_*`); time is an argument, and extra calls do no harm. So all of it runs
//! in a virtual world, thousands of times in a second.
//!
//! The caller has one obligation: all packets that had arrived at some time are handed over before
//! [`Prober::handle_timeouts`] is called with that time. Then it does not matter how late it looks:
//! what counts is when a reply arrived.
//!
//! What every run has in common is here; what differs between kinds of runs is a [`Strategy`].

mod backpressure;
mod diagnosis;
mod event;
mod order;
mod pacer;
mod queue;
mod strategy;
mod sweep;

use std::ops::Range;
use std::time::{Duration, Instant};

pub use crate::prober::backpressure::{MAX_JAM, MAX_NEXT_JAM, RETRY_INTERVAL, SendError};
pub use crate::prober::diagnosis::{Diagnosis, Fault, Refusals};
pub use crate::prober::event::{Counts, Event, Probe, ReplyKind};
pub use crate::prober::strategy::{Attempt, Refused, Strategy, Timeout};
pub use crate::prober::sweep::Sweep;

use crate::address::{Address, Addresses, Family, PerFamily, TargetId};
use crate::alloc::OutOfMemory;
use crate::plan::{Plan, Rate};
use crate::prober::backpressure::Backpressure;
use crate::prober::diagnosis::SendHistory;
use crate::prober::pacer::Pacer;
use crate::token::{Key, Token};
use crate::wire::Echo;

/// The most probes that are sent in one system call. Their send times are interpolated, so larger
/// batches make RTTs less exact: beside busy processors, 16 made the error's 99th percentile fifty
/// times that of 8, for 0.7 % of the time.
pub const MAX_BATCH: usize = 8;

/// How long to sleep without looking for replies. At 50 packets a second there is a packet to send
/// before that.
pub const MAX_SLEEP: Duration = Duration::from_millis(20);

/// How long to sleep at least above [`COALESCED_RATE`]: each wake-up then sends several packets, for
/// a tenth of the cost. It is well within the 10 ms worth of packets that may leave together; 1 ms
/// costs 9 % more processor time at 10,000 a second.
pub const MIN_SLEEP: Duration = Duration::from_millis(2);

/// In packets a second; see [`MIN_SLEEP`].
pub const COALESCED_RATE: f64 = 1000.0;

/// How long nothing must have been lost before the rate goes back to what was asked for.
const RECOVERY_TIME: Duration = Duration::from_millis(1000);

/// How long to wait, and whether a reply ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Until when; `None`: without end.
    pub until: Option<Instant>,
    /// Whether a reply ends it. While packets wait for their turn the sockets are not polled: replies
    /// are stamped by the kernel and lose nothing by being read a little later.
    pub for_replies: bool,
}

/// The state of one run.
pub struct Prober<S> {
    strategy: S,
    check_source: bool,
    key: Key,
    idents: PerFamily<u16>,
    pacer: Pacer,
    /// The least sleep between packets.
    min_sleep: Duration,
    batch: Vec<Probe>,
    backpressure: Backpressure,
    sending: PerFamily<SendHistory>,
    /// When replies were last seen to be lost in this machine's receive buffers.
    overflow: PerFamily<Option<Instant>>,
    /// When losses last lowered the rate, until it has recovered.
    slowed_since: Option<Instant>,
    /// Whether a probe was sent to another machine.
    sent_outward: bool,
    counts: Counts,
}

impl Prober<Sweep> {
    /// A prober of each of `addresses`, from `now` on; see [`Prober::new`].
    pub fn sweep(
        plan: &Plan,
        addresses: Addresses,
        key: Key,
        idents: PerFamily<u16>,
        now: Instant,
    ) -> Result<Self, OutOfMemory> {
        let sweep = Sweep::new(plan, addresses, &key, now)?;
        Ok(Prober::new(sweep, plan.rate(), plan.check_source(), key, idents, now))
    }

    /// About how long the run will take from `now` on if targets stay silent that were so far.
    pub fn remaining(&self, now: Instant) -> Duration {
        let sweep = &self.strategy;
        let last_first_attempt = match sweep.untried() {
            0 => sweep.last_first_attempt(),
            untried => now + self.pacer.duration(untried),
        };
        let all_silent = last_first_attempt + sweep.total_timeout();
        let all_sent = now + self.pacer.duration(sweep.waiting()) + sweep.last_timeout();
        all_silent.max(all_sent).saturating_duration_since(now)
    }

    /// Ends the run; see [`Sweep::stop`].
    pub fn stop(&mut self) -> usize {
        self.strategy.stop()
    }
}

impl<S: Strategy> Prober<S> {
    /// A prober that sends what `strategy` says, from `now` on and at `rate` at most. `idents` are the
    /// Identifiers of its probes. With `check_source` only replies from the probed address count.
    pub fn new(strategy: S, rate: Rate, check_source: bool, key: Key, idents: PerFamily<u16>, now: Instant) -> Self {
        Prober {
            strategy,
            check_source,
            key,
            idents,
            pacer: Pacer::new(rate, now),
            min_sleep: if rate.exceeds(COALESCED_RATE) { MIN_SLEEP } else { Duration::ZERO },
            batch: Vec::with_capacity(MAX_BATCH),
            backpressure: Backpressure::default(),
            sending: PerFamily::default(),
            overflow: PerFamily::default(),
            slowed_since: None,
            sent_outward: false,
            counts: Counts::default(),
        }
    }

    /// The strategy, which knows the state of each target.
    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    /// The strategy, to add and remove targets.
    pub fn strategy_mut(&mut self) -> &mut S {
        &mut self.strategy
    }

    /// What happened so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether there is nothing more to send or to wait for.
    pub fn is_done(&self) -> bool {
        self.strategy.is_done()
    }

    /// Whether anything waits to be sent, now or once the pace allows.
    pub fn has_work(&self) -> bool {
        self.strategy.next_due().is_some()
    }

    /// Whether any probe was sent to another machine: what stays on this one says nothing of its
    /// network.
    pub fn sent_outward(&self) -> bool {
        self.sent_outward
    }

    fn send_history(&self, family: Family) -> &SendHistory {
        &self.sending[family]
    }

    /// The probes that may be sent now: of one family, in the order of the strategy. Until
    /// [`Self::handle_sent`] or [`Self::handle_send_error`] says what became of them, asking again
    /// returns the same ones.
    pub fn poll_send(&mut self, now: Instant) -> &[Probe] {
        self.batch.clear();
        if self.backpressure.until().is_some_and(|until| now < until) {
            return &self.batch;
        }
        self.counts.no_buffers += self.backpressure.resume(now);
        let max = self.pacer.allows(now, MAX_BATCH);
        for (target, attempt) in self.strategy.ready(now).take(max) {
            let Some(address) = self.strategy.address(target) else { break };
            if self.batch.first().is_some_and(|first| first.address.family() != address.family()) {
                break;
            }
            let token = self.token(target, attempt, address);
            let seq = (self.counts.sent + self.batch.len() as u64) as u16;
            self.batch.push(Probe { target, address, token, seq });
        }
        &self.batch
    }

    /// The first `count` probes of the last batch were sent `during` one system call: see
    /// [`send_time`]. `outward`: one of them to another machine.
    pub fn handle_sent(&mut self, count: usize, during: Range<Instant>, outward: bool) {
        let count = count.min(self.batch.len());
        if count == 0 {
            return;
        }
        for (index, probe) in self.batch[..count].iter().enumerate() {
            let first = self.strategy.mark_sent(probe.target, send_time(&during, index, count));
            self.sending[probe.address.family()].sent(first);
        }
        self.backpressure.clear();
        self.sent_outward |= outward;
        self.counts.sent += count as u64;
        self.pacer.spend(count, during.end);
        self.batch.drain(..count);
    }

    /// The kernel did not accept the first unsent probe of the last batch. Full buffers are waited
    /// for. Anything else is a refusal, and so are buffers that stay full: the attempt runs into its
    /// timeout, and its error number is kept. Returns whether the probe was refused.
    pub fn handle_send_error(&mut self, error: SendError, now: Instant) -> bool {
        let Some(&Probe { target, address, .. }) = self.batch.first() else { return false };
        let sending = &mut self.sending[address.family()];
        let other_routes_ok = match error {
            SendError::Refused { other_routes_ok, .. } => other_routes_ok,
            SendError::SocketFull | SendError::NoBuffers => {
                if self.backpressure.retry(error, now) {
                    return false;
                }
                sending.gave_up();
                false
            }
        };
        let refused = self.strategy.mark_refused(target, error.errno(), now);
        sending.refused(refused, other_routes_ok);
        self.counts.refused += 1;
        self.pacer.spend(1, now);
        self.batch.clear();
        true
    }

    /// An Echo Reply arrived from `from` at `at`.
    pub fn handle_reply(&mut self, from: Address, reply: &Echo, at: Instant) -> ReplyKind {
        let kind = self.kind(from, reply, at);
        match kind {
            ReplyKind::Reply { target, attempt, rtt } => {
                self.counts.replies += 1;
                let expected = self.strategy.address(target).is_some_and(|address| address.is_source(from));
                self.counts.other_source += u64::from(!expected);
                self.strategy.record_reply(target, attempt, rtt);
            }
            ReplyKind::Duplicate => self.counts.duplicates += 1,
            ReplyKind::Late => self.counts.late += 1,
            ReplyKind::Damaged => self.counts.damaged += 1,
            ReplyKind::Stray => self.counts.stray += 1,
        }
        kind
    }

    /// A packet arrived that is malformed: cut short, or with a wrong checksum.
    pub fn handle_damaged(&mut self) -> ReplyKind {
        self.counts.damaged += 1;
        ReplyKind::Damaged
    }

    /// A packet arrived that is no Echo Reply.
    pub fn handle_other(&mut self) -> ReplyKind {
        self.counts.stray += 1;
        ReplyKind::Stray
    }

    /// Replies of `family` were lost in this machine's receive buffer, some time before `now`.
    pub fn handle_overflow(&mut self, family: Family, now: Instant) {
        self.overflow[family] = Some(now);
        // One overflow is seen again at each look while it lasts; the rate is lowered only as often
        // as that can have shown an effect.
        let slowed_for = self.slowed_since.map(|since| now.saturating_duration_since(since));
        if slowed_for.is_none_or(|time| time >= RECOVERY_TIME / 4) {
            self.slowed_since = Some(now);
            self.pacer.slow_down(self.counts.sent, now);
        }
    }

    /// Ends every attempt that has timed out by `now`. `on_timeout` is called for each.
    pub fn handle_timeouts(&mut self, now: Instant, mut on_timeout: impl FnMut(TargetId, u32, Timeout)) {
        if self.slowed_since.is_some_and(|since| now.saturating_duration_since(since) >= RECOVERY_TIME) {
            self.slowed_since = None;
            self.pacer.recover(now);
        }
        let lost = |address: Address, sent| self.overflow[address.family()].is_some_and(|overflow| overflow >= sent);
        self.strategy.expire(now, lost, |target, attempt, timeout| {
            self.counts.refunded += u64::from(timeout == Timeout::Refunded);
            on_timeout(target, attempt, timeout);
        });
    }

    /// When to come back: when there may be something to send or to time out. `None`: never.
    pub fn poll_wakeup(&self, now: Instant) -> Option<Instant> {
        let send = self.strategy.next_due().map(|due| self.pacer.next(now).max(due));
        // At a rate that was lowered, the next packet may be due long after the rate has recovered.
        let recovery = send.and(self.slowed_since).map(|since| since + RECOVERY_TIME);
        [self.strategy.next_timeout(), send, recovery].into_iter().flatten().min()
    }

    /// How to wait until then; `None`: not at all.
    pub fn poll_wait(&self, now: Instant) -> Option<Wait> {
        if let Some(until) = self.backpressure.until() {
            return Some(Wait { until: Some(until), for_replies: false });
        }
        match self.poll_wakeup(now) {
            Some(wakeup) if wakeup <= now => None,
            Some(wakeup) if self.has_work() && wakeup <= now + MAX_SLEEP => {
                Some(Wait { until: Some(wakeup.max(now + self.min_sleep)), for_replies: false })
            }
            until => Some(Wait { until, for_replies: true }),
        }
    }

    fn token(&self, target: TargetId, attempt: u32, address: Address) -> Token {
        self.key.token(target.0, attempt, (address, self.strategy.generation(target)))
    }

    /// What a reply is, by its ident, token, source and time.
    fn kind(&self, from: Address, reply: &Echo, at: Instant) -> ReplyKind {
        if reply.ident != self.idents[from.family()] {
            return ReplyKind::Stray;
        }
        let Some(token) = Token::parse(reply.data) else { return ReplyKind::Damaged };
        let (target, attempt) = (TargetId(token.target), token.attempt);
        let Some(address) = self.strategy.address(target) else { return ReplyKind::Damaged };
        if self.token(target, attempt, address) != token {
            return ReplyKind::Damaged;
        }
        if self.check_source && !address.is_source(from) {
            return ReplyKind::Stray;
        }
        match self.strategy.attempt(target, attempt) {
            Attempt::InFlight { sent, timeout } => match at.saturating_duration_since(sent) {
                rtt if rtt <= timeout => ReplyKind::Reply { target, attempt, rtt },
                _ => ReplyKind::Late,
            },
            Attempt::Answered => ReplyKind::Duplicate,
            Attempt::Over => ReplyKind::Late,
        }
    }
}

/// The interpolated send time of packet `index` of `count` that were sent `during` one system call.
/// Capped at 100 us a packet: a longer call means that the process was stopped in it, usually after
/// the packets were sent.
pub fn send_time(during: &Range<Instant>, index: usize, count: usize) -> Instant {
    const MAX_PER_PACKET: Duration = Duration::from_micros(100);
    let span = during.end.saturating_duration_since(during.start).min(MAX_PER_PACKET * count as u32);
    during.start + span * (2 * index as u32 + 1) / (2 * count as u32)
}
