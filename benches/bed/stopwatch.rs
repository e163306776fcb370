//! Runs a program, and measures its time and memory.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::unistd::{Pid, close};

use super::{LIMIT, Program};

/// The time, memory and output of a run.
#[derive(Clone, Debug)]
pub struct Run {
    /// From before the start to after the end.
    pub wall: Duration,
    /// Processor time in user space and in the kernel.
    pub user: Duration,
    pub system: Duration,
    /// Peak resident memory, in bytes; at least that of the small process that starts it (see
    /// `begin`).
    pub peak_rss: u64,
    /// The exit code; `None` after death by a signal.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// How many lines of stdout are of alive hosts. fping and both xymonpings print the same words.
    pub fn alive(&self) -> usize {
        self.stdout.lines().filter(|line| line.contains(" is alive")).count()
    }

    /// How many lines of stdout are of unreachable hosts.
    pub fn unreachable(&self) -> usize {
        self.stdout.lines().filter(|line| line.contains(" is unreachable")).count()
    }
}

/// Runs a program in the namespace of the calling thread, through [`play`].
pub(super) fn run(program: &Program, list: Option<&Path>, out: &Path) -> io::Result<Run> {
    let output = Command::new(std::env::current_exe()?)
        .args(["--role=run".as_ref(), list.unwrap_or("/dev/null".as_ref()).as_os_str(), out.as_os_str()])
        .arg(&program.path)
        .args(&program.args)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let figures: Vec<i64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[wall, user, system, peak_rss, code] = figures.as_slice() else {
        return Err(io::Error::other(format!("no figures: {text}{stderr}")));
    };
    if wall >= LIMIT.as_nanos() as i64 {
        return Err(io::Error::other(format!("killed after {LIMIT:?}")));
    }
    Ok(Run {
        wall: Duration::from_nanos(wall as u64),
        user: Duration::from_micros(user as u64),
        system: Duration::from_micros(system as u64),
        peak_rss: peak_rss as u64,
        code: i32::try_from(code).ok().filter(|&code| code >= 0),
        stdout: String::from_utf8_lossy(&fs::read(out)?).into_owned(),
        stderr,
    })
}

/// The role of the small process: `LIST OUT PROGRAM ARGS...`. The program is its only child
/// process, so the figures that the kernel has for its children are those of the program.
pub(super) fn play(args: &[OsString]) -> i32 {
    let [list, out, program, args @ ..] = args else { return 2 };
    close_inherited();
    let files = File::open(list).and_then(|list| Ok((list, File::create(out)?)));
    let (list, out) = files.unwrap_or_else(|e| panic!("list or output: {e}"));
    let mut command = Command::new(program);
    command.args(args).stdin(list).stdout(out);

    let start = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", program.to_string_lossy()));
    let pid = Pid::from_raw(child.id() as i32);
    let (ended, end) = mpsc::channel::<()>();
    thread::spawn(move || {
        if end.recv_timeout(LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = kill(pid, Signal::SIGKILL);
        }
    });
    let status = child.wait().expect("a child can be waited for");
    let wall = start.elapsed();
    drop(ended);

    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it cannot fail");
    let micros = |time: TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
    println!(
        "{} {} {} {} {}",
        wall.as_nanos(),
        micros(usage.user_time()),
        micros(usage.system_time()),
        usage.max_rss() * 1024,
        status.code().unwrap_or(-1),
    );
    0
}

/// Closes inherited descriptors, so that a program that closes them itself is not slower.
fn close_inherited() {
    let names = fs::read_dir("/proc/self/fd").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let numbers: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    for number in numbers.into_iter().filter(|&number| number > 2) {
        let _ = close(number);
    }
}
