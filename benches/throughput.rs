//! How fast a list of live hosts is probed, from exec to exit, list and lines included.
//!
//! Compared with the bare system calls, which read no list and write no lines; with fping and the
//! original on 60,000 hosts, about the most that both can do; and IPv4 with IPv6 and with a list
//! that alternates.

mod bed;

use bed::{Bed, List, Program, Report, Run, alive4, alive6, begin, median_of, number, ratio};

/// Compared with the bare loop, and how often.
const MANY: u32 = 1_000_000;
const LONG_TURNS: usize = 3;
/// Compared by family, and how often.
const SOME: u32 = 200_000;
const TURNS: usize = 5;
/// Compared with the other programs, which have 16-bit sequence numbers, and how often.
const FEW: u32 = 60_000;
const SHORT_TURNS: usize = 9;

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("throughput");
    against_the_bare_loop(&bed, &mut report);
    against_the_peers(&bed, &mut report);
    by_family(&bed, &mut report);
    report.save();
}

fn against_the_bare_loop(bed: &Bed, report: &mut Report) {
    let list = List::new((0..MANY).map(alive4));
    let args = ["--max-pps=unlimited", "--retries=0"];
    let ours = [Some(Program::ours(&args)), Program::ours_static(&args)].into_iter().flatten();
    let bare = [false, true].map(|like_ours| Program::bare(false, list.len, like_ours));
    let programs: Vec<(Program, Option<&List>)> =
        ours.map(|program| (program, Some(&list))).chain(bare.map(|program| (program, None))).collect();
    let runs = in_turn(bed, report, "1M", LONG_TURNS, &programs);
    let [bare, like_ours] = [runs.len() - 2, runs.len() - 1];
    let mut rows = vec![heads(&["speed, of the bare loop's", "of the bare loop's with our socket options"])];
    for ((program, _), times) in programs.iter().zip(&runs) {
        let mut row = row(program, list.len, times);
        row.push(number(ratio(&runs[bare], times), 3));
        row.push(number(ratio(&runs[like_ours], times), 3));
        rows.push(row);
    }
    report.add(&format!("### {MANY} IPv4 hosts that reply, `{}`\n", args.join(" ")));
    report.add(&format!("Medians of {LONG_TURNS} turns. Wanted of the bare loop's speed: 0.92, static 0.88.\n"));
    report.table(&rows);
    let share = median_of(&runs[0], |run| run.user.as_secs_f64() / run.system.as_secs_f64());
    report.add(&format!("User time is {} % of system time (wanted: under 10 %).\n", number(100.0 * share, 1)));
}

fn against_the_peers(bed: &Bed, report: &mut Report) {
    let list = List::new((0..FEW).map(alive4));
    // Above 1,000,000 the original does not wait between packets.
    let original = Program::original(&["--max-pps=2000000"]);
    let fping = Program::fping(&["-Ae", "-i", "0"]);
    let static_build = Program::ours_static(&["--max-pps=unlimited"]);
    let ours = Program::ours(&["--max-pps=unlimited"]);
    let mut programs: Vec<(Program, Option<&List>)> = [Some(ours), static_build, original, fping]
        .into_iter()
        .flatten()
        .map(|program| (program, Some(&list)))
        .collect();
    programs.push((Program::bare(false, list.len, false), None));
    let runs = in_turn(bed, report, "60k", SHORT_TURNS, &programs);
    let mut rows = vec![heads(&["times as long as ours", "as the bare loop"])];
    for ((program, _), times) in programs.iter().zip(&runs) {
        let mut row = row(program, list.len, times);
        row.push(number(ratio(times, &runs[0]), 2));
        row.push(number(ratio(times, &runs[runs.len() - 1]), 2));
        rows.push(row);
    }
    report.add(&format!("### {FEW} IPv4 hosts that reply, no wait between packets\n"));
    report.add(&format!("Medians of {SHORT_TURNS} turns. Wanted: fping takes 1.6 times as long, the original 1.3.\n"));
    report.table(&rows);
}

fn by_family(bed: &Bed, report: &mut Report) {
    let four = List::new((0..SOME).map(alive4));
    let six = List::new((0..SOME).map(alive6));
    let both = List::new((0..SOME).map(|n| if n % 2 == 0 { alive4(n / 2) } else { alive6(n / 2) }));
    let ours = Program::ours(&["--max-pps=unlimited", "--retries=0"]);
    let programs = [
        (ours.clone().named("IPv4"), Some(&four)),
        (ours.clone().named("IPv6"), Some(&six)),
        (ours.named("alternating"), Some(&both)),
        (Program::bare(false, four.len, false).named("IPv4, bare loop"), None),
        (Program::bare(true, six.len, false).named("IPv6, bare loop"), None),
    ];
    let runs = in_turn(bed, report, "families", TURNS, &programs);
    let [ours4, ours6, _, bare4, bare6] = &runs[..] else { panic!("as many runs as programs") };
    let mean: Vec<Run> =
        ours4.iter().zip(ours6).map(|(a, b)| Run { wall: (a.wall + b.wall) / 2, ..a.clone() }).collect();
    let mut rows = vec![heads(&["speed, of the maximum"])];
    for (((program, _), times), best) in programs.iter().zip(&runs).zip([bare4, bare6, &mean, bare4, bare6]) {
        let mut row = row(program, four.len, times);
        row.push(number(ratio(best, times), 3));
        rows.push(row);
    }
    report.add(&format!("### {SOME} hosts that reply, by family\n"));
    report.add(&format!(
        "Medians of {TURNS} turns. The maximum is the bare loop of that family (wanted: 0.92); for the alternating \
         list, the mean of ours of both families (wanted: 0.90).\n"
    ));
    report.table(&rows);
}

fn in_turn(
    bed: &Bed,
    report: &mut Report,
    what: &str,
    turns: usize,
    programs: &[(Program, Option<&List>)],
) -> Vec<Vec<Run>> {
    let borrowed: Vec<_> = programs.iter().map(|(program, list)| (program, *list)).collect();
    let runs = bed.in_turn(turns, &borrowed);
    for ((program, _), runs) in programs.iter().zip(&runs) {
        report.raw(what, program, runs);
    }
    runs
}

fn heads(more: &[&str]) -> Vec<String> {
    let heads = ["program", "lost, worst run", "time, s", "user, s", "system, s", "hosts per s"];
    heads.iter().chain(more).map(|&head| head.to_owned()).collect()
}

fn row(program: &Program, hosts: usize, runs: &[Run]) -> Vec<String> {
    // The bare loop fails if it did not receive all replies.
    let alive = |run: &Run| if program.is_bare() && run.code == Some(0) { hosts } else { run.alive() };
    let lost = runs.iter().map(|run| hosts - alive(run)).max().unwrap_or(hosts);
    vec![
        program.name.clone(),
        lost.to_string(),
        number(median_of(runs, |run| run.wall.as_secs_f64()), 3),
        number(median_of(runs, |run| run.user.as_secs_f64()), 3),
        number(median_of(runs, |run| run.system.as_secs_f64()), 3),
        number(median_of(runs, |run| hosts as f64 / run.wall.as_secs_f64()), 0),
    ]
}
