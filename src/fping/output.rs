//! stdout and stderr, a line in each write: clients read while the program runs.

use std::fmt::Display;
use std::io::{self, Stderr, Stdout, Write};
use std::ops::ControlFlow;

use crate::message::Error;
use crate::run;
use crate::signal::{self, Signals};
use crate::stdio::{self, Interrupted, Stream, Timeout};

/// Where lines go.
pub(super) struct Output<'a> {
    stdout: run::Output<'a, Stdout>,
    stderr: Stream<'a, Stderr>,
}

impl<'a> Output<'a> {
    pub(super) fn new(signals: &'a Signals) -> Self {
        Output {
            stdout: run::Output::new(Stream::new(io::stdout(), Timeout::Signal(signals))),
            stderr: Stream::new(io::stderr(), Timeout::Signal(signals)),
        }
    }

    /// Writes results. Breaks with the signal that interrupts it.
    pub(super) fn result(&mut self, text: impl Display) -> ControlFlow<signal::Event> {
        self.stdout.append(text);
        self.stdout.flush()
    }

    /// Whether results cannot be written any more.
    pub(super) fn has_failed(&self) -> bool {
        self.stdout.has_failed()
    }

    /// Ends stdout.
    ///
    /// # Errors
    ///
    /// If results are incomplete.
    pub(super) fn close(&mut self) -> Result<(), Error> {
        self.stdout.finish()?;
        stdio::close_stdout().map_err(Error::WriteResults)
    }

    /// Writes figures or messages. That they cannot be written is no failure.
    pub(super) fn message(&mut self, text: impl Display) -> ControlFlow<signal::Event> {
        let written = self.stderr.write_all(text.to_string().as_bytes());
        written.err().as_ref().and_then(Interrupted::event).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}
