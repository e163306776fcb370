//! Processes that have little left: of memory, or of descriptors.

use std::env;
use std::fs::{self, File};
use std::io::{Write, stderr};
use std::os::fd::AsRawFd;
use std::process::Command;

use multiping::alloc::{check_headroom, try_grow};
use multiping::{Config, Error, Families, Kind, OutOfMemory, Pinger, Schedule, Sockets, names};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

use crate::LONG;

const CHILD: &str = "MULTIPING_TEST_LIMITED";

/// Runs `scene`, in which this test limits its process, in a process of its own.
fn play_alone(test: &str, scene: impl FnOnce()) {
    if env::var_os(CHILD).is_some() {
        return scene();
    }
    let test = format!("limits::{test}");
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture"])
        .env(CHILD, "1")
        // Else glibc maps memory for each thread in advance, some of it only for a moment.
        .env("MALLOC_ARENA_MAX", "1")
        .env_remove("RUST_MIN_STACK")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    said.lines().filter(|line| line.starts_with("SKIPPED")).for_each(say);
}

/// Writes a line that libtest does not capture.
fn say(line: &str) {
    stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Lowers a limit while `scene` runs.
fn with_limit<T>(resource: Resource, limit: rlim_t, scene: impl FnOnce() -> T) -> T {
    let (soft, hard) = getrlimit(resource).unwrap();
    setrlimit(resource, limit, hard).unwrap();
    let result = scene();
    setrlimit(resource, soft, hard).unwrap();
    result
}

/// The limit on memory that leaves this many KiB, in bytes.
fn all_but(kib: rlim_t) -> rlim_t {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")).unwrap();
    (size.trim().parse::<rlim_t>().unwrap() + kib) * 1024
}

#[test]
fn only_what_is_large_asks_for_headroom() {
    play_alone("only_what_is_large_asks_for_headroom", || {
        let grown = |bytes| try_grow(7, || Vec::<u8>::new().try_reserve(bytes).map(|()| bytes));
        assert_eq!(grown(1 << 20), Ok(()));
        let results = with_limit(Resource::RLIMIT_AS, all_but(8 << 10), || {
            [check_headroom(7), grown(1), grown((1 << 20) - 1), grown(1 << 20), grown(1 << 40)]
        });
        let refused = Err(OutOfMemory::at(7));
        assert_eq!(results, [refused, Ok(()), Ok(()), refused, refused]);
    });
}

#[test]
fn without_a_thread_for_names_none_is_found_and_nothing_hangs() {
    play_alone("without_a_thread_for_names_none_is_found_and_nothing_hangs", || {
        let (pinger, events) = Pinger::queued(Config::new()).unwrap();
        // There is memory left, but not enough for a stack.
        let (found, target) = with_limit(Resource::RLIMIT_AS, all_but(1 << 10), || {
            let found = names::resolve(["127.0.0.1"], LONG);
            let target = pinger.add_name("127.0.0.1", Schedule::once(), None).unwrap();
            pinger.drain().unwrap();
            (found, target)
        });
        let [Err(Error::Resolve { source, .. })] = &found[..] else { panic!("{found:?}") };
        assert_eq!(source.raw_os_error(), Some(libc::EAGAIN), "{source}");
        let told = events.filter(|event| event.target == target).map(|event| crate::name(&event.what));
        assert_eq!(told.collect::<Vec<_>>(), ["unresolved", "done"]);
    });
}

#[test]
fn a_socket_for_which_no_descriptor_is_left_is_an_error() {
    play_alone("a_socket_for_which_no_descriptor_is_left_is_an_error", || {
        let next = File::open("/dev/null").unwrap().as_raw_fd();
        let opened =
            with_limit(Resource::RLIMIT_NOFILE, next as rlim_t + 1, || Sockets::open(Kind::Any, Families::Any));
        match opened {
            Err(Error::NoSocket(source)) if source.raw_os_error() == Some(libc::EMFILE) => {}
            Err(Error::Permission(error)) => {
                let name = "a_socket_for_which_no_descriptor_is_left_is_an_error";
                say(&format!("SKIPPED {name}: {error}"));
            }
            other => panic!("{other:?}, though there is a descriptor for one family only"),
        }
    });
}
