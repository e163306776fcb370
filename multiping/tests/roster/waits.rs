//! How the process waits: for each probe and reply where little is sent, and in steps of 2 to 10 ms
//! where the rate and the load are high and no target is in a hurry.

use std::net::Ipv4Addr;
use std::time::Duration;

use multiping::address::Address;
use multiping::plan::Rate;
use multiping::prober::{COALESCED_RATE, Phase, Schedule};

use crate::machine::{Host, Machine, Told};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A machine with this many targets that are probed once a second and answer after 300 us.
fn machine(targets: u32, rate: Rate) -> Machine {
    let mut machine = Machine::new(1, rate, None);
    for number in 0..targets {
        let host = Host::alive(300 * MILLI / 1000);
        machine.add(Address::V4(Ipv4Addr::from(number)), Schedule::default(), host);
    }
    machine
}

/// How often a machine wakes up in a second.
fn wakes(machine: &mut Machine) -> u64 {
    let before = machine.wakes;
    machine.run_until(machine.now + SECOND);
    machine.wakes - before
}

#[test]
fn a_low_load_has_a_wake_up_for_each_probe_and_each_reply() {
    let mut machine = machine(400, Rate::UNLIMITED);
    machine.run_until(SECOND / 3);
    machine.turn();
    let wait = machine.prober.poll_wait(machine.instant()).expect("something to wait for");
    assert!(wait.for_replies);
    assert_eq!(wait.until, machine.prober.poll_wakeup(machine.instant()));
    let wakes = wakes(&mut machine);
    assert!((790..=810).contains(&wakes), "{wakes} wake-ups for 400 probes and as many replies");
}

#[test]
fn a_high_load_has_a_wake_up_for_a_hundred_probes_or_each_ten_milliseconds() {
    for (load, wake_ups) in [(2500, 100), (10_000, 100), (20_000, 200)] {
        let mut machine = machine(load, Rate::UNLIMITED);
        machine.run_until(SECOND / 3);
        machine.turn();
        let now = machine.instant();
        let wait = machine.prober.poll_wait(now).expect("something to wait for");
        assert!(!wait.for_replies);
        assert_eq!(wait.until, Some(now + SECOND / wake_ups));
        machine.story = Some(Vec::new());
        let wakes = wakes(&mut machine) as u32;
        assert!((wake_ups * 9 / 10..=wake_ups + 1).contains(&wakes), "{wakes} wake-ups");
        let story = machine.story.as_deref().unwrap_or_default();
        let sent = story.iter().filter(|(_, _, told)| matches!(told, Told::Sent(_))).count();
        // Those of one wake-up may be in this second or in the next one.
        assert!(sent.abs_diff(load as usize) <= load as usize / wake_ups as usize + 1, "{sent} probes");
    }
}

#[test]
fn at_a_finite_rate_the_steps_are_two_milliseconds() {
    let mut machine = machine(2500, Rate::per_second(1e6).expect("in range"));
    machine.run_until(SECOND / 3);
    machine.turn();
    let now = machine.instant();
    assert_eq!(machine.prober.poll_wait(now).expect("something to wait for").until, Some(now + 2 * MILLI));
}

#[test]
fn no_step_is_longer_than_a_short_period_allows() {
    for (targets, period) in [(2, 1), (3, 2), (12, 8), (20, 10), (60, 30), (80, 39)] {
        let mut machine = Machine::new(1, Rate::UNLIMITED, None);
        let schedule = Schedule::default().with_period(period * MILLI).expect("in range");
        for number in 0..targets {
            machine.add(Address::V4(Ipv4Addr::from(number)), schedule, Host::alive(300 * MILLI / 1000));
        }
        machine.run_until(SECOND);
        assert_eq!((machine.model.slipped, machine.model.skipped), (0, 0), "{targets} targets, {period} ms");
    }
}

#[test]
fn a_reply_that_makes_a_probe_due_is_waited_for() {
    for targets in [9, 11, 100] {
        let mut machine = Machine::new(1, Rate::UNLIMITED, None);
        let schedule = Schedule::default().with_period(10 * MILLI).expect("in range").with_after_reply(true);
        for number in 0..targets {
            machine.add(Address::V4(Ipv4Addr::from(number)), schedule, Host::SILENT);
        }
        machine.turn();
        let wait = machine.prober.poll_wait(machine.instant()).expect("something to wait for");
        assert!(wait.for_replies, "{targets} targets");
    }
}

#[test]
fn the_load_is_that_of_the_targets_that_are_there() {
    let mut machine = machine(COALESCED_RATE as u32 + 1, Rate::UNLIMITED);
    let waits_for_replies = |machine: &mut Machine| {
        machine.run_until(machine.now + SECOND / 10);
        machine.turn();
        machine.prober.poll_wait(machine.instant()).is_some_and(|wait| wait.for_replies)
    };
    assert!(!waits_for_replies(&mut machine));
    // A target is slowed down, probed no more, or gone.
    machine.reschedule(0, Schedule::default().with_period(2 * SECOND).expect("in range"));
    assert!(!waits_for_replies(&mut machine));
    machine.finish(1);
    assert!(waits_for_replies(&mut machine));
    machine.add(Address::V4(Ipv4Addr::LOCALHOST), Schedule::default(), Host::SILENT);
    assert!(!waits_for_replies(&mut machine));
    machine.remove(2);
    assert!(waits_for_replies(&mut machine));
    // What has no turns is no load, nor is one turn once it is over.
    for _ in 0..100 {
        machine.add(Address::V4(Ipv4Addr::LOCALHOST), Schedule::manual(), Host::SILENT);
        machine.add(Address::V4(Ipv4Addr::LOCALHOST), Schedule::once(), Host::SILENT);
    }
    machine.turn();
    assert!(waits_for_replies(&mut machine));
}

#[test]
fn a_high_load_at_a_low_rate_has_a_wake_up_for_each_probe() {
    let mut machine = machine(2500, Rate::per_second(100.0).expect("in range"));
    machine.run_until(SECOND / 3);
    machine.turn();
    let now = machine.instant();
    let wait = machine.prober.poll_wait(now).expect("something to wait for");
    assert!(wait.for_replies);
    assert_eq!(wait.until, machine.prober.poll_wakeup(now));
    let wakes = wakes(&mut machine);
    assert!((190..=210).contains(&wakes), "{wakes} wake-ups for 100 probes and as many replies");
}

#[test]
fn a_load_above_the_rate_makes_the_period_longer_for_all_alike() {
    let mut machine = Machine::new(1, Rate::per_second(200.0).expect("in range"), None);
    for number in 0..300 {
        let schedule = Schedule::default().with_phase(Phase::Now);
        machine.add(Address::V4(Ipv4Addr::from(number)), schedule, Host::alive(MILLI));
    }
    machine.story = Some(Vec::new());
    machine.run_until(60 * SECOND);
    let sent: Vec<Vec<Duration>> = (0..300).map(|key| machine.sent(key)).collect();
    let all: usize = sent.iter().map(Vec::len).sum();
    assert!((11_990..=12_010).contains(&all), "{all}");
    // 1.5 s instead of 1 s: 40 turns.
    for (key, times) in sent.iter().enumerate() {
        assert!((39..=41).contains(&times.len()), "target {key} had {} turns", times.len());
        let longest = times.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(longest <= Some(1600 * MILLI), "{longest:?}");
    }
    assert!(machine.model.skipped > 5000, "{}", machine.model.skipped);
}

#[test]
fn an_overflow_halves_the_load_and_not_the_average_since_the_start() {
    let mut machine = Machine::new(1, Rate::UNLIMITED, None);
    let address = Address::V4(Ipv4Addr::LOCALHOST);
    let slow = Schedule::default().with_period(60 * SECOND).expect("in range");
    machine.add(address, slow, Host { copies: 9..10, ..Host::alive(MILLI) });
    machine.run_until(24 * 3600 * SECOND - SECOND);
    let targets: Vec<_> = (0..800).map(|_| machine.add(address, Schedule::default(), Host::SILENT)).collect();
    // Ten replies arrive together, and there is room for one.
    machine.buffer = 1;
    machine.run_until(24 * 3600 * SECOND + MILLI);
    machine.story = Some(Vec::new());
    machine.run_until(machine.now + SECOND / 2);
    let sent: usize = targets.iter().map(|&key| machine.sent(key).len()).sum();
    assert!((200..=210).contains(&sent), "{sent} probes in half a second");
}
