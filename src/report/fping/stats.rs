//! `-s`: the summary in the end.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::report::fping::Ms;

/// Round-trip times: their number, sum and extremes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trips {
    /// How many.
    pub count: u64,
    /// In nanoseconds, as the others.
    sum: u64,
    min: u64,
    max: u64,
}

impl Trips {
    /// One more.
    pub fn add(&mut self, rtt: Duration) {
        let nanos = rtt.as_nanos() as u64;
        self.min = if self.count == 0 { nanos } else { self.min.min(nanos) };
        self.max = self.max.max(nanos);
        self.sum += nanos;
        self.count += 1;
    }

    /// The shortest; 0 if there is none.
    pub fn min(&self) -> Ms {
        Ms::from_nanos(self.min)
    }

    /// The mean, cut to whole nanoseconds; `None`: there is none.
    pub fn mean(&self) -> Option<Ms> {
        self.sum.checked_div(self.count).map(Ms::from_nanos)
    }

    /// The longest; 0 if there is none.
    pub fn max(&self) -> Ms {
        Ms::from_nanos(self.max)
    }
}

/// The figures of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stats {
    /// Targets, one for each that was named.
    pub targets: u64,
    /// Those that answered.
    pub alive: u64,
    /// Those that did not.
    pub unreachable: u64,
    /// Names without an address.
    pub unknown: u64,
    /// Probes that were not answered in time.
    pub timeouts: u64,
    /// Probes that were sent.
    pub sent: u64,
    /// Replies, duplicates included.
    pub replies: u64,
    /// What else came.
    pub other: u64,
    /// The round-trip times of all replies that count.
    pub trips: Trips,
    /// How long the run took.
    pub elapsed: Duration,
}

impl Display for Stats {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut counters = |counters: &[(u64, &str)]| {
            writeln!(f)?;
            counters.iter().try_for_each(|(count, what)| writeln!(f, " {count:7} {what}"))
        };
        counters(&[
            (self.targets, "targets"),
            (self.alive, "alive"),
            (self.unreachable, "unreachable"),
            (self.unknown, "unknown addresses"),
        ])?;
        counters(&[
            (self.timeouts, "timeouts (waiting for response)"),
            (self.sent, "ICMP Echos sent"),
            (self.replies, "ICMP Echo Replies received"),
            (self.other, "other ICMP received"),
        ])?;
        let mean = self.trips.mean().unwrap_or(Ms::from_nanos(0));
        writeln!(f)?;
        for (time, what) in [(self.trips.min(), "min"), (mean, "avg"), (self.trips.max(), "max")] {
            writeln!(f, " {time} ms ({what} round trip time)")?;
        }
        writeln!(f, " {:12.3} sec (elapsed real time)\n", self.elapsed.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_fpings() {
        let mut stats = Stats { targets: 3, alive: 2, unreachable: 1, timeouts: 4, sent: 6, ..Stats::default() };
        stats.replies = 3;
        stats.elapsed = Duration::from_millis(4062);
        for nanos in [1_000_000, 2_000_001] {
            stats.trips.add(Duration::from_nanos(nanos));
        }
        let lines = [
            "",
            "       3 targets",
            "       2 alive",
            "       1 unreachable",
            "       0 unknown addresses",
            "",
            "       4 timeouts (waiting for response)",
            "       6 ICMP Echos sent",
            "       3 ICMP Echo Replies received",
            "       0 other ICMP received",
            "",
            " 1.00 ms (min round trip time)",
            " 1.50 ms (avg round trip time)",
            " 2.00 ms (max round trip time)",
            "        4.062 sec (elapsed real time)",
            "",
            "",
        ];
        assert_eq!(stats.to_string(), lines.join("\n"));
        assert!(Stats::default().to_string().contains("\n 0.000 ms (avg round trip time)\n"));
    }
}
