//! What this machine drops of IPv6 makes no host unreachable, where the kernel returns success for
//! it: so it does to users who have no right to raw sockets, but only to ICMP datagram sockets
//! (`net.ipv4.ping_group_range`).

mod lab;

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Behaviour, Finished, LIMIT, Lab, assert_all, list};

const FAST: [&str; 3] = ["--timeout=500ms", "--retries=1", "--max-pps=1000"];

/// Live hosts.
fn hosts(count: u32) -> Vec<String> {
    (1..=count).map(|n| format!("fd00::{n:x}")).collect()
}

/// Allows ordinary users datagram sockets. Returns whether there is IPv6.
fn is_ready(lab: &Lab, test: &str) -> bool {
    lab.set_sysctl("net.ipv4.ping_group_range", &format!("{ORDINARY} {ORDINARY}"));
    if !lab.has_ipv6() {
        lab::skip(test, "this kernel has no IPv6");
    }
    lab.has_ipv6()
}

fn run(lab: &Lab, program: &Path, args: &[&str], input: &str) -> Finished {
    lab.forget();
    let running = lab.start(ordinary(program).args(args));
    running.feed(input);
    running.finish(LIMIT)
}

/// How many IPv6 packets the kernel says that it has dropped.
fn dropped(lab: &Lab) -> u64 {
    let counters = lab.inside(|| fs::read_to_string("/proc/thread-self/net/snmp6")).expect("/proc is mounted");
    let value = counters.lines().find_map(|line| line.strip_prefix("Ip6OutDiscards ")).expect("it is counted");
    value.trim().parse().expect("a number")
}

/// No target has a line, for this reason.
fn is_undecided(outcome: &Finished, targets: &str, again: u32) {
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    let failure = format!("{targets} undecided: this machine lost probes or replies (no line; see the warnings)");
    let warning = format!(
        "this machine may have dropped IPv6 packets: {again} probes repeated or in doubt (see: nft list ruleset, \
         tc -s qdisc, grep Ip6OutDiscards /proc/net/snmp6)"
    );
    assert_eq!(outcome.stderr, format!("xymonping: {failure}\nxymonping: {warning}\n"), "{outcome:?}");
}

/// Has the firewall drop these packets. Returns whether there is a firewall.
fn forbid(lab: &Lab, packets: &str) -> bool {
    let rules = format!(
        "add table ip6 t; add chain ip6 t o {{ type filter hook output priority 0; }}; \
         add rule ip6 t o {packets} drop"
    );
    lab.start(Command::new("nft").arg(rules)).finish(LIMIT).code == Some(0)
}

#[test]
fn a_full_queue_makes_no_host_unreachable() {
    caller::play(&["tc"], |lab, place| {
        let test = "a_full_queue_makes_no_host_unreachable";
        if !is_ready(lab, test) {
            return;
        }
        // A packet is 118 bytes: 13 pass at once, 13 wait, and after half a second none waits.
        if let Err(refusal) = lab.shape("32kbit", "1540") {
            return lab::skip(test, &refusal);
        }
        let program = place.install(Rights::None);
        let all = hosts(60);
        let outcome = run(lab, &program, &["--timeout=2s", "--retries=0", "--max-pps=1000"], &list(&all));
        assert!(dropped(lab) > 0, "the queue was full");
        assert!(!outcome.stdout.contains("unreachable"), "{outcome:?}");
        assert_eq!(outcome.code, Some(if outcome.lines().len() == all.len() { 0 } else { 4 }), "{outcome:?}");
    });
}

#[test]
fn a_queue_that_lets_nothing_through_makes_no_host_unreachable() {
    caller::play(&["tc"], |lab, place| {
        let test = "a_queue_that_lets_nothing_through_makes_no_host_unreachable";
        if !is_ready(lab, test) {
            return;
        }
        let program = place.install(Rights::None);
        let all = hosts(4);
        assert_all(&run(lab, &program, &FAST, &list(&all)), &all, true);
        if let Err(refusal) = lab.queue(&["pfifo", "limit", "0"]) {
            return lab::skip(test, &refusal);
        }
        is_undecided(&run(lab, &program, &FAST, &list(&all)), "4 targets", 4 * 5);
        let threads = [&FAST[..], &["--threads=2"]].concat();
        is_undecided(&run(lab, &program, &threads, &list(&all)), "4 targets", 4 * 5);
        assert!(lab.seen().is_empty());
        // In a run with statistics no probe is lost.
        let count = ["--count=3", "--period=100ms", "--timeout=500ms", "--json"];
        let outcome = run(lab, &program, &count, &list(&all[..1]));
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        assert!(outcome.stdout.contains(r#""state":"undecided""#), "{outcome:?}");
        assert!(outcome.stderr.contains("may have dropped IPv6 packets: 3 probes repeated or in doubt"), "{outcome:?}");
    });
}

#[test]
fn a_firewall_here_makes_no_host_unreachable() {
    caller::play(&["nft"], |lab, place| {
        let test = "a_firewall_here_makes_no_host_unreachable";
        if !is_ready(lab, test) {
            return;
        }
        let program = place.install(Rights::None);
        if !forbid(lab, "ip6 daddr fd00::2") {
            return lab::skip(test, "nft: not in this kernel");
        }
        lab.host("fd00::3", Behaviour::silent());
        is_undecided(&run(lab, &program, &FAST, "fd00::2\n"), "1 target", 5);
        // Nor does it of this machine's own addresses.
        assert!(forbid(lab, "ip6 daddr ::1"));
        is_undecided(&run(lab, &program, &FAST, "::1\n"), "1 target", 5);
        // Others are not affected, except for what was sent at the same time.
        let outcome = run(lab, &program, &["--timeout=500ms", "--retries=1"], "fd00::1\nfd00::2\n");
        assert_eq!((outcome.code, outcome.verdicts()), (Some(4), vec!["fd00::1 is alive"]), "{outcome:?}");
        let outcome = run(lab, &program, &FAST, "fd00::3\n");
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), vec!["fd00::3 is unreachable"]), "{outcome:?}");
        // With raw sockets the kernel tells.
        let outcome = lab.run(&FAST, "fd00::1\nfd00::2\nfd00::4\n");
        let verdicts = vec!["fd00::1 is alive", "fd00::2 is unreachable", "fd00::4 is alive"];
        assert_eq!((outcome.code, outcome.verdicts()), (Some(0), verdicts), "{outcome:?}");
        assert!(outcome.stderr.contains("could not send to fd00::2: Operation not permitted"), "{outcome:?}");
    });
}
