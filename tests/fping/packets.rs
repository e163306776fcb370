//! What is sent, where to, and what is told of the headers of replies.

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{self, Answer, Behaviour, ROUTER4};
use crate::run;

const FAST: &str = "-t1000";

#[test]
fn data_may_be_too_short_for_a_token() {
    lab::play(|lab| {
        for size in [0, 1, 12, 15] {
            lab.forget();
            let size = size.to_string();
            let outcome = run(lab, &["-c2", "-p50", "-b", &size, FAST, "10.0.0.1", "fd00::1"], "");
            let bytes = 8 + size.parse::<usize>().expect("a number");
            let answered = outcome.stdout.matches(&format!("{bytes} bytes, ")).count();
            assert_eq!((answered, outcome.code), (4, Some(0)), "{size} bytes: {outcome:?}");
            assert!(lab.seen().iter().all(|probe| probe.len.to_string() == size), "{size} bytes: {:?}", lab.seen());
        }
        lab.keep_data();
        lab.forget();
        run(lab, &["-b12", FAST, "10.0.0.1", "10.0.0.2"], "");
        let data: Vec<_> = lab.seen().into_iter().map(|probe| probe.data).collect();
        assert!(data.len() == 2 && data[0] != data[1] && data.iter().all(|data| data[..8] != [0; 8]), "{data:?}");
    });
}

#[test]
fn a_reply_to_short_data_is_from_the_target_and_has_all_of_it() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { from: Some(ROUTER4.into()), ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour::answering(Answer::TruncatedTo(7)));
        lab.host("10.0.0.3", Behaviour::answering(Answer::FlippedByte(3)));
        lab.host("10.0.0.4", Behaviour { copies: 2, ..Behaviour::default() });
        let list = "10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n";
        let outcome = run(lab, &["-b8", "-r0", FAST], list);
        let expected = ["10.0.0.4 is alive", "10.0.0.1 is unreachable", "10.0.0.2 is unreachable"];
        assert_eq!(outcome.lines()[..3], expected, "{outcome:?}");
        assert_eq!((outcome.lines().len(), outcome.code), (4, Some(1)), "{outcome:?}");
    });
}

#[test]
fn headers_of_replies_are_told() {
    lab::play(|lab| {
        let all = ["--print-ttl", "--print-tos", "--print-reply-dst", "-O0x10", FAST];
        lab.host("10.0.0.1", Behaviour { ttl: 9, ..Behaviour::default() });
        let outcome = run(lab, &[&all[..], &["10.0.0.1"]].concat(), "");
        assert_eq!(outcome.stdout, "10.0.0.1 is alive (SRC 192.0.2.1) (TOS 16) (TTL 9)\n", "{outcome:?}");
        // The kernel's replies have the TOS of the request, as the lab's have.
        for address in ["127.0.0.1", "::1"] {
            let tail = format!(" (SRC {address}) (TOS 16) (TTL 64)");
            let outcome = run(lab, &[&all[..], &[address]].concat(), "");
            assert_eq!(outcome.stdout, format!("{address} is alive{tail}\n"), "{outcome:?}");
            let outcome = run(lab, &[&all[..], &["-c1", address]].concat(), "");
            assert!(outcome.stdout.ends_with(&format!(" avg, 0% loss){tail}\n")), "{outcome:?}");
            let outcome = run(lab, &[&all[..], &["-Jc1", address]].concat(), "");
            let tail = format!(", \"replyDst\": \"{address}\", \"tos\": 16, \"ttl\": 64}}}}");
            assert!(outcome.lines()[0].ends_with(&tail), "{outcome:?}");
        }
        let outcome = run(lab, &["-a", "--print-tos", "127.0.0.1"], "");
        assert_eq!(outcome.stdout, "127.0.0.1 (TOS 0)\n", "{outcome:?}");
    });
}

#[test]
fn packets_leave_by_the_interface_that_is_asked_for() {
    lab::play(|lab| {
        lab.ip(&["link", "add", "blind", "type", "veth", "peer", "name", "nobody"]);
        lab.set_sysctl("net.ipv6.conf.blind.disable_ipv6", "0");
        lab.ip(&["link", "set", "nobody", "up"]);
        lab.ip(&["link", "set", "blind", "up"]);
        lab.ip(&["route", "add", "10.7.0.0/16", "dev", "blind"]);
        lab.ip(&["route", "add", "10.7.0.0/16", "via", "192.0.2.254", "dev", lab::DEVICE, "metric", "9"]);
        lab.ip(&["-6", "route", "add", "fd00:7::/32", "dev", "blind", "metric", "1"]);
        lab.ip(&["-6", "route", "add", "fd00:7::/32", "dev", lab::DEVICE, "metric", "9"]);
        let hosts = ["10.7.0.1", "fd00:7::1"];
        let outcome = run(lab, &[&["-r0", "-t200"], &hosts[..]].concat(), "");
        assert_eq!((lab.seen().len(), outcome.code), (0, Some(1)), "{outcome:?}");
        let outcome = run(lab, &[&["--oiface", lab::DEVICE, FAST], &hosts[..]].concat(), "");
        assert_eq!((outcome.lines().len(), outcome.code), (2, Some(0)), "{outcome:?}");
        let outcome = run(lab, &["--oiface", "nosuchdev", "10.0.0.1"], "");
        assert_eq!((outcome.stderr.as_str(), outcome.code), ("fping: --oiface: No such device\n", Some(1)));
    });
}

#[test]
fn packets_have_the_mark_that_is_asked_for_or_are_not_sent() {
    caller::play(&[], |lab, place| {
        lab.ip(&["rule", "add", "fwmark", "7", "prohibit"]);
        let outcome = run(lab, &["-k8", FAST, "10.0.0.1"], "");
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("10.0.0.1 is alive\n", Some(0)), "{outcome:?}");
        lab.forget();
        let outcome = run(lab, &["-k7", "-r0", "-t200", "10.0.0.1"], "");
        assert!(outcome.stderr.contains("Permission denied"), "{outcome:?}");
        assert!(lab.seen().is_empty() && outcome.code != Some(0), "{outcome:?}");

        let mut command = ordinary(place.install(Rights::Setuid));
        let outcome = lab.start(command.args(["--as=fping", "-k8", "10.0.0.1"])).finish(lab::LIMIT);
        assert_eq!((outcome.stdout.as_str(), outcome.code), ("", Some(1)), "{outcome:?}");
        assert_eq!(outcome.stderr, "fwmark: Operation not permitted\n");
        assert!(lab.seen().is_empty());
    });
}
