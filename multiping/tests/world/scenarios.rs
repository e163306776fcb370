//! Named scenarios: one rule each, in worlds written by hand. The oracle judges these as well; what
//! is asserted here is the rule in the name. Where nothing else is set the machine is ideal, so
//! times are exact.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use multiping::address::{Address, Family, PerFamily};
use multiping::plan::{IcmpErrors, Plan, Rate};
use multiping::prober::{Counts, Fault, MAX_JAM, SLOW_START};
use multiping::tally::{TICK, Verdict};
use multiping::token::Token;

use crate::log::{Arrival, Log};
use crate::machine::{CutLink, EAGAIN, ENOBUFS, Machine, Outage, World};
use crate::network::{Host, Packet, reply};
use crate::oracle::judge;

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EDESTADDRREQ: i32 = 89;
const EMSGSIZE: i32 = 90;
const ENETUNREACH: i32 = 101;
const ENOKEY: i32 = 126;

/// The `number`th host.
fn v4(number: u32) -> Address {
    Address::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

fn v6(number: u16) -> Address {
    Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number), 0)
}

/// This many hosts of one kind.
fn hosts(count: u32, host: &Host) -> Vec<(Address, Host)> {
    (1..=count).map(|number| (v4(number), host.clone())).collect()
}

/// A world on an ideal machine in which nothing else happens.
fn world(plan: Plan, list: Vec<(Address, Host)>) -> World {
    let (unsolicited, outages) = (Vec::new(), Vec::new());
    World {
        seed: 1,
        plan,
        list,
        idents: PerFamily { v4: 0x1234, v6: 0x5678 },
        icmp_errors: IcmpErrors::Ignore,
        unsolicited,
        outages,
        machine: Machine::IDEAL,
    }
}

fn at_rate(pps: f64) -> Plan {
    Plan::default().with_rate(Rate::per_second(pps).unwrap())
}

/// Runs a world, and has the oracle judge it.
fn run(world: &World) -> Log {
    let log = world.run();
    judge(world, &log);
    log
}

fn all_alive(log: &Log) -> bool {
    log.verdicts.iter().all(|verdict| matches!(verdict, Verdict::Alive(_)))
}

fn all_are(log: &Log, verdict: Verdict) -> bool {
    log.verdicts.iter().all(|&each| each == verdict)
}

/// Replies to another program, one each `interval` for `time`.
fn foreign(interval: Duration, time: Duration) -> Vec<Packet> {
    let count = time.as_nanos() / interval.as_nanos();
    let token = Token { target: 0, attempt: 0, seal: 0 };
    let bytes = reply(Family::V4, 0x4321, token);
    (0..count as u32).map(|nth| Packet { at: interval * nth, from: v4(77_777), bytes: bytes.clone() }).collect()
}

#[test]
fn duplicates_use_up_no_attempts() {
    let twice = Host { copies: 1..2, spread: MILLI..MILLI, ..Host::alive(MILLI) };
    let mut list = hosts(80, &twice);
    for (_, host) in list.iter_mut().step_by(2) {
        host.lost_first = 2; // these reply to their last attempt only
    }
    let log = run(&world(at_rate(1000.0), list));
    assert!(all_alive(&log));
    assert_eq!((log.counts.sent, log.counts.replies), (40 + 40 * 3, 80));
    assert!(log.counts.duplicates >= 79); // the run ends with the last first reply
}

#[test]
fn copies_of_one_reply_are_not_several_responses() {
    let thrice = Host { copies: 2..3, ..Host::alive(MILLI) };
    let log = run(&world(Plan::default().with_responses(3).unwrap(), hosts(10, &thrice)));
    assert!(all_are(&log, Verdict::Alive(MILLI)));
    assert_eq!((log.counts.sent, log.counts.replies), (30, 30));
}

#[test]
fn fewer_responses_than_asked_are_the_mean_of_those() {
    let plan = Plan::default().with_responses(4).unwrap().with_retries(2);
    let log = run(&world(plan, hosts(3, &Host { lost_first: 2, ..Host::alive(7 * MILLI) })));
    assert!(all_are(&log, Verdict::Alive(7 * MILLI)));
    assert_eq!(log.counts.sent, 3 * (4 + 2));
}

#[test]
fn foreign_replies_do_not_change_the_schedule() {
    let calm = world(Plan::default(), hosts(100, &Host::alive(MILLI)));
    let loud = World { unsolicited: foreign(MILLI, 3 * SECOND), ..calm.clone() };
    let times = |log: &Log| log.departures.iter().map(|probe| probe.at).collect::<Vec<_>>();
    let (calm, loud) = (run(&calm), run(&loud));
    assert_eq!(times(&calm), (0..100).map(|nth| 20 * MILLI * nth).collect::<Vec<_>>());
    assert_eq!(times(&loud), times(&calm));
    assert_eq!(loud.end, calm.end);
    assert!(loud.counts.stray > 1900);
}

#[test]
fn foreign_replies_do_not_prolong_a_run() {
    let quiet = world(Plan::default(), hosts(150, &Host::SILENT));
    let log = run(&World { unsolicited: foreign(50 * MILLI, 60 * SECOND), ..quiet });
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.end, 149 * 20 * MILLI + 3 * Plan::default().timeout());
}

#[test]
fn replies_to_another_run_are_not_accepted() {
    let theirs = world(at_rate(100.0), hosts(50, &Host::alive(MILLI)));
    let their_log = run(&theirs);
    assert!(all_alive(&their_log));
    // The same list, the same idents, at the same time; only the keys differ.
    let replies = their_log.arrivals.into_iter().map(|arrival| arrival.packet).collect();
    let log = run(&World { unsolicited: replies, ..world(at_rate(100.0), hosts(50, &Host::SILENT)) });
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.damaged, 50);
}

#[test]
fn guessed_replies_are_not_accepted() {
    let spoofed = Host { forged: 100, delay: MILLI..MILLI, ..Host::SILENT };
    let log = run(&world(at_rate(1000.0), hosts(60, &spoofed)));
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
    let (smooth, stopped) = (run(&smooth), run(&stopped));
    let waiting = |arrival: &&Arrival| arrival.read_at - arrival.packet.at > SECOND;
    assert!(stopped.arrivals.iter().filter(waiting).count() > 10, "replies waited for longer than their timeout");
    for (smooth, stopped) in smooth.verdicts.iter().zip(&stopped.verdicts) {
        match (smooth, stopped) {
            (Verdict::Alive(rtt), Verdict::Alive(other)) => assert!(rtt.abs_diff(*other) <= TICK),
            _ => assert_eq!(smooth, stopped),
        }
    }
}

#[test]
fn a_stop_of_minutes_while_sending_keeps_every_deadline() {
    // Sending the second batch takes more ticks than 32 bits hold, while the first is in flight.
    let plan = Plan::default().with_timeout(200 * SECOND).unwrap().with_rate(Rate::UNLIMITED);
    let mut stopped = world(plan, hosts(32, &Host::SILENT));
    let cost = Duration::from_micros(10);
    stopped.machine.cost = cost..cost;
    stopped.machine.batches = 1;
    stopped.machine.stops = vec![12 * cost..460 * SECOND];
    let log = run(&stopped);
    assert!(all_are(&log, Verdict::Unreachable));
}

#[test]
fn a_stall_is_not_caught_up_with() {
    let mut stalled = world(at_rate(1000.0), hosts(2000, &Host::alive(MILLI)));
    stalled.machine.stops = vec![500 * MILLI..1500 * MILLI];
    let log = run(&stalled);
    let at_once = log.departures.iter().filter(|probe| probe.at == 1500 * MILLI).count();
    assert_eq!(at_once, 10, "10 ms worth");
    assert!(log.end >= 2990 * MILLI);
}

#[test]
fn late_wake_ups_cost_no_speed() {
    let mut late = world(Plan::default(), hosts(500, &Host::alive(MILLI)));
    late.machine.lateness = Duration::ZERO..MILLI;
    let log = run(&late);
    assert!(log.end < 499 * 20 * MILLI + 3 * MILLI);
}

#[test]
fn a_run_with_silent_targets_ends_after_the_last_timeout() {
    let mut list = hosts(1500, &Host::alive(MILLI));
    for (_, host) in list.iter_mut().skip(9).step_by(10) {
        *host = Host::SILENT;
    }
    let log = run(&world(Plan::default(), list));
    assert_eq!(log.verdicts.iter().filter(|&&verdict| verdict == Verdict::Unreachable).count(), 150);
    // The last silent target is the last of all: its first send, and three timeouts.
    assert_eq!(log.end, 1499 * 20 * MILLI + 3 * Plan::default().timeout());
}

#[test]
fn each_timeout_is_longer_by_the_backoff() {
    let plan = Plan::default().with_backoff(2.0).unwrap().with_rate(Rate::UNLIMITED);
    let mut list = hosts(3, &Host::SILENT);
    list[1].1 = Host::alive(8 * SECOND); // too late for the first attempt, in time for the second
    list[2].1 = Host::alive(300 * SECOND);
    let log = run(&world(plan, list));
    let sent = |target| log.departures.iter().filter(move |probe| probe.target.index() == target).map(|probe| probe.at);
    assert!(sent(0).eq([0, 5, 15].map(|at| SECOND * at)));
    assert!(sent(1).eq([0, 5].map(|at| SECOND * at)));
    assert_eq!(log.verdicts, [Verdict::Unreachable, Verdict::Alive(8 * SECOND), Verdict::Unreachable]);
    assert_eq!((log.counts.late, log.end), (1, (5 + 10 + 20) * SECOND));
}

#[test]
fn a_repeated_attempt_keeps_its_timeout() {
    let plan = Plan::default().with_backoff(2.0).unwrap().with_retries(1);
    let mut cut = world(plan, hosts(1, &Host::SILENT));
    cut.machine.cuts = vec![SECOND..6 * SECOND];
    let log = cut.run();
    let sent: Vec<_> =
        log.departures.iter().filter(|probe| probe.refused.is_none()).map(|probe| probe.call.end).collect();
    assert!(log.counts.link_refunds > 0 && sent.len() as u64 == 2 + log.counts.link_refunds);
    assert_eq!((log.verdicts[0], log.end - sent[sent.len() - 1]), (Verdict::Unreachable, 10 * SECOND));
    assert!(sent.windows(2).all(|pair| pair[1] - pair[0] < 7 * SECOND), "{sent:?}");
}

#[test]
fn retries_follow_all_first_attempts() {
    let mut list = hosts(100, &Host::alive(MILLI));
    for (_, host) in list.iter_mut().take(50) {
        *host = Host::SILENT;
    }
    let log = run(&world(Plan::default().with_timeout(100 * MILLI).unwrap(), list));
    let first: HashSet<_> = log.departures[..100].iter().map(|probe| probe.target).collect();
    assert_eq!(first.len(), 100);
}

#[test]
fn there_is_no_limit_at_65536_targets() {
    let log = run(&world(at_rate(100_000.0), hosts(70_000, &Host::alive(30 * MILLI))));
    assert!(all_alive(&log));
    assert_eq!((log.counts.sent, log.counts.replies), (70_000, 70_000));
    assert_eq!(log.counts, Counts { sent: 70_000, replies: 70_000, ..Counts::default() });
}

#[test]
fn a_reply_at_the_timeout_counts_and_one_after_it_is_late() {
    let plan = || Plan::default().with_timeout(SECOND).unwrap().with_retries(0);
    let log = run(&world(plan(), hosts(20, &Host::alive(SECOND))));
    assert!(all_are(&log, Verdict::Alive(SECOND)));
    let log = run(&world(plan(), hosts(20, &Host::alive(SECOND + TICK))));
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.late, 19); // the run ends before the last one
}

#[test]
fn the_longest_timeout_and_the_lowest_rate_keep_their_times() {
    // Between two probes more ticks pass than 32 bits hold beyond two timeouts.
    let plan = Plan::default().with_timeout(200 * SECOND).unwrap().with_rate(Rate::per_second(0.01).unwrap());
    let mut list = hosts(5, &Host { lost_first: 1, ..Host::alive(190 * SECOND) });
    list[4].1 = Host::SILENT;
    let log = run(&world(plan, list));
    assert_eq!(log.verdicts[..4], [Verdict::Alive(190 * SECOND); 4]);
    assert_eq!(log.verdicts[4], Verdict::Unreachable);
}

#[test]
fn overflow_refunds_attempts_and_halves_the_rate() {
    // During a stop of 50 ms 50 replies arrive, and the buffer holds 10.
    let mut small = world(at_rate(1000.0).with_retries(0), hosts(400, &Host::alive(50 * MILLI)));
    small.machine = Machine { buffer: 10, stops: vec![100 * MILLI..150 * MILLI], ..Machine::IDEAL };
    small.plan = small.plan.with_timeout(500 * MILLI).unwrap();
    let log = run(&small);
    assert!(all_alive(&log), "in spite of no retries");
    assert!(log.counts.overflow_refunds >= 40);
    let detected = 150 * MILLI;
    assert_eq!(log.overflows, [(Family::V4, detected)]);
    let left = |time: std::ops::Range<Duration>| log.departures.iter().filter(|probe| time.contains(&probe.at)).count();
    assert!((100..=105).contains(&left(detected..detected + 200 * MILLI)), "half the rate, and 10 ms worth at once");
}

#[test]
fn silence_during_endless_overflow_is_undecided() {
    let mut full = world(Plan::default().with_timeout(300 * MILLI).unwrap(), hosts(5, &Host::alive(MILLI)));
    full.machine.buffer = 0;
    let log = run(&full);
    assert!(all_are(&log, Verdict::Undecided));
    assert_eq!((log.counts.overflow_refunds, log.counts.sent), (5 * 5, 5 * (5 + 3)));
}

#[test]
fn an_overflow_slows_an_unlimited_run_only_while_it_lasts() {
    // So few packets are sent in so long a time that at their average rate the run would take
    // hours.
    let plan = Plan::default().with_timeout(100 * SECOND).unwrap().with_rate(Rate::UNLIMITED);
    let mut flooded = world(plan, hosts(4, &Host::SILENT));
    flooded.machine = Machine { buffer: 10, wakes_for_arrivals: false, ..Machine::IDEAL };
    flooded.unsolicited = (0..20).map(|_| foreign(SECOND, SECOND).remove(0)).collect();
    for packet in &mut flooded.unsolicited {
        packet.at = 99_900 * MILLI;
    }
    let log = run(&flooded);
    assert!(!log.overflows.is_empty());
    assert!(log.end <= 4 * 100 * SECOND + 2 * SECOND, "{:?}", log.end);
}

fn refused(errno: i32) -> Verdict {
    Verdict::Refused { errno, no_buffers: false, was_sent: false }
}

fn no_fault(log: &Log) -> bool {
    log.faults == PerFamily { v4: None, v6: None }
}

/// How many targets have this verdict.
fn count(log: &Log, verdict: Verdict) -> usize {
    log.verdicts.iter().filter(|&&each| each == verdict).count()
}

#[test]
fn a_refused_send_is_no_attempt() {
    // The firewall is reloaded when the first replies were lost on the way.
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut reload = world(plan, hosts(20, &Host::alive(MILLI)));
    reload.outages = vec![Outage { time: Duration::ZERO..2 * SECOND, family: None, errno: EPERM }];
    let log = run(&reload);
    assert!(all_alive(&log));
    assert_eq!(log.counts.sent, 20);
    assert!((40..=60).contains(&log.counts.refused), "each is tried again after a second: {:?}", log.counts);
}

#[test]
fn hosts_that_are_banned_in_mid_run_are_particular() {
    let plan = at_rate(50.0).with_timeout(700 * MILLI).unwrap().with_retries(2);
    let alive = Host { is_near: true, ..Host::alive(MILLI) };
    let mut list = hosts(42, &alive);
    list[40..].iter_mut().for_each(|(_, host)| *host = Host::SILENT);
    let mut ban = world(plan, list);
    ban.outages = vec![Outage { time: 1200 * MILLI..1000 * SECOND, family: None, errno: EPERM }];
    let banned = Verdict::Refused { errno: EPERM, no_buffers: false, was_sent: true };
    let log = run(&ban);
    assert!(count(&log, banned) == 2 && no_fault(&log));
    // The rule forbids others as well that are alive.
    ban.list[20..40].iter_mut().for_each(|(_, host)| host.is_near = false);
    let log = run(&ban);
    assert_eq!((count(&log, banned), log.faults.v4), (2, Some(Fault::Lost)));
    // It is no rule but the loss of a route.
    ban.list[20..40].iter_mut().for_each(|(_, host)| host.is_near = true);
    ban.outages[0].errno = ENETUNREACH;
    assert_eq!(run(&ban).faults.v4, Some(Fault::Lost));
    // No host is alive that could show it.
    ban.outages[0].errno = EPERM;
    ban.list = hosts(10, &Host { is_near: true, ..Host::SILENT });
    ban.list[8..].iter_mut().for_each(|(_, host)| host.is_near = false);
    assert_eq!(run(&ban).faults.v4, Some(Fault::Lost));
}

#[test]
fn refusals_between_attempts_use_up_no_chance() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap();
    let mut between = world(plan, hosts(20, &Host { lost_first: 1, ..Host::alive(MILLI) }));
    between.outages = vec![Outage { time: 900 * MILLI..2900 * MILLI, family: None, errno: EPERM }];
    let log = run(&between);
    assert!(all_alive(&log));
    assert_eq!(log.counts.sent, 40);
    assert!(log.counts.refused >= 40);
}

#[test]
fn an_outage_of_ours_that_heals_costs_no_target_its_life() {
    // 35 targets had their turn when the link was away, for 10.7 s.
    let mut outage = world(Plan::default(), hosts(100, &Host::alive(MILLI)));
    outage.outages = vec![Outage { time: 500 * MILLI..11_200 * MILLI, family: None, errno: ENETUNREACH }];
    let log = run(&outage);
    assert!(all_alive(&log) && no_fault(&log));
}

#[test]
fn a_firewall_that_lets_some_packets_out_loses_no_target() {
    // 100 packets a second of 1000.
    let mut limited = world(at_rate(1000.0), hosts(400, &Host::alive(MILLI)));
    let closed = |nth: u32| (Duration::from_secs(1) * nth / 100 + MILLI)..(Duration::from_secs(1) * (nth + 1) / 100);
    limited.outages = (0..3000).map(|nth| Outage { time: closed(nth), family: None, errno: EPERM }).collect();
    let log = run(&limited);
    assert!(all_alive(&log) && no_fault(&log));
}

#[test]
fn a_target_that_is_refused_delays_no_other_and_has_its_reason() {
    // One of two: half of a list is no evidence.
    let mut list = hosts(2, &Host::alive(MILLI));
    list[0].1 = Host { refusal: Some(EPERM), ..Host::SILENT };
    let log = run(&world(Plan::default().with_timeout(SECOND).unwrap(), list));
    assert_eq!(log.verdicts, [refused(EPERM), Verdict::Alive(MILLI)]);
    assert!(no_fault(&log));
    assert!(log.end <= 3 * SECOND + 2 * SECOND, "as long as a silent one, and two rounds: {:?}", log.end);
}

#[test]
fn the_place_in_the_list_decides_nothing() {
    for errno in [EPERM, ENOKEY, EDESTADDRREQ, EMSGSIZE, ENOMEM] {
        for place in [0, 20, 40] {
            let mut list = hosts(42, &Host::alive(MILLI));
            for (_, host) in &mut list[place..place + 2] {
                host.refusal = Some(errno);
            }
            let log = run(&world(at_rate(100.0), list));
            assert_eq!((count(&log, refused(errno)), count(&log, Verdict::Alive(MILLI))), (2, 40));
            assert!(no_fault(&log), "{errno} at {place}");
        }
    }
}

#[test]
fn most_targets_without_a_way_out_are_this_machines_fault() {
    // The default route has gone, and something still answers.
    for (near, far) in [(1, 999), (40, 30)] {
        let mut list = hosts(near + far, &Host::alive(MILLI));
        for (_, host) in &mut list[near as usize..] {
            host.refusal = Some(ENETUNREACH);
        }
        let log = run(&world(at_rate(1000.0).with_timeout(SECOND).unwrap(), list));
        assert_eq!(count(&log, refused(ENETUNREACH)), far as usize);
        assert!(log.faults.v4.is_some(), "{near} and {far}");
    }
}

#[test]
fn a_route_that_goes_in_mid_run_is_this_machines_fault_though_others_are_still_sent_to() {
    // Every tenth target is on the LAN.
    let mut dying = world(at_rate(1000.0).with_timeout(SECOND).unwrap(), hosts(500, &Host::alive(MILLI)));
    dying.list.iter_mut().step_by(10).for_each(|(_, host)| host.is_near = true);
    dying.outages = vec![Outage { time: 250 * MILLI..1000 * SECOND, family: None, errno: ENETUNREACH }];
    let log = run(&dying);
    assert_eq!(count(&log, refused(ENETUNREACH)), 225);
    assert!(log.faults.v4.is_some());
}

#[test]
fn one_family_without_routes_says_nothing_of_the_other() {
    let mut dying = world(at_rate(1000.0), hosts(300, &Host::alive(MILLI)));
    dying.list.extend((1..=50).map(|number| (v6(number), Host::alive(MILLI))));
    dying.outages = vec![Outage { time: Duration::ZERO..1000 * SECOND, family: Some(Family::V4), errno: ENETUNREACH }];
    let log = run(&dying);
    assert!(log.faults.v4.is_some() && log.faults.v6.is_none());
    assert_eq!(count(&log, refused(ENETUNREACH)), 300);
}

#[test]
fn a_full_neighbour_table_is_waited_for_as_long_as_it_takes() {
    let mut full = world(at_rate(1000.0).with_retries(0), hosts(3000, &Host::alive(MILLI)));
    full.outages = [1..45, 46..90]
        .map(|time| Outage { time: time.start * SECOND..time.end * SECOND, family: None, errno: ENOBUFS })
        .to_vec();
    let log = run(&full);
    assert!(all_alive(&log) && no_fault(&log));
    assert!(log.counts.no_buffers >= 80 * SECOND, "{:?}", log.counts);
}

#[test]
fn a_full_neighbour_table_that_stays_full_is_this_machines_fault() {
    let mut full = world(at_rate(1000.0), hosts(100, &Host::alive(MILLI)));
    full.outages = vec![Outage { time: 20 * MILLI..1000 * SECOND, family: None, errno: ENOBUFS }];
    let log = run(&full);
    let given_up = Verdict::Refused { errno: ENOBUFS, no_buffers: true, was_sent: false };
    assert_eq!(count(&log, given_up), 80);
    assert_eq!(log.faults.v4, Some(Fault::NoBuffers));
    assert!(log.end <= MAX_JAM + 5 * SECOND, "{:?}", log.end);
}

#[test]
fn an_outage_of_ours_near_the_end_of_the_list_is_no_verdict_on_the_rest() {
    for errno in [ENETUNREACH, EPERM] {
        let mut late = world(at_rate(50.0).with_timeout(SECOND).unwrap(), hosts(100, &Host::alive(MILLI)));
        late.outages = vec![Outage { time: 1701 * MILLI..1000 * SECOND, family: None, errno }];
        let log = run(&late);
        assert_eq!(count(&log, refused(errno)), 14);
        assert_eq!(log.faults, PerFamily { v4: Some(Fault::Lost), v6: None });
        // Two whom alone this machine does not send to are particular, the last of the list too.
        late.outages.clear();
        late.list[98..].iter_mut().for_each(|(_, host)| host.refusal = Some(errno));
        let log = run(&late);
        assert_eq!(count(&log, refused(errno)), 2);
        assert!(no_fault(&log));
    }
}

#[test]
fn a_full_socket_is_waited_for_and_uses_up_nothing() {
    let mut full = world(at_rate(1000.0).with_retries(0), hosts(100, &Host::alive(MILLI)));
    full.outages = vec![Outage { time: 20 * MILLI..40 * SECOND + 20 * MILLI, family: None, errno: EAGAIN }];
    let log = run(&full);
    assert!(all_alive(&log));
    assert_eq!(log.counts, Counts { sent: 100, replies: 100, ..Counts::default() });
}

#[test]
fn a_link_without_a_carrier_costs_no_attempt_and_excuses_silence() {
    // Hosts 300 ms away; the link goes when the first probes have left, and comes back.
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut cut = world(plan, hosts(40, &Host::alive(300 * MILLI)));
    cut.machine.cuts = vec![100 * MILLI..2500 * MILLI];
    let log = cut.run();
    assert!(all_alive(&log));
    assert!(log.counts.link_refunds > 0);
    // It does not come back.
    cut.machine.cuts = vec![Duration::ZERO..1000 * SECOND];
    let log = cut.run();
    assert!(all_are(&log, Verdict::Undecided));
}

#[test]
fn a_port_of_a_bridge_without_a_carrier_proves_nothing() {
    let plan = at_rate(100.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut cut = world(plan, hosts(100, &Host::alive(300 * MILLI)));
    cut.machine.cut_link = CutLink::Port;
    cut.machine.cuts = vec![300 * MILLI..2500 * MILLI];
    assert!(all_alive(&cut.run()));
    // It does not come back.
    cut.machine.cuts = vec![500 * MILLI..1000 * SECOND];
    let log = cut.run();
    let count = |wanted: fn(&Verdict) -> bool| log.verdicts.iter().filter(|verdict| wanted(verdict)).count();
    let alive = count(|verdict| matches!(verdict, Verdict::Alive(_)));
    assert!((15..=25).contains(&alive), "{alive}");
    assert_eq!(count(|&verdict| verdict == Verdict::Undecided), 100 - alive);
    // It was without one from the start: any host may be off beside it.
    cut.machine.cuts = vec![Duration::ZERO..1000 * SECOND];
    assert!(all_are(&cut.run(), Verdict::Unreachable));
}

#[test]
fn a_route_that_moves_to_another_link_makes_no_host_unreachable() {
    let plan = at_rate(100.0).with_timeout(SECOND).unwrap().with_retries(0);
    for after in [Duration::ZERO, 20 * MILLI, 500 * MILLI] {
        let mut list = hosts(40, &Host::alive(300 * MILLI));
        list.extend(hosts(45, &Host::SILENT).split_off(40));
        let mut moved = world(plan, list);
        moved.machine.cut_link = CutLink::First(after);
        moved.machine.cuts = vec![250 * MILLI..1000 * SECOND];
        let log = moved.run();
        let (alive, silent) = log.verdicts.split_at(40);
        assert!(alive.iter().all(|verdict| matches!(verdict, Verdict::Alive(_))), "{after:?}: {alive:?}");
        assert!(silent.iter().all(|&verdict| verdict == Verdict::Unreachable), "{after:?}: {silent:?}");
    }
}

#[test]
fn probes_that_wait_in_our_own_queue_prove_nothing_and_slow_us_down() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut queued = world(plan, hosts(50, &Host { lost_first: 1, ..Host::alive(MILLI) }));
    queued.machine.queues = vec![Duration::ZERO..3 * SECOND];
    let log = queued.run();
    assert!(all_alive(&log));
    assert_eq!(log.counts.queue_refunds, 50);
    queued.machine.queues = vec![Duration::ZERO..500 * MILLI];
    assert!(all_are(&queued.run(), Verdict::Unreachable), "it was seen empty");
}

/// Hosts of IPv6, of one kind.
fn v6_hosts(count: u16, host: &Host) -> Vec<(Address, Host)> {
    (1..=count).map(|number| (v6(number), host.clone())).collect()
}

#[test]
fn probes_that_this_machine_drops_unreported_prove_nothing() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut dropping = world(plan, v6_hosts(40, &Host::alive(MILLI)));
    dropping.machine.drops = vec![Duration::ZERO..2500 * MILLI];
    let log = dropping.run();
    assert!(all_alive(&log));
    assert_eq!(log.counts.discard_refunds, 40 * 3);
    // It does not end. Over IPv4 the kernel would tell.
    dropping.machine.drops = vec![Duration::ZERO..1000 * SECOND];
    dropping.list.extend(hosts(10, &Host::SILENT));
    let log = dropping.run();
    assert_eq!((count(&log, Verdict::Undecided), count(&log, Verdict::Unreachable)), (40, 10));
    assert_eq!(log.counts.sent, 40 * 6 + 10);
}

#[test]
fn silence_is_no_proof_only_where_probes_may_have_been_dropped() {
    // Every second tenth of a second. A host whose six attempts all fall into these is
    // undecided.
    let plan = at_rate(50.0).with_timeout(270 * MILLI).unwrap().with_retries(1);
    let mut list = v6_hosts(100, &Host::alive(MILLI));
    list[50..].iter_mut().for_each(|(_, host)| *host = Host::SILENT);
    let mut limited = world(plan, list);
    limited.machine.drops = (0..500).map(|nth| nth * 200 * MILLI..(nth * 200 + 100) * MILLI).collect();
    let log = limited.run();
    let is_not = |verdict: Verdict| log.verdicts[..50].iter().all(|&each| each != verdict);
    assert!(count(&log, Verdict::Alive(MILLI)) >= 45 && is_not(Verdict::Unreachable), "{:?}", log.verdicts);
    assert!(log.verdicts[50..].iter().all(|verdict| matches!(verdict, Verdict::Unreachable | Verdict::Undecided)));
    assert!(count(&log, Verdict::Unreachable) >= 25, "{:?}", log.verdicts);
}

#[test]
fn what_other_programs_have_dropped_puts_only_what_was_sent_then_in_doubt() {
    let plan = at_rate(100.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut busy = world(plan, v6_hosts(100, &Host::SILENT));
    busy.machine.other_drops = vec![455 * MILLI];
    let log = busy.run();
    assert!(all_are(&log, Verdict::Unreachable));
    let doubtful = log.counts.discard_refunds;
    assert!((1..=12).contains(&doubtful), "what was sent between two looks: {doubtful}");
    assert_eq!(log.counts.sent, 100 + doubtful);
}

#[test]
fn a_queue_that_drops_unreported_slows_us_down() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_retries(0);
    let mut full = world(plan, v6_hosts(50, &Host::alive(MILLI)));
    full.machine.drops = vec![Duration::ZERO..500 * MILLI];
    full.machine.queues = vec![Duration::ZERO..600 * MILLI]; // it is seen empty before the timeout
    let log = full.run();
    assert!(all_alive(&log));
    assert_eq!((log.counts.queue_refunds, log.counts.discard_refunds), (50, 0));
    let times: Vec<_> = log.departures.iter().map(|probe| probe.at).filter(|&at| at >= SECOND).collect();
    assert_eq!(times.len(), 50);
    assert!(times[49] - times[0] >= 80 * MILLI, "at half the rate: {times:?}");
}

#[test]
fn the_start_is_slow_and_grows_with_the_replies() {
    // A cold gateway: what is sent within 200 ms is queued for its ARP answer, and little of it
    // kept.
    let plan = at_rate(10_000.0).with_retries(0);
    let mut cold = world(plan, hosts(5000, &Host::alive(200 * MILLI)));
    let log = run(&cold);
    let sent = [200, 400, 600, 800].map(|time| within_of(&log, time * MILLI));
    assert_eq!(sent, [1, 4, 13, 40].map(|times| times * SLOW_START), "threefold with each RTT");
    assert!(within_of(&log, 1200 * MILLI) >= 4000, "after a second at full rate");
    // A host of the local network says nothing of the gateway.
    cold.list[0].1 = Host::alive(MILLI);
    assert_eq!(within_of(&run(&cold), 200 * MILLI), SLOW_START + 3);
    // Nothing comes back: after a second it goes on.
    let log = run(&world(plan, hosts(200, &Host::SILENT)));
    assert_eq!((within_of(&log, 990 * MILLI), within_of(&log, 1100 * MILLI)), (SLOW_START, 200));
}

fn within_of(log: &Log, time: Duration) -> u64 {
    log.departures.iter().filter(|probe| probe.at < time).count() as u64
}

#[test]
fn unreachable_targets_that_did_answer_are_counted() {
    let plan = at_rate(1000.0).with_timeout(100 * MILLI).unwrap().with_retries(0).with_check_source(true);
    let mut list = hosts(4, &Host::SILENT);
    list[0].1 = Host::alive(150 * MILLI);
    list[1].1 = Host { damage: 100, ..Host::alive(MILLI) };
    list[2].1 = Host { other_source: 100, ..Host::alive(MILLI) };
    list.push((v4(99), Host::alive(200 * MILLI))); // keeps the run going
    let log = world(plan.with_retries(2), list).run();
    assert_eq!(log.answered.first, Some(v4(1)));
    assert!(log.answered.late >= 1 && log.answered.other_source == 1, "{:?}", log.answered);
    assert!(log.answered.targets >= 3, "{:?}", log.answered);
}

#[test]
fn each_timeout_of_a_target_can_be_longer_than_the_one_before() {
    let plan = at_rate(1000.0).with_timeout(SECOND).unwrap().with_backoff(2.0).unwrap().with_retries(2);
    let list = hosts(3, &Host { lost_first: 2, ..Host::alive(3 * SECOND) });
    let log = world(plan, list).run();
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
    let log = world(plan.with_rate(Rate::per_second(0.8).unwrap()), list).run();
    assert_eq!(log.verdicts[1..], [Verdict::Unreachable; 3]);
    // The last first attempt is sent at 3.75 s, the retries 1.25 s apart from then on.
    assert_eq!(log.end, 3 * 1250 * MILLI + 3 * 1250 * MILLI + 5 * SECOND);
}

#[test]
fn a_full_send_queue_uses_up_no_attempts() {
    let mut busy = world(at_rate(10_000.0), hosts(500, &Host::alive(MILLI)));
    busy.machine.full = 50;
    busy.machine.partial = 50;
    let log = run(&busy);
    assert!(all_alive(&log));
    assert_eq!(log.counts, Counts { sent: 500, replies: 500, ..Counts::default() });
}

#[test]
fn a_reply_from_another_source_is_accepted_unless_sources_are_checked() {
    let natted = Host { other_source: 100, ..Host::alive(MILLI) };
    let log = run(&world(at_rate(1000.0), hosts(30, &natted)));
    assert!(all_alive(&log));
    assert_eq!(log.counts.other_source, 30);
    let log = run(&world(at_rate(1000.0).with_check_source(true), hosts(30, &natted)));
    assert!(all_are(&log, Verdict::Unreachable));
    assert_eq!(log.counts.stray, log.counts.sent);
}

#[test]
fn equal_addresses_are_probed_once() {
    let twice = [hosts(40, &Host::alive(MILLI)), hosts(40, &Host::alive(MILLI))].concat();
    let log = run(&world(at_rate(1000.0), twice));
    assert_eq!((log.verdicts.len(), log.counts.sent), (40, 40));
}
