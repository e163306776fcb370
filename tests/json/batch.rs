//! Batch mode: the records of its lines, and their states.

use serde_json::{Value, json};

use crate::lab::{self, Answer, Behaviour, IcmpError, LIMIT, Lose, ms};
use crate::schema::Schema;
use crate::{of_type, records, values};

/// Short timeouts, but not so short that a busy machine loses a live host.
const BRIEF: [&str; 4] = ["--json", "--timeout=1", "--retries=1", "--max-pps=500"];

fn state(record: &Value) -> (&str, Option<&str>) {
    (record["state"].as_str().unwrap(), record["reason"].as_str())
}

#[test]
fn each_line_has_its_record_with_state_and_reason() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::default());
        lab.host("10.0.0.2", Behaviour::silent());
        lab.host("10.0.0.3", Behaviour::answering(Answer::Error(IcmpError::HostUnreachable)));
        lab.host("10.0.0.4", Behaviour::after(ms(1200)));
        lab.host("10.0.0.5", Behaviour { copies: 3, from: Some("10.9.9.9".parse().unwrap()), ..Behaviour::default() });
        lab.host("10.0.0.6", Behaviour::answering(Answer::FlippedByte(30)));
        lab.host("10.0.0.7", Behaviour { lose: Lose::First(1), ttl: 61, ..Behaviour::default() });
        lab.ip(&["route", "add", "prohibit", "10.0.0.8/32"]);
        let list = "\
            10.0.0.1  web01\n\
            10.0.0.2\told printer  # third floor\n\
            # comment\n\
            10.0.0.3 B\u{fc}ro \"3\"\n\
            10.0.0 no address\n\
            10.0.0.4\n10.0.0.5\n10.0.0.6\n10.0.0.7\n10.0.0.8\n\
            10.0.0.1 again\n";
        let outcome = lab.run(&BRIEF, list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let records = records(&outcome);
        let types: Vec<_> = records.iter().map(|record| record["type"].as_str().unwrap()).collect();
        assert_eq!(types, [&["start", "rejected"][..], &["target"; 9], &["end"]].concat());
        assert_eq!(
            values(&records[0], ["mode", "targets", "rejected", "timeout_ns", "max_pps", "size", "count", "run"]),
            [
                json!("batch"),
                json!(9),
                json!(1),
                json!(1_000_000_000),
                json!(500.0),
                json!(56),
                json!(null),
                json!(null)
            ]
        );
        assert_eq!(
            values(&records[1], ["line", "text", "why"]),
            [json!(5), json!("10.0.0 no address"), json!("not an IP address")]
        );
        let targets = of_type(&records, "target");
        let what: Vec<_> = targets.iter().map(|record| (state(record), record["line"].as_u64().unwrap())).collect();
        assert_eq!(
            what,
            [
                (("alive", None), 1),
                (("unreachable", Some("timeout")), 2),
                (("unreachable", Some("icmp-error")), 4),
                (("unreachable", Some("late")), 6),
                (("alive", None), 7),
                (("unreachable", Some("timeout")), 8),
                (("alive", None), 9),
                (("unsent", Some("send-error")), 10),
                (("alive", None), 11),
            ]
        );
        let labels: Vec<_> = targets.iter().map(|record| record["label"].as_str().unwrap()).collect();
        assert_eq!(labels[..3], ["web01", "old printer", "B\u{fc}ro \"3\""]);
        assert_eq!(labels[8], "again");
        const COUNTS: [&str; 4] = ["sent", "received", "late", "lost"];
        let counts = |place: usize| values(targets[place], COUNTS).map(|count| count.as_u64().unwrap());
        assert_eq!(counts(0), [1, 1, 0, 0]);
        assert_eq!(counts(1), [2, 0, 0, 2]);
        assert_eq!(counts(2), [2, 0, 0, 2]);
        // The reply to the second attempt may come after the end.
        assert!(matches!(counts(3), [2, 0, 1, 1] | [2, 0, 2, 0]), "{:?}", targets[3]);
        assert_eq!(counts(6), [2, 1, 0, 1]);
        assert_eq!(counts(7), [0; 4]);
        assert_eq!(
            values(targets[2], ["icmp_errors", "icmp_type", "icmp_code", "icmp_name", "icmp_from"]),
            [json!(2), json!(3), json!(1), json!("host-unreachable"), json!("192.0.2.254")]
        );
        // Copies that come after the end are not seen.
        let copies = |key: &str| targets[4][key].as_u64().unwrap();
        assert_eq!((copies("received"), copies("elsewhere")), (1, 1 + copies("duplicates")));
        assert_eq!(targets[5]["damaged"], 2);
        assert_eq!(values(targets[6], ["ttl", "ttl_changes", "loss_ratio"]), [json!(61), json!(0), json!(0.5)]);
        assert_eq!(
            values(targets[7], ["errno", "errno_name", "loss_ratio"]),
            [json!(13), json!("EACCES"), json!(null)]
        );
        let rtt = |key: &str| targets[0][key].as_u64().unwrap();
        assert!(
            0 < rtt("rtt_min_ns") && rtt("rtt_min_ns") == rtt("rtt_mean_ns") && rtt("rtt_mean_ns") == rtt("rtt_max_ns")
        );
        let end = records.last().unwrap();
        assert_eq!(
            values(end, ["complete", "cut_short", "exit", "alive", "unreachable", "unsent", "rejected", "icmp_errors"]),
            [json!(true), json!(null), json!(0), json!(4), json!(4), json!(1), json!(1), json!(2)]
        );
        // A target counts once, on however many lines it is.
        assert_eq!(end["received"], 3);
        let warning = "could not send to 10.0.0.8: Permission denied";
        assert!(end["warnings"].as_array().unwrap().iter().any(|text| text.as_str().unwrap().starts_with(warning)));
    });
}

#[test]
fn records_have_the_keys_of_the_schema_in_its_order() {
    lab::play(|lab| {
        let outcome = lab.run(&["-J", "--run-name=core", "10.0.0.1"], "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let schema = Schema::load();
        for (line, record) in outcome.stdout.lines().zip(records(&outcome)) {
            let record_type = record["type"].as_str().unwrap();
            let place = |key: &&str| line.find(&format!("\"{key}\":")).unwrap();
            let required = schema.required(record_type);
            assert!(required.iter().map(place).is_sorted(), "{required:?}: {line}");
            if record_type != "target" {
                assert_eq!(record["run"], "core");
            }
        }
        let errors = "IPv6 targets";
        if !lab.has_ipv6() {
            return lab::skip("records_have_the_keys_of_the_schema_in_its_order", errors);
        }
        lab.host("fd00::1", Behaviour::answering(Answer::Error(IcmpError::AdminProhibited)));
        let records = records(&lab.run(&BRIEF, "fd00::1\nfe80::1%lab0\n"));
        let [silent, local] = of_type(&records, "target")[..] else { panic!("{records:?}") };
        assert_eq!(
            values(silent, ["target", "family", "icmp_type", "icmp_name", "icmp_from"]),
            [json!("fd00::1"), json!("ipv6"), json!(1), json!("admin-prohibited"), json!("2001:db8::fe")]
        );
        assert_eq!(values(local, ["target", "state"]), [json!("fe80::1%lab0"), json!("alive")]);
    });
}

#[test]
fn a_run_that_is_cut_short_says_so_in_its_last_record() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--json", "--timeout=60", "10.0.0.1", "10.0.0.2"]));
        running.wait_until(LIMIT, "both probes", |_| lab.seen().len() == 2 && lab.counts().answers == 1);
        // The first record is there from the start.
        assert!(running.stdout_so_far().starts_with("{\"type\":\"start\","), "{}", running.stdout_so_far());
        running.signal(nix::sys::signal::Signal::SIGTERM);
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let records = records(&outcome);
        let states: Vec<_> = of_type(&records, "target").into_iter().map(state).collect();
        assert_eq!(states, [("alive", None), ("unsettled", Some("cut-short"))]);
        let end = records.last().unwrap();
        assert_eq!(
            values(end, ["complete", "cut_short", "exit", "unsettled", "sent"]),
            [json!(false), json!("SIGTERM"), json!(4), json!(1), json!(1)]
        );
        let failure = end["failures"][0].as_str().unwrap();
        assert!(failure.starts_with("stopped by SIGTERM: 1 of 2 targets finished"), "{failure}");
    });
}

#[test]
fn without_the_last_record_the_output_was_cut_off() {
    lab::play(|lab| {
        lab.others(Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--json", "--timeout=60", "10.0.0.1"]));
        running.wait_until(LIMIT, "a probe", |_| !lab.seen().is_empty());
        running.signal(nix::sys::signal::Signal::SIGKILL);
        let outcome = running.finish(LIMIT);
        let types: Vec<_> = records(&outcome).iter().map(|record| record["type"].clone()).collect();
        assert_eq!(types, ["start"]);
    });
}

#[test]
fn our_own_failure_is_not_the_targets_silence() {
    lab::play(|lab| {
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let outcome = lab.run(&BRIEF, "10.0.0.1\n10.0.0.2\n192.0.2.77\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let records = records(&outcome);
        let states: Vec<_> = of_type(&records, "target").into_iter().map(state).collect();
        assert_eq!(states, [("unsent", Some("send-error")), ("unsent", Some("send-error")), ("alive", None)]);
        assert_eq!(of_type(&records, "target")[0]["errno_name"], "ENETUNREACH");
        assert_eq!(values(records.last().unwrap(), ["exit", "complete"]), [json!(4), json!(true)]);
        // With a reference that is silent, silence proves nothing.
        lab.forget();
        lab.others(Behaviour::silent());
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", "lab0"]);
        let reference = [&BRIEF[..], &["--reference=192.0.2.78"]].concat();
        let outcome = lab.run(&reference, "10.0.0.1\n");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert_eq!(state(of_type(&crate::records(&outcome), "target")[0]), ("undecided", Some("no-reference")));
    });
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    lab::play(|lab| {
        for (args, message) in [
            (&["--json", "-a", "10.0.0.1"][..], "--json: cannot be combined with -a"),
            (&["--json=lines", "10.0.0.1"], "--json: bad value \"lines\" (give packets, or no =)"),
            (&["--run-name=core", "10.0.0.1"], "--run-name: needs --json"),
            (&["--json", "--run-name=", "10.0.0.1"], "--run-name: bad value \"\""),
            (&["--icmp-errors=all of them", "10.0.0.1"], "--icmp-errors: bad value"),
        ] {
            let outcome = lab.run(args, "");
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
            assert!(outcome.stderr.starts_with(&format!("xymonping: {message}")), "{outcome:?}");
        }
        assert!(lab.seen().is_empty());
    });
}
