//! The summary, the status line on a terminal, and the status signals.
//!
//! All of it goes to stderr: nothing without a request, nothing that stays on a terminal, and a
//! status signal does not end a run. The figures are compared with what the wire did.

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

/// The signals that request the status.
const STATUS_SIGNALS: [Signal; 2] = [Signal::SIGUSR1, Signal::SIGQUIT];

/// Moves the cursor to the start of its line, and clears the rest of the line.
const WIPED: &str = "\r\x1b[K";

/// Starts a run with a live and a silent host, and waits until both are probed and one has replied.
fn under_way(lab: &Lab, command: &mut Command, args: &[&str]) -> Running {
    lab.forget();
    lab.host(SILENT, Behaviour::silent());
    let mut running = lab.start(command.args(args).args([ALIVE, SILENT]));
    running.wait_until(LIMIT, "has not received its reply", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
    running
}

/// Whether this is the status of such a run, with at most `limit` seconds to go. The silent host is
/// counted once its first probe has timed out.
fn is_progress(text: &str, limit: u32) -> bool {
    let silent =
        [0, 1].iter().find_map(|silent| text.strip_prefix(&format!("2 of 2 probed, 1 alive, {silent} silent, about ")));
    let seconds = silent.and_then(|rest| rest.strip_suffix(" s left"));
    seconds.and_then(|seconds| seconds.parse().ok()).is_some_and(|seconds: u32| seconds <= limit)
}

// The summary.

/// The figures of a summary, in order, and the text between them.
fn figures(outcome: &Finished) -> (Vec<f64>, String) {
    let lines = outcome.stderr.lines().filter_map(|line| line.strip_prefix("xymonping: "));
    let lines: Vec<_> = lines.skip_while(|line| !line.starts_with("targets: ")).collect();
    assert!(lines.len() >= 4, "there is no summary: {outcome:?}");
    let line = lines.join("; ");
    // Digits that are not a figure.
    let line = line.replace("p99", "pXX");
    let is_digit_or_point = |c: char| c.is_ascii_digit() || c == '.';
    let figures = line.split(|c| !is_digit_or_point(c)).filter_map(|figure| figure.parse().ok()).collect();
    (figures, line.chars().filter(|&c| !is_digit_or_point(c)).collect())
}

#[test]
fn a_summary_has_the_figures_of_the_wire() {
    lab::play(|lab| {
        for (number, delay) in [(1, 30), (2, 60), (3, 250)] {
            lab.host(&format!("10.1.0.{number}"), Behaviour::after(ms(delay)));
        }
        lab.host("10.2.0.0/24", Behaviour::silent());
        lab.host("10.3.0.1", Behaviour { copies: 3, ..Behaviour::default() });
        // Its first reply arrives after the second.
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
            "targets: , alive: , unreachable: , without a line: ; alive only after a retry: ; \
             probes sent: , replies: , from other sources: , duplicates: , late: , damaged: , stray: ; \
             send errors: , kernel drops: , time:  s; RTT min/median/mean/pXX/max: //// ms",
        );
        let [counts @ .., elapsed, min, median, mean, p99, max] = &figures[..] else { panic!("{figures:?}") };
        let sent = lab.seen().len() as f64;
        // In the order of the words above. How often the kernel is asked again depends on time.
        let refused = counts[12];
        assert!(refused >= 3.0, "{}", outcome.stderr);
        // Three of them are those of `script`.
        let expected = [11.0, 8.0, 3.0, 0.0, 3.0, sent, 8.0, 1.0, 2.0, 1.0, 2.0, 0.0, refused, 0.0];
        assert_eq!(counts, expected, "{}", outcome.stderr);
        assert_eq!(lab.seen().len(), 8 + 3 + 2 * 3, "first attempts, retries, silent hosts");
        assert!(*elapsed >= 1.8 && *elapsed <= outcome.wall.as_secs_f64(), "{elapsed} {:?}", outcome.wall);

        // Compared with the lines, which are exact to half a unit of their last digit.
        let alive = outcome.lines().into_iter().take(10).filter_map(|line| outcome.rtt_of(line.split(' ').next()?));
        let mut rtts: Vec<f64> = alive.map(|rtt| rtt.as_secs_f64() * 1000.0).collect();
        rtts.sort_by(f64::total_cmp);
        assert_eq!(rtts.len(), 8);
        for (figure, line) in
            [(min, rtts[0]), (median, rtts[3]), (mean, rtts.iter().sum::<f64>() / 8.0), (p99, rtts[7]), (max, rtts[7])]
        {
            assert!((figure - line).abs() <= 0.051, "{figure} is not {line}: {outcome:?}");
        }
        assert!(*max >= 250.0 && *mean >= 340.0 / 8.0, "{outcome:?}");
    });
}

#[test]
fn a_summary_is_printed_last_and_only_on_request() {
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
            let lines: Vec<&str> = outcome.stderr.lines().collect();
            assert_eq!((lines.len(), lines[0]), (6, rejected), "{outcome:?}");
            assert_eq!(figures(&outcome).0[..4], [2.0, 1.0, 1.0, 0.0], "{outcome:?}");
        }
    });
}

#[test]
fn a_summary_without_replies_has_no_rtts() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for (input, targets) in [("", 0.0), ("10.0.0.7\n", 1.0)] {
            let outcome = lab.run(&["--summary", "--timeout=100ms", "--retries=0"], input);
            assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(0), 4), "{outcome:?}");
            assert!(outcome.stderr.ends_with(" s\n") && !outcome.stderr.contains("RTT"), "{outcome:?}");
            assert_eq!(figures(&outcome).0[..6], [targets, 0.0, targets, 0.0, 0.0, targets], "{outcome:?}");
        }
    });
}

#[test]
fn a_summary_of_an_interrupted_run_counts_targets_without_a_line() {
    lab::play(|lab| {
        let mut running = under_way(lab, &mut lab.command(), &["--summary", "--timeout=100"]);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let message = "xymonping: stopped by SIGTERM: 1 of 2 targets finished (the others have no line)";
        assert_eq!(outcome.first_stderr_line(), message, "the failure is first");
        assert_eq!(figures(&outcome).0[..6], [2.0, 1.0, 0.0, 1.0, 0.0, 2.0], "{outcome:?}");
    });
}

// The status line on a terminal.

/// A pseudo-terminal, and what was written to it.
struct Terminal {
    text: Arc<Mutex<String>>,
    first: Arc<Mutex<Option<Instant>>>,
    reader: JoinHandle<()>,
}

impl Terminal {
    /// Starts a command whose stderr is a terminal; `None` if none can be opened.
    fn start(lab: &Lab, test: &str, command: &mut Command) -> Option<(Running, Terminal)> {
        let Ok(pty) = openpty(None, None) else {
            lab::skip(test, "no pseudo-terminal can be opened");
            return None;
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(pty.slave);
        let running = lab.start_as_is(command);
        // Otherwise the command, and not only the program, would have the terminal open.
        command.stderr(Stdio::null());
        let (text, first) = (Arc::new(Mutex::new(String::new())), Arc::new(Mutex::new(None)));
        let (collected, seen) = (Arc::clone(&text), Arc::clone(&first));
        let mut screen = File::from(pty.master);
        let reader = thread::spawn(move || {
            let mut piece = [0; 4096];
            // Reading fails when the last writer has ended.
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                seen.lock().expect("no thread panics while it holds the lock").get_or_insert_with(Instant::now);
                let more = String::from_utf8_lossy(&piece[..count]);
                collected.lock().expect("no thread panics while it holds the lock").push_str(&more);
            }
        });
        Some((running, Terminal { text, first, reader }))
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("no thread panics while it holds the lock").clone()
    }

    /// All of it, once the program has ended, and when the first of it was written.
    fn end(self) -> (String, Option<Instant>) {
        self.reader.join().expect("the reader does not panic");
        let first = *self.first.lock().expect("no thread panics while it holds the lock");
        (self.text.lock().expect("no thread panics while it holds the lock").clone(), first)
    }
}

#[test]
fn a_terminal_has_a_status_line_after_a_second_and_none_at_the_end() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = lab.command();
        command.args(["--timeout=1800ms", "--retries=1", "--max-pps=1000", ALIVE, SILENT]);
        let start = Instant::now();
        let test = "a_terminal_has_a_status_line_after_a_second_and_none_at_the_end";
        let Some((running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive", "10.0.0.7 is unreachable"]));
        let (text, first) = terminal.end();
        assert!(first.is_some_and(|first| first >= start + ms(1000)), "{text:?}");
        let lines = text.strip_suffix(WIPED).unwrap_or_else(|| panic!("it was not wiped: {text:?}"));
        let lines: Vec<&str> = lines.split_terminator("\x1b[K").collect();
        assert!(lines.len() >= 2, "it was not renewed: {text:?}");
        assert!(lines[0].contains(" 0 silent") && lines[lines.len() - 1].contains(" 1 silent"), "{text:?}");
        for line in lines {
            assert!(line.strip_prefix('\r').is_some_and(|line| is_progress(line, 3)), "{text:?}");
        }
    });
}

#[test]
fn a_short_run_has_no_status_line() {
    lab::play(|lab| {
        let mut command = lab.command();
        let test = "a_short_run_has_no_status_line";
        let Some((running, terminal)) = Terminal::start(lab, test, command.arg(ALIVE)) else { return };
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["10.0.0.1 is alive"]), "{outcome:?}");
        // On a busy machine it may not have been short.
        if outcome.wall < ms(1000) {
            assert_eq!(terminal.end().0, "");
        }
    });
}

#[test]
fn messages_on_a_terminal_begin_on_a_line_of_their_own() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = lab.command();
        command.args(["--timeout=100", ALIVE, SILENT]);
        let test = "messages_on_a_terminal_begin_on_a_line_of_their_own";
        let Some((mut running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        running.wait_until(LIMIT, "shows nothing", |_| terminal.so_far().contains(" s left"));
        running.signal(Signal::SIGUSR1);
        running.wait_until(LIMIT, "prints no status", |_| terminal.so_far().contains(" s left\r\n"));
        let text = terminal.so_far();
        let (_, status) = text.split_once(&format!("{WIPED}xymonping: ")).unwrap_or_else(|| panic!("{text:?}"));
        assert!(status.split("\r\n").next().is_some_and(|line| is_progress(line, 300)), "{text:?}");
        // The status line appears again below.
        running.wait_until(LIMIT, "shows nothing more", |_| terminal.so_far().len() > text.len());
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
        let (text, _) = terminal.end();
        let last = "xymonping: stopped by SIGTERM: 1 of 2 targets finished (the others have no line)\r\n";
        assert!(text.ends_with(&format!("{WIPED}{last}")), "{text:?}");
    });
}

#[test]
fn the_status_line_shows_how_much_of_a_slow_list_was_read() {
    lab::play(|lab| {
        let mut command = lab.command();
        let test = "the_status_line_shows_how_much_of_a_slow_list_was_read";
        let Some((mut running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        running.feed("10.0.0.1\n");
        running.wait_until(LIMIT, "shows nothing", |_| terminal.so_far().contains("\rreading the list, 1 line so far"));
        running.feed("10.0.0.2\n10.0.0.3\n");
        running
            .wait_until(LIMIT, "shows no more", |_| terminal.so_far().contains("\rreading the list, 3 lines so far"));
        running.close_stdin();
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 3), "{outcome:?}");
        let (text, _) = terminal.end();
        assert!(text.ends_with(WIPED), "{text:?}");
    });
}

#[test]
fn a_debug_log_on_a_terminal_has_no_status_line_in_it() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let mut command = lab.command();
        command.args(["--debug", "--timeout=1200ms", "--retries=0", ALIVE, SILENT]);
        let test = "a_debug_log_on_a_terminal_has_no_status_line_in_it";
        let Some((running, terminal)) = Terminal::start(lab, test, &mut command) else { return };
        assert_eq!(running.finish(LIMIT).code, Some(0));
        let (text, _) = terminal.end();
        assert_eq!((text.lines().count(), text.contains("\x1b")), (3, false), "{text:?}");
    });
}

#[test]
fn without_a_terminal_there_is_no_status_line() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--timeout=1200ms", "--retries=1", ALIVE, SILENT];
        let outcome = lab.run(&args, "");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert!(outcome.wall >= ms(2400));
        // Nor if only stdout is a terminal.
        let Ok(pty) = openpty(None, None) else {
            return lab::skip("without_a_terminal_there_is_no_status_line", "no pseudo-terminal can be opened");
        };
        let mut command = lab.command();
        let running = lab.start_as_is(command.args(args).stdin(Stdio::null()).stdout(pty.slave).stderr(Stdio::piped()));
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        drop(command);
        let mut text = Vec::new();
        // Ends with an error, because the other end is closed.
        let _ = File::from(pty.master).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        assert!(text.starts_with("10.0.0.1 is alive (") && text.ends_with("10.0.0.7 is unreachable\r\n"), "{text:?}");
        assert_eq!(text.lines().count(), 2, "{text:?}");
    });
}

// Status signals.

#[test]
fn a_status_signal_prints_one_line_and_the_run_continues() {
    lab::play(|lab| {
        for signal in STATUS_SIGNALS {
            let mut running = under_way(lab, &mut lab.command(), &["--timeout=1500ms", "--retries=1"]);
            for times in 1..=2 {
                running.signal(signal);
                running.wait_until(LIMIT, "prints no status", |running| {
                    running.stderr_so_far().matches('\n').count() == times
                });
            }
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{signal}: {outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
            assert_eq!(outcome.stderr.lines().count(), 2, "{signal}: {outcome:?}");
            for line in outcome.stderr.lines() {
                let text = line.strip_prefix("xymonping: ");
                assert!(text.is_some_and(|text| is_progress(text, 3)), "{signal}: {outcome:?}");
            }
            assert_eq!(lab.seen().len(), 3, "no host was probed again because of it");
        }
    });
}

#[test]
fn a_status_signal_while_the_list_is_read_does_not_end_the_run() {
    lab::play(|lab| {
        for signal in STATUS_SIGNALS {
            let mut running = lab.start(&mut lab.command());
            running.feed("10.0.0.1\n10.0.");
            running.wait_until_signals_are_blocked();
            running.signal(signal);
            thread::sleep(ms(50));
            running.signal(signal);
            running.feed("0.2\n");
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{signal}: {outcome:?}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.2 is alive"]);

            // A later signal is handled, with input and without.
            for input in ["", "10.0.0.1\n"] {
                lab.forget();
                let mut running = lab.start(&mut lab.command());
                running.feed(input);
                running.wait_until_signals_are_blocked();
                running.signal(signal);
                thread::sleep(ms(50));
                running.signal(Signal::SIGTERM);
                running.wait_until(LIMIT, "prints nothing", |running| running.stderr_so_far().contains("SIGTERM"));
                let outcome = running.finish(LIMIT);
                let message = "xymonping: reading the list: stopped by SIGTERM (nothing was probed)";
                assert_eq!(
                    (outcome.code, outcome.stderr.lines().last()),
                    (Some(4), Some(message)),
                    "{signal}: {outcome:?}"
                );
                assert!(outcome.first_stderr_line().ends_with(" so far"), "{signal}: {outcome:?}");
                assert!(lab.seen().is_empty());
            }
        }
    });
}

#[test]
fn a_status_signal_while_the_results_have_no_reader_does_not_end_the_run() {
    lab::play(|lab| {
        for signal in STATUS_SIGNALS {
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
            running.signal(signal);
            thread::sleep(ms(50));
            let mut rest = String::new();
            unread.read_to_string(&mut rest).expect("the program continues to write");
            assert_eq!(running.finish(LIMIT).code, Some(0), "{signal}");
            assert_eq!(rest.lines().count(), 5000, "{signal}");
        }
    });
}

#[test]
fn a_status_signal_that_was_ignored_at_start_stays_ignored() {
    lab::play(|lab| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' USR1 QUIT; exec \"$0\" \"$@\""]).arg(lab.command().get_program());
        let mut running = under_way(lab, &mut command, &["--timeout=500ms", "--retries=1"]);
        for signal in STATUS_SIGNALS {
            running.signal(signal);
        }
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
    });
}

// Real-time signals.

#[test]
fn a_real_time_signal_ends_a_run_in_order() {
    lab::play(|lab| {
        let test = "a_real_time_signal_ends_a_run_in_order";
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
            let message = "xymonping: stopped by a real-time signal: 1 of 2 targets finished (the others have no line)";
            assert_eq!(outcome.first_stderr_line(), message, "{signal}");
            assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive"], "{signal}");

            let mut running = lab.start(&mut lab.command());
            running.wait_until_signals_are_blocked();
            kill(&running).expect("it could be run before");
            running.wait_until(LIMIT, "prints nothing", |running| running.stderr_so_far().ends_with('\n'));
            let outcome = running.finish(LIMIT);
            let message = "xymonping: reading the list: stopped by a real-time signal (nothing was probed)";
            assert_eq!((outcome.code, outcome.first_stderr_line()), (Some(4), message), "{signal}: {outcome:?}");
        }
    });
}
