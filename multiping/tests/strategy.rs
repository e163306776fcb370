//! Tests of `Strategy`: a very different kind of run needs no change to `Prober`.
//!
//! In the strategy here each target has its own period and timeout, can have several probes in
//! flight, and can be removed and replaced by another target meanwhile.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use multiping::address::{Address, PerFamily, TargetId};
use multiping::plan::Rate;
use multiping::prober::{Attempt, Blame, Probe, Prober, ReplyKind, SendError, Strategy, TimedOut, Timeout};
use multiping::token::Key;
use multiping::wire::Echo;

const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };
const MILLI: Duration = Duration::from_millis(1);
const FIRST: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 1));
const SECOND: Address = Address::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2), 0);

/// A target, and how it is probed.
struct Slot {
    address: Option<Address>,
    generation: u32,
    period: Duration,
    timeout: Duration,
    next_attempt: u32,
    in_flight: BTreeMap<u32, Instant>,
    answered: BTreeSet<u32>,
    rtts: Vec<Duration>,
}

/// Probes each target once a period, whatever is in flight.
#[derive(Default)]
struct Periodic {
    slots: Vec<Slot>,
    due: BTreeSet<(Instant, TargetId)>,
}

impl Periodic {
    fn add(&mut self, address: Address, period: Duration, timeout: Duration, first: Instant) -> TargetId {
        let free = self.slots.iter().position(|slot| slot.address.is_none());
        let index = free.unwrap_or_else(|| {
            self.slots.push(Slot {
                address: None,
                generation: 0,
                period,
                timeout,
                next_attempt: 0,
                in_flight: BTreeMap::new(),
                answered: BTreeSet::new(),
                rtts: Vec::new(),
            });
            self.slots.len() - 1
        });
        let slot = &mut self.slots[index];
        (slot.address, slot.period, slot.timeout) = (Some(address), period, timeout);
        (slot.next_attempt, slot.generation) = (0, slot.generation + 1);
        slot.rtts.clear();
        let target = TargetId(index as u32);
        self.due.insert((first, target));
        target
    }

    fn remove(&mut self, target: TargetId) {
        let slot = &mut self.slots[target.index()];
        slot.address = None;
        slot.in_flight.clear();
        slot.answered.clear();
        self.due.retain(|&(_, other)| other != target);
    }

    /// Moves a target to its next period, and returns the number of the attempt that this one was.
    fn advance(&mut self, target: TargetId) -> u32 {
        let due = *self.due.iter().find(|(_, other)| *other == target).unwrap();
        self.due.remove(&due);
        let slot = &mut self.slots[target.index()];
        self.due.insert((due.0 + slot.period, target));
        slot.next_attempt += 1;
        slot.next_attempt - 1
    }
}

impl Strategy for Periodic {
    fn address(&self, target: TargetId) -> Option<Address> {
        self.slots.get(target.index())?.address
    }

    fn generation(&self, target: TargetId) -> u32 {
        self.slots[target.index()].generation
    }

    fn ready(&self, now: Instant) -> impl Iterator<Item = (TargetId, u32)> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now);
        due.map(|&(_, target)| (target, self.slots[target.index()].next_attempt))
    }

    fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    fn next_timeout(&self) -> Option<Instant> {
        let in_flight = self.slots.iter().flat_map(|slot| slot.in_flight.values().map(|&sent| sent + slot.timeout));
        in_flight.min()
    }

    fn mark_sent(&mut self, target: TargetId, at: Instant) {
        let attempt = self.advance(target);
        self.slots[target.index()].in_flight.insert(attempt, at);
    }

    fn mark_refused(&mut self, target: TargetId, _: i32, _: bool, _: Instant) {
        self.advance(target);
    }

    fn attempt(&self, target: TargetId, attempt: u32) -> Attempt {
        let slot = &self.slots[target.index()];
        match slot.in_flight.get(&attempt) {
            Some(&sent) => Attempt::InFlight { sent, timeout: slot.timeout },
            None if slot.answered.contains(&attempt) => Attempt::Answered,
            None => Attempt::Over,
        }
    }

    fn record_reply(&mut self, target: TargetId, attempt: u32, rtt: Duration) {
        let slot = &mut self.slots[target.index()];
        slot.in_flight.remove(&attempt);
        slot.answered.insert(attempt);
        slot.rtts.push(rtt);
    }

    fn expire(&mut self, now: Instant, _: impl FnMut(Address, Instant) -> Blame, mut on_timeout: impl FnMut(TimedOut)) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let timeout = slot.timeout;
            slot.in_flight.retain(|&attempt, &mut sent| {
                let over = sent + timeout <= now;
                if over {
                    let target = TargetId(index as u32);
                    on_timeout(TimedOut { target, attempt, sent, timeout: Timeout::Counted });
                }
                !over
            });
        }
    }

    fn is_done(&self) -> bool {
        false
    }
}

fn begin() -> (Prober<Periodic>, Instant) {
    let start = Instant::now(); // the only reading of a clock
    let prober = Prober::new(Periodic::default(), Rate::UNLIMITED, false, Key::new(RandomState::new()), IDENTS, start);
    (prober, start)
}

/// Sends all that is due at `now`.
fn send(prober: &mut Prober<Periodic>, now: Instant) -> Vec<Probe> {
    let mut sent = Vec::new();
    loop {
        let probes = prober.poll_send(now).to_vec();
        if probes.is_empty() {
            return sent;
        }
        prober.handle_sent(&vec![now; probes.len()], true, now);
        sent.extend(probes);
    }
}

fn reply(prober: &mut Prober<Periodic>, probe: &Probe, at: Instant) -> ReplyKind {
    let (ident, data) = (IDENTS[probe.address.family()], probe.token.emit());
    prober.handle_reply(probe.address, &Echo { ident, seq: probe.seq, data: &data }, at)
}

fn timed_out(prober: &mut Prober<Periodic>, now: Instant) -> Vec<(u32, u32)> {
    let mut timeouts = Vec::new();
    prober.handle_timeouts(now, |_| None, |timed_out| timeouts.push((timed_out.target.0, timed_out.attempt)));
    timeouts
}

#[test]
fn several_probes_to_one_target_can_be_in_flight() {
    let (mut prober, start) = begin();
    let target = prober.strategy_mut().add(FIRST, 10 * MILLI, 100 * MILLI, start);
    let probes: Vec<Probe> = (0..5).flat_map(|nth| send(&mut prober, start + 10 * MILLI * nth)).collect();
    assert_eq!(probes.iter().map(|probe| probe.token.attempt).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    // Each gets its own reply, in any order; the first one gets none, and times out alone.
    for nth in [3, 1, 4, 2] {
        let sent = start + 10 * MILLI * nth;
        let kind = reply(&mut prober, &probes[nth as usize], sent + 50 * MILLI);
        assert_eq!(kind, ReplyKind::Reply { target, attempt: nth, rtt: 50 * MILLI });
    }
    let duplicate = ReplyKind::Duplicate { target, attempt: 3, rtt: None };
    assert_eq!(reply(&mut prober, &probes[3], start + 95 * MILLI), duplicate);
    assert_eq!(timed_out(&mut prober, start + 99 * MILLI), []);
    assert_eq!(timed_out(&mut prober, start + 100 * MILLI), [(0, 0)]);
    let late = ReplyKind::Late { target, attempt: 0, rtt: None, timeout: None };
    assert_eq!(reply(&mut prober, &probes[0], start + 101 * MILLI), late);
    assert_eq!(prober.strategy().slots[0].rtts, [50 * MILLI; 4]);
}

#[test]
fn each_target_has_its_own_period_and_timeout() {
    let (mut prober, start) = begin();
    prober.strategy_mut().add(FIRST, 30 * MILLI, 5 * MILLI, start);
    prober.strategy_mut().add(SECOND, 20 * MILLI, 50 * MILLI, start + MILLI);
    let mut sent = Vec::new();
    let mut ended = Vec::new();
    let mut now = start;
    while now < start + 61 * MILLI {
        ended.extend(timed_out(&mut prober, now).into_iter().map(|timeout| ((now - start).as_millis(), timeout)));
        sent.extend(send(&mut prober, now).iter().map(|probe| ((now - start).as_millis(), probe.target.0)));
        now = prober.poll_wakeup(now).unwrap();
    }
    assert_eq!(sent, [(0, 0), (1, 1), (21, 1), (30, 0), (41, 1), (60, 0)]);
    assert_eq!(ended, [(5, (0, 0)), (35, (0, 1)), (51, (1, 0))]);
}

#[test]
fn replies_to_a_removed_target_are_not_accepted_for_its_successor() {
    let (mut prober, start) = begin();
    let target = prober.strategy_mut().add(FIRST, 10 * MILLI, 100 * MILLI, start);
    let [old] = send(&mut prober, start)[..] else { panic!("one probe is due") };
    prober.strategy_mut().remove(target);
    assert_eq!(reply(&mut prober, &old, start + MILLI), ReplyKind::Damaged, "there is no such target");
    assert_eq!(prober.poll_wakeup(start), None);
    // The slot, the address and the number of the attempt are the same again.
    assert_eq!(prober.strategy_mut().add(FIRST, 10 * MILLI, 100 * MILLI, start + 2 * MILLI), target);
    let [new] = send(&mut prober, start + 2 * MILLI)[..] else { panic!("one probe is due") };
    assert_eq!((new.token.target, new.token.attempt), (old.token.target, old.token.attempt));
    assert_eq!(reply(&mut prober, &old, start + 3 * MILLI), ReplyKind::Damaged);
    assert_eq!(reply(&mut prober, &new, start + 3 * MILLI), ReplyKind::Reply { target, attempt: 0, rtt: MILLI });
    assert_eq!(prober.counts().replies, 1);
}

#[test]
fn adding_a_target_keeps_the_others_numbers() {
    let (mut prober, start) = begin();
    let six = prober.strategy_mut().add(SECOND, 10 * MILLI, 100 * MILLI, start);
    let [probe] = send(&mut prober, start)[..] else { panic!("one probe is due") };
    prober.strategy_mut().add(FIRST, 10 * MILLI, 100 * MILLI, start);
    let kind = reply(&mut prober, &probe, start + MILLI);
    assert_eq!(kind, ReplyKind::Reply { target: six, attempt: 0, rtt: MILLI });
}

#[test]
fn a_refused_probe_uses_up_its_turn_and_is_not_in_flight() {
    let (mut prober, start) = begin();
    prober.strategy_mut().add(FIRST, 10 * MILLI, 5 * MILLI, start);
    let error = SendError::Refused { errno: 101 };
    assert_eq!(prober.poll_send(start).len(), 1);
    assert!(prober.handle_send_error(error, start));
    assert_eq!(prober.poll_wakeup(start), Some(start + 10 * MILLI));
    assert_eq!(send(&mut prober, start + 10 * MILLI)[0].token.attempt, 1);
    assert_eq!(timed_out(&mut prober, start + 15 * MILLI), [(0, 1)]);
}
