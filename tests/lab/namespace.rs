//! A private network namespace: how to make it and how to enter it.
//!
//! A network namespace belongs to a *thread*, and to what that thread starts. So no existing thread
//! changes its namespace: [`Namespace::new`] makes the namespace on a new thread and keeps only a
//! descriptor of it, and [`Namespace::inside`] runs a closure on a new thread that enters it. The
//! namespace ends with its last descriptor, socket and process, and its devices with it, so there
//! is nothing to clean up.
//!
//! The layout of the network (devices, addresses) is the caller's.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace that only this test can reach.
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// A new namespace, with only a loopback device that is down. Needs CAP_SYS_ADMIN.
    pub fn new() -> Result<Namespace, String> {
        let made = thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_NEWNET).map_err(|e| format!("unshare: {e}"))?;
                    File::open("/proc/thread-self/ns/net").map_err(|e| format!("/proc/thread-self/ns/net: {e}"))
                })
                .join()
                .expect("the thread does not panic")
        });
        made.map(|file| Namespace { file })
    }

    /// Runs `work` on a thread inside the namespace. Sockets opened and processes started there
    /// stay in it. A panic in `work` is passed on to the caller.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            // If this fails, `work` must not run on the machine's own network.
            setns(&self.file, CloneFlags::CLONE_NEWNET).expect("a thread can enter the namespace of its own lab");
            work()
        };
        match thread::scope(|scope| scope.spawn(enter).join()) {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// A path to it, for `ip link .. netns PATH`.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.file.as_raw_fd())
    }

    /// Runs one `ip` command, or several (`ip -batch`) where `script` holds their lines.
    pub fn ip(&self, args: &[&str], script: &str) -> Result<String, String> {
        self.run("ip", args, script)
    }

    /// Runs one `tc` command.
    pub fn tc(&self, args: &[&str]) -> Result<String, String> {
        self.run("tc", args, "")
    }

    fn run(&self, program: &str, args: &[&str], script: &str) -> Result<String, String> {
        self.inside(|| {
            let mut child = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|e| format!("cannot run `{program}`: {e}"))?;
            // It may end before it has read everything; then its exit status says why.
            let _ = child.stdin.take().expect("it is piped").write_all(script.as_bytes());
            let output = child.wait_with_output().map_err(|e| format!("`{program}`: {e}"))?;
            if output.status.success() {
                Ok(String::from_utf8_lossy(&output.stdout).into_owned())
            } else {
                Err(format!("{program} {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
            }
        })
    }

    /// Sets a `net.*` sysctl. /proc/sys/net has the values of the reading thread's namespace.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<(), String> {
        assert!(name.starts_with("net."), "only net.* is private to a namespace, {name} would change the machine");
        self.inside(|| fs::write(sysctl_path(name), value).map_err(|e| format!("sysctl {name}: {e}")))
    }

    /// Reads a `net.*` sysctl.
    pub fn sysctl(&self, name: &str) -> Result<String, String> {
        let read = || fs::read_to_string(sysctl_path(name)).map_err(|e| format!("sysctl {name}: {e}"));
        self.inside(read).map(|value| value.trim().to_owned())
    }
}

fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}
