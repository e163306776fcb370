//! Signals, blocked and read like any other input.
//!
//! Xymon does not check whether its ping tool died by a signal, and takes that for success with
//! every host down. So every signal that would end the process and can be blocked is blocked and
//! read through a descriptor, and ends the run in order. A signal that was ignored at the start
//! stays ignored (nohup): once blocked it is queued all the same, so it is skipped when it is read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process;
use std::str;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::message::Error;

/// The signals that are not blocked: by default they do not end a process, or (SIGPIPE) every Rust
/// program ignores them. Those that report a fault (SIGSEGV and the like) are blocked: a real fault
/// still ends the process, and one that was only sent does not.
const NOT_BLOCKED: [Signal; 8] = [
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGPIPE,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGURG,
    Signal::SIGWINCH,
];

/// What a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To stop, by the signal of this name.
    Stop(&'static str),
    /// To print the status: SIGUSR1 or SIGQUIT, as in ping(8).
    Status,
    /// To end: the time set by [`Signals::set_alarm`] is over.
    Alarm,
}

/// The signals of this process, blocked.
pub struct Signals {
    descriptor: SignalFd,
    /// The signals that were ignored at the start, a bit each.
    ignored: u64,
    /// Our process id, since getpid(2) is refused in the sandbox.
    pid: u32,
    alarm: Option<Timer>,
}

impl Signals {
    /// Blocks signals, for the rest of the process.
    pub fn block() -> Result<Self, Error> {
        let ignored = ignored();
        let mut signals = SigSet::all();
        NOT_BLOCKED.into_iter().for_each(|signal| signals.remove(signal));
        let failed = |errno| Error::System("signals", io::Error::from(errno));
        signals.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = SignalFd::with_flags(&signals, flags).map_err(failed)?;
        Ok(Signals { descriptor, ignored, pid: process::id(), alarm: None })
    }

    /// Makes [`Event::Alarm`] arrive after `time`, also during a blocking wait.
    pub fn set_alarm(&mut self, time: Duration) -> Result<(), Error> {
        let set = || {
            let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
            let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
            // Zero would disarm the timer.
            let time = time.max(Duration::from_nanos(1));
            timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
            Ok(timer)
        };
        let failed = |errno: Errno| Error::System("setting the deadline", errno.into());
        self.alarm = Some(set().map_err(failed)?);
        Ok(())
    }

    /// Whether the time set by [`Self::set_alarm`] is over, whether or not its signal has been
    /// read.
    pub fn time_is_over(&self) -> bool {
        self.alarm.as_ref().is_some_and(|alarm| matches!(alarm.get(), Ok(None)))
    }

    /// A signal that has arrived, if one has. Each is returned once.
    pub fn poll(&self) -> Option<Event> {
        while let Some(info) = self.descriptor.read_signal().ok()? {
            let number = info.ssi_signo;
            let event = match Signal::try_from(number as i32) {
                Ok(Signal::SIGALRM) if self.time_is_over() => return Some(Event::Alarm),
                // Caused by a write of ours beyond RLIMIT_FSIZE, which has failed with EFBIG.
                Ok(Signal::SIGXFSZ) if info.ssi_pid == self.pid => continue,
                Ok(Signal::SIGUSR1 | Signal::SIGQUIT) => Event::Status,
                Ok(signal) => Event::Stop(signal.as_str()),
                Err(_) => Event::Stop("a real-time signal"),
            };
            if self.ignored & 1 << (number - 1) == 0 {
                return Some(event);
            }
        }
        None
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The signals that were ignored when the process began, as the kernel's mask (proc(5), SigIgn);
/// none if it cannot be read.
fn ignored() -> u64 {
    // One read is enough: the kernel returns the whole text, or as much as the buffer holds.
    let mut status = [0; 4096];
    let length = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or(0);
    let status = str::from_utf8(&status[..length]).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
