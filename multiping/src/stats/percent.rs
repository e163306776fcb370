//! Percentiles by the nearest rank, in integers.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A percentage from 0 to 100 with up to 3 decimals.
///
/// The rank is computed in integers: in floating point `ceil(0.07 * n)` is wrong for 807 of the
/// first 100,000 n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u32);

impl Percent {
    /// 100 %, in thousandths of a percent.
    const ALL: u32 = 100_000;

    /// So many thousandths of a percent (99,900 is 99.9 %), if that is not above 100 %.
    pub const fn from_thousandths(thousandths: u32) -> Option<Self> {
        if thousandths <= Self::ALL { Some(Percent(thousandths)) } else { None }
    }

    /// In thousandths of a percent.
    pub const fn thousandths(self) -> u32 {
        self.0
    }

    /// The nearest rank of this percentile among `n` sorted values, counted from 1: the smallest
    /// rank such that at least this percentage of the values is at or below it (RFC 2330, section
    /// 11.3), and at least 1.
    pub fn rank(self, n: u64) -> u64 {
        let rank = (u128::from(n) * u128::from(self.0)).div_ceil(Self::ALL.into());
        // At most n.
        (rank as u64).max(1)
    }
}

impl Display for Percent {
    /// Without a sign, and with no more decimals than needed: `50`, `99.9`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.0 / 1000, self.0 % 1000);
        match (decimals % 100, decimals % 10) {
            _ if decimals == 0 => write!(f, "{whole}"),
            (0, _) => write!(f, "{whole}.{}", decimals / 100),
            (_, 0) => write!(f, "{whole}.{:02}", decimals / 10),
            _ => write!(f, "{whole}.{decimals:03}"),
        }
    }
}

/// A percentile over all probes, where a lost probe counts as an infinite RTT (RFC 2681).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Percentile {
    /// This RTT.
    Rtt(Duration),
    /// The rank falls among the lost probes.
    Lost,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

    use super::*;

    #[test]
    fn ranks_are_the_smallest_that_reach_the_percentage() {
        for thousandths in [0, 1, 999, 1000, 5000, 7000, 10_000, 29_000, 33_333, 50_000, 57_000, 90_000, 99_000] {
            check(thousandths);
        }
        for thousandths in [99_900, 99_990, 99_999, 100_000] {
            check(thousandths);
        }
    }

    /// The rank for the first 100,000 n, against the definition and against a counter that goes
    /// along with n.
    fn check(thousandths: u32) {
        let percent = Percent::from_thousandths(thousandths).unwrap();
        let mut ceil = 0;
        for n in 1..=100_000 {
            while ceil * 100_000 < n * u64::from(thousandths) {
                ceil += 1;
            }
            assert_eq!(percent.rank(n), ceil.max(1), "{percent} % of {n}");
        }
    }

    #[test]
    fn seven_percent_is_right_where_floating_point_is_not() {
        let percent = Percent::from_thousandths(7000).unwrap();
        let wrong = (1..=100_000u64).filter(|&n| percent.rank(n) != (n as f64 * 0.07).ceil() as u64).count();
        assert_eq!(wrong, 807);
        assert_eq!(percent.rank(100), 7);
    }

    #[test]
    fn ranks_do_not_overflow() {
        for n in [0, 1, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(Percent(100_000).rank(n), n.max(1));
            assert_eq!(Percent(0).rank(n), 1);
        }
        assert_eq!(Percent(50_000).rank(u64::MAX), 1 << 63);
    }

    #[test]
    fn nothing_is_above_100_percent() {
        assert_eq!(Percent::from_thousandths(100_000).map(Percent::thousandths), Some(100_000));
        assert_eq!(Percent::from_thousandths(100_001), None);
        assert_eq!(Percent::from_thousandths(u32::MAX), None);
    }

    #[test]
    fn percentages_are_written_with_as_many_decimals_as_needed() {
        let text = |thousandths| Percent(thousandths).to_string();
        assert_eq!([0, 50_000, 100_000].map(text), ["0", "50", "100"]);
        assert_eq!([99_900, 99_990, 99_999, 500].map(text), ["99.9", "99.99", "99.999", "0.5"]);
        assert_eq!([2_050, 2_005, 2_500, 10].map(text), ["2.05", "2.005", "2.5", "0.01"]);
    }
}
