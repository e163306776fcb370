//! What a run prints: its lines in a [`Format`], a [`Summary`], and its [`Outcome`] in words. A
//! format is a file below this one.

mod flood;
pub mod fping;
mod histogram;
mod hosts;
pub mod json;
mod lines;
mod outcome;
mod packed;
pub mod ping;
pub mod reasons;
pub mod sizes;
mod state;
mod summary;
mod table;
mod times;
mod unit;
mod xymon;

use std::io::{self, Write};
use std::time::Duration;

use multiping::address::TargetId;
use multiping::prober::{Diagnosis, Event};

pub use crate::report::flood::Flood;
pub use crate::report::hosts::{Host, Hosts};
pub use crate::report::lines::ReplyLines;
pub use crate::report::outcome::{End, Outcome};
pub use crate::report::packed::Packed;
pub use crate::report::summary::{Reserved, Summary};
pub use crate::report::table::{Progress, Style, Table};
pub use crate::report::times::Times;
pub use crate::report::unit::{Rfc3339, Short, Unit};

use crate::figures::Figures;

use crate::list::{OutputLines, Shown};
use crate::swept::Swept;

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

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The lines that Xymon reads.
    Xymon(Lines),
}

impl Default for Format {
    fn default() -> Self {
        Format::Xymon(Lines::default())
    }
}

/// How the events of a run with statistics are written, as they come.
pub trait EventLines {
    /// Writes to `out` what there is to write of an event.
    fn write(&mut self, out: &mut Vec<u8>, context: &EventContext) -> io::Result<()>;
}

/// An event, and what its line needs to know.
#[derive(Clone, Copy)]
pub struct EventContext<'a> {
    /// The event.
    pub event: &'a Event<'a>,
    /// When it happened, since 1970, if that is to be shown.
    pub stamp: Option<Duration>,
    /// The same, if its line may need it.
    pub time: Option<Duration>,
    /// The figures of the run, with this event.
    pub figures: &'a Figures,
    /// The names of the targets.
    pub hosts: &'a Hosts,
}

/// A run that has ended.
#[derive(Clone, Copy)]
pub struct Results<'a> {
    /// The output lines of the list that was probed.
    pub lines: &'a OutputLines,
    /// What happened to its targets.
    pub swept: Swept<'a>,
    /// Whose fault silence was.
    pub diagnosis: &'a Diagnosis,
}

impl Results<'_> {
    /// The targets in the order of the list, with their addresses as typed.
    fn targets(&self) -> impl Iterator<Item = (TargetId, Shown<'_>)> {
        self.lines.iter_with(|target| self.swept.address(target))
    }

    /// Writes the results to `out` and flushes it.
    pub fn write(&self, format: Format, out: &mut impl Write) -> io::Result<()> {
        match format {
            Format::Xymon(lines) => xymon::write(self, lines, out)?,
        }
        out.flush()
    }
}
