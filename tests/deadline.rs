//! `--deadline`: the run ends by then, whoever is in the way, and what it says until then is true.
//!
//! A caller who gives a deadline has something to do afterwards and no patience left: xymonnet starts anew every five
//! minutes. So neither a list whose end does not come nor a reader who does not read may hold the program beyond it. And a
//! run that was cut short is no verdict: who had no fair chance has no line, and the exit code says so.
//!
//! That a run ends is the promise itself, so here and nowhere else a test may look at the clock on the wall; but how busy
//! the machine is nobody knows, hence [`MARGIN`].

mod lab;

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
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

/// How much later than its deadline a run may be seen to have ended. What it would else wait for has no end.
const MARGIN: Duration = Duration::from_secs(30);

/// For how long a parent that still writes its list is listened to.
const PATIENCE: Duration = Duration::from_secs(5);

/// The run was cut short, for this reason, by this deadline.
fn is_cut(outcome: &Finished, deadline: Duration, words: &str) {
    assert_eq!(outcome.code, Some(4), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {words}"), "{outcome:?}");
    ends_by(outcome, deadline);
}

fn ends_by(outcome: &Finished, deadline: Duration) {
    assert!(outcome.wall < deadline + MARGIN, "{outcome:?}");
}

/// Waits for its end, while its stdin stays open.
fn end_of(mut running: Running) -> Finished {
    running.wait_until(LIMIT, "goes on", |running| running.status("State").is_none_or(|state| state.starts_with('Z')));
    running.finish(LIMIT)
}

/// A pipe that nobody reads and that holds no more than it does.
fn full_pipe() -> (OwnedFd, OwnedFd) {
    let (unread, full) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
    let mut filler = File::from(full.try_clone().expect("a descriptor"));
    while filler.write(&[b'\n'; 4096]).is_ok() {}
    (unread, full)
}

// What was found out until then.

#[test]
fn only_who_had_a_chance_has_a_line() {
    lab::play(|lab| {
        // At one packet a second: the first has answered, the second has been silent for one timeout, the third is in
        // flight, and the others have not been asked.
        lab.host("10.0.0.0/24", Behaviour::silent());
        lab.host(ALIVE, Behaviour::default());
        let args = ["--deadline=2.4", "--max-pps=1", "--timeout=700ms", "--retries=1"];
        let outcome = lab.run(&args, "10.0.0.1\n10.0.0.7\n10.0.0.8\n10.0.0.9\n10.0.0.10\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
        let told = "xymonping: deadline reached with 4 of 5 targets unfinished (3 without a line)";
        assert_eq!(outcome.stderr.lines().last(), Some(told), "{outcome:?}");
        assert!(outcome.wall >= ms(2300), "{outcome:?}");
        ends_by(&outcome, ms(2400));
        assert!(lab.seen_of("10.0.0.9").is_empty());
    });
}

#[test]
fn a_run_that_is_done_before_is_like_any_other() {
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
fn who_gave_some_of_the_answers_is_alive() {
    lab::play(|lab| {
        lab.script(ALIVE, vec![Behaviour::after(ms(20)), Behaviour::after(ms(40)), Behaviour::silent()]);
        let args = ["--deadline=1", "--responses=3", "--timeout=100", "--max-pps=unlimited", ALIVE, SILENT];
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&args, "");
        is_cut(&outcome, ms(1000), "deadline reached with 2 of 2 targets unfinished (1 without a line)");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);
        let rtt = outcome.rtt_of(ALIVE).expect("it is alive");
        assert!(rtt >= ms(30), "{rtt:?} is not the mean of 20 and 40 ms");
    });
}

#[test]
fn a_target_that_was_silent_once_is_unreachable_whatever_was_asked() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&["--deadline=1.5", "--timeout=300ms", "--retries=255", SILENT], "");
        is_cut(&outcome, ms(1500), "deadline reached with 1 of 1 target unfinished (0 without a line)");
        assert_eq!(outcome.verdicts(), ["10.0.0.7 is unreachable"]);
    });
}

#[test]
fn a_target_that_could_not_be_sent_to_has_no_line_and_is_counted_so() {
    lab::play(|lab| {
        let outcome = lab.run(&["--deadline=1", "--timeout=50ms", "--retries=255", "100.64.0.1"], "");
        is_cut(&outcome, ms(1000), "deadline reached with 1 of 1 target unfinished (1 without a line)");
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    });
}

#[test]
fn a_millisecond_is_a_deadline() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&["--deadline=1ms", "--timeout=100", "--max-pps=unlimited", SILENT], "");
        is_cut(&outcome, ms(1), "deadline reached with 1 of 1 target unfinished (1 without a line)");
        assert_eq!(outcome.stdout, "");
        let outcome = end_of(lab.start(lab.command().arg("--deadline=1ms")));
        is_cut(&outcome, ms(1), "reading the list: deadline reached (nothing was probed)");
    });
}

#[test]
fn what_does_not_fit_is_announced_before_the_start() {
    lab::play(|lab| {
        let mut running = lab.start(lab.command().args(["--deadline=60", "--max-pps=0.5"]));
        running.feed(list(&hosts(1, 101)));
        running.close_stdin();
        let told = "xymonping: --deadline: too short for 101 targets, which take 200.0 s to be probed once (raise \
                    --max-pps or --deadline)\n";
        running.wait_until(LIMIT, "announces nothing", |running| running.stderr_so_far() == told);
        assert!(running.is_running(), "there was time to interrupt it");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
        // Retries are not foreseen: whether there will be any nobody knows.
        let outcome = lab.run(&["--deadline=100", "--max-pps=1000"], list(&hosts(1, 100)));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        // A single target waits for nobody.
        let outcome = lab.run(&["--deadline=60", "--max-pps=0.01"], list(&hosts(1, 1)));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    });
}

// Lists whose end does not come.

#[test]
fn a_list_that_has_not_ended_by_then_is_not_probed() {
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
fn a_named_pipe_is_not_waited_for_beyond_it() {
    lab::play(|lab| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deadline-fifo");
        let _ = fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).expect("a named pipe");
        let file = format!("--file={}", path.display());
        let words = "reading the list: deadline reached (nothing was probed)";
        // One that nobody opens for writing, and one whose writer does not end.
        is_cut(&end_of(lab.start(lab.command().args(["--deadline=500ms", &file]))), ms(500), words);
        let writer = OpenOptions::new().read(true).write(true).custom_flags(OFlag::O_CLOEXEC.bits()).open(&path);
        let mut writer = writer.expect("a descriptor of it");
        writer.write_all(b"10.0.0.1\n10.0.0.2\n").expect("room for two lines");
        is_cut(&end_of(lab.start(lab.command().args(["--deadline=500ms", &file]))), ms(500), words);
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn a_refused_run_does_not_listen_beyond_it() {
    lab::play(|lab| {
        let walls = ["--source=203.0.113.9", "--interface=lab9", "--debug=/"].map(|refused| {
            let outcome = end_of(lab.start(lab.command().args(["--deadline=500ms", refused])));
            assert_eq!(outcome.code, Some(3), "{outcome:?}");
            outcome.wall
        });
        // The machine may have held up one of them for as long, but not all three.
        assert!(walls.iter().any(|&wall| wall < PATIENCE), "{walls:?}");
    });
}

// Readers who do not read.

#[test]
fn results_that_nobody_reads_are_given_up() {
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
        // What did fit is whole up to where it ends.
        let mut text = String::new();
        File::from(unread).read_to_string(&mut text).expect("what is in the pipe");
        assert!(text.len() >= 4096, "{} bytes", text.len());
        let lines: Vec<&str> = text.split_inclusive('\n').filter(|line| line.ends_with('\n')).collect();
        assert!(lines.iter().all(|line| line.contains(" is alive (")), "{text}");
    });
}

/// A terminal says that it can be written to as long as there is room for a little.
#[test]
fn a_terminal_that_nobody_reads_is_given_up() {
    lab::play(|lab| {
        let Ok(pty) = openpty(None, None) else {
            return lab::skip("a_terminal_that_nobody_reads_is_given_up", "no pseudo-terminal can be had");
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
fn a_debug_log_that_nobody_reads_holds_nobody_up() {
    lab::play(|lab| {
        let (_unread, full) = full_pipe();
        let mut command = lab.command();
        command.args(["--debug", "--deadline=1", "--timeout=100", ALIVE, "10.0.0.2"]);
        let running = lab.start_as_is(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(full));
        let outcome = end_of(running);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        ends_by(&outcome, ms(1000));
        assert_eq!(lab.seen_of(ALIVE).len(), 1, "whom it could not write about it has still probed");
        assert!(!outcome.stdout.contains("unreachable"), "{outcome:?}");
    });
}

/// The deadline that ends the wait for the one has to end that for the other as well.
#[test]
fn a_debug_log_and_results_that_nobody_reads_hold_nobody_up() {
    lab::play(|lab| {
        let (_unread, full) = full_pipe();
        let mut command = lab.command();
        command.args(["--debug", "--deadline=1", ALIVE]).stdin(Stdio::null());
        command.stdout(full.try_clone().expect("a descriptor")).stderr(full);
        let outcome = end_of(lab.start_as_is(&mut command));
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        ends_by(&outcome, ms(1000));
    });
}

#[test]
fn last_words_that_nobody_reads_hold_nobody_up() {
    lab::play(|lab| {
        let (_unread, full) = full_pipe();
        let mut command = lab.command();
        command.arg("--deadline=1").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(full);
        let mut running = lab.start_as_is(&mut command);
        // Ten lines of these are remarked upon, and the others are counted.
        running.feed(["no address\n"; 20].concat() + ALIVE + "\n");
        running.close_stdin();
        let outcome = end_of(running);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]), "{outcome:?}");
        ends_by(&outcome, ms(1000));
    });
}

// Signals.

/// The program under a shell that ignores SIGALRM, as its parent may do.
fn deaf(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' ALRM; exec \"$0\" \"$@\""]).arg(lab.command().get_program()).args(args);
    command
}

#[test]
fn a_parent_that_ignores_alarms_takes_nothing_from_it() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let outcome = end_of(lab.start(&mut deaf(lab, &["--deadline=500ms"])));
        is_cut(&outcome, ms(500), "reading the list: deadline reached (nothing was probed)");

        // An alarm from elsewhere stays ignored, though.
        let mut running = lab.start(&mut deaf(lab, &["--deadline=2", "--timeout=100", ALIVE, SILENT]));
        running.wait_until(LIMIT, "has not probed", |_| lab.seen().len() == 2);
        running.signal(Signal::SIGALRM);
        let outcome = end_of(running);
        is_cut(&outcome, ms(2000), "deadline reached with 1 of 2 targets unfinished (1 without a line)");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"]);

        let (_unread, stalled) = full_pipe();
        let mut command = deaf(lab, &["--deadline=1", ALIVE]);
        let outcome = end_of(lab.start_as_is(command.stdin(Stdio::null()).stdout(stalled).stderr(Stdio::piped())));
        is_cut(&outcome, ms(1000), "writing results: deadline reached (the output is incomplete)");
    });
}

#[test]
fn an_alarm_from_elsewhere_is_not_taken_for_it() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--deadline=1000", "--timeout=100", ALIVE, SILENT]));
        running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        running.signal(Signal::SIGALRM);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let told = "xymonping: stopped by SIGALRM: 1 of 2 targets finished (the others have no line)";
        assert_eq!(outcome.first_stderr_line(), told);
    });
}
