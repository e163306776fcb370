//! The packets that a raw socket receives: Echo Replies with our Identifier, and nothing else.
//!
//! Without a filter, the replies to every other ping on this machine would wake this process and
//! fill its buffer. The kernel has two filters: one knows types, the other (a classic BPF program)
//! reads the Identifier. What arrives is checked again, because packets may come before the filter.

use std::io;

use nix::libc;
use nix::sys::socket::{getsockopt, setsockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{SockFilter, Socket};

use crate::address::Family;
use crate::wire;

/// From linux/icmp.h and linux/icmpv6.h; libc has neither.
const ICMP_FILTER: libc::c_int = 1;
const ICMP6_FILTER: libc::c_int = 1;

sockopt_impl!(
    /// The types of ICMP messages that are dropped, a bit each (raw(7)).
    IcmpFilter,
    Both,
    libc::SOL_RAW,
    ICMP_FILTER,
    u32
);
sockopt_impl!(
    /// The types of ICMPv6 messages that are dropped, a bit each (RFC 3542 §3.2).
    Icmp6Filter,
    Both,
    libc::IPPROTO_ICMPV6,
    ICMP6_FILTER,
    [u32; 8]
);

/// Opcodes of linux/bpf_common.h, as far as they are used: half words, the IPv4 header's length,
/// compare, return.
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_HALF_INDEXED: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ) as u16;
const RETURN: u16 = libc::BPF_RET as u16;

/// The offset of the Identifier in an Echo message.
const IDENT: u32 = 4;

/// All types but Echo Reply.
const OTHERS_V4: u32 = !(1 << wire::ECHO_REPLY.v4);
const OTHERS_V6: [u32; 8] = {
    let mut others = [u32::MAX; 8];
    others[wire::ECHO_REPLY.v6 as usize / 32] &= !(1 << (wire::ECHO_REPLY.v6 % 32));
    others
};

/// Drops all packets, but for IPv4 types above 31, which no one uses and the filter does not know.
pub(super) fn drop_all(socket: &Socket, family: Family) -> io::Result<()> {
    Ok(match family {
        Family::V4 => setsockopt(socket, IcmpFilter, &u32::MAX),
        Family::V6 => setsockopt(socket, Icmp6Filter, &[u32::MAX; 8]),
    }?)
}

/// Accepts only Echo Replies with `ident`: by the Identifier, and by the type. The two results are
/// those of the two filters; what arrives is checked in any case.
pub(super) fn accept_replies(socket: &Socket, family: Family, ident: u16) -> (io::Result<()>, io::Result<()>) {
    let compare = SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(ident));
    let accept = SockFilter::new(RETURN, 0, 0, u32::MAX);
    let reject = SockFilter::new(RETURN, 0, 0, 0);
    // The Identifier first, so that no other program's replies come through in between.
    match family {
        Family::V4 => {
            // An IPv4 socket's filter sees the IP header, whatever its length.
            let header_length = SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0);
            let load = SockFilter::new(LOAD_HALF_INDEXED, 0, 0, IDENT);
            let by_ident = socket.attach_filter(&[header_length, load, compare, accept, reject]);
            (by_ident, setsockopt(socket, IcmpFilter, &OTHERS_V4).map_err(io::Error::from))
        }
        Family::V6 => {
            let load = SockFilter::new(LOAD_HALF, 0, 0, IDENT);
            let by_ident = socket.attach_filter(&[load, compare, accept, reject]);
            (by_ident, setsockopt(socket, Icmp6Filter, &OTHERS_V6).map_err(io::Error::from))
        }
    }
}

/// Whether both filters are in place. The program cannot be read back; it is detached, which fails
/// where there is none.
pub(super) fn detach(socket: &Socket, family: Family) -> bool {
    let by_type = match family {
        Family::V4 => getsockopt(socket, IcmpFilter) == Ok(OTHERS_V4),
        Family::V6 => getsockopt(socket, Icmp6Filter) == Ok(OTHERS_V6),
    };
    socket.detach_filter().is_ok() && by_type
}
