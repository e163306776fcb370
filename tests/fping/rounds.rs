//! Count mode and loop mode.

use nix::sys::signal::Signal;

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{self, Answer, Behaviour, Finished, IcmpError, Lose, ROUTER4, ms};
use crate::{called, run};

/// Lines with each number of milliseconds replaced by `T`.
fn shapes(text: &str) -> Vec<String> {
    let is_time = |word: &str| word.contains('.') && word.parse::<f64>().is_ok();
    let shape = |line: &str| {
        let words = line.split(' ').map(|word| {
            let parts = word.split('/').map(|part| match part.trim_start_matches('(') {
                time if is_time(time) => part.replace(time, "T"),
                _ => part.to_owned(),
            });
            parts.collect::<Vec<_>>().join("/")
        });
        words.collect::<Vec<_>>().join(" ")
    };
    // Addresses are no numbers.
    text.lines().map(shape).collect()
}

fn assert_shapes(outcome: &Finished, stdout: &[&str], stderr: &[&str]) {
    assert_eq!((shapes(&outcome.stdout), shapes(&outcome.stderr)), (owned(stdout), owned(stderr)));
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|&line| line.to_owned()).collect()
}

#[test]
fn each_probe_has_a_line_and_each_target_its_figures() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::First(1), ..Behaviour::default() });
        lab.host("10.0.0.22", Behaviour::silent());
        // Copies count for nothing.
        lab.host("10.0.0.3", Behaviour { copies: 3, ..Behaviour::default() });
        let outcome = run(lab, &["-c2", "-p1500", "-t1000", "-o", "10.0.0.1", "10.0.0.22", "10.0.0.3"], "");
        let mut lines = shapes(&outcome.stdout);
        lines.sort();
        let expected = [
            "10.0.0.1  : [0], timed out (NaN avg, 100% loss)",
            "10.0.0.1  : [1], 64 bytes, T ms (T avg, 50% loss)",
            "10.0.0.22 : [0], timed out (NaN avg, 100% loss)",
            "10.0.0.22 : [1], timed out (NaN avg, 100% loss)",
            "10.0.0.3  : [0], 64 bytes, T ms (T avg, 0% loss)",
            "10.0.0.3  : [1], 64 bytes, T ms (T avg, 0% loss)",
        ];
        assert_eq!(lines, expected);
        let expected = [
            "",
            "10.0.0.1  : xmt/rcv/%loss = 2/1/50%, outage(ms) = 1500, min/avg/max = T/T/T",
            "10.0.0.22 : xmt/rcv/%loss = 2/0/100%, outage(ms) = 3000",
            "10.0.0.3  : xmt/rcv/%loss = 2/2/0%, outage(ms) = 0, min/avg/max = T/T/T",
        ];
        assert_eq!((shapes(&outcome.stderr), outcome.code), (owned(&expected), Some(1)));
        let seen = lab.seen_of("10.0.0.1");
        assert!(seen[1].time - seen[0].time + lab::CLOCK_ERROR >= ms(1490), "{seen:?}");
    });
}

#[test]
fn all_values_have_as_many_columns_as_probes() {
    lab::play(|lab| {
        let second = Lose::Numbers([2].into());
        lab.host("10.0.0.1", Behaviour { lose: second, copies: 2, ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour::silent());
        let outcome = run(lab, &["-C3", "-q", "-p20", "-t1000", "-B1", "-r1", "10.0.0.1", "10.0.0.2"], "");
        assert_shapes(&outcome, &[], &["10.0.0.1 : T - T", "10.0.0.2 : - - -"]);
        // As SmokePing asks when it starts: both numbers are the same.
        let outcome = run(lab, &["-C", "1", "10.0.0.3"], "");
        let number = outcome.stdout.split(", ").nth(2).and_then(|rest| rest.split(' ').next());
        assert_eq!(outcome.stderr, format!("\n10.0.0.3 : {}\n", number.unwrap_or_default()), "{outcome:?}");
        assert_eq!(outcome.code, Some(0));
    });
}

#[test]
fn several_probes_may_be_in_flight_and_late_replies_are_lost() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::after(ms(120)));
        let outcome = run(lab, &["-c3", "-q", "-p50", "-t60000", "10.0.0.1"], "");
        assert!(outcome.stderr.starts_with("10.0.0.1 : xmt/rcv/%loss = 3/3/0%, "), "{outcome:?}");
        // Without -t the period is the timeout.
        let outcome = run(lab, &["-c3", "-q", "-p50", "10.0.0.1"], "");
        assert_eq!((outcome.stderr.as_str(), outcome.code), ("10.0.0.1 : xmt/rcv/%loss = 3/0/100%\n", Some(1)));
    });
}

#[test]
fn loop_mode_goes_on_until_sigint_and_sigquit_asks_for_figures() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::Numbers([2].into()), ..Behaviour::default() });
        let mut running = lab.start(&mut called("fping", &["-l", "-q", "-D", "-p1100", "-t1000", "10.0.0.1"]));
        running.wait_until(lab::LIMIT, "has 3 lines", |running| running.stdout_so_far().lines().count() == 3);
        running.signal(Signal::SIGQUIT);
        running.wait_until(lab::LIMIT, "has figures", |running| running.stderr_so_far().contains("xmt"));
        running.wait_until(lab::LIMIT, "goes on", |running| running.stdout_so_far().lines().count() > 3);
        running.signal(Signal::SIGINT);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        assert_eq!((lines[0], lines[3]), ("", ""), "{outcome:?}");
        let is_time = |line: &str| line.len() == 10 && line.starts_with('[') && line.ends_with(']');
        assert!(is_time(lines[1]) && lines[2].contains("xmt/rcv/%loss = 3/2/33%, min/avg/max = "), "{outcome:?}");
        assert!(lines[4].contains("xmt/rcv/%loss = ") && lines.len() == 5, "{outcome:?}");
        for line in outcome.lines() {
            let stamp = line.strip_prefix('[').and_then(|rest| rest.split_once("] 10.0.0.1 : ["));
            let (seconds, decimals) = stamp.and_then(|(stamp, _)| stamp.split_once('.')).unwrap_or_default();
            assert_eq!((seconds.len(), decimals.len()), (10, 5), "{line}");
        }
    });
}

#[test]
fn figures_come_at_intervals() {
    lab::play(|lab| {
        for (options, is_total) in [(&["-Q", "0.5"][..], false), (&["-Q0.5,cumulative"], true)] {
            let args = [options, &["-c4", "-p250", "10.0.0.1"]].concat();
            let outcome = run(lab, &args, "");
            let figures: Vec<u32> = outcome
                .stderr
                .lines()
                .filter_map(|line| line.split(" = ").nth(1)?.split('/').next()?.parse().ok())
                .collect();
            let (last, reports) = figures.split_last().expect("there are figures");
            assert_eq!((*last, outcome.stdout.as_str(), outcome.code), (4, "", Some(0)), "{outcome:?}");
            assert!(!reports.is_empty(), "{outcome:?}");
            match is_total {
                true => assert!(reports.is_sorted() && *last >= reports[reports.len() - 1], "{outcome:?}"),
                false => assert!(reports.iter().sum::<u32>() <= 4, "{outcome:?}"),
            }
            assert_eq!(outcome.stderr.lines().filter(|line| line.starts_with('[')).count(), reports.len());
        }
        let outcome = run(lab, &["-N", "-Q0.2", "-c3", "-p150", "10.0.0.1"], "");
        assert!(outcome.stdout.starts_with("CHART fping.10_0_0_1_packets '' 'FPing Packets' packets "), "{outcome:?}");
        assert_eq!(outcome.stdout.matches("CHART").count(), 3, "{outcome:?}");
    });
}

#[test]
fn icmp_errors_follow_the_line_of_their_target() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
        let expected = "ICMP Host Unreachable from 192.0.2.254 for ICMP Echo sent to 10.0.0.1\n";
        // As Zabbix does every hour: a first line with an error would make it drop the options.
        let outcome = run(lab, &["-c1", "-t1000", "-i0", "10.0.0.1"], "");
        assert_eq!(outcome.stdout, "10.0.0.1 : [0], timed out (NaN avg, 100% loss)\n");
        assert_eq!(outcome.stderr, format!("{expected}\n10.0.0.1 : xmt/rcv/%loss = 1/0/100%\n"));
        let outcome = run(lab, &["-c1", "-q", "-t50", "10.0.0.1"], "");
        assert_eq!(outcome.stderr, "10.0.0.1 : xmt/rcv/%loss = 1/0/100%\n");
        // In the default mode at once, and they settle nothing.
        let outcome = run(lab, &["-r1", "-t1000", "10.0.0.1"], "");
        assert_eq!((outcome.stdout.as_str(), outcome.stderr), ("10.0.0.1 is unreachable\n", expected.repeat(2)));
    });
}

#[test]
fn replies_from_elsewhere_are_marked_in_front_of_the_line() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { from: Some(ROUTER4.into()), ..Behaviour::default() });
        let outcome = run(lab, &["-c1", "10.0.0.1"], "");
        assert!(outcome.stderr.starts_with(" [<- 192.0.2.254]\n10.0.0.1 : xmt/rcv/%loss = 1/1/0%, "), "{outcome:?}");
    });
}

#[test]
fn what_this_machine_cannot_send_is_no_loss_of_the_targets() {
    lab::play(|lab| {
        let outcome = run(lab, &["-c2", "-p20", "203.0.114.1", "203.0.114.2"], "");
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", Some(4)), "{outcome:?}");
        let message = "fping: IPv4 sending failed: Network is unreachable (targets: 2, first 203.0.114.1)";
        assert_eq!(outcome.stderr, format!("\n{message}\n"));
        // One of several, by its own rule: lost.
        lab.ip(&["route", "add", "prohibit", "10.0.0.9"]);
        let outcome = run(lab, &["-c2", "-p20", "-q", "10.0.0.9", "10.0.0.1", "10.0.0.2"], "");
        assert_eq!(outcome.stderr.lines().next(), Some("10.0.0.9 : xmt/rcv/%loss = 2/0/100%"));
        assert_eq!((outcome.stderr.lines().count(), outcome.code), (3, Some(1)), "{outcome:?}");
    });
}

#[test]
fn many_targets_keep_the_interval_and_all_their_probes() {
    lab::play(|lab| {
        let hosts = lab::hosts(1, 200);
        let outcome = run(lab, &["-c3", "-q", "-i2", "-p100", "-t60000"], &lab::list(&hosts));
        let all = outcome.stderr.lines().filter(|line| line.contains("= 3/3/0%, ")).count();
        assert_eq!((all, outcome.code), (200, Some(0)), "{}", outcome.stderr);
        lab.assert_pace(500.0);
        // Equal targets are different ones here.
        let outcome = run(lab, &["-c1", "-q", "10.1.0.1", "10.1.0.1"], "");
        assert_eq!(outcome.stderr.lines().filter(|line| line.contains("= 1/1/0%, ")).count(), 2);
    });
}

#[test]
fn objects_are_printed_in_the_place_of_lines() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour { ttl: 9, ..Behaviour::default() });
        let args = ["-J", "-4", "-c1", "-D", "-s", "--print-ttl", "10.0.0.2", "::1"];
        let outcome = run(lab, &args, "");
        let lines = outcome.lines();
        let message = "Address family for hostname not supported";
        assert_eq!(lines[0], format!("{{\"warning\": {{\"host\": \"::1\", \"message\": \"{message}\"}}}}"));
        assert!(lines[1].starts_with("{\"resp\": {\"timestamp\": \""), "{outcome:?}");
        assert!(lines[1].contains("\"host\": \"10.0.0.2\", \"seq\": 0, \"size\": 64, \"rtt\": "), "{outcome:?}");
        assert!(lines[1].ends_with(", \"ttl\": 9}}"), "{outcome:?}");
        let summary = "{\"summary\": {\"host\": \"10.0.0.2\", \"xmt\": 1, \"rcv\": 1, \"loss\": 0, \"rttMin\": ";
        assert!(lines[2].starts_with(summary), "{outcome:?}");
        assert!(lines[3].starts_with("{\"stats\": {\"targets\": 1, \"alive\": 1, "), "{outcome:?}");
        assert_eq!((lines.len(), outcome.code), (4, Some(2)), "{outcome:?}");
        assert_eq!(outcome.stderr, format!("::1: {message}\n"));
        let outcome = run(lab, &["-c1", "-q", "-J", "-C1", "10.0.0.2"], "");
        assert!(outcome.stdout.starts_with("{\"vSum\": {\"host\": \"10.0.0.2\", \"values\": ["), "{outcome:?}");
        let outcome = run(lab, &["-c1", "--print-ttl", "10.0.0.2"], "");
        assert!(outcome.stdout.ends_with(" avg, 0% loss) (TTL 9)\n"), "{outcome:?}");
    });
}

#[test]
fn ordinary_users_may_send_large_probes_slowly() {
    caller::play(&[], |lab, place| {
        let hosts = lab::hosts(1, 30);
        let mut command = ordinary(place.install(Rights::Setuid));
        command.args(["--as=fping", "-c1", "-q", "-i0", "-p1", "-b64000", "-t60000"]).args(&hosts);
        let outcome = lab.start(&mut command).finish(lab::LIMIT);
        let all = outcome.stderr.lines().filter(|line| line.contains("= 1/1/0%, ")).count();
        assert_eq!((all, outcome.code), (30, Some(0)), "{outcome:?}");
        lab.assert_pace(12_500_000.0 / 64_028.0);
    });
}

#[test]
fn intervals_of_nothing_or_of_ages_have_no_report() {
    lab::play(|lab| {
        for interval in ["0", "99999999999999999999999"] {
            let outcome = run(lab, &["-Q", interval, "-c2", "-p50", "10.0.0.1"], "");
            assert_eq!((outcome.code, &*outcome.stdout), (Some(0), ""), "{outcome:?}");
            let line = "10.0.0.1 : xmt/rcv/%loss = 2/2/0%, ";
            assert!(outcome.stderr.trim_start().starts_with(line), "{outcome:?}");
            assert_eq!(outcome.stderr.matches("xmt").count(), 1, "{outcome:?}");
        }
    });
}
