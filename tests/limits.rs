//! The limits for ordinary users: each limit of `limits.rs`, tested on a setuid binary started by
//! an ordinary user.
//!
//! | what | limit | beyond it |
//! |---|---|---|
//! | packets per second, retries and follow-ups included | 10,000 | lowered, with a warning |
//! | time between two probes to one target | 10 ms | later |
//! | bytes a second, of IP packets | 12,500,000 | the rate is lowered, with a warning |
//! | multicast targets without `--count` or `--loop`, broadcast targets | none | rejected, line by line; as an operand exit 3 |
//! | probes to all multicast groups together | one a second | later, with a warning (`groups.rs`) |
//! | accepted lines | 2^24 | exit 4 |
//! | firewall mark | none | no such option; fping's `-k` is ignored, with a warning, and as fping refused, exit 1 |
//!
//! Ranges that hold for all users (timeouts, retries, responses) are in `cli.rs`, and tested here
//! once. The limits depend on who starts the program, not on what allows it to ping. These tests
//! need real root to install it; without it they are skipped.

mod lab;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Behaviour, CLOCK_ERROR, DEVICE, Finished, LIMIT, Lab, assert_all, list};
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use xymonping::limits::Limits;

const ALIVE: &str = "10.0.0.1";
const LIMITS: Limits = Limits::ORDINARY;
const MAX_PPS: f64 = match LIMITS.rate.pps() {
    Some(pps) => pps,
    None => panic!("ordinary users have a limit"),
};
const LOWERED: &str = "xymonping: the rate was lowered to 10000 packets a second (the limit for ordinary users)\n";

fn run(lab: &Lab, command: &mut Command, stdin: &str) -> Finished {
    lab.forget();
    let running = lab.start(command);
    running.feed(stdin);
    running.finish(LIMIT)
}

/// Exit 3 with only this message, and no probe.
fn is_refused(lab: &Lab, outcome: &Finished, message: &str) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
    assert_eq!(outcome.stderr, format!("xymonping: {message}\n"));
    assert!(lab.seen().is_empty(), "{:?}", lab.seen());
}

/// Each way in which an ordinary user can be allowed to ping.
fn ways(lab: &Lab, place: &caller::Place, each: impl Fn(&mut Command)) {
    for way in
        ["setuid", "setuid, started by root as the user", "file capabilities", "ambient capability", "datagram sockets"]
    {
        let (rights, groups) = match way {
            "setuid" | "setuid, started by root as the user" => (Rights::Setuid, "1 0"),
            "file capabilities" => (Rights::Capabilities("cap_net_raw,cap_net_admin+p"), "1 0"),
            "ambient capability" => (Rights::None, "1 0"),
            _ => (Rights::None, "0 2147483647"),
        };
        lab.set_sysctl("net.ipv4.ping_group_range", groups);
        let program = place.install(rights);
        let mut command = match way {
            "setuid, started by root as the user" => Command::new(&program),
            "ambient capability" => caller::with_net_raw(&program),
            _ => ordinary(&program),
        };
        if way == "setuid, started by root as the user" {
            command.uid(ORDINARY);
        }
        each(&mut command);
        fs::remove_file(&program).expect("our file");
    }
}

// The rate.

#[test]
fn at_most_10_000_packets_are_sent_per_second() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // A fifth of the hosts is silent, so that retries count as well.
        lab.host("10.2.0.0/16", Behaviour::silent());
        let host = |n: u32| format!("10.{}.{}.{}\n", if n % 5 == 0 { 2 } else { 1 }, n / 250, n % 250 + 1);
        let list: String = (0..3000).map(host).collect();
        for rate in ["--max-pps=unlimited", "--max-pps=10000.01", "--max-pps=10000000", "-i0", "-i0.0001"] {
            let outcome = run(lab, ordinary(&program).args([rate, "--retries=2", "--timeout=0.05"]), &list);
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), LOWERED), "{rate}");
            assert_eq!(outcome.lines().len(), 3000, "{rate}");
            assert!(lab.seen().len() >= 2400 + 3 * 600, "{rate}: {}", lab.seen().len());
            lab.assert_pace(MAX_PPS);
        }
        // Follow-ups count as well.
        let alive: String = (0..1000).map(|n| format!("10.1.{}.{}\n", n / 250, n % 250 + 1)).collect();
        let outcome = run(lab, ordinary(&program).args(["-i0", "--responses=3"]), &alive);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), LOWERED));
        assert!(lab.seen().len() >= 3000);
        lab.assert_pace(MAX_PPS);
    });
}

#[test]
fn a_rate_of_10_000_packets_per_second_is_not_lowered() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        for rate in ["--max-pps=10000", "-i0.1"] {
            let outcome = run(lab, ordinary(&program).args([rate, ALIVE]), "");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{rate}");
        }
    });
}

#[test]
fn the_limits_hold_whatever_allows_the_caller_to_ping() {
    caller::play(&["setpriv", "setcap"], |lab, place| {
        ways(lab, place, |command| {
            let outcome = run(lab, command.args(["-i0", ALIVE, "--responses=3"]), "");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), LOWERED), "{command:?}");
            has_spacing(lab, ALIVE, 3);
        });
        ways(lab, place, |command| {
            is_refused(lab, &run(lab, command.arg("224.0.0.1"), ""), &for_root_only("224.0.0.1"))
        });
        // Root has no limits, also with a setuid program.
        let program = place.install(Rights::Setuid);
        let args = ["-i0", "--size=1473", "-4", ALIVE];
        let outcome = run(lab, Command::new(&program).args(args), "");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert_eq!(lab.seen().iter().map(|seen| seen.len).collect::<Vec<_>>(), [1473]);
    });
}

fn for_root_only(group: &str) -> String {
    format!("argument \"{group}\": a multicast address, for root only without --count or --loop")
}

// The time between two probes to one target.

/// `host` got this many probes, no two of them too close.
fn has_spacing(lab: &Lab, host: &str, probes: usize) {
    let times: Vec<_> = lab.seen_of(host).iter().map(|seen| seen.time).collect();
    assert_eq!(times.len(), probes, "{host}");
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] + CLOCK_ERROR >= LIMITS.spacing, "{host}: {:?}", pair[1] - pair[0]);
    }
}

#[test]
fn probes_to_a_target_are_10_ms_apart() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host("10.0.0.7", Behaviour::silent());
        // After silence, after replies, and with one address on several lines.
        let args = ["--responses=5", "--retries=4", "--timeout=0.001", "--max-pps=10000"];
        let outcome = run(lab, ordinary(&program).args(args), "10.0.0.7\n10.0.0.7\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        has_spacing(lab, "10.0.0.7", 5);
        let args = ["--responses=5", "--max-pps=10000", "--timeout=20"];
        let outcome = run(lab, ordinary(&program).args(args), "10.0.0.1\n10.0.0.1\nfd00::1\n10.0.0.1\n");
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        has_spacing(lab, ALIVE, 5);
        has_spacing(lab, "fd00::1", 5);
    });
}

// The data.

#[test]
fn large_probes_are_sent_at_a_rate_that_is_within_the_bytes_a_second() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // The largest size of each family, at rates within the limit.
        for args in [&["-b65507", "-4", ALIVE][..], &["--size=65000", "--max-pps=190", ALIVE, "10.0.0.2"]] {
            let outcome = run(lab, ordinary(&program).args(args), "");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
            assert!(lab.seen().iter().all(|seen| seen.len >= 65_000) && !lab.seen().is_empty(), "{:?}", lab.seen());
        }
        for (args, pps) in [
            (&["-b65507", "-i0", "-4", ALIVE, "10.0.0.2", "10.0.0.3"][..], 190.7),
            (&["-b1202", "-i0", ALIVE], 10_000.0),
            (&["-b1203", "-i0", ALIVE], 9_992.0),
            (&["-b1222", "-i0", "-4", ALIVE], 10_000.0),
            (&["-b64000", "--max-pps=200", ALIVE], 195.1),
        ] {
            lab.forget();
            let outcome = run(lab, ordinary(&program).args(args), "");
            let warning =
                format!("xymonping: the rate was lowered to {pps} packets a second (the limit for ordinary users)\n");
            assert_eq!((outcome.code, outcome.stderr), (Some(0), warning), "{args:?}");
            lab.assert_pace(pps + 1.0);
        }
    });
}

// Multicast and broadcast.

/// Why such addresses are rejected.
const MULTICAST: &str = "multicast address, for root only without --count or --loop";
const BROADCAST: &str = "broadcast address, for root only";

#[test]
fn multicast_and_broadcast_addresses_are_rejected_line_by_line() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // A network without a configured broadcast address has one all the same.
        lab.ip(&["addr", "add", "198.18.4.1/23", "dev", DEVICE]);
        // Another may be configured that does not follow from the netmask.
        lab.ip(&["addr", "add", "198.18.8.1/24", "brd", "198.18.8.99", "dev", DEVICE]);
        let groups = [
            ("224.0.0.1", MULTICAST),
            ("239.255.255.255", MULTICAST),
            ("ff02::1%lab0", MULTICAST),
            ("ff05::1", MULTICAST),
            ("255.255.255.255", BROADCAST),
            ("192.0.2.255", BROADCAST),
            ("198.18.5.255", BROADCAST),
            ("198.18.8.99", BROADCAST),
            ("198.18.8.255", BROADCAST),
            ("127.255.255.255", BROADCAST),
        ];
        for (group, kind) in groups {
            let outcome = run(lab, ordinary(&program).arg(group), "");
            is_refused(lab, &outcome, &format!("argument \"{group}\": a {kind}"));
        }
        let list: String = groups.iter().map(|(group, _)| format!("{group}\n")).collect();
        let outcome = run(lab, &mut ordinary(&program), &(list + ALIVE));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 1), "{outcome:?}");
        assert!(outcome.is_alive(ALIVE), "{outcome:?}");
        let why = |n: usize, (group, kind): (&str, &str)| {
            let line = n + 1;
            format!("xymonping: line {line}: \"{group}\": a {kind} (no line of output for it)\n")
        };
        let expected: String = groups.into_iter().enumerate().map(|(n, group)| why(n, group)).collect();
        assert_eq!(outcome.stderr, expected);
        assert_eq!(lab.seen().len(), 1, "{:?}", lab.seen());
    });
}

#[test]
fn own_addresses_and_those_of_peers_are_no_broadcast_addresses() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // The C library tells these in the place of a broadcast address that is not configured.
        lab.ip(&["addr", "add", "198.18.4.1/23", "dev", DEVICE]);
        lab.ip(&["addr", "add", "198.18.6.1", "peer", "198.18.6.2", "dev", DEVICE]);
        // It is the peer's network that has a broadcast address.
        lab.ip(&["addr", "add", "198.18.8.1", "peer", "198.18.8.130/25", "dev", DEVICE]);
        let hosts = ["198.18.4.1", "198.18.6.2", "198.18.8.1", "198.18.8.130"];
        let outcome = run(lab, &mut ordinary(&program), &list(&hosts));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        assert_all(&outcome, &hosts, true);
        for (address, is_one) in [("198.18.8.127", false), ("198.18.8.255", true)] {
            let outcome = run(lab, ordinary(&program).args(["--timeout=0.05", address, ALIVE]), "");
            assert_eq!(outcome.stderr.contains(BROADCAST), is_one, "{outcome:?}");
        }
    });
}

#[test]
fn the_kernel_refuses_broadcast_addresses_that_only_a_route_knows() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // A broadcast address of a route alone.
        lab.ip(&["route", "add", "broadcast", "198.18.9.255", "dev", DEVICE, "table", "local"]);
        let outcome = run(lab, ordinary(&program).args(["--timeout=0.05", "198.18.9.255", ALIVE]), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert!(
            outcome.first_stderr_line().contains("could not send to 198.18.9.255: Permission denied"),
            "{outcome:?}"
        );
        assert!(lab.seen_of("198.18.9.255").is_empty());
        // Root may.
        run(lab, Command::new(&program).args(["--timeout=0.05", "--retries=0", "198.18.9.255"]), "");
        assert_eq!(lab.seen_of("198.18.9.255").len(), 1);
    });
}

// Lines. That exactly this many are accepted is tested in `list.rs`, with a smaller limit.

#[test]
fn a_list_of_more_than_16_777_216_lines_is_refused() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
        let mut command = ordinary(&program);
        let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(command);
        let piece = b"10.0.0.1\n".repeat(1 << 14);
        let pieces = LIMITS.targets / (1 << 14) + 1;
        // It may end before it has read everything.
        let mut list = File::from(writer);
        thread::spawn(move || (0..pieces).try_for_each(|_| list.write_all(&piece)));
        let outcome = running.finish(Duration::from_secs(120));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
        assert_eq!(outcome.stderr, "xymonping: list: more than 16777216 lines (split the list)\n");
        assert!(lab.seen().is_empty());
    });
}

// Firewall marks.

#[test]
fn there_is_no_firewall_mark() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        // A packet with this mark would have no route.
        lab.ip(&["rule", "add", "fwmark", "0x5/0xffffffff", "unreachable"]);
        for args in [&["-k5"][..], &["-k", "5"]] {
            let outcome = run(lab, ordinary(&program).args(args).arg(ALIVE), "");
            assert!(outcome.is_alive(ALIVE), "{outcome:?}");
            assert_eq!(outcome.stderr, "xymonping: -k: ignored (fping options without an equivalent here)\n");
        }
        for mark in ["--fwmark=5", "--mark=5", "--set-mark=5"] {
            let outcome = run(lab, ordinary(&program).args([mark, ALIVE]), "");
            let name = mark.split('=').next().unwrap_or(mark);
            is_refused(lab, &outcome, &format!("\"{name}\": unknown option (see --help)"));
        }
    });
}

#[test]
fn values_out_of_range_are_refused_for_ordinary_users_too() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        for (arg, hint) in [
            ("--timeout=0", "give 0.001 to 200 seconds, as in 5, 500ms or 1m"),
            ("--timeout=0.0009", "give 0.001 to 200 seconds, as in 5, 500ms or 1m"),
            ("--timeout=200.1", "give 0.001 to 200 seconds, as in 5, 500ms or 1m"),
            ("--retries=256", "give a whole number from 0 to 255"),
            ("--responses=0", "give a whole number from 1 to 255"),
            ("--responses=256", "give a whole number from 1 to 255"),
            ("--max-pps=0", "give 0.01 to 10000000 packets a second, or unlimited"),
            ("--max-pps=10000001", "give 0.01 to 10000000 packets a second, or unlimited"),
            ("--size=15", "give 16 to 65507 bytes, or MIN-MAX[/STEP]; a reply with less than 16 proves nothing"),
        ] {
            let (name, value) = arg.split_once('=').expect("it has a value");
            let outcome = run(lab, ordinary(&program).args([arg, ALIVE]), "");
            is_refused(lab, &outcome, &format!("{name}: bad value \"{value}\" ({hint})"));
        }
    });
}

// The documents.

/// The rows `.It NAME Ta NUMBER` of section LIMITS of the manual page.
fn limits_of_manual() -> BTreeMap<String, usize> {
    let page = document("xymonping.1");
    let section = page.lines().skip_while(|line| *line != ".Sh LIMITS").skip(1);
    let rows = section.take_while(|line| !line.starts_with(".Sh "));
    rows.filter_map(|line| row(line.strip_prefix(".It ")?, " Ta ")).collect()
}

/// The rows `| NAME | NUMBER |` of the README's section on limits.
fn limits_of_readme() -> BTreeMap<String, usize> {
    let readme = document("README.md");
    let section = readme.lines().skip_while(|line| *line != "## Limits for ordinary users").skip(1);
    let rows = section.take_while(|line| !line.starts_with("## "));
    rows.filter_map(|line| row(line.strip_prefix("| ")?.strip_suffix(" |")?, " | ")).collect()
}

fn document(name: &str) -> String {
    let path = format!("{}/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// A name and a number with a comma after each thousand.
fn row(text: &str, separator: &str) -> Option<(String, usize)> {
    let (name, number) = text.split_once(separator)?;
    Some((name.to_owned(), number.replace(',', "").parse().ok()?))
}

#[test]
fn the_tables_of_limits_in_the_documents_are_right() {
    let Limits {
        caller_is_root,
        rate: _,
        spacing,
        targets,
        generated,
        allow_broadcast,
        allow_multicast,
        group_spacing,
        allow_mark,
        bytes_per_second,
        receive_buffer: _,
    } = LIMITS;
    assert!(!caller_is_root && !allow_broadcast && !allow_multicast && !allow_mark);
    let limits = BTreeMap::from(
        [
            ("packets per second, in all", MAX_PPS as usize),
            ("milliseconds between two probes to one target", spacing.as_millis() as usize),
            ("accepted lines in a list", targets),
            ("addresses of --generate", generated),
            ("bytes per second, in all", bytes_per_second.map_or(0, |bytes| bytes as usize)),
            ("probes per second to all multicast groups together", (1000 / group_spacing.as_millis()) as usize),
            ("broadcast targets", 0),
        ]
        .map(|(name, number)| (name.to_owned(), number)),
    );
    assert_eq!(limits_of_manual(), limits);
    assert_eq!(limits_of_readme(), limits);
}
