//! What the kernel reports of interfaces, routes, queues and neighbours by rtnetlink
//! (rtnetlink(7)).
//!
//! Two sockets: one for requests, one for notifications of changes. Both are opened before a
//! sandbox is entered, need no privilege, never wait for a message, and use sendto and read only.
//! The kernel has the answer ready when sendto returns, and makes the rest of a dump while it is
//! read. It may hold a request up as long as somebody else has its lock on interfaces (RTNL), which
//! dumps of interfaces, queueing disciplines and neighbour tables take; a request for a route does
//! not.

mod parse;
mod request;

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, send, setsockopt, socket,
    sockopt,
};
use nix::unistd::read;

use crate::address::{Address, Family};
use crate::alloc::try_push;
pub(super) use crate::net::netlink::parse::NextHop;
use crate::net::netlink::request::{Request, forwarding_request, neighbour_request, number, route_request};

/// What the notification socket subscribes to: interfaces, addresses, routes, and what routing
/// depends on.
const GROUPS: u32 = (libc::RTMGRP_LINK
    | libc::RTMGRP_IPV4_IFADDR
    | libc::RTMGRP_IPV4_ROUTE
    | libc::RTMGRP_IPV4_RULE
    | libc::RTMGRP_IPV6_IFADDR
    | libc::RTMGRP_IPV6_ROUTE) as u32
    | 1 << (RTNLGRP_IPV6_RULE - 1)
    | 1 << (RTNLGRP_NEXTHOP - 1);

/// From linux/rtnetlink.h; libc has neither.
const RTNLGRP_IPV6_RULE: u32 = 19;
const RTNLGRP_NEXTHOP: u32 = 32;

/// From linux/rtnetlink.h, for struct rtmsg: the route as it is configured, with all next hops.
const RTM_F_FIB_MATCH: u32 = 0x2000;

/// Room for the datagrams of a dump. The kernel makes them this long at most, but for single
/// messages that are longer (netlink_dump in net/netlink/af_netlink.c).
const DUMP_BUFFER: usize = 32 << 10;

/// Room for a single answer: a route has about 150 bytes, an error quotes its request.
const ANSWER_BUFFER: usize = 4 << 10;

/// How many datagrams are read at a time: a dump of 100,000 interfaces has fewer.
const MAX_READS: usize = 4096;

/// How often a dump is tried that a change interrupts.
const MAX_ATTEMPTS: usize = 4;

/// A connection to rtnetlink.
pub(super) struct Netlink {
    requests: OwnedFd,
    notifications: OwnedFd,
    /// The firewall mark of the packets whose routes are asked for, which rules may look at.
    mark: Option<u32>,
    /// The sequence number of the last request.
    seq: Cell<u32>,
}

/// A network interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    /// Whether it is set up (IFF_UP).
    pub(super) up: bool,
    /// Whether it is a loopback interface (IFF_LOOPBACK).
    pub(super) loopback: bool,
    /// Whether it has a carrier (IFF_LOWER_UP). Without one the kernel accepts packets and drops
    /// them.
    pub(super) carrier: bool,
    /// How often it has lost its carrier (IFLA_CARRIER_DOWN_COUNT); 0 before Linux 4.16.
    pub(super) carrier_down_count: u32,
    /// The interface that it is a port of (IFLA_MASTER).
    pub(super) master: Option<u32>,
    /// The interface of this namespace that it lies upon, or the other end of its pair (IFLA_LINK).
    pub(super) link: Option<u32>,
    /// Whether it is a bridge (IFLA_INFO_KIND).
    pub(super) bridge: bool,
}

/// The neighbour table of a family: one for all network namespaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NeighbourTable {
    /// How many entries it has, permanent ones included.
    pub(super) entries: u32,
    /// How many entries it may have, without permanent ones (`gc_thresh3`).
    pub(super) max_entries: u32,
    /// How often it has refused an entry because it was full. Sending then fails with ENOBUFS over
    /// IPv4, with EINVAL over IPv6 (ip6_finish_output2 in net/ipv6/ip6_output.c).
    pub(super) table_fulls: u64,
}

impl Netlink {
    /// Opens both sockets, to ask for the routes of packets with this firewall mark.
    pub(super) fn open(mark: Option<u32>) -> io::Result<Self> {
        let requests = open()?;
        // From then on the kernel rejects what other processes send to this socket.
        connect(requests.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        let notifications = open()?;
        // That something was lost says as much as what was lost: the least buffer is enough, and
        // read in no time.
        setsockopt(&notifications, sockopt::RcvBuf, &0)?;
        bind(notifications.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
        Ok(Netlink { requests, notifications, mark, seq: Cell::new(0) })
    }

    /// Whether an interface, an address or a route has changed since the last call, as far as the
    /// kernel has reported it: the loss of a carrier up to a second late, if any other interface of
    /// this machine gained or lost one in the second before (net/core/link_watch.c).
    pub(super) fn changed(&mut self) -> bool {
        let mut changed = false;
        for _ in 0..MAX_READS {
            // What does not fit is dropped. ENOBUFS: notifications were lost.
            match read(&self.notifications, &mut [0; 16]) {
                Err(Errno::EAGAIN) => break,
                _ => changed = true,
            }
        }
        changed
    }

    /// Fills `interfaces` with all interfaces.
    pub(super) fn interfaces(&self, interfaces: &mut Vec<Interface>) -> io::Result<()> {
        // struct ifinfomsg of zeros: any.
        let mut request = Request::new(libc::RTM_GETLINK, libc::NLM_F_DUMP, &[0; 16]);
        // Without IPv6's counters, and without the virtual functions of network cards, which are
        // many.
        request.push(libc::IFLA_EXT_MASK, &libc::RTEXT_FILTER_SKIP_STATS.to_ne_bytes());
        self.dump(&mut request, interfaces, |body| parse::interface(body).map(Some))
    }

    /// The next hop of the route to `to` for an ICMP socket of this process that is bound to
    /// `source` and `interface`. None if there is no route, or one that refuses packets. (Rules
    /// that look at the TOS field are passed over. Of several next hops it may be another one if
    /// fib_multipath_hash_policy is not 0.)
    pub(super) fn route(
        &self,
        to: Address,
        source: Option<Address>,
        interface: Option<u32>,
    ) -> io::Result<Option<NextHop>> {
        let route = self.route_from(to, source, interface)?;
        match to {
            // Where a source is named, the kernel need not keep to the interface
            // (ip6_route_output_flags in net/ipv6/route.c). It does for a socket.
            Address::V6(..)
                if source.is_some() && interface.is_some() && route.map(|hop| hop.interface) != interface =>
            {
                self.route_from(to, None, interface)
            }
            _ => Ok(route),
        }
    }

    /// Calls `on_hop` with the interface of each next hop of that route, as far as they are used,
    /// in any order: IPv6 begins with the one that a flow with these addresses takes, which differs
    /// from one start of the machine to the next. Nothing if there is only one.
    pub(super) fn next_hops(
        &self,
        to: Address,
        source: Option<Address>,
        interface: Option<u32>,
        mut on_hop: impl FnMut(u32),
    ) -> io::Result<()> {
        let mut request = self.route_request(to, source, interface, RTM_F_FIB_MATCH);
        self.exchange(&mut request, &mut [0; ANSWER_BUFFER], |body| parse::next_hops(body, &mut on_hop))
    }

    /// The port of `bridge` that the neighbour `address` of `interface` is behind, as far as that
    /// is known: it has answered, and its frames have come in there.
    pub(super) fn port(&self, address: Address, interface: u32, bridge: u32) -> io::Result<Option<u32>> {
        let mut mac = None;
        self.exchange(&mut neighbour_request(address, interface), &mut [0; ANSWER_BUFFER], |body| {
            mac = parse::neighbour(body)?;
            Ok(())
        })?;
        let Some(mac) = mac else { return Ok(None) };
        let mut port = None;
        self.exchange(&mut forwarding_request(bridge), &mut [0; DUMP_BUFFER], |body| {
            port = port.or(parse::forwarding(body, mac)?);
            Ok(())
        })?;
        Ok(port)
    }

    fn route_request(&self, to: Address, source: Option<Address>, interface: Option<u32>, flags: u32) -> Request {
        let mut request = route_request(to, source, interface, flags);
        if let Some(mark) = self.mark {
            request.push(libc::RTA_MARK, &mark.to_ne_bytes());
        }
        request
    }

    fn route_from(&self, to: Address, source: Option<Address>, interface: Option<u32>) -> io::Result<Option<NextHop>> {
        let mut route = None;
        let mut request = self.route_request(to, source, interface, 0);
        let answered = self.exchange(&mut request, &mut [0; ANSWER_BUFFER], |body| {
            route = parse::route(body)?;
            Ok(())
        });
        let Err(error) = answered else { return Ok(route) };
        match error.raw_os_error() {
            // What sending fails with as well: no route or an unreachable one, a prohibit one, a
            // blackhole or a source that is not ours, an interface that is down or gone.
            Some(
                libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL | libc::ENETDOWN | libc::ENODEV,
            ) => Ok(None),
            _ => Err(error),
        }
    }

    /// Fills `backlogs` with the index of each interface that has a queueing discipline and the
    /// number of packets that wait in it. (A root one counts the packets of its children.)
    pub(super) fn backlogs(&self, backlogs: &mut Vec<(u32, u32)>) -> io::Result<()> {
        // struct tcmsg of zeros: any.
        let mut request = Request::new(libc::RTM_GETQDISC, libc::NLM_F_DUMP, &[0; 20]);
        self.dump(&mut request, backlogs, parse::backlog)
    }

    /// The neighbour table of `family`.
    pub(super) fn neighbour_table(&self, family: Family) -> io::Result<NeighbourTable> {
        // struct ndtmsg.
        let mut request = Request::new(libc::RTM_GETNEIGHTBL, libc::NLM_F_DUMP, &[number(family), 0, 0, 0]);
        let mut table = None;
        self.exchange(&mut request, &mut [0; DUMP_BUFFER], |body| {
            table = table.or(parse::neighbour_table(body)?);
            Ok(())
        })?;
        table.ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Fills `list` with what `parse` makes of the answers.
    fn dump<T>(
        &self,
        request: &mut Request,
        list: &mut Vec<T>,
        parse: impl Fn(&[u8]) -> io::Result<Option<T>>,
    ) -> io::Result<()> {
        let mut attempts = MAX_ATTEMPTS;
        loop {
            attempts -= 1;
            list.clear();
            let dumped = self.exchange(request, &mut [0; DUMP_BUFFER], |body| match parse(body)? {
                Some(item) => try_push(list, item).map(drop).map_err(|_| io::ErrorKind::OutOfMemory.into()),
                None => Ok(()),
            });
            match dumped {
                Err(error) if error.kind() == io::ErrorKind::Interrupted && attempts > 0 => {}
                dumped => return dumped,
            }
        }
    }

    /// Sends `request` and hands the body of each answer to `on_answer`. Leaves nothing unread that
    /// could be in the way of the next request.
    fn exchange(
        &self,
        request: &mut Request,
        buffer: &mut [u8],
        on_answer: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let seq = self.seq.get().wrapping_add(1);
        self.seq.set(seq);
        send(self.requests.as_raw_fd(), request.emit(seq), MsgFlags::MSG_DONTWAIT)?;
        let answered = self.read_answers(request.answer_type(), seq, buffer, on_answer);
        if answered.is_err() {
            let mut reads = 0..MAX_READS;
            // While a dump is unfinished, the kernel begins no other (EBUSY).
            while reads.next().is_some() && matches!(read(&self.requests, buffer), Ok(_) | Err(Errno::ENOBUFS)) {}
        }
        answered
    }

    /// Reads up to the end of the answers. EINTR: something changed while the kernel made a dump,
    /// which may lack something that was there all the time.
    fn read_answers(
        &self,
        answer_type: u16,
        seq: u32,
        buffer: &mut [u8],
        mut on_answer: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let has = |flags, flag: libc::c_int| libc::c_int::from(flags) & flag != 0;
        let mut interrupted = false;
        for _ in 0..MAX_READS {
            let length = read(&self.requests, buffer)?;
            for message in parse::messages(buffer.get(..length).unwrap_or_default()) {
                let message = message?;
                if message.seq != seq {
                    continue; // An answer to an earlier request.
                }
                interrupted |= has(message.flags, libc::NLM_F_DUMP_INTR);
                match libc::c_int::from(message.message_type) {
                    libc::NLMSG_ERROR => return parse::outcome(&message),
                    libc::NLMSG_DONE if interrupted => return Err(Errno::EINTR.into()),
                    libc::NLMSG_DONE => return parse::outcome(&message),
                    _ if message.message_type != answer_type => {}
                    _ => {
                        on_answer(message.body)?;
                        if !has(message.flags, libc::NLM_F_MULTI) {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Err(Errno::EOVERFLOW.into())
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?)
}

#[cfg(test)]
mod tests;
