//! `--check`: a report of the privileges, sockets and limits that a run would have, with the
//! commands that would help where something is missing.
//!
//! It is made at the point where a run would read its list, after the same steps, and asks the
//! kernel rather than the program. No target is probed.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use multiping::address::{Family, PerFamily};
use multiping::net::{self, SocketStatus};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::getuid;

use crate::limits::Limits;
use crate::message::{Error, Reason, program};
use crate::privilege::Right;
use crate::sandbox::Seccomp;

/// The program file that is running, even if it has been renamed since.
const PROGRAM: &str = "/proc/self/exe";

/// How a run would end here as far as its sockets are concerned.
pub fn result(sockets: Result<PerFamily<io::Result<SocketStatus>>, Error>) -> Result<(), Error> {
    for (family, status) in sockets? {
        if let Ok(SocketStatus { loopback: Err(error), .. }) = status {
            return Err(Error::ReceivingFailed(family.name(), error, None));
        }
    }
    Ok(())
}

/// The report: a title, then a label and a text for each line.
pub struct Checklist {
    title: String,
    right: Right,
    lines: Vec<(&'static str, String)>,
    /// The commands suggested so far.
    suggestions: Vec<String>,
    /// Whether an interface other than a loopback one is up and has a carrier.
    has_network: bool,
    /// Whether the loopback interface is up.
    has_loopback: bool,
}

impl Checklist {
    /// Reports on privileges and sockets: those of `family`, or all. Call before the sandbox is
    /// entered.
    pub fn new(
        right: Right,
        family: Option<Family>,
        sockets: &Result<PerFamily<io::Result<SocketStatus>>, Error>,
    ) -> Self {
        let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let title = format!("{name} {version}, started by uid {}; nothing leaves this machine", getuid());
        let (lines, suggestions) = (Vec::new(), Vec::new());
        let mut checklist = Checklist { title, right, lines, suggestions, has_network: false, has_loopback: true };
        match sockets {
            Ok(sockets) => {
                for (of_socket, status) in sockets.as_ref() {
                    if family.is_none_or(|family| family == of_socket) {
                        checklist.add_family(of_socket, status);
                    }
                }
            }
            Err(Error::NoPermission(error, _)) => {
                checklist.add("sockets", format!("none: {}", Reason(error)));
                checklist.explain_missing_privilege();
            }
            Err(error) => checklist.add("sockets", format!("none: {error}")),
        }
        checklist.add_network();
        checklist.add("privileges", "dropped: caller's ids, no capabilities, no_new_privs, not dumpable");
        checklist
    }

    /// Reports on the sandbox, once it has been entered, and tries whether it is in force.
    pub fn add_sandbox(&mut self, entered: &Result<Seccomp, Error>) {
        let seccomp = match entered {
            Ok(seccomp) => seccomp,
            Err(error) => return self.add("sandbox", error.to_string()),
        };
        match File::open("/") {
            Ok(_) => self.add("sandbox", "none: files can still be opened"),
            Err(error) => self.add("sandbox", format!("no file or socket can be opened: {}", Reason(&error))),
        }
        match seccomp {
            Seccomp::On => self.add("seccomp", "system calls that a run does not need are refused"),
            Seccomp::Refused(error) => {
                self.add("seccomp", format!("none: {}", Reason(error)));
                self.add("  why", "the kernel has no seccomp filters, or the service or container forbids them");
                self.suggest("a kernel with CONFIG_SECCOMP_FILTER, or seccomp in the SystemCallFilter= of the unit");
            }
            Seccomp::Unsupported => self.add("seccomp", "none for this architecture"),
        }
    }

    /// Reports the limits of the caller.
    pub fn add_limits(&mut self, limits: &Limits) {
        if limits.caller_is_root {
            return self.add("limits", "none (the caller is root)");
        }
        let Limits { rate, spacing, targets, generated, bytes_per_second, .. } = limits;
        let spacing = spacing.as_millis();
        self.add("limits", format!("{rate} packets a second, {spacing} ms between probes to one target,"));
        self.add("", format!("{targets} lines, {generated} generated addresses,"));
        self.add("", "no broadcast targets, one probe a second to all multicast groups,");
        if let Some(bytes) = bytes_per_second {
            self.add("", format!("{bytes} bytes a second"));
        }
    }

    /// Reports how a run would have ended here.
    pub fn add_verdict(&mut self, result: &Result<(), Error>) {
        match result {
            Ok(()) if !self.has_network && !self.has_loopback => self.add("verdict", "a run would reach no address"),
            Ok(()) if !self.has_network => self.add("verdict", "a run would reach only this machine itself"),
            Ok(()) => {
                let better = match self.suggestions.len() {
                    0 => "",
                    1 => ", and better after the fix above",
                    _ => ", and better after the fixes above",
                };
                self.add("verdict", format!("a run would work{better}"));
            }
            Err(error) => self.add("verdict", format!("a run would fail with status {}", error.exit() as u8)),
        }
    }

    fn add(&mut self, label: &'static str, text: impl Into<String>) {
        self.lines.push((label, text.into()));
    }

    /// Suggests a command, unless it has been suggested before.
    fn suggest(&mut self, command: impl Into<String>) {
        let command = command.into();
        if !self.suggestions.contains(&command) {
            self.add("  fix", command.clone());
            self.suggestions.push(command);
        }
    }

    /// Reports the interfaces that are up, and the default routes.
    fn add_network(&mut self) {
        let interfaces = net::interfaces_up();
        let names = |carrier: bool| {
            let names = interfaces.iter().filter(|it| it.1 == carrier).map(|(name, _)| name.as_str());
            names.collect::<Vec<_>>().join(", ")
        };
        self.has_network = !names(true).is_empty();
        let loopback_down = net::loopback_down();
        self.has_loopback = loopback_down.is_none();
        self.add(
            "network",
            match (names(true), names(false)) {
                (up, down) if up.is_empty() && down.is_empty() => {
                    let but = if self.has_loopback { " but the loopback" } else { "" };
                    format!("none: no interface is up{but}")
                }
                (up, down) if up.is_empty() => format!("none: without a carrier: {down}"),
                (up, down) if down.is_empty() => format!("up: {up}"),
                (up, down) => format!("up: {up}; without a carrier: {down}"),
            },
        );
        if let Some(name) = loopback_down {
            self.add("  loopback", "down: this machine's own addresses, 127.0.0.1 too, are not reached");
            self.suggest(format!("ip link set {name} up"));
        }
        if !self.has_network {
            return self.suggest("ip link set DEVICE up, or a cable");
        }
        let route = |route: Option<String>| route.map_or("none".to_owned(), |device| format!("by {device}"));
        let [v4, v6] = [("/proc/net/route", Family::V4), ("/proc/net/ipv6_route", Family::V6)]
            .map(|(path, family)| route(default_route(&fs::read_to_string(path).unwrap_or_default(), family)));
        self.add("  default", format!("IPv4 route {v4}, IPv6 route {v6}"));
    }

    fn add_family(&mut self, family: Family, status: &io::Result<SocketStatus>) {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                self.add(family.name(), format!("none: {}", Reason(error)));
                match error.kind() {
                    io::ErrorKind::PermissionDenied => self.explain_missing_privilege(),
                    _ => self.add("  why", "this kernel has no such sockets; the other family is not affected"),
                }
                return;
            }
        };
        let socket = match self.right {
            _ if status.datagram => "ICMP datagram socket (net.ipv4.ping_group_range)",
            Right::Root => "raw socket (root)",
            Right::Setuid => "raw socket (setuid root)",
            Right::FileCapability => "raw socket (file capability)",
            Right::AmbientCapability => "raw socket (ambient capability)",
            Right::NotInBoundingSet | Right::NoNewPrivs | Right::None => "raw socket",
        };
        let filter = match status.filter {
            _ if status.datagram => "own replies only",
            true => "packet filter",
            false => "no packet filter",
        };
        let stamps = if status.timestamps { "time stamps" } else { "no time stamps" };
        let drops = if status.drop_counter { "drop counter" } else { "no drop counter" };
        self.add(family.name(), socket);
        self.add("  kernel", format!("{filter}, {stamps}, {drops}"));
        if !status.drop_counter {
            self.suggest("Linux 4.12 or later; without it lost replies go unnoticed");
        }
        let (size, wanted) = (status.receive_buffer, status.wanted_receive_buffer);
        self.add("  buffer", format!("{size} of {wanted} bytes"));
        if size < wanted {
            self.suggest(format!("sysctl -w net.core.rmem_max={wanted}"));
        }
        if status.hides_drops {
            self.add("  send", "what this machine drops counts as silence: /proc tells of none");
            self.suggest("mount -t proc proc /proc, or the right to raw sockets");
        }
        let loopback = if family == Family::V4 { "127.0.0.1" } else { "::1" };
        match &status.loopback {
            Ok(true) => self.add("  receive", format!("a reply from {loopback}")),
            Ok(false) => self.add("  receive", format!("works, but {loopback} was not pinged or did not reply")),
            Err(error) => {
                self.add("  receive", format!("none: {}", Reason(error)));
                self.add("  why", "a seccomp filter or a security module forbids recvmmsg(2)");
                self.suggest("recvmmsg in the SystemCallFilter= of the unit or the seccomp profile of the container");
            }
        }
    }

    /// Explains why no socket could be opened and how to fix it. If several causes apply, reports
    /// the one that would make the fixes for the others ineffective.
    fn explain_missing_privilege(&mut self) {
        let program = program();
        let file = fs::metadata(PROGRAM).ok();
        let owned_by_root = file.as_ref().is_none_or(|file| file.uid() == 0);
        let setuid = owned_by_root && file.is_some_and(|file| file.mode() & 0o4000 != 0);
        let nosuid = statvfs(PROGRAM).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOSUID));
        match self.right {
            Right::Root | Right::Setuid | Right::FileCapability | Right::AmbientCapability => {
                self.add("  why", "CAP_NET_RAW has no effect here: a user namespace that does not own this network,");
                self.add("", "or a security module or seccomp filter that forbids raw sockets");
                self.suggest("start it outside of that");
            }
            Right::NotInBoundingSet => {
                self.add("  why", "CAP_NET_RAW is not in the bounding set: a container or service without it");
                self.suggest("docker run --cap-add=NET_RAW, or CapabilityBoundingSet=CAP_NET_RAW in the systemd unit");
            }
            Right::NoNewPrivs => {
                self.add("  why", "started with no_new_privs: the setuid bit and file capabilities have no effect");
                self.suggest("AmbientCapabilities=CAP_NET_RAW in the systemd unit");
            }
            Right::None if nosuid => {
                self.add("  why", "file system mounted nosuid: the setuid bit and file capabilities have no effect");
                self.suggest(format!("mount -o remount,suid \"$(findmnt -no TARGET -T {program})\""));
                if !setuid {
                    self.add("  then", format!("chmod u+s {program}, unless it has a capability (getcap)"));
                }
            }
            Right::None if setuid => {
                self.add("  why", "setuid root has no effect here: it is traced, or in a user namespace, or the file");
                self.add("", "also has capabilities without CAP_NET_RAW (never set both)");
                self.suggest(format!("setcap -r {program}, or start it without tracer or namespace"));
            }
            Right::None => {
                self.add("  why", "the program file grants no privilege");
                let chown = if owned_by_root { String::new() } else { format!("chown root {program} && ") };
                self.suggest(format!("{chown}chmod u+s {program}"));
                self.add("  or", format!("setcap cap_net_raw+p {program}"));
            }
        }
        self.add("  or", "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"");
    }
}

/// The interface of a default route in the kernel's table (proc(5), /proc/net/route, and the same
/// of IPv6), if there is one that does not refuse packets.
fn default_route(table: &str, family: Family) -> Option<String> {
    const RTF_UP: u32 = 0x1;
    const RTF_REJECT: u32 = 0x200;
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (device, flags, is_default) = match (family, fields.as_slice()) {
            (Family::V4, [device, to, _, flags, _, _, _, mask, ..]) => (device, flags, is_zero(to) && is_zero(mask)),
            (Family::V6, [to, length, _, _, _, _, _, _, flags, device]) => {
                (device, flags, is_zero(to) && is_zero(length))
            }
            _ => return None,
        };
        let flags = u32::from_str_radix(flags, 16).ok()?;
        (is_default && flags & (RTF_UP | RTF_REJECT) == RTF_UP).then(|| (*device).to_owned())
    })
}

fn is_zero(hex: &str) -> bool {
    hex.bytes().all(|digit| digit == b'0')
}

impl Display for Checklist {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        self.lines.iter().try_for_each(|(label, text)| writeln!(f, "{label:12} {text}"))
    }
}
