//! The wall clock in the time zone of this machine: that of /etc/localtime, whatever the
//! environment says.

use std::fs;
use std::time::{Duration, Instant};

use tz::{DateTime, LocalTimeType, TimeZone};

use crate::cli::fping::StampFormat;
use crate::run;

/// Where the time zone is.
const LOCALTIME: &str = "/etc/localtime";

/// What ctime(3) calls the days of a week and the months.
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Tells the time.
pub(super) struct Clock(TimeZone);

impl Clock {
    /// Reads the time zone, as long as files can be opened. Without one it is UTC.
    pub(super) fn new() -> Self {
        let zone = fs::read(LOCALTIME).ok().and_then(|data| TimeZone::from_tz_data(&data).ok());
        Clock(zone.unwrap_or_else(TimeZone::utc))
    }

    /// The time of day now.
    pub(super) fn time_of_day(&self) -> String {
        self.local(run::since_1970(run::now())).as_ref().map_or(String::new(), time)
    }

    /// The time now, in seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        run::since_1970(run::now()).as_secs()
    }

    /// What a line about something that happened at `at` begins with.
    pub(super) fn stamp(&self, at: Instant, format: StampFormat) -> String {
        self.format(run::since_1970(at), format)
    }

    /// A point in time, as that since 1970.
    fn format(&self, since_1970: Duration, format: StampFormat) -> String {
        let format: fn(&DateTime) -> String = match format {
            StampFormat::Unix => {
                return format!("{}.{:05}", since_1970.as_secs(), since_1970.subsec_micros() / 10);
            }
            StampFormat::Ctime => ctime,
            StampFormat::Iso => |local| format!("{}T{}{}", date(local), time(local), offset(local)),
            StampFormat::Rfc3339 => |local| format!("{} {}", date(local), time(local)),
        };
        self.local(since_1970).as_ref().map_or(String::new(), format)
    }

    /// It in the local time zone; `None`: it is farther away than any clock is wrong.
    fn local(&self, since_1970: Duration) -> Option<DateTime> {
        let seconds = i64::try_from(since_1970.as_secs()).ok()?;
        // A zone without a rule for the years behind its table is taken for UTC there.
        let zone = self.0.find_local_time_type(seconds).map_or(LocalTimeType::utc(), |zone| *zone);
        DateTime::from_timespec_and_local(seconds, 0, zone).ok()
    }
}

fn date(local: &DateTime) -> String {
    format!("{:04}-{:02}-{:02}", local.year(), local.month(), local.month_day())
}

fn time(local: &DateTime) -> String {
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

fn ctime(local: &DateTime) -> String {
    let day = DAYS.get(usize::from(local.week_day())).copied().unwrap_or_default();
    // Months count from 1.
    let month = MONTHS.get(usize::from(local.month()).saturating_sub(1)).copied().unwrap_or_default();
    format!("{day} {month} {:2} {} {}", local.month_day(), time(local), local.year())
}

/// The offset of the time zone from UTC, as `+0530`.
fn offset(local: &DateTime) -> String {
    let seconds = local.local_time_type().ut_offset();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
    format!("{sign}{:02}{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_fpings() {
        let clock = Clock(TimeZone::utc());
        let time = Duration::from_micros(1_795_691_046_714_559);
        for (format, stamp) in [
            (StampFormat::Unix, "1795691046.71455"),
            (StampFormat::Ctime, "Thu Nov 26 11:04:06 2026"),
            (StampFormat::Iso, "2026-11-26T11:04:06+0000"),
            (StampFormat::Rfc3339, "2026-11-26 11:04:06"),
        ] {
            assert_eq!(clock.format(time, format), stamp);
        }
        let day = Duration::from_secs(1_793_491_200);
        assert_eq!(clock.format(day, StampFormat::Ctime), "Sun Nov  1 00:00:00 2026");
    }

    #[test]
    fn stamps_are_those_of_the_time_zone() {
        let time = Duration::from_secs(1_795_691_046);
        for (offset, stamp) in [
            (-12_600, "2026-11-26T07:34:06-0330"),
            (19_800, "2026-11-26T16:34:06+0530"),
            (50_400, "2026-11-27T01:04:06+1400"),
        ] {
            let clock = Clock(TimeZone::fixed(offset).expect("it is an offset"));
            assert_eq!(clock.format(time, StampFormat::Iso), stamp);
        }
    }
}
