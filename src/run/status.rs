//! The status line: on a terminal renewed every second and wiped at the end; elsewhere written once
//! when a signal asks for it.

use std::fmt::Display;
use std::io::{self, IsTerminal, Stderr, Write};
use std::mem;
use std::time::{Duration, Instant};

use crate::cli::{Debug, Options};
use crate::message::Count;
use crate::run::now;
use crate::stdio::{Stream, Timeout};

/// The status line of a run.
pub struct Status<W> {
    out: W,
    /// When the line is to be renewed; `None`: never, as there is no terminal.
    next: Option<Instant>,
    shown: bool,
}

/// The most columns of the line, so that no terminal wraps it.
const MAX_COLUMNS: usize = 79;

impl<'a> Status<Stream<'a, Stderr>> {
    /// A status line on stderr, `wanted` if that is a terminal and nothing else is written there
    /// meanwhile: lines of other kinds would run into it.
    pub fn of_stderr(options: &Options, wanted: bool) -> Self {
        let is_alone = options.debug != Debug::Stderr && !options.tells_all_icmp();
        let stderr = io::stderr();
        let is_terminal = wanted && is_alone && stderr.is_terminal();
        Status::new(Stream::new(stderr, Timeout::After(Duration::ZERO)), is_terminal)
    }
}

impl<W: Write> Status<W> {
    const PERIOD: Duration = Duration::from_secs(1);

    /// A status line on `out`, which is a terminal or not.
    pub fn new(out: W, is_terminal: bool) -> Self {
        Status { out, next: is_terminal.then(|| now() + Self::PERIOD), shown: false }
    }

    /// When the line is to be renewed.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the line is to be renewed now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// Renews the line, in one write.
    pub fn renew(&mut self, progress: impl Display, now: Instant) {
        self.next = Some(now + Self::PERIOD);
        self.shown = true;
        let mut line = progress.to_string();
        line.truncate(MAX_COLUMNS); // ASCII
        let _ = self.out.write_all(format!("\r{line}\x1b[K").as_bytes());
    }

    /// Shows how many lines of the list were read: on a terminal when that is due, or because a
    /// signal `asked` for it. Returns how long it is until that is due again, if ever.
    pub fn show_reading(&mut self, lines: usize, asked: bool) -> Option<Duration> {
        let progress = format!("reading the list, {} so far", Count(lines, "line"));
        let now = now();
        if asked {
            self.print(progress);
        } else if self.is_due(now) {
            self.renew(progress, now);
        }
        self.next.map(|next| next.saturating_duration_since(now))
    }

    /// Writes the line once, because a signal asked for it.
    pub fn print(&mut self, progress: impl Display) {
        self.wipe();
        let _ = self.out.write_all(format!("xymonping: {progress}\n").as_bytes());
    }

    /// Clears the line, if it is shown.
    pub fn wipe(&mut self) {
        if mem::take(&mut self.shown) {
            let _ = self.out.write_all(b"\r\x1b[K");
        }
    }
}
