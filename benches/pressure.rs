//! The program is stopped in the middle of a run at full speed, while replies arrive.
//!
//! 200,000 live hosts reply after two seconds, so more than 100,000 replies are on their way when
//! the program is stopped (SIGSTOP) for three seconds. They do not fit into its receive buffer. No
//! live host may be unreachable because of that: the program must detect the loss, probe again,
//! slow down, and warn. Nor may an RTT be too short: if it was stopped while packets were sent, the
//! program does not know when.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;
mod figures;
#[path = "../tests/lab.rs"]
mod lab;

use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;

use bed::{Report, alive4, begin, number};
use figures::verdicts;
use lab::{Behaviour, Lab};

const HOSTS: u32 = 200_000;
const DISTANCE: Duration = Duration::from_secs(2);
/// How many probes are in flight when the program is stopped: more than its buffer holds replies.
const IN_FLIGHT: u64 = 120_000;
const STOPPED: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(120);
const RUNS: usize = 3;
/// RTTs are printed to a tenth of a millisecond.
const ROUNDING: Duration = Duration::from_micros(50);

fn main() {
    begin();
    let lab = Lab::open().unwrap_or_else(|e| panic!("no lab: {e}"));
    lab.others(Behaviour::after(DISTANCE));
    let list: String = (0..HOSTS).map(|n| format!("{}\n", alive4(n))).collect();
    let mut report = Report::new("pressure");
    let heads = [
        "stopped for s",
        "alive",
        "unreachable",
        "no line",
        "RTT too short",
        "probes",
        "lost by the lab",
        "wall s",
        "exit",
    ];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut messages = Vec::new();
    for stopped in [Duration::ZERO].into_iter().chain([STOPPED; RUNS]) {
        let mut command = lab.command();
        let mut running = lab.start(command.args(["--max-pps=unlimited", "--summary"]));
        running.feed(&list);
        running.close_stdin();
        if stopped > Duration::ZERO {
            while lab.counts().requests < IN_FLIGHT {
                thread::sleep(Duration::from_millis(10));
            }
            running.signal(Signal::SIGSTOP);
            thread::sleep(stopped);
            running.signal(Signal::SIGCONT);
        }
        let outcome = running.finish(LIMIT);
        let verdicts = verdicts(&outcome.stdout);
        let alive = verdicts.values().filter(|rtt| rtt.is_some()).count();
        let counts = lab.counts();
        lab.forget();
        rows.push(vec![
            number(stopped.as_secs_f64(), 0),
            alive.to_string(),
            (verdicts.len() - alive).to_string(),
            (HOSTS as usize - verdicts.len()).to_string(),
            verdicts.values().flatten().filter(|rtt| **rtt + ROUNDING < DISTANCE).count().to_string(),
            counts.requests.to_string(),
            counts.overflowed.to_string(),
            number(outcome.wall.as_secs_f64(), 2),
            outcome.code.map_or("signal".to_owned(), |code| code.to_string()),
        ]);
        messages.extend(outcome.stderr.lines().map(|line| format!("    {line}")));
    }
    report.add(&format!("{HOSTS} live hosts, {} s away, as fast as possible.\n", DISTANCE.as_secs()));
    report.table(&rows);
    report.add(&format!("Standard error of the runs:\n\n{}\n", messages.join("\n")));
    report.save();
}
