//! Assertions about a whole run: which hosts are alive, and that the RTTs are those of the wire.
//!
//! RTTs are compared with what the wire did, not with the delays that were set: the far end knows
//! when a probe arrived and when it was answered. A single RTT can be wrong if the scheduler runs
//! another process between two readings of a clock, so the median must be good, and the worst not
//! absurd.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Answered, Finished, Lab, Seen};

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `count` addresses in 10.`net`.0.0/16, and beyond it above 64,000.
pub fn hosts(net: u32, count: u32) -> Vec<String> {
    (0..count).map(|n| format!("10.{}.{}.{}", net + n / 64_000, n / 250 % 256, n % 250 + 1)).collect()
}

/// A list, as the program reads it.
pub fn list<S: AsRef<str>>(addresses: &[S]) -> String {
    addresses.iter().map(|address| format!("{}\n", address.as_ref())).collect()
}

/// Asserts that all of these hosts are alive, or that all are unreachable, by their lines in any
/// order.
pub fn assert_all<S: AsRef<str>>(outcome: &Finished, addresses: &[S], is_alive: bool) {
    let verdicts: HashMap<&str, &str> = outcome.stdout.lines().filter_map(|line| line.split_once(" is ")).collect();
    let is_right = |it: &&str| if is_alive { it.starts_with("alive (") } else { *it == "unreachable" };
    let addresses = addresses.iter().map(AsRef::as_ref);
    let wrong: Vec<&str> = addresses.filter(|&address| !verdicts.get(address).is_some_and(is_right)).collect();
    let expected = if is_alive { "alive" } else { "unreachable" };
    assert!(wrong.is_empty(), "{} are not {expected}: {wrong:.5?}, {}", wrong.len(), outcome.stderr);
}

/// The error of each printed RTT against the wire, by the answer that fits best.
fn errors<S: AsRef<str>>(lab: &Lab, outcome: &Finished, hosts: &[S]) -> Vec<Duration> {
    let (seen, answered) = (lab.seen(), lab.answered());
    let error = |host: &S| {
        let host = host.as_ref();
        let printed =
            outcome.rtt_of(host).unwrap_or_else(|| panic!("no RTT for {host}: {:?}", outcome.verdict_of(host)));
        let ip: IpAddr = host.parse().expect("an address");
        let error_of = |answer: &Answered| {
            let is_its_probe = |seen: &&Seen| seen.dst == ip && seen.number == answer.number;
            let probe = seen.iter().find(is_its_probe).expect("it was probed");
            let shortest = answer.time.start - probe.time;
            let longest = answer.time.end - probe.time;
            if printed < shortest { shortest - printed } else { printed.saturating_sub(longest) }
        };
        answered.iter().filter(|answer| answer.host == ip).map(error_of).min().expect("it has answered")
    };
    let mut errors: Vec<Duration> = hosts.iter().map(error).collect();
    errors.sort();
    errors
}

/// Asserts that the printed RTTs are those of the wire. A line is exact to 50 us.
pub fn assert_true_rtts<S: AsRef<str>>(lab: &Lab, outcome: &Finished, hosts: &[S]) {
    let errors = errors(lab, outcome, hosts);
    let (median, worst) = (errors[errors.len() / 2], errors[errors.len() - 1]);
    assert!(median < ms(1) && worst < ms(100), "RTTs are wrong by {median:?} in the median, {worst:?} at worst");
}
