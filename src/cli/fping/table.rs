//! The table of fping's options, which the parser, the help text and the test of the manual page
//! read.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use multiping::address::Family;

use crate::cli::fping::number::{fraction, milliseconds, whole, whole_of_any_base};
use crate::cli::fping::{Options, Refusal, Report, StampFormat, add_source};

/// One option.
pub struct Row {
    /// The letter, without its dash.
    pub short: Option<char>,
    /// The long name, without its dashes.
    pub long: Option<&'static str>,
    /// The name of its value, if it takes one.
    pub value: Option<&'static str>,
    /// Whether it changes what is sent, and not only what is printed.
    pub is_probing: bool,
    /// The help text.
    pub help: &'static str,
    pub(super) apply: Apply,
}

/// The effect of an option.
pub(super) enum Apply {
    Help,
    Version,
    Switch(fn(&mut Options)),
    Set(fn(&mut Options, &[u8]) -> Result<(), Refusal>),
}
use Apply::{Set, Switch};

const fn probing(
    short: Option<char>,
    long: Option<&'static str>,
    value: Option<&'static str>,
    help: &'static str,
    apply: Apply,
) -> Row {
    Row { short, long, value, is_probing: true, help, apply }
}

const fn printing(
    short: Option<char>,
    long: Option<&'static str>,
    value: Option<&'static str>,
    help: &'static str,
    apply: Apply,
) -> Row {
    Row { is_probing: false, ..probing(short, long, value, help, apply) }
}

const N: Option<&str> = Some("N");
const MSEC: Option<&str> = Some("MSEC");

/// Every option, in the order of the help text.
pub const ROWS: &[Row] = &[
    probing(Some('4'), Some("ipv4"), None, "probe IPv4 addresses only", Set(|options, _| only(options, Family::V4))),
    probing(Some('6'), Some("ipv6"), None, "probe IPv6 addresses only", Set(|options, _| only(options, Family::V6))),
    probing(
        Some('b'),
        Some("size"),
        Some("BYTES"),
        "bytes of data in a probe (default: 56)",
        Set(|options, value| {
            options.has_size = true;
            set(&mut options.size, whole(value))
        }),
    ),
    probing(
        Some('B'),
        Some("backoff"),
        N,
        "factor from each timeout to the next (default: 1.5)",
        Set(|options, value| set(&mut options.backoff, fraction(value))),
    ),
    probing(
        Some('c'),
        Some("count"),
        N,
        "count mode: send N probes to each target",
        Set(|options, value| set(&mut options.count, positive(value).map(Some))),
    ),
    probing(
        Some('f'),
        Some("file"),
        Some("FILE"),
        "read targets from a file; - is standard input",
        Set(|options, value| set(&mut options.file, Some(Some(OsStr::from_bytes(value).into())))),
    ),
    probing(
        Some('g'),
        Some("generate"),
        None,
        "probe a range of addresses: FIRST LAST, or ADDRESS/BITS",
        Switch(|options| options.generate = true),
    ),
    probing(
        Some('H'),
        Some("ttl"),
        N,
        "Time To Live, or Hop Limit",
        Set(|options, value| match positive(value) {
            Some(ttl) if ttl > 255 => Err(Refusal::Said(format!("ttl {ttl} out of range"))),
            ttl => set(&mut options.ttl, ttl.map(|ttl| Some(ttl as u8))),
        }),
    ),
    probing(
        Some('i'),
        Some("interval"),
        MSEC,
        "least time between any two packets (default: 10)",
        Set(|options, value| set(&mut options.interval, milliseconds(value))),
    ),
    probing(
        Some('I'),
        Some("iface"),
        Some("IFACE"),
        "send and receive on this interface only",
        Set(|options, value| set(&mut options.interface, Some(Some(OsStr::from_bytes(value).into())))),
    ),
    probing(
        None,
        Some("oiface"),
        Some("IFACE"),
        "send by this interface, and receive on any",
        Set(|options, value| set(&mut options.outgoing_interface, Some(Some(OsStr::from_bytes(value).into())))),
    ),
    probing(
        Some('k'),
        Some("fwmark"),
        N,
        "the firewall mark of probes (for root)",
        Set(|options, value| set(&mut options.mark, positive(value).map(Some))),
    ),
    probing(
        Some('l'),
        Some("loop"),
        None,
        "loop mode: send probes without end",
        Switch(|options| options.is_endless = true),
    ),
    probing(
        Some('m'),
        Some("all"),
        None,
        "probe every address of a name (default: the first one)",
        Switch(|options| options.all_addresses = true),
    ),
    probing(Some('M'), Some("dontfrag"), None, "set Don't Fragment", Switch(|options| options.dont_fragment = true)),
    probing(
        Some('O'),
        Some("tos"),
        N,
        "Type Of Service, or Traffic Class, also in hexadecimal",
        Set(|options, value| {
            let tos = whole_of_any_base(value).and_then(|tos| u8::try_from(tos).ok());
            set(&mut options.tos, tos.map(Some))
        }),
    ),
    probing(
        Some('p'),
        Some("period"),
        MSEC,
        "time between probes to one target (default: 1000)",
        Set(|options, value| set(&mut options.period, milliseconds(value))),
    ),
    probing(
        Some('r'),
        Some("retry"),
        N,
        "further probes to a silent target (default: 3)",
        Set(|options, value| set(&mut options.retries, whole(value))),
    ),
    probing(
        Some('R'),
        Some("random"),
        None,
        "fill the data with random bytes",
        Switch(|options| options.random_data = true),
    ),
    probing(Some('S'), Some("src"), Some("IP"), "send from this local address", Set(add_source)),
    probing(
        Some('t'),
        Some("timeout"),
        MSEC,
        "wait this long for a reply (default: 500, or period)",
        Set(|options, value| set(&mut options.timeout, milliseconds(value).map(Some))),
    ),
    probing(
        None,
        Some("check-source"),
        None,
        "count replies from the probed address only",
        Switch(|options| options.check_source = true),
    ),
    probing(
        None,
        Some("icmp-timestamp"),
        None,
        "send Timestamp requests, print the times told (IPv4)",
        Set(|options, _| {
            if options.family == Some(Family::V6) {
                return Err(Refusal::Said("ICMP Timestamp is IPv4 only".into()));
            }
            (options.family, options.icmp_timestamp) = (Some(Family::V4), true);
            Ok(())
        }),
    ),
    probing(
        None,
        Some("seqmap-timeout"),
        MSEC,
        "no effect: sequence numbers do not run out",
        Set(|_, value| fraction(value).map(drop).ok_or(Refusal::Usage)),
    ),
    printing(Some('a'), Some("alive"), None, "print alive targets only", Switch(|options| options.alive = true)),
    printing(
        Some('A'),
        Some("addr"),
        None,
        "print addresses in the place of names",
        Switch(|options| options.addresses = true),
    ),
    printing(
        Some('C'),
        Some("vcount"),
        N,
        "as -c, and print all round-trip times in the end",
        Set(|options, value| {
            options.values = true;
            set(&mut options.count, positive(value).map(Some))
        }),
    ),
    printing(
        Some('d'),
        Some("rdns"),
        None,
        "print names found by the address",
        Set(|options, _| reverse(options, true)),
    ),
    printing(
        Some('D'),
        Some("timestamp"),
        None,
        "print timestamp before each output line, with -c and -l",
        Switch(|options| options.timestamp = true),
    ),
    printing(
        None,
        Some("timestamp-format"),
        Some("FORMAT"),
        "of -D: ctime, iso or rfc3339 (default: seconds since 1970)",
        Set(|options, value| {
            options.stamp_format = match value {
                b"ctime" => StampFormat::Ctime,
                b"iso" => StampFormat::Iso,
                b"rfc3339" => StampFormat::Rfc3339,
                _ => return Err(Refusal::Usage),
            };
            Ok(())
        }),
    ),
    printing(
        Some('e'),
        Some("elapsed"),
        None,
        "print round-trip times of alive targets",
        Switch(|options| options.elapsed = true),
    ),
    printing(
        Some('J'),
        Some("json"),
        None,
        "print a JSON object in each line, with -c and -l",
        Switch(|options| options.json = true),
    ),
    printing(
        Some('n'),
        Some("name"),
        None,
        "as -d, for targets that were given as addresses",
        Set(|options, _| reverse(options, false)),
    ),
    printing(
        Some('N'),
        Some("netdata"),
        None,
        "print charts for Netdata, with -Q and -l",
        Switch(|options| options.netdata = true),
    ),
    printing(
        Some('o'),
        Some("outage"),
        None,
        "print the time lost to silence, with -c and -l",
        Switch(|options| options.outage = true),
    ),
    printing(
        None,
        Some("print-reply-dst"),
        None,
        "print the destination of each reply",
        Switch(|options| options.headers.destination = true),
    ),
    printing(
        None,
        Some("print-tos"),
        None,
        "print the Type Of Service of each reply",
        Switch(|options| options.headers.tos = true),
    ),
    printing(
        None,
        Some("print-ttl"),
        None,
        "print the TTL of each reply",
        Switch(|options| options.headers.ttl = true),
    ),
    printing(
        Some('q'),
        Some("quiet"),
        None,
        "print neither a line for each target nor for each probe",
        Switch(|options| options.quiet = true),
    ),
    printing(
        Some('Q'),
        Some("squiet"),
        Some("SECS[,cumulative]"),
        "as -q, and print figures each SECS seconds",
        Set(|options, value| {
            let mut parts = value.splitn(2, |&byte| byte == b',');
            let seconds = parts.next().and_then(fraction).ok_or(Refusal::Usage)?;
            let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
            options.quiet = true;
            options.report = Some(Report { interval, cumulative: parts.next() == Some(b"cumulative") });
            Ok(())
        }),
    ),
    printing(Some('s'), Some("stats"), None, "print a summary", Switch(|options| options.stats = true)),
    printing(
        Some('u'),
        Some("unreach"),
        None,
        "print unreachable targets only",
        Switch(|options| options.unreachable = true),
    ),
    printing(
        Some('x'),
        Some("reachable"),
        N,
        "print whether N targets or more are reachable",
        Set(|options, value| reachable(options, value, false)),
    ),
    printing(
        Some('X'),
        Some("fast-reachable"),
        N,
        "as -x, and end as soon as N targets have answered",
        Set(|options, value| reachable(options, value, true)),
    ),
    printing(Some('h'), Some("help"), None, "show this text", Apply::Help),
    // The text of this row is what clients look for.
    printing(Some('v'), Some("version"), None, "show version", Apply::Version),
];

/// An option without a long name: taken with its value, and ignored.
pub(super) const IGNORED: Row = printing(Some('T'), None, N, "", Set(|_, _| Ok(())));

fn set<T>(place: &mut T, value: Option<T>) -> Result<(), Refusal> {
    *place = value.ok_or(Refusal::Usage)?;
    Ok(())
}

fn positive(text: &[u8]) -> Option<u32> {
    whole(text).filter(|&number| number >= 1)
}

fn only(options: &mut Options, family: Family) -> Result<(), Refusal> {
    match options.family {
        Some(other) if other != family => Err(Refusal::Said("can't specify both -4 and -6".into())),
        _ => set(&mut options.family, Some(Some(family))),
    }
}

fn reverse(options: &mut Options, always: bool) -> Result<(), Refusal> {
    if options.reverse_names.is_some_and(|other| other != always) {
        return Err(Refusal::Said("use either one of -d or -n".into()));
    }
    options.reverse_names = Some(always);
    Ok(())
}

fn reachable(options: &mut Options, value: &[u8], at_once: bool) -> Result<(), Refusal> {
    options.ends_when_reached = at_once;
    set(&mut options.reachable, positive(value).map(Some))
}
