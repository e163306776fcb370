//! Why a line of the list, an operand, or a range of addresses is rejected.

use std::fmt::{self, Display, Formatter};

/// Why a line or an operand is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reject {
    /// Neither a dotted quad nor an IPv6 address.
    NotAnAddress,
    /// Nor a host name, where names are accepted.
    NotAHost,
    /// An IPv6 address with a dotted quad inside: usually two joined lines.
    DottedTail,
    /// IPv4-mapped (::ffff:0:0/96).
    Mapped,
    /// 0.0.0.0 or ::, which the kernel sends to itself.
    Unspecified,
    /// A multicast address, which ordinary users may probe in runs with statistics only.
    Multicast,
    /// A broadcast address, which ordinary users may not probe.
    Broadcast,
    /// Link-local without a zone.
    NeedsZone,
    /// A zone on an address that has none.
    UnwantedZone,
    /// A zone that names no interface of this machine.
    NoSuchZone,
    /// An address of this family, which was excluded by this option.
    ExcludedFamily(&'static str, &'static str),
    /// More bytes than a line may have.
    TooLong,
    /// A NUL byte.
    Nul,
    /// An empty operand.
    Empty,
    /// A name without an address.
    Unresolved(Unresolved),
}

/// Why a name has no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// There is no such name, or it has no address.
    Unknown,
    /// It has addresses, but none of the only family asked for.
    NoneOf(&'static str),
    /// The resolver failed, and may not the next time.
    Temporary,
    /// There was no answer in time.
    Late,
}

impl Unresolved {
    /// Whether the fault may be this machine's.
    pub fn is_temporary(self) -> bool {
        matches!(self, Unresolved::Temporary | Unresolved::Late)
    }
}

impl From<Unresolved> for Reject {
    fn from(why: Unresolved) -> Self {
        Reject::Unresolved(why)
    }
}

impl Display for Unresolved {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Unresolved::Unknown => f.write_str("the name has no address"),
            Unresolved::NoneOf(family) => write!(f, "the name has no {family} address"),
            Unresolved::Temporary => f.write_str("temporary failure in name resolution"),
            Unresolved::Late => f.write_str("no answer from the resolver in time"),
        }
    }
}

impl Display for Reject {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Reject::NotAnAddress => f.write_str("not an IP address"),
            Reject::NotAHost => f.write_str("neither an IP address nor a host name"),
            Reject::DottedTail => f.write_str("not an IP address; two lines run together, or a port?"),
            Reject::Mapped => f.write_str("an IPv4-mapped address; write it as IPv4"),
            Reject::Unspecified => f.write_str("the unspecified address"),
            Reject::Multicast => f.write_str("a multicast address, for root only without --count or --loop"),
            Reject::Broadcast => f.write_str("a broadcast address, for root only"),
            Reject::NeedsZone => f.write_str("a link-local address needs its interface, as in fe80::1%eth0"),
            Reject::UnwantedZone => f.write_str("only link-local addresses have an interface"),
            Reject::NoSuchZone => f.write_str("no such interface"),
            Reject::ExcludedFamily(family, option) => write!(f, "an {family} address, excluded by {option}"),
            Reject::TooLong => f.write_str("line too long"),
            Reject::Nul => f.write_str("a NUL byte"),
            Reject::Empty => f.write_str("empty"),
            Reject::Unresolved(why) => write!(f, "unresolved: {why}"),
        }
    }
}

/// Why no addresses can be made of a network or range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRange {
    /// Neither `NETWORK/BITS` nor `FROM-TO`.
    Syntax,
    /// More bits than an address of the family has, which are this many; or no number.
    Bits(u32),
    /// The ends are of two families, or of two zones.
    Unlike,
    /// The last address is lower than the first.
    Descending,
    /// More addresses than the caller may generate, which are this many.
    TooMany(usize),
    /// The first or the last address is rejected.
    End(Reject),
}

impl Display for BadRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            BadRange::Syntax => f.write_str("not a network or a range of addresses"),
            BadRange::Bits(width) => write!(f, "not 0 to {width} bits"),
            BadRange::Unlike => f.write_str("two families or two interfaces"),
            BadRange::Descending => f.write_str("ends before it begins"),
            BadRange::TooMany(limit) => write!(f, "more than {limit} addresses"),
            BadRange::End(reject) => reject.fmt(f),
        }
    }
}
