//! Descriptors 0 to 2, and files in their place, read and written as what they are.
//!
//! The streams of std turn a closed or read-only descriptor into success, print and read nothing, and end in an error in
//! the middle of a list when the descriptor does not block. Here every error is an error, a descriptor that is not ready
//! is waited for, and a signal ends the wait.

use std::fmt::{self, Display, Formatter};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd;

use crate::signal::{Event, Signals};

/// What a pipe takes at once when it says that it is ready to be written to (pipe(7), PIPE_BUF).
const PIPE_BUF: usize = 4096;

/// What a terminal takes at once when it says so: one piece of its buffer (drivers/tty/tty_buffer.c). The end of a line is
/// a piece of its own, since it is written as two characters.
const TERMINAL_BUF: usize = 256;

/// How long a parent that is still writing its list is read from after a failure.
const MAX_DRAIN: Duration = Duration::from_secs(5);

/// A descriptor that is read or written with patience, but not beyond a signal.
pub struct Stream<'a, D> {
    descriptor: D,
    /// How much is written at once, so that no write waits for a reader.
    most: usize,
    is_terminal: bool,
    until: Until<'a>,
}

/// How long a descriptor is waited for that is not ready.
#[derive(Clone, Copy)]
pub enum Until<'a> {
    /// Until a signal comes.
    Signal(&'a Signals),
    /// So long.
    Milliseconds(u16),
}

impl<'a> Stream<'a, File> {
    /// A list in a file. A named pipe is opened without waiting for its writer: [`Read::read`] waits, and can be
    /// interrupted.
    pub fn open_list(path: &Path, signals: &'a Signals) -> io::Result<Self> {
        let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
        if file.metadata()?.is_dir() {
            return Err(Errno::EISDIR.into());
        }
        Ok(Stream::new(file, Until::Signal(signals)))
    }

    /// A file to append to, made for its owner alone. Links and anything but regular files are refused: the directory
    /// may be another user's.
    pub fn open_log(path: &Path, signals: &'a Signals) -> io::Result<Self> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(flags.bits()).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file"));
        }
        Ok(Stream::new(file, Until::Signal(signals)))
    }
}

impl<'a, D: AsFd> Stream<'a, D> {
    /// Reads or writes `descriptor`, and waits for it as long as `until` says.
    pub fn new(descriptor: D, until: Until<'a>) -> Self {
        // What has so little time is short, and may be said in the sandbox, where the kernel no longer tells what a
        // descriptor is.
        let is_terminal = matches!(until, Until::Signal(_)) && descriptor.as_fd().is_terminal();
        let most = match until {
            Until::Signal(_) if kind(&descriptor) == SFlag::S_IFREG => usize::MAX,
            _ if is_terminal => TERMINAL_BUF,
            _ => PIPE_BUF,
        };
        Stream { descriptor, most, is_terminal, until }
    }

    /// Reads what a parent is still writing, so that it is not killed by a pipe that nobody reads; not beyond `deadline`.
    pub fn drain(&mut self, deadline: Option<Instant>) {
        let end = Instant::now() + MAX_DRAIN;
        let end = deadline.map_or(end, |deadline| deadline.min(end));
        let mut piece = vec![0; 64 * 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now()).as_millis() as u16;
            if left == 0 || !self.wait_readable(left) || !matches!(self.read(&mut piece), Ok(1..)) {
                return;
            }
        }
    }

    /// Whether somebody may be waiting at the other end for us to read.
    pub fn has_peer(&self) -> bool {
        self.check_open_for(PollFlags::POLLIN).is_ok()
            && matches!(kind(&self.descriptor), SFlag::S_IFIFO | SFlag::S_IFSOCK)
    }

    /// Waits at most `milliseconds` for something to read.
    pub fn wait_readable(&self, milliseconds: u16) -> bool {
        let mut wanted = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        poll(&mut wanted, milliseconds).is_ok_and(|ready| ready > 0)
    }

    /// Refuses a descriptor of the wrong kind: a pipe's wrong end is never ready, and would be waited for without end.
    fn check_open_for(&self, ready: PollFlags) -> io::Result<()> {
        let wrong = if ready == PollFlags::POLLIN { OFlag::O_WRONLY } else { OFlag::O_RDONLY };
        let mode = OFlag::from_bits_truncate(fcntl(&self.descriptor, FcntlArg::F_GETFL)?) & OFlag::O_ACCMODE;
        if mode == wrong { Err(Errno::EBADF.into()) } else { Ok(()) }
    }

    /// Waits until the descriptor is ready, and not beyond what `until` allows.
    fn wait(&self, ready: PollFlags) -> io::Result<()> {
        self.check_open_for(ready)?;
        let descriptor = PollFd::new(self.descriptor.as_fd(), ready);
        let signals = match self.until {
            Until::Signal(signals) => signals,
            Until::Milliseconds(patience) => {
                return match poll(&mut [descriptor], patience)? {
                    0 => Err(io::ErrorKind::TimedOut.into()),
                    _ => Ok(()),
                };
            }
        };
        let mut awaited = [descriptor, PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        loop {
            // Its signal comes once, and may have been read long ago.
            if signals.time_is_over() {
                return Err(io::Error::other(Interrupted(Event::Alarm)));
            }
            match poll(&mut awaited, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno.into()),
            }
            let is_ready = awaited[0].any() == Some(true);
            // A list may have no end, so that a signal goes first. What can be written is written: a second signal must
            // not cost the results that the first one asked for. Only the deadline stops that too.
            let event = if is_ready && ready == PollFlags::POLLOUT { None } else { signals.poll() };
            match event {
                None if is_ready => return Ok(()),
                None => {}
                // Only who reads a list can tell how far he is.
                Some(Event::Status) if ready == PollFlags::POLLOUT => {}
                Some(event) => return Err(io::Error::other(Interrupted(event))),
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
        let mut piece = &buffer[..buffer.len().min(self.most)];
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

/// What ended a wait, inside an [`io::Error`].
#[derive(Debug)]
pub struct Interrupted(Event);

impl Interrupted {
    /// What is inside `error`, if it comes from a wait that was ended.
    pub fn event(error: &io::Error) -> Option<Event> {
        error.get_ref()?.downcast_ref::<Interrupted>().map(|interrupted| interrupted.0)
    }
}

impl Display for Interrupted {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Stop(signal) => write!(f, "stopped by {signal}"),
            Event::Alarm => f.write_str("the deadline is over"),
            Event::Status => f.write_str("asked how far we are"),
        }
    }
}

impl std::error::Error for Interrupted {}

/// What kind of file a descriptor is; nothing at all if it cannot be asked.
fn kind(descriptor: impl AsFd) -> SFlag {
    fstat(descriptor).map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT)
}
