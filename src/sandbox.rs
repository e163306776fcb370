//! What the process may still do while it probes and reports: nothing new.
//!
//! Two walls, of which either stands alone. No descriptor can be opened any more, neither a file nor a socket, because
//! none is within the limit: that costs nothing, and every kernel has it. And no system call can be made any more but those
//! that the rest of a run needs (`calls`), where the kernel and the architecture have seccomp; where not, the run goes on
//! without.

#[cfg_attr(
    not(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")),
    path = "sandbox/absent.rs"
)]
mod calls;

use std::io;

use nix::sys::resource::{Resource, rlim_t, setrlimit};

use crate::message::Error;
use crate::privilege::Dropped;

/// How many descriptors are polled together, at most: two sockets and the signals. Polling needs a limit no lower.
const POLLED: rlim_t = 3;

/// Whether the kernel refuses the system calls that are not needed.
#[derive(Debug)]
pub enum Seccomp {
    /// It does, with EPERM.
    On,
    /// It would not take the filter: it was built without seccomp, or whoever started us keeps us from using it.
    Refused(io::Error),
    /// There is no filter for this architecture.
    Absent,
}

/// Closes the door. Whatever needs a new descriptor, or a call that is not in the table, has to have been done by now.
pub fn enter(_: &Dropped) -> Result<Seccomp, Error> {
    setrlimit(Resource::RLIMIT_NOFILE, POLLED, POLLED)
        .map_err(|errno| Error::System("set RLIMIT_NOFILE", io::Error::from(errno)))?;
    Ok(calls::refuse_others())
}
