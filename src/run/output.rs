//! What is written to standard output while a run goes on.

use std::fmt::Display;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;

use crate::message::{Error, Exit};
use crate::signal::{self, Signals};
use crate::stdio::{self, Interrupted, Stream, Timeout};

/// Writes text other than results to standard output, and ends that.
pub fn print(text: impl Display, signals: &Signals) -> Result<Exit, Error> {
    let mut out = Stream::new(io::stdout(), Timeout::Signal(signals));
    let written = out.write_all(text.to_string().as_bytes()).and_then(|()| stdio::close_stdout());
    written.map(|()| Exit::Success).map_err(Error::WriteResults)
}

/// Standard output, and what is still to be written to it.
pub struct Output<'a, D> {
    stream: Stream<'a, D>,
    /// What is to be written.
    pub buffer: Vec<u8>,
    /// The signal that came while a long text was written.
    interrupted: Option<signal::Event>,
    /// Whether the text that is written is the last one.
    is_last: bool,
    error: Option<io::Error>,
}

impl<'a, D: AsFd> Output<'a, D> {
    /// Nothing is to be written yet.
    pub fn new(stream: Stream<'a, D>) -> Self {
        Output { stream, buffer: Vec::with_capacity(16 * 1024), interrupted: None, is_last: false, error: None }
    }

    /// Whether it cannot be written to any more.
    pub fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// Adds to what is to be written.
    pub fn append(&mut self, text: impl Display) {
        // Writing to memory does not fail.
        let _ = write!(self.buffer, "{text}");
    }

    /// What is written from now on is the last text: a signal ends it.
    pub fn begin_last(&mut self) {
        self.is_last = true;
    }

    /// Writes what is to be written. Breaks with the signal that comes while nothing can be
    /// written; then the rest stays. After a failure nothing is written any more.
    pub fn flush(&mut self) -> ControlFlow<signal::Event> {
        if let Some(event) = self.interrupted.take() {
            return ControlFlow::Break(event);
        }
        if self.has_failed() {
            self.buffer.clear();
        }
        let mut written = 0;
        let result = loop {
            if written == self.buffer.len() {
                break Ok(());
            }
            match self.stream.write(&self.buffer[written..]) {
                Ok(count) => written += count,
                Err(error) => break Err(error),
            }
        };
        self.buffer.drain(..written);
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => match Interrupted::event(&error) {
                Some(event) => ControlFlow::Break(event),
                None => {
                    self.error = Some(error);
                    ControlFlow::Continue(())
                }
            },
        }
    }

    /// Writes the rest. A signal that comes now is about these lines.
    pub fn finish(&mut self) -> Result<(), Error> {
        match (Output::flush(self), self.error.take()) {
            (_, Some(error)) => Err(Error::WriteResults(error)),
            (ControlFlow::Break(event), None) => Err(Error::WriteResults(Interrupted::by(event))),
            (ControlFlow::Continue(()), None) => Ok(()),
        }
    }
}

/// Long texts, of which little is kept in memory: the table of many targets, for example. Failures
/// are kept for [`Output::finish`].
impl<D: AsFd> Write for Output<'_, D> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        const MANY: usize = 64 * 1024;
        if self.has_failed() {
            return Err(io::ErrorKind::BrokenPipe.into()); // nobody reads the rest of the text
        }
        self.buffer.extend_from_slice(text);
        if self.buffer.len() >= MANY && self.interrupted.is_none() {
            match Output::flush(self).break_value() {
                // What is not written would only be collected in memory.
                Some(event) if self.is_last => self.error = Some(Interrupted::by(event)),
                event => self.interrupted = event,
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
