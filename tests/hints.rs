//! What an operator reads when something is wrong with this machine: the message names what is
//! wrong, and a command that shows it.

mod lab;

use std::fs;
use std::path::Path;
use std::process::Command;

use lab::{Behaviour, LIMIT, Lab, ms};

const ALIVE: [&str; 3] = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];

/// The only line on stderr of a run that is all right but for one refused target.
fn warning(lab: &Lab, refused: &str) -> String {
    let list = format!("{}\n{refused}\n", ALIVE.join("\n"));
    let outcome = lab.run(&["--timeout=200ms", "--retries=0"], list);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (Some(0), 1), "{outcome:?}");
    outcome.stderr
}

/// Has the firewall drop what is sent to some address. Returns whether there is a firewall.
fn drop(lab: &Lab, to: &str) -> bool {
    let rules = format!(
        "add table inet t; add chain inet t o {{ type filter hook output priority 0; }}; add rule inet t o {to} drop"
    );
    lab.start(Command::new("nft").arg(rules)).finish(LIMIT).code == Some(0)
}

#[test]
fn routes_that_refuse_packets_are_told_by_the_command_that_shows_them() {
    lab::play(|lab| {
        for (kind, reason) in [
            ("blackhole", "Invalid argument"),
            ("prohibit", "Permission denied"),
            ("unreachable", "No route to host"),
            ("throw", "Network is unreachable"),
        ] {
            lab.ip(&["route", "add", kind, "10.7.0.1"]);
            let words = format!("xymonping: could not send to 10.7.0.1: {reason} (see: ip route get 10.7.0.1)\n");
            assert_eq!(warning(lab, "10.7.0.1"), words);
            lab.ip(&["route", "del", kind, "10.7.0.1"]);
        }
    });
}

#[test]
fn a_link_local_target_is_named_as_it_was_typed() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("a_link_local_target_is_named_as_it_was_typed", "this kernel has no IPv6");
        }
        if drop(lab, "ip6 daddr fe80::77") {
            let text = warning(lab, "fe80::77%lab0");
            assert!(text.contains("could not send to fe80::77%lab0: "), "{text}");
        }

        // In the log too.
        lab.host("fe80::78", Behaviour::after(ms(1)));
        let outcome = lab.run(&["--debug", "fe80::78%lab0"], "");
        assert!(outcome.stderr.contains(" send fe80::78%lab0 ident "), "{outcome:?}");
        assert!(outcome.stderr.contains(" recv fe80::78%lab0 ident "), "{outcome:?}");
    });
}

#[test]
fn a_refusal_by_the_firewall_or_a_full_table_names_both() {
    lab::play(|lab| {
        if !drop(lab, "ip daddr 10.7.0.2") {
            return lab::skip("a_refusal_by_the_firewall_or_a_full_table_names_both", "no nft, or not in this kernel");
        }
        let words = "xymonping: could not send to 10.7.0.2: Operation not permitted (see: nft list ruleset; or a full \
                     table of connections: sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max)\n";
        assert_eq!(warning(lab, "10.7.0.2"), words);
    });
}

#[test]
fn a_log_file_begins_with_date_and_command_for_each_run() {
    lab::play(|lab| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("header.log");
        let _ = fs::remove_file(&path);
        let flag = format!("--debug={}", path.display());
        for _ in 0..2 {
            assert_eq!(lab.run(&[&flag, "--timeout=2", ALIVE[0]], "").code, Some(0));
        }
        let text = fs::read_to_string(&path).expect("the log");
        let headers: Vec<_> = text.lines().filter(|line| line.starts_with("# ")).collect();
        assert!(text.starts_with("# ") && headers.len() == 2 && text.lines().count() == 2 * 3, "{text}");
        let (date, command) = headers[0][2..].split_once(' ').expect("a date");
        let form: String = date.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(form, "0000-00-00T00:00:00Z");
        let version = concat!("xymonping ", env!("CARGO_PKG_VERSION"), ": ");
        assert!(command.starts_with(version) && command.ends_with(&format!(" {flag} --timeout=2 10.0.0.1")), "{text}");
    });
}

#[test]
fn a_deadline_that_is_shorter_than_the_timeouts_is_warned_of() {
    lab::play(|lab| {
        let words = |seconds| {
            format!(
                "xymonping: --deadline: too short for silent targets, which take {seconds} s (lower --timeout or --retries)\n"
            )
        };
        let stderr = |args: &[&str]| {
            let outcome = lab.run(&[args, &ALIVE[..1]].concat(), "");
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            outcome.stderr
        };
        assert_eq!(stderr(&["--deadline=14"]), words("15.0"));
        assert_eq!(stderr(&["--deadline=20", "--timeout=3", "--backoff=2"]), words("21.0"));
        assert_eq!(stderr(&["--deadline=20"]), "");
        assert_eq!(stderr(&["--deadline=4", "--retries=0", "--timeout=3"]), "");
        // What decides the exit code comes first all the same.
        lab.host("10.0.0.7", Behaviour::silent());
        let outcome = lab.run(&["--deadline=0.5", "--timeout=1", "10.0.0.7"], "");
        let lines: Vec<_> = outcome.stderr.lines().collect();
        assert!(lines[0].starts_with("xymonping: deadline reached with 1 of 1 target unfinished"), "{lines:?}");
        assert_eq!((outcome.code, lines.len(), format!("{}\n", lines[1])), (Some(4), 2, words("3.0")));
    });
}
