//! What the IP header of a packet that arrives says.

use std::net::IpAddr;

use nix::sys::socket::ControlMessageOwned;

use crate::wire;

/// The fields that are of interest, as far as they are known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Headers {
    /// TTL or Hop Limit.
    pub(super) ttl: Option<u8>,
    /// Type Of Service or Traffic Class.
    pub(super) tos: Option<u8>,
    /// The destination.
    pub(super) to: Option<IpAddr>,
}

impl Headers {
    /// Those of an IPv4 packet as a raw socket delivers it.
    pub(super) fn of_ipv4(packet: &[u8]) -> Self {
        let to = wire::ipv4_destination(packet).map(IpAddr::V4);
        Headers { ttl: wire::ipv4_ttl(packet), tos: wire::ipv4_tos(packet), to }
    }

    /// Adds what came beside a packet.
    pub(super) fn add(&mut self, message: &ControlMessageOwned) {
        match *message {
            ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                self.ttl = u8::try_from(hops).ok();
            }
            ControlMessageOwned::Ipv4Tos(tos) => self.tos = Some(tos),
            ControlMessageOwned::Ipv6TClass(class) => self.tos = u8::try_from(class).ok(),
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                self.to = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => self.to = Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => {}
        }
    }
}
