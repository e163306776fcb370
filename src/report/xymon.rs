//! The lines that Xymon reads: one for each line of the list.
//!
//! They are a contract: Xymon reads them with `sscanf` and `strstr`, graphs the number in the
//! brackets, and shows the text on its pages (xymonnet.c `finish_ping_service`, do_net.c
//! `do_net_rrd`).

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::time::Duration;

use multiping::tally::Verdict;

use crate::report::{Lines, Results};

/// Writes a line for each line of the list, in its order.
pub(super) fn write(results: &Results, lines: Lines, out: &mut impl Write) -> io::Result<()> {
    for ((target, shown), line) in results.targets().zip(0..) {
        let Some(address) = results.swept.address(target) else { continue };
        let shown = Host { name: results.lines.name(line), shown };
        match results.swept.verdict(target) {
            Verdict::Alive(rtt) if matches!(lines, Lines::All | Lines::Alive) => {
                writeln!(out, "{shown} is alive ({})", Rtt(rtt))?;
            }
            verdict
                if matches!(lines, Lines::All | Lines::Unreachable)
                    && results.diagnosis.is_unreachable(verdict, address.family()) =>
            {
                writeln!(out, "{shown} is unreachable")?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// An address, and in front of it the name if there is one.
struct Host<'a, S> {
    name: Option<&'a str>,
    shown: S,
}

impl<S: Display> Display for Host<'_, S> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => write!(f, "{name} ({})", self.shown),
            None => self.shown.fmt(f),
        }
    }
}

/// An RTT as Xymon reads it: whole microseconds below 3 ms, but at least 1; tenths of milliseconds
/// from there on; halves rounded up.
struct Rtt(Duration);

impl Display for Rtt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usec = ((self.0.as_nanos() + 500) / 1000).max(1);
        if usec < 3000 {
            write!(f, "{usec} usec")
        } else {
            let tenths = (usec + 50) / 100;
            write!(f, "{}.{} ms", tenths / 10, tenths % 10)
        }
    }
}
