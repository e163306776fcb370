//! A process in the namespace: started, given input, signalled, and waited for with a time limit.
//!
//! Nothing here can hang a test. One thread writes the input of the process, two others collect its
//! output, and [`Running::finish`] kills it after its time limit and then panics with that output.
//! A test that fails earlier leaves no process behind either: dropping a [`Running`] kills it.

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

/// How often a process is checked while it is waited for.
pub(super) const POLL: Duration = Duration::from_millis(1);
/// How long the pipes of a process may stay open after its end, because a child of it has them.
const PIPE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a process ended, and its output.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The exit code, unless it died by a signal.
    pub code: Option<i32>,
    /// The signal it died by.
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// From just before it was started until it was seen to have ended.
    pub wall: Duration,
    /// Its peak memory, in KiB, read every millisecond: a lower bound.
    pub peak_rss_kib: u64,
}

impl Finished {
    /// Whether the run completed, whatever its results: exit 0, and for fping 1 (unreachable) and 2
    /// (no address) too.
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

    /// What follows `is` in the last line for an address; empty without a line.
    pub fn verdict_of(&self, address: &str) -> &str {
        let is_for_it = |line: &'_ str| line.strip_prefix(address).is_some_and(|rest| rest.starts_with(" is "));
        let line = self.stdout.lines().rev().find(|line| is_for_it(line));
        line.map_or("", |line| &line[address.len() + " is ".len()..])
    }

    pub fn is_alive(&self, address: &str) -> bool {
        self.verdict_of(address).starts_with("alive (")
    }

    /// The RTT on the last line for an address, if it is alive.
    pub fn rtt_of(&self, address: &str) -> Option<Duration> {
        let (number, unit) = self.verdict_of(address).strip_prefix("alive (")?.strip_suffix(')')?.split_once(' ')?;
        let per_second = match unit {
            "usec" => 1e6,
            "ms" => 1e3,
            _ => return None,
        };
        Some(Duration::from_secs_f64(number.parse::<f64>().ok()? / per_second))
    }

    /// The first line of stderr, which is all that Xymon logs; empty without one.
    pub fn first_stderr_line(&self) -> &str {
        self.stderr.lines().next().unwrap_or("")
    }
}

/// A process that runs.
pub struct Running {
    child: Child,
    started: Instant,
    input: Option<Sender<Vec<u8>>>,
    stdout: Collector,
    stderr: Collector,
    peak_rss_kib: u64,
}

impl Running {
    /// Starts `command` on the calling thread, and so in its namespace, with a pipe for each of 0,
    /// 1 and 2.
    pub fn start(command: &mut Command) -> io::Result<Running> {
        Running::start_as_is(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    /// The same with the stdin, stdout and stderr of `command`. Those that are not pipes made here
    /// are left to the test.
    pub fn start_as_is(command: &mut Command) -> io::Result<Running> {
        let started = Instant::now();
        let mut child = command.spawn()?;
        let (sender, input) = mpsc::channel::<Vec<u8>>();
        if let Some(mut stdin) = child.stdin.take() {
            // Ends with the sender, or when the process closes its stdin.
            thread::spawn(move || input.iter().try_for_each(|bytes| stdin.write_all(&bytes)));
        }
        let stdout = child.stdout.take().map_or_else(|| Collector::start(io::empty()), Collector::start);
        let stderr = child.stderr.take().map_or_else(|| Collector::start(io::empty()), Collector::start);
        Ok(Running { child, started, input: Some(sender), stdout, stderr, peak_rss_kib: 0 })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the stdin of the process. Never blocks.
    pub fn feed(&self, bytes: impl AsRef<[u8]>) {
        let sender = self.input.as_ref().expect("stdin is not closed yet");
        // Fails if the process has closed its stdin.
        let _ = sender.send(bytes.as_ref().to_vec());
    }

    /// Closes the stdin of the process, once all input is written.
    pub fn close_stdin(&mut self) {
        self.input = None;
    }

    /// Sends it a signal. Panics if it has ended, because its process id may have been reused.
    pub fn signal(&mut self, signal: Signal) {
        assert!(self.is_running(), "it ended before {signal}; {}", self.output());
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

    /// Waits until it has blocked signals, which it does before it reads anything.
    pub fn wait_until_signals_are_blocked(&mut self) {
        self.wait_until(super::LIMIT, "does not block signals", |running| {
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
                self.collect_output();
            }
            // The condition may have become true just before the end.
            if ended && condition(self) {
                return;
            }
            if ended || Instant::now() >= deadline {
                panic!("{} {what}; {}", if ended { "it ended before" } else { "timeout:" }, self.output());
            }
            thread::sleep(POLL);
        }
    }

    /// Closes its stdin and waits for its end. After `limit` it is killed, and the test fails.
    pub fn finish(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        // Reads its memory once before it may end.
        self.try_wait();
        self.close_stdin();
        let status = loop {
            if let Some(status) = self.try_wait() {
                break status;
            }
            if Instant::now() >= deadline {
                panic!("it still ran after {limit:?}; {}", self.output());
            }
            thread::sleep(POLL);
        };
        let wall = self.started.elapsed();
        self.collect_output();
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
            wall,
            peak_rss_kib: self.peak_rss_kib,
        }
    }

    /// Waits until all output is collected. Call after its end.
    fn collect_output(&self) {
        let deadline = Instant::now() + PIPE_TIMEOUT;
        while !(self.stdout.is_done() && self.stderr.is_done()) && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }

    fn try_wait(&mut self) -> Option<ExitStatus> {
        let peak = self.status("VmHWM").and_then(|value| value.strip_suffix(" kB")?.parse().ok());
        self.peak_rss_kib = self.peak_rss_kib.max(peak.unwrap_or(0));
        self.child.try_wait().expect("a child can be waited for")
    }

    fn output(&self) -> String {
        format!("stdout: {:?}, stderr: {:?}", self.stdout.text(), self.stderr.text())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has already been waited for.
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
        let collected = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                collected.lock().expect("no thread panics while it holds the lock").extend(&buffer[..n]);
            }
        });
        Collector { bytes, thread }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("no thread panics while it holds the lock")).into_owned()
    }

    fn is_done(&self) -> bool {
        self.thread.is_finished()
    }
}

/// A pipe: the end to read from and the end to write to, closed on exec.
pub fn pipe() -> (File, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    (reader.into(), writer.into())
}

/// A full pipe without a reader.
pub fn full_pipe() -> (File, File) {
    let (unread, full) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
    let (unread, mut full) = (File::from(unread), File::from(full));
    while full.write(&[b'\n'; 4096]).is_ok() {}
    (unread, full)
}
