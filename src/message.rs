//! The text of every failure and warning, and the exit codes.
//!
//! Xymon logs the first line of stderr and nothing else, so that line says everything that matters,
//! in one form: `xymonping: what: why (hint)`. The prefix is added where the line is written.

mod reject;
mod warning;
mod words;

use std::fmt::{self, Display, Formatter};
use std::io;

use multiping::SocketOption;
use multiping::address::Address;
use multiping::alloc::OutOfMemory;

pub use crate::message::reject::{BadRange, Reject, Unresolved};
pub use crate::message::warning::Warning;
pub(crate) use crate::message::words::{Count, Reason};
pub use crate::message::words::{Quoted, program};

use crate::message::words::Remedy;

/// The exit code. Xymon takes 0, 1 and 2 for success, shows every host as "clear"
/// with a reason for the others, and uses 98 and 99 itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The run completed, whatever its results.
    Success = 0,
    /// With `--exit-status`: a target is unreachable.
    Unreachable = 1,
    /// With `--exit-status`: a line of the list was rejected.
    Rejected = 2,
    /// Bad usage, or no privilege to ping.
    Usage = 3,
    /// The system failed, or the run was cut short.
    Failure = 4,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        (exit as u8).into()
    }
}

/// A failure that decides the exit code.
#[derive(Debug)]
pub enum Error {
    /// An option that is not in the table.
    UnknownOption(Quoted),
    /// The command line cannot be split into options and values; lexopt's words.
    BadUsage(String),
    /// A value that its option does not take.
    BadValue {
        /// The option as typed.
        option: String,
        /// The value as typed.
        value: Quoted,
        /// What the option takes.
        expected: &'static str,
    },
    /// Two options or operands that exclude each other.
    Conflict(&'static str, &'static str),
    /// An option that is of no use without `--count` or `--loop`.
    NeedsStatistics(&'static str),
    /// An option or a value that only root may use.
    RootOnly(&'static str),
    /// An option that has no effect without something else.
    Needs(&'static str, &'static str),
    /// The source address cannot be used.
    BadSource(Quoted, &'static str),
    /// The kernel refused to bind to the source address.
    SourceRefused(Address, io::Error),
    /// An operand that is no address.
    BadOperand(Quoted, Reject),
    /// What `--generate` or `-g` is to make addresses of cannot be used.
    BadRange(Quoted, BadRange),
    /// The list cannot be opened.
    OpenList(Quoted, io::Error),
    /// A path below /dev/fd names a descriptor that was closed at start.
    ClosedList(Quoted),
    /// The file for `--debug` cannot be opened, or is not a regular file.
    OpenDebug(Quoted, io::Error),
    /// Neither raw sockets nor ICMP datagram sockets are allowed; and the path of this program.
    NoPermission(io::Error, String),
    /// A system call failed while privileges were dropped.
    Privilege(&'static str, io::Error),
    /// After privileges were dropped the kernel still reports one.
    PrivilegeRemains(&'static str, String),
    /// A system call failed that should not.
    System(&'static str, io::Error),
    /// No memory for this many lines of the list; 0 if there was not enough to start.
    Memory(usize),
    /// A run with statistics would take more memory than there is: how many bytes.
    TooMuchMemory {
        /// How many it would take.
        needed: u64,
        /// How many there are.
        available: u64,
    },
    /// A run with statistics was ended by this signal or option, with so many targets unfinished,
    /// of how many.
    CutShort(&'static str, usize, usize),
    /// This machine could not send to targets of one family: how many, the first, and why.
    NotSent(&'static str, usize, String, io::Error),
    /// This machine may have lost all replies of so many targets.
    Doubtful(usize),
    /// More lines than the caller may have.
    TooMany(usize),
    /// The list is UTF-16 text, so that none of its lines is an address.
    Utf16List,
    /// The list could not be read to its end.
    ReadList(io::Error),
    /// The results could not be written.
    WriteResults(io::Error),
    /// A signal ended the run: its name, and how many targets were settled, of how many.
    Stopped(&'static str, usize, usize),
    /// The deadline ended the run.
    Deadline {
        /// How many targets were not settled by then.
        unsettled: usize,
        /// How many targets have no line.
        without_line: usize,
        /// How many there are in all.
        targets: usize,
    },
    /// The kernel refused a socket option that the command line requests.
    SocketOption(String, io::Error),
    /// No probe left this machine: the first target, and why.
    NothingSent(String, io::Error),
    /// This machine could not send to targets of one family until the end.
    SendingFailed {
        /// The family.
        family: &'static str,
        /// How many targets have no line for that.
        targets: usize,
        /// The first of them.
        first: String,
        /// The kernel's reason.
        why: io::Error,
    },
    /// The socket of one family cannot be read. In a run: how many targets have no line, of how
    /// many.
    ReceivingFailed(&'static str, io::Error, Option<(usize, usize)>),
    /// Probes or replies were lost on this machine, and these targets stayed undecided.
    Undecided(usize),
    /// No reference ever answered: how many targets have no line for that, and the first reference.
    NoReference(usize, String),
    /// A `--reference` that is no address.
    BadReference(Quoted, Reject),
    /// The process that looks names up cannot be started.
    NoResolver(io::Error),
    /// The looking up of names was interrupted.
    Resolving(io::Error),
    /// None of this many names could be looked up: the first, and why.
    NoneResolved(usize, String, Unresolved),
    /// A bug of the program.
    Panic(String),
}

impl Error {
    /// The exit code that this failure leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Error::UnknownOption(_)
            | Error::BadUsage(_)
            | Error::BadValue { .. }
            | Error::Conflict(..)
            | Error::RootOnly(_)
            | Error::Needs(..)
            | Error::NeedsStatistics(_)
            | Error::BadSource(..)
            | Error::SourceRefused(..)
            | Error::SocketOption(..)
            | Error::BadOperand(..)
            | Error::BadReference(..)
            | Error::BadRange(..)
            | Error::OpenList(..)
            | Error::ClosedList(_)
            | Error::Utf16List
            | Error::OpenDebug(..)
            | Error::NoResolver(_)
            | Error::NoPermission(..) => Exit::Usage,
            Error::Privilege(..)
            | Error::PrivilegeRemains(..)
            | Error::System(..)
            | Error::Memory(_)
            | Error::TooMuchMemory { .. }
            | Error::CutShort(..)
            | Error::NotSent(..)
            | Error::Doubtful(_)
            | Error::TooMany(_)
            | Error::ReadList(_)
            | Error::WriteResults(_)
            | Error::Stopped(..)
            | Error::Deadline { .. }
            | Error::NothingSent(..)
            | Error::SendingFailed { .. }
            | Error::ReceivingFailed(..)
            | Error::Undecided(_)
            | Error::NoReference(..)
            | Error::Resolving(_)
            | Error::NoneResolved(..)
            | Error::Panic(_) => Exit::Failure,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(error: OutOfMemory) -> Self {
        Error::Memory(error.items)
    }
}

impl From<multiping::Error> for Error {
    fn from(error: multiping::Error) -> Self {
        match error {
            multiping::Error::Permission(why) => Error::NoPermission(why, program()),
            multiping::Error::Source { address, source } => Error::SourceRefused(address, source),
            multiping::Error::Option { option, source } => {
                let option = match option {
                    SocketOption::Interface => "--interface",
                    SocketOption::Ttl => "--ttl",
                    SocketOption::Tos => "--tos",
                    SocketOption::DontRoute => "--dont-route",
                    SocketOption::RecordRoute => "--record-route",
                    SocketOption::MulticastTtl => "--multicast-ttl",
                    SocketOption::MulticastInterface => "--multicast-interface",
                    SocketOption::MulticastLoop => "--no-multicast-loop",
                    SocketOption::DontFragment => "--dont-fragment",
                    _ => "socket options",
                };
                Error::SocketOption(option.to_owned(), source)
            }
            multiping::Error::NoSocket(source) => Error::System("opening sockets", source),
            multiping::Error::System { what, source } => Error::System(what, source),
            multiping::Error::Memory(error) => error.into(),
            error => Error::System("sockets", io::Error::other(error)),
        }
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::UnknownOption(option) => write!(f, "{option}: unknown option (see --help)"),
            Error::BadUsage(why) => write!(f, "command line: {why} (see --help)"),
            Error::BadValue { option, value, expected } => write!(f, "{option}: bad value {value} (give {expected})"),
            Error::Needs(option, what) => write!(f, "{option}: needs {what} (add it, or leave this out)"),
            Error::Conflict(one, other) => write!(f, "{one}: cannot be combined with {other} (leave out one of them)"),
            Error::NeedsStatistics(option) => write!(f, "{option}: needs --count or --loop (add one of them)"),
            Error::RootOnly(option) => write!(f, "{option}: for root only (leave it out)"),
            Error::BadSource(address, why) => {
                write!(f, "--source={address}: {why} (give one address of this machine)")
            }
            Error::SourceRefused(address, why) => {
                write!(f, "--source={}: {} (give an address of this machine)", address.ip(), Reason(why))
            }
            Error::BadOperand(operand, why @ Reject::NotAnAddress) => {
                write!(f, "argument {operand}: {why} (give IP addresses; names need --resolve)")
            }
            Error::BadOperand(operand, why) => write!(f, "argument {operand}: {why}"),
            Error::BadRange(range, why) => {
                write!(
                    f,
                    "--generate={range}: {why} (give a network, as 192.0.2.0/24, or a range, as 192.0.2.1-192.0.2.9)"
                )
            }
            Error::OpenList(path, why) => {
                write!(f, "list {path}: {} (give a list that this user may read)", Reason(why))
            }
            Error::ClosedList(path) => {
                write!(f, "list {path}: inherited descriptors above 2 are closed at start (use stdin: --file=-)")
            }
            Error::OpenDebug(path, why) => {
                write!(f, "--debug={path}: {} (give a regular file that this user may write)", Reason(why))
            }
            Error::NoPermission(why, program) => write!(
                f,
                "no permission to ping: {} (as root: chown root {program} && chmod u+s {program}, \
                 or setcap cap_net_raw+p {program}; run --check for details)",
                Reason(why)
            ),
            Error::Privilege(step, why) => write!(f, "privileges: {step}: {} (refusing to continue)", Reason(why)),
            Error::PrivilegeRemains(what, found) => {
                write!(f, "privileges: {what}: still {found} (refusing to continue)")
            }
            Error::System(what, why) => write!(f, "{what}: {}", Reason(why)),
            Error::Memory(0) => f.write_str("out of memory before the list was read (raise ulimit -v, -d or -s)"),
            Error::Memory(lines) => {
                write!(
                    f,
                    "out of memory at {lines} lines (split the list, or allow more: ulimit -v, or the control group)"
                )
            }
            Error::TooMuchMemory { needed, available } => write!(
                f,
                "statistics: {} MB of memory needed, {} MB available (fewer targets, no --exact, or a longer --period)",
                needed.div_ceil(1_000_000),
                available / 1_000_000
            ),
            Error::CutShort(by, unfinished, targets) => {
                let targets = Count(*targets, "target");
                write!(f, "stopped by {by}: {unfinished} of {targets} unfinished (the figures end there)")
            }
            Error::NotSent(family, targets, first, why) => write!(
                f,
                "{family} sending failed: {} (no probe left to {}, first {first}; {})",
                Reason(why),
                Count(*targets, "target"),
                Remedy(why, first)
            ),
            Error::Doubtful(targets) => {
                let targets = Count(*targets, "target");
                write!(f, "{targets} undecided: this machine lost probes or replies (see the warnings)")
            }
            Error::TooMany(limit) => write!(f, "list: more than {limit} lines (split the list)"),
            Error::Utf16List => {
                f.write_str("list: UTF-16 text (nothing was probed; convert it first: iconv -f UTF-16 -t UTF-8)")
            }
            Error::ReadList(why) => write!(f, "reading the list: {} (nothing was probed)", Reason(why)),
            Error::WriteResults(why) => write!(f, "writing results: {} (the output is incomplete)", Reason(why)),
            Error::Stopped(signal, settled, targets) => {
                let targets = Count(*targets, "target");
                write!(f, "stopped by {signal}: {settled} of {targets} finished (the others have no line)")
            }
            Error::Deadline { unsettled, without_line, targets } => {
                let targets = Count(*targets, "target");
                write!(
                    f,
                    "deadline reached with {unsettled} of {targets} unfinished ({without_line} without a line; raise --deadline or --max-pps)"
                )
            }
            Error::SocketOption(option, why) if option.starts_with("--interface") => {
                write!(f, "{option}: {} (see: ip link)", Reason(why))
            }
            Error::SocketOption(option, why) => {
                write!(f, "{option}: {} (the kernel refuses it: give another value, or leave it out)", Reason(why))
            }
            Error::NothingSent(first, why) => {
                write!(f, "no probe could leave this machine: {} ({})", Reason(why), Remedy(why, first))
            }
            Error::SendingFailed { family, targets, first, why } => write!(
                f,
                "{family} sending failed: {} (no line for {}, first {first}; {})",
                Reason(why),
                Count(*targets, "target"),
                Remedy(why, first)
            ),
            Error::ReceivingFailed(family, why, None) => {
                write!(f, "{family} receiving failed: {} (a seccomp filter or a security module?)", Reason(why))
            }
            Error::ReceivingFailed(family, why, Some((without_line, targets))) => write!(
                f,
                "{family} receiving failed: {} (no line for {without_line} of {}; run --check for details)",
                Reason(why),
                Count(*targets, "target")
            ),
            Error::Undecided(targets) => {
                let targets = Count(*targets, "target");
                write!(f, "{targets} undecided: this machine lost probes or replies (no line; see the warnings)")
            }
            Error::NoReference(targets, first) => {
                let targets = Count(*targets, "silent target");
                write!(f, "no reference answered: {targets} undecided (no line; see: ip route get {first})")
            }
            Error::BadReference(address, why) => write!(f, "--reference={address}: {why} (give one IP address)"),
            Error::NoResolver(why) => write!(
                f,
                "looking up names: {} (it takes /proc, and the right to start a process; give addresses)",
                Reason(why)
            ),
            Error::Resolving(why) => write!(f, "looking up names: {} (nothing was probed)", Reason(why)),
            Error::NoneResolved(names, first, why) => {
                let names = Count(*names, "name");
                write!(f, "looking up names: {why} (no line for {names}; see: getent hosts {first})")
            }
            Error::Panic(what) => write!(f, "bug: {what} (please report it)"),
        }
    }
}
