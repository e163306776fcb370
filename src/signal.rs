//! Signals, blocked and read like any other input.
//!
//! Xymon never looks whether its ping tool died of a signal, and takes that for a success in which every host was down.
//! So no signal that can be caught may kill us: each that would is blocked and read through a descriptor, and the run
//! ends in order. A signal that was ignored at start stays ignored (nohup): blocked, it would be queued all the same.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

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

/// The signals that ask us to stop.
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks them, from here on for good.
    pub fn block() -> Result<Self, Error> {
        let ignored = ignored();
        let signals: SigSet = FATAL.into_iter().filter(|&signal| ignored & bit(signal) == 0).collect();
        let failed = |errno| Error::System("signals", std::io::Error::from(errno));
        signals.thread_block().map_err(failed)?;
        SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map(Signals).map_err(failed)
    }

    /// The name of a signal that has come, if one has. Each is told once.
    pub fn poll(&self) -> Option<&'static str> {
        let info = self.0.read_signal().ok()??;
        Some(Signal::try_from(info.ssi_signo as i32).map_or("a signal", Signal::as_str))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
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
