//! What a caller hands down: descriptors, arguments, environment, timer slack; and a debugger.

use std::env;
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io::{self, Write};
use std::iter::repeat_n;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use nix::errno::Errno;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::sys::{prctl, ptrace};
use nix::unistd::{Pid, execve};
use xymonping::cli::FLAGS;

use crate::lab::caller::{self, Place, Rights, ordinary};
use crate::lab::{Behaviour, LIMIT, Running};
use crate::{ALIVE, SILENT, ends_well, is_alive, run};

#[test]
fn descriptors_may_be_closed_in_every_combination() {
    caller::play(&["sh"], |lab, place| {
        let program = place.install(Rights::Setuid);
        for closed in 0..8 {
            let closing: String = (0..3).filter(|fd| closed & 1 << fd != 0).map(|fd| format!(" {fd}>&-")).collect();
            for args in [&[ALIVE][..], &["--debug", ALIVE], &["--file=-"], &["--help"], &["--bogus"]] {
                lab.forget();
                let script = format!("exec \"$0\" \"$@\"{closing}");
                let outcome = run(lab, ordinary("sh").args(["-c", &script]).arg(&program).args(args), "");
                // With stderr closed there is no message.
                assert!(matches!(outcome.code, Some(0 | 3 | 4)), "{closing} {args:?}: {outcome:?}");
                // Text written to a socket instead of stdout or stderr would be on the wire.
                assert_eq!(lab.seen().len(), args.iter().filter(|arg| **arg == ALIVE).count(), "{closing} {args:?}");
                assert_eq!(lab.counts().damaged, 0);
            }
        }
    });
}

#[test]
fn arguments_may_be_long_and_many() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let refused = |args: &[&OsStr], why: &str| {
            let outcome = run(lab, ordinary(&program).args(args), "");
            ends_well(&outcome, why);
            assert_eq!(outcome.code, Some(3), "{why}: {outcome:?}");
            assert!(outcome.stderr.len() < 1000, "{why}: {} bytes", outcome.stderr.len());
        };
        // The longest argument is 128 KiB (execve(2)).
        let long = |byte: u8| vec![byte; (128 << 10) - 1];
        for byte in *b"1-\n%\x1b\xff" {
            let long = long(byte);
            let long = OsStr::from_bytes(&long);
            refused(&[long], "a long argument");
            refused(&[long; 8], "a megabyte");
            refused(&[OsStr::new("--retries"), long], "a long value");
        }
        refused(&vec![OsStr::new("x"); 100_000], "100,000 arguments");
        refused(&[OsStr::new("--"), OsStr::new("")], "an empty argument");
        refused(&[OsStr::from_bytes(b"--ret\xffries=\xfe")], "invalid UTF-8");
        let outcome = run(lab, ordinary(&program).args(repeat_n(ALIVE, 100_000)), "");
        is_alive(&outcome, "one address");
        assert_eq!(outcome.lines().len(), 100_000);
    });
}

#[test]
fn every_option_with_an_invalid_value_ends_in_an_exit_code() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let digits = "9".repeat(100_000);
        let values = ["", "\u{fffd}\n", "-1", "1e999", "0x", "%s%n", "../../etc/shadow", &digits].map(OsStr::new);
        let values = values.into_iter().chain([OsStr::from_bytes(b"\xff\xfe")]);
        for value in values {
            let letters = FLAGS.iter().filter_map(|flag| flag.short).map(|short| format!("-{short}"));
            let long = FLAGS.iter().filter_map(|flag| flag.long).map(|long| format!("--{long}"));
            for option in letters.chain(long) {
                let outcome = run(lab, ordinary(&program).arg(&option).arg(value), "");
                ends_well(&outcome, &format!("{option} {value:.20?}"));
            }
        }
        // None of the values was probed as an address.
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn the_environment_has_no_effect() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // A library that the dynamic linker would fail to load.
        let libraries = place.directory("libraries");
        let broken = libraries.join("libc.so.6");
        fs::write(&broken, "no library").expect("our directory");
        let (libraries, broken) = (libraries.as_os_str(), broken.as_os_str());
        let long = "x".repeat(100_000);
        let long = OsStr::new(&long);
        let many: Vec<String> = (0..14).map(|n| format!("LD_LONG_{n}")).collect();
        let text = OsStr::new;
        let environments: [(&str, Vec<(&str, &OsStr)>); 8] = [
            ("none, as cron", vec![]),
            ("linker", vec![("LD_PRELOAD", broken), ("LD_LIBRARY_PATH", libraries), ("LD_AUDIT", broken)]),
            (
                "linker's output",
                ["LD_DEBUG", "LD_SHOW_AUXV", "LD_WARN", "LD_BIND_NOW"].map(|v| (v, text("all"))).into(),
            ),
            (
                "malloc",
                vec![
                    ("MALLOC_CHECK_", text("3")),
                    ("MALLOC_PERTURB_", text("7")),
                    ("MALLOC_TOP_PAD_", text("9999999999")),
                ],
            ),
            (
                "tunables",
                vec![(
                    "GLIBC_TUNABLES",
                    text("glibc.malloc.check=3:glibc.malloc.check=3:glibc.malloc.mxfast=9999999999:="),
                )],
            ),
            (
                "Rust",
                vec![("RUST_BACKTRACE", text("full")), ("RUST_LOG", text("trace")), ("RUST_MIN_STACK", text("x"))],
            ),
            (
                "places and languages",
                ["PATH", "PWD", "HOME", "TMPDIR", "TZ", "TZDIR", "LANG", "LC_ALL", "LOCPATH", "NLSPATH", "GCONV_PATH"]
                    .map(|variable| (variable, libraries))
                    .into(),
            ),
            ("a megabyte of it", many.iter().map(|name| (name.as_str(), long)).collect()),
        ];
        for (name, environment) in environments {
            let outcome = run(lab, ordinary(&program).arg(ALIVE).env_clear().envs(environment.iter().copied()), "");
            is_alive(&outcome, name);
            assert_eq!((outcome.lines().len(), outcome.stderr.as_str()), (1, ""), "{name}");
            // Messages are not affected either.
            let outcome = run(lab, ordinary(&program).arg("--file=/nonexistent").env_clear().envs(environment), "");
            let message =
                "xymonping: list \"/nonexistent\": No such file or directory (give a list that this user may read)\n";
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), message), "{name}");
        }
    });
}

#[test]
fn an_inherited_timer_slack_is_reset() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host(SILENT, Behaviour::silent());
        let mut command = ordinary(&program);
        command.args(["--timeout=100", SILENT]);
        let mut running = lab.inside(|| {
            // Four seconds, about the maximum; child processes of this thread inherit it.
            prctl::set_timerslack(4_000_000_000).expect("our own thread");
            Running::start(&mut command).expect("the program")
        });
        running.wait_until(LIMIT, "has not probed", |_| !lab.seen().is_empty());
        let slack = fs::read_to_string(format!("/proc/{}/timerslack_ns", running.pid())).expect("it runs");
        assert_eq!(slack.trim(), "50000");
    });
}

// What safe code cannot do in a child process before execve(2) is done by this test program, copied
// to where the ordinary user can start it.

/// Tells [`helper`] what to do.
const TASK: &str = "XYMONPING_LAB_TASK";

/// A copy of this test program that does `task` with `object`, started by the ordinary user.
fn helper_command(place: &Place, task: &str, object: impl AsRef<OsStr>) -> Command {
    let copy = helper_path(place);
    let mut command = ordinary(copy);
    command.args(["--exact", "start::helper", "--nocapture"]).env(TASK, task).env("OBJECT", object);
    command
}

fn helper_path(place: &Place) -> PathBuf {
    let copy = place.path("helper");
    if !copy.exists() {
        let this = env::current_exe().expect("a test knows its own binary");
        let copied = Command::new("cp").arg(this).arg(&copy).status();
        assert!(copied.is_ok_and(|status| status.success()), "cannot copy this test");
        fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("our file");
    }
    copy
}

/// Not a test, but the entry of [`helper_command`].
#[test]
fn helper() {
    let (Ok(task), Some(object)) = (env::var(TASK), env::var_os("OBJECT")) else { return };
    match task.as_str() {
        "start it without a name" => {
            let path = CString::new(object.as_bytes()).expect("a path");
            let error = execve::<&CStr, &CStr>(&path, &[], &[]);
            panic!("{error:?}");
        }
        "attach to it" => {
            let pid = object.to_str().and_then(|pid| pid.parse().ok()).expect("a process");
            assert_eq!(ptrace::attach(Pid::from_raw(pid)), Err(Errno::EPERM));
        }
        "trace it" => trace(Path::new(&object)),
        _ => panic!("unknown task: {task}"),
    }
}

/// Attaches to a shell, lets it execute the program, and exits with the exit code of the program.
#[expect(clippy::exit, reason = "passes on the exit code of the program")]
#[expect(clippy::zombie_processes, reason = "a tracer waits by waitpid")]
fn trace(program: &Path) {
    let mut shell = Command::new("sh");
    let mut shell = shell.args(["-c", "read go; exec \"$0\" \"$1\""]).arg(program).arg(ALIVE);
    shell = shell.stdin(Stdio::piped());
    let mut child = shell.spawn().expect("sh was found");
    let pid = Pid::from_raw(child.id() as i32);
    if let Err(refusal) = ptrace::attach(pid) {
        // 77: ordinary users may not trace on this machine.
        let _ = child.kill();
        let _ = writeln!(io::stderr(), "ptrace: {refusal}");
        process::exit(77);
    }
    child.stdin.take().expect("a pipe").write_all(b"go\n").expect("sh reads");
    loop {
        match waitpid(pid, None).expect("our child") {
            WaitStatus::Exited(_, code) => process::exit(code),
            WaitStatus::Signaled(_, signal, _) => panic!("killed by {signal}"),
            // Stopped by the tracing itself.
            _ => ptrace::cont(pid, None).expect("our child"),
        }
    }
}

#[test]
fn argv_may_be_empty() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = run(lab, &mut helper_command(place, "start it without a name", &program), "10.0.0.1\n");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        // After the output of libtest.
        assert!(outcome.stdout.contains("10.0.0.1 is alive ("), "{outcome:?}");
    });
}

#[test]
fn it_cannot_be_attached_to_and_tracing_its_start_grants_no_privileges() {
    caller::play(&["sh"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(ordinary(&program).args(["--timeout=100", SILENT]));
        running.wait_until(LIMIT, "has not probed", |_| !lab.seen().is_empty());
        let outcome = run(lab, &mut helper_command(place, "attach to it", running.pid().to_string()), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        drop(running);

        lab.forget();
        let outcome = run(lab, &mut helper_command(place, "trace it", &program), "");
        if outcome.code == Some(77) {
            return crate::lab::skip(
                "it_cannot_be_attached_to_and_tracing_its_start_grants_no_privileges",
                outcome.first_stderr_line(),
            );
        }
        // The kernel ignores the setuid bit of a traced process.
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(outcome.first_stderr_line().starts_with("xymonping: no permission to ping: "), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}
