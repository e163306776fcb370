//! Tests of `--icmp-errors`: what routers and this machine say about probes, and what follows from
//! it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

use std::net::IpAddr;

use lab::caller::{self, Rights};
use lab::packet::{self, Header};
use lab::{Answer, Behaviour, HOST4, HOST6, IcmpError, LIMIT, ROUTER4, ROUTER6, assert_all, list};

/// Short timeouts, but not so short that a busy machine loses a live host.
const BRIEF: [&str; 3] = ["--timeout=1", "--retries=1", "--max-pps=500"];

fn args<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&BRIEF[..], more].concat()
}

fn error(error: IcmpError) -> Behaviour {
    Behaviour::answering(Answer::Error(error))
}

/// The lines on standard error about ICMP errors.
fn reasons(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix("xymonping: From ")).collect()
}

#[test]
fn reported_errors_change_no_verdict_and_have_their_lines_in_the_end() {
    lab::play(|lab| {
        lab.host("10.0.0.2", error(IcmpError::HostUnreachable));
        lab.script("10.0.0.3", vec![error(IcmpError::TimeExceeded), Behaviour::default()]);
        lab.host("10.0.0.4", Behaviour::silent());
        let input = "10.0.0.1 web\n10.0.0.2 old printer\n10.0.0.3\n10.0.0.4\n10.0.0.2\nnonsense\n";
        let outcome = lab.run(&args(&["--icmp-errors=report"]), input);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &["10.0.0.1", "10.0.0.3"], true);
        assert_all(&outcome, &["10.0.0.2", "10.0.0.4"], false);
        assert_eq!(lab.seen_of("10.0.0.2").len(), 2);
        let expected = [
            "192.0.2.254: icmp_seq=1 for old printer (10.0.0.2): Destination Host Unreachable",
            "192.0.2.254: icmp_seq=0 for 10.0.0.3: Time to live exceeded",
            "192.0.2.254: icmp_seq=1 for 10.0.0.2: Destination Host Unreachable",
        ];
        assert_eq!(reasons(&outcome.stderr), expected);
        // They come last: the first line is the whole story.
        assert!(outcome.first_stderr_line().starts_with("xymonping: line 6: \"nonsense\""), "{outcome:?}");
        let ignored = lab.run(&args(&["--icmp-errors=ignore"]), input);
        assert_eq!((ignored.code, reasons(&ignored.stderr).len()), (Some(0), 0), "{ignored:?}");
    });
}

#[test]
fn with_fail_the_first_error_settles_its_target() {
    lab::play(|lab| {
        let mut hosts = vec!["10.0.0.2", "10.0.0.3"];
        lab.host("10.0.0.2", error(IcmpError::NetUnreachable));
        lab.host("10.0.0.3", error(IcmpError::PortUnreachable));
        if lab.has_ipv6() {
            hosts.extend(["fd00::2", "fd00::3"]);
            lab.host("fd00::2", error(IcmpError::HostUnreachable));
            lab.host("fd00::3", error(IcmpError::AdminProhibited));
        }
        let outcome = lab.run(&["--icmp-errors=fail", "--timeout=30", "--max-pps=100"], list(&hosts) + "10.0.0.1\n");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &hosts, false);
        assert_all(&outcome, &["10.0.0.1"], true);
        for host in &hosts {
            assert_eq!(lab.seen_of(host).len(), 1, "{host}");
        }
        assert_eq!(reasons(&outcome.stderr).len(), hosts.len(), "{outcome:?}");
    });
}

/// An error about a probe to `target`, as a router sends it, changed before it is sent.
fn forged(target: IpAddr, ident: u16, seq: u16, data: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let (host, router) =
        if target.is_ipv4() { (HOST4.into(), ROUTER4.into()) } else { (HOST6.into(), IpAddr::from(ROUTER6)) };
    let mut quote = packet::echo_request(host, target, ident, seq, data);
    change(&mut quote);
    let msg_type = if target.is_ipv4() { 3 } else { 1 };
    packet::icmp(Header::new(router, host), msg_type, 1, [0; 4], &quote)
}

#[test]
fn an_error_counts_only_if_it_quotes_a_probe_in_flight() {
    lab::play(|lab| {
        lab.keep_data();
        lab.others(Behaviour::silent());
        let targets: &[&str] = if lab.has_ipv6() { &["10.0.0.1", "fd00::1"] } else { &["10.0.0.1"] };
        let mut running = lab.start(lab.command().args(["--icmp-errors=fail", "--timeout=60"]).args(targets));
        running.wait_until(LIMIT, "all probes", |_| lab.seen().len() == targets.len());
        for probe in lab.seen() {
            let start = if probe.dst.is_ipv4() { 20 } else { 40 };
            let (ident, seq, data) = (probe.ident, probe.seq, &probe.data);
            let inject = |packet: Vec<u8>| lab.inject(&packet);
            inject(forged(probe.dst, ident ^ 1, seq, data, |_| {}));
            inject(forged(probe.dst, ident, seq ^ 0x5555, &[], |_| {}));
            inject(forged(probe.dst, ident, seq, data, |quote| quote[start + 8 + 15] ^= 1)); // the seal
            inject(forged(probe.dst, ident, seq, data, |quote| quote[start - 1] ^= 0x40)); // the destination
            inject(forged(probe.dst, ident, seq, data, |quote| quote.truncate(start + 7)));
            let mut damaged = forged(probe.dst, ident, seq, data, |_| {});
            let last = damaged.len() - 1;
            damaged[last] ^= 0xff; // the checksum, which IPv6's kernel checks
            inject(damaged);
        }
        // These errors were read before the program looks for signals.
        running.signal(nix::sys::signal::Signal::SIGUSR1);
        running.wait_until(LIMIT, "the status", |running| running.stderr_so_far().contains(" silent, "));
        let status = format!("{} of {} probed, 0 alive, 0 silent", targets.len(), targets.len());
        assert!(running.stderr_so_far().contains(&status), "{}", running.stderr_so_far());
        // What quotes no more than 8 bytes of the probe is enough.
        for probe in lab.seen() {
            let start = if probe.dst.is_ipv4() { 20 } else { 40 };
            lab.inject(&forged(probe.dst, probe.ident, probe.seq, &probe.data, |quote| quote.truncate(start + 8)));
        }
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, targets, false);
        assert_eq!(lab.seen().len(), targets.len(), "no probe was sent again");
    });
}

#[test]
fn a_target_without_a_neighbour_fails_by_this_machines_own_error() {
    lab::play(|lab| {
        // ARP is off on the lab's device; a second one has it, and nobody answers.
        lab.ip(&["link", "add", "lan0", "type", "veth", "peer", "name", "lan1"]);
        lab.ip(&["addr", "add", "198.18.0.1/24", "dev", "lan0"]);
        for end in ["lan0", "lan1"] {
            lab.ip(&["link", "set", end, "up"]);
        }
        lab.set_sysctl("net.ipv4.neigh.lan0.retrans_time_ms", "100");
        let outcome = lab.run(&["--icmp-errors=fail", "--timeout=60", "198.18.0.9", "10.0.0.1"], "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_all(&outcome, &["198.18.0.9"], false);
        assert_eq!(
            reasons(&outcome.stderr),
            ["this machine: icmp_seq=0 for 198.18.0.9: Destination Host Unreachable"],
            "{outcome:?}"
        );
    });
}

#[test]
fn all_messages_are_shown_to_root_only() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let outcome = lab.start(caller::ordinary(&program).args(["--icmp-errors=all", "10.0.0.1"])).finish(LIMIT);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
        let message = "xymonping: --icmp-errors=all: for root only (leave it out)";
        assert_eq!(outcome.first_stderr_line(), message);
        assert!(lab.seen().is_empty());

        lab.host("10.0.0.2", Behaviour::silent());
        let mut running = lab.start(lab.command().args(["--icmp-errors=all", "--timeout=60", "10.0.0.2"]));
        running.wait_until(LIMIT, "a probe", |_| !lab.seen().is_empty());
        let elsewhere = "10.7.7.7".parse().unwrap();
        lab.inject(&forged(elsewhere, 7, 7, &[0; 56], |_| {}));
        lab.inject(&packet::icmp(Header::new(ROUTER4.into(), HOST4.into()), 9, 0, [0; 4], &[0; 20]));
        let expected = [
            "From 192.0.2.254: for 10.7.7.7: Destination Host Unreachable (not a probe in flight)",
            "From 192.0.2.254: ICMP type 9 code 0",
        ];
        running.wait_until(LIMIT, "the messages", |running| {
            expected.iter().all(|line| running.stderr_so_far().contains(line))
        });
        running.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
    });
}

/// How many forged errors are sent at most.
const FLOOD: u64 = 300_000;

/// Errors with everything right but the seal, as fast as the wire takes them. The Identifier is
/// known to the attacker, so that each of them reaches the program.
#[test]
fn a_flood_of_forged_errors_changes_no_verdict() {
    lab::play(|lab| {
        lab.keep_data();
        let (alive, dead): (Vec<_>, Vec<_>) =
            ((1..=20).map(|n| format!("10.1.0.{n}")).collect(), vec!["10.2.0.1".to_owned()]);
        lab.host("10.2.0.1", Behaviour::silent());
        let arguments = ["--icmp-errors=fail", "--timeout=2", "--retries=1", "--max-pps=20", "--summary"];
        let mut running = lab.start(lab.command().args(arguments));
        running.feed([list(&dead), list(&alive)].concat());
        running.close_stdin();
        running.wait_until(LIMIT, "its first probe", |_| !lab.seen().is_empty());
        let probe = lab.seen().swap_remove(0);
        let forgeries: Vec<_> = (0..64_u8)
            .map(|n| forged(probe.dst, probe.ident, probe.seq, &probe.data, |quote| quote[20 + 8 + 8] ^= n + 1))
            .collect();
        let mut sent: u64 = 0;
        while running.is_running() && sent < FLOOD {
            lab.inject_all(&forgeries);
            sent += forgeries.len() as u64;
        }
        let outcome = running.finish(LIMIT);
        // Replies may be lost on this machine meanwhile; that is told, and is no verdict.
        let has_line = |host: &&String| !outcome.verdict_of(host).is_empty();
        let with_line = |hosts: &[String]| hosts.iter().filter(has_line).cloned().collect::<Vec<_>>();
        assert_all(&outcome, &with_line(&alive), true);
        assert_all(&outcome, &with_line(&dead), false);
        assert!(matches!(outcome.code, Some(0 | 4)), "{outcome:?}");
        // The silent host had its attempts: no forgery settled it.
        assert!(lab.seen_of("10.2.0.1").len() >= 2, "{outcome:?}");
        assert_eq!(reasons(&outcome.stderr), [""; 0], "{outcome:?}");
        assert!(sent > 10_000, "{sent} forgeries are no flood");
    });
}
