//! `--icmp-timestamp` and `--icmp-mask`: probes that are no Echo Requests, on the wire and in what
//! is printed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

use lab::caller::{self, Rights};
use lab::{Answer, Behaviour, Finished, LIMIT, Lab, TIMES, assert_all, list};

fn run(lab: &Lab, args: &[&str], list: &str) -> Finished {
    lab.forget();
    lab.run(&[&["--timeout=1", "--max-pps=500"], args].concat(), list)
}

#[test]
fn a_timestamp_request_has_no_time_in_it_and_its_reply_is_shown() {
    lab::play(|lab| {
        lab.keep_data();
        lab.script("10.0.0.2", vec![Behaviour { copies: 2, ..Behaviour::default() }, Behaviour::silent()]);
        let outcome = run(lab, &["--icmp-timestamp", "--count=2", "--period=0.1", "--late=0"], "10.0.0.2\n10.0.0.3\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let lines: Vec<_> = outcome.stdout.lines().filter(|line| line.contains("bytes from 10.0.0.2")).collect();
        assert_eq!(lines.len(), 2, "{outcome:?}");
        for (line, mark) in lines.iter().zip(["", " (DUP!)"]) {
            let (before, times) = line.split_once(" ms").unwrap();
            assert!(before.starts_with("20 bytes from 10.0.0.2: icmp_seq=0 ttl=64 time="), "{line}");
            let own = times.strip_prefix(mark).unwrap().strip_prefix(" tso=").unwrap();
            let (own, told) = own.split_once(' ').unwrap();
            assert_eq!((own.len(), told), ("00:00:00.000".len(), "tsr=01:02:03.004 tst=01:02:03.005"), "{line}");
        }
        let seen = lab.seen();
        assert_eq!((seen.len(), seen[0].len), (4, 12), "fixed length");
        let originates: Vec<u32> =
            seen.iter().map(|seen| u32::from_be_bytes(*seen.data.first_chunk().unwrap())).collect();
        assert!(originates.iter().all(|originate| originate & 1 << 31 != 0), "none is a time: {originates:x?}");
        assert!(originates.windows(2).all(|pair| pair[0] != pair[1]), "{originates:x?}");
        assert!(seen.iter().all(|seen| seen.data[4..] == [0; 8]));
    });
}

#[test]
fn only_replies_that_return_what_was_sent_count() {
    lab::play(|lab| {
        let hosts: Vec<String> = (1..=8).map(|number| format!("10.0.0.{number}")).collect();
        let answers = [
            Answer::Reply,
            Answer::FlippedByte(1),
            Answer::FlippedByte(0),
            Answer::OtherIdent(1),
            Answer::OtherSeq(100),
            Answer::TruncatedTo(8),
            Answer::BadChecksum,
            Answer::Icmp { msg_type: 0, code: 0, rest: vec![0; 40] },
        ];
        for (host, answer) in hosts.iter().zip(answers) {
            lab.host(host, Behaviour::answering(answer));
        }
        let outcome = run(lab, &["--icmp-timestamp", "--retries=0"], &list(&hosts));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &hosts[..1], true);
        assert_all(&outcome, &hosts[1..], false);
        // Echo Requests are not answered by a reply to a Timestamp request.
        let rest = [[0; 4], [0; 4], [0; 4], [0; 4]].concat();
        lab.host("10.0.0.9", Behaviour::answering(Answer::Icmp { msg_type: 14, code: 0, rest }));
        assert_all(&run(lab, &["--retries=0", "10.0.0.9"], ""), &["10.0.0.9"], false);
    });
}

#[test]
fn the_kernel_answers_and_json_tells_the_times() {
    lab::play(|lab| {
        let args = ["--icmp-timestamp", "--count=1", "--json=packets", "127.0.0.1", "10.0.0.1"];
        let outcome = run(lab, &args, "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let record = |host: &str| {
            let text = format!("\"target\":\"{host}\"");
            let line = outcome.stdout.lines().find(|line| line.contains("\"reply\"") && line.contains(&text));
            serde_json::from_str::<serde_json::Value>(line.unwrap()).unwrap()
        };
        let [receive, transmit] = TIMES;
        let told = record("10.0.0.1");
        assert_eq!((&told["receive_ms"], &told["transmit_ms"]), (&receive.into(), &transmit.into()), "{told}");
        // On one machine all clocks are the same. (At midnight they begin anew.)
        let own = record("127.0.0.1");
        let ms = |key: &str| own[key].as_u64().unwrap();
        let (originate, receive) = (ms("originate_ms"), ms("receive_ms"));
        assert!(receive + 1 >= originate && receive <= originate + 10_000 || receive < originate / 2, "{own}");
        assert!(outcome.stdout.lines().next().unwrap().contains("\"size\":12"), "{outcome:?}");
        // Whoever pings by Echo has none of these keys.
        assert!(!run(lab, &["--count=1", "--json=packets", "10.0.0.1"], "").stdout.contains("_ms\""));
    });
}

#[test]
fn what_a_timestamp_request_cannot_have_is_refused() {
    lab::play(|lab| {
        for (other, name) in [("--size=100", "--size"), ("--pattern=ff", "--pattern"), ("--ipv6", "--ipv6")] {
            let outcome = run(lab, &["--icmp-timestamp", other, "10.0.0.1"], "");
            let words = format!("xymonping: --icmp-timestamp: cannot be combined with {name} (");
            assert_eq!(outcome.code, Some(3), "{outcome:?}");
            assert!(outcome.first_stderr_line().starts_with(&words), "{outcome:?}");
        }
        let outcome = run(lab, &["--icmp-timestamp"], "fd00::1\n10.0.0.1\n");
        assert_eq!((outcome.code, outcome.stdout.lines().count()), (Some(0), 1), "{outcome:?}");
        assert!(outcome.stderr.contains("line 1: \"fd00::1\": an IPv6 address"), "{outcome:?}");
    });
}

#[test]
fn a_mask_is_shown_as_the_probed_host_tells_it() {
    lab::play(|lab| {
        lab.keep_data();
        let mask = Behaviour::answering(Answer::Data(vec![255, 255, 240, 0]));
        lab.host("10.0.0.2", mask.clone());
        lab.host("10.0.0.3", Behaviour { from: Some("10.0.0.2".parse().unwrap()), ..mask.clone() });
        lab.host("10.0.0.4", Behaviour::answering(Answer::OtherSeq(7)));
        let list = "10.0.0.2\n10.0.0.3\n10.0.0.4\n";
        let outcome = run(lab, &["--icmp-mask", "--count=1", "--late=0", "--period=0.1"], list);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let line = outcome.stdout.lines().find(|line| line.starts_with("12 bytes from 10.0.0.2: ")).unwrap();
        assert!(line.ends_with(" ms mask=255.255.240.0"), "{line}");
        assert_eq!(outcome.stdout.matches("bytes from").count(), 1, "{outcome:?}");
        assert!(lab.seen().iter().all(|seen| *seen.data == [0; 4]));
        // In a run without statistics as well.
        let outcome = run(lab, &["--icmp-mask", "--retries=0"], list);
        assert_all(&outcome, &["10.0.0.2"], true);
        assert_all(&outcome, &["10.0.0.3", "10.0.0.4"], false);
        let json = run(lab, &["--icmp-mask", "--count=1", "--json=packets", "10.0.0.2"], "");
        assert!(json.stdout.contains("\"mask\":\"255.255.240.0\"}"), "{json:?}");
        let refused = run(lab, &["--icmp-mask", "224.0.0.1"], "");
        let words = "xymonping: --icmp-mask: cannot be combined with multicast targets (";
        assert!(refused.code == Some(3) && refused.stderr.starts_with(words), "{refused:?}");
        let refused = run(lab, &["--icmp-mask", "--icmp-timestamp", "10.0.0.2"], "");
        assert_eq!(refused.code, Some(3), "{refused:?}");
    });
}

#[test]
fn ordinary_users_may_and_sockets_that_cannot_are_refused() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let args = ["--icmp-timestamp", "--timeout=1", "10.0.0.1"];
        let outcome = lab.start(caller::ordinary(&program).args(args)).finish(LIMIT);
        assert_all(&outcome, &["10.0.0.1"], true);
        // ICMP datagram sockets send Echo Requests only.
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", "0 2147483647");
        let outcome = lab.start(caller::ordinary(&program).args(args)).finish(LIMIT);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
        assert!(outcome.first_stderr_line().starts_with("xymonping: no permission to ping"), "{outcome:?}");
    });
}

#[test]
fn fping_has_it_with_the_times_in_its_lines() {
    lab::play(|lab| {
        let fping = |args: &[&str]| run_fping(lab, args);
        let ends = |line: &str, tail: &str| {
            let (before, rest) = line.split_once("Originate=").unwrap();
            let (originate, rest) = rest.split_once(' ').unwrap();
            let (told, local) = rest.split_once("Localreceive=").unwrap();
            let local = local.strip_suffix(tail).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(told, "Receive=3723004 Transmit=3723005 ", "{line}");
            for time in [originate, local] {
                assert!(time.parse::<u32>().unwrap() < 86_400_000, "{line}");
            }
            before.to_owned()
        };
        let outcome = fping(&["--icmp-timestamp", "10.0.0.1"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(ends(outcome.stdout.trim_end(), ""), "10.0.0.1 is alive, timestamps: ");
        let outcome = fping(&["--icmp-timestamp", "-a", "10.0.0.1"]);
        assert_eq!(ends(outcome.stdout.trim_end(), ""), "10.0.0.1 timestamps: ");
        let outcome = fping(&["--icmp-timestamp", "-c1", "10.0.0.1"]);
        let before = ends(outcome.stdout.lines().next().unwrap(), "");
        assert!(before.starts_with("10.0.0.1 : [0], 20 bytes, "), "{before}");
        assert!(before.ends_with(" avg, 0% loss), timestamps: "), "{before}");
        let outcome = fping(&["--icmp-timestamp", "-J", "-c1", "10.0.0.1"]);
        let words = "\"receive\": 3723004, \"transmit\": 3723005, \"localreceive\": ";
        assert!(outcome.stdout.contains(words), "{outcome:?}");
        for (args, words) in [
            (&["--icmp-timestamp", "-b12", "10.0.0.1"][..], "cannot change ICMP Timestamp size"),
            (&["-6", "--icmp-timestamp", "10.0.0.1"], "ICMP Timestamp is IPv4 only"),
            (&["--icmp-timestamp", "-6", "10.0.0.1"], "can't specify both -4 and -6"),
        ] {
            let outcome = fping(args);
            let words = format!("fping: {words}\n");
            assert_eq!((outcome.code, outcome.stderr), (Some(1), words), "{args:?}");
        }
    });
}

fn run_fping(lab: &Lab, args: &[&str]) -> Finished {
    lab.start(lab.command().arg("--as=fping").args(args)).finish(LIMIT)
}
