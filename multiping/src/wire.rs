//! Bytes <-> ICMP messages: Echo and Echo Reply of both families, the queries of IPv4, and the
//! errors that quote our probes.
//!
//! This file knows the formats of RFC 791, 792, 8200 and 4443 and nothing else: no clock, no
//! sockets. A message parsed here borrows its data from the packet; a message emitted
//! here parses back to itself.
//!
//! The ICMPv6 checksum covers the addresses of the IP header (RFC 4443 §2.3), which a raw socket
//! does not see: the kernel fills it in and checks it, so this file leaves it zero and unread. The
//! ICMPv4 checksum is computed and checked here: raw IPv4 sockets get packets that nothing has
//! verified.

mod error;
mod query;
mod route;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use crate::wire::error::REDIRECT_V6;
pub use crate::wire::error::{Detail, ERRORS, IcmpError};
pub use crate::wire::query::{HostTime, Query, QueryBody};
pub use crate::wire::route::{RECORD_ROUTE_OPTIONS, RecordedRoute};

use crate::address::{Family, PerFamily};
use crate::plan::ProbeKind;

/// The type of Echo Request (RFC 792 page 14, RFC 4443 §4.1).
pub const ECHO_REQUEST: PerFamily<u8> = PerFamily { v4: 8, v6: 128 };

/// The type of Echo Reply (RFC 792 page 14, RFC 4443 §4.2).
pub const ECHO_REPLY: PerFamily<u8> = PerFamily { v4: 0, v6: 129 };

/// The length of the ICMP header of an Echo message, in bytes.
pub const HEADER: usize = 8;

/// The length of the part of it that all ICMP messages have: type, code and checksum.
pub(crate) const COMMON_HEADER: usize = 4;

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

/// The request that an ICMP error quotes; its data may be cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Original<'a> {
    /// Where it was sent to.
    pub destination: IpAddr,
    /// Which message it is.
    pub kind: ProbeKind,
    /// The request. One that is no Echo Request has what follows its Sequence Number for data.
    pub echo: Echo<'a>,
}

/// What a host may answer a probe with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply<'a> {
    /// An Echo Reply.
    Echo(Echo<'a>),
    /// A reply to another query.
    Query(Query),
}

impl Reply<'_> {
    /// The Identifier.
    pub fn ident(&self) -> u16 {
        match self {
            Reply::Echo(echo) => echo.ident,
            Reply::Query(query) => query.ident,
        }
    }

    /// The Sequence Number.
    pub fn seq(&self) -> u16 {
        match self {
            Reply::Echo(echo) => echo.seq,
            Reply::Query(query) => query.seq,
        }
    }

    /// How many bytes of ICMP it has.
    pub fn message_len(&self) -> usize {
        match self {
            Reply::Echo(echo) => HEADER + echo.data.len(),
            Reply::Query(query) => query.message_len(),
        }
    }
}

/// An ICMP message, as far as a ping engine needs it.
///
/// ```
/// use multiping::{Family, proto::{Echo, HEADER, Message}};
///
/// let data = [0; 16];
/// let request = Message::Request(Echo { ident: 4711, seq: 1, data: &data });
/// let mut packet = [0; HEADER + 16];
/// request.emit(Family::V6, &mut packet);
/// assert_eq!(Message::parse(Family::V6, &packet), Ok(request));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Echo Request: ICMP type 8, ICMPv6 type 128.
    Request(Echo<'a>),
    /// Echo Reply: ICMP type 0, ICMPv6 type 129.
    Reply(Echo<'a>),
    /// Another query, of IPv4.
    QueryRequest(Query),
    /// The reply to one.
    QueryReply(Query),
    /// An error about an Echo Request or another query.
    Error {
        /// Which error.
        error: IcmpError,
        /// The request that it is about.
        original: Original<'a>,
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
    pub(super) const TOS: usize = 1;
    pub(super) const TOTAL_LENGTH: usize = 2;
    pub(super) const FRAGMENT: usize = 6;
    pub(super) const OFFSET_MASK: u16 = 0x1fff;
    pub(super) const TTL: usize = 8;
    pub(super) const PROTOCOL: usize = 9;
    pub(super) const DESTINATION: usize = 16;
    pub(super) const ICMP: u8 = 1;
}

/// The fields of RFC 8200 §3 that a ping engine needs of an IPv6 header.
pub(crate) mod ipv6 {
    pub(crate) const HEADER: usize = 40;
    pub(super) const PAYLOAD_LENGTH: usize = 4;
    pub(crate) const NEXT_HEADER: usize = 6;
    pub(super) const DESTINATION: usize = 24;
    pub(crate) const ICMPV6: u8 = 58;
    /// The Fragment header (§4.5): its number, its length, and where its offset is.
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const FRAGMENT_HEADER: usize = 8;
    pub(super) const FRAGMENT_OFFSET: usize = 2;
    pub(super) const OFFSET_MASK: u16 = 0xfff8;
}

/// The fields of ICMPv6 Redirect (RFC 4861 §4.5), counted from behind the checksum.
pub(crate) mod redirect {
    pub(super) const TARGET: usize = 4;
    pub(crate) const OPTIONS: usize = 36;
    /// The Redirected Header option (§4.6.3): its type, the length of its header, and the unit of
    /// the lengths of options.
    pub(crate) const REDIRECTED: u8 = 4;
    pub(crate) const REDIRECTED_HEADER: usize = 8;
    pub(super) const UNIT: usize = 8;
}

/// The ICMP message inside the IPv4 packet that a raw socket delivers, whatever options its header
/// carries.
pub fn ipv4_payload(packet: &[u8]) -> Result<&[u8], Malformed> {
    let header = ipv4_header_len(packet)?;
    let total = usize::from(u16_at(packet, ipv4::TOTAL_LENGTH)?);
    packet.get(header..total).ok_or(Malformed)
}

/// The TTL in the header of the IPv4 packet that a raw socket delivers.
pub fn ipv4_ttl(packet: &[u8]) -> Option<u8> {
    packet.get(ipv4::TTL).copied()
}

/// The Type Of Service in that header.
pub fn ipv4_tos(packet: &[u8]) -> Option<u8> {
    packet.get(ipv4::TOS).copied()
}

/// The destination in that header.
pub fn ipv4_destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let bytes: &[u8; 4] = packet.get(ipv4::DESTINATION..)?.first_chunk()?;
    Some(Ipv4Addr::from(*bytes))
}

/// The options in that header.
pub fn ipv4_options(packet: &[u8]) -> Option<&[u8]> {
    packet.get(ipv4::MIN_HEADER..ipv4_header_len(packet).ok()?)
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
        if let Some((kind, is_request)) = Query::kind_of(msg_type).filter(|_| code == 0 && family == Family::V4) {
            let query = Query::parse(kind, body)?;
            return Ok(if is_request { Message::QueryRequest(query) } else { Message::QueryReply(query) });
        }
        let error =
            if IcmpError::is_error(family, msg_type) { parse_error(family, msg_type, code, body) } else { None };
        Ok(error.unwrap_or(Message::Other { msg_type, code }))
    }

    /// Writes the message to the start of `out`, checksum included, and returns its length.
    /// `None`: `out` is too short. An error quotes its probe behind a minimal IP header without
    /// addresses.
    pub fn emit(&self, family: Family, out: &mut [u8]) -> Option<usize> {
        let (msg_type, code, body_len) = match self {
            Message::Request(echo) => (ECHO_REQUEST[family], 0, Echo::FIELDS + echo.data.len()),
            Message::Reply(echo) => (ECHO_REPLY[family], 0, Echo::FIELDS + echo.data.len()),
            Message::QueryRequest(query) | Message::QueryReply(query) => {
                let [request, reply] = Query::types(query.kind())?;
                let msg_type = if matches!(self, Message::QueryRequest(_)) { request } else { reply };
                (msg_type, 0, query.message_len() - COMMON_HEADER)
            }
            Message::Error { error, original } => (error.msg_type, error.code, error_len(error, original)),
            Message::Other { msg_type, code } => (*msg_type, *code, 4),
        };
        let out = out.get_mut(..COMMON_HEADER + body_len)?;
        let (header, body) = out.split_first_chunk_mut::<COMMON_HEADER>()?;
        *header = [msg_type, code, 0, 0];
        match self {
            Message::Request(echo) | Message::Reply(echo) => echo.emit(body)?,
            Message::QueryRequest(query) | Message::QueryReply(query) => query.emit(body)?,
            Message::Error { error, original } => emit_error(family, error, original, body)?,
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

/// Reads what follows the common header of an error. `None`: it is not about a query.
fn parse_error(family: Family, msg_type: u8, code: u8, body: &[u8]) -> Option<Message<'_>> {
    let (&field, rest) = body.split_first_chunk::<4>()?;
    let mut error = IcmpError::new(family, msg_type, code, field);
    let quote = if (family, msg_type) == (Family::V6, REDIRECT_V6) {
        let target: [u8; 16] = *body.get(redirect::TARGET..)?.first_chunk()?;
        error.detail = Detail::Gateway(Ipv6Addr::from(target).into());
        redirected(body.get(redirect::OPTIONS..)?)?
    } else {
        rest
    };
    Some(Message::Error { error, original: quoted_request(family, quote).ok()? })
}

/// The packet that a redirect quotes, without the padding of the option that it is in.
fn redirected(mut options: &[u8]) -> Option<&[u8]> {
    loop {
        let (&option_type, &length) = (options.first()?, options.get(1)?);
        // A length of zero is refused (RFC 4861 §4.6). An option may be cut short with its packet.
        let length = Some(usize::from(length) * redirect::UNIT).filter(|&length| length > 0)?;
        if option_type == redirect::REDIRECTED {
            let quote = options.get(redirect::REDIRECTED_HEADER..length.min(options.len()))?;
            let payload = usize::from(u16_at(quote, ipv6::PAYLOAD_LENGTH).ok()?);
            return Some(&quote[..quote.len().min(ipv6::HEADER + payload)]);
        }
        options = options.get(length..)?;
    }
}

/// How long the body of an error is.
fn error_len(error: &IcmpError, original: &Original) -> usize {
    let quote = quoted_header(error.family) + HEADER + original.echo.data.len();
    match (error.family, error.msg_type) {
        (Family::V6, REDIRECT_V6) => {
            redirect::OPTIONS + (redirect::REDIRECTED_HEADER + quote).next_multiple_of(redirect::UNIT)
        }
        _ => 4 + quote,
    }
}

/// Writes what follows the common header of an error; `body` has the right length.
fn emit_error(family: Family, error: &IcmpError, original: &Original, body: &mut [u8]) -> Option<()> {
    let is_error = IcmpError::is_error(family, error.msg_type);
    let quote = quoted_header(family) + HEADER + original.echo.data.len();
    body.fill(0);
    *body.first_chunk_mut()? = error.field().filter(|_| is_error && error.family == family)?;
    if (family, error.msg_type) != (Family::V6, REDIRECT_V6) {
        return emit_quote(family, original, body.get_mut(4..)?);
    }
    let Detail::Gateway(IpAddr::V6(gateway)) = error.detail else { return None };
    *body.get_mut(redirect::TARGET..)?.first_chunk_mut()? = gateway.octets();
    let option = body.get_mut(redirect::OPTIONS..)?;
    let units = u8::try_from(option.len() / redirect::UNIT).ok()?;
    *option.first_chunk_mut()? = [redirect::REDIRECTED, units];
    emit_quote(family, original, option.get_mut(redirect::REDIRECTED_HEADER..)?.get_mut(..quote)?)
}

/// The request in the packet that an ICMP error quotes. Its checksum is not checked: RFC 792
/// promises only the first 8 bytes of the message, so there is often nothing to check it over.
fn quoted_request(family: Family, packet: &[u8]) -> Result<Original<'_>, Malformed> {
    let (header, destination) = match family {
        Family::V4 => {
            if u16_at(packet, ipv4::FRAGMENT)? & ipv4::OFFSET_MASK != 0 {
                return Err(Malformed); // a later fragment has no ICMP header
            }
            let octets: [u8; 4] = *array_at(packet, ipv4::DESTINATION)?;
            (ipv4_header_len(packet)?, IpAddr::from(Ipv4Addr::from(octets)))
        }
        Family::V6 => {
            let octets: [u8; 16] = *array_at(packet, ipv6::DESTINATION)?;
            (ipv6_header_len(packet)?, IpAddr::from(Ipv6Addr::from(octets)))
        }
    };
    let message = packet.get(header..).ok_or(Malformed)?;
    match message.split_first_chunk::<COMMON_HEADER>() {
        Some((&[msg_type, ..], body)) => {
            let kind = request_kind(family, msg_type).ok_or(Malformed)?;
            Ok(Original { destination, kind, echo: Echo::parse(body)? })
        }
        None => Err(Malformed),
    }
}

/// Which query a message of this type asks.
fn request_kind(family: Family, msg_type: u8) -> Option<ProbeKind> {
    match Query::kind_of(msg_type).filter(|_| family == Family::V4) {
        _ if msg_type == ECHO_REQUEST[family] => Some(ProbeKind::Echo),
        Some((kind, true)) => Some(kind),
        _ => None,
    }
}

/// The length of the IPv6 header at the start of `packet`, with the Fragment header of a first
/// fragment, if what follows it is ICMPv6.
fn ipv6_header_len(packet: &[u8]) -> Result<usize, Malformed> {
    match packet.get(ipv6::NEXT_HEADER) {
        Some(&ipv6::ICMPV6) => Ok(ipv6::HEADER),
        Some(&ipv6::FRAGMENT) => {
            let fragment = packet.get(ipv6::HEADER..).ok_or(Malformed)?;
            let is_first = u16_at(fragment, ipv6::FRAGMENT_OFFSET)? & ipv6::OFFSET_MASK == 0;
            let is_icmp = fragment.first() == Some(&ipv6::ICMPV6);
            if is_first && is_icmp { Ok(ipv6::HEADER + ipv6::FRAGMENT_HEADER) } else { Err(Malformed) }
        }
        _ => Err(Malformed),
    }
}

fn quoted_header(family: Family) -> usize {
    match family {
        Family::V4 => ipv4::MIN_HEADER,
        Family::V6 => ipv6::HEADER,
    }
}

fn emit_quote(family: Family, original: &Original, out: &mut [u8]) -> Option<()> {
    let total = u16::try_from(out.len()).ok()?;
    let (header, message) = out.split_at_mut_checked(quoted_header(family))?;
    header.fill(0);
    match (family, original.destination) {
        (Family::V4, IpAddr::V4(destination)) => {
            *header.first_mut()? = 0x45;
            *header.get_mut(ipv4::TOTAL_LENGTH..)?.first_chunk_mut()? = total.to_be_bytes();
            *header.get_mut(ipv4::TTL)? = 1;
            *header.get_mut(ipv4::PROTOCOL)? = ipv4::ICMP;
            *header.get_mut(ipv4::DESTINATION..)?.first_chunk_mut()? = destination.octets();
        }
        (Family::V6, IpAddr::V6(destination)) => {
            let payload = total - ipv6::HEADER as u16;
            *header.first_mut()? = 0x60;
            *header.get_mut(ipv6::PAYLOAD_LENGTH..)?.first_chunk_mut()? = payload.to_be_bytes();
            *header.get_mut(ipv6::NEXT_HEADER)? = ipv6::ICMPV6;
            *header.get_mut(ipv6::DESTINATION..)?.first_chunk_mut()? = destination.octets();
        }
        _ => return None,
    }
    Message::Request(original.echo).emit(family, message)?;
    if let Some([request, _]) = Query::types(original.kind).filter(|_| family == Family::V4) {
        // Its checksum is not checked by those who read quotes.
        *message.first_mut()? = request;
    }
    Some(())
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Result<&[u8; N], Malformed> {
    bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(Malformed)
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, Malformed> {
    array_at(bytes, at).map(|field| u16::from_be_bytes(*field))
}
