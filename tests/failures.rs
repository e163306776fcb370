//! A failure on this machine never makes a host unreachable.
//!
//! Xymon takes death by a signal for success, and a host without a line for one that is down. So
//! signals, full disks, closed pipes, missing memory and wrong descriptors must end in exit code 4,
//! with the lines that are certain and one line on stderr that says why; and the program must never
//! end by a signal that it causes itself.

mod lab;

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lab::{Behaviour, Finished, LIMIT, Lab, Running, hosts, list, ms};
use nix::fcntl::OFlag;
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// Every signal that ends a process by default and can be blocked.
const SIGNALS: [Signal; 19] = [
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGILL,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGTRAP,
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGTERM,
    Signal::SIGSTKFLT,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
    Signal::SIGVTALRM,
    Signal::SIGPROF,
    Signal::SIGIO,
    Signal::SIGPWR,
];

/// The program started by a shell script, in which `"$0" "$@"` is the program.
fn shell(lab: &Lab, script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(lab.command().get_program()).args(args);
    command
}

fn run(lab: &Lab, script: &str, args: &[&str], stdin: &str) -> Finished {
    let running = lab.start(&mut shell(lab, script, args));
    running.feed(stdin);
    running.finish(LIMIT)
}

/// The run failed with exit code 4 and this message.
fn fails(outcome: &Finished, message: &str) {
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {message}"), "{outcome:?}");
}

/// Stops the program, does something meanwhile, and lets it continue.
fn while_stopped(running: &mut Running, mut what: impl FnMut(&mut Running)) {
    running.signal(Signal::SIGSTOP);
    running.wait_until(LIMIT, "does not stop", |running| running.status("State").is_some_and(|s| s.starts_with('T')));
    what(running);
    running.signal(Signal::SIGCONT);
}

/// An empty file for one test.
fn scratch(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    File::create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

// Signals.

#[test]
fn a_signal_while_probing_prints_finished_targets() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for signal in SIGNALS {
            lab.forget();
            let mut running =
                lab.start(lab.command().args([ALIVE, SILENT, "10.0.0.2", "--timeout=100", "--max-pps=1000"]));
            // A reply that has arrived before the signal counts, read or not.
            running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 3 && lab.counts().answers == 2);
            running.signal(signal);
            let outcome = running.finish(LIMIT);
            fails(&outcome, &format!("stopped by {signal}: 2 of 3 targets finished (the others have no line)"));
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.2 is alive"]);
            assert_eq!(outcome.stderr.lines().count(), 1);
        }
    });
}

#[test]
fn a_second_signal_does_not_lose_the_results() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(lab.command().args([ALIVE, SILENT, "--timeout=100"]));
        running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        while_stopped(&mut running, |running| {
            running.signal(Signal::SIGINT);
            running.signal(Signal::SIGTERM);
        });
        let outcome = running.finish(LIMIT);
        fails(&outcome, "stopped by SIGINT: 1 of 2 targets finished (the others have no line)");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);
    });
}

#[test]
fn a_signal_is_not_lost_while_the_debug_log_is_written() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        lab.host(ALIVE, Behaviour::after(ms(200)));
        let log = scratch("signal-log");
        let flag = format!("--debug={}", log.display());
        for debug in ["--debug", &flag] {
            lab.forget();
            let mut running = lab.start(lab.command().args([debug, ALIVE, SILENT, "--timeout=100"]));
            running.wait_until(LIMIT, "has not probed", |_| lab.seen().len() == 2);
            // When it continues, there are a reply to log and a signal.
            while_stopped(&mut running, |running| {
                while lab.counts().answers == 0 {
                    thread::sleep(ms(1));
                }
                running.signal(Signal::SIGTERM);
            });
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(4), "{outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);
        }
    });
}

#[test]
fn a_signal_ends_a_debug_log_without_a_reader() {
    lab::play(|lab| {
        let (unread, stalled) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let filled = stalled.try_clone().expect("a descriptor");
        let mut command = lab.command();
        command.args(["--debug", "--max-pps=unlimited", "--timeout=1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(filled);
        let mut running = lab.start_as_is(&mut command);
        running.feed(list(&hosts(1, 5000)));
        running.close_stdin();
        // A pipe holds 64 KiB, which is less than a thousand lines of the log.
        running.wait_until(LIMIT, "has not probed", |_| lab.seen().len() > 300);
        drop(stalled);
        running.signal(Signal::SIGTERM);
        // Its last message waits for a reader of stderr; with the pipe broken there is none to wait
        // for.
        drop(command);
        drop(unread);
        assert_eq!(running.finish(LIMIT).code, Some(4));
    });
}

#[test]
fn a_signal_while_reading_ends_the_run_before_a_packet_is_sent() {
    lab::play(|lab| {
        for signal in SIGNALS {
            let mut running = lab.start(&mut lab.command());
            running.feed("10.0.0.1\n10.0.0.2");
            running.wait_until_signals_are_blocked();
            running.signal(signal);
            running.wait_until(LIMIT, "says nothing", |running| running.stderr_so_far().ends_with('\n'));
            let outcome = running.finish(LIMIT);
            fails(&outcome, &format!("reading the list: stopped by {signal} (nothing was probed)"));
            assert_eq!(outcome.stdout, "");
        }
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn a_signal_ends_a_list_without_end() {
    lab::play(|lab| {
        let mut running = lab.start(lab.command().arg("--file=/dev/zero"));
        running.wait_until_signals_are_blocked();
        running.signal(Signal::SIGTERM);
        fails(&running.finish(LIMIT), "reading the list: stopped by SIGTERM (nothing was probed)");
    });
}

/// Their lines are more than the 64 KiB that a pipe holds.
const MANY: u32 = 5000;

/// A run with `args` that has begun to write its results, and the pipe that they are not read from.
fn writing_without_a_reader(lab: &Lab, args: &[&str], list: String) -> (Running, File) {
    let (unread, stalled) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    let mut command = lab.command();
    command.arg("--max-pps=unlimited").args(args).stdin(Stdio::piped()).stdout(stalled).stderr(Stdio::piped());
    let mut running = lab.start_as_is(&mut command);
    drop(command);
    running.feed(list);
    running.close_stdin();
    let mut unread = File::from(unread);
    unread.read_exact(&mut [0]).expect("the program writes");
    (running, unread)
}

#[test]
fn a_signal_while_the_results_have_no_reader_ends_the_run() {
    lab::play(|lab| {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGALRM] {
            // Results, and records of rejected lines before any probe.
            for (args, list) in
                [(&[][..], list(&hosts(1, MANY))), (&["--json", "--list-errors"], "no-address\n".repeat(MANY as usize))]
            {
                let (mut running, _unread) = writing_without_a_reader(lab, args, list);
                running.signal(signal);
                let message = format!("writing results: stopped by {signal} (the output is incomplete)");
                fails(&running.finish(LIMIT), &message);
            }
        }
    });
}

#[test]
fn a_stop_while_the_results_have_no_reader_has_no_effect() {
    lab::play(|lab| {
        let (mut running, mut unread) = writing_without_a_reader(lab, &[], list(&hosts(1, MANY)));
        for _ in 0..3 {
            running.wait_until(LIMIT, "does not wait", |running| {
                running.status("State").is_some_and(|state| state.starts_with('S'))
            });
            while_stopped(&mut running, |_| ());
        }
        let mut rest = String::new();
        unread.read_to_string(&mut rest).expect("the program writes text");
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""));
        assert_eq!(rest.lines().count(), MANY as usize);
    });
}

#[test]
fn a_signal_that_was_ignored_at_start_stays_ignored() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for (names, signals) in [("HUP", &[Signal::SIGHUP][..]), ("INT TERM", &[Signal::SIGINT, Signal::SIGTERM])] {
            lab.forget();
            let script = format!("trap '' {names}; exec \"$0\" \"$@\"");
            let args = ["--timeout=500ms", "--retries=2", SILENT];
            let mut running = lab.start(&mut shell(lab, &script, &args));
            running.wait_until(LIMIT, "has not probed", |_| !lab.seen().is_empty());
            for &signal in signals {
                running.signal(signal);
            }
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.7 is unreachable"]);
            assert_eq!(lab.seen().len(), 3);
        }
    });
}

#[test]
fn nohup_keeps_a_run_alive() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = Command::new("nohup");
        command.arg(lab.command().get_program()).args(["--timeout=500ms", "--retries=1", SILENT]);
        let mut running = lab.start(&mut command);
        running.wait_until(LIMIT, "has not probed", |_| !lab.seen().is_empty());
        running.signal(Signal::SIGHUP);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.7 is unreachable"]), "{outcome:?}");
    });
}

// Stdout.

#[test]
fn a_full_disk_is_a_failure() {
    lab::play(|lab| {
        let message = "writing results: No space left on device (the output is incomplete)";
        fails(&run(lab, r#"exec "$0" "$@" > /dev/full"#, &[ALIVE], ""), message);
        fails(
            &run(
                lab,
                r#"exec "$0" "$@" > /dev/full"#,
                &["--exit-status", "--max-pps=unlimited"],
                &list(&hosts(1, 5000)),
            ),
            message,
        );
        fails(&run(lab, r#"exec "$0" "$@" > /dev/full"#, &["--help"], ""), message);
        // There is nothing to write.
        assert_eq!(run(lab, r#"exec "$0" "$@" > /dev/full"#, &["-q", ALIVE], "").code, Some(0));
        // Without stderr the exit code is the only report.
        assert_eq!(run(lab, r#"exec "$0" "$@" > /dev/full 2>&1"#, &[ALIVE], "").code, Some(4));
        assert_eq!(run(lab, r#"exec "$0" "$@" 2> /dev/full"#, &["--bogus"], "").code, Some(3));
        assert_eq!(run(lab, r#"exec "$0" "$@" 2> /dev/full"#, &["--debug", ALIVE], "").code, Some(0));
    });
}

#[test]
fn a_limit_on_file_sizes_is_a_failure_and_no_sigxfsz() {
    lab::play(|lab| {
        let file = scratch("limited");
        let script = format!("ulimit -f 1; exec \"$0\" \"$@\" > '{}'", file.display());
        let outcome = run(lab, &script, &["--max-pps=unlimited"], &list(&hosts(1, 5000)));
        fails(&outcome, "writing results: File too large (the output is incomplete)");
    });
}

#[test]
fn a_broken_pipe_is_a_failure_and_no_sigpipe() {
    lab::play(|lab| {
        for (args, stdin) in [(&[ALIVE][..], String::new()), (&["--max-pps=unlimited"], list(&hosts(1, 5000)))] {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            drop(reader);
            let mut command = lab.command();
            command.args(args).stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped());
            let running = lab.start_as_is(&mut command);
            running.feed(stdin);
            fails(&running.finish(LIMIT), "writing results: Broken pipe (the output is incomplete)");
        }
    });
}

#[test]
fn a_stdout_that_is_not_open_for_writing_is_a_failure() {
    lab::play(|lab| {
        let message = "writing results: Bad file descriptor (the output is incomplete)";
        fails(&run(lab, r#"exec "$0" "$@" 1< /dev/null"#, &[ALIVE], ""), message);
        fails(&run(lab, r#"exec "$0" "$@" 1< /dev/null"#, &["--version"], ""), message);
        // The reading end of a pipe is never writable, so this must not be waited for.
        let (reader, _writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = lab.command();
        let running = lab.start_as_is(command.arg(ALIVE).stdin(Stdio::null()).stdout(reader).stderr(Stdio::piped()));
        fails(&running.finish(LIMIT), message);
    });
}

#[test]
fn a_non_blocking_stdout_is_waited_for() {
    lab::play(|lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
        let mut command = lab.command();
        command.arg("--max-pps=unlimited").stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped());
        let mut running = lab.start_as_is(&mut command);
        drop(command);
        running.feed(list(&hosts(1, 10_000)));
        running.close_stdin();
        let mut reader = File::from(reader);
        let mut text = Vec::new();
        let mut piece = [0; 1000];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => text.extend(&piece[..count]),
                Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock),
            }
            // Slower than the program, so that the pipe becomes full.
            thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(running.finish(LIMIT).code, Some(0));
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).count();
        assert_eq!(lines, 10_000);
        assert_eq!(text.last(), Some(&b'\n'));
    });
}

// Stdin.

#[test]
fn a_stdin_that_is_not_open_for_reading_is_a_failure() {
    lab::play(|lab| {
        let message = "reading the list: Bad file descriptor (nothing was probed)";
        fails(&run(lab, r#"exec "$0" "$@" 0> /dev/null"#, &[], ""), message);
        let (_reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = lab.command();
        let running = lab.start_as_is(command.stdin(writer).stdout(Stdio::piped()).stderr(Stdio::piped()));
        fails(&running.finish(LIMIT), message);
        // With an operand it is not read.
        assert_eq!(run(lab, r#"exec "$0" "$@" 0> /dev/null"#, &[ALIVE], "").code, Some(0));
    });
}

#[test]
fn a_directory_is_not_a_list_and_dev_null_is_an_empty_one() {
    lab::play(|lab| {
        let outcome = run(lab, r#"exec "$0" "$@" < /"#, &[], "");
        fails(&outcome, "reading the list: Is a directory (nothing was probed)");
        let outcome = run(lab, r#"exec "$0" "$@" < /dev/null"#, &["--exit-status"], "");
        assert_eq!((outcome.code, outcome.stdout.as_str(), outcome.stderr.as_str()), (Some(0), "", ""));
    });
}

#[test]
fn a_list_in_utf16_is_refused() {
    lab::play(|lab| {
        let text = "\u{feff}10.0.0.1\r\n10.0.0.2 label\r\n";
        let list: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let path = scratch("utf16-list");
        std::fs::write(&path, &list).expect("our file");
        for outcome in [lab.run(&[], &list), lab.run(&[&format!("--file={}", path.display())], "")] {
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
            let words = "list: UTF-16 text (nothing was probed; convert it first: iconv -f UTF-16 -t UTF-8)";
            assert_eq!(outcome.stderr, format!("xymonping: {words}\n"));
        }
        assert!(lab.seen().is_empty());
        let script = format!("iconv -f UTF-16 -t UTF-8 '{}' | \"$0\" \"$@\"", path.display());
        let outcome = run(lab, &script, &[], "");
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive", "10.0.0.2 is alive"]));
    });
}

#[test]
fn a_non_blocking_stdin_is_waited_for() {
    lab::play(|lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
        let mut command = lab.command();
        let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        write_slowly(running, writer);
    });
}

#[test]
fn a_slow_writer_is_waited_for() {
    lab::play(|lab| {
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = lab.command();
        let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        let outcome = write_slowly(running, writer);
        assert!(outcome.wall >= ms(300), "{outcome:?}");
    });
}

#[test]
fn stdin_may_be_a_socket() {
    lab::play(|lab| {
        let (near, far) =
            socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).expect("a pair");
        let mut command = lab.command();
        let running = lab.start_as_is(command.stdin(near).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        write_slowly(running, far);
    });
}

/// Writes a list in pieces that end anywhere, with pauses.
fn write_slowly(mut running: Running, writer: OwnedFd) -> Finished {
    running.wait_until_signals_are_blocked();
    let mut writer = File::from(writer);
    for piece in ["10.0", ".0.1", "\n", "10.0.0.2\n10.", "0.0.3"] {
        writer.write_all(piece.as_bytes()).expect("the program reads");
        thread::sleep(ms(60));
    }
    drop(writer);
    let outcome = running.finish(LIMIT);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.2 is alive", "10.0.0.3 is alive"]);
    outcome
}

#[test]
fn a_terminal_gets_a_hint_and_is_read() {
    lab::play(|lab| {
        let Ok(pty) = openpty(None, None) else {
            let reason = b"SKIPPED a_terminal_gets_a_hint_and_is_read: no pseudo-terminal can be opened\n";
            let _ = std::io::stderr().write_all(reason);
            return;
        };
        let mut command = lab.command();
        let mut running = lab.start_as_is(command.stdin(pty.slave).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        let hint = "xymonping: reading addresses from the terminal, one per line (end with Ctrl-D)\n";
        running.wait_until(LIMIT, "gives no hint", |running| running.stderr_so_far() == hint);
        let mut keyboard = File::from(pty.master);
        keyboard.write_all(b"10.0.0.1\n\x04").expect("the program reads");
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]));
        assert_eq!(outcome.stderr, hint);
    });
}

// Descriptors, memory, network.

#[test]
fn closed_descriptors_are_not_reused_for_sockets() {
    lab::play(|lab| {
        // Rust's start-up code opens /dev/null in place of a closed descriptor, so that this cannot
        // be distinguished from a redirection to /dev/null.
        for (script, args) in [
            (r#"exec "$0" "$@" <&-"#, &[ALIVE][..]),
            (r#"exec "$0" "$@" >&-"#, &[ALIVE]),
            (r#"exec "$0" "$@" 2>&-"#, &[ALIVE]),
            (r#"exec "$0" "$@" <&- >&- 2>&-"#, &[ALIVE]),
            (r#"exec "$0" "$@" <&- >&- 2>&-"#, &["--debug", ALIVE]),
            (r#"exec "$0" "$@" <&-"#, &[]),
        ] {
            lab.forget();
            let outcome = run(lab, script, args, "");
            assert_eq!(outcome.code, Some(0), "{script}: {outcome:?}");
            // Text written to a socket instead of stdout or stderr would be on the wire.
            assert_eq!(lab.seen().len(), args.iter().filter(|arg| **arg == ALIVE).count(), "{script}");
            assert_eq!(lab.counts().damaged, 0);
        }
        let outcome = run(lab, r#"exec "$0" "$@" >&- 2>&-"#, &["--bogus"], "");
        assert_eq!(outcome.code, Some(3));
    });
}

#[test]
fn too_few_descriptors_are_a_failure() {
    lab::play(|lab| {
        // From none free to enough.
        let mut succeeded = false;
        for limit in 3..12 {
            let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
            let outcome = run(lab, &script, &[ALIVE, "fd00::1"], "");
            match outcome.code {
                Some(0) => {
                    assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "fd00::1 is alive"]);
                    succeeded = true;
                }
                // The dynamic linker opens files as well.
                Some(127) => assert!(!succeeded),
                _ => {
                    fails(&outcome, "opening sockets: Too many open files");
                    assert_eq!(outcome.stdout, "");
                }
            }
        }
        assert!(succeeded);
    });
}

#[test]
fn too_little_memory_for_a_list_is_a_failure_and_no_abort() {
    lab::play(|lab| {
        let addresses = list(&hosts(1, 600_000));
        let names: String = (0..600_000).map(|number| format!("host{number}.invalid\n")).collect();
        let limited = |kib: u64, names: &str, stdin: &str| {
            run(lab, &format!("ulimit -v {kib}; exec \"$0\" \"$@\""), &["-q", "--max-pps=unlimited", names], stdin)
        };
        // The least that the program needs, with its dynamic linker.
        let is_enough = |&kib: &u64| limited(kib, "--ipv4", "").code == Some(0);
        let own = (1..400).map(|n| n * 256).find(is_enough).expect("100 MiB are enough");
        for (more, option, list) in [
            (1024, "--ipv4", &addresses),
            (2048, "--ipv4", &addresses),
            (4096, "--ipv4", &addresses),
            (8192, "--names", &addresses),
            (8192, "--resolve", &names),
            // Lines that there is room for, but not what finding their names takes.
            (64 << 10, "--resolve", &names),
        ] {
            let outcome = limited(own + more, option, list);
            assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{own} + {more}: {outcome:?}");
            let line = outcome.first_stderr_line();
            assert!(line.starts_with("xymonping: out of memory at "), "{line}");
            let hint = " lines (split the list, or allow more: ulimit -v, or the control group)";
            assert!(line.ends_with(hint), "{line}");
            assert_eq!(outcome.stdout, "");
        }
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn a_network_that_is_down_is_a_failure() {
    lab::play(|lab| {
        lab.ip(&["link", "set", "lab0", "down"]);
        let outcome = lab.run(&["--retries=0", "--timeout=100ms"], "10.0.0.1\n10.0.0.2\n");
        fails(&outcome, "no probe could leave this machine: Network is unreachable (see: ip route get 10.0.0.1)");
        assert_eq!(outcome.stdout, "");
    });
}

#[test]
fn a_debug_log_that_cannot_be_written_does_not_end_the_run() {
    lab::play(|lab| {
        // The reader of stderr may have ended, or stderr may not be open for writing.
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        drop(reader);
        let mut command = lab.command();
        command.args(["--debug", ALIVE]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
        let outcome = lab.start_as_is(&mut command).finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]));
        let read_only = OpenOptions::new().read(true).custom_flags(OFlag::O_CLOEXEC.bits()).open("/dev/null");
        let mut command = lab.command();
        command.arg("--bogus").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(read_only.expect("it is there"));
        assert_eq!(lab.start_as_is(&mut command).finish(LIMIT).code, Some(3));
    });
}
