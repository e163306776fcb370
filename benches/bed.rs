//! The test bed of the benchmarks: two network namespaces with a wire between them, and a
//! stopwatch.
//!
//! At the far end all addresses of 10.0.0.0/9 and fd00::/17 are alive; those of 10.128.0.0/9 and
//! fd00:8000::/17 receive every packet and stay silent. Nothing leaves this machine, and the
//! namespaces end with the process.
//!
//! A program runs in the near namespace, with a list as its stdin and a file as its stdout. It is
//! started by a small process of its own (the benchmark itself, called with a role), because the
//! kernel reports the peak memory of child processes only for all of them together. Measured are
//! the time from before the start to after the end, and the processor times and peak memory that
//! the kernel accounts.
//!
//! Programs to compare with are named in the environment: `FPING=/path` and
//! `XYMONPING_ORIGINAL=/path`.

// Each benchmark uses a part of this.
#![allow(dead_code, unused_imports, clippy::exit, clippy::print_stdout)]

#[path = "bed/bare.rs"]
mod bare;
#[path = "bed/bpf.rs"]
pub mod bpf;
#[path = "../tests/lab/namespace.rs"]
mod namespace;
#[path = "bed/report.rs"]
mod report;
#[path = "bed/stopwatch.rs"]
mod stopwatch;

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::time::Duration;

use nix::unistd::geteuid;

pub use namespace::Namespace;
pub use report::{Report, median, median_of, number, ratio};
pub use stopwatch::Run;

/// The devices at both ends.
pub const NEAR: &str = "near0";
pub const FAR: &str = "far0";

/// The addresses at both ends.
pub const NEAR4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const FAR4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const NEAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub const FAR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

/// Neighbours are known from the start, so that no first packet waits for ARP.
const NEAR_MAC: &str = "02:00:00:00:00:01";
pub const FAR_MAC: &str = "02:00:00:00:00:02";

/// A program that takes longer than this is killed, and the benchmark fails.
pub const LIMIT: Duration = Duration::from_secs(170);

const STATIC_TARGET: &str = "x86_64-unknown-linux-musl";

/// The first call of a benchmark: performs the role that it was started in, if any. Ends the
/// process if it cannot measure.
pub fn begin() {
    let args: Vec<OsString> = env::args_os().skip(1).collect();
    match args.first().and_then(|role| role.to_str()) {
        Some("--role=run") => process::exit(stopwatch::play(&args[1..])),
        Some("--role=bare") => process::exit(bare::play(&args[1..])),
        _ => {}
    }
    if !args.iter().any(|arg| arg == "--bench") {
        println!("this is a benchmark: cargo bench --bench NAME");
        process::exit(0);
    }
    if !geteuid().is_root() {
        println!("SKIPPED: benchmarks make network namespaces and open raw sockets, so they need root");
        process::exit(0);
    }
}

/// The `n`th of the hosts that reply.
pub fn alive4(n: u32) -> IpAddr {
    assert!(n < 1 << 23);
    Ipv4Addr::from_bits(0x0a00_0000 + n).into()
}

/// The `n`th of the hosts that reply.
pub fn alive6(n: u32) -> IpAddr {
    Ipv6Addr::from_bits((0xfd00 << 112) + u128::from(n)).into()
}

/// The `n`th of the hosts that stay silent.
pub fn silent4(n: u32) -> IpAddr {
    assert!(n < 1 << 23);
    Ipv4Addr::from_bits(0x0a80_0000 + n).into()
}

/// The `n`th of the hosts that stay silent.
pub fn silent6(n: u32) -> IpAddr {
    Ipv6Addr::from_bits((0xfd00_8000 << 96) + u128::from(n)).into()
}

/// A program to run, with its name in tables.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    pub args: Vec<String>,
}

impl Program {
    pub fn new(name: &str, path: impl Into<PathBuf>, args: &[&str]) -> Program {
        Program { name: name.to_owned(), path: path.into(), args: args.iter().map(|&arg| arg.to_owned()).collect() }
    }

    /// The program as `cargo build --release` makes it.
    pub fn ours(args: &[&str]) -> Program {
        Program::new("xymonping", env!("CARGO_BIN_EXE_xymonping"), args)
    }

    /// The static build, built here if needed and if that target is installed.
    pub fn ours_static(args: &[&str]) -> Option<Program> {
        match build_static() {
            Ok(path) => Some(Program::new("xymonping, static", path, args)),
            Err(reason) => {
                println!("SKIPPED the static build: {reason}");
                None
            }
        }
    }

    /// fping, if the environment names one.
    pub fn fping(args: &[&str]) -> Option<Program> {
        Some(Program::new("fping", peer("FPING")?, args))
    }

    /// zmap, if the environment names it.
    pub fn zmap(args: &[&str]) -> Option<Program> {
        Some(Program::new("zmap", peer("ZMAP")?, args))
    }

    /// masscan, if the environment names it.
    pub fn masscan(args: &[&str]) -> Option<Program> {
        Some(Program::new("masscan", peer("MASSCAN")?, args))
    }

    /// What `benches/surge` builds, if the environment names it.
    pub fn surge(args: &[&str]) -> Option<Program> {
        Some(Program::new("surge-ping", peer("SURGE")?, args))
    }

    /// Xymon's own xymonping, if the environment names one.
    pub fn original(args: &[&str]) -> Option<Program> {
        Some(Program::new("the original xymonping", peer("XYMONPING_ORIGINAL")?, args))
    }

    /// The bare system calls: `count` probes to [`alive4`] or [`alive6`] hosts, and their replies.
    /// `like_ours` sets the socket options that the program sets.
    pub fn bare(ipv6: bool, count: usize, like_ours: bool) -> Program {
        let this = env::current_exe().expect("a benchmark knows its own binary");
        let name = if like_ours { "bare loop, same socket options" } else { "bare loop" };
        let family = if ipv6 { "6" } else { "4" };
        let options = if like_ours { "like-ours" } else { "plain" };
        Program::new(name, this, &["--role=bare", family, &count.to_string(), options])
    }

    /// The same over IPv4 with an ICMP datagram socket.
    pub fn bare_datagram(count: usize) -> Program {
        let mut bare = Program::bare(false, count, false);
        if let Some(options) = bare.args.last_mut() {
            *options = "datagram".to_owned();
        }
        bare
    }

    pub fn is_bare(&self) -> bool {
        self.args.first().is_some_and(|arg| arg == "--role=bare")
    }

    pub fn named(mut self, name: &str) -> Program {
        self.name = name.to_owned();
        self
    }
}

fn peer(variable: &str) -> Option<PathBuf> {
    let path = env::var_os(variable).map(PathBuf::from);
    match &path {
        None => println!("SKIPPED a peer: {variable}=/path is not set"),
        Some(path) => assert!(path.is_file(), "{variable}={} is no file", path.display()),
    }
    path
}

fn build_static() -> Result<PathBuf, String> {
    let libraries = Command::new("rustc").args(["--print=target-libdir", "--target", STATIC_TARGET]).output();
    let libraries = libraries.map_err(|e| format!("rustc: {e}"))?.stdout;
    if !Path::new(String::from_utf8_lossy(&libraries).trim()).is_dir() {
        return Err(format!("{STATIC_TARGET} is not installed"));
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--offline", "--quiet", "--bin=xymonping", "--target", STATIC_TARGET])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .arg("--target-dir")
        .arg(target_dir())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("the build failed".to_owned());
    }
    Ok(target_dir().join(STATIC_TARGET).join("release/xymonping"))
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    tmp.parent().expect("a directory in the target directory").to_owned()
}

/// A file with addresses, one per line. It is removed when this is dropped.
pub struct List {
    path: PathBuf,
    pub len: usize,
}

impl List {
    pub fn new(addresses: impl IntoIterator<Item = IpAddr>) -> List {
        let (mut text, mut len) = (String::new(), 0);
        for address in addresses {
            writeln!(text, "{address}").expect("writing to a string cannot fail");
            len += 1;
        }
        let path = scratch("list");
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        List { path, len }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for List {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// A path for a temporary file, in memory if possible, so that no disk is measured.
pub fn scratch(what: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() { memory } else { env::temp_dir() };
    folder.join(format!("xymonping-bench-{}-{}-{what}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Runs a program from start to end in the namespace of the calling thread.
pub fn run_here(program: &Program, list: Option<&List>) -> Run {
    let out = scratch("out");
    let run = stopwatch::run(program, list.map(List::path), &out);
    let _ = fs::remove_file(&out);
    run.unwrap_or_else(|e| panic!("{}: {e}", program.name))
}

/// Two namespaces and a wire.
pub struct Bed {
    near: Namespace,
    far: Namespace,
}

impl Bed {
    pub fn open() -> Bed {
        Self::try_open().unwrap_or_else(|e| panic!("no test bed: {e}"))
    }

    fn try_open() -> Result<Bed, String> {
        let (near, far) = (Namespace::new()?, Namespace::new()?);
        for end in [&near, &far] {
            // Fails for IPv6 on kernels without it, and for IPv4 on older kernels, which have it
            // once per machine.
            for (name, value) in [
                ("net.ipv4.icmp_ratelimit", "0"),
                ("net.ipv4.icmp_msgs_per_sec", "1000000000"),
                ("net.ipv6.icmp.ratelimit", "0"),
                ("net.ipv6.conf.default.accept_dad", "0"),
                ("net.ipv6.conf.default.accept_ra", "0"),
            ] {
                let _ = end.set_sysctl(name, value);
            }
        }
        let far_file = far.inside(|| File::open("/proc/thread-self/ns/net")).map_err(|e| e.to_string())?;
        let far_path = format!("/proc/{}/fd/{}", process::id(), far_file.as_raw_fd());
        near.ip(
            &["-batch", "-"],
            &format!(
                "link add {NEAR} address {NEAR_MAC} type veth peer name {FAR} address {FAR_MAC} netns {far_path}\n\
                 link set lo up\nlink set {NEAR} up\n"
            ),
        )?;
        far.ip(
            &["-batch", "-"],
            &format!(
                "link set lo up\nlink set {FAR} up\n\
                 addr add {FAR4}/24 dev {FAR}\nneigh add {NEAR4} lladdr {NEAR_MAC} dev {FAR} nud permanent\n\
                 route add local 10.0.0.0/9 dev lo\n"
            ),
        )?;
        near.ip(
            &["-batch", "-"],
            &format!(
                "addr add {NEAR4}/24 dev {NEAR}\nneigh add {FAR4} lladdr {FAR_MAC} dev {NEAR} nud permanent\n\
                 route add 10.0.0.0/8 via {FAR4}\n"
            ),
        )?;
        if Path::new("/proc/sys/net/ipv6").exists() {
            far.ip(
                &["-batch", "-"],
                &format!(
                    "addr add {FAR6}/64 dev {FAR} nodad\n\
                     neigh add {NEAR6} lladdr {NEAR_MAC} dev {FAR} nud permanent\n\
                     route add local fd00::/17 dev lo\n"
                ),
            )?;
            near.ip(
                &["-batch", "-"],
                &format!(
                    "addr add {NEAR6}/64 dev {NEAR} nodad\n\
                     neigh add {FAR6} lladdr {FAR_MAC} dev {NEAR} nud permanent\n\
                     route add fd00::/16 via {FAR6}\n"
                ),
            )?;
        }
        Ok(Bed { near, far })
    }

    /// Where programs run.
    pub fn near(&self) -> &Namespace {
        &self.near
    }

    /// Where the hosts are.
    pub fn far(&self) -> &Namespace {
        &self.far
    }

    /// Runs a program from start to end, with a list to read or with nothing.
    pub fn run(&self, program: &Program, list: Option<&List>) -> Run {
        self.near.inside(|| run_here(program, list))
    }

    /// Runs programs in turn, A B C A B C ..., and returns a list of runs for each. So other load
    /// on this machine affects them alike, and ratios are taken within a turn.
    pub fn in_turn(&self, turns: usize, programs: &[(&Program, Option<&List>)]) -> Vec<Vec<Run>> {
        let mut runs = vec![Vec::new(); programs.len()];
        for _ in 0..turns {
            for ((program, list), runs) in programs.iter().zip(&mut runs) {
                runs.push(self.run(program, *list));
            }
        }
        runs
    }
}
