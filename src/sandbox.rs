//! What the process may still do while it probes and reports.
//!
//! Two barriers, each independent of the other. RLIMIT_NOFILE allows no new descriptor, so no file
//! or socket can be opened; every kernel has that, and it costs nothing. And a seccomp filter
//! (`seccomp`) allows only the system calls that the rest of a run needs; without seccomp, in the
//! kernel or for the architecture, a run goes on without it.

#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")),
    path = "sandbox/unsupported.rs"
)]
mod seccomp;

use std::io;

use nix::sys::resource::{Resource, rlim_t, setrlimit};

use crate::message::Error;
use crate::privilege::Dropped;

/// The most descriptors that are polled together: two sockets, and the signals or the event that
/// stops a thread. poll(2) fails above the limit.
const POLLED: rlim_t = 3;

/// Whether the kernel refuses the system calls that a run does not need.
#[derive(Debug)]
pub enum Seccomp {
    /// It does, with EPERM.
    On,
    /// It did not accept the filter: built without seccomp, or an outer filter forbids it.
    Refused(io::Error),
    /// There is no filter for this architecture.
    Unsupported,
}

/// Enters the sandbox, for the rest of the process. What needs a new descriptor, or a system call
/// that is not in the table, must have been done before.
pub fn enter(_: &Dropped) -> Result<Seccomp, Error> {
    allow_no_descriptors()?;
    Ok(seccomp::install())
}

/// The same with threads, which must have been started before: it holds for all of them.
pub fn enter_with_threads(_: &Dropped) -> Result<Seccomp, Error> {
    allow_no_descriptors()?;
    Ok(seccomp::install_in_all_threads())
}

fn allow_no_descriptors() -> Result<(), Error> {
    setrlimit(Resource::RLIMIT_NOFILE, POLLED, POLLED)
        .map_err(|errno| Error::System("set RLIMIT_NOFILE", io::Error::from(errno)))
}
