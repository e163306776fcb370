//! One family's socket: prepared, written to and read from.

mod options;

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, getsockopt, recvmmsg, sendmmsg, sendto, setsockopt,
    sockopt,
};
use nix::{cmsg_space, getsockopt_impl, sockopt_impl};
use socket2::Socket;

use crate::address::{Address, Family};
use crate::error::Error;
use crate::net::discards::Discards;
use crate::net::headers::Headers;
use crate::net::sockets::{Config, bind};
use crate::net::timestamp::{ClockPair, wall_clock};
use crate::net::{Received, filter};
use crate::plan::{IcmpErrors, ProbeKind};
use crate::prober::{MAX_BATCH, send_times};
use crate::wire::{self, HEADER, Malformed, Message, RecordedRoute};

/// How many errors in a row are read past.
const MAX_ERRORS: usize = 8;

/// How many packets are read in one system call: the replies to all that a turn sends at most, and
/// some more, so that no second call finds nothing left.
const READ_BATCH: usize = 40;

/// The longest header of an IPv4 packet (RFC 791 §3.1), in bytes.
const MAX_HEADER: usize = 60;

/// The least that the kernel accounts for a queued packet, in bytes: a `struct sk_buff` and its
/// data.
const MIN_TRUESIZE: usize = 256;

/// The least size of a receive slot: a reply may be longer than its probe, up to a frame.
const MIN_SLOT: usize = 2048;

/// Indices into what SO_MEMINFO returns.
const RMEM_ALLOC: usize = libc::SK_MEMINFO_RMEM_ALLOC as usize;
const RCVBUF: usize = libc::SK_MEMINFO_RCVBUF as usize;
const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
const WMEM_ALLOC: usize = libc::SK_MEMINFO_WMEM_ALLOC as usize;
const SNDBUF: usize = libc::SK_MEMINFO_SNDBUF as usize;

sockopt_impl!(
    /// What a socket's buffers hold, and how many packets were dropped because they were full.
    MemInfo,
    GetOnly,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; 9]
);

/// One family's socket.
pub(super) struct FamilySocket {
    pub(super) family: Family,
    /// Shared with a thread that waits for it, so that it may be closed meanwhile.
    pub(super) socket: Arc<Socket>,
    /// Whether it is a datagram socket, whose packets have no IP header and whose checksums the
    /// kernel checks.
    datagram: bool,
    pub(super) ident: u16,
    /// The size that its receive buffer should have, before the kernel doubles it.
    receive_buffer: usize,
    icmp_errors: IcmpErrors,
    kind: ProbeKind,
    records_route: bool,
    /// The drop counter at the last look.
    drops: u32,
    /// By how much it has risen since `listen`.
    pub(super) dropped: u64,
    /// Whether the receive buffer was at least a quarter full at that look.
    quarter_full: bool,
    /// When the queue was last seen empty.
    empty: ClockPair,
    /// Whether the filter that drops all packets is in place.
    drops_all: bool,
    /// Why not both filters are in place.
    pub(super) no_filter: Option<Errno>,
    /// Why what arrives is not time-stamped.
    pub(super) no_timestamps: Option<Errno>,
    /// Whether the last packet was stamped before it was read. Until the kernel stamps what arrives,
    /// it stamps what is read (__sock_recv_timestamp in net/socket.c).
    pub(super) stamps_arrivals: bool,
    /// Whether the last read failed.
    pub(super) fails: bool,
    /// Whether IP_RECVERR is set.
    recverr: Cell<bool>,
    /// How many packets the receive buffer holds at most.
    capacity: usize,
    /// Whether header fields of what arrives come as control messages.
    receives_headers: bool,
}

/// A packet that was read.
pub(super) struct Packet<'a> {
    pub(super) from: Address,
    pub(super) message: Result<Message<'a>, Malformed>,
    pub(super) at: Instant,
    pub(super) headers: Headers,
    pub(super) route: Option<RecordedRoute>,
}

/// What the kernel granted for one family.
pub struct SocketStatus {
    /// Whether it is a datagram socket, which receives only replies to its own requests.
    pub datagram: bool,
    /// Whether the filters are in place.
    pub filter: bool,
    /// Whether what arrives is time-stamped.
    pub timestamps: bool,
    /// Whether a reply from the loopback address was received. If not, it was not answered, but the
    /// socket can be read. An error: the socket cannot be read.
    pub loopback: io::Result<bool>,
    /// Whether the kernel counts replies that it drops.
    pub drop_counter: bool,
    /// Whether the kernel returns success for packets that it drops, and cannot be asked how many
    /// it has dropped.
    pub hides_drops: bool,
    /// The size of the receive buffer, in bytes.
    pub receive_buffer: usize,
    /// The size that was asked for.
    pub wanted_receive_buffer: usize,
}

/// What became of packets that were to be sent.
pub(super) struct Sent {
    /// When each was sent, as far as they were.
    pub(super) at: [Instant; MAX_BATCH],
    /// When the last system call returned.
    pub(super) until: Instant,
    /// How many were sent, or why not even the first one was.
    pub(super) count: Result<usize, Errno>,
}

impl Sent {
    /// Nothing is sent yet.
    pub(super) fn begin() -> Self {
        let now = Instant::now();
        Sent { at: [now; MAX_BATCH], until: now, count: Ok(0) }
    }

    /// Nothing was sent, because of `errno`.
    pub(super) fn failed(errno: Errno) -> Self {
        Sent { count: Err(errno), ..Sent::begin() }
    }
}

/// Slots for the replies to probes with `size` bytes of data, with any header, and for longer ones.
pub(super) fn receive_slots(size: usize) -> Vec<u8> {
    vec![0; (MAX_HEADER + HEADER + size).max(MIN_SLOT) * READ_BATCH]
}

impl FamilySocket {
    /// Drops all packets from now on, if the kernel has the filter for it.
    pub(super) fn raw(socket: Socket, family: Family, ident: u16, config: &Config) -> Self {
        let drops_all = filter::drop_all(&socket, family).is_ok();
        FamilySocket { drops_all, ..Self::new(socket, family, false, ident, config) }
    }

    pub(super) fn datagram(socket: Socket, family: Family, config: &Config) -> Result<Self, Error> {
        // The port is the Identifier. Port 0 lets the kernel choose a free one: of two sockets
        // bound to the same port, each would take the other's replies.
        let unspecified = match family {
            Family::V4 => Address::V4(std::net::Ipv4Addr::UNSPECIFIED),
            Family::V6 => Address::V6(std::net::Ipv6Addr::UNSPECIFIED, 0),
        };
        // What was brought may be bound already.
        let bound = socket.local_addr().ok().and_then(|name| name.as_socket()).filter(|name| name.port() != 0);
        let is_wanted = |name: SocketAddr| config.sources[family].is_none_or(|source| source.ip() == name.ip());
        match config.sources[family] {
            _ if bound.is_some_and(is_wanted) => {}
            Some(address) => bind(&socket, address).map_err(|source| Error::Source { address, source })?,
            None => bind(&socket, unspecified).map_err(|source| Error::System { what: "bind", source })?,
        }
        let name = socket.local_addr().map_err(|source| Error::System { what: "getsockname", source })?;
        let ident = name.as_socket().map_or(0, |address| address.port());
        Ok(Self::new(socket, family, true, ident, config))
    }

    fn new(socket: Socket, family: Family, datagram: bool, ident: u16, config: &Config) -> Self {
        FamilySocket {
            family,
            socket: Arc::new(socket),
            datagram,
            ident,
            receive_buffer: config.receive_buffer,
            icmp_errors: config.icmp_errors,
            kind: ProbeKind::Echo,
            records_route: false,
            drops: 0,
            dropped: 0,
            quarter_full: false,
            empty: ClockPair::read(),
            drops_all: false,
            no_filter: None,
            no_timestamps: None,
            stamps_arrivals: false,
            fails: false,
            recverr: Cell::new(false),
            capacity: 0,
            receives_headers: false,
        }
    }

    /// Prepares for replies: buffer and filter. Without a filter other programs' packets are read
    /// as well.
    pub(super) fn listen(&mut self) -> Result<(), Error> {
        // The kernel doubles what it is asked for, and returns the double.
        if self.socket.recv_buffer_size().is_ok_and(|size| size < 2 * self.receive_buffer) {
            let _ = self.socket.set_recv_buffer_size(self.receive_buffer);
        }
        self.capacity = self.socket.recv_buffer_size().unwrap_or(2 * self.receive_buffer) / MIN_TRUESIZE;
        if !self.datagram {
            let (by_ident, by_type) = filter::accept(&self.socket, self.family, self.ident, self.accepted());
            match by_type {
                // It still drops all packets.
                Err(source) if self.drops_all => return Err(Error::System { what: "packet filter", source }),
                by_type => self.no_filter = by_ident.and(by_type).err().as_ref().map(errno_of),
            }
        }
        self.overflowed();
        self.dropped = 0;
        Ok(())
    }

    /// Asks the kernel what it granted. The socket is of no more use afterwards.
    pub(super) fn status(mut self, interface: Option<&str>) -> SocketStatus {
        let loopback = self.ping_loopback(interface);
        let socket = &self.socket;
        SocketStatus {
            datagram: self.datagram,
            loopback,
            filter: self.datagram || filter::detach(socket, self.family, self.accepted()),
            timestamps: getsockopt(socket, sockopt::ReceiveTimestampns) == Ok(true),
            drop_counter: getsockopt(socket, MemInfo).is_ok(),
            hides_drops: self.hides_drops() && Discards::open(&self).is_none(),
            receive_buffer: socket.recv_buffer_size().unwrap_or(0) / 2,
            wanted_receive_buffer: self.receive_buffer,
        }
    }

    /// Which messages are received.
    fn accepted(&self) -> filter::Accepted {
        filter::Accepted { kind: self.kind, errors: self.icmp_errors }
    }

    /// Whether the kernel returns success for packets that it drops (ping_v6_sendmsg in
    /// net/ipv6/ping.c).
    pub(super) fn hides_drops(&self) -> bool {
        self.datagram && self.family == Family::V6
    }

    /// Whether ICMP errors are asked for, and the kernel passes none to this socket.
    pub(super) fn lacks_errors(&self) -> bool {
        self.datagram && self.icmp_errors != IcmpErrors::Ignore
    }

    /// Sends `packets`, [`MAX_BATCH`] at most: `singly`, or in one system call.
    pub(super) fn send(&self, packets: &[Vec<u8>], addresses: &[Option<SockaddrStorage>], singly: bool) -> Sent {
        self.with_recverr(|| match singly {
            true => self.send_singly(packets, addresses),
            false => self.send_together(packets, addresses),
        })
    }

    fn send_singly(&self, packets: &[Vec<u8>], addresses: &[Option<SockaddrStorage>]) -> Sent {
        let mut sent = Sent::begin();
        let mut count = 0;
        for ((packet, address), at) in packets.iter().zip(addresses.iter().flatten()).zip(&mut sent.at) {
            if let Err(errno) = sendto(self.socket.as_raw_fd(), packet, address, MsgFlags::MSG_DONTWAIT) {
                // That of a later packet comes again when that one is the first.
                (sent.count, sent.until) = (if count == 0 { Err(errno) } else { Ok(count) }, Instant::now());
                return sent;
            }
            let start = mem::replace(&mut sent.until, Instant::now());
            send_times(&(start..sent.until), 1).for_each(|time| *at = time);
            count += 1;
        }
        sent.count = Ok(count);
        sent
    }

    fn send_together(&self, packets: &[Vec<u8>], addresses: &[Option<SockaddrStorage>]) -> Sent {
        let slices: [_; MAX_BATCH] =
            std::array::from_fn(|index| [IoSlice::new(packets.get(index).map_or(&[], Vec::as_slice))]);
        let count = packets.len().min(MAX_BATCH);
        let mut headers = MultiHeaders::preallocate(count, None);
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let mut sent = Sent::begin();
        let start = sent.until;
        let result = sendmmsg(fd, &mut headers, &slices[..count], &addresses[..count], [], flags);
        sent.count = result.map(Iterator::count);
        sent.until = Instant::now();
        let times = send_times(&(start..sent.until), sent.count.unwrap_or(0));
        sent.at.iter_mut().zip(times).for_each(|(at, time)| *at = time);
        sent
    }

    /// Calls `send` with IP_RECVERR set. Without it the kernel returns success for raw IPv4 packets
    /// that it drops for lack of buffers (raw_sendmsg in net/ipv4/raw.c). With it, ICMP errors about
    /// any target fail the next read (or send, if a kernel looks there) and fill the receive buffer,
    /// so it is set only while a turn sends: see [`Self::end_sending`].
    fn with_recverr(&self, mut send: impl FnMut() -> Sent) -> Sent {
        if self.datagram || self.family == Family::V6 {
            return send();
        }
        self.set_recverr(true);
        let sent = send();
        match sent.count {
            // The error may be a queued ICMP error about another target. Drop those and try again.
            Err(errno) if !matches!(errno, Errno::EAGAIN | Errno::ENOBUFS) => {
                self.set_recverr(false);
                let _ = self.socket.take_error();
                self.set_recverr(true);
                send()
            }
            _ => sent,
        }
    }

    /// Nothing is sent before the next turn. Call it after [`Self::send`].
    pub(super) fn end_sending(&self) {
        self.set_recverr(false);
    }

    fn set_recverr(&self, on: bool) {
        if self.recverr.replace(on) != on {
            let _ = setsockopt(&self.socket, sockopt::Ipv4RecvErr, &on);
        }
    }

    /// Whether the send buffer is full.
    pub(super) fn is_full(&self) -> bool {
        getsockopt(&self.socket, MemInfo).is_ok_and(|info| info[WMEM_ALLOC] >= info[SNDBUF])
    }

    /// Whether replies were dropped since the last look because the buffer was full. With IPv6 the
    /// counter also rises for damaged packets; those are told apart by a buffer that was not even a
    /// quarter full, neither now nor when reading last began. (A buffer that fills up while it is
    /// being read holds at least what came since, or else it was a quarter full before.)
    fn overflowed(&mut self) -> bool {
        let Ok(info) = getsockopt(&self.socket, MemInfo) else { return false };
        let before = mem::replace(&mut self.drops, info[DROPS]);
        let lost = info[DROPS].wrapping_sub(before);
        self.dropped += u64::from(lost);
        let quarter_full = info[RMEM_ALLOC] >= info[RCVBUF] / 4;
        let was_quarter_full = mem::replace(&mut self.quarter_full, quarter_full);
        lost > 0 && (self.family == Family::V4 || quarter_full || was_quarter_full)
    }

    /// See [`super::Link::receive`]. Only what had arrived at the `start` is sure to be read: a
    /// flood must not keep the program here.
    pub(super) fn receive(
        &mut self,
        start: ClockPair,
        slots: &mut [u8],
        on_packet: &mut impl FnMut(Packet),
    ) -> Received {
        let mut received = Received { overflowed: self.overflowed(), error: None };
        // What comes after the last read began is still in the queue. (The clocks as of then, not
        // as of its end: a step in between would leave no pair by which that is stamped.)
        let mut began = start;
        let mut errors = 0;
        let mut packets = 0;
        let seen_empty = loop {
            match self.receive_batch(slots, on_packet) {
                Err(Errno::EAGAIN) => break true,
                // A pending socket error is returned once; packets may be queued behind it.
                Err(_) if errors < MAX_ERRORS => errors += 1,
                Err(errno) => {
                    received.error = (packets == 0).then_some(errno as i32);
                    break false;
                }
                Ok(batch) => {
                    errors = 0;
                    packets += batch.count;
                    self.stamps_arrivals = batch.stamped_before;
                    if batch.unstamped && self.no_timestamps.is_none() {
                        self.no_timestamps = Some(Errno::ENODATA);
                    }
                    if batch.count < READ_BATCH {
                        break true;
                    }
                    // Without a stamp the number of packets tells.
                    if batch.last_stamp.map_or(packets >= self.capacity, |stamp| stamp > start.now) {
                        break false;
                    }
                    began = batch.read_at;
                }
            }
        };
        if seen_empty {
            self.empty = began;
        }
        self.fails = received.error.is_some();
        received
    }

    fn receive_batch(&self, slots: &mut [u8], on_packet: &mut impl FnMut(Packet)) -> Result<ReadBatch, Errno> {
        let mut slots = slots.chunks_exact_mut(slots.len() / READ_BATCH);
        let mut slices: [_; READ_BATCH] =
            std::array::from_fn(|_| [IoSliceMut::new(slots.next().map_or(&mut [][..], |slot| &mut slot[..]))]);
        // Made anew for each call: nix does not restore the length of the control messages, so that
        // a packet without a time stamp would cost all later ones theirs.
        let space = match self.receives_headers {
            true => cmsg_space!(libc::timespec, libc::in6_pktinfo, c_int, c_int),
            false => cmsg_space!(libc::timespec),
        };
        let mut headers = MultiHeaders::preallocate(READ_BATCH, Some(space));
        let (fd, flags) = (self.socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
        let begin = wall_clock();
        let messages = recvmmsg(fd, &mut headers, &mut slices, flags, None)?;
        let read_at = ClockPair::read();
        let stamps = read_at.stamps_since(self.empty);
        let mut batch = ReadBatch { count: 0, read_at, last_stamp: None, unstamped: false, stamped_before: false };
        for message in messages {
            batch.count += 1;
            let (mut stamp, mut headers) = (None, Headers::default());
            for cmsg in message.cmsgs().into_iter().flatten() {
                match cmsg {
                    ControlMessageOwned::ScmTimestampns(time) => stamp = Some(Duration::from(time)),
                    cmsg => headers.add(&cmsg),
                }
            }
            batch.unstamped |= stamp.is_none();
            batch.stamped_before = stamp.is_some_and(|stamp| stamp < begin);
            batch.last_stamp = stamp.and_then(|stamp| stamps.arrival(stamp));
            let at = batch.last_stamp.unwrap_or(read_at.now);
            let bytes = message.iovs().next().unwrap_or_default();
            let parsed = match self.family {
                Family::V4 if !self.datagram => {
                    headers = Headers::of_ipv4(bytes);
                    wire::ipv4_payload(bytes)
                }
                _ => Ok(bytes),
            };
            let message_in = parsed.and_then(|icmp| Message::parse(self.family, icmp));
            let options = if self.records_route { wire::ipv4_options(bytes) } else { None };
            let route = options.and_then(RecordedRoute::parse);
            if let Some(from) = message.address.as_ref().and_then(address_of) {
                on_packet(Packet { from, message: message_in, at, headers, route });
            }
        }
        Ok(batch)
    }
}

/// What one system call read.
struct ReadBatch {
    count: usize,
    read_at: ClockPair,
    /// When the last packet arrived, by its time stamp.
    last_stamp: Option<Instant>,
    /// Whether a packet had no time stamp.
    unstamped: bool,
    /// Whether the last one was stamped before the read began.
    stamped_before: bool,
}

/// The error number in an error of a system call.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn address_of(from: &SockaddrStorage) -> Option<Address> {
    match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(v4), _) => Some(Address::V4(v4.ip())),
        (_, Some(v6)) => Some(Address::V6(v6.ip(), v6.scope_id())),
        _ => None,
    }
}
