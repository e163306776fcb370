//! The program in the hands of a hostile caller: whatever he hands down, sends or feeds, it ends in a documented exit code.
//!
//! The program is setuid root here and started by an ordinary user. Four parts:
//! * `start`: descriptors, arguments and environment that nobody would think of, and a debugger;
//! * `limits`: every resource limit, from the lowest value at which the program starts at all;
//! * `signals`: each of them, and a terminal that goes away;
//! * `input`: lines of any bytes and any length, and more of them than there is memory for.
//!
//! What other files try is not tried here: descriptors of the wrong kind, full disks and readers that went away
//! (`failures.rs`), what a caller may see of the process and which files it opens for him (`privileges.rs`), writers that
//! never close (`deadline.rs`, `contract.rs`), lists to the letter (`targets.rs`).
//!
//! What is left, because it comes before the first line of the program or cannot be caught:
//! * the kernel kills while it loads the program (SIGSEGV) where it has no room for the stack or for a page of its data;
//! * the dynamic linker ends it with 127 where it cannot load a library for want of memory or descriptors, with 5 where
//!   `LD_TRACE_LOADED_OBJECTS` is set, and says a line of its own where `LD_PROFILE` is;
//! * Rust's start-up ends it by SIGABRT where it finds no memory for a signal stack (with `RUST_BACKTRACE` set it may hang
//!   there instead), or cannot open /dev/null in place of a closed descriptor (musl's before it, by SIGSEGV);
//! * its list of the arguments ends it by SIGABRT where there is no memory for it, which is seen to for 200,000 of them; for
//!   more, the limit on the stack has to be raised first (half a million under 50 MiB of address space);
//! * where the stack could not grow any more it ends with 4 and says nothing, for the words would be its death;
//! * SIGKILL cannot be caught: it comes from whoever sends it, from the kernel's killer, and at the hard limit on
//!   processor time where that is less than two seconds (a second before a higher one the program is told, and ends with 4);
//! * under PR_SET_TSC (prctl(2), x86 alone) whatever reads the clock dies of SIGSEGV, as the dynamic linker does;
//! * signals 32 and 33 belong to the C library (34 too with musl), which lets nobody block them;
//! * until the first signal is blocked, which is the first thing after rights were set aside, every signal counts.

mod lab;

#[path = "hostile/input.rs"]
mod input;
#[path = "hostile/limits.rs"]
mod limits;
#[path = "hostile/signals.rs"]
mod signals;
#[path = "hostile/start.rs"]
mod start;

use std::process::Command;

use lab::{Finished, LIMIT, Lab};

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// Runs a command from start to end.
fn run(lab: &Lab, command: &mut Command, stdin: impl AsRef<[u8]>) -> Finished {
    let running = lab.start(command);
    running.feed(stdin);
    running.finish(LIMIT)
}

fn says_alive(outcome: &Finished, why: &str) {
    assert_eq!(outcome.code, Some(0), "{why}: {outcome:?}");
    assert!(outcome.is_alive(ALIVE), "{why}: {outcome:?}");
}

/// The run ended by an exit code that the manual page has; if that is a failure, stderr begins with why.
fn ends_well(outcome: &Finished, why: &str) {
    assert!(matches!(outcome.code, Some(0 | 3 | 4)), "{why}: {outcome:?}");
    let said = outcome.first_stderr_line();
    assert!(outcome.code == Some(0) || said.starts_with("xymonping: ") && !said.contains("bug"), "{why}: {outcome:?}");
}

/// The run failed, and not a line says anything of a host.
fn fails(outcome: &Finished, words: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {words}"));
}
