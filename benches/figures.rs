//! Parses what programs print, and computes the figures of tables.

// Each benchmark uses a part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::fs;
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::bed::target_dir;

/// The verdict on each host: its RTT, or `None` for "unreachable". All three programs print these
/// lines.
pub fn verdicts(stdout: &str) -> HashMap<Ipv4Addr, Option<Duration>> {
    stdout.lines().filter_map(verdict).collect()
}

fn verdict(line: &str) -> Option<(Ipv4Addr, Option<Duration>)> {
    let (host, verdict) = line.split_once(" is ")?;
    let host = host.trim().parse().ok()?;
    if verdict == "unreachable" {
        return Some((host, None));
    }
    let (number, unit) = verdict.strip_prefix("alive (")?.split_once(')')?.0.split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let seconds = match unit {
        "usec" => number / 1e6,
        "ms" => number / 1e3,
        _ => return None,
    };
    // A program may print a negative one.
    Some((host, Some(Duration::try_from_secs_f64(seconds).unwrap_or_default())))
}

/// The replies in a debug log: (host, Identifier, Sequence Number) and the RTT, to a tenth of a
/// microsecond.
pub fn answers(debug: &str) -> Vec<((Ipv4Addr, u16, u16), Duration)> {
    // 0.123456 recv 10.0.0.1 ident 1 seq 2 attempt 0 answer 12.3 usec
    let answer = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, "recv", host, "ident", ident, "seq", seq, "attempt", _, "answer", usec, "usec"] = words[..] else {
            return None;
        };
        let rtt = Duration::from_secs_f64(usec.parse::<f64>().ok()? / 1e6);
        Some(((host.parse().ok()?, ident.parse().ok()?, seq.parse().ok()?), rtt))
    };
    debug.lines().filter_map(answer).collect()
}

/// The value that this share of the values does not exceed (nearest rank). The values are sorted.
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied().unwrap_or(f64::NAN)
}

/// Median, p99 and largest of values in any order.
pub fn median_p99_max(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_unstable_by(f64::total_cmp);
    [0.5, 0.99, 1.0].map(|share| quantile(&values, share))
}

/// Microseconds.
pub fn usec(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Milliseconds.
pub fn msec(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The error of a printed RTT, in microseconds.
pub fn error(printed: Duration, truth: Duration) -> f64 {
    (usec(printed) - usec(truth)).abs()
}

/// The largest number of times in any window of this length. The times are sorted.
pub fn fullest_window(times: &[Duration], length: Duration) -> usize {
    let mut first = 0;
    let mut fullest = 0;
    for (last, &time) in times.iter().enumerate() {
        while time - times[first] >= length {
            first += 1;
        }
        fullest = fullest.max(last + 1 - first);
    }
    fullest
}

/// The average number of times per second, from the first to the last.
pub fn rate(times: &[Duration]) -> f64 {
    match times {
        [first, .., last] => (times.len() - 1) as f64 / (*last - *first).as_secs_f64(),
        _ => 0.0,
    }
}

/// Saves the data of a table as `target/bench/NAME.data.tsv`, a head and lines.
pub fn save_data(name: &str, head: &str, lines: &str) {
    let folder = target_dir().join("bench");
    fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let path = folder.join(format!("{name}.data.tsv"));
    fs::write(&path, format!("{head}\n{lines}")).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
