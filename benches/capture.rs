//! The wire side's own opinion: when each probe left and when its answer came, by the kernel's stamps.
//!
//! A packet socket on the near end of the veth pair sees what the program under test sends, on its way into the device,
//! and what comes back, on its way out of it. So the difference of the two stamps is the RTT as the wire had it, and
//! everything that a program prints beyond it is the program's own.
//!
//! The capture is not to slow down what it watches: a filter in the kernel keeps the 42 bytes that are needed, nothing
//! is awaited (the buffer is looked into every few milliseconds), and the buffer is so large that it need not be.

// Every benchmark uses its own part of this.
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

sockopt_impl!(
    /// `struct tpacket_stats`: packets, drops. Reading sets both back to zero.
    PacketStatistics,
    GetOnly,
    libc::SOL_PACKET,
    libc::PACKET_STATISTICS,
    [u32; 2]
);

/// Ethernet, IPv4 without options, the head of an Echo message.
const KEPT: usize = 14 + 20 + 8;
/// Asked for; the kernel doubles it. A small packet counts 832 bytes on a veth pair: room for 1,200,000.
const BUFFER: usize = 500 << 20;
const BATCH: usize = 256;
/// How long the buffer is left alone.
const NAP: Duration = Duration::from_millis(5);
/// How long packets may be on their way through the kernel after the program has ended.
const LAST_PACKETS: Duration = Duration::from_millis(30);

/// What to keep.
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
    /// Since the epoch of the wall clock, which is the kernel's for stamps.
    pub at: Duration,
    pub is_request: bool,
    /// The host: who is asked, or who answers.
    pub host: Ipv4Addr,
    pub ident: u16,
    pub seq: u16,
}

/// What passed by.
pub struct Captured {
    /// In the order of their stamps.
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
                // Asked before the last look, so that nothing is left behind.
                let is_last = stopped.load(Ordering::Acquire);
                while read(&socket, &mut buffers, &mut packets) {}
                if is_last {
                    break;
                }
                thread::sleep(NAP);
            }
            let [_, drops] = getsockopt(&socket, PacketStatistics).expect("PACKET_STATISTICS");
            assert_eq!(drops, 0, "the capture lost packets: what it says is not worth saying");
            packets.sort_by_key(|packet: &Packet| packet.at);
            Captured { packets }
        });
        Capture { stop, thread }
    }

    /// Ends the capture.
    pub fn finish(self) -> Captured {
        thread::sleep(LAST_PACKETS);
        self.stop.store(true, Ordering::Release);
        self.thread.join().expect("the capture is well")
    }
}

impl Captured {
    /// When requests left, in their order.
    pub fn departures(&self) -> Vec<Duration> {
        self.packets.iter().filter(|packet| packet.is_request).map(|packet| packet.at).collect()
    }

    /// The RTT of every request that was answered: by host, Identifier and Sequence Number. The first answer counts.
    pub fn rtts(&self) -> HashMap<(Ipv4Addr, u16, u16), Duration> {
        let mut asked = HashMap::new();
        let mut rtts = HashMap::new();
        for &Packet { at, is_request, host, ident, seq } in &self.packets {
            let key = (host, ident, seq);
            if is_request {
                asked.insert(key, at);
            } else if let Some(sent) = asked.get(&key) {
                rtts.entry(key).or_insert(at - *sent);
            }
        }
        rtts
    }

    /// The RTT of the first answer of every host that answered.
    pub fn rtts_by_host(&self) -> HashMap<Ipv4Addr, Duration> {
        let mut asked = HashMap::new();
        let mut rtts = HashMap::new();
        for &Packet { at, is_request, host, ident, seq } in &self.packets {
            if is_request {
                asked.insert((host, ident, seq), at);
            } else if let Some(sent) = asked.get(&(host, ident, seq)) {
                rtts.entry(host).or_insert(at - *sent);
            }
        }
        rtts
    }
}

fn open(device: &str, keep: Keep) -> Result<OwnedFd, Box<dyn std::error::Error>> {
    // nix has no constructor for link-layer addresses, but the list of interfaces holds the one we need.
    let address = getifaddrs()?
        .filter(|interface| interface.interface_name == device)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or("there is no such device")?;
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)?;
    SockRef::from(&fd).attach_filter(&filter(keep))?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&fd, sockopt::RcvBufForce, &BUFFER)?;
    bind(fd.as_raw_fd(), &address)?;
    // What came from other devices before it was bound.
    let mut buffers = vec![[0; KEPT]; BATCH];
    while read(&fd, &mut buffers, &mut Vec::new()) {}
    Ok(fd)
}

/// IPv4, ICMP, Echo Request (and Echo Reply); the first bytes of it (linux/bpf_common.h).
fn filter(keep: Keep) -> [SockFilter; 9] {
    const LOAD_HALF: u16 = 0x28;
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let other = match keep {
        Keep::Requests => 8,
        Keep::Both => 0,
    };
    [
        SockFilter::new(LOAD_HALF, 0, 0, 12),
        SockFilter::new(JUMP_IF_EQUAL, 0, 5, 0x0800),
        SockFilter::new(LOAD_BYTE, 0, 0, 23),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, 1),
        SockFilter::new(LOAD_BYTE, 0, 0, 34),
        SockFilter::new(JUMP_IF_EQUAL, 2, 0, 8),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, other),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(RETURN, 0, 0, KEPT as u32),
    ]
}

/// Reads a batch; whether there may be more.
fn read(socket: &OwnedFd, buffers: &mut [[u8; KEPT]], packets: &mut Vec<Packet>) -> bool {
    // Made anew for each call: nix 0.31 does not restore the room for stamps when headers are used again.
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
        let is_request = frame[34] == 8;
        let host = if is_request { address(30) } else { address(26) };
        packets.push(Packet { at, is_request, host, ident: half(38), seq: half(40) });
    }
    arrived.len() == buffers.len()
}
