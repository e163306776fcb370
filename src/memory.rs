//! How much memory the kernel lets us have, before we find out by being killed.
//!
//! Linux promises more memory than it has, and kills when the promise falls due. So before a long list grows further, the
//! machine is asked what it has left, and the control groups around us what they let us have. What cannot be read is
//! taken to be plenty.

use std::fs;
use std::io;
use std::path::Path;

use multiping::alloc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use crate::message::Error;

/// A stack of this size does for every path through the program, several times over.
const STACK: rlim_t = 256 << 10;

/// Where control groups are found.
const GROUPS: &str = "/sys/fs/cgroup";

/// How a control group speaks of memory: where it lies, its limit, its use, and those fields of `memory.stat` that tell
/// what of the use is a cache of files. Version 2, and version 1.
struct Dialect {
    controllers: &'static str,
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    caches: [&'static str; 2],
}

const DIALECTS: [Dialect; 2] = [
    Dialect {
        controllers: "",
        root: "",
        limit: "memory.max",
        usage: "memory.current",
        caches: ["inactive_file", "active_file"],
    },
    Dialect {
        controllers: "memory",
        root: "memory",
        limit: "memory.limit_in_bytes",
        usage: "memory.usage_in_bytes",
        caches: ["total_inactive_file", "total_active_file"],
    },
];

/// Sees to it that there is room for all that is small: on the stack, and elsewhere. To be called first of all.
pub fn prepare() -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_STACK).unwrap_or((STACK, STACK));
    if soft < STACK {
        // Raised even if that is too little, because reporting it takes stack, too.
        let raised = setrlimit(Resource::RLIMIT_STACK, STACK.min(hard), hard);
        if raised.is_err() || hard < STACK {
            return Err(Error::Memory(0));
        }
    }
    Ok(alloc::check_headroom(0)?)
}

/// Whether the stack can grow once more. A limit on address space holds for it as for any other memory, but where it is
/// reached, the stack is the one that ends in a death by SIGSEGV.
pub fn has_stack() -> bool {
    alloc::can_allocate(STACK as usize)
}

/// How many bytes can still be had.
pub fn available() -> u64 {
    [of_machine(), of_groups()].into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// What the kernel can give without swapping (proc(5), MemAvailable).
fn of_machine() -> Option<u64> {
    Some(number(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")? << 10)
}

/// The least that a control group of ours, or one that it is in, has left.
fn of_groups() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(of_group).min()
}

/// `number:controllers:path`, a line of /proc/self/cgroup. In a container the path may be one of the machine outside;
/// then the container's own group is the topmost that can be seen.
fn of_group(line: &str) -> Option<u64> {
    let (_, line) = line.split_once(':')?;
    let (controllers, path) = line.split_once(':')?;
    let dialect = DIALECTS.iter().find(|dialect| dialect.controllers == controllers)?;
    let path = Path::new(path.strip_prefix('/')?);
    let root = Path::new(GROUPS).join(dialect.root);
    path.ancestors().filter_map(|group| dialect.left(&root.join(group)).ok()?).min()
}

impl Dialect {
    /// What the group in this directory has left; nothing, if it has no limit.
    fn left(&self, group: &Path) -> io::Result<Option<u64>> {
        let read = |name| fs::read_to_string(group.join(name));
        let Ok(limit) = read(self.limit)?.trim().parse::<u64>() else { return Ok(None) };
        let used = read(self.usage)?.trim().parse().unwrap_or(0);
        let stat = read("memory.stat")?;
        let caches: u64 = self.caches.iter().filter_map(|field| number(&stat, field)).sum();
        Ok(Some((limit + caches).saturating_sub(used)))
    }
}

/// The number behind the name of a field, each on a line of its own.
fn number(text: &str, field: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next()? == field).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_has_left_is_its_limit_less_its_use_but_for_caches() -> io::Result<()> {
        let group = std::env::temp_dir().join(format!("xymonping-memory-{}", std::process::id()));
        fs::create_dir_all(&group)?;
        let mut left = Vec::new();
        for dialect in &DIALECTS {
            for (limit, usage) in [("1000", "900"), ("1000", "1300"), ("max", "900")] {
                fs::write(group.join(dialect.limit), format!("{limit}\n"))?;
                fs::write(group.join(dialect.usage), format!("{usage}\n"))?;
                let caches = dialect.caches.map(|field| format!("{field} 100\nanon 5\n")).concat();
                fs::write(group.join("memory.stat"), caches)?;
                left.push(dialect.left(&group)?);
            }
        }
        fs::remove_dir_all(&group)?;
        assert_eq!(left, [Some(300), Some(0), None].repeat(2));
        Ok(())
    }
}
