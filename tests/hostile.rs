//! Hostile callers: whatever the caller hands down, sends or writes, the program ends in a
//! documented exit code.
//!
//! The program is setuid root here and started by an ordinary user. Four parts:
//! * `start`: unusual descriptors, arguments and environments, and a debugger;
//! * `limits`: every resource limit, from the lowest value at which the program starts;
//! * `signals`: every signal, and a terminal that is closed;
//! * `input`: lines of any bytes and length, and more of them than there is memory for.
//!
//! Tested elsewhere: descriptors of the wrong kind, full disks and broken pipes (`failures.rs`),
//! what a caller can see of the process and which files it opens (`privileges.rs`), lists without
//! end (`deadline.rs`, `contract.rs`), the syntax of lists (`list.rs`).
//!
//! Not prevented, because it happens before the first line of the program or cannot be caught:
//! * while loading the program, the kernel kills it (SIGSEGV) if there is no memory for the stack
//!   or for a page of its data;
//! * the dynamic linker exits with 127 if it cannot load a library for lack of memory or
//!   descriptors, with 5 if `LD_TRACE_LOADED_OBJECTS` is set, and prints a line of its own if
//!   `LD_PROFILE` is;
//! * Rust's start-up code aborts (SIGABRT) without memory for a signal stack (with `RUST_BACKTRACE`
//!   set it may hang there), or if it cannot open /dev/null in place of a closed descriptor (musl's
//!   before it, by SIGSEGV);
//! * its list of the arguments aborts (SIGABRT) without memory for it. There is enough for 200,000
//!   of them; for more, the limit on the stack must first be raised (half a million under 50 MiB of
//!   address space);
//! * if the stack cannot grow any more the program exits with 4 and prints nothing, because
//!   printing would end in SIGSEGV;
//! * SIGKILL cannot be caught: from a user, from the kernel's OOM killer, and at a hard limit on
//!   processor time below two seconds (a second before a higher one the program gets SIGXCPU, and
//!   exits with 4);
//! * under PR_SET_TSC (prctl(2), x86 only) reading the clock ends in SIGSEGV, in the dynamic linker
//!   too;
//! * signals 32 and 33 (with musl also 34) belong to the C library, which does not block them;
//! * until signals are blocked, right after privileges are suspended, every signal has its default
//!   effect.

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

fn is_alive(outcome: &Finished, why: &str) {
    assert_eq!(outcome.code, Some(0), "{why}: {outcome:?}");
    assert!(outcome.is_alive(ALIVE), "{why}: {outcome:?}");
}

/// The run ended with a documented exit code; after a failure, stderr says why.
fn ends_well(outcome: &Finished, why: &str) {
    assert!(matches!(outcome.code, Some(0 | 3 | 4)), "{why}: {outcome:?}");
    let line = outcome.first_stderr_line();
    assert!(outcome.code == Some(0) || line.starts_with("xymonping: ") && !line.contains("bug"), "{why}: {outcome:?}");
}

/// The run failed with this message and no output lines.
fn fails(outcome: &Finished, message: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {message}"));
}
