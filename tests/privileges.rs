//! The privileges of the program while it probes, seen from outside: none but its caller's.
//!
//! The program may be setuid root, so every privilege that it keeps helps an attacker who exploits
//! a bug in it. Here an ordinary user starts it in each way in which it can be installed, with a
//! host that never answers, and while it waits its privileges are read from the kernel. Its own
//! checks are not trusted. That it cannot regain root is not visible from outside, but it follows
//! from four user ids that are its caller's and empty capability sets (capabilities(7)).
//!
//! These tests need real root; without it they are skipped.

mod lab;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Behaviour, Finished, LIMIT, Lab, Running};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// How the message begins; the path of the program follows.
const NO_PERMISSION: &str = "xymonping: no permission to ping: Operation not permitted (as root: chown root ";

/// Starts the program with a host that never answers, and waits until it has probed.
fn probing(lab: &Lab, command: &mut Command) -> Running {
    lab.forget();
    lab.host(SILENT, Behaviour::silent());
    let mut running = lab.start(command.args(["--timeout=100", SILENT]));
    running.wait_until(LIMIT, "has not probed", |_| !lab.seen_of(SILENT).is_empty());
    running
}

/// Runs a command from start to end.
fn run(lab: &Lab, command: &mut Command, stdin: &str) -> Finished {
    let running = lab.start(command);
    running.feed(stdin);
    running.finish(LIMIT)
}

fn is_alive(outcome: &Finished) {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stdout.starts_with(&format!("{ALIVE} is alive (")), "{outcome:?}");
}

/// The process has the ids of `user`, no capability and no way to get one, and cannot be traced.
fn has_no_privileges(running: &Running, user: u32) {
    let status = |field: &str| running.status(field).unwrap_or_else(|| panic!("no {field} in its status"));
    // Real, effective, saved, and that of the file system.
    let ids = format!("{user} {user} {user} {user}");
    assert_eq!(status("Uid"), ids);
    assert_eq!(status("Gid"), ids);
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(u64::from_str_radix(&status(set), 16), Ok(0), "{set}");
    }
    assert_eq!(status("NoNewPrivs"), "1");
    assert_eq!(status("Threads"), "1");
    // The files of a process that is not dumpable belong to root (proc(5)).
    let owner = fs::metadata(format!("/proc/{}/environ", running.pid())).expect("it runs");
    assert_eq!((owner.uid(), owner.gid()), (0, 0), "dumpable");
    let core = limit(running, "Max core file size");
    assert_eq!(core, ["0", "0"]);
    let descriptors = limit(running, "Max open files");
    assert_eq!(descriptors, ["3", "3"], "a new descriptor could be opened");
    has_only_its_own_descriptors(running);
}

/// The soft and the hard limit of this name.
fn limit(running: &Running, name: &str) -> Vec<String> {
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.pid())).expect("it runs");
    let line = limits.lines().find_map(|line| line.strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name}:\n{limits}"));
    line.split_whitespace().take(2).map(str::to_owned).collect()
}

/// The descriptors above 2 are sockets and one signalfd.
fn has_only_its_own_descriptors(running: &Running) {
    let mut sockets = 0;
    let mut signals = 0;
    for entry in fs::read_dir(format!("/proc/{}/fd", running.pid())).expect("it runs") {
        let entry = entry.expect("it runs");
        if matches!(entry.file_name().to_str(), Some("0" | "1" | "2")) {
            continue;
        }
        let target = fs::read_link(entry.path()).expect("it runs");
        match target.to_str() {
            Some(target) if target.starts_with("socket:") => sockets += 1,
            Some("anon_inode:[signalfd]") => signals += 1,
            _ => panic!("{} is {}", entry.path().display(), target.display()),
        }
    }
    // For each family with targets one that pings and, with several targets, one for route
    // look-ups.
    assert!((1..=4).contains(&sockets) && signals == 1, "{sockets} sockets, {signals} for signals");
}

fn bounding_set(running: &Running) -> u64 {
    let set = running.status("CapBnd").expect("it runs");
    u64::from_str_radix(&set, 16).expect("a hexadecimal number")
}

// Each way to install it.

#[test]
fn setuid_root_leaves_no_privileges_while_it_probes() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let running = probing(lab, &mut ordinary(&program));
        has_no_privileges(&running, ORDINARY);
        assert_eq!(bounding_set(&running), 0);
        drop(running);
        is_alive(&run(lab, ordinary(&program).arg(ALIVE), ""));
    });
}

#[test]
fn setuid_root_keeps_the_groups_of_its_caller() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::Setuid);
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65533", "--regid=65532", "--groups=65531,65530"]).arg(&program);
        let running = probing(lab, &mut command);
        assert_eq!(running.status("Uid").as_deref(), Some("65533 65533 65533 65533"));
        assert_eq!(running.status("Gid").as_deref(), Some("65532 65532 65532 65532"));
        assert_eq!(running.status("Groups").as_deref(), Some("65530 65531"));
    });
}

#[test]
fn a_setgid_bit_leaves_no_privileges() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        fs::set_permissions(&program, PermissionsExt::from_mode(0o6755)).expect("our file");
        has_no_privileges(&probing(lab, &mut ordinary(&program)), ORDINARY);
    });
}

#[test]
fn a_file_capability_is_enough_and_is_dropped() {
    for capabilities in ["cap_net_raw+p", "cap_net_raw+ep", "cap_net_raw,cap_net_admin+p"] {
        file_capability(capabilities);
    }
}

fn file_capability(capabilities: &'static str) {
    caller::play(&["setcap"], |lab, place| {
        let program = place.install(Rights::Capabilities(capabilities));
        // The bounding set stays, since emptying it takes SETPCAP. It grants nothing under
        // no_new_privs.
        has_no_privileges(&probing(lab, &mut ordinary(&program)), ORDINARY);
        is_alive(&run(lab, ordinary(&program).arg(ALIVE), ""));
    });
}

#[test]
fn an_ambient_capability_is_enough_and_is_dropped() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        has_no_privileges(&probing(lab, &mut caller::with_net_raw(&program)), ORDINARY);
        is_alive(&run(lab, caller::with_net_raw(&program).arg(ALIVE), ""));
    });
}

#[test]
fn root_keeps_its_uid_and_nothing_else() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::None);
        let running = probing(lab, &mut Command::new(&program));
        has_no_privileges(&running, 0);
        assert_eq!(bounding_set(&running), 0);
    });
}

#[test]
fn datagram_sockets_are_enough_where_ping_group_range_allows_them() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", &format!("{ORDINARY} {ORDINARY}"));
        has_no_privileges(&probing(lab, &mut ordinary(&program)), ORDINARY);
        let outcome =
            run(lab, ordinary(&program).args(["--retries=1", "--timeout=500ms"]), "10.0.0.1\n10.0.0.7\nfd00::1\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let verdicts: Vec<_> = outcome.lines().iter().map(|line| line.split(" (").next().unwrap_or("")).collect();
        assert_eq!(verdicts, ["10.0.0.1 is alive", "10.0.0.7 is unreachable", "fd00::1 is alive"]);
        assert_eq!(outcome.stderr, "");
    });
}

// No permission.

#[test]
fn without_permission_stderr_says_how_to_get_it() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let outcome = run(lab, ordinary(&program).arg(ALIVE), "");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        let path = program.display();
        let hint = format!(
            "chown root {path} && chmod u+s {path}, or setcap cap_net_raw+p {path}; run --check for details)\n"
        );
        assert!(outcome.stderr.starts_with(NO_PERMISSION) && outcome.stderr.ends_with(&hint), "{outcome:?}");
        assert_eq!(outcome.stdout, "");

        // What a parent still writes is read, so that it gets the exit code and no SIGPIPE.
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = ordinary(&program);
        let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        let written = thread::spawn(move || File::from(writer).write_all(&[b'\n'; 1 << 20]));
        let outcome = running.finish(LIMIT);
        assert!(outcome.code == Some(3) && outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
        assert!(written.join().is_ok_and(|written| written.is_ok()));
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn help_and_usage_errors_need_no_permission() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::None);
        let outcome = run(lab, ordinary(&program).arg("--help"), "");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert!(outcome.stdout.starts_with("Usage: xymonping "));
        let outcome = run(lab, ordinary(&program).arg("--version"), "");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        let outcome = run(lab, ordinary(&program).arg("--retries=x"), "");
        assert_eq!(outcome.code, Some(3));
        assert_eq!(
            outcome.first_stderr_line(),
            "xymonping: --retries: bad value \"x\" (give a whole number from 0 to 255)"
        );
    });
}

#[test]
fn a_setuid_bit_without_effect_is_no_permission() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        // As under NoNewPrivileges= of systemd.
        let outcome = run(lab, ordinary("setpriv").arg("--no-new-privs").arg(&program).arg(ALIVE), "");
        assert!(outcome.code == Some(3) && outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
        // As in a container without NET_RAW, where uid 0 has no effect.
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-net_raw"]);
        let outcome = run(lab, command.arg(&program).arg(ALIVE), "");
        assert!(outcome.code == Some(3) && outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
        let mut command = Command::new("setpriv");
        let outcome = run(lab, command.arg("--bounding-set=-net_raw").arg(&program).arg(ALIVE), "");
        assert!(outcome.code == Some(3) && outcome.stderr.starts_with(NO_PERMISSION), "{outcome:?}");
    });
}

// Tracing.

#[test]
fn its_caller_cannot_read_its_memory_or_trace_it() {
    caller::play(&["sh", "sleep"], |lab, place| {
        // Opening these files takes the same permission as ptrace(2), to read and to attach.
        let opens = |pid: u32, file: &str| {
            let mut shell = ordinary("sh");
            shell.args(["-c", &format!("exec 3< /proc/{pid}/{file}")]).stderr(Stdio::null());
            shell.status().expect("sh was found").success()
        };
        let sleeper = lab.start(ordinary("sleep").arg("60"));
        let own = |file| opens(sleeper.pid(), file);
        assert!(own("maps"), "the check itself does not work");
        // Some systems let users attach to their child processes only.
        let attachable = own("mem");

        for rights in [Rights::Setuid, Rights::None] {
            let program = place.install(rights);
            lab.set_sysctl("net.ipv4.ping_group_range", &format!("{ORDINARY} {ORDINARY}"));
            let running = probing(lab, &mut ordinary(&program));
            for file in ["maps", "environ", "fd", "mem"] {
                assert!(!opens(running.pid(), file), "{rights:?}: {file} (attaching is allowed here: {attachable})");
            }
            drop(running);
            fs::remove_file(&program).expect("our file");
        }
    });
}

#[test]
fn inherited_descriptors_are_closed_however_many() {
    caller::play(&["bash"], |lab, place| {
        let program = place.install(Rights::Setuid);
        // select(2) cannot handle descriptors from 1024 on.
        for leaked in [1, 7, 4000] {
            let mut command = ordinary("bash");
            let script = format!(
                "ulimit -Sn 4096 && for ((n = 3; n < {}; n++)); do eval \"exec $n</dev/null\"; done; exec \"$0\" \"$@\"",
                3 + leaked
            );
            let running = probing(lab, command.args(["-c", &script]).arg(&program));
            has_no_privileges(&running, ORDINARY);
            drop(running);
            let mut command = ordinary("bash");
            is_alive(&run(lab, command.args(["-c", &script]).arg(&program).arg(ALIVE), ""));
        }
        // One far above a limit that leaves none free to find it with, but the one for the dynamic
        // linker.
        let free = if cfg!(target_env = "gnu") { 1 } else { 0 };
        let script = format!(
            "exec 500</dev/null; for ((n = 3; n < {}; n++)); do eval \"exec $n</dev/null\"; done; ulimit -Sn 9; exec \"$0\" \"$@\"",
            9 - free
        );
        has_no_privileges(&probing(lab, ordinary("bash").args(["-c", &script]).arg(&program)), ORDINARY);
    });
}

#[test]
fn a_closed_stdout_is_a_failure_where_it_can_be_detected() {
    caller::play(&["sh"], |lab, place| {
        // For a setuid program glibc opens closed descriptors in the wrong direction, so that using
        // them fails.
        let program = place.install(Rights::Setuid);
        let shell = |script: &str| {
            let mut command = ordinary("sh");
            command.args(["-c", script]).arg(&program).arg(ALIVE);
            run(lab, &mut command, "")
        };
        let outcome = shell(r#"exec "$0" "$@" >&-"#);
        assert!(matches!(outcome.code, Some(0 | 4)), "{outcome:?}");
        if cfg!(target_env = "gnu") {
            assert_eq!(outcome.code, Some(4), "{outcome:?}");
            let words = "xymonping: writing results: Bad file descriptor (the output is incomplete)\n";
            assert_eq!(outcome.stderr, words);
        }
        assert_eq!(shell(r#"exec "$0" "$@" <&- 2>&-"#).code, Some(0));
    });
}

// Files.

#[test]
fn a_list_is_opened_as_the_caller() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let secret = place.file("secret", 0, 0o600, "10.0.0.1\n");
        let own = place.file("own", ORDINARY, 0o400, "10.0.0.1\n");
        let outcome = run(lab, ordinary(&program).arg("--file").arg(&secret), "");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(outcome.first_stderr_line().starts_with("xymonping: list \"/"), "{outcome:?}");
        assert!(
            outcome.first_stderr_line().ends_with(": Permission denied (give a list that this user may read)"),
            "{outcome:?}"
        );
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        is_alive(&run(lab, ordinary(&program).arg("--file").arg(&own), ""));
        // A pipe belongs to the user who made it, here the caller.
        let script = "echo 10.0.0.1 | \"$0\" --file=/dev/stdin";
        is_alive(&run(lab, ordinary("sh").args(["-c", script]).arg(&program), ""));

        // Root loses the capability to read other users' files, and is told so.
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("our file");
        let outcome = run(lab, Command::new(&program).arg("--file").arg(&own), "");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(
            outcome.first_stderr_line().ends_with(": Permission denied (give a list that this user may read)"),
            "{outcome:?}"
        );
        let hint =
            "xymonping: root's capability to read other users' files was dropped (use stdin: cat FILE | xymonping)";
        assert_eq!(outcome.stderr.lines().nth(1), Some(hint));
    });
}

#[test]
fn a_debug_log_is_opened_as_the_caller_and_is_a_regular_file() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let directory = place.directory("logs");
        let run = |log: &Path| {
            let flag = format!("--debug={}", log.display());
            run(lab, ordinary(&program).args([&flag, ALIVE]), "")
        };
        let refused = |log: &Path, why: &str| {
            lab.forget();
            let outcome = run(log);
            assert_eq!(outcome.code, Some(3), "{}: {outcome:?}", log.display());
            assert!(outcome.first_stderr_line().starts_with("xymonping: --debug=\"/"), "{outcome:?}");
            let end = format!(": {why} (give a regular file that this user may write)");
            assert!(outcome.first_stderr_line().ends_with(&end), "{outcome:?}");
            assert!(lab.seen().is_empty());
        };

        let log = directory.join("log");
        is_alive(&run(&log));
        let made = fs::metadata(&log).expect("it was created");
        assert_eq!((made.uid(), made.gid(), made.mode() & 0o7777), (ORDINARY, ORDINARY, 0o600));
        let first = fs::read_to_string(&log).expect("it is text");
        assert!(first.contains(&format!(" send {ALIVE} ")) && first.contains(&format!(" recv {ALIVE} ")), "{first}");
        is_alive(&run(&log));
        let both = fs::read_to_string(&log).expect("it is text");
        assert!(both.starts_with(&first) && both.len() > first.len(), "it is appended to");

        // In a directory and of a file without write permission, and through what is not a regular
        // file.
        refused(&place.path("log"), "Permission denied");
        refused(&place.file("roots", 0, 0o644, ""), "Permission denied");
        let link = directory.join("link");
        symlink(&log, &link).expect("our directory");
        refused(&link, "Too many levels of symbolic links");
        assert_eq!(fs::read_to_string(&log).ok().as_ref(), Some(&both), "nothing was written through the link");
        let dangling = directory.join("dangling");
        symlink(directory.join("new"), &dangling).expect("our directory");
        refused(&dangling, "Too many levels of symbolic links");
        assert!(!directory.join("new").exists());
        refused(Path::new("/dev/null"), "not a regular file");
        refused(&directory, "Is a directory");
        let fifo = place.path("fifo");
        let all_users = Mode::from_bits_truncate(0o666);
        mkfifo(&fifo, all_users).expect("our directory");
        fs::set_permissions(&fifo, PermissionsExt::from_mode(0o666)).expect("our file");
        refused(&fifo, "No such device or address");
        let reader = OpenOptions::new().read(true).write(true).open(&fifo).expect("our file");
        refused(&fifo, "not a regular file");
        drop(reader);
    });
}
