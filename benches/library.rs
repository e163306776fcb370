//! The library `multiping` beside the program and the bare system calls: a list (`ping`), the same
//! targets added one by one (`Pinger`), and 10,000 targets that are probed once a second.
//!
//! With `SURGE=/path` the crate surge-ping is measured beside it: benches/surge says how to build
//! it.

mod bed;

use std::env;
use std::io::{self, BufWriter, Write};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use multiping::{Address, Config, Options, Pinger, Rate, Schedule, Verdict, What, ping};

use bed::{Bed, List, Program, Report, Run, alive4, begin, median_of, number, ratio};

const MANY: u32 = 100_000;
const TURNS: usize = 7;
const STREAM: [u32; 2] = [10_000, 100_000];
const SECONDS: u64 = 10;
const STREAM_TURNS: usize = 3;

fn main() {
    let args: Vec<String> = env::args().skip(1).collect();
    let number = |place: usize| args.get(place).and_then(|text| text.parse().ok()).unwrap_or(0);
    match args.first().map(String::as_str) {
        Some("--role=ping") => return list(),
        Some("--role=pinger") => return one_by_one(),
        Some("--role=stream") => return stream(number(1), number(2).into()),
        _ => {}
    }
    begin();
    let bed = Bed::open();
    let mut report = Report::new("library");
    lists(&bed, &mut report);
    streams(&bed, &mut report);
    report.save();
}

/// The addresses on standard input.
fn addresses() -> Vec<Address> {
    let parse = |line: Result<String, io::Error>| line.ok()?.parse().ok();
    io::stdin().lines().map_while(parse).collect()
}

/// The role of a program that probes a list by the first height.
fn list() {
    let options = Options::new().rate(Rate::UNLIMITED).retries(0);
    let results = ping(addresses(), &options).expect("root may ping");
    let mut out = BufWriter::new(io::stdout().lock());
    for outcome in results.iter() {
        let _ = match outcome.verdict {
            Verdict::Alive { rtt } => writeln!(out, "{} is alive ({} usec)", outcome.address, rtt.mean.as_micros()),
            _ => writeln!(out, "{} is unreachable", outcome.address),
        };
    }
}

/// The role of a program that adds the targets of a list one by one.
fn one_by_one() {
    let mut out = BufWriter::new(io::stdout());
    let pinger = Pinger::new(Config::new(), move |event| {
        if let What::Reply(reply) = event.what {
            let _ = writeln!(out, "{} is alive ({} usec)", event.address, reply.rtt.as_micros());
        }
    })
    .expect("there can be a thread");
    for address in addresses() {
        pinger.add(address, Schedule::once().timeout(Duration::from_secs(5))).expect("root may ping");
    }
    pinger.drain().expect("the thread ends well");
}

/// The role of a program that probes targets once a second. It prints how many probes there were,
/// how many were answered, and two quantiles of their RTTs in microseconds.
fn stream(targets: u32, seconds: u64) {
    let rtts = Arc::new(Mutex::new(Vec::new()));
    let record = rtts.clone();
    let pinger = Pinger::new(Config::new(), move |event| {
        if let (What::Reply(reply), Ok(mut rtts)) = (event.what, record.lock()) {
            rtts.push(reply.rtt);
        }
    })
    .expect("there can be a thread");
    for target in 0..targets {
        pinger.add(Ipv4Addr::from_bits(0x0a00_0000 + target), Schedule::default()).expect("root may ping");
    }
    thread::sleep(Duration::from_secs(seconds));
    let counts = pinger.drain().expect("the thread ends well");
    let mut rtts = rtts.lock().map(|mut rtts| std::mem::take(&mut *rtts)).unwrap_or_default();
    rtts.sort_unstable();
    let quantile = |share: f64| rtts.get((rtts.len() as f64 * share) as usize).copied().unwrap_or_default();
    let micros = |share| quantile(share).as_nanos() as f64 / 1e3;
    let _ = writeln!(io::stdout(), "{} {} {} {}", counts.sent, counts.replies, micros(0.5), micros(0.99));
}

fn this(name: &str, args: &[&str]) -> Program {
    Program::new(name, env::current_exe().expect("a benchmark knows its own binary"), args)
}

fn lists(bed: &Bed, report: &mut Report) {
    let list = List::new((0..MANY).map(alive4));
    let programs = [
        (Program::ours(&["--max-pps=unlimited", "--retries=0"]), Some(&list)),
        (this("ping", &["--role=ping"]), Some(&list)),
        (this("Pinger", &["--role=pinger"]), Some(&list)),
        (Program::bare(false, list.len, false), None),
    ];
    let borrowed: Vec<_> = programs.iter().map(|(program, list)| (program, *list)).collect();
    let runs = bed.in_turn(TURNS, &borrowed);
    let heads = ["", "lost, worst run", "time, s", "user, s", "system, s", "speed, of the program's", "peak, MB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for ((program, _), times) in programs.iter().zip(&runs) {
        report.raw("list", program, times);
        let alive = |run: &Run| if program.is_bare() && run.code == Some(0) { list.len } else { run.alive() };
        rows.push(vec![
            program.name.clone(),
            times.iter().map(|run| list.len - alive(run)).max().unwrap_or(0).to_string(),
            number(median_of(times, |run| run.wall.as_secs_f64()), 3),
            number(median_of(times, |run| run.user.as_secs_f64()), 3),
            number(median_of(times, |run| run.system.as_secs_f64()), 3),
            number(ratio(&runs[0], times), 3),
            number(median_of(times, |run| run.peak_rss as f64 / 1e6), 1),
        ]);
    }
    report.add(&format!("### {MANY} IPv4 hosts that reply, no wait between packets\n"));
    report.add(&format!("Medians of {TURNS} turns. Wanted of the program's speed: 0.9 for `ping`.\n"));
    report.table(&rows);
}

fn streams(bed: &Bed, report: &mut Report) {
    for targets in STREAM {
        let list = List::new((0..targets).map(alive4));
        let (count, seconds) = (targets.to_string(), SECONDS.to_string());
        let pace = format!("--max-pps={targets}");
        let mut programs = vec![
            (Program::ours(&[&pace, "--retries=0"]), Some(&list)),
            (this("Pinger", &["--role=stream", &count, &seconds]), None),
        ];
        programs.extend(Program::surge(&[&count, &seconds]).map(|program| (program, None)));
        let borrowed: Vec<_> = programs.iter().map(|(program, list)| (program, *list)).collect();
        let runs = bed.in_turn(STREAM_TURNS, &borrowed);
        let heads =
            ["", "probes", "not answered", "RTT p50, us", "p99, us", "CPU a probe, us", "of the program's", "peak, MB"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for ((program, list), times) in programs.iter().zip(&runs) {
            report.raw(&format!("stream of {targets}"), program, times);
            let figures = |run: &Run| -> [f64; 4] {
                let told = run.stdout.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<f64>>();
                match list {
                    Some(list) => [list.len as f64, run.alive() as f64, f64::NAN, f64::NAN],
                    None => {
                        told.try_into().unwrap_or_else(|_| panic!("{}: {}{}", program.name, run.stdout, run.stderr))
                    }
                }
            };
            let cpu = |run: &Run| (run.user + run.system).as_secs_f64() * 1e6 / figures(run)[0];
            let shown = |value: f64| if value.is_nan() { String::new() } else { number(value, 1) };
            rows.push(vec![
                program.name.clone(),
                number(median_of(times, |run| figures(run)[0]), 0),
                number(median_of(times, |run| figures(run)[0] - figures(run)[1]), 0),
                shown(median_of(times, |run| figures(run)[2])),
                shown(median_of(times, |run| figures(run)[3])),
                number(median_of(times, cpu), 2),
                number(
                    median_of(times, cpu)
                        / median_of(&runs[0], |run| (run.user + run.system).as_secs_f64() * 1e6 / f64::from(targets)),
                    2,
                ),
                number(median_of(times, |run| run.peak_rss as f64 / 1e6), 1),
            ]);
        }
        report.add(&format!("### {targets} IPv4 hosts that reply, once a second for {SECONDS} s; the program once\n"));
        report.add(&format!("Medians of {STREAM_TURNS} turns. Wanted of the program's CPU: 1.2 at 10,000 hosts.\n"));
        report.table(&rows);
    }
}
