//! Raw sockets: all that is done with privilege, and what has to be looked at before.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV6, UdpSocket};

use nix::libc;
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::cli::Source;
use crate::error::Error;
use crate::privilege::Privileged;
use crate::wire::Family;

/// Room for replies that wait to be read, in bytes. The kernel accounts for more than a reply's own length (832 bytes for a
/// small one on a virtual device; real ones may take more), and doubles the figure to make up for it.
const BUFFER_OF_ROOT: usize = 32 << 20;
const BUFFER_OF_OTHERS: usize = 4 << 20;

/// A port for questions about an address: nothing is sent to it (RFC 863).
pub(super) const DISCARD: u16 = 9;

/// An address to send from that this machine may have: not a group, with its interface looked up.
#[derive(Clone, Copy, Debug)]
pub struct Origin(pub(super) SocketAddr);

impl Origin {
    /// Looks at an address as closely as is possible without privilege. The kernel binds to broadcast addresses without
    /// a murmur, but it does not let a UDP socket connect to one, which sends nothing.
    pub fn check(source: &Source) -> Result<Self, Error> {
        let address = match (source.ip, &source.zone) {
            (IpAddr::V6(ip), Some(zone)) => {
                let zone = interface(zone)
                    .ok_or(Error::BadSource(source.to_string().as_bytes().into(), "no such interface"))?;
                SocketAddrV6::new(ip, 0, 0, zone).into()
            }
            (ip, _) => SocketAddr::new(ip, 0),
        };
        if address.is_ipv4() {
            let connected =
                UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|udp| udp.connect((source.ip, DISCARD)));
            if connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied) {
                return Err(Error::BadSource(source.to_string().as_bytes().into(), "a broadcast address"));
            }
        }
        Ok(Origin(address))
    }

    pub(super) fn refused(self, error: io::Error) -> Error {
        Error::SourceRefused(self.0, error)
    }
}

/// What opening a family's socket came to.
pub(super) enum Opened {
    NotWanted,
    Raw(Socket),
    Refused(io::Error),
}

/// Raw sockets, opened and bound; nothing has been sent or read yet.
pub struct RawSockets {
    pub(super) opened: [Opened; 2],
    pub(super) origins: [Option<Origin>; 2],
    pub(super) buffer: usize,
}

impl RawSockets {
    /// Opens one raw socket for each family wanted. A family that is refused is not yet lost: see [`super::Link::new`].
    /// The receive buffer depends on nothing but whether the caller is real root.
    pub fn open(
        _: &Privileged,
        only: Option<Family>,
        origins: [Option<Origin>; 2],
        caller_is_root: bool,
    ) -> Result<Self, Error> {
        let buffer = if caller_is_root { BUFFER_OF_ROOT } else { BUFFER_OF_OTHERS };
        let mut opened = [Opened::NotWanted, Opened::NotWanted];
        for family in Family::BOTH.into_iter().filter(|&family| only.is_none_or(|only| only == family)) {
            opened[family.index()] = match open_icmp(family, Type::RAW) {
                Ok(socket) => {
                    // Forcing needs NET_ADMIN; without it `Port::listen` asks within the system's limit.
                    let _ = setsockopt(&socket, sockopt::RcvBufForce, &buffer);
                    if let Some(origin) = origins[family.index()] {
                        bind(&socket, origin.0).map_err(|error| origin.refused(error))?;
                    }
                    Opened::Raw(socket)
                }
                Err(error) => Opened::Refused(error),
            };
        }
        Ok(RawSockets { opened, origins, buffer })
    }
}

/// A socket for ICMP of `family`, raw or not.
pub(super) fn open_icmp(family: Family, kind: Type) -> io::Result<Socket> {
    open(family, kind, if family == Family::V4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 })
}

pub(super) fn open(family: Family, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, kind.nonblocking().cloexec(), Some(protocol))
}

pub(super) fn bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.bind(&SockAddr::from(address))
}

/// The index of the interface with this name or number, if there is one. A number has one spelling, and so has a name: the
/// kernel does not look at what follows a colon (an alias, once), nor musl at more than a name can be long.
pub fn interface(zone: &str) -> Option<u32> {
    if zone.contains(':') || zone.len() >= libc::IFNAMSIZ {
        return None;
    }
    if_nametoindex(zone).ok().or_else(|| {
        let index = zone.parse().ok().filter(|index: &u32| index.to_string() == zone)?;
        if_indextoname(index).ok().map(|_| index)
    })
}
