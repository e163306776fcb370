//! A process in the namespace: started, watched, fed, signalled, and waited for with a limit.
//!
//! Nothing here can hang a test. What the process reads is written by one thread, what it writes is collected by two
//! others, and [`Running::finish`] kills it when its time is up and then panics with all it has said. A test that
//! fails on the way leaves no process behind either: dropping a [`Running`] kills it.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{self, Signal};
use nix::unistd::{Pid, pipe2};

use super::peer::is_fping;

/// How often a process is looked at while somebody waits for it.
const TICK: Duration = Duration::from_millis(1);
/// How long the pipes of an ended process may stay open (a grandchild may hold them).
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a process ended and what it said.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The exit code, unless it died by a signal.
    pub code: Option<i32>,
    /// The signal it died by.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// From just before it was started until it was seen to have ended.
    pub wall: Duration,
    /// The most memory it was seen to hold, in KiB. Looked at every millisecond: a lower bound.
    pub peak_rss_kib: u64,
}

impl Outcome {
    /// True if the run completed, whatever the hosts said: exit 0, and for fping 1 (unreachable) and 2 (no address) too.
    pub fn is_complete(&self) -> bool {
        self.code.is_some_and(|code| code == 0 || is_fping() && (1..=2).contains(&code))
    }

    /// The lines of stdout.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().collect()
    }

    /// The lines of stdout without their RTTs.
    pub fn verdicts(&self) -> Vec<&str> {
        self.stdout.lines().map(|line| line.split(" (").next().unwrap_or("")).collect()
    }

    /// What the last line for an address says after `is`; empty if there is no line for it.
    pub fn said_of(&self, address: &str) -> &str {
        let of_it = |line: &'_ str| line.strip_prefix(address).is_some_and(|rest| rest.starts_with(" is "));
        let line = self.stdout.lines().rev().find(|line| of_it(line));
        line.map_or("", |line| &line[address.len() + " is ".len()..])
    }

    pub fn is_alive(&self, address: &str) -> bool {
        self.said_of(address).starts_with("alive (")
    }

    /// The RTT on the last line for an address, if that calls it alive.
    pub fn rtt_of(&self, address: &str) -> Option<Duration> {
        let (number, unit) = self.said_of(address).strip_prefix("alive (")?.strip_suffix(')')?.split_once(' ')?;
        let per_second = match unit {
            "usec" => 1e6,
            "ms" => 1e3,
            _ => return None,
        };
        Some(Duration::from_secs_f64(number.parse::<f64>().ok()? / per_second))
    }

    /// The first line of stderr, which is all that Xymon logs; empty if there is none.
    pub fn complaint(&self) -> &str {
        self.stderr.lines().next().unwrap_or("")
    }
}

/// A process that runs.
pub struct Running {
    child: Child,
    started: Instant,
    feed: Option<Sender<Vec<u8>>>,
    stdout: Collector,
    stderr: Collector,
    peak_rss_kib: u64,
}

impl Running {
    /// Starts `command` on the calling thread, and so in its namespace, with a pipe for each of 0, 1 and 2.
    pub fn start(command: &mut Command) -> io::Result<Running> {
        Running::start_as_is(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// The same with the ends that `command` has been given. Those that are no pipes of ours are the test's to feed and
    /// to read.
    pub fn start_as_is(command: &mut Command) -> io::Result<Running> {
        let started = Instant::now();
        let mut child = command.spawn()?;
        let (feed, food) = mpsc::channel::<Vec<u8>>();
        if let Some(mut stdin) = child.stdin.take() {
            // Ends with the sender, or when the process reads no more: it need not read everything.
            thread::spawn(move || food.iter().try_for_each(|bytes| stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map_or_else(|| Collector::start(io::empty()), Collector::start);
        let stderr = child.stderr.take().map_or_else(|| Collector::start(io::empty()), Collector::start);
        Ok(Running { child, started, feed: Some(feed), stdout, stderr, peak_rss_kib: 0 })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Gives the process more to read. Never blocks.
    pub fn feed(&self, bytes: impl AsRef<[u8]>) {
        let feed = self.feed.as_ref().expect("stdin is not closed yet");
        // Where the process has closed its stdin, the bytes go nowhere, as they would in life.
        let _ = feed.send(bytes.as_ref().to_vec());
    }

    /// End of input, once all of it is read.
    pub fn close_stdin(&mut self) {
        self.feed = None;
    }

    /// Sends it a signal. Panics if it has ended: its number may be another's by now.
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.is_running(), "it ended before {signal}; {}", self.said());
        let pid = Pid::from_raw(self.child.id() as i32);
        signal::kill(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// A field of /proc/PID/status, such as `Uid`; None when the process has ended.
    pub fn status(&self, field: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    pub fn stdout_so_far(&self) -> String {
        self.stdout.text()
    }

    pub fn stderr_so_far(&self) -> String {
        self.stderr.text()
    }

    /// False as soon as the process has ended; [`Running::finish`] then says how.
    pub fn is_running(&mut self) -> bool {
        self.try_wait().is_none()
    }

    /// Waits until it catches signals, which it does before it reads anything.
    pub fn wait_until_signals_are_caught(&mut self) {
        self.wait_until(super::LIMIT, "does not catch signals", |running| {
            let blocked = running.status("SigBlk").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
            blocked.is_some_and(|mask| mask & 1 << (Signal::SIGUSR2 as i32 - 1) != 0)
        });
    }

    /// Waits until `condition` holds. Panics after `limit`, or if the process ends first.
    pub fn wait_until(&mut self, limit: Duration, what: &str, mut condition: impl FnMut(&Running) -> bool) {
        let deadline = Instant::now() + limit;
        while !condition(self) {
            let ended = self.try_wait().is_some();
            if ended {
                self.hear_out();
            }
            // What was true at the very end counts.
            if ended && condition(self) {
                return;
            }
            if ended || Instant::now() >= deadline {
                panic!("{} {what}; {}", if ended { "it ended before" } else { "timeout:" }, self.said());
            }
            thread::sleep(TICK);
        }
    }

    /// Closes its stdin and waits for its end. After `limit` it is killed, and the test fails.
    pub fn finish(mut self, limit: Duration) -> Outcome {
        let deadline = Instant::now() + limit;
        // One look at its memory before it may end.
        self.try_wait();
        self.close_stdin();
        let status = loop {
            if let Some(status) = self.try_wait() {
                break status;
            }
            if Instant::now() >= deadline {
                panic!("it still ran after {limit:?}; {}", self.said());
            }
            thread::sleep(TICK);
        };
        let wall = self.started.elapsed();
        self.hear_out();
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            wall,
            peak_rss_kib: self.peak_rss_kib,
        }
    }

    /// Once it has ended: waits until all that it has written is collected.
    fn hear_out(&self) {
        let deadline = Instant::now() + LAST_WORDS;
        while !(self.stdout.is_done() && self.stderr.is_done()) && Instant::now() < deadline {
            thread::sleep(TICK);
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        let held = self.status("VmHWM").and_then(|value| value.strip_suffix(" kB")?.parse().ok());
        self.peak_rss_kib = self.peak_rss_kib.max(held.unwrap_or(0));
        self.child.try_wait().expect("a child can be waited for")
    }

    fn said(&self) -> String {
        format!("stdout: {:?}, stderr: {:?}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has been waited for already, and that is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A thread that reads a pipe to its end.
struct Collector {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start(mut pipe: impl Read + Send + 'static) -> Collector {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let filled = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                filled.lock().expect("nobody panics while holding it").extend(&buffer[..n]);
            }
        });
        Collector { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("nobody panics while holding it")).into_owned()
    }

    fn is_done(&self) -> bool {
        self.thread.is_finished()
    }
}

/// A pipe: its reading end and its writing end, closed on exec.
pub fn pipe() -> (File, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    (reader.into(), writer.into())
}
