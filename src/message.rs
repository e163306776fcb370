//! Every failure in the operator's words, and every exit code, each of them once.
//!
//! Xymon logs the first line of stderr and nothing else, so that line is the whole story, in one form:
//! `xymonping: what: why (hint)`. The prefix is added where the line is written; this file supplies the rest.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;

use multiping::SocketOption;
use multiping::address::Address;
use multiping::alloc::OutOfMemory;
use multiping::prober::Answered;

/// What the program tells its parent. Xymon takes 0, 1 and 2 for success, shows every host as "clear" with a reason
/// for the others, and keeps 98 and 99 for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// The run completed, whatever the hosts said.
    Success = 0,
    /// With `--exit-status`: some target is unreachable.
    Unreachable = 1,
    /// With `--exit-status`: some line was no address.
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
        wanted: &'static str,
    },
    /// More data in a probe than ordinary users may ask for: how much, the limit, and the family it is for.
    TooMuchData(usize, usize, &'static str),
    /// Two options or operands that exclude each other.
    Conflict(&'static str, &'static str),
    /// The source address cannot be used at all.
    BadSource(Quoted, &'static str),
    /// The kernel refused to bind to the source address.
    SourceRefused(Address, io::Error),
    /// An operand that is no address.
    BadOperand(Quoted, Reject),
    /// The list cannot be opened.
    OpenList(Quoted, io::Error),
    /// A path below /dev/fd names a descriptor that was closed at start.
    ClosedList(Quoted),
    /// The file for `--debug` cannot be opened, or is not a regular file.
    OpenDebug(Quoted, io::Error),
    /// Neither raw sockets nor ICMP datagram sockets are allowed.
    NoPermission(io::Error),
    /// The kernel did not answer as it should while privileges were given up.
    Privilege(&'static str, String),
    /// A system call that must not fail did.
    System(&'static str, io::Error),
    /// No memory for this many lines of the list; for none: not even to begin.
    Memory(usize),
    /// More lines than the caller may have.
    TooMany(usize),
    /// The list could not be read to its end.
    ReadList(io::Error),
    /// The results could not be written.
    WriteResults(io::Error),
    /// A signal asked us to stop: its name, and how many targets were settled, of how many.
    Stopped(&'static str, usize, usize),
    /// The time was over.
    Deadline {
        /// How many targets were not settled by then.
        unsettled: usize,
        /// How many targets have no line.
        without_line: usize,
        /// How many there are in all.
        targets: usize,
    },
    /// The kernel refused something that the command line asks of the sockets.
    SocketOption(&'static str, io::Error),
    /// Not one probe left this machine, or only such as go no further than itself.
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
    /// This machine lost so many replies that some targets stayed undecided.
    Undecided(usize),
    /// The program itself is wrong.
    Panic(String),
}

impl Error {
    /// The exit code that this failure leads to.
    pub fn exit(&self) -> Exit {
        match self {
            Error::UnknownOption(_)
            | Error::BadUsage(_)
            | Error::BadValue { .. }
            | Error::TooMuchData(..)
            | Error::Conflict(..)
            | Error::BadSource(..)
            | Error::SourceRefused(..)
            | Error::SocketOption(..)
            | Error::BadOperand(..)
            | Error::OpenList(..)
            | Error::ClosedList(_)
            | Error::OpenDebug(..)
            | Error::NoPermission(_) => Exit::Usage,
            Error::Privilege(..)
            | Error::System(..)
            | Error::Memory(_)
            | Error::TooMany(_)
            | Error::ReadList(_)
            | Error::WriteResults(_)
            | Error::Stopped(..)
            | Error::Deadline { .. }
            | Error::NothingSent(_)
            | Error::SendingFailed { .. }
            | Error::Undecided(_)
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
            Error::BadUsage(why) => write!(f, "command line: {why} (see --help)"),
            Error::BadValue { option, value, wanted } => write!(f, "{option}: bad value {value} (give {wanted})"),
            Error::TooMuchData(size, most, family) => {
                write!(f, "--size={size}: more than {most} bytes over {family} (the limit for ordinary users)")
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
                 if that does not help, --check says why)",
                Reason(why)
            ),
            Error::Privilege(what, found) => write!(f, "privileges: {what}: {found} (refusing to go on)"),
            Error::System(what, why) => write!(f, "{what}: {}", Reason(why)),
            Error::Memory(0) => f.write_str("out of memory before the list was read (raise ulimit -v, -d or -s)"),
            Error::Memory(lines) => {
                write!(
                    f,
                    "out of memory at {lines} lines (split the list, or allow more: ulimit -v, or the control group)"
                )
            }
            Error::TooMany(limit) => write!(f, "list: more than {limit} lines (split the list)"),
            Error::ReadList(why) => write!(f, "reading the list: {} (nothing was probed)", Reason(why)),
            Error::WriteResults(why) => write!(f, "writing results: {} (the output is incomplete)", Reason(why)),
            Error::Stopped(signal, settled, all) => {
                write!(f, "stopped by {signal}: {settled} of {all} targets settled (the others have no line)")
            }
            Error::Deadline { unsettled, without_line, targets } => write!(
                f,
                "--deadline: over with {unsettled} of {targets} targets unsettled ({without_line} have no line)"
            ),
            Error::SocketOption(option, why) => {
                write!(f, "{option}: {} (the kernel refuses it: give another value, or leave it out)", Reason(why))
            }
            Error::NothingSent(why) => {
                write!(f, "no probe could leave this machine: {} ({})", Reason(why), remedy(why))
            }
            Error::SendingFailed { family, targets, first, why } => write!(
                f,
                "{family} sending failed: {} (no line for {targets} targets, the first {first}; {})",
                Reason(why),
                remedy(why)
            ),
            Error::Undecided(targets) => {
                write!(
                    f,
                    "{targets} targets undecided: this machine lost their probes or replies (no line for them; see the warnings)"
                )
            }
            Error::Panic(what) => write!(f, "bug: {what} (please report it)"),
        }
    }
}

/// Something the operator should know although the run goes on.
#[derive(Debug)]
pub enum Warning {
    /// Options of fping that are accepted and do nothing here.
    Ignored(String),
    /// A rate above what ordinary users may have, which is this, in packets a second.
    RateLowered(f64),
    /// Started by real root, who keeps uid 0 without its powers.
    RootWithoutPowers,
    /// Remarks on lines beyond those that are kept word for word.
    MoreLines(u64),
    /// The list is too long for the deadline: how many targets, and the least number of seconds that they take.
    TooSlow(usize, f64),
    /// Targets of one family that the kernel refused to send to: how many, the first, and why.
    Refused(usize, String, io::Error),
    /// Replies were lost in this machine's receive buffer, and their targets probed again.
    Overflow(u64),
    /// How long the neighbour table was full.
    NoBuffers(Duration),
    /// A link or a route was lost, and this many probes were sent again for it.
    LinkLost(u64),
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
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Ignored(options) => write!(f, "{options}: ignored (options of fping that mean nothing here)"),
            Warning::RateLowered(pps) => {
                write!(f, "the rate was lowered to {pps} packets a second (the limit for ordinary users)")
            }
            Warning::RootWithoutPowers => {
                write!(f, "root's right to read other users' files was given up (use stdin: cat FILE | xymonping)")
            }
            Warning::MoreLines(lines) => write!(f, "{lines} more lines like these"),
            Warning::TooSlow(targets, seconds) => write!(
                f,
                "--deadline: too short for {targets} targets, which take {seconds:.1} s to be probed once \
                 (raise --max-pps or --deadline)"
            ),
            Warning::Refused(targets, first, why) => {
                write!(
                    f,
                    "targets that could not be sent to: {targets}, the first {first}: {} ({})",
                    Reason(why),
                    remedy(why)
                )
            }
            Warning::Overflow(probes) => {
                write!(f, "this machine lost replies: {probes} probes were sent again (lower --max-pps)")
            }
            Warning::NoBuffers(time) => write!(
                f,
                "kernel buffers were full for {:.1} s (neighbour table; see LIMITS in xymonping(1))",
                time.as_secs_f64()
            ),
            Warning::LinkLost(probes) => {
                write!(f, "a link or route of this machine was lost: probes sent again: {probes} (see: ip monitor)")
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
        }
    }
}

/// Where to look when our own system refuses to send.
fn remedy(why: &io::Error) -> &'static str {
    match why.kind() {
        io::ErrorKind::PermissionDenied => "look at the firewall's rules for output",
        io::ErrorKind::NetworkDown | io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            "look at this machine's interfaces and routes"
        }
        io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable => "look at --source and --interface",
        _ => "look at this machine's network, and at --size",
    }
}

/// Why a line or an operand is no target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Neither a dotted quad nor an IPv6 address.
    NotAnAddress,
    /// An IPv6 address with a dotted quad inside: two lines that ran together, as a rule.
    DottedTail,
    /// ::ffff:0:0/96: IPv4 in IPv6's clothes.
    Mapped,
    /// 0.0.0.0 or ::, which the kernel sends to itself.
    Unspecified,
    /// A group, for a caller who may not probe groups.
    Multicast,
    /// A broadcast address, likewise.
    Broadcast,
    /// Link-local without a zone.
    NeedsZone,
    /// A zone on an address that has none.
    UnwantedZone,
    /// A zone that names no interface of this machine.
    NoSuchZone,
    /// The family was excluded by `--ipv4` or `--ipv6`.
    ExcludedFamily(&'static str),
    /// More bytes than a line may have.
    TooLong,
    /// A NUL byte.
    Nul,
    /// Nothing at all.
    Empty,
}

impl Display for Reject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reject::NotAnAddress => f.write_str("not an IP address"),
            Reject::DottedTail => f.write_str("not an IP address; two lines run together, or a port?"),
            Reject::Mapped => f.write_str("an IPv4-mapped address; write it as IPv4"),
            Reject::Unspecified => f.write_str("the unspecified address"),
            Reject::Multicast => f.write_str("a multicast address, for root only"),
            Reject::Broadcast => f.write_str("a broadcast address, for root only"),
            Reject::NeedsZone => f.write_str("a link-local address needs its interface, as in fe80::1%eth0"),
            Reject::UnwantedZone => f.write_str("only link-local addresses have an interface"),
            Reject::NoSuchZone => f.write_str("no such interface"),
            Reject::ExcludedFamily(family) => write!(f, "an {family} address, excluded by the options"),
            Reject::TooLong => f.write_str("line too long"),
            Reject::Nul => f.write_str("a NUL byte"),
            Reject::Empty => f.write_str("empty"),
        }
    }
}

/// A caller's bytes made fit for a terminal and a log: printable ASCII, the rest escaped, cut at 60 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quoted(String);

impl Quoted {
    const MAX: usize = 60;
}

impl From<&[u8]> for Quoted {
    fn from(bytes: &[u8]) -> Self {
        let kept = &bytes[..bytes.len().min(Self::MAX)];
        let dots = if kept.len() < bytes.len() { "..." } else { "" };
        Quoted(format!("\"{}\"{dots}", kept.escape_ascii()))
    }
}

impl Display for Quoted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The system's words for an error, without the number that std appends.
pub(crate) struct Reason<'a>(pub(crate) &'a io::Error);

impl Display for Reason<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let words = self.0.to_string();
        f.write_str(words.split(" (os error").next().unwrap_or(&words))
    }
}
