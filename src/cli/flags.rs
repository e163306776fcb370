//! The table of flags: every option of xymonping and of fping.
//!
//! To add an option, add a row to [`FLAGS`]. The letters are fping's and keep fping's units; the
//! other options have long names. A letter with the meaning of a long option is in that option's
//! row; the others have rows of their own. fping's options without an equivalent are ignored. Their
//! values are consumed all the same, so that none is taken for an address.

mod names;
mod output;
mod packet;
mod statistics;
mod threads;

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use multiping::address::Family;
use multiping::plan::{PacketOptions, Plan, Rate};

use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::value::{
    ValueError, checked, in_range, parse_decimal, parse_hex, parse_time, parse_u8, parse_unsigned,
};
use crate::cli::{Input, Options, Source};
use crate::message::Error;
use crate::report::Lines;

/// Every option: the long ones in the order of the help text, then the letters without a long name.
pub const FLAGS: &[Flag] = &[
    Flag {
        long: Some("retries"),
        short: Some('r'),
        value: NUMBER,
        help: "send up to N more probes to a silent target",
        default: Some(|| Plan::default().retries().to_string()),
        apply: Apply::Set(|options, value| {
            options.plan = options.plan.with_retries(parse_u8(value, 0..=255, "a whole number from 0 to 255")?);
            Ok(())
        }),
    },
    Flag {
        long: Some("timeout"),
        short: None,
        value: Value::Required("TIME", Hint::Text),
        help: "wait this long for each reply: seconds, or with a unit (500ms, 1m)",
        default: Some(|| Plan::default().timeout().as_secs_f64().to_string()),
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "0.001 to 200 seconds, as in 5, 500ms or 1m";
            options.plan = checked(parse_time(value), |time| options.plan.with_timeout(time), EXPECTED)?;
            Ok(())
        }),
    },
    Flag {
        long: Some("backoff"),
        short: Some('B'),
        value: Value::Required("F", Hint::Text),
        help: "multiply the timeout by F after each probe without a reply",
        default: Some(|| Plan::default().backoff().to_string()),
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "a factor from 1.0 to 5.0";
            options.plan = checked(parse_decimal(value), |factor| options.plan.with_backoff(factor), EXPECTED)?;
            Ok(())
        }),
    },
    Flag {
        long: Some("responses"),
        short: None,
        value: NUMBER,
        help: "send until N replies per target; print their mean RTT",
        default: Some(|| Plan::default().responses().to_string()),
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "a whole number from 1 to 255";
            options.plan = checked(parse_unsigned(value), |number| options.plan.with_responses(number), EXPECTED)?;
            Ok(())
        }),
    },
    Flag {
        long: Some("max-pps"),
        short: None,
        value: Value::Required("RATE", Hint::Text),
        help: "packets per second, retries included, or `unlimited`",
        default: Some(|| Plan::default().rate().to_string()),
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "0.01 to 10000000 packets a second, or unlimited";
            let rate = match value.to_str() {
                Some("unlimited") => Rate::UNLIMITED,
                _ => checked(parse_decimal(value), Rate::per_second, EXPECTED)?,
            };
            options.plan = options.plan.with_rate(rate);
            Ok(())
        }),
    },
    threads::THREADS,
    Flag {
        long: Some("deadline"),
        short: None,
        value: Value::Required("TIME", Hint::Text),
        help: "exit within TIME of the start, finished or not",
        default: None,
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "0.001 to 1000000 seconds, as in 60, 500ms or 1.5m";
            let range = Duration::from_millis(1)..=Duration::from_secs(1_000_000);
            options.deadline = Some(in_range(parse_time(value), range, EXPECTED)?);
            Ok(())
        }),
    },
    statistics::COUNT,
    statistics::LOOP,
    statistics::PERIOD,
    statistics::LATE,
    statistics::STOP_AFTER,
    statistics::REACHABLE,
    statistics::REPORT_EVERY,
    statistics::QUIET,
    statistics::SHOW_LOST,
    statistics::TIMESTAMPS,
    statistics::PACKED,
    statistics::BELL,
    statistics::FLOOD,
    statistics::PRELOAD,
    statistics::UNIT,
    statistics::PERCENTILES,
    statistics::PERCENTILES_OF,
    statistics::RTT_OF,
    statistics::EXACT,
    statistics::VALUES,
    statistics::WORST,
    statistics::HISTOGRAM,
    Flag {
        long: Some("shuffle"),
        short: None,
        value: Value::None,
        help: "probe in random order; output keeps input order",
        default: None,
        apply: Apply::Switch(|options| options.plan = options.plan.with_shuffle(true)),
    },
    Flag {
        long: Some("source"),
        short: Some('S'),
        value: Value::Required("ADDRESS", Hint::Text),
        help: "send from this local address; once for each family",
        default: None,
        apply: Apply::Set(set_source),
    },
    Flag {
        long: Some("check-source"),
        short: None,
        value: Value::None,
        help: "accept replies from the probed address only",
        default: None,
        apply: Apply::Switch(|options| options.plan = options.plan.with_check_source(true)),
    },
    Flag {
        long: Some("reference"),
        short: None,
        value: Value::Required("ADDRESS", Hint::Text),
        help: "probe this host as well; while it is silent, silence proves nothing",
        default: None,
        apply: Apply::Set(|options, value| {
            options.references.push(value.into());
            Ok(())
        }),
    },
    Flag {
        long: Some("interface"),
        short: Some('I'),
        value: Value::Required("NAME", Hint::Interface),
        help: "send and receive on this interface only",
        default: None,
        apply: Apply::Set(|options, value| {
            // The kernel's names are shorter than 16 bytes (IFNAMSIZ).
            let name = value.to_str().filter(|name| (1..16).contains(&name.len()));
            options.interface = Some(name.ok_or(ValueError::Invalid("the name of an interface"))?.to_owned());
            Ok(())
        }),
    },
    Flag {
        long: Some("size"),
        short: Some('b'),
        value: NUMBER,
        help: "bytes of data in a probe, or from MIN to MAX: MIN-MAX[/STEP]",
        default: Some(|| PacketOptions::default().size().to_string()),
        apply: Apply::Set(packet::set_size),
    },
    Flag {
        long: Some("pattern"),
        short: None,
        value: Value::Required("HEX", Hint::Text),
        help: "fill the data, after its first 16 bytes, with these bytes (up to 16)",
        default: None,
        apply: Apply::Set(|options, value| {
            const EXPECTED: &str = "1 to 16 bytes in hexadecimal, as in ff00";
            checked(parse_hex(value), |pattern| options.packet.set_pattern(pattern), EXPECTED)
        }),
    },
    Flag {
        long: Some("ttl"),
        short: Some('H'),
        value: NUMBER,
        help: "Time To Live, or Hop Limit",
        default: None,
        apply: Apply::Set(|options, value| {
            checked(parse_unsigned(value), |ttl| options.packet.set_ttl(ttl), "a whole number from 1 to 255")
        }),
    },
    Flag {
        long: Some("tos"),
        short: Some('O'),
        value: NUMBER,
        help: "Type Of Service, or Traffic Class: 0 to 255, or 0x00 to 0xff",
        default: None,
        apply: Apply::Set(set_tos),
    },
    Flag {
        long: Some("dont-fragment"),
        short: Some('M'),
        value: Value::None,
        help: "set Don't Fragment",
        default: None,
        apply: Apply::Switch(|options| options.packet.set_dont_fragment(true)),
    },
    packet::FIND_MTU,
    packet::ICMP_TIMESTAMP,
    packet::ICMP_MASK,
    packet::DONT_ROUTE,
    packet::RECORD_ROUTE,
    packet::MULTICAST_TTL,
    packet::MULTICAST_INTERFACE,
    packet::NO_MULTICAST_LOOP,
    Flag {
        long: Some("ipv4"),
        short: Some('4'),
        value: Value::None,
        help: "probe IPv4 addresses only",
        default: None,
        apply: Apply::Set(|options, _| set_family(options, Family::V4)),
    },
    Flag {
        long: Some("ipv6"),
        short: Some('6'),
        value: Value::None,
        help: "probe IPv6 addresses only",
        default: None,
        apply: Apply::Set(|options, _| set_family(options, Family::V6)),
    },
    Flag {
        long: Some("file"),
        short: Some('f'),
        value: Value::Required("PATH", Hint::File),
        help: "read the list from a file; `-` is standard input",
        default: None,
        apply: Apply::Set(|options, value| {
            if value.is_empty() {
                return Err(ValueError::Invalid("the path of a list, or - for standard input"));
            }
            match options.input {
                Input::Stdin => options.input = Input::File(value.into()),
                Input::Generated(_) => return Err(Error::Conflict("--file", "--generate").into()),
                _ => return Err(Error::Conflict("--file", "another --file").into()),
            }
            Ok(())
        }),
    },
    Flag {
        long: Some("generate"),
        short: None,
        value: Value::Required("RANGE", Hint::Text),
        help: "probe a network (192.0.2.0/24) or a range (FROM-TO)",
        default: None,
        apply: Apply::Set(|options, value| {
            match &mut options.input {
                Input::Stdin => options.input = Input::Generated(vec![value.into()]),
                Input::Generated(ranges) => ranges.push(value.into()),
                _ => return Err(Error::Conflict("--file", "--generate").into()),
            }
            Ok(())
        }),
    },
    Flag {
        long: Some("list-errors"),
        short: None,
        value: Value::None,
        help: "report every rejected line, not only the first 10",
        default: None,
        apply: Apply::Switch(|options| options.list_errors = true),
    },
    names::RESOLVE,
    names::PREFER,
    names::ALL_ADDRESSES,
    names::NAMES,
    output::ICMP_ERRORS,
    output::JSON,
    output::RUN_NAME,
    output::EXIT_STATUS,
    output::SUMMARY,
    Flag {
        long: Some("check"),
        short: None,
        value: Value::None,
        help: "report privileges, sockets and limits; probe no target",
        default: None,
        apply: Apply::Switch(|options| options.check = true),
    },
    output::DEBUG,
    Flag {
        long: Some("help"),
        short: Some('h'),
        value: Value::None,
        help: "print this text",
        default: None,
        apply: Apply::Help,
    },
    Flag {
        long: Some("version"),
        short: Some('v'),
        value: Value::None,
        help: "print name and version",
        default: None,
        apply: Apply::Version,
    },
    letter('a', Value::None, "print alive targets only", Apply::Set(|options, _| set_lines(options, Lines::Alive))),
    letter('A', Value::None, "print addresses (always done)", Apply::Accept),
    letter('e', Value::None, "print RTTs (always done)", Apply::Accept),
    letter(
        'g',
        Value::None,
        "--generate, of the arguments: a network, or two addresses",
        Apply::Switch(|options| options.generates_operands = true),
    ),
    letter('i', MILLISECONDS, "milliseconds between packets; 0 is unlimited", Apply::Set(set_interval)),
    statistics::PERIOD_MS,
    statistics::REPORT_LETTER,
    statistics::VALUES_LETTER,
    letter('t', MILLISECONDS, "--timeout, in milliseconds", Apply::Set(set_timeout_ms)),
    letter(
        'u',
        Value::None,
        "print unreachable targets only",
        Apply::Set(|options, _| set_lines(options, Lines::Unreachable)),
    ),
    output::JSON_LETTER,
    ignored('k', NUMBER),
    ignored('T', NUMBER),
    ignored('x', NUMBER),
    ignored('X', NUMBER),
    ignored('d', Value::None),
    ignored('m', Value::None),
    ignored('n', Value::None),
    ignored('N', Value::None),
    ignored('o', Value::None),
    ignored('R', Value::None),
];

const NUMBER: Value = Value::Required("N", Hint::Text);
const MILLISECONDS: Value = Value::Required("MS", Hint::Text);

const fn letter(short: char, value: Value, help: &'static str, apply: Apply) -> Flag {
    Flag { long: None, short: Some(short), value, help, default: None, apply }
}

const fn ignored(short: char, value: Value) -> Flag {
    letter(short, value, "", Apply::Ignore)
}

fn set_source(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: ValueError = ValueError::Invalid("one address of this machine");
    let text = value.to_str().ok_or(EXPECTED)?;
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| EXPECTED)?;
    let why = if ip.is_unspecified() {
        Some("the unspecified address")
    } else if ip.is_multicast() {
        Some("a multicast address")
    } else if ip == Ipv4Addr::BROADCAST {
        Some("a broadcast address")
    } else if matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()) {
        Some("an IPv4-mapped address")
    } else if zone.is_some() != matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local()) {
        Some("link-local addresses need an interface, others have none")
    } else {
        None
    };
    if let Some(why) = why {
        return Err(Error::BadSource(text.as_bytes().into(), why).into());
    }
    let family = if ip.is_ipv4() { Family::V4 } else { Family::V6 };
    let source = &mut options.sources[family];
    if source.is_some() {
        return Err(Error::Conflict("--source", "another --source of its family").into());
    }
    *source = Some(Source { ip, zone: zone.map(str::to_owned) });
    Ok(())
}

fn set_tos(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: &str = "0 to 255, or 0x00 to 0xff";
    options.packet.set_tos(match value.as_bytes().strip_prefix(b"0x") {
        None => parse_u8(value, 0..=255, EXPECTED)?,
        Some(digits) => match parse_hex(OsStr::from_bytes(digits)).as_deref() {
            Some(&[tos]) => tos,
            _ => return Err(ValueError::Invalid(EXPECTED)),
        },
    });
    Ok(())
}

fn set_family(options: &mut Options, family: Family) -> Result<(), ValueError> {
    if options.family.is_some_and(|other| other != family) {
        return Err(Error::Conflict("--ipv4", "--ipv6").into());
    }
    options.family = Some(family);
    Ok(())
}

fn set_lines(options: &mut Options, lines: Lines) -> Result<(), ValueError> {
    if options.lines != Lines::All && options.lines != lines {
        return Err(Error::Conflict("-a", "-u").into());
    }
    options.lines = lines;
    Ok(())
}

fn set_interval(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: &str = "milliseconds from 0.0001 to 100000, or 0 for unlimited";
    let ms = parse_decimal(value).ok_or(ValueError::Invalid(EXPECTED))?;
    let rate = if ms == 0.0 { Rate::UNLIMITED } else { checked(Some(1000.0 / ms), Rate::per_second, EXPECTED)? };
    options.plan = options.plan.with_rate(rate);
    Ok(())
}

fn set_timeout_ms(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    let time = parse_decimal(value).and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
    options.plan = checked(time, |time| options.plan.with_timeout(time), "1 to 200000 milliseconds")?;
    Ok(())
}
