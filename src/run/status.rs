//! The status line: on a terminal renewed every second and wiped at the end; elsewhere written once
//! when a signal asks for it.

use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::mem;
use std::time::{Duration, Instant};

use multiping::prober::{Prober, Sweep};

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

    pub(super) fn renew(&mut self, prober: &Prober<Sweep>, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + Self::PERIOD);
            self.shown = true;
            let _ = write!(self.out, "\r{}\x1b[K", Progress { prober, now });
        }
    }

    pub(super) fn print(&mut self, prober: &Prober<Sweep>, now: Instant) {
        self.wipe();
        let _ = writeln!(self.out, "xymonping: {}", Progress { prober, now });
    }

    pub(super) fn wipe(&mut self) {
        if mem::take(&mut self.shown) {
            let _ = self.out.write_all(b"\r\x1b[K");
        }
    }
}

struct Progress<'a> {
    prober: &'a Prober<Sweep>,
    now: Instant,
}

impl Display for Progress<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Progress { prober, now } = self;
        let sweep = prober.strategy();
        let (alive, silent) = (sweep.alive(), sweep.settled() - sweep.alive());
        let remaining = prober.remaining(*now).as_secs_f64().ceil();
        write!(f, "{} of {} probed, ", sweep.tried(), sweep.addresses().len())?;
        write!(f, "{alive} alive, {silent} silent, about {remaining} s left")
    }
}
