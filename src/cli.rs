//! The command line: arguments -> [`Options`], and the help text.
//!
//! Everything about a single option is in one row of the table in `flags`, which the parser,
//! `--help`, the completions and the test of the manual page read; `value` has the syntax of
//! numbers and times. This file has what concerns several options: conflicts and limits.

mod flag;
mod flags;
pub mod fping;
mod help;
mod statistics;
mod threads;
mod value;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::str;
use std::time::Duration;

use lexopt::{Arg, Parser};
use multiping::address::{Family, PerFamily};
use multiping::plan::{IcmpErrors, PacketOptions, Plan, ProbeKind};
use multiping::wire::RECORD_ROUTE_OPTIONS;

pub use crate::cli::flag::{Flag, Hint, Value};
pub use crate::cli::flags::FLAGS;
pub use crate::cli::help::{GROUPS, Help};
pub use crate::cli::statistics::{Bell, Sizing, Statistics};
pub use crate::cli::threads::Threads;

use crate::cli::flag::Apply;
use crate::limits::Limits;
use crate::list::names::Names;
use crate::message::{Error, Quoted, Warning};
use crate::report::Lines;

/// A parsed command line.
#[derive(Debug)]
pub struct CommandLine {
    /// What it requests, or its first error.
    pub request: Result<Request, Error>,
    /// Whether a list may come on stdin. Even an invalid command line can show that none will: by
    /// an address to probe, or by `--check`.
    pub awaits_list: bool,
}

/// What the command line requests.
#[derive(Debug)]
pub enum Request {
    /// Print the help text.
    Help,
    /// Print name and version.
    Version,
    /// Probe.
    Run(Box<Options>),
}

impl Display for Request {
    /// The text to print; none for a run.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Request::Help => Help.fmt(f),
            Request::Version => writeln!(f, "xymonping {}", env!("CARGO_PKG_VERSION")),
            Request::Run(_) => Ok(()),
        }
    }
}

/// Where the addresses come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// A list on descriptor 0.
    #[default]
    Stdin,
    /// A list in a file.
    File(OsString),
    /// The command line.
    Operands(Vec<OsString>),
    /// Networks and ranges of addresses on the command line.
    Generated(Vec<OsString>),
}

/// Where the debug log is written to.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Debug {
    /// Nowhere.
    #[default]
    Off,
    /// To descriptor 2.
    Stderr,
    /// To a file.
    File(OsString),
}

/// An address to send from, not yet checked against this machine's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The address.
    pub ip: IpAddr,
    /// The interface that a link-local address needs.
    pub zone: Option<String>,
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.zone {
            Some(zone) => write!(f, "{}%{zone}", self.ip),
            None => self.ip.fmt(f),
        }
    }
}

/// The parsed options.
#[derive(Debug, Default)]
pub struct Options {
    /// How targets are probed.
    pub plan: Plan,
    /// What a probe is like on the wire.
    pub packet: PacketOptions,
    /// The only family to probe, if not both.
    pub family: Option<Family>,
    /// The addresses to send from.
    pub sources: PerFamily<Option<Source>>,
    /// Hosts that are known to answer, as typed.
    pub references: Vec<OsString>,
    /// The interface to send and receive on.
    pub interface: Option<String>,
    /// The interface for multicast probes, by name or number, or an address of it; as typed.
    pub multicast_interface: Option<String>,
    /// How long the process may take.
    pub deadline: Option<Duration>,
    /// Where the addresses come from.
    pub input: Input,
    /// Whether and how names are looked up.
    pub names: Names,
    /// How many threads probe.
    pub threads: Threads,
    /// Where the debug log is written to.
    pub debug: Debug,
    /// Which lines are written.
    pub lines: Lines,
    /// Which JSON records are written, if any are.
    pub json: Option<Json>,
    /// The name of the run in them.
    pub run_name: Option<String>,
    /// What becomes of ICMP errors, if that was said.
    icmp_errors: Option<IcmpErrors>,
    /// What the exit code reports.
    pub exit_status: ExitStatus,
    /// What a run with statistics is like; `None`: batch mode.
    pub statistics: Option<Statistics>,
    /// Whether a summary is printed to stderr.
    pub summary: bool,
    /// Whether all rejected lines are reported, and not only the first.
    pub list_errors: bool,
    /// Whether privileges, sockets and limits are reported instead of a run.
    pub check: bool,
    /// What to warn of.
    pub warnings: Vec<Warning>,
    /// Whether no lines are written, whatever `lines` says.
    quiet: bool,
    /// Whether the operands are a network or the ends of a range, as fping's `-g` has it.
    generates_operands: bool,
    /// The ignored options, each once.
    ignored: Vec<String>,
    /// The options that were given, as typed, and their rows.
    given: Vec<(String, &'static Flag)>,
    /// What a run with statistics would be like.
    draft: Statistics,
}

/// The most data with the longest IPv4 header in an Ethernet frame.
const MAX_SIZE_WITH_ROUTE: usize = 1500 - 60 - 8;

/// Which JSON records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// One of each line of the list.
    Targets,
    /// The same, and one of each packet as it comes.
    Packets,
}

/// What the exit code reports beside failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExitStatus {
    /// Nothing.
    #[default]
    Nothing,
    /// Unreachable targets and rejected lines, as fping's.
    Fping,
    /// Whether any target answered, as ping's.
    Ping,
}

/// Parses the command line, without the program's name, of a caller with these limits.
pub fn parse(args: impl IntoIterator<Item = OsString>, limits: &Limits) -> CommandLine {
    let mut parser = Parser::from_args(args);
    let mut options = Options::default();
    let mut operands = Vec::new();
    let mut first_error = None;
    loop {
        let option = match parser.next() {
            Ok(None) => break,
            Ok(Some(Arg::Value(operand))) => {
                operands.push(operand);
                continue;
            }
            Ok(Some(Arg::Long(long))) => find(format!("--{long}"), |flag| flag.long == Some(long)),
            Ok(Some(Arg::Short(short))) => find(format!("-{short}"), |flag| flag.short == Some(short)),
            Err(error) => Err(usage(error)),
        };
        let applied = option.and_then(|(name, flag)| {
            let value = take_value(&mut parser, &name, flag.value);
            options.apply(flag, name, value)
        });
        match applied {
            Ok(Some(request)) if first_error.is_none() => {
                return CommandLine { request: Ok(request), awaits_list: true };
            }
            Ok(_) => {}
            // After the first error only `awaits_list` is of interest.
            Err(error) => {
                first_error.get_or_insert(error);
            }
        }
    }
    let generates = options.generates_operands || matches!(options.input, Input::Generated(_));
    let is_target = |operand: &OsString| is_address(operand) || options.names.resolve;
    let awaits_list = !options.check && !generates && !operands.iter().any(is_target);
    let request = match first_error {
        Some(error) => Err(error),
        None => options.finish(operands, limits).map(|options| Request::Run(Box::new(options))),
    };
    CommandLine { request, awaits_list }
}

/// The letters that have an effect and their rows, in alphabetical order.
pub fn letters() -> Vec<(char, &'static Flag)> {
    let rows = FLAGS.iter().filter(|flag| flag.has_effect());
    let mut letters: Vec<_> = rows.filter_map(|flag| Some((flag.short?, flag))).collect();
    letters.sort_by_key(|(short, _)| (short.to_ascii_lowercase(), short.is_ascii_uppercase()));
    letters
}

/// The row of the option typed as `name`.
fn find(name: String, is_named: impl Fn(&Flag) -> bool) -> Result<(String, &'static Flag), Error> {
    match FLAGS.iter().find(|flag| is_named(flag)) {
        Some(flag) => Ok((name, flag)),
        None => Err(Error::UnknownOption(name.as_bytes().into())),
    }
}

/// Takes the value of the option that `parser` returned last.
fn take_value(parser: &mut Parser, name: &str, value: Value) -> Result<Option<OsString>, Error> {
    match value {
        Value::None if name.starts_with("--") => match parser.optional_value() {
            Some(value) => Err(takes_no_value(name, &value)),
            None => Ok(None),
        },
        // After a letter without a value further letters may follow.
        Value::None => Ok(None),
        Value::Optional(..) => Ok(parser.optional_value()),
        Value::Required(..) => parser.value().map(Some).map_err(usage),
    }
}

impl Options {
    /// Applies an option with its value. Returns a request that needs no further options.
    fn apply(
        &mut self,
        flag: &'static Flag,
        name: String,
        value: Result<Option<OsString>, Error>,
    ) -> Result<Option<Request>, Error> {
        self.given.push((name.clone(), flag));
        // Before the value is checked: `--check=x` also shows that no list will come.
        if let Apply::Switch(set) = flag.apply {
            set(self);
        }
        let value = value?;
        let value = value.as_deref();
        let text = value.unwrap_or_default();
        match flag.apply {
            Apply::Help => return Ok(Some(Request::Help)),
            Apply::Version => return Ok(Some(Request::Version)),
            Apply::Switch(_) | Apply::Accept => {}
            Apply::Set(set) => set(self, text).map_err(|error| error.about(name, text))?,
            Apply::SetOptional(set) => set(self, value).map_err(|error| error.about(name, text))?,
            Apply::Ignore if self.ignored.contains(&name) => {}
            Apply::Ignore => self.ignored.push(name),
        }
        Ok(None)
    }

    /// What becomes of ICMP errors: a line of text has no place for them, a record has.
    pub fn icmp_errors(&self) -> IcmpErrors {
        let has_place = self.json.is_some() || self.statistics.is_some();
        self.icmp_errors.unwrap_or(if has_place { IcmpErrors::Report } else { IcmpErrors::Ignore })
    }

    /// Whether every ICMP message is shown to people, as it comes.
    pub fn tells_all_icmp(&self) -> bool {
        self.json.is_none() && self.icmp_errors() == IcmpErrors::All
    }

    /// Whether ICMP errors are to be shown to people.
    pub fn shows_icmp_errors(&self) -> bool {
        self.json.is_none() && self.icmp_errors() != IcmpErrors::Ignore
    }

    /// Resolves what depends on how results are written.
    fn finish_json(&mut self, limits: &Limits) -> Result<(), Error> {
        if self.icmp_errors == Some(IcmpErrors::All) && !limits.caller_is_root {
            return Err(Error::RootOnly("--icmp-errors=all"));
        }
        if self.json.is_some() && matches!(self.lines, Lines::Alive | Lines::Unreachable) {
            let option = if self.lines == Lines::Alive { "-a" } else { "-u" };
            return Err(Error::Conflict("--json", option));
        }
        if self.run_name.is_some() && self.json.is_none() {
            return Err(Error::Needs("--run-name", "--json"));
        }
        Ok(())
    }

    /// The only family to probe, if not both, and the option that says so.
    pub fn only_family(&self) -> Option<(Family, &'static str)> {
        let option = match self.family? {
            Family::V4 => self.needs_ipv4().unwrap_or("--ipv4"),
            Family::V6 => "--ipv6",
        };
        Some((self.family?, option))
    }

    /// The option that needs IPv4, if there is one.
    fn needs_ipv4(&self) -> Option<&'static str> {
        match self.packet.kind() {
            ProbeKind::Timestamp => Some("--icmp-timestamp"),
            ProbeKind::Mask => Some("--icmp-mask"),
            _ => self.packet.record_route().then_some("--record-route"),
        }
    }

    /// Takes the operands for what they are.
    fn set_operands(&mut self, operands: Vec<OsString>) -> Result<(), Error> {
        let input = match &operands[..] {
            [network] if self.generates_operands => Input::Generated(vec![network.clone()]),
            [from, to] if self.generates_operands => {
                Input::Generated(vec![[from.as_os_str(), to].join(OsStr::new("-"))])
            }
            _ if self.generates_operands => {
                return Err(Error::BadUsage("-g takes a network, or two addresses".to_owned()));
            }
            [] => return Ok(()),
            _ => Input::Operands(operands),
        };
        match self.input {
            Input::Stdin => self.input = input,
            Input::Generated(_) => return Err(Error::Conflict("--generate", "addresses on the command line")),
            _ => return Err(Error::Conflict("--file", "addresses on the command line")),
        }
        Ok(())
    }

    /// Resolves what depends on several options, and applies the caller's limits.
    fn finish(mut self, operands: Vec<OsString>, limits: &Limits) -> Result<Options, Error> {
        self.set_operands(operands)?;
        match &self.input {
            Input::File(path) if is_stdin(path) => self.input = Input::Stdin,
            Input::File(path) if is_closed_descriptor(path) => {
                return Err(Error::ClosedList(path.as_bytes().into()));
            }
            _ => {}
        }
        for (is_given, name) in
            [(self.names.prefer.is_some(), "--prefer"), (self.names.all_addresses, "--all-addresses")]
        {
            if is_given && !self.names.resolve {
                return Err(Error::Needs(name, "--resolve"));
            }
        }
        let (mut family, mut name) = (self.family, "--ipv4");
        if let Some(of_ipv4) = self.needs_ipv4() {
            (family, name) = (family.or(Some(Family::V4)), of_ipv4);
        }
        match (family, &self.sources) {
            (Some(Family::V4), PerFamily { v6: Some(_), .. }) => {
                return Err(Error::Conflict(name, "an IPv6 --source"));
            }
            (Some(Family::V6), PerFamily { v4: Some(_), .. }) => {
                return Err(Error::Conflict("--ipv6", "an IPv4 --source"));
            }
            _ => {}
        }
        self.family = family;
        self.prepare_search()?;
        if self.packet.record_route() && self.packet.size() > MAX_SIZE_WITH_ROUTE {
            // A fragment would record a route of its own.
            return Err(Error::Conflict("--record-route", "--size above 1432"));
        }
        let options = if self.packet.record_route() { RECORD_ROUTE_OPTIONS.len() } else { 0 };
        let max_rate = limits.rate_of(self.packet.size() + options, self.family.unwrap_or(Family::V6));
        if let Some(max_pps) = max_rate.pps().filter(|&max_pps| self.plan.rate().exceeds(max_pps)) {
            self.plan = self.plan.with_rate(max_rate);
            self.warnings.push(Warning::RateLowered(max_pps));
        }
        self.plan = self.plan.with_spacing(limits.spacing).unwrap_or(self.plan);
        if self.quiet {
            self.lines = Lines::None;
        }
        self.finish_json(limits)?;
        self.finish_statistics(limits)?;
        self.finish_threads()?;
        if !self.ignored.is_empty() {
            self.warnings.push(Warning::Ignored(self.ignored.join(" ")));
        }
        Ok(self)
    }
}

/// lexopt's message about arguments that it cannot split, with the input quoted.
fn usage(error: lexopt::Error) -> Error {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => takes_no_value(&option, &value),
        error => Error::BadUsage(error.to_string()),
    }
}

fn takes_no_value(option: &str, value: &OsStr) -> Error {
    Error::BadUsage(format!("{option} takes no value, not {}", Quoted::from(value.as_bytes())))
}

fn is_address(operand: &OsStr) -> bool {
    operand.to_str().is_some_and(|text| text.parse::<IpAddr>().is_ok())
}

/// Whether a path names standard input. That is not opened by its path, which can fail.
fn is_stdin(path: &OsStr) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].into_iter().any(|name| path == name)
}

/// Whether a path names an inherited descriptor, which is closed before the list is opened.
fn is_closed_descriptor(path: &OsStr) -> bool {
    let number = [&b"/dev/fd/"[..], b"/proc/self/fd/"].iter().find_map(|dir| path.as_bytes().strip_prefix(*dir));
    number.and_then(|number| str::from_utf8(number).ok()?.parse::<u32>().ok()).is_some_and(|number| number > 2)
}
