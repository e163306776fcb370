//! The machine that the probes leave from: a driver with the real one's contract, its clock, its receive buffers, a
//! sender that may refuse, and everything that can hold a process up.
//!
//! Its loop is: drain all that has arrived by now; report overflow; handle timeouts; send batches while that is allowed;
//! sleep until the next wake-up, or until something arrives. Time is a `Duration` since the start and moves only here.
//! What happened goes into a [`Log`], from which the oracle judges; nothing of the prober's own book-keeping does.

use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::RandomState;
use std::ops::Range;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Addresses, Family, PerFamily, TargetId};
use multiping::plan::Plan;
use multiping::prober::{Answered, Counts, Diagnosis, Interface, Prober, ReplyKind, SendError, Sweep};
use multiping::token::{Key, Token};
use multiping::wire::{Echo, Message};

use crate::log::{Arrival, Departure, Log, Outcome};
use crate::network::{Host, Packet, emitted};
use crate::rng::Rng;

/// All that decides a run, except the key.
#[derive(Clone, Debug)]
pub struct World {
    /// What rng starts from.
    pub seed: u64,
    /// What is asked for.
    pub plan: Plan,
    /// The lines of the list, each with the host behind it. (Of equal addresses the last host stands.)
    pub list: Vec<(Address, Host)>,
    /// The Identifiers of our probes.
    pub idents: PerFamily<u16>,
    /// What arrives unasked.
    pub unasked: Vec<Packet>,
    /// When sending fails for everybody, or for one family, and with which error.
    pub outages: Vec<Outage>,
    /// What the machine does to the process.
    pub machine: Machine,
}

/// A time in which sending is refused.
#[derive(Clone, Debug)]
pub struct Outage {
    /// From when until when.
    pub time: Range<Duration>,
    /// Which family; `None`: both.
    pub only: Option<Family>,
    /// The error. [`EAGAIN`] and [`ENOBUFS`] are full buffers.
    pub errno: i32,
}

/// The socket's send buffer is full.
pub const EAGAIN: i32 = 11;

/// The queue of an interface or the neighbour table is full.
pub const ENOBUFS: i32 = 105;

/// How the process is treated. Odds are in percent.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How late a wake-up comes.
    pub lateness: Range<Duration>,
    /// When the process does not run at all.
    pub stops: Vec<Range<Duration>>,
    /// How many bytes of data a probe carries.
    pub size: usize,
    /// How long it takes to send one packet.
    pub cost: Range<Duration>,
    /// The odds that a system call takes only the first few packets of a batch.
    pub partial: u64,
    /// The odds that it takes the first few, and then says EAGAIN.
    pub full: u64,
    /// When the link has no carrier.
    pub cuts: Vec<Range<Duration>>,
    /// When packets wait in the queue of the link.
    pub queues: Vec<Range<Duration>>,
    /// How many packets each of the two receive buffers holds.
    pub buffer: usize,
    /// How many batches are sent before the driver looks at its sockets again.
    pub batches: usize,
    /// Whether the driver wakes for arrivals even where it need not.
    pub attentive: bool,
}

impl Machine {
    /// Does everything at once and in no time.
    pub const IDEAL: Machine = Machine {
        lateness: Duration::ZERO..Duration::ZERO,
        stops: Vec::new(),
        size: 56,
        cost: Duration::ZERO..Duration::ZERO,
        partial: 0,
        full: 0,
        cuts: Vec::new(),
        queues: Vec::new(),
        buffer: usize::MAX,
        batches: usize::MAX,
        attentive: true,
    };
}

/// A packet under way; the heap's first is the one that arrives first.
struct UnderWay {
    order: u64,
    packet: Packet,
}

impl PartialEq for UnderWay {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for UnderWay {}

impl PartialOrd for UnderWay {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for UnderWay {
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
    under_way: BinaryHeap<UnderWay>,
    order: u64,
    /// How often the link had lost its carrier, and whether it had none, at the last look.
    losses: u32,
    was_cut: bool,
    /// What waits in the two receive buffers, and whether something found them full.
    buffers: PerFamily<VecDeque<Packet>>,
    overflowed: PerFamily<bool>,
    log: Log,
}

impl World {
    /// Plays the world to its end.
    pub fn play(&self) -> Log {
        let targets = read(&self.list);
        let addresses: Vec<Address> = targets.iter().map(|(_, address)| address).collect();
        let origin = Instant::now();
        let key = Key::new(RandomState::new());
        let prober = Prober::sweep(&self.plan, targets, key, self.idents, origin).expect("there is memory");
        let mut run = Run {
            world: self,
            hosts: self.list.iter().map(|(address, host)| (*address, host)).collect(),
            rng: Rng::stream(self.seed, [u64::MAX, 0]),
            origin,
            now: Duration::ZERO,
            prober,
            under_way: BinaryHeap::new(),
            order: 0,
            losses: 0,
            was_cut: false,
            buffers: PerFamily::default(),
            overflowed: PerFamily::default(),
            log: Log {
                targets: addresses,
                departures: Vec::new(),
                arrivals: Vec::new(),
                overflows: Vec::new(),
                rounds: Vec::new(),
                lapses: Vec::new(),
                end: Duration::ZERO,
                verdicts: Vec::new(),
                faults: PerFamily::default(),
                answered: Answered::default(),
                counts: Counts::default(),
            },
        };
        run.launch(self.unasked.clone());
        run.play();
        run.log
    }

    /// The interval between two packets, if the rate is limited.
    pub fn interval(&self) -> Option<Duration> {
        self.plan.rate().pps().map(|pps| Duration::from_secs_f64(1.0 / pps))
    }
}

/// Makes targets of the list as the program does.
fn read(list: &[(Address, Host)]) -> Addresses {
    let mut addresses = AddressList::default();
    for &(address, _) in list {
        addresses.push(address).expect("there is memory");
    }
    let (addresses, targets) = addresses.dedup().expect("there is memory");
    let lines: Vec<_> = targets.iter().map(|target| addresses.get(target)).collect();
    let wanted: Vec<_> = list.iter().map(|&(address, _)| Some(address)).collect();
    assert_eq!(lines, wanted, "every line is a target's");
    addresses
}

impl Run<'_> {
    /// The driver's loop.
    fn play(&mut self) {
        let mut planned = self.now;
        let mut idle = 0;
        // While the kernel's buffers are full, the driver is behind.
        let mut buffers_until = Duration::ZERO;
        // More rounds than any run of a test needs: one that goes on without end is to fail, not to hang.
        for _ in 0..3_000_000 {
            self.lapse(planned..self.now);
            self.drain();
            for family in Family::BOTH {
                if std::mem::take(&mut self.overflowed[family]) {
                    self.log.overflows.push((family, self.now));
                    self.prober.handle_overflow(family, self.instant());
                }
            }
            self.log.rounds.push(self.now);
            self.look();
            self.prober.handle_timeouts(self.instant(), |_| Some(1), |_, _, _| {});
            if self.rng.percent(5) {
                self.prober.handle_timeouts(self.instant(), |_| Some(1), |_, _, _| {}); // does no harm
            }
            if self.prober.is_done() {
                return self.finish();
            }
            let woken = self.now;
            let more = self.send();
            self.lapse(planned..self.now);
            planned = self.now;
            let wait = self.prober.poll_wait(self.instant());
            let (More::Wait | More::WaitForBuffers, Some(wait)) = (&more, wait) else {
                // (A refused send may have been the last that others waited for.)
                idle = if more == More::Wait && self.now == woken { idle + 1 } else { 0 };
                assert!(idle < 3, "at {:?} there is nothing to do but to wake up", self.now);
                continue;
            };
            idle = 0;
            let arrival = self.under_way.peek().map(|next| next.packet.at.max(self.now));
            let arrival = arrival.filter(|_| wait.for_replies || self.world.machine.attentive);
            let until = wait.until.map(|until| until - self.origin);
            if more == More::WaitForBuffers {
                buffers_until = until.unwrap_or_default();
            }
            let bedtime = until.into_iter().chain(arrival).min().expect("an unfinished run goes on at some time");
            if self.now >= buffers_until {
                let wakeup = self.prober.poll_wakeup(self.instant()).map(|wakeup| wakeup - self.origin);
                planned = wakeup.map_or(bedtime, |wakeup| wakeup.min(bedtime));
            }
            let lateness = self.rng.duration(&self.world.machine.lateness);
            self.pass(bedtime - self.now + lateness);
        }
        panic!("the run does not end: at {:?} {} are settled", self.now, self.prober.strategy().settled());
    }

    /// Sends what may be sent, and says how it goes on.
    fn send(&mut self) -> More {
        for _ in 0..self.world.machine.batches {
            let batch = self.prober.poll_send(self.instant()).to_vec();
            if self.rng.percent(5) {
                assert_eq!(self.prober.poll_send(self.instant()), batch, "asking again gives the same probes");
            }
            if batch.is_empty() {
                return More::Wait;
            }
            let machine = &self.world.machine;
            let most = if self.rng.percent(machine.partial) { self.rng.below(batch.len() as u64) } else { u64::MAX };
            let full = self.rng.percent(machine.full).then(|| self.rng.below(batch.len() as u64));
            let start = self.now;
            let first = self.log.departures.len();
            let mut error = None;
            for (place, probe) in batch.iter().enumerate() {
                error =
                    if full == Some(place as u64) { Some(SendError::SocketFull) } else { self.error(probe.address) };
                if error.is_some() || place as u64 > most {
                    break;
                }
                self.depart(probe.target, probe.address, probe.token, probe.seq);
            }
            let left = self.log.departures.len() - first;
            for departure in &mut self.log.departures[first..] {
                departure.call = start..self.now;
            }
            self.prober.handle_sent(left, self.origin + start..self.instant(), true);
            let Some(error) = error else { continue };
            if !self.prober.handle_send_error(error, self.instant()) {
                return More::WaitForBuffers;
            }
            let probe = batch[left];
            self.log.departures.push(Departure {
                target: probe.target,
                address: probe.address,
                token: probe.token.emit(),
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
                && outage.only.is_none_or(|family| family == address.family())
        };
        let errno = host.refusal.or(self.world.outages.iter().find(outage).map(|outage| outage.errno))?;
        Some(match errno {
            EAGAIN => SendError::SocketFull,
            ENOBUFS => SendError::TableFull,
            errno => SendError::Refused { errno },
        })
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
            self.prober.handle_change(self.instant());
        }
        let interface = Interface { index: 1, carrier: !self.is_cut(), carrier_losses: losses };
        self.prober.handle_interface(interface, self.instant());
        let queued = machine.queues.iter().any(|queue| queue.contains(&self.now));
        self.prober.handle_queue(1, queued.into(), self.instant());
        self.prober.handle_looked(self.instant(), Duration::ZERO);
    }

    /// Whether the link has no carrier now.
    fn is_cut(&self) -> bool {
        self.world.machine.cuts.iter().any(|cut| cut.contains(&self.now))
    }

    /// One probe leaves, somewhere in the time that sending it takes.
    fn depart(&mut self, target: TargetId, address: Address, token: Token, seq: u16) {
        let cost = self.rng.duration(&self.world.machine.cost);
        self.pass(cost / 2);
        let at = self.now;
        let mut data = vec![0x5a; self.world.machine.size];
        data[..Token::LEN].copy_from_slice(&token.emit());
        let ident = self.world.idents[address.family()];
        let request = emitted(address.family(), &Message::Request(Echo { ident, seq, data: &data }));
        // Without a carrier the kernel accepts packets, and drops them.
        if !self.is_cut() {
            let answers = self.hosts[&address].answer(self.world.seed, address, &request, at);
            self.launch(answers);
        }
        self.log.departures.push(Departure { target, address, token: token.emit(), at, call: at..at, refused: None });
        self.pass(cost / 2);
    }

    /// Sets packets on their way.
    fn launch(&mut self, packets: Vec<Packet>) {
        for packet in packets {
            self.under_way.push(UnderWay { order: self.order, packet });
            self.order += 1;
        }
    }

    /// Hands over all that has arrived by now, socket by socket.
    fn drain(&mut self) {
        while self.under_way.peek().is_some_and(|next| next.packet.at <= self.now) {
            let Some(UnderWay { packet, .. }) = self.under_way.pop() else { break };
            if self.world.machine.cuts.iter().any(|cut| cut.contains(&packet.at)) {
                continue;
            }
            let family = packet.from.family();
            if self.buffers[family].len() < self.world.machine.buffer {
                self.buffers[family].push_back(packet);
            } else {
                self.overflowed[family] = true;
                self.log.arrivals.push(Arrival { packet, seen: self.now, outcome: Outcome::Overflowed });
            }
        }
        for family in Family::BOTH {
            while let Some(packet) = self.buffers[family].pop_front() {
                let fate = match Message::parse(family, &packet.bytes) {
                    Ok(Message::Reply(echo)) => self.prober.handle_reply(packet.from, &echo, self.origin + packet.at),
                    Ok(_) => self.prober.handle_other(),
                    Err(_) => self.prober.handle_damaged(packet.from),
                };
                if matches!(fate, ReplyKind::Reply { .. }) {
                    self.prober.handle_remote_reply();
                }
                let outcome = Outcome::Judged(fate);
                self.log.arrivals.push(Arrival { packet, seen: self.now, outcome });
            }
        }
    }

    fn finish(&mut self) {
        let prober = &self.prober;
        self.log.end = self.now;
        let ids = (0..self.log.targets.len() as u32).map(TargetId);
        self.log.verdicts = ids.map(|target| prober.strategy().verdict(target)).collect();
        let diagnosis = Diagnosis::new(prober, |_| true, true);
        self.log.faults = diagnosis.fault;
        self.log.answered = diagnosis.answered;
        self.log.counts = *prober.counts();
    }

    fn instant(&self) -> Instant {
        self.origin + self.now
    }

    /// Time passes; and if the process is stopped at its end, it goes on only after the stop.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        for stop in &self.world.machine.stops {
            if stop.contains(&self.now) {
                self.now = stop.end;
            }
        }
    }

    /// Notes that the driver was behind; lapses that touch are one.
    fn lapse(&mut self, lapse: Range<Duration>) {
        match self.log.lapses.last_mut() {
            _ if lapse.is_empty() => {}
            Some(last) if last.end >= lapse.start => last.end = lapse.end.max(last.end),
            _ => self.log.lapses.push(lapse),
        }
    }
}

/// How sending goes on.
#[derive(PartialEq)]
enum More {
    /// There may be more to send at once.
    Now,
    /// Nothing more may be sent before the next wake-up.
    Wait,
    /// The kernel accepts no more for the moment.
    WaitForBuffers,
}
