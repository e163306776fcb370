//! The text of every failure and warning, and the exit codes.
//!
//! Xymon logs the first line of stderr and nothing else, so that line says everything that matters,
//! in one form: `xymonping: what: why (hint)`. The prefix is added where the line is written.

mod reject;
mod words;

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;

use multiping::SocketOption;
use multiping::address::Address;
use multiping::alloc::OutOfMemory;
use multiping::prober::Answered;

pub use crate::message::reject::{BadRange, Reject, Unresolved};
pub use crate::message::words::Quoted;
pub(crate) use crate::message::words::{Count, Reason};

use crate::message::words::remedy;

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
    /// An option of fping whose effect is not available.
    NotAvailable {
        /// The option as typed.
        option: String,
        /// What is not available.
        what: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
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
    /// More data in a probe than ordinary users may send: the size, the limit, and the family that
    /// it is for.
    TooMuchData(usize, usize, &'static str),
    /// Two options or operands that exclude each other.
    Conflict(&'static str, &'static str),
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
    /// Neither raw sockets nor ICMP datagram sockets are allowed.
    NoPermission(io::Error),
    /// A system call failed while privileges were dropped.
    Privilege(&'static str, io::Error),
    /// After privileges were dropped the kernel still reports one.
    PrivilegeRemains(&'static str, String),
    /// A system call failed that should not.
    System(&'static str, io::Error),
    /// No memory for this many lines of the list; 0 if there was not enough to start.
    Memory(usize),
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
    SocketOption(&'static str, io::Error),
    /// No probe left this machine.
    NothingSent(io::Error),
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
    /// No reference ever answered; how many targets have no line for that.
    NoReference(usize),
    /// A `--reference` that is no address.
    BadReference(Quoted, Reject),
    /// The process that looks names up cannot be started.
    NoResolver(io::Error),
    /// The looking up of names was interrupted.
    Resolving(io::Error),
    /// None of this many names could be looked up, the first of them for this reason.
    NoneResolved(usize, Unresolved),
    /// A bug of the program.
    Panic(String),
}

impl Error {
    /// The exit code that this failure leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Error::UnknownOption(_)
            | Error::NotAvailable { .. }
            | Error::BadUsage(_)
            | Error::BadValue { .. }
            | Error::TooMuchData(..)
            | Error::Conflict(..)
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
            | Error::NoPermission(_) => Exit::Usage,
            Error::Privilege(..)
            | Error::PrivilegeRemains(..)
            | Error::System(..)
            | Error::Memory(_)
            | Error::TooMany(_)
            | Error::ReadList(_)
            | Error::WriteResults(_)
            | Error::Stopped(..)
            | Error::Deadline { .. }
            | Error::NothingSent(_)
            | Error::SendingFailed { .. }
            | Error::ReceivingFailed(..)
            | Error::Undecided(_)
            | Error::NoReference(_)
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
            multiping::Error::Permission(why) => Error::NoPermission(why),
            multiping::Error::Source { address, source } => Error::SourceRefused(address, source),
            multiping::Error::Option { option, source } => {
                let option = match option {
                    SocketOption::Interface => "--interface",
                    SocketOption::Ttl => "--ttl",
                    SocketOption::Tos => "--tos",
                    SocketOption::DontFragment => "--dont-fragment",
                    _ => "socket options",
                };
                Error::SocketOption(option, source)
            }
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
            Error::NotAvailable { option, what, hint } => write!(f, "{option}: {what} is not available ({hint})"),
            Error::BadUsage(why) => write!(f, "command line: {why} (see --help)"),
            Error::BadValue { option, value, expected } => write!(f, "{option}: bad value {value} (give {expected})"),
            Error::TooMuchData(size, limit, family) => {
                write!(f, "--size={size}: more than {limit} bytes over {family} (the limit for ordinary users)")
            }
            Error::Conflict(one, other) => write!(f, "{one}: cannot be combined with {other} (leave out one of them)"),
            Error::BadSource(address, why) => {
                write!(f, "--source={address}: {why} (give one address of this machine)")
            }
            Error::SourceRefused(address, why) => {
                write!(f, "--source={}: {} (give an address of this machine)", address.ip(), Reason(why))
            }
            Error::BadOperand(operand, why @ Reject::NotAnAddress) => {
                write!(f, "operand {operand}: {why} (give IP addresses, not names)")
            }
            Error::BadOperand(operand, why) => write!(f, "operand {operand}: {why}"),
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
            Error::NoPermission(why) => write!(
                f,
                "no permission to ping: {} (as root: chmod u+s on this program, or setcap cap_net_raw+p; \
                 run --check for details)",
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
                write!(f, "deadline reached with {unsettled} of {targets} unfinished ({without_line} without a line)")
            }
            Error::SocketOption(option, why) => {
                write!(f, "{option}: {} (the kernel refuses it: give another value, or leave it out)", Reason(why))
            }
            Error::NothingSent(why) => {
                write!(f, "no probe could leave this machine: {} ({})", Reason(why), remedy(why))
            }
            Error::SendingFailed { family, targets, first, why } => write!(
                f,
                "{family} sending failed: {} (no line for {}, first {first}; {})",
                Reason(why),
                Count(*targets, "target"),
                remedy(why)
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
            Error::NoReference(targets) => {
                let targets = Count(*targets, "silent target");
                write!(f, "no reference answered: {targets} undecided (no line; see: ip route get ADDRESS)")
            }
            Error::BadReference(address, why) => write!(f, "--reference={address}: {why} (give one IP address)"),
            Error::NoResolver(why) => write!(
                f,
                "looking up names: {} (it takes /proc, and the right to start a process; give addresses)",
                Reason(why)
            ),
            Error::Resolving(why) => write!(f, "looking up names: {} (nothing was probed)", Reason(why)),
            Error::NoneResolved(names, why) => {
                write!(f, "looking up names: {why} (no line for {}; see: getent hosts NAME)", Count(*names, "name"))
            }
            Error::Panic(what) => write!(f, "bug: {what} (please report it)"),
        }
    }
}

/// Something to report although the run continues.
#[derive(Debug)]
pub enum Warning {
    /// fping's options that are accepted and ignored.
    Ignored(String),
    /// The rate was lowered to the limit for ordinary users, which is this, in packets a second.
    RateLowered(f64),
    /// Started as root, which keeps uid 0 without its capabilities.
    RootWithoutCapabilities,
    /// How many lines are not quoted because so many others are.
    MoreLines(u64),
    /// The list is too long for the deadline: how many targets, and the least number of
    /// seconds that they take.
    TooSlow(usize, f64),
    /// Targets of one family that the kernel refused to send to: how many, the first, and why.
    Refused(usize, String, io::Error),
    /// Replies were lost in the receive buffer: how many probes were sent again.
    Overflow(u64),
    /// How long the neighbour table was full.
    NoBuffers(Duration),
    /// A link or a route was lost, and this many probes were sent again for it.
    LinkLost(u64),
    /// No reference answered for a while, and this many probes were sent again for it.
    ReferenceSilent(u64),
    /// Packets waited in the queue of an interface.
    Queued {
        /// How many RTTs include that.
        replies: u64,
        /// The longest of them.
        longest: Duration,
        /// How many probes were sent again.
        refunds: u64,
    },
    /// Unreachable targets that did answer, but not so that it counts.
    DidAnswer(Answered),
    /// Not one of this many targets answered.
    NoneAnswered(usize),
    /// The kernel does not stamp what arrives.
    NoTimestamps(io::Error),
    /// The kernel has not both packet filters.
    NoFilter(io::Error),
    /// ICMP errors are asked for, and the kernel passes none to ICMP datagram sockets.
    NoIcmpErrors,
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Ignored(options) => write!(f, "{options}: ignored (fping options without an equivalent here)"),
            Warning::RateLowered(pps) => {
                write!(f, "the rate was lowered to {pps} packets a second (the limit for ordinary users)")
            }
            Warning::RootWithoutCapabilities => {
                write!(f, "root's capability to read other users' files was dropped (use stdin: cat FILE | xymonping)")
            }
            Warning::MoreLines(1) => f.write_str("1 more line has a problem (--list-errors shows all)"),
            Warning::MoreLines(lines) => write!(f, "{lines} more lines have problems (--list-errors shows all)"),
            Warning::TooSlow(targets, seconds) => write!(
                f,
                "--deadline: too short for {}, which take {seconds:.1} s to be probed once \
                 (raise --max-pps or --deadline)",
                Count(*targets, "target")
            ),
            Warning::Refused(1, target, why) => {
                write!(f, "could not send to {target}: {} ({})", Reason(why), remedy(why))
            }
            Warning::Refused(targets, first, why) => {
                write!(f, "could not send to {targets} targets, first {first}: {} ({})", Reason(why), remedy(why))
            }
            Warning::Overflow(probes) => {
                write!(f, "this machine lost replies: {} sent again (lower --max-pps)", Count(*probes, "probe"))
            }
            Warning::NoBuffers(time) => write!(
                f,
                "kernel buffers were full for {:.1} s (neighbour table; see LIMITS in xymonping(1))",
                time.as_secs_f64()
            ),
            Warning::LinkLost(probes) => {
                write!(
                    f,
                    "a link or route of this machine was lost: {} sent again (see: ip monitor)",
                    Count(*probes, "probe")
                )
            }
            Warning::ReferenceSilent(probes) => {
                write!(f, "no reference answered for a while: {} sent again", Count(*probes, "probe"))
            }
            Warning::Queued { replies, longest, refunds } => write!(
                f,
                "packets waited in a queue of this machine: RTTs with waiting time: {replies}, up to {:.1} ms; \
                 probes sent again: {refunds} (lower --max-pps, or see: tc -s qdisc)",
                longest.as_secs_f64() * 1e3
            ),
            Warning::DidAnswer(Answered { targets, late, damaged, other_source, first }) => {
                write!(f, "unreachable targets that did answer: {targets}")?;
                for (count, how) in [(late, "late"), (damaged, "damaged"), (other_source, "from another address")] {
                    if *count > 0 {
                        write!(f, ", {how}: {count}")?;
                    }
                }
                first.map_or(Ok(()), |first| write!(f, ", the first {first} (see --debug)"))
            }
            Warning::NoneAnswered(targets) => {
                write!(f, "none of {targets} targets answered (is this machine's network all right? see --check)")
            }
            Warning::NoTimestamps(why) => write!(
                f,
                "receive time stamps: {} (RTTs are taken when replies are read, and too long by the wait for that)",
                Reason(why)
            ),
            Warning::NoFilter(why) => write!(
                f,
                "packet filter: {} (other programs' ICMP packets are read too: more work, same results)",
                Reason(why)
            ),
            Warning::NoIcmpErrors => {
                f.write_str("ICMP errors: not received on ICMP datagram sockets (see --check for how to get raw ones)")
            }
        }
    }
}
