//! 100,000 targets, of which 20,000 go and as many come in each second, in virtual time: every
//! probe has exactly one end, unless its target went before that, and no target is told of
//! another's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::RandomState;
use std::time::{Duration, Instant};

use multiping::Address;
use multiping::Rate;
use multiping::proto::{
    Echo, Key, PerFamily, Prober, ReplyKind, Roster, RosterId, Route, Schedule, TargetId, TimedOut, Token,
};

const TARGETS: usize = 100_000;
const CHANGES: usize = 20_000;
const STEP: Duration = Duration::from_millis(10);
const STEPS: usize = 250;
const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };

/// The end of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Reply,
    TimedOut,
}

struct Probe {
    owner: RosterId,
    end: Option<End>,
}

struct Churn {
    prober: Prober<Roster>,
    start: Instant,
    now: Duration,
    /// In the order in which they came, so that the oldest goes first.
    targets: std::collections::VecDeque<RosterId>,
    owners: HashMap<TargetId, RosterId>,
    /// By target and attempt, which are never used twice.
    probes: HashMap<(TargetId, u32), Probe>,
    under_way: BTreeMap<(Duration, u64), (Address, [u8; Token::LEN])>,
    added: u32,
    /// Replies to targets that had gone, which are nobody's.
    nobodys: usize,
}

impl Churn {
    fn new() -> Self {
        let start = Instant::now(); // all other times are made up
        let key = Key::new(RandomState::new());
        Churn {
            prober: Prober::new(Roster::new(start), Rate::UNLIMITED, false, key, IDENTS, start),
            start,
            now: Duration::ZERO,
            targets: Default::default(),
            owners: HashMap::new(),
            probes: HashMap::new(),
            under_way: BTreeMap::new(),
            added: 0,
            nobodys: 0,
        }
    }

    fn add(&mut self) {
        let address = Address::from((0x0a00_0000 + self.added).to_be_bytes());
        self.added += 1;
        let schedule = Schedule::default().with_timeout(Duration::from_millis(500)).expect("in range");
        let id = self.prober.strategy_mut().add(address, &schedule, self.start + self.now).expect("there is memory");
        self.targets.push_back(id);
        self.owners.insert(id.target, id);
    }

    fn remove_oldest(&mut self) {
        let id = self.targets.pop_front().expect("there is one");
        assert!(self.prober.strategy_mut().remove(id) && !self.prober.strategy_mut().remove(id));
        self.owners.remove(&id.target);
    }

    fn end(&mut self, target: TargetId, attempt: u32, end: End) {
        let probe = self.probes.get_mut(&(target, attempt)).expect("it was sent");
        assert_eq!(self.owners.get(&target), Some(&probe.owner), "nothing is told of a target that is gone");
        assert_eq!(probe.end.replace(end), None, "a probe has one end");
    }

    /// Every tenth address is silent; the others answer after up to 90 ms.
    fn send(&mut self) {
        loop {
            let now = self.start + self.now;
            let probes = self.prober.poll_send(now).to_vec();
            if probes.is_empty() {
                return;
            }
            for probe in &probes {
                let owner = self.owners[&probe.target];
                let key = (probe.target, probe.token.attempt);
                assert!(self.probes.insert(key, Probe { owner, end: None }).is_none(), "an attempt has its own number");
                let number = self.probes.len() as u64;
                if number % 10 != 0 {
                    let at = self.now + STEP * (number % 9 + 1) as u32;
                    self.under_way.insert((at, number), (probe.address, probe.token.emit()));
                }
            }
            self.prober.handle_sent(&vec![now; probes.len()], false, now);
        }
    }

    fn receive(&mut self) {
        while let Some(packet) = self.under_way.first_entry().filter(|packet| packet.key().0 <= self.now) {
            let at = self.start + packet.key().0;
            let (from, token) = packet.remove();
            match self.prober.handle_reply(from, &Echo { ident: IDENTS.v4, seq: 0, data: &token }, at) {
                ReplyKind::Reply { target, attempt, .. } => self.end(target, attempt, End::Reply),
                ReplyKind::Damaged => self.nobodys += 1,
                other => panic!("{other:?}"),
            }
        }
        let mut timed_out = Vec::new();
        self.prober.handle_timeouts(self.start + self.now, |_| Some(Route::over(1)), |out| timed_out.push(out));
        for TimedOut { target, attempt, .. } in timed_out {
            self.end(target, attempt, End::TimedOut);
        }
    }
}

#[test]
fn every_probe_has_one_end_while_targets_come_and_go() {
    let mut churn = Churn::new();
    (0..TARGETS).for_each(|_| churn.add());
    for step in 1..=STEPS {
        churn.now = STEP * step as u32;
        churn.receive();
        churn.send();
        for _ in 0..CHANGES / 100 {
            churn.remove_oldest();
            churn.add();
        }
    }
    // Nothing more is sent, and all that is under way arrives.
    let ids: Vec<_> = churn.targets.iter().copied().collect();
    ids.iter().for_each(|&id| assert!(churn.prober.strategy_mut().finish(id)));
    churn.now += Duration::from_secs(1);
    churn.receive();
    let there: HashSet<RosterId> = ids.into_iter().collect();
    let (mut ends, mut without) = (0, 0);
    for probe in churn.probes.values() {
        match probe.end {
            Some(_) => ends += 1,
            None => {
                assert!(!there.contains(&probe.owner), "only a target that went has a probe without an end");
                without += 1;
            }
        }
    }
    let counts = churn.prober.counts();
    assert_eq!(counts.sent as usize, churn.probes.len());
    assert_eq!((counts.replies + counts.timeouts) as usize, ends);
    // All of 2.5 s at 100,000 a second but for those not sent yet, and each reply belongs to a
    // target or to nobody.
    assert!(churn.probes.len() > 200_000, "{} probes", churn.probes.len());
    assert!(without > 0 && churn.nobodys > 0, "{without} probes without an end, {} replies to nobody", churn.nobodys);
    assert_eq!((churn.prober.strategy().len(), churn.prober.strategy().in_flight()), (TARGETS, 0));
}
