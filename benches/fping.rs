//! This program as fping, and fping itself, on the same hosts with the same options.
//!
//! All hosts are alive. The shorter lists are probed at a fixed interval (`-i`), to see whether it
//! is kept and what that costs; the longer ones as fast as each program can, one probe a host
//! (`-c 1`). It takes about a minute.

mod bed;

use bed::{Bed, List, Program, Report, Run, alive4, begin, number};

/// How many hosts, and the interval in milliseconds.
const LISTS: [(u32, &str); 4] = [(1_500, "1"), (10_000, "0.1"), (60_000, "0"), (400_000, "0")];

fn main() {
    begin();
    let mut report = Report::new("fping");
    let bed = Bed::open();
    let heads = ["hosts", "-i", "program", "answered", "exit", "wall s", "packets/s", "CPU s", "peak MiB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (hosts, interval) in LISTS {
        let list = List::new((0..hosts).map(alive4));
        let args = ["-c", "1", "-i", interval];
        let ours = Program::ours(&[&["--as=fping"][..], &args].concat()).named("xymonping as fping");
        for program in [Some(ours), Program::fping(&args)].into_iter().flatten() {
            let run = bed.run(&program, Some(&list));
            rows.push(row(hosts, interval, &program, &run));
            report.raw(&format!("{hosts} hosts"), &program, &[run]);
        }
    }
    report.add("Live hosts, one probe each (`-c 1`).\n");
    report.table(&rows);
    report.save();
}

fn row(hosts: u32, interval: &str, program: &Program, run: &Run) -> Vec<String> {
    let answered = run.stdout.lines().filter(|line| line.contains(" bytes, ")).count();
    let wall = run.wall.as_secs_f64();
    vec![
        hosts.to_string(),
        interval.to_owned(),
        program.name.clone(),
        answered.to_string(),
        run.code.map_or("signal".to_owned(), |code| code.to_string()),
        number(wall, 3),
        number(answered as f64 / wall, 0),
        number((run.user + run.system).as_secs_f64(), 2),
        number(run.peak_rss as f64 / f64::from(1 << 20), 1),
    ]
}
