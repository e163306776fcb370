//! This machine's interfaces, addresses and routes, as far as they tell whose fault silence is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::libc;
use nix::net::if_::{InterfaceFlags, if_indextoname, if_nametoindex};
use nix::sys::socket::{MsgFlags, SockaddrStorage, sendto};
use socket2::{Protocol, Socket, Type};

use crate::address::{Address, PerFamily};
use crate::net::sockets::{Config, bind, open};

/// A port for questions about an address: nothing is sent to it (RFC 863).
const DISCARD: u16 = 9;

/// From linux/socket.h; libc does not have it.
const MSG_PROBE: libc::c_int = 0x10;

/// What is known of the ways out of this machine.
#[derive(Default)]
pub(super) struct Routes {
    local_addresses: Vec<IpAddr>,
    /// Whether no interface that probes can leave by had a carrier.
    no_carrier: bool,
    /// UDP sockets that never send, to ask the kernel for routes with.
    sockets: PerFamily<Option<Socket>>,
}

impl Routes {
    /// Checks the interfaces for carrier and opens the sockets that [`Self::has_route`] uses, for
    /// `families`.
    pub(super) fn look(config: &Config, families: PerFamily<bool>) -> Self {
        let interfaces: Vec<_> = interfaces().collect();
        let open_socket = |family| {
            let socket = open(family, Type::DGRAM, Protocol::UDP)?;
            if let Some(source) = config.sources[family] {
                bind(&socket, source)?;
            }
            if let Some(name) = &config.interface {
                socket.bind_device(Some(name.as_bytes()))?;
            }
            Ok::<_, io::Error>(socket)
        };
        Routes {
            local_addresses: interfaces.iter().filter_map(ip_of).collect(),
            no_carrier: have_no_carrier(&interfaces, config.interface.as_deref()),
            sockets: PerFamily::from_fn(|family| families[family].then(|| open_socket(family).ok()).flatten()),
        }
    }

    /// Whether `address` is another machine's.
    pub(super) fn is_remote(&self, address: Address) -> bool {
        let ip = address.ip();
        !ip.is_loopback() && !self.local_addresses.contains(&ip)
    }

    /// Whether packets to `address` would be lost on this machine, for lack of a carrier. The kernel
    /// accepts them all the same.
    pub(super) fn is_cut_off(&self, address: Address) -> bool {
        self.no_carrier && self.is_remote(address)
    }

    /// Whether the kernel has a route to `address` now. Nothing is sent: an empty message with these
    /// two flags goes no further than the look-up (linux/socket.h). Without a socket the answer is no.
    pub(super) fn has_route(&self, address: Address) -> bool {
        let flags = MsgFlags::from_bits_retain(libc::MSG_CONFIRM | MSG_PROBE);
        let peer = SockaddrStorage::from(socket_address(address, DISCARD));
        let ask = |socket: &Socket| sendto(socket.as_raw_fd(), &[], &peer, flags);
        self.sockets[address.family()].as_ref().is_some_and(|socket| ask(socket).is_ok())
    }
}

/// An address with a port, and its zone as the scope.
pub(super) fn socket_address(address: Address, port: u16) -> SocketAddr {
    match address {
        Address::V4(ip) => SocketAddrV4::new(ip, port).into(),
        Address::V6(ip, zone) => SocketAddrV6::new(ip, port, 0, zone).into(),
    }
}

/// Whether `ip` is a broadcast address of this machine's networks. The kernel lets raw sockets bind
/// to these, but does not let a UDP socket connect to one, which sends nothing.
pub fn is_broadcast(ip: Ipv4Addr) -> bool {
    let connected = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|udp| udp.connect((ip, DISCARD)));
    connected.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

/// The broadcast addresses of this machine's networks, configured or computed from the netmask
/// (RFC 1122 §3.2.1.3). Where they cannot be listed, the kernel still refuses to send to them:
/// that needs an option which only root's sockets are given.
pub fn broadcasts() -> Vec<Ipv4Addr> {
    let ip = |address: Option<SockaddrStorage>| Some(address?.as_sockaddr_in()?.ip());
    let of_interface = |interface: InterfaceAddress| {
        let computed = match (ip(interface.address), ip(interface.netmask)) {
            // Networks of one or two hosts have no broadcast address (RFC 3021).
            (Some(own), Some(mask)) if mask.to_bits().leading_ones() < 31 => Some(own | !mask),
            _ => None,
        };
        [ip(interface.broadcast), computed].into_iter().flatten()
    };
    interfaces().flat_map(of_interface).collect()
}

/// The index of the interface with this name or number, if there is one. A number has one spelling,
/// and so has a name: the kernel ignores what follows a colon (an alias, once), and musl what is
/// longer than a name can be.
pub fn interface(zone: &str) -> Option<u32> {
    if zone.contains(':') || zone.len() >= libc::IFNAMSIZ {
        return None;
    }
    if_nametoindex(zone).ok().or_else(|| {
        let index = zone.parse().ok().filter(|index: &u32| index.to_string() == zone)?;
        if_indextoname(index).ok().map(|_| index)
    })
}

fn ip_of(interface: &InterfaceAddress) -> Option<IpAddr> {
    let address = interface.address?;
    let v6 = || Some(address.as_sockaddr_in6()?.ip().into());
    address.as_sockaddr_in().map(|v4| v4.ip().into()).or_else(v6)
}

/// Whether all the interfaces that probes can leave by are without a carrier. The kernel accepts
/// packets for them all the same, and drops them. (By IFF_LOWER_UP: IFF_RUNNING is updated later, by
/// a worker.)
fn have_no_carrier(interfaces: &[InterfaceAddress], only: Option<&str>) -> bool {
    let outward = || {
        interfaces.iter().filter(|interface| {
            interface.flags.contains(InterfaceFlags::IFF_UP)
                && !interface.flags.contains(InterfaceFlags::IFF_LOOPBACK)
                && only.is_none_or(|name| name == interface.interface_name)
        })
    };
    outward().any(|interface| ip_of(interface).is_some())
        && !outward().any(|interface| interface.flags.contains(InterfaceFlags::IFF_LOWER_UP))
}

fn interfaces() -> impl Iterator<Item = InterfaceAddress> {
    getifaddrs().into_iter().flatten()
}
