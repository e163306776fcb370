//! `--debug`: a line for every packet: time, direction, address, ident, seq, attempt, what it was,
//! RTT. Never a token or a key.

use std::cmp::Ordering;
use std::env;
use std::ffi::OsString;
use std::fmt::{self, Arguments, Display, Formatter};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Instant, SystemTime};

use multiping::address::PerFamily;
use multiping::prober::{Event, Probe, ReplyKind};
use multiping::token::Token;
use multiping::wire::{Echo, Original, Query, Reply};
use nix::errno::Errno;

use crate::cli::Debug;
use crate::list::Zones;
use crate::message::Error;
use crate::run::now;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// The first line of a run's log in a file: date and command.
fn header() -> String {
    let command: Vec<_> = env::args_os().map(|argument| Shown(argument).to_string()).collect();
    format!("# {} {} {}: {}\n", utc(), env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), command.join(" "))
}

/// An argument: as it is if it is plain, otherwise quoted.
struct Shown(OsString);

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._+-=:%,@".contains(byte);
        if !bytes.is_empty() && bytes.iter().all(is_plain) {
            return f.write_str(&self.0.to_string_lossy());
        }
        write!(f, "\"{}\"", bytes.escape_ascii())
    }
}

/// The date and time, as in 2026-01-31T23:59:59Z.
#[expect(clippy::disallowed_methods, reason = "the date of a log")]
fn utc() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, second) = (now / 86_400, now % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a day that is counted from 1970-01-01.
fn date(mut day: u64) -> (u64, u64, u64) {
    let is_leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    (year, month, day + 1)
}

/// Writes a line for every packet.
pub struct Log<'a> {
    out: Box<dyn Write + 'a>,
    start: Instant,
    /// How many bytes of data a probe carries.
    size: usize,
    /// The names of interfaces.
    pub zones: Zones,
}

impl<'a> Log<'a> {
    /// Opens the log that the command line asks for, if it does, of probes with `size` bytes of
    /// data.
    pub fn open(debug: &Debug, size: usize, signals: &'a Signals) -> Result<Option<Self>, Error> {
        Ok(match debug {
            Debug::Off => None,
            Debug::Stderr => Some(Log::new(Stream::new(io::stderr(), Timeout::Signal(signals)), size)),
            Debug::File(path) => {
                let file = Stream::open_log(Path::new(path), signals);
                let mut file = file.map_err(|error| Error::OpenDebug(path.as_bytes().into(), error))?;
                // As with the lines below, a log that cannot be written does not end the run.
                let _ = file.write_all(header().as_bytes());
                Some(Log::new(file, size))
            }
        })
    }

    fn new(out: impl Write + 'a, size: usize) -> Self {
        Log { out: Box::new(out), start: now(), size, zones: Zones::default() }
    }

    /// Writes the line of an event, if it has one. Breaks with the signal that interrupts the
    /// writing.
    pub fn write(&mut self, event: &Event, idents: PerFamily<u16>) -> ControlFlow<signal::Event> {
        match event {
            Event::Sent { probe: Probe { address, token, seq, .. }, at } => {
                let (ident, attempt, address) =
                    (idents[address.family()], token.attempt, self.zones.show(*address).to_string());
                self.line(*at, format_args!("send {address} ident {ident} seq {seq} attempt {attempt}"))
            }
            Event::SendError { probe: Probe { address, token, .. }, error, at } => {
                let (attempt, reason) = (token.attempt, Errno::from_raw(error.errno()).desc());
                let address = self.zones.show(*address).to_string();
                self.line(*at, format_args!("send {address} attempt {attempt} refused: {reason}"))
            }
            Event::Received { from, reply: None, kind, at, .. } => {
                let from = self.zones.show(*from).to_string();
                self.line(*at, format_args!("recv {from} {kind}"))
            }
            Event::Received { from, reply: Some(Reply::Query(Query { ident, seq, .. })), kind, at, .. } => {
                let from = self.zones.show(*from).to_string();
                let attempt = kind.about().map_or(String::new(), |(_, attempt)| format!(" attempt {attempt}"));
                self.line(*at, format_args!("recv {from} ident {ident} seq {seq}{attempt} {kind}"))
            }
            Event::Received { from, reply: Some(Reply::Echo(Echo { ident, seq, data })), kind, at, .. } => {
                let from = self.zones.show(*from).to_string();
                let valid =
                    matches!(kind, ReplyKind::Reply { .. } | ReplyKind::Duplicate { .. } | ReplyKind::Late { .. });
                match Token::parse(data).filter(|_| valid) {
                    Some(Token { attempt, .. }) => {
                        let received = data.len();
                        let length = match received.cmp(&self.size) {
                            Ordering::Less => format!(" cut to {received} bytes"),
                            Ordering::Equal => String::new(),
                            Ordering::Greater => format!(" grown to {received} bytes"),
                        };
                        self.line(
                            *at,
                            format_args!("recv {from} ident {ident} seq {seq} attempt {attempt} {kind}{length}"),
                        )
                    }
                    None => self.line(*at, format_args!("recv {from} ident {ident} seq {seq} {kind}")),
                }
            }
            Event::IcmpError { from, error, original: Original { destination, echo, .. }, about, at } => {
                let (name, Echo { ident, seq, .. }) = (error.name(), echo);
                let stray = if about.is_some() { "" } else { " stray" };
                self.line(*at, format_args!("recv {from} {name} for {destination} ident {ident} seq {seq}{stray}"))
            }
            Event::Message { from, msg_type, code, at } => {
                self.line(*at, format_args!("recv {from} type {msg_type} code {code} stray"))
            }
            Event::TimedOut(_) | Event::Done { .. } => ControlFlow::Continue(()),
        }
    }

    /// Writes one line. A log that cannot be written does not end the run; a signal that comes
    /// meanwhile does.
    fn line(&mut self, at: Instant, what: Arguments) -> ControlFlow<signal::Event> {
        let time = at.saturating_duration_since(self.start).as_secs_f64();
        let written = self.out.write_all(format!("{time:.6} {what}\n").as_bytes());
        written.err().as_ref().and_then(Interrupted::event).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        for (day, expected) in [
            (0, (1970, 1, 1)),
            (58, (1970, 2, 28)),
            (59, (1970, 3, 1)),
            (364, (1970, 12, 31)),
            (789, (1972, 2, 29)),
            (11_016, (2000, 2, 29)),
            (20_783, (2026, 11, 26)),
            (47_540, (2100, 2, 28)),
            (47_541, (2100, 3, 1)),
        ] {
            assert_eq!(date(day), expected, "{day}");
        }
    }

    #[test]
    fn arguments_are_quoted_if_they_are_not_plain() {
        for (argument, shown) in [("--debug=/x", "--debug=/x"), ("", "\"\""), ("a b\n", "\"a b\\n\"")] {
            assert_eq!(Shown(argument.into()).to_string(), shown);
        }
    }
}
