//! The state machine that decides what is sent when, and what a reply is worth.
//!
//! It is pure: no sockets, no clock, no randomness. Its caller reports what happened (`handle_*`)
//! and asks what to do (`poll_*`); time is an argument, and extra calls do no harm. So all of it
//! runs in a virtual world, thousands of times in a second.
//!
//! The caller has one obligation: all packets that had arrived at some time are handed over before
//! [`Prober::handle_timeouts`] is called with that time. Then it does not matter how late it looks:
//! what counts is when a reply arrived.
//!
//! What every run has in common is here; what differs between kinds of runs is a [`Strategy`].

mod backpressure;
mod details;
mod diagnosis;
mod discards;
mod errors;
mod event;
mod links;
mod order;
mod pacer;
mod paths;
mod queries;
mod queue;
mod receiving;
mod references;
mod replies;
mod roster;
mod search;
mod sizes;
mod slow_start;
mod strategy;
mod sweep;
mod timeouts;
mod waits;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

pub use crate::prober::backpressure::{MAX_JAM, REFUSAL_INTERVAL, RETRY_INTERVAL, SendError};
pub use crate::prober::details::{Details, LastError, TargetDetails};
pub use crate::prober::diagnosis::{Answered, Diagnosis, Fault, Refusals, Verdicts};
pub use crate::prober::event::{Counts, Event, Probe, ReplyKind, send_times};
pub(crate) use crate::prober::links::MAX_DEPTH;
pub use crate::prober::links::{Interface, LOOK_INTERVAL, Route};
pub use crate::prober::receiving::MAX_RECEIVE_FAILURE;
pub use crate::prober::references::MAX_REFERENCES;
pub use crate::prober::roster::{Phase, Roster, RosterId, Schedule, Slips};
pub use crate::prober::search::SizeSearch;
pub use crate::prober::sizes::{SizeRange, Sizes};
pub use crate::prober::slow_start::{MAX_SLOW_START, SLOW_START};
pub use crate::prober::strategy::{Attempt, Blame, Invalid, Strategy, TimedOut, Timeout};
pub use crate::prober::sweep::Sweep;

use crate::address::{Address, Addresses, Family, PerFamily, TargetId};
use crate::alloc::OutOfMemory;
use crate::plan::{IcmpErrors, Plan, ProbeKind, Rate};
use crate::prober::backpressure::Backpressure;
use crate::prober::errors::SentBySeq;
use crate::prober::pacer::Pacer;
use crate::prober::paths::Paths;
use crate::prober::receiving::ReceiveErrors;
use crate::prober::references::References;
use crate::prober::slow_start::SlowStart;
use crate::token::{Key, Token};

/// The most probes that are sent at once. At an unlimited rate that is by one system call, and
/// their send times are interpolated, so larger batches make RTTs less exact: beside busy
/// processors, 16 made the error's 99th percentile fifty times that of 8, for 0.7 % of the time. At
/// any other rate each probe has a call of its own ([`Prober::sends_singly`]): the scheduler may
/// take the processor away between two packets of one call, and then the RTTs of those before it
/// are too short, of those after it too long, by milliseconds.
pub const MAX_BATCH: usize = 8;

/// How long to sleep without looking for replies. At 50 packets a second there is a packet to send
/// before that.
pub const MAX_SLEEP: Duration = Duration::from_millis(20);

/// How long to sleep at least above [`COALESCED_RATE`], so that each wake-up sends several packets.
/// At a finite rate the shortest of these times, as the pace makes up for 10 ms at most; at an
/// unlimited one, which periods pace, until 100 packets are due: at 10,000 a second 10 ms cost a
/// sixth less processor time than 2 ms. Still longer would save little, and make probes later.
/// Never longer than [`Strategy::max_delay`].
pub const MIN_SLEEP: RangeInclusive<Duration> = Duration::from_millis(2)..=Duration::from_millis(10);

/// How many packets a wake-up sends where [`MIN_SLEEP`] allows it.
const COALESCED: f64 = 100.0;

/// In packets a second, of the rate and of the strategy's load; see [`MIN_SLEEP`]. Below it each
/// probe has a wake-up of its own, and where the load is known, each reply as well.
pub const COALESCED_RATE: f64 = 1000.0;

/// How many sources of damaged replies are kept.
const MAX_DAMAGED: usize = 64;

/// How long nothing must have been lost before the rate goes back to what was asked for.
const RECOVERY_TIME: Duration = Duration::from_millis(1000);

/// The same after probes waited in our own queue: the link is slower than the rate.
const QUEUE_RECOVERY_TIME: Duration = Duration::from_secs(10);

/// How long nothing is sent at most while our own queue drains.
const MAX_DRAIN: Duration = Duration::from_secs(10);

/// How long to wait, and whether a reply ends the wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Until when; `None`: without end.
    pub until: Option<Instant>,
    /// Whether a reply ends it. While packets wait for their turn the sockets need not be polled:
    /// replies that the kernel has stamped lose nothing by being read a little later.
    pub for_replies: bool,
}

/// The state of one run.
///
/// ```
/// use std::{hash::RandomState, time::{Duration, Instant}};
/// use multiping::{Address, Rate, proto::{Echo, Key, PerFamily, Prober, ReplyKind, Roster, Schedule}};
///
/// let now = Instant::now();
/// let idents = PerFamily { v4: 4711, v6: 4711 };
/// let key = Key::new(RandomState::new());
/// let mut prober = Prober::new(Roster::new(now), Rate::UNLIMITED, false, key, idents, now);
/// prober.strategy_mut().add(Address::from([192, 0, 2, 1]), &Schedule::once(), now)?;
///
/// // One probe is due, and is sent.
/// let probe = prober.poll_send(now)[0];
/// prober.handle_sent(&[now], true, now);
/// // Its reply arrives after 2 ms: with its token, and the rest of the data as it was sent.
/// let mut data = probe.token.emit().to_vec();
/// data.extend(16..56);
/// let reply = Echo { ident: 4711, seq: probe.seq, data: &data };
/// let kind = prober.handle_reply(probe.address, &reply, now + Duration::from_millis(2));
/// assert!(matches!(kind, ReplyKind::Reply { rtt, .. } if rtt == Duration::from_millis(2)));
/// # Ok::<_, multiping::OutOfMemory>(())
/// ```
pub struct Prober<S> {
    strategy: S,
    check_source: bool,
    icmp_errors: IcmpErrors,
    kind: ProbeKind,
    /// How much data probes carry, if it is too little for a token.
    short_data: Option<usize>,
    first_seq: u16,
    sizes: Sizes,
    sent_by_seq: SentBySeq,
    /// What a probe carries after its token.
    filler: Vec<u8>,
    key: Key,
    idents: PerFamily<u16>,
    start: Instant,
    pacer: Pacer,
    /// The highest rate, in packets a second.
    max_pps: f64,
    batch: Vec<Probe>,
    backpressure: Backpressure,
    slow_start: SlowStart,
    paths: Paths,
    references: References,
    /// When replies were last seen to be lost in this machine's receive buffers.
    overflow: PerFamily<Option<Instant>>,
    receive_errors: PerFamily<ReceiveErrors>,
    /// When losses last lowered the rate, and when it recovers.
    slowed: Option<(Instant, Instant)>,
    /// While the queue of this interface drains, nothing is sent, but not longer than this.
    drains_until: Option<(u32, Instant)>,
    /// Whether a probe was sent to another machine.
    sent_outward: bool,
    /// The sources of the first damaged replies.
    damaged_from: Vec<Address>,
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
    /// A prober that sends what `strategy` says, from `now` on and at `rate` at most. `idents` are
    /// the Identifiers of its probes. With `check_source` only replies from the probed address
    /// count.
    pub fn new(strategy: S, rate: Rate, check_source: bool, key: Key, idents: PerFamily<u16>, now: Instant) -> Self {
        Prober {
            strategy,
            check_source,
            icmp_errors: IcmpErrors::Ignore,
            kind: ProbeKind::Echo,
            short_data: None,
            first_seq: 0,
            sizes: Sizes::Same,
            sent_by_seq: SentBySeq::default(),
            filler: Vec::new(),
            key,
            idents,
            start: now,
            pacer: Pacer::new(rate, now),
            max_pps: rate.pps().unwrap_or(f64::INFINITY),
            batch: Vec::with_capacity(MAX_BATCH),
            backpressure: Backpressure::default(),
            slow_start: SlowStart::default(),
            paths: Paths::default(),
            references: References::default(),
            overflow: PerFamily::default(),
            receive_errors: PerFamily::default(),
            slowed: None,
            drains_until: None,
            sent_outward: false,
            damaged_from: Vec::with_capacity(MAX_DAMAGED),
            counts: Counts::default(),
        }
    }

    /// With `data` as that of its probes (see [`PacketOptions::data`]). A reply with other data is
    /// damaged; one that is cut short after the token, or has more after the data, is not. Without
    /// this, only the token is compared.
    ///
    /// [`PacketOptions::data`]: crate::plan::PacketOptions::data
    pub fn with_data(self, data: &[u8]) -> Self {
        Prober { filler: data.iter().skip(Token::LEN).copied().collect(), ..self }
    }

    /// The Identifiers of further probes, where a family's socket was opened anew. Replies to
    /// those before are no longer ours.
    pub fn set_idents(&mut self, idents: PerFamily<u16>) {
        self.idents = idents;
    }

    /// Probes these addresses beside the targets, from `now` on. While none of them answers within
    /// `timeout`, the silence of a target proves nothing. At most [`MAX_REFERENCES`].
    pub fn set_references(&mut self, addresses: impl IntoIterator<Item = Address>, timeout: Duration, now: Instant) {
        self.references = References::new(addresses, timeout, now);
    }

    /// Whether there are references, and none of them has ever answered.
    pub fn no_reference_answered(&self) -> bool {
        self.references.never_answered()
    }

    /// The strategy, which knows the state of each target.
    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    /// The strategy, when the run is over.
    pub fn into_strategy(self) -> S {
        self.strategy
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

    /// The sources of damaged replies: the first 64 distinct ones.
    pub fn damaged_from(&self) -> &[Address] {
        &self.damaged_from
    }

    /// How many probes are in flight.
    fn in_flight(&self) -> u64 {
        self.counts.sent.saturating_sub(self.counts.replies + self.counts.timeouts)
    }

    /// A valid reply came from another machine: more probes may be in flight at the start.
    pub fn handle_remote_reply(&mut self) {
        self.slow_start.grow();
    }

    /// The probes that may be sent now: of one family, in the order of the strategy. Until
    /// [`Self::handle_sent`] or [`Self::handle_send_error`] says what became of them, asking again
    /// returns the same ones.
    pub fn poll_send(&mut self, now: Instant) -> &[Probe] {
        self.batch.clear();
        if self.backpressure.until(now).is_some() || self.drain_look(now).is_some() {
            return &self.batch;
        }
        let window = self.slow_start.window(self.in_flight(), now);
        let window = usize::try_from(window).unwrap_or(usize::MAX);
        let max = self.pacer.allows(now, MAX_BATCH).min(window);
        if max > 0 {
            self.strategy.make_ready(now);
        }
        for (target, attempt) in self.references.ready(now).chain(self.strategy.ready(now)).take(max) {
            let Some(address) = self.address(target) else { break };
            if self.batch.first().is_some_and(|first| first.address.family() != address.family()) {
                break;
            }
            let token = self.token(target, attempt, address);
            let seq = self.seq(self.counts.sent + self.batch.len() as u64);
            if self.seq_in_use_until(seq, now).is_some() {
                break;
            }
            let size = self.sizes.of(target, attempt);
            self.batch.push(Probe { target, address, token, seq, size });
        }
        &self.batch
    }

    /// Whether each probe of a batch has to be sent by a system call of its own: see [`MAX_BATCH`].
    pub fn sends_singly(&self) -> bool {
        !self.pacer.is_unlimited()
    }

    /// The first probes of the last batch were sent at these `times` (see [`send_times`]), by calls
    /// of which the last returned at `now`. `outward`: one of them to another machine.
    pub fn handle_sent(&mut self, times: &[Instant], outward: bool, now: Instant) {
        let count = times.len().min(self.batch.len());
        if count == 0 {
            return;
        }
        for (probe, &at) in self.batch.iter().zip(times) {
            self.sent_by_seq.record(probe.seq, probe.target, probe.token.attempt);
            if References::is_reference(probe.target) {
                self.references.mark_tried(probe.target, true, at);
            } else {
                self.strategy.mark_sent(probe.target, at);
            }
        }
        self.counts.no_buffers += self.backpressure.accepted(now);
        self.sent_outward |= outward;
        if self.batch[0].address.family() == Family::V6 {
            self.paths.discards_mut().handle_sent(now);
        }
        if outward {
            self.slow_start.begin(now);
        }
        self.counts.sent += count as u64;
        self.pacer.spend(count, now);
        self.batch.drain(..count);
    }

    /// The kernel did not accept the first unsent probe of the last batch. A full socket is waited
    /// for. Anything else is a refusal, and so is a socket that stays full. Returns whether the
    /// probe was refused.
    pub fn handle_send_error(&mut self, error: SendError, now: Instant) -> bool {
        let Some(&Probe { target, .. }) = self.batch.first() else { return false };
        if error == SendError::SocketFull && self.backpressure.wait_for_socket(now) {
            return false;
        }
        self.backpressure.refused(error, self.pacer.is_unlimited(), now);
        if References::is_reference(target) {
            self.references.mark_tried(target, false, now);
        } else {
            self.strategy.mark_refused(target, error.errno(), error.is_no_buffers(), now);
        }
        self.counts.refused += 1;
        self.pacer.spend(1, now);
        self.batch.clear();
        true
    }

    /// Whether to look at this machine's links, routes and queues now: see [`Self::handle_change`],
    /// [`Self::handle_interface`], [`Self::handle_queue`] and [`Self::handle_looked`].
    pub fn poll_look(&self, now: Instant) -> bool {
        // What was refused may have been refused for a link that is back since.
        (self.sent_outward || self.counts.refused > 0) && self.paths.wants_look(self.is_expiring(now), now)
    }

    /// Whether a probe times out now.
    fn is_expiring(&self, now: Instant) -> bool {
        self.strategy.next_timeout().is_some_and(|timeout| timeout <= now)
    }

    /// The kernel reported a change of links, addresses or routes.
    pub fn handle_change(&mut self) {
        self.paths.handle_change();
    }

    /// The state of an interface that is up, or a port. At each look all are to be told.
    pub fn handle_interface(&mut self, interface: Interface, now: Instant) {
        self.paths.handle_interface(interface, now);
    }

    /// Whether probes of IPv6 leave without a source address that replies could reach, at `now`.
    pub fn handle_source(&mut self, lacks_source: bool, now: Instant) {
        self.paths.handle_source(lacks_source, now);
    }

    /// The route to the last target that was sent to, as it is at `now`.
    pub fn handle_route(&mut self, route: &Route, now: Instant) {
        self.paths.handle_route(route, now);
    }

    /// The queueing discipline of an interface holds this many packets.
    pub fn handle_queue(&mut self, index: u32, packets: u32, now: Instant) {
        self.paths.handle_queue(index, packets, now);
    }

    /// The look at `now` is complete; it took as long as `cost`.
    pub fn handle_looked(&mut self, now: Instant, cost: Duration) {
        self.paths.handle_looked(now, cost);
    }

    /// Replies of `family` were lost in this machine's receive buffer, some time before `now`.
    pub fn handle_overflow(&mut self, family: Family, now: Instant) {
        self.overflow[family] = Some(now);
        self.slow_down(now, RECOVERY_TIME);
    }

    /// Lowers the rate. One loss is seen again at each look while it lasts; the rate is lowered
    /// only as often as that can have shown an effect, and recovers a while after the last
    /// loss.
    fn slow_down(&mut self, now: Instant, recovery: Duration) {
        let slowed_for = self.slowed.map(|(since, _)| now.saturating_duration_since(since));
        if slowed_for.is_none_or(|time| time >= RECOVERY_TIME / 4) {
            self.slowed = Some((now, now + recovery));
            // An unlimited rate is halved from what it was on average; where the load is known,
            // that is what it is now.
            let load = self.strategy.load().filter(|&load| load > 0.0);
            let time = now.saturating_duration_since(self.start);
            let sent = load.map_or(self.counts.sent, |load| (load * time.as_secs_f64()) as u64);
            self.pacer.slow_down(sent, now);
        }
    }

    /// While our own queue drains: when to look at it again.
    fn drain_look(&self, now: Instant) -> Option<Instant> {
        let (_, end) = self.drains_until.filter(|&(index, end)| now < end && self.paths.is_queued(index))?;
        Some(end.min(now + LOOK_INTERVAL))
    }

    /// The next target to report as done; see [`Strategy::poll_done`].
    pub fn poll_done(&mut self) -> Option<TargetId> {
        self.strategy.poll_done()
    }

    fn address(&self, target: TargetId) -> Option<Address> {
        if References::is_reference(target) { self.references.address(target) } else { self.strategy.address(target) }
    }

    fn token(&self, target: TargetId, attempt: u32, address: Address) -> Token {
        let generation = if References::is_reference(target) { 0 } else { self.strategy.generation(target) };
        self.key.token(target.0, attempt, (address, generation))
    }
}
