//! The names of targets in the lines of a run with statistics: their addresses, and the labels of
//! the list.

use std::fmt::{self, Display, Formatter};

use multiping::address::{Addresses, TargetId};
use multiping::alloc::{OutOfMemory, try_filled};

use crate::list::{OutputLines, Shown};

/// The first line of each target, whose label and spelling its replies get.
#[derive(Debug)]
pub struct Hosts {
    lines: OutputLines,
    first: Vec<u32>,
}

impl Hosts {
    /// Finds the first line of each target.
    pub fn new(lines: OutputLines, addresses: &Addresses) -> Result<Self, OutOfMemory> {
        let mut first = try_filled(addresses.len(), u32::MAX)?;
        for ((target, _), line) in lines.iter(addresses).zip(0..) {
            let first: &mut u32 = &mut first[target.index()];
            *first = (*first).min(line);
        }
        Ok(Hosts { lines, first })
    }

    /// The lines of the list.
    pub fn lines(&self) -> &OutputLines {
        &self.lines
    }

    /// A target as its replies are headed: `web01 (192.0.2.1)`.
    pub fn name(&self, target: TargetId, addresses: &Addresses) -> Option<Host<'_>> {
        self.parts(target, addresses).map(|(shown, label)| Host { shown, label })
    }

    /// The address and the label of a target.
    pub fn parts(&self, target: TargetId, addresses: &Addresses) -> Option<(Shown<'_>, &str)> {
        let line = *self.first.get(target.index())?;
        Some((self.lines.shown(line, addresses.get(target)?), self.lines.label(line)))
    }
}

/// A target with its label.
pub struct Host<'a> {
    /// Its address as typed.
    pub shown: Shown<'a>,
    /// Its label; empty if it has none.
    pub label: &'a str,
}

impl<'a> Host<'a> {
    /// A target whose address is shown so.
    pub fn new(shown: Shown<'a>, label: &'a str) -> Self {
        Host { shown, label }
    }
}

impl Display for Host<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.label {
            "" => self.shown.fmt(f),
            label => write!(f, "{label} ({})", self.shown),
        }
    }
}
