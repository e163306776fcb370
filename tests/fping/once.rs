//! The default mode, and the exit codes.

use std::fs;
use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::{self, Behaviour, Lose, ROUTER4, ms};
use crate::{called, run};

/// Long enough for a reply on a busy machine.
const FAST: &str = "-t1000";

#[test]
fn alive_lines_come_at_once_and_unreachable_ones_in_the_end() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::silent());
        lab.host("10.0.0.2", Behaviour::after(ms(60)));
        lab.host("10.0.0.4", Behaviour::silent());
        let list = "# a list\n10.0.0.4\n10.0.0.1 label\n\n 10.0.0.2\n10.0.0.3\r\n";
        let outcome = run(lab, &[FAST, "-r1"], list);
        let expected = ["10.0.0.3 is alive", "10.0.0.2 is alive", "10.0.0.4 is unreachable", "10.0.0.1 is unreachable"];
        assert_eq!((outcome.lines(), outcome.code), (expected.to_vec(), Some(1)), "{outcome:?}");
        assert_eq!((lab.seen_of("10.0.0.1").len(), lab.seen_of("10.0.0.3").len()), (2, 1));
        // 64 bytes of ICMP, as fping's.
        assert!(lab.seen().iter().all(|probe| probe.len == 56), "{:?}", lab.seen()[0]);
    });
}

#[test]
fn options_say_which_targets_have_a_line() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let both = ["10.0.0.1", "10.0.0.2"];
        for (options, stdout, code) in [
            (&["-a"][..], "10.0.0.1\n", 1),
            (&["-aq"], "10.0.0.1\n", 1),
            (&["-u"], "10.0.0.2\n", 1),
            (&["-q"], "", 1),
            (&["-x1"], "Enough hosts reachable (required: 1, reachable: 1)\n", 0),
            (&["-qx", "2"], "Not enough hosts reachable (required: 2, reachable: 1)\n", 1),
            (&["-ax1"], "10.0.0.1\nEnough hosts reachable (required: 1, reachable: 1)\n", 0),
        ] {
            let args = [options, &[FAST, "-r0"], &both].concat();
            let outcome = run(lab, &args, "");
            assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), (stdout, ""), "{options:?}");
            assert_eq!(outcome.code, Some(code), "{options:?}");
        }
        let outcome = run(lab, &["-e", "10.0.0.3"], "");
        let rtt = outcome.stdout.strip_prefix("10.0.0.3 is alive (").and_then(|rest| rest.strip_suffix(" ms)\n"));
        assert!(rtt.is_some_and(|rtt| rtt.parse::<f64>().is_ok_and(|rtt| rtt > 0.0)), "{outcome:?}");
        assert_eq!(outcome.code, Some(0));
    });
}

#[test]
fn a_run_ends_as_soon_as_enough_targets_have_answered() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::silent());
        let outcome = run(lab, &["-X1", "-t60000", "10.0.0.1", "10.0.0.2"], "");
        assert_eq!(outcome.stdout, "Enough hosts reachable (required: 1, reachable: 1)\n");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    });
}

#[test]
fn timeouts_grow_by_the_backoff() {
    lab::play(|lab| {
        lab.others(Behaviour::silent());
        run(lab, &["-t50", "-B2", "-r2", "10.0.0.1"], "");
        run(lab, &["-t50", "-r2", "10.0.0.2"], "");
        for (host, waits) in [("10.0.0.1", [50, 100]), ("10.0.0.2", [50, 75])] {
            let seen = lab.seen_of(host);
            let gaps: Vec<Duration> = seen.windows(2).map(|pair| pair[1].time - pair[0].time).collect();
            assert_eq!(gaps.len(), 2, "{seen:?}");
            for (gap, wait) in gaps.iter().zip(waits) {
                assert!(*gap + lab::CLOCK_ERROR >= ms(wait), "{gaps:?}");
            }
        }
    });
}

#[test]
fn duplicates_and_other_sources_are_said_on_stderr() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { copies: 2, ..Behaviour::default() });
        // Keeps the run going until the second copy has come.
        lab.host("10.0.0.2", Behaviour::after(ms(100)));
        let outcome = run(lab, &["-q", "10.0.0.1", "10.0.0.2"], "");
        let rest = outcome.stderr.strip_prefix("10.0.0.1 : duplicate for [0], 64 bytes, ");
        assert!(rest.is_some_and(|rest| rest.ends_with(" ms\n")), "{outcome:?}");
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", Some(0)));

        lab.host("10.0.0.3", Behaviour { from: Some(ROUTER4.into()), ..Behaviour::default() });
        let outcome = run(lab, &["10.0.0.3"], "");
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("10.0.0.3 is alive\n", " [<- 192.0.2.254]"));
        let outcome = run(lab, &["--check-source", FAST, "-r0", "10.0.0.3"], "");
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("10.0.0.3 is unreachable\n", Some(1)));
    });
}

#[test]
fn the_summary_counts_targets_and_packets() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::First(1), ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour::silent());
        let outcome = run(lab, &["-4qs", FAST, "-r1", "10.0.0.1", "10.0.0.2", "::1"], "");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        let expected = [
            "",
            "       2 targets",
            "       1 alive",
            "       1 unreachable",
            "       1 unknown addresses",
            "",
            "       3 timeouts (waiting for response)",
            "       4 ICMP Echos sent",
            "       1 ICMP Echo Replies received",
            "       0 other ICMP received",
        ];
        assert_eq!(lines[..10], expected);
        assert!(lines[11].ends_with(" ms (min round trip time)"), "{lines:?}");
        assert!(lines[14].ends_with(" sec (elapsed real time)"), "{lines:?}");
        assert_eq!((lines.len(), outcome.code), (16, Some(2)));
    });
}

#[test]
fn lists_and_ranges_are_taken_as_fping_takes_them() {
    lab::play(|lab| {
        let outcome = run(lab, &["-g", "10.0.0.0/29"], "");
        let expected: Vec<String> = (1..=6).map(|host| format!("10.0.0.{host} is alive")).collect();
        assert_eq!((outcome.lines(), outcome.code), (expected.iter().map(String::as_str).collect(), Some(0)));
        let outcome = run(lab, &["-g", "10.0.0.9", "10.0.0.3"], "");
        assert_eq!((outcome.code, outcome.stdout + &outcome.stderr), (Some(1), String::new()));
        let outcome = run(lab, &["-g", "10.0.0.0/33"], "");
        assert_eq!(outcome.stderr, "fping: netmask must be between 1 and 32 (is: 33)\n");
        let outcome = run(lab, &["-g", "x/24"], "");
        assert_eq!(outcome.stderr, "fping, can't parse address x: Name or service not known\n");

        for args in [["-g", "10.0.0.0"], ["-g", "10.0.0.0/x"]] {
            let outcome = run(lab, &args, "");
            assert!(outcome.stderr.starts_with("Usage: fping "), "{outcome:?}");
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(1), ""));
        }

        // Options behind operands, equal targets, and numbers as inet_aton(3) takes them.
        let outcome = run(lab, &["10.1", "-A", "--", "10.0.0.1"], "");
        assert_eq!(outcome.stdout, "10.0.0.1 is alive\n10.0.0.1 is alive\n");
        let outcome = run(lab, &["10.1", "::1", "-4"], "");
        assert_eq!(outcome.stdout, "10.1 is alive\n");
        assert_eq!(outcome.stderr, "::1: Address family for hostname not supported\n");
        assert_eq!(outcome.code, Some(2));

        let outcome = run(lab, &["-f", "/no/such/file"], "");
        assert_eq!((outcome.stderr.as_str(), outcome.code), ("fping: fopen : No such file or directory\n", Some(4)));
        let outcome = run(lab, &[], &format!("{}\n", "x".repeat(256)));
        assert_eq!((outcome.stderr.as_str(), outcome.code), ("fping: target name too long\n", Some(1)));
        let outcome = run(lab, &[], "\n#\n");
        assert_eq!((outcome.code, outcome.stdout + &outcome.stderr), (Some(1), String::new()));
        let path = std::env::temp_dir().join(format!("xymonping-fping-list-{}", std::process::id()));
        fs::write(&path, "10.0.0.1").expect("a temporary file");
        let outcome = run(lab, &["-f", path.to_str().expect("it is text")], "");
        let _ = fs::remove_file(&path);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("10.0.0.1 is alive\n", Some(0)));
    });
}

#[test]
fn sockets_that_cannot_be_had_as_asked_are_said_as_fping_says_it() {
    lab::play(|lab| {
        for (args, message, code) in [
            (&["-I", "nosuchdev"][..], "binding to specific interface (SO_BINDTODEVICE): No such device\n", 1),
            (&["-S", "203.0.113.9"], "fping: cannot bind source address : Cannot assign requested address\n", 4),
            (&["-S", "0.0.0.0"], "fping: cannot bind source address : Cannot assign requested address\n", 4),
        ] {
            let outcome = run(lab, &[args, &["10.0.0.1"]].concat(), "");
            assert_eq!((outcome.stderr.as_str(), outcome.code), (message, Some(code)), "{args:?}");
        }
        let outcome = run(lab, &["-S", "192.0.2.2", "-I", lab::DEVICE, "-H7", "-O0x10", "-M", "-b100", "10.0.0.1"], "");
        assert_eq!(outcome.stdout, "10.0.0.1 is alive\n", "{outcome:?}");
        let seen = &lab.seen()[0];
        assert_eq!((seen.src, seen.ttl, seen.tos, seen.len), (lab::HOST4_OTHER.into(), 7, 16, 100));
        assert_eq!(lab.seen().len(), 1);
    });
}

#[test]
fn a_run_that_is_stopped_calls_nothing_unreachable_that_is_not_settled() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let mut running = lab.start(&mut called("fping", &["-t60000", "10.0.0.1", "10.0.0.2"]));
        running.wait_until(lab::LIMIT, "has a line", |running| running.stdout_so_far().contains("alive"));
        running.signal(Signal::SIGINT);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("10.0.0.1 is alive\n", Some(4)));
        assert!(outcome.stderr.starts_with("fping: stopped by SIGINT: 1 of 2 targets finished"), "{outcome:?}");
    });
}

#[test]
fn a_run_that_goes_on_tells_its_figures_when_asked() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::First(1), ..Behaviour::default() });
        lab.host("10.0.0.20", Behaviour::silent());
        let mut running = lab.start(&mut called("fping", &["-t1000", "-r9", "-B1", "10.0.0.20", "10.0.0.1"]));
        running.wait_until(lab::LIMIT, "has a line", |running| running.stdout_so_far().contains("alive"));
        running.signal(Signal::SIGQUIT);
        running.wait_until(lab::LIMIT, "tells", |running| running.stderr_so_far().matches("xmt/rcv").count() == 2);
        running.signal(Signal::SIGINT);
        let outcome = running.finish(lab::LIMIT);
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!(lines[0], "", "{outcome:?}");
        assert!(lines[1].len() == "[HH:MM:SS]".len() && lines[1].matches(':').count() == 2, "{outcome:?}");
        // Asked for after the first probes of both have timed out, one after the other.
        assert!(lines[2].starts_with("10.0.0.20 : xmt/rcv/%loss = ") && lines[2].ends_with("/0/100%"), "{outcome:?}");
        assert!(lines[3].starts_with("10.0.0.1  : xmt/rcv/%loss = 2/1/50%, min/avg/max = "), "{outcome:?}");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
    });
}

#[test]
fn a_list_is_read_to_its_end_whatever_asks_for_the_status_meanwhile() {
    lab::play(|lab| {
        for signal in [Signal::SIGQUIT, Signal::SIGUSR1] {
            let mut running = lab.start(&mut called("fping", &[]));
            running.feed("10.0.0.1\n");
            running.wait_until_signals_are_blocked();
            running.signal(signal);
            running.wait_until(lab::LIMIT, "has not read the signal", |running| {
                running.status("ShdPnd").is_none_or(|pending| pending.bytes().all(|digit| digit == b'0'))
            });
            running.feed("10.0.0.2\n");
            let outcome = running.finish(lab::LIMIT);
            assert_eq!(outcome.lines(), ["10.0.0.1 is alive", "10.0.0.2 is alive"], "{signal}: {outcome:?}");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{signal}");
        }
    });
}

#[test]
fn a_signal_that_comes_before_the_run_ends_the_program() {
    lab::play(|lab| {
        let (mut unread, full) = lab::full_pipe();
        let mut command = called("fping", &["-J", "-q", "-c1", "no!name", "10.0.0.1"]);
        let mut running = lab.start_as_is(command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()));
        drop(command);
        running.wait_until_signals_are_blocked();
        running.signal(Signal::SIGTERM);
        running.wait_until(lab::LIMIT, "is not stopped", |running| running.stderr_so_far().contains("stopped by"));
        let mut written = Vec::new();
        let _ = unread.read_to_end(&mut written);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(4), "fping: stopped by SIGTERM\n"));
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn names_are_looked_up_and_those_without_an_address_are_told() {
    lab::play(|lab| {
        // Not a name that any resolver is asked for.
        let outcome = run(lab, &["localhost", "no_such!name"], "");
        assert_eq!(outcome.stdout, "localhost is alive\n", "{outcome:?}");
        assert_eq!(outcome.stderr, "no_such!name: Name or service not known\n");
        assert_eq!(outcome.code, Some(2));
        let outcome = run(lab, &["-4", "-A", "-c1", "-q", "localhost"], "");
        assert!(outcome.stderr.starts_with("127.0.0.1 : xmt/rcv/%loss = 1/1/0%, "), "{outcome:?}");
        let outcome = run(lab, &["-q", "no_such!name"], "");
        assert_eq!((outcome.code, outcome.stdout + &outcome.stderr), (Some(2), String::new()));
    });
}
