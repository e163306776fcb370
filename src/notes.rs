//! What the program writes to stderr: failures first, then warnings, then remarks on lines and the
//! summary, since Xymon logs the first line and nothing else.

#![expect(clippy::disallowed_methods, reason = "an edge: the last writes have a time limit")]

use std::fmt::Display;
use std::io::{self, BufWriter, Cursor, Write};
use std::mem;
use std::time::{Duration, Instant};

use crate::list::Remarks;
use crate::message::{Error, Exit, Warning};
use crate::privilege;
use crate::stdio::{Stream, Timeout};

/// How long the final writes and reads may block, so that exiting never hangs.
const EXIT_IO_TIMEOUT: Duration = Duration::from_secs(1);

/// What is written when the program ends.
pub struct Notes {
    failures: Vec<String>,
    warnings: Vec<String>,
    /// How many of the warnings, from the first, were written at once.
    said: usize,
    /// Remarks on lines of the list.
    pub remarks: Remarks,
    summary: Option<String>,
    /// Whether a list may be coming on stdin that has not been read to its end.
    pub awaits_list: bool,
    /// When the process has to end.
    pub deadline: Option<Instant>,
}

impl Default for Notes {
    fn default() -> Self {
        Notes {
            failures: Vec::new(),
            warnings: Vec::new(),
            said: 0,
            remarks: Remarks::default(),
            summary: None,
            awaits_list: true,
            deadline: None,
        }
    }
}

impl Notes {
    /// Notes failures of a run that has ended.
    pub fn fail<D: Display>(&mut self, failures: impl IntoIterator<Item = D>) {
        self.failures.extend(failures.into_iter().map(|failure| failure.to_string()));
    }

    /// Notes warnings behind those noted before.
    pub fn warn<D: Display>(&mut self, warnings: impl IntoIterator<Item = D>) {
        self.warnings.extend(warnings.into_iter().map(|warning| warning.to_string()));
    }

    /// Notes warnings in front of those noted before, but for those that were written.
    pub fn warn_first<D: Display>(&mut self, warnings: impl IntoIterator<Item = D>) {
        self.warnings.splice(self.said..self.said, warnings.into_iter().map(|warning| warning.to_string()));
    }

    /// Notes a warning that is of use only before the run, and writes it at once.
    pub fn warn_now(&mut self, warning: &Warning) {
        self.say(warning);
        self.warnings.insert(self.said, warning.to_string());
        self.said += 1;
    }

    /// Notes the lines of a summary, which come last.
    pub fn summarize(&mut self, summary: impl Display) {
        self.summary = Some(summary.to_string());
    }

    /// The failures that were noted.
    pub fn failures(&self) -> &[String] {
        &self.failures
    }

    /// The warnings that were noted, first those that were written at once.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Writes all notes but the summary, and `lines` behind them, of which there may be many.
    pub fn write(&mut self, lines: impl Iterator<Item = String>) {
        if !self.write_notes() {
            return;
        }
        let mut out = BufWriter::new(Stream::new(io::stderr(), Timeout::After(EXIT_IO_TIMEOUT)));
        for line in lines {
            if writeln!(out, "xymonping: {line}").is_err() {
                // Dropping the buffer would write it once more, and could block once more.
                let _ = out.into_parts();
                return;
            }
        }
        let _ = out.flush();
    }

    /// Writes what was noted so far, but for the summary. Returns whether all of it was written.
    fn write_notes(&mut self) -> bool {
        let (failures, warnings) = (mem::take(&mut self.failures), mem::take(&mut self.warnings));
        let warnings = &warnings[mem::take(&mut self.said)..];
        let remarks = mem::take(&mut self.remarks);
        let more = Some(remarks.more()).filter(|&more| more > 0).map(Warning::MoreLines);
        write_stderr(failures.iter().chain(warnings), self.deadline)
            && write_stderr(remarks.iter(), self.deadline)
            && write_stderr(more, self.deadline)
    }

    /// Writes a line at once.
    pub fn say(&self, line: impl Display) {
        write_stderr([line], self.deadline);
    }

    /// Writes all notes and returns the exit code. The error that ended the program comes first. A
    /// parent that may still be writing a list is read from, so that it gets no SIGPIPE.
    pub fn finish(mut self, result: Result<Exit, Error>) -> Exit {
        let exit = match result {
            Ok(exit) => exit,
            Err(error) => {
                self.awaits_list &= !matches!(error, Error::ReadList(_));
                self.failures.insert(0, error.to_string());
                error.exit()
            }
        };
        let _ =
            self.write_notes() && write_stderr(self.summary.iter().flat_map(|summary| summary.lines()), self.deadline);
        if exit >= Exit::Usage && self.awaits_list {
            let mut input = Stream::new(io::stdin(), Timeout::After(EXIT_IO_TIMEOUT));
            if input.is_pipe_or_socket() {
                input.drain(self.deadline);
            }
        }
        exit
    }
}

/// Writes lines to stderr, each with the program's name, and blocks no longer than `deadline`
/// allows. Returns whether all were written; after one that cannot be the others are not tried.
pub fn write_stderr<D: Display>(lines: impl IntoIterator<Item = D>, deadline: Option<Instant>) -> bool {
    lines.into_iter().all(|line| {
        let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = remaining.map_or(EXIT_IO_TIMEOUT, |remaining| remaining.min(EXIT_IO_TIMEOUT));
        let mut out = Stream::new(io::stderr(), Timeout::After(timeout));
        out.write_all(format!("xymonping: {line}\n").as_bytes()).is_ok()
    })
}

/// Reports that there is not enough memory to start, without allocating. Root's ids are given up
/// first.
pub fn fail_without_memory(error: &Error) {
    let mut line = Cursor::new([0; 256]);
    if privilege::drop_ids().is_ok() && writeln!(line, "xymonping: {error}").is_ok() {
        let written = &line.get_ref()[..line.position() as usize];
        let _ = Stream::new(io::stderr(), Timeout::After(EXIT_IO_TIMEOUT)).write_all(written);
    }
}
