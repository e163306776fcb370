//! The sockets: opened with privilege, filtered, time-stamped and used without.
//!
//! One socket a family, whatever the number of targets: raw where the caller's rights allow, else an ICMP datagram socket
//! (`net.ipv4.ping_group_range`), whose Identifier the kernel chooses and whose packets have no IP header.
//!
//! Times. What the wire did is what counts, not what our scheduler did. Arrivals are stamped by the kernel (`stamp`).
//! For departures the kernel could stamp as well, but that costs a second message a probe and 19 % of the throughput;
//! instead the clock is read before and after each system call, and the packets of a batch are taken to have left at
//! even distances in between. Against a packet capture this is right within 2.5 us in the median and 17 us at the 99th
//! percentile (benches/README.md, "rtt"); user-space times of receipt are wrong by milliseconds beside busy processors.

mod filter;
mod port;
mod raw;
mod stamp;

use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, sendmmsg};
use nix::sys::time::TimeSpec;
use socket2::Type;

pub use crate::net::port::{Given, is_want_of_room};
pub use crate::net::raw::{Origin, RawSockets, interface};

use crate::error::Error;
use crate::net::port::Port;
use crate::net::raw::{DISCARD, Opened, open_icmp};
use crate::plan::Shape;
use crate::privilege::Dropped;
use crate::prober::{MAX_BATCH, Probe};
use crate::targets::Address;
use crate::token::Token;
use crate::wire::{Echo, Family, HEADER, Malformed, Message};

/// The open, filtered, time-stamping sockets.
pub struct Link {
    /// A family that could not be opened is left with the reason, which then holds for every probe of that family.
    ports: [Result<Port, Errno>; 2],
    /// The addresses of this machine.
    own: Vec<IpAddr>,
    /// Whether no probe could leave this machine when the run began.
    unplugged: bool,
    send_headers: MultiHeaders<SockaddrStorage>,
    /// What a probe carries: the token's place, and a fixed pattern.
    data: Vec<u8>,
    packets: Vec<Vec<u8>>,
    /// Room for replies, in one piece: what is never written to costs nothing.
    replies: Vec<u8>,
}

/// A packet that came in.
pub struct Arrival<'a> {
    /// Who sent it, as far as the packet says.
    pub from: Address,
    /// What it says.
    pub message: Result<Message<'a>, Malformed>,
    /// When the kernel received it.
    pub at: Instant,
}

/// What became of a batch of probes.
pub struct Departure {
    /// How many left: the first so many of the batch.
    pub count: usize,
    /// When they left, all together.
    pub left: Range<Instant>,
    /// Why the next one did not, if the kernel was asked and refused.
    pub refusal: Option<Errno>,
}

/// What to wait for besides the time and a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// Nothing.
    Nothing,
    /// Replies.
    Replies,
}

impl Link {
    /// Makes the sockets ready to send, and deaf: nothing is to pile up while the list is read, however long that takes.
    /// For a family without a raw socket an ICMP datagram socket is tried; if no family has either, that is the end.
    pub fn new(
        raw: RawSockets,
        ident: u16,
        shape: &Shape,
        interface: Option<&str>,
        may_broadcast: bool,
        _: &Dropped,
    ) -> Result<Self, Error> {
        let mut refusal = None;
        let mut ports = [Err(Errno::EAFNOSUPPORT), Err(Errno::EAFNOSUPPORT)];
        for (family, opened) in Family::BOTH.into_iter().zip(raw.opened) {
            let port = match opened {
                Opened::NotWanted => continue,
                Opened::Raw(socket) => Ok(Port::raw(socket, family, ident, raw.buffer)?),
                Opened::Refused(error) => match open_icmp(family, Type::DGRAM) {
                    Ok(socket) => Ok(Port::datagram(socket, family, raw.origins[family.index()], raw.buffer)?),
                    Err(_) => Err(error),
                },
            };
            ports[family.index()] = match port {
                Ok(port) => {
                    if may_broadcast {
                        let _ = port.socket.set_broadcast(true);
                    }
                    port.shape(shape, interface)?;
                    Ok(port)
                }
                Err(error) => {
                    let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
                    // Without this family, or without the right to it, the other one may do. Anything else is trouble of
                    // our own, and must not look like that of the targets.
                    if !matches!(errno, Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) {
                        return Err(Error::System("opening sockets", error));
                    }
                    refusal.get_or_insert(error);
                    Err(errno)
                }
            };
        }
        if let Some(refusal) = refusal
            && ports.iter().all(Result::is_err)
        {
            return Err(match refusal.kind() {
                io::ErrorKind::PermissionDenied => Error::NoPermission(refusal),
                _ => Error::System("opening sockets", refusal),
            });
        }
        let size = shape.size;
        let mut data: Vec<u8> = (0..size).map(|place| place as u8).collect();
        if !shape.pattern.is_empty() {
            let pattern = shape.pattern.iter().cycle();
            data[Token::LEN..].iter_mut().zip(pattern).for_each(|(byte, filler)| *byte = *filler);
        }
        Ok(Link {
            ports,
            own: Vec::new(),
            unplugged: false,
            send_headers: MultiHeaders::preallocate(MAX_BATCH, None),
            packets: vec![vec![0; HEADER + size]; MAX_BATCH],
            replies: port::rooms(size),
            data,
        })
    }

    /// Lets replies in, to families that have targets. The socket of one that has none is closed: it would only cost a
    /// look for every round.
    pub fn listen(&mut self, has_targets: impl Fn(Family) -> bool) -> Result<(), Error> {
        for (family, port) in Family::BOTH.into_iter().zip(&mut self.ports) {
            match port {
                Ok(port) if has_targets(family) => port.listen()?,
                Ok(_) => *port = Err(Errno::EAFNOSUPPORT),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// What the kernel gave for each family, or why it gave nothing. The sockets are of no more use afterwards.
    pub fn given(self) -> [Result<Given, Errno>; 2] {
        self.ports.map(|port| port.map(Port::given))
    }

    /// Looks whether there is a way out, and prepares for [`Self::has_route`], while descriptors can still be opened.
    pub fn take_compass(&mut self, origins: [Option<Origin>; 2], interface: Option<&str>) {
        let interfaces: Vec<_> = interfaces().collect();
        self.own = interfaces.iter().filter_map(address_of_interface).collect();
        self.unplugged = are_unplugged(&interfaces, interface);
        for port in self.ports.iter_mut().flatten() {
            port.take_compass(origins[port.family.index()], interface);
        }
    }

    /// The Identifiers of probes and replies, by family.
    pub fn idents(&self) -> [u16; 2] {
        self.ports.each_ref().map(|port| port.as_ref().map_or(0, |port| port.ident))
    }

    /// How many packets the kernel has thrown away: replies without room, and damaged ICMPv6 packets of anybody. A lost
    /// reply may count twice.
    pub fn drops(&self) -> u64 {
        self.ports.iter().flatten().map(|port| port.dropped).sum()
    }

    /// Sends probes, all of one family, in one system call.
    pub fn send(&mut self, probes: &[Probe]) -> Departure {
        let now = Instant::now();
        let none = |refusal| Departure { count: 0, left: now..now, refusal };
        let probes = match probes.iter().position(|probe| self.unplugged && self.leaves(probe.address)) {
            Some(0) => return none(Some(Errno::ENETDOWN)),
            Some(outward) => &probes[..outward],
            None => probes,
        };
        let Some(first) = probes.first() else { return none(None) };
        let family = first.address.family();
        let port = match &self.ports[family.index()] {
            Ok(port) => port,
            Err(errno) => return none(Some(*errno)),
        };
        let mut addresses = [None; MAX_BATCH];
        for ((probe, packet), address) in probes.iter().zip(&mut self.packets).zip(&mut addresses) {
            self.data[..Token::LEN].copy_from_slice(&probe.token.emit());
            let echo = Echo { ident: port.ident, seq: probe.seq, data: &self.data };
            Message::Request(echo).emit(family, packet);
            *address = Some(destination(probe.address));
        }
        let slices: [_; MAX_BATCH] = std::array::from_fn(|place| [IoSlice::new(&self.packets[place])]);
        let count = probes.len().min(MAX_BATCH);
        let (fd, flags) = (port.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        port.candidly(|| {
            let start = Instant::now();
            let sent = sendmmsg(fd, &mut self.send_headers, &slices[..count], &addresses[..count], [], flags);
            let sent = sent.map(Iterator::count);
            let left = start..Instant::now();
            match sent {
                Ok(count) => Departure { count, left, refusal: None },
                Err(errno) => Departure { count: 0, left, refusal: Some(errno) },
            }
        })
    }

    /// Hands every packet that has arrived so far to `each`, family by family, in the order of arrival. Says of either
    /// family whether replies were lost for want of room since the last time.
    pub fn receive(&mut self, mut each: impl FnMut(Arrival)) -> [bool; 2] {
        let replies = &mut self.replies;
        self.ports.each_mut().map(|port| port.as_mut().is_ok_and(|port| port.receive(replies, &mut each)))
    }

    /// Whether what is sent to `address` leaves this machine.
    pub fn leaves(&self, address: Address) -> bool {
        let ip = match address {
            Address::V4(ip) => ip.into(),
            Address::V6(ip, _) => ip.into(),
        };
        !IpAddr::is_loopback(&ip) && !self.own.contains(&ip)
    }

    /// Whether the kernel knows a route to `address` now. Nothing is sent to find out. Without a compass nobody knows, and
    /// the answer is no.
    pub fn has_route(&self, address: Address) -> bool {
        let peer: SocketAddr = match address {
            Address::V4(ip) => SocketAddrV4::new(ip, DISCARD).into(),
            Address::V6(ip, zone) => SocketAddrV6::new(ip, DISCARD, 0, zone).into(),
        };
        self.ports[address.family().index()].as_ref().is_ok_and(|port| port.has_route(peer))
    }

    /// Waits until `until` or a signal, or for what else is awaited.
    pub fn wait(&self, signals: BorrowedFd, until: Option<Instant>, awaited: Awaited) {
        let timeout = until.map(|until| TimeSpec::from(until.saturating_duration_since(Instant::now())));
        let mut wanted = [const { None }; 2];
        if awaited == Awaited::Replies {
            let flags = PollFlags::POLLIN;
            wanted = self.ports.each_ref().map(|port| Some(PollFd::new(port.as_ref().ok()?.socket.as_fd(), flags)));
        }
        let signals = PollFd::new(signals, PollFlags::POLLIN);
        // Whatever ends the wait, the caller looks at everything again.
        let _ = match wanted {
            [Some(one), Some(other)] => ppoll(&mut [signals, one, other], timeout, None),
            [Some(one), None] | [None, Some(one)] => ppoll(&mut [signals, one], timeout, None),
            [None, None] => ppoll(&mut [signals], timeout, None),
        };
    }
}

fn destination(address: Address) -> SockaddrStorage {
    match address {
        Address::V4(ip) => SocketAddrV4::new(ip, 0).into(),
        Address::V6(ip, zone) => SocketAddrV6::new(ip, 0, 0, zone).into(),
    }
}

/// The broadcast addresses of this machine's networks, whether configured or following from the netmask (RFC 1122
/// §3.2.1.3). Where they cannot be listed, the kernel still refuses to send to them: that needs a permission which only
/// root's sockets are given.
pub fn broadcasts() -> Vec<Ipv4Addr> {
    let ip = |address: Option<SockaddrStorage>| Some(address?.as_sockaddr_in()?.ip());
    let of_interface = |interface: InterfaceAddress| {
        let computed = match (ip(interface.address), ip(interface.netmask)) {
            // Networks of one or two hosts have no broadcast address (RFC 3021).
            (Some(own), Some(mask)) if mask.to_bits().leading_ones() < 31 => Some(own | !mask),
            _ => None,
        };
        [ip(interface.broadcast), computed].into_iter().flatten()
    };
    interfaces().flat_map(of_interface).collect()
}

fn address_of_interface(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address?;
    let v6 = || Some(address.as_sockaddr_in6()?.ip().into());
    address.as_sockaddr_in().map(|v4| v4.ip().into()).or_else(v6)
}

/// Whether probes would leave by interfaces none of which is connected to anything. The kernel takes packets for them all
/// the same, and throws them away. (By IFF_LOWER_UP: IFF_RUNNING follows later, by a worker.)
fn are_unplugged(interfaces: &[InterfaceAddress], only: Option<&str>) -> bool {
    let outward = || {
        interfaces.iter().filter(|interface| {
            interface.flags.contains(InterfaceFlags::IFF_UP)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
                && only.is_none_or(|name| name == interface.interface_name)
        })
    };
    outward().any(|interface| address_of_interface(interface).is_some())
        && !outward().any(|interface| interface.flags.contains(InterfaceFlags::IFF_LOWER_UP))
}

fn interfaces() -> impl Iterator<Item = InterfaceAddress> {
    getifaddrs().into_iter().flatten()
}
