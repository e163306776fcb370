//! The options of a family's socket, and of the packets that it sends.

use nix::libc::{self, c_int};
use nix::sys::socket::{setsockopt, sockopt};
use nix::{setsockopt_impl, sockopt_impl};

use crate::address::Family;
use crate::error::{Error, SocketOption};
use crate::net::multicast;
use crate::net::socket::FamilySocket;
use crate::net::sockets::Config;
use crate::plan::PacketOptions;
use crate::wire;

sockopt_impl!(
    /// Whether routers may fragment, and whether the kernel uses what it learnt of a path's MTU
    /// (ip(7)).
    MtuDiscover,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MTU_DISCOVER,
    c_int
);
sockopt_impl!(
    /// The same for IPv6 (ipv6(7)).
    MtuDiscoverV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_MTU_DISCOVER,
    c_int
);
sockopt_impl!(
    /// The interface by which packets leave that are bound to no device, by its index in network
    /// order (ip(7)).
    UnicastInterface,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_UNICAST_IF,
    u32
);
sockopt_impl!(
    /// The same for IPv6.
    UnicastInterfaceV6,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_UNICAST_IF,
    u32
);
sockopt_impl!(
    /// The options in the headers of IPv4 packets (ip(7)).
    IpOptions,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_OPTIONS,
    [u8; 40]
);
sockopt_impl!(
    /// Whether the Hop Limit of what arrives is returned (RFC 3542).
    RecvHopLimit,
    SetOnly,
    libc::IPPROTO_IPV6,
    libc::IPV6_RECVHOPLIMIT,
    bool
);

impl FamilySocket {
    /// Sets the options that the sockets and the packets are to have.
    pub(in crate::net) fn configure(&mut self, config: &Config, options: &PacketOptions) -> Result<(), Error> {
        let failed = |option| move |source| Error::Option { option, source };
        self.kind = options.kind();
        let socket = &self.socket;
        // Long before the first reply: the kernel turns its stamps on in a worker
        // (net_enable_timestamp in net/core/dev.c), and that takes its time on a busy machine. See
        // `is_urgent`.
        let stamps = setsockopt(socket, sockopt::ReceiveTimestampns, &true);
        self.no_timestamps = stamps.err();
        if config.broadcast {
            // Where it is refused, broadcast targets are refused as well.
            let _ = socket.set_broadcast(true);
        }
        if let Some(name) = &config.interface {
            socket.bind_device(Some(name.as_bytes())).map_err(failed(SocketOption::Interface))?;
        }
        if let Some(index) = config.outgoing_interface {
            let set = match self.family {
                Family::V4 => setsockopt(socket, UnicastInterface, &index.to_be()),
                Family::V6 => setsockopt(socket, UnicastInterfaceV6, &index.to_be()),
            };
            set.map_err(|errno| failed(SocketOption::Interface)(errno.into()))?;
        }
        if let Some(ttl) = options.ttl() {
            let set = match self.family {
                Family::V4 => socket.set_ttl_v4(ttl.into()),
                Family::V6 => socket.set_unicast_hops_v6(ttl.into()),
            };
            set.map_err(failed(SocketOption::Ttl))?;
        }
        if let Some(tos) = options.tos() {
            let set = match self.family {
                Family::V4 => socket.set_tos_v4(tos.into()),
                Family::V6 => socket.set_tclass_v6(tos.into()),
            };
            set.map_err(failed(SocketOption::Tos))?;
        }
        if options.dont_route() {
            let set = setsockopt(socket, sockopt::DontRoute, &true);
            set.map_err(|errno| failed(SocketOption::DontRoute)(errno.into()))?;
        }
        if options.record_route() && self.family == Family::V4 {
            let set = setsockopt(socket, IpOptions, &wire::RECORD_ROUTE_OPTIONS);
            set.map_err(|errno| failed(SocketOption::RecordRoute)(errno.into()))?;
            self.records_route = true;
        }
        multicast::configure(socket, self.family, options)?;
        // IP_PMTUDISC_PROBE sets Don't Fragment and ignores the path MTU that the kernel has learnt
        // from ICMP errors, so that each probe tries the path; only the interface's MTU limits it.
        // A probe of the default size fits every link, and with Don't Fragment the kernel need not
        // find it a unique Identification. Larger ones may be fragmented. (IPv6 packets by their
        // sender only: with either value the kernel does so once it has learnt the path MTU.)
        let small = options.size() <= PacketOptions::default().size();
        let discovery = if small || options.dont_fragment() { libc::IP_PMTUDISC_PROBE } else { libc::IP_PMTUDISC_DONT };
        let set = match self.family {
            Family::V4 => setsockopt(socket, MtuDiscover, &discovery),
            Family::V6 => setsockopt(socket, MtuDiscoverV6, &discovery),
        };
        match set {
            Err(errno) if options.dont_fragment() => Err(failed(SocketOption::DontFragment)(errno.into())),
            _ => Ok(()),
        }
    }

    /// Asks for the TTL or Hop Limit of each packet. With a raw IPv4 socket it is in the packet.
    /// Where the kernel refuses, it stays unknown.
    pub(in crate::net) fn receive_ttl(&mut self) {
        self.receives_headers |= match self.family {
            Family::V4 => self.datagram && setsockopt(&self.socket, sockopt::Ipv4RecvTtl, &true).is_ok(),
            Family::V6 => setsockopt(&self.socket, RecvHopLimit, &true).is_ok(),
        };
    }

    /// Asks for the Type Of Service or Traffic Class of each packet, likewise.
    pub(in crate::net) fn receive_tos(&mut self) {
        self.receives_headers |= match self.family {
            Family::V4 => self.datagram && setsockopt(&self.socket, sockopt::IpRecvTos, &true).is_ok(),
            Family::V6 => setsockopt(&self.socket, sockopt::Ipv6RecvTClass, &true).is_ok(),
        };
    }

    /// Asks for the destination of each packet, likewise.
    pub(in crate::net) fn receive_destination(&mut self) {
        self.receives_headers |= match self.family {
            Family::V4 => self.datagram && setsockopt(&self.socket, sockopt::Ipv4PacketInfo, &true).is_ok(),
            Family::V6 => setsockopt(&self.socket, sockopt::Ipv6RecvPacketInfo, &true).is_ok(),
        };
    }
}
