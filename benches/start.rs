//! From exec to exit with one host, 127.0.0.1: the time of a start.

mod bed;

use bed::{Bed, List, Program, Report, begin, median_of, number, ratio};

const TURNS: usize = 400;

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("start");
    let list = List::new(["127.0.0.1".parse().expect("an address")]);
    let args = ["--max-pps=unlimited"];
    let programs: Vec<Program> = [
        Program::fping(&["-Ae", "-i", "0"]),
        Program::original(&["--max-pps=2000000"]),
        Some(Program::ours(&args)),
        Program::ours_static(&args),
        // The time of an empty program.
        Some(Program::new("/bin/true", "/bin/true", &[])),
    ]
    .into_iter()
    .flatten()
    .collect();
    let borrowed: Vec<_> = programs.iter().map(|program| (program, Some(&list))).collect();
    bed.in_turn(10, &borrowed);
    let runs = bed.in_turn(TURNS, &borrowed);
    let mut rows =
        vec![["program", "time, us", "user + system, us", "times as long as the first"].map(str::to_owned).into()];
    for (program, runs_of) in programs.iter().zip(&runs) {
        report.raw("one host", program, runs_of);
        let failed = runs_of.iter().filter(|run| run.code != Some(0)).count();
        assert!(failed == 0, "{} failed {failed} times: {}", program.name, runs_of[0].stderr);
        rows.push(vec![
            program.name.clone(),
            number(median_of(runs_of, |run| run.wall.as_secs_f64() * 1e6), 0),
            number(median_of(runs_of, |run| (run.user + run.system).as_secs_f64() * 1e6), 0),
            number(ratio(runs_of, &runs[0]), 2),
        ]);
    }
    report.add(&format!("Medians of {TURNS} turns. Wanted of fping's time: 1.2, static 0.5.\n"));
    report.table(&rows);
    report.save();
}
