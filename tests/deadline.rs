//! `--deadline`: the run ends in time, whatever blocks it, and its results are true.
//!
//! xymonnet starts again every five minutes. So neither a list without end nor a reader that does
//! not read may delay the end of the program beyond the deadline. A target that had no fair chance
//! by then has no line, and the exit code reports that.
//!
//! That a run ends in time is what is tested, so only here a test has an upper bound on the wall
//! clock. The machine may be busy, hence [`MARGIN`].

mod lab;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use lab::{Behaviour, Finished, LIMIT, Lab, Running, hosts, list, ms};
use nix::fcntl::OFlag;
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// How much later than its deadline a run may end on a busy machine. Without a deadline it would
/// not end.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a list is read after a failure.
const MAX_DRAIN: Duration = Duration::from_secs(5);

/// The run was cut short by this deadline, with this message.
fn is_cut(outcome: &Finished, deadline: Duration, message: &str) {
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {message}"), "{outcome:?}");
    ends_by(outcome, deadline);
}

fn ends_by(outcome: &Finished, deadline: Duration) {
    assert!(outcome.wall < deadline + MARGIN, "{outcome:?}");
}

/// Waits for the end of the process, with its stdin open.
fn end_of(mut running: Running) -> Finished {
    running.wait_until(LIMIT, "goes on", |running| running.status("State").is_none_or(|state| state.starts_with('Z')));
    running.finish(LIMIT)
}

// Results.

#[test]
fn only_targets_with_a_result_have_a_line() {
    lab::play(|lab| {
        // At one packet a second: the first has replied, the second has timed out once, the third
        // is in flight, and the others have not been probed.
        lab.host("10.0.0.0/24", Behaviour::silent());
        lab.host(ALIVE, Behaviour::default());
        let args = ["--deadline=2.4", "--max-pps=1", "--timeout=700ms", "--retries=1"];
        let outcome = lab.run(&args, "10.0.0.1\n10.0.0.7\n10.0.0.8\n10.0.0.9\n10.0.0.10\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
        let message = "xymonping: deadline reached with 4 of 5 targets unfinished (3 without a line; raise --deadline or --max-pps)";
        assert_eq!(outcome.stderr.lines().last(), Some(message), "{outcome:?}");
        assert!(outcome.wall >= ms(2300), "{outcome:?}");
        ends_by(&outcome, ms(2400));
        assert!(lab.seen_of("10.0.0.9").is_empty());
    });
}

#[test]
fn results_that_come_too_late_are_written_where_they_are_read() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(lab.command().args([ALIVE, SILENT, "--timeout=100", "--deadline=1"]));
        running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        // On a busy machine it may get no processor until the time is over.
        running.signal(Signal::SIGSTOP);
        std::thread::sleep(ms(1200));
        running.signal(Signal::SIGCONT);
        let outcome = running.finish(LIMIT);
        let message =
            "deadline reached with 1 of 2 targets unfinished (1 without a line; raise --deadline or --max-pps)";
        is_cut(&outcome, Duration::from_secs(1), message);
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);
    });
}

#[test]
fn a_run_that_ends_before_is_like_any_other() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--deadline=100000", "--timeout=200ms", "--retries=1"];
        let outcome = lab.run(&args, "10.0.0.1\n10.0.0.7\n");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
        assert_eq!(lab.seen().len(), 3);
        let outcome = lab.run(&[&args[..], &["--exit-status"]].concat(), "10.0.0.7\n");
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
    });
}

#[test]
fn a_target_with_some_of_its_replies_is_alive() {
    lab::play(|lab| {
        lab.script(ALIVE, vec![Behaviour::after(ms(20)), Behaviour::after(ms(40)), Behaviour::silent()]);
        let args = ["--deadline=1", "--responses=3", "--timeout=100", "--max-pps=unlimited", ALIVE, SILENT];
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&args, "");
        is_cut(
            &outcome,
            ms(1000),
            "deadline reached with 2 of 2 targets unfinished (1 without a line; raise --deadline or --max-pps)",
        );
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);
        let rtt = outcome.rtt_of(ALIVE).expect("it is alive");
        assert!(rtt >= ms(30), "{rtt:?} is not the mean of 20 and 40 ms");
    });
}

#[test]
fn a_target_that_timed_out_once_is_unreachable() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&["--deadline=1.5", "--timeout=300ms", "--retries=255", SILENT], "");
        is_cut(
            &outcome,
            ms(1500),
            "deadline reached with 1 of 1 target unfinished (0 without a line; raise --deadline or --max-pps)",
        );
        assert_eq!(outcome.verdicts(), ["10.0.0.7 is unreachable"]);
    });
}

#[test]
fn a_target_that_could_not_be_sent_to_has_no_line() {
    lab::play(|lab| {
        let outcome = lab.run(&["--deadline=1", "--timeout=50ms", "--retries=255", "100.64.0.1"], "");
        is_cut(
            &outcome,
            ms(1000),
            "deadline reached with 1 of 1 target unfinished (1 without a line; raise --deadline or --max-pps)",
        );
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    });
}

#[test]
fn a_millisecond_is_a_deadline() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&["--deadline=1ms", "--timeout=100", "--max-pps=unlimited", SILENT], "");
        is_cut(
            &outcome,
            ms(1),
            "deadline reached with 1 of 1 target unfinished (1 without a line; raise --deadline or --max-pps)",
        );
        assert_eq!(outcome.stdout, "");
        let outcome = end_of(lab.start(lab.command().arg("--deadline=1ms")));
        is_cut(&outcome, ms(1), "reading the list: deadline reached (nothing was probed)");
    });
}

#[test]
fn a_list_that_is_too_long_is_warned_of_before_the_run() {
    lab::play(|lab| {
        let mut running = lab.start(lab.command().args(["--deadline=60", "--max-pps=0.5"]));
        running.feed(list(&hosts(1, 101)));
        running.close_stdin();
        let message = "xymonping: --deadline: too short for 101 targets, which take 200.0 s to be probed once (raise \
                    --max-pps or --deadline)\n";
        running.wait_until(LIMIT, "prints no warning", |running| running.stderr_so_far() == message);
        assert!(running.is_running(), "there was time to interrupt it");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
        // Retries are not included, because they are not known before.
        let outcome = lab.run(&["--deadline=100", "--max-pps=1000"], list(&hosts(1, 100)));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        // A single target is probed at once.
        let outcome = lab.run(&["--deadline=60", "--max-pps=0.01"], list(&hosts(1, 1)));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    });
}

// Lists without end.

#[test]
fn a_list_that_has_not_ended_is_not_probed() {
    lab::play(|lab| {
        let running = lab.start(lab.command().arg("--deadline=500ms"));
        running.feed("10.0.0.1\n10.0.0.2\n");
        let outcome = end_of(running);
        is_cut(&outcome, ms(500), "reading the list: deadline reached (nothing was probed)");
        assert!(outcome.wall >= ms(500), "{outcome:?}");
        assert_eq!(outcome.stdout, "");
        let outcome = end_of(lab.start(lab.command().args(["--deadline=500ms", "--file=/dev/zero"])));
        is_cut(&outcome, ms(500), "reading the list: deadline reached (nothing was probed)");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn a_named_pipe_is_not_waited_for_beyond_the_deadline() {
    lab::play(|lab| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deadline-fifo");
        let _ = fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a named pipe");
        let file = format!("--file={}", path.display());
        let message = "reading the list: deadline reached (nothing was probed)";
        // One that is not opened for writing, and one whose writer does not end.
        is_cut(&end_of(lab.start(lab.command().args(["--deadline=500ms", &file]))), ms(500), message);
        let writer = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_CLOEXEC.bits()).open(&path);
        let mut writer = writer.expect("a descriptor of it");
        writer.write_all(b"10.0.0.1\n10.0.0.2\n").expect("a pipe holds two lines");
        is_cut(&end_of(lab.start(lab.command().args(["--deadline=500ms", &file]))), ms(500), message);
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn a_refused_run_does_not_read_its_list_beyond_the_deadline() {
    lab::play(|lab| {
        let walls = ["--source=203.0.113.9", "--interface=lab9", "--debug=/"].map(|refused| {
            let outcome = end_of(lab.start(lab.command().args(["--deadline=500ms", refused])));
            assert_eq!(outcome.code, Some(3), "{outcome:?}");
            outcome.wall
        });
        // A busy machine may have delayed one of them as much, but not all three.
        assert!(walls.iter().any(|&wall| wall < MAX_DRAIN), "{walls:?}");
    });
}

// Readers that do not read.

#[test]
fn results_without_a_reader_do_not_delay_the_end() {
    lab::play(|lab| {
        let (unread, stalled) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = lab.command();
        command.args(["--deadline=3", "--max-pps=unlimited"]);
        let mut running = lab.start_as_is(command.stdin(Stdio::piped()).stdout(stalled).stderr(Stdio::piped()));
        drop(command);
        // 5,000 lines are more than the 64 KiB that a pipe holds.
        running.feed(list(&hosts(1, 5000)));
        running.close_stdin();
        let outcome = end_of(running);
        is_cut(&outcome, ms(3000), "writing results: deadline reached (the output is incomplete)");
        // What was written has no gap.
        let mut text = String::new();
        File::from(unread).read_to_string(&mut text).expect("what is in the pipe");
        assert!(text.len() >= 4096, "{} bytes", text.len());
        let lines: Vec<&str> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        assert!(lines.iter().all(|line| line.contains(" is alive (")), "{text}");
    });
}

/// poll(2) reports a terminal writable while it can take a few bytes.
#[test]
fn a_terminal_without_a_reader_does_not_delay_the_end() {
    lab::play(|lab| {
        let Ok(pty) = openpty(None, None) else {
            return lab::skip("a_terminal_without_a_reader_does_not_delay_the_end", "no pseudo-terminal");
        };
        let mut command = lab.command();
        command.args(["--deadline=3", "--max-pps=unlimited"]);
        let mut running = lab.start_as_is(command.stdin(Stdio::piped()).stdout(pty.slave).stderr(Stdio::piped()));
        drop(command);
        running.feed(list(&hosts(1, 5000)));
        running.close_stdin();
        let outcome = end_of(running);
        is_cut(&outcome, ms(3000), "writing results: deadline reached (the output is incomplete)");
        drop(pty.master);
    });
}

#[test]
fn a_debug_log_without_a_reader_does_not_delay_the_end() {
    lab::play(|lab| {
        let (_unread, full) = lab::full_pipe();
        let mut command = lab.command();
        command.args(["--debug", "--deadline=1", "--timeout=100", ALIVE, "10.0.0.2"]);
        let running = lab.start_as_is(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full));
        let outcome = end_of(running);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        ends_by(&outcome, ms(1000));
        assert_eq!(lab.seen_of(ALIVE).len(), 1, "it is probed though its log line cannot be written");
        assert!(!outcome.stdout.contains("unreachable"), "{outcome:?}");
    });
}

/// The deadline must end the wait for both.
#[test]
fn a_debug_log_and_results_without_a_reader_do_not_delay_the_end() {
    lab::play(|lab| {
        let (_unread, full) = lab::full_pipe();
        let mut command = lab.command();
        command.args(["--debug", "--deadline=1", ALIVE]).stdin(Stdio::null());
        command.stdout(full.try_clone().expect("a descriptor")).stderr(full);
        let outcome = end_of(lab.start_as_is(&mut command));
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        ends_by(&outcome, ms(1000));
    });
}

#[test]
fn final_messages_without_a_reader_do_not_delay_the_end() {
    lab::play(|lab| {
        let (_unread, full) = lab::full_pipe();
        let mut command = lab.command();
        command.arg("--deadline=1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(full);
        let mut running = lab.start_as_is(&mut command);
        // Ten of these lines are quoted, and the others are counted.
        running.feed(["no address\n"; 20].concat() + ALIVE + "\n");
        running.close_stdin();
        let outcome = end_of(running);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]), "{outcome:?}");
        ends_by(&outcome, ms(1000));
    });
}

// Signals.

/// The program under a shell that ignores SIGALRM, as its parent may do.
fn ignoring_sigalrm(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' ALRM; exec \"$0\" \"$@\""]).arg(lab.command().get_program()).args(args);
    command
}

#[test]
fn an_ignored_sigalrm_does_not_disable_the_deadline() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = end_of(lab.start(&mut ignoring_sigalrm(lab, &["--deadline=500ms"])));
        is_cut(&outcome, ms(500), "reading the list: deadline reached (nothing was probed)");

        // A SIGALRM from another process stays ignored.
        let mut running = lab.start(&mut ignoring_sigalrm(lab, &["--deadline=2", "--timeout=100", ALIVE, SILENT]));
        running.wait_until(LIMIT, "has not probed", |_| lab.seen().len() == 2);
        running.signal(Signal::SIGALRM);
        let outcome = end_of(running);
        is_cut(
            &outcome,
            ms(2000),
            "deadline reached with 1 of 2 targets unfinished (1 without a line; raise --deadline or --max-pps)",
        );
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);

        let (_unread, stalled) = lab::full_pipe();
        let mut command = ignoring_sigalrm(lab, &["--deadline=1", ALIVE]);
        let outcome = end_of(lab.start_as_is(command.stdin(Stdio::null()).stdout(stalled).stderr(Stdio::piped())));
        is_cut(&outcome, ms(1000), "writing results: deadline reached (the output is incomplete)");
    });
}

#[test]
fn sigalrm_from_another_process_is_not_taken_for_the_deadline() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--deadline=1000", "--timeout=100", ALIVE, SILENT]));
        running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        running.signal(Signal::SIGALRM);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let message = "xymonping: stopped by SIGALRM: 1 of 2 targets finished (the others have no line)";
        assert_eq!(outcome.first_stderr_line(), message);
    });
}
