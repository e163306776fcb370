//! Bytes <-> ICMP messages: Echo and Echo Reply of both families, and the errors that quote our probes.
//!
//! This file knows the formats of RFC 791, 792, 8200 and 4443 and nothing else: no clock, no addresses, no sockets.
//! A message parsed here borrows its data from the packet; a message emitted here parses back to itself.
//!
//! The ICMPv6 checksum covers the addresses of the IP header (RFC 4443 §2.3), which a raw socket does not see: there
//! the kernel fills it in and checks it, so this file leaves it zero and unread. The ICMPv4 checksum is ours to make
//! and to check: raw IPv4 sockets get a packet before anybody verified it.

/// The two kinds of Internet address, and with them the two dialects of ICMP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and ICMP (RFC 792).
    V4,
    /// IPv6 and ICMPv6 (RFC 4443).
    V6,
}

impl Family {
    /// Both families, in the order in which they are probed.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// A place for this family in an array of two.
    pub fn index(self) -> usize {
        self as usize
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// The length of the ICMP header of an Echo message, in bytes.
pub const HEADER: usize = 8;

/// The body of Echo Request and Echo Reply (RFC 792 page 14, RFC 4443 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Identifier: tells one pinging program from another.
    pub ident: u16,
    /// Sequence Number.
    pub seq: u16,
    /// What follows the header. A reply must return it unchanged.
    pub data: &'a [u8],
}

/// What went wrong with a probe on its way, according to a router or the target itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// ICMP type 3, ICMPv6 type 1.
    DestinationUnreachable,
    /// ICMPv6 type 2 (in ICMPv4 a code of Destination Unreachable).
    PacketTooBig,
    /// ICMP type 11, ICMPv6 type 3.
    TimeExceeded,
    /// ICMP type 12, ICMPv6 type 4.
    ParameterProblem,
}

/// An ICMP message, as far as a ping engine cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Echo Request: ICMP type 8, ICMPv6 type 128.
    Request(Echo<'a>),
    /// Echo Reply: ICMP type 0, ICMPv6 type 129.
    Reply(Echo<'a>),
    /// An error about an Echo Request, which it quotes; the quoted data may be cut short.
    Error {
        /// What kind of error.
        trouble: Trouble,
        /// The code field, which refines the kind.
        code: u8,
        /// The Echo Request that the error is about.
        quote: Echo<'a>,
    },
    /// Anything else that is whole: other types, and errors about other traffic.
    Other {
        /// The type field.
        kind: u8,
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

/// The ICMP message inside the IPv4 packet that a raw socket delivers, whatever options its header carries.
pub fn strip_ipv4(packet: &[u8]) -> Result<&[u8], Malformed> {
    let header = ipv4_header_len(packet)?;
    let total = usize::from(u16_at(packet, ipv4::TOTAL_LENGTH)?);
    packet.get(header..total).ok_or(Malformed)
}

/// The length of the IPv4 header at the start of `packet`, options included, if what follows it is ICMP.
fn ipv4_header_len(packet: &[u8]) -> Result<usize, Malformed> {
    let first = *packet.first().ok_or(Malformed)?;
    let header = usize::from(first & 0x0f) * 4;
    let icmp = packet.get(ipv4::PROTOCOL) == Some(&ipv4::ICMP);
    if first >> 4 != 4 || header < ipv4::MIN_HEADER || !icmp { Err(Malformed) } else { Ok(header) }
}

/// The Internet checksum (RFC 1071) of `bytes`: zero over a message whose checksum field is right.
pub fn checksum(bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    // Four bytes at a time in 64 bits: no packet is long enough to overflow, and the carries fold out at the end.
    let mut sum: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    let mut tail = [0; 4];
    tail[..rest.len()].copy_from_slice(rest);
    sum += u64::from(u32::from_be_bytes(tail));
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !(sum as u16)
}

impl<'a> Message<'a> {
    /// Reads one ICMP message of `family`: all of `bytes`, without an IP header.
    pub fn parse(family: Family, bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (header, body) = bytes.split_at_checked(4).ok_or(Malformed)?;
        if family == Family::V4 && checksum(bytes) != 0 {
            return Err(Malformed);
        }
        let (kind, code) = (header[0], header[1]);
        Ok(match (family, kind, code) {
            (Family::V4, 8, 0) | (Family::V6, 128, 0) => Message::Request(Echo::parse(body)?),
            (Family::V4, 0, 0) | (Family::V6, 129, 0) => Message::Reply(Echo::parse(body)?),
            _ => {
                let quote = body.get(4..).and_then(|quoted| quoted_request(family, quoted).ok());
                match (Trouble::of(family, kind), quote) {
                    (Some(trouble), Some(quote)) => Message::Error { trouble, code, quote },
                    _ => Message::Other { kind, code },
                }
            }
        })
    }

    /// Writes the message to the start of `out`, checksum included, and says how long it became.
    /// `None`: `out` is too short. An error quotes its probe behind a minimal IP header without addresses.
    pub fn emit(&self, family: Family, out: &mut [u8]) -> Option<usize> {
        let (kind, code, body_len) = match self {
            Message::Request(echo) => (if family == Family::V4 { 8 } else { 128 }, 0, 4 + echo.data.len()),
            Message::Reply(echo) => (if family == Family::V4 { 0 } else { 129 }, 0, 4 + echo.data.len()),
            Message::Error { trouble, code, quote } => {
                (trouble.kind(family)?, *code, 4 + quoted_header(family) + HEADER + quote.data.len())
            }
            Message::Other { kind, code } => (*kind, *code, 4),
        };
        let out = out.get_mut(..4 + body_len)?;
        let (header, body) = out.split_at_mut(4);
        header.copy_from_slice(&[kind, code, 0, 0]);
        match self {
            Message::Request(echo) | Message::Reply(echo) => echo.emit(body),
            Message::Error { quote, .. } => {
                body[..4].fill(0); // unused, or a pointer or MTU that we have no use for
                emit_quote(family, quote, &mut body[4..])?;
            }
            Message::Other { .. } => body.fill(0),
        }
        if family == Family::V4 {
            let sum = checksum(out);
            out[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        Some(out.len())
    }
}

impl<'a> Echo<'a> {
    /// Reads what follows the first four bytes of an Echo message.
    fn parse(body: &'a [u8]) -> Result<Self, Malformed> {
        let (fields, data) = body.split_at_checked(4).ok_or(Malformed)?;
        Ok(Echo { ident: u16_at(fields, 0)?, seq: u16_at(fields, 2)?, data })
    }

    /// Writes what follows the first four bytes; `body` has the right length.
    fn emit(&self, body: &mut [u8]) {
        body[..2].copy_from_slice(&self.ident.to_be_bytes());
        body[2..4].copy_from_slice(&self.seq.to_be_bytes());
        body[4..].copy_from_slice(self.data);
    }
}

impl Trouble {
    const ALL: [Trouble; 4] =
        [Trouble::DestinationUnreachable, Trouble::PacketTooBig, Trouble::TimeExceeded, Trouble::ParameterProblem];

    fn of(family: Family, kind: u8) -> Option<Self> {
        Trouble::ALL.into_iter().find(|trouble| trouble.kind(family) == Some(kind))
    }

    fn kind(self, family: Family) -> Option<u8> {
        Some(match (self, family) {
            (Trouble::DestinationUnreachable, Family::V4) => 3,
            (Trouble::TimeExceeded, Family::V4) => 11,
            (Trouble::ParameterProblem, Family::V4) => 12,
            (Trouble::PacketTooBig, Family::V4) => return None,
            (Trouble::DestinationUnreachable, Family::V6) => 1,
            (Trouble::PacketTooBig, Family::V6) => 2,
            (Trouble::TimeExceeded, Family::V6) => 3,
            (Trouble::ParameterProblem, Family::V6) => 4,
        })
    }
}

/// The Echo Request in the packet that an ICMP error quotes. Its checksum is not checked: RFC 792 promises only the
/// first 8 bytes of the message, so there is often nothing to check it over.
fn quoted_request(family: Family, packet: &[u8]) -> Result<Echo<'_>, Malformed> {
    let (header, request) = match family {
        Family::V4 => (ipv4_header_len(packet)?, 8),
        Family::V6 if packet.get(ipv6::NEXT_HEADER) == Some(&ipv6::ICMPV6) => (ipv6::HEADER, 128),
        Family::V6 => return Err(Malformed),
    };
    let message = packet.get(header..).ok_or(Malformed)?;
    match message.first() {
        Some(&kind) if kind == request => Echo::parse(message.get(4..).ok_or(Malformed)?),
        _ => Err(Malformed),
    }
}

fn quoted_header(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::MIN_HEADER,
        Family::V6 => ipv6::HEADER,
    }
}

fn emit_quote(family: Family, quote: &Echo, out: &mut [u8]) -> Option<()> {
    let total = u16::try_from(out.len()).ok()?;
    let (header, message) = out.split_at_mut(quoted_header(family));
    header.fill(0);
    match family {
        Family::V4 => {
            header[0] = 0x45;
            header[ipv4::TOTAL_LENGTH..][..2].copy_from_slice(&total.to_be_bytes());
            header[ipv4::TTL] = 1;
            header[ipv4::PROTOCOL] = ipv4::ICMP;
        }
        Family::V6 => {
            header[0] = 0x60;
            header[ipv6::NEXT_HEADER] = ipv6::ICMPV6;
        }
    }
    Message::Request(*quote).emit(family, message).map(drop)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    let field = bytes.get(at..at + 2).ok_or(Malformed)?;
    Ok(u16::from_be_bytes([field[0], field[1]]))
}
