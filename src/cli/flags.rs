//! The one table of flags: what each is called, what it takes, what it does, what the help text says of it.
//!
//! To add an option, add a row to [`FLAGS`]. The single letters are fping's (and so are their units); everything of our
//! own is a long option. What the letters of fping mean that have no meaning here is nothing, but their values are
//! consumed all the same, so that no value is ever taken for an address.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use crate::address::Family;
use crate::cli::value::{Bad, decimal, digits, hex, time, whole, within};
use crate::cli::{Debug, Input, Options, Source};
use crate::message::Error;
use crate::plan::{Plan, Rate, Shape};
use crate::report::Lines;

/// One row of the table.
pub struct Flag {
    /// The name, without dashes.
    pub long: &'static str,
    /// What stands for the value, if there is one; in brackets if it may be left out.
    pub value: &'static str,
    /// What it does, for the help text.
    pub help: &'static str,
    /// What holds without it, where that is a value.
    pub default: Option<fn() -> String>,
    pub(super) apply: Apply,
}

/// A letter of fping.
pub struct Letter {
    /// The letter.
    pub short: char,
    /// What stands for the value, if there is one.
    pub value: &'static str,
    /// What it does here, for the help text; empty: nothing.
    pub help: &'static str,
    pub(super) apply: Apply,
}

/// What a row does.
pub(super) enum Apply {
    Help,
    Version,
    /// Changes the options.
    Switch(fn(&mut Options)),
    /// Changes the options; the value is empty where the flag has none.
    Set(fn(&mut Options, &OsStr) -> Result<(), Bad>),
    /// What we do anyway.
    Nothing,
    /// Nothing, with a warning.
    Ignore,
}

/// Every long option, in the order of the help text.
pub const FLAGS: &[Flag] = &[
    Flag {
        long: "retries",
        value: "N",
        help: "send N further probes to a target that stays silent",
        default: Some(|| Plan::default().retries.to_string()),
        apply: Apply::Set(retries),
    },
    Flag {
        long: "timeout",
        value: "TIME",
        help: "how long a probe may stay unanswered: seconds, or with a unit (1.5s, 500ms)",
        default: Some(|| Plan::default().timeout.as_secs_f64().to_string()),
        apply: Apply::Set(|options, value| {
            options.plan.timeout = within(time(value), Plan::TIMEOUT, "0.001 to 200 seconds, as in 5, 1.5s or 500ms")?;
            Ok(())
        }),
    },
    Flag {
        long: "responses",
        value: "N",
        help: "want N answers of each target and show their mean RTT",
        default: Some(|| Plan::default().responses.to_string()),
        apply: Apply::Set(|options, value| {
            options.plan.responses = whole(value, 1..=255, "a whole number from 1 to 255")?;
            Ok(())
        }),
    },
    Flag {
        long: "max-pps",
        value: "RATE",
        help: "packets a second, retries included, or `unlimited`",
        default: Some(|| match Plan::default().rate {
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
        long: "deadline",
        value: "TIME",
        help: "end by then, counted from the start, whatever is settled",
        default: None,
        apply: Apply::Set(|options, value| {
            const WANTED: &str = "0.001 to 1000000 seconds, as in 60, 1.5s or 500ms";
            let range = Duration::from_millis(1)..=Duration::from_secs(1_000_000);
            options.deadline = Some(within(time(value), range, WANTED)?);
            Ok(())
        }),
    },
    Flag {
        long: "shuffle",
        value: "",
        help: "probe in a random order; lines keep that of the input",
        default: None,
        apply: Apply::Switch(|options| options.plan.shuffle = true),
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
        apply: Apply::Switch(|options| options.plan.check_source = true),
    },
    Flag {
        long: "interface",
        value: "NAME",
        help: "send from this interface, and hear answers only there",
        default: None,
        apply: Apply::Set(interface),
    },
    Flag {
        long: "size",
        value: "N",
        help: "bytes of data in a probe",
        default: Some(|| Shape::default().size.to_string()),
        apply: Apply::Set(size),
    },
    Flag {
        long: "pattern",
        value: "HEX",
        help: "fill the data, after its first 16 bytes, with these bytes (up to 16)",
        default: None,
        apply: Apply::Set(|options, value| {
            options.shape.pattern = hex(value).ok_or(Bad::Value("1 to 16 bytes in hexadecimal, as in ff00"))?;
            Ok(())
        }),
    },
    Flag { long: "ttl", value: "N", help: "Time To Live, or Hop Limit", default: None, apply: Apply::Set(ttl) },
    Flag {
        long: "tos",
        value: "N",
        help: "Type Of Service, or Traffic Class: 0 to 255, or 0x00 to 0xff",
        default: None,
        apply: Apply::Set(tos),
    },
    Flag {
        long: "dont-fragment",
        value: "",
        help: "let no router fragment a probe",
        default: None,
        apply: Apply::Switch(|options| options.shape.dont_fragment = true),
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
        apply: Apply::Switch(|options| options.exit_status = true),
    },
    Flag {
        long: "summary",
        value: "",
        help: "sum the run up on standard error",
        default: None,
        apply: Apply::Switch(|options| options.summary = true),
    },
    Flag {
        long: "check",
        value: "",
        help: "send nothing: say what a run would have to work with",
        default: None,
        apply: Apply::Switch(|options| options.check = true),
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
    Letter { short: 'b', value: "N", help: "--size", apply: Apply::Set(size) },
    Letter { short: 'e', value: "", help: "print RTTs (we always do)", apply: Apply::Nothing },
    Letter { short: 'f', value: "PATH", help: "--file", apply: Apply::Set(file) },
    Letter { short: 'h', value: "", help: "--help", apply: Apply::Help },
    Letter { short: 'H', value: "N", help: "--ttl", apply: Apply::Set(ttl) },
    Letter {
        short: 'i',
        value: "MS",
        help: "milliseconds between packets; 0 is unlimited",
        apply: Apply::Set(interval),
    },
    Letter { short: 'I', value: "NAME", help: "--interface", apply: Apply::Set(interface) },
    Letter {
        short: 'M',
        value: "",
        help: "--dont-fragment",
        apply: Apply::Switch(|options| options.shape.dont_fragment = true),
    },
    Letter { short: 'O', value: "N", help: "--tos", apply: Apply::Set(tos) },
    Letter { short: 'q', value: "", help: "print no lines", apply: Apply::Switch(|options| options.quiet = true) },
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
    ignored('B', "N"),
    ignored('c', "N"),
    ignored('C', "N"),
    ignored('k', "N"),
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
    ignored('n', ""),
    ignored('N', ""),
    ignored('o', ""),
    ignored('R', ""),
    ignored('s', ""),
];

const fn ignored(short: char, value: &'static str) -> Letter {
    Letter { short, value, help: "", apply: Apply::Ignore }
}

fn retries(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    options.plan.retries = whole(value, 0..=255, "a whole number from 0 to 255")?;
    Ok(())
}

fn interface(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    // The kernel's names are shorter than 16 bytes (IFNAMSIZ).
    let name = value.to_str().filter(|name| (1..16).contains(&name.len()));
    options.interface = Some(name.ok_or(Bad::Value("the name of an interface"))?.to_owned());
    Ok(())
}

fn size(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    options.shape.size = within(digits(value), Shape::SIZE, "16 to 65507 bytes")?;
    Ok(())
}

fn ttl(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    options.shape.ttl = Some(whole(value, 1..=255, "a whole number from 1 to 255")?);
    Ok(())
}

fn tos(options: &mut Options, value: &OsStr) -> Result<(), Bad> {
    const WANTED: &str = "0 to 255, or 0x00 to 0xff";
    options.shape.tos = Some(match value.as_bytes().strip_prefix(b"0x") {
        None => whole(value, 0..=255, WANTED)?,
        Some(digits) => match hex(OsStr::from_bytes(digits)).as_deref() {
            Some(&[tos]) => tos,
            _ => return Err(Bad::Value(WANTED)),
        },
    });
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
    if options.lines != Lines::All && options.lines != lines {
        return Err(Bad::Error(Error::Conflict("-a", "-u")));
    }
    options.lines = lines;
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
        return Err(Bad::Error(Error::BadSource(text.as_bytes().into(), why)));
    }
    if zone.is_some() != matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        return Err(Bad::Error(Error::BadSource(
            text.as_bytes().into(),
            "link-local addresses need an interface, others have none",
        )));
    }
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    let place = &mut options.sources[family];
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
