//! What a scene expects of a whole run: whom it calls alive, and that its RTTs are those of the wire.
//!
//! RTTs are compared with what the wire did, not with what it was told to do: the far end knows when a probe came and
//! when its answer left. A scheduler that runs somebody else between two readings of a clock can blur a single RTT, so a
//! median is asked to be good, and the worst only not to be absurd.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::{Answered, Lab, Outcome, Seen};

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// `count` addresses in 10.`net`.0.0/16, or beyond it when they are more than 64,000.
pub fn hosts(net: u32, count: u32) -> Vec<String> {
    (0..count).map(|n| format!("10.{}.{}.{}", net + n / 64_000, n / 250 % 256, n % 250 + 1)).collect()
}

/// A list as it is fed to the program.
pub fn list<S: AsRef<str>>(addresses: &[S]) -> String {
    addresses.iter().map(|address| format!("{}\n", address.as_ref())).collect()
}

/// Asserts that the lines of these hosts, wherever they stand, call all of them alive or all of them unreachable.
pub fn assert_all<S: AsRef<str>>(outcome: &Outcome, addresses: &[S], is_alive: bool) {
    let said: HashMap<&str, &str> = outcome.stdout.lines().filter_map(|line| line.split_once(" is ")).collect();
    let is_right = |said: &&str| if is_alive { said.starts_with("alive (") } else { *said == "unreachable" };
    let addresses = addresses.iter().map(AsRef::as_ref);
    let wrong: Vec<&str> = addresses.filter(|&address| !said.get(address).is_some_and(is_right)).collect();
    let wanted = if is_alive { "alive" } else { "unreachable" };
    assert!(wrong.is_empty(), "{} are not {wanted}: {wrong:.5?}, {}", wrong.len(), outcome.stderr);
}

/// How far each RTT shown is from what the wire saw of it: of one of its answers, where there were several.
fn blurs<S: AsRef<str>>(lab: &Lab, outcome: &Outcome, hosts: &[S]) -> Vec<Duration> {
    let (seen, answered) = (lab.seen(), lab.answered());
    let blur = |host: &S| {
        let host = host.as_ref();
        let shown = outcome.rtt_of(host).unwrap_or_else(|| panic!("no RTT for {host}: {:?}", outcome.said_of(host)));
        let ip: IpAddr = host.parse().expect("an address");
        let blur_of = |answer: &Answered| {
            let asked = |seen: &&Seen| seen.dst == ip && seen.number == answer.number;
            let probe = seen.iter().find(asked).expect("it was asked");
            let least = answer.time.start - probe.time;
            let most = answer.time.end - probe.time;
            if shown < least { least - shown } else { shown.saturating_sub(most) }
        };
        answered.iter().filter(|answer| answer.host == ip).map(blur_of).min().expect("it has answered")
    };
    let mut blurs: Vec<Duration> = hosts.iter().map(blur).collect();
    blurs.sort();
    blurs
}

/// Asserts that the RTTs shown are those of the wire. The line itself is exact to 50 us.
pub fn assert_true_rtts<S: AsRef<str>>(lab: &Lab, outcome: &Outcome, hosts: &[S]) {
    let blurs = blurs(lab, outcome, hosts);
    let (median, worst) = (blurs[blurs.len() / 2], blurs[blurs.len() - 1]);
    assert!(median < ms(1) && worst < ms(100), "RTTs are wrong by {median:?} in the median, {worst:?} at worst");
}
