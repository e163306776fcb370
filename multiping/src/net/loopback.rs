//! A ping to this machine itself, to see whether replies can be received.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::SockaddrStorage;
use nix::sys::time::TimeSpec;

use crate::address::{Address, PerFamily};
use crate::net::socket::{FamilySocket, receive_slots};
use crate::net::sockets::socket_address;
use crate::net::timestamp::ClockPair;
use crate::token::Token;
use crate::wire::{Echo, HEADER, Message};

const LOOPBACK: PerFamily<Address> =
    PerFamily { v4: Address::V4(Ipv4Addr::LOCALHOST), v6: Address::V6(Ipv6Addr::LOCALHOST, 0) };

/// How long a reply may take.
const TIMEOUT: Duration = Duration::from_secs(1);

impl FamilySocket {
    /// Pings the loopback address. Returns whether a reply was received; if not, the socket can be
    /// read, but the probe was not sent or not answered. An error: the socket cannot be read.
    /// Nothing is sent if the socket is bound to `interface`, because the probe would leave this
    /// machine.
    pub(super) fn ping_loopback(&mut self, interface: Option<&str>) -> io::Result<bool> {
        let address = LOOPBACK[self.family];
        let echo = Echo { ident: self.ident, seq: 0, data: &[0; Token::LEN] };
        let mut packet = vec![0; HEADER + Token::LEN];
        Message::Request(echo).emit(self.family, &mut packet);
        let destination = SockaddrStorage::from(socket_address(address, 0));
        let sent = interface.is_none() && self.send(&[packet], &[Some(destination)], true).count == Ok(1);
        self.end_sending();
        let end = Instant::now() + if sent { TIMEOUT } else { Duration::ZERO };
        let mut slots = receive_slots(echo.data.len());
        loop {
            let mut replied = false;
            let received = self.receive(ClockPair::read(), &mut slots, &mut |packet| {
                replied |= packet.from == address && packet.message == Ok(Message::Reply(echo));
            });
            if let Some(errno) = received.error {
                return Err(Errno::from_raw(errno).into());
            }
            let remaining = end.saturating_duration_since(Instant::now());
            if replied || remaining.is_zero() {
                return Ok(replied);
            }
            // Whatever ends the wait, the socket is read again.
            let mut awaited = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut awaited, Some(TimeSpec::from(remaining)), None);
        }
    }
}
