//! A capture on the wire: when each probe was sent and its reply arrived, by the kernel's stamps.
//!
//! A packet socket on the near end of the veth pair sees what the program sends into the device,
//! and what it receives from it. The difference of the two stamps is the true RTT; what a program
//! prints beyond it is an error of the program.
//!
//! To affect the program little, a filter in the kernel keeps only the 42 bytes that are needed,
//! and a large buffer is read only every few milliseconds.

// Each benchmark uses a part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, bind, getsockopt,
    recvmmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::{cmsg_space, getsockopt_impl, libc, sockopt_impl};
use socket2::{SockFilter, SockRef};

use crate::bed::bpf;

sockopt_impl!(
    /// `struct tpacket_stats`: packets, drops. Reading resets both.
    PacketStatistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    [u32; 2]
);

/// The headers of Ethernet, IPv4 without options, and an Echo message.
const KEPT: usize = 14 + 20 + 8;
/// Offsets in an Ethernet frame, and their values.
const ETHER_TYPE: u32 = 12;
const ETHER_TYPE_IPV4: u32 = 0x0800;
const PROTOCOL: u32 = 14 + 9;
const PROTOCOL_ICMP: u32 = 1;
const ICMP_TYPE: u32 = 14 + 20;
const ECHO_REPLY: u32 = 0;
const ECHO_REQUEST: u32 = 8;
/// Holds 1,200,000 packets: the kernel doubles it, and a small packet takes 832 bytes on a veth
/// pair.
const BUFFER: usize = 500 << 20;
const BATCH: usize = 256;
/// How often the buffer is read.
const PERIOD: Duration = Duration::from_millis(5);
/// How long packets may take through the kernel after the program has ended.
const LAST_PACKETS: Duration = Duration::from_millis(30);

/// What to capture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Echo Requests.
    Requests,
    /// Echo Requests and Echo Replies.
    Both,
}

/// An Echo message on the wire.
#[derive(Clone, Copy)]
pub struct Packet {
    /// By the wall clock, since the epoch.
    pub at: Duration,
    pub is_request: bool,
    /// The host: the destination of a request, the source of a reply.
    pub host: Ipv4Addr,
    pub ident: u16,
    pub seq: u16,
}

/// The captured packets.
pub struct Captured {
    /// In order of their stamps.
    pub packets: Vec<Packet>,
}

/// A capture that runs.
pub struct Capture {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Captured>,
}

impl Capture {
    /// Starts a capture on a device of the calling thread's namespace.
    pub fn start(device: &str, keep: Keep) -> Capture {
        let socket = open(device, keep).unwrap_or_else(|e| panic!("capture on {device}: {e}"));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut packets = Vec::new();
            let mut buffers = vec![[0; KEPT]; BATCH];
            loop {
                // Checked before the last read, so that no packet is missed.
                let is_last = stopped.load(Ordering::Acquire);
                while read(&socket, &mut buffers, &mut packets) {}
                if is_last {
                    break;
                }
                thread::sleep(PERIOD);
            }
            let [_, drops] = getsockopt(&socket, PacketStatistics).expect("PACKET_STATISTICS");
            assert_eq!(drops, 0, "the capture lost packets, so its figures are wrong");
            packets.sort_by_key(|packet: &Packet| packet.at);
            Captured { packets }
        });
        Capture { stop, thread }
    }

    /// Ends the capture.
    pub fn finish(self) -> Captured {
        thread::sleep(LAST_PACKETS);
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the capture does not panic")
    }
}

impl Captured {
    /// When requests were sent, in order.
    pub fn departures(&self) -> Vec<Duration> {
        self.packets.iter().filter(|packet| packet.is_request).map(|packet| packet.at).collect()
    }

    /// The RTT of every request with a reply, by host, Identifier and Sequence Number. The first
    /// reply counts.
    pub fn rtts(&self) -> HashMap<(Ipv4Addr, u16, u16), Duration> {
        let mut requests = HashMap::new();
        let mut rtts = HashMap::new();
        for &Packet { at, is_request, host, ident, seq } in &self.packets {
            let key = (host, ident, seq);
            if is_request {
                requests.insert(key, at);
            } else if let Some(sent) = requests.get(&key) {
                rtts.entry(key).or_insert(at - *sent);
            }
        }
        rtts
    }

    /// The RTT of the first reply of every host that replied.
    pub fn rtts_by_host(&self) -> HashMap<Ipv4Addr, Duration> {
        let mut requests = HashMap::new();
        let mut rtts = HashMap::new();
        for &Packet { at, is_request, host, ident, seq } in &self.packets {
            if is_request {
                requests.insert((host, ident, seq), at);
            } else if let Some(sent) = requests.get(&(host, ident, seq)) {
                rtts.entry(host).or_insert(at - *sent);
            }
        }
        rtts
    }
}

fn open(device: &str, keep: Keep) -> Result<OwnedFd, Box<dyn std::error::Error>> {
    // nix has no constructor for link-layer addresses, but the list of interfaces has this one.
    let address = getifaddrs()?
        .filter(|interface| interface.interface_name == device)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or("there is no such device")?;
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    SockRef::from(&fd).attach_filter(&filter(keep))?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&fd, sockopt::RcvBufForce, &BUFFER)?;
    bind(fd.as_raw_fd(), &address)?;
    // Discards what was received from other devices before it was bound.
    let mut buffers = vec![[0; KEPT]; BATCH];
    while read(&fd, &mut buffers, &mut Vec::new()) {}
    Ok(fd)
}

/// Keeps the first bytes of Echo Requests, and of Echo Replies if wanted.
fn filter(keep: Keep) -> [SockFilter; 9] {
    let other_type = match keep {
        Keep::Requests => ECHO_REQUEST,
        Keep::Both => ECHO_REPLY,
    };
    [
        bpf::load_half(ETHER_TYPE),
        bpf::jump_if_equal(ETHER_TYPE_IPV4, 0, 5),
        bpf::load_byte(PROTOCOL),
        bpf::jump_if_equal(PROTOCOL_ICMP, 0, 3),
        bpf::load_byte(ICMP_TYPE),
        bpf::jump_if_equal(ECHO_REQUEST, 2, 0),
        bpf::jump_if_equal(other_type, 1, 0),
        bpf::keep(0),
        bpf::keep(KEPT as u32),
    ]
}

/// Reads a batch. Returns whether there may be more.
fn read(socket: &OwnedFd, buffers: &mut [[u8; KEPT]], packets: &mut Vec<Packet>) -> bool {
    // New for each call: nix 0.31 does not restore the space for stamps when headers are reused.
    let mut headers = MultiHeaders::<()>::preallocate(buffers.len(), Some(cmsg_space!(TimeSpec)));
    let mut arrived = Vec::with_capacity(buffers.len());
    {
        let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
        let messages = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None);
        let Ok(messages) = messages else { return false };
        arrived.extend(messages.map(|message| {
            let stamp = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|cmsg| match cmsg {
                    ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                    _ => None,
                })
            });
            (message.bytes, stamp.expect("a captured packet has a stamp"))
        }));
    }
    for (frame, &(len, at)) in buffers.iter().zip(&arrived) {
        if len < KEPT {
            continue;
        }
        let address = |at: usize| Ipv4Addr::new(frame[at], frame[at + 1], frame[at + 2], frame[at + 3]);
        let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        let is_request = u32::from(frame[ICMP_TYPE as usize]) == ECHO_REQUEST;
        let host = if is_request { address(30) } else { address(26) };
        packets.push(Packet { at, is_request, host, ident: half(38), seq: half(40) });
    }
    arrived.len() == buffers.len()
}
