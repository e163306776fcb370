//! Other programs on the same machine ping as well, which must not change the results.
//!
//! First another program gets 200,000 Echo Replies a second while 40 live hosts are probed. Every
//! raw socket on the machine gets a copy of each; a program without a filter in the kernel reads
//! them all. The kernel's work for receiving the flood is not in the processor time of the program.
//! Then four runs at the same time share the wire: where one list has a silent host, the others
//! have a live one.

mod bed;
mod figures;

use std::fs;
use std::io::IoSlice;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, SockaddrIn, sendmmsg, socket,
};

use bed::{Bed, List, NEAR4, Program, Report, Run, alive4, begin, number, silent4};

const FLOOD: u32 = 200_000;
const HOSTS: u32 = 40;
const AT_ONCE: u32 = 4;
const HOSTS_EACH: u32 = 2000;
/// Seconds after which a program is stopped.
const TIME_LIMIT: &str = "30";

fn main() {
    begin();
    let bed = Bed::open();
    let mut report = Report::new("company");
    flooded(&bed, &mut report);
    at_once(&bed, &mut report);
    report.save();
}

fn flooded(bed: &Bed, report: &mut Report) {
    let list = List::new((0..HOSTS).map(alive4));
    let heads = ["program", "foreign replies/s", "alive", "unreachable", "no line", "wall s", "user ms", "system ms"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let programs = [Some(Program::ours(&[])), Program::original(&[]), Program::fping(&["-e", "-i", "20"])];
    for program in programs.into_iter().flatten().map(limited) {
        for flood in [0, FLOOD] {
            let flood = (flood > 0).then(|| bed.far().inside(|| Flood::start(flood)));
            let (before, since) = (bed.near().inside(replies_received), Instant::now());
            let run = bed.run(&program, Some(&list));
            let received = bed.near().inside(replies_received) - before;
            let foreign = (received as f64 - run.alive() as f64).max(0.0) / since.elapsed().as_secs_f64();
            drop(flood);
            rows.push(vec![
                program.name.clone(),
                number(foreign, 0),
                run.alive().to_string(),
                run.unreachable().to_string(),
                (list.len - run.alive() - run.unreachable()).to_string(),
                number(run.wall.as_secs_f64(), 3),
                number(run.user.as_secs_f64() * 1e3, 1),
                number(run.system.as_secs_f64() * 1e3, 1),
            ]);
            report.raw(&format!("{foreign:.0} foreign replies/s"), &program, &[run]);
        }
    }
    report.add(&format!("{HOSTS} live hosts at 50 packets a second; stopped after {TIME_LIMIT} s.\n"));
    report.table(&rows);
}

/// The program, with a time limit.
fn limited(mut program: Program) -> Program {
    let path = std::mem::replace(&mut program.path, "timeout".into());
    program.args.splice(0..0, [TIME_LIMIT.to_owned(), path.display().to_string()]);
    program
}

fn at_once(bed: &Bed, report: &mut Report) {
    let heads = ["program", "lines", "wrongly alive", "wrongly unreachable", "no line"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let ours = Program::ours(&["--max-pps=2000", "--timeout=1", "--retries=1"]);
    let original = Program::original(&["--max-pps=2000", "--timeout=1", "--retries=1"]);
    let fping = Program::fping(&["-e", "-i", "0.5", "-t", "1000", "-r", "1"]);
    for program in [Some(ours), original, fping].into_iter().flatten().map(limited) {
        let runs: Vec<Run> = thread::scope(|scope| {
            let start = |which| {
                let program = &program;
                // Every fourth host is silent, a different fourth in each list.
                let host = move |n| if n % AT_ONCE == which { silent4(n) } else { alive4(n) };
                scope.spawn(move || bed.run(program, Some(&List::new((0..HOSTS_EACH).map(host)))))
            };
            let running: Vec<_> = (0..AT_ONCE).map(start).collect();
            running.into_iter().map(|run| run.join().expect("a run does not panic")).collect()
        });
        let is_silent = |host: &std::net::Ipv4Addr| host.octets()[1] >= 128;
        let verdicts: Vec<_> = runs.iter().flat_map(|run| figures::verdicts(&run.stdout)).collect();
        let wrongly_alive = verdicts.iter().filter(|(host, rtt)| is_silent(host) && rtt.is_some()).count();
        let wrongly_unreachable = verdicts.iter().filter(|(host, rtt)| !is_silent(host) && rtt.is_none()).count();
        let missing = (AT_ONCE * HOSTS_EACH) as usize - verdicts.len();
        let figures = [verdicts.len(), wrongly_alive, wrongly_unreachable, missing].map(|figure| figure.to_string());
        rows.push([vec![program.name.clone()], figures.to_vec()].concat());
        report.raw("four at once", &program, &runs);
    }
    report.add(&format!("{AT_ONCE} runs at once, {HOSTS_EACH} hosts each, every fourth of them silent.\n"));
    report.table(&rows);
}

/// Unsolicited Echo Replies from the far end.
struct Flood {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    const BATCH: usize = 64;
    const PERIOD: Duration = Duration::from_micros(500);

    /// Starts it in the namespace of the calling thread.
    fn start(per_second: u32) -> Flood {
        let socket = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Icmp);
        let socket = socket.expect("root may open raw sockets");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let packet = foreign_reply();
            let slices: [[IoSlice; 1]; Self::BATCH] = std::array::from_fn(|_| [IoSlice::new(&packet)]);
            let to = [Some(SockaddrIn::from(SocketAddrV4::new(NEAR4, 0))); Self::BATCH];
            let mut headers = MultiHeaders::preallocate(Self::BATCH, None);
            let (start, mut sent) = (Instant::now(), 0.0);
            while !stopped.load(Ordering::Relaxed) {
                let due = start.elapsed().as_secs_f64() * f64::from(per_second);
                // Catches up with what a busy machine prevented.
                while sent < due && !stopped.load(Ordering::Relaxed) {
                    let _ = sendmmsg(socket.as_raw_fd(), &mut headers, &slices, to, [], MsgFlags::empty());
                    sent += Self::BATCH as f64;
                }
                thread::sleep(Self::PERIOD);
            }
        });
        // Until the flood is at its rate.
        thread::sleep(Duration::from_millis(200));
        Flood { stop, thread: Some(thread) }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An Echo Reply with an Identifier of no program, and a valid checksum.
fn foreign_reply() -> Vec<u8> {
    let mut packet = vec![0, 0, 0, 0, 0x5a, 0x5a, 0, 1];
    packet.extend([0x5a; 56]);
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !((folded & 0xffff) + (folded >> 16)) as u16;
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// How many Echo Replies the kernel of the calling thread's namespace has received.
fn replies_received() -> u64 {
    let snmp = fs::read_to_string("/proc/thread-self/net/snmp").expect("/proc is mounted");
    let mut lines = snmp.lines().filter_map(|line| line.strip_prefix("Icmp: "));
    let (heads, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut columns = heads.split(' ').zip(values.split(' '));
    columns
        .find(|(head, _)| *head == "InEchoReps")
        .and_then(|(_, value)| value.parse().ok())
        .expect("the kernel counts them")
}
