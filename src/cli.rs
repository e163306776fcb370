//! The command line: one table of flags, which the parser, `--help` and the test of the man page all read.
//!
//! To add an option, add a row to [`FLAGS`]. The single letters are fping's (and so are their units); everything of our
//! own is a long option. What the letters of fping mean that have no meaning here is nothing, but their values are
//! consumed all the same, so that no value is ever taken for an address.

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use lexopt::{Arg, Parser};

use crate::error::{Error, Warning};
use crate::plan::{Limits, Plan, Rate};
use crate::report::Lines;
use crate::wire::Family;

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

/// Where packets are written about.
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

/// Everything that the command line says.
#[derive(Debug, Default)]
pub struct Options {
    /// What every target is sent.
    pub plan: Plan,
    /// The only family wanted, if only one is.
    pub only: Option<Family>,
    /// Where to send from, by family.
    pub sources: [Option<Source>; 2],
    /// Where the addresses come from.
    pub input: Input,
    /// Where packets are written about.
    pub debug: Debug,
    /// Which lines are written.
    pub lines: Lines,
    /// Whether the exit code tells of unreachable targets and rejected lines.
    pub exit_status: bool,
    /// What the caller should know.
    pub warnings: Vec<Warning>,
    /// Options of fping that mean nothing here.
    ignored: String,
}

/// One row of the table.
pub struct Flag {
    /// The name, without dashes.
    pub long: &'static str,
    /// What stands for the value, if there is one; in brackets if it may be left out.
    pub value: &'static str,
    /// What it does, for the help text.
    pub help: &'static str,
    /// What holds without it, where that is a value.
    pub default: Option<fn(&Plan) -> String>,
    apply: Apply,
}

/// A letter of fping.
pub struct Letter {
    /// The letter.
    pub short: char,
    /// What stands for the value, if there is one.
    pub value: &'static str,
    /// What it does here, for the help text; empty: nothing.
    pub help: &'static str,
    apply: Apply,
}

enum Apply {
    Help,
    Version,
    /// Changes the options; the value is empty where the flag has none.
    Set(fn(&mut Options, &OsStr) -> Result<(), Bad>),
    /// What we do anyway.
    Nothing,
    /// Nothing, with a warning.
    Ignore,
}

/// Why a value cannot be had.
enum Bad {
    /// It is no such value; this is.
    Value(&'static str),
    /// Something worse.
    Error(Error),
}

/// Every long option, in the order of the help text.
pub const FLAGS: &[Flag] = &[
    Flag {
        long: "retries",
        value: "N",
        help: "send N further probes to a target that stays silent",
        default: Some(|plan| plan.retries.to_string()),
        apply: Apply::Set(retries),
    },
    Flag {
        long: "timeout",
        value: "TIME",
        help: "how long a probe may stay unanswered: seconds, or with a unit (1.5s, 500ms)",
        default: Some(|plan| plan.timeout.as_secs_f64().to_string()),
        apply: Apply::Set(|options, value| {
            options.plan.timeout = within(time(value), Plan::TIMEOUT, "0.001 to 200 seconds, as in 5, 1.5s or 500ms")?;
            Ok(())
        }),
    },
    Flag {
        long: "responses",
        value: "N",
        help: "want N answers of each target and show their mean RTT",
        default: Some(|plan| plan.responses.to_string()),
        apply: Apply::Set(|options, value| {
            options.plan.responses = whole(value, 1..=255, "a whole number from 1 to 255")?;
            Ok(())
        }),
    },
    Flag {
        long: "max-pps",
        value: "RATE",
        help: "packets a second, retries included, or `unlimited`",
        default: Some(|plan| match plan.rate {
            Rate::PerSecond(pps) => pps.to_string(),
            Rate::Unlimited => "unlimited".into(),
        }),
        apply: Apply::Set(|options, value| {
            options.plan.rate = if value == "unlimited" {
                Rate::Unlimited
            } else {
                Rate::PerSecond(within(decimal(value), Rate::RANGE, "0.01 to 10000000 packets a second, or unlimited")?)
            };
            Ok(())
        }),
    },
    Flag {
        long: "source",
        value: "ADDRESS",
        help: "send from this address of this machine; once for each family",
        default: None,
        apply: Apply::Set(source),
    },
    Flag {
        long: "check-source",
        value: "",
        help: "count an answer only if it comes from the address that was probed",
        default: None,
        apply: Apply::Set(|options, _| {
            options.plan.check_source = true;
            Ok(())
        }),
    },
    Flag {
        long: "ipv4",
        value: "",
        help: "probe IPv4 addresses only",
        default: None,
        apply: Apply::Set(|options, _| only(options, Family::V4)),
    },
    Flag {
        long: "ipv6",
        value: "",
        help: "probe IPv6 addresses only",
        default: None,
        apply: Apply::Set(|options, _| only(options, Family::V6)),
    },
    Flag {
        long: "file",
        value: "PATH",
        help: "read the list from a file; `-` is standard input",
        default: None,
        apply: Apply::Set(file),
    },
    Flag {
        long: "exit-status",
        value: "",
        help: "exit 1 if a target is unreachable, 2 if a line is no address",
        default: None,
        apply: Apply::Set(|options, _| {
            options.exit_status = true;
            Ok(())
        }),
    },
    Flag {
        long: "debug",
        value: "[FILE]",
        help: "write a line for every packet to standard error, or append it to FILE",
        default: None,
        apply: Apply::Set(|options, value| {
            options.debug = if value.is_empty() { Debug::Stderr } else { Debug::File(value.into()) };
            Ok(())
        }),
    },
    Flag { long: "help", value: "", help: "print this text", default: None, apply: Apply::Help },
    Flag { long: "version", value: "", help: "print name and version", default: None, apply: Apply::Version },
];

/// Every letter of fping.
pub const LETTERS: &[Letter] = &[
    Letter { short: '4', value: "", help: "--ipv4", apply: Apply::Set(|options, _| only(options, Family::V4)) },
    Letter { short: '6', value: "", help: "--ipv6", apply: Apply::Set(|options, _| only(options, Family::V6)) },
    Letter {
        short: 'a',
        value: "",
        help: "print alive targets only",
        apply: Apply::Set(|o, _| lines(o, Lines::Alive)),
    },
    Letter { short: 'A', value: "", help: "print addresses (we always do)", apply: Apply::Nothing },
    Letter { short: 'e', value: "", help: "print RTTs (we always do)", apply: Apply::Nothing },
    Letter { short: 'f', value: "PATH", help: "--file", apply: Apply::Set(file) },
    Letter { short: 'h', value: "", help: "--help", apply: Apply::Help },
    Letter {
        short: 'i',
        value: "MS",
        help: "milliseconds between packets; 0 is unlimited",
        apply: Apply::Set(interval),
    },
    Letter { short: 'q', value: "", help: "print no lines", apply: Apply::Set(|o, _| lines(o, Lines::None)) },
    Letter { short: 'r', value: "N", help: "--retries", apply: Apply::Set(retries) },
    Letter { short: 'S', value: "ADDRESS", help: "--source", apply: Apply::Set(source) },
    Letter { short: 't', value: "MS", help: "--timeout, in milliseconds", apply: Apply::Set(milliseconds) },
    Letter {
        short: 'u',
        value: "",
        help: "print unreachable targets only",
        apply: Apply::Set(|o, _| lines(o, Lines::Unreachable)),
    },
    Letter { short: 'v', value: "", help: "--version", apply: Apply::Version },
    ignored('b', "N"),
    ignored('B', "N"),
    ignored('c', "N"),
    ignored('C', "N"),
    ignored('H', "N"),
    ignored('I', "NAME"),
    ignored('k', "N"),
    ignored('O', "N"),
    ignored('p', "N"),
    ignored('Q', "N"),
    ignored('T', "N"),
    ignored('x', "N"),
    ignored('X', "N"),
    ignored('d', ""),
    ignored('D', ""),
    ignored('g', ""),
    ignored('J', ""),
    ignored('l', ""),
    ignored('m', ""),
    ignored('M', ""),
    ignored('n', ""),
    ignored('N', ""),
    ignored('o', ""),
    ignored('R', ""),
    ignored('s', ""),
];

const fn ignored(short: char, value: &'static str) -> Letter {
    Letter { short, value, help: "", apply: Apply::Ignore }
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
        let value = match value.as_bytes() {
            [] => OsString::new(),
            [b'[', ..] => parser.optional_value().unwrap_or_default(),
            _ => parser.value().map_err(usage)?,
        };
        match apply {
            Apply::Help => return Ok(Request::Help),
            Apply::Version => return Ok(Request::Version),
            Apply::Nothing => {}
            Apply::Ignore if options.ignored.split(' ').any(|known| known == name) => {}
            Apply::Ignore if options.ignored.is_empty() => options.ignored = name,
            Apply::Ignore => options.ignored += &format!(" {name}"),
            Apply::Set(set) => set(&mut options, &value).map_err(|bad| match bad {
                Bad::Value(wanted) => Error::BadValue { option: name, value: value.as_bytes().into(), wanted },
                Bad::Error(error) => error,
            })?,
        }
    }
    options.finish(operands, limits)?;
    Ok(Request::Run(Box::new(options)))
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
            Input::File(path) if path == "-" => self.input = Input::Stdin,
            Input::File(path) if is_closed_descriptor(path) => {
                return Err(Error::ClosedList(path.as_bytes().into()));
            }
            _ => {}
        }
        match (self.only, &self.sources) {
            (Some(Family::V4), [_, Some(_)]) => return Err(Error::Conflict("--ipv4", "an IPv6 --source")),
            (Some(Family::V6), [Some(_), _]) => return Err(Error::Conflict("--ipv6", "an IPv4 --source")),
            _ => {}
        }
        if self.plan.rate.exceeds(limits.rate) && limits.rate.is_finite() {
            self.plan.rate = Rate::PerSecond(limits.rate);
            self.warnings.push(Warning::RateLowered(limits.rate));
        }
        self.plan.spacing = limits.spacing;
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
        let defaults = Plan::default();
        for Flag { long, value, help, default, .. } in FLAGS {
            let name = match value.strip_prefix('[') {
                Some(value) => format!("--{long}[={value}"),
                None if value.is_empty() => format!("--{long}"),
                None => format!("--{long}={value}"),
            };
            let default = default.map_or(String::new(), |default| format!(" [default: {}]", default(&defaults)));
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

/// lexopt's words for arguments that cannot be split; what it quotes of the caller's it has escaped.
fn usage(error: lexopt::Error) -> Error {
    Error::BadUsage(error.to_string())
}

fn retries(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    options.plan.retries = whole(value, 0..=255, "a whole number from 0 to 255")?;
    Ok(())
}

fn file(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    if value.is_empty() {
        return Err(Bad::Value("the path of a list, or - for standard input"));
    }
    if options.input != Input::Stdin {
        return Err(Bad::Error(Error::Conflict("--file", "another --file")));
    }
    options.input = Input::File(value.into());
    Ok(())
}

fn only(options: &mut Options, family: Family) -> Result<(), Bad> {
    if options.only.is_some_and(|only| only != family) {
        return Err(Bad::Error(Error::Conflict("--ipv4", "--ipv6")));
    }
    options.only = Some(family);
    Ok(())
}

fn lines(options: &mut Options, lines: Lines) -> Result<(), Bad> {
    options.lines = match (options.lines, lines) {
        (Lines::Alive, Lines::Unreachable) | (Lines::Unreachable, Lines::Alive) => {
            return Err(Bad::Error(Error::Conflict("-a", "-u")));
        }
        (Lines::None, _) | (_, Lines::None) => Lines::None,
        (_, lines) => lines,
    };
    Ok(())
}

fn source(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    const WANTED: Bad = Bad::Value("one address of this machine");
    let text = value.to_str().ok_or(WANTED)?;
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| WANTED)?;
    let why = if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else if ip == Ipv4Addr::BROADCAST {
        Some("a broadcast address")
    } else if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        Some("an IPv4-mapped address")
    } else {
        None
    };
    if let Some(why) = why {
        return Err(Bad::Error(Error::BadSource(ip, why)));
    }
    if zone.is_some() != matches!(ip, IpAddr::V6(ip) if Ipv6Addr::is_unicast_link_local(&ip)) {
        return Err(Bad::Error(Error::BadSource(
            ip,
            "link-local addresses, and only they, need an interface, as in fe80::1%eth0",
        )));
    }
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    let place = &mut options.sources[family.index()];
    if place.is_some() {
        return Err(Bad::Error(Error::Conflict("--source", "another --source of its family")));
    }
    *place = Some(Source { ip, zone: zone.map(str::to_owned) });
    Ok(())
}

/// fping's `-i`.
fn interval(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    const WANTED: &str = "milliseconds from 0.0001 to 100000, or 0 for unlimited";
    let ms = decimal(value).ok_or(Bad::Value(WANTED))?;
    options.plan.rate =
        if ms == 0.0 { Rate::Unlimited } else { Rate::PerSecond(within(Some(1000.0 / ms), Rate::RANGE, WANTED)?) };
    Ok(())
}

/// fping's `-t`.
fn milliseconds(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    let time = decimal(value).and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
    options.plan.timeout = within(time, Plan::TIMEOUT, "1 to 200000 milliseconds")?;
    Ok(())
}

/// A time in seconds, or with a unit.
fn time(value: &OsStr) -> Option<Duration> {
    let text = value.to_str()?;
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    Duration::try_from_secs_f64(decimal(OsStr::new(number))? * unit).ok()
}

/// A decimal number as people write it: digits and at most one point. No sign, no exponent, no infinity.
fn decimal(value: &OsStr) -> Option<f64> {
    let text = value.to_str()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

fn whole(value: &OsStr, range: std::ops::RangeInclusive<u8>, wanted: &'static str) -> Result<u8, Bad> {
    let digits = value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    within(digits.and_then(|digits| digits.parse().ok()), range, wanted)
}

fn within<T: PartialOrd>(value: Option<T>, range: std::ops::RangeInclusive<T>, wanted: &'static str) -> Result<T, Bad> {
    value.filter(|value| range.contains(value)).ok_or(Bad::Value(wanted))
}

/// Whether a path names a descriptor that is closed by the time the list is opened.
fn is_closed_descriptor(path: &OsStr) -> bool {
    let number = [&b"/dev/fd/"[..], b"/proc/self/fd/"].iter().find_map(|dir| path.as_bytes().strip_prefix(*dir));
    number.and_then(|number| str::from_utf8(number).ok()?.parse::<u32>().ok()).is_some_and(|number| number > 2)
}
