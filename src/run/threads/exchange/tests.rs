#![expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Addresses, PerFamily};
use multiping::plan::{Plan, Rate};
use multiping::prober::{Event, ReplyKind};
use multiping::tally::Verdict;
use multiping::token::Key;
use multiping::wire::{Echo, Reply};

use super::*;

const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };

/// What is probed, and how fast each part is: how many turns it has before the next one has any.
struct Run {
    plan: Plan,
    v4: u32,
    v6: u32,
    turns: Vec<usize>,
    /// After how many turns of all it is stopped.
    stopped_after: usize,
}

impl Run {
    fn new(v4: u32, v6: u32, turns: &[usize]) -> Self {
        let plan = Plan::default().with_rate(Rate::UNLIMITED);
        Run { plan, v4, v6, turns: turns.to_vec(), stopped_after: usize::MAX }
    }

    fn addresses(&self) -> Result<Addresses, OutOfMemory> {
        let mut list = AddressList::default();
        (0..self.v4).try_for_each(|n| list.push(Address::V4(Ipv4Addr::from_bits(0x0a00_0000 + n))))?;
        (0..self.v6).try_for_each(|n| list.push(Address::V6(Ipv6Addr::from_bits(0xfd << 120 | u128::from(n)), 0)))?;
        Ok(list.dedup()?.0)
    }

    /// Probes all targets and undoes the exchange.
    fn play(&self) -> Result<Played, OutOfMemory> {
        let start = Instant::now();
        let (mut now, key) = (start, Key::new(RandomState::new()));
        let exchange = Exchange::new(self.turns.len());
        let mut parts = Vec::new();
        for (addresses, number) in self.addresses()?.deal(self.turns.len())?.into_iter().zip(0..) {
            let details = Details::new(addresses.len())?;
            let prober = Prober::sweep(&self.plan, addresses, key.clone(), IDENTS, start)?;
            parts.push(Part::new(prober, Some(details), number));
        }
        let mut stopped_after = self.stopped_after;
        loop {
            let mut is_over = true;
            for (part, &turns) in parts.iter_mut().zip(&self.turns) {
                for _ in 0..turns.min(stopped_after) {
                    stopped_after -= 1;
                    now += Duration::from_micros(1);
                    let more = exchange.visit(part)?;
                    turn(part, now);
                    is_over &= part.prober.is_done() && !more;
                }
            }
            if is_over || stopped_after == 0 {
                break;
            }
            if parts.iter().all(|part| part.is_idle) {
                now += Duration::from_millis(100);
            }
        }
        let mut taken = vec![0; parts.len()];
        for step in &exchange.lock().steps {
            if let Step::Taken { by, .. } = *step {
                taken[by] += 1;
            }
        }
        let left = exchange.left();
        exchange.undo(&mut parts)?;
        Ok(Played { parts, taken, left })
    }

    /// Checks that each target is where it was at first, and returns how many have a verdict.
    fn judge(&self, parts: &[Part]) -> Result<usize, OutOfMemory> {
        let mut settled = 0;
        for (part, addresses) in parts.iter().zip(self.addresses()?.deal(parts.len())?) {
            let sweep = part.prober.strategy();
            assert_eq!(sweep.addresses().len(), addresses.len());
            for (target, address) in addresses.iter() {
                assert_eq!(sweep.addresses().get(target), Some(address));
                let details = part.details.as_ref().and_then(|details| details.get(target));
                match sweep.verdict(target) {
                    Verdict::Alive(rtt) => {
                        assert!(is_alive(address));
                        assert_eq!(rtt, rtt_of(address), "{address}");
                        assert_eq!(details.and_then(|details| details.max_rtt()), Some(rtt), "{address}");
                    }
                    Verdict::Unreachable => {
                        assert!(!is_alive(address));
                        let attempts = u64::from(self.plan.retries()) + 1;
                        assert_eq!(details.map(|details| details.lost()), Some(attempts), "{address}");
                    }
                    Verdict::Unsettled => continue,
                    other => panic!("{address} is {other:?}"),
                }
                settled += 1;
            }
        }
        Ok(settled)
    }
}

/// What a run has come to.
struct Played {
    parts: Vec<Part>,
    /// How many parcels each part has taken.
    taken: Vec<usize>,
    /// How many targets nobody had taken in the end.
    left: usize,
}

fn bits(address: Address) -> u128 {
    match address.ip() {
        IpAddr::V4(ip) => ip.to_bits().into(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn is_alive(address: Address) -> bool {
    bits(address) % 3 > 0
}

fn rtt_of(address: Address) -> Duration {
    Duration::from_micros((bits(address) % 1000) as u64 + 1)
}

/// A turn of a thread. Replies come at once.
fn turn(part: &mut Part, now: Instant) {
    let Part { prober, details: Some(details), .. } = part else { return };
    prober.handle_timeouts(now, |_| None, |timed_out| details.record(&Event::TimedOut(timed_out)));
    let probes = prober.poll_send(now).to_vec();
    prober.handle_sent(&vec![now; probes.len()], false, now);
    for probe in probes.iter().filter(|probe| is_alive(probe.address)) {
        let (from, ident, data) = (probe.address, IDENTS[probe.address.family()], probe.token.emit());
        let echo = Echo { ident, seq: probe.seq, data: &data };
        let at = now + rtt_of(from);
        let kind = prober.handle_reply(from, &echo, at);
        assert!(matches!(kind, ReplyKind::Reply { .. }), "{from}: {kind:?}");
        let (reply, elsewhere, ttl, tos, to, route) = (Some(Reply::Echo(echo)), false, None, None, None, None);
        details.record(&Event::Received { from, reply, kind, elsewhere, at, ttl, tos, to, route });
    }
}

#[test]
fn a_slow_part_gives_targets_away_and_every_result_is_where_its_target_was() -> Result<(), OutOfMemory> {
    for (v4, v6, turns) in [
        (20_000, 0, &[1, 5][..]),
        (0, 20_000, &[5, 1]),
        (9_000, 9_000, &[1, 9]),
        (30_000, 1, &[9, 1]),
        (1, 30_000, &[1, 2]),
        (40_000, 0, &[1, 3, 5, 9]),
        (9_001, 20_003, &[7, 1, 1]),
    ] {
        let run = Run::new(v4, v6, turns);
        let Played { parts, taken, left } = run.play()?;
        assert_eq!((run.judge(&parts)?, left), ((v4 + v6) as usize, 0));
        assert!(taken.iter().sum::<usize>() > 0, "{v4} and {v6} by {turns:?}: {taken:?}");
        let counted: usize = parts.iter().map(|part| part.prober.strategy().settled()).sum();
        assert_eq!(counted, (v4 + v6) as usize);
    }
    Ok(())
}

#[test]
fn a_part_that_is_faster_takes_most() -> Result<(), OutOfMemory> {
    let parts = Run::new(100_000, 0, &[1, 3]).play()?.parts;
    let tried: Vec<_> = parts.iter().map(|part| part.prober.strategy().tried()).collect();
    assert!((24_000..27_000).contains(&tried[0]) && tried[0] + tried[1] == 100_000, "{tried:?}");
    Ok(())
}

#[test]
fn few_targets_and_targets_in_a_random_order_stay_where_they_are() -> Result<(), OutOfMemory> {
    let few = Run::new(1_000, 1_000, &[1, 9]);
    let mut random = Run::new(20_000, 0, &[1, 9]);
    random.plan = random.plan.with_shuffle(true);
    for run in [few, random] {
        let Played { parts, taken, .. } = run.play()?;
        assert_eq!((run.judge(&parts)?, taken), ((run.v4 + run.v6) as usize, vec![0, 0]));
    }
    Ok(())
}

#[test]
fn a_run_that_is_stopped_knows_what_it_knew_of_each_target() -> Result<(), OutOfMemory> {
    let mut cut_in_exchange = 0;
    // The fast part has tried its 4,000 targets after some 560 turns.
    for stopped_after in (0..540).step_by(57).chain(540..590).chain((590..1000).step_by(23)) {
        let run = Run { stopped_after, ..Run::new(4_000, 4_000, &[1, 9]) };
        let Played { parts, left, .. } = run.play()?;
        let alive: usize = parts.iter().map(|part| part.prober.strategy().alive()).sum();
        assert_eq!(run.judge(&parts)?, alive, "after {stopped_after} turns, before any timeout");
        cut_in_exchange += usize::from(left > 0);
    }
    assert!(cut_in_exchange > 0, "some are stopped while targets are on their way");
    Ok(())
}
