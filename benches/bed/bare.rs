//! The bare system calls: sendmmsg(64) and recvmmsg(64) in turn, and nothing else.
//!
//! No list, no records, no times, no output, no parsing: it counts as many replies as it has sent
//! probes. That is the maximum of the kernel on this machine; no program that has verdicts can be
//! faster.

use std::ffi::OsString;
use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg, setsockopt, sockopt,
};
use nix::{cmsg_space, libc, setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::bpf;

const BATCH: usize = 64;
const LEN: usize = 64;
const BUFFER: usize = 32 << 20;
const IDENT: u16 = 0x1234;

/// From linux/icmp.h and linux/icmpv6.h.
const ICMP_FILTER: libc::c_int = 1;
const ICMP6_FILTER: libc::c_int = 1;

/// ICMP types (RFC 792, RFC 4443).
const ECHO_REPLY: u32 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: usize = 129;

/// The offset of the Identifier in an Echo message.
const IDENT_OFFSET: u32 = 4;

sockopt_impl!(/// ICMP_FILTER
    IcmpFilter, SetOnly, libc::SOL_RAW, ICMP_FILTER, u32);
sockopt_impl!(/// ICMP6_FILTER
    Icmp6Filter, SetOnly, libc::IPPROTO_ICMPV6, ICMP6_FILTER, [u32; 8]);
sockopt_impl!(/// IP_MTU_DISCOVER
    MtuDiscover, SetOnly, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::c_int);
sockopt_impl!(/// IPV6_MTU_DISCOVER
    MtuDiscoverV6, SetOnly, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::c_int);

/// The role: `4|6 COUNT plain|like-ours`, or `4 COUNT datagram`.
pub(super) fn play(args: &[OsString]) -> i32 {
    let words: Vec<&str> = args.iter().filter_map(|arg| arg.to_str()).collect();
    let [family, count, options] = words.as_slice() else { return 2 };
    let Ok(count) = count.parse() else { return 2 };
    let like_ours = *options == "like-ours";
    let answered = match *family {
        "4" => {
            let socket = if *options == "datagram" { open_datagram() } else { open4(like_ours) };
            let to = |n| SockaddrIn::from(SocketAddrV4::new(Ipv4Addr::from_bits(0x0a00_0000 + n), 0));
            exchange(&socket, like_ours, count, ECHO_REQUEST, to)
        }
        "6" => {
            let first = 0xfd00_u128 << 112;
            let to = |n| SockaddrIn6::from(SocketAddrV6::new(Ipv6Addr::from_bits(first + u128::from(n)), 0, 0, 0));
            exchange(&open6(like_ours), like_ours, count, ECHO_REQUEST_V6, to)
        }
        _ => return 2,
    };
    println!("{answered} of {count}");
    i32::from(answered != count)
}

/// Sends `count` probes of this type, and reads as many replies. Returns how many there were.
fn exchange<A: SockaddrLike + Copy>(
    fd: &OwnedFd,
    stamps: bool,
    count: u32,
    msg_type: u8,
    to: impl Fn(u32) -> A,
) -> u32 {
    let mut packets = [[0; LEN]; BATCH];
    let mut slots = [[0; 256]; BATCH];
    let mut addresses = [None; BATCH];
    let mut send_headers = MultiHeaders::<A>::preallocate(BATCH, None);
    let space = stamps.then(|| cmsg_space!(libc::timespec));
    let mut receive_headers = MultiHeaders::<A>::preallocate(BATCH, space);
    let (mut sent, mut got) = (0, 0);
    while got < count {
        let batch = BATCH.min((count - sent) as usize);
        if batch > 0 {
            for ((packet, address), n) in packets.iter_mut().zip(&mut addresses).take(batch).zip(sent..) {
                echo_request(packet, msg_type, n);
                *address = Some(to(n));
            }
            let slices = packets.each_ref().map(|packet| [IoSlice::new(packet)]);
            let batch = (&slices[..batch], &addresses[..batch]);
            let result = sendmmsg(fd.as_raw_fd(), &mut send_headers, batch.0, batch.1, [], MsgFlags::empty());
            sent += result.map_or(0, |results| results.count() as u32);
        }
        let mut slices = slots.each_mut().map(|slot| [IoSliceMut::new(slot)]);
        match recvmmsg(fd.as_raw_fd(), &mut receive_headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
            Ok(messages) => got += messages.count() as u32,
            Err(_) if sent < count => {}
            Err(_) => {
                let mut descriptors = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
                if poll(&mut descriptors, PollTimeout::from(2000_u16)) != Ok(1) {
                    break;
                }
            }
        }
    }
    got
}

/// The kernel fills in the checksum of ICMPv6.
fn echo_request(packet: &mut [u8; LEN], msg_type: u8, n: u32) {
    packet[0] = msg_type;
    packet[2..4].fill(0);
    packet[4..6].copy_from_slice(&IDENT.to_be_bytes());
    packet[6..8].copy_from_slice(&(n as u16).to_be_bytes());
    if msg_type == ECHO_REQUEST {
        let words = packet.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]));
        let sum: u32 = words.map(u32::from).sum();
        let sum = (sum & 0xffff) + (sum >> 16);
        let sum = (sum & 0xffff) + (sum >> 16);
        packet[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
}

fn open4(like_ours: bool) -> OwnedFd {
    let socket = open(Domain::IPV4, Type::RAW, Protocol::ICMPV4);
    setsockopt(&socket, IcmpFilter, &!(1 << ECHO_REPLY)).expect("ICMP_FILTER");
    if like_ours {
        filter(&socket, [bpf::load_ipv4_header_length(), bpf::load_half_after_header(IDENT_OFFSET)]);
        setsockopt(&socket, MtuDiscover, &libc::IP_PMTUDISC_PROBE).expect("IP_MTU_DISCOVER");
    }
    socket.into()
}

/// The kernel puts an Identifier of its own choice into what is sent, and hands over the replies
/// with that.
fn open_datagram() -> OwnedFd {
    open(Domain::IPV4, Type::DGRAM, Protocol::ICMPV4).into()
}

fn open6(like_ours: bool) -> OwnedFd {
    let socket = open(Domain::IPV6, Type::RAW, Protocol::ICMPV6);
    let mut blocked = [u32::MAX; 8];
    blocked[ECHO_REPLY_V6 / 32] &= !(1 << (ECHO_REPLY_V6 % 32));
    setsockopt(&socket, Icmp6Filter, &blocked).expect("ICMP6_FILTER");
    if like_ours {
        filter(&socket, [bpf::load_half(IDENT_OFFSET)]);
        setsockopt(&socket, MtuDiscoverV6, &libc::IP_PMTUDISC_PROBE).expect("IPV6_MTU_DISCOVER");
    }
    socket.into()
}

fn open(domain: Domain, socket_type: Type, protocol: Protocol) -> Socket {
    let socket = Socket::new(domain, socket_type, Some(protocol))
        .expect("root may open it, or net.ipv4.ping_group_range allows it");
    setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).expect("SO_RCVBUFFORCE");
    socket
}

/// Sets the filter and the time stamps of the program. `load` loads the Identifier.
fn filter(socket: &Socket, load: impl IntoIterator<Item = SockFilter>) {
    let compare = [bpf::jump_if_equal(u32::from(IDENT), 0, 1), bpf::keep(u32::MAX), bpf::keep(0)];
    let program: Vec<SockFilter> = load.into_iter().chain(compare).collect();
    socket.attach_filter(&program).expect("SO_ATTACH_FILTER");
    setsockopt(socket, sockopt::ReceiveTimestampns, &true).expect("SO_TIMESTAMPNS");
}
