//! How packets to multicast groups are sent.

use std::io;

use nix::libc;
use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::Socket;

use crate::address::Family;
use crate::error::{Error, SocketOption};
use crate::plan::PacketOptions;

sockopt_impl!(
    /// The interface of multicast packets, by its index (ip(7)).
    MulticastInterface,
    SetOnly,
    libc::IPPROTO_IP,
    libc::IP_MULTICAST_IF,
    libc::ip_mreqn
);

/// Sets the options that concern groups, as far as they are asked for.
pub(super) fn configure(socket: &Socket, family: Family, options: &PacketOptions) -> Result<(), Error> {
    let failed = |option| move |source| Error::Option { option, source };
    if let Some(ttl) = options.multicast_ttl() {
        let set = match family {
            Family::V4 => socket.set_multicast_ttl_v4(ttl.into()),
            Family::V6 => socket.set_multicast_hops_v6(ttl.into()),
        };
        set.map_err(failed(SocketOption::MulticastTtl))?;
    }
    if let Some(index) = options.multicast_interface() {
        let any = libc::in_addr { s_addr: libc::INADDR_ANY };
        let request = libc::ip_mreqn { imr_multiaddr: any, imr_address: any, imr_ifindex: index as i32 };
        let set = match family {
            Family::V4 => setsockopt(socket, MulticastInterface, &request).map_err(io::Error::from),
            Family::V6 => socket.set_multicast_if_v6(index),
        };
        set.map_err(failed(SocketOption::MulticastInterface))?;
    }
    if options.no_multicast_loop() {
        let set = match family {
            Family::V4 => socket.set_multicast_loop_v4(false),
            Family::V6 => socket.set_multicast_loop_v6(false),
        };
        set.map_err(failed(SocketOption::MulticastLoop))?;
    }
    Ok(())
}
