//! Why the program ends early, in fping's words, and with its exit codes.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;

use multiping::address::Family;
use multiping::prober::Diagnosis;
use multiping::{Error as EngineError, SocketOption};
use nix::errno::Errno;

use crate::cli::fping::{Help, Refusal};
use crate::fping::output::Output;
use crate::fping::words::BadList;
use crate::message::{Count, Error, Exit, Reason};
use crate::report::End;
use crate::signal;
use crate::stdio::Interrupted;

/// The exit code of bad usage, which is that of unreachable targets too.
pub(super) const BAD_USAGE: Exit = Exit::Unreachable;

/// The exit code where a name has no address.
pub(super) const NO_ADDRESS: Exit = Exit::Rejected;

/// Why the program ends early: what it says, without the program's name in front, and the exit
/// code.
pub(super) enum Failure {
    /// After the program's name and a colon.
    Named(String, Exit),
    /// As it is.
    Plain(String, Exit),
    /// The help text, to stderr.
    Usage,
    /// Nothing is said.
    Silent,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Named(error.to_string(), Exit::Failure)
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Usage => Failure::Usage,
            Refusal::Option(what, option) => {
                let option = String::from_utf8_lossy(&option).into_owned();
                let hint = "see 'fping -h' for usage information";
                Failure::Named(format!("{what} -- '{option}'\n{hint}"), BAD_USAGE)
            }
            Refusal::Said(text) => Failure::Named(text, BAD_USAGE),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Permission(_) | EngineError::NoSocket(_) => no_socket(),
            EngineError::Source { source, .. } => bad_source(&source),
            EngineError::Option { option: SocketOption::Interface, source } => bad_interface(&source),
            EngineError::Option { option: SocketOption::Mark, source } => bad_mark(&source),
            EngineError::Option { option, source } => {
                let option = match option {
                    SocketOption::Ttl => "-H",
                    SocketOption::Tos => "-O",
                    SocketOption::DontFragment => "-M",
                    _ => "socket options",
                };
                Failure::Named(format!("{option}: {}", Reason(&source)), Exit::Failure)
            }
            error => Failure::from(Error::from(error)),
        }
    }
}

impl From<BadList> for Failure {
    fn from(error: BadList) -> Self {
        match error {
            BadList::TooLong => Failure::Named("target name too long".into(), BAD_USAGE),
            BadList::Memory(error) => Failure::from(Error::from(error)),
        }
    }
}

fn no_socket() -> Failure {
    Failure::Named("can't create socket (must run as root?)".into(), Exit::Failure)
}

pub(super) fn bad_source(why: &io::Error) -> Failure {
    Failure::Named(format!("cannot bind source address : {}", Reason(why)), Exit::Failure)
}

pub(super) fn bad_interface(why: &io::Error) -> Failure {
    Failure::Plain(format!("binding to specific interface (SO_BINDTODEVICE): {}", Reason(why)), BAD_USAGE)
}

pub(super) fn bad_outgoing_interface(why: &io::Error) -> Failure {
    Failure::Named(format!("--oiface: {}", Reason(why)), BAD_USAGE)
}

/// fping says it, and goes on without the mark.
pub(super) fn bad_mark(why: &io::Error) -> Failure {
    Failure::Plain(format!("fwmark: {}", Reason(why)), BAD_USAGE)
}

/// Ends the program if a signal comes while something is written before the run.
pub(super) fn unless_stopped(written: ControlFlow<signal::Event>) -> Result<(), Failure> {
    match written {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(event) => Err(Failure::Named(Interrupted::by(event).to_string(), Exit::Failure)),
    }
}

/// Why a run that ended so is a failure. `finished`: how many targets were, and of how many; `None`
/// where SIGINT is the planned end.
pub(super) fn failures(end: End, diagnosis: &Diagnosis, finished: Option<(usize, usize)>) -> Vec<String> {
    let reason = |errno| Errno::from_raw(errno).desc();
    let mut failures = Vec::new();
    match (end, finished) {
        (End::Complete | End::Deadline(_), _) | (End::Stopped("SIGINT"), None) => {}
        (End::Stopped(signal), None) => failures.push(format!("stopped by {signal}")),
        (End::Stopped(signal), Some((finished, targets))) => {
            failures.push(format!("stopped by {signal}: {finished} of {} finished", Count(targets, "target")));
        }
        (End::ReceivingFailed(family, errno), _) => {
            failures.push(format!("{} receiving failed: {}", family.name(), reason(errno)));
        }
    }
    for family in Family::BOTH.into_iter().filter(|&family| diagnosis.fault[family].is_some()) {
        let refusals: Vec<_> = diagnosis.refusals_of(family).collect();
        if let [refusal, ..] = refusals[..] {
            let targets: usize = refusals.iter().map(|refusal| refusal.targets).sum();
            let (family, first, why) = (family.name(), refusal.first, reason(refusal.errno));
            failures.push(format!("{family} sending failed: {why} (targets: {targets}, first {first})"));
        }
    }
    if diagnosis.undecided > 0 {
        let targets = diagnosis.undecided;
        failures.push(format!("probes or replies were lost on this machine (targets without a result: {targets})"));
    }
    failures
}

/// Says why the program ends.
pub(super) fn fail(failure: Failure, program: &OsStr, output: &mut Output) -> Exit {
    let (text, exit) = match failure {
        Failure::Named(text, exit) => (format!("{}: {text}\n", program.to_string_lossy()), exit),
        Failure::Plain(text, exit) => (format!("{text}\n"), exit),
        Failure::Silent => return BAD_USAGE,
        Failure::Usage => (Help(program).to_string(), BAD_USAGE),
    };
    let _ = output.message(text);
    exit
}
