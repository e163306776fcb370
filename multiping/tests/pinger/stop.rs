//! A process that is stopped for seconds.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use multiping::{Config, Pinger, Schedule, What};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::MILLI;
use crate::quiet::{alive, play};

const CHILD: &str = "MULTIPING_TEST_STOPPED";

/// What is stopped: 50 targets, ten probes a second to each.
fn child() {
    let (pinger, mut events) = Pinger::queued(Config::new()).unwrap();
    for number in 0..50 {
        pinger.add(alive(number), Schedule::every(100 * MILLI)).unwrap();
    }
    let mut out = std::io::stderr();
    let (mut replies, mut silences, mut last) = (0, 0, 0);
    while replies < 2_000 {
        match events.next().unwrap().what {
            What::Reply(reply) if reply.rtt < Duration::from_secs(1) => replies += 1,
            What::Silence { .. } => silences += 1,
            other => panic!("{other:?}"),
        }
        if replies == 500 && last == 0 {
            last = replies;
            writeln!(out, "half a thousand").unwrap();
        }
    }
    writeln!(out, "silences {silences}, skipped {}", pinger.counts().skipped).unwrap();
}

/// Every probe was answered at once, as the kernel's stamps say, though the process read the
/// replies long after their timeout.
#[test]
fn a_process_that_is_stopped_for_three_seconds_loses_no_reply() {
    if env::var_os(CHILD).is_some() {
        return child();
    }
    play("a_process_that_is_stopped_for_three_seconds_loses_no_reply", || {
        let this = "stop::a_process_that_is_stopped_for_three_seconds_loses_no_reply";
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", this, "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "half a thousand");
        let pid = Pid::from_raw(process.id() as i32);
        kill(pid, Signal::SIGSTOP).unwrap();
        thread::sleep(Duration::from_secs(3));
        kill(pid, Signal::SIGCONT).unwrap();
        let last = lines.next().unwrap().unwrap();
        assert!(process.wait().unwrap().success());
        let skipped = last.strip_prefix("silences 0, skipped ").unwrap_or_else(|| panic!("{last}"));
        // Fifty targets, three seconds, ten a second, and one each is sent late.
        assert!(skipped.parse::<u64>().unwrap() >= 1_300, "{last}");
    });
}
