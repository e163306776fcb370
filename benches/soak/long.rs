//! Long runs, each a minute of 255 responses, with copies, late replies, foreign replies and forged
//! ones.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::bed::number;
use crate::lab::{Behaviour, HOST4, Lab, hosts, list, packet};
use crate::{LIMIT, count, kib};

const HOSTS: u32 = 400;
/// 80 % of the hosts reply twice, 10 % reply too late, and 10 % are silent.
const ARGS: [&str; 5] = ["--responses=255", "--retries=5", "--timeout=1", "--max-pps=1600", "--summary"];
const LATE: Duration = Duration::from_millis(1500);
const PERIOD: Duration = Duration::from_millis(100);
/// When observation begins: memory grows while a process starts.
const START: Duration = Duration::from_secs(1);
/// The receive slots, which take no memory before many replies arrive at once.
const SLOTS_KIB: u64 = 32;
/// Forged replies per second, and foreign ones.
const FLOOD: u32 = 2000;

/// The results of one run.
pub struct Long {
    wall: Duration,
    /// Observed after [`START`].
    rss_kib: Vec<u64>,
    descriptors: Vec<usize>,
    /// The summary.
    pub stderr: String,
    pub errors: Vec<String>,
}

impl Long {
    /// Whether no line was wrong, and nothing grew.
    pub fn passed(&self) -> bool {
        let first_and_last = [self.rss_kib.first(), self.rss_kib.last()];
        let [Some(first), Some(last)] = first_and_last else { return false };
        let descriptors = self.descriptors.iter().all(|count| Some(count) == self.descriptors.first());
        self.errors.is_empty() && last.saturating_sub(*first) <= SLOTS_KIB && descriptors
    }

    pub fn table(longs: &[Long]) -> Vec<Vec<String>> {
        let heads = ["run", "s", "RSS after 1 s, KiB", "at the end", "least", "most", "descriptors", "wrong"];
        let range = |values: &[usize]| match (values.iter().min(), values.iter().max()) {
            (Some(least), Some(most)) if least == most => least.to_string(),
            (least, most) => format!("{least:?} {most:?}"),
        };
        let figure = |value: Option<&u64>| value.map_or("none".to_owned(), u64::to_string);
        let row = |(place, long): (usize, &Long)| {
            let rss = &long.rss_kib;
            vec![
                (place + 1).to_string(),
                number(long.wall.as_secs_f64(), 1),
                figure(rss.first()),
                figure(rss.last()),
                figure(rss.iter().min()),
                figure(rss.iter().max()),
                range(&long.descriptors),
                long.errors.len().to_string(),
            ]
        };
        [heads.map(str::to_owned).to_vec()].into_iter().chain(longs.iter().enumerate().map(row)).collect()
    }
}

/// Plays one run.
pub fn run(lab: &Lab) -> Long {
    lab.host("10.1.0.0/16", Behaviour { delay: Duration::from_millis(5), copies: 2, ..Behaviour::default() });
    lab.host("10.2.0.0/16", Behaviour::after(LATE));
    lab.host("10.3.0.0/16", Behaviour::silent());
    let (alive, late, silent) = (hosts(1, HOSTS * 8 / 10), hosts(2, HOSTS / 10), hosts(3, HOSTS / 10));
    let _foreign = lab.foreign_replies(FLOOD, 0x4242);
    let mut running = lab.start(lab.command().args(ARGS));
    running.feed(list(&[alive.as_slice(), &late, &silent].concat()));
    running.close_stdin();
    running.wait_until(LIMIT, "its first probe", |_| lab.counts().requests > 0);
    let start = Instant::now();
    let probe = lab.seen().swap_remove(0);
    let forged = packet::echo_reply(probe.dst, HOST4.into(), probe.ident, probe.seq, &[0; 56]);
    let _forger = lab.stream(FLOOD, move |_| forged.clone());
    let (mut rss_kib, mut descriptors) = (Vec::new(), Vec::new());
    while running.is_running() {
        let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap_or_default();
        let (rss, open) = (kib(&status, "VmRSS:"), count(format!("/proc/{}/fd", running.pid())));
        // 0 if the process has ended.
        if start.elapsed() > START && rss > 0 && open > 0 {
            rss_kib.push(rss);
            descriptors.push(open);
        }
        thread::sleep(PERIOD);
    }
    let outcome = running.finish(LIMIT);
    lab.forget();
    let mut errors = Vec::new();
    for (hosts, is_alive) in [(&alive, true), (&late, false), (&silent, false)] {
        for host in
            hosts.iter().filter(|host| outcome.is_alive(host) != is_alive || outcome.verdict_of(host).is_empty())
        {
            errors.push(format!("{host} {}: {}", outcome.verdict_of(host), outcome.stderr));
        }
    }
    if outcome.code != Some(0) {
        errors.push(format!("exit {:?}: {}", outcome.code, outcome.stderr));
    }
    Long { wall: outcome.wall, rss_kib, descriptors, stderr: outcome.stderr, errors }
}
