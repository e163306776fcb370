//! Which replies are accepted, for which target, and which RTT is printed.

use std::net::IpAddr;

use crate::lab::{self, Answer, Behaviour, IcmpError, Lose};
use crate::{assert_all, assert_true_rtts, hosts, list, ms};

/// The families that the kernel has.
fn families(lab: &lab::Lab) -> Vec<&'static str> {
    if lab.has_ipv6() { vec!["10.7.0.", "fd00:7::"] } else { vec!["10.7.0."] }
}

#[test]
fn rtts_are_those_of_the_wire_in_both_families() {
    lab::play(|lab| {
        let mut all = Vec::new();
        for family in families(lab) {
            for (n, delay) in [0, 0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 333, 700, 1000].into_iter().enumerate() {
                let host = format!("{family}{}", n + 1);
                lab.host(&host, Behaviour::after(ms(delay)));
                all.push((host, ms(delay)));
            }
        }
        let hosts: Vec<&str> = all.iter().map(|(host, _)| host.as_str()).collect();
        let outcome = lab.run(&["--max-pps=100"], list(&hosts));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert_true_rtts(lab, &outcome, &hosts);
        for (host, delay) in &all {
            let rtt = outcome.rtt_of(host).expect("it is alive");
            // At most a millisecond less, by rounding and the error of the clock.
            assert!(rtt + ms(1) > *delay, "{host} with a delay of {delay:?}: {rtt:?}");
            let unit = if rtt < ms(3) { " usec)" } else { " ms)" };
            assert!(outcome.verdict_of(host).ends_with(unit), "{}", outcome.verdict_of(host));
        }
    });
}

#[test]
fn every_kind_of_host_has_the_right_verdict() {
    lab::play(|lab| {
        let from = |from: &str| Some(from.parse::<IpAddr>().expect("an address"));
        let first = |n| Behaviour { lose: Lose::First(n), ..Behaviour::default() };
        let answering = Behaviour::answering;
        let zeros = |msg_type| Answer::Icmp { msg_type, code: 0, rest: vec![0; 60] };
        // The behaviour of a host, whether it is alive, and how many probes it gets with two
        // retries.
        let mut kinds = vec![
            (Behaviour::default(), true, 1),
            (Behaviour::after(ms(100)), true, 1),
            (first(1), true, 2),
            (first(2), true, 3),
            (first(3), false, 3),
            (Behaviour::silent(), false, 3),
            (Behaviour { copies: 5, gap: ms(2), ..Behaviour::default() }, true, 1),
            (Behaviour { ttl: 1, ..Behaviour::default() }, true, 1),
            (answering(Answer::BadChecksum), false, 3),
            (answering(Answer::FlippedByte(0)), false, 3),
            (answering(Answer::FlippedByte(7)), false, 3),
            (answering(Answer::FlippedByte(15)), false, 3),
            (answering(Answer::FlippedByte(16)), false, 3),
            (answering(Answer::FlippedByte(55)), false, 3),
            (answering(Answer::ZeroedData), false, 3),
            (answering(Answer::TruncatedTo(0)), false, 3),
            (answering(Answer::TruncatedTo(15)), false, 3),
            (answering(Answer::TruncatedTo(16)), true, 1),
            (answering(Answer::TruncatedTo(55)), true, 1),
            (answering(Answer::Extended(b"more".to_vec())), true, 1),
            (answering(Answer::Extended(vec![0; 1000])), true, 1),
            (answering(Answer::OtherIdent(1)), false, 3),
            (answering(Answer::OtherSeq(1)), true, 1), // the token identifies the probe
            (answering(Answer::Data(b"not what was sent, but long enough".to_vec())), false, 3),
            (answering(Answer::Request), false, 3),
            (answering(zeros(14)), false, 3),
        ];
        for error in [
            IcmpError::HostUnreachable,
            IcmpError::NetUnreachable,
            IcmpError::PortUnreachable,
            IcmpError::AdminProhibited,
            IcmpError::TimeExceeded,
        ] {
            // An error does not end a target, because a route can recover.
            kinds.push((answering(Answer::Error(error)), false, 3));
        }
        let mut expected = Vec::new();
        for family in families(lab) {
            for (n, (behaviour, is_alive, probes)) in kinds.iter().enumerate() {
                let host = format!("{family}{}", n + 1);
                lab.host(&host, behaviour.clone());
                expected.push((host, *is_alive, *probes, format!("{behaviour:?}")));
            }
        }
        let mut special = |host: &str, behaviour: Behaviour, is_alive, probes| {
            lab.host(host, behaviour.clone());
            expected.push((host.to_owned(), is_alive, probes, format!("{behaviour:?}")));
        };
        special("10.8.0.1", Behaviour { from: from("10.8.0.66"), ..Behaviour::default() }, true, 1);
        // 12 bytes of IPv4 options: record route, padded.
        let options = vec![7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        special("10.8.0.2", Behaviour { ip_options: options, ..Behaviour::default() }, true, 1);
        // The reply of one host comes from the address of another, which is silent.
        special("10.8.0.3", Behaviour { from: from("10.8.0.4"), ..Behaviour::default() }, true, 1);
        special("10.8.0.4", Behaviour::silent(), false, 3);
        if lab.has_ipv6() {
            special("fd00:8::1", Behaviour { from: from("fd00:8::66"), ..Behaviour::default() }, true, 1);
        }
        let hosts: Vec<&str> = expected.iter().map(|(host, ..)| host.as_str()).collect();
        let outcome = lab.run(&["--timeout=1", "--retries=2", "--max-pps=500"], list(&hosts));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        // Damaged answers are answers of a kind, and the operator is told.
        assert!(outcome.stderr.starts_with("xymonping: unreachable targets that did answer: "), "{outcome:?}");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        let order: Vec<&str> = outcome.lines().iter().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(order, hosts, "one line for each, in the order of the list");
        for (host, is_alive, probes, behaviour) in &expected {
            let verdict = outcome.verdict_of(host);
            assert_eq!(outcome.is_alive(host), *is_alive, "{host} {verdict}: {behaviour}");
            assert!(*is_alive || verdict == "unreachable", "{host} {verdict}: {behaviour}");
            assert_eq!(lab.seen_of(host).len(), *probes, "probes to {host}: {behaviour}");
        }
    });
}

#[test]
fn replies_from_other_sources_are_accepted_unless_sources_are_checked() {
    lab::play(|lab| {
        let mut pairs = vec![("10.0.0.7", "10.0.0.66"), ("10.0.0.8", "8.8.8.8")];
        if lab.has_ipv6() {
            pairs.push(("fd00::7", "fd00::66"));
        }
        for (host, from) in &pairs {
            let from = Some(from.parse().expect("an address"));
            lab.host(host, Behaviour { from, ..Behaviour::default() });
        }
        let probed: Vec<&str> = pairs.iter().map(|(host, _)| *host).collect();
        let args = ["--timeout=0.3", "--retries=1"];
        assert_all(&lab.run(&args, list(&probed)), &probed, true);
        lab.forget();
        let outcome = lab.run(&[&args[..], &["--check-source"]].concat(), list(&probed) + "10.0.0.9\n");
        assert_all(&outcome, &probed, false);
        assert_all(&outcome, &["10.0.0.9"], true);
    });
}

#[test]
fn a_reply_is_accepted_after_one_with_a_wrong_source() {
    lab::play(|lab| {
        let foreign = Behaviour { from: Some("10.0.0.66".parse().expect("an address")), ..Behaviour::default() };
        lab.script("10.0.0.7", vec![foreign, Behaviour::default()]);
        let outcome = lab.run(&["--timeout=0.3", "--retries=1", "--check-source"], "10.0.0.7\n");
        assert_all(&outcome, &["10.0.0.7"], true);
        assert_eq!(lab.seen().len(), 2);
    });
}

#[test]
fn only_the_first_reply_to_a_probe_counts() {
    lab::play(|lab| {
        let hosts = hosts(1, 80);
        lab.others(Behaviour { copies: 3, gap: ms(30), ..Behaviour::default() });
        let outcome = lab.run(&["--responses=3", "--max-pps=500"], list(&hosts));
        assert_all(&outcome, &hosts, true);
        assert_eq!(lab.seen().len(), 3 * hosts.len(), "three responses are replies to three probes");
        for host in &hosts {
            assert!(outcome.rtt_of(host).is_some_and(|rtt| rtt < ms(30)), "{host} {}", outcome.verdict_of(host));
        }
    });
}

#[test]
fn the_rtt_of_several_responses_is_their_mean() {
    lab::play(|lab| {
        let after = |n| Behaviour::after(ms(n));
        lab.script("10.0.0.1", vec![after(20), after(40), after(120)]);
        lab.script("10.0.0.2", vec![after(30), Behaviour::silent(), after(60), after(90)]);
        lab.script("10.0.0.3", vec![after(50), Behaviour::silent()]);
        lab.host("10.0.0.4", Behaviour::silent());
        let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"];
        let outcome = lab.run(&["--responses=3", "--retries=1", "--timeout=0.5"], list(&hosts));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        // The mean of the RTTs on the wire.
        let (seen, answered) = (lab.seen(), lab.answered());
        for (host, mean, probes) in [(hosts[0], 60, 3), (hosts[1], 60, 4), (hosts[2], 50, 3)] {
            let ip: IpAddr = host.parse().expect("an address");
            let of_host: Vec<_> = answered.iter().filter(|answer| answer.host == ip).collect();
            let rtts = of_host.iter().map(|answer| {
                let probe = seen.iter().find(|seen| seen.dst == ip && seen.number == answer.number);
                answer.time.end - probe.expect("it was probed").time
            });
            let of_wire = rtts.sum::<std::time::Duration>() / of_host.len() as u32;
            let printed = outcome.rtt_of(host).unwrap_or_else(|| panic!("{host}: {outcome:?}"));
            assert!(
                printed.abs_diff(of_wire) < ms(50) && printed + ms(1) > ms(mean),
                "{host} {printed:?}, not {of_wire:?}"
            );
            assert_eq!(lab.seen_of(host).len(), probes, "at most responses + retries: {host}");
        }
        assert_all(&outcome, &hosts[3..], false);
        assert_eq!(lab.seen_of(hosts[3]).len(), 2, "a silent target uses up retries, not responses");
    });
}

#[test]
fn a_reply_after_its_timeout_is_too_late() {
    lab::play(|lab| {
        let (late, alive) = (hosts(1, 10), hosts(2, 190));
        lab.host("10.1.0.0/16", Behaviour::after(ms(800)));
        // The run lasts two seconds longer, so that late replies arrive during it.
        let outcome =
            lab.run(&["--timeout=0.4", "--retries=0", "--max-pps=100"], list(&[late.as_slice(), &alive].concat()));
        assert_all(&outcome, &late, false);
        assert_all(&outcome, &alive, true);
        lab.forget();
        let outcome = lab.run(&["--timeout=0.4", "--retries=3"], list(&late[..1]));
        assert_all(&outcome, &late[..1], false);
        assert_eq!(lab.seen().len(), 4, "a late reply to one attempt is not a reply to the next");
    });
}

#[test]
fn link_local_hosts_are_probed_through_their_zone() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return;
        }
        lab.host("fe80::98", Behaviour::silent());
        let wrong =
            ["fe80::97", "fe80::96%lab7", "fe80::95%lab0:1", "fd00::1%lab0", "fe80::1%0", "fe80::1%999", "fe80::1%"];
        let input = "fe80::99%lab0\nfe80::98%lab0\n".to_owned() + &list(&wrong);
        for args in [&["--timeout=0.3", "--retries=0"][..], &["--timeout=0.3", "--retries=0", "--check-source"]] {
            lab.forget();
            let outcome = lab.run(args, &input);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            assert_all(&outcome, &["fe80::99%lab0"], true);
            assert_all(&outcome, &["fe80::98%lab0"], false);
            assert_eq!((outcome.lines().len(), lab.seen().len()), (2, 2), "{outcome:?}");
            for rejected in wrong {
                assert!(outcome.stderr.contains(&format!("\"{rejected}\": ")), "{outcome:?}");
            }
            assert!(lab.seen().iter().all(|seen| seen.src == IpAddr::from(lab::LINK_LOCAL)));
        }
    });
}

#[test]
fn the_debug_log_has_every_packet_and_no_token() {
    lab::play(|lab| {
        lab.keep_data();
        lab.host("10.0.0.2", Behaviour { copies: 2, ..Behaviour::default() });
        lab.host("10.0.0.3", Behaviour::answering(Answer::BadChecksum));
        lab.host("10.0.0.4", Behaviour::silent());
        // The silent host makes the run last until the duplicates arrive.
        let outcome = lab.run(&["--debug", "--timeout=0.5", "--retries=1"], "10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n");
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 4), "{outcome:?}");
        let of = |what: &str, host: &str| {
            let text = format!(" {what} {host} ");
            outcome.stderr.lines().filter(|line| line.contains(&text)).collect::<Vec<_>>()
        };
        for (host, sent, received) in [
            ("10.0.0.1", 1, &["answer"][..]),
            ("10.0.0.2", 1, &["answer", "duplicate"]),
            ("10.0.0.3", 2, &["damaged", "damaged"]),
            ("10.0.0.4", 2, &[]),
        ] {
            let sends = of("send", host);
            assert_eq!(sends.len(), sent, "{host}: {}", outcome.stderr);
            assert_eq!(lab.seen_of(host).len(), sent);
            for (seen, line) in lab.seen_of(host).iter().zip(sends) {
                let numbers = format!("ident {} seq {}", seen.ident, seen.seq);
                assert!(line.contains(&numbers), "{line}: {numbers}");
            }
            let receipts = of("recv", host);
            assert_eq!(receipts.len(), received.len(), "{host}: {}", outcome.stderr);
            for (line, verdict) in receipts.iter().zip(received) {
                assert!(line.contains(verdict), "{line}: {verdict}");
            }
        }
        for seen in lab.seen() {
            let seal: [u8; 8] = seen.data[8..16].try_into().expect("eight bytes");
            let number = u64::from_be_bytes(seal);
            for secret in [format!("{number}"), format!("{number:x}"), format!("{seal:?}"), format!("{seal:02x?}")] {
                assert!(!outcome.stderr.to_lowercase().contains(&secret), "{secret}: {}", outcome.stderr);
            }
        }
    });
}

#[test]
fn data_that_comes_back_changed_is_damage_and_a_cut_reply_is_one() {
    lab::play(|lab| {
        let kinds = [
            (Answer::Reply, "answer", ""),
            (Answer::FlippedByte(999), "damaged", ""),
            (Answer::FlippedByte(64), "damaged", ""),
            (Answer::TruncatedTo(64), "answer", " cut to 64 bytes"),
            (Answer::TruncatedTo(16), "answer", " cut to 16 bytes"),
            (Answer::Extended(vec![0; 24]), "answer", " grown to 1024 bytes"),
        ];
        let mut expected = Vec::new();
        for family in families(lab) {
            for (n, (answer, kind, length)) in kinds.iter().enumerate() {
                let host = format!("{family}{}", n + 1);
                lab.host(&host, Behaviour::answering(answer.clone()));
                expected.push((host, *kind, *length));
            }
        }
        let hosts: Vec<&str> = expected.iter().map(|(host, ..)| host.as_str()).collect();
        for pattern in [&["--pattern=0f1e2d"][..], &[]] {
            let args = [&["--debug", "--size=1000", "--timeout=300ms", "--retries=0", "--max-pps=500"][..], pattern];
            let outcome = lab.run(&args.concat(), list(&hosts));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            for (host, kind, length) in &expected {
                let received: Vec<&str> =
                    outcome.stderr.lines().filter(|line| line.contains(&format!(" recv {host} "))).collect();
                let [line] = received[..] else { panic!("{host}: {received:?}, {outcome:?}") };
                let told = if *kind == "answer" { format!(" usec{length}") } else { format!(" {kind}") };
                assert!(line.contains(kind) && line.ends_with(&told), "{line}: {told}");
                assert_eq!(outcome.is_alive(host), *kind == "answer", "{line}");
            }
        }
    });
}
