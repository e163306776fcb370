//! A soak test: short runs for `XYMONPING_SOAK_MINUTES`, each a process of its own, with every line
//! judged by what the wire saw; and at the same time long runs, one after the other, observed while
//! they last.
//!
//! Wanted: no false line, and no growth: of memory and descriptors of a process during its run, of
//! those of the process that starts them, or of the sockets in their networks.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;
#[path = "../tests/lab.rs"]
mod lab;
#[path = "soak/long.rs"]
mod long;
#[path = "soak/short.rs"]
mod short;

use std::env;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bed::{Report, begin, number};
use lab::Lab;
use lab::caller::{Place, Rights};
use long::Long;
use short::Short;

/// How many short runs there are at the same time. They are idle most of the time.
const AT_ONCE: u64 = 4;
const LIMIT: Duration = Duration::from_secs(300);

fn main() {
    begin();
    let minutes = env::var("XYMONPING_SOAK_MINUTES").map_or(1.0, |minutes| minutes.parse().expect("minutes"));
    let start = Instant::now();
    let end = start + Duration::from_secs_f64(60.0 * minutes);
    let place = Place::new().unwrap_or_else(|e| panic!("no directory for a setuid copy: {e}"));
    let setuid = place.install(Rights::Setuid);
    let labs: Vec<Lab> = (0..=AT_ONCE).map(|_| Lab::open().unwrap_or_else(|e| panic!("no lab: {e}"))).collect();
    let (mut shorts, mut longs) = (Short::default(), Vec::new());
    // The first long run allocates what later ones reuse.
    play(&labs, &setuid, 1, Instant::now(), &mut shorts, &mut longs);
    let before = Resources::now(&labs);
    play(&labs, &setuid, 1001, end, &mut shorts, &mut longs);
    let resources = [before, Resources::now(&labs)];
    let lasted = start.elapsed();

    let mut report = Report::new("soak");
    let lasted = number(lasted.as_secs_f64() / 60.0, 1);
    report.add(&format!("Short runs, {AT_ONCE} at a time, for {lasted} minutes.\n"));
    report.table(&shorts.table());
    report.add("Long runs, one after the other, observed every 100 ms from the first second on.\n");
    report.table(&Long::table(&longs));
    let messages: Vec<String> = longs.iter().map(|long| format!("    {}", long.stderr.trim_end())).collect();
    report.add(&format!("Standard error of the long runs:\n\n{}\n", messages.join("\n")));
    report.add("The process that started them, and the sockets in their networks: all/raw+raw IPv6.\n");
    report.table(&Resources::table(&resources));
    shorts.errors.iter().chain(longs.iter().flat_map(|long| &long.errors)).for_each(|line| report.add(line));
    report.save();
    let passed = shorts.passed() && longs.iter().all(Long::passed) && resources[0].sockets == resources[1].sockets;
    assert!(passed, "see above");
}

/// Plays long runs in the first lab until `end`, at least one, and short runs in all others
/// meanwhile.
fn play(labs: &[Lab], setuid: &Path, seed: u64, end: Instant, shorts: &mut Short, longs: &mut Vec<Long>) {
    let over = AtomicBool::new(false);
    let (first, others) = labs.split_first().expect("there are several");
    thread::scope(|scope| {
        let start = |(seed, lab)| {
            let over = &over;
            scope.spawn(move || short::runs(lab, setuid, seed, over))
        };
        let players: Vec<_> = (seed..).zip(others).map(start).collect();
        loop {
            longs.push(long::run(first));
            if Instant::now() >= end {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        players.into_iter().for_each(|player| shorts.add(player.join().expect("a run does not panic")));
    });
}

/// The resources of the process that starts all others, and the sockets in its networks.
struct Resources {
    rss_kib: u64,
    descriptors: usize,
    threads: usize,
    sockets: Vec<String>,
}

impl Resources {
    fn now(labs: &[Lab]) -> Resources {
        let status = fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        Resources {
            rss_kib: kib(&status, "VmRSS:"),
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            sockets: labs.iter().map(|lab| lab.inside(sockets)).collect(),
        }
    }

    fn table(both: &[Resources]) -> Vec<Vec<String>> {
        let row = |(when, it): (&str, &Resources)| {
            let sockets = it.sockets.join(", ");
            vec![when.into(), it.rss_kib.to_string(), it.descriptors.to_string(), it.threads.to_string(), sockets]
        };
        let heads = ["when", "RSS, KiB", "descriptors", "threads", "sockets in each network"].map(str::to_owned);
        [heads.to_vec()]
            .into_iter()
            .chain(["after the first long run", "at the end"].into_iter().zip(both).map(row))
            .collect()
    }
}

/// How many sockets the calling thread's network has, and how many of them are raw.
fn sockets() -> String {
    let read = |name: &str| fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
    let (v4, v6) = (read("sockstat"), read("sockstat6"));
    let number = |text: &str, head: &str| {
        let words = text.lines().find_map(|line| line.strip_prefix(head));
        words.and_then(|words| words.split(' ').nth(2)).unwrap_or("0").to_owned()
    };
    format!("{}/{}+{}", number(&v4, "sockets:"), number(&v4, "RAW:"), number(&v6, "RAW6:"))
}

/// A field of /proc/PID/status that is in kB.
fn kib(status: &str, field: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(field));
    value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}

/// How many entries a directory of /proc has; 0 if the process has ended.
fn count(directory: impl AsRef<Path>) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}
