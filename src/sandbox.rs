//! What the process may still do while it probes and reports: nothing new.
//!
//! No descriptor can be opened any more, neither a file nor a socket, because none is within the limit. It costs nothing
//! and needs no right. Polling needs a limit no lower than the number of descriptors polled.

use nix::sys::resource::{Resource, setrlimit};

use crate::error::Error;
use crate::privilege::Dropped;

/// How many descriptors are polled together, at most: two sockets and the signals.
const POLLED: u64 = 3;

/// Closes the door. Whatever needs a new descriptor has to have it by now.
pub fn enter(_: &Dropped) -> Result<(), Error> {
    setrlimit(Resource::RLIMIT_NOFILE, POLLED, POLLED)
        .map_err(|errno| Error::System("set RLIMIT_NOFILE", std::io::Error::from(errno)))
}
