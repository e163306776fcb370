//! The packets that a raw socket receives: replies with our Identifier, and, if asked for, ICMP
//! errors that quote a request with it.
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
use crate::plan::{IcmpErrors, ProbeKind};
use crate::wire::{self, Query, ipv6, redirect};

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

/// Opcodes of linux/bpf_common.h, as far as they are used. A load from behind the end of the packet
/// drops it.
const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const LOAD_BYTE_INDEXED: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_IND) as u16;
const LOAD_HALF: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
const LOAD_HALF_INDEXED: u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_IND) as u16;
const LOAD_HEADER_LENGTH: u16 = (libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH) as u16;
const LOAD_INDEX: u16 = (libc::BPF_LDX | libc::BPF_IMM) as u16;
const TO_INDEX: u16 = (libc::BPF_MISC | libc::BPF_TAX) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const SHIFT_LEFT: u16 = (libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K) as u16;
const ADD_INDEX: u16 = (libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X) as u16;
const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = libc::BPF_RET as u16;

/// The offset of the Identifier in an Echo message, and in any other query.
const IDENT: u32 = 4;

/// The offset of what an ICMP error quotes.
const QUOTE: u32 = wire::HEADER as u32;

/// ICMPv6 Redirect (RFC 4861 §4.5): where its options begin, the options that carry a link-layer
/// address and the quote, and the length of each before the next option or the quote.
const REDIRECT_OPTIONS: u32 = (wire::COMMON_HEADER + redirect::OPTIONS) as u32;
const LINK_LAYER_ADDRESS: u32 = 2;
const REDIRECTED: u32 = redirect::REDIRECTED as u32;
const OPTION: u32 = redirect::REDIRECTED_HEADER as u32;

/// The offset of Next Header in an IPv6 header, and the lengths of that and of a Fragment header.
const NEXT_HEADER: u32 = ipv6::NEXT_HEADER as u32;
const HEADER_V6: u32 = ipv6::HEADER as u32;
const FRAGMENT_HEADER: u32 = ipv6::FRAGMENT_HEADER as u32;

/// Which messages are received.
#[derive(Clone, Copy)]
pub(super) struct Accepted {
    /// The replies to probes of this kind.
    pub(super) kind: ProbeKind,
    /// These errors.
    pub(super) errors: IcmpErrors,
}

impl Accepted {
    /// The type of replies. Of IPv6 there are no others than to Echo.
    fn reply_type(self, family: Family) -> u8 {
        match Query::types(self.kind) {
            Some([_, reply]) if family == Family::V4 => reply,
            _ => wire::ECHO_REPLY[family],
        }
    }
}

/// Drops all packets, but for IPv4 types above 31, which no one uses and the filter does not know.
pub(super) fn drop_all(socket: &Socket, family: Family) -> io::Result<()> {
    Ok(match family {
        Family::V4 => setsockopt(socket, IcmpFilter, &u32::MAX),
        Family::V6 => setsockopt(socket, Icmp6Filter, &[u32::MAX; 8]),
    }?)
}

/// Accepts replies with `ident`, and the errors that are asked for, by the Identifier and by
/// the type. The two results are those of the two filters; what arrives is checked in any case.
pub(super) fn accept(
    socket: &Socket,
    family: Family,
    ident: u16,
    accepted: Accepted,
) -> (io::Result<()>, io::Result<()>) {
    // The Identifier first, so that no other program's replies come through in between.
    let by_ident = match (accepted.errors, family) {
        (IcmpErrors::All, _) => Ok(()),
        (IcmpErrors::Ignore, Family::V4) => socket.attach_filter(&replies_v4(ident)),
        (IcmpErrors::Ignore, Family::V6) => socket.attach_filter(&replies_v6(ident)),
        (IcmpErrors::Report | IcmpErrors::Fail, Family::V4) => {
            socket.attach_filter(&replies_and_errors_v4(ident, accepted.reply_type(Family::V4)))
        }
        (IcmpErrors::Report | IcmpErrors::Fail, Family::V6) => socket.attach_filter(&replies_and_errors_v6(ident)),
    };
    let by_type = match family {
        Family::V4 => setsockopt(socket, IcmpFilter, &dropped_v4(accepted)),
        Family::V6 => setsockopt(socket, Icmp6Filter, &dropped_v6(accepted)),
    };
    (by_ident, by_type.map_err(io::Error::from))
}

/// Whether both filters are in place. The program cannot be read back; it is detached, which fails
/// where there is none.
pub(super) fn detach(socket: &Socket, family: Family, accepted: Accepted) -> bool {
    let by_type = match family {
        Family::V4 => getsockopt(socket, IcmpFilter) == Ok(dropped_v4(accepted)),
        Family::V6 => getsockopt(socket, Icmp6Filter) == Ok(dropped_v6(accepted)),
    };
    socket.detach_filter().is_ok() && by_type
}

/// The types of ICMP messages to drop, a bit each.
fn dropped_v4(which: Accepted) -> u32 {
    if which.errors == IcmpErrors::All {
        return 0;
    }
    accepted(Family::V4, which).fold(u32::MAX, |dropped, msg_type| dropped & !(1 << msg_type))
}

/// The types of ICMPv6 messages to drop, a bit each.
fn dropped_v6(which: Accepted) -> [u32; 8] {
    if which.errors == IcmpErrors::All {
        return [0; 8];
    }
    let mut dropped = [u32::MAX; 8];
    for msg_type in accepted(Family::V6, which) {
        dropped[usize::from(msg_type) / 32] &= !(1 << (msg_type % 32));
    }
    dropped
}

/// The type of replies, and the types of errors, if these are not ignored.
fn accepted(family: Family, which: Accepted) -> impl Iterator<Item = u8> {
    let errors = if which.errors == IcmpErrors::Ignore { &[] } else { wire::ERRORS[family] };
    errors.iter().copied().chain([which.reply_type(family)])
}

fn load(opcode: u16, at: u32) -> SockFilter {
    SockFilter::new(opcode, 0, 0, at)
}

/// Skips `if_equal` instructions if the accumulator is `value`, else `otherwise`.
fn jump(value: u32, if_equal: u8, otherwise: u8) -> SockFilter {
    SockFilter::new(JUMP_IF_EQUAL, if_equal, otherwise, value)
}

fn accept_packet() -> SockFilter {
    load(RETURN, u32::MAX)
}

fn drop_packet() -> SockFilter {
    load(RETURN, 0)
}

/// An IPv4 socket's filter sees the IP header, whatever its length.
fn replies_v4(ident: u16) -> [SockFilter; 5] {
    [
        load(LOAD_HEADER_LENGTH, 0),
        load(LOAD_HALF_INDEXED, IDENT),
        jump(ident.into(), 0, 1),
        accept_packet(),
        drop_packet(),
    ]
}

fn replies_v6(ident: u16) -> [SockFilter; 4] {
    [load(LOAD_HALF, IDENT), jump(ident.into(), 0, 1), accept_packet(), drop_packet()]
}

/// What is no reply is an error, by the filter of types: then the index goes on to the ICMP
/// header that it quotes, behind an IP header of any length.
fn replies_and_errors_v4(ident: u16, reply: u8) -> [SockFilter; 14] {
    [
        load(LOAD_HEADER_LENGTH, 0),
        load(LOAD_BYTE_INDEXED, 0),
        jump(reply.into(), 7, 0),
        load(LOAD_BYTE_INDEXED, QUOTE),
        load(AND, 0x0f),
        load(SHIFT_LEFT, 2),
        load(ADD_INDEX, 0),
        load(TO_INDEX, 0),
        load(LOAD_HALF_INDEXED, QUOTE + IDENT),
        jump(ident.into(), 2, 3),
        load(LOAD_HALF_INDEXED, IDENT),
        jump(ident.into(), 0, 1),
        accept_packet(),
        drop_packet(),
    ]
}

/// The index goes to the packet that the error quotes, in a redirect to that in the first option or
/// in the second; and the ident is behind its IPv6 header, or behind a Fragment header after that.
fn replies_and_errors_v6(ident: u16) -> [SockFilter; 23] {
    const LATER_OPTIONS: u32 = REDIRECT_OPTIONS + OPTION;
    [
        load(LOAD_BYTE, 0),
        jump(wire::ECHO_REPLY.v6.into(), 17, 0),
        jump(wire::REDIRECT_V6.into(), 2, 0),
        load(LOAD_INDEX, QUOTE),
        load(JUMP, 7),
        load(LOAD_BYTE, REDIRECT_OPTIONS),
        load(LOAD_INDEX, REDIRECT_OPTIONS + OPTION),
        jump(REDIRECTED, 4, 0),
        jump(LINK_LAYER_ADDRESS, 0, 13),
        load(LOAD_BYTE, LATER_OPTIONS),
        load(LOAD_INDEX, LATER_OPTIONS + OPTION),
        jump(REDIRECTED, 0, 10),
        load(LOAD_BYTE_INDEXED, NEXT_HEADER),
        jump(ipv6::ICMPV6.into(), 0, 2),
        load(LOAD_HALF_INDEXED, HEADER_V6 + IDENT),
        jump(ident.into(), 5, 6),
        jump(ipv6::FRAGMENT.into(), 0, 5),
        load(LOAD_HALF_INDEXED, HEADER_V6 + FRAGMENT_HEADER + IDENT),
        jump(ident.into(), 2, 3),
        load(LOAD_HALF, IDENT),
        jump(ident.into(), 0, 1),
        accept_packet(),
        drop_packet(),
    ]
}

#[cfg(test)]
mod tests;
