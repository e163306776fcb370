//! Verdicts -> lines. The lines are a contract: Xymon reads them with `sscanf` and `strstr`, graphs the number in the
//! brackets, and shows the text on its pages (xymonnet.c `finish_ping_service`, do_net.c `do_net_rrd`).

use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::time::Duration;

use crate::prober::Prober;
use crate::tally::Verdict;
use crate::targets::TargetId;

/// Which lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lines {
    /// All of them.
    #[default]
    All,
    /// Only those of targets that are alive.
    Alive,
    /// Only those of targets that are unreachable.
    Unreachable,
    /// None.
    None,
}

/// Writes the lines of a run, in the order of the input. `has_line` says of a target that has no verdict of its own
/// (it was never sent to) whether it is to be called unreachable all the same.
pub fn write(
    out: &mut impl Write,
    prober: &Prober,
    lines: Lines,
    has_line: impl Fn(TargetId) -> bool,
) -> io::Result<()> {
    for (address, target) in prober.targets().lines() {
        match prober.verdict(target) {
            Verdict::Alive(rtt) if matches!(lines, Lines::All | Lines::Alive) => {
                writeln!(out, "{address} is alive ({})", Rtt(rtt))?;
            }
            Verdict::Unreachable if matches!(lines, Lines::All | Lines::Unreachable) => {
                writeln!(out, "{address} is unreachable")?;
            }
            Verdict::Unsent(_) if matches!(lines, Lines::All | Lines::Unreachable) && has_line(target) => {
                writeln!(out, "{address} is unreachable")?;
            }
            _ => {}
        }
    }
    out.flush()
}

/// An RTT as Xymon reads it: whole microseconds below 3 ms, tenths of milliseconds from there on, halves rounded up.
struct Rtt(Duration);

impl Display for Rtt {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let usec = (self.0.as_nanos() + 500) / 1000;
        if usec < 3000 {
            write!(f, "{usec} usec")
        } else {
            let tenths = (usec + 50) / 100;
            write!(f, "{}.{} ms", tenths / 10, tenths % 10)
        }
    }
}
