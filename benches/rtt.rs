//! RTTs: what a program reports against the true RTT on the wire.
//!
//! The true RTT is the difference of two kernel stamps on the wire, of request and reply matched by
//! host, Identifier and Sequence Number; the error is the absolute difference from it. Hosts are
//! near (the far kernel replies at once, after a few microseconds) or distant (a responder replies
//! after 2 or 10 ms). Reported RTTs are what programs print: whole microseconds below 3 ms for both
//! xymonpings, three digits for fping. For 10 ms that is too coarse; there ours is taken from
//! `--debug=FILE`, which has tenths of microseconds (and takes a system call for each line).
//!
//! A near host's reply is made within the system call that sends the probe, so the call ends long
//! after the probe was sent: the worst case for a program that reads the clock around the call, and
//! one that no real network has.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;
mod capture;
mod figures;
#[path = "../tests/lab.rs"]
mod lab;

use std::fmt::Write;
use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

use bed::{Bed, List, NEAR, Namespace, Program, Report, Run, alive4, begin, number, run_here, scratch};
use capture::{Capture, Captured, Keep};
use figures::{answers, error, median_p99_max, rate, save_data, usec, verdicts};
use lab::{Behaviour, Lab};

/// Packets a second, and hosts. fping cannot do more than 65,535.
const RATES: [(Option<u32>, u32); 4] = [(Some(50), 300), (Some(1_000), 3_000), (Some(10_000), 30_000), (None, 60_000)];
/// Twice as many as most test machines have processors.
const BURNERS: usize = 4;

struct Bench {
    bed: Bed,
    lab: Lab,
    report: Report,
    rows: Vec<Vec<String>>,
    raw: String,
}

fn main() {
    begin();
    let lab = Lab::open().unwrap_or_else(|e| panic!("no lab: {e}"));
    let mut bench = Bench { bed: Bed::open(), lab, report: Report::new("rtt"), rows: Vec::new(), raw: String::new() };
    bench.report.add("Errors are in microseconds: |reported - true|.\n");

    for (pps, hosts) in RATES {
        for program in programs(pps) {
            bench.near(program, "near", pps, hosts);
        }
    }
    bench.table();

    bench.lab.others(Behaviour::after(Duration::from_millis(2)));
    // At full speed the responder falls behind, and above 3 ms the printed RTTs are too coarse.
    for (pps, hosts) in RATES.into_iter().filter(|(pps, _)| pps.is_some()) {
        for program in programs(pps) {
            bench.distant(program, "2 ms away", pps, hosts);
        }
    }
    bench.table();

    bench.lab.others(Behaviour::after(Duration::from_millis(10)));
    for (pps, hosts) in RATES {
        bench.debugged("10 ms away, --debug", pps, hosts);
    }
    bench.table();

    bench.report.add(&format!("With {BURNERS} processes that never sleep:\n"));
    let burners: Vec<_> = (0..BURNERS).map(|_| Burner::start()).collect();
    for (pps, hosts) in RATES {
        bench.near(ours(pps), "near, busy", pps, hosts);
    }
    for (pps, hosts) in RATES {
        bench.debugged("10 ms away, --debug, busy", pps, hosts);
    }
    drop(burners);
    bench.table();

    save_data("rtt", "hosts\tprogram\trequested_pps\ttrue_usec\treported_usec", &bench.raw);
    bench.report.save();
}

fn ours(pps: Option<u32>) -> Program {
    Program::ours(&[&pps.map_or("--max-pps=unlimited".to_owned(), |pps| format!("--max-pps={pps}"))])
}

fn programs(pps: Option<u32>) -> impl Iterator<Item = Program> {
    // Above 1,000,000 the original does not pace.
    let original = format!("--max-pps={}", pps.unwrap_or(2_000_000));
    let interval = pps.map_or("0".to_owned(), |pps| (1000.0 / f64::from(pps)).to_string());
    let fping = Program::fping(&["-e", "-i", &interval]);
    [Some(ours(pps)), Program::original(&[&original]), fping].into_iter().flatten()
}

impl Bench {
    fn near(&mut self, program: Program, hosts: &str, pps: Option<u32>, count: u32) {
        let (run, captured) = captured(self.bed.near(), NEAR, &program, count);
        self.row(&program, hosts, pps, &run, &captured, None);
    }

    fn distant(&mut self, program: Program, hosts: &str, pps: Option<u32>, count: u32) {
        let (run, captured) = self.in_lab(&program, count);
        self.row(&program, hosts, pps, &run, &captured, None);
    }

    fn debugged(&mut self, hosts: &str, pps: Option<u32>, count: u32) {
        let path = scratch("debug");
        let mut program = ours(pps);
        program.args.push(format!("--debug={}", path.display()));
        let (run, captured) = self.in_lab(&program, count);
        let debug = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let _ = fs::remove_file(&path);
        self.row(&program, hosts, pps, &run, &captured, Some(&debug));
    }

    fn in_lab(&self, program: &Program, count: u32) -> (Run, Captured) {
        let result = self.lab.inside(|| captured_here(lab::DEVICE, program, count));
        // The lab records every probe, which is not used here.
        self.lab.forget();
        result
    }

    /// Compares the RTTs that were printed, or in the debug log, with the true ones.
    fn row(
        &mut self,
        program: &Program,
        hosts: &str,
        pps: Option<u32>,
        run: &Run,
        truth: &Captured,
        debug: Option<&str>,
    ) {
        let pairs: Vec<(Duration, Duration)> = match debug {
            Some(debug) => {
                let truth = truth.rtts();
                answers(debug)
                    .into_iter()
                    .filter_map(|(probe, reported)| Some((*truth.get(&probe)?, reported)))
                    .collect()
            }
            None => {
                let reported = verdicts(&run.stdout);
                let pair = |(host, truth)| Some((truth, (*reported.get(&host)?)?));
                truth.rtts_by_host().into_iter().filter_map(pair).collect()
            }
        };
        let requested = pps.map_or("unlimited".to_owned(), |pps| pps.to_string());
        // A sample is enough.
        for (truth, reported) in pairs.iter().take(5000) {
            let (truth, reported) = (usec(*truth), usec(*reported));
            writeln!(self.raw, "{hosts}\t{}\t{requested}\t{truth:.2}\t{reported:.2}", program.name)
                .expect("writing to a string cannot fail");
        }
        self.report.raw(&format!("{hosts}, {requested} pps"), program, std::slice::from_ref(run));
        let errors = pairs.iter().map(|&(truth, reported)| error(reported, truth)).collect();
        let [median, p99, max] = median_p99_max(errors);
        let [true_median, ..] = median_p99_max(pairs.iter().map(|(truth, _)| usec(*truth)).collect());
        self.rows.push(vec![
            hosts.to_owned(),
            program.name.clone(),
            requested,
            number(rate(&truth.departures()), 0),
            pairs.len().to_string(),
            number(true_median, 1),
            number(median, 1),
            number(p99, 1),
            number(max, 1),
        ]);
    }

    fn table(&mut self) {
        let heads =
            ["hosts", "program", "requested pps", "pps", "replies", "true median", "error median", "p99", "max"];
        self.rows.insert(0, heads.map(str::to_owned).to_vec());
        self.report.table(&self.rows);
        self.rows.clear();
    }
}

fn captured(namespace: &Namespace, device: &str, program: &Program, count: u32) -> (Run, Captured) {
    namespace.inside(|| captured_here(device, program, count))
}

fn captured_here(device: &str, program: &Program, count: u32) -> (Run, Captured) {
    let list = List::new((0..count).map(alive4));
    let capture = Capture::start(device, Keep::Both);
    let run = run_here(program, Some(&list));
    (run, capture.finish())
}

/// A process that never sleeps.
struct Burner(Child);

impl Burner {
    fn start() -> Burner {
        Burner(Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("there is a shell"))
    }
}

impl Drop for Burner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
