//! Single promises, each in a scene of its own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use multiping::address::Address;
use multiping::plan::Rate;
use multiping::prober::{Phase, Roster, Schedule, Slips, Strategy, Timeout};

use crate::machine::{Host, Machine, Told};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
pub const FIRST: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const SECOND_V6: Address = Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 0);

pub fn machine() -> Machine {
    let mut machine = Machine::new(1, Rate::UNLIMITED, None);
    machine.story = Some(Vec::new());
    machine
}

/// Endless, from now on, with a timeout of one second.
pub fn every(period: Duration) -> Schedule {
    Schedule::default().with_period(period).unwrap().with_phase(Phase::Now)
}

fn seconds(list: &[f64]) -> Vec<Duration> {
    list.iter().map(|&seconds| Duration::from_secs_f64(seconds)).collect()
}

#[test]
fn a_target_takes_no_more_than_144_bytes() {
    assert!(matches!(Roster::BYTES_PER_TARGET, 130..=144));
}

// Turns.

#[test]
fn several_probes_are_in_flight_and_each_is_answered_for_itself() {
    let mut machine = machine();
    let target = machine.add(FIRST, every(100 * MILLI).with_count(10), Host::alive(450 * MILLI));
    machine.run_until(449 * MILLI);
    assert_eq!(machine.prober.strategy().in_flight(), 5);
    machine.run_until(10 * SECOND);
    let story = machine.take_story(target);
    let replies = story.iter().filter(|(_, told)| matches!(told, Told::Reply(_, rtt) if *rtt == 450 * MILLI));
    assert_eq!(replies.count(), 10);
    assert_eq!(story.last(), Some(&(1350 * MILLI, Told::Done)));
    assert!(machine.prober.is_done());
}

#[test]
fn a_count_is_of_turns_and_a_refused_probe_takes_its_own() {
    let mut machine = machine();
    let refused = Host { refused: 100, ..Host::SILENT };
    let target = machine.add(FIRST, every(SECOND).with_count(3), refused);
    machine.run_until(10 * SECOND);
    let told = [(0, Told::Refused(0)), (1, Told::Refused(1)), (2, Told::Refused(2)), (2, Told::Done)];
    assert_eq!(machine.take_story(target), told.map(|(at, told)| (SECOND * at, told)));
    assert_eq!((machine.prober.counts().refused, machine.prober.counts().sent), (3, 0));
}

#[test]
fn a_stop_of_seconds_is_not_made_up_for() {
    let mut machine = machine();
    for number in 0..50_u8 {
        let schedule = Schedule::default().with_phase(Phase::After(20 * MILLI * u32::from(number)));
        machine.add(Address::V4(Ipv4Addr::new(192, 0, 2, number)), schedule, Host::alive(MILLI));
    }
    machine.stops.push_back(2 * SECOND + MILLI..7300 * MILLI);
    machine.run_until(11 * SECOND);
    for number in 0..50 {
        let place = 20 * MILLI * number;
        // One probe when the stop is over, whatever was missed, and then each in its place again.
        let mut times = vec![place, SECOND + place];
        times.extend((number == 0).then_some(2 * SECOND));
        times.push(7300 * MILLI);
        times.extend((7..11).map(|second| SECOND * second + place).filter(|time| *time > 7300 * MILLI));
        assert_eq!(machine.sent(number as usize), times, "target {number}");
    }
    // Of 50 targets, those whose last turn was more than half a second over when the stop ended.
    // The turns of seconds 2 to 7 were missed but for the last of each target (and for one of
    // second 2).
    let slips = machine.prober.strategy().slips();
    assert_eq!((slips.slipped, slips.skipped, slips.no_memory), (50, 16 * 5 + 34 * 4 - 1, 0));
    let slipped: Option<u32> = (0..50).map(|key| machine.prober.strategy().slipped(machine.id(key))).sum();
    assert_eq!(slipped, Some(50));
}

#[test]
fn up_to_half_a_period_late_is_no_slip() {
    for (stop, slipped) in [(500, 0), (501, 1), (999, 1)] {
        let mut machine = machine();
        let target = machine.add(FIRST, every(SECOND), Host::alive(MILLI));
        machine.stops.push_back(SECOND..SECOND + MILLI * stop);
        machine.run_until(3 * SECOND);
        assert_eq!(machine.sent(target), [Duration::ZERO, SECOND + MILLI * stop, 2 * SECOND]);
        assert_eq!(machine.prober.strategy().slips(), &Slips { slipped, ..Slips::default() });
    }
}

#[test]
fn at_most_so_many_are_in_flight_and_further_ones_wait() {
    let mut machine = machine();
    let schedule = every(SECOND).with_timeout(2500 * MILLI).unwrap().with_max_in_flight(1).unwrap();
    let target = machine.add(FIRST, schedule.with_count(4), Host::SILENT);
    machine.run_until(20 * SECOND);
    // Due at 0, 1, 3 and 6: each waits for the one before, and then takes the place of those
    // missed.
    assert_eq!(machine.sent(target), seconds(&[0.0, 2.5, 5.0, 7.5]));
    assert_eq!(machine.prober.strategy().slips().skipped, 1 + 2 + 1);
    // An answer makes room at once.
    let target = machine.add(FIRST, schedule.with_count(3), Host::alive(1200 * MILLI));
    machine.run_until(40 * SECOND);
    assert_eq!(machine.sent(target), seconds(&[20.0, 21.2, 22.4]));
}

// Coming and going.

#[test]
fn a_removed_target_is_gone_at_once() {
    let mut machine = machine();
    let target = machine.add(FIRST, every(100 * MILLI), Host::alive(500 * MILLI));
    machine.run_until(SECOND);
    machine.take_story(target);
    assert_eq!(machine.prober.strategy().in_flight(), 5);
    machine.remove(target);
    let roster = machine.prober.strategy();
    assert!(roster.is_empty() && roster.in_flight() == 0 && roster.known() == 0 && machine.prober.is_done());
    assert_eq!(machine.prober.poll_wakeup(machine.instant()), None);
    machine.run_until(3 * SECOND);
    let story = machine.take_story(target);
    assert_eq!(story.len(), 5, "what was in flight still arrives");
    assert!(story.iter().all(|(_, told)| *told == Told::Nobodys));
    // Its id names nobody, now or later.
    let id = machine.id(target);
    let successor = machine.add(FIRST, Schedule::manual(), Host::SILENT);
    assert_eq!(machine.id(successor).target, id.target);
    let now = machine.instant();
    let roster = machine.prober.strategy_mut();
    assert!(!roster.remove(id) && !roster.finish(id) && !roster.probe(id, now));
    assert!(!roster.reschedule(id, &Schedule::default(), now));
    assert_eq!((roster.first_attempt(id), roster.slipped(id), roster.len()), (None, None, 1));
}

#[test]
fn a_reused_slot_takes_nothing_of_its_predecessor() {
    let mut machine = machine();
    let old = machine.add(FIRST, every(100 * MILLI).with_max_in_flight(20).unwrap(), Host::alive(1700 * MILLI));
    machine.stops.push_back(500 * MILLI..900 * MILLI);
    machine.probe(old);
    machine.run_until(2 * SECOND + 50 * MILLI);
    assert_ne!(machine.prober.strategy().slipped(machine.id(old)), Some(0));
    machine.probe(old);
    machine.remove(old);
    // The same slot, the same address; and while old replies come in, the same attempts are in
    // flight.
    let new = machine.add(FIRST, every(SECOND).with_count(2), Host::alive(500 * MILLI));
    let [old_id, new_id] = [old, new].map(|key| machine.id(key));
    assert_eq!(old_id.target, new_id.target);
    assert_ne!(old_id, new_id);
    machine.run_until(10 * SECOND);
    let story = machine.take_story(new);
    let at = |seconds: f64| Duration::from_secs_f64(2.05 + seconds);
    let reply = |number| Told::Reply(number, 500 * MILLI);
    let told = [
        (at(0.0), Told::Sent(0)),
        (at(0.5), reply(0)),
        (at(1.0), Told::Sent(1)),
        (at(1.5), reply(1)),
        (at(1.5), Told::Done),
    ];
    assert_eq!(story, told);
    assert_eq!(machine.prober.strategy().slipped(new_id), Some(0));
    // Attempts go on where those of the predecessor ended.
    let first = machine.prober.strategy().first_attempt(new_id);
    assert_eq!(first, Some(machine.model.targets[old].probes.len() as u32));
}

#[test]
fn free_slots_are_reused_first_in_first_out() {
    let mut machine = machine();
    let add = |machine: &mut Machine| {
        let key = machine.add(FIRST, Schedule::manual(), Host::SILENT);
        (key, machine.id(key).target.0)
    };
    let targets: Vec<_> = (0..5).map(|_| add(&mut machine)).collect();
    assert_eq!(targets.iter().map(|(_, slot)| *slot).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    for slot in [3, 0, 4] {
        machine.remove(targets[slot].0);
    }
    let slots: Vec<u32> = (0..5).map(|_| add(&mut machine).1).collect();
    assert_eq!(slots, [3, 0, 4, 5, 6]);
}

#[test]
fn finish_lets_what_is_in_flight_end() {
    let mut machine = machine();
    let target = machine.add(FIRST, every(200 * MILLI), Host { loss: 0, ..Host::alive(500 * MILLI) });
    machine.run_until(900 * MILLI);
    machine.finish(target);
    machine.take_story(target);
    machine.run_until(5 * SECOND);
    let reply = |number| Told::Reply(number, 500 * MILLI);
    let told = [(900, reply(2)), (1100, reply(3)), (1300, reply(4)), (1300, Told::Done)];
    assert_eq!(machine.take_story(target), told.map(|(at, told)| (MILLI * at, told)));
    // It is there until it is removed, but is probed no more.
    let (id, now) = (machine.id(target), machine.instant());
    let roster = machine.prober.strategy_mut();
    assert!(!roster.probe(id, now) && !roster.reschedule(id, &Schedule::default(), now) && roster.finish(id));
    assert_eq!((roster.len(), roster.next_due()), (1, None));
    machine.run_until(10 * SECOND);
    assert_eq!(machine.take_story(target), [], "it is done once");
}

#[test]
fn a_target_without_probes_in_flight_is_done_when_it_is_finished() {
    let mut machine = machine();
    let target = machine.add(FIRST, Schedule::manual(), Host::SILENT);
    machine.run_until(SECOND);
    assert!(!machine.prober.is_done(), "it may be asked for a probe");
    machine.finish(target);
    assert!(!machine.prober.is_done(), "that is not reported yet");
    machine.turn();
    assert_eq!(machine.take_story(target), [(SECOND, Told::Done)]);
    assert!(machine.prober.is_done());
    // Of one that is removed first, nothing is reported.
    let target = machine.add(FIRST, Schedule::manual(), Host::SILENT);
    machine.finish(target);
    machine.remove(target);
    assert_eq!(machine.prober.poll_done(), None);
    assert!(machine.prober.is_done());
}

#[test]
fn a_target_that_is_rescheduled_keeps_what_is_in_flight_and_its_numbers() {
    let mut machine = machine();
    let slow = every(10 * SECOND).with_timeout(4 * SECOND).unwrap();
    let target = machine.add(FIRST, slow, Host::SILENT);
    machine.run_until(2 * SECOND);
    machine.reschedule(target, every(SECOND).with_timeout(500 * MILLI).unwrap().with_count(2));
    machine.run_until(20 * SECOND);
    let told = [
        (0, Told::Sent(0)),
        (2000, Told::Sent(1)),
        (2500, Told::TimedOut(1, Timeout::Counted)),
        (3000, Told::Sent(2)),
        (3500, Told::TimedOut(2, Timeout::Counted)),
        (4000, Told::TimedOut(0, Timeout::Counted)),
        (4000, Told::Done),
    ];
    assert_eq!(machine.take_story(target), told.map(|(at, told)| (MILLI * at, told)));
}

#[test]
fn a_target_may_be_rescheduled_to_have_no_turns_and_to_have_them_again() {
    let mut machine = machine();
    let target = machine.add(FIRST, every(SECOND), Host::alive(MILLI));
    machine.run_until(1500 * MILLI);
    machine.reschedule(target, Schedule::manual());
    machine.run_until(5500 * MILLI);
    machine.probe(target);
    machine.run_until(7500 * MILLI);
    machine.reschedule(target, every(SECOND));
    machine.run_until(9 * SECOND);
    assert_eq!(machine.sent(target), seconds(&[0.0, 1.0, 5.5, 7.5, 8.5]));
}

// Probes out of turn.

#[test]
fn manual_probes_are_sent_at_once_one_for_each_call() {
    let mut machine = machine();
    let target = machine.add(FIRST, Schedule::manual(), Host::alive(MILLI));
    machine.run_until(SECOND);
    assert_eq!(machine.prober.poll_wakeup(machine.instant()), None);
    for _ in 0..20 {
        machine.probe(target);
    }
    machine.run_until(3 * SECOND);
    assert_eq!(machine.sent(target), vec![SECOND; 20]);
    assert_eq!(machine.prober.counts().replies, 20);
}

#[test]
fn probes_out_of_turn_move_no_turn_and_are_in_no_count() {
    let mut machine = machine();
    let target = machine.add(FIRST, every(SECOND).with_count(4), Host::alive(MILLI));
    machine.run_until(1300 * MILLI);
    machine.probe(target);
    machine.run_until(2 * SECOND);
    // At the time of a turn, both are sent.
    machine.probe(target);
    machine.run_until(10 * SECOND);
    assert_eq!(machine.sent(target), seconds(&[0.0, 1.0, 1.3, 2.0, 2.0, 3.0]));
    assert!(machine.prober.is_done());
    assert_eq!(machine.prober.strategy().slips(), &Slips::default());
}

#[test]
fn one_probe_at_once_is_all_of_a_schedule() {
    let mut machine = machine();
    machine.run_until(777 * MILLI);
    let target = machine.add(FIRST, Schedule::once(), Host::alive(5 * MILLI));
    machine.run_until(5 * SECOND);
    let told = [(777, Told::Sent(0)), (782, Told::Reply(0, 5 * MILLI)), (782, Told::Done)];
    assert_eq!(machine.take_story(target), told.map(|(at, told)| (MILLI * at, told)));
}

#[test]
fn equal_addresses_are_different_targets() {
    let mut machine = machine();
    let [one, other] = [MILLI, 2 * MILLI].map(|delay| machine.add(FIRST, Schedule::once(), Host::alive(delay)));
    machine.run_until(SECOND);
    assert!(machine.take_story(one).contains(&(MILLI, Told::Reply(0, MILLI))));
    assert!(machine.take_story(other).contains(&(2 * MILLI, Told::Reply(0, 2 * MILLI))));
}
