//! How to wait for replies, in the thread that has the link and in another one.

use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use socket2::Socket;

use crate::error::Error;
use crate::net::Link;
use crate::prober::Wait;

impl Link {
    /// Waits as long as `wait` says, or until `wake` can be read, or until a signal handler has
    /// run.
    pub fn wait(&self, wait: Wait, wake: BorrowedFd) {
        wait_on(self.awaited(wait).map(|socket| socket.as_fd()), wait, wake);
    }

    /// The sockets that [`Link::wait`] waits for, if it does.
    fn awaited(&self, wait: Wait) -> impl Iterator<Item = &Arc<Socket>> {
        let is_urgent = self.is_urgent();
        let polled = self.open_sockets().filter(move |socket| wait.for_replies || is_urgent && !socket.stamps_arrivals);
        polled.map(|socket| &socket.socket)
    }

    /// Whether a reply may be timed when it is read, and must not wait for that, even where a
    /// [`Wait`] is not for replies. (A socket whose reads fail may be readable all the time; nothing
    /// is sent then.)
    pub(crate) fn is_urgent(&self) -> bool {
        self.open_sockets().any(|socket| !socket.stamps_arrivals) && !self.open_sockets().any(|socket| socket.fails)
    }

    /// What waits for the sockets that are open now, for a thread that does not hold the link.
    pub(crate) fn waiter(&self, wait: Wait) -> Waiter {
        Waiter { wait, sockets: self.awaited(wait).cloned().collect() }
    }
}

/// Waits for sockets, which may be closed meanwhile.
pub(crate) struct Waiter {
    wait: Wait,
    sockets: Vec<Arc<Socket>>,
}

impl Waiter {
    /// Waits as long as was said, or until `wake` can be read.
    pub(crate) fn wait(&self, wake: BorrowedFd) {
        wait_on(self.sockets.iter().map(|socket| socket.as_fd()), self.wait, wake);
    }
}

/// Waits for `sockets`, as long as `wait` says, or until `wake` can be read.
fn wait_on<'a>(sockets: impl Iterator<Item = BorrowedFd<'a>>, wait: Wait, wake: BorrowedFd<'a>) {
    let timeout = wait.until.map(|until| TimeSpec::from(until.saturating_duration_since(Instant::now())));
    let mut awaited: Vec<_> = iter::once(wake).chain(sockets).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Whatever ends the wait, the caller looks at everything again.
    let _ = ppoll(&mut awaited, timeout, None);
}

/// What ends the wait of another thread when it is written.
pub(crate) fn eventfd() -> Result<EventFd, Error> {
    EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|errno| Error::System { what: "eventfd", source: errno.into() })
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::address::PerFamily;
    use crate::net::Config;
    use crate::net::socket::FamilySocket;
    use crate::plan::{IcmpErrors, PacketOptions};

    #[test]
    fn a_reply_is_awaited_where_it_may_be_timed_when_it_is_read() {
        let config = Config {
            families: PerFamily { v4: true, v6: true },
            sources: PerFamily::default(),
            interface: None,
            outgoing_interface: None,
            mark: None,
            receive_buffer: 0,
            broadcast: false,
            icmp_errors: IcmpErrors::Ignore,
            prefers_datagram: false,
        };
        let options = PacketOptions::default();
        let socket = || UdpSocket::bind("127.0.0.1:0").expect("a UDP socket will do").into();
        let open = |family| Ok(FamilySocket::raw(socket(), family, 7, &config));
        let mut link = Link { sockets: PerFamily::from_fn(open), ..Link::closed(config.clone(), &options) };
        // What is awaited where a wait is not for replies, after stamps and errors of each family.
        let mut awaited = |stamps: [bool; 2], fails: [bool; 2]| {
            for ((_, socket), (stamps, fails)) in link.sockets.as_mut().into_iter().zip(stamps.into_iter().zip(fails)) {
                let socket = socket.as_mut().expect("it is open");
                (socket.stamps_arrivals, socket.fails) = (stamps, fails);
            }
            let count = |for_replies| link.awaited(Wait { until: None, for_replies }).count();
            assert_eq!(count(true), 2);
            (count(false), link.is_urgent())
        };
        assert_eq!(awaited([false, false], [false, false]), (2, true));
        assert_eq!(awaited([true, false], [false, false]), (1, true));
        assert_eq!(awaited([true, true], [false, false]), (0, false));
        // Nothing is sent while one of them cannot be read, which may seem readable all the time.
        assert_eq!(awaited([false, false], [false, true]), (0, false));
        assert_eq!(awaited([true, false], [false, true]), (0, false));
    }
}
