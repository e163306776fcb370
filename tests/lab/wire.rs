//! The far end of the wire: a thread that reads every packet and answers as the hosts behave.
//!
//! It has a packet socket on the far end of a veth pair, so it needs no device node and no
//! `unsafe`, and the kernel stamps each arrival: [`Seen::time`] is when the packet was on the wire,
//! not when this thread read it, and delays count from there. Answers that are sent later wait in a
//! heap.
//!
//! A panic here ends the thread, and then the next call of a test panics too.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, bind, getsockopt,
    recvmmsg, send, sendmmsg, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeSpec;
use nix::{cmsg_space, getsockopt_impl, libc, setsockopt_impl, sockopt_impl};

use super::behaviour::Hosts;
use super::packet::Request;
use super::process::pipe;

/// The hardware addresses of the two ends, fixed so that they need not be looked up.
pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ETHERNET: usize = 14;

/// Packets read in one system call, and how many such calls before due answers are sent.
const BATCH: usize = 64;
const BATCHES_IN_A_ROW: usize = 8;
/// Holds more than 100,000 probes: the kernel doubles it, and a probe takes 832 bytes on a veth
/// pair.
const RECEIVE_BUFFER: usize = 64 << 20;

sockopt_impl!(
    /// Do not receive what was sent from here.
    IgnoreOutgoing, SetOnly, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool);
sockopt_impl!(
    /// `struct tpacket_stats`: packets, drops. Reading resets both.
    PacketStatistics, GetOnly, libc::SOL_PACKET, libc::PACKET_STATISTICS, [u32; 2]);

/// One Echo Request that the wire saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was on the wire, by the kernel's stamp.
    pub time: Instant,
    pub src: IpAddr,
    pub dst: IpAddr,
    /// Its number among the probes to this destination, from 1.
    pub number: u32,
    pub ident: u16,
    pub seq: u16,
    /// Bytes of data after the 8 bytes of ICMP.
    pub len: usize,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class.
    pub tos: u8,
    pub dont_fragment: bool,
    /// The data, if the test asked to keep it.
    pub data: Box<[u8]>,
}

/// One answer that the wire sent.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The times before and after it was sent.
    pub time: Range<Instant>,
    /// The probed host.
    pub host: IpAddr,
    /// The number of the probe to this host that it answers, from 1.
    pub number: u32,
}

/// What the wire has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Echo Requests with a right checksum.
    pub requests: u64,
    /// Echo Requests with a wrong one. They get no answer and are not recorded.
    pub damaged: u64,
    /// Everything else: neighbour discovery, replies to other requests, fragments.
    pub others: u64,
    /// Answers sent.
    pub answers: u64,
    /// Packets that were dropped in the receive buffer or on the wire: a failure of the lab, unless
    /// the test set a link down.
    pub overflowed: u64,
}

/// What the wire's thread and the tests share.
#[derive(Default)]
pub struct Record {
    pub hosts: Hosts,
    pub keep_data: bool,
    pub seen: Vec<Seen>,
    pub answered: Vec<Answered>,
    pub counts: Counts,
    probes: HashMap<IpAddr, u32>,
    waiters: Vec<Sender<()>>,
}

impl Record {
    /// Starts counting again: the next probe to each host is its first.
    pub fn clear(&mut self) {
        self.seen.clear();
        self.answered.clear();
        self.probes.clear();
        self.counts = Counts::default();
    }
}

/// The wire itself. Dropping it ends its thread.
pub struct Wire {
    socket: Arc<OwnedFd>,
    record: Arc<Mutex<Record>>,
    waker: Option<File>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Opens the far end. To be called from inside the namespace; the wire may be used from
    /// anywhere.
    pub fn open(device: &str) -> Result<Wire, String> {
        let socket = Arc::new(packet_socket(device)?);
        let record = Arc::new(Mutex::new(Record::default()));
        let (wakeups, waker) = pipe();
        let responder = Responder {
            socket: Arc::clone(&socket),
            record: Arc::clone(&record),
            wakeups,
            buffers: vec![vec![0; ETHERNET + 65_535]; BATCH],
            answers: BinaryHeap::new(),
            scheduled: 0,
        };
        let thread =
            thread::Builder::new().name("wire".into()).spawn(|| responder.run()).map_err(|e| format!("thread: {e}"))?;
        Ok(Wire { socket, record, waker: Some(waker), thread: Some(thread) })
    }

    /// The record as it is, to change how hosts behave.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("the wire's thread runs")
    }

    /// The record with everything that has been sent so far.
    pub fn complete_record(&self) -> MutexGuard<'_, Record> {
        // A busy kernel may deliver packets a little after send(2) returned (ksoftirqd).
        thread::sleep(Duration::from_millis(5));
        let (done, wait) = mpsc::channel();
        self.record().waiters.push(done);
        self.waker.as_ref().expect("it exists until drop").write_all(&[0]).expect("the wire's thread runs");
        wait.recv().expect("the wire's thread runs");
        self.record()
    }

    /// Sends any IP packet to the program's machine. An error (the link is down) is loss.
    pub fn inject(&self, packet: &[u8]) {
        send_packet(&self.socket, packet);
    }

    /// Sends many IP packets of one family, as fast as the wire takes them.
    pub fn inject_all(&self, packets: &[Vec<u8>]) {
        send_packets(&self.socket, packets);
    }

    /// Sends packets at an even rate, until the result is dropped. `make` is called with 0, 1, 2,
    /// ...
    pub fn stream(&self, per_second: u32, make: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Stream {
        let socket = Arc::clone(&self.socket);
        let (stop, stopped) = mpsc::channel();
        let period = Duration::from_secs(1) / per_second;
        let work = move || {
            let mut due = Instant::now();
            for number in 0.. {
                send_packet(&socket, &make(number));
                due += period;
                match stopped.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        Stream { stop: Some(stop), thread: Some(thread::spawn(work)) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        drop(self.waker.take());
        if let Some(thread) = self.thread.take() {
            // A panic of it has already reached the test.
            let _ = thread.join();
        }
    }
}

/// Background traffic. It stops when this is dropped.
#[must_use = "the stream stops when this is dropped"]
pub struct Stream {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A packet socket bound to one device.
fn packet_socket(device: &str) -> Result<OwnedFd, String> {
    let why = |what: &'static str| move |e: Errno| format!("packet socket: {what}: {e}");
    // nix has no constructor for link-layer addresses, but the list of interfaces has this one.
    let address = getifaddrs()
        .map_err(why("getifaddrs"))?
        .filter(|interface| interface.interface_name == device)
        .find_map(|interface| interface.address?.as_link_addr().copied())
        .ok_or_else(|| format!("packet socket: there is no {device}"))?;
    let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
        .map_err(why("socket"))?;
    setsockopt(&fd, IgnoreOutgoing, &true).map_err(why("PACKET_IGNORE_OUTGOING"))?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true).map_err(why("SO_TIMESTAMPNS"))?;
    // Forcing needs root outside any user namespace; the ordinary limit will do for ordinary rates.
    setsockopt(&fd, sockopt::RcvBufForce, &RECEIVE_BUFFER)
        .or_else(|_| setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER))
        .map_err(why("SO_RCVBUF"))?;
    bind(fd.as_raw_fd(), &address).map_err(why("bind"))?;
    Ok(fd)
}

/// Sends an IP packet.
fn send_packet(socket: &OwnedFd, packet: &[u8]) {
    let frame = [&ethernet(packet), packet].concat();
    // Fails if the test has set the link down, which is loss.
    let _ = send(socket.as_raw_fd(), &frame, MsgFlags::empty());
}

/// Sends IP packets of one family, in as few system calls as possible.
fn send_packets(socket: &OwnedFd, packets: &[Vec<u8>]) {
    let Some(first) = packets.first() else { return };
    let head = ethernet(first);
    let frames: Vec<_> = packets.iter().map(|packet| [IoSlice::new(&head), IoSlice::new(packet)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut rest = &frames[..];
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(BATCH)];
        let sent = sendmmsg(socket.as_raw_fd(), &mut headers, batch, [None; BATCH], [], MsgFlags::empty());
        // A packet that cannot be sent is lost.
        rest = &rest[sent.map_or(1, Iterator::count).max(1)..];
    }
}

/// The Ethernet header of an IP packet.
fn ethernet(packet: &[u8]) -> [u8; ETHERNET] {
    let ether_type: u16 = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 };
    let mut head = [0; ETHERNET];
    head[..6].copy_from_slice(&NEAR_MAC);
    head[6..12].copy_from_slice(&FAR_MAC);
    head[12..].copy_from_slice(&ether_type.to_be_bytes());
    head
}

/// An answer to send later. The heap returns the earliest, and of equals the one made first.
struct Scheduled {
    due: Instant,
    order: u64,
    host: IpAddr,
    number: u32,
    packet: Vec<u8>,
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

/// The state of the wire's thread.
struct Responder {
    socket: Arc<OwnedFd>,
    record: Arc<Mutex<Record>>,
    wakeups: File,
    buffers: Vec<Vec<u8>>,
    answers: BinaryHeap<Scheduled>,
    scheduled: u64,
}

impl Responder {
    fn run(mut self) {
        loop {
            let is_woken = self.wait();
            if is_woken && self.wakeups.read(&mut [0; 64]).is_ok_and(|n| n == 0) {
                return; // The waker was dropped with the lab.
            }
            // The probes of all answers that are due by now are read before any is sent. So answers
            // are sent in the order in which they are due, however late this thread is.
            let now = Instant::now();
            let is_drained = (0..BATCHES_IN_A_ROW).any(|_| self.read_batch());
            self.send_due(now);
            if is_drained {
                self.notify_waiters();
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        let mut sent = Vec::new();
        while self.answers.peek().is_some_and(|answer| answer.due <= now) {
            let Scheduled { host, number, packet, .. } = self.answers.pop().expect("it was peeked");
            let start = Instant::now();
            send_packet(&self.socket, &packet);
            sent.push(Answered { time: start..Instant::now(), host, number });
        }
        if !sent.is_empty() {
            let mut record = self.record.lock().expect("no test panics while it holds the lock");
            record.counts.answers += sent.len() as u64;
            record.answered.append(&mut sent);
        }
    }

    /// Sleeps until there is something to read, or an answer is due. Returns whether it was woken
    /// by a test.
    fn wait(&self) -> bool {
        let due = self.answers.peek().map(|answer| answer.due);
        let timeout = due.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
        let mut fds =
            [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(self.wakeups.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => fds[1].any().unwrap_or(true),
            Err(e) => panic!("ppoll: {e}"),
        }
    }

    /// Reads up to one batch. Returns whether there was no more.
    fn read_batch(&mut self) -> bool {
        let arrived = match receive(&self.socket, &mut self.buffers) {
            Ok(arrived) => arrived,
            Err(Errno::EAGAIN) => return true,
            // ENETDOWN is returned once, when a test sets the link down.
            Err(Errno::ENETDOWN | Errno::EINTR) => return false,
            Err(e) => panic!("recvmmsg: {e}"),
        };
        let clock = Clock::read();
        let mut record = self.record.lock().expect("no test panics while it holds the lock");
        for (buffer, (len, stamp)) in self.buffers.iter().zip(&arrived) {
            let time = stamp.map_or(clock.monotonic, |stamp| clock.monotonic_of(stamp));
            let packet = buffer.get(ETHERNET..*len).unwrap_or(&[]);
            let Some(request) = Request::parse(packet) else {
                record.counts.others += 1;
                continue;
            };
            if !request.checksum_ok {
                record.counts.damaged += 1;
                continue;
            }
            let number = record.add(&request, time);
            let behaviour = record.hosts.behaviour(request.dst, number);
            if behaviour.lose.takes(number) || behaviour.copies == 0 {
                continue;
            }
            let packet = behaviour.packet(&request);
            for copy in 0..behaviour.copies {
                let due = time + behaviour.delay + behaviour.gap * copy;
                self.answers.push(Scheduled {
                    due,
                    order: self.scheduled,
                    host: request.dst,
                    number,
                    packet: packet.clone(),
                });
                self.scheduled += 1;
            }
        }
        arrived.len() < BATCH
    }

    fn notify_waiters(&mut self) {
        let mut record = self.record.lock().expect("no test panics while it holds the lock");
        if let Ok([_, drops]) = getsockopt(&self.socket, PacketStatistics) {
            record.counts.overflowed += u64::from(drops);
        }
        for waiter in record.waiters.drain(..) {
            let _ = waiter.send(());
        }
    }
}

/// Reads frames into the buffers; returns the length of each and the kernel's stamp.
fn receive(socket: &OwnedFd, buffers: &mut [Vec<u8>]) -> Result<Vec<(usize, Option<TimeSpec>)>, Errno> {
    // New for each call: nix 0.31 does not restore the space for stamps when headers are reused.
    let mut headers = MultiHeaders::<()>::preallocate(buffers.len(), Some(cmsg_space!(TimeSpec)));
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let messages = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    let stamp = |cmsg| match cmsg {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
        _ => None,
    };
    Ok(messages.map(|message| (message.bytes, message.cmsgs().ok().and_then(|mut all| all.find_map(stamp)))).collect())
}

impl Record {
    fn add(&mut self, request: &Request, time: Instant) -> u32 {
        let number = self.probes.entry(request.dst).or_default();
        *number += 1;
        self.counts.requests += 1;
        self.seen.push(Seen {
            time,
            src: request.src,
            dst: request.dst,
            number: *number,
            ident: request.ident,
            seq: request.seq,
            len: request.data.len(),
            ttl: request.ttl,
            tos: request.tos,
            dont_fragment: request.dont_fragment,
            data: if self.keep_data { request.data.into() } else { Box::default() },
        });
        *number
    }
}

/// Both clocks at one time: kernel stamps are wall-clock times, all times here are monotonic.
struct Clock {
    monotonic: Instant,
    wall: Duration,
}

impl Clock {
    /// Reads the wall clock between two readings of the monotonic one, and again if they are far
    /// apart: an error here would look like a burst of packets.
    fn read() -> Clock {
        let mut best: Option<(Duration, Clock)> = None;
        for _ in 0..5 {
            let before = Instant::now();
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
            let took = before.elapsed();
            if best.as_ref().is_none_or(|(least, _)| took < *least) {
                best = Some((took, Clock { monotonic: before + took / 2, wall }));
            }
            if took < Duration::from_micros(5) {
                break;
            }
        }
        best.expect("it was read at least once").1
    }

    fn monotonic_of(&self, stamp: TimeSpec) -> Instant {
        let age = self.wall.saturating_sub(Duration::from(stamp));
        // A stamp from before the machine started is a step of the wall clock.
        self.monotonic.checked_sub(age).unwrap_or(self.monotonic)
    }
}
