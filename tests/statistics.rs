//! Runs with statistics (`--count`, `--loop`): lines, figures, signals and exit codes, against what
//! the wire did.
//!
//! That each figure is right is tested on the library (multiping/tests/stats.rs); here, that the
//! right events are counted.

mod lab;

use std::process::Stdio;
use std::time::Duration;

use lab::{Answer, Behaviour, Finished, IcmpError, LIMIT, Lab, Lose, Running, ms};
use nix::sys::signal::Signal;

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// The words of a target's line in the table, without its label.
fn row<'a>(outcome: &'a Finished, address: &str) -> Vec<&'a str> {
    let is_row = |words: &[&str]| words.len() > 10 && words[0] == address;
    let rows = outcome.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows: Vec<_> = rows.filter(|words| is_row(words)).collect();
    assert_eq!(rows.len(), 1, "{address}: {outcome:?}");
    rows.into_iter().next().expect("it is there")
}

/// Sent, received, late and lost probes to a target, and its loss.
fn counts<'a>(outcome: &'a Finished, address: &str) -> (Vec<&'a str>, String) {
    let words = row(outcome, address);
    let loss: Vec<_> = words[5..7]
        .iter()
        .copied()
        .take_while(|word| *word == "%" || word.ends_with(|c: char| c.is_ascii_digit()))
        .collect();
    (words[1..5].to_vec(), loss.join(" "))
}

/// What is on stderr, without what a busy machine may add.
fn said(outcome: &Finished) -> String {
    let is_busy = |line: &&str| !line.starts_with("xymonping: probes sent more than half a period late: ");
    outcome.stderr.lines().filter(is_busy).map(|line| format!("{line}\n")).collect()
}

/// The line over all targets.
fn last_line(outcome: &Finished) -> &str {
    let is_over_all = |line: &&str| line.contains(" target: ") || line.contains(" targets: ");
    outcome.stdout.lines().rfind(is_over_all).unwrap_or_default()
}

/// The lines of replies and lost probes.
fn events(outcome: &Finished) -> Vec<&str> {
    let ends = |line: &&str| !line.starts_with("target ") && !line.is_empty();
    outcome.stdout.lines().take_while(ends).filter(|line| !line.starts_with("PING ")).collect()
}

#[test]
fn each_reply_has_a_line_and_each_target_its_figures() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::after(ms(30)));
        lab.script(SILENT, vec![Behaviour::default(), Behaviour::silent(), Behaviour::default()]);
        let args = ["--count=3", "--period=0.1", "--timeout=1", "--max-pps=1000"];
        let outcome = lab.run(&args, format!("{ALIVE} web01\n10.0.0.2\n{SILENT}  old printer # third floor\n"));
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(0), ""), "{outcome:?}");
        let events = events(&outcome);
        assert_eq!(events.len(), 8, "{outcome:?}");
        for seq in 0..3 {
            let line = format!("64 bytes from web01 ({ALIVE}): icmp_seq={seq} ttl=64 time=");
            assert_eq!(events.iter().filter(|event| event.starts_with(&line)).count(), 1, "{line}: {outcome:?}");
        }
        assert!(events.iter().any(|event| event.starts_with("64 bytes from 10.0.0.2: icmp_seq=0 ttl=64 time=3")));
        assert!(events.iter().all(|event| !event.contains("printer") || !event.contains("icmp_seq=1")));
        assert_eq!(counts(&outcome, "10.0.0.2"), (vec!["3", "3", "0", "0"], "0 %".to_owned()));
        let printer = outcome.stdout.lines().find(|line| line.contains("old printer  "));
        let printer: Vec<_> = printer.unwrap_or_default().split_whitespace().collect();
        assert_eq!(printer[..9], [SILENT, "old", "printer", "3", "2", "0", "1", "33.3", "%"], "{outcome:?}");
        let totals = "3 targets: 3 alive; 9 sent, 1 lost (11.1 %); RTT over all n=8 min/mean/p50/p90/p99/max/stddev ";
        assert!(last_line(&outcome).starts_with(totals), "{outcome:?}");
        assert_eq!(lab.seen().len(), 9);
        assert_eq!(lab.counts().overflowed, 0);
    });
}

#[test]
fn late_duplicate_foreign_and_damaged_replies_are_told_apart() {
    lab::play(|lab| {
        lab.script("10.0.0.1", vec![Behaviour::after(ms(800)), Behaviour::default()]);
        lab.host("10.0.0.2", Behaviour { copies: 3, ..Behaviour::default() });
        lab.host("10.0.0.3", Behaviour { from: Some("10.0.0.4".parse().expect("an address")), ..Behaviour::default() });
        lab.host("10.0.0.5", Behaviour::answering(Answer::FlippedByte(23)));
        lab.host("10.0.0.6", Behaviour::answering(Answer::TruncatedTo(16)));
        // The run goes on long enough for the late reply.
        lab.host(SILENT, Behaviour::silent());
        let args = ["--count=2", "--period=0.05", "--timeout=0.5", "--late=2", "--show-lost", "--max-pps=1000"];
        let list = "10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.5\n10.0.0.6\n";
        let held = ["--count=24", "--period=0.05", "--timeout=0.5", "--late=2", "--show-lost", "--max-pps=1000"];
        let outcome = lab.run(&args, list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let has = |start: &str, end: &str| {
            let lines = events(&outcome).into_iter().filter(|line| line.starts_with(start) && line.ends_with(end));
            lines.count()
        };
        assert_eq!(has("64 bytes from 10.0.0.2: icmp_seq=0 ttl=64 time=", " ms (DUP!)"), 2, "{outcome:?}");
        assert_eq!(has("64 bytes from 10.0.0.4: icmp_seq=1 ttl=64 time=", " ms (for 10.0.0.3)"), 1, "{outcome:?}");
        let damaged = "64 bytes from 10.0.0.5: icmp_seq=0 ttl=64 (DAMAGED: byte 23 is 0xe8, was sent as 0x17)";
        assert_eq!(has(damaged, ")"), 1, "{outcome:?}");
        assert_eq!(has("no answer from 10.0.0.5: icmp_seq=1", "1"), 1, "{outcome:?}");
        assert_eq!(has("24 bytes from 10.0.0.6: icmp_seq=0", " ms"), 1, "{outcome:?}");
        assert_eq!(counts(&outcome, "10.0.0.5"), (vec!["2", "0", "0", "2"], "100 %".to_owned()));
        assert_eq!(row(&outcome, "10.0.0.2")[7], "4", "{outcome:?}");
        // A reply that comes after its timeout is late, as long as the run goes on.
        lab.forget();
        let outcome = lab.run(&held, "10.0.0.1\n");
        assert_eq!(counts(&outcome, "10.0.0.1"), (vec!["24", "23", "1", "0"], "0 %".to_owned()), "{outcome:?}");
        assert!(events(&outcome).contains(&"no answer from 10.0.0.1: icmp_seq=0"), "{outcome:?}");
        let late =
            |line: &&str| line.starts_with("64 bytes from 10.0.0.1: icmp_seq=0 ") && line.ends_with(" ms (LATE)");
        assert_eq!(events(&outcome).into_iter().filter(late).count(), 1, "{outcome:?}");
    });
}

#[test]
fn icmp_errors_have_lines_and_end_a_target_if_asked_to() {
    lab::play(|lab| {
        lab.host("10.0.0.3", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
        let args = ["--count=3", "--period=0.3", "--timeout=0.5", "--max-pps=1000"];
        let with = |more: &[&'static str]| [&args[..], more].concat();
        let line =
            |seq| format!("From 192.0.2.254: icmp_seq={seq} for printer (10.0.0.3): Destination Host Unreachable");
        let reported = lab.run(&with(&[]), "10.0.0.3 printer\n10.0.0.1\n");
        let lines = events(&reported).into_iter().filter(|line| line.starts_with("From "));
        assert_eq!(lines.collect::<Vec<_>>(), [line(0), line(1), line(2)], "{reported:?}");
        let failed = lab.run(&with(&["--icmp-errors=fail"]), "10.0.0.3 printer\n10.0.0.1\n");
        assert!(events(&failed).contains(&line(0).as_str()), "{failed:?}");
        assert_eq!(row(&failed, "10.0.0.1")[1..3], ["3", "3"], "{failed:?}");
        // The error may come only after the next probe has left on a busy machine, but not two.
        assert!(lab.seen_of("10.0.0.3").len() < 6, "{failed:?}");
        let ignored = lab.run(&with(&["--icmp-errors=ignore"]), "10.0.0.3 printer\n10.0.0.1\n");
        assert!(!ignored.stdout.contains("From "), "{ignored:?}");
        // With the reason behind the figures, without the lines too.
        let quiet = lab.run(&with(&["--quiet"]), "10.0.0.3 printer\n10.0.0.1\n");
        assert!(row(&quiet, "10.0.0.3").ends_with(&["host-unreachable", "from", "192.0.2.254"]), "{quiet:?}");
        assert!(row(&quiet, "10.0.0.1").ends_with(&["ms", "-"]), "{quiet:?}");
    });
}

#[test]
fn packed_lines_have_address_number_and_milliseconds() {
    lab::play(|lab| {
        lab.script(ALIVE, vec![Behaviour { copies: 2, ..Behaviour::default() }, Behaviour::silent()]);
        let outcome = lab.run(&["--count=2", "--period=0.05", "--timeout=0.1", "--packed", "--unit=s", ALIVE], "");
        let lines: Vec<Vec<_>> = events(&outcome).iter().map(|line| line.split(' ').collect()).collect();
        assert_eq!(lines.len(), 3, "{outcome:?}");
        let is_ms = |text: &str| text.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 3);
        assert!(lines[0][..2] == [ALIVE, "0"] && is_ms(lines[0][2]), "{outcome:?}");
        assert!(lines[1][..2] == [ALIVE, "0"] && is_ms(lines[1][2].trim_end_matches('D')), "{outcome:?}");
        assert!(lines[1][2].ends_with('D'));
        assert_eq!(lines[2], [ALIVE, "1", "-"]);
        let args = ["--count=2", "--period=0.05", "--timeout=0.1", "--packed", "--quiet", "--show-lost", ALIVE];
        lab.forget();
        let outcome = lab.run(&args, "");
        assert_eq!(events(&outcome), [format!("{ALIVE} 1 -")], "{outcome:?}");
    });
}

#[test]
fn every_line_of_the_list_has_its_figures_in_order_and_equal_addresses_are_probed_once() {
    lab::play(|lab| {
        let list = "10.0.0.2 b\n10.0.0.1 a\n10.0.0.2 c\nrubbish\n";
        let outcome = lab.run(&["--count=2", "--period=0.05", "--quiet", "--max-pps=1000"], list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let labels: Vec<_> = outcome.lines()[1..4].iter().filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(labels, ["b", "a", "c"], "{outcome:?}");
        assert_eq!((lab.seen().len(), outcome.lines().len()), (4, 5), "{outcome:?}");
        assert!(outcome.stderr.contains("line 4: \"rubbish\""), "{outcome:?}");
        let worst = lab.run(&["--count=1", "--quiet", "--worst=1", "--timeout=0.1", SILENT, ALIVE], "");
        assert_eq!(worst.lines().len(), 3, "{worst:?}");
        assert_eq!(lab.run(&["--count=1"], "").code, Some(0), "an empty list is no error");
    });
}

#[test]
fn probes_are_spread_over_the_period_which_the_rate_may_lengthen() {
    lab::play(|lab| {
        let targets: Vec<_> = (1..=20).map(|n| format!("10.1.0.{n}")).collect();
        let outcome = lab.run(&["--count=2", "--period=0.1", "--max-pps=50", "-q"], lab::list(&targets));
        let warning = "xymonping: 20 targets at 50 packets a second: one probe to each every 0.404 s, not every 0.1 s \
                       (raise --max-pps)\n";
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(0), warning), "{outcome:?}");
        lab.assert_pace(50.0);
        let order: Vec<_> = lab.seen().iter().map(|seen| seen.dst.to_string()).collect();
        assert_eq!(order, [targets.as_slice(), targets.as_slice()].concat());
    });
}

/// Starts a loop, and waits for its second reply.
fn looping(lab: &Lab, args: &[&str]) -> Running {
    lab.forget();
    let all = [&["--loop", "--period=0.02", "--timeout=0.5", "--max-pps=1000"], args].concat();
    let mut running = lab.start(lab.command().args(all));
    running.wait_until(LIMIT, "has not shown a reply", |running| running.stdout_so_far().contains("icmp_seq=1"));
    running
}

#[test]
fn sigint_is_the_planned_end_of_a_loop_and_sigterm_cuts_it_short() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for (signal, code, message) in [
            (Signal::SIGINT, 0, ""),
            (Signal::SIGTERM, 4, "xymonping: stopped by SIGTERM: 2 of 2 targets unfinished (the figures end there)\n"),
        ] {
            let mut running = looping(lab, &[ALIVE, SILENT]);
            running.signal(signal);
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, said(&outcome).as_str()), (Some(code), message), "{signal}: {outcome:?}");
            // What was in flight had its time: nothing is missing.
            let sent = |address: &str| lab.seen_of(address).len().to_string();
            assert_eq!(counts(&outcome, ALIVE).0[..2], [sent(ALIVE), sent(ALIVE)], "{outcome:?}");
            assert_eq!(counts(&outcome, SILENT).0[0], sent(SILENT), "{outcome:?}");
        }
        // A second signal ends at once: the probes in flight are in no figure.
        let args = ["--timeout=30", ALIVE, SILENT];
        let mut running = looping(lab, &args);
        running.signal(Signal::SIGINT);
        std::thread::sleep(ms(50));
        running.signal(Signal::SIGINT);
        let outcome = running.finish(ms(20_000));
        assert_eq!((outcome.code, counts(&outcome, SILENT).0[0]), (Some(0), "0"), "{outcome:?}");
    });
}

#[test]
fn a_status_signal_prints_the_figures_so_far() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for signal in [Signal::SIGUSR1, Signal::SIGQUIT] {
            let mut running = looping(lab, &[ALIVE, SILENT]);
            running.signal(signal);
            running.wait_until(LIMIT, "has not printed its state", |running| running.stderr_so_far().ends_with('\n'));
            running.signal(Signal::SIGINT);
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            assert!(outcome.stderr.starts_with("xymonping: 1/2 answering, "), "{outcome:?}");
            assert!(outcome.stderr.contains(" lost, RTT "), "{outcome:?}");
        }
    });
}

#[test]
fn a_deadline_is_the_planned_end_of_a_loop_and_cuts_a_count_short() {
    lab::play(|lab| {
        let outcome = lab.run(&["--loop", "--period=0.02", "--deadline=0.5", "--max-pps=1000", ALIVE], "");
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(0), ""), "{outcome:?}");
        let outcome = lab.run(&["--count=100000", "--period=0.02", "--deadline=0.5", "--max-pps=1000", ALIVE], "");
        let message = "xymonping: stopped by --deadline: 1 of 1 target unfinished (the figures end there)\n";
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(4), message), "{outcome:?}");
        assert!(last_line(&outcome).starts_with("1 target: 1 alive; "), "{outcome:?}");
    });
}

#[test]
fn enough_answers_end_a_target_and_enough_targets_the_run() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour { lose: Lose::First(2), ..Behaviour::default() });
        let args = ["--loop", "--period=0.05", "--timeout=0.1", "--stop-after=2", "--max-pps=1000", ALIVE, SILENT];
        let outcome = lab.run(&args, "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(counts(&outcome, ALIVE).0[1], "2", "{outcome:?}");
        assert_eq!(counts(&outcome, SILENT).0[1..], ["2", "0", "2"], "{outcome:?}");
        lab.forget();
        lab.host(SILENT, Behaviour::silent());
        let outcome = lab.run(&["--loop", "--reachable=1", ALIVE, SILENT], "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(last_line(&outcome).starts_with("2 targets: 1 alive, 1 unsettled; "), "{outcome:?}");
    });
}

#[test]
fn what_cannot_be_sent_is_never_lost_and_is_a_failure_only_if_it_is_ours() {
    lab::play(|lab| {
        // 11.0.0.0/8 has no route: particular to one of four targets.
        let args = ["--count=2", "--period=0.05", "--show-lost", "--max-pps=1000"];
        let list = "10.0.0.1\n10.0.0.2\n10.0.0.3\n11.0.0.1\n";
        let outcome = lab.run(&args, list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(events(&outcome).contains(&"not sent to 11.0.0.1: icmp_seq=1: Network is unreachable"), "{outcome:?}");
        assert_eq!(counts(&outcome, "11.0.0.1"), (vec!["0", "0", "0", "0"], String::new()), "{outcome:?}");
        assert!(outcome.stdout.contains(" 2 not sent: Network is unreachable"), "{outcome:?}");
        assert!(last_line(&outcome).starts_with("4 targets: 3 alive, 1 unsent (ENETUNREACH); 6 sent, 0 lost (0 %)"));
        assert!(said(&outcome).starts_with("xymonping: could not send to 11.0.0.1: "), "{outcome:?}");
        let outcome = lab.run(&args, "10.0.0.1\n11.0.0.1\n11.0.0.2\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let message =
            "xymonping: IPv4 sending failed: Network is unreachable (no probe left to 2 targets, first 11.0.0.1; ";
        assert!(outcome.stderr.starts_with(message), "{outcome:?}");
        assert_eq!(counts(&outcome, ALIVE).0, ["2", "2", "0", "0"], "{outcome:?}");
        let outcome = lab.run(&args, "11.0.0.1\n");
        assert!(outcome.stderr.starts_with("xymonping: no probe could leave this machine: "), "{outcome:?}");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
    });
}

#[test]
fn a_route_that_is_lost_in_mid_run_makes_no_silent_host_unreachable() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--count=20", "--period=0.1", "--timeout=0.1"]));
        running.feed("10.2.0.1\n10.2.0.2\n");
        running.close_stdin();
        running.wait_until(LIMIT, "both probed", |_| lab.seen().len() >= 4);
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.stderr.starts_with("xymonping: IPv4 sending failed: "), "{outcome:?}");
        assert!(last_line(&outcome).starts_with("2 targets: 0 alive, 2 undecided; "), "{outcome:?}");
    });
}

#[test]
fn the_exit_status_can_tell_what_the_targets_did() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let code = |status: &str, targets: &[&str]| {
            lab.run(&[&["--count=1", "--timeout=0.2", "-q", status], targets].concat(), "").code
        };
        for (status, alive, both, silent) in
            [("--quiet", 0, 0, 0), ("--exit-status", 0, 1, 1), ("--exit-status=ping", 0, 0, 2)]
        {
            let codes = [code(status, &[ALIVE]), code(status, &[ALIVE, SILENT]), code(status, &[SILENT])];
            assert_eq!(codes, [alive, both, silent].map(Some), "{status}");
        }
        // In batch mode as well.
        let batch = |targets: &[&str]| {
            lab.run(&[&["--timeout=0.2", "--retries=0", "--exit-status=ping"], targets].concat(), "").code
        };
        assert_eq!([batch(&[ALIVE, SILENT]), batch(&[SILENT])], [Some(0), Some(2)]);
    });
}

#[test]
fn values_percentiles_and_units_are_as_asked_for() {
    lab::play(|lab| {
        lab.script(ALIVE, vec![Behaviour::after(ms(20)), Behaviour::silent(), Behaviour::after(ms(40))]);
        let args = ["-C3", "-p100", "--timeout=0.2", "--percentiles=0,50,99.9", "--percentiles-of=sent", "-q", ALIVE];
        let outcome = lab.run(&args, "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.lines()[0].contains(" p0 ") && outcome.lines()[0].contains(" p99.9 "), "{outcome:?}");
        assert_eq!(row(&outcome, ALIVE)[12], "lost", "{outcome:?}");
        let values: Vec<_> = outcome.lines()[2].split(' ').collect();
        assert_eq!(
            (values[..3].join(" "), values[4], values[6]),
            (format!("RTTs of {ALIVE}:"), "-", "ms"),
            "{outcome:?}"
        );
        let rtt = |text: &str| Duration::from_secs_f64(text.parse::<f64>().expect("a number") / 1000.0);
        assert!(rtt(values[3]) >= ms(20) && rtt(values[5]) >= ms(40), "{outcome:?}");
        let outcome = lab.run(&["--count=1", "--unit=auto", "--exact", "--timestamps", ALIVE], "");
        let line = events(&outcome)[0];
        let (stamp, rest) = line.split_once(' ').expect("a time");
        assert!(stamp.len() == 27 && stamp.ends_with('Z') && rest.starts_with("64 bytes from "), "{outcome:?}");
        assert!(rest.ends_with(" ms") || rest.ends_with(" us"), "{outcome:?}");
    });
}

#[test]
fn a_report_at_intervals_has_the_figures_since_the_start() {
    lab::play(|lab| {
        let mut running = looping(lab, &["--report-every=0.1", ALIVE]);
        let tables = |running: &Running| running.stdout_so_far().matches("target ").count();
        running.wait_until(LIMIT, "has not printed three tables", |running| tables(running) >= 3);
        running.signal(Signal::SIGINT);
        let outcome = running.finish(LIMIT);
        let sent: Vec<usize> = outcome
            .stdout
            .lines()
            .filter(|line| line.starts_with(ALIVE))
            .filter_map(|line| line.split_whitespace().nth(1)?.parse().ok())
            .collect();
        assert!(sent.len() >= 4 && sent.is_sorted() && sent[0] > 0, "{sent:?}");
    });
}

#[test]
fn a_reader_that_goes_ends_the_run() {
    lab::play(|lab| {
        let (reader, writer) = lab::pipe();
        let mut command = lab.command();
        command.args(["--loop", "--period=0.02", ALIVE]).stdin(Stdio::null());
        let running = lab.start_as_is(command.stdout(writer).stderr(Stdio::piped()));
        drop((command, reader));
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.stderr.starts_with("xymonping: writing results: Broken pipe"), "{outcome:?}");
    });
}

#[test]
fn the_bell_sounds_when_a_probe_is_missed() {
    lab::play(|lab| {
        lab.script(ALIVE, vec![Behaviour::default(), Behaviour::silent(), Behaviour::default()]);
        let bells = |when: &str| {
            lab.forget();
            let outcome = lab.run(&["--count=4", "--period=0.1", "--timeout=0.2", when, ALIVE], "");
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            outcome.stdout.matches('\x07').count()
        };
        assert_eq!([bells("--bell=missed"), bells("--bell=received")], [1, 3]);
    });
}

#[test]
fn a_histogram_has_every_rtt_of_a_few_targets_or_of_all() {
    lab::play(|lab| {
        let counts = |outcome: &Finished| -> Vec<u64> {
            let rows = outcome.stdout.lines().filter_map(|line| line.split_once(" |"));
            rows.filter_map(|(_, rest)| rest.trim_start_matches(['#', ' ']).split(' ').next()?.parse().ok()).collect()
        };
        let args = ["--count=3", "--period=0.02", "--histogram", "-q", "--max-pps=1000"];
        let few = lab.run(&args, "10.0.0.1\n10.0.0.2 two\n");
        assert!(few.stdout.contains("RTTs of two (10.0.0.2), n=3, 0 lost (0 %)\n"), "{few:?}");
        assert_eq!(counts(&few).iter().sum::<u64>(), 6, "{few:?}");
        let many = lab.run(&args, lab::list(&lab::hosts(1, 6)));
        assert!(many.stdout.contains("RTTs over all, n=18\n"), "{many:?}");
        assert_eq!(counts(&many).iter().sum::<u64>(), 18, "{many:?}");
    });
}

#[test]
fn memory_that_is_not_there_is_refused_before_the_first_probe() {
    lab::play(|lab| {
        let targets = lab::list(&lab::hosts(1, 10_000));
        let outcome = lab.run(&["--count=1000000000", "--exact", "-q", "--max-pps=unlimited"], targets);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(said(&outcome).starts_with("xymonping: statistics: 40"), "{outcome:?}");
        assert!(said(&outcome).contains(" MB of memory needed, "), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn the_output_of_one_target_is_read_by_programs_that_read_pings() {
    lab::play(|lab| {
        let script = [
            Behaviour { copies: 2, ..Behaviour::default() },
            Behaviour::silent(),
            Behaviour::after(ms(20)),
            Behaviour::default(),
        ];
        for (list, header) in [
            ("10.0.0.1 web01\n", "PING web01 (10.0.0.1) 56(84) bytes of data."),
            ("10.0.0.1\n", "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data."),
            ("fd00::1\n", "PING fd00::1(fd00::1) 56 data bytes"),
        ] {
            if list.contains(':') && !lab.has_ipv6() {
                continue;
            }
            lab.forget();
            let address = list.split_whitespace().next().unwrap_or_default();
            lab.script(address, script.to_vec());
            let outcome = lab.run(&["--count=4", "--period=0.1", "--timeout=0.5"], list);
            assert_eq!((outcome.code, outcome.lines()[0]), (Some(0), header), "{outcome:?}");
            let packets = "\n4 packets transmitted, 3 received, +1 duplicates, 25% packet loss, time ";
            assert!(outcome.stdout.contains(packets), "{outcome:?}");
            assert!(outcome.stdout.contains(" ping statistics ---\n4 packets"), "{outcome:?}");
            assert!(outcome.stdout.contains("\nrtt min/avg/max/mdev = "), "{outcome:?}");
            read_by_others(&outcome.stdout);
        }
        let silent = lab.run(&["--count=1", "--timeout=0.1", SILENT], "");
        lab.host(SILENT, Behaviour::silent());
        let silent_too = lab.run(&["--count=1", "--timeout=0.1", SILENT], "");
        assert!(silent.stdout.contains("1 packets transmitted, 1 received, 0% packet loss, time "), "{silent:?}");
        let lost = "1 packets transmitted, 0 received, 100% packet loss, time ";
        assert!(silent_too.lines().iter().rev().nth(1).is_some_and(|line| line.starts_with(lost)), "{silent_too:?}");
        let two = lab.run(&["--count=1", "10.0.0.2", "10.0.0.3"], "");
        assert!(!two.stdout.contains("PING"), "{two:?}");
    });
}

/// Has jc and pingparsing (of PyPI) read the output of four probes to one target, of which one was
/// lost and one answered twice. `PYTHON` names an interpreter that has them.
fn read_by_others(output: &str) {
    const READ: &str = r#"
import sys, jc, pingparsing
text = sys.stdin.read()
ping = jc.parse("ping", text)
assert (ping["packets_transmitted"], ping["packets_received"], ping["packet_loss_percent"], ping["duplicates"]) == (4, 3, 25.0, 1), ping
assert [reply["icmp_seq"] for reply in ping["responses"]] == [0, 0, 2, 3], ping
assert [reply["duplicate"] for reply in ping["responses"]] == [False, True, False, False], ping
assert all(reply["ttl"] == 64 and reply["time_ms"] >= 0 for reply in ping["responses"]), ping
assert ping["round_trip_ms_max"] >= 20, ping
stats = pingparsing.PingParsing().parse(text)
assert (stats.packet_transmit, stats.packet_receive, stats.packet_loss_count, stats.packet_duplicate_count) == (4, 3, 1, 1), stats.as_dict()
assert stats.rtt_max >= 20 and [reply["icmp_seq"] for reply in stats.icmp_replies] == [0, 0, 2, 3], stats.as_dict()
"#;
    const NAME: &str = "the_output_of_one_target_is_read_by_programs_that_read_pings";
    let Some(mut python) = lab::python("jc, pingparsing") else {
        let reason = "no Python with jc and pingparsing (see XYMONPING_PYTHON), in a part of it";
        return lab::report_skipped(NAME, reason);
    };
    python.args(["-c", READ]);
    assert!(lab::piped(python, output).is_some());
}

#[test]
fn late_replies_to_the_last_probes_are_waited_for_if_asked_for() {
    lab::play(|lab| {
        lab.host(ALIVE, Behaviour::after(ms(300)));
        let args = ["--count=1", "--timeout=0.1", "-q", ALIVE];
        for (late, expected) in [("--late=60", ["1", "0", "1", "0"]), ("--late=0", ["1", "0", "0", "1"])] {
            let outcome = lab.run(&[&[late], &args[..]].concat(), "");
            assert_eq!((outcome.code, counts(&outcome, ALIVE).0), (Some(0), expected.to_vec()), "{late}: {outcome:?}");
        }
    });
}

#[test]
fn a_single_round_takes_the_time_that_the_rate_needs() {
    lab::play(|lab| {
        let outcome = lab.run(&["--count=1", "-q", "--max-pps=50"], lab::list(&lab::hosts(1, 60)));
        assert!(last_line(&outcome).starts_with("60 targets: 60 alive; 60 sent, 0 lost (0 %); "), "{outcome:?}");
        assert!(!outcome.stderr.contains("--max-pps") && !outcome.stderr.contains("targets at"), "{outcome:?}");
        assert!(outcome.stderr.is_empty() || outcome.stderr.contains(", left out: 0 ("), "{outcome:?}");
        lab.assert_pace(50.0);
    });
}

#[test]
fn a_deadline_after_sigint_only_shortens_the_wait() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--count=50", "--period=0.1", "--timeout=30", "--deadline=1.5", "--values", ALIVE, SILENT];
        let mut running = lab.start(lab.command().args(args));
        running.close_stdin();
        running.wait_until(LIMIT, "no reply", |running| running.stdout_so_far().contains("icmp_seq=0"));
        running.signal(Signal::SIGINT);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(0), ""), "{outcome:?}");
        // One RTT for each probe that was sent, and none for those that were not.
        let values = outcome.lines().into_iter().find(|line| line.starts_with("RTTs of 10.0.0.1:"));
        let sent: usize = counts(&outcome, ALIVE).0[0].parse().expect("a number");
        assert_eq!(values.map(|line| line.split(' ').count()), Some("RTTs of 10.0.0.1: ms".split(' ').count() + sent));
    });
}

#[test]
fn a_signal_counts_the_targets_that_were_not_finished_when_it_came() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let args = ["--loop", "--period=0.05", "--stop-after=1", "-q", "--max-pps=1000", ALIVE, SILENT];
        let mut running = lab.start(lab.command().args(args));
        running.close_stdin();
        running.wait_until(LIMIT, "not probed again", |_| lab.seen_of(SILENT).len() > lab.seen_of(ALIVE).len() + 3);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        let message = "xymonping: stopped by SIGTERM: 1 of 2 targets unfinished (the figures end there)\n";
        assert_eq!((outcome.code, said(&outcome).as_str()), (Some(4), message), "{outcome:?}");
    });
}

#[test]
fn what_ends_a_target_ends_the_run_at_once() {
    lab::play(|lab| {
        lab.host("10.0.0.3", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
        // Not with the next turn of the target, which is a day later.
        for end in [&["--stop-after=1", ALIVE][..], &["--icmp-errors=fail", "10.0.0.3"]] {
            let outcome = lab.run(&[&["--loop", "--period=86400"], end].concat(), "");
            assert_eq!((outcome.code, last_line(&outcome).contains("; 1 sent, ")), (Some(0), true), "{outcome:?}");
        }
    });
}

#[test]
fn a_signal_ends_the_wait_for_late_replies() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for (signal, code) in [(Signal::SIGINT, 0), (Signal::SIGTERM, 4)] {
            let args = ["--count=1", "--timeout=0.05", "--late=200", "--show-lost", SILENT];
            let mut running = lab.start(lab.command().args(args));
            running.close_stdin();
            running.wait_until(LIMIT, "not lost", |running| running.stdout_so_far().contains("no answer"));
            running.signal(signal);
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, counts(&outcome, SILENT).0[3]), (Some(code), "1"), "{outcome:?}");
        }
    });
}
