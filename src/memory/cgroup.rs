//! How much memory the control groups of this process still have (cgroups(7)).

use std::fs;
use std::io;
use std::path::Path;

use crate::memory::field;

/// Where control groups are mounted.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Where a version of control groups has its memory files, and what they are called.
struct CgroupLayout {
    /// The controllers on its line of /proc/self/cgroup.
    controllers: &'static str,
    /// The directory of its hierarchy in [`CGROUP_ROOT`].
    hierarchy: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// The fields of `memory.stat` with the part of the usage that is file cache.
    caches: [&'static str; 2],
}

const V2: CgroupLayout = CgroupLayout {
    controllers: "",
    hierarchy: "",
    limit: "memory.max",
    usage: "memory.current",
    caches: ["inactive_file", "active_file"],
};

const V1: CgroupLayout = CgroupLayout {
    controllers: "memory",
    hierarchy: "memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    caches: ["total_inactive_file", "total_active_file"],
};

/// The least that a control group of this process, or a parent of it, still has, in bytes.
pub(super) fn available() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    groups.lines().filter_map(of_line).min()
}

/// `number:controllers:path`, a line of /proc/self/cgroup. In a container the path may be one
/// outside of it; then only the container's own group can be read, at the root.
fn of_line(line: &str) -> Option<u64> {
    let (_, line) = line.split_once(':')?;
    let (controllers, path) = line.split_once(':')?;
    let layout = [V2, V1].into_iter().find(|layout| layout.controllers == controllers)?;
    let path = Path::new(path.strip_prefix('/')?);
    let root = Path::new(CGROUP_ROOT).join(layout.hierarchy);
    path.ancestors().filter_map(|group| layout.available(&root.join(group)).ok()?).min()
}

impl CgroupLayout {
    /// What the group in this directory still has; `None` if it has no limit.
    fn available(&self, group: &Path) -> io::Result<Option<u64>> {
        let read = |name| fs::read_to_string(group.join(name));
        let Ok(limit) = read(self.limit)?.trim().parse::<u64>() else { return Ok(None) };
        let used = read(self.usage)?.trim().parse().unwrap_or(0);
        let stat = read("memory.stat")?;
        let caches: u64 = self.caches.iter().filter_map(|name| field(&stat, name)).sum();
        Ok(Some((limit + caches).saturating_sub(used)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_caches_do_not_count_as_used() -> io::Result<()> {
        let group = std::env::temp_dir().join(format!("xymonping-cgroup-{}", std::process::id()));
        fs::create_dir_all(&group)?;
        let mut available = Vec::new();
        for layout in [V1, V2] {
            for (limit, usage) in [("1000", "900"), ("1000", "1300"), ("max", "900")] {
                fs::write(group.join(layout.limit), format!("{limit}\n"))?;
                fs::write(group.join(layout.usage), format!("{usage}\n"))?;
                let caches = layout.caches.map(|name| format!("{name} 100\nanon 5\n")).concat();
                fs::write(group.join("memory.stat"), caches)?;
                available.push(layout.available(&group)?);
            }
        }
        fs::remove_dir_all(&group)?;
        assert_eq!(available, [Some(300), Some(0), None].repeat(2));
        Ok(())
    }
}
