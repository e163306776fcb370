//! What can go wrong on this machine.

use std::fmt::{self, Display, Formatter};
use std::io;

use crate::address::Address;
use crate::alloc::OutOfMemory;

/// What can go wrong on this machine. Nothing that a target does is an error.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Address, Error, Options, ping};
///
/// let options = Options::new().timeout(Duration::ZERO);
/// let refused = ping([Address::from([127, 0, 0, 1])], &options);
/// assert!(matches!(refused, Err(Error::OutOfRange { what: "timeout" })));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Neither raw sockets nor ICMP datagram sockets are allowed.
    Permission(io::Error),
    /// Sockets were refused for another reason than that.
    NoSocket(io::Error),
    /// This machine has no such family of addresses.
    NoFamily(io::Error),
    /// What was brought is not one ICMP socket of each family, raw or datagram.
    NotIcmp,
    /// The sockets that were opened early, or brought, are in use by another run.
    InUse,
    /// A value is out of its documented range.
    OutOfRange {
        /// Which value.
        what: &'static str,
    },
    /// A name has no address.
    Resolve {
        /// The name.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// The thread is gone: its callback panicked, or this is another process, after a fork.
    Closed,
    /// The kernel refused to bind to the source address.
    Source {
        /// The source address.
        address: Address,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused an option that was asked for.
    Option {
        /// Which option.
        option: SocketOption,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A system call failed that should not.
    System {
        /// What it was for.
        what: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// There is no memory.
    Memory(OutOfMemory),
}

/// An option of the sockets.
///
/// ```
/// assert_eq!(multiping::SocketOption::Mark.to_string(), "firewall mark");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SocketOption {
    /// The interface to send and receive on.
    Interface,
    /// Time To Live, or Hop Limit.
    Ttl,
    /// Type Of Service, or Traffic Class.
    Tos,
    /// Don't Fragment.
    DontFragment,
    /// The firewall mark.
    Mark,
    /// Whether packets pass by the routing tables.
    DontRoute,
    /// Whether routers record their addresses.
    RecordRoute,
    /// Time To Live, or Hop Limit, of multicast packets.
    MulticastTtl,
    /// The interface of multicast packets.
    MulticastInterface,
    /// Whether multicast packets are received on this machine.
    MulticastLoop,
}

impl Display for SocketOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketOption::Interface => "interface",
            SocketOption::Ttl => "TTL",
            SocketOption::Tos => "TOS",
            SocketOption::DontFragment => "Don't Fragment",
            SocketOption::Mark => "firewall mark",
            SocketOption::DontRoute => "Don't Route",
            SocketOption::RecordRoute => "Record Route",
            SocketOption::MulticastTtl => "multicast TTL",
            SocketOption::MulticastInterface => "multicast interface",
            SocketOption::MulticastLoop => "multicast loop",
        })
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::Permission(_) => f.write_str(
                "no permission to open ICMP sockets, which takes CAP_NET_RAW \
                 or a group in net.ipv4.ping_group_range",
            ),
            Error::NoSocket(_) => f.write_str("cannot open ICMP sockets"),
            Error::NoFamily(_) => f.write_str("this machine lacks the family of the address"),
            Error::NotIcmp => f.write_str("not one ICMP socket of each family"),
            Error::InUse => f.write_str("the sockets are in use by another run"),
            Error::OutOfRange { what } => write!(f, "{what} is out of range"),
            Error::Resolve { name, .. } => write!(f, "cannot resolve {name:?}"),
            Error::Closed => f.write_str("the pinger is closed"),
            Error::Source { address, .. } => write!(f, "cannot send from {address}"),
            Error::Option { option, .. } => write!(f, "cannot set the socket option {option}"),
            Error::System { what, .. } => write!(f, "{what} failed"),
            Error::Memory(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Permission(source)
            | Error::NoSocket(source)
            | Error::NoFamily(source)
            | Error::Resolve { source, .. }
            | Error::Source { source, .. }
            | Error::Option { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::Memory(_) | Error::NotIcmp | Error::InUse | Error::OutOfRange { .. } | Error::Closed => None,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(error: OutOfMemory) -> Self {
        Error::Memory(error)
    }
}
