//! The contract with Xymon: started as xymonnet starts it, read as xymonnet and xymond_rrd read it.
//!
//! Xymon's part follows its sources: `xymonnet.c` (start_ping_service, finish_ping_service),
//! `lib/misc.c` (setup_commandargs) and `rrd/do_net.c`. In short: the command is `xymonping -Ae`;
//! its stdin is a pipe that gets one `IP\n` per write; stdout and stderr are files; SIGPIPE and
//! SIGUSR1 are ignored; the exit codes 0, 1 and 2 mean that the output is valid, and so does death
//! by a signal; a host without a line is red.

mod lab;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;
use std::{env, process, thread};

use lab::{Answer, Behaviour, IcmpError, Lab, ms, pipe};

/// A ping task of xymonnet.
struct Task {
    child: Child,
    /// Where xymonnet writes the list; closed when the list is complete.
    list: Option<File>,
    files: PathBuf,
}

/// A task that has ended: its exit status, and its output.
#[derive(Debug)]
struct Finished {
    code: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Task {
    /// Starts the program with `FPINGOPTS` split into words, as `setup_commandargs` does. The shell
    /// ignores the two signals.
    fn start(lab: &Lab, options: &[&str]) -> Task {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let files = env::temp_dir().join(format!("xymonping-contract-{}-{number}", process::id()));
        fs::create_dir(&files).expect("a directory for temporary files");
        let create = |name: &str| {
            let file = File::options().write(true).create_new(true).mode(0o600).open(files.join(name));
            file.expect("a temporary file")
        };
        let (stdin, list) = pipe();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' PIPE USR1; exec \"$0\" \"$@\""]).arg(lab::program()).args(lab::spelled(options));
        command.stdin(stdin).stdout(create("stdout")).stderr(create("stderr"));
        let child = lab.inside(|| command.spawn()).expect("a shell");
        // Until it is dropped, the command has the reading end too, and the pipe cannot break.
        drop(command);
        Task { child, list: Some(list), files }
    }

    /// Writes one address, with one system call.
    fn write(&mut self, line: &str) -> io::Result<()> {
        self.list.as_mut().expect("the list is not complete").write_all(line.as_bytes())
    }

    fn close(&mut self) {
        self.list = None;
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child can be waited for").is_none()
    }

    /// Waits for its end without closing its stdin.
    fn wait(mut self) -> Finished {
        let deadline = Instant::now() + lab::LIMIT;
        let status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it still runs"),
            }
            thread::sleep(ms(1));
        };
        let read = |name: &str| fs::read_to_string(self.files.join(name)).expect("its output is text");
        Finished { code: status.code(), signal: status.signal(), stdout: read("stdout"), stderr: read("stderr") }
    }

    fn finish(mut self) -> Finished {
        self.close();
        self.wait()
    }

    /// Does all that xymonnet does: start, write the list, wait.
    fn run<S: AsRef<str>>(lab: &Lab, options: &[&str], addresses: &[S]) -> Finished {
        let mut task = Task::start(lab, options);
        for address in addresses {
            // Fails if the program does not read stdin, or has ended.
            let _ = task.write(&format!("{}\n", address.as_ref()));
        }
        task.finish()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should have.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.files);
    }
}

/// The colours that Xymon shows.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Colour {
    Green,
    Red,
    Clear,
}

impl Finished {
    /// The line that counts for an address.
    fn line_of(&self, address: &str) -> Option<&str> {
        self.stdout.lines().rfind(|line| four_numbers(line).is_some_and(|found| found == address))
    }

    /// finish_ping_service: `sscanf("%d.%d.%d.%d ")`, then `strstr("is alive")`; the last line of
    /// an address counts.
    fn colour(&self, address: &str) -> Colour {
        // WIFSIGNALED is not checked, and WEXITSTATUS is 0 then.
        if !matches!(self.code.unwrap_or(0), 0..=2) {
            return Colour::Clear;
        }
        match self.line_of(address) {
            Some(line) if line.contains("is alive") => Colour::Green,
            _ => Colour::Red,
        }
    }

    /// do_net_rrd: the seconds in the graph.
    fn graphed(&self, address: &str) -> Option<f64> {
        let line = self.line_of(address)?;
        assert!(!line.contains("time="), "this would be graphed instead: {line}");
        let rest = line.split_once("alive (")?.1;
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        let unit = rest[end..].trim_start();
        Some(if unit.starts_with("ms") {
            number / 1e3
        } else if unit.starts_with("usec") {
            number / 1e6
        } else {
            number
        })
    }

    /// What Xymon logs on failure: the first line, up to 1,023 bytes.
    fn logged(&self) -> &str {
        self.stderr.lines().next().unwrap_or("")
    }

    /// Asserts that the first line has these words, and is fit for a log.
    fn assert_logged(&self, words: &[&str]) {
        let line = self.logged();
        assert!(line.starts_with("xymonping: ") && line.len() <= 1023, "{self:?}");
        assert!(line.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{self:?}");
        for word in words {
            assert!(line.contains(word), "{word:?} is missing: {line}");
        }
    }
}

/// `sscanf("%d.%d.%d.%d ")` from the first column on, joined again as xymonnet does.
fn four_numbers(line: &str) -> Option<String> {
    let mut rest = line;
    let mut numbers = Vec::new();
    for n in 0..4 {
        // %d skips blanks and accepts a sign.
        rest = rest.trim_start();
        let sign = usize::from(rest.starts_with(['-', '+']));
        let end = rest[sign..].find(|c: char| !c.is_ascii_digit()).map_or(rest.len(), |end| end + sign);
        numbers.push(rest[..end].parse::<i32>().ok()?.to_string());
        rest = &rest[end..];
        if n < 3 {
            rest = rest.strip_prefix('.')?;
        }
    }
    Some(numbers.join("."))
}

/// `xymonping -Ae`, as xymonnet runs it, with short timeouts.
const FAST: [&str; 4] = ["-Ae", "--timeout=1", "--retries=1", "--max-pps=500"];

#[test]
fn colours_and_graphs_are_right() {
    lab::play(|lab| {
        let error = Behaviour::answering(Answer::Error(IcmpError::HostUnreachable));
        let far = [(1, 0), (2, 1), (3, 2), (4, 3), (5, 40), (6, 250)];
        for (n, delay) in far {
            lab.host(&format!("10.0.0.{n}"), Behaviour::after(ms(delay)));
        }
        lab.host("10.0.1.1", Behaviour::silent());
        lab.host("10.0.1.2", error);
        lab.host("10.0.2.1", Behaviour { copies: 3, ..Behaviour::default() });
        let all: Vec<String> = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]
            .iter()
            .chain(&["10.0.1.1", "10.0.1.2", "10.0.2.1", "192.0.2.77"])
            .map(|&address| address.to_owned())
            .collect();
        let finished = Task::run(lab, &FAST, &all);
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
        assert_eq!(finished.stdout.lines().count(), all.len());
        for address in &all {
            let expected = if address.starts_with("10.0.1.") { Colour::Red } else { Colour::Green };
            assert_eq!(finished.colour(address), expected, "{address} {finished:?}");
        }
        for (n, delay) in far {
            let seconds = finished.graphed(&format!("10.0.0.{n}")).expect("it is graphed");
            // The timeout is a second, so no unit was mistaken for another.
            assert!(seconds > delay as f64 / 1e3 - 1e-3 && seconds < 1.0001, "{delay} ms are graphed as {seconds} s");
        }
        assert_eq!(finished.graphed("10.0.1.1"), None);
    });
}

#[test]
fn an_address_on_two_lines_has_the_same_colour_twice() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let finished = Task::run(lab, &FAST, &["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2", "10.0.0.1"]);
        let lines: Vec<&str> = finished.stdout.lines().collect();
        assert_eq!(lines.len(), 5, "{finished:?}");
        assert!(lines[0] == lines[2] && lines[2] == lines[4] && lines[1] == lines[3], "{finished:?}");
        assert_eq!((finished.colour("10.0.0.1"), finished.colour("10.0.0.2")), (Colour::Green, Colour::Red));
        assert_eq!(lab.seen_of("10.0.0.1").len(), 1);
    });
}

#[test]
fn an_empty_list_is_a_success_without_lines() {
    lab::play(|lab| {
        let finished = Task::run::<&str>(lab, &["-Ae"], &[]);
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), (Some(0), "", ""));
        assert_eq!(lab.seen().len(), 0);
    });
}

/// xymonnet cuts an address of more than 15 characters at 16, without a newline before the next
/// one.
#[test]
fn lines_that_ran_together_are_rejected_and_quoted() {
    lab::play(|lab| {
        let glued = "2001:db8:18::abc3.1.1.1";
        let junk = ["3.1.1.2.3", "::ffff:10.0.0.1", "router.example.co10.0.0.1", "10.0.0.110.0.0.2"];
        let mut list = vec!["10.0.0.1", glued];
        list.extend(junk);
        list.push("10.0.0.9");
        let finished = Task::run(lab, &FAST, &list);
        assert_eq!((finished.code, finished.stdout.lines().count()), (Some(0), 2), "{finished:?}");
        assert_eq!((finished.colour("10.0.0.1"), finished.colour("10.0.0.9")), (Colour::Green, Colour::Green));
        for line in junk.iter().chain(&[glued]) {
            assert!(finished.stderr.contains(&format!("\"{line}\"")), "{line} is quoted: {finished:?}");
        }
        assert!(finished.stderr.contains("two lines run together, or a port?"), "{finished:?}");
        assert_eq!(lab.seen().len(), 2, "no other host is probed");
    });
}

#[test]
fn ipv6_lines_and_names_do_not_affect_the_others() {
    lab::play(|lab| {
        let finished = Task::run(lab, &FAST, &["10.0.0.1", "fd00::1", "conn.example.com", "", "10.0.0.2"]);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!((finished.colour("10.0.0.1"), finished.colour("10.0.0.2")), (Colour::Green, Colour::Green));
        let read = finished.stdout.lines().filter(|line| four_numbers(line).is_some()).count();
        assert_eq!(read, 2, "no other line is taken for one of IPv4: {finished:?}");
    });
}

#[test]
fn a_list_that_is_written_slowly_is_waited_for() {
    lab::play(|lab| {
        let mut task = Task::start(lab, &FAST);
        for piece in ["10.0.", "0.1\n10.", "0.0.2", "\n", "10.0.0.3"] {
            task.write(piece).expect("it reads its list");
            thread::sleep(ms(50));
            assert!(task.is_running());
        }
        assert_eq!(lab.seen().len(), 0, "probing starts at the end of the list");
        let finished = task.finish();
        assert_eq!((finished.code, finished.stdout.lines().count()), (Some(0), 3), "{finished:?}");
        assert!(["10.0.0.1", "10.0.0.2", "10.0.0.3"].iter().all(|host| finished.colour(host) == Colour::Green));
    });
}

/// Invalid command lines, and words that the first line of stderr must have.
fn failures() -> Vec<(Vec<String>, Vec<&'static str>)> {
    let long = "x".repeat(5000);
    let case = |args: &[&str], words: &[&'static str]| {
        (args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>(), words.to_vec())
    };
    vec![
        case(&["-Ae", "--max-ppps=5000"], &["--max-ppps", "unknown option"]),
        case(&["-Ae", "--max-pps=0"], &["--max-pps", "\"0\""]),
        case(&["-Ae", "--retries=-1"], &["--retries", "\"-1\""]),
        case(&["-Ae", "--timeout=abc\n\u{1b}[31mred\u{e4}"], &["--timeout"]),
        case(&["-Ae", &format!("--{long}")], &["unknown option"]),
        case(&["-Ae", &format!("--timeout={long}")], &["--timeout"]),
        case(&["-Ae", "-t"], &["-t"]),
        case(&["-Ae", "--source=10.0.0.1"], &["--source=10.0.0.1"]),
        case(&["-Ae", "--file=/nonexistent/list"], &["/nonexistent/list", "No such file"]),
        case(&["-Ae", "router.example.com"], &["router.example.com"]),
        case(&["-a", "-u"], &["-a", "-u"]),
    ]
}

#[test]
fn the_first_line_of_stderr_says_why_the_run_failed() {
    lab::play(|lab| {
        for (args, words) in failures() {
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let finished = Task::run(lab, &args, &["10.0.0.1"]);
            assert_eq!((finished.code, finished.signal, finished.stdout.as_str()), (Some(3), None, ""), "{finished:?}");
            finished.assert_logged(&words);
            assert_eq!(finished.colour("10.0.0.1"), Colour::Clear);
            assert_eq!(lab.seen().len(), 0);
        }
    });
}

#[test]
fn warnings_come_after_the_failure() {
    lab::play(|lab| {
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        let options = ["-Ae", "-m", "--timeout=0.3", "--retries=0"];
        let finished = Task::run(lab, &options, &["junk", "10.0.0.1", "10.0.0.1.1"]);
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(4), ""), "{finished:?}");
        finished.assert_logged(&["no probe could leave this machine"]);
        assert!(finished.stderr.contains("\"junk\"") && finished.stderr.contains("-m"), "{finished:?}");
        assert!(finished.stderr.lines().all(|line| line.starts_with("xymonping: ")), "{finished:?}");
    });
}

#[test]
fn ten_rejected_lines_are_quoted_and_the_rest_counted() {
    lab::play(|lab| {
        let mut list: Vec<String> = (0..500).map(|n| format!("host-{n}")).collect();
        list.push("10.0.0.1".into());
        let finished = Task::run(lab, &FAST, &list);
        assert_eq!((finished.code, finished.colour("10.0.0.1")), (Some(0), Colour::Green), "{finished:?}");
        assert_eq!(finished.stderr.lines().count(), 11, "{finished:?}");
        assert!(finished.stderr.contains("490 more"), "{finished:?}");
    });
}

/// xymonnet ignores SIGPIPE, but a shell pipeline does not, and xymonnet logs a write that fails.
#[test]
fn a_list_of_a_megabyte_is_read_to_its_end_after_a_failure() {
    lab::play(|lab| {
        for option in ["--max-ppps=5000", "--source=10.0.0.1", "--retries=x"] {
            let mut task = Task::start(lab, &["-Ae", option]);
            let line = "10.123.123.123\n".repeat(100);
            for written in (0..1 << 20).step_by(line.len()) {
                task.write(&line).unwrap_or_else(|error| panic!("{error} after {written} bytes of {option}"));
            }
            // The failure is reported before the list is complete.
            let deadline = Instant::now() + lab::LIMIT;
            while fs::read(task.files.join("stderr")).expect("its stderr").is_empty() {
                assert!(Instant::now() < deadline, "it reports nothing");
                thread::sleep(ms(1));
            }
            let finished = task.finish();
            assert_eq!((finished.code, finished.signal, finished.stdout.as_str()), (Some(3), None, ""), "{finished:?}");
            finished.assert_logged(&[]);
        }
    });
}

#[test]
fn a_list_without_end_does_not_prevent_the_end_of_a_failed_run() {
    lab::play(|lab| {
        let mut task = Task::start(lab, &["-Ae", "--max-ppps=5000"]);
        task.write("10.0.0.1\n").expect("it reads its list");
        // `wait` leaves the pipe open.
        let finished = task.wait();
        assert_eq!((finished.code, finished.signal), (Some(3), None), "{finished:?}");
    });
}

#[test]
fn stdin_is_not_waited_for_if_no_list_is_expected() {
    lab::play(|lab| {
        // Operands replace the list, and --help and --version need none. The pipe stays open.
        for (args, code) in [(&["router"][..], 3), (&["10.0.0.1"], 0), (&["--help"], 0), (&["--version"], 0)] {
            let start = Instant::now();
            let finished = Task::start(lab, args).wait();
            assert_eq!(finished.code, Some(code), "{args:?} {finished:?}");
            assert!(start.elapsed() < lab::LIMIT);
        }
    });
}

#[test]
fn sigusr1_and_a_broken_pipe_do_not_end_the_program_by_a_signal() {
    lab::play(|lab| {
        lab.others(Behaviour::after(ms(500)));
        let mut task = Task::start(lab, &["-Ae"]);
        task.write("10.0.0.1\n").expect("it reads its list");
        task.close();
        let deadline = Instant::now() + lab::LIMIT;
        while lab.seen().is_empty() {
            assert!(Instant::now() < deadline, "it sends nothing");
        }
        let pid = nix::unistd::Pid::from_raw(task.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGUSR1).expect("it runs");
        let finished = task.finish();
        assert_eq!((finished.code, finished.colour("10.0.0.1")), (Some(0), Colour::Green), "{finished:?}");

        // A reader that has ended: not xymonnet, but `| head`.
        let (reader, writer) = pipe();
        drop(reader);
        let mut command = lab.command();
        command.arg("10.0.0.1").stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
        let output = lab.inside(|| command.spawn()).expect("the program").wait_with_output().expect("its end");
        assert_eq!((output.status.code(), output.status.signal()), (Some(4), None), "{output:?}");
    });
}

/// `--ping-tasks=8`: eight processes share the list, and some may get no address.
#[test]
fn tasks_at_the_same_time_have_their_own_results() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let mut tasks: Vec<(u32, Task)> = (0..8).map(|n| (n, Task::start(lab, &FAST))).collect();
        let of_task = |net: u32, n: u32| (1..=30).map(move |host| format!("10.{net}.{n}.{host}"));
        for (n, task) in tasks.iter_mut().filter(|(n, _)| *n < 6) {
            for address in of_task(1, *n).chain(of_task(2, *n)) {
                task.write(&format!("{address}\n")).expect("it reads its list");
            }
        }
        tasks.iter_mut().for_each(|(_, task)| task.close());
        for (n, task) in tasks {
            let finished = task.finish();
            assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{finished:?}");
            assert_eq!(finished.stdout.lines().count(), if n < 6 { 60 } else { 0 });
            if n < 6 {
                assert!(of_task(1, n).all(|address| finished.colour(&address) == Colour::Green), "{finished:?}");
                assert!(of_task(2, n).all(|address| finished.colour(&address) == Colour::Red), "{finished:?}");
            }
        }
    });
}

#[test]
fn output_is_parsed_as_xymon_does() {
    let finished = |code, signal, stdout: &str| Finished { code, signal, stdout: stdout.into(), stderr: String::new() };
    let colour = |line: &str| finished(Some(0), None, line).colour("10.0.0.1");
    assert_eq!(colour("10.0.0.1 is alive (3.4 ms)"), Colour::Green);
    assert_eq!(colour("10.0.0.1 is  alive (3.4 ms)"), Colour::Red);
    assert_eq!(colour("10.0.0.1 is ALIVE"), Colour::Red);
    assert_eq!(colour("10.0.0.1 is alive (1 ms)\n10.0.0.1 is unreachable"), Colour::Red);
    assert_eq!(colour("10.0.0.11 is alive (3.4 ms)"), Colour::Red);
    assert_eq!(colour(""), Colour::Red);
    assert_eq!(finished(Some(4), None, "10.0.0.1 is alive (3.4 ms)").colour("10.0.0.1"), Colour::Clear);
    assert_eq!(finished(None, Some(6), "").colour("10.0.0.1"), Colour::Red, "death by a signal is a success");
    assert_eq!(four_numbers("fd00::1 is alive (3 usec)"), None);
    let graphed = |text: &str| finished(Some(0), None, &format!("10.0.0.1 is alive ({text})")).graphed("10.0.0.1");
    for (text, seconds) in [("345 usec", 345e-6), ("3.4 ms", 0.0034), ("1234.0 ms", 1.234), ("2 us", 2.0)] {
        assert!((graphed(text).expect("a number") - seconds).abs() < 1e-9, "{text}");
    }
}
