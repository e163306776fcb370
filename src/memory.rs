//! How much memory the kernel allows us to use.
//!
//! Linux overcommits memory, and kills a process when it runs out. So before a long list grows
//! further, the memory that the machine and the control groups of this process still have is read.
//! What cannot be read is taken to be unlimited.

mod cgroup;

use std::fs;

use multiping::alloc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use crate::message::Error;

/// Several times what any path through the program needs.
const STACK: rlim_t = 256 << 10;

/// Ensures that there is memory for everything small, on the stack and on the heap. Call first.
pub fn reserve_stack_and_heap() -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_STACK).unwrap_or((STACK, STACK));
    if soft < STACK {
        // Raised even if that is not enough, because reporting it takes stack too.
        let raised = setrlimit(Resource::RLIMIT_STACK, STACK.min(hard), hard);
        if raised.is_err() || hard < STACK {
            return Err(Error::Memory(0));
        }
    }
    Ok(alloc::check_headroom(0)?)
}

/// Whether RLIMIT_AS leaves room for the stack to grow. If not, growing it ends in SIGSEGV.
pub fn can_grow_stack() -> bool {
    alloc::can_allocate(STACK as usize)
}

/// How many bytes can still be allocated.
pub fn available() -> u64 {
    [of_machine(), cgroup::available()].into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// What the kernel can provide without swapping (proc(5), MemAvailable).
fn of_machine() -> Option<u64> {
    Some(field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")? << 10)
}

/// The number after the name of a field, each field on a line of its own.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
}
