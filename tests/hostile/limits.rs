//! Resource limits, each from the lowest value at which the kernel and the dynamic linker can start the program.

use std::path::Path;
use std::process::Command;

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{Behaviour, Finished, Lab};
use crate::{ALIVE, ends_well, fails, run, says_alive};

const NO_ROOM: &str = "out of memory before the list was read (raise ulimit -v, -d or -s)";

/// The program under limits in the words of prlimit(1): `as=65536`, or `cpu=1:2` for the soft and the hard one.
fn limited(program: &Path, limits: &[&str]) -> Command {
    let mut command = ordinary("prlimit");
    // Before the program begins, Rust's own panics hang where they find no memory for a backtrace.
    command.env_remove("RUST_BACKTRACE");
    command.args(limits.iter().map(|limit| format!("--{limit}"))).arg(program);
    command
}

/// Whether the program itself was reached.
fn has_begun(outcome: &Finished) -> bool {
    matches!(outcome.code, Some(0 | 3 | 4))
}

/// The dynamic linker gives up with 127. Rust's start-up wants a stack for signals and dies without. What either needs lies
/// anywhere in the band in which the program begins.
fn died_before_main(outcome: &Finished) -> bool {
    outcome.code == Some(127)
        || outcome.signal.is_some() && outcome.stderr.contains("failed to allocate an alternative stack")
}

/// It ends as it should, but without a word: there was no stack to say one.
fn is_speechless(outcome: &Finished) -> bool {
    outcome.code == Some(4) && outcome.stdout.is_empty() && outcome.stderr.is_empty()
}

/// The lowest limit, to `step`, at which the program begins with these arguments, which take room as well.
fn threshold(lab: &Lab, program: &Path, name: &str, step: u64, args: &[&str]) -> u64 {
    let begins = |steps: u64| {
        let limit = format!("{name}={}", steps * step);
        has_begun(&run(lab, limited(program, &[&limit]).args(args), ""))
    };
    let (mut dies, mut begun) = (0, 1);
    while !begins(begun) {
        (dies, begun) = (begun, begun * 2);
        assert!(begun * step <= 1 << 32, "it does not begin at all");
    }
    while begun - dies > 1 {
        let middle = dies + (begun - dies) / 2;
        if begins(middle) { begun = middle } else { dies = middle }
    }
    begun * step
}

#[test]
fn memory_from_the_first_byte_up() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        // The kernel begins the stack at a random place within two pages, so that what did once may not do the next time.
        for (name, step, luck) in [("as", 16 << 10, 1), ("data", 16 << 10, 1), ("stack", 4 << 10, 3)] {
            let least = threshold(lab, &program, name, step, &["--debug", "--summary", ALIVE]) + luck * step;
            let mut refused = 0;
            // Narrow steps first, where the program is, then wide ones, to where it has what it wants.
            let near = (0..40).map(|n| least + n * step);
            let far = (1..20).map(|n| least + n * (2 << 20));
            let kinds =
                [&[ALIVE, "fd00::1"][..], &["--size=1400", ALIVE], &["--debug", "--summary", ALIVE], &["--bogus"]];
            for (limit, args) in near.chain(far).zip(kinds.into_iter().cycle()) {
                let limit = format!("{name}={limit}");
                let outcome = run(lab, limited(&program, &[&limit]).args(args), "");
                if died_before_main(&outcome) || is_speechless(&outcome) {
                    continue;
                }
                ends_well(&outcome, &limit);
                if outcome.code == Some(4) {
                    fails(&outcome, NO_ROOM);
                    refused += 1;
                }
            }
            assert!(refused > 0, "{name}: the band in which it can say so was not met");
            let limit = format!("{name}={}", least + (48 << 20));
            says_alive(&run(lab, limited(&program, &[&limit]).arg(ALIVE), ""), &limit);
        }
    });
}

#[test]
fn memory_for_absurd_arguments() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        for argument in [ALIVE, "x"] {
            let args = vec![argument; 50_000];
            // A step more, for the same luck.
            let least = threshold(lab, &program, "as", 64 << 10, &args) + (64 << 10);
            for more in [0, 1, 8, 16, 24, 30, 31, 32, 33, 34, 35, 36, 40] {
                let limit = format!("as={}", least + (more << 20));
                let outcome = run(lab, limited(&program, &[&limit]).args(&args), "");
                // A megabyte more is enough for words.
                if died_before_main(&outcome) || more == 0 && is_speechless(&outcome) {
                    continue;
                }
                ends_well(&outcome, &limit);
            }
        }
    });
}

#[test]
fn descriptors_from_none_up() {
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

/// Limits on what the program does not need, or only where it is asked for it. (With no processor time at all it dies of
/// SIGKILL at the first tick of the clock that finds it.)
#[test]
fn all_other_limits_at_nothing() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        let others =
            ["fsize", "nproc", "memlock", "sigpending", "msgqueue", "core", "locks", "nice", "rtprio", "rttime", "rss"];
        for name in others {
            let limit = format!("{name}=0");
            let outcome = run(lab, limited(&program, &[&limit]).arg(ALIVE), "");
            says_alive(&outcome, name);
            assert_eq!(outcome.stderr, "", "{name}");
        }
        let all = others.map(|name| format!("{name}=0"));
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        says_alive(&run(lab, limited(&program, &all).arg(ALIVE), ""), "all of them");

        // A timer is a signal that is pending in advance.
        let outcome = run(lab, limited(&program, &["sigpending=0"]).args(["--deadline=10", ALIVE]), "");
        fails(&outcome, "setting the deadline: Resource temporarily unavailable");
        let log = place.directory("logs").join("log");
        let flag = format!("--debug={}", log.display());
        // A second probe leaves after the kernel has sent its signal.
        let outcome = run(lab, limited(&program, &["fsize=0"]).args([&flag, ALIVE, "10.0.0.2"]), "");
        says_alive(&outcome, "a log that takes nothing");
        assert_eq!((outcome.lines().len(), outcome.stderr.as_str()), (2, ""));
    });
}

/// `ulimit -t` sets the soft and the hard limit, and at the hard one the kernel sends SIGKILL.
#[test]
fn processor_time() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.others(Behaviour::silent());
        for limit in ["cpu=2", "cpu=1:2", "cpu=1:unlimited"] {
            // A line without end keeps the processor busy.
            let outcome = run(lab, limited(&program, &[limit]).arg("--file=/dev/zero"), "");
            fails(&outcome, "reading the list: stopped by SIGXCPU (nothing was probed)");
        }
        assert!(lab.seen().is_empty());
    });
}
