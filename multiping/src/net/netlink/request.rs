//! Requests to rtnetlink (rtnetlink(7)).

use nix::libc;

use crate::address::{Address, Family};
use crate::net::netlink::parse::{ALIGNMENT, ATTRIBUTE_HEADER};

/// From linux/rtnetlink.h; libc does not have it.
const RTA_IP_PROTO: u16 = 27;

/// The longest request: for a route, with all its attributes.
const MAX_REQUEST: usize = 96;

/// A request: struct nlmsghdr (linux/netlink.h), the body of its type, attributes.
pub(super) struct Request {
    message_type: u16,
    bytes: [u8; MAX_REQUEST],
    length: usize,
}

impl Request {
    pub(super) fn new(message_type: u16, flags: libc::c_int, body: &[u8]) -> Self {
        let mut request = Request { message_type, bytes: [0; MAX_REQUEST], length: 4 };
        request.append(&message_type.to_ne_bytes());
        request.append(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        request.append(&[0; 8]); // Sequence number; the sender's port, which the kernel fills in.
        request.append(body);
        request
    }

    /// Adds an attribute.
    pub(super) fn push(&mut self, attribute_type: u16, value: &[u8]) {
        self.append(&((ATTRIBUTE_HEADER + value.len()) as u16).to_ne_bytes());
        self.append(&attribute_type.to_ne_bytes());
        self.append(value);
        self.length = self.length.next_multiple_of(ALIGNMENT);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    pub(super) fn emit(&mut self, seq: u32) -> &[u8] {
        self.bytes[..4].copy_from_slice(&(self.length as u32).to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&seq.to_ne_bytes());
        &self.bytes[..self.length]
    }

    /// The type of the answers: a request to get is two more than the message that tells of new
    /// ones (linux/rtnetlink.h).
    pub(super) fn answer_type(&self) -> u16 {
        self.message_type - 2
    }
}

/// RTM_GETROUTE: the route for an ICMP socket that is bound to `source` and `interface`. `flags`:
/// of struct rtmsg.
pub(super) fn route_request(to: Address, source: Option<Address>, interface: Option<u32>, flags: u32) -> Request {
    let source = source.filter(|source| source.family() == to.family());
    let (bits, protocol, zone) = match to {
        Address::V4(_) => (32, libc::IPPROTO_ICMP, 0),
        Address::V6(_, zone) => (128, libc::IPPROTO_ICMPV6, zone),
    };
    // struct rtmsg: family, lengths of the prefixes of destination and source.
    let mut body = [0; 12];
    body[..3].copy_from_slice(&[number(to.family()), bits, if source.is_some() { bits } else { 0 }]);
    body[8..].copy_from_slice(&flags.to_ne_bytes());
    let mut request = Request::new(libc::RTM_GETROUTE, 0, &body);
    for (attribute, address) in [(libc::RTA_DST, Some(to)), (libc::RTA_SRC, source)] {
        match address {
            Some(Address::V4(ip)) => request.push(attribute, &ip.octets()),
            Some(Address::V6(ip, _)) => request.push(attribute, &ip.octets()),
            None => {}
        }
    }
    if let Some(index) = Some(zone).filter(|zone| *zone != 0).or(interface) {
        request.push(libc::RTA_OIF, &index.to_ne_bytes());
    }
    // For rules that name a protocol. (Those that name a user apply to this process's without
    // RTA_UID.)
    request.push(RTA_IP_PROTO, &[protocol as u8]);
    request
}

/// RTM_GETNEIGH: the entry of `address` in the neighbour table of `interface`.
pub(super) fn neighbour_request(address: Address, interface: u32) -> Request {
    // struct ndmsg: family, index of the interface.
    let mut body = [0; 12];
    body[0] = number(address.family());
    body[4..8].copy_from_slice(&interface.to_ne_bytes());
    let mut request = Request::new(libc::RTM_GETNEIGH, 0, &body);
    match address {
        Address::V4(ip) => request.push(libc::NDA_DST, &ip.octets()),
        Address::V6(ip, _) => request.push(libc::NDA_DST, &ip.octets()),
    }
    request
}

/// RTM_GETNEIGH: the forwarding table of `bridge`.
pub(super) fn forwarding_request(bridge: u32) -> Request {
    // struct ifinfomsg, as every kernel takes it (rtnl_fdb_dump in net/core/rtnetlink.c).
    let mut body = [0; 16];
    body[0] = libc::AF_BRIDGE as u8;
    let mut request = Request::new(libc::RTM_GETNEIGH, libc::NLM_F_DUMP, &body);
    request.push(libc::IFLA_MASTER, &bridge.to_ne_bytes());
    request
}

/// The number of a family (AF_INET, AF_INET6).
pub(super) fn number(family: Family) -> u8 {
    match family {
        Family::V4 => libc::AF_INET as u8,
        Family::V6 => libc::AF_INET6 as u8,
    }
}
