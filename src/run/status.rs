//! The status line: on a terminal renewed every second and wiped at the end; elsewhere written once
//! when a signal asks for it.

use std::fmt::Display;
use std::io::Write;
use std::mem;
use std::time::{Duration, Instant};

use crate::run::now;

/// The status line of a run.
pub struct Status<W> {
    out: W,
    /// When the line is to be renewed; `None`: never, as there is no terminal.
    next: Option<Instant>,
    shown: bool,
}

impl<W: Write> Status<W> {
    const PERIOD: Duration = Duration::from_secs(1);

    /// A status line on `out`, which is a terminal or not.
    pub fn new(out: W, is_terminal: bool) -> Self {
        Status { out, next: is_terminal.then(|| now() + Self::PERIOD), shown: false }
    }

    /// When the line is to be renewed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    pub(super) fn renew(&mut self, progress: impl Display, now: Instant) {
        self.next = Some(now + Self::PERIOD);
        self.shown = true;
        let _ = write!(self.out, "\r{progress}\x1b[K");
    }

    pub(super) fn print(&mut self, progress: impl Display) {
        self.wipe();
        let _ = writeln!(self.out, "xymonping: {progress}");
    }

    pub(super) fn wipe(&mut self) {
        if mem::take(&mut self.shown) {
            let _ = self.out.write_all(b"\r\x1b[K");
        }
    }
}
