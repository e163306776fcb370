//! Failures to send: this machine's, without a network, or only a missing route to some hosts. And
//! neighbours without an ARP reply, for which the kernel queues packets for seconds.

use crate::lab::{self, Behaviour, DEVICE, Finished, HOST4, LIMIT, Lab};
use crate::{assert_all, hosts, list};

const FAST: [&str; 3] = ["--timeout=0.3", "--retries=1", "--max-pps=1000"];

/// Addresses of this machine, which reply without a network.
const LOCAL: [&str; 2] = ["127.0.0.1", "192.0.2.1"];
/// There is no route to 11.0.0.0/8 here.
const NO_ROUTE: [&str; 3] = ["11.0.0.1", "11.0.0.2", "11.0.0.3"];

/// The run failed, and no host is unreachable.
fn fails_without_verdicts(outcome: &Finished, case: &str) {
    assert_eq!(outcome.code, Some(4), "{case}: {outcome:?}");
    assert!(!outcome.stdout.contains("unreachable"), "{case}: {outcome:?}");
    assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{case}: {outcome:?}");
}

/// The run completed; hosts without a route are unreachable, with the reason on stderr, and all
/// others are alive.
fn reports_missing_routes(lab: &Lab, list_of: &[&str]) {
    let outcome = lab.run(&FAST, list(list_of));
    let (no_route, alive): (Vec<&str>, Vec<&str>) = list_of.iter().partition(|host| host.starts_with("11."));
    assert_eq!(outcome.code, Some(0), "{list_of:?}: {outcome:?}");
    assert_eq!(outcome.lines().len(), list_of.len(), "{list_of:?}: {outcome:?}");
    assert_all(&outcome, &no_route, false);
    assert_all(&outcome, &alive, true);
    let message = match no_route[..] {
        [only] => format!("could not send to {only}: "),
        _ => format!("could not send to {} targets, first {}: ", no_route.len(), no_route[0]),
    };
    assert!(outcome.first_stderr_line().contains(&message), "{list_of:?}: {outcome:?}");
    assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{list_of:?}: {outcome:?}");
}

#[test]
fn with_the_network_down_only_local_addresses_have_a_line() {
    lab::play(|lab| {
        assert_eq!(LOCAL[1], HOST4.to_string());
        lab.ip(&["link", "set", DEVICE, "down"]);
        let others = hosts(1, 20);
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        for (case, parts) in [
            ("first", [&LOCAL[..], &others]),
            ("last", [&others, &LOCAL]),
            ("around", [&LOCAL[..1], &[&others[..], &LOCAL[1..]].concat()]),
            ("in between", [&others[..10], &[&LOCAL[..], &others[10..]].concat()]),
        ] {
            let outcome = lab.run(&FAST, list(&parts.concat()));
            fails_without_verdicts(&outcome, case);
            assert_all(&outcome, &LOCAL, true);
            assert_eq!(outcome.lines().len(), 2, "{case}: {outcome:?}");
        }
    });
}

#[test]
fn with_the_loopback_down_own_addresses_have_no_line() {
    lab::play(|lab| {
        lab.host("10.2.0.1", Behaviour::silent());
        let all = [&["10.2.0.1".to_owned()], &hosts(1, 8)[..]].concat();
        let assert_fails = |outcome: &Finished, why: &str| {
            assert!(outcome.first_stderr_line().contains(why), "{outcome:?}");
            assert_eq!((outcome.code, outcome.lines().len()), (Some(4), all.len()), "{outcome:?}");
            assert_all(outcome, &all[1..], true);
            assert_all(outcome, &all[..1], false);
        };
        let with = |own: &str| list(&[&[own.to_owned()], &all[..]].concat());
        // It is lost while a probe is on its way.
        lab.set_sysctl("net.ipv4.icmp_echo_ignore_all", "1");
        let mut running = lab.start(lab.command().args(["--timeout=1", "--retries=0"]));
        running.feed(with(LOCAL[1]));
        running.close_stdin();
        running.wait_until(LIMIT, "probes of the others", |_| lab.seen().len() >= all.len());
        lab.ip(&["link", "set", "lo", "down"]);
        assert_fails(&running.finish(LIMIT), "IPv4 sending failed: Network is down");
        for own in LOCAL {
            let outcome = lab.run(&FAST, own);
            let hint = if own == LOCAL[0] { "ip link set lo up" } else { "see: ip link; ip route get 192.0.2.1" };
            let first = format!("xymonping: no probe could leave this machine: Network is down ({hint})");
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
            assert_eq!(outcome.first_stderr_line(), first);
            assert_fails(&lab.run(&FAST, with(own)), "IPv4 sending failed: Network is down");
        }
    });
}

#[test]
fn hosts_without_a_route_do_not_fail_the_run_wherever_in_the_list() {
    lab::play(|lab| {
        let routed = hosts(1, 10);
        let routed: Vec<&str> = routed.iter().map(String::as_str).collect();
        for last in [&NO_ROUTE[..1], &NO_ROUTE] {
            reports_missing_routes(lab, &[&routed, last].concat());
            reports_missing_routes(lab, &[&LOCAL[..1], &routed, last].concat());
            reports_missing_routes(lab, &[&LOCAL[..], &routed, last].concat());
            // Right after local addresses, which are always reached.
            reports_missing_routes(lab, &[&routed, &LOCAL[..1], last].concat());
            reports_missing_routes(lab, &[&routed[..], &LOCAL, last].concat());
            reports_missing_routes(lab, &[last, &routed].concat());
            reports_missing_routes(lab, &[&LOCAL[..1], last, &routed].concat());
        }
    });
}

#[test]
fn many_silent_neighbours_do_not_delay_other_hosts() {
    lab::play(|lab| {
        // With ARP, neighbours without a static entry are not found. The kernel queues what is sent
        // to these, until the send buffer of the socket is full.
        lab.ip(&["link", "set", DEVICE, "arp", "on"]);
        lab.set_sysctl(&format!("net.ipv4.neigh.{DEVICE}.retrans_time_ms"), "500");
        let known = ["192.0.2.254", "198.18.9.1", "198.18.9.2"];
        for neighbour in known {
            let far = "02:00:00:00:00:02";
            lab.ip(&["neigh", "replace", neighbour, "lladdr", far, "dev", DEVICE, "nud", "permanent"]);
        }
        lab.ip(&["route", "add", "198.18.0.0/16", "dev", DEVICE]);
        // They would not reply either.
        lab.host("198.18.0.0/16", Behaviour::silent());
        for neighbour in &known[1..] {
            lab.host(neighbour, Behaviour::default());
        }
        let silent: Vec<String> = (0..600).map(|n| format!("198.18.{}.{}", n / 250, n % 250 + 1)).collect();
        let routed = hosts(1, 60);
        // Before the silent ones, among them and after them.
        let mut all: Vec<&str> = vec![&routed[0]];
        for (chunk, some) in silent.chunks(20).zip(routed[1..].chunks(2)) {
            all.extend(chunk.iter().chain(some).map(String::as_str));
        }
        all.extend(&known[1..]);
        assert_eq!(all.len(), 600 + 1 + 59 + 2);
        let outcome = lab.run(&["--timeout=1", "--retries=1", "--max-pps=unlimited", "--summary"], list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), all.len()), "{}", outcome.stderr);
        assert_all(&outcome, &routed, true);
        assert_all(&outcome, &known[1..], true);
        assert_all(&outcome, &silent, false);
        assert!(outcome.stderr.contains(" send errors: 0,"), "a full queue is not a send error: {}", outcome.stderr);
        assert!(lab.seen_of("198.18.0.0/21").is_empty(), "no probe is sent without an ARP reply");
        assert_eq!(lab.seen().len(), 62, "no live host was probed twice");
    });
}

#[test]
fn a_full_queue_makes_no_host_unreachable() {
    lab::play(|lab| {
        // A packet is 98 bytes: 20 of them per second, and a queue of 10.
        if let Err(refusal) = lab.shape("16kbit", "1540") {
            return lab::skip("a_full_queue_makes_no_host_unreachable", &refusal);
        }
        let v4 = hosts(1, 60);
        let v6: Vec<String> = (1..=60).map(|n| format!("fd00::{n:x}")).collect();
        for all in [&v4, &v6] {
            lab.forget();
            let outcome = lab.run(&["--retries=0", "--max-pps=unlimited", "--summary"], list(all));
            assert_all(&outcome, all, true);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            assert!(
                outcome.stderr.starts_with("xymonping: packets waited in a queue of this machine: "),
                "{outcome:?}"
            );
            assert!(outcome.stderr.contains(" probes sent: 60, replies: 60,"), "{outcome:?}");
            assert_eq!(lab.seen().len(), 60);
        }
    });
}

#[test]
fn packets_that_are_never_accepted_delay_no_other_host() {
    lab::play(|lab| {
        // The other end accepts no packet of this size, and then the kernel returns ENOBUFS.
        lab.ip(&["link", "add", "wide", "mtu", "9000", "type", "veth", "peer", "name", "narrow", "mtu", "1500"]);
        for end in ["wide", "narrow"] {
            lab.ip(&["link", "set", end, "up"]);
        }
        lab.ip(&["route", "add", "11.0.0.0/8", "dev", "wide"]);
        let far = "02:00:00:00:00:02";
        for host in NO_ROUTE {
            lab.ip(&["neigh", "replace", host, "lladdr", far, "dev", "wide", "nud", "permanent"]);
        }
        let others = hosts(1, 3);
        let all: Vec<&str> = NO_ROUTE.into_iter().zip(&others).flat_map(|(refused, host)| [refused, host]).collect();
        let outcome = lab.run(&["--size=2000", "--timeout=0.3", "--retries=0"], list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), all.len()), "{outcome:?}");
        assert_all(&outcome, &others, true);
        assert_all(&outcome, &NO_ROUTE, false);
        let message = "xymonping: could not send to 3 targets, first 11.0.0.1: No buffer space available";
        assert!(outcome.first_stderr_line().starts_with(message), "{outcome:?}");
    });
}

#[test]
fn without_a_network_hosts_beside_local_addresses_have_no_line() {
    lab::play(|lab| {
        lab.ip(&["link", "set", "lab0", "down"]);
        for list in ["10.0.0.1\n127.0.0.1\n", "127.0.0.1\n10.0.0.1\n", "10.0.0.1\n192.0.2.1\n10.0.0.2\n127.0.0.1\n"] {
            let outcome = lab.run(&["--max-pps=1000", "--timeout=0.2", "--retries=1"], list);
            assert_eq!(outcome.code, Some(4), "{list:?}: {outcome:?}");
            let message = "xymonping: no probe could leave this machine: Network is unreachable";
            assert!(outcome.first_stderr_line().starts_with(message), "{list:?}: {outcome:?}");
            assert!(outcome.lines().iter().all(|line| line.contains(" is alive (")), "{list:?}: {outcome:?}");
        }
    });
}
