//! Probes without a timeout, turns that follow a reply, and targets that change their address: what
//! the model does not know, in a bare loop without a network.

use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, PerFamily};
use multiping::plan::Rate;
use multiping::prober::{Phase, Probe, Prober, ReplyKind, Roster, RosterId, Route, Schedule, Strategy, Timeout};
use multiping::token::Key;
use multiping::wire::Echo;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };

/// A prober in virtual time, and what was told of attempts: those sent, and those timed out.
struct Bench {
    prober: Prober<Roster>,
    origin: Instant,
    now: Duration,
    sent: Vec<(Duration, Probe)>,
    timed_out: Vec<(Duration, u32)>,
    done: usize,
}

impl Bench {
    fn new() -> Self {
        let origin = Instant::now(); // all other times are made up
        let roster = Roster::new(origin);
        let prober = Prober::new(roster, Rate::UNLIMITED, false, Key::new(RandomState::new()), IDENTS, origin);
        Bench { prober, origin, now: Duration::ZERO, sent: Vec::new(), timed_out: Vec::new(), done: 0 }
    }

    fn add(&mut self, number: u8, schedule: Schedule) -> RosterId {
        self.prober.strategy_mut().add(address(number), &schedule, self.origin + self.now).expect("there is memory")
    }

    fn turn(&mut self) {
        let now = self.origin + self.now;
        let (at, timed_out) = (self.now, &mut self.timed_out);
        self.prober.handle_timeouts(
            now,
            |_| Some(Route::over(1)),
            |out| {
                assert_eq!(out.timeout, Timeout::Counted);
                timed_out.push((at, out.attempt));
            },
        );
        let probes = self.prober.poll_send(now).to_vec();
        self.sent.extend(probes.iter().map(|&probe| (self.now, probe)));
        self.prober.handle_sent(&vec![now; probes.len()], false, now);
        while self.prober.poll_done().is_some() {
            self.done += 1;
        }
    }

    /// Turns whenever the prober asks for it, until `end`.
    fn run_until(&mut self, end: Duration) {
        loop {
            self.turn();
            let wakeup = self.prober.poll_wakeup(self.origin + self.now).map_or(end, |at| at - self.origin);
            if wakeup >= end {
                self.now = end;
                return;
            }
            self.now = self.now.max(wakeup);
        }
    }

    /// A reply to the `nth` probe that was sent.
    fn reply(&mut self, nth: usize) -> ReplyKind {
        let (_, probe) = self.sent[nth];
        let token = probe.token.emit();
        let echo = Echo { ident: IDENTS.v4, seq: probe.seq, data: &token };
        self.prober.handle_reply(probe.address, &echo, self.origin + self.now)
    }

    fn times(&self) -> Vec<Duration> {
        self.sent.iter().map(|&(at, _)| at).collect()
    }
}

fn address(number: u8) -> Address {
    Address::V4(Ipv4Addr::new(192, 0, 2, number))
}

fn every(period: Duration) -> Schedule {
    Schedule::default().with_period(period).expect("in range").with_phase(Phase::Now)
}

fn endless(max_in_flight: u16) -> Schedule {
    every(SECOND).without_timeout().with_max_in_flight(max_in_flight).expect("in range")
}

#[test]
fn without_a_timeout_the_oldest_probe_is_given_up_for_the_one_that_is_too_many() {
    let mut bench = Bench::new();
    bench.add(1, endless(3));
    bench.run_until(5 * SECOND + MILLI);
    assert_eq!(bench.times(), (0..6).map(|nth| SECOND * nth).collect::<Vec<_>>());
    assert_eq!(bench.timed_out, [(3 * SECOND, 0), (4 * SECOND, 1), (5 * SECOND, 2)]);
    assert_eq!(bench.prober.strategy().in_flight(), 3);
    // Hours may pass before a reply.
    let kind = bench.reply(3);
    assert!(matches!(kind, ReplyKind::Reply { attempt: 3, rtt, .. } if rtt == 2 * SECOND + MILLI), "{kind:?}");
    assert!(matches!(bench.reply(3), ReplyKind::Duplicate { attempt: 3, rtt: Some(_), .. }));
    bench.now = 5 * SECOND + 2 * MILLI;
    let late = bench.reply(2);
    assert!(matches!(late, ReplyKind::Late { attempt: 2, timeout: Some(Timeout::Counted), .. }), "{late:?}");
}

#[test]
fn a_probe_without_a_timeout_is_answered_after_a_day_and_then_forgotten() {
    let mut bench = Bench::new();
    let schedule = Schedule::manual().without_timeout();
    let id = bench.add(1, schedule);
    bench.prober.strategy_mut().probe(id, bench.origin);
    bench.run_until(SECOND);
    assert_eq!(bench.prober.poll_wakeup(bench.origin + SECOND), None, "nothing is to be waited for but the reply");
    bench.now = 86_400 * SECOND;
    assert!(matches!(bench.reply(0), ReplyKind::Reply { rtt, .. } if rtt == 86_400 * SECOND));
    assert_eq!(bench.prober.strategy().known(), 1);
    bench.now = 3 * 86_400 * SECOND;
    bench.turn();
    assert_eq!(bench.prober.strategy().known(), 0);
}

#[test]
fn a_finished_target_waits_for_nothing_without_a_timeout() {
    let mut bench = Bench::new();
    let id = bench.add(1, endless(10));
    bench.run_until(2 * SECOND + MILLI);
    assert!(bench.prober.strategy_mut().finish(id));
    bench.run_until(3 * SECOND);
    let told: Vec<u32> = bench.timed_out.iter().map(|&(_, attempt)| attempt).collect();
    assert_eq!((told, bench.done), (vec![0, 1, 2], 1));
    assert!(bench.prober.is_done());
}

#[test]
fn a_new_schedule_gives_its_timeout_to_probes_without_one() {
    let mut bench = Bench::new();
    let id = bench.add(1, endless(10));
    bench.run_until(2 * SECOND + MILLI);
    let now = bench.origin + bench.now;
    bench.prober.strategy_mut().reschedule(id, &Schedule::manual().with_timeout(4 * SECOND).expect("in range"), now);
    bench.run_until(10 * SECOND);
    assert_eq!(bench.timed_out, [(4 * SECOND, 0), (5 * SECOND, 1), (6 * SECOND, 2)]);
}

#[test]
fn thousands_of_probes_without_a_timeout_end_once_each() {
    let mut bench = Bench::new();
    let schedule = every(MILLI).without_timeout().with_max_in_flight(100).expect("in range");
    let id = bench.add(1, schedule);
    let mut answered = 0;
    for step in 1..=5_000_u32 {
        bench.run_until(MILLI * step);
        // Every third one is answered, 50 probes later.
        if let Some(nth) = (step as usize).checked_sub(50).filter(|nth| nth % 3 == 0) {
            answered += usize::from(matches!(bench.reply(nth), ReplyKind::Reply { .. }));
        }
    }
    bench.prober.strategy_mut().finish(id);
    bench.run_until(60 * SECOND);
    let ends = answered + bench.timed_out.len();
    assert_eq!((ends, bench.done), (bench.sent.len(), 1));
    assert!(answered > 1600, "{answered}");
    assert_eq!(bench.prober.strategy().in_flight(), 0);
}

#[test]
fn after_a_reply_the_next_turn_is_at_once_and_without_one_after_the_period() {
    let mut bench = Bench::new();
    bench.add(1, every(SECOND).with_after_reply(true).with_count(6));
    bench.run_until(10 * MILLI);
    for nth in 0..3 {
        assert!(matches!(bench.reply(nth), ReplyKind::Reply { .. }));
        bench.run_until(bench.now + 10 * MILLI);
    }
    bench.run_until(10 * SECOND);
    let expected = [0, 10, 20, 30, 1030, 2030].map(|millis| MILLI * millis);
    assert_eq!(bench.times(), expected);
    assert_eq!(bench.done, 1);
}

#[test]
fn a_new_address_takes_nothing_of_what_was_in_flight_to_the_old_one() {
    let mut bench = Bench::new();
    let id = bench.add(1, every(SECOND));
    bench.run_until(MILLI);
    assert!(bench.prober.strategy_mut().set_address(id, address(2)));
    assert_eq!(bench.prober.strategy().address(id.target), Some(address(2)));
    assert!(matches!(bench.reply(0), ReplyKind::Damaged), "it is nobody's");
    bench.run_until(SECOND + 2 * MILLI);
    assert_eq!(bench.timed_out, []);
    assert_eq!(bench.sent.last().map(|(_, probe)| probe.address), Some(address(2)));
    assert!(matches!(bench.reply(1), ReplyKind::Reply { .. }));
    assert!(bench.prober.strategy_mut().remove(id) && !bench.prober.strategy_mut().set_address(id, address(3)));
}
