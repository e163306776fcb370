//! Named scenarios: one promise each, on worlds written by hand. The oracle judges these as well; what is asserted here
//! is what the name says. Unless said otherwise the machine is ideal, so that times come out exactly.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily};
use multiping::plan::{Plan, Rate};
use multiping::prober::{Counts, MAX_JAM};
use multiping::tally::{TICK, Verdict};
use multiping::token::Token;

use crate::log::{Arrival, Log};
use crate::machine::{EAGAIN, ENOBUFS, Machine, Outage, World};
use crate::network::{Host, Packet, reply};
use crate::oracle::judge;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

const ENETUNREACH: i32 = 101;

/// The `number`th of our hosts.
fn v4(number: u32) -> Address {
    Address::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

fn v6(number: u16) -> Address {
    Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number), 0)
}

/// As many hosts of the same kind.
fn hosts(count: u32, host: &Host) -> Vec<(Address, Host)> {
    (1..=count).map(|number| (v4(number), host.clone())).collect()
}

/// A world on an ideal machine in which nothing else happens.
fn world(plan: Plan, list: Vec<(Address, Host)>) -> World {
    let (unasked, outages) = (Vec::new(), Vec::new());
    World {
        seed: 1,
        plan,
        list,
        idents: PerFamily { v4: 0x1234, v6: 0x5678 },
        unasked,
        outages,
        machine: Machine::IDEAL,
    }
}

fn at_rate(pps: f64) -> Plan {
    Plan::default().with_rate(Rate::per_second(pps).unwrap())
}

/// Plays a world to its end, under the oracle's eyes.
fn played(world: &World) -> Log {
    let log = world.play();
    judge(world, &log);
    log
}

fn all_alive(log: &Log) -> bool {
    log.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Alive(_)))
}

fn all_are(log: &Log, verdict: Verdict) -> bool {
    log.verdicts.iter().all(|&each| each == verdict)
}

/// Another program's replies, from somewhere, each `interval` for as long as `time`.
fn foreign(interval: Duration, time: Duration) -> Vec<Packet> {
    let count = time.as_nanos() / interval.as_nanos();
    let token = Token { target: 0, attempt: 0, seal: 0 };
    let bytes = reply(Family::V4, 0x4321, token);
    (0..count as u32).map(|nth| Packet { at: interval * nth, from: v4(77_777), bytes: bytes.clone() }).collect()
}

#[test]
fn duplicates_use_up_nobodys_chances() {
    let twice = Host { copies: 1..2, spread: MILLI..MILLI, ..Host::alive(MILLI) };
    let mut list = hosts(80, &twice);
    for (_, host) in list.iter_mut().step_by(2) {
        host.deaf = 2; // these need their last attempt
    }
    let log = played(&world(at_rate(1000.0), list));
    assert!(all_alive(&log));
    assert_eq!((log.counts.sent, log.counts.replies), (40 + 40 * 3, 80));
    assert!(log.counts.duplicates >= 79); // the run ends with the last first reply
}

#[test]
fn copies_of_one_reply_are_not_several_responses() {
    let thrice = Host { copies: 2..3, ..Host::alive(MILLI) };
    let log = played(&world(Plan::default().with_responses(3).unwrap(), hosts(10, &thrice)));
    assert!(all_are(&log, Verdict::Alive(MILLI)));
    assert_eq!((log.counts.sent, log.counts.replies), (30, 30));
}

#[test]
fn fewer_responses_than_asked_are_the_mean_of_those() {
    let plan = Plan::default().with_responses(4).unwrap().with_retries(2);
    let log = played(&world(plan, hosts(3, &Host { deaf: 2, ..Host::alive(7 * MILLI) })));
    assert!(all_are(&log, Verdict::Alive(7 * MILLI)));
    assert_eq!(log.counts.sent, 3 * (4 + 2));
}

#[test]
fn foreign_replies_do_not_move_the_schedule() {
    let calm = world(Plan::default(), hosts(100, &Host::alive(MILLI)));
    let loud = World { unasked: foreign(MILLI, 3 * SECOND), ..calm.clone() };
    let times = |log: &Log| log.departures.iter().map(|probe| probe.at).collect::<Vec<_>>();
    let (calm, loud) = (played(&calm), played(&loud));
    assert_eq!(times(&calm), (0..100).map(|nth| 20 * MILLI * nth).collect::<Vec<_>>());
    assert_eq!(times(&loud), times(&calm));
    assert_eq!(loud.end, calm.end);
    assert!(loud.counts.stray > 1900);
}

#[test]
fn dead_hosts_end_on_time_under_foreign_replies() {
    let quiet = world(Plan::default(), hosts(150, &Host::SILENT));
    let log = played(&World { unasked: foreign(50 * MILLI, 60 * SECOND), ..quiet });
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.end, 149 * 20 * MILLI + 3 * Plan::default().timeout());
}

#[test]
fn two_runs_cannot_credit_each_others_replies() {
    let theirs = world(at_rate(100.0), hosts(50, &Host::alive(MILLI)));
    let their_log = played(&theirs);
    assert!(all_alive(&their_log));
    // The same list, the same idents, at the same time; only the keys differ.
    let replies = their_log.arrivals.into_iter().map(|arrival| arrival.packet).collect();
    let log = played(&World { unasked: replies, ..world(at_rate(100.0), hosts(50, &Host::SILENT)) });
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.damaged, 50);
}

#[test]
fn guessed_replies_count_for_nothing() {
    let spoofed = Host { forged: 100, delay: MILLI..MILLI, ..Host::SILENT };
    let log = played(&world(at_rate(1000.0), hosts(60, &spoofed)));
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.damaged, log.counts.sent);
}

#[test]
fn a_stop_of_two_seconds_changes_no_result() {
    let mut list = hosts(200, &Host { delay: MILLI..900 * MILLI, loss: 20, ..Host::alive(MILLI) });
    for (_, host) in list.iter_mut().step_by(7) {
        *host = Host::SILENT;
    }
    let smooth = world(Plan::default().with_timeout(SECOND).unwrap(), list);
    let mut stopped = smooth.clone();
    stopped.machine.stops = vec![1500 * MILLI..3500 * MILLI];
    let (smooth, stopped) = (played(&smooth), played(&stopped));
    let waiting = |arrival: &&Arrival| arrival.seen - arrival.packet.at > SECOND;
    assert!(stopped.arrivals.iter().filter(waiting).count() > 10, "replies waited for longer than their timeout");
    for (smooth, stopped) in smooth.verdicts.iter().zip(&stopped.verdicts) {
        match (smooth, stopped) {
            (Verdict::Alive(rtt), Verdict::Alive(other)) => assert!(rtt.abs_diff(*other) <= TICK),
            _ => assert_eq!(smooth, stopped),
        }
    }
}

#[test]
fn a_stop_of_minutes_while_sending_loses_no_deadline() {
    // The second batch leaves over more time than 32 bits of ticks can tell, while the first is in flight.
    let plan = Plan::default().with_timeout(200 * SECOND).unwrap().with_rate(Rate::UNLIMITED);
    let mut stopped = world(plan, hosts(32, &Host::SILENT));
    let cost = Duration::from_micros(10);
    stopped.machine.cost = cost..cost;
    stopped.machine.batches = 1;
    stopped.machine.stops = vec![12 * cost..460 * SECOND];
    let log = played(&stopped);
    assert!(all_are(&log, Verdict::Unreachable));
}

#[test]
fn a_stall_is_not_caught_up_with() {
    let mut stalled = world(at_rate(1000.0), hosts(2000, &Host::alive(MILLI)));
    stalled.machine.stops = vec![500 * MILLI..1500 * MILLI];
    let log = played(&stalled);
    let at_once = log.departures.iter().filter(|probe| probe.at == 1500 * MILLI).count();
    assert_eq!(at_once, 10, "10 ms worth");
    assert!(log.end >= 2990 * MILLI);
}

#[test]
fn late_wake_ups_cost_no_speed() {
    let mut late = world(Plan::default(), hosts(500, &Host::alive(MILLI)));
    late.machine.lateness = Duration::ZERO..MILLI;
    let log = played(&late);
    assert!(log.end < 499 * 20 * MILLI + 3 * MILLI);
}

#[test]
fn a_tenth_silent_ends_when_the_design_says() {
    let mut list = hosts(1500, &Host::alive(MILLI));
    for (_, host) in list.iter_mut().skip(9).step_by(10) {
        *host = Host::SILENT;
    }
    let log = played(&world(Plan::default(), list));
    assert_eq!(log.verdicts.iter().filter(|&&verdict| verdict == Verdict::Unreachable).count(), 150);
    // The last silent target is the last of all: its first send, and three timeouts.
    assert_eq!(log.end, 1499 * 20 * MILLI + 3 * Plan::default().timeout());
}

#[test]
fn retries_go_last() {
    let mut list = hosts(100, &Host::alive(MILLI));
    for (_, host) in list.iter_mut().take(50) {
        *host = Host::SILENT;
    }
    let log = played(&world(Plan::default().with_timeout(100 * MILLI).unwrap(), list));
    let first: HashSet<_> = log.departures[..100].iter().map(|probe| probe.target).collect();
    assert_eq!(first.len(), 100);
}

#[test]
fn there_is_no_limit_at_65536_targets() {
    let log = played(&world(at_rate(100_000.0), hosts(70_000, &Host::alive(30 * MILLI))));
    assert!(all_alive(&log));
    assert_eq!((log.counts.sent, log.counts.replies), (70_000, 70_000));
    assert_eq!(log.counts, Counts { sent: 70_000, replies: 70_000, ..Counts::default() });
}

#[test]
fn a_reply_at_the_timeout_counts_and_one_after_it_is_late() {
    let plan = || Plan::default().with_timeout(SECOND).unwrap().with_retries(0);
    let log = played(&world(plan(), hosts(20, &Host::alive(SECOND))));
    assert!(all_are(&log, Verdict::Alive(SECOND)));
    let log = played(&world(plan(), hosts(20, &Host::alive(SECOND + TICK))));
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.late, 19); // the run ends before the last one
}

#[test]
fn the_longest_timeout_and_the_lowest_rate_keep_their_times() {
    // Between two probes more time passes than is left of 32 bits after two timeouts.
    let plan = Plan::default().with_timeout(200 * SECOND).unwrap().with_rate(Rate::per_second(0.01).unwrap());
    let mut list = hosts(5, &Host { deaf: 1, ..Host::alive(190 * SECOND) });
    list[4].1 = Host::SILENT;
    let log = played(&world(plan, list));
    assert_eq!(log.verdicts[..4], [Verdict::Alive(190 * SECOND); 4]);
    assert_eq!(log.verdicts[4], Verdict::Unreachable);
}

#[test]
fn overflow_gives_attempts_back_and_halves_the_rate() {
    // In a stop of 50 ms 50 replies come, and there is room for 10.
    let mut small = world(at_rate(1000.0).with_retries(0), hosts(400, &Host::alive(50 * MILLI)));
    small.machine = Machine { buffer: 10, stops: vec![100 * MILLI..150 * MILLI], ..Machine::IDEAL };
    small.plan = small.plan.with_timeout(500 * MILLI).unwrap();
    let log = played(&small);
    assert!(all_alive(&log), "in spite of no retries");
    assert!(log.counts.refunded >= 40);
    let noticed = 150 * MILLI;
    assert_eq!(log.overflows, [(Family::V4, noticed)]);
    let left = |time: std::ops::Range<Duration>| log.departures.iter().filter(|probe| time.contains(&probe.at)).count();
    assert!((100..=105).contains(&left(noticed..noticed + 200 * MILLI)), "half the rate, and 10 ms worth at once");
}

#[test]
fn silence_behind_endless_overflow_is_undecided() {
    let mut deaf = world(Plan::default().with_timeout(300 * MILLI).unwrap(), hosts(5, &Host::alive(MILLI)));
    deaf.machine.buffer = 0;
    let log = played(&deaf);
    assert!(all_are(&log, Verdict::Undecided));
    assert_eq!((log.counts.refunded, log.counts.sent), (5 * 5, 5 * (5 + 3)));
}

#[test]
fn a_passing_overflow_slows_an_unlimited_run_only_while_it_lasts() {
    // So few packets have left in so long a time that their average would take hours.
    let plan = Plan::default().with_timeout(100 * SECOND).unwrap().with_rate(Rate::UNLIMITED);
    let mut flooded = world(plan, hosts(4, &Host::SILENT));
    flooded.machine = Machine { buffer: 10, attentive: false, ..Machine::IDEAL };
    flooded.unasked = (0..20).map(|_| foreign(SECOND, SECOND).remove(0)).collect();
    for packet in &mut flooded.unasked {
        packet.at = 99_900 * MILLI;
    }
    let log = played(&flooded);
    assert!(!log.overflows.is_empty());
    assert!(log.end <= 4 * 100 * SECOND + 2 * SECOND, "{:?}", log.end);
}

#[test]
fn sending_that_fails_at_first_is_made_good_by_retries() {
    let mut early = world(at_rate(1000.0).with_timeout(SECOND).unwrap(), hosts(100, &Host::alive(MILLI)));
    early.outages = vec![Outage { time: Duration::ZERO..300 * MILLI, only: None, errno: ENETUNREACH }];
    let log = played(&early);
    assert!(all_alive(&log));
    assert_eq!((log.counts.refused, log.counts.sent), (100, 100));
    assert_eq!(log.sending_failed, PerFamily { v4: false, v6: false });
}

#[test]
fn a_target_that_is_never_sent_to_is_unsent_with_its_reason() {
    let plan = Plan::default().with_timeout(SECOND).unwrap();
    let log = played(&world(plan, hosts(1, &Host { refusal: Some(ENETUNREACH), ..Host::SILENT })));
    assert!(all_are(&log, Verdict::Unsent(ENETUNREACH)));
    assert_eq!((log.counts.refused, log.counts.sent), (3, 0));
    assert_eq!(log.sending_failed, PerFamily { v4: false, v6: false }, "it never worked");
}

#[test]
fn a_link_that_dies_in_mid_run_is_told_from_dead_hosts() {
    let mut dying = world(at_rate(1000.0), hosts(300, &Host::alive(MILLI)));
    dying.list.extend((1..=50).map(|number| (v6(number), Host::alive(MILLI))));
    dying.outages = vec![Outage { time: 100 * MILLI..1000 * SECOND, only: Some(Family::V4), errno: ENETUNREACH }];
    let log = played(&dying);
    assert_eq!(log.sending_failed, PerFamily { v4: true, v6: false });
    assert_eq!(log.verdicts.iter().filter(|&&verdict| verdict == Verdict::Unsent(ENETUNREACH)).count(), 200);
}

#[test]
fn a_few_hosts_without_a_route_are_no_broken_link() {
    let mut list = hosts(100, &Host::alive(MILLI));
    for (_, host) in &mut list[40..43] {
        host.refusal = Some(ENETUNREACH);
    }
    let log = played(&world(at_rate(100.0), list));
    assert_eq!(log.verdicts.iter().filter(|&&verdict| verdict == Verdict::Unsent(ENETUNREACH)).count(), 3);
    assert_eq!(log.sending_failed, PerFamily { v4: false, v6: false }, "sending to others worked before and after");
}

#[test]
fn a_host_without_a_route_is_no_failure_where_others_still_have_one() {
    // The last two of a list that is sorted: nothing is sent after them to show that sending works.
    let mut list = hosts(100, &Host::alive(MILLI));
    for (_, host) in &mut list[98..] {
        *host = Host { refusal: Some(ENETUNREACH), other_routes_ok: true, ..Host::SILENT };
    }
    let log = played(&world(at_rate(1000.0), list.clone()));
    assert_eq!(log.sending_failed, PerFamily { v4: false, v6: false });
    for (_, host) in &mut list[98..] {
        host.other_routes_ok = false;
    }
    let log = played(&world(at_rate(1000.0), list));
    assert_eq!(log.sending_failed, PerFamily { v4: true, v6: false });
}

#[test]
fn full_buffers_are_waited_for_and_use_up_nothing() {
    for (errno, counted) in [(ENOBUFS, 40 * SECOND), (EAGAIN, Duration::ZERO)] {
        let mut full = world(at_rate(1000.0).with_retries(0), hosts(100, &Host::alive(MILLI)));
        full.outages = vec![Outage { time: 20 * MILLI..40 * SECOND + 20 * MILLI, only: None, errno }];
        let log = played(&full);
        assert!(all_alive(&log));
        let counts = Counts { sent: 100, replies: 100, no_buffers: counted, ..Counts::default() };
        assert_eq!(log.counts, counts, "only ENOBUFS is a reason to tell the operator");
    }
}

#[test]
fn buffers_that_stay_full_for_one_host_delay_the_others_once() {
    let mut list = hosts(100, &Host::alive(MILLI));
    for (_, host) in &mut list[10..13] {
        host.refusal = Some(ENOBUFS);
    }
    let log = played(&world(at_rate(1000.0).with_retries(0), list));
    assert_eq!(log.verdicts.iter().filter(|&&verdict| verdict == Verdict::Unsent(ENOBUFS)).count(), 3);
    assert_eq!(log.counts.replies, 97);
    assert_eq!(log.sending_failed, PerFamily { v4: true, v6: false }, "that is never the target's fault");
    let last = log.departures.iter().filter(|probe| probe.refused.is_none()).map(|probe| probe.at).max();
    assert!(last.expect("97 were sent") < MAX_JAM + SECOND, "{last:?}");
}

#[test]
fn each_timeout_of_a_target_can_be_longer_than_the_one_before() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_backoff(2.0).unwrap().with_retries(2);
    let list = hosts(3, &Host { deaf: 2, ..Host::alive(3 * SECOND) });
    let log = world(plan, list).play();
    assert!(all_are(&log, Verdict::Alive(3 * SECOND)), "the third attempt may take 4 s");
    let at: Vec<_> = log.departures.iter().filter(|probe| probe.target.0 == 0).map(|probe| probe.at).collect();
    assert_eq!(at, [Duration::ZERO, SECOND, 3 * SECOND]);
}

#[test]
fn probes_with_different_timeouts_time_out_in_their_order() {
    // Targets 2 and on are sent to while the second, longer timeout of target 1 runs.
    let plan = Plan::default().with_timeout(SECOND).unwrap().with_backoff(5.0).unwrap().with_retries(1);
    let mut list = hosts(3, &Host::SILENT);
    list.insert(0, (v4(77), Host::alive(MILLI)));
    let log = world(plan.with_rate(Rate::per_second(0.8).unwrap()), list).play();
    assert_eq!(log.verdicts[1..], [Verdict::Unreachable; 3]);
    // The last first attempt is sent at 3.75 s, the retries 1.25 s apart from then on.
    assert_eq!(log.end, 3 * 1250 * MILLI + 3 * 1250 * MILLI + 5 * SECOND);
}

#[test]
fn a_full_send_queue_uses_up_nothing() {
    let mut busy = world(at_rate(10_000.0), hosts(500, &Host::alive(MILLI)));
    busy.machine.full = 50;
    busy.machine.partial = 50;
    let log = played(&busy);
    assert!(all_alive(&log));
    assert_eq!(log.counts, Counts { sent: 500, replies: 500, ..Counts::default() });
}

#[test]
fn a_reply_from_elsewhere_counts_unless_the_source_is_checked() {
    let natted = Host { elsewhere: 100, ..Host::alive(MILLI) };
    let log = played(&world(at_rate(1000.0), hosts(30, &natted)));
    assert!(all_alive(&log));
    assert_eq!(log.counts.other_source, 30);
    let log = played(&world(at_rate(1000.0).with_check_source(true), hosts(30, &natted)));
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.stray, log.counts.sent);
}

#[test]
fn equal_addresses_are_probed_once() {
    let twice = [hosts(40, &Host::alive(MILLI)), hosts(40, &Host::alive(MILLI))].concat();
    let log = played(&world(at_rate(1000.0), twice));
    assert_eq!((log.verdicts.len(), log.counts.sent), (40, 40));
}
