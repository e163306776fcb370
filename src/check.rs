//! `--check`: what a run would have to work with, and for what is missing the command that would help.
//!
//! It stands where a run would begin to read its list, after the same steps, and looks at what these came to: the kernel
//! is asked, not our own memory. It knows nothing of targets.

use std::env;
use std::fmt::{Display, Write};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use multiping::address::{Family, PerFamily};
use multiping::net::{Link, SocketStatus};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::getuid;

use crate::limits::Limits;
use crate::message::{Error, Reason};
use crate::privilege::{Dropped, Right};
use crate::sandbox::{self, Seccomp};

/// The file that is running, whatever became of its name since.
const PROGRAM: &str = "/proc/self/exe";

/// Looks at what a run has by now, closes the door as a run does, and says what there is; and how a run would have ended
/// here.
pub fn run(
    right: Right,
    family: Option<Family>,
    link: Result<Link, multiping::Error>,
    limits: &Limits,
    dropped: &Dropped,
) -> (String, Result<(), Error>) {
    let mut report = Report::default();
    report.title();
    let end = match link {
        Ok(link) => {
            for (of_socket, given) in link.status() {
                if family.is_none_or(|family| family == of_socket) {
                    report.family(of_socket, given, right);
                }
            }
            Ok(())
        }
        Err(error) => {
            let error = Error::from(error);
            match &error {
                Error::NoPermission(why) => {
                    report.line("sockets", format_args!("none: {}", Reason(why)));
                    report.ways_to_ping(right);
                }
                error => report.line("sockets", format_args!("none: {error}")),
            }
            Err(error)
        }
    };
    report.line("rights left", "none: the caller's ids, no capability, no_new_privs, not dumpable");
    let shut = sandbox::enter(dropped);
    report.sandbox(&shut);
    report.limits(limits);
    let end = end.and(shut.map(drop));
    report.verdict(&end);
    (report.text, end)
}

/// A line for each thing: what it is, and how it is.
#[derive(Default)]
struct Report {
    text: String,
    /// Whether something could be better.
    wanting: bool,
}

impl Report {
    fn line(&mut self, what: &str, how: impl Display) {
        // A string takes all that is written to it.
        let _ = writeln!(self.text, "{what:12} {how}");
    }

    /// What would help, said once.
    fn fix(&mut self, command: &str) {
        self.wanting = true;
        if !self.text.contains(command) {
            self.line("  fix", command);
        }
    }

    fn title(&mut self) {
        let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        let _ = writeln!(self.text, "{name} {version}, started by uid {}; nothing is sent", getuid());
    }

    fn family(&mut self, family: Family, given: io::Result<SocketStatus>, right: Right) {
        let given = match given {
            Ok(given) => given,
            Err(error) => {
                self.line(family.name(), format_args!("none: {}", Reason(&error)));
                match error.kind() {
                    io::ErrorKind::PermissionDenied => self.ways_to_ping(right),
                    _ => self.line("  why", "this kernel has no such sockets; the other family is not concerned"),
                }
                return;
            }
        };
        let socket = match right {
            _ if given.datagram => "ICMP datagram socket (net.ipv4.ping_group_range)",
            Right::Root => "raw socket (root)",
            Right::Setuid => "raw socket (setuid root)",
            Right::FileCapability => "raw socket (file capability)",
            Right::AmbientCapability => "raw socket (ambient capability)",
            Right::OutOfBounds | Right::Confined | Right::None => "raw socket",
        };
        let filter = match given.filter {
            _ if given.datagram => "own replies only",
            true => "packet filter",
            false => "no packet filter",
        };
        let stamps = if given.timestamps { "time stamps" } else { "no time stamps" };
        let drops = if given.drop_counter { "drop counter" } else { "no drop counter" };
        self.line(family.name(), socket);
        self.line("  kernel", format_args!("{filter}, {stamps}, {drops}"));
        if !given.drop_counter {
            self.fix("a kernel from Linux 4.12 on; until then lost replies go unnoticed");
        }
        let (granted, asked) = (given.receive_buffer, given.wanted_receive_buffer);
        self.line("  buffer", format_args!("{granted} of {asked} bytes"));
        if granted < asked {
            self.fix(&format!("sysctl -w net.core.rmem_max={asked}"));
        }
    }

    /// Why no socket could be had, and what would change that. Of several reasons the one is told that would defeat the
    /// remedies for the others.
    fn ways_to_ping(&mut self, right: Right) {
        let program = program();
        let file = fs::metadata(PROGRAM).ok();
        let owned_by_root = file.as_ref().is_none_or(|file| file.uid() == 0);
        let setuid = owned_by_root && file.is_some_and(|file| file.mode() & 0o4000 != 0);
        let nosuid = statvfs(PROGRAM).is_ok_and(|system| system.flags().contains(FsFlags::ST_NOSUID));
        match right {
            Right::Root | Right::Setuid | Right::FileCapability | Right::AmbientCapability => {
                self.line("  why", "CAP_NET_RAW is here and does not count: a user namespace that does not own this");
                self.line("", "network, or a security module or a seccomp filter that forbids it");
                self.fix("start it outside of that");
            }
            Right::OutOfBounds => {
                self.line("  why", "CAP_NET_RAW is not in the bounding set: a container or a service without it");
                self.fix("docker run --cap-add=NET_RAW, or CapabilityBoundingSet=CAP_NET_RAW in the systemd unit");
            }
            Right::Confined => {
                self.line("  why", "started with no_new_privs: neither a setuid bit nor a file capability counts");
                self.fix("AmbientCapabilities=CAP_NET_RAW in the systemd unit");
            }
            Right::None if nosuid => {
                self.line("  why", "on a file system mounted nosuid neither a setuid bit nor a file capability counts");
                self.fix(&format!("mount -o remount,suid \"$(findmnt -no TARGET -T {program})\""));
                if !setuid {
                    self.line("  then", format_args!("chmod u+s {program}, unless it has a capability (getcap)"));
                }
            }
            Right::None if setuid => {
                self.line("  why", "it is setuid root, and that does not count: a tracer, a user namespace, or a file");
                self.line("", "capability without CAP_NET_RAW beside it (never both)");
                self.fix(&format!("setcap -r {program}, or start it without tracer or namespace"));
            }
            Right::None => {
                self.line("  why", "the program file gives no right");
                let chown = if owned_by_root { String::new() } else { format!("chown root {program} && ") };
                self.fix(&format!("{chown}chmod u+s {program}"));
                self.line("  or", format_args!("setcap cap_net_raw+p {program}"));
            }
        }
        self.line("  or", "sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"");
    }

    /// Whether the door is shut is tried.
    fn sandbox(&mut self, shut: &Result<Seccomp, Error>) {
        match (shut, File::open("/")) {
            (Err(error), _) => self.line("sandbox", error),
            (Ok(_), Ok(_)) => self.line("sandbox", "none: files can still be opened"),
            (Ok(_), Err(why)) => {
                self.line("sandbox", format_args!("no file or socket can be opened: {}", Reason(&why)))
            }
        }
        match shut {
            Err(_) => {}
            Ok(Seccomp::On) => self.line("seccomp", "system calls that a run does not need are refused"),
            Ok(Seccomp::Refused(why)) => {
                self.line("seccomp", format_args!("none: {}", Reason(why)));
                self.line("  why", "this kernel has no filters, or whoever started the program forbids them");
                self.fix("a kernel with CONFIG_SECCOMP_FILTER, or seccomp in the SystemCallFilter= of the unit");
            }
            Ok(Seccomp::Unsupported) => self.line("seccomp", "none for this architecture"),
        }
        self.line("Landlock", "not used: nothing is left that it could forbid");
    }

    fn limits(&mut self, limits: &Limits) {
        if limits.caller_is_root {
            return self.line("limits", "none (the caller is root)");
        }
        let Limits { rate, spacing, targets, max_sizes: PerFamily { v4, v6 }, .. } = limits;
        self.line(
            "limits",
            format_args!("{rate} packets a second, {} ms between probes to one target,", spacing.as_millis()),
        );
        self.line("", format_args!("{targets} lines, no multicast or broadcast targets,"));
        self.line("", format_args!("{v4} bytes of data with --ipv4, otherwise {v6}"));
    }

    fn verdict(&mut self, end: &Result<(), Error>) {
        match end {
            Ok(()) if self.wanting => self.line("verdict", "a run would work, and better after the fix above"),
            Ok(()) => self.line("verdict", "a run would work"),
            Err(error) => self.line("verdict", format_args!("a run would fail with status {}", error.exit() as u8)),
        }
    }
}

/// The path of this program, to be typed into a shell by root. The caller may have had a say in it, so that only what
/// means nothing to a shell or a terminal is passed on.
fn program() -> String {
    let path = env::current_exe().ok().and_then(|path| path.into_os_string().into_string().ok());
    let is_plain = |path: &String| path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._+-".contains(&byte));
    path.filter(is_plain).unwrap_or_else(|| "THIS-PROGRAM".to_owned())
}
