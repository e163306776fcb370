//! The far end of the wire: one thread that sees every packet and answers as it was told.
//!
//! It holds a packet socket on the far end of a veth pair, so it needs no device node and no `unsafe`, and the kernel
//! stamps each arrival: what a test reads in [`Seen::time`] is when the packet was on the wire, not when this thread
//! got round to it, and a delay counts from there. Answers that leave later wait in a heap.
//!
//! A panic here ends the thread, and the next question a test asks the wire panics in turn.

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

/// The hardware addresses of the two ends. They are fixed so that nobody has to ask for them.
pub const NEAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
pub const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
const ETHERNET: usize = 14;

/// Packets read in one system call, and how many such calls before the due answers get their turn.
const BATCH: usize = 64;
const BATCHES_IN_A_ROW: usize = 8;
/// The kernel doubles it, and an ordinary probe takes 832 bytes on a veth pair: room for more than 100,000.
const RECEIVE_BUFFER: usize = 64 << 20;

sockopt_impl!(
    /// Do not show us what we send ourselves.
    IgnoreOutgoing, SetOnly, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, bool);
sockopt_impl!(
    /// `struct tpacket_stats`: packets, drops. Reading sets both back to zero.
    PacketStatistics, GetOnly, libc::SOL_PACKET, libc::PACKET_STATISTICS, [u32; 2]);

/// One Echo Request that the wire saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was on the wire, by the kernel's stamp.
    pub time: Instant,
    pub src: IpAddr,
    pub dst: IpAddr,
    /// The how manyth for this destination, from 1.
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
    /// The data, where the test asked to keep it; else empty.
    pub data: Box<[u8]>,
}

/// One answer that the wire sent.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Between which moments it was put on the wire: the kernel stamped its arrival in between.
    pub time: Range<Instant>,
    /// Who was probed.
    pub host: IpAddr,
    /// Which of the probes to this host it answers, from 1.
    pub number: u32,
}

/// What the wire has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Echo Requests with a right checksum.
    pub requests: u64,
    /// Echo Requests with a wrong one. They get no answer and are not in the list.
    pub damaged: u64,
    /// Everything else: neighbour discovery, replies to strangers, fragments.
    pub others: u64,
    /// Answers sent.
    pub answers: u64,
    /// Packets that did not fit into this thread's receive buffer or were dropped on the wire. The lab's own failure,
    /// unless the test took a link down.
    pub overflowed: u64,
}

/// What the wire's thread and the tests share.
#[derive(Default)]
pub struct Book {
    pub hosts: Hosts,
    pub keep_data: bool,
    pub seen: Vec<Seen>,
    pub answered: Vec<Answered>,
    pub counts: Counts,
    probes: HashMap<IpAddr, u32>,
    waiting: Vec<Sender<()>>,
}

impl Book {
    /// Starts counting anew: the next probe of each host is its first.
    pub fn forget(&mut self) {
        self.seen.clear();
        self.answered.clear();
        self.probes.clear();
        self.counts = Counts::default();
    }
}

/// The wire itself. Dropping it ends its thread.
pub struct Wire {
    socket: Arc<OwnedFd>,
    book: Arc<Mutex<Book>>,
    bell: Option<File>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// Opens the far end. To be called from inside the namespace; the wire may be used from anywhere.
    pub fn open(device: &str) -> Result<Wire, String> {
        let socket = Arc::new(packet_socket(device)?);
        let book = Arc::new(Mutex::new(Book::default()));
        let (listener, bell) = pipe();
        let responder = Responder {
            socket: Arc::clone(&socket),
            book: Arc::clone(&book),
            bell: listener,
            buffers: vec![vec![0; ETHERNET + 65_535]; BATCH],
            answers: BinaryHeap::new(),
            scheduled: 0,
        };
        let thread =
            thread::Builder::new().name("wire".into()).spawn(|| responder.run()).map_err(|e| format!("thread: {e}"))?;
        Ok(Wire { socket, book, bell: Some(bell), thread: Some(thread) })
    }

    /// The book, to change what the hosts do. For reading what was seen take [`Wire::settled_book`].
    pub fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("the wire's thread is well")
    }

    /// The book, with everything in it that has been sent so far.
    pub fn settled_book(&self) -> MutexGuard<'_, Book> {
        // A busy kernel may hand packets over a little after send() returned (ksoftirqd).
        thread::sleep(Duration::from_millis(5));
        let (done, wait) = mpsc::channel();
        self.book().waiting.push(done);
        self.bell.as_ref().expect("it is there until drop").write_all(&[0]).expect("the wire's thread is well");
        wait.recv().expect("the wire's thread is well");
        self.book()
    }

    /// Puts any IP packet on the wire, towards the host. Errors (the link is down) are as good as loss.
    pub fn inject(&self, packet: &[u8]) {
        put(&self.socket, packet);
    }

    /// Puts many IP packets of one family on the wire, as fast as it takes them.
    pub fn inject_all(&self, packets: &[Vec<u8>]) {
        put_all(&self.socket, packets);
    }

    /// Puts packets on the wire at an even rate, until the result is dropped. `make` is called with 0, 1, 2, ...
    pub fn stream(&self, per_second: u32, make: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Stream {
        let socket = Arc::clone(&self.socket);
        let (stop, stopped) = mpsc::channel();
        let period = Duration::from_secs(1) / per_second;
        let work = move || {
            let mut due = Instant::now();
            for number in 0.. {
                put(&socket, &make(number));
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
        drop(self.bell.take());
        if let Some(thread) = self.thread.take() {
            // Its panic, if any, has reached the test by another way already.
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
    // nix has no constructor for link-layer addresses, but the list of interfaces holds the one we need.
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

/// Puts an IP packet on the wire.
fn put(socket: &OwnedFd, packet: &[u8]) {
    let frame = [&ethernet(packet), packet].concat();
    // The link may be down because the test wants it down. That is loss, and loss is silent.
    let _ = send(socket.as_raw_fd(), &frame, MsgFlags::empty());
}

/// Puts IP packets of one family on the wire, in as few system calls as possible.
fn put_all(socket: &OwnedFd, packets: &[Vec<u8>]) {
    let Some(first) = packets.first() else { return };
    let head = ethernet(first);
    let frames: Vec<_> = packets.iter().map(|packet| [IoSlice::new(&head), IoSlice::new(packet)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let mut rest = &frames[..];
    while !rest.is_empty() {
        let batch = &rest[..rest.len().min(BATCH)];
        let sent = sendmmsg(socket.as_raw_fd(), &mut headers, batch, [None; BATCH], [], MsgFlags::empty());
        // One that could not be sent is lost, and the others follow.
        rest = &rest[sent.map_or(1, Iterator::count).max(1)..];
    }
}

/// What goes before an IP packet on the wire.
fn ethernet(packet: &[u8]) -> [u8; ETHERNET] {
    let ether_type: u16 = if packet.first().is_some_and(|byte| byte >> 4 == 6) { 0x86dd } else { 0x0800 };
    let mut head = [0; ETHERNET];
    head[..6].copy_from_slice(&NEAR_MAC);
    head[6..12].copy_from_slice(&FAR_MAC);
    head[12..].copy_from_slice(&ether_type.to_be_bytes());
    head
}

/// An answer that waits for its time. The heap gives the earliest, and of equals the one made first.
struct Answer {
    due: Instant,
    order: u64,
    host: IpAddr,
    number: u32,
    packet: Vec<u8>,
}

impl Ord for Answer {
    fn cmp(&self, other: &Answer) -> Ordering {
        (other.due, other.order).cmp(&(self.due, self.order))
    }
}

impl PartialOrd for Answer {
    fn partial_cmp(&self, other: &Answer) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Answer {
    fn eq(&self, other: &Answer) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Answer {}

/// What the wire's thread owns.
struct Responder {
    socket: Arc<OwnedFd>,
    book: Arc<Mutex<Book>>,
    bell: File,
    buffers: Vec<Vec<u8>>,
    answers: BinaryHeap<Answer>,
    scheduled: u64,
}

impl Responder {
    fn run(mut self) {
        loop {
            let rung = self.wait();
            if rung && self.bell.read(&mut [0; 64]).is_ok_and(|n| n == 0) {
                return; // The other end of the bell is gone: so is the lab.
            }
            // Whoever is due by now was asked before now, and has been read below before anybody is sent. So answers
            // leave in the order in which they are due, however late this thread is.
            let now = Instant::now();
            let is_drained = (0..BATCHES_IN_A_ROW).any(|_| self.read_batch());
            self.send_due(now);
            if is_drained {
                self.tell_the_waiting();
            }
        }
    }

    fn send_due(&mut self, now: Instant) {
        let mut sent = Vec::new();
        while self.answers.peek().is_some_and(|answer| answer.due <= now) {
            let Answer { host, number, packet, .. } = self.answers.pop().expect("it was there");
            let start = Instant::now();
            put(&self.socket, &packet);
            sent.push(Answered { time: start..Instant::now(), host, number });
        }
        if !sent.is_empty() {
            let mut book = self.book.lock().expect("no test panics while it holds the book");
            book.counts.answers += sent.len() as u64;
            book.answered.append(&mut sent);
        }
    }

    /// Sleeps until there is something to read, or an answer is due. True if the bell was rung.
    fn wait(&self) -> bool {
        let due = self.answers.peek().map(|answer| answer.due);
        let timeout = due.map(|due| TimeSpec::from_duration(due.saturating_duration_since(Instant::now())));
        let mut fds =
            [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN), PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, timeout, None) {
            Ok(_) | Err(Errno::EINTR) => fds[1].any().unwrap_or(true),
            Err(e) => panic!("ppoll: {e}"),
        }
    }

    /// Reads what is there, up to one batch. True if there was no more.
    fn read_batch(&mut self) -> bool {
        let arrived = match receive(&self.socket, &mut self.buffers) {
            Ok(arrived) => arrived,
            Err(Errno::EAGAIN) => return true,
            // ENETDOWN is told once, when a test takes the link down. Whatever comes later comes later.
            Err(Errno::ENETDOWN | Errno::EINTR) => return false,
            Err(e) => panic!("recvmmsg: {e}"),
        };
        let clock = Clock::read();
        let mut book = self.book.lock().expect("no test panics while it holds the book");
        for (buffer, (len, stamp)) in self.buffers.iter().zip(&arrived) {
            let time = stamp.map_or(clock.monotonic, |stamp| clock.monotonic_of(stamp));
            let packet = buffer.get(ETHERNET..*len).unwrap_or(&[]);
            let Some(request) = Request::parse(packet) else {
                book.counts.others += 1;
                continue;
            };
            if !request.checksum_ok {
                book.counts.damaged += 1;
                continue;
            }
            let number = book.note(&request, time);
            let behaviour = book.hosts.behaviour(request.dst, number);
            if behaviour.lose.takes(number) || behaviour.copies == 0 {
                continue;
            }
            let packet = behaviour.packet(&request);
            for copy in 0..behaviour.copies {
                let due = time + behaviour.delay + behaviour.gap * copy;
                self.answers.push(Answer {
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

    fn tell_the_waiting(&mut self) {
        let mut book = self.book.lock().expect("no test panics while it holds the book");
        if let Ok([_, drops]) = getsockopt(&self.socket, PacketStatistics) {
            book.counts.overflowed += u64::from(drops);
        }
        for waiting in book.waiting.drain(..) {
            // Who no longer waits need not be told.
            let _ = waiting.send(());
        }
    }
}

/// Fills the buffers with frames; gives each frame's length and the kernel's stamp.
fn receive(socket: &OwnedFd, buffers: &mut [Vec<u8>]) -> Result<Vec<(usize, Option<TimeSpec>)>, Errno> {
    // Made anew for each call: nix 0.31 does not restore the room for stamps when headers are used again.
    let mut headers = MultiHeaders::<()>::preallocate(buffers.len(), Some(cmsg_space!(TimeSpec)));
    let mut slices: Vec<_> = buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
    let messages = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
    let stamp = |cmsg| match cmsg {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(stamp),
        _ => None,
    };
    Ok(messages.map(|message| (message.bytes, message.cmsgs().ok().and_then(|mut all| all.find_map(stamp)))).collect())
}

impl Book {
    fn note(&mut self, request: &Request, time: Instant) -> u32 {
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

/// Both clocks at one moment: kernel stamps are of the wall clock, everything here is monotonic.
struct Clock {
    monotonic: Instant,
    wall: Duration,
}

impl Clock {
    /// Reads the wall clock between two readings of the monotonic one, again if somebody else ran in between: an error
    /// here would look like a program that sends in bursts.
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
