//! Peak resident memory, and how much of it each target takes.

mod bed;

use std::net::IpAddr;

use bed::{Bed, List, Program, Report, alive4, alive6, begin, median_of, number};

const MANY: u32 = 1_000_000;
/// The other programs have 16-bit sequence numbers.
const PEERS: u32 = 60_000;
const FEW: u32 = 1_000;
const TURNS: usize = 3;

/// Makes a list of this many hosts.
type Make = fn(u32) -> Vec<IpAddr>;

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("memory");
    let lists: [(&str, Make); 4] = [
        ("IPv4, in order", |count| (0..count).map(alive4).collect()),
        ("IPv4, in disorder", |count| scattered(count).map(alive4).collect()),
        ("IPv4, every address on two lines", |count| (0..count).chain(0..count).map(alive4).collect()),
        ("IPv6, in order", |count| (0..count).map(alive6).collect()),
    ];
    let ours = Program::ours(&["--max-pps=unlimited"]);
    let mut rows = vec![heads()];
    for (list, make) in lists {
        rows.push(measure(&bed, &mut report, &ours, list, make, MANY));
    }
    let original = Program::original(&["--max-pps=2000000"]);
    let fping = Program::fping(&["-Ae", "-i", "0"]);
    for program in [Some(ours), original, fping].into_iter().flatten() {
        rows.push(measure(&bed, &mut report, &program, lists[0].0, lists[0].1, PEERS));
    }
    report.add(&format!(
        "Medians of {TURNS} runs. A target's share is the difference between the peaks with many targets and with {FEW}, \
         by the difference in targets. Wanted: 24 bytes with IPv4, 40 with IPv6.\n"
    ));
    report.table(&rows);
    report.save();
}

fn heads() -> Vec<String> {
    let few = format!("peak with {FEW}, KiB");
    ["program", "list", "targets", "peak, KiB", &few, "bytes a target"].map(str::to_owned).into()
}

fn measure(bed: &Bed, report: &mut Report, program: &Program, name: &str, make: Make, count: u32) -> Vec<String> {
    let [many, few] = [count, FEW].map(|count| {
        let list = List::new(make(count));
        let runs = bed.in_turn(TURNS, &[(program, Some(&list))]).remove(0);
        for run in &runs {
            assert!(run.alive() == list.len, "{} lost {}: {}", program.name, list.len - run.alive(), run.stderr);
        }
        report.raw(&format!("{name}, {count}"), program, &runs);
        median_of(&runs, |run| run.peak_rss as f64)
    });
    vec![
        program.name.clone(),
        name.to_owned(),
        count.to_string(),
        number(many / 1024.0, 0),
        number(few / 1024.0, 0),
        number((many - few) / f64::from(count - FEW), 1),
    ]
}

/// The numbers below `count`, each once, out of order.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    // A step that has no factor in common with either count visits every number.
    const STEP: u64 = 7_368_787;
    (0..u64::from(count)).map(move |n| (n * STEP % u64::from(count)) as u32)
}
