//! The sockets: opened with privilege, filtered, time-stamped and used without.
//!
//! One socket a family, whatever the number of targets: raw where the rights allow it (and several
//! threads do not prefer the other kind), else an ICMP datagram socket
//! (`net.ipv4.ping_group_range`), whose Identifier the kernel chooses and whose packets have no IP
//! header.
//!
//! An RTT must not depend on the scheduler. Arrivals are stamped by the kernel (`timestamp`). It
//! could stamp departures as well, but that costs a second message a probe and 19 % of the
//! throughput; instead the clock is read before and after each system call, and the send times of a
//! batch are interpolated. Against a packet capture this is right within 2.5 us in the median and
//! 17 us at the 99th percentile (benches/README.md, "rtt"); receive times taken in user space are
//! wrong by milliseconds beside busy processors. They are used only where the kernel has no stamps
//! (gVisor, WSL 1) or does not make them yet, and then replies are read at once. Nor does a run
//! depend on the packet filters: what arrives is checked in any case.

#![expect(clippy::disallowed_methods, reason = "an edge: packets are timed here")]

mod discards;
mod filter;
mod headers;
mod loopback;
mod multicast;
mod netlink;
mod on_demand;
mod parse;
mod route;
mod socket;
mod sockets;
mod timestamp;
mod waiting;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::socket::SockaddrStorage;
use socket2::Type;

pub(crate) use crate::net::on_demand::{ignore_all, open_any};
pub use crate::net::parse::ParseAddressError;
pub use crate::net::route::{broadcasts, interface, interface_with, interfaces_up, is_broadcast, loopback_down};
pub use crate::net::socket::SocketStatus;
pub use crate::net::sockets::{Config, OpenedSockets};
pub(crate) use crate::net::waiting::{Waiter, eventfd};

use crate::address::{Address, Family, PerFamily, TargetId};
use crate::error::Error;
use crate::net::discards::Discards;
use crate::net::headers::Headers;
use crate::net::route::Routes;
use crate::net::socket::{FamilySocket, Packet, Sent, errno_of};
use crate::net::sockets::{Opened, mark, open_icmp, socket_address};
use crate::net::timestamp::ClockPair;
use crate::plan::{PacketOptions, ProbeKind};
use crate::prober::{MAX_BATCH, Probe, Prober, Route, SendError, Strategy};
use crate::token::Token;
use crate::wire::{Echo, HEADER, HostTime, Malformed, Message, Query, QueryBody, RecordedRoute};

/// The open, filtered, time-stamping sockets.
pub struct Link {
    config: Config,
    /// Of a family that could not be opened, the reason, which holds for each probe of that family.
    sockets: PerFamily<Result<FamilySocket, Errno>>,
    routes: Routes,
    /// What IPv6 drops, where its socket is not told.
    discards: Option<Discards>,
    /// The last address of another machine that was sent to, and the last of IPv6.
    last_sent: Option<Address>,
    last_v6: Option<Address>,
    /// Which message a probe is.
    kind: ProbeKind,
    /// What an Echo Request carries: the token's place, and a fixed pattern.
    data: Vec<u8>,
    packets: Vec<Vec<u8>>,
    receive_slots: Vec<u8>,
}

/// A packet that arrived.
pub struct Arrival<'a> {
    /// Its source address.
    pub from: Address,
    /// The ICMP message in it.
    pub message: Result<Message<'a>, Malformed>,
    /// Its TTL or Hop Limit, if that is known: with a raw IPv4 socket it is, otherwise after
    /// [`Link::receive_ttl`].
    pub ttl: Option<u8>,
    /// Its Type Of Service or Traffic Class, likewise.
    pub tos: Option<u8>,
    /// When the kernel received it, or, without a time stamp, when it was read.
    pub at: Instant,
    /// Whether it came from another machine.
    pub is_remote: bool,
    /// The address that it was sent to, where that is known.
    pub to: Option<IpAddr>,
    /// The route that it has recorded, where that is asked for.
    pub route: Option<RecordedRoute>,
}

/// How reading a family's socket went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Whether replies were lost since the last time because the buffer was full.
    pub overflowed: bool,
    /// The errno of the last read, if every read failed. (That nothing had arrived is no failure.)
    pub error: Option<i32>,
}

/// What the sockets have to do without, and the kernel's reason. Neither keeps a run from being
/// right.
#[derive(Debug)]
pub struct Missing {
    /// Time stamps of receipt: replies are timed when they are read.
    pub timestamps: Option<io::Error>,
    /// A packet filter: the packets of other programs are read as well.
    pub filter: Option<io::Error>,
    /// ICMP errors, which are asked for: ICMP datagram sockets receive none.
    pub icmp_errors: bool,
}

/// What became of a batch of probes.
pub struct Departure {
    /// When the first ones of the batch were sent, in the first `count` places.
    at: [Instant; MAX_BATCH],
    count: usize,
    /// When the last system call returned.
    pub until: Instant,
    /// Whether one of them was sent to another machine.
    pub outward: bool,
    /// Why the next one was not, if the kernel did not accept it.
    pub error: Option<SendError>,
}

impl Departure {
    /// When the probes that were sent left: the first ones of the batch, in its order.
    pub fn times(&self) -> &[Instant] {
        &self.at[..self.count]
    }
}

impl Link {
    /// Prepares the sockets for sending, with a filter that drops all packets so that none queue up
    /// while a list is read (where the kernel has one: see [`Link::missing`]). For a family whose raw
    /// socket was refused an ICMP datagram socket is tried; it is an error if no family has either.
    pub fn new(sockets: OpenedSockets, ident: u16, options: &PacketOptions) -> Result<Self, Error> {
        let OpenedSockets { opened, config } = sockets;
        let mut refusal = None;
        let mut sockets = PerFamily::from_fn(|_| Err(Errno::EAFNOSUPPORT));
        for (family, opened) in opened {
            let socket = match opened {
                Opened::Excluded => continue,
                Opened::Datagram(socket) => Ok(FamilySocket::datagram(socket, family, &config)?),
                Opened::Raw(socket) => Ok(FamilySocket::raw(socket, family, ident, &config)),
                Opened::Refused(error) if options.needs_raw() => Err(error),
                Opened::Refused(error) => match open_icmp(family, Type::DGRAM) {
                    Ok(socket) => {
                        mark(&socket, &config)?;
                        Ok(FamilySocket::datagram(socket, family, &config)?)
                    }
                    Err(_) => Err(error),
                },
            };
            sockets[family] = match socket {
                Ok(mut socket) => {
                    socket.configure(&config, options)?;
                    Ok(socket)
                }
                Err(source) => {
                    let errno = errno_of(&source);
                    // Without this family, or without the right to it, the other one may do. Any
                    // other error is this machine's, and must not look like one of the targets.
                    if !matches!(errno, Errno::EPERM | Errno::EACCES | Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT) {
                        return Err(Error::NoSocket(source));
                    }
                    refusal.get_or_insert(source);
                    Err(errno)
                }
            };
        }
        if let (Some(source), PerFamily { v4: Err(_), v6: Err(_) }) = (refusal, &sockets) {
            return Err(match source.kind() {
                io::ErrorKind::PermissionDenied => Error::Permission(source),
                _ => Error::NoSocket(source),
            });
        }
        Ok(Link { sockets, ..Link::closed(config, options) })
    }

    /// Accepts replies, of families that have targets. The socket of one that has none is closed:
    /// it would only cost a system call in each turn.
    pub fn listen(&mut self, has_targets: impl Fn(Family) -> bool) -> Result<(), Error> {
        for (family, socket) in self.sockets.as_mut() {
            match socket {
                Ok(socket) if has_targets(family) => socket.listen()?,
                Ok(_) => *socket = Err(Errno::EAFNOSUPPORT),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// Asks for the TTL or Hop Limit of every packet. Call before a sandbox is entered.
    pub fn receive_ttl(&mut self) {
        self.ask(FamilySocket::receive_ttl);
    }

    /// Asks for the Type Of Service or Traffic Class of every packet, likewise.
    pub fn receive_tos(&mut self) {
        self.ask(FamilySocket::receive_tos);
    }

    /// Asks for the destination of every packet, likewise.
    pub fn receive_destination(&mut self) {
        self.ask(FamilySocket::receive_destination);
    }

    fn ask(&mut self, option: impl Fn(&mut FamilySocket)) {
        self.sockets.as_mut().into_iter().filter_map(|(_, socket)| socket.as_mut().ok()).for_each(option);
    }

    /// What the sockets have to do without, as far as that has shown.
    pub fn missing(&self) -> Missing {
        Missing {
            timestamps: self.open_sockets().find_map(|socket| socket.no_timestamps).map(io::Error::from),
            filter: self.open_sockets().find_map(|socket| socket.no_filter).map(io::Error::from),
            icmp_errors: self.open_sockets().any(FamilySocket::lacks_errors),
        }
    }

    /// What the kernel granted for each family, or why it granted nothing. Pings this machine's
    /// loopback address. The sockets are of no more use afterwards.
    pub fn status(self) -> PerFamily<io::Result<SocketStatus>> {
        let interface = self.config.interface.as_deref();
        self.sockets.map(|socket| Ok(socket?.status(interface)))
    }

    /// Looks at the interfaces and opens the sockets that ask for routes. Call before a
    /// sandbox is entered that allows no new descriptors.
    pub fn look_for_routes(&mut self) {
        self.routes = Routes::look(&self.config);
        self.open_discards();
    }

    /// Opens the counter of what IPv6 drops, if its socket is not told.
    fn open_discards(&mut self) {
        self.discards = self.sockets.v6.as_ref().ok().and_then(Discards::open);
    }

    /// The Identifiers of probes and replies.
    pub fn idents(&self) -> PerFamily<u16> {
        self.sockets.as_ref().map(|socket| socket.as_ref().map_or(0, |socket| socket.ident))
    }

    /// The descriptors to wait for replies on.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.open_sockets().map(|socket| socket.socket.as_fd())
    }

    /// How many packets the kernel has dropped: replies for which the buffer was full, and damaged
    /// ICMPv6 packets of any program. A lost reply may count twice.
    pub fn drops(&self) -> u64 {
        self.open_sockets().map(|socket| socket.dropped).sum()
    }

    /// Sends probes, all of one family: `singly`, or in one system call. Call [`Link::end_sending`]
    /// when that was all for now, and soon: until then ICMP errors take room in the receive buffer.
    pub fn send(&mut self, probes: &[Probe], singly: bool) -> Departure {
        let sent = match probes.first() {
            Some(first) => self.try_send(first.address.family(), probes, singly),
            None => Sent::begin(),
        };
        let (count, error) = match (sent.count, probes.first()) {
            (Err(errno), Some(first)) => (0, Some(self.send_error(first.address.family(), errno))),
            (sent, _) => (sent.unwrap_or(0), None),
        };
        let remote = probes[..count].iter().rev().find(|probe| self.routes.is_remote(probe.address));
        let outward = remote.is_some();
        self.last_sent = remote.map(|probe| probe.address).or(self.last_sent);
        self.last_v6 = self.last_sent.filter(|address| address.family() == Family::V6).or(self.last_v6);
        Departure { at: sent.at, count, until: sent.until, outward, error }
    }

    /// Nothing is sent before the next turn.
    pub fn end_sending(&self) {
        self.open_sockets().for_each(FamilySocket::end_sending);
    }

    fn try_send(&mut self, family: Family, probes: &[Probe], singly: bool) -> Sent {
        let probes = match probes.iter().position(|probe| self.routes.is_cut_off(probe.address)) {
            Some(0) => return Sent::failed(Errno::ENETDOWN),
            Some(first) => &probes[..first],
            None => &probes[..probes.len().min(MAX_BATCH)],
        };
        let socket = match &self.sockets[family] {
            Ok(socket) => socket,
            Err(errno) => return Sent::failed(*errno),
        };
        let mut addresses = [None; MAX_BATCH];
        for ((probe, packet), address) in probes.iter().zip(&mut self.packets).zip(&mut addresses) {
            let (ident, seq) = (socket.ident, probe.seq);
            let message = match self.kind {
                ProbeKind::Echo => {
                    match self.data.first_chunk_mut() {
                        Some(place) => *place = probe.token.emit(),
                        None => {
                            let seal_first = probe.token.emit_seal_first();
                            self.data.iter_mut().zip(seal_first).for_each(|(to, from)| *to = from);
                        }
                    }
                    let data = probe.size.and_then(|size| self.data.get(..size.into())).unwrap_or(&self.data);
                    packet.resize(HEADER + data.len(), 0);
                    Message::Request(Echo { ident, seq, data })
                }
                ProbeKind::Timestamp => {
                    let (receive, transmit) = (HostTime(0), HostTime(0));
                    let originate = probe.token.originate();
                    let body = QueryBody::Timestamp { originate, receive, transmit };
                    Message::QueryRequest(Query { ident, seq, body })
                }
                ProbeKind::Mask => {
                    let body = QueryBody::Mask(Ipv4Addr::UNSPECIFIED);
                    Message::QueryRequest(Query { ident, seq, body })
                }
            };
            message.emit(family, packet);
            *address = Some(SockaddrStorage::from(socket_address(probe.address, 0)));
        }
        socket.send(&self.packets[..probes.len()], &addresses, singly)
    }

    /// Whether this machine can still send to all of `addresses`, which are of one family: there
    /// are routes, over links with a carrier; and, `with_packet`, the last one can be sent a
    /// probe, to which no reply is awaited.
    pub fn can_send_to(&mut self, addresses: &[Address], with_packet: bool) -> bool {
        self.routes.changed(); // reads the interfaces
        let has_route = |&address: &Address| self.routes.route(address).is_some() && !self.routes.is_cut_off(address);
        if !addresses.iter().all(has_route) {
            return false;
        }
        let Some(&address) = addresses.last().filter(|_| with_packet) else { return true };
        let target = TargetId(u32::MAX);
        let token = Token { target: target.0, attempt: 0, seal: 0 };
        let departure = self.send(&[Probe { target, address, token, seq: 0, size: None }], true);
        self.end_sending();
        !matches!(departure.error, Some(SendError::Refused { .. }))
    }

    /// What an errno says of this machine.
    fn send_error(&mut self, family: Family, errno: Errno) -> SendError {
        let socket_is_full = || self.sockets[family].as_ref().is_ok_and(FamilySocket::is_full);
        match errno {
            Errno::EAGAIN => SendError::SocketFull,
            Errno::ENOBUFS if socket_is_full() => SendError::SocketFull,
            Errno::ENOBUFS if self.routes.table_has_been_full(family) => SendError::TableFull,
            // So IPv6 says that its neighbour table is full (ip6_finish_output2 in
            // net/ipv6/ip6_output.c).
            Errno::EINVAL if family == Family::V6 && self.routes.table_has_been_full(family) => SendError::TableFull,
            _ => SendError::Refused { errno: errno as i32 },
        }
    }

    fn open_sockets(&self) -> impl Iterator<Item = &FamilySocket> {
        self.sockets.as_ref().into_iter().filter_map(|(_, socket)| socket.as_ref().ok())
    }

    /// Hands every packet that has arrived so far to `on_arrival`, family by family, in the order
    /// of arrival.
    pub fn receive(&mut self, mut on_arrival: impl FnMut(Arrival)) -> PerFamily<Received> {
        let (start, slots, routes) = (ClockPair::read(), &mut self.receive_slots, &self.routes);
        let mut on_packet = |packet: Packet| {
            let Packet { from, message, at, headers: Headers { ttl, tos, to }, route } = packet;
            on_arrival(Arrival { from, message, at, is_remote: routes.is_remote(from), ttl, tos, to, route });
        };
        self.sockets.as_mut().map(|socket| match socket {
            Ok(socket) => socket.receive(start, slots, &mut on_packet),
            Err(_) => Received::default(),
        })
    }

    /// Whether this machine has a global IPv6 address. Unknown before [`Self::look_for_routes`].
    pub fn has_global_ipv6(&self) -> bool {
        self.routes.has_global_ipv6()
    }

    /// Tells `prober` how many IPv6 packets were dropped, if its socket is not told.
    pub(crate) fn count_discards<S: Strategy>(&self, prober: &mut Prober<S>, now: Instant) {
        match self.discards.as_ref().map(Discards::read) {
            Some(None) => {} // what it does not tell now it tells the next time
            count => prober.handle_discards(count.flatten(), now),
        }
    }

    /// Tells `prober` of this machine's links and queues.
    pub(crate) fn look<S: Strategy>(&mut self, prober: &mut Prober<S>, now: Instant) {
        if !self.routes.can_look() {
            return; // that no interface is seen does not mean that all are gone
        }
        if self.routes.changed() {
            prober.handle_change();
        }
        for interface in self.routes.interfaces() {
            prober.handle_interface(interface, now);
        }
        if let Some(route) = self.last_sent.and_then(|address| self.routes.hops(address)) {
            prober.handle_route(&route, now);
        }
        if let Some(address) = self.last_v6 {
            prober.handle_source(self.routes.lacks_source(address), now);
        }
        for &(index, packets) in self.routes.queues() {
            prober.handle_queue(index, packets, now);
        }
        prober.handle_looked(now, now.elapsed());
    }

    /// The route to `address` now; `None`: there is none.
    pub(crate) fn route(&self, address: Address) -> Option<Route> {
        self.routes.route(address)
    }

    /// The addresses of this machine, in their order. None are known before
    /// [`Self::look_for_routes`].
    pub fn local_addresses(&self) -> &[IpAddr] {
        self.routes.local_addresses()
    }

    /// Whether `address` is another machine's. Unknown before [`Self::look_for_routes`]: then every
    /// address is, but for loopback ones.
    pub fn is_remote(&self, address: Address) -> bool {
        self.routes.is_remote(address)
    }
}
