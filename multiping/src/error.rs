//! What can go wrong with the sockets.

use std::fmt::{self, Display, Formatter};
use std::io;

use crate::address::Address;
use crate::alloc::OutOfMemory;

/// Why the sockets cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// Neither raw sockets nor ICMP datagram sockets are allowed.
    Permission(io::Error),
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
}

impl Display for SocketOption {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SocketOption::Interface => "interface",
            SocketOption::Ttl => "TTL",
            SocketOption::Tos => "TOS",
            SocketOption::DontFragment => "Don't Fragment",
        })
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Error::Permission(_) => f.write_str("no permission to open ICMP sockets"),
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
            | Error::Source { source, .. }
            | Error::Option { source, .. }
            | Error::System { source, .. } => Some(source),
            Error::Memory(_) => None,
        }
    }
}

impl From<OutOfMemory> for Error {
    fn from(error: OutOfMemory) -> Self {
        Error::Memory(error)
    }
}
