//! Statistics of 10,000 and 100,000 hosts that are probed once a second: is every probe accounted
//! for, and what does one cost? Beside batch mode, fping and oping, as far as they go.
//!
//! The period paces the probes, so there is no other limit. It takes about four minutes, most of
//! them waiting.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;

use std::env;

use bed::{Bed, List, Program, Report, Run, alive4, begin, number};

/// How many hosts there are, for how many seconds each is probed, and how often: the run of median
/// processor time is shown.
const LOADS: [(u32, u32, usize); 2] = [(10_000, 20, 3), (100_000, 60, 1)];

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("loops");
    let heads = ["hosts", "seconds", "program", "sent", "lost", "exit", "wall s", "CPU %", "us a probe", "peak MiB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for (hosts, seconds, turns) in LOADS {
        let list = List::new((0..hosts).map(alive4));
        let count = format!("--count={seconds}");
        let interval = format!("{}", 1000.0 / f64::from(hosts));
        let path = list.path().to_string_lossy().into_owned();
        let programs = [
            Some(Program::ours(&[&count, "--quiet", "--max-pps=unlimited"])),
            Some(Program::ours(&["-q", &format!("--max-pps={hosts}"), "--summary"]).named("xymonping, batch mode")),
            Program::fping(&["-q", "-c", &seconds.to_string(), "-p", "1000", "-i", &interval]),
            env::var_os("OPING").map(|oping| Program::new("oping", oping, &["-c", &seconds.to_string(), "-f", &path])),
        ];
        let programs: Vec<Program> = programs.into_iter().flatten().collect();
        let borrowed: Vec<_> = programs.iter().map(|program| (program, Some(&list))).collect();
        for (program, mut runs) in programs.iter().zip(bed.in_turn(turns, &borrowed)) {
            report.raw(&format!("{hosts} hosts, {seconds} s"), program, &runs);
            runs.sort_by_key(|run| run.user + run.system);
            let run = runs.swap_remove(turns / 2);
            let (sent, lost) = sent_and_lost(&run);
            let (wall, cpu) = (run.wall.as_secs_f64(), (run.user + run.system).as_secs_f64());
            let a_probe = if sent > 0 { number(cpu * 1e6 / sent as f64, 2) } else { "-".to_owned() };
            let head =
                [hosts.to_string(), seconds.to_string(), program.name.clone(), sent.to_string(), lost.to_string()];
            let exit = run.code.map_or("signal".to_owned(), |code| code.to_string());
            let peak = number(run.peak_rss as f64 / f64::from(1 << 20), 1);
            rows.push([&head[..], &[exit, number(wall, 2), number(100.0 * cpu / wall, 1), a_probe, peak]].concat());
        }
    }
    report.add(
        "Hosts that reply at once, one probe a second to each. (Batch mode: one probe to each.) With 10,000 hosts, of \
         three runs of each program in turn the one of median processor time.\n",
    );
    report.table(&rows);
    report.save();
}

/// How many probes a program says that it sent and lost.
fn sent_and_lost(run: &Run) -> (u64, u64) {
    let number = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok();
    // Ours: `10000 targets: 10000 alive; 200000 sent, 0 lost (0 %); ...`.
    let ours = run.stdout.lines().rfind(|line| line.contains(" targets: ")).and_then(|line| {
        let before = |word: &str| line.split(word).next()?.rsplit(' ').next().and_then(number);
        Some((before(" sent")?, before(" lost")?))
    });
    // In batch mode: `xymonping: probes sent: 10000, replies: 10000, ...`.
    let ours = ours.or_else(|| {
        let after = |word: &str| number(run.stderr.split_once(word)?.1.split(',').next()?);
        let sent = after("probes sent: ")?;
        Some((sent, sent.saturating_sub(after("replies: ")?)))
    });
    // fping: `10.0.0.1 : xmt/rcv/%loss = 20/20/0%, ...`; oping:
    // `20 packets transmitted, 20 received, ...`.
    let both = [run.stdout.as_str(), run.stderr.as_str()];
    let per_host = both.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let (sent, received) = match line.split_once("%loss = ") {
            Some((_, rest)) => (rest.split('/').next()?, rest.split('/').nth(1)?),
            None => line
                .split_once(" packets transmitted, ")
                .map(|(sent, rest)| (sent, rest.split(' ').next().unwrap_or("")))?,
        };
        Some((number(sent)?, number(received)?))
    });
    ours.unwrap_or_else(|| {
        per_host.fold((0, 0), |(sent, lost), (one, received)| (sent + one, lost + one.saturating_sub(received)))
    })
}
