//! ICMP errors: which types they are, what they are called, and the fields that some of them have.
//!
//! The names are for programs, in lower case and with hyphens; the texts are for people, in the
//! words of ping(8). A type and code that the RFCs at the tables do not assign are named by their
//! numbers.

use std::fmt::{self, Display, Formatter};
use std::net::IpAddr;

use crate::address::{Family, PerFamily};

/// An ICMP error, without the packet that it quotes.
///
/// ```
/// use multiping::{Detail, Family, IcmpError};
///
/// let error = IcmpError::named(Family::V4, 3, 4).map(|error| error.with_detail(Detail::Mtu(1_400)));
/// let error = error.ok_or("not an error")?;
/// assert_eq!(error.to_string(), "frag needed and DF set (MTU 1400)");
/// assert_eq!((error.name().to_string(), error.mtu()), ("fragmentation-needed".to_owned(), Some(1_400)));
/// # Ok::<_, &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IcmpError {
    /// The version of ICMP.
    pub family: Family,
    /// The type field.
    pub msg_type: u8,
    /// The code field, which says more.
    pub code: u8,
    /// What else it tells.
    pub detail: Detail,
}

/// The field that follows the checksum of an ICMP error, where its type has a use for it.
///
/// ```
/// use multiping::{Detail, Family, IcmpError};
///
/// // Destination Host Unreachable tells nothing more.
/// let error = IcmpError::named(Family::V4, 3, 1);
/// assert_eq!(error.map(|error| error.detail), Some(Detail::None));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detail {
    /// Nothing, or nothing that a router filled in.
    None,
    /// The MTU of the link that the packet is too big for (RFC 1191 §4, RFC 4443 §3.2).
    Mtu(u32),
    /// The offset of the byte that is wrong (RFC 792 page 8, RFC 4443 §3.4).
    Pointer(u32),
    /// The better gateway (RFC 792 page 12, RFC 4861 §4.5).
    Gateway(IpAddr),
}

/// ICMPv6 Redirect (RFC 4861 §4.5), whose quote is in an option.
pub(crate) const REDIRECT_V6: u8 = 137;

/// The types that are errors. What is quoted follows 4 bytes after the checksum, except in
/// ICMPv6 Redirect.
pub const ERRORS: PerFamily<&[u8]> = PerFamily { v4: &[3, 5, 11, 12], v6: &[1, 2, 3, 4, REDIRECT_V6] };

impl IcmpError {
    /// Whether messages of this type are errors. ICMPv4 Source Quench is not: RFC 6633 has it
    /// ignored.
    pub fn is_error(family: Family, msg_type: u8) -> bool {
        ERRORS[family].contains(&msg_type)
    }

    /// Whether the packet was dropped for it, as for all errors but redirects.
    pub fn is_failure(&self) -> bool {
        !matches!((self.family, self.msg_type), (Family::V4, 5) | (Family::V6, REDIRECT_V6))
    }

    /// The error of this type and code, of which nothing else is known; `None`: it is no error.
    pub fn named(family: Family, msg_type: u8, code: u8) -> Option<Self> {
        let error = IcmpError { family, msg_type, code, detail: Detail::None };
        Self::is_error(family, msg_type).then_some(error)
    }

    /// The same error with the field that follows the checksum.
    pub fn with_detail(self, detail: Detail) -> Self {
        IcmpError { detail, ..self }
    }

    /// Reads the four bytes behind the checksum.
    pub(super) fn new(family: Family, msg_type: u8, code: u8, field: [u8; 4]) -> Self {
        let [.., high, low] = field;
        let word = u32::from_be_bytes(field);
        let detail = match (family, msg_type, code) {
            (Family::V4, 3, 4) => match u16::from_be_bytes([high, low]) {
                // Routers older than RFC 1191 leave it zero.
                0 => Detail::None,
                mtu => Detail::Mtu(mtu.into()),
            },
            (Family::V4, 5, _) => Detail::Gateway(field.into()),
            (Family::V4, 12, 0) => Detail::Pointer(field[0].into()),
            (Family::V6, 2, _) => Detail::Mtu(word),
            (Family::V6, 4, _) => Detail::Pointer(word),
            _ => Detail::None,
        };
        IcmpError { family, msg_type, code, detail }
    }

    /// The four bytes behind the checksum. `None`: no message can carry this detail.
    pub(super) fn field(&self) -> Option<[u8; 4]> {
        let field = match self.detail {
            Detail::Mtu(mtu) if self.family == Family::V4 => u32::from(u16::try_from(mtu).ok()?).to_be_bytes(),
            Detail::Pointer(pointer) if self.family == Family::V4 => [u8::try_from(pointer).ok()?, 0, 0, 0],
            Detail::Mtu(word) | Detail::Pointer(word) => word.to_be_bytes(),
            Detail::Gateway(IpAddr::V4(gateway)) => gateway.octets(),
            Detail::None | Detail::Gateway(IpAddr::V6(_)) => [0; 4],
        };
        let read = IcmpError::new(self.family, self.msg_type, self.code, field);
        (read == *self || self.msg_type == REDIRECT_V6).then_some(field)
    }

    /// The MTU that it names.
    pub fn mtu(&self) -> Option<u32> {
        if let Detail::Mtu(mtu) = self.detail { Some(mtu) } else { None }
    }

    /// The offset of the wrong byte that it names.
    pub fn pointer(&self) -> Option<u32> {
        if let Detail::Pointer(pointer) = self.detail { Some(pointer) } else { None }
    }

    /// The better gateway that it names.
    pub fn gateway(&self) -> Option<IpAddr> {
        if let Detail::Gateway(gateway) = self.detail { Some(gateway) } else { None }
    }

    /// Its name for programs.
    pub fn name(&self) -> impl Display + use<> {
        Name(*self)
    }

    /// Name and text; `None`: the numbers are not assigned.
    fn words(&self) -> Option<(&'static str, &'static str)> {
        let rows = match self.family {
            Family::V4 => WORDS_V4,
            Family::V6 => WORDS_V6,
        };
        let row = rows.iter().find(|row| (row.0, row.1) == (self.msg_type, self.code));
        row.map(|&(_, _, name, text)| (name, text))
    }
}

struct Name(IcmpError);

impl Display for Name {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.words() {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "type-{}-code-{}", self.0.msg_type, self.0.code),
        }
    }
}

impl Display for IcmpError {
    /// The text for people.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some((_, text)) => f.write_str(text)?,
            None => write!(f, "ICMP type {} code {}", self.msg_type, self.code)?,
        }
        match self.detail {
            Detail::None => Ok(()),
            Detail::Mtu(mtu) => write!(f, " (MTU {mtu})"),
            Detail::Pointer(pointer) => write!(f, " (byte {pointer})"),
            Detail::Gateway(gateway) => write!(f, " (new gateway {gateway})"),
        }
    }
}

/// Type, code, name and text.
type Row = (u8, u8, &'static str, &'static str);

/// RFC 792, RFC 1122 §3.2.2.1 and RFC 1812 §5.2.7.
const WORDS_V4: &[Row] = &[
    (3, 0, "net-unreachable", "Destination Net Unreachable"),
    (3, 1, "host-unreachable", "Destination Host Unreachable"),
    (3, 2, "protocol-unreachable", "Destination Protocol Unreachable"),
    (3, 3, "port-unreachable", "Destination Port Unreachable"),
    (3, 4, "fragmentation-needed", "frag needed and DF set"),
    (3, 5, "source-route-failed", "Source Route Failed"),
    (3, 6, "net-unknown", "Destination Net Unknown"),
    (3, 7, "host-unknown", "Destination Host Unknown"),
    (3, 8, "source-host-isolated", "Source Host Isolated"),
    (3, 9, "net-prohibited", "Destination Net Administratively Prohibited"),
    (3, 10, "host-prohibited", "Destination Host Administratively Prohibited"),
    (3, 11, "net-tos", "Destination Net Unreachable for Type Of Service"),
    (3, 12, "host-tos", "Destination Host Unreachable for Type Of Service"),
    (3, 13, "admin-prohibited", "Communication Administratively Prohibited"),
    (3, 14, "host-precedence", "Host Precedence Violation"),
    (3, 15, "precedence-cutoff", "Precedence Cutoff in Effect"),
    (5, 0, "redirect-net", "Redirect Network"),
    (5, 1, "redirect-host", "Redirect Host"),
    (5, 2, "redirect-tos-net", "Redirect Type Of Service and Network"),
    (5, 3, "redirect-tos-host", "Redirect Type Of Service and Host"),
    (11, 0, "ttl-exceeded", "Time to live exceeded"),
    (11, 1, "reassembly-timeout", "Fragment reassembly time exceeded"),
    (12, 0, "bad-header", "Parameter problem"),
    (12, 1, "option-missing", "Parameter problem: required option missing"),
    (12, 2, "bad-length", "Parameter problem: bad length"),
];

/// RFC 4443 §3, RFC 6554 §4.2 (type 1, code 7) and RFC 4861 §4.5.
const WORDS_V6: &[Row] = &[
    (1, 0, "no-route", "No Route to Destination"),
    (1, 1, "admin-prohibited", "Destination Administratively Prohibited"),
    (1, 2, "beyond-scope", "Destination Beyond Scope of Source Address"),
    (1, 3, "address-unreachable", "Destination Host Unreachable"),
    (1, 4, "port-unreachable", "Destination Port Unreachable"),
    (1, 5, "policy-failed", "Source Address Failed Policy"),
    (1, 6, "reject-route", "Reject Route to Destination"),
    (1, 7, "source-route-error", "Error in Source Routing Header"),
    (2, 0, "packet-too-big", "Packet Too Big"),
    (3, 0, "hop-limit-exceeded", "Time to live exceeded"),
    (3, 1, "reassembly-timeout", "Fragment reassembly time exceeded"),
    (4, 0, "bad-header", "Parameter problem"),
    (4, 1, "unknown-next-header", "Parameter problem: unknown next header"),
    (4, 2, "unknown-option", "Parameter problem: unknown option"),
    (REDIRECT_V6, 0, "redirect", "Redirect"),
];
