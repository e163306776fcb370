//! More than one way out: bridges, several next hops, and routes that move to another link.

use std::fs;

use crate::lab::{self, Behaviour, DEVICE, LIMIT, Lab};
use crate::{assert_all, assert_fair_without_carrier, hosts, list};

const FAST: [&str; 3] = ["--timeout=0.3", "--retries=1", "--max-pps=200"];

/// Hosts that never reply.
const SILENT: &str = "10.2.0.0/16";

fn ip_lines(lab: &Lab, lines: &str) {
    for line in lines.lines() {
        lab.ip(&line.split_whitespace().collect::<Vec<_>>());
    }
}

/// Puts the device in a bridge with another port, which is up, and moves the routes to the bridge.
fn bridge(lab: &Lab) {
    ip_lines(
        lab,
        "link add br0 address 02:00:00:00:00:01 type bridge
         link add port0 type veth peer name port1
         addr flush dev lab0
         link set lab0 master br0
         link set port0 master br0
         link set port0 up
         link set port1 up
         link set br0 up
         addr add 192.0.2.1/24 dev br0
         neigh add 192.0.2.254 lladdr 02:00:00:00:00:02 dev br0 nud permanent
         route add 10.0.0.0/8 via 192.0.2.254",
    );
}

/// Adds another uplink, behind which nobody replies.
fn another_uplink(lab: &Lab) {
    ip_lines(
        lab,
        "link add up0 arp off type veth peer name up1
         addr add 172.16.0.1/24 dev up0
         link set up1 up
         link set up0 up",
    );
}

/// How many packets a device has sent.
fn sent_over(lab: &Lab, device: &str) -> u64 {
    let devices = lab.inside(|| fs::read_to_string("/proc/thread-self/net/dev")).expect("/proc is mounted");
    let columns = devices.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'));
    columns.and_then(|columns| columns.split_whitespace().nth(9)?.parse().ok()).expect("the device is there")
}

#[test]
fn a_bridge_whose_uplink_has_no_carrier_makes_no_host_unreachable() {
    lab::play(|lab| {
        bridge(lab);
        let all = hosts(1, 40);
        assert_all(&lab.run(&FAST, list(&all)), &all, true);
        assert_fair_without_carrier(lab, FAST, &all);
        // It has none from the start, and the router behind it is missing.
        lab.ip(&["neigh", "del", "192.0.2.254", "dev", "br0"]);
        let outcome = lab.run(&FAST, list(&all));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    });
}

#[test]
fn a_bridge_with_another_port_without_a_carrier_is_no_excuse() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        bridge(lab);
        let all = [hosts(1, 20), hosts(2, 5)].concat();
        // From the start; in mid-run it comes and goes.
        lab.ip(&["link", "set", "port1", "down"]);
        for _ in 0..2 {
            let mut running = lab.start(lab.command().args(FAST));
            running.feed(list(&all));
            running.close_stdin();
            for state in ["up", "down", "up", "down"] {
                lab.ip(&["link", "set", "port1", state]);
            }
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 25), "{outcome:?}");
            assert_all(&outcome, &all[..20], true);
            assert_all(&outcome, &all[20..], false);
        }
    });
}

#[test]
fn a_next_hop_without_a_carrier_makes_no_host_unreachable() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        another_uplink(lab);
        // By the hash of more than the addresses, which cannot be asked for.
        lab.set_sysctl("net.ipv4.fib_multipath_hash_policy", "1");
        let [first, second] = [["nexthop", "via", "192.0.2.254"], ["nexthop", "via", "172.16.0.2"]];
        lab.ip(&[&["route", "replace", "10.0.0.0/8"][..], &first, &second].concat());
        lab.ip(&["link", "set", "up1", "down"]);
        let all = hosts(1, 30);
        let outcome = lab.run(&FAST, list(&all));
        let alive: Vec<_> = lab.answered().iter().map(|answered| answered.host.to_string()).collect();
        assert!(!alive.is_empty() && alive.len() < 30, "{alive:?}");
        assert_eq!((outcome.code, outcome.lines().len()), (Some(4), alive.len()), "{outcome:?}");
        assert_all(&outcome, &alive, true);
        // Where it is not used any more, silence is the hosts' own. (The kernel decides that when
        // the link goes down.)
        lab.set_sysctl("net.ipv4.conf.up0.ignore_routes_with_linkdown", "1");
        lab.ip(&["link", "set", "up1", "up"]);
        lab.wait_until("the link is up", || !lab.ip(&["route", "show", "10.0.0.0/8"]).contains("linkdown"));
        lab.ip(&["link", "set", "up1", "down"]);
        lab.wait_until("the hop is dead", || lab.ip(&["route", "show", "10.0.0.0/8"]).contains("dead linkdown"));
        let all = [all, hosts(2, 5)].concat();
        let outcome = lab.run(&FAST, list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 35), "{outcome:?}");
        assert_all(&outcome, &all[..30], true);
        assert_all(&outcome, &all[30..], false);
    });
}

#[test]
fn a_route_that_moves_to_another_link_makes_no_host_unreachable() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        another_uplink(lab);
        let all = [hosts(1, 30), hosts(2, 5)].concat();
        lab.ip(&["route", "replace", "10.0.0.0/8", "via", "172.16.0.2"]);
        let before = sent_over(lab, "up0");
        let mut running = lab.start(lab.command().args(["--timeout=1", "--retries=0", "--max-pps=50"]));
        running.feed(list(&all));
        running.close_stdin();
        running.wait_until(LIMIT, "some probes", |_| sent_over(lab, "up0") >= before + 5);
        lab.ip(&["link", "set", "up1", "down"]);
        lab.ip(&["route", "replace", "10.0.0.0/8", "via", "192.0.2.254", "dev", DEVICE]);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 35), "{outcome:?}");
        assert_all(&outcome, &all[..30], true);
        assert_all(&outcome, &all[30..], false);
    });
}
