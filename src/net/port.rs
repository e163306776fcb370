//! One family's socket at work: made ready, and read from.

use std::io::{self, IoSliceMut};
use std::mem;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, sendto, setsockopt, sockopt,
};
use nix::{cmsg_space, getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{Protocol, Socket, Type};

use crate::error::Error;
use crate::net::raw::{Origin, bind, open};
use crate::net::stamp::Present;
use crate::net::{Arrival, Departure, filter};
use crate::plan::Shape;
use crate::targets::Address;
use crate::wire::{self, Family, HEADER, Message};

/// How many errors in a row are read over.
const MAX_ERRORS: usize = 8;

/// How many packets are read in one system call.
const READ_BATCH: usize = 16;

/// The longest header of an IPv4 packet (RFC 791 §3.1), in bytes.
const MAX_HEADER: usize = 60;

/// Room for a reply that is longer than its probe, as long as it fits into one frame.
const LEAST_ROOM: usize = 2048;

/// A probe with so much data fits into the smallest packet that every host must take, 576 bytes (RFC 791 §3.1). It is
/// never fragmented, so the kernel need not spend time on finding it a unique Identification.
const UNFRAGMENTED: usize = 576 - MAX_HEADER - HEADER;

/// From linux/socket.h; libc does not have it.
const MSG_PROBE: libc::c_int = 0x10;

/// Where these stand in what SO_MEMINFO tells.
const RMEM_ALLOC: usize = libc::SK_MEMINFO_RMEM_ALLOC as usize;
const RCVBUF: usize = libc::SK_MEMINFO_RCVBUF as usize;
const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;

sockopt_impl!(
    /// Whether routers may fragment, and whether the kernel believes what it heard of a path's MTU (ip(7)).
    MtuDiscover,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// The same for IPv6 (ipv6(7)).
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    libc::c_int
);
sockopt_impl!(
    /// What a socket's buffers hold, and how many packets found no room in them.
    MemInfo,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9]
);

/// One family's socket, ready for use.
pub(super) struct Port {
    pub(super) family: Family,
    pub(super) socket: Socket,
    /// Whether it is a datagram socket, whose packets have no IP header and whose checksums the kernel checks.
    datagram: bool,
    pub(super) ident: u16,
    /// How large its receive buffer is to be, before the kernel doubles it.
    buffer: usize,
    /// The drop counter as of the last look at it.
    drops: u32,
    /// What it has risen by since the start.
    pub(super) dropped: u64,
    /// Whether the buffer was at least a quarter full at that look.
    crowded: bool,
    /// When the queue was last seen empty.
    empty: Instant,
    headers: MultiHeaders<SockaddrStorage>,
    /// A UDP socket that never sends, to ask the kernel for routes with.
    compass: Option<Socket>,
}

/// What the kernel gave for one family.
pub struct Given {
    /// Whether the socket is a datagram socket, which hears nothing but answers to its own requests.
    pub datagram: bool,
    /// Whether only our own answers get through.
    pub filter: bool,
    /// Whether what arrives is stamped with the time.
    pub stamps: bool,
    /// Whether the kernel tells of replies that found no room.
    pub drop_counter: bool,
    /// How many bytes there are for replies that wait to be read, and how many were asked for.
    pub buffer: [usize; 2],
}

/// Rooms for the replies to probes with `size` bytes of data, with any header, and for those of hosts that add to it.
pub(super) fn rooms(size: usize) -> Vec<u8> {
    vec![0; (MAX_HEADER + HEADER + size).max(LEAST_ROOM) * READ_BATCH]
}

impl Port {
    pub(super) fn raw(socket: Socket, family: Family, ident: u16, buffer: usize) -> Result<Self, Error> {
        filter::shut(&socket, family).map_err(|error| Error::System("packet filter", error))?;
        Ok(Self::new(socket, family, false, ident, buffer))
    }

    pub(super) fn datagram(
        socket: Socket,
        family: Family,
        origin: Option<Origin>,
        buffer: usize,
    ) -> Result<Self, Error> {
        // The port is the Identifier. Port 0 lets the kernel choose one that nobody has: two sockets bound to the same
        // one would take each other's replies.
        bind(&socket, origin.map_or(unspecified(family), |origin| origin.0)).map_err(|error| match origin {
            Some(origin) => origin.refused(error),
            None => Error::System("bind", error),
        })?;
        let name = socket.local_addr().map_err(|error| Error::System("getsockname", error))?;
        let ident = name.as_socket().map_or(0, |address| address.port());
        Ok(Self::new(socket, family, true, ident, buffer))
    }

    fn new(socket: Socket, family: Family, datagram: bool, ident: u16, buffer: usize) -> Self {
        let (empty, headers) = (Instant::now(), MultiHeaders::preallocate(0, None));
        let (drops, dropped, crowded) = (0, 0, false);
        Port { family, socket, datagram, ident, buffer, drops, dropped, crowded, empty, headers, compass: None }
    }

    /// Prepares for replies: filter, time stamps, buffer. A family that turns out to have no targets is spared it.
    pub(super) fn listen(&mut self) -> Result<(), Error> {
        let failed = |what| move |error| Error::System(what, error);
        let stamps = setsockopt(&self.socket, sockopt::ReceiveTimestampns, &true);
        stamps.map_err(io::Error::from).map_err(failed("receive time stamps"))?;
        // The kernel doubles what it is asked for, and tells the double.
        if self.socket.recv_buffer_size().is_ok_and(|size| size < 2 * self.buffer) {
            let _ = self.socket.set_recv_buffer_size(self.buffer);
        }
        self.headers = headers();
        if !self.datagram {
            filter::open(&self.socket, self.family, self.ident).map_err(failed("packet filter"))?;
        }
        self.overflowed();
        self.dropped = 0;
        Ok(())
    }

    /// Sends, and makes the kernel say of each packet whether there was room for it. Of a raw IPv4 socket's packets it does
    /// so only where it is asked for errors of all kinds (raw_sendmsg in net/ipv4/raw.c), and else drops without a word
    /// what does not fit into a queue of the interface or into the neighbour table. Those of all kinds are asked for only
    /// while a batch leaves: ICMP errors about one target fail the next send to whomever, and take up the replies' room.
    pub(super) fn candidly(&self, mut send: impl FnMut() -> Departure) -> Departure {
        if self.datagram || self.family == Family::V6 {
            return send();
        }
        let ask = |whether| setsockopt(&self.socket, sockopt::Ipv4RecvErr, &whether);
        let _ = ask(true);
        let departure = send();
        let _ = ask(false);
        match departure.refusal {
            // It may be one of those about others. With these out of the way, the kernel says what it thinks of this one.
            Some(errno) if !is_want_of_room(errno) => {
                let _ = self.socket.take_error();
                send()
            }
            _ => departure,
        }
    }

    /// Prepares to ask for routes from `origin` through `interface`. Without it nobody knows, and refusals weigh more.
    pub(super) fn take_compass(&mut self, origin: Option<Origin>, interface: Option<&str>) {
        let find = || {
            let compass = open(self.family, Type::DGRAM, Protocol::UDP)?;
            if let Some(origin) = origin {
                bind(&compass, origin.0)?;
            }
            if let Some(name) = interface {
                compass.bind_device(Some(name.as_bytes()))?;
            }
            Ok::<_, io::Error>(compass)
        };
        self.compass = find().ok();
    }

    /// Whether the kernel knows a route to `address` now. An empty message with these two flags goes as far as that, and
    /// is not sent (linux/socket.h).
    pub(super) fn has_route(&self, address: SocketAddr) -> bool {
        let flags = MsgFlags::from_bits_retain(libc::MSG_CONFIRM | MSG_PROBE);
        let ask = |compass: &Socket| sendto(compass.as_raw_fd(), &[], &SockaddrStorage::from(address), flags);
        self.compass.as_ref().is_some_and(|compass| ask(compass).is_ok())
    }

    /// Gives packets the shape that the command line asks for.
    pub(super) fn shape(&self, shape: &Shape, interface: Option<&str>) -> Result<(), Error> {
        let refused = |option| move |error| Error::SocketOption(option, error);
        let socket = &self.socket;
        let bound = interface.map_or(Ok(()), |name| socket.bind_device(Some(name.as_bytes())));
        bound.map_err(refused("--interface"))?;
        if let Some(ttl) = shape.ttl {
            let set = match self.family {
                Family::V4 => socket.set_ttl_v4(ttl.into()),
                Family::V6 => socket.set_unicast_hops_v6(ttl.into()),
            };
            set.map_err(refused("--ttl"))?;
        }
        if let Some(tos) = shape.tos {
            let set = match self.family {
                Family::V4 => socket.set_tos_v4(tos.into()),
                Family::V6 => socket.set_tclass_v6(tos.into()),
            };
            set.map_err(refused("--tos"))?;
        }
        let discovery = if shape.dont_fragment {
            libc::IP_PMTUDISC_DO
        } else if shape.size <= UNFRAGMENTED {
            libc::IP_PMTUDISC_PROBE
        } else {
            return Ok(());
        };
        let set = match self.family {
            Family::V4 => setsockopt(socket, MtuDiscover, &discovery),
            Family::V6 => setsockopt(socket, MtuDiscoverV6, &discovery),
        };
        match set {
            Err(errno) if shape.dont_fragment => Err(Error::SocketOption("--dont-fragment", errno.into())),
            _ => Ok(()),
        }
    }

    /// Asks the kernel what it gave.
    pub(super) fn given(self) -> Given {
        let socket = &self.socket;
        Given {
            datagram: self.datagram,
            filter: self.datagram || filter::detach(socket, self.family),
            stamps: getsockopt(socket, sockopt::ReceiveTimestampns) == Ok(true),
            drop_counter: getsockopt(socket, MemInfo).is_ok(),
            buffer: [socket.recv_buffer_size().unwrap_or(0) / 2, self.buffer],
        }
    }

    /// Whether replies found no room since the last look. With IPv6 the counter rises for damaged packets as well; those
    /// are told by a buffer that was not even a quarter full, neither now nor when reading last began. (A buffer that
    /// fills up while it is being read holds at least what came since, or else it was crowded before.)
    fn overflowed(&mut self) -> bool {
        let Ok(info) = getsockopt(&self.socket, MemInfo) else { return false };
        let before = mem::replace(&mut self.drops, info[DROPS]);
        let lost = info[DROPS].wrapping_sub(before);
        self.dropped += u64::from(lost);
        let crowded = info[RMEM_ALLOC] >= info[RCVBUF] / 4;
        let was_crowded = mem::replace(&mut self.crowded, crowded);
        lost > 0 && (self.family == Family::V4 || crowded || was_crowded)
    }

    /// See [`super::Link::receive`]. Only what had arrived when it began is sure to be read: a flood may not keep us here.
    pub(super) fn receive(&mut self, replies: &mut [u8], each: &mut impl FnMut(Arrival)) -> bool {
        let begin = Instant::now();
        let overflowed = self.overflowed();
        let mut before = begin;
        let mut errors = 0;
        loop {
            let mut rooms = replies.chunks_exact_mut(replies.len() / READ_BATCH);
            let mut slices: [_; READ_BATCH] =
                std::array::from_fn(|_| [IoSliceMut::new(rooms.next().map_or(&mut [][..], |room| &mut room[..]))]);
            let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let messages = match recvmmsg(fd, &mut self.headers, &mut slices, flags, None) {
                Ok(messages) => messages,
                Err(Errno::EAGAIN) => {
                    self.empty = before;
                    return overflowed;
                }
                // An error that the socket had kept is told once, and says nothing of what is queued behind it.
                Err(_) if errors < MAX_ERRORS => {
                    errors += 1;
                    continue;
                }
                Err(_) => return overflowed,
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
                if let Some(from) = message.address.as_ref().and_then(address_of) {
                    each(Arrival { from, message: parsed, at });
                }
            }
            if blurred {
                // nix does not restore a header's room for control messages, so one packet without a stamp would cost
                // all later ones theirs.
                self.headers = headers();
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

/// Whether the kernel cannot take a packet now and may do so a little later.
pub fn is_want_of_room(errno: Errno) -> bool {
    matches!(errno, Errno::EAGAIN | Errno::ENOBUFS)
}

/// Headers for a batch, with room for the time stamps.
fn headers() -> MultiHeaders<SockaddrStorage> {
    MultiHeaders::preallocate(READ_BATCH, Some(cmsg_space!(libc::timespec)))
}

/// Any address of a family, with any port.
fn unspecified(family: Family) -> SocketAddr {
    match family {
        Family::V4 => (Ipv4Addr::UNSPECIFIED, 0).into(),
        Family::V6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

fn address_of(from: &SockaddrStorage) -> Option<Address> {
    match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => Some(Address::V4(v4.ip())),
        (_, Some(v6)) => Some(Address::V6(v6.ip(), v6.scope_id())),
        _ => None,
    }
}
