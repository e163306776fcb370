//! The command line of fping 5.5: its options, their conflicts, and its words for them.
//!
//! The options are the rows of `table`; `number` has the syntax of numbers.

mod number;
mod table;

use std::ffi::{OsStr, OsString};
use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::str;
use std::time::Duration;

use multiping::address::{Family, PerFamily};

pub use crate::cli::fping::number::digits_of_any_base;
pub use crate::cli::fping::table::{ROWS, Row};

use crate::cli::Source;
use crate::cli::fping::table::{Apply, IGNORED};
use crate::report::fping::HeaderFields;

/// The version that clients are told. Some of them read exactly two numbers, the first of them 5.
pub const VERSION: &str = "5.5";

/// The most data of a probe, in bytes.
const MAX_SIZE: u32 = 65_507;

/// What the command line requests.
#[derive(Debug)]
pub enum Request {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Probe.
    Run(Box<Options>),
}

/// Why a command line is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The help text says what is expected.
    Usage,
    /// What is wrong with an option, and the option as typed, without its dashes.
    Option(&'static str, Vec<u8>),
    /// A message.
    Said(String),
}

/// Figures at intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The time between two of them.
    pub interval: Duration,
    /// Whether they are those since the start.
    pub cumulative: bool,
}

/// How times are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StampFormat {
    /// Seconds since 1970.
    #[default]
    Unix,
    /// As ctime(3).
    Ctime,
    /// ISO 8601.
    Iso,
    /// RFC 3339, with a blank.
    Rfc3339,
}

/// The parsed options.
#[derive(Clone, Debug)]
pub struct Options {
    /// The only family to probe, if not both.
    pub family: Option<Family>,
    /// Bytes of data in a probe.
    pub size: u32,
    /// The factor from each timeout to the next one.
    pub backoff: f64,
    /// In count mode: how many probes each target gets.
    pub count: Option<u32>,
    /// Whether all round-trip times are printed in the end.
    pub values: bool,
    /// Whether probes are sent without end.
    pub is_endless: bool,
    /// A file with targets.
    pub file: Option<OsString>,
    /// Whether the operands are a range of addresses.
    pub generate: bool,
    /// Time To Live, or Hop Limit.
    pub ttl: Option<u8>,
    /// The least time between two packets.
    pub interval: Duration,
    /// The interface to send and receive on.
    pub interface: Option<OsString>,
    /// The interface to send by.
    pub outgoing_interface: Option<OsString>,
    /// The firewall mark of what is sent.
    pub mark: Option<u32>,
    /// Whether every address of a name is a target.
    pub all_addresses: bool,
    /// Whether Don't Fragment is set.
    pub dont_fragment: bool,
    /// Type Of Service, or Traffic Class.
    pub tos: Option<u8>,
    /// The time between two probes to one target.
    pub period: Duration,
    /// How many further probes a silent target gets.
    pub retries: u32,
    /// Whether the data is random.
    pub random_data: bool,
    /// The addresses to send from.
    pub sources: PerFamily<Option<Source>>,
    /// How long to wait for a reply.
    pub timeout: Option<Duration>,
    /// Whether probes are Timestamp requests.
    pub icmp_timestamp: bool,
    /// Whether the size of the data was given.
    pub has_size: bool,
    /// Whether replies count from the probed address only.
    pub check_source: bool,
    /// Whether only alive targets are printed.
    pub alive: bool,
    /// Whether only unreachable targets are printed.
    pub unreachable: bool,
    /// Whether addresses are printed in the place of names.
    pub addresses: bool,
    /// Whether names are looked up by the address: always, or only of what was typed as one.
    pub reverse_names: Option<bool>,
    /// Whether lines of probes begin with the time.
    pub timestamp: bool,
    /// How that is written.
    pub stamp_format: StampFormat,
    /// Whether round-trip times are printed.
    pub elapsed: bool,
    /// Whether the time lost to silence is printed.
    pub outage: bool,
    /// Whether an object is printed in each line.
    pub json: bool,
    /// What is printed of the headers of replies.
    pub headers: HeaderFields,
    /// Whether reports at intervals are charts for Netdata.
    pub netdata: bool,
    /// Whether neither targets nor probes have lines.
    pub quiet: bool,
    /// Figures at intervals.
    pub report: Option<Report>,
    /// Whether a summary is printed.
    pub stats: bool,
    /// How many targets have to be reachable.
    pub reachable: Option<u32>,
    /// Whether the run ends as soon as they are.
    pub ends_when_reached: bool,
    /// What is not an option.
    pub operands: Vec<OsString>,
}

impl Default for Options {
    /// The defaults of fping.
    fn default() -> Self {
        Options {
            family: None,
            size: 56,
            backoff: 1.5,
            count: None,
            values: false,
            is_endless: false,
            file: None,
            generate: false,
            ttl: None,
            interval: Duration::from_millis(10),
            interface: None,
            outgoing_interface: None,
            mark: None,
            all_addresses: false,
            dont_fragment: false,
            tos: None,
            period: Duration::from_millis(1000),
            retries: 3,
            random_data: false,
            sources: PerFamily::default(),
            timeout: None,
            icmp_timestamp: false,
            has_size: false,
            check_source: false,
            alive: false,
            unreachable: false,
            addresses: false,
            reverse_names: None,
            timestamp: false,
            stamp_format: StampFormat::default(),
            elapsed: false,
            outage: false,
            json: false,
            headers: HeaderFields::default(),
            netdata: false,
            quiet: false,
            report: None,
            stats: false,
            reachable: None,
            ends_when_reached: false,
            operands: Vec::new(),
        }
    }
}

/// Parses the command line, without the program's name `program`.
pub fn parse(program: &OsStr, arguments: &[OsString]) -> Result<Request, Refusal> {
    let mut options = Options::default();
    if program.as_bytes().windows(6).any(|part| part == b"fping6") {
        options.family = Some(Family::V6);
    }
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        let request = match argument.as_bytes() {
            b"--" => {
                options.operands.extend(rest.by_ref().cloned());
                None
            }
            [b'-', b'-', long @ ..] => parse_long(&mut options, long, || rest.next())?,
            [b'-', letters @ ..] if !letters.is_empty() => parse_letters(&mut options, letters, || rest.next())?,
            _ => {
                options.operands.push(argument.clone());
                None
            }
        };
        if let Some(request) = request {
            return Ok(request);
        }
    }
    options.finish().map(|options| Request::Run(Box::new(options)))
}

/// Applies a long option, whose value may be the next argument.
fn parse_long<'a>(
    options: &mut Options,
    long: &[u8],
    next: impl FnOnce() -> Option<&'a OsString>,
) -> Result<Option<Request>, Refusal> {
    let mut parts = long.splitn(2, |&byte| byte == b'=');
    let (name, value) = (parts.next().unwrap_or_default(), parts.next());
    let row = ROWS.iter().find(|row| row.long.is_some_and(|long| long.as_bytes() == name));
    let row = row.ok_or_else(|| Refusal::Option("invalid option", long.to_owned()))?;
    match (row.value, value) {
        (None, Some(_)) => Err(Refusal::Option("option takes no arguments", name.to_owned())),
        (None, None) => options.apply(row, b""),
        (Some(_), Some(value)) => options.apply(row, value),
        (Some(_), None) => {
            let value = next().ok_or_else(|| Refusal::Option("option requires an argument", name.to_owned()))?;
            options.apply(row, value.as_bytes())
        }
    }
}

/// Applies bundled letters. The value of the last one may be attached, or the next argument.
fn parse_letters<'a>(
    options: &mut Options,
    letters: &[u8],
    next: impl FnOnce() -> Option<&'a OsString>,
) -> Result<Option<Request>, Refusal> {
    for (index, &letter) in letters.iter().enumerate() {
        let row = ROWS.iter().chain([&IGNORED]).find(|row| row.short == Some(char::from(letter)));
        let row = row.ok_or_else(|| Refusal::Option("invalid option", vec![letter]))?;
        let request = match (row.value, &letters[index + 1..]) {
            (None, _) => options.apply(row, b"")?,
            (Some(_), []) => {
                let value = next().ok_or_else(|| Refusal::Option("option requires an argument", vec![letter]))?;
                return options.apply(row, value.as_bytes());
            }
            (Some(_), value) => return options.apply(row, value),
        };
        if request.is_some() {
            return Ok(request);
        }
    }
    Ok(None)
}

impl Options {
    fn apply(&mut self, row: &Row, value: &[u8]) -> Result<Option<Request>, Refusal> {
        match row.apply {
            Apply::Help => return Ok(Some(Request::Help)),
            Apply::Version => return Ok(Some(Request::Version)),
            Apply::Switch(set) => set(self),
            Apply::Set(set) => set(self, value)?,
        }
        Ok(None)
    }

    /// Whether each target is asked until it has answered, and not counted or looped.
    pub fn is_default_mode(&self) -> bool {
        self.count.is_none() && !self.is_endless
    }

    /// Checks what depends on several options.
    fn finish(self) -> Result<Options, Refusal> {
        let said = |text: &str| Err(Refusal::Said(text.to_owned()));
        if self.alive && self.unreachable {
            return said("specify only one of a, u");
        }
        if self.count.is_some() && self.is_endless {
            return said("specify only one of c, l");
        }
        if self.interface.is_some() && self.outgoing_interface.is_some() {
            return said("specify only --oiface or -I, --iface");
        }
        if self.json && self.is_default_mode() {
            return said("option -J, --json requires -c, -C, or -l");
        }
        if !(1.0..=5.0).contains(&self.backoff) {
            let backoff = self.backoff;
            return said(&format!("backoff factor {backoff:.1} not valid, must be between 1.0 and 5.0"));
        }
        if self.icmp_timestamp && self.has_size {
            return said("cannot change ICMP Timestamp size");
        }
        if self.size > MAX_SIZE {
            let size = self.size;
            return said(&format!("data size {size} not valid, must not be larger than {MAX_SIZE}"));
        }
        let operands_fit = match (self.generate, &self.file) {
            (true, None) => matches!(self.operands.len(), 1 | 2),
            (true, Some(_)) => false,
            (false, file) => file.is_none() || self.operands.is_empty(),
        };
        if operands_fit { Ok(self) } else { Err(Refusal::Usage) }
    }
}

/// Adds an address to send from, in the place of one of its family.
fn add_source(options: &mut Options, text: &[u8]) -> Result<(), Refusal> {
    let refused = || Refusal::Said(format!("can't parse source address: {}", String::from_utf8_lossy(text)));
    let address = str::from_utf8(text).map_err(|_| refused())?;
    let (ip, zone) = match address.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone.to_owned())),
        None => (address, None),
    };
    let ip: IpAddr = ip.parse().map_err(|_| refused())?;
    if zone.is_some() && ip.is_ipv4() {
        return Err(refused());
    }
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    options.sources[family] = Some(Source { ip, zone });
    Ok(())
}

/// The help text, from the table, for a program that was called by this name.
pub struct Help<'a>(pub &'a OsStr);

impl Display for Help<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "Usage: {} [options] [targets...]", self.0.to_string_lossy())?;
        for (title, is_probing) in [("Probing options", true), ("Output options", false)] {
            writeln!(f, "\n{title}:")?;
            for row in ROWS.iter().filter(|row| row.is_probing == is_probing) {
                let short = row.short.map_or("   ".to_owned(), |short| format!("-{short},"));
                let value = row.value.map_or(String::new(), |value| format!("={value}"));
                let name = format!("{short} --{}{value}", row.long.unwrap_or_default());
                if name.len() < 19 {
                    writeln!(f, "   {name:19}{}", row.help)?;
                } else {
                    writeln!(f, "   {name}\n{:22}{}", "", row.help)?;
                }
            }
        }
        Ok(())
    }
}
