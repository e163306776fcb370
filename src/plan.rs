//! What is sent to each target, when a target is settled, and what an ordinary user may ask for: policy as data.
//!
//! A mode of the program is a value of [`Plan`]. The defaults are those of the original xymonping, and this is their
//! only home: the flag table, the help text and the test of the man page all read them here.

use std::fmt::{self, Display, Formatter};
use std::iter;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::address::PerFamily;

/// How many packets may be sent in a second, retries included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// This many a second, on average.
    PerSecond(f64),
    /// As many as the kernel accepts.
    Unlimited,
}

impl Rate {
    /// The lowest and the highest rate that can be asked for, in packets a second.
    pub const RANGE: RangeInclusive<f64> = 0.01..=10_000_000.0;

    /// Whether it is higher than `pps` packets a second.
    pub fn exceeds(self, pps: f64) -> bool {
        match self {
            Rate::PerSecond(rate) => rate > pps,
            Rate::Unlimited => true,
        }
    }
}

impl Display for Rate {
    /// As `--max-pps` takes it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Rate::PerSecond(pps) => pps.fmt(f),
            Rate::Unlimited => f.write_str("unlimited"),
        }
    }
}

/// What every target is sent, and when it is settled.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// How many further attempts a target gets after silence.
    pub retries: u8,
    /// How many answers are wanted of each target; the RTT is their mean. At least 1.
    pub responses: u8,
    /// How long a probe may stay unanswered.
    pub timeout: Duration,
    /// By what each timeout of a target multiplies its next one; at least 1.
    pub backoff: f64,
    /// The pace of everything that leaves.
    pub rate: Rate,
    /// The least time between two probes to one target.
    pub spacing: Duration,
    /// Whether an answer counts only if it comes from the address that was probed.
    pub check_source: bool,
    /// Whether targets are probed in a random order.
    pub shuffle: bool,
}

impl Plan {
    /// The shortest and the longest timeout that can be asked for.
    pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(200);

    /// The distinct timeouts of a target's successive attempts; the last one holds for all further
    /// attempts. None is longer than the longest timeout that can be asked for.
    pub fn timeouts(&self) -> Vec<Duration> {
        let longer = |timeout: &Duration| Some(timeout.mul_f64(self.backoff).min(*Self::TIMEOUT.end()));
        let mut timeouts: Vec<_> =
            iter::successors(Some(self.timeout), longer).take(usize::from(self.retries) + 1).collect();
        timeouts.dedup();
        timeouts
    }
}

impl Default for Plan {
    /// The defaults of xymonping(1).
    fn default() -> Self {
        Plan {
            retries: 2,
            responses: 1,
            timeout: Duration::from_secs(5),
            backoff: 1.0,
            rate: Rate::PerSecond(50.0),
            spacing: Duration::ZERO,
            check_source: false,
            shuffle: false,
        }
    }
}

/// What a probe looks like on the wire.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// How many bytes of data a probe carries, the token included.
    pub size: usize,
    /// What the data after the token is filled with, again and again; empty: counting bytes, as ping(8) sends.
    pub pattern: Vec<u8>,
    /// Time To Live or Hop Limit, if not the system's.
    pub ttl: Option<u8>,
    /// Type Of Service or Traffic Class, if not the system's.
    pub tos: Option<u8>,
    /// Whether no router may fragment it.
    pub dont_fragment: bool,
}

impl Shape {
    /// The least and the most data of a probe, in bytes: a token, and what an IPv4 packet holds.
    pub const SIZE: RangeInclusive<usize> = 16..=65_507;

    /// The longest pattern, in bytes, as in ping(8).
    pub const MAX_PATTERN: usize = 16;
}

impl Default for Shape {
    /// What the original and ping(8) send.
    fn default() -> Self {
        Shape { size: 56, pattern: Vec::new(), ttl: None, tos: None, dont_fragment: false }
    }
}

/// What a caller may ask for. The program may be setuid, so there are limits for callers whose real
/// user is not root.
pub struct Limits {
    /// Whether the real user is root.
    pub caller_is_root: bool,
    /// The highest rate.
    pub rate: Rate,
    /// The least time between two probes to one target.
    pub spacing: Duration,
    /// The most targets and lines in one run.
    pub targets: usize,
    /// Whether multicast and broadcast addresses may be probed.
    pub groups: bool,
    /// The most data in a probe over IPv4 and over IPv6, in bytes.
    pub max_sizes: PerFamily<usize>,
}

impl Limits {
    /// For ordinary users. The sizes are what fits into one Ethernet frame.
    pub const ORDINARY: Limits = Limits {
        caller_is_root: false,
        rate: Rate::PerSecond(10_000.0),
        spacing: Duration::from_millis(10),
        targets: 1 << 24,
        groups: false,
        max_sizes: PerFamily { v4: 1_472, v6: 1_452 },
    };

    /// For root: only what the program itself and the packets can hold.
    pub const ROOT: Limits = Limits {
        caller_is_root: true,
        rate: Rate::Unlimited,
        spacing: Duration::ZERO,
        targets: (1 << 31) - 1,
        groups: true,
        max_sizes: PerFamily { v4: *Shape::SIZE.end(), v6: *Shape::SIZE.end() },
    };
}
