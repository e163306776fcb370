//! Runs of several parts in one thread: who takes over what, and what is known in the end.

#![expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use fastrand::Rng;
use multiping::address::{Address, AddressList, PerFamily};
use multiping::alloc::OutOfMemory;
use multiping::plan::{Plan, Rate};
use multiping::prober::{Event, ReplyKind, SendError};
use multiping::tally::Verdict;
use multiping::token::Key;
use multiping::wire::{Echo, Reply};

use super::*;

const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };
const EPERM: i32 = 1;

/// What is probed, and how.
struct Run {
    plan: Plan,
    v4: u32,
    v6: u32,
    /// How many turns each part has before the next one has any.
    turns: Vec<usize>,
    /// After how many turns of all it is stopped.
    stopped_after: usize,
    /// Whether hosts refuse, or lose their first reply, beside those that are silent.
    has_trouble: bool,
}

/// How a host answers.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    Alive,
    Silent,
    /// The first probe is lost.
    Slow,
    /// It cannot be sent to.
    Refused,
}

/// What a run has come to.
struct Played {
    parts: Vec<Part>,
    /// How many targets each part has tried.
    tried: Vec<usize>,
    /// How many targets each part was sent.
    taken: Vec<usize>,
    /// How many of these had not arrived in the end.
    on_the_way: usize,
    /// Which parts have sent a probe to each host.
    senders: HashMap<Address, Vec<usize>>,
}

impl Run {
    fn new(v4: u32, v6: u32, turns: &[usize]) -> Self {
        let plan = Plan::default().with_rate(Rate::UNLIMITED);
        Run { plan, v4, v6, turns: turns.to_vec(), stopped_after: usize::MAX, has_trouble: false }
    }

    fn addresses(&self) -> Result<Addresses, OutOfMemory> {
        let mut list = AddressList::default();
        (0..self.v4).try_for_each(|n| list.push(Address::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))))?;
        (0..self.v6).try_for_each(|n| list.push(Address::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(n)), 0)))?;
        Ok(list.dedup()?.0)
    }

    fn host(&self, address: Address) -> Host {
        match bits(address) % 12 {
            0 | 3 | 6 => Host::Silent,
            1 if self.has_trouble => Host::Slow,
            2 if self.has_trouble => Host::Refused,
            _ => Host::Alive,
        }
    }

    fn parts(&self) -> Result<(Vec<Part>, Exchange), OutOfMemory> {
        let (start, key, mut parts) = (Instant::now(), Key::new(RandomState::new()), Vec::new());
        for (addresses, number) in self.addresses()?.deal(self.turns.len())?.into_iter().zip(0..) {
            let details = Details::new(addresses.len())?;
            let prober = Prober::sweep(&self.plan, addresses, key.clone(), IDENTS, start)?;
            parts.push(Part::new(prober, Some(details), number));
        }
        let exchange = Exchange::new(&mut parts);
        Ok((parts, exchange))
    }

    /// Probes all targets and undoes the exchange.
    fn play(&self) -> Result<Played, OutOfMemory> {
        let (mut parts, exchange) = self.parts()?;
        let mut now = Instant::now();
        let (mut left, mut senders) = (self.stopped_after, HashMap::new());
        let mut has_ended = vec![false; parts.len()];
        while left > 0 && has_ended.contains(&false) {
            for ((part, &turns), has_ended) in parts.iter_mut().zip(&self.turns).zip(&mut has_ended) {
                for _ in 0..turns.min(left) {
                    if *has_ended {
                        break;
                    }
                    left -= 1;
                    now += Duration::from_micros(1);
                    let more_may_come = exchange.visit(part);
                    self.turn(part, now, &mut senders);
                    *has_ended = part.prober.is_done() && !more_may_come;
                }
            }
            if parts.iter().all(Part::is_idle) {
                now += Duration::from_millis(100);
            }
        }
        let tried = parts.iter().map(|part| part.prober.strategy().tried()).collect();
        let mut taken = vec![0; parts.len()];
        let on_the_way = {
            let state = exchange.lock();
            state.transfers.iter().for_each(|transfer| taken[transfer.to] += transfer.targets);
            state.members.iter().map(|member| member.parcel.len()).sum()
        };
        exchange.deliver(&mut parts);
        exchange.undo(&mut parts);
        Ok(Played { parts, tried, taken, on_the_way, senders })
    }

    /// A turn of a thread. Replies come at once.
    fn turn(&self, part: &mut Part, now: Instant, senders: &mut HashMap<Address, Vec<usize>>) {
        let Part { prober, details: Some(details), number, .. } = part else { return };
        prober.handle_timeouts(now, |_| None, |timed_out| details.record(&Event::TimedOut(timed_out)));
        let probes = prober.poll_send(now).to_vec();
        let accepted = probes.iter().take_while(|probe| self.host(probe.address) != Host::Refused).count();
        prober.handle_sent(&vec![now; accepted], false, now);
        for probe in &probes[..accepted] {
            senders.entry(probe.address).or_default().push(*number);
            let first = probe.token.attempt == 0;
            if matches!((self.host(probe.address), first), (Host::Silent, _) | (Host::Slow, true)) {
                continue;
            }
            let (from, ident, data) = (probe.address, IDENTS[probe.address.family()], probe.token.emit());
            let echo = Echo { ident, seq: probe.seq, data: &data };
            let at = now + rtt_of(from);
            let kind = prober.handle_reply(from, &echo, at);
            assert!(matches!(kind, ReplyKind::Reply { .. }), "{from}: {kind:?}");
            let (reply, elsewhere, ttl, tos, to, route) = (Some(Reply::Echo(echo)), false, None, None, None, None);
            details.record(&Event::Received { from, reply, kind, elsewhere, at, ttl, tos, to, route });
        }
        if let Some(&probe) = probes.get(accepted) {
            let error = SendError::Refused { errno: EPERM };
            prober.handle_send_error(error, now);
            details.record(&Event::SendError { probe, error, at: now });
        }
    }

    /// Checks that each target is where it was at first, with the right verdict, and that one part
    /// has probed it. Returns how many have a verdict.
    fn judge(&self, played: &Played) -> Result<usize, OutOfMemory> {
        let mut settled = 0;
        for (part, addresses) in played.parts.iter().zip(self.addresses()?.deal(played.parts.len())?) {
            let sweep = part.prober.strategy();
            assert_eq!(sweep.addresses().len(), addresses.len());
            for (target, address) in addresses.iter() {
                assert_eq!(sweep.addresses().get(target), Some(address));
                let senders = played.senders.get(&address).map_or(&[][..], Vec::as_slice);
                assert!(senders.iter().all(|sender| *sender == senders[0]), "{address}: {senders:?}");
                let details = part.details.as_ref().and_then(|details| details.get(target));
                let probes = match (self.host(address), sweep.verdict(target)) {
                    (_, Verdict::Unsettled) => continue,
                    (host @ (Host::Alive | Host::Slow), Verdict::Alive(rtt)) => {
                        assert_eq!(rtt, rtt_of(address), "{address}");
                        assert_eq!(details.and_then(|details| details.max_rtt()), Some(rtt), "{address}");
                        usize::from(self.plan.responses()) + usize::from(host == Host::Slow)
                    }
                    (Host::Silent, Verdict::Unreachable) => {
                        let attempts = u64::from(self.plan.retries()) + 1;
                        assert_eq!(details.map(|details| details.lost()), Some(attempts), "{address}");
                        attempts as usize
                    }
                    (Host::Refused, Verdict::Refused { errno: EPERM, was_sent: false, .. }) => {
                        assert!(details.is_some_and(|details| details.send_errors() > 0), "{address}");
                        0
                    }
                    (_, other) => panic!("{address} is {other:?}"),
                };
                assert!(senders.len() == probes || self.stopped_after < usize::MAX, "{address}: {senders:?}");
                settled += 1;
            }
        }
        Ok(settled)
    }
}

fn bits(address: Address) -> u128 {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn rtt_of(address: Address) -> Duration {
    Duration::from_micros((bits(address) % 1000) as u64 + 1)
}

#[test]
fn targets_of_a_slow_part_are_taken_over_and_every_result_is_where_its_target_was() -> Result<(), OutOfMemory> {
    for (v4, v6, turns) in [
        (20_000, 0, &[1, 5][..]),
        (0, 20_000, &[5, 1]),
        (9_000, 9_000, &[1, 9]),
        (30_000, 1, &[9, 1]),
        (30_000, 1, &[1, 9]),
        (1, 30_000, &[1, 2]),
        (40_000, 0, &[1, 3, 5, 9]),
        (9_001, 20_003, &[7, 1, 1]),
    ] {
        let run = Run::new(v4, v6, turns);
        let played = run.play()?;
        assert_eq!((run.judge(&played)?, played.on_the_way), ((v4 + v6) as usize, 0));
        let fastest = (0..turns.len()).max_by_key(|&part| turns[part]).map(|part| played.taken[part]);
        assert!(fastest >= Some(2_000), "{v4} and {v6} by {turns:?}: {:?}", played.taken);
        let counted: usize = played.parts.iter().map(|part| part.prober.strategy().settled()).sum();
        assert_eq!(counted, (v4 + v6) as usize);
    }
    Ok(())
}

#[test]
fn a_part_that_has_given_does_not_end_before_it_has_tried_the_rest() -> Result<(), OutOfMemory> {
    let run = Run::new(4_000, 0, &[1, 1]);
    let (mut parts, exchange) = run.parts()?;
    let (start, mut senders) = (Instant::now(), HashMap::new());
    let [giver, taker] = &mut parts[..] else { unreachable!("two parts") };
    while !taker.is_idle() {
        run.turn(taker, start, &mut senders);
    }
    assert!(exchange.visit(taker), "it wants some");
    assert!(exchange.visit(giver), "it has some left, which it offers");
    assert!(!exchange.lock().members[1].parcel.is_empty());
    Ok(())
}

#[test]
fn parts_have_as_many_targets_as_they_are_fast() -> Result<(), OutOfMemory> {
    let Played { tried, .. } = Run::new(100_000, 0, &[2, 3]).play()?;
    assert!((39_000..42_000).contains(&tried[0]) && tried[0] + tried[1] == 100_000, "{tried:?}");
    // But not more than there was room for.
    let Played { tried, .. } = Run::new(100_000, 0, &[1, 9]).play()?;
    assert_eq!(tried, [25_000, 75_000]);
    Ok(())
}

#[test]
fn few_targets_and_targets_in_a_random_order_stay_where_they_are() -> Result<(), OutOfMemory> {
    let few = Run::new(1_000, 1_000, &[1, 9]);
    let mut random = Run::new(20_000, 0, &[1, 9]);
    random.plan = random.plan.with_shuffle(true);
    for run in [few, random] {
        let played = run.play()?;
        assert_eq!((run.judge(&played)?, &played.taken), ((run.v4 + run.v6) as usize, &vec![0, 0]));
    }
    Ok(())
}

#[test]
fn a_run_that_is_stopped_knows_what_it_knew_of_each_target() -> Result<(), OutOfMemory> {
    let mut cut_in_exchange = 0;
    // The fast part has tried its 4,000 targets after some 560 turns.
    for stopped_after in (0..540).step_by(57).chain(540..590).chain((590..1000).step_by(23)) {
        let run = Run { stopped_after, ..Run::new(4_000, 4_000, &[1, 9]) };
        let played = run.play()?;
        let alive: usize = played.parts.iter().map(|part| part.prober.strategy().alive()).sum();
        assert_eq!(run.judge(&played)?, alive, "after {stopped_after} turns, before any timeout");
        cut_in_exchange += usize::from(played.on_the_way > 0);
    }
    assert!(cut_in_exchange > 0, "some are stopped while targets are on their way");
    Ok(())
}

#[test]
fn random_runs_end_with_the_right_verdicts() -> Result<(), Box<dyn std::error::Error>> {
    let mut taken = 0;
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let (few, many) = (rng.u32(0..6), rng.u32(3_000..12_000));
        let (v4, v6) =
            *rng.choice(&[(many, few), (few, many), (many, many / 2), (many, 0), (0, many)]).unwrap_or(&(0, 0));
        let turns: Vec<_> = (0..rng.usize(2..6)).map(|_| rng.usize(1..20)).collect();
        let mut run = Run::new(v4, v6, &turns);
        run.plan = run.plan.with_retries(rng.u8(1..3)).with_responses(rng.u8(1..4))?;
        run.has_trouble = rng.bool();
        if rng.u8(..4) == 0 {
            run.stopped_after = rng.usize(..2_000);
        }
        let played = run.play()?;
        let settled = run.judge(&played)?;
        assert!(settled == (v4 + v6) as usize || run.stopped_after < usize::MAX, "{seed}: {settled}");
        taken += usize::from(played.taken.iter().any(|&targets| targets > 0));
    }
    assert!(taken > 10, "{taken} runs with an exchange");
    Ok(())
}
