//! Messages of rtnetlink (rtnetlink(7)), taken apart. Numbers are in the byte order of the machine.
//!
//! Not even the kernel's lengths are trusted: what does not fit is EBADMSG, never a panic. What an
//! older kernel does not report is missing, which is no error.

use std::io;
use std::iter;

use nix::libc;

use crate::address::Address;
use crate::net::netlink::{Interface, NeighbourTable};

/// The length of struct nlmsghdr (linux/netlink.h).
const HEADER: usize = 16;

/// What lengths are rounded up to, of messages and of attributes (NLMSG_ALIGNTO, NLA_ALIGNTO).
pub(super) const ALIGNMENT: usize = 4;

/// The length of struct nlattr, which is struct rtattr.
pub(super) const ATTRIBUTE_HEADER: usize = 4;

/// Flags in an attribute's type: nested, and in network byte order (NLA_TYPE_MASK).
const ATTRIBUTE_FLAGS: u16 = 0xc000;

/// From linux/pkt_sched.h: the parent of an interface's root queueing discipline.
const TC_H_ROOT: u32 = u32::MAX;

/// From linux/gen_stats.h, in [`libc::TCA_STATS2`].
const TCA_STATS_QUEUE: u16 = 3;

/// From linux/neighbour.h.
const NDTA_THRESH3: u16 = 4;
const NDTA_CONFIG: u16 = 5;
const NDTA_STATS: u16 = 7;

/// From linux/if_link.h, in [`libc::IFLA_LINKINFO`].
const IFLA_INFO_KIND: u16 = 1;

/// From linux/rtnetlink.h, where libc has it for some C libraries only; and of struct rtnexthop.
const RTA_VIA: u16 = 18;
const RTNH_HEADER: usize = 8;
const RTNH_F_DEAD: u8 = 1;

/// From linux/neighbour.h: states in which the link-layer address is not known.
const NUD_UNRESOLVED: u16 = 0x01 | 0x20;

/// The link-layer address of a neighbour.
pub(super) type Mac = [u8; 6];

/// Where a route leads next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NextHop {
    /// The index of the interface.
    pub(crate) interface: u32,
    /// The router, if there is one.
    pub(crate) router: Option<Address>,
    /// The source address that the kernel chooses.
    pub(crate) source: Option<Address>,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) message_type: u16,
    pub(super) flags: u16,
    pub(super) seq: u32,
    /// What follows its header.
    pub(super) body: &'a [u8],
}

/// The messages in a datagram. Ends with an error if the datagram is damaged or cut short.
pub(super) fn messages(datagram: &[u8]) -> impl Iterator<Item = io::Result<Message<'_>>> {
    let mut rest = datagram;
    iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message = split_message(rest);
        rest = message.as_ref().map_or(&[], |(_, rest)| rest);
        Some(message.map(|(message, _)| message).ok_or_else(malformed))
    })
}

fn split_message(bytes: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    let message = Message {
        message_type: u16_at(bytes, 4)?,
        flags: u16_at(bytes, 6)?,
        seq: u32_at(bytes, 8)?,
        body: bytes.get(HEADER..length)?,
    };
    Some((message, after(bytes, length)))
}

/// The value of the first attribute of this type, if there is one.
fn attribute(attributes: &[u8], attribute_type: u16) -> io::Result<Option<&[u8]>> {
    let mut rest = attributes;
    while !rest.is_empty() {
        let (found, value) = split_attribute(rest).ok_or_else(malformed)?;
        if found == attribute_type {
            return Ok(Some(value));
        }
        rest = after(rest, ATTRIBUTE_HEADER + value.len());
    }
    Ok(None)
}

fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8])> {
    let length = u16_at(bytes, 0)?.into();
    Some((u16_at(bytes, 2)? & !ATTRIBUTE_FLAGS, bytes.get(ATTRIBUTE_HEADER..length)?))
}

/// What follows the first `length` bytes, which are there, and their padding, which the last of a
/// row may lack.
fn after(bytes: &[u8], length: usize) -> &[u8] {
    bytes.get(length.next_multiple_of(ALIGNMENT)..).unwrap_or_default()
}

/// The outcome in an NLMSG_ERROR or NLMSG_DONE message: a negated errno, or 0 for success. Older
/// kernels may leave it out at the end of a dump.
pub(super) fn outcome(message: &Message) -> io::Result<()> {
    match u32_at(message.body, 0).map(|code| code as i32) {
        Some(0) => Ok(()),
        None if message.body.is_empty() && i32::from(message.message_type) == libc::NLMSG_DONE => Ok(()),
        Some(negated) if negated < 0 => Err(io::Error::from_raw_os_error(negated.saturating_neg())),
        _ => Err(malformed()),
    }
}

/// RTM_NEWLINK: struct ifinfomsg (linux/rtnetlink.h) and its attributes (linux/if_link.h).
pub(super) fn interface(body: &[u8]) -> io::Result<Interface> {
    let (index, flags, attributes) = (u32_at(body, 4), u32_at(body, 8), body.get(16..));
    let (Some(index), Some(flags), Some(attributes)) = (index, flags, attributes) else { return Err(malformed()) };
    let has = |flag: libc::c_int| flags & flag as u32 != 0;
    let carrier_down_count = match attribute(attributes, libc::IFLA_CARRIER_DOWN_COUNT)? {
        Some(count) => u32_at(count, 0).ok_or_else(malformed)?,
        None => 0,
    };
    let index_in = |attribute_type| -> io::Result<Option<u32>> {
        Ok(attribute(attributes, attribute_type)?.and_then(|index| u32_at(index, 0)))
    };
    let kind = match attribute(attributes, libc::IFLA_LINKINFO)? {
        Some(info) => attribute(info, IFLA_INFO_KIND)?,
        None => None,
    };
    // The number of another network namespace means nothing in this one.
    let is_elsewhere = attribute(attributes, libc::IFLA_LINK_NETNSID)?.is_some();
    Ok(Interface {
        index,
        master: index_in(libc::IFLA_MASTER)?,
        link: index_in(libc::IFLA_LINK)?.filter(|link| !is_elsewhere && *link != 0 && *link != index),
        bridge: kind.is_some_and(|kind| kind.strip_suffix(b"\0").unwrap_or(kind) == b"bridge"),
        up: has(libc::IFF_UP),
        loopback: has(libc::IFF_LOOPBACK),
        carrier: has(libc::IFF_LOWER_UP),
        carrier_down_count,
    })
}

/// RTM_NEWROUTE: struct rtmsg and its attributes (linux/rtnetlink.h). None if it is a route that
/// refuses packets.
pub(super) fn route(body: &[u8]) -> io::Result<Option<NextHop>> {
    let (Some(&route_type), Some(attributes)) = (body.get(7), body.get(12..)) else { return Err(malformed()) };
    if matches!(route_type, libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT | libc::RTN_THROW) {
        return Ok(None);
    }
    let interface = attribute(attributes, libc::RTA_OIF)?.and_then(|index| u32_at(index, 0)).ok_or_else(malformed)?;
    // struct rtvia: a family and an address of it.
    let via = attribute(attributes, RTA_VIA)?.and_then(|via| via.get(2..));
    let router = attribute(attributes, libc::RTA_GATEWAY)?.or(via).and_then(ip_address);
    let source = attribute(attributes, libc::RTA_PREFSRC)?.and_then(ip_address);
    Ok(Some(NextHop { interface, router, source }))
}

fn ip_address(bytes: &[u8]) -> Option<Address> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|ip| Address::V4(ip.into()));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|ip| Address::V6(ip.into(), 0))).ok()
}

/// RTM_NEWROUTE: calls `on_hop` with the interface of each of its next hops (RTA_MULTIPATH) that is
/// used.
pub(super) fn next_hops(body: &[u8], mut on_hop: impl FnMut(u32)) -> io::Result<()> {
    let mut rest = match attribute(body.get(12..).ok_or_else(malformed)?, libc::RTA_MULTIPATH)? {
        Some(hops) => hops,
        None => &[],
    };
    while !rest.is_empty() {
        let (length, flags, index) = (u16_at(rest, 0), rest.get(2), u32_at(rest, 4));
        let (Some(length), Some(flags), Some(index)) = (length, flags, index) else { return Err(malformed()) };
        if usize::from(length) < RTNH_HEADER {
            return Err(malformed());
        }
        if flags & RTNH_F_DEAD == 0 {
            on_hop(index);
        }
        rest = after(rest, length.into());
    }
    Ok(())
}

/// RTM_NEWNEIGH: struct ndmsg and its attributes (linux/neighbour.h). The neighbour's link-layer
/// address, if it is known and like Ethernet's.
pub(super) fn neighbour(body: &[u8]) -> io::Result<Option<Mac>> {
    let (Some(state), Some(attributes)) = (u16_at(body, 8), body.get(12..)) else { return Err(malformed()) };
    let mac = attribute(attributes, libc::NDA_LLADDR)?.and_then(|mac| mac.try_into().ok());
    Ok(mac.filter(|_| state & NUD_UNRESOLVED == 0))
}

/// RTM_NEWNEIGH of a forwarding table: the index of the port, if it is the entry of `mac`.
pub(super) fn forwarding(body: &[u8], mac: Mac) -> io::Result<Option<u32>> {
    let (Some(index), Some(attributes)) = (u32_at(body, 4), body.get(12..)) else { return Err(malformed()) };
    Ok((attribute(attributes, libc::NDA_LLADDR)? == Some(&mac[..])).then_some(index))
}

/// RTM_NEWQDISC: struct tcmsg and its attributes (linux/rtnetlink.h). Of an interface's root
/// queueing discipline, the index of the interface and the number of packets in it; nothing of
/// others.
pub(super) fn backlog(body: &[u8]) -> io::Result<Option<(u32, u32)>> {
    let (index, parent, attributes) = (u32_at(body, 4), u32_at(body, 12), body.get(20..));
    let (Some(index), Some(parent), Some(attributes)) = (index, parent, attributes) else { return Err(malformed()) };
    if parent != TC_H_ROOT {
        return Ok(None);
    }
    let queue = match attribute(attributes, libc::TCA_STATS2)? {
        Some(stats) => attribute(stats, TCA_STATS_QUEUE)?,
        None => None,
    };
    let packets = match (queue, attribute(attributes, libc::TCA_STATS)?) {
        // struct gnet_stats_queue (linux/gen_stats.h)
        (Some(queue), _) => u32_at(queue, 0),
        // struct tc_stats (linux/pkt_sched.h)
        (None, Some(stats)) => u32_at(stats, 28),
        (None, None) => return Ok(None),
    };
    Ok(Some((index, packets.ok_or_else(malformed)?)))
}

/// RTM_NEWNEIGHTBL: struct ndtmsg and its attributes (linux/neighbour.h). None if it is about the
/// parameters of an interface and not about a table.
pub(super) fn neighbour_table(body: &[u8]) -> io::Result<Option<NeighbourTable>> {
    let attributes = body.get(4..).ok_or_else(malformed)?;
    let Some(stats) = attribute(attributes, NDTA_STATS)? else { return Ok(None) };
    // struct ndt_config
    let entries = attribute(attributes, NDTA_CONFIG)?.and_then(|config| u32_at(config, 4));
    let max_entries = attribute(attributes, NDTA_THRESH3)?.and_then(|threshold| u32_at(threshold, 0));
    // struct ndt_stats; its last field is of Linux 4.3.
    let table_fulls = array_at(stats, 80).map(u64::from_ne_bytes);
    match (entries, max_entries, table_fulls) {
        (Some(entries), Some(max_entries), Some(table_fulls)) => {
            Ok(Some(NeighbourTable { entries, max_entries, table_fulls }))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADMSG)
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    array_at(bytes, offset).map(u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    array_at(bytes, offset).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests;
