//! Serving as fping 5.5: command lines, lines, streams and exit codes, as fping's clients know
//! them.

mod lab;

#[path = "fping/clients.rs"]
mod clients;
#[path = "fping/command_line.rs"]
mod command_line;
#[path = "fping/manual.rs"]
mod manual;
#[path = "fping/once.rs"]
mod once;
#[path = "fping/packets.rs"]
mod packets;
#[path = "fping/rounds.rs"]
mod rounds;

use std::os::unix::process::CommandExt;
use std::process::Command;

use lab::{Finished, Lab};

/// The program, called by this name.
fn called(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xymonping"));
    command.arg0(name).args(args);
    command
}

/// Runs it as `fping` in a lab.
fn run(lab: &Lab, args: &[&str], stdin: &str) -> Finished {
    let running = lab.start(&mut called("fping", args));
    running.feed(stdin);
    running.finish(lab::LIMIT)
}
