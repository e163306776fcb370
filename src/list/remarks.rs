//! Remarks on lines of a list that were rejected or are ambiguous: the first few, or all of them.
//!
//! There may be as many as lines, so only the start of each line is kept, in one piece of memory
//! for all of them.

use std::fmt::{self, Display, Formatter};

use multiping::alloc::{OutOfMemory, try_push};

use crate::message::{Quoted, Reject};

/// How many are kept if not all are wanted.
const MAX_REMARKS: usize = 10;

/// A rejected or ambiguous line.
#[derive(Debug)]
pub struct Remark {
    /// The number of the line, from 1; 0 for an operand.
    pub line: u64,
    /// The line.
    pub text: Quoted,
    /// Why it was rejected; `None` if it was accepted, although a second address follows the first.
    pub reject: Option<Reject>,
}

impl Display for Remark {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.reject {
            Some(reject) if self.line == 0 => {
                write!(f, "argument {}: {reject} (no line of output for it)", self.text)
            }
            Some(reject) => write!(f, "line {}: {}: {reject} (no line of output for it)", self.line, self.text),
            None => write!(f, "line {}: {}: two addresses (only the first is probed)", self.line, self.text),
        }
    }
}

#[derive(Debug)]
struct Kept {
    line: u64,
    /// How many bytes of the line are kept.
    length: u8,
    reject: Option<Reject>,
}

/// Remarks in the order of their lines, those on names without an address last.
#[derive(Debug, Default)]
pub struct Remarks {
    kept: Vec<Kept>,
    text: Vec<u8>,
    all: bool,
    more: u64,
}

impl Remarks {
    /// How many bytes a remark takes at most.
    pub(super) const MAX_BYTES: usize = size_of::<Kept>() + Quoted::MAX + 1;

    /// None so far; all that come will be kept, or only the first.
    pub fn new(all: bool) -> Self {
        Remarks { all, ..Remarks::default() }
    }

    /// Keeps a remark on a line, or counts it.
    pub(super) fn push(&mut self, line: u64, text: &[u8], reject: Option<Reject>) -> Result<(), OutOfMemory> {
        if !self.all && self.kept.len() >= MAX_REMARKS {
            self.more += 1;
            return Ok(());
        }
        let text = &text[..text.len().min(Quoted::MAX + 1)];
        for &byte in text {
            try_push(&mut self.text, byte)?;
        }
        try_push(&mut self.kept, Kept { line, length: text.len() as u8, reject })?;
        Ok(())
    }

    /// Keeps the first only, and counts the others.
    pub fn truncate(&mut self) {
        self.more += self.kept.len().saturating_sub(MAX_REMARKS) as u64;
        self.kept.truncate(MAX_REMARKS);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many are not kept.
    pub fn more(&self) -> u64 {
        self.more
    }

    /// Those that are kept.
    pub fn iter(&self) -> impl Iterator<Item = Remark> {
        let mut rest = self.text.as_slice();
        self.kept.iter().map(move |kept| {
            let (text, after) = rest.split_at(kept.length.into());
            rest = after;
            Remark { line: kept.line, text: text.into(), reject: kept.reject }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_kept_only_if_they_are_wanted() {
        for (all, kept, more) in [(false, 10, 990), (true, 1000, 0)] {
            let mut remarks = Remarks::new(all);
            for line in 1..=1000_u64 {
                remarks
                    .push(line, format!("line {line} {}", "x".repeat(80)).as_bytes(), Some(Reject::Nul))
                    .expect("memory");
            }
            assert_eq!((remarks.len(), remarks.iter().count(), remarks.more()), (kept, kept, more));
            for (remark, line) in remarks.iter().zip(1..) {
                let text = format!("line {line} {}", "x".repeat(80));
                assert_eq!((remark.line, remark.text.to_string()), (line, format!("\"{}\"...", &text[..60])));
            }
        }
    }
}
