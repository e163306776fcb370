//! The command line: arguments -> [`Options`], and the help text.
//!
//! Everything about a single option stands in one row of the table in `flags`, which the parser, `--help` and the test of
//! the man page all read; `value` knows what numbers and times look like. What remains here is what concerns options
//! together: conflicts, and the limits of the caller.

mod flags;
mod value;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use lexopt::{Arg, Parser};

pub use crate::cli::flags::{FLAGS, Flag, LETTERS, Letter};

use crate::address::{Family, PerFamily};
use crate::cli::flags::Apply;
use crate::cli::value::Bad;
use crate::message::{Error, Quoted, Warning};
use crate::plan::{Limits, Plan, Rate, Shape};
use crate::report::Lines;

/// What the program is asked to do.
#[derive(Debug)]
pub enum Request {
    /// Print the help text.
    Help,
    /// Print name and version.
    Version,
    /// Probe.
    Run(Box<Options>),
}

/// Where the addresses come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Input {
    /// A list on descriptor 0.
    #[default]
    Stdin,
    /// A list in a file.
    File(OsString),
    /// The command line itself.
    Operands(Vec<OsString>),
}

/// Where a line for every packet is written to.
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

/// An address to send from, not yet known to be this machine's.
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

/// Everything that the command line says.
#[derive(Debug, Default)]
pub struct Options {
    /// What every target is sent.
    pub plan: Plan,
    /// What a probe looks like on the wire.
    pub shape: Shape,
    /// The only family wanted, if only one is.
    pub only: Option<Family>,
    /// Where to send from, by family.
    pub sources: PerFamily<Option<Source>>,
    /// The interface to send from and to hear answers on.
    pub interface: Option<String>,
    /// How long the process may take.
    pub deadline: Option<Duration>,
    /// Where the addresses come from.
    pub input: Input,
    /// Where a line for every packet is written to.
    pub debug: Debug,
    /// Which lines are written.
    pub lines: Lines,
    /// Whether the exit code tells of unreachable targets and rejected lines.
    pub exit_status: bool,
    /// Whether the run is summed up on stderr.
    pub summary: bool,
    /// Whether nothing is probed, but what there is to probe with is reported.
    pub check: bool,
    /// What the caller should know, although the run goes on.
    pub warnings: Vec<Warning>,
    /// Whether no lines are written, whatever `lines` says.
    quiet: bool,
    /// The letters given that mean nothing here, with a blank between them.
    ignored: String,
}

/// Reads the command line, without the program's name, of a caller who is held to `limits`.
pub fn parse(args: impl IntoIterator<Item = OsString>, limits: &Limits) -> Result<Request, Error> {
    let mut parser = Parser::from_args(args);
    let mut options = Options::default();
    let mut operands = Vec::new();
    while let Some(arg) = parser.next().map_err(usage)? {
        let (name, value, apply) = match arg {
            Arg::Value(operand) => {
                operands.push(operand);
                continue;
            }
            Arg::Long(long) => match FLAGS.iter().find(|flag| flag.long == long) {
                Some(flag) => (format!("--{long}"), flag.value, &flag.apply),
                None => return Err(Error::UnknownOption(format!("--{long}").as_bytes().into())),
            },
            Arg::Short(short) => match LETTERS.iter().find(|letter| letter.short == short) {
                Some(letter) => (format!("-{short}"), letter.value, &letter.apply),
                None => return Err(Error::UnknownOption(format!("-{short}").as_bytes().into())),
            },
        };
        let long = name.starts_with("--");
        let value = match value.as_bytes() {
            // A letter without a value is followed by further letters.
            [] if long => match parser.optional_value() {
                None => OsString::new(),
                Some(value) => return Err(takes_no_value(&name, &value)),
            },
            [] => OsString::new(),
            [b'[', ..] => match parser.optional_value() {
                Some(value) if value.is_empty() => {
                    return Err(Error::BadValue {
                        option: name,
                        value: b"".as_slice().into(),
                        wanted: "a file, or no =",
                    });
                }
                value => value.unwrap_or_default(),
            },
            _ => parser.value().map_err(usage)?,
        };
        match apply {
            Apply::Help => return Ok(Request::Help),
            Apply::Version => return Ok(Request::Version),
            Apply::Nothing => {}
            Apply::Ignore if options.ignored.split(' ').any(|known| known == name) => {}
            Apply::Ignore if options.ignored.is_empty() => options.ignored = name,
            Apply::Ignore => options.ignored += &format!(" {name}"),
            Apply::Switch(set) => set(&mut options),
            Apply::Set(set) => set(&mut options, &value).map_err(|bad| match bad {
                Bad::Value(wanted) => Error::BadValue { option: name, value: value.as_bytes().into(), wanted },
                Bad::Error(error) => error,
            })?,
        }
    }
    options.finish(operands, limits)?;
    Ok(Request::Run(Box::new(options)))
}

/// Whether a command line that could not be understood still shows that nobody is writing us a list: it has an address to
/// probe, or `--check`.
pub fn needs_no_list(args: impl IntoIterator<Item = OsString>) -> bool {
    let mut parser = Parser::from_args(args);
    loop {
        let value = match parser.next() {
            Ok(None) => return false,
            Ok(Some(Arg::Value(operand))) => {
                if operand.to_str().is_some_and(|text| text.parse::<IpAddr>().is_ok()) {
                    return true;
                }
                continue;
            }
            Ok(Some(Arg::Long("check"))) => return true,
            Ok(Some(Arg::Long(long))) => FLAGS.iter().find(|flag| flag.long == long).map(|flag| flag.value),
            Ok(Some(Arg::Short(short))) => {
                LETTERS.iter().find(|letter| letter.short == short).map(|letter| letter.value)
            }
            Err(_) => continue,
        };
        if value.is_some_and(|value| !value.is_empty() && !value.starts_with('[')) {
            // Its value is no operand, whatever it looks like.
            let _ = parser.value();
        }
    }
}

impl Options {
    /// Brings together what several arguments say, and holds it to the caller's limits.
    fn finish(&mut self, operands: Vec<OsString>, limits: &Limits) -> Result<(), Error> {
        if !operands.is_empty() {
            if self.input != Input::Stdin {
                return Err(Error::Conflict("--file", "addresses on the command line"));
            }
            self.input = Input::Operands(operands);
        }
        match &mut self.input {
            Input::File(path) if is_stdin(path) => self.input = Input::Stdin,
            Input::File(path) if is_closed_descriptor(path) => {
                return Err(Error::ClosedList(path.as_bytes().into()));
            }
            _ => {}
        }
        match (self.only, &self.sources) {
            (Some(Family::V4), PerFamily { v6: Some(_), .. }) => {
                return Err(Error::Conflict("--ipv4", "an IPv6 --source"));
            }
            (Some(Family::V6), PerFamily { v4: Some(_), .. }) => {
                return Err(Error::Conflict("--ipv6", "an IPv4 --source"));
            }
            _ => {}
        }
        let family = self.only.unwrap_or(Family::V6);
        let most = limits.sizes[family];
        if self.shape.size > most {
            return Err(Error::TooMuchData(self.shape.size, most, family.name()));
        }
        if self.plan.rate.exceeds(limits.rate) && limits.rate.is_finite() {
            self.plan.rate = Rate::PerSecond(limits.rate);
            self.warnings.push(Warning::RateLowered(limits.rate));
        }
        self.plan.spacing = limits.spacing;
        if self.quiet {
            self.lines = Lines::None;
        }
        if !self.ignored.is_empty() {
            self.warnings.push(Warning::Ignored(std::mem::take(&mut self.ignored)));
        }
        Ok(())
    }
}

/// The help text, from the table.
pub struct Help;

impl Display for Help {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Usage: xymonping [OPTIONS] [ADDRESS...]")?;
        writeln!(f, "Ping the addresses given, or those of a list on standard input, one a line.\n")?;
        for Flag { long, value, help, default, .. } in FLAGS {
            let name = match value.strip_prefix('[') {
                Some(value) => format!("--{long}[={value}"),
                None if value.is_empty() => format!("--{long}"),
                None => format!("--{long}={value}"),
            };
            let default = default.map_or(String::new(), |default| format!(" [default: {}]", default()));
            writeln!(f, "  {name:18} {help}{default}")?;
        }
        writeln!(f, "\nOf fping's options:")?;
        for Letter { short, value, help, .. } in LETTERS.iter().filter(|letter| !letter.help.is_empty()) {
            let name = format!("-{short} {value}");
            writeln!(f, "  {name:18} {help}")?;
        }
        let others = LETTERS.iter().filter(|letter| letter.help.is_empty()).map(|letter| letter.short);
        writeln!(f, "  The others (-{}) are accepted and ignored.", others.collect::<String>())
    }
}

/// lexopt's words for arguments that cannot be split, but for what they quote of the caller's.
fn usage(error: lexopt::Error) -> Error {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => takes_no_value(&option, &value),
        error => Error::BadUsage(error.to_string()),
    }
}

fn takes_no_value(option: &str, value: &OsStr) -> Error {
    Error::BadUsage(format!("{option} takes no value, not {}", Quoted::from(value.as_bytes())))
}

/// Whether a path names standard input: opened once more by that name, it might be refused.
fn is_stdin(path: &OsStr) -> bool {
    ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"].into_iter().any(|name| path == name)
}

/// Whether a path names a descriptor that is closed by the time the list is opened.
fn is_closed_descriptor(path: &OsStr) -> bool {
    let number = [&b"/dev/fd/"[..], b"/proc/self/fd/"].iter().find_map(|dir| path.as_bytes().strip_prefix(*dir));
    number.and_then(|number| str::from_utf8(number).ok()?.parse::<u32>().ok()).is_some_and(|number| number > 2)
}
