//! The sockets: opened with privilege, filtered, time-stamped and used without.
//!
//! One socket a family, whatever the number of targets: raw where the caller's rights allow, else an ICMP datagram socket
//! (`net.ipv4.ping_group_range`), whose Identifier the kernel chooses and whose packets have no IP header.
//!
//! Times. What the wire did is what counts, not what our scheduler did. Arrivals are stamped by the kernel (`stamp`).
//! For departures the kernel could stamp as well, but that costs a second message a probe and 19 % of the throughput;
//! instead the clock is read before and after each system call, and the packets of a batch are taken to have left at
//! even distances in between. Against a packet capture this is right within 1 us in the median and 5 us at the 99th
//! percentile at full speed with batches of 8, and within 20 us beside busy processors; user-space times of receipt were
//! wrong by 4 ms there. Batches above 16 gain nothing and blur the times.

mod filter;
mod stamp;

use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, sendmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::{cmsg_space, getsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::cli::Source;
use crate::error::Error;
use crate::net::stamp::Present;
use crate::privilege::{Dropped, Privileged};
use crate::prober::{MAX_BATCH, Probe};
use crate::targets::Address;
use crate::token::Token;
use crate::wire::{self, Echo, Family, HEADER, Malformed, Message};

/// Room for replies that wait to be read, in bytes. A small reply takes 832 of them on a virtual device and two to four
/// times that on real ones, and the kernel doubles the figure to make up for it.
const BUFFER_OF_ROOT: usize = 32 << 20;
const BUFFER_OF_OTHERS: usize = 4 << 20;

/// How many packets are read in one system call.
const READ_BATCH: usize = 64;

/// The largest reply that is read whole: an IPv4 header with options, and a probe of the largest size.
const MAX_REPLY: usize = 2048;

/// From asm-generic/socket.h and linux/sock_diag.h; libc has neither.
const SO_MEMINFO: libc::c_int = 55;
const MEMINFO_RMEM_ALLOC: usize = 0;
const MEMINFO_RCVBUF: usize = 1;
const MEMINFO_DROPS: usize = 8;

sockopt_impl!(
    /// What a socket's buffers hold, and how many packets found no room in them.
    MemInfo,
    GetOnly,
    libc::SOL_SOCKET,
    SO_MEMINFO,
    [u32; 9]
);

/// An address to send from that this machine may have: not a group, with its interface looked up.
#[derive(Clone, Copy, Debug)]
pub struct Origin(SocketAddr);

impl Origin {
    /// Looks at an address as closely as is possible without privilege. The kernel binds to broadcast addresses without
    /// a murmur, but it does not let a UDP socket connect to one, which sends nothing.
    pub fn check(source: &Source) -> Result<Self, Error> {
        let address = match (source.ip, &source.zone) {
            (IpAddr::V6(ip), Some(zone)) => {
                let zone = interface(zone).ok_or(Error::BadSource(source.ip, "no such interface"))?;
                SocketAddrV6::new(ip, 0, 0, zone).into()
            }
            (ip, _) => SocketAddr::new(ip, 0),
        };
        if address.is_ipv4() {
            const DISCARD: u16 = 9;
            let connected =
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|udp| udp.connect((source.ip, DISCARD)));
            if connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                return Err(Error::BadSource(source.ip, "a broadcast address"));
            }
        }
        Ok(Origin(address))
    }

    fn refused(self, error: io::Error) -> Error {
        Error::SourceRefused(self.0.ip(), error)
    }
}

/// What opening a family's socket came to.
enum Opened {
    NotWanted,
    Raw(Socket),
    Refused(io::Error),
}

/// Raw sockets, opened and bound; nothing has been sent or read yet.
pub struct RawSockets {
    opened: [Opened; 2],
    origins: [Option<Origin>; 2],
    buffer: usize,
}

impl RawSockets {
    /// Opens one raw socket for each family wanted. A family that is refused is not yet lost: see [`Link::new`].
    /// The receive buffer depends on nothing but whether the caller is real root.
    pub fn open(
        _: &Privileged,
        only: Option<Family>,
        origins: [Option<Origin>; 2],
        caller_is_root: bool,
    ) -> Result<Self, Error> {
        let buffer = if caller_is_root { BUFFER_OF_ROOT } else { BUFFER_OF_OTHERS };
        let mut opened = [Opened::NotWanted, Opened::NotWanted];
        for family in Family::BOTH.into_iter().filter(|&family| only.is_none_or(|only| only == family)) {
            opened[family.index()] = match open(family, Type::RAW) {
                Ok(socket) => {
                    // Forcing needs NET_ADMIN; without it Link::new asks within the system's limit.
                    let _ = setsockopt(&socket, sockopt::RcvBufForce, &buffer);
                    if let Some(origin) = origins[family.index()] {
                        bind(&socket, origin.0).map_err(|error| origin.refused(error))?;
                    }
                    Opened::Raw(socket)
                }
                Err(error) => Opened::Refused(error),
            };
        }
        Ok(RawSockets { opened, origins, buffer })
    }
}

/// One family's socket, ready for use.
struct Port {
    family: Family,
    socket: Socket,
    /// Whether it is a datagram socket, whose packets have no IP header and whose checksums the kernel checks.
    datagram: bool,
    ident: u16,
    /// The drop counter as of the last look at it.
    drops: u32,
    /// When the queue was last seen empty.
    empty: Instant,
    headers: MultiHeaders<SockaddrStorage>,
}

/// The open, filtered, time-stamping sockets.
pub struct Link {
    /// A family that could not be opened is left with the reason, which then holds for every probe of that family.
    ports: [Result<Port, Errno>; 2],
    send_headers: MultiHeaders<SockaddrStorage>,
    /// What a probe carries: the token's place, and a fixed pattern.
    data: Vec<u8>,
    packets: Vec<Vec<u8>>,
    replies: Vec<[u8; MAX_REPLY]>,
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
    /// Room to send.
    Room,
}

impl Link {
    /// Makes the sockets ready: Identifier, filter, time stamps, buffer. For a family without a raw socket an ICMP
    /// datagram socket is tried; if no family has either, that is the end. `size` is the length of a probe's data.
    pub fn new(raw: RawSockets, ident: u16, size: usize, may_broadcast: bool, _: &Dropped) -> Result<Self, Error> {
        let mut refusal = None;
        let mut ports = [Err(Errno::EAFNOSUPPORT), Err(Errno::EAFNOSUPPORT)];
        for (family, opened) in Family::BOTH.into_iter().zip(raw.opened) {
            let port = match opened {
                Opened::NotWanted => continue,
                Opened::Raw(socket) => Ok(Port::raw(socket, family, ident, raw.buffer)?),
                Opened::Refused(error) => match open(family, Type::DGRAM) {
                    Ok(socket) => Ok(Port::datagram(socket, family, raw.origins[family.index()], raw.buffer)?),
                    Err(_) => Err(error),
                },
            };
            ports[family.index()] = match port {
                Ok(port) => {
                    if may_broadcast {
                        let _ = port.socket.set_broadcast(true);
                    }
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
        let mut data: Vec<u8> = (0..size).map(|place| place as u8).collect();
        data[..Token::LEN].fill(0);
        Ok(Link {
            ports,
            send_headers: MultiHeaders::preallocate(MAX_BATCH, None),
            packets: vec![vec![0; HEADER + size]; MAX_BATCH],
            replies: vec![[0; MAX_REPLY]; READ_BATCH],
            data,
        })
    }

    /// The Identifiers of probes and replies, by family.
    pub fn idents(&self) -> [u16; 2] {
        self.ports.each_ref().map(|port| port.as_ref().map_or(0, |port| port.ident))
    }

    /// Sends probes, all of one family, in one system call.
    pub fn send(&mut self, probes: &[Probe]) -> Departure {
        let now = Instant::now();
        let Some(first) = probes.first() else { return Departure { count: 0, left: now..now, refusal: None } };
        let family = first.address.family();
        let port = match &self.ports[family.index()] {
            Ok(port) => port,
            Err(errno) => return Departure { count: 0, left: now..now, refusal: Some(*errno) },
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
        let start = Instant::now();
        let sent = sendmmsg(fd, &mut self.send_headers, &slices[..count], &addresses[..count], [], flags);
        let sent = sent.map(Iterator::count);
        let left = start..Instant::now();
        match sent {
            Ok(count) => Departure { count, left, refusal: None },
            Err(errno) => Departure { count: 0, left, refusal: Some(errno) },
        }
    }

    /// Hands every packet that has arrived so far to `each`, family by family, in the order of arrival. Says of either
    /// family whether replies were lost for want of room since the last time.
    pub fn receive(&mut self, mut each: impl FnMut(Arrival)) -> [bool; 2] {
        let replies = &mut self.replies;
        self.ports.each_mut().map(|port| port.as_mut().is_ok_and(|port| port.receive(replies, &mut each)))
    }

    /// Waits until `until` or a signal, or for what else is awaited.
    pub fn wait(&self, signals: BorrowedFd, until: Option<Instant>, awaited: Awaited) {
        let flags = match awaited {
            Awaited::Nothing => PollFlags::empty(),
            Awaited::Replies => PollFlags::POLLIN,
            Awaited::Room => PollFlags::POLLOUT,
        };
        let timeout = until.map(|until| TimeSpec::from(until.saturating_duration_since(Instant::now())));
        let mut wanted = [const { None }; 2];
        if awaited != Awaited::Nothing {
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

impl Port {
    fn raw(socket: Socket, family: Family, ident: u16, buffer: usize) -> Result<Self, Error> {
        filter::attach(&socket, family, ident).map_err(|error| Error::System("packet filter", error))?;
        Self::new(socket, family, false, ident, buffer)
    }

    fn datagram(socket: Socket, family: Family, origin: Option<Origin>, buffer: usize) -> Result<Self, Error> {
        let unspecified = match family {
            Family::V4 => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            Family::V6 => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        // The port is the Identifier. Port 0 lets the kernel choose one that nobody has: two sockets bound to the same
        // one would take each other's replies.
        bind(&socket, origin.map_or(unspecified, |origin| origin.0)).map_err(|error| match origin {
            Some(origin) => origin.refused(error),
            None => Error::System("bind", error),
        })?;
        let name = socket.local_addr().map_err(|error| Error::System("getsockname", error))?;
        let ident = name.as_socket().map_or(0, |address| address.port());
        Self::new(socket, family, true, ident, buffer)
    }

    fn new(socket: Socket, family: Family, datagram: bool, ident: u16, buffer: usize) -> Result<Self, Error> {
        let failed = |what| move |errno: Errno| Error::System(what, io::Error::from(errno));
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true).map_err(failed("receive time stamps"))?;
        // The kernel doubles what it is asked for, and tells the double.
        if socket.recv_buffer_size().is_ok_and(|size| size < 2 * buffer) {
            let _ = socket.set_recv_buffer_size(buffer);
        }
        let headers = MultiHeaders::preallocate(READ_BATCH, Some(cmsg_space!(libc::timespec)));
        let mut port = Port { family, socket, datagram, ident, drops: 0, empty: Instant::now(), headers };
        port.overflowed();
        Ok(port)
    }

    /// Whether replies found no room since the last look. The counter rises for damaged ICMPv6 packets as well; those
    /// are told by a buffer that is not even half full although nobody has read from it since.
    fn overflowed(&mut self) -> bool {
        let Ok(info) = getsockopt(&self.socket, MemInfo) else { return false };
        let before = mem::replace(&mut self.drops, info[MEMINFO_DROPS]);
        info[MEMINFO_DROPS] != before && info[MEMINFO_RMEM_ALLOC] >= info[MEMINFO_RCVBUF] / 2
    }

    /// See [`Link::receive`]. Only what had arrived when it began is sure to be read: a flood may not keep us here.
    fn receive(&mut self, replies: &mut [[u8; MAX_REPLY]], each: &mut impl FnMut(Arrival)) -> bool {
        let begin = Instant::now();
        let overflowed = self.overflowed();
        let mut before = begin;
        loop {
            let mut rooms = replies.iter_mut();
            let mut slices: [_; READ_BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(rooms.next().map_or(&mut [][..], |room| &mut room[..]))]);
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let messages = match recvmmsg(fd, &mut self.headers, &mut slices, flags, None) {
                Ok(messages) => messages,
                Err(Errno::EINTR) => continue,
                // Empty; or a stale error of the socket, which the next call no longer sees.
                Err(_) => {
                    self.empty = before;
                    return overflowed;
                }
            };
            let now = Instant::now();
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let present = Present { now, wall, empty: self.empty };
            let (mut count, mut last, mut blurred) = (0, None, false);
            for message in messages {
                count += 1;
                let stamp = match message.cmsgs() {
                    Ok(mut cmsgs) => cmsgs.find_map(|cmsg| match cmsg {
                        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                        _ => None,
                    }),
                    Err(_) => None,
                };
                blurred |= stamp.is_none();
                last = stamp.and_then(|stamp| present.arrival(stamp));
                let at = last.unwrap_or(now);
                let bytes = message.iovs().next().unwrap_or_default();
                let message_of = |icmp| Message::parse(self.family, icmp);
                let parsed = match self.family {
                    Family::V4 if !self.datagram => wire::strip_ipv4(bytes).and_then(message_of),
                    _ => message_of(bytes),
                };
                if let Some(from) = message.address.as_ref().and_then(origin_of) {
                    each(Arrival { from, message: parsed, at });
                }
            }
            if blurred {
                // nix does not restore a header's room for control messages, so one packet without a stamp would cost
                // all later ones theirs.
                self.headers = MultiHeaders::preallocate(READ_BATCH, Some(cmsg_space!(libc::timespec)));
            }
            if count < READ_BATCH {
                self.empty = before;
                return overflowed;
            }
            if last.is_some_and(|last| last > begin) {
                return overflowed;
            }
            before = now;
        }
    }
}

fn open(family: Family, kind: Type) -> io::Result<Socket> {
    let (domain, protocol) = match family {
        Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
        Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
    };
    Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))
}

fn bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.bind(&SockAddr::from(address))
}

fn destination(address: Address) -> SockaddrStorage {
    match address {
        Address::V4(ip) => SocketAddrV4::new(ip, 0).into(),
        Address::V6(ip, zone) => SocketAddrV6::new(ip, 0, 0, zone).into(),
    }
}

fn origin_of(from: &SockaddrStorage) -> Option<Address> {
    match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => Some(Address::V4(v4.ip())),
        (_, Some(v6)) => Some(Address::V6(v6.ip(), v6.scope_id())),
        _ => None,
    }
}

/// The index of the interface with this name or number, if there is one. A number has one spelling.
pub fn interface(zone: &str) -> Option<u32> {
    if_nametoindex(zone).ok().or_else(|| {
        let index = zone.parse().ok().filter(|index: &u32| index.to_string() == zone)?;
        if_indextoname(index).ok().map(|_| index)
    })
}

/// The broadcast addresses of this machine's networks. Where they cannot be listed, the kernel still refuses to send to
/// them: that needs a permission which only root's sockets are given.
pub fn broadcasts() -> Vec<Ipv4Addr> {
    let Ok(interfaces) = getifaddrs() else { return Vec::new() };
    interfaces.filter_map(|interface| Some(interface.broadcast?.as_sockaddr_in()?.ip())).collect()
}
