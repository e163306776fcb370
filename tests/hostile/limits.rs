//! Resource limits, each from the lowest value at which the program can be started.

use std::path::Path;
use std::process::Command;

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{Behaviour, Finished, Lab, hosts, list};
use crate::{ALIVE, ends_well, fails, is_alive, run};

const OUT_OF_MEMORY: &str = "out of memory before the list was read (raise ulimit -v, -d or -s)";

/// The program under limits as prlimit(1) takes them: `as=65536`, or `cpu=1:2` for the soft and the
/// hard one.
fn limited(program: &Path, limits: &[&str]) -> Command {
    let mut command = ordinary("prlimit");
    // Before `main`, a panic of Rust's start-up code hangs without memory for a backtrace.
    command.env_remove("RUST_BACKTRACE");
    command.args(limits.iter().map(|limit| format!("--{limit}"))).arg(program);
    command
}

/// Whether `main` was reached.
fn has_begun(outcome: &Finished) -> bool {
    matches!(outcome.code, Some(0 | 3 | 4))
}

/// Whether the dynamic linker exited with 127, or Rust's start-up code had no memory for a signal
/// stack. Close to the threshold both occur at random.
fn died_before_main(outcome: &Finished) -> bool {
    outcome.code == Some(127)
        || outcome.signal.is_some() && outcome.stderr.contains("failed to allocate an alternative stack")
}

/// Whether it failed without a message, because the stack could not grow.
fn is_silent(outcome: &Finished) -> bool {
    outcome.code == Some(4) && outcome.stdout.is_empty() && outcome.stderr.is_empty()
}

/// The lowest limit, to `step`, at which `main` is reached with these arguments, which take memory
/// too.
fn threshold(lab: &Lab, program: &Path, name: &str, step: u64, args: &[&str]) -> u64 {
    let begins = |steps: u64| {
        let limit = format!("{name}={}", steps * step);
        has_begun(&run(lab, limited(program, &[&limit]).args(args), ""))
    };
    let (mut dies, mut begun) = (0, 1);
    while !begins(begun) {
        (dies, begun) = (begun, begun * 2);
        assert!(begun * step <= 1 << 32, "main is never reached");
    }
    while begun - dies > 1 {
        let middle = dies + (begun - dies) / 2;
        if begins(middle) { begun = middle } else { dies = middle }
    }
    begun * step
}

#[test]
fn limits_on_memory_end_in_an_exit_code() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        // The kernel places the stack at random within two pages, so what was enough once may not
        // be again.
        for (name, step, margin) in [("as", 16 << 10, 1), ("data", 16 << 10, 1), ("stack", 4 << 10, 3)] {
            let least = threshold(lab, &program, name, step, &["--debug", "--summary", ALIVE]) + margin * step;
            let mut refused = 0;
            // Small steps first, near the threshold, then large ones up to what the program needs.
            let near = (0..40).map(|n| least + n * step);
            let far = (1..20).map(|n| least + n * (2 << 20));
            let commands =
                [&[ALIVE, "fd00::1"][..], &["--size=1400", ALIVE], &["--debug", "--summary", ALIVE], &["--bogus"]];
            for (limit, args) in near.chain(far).zip(commands.into_iter().cycle()) {
                let limit = format!("{name}={limit}");
                let outcome = run(lab, limited(&program, &[&limit]).args(args), "");
                if died_before_main(&outcome) || is_silent(&outcome) {
                    continue;
                }
                ends_well(&outcome, &limit);
                if outcome.code == Some(4) {
                    fails(&outcome, OUT_OF_MEMORY);
                    refused += 1;
                }
            }
            assert!(refused > 0, "{name}: no limit ended in the message");
            let limit = format!("{name}={}", least + (48 << 20));
            is_alive(&run(lab, limited(&program, &[&limit]).arg(ALIVE), ""), &limit);
        }
    });
}

#[test]
fn limits_on_memory_with_50_000_arguments_end_in_an_exit_code() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        for argument in [ALIVE, "x"] {
            let args = vec![argument; 50_000];
            // A step more, as a margin.
            let least = threshold(lab, &program, "as", 64 << 10, &args) + (64 << 10);
            for more in [0, 1, 8, 16, 24, 30, 31, 32, 33, 34, 35, 36, 40] {
                let limit = format!("as={}", least + (more << 20));
                let outcome = run(lab, limited(&program, &[&limit]).args(&args), "");
                // A megabyte more is enough for the message.
                if died_before_main(&outcome) || more == 0 && is_silent(&outcome) {
                    continue;
                }
                ends_well(&outcome, &limit);
            }
        }
    });
}

#[test]
fn where_memory_is_short_there_are_fewer_threads() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::None);
        let all = hosts(1, 800);
        let mut counts = Vec::new();
        for (limit, json) in (40..800).step_by(19).zip([false, true].into_iter().cycle()) {
            // Root's, who has more packets a second.
            let mut command = Command::new("prlimit");
            command.arg(format!("--as={}", limit << 20)).arg(&program);
            command.args(["--threads=8", "--max-pps=80000", "--timeout=0.3"]);
            let outcome = run(lab, command.args(json.then_some("--json")), list(&all));
            if outcome.code == Some(4) {
                fails(&outcome, OUT_OF_MEMORY);
                continue;
            }
            let lines = if json { all.len() + 2 } else { all.len() };
            assert_eq!((outcome.code, outcome.lines().len()), (Some(0), lines), "{limit} MiB: {outcome:?}");
            let (before, after) =
                ("xymonping: --threads: ", " of 8 can be started: Cannot allocate memory (see: ulimit -u -v)\n");
            counts.push(match outcome.stderr.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) {
                Some(started) => started.parse().unwrap_or_else(|_| panic!("{outcome:?}")),
                None => {
                    assert_eq!(outcome.stderr, "", "{limit} MiB");
                    8
                }
            });
        }
        assert!(counts.is_sorted() && counts.first() == Some(&1) && counts.last() == Some(&8), "{counts:?}");
    });
}

#[test]
fn limits_on_descriptors_end_in_an_exit_code() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        let least = threshold(lab, &program, "nofile", 1, &["--version"]);
        let mut enough = false;
        for limit in least..least + 10 {
            let limit = format!("nofile={limit}");
            let outcome = run(lab, limited(&program, &[&limit]).args([ALIVE, "fd00::1"]), "");
            ends_well(&outcome, &limit);
            enough |= outcome.code == Some(0);
            assert_eq!(enough, outcome.code == Some(0), "{limit}: {outcome:?}");
        }
        assert!(enough);
    });
}

/// Limits on what the program does not need, or only for some options. (Without any processor time
/// the kernel kills it by SIGKILL.)
#[test]
fn all_other_limits_may_be_0() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        let others =
            ["fsize", "nproc", "memlock", "sigpending", "msgqueue", "core", "locks", "nice", "rtprio", "rttime", "rss"];
        for name in others {
            let limit = format!("{name}=0");
            let outcome = run(lab, limited(&program, &[&limit]).arg(ALIVE), "");
            is_alive(&outcome, name);
            assert_eq!(outcome.stderr, "", "{name}");
        }
        let all = others.map(|name| format!("{name}=0"));
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        is_alive(&run(lab, limited(&program, &all).arg(ALIVE), ""), "all of them");

        // A timer reserves a pending signal.
        let outcome = run(lab, limited(&program, &["sigpending=0"]).args(["--deadline=10", ALIVE]), "");
        fails(&outcome, "setting the deadline: Resource temporarily unavailable");
        let log = place.directory("logs").join("log");
        let flag = format!("--debug={}", log.display());
        // The second probe is sent after the kernel has sent SIGXFSZ.
        let outcome = run(lab, limited(&program, &["fsize=0"]).args([&flag, ALIVE, "10.0.0.2"]), "");
        is_alive(&outcome, "a log that cannot be written");
        assert_eq!((outcome.lines().len(), outcome.stderr.as_str()), (2, ""));
    });
}

/// `ulimit -t` sets the soft and the hard limit, and at the hard one the kernel sends SIGKILL.
#[test]
fn a_limit_on_processor_time_ends_in_an_exit_code() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.others(Behaviour::silent());
        for limit in ["cpu=2", "cpu=1:2", "cpu=1:unlimited"] {
            // A line without end uses processor time.
            let outcome = run(lab, limited(&program, &[limit]).arg("--file=/dev/zero"), "");
            fails(&outcome, "reading the list: stopped by SIGXCPU (nothing was probed)");
        }
        assert!(lab.seen().is_empty());
    });
}
