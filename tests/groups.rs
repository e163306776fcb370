//! `--dont-route` and multicast targets: probes leave by the interface that was asked for, as far
//! as was asked for, and every member of a group answers for it.

mod lab;

use std::net::IpAddr;

use lab::caller::{self, Rights};
use lab::{Behaviour, DEVICE, Finished, HOST4, HOST6, LIMIT, Lab};

const GROUP4: &str = "239.1.2.3";
const FAST: [&str; 3] = ["--timeout=300ms", "--retries=0", "--max-pps=1000"];

fn run(lab: &Lab, args: &[&str]) -> Finished {
    lab.forget();
    lab.run(&[&FAST[..], args].concat(), "")
}

/// A group of which the host at this address is a member.
fn member(lab: &Lab, group: &str, host: &str) {
    let from: IpAddr = host.parse().expect("an address");
    lab.host(group, Behaviour { from: Some(from), ..Behaviour::default() });
}

#[test]
fn without_routes_neighbours_are_reached_and_nobody_else() {
    lab::play(|lab| {
        let neighbours = ["192.0.2.11", "192.0.2.12", "192.0.2.13"];
        let outcome = run(lab, &[&["--dont-route"], &neighbours[..], &["10.0.0.1"]].concat());
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        for neighbour in neighbours {
            assert!(outcome.is_alive(neighbour), "{outcome:?}");
        }
        assert_eq!(outcome.verdict_of("10.0.0.1"), "unreachable", "by the choice of the caller");
        let words = "xymonping: could not send to 10.0.0.1: Network is unreachable (";
        assert!(outcome.stderr.starts_with(words), "{outcome:?}");
        assert!(lab.seen_of("10.0.0.1").is_empty());
        assert!(run(lab, &["10.0.0.1"]).is_alive("10.0.0.1"), "there is a route");
        let outcome = run(lab, &["--dont-route", "10.0.0.1", "10.0.0.2"]);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    });
}

#[test]
fn a_member_answers_for_its_group() {
    lab::play(|lab| {
        member(lab, GROUP4, "192.0.2.77");
        member(lab, "ff05::9", "fd00::77");
        let groups = if lab.has_ipv6() { &[GROUP4, "ff05::9"][..] } else { &[GROUP4] };
        for group in groups {
            // Nor is that another source than the one that was probed.
            for args in [&[][..], &["--check-source"]] {
                let outcome = run(lab, &[args, &["--multicast-interface=lab0", group]].concat());
                assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}: {outcome:?}");
                assert!(outcome.is_alive(group), "{args:?}: {outcome:?}");
            }
            let seen = lab.seen();
            assert_eq!((seen.len(), seen[0].ttl), (1, 1), "it does not leave the network");
            assert!(run(lab, &["--multicast-interface=lab0", "--multicast-ttl=7", "--ttl=9", group]).is_alive(group));
            assert_eq!(lab.seen()[0].ttl, 7);
        }
        // A target that is none is sent with the TTL of all others.
        run(lab, &["--multicast-interface=lab0", "--multicast-ttl=7", "--ttl=9", GROUP4, "10.0.0.1"]);
        assert_eq!(lab.seen_of("10.0.0.1")[0].ttl, 9);
    });
}

#[test]
fn the_interface_is_chosen_by_name_number_or_address() {
    lab::play(|lab| {
        member(lab, GROUP4, "192.0.2.77");
        // Without a choice the packets would be lost there.
        lab.ip(&["link", "add", "other0", "type", "veth", "peer", "name", "other1"]);
        lab.ip(&["link", "set", "other1", "up"]);
        lab.ip(&["link", "set", "other0", "up"]);
        lab.ip(&["addr", "add", "198.18.0.1/24", "dev", "other0"]);
        lab.ip(&["route", "add", "224.0.0.0/4", "dev", "other0"]);
        assert_eq!(run(lab, &[GROUP4]).verdict_of(GROUP4), "unreachable");
        let index = lab.ip(&["-o", "link", "show", DEVICE]).split(':').next().expect("a number").trim().to_owned();
        let (v4, v6) = (HOST4.to_string(), HOST6.to_string());
        let choices = [DEVICE, &index, &v4, &v6];
        for choice in &choices[..if lab.has_ipv6() { 4 } else { 3 }] {
            let outcome = run(lab, &[&format!("--multicast-interface={choice}"), GROUP4]);
            assert!(outcome.is_alive(GROUP4), "{choice}: {outcome:?}");
        }
        let expected = "(give an interface, or an address of this machine)\n";
        for choice in ["other9", "999", "192.0.2.99", "fe80::"] {
            let outcome = run(lab, &[&format!("--multicast-interface={choice}"), GROUP4]);
            let words = format!("xymonping: --multicast-interface: bad value \"{choice}\" {expected}");
            assert_eq!((outcome.code, outcome.stderr), (Some(3), words));
        }
    });
}

#[test]
fn this_machine_is_a_member_unless_it_is_left_out() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("this_machine_is_a_member_unless_it_is_left_out", "no IPv6");
        }
        // All nodes of the link: this machine is one, and the only one in the lab that answers.
        let group = "ff02::1%lab0";
        lab.host("ff02::1", Behaviour::silent());
        assert!(run(lab, &[group]).is_alive(group));
        assert_eq!(run(lab, &["--no-multicast-loop", group]).verdict_of(group), "unreachable");
    });
}

#[test]
fn options_for_groups_need_a_group() {
    lab::play(|lab| {
        for option in ["--multicast-ttl=3", "--multicast-interface=lab0", "--no-multicast-loop"] {
            let outcome = run(lab, &[option, "10.0.0.1"]);
            let name = option.split('=').next().unwrap_or(option);
            let words =
                format!("xymonping: {name}: needs a target that is a multicast address (add it, or leave this out)\n");
            assert_eq!((outcome.code, outcome.stderr), (Some(3), words), "{option}");
        }
        for value in ["", "256", "-1", "1.5"] {
            assert_eq!(run(lab, &[&format!("--multicast-ttl={value}"), GROUP4]).code, Some(3), "{value}");
        }
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn ordinary_users_have_one_probe_a_second_for_all_groups() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let groups = [GROUP4, "239.1.2.4"];
        for group in groups {
            member(lab, group, "192.0.2.77");
        }
        let run = |args: &[&str]| {
            lab.forget();
            let outcome = lab.start(caller::ordinary(&program).args(args).args(groups)).finish(LIMIT);
            let mut times: Vec<_> = lab.seen().iter().map(|seen| seen.time).collect();
            times.sort_unstable();
            // By the wire's stamps, which are a little later than our clock's.
            let spacing = std::time::Duration::from_millis(980);
            assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= spacing), "{times:?}");
            (outcome, times.len())
        };
        let args = ["--count=2", "--period=0.1", "--timeout=1", "--late=0", "--multicast-interface=lab0"];
        let (outcome, probes) = run(&args);
        assert_eq!((outcome.code, probes), (Some(0), 4), "{outcome:?}");
        let warning = "xymonping: multicast groups: 2, one probe to each every 2 s (the limit for ordinary users)\n";
        assert_eq!(outcome.stderr, warning);
        assert_eq!(outcome.stdout.matches(&format!("(for {GROUP4})")).count(), 2, "{outcome:?}");
        // A list of verdicts is no place for them.
        let (outcome, probes) = run(&["--timeout=1"]);
        assert_eq!((outcome.code, probes), (Some(3), 0), "{outcome:?}");
        lab.ip(&["route", "add", "224.0.0.0/4", "dev", DEVICE]);
        let (outcome, probes) = run(&["--as=fping", "-c1", "-t500"]);
        assert_eq!((outcome.code, probes), (Some(0), 2), "{outcome:?}");
        let paced = "fping: multicast groups: 2, one probe to each every 2 s (the limit for ordinary users)\n";
        assert!(outcome.stderr.starts_with(paced), "{outcome:?}");
        let (outcome, probes) = run(&["--as=fping", "-t500"]);
        assert_eq!((outcome.code, probes), (Some(0), 2), "{outcome:?}");
        let raised = "fping: -i raised to 1000 ms (the limit for ordinary users where there are multicast addresses)\n";
        assert!(outcome.stderr.starts_with(raised), "{outcome:?}");
        // For root there is no such limit.
        lab.forget();
        lab.run(&[&args[..], &groups].concat(), "");
        assert_eq!(lab.seen().len(), 4);
        let times: Vec<_> = lab.seen().iter().map(|seen| seen.time).collect();
        let is_close = |pair: &[std::time::Instant]| pair[1] - pair[0] < std::time::Duration::from_millis(980);
        assert!(times.windows(2).any(is_close), "{times:?}");
    });
}
