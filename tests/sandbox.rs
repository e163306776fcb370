//! The sandbox: while it probes, the process can do only what probing and reporting need.
//!
//! Each scene is played in a process of its own, which is this test run again: it drops its
//! privileges and enters the sandbox as `main` does, and tries what is forbidden. Without seccomp
//! only the limit on descriptors is in force; that is tested as well, under a filter that refuses
//! filters.

mod lab;

use std::env;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command};
use std::thread;

use lab::{Behaviour, Finished, LIMIT, Running};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::ptrace;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::{Pid, dup, execv, getppid, getuid, pipe, setuid};
use xymonping::inherited;
use xymonping::message::Error;
use xymonping::privilege::Suspended;
use xymonping::run::{Control, Team};
use xymonping::sandbox::{self, Seccomp};

/// Set in the environment of a test that is run again to enter the sandbox.
const INSIDE: &str = "XYMONPING_SANDBOX_INSIDE";

const SILENT: &str = "10.0.0.7";

/// Enters the sandbox as `main` does.
fn enter() -> Seccomp {
    let enter = || -> Result<Seccomp, Error> {
        let suspended = Suspended::begin()?;
        inherited::reset()?;
        sandbox::enter(&suspended.resume()?.drop()?)
    };
    enter().unwrap_or_else(|error| panic!("{error}"))
}

/// The exit code of a scene that was played to its end; libtest does not use it.
const PLAYED: i32 = 42;

/// Plays a scene in a process of its own. As for [`lab::play`], the closure must be written in the
/// test function itself.
fn alone<Scene: FnOnce()>(scene: Scene) -> Finished {
    if env::var_os(INSIDE).is_some() {
        let played = catch_unwind(AssertUnwindSafe(scene)).is_ok();
        // libtest runs the scene on a thread, and the sandbox does not allow a thread to end.
        #[expect(clippy::exit, reason = "ends the process of the scene")]
        process::exit(if played { PLAYED } else { 1 });
    }
    let mut command = Command::new(env::current_exe().expect("a test knows its own binary"));
    command.args(["--exact", lab::test_name::<Scene>(), "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
    let running = Running::start(&mut command).unwrap_or_else(|e| panic!("cannot start the test again: {e}"));
    running.finish(LIMIT)
}

fn succeeds(outcome: &Finished) {
    assert_eq!(outcome.code, Some(PLAYED), "{outcome:#?}");
}

/// The error of a call that needs a new descriptor.
fn refusal(seccomp: &Seccomp) -> Errno {
    if matches!(seccomp, Seccomp::On) { Errno::EPERM } else { Errno::EMFILE }
}

#[test]
fn nothing_can_be_opened() {
    succeeds(&alone(|| {
        let refusal = refusal(&enter());
        for path in ["/dev/null", "/proc/self/status", "/nonexistent"] {
            let error = File::open(path).expect_err("it has been opened");
            assert_eq!(error.raw_os_error(), Some(refusal as i32), "{path}");
        }
        assert_eq!(pipe().map(drop), Err(refusal));
        assert_eq!(dup(std::io::stdin()).map(drop), Err(refusal));
    }));
}

#[test]
fn no_socket_can_be_opened() {
    succeeds(&alone(|| {
        let refusal = refusal(&enter());
        for family in [AddressFamily::Inet, AddressFamily::Inet6, AddressFamily::Unix, AddressFamily::Netlink] {
            for socket_type in [SockType::Datagram, SockType::Raw] {
                let opened = socket(family, socket_type, SockFlag::empty(), None);
                assert_eq!(opened.map(drop), Err(refusal), "{family:?}, {socket_type:?}");
            }
        }
    }));
}

#[test]
fn nothing_can_be_started() {
    succeeds(&alone(|| {
        let seccomp = enter();
        // In a new process.
        let error = Command::new("/bin/true").status().expect_err("it has been started");
        assert_eq!(error.raw_os_error(), Some(refusal(&seccomp) as i32));
        if matches!(seccomp, Seccomp::On) {
            // In place of this one.
            assert_eq!(execv(c"/bin/true", &[c"true"]), Err(Errno::EPERM));
        }
    }));
}

#[test]
fn no_process_can_be_traced_or_signalled_and_no_id_be_set() {
    succeeds(&alone(|| {
        let seccomp = enter();
        let results = [setuid(getuid()), ptrace::cont(getppid(), None)];
        assert_eq!(results, if matches!(seccomp, Seccomp::On) { [Err(Errno::EPERM); 2] } else { WITHOUT_SECCOMP });
        let signalled = nix::sys::signal::kill(Pid::this(), None);
        assert_eq!(signalled, if matches!(seccomp, Seccomp::On) { Err(Errno::EPERM) } else { Ok(()) });
    }));
}

/// The results without a filter of setting the user id that one has, and of continuing a process
/// that is not traced.
const WITHOUT_SECCOMP: [nix::Result<()>; 2] = [Ok(()), Err(Errno::ESRCH)];

#[test]
fn no_limit_can_be_raised() {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    succeeds(&alone(|| {
        let seccomp = enter();
        assert!(setrlimit(Resource::RLIMIT_NOFILE, 4, 4).is_err());
        assert!(!matches!(seccomp, Seccomp::On) || getrlimit(Resource::RLIMIT_NOFILE) == Err(Errno::EPERM));
    }));
}

// Threads.

/// Starts threads as `main` does, each for a `u32`, and enters the sandbox.
fn enter_with(threads: usize, work: fn(&mut u32, &Control)) -> (Team<u32>, Seccomp) {
    let enter = || -> Result<(Team<u32>, Seccomp), Error> {
        let suspended = Suspended::begin()?;
        inherited::reset()?;
        let dropped = suspended.resume()?.drop()?;
        let (team, error) = Team::start(threads, work).expect("there are descriptors");
        assert!(error.is_none() && team.len() == threads, "{error:?}");
        Ok((team, sandbox::enter_with_threads(&dropped)?))
    };
    enter().unwrap_or_else(|error| panic!("{error}"))
}

/// Waits as the program does while threads work.
fn wait_for(team: &Team<u32>) {
    while !team.has_ended() {
        let _ = ppoll(&mut [PollFd::new(team.as_fd(), PollFlags::POLLIN)], None, None);
    }
}

#[test]
fn threads_work_in_the_sandbox_and_end() {
    succeeds(&alone(|| {
        let work = |share: &mut u32, _: &Control| {
            // What is freed by another thread than the one that allocated it takes a lock.
            let memory: Vec<Vec<u32>> = (0..1000).map(|size| vec![*share; size]).collect();
            *share += memory.len() as u32;
        };
        let (mut team, _) = enter_with(32, work);
        team.begin((0..32).collect());
        wait_for(&team);
        assert_eq!(team.join(), (1000..1032).collect::<Vec<_>>());
    }));
}

#[test]
fn nothing_can_be_opened_or_started_by_a_thread() {
    succeeds(&alone(|| {
        let work = |errno: &mut u32, _: &Control| {
            let error = File::open("/dev/null").expect_err("it has been opened");
            assert!(thread::Builder::new().spawn(|| ()).is_err() || *errno == Errno::EMFILE as u32);
            *errno = error.raw_os_error().expect("an error of the kernel") as u32;
        };
        let (mut team, seccomp) = enter_with(2, work);
        let expected = refusal(&seccomp) as u32;
        team.begin(vec![expected; 2]);
        wait_for(&team);
        assert_eq!(team.join(), [expected; 2]);
    }));
}

#[test]
fn threads_are_stopped() {
    succeeds(&alone(|| {
        let work = |share: &mut u32, control: &Control| {
            while !control.stop_requested() {
                *share = 1;
                let _ = ppoll(&mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)], None, None);
            }
        };
        let (mut team, _) = enter_with(3, work);
        team.begin(vec![0; 3]);
        team.stop();
        wait_for(&team);
        assert!(team.join().iter().all(|&share| share <= 1));
    }));
}

#[test]
fn a_panic_of_a_thread_ends_the_others_and_is_that_of_the_main_thread() {
    let outcome = alone(|| {
        let work = |share: &mut u32, control: &Control| {
            assert_ne!(*share, 1, "this thread has a bug");
            while !control.stop_requested() {
                let _ = ppoll(&mut [PollFd::new(control.as_fd(), PollFlags::POLLIN)], None, None);
            }
        };
        let (mut team, _) = enter_with(3, work);
        team.begin((0..3).collect());
        wait_for(&team);
        let bug = catch_unwind(AssertUnwindSafe(|| team.join())).expect_err("it has panicked");
        assert!(bug.downcast_ref::<String>().is_some_and(|text| text.contains("this thread has a bug")));
    });
    succeeds(&outcome);
    assert_eq!(outcome.stderr.matches("panicked at").count(), 1, "said once: {outcome:?}");
}

// Panics, aborts and faults.

#[test]
fn a_panic_is_caught() {
    succeeds(&alone(|| {
        enter();
        assert!(catch_unwind(|| black_box(Vec::<u8>::new())[0]).is_err());
    }));
}

/// The process died by a signal, whichever.
fn dies(outcome: &Finished) {
    assert!(outcome.signal.is_some(), "{outcome:#?}");
}

#[test]
fn an_abort_ends_the_process() {
    dies(&alone(|| {
        enter();
        process::abort();
    }));
}

#[test]
fn a_fault_ends_the_process() {
    fn deeper(depth: u64) -> u64 {
        black_box(depth) + if depth == u64::MAX { 0 } else { deeper(depth + 1) }
    }
    dies(&alone(|| {
        enter();
        deeper(0);
    }));
}

// The program.

#[test]
fn the_program_probes_in_the_sandbox() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--timeout=100", SILENT]));
        running.wait_until(LIMIT, "has not probed", |_| !lab.seen_of(SILENT).is_empty());
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.pid())).expect("it runs");
        let descriptors = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or("");
        assert_eq!(descriptors.split_whitespace().take(2).collect::<Vec<_>>(), ["3", "3"]);
        if let Some(mode) = running.status("Seccomp") {
            assert_eq!(mode, if HAS_FILTER { "2" } else { "0" }, "2 is a filter (proc(5))");
        }
    });
}

/// Whether there is a filter for this architecture.
const HAS_FILTER: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"));

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]
mod where_filters_are_refused {
    use nix::libc;

    use super::*;
    use crate::lab::seccomp::refuse;

    const ALIVE: &str = "10.0.0.1";
    const REFUSALS: [Errno; 3] = [Errno::ENOSYS, Errno::EPERM, Errno::EINVAL];

    /// Makes the installation of a filter fail with this error.
    fn refuse_filters(errno: Errno) {
        refuse(&[(libc::SYS_seccomp, &[])], errno);
    }

    #[test]
    fn the_limit_on_descriptors_is_in_force() {
        succeeds(&alone(|| {
            refuse_filters(Errno::ENOSYS);
            let seccomp = enter();
            assert!(matches!(&seccomp, Seccomp::Refused(why) if why.raw_os_error() == Some(libc::ENOSYS)));
            let error = File::open("/dev/null").expect_err("it has been opened");
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            let opened = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::empty(), None);
            assert_eq!(opened.map(drop), Err(Errno::EMFILE));
            // So in the tests above it is the filter that refuses them.
            assert_eq!([setuid(getuid()), ptrace::cont(getppid(), None)], WITHOUT_SECCOMP);
        }));
    }

    #[test]
    fn the_program_pings_without_seccomp() {
        lab::play(|lab| {
            lab.host(SILENT, Behaviour::silent());
            for errno in REFUSALS {
                let run = |args: &[&str]| {
                    let running = lab.start_under(|| refuse_filters(errno), lab.command().args(args));
                    running.finish(LIMIT)
                };
                let report = run(&["--check"]).stdout;
                assert!(report.contains(&format!("seccomp      none: {}", errno.desc())), "{report}");
                assert!(report.contains("\n  fix        a kernel with CONFIG_SECCOMP_FILTER, or "), "{report}");
                let outcome = run(&["--retries=1", "--timeout=200ms", ALIVE, SILENT]);
                assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{errno}");
                assert!(outcome.is_alive(ALIVE), "{outcome:?}");
                assert_eq!(outcome.verdict_of(SILENT), "unreachable");
            }
        });
    }
}
