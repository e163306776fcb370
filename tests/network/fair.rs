//! Half-broken networks: faults of this machine make no host unreachable.

use std::time::Duration;

use crate::lab::{self, Behaviour, DEVICE, FAR_DEVICE, LIMIT, Lab};
use crate::{assert_all, assert_fair_without_carrier, hosts, list};

const FAST: [&str; 3] = ["--timeout=0.5", "--retries=1", "--max-pps=1000"];

/// A host on the LAN, which needs no route.
const NEAR: &str = "192.0.2.77";

/// Adds an interface that is up but does not lead to the hosts, like a container's bridge or a VPN.
fn another_interface(lab: &Lab) {
    lab.ip(&["link", "add", "docker0", "type", "veth", "peer", "name", "container0"]);
    lab.ip(&["addr", "add", "172.17.0.1/16", "dev", "docker0"]);
    for end in ["docker0", "container0"] {
        lab.ip(&["link", "set", end, "up"]);
    }
}

#[test]
fn a_lost_default_route_makes_no_host_unreachable_though_another_replies() {
    lab::play(|lab| {
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let remote = hosts(1, 99);
        let outcome = lab.run(&FAST, format!("{NEAR}\n{}", list(&remote)));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(4), 1), "{outcome:?}");
        assert_all(&outcome, &[NEAR], true);
        let message = "xymonping: IPv4 sending failed: Network is unreachable (no line for 99 targets, first 10.1.0.1;";
        assert!(outcome.stderr.starts_with(message), "{outcome:?}");
        // Of 70, 30 have no way out: not most, but a quarter.
        let near: Vec<String> = (100..140).map(|n| format!("192.0.2.{n}")).collect();
        let outcome = lab.run(&FAST, list(&near) + &list(&remote[..30]));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(4), 40), "{outcome:?}");
        assert_all(&outcome, &near, true);
    });
}

#[test]
fn lost_ipv4_routes_do_not_affect_ipv6() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("lost_ipv4_routes_do_not_affect_ipv6", "no IPv6");
        }
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let outcome = lab.run(&FAST, list(&hosts(1, 20)) + "fd00::1\n");
        assert_eq!((outcome.code, outcome.stdout.contains("unreachable")), (Some(4), false), "{outcome:?}");
        assert_all(&outcome, &["fd00::1"], true);
    });
}

#[test]
fn a_route_that_is_lost_for_a_while_makes_no_host_unreachable() {
    lab::play(|lab| {
        let all = hosts(1, 60);
        let mut running = lab.start(lab.command().args(["--max-pps=50", "--timeout=1", "--retries=2"]));
        running.feed(list(&all));
        running.close_stdin();
        running.wait_until(LIMIT, "some answers", |_| lab.counts().answers >= 10);
        lab.ip(&["route", "change", "prohibit", "10.0.0.0/8"]);
        std::thread::sleep(Duration::from_secs(2));
        lab.ip(&["route", "del", "prohibit", "10.0.0.0/8"]);
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", DEVICE]);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 60), "{outcome:?}");
        assert_all(&outcome, &all, true);
    });
}

#[test]
fn a_route_lost_near_the_end_of_the_list_makes_no_host_unreachable() {
    lab::play(|lab| {
        for gone in [&["route", "del", "10.0.0.0/8"][..], &["route", "change", "prohibit", "10.0.0.0/8"]] {
            let before = lab.counts().answers;
            let all = hosts(1, 100);
            let mut running = lab.start(lab.command().args(["--max-pps=50", "--timeout=1", "--retries=0"]));
            running.feed(list(&all));
            running.close_stdin();
            running.wait_until(LIMIT, "most answers", |_| lab.counts().answers >= before + 80);
            lab.ip(gone);
            let outcome = running.finish(LIMIT);
            let lines = outcome.lines().len();
            assert!(outcome.code == Some(4) && (80..100).contains(&lines), "{outcome:?}");
            assert_all(&outcome, &all[..lines], true);
            lab.ip(&["route", "replace", "10.0.0.0/8", "via", "192.0.2.254", "dev", DEVICE]);
        }
    });
}

#[test]
fn two_forbidden_hosts_are_unreachable_anywhere_in_the_list() {
    lab::play(|lab| {
        for host in ["10.9.0.1", "10.9.0.2"] {
            lab.ip(&["route", "add", "prohibit", host]);
        }
        let others = hosts(1, 40);
        let forbidden = ["10.9.0.1".to_owned(), "10.9.0.2".to_owned()];
        for place in [0, 20, 40] {
            let all = [&others[..place], &forbidden, &others[place..]].concat();
            let outcome = lab.run(&FAST, list(&all));
            assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 42), "{place}: {outcome:?}");
            assert_all(&outcome, &others, true);
            assert_all(&outcome, &forbidden, false);
            let message = "xymonping: could not send to 2 targets, first 10.9.0.1: Permission denied";
            assert!(outcome.stderr.starts_with(message), "{outcome:?}");
        }
    });
}

#[test]
fn hosts_that_are_banned_in_mid_run_do_not_spoil_the_others() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let all = [hosts(1, 10), hosts(2, 2)].concat();
        // The rule forbids the two; both and one that is alive.
        for (banned, code) in [("10.2.0.0/16", 0), ("10.0.0.0/8", 4)] {
            lab.forget();
            let mut running = lab.start(lab.command().args(["--timeout=0.7", "--retries=1", "--max-pps=1000"]));
            running.feed(list(&all));
            running.close_stdin();
            running.wait_until(LIMIT, "all probes", |_| lab.seen().len() >= 12);
            lab.ip(&["rule", "add", "to", banned, "prohibit"]);
            let outcome = running.finish(LIMIT);
            let lines = if code == 0 { 12 } else { 10 };
            assert_eq!((outcome.code, outcome.lines().len()), (Some(code), lines), "{outcome:?}");
            assert_all(&outcome, &all[..10], true);
            assert_all(&outcome, &all[10..lines], false);
            lab.ip(&["rule", "del", "to", banned, "prohibit"]);
        }
    });
}

#[test]
fn without_its_ipv6_address_this_machine_calls_no_ipv6_host_unreachable() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("without_its_ipv6_address_this_machine_calls_no_ipv6_host_unreachable", "no IPv6");
        }
        // The route by a router's link-local address stays, and probes leave from such an address.
        lab.script("fd00::/16", vec![Behaviour::silent(), Behaviour::silent(), Behaviour::default()]);
        let all: Vec<String> = (1..=10).map(|n| format!("fd00::{n}")).collect();
        // Without any address of the link, the kernel takes ::1.
        for (scope, comes_back) in [("global", true), ("link", true), ("global", false)] {
            lab.forget();
            if !comes_back {
                lab.host("fd00::/16", Behaviour::silent());
            }
            let mut running = lab.start(lab.command().args(["--timeout=0.5", "--retries=0", "--max-pps=1000"]));
            running.feed(list(&all));
            running.close_stdin();
            running.wait_until(LIMIT, "all probes", |_| lab.seen().len() >= 10);
            if scope == "link" {
                lab.ip(&["-6", "route", "replace", "fd00::/16", "via", "2001:db8::fe", "dev", DEVICE]);
                lab.ip(&["-6", "addr", "flush", "dev", DEVICE, "scope", "link"]);
            }
            lab.ip(&["-6", "addr", "flush", "dev", DEVICE, "scope", "global"]);
            if comes_back {
                lab.wait_until("probes from a link-local address", || lab.seen().len() >= 20);
                lab.ip(&["-6", "addr", "add", "2001:db8::1/64", "dev", DEVICE, "nodad"]);
            }
            let outcome = running.finish(LIMIT);
            assert!(!outcome.stdout.contains("unreachable"), "{outcome:?}");
            assert_eq!(outcome.code, Some(if comes_back { 0 } else { 4 }), "{outcome:?}");
        }
    });
}

#[test]
fn without_a_carrier_no_host_is_unreachable_though_another_interface_is_up() {
    lab::play(|lab| {
        another_interface(lab);
        lab.ip(&["link", "set", FAR_DEVICE, "down"]);
        lab.wait_for_no_carrier();
        let all = hosts(1, 20);
        let outcome = lab.run(&FAST, list(&all));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
        assert!(
            outcome.stderr.starts_with("xymonping: no probe could leave this machine: Network is down"),
            "{outcome:?}"
        );
    });
}

#[test]
fn a_carrier_that_comes_back_in_time_makes_no_host_unreachable() {
    lab::play(|lab| {
        another_interface(lab);
        lab.ip(&["link", "set", FAR_DEVICE, "down"]);
        lab.wait_for_no_carrier();
        let all = hosts(1, 20);
        let mut running = lab.start(lab.command().args(["--max-pps=100", "--timeout=1", "--retries=2"]));
        running.feed(list(&all));
        running.close_stdin();
        std::thread::sleep(Duration::from_millis(500));
        lab.ip(&["link", "set", FAR_DEVICE, "up"]);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 20), "{outcome:?}");
        assert_all(&outcome, &all, true);
    });
}

#[test]
fn a_carrier_lost_in_mid_run_makes_no_host_unreachable() {
    lab::play(|lab| {
        another_interface(lab);
        // 300 ms away: the first probes are in flight when the carrier is lost.
        lab.host("10.0.0.0/8", Behaviour::after(lab::ms(300)));
        let all = hosts(1, 40);
        assert_fair_without_carrier(lab, ["--max-pps=100", "--timeout=1", "--retries=1"], &all);
    });
}

#[test]
fn probes_in_our_own_queue_make_no_host_unreachable() {
    lab::play(|lab| {
        // 98 bytes a packet: 40 of them in a second, and 200 may wait.
        if let Err(refusal) = lab.shape("32kbit", "19600") {
            return lab::skip("probes_in_our_own_queue_make_no_host_unreachable", &refusal);
        }
        let all = hosts(1, 120);
        let outcome = lab.run(&["--max-pps=1000", "--timeout=0.5", "--retries=1"], list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 120), "{outcome:?}");
        assert_all(&outcome, &all, true);
        assert!(outcome.stderr.starts_with("xymonping: packets waited in a queue of this machine: "), "{outcome:?}");
    });
}

#[test]
fn ten_silent_targets_and_no_other_cause_a_warning() {
    lab::play(|lab| {
        lab.host("10.0.0.0/8", Behaviour::silent());
        let outcome = lab.run(&FAST, list(&hosts(1, 10)));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(outcome.stderr.starts_with("xymonping: none of 10 targets answered "), "{outcome:?}");
        let outcome = lab.run(&FAST, list(&hosts(1, 9)));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
    });
}

#[test]
fn without_a_reply_from_a_reference_no_host_is_unreachable() {
    lab::play(|lab| {
        lab.host("10.0.0.0/8", Behaviour::silent());
        lab.host("10.5.0.1", Behaviour::default());
        let silent = list(&hosts(1, 5));
        let outcome = lab.run(&["--timeout=0.3", "--retries=0", "--reference=10.5.0.1"], &silent);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 5), "{outcome:?}");
        assert_all(&outcome, &hosts(1, 5), false);
        let args = ["--timeout=0.3", "--retries=0", "--reference=10.6.0.1", "--reference=10.6.0.2"];
        let outcome = lab.run(&args, &silent);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
        assert!(
            outcome.stderr.starts_with(
                "xymonping: no reference answered: 5 silent targets undecided (no line; see: ip route get 10.6.0.1)"
            ),
            "{outcome:?}"
        );
        let outcome = lab.run(&["--reference=router"], &silent);
        let message = "xymonping: --reference=\"router\": not an IP address (give one IP address)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), message), "{outcome:?}");
    });
}
