//! The machine that sends the probes: a driver with the contract of the real one, a clock, receive
//! buffers, a kernel that may refuse to send, and everything that can delay a process.
//!
//! Its loop is: read all that has arrived by now; report overflow; handle timeouts; send batches
//! while that is allowed; sleep until the next wake-up, or until something arrives. Time is a
//! `Duration` since the start and advances only here. What happens goes into a [`Log`], from which
//! the oracle judges; nothing of the prober's own records does.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::RandomState;
use std::ops::Range;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Addresses, Family, PerFamily, TargetId};
use multiping::plan::{IcmpErrors, Plan};
use multiping::prober::{
    Answered, Counts, Diagnosis, Interface, Prober, ReplyKind, Route, SendError, Sweep, send_times,
};
use multiping::token::{Key, Token};
use multiping::wire::{Echo, Message};

use crate::log::{Arrival, Departure, Log, Reception};
use crate::network::{FILLER, Host, Packet, emitted};
use crate::rng::Rng;

/// Everything that determines a run, except the key.
#[derive(Clone, Debug)]
pub struct World {
    /// The seed of the random numbers.
    pub seed: u64,
    /// How targets are probed.
    pub plan: Plan,
    /// The lines of the list, each with its host; of equal addresses the last host counts.
    pub list: Vec<(Address, Host)>,
    /// The Identifiers of the probes.
    pub idents: PerFamily<u16>,
    /// What becomes of ICMP errors.
    pub icmp_errors: IcmpErrors,
    /// What arrives without a probe.
    pub unsolicited: Vec<Packet>,
    /// When sending fails, for both families or one, and with which error.
    pub outages: Vec<Outage>,
    /// How the machine treats the process.
    pub machine: Machine,
}

/// A time in which sending is refused.
#[derive(Clone, Debug)]
pub struct Outage {
    /// When.
    pub time: Range<Duration>,
    /// For which family; `None`: for both.
    pub family: Option<Family>,
    /// The error. [`EAGAIN`] and [`ENOBUFS`] are full buffers.
    pub errno: i32,
}

/// The socket's send buffer is full.
pub const EAGAIN: i32 = 11;

/// The queue of an interface or the neighbour table is full.
pub const ENOBUFS: i32 = 105;

/// How the machine treats the process. Odds are in percent.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How late it wakes up.
    pub lateness: Range<Duration>,
    /// When it does not run.
    pub stops: Vec<Range<Duration>>,
    /// How many bytes of data a probe carries.
    pub size: usize,
    /// How long it takes to send one packet.
    pub cost: Range<Duration>,
    /// The odds that a system call accepts only the first packets of a batch.
    pub partial: u64,
    /// The odds that it accepts the first packets, and then fails with EAGAIN.
    pub full: u64,
    /// When the link has no carrier.
    pub cuts: Vec<Range<Duration>>,
    /// Which link that is.
    pub cut_link: CutLink,
    /// When packets wait in the queue of the link.
    pub queues: Vec<Range<Duration>>,
    /// When IPv6 packets are dropped of which the kernel does not tell, but only counts them.
    pub drops: Vec<Range<Duration>>,
    /// When it drops an IPv6 packet of another program.
    pub other_drops: Vec<Duration>,
    /// How many packets each of the two receive buffers holds.
    pub buffer: usize,
    /// How many batches are sent before the sockets are read again.
    pub batches: usize,
    /// Whether it wakes up for arrivals even where it need not.
    pub wakes_for_arrivals: bool,
}

/// A link that loses its carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutLink {
    /// The only one.
    Only,
    /// A port of a bridge, which keeps its carrier for the sake of another port.
    Port,
    /// The first of two; after this time the route leads over the other one.
    First(Duration),
}

impl Machine {
    /// Without any delay or failure.
    pub const IDEAL: Machine = Machine {
        lateness: Duration::ZERO..Duration::ZERO,
        stops: Vec::new(),
        size: 56,
        cost: Duration::ZERO..Duration::ZERO,
        partial: 0,
        full: 0,
        cuts: Vec::new(),
        cut_link: CutLink::Only,
        queues: Vec::new(),
        drops: Vec::new(),
        other_drops: Vec::new(),
        buffer: usize::MAX,
        batches: usize::MAX,
        wakes_for_arrivals: true,
    };
}

/// A packet on its way; the heap returns the one that arrives first.
struct InTransit {
    order: u64,
    packet: Packet,
}

impl PartialEq for InTransit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InTransit {}

impl PartialOrd for InTransit {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InTransit {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.packet.at, other.order).cmp(&(self.packet.at, self.order))
    }
}

/// A run in progress.
struct Run<'a> {
    world: &'a World,
    hosts: HashMap<Address, &'a Host>,
    rng: Rng,
    origin: Instant,
    now: Duration,
    prober: Prober<Sweep>,
    in_transit: BinaryHeap<InTransit>,
    order: u64,
    /// How often the link had lost its carrier, and whether it had none, when last read.
    losses: u32,
    was_cut: bool,
    /// How many probes were dropped for which the kernel has returned success.
    dropped: u64,
    /// The contents of the two receive buffers, and whether a packet was dropped.
    buffers: PerFamily<VecDeque<Packet>>,
    overflowed: PerFamily<bool>,
    log: Log,
}

impl World {
    /// Runs the world to its end.
    pub fn run(&self) -> Log {
        let targets = targets(&self.list);
        let addresses: Vec<Address> = targets.iter().map(|(_, address)| address).collect();
        let origin = Instant::now();
        let key = Key::new(RandomState::new());
        let prober = Prober::sweep(&self.plan, targets, key, self.idents, origin).expect("there is memory");
        let prober = prober.with_data(&vec![FILLER; self.machine.size]);
        let prober = prober.with_icmp_errors(self.icmp_errors).expect("there is memory");
        let mut run = Run {
            world: self,
            hosts: self.list.iter().map(|(address, host)| (*address, host)).collect(),
            rng: Rng::stream(self.seed, [u64::MAX, 0]),
            origin,
            now: Duration::ZERO,
            prober,
            in_transit: BinaryHeap::new(),
            order: 0,
            losses: 0,
            was_cut: false,
            dropped: 0,
            buffers: PerFamily::default(),
            overflowed: PerFamily::default(),
            log: Log {
                targets: addresses,
                departures: Vec::new(),
                arrivals: Vec::new(),
                overflows: Vec::new(),
                timeout_checks: Vec::new(),
                delays: Vec::new(),
                end: Duration::ZERO,
                verdicts: Vec::new(),
                faults: PerFamily::default(),
                refused_witnesses: PerFamily::default(),
                answered: Answered::default(),
                counts: Counts::default(),
            },
        };
        run.launch(self.unsolicited.clone());
        run.run();
        run.log
    }

    /// The interval between two packets, if the rate is limited.
    pub fn interval(&self) -> Option<Duration> {
        self.plan.rate().pps().map(|pps| Duration::from_secs_f64(1.0 / pps))
    }
}

/// Makes targets of the list as the program does.
fn targets(list: &[(Address, Host)]) -> Addresses {
    let mut addresses = AddressList::default();
    for &(address, _) in list {
        addresses.push(address).expect("there is memory");
    }
    let (addresses, targets) = addresses.dedup().expect("there is memory");
    let lines: Vec<_> = targets.iter().map(|target| addresses.get(target)).collect();
    let expected: Vec<_> = list.iter().map(|&(address, _)| Some(address)).collect();
    assert_eq!(lines, expected, "every line has its target");
    addresses
}

impl Run<'_> {
    /// The driver's loop.
    fn run(&mut self) {
        let mut planned = self.now;
        let mut idle = 0;
        // While the kernel's buffers are full, the driver is behind.
        let mut buffers_until = Duration::ZERO;
        // More turns than any run here needs, so that an endless one fails instead of hanging.
        for _ in 0..3_000_000 {
            self.note_delay(planned..self.now);
            self.read();
            for family in Family::BOTH {
                if std::mem::take(&mut self.overflowed[family]) {
                    self.log.overflows.push((family, self.now));
                    self.prober.handle_overflow(family, self.instant());
                }
            }
            self.log.timeout_checks.push(self.now);
            self.count_discards();
            self.look();
            let route = self.route();
            self.prober.handle_timeouts(self.instant(), |_| Some(route), |_| {});
            if self.rng.percent(5) {
                // An extra call is harmless.
                self.prober.handle_timeouts(self.instant(), |_| Some(route), |_| {});
            }
            if self.prober.is_done() {
                return self.finish();
            }
            let woken = self.now;
            let more = self.send();
            self.note_delay(planned..self.now);
            planned = self.now;
            let wait = self.prober.poll_wait(self.instant());
            let (More::Wait | More::WaitForBuffers, Some(wait)) = (&more, wait) else {
                // (A refused send may have been the last that others waited for.)
                idle = if more == More::Wait && self.now == woken { idle + 1 } else { 0 };
                assert!(idle < 3, "woken at {:?} with nothing to do", self.now);
                continue;
            };
            idle = 0;
            let arrival = self.in_transit.peek().map(|next| next.packet.at.max(self.now));
            let arrival = arrival.filter(|_| wait.for_replies || self.world.machine.wakes_for_arrivals);
            let until = wait.until.map(|until| until - self.origin);
            if more == More::WaitForBuffers {
                buffers_until = until.unwrap_or_default();
            }
            let sleep_until = until.into_iter().chain(arrival).min().expect("an unfinished run has a next wake-up");
            if self.now >= buffers_until {
                let wakeup = self.prober.poll_wakeup(self.instant()).map(|wakeup| wakeup - self.origin);
                planned = wakeup.map_or(sleep_until, |wakeup| wakeup.min(sleep_until));
            }
            let lateness = self.rng.duration(&self.world.machine.lateness);
            self.pass(sleep_until - self.now + lateness);
        }
        panic!("the run does not end: at {:?} {} targets are settled", self.now, self.prober.strategy().settled());
    }

    /// Sends what may be sent, and returns how to continue.
    fn send(&mut self) -> More {
        for _ in 0..self.world.machine.batches {
            let batch = self.prober.poll_send(self.instant()).to_vec();
            if self.rng.percent(5) {
                assert_eq!(self.prober.poll_send(self.instant()), batch, "a second call returns the same probes");
            }
            if batch.is_empty() {
                return More::Wait;
            }
            let is_unlimited = self.world.plan.rate().pps().is_none();
            let singly = self.prober.sends_singly();
            assert!(singly || is_unlimited, "at a finite rate each probe has a call of its own");
            let machine = &self.world.machine;
            let accepted =
                if self.rng.percent(machine.partial) { self.rng.below(batch.len() as u64) } else { u64::MAX };
            let full = self.rng.percent(machine.full).then(|| self.rng.below(batch.len() as u64));
            let start = self.now;
            let first = self.log.departures.len();
            let (mut calls, mut error) = (Vec::new(), None);
            for (place, probe) in batch.iter().enumerate() {
                error =
                    if full == Some(place as u64) { Some(SendError::SocketFull) } else { self.error(probe.address) };
                if error.is_some() || place as u64 > accepted {
                    break;
                }
                let begun = self.now;
                self.send_one(probe.target, probe.address, probe.token, probe.seq);
                calls.push(begun..self.now);
            }
            let sent = calls.len();
            let together = [start..self.now];
            let (calls, of_each) = if singly { (&calls[..], 1) } else { (&together[..], sent) };
            let instants = |call: &Range<Duration>| self.origin + call.start..self.origin + call.end;
            let times: Vec<_> = calls.iter().flat_map(|call| send_times(&instants(call), of_each)).collect();
            let of_probes = calls.iter().flat_map(|call| vec![call.clone(); of_each]);
            for (departure, call) in self.log.departures[first..].iter_mut().zip(of_probes) {
                departure.call = call;
            }
            self.prober.handle_sent(&times, true, self.instant());
            let Some(error) = error else { continue };
            if !self.prober.handle_send_error(error, self.instant()) {
                return More::WaitForBuffers;
            }
            let probe = batch[sent];
            self.log.departures.push(Departure {
                target: probe.target,
                address: probe.address,
                token: probe.token.emit(),
                seq: probe.seq,
                at: self.now,
                call: self.now..self.now,
                refused: Some(error),
            });
        }
        More::Now
    }

    /// Why the kernel does not accept a probe to `address` now.
    fn error(&self, address: Address) -> Option<SendError> {
        let host = self.hosts[&address];
        let outage = |outage: &&Outage| {
            !host.is_near
                && outage.time.contains(&self.now)
                && outage.family.is_none_or(|family| family == address.family())
        };
        let errno = host.refusal.or(self.world.outages.iter().find(outage).map(|outage| outage.errno))?;
        Some(match errno {
            EAGAIN => SendError::SocketFull,
            ENOBUFS => SendError::TableFull,
            errno => SendError::Refused { errno },
        })
    }

    /// Reads the counter of what was dropped, where that is wanted.
    fn count_discards(&mut self) {
        if self.prober.poll_discards(self.instant()) {
            let machine = &self.world.machine;
            let others = machine.other_drops.iter().filter(|&&drop| drop <= self.now).count() as u64;
            let are_counted = !machine.drops.is_empty() || !machine.other_drops.is_empty();
            let count = are_counted.then_some(self.dropped + others);
            self.prober.handle_discards(count, self.instant());
        }
    }

    /// Looks at the link and its queue, where that is wanted.
    fn look(&mut self) {
        if !self.prober.poll_look(self.instant()) {
            return;
        }
        let machine = &self.world.machine;
        let losses = machine.cuts.iter().filter(|cut| cut.start <= self.now).count() as u32;
        if losses != self.losses || self.is_cut() != self.was_cut {
            (self.losses, self.was_cut) = (losses, self.is_cut());
            self.prober.handle_change();
        }
        let link = Interface { index: 1, carrier: !self.is_cut(), carrier_losses: losses, ..Interface::default() };
        let other = Interface { index: 2, carrier: true, ..Interface::default() };
        let interfaces = match machine.cut_link {
            CutLink::Only | CutLink::First(_) => [link, other],
            CutLink::Port => [Interface { master: Some(2), ..link }, Interface { is_bridge: true, ..other }],
        };
        for interface in interfaces {
            self.prober.handle_interface(interface, self.instant());
        }
        self.prober.handle_route(&self.route(), self.instant());
        let queued = machine.queues.iter().any(|queue| queue.contains(&self.now));
        self.prober.handle_queue(1, queued.into(), self.instant());
        self.prober.handle_looked(self.instant(), Duration::ZERO);
    }

    /// The route to any host.
    fn route(&self) -> Route {
        Route::over(match self.world.machine.cut_link {
            CutLink::Only => 1,
            CutLink::Port => 2,
            CutLink::First(_) => 1 + u32::from(self.is_rerouted()),
        })
    }

    /// Whether the route leads over the second link now.
    fn is_rerouted(&self) -> bool {
        let Machine { cuts, cut_link: CutLink::First(after), .. } = &self.world.machine else { return false };
        cuts.iter().any(|cut| (cut.start + *after..cut.end).contains(&self.now))
    }

    /// Whether the link has no carrier now.
    fn is_cut(&self) -> bool {
        self.world.machine.cuts.iter().any(|cut| cut.contains(&self.now))
    }

    /// Sends one probe, in the middle of the time that this takes.
    fn send_one(&mut self, target: TargetId, address: Address, token: Token, seq: u16) {
        let cost = self.rng.duration(&self.world.machine.cost);
        self.pass(cost / 2);
        let at = self.now;
        let mut data = vec![FILLER; self.world.machine.size];
        data[..Token::LEN].copy_from_slice(&token.emit());
        let ident = self.world.idents[address.family()];
        let request = emitted(address.family(), &Message::Request(Echo { ident, seq, data: &data }));
        // Without a carrier the kernel accepts packets, and drops them.
        let is_rerouted = self.is_rerouted();
        if address.family() == Family::V6 && self.world.machine.drops.iter().any(|drop| drop.contains(&at)) {
            self.dropped += 1;
        } else if !self.is_cut() || is_rerouted {
            let mut replies = self.hosts[&address].replies(self.world.seed, address, &request, at);
            // Nothing comes back over a link without a carrier.
            let cuts = &self.world.machine.cuts;
            replies.retain(|packet| is_rerouted || !cuts.iter().any(|cut| cut.contains(&packet.at)));
            self.launch(replies);
        }
        let token = token.emit();
        self.log.departures.push(Departure { target, address, token, seq, at, call: at..at, refused: None });
        self.pass(cost / 2);
    }

    /// Puts packets on their way.
    fn launch(&mut self, packets: Vec<Packet>) {
        for packet in packets {
            self.in_transit.push(InTransit { order: self.order, packet });
            self.order += 1;
        }
    }

    /// Passes all that has arrived by now to the prober, socket by socket.
    fn read(&mut self) {
        while self.in_transit.peek().is_some_and(|next| next.packet.at <= self.now) {
            let Some(InTransit { packet, .. }) = self.in_transit.pop() else { break };
            let family = packet.from.family();
            if self.buffers[family].len() < self.world.machine.buffer {
                self.buffers[family].push_back(packet);
            } else {
                self.overflowed[family] = true;
                self.log.arrivals.push(Arrival { packet, read_at: self.now, reception: Reception::Dropped });
            }
        }
        for family in Family::BOTH {
            while let Some(packet) = self.buffers[family].pop_front() {
                let at = self.origin + packet.at;
                let reception = match Message::parse(family, &packet.bytes) {
                    Ok(Message::Reply(echo)) => Reception::Handled(self.prober.handle_reply(packet.from, &echo, at)),
                    Ok(Message::Error { error, original }) => {
                        Reception::Error(self.prober.handle_icmp_error(&error, &original, at))
                    }
                    Ok(_) => Reception::Handled(self.prober.handle_other()),
                    Err(_) => Reception::Handled(self.prober.handle_damaged(packet.from)),
                };
                if matches!(reception, Reception::Handled(ReplyKind::Reply { .. })) {
                    self.prober.handle_remote_reply();
                }
                self.log.arrivals.push(Arrival { packet, read_at: self.now, reception });
            }
        }
    }

    fn finish(&mut self) {
        let prober = &self.prober;
        self.log.end = self.now;
        let ids = (0..self.log.targets.len() as u32).map(TargetId);
        self.log.verdicts = ids.map(|target| prober.strategy().verdict(target)).collect();
        let mut diagnosis = Diagnosis::new(prober, |_| true, true);
        for family in Family::BOTH {
            let is_refused = |&address: &Address| matches!(self.error(address), Some(SendError::Refused { .. }));
            self.log.refused_witnesses[family] =
                diagnosis.witnesses(prober.strategy(), family, |_| true).iter().any(is_refused);
            if self.log.refused_witnesses[family] {
                diagnosis.mark_lost(family);
            }
        }
        self.log.faults = diagnosis.fault;
        self.log.answered = diagnosis.answered;
        self.log.counts = *prober.counts();
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    /// Advances the clock; a stop that contains the new time is waited for.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        for stop in &self.world.machine.stops {
            if stop.contains(&self.now) {
                self.now = stop.end;
            }
        }
    }

    /// Notes that the driver was delayed; adjacent delays are joined.
    fn note_delay(&mut self, delay: Range<Duration>) {
        match self.log.delays.last_mut() {
            _ if delay.is_empty() => {}
            Some(last) if last.end >= delay.start => last.end = delay.end.max(last.end),
            _ => self.log.delays.push(delay),
        }
    }
}

/// How to continue after sending.
#[derive(PartialEq)]
enum More {
    /// There may be more to send at once.
    Now,
    /// Nothing more may be sent before the next wake-up.
    Wait,
    /// The kernel accepts no more for the moment.
    WaitForBuffers,
}
