//! The lab: a network of its own for every test, with hosts that do what the test says.
//!
//! ```text
//!   test thread            private network namespace
//!  ┌───────────┐   start   ┌─────────────┐   lab0    lab1   ┌───────────┐
//!  │ lab::play ├──────────►│ xymonping   ├────────◄►────────┤ the wire  │  10.0.0.0/8, fd00::/16, ...
//!  └─────┬─────┘           └─────────────┘   a veth pair    └─────▲─────┘  all of them one thread
//!        └────────────── host(..) says how, seen() what ──────────┘
//! ```
//!
//! A test calls [`play`] with its scene. The scene gets a [`Lab`]: it sets how hosts behave, runs
//! the program, and checks its output and what the wire saw. All hosts are alive unless set
//! otherwise.
//!
//! * Nothing leaves the namespace, which has no other device.
//! * A lab needs root or a user namespace: without root the test is run again inside `unshare
//!   -Urn`. Without either, the test prints `SKIPPED name: reason` and passes; with
//!   `XYMONPING_LAB=required` it fails.
//! * `XYMONPING_UNDER_TEST=/path` plays the same scenes to another program; `lab/peer.rs`
//!   translates options for fping.
//! * Tests may run in parallel, in threads or processes. No test thread ever changes its namespace.
//! * Assert what is certain: lower bounds of times, orders, counts, categories. Never an upper
//!   bound on a wall clock.
//!
//! There is no `unsafe` here, and no device node is needed. Packets are made without the program's
//! own `wire`, so that an error in it cannot hide here.

// Each test file uses a part of this.
#![allow(dead_code, unused_imports)]

#[path = "lab/behaviour.rs"]
mod behaviour;
#[path = "lab/caller.rs"]
pub mod caller;
#[path = "lab/judge.rs"]
mod judge;
#[path = "lab/namespace.rs"]
mod namespace;
#[path = "lab/packet.rs"]
pub mod packet;
#[path = "lab/path.rs"]
mod path;
#[path = "lab/peer.rs"]
mod peer;
#[path = "lab/process.rs"]
mod process;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
#[path = "lab/seccomp.rs"]
pub mod seccomp;
#[path = "lab/tools.rs"]
mod tools;
#[path = "lab/wire.rs"]
mod wire;

use std::env;
use std::io::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub use behaviour::{Answer, Behaviour, Hosts, IcmpError, Lose, Net, TIMES};
pub use judge::{assert_all, assert_true_rtts, hosts, list, ms};
use namespace::Namespace;
pub use peer::spelled;
pub use process::{Finished, Running, full_pipe, pipe};
pub use tools::{piped, python};
use wire::Wire;
pub use wire::{Answered, Counts, Seen, Stream};

/// The device that the program sends through.
pub const DEVICE: &str = "lab0";
/// The device at the far end of the wire.
pub const FAR_DEVICE: &str = "lab1";
/// The addresses of the program's machine. Without `--source` probes come from the first of each
/// family.
pub const HOST4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
pub const HOST4_OTHER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
pub const HOST6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
pub const HOST6_OTHER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);
pub const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// The source addresses of ICMP errors.
pub const ROUTER4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 254);
pub const ROUTER6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0xfe);

/// The error of the far end's clock, which converts wall-clock stamps to monotonic ones.
pub const CLOCK_ERROR: Duration = Duration::from_millis(1);

/// How long [`Lab::run`] lets the program run before the test fails.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Set in the environment of a test that is run again inside a user namespace.
const INSIDE: &str = "XYMONPING_LAB_INSIDE";
/// `required`: a test without a lab fails instead of being skipped.
const POLICY: &str = "XYMONPING_LAB";
/// The path of another program to test.
const UNDER_TEST: &str = "XYMONPING_UNDER_TEST";

/// Networks behind a router need one neighbour entry each: the kernel's table holds 1,024, not
/// 70,000.
const NEAR_END: &str = "\
addr add 192.0.2.1/24 brd + dev lab0
addr add 192.0.2.2/24 brd + dev lab0
link set lab1 up
link set lab0 up
route add 10.0.0.0/8 via 192.0.2.254 dev lab0
route add 198.51.100.0/24 via 192.0.2.254 dev lab0
route add 203.0.113.0/24 via 192.0.2.254 dev lab0
";

/// The second address is deprecated, so that the kernel always chooses the first one as a source.
const NEAR_END_V6: &str = "\
addr add fe80::1/64 dev lab0 nodad
addr add 2001:db8::1/64 dev lab0 nodad
addr add 2001:db8::2/64 dev lab0 nodad preferred_lft 0
route add fd00::/16 via fe80::fe dev lab0
route add 2001:db8::/32 via fe80::fe dev lab0
";

/// Plays a scene in a lab of its own. This is the whole body of a test.
///
/// ```ignore
/// #[test]
/// fn a_silent_host_is_unreachable() {
///     lab::play(|lab| {
///         lab.host("10.0.0.7", Behaviour::silent());
///         let outcome = lab.run(&["--timeout=1", "--retries=1"], "10.0.0.7\n10.0.0.8\n");
///         assert_eq!(outcome.code, Some(0), "{outcome:?}");
///         assert_eq!(outcome.lines()[0], "10.0.0.7 is unreachable");
///         assert_eq!(lab.seen_of("10.0.0.7").len(), 2);
///     });
/// }
/// ```
///
/// The closure must be written in the test function itself, because its type name is used to run
/// the test again inside a user namespace.
pub fn play<Scene: FnOnce(&Lab)>(scene: Scene) {
    let test = test_name::<Scene>();
    let refusal = match Lab::open() {
        Ok(lab) => return scene(&lab),
        Err(refusal) => refusal,
    };
    if env::var_os(INSIDE).is_some() {
        return skip(test, &refusal);
    }
    match user_namespace_refusal() {
        None => play_in_user_namespace(test),
        Some(second) => skip(test, &format!("{refusal}; user namespace: {second}")),
    }
}

/// The libtest name of the function that holds this closure: `crate::module::test::{{closure}}`
/// without its ends.
pub fn test_name<Scene>() -> &'static str {
    let full = std::any::type_name::<Scene>();
    let path = full.split_once("::").map_or(full, |(_, path)| path);
    path.split("::{{closure}}").next().unwrap_or(path)
}

/// Reports a skipped test past libtest's capture. For scenes that find something missing in their
/// lab.
pub fn skip(test: &str, reason: &str) {
    assert!(env::var_os(POLICY).is_none_or(|policy| policy != "required"), "{test} has no lab: {reason}");
    report_skipped(test, reason);
}

/// Reports a test, or a part of one, that is skipped wherever a tool of others is not installed.
pub fn report_skipped(test: &str, reason: &str) {
    // In one write, so that parallel tests do not mix.
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {reason}\n").as_bytes());
}

/// Why no user namespace can be made; `None` if one can.
fn user_namespace_refusal() -> Option<String> {
    match Command::new("unshare").args(["-Urn", "true"]).output() {
        Err(e) => Some(format!("cannot run `unshare`: {e}")),
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

/// Runs one test again in a new process, because only a process with a single thread may enter a
/// user namespace, and takes over its result.
fn play_in_user_namespace(test: &str) {
    let this = env::current_exe().expect("a test knows its own binary");
    let output = Command::new("unshare")
        .arg("-Urn")
        .arg(this)
        .args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare has just been run");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "in a user namespace {test} fails:\n{stdout}{stderr}");
    // A wrong name would run nothing, and pass.
    assert!(stdout.contains("test result: ok. 1 passed"), "{test} is not the name of a test:\n{stdout}{stderr}");
    for line in stderr.lines().filter(|line| line.starts_with("SKIPPED ")) {
        let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// A network, the hosts in it, and the machine that the program runs on.
///
/// Usable from any thread. Addresses are text; an invalid one panics.
pub struct Lab {
    wire: Wire,
    namespace: Namespace,
    has_ipv6: bool,
}

impl Lab {
    /// A lab for a test that does not use [`play`]. The error says what is missing on this machine;
    /// what fails after the namespace and the wire exist is a bug of the lab, and panics.
    pub fn open() -> Result<Lab, String> {
        let namespace = Namespace::new()?;
        let has_ipv6 = Path::new("/proc/sys/net/ipv6").exists();
        if has_ipv6 {
            // The far end must send nothing by itself, so IPv6 is off by default, and on for lab0.
            namespace.set_sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        }
        namespace.ip(&["-batch", "-"], &devices())?;
        let wire = namespace.inside(|| Wire::open(FAR_DEVICE))?;
        let lab = Lab { wire, namespace, has_ipv6 };

        // Replies may come from any address, and must reach the program.
        lab.set_sysctl("net.ipv4.conf.all.rp_filter", "0");
        lab.set_sysctl("net.ipv4.conf.lab0.rp_filter", "0");
        if has_ipv6 {
            for (name, value) in
                [("accept_dad", "0"), ("accept_ra", "0"), ("addr_gen_mode", "1"), ("disable_ipv6", "0")]
            {
                lab.set_sysctl(&format!("net.ipv6.conf.lab0.{name}"), value);
            }
        }
        let script = if has_ipv6 { [NEAR_END, NEAR_END_V6].concat() } else { NEAR_END.to_owned() };
        lab.namespace.ip(&["-batch", "-"], &script).unwrap_or_else(|e| panic!("{e}"));
        lab.await_link();
        if has_ipv6 {
            lab.await_addresses();
        }
        Ok(lab)
    }

    /// Waits until both ends can send. The end that came up first drops packets until a kernel
    /// worker has seen the other one.
    pub fn await_link(&self) {
        let is_up = |end: &str| self.ip(&["-o", "link", "show", "dev", end]).contains(" state UP ");
        self.wait_until("both ends are up", || is_up(DEVICE) && is_up("lab1"));
    }

    /// Waits until packets to the machine's IPv6 addresses are received, which another kernel
    /// worker sets up.
    fn await_addresses(&self) {
        let is_local = |routes: &str, ip| routes.contains(&format!("local {ip} dev {DEVICE} "));
        self.wait_until("the IPv6 addresses are local", || {
            let routes = self.ip(&["-6", "route", "show", "table", "local"]);
            [LINK_LOCAL, HOST6, HOST6_OTHER].into_iter().all(|ip| is_local(&routes, ip))
        });
    }

    /// Waits until something is so, which the kernel sees to in the background.
    pub fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !is_so() {
            assert!(Instant::now() < deadline, "waited in vain until {what}");
            thread::sleep(process::POLL);
        }
    }

    /// Whether the kernel has IPv6.
    pub fn has_ipv6(&self) -> bool {
        self.has_ipv6
    }

    // The hosts. Changes take effect from the next probe that the wire reads.

    /// Sets the behaviour of an address or a prefix. The longest match counts.
    pub fn host(&self, net: &str, behaviour: Behaviour) {
        self.script(net, vec![behaviour]);
    }

    /// The same, probe by probe: one behaviour for each probe, and the last one for all that
    /// follow.
    pub fn script(&self, net: &str, script: Vec<Behaviour>) {
        let net = net.parse().unwrap_or_else(|e| panic!("{e}"));
        self.wire.record().hosts.set(net, script);
    }

    /// Sets the behaviour of all other hosts.
    pub fn others(&self, behaviour: Behaviour) {
        self.wire.record().hosts.set_others(behaviour);
    }

    // What the wire saw.

    /// Records the data of probes too, from now on.
    pub fn keep_data(&self) {
        self.wire.complete_record().keep_data = true;
    }

    /// Every probe that has been sent, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.wire.complete_record().seen.clone()
    }

    /// Every probe to one address or prefix.
    pub fn seen_of(&self, net: &str) -> Vec<Seen> {
        let net: Net = net.parse().unwrap_or_else(|e| panic!("{e}"));
        self.wire.complete_record().seen.iter().filter(|seen| net.contains(seen.dst)).cloned().collect()
    }

    /// Every answer that the wire has sent, in order.
    pub fn answered(&self) -> Vec<Answered> {
        self.wire.complete_record().answered.clone()
    }

    pub fn counts(&self) -> Counts {
        let mut counts = self.wire.complete_record().counts;
        counts.overflowed += self.namespace.inside(dropped_on_the_wire);
        counts
    }

    /// Asserts that in any window no more packets were on the wire than `rate` a second allows,
    /// plus a burst of one packet or 10 ms worth. A busy machine only makes that easier to keep.
    pub fn assert_pace(&self, rate: f64) {
        let seen = self.seen();
        let burst = 1.0 + f64::max(1.0, 0.01 * rate);
        // Packet number i at time t is allowed if i - rate x t has risen by no more than the burst
        // since any earlier packet.
        let mut smallest = f64::INFINITY;
        for (number, probe) in seen.iter().enumerate() {
            let credit = number as f64 - rate * (probe.time - seen[0].time).as_secs_f64();
            smallest = smallest.min(credit);
            let window = credit - smallest + 1.0 - rate * CLOCK_ERROR.as_secs_f64();
            assert!(
                window <= burst,
                "packet {number} makes a window of {window:.2} above {rate} a second, {burst} allowed"
            );
        }
    }

    /// Clears the record and starts every script again. Behaviours stay, and so do drops on the
    /// wire.
    pub fn forget(&self) {
        self.wire.complete_record().clear();
    }

    // Unsolicited packets.

    /// Sends any IP packet to the program's machine. [`packet`] makes them.
    pub fn inject(&self, packet: &[u8]) {
        self.wire.inject(packet);
    }

    /// Sends many IP packets of one family, as fast as the wire takes them.
    pub fn inject_all(&self, packets: &[Vec<u8>]) {
        self.wire.inject_all(packets);
    }

    /// Sends Echo Replies to another ping at an even rate, from 10.99.99.99, until the result is
    /// dropped.
    pub fn foreign_replies(&self, per_second: u32, ident: u16) -> Stream {
        let from = Ipv4Addr::new(10, 99, 99, 99).into();
        self.stream(per_second, move |number| packet::echo_reply(from, HOST4.into(), ident, number as u16, &[0x5a; 56]))
    }

    /// Sends packets at an even rate, until the result is dropped. `make` is called with 0, 1, 2,
    /// ...
    pub fn stream(&self, per_second: u32, make: impl Fn(u64) -> Vec<u8> + Send + 'static) -> Stream {
        self.wire.stream(per_second, make)
    }

    // The program's machine.

    /// Runs `ip` inside: `lab.ip(&["link", "set", "lab0", "down"])`.
    pub fn ip(&self, args: &[&str]) -> String {
        self.namespace.ip(args, "").unwrap_or_else(|e| panic!("{e}"))
    }

    /// Limits [`DEVICE`] to `rate` (100kbit, say) with a queue of `limit` bytes. The kernel may not
    /// support that.
    pub fn shape(&self, rate: &str, limit: &str) -> Result<String, String> {
        self.queue(&["tbf", "rate", rate, "burst", "1540", "limit", limit])
    }

    /// Gives [`DEVICE`] this queueing discipline. The kernel may not have it.
    pub fn queue(&self, discipline: &[&str]) -> Result<String, String> {
        self.namespace.tc(&[&["qdisc", "add", "dev", DEVICE, "root"], discipline].concat())
    }

    /// Waits until the near device has no carrier: the kernel updates that in the background.
    pub fn wait_for_no_carrier(&self) {
        self.wait_until("the device has no carrier", || self.ip(&["link", "show", DEVICE]).contains("NO-CARRIER"));
    }

    /// Sets a `net.*` sysctl of this namespace, such as `net.ipv4.ping_group_range`.
    pub fn set_sysctl(&self, name: &str, value: &str) {
        self.namespace.set_sysctl(name, value).unwrap_or_else(|e| panic!("{e}"));
    }

    /// Reads a `net.*` sysctl of this namespace.
    pub fn sysctl(&self, name: &str) -> String {
        self.namespace.sysctl(name).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Runs `work` on a thread inside. A socket opened there stays inside.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.namespace.inside(work)
    }

    // The program.

    /// A command of the program under test. It takes arguments ([`spelled`]) and goes to
    /// [`Lab::start`].
    pub fn command(&self) -> Command {
        Command::new(program())
    }

    /// Starts a command inside, with pipes for stdin, stdout and stderr. It may be left running.
    pub fn start(&self, command: &mut Command) -> Running {
        let started = self.inside(|| Running::start(command));
        started.unwrap_or_else(|e| panic!("cannot start {}: {e}", command.get_program().to_string_lossy()))
    }

    /// Starts a command inside with its own stdin, stdout and stderr; see [`Running::start_as_is`].
    pub fn start_as_is(&self, command: &mut Command) -> Running {
        let started = self.inside(|| Running::start_as_is(command));
        started.unwrap_or_else(|e| panic!("cannot start {}: {e}", command.get_program().to_string_lossy()))
    }

    /// The same after `prepare` on the thread that starts it, for what a process inherits, such as
    /// seccomp filters.
    pub fn start_under(&self, prepare: impl FnOnce() + Send, command: &mut Command) -> Running {
        let started = self.inside(|| {
            prepare();
            Running::start(command)
        });
        started.unwrap_or_else(|e| panic!("cannot start {}: {e}", command.get_program().to_string_lossy()))
    }

    /// Runs the program under test from start to end.
    pub fn run(&self, args: &[&str], stdin: impl AsRef<[u8]>) -> Finished {
        let running = self.start(self.command().args(spelled(args)));
        running.feed(stdin);
        running.finish(LIMIT)
    }
}

/// The program under test.
pub fn program() -> std::ffi::OsString {
    env::var_os(UNDER_TEST).unwrap_or_else(|| env!("CARGO_BIN_EXE_xymonping").into())
}

/// Both ends of the wire. Without ARP every neighbour is known at once; with the largest MTU no
/// probe is fragmented.
fn devices() -> String {
    let mac = |mac: [u8; 6]| mac.map(|byte| format!("{byte:02x}")).join(":");
    format!(
        "link set lo up\n\
         link add lab0 address {} arp off mtu 65535 type veth peer name lab1 address {} arp off mtu 65535\n",
        mac(wire::NEAR_MAC),
        mac(wire::FAR_MAC),
    )
}

/// What both ends dropped, from the calling thread's /proc/net/dev: 8 columns for receiving, then
/// bytes, packets, errors and drops for sending.
fn dropped_on_the_wire() -> u64 {
    let devices = std::fs::read_to_string("/proc/thread-self/net/dev").expect("/proc is mounted");
    let ends = devices.lines().filter_map(|line| line.trim_start().strip_prefix("lab")?.split_once(':'));
    ends.filter_map(|(_, columns)| columns.split_whitespace().nth(11)?.parse::<u64>().ok()).sum()
}
