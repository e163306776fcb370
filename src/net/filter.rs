//! What the kernel keeps away from us: everything but Echo Replies with our Identifier.
//!
//! Without it, every other program that pings on this machine would wake us, and fill our buffer with its answers. The
//! kernel's two filters do different halves of the work: one knows types, the other (a classic BPF program) reads the
//! Identifier. Neither is believed: what arrives is checked again, and packets that came before the filter are drained.

use std::io;

use nix::libc;
use nix::sys::socket::{getsockopt, setsockopt};
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{SockFilter, Socket};

use crate::wire::Family;

/// From linux/icmp.h and linux/icmpv6.h; libc has neither.
const ICMP_FILTER: libc::c_int = 1;
const ICMP6_FILTER: libc::c_int = 1;

sockopt_impl!(
    /// The types of ICMP messages that are kept away, a bit each (raw(7)).
    IcmpFilter,
    Both,
    libc::SOL_RAW,
    ICMP_FILTER,
    u32
);
sockopt_impl!(
    /// The types of ICMPv6 messages that are kept away, a bit each (RFC 3542 §3.2).
    Icmp6Filter,
    Both,
    libc::IPPROTO_ICMPV6,
    ICMP6_FILTER,
    [u32; 8]
);

const ECHO_REPLY_V6: usize = 129;

/// Opcodes of linux/bpf_common.h, as far as they are used: half words, the IPv4 header's length, compare, return.
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_HALF_INDEXED: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ) as u16;
const RETURN: u16 = libc::BPF_RET as u16;

/// Where the Identifier stands in an Echo message.
const IDENT: u32 = 4;

/// All types but Echo Reply.
const OTHERS_V4: u32 = !1;
const OTHERS_V6: [u32; 8] = {
    let mut others = [u32::MAX; 8];
    others[ECHO_REPLY_V6 / 32] &= !(1 << (ECHO_REPLY_V6 % 32));
    others
};

/// Lets nothing through to a raw socket, but for IPv4 types that nobody uses: this filter knows the first 32 only.
pub(super) fn shut(socket: &Socket, family: Family) -> io::Result<()> {
    Ok(match family {
        Family::V4 => setsockopt(socket, IcmpFilter, &u32::MAX),
        Family::V6 => setsockopt(socket, Icmp6Filter, &[u32::MAX; 8]),
    }?)
}

/// Lets only Echo Replies with `ident` through to a raw socket.
pub(super) fn open(socket: &Socket, family: Family, ident: u16) -> io::Result<()> {
    let ours = [
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(ident)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    // The Identifier first: nobody else's replies come through in between.
    match family {
        Family::V4 => {
            // An IPv4 socket's filter sees the IP header, whatever its length.
            let load = [SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0), SockFilter::new(LOAD_HALF_INDEXED, 0, 0, IDENT)];
            let [a, b] = load;
            let [c, d, e] = ours;
            socket.attach_filter(&[a, b, c, d, e])?;
            setsockopt(socket, IcmpFilter, &OTHERS_V4)?;
        }
        Family::V6 => {
            let [c, d, e] = ours;
            socket.attach_filter(&[SockFilter::new(LOAD_HALF, 0, 0, IDENT), c, d, e])?;
            setsockopt(socket, Icmp6Filter, &OTHERS_V6)?;
        }
    }
    Ok(())
}

/// Whether both filters are in place. The program cannot be read back; it is taken off, which fails where there is none.
pub(super) fn detach(socket: &Socket, family: Family) -> bool {
    let knows_types = match family {
        Family::V4 => getsockopt(socket, IcmpFilter) == Ok(OTHERS_V4),
        Family::V6 => getsockopt(socket, Icmp6Filter) == Ok(OTHERS_V6),
    };
    socket.detach_filter().is_ok() && knows_types
}
