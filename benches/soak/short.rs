//! Short runs with random options, hosts and callers, each judged line by line.
//!
//! A line is judged by the behaviour of the host and by when the wire had probes and replies,
//! because on a busy machine a reply may be sent later than set. If a reply came within 20 ms of
//! the timeout, either line is right.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;

use crate::LIMIT;
use crate::lab::{Answer, Answered, Behaviour, Finished, IcmpError, Lab, Lose, Seen, caller, list};

const MARGIN: Duration = Duration::from_millis(20);
/// Each run has other hosts than the one before, whose late replies must not reach it.
const NETWORKS: usize = 100;
const MAX_HOSTS: usize = 200;
const MAX_ERRORS: usize = 20;

/// The results of all short runs.
#[derive(Default)]
pub struct Short {
    runs: [usize; 2],
    targets: usize,
    probes: usize,
    alive: usize,
    unreachable: usize,
    either: usize,
    wrong: usize,
    missing: usize,
    other_ends: usize,
    lost: u64,
    peak_rss_kib: u64,
    pub errors: Vec<String>,
}

impl Short {
    pub fn add(&mut self, other: Short) {
        for (runs, others) in self.runs.iter_mut().zip(other.runs) {
            *runs += others;
        }
        self.targets += other.targets;
        self.probes += other.probes;
        self.alive += other.alive;
        self.unreachable += other.unreachable;
        self.either += other.either;
        self.wrong += other.wrong;
        self.missing += other.missing;
        self.other_ends += other.other_ends;
        self.lost += other.lost;
        self.peak_rss_kib = self.peak_rss_kib.max(other.peak_rss_kib);
        self.errors.extend(other.errors);
    }

    pub fn passed(&self) -> bool {
        self.wrong + self.missing + self.other_ends == 0
    }

    pub fn table(&self) -> Vec<Vec<String>> {
        let rows = [
            ("runs by root".to_owned(), self.runs[0].to_string()),
            ("runs by an ordinary user, setuid".to_owned(), self.runs[1].to_string()),
            ("targets".to_owned(), self.targets.to_string()),
            ("probes on the wire".to_owned(), self.probes.to_string()),
            ("lines: alive".to_owned(), self.alive.to_string()),
            ("lines: unreachable".to_owned(), self.unreachable.to_string()),
            (format!("of these, within {MARGIN:?} of the timeout"), self.either.to_string()),
            ("wrong lines".to_owned(), self.wrong.to_string()),
            ("missing lines".to_owned(), self.missing.to_string()),
            ("unexpected exit code or stderr".to_owned(), self.other_ends.to_string()),
            ("packets lost by the lab".to_owned(), self.lost.to_string()),
            ("largest peak RSS, KiB".to_owned(), self.peak_rss_kib.to_string()),
        ];
        let heads = ("what".to_owned(), "figure".to_owned());
        [heads].into_iter().chain(rows).map(|(what, figure)| vec![what, figure]).collect()
    }

    fn add_error(&mut self, what: String) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(what);
        }
    }
}

/// One of several.
fn one_of<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(..choices.len())]
}

/// The options and hosts of one run.
struct Task {
    args: Vec<String>,
    by_root: bool,
    timeout: Duration,
    exit_status: bool,
    /// Each host, and whether its replies are accepted if they arrive in time.
    hosts: Vec<(String, bool)>,
}

/// Plays runs until `over` is set.
pub fn runs(lab: &Lab, setuid: &Path, seed: u64, over: &AtomicBool) -> Short {
    let (mut rng, mut short) = (Rng::with_seed(seed), Short::default());
    // The lab keeps the behaviour of every host, so all are set once here to keep its memory
    // constant.
    for (network, n) in (1..=NETWORKS).flat_map(|network| (1..=MAX_HOSTS).map(move |n| (network, n))) {
        addresses(network, n).iter().for_each(|host| lab.host(host, Behaviour::default()));
    }
    for number in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let task = task(lab, 1 + number % NETWORKS, &mut rng);
        let mut command = if task.by_root { lab.command() } else { caller::ordinary(setuid) };
        let running = lab.start(command.args(&task.args));
        let addresses: Vec<&str> = task.hosts.iter().map(|(host, _)| host.as_str()).collect();
        running.feed(list(&addresses));
        judge(&mut short, lab, &task, &running.finish(LIMIT));
        lab.forget();
    }
    short
}

/// The addresses of a host, by family.
fn addresses(network: usize, n: usize) -> [String; 2] {
    [format!("10.9.{network}.{n}"), format!("fd00:9:{network:x}::{n:x}")]
}

fn task(lab: &Lab, network: usize, rng: &mut Rng) -> Task {
    let by_root = rng.u8(..3) > 0;
    let timeout = Duration::from_millis(one_of(rng, &[200, 300, 500, 1000]));
    let check_source = rng.u8(..4) == 0;
    let exit_status = rng.u8(..4) == 0;
    let mut args = vec![
        format!("--timeout={}ms", timeout.as_millis()),
        format!("--retries={}", rng.u8(..3)),
        format!("--responses={}", one_of(rng, &[1, 1, 1, 2, 3])),
        format!("--size={}", one_of(rng, &[16, 56, 56, 500, 1400])),
    ];
    args.push(match rng.u8(..if by_root { 5 } else { 4 }) {
        4 => "--max-pps=unlimited".to_owned(),
        n => format!("--max-pps={}", [100, 500, 2000, 10_000][usize::from(n)]),
    });
    let switches = [("--check-source", check_source), ("--exit-status", exit_status), ("--shuffle", rng.u8(..3) == 0)];
    args.extend(switches.iter().filter(|(_, is_set)| *is_set).map(|(arg, _)| (*arg).to_owned()));
    let families = one_of(rng, &[&[0][..], &[1], &[0, 1]]);
    let families = if lab.has_ipv6() { families } else { &[0] };
    if let [family] = families {
        args.push(["--ipv4", "--ipv6"][*family].to_owned());
    }
    let count = one_of(rng, &[1, 2, 10, 50, MAX_HOSTS]);
    let hosts = (1..=count).map(|n| {
        let family = families[n % families.len()];
        let host = addresses(network, n)[family].clone();
        let (behaviour, counts) = behaviour(rng, family, timeout, check_source);
        lab.host(&host, behaviour);
        (host, counts)
    });
    Task { hosts: hosts.collect(), args, by_root, timeout, exit_status }
}

/// A random behaviour, and whether its replies are accepted if they arrive in time.
fn behaviour(rng: &mut Rng, family: usize, timeout: Duration, check_source: bool) -> (Behaviour, bool) {
    let near = Behaviour::default();
    let other: IpAddr = ["10.200.0.1", "fd00:200::1"][family].parse().expect("an address");
    match rng.u8(..16) {
        0..=5 => (near, true),
        6 | 7 => (Behaviour::after(timeout * rng.u32(..7) / 10), true),
        8 => (Behaviour::silent(), true),
        9 => (Behaviour::after(timeout * 3 / 2), true),
        10 => (Behaviour { lose: Lose::First(1 + rng.u32(..3)), ..near }, true),
        11 => (Behaviour { copies: 4, gap: timeout / 10, ..near }, true),
        12 => (Behaviour { from: Some(other), ..near }, !check_source),
        13 => (Behaviour::answering(Answer::BadChecksum), false),
        14 => (Behaviour::answering(Answer::FlippedByte(rng.usize(..16))), false),
        _ => (Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)), false),
    }
}

fn judge(short: &mut Short, lab: &Lab, task: &Task, outcome: &Finished) {
    let (seen, answered) = (lab.seen(), lab.answered());
    short.runs[usize::from(!task.by_root)] += 1;
    short.targets += task.hosts.len();
    short.probes += seen.len();
    short.lost += lab.counts().overflowed;
    short.peak_rss_kib = short.peak_rss_kib.max(outcome.peak_rss_kib);
    let probes: HashMap<(IpAddr, u32), &Seen> = seen.iter().map(|seen| ((seen.dst, seen.number), seen)).collect();
    let mut answers: HashMap<IpAddr, Vec<&Answered>> = HashMap::new();
    answered.iter().for_each(|answer| answers.entry(answer.host).or_default().push(answer));
    let lines = outcome.lines();
    let mut unreachable = 0;
    for (place, (host, counts)) in task.hosts.iter().enumerate() {
        let ip: IpAddr = host.parse().expect("an address");
        let answers = answers.get(&ip).filter(|_| *counts).map_or(&[][..], Vec::as_slice);
        let age = |answer: &&Answered| {
            let probe = probes[&(answer.host, answer.number)];
            answer.time.start - probe.time..answer.time.end - probe.time
        };
        let ages = || answers.iter().map(age);
        let alive = ages().any(|age| age.end + MARGIN <= task.timeout);
        let silent = ages().all(|age| age.start >= task.timeout + MARGIN);
        let verdict = lines.get(place).and_then(|line| line.strip_prefix(host.as_str())).unwrap_or("");
        let is_alive = verdict.starts_with(" is alive (");
        match (is_alive, verdict == " is unreachable") {
            (true, _) => short.alive += 1,
            (_, true) => short.unreachable += 1,
            _ => short.missing += 1,
        }
        unreachable += usize::from(verdict == " is unreachable");
        short.either += usize::from(!alive && !silent);
        if (is_alive && silent) || (!is_alive && alive) {
            short.wrong += 1;
            let ages: Vec<_> = ages().collect();
            short.add_error(format!("{host}{verdict}, replies after {ages:?}: {:?} {}", task.args, outcome.stderr));
        }
    }
    let code = if task.exit_status && unreachable > 0 { 1 } else { 0 };
    // Late replies, damaged ones and those from elsewhere make a warning.
    let warning = "xymonping: unreachable targets that did answer: ";
    let is_expected = outcome.stderr.lines().all(|line| unreachable > 0 && line.starts_with(warning));
    if outcome.code != Some(code) || !is_expected || lines.len() != task.hosts.len() {
        short.other_ends += 1;
        short.add_error(format!("exit {:?}, not {code}: {:?} {}", outcome.code, task.args, outcome.stderr));
    }
}
