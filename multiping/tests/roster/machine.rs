//! A machine that runs a roster in virtual time beside the model, and holds each answer of the one
//! to the other.
//!
//! Its loop is the engine's: hand over what arrived, report overflow, handle timeouts, report who
//! is done, send what is due, sleep. Every packet that the network sends back belongs to a probe
//! that was sent, whoever has its slot by then.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::RandomState;
use std::mem;
use std::ops::Range;
use std::time::{Duration, Instant};

use multiping::address::{Address, Family, PerFamily, TargetId};
use multiping::plan::Rate;
use multiping::prober::{
    Prober, REFUSAL_INTERVAL, RETRY_INTERVAL, ReplyKind, Roster, RosterId, Schedule, SendError, Strategy, Timeout,
};
use multiping::token::{Key as Secret, Token};
use multiping::wire::Echo;

use crate::model::{End, Expected, Key, Model};
use crate::rng::Rng;

const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };

/// What becomes of probes to a target. Odds are in percent.
#[derive(Clone, Debug)]
pub struct Host {
    /// A probe or its reply is lost.
    pub loss: u64,
    pub delay: Range<Duration>,
    /// How many copies of the reply come, and how much later.
    pub copies: Range<u64>,
    pub spread: Range<Duration>,
    /// The kernel refuses to send.
    pub refused: u64,
}

impl Host {
    pub const SILENT: Host = Host {
        loss: 100,
        delay: Duration::ZERO..Duration::ZERO,
        copies: 0..1,
        spread: Duration::ZERO..Duration::ZERO,
        refused: 0,
    };

    /// Answers each probe once, after `delay`.
    pub fn alive(delay: Duration) -> Host {
        Host { loss: 0, delay: delay..delay, ..Host::SILENT }
    }
}

/// A reply under way.
struct Packet {
    key: Key,
    number: usize,
    from: Address,
    token: [u8; Token::LEN],
}

/// What was told of a probe, and of whom: a number from 0 for each target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Sent(u32),
    Refused(u32),
    Reply(u32, Duration),
    Duplicate(u32, Option<Duration>),
    Late(u32, Option<Duration>, Option<Timeout>),
    TimedOut(u32, Timeout),
    Done,
    Nobodys,
}

/// The end that a timeout is, unless a late reply comes.
fn end_of(timeout: Timeout) -> End {
    match timeout {
        Timeout::Counted => End::Lost,
        Timeout::Doubtful => End::Doubtful,
        Timeout::Failed => panic!("errors are ignored in these runs"),
        Timeout::Refunded => panic!("a roster gives nothing back"),
    }
}

/// A run in virtual time, which is a duration since its start.
pub struct Machine {
    pub prober: Prober<Roster>,
    pub model: Model,
    pub now: Duration,
    pub rng: Rng,
    /// How late each wake-up comes.
    pub lateness: Range<Duration>,
    /// When the process does not run, in this order.
    pub stops: VecDeque<Range<Duration>>,
    /// How many packets each receive buffer holds.
    pub buffer: usize,
    /// The odds that the kernel's send buffer is full.
    pub full: u64,
    /// When what was told of which target: only where a test wants to know.
    pub story: Option<Vec<(Duration, Key, Told)>>,
    /// How often the process woke up.
    pub wakes: u64,
    origin: Instant,
    unlimited: bool,
    /// Whether the last turn sent all that was due.
    sent_all: bool,
    /// Until when nothing is sent because the kernel did not accept a probe.
    retry_at: Duration,
    hosts: Vec<Host>,
    ids: Vec<RosterId>,
    /// Who has a slot.
    occupants: HashMap<TargetId, Key>,
    under_way: BTreeMap<(Duration, u64), Packet>,
    packets: u64,
    overflow: PerFamily<Option<Duration>>,
    /// The figures that an owner makes of what it is told: how many probes ended in which way.
    pub figures: BTreeMap<End, usize>,
    /// How often each kind of reply was judged.
    pub judged: BTreeMap<&'static str, u64>,
}

impl Machine {
    /// A machine that is always on time.
    pub fn new(seed: u64, rate: Rate, late: Option<Duration>) -> Self {
        let origin = Instant::now(); // all other times are made up
        let roster = match late {
            Some(late) => Roster::new(origin).with_late(late).expect("in range"),
            None => Roster::new(origin),
        };
        Machine {
            prober: Prober::new(roster, rate, false, Secret::new(RandomState::new()), IDENTS, origin),
            model: Model::new(late),
            now: Duration::ZERO,
            rng: Rng::new(seed),
            lateness: Duration::ZERO..Duration::ZERO,
            stops: VecDeque::new(),
            buffer: usize::MAX,
            full: 0,
            story: None,
            wakes: 0,
            origin,
            unlimited: rate == Rate::UNLIMITED,
            sent_all: true,
            retry_at: Duration::ZERO,
            hosts: Vec::new(),
            ids: Vec::new(),
            occupants: HashMap::new(),
            under_way: BTreeMap::new(),
            packets: 0,
            overflow: PerFamily::default(),
            figures: BTreeMap::new(),
            judged: BTreeMap::new(),
        }
    }

    pub fn instant(&self) -> Instant {
        self.origin + self.now
    }

    pub fn id(&self, key: Key) -> RosterId {
        self.ids[key]
    }

    pub fn add(&mut self, address: Address, schedule: Schedule, host: Host) -> Key {
        let now = self.instant();
        let id = self.prober.strategy_mut().add(address, &schedule, now).expect("there is memory");
        let key = self.model.add(address, schedule, self.now);
        let predecessor = self.occupants.insert(id.target, key);
        assert!(predecessor.is_none_or(|other| !self.model.targets[other].is_there), "a slot has one target");
        assert!(!self.ids.contains(&id), "no two targets ever have the same id");
        assert_eq!(self.prober.strategy().slipped(id), Some(0));
        self.hosts.push(host);
        self.ids.push(id);
        key
    }

    pub fn remove(&mut self, key: Key) {
        assert_eq!(self.prober.strategy_mut().remove(self.ids[key]), self.model.remove(key));
        assert_eq!(self.prober.strategy().slipped(self.ids[key]), None);
    }

    pub fn finish(&mut self, key: Key) {
        assert_eq!(self.prober.strategy_mut().finish(self.ids[key]), self.model.finish(key));
    }

    pub fn reschedule(&mut self, key: Key, schedule: Schedule) {
        let now = self.instant();
        let done = self.prober.strategy_mut().reschedule(self.ids[key], &schedule, now);
        assert_eq!(done, self.model.reschedule(key, schedule, self.now));
    }

    pub fn probe(&mut self, key: Key) {
        let now = self.instant();
        assert_eq!(self.prober.strategy_mut().probe(self.ids[key], now), self.model.probe(key, self.now));
    }

    /// Runs until `end`, whatever is left to do then.
    pub fn run_until(&mut self, end: Duration) {
        loop {
            self.turn();
            let wait = self.prober.poll_wait(self.instant());
            let Some(wait) = wait else {
                assert!(!self.unlimited, "at {:?} there is nothing to do but to wake up", self.now);
                continue;
            };
            let until = wait.until.map(|until| until - self.origin);
            let arrival = self.under_way.first_key_value().map(|(&(at, _), _)| at).filter(|_| wait.for_replies);
            let wakeup = until.into_iter().chain(arrival).min().unwrap_or(end).max(self.now);
            if wakeup >= end {
                self.now = self.now.max(end);
                return;
            }
            self.now = wakeup + self.rng.duration(&self.lateness);
            while self.stops.front().is_some_and(|stop| stop.start <= self.now) {
                let stop = self.stops.pop_front().expect("the first of them");
                self.now = self.now.max(stop.end);
            }
        }
    }

    /// One turn: everything between two waits.
    pub fn turn(&mut self) {
        self.wakes += 1;
        self.receive();
        self.time_out();
        self.report_done();
        self.sent_all = self.send();
        self.report_done();
        let roster = self.prober.strategy();
        assert_eq!(self.prober.is_done(), self.model.is_done());
        assert_eq!((roster.len(), roster.in_flight()), (self.model.present.len(), self.model.in_flight()));
        let load = roster.load().expect("a roster knows its load");
        assert!((load - self.model.load()).abs() <= 1e-6 * (1.0 + load), "{load} for {}", self.model.load());
        let slips = roster.slips();
        assert_eq!((slips.slipped, slips.skipped), (self.model.slipped, self.model.skipped));
        if self.sent_all {
            let next = self.prober.poll_wakeup(self.instant()).map(|wakeup| wakeup - self.origin);
            assert_eq!(next, self.model.next(self.now), "what is next at {:?}", self.now);
        }
    }

    /// Hands over all that has arrived by now, and says where a buffer was full.
    fn receive(&mut self) {
        let later = self.under_way.split_off(&(self.now + Duration::from_nanos(1), 0));
        let arrived = mem::replace(&mut self.under_way, later);
        let mut buffered = PerFamily { v4: 0, v6: 0 };
        for ((at, _), packet) in arrived {
            let family = packet.from.family();
            buffered[family] += 1;
            if buffered[family] <= self.buffer {
                self.judge(at, &packet);
            }
        }
        for family in Family::BOTH {
            if buffered[family] > self.buffer {
                let now = self.instant();
                self.overflow[family] = Some(self.now);
                self.prober.handle_overflow(family, now);
            }
        }
    }

    /// Tells what happened now.
    fn tell(&mut self, key: Key, told: Told) {
        if let Some(story) = &mut self.story {
            story.push((self.now, key, told));
        }
    }

    /// When probes to a target were sent so far.
    pub fn sent(&self, key: Key) -> Vec<Duration> {
        let story = self.story.as_ref().expect("it is kept").iter();
        story.filter(|(_, other, told)| *other == key && matches!(told, Told::Sent(_))).map(|&(at, ..)| at).collect()
    }

    /// What was told of a target since this was last asked, and when.
    pub fn take_story(&mut self, key: Key) -> Vec<(Duration, Told)> {
        let story = self.story.as_mut().expect("it is kept");
        let (told, rest) = story.drain(..).partition(|(_, other, _)| *other == key);
        *story = rest;
        let told: Vec<_> = told;
        told.into_iter().map(|(at, _, told)| (at, told)).collect()
    }

    fn judge(&mut self, at: Duration, packet: &Packet) {
        let echo = Echo { ident: IDENTS[packet.from.family()], seq: 0, data: &packet.token };
        let kind = self.prober.handle_reply(packet.from, &echo, self.origin + at);
        let expected = self.model.reply(packet.key, packet.number, at);
        let (target, attempt) =
            (self.ids[packet.key].target, u32::from_be_bytes(packet.token[4..8].try_into().unwrap()));
        let (is_right, name) = match expected {
            Expected::Reply(rtt) => (kind == ReplyKind::Reply { target, attempt, rtt }, "reply"),
            Expected::Duplicate(rtt) => (
                kind == ReplyKind::Duplicate { target, attempt, rtt },
                ["old duplicate", "duplicate"][usize::from(rtt.is_some())],
            ),
            Expected::Late(rtt, end) => {
                let timeout = end.map(|end| if end == End::Doubtful { Timeout::Doubtful } else { Timeout::Counted });
                let name = match end {
                    None => "late before its timeout was told",
                    Some(End::Doubtful) => "late though doubtful",
                    Some(_) => "late",
                };
                (kind == ReplyKind::Late { target, attempt, rtt: Some(rtt), timeout }, name)
            }
            Expected::TooLate => (kind == ReplyKind::Late { target, attempt, rtt: None, timeout: None }, "too late"),
            Expected::Forgotten => (
                matches!(kind, ReplyKind::Duplicate { rtt: None, .. } | ReplyKind::Late { rtt: None, .. }),
                "forgotten",
            ),
            Expected::Nothing => (kind == ReplyKind::Damaged, "to nobody"),
        };
        assert!(is_right, "{kind:?} at {at:?} should be {expected:?}: target {}, probe {}", packet.key, packet.number);
        *self.judged.entry(name).or_default() += 1;
        match kind {
            ReplyKind::Reply { .. } => self.count(End::Answered),
            ReplyKind::Late { rtt: Some(_), timeout, .. } => {
                if let Some(timeout) = timeout {
                    *self.figures.get_mut(&end_of(timeout)).expect("it was told before") -= 1;
                }
                self.count(End::Late);
            }
            _ => {}
        }
        let number = packet.number as u32;
        let told = match kind {
            ReplyKind::Reply { rtt, .. } => Told::Reply(number, rtt),
            ReplyKind::Duplicate { rtt, .. } => Told::Duplicate(number, rtt),
            ReplyKind::Late { rtt, timeout, .. } => Told::Late(number, rtt, timeout),
            ReplyKind::Altered { .. } | ReplyKind::Damaged | ReplyKind::Stray => Told::Nobodys,
        };
        self.tell(packet.key, told);
    }

    fn count(&mut self, end: End) {
        *self.figures.entry(end).or_default() += 1;
    }

    fn time_out(&mut self) {
        let now = self.instant();
        let mut told = Vec::new();
        self.prober.handle_timeouts(now, |_| None, |timed_out| told.push(timed_out));
        let roster = self.prober.strategy();
        let told: Vec<_> = told
            .into_iter()
            .map(|timed_out| {
                let key = self.occupants[&timed_out.target];
                let first = roster.first_attempt(self.ids[key]).expect("the target is there");
                (
                    key,
                    timed_out.attempt.wrapping_sub(first) as usize,
                    timed_out.sent - self.origin,
                    end_of(timed_out.timeout),
                )
            })
            .collect();
        for &(key, number, _, end) in &told {
            self.count(end);
            let timeout = if end == End::Doubtful { Timeout::Doubtful } else { Timeout::Counted };
            self.tell(key, Told::TimedOut(number as u32, timeout));
        }
        let expected = self.model.time_out(self.now, self.overflow);
        // Those with the same deadline have no order.
        let sorted = |mut list: Vec<(Key, usize, Duration, End)>| {
            list.sort_by_key(|&(key, number, ..)| (key, number));
            list
        };
        assert_eq!(sorted(told), sorted(expected));
    }

    fn report_done(&mut self) {
        let mut told: Vec<Key> = Vec::new();
        while let Some(target) = self.prober.poll_done() {
            told.push(self.occupants[&target]);
        }
        told.sort_unstable();
        let mut expected = self.model.done();
        expected.sort_unstable();
        assert_eq!(told, expected, "who is done at {:?}", self.now);
        for key in told {
            self.tell(key, Told::Done);
        }
    }

    /// Sends what may be sent. Returns whether that was all that is due.
    fn send(&mut self) -> bool {
        let now = self.instant();
        let mut last_turn = Duration::ZERO;
        let mut in_order = self.sent_all;
        loop {
            let batch = self.prober.poll_send(now).to_vec();
            if batch.is_empty() {
                let has_pace = !self.unlimited || self.overflow.v4.max(self.overflow.v6).is_some();
                return !has_pace && self.now >= self.retry_at;
            }
            assert_eq!(self.prober.poll_send(now), batch, "asking again gives the same probes");
            assert!(batch.iter().all(|probe| probe.address.family() == batch[0].address.family()));
            for probe in batch {
                let key = self.occupants[&probe.target];
                if self.rng.percent(self.full) {
                    assert!(!self.prober.handle_send_error(SendError::SocketFull, now));
                    self.retry_at = self.now + RETRY_INTERVAL;
                    return false;
                }
                let refused = self.rng.percent(self.hosts[key].refused);
                let first = self.prober.strategy().first_attempt(self.ids[key]).expect("the target is there");
                let number = probe.token.attempt.wrapping_sub(first) as usize;
                let turn = self.model.attempt(key, number, self.now, refused);
                assert_eq!(probe.address, self.model.targets[key].address);
                // Not so where some had to wait for the pace, or behind a probe out of turn.
                in_order &= turn.is_some();
                if let Some(turn) = turn.filter(|_| in_order) {
                    assert!(last_turn <= turn, "due at {turn:?}, after one that was due at {last_turn:?}");
                    last_turn = turn;
                }
                if refused {
                    self.count(End::Refused);
                    self.tell(key, Told::Refused(number as u32));
                    assert!(self.prober.handle_send_error(SendError::Refused { errno: 101 }, now));
                    if self.unlimited {
                        self.retry_at = self.now + REFUSAL_INTERVAL;
                    }
                    break;
                }
                self.prober.handle_sent(&[now], false, now);
                self.depart(key, number, probe.address, probe.token);
            }
        }
    }

    fn depart(&mut self, key: Key, number: usize, from: Address, token: Token) {
        self.tell(key, Told::Sent(number as u32));
        let host = &self.hosts[key];
        if self.rng.percent(host.loss) {
            return;
        }
        let delay = self.rng.duration(&host.delay);
        for copy in 0..=self.rng.number(&host.copies) {
            let later = if copy == 0 { Duration::ZERO } else { self.rng.duration(&host.spread) };
            self.packets += 1;
            let packet = Packet { key, number, from, token: token.emit() };
            self.under_way.insert((self.now + delay + later, self.packets), packet);
        }
    }
}
