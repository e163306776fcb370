//! What wakes a pinger's thread.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::EventFd;

use crate::error::Error;
use crate::net;

/// An eventfd that is written once, however often the thread is woken before it looks.
pub(super) struct WakeFd {
    fd: EventFd,
    /// The thread was woken and has not looked yet.
    is_woken: AtomicBool,
}

impl WakeFd {
    pub(super) fn new() -> Result<Self, Error> {
        Ok(WakeFd { fd: net::eventfd()?, is_woken: AtomicBool::new(false) })
    }

    /// Ends the thread's wait, or the next one.
    pub(super) fn wake(&self) {
        if !self.is_woken.swap(true, Ordering::AcqRel) {
            // It can fail only if it was woken 2^64 times.
            let _ = self.fd.write(1);
        }
    }

    /// The thread looks at everything after this.
    pub(super) fn clear(&self) {
        // Where another thread has not come to writing yet, it stays woken for another turn: nobody
        // would read what is written then, and no wait would last.
        if self.is_woken.load(Ordering::Acquire) && self.fd.read().is_ok() {
            self.is_woken.swap(false, Ordering::AcqRel);
        }
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wake_fd() -> WakeFd {
        WakeFd::new().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_thread_that_was_woken_many_times_is_woken_once() {
        let wake = wake_fd();
        wake.clear();
        (0..3).for_each(|_| wake.wake());
        assert_eq!(wake.fd.read(), Ok(1));
        wake.fd.write(1).unwrap_or_else(|errno| panic!("{errno}"));
        wake.clear();
        assert!(wake.fd.read().is_err(), "it was read");
        wake.wake();
        assert_eq!(wake.fd.read(), Ok(1));
    }

    #[test]
    fn what_is_written_late_is_read_all_the_same() {
        let wake = wake_fd();
        // A thread that is interrupted between the two steps of waking.
        wake.is_woken.store(true, Ordering::Release);
        wake.clear();
        wake.fd.write(1).unwrap_or_else(|errno| panic!("{errno}"));
        wake.clear();
        assert!(wake.fd.read().is_err(), "it would end every wait");
        wake.wake();
        assert_eq!(wake.fd.read(), Ok(1));
    }
}
