//! Whose failure it is that a packet cannot leave: this machine's, whose network is gone, or nobody's, because there is
//! no way to some hosts. And neighbours that nobody answers for, whose packets the kernel keeps for seconds.

use crate::lab::{self, Behaviour, DEVICE, Finished, HOST4, Lab};
use crate::{assert_all, hosts, list};

const FAST: [&str; 3] = ["--timeout=0.3", "--retries=1", "--max-pps=1000"];

/// These answer whatever happens to the network.
const OURS: [&str; 2] = ["127.0.0.1", "192.0.2.1"];
/// There is no route to 11.0.0.0/8 here.
const ROUTELESS: [&str; 3] = ["11.0.0.1", "11.0.0.2", "11.0.0.3"];

/// The run failed, our own addresses are alive at most, and nobody is down.
fn takes_nobody_down(outcome: &Finished, case: &str) {
    assert_eq!(outcome.code, Some(4), "{case}: {outcome:?}");
    assert!(!outcome.stdout.contains("unreachable"), "{case}: {outcome:?}");
    assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{case}: {outcome:?}");
}

/// The run completed; those without a route are unreachable, with the reason on stderr, and all others are alive.
fn tells_of_missing_routes(lab: &Lab, list_of: &[&str]) {
    let outcome = lab.run(&FAST, list(list_of));
    let (routeless, alive): (Vec<&str>, Vec<&str>) = list_of.iter().partition(|host| host.starts_with("11."));
    assert_eq!(outcome.code, Some(0), "{list_of:?}: {outcome:?}");
    assert_eq!(outcome.lines().len(), list_of.len(), "{list_of:?}: {outcome:?}");
    assert_all(&outcome, &routeless, false);
    assert_all(&outcome, &alive, true);
    let told = match routeless[..] {
        [only] => format!("could not send to {only}: "),
        _ => format!("could not send to {} targets, first {}: ", routeless.len(), routeless[0]),
    };
    assert!(outcome.first_stderr_line().contains(&told), "{list_of:?}: {outcome:?}");
    assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{list_of:?}: {outcome:?}");
}

#[test]
fn a_network_that_is_down_takes_nobody_down_though_we_reach_ourselves() {
    lab::play(|lab| {
        assert_eq!(OURS[1], HOST4.to_string());
        lab.ip(&["link", "set", DEVICE, "down"]);
        let others = hosts(1, 20);
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        for (case, parts) in [
            ("first", [&OURS[..], &others]),
            ("last", [&others, &OURS]),
            ("around", [&OURS[..1], &[&others[..], &OURS[1..]].concat()]),
            ("in between", [&others[..10], &[&OURS[..], &others[10..]].concat()]),
        ] {
            let outcome = lab.run(&FAST, list(&parts.concat()));
            takes_nobody_down(&outcome, case);
            assert_all(&outcome, &OURS, true);
            assert_eq!(outcome.lines().len(), 2, "{case}: {outcome:?}");
        }
    });
}

#[test]
fn hosts_without_a_route_at_the_end_of_the_list_do_not_void_the_run() {
    lab::play(|lab| {
        let routed = hosts(1, 10);
        let routed: Vec<&str> = routed.iter().map(String::as_str).collect();
        for last in [&ROUTELESS[..1], &ROUTELESS] {
            tells_of_missing_routes(lab, &[&routed, last].concat());
            tells_of_missing_routes(lab, &[&OURS[..1], &routed, last].concat());
            tells_of_missing_routes(lab, &[&OURS[..], &routed, last].concat());
            // Right behind ourselves, whom we always reach.
            tells_of_missing_routes(lab, &[&routed, &OURS[..1], last].concat());
            tells_of_missing_routes(lab, &[&routed[..], &OURS, last].concat());
            tells_of_missing_routes(lab, &[last, &routed].concat());
            tells_of_missing_routes(lab, &[&OURS[..1], last, &routed].concat());
        }
    });
}

#[test]
fn many_silent_neighbours_hold_up_nobody_else() {
    lab::play(|lab| {
        // Neighbours are asked for by ARP now, and nobody answers that but those who are known by hand. What is sent to
        // the others the kernel keeps, until a socket may send nothing more.
        lab.ip(&["link", "set", DEVICE, "arp", "on"]);
        lab.set_sysctl(&format!("net.ipv4.neigh.{DEVICE}.retrans_time_ms"), "500");
        let known = ["192.0.2.254", "198.18.9.1", "198.18.9.2"];
        for neighbour in known {
            let far = "02:00:00:00:00:02";
            lab.ip(&["neigh", "replace", neighbour, "lladdr", far, "dev", DEVICE, "nud", "permanent"]);
        }
        lab.ip(&["route", "add", "198.18.0.0/16", "dev", DEVICE]);
        // Of those who would answer a ping, nobody is there.
        lab.host("198.18.0.0/16", Behaviour::silent());
        for neighbour in &known[1..] {
            lab.host(neighbour, Behaviour::default());
        }
        let silent: Vec<String> = (0..600).map(|n| format!("198.18.{}.{}", n / 250, n % 250 + 1)).collect();
        let routed = hosts(1, 60);
        // Before the silent ones, among them and behind them.
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
        assert!(outcome.stderr.contains(" send errors: 0,"), "a queue that is full is no error: {}", outcome.stderr);
        assert!(lab.seen_of("198.18.0.0/21").is_empty(), "the kernel knew where to send them");
        assert_eq!(lab.seen().len(), 62, "nobody who answers was asked twice");
    });
}

#[test]
fn what_our_own_queue_has_no_room_for_is_nobodys_silence() {
    lab::play(|lab| {
        // 98 bytes a packet: 20 of them in a second, and room for 10 that wait.
        if let Err(refusal) = lab.shape("16kbit", "1540") {
            return lab::skip("what_our_own_queue_has_no_room_for_is_nobodys_silence", &refusal);
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
fn hosts_that_the_kernel_has_never_buffers_for_are_particular_and_delay_no_other() {
    lab::play(|lab| {
        // The other end takes no packet of this size, and then the kernel says that it had no room.
        lab.ip(&["link", "add", "wide", "mtu", "9000", "type", "veth", "peer", "name", "narrow", "mtu", "1500"]);
        for end in ["wide", "narrow"] {
            lab.ip(&["link", "set", end, "up"]);
        }
        lab.ip(&["route", "add", "11.0.0.0/8", "dev", "wide"]);
        let far = "02:00:00:00:00:02";
        for host in ROUTELESS {
            lab.ip(&["neigh", "replace", host, "lladdr", far, "dev", "wide", "nud", "permanent"]);
        }
        let others = hosts(1, 3);
        let all: Vec<&str> = ROUTELESS.into_iter().zip(&others).flat_map(|(lost, host)| [lost, host]).collect();
        let outcome = lab.run(&["--size=2000", "--timeout=0.3", "--retries=0"], list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), all.len()), "{outcome:?}");
        assert_all(&outcome, &others, true);
        assert_all(&outcome, &ROUTELESS, false);
        let told = "xymonping: could not send to 3 targets, first 11.0.0.1: No buffer space available";
        assert!(outcome.first_stderr_line().starts_with(told), "{outcome:?}");
    });
}

#[test]
fn without_a_network_a_host_beside_ourselves_is_our_own_trouble() {
    lab::play(|lab| {
        lab.ip(&["link", "set", "lab0", "down"]);
        for list in ["10.0.0.1\n127.0.0.1\n", "127.0.0.1\n10.0.0.1\n", "10.0.0.1\n192.0.2.1\n10.0.0.2\n127.0.0.1\n"] {
            let outcome = lab.run(&["--max-pps=1000", "--timeout=0.2", "--retries=1"], list);
            assert_eq!(outcome.code, Some(4), "{list:?}: {outcome:?}");
            let complaint = "xymonping: no probe could leave this machine: Network is unreachable";
            assert!(outcome.first_stderr_line().starts_with(complaint), "{list:?}: {outcome:?}");
            assert!(outcome.lines().iter().all(|line| line.contains(" is alive (")), "{list:?}: {outcome:?}");
        }
    });
}
