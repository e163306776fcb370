//! How far a run is, and what it came to: the summary, the line on a terminal, and the signals that ask.
//!
//! All of it is for people, on standard error, and must never be in anybody's way: not a byte of it where nobody asked
//! for it, nothing of it left on a terminal, and no signal that is meant as a question ends a run. The figures are
//! compared with what the wire did.

mod lab;

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use lab::{Answer, Behaviour, Finished, LIMIT, Lab, Running, ms};
use nix::fcntl::OFlag;
use nix::pty::openpty;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// The signals that ask how far a run is.
const QUESTIONS: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGQUIT];

/// Puts the cursor at the start of its line, and clears what is behind it.
const WIPED: &str = "\r\x1b[K";

/// Starts a run of `args` on a live and a silent host, and waits until one has answered and the other has been asked.
fn under_way(lab: &Lab, command: &mut Command, args: &[&str]) -> Running {
    lab.forget();
    lab.host(SILENT, Behaviour::silent());
    let mut running = lab.start(command.args(args).args([ALIVE, SILENT]));
    running.wait_until(LIMIT, "has not been answered", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
    running
}

/// Whether this says how far a run of two targets is that is under way, and that it takes at most so many seconds.
fn is_progress(text: &str, most: u32) -> bool {
    let left =
        text.strip_prefix("2 of 2 probed, 1 alive, 0 silent, about ").and_then(|rest| rest.strip_suffix(" s left"));
    left.and_then(|left| left.parse().ok()).is_some_and(|left: u32| left <= most)
}

// The summary.

/// The figures of a summary, in the order in which they stand there, and the words between them.
fn figures(outcome: &Finished) -> (Vec<f64>, String) {
    let line = outcome.stderr.lines().last().unwrap_or("").strip_prefix("xymonping: ");
    let line = line.unwrap_or_else(|| panic!("there is no summary: {outcome:?}"));
    // The one figure that is part of a word.
    let line = line.replace("p99", "pXX");
    let is_of_figure = |c: char| c.is_ascii_digit() || c == '.';
    let figures = line.split(|c| !is_of_figure(c)).filter_map(|figure| figure.parse().ok()).collect();
    (figures, line.chars().filter(|&c| !is_of_figure(c)).collect())
}

#[test]
fn a_summary_tells_what_the_hosts_did() {
    lab::play(|lab| {
        for (number, delay) in [(1, 30), (2, 60), (3, 250)] {
            lab.host(&format!("10.1.0.{number}"), Behaviour::after(ms(delay)));
        }
        lab.host("10.2.0.0/24", Behaviour::silent());
        lab.host("10.3.0.1", Behaviour { copies: 3, ..Behaviour::default() });
        // Its first answer comes when the second has been given.
        lab.script("10.4.0.1", vec![Behaviour::after(ms(900)), Behaviour::default()]);
        lab.script("10.5.0.1", vec![Behaviour::answering(Answer::BadChecksum), Behaviour::default()]);
        lab.script("10.5.0.2", vec![Behaviour::answering(Answer::ZeroedData), Behaviour::default()]);
        let from = Some("10.6.0.2".parse().expect("an address"));
        lab.host("10.6.0.1", Behaviour { from, ..Behaviour::default() });
        // 11.0.0.0/8 has no route here.
        let list = "10.2.0.1\n10.2.0.2\n10.1.0.1\n10.1.0.2\n10.1.0.3\n10.3.0.1\n10.4.0.1\n10.5.0.1\n10.5.0.2\n10.6.0.1\n\
                    11.0.0.1\nno address\n10.6.0.1\n";
        let args = ["--summary", "--timeout=600ms", "--retries=2", "--max-pps=1000"];
        let outcome = lab.run(&args, list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.lines().len(), 12, "{outcome:?}");
        let (figures, words) = figures(&outcome);
        assert_eq!(
            words,
            "targets: , alive: , unreachable: , without a line: ; probes sent: , replies: , from other sources: , \
             duplicates: , late: , damaged: , stray: , send errors: , kernel drops: ; time:  s; \
             RTT min/median/mean/pXX/max //// ms",
        );
        let [counts @ .., elapsed, min, median, mean, p99, max] = &figures[..] else { panic!("{figures:?}") };
        let sent = lab.seen().len() as f64;
        // In the order of the words above.
        assert_eq!(counts, [11.0, 8.0, 3.0, 0.0, sent, 8.0, 1.0, 2.0, 1.0, 2.0, 0.0, 3.0, 0.0], "{}", outcome.stderr);
        assert_eq!(lab.seen().len(), 8 + 3 + 2 * 3, "first attempts, further ones, silent ones");
        assert!(*elapsed >= 1.8 && *elapsed <= outcome.wall.as_secs_f64(), "{elapsed} {:?}", outcome.wall);

        // Against the lines, which are exact to half a unit of their last digit.
        let alive = outcome.lines().into_iter().take(10).filter_map(|line| outcome.rtt_of(line.split(' ').next()?));
        let mut rtts: Vec<f64> = alive.map(|rtt| rtt.as_secs_f64() * 1000.0).collect();
        rtts.sort_by(f64::total_cmp);
        assert_eq!(rtts.len(), 8);
        for (shown, line) in
            [(min, rtts[0]), (median, rtts[3]), (mean, rtts.iter().sum::<f64>() / 8.0), (p99, rtts[7]), (max, rtts[7])]
        {
            assert!((shown - line).abs() <= 0.051, "{shown} is not {line}: {outcome:?}");
        }
        assert!(*max >= 250.0 && *mean >= 340.0 / 8.0, "{outcome:?}");
    });
}

#[test]
fn a_summary_comes_last_and_only_when_asked_for() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--timeout=200ms", "--retries=0"];
        let input = "10.0.0.1\n10.0.0.7\n127.1\n";
        let rejected = "xymonping: line 3: \"127.1\": not an IP address (no line of output for it)";
        let outcome = lab.run(&args, input);
        assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), [rejected]);
        for more in [&["--summary"][..], &["--summary", "-q"], &["--summary", "--exit-status"]] {
            let outcome = lab.run(&[&args[..], more].concat(), input);
            assert_eq!(outcome.code, Some(if more.contains(&"--exit-status") { 2 } else { 0 }), "{outcome:?}");
            assert_eq!(outcome.stdout.is_empty(), more.contains(&"-q"));
            let said: Vec<&str> = outcome.stderr.lines().collect();
            assert_eq!((said.len(), said[0]), (2, rejected), "{outcome:?}");
            assert_eq!(figures(&outcome).0[..4], [2.0, 1.0, 1.0, 0.0], "{outcome:?}");
        }
    });
}

#[test]
fn a_summary_of_nothing_has_no_rtts() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for (input, targets) in [("", 0.0), ("10.0.0.7\n", 1.0)] {
            let outcome = lab.run(&["--summary", "--timeout=100ms", "--retries=0"], input);
            assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(0), 1), "{outcome:?}");
            assert!(outcome.stderr.ends_with(" s\n") && !outcome.stderr.contains("RTT"), "{outcome:?}");
            assert_eq!(figures(&outcome).0[..5], [targets, 0.0, targets, 0.0, targets], "{outcome:?}");
        }
    });
}

#[test]
fn a_summary_of_a_run_that_was_cut_short_counts_who_has_no_line() {
    lab::play(|lab| {
        let mut running = under_way(lab, &mut lab.command(), &["--summary", "--timeout=100"]);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let told = "xymonping: stopped by SIGTERM: 1 of 2 targets finished (the others have no line)";
        assert_eq!(outcome.first_stderr_line(), told, "the failure goes first");
        assert_eq!(figures(&outcome).0[..6], [2.0, 1.0, 0.0, 1.0, 2.0, 1.0], "{outcome:?}");
    });
}

// The line on a terminal.

/// A terminal, as far as the program can tell, and all that was written to it.
struct Terminal {
    text: Arc<Mutex<String>>,
    first: Arc<Mutex<Option<Instant>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a command whose stderr is a terminal; None if no terminal can be had.
    fn start(lab: &Lab, test: &str, command: &mut Command) -> Option<(Running, Terminal)> {
        let Ok(pty) = openpty(None, None) else {
            lab::skip(test, "no pseudo-terminal can be had");
            return None;
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(pty.slave);
        let running = lab.start_as_is(command);
        // The command holds the terminal open; with it gone the program alone does.
        command.stderr(Stdio::null());
        let (text, first) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(None)));
        let (filled, seen) = (Arc::clone(&text), Arc::clone(&first));
        let mut screen = File::from(pty.master);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // With the last writer gone, reading fails.
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                seen.lock().expect("nobody panics while holding it").get_or_insert_with(Instant::now);
                let more = String::from_utf8_lossy(&piece[..count]);
                filled.lock().expect("nobody panics while holding it").push_str(&more);
            }
        });
        Some((running, Terminal { text, first, reader }))
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("nobody panics while holding it").clone()
    }

    /// All of it, once the program has ended; and when the first of it came.
    fn end(self) -> (String, Option<Instant>) {
        self.reader.join().expect("the reader does not panic");
        let first = *self.first.lock().expect("nobody panics while holding it");
        (self.text.lock().expect("nobody panics while holding it").clone(), first)
    }
}

#[test]
fn a_terminal_has_a_line_after_a_second_and_nothing_at_the_end() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = lab.command();
        command.args(["--timeout=1800ms", "--retries=1", "--max-pps=1000", ALIVE, SILENT]);
        let start = Instant::now();
        let test = "a_terminal_has_a_line_after_a_second_and_nothing_at_the_end";
        let Some((running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive", "10.0.0.7 is unreachable"]));
        let (text, first) = terminal.end();
        assert!(first.is_some_and(|first| first >= start + ms(1000)), "{text:?}");
        let lines = text.strip_suffix(WIPED).unwrap_or_else(|| panic!("it was not wiped: {text:?}"));
        let lines: Vec<&str> = lines.split_terminator("\x1b[K").collect();
        assert!(lines.len() >= 2, "it was not renewed: {text:?}");
        for line in lines {
            assert!(line.strip_prefix('\r').is_some_and(|line| is_progress(line, 3)), "{text:?}");
        }
    });
}

#[test]
fn a_terminal_is_left_alone_by_a_run_that_is_over_at_once() {
    lab::play(|lab| {
        let mut command = lab.command();
        let test = "a_terminal_is_left_alone_by_a_run_that_is_over_at_once";
        let Some((running, terminal)) = Terminal::start(lab, test, command.arg(ALIVE)) else { return };
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]), "{outcome:?}");
        // A machine may be so busy that it was not over at once.
        if outcome.wall < ms(1000) {
            assert_eq!(terminal.end().0, "");
        }
    });
}

#[test]
fn what_is_said_on_a_terminal_begins_on_a_line_of_its_own() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = lab.command();
        command.args(["--timeout=100", ALIVE, SILENT]);
        let test = "what_is_said_on_a_terminal_begins_on_a_line_of_its_own";
        let Some((mut running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        running.wait_until(LIMIT, "shows nothing", |_| terminal.so_far().contains(" s left"));
        running.signal(Signal::SIGUSR1);
        running.wait_until(LIMIT, "does not answer", |_| terminal.so_far().contains(" s left\r\n"));
        let told = terminal.so_far();
        let (_, answer) = told.split_once(&format!("{WIPED}xymonping: ")).unwrap_or_else(|| panic!("{told:?}"));
        assert!(answer.split("\r\n").next().is_some_and(|line| is_progress(line, 300)), "{told:?}");
        // And the line comes back below.
        running.wait_until(LIMIT, "shows nothing more", |_| terminal.so_far().len() > told.len());
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
        let (text, _) = terminal.end();
        let last = "xymonping: stopped by SIGTERM: 1 of 2 targets finished (the others have no line)\r\n";
        assert!(text.ends_with(&format!("{WIPED}{last}")), "{text:?}");
    });
}

#[test]
fn what_is_no_terminal_has_no_line() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--timeout=1200ms", "--retries=1", ALIVE, SILENT];
        let outcome = lab.run(&args, "");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert!(outcome.wall >= ms(2400));
        // Neither does stdout, where it is one and stderr is not.
        let Ok(pty) = openpty(None, None) else {
            return lab::skip("what_is_no_terminal_has_no_line", "no pseudo-terminal can be had");
        };
        let mut command = lab.command();
        let running = lab.start_as_is(command.args(args).stdin(Stdio::null()).stdout(pty.slave).stderr(Stdio::piped()));
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        drop(command);
        let mut text = Vec::new();
        // It ends in an error, for the other end is gone.
        let _ = File::from(pty.master).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with("10.0.0.1 is alive (") && text.ends_with("10.0.0.7 is unreachable\r\n"), "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text:?}");
    });
}

// Signals that ask.

#[test]
fn a_question_is_answered_once_and_the_run_goes_on() {
    lab::play(|lab| {
        for question in QUESTIONS {
            let mut running = under_way(lab, &mut lab.command(), &["--timeout=1500ms", "--retries=1"]);
            for times in 1..=2 {
                running.signal(question);
                running.wait_until(LIMIT, "does not answer", |running| {
                    running.stderr_so_far().matches('\n').count() == times
                });
            }
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{question}: {outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
            assert_eq!(outcome.stderr.lines().count(), 2, "{question}: {outcome:?}");
            for line in outcome.stderr.lines() {
                let text = line.strip_prefix("xymonping: ");
                assert!(text.is_some_and(|text| is_progress(text, 3)), "{question}: {outcome:?}");
            }
            assert_eq!(lab.seen().len(), 3, "nobody was probed once more for it");
        }
    });
}

#[test]
fn a_question_while_the_list_is_read_neither_ends_nor_stops_anything() {
    lab::play(|lab| {
        for question in QUESTIONS {
            let mut running = lab.start(&mut lab.command());
            running.feed("10.0.0.1\n10.0.");
            running.wait_until_signals_are_blocked();
            running.signal(question);
            thread::sleep(ms(50));
            running.signal(question);
            running.feed("0.2\n");
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{question}: {outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.2 is alive"]);

            // What comes after it is heard, with something to read and without.
            for input in ["", "10.0.0.1\n"] {
                lab.forget();
                let mut running = lab.start(&mut lab.command());
                running.feed(input);
                running.wait_until_signals_are_blocked();
                running.signal(question);
                thread::sleep(ms(50));
                running.signal(Signal::SIGTERM);
                running.wait_until(LIMIT, "says nothing", |running| running.stderr_so_far().contains("SIGTERM"));
                let outcome = running.finish(LIMIT);
                let told = "xymonping: reading the list: stopped by SIGTERM (nothing was probed)";
                assert_eq!(
                    (outcome.code, outcome.stderr.lines().last()),
                    (Some(4), Some(told)),
                    "{question}: {outcome:?}"
                );
                assert!(outcome.first_stderr_line().ends_with(" so far"), "{question}: {outcome:?}");
                assert!(lab.seen().is_empty());
            }
        }
    });
}

#[test]
fn a_question_while_nobody_reads_the_results_neither_ends_nor_stops_anything() {
    lab::play(|lab| {
        for question in QUESTIONS {
            let (unread, stalled) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            let mut command = lab.command();
            command.args(["--max-pps=unlimited"]).stdin(Stdio::piped()).stdout(stalled).stderr(Stdio::piped());
            let mut running = lab.start_as_is(&mut command);
            drop(command);
            // 5,000 lines are more than the 64 KiB that a pipe holds.
            running.feed((0..5000).map(|n| format!("10.1.{}.{}\n", n / 250, n % 250 + 1)).collect::<String>());
            running.close_stdin();
            let mut unread = File::from(unread);
            let mut first = [0];
            unread.read_exact(&mut first).expect("the program writes");
            running.signal(question);
            thread::sleep(ms(50));
            let mut rest = String::new();
            unread.read_to_string(&mut rest).expect("the program goes on writing");
            assert_eq!(running.finish(LIMIT).code, Some(0), "{question}");
            assert_eq!(rest.lines().count(), 5000, "{question}");
        }
    });
}

#[test]
fn a_question_that_was_ignored_at_start_stays_ignored() {
    lab::play(|lab| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' USR1 QUIT; exec \"$0\" \"$@\""]).arg(lab.command().get_program());
        let mut running = under_way(lab, &mut command, &["--timeout=500ms", "--retries=1"]);
        for question in QUESTIONS {
            running.signal(question);
        }
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
    });
}

// Signals without a name.

#[test]
fn a_real_time_signal_ends_a_run_in_order_and_kills_nobody() {
    lab::play(|lab| {
        let test = "a_real_time_signal_ends_a_run_in_order_and_kills_nobody";
        for signal in ["-34", "-RTMIN+1", "-50", "-64"] {
            let kill = |running: &Running| {
                let killed = Command::new("kill").args([signal, &running.pid().to_string()]).output();
                killed.map_err(|e| format!("cannot run `kill`: {e}"))
            };
            let running = under_way(lab, &mut lab.command(), &["--timeout=100"]);
            match kill(&running) {
                Ok(output) => assert!(output.status.success(), "kill {signal}: {output:?}"),
                Err(reason) => return lab::skip(test, &reason),
            }
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{signal}: {outcome:?}");
            let told = "xymonping: stopped by a real-time signal: 1 of 2 targets finished (the others have no line)";
            assert_eq!(outcome.first_stderr_line(), told, "{signal}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"], "{signal}");

            let mut running = lab.start(&mut lab.command());
            running.wait_until_signals_are_blocked();
            kill(&running).expect("it could be run before");
            running.wait_until(LIMIT, "says nothing", |running| running.stderr_so_far().ends_with('\n'));
            let outcome = running.finish(LIMIT);
            let told = "xymonping: reading the list: stopped by a real-time signal (nothing was probed)";
            assert_eq!((outcome.code, outcome.first_stderr_line()), (Some(4), told), "{signal}: {outcome:?}");
        }
    });
}
