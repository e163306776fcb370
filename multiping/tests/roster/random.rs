//! Coming and going that a seed decides.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::panic::catch_unwind;
use std::time::Duration;

use multiping::address::Address;
use multiping::plan::Rate;
use multiping::prober::{Phase, Schedule, Slips};

use crate::machine::{Host, Machine};
use crate::model::End;
use crate::rng::Rng;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A time between the two, as likely in each decade.
fn decades(rng: &mut Rng, from: Duration, to: Duration) -> Duration {
    let place = rng.below(1_000_001) as f64 / 1e6;
    from.mul_f64((to.as_secs_f64() / from.as_secs_f64()).powf(place)).min(to)
}

/// One of few addresses, so that equal ones come again.
fn address(rng: &mut Rng) -> Address {
    let number = rng.below(20) as u8;
    if rng.percent(50) {
        Address::V4(Ipv4Addr::new(192, 0, 2, number))
    } else {
        Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number.into()), 0)
    }
}

/// How often and how patiently a target is probed. `shortest` is the shortest period of most.
fn schedule(rng: &mut Rng, shortest: Duration) -> Schedule {
    let timeout = decades(rng, MILLI, 200 * SECOND);
    let max_in_flight = rng.pick(&[1, 2, 5, u16::MAX, u16::MAX, u16::MAX]);
    let phase = match rng.below(4) {
        0 => Phase::Now,
        1 => Phase::After(decades(rng, MILLI, 100 * SECOND)),
        _ => Phase::Spread,
    };
    let periodic = |rng: &mut Rng, shortest, longest, count| {
        let period = decades(rng, shortest, longest);
        Schedule::default().with_period(period).unwrap().with_count(count).with_phase(phase)
    };
    let schedule = match rng.below(20) {
        0 => Schedule::once(),
        1 | 2 => Schedule::manual(),
        // A burst that is soon over.
        3 => {
            let count = 1 + rng.below(200) as u32;
            periodic(rng, MILLI, 500 * MILLI, count)
        }
        _ => {
            let count = if rng.percent(50) { 0 } else { 1 + rng.below(30) as u32 };
            periodic(rng, shortest, 300 * shortest, count)
        }
    };
    schedule.with_timeout(timeout).unwrap().with_max_in_flight(max_in_flight).unwrap()
}

fn host(rng: &mut Rng) -> Host {
    let slowest = decades(rng, MILLI, 200 * SECOND);
    Host {
        loss: rng.pick(&[0, 0, 0, 5, 50, 100]),
        delay: Duration::ZERO..slowest,
        copies: 0..1 + rng.below(4),
        spread: Duration::ZERO..decades(rng, MILLI, 1000 * SECOND),
        refused: rng.pick(&[0, 0, 0, 0, 10, 100]),
    }
}

/// A run in which somebody acts every now and then.
struct Play {
    machine: Machine,
    rng: Rng,
    /// How many targets there are at most.
    targets: usize,
    /// The shortest period of most.
    shortest: Duration,
    /// How long nobody does anything, on average.
    pause: Duration,
}

impl Play {
    /// Somebody comes, goes, or is treated in another way.
    fn act(&mut self) {
        let Play { machine, rng, .. } = self;
        let present = machine.model.present.clone();
        // Also those that are long gone: their ids name nobody.
        let anybody = match machine.model.targets.len() {
            0 => None,
            targets if present.is_empty() || rng.percent(10) => Some(rng.below(targets as u64) as usize),
            _ => Some(rng.pick(&present)),
        };
        match (rng.below(10), anybody) {
            (0..=2, Some(key)) => machine.remove(key),
            (3, Some(key)) => machine.finish(key),
            (4, Some(key)) => machine.reschedule(key, schedule(rng, self.shortest)),
            (5 | 6, Some(key)) => (0..1 + rng.below(3)).for_each(|_| machine.probe(key)),
            _ if present.len() < self.targets => {
                machine.add(address(rng), schedule(rng, self.shortest), host(rng));
            }
            _ => {}
        }
    }

    /// Plays for this time, and then until all that is in flight has ended.
    fn run(&mut self, time: Duration) {
        while self.machine.now < time {
            for _ in 0..1 + self.rng.below(3) {
                self.act();
            }
            let pause = self.rng.duration(&(Duration::ZERO..2 * self.pause));
            self.machine.run_until(self.machine.now + pause);
        }
        for key in self.machine.model.present.clone() {
            self.machine.finish(key);
        }
        self.machine.run_until(self.machine.now + 201 * SECOND);
        assert!(self.machine.prober.is_done());
        self.machine.model.check_ends();
        assert_eq!(self.machine.model.in_flight(), 0);
        for (end, times) in self.machine.model.ends() {
            let counted = end.map(|end| self.machine.figures.get(&end).copied().unwrap_or(0));
            assert!(counted.is_none_or(|counted| counted == times), "{end:?}: {counted:?} of {times}");
        }
    }
}

/// Fails unless each of these happened so often, so that the model's silence means something.
fn check_happened(machine: &Machine, enough: u64, what: &[&str]) {
    for &what in what {
        let times = machine.judged.get(what).copied().unwrap_or(0);
        assert!(times >= enough, "{what:?} only {times} times: {:?}", machine.judged);
    }
}

#[test]
fn in_a_day_of_coming_and_going_every_probe_has_exactly_one_end() {
    let mut machine = Machine::new(1, Rate::UNLIMITED, None);
    let mut rng = Rng::new(2);
    machine.lateness = Duration::ZERO..3 * MILLI;
    machine.full = 1;
    for nth in 1..140 {
        let start = 600 * SECOND * nth + rng.duration(&(Duration::ZERO..300 * SECOND));
        machine.stops.push_back(start..start + decades(&mut rng, 10 * MILLI, 60 * SECOND));
    }
    let mut play = Play { machine, rng, targets: 40, shortest: 2 * SECOND, pause: 20 * SECOND };
    play.run(86_400 * SECOND);
    let machine = &play.machine;
    for (end, times) in machine.model.ends() {
        let enough = if end == Some(End::Doubtful) { 0 } else { 100 };
        assert!(times >= enough, "{end:?} {times} times");
    }
    let kinds = [
        "reply",
        "duplicate",
        "old duplicate",
        "late",
        "late before its timeout was told",
        "too late",
        "forgotten",
        "to nobody",
    ];
    check_happened(machine, 100, &kinds);
    assert!(machine.model.slipped > 1000 && machine.model.skipped > machine.model.slipped);
    // Nothing piles up: of each target that is there at most what its schedule can have in the air.
    assert!(machine.prober.strategy().known() < 1000, "{}", machine.prober.strategy().known());
}

#[test]
fn crowded_runs_with_full_buffers_and_any_rate_keep_the_rules() {
    let mut happened = BTreeMap::new();
    for seed in 0..24 {
        let play = catch_unwind(|| crowded_run(seed)).unwrap_or_else(|_| panic!("seed {seed}: see above"));
        let ends = play.machine.model.ends().into_iter().map(|(end, times)| (format!("{end:?}"), times as u64));
        let judged = play.machine.judged.iter().map(|(what, times)| ((*what).to_owned(), *times));
        for (what, times) in ends.chain(judged) {
            *happened.entry(what).or_insert(0) += times;
        }
    }
    let enough = |what: &str| happened.get(what).is_some_and(|times| *times >= 500);
    for what in ["Some(Doubtful)", "Some(Refused)", "reply", "duplicate", "late", "too late", "to nobody"] {
        assert!(enough(what), "{what}: {happened:?}");
    }
    assert!(happened["late though doubtful"] >= 20, "{happened:?}");
}

fn crowded_run(seed: u64) -> Play {
    let mut rng = Rng::new(seed);
    let rate = rng.pick(&[None, None, None, Some(2.0), Some(30.0), Some(400.0)]);
    let rate = rate.map_or(Rate::UNLIMITED, |pps| Rate::per_second(pps).unwrap());
    let late = rng.pick(&[None, None, Some(Duration::ZERO), Some(3 * SECOND), Some(200 * SECOND)]);
    let mut machine = Machine::new(seed, rate, late);
    machine.lateness = Duration::ZERO..decades(&mut rng, MILLI / 1000, 100 * MILLI);
    machine.full = rng.pick(&[0, 0, 5]);
    machine.buffer = rng.pick(&[usize::MAX, usize::MAX, 0, 2, 4, 8]);
    for nth in 1..20 {
        let start = 10 * SECOND * nth + rng.duration(&(Duration::ZERO..9 * SECOND));
        machine.stops.push_back(start..start + decades(&mut rng, MILLI, 10 * SECOND));
    }
    let mut play = Play { machine, rng, targets: 100, shortest: 100 * MILLI, pause: 300 * MILLI };
    play.run(200 * SECOND);
    play
}

#[test]
fn in_thirty_days_no_probe_is_early_late_or_left_out() {
    const DAY: u32 = 86_400;
    let periods = [31 * SECOND, 61 * SECOND, 39_999 * MILLI, 3600 * SECOND];
    let mut machine = Machine::new(3, Rate::UNLIMITED, None);
    machine.story = Some(Vec::new());
    let hosts = [Host::alive(30 * MILLI), Host::SILENT, Host::alive(1500 * MILLI), Host::alive(Duration::ZERO)];
    for (period, host) in periods.into_iter().zip(hosts) {
        let schedule = Schedule::default().with_period(period).unwrap().with_phase(Phase::Now);
        machine.add(address(&mut Rng::new(0)), schedule, host);
    }
    machine.run_until(30 * DAY * SECOND);
    for (key, period) in periods.into_iter().enumerate() {
        let times = machine.sent(key);
        let turns = (30 * DAY * SECOND).as_nanos().div_ceil(period.as_nanos());
        assert_eq!(times.len() as u128, turns);
        assert!((0..).zip(&times).all(|(turn, at)| *at == period * turn), "every {period:?}");
    }
    assert_eq!(machine.prober.strategy().slips(), &Slips::default());
    assert!(machine.prober.strategy().known() <= 8);
    let ends = [End::Answered, End::Lost, End::Late, End::Answered];
    for (target, end) in machine.model.targets.iter().zip(ends) {
        let (_, ended) = target.probes.split_last().unwrap();
        assert!(ended.iter().all(|probe| probe.end == Some(end)), "{end:?}");
    }
}
