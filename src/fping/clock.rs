//! The wall clock, and the time zone of this machine: of /etc/localtime, whatever the environment
//! says.

#![expect(clippy::disallowed_methods, reason = "an edge: the wall clock is read for time stamps")]

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use crate::cli::fping::StampFormat;

/// Where the time zone is.
const LOCALTIME: &str = "/etc/localtime";

/// Tells the time.
pub(super) struct Clock(TimeZone);

impl Clock {
    /// Reads the time zone, as long as files can be opened. Without one it is UTC.
    pub(super) fn new() -> Self {
        let zone = fs::read(LOCALTIME).ok().and_then(|data| TimeZone::tzif("local", &data).ok());
        Clock(zone.unwrap_or(TimeZone::UTC))
    }

    /// The time of day now.
    pub(super) fn time_of_day(&self) -> String {
        self.local(SystemTime::now()).strftime("%H:%M:%S").to_string()
    }

    /// The time now, in seconds since 1970.
    pub(super) fn seconds(&self) -> u64 {
        since_1970(SystemTime::now()).as_secs()
    }

    /// What a line about something that happened at `at` begins with.
    pub(super) fn stamp(&self, at: Instant, format: StampFormat) -> String {
        let wall = SystemTime::now();
        let wall = wall.checked_sub(Instant::now().saturating_duration_since(at)).unwrap_or(wall);
        self.format(wall, format)
    }

    fn format(&self, wall: SystemTime, format: StampFormat) -> String {
        let pattern = match format {
            StampFormat::Unix => {
                let time = since_1970(wall);
                return format!("{}.{:05}", time.as_secs(), time.subsec_micros() / 10);
            }
            StampFormat::Ctime => "%a %b %e %H:%M:%S %Y",
            StampFormat::Iso => "%Y-%m-%dT%H:%M:%S%z",
            StampFormat::Rfc3339 => "%Y-%m-%d %H:%M:%S",
        };
        self.local(wall).strftime(pattern).to_string()
    }

    fn local(&self, wall: SystemTime) -> ZonedDateTime {
        // Out of range is only what no clock shows.
        Timestamp::try_from(wall).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned_datetime(self.0.clone())
    }
}

fn since_1970(wall: SystemTime) -> Duration {
    wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_fpings() {
        let clock = Clock(TimeZone::UTC);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_691_046_714_559);
        for (format, stamp) in [
            (StampFormat::Unix, "1795691046.71455"),
            (StampFormat::Ctime, "Thu Nov 26 11:04:06 2026"),
            (StampFormat::Iso, "2026-11-26T11:04:06+0000"),
            (StampFormat::Rfc3339, "2026-11-26 11:04:06"),
        ] {
            assert_eq!(clock.format(wall, format), stamp);
        }
    }
}
