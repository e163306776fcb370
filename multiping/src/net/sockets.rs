//! Sockets: opened and bound, which is all that needs privilege.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::address::{Address, Family, PerFamily};
use crate::error::{Error, SocketOption};
use crate::plan::IcmpErrors;

/// What is asked of the sockets.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which families to open.
    pub families: PerFamily<bool>,
    /// The addresses to send from.
    pub sources: PerFamily<Option<Address>>,
    /// The only interface to send and receive on, by name.
    pub interface: Option<String>,
    /// The interface to send by, by its index; replies may come by any.
    pub outgoing_interface: Option<u32>,
    /// The firewall mark of what is sent (SO_MARK), which takes privilege.
    pub mark: Option<u32>,
    /// The size of each receive buffer, in bytes. The kernel accounts for more than a reply's own
    /// length (832 bytes for a small one on a virtual device), and doubles the size to make up for
    /// it.
    pub receive_buffer: usize,
    /// Whether broadcast addresses may be probed.
    pub broadcast: bool,
    /// Which ICMP errors are received.
    pub icmp_errors: IcmpErrors,
    /// Whether an ICMP datagram socket is better than a raw one for IPv4, where the system allows it.
    /// Each raw socket of this machine gets a copy of each reply, and its filter drops those of
    /// others; a datagram socket gets its own, which makes several at once faster. Not for IPv6:
    /// there the kernel returns success for what it drops, for lack of buffers or because a rule
    /// forbids it (ping_v6_sendmsg in net/ipv6/ping.c).
    pub prefers_datagram: bool,
}

/// What opening a family's socket came to.
pub(super) enum Opened {
    Excluded,
    Raw(Socket),
    Datagram(Socket),
    Refused(io::Error),
}

/// Sockets, opened and bound; nothing has been sent or read yet.
pub struct OpenedSockets {
    pub(super) opened: PerFamily<Opened>,
    pub(super) config: Config,
}

impl OpenedSockets {
    /// Opens one socket for each family, a raw one if nothing else is preferred. A family that is
    /// refused is not yet lost: see [`super::Link::new`].
    pub fn open(config: Config) -> Result<Self, Error> {
        let mut opened = PerFamily { v4: Opened::Excluded, v6: Opened::Excluded };
        for family in Family::BOTH.into_iter().filter(|&family| config.families[family]) {
            let prefers_datagram = config.prefers_datagram && family == Family::V4;
            let datagram = if prefers_datagram { open_icmp(family, Type::DGRAM).ok() } else { None };
            opened[family] = match datagram {
                Some(socket) => Opened::Datagram(socket),
                None => open_icmp(family, Type::RAW).map_or_else(Opened::Refused, Opened::Raw),
            };
            if let Opened::Raw(socket) | Opened::Datagram(socket) = &opened[family] {
                // Forcing needs NET_ADMIN; without it `listen` asks within the system's limit.
                let _ = setsockopt(socket, sockopt::RcvBufForce, &config.receive_buffer);
                mark(socket, &config)?;
                if let Some(source) = config.sources[family] {
                    bind(socket, source).map_err(|error| Error::Source { address: source, source: error })?;
                }
            }
        }
        Ok(OpenedSockets { opened, config })
    }
}

/// Sets the mark that is asked for.
pub(super) fn mark(socket: &Socket, config: &Config) -> Result<(), Error> {
    let set = config.mark.map_or(Ok(()), |mark| socket.set_mark(mark));
    set.map_err(|source| Error::Option { option: SocketOption::Mark, source })
}

/// A socket for ICMP of `family`, raw or not.
pub(super) fn open_icmp(family: Family, socket_type: Type) -> io::Result<Socket> {
    open(family, socket_type, if family == Family::V4 { Protocol::ICMPV4 } else { Protocol::ICMPV6 })
}

pub(super) fn open(family: Family, socket_type: Type, protocol: Protocol) -> io::Result<Socket> {
    let domain = if family == Family::V4 { Domain::IPV4 } else { Domain::IPV6 };
    Socket::new(domain, socket_type.nonblocking().cloexec(), Some(protocol))
}

pub(super) fn bind(socket: &Socket, address: Address) -> io::Result<()> {
    socket.bind(&SockAddr::from(socket_address(address, 0)))
}

/// An address with a port, and its zone as the scope.
pub(super) fn socket_address(address: Address, port: u16) -> SocketAddr {
    match address {
        Address::V4(ip) => SocketAddrV4::new(ip, port).into(),
        Address::V6(ip, zone) => SocketAddrV6::new(ip, port, 0, zone).into(),
    }
}
