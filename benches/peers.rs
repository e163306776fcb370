//! This program, Xymon's own xymonping and fping on the same hosts.
//!
//! The everyday list has 1,500 hosts, a tenth of them silent, the others 10 ms away, at Xymon's
//! defaults (50 packets a second, 5 s, 2 retries) and at 1,000 packets a second; fping has the same
//! interval, but its own shorter timeout and retries, so its wall time is not comparable. The long
//! list has 70,000 live hosts, probed as fast as each program can, as root. It takes about three
//! minutes, most of them waiting.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;
mod figures;
#[path = "../tests/lab.rs"]
mod lab;

use std::fmt::Write;
use std::time::Duration;

use bed::{Bed, List, Program, Report, Run, alive4, begin, number, run_here, silent4};
use figures::{median_p99_max, msec, save_data, verdicts};
use lab::{Behaviour, Lab};

const HOSTS: u32 = 1500;
const DISTANCE: Duration = Duration::from_millis(10);
const LONG: u32 = 70_000;

fn main() {
    begin();
    let mut report = Report::new("peers");
    let mut raw = String::new();
    everyday(&mut report, &mut raw);
    long(&mut report);
    save_data("peers", "pps\tprogram\trtt_ms", &raw);
    report.save();
}

fn everyday(report: &mut Report, raw: &mut String) {
    let lab = Lab::open().unwrap_or_else(|e| panic!("no lab: {e}"));
    lab.others(Behaviour::after(DISTANCE));
    lab.host("10.128.0.0/9", Behaviour::silent());
    let list = List::new((0..HOSTS).map(|n| if n % 10 == 9 { silent4(n) } else { alive4(n) }));
    let heads = ["pps", "program", "wall s", "alive", "unreachable", "RTT median ms", "p99 ms", "max ms", "CPU ms"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for pps in [50, 1000] {
        let rate = format!("--max-pps={pps}");
        let interval = (1000 / pps).to_string();
        let programs =
            [Some(Program::ours(&[&rate])), Program::original(&[&rate]), Program::fping(&["-e", "-i", &interval])];
        for program in programs.into_iter().flatten() {
            let run = lab.inside(|| run_here(&program, Some(&list)));
            let rtts: Vec<f64> = verdicts(&run.stdout).into_values().flatten().map(msec).collect();
            for rtt in &rtts {
                writeln!(raw, "{pps}\t{}\t{rtt:.3}", program.name).expect("writing to a string cannot fail");
            }
            let figures = median_p99_max(rtts).map(|figure| number(figure, 1));
            let [wall, cpu] = [run.wall, run.user + run.system].map(|time| time.as_secs_f64());
            let head = [pps.to_string(), program.name.clone(), number(wall, 1)];
            let verdicts = [run.alive().to_string(), run.unreachable().to_string()];
            rows.push([&head[..], &verdicts, &figures, &[number(cpu * 1e3, 0)]].concat());
            report.raw(&format!("{HOSTS} hosts, {pps} pps"), &program, &[run]);
        }
    }
    report.add(&format!("{HOSTS} hosts, every tenth silent, the others {} ms away.\n", DISTANCE.as_millis()));
    report.table(&rows);
}

fn long(report: &mut Report) {
    let bed = Bed::open();
    let list = List::new((0..LONG).map(alive4));
    let programs = [
        Some(Program::ours(&["--max-pps=unlimited"])),
        // Above 1,000,000 it does not pace.
        Program::original(&["--max-pps=2000000"]),
        Program::fping(&["-e", "-i", "0"]),
    ];
    let heads = ["program", "alive", "unreachable", "no line", "exit", "wall s", "CPU s", "peak MiB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for program in programs.into_iter().flatten() {
        let run = bed.run(&program, Some(&list));
        rows.push(row(&program, &run));
        report.raw(&format!("{LONG} hosts"), &program, &[run]);
    }
    report.add(&format!("{LONG} live hosts, as fast as possible.\n"));
    report.table(&rows);
}

fn row(program: &Program, run: &Run) -> Vec<String> {
    vec![
        program.name.clone(),
        run.alive().to_string(),
        run.unreachable().to_string(),
        (LONG as usize).saturating_sub(run.alive() + run.unreachable()).to_string(),
        run.code.map_or("signal".to_owned(), |code| code.to_string()),
        number(run.wall.as_secs_f64(), 3),
        number((run.user + run.system).as_secs_f64(), 2),
        number(run.peak_rss as f64 / f64::from(1 << 20), 1),
    ]
}
