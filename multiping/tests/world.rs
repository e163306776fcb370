//! The core in a virtual world: a seeded network that loses, doubles, reorders, delays, damages and spoofs, on a machine
//! that wakes up late, is stopped, refuses to send and drops what arrives. No sockets, no sleeps, no root, no waiting.
//!
//! Twenty thousand random worlds are played, and an oracle that knows only the rules of xymonping(1) and what happened holds
//! each of them to it: who must be alive, who unreachable, which RTTs, how many packets at most in any window, in which
//! order, that the run ends and when at the latest. Named scenarios then show single promises.
//!
//! A failing world says its seed. `MULTIPING_WORLD_SEED=N` plays that world alone and prints what happened in it;
//! `MULTIPING_WORLDS=N` plays more of them. (Only the key of the tokens is not in the seed: the core takes none but
//! the system's own randomness for it. No outcome depends on its value.)

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "world/log.rs"]
mod log;
#[path = "world/machine.rs"]
mod machine;
#[path = "world/network.rs"]
mod network;
#[path = "world/oracle.rs"]
mod oracle;
#[path = "world/random.rs"]
mod random;
#[path = "world/rng.rs"]
mod rng;
#[path = "world/scenarios.rs"]
mod scenarios;
#[path = "world/timing.rs"]
mod timing;

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use multiping::tally::Verdict;

use crate::log::Log;

/// How many worlds are played.
const WORLDS: u64 = 20_000;

/// In how many of them each of the [`happenings`] must have happened, so that the oracle's silence means something.
const ENOUGH: u64 = 100;

fn happenings(log: &Log) -> [(&'static str, bool); 14] {
    let any = |wanted: fn(&Verdict) -> bool| log.verdicts.iter().any(wanted);
    [
        ("a target is alive", any(|verdict| matches!(verdict, Verdict::Alive(_)))),
        ("a target is unreachable", any(|&verdict| verdict == Verdict::Unreachable)),
        ("a target is undecided", any(|&verdict| verdict == Verdict::Undecided)),
        ("a target is refused", any(|verdict| matches!(verdict, Verdict::Refused { .. }))),
        ("a send is refused and a target alive", log.counts.refused > 0 && log.counts.replies > 0),
        ("sending is this machine's fault", log.faults.v4.is_some() || log.faults.v6.is_some()),
        ("it is in one family of two", log.faults.v4.is_some() != log.faults.v6.is_some()),
        ("a reply comes from elsewhere", log.counts.other_source > 0),
        ("a reply is doubled", log.counts.duplicates > 0),
        ("a reply is late", log.counts.late > 0),
        ("a reply is damaged", log.counts.damaged > 0),
        ("a stray reply arrives", log.counts.stray > 0),
        ("an attempt is given back", log.counts.overflow_refunds > 0),
        ("a hundred probes leave", log.counts.sent >= 100),
    ]
}

#[test]
fn random_worlds_are_as_the_oracle_says() {
    if let Some(seed) = number_from("MULTIPING_WORLD_SEED") {
        return replay(seed);
    }
    let wanted = number_from("MULTIPING_WORLDS");
    let worlds = wanted.unwrap_or(WORLDS);
    let [next, probes, seconds] = [const { AtomicU64::new(0) }; 3];
    let play = || -> Result<BTreeMap<&str, u64>, String> {
        let mut seen = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds {
                return Ok(seen);
            }
            let log = catch_unwind(|| {
                let world = random::world(seed);
                let log = world.play();
                oracle::judge(&world, &log);
                log
            })
            .map_err(|reason| {
                next.store(worlds, Ordering::Relaxed);
                format!("world {seed}: {}\n{}", words(&*reason), REPLAY.replace("=SEED", &format!("={seed}")))
            })?;
            probes.fetch_add(log.counts.sent, Ordering::Relaxed);
            seconds.fetch_add(log.end.as_secs(), Ordering::Relaxed);
            for (what, happened) in happenings(&log) {
                *seen.entry(what).or_default() += u64::from(happened);
            }
        }
    };
    let results = thread::scope(|scope| [scope.spawn(play), scope.spawn(play)].map(|player| player.join()));
    let mut seen = BTreeMap::new();
    for result in results {
        match result {
            Ok(Ok(counts)) => counts.into_iter().for_each(|(what, count)| *seen.entry(what).or_insert(0) += count),
            Ok(Err(failure)) => panic!("{failure}"),
            Err(reason) => panic!("{}", words(&*reason)),
        }
    }
    if wanted.is_some() {
        let (hours, probes) = (seconds.into_inner() / 3600, probes.into_inner());
        writeln!(io::stderr(), "{worlds} worlds: {hours} hours of their time, {probes} probes")
            .expect("stderr is open");
    }
    for (what, count) in seen {
        assert!(worlds < WORLDS || count >= ENOUGH, "in {count} worlds only it happened that {what}");
    }
}

#[test]
fn a_seed_plays_the_same_world_again() {
    for seed in 0..200 {
        let [once, again] = [0; 2].map(|_| random::world(seed).play().to_string());
        assert_eq!(once, again, "world {seed}");
    }
}

/// How a world is replayed.
const REPLAY: &str = "see it with: MULTIPING_WORLD_SEED=SEED cargo test --test world random_worlds -- --nocapture";

/// Plays one world, tells what happened in it, and judges it.
fn replay(seed: u64) {
    let world = random::world(seed);
    let mut out = io::stderr();
    writeln!(out, "{world:#?}").expect("stderr is open");
    let log = world.play();
    writeln!(out, "{log}").expect("stderr is open");
    oracle::judge(&world, &log);
}

/// The number in an environment variable.
fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is to be a number, not {text}")))
}

/// What a panic said.
fn words(reason: &(dyn Any + Send)) -> &str {
    let text = reason.downcast_ref::<String>().map(String::as_str);
    text.or(reason.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
