//! `--count` and `--loop`: the records of figures, of packets and of intervals.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::lab::{self, Answer, Behaviour, IcmpError, LIMIT};
use crate::{of_type, records, values};

const RUN: [&str; 4] = ["--count=3", "--period=0.1", "--timeout=1", "--max-pps=1000"];

#[test]
fn each_line_has_its_figures() {
    lab::play(|lab| {
        lab.script("10.0.0.1", vec![Behaviour::default(), Behaviour::silent(), Behaviour::default()]);
        lab.host("10.0.0.2", Behaviour::silent());
        lab.host("10.0.0.3", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
        lab.ip(&["route", "add", "prohibit", "10.0.0.4/32"]);
        let args = [&RUN[..], &["--json", "--values", "--histogram", "--percentiles=50,99.9"]].concat();
        let list = "10.0.0.1 web01\n10.0.0.2\nrubbish\n10.0.0.3\n10.0.0.4\n10.0.0.1 again\n";
        let outcome = lab.run(&args, list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let records = records(&outcome);
        assert_eq!(
            values(&records[0], ["mode", "targets", "rejected", "count", "period_ns", "late_ns"]),
            [json!("count"), json!(5), json!(1), json!(3), json!(100_000_000), json!(1_000_000_000)]
        );
        let targets = of_type(&records, "target");
        let keys = ["line", "label", "state", "reason", "sent", "received", "lost", "send_errors", "icmp_errors"];
        let rows: Vec<_> = targets.iter().map(|record| json!(values(record, keys))).collect();
        assert_eq!(
            rows,
            [
                json!([1, "web01", "alive", null, 3, 2, 1, 0, 0]),
                json!([2, "", "unreachable", "timeout", 3, 0, 3, 0, 0]),
                json!([4, "", "unreachable", "icmp-error", 3, 0, 3, 0, 3]),
                json!([5, "", "unsent", "send-error", 0, 0, 0, 3, 0]),
                json!([6, "again", "alive", null, 3, 2, 1, 0, 0]),
            ]
        );
        assert_eq!(
            values(targets[2], ["icmp_name", "icmp_from", "rtt_p50_ns", "rtt_p99_9_ns", "histogram"]),
            [json!("host-unreachable"), json!("192.0.2.254"), json!(null), json!(null), json!([])]
        );
        assert_eq!(values(targets[3], ["loss_ratio", "errno_name"]), [json!(null), json!("EACCES")]);
        let alive = targets[0];
        let rtts = alive["rtts_ns"].as_array().unwrap();
        assert_eq!(rtts.iter().map(Value::is_null).collect::<Vec<_>>(), [false, true, false]);
        let rtts: Vec<_> = rtts.iter().filter_map(Value::as_u64).collect();
        let (least, greatest) = (rtts.iter().min().unwrap(), rtts.iter().max().unwrap());
        assert_eq!(
            values(alive, ["samples", "rtt_min_ns", "rtt_p50_ns", "rtt_p99_9_ns", "rtt_max_ns", "longest_loss_run"]),
            [json!(2), json!(least), json!(least), json!(greatest), json!(greatest), json!(1)]
        );
        let rows = alive["histogram"].as_array().unwrap();
        assert_eq!(rows.iter().map(|row| row[2].as_u64().unwrap()).sum::<u64>(), 2);
        let end = records.last().unwrap();
        assert_eq!(
            values(end, ["type", "complete", "exit", "alive", "unreachable", "unsent", "sent", "received", "lost"]),
            [json!("end"), json!(true), json!(0), json!(2), json!(2), json!(1), json!(9), json!(2), json!(7)]
        );
    });
}

#[test]
fn packets_have_records_as_they_come() {
    lab::play(|lab| {
        lab.script("10.0.0.1", vec![Behaviour { copies: 2, ..Behaviour::default() }, Behaviour::silent()]);
        let outcome = lab.run(&["--json=packets", "--count=2", "--period=0.1", "--timeout=0.3", "10.0.0.1"], "");
        let records = records(&outcome);
        let packets = records.iter().filter(|record| record.get("probe").is_some());
        let packets: Vec<_> = packets.map(|record| json!(values(record, ["type", "probe"]))).collect();
        assert_eq!(packets, [json!(["reply", 0]), json!(["duplicate", 0]), json!(["timeout", 1])], "{outcome:?}");
        assert_eq!(values(of_type(&records, "target")[0], ["rtt_max_ns"]), values(&records[1], ["rtt_ns"]));
        assert_eq!(records[0]["targets"], 1);
    });
}

#[test]
fn intervals_add_up_to_the_whole_and_sigint_ends_a_loop() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let args = ["--json", "--loop", "--period=0.1", "--timeout=0.2", "--report-every=0.5", "10.0.0.1", "10.0.0.2"];
        let mut running = lab.start(lab.command().args(args));
        running.wait_until(LIMIT, "some intervals", |running| {
            running.stdout_so_far().matches("\"type\":\"interval\"").count() >= 6
        });
        running.signal(Signal::SIGINT);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let records = records(&outcome);
        assert_eq!(values(&records[0], ["mode", "count"]), [json!("loop"), json!(null)]);
        for target in of_type(&records, "target") {
            let intervals: Vec<_> = of_type(&records, "interval")
                .into_iter()
                .filter(|record| record["target"] == target["target"])
                .collect();
            for key in ["sent", "received", "lost"] {
                let sum: u64 = intervals.iter().map(|record| record[key].as_u64().unwrap()).sum();
                let whole = target[key].as_u64().unwrap();
                // What came after the last interval is in the whole only.
                assert!(sum > 0 || whole == 0, "{key}: {outcome:?}");
                assert!(sum <= whole, "{key}: {sum} of {whole}: {outcome:?}");
            }
            for record in intervals {
                let answered = record["received"] != 0;
                assert_eq!(record["rtt_mean_ns"].is_null(), !answered, "{record}");
            }
        }
        assert!(Duration::from_nanos(records.last().unwrap()["duration_ns"].as_u64().unwrap()) < LIMIT);
    });
}

#[test]
fn the_last_record_has_what_is_said_before_the_run_too() {
    lab::play(|lab| {
        let too_short = ["--count=2", "--period=0.05", "--max-pps=20", "--timeout=0.5"];
        let too_slow = ["--deadline=1", "--max-pps=1", "--timeout=0.1", "--retries=0"];
        for (args, start, code) in [
            (too_short, "2 targets at 20 packets a second: one probe to each every 0.101 s, not every 0.05 s", 0),
            (too_slow, "--deadline: too short for 2 targets, which take 1.0 s to be probed once", 4),
        ] {
            let outcome = lab.run(&[&args[..], &["--json", "-n", "10.0.0.1", "10.0.0.2"]].concat(), "");
            assert_eq!(outcome.code, Some(code), "{outcome:?}");
            // At once, so before the warnings that come in the end, and not a second time there.
            let on_stderr: Vec<_> = outcome.stderr.lines().filter(|line| line.contains(start)).collect();
            assert_eq!(on_stderr, outcome.stderr.lines().take(1).collect::<Vec<_>>(), "{outcome:?}");
            let records = records(&outcome);
            let warnings: Vec<_> = records.last().unwrap()["warnings"].as_array().unwrap().iter().collect();
            let on_stdout: Vec<_> = warnings.iter().map(|text| text.as_str().unwrap()).collect();
            assert_eq!(on_stdout[0], on_stderr[0].strip_prefix("xymonping: ").unwrap());
            let ignored = "-n: ignored (fping options without an equivalent here)";
            assert_eq!(on_stdout.iter().filter(|text| **text == ignored).count(), 1, "{on_stdout:?}");
            assert_eq!(outcome.stderr.matches(ignored).count(), 1, "{outcome:?}");
        }
    });
}
