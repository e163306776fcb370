//! Times as people read them.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// The unit of RTTs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Us,
    /// Milliseconds.
    #[default]
    Ms,
    /// Seconds.
    S,
    /// For each figure the one that fits.
    Auto,
}

impl Unit {
    /// All of them, by the name that `--unit` takes.
    pub const NAMES: [(&'static str, Unit); 4] =
        [("us", Unit::Us), ("ms", Unit::Ms), ("s", Unit::S), ("auto", Unit::Auto)];

    /// What stands behind a row of figures.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Us => "us",
            Unit::Ms => "ms",
            Unit::S => "s",
            Unit::Auto => "",
        }
    }

    /// The same with a blank before it; nothing where each figure has its own unit.
    pub(super) fn behind(self) -> String {
        if self == Unit::Auto { String::new() } else { format!(" {}", self.name()) }
    }

    /// A figure in this unit, without its name unless that is chosen for each figure.
    pub fn figure(self, time: Duration) -> Figure {
        Figure { time, unit: self }
    }

    /// The widest figure that is common, in characters.
    pub(super) fn width(self) -> usize {
        match self {
            Unit::Us | Unit::S => 10,
            Unit::Ms => 8,
            Unit::Auto => 7,
        }
    }
}

/// A time in a unit. Rounded to whole microseconds, halves up.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    time: Duration,
    unit: Unit,
}

impl Figure {
    /// The same with the name of its unit.
    pub fn with_unit(self) -> impl Display {
        WithUnit(self)
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nanos = self.time.as_nanos();
        let us = (nanos + 500) / 1000;
        match self.unit {
            Unit::Us => f.pad(&format!("{}.{}", (nanos + 50) / 1000, (nanos + 50) / 100 % 10)),
            Unit::Ms => f.pad(&format!("{}.{:03}", us / 1000, us % 1000)),
            Unit::S => f.pad(&format!("{}.{:06}", us / 1_000_000, us % 1_000_000)),
            Unit::Auto => f.pad(&Short(self.time).to_string()),
        }
    }
}

struct WithUnit(Figure);

impl Display for WithUnit {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.unit {
            Unit::Auto => self.0.fmt(f),
            unit => write!(f, "{} {}", self.0, unit.name()),
        }
    }
}

/// A time with three significant digits, in the unit that fits: `365 us`, `1.18 ms`, `14.0 s`.
#[derive(Clone, Copy, Debug)]
pub struct Short(pub Duration);

impl Display for Short {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        // Above what would be rounded to 1000 of its unit, the next unit is used.
        let (one, unit) = match nanos {
            0..999_500 => (1_000, "us"),
            999_500..999_500_000 => (1_000_000, "ms"),
            _ => (1_000_000_000, "s"),
        };
        let decimals = match nanos {
            _ if nanos * 1000 < 9_995 * one => 2,
            _ if nanos * 100 < 9_995 * one => 1,
            _ => 0,
        };
        let scale = 10_u128.pow(decimals);
        let digits = (nanos * scale + one / 2) / one;
        let text = match decimals {
            0 => format!("{digits} {unit}"),
            decimals => {
                let (whole, rest) = (digits / scale, digits % scale);
                format!("{whole}.{rest:0width$} {unit}", width = decimals as usize)
            }
        };
        f.pad(&text)
    }
}

/// A point in time, as the time since 1970, in the form of RFC 3339 with microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(pub Duration);

impl Display for Rfc3339 {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.0.as_secs() / 86_400, self.0.as_secs() % 86_400);
        // Years begin in March, so that a leap day is the last day; 400 years have 146,097 days.
        let day = days + 719_468; // since 1 March of the year 0
        let (cycle, day) = (day / 146_097, day % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153; // from March
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = cycle * 400 + year + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let micros = self.0.subsec_micros();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_the_decimals_of_their_unit() {
        let text = |unit: Unit, nanos| unit.figure(Duration::from_nanos(nanos)).to_string();
        assert_eq!([text(Unit::Ms, 365_100), text(Unit::Ms, 499), text(Unit::Ms, 500)], ["0.365", "0.000", "0.001"]);
        assert_eq!([text(Unit::Us, 365_100), text(Unit::Us, 49), text(Unit::Us, 950)], ["365.1", "0.0", "1.0"]);
        assert_eq!([text(Unit::S, 365_100), text(Unit::S, 214_748_364_700)], ["0.000365", "214.748365"]);
        assert_eq!(Unit::Ms.figure(Duration::from_micros(7)).with_unit().to_string(), "0.007 ms");
        assert_eq!(Unit::Auto.figure(Duration::from_micros(7)).with_unit().to_string(), "7.00 us");
    }

    #[test]
    fn short_times_have_three_digits() {
        for (nanos, expected) in [
            (0, "0.00 us"),
            (365_100, "365 us"),
            (999_499, "999 us"),
            (999_500, "1.00 ms"),
            (1_184_000, "1.18 ms"),
            (9_994_999, "9.99 ms"),
            (9_995_000, "10.0 ms"),
            (99_949_999, "99.9 ms"),
            (99_950_000, "100 ms"),
            (999_500_000, "1.00 s"),
            (14_000_000_000, "14.0 s"),
            (1_234_000_000_000, "1234 s"),
        ] {
            assert_eq!(Short(Duration::from_nanos(nanos)).to_string(), expected, "{nanos}");
        }
        assert_eq!(format!("[{:>8}]", Short(Duration::from_secs(1))), "[  1.00 s]");
    }

    #[test]
    fn dates_are_those_of_date_1() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000Z"),
            (1_709_251_200, "2024-03-01T00:00:00.000000Z"),
            (1_795_689_374, "2026-11-26T10:36:14.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Rfc3339(Duration::from_secs(seconds)).to_string(), expected);
        }
        assert_eq!(Rfc3339(Duration::new(1, 14_021_999)).to_string(), "1970-01-01T00:00:01.014021Z");
    }
}
