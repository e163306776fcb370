//! Prints a completion script for xymonping-report: `completions bash`, `zsh` or `fish`.

use std::env;
use std::io;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use xymonping_report::cli::Options;

fn main() -> io::Result<()> {
    let shell = match env::args().nth(1).as_deref() {
        Some("bash") => Shell::Bash,
        Some("zsh") => Shell::Zsh,
        Some("fish") => Shell::Fish,
        _ => return Err(io::Error::other("usage: completions bash|zsh|fish")),
    };
    generate(shell, &mut Options::command(), "xymonping-report", &mut io::stdout());
    Ok(())
}
