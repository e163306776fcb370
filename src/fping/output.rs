//! stdout and stderr, a line in each write: clients read while the program runs.

use std::fmt::Display;
use std::io::{self, Stderr, Stdout, Write};
use std::ops::ControlFlow;

use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// Where lines go.
pub(super) struct Output<'a> {
    stdout: Stream<'a, Stdout>,
    stderr: Stream<'a, Stderr>,
    /// Why the results are incomplete.
    pub(super) failure: Option<io::Error>,
}

impl<'a> Output<'a> {
    pub(super) fn new(signals: &'a Signals) -> Self {
        Output {
            stdout: Stream::new(io::stdout(), Timeout::Signal(signals)),
            stderr: Stream::new(io::stderr(), Timeout::Signal(signals)),
            failure: None,
        }
    }

    /// Writes results. Breaks with the signal that interrupts it.
    pub(super) fn result(&mut self, text: impl Display) -> ControlFlow<signal::Event> {
        if self.failure.is_some() {
            return ControlFlow::Continue(());
        }
        match self.stdout.write_all(text.to_string().as_bytes()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => match Interrupted::event(&error) {
                Some(event) => ControlFlow::Break(event),
                None => {
                    self.failure = Some(error);
                    ControlFlow::Continue(())
                }
            },
        }
    }

    /// Writes figures or messages. That they cannot be written is no failure.
    pub(super) fn message(&mut self, text: impl Display) -> ControlFlow<signal::Event> {
        let written = self.stderr.write_all(text.to_string().as_bytes());
        written.err().as_ref().and_then(Interrupted::event).map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }
}
