//! Packets as bytes: what the lab reads and what it writes.
//!
//! Independent of the program's own `wire`, so that a checksum that is wrong there does not look
//! right here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ICMP4: u8 = 1;
const ICMP6: u8 = 58;
const DONT_FRAGMENT: u8 = 0x40;

/// The queries of ICMPv4 besides Echo, Timestamp and Address Mask: the types of their requests.
const QUERIES: [u8; 2] = [13, 17];

/// An Echo Request or other query read from the wire.
pub struct Request<'a> {
    pub msg_type: u8,
    pub src: IpAddr,
    pub dst: IpAddr,
    pub ttl: u8,
    pub tos: u8,
    pub dont_fragment: bool,
    pub checksum_ok: bool,
    pub ident: u16,
    pub seq: u16,
    pub data: &'a [u8],
    /// The whole IP packet, for the ICMP errors that quote it.
    pub packet: &'a [u8],
}

impl<'a> Request<'a> {
    /// Parses an IP packet; `None` if it is not a whole request.
    pub fn parse(packet: &'a [u8]) -> Option<Request<'a>> {
        match packet.first()? >> 4 {
            4 => Request::parse_v4(packet),
            6 => Request::parse_v6(packet),
            _ => None,
        }
    }

    fn parse_v4(packet: &'a [u8]) -> Option<Request<'a>> {
        let head: &[u8; 20] = packet.first_chunk()?;
        let head_len = usize::from(head[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let is_fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff != 0;
        // Ethernet pads short frames, so the length is that of the header, not of the frame.
        let message = packet.get(head_len..total)?;
        let icmp: &[u8; 8] = message.first_chunk()?;
        if head[9] != ICMP4 || is_fragment || icmp[0] != 8 && !QUERIES.contains(&icmp[0]) {
            return None;
        }
        Some(Request {
            msg_type: icmp[0],
            src: <[u8; 4]>::try_from(&head[12..16]).ok()?.into(),
            dst: <[u8; 4]>::try_from(&head[16..20]).ok()?.into(),
            ttl: head[8],
            tos: head[1],
            dont_fragment: head[6] & DONT_FRAGMENT != 0,
            checksum_ok: checksum(&[message]) == 0,
            ident: u16::from_be_bytes([icmp[4], icmp[5]]),
            seq: u16::from_be_bytes([icmp[6], icmp[7]]),
            data: &message[8..],
            packet: &packet[..total],
        })
    }

    fn parse_v6(packet: &'a [u8]) -> Option<Request<'a>> {
        let head: &[u8; 40] = packet.first_chunk()?;
        let total = 40 + usize::from(u16::from_be_bytes([head[4], head[5]]));
        let message = packet.get(40..total)?;
        let icmp: &[u8; 8] = message.first_chunk()?;
        if head[6] != ICMP6 || icmp[0] != 128 {
            return None;
        }
        let src: Ipv6Addr = <[u8; 16]>::try_from(&head[8..24]).ok()?.into();
        let dst: Ipv6Addr = <[u8; 16]>::try_from(&head[24..40]).ok()?.into();
        Some(Request {
            msg_type: icmp[0],
            src: src.into(),
            dst: dst.into(),
            ttl: head[7],
            tos: (head[0] << 4) | (head[1] >> 4),
            // Routers do not fragment IPv6, and a fragment is not accepted above.
            dont_fragment: true,
            checksum_ok: checksum(&[&pseudo_header(src, dst, message.len()), message]) == 0,
            ident: u16::from_be_bytes([icmp[4], icmp[5]]),
            seq: u16::from_be_bytes([icmp[6], icmp[7]]),
            data: &message[8..],
            packet: &packet[..total],
        })
    }
}

/// The fields of the IP header that tests set.
#[derive(Clone, Copy)]
pub struct Header<'a> {
    pub src: IpAddr,
    pub dst: IpAddr,
    pub ttl: u8,
    pub tos: u8,
    /// IPv4 options (RFC 791 §3.1), padded here to whole words. IPv6 packets go without.
    pub options: &'a [u8],
}

impl Header<'_> {
    pub fn new(src: IpAddr, dst: IpAddr) -> Header<'static> {
        Header { src, dst, ttl: 64, tos: 0, options: &[] }
    }

    fn is_v6(&self) -> bool {
        self.src.is_ipv6()
    }
}

/// A whole Echo Reply, in the family of its addresses.
///
/// # Panics
/// If `src` and `dst` are of different families.
pub fn echo_reply(src: IpAddr, dst: IpAddr, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    echo(Header::new(src, dst), false, ident, seq, data)
}

/// A whole Echo Request, as another program sends it.
pub fn echo_request(src: IpAddr, dst: IpAddr, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    echo(Header::new(src, dst), true, ident, seq, data)
}

/// An Echo Request or Reply with any header.
pub fn echo(header: Header, request: bool, ident: u16, seq: u16, data: &[u8]) -> Vec<u8> {
    let msg_type = match (header.is_v6(), request) {
        (false, false) => 0,
        (false, true) => 8,
        (true, false) => 129,
        (true, true) => 128,
    };
    let [i, j] = ident.to_be_bytes();
    let [s, t] = seq.to_be_bytes();
    icmp(header, msg_type, 0, [i, j, s, t], data)
}

/// Any ICMP or ICMPv6 message: type, code, the four bytes after the checksum, and the rest. The
/// checksum is right.
pub fn icmp(header: Header, msg_type: u8, code: u8, word: [u8; 4], data: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(8 + data.len());
    message.extend([msg_type, code, 0, 0]);
    message.extend(word);
    message.extend(data);
    let sum = match (header.src, header.dst) {
        (IpAddr::V4(_), IpAddr::V4(_)) => checksum(&[&message]),
        (IpAddr::V6(src), IpAddr::V6(dst)) => checksum(&[&pseudo_header(src, dst, message.len()), &message]),
        _ => panic!("a packet from {} to {} has two families", header.src, header.dst),
    };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ip(header, &message)
}

/// Wraps an ICMP message into an IP packet, as it is.
pub fn ip(header: Header, message: &[u8]) -> Vec<u8> {
    match (header.src, header.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => ip_v4(header, src, dst, message),
        (IpAddr::V6(src), IpAddr::V6(dst)) => ip_v6(header, src, dst, message),
        _ => panic!("a packet from {} to {} has two families", header.src, header.dst),
    }
}

fn ip_v4(header: Header, src: Ipv4Addr, dst: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let head_len = 20 + header.options.len().next_multiple_of(4);
    assert!(head_len <= 60, "an IPv4 header holds at most 40 bytes of options");
    let total = u16::try_from(head_len + message.len()).expect("an IPv4 packet is shorter than 64 KiB");
    let mut packet = Vec::with_capacity(usize::from(total));
    packet.extend([0x40 | (head_len / 4) as u8, header.tos]);
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, DONT_FRAGMENT, 0, header.ttl, ICMP4, 0, 0]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(header.options);
    packet.resize(head_len, 0);
    let sum = checksum(&[&packet]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(message);
    packet
}

fn ip_v6(header: Header, src: Ipv6Addr, dst: Ipv6Addr, message: &[u8]) -> Vec<u8> {
    let len = u16::try_from(message.len()).expect("an IPv6 packet is shorter than 64 KiB");
    let mut packet = Vec::with_capacity(40 + message.len());
    packet.extend([0x60 | (header.tos >> 4), header.tos << 4, 0, 0]);
    packet.extend(len.to_be_bytes());
    packet.extend([ICMP6, header.ttl]);
    packet.extend(src.octets());
    packet.extend(dst.octets());
    packet.extend(message);
    packet
}

/// Where the ICMP message begins in an IP packet made here.
pub fn message_start(packet: &[u8]) -> usize {
    if packet[0] >> 4 == 4 { usize::from(packet[0] & 0x0f) * 4 } else { 40 }
}

/// RFC 8200 §8.1: what an ICMPv6 checksum covers besides the message.
fn pseudo_header(src: Ipv6Addr, dst: Ipv6Addr, len: usize) -> [u8; 40] {
    let mut pseudo = [0; 40];
    pseudo[..16].copy_from_slice(&src.octets());
    pseudo[16..32].copy_from_slice(&dst.octets());
    pseudo[32..36].copy_from_slice(&(len as u32).to_be_bytes());
    pseudo[39] = ICMP6;
    pseudo
}

/// The checksum of RFC 1071 over all parts; every part but the last has an even length. It is 0
/// over bytes that include their valid checksum.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum: u64 = 0;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
