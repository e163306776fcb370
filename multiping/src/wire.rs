//! Bytes <-> ICMP messages: Echo and Echo Reply of both families, and the errors that quote our
//! probes.
//!
//! This file knows the formats of RFC 791, 792, 8200 and 4443 and nothing else: no clock, no
//! addresses, no sockets. A message parsed here borrows its data from the packet; a message emitted
//! here parses back to itself.
//!
//! The ICMPv6 checksum covers the addresses of the IP header (RFC 4443 §2.3), which a raw socket
//! does not see: the kernel fills it in and checks it, so this file leaves it zero and unread. The
//! ICMPv4 checksum is computed and checked here: raw IPv4 sockets get packets that nothing has
//! verified.

use crate::address::{Family, PerFamily};

/// The type of Echo Request (RFC 792 page 14, RFC 4443 §4.1).
const ECHO_REQUEST: PerFamily<u8> = PerFamily { v4: 8, v6: 128 };

/// The type of Echo Reply (RFC 792 page 14, RFC 4443 §4.2).
pub const ECHO_REPLY: PerFamily<u8> = PerFamily { v4: 0, v6: 129 };

/// The length of the ICMP header of an Echo message, in bytes.
pub const HEADER: usize = 8;

/// The length of the part of it that all ICMP messages have: type, code and checksum.
const COMMON_HEADER: usize = 4;

/// The body of Echo Request and Echo Reply (RFC 792 page 14, RFC 4443 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// The Identifier, which tells ping processes apart.
    pub ident: u16,
    /// The Sequence Number.
    pub seq: u16,
    /// What follows the header. A reply must return it unchanged.
    pub data: &'a [u8],
}

/// What went wrong with a probe, according to a router or the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// ICMP type 3, ICMPv6 type 1.
    DestinationUnreachable,
    /// ICMPv6 type 2 (in ICMPv4 a code of Destination Unreachable).
    PacketTooBig,
    /// ICMP type 11, ICMPv6 type 3.
    TimeExceeded,
    /// ICMP type 12, ICMPv6 type 4.
    ParameterProblem,
}

/// An ICMP message, as far as a ping engine needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Echo Request: ICMP type 8, ICMPv6 type 128.
    Request(Echo<'a>),
    /// Echo Reply: ICMP type 0, ICMPv6 type 129.
    Reply(Echo<'a>),
    /// An error about an Echo Request, which it quotes; the quoted data may be cut short.
    Error {
        /// Which error, by the type field.
        error: IcmpError,
        /// The code field, which says more.
        code: u8,
        /// The Echo Request that the error is about.
        original: Echo<'a>,
    },
    /// Any other message that is whole: other types, and errors about other traffic.
    Other {
        /// The type field.
        msg_type: u8,
        /// The code field.
        code: u8,
    },
}

/// The packet is cut short, or its checksum is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// The fields of RFC 791 §3.1 that a ping engine needs of an IPv4 header.
mod ipv4 {
    pub(super) const MIN_HEADER: usize = 20;
    pub(super) const TOTAL_LENGTH: usize = 2;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const ICMP: u8 = 1;
}

/// The fields of RFC 8200 §3 that a ping engine needs of an IPv6 header.
mod ipv6 {
    pub(super) const HEADER: usize = 40;
    pub(super) const NEXT_HEADER: usize = 6;
    pub(super) const ICMPV6: u8 = 58;
}

/// The ICMP message inside the IPv4 packet that a raw socket delivers, whatever options its header
/// carries.
pub fn ipv4_payload(packet: &[u8]) -> Result<&[u8], Malformed> {
    let header = ipv4_header_len(packet)?;
    let total = usize::from(u16_at(packet, ipv4::TOTAL_LENGTH)?);
    packet.get(header..total).ok_or(Malformed)
}

/// The Time To Live of an IPv4 packet.
pub fn ipv4_ttl(packet: &[u8]) -> Option<u8> {
    packet.get(ipv4::TTL).copied()
}

/// The length of the IPv4 header at the start of `packet`, options included, if what follows it is
/// ICMP.
fn ipv4_header_len(packet: &[u8]) -> Result<usize, Malformed> {
    let first = *packet.first().ok_or(Malformed)?;
    let header = usize::from(first & 0x0f) * 4;
    let icmp = packet.get(ipv4::PROTOCOL) == Some(&ipv4::ICMP);
    if first >> 4 != 4 || header < ipv4::MIN_HEADER || !icmp { Err(Malformed) } else { Ok(header) }
}

/// The Internet checksum (RFC 1071) of `bytes`: zero over a message whose checksum field is right.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(4);
    let mut tail = [0; 4];
    tail.iter_mut().zip(words.remainder()).for_each(|(to, from)| *to = *from);
    // Four bytes at a time in 64 bits: no packet is long enough to overflow, and the carries are
    // folded in at the end.
    let words = words.filter_map(|word| word.first_chunk()).chain([&tail]);
    let mut sum: u64 = words.map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

impl<'a> Message<'a> {
    /// Reads one ICMP message of `family`: all of `bytes`, without an IP header.
    pub fn parse(family: Family, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (&[msg_type, code, _, _], body) = bytes.split_first_chunk::<COMMON_HEADER>().ok_or(Malformed)?;
        if family == Family::V4 && checksum(bytes) != 0 {
            return Err(Malformed);
        }
        if code == 0 && msg_type == ECHO_REPLY[family] {
            return Ok(Message::Reply(Echo::parse(body)?));
        }
        if code == 0 && msg_type == ECHO_REQUEST[family] {
            return Ok(Message::Request(Echo::parse(body)?));
        }
        let original = body.get(4..).and_then(|quoted| quoted_request(family, quoted).ok());
        Ok(match (IcmpError::of(family, msg_type), original) {
            (Some(error), Some(original)) => Message::Error { error, code, original },
            _ => Message::Other { msg_type, code },
        })
    }

    /// Writes the message to the start of `out`, checksum included, and returns its length.
    /// `None`: `out` is too short. An error quotes its probe behind a minimal IP header without
    /// addresses.
    pub fn emit(&self, family: Family, out: &mut [u8]) -> Option<usize> {
        let (msg_type, code, body_len) = match self {
            Message::Request(echo) => (ECHO_REQUEST[family], 0, Echo::FIELDS + echo.data.len()),
            Message::Reply(echo) => (ECHO_REPLY[family], 0, Echo::FIELDS + echo.data.len()),
            Message::Error { error, code, original } => {
                (error.msg_type(family)?, *code, 4 + quoted_header(family) + HEADER + original.data.len())
            }
            Message::Other { msg_type, code } => (*msg_type, *code, 4),
        };
        let out = out.get_mut(..COMMON_HEADER + body_len)?;
        let (header, body) = out.split_first_chunk_mut::<COMMON_HEADER>()?;
        *header = [msg_type, code, 0, 0];
        match self {
            Message::Request(echo) | Message::Reply(echo) => echo.emit(body)?,
            Message::Error { original, .. } => {
                let (field, quote) = body.split_first_chunk_mut::<4>()?;
                *field = [0; 4]; // unused, or a pointer or MTU that is not needed
                emit_quote(family, original, quote)?;
            }
            Message::Other { .. } => body.fill(0),
        }
        if family == Family::V4 {
            let [high, low] = checksum(out).to_be_bytes();
            *out.first_chunk_mut()? = [msg_type, code, high, low];
        }
        Some(out.len())
    }
}

impl<'a> Echo<'a> {
    /// The length of Identifier and Sequence Number, in bytes.
    const FIELDS: usize = 4;

    /// Reads what follows the common header of an Echo message.
    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (&[i, d, s, q], data) = body.split_first_chunk::<{ Echo::FIELDS }>().ok_or(Malformed)?;
        Ok(Echo { ident: u16::from_be_bytes([i, d]), seq: u16::from_be_bytes([s, q]), data })
    }

    /// Writes what follows the common header; `body` has the right length.
    fn emit(&self, body: &mut [u8]) -> Option<()> {
        let (fields, data) = body.split_first_chunk_mut()?;
        *fields = (u32::from(self.ident) << 16 | u32::from(self.seq)).to_be_bytes();
        data.copy_from_slice(self.data);
        Some(())
    }
}

impl IcmpError {
    const ALL: [IcmpError; 4] = [
        IcmpError::DestinationUnreachable,
        IcmpError::PacketTooBig,
        IcmpError::TimeExceeded,
        IcmpError::ParameterProblem,
    ];

    fn of(family: Family, msg_type: u8) -> Option<Self> {
        IcmpError::ALL.into_iter().find(|error| error.msg_type(family) == Some(msg_type))
    }

    fn msg_type(self, family: Family) -> Option<u8> {
        let types = match self {
            IcmpError::DestinationUnreachable => PerFamily { v4: Some(3), v6: Some(1) },
            IcmpError::PacketTooBig => PerFamily { v4: None, v6: Some(2) },
            IcmpError::TimeExceeded => PerFamily { v4: Some(11), v6: Some(3) },
            IcmpError::ParameterProblem => PerFamily { v4: Some(12), v6: Some(4) },
        };
        types[family]
    }
}

/// The Echo Request in the packet that an ICMP error quotes. Its checksum is not checked: RFC 792
/// promises only the first 8 bytes of the message, so there is often nothing to check it over.
fn quoted_request(family: Family, packet: &[u8]) -> Result<Echo<'_>, Malformed> {
    let header = match family {
        Family::V4 => ipv4_header_len(packet)?,
        Family::V6 if packet.get(ipv6::NEXT_HEADER) == Some(&ipv6::ICMPV6) => ipv6::HEADER,
        Family::V6 => return Err(Malformed),
    };
    let message = packet.get(header..).ok_or(Malformed)?;
    match message.split_first_chunk::<COMMON_HEADER>() {
        Some((&[msg_type, ..], body)) if msg_type == ECHO_REQUEST[family] => Echo::parse(body),
        _ => Err(Malformed),
    }
}

fn quoted_header(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::MIN_HEADER,
        Family::V6 => ipv6::HEADER,
    }
}

fn emit_quote(family: Family, original: &Echo, out: &mut [u8]) -> Option<()> {
    let total = u16::try_from(out.len()).ok()?;
    let (header, message) = out.split_at_mut_checked(quoted_header(family))?;
    header.fill(0);
    match family {
        Family::V4 => {
            *header.first_mut()? = 0x45;
            header.get_mut(ipv4::TOTAL_LENGTH..)?.first_chunk_mut().map(|field| *field = total.to_be_bytes())?;
            *header.get_mut(ipv4::TTL)? = 1;
            *header.get_mut(ipv4::PROTOCOL)? = ipv4::ICMP;
        }
        Family::V6 => {
            *header.first_mut()? = 0x60;
            *header.get_mut(ipv6::NEXT_HEADER)? = ipv6::ICMPV6;
        }
    }
    Message::Request(*original).emit(family, message).map(drop)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)?;
    Ok(u16::from_be_bytes(*field))
}
