//! The properties of probes on the wire, and their order.
//!
//! The size, pattern, TTL and so on of probes are checked at the far end of the wire. Whatever they
//! are, replies are recognized; and if the kernel refuses to send such probes, no host is
//! unreachable.

mod lab;

use std::collections::BTreeSet;
use std::net::IpAddr;

use lab::caller::{self, Rights, ordinary};
use lab::{Behaviour, DEVICE, Finished, LIMIT, Lab, Seen, assert_all};

const ALIVE: [&str; 2] = ["10.0.0.1", "fd00::1"];

/// A live host of each family that the kernel has.
fn hosts(lab: &Lab) -> &'static [&'static str] {
    if lab.has_ipv6() { &ALIVE } else { &ALIVE[..1] }
}

/// Probes one live host of each family with these options, and returns the probes that the wire
/// saw.
fn seen(lab: &Lab, args: &[&str]) -> Vec<Seen> {
    lab.forget();
    let outcome = lab.run(&[args, hosts(lab)].concat(), "");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}: {outcome:?}");
    assert!(hosts(lab).iter().all(|host| outcome.is_alive(host)), "{args:?}: {outcome:?}");
    let seen = lab.seen();
    assert_eq!(seen.len(), hosts(lab).len(), "{args:?}");
    seen
}

/// The run was refused with exit code 3 and this message, and no packet was sent.
fn is_refused(lab: &Lab, outcome: &Finished, message: &str) {
    assert_eq!(outcome.code, Some(3), "{outcome:?}");
    assert_eq!(outcome.first_stderr_line(), format!("xymonping: {message}"));
    assert_eq!(outcome.stdout, "");
    assert!(lab.seen().is_empty());
}

// The order.

#[test]
fn shuffled_probes_are_sent_in_random_order_and_lines_keep_that_of_the_list() {
    lab::play(|lab| {
        let v4: Vec<String> = (1..=200).map(|n| format!("10.1.0.{n}")).collect();
        let v6: Vec<String> = (1..=if lab.has_ipv6() { 200 } else { 0 }).map(|n| format!("fd00::{n:x}")).collect();
        // The list alternates between the families, so its order is not that of the probes.
        let list: Vec<&str> =
            (0..200).flat_map(|n| v6.get(n).into_iter().chain(v4.get(n))).map(String::as_str).collect();
        let input = list.join("\n");
        let order = |args: &[&str]| {
            lab.forget();
            let outcome = lab.run(&[&["--max-pps=2000"], args].concat(), &input);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
            let lines: Vec<&str> =
                outcome.lines().iter().filter_map(|line| Some(line.split_once(" is alive (")?.0)).collect();
            assert_eq!(lines, list, "{args:?}");
            let order: Vec<IpAddr> = lab.seen().iter().map(|seen| seen.dst).collect();
            assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), list.len(), "{args:?}");
            assert_eq!(order.len(), list.len(), "{args:?}: one probe for each");
            assert!(order.is_sorted_by_key(IpAddr::is_ipv6), "{args:?}: IPv4 before IPv6");
            order
        };
        let (plain, one, other) = (order(&[]), order(&["--shuffle"]), order(&["--shuffle"]));
        let listed: Vec<IpAddr> = v4.iter().chain(&v6).map(|host| host.parse().expect("an address")).collect();
        assert_eq!(plain, listed);
        // The odds that 200 are shuffled into the same order are negligible.
        assert_ne!(one, plain);
        assert_ne!(other, plain);
        assert_ne!(one, other);
        let unmoved = one.iter().zip(&plain).filter(|(one, plain)| one == plain).count();
        assert!(unmoved < list.len() / 4, "{unmoved} of {} are where they were", list.len());
    });
}

#[test]
fn shuffled_targets_have_retries_and_verdicts_like_others() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let (alive, silent): (Vec<_>, Vec<_>) =
            (1..=40).map(|n| (format!("10.1.0.{n}"), format!("10.2.0.{n}"))).unzip();
        let input = silent.iter().chain(&alive).map(|host| format!("{host}\n")).collect::<String>();
        let outcome = lab.run(&["--shuffle", "--max-pps=1000", "--timeout=500ms", "--retries=2"], input);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(alive.iter().all(|host| outcome.is_alive(host) && lab.seen_of(host).len() == 1), "{outcome:?}");
        assert!(silent.iter().all(|host| outcome.verdict_of(host) == "unreachable"), "{outcome:?}");
        assert!(silent.iter().all(|host| lab.seen_of(host).len() == 3));
    });
}

// The data.

#[test]
fn probes_have_the_requested_size() {
    lab::play(|lab| {
        for (args, size) in [
            (&[][..], 56),
            (&["--size=16"], 16),
            (&["--size=17"], 17),
            (&["--size=56"], 56),
            (&["--size=1452"], 1452),
            (&["--size=1472"], 1472),
            (&["--size", "9000"], 9000),
            (&["--size=65487"], 65_487),
            (&["-b", "100"], 100),
            (&["-b1000"], 1000),
            (&["-Aeb24"], 24),
        ] {
            assert!(seen(lab, args).iter().all(|seen| seen.len == size), "{args:?}");
        }
        // As much as the longest IPv4 packet holds.
        lab.forget();
        let outcome = lab.run(&["--size=65507", "--ipv4", "10.0.0.1"], "");
        assert_eq!(lab.seen().iter().map(|seen| seen.len).collect::<Vec<_>>(), [65_507], "{outcome:?}");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
        lab.forget();
        for size in ["15", "0", "65508", "-1", "", "1e3"] {
            let outcome = lab.run(&[&format!("--size={size}"), "10.0.0.1"], "");
            let give = "give 16 to 65507 bytes, or MIN-MAX[/STEP]; a reply with less than 16 proves nothing";
            is_refused(lab, &outcome, &format!("--size: bad value \"{size}\" ({give})"));
        }
    });
}

#[test]
fn a_pattern_fills_the_data_after_the_token() {
    lab::play(|lab| {
        lab.keep_data();
        let sixteen: Vec<u8> = (0x10..0x20).collect();
        let hex = sixteen.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (pattern, bytes) in
            [("ff", &[0xff][..]), ("00", &[0]), ("DeadBeef", &[0xde, 0xad, 0xbe, 0xef]), (&hex, &sixteen)]
        {
            for seen in seen(lab, &[&format!("--pattern={pattern}"), "--size=61"]) {
                let filled: Vec<u8> = bytes.iter().copied().cycle().take(61 - 16).collect();
                assert_eq!(seen.data[16..], filled, "{pattern}");
            }
        }
        // The token is not affected, so it differs from run to run.
        let tokens = [0; 2].map(|_| seen(lab, &["--pattern=ff"])[0].data[..16].to_vec());
        assert_ne!(tokens[0], tokens[1]);
        // Without a pattern the bytes count up, as in ping(8).
        assert_eq!(seen(lab, &[])[0].data[16..], (16..56).collect::<Vec<u8>>());
        // With nothing to fill.
        seen(lab, &["--pattern=ff", "--size=16"]);
        lab.forget();
        for pattern in ["", "f", "fff", "xy", "0x", &format!("{hex}00")] {
            let outcome = lab.run(&[&format!("--pattern={pattern}"), "10.0.0.1"], "");
            let hint = "give 1 to 16 bytes in hexadecimal, as in ff00";
            is_refused(lab, &outcome, &format!("--pattern: bad value \"{pattern}\" ({hint})"));
        }
    });
}

// The header.

#[test]
fn probes_have_the_requested_ttl() {
    lab::play(|lab| {
        for (args, ttl) in [
            (&["--ttl=1"][..], 1),
            (&["--ttl=17"], 17),
            (&["--ttl=255"], 255),
            (&["-H", "3"], 3),
            (&["-H200"], 200),
            (&["-AeH9"], 9),
        ] {
            assert!(seen(lab, args).iter().all(|seen| seen.ttl == ttl), "{args:?}");
        }
        lab.forget();
        for ttl in ["0", "256", "-1", "", "x"] {
            let outcome = lab.run(&[&format!("--ttl={ttl}"), "10.0.0.1"], "");
            is_refused(lab, &outcome, &format!("--ttl: bad value \"{ttl}\" (give a whole number from 1 to 255)"));
        }
    });
}

#[test]
fn probes_have_the_requested_tos() {
    lab::play(|lab| {
        assert!(seen(lab, &[]).iter().all(|seen| seen.tos == 0));
        for (args, tos) in [
            (&["--tos=16"][..], 16),
            (&["--tos=0xb8"], 0xb8),
            (&["--tos=184"], 184),
            (&["--tos=255"], 255),
            (&["--tos=0x00"], 0),
            (&["-O", "0x2E"], 0x2e),
            (&["-O8"], 8),
        ] {
            assert!(seen(lab, args).iter().all(|seen| seen.tos == tos), "{args:?}");
        }
        lab.forget();
        for tos in ["256", "0x100", "0x1", "0x", "-1", "", "EF"] {
            let outcome = lab.run(&[&format!("--tos={tos}"), "10.0.0.1"], "");
            is_refused(lab, &outcome, &format!("--tos: bad value \"{tos}\" (give 0 to 255, or 0x00 to 0xff)"));
        }
    });
}

#[test]
fn dont_fragment_is_set_on_request() {
    lab::play(|lab| {
        let dont_fragment = |args: &[&str]| seen(lab, args)[0].dont_fragment;
        // Whatever the system's default.
        for no_discovery in ["0", "1"] {
            lab.set_sysctl("net.ipv4.ip_no_pmtu_disc", no_discovery);
            for size in ["57", "400", "508", "1000"] {
                assert!(!dont_fragment(&[&format!("--size={size}")]), "{size}");
            }
            // Small probes fit every link.
            assert!(dont_fragment(&[]) && dont_fragment(&["--size=56"]) && dont_fragment(&["--size=16"]));
            assert!(dont_fragment(&["--size=1000", "--dont-fragment"]));
            assert!(dont_fragment(&["--size=1000", "-M"]));
            assert!(dont_fragment(&["-Meb", "1000"]));
        }
    });
}

#[test]
fn probes_that_are_too_long_for_a_frame_are_a_failure_with_dont_fragment() {
    lab::play(|lab| {
        // Not below the minimum of IPv6, which the kernel would switch off.
        lab.ip(&["link", "set", DEVICE, "mtu", "1500"]);
        let few = ["--timeout=300ms", "--retries=1", "--size=1473", "--ipv4"];
        for letter in ["--dont-fragment", "-M"] {
            let outcome = lab.run(&[&few[..], &[letter]].concat(), "10.0.0.1\n10.0.0.2\n");
            let message = "no probe could leave this machine: Message too long (lower --size, or see the MTU: ip route get 10.0.0.1)";
            assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
            assert_eq!(outcome.first_stderr_line(), format!("xymonping: {message}"));
        }
        // Targets with a large enough MTU have their lines, and the others none.
        let input = "127.0.0.1\n10.0.0.1\n10.0.0.2\n10.0.0.3\n192.0.2.1\n";
        let outcome = lab.run(&[&few[..], &["-M"]].concat(), input);
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.first_stderr_line().contains("leave this machine: Message too long"), "{outcome:?}");
        assert!(outcome.is_alive("127.0.0.1") && outcome.is_alive("192.0.2.1"), "{outcome:?}");
        assert_eq!(outcome.lines().len(), 2, "{outcome:?}");
        assert!(lab.seen().is_empty());
        // One byte less fits, and without the option the kernel fragments longer probes.
        let outcome = lab.run(&["--size=1472", "-M4", "10.0.0.1"], "");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
        assert_eq!(lab.seen().len(), 1);
        let before = lab.counts().others;
        lab.run(&[&few[..], &["--retries=0", "10.0.0.1"]].concat(), "");
        assert_eq!(
            (lab.seen().len(), lab.counts().others - before),
            (1, 2),
            "the lab does not count two fragments as a probe"
        );
    });
}

// The device.

#[test]
fn probes_are_sent_and_replies_received_on_the_requested_interface() {
    lab::play(|lab| {
        for args in
            [&["--interface=lab0"][..], &["--interface", "lab0"], &["-I", "lab0"], &["-Ilab0"], &["-AeI", "lab0"]]
        {
            seen(lab, args);
        }
        // They cannot be reached through the loopback device.
        lab.forget();
        let outcome = lab.run(&["--interface=lo", "--timeout=200ms", "--retries=0", "10.0.0.1"], "");
        assert_ne!(outcome.verdict_of("10.0.0.1").split(' ').next(), Some("alive"), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn an_interface_that_does_not_exist_is_refused() {
    lab::play(|lab| {
        for name in ["lab9", "no such one", "%", "10.0.0.1"] {
            let outcome = lab.run(&[&format!("--interface={name}"), "10.0.0.1"], "");
            is_refused(lab, &outcome, &format!("--interface=\"{name}\": No such device (see: ip link)"));
        }
        for name in ["", "a-name-of-16-byt", "a-name-of-many-more-bytes"] {
            let outcome = lab.run(&[&format!("--interface={name}"), "10.0.0.1"], "");
            let hint = "give the name of an interface";
            is_refused(lab, &outcome, &format!("--interface: bad value \"{name}\" ({hint})"));
        }
    });
}

#[test]
fn ordinary_users_may_use_these_options() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        // With raw sockets, and with datagram sockets.
        for (mut command, groups) in [(caller::with_net_raw(&program), "1 0"), (ordinary(&program), "0 2147483647")] {
            lab.set_sysctl("net.ipv4.ping_group_range", groups);
            lab.forget();
            command.args(["-b100", "-H9", "-O0x10", "-M", "-Ilab0", "--shuffle", "--pattern=a5"]).args(hosts(lab));
            let outcome = lab.start(&mut command).finish(LIMIT);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{groups}: {outcome:?}");
            assert_eq!(lab.seen().len(), hosts(lab).len());
            for seen in lab.seen() {
                assert_eq!((seen.len, seen.ttl, seen.tos, seen.dont_fragment), (100, 9, 0x10, true), "{groups}");
            }
        }
    });
}

// Links with a small MTU.

/// Hosts at the far end of a path.
const BEYOND: [&str; 5] = ["10.202.0.1", "10.202.0.2", "10.202.0.3", "10.202.0.4", "10.202.0.5"];
const BEYOND_V6: [&str; 5] = ["fd02::1", "fd02::2", "fd02::3", "fd02::4", "fd02::5"];
const FEW: [&str; 2] = ["--timeout=300ms", "--retries=1"];

fn all_are(lab: &Lab, args: &[&str], hosts: &[&str], is_alive: bool) {
    let outcome = lab.run(&[&FEW[..], args, hosts].concat(), "");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{args:?}: {outcome:?}");
    assert_all(&outcome, hosts, is_alive);
}

#[test]
fn routers_may_fragment_large_probes() {
    lab::play(|lab| {
        let _path = lab.path(1500, 296).expect("a path");
        for size in ["56", "57", "268", "269", "400", "508", "509", "1400"] {
            all_are(lab, &[&format!("--size={size}"), "--retries=0"], &BEYOND, true);
        }
    });
}

#[test]
fn this_machine_may_fragment_large_probes() {
    lab::play(|lab| {
        let _path = lab.path(400, 1500).expect("a path");
        for size in ["372", "373", "400", "1400"] {
            all_are(lab, &[&format!("--size={size}"), "--retries=0"], &BEYOND, true);
        }
        let outcome = lab.run(&[&FEW[..], &["--size=373", "--dont-fragment"], &BEYOND].concat(), "");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    });
}

#[test]
fn dont_fragment_ignores_the_path_mtu_that_the_kernel_knows() {
    lab::play(|lab| {
        let _path = lab.path(1500, 1300).expect("a path");
        let probe = |size: &str, hosts: &[&str], is_alive| {
            all_are(lab, &["--dont-fragment", &format!("--size={size}")], hosts, is_alive);
        };
        for (fits, does_not, hosts) in [("1272", "1273", &BEYOND), ("1252", "1253", &BEYOND_V6)] {
            if hosts[0].contains(':') && !lab.has_ipv6() {
                continue;
            }
            // What the kernel learns of the path in the first run must not change the others.
            for _ in 0..3 {
                probe(does_not, hosts, false);
                probe(fits, hosts, true);
            }
            all_are(lab, &[&format!("--size={does_not}")], hosts, true);
        }
    });
}

#[test]
fn ipv6_probes_are_fragmented_once_the_path_mtu_is_known() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return;
        }
        let _path = lab.path(1500, 1300).expect("a path");
        // The first probe is lost: routers do not fragment IPv6 packets.
        all_are(lab, &["--size=1400"], &BEYOND_V6, true);
        all_are(lab, &["--size=1400", "--retries=0"], &BEYOND_V6, true);
    });
}
