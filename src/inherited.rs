//! What a process inherits from its caller and must not keep: open descriptors, core dumps, and a
//! CPU limit that would kill it.

use std::fs;
use std::io;
use std::os::fd::RawFd;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, rlim_t, setrlimit};
use nix::unistd::close;

use crate::message::Error;

/// Where the kernel lists our descriptors.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Up to which number descriptors are closed without /proc, if RLIMIT_NOFILE allows more.
const MAX_DESCRIPTORS: rlim_t = 65_536;

/// Replaces what was inherited. For the start of the program, before anything is opened.
pub fn reset() -> Result<(), Error> {
    // Does not stop a pipe in core_pattern; that is what the dumpable flag is for.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(|errno| Error::System("set RLIMIT_CORE", io::Error::from(errno)))?;
    close_descriptors();
    lower_soft_cpu_limit();
    Ok(())
}

/// Closes every descriptor above 2.
fn close_descriptors() {
    // The size of this directory is their number since Linux 6.2; before, it was zero. Rust's
    // start-up code opens the first three.
    if fs::metadata(DESCRIPTORS).is_ok_and(|list| list.len() == 3) {
        return;
    }
    let list = fs::read_dir(DESCRIPTORS).or_else(|_| {
        // No descriptor is free to read it with until the lowest ones are closed, or there is no
        // /proc.
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(MAX_DESCRIPTORS, |(soft, _)| soft);
        close_all(3..limit.min(MAX_DESCRIPTORS) as RawFd);
        fs::read_dir(DESCRIPTORS)
    });
    let numbers = list.into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // Collected first, because the directory that is being read has a descriptor too.
    close_all(numbers.filter(|&number| number > 2).collect::<Vec<_>>());
}

fn close_all(descriptors: impl IntoIterator<Item = RawFd>) {
    for descriptor in descriptors {
        // Fails for those that are not open.
        let _ = close(descriptor);
    }
}

/// `ulimit -t` sets the soft and the hard CPU limit to the same value, and at the hard limit the
/// kernel sends SIGKILL. Lowers the soft limit by a second to get SIGXCPU first.
fn lower_soft_cpu_limit() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_CPU).unwrap_or((RLIM_INFINITY, RLIM_INFINITY));
    if hard != RLIM_INFINITY && soft >= hard && hard > 1 {
        // Needs no privilege. If it is refused all the same, the limit stays as it was.
        let _ = setrlimit(Resource::RLIMIT_CPU, hard - 1, hard);
    }
}
