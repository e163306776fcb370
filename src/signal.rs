//! Signals, blocked and read like any other input.
//!
//! Xymon never looks whether its ping tool died of a signal, and takes that for a success in which every host was down.
//! So no signal that can be caught may kill us: each that would is blocked and read through a descriptor, and the run
//! ends in order. A signal that was ignored at start stays ignored (nohup): blocked, it is queued all the same, so it is
//! passed over when it is read.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::process;
use std::str;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::message::Error;

/// The signals that are left alone: they do not end a process by default, or (SIGPIPE) are ignored by every Rust program.
/// Those that tell of a fault (SIGSEGV and the like) are not among them: blocked, they still kill at a real fault, and do
/// not where somebody merely sent one.
const LEFT_ALONE: [Signal; 8] = [
    Signal::SIGCHLD,
    Signal::SIGCONT,
    Signal::SIGPIPE,
    Signal::SIGTSTP,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
    Signal::SIGURG,
    Signal::SIGWINCH,
];

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// To stop, by the signal of this name.
    Stop(&'static str),
    /// To tell how far we are: SIGUSR1 or SIGQUIT, as in ping(8).
    Status,
    /// To be done: the time that was set by [`Signals::set_alarm`] is over.
    Alarm,
}

/// The signals that came.
pub struct Signals {
    descriptor: SignalFd,
    /// The signals that were ignored at start, a bit each.
    ignored: u64,
    /// Our own number, which the sandbox lets nobody ask for.
    own: u32,
    alarm: Option<Timer>,
}

impl Signals {
    /// Blocks them, from here on for good.
    pub fn block() -> Result<Self, Error> {
        be_told_of_the_limit_on_time();
        let ignored = ignored();
        let mut signals = SigSet::all();
        LEFT_ALONE.into_iter().for_each(|signal| signals.remove(signal));
        let failed = |errno| Error::System("signals", std::io::Error::from(errno));
        signals.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = SignalFd::with_flags(&signals, flags).map_err(failed)?;
        Ok(Signals { descriptor, ignored, own: process::id(), alarm: None })
    }

    /// Makes [`Event::Alarm`] come after `time`, whatever is being waited for then.
    pub fn set_alarm(&mut self, time: Duration) -> Result<(), Error> {
        let set = || {
            let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
            let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
            // No time at all would disarm the timer.
            let time = time.max(Duration::from_nanos(1));
            timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
            Ok(timer)
        };
        let failed = |errno: Errno| Error::System("setting the deadline", errno.into());
        self.alarm = Some(set().map_err(failed)?);
        Ok(())
    }

    /// Whether the time set by [`Self::set_alarm`] is over, whether or not its signal has been read.
    pub fn time_is_over(&self) -> bool {
        self.alarm.as_ref().is_some_and(|alarm| matches!(alarm.get(), Ok(None)))
    }

    /// A signal that has come, if one has. Each is told once.
    pub fn poll(&self) -> Option<Event> {
        while let Some(info) = self.descriptor.read_signal().ok()? {
            let number = info.ssi_signo;
            let event = match Signal::try_from(number as i32) {
                Ok(Signal::SIGALRM) if self.time_is_over() => return Some(Event::Alarm),
                // Ours, and the write that was too long has failed and said so.
                Ok(Signal::SIGXFSZ) if info.ssi_pid == self.own => continue,
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

/// At its hard limit on processor time the kernel kills a process; at its soft one it tells it, and `ulimit -t` sets both
/// to the same. So the soft one goes down by a second.
fn be_told_of_the_limit_on_time() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_CPU).unwrap_or((RLIM_INFINITY, RLIM_INFINITY));
    if hard != RLIM_INFINITY && soft >= hard && hard > 1 {
        // Lowering a limit needs no right. If it is refused all the same, the limit is as it was.
        let _ = setrlimit(Resource::RLIMIT_CPU, hard - 1, hard);
    }
}

/// The signals that were ignored when the process began, as the kernel's mask (proc(5), SigIgn). Where that cannot be
/// read, none is taken to be.
fn ignored() -> u64 {
    // The kernel writes all of it at once, or as much as there is room for.
    let mut status = [0; 4096];
    let length = File::open("/proc/self/status").and_then(|mut file| file.read(&mut status)).unwrap_or(0);
    let status = str::from_utf8(&status[..length]).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
