//! Reading and writing descriptors 0 to 2, or files in their place.
//!
//! The streams of std report success on a closed or read-only descriptor, and fail in the middle of
//! a list if the descriptor is non-blocking. Here every error is reported, a descriptor that is not
//! ready is waited for, and a signal ends the wait.

#![expect(clippy::disallowed_methods, reason = "an edge: descriptors are waited for here")]

use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::STDOUT_FILENO;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd;

use crate::signal::{Event, Signals};

/// How many bytes a pipe accepts without blocking when poll(2) reports it ready (pipe(7),
/// PIPE_BUF).
const PIPE_BUF: usize = 4096;

/// How many bytes a terminal accepts then: one buffer (drivers/tty/tty_buffer.c). The end of a line
/// takes a buffer of its own, because it is written as two characters.
const TERMINAL_BUF: usize = 256;

/// How long stdin is read after a failure, for a parent that is still writing its list.
const MAX_DRAIN: Duration = Duration::from_secs(5);

/// A descriptor whose reads and writes wait until it is ready.
pub struct Stream<'a, D> {
    descriptor: D,
    /// The most bytes in one write, so that no write blocks.
    max_write: usize,
    is_terminal: bool,
    /// Whether it is always ready, as a file is.
    is_file: bool,
    /// The one way in which it is open, if it is not both; or why that is not known.
    access_mode: Result<OFlag, Errno>,
    timeout: Timeout<'a>,
}

/// How long to wait for a descriptor that is not ready.
#[derive(Clone, Copy)]
pub enum Timeout<'a> {
    /// Until a signal arrives.
    Signal(&'a Signals),
    /// Until a signal arrives, or until this time.
    Until(&'a Signals, Instant),
    /// For this long, in whole milliseconds.
    After(Duration),
}

impl<'a> Stream<'a, File> {
    /// Opens a list. A named pipe is opened without waiting for its writer: [`Read::read`] waits,
    /// and can be interrupted.
    pub fn open_list(path: &Path, signals: &'a Signals) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(Errno::EISDIR.into());
        }
        Ok(Stream::new(file, Timeout::Signal(signals)))
    }

    /// Opens a file to append to, or creates it with access for its owner only. Refuses symbolic
    /// links and all but regular files, because the directory may be another user's.
    pub fn open_log(path: &Path, signals: &'a Signals) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Stream::new(file, Timeout::Signal(signals)))
    }
}

impl<'a, D: AsFd> Stream<'a, D> {
    /// Reads or writes `descriptor`, and waits for it no longer than `timeout`.
    pub fn new(descriptor: D, timeout: Timeout<'a>) -> Self {
        // Messages with a time limit are short and may be written inside the sandbox, where
        // isatty() fails; treat the descriptor as a pipe.
        let is_terminal = matches!(timeout, Timeout::Signal(_)) && descriptor.as_fd().is_terminal();
        let is_file = matches!(timeout, Timeout::Signal(_)) && file_type(&descriptor) == SFlag::S_IFREG;
        let max_write = match is_terminal {
            _ if is_file => usize::MAX,
            true => TERMINAL_BUF,
            false => PIPE_BUF,
        };
        let flags = fcntl(&descriptor, FcntlArg::F_GETFL);
        let access_mode = flags.map(|flags| OFlag::from_bits_truncate(flags) & OFlag::O_ACCMODE);
        Stream { descriptor, max_write, is_terminal, is_file, access_mode, timeout }
    }

    /// Whether it is a pipe or socket that can be read, so that a writer may be blocked until it
    /// is.
    pub fn is_pipe_or_socket(&self) -> bool {
        self.check_access_mode(PollFlags::POLLIN).is_ok()
            && matches!(file_type(&self.descriptor), SFlag::S_IFIFO | SFlag::S_IFSOCK)
    }

    /// Reads what a parent is still writing, so that it gets no SIGPIPE; not beyond `deadline`.
    pub fn drain(&mut self, deadline: Option<Instant>) {
        let end = Instant::now() + MAX_DRAIN;
        let end = deadline.map_or(end, |deadline| deadline.min(end));
        let mut piece = vec![0; 64 * 1024];
        loop {
            let remaining = end.saturating_duration_since(Instant::now());
            if remaining.is_zero() || !self.wait_readable(remaining) || !matches!(self.read(&mut piece), Ok(1..)) {
                return;
            }
        }
    }

    /// Waits at most `time`, in whole milliseconds, for something to read or for a signal.
    pub fn wait_readable(&self, time: Duration) -> bool {
        let descriptor = PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN);
        let ready = match self.timeout {
            Timeout::Signal(signals) | Timeout::Until(signals, _) => {
                poll(&mut [descriptor, PollFd::new(signals.as_fd(), PollFlags::POLLIN)], poll_timeout(time))
            }
            Timeout::After(_) => poll(&mut [descriptor], poll_timeout(time)),
        };
        ready.is_ok_and(|ready| ready > 0)
    }

    /// Fails if the descriptor is not open for this. poll(2) never reports the wrong end of a pipe
    /// ready.
    fn check_access_mode(&self, ready: PollFlags) -> io::Result<()> {
        let wrong = if ready == PollFlags::POLLIN { OFlag::O_WRONLY } else { OFlag::O_RDONLY };
        if self.access_mode? == wrong { Err(Errno::EBADF.into()) } else { Ok(()) }
    }

    /// Waits until the descriptor is ready, but no longer than the timeout.
    fn wait(&self, ready: PollFlags) -> io::Result<()> {
        self.check_access_mode(ready)?;
        if self.is_file && ready == PollFlags::POLLOUT {
            return Ok(());
        }
        let descriptor = PollFd::new(self.descriptor.as_fd(), ready);
        let (signals, end) = match self.timeout {
            Timeout::Signal(signals) => (signals, None),
            Timeout::Until(signals, end) => (signals, Some(end)),
            Timeout::After(time) => {
                return match poll(&mut [descriptor], poll_timeout(time))? {
                    0 => Err(io::ErrorKind::TimedOut.into()),
                    _ => Ok(()),
                };
            }
        };
        let mut awaited = [descriptor, PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        loop {
            // SIGALRM arrives once, and may already have been read.
            let is_over = signals.time_is_over();
            let remaining = end.map(|end| end.saturating_duration_since(Instant::now()));
            let remaining = if is_over { Some(Duration::ZERO) } else { remaining };
            match poll(&mut awaited, remaining.map_or(PollTimeout::NONE, poll_timeout)) {
                Ok(0) if !is_over && remaining.is_some_and(|remaining| remaining.is_zero()) => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let is_ready = awaited[0].any() == Some(true);
            // When reading, check signals first: input may be endless. When writing, finish: the
            // first signal already asked for these results. Only the deadline stops writing too,
            // but not if the machine was so busy that it has passed: what is read is written at
            // once.
            let event = match is_ready && ready == PollFlags::POLLOUT {
                true => None,
                false if is_over => Some(Event::Alarm),
                false => signals.poll(),
            };
            match event {
                None if is_ready => return Ok(()),
                None => {}
                // Status requests are answered only while reading.
                Some(Event::Status) if ready == PollFlags::POLLOUT => {}
                Some(event) => return Err(Interrupted::by(event)),
            }
        }
    }
}

impl<D: AsFd> Read for Stream<'_, D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.wait(PollFlags::POLLIN)?;
            match unistd::read(&self.descriptor, buffer) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }
}

impl<D: AsFd> Write for Stream<'_, D> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let mut piece = &buffer[..buffer.len().min(self.max_write)];
        if self.is_terminal {
            piece = match piece.iter().position(|&byte| byte == b'\n') {
                Some(end) => &piece[..end.max(1)],
                None => piece,
            };
        }
        loop {
            self.wait(PollFlags::POLLOUT)?;
            match unistd::write(&self.descriptor, piece) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                result => return Ok(result?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Closes stdout: NFS may report only then that the disk is full. Nothing may be opened afterwards,
/// because it would get stdout's number.
pub fn close_stdout() -> io::Result<()> {
    Ok(unistd::close(STDOUT_FILENO)?)
}

/// The event that ended a wait, inside an [`io::Error`].
#[derive(Debug)]
pub struct Interrupted(Event);

impl Interrupted {
    /// The error that tells of `event`.
    pub fn by(event: Event) -> io::Error {
        io::Error::other(Interrupted(event))
    }

    /// The event inside `error`, if there is one.
    pub fn event(error: &io::Error) -> Option<Event> {
        error.get_ref()?.downcast_ref::<Interrupted>().map(|interrupted| interrupted.0)
    }
}

impl Display for Interrupted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Stop(signal) => write!(f, "stopped by {signal}"),
            Event::Alarm => f.write_str("deadline reached"),
            Event::Status => f.write_str("status requested"),
        }
    }
}

impl std::error::Error for Interrupted {}

/// `time`, or the longest time that poll(2) can wait.
fn poll_timeout(time: Duration) -> PollTimeout {
    PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX)
}

/// The file type of a descriptor; empty if fstat(2) fails.
fn file_type(descriptor: impl AsFd) -> SFlag {
    fstat(descriptor).map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT)
}
