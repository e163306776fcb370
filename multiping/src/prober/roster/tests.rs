//! What cannot be seen from outside in a short time: numbers that wrap at 2^32, and memory that is
//! refused.

#![expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]

use std::hash::RandomState;
use std::net::Ipv4Addr;

use super::*;
use crate::address::PerFamily;
use crate::plan::Rate;
use crate::prober::strategy::Strategy;
use crate::prober::{Probe, Prober, ReplyKind};
use crate::token::Key;
use crate::wire::Echo;

const SECOND: Duration = Duration::from_secs(1);
const ADDRESS: Address = Address::V4(Ipv4Addr::LOCALHOST);

fn prober(start: Instant) -> Prober<Roster> {
    let idents = PerFamily { v4: 4, v6: 6 };
    Prober::new(Roster::new(start), Rate::UNLIMITED, false, Key::new(RandomState::new()), idents, start)
}

fn add(prober: &mut Prober<Roster>, now: Instant) -> RosterId {
    let schedule = Schedule::default().with_phase(Phase::Now);
    prober.strategy_mut().add(ADDRESS, &schedule, now).expect("there is memory")
}

fn send(prober: &mut Prober<Roster>, now: Instant) -> Probe {
    let [probe] = *prober.poll_send(now) else { panic!("one probe is due") };
    prober.handle_sent(&[now], false, now);
    probe
}

fn reply(prober: &mut Prober<Roster>, probe: &Probe, at: Instant) -> ReplyKind {
    let data = probe.token.emit();
    prober.handle_reply(ADDRESS, &Echo { ident: 4, seq: probe.seq, data: &data }, at)
}

#[test]
fn generations_wrap_at_2_to_the_32() {
    let start = Instant::now();
    let mut prober = prober(start);
    let first = add(&mut prober, start);
    prober.strategy_mut().remove(first);
    prober.strategy.slots[0].generation = u32::MAX - 2;
    let mut old: Vec<(RosterId, Probe)> = Vec::new();
    for nth in 0..6 {
        let now = start + SECOND * nth;
        let id = add(&mut prober, now);
        assert_eq!((id.target, id.generation), (TargetId(0), (u32::MAX - 2).wrapping_add(nth)));
        let probe = send(&mut prober, now);
        for (old_id, old_probe) in &old {
            assert_eq!(reply(&mut prober, old_probe, now), ReplyKind::Damaged);
            assert!(!prober.strategy_mut().remove(*old_id));
        }
        let kind = ReplyKind::Reply { target: id.target, attempt: probe.token.attempt, rtt: SECOND / 2 };
        assert_eq!(reply(&mut prober, &probe, now + SECOND / 2), kind);
        assert!(prober.strategy_mut().remove(id));
        old.push((id, probe));
    }
}

#[test]
fn attempts_wrap_at_2_to_the_32() {
    let start = Instant::now();
    let mut prober = prober(start);
    let first = add(&mut prober, start);
    prober.strategy_mut().remove(first);
    prober.strategy.slots[0].next_attempt = u32::MAX - 20;
    let id = add(&mut prober, start);
    let mut probes = Vec::new();
    for nth in 0..40_u32 {
        let now = start + SECOND * nth;
        prober.handle_timeouts(now, |_| None, |_| {});
        let probe = send(&mut prober, now);
        let attempt = (u32::MAX - 20).wrapping_add(nth);
        assert_eq!(probe.token.attempt, attempt);
        // Every second one is answered in time; the others are late, and all copies of replies
        // duplicates.
        let (delay, target) = (SECOND * 3 / 4, id.target);
        if nth % 2 == 0 {
            let kind = ReplyKind::Reply { target, attempt, rtt: delay };
            assert_eq!(reply(&mut prober, &probe, now + delay), kind);
        } else {
            let kind = ReplyKind::Late { target, attempt, rtt: Some(delay * 2), timeout: None };
            assert_eq!(reply(&mut prober, &probe, now + delay * 2), kind);
        }
        probes.push(probe);
        for probe in probes.iter().rev().take(64).step_by(9) {
            let kind = reply(&mut prober, probe, now + SECOND);
            assert!(matches!(kind, ReplyKind::Duplicate { .. }), "{kind:?}");
        }
        assert!(prober.strategy().known() <= 4);
    }
    assert!(prober.strategy_mut().remove(id));
    assert_eq!((prober.strategy().known(), prober.strategy().in_flight()), (0, 0));
}

#[test]
fn without_memory_nothing_is_due_for_a_moment_and_then_it_is_sent_late() {
    let start = Instant::now();
    let mut roster = Roster::new(start);
    let id = roster.add(ADDRESS, &Schedule::default().with_phase(Phase::Now), start).expect("there is memory");
    for nth in 0..7 {
        let now = start + Duration::from_millis(100) * nth;
        assert_eq!(roster.next_due(), Some(now));
        let now_in_nanos = roster.nanos(now);
        roster.fill_ready(now_in_nanos, Err(OutOfMemory { items: 0 }));
        assert_eq!(roster.ready(now).count(), 0);
    }
    let now = start + Duration::from_millis(700);
    roster.make_ready(now);
    assert_eq!(roster.ready(now).collect::<Vec<_>>(), [(TargetId(0), 0)]);
    roster.mark_sent(TargetId(0), now);
    assert_eq!(roster.slips(), &Slips { slipped: 1, skipped: 0, no_memory: 7 });
    assert_eq!((roster.slipped(id), roster.next_due()), (Some(1), Some(start + SECOND)));
}

#[test]
fn of_refused_probes_nothing_is_looked_for_when_the_target_is_removed() {
    let start = Instant::now();
    let mut roster = Roster::new(start);
    roster.add(ADDRESS, &Schedule::default().with_phase(Phase::Now), start).expect("there is memory");
    for nth in 0..100 {
        let now = start + SECOND * nth;
        roster.make_ready(now);
        roster.mark_refused(TargetId(0), 101, false, now);
        assert_eq!(roster.slots[0].oldest_attempt, nth + 1);
    }
}

#[test]
fn what_is_said_of_a_probe_to_a_removed_target_is_ignored() {
    let start = Instant::now();
    let mut prober = prober(start);
    let id = add(&mut prober, start);
    assert_eq!(prober.poll_send(start).len(), 1);
    prober.strategy_mut().remove(id);
    let successor = add(&mut prober, start);
    prober.handle_sent(&[start], false, start);
    assert_eq!(prober.strategy().in_flight(), 0);
    assert_eq!(send(&mut prober, start).target, successor.target);
    assert_eq!(prober.strategy().in_flight(), 1);
}

#[test]
fn answered_probes_that_are_forgotten_still_have_their_duplicates() {
    let start = Instant::now();
    let mut prober = prober(start);
    prober.strategy.keeps_answered = false;
    let id = add(&mut prober, start);
    let probe = send(&mut prober, start);
    let target = id.target;
    let kind = ReplyKind::Reply { target, attempt: 0, rtt: SECOND / 2 };
    assert_eq!(reply(&mut prober, &probe, start + SECOND / 2), kind);
    assert_eq!(prober.strategy().known(), 0);
    let duplicate = ReplyKind::Duplicate { target, attempt: 0, rtt: None };
    assert_eq!(reply(&mut prober, &probe, start + SECOND / 2), duplicate);
    // A late reply is known by its RTT, and then as little as any other.
    let late = send(&mut prober, start + SECOND);
    prober.handle_timeouts(start + 2 * SECOND, |_| None, |_| ());
    let rtt = Some(SECOND * 3 / 2);
    let kind = ReplyKind::Late { target, attempt: 1, rtt, timeout: Some(crate::prober::Timeout::Counted) };
    assert_eq!(reply(&mut prober, &late, start + SECOND * 5 / 2), kind);
    let duplicate = ReplyKind::Duplicate { target, attempt: 1, rtt: None };
    assert_eq!(reply(&mut prober, &late, start + SECOND * 5 / 2), duplicate);
    assert_eq!(prober.strategy().known(), 0);
}
