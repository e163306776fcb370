//! `--debug`: a line for every packet: time, direction, address, ident, seq, attempt, what it was,
//! RTT. Never a token or a key.

use std::cmp::Ordering;
use std::fmt::Arguments;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use multiping::address::PerFamily;
use multiping::prober::{Event, Probe, ReplyKind};
use multiping::token::Token;
use multiping::wire::{Echo, Original};
use nix::errno::Errno;

use crate::cli::Debug;
use crate::message::Error;
use crate::run::now;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// Writes a line for every packet.
pub struct Log<'a> {
    out: Box<dyn Write + 'a>,
    start: Instant,
    /// How many bytes of data a probe carries.
    size: usize,
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
                Some(Log::new(file.map_err(|error| Error::OpenDebug(path.as_bytes().into(), error))?, size))
            }
        })
    }

    fn new(out: impl Write + 'a, size: usize) -> Self {
        Log { out: Box::new(out), start: now(), size }
    }

    /// Writes the line of an event, if it has one. Breaks with the signal that interrupts the
    /// writing.
    pub fn write(&mut self, event: &Event, idents: PerFamily<u16>) -> ControlFlow<signal::Event> {
        match event {
            Event::Sent { probe: Probe { address, token, seq, .. }, at } => {
                let (ident, attempt) = (idents[address.family()], token.attempt);
                self.line(*at, format_args!("send {address} ident {ident} seq {seq} attempt {attempt}"))
            }
            Event::SendError { probe: Probe { address, token, .. }, error, at } => {
                let (attempt, reason) = (token.attempt, Errno::from_raw(error.errno()).desc());
                self.line(*at, format_args!("send {address} attempt {attempt} refused: {reason}"))
            }
            Event::Received { from, reply: None, kind, at, .. } => self.line(*at, format_args!("recv {from} {kind}")),
            Event::Received { from, reply: Some(Echo { ident, seq, data }), kind, at, .. } => {
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
            Event::IcmpError { from, error, original: Original { destination, echo }, about, at } => {
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
