//! Times in milliseconds, with the precision that fping gives them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// A time in milliseconds: digits and at most one point, since clients read nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ms {
    nanos: u64,
}

impl Ms {
    /// A time in nanoseconds.
    pub fn from_nanos(nanos: u64) -> Self {
        Ms { nanos }
    }

    /// It in nanoseconds.
    pub fn nanos(self) -> u64 {
        self.nanos
    }
}

impl From<Duration> for Ms {
    fn from(time: Duration) -> Self {
        Ms { nanos: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX) }
    }
}

impl Display for Ms {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ms = self.nanos as f64 / 1e6;
        // Chosen before rounding, so 9.996 is 10.00.
        let digits = match ms {
            ms if ms < 1.0 => 3,
            ms if ms < 10.0 => 2,
            ms if ms < 100.0 => 1,
            _ => 0,
        };
        write!(f, "{ms:.digits$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_precision_falls_with_the_time() {
        for (nanos, text) in [
            (0, "0.000"),
            (39_400, "0.039"),
            (999_499, "0.999"),
            (999_999, "1.000"),
            (1_000_000, "1.00"),
            (9_994_999, "9.99"),
            (9_996_000, "10.00"),
            (10_000_000, "10.0"),
            (99_960_000, "100.0"),
            (100_000_000, "100"),
            (2_999_400_000, "2999"),
            (1_000_000_000_000, "1000000"),
            (12_345_678_000_000, "12345678"),
        ] {
            assert_eq!(Ms::from_nanos(nanos).to_string(), text, "{nanos}");
        }
    }
}
