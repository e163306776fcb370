//! The core in a virtual world: a seeded network that loses, duplicates, reorders, delays, damages
//! and forges packets, on a machine that wakes up late, is stopped, refuses to send and drops what
//! arrives. No sockets, no sleeps, no root, no waiting.
//!
//! 20,000 random worlds are run. An oracle that knows only the rules of xymonping(1) and what
//! happened judges each of them: verdicts, RTTs, the most packets in any window, their order, that
//! the run ends and when at the latest. Named scenarios then test single rules.
//!
//! A failing world prints its seed. `MULTIPING_WORLD_SEED=N` runs that world alone and prints what
//! happened in it; `MULTIPING_WORLDS=N` runs more of them. (The key of the tokens does not follow
//! from the seed, because the core takes the system's randomness for it. No result depends on its
//! value.)

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "world/errors.rs"]
mod errors;
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

/// How many worlds are run.
const WORLDS: u64 = 20_000;

/// In how many of them each of the [`occurrences`] must occur, so that the oracle has tested
/// something.
const MIN_OCCURRENCES: u64 = 100;

fn occurrences(log: &Log) -> [(&'static str, bool); 14] {
    let any = |wanted: fn(&Verdict) -> bool| log.verdicts.iter().any(wanted);
    [
        ("a target is alive", any(|verdict| matches!(verdict, Verdict::Alive(_)))),
        ("a target is unreachable", any(|&verdict| verdict == Verdict::Unreachable)),
        ("a target is undecided", any(|&verdict| verdict == Verdict::Undecided)),
        ("a target is refused", any(|verdict| matches!(verdict, Verdict::Refused { .. }))),
        ("a send is refused and a target alive", log.counts.refused > 0 && log.counts.replies > 0),
        ("sending is this machine's fault", log.faults.v4.is_some() || log.faults.v6.is_some()),
        ("it is in one family of two", log.faults.v4.is_some() != log.faults.v6.is_some()),
        ("a reply comes from another source", log.counts.other_source > 0),
        ("a reply is duplicated", log.counts.duplicates > 0),
        ("a reply is late", log.counts.late > 0),
        ("a reply is damaged", log.counts.damaged > 0),
        ("a stray reply arrives", log.counts.stray > 0),
        ("an attempt is refunded", log.counts.overflow_refunds > 0),
        ("a hundred probes are sent", log.counts.sent >= 100),
    ]
}

#[test]
fn random_worlds_satisfy_the_oracle() {
    if let Some(seed) = number_from("MULTIPING_WORLD_SEED") {
        return run_again(seed);
    }
    let wanted = number_from("MULTIPING_WORLDS");
    let worlds = wanted.unwrap_or(WORLDS);
    let [next, probes, seconds] = [const { AtomicU64::new(0) }; 3];
    let run_worlds = || -> Result<BTreeMap<&str, u64>, String> {
        let mut seen = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= worlds {
                return Ok(seen);
            }
            let log = catch_unwind(|| {
                let world = random::world(seed);
                let log = world.run();
                oracle::judge(&world, &log);
                log
            })
            .map_err(|reason| {
                next.store(worlds, Ordering::Relaxed);
                format!(
                    "world {seed}: {}\n{}",
                    panic_message(&*reason),
                    RUN_AGAIN.replace("=SEED", &format!("={seed}"))
                )
            })?;
            probes.fetch_add(log.counts.sent, Ordering::Relaxed);
            seconds.fetch_add(log.end.as_secs(), Ordering::Relaxed);
            for (what, happened) in occurrences(&log) {
                *seen.entry(what).or_default() += u64::from(happened);
            }
        }
    };
    let results = thread::scope(|scope| [scope.spawn(run_worlds), scope.spawn(run_worlds)].map(|thread| thread.join()));
    let mut seen = BTreeMap::new();
    for result in results {
        match result {
            Ok(Ok(counts)) => counts.into_iter().for_each(|(what, count)| *seen.entry(what).or_insert(0) += count),
            Ok(Err(failure)) => panic!("{failure}"),
            Err(reason) => panic!("{}", panic_message(&*reason)),
        }
    }
    if wanted.is_some() {
        let (hours, probes) = (seconds.into_inner() / 3600, probes.into_inner());
        writeln!(io::stderr(), "{worlds} worlds: {hours} hours of virtual time, {probes} probes")
            .expect("stderr is open");
    }
    for (what, count) in seen {
        assert!(worlds < WORLDS || count >= MIN_OCCURRENCES, "only in {count} worlds {what}");
    }
}

#[test]
fn a_seed_gives_the_same_world_again() {
    for seed in 0..200 {
        let [once, again] = [0; 2].map(|_| random::world(seed).run().to_string());
        assert_eq!(once, again, "world {seed}");
    }
}

/// The command that runs a world again.
const RUN_AGAIN: &str =
    "run it again with: MULTIPING_WORLD_SEED=SEED cargo test --test world random_worlds -- --nocapture";

/// Runs one world, prints what happened in it, and judges it.
fn run_again(seed: u64) {
    let world = random::world(seed);
    let mut out = io::stderr();
    writeln!(out, "{world:#?}").expect("stderr is open");
    let log = world.run();
    writeln!(out, "{log}").expect("stderr is open");
    oracle::judge(&world, &log);
}

/// The number in an environment variable.
fn number_from(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// The message of a panic.
fn panic_message(reason: &(dyn Any + Send)) -> &str {
    let text = reason.downcast_ref::<String>().map(String::as_str);
    text.or(reason.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}
