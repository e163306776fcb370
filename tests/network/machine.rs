//! This machine: routes, devices, source addresses, sockets without privilege.

use std::net::IpAddr;

use crate::lab::caller::{self, Rights, ordinary};
use crate::lab::{self, Answer, Behaviour, HOST4, HOST4_OTHER, HOST6, HOST6_OTHER, Lab};
use crate::{assert_all, hosts, list};

const FAST: [&str; 2] = ["--timeout=0.3", "--retries=1"];

fn add_route(lab: &Lab) {
    lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
}

#[test]
fn probes_come_from_the_requested_source() {
    lab::play(|lab| {
        let mut cases = vec![("10.0.0.1", IpAddr::from(HOST4)), ("10.0.0.1", HOST4_OTHER.into())];
        if lab.has_ipv6() {
            cases.extend([("fd00::1", IpAddr::from(HOST6)), ("fd00::1", HOST6_OTHER.into())]);
        }
        for (host, source) in cases {
            lab.forget();
            let outcome = lab.run(&[format!("--source={source}").as_str()], format!("{host}\n"));
            assert_all(&outcome, &[host], true);
            assert_eq!(lab.seen().iter().map(|seen| seen.src).collect::<Vec<_>>(), [source]);
        }
        if lab.has_ipv6() {
            lab.forget();
            let sources = [format!("--source={HOST4_OTHER}"), format!("--source={HOST6_OTHER}")];
            let outcome = lab.run(&[&sources[0], &sources[1]], "10.0.0.1\nfd00::1\n");
            assert_all(&outcome, &["10.0.0.1", "fd00::1"], true);
            let sources: Vec<IpAddr> = lab.seen().iter().map(|seen| seen.src).collect();
            assert_eq!(sources, [IpAddr::from(HOST4_OTHER), HOST6_OTHER.into()]);
        }
    });
}

#[test]
fn an_address_of_another_machine_or_of_several_is_refused_as_a_source() {
    lab::play(|lab| {
        let wrong = [
            "10.0.0.1",
            "198.51.100.1",
            "192.0.2.255",
            "192.0.2.0",
            "127.255.255.255",
            "255.255.255.255",
            "224.0.0.1",
            "0.0.0.0",
            "999.1.1.1",
            "fd00::1",
            "ff02::1%lab0",
            "ff02::1",
            "::",
            "fe80::1",
            "fe80::1%lab7",
            "fe80::1%0",
            "fe80::1%999",
            "lab0",
            "",
        ];
        for source in wrong {
            let outcome = lab.run(&[&format!("--source={source}"), "--timeout=0.1"], "10.0.0.7\nfd00::7\n");
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{source}: {outcome:?}");
            assert!(outcome.first_stderr_line().contains("--source"), "{source}: {outcome:?}");
        }
        assert_eq!(lab.seen().len(), 0);
    });
}

#[test]
fn with_the_network_down_no_host_is_unreachable() {
    lab::play(|lab| {
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        let both = lab.run(&FAST, "10.0.0.1\n10.0.0.2\nfd00::1\n");
        let one = lab.run(&FAST, "10.0.0.1\n");
        for outcome in [both, one] {
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
            assert!(outcome.first_stderr_line().contains("no probe could leave this machine"), "{outcome:?}");
        }
    });
}

#[test]
fn without_carrier_no_host_is_unreachable() {
    lab::play(|lab| {
        lab.ip(&["link", "set", lab::FAR_DEVICE, "down"]);
        lab.wait_for_no_carrier();
        for far in
            ["10.0.0.1\n", "10.0.0.1\n10.0.0.2\nfd00::1\n", "10.0.0.1\n192.0.2.1\n127.0.0.1\n", "127.0.0.1\n10.0.0.1\n"]
        {
            let outcome = lab.run(&FAST, far);
            assert_eq!(outcome.code, Some(4), "{outcome:?}");
            let message = "xymonping: no probe could leave this machine: Network is down";
            assert!(outcome.first_stderr_line().starts_with(message), "{outcome:?}");
            assert!(outcome.lines().iter().all(|line| line.contains(" is alive (")), "{outcome:?}");
        }
        // Addresses of this machine need no carrier.
        let outcome = lab.run(&FAST, "127.0.0.1\n192.0.2.1\n");
        assert_all(&outcome, &["127.0.0.1", "192.0.2.1"], true);
    });
}

#[test]
fn without_a_route_no_host_is_unreachable() {
    lab::play(|lab| {
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let outcome = lab.run(&FAST, list(&hosts(1, 20)));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
        assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{outcome:?}");
    });
}

#[test]
fn a_network_that_fails_in_mid_run_makes_no_host_unreachable() {
    lab::play(|lab| {
        let all = hosts(1, 100);
        let mut running = lab.start(lab.command().args(FAST).arg("--max-pps=50"));
        running.feed(list(&all));
        running.close_stdin();
        running.wait_until(lab::LIMIT, "some answers", |_| lab.counts().answers >= 20);
        // These were sent before the link goes down. Other replies may still be on their way.
        let answered: Vec<String> = lab.answered().iter().map(|answer| answer.host.to_string()).collect();
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        let probed: Vec<String> = lab.seen().iter().map(|seen| seen.dst.to_string()).collect();
        let outcome = running.finish(lab::LIMIT);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(probed.len() < all.len(), "the run was over before the link went down");
        assert_all(&outcome, &answered, true);
        for host in all.iter().filter(|host| !probed.contains(host)) {
            assert_eq!(outcome.verdict_of(host), "", "{host} was never probed");
        }
        assert!(outcome.first_stderr_line().contains("IPv4 sending failed"), "{outcome:?}");
    });
}

#[test]
fn an_ipv6_line_does_not_fail_the_run_of_an_ipv4_machine() {
    lab::play(|lab| {
        if lab.has_ipv6() {
            lab.set_sysctl("net.ipv6.conf.all.disable_ipv6", "1");
        }
        let outcome = lab.run(&FAST, "10.0.0.1\nfd00::1\n10.0.0.2\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &["10.0.0.1", "10.0.0.2"], true);
        assert_all(&outcome, &["fd00::1"], false);
        assert!(outcome.stderr.contains("fd00::1"), "the reason is reported: {outcome:?}");
    });
}

#[test]
fn hosts_without_a_route_are_unreachable_if_others_have_one() {
    lab::play(|lab| {
        // 11.0.0.0/8 has no route here. Their retries are last, when there is no other host to send
        // to.
        let routed = hosts(1, 10);
        let outcome = lab.run(&FAST, "11.0.0.1\n".to_owned() + &list(&routed) + "11.0.0.2\n10.0.0.1\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &routed, true);
        assert_all(&outcome, &["11.0.0.1", "11.0.0.2"], false);
        assert!(outcome.first_stderr_line().contains("Network is unreachable"), "{outcome:?}");
        assert!(outcome.first_stderr_line().contains("11.0.0.1"), "{outcome:?}");
    });
}

#[test]
fn a_route_that_is_missing_for_a_while_makes_no_host_unreachable() {
    lab::play(|lab| {
        let all = hosts(1, 10);
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let mut running = lab.start(lab.command().args(["--debug", "--timeout=1", "--retries=2"]));
        running.feed(list(&all) + "192.0.2.99\n");
        running.close_stdin();
        running.wait_until(lab::LIMIT, "its first refusal", |running| running.stderr_so_far().contains("refused"));
        add_route(lab);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &all, true);
        assert_all(&outcome, &["192.0.2.99"], true);
    });
}

#[test]
fn ordinary_users_ping_without_privilege_where_ping_group_range_allows_it() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        lab.host("10.0.0.2", Behaviour::silent());
        lab.host("10.0.0.3", Behaviour::answering(Answer::BadChecksum));
        lab.host("10.0.0.4", Behaviour::answering(Answer::ZeroedData));
        lab.host("10.0.0.5", Behaviour { copies: 3, ..Behaviour::default() });
        let from = Some("10.0.0.66".parse().expect("an address"));
        lab.host("10.0.0.6", Behaviour { from, ..Behaviour::default() });
        lab.host("fd00::2", Behaviour::silent());
        let (mut alive, mut dead) =
            (vec!["10.0.0.1", "10.0.0.5", "10.0.0.6"], vec!["10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        if lab.has_ipv6() {
            alive.push("fd00::1");
            dead.push("fd00::2");
        }
        let input = list(&alive) + &list(&dead);
        let run = |args: &[&str]| {
            let running = lab.start(ordinary(&program).args(FAST).args(args));
            running.feed(&input);
            running.finish(lab::LIMIT)
        };
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let refused = run(&[]);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""), "{refused:?}");
        assert!(refused.first_stderr_line().contains("chmod u+s"), "{refused:?}");
        assert_eq!(lab.seen().len(), 0);

        lab.set_sysctl("net.ipv4.ping_group_range", "0 2147483647");
        let outcome = run(&[]);
        let told = "xymonping: unreachable targets that did answer: 1, damaged: 1, the first 10.0.0.4 (see --debug)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), told), "{outcome:?}");
        assert_all(&outcome, &alive, true);
        assert_all(&outcome, &dead, false);
        assert_all(&run(&["--check-source"]), &["10.0.0.6"], false);
        lab.forget();
        assert_all(&run(&[&format!("--source={HOST4_OTHER}")]), &["10.0.0.1"], true);
        assert!(lab.seen_of("10.0.0.0/8").iter().all(|seen| seen.src == IpAddr::from(HOST4_OTHER)));
        let foreign = run(&["--source=198.51.100.1"]);
        assert_eq!((foreign.code, foreign.stdout.as_str()), (Some(3), ""), "{foreign:?}");
    });
}
