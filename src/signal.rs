//! Signals, blocked and read like any other input.
//!
//! Xymon never looks whether its ping tool died of a signal, and takes that for a success in which every host was down.
//! So no signal that can be caught may kill us: each that would is blocked and read through a descriptor, and the run
//! ends in order. A signal that was ignored at start stays ignored (nohup): blocked, it would be queued all the same.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::error::Error;

/// Every signal that would end the process by default and can be blocked, but for those that tell of a fault in the
/// program itself.
const FATAL: [Signal; 14] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGSTKFLT,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
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
    alarm: Option<Timer>,
}

impl Signals {
    /// Blocks them, from here on for good.
    pub fn block() -> Result<Self, Error> {
        let ignored = ignored();
        let signals: SigSet = FATAL.into_iter().filter(|&signal| ignored & bit(signal) == 0).collect();
        let failed = |errno| Error::System("signals", std::io::Error::from(errno));
        signals.thread_block().map_err(failed)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        let descriptor = SignalFd::with_flags(&signals, flags).map_err(failed)?;
        Ok(Signals { descriptor, alarm: None })
    }

    /// Makes [`Event::Alarm`] come after `time`, whatever is being waited for then.
    pub fn set_alarm(&mut self, time: Duration) -> Result<(), Error> {
        let set = || {
            let notify = SigevNotify::SigevSignal { signal: Signal::SIGALRM, si_value: 0 };
            let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, SigEvent::new(notify))?;
            timer.set(Expiration::OneShot(time.into()), TimerSetTimeFlags::empty())?;
            Ok(timer)
        };
        let failed = |errno: Errno| Error::System("setting the deadline", errno.into());
        self.alarm = Some(set().map_err(failed)?);
        Ok(())
    }

    /// Whether the time set by [`Self::set_alarm`] is over, whoever was told.
    pub fn time_is_over(&self) -> bool {
        self.alarm.as_ref().is_some_and(|alarm| matches!(alarm.get(), Ok(None)))
    }

    /// A signal that has come, if one has. Each is told once.
    pub fn poll(&self) -> Option<Event> {
        let number = self.descriptor.read_signal().ok()??.ssi_signo;
        Some(match Signal::try_from(number as i32) {
            Ok(Signal::SIGUSR1 | Signal::SIGQUIT) => Event::Status,
            Ok(Signal::SIGALRM) if self.alarm.is_some() => Event::Alarm,
            Ok(signal) => Event::Stop(signal.as_str()),
            Err(_) => Event::Stop("a signal"),
        })
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The signals that were ignored when the process began, as the kernel's mask (proc(5), SigIgn). Where that cannot be
/// read, none is taken to be.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}
