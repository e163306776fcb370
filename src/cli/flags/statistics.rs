//! The rows of the options of runs with statistics.

use std::ffi::OsStr;
use std::time::Duration;

use multiping::prober::{Roster, Schedule};
use multiping::stats::Percent;

use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::flags::{MILLISECONDS, NUMBER, letter};
use crate::cli::statistics::{Bell, MAX_COUNT};
use crate::cli::value::{ValueError, in_range, parse_decimal, parse_time, parse_unsigned};
use crate::cli::{Options, Statistics};
use crate::report::Unit;

const TIME: Value = Value::Required("TIME", Hint::Text);

const fn row(long: &'static str, value: Value, help: &'static str, apply: Apply) -> Flag {
    Flag { long: Some(long), short: None, value, help, default: None, apply }
}

const fn switch(long: &'static str, help: &'static str, set: fn(&mut Options)) -> Flag {
    row(long, Value::None, help, Apply::Switch(set))
}

pub(super) const COUNT: Flag = Flag {
    short: Some('c'),
    ..row("count", NUMBER, "send each target N probes, one each period; print statistics", Apply::Set(set_count))
};

pub(super) const LOOP: Flag = Flag { short: Some('l'), ..switch("loop", "the same until interrupted", |_| {}) };

pub(super) const PERIOD: Flag = Flag {
    default: Some(|| Statistics::default().period.as_secs_f64().to_string()),
    ..row(
        "period",
        TIME,
        "time between two probes to a target",
        Apply::Set(|options, value| {
            options.draft.period =
                in_range(parse_time(value), Schedule::PERIOD, "0.001 to 86400 seconds, as in 1, 0.5s or 100ms")?;
            Ok(())
        }),
    )
};

pub(super) const PERIOD_MS: Flag = letter(
    'p',
    MILLISECONDS,
    "--period, in milliseconds",
    Apply::Set(|options, value| {
        const EXPECTED: &str = "1 to 86400000 milliseconds";
        let time = parse_decimal(value).and_then(|ms| Duration::try_from_secs_f64(ms / 1000.0).ok());
        options.draft.period = in_range(time, Schedule::PERIOD, EXPECTED)?;
        Ok(())
    }),
);

pub(super) const LATE: Flag = row(
    "late",
    TIME,
    "how long after its timeout a reply counts as late, not lost [default: as long again]",
    Apply::Set(|options, value| {
        const EXPECTED: &str = "0 to 200 seconds, as in 5, 1.5s or 500ms";
        options.draft.late = Some(in_range(parse_time(value), Duration::ZERO..=Roster::MAX_LATE, EXPECTED)?);
        Ok(())
    }),
);

pub(super) const STOP_AFTER: Flag = row(
    "stop-after",
    NUMBER,
    "a target is done after N answers",
    Apply::Set(|options, value| {
        options.draft.stop_after = Some(parse_count(value)?);
        Ok(())
    }),
);

pub(super) const REACHABLE: Flag = row(
    "reachable",
    NUMBER,
    "end when N targets have answered",
    Apply::Set(|options, value| {
        options.draft.reachable = Some(parse_count(value)?);
        Ok(())
    }),
);

pub(super) const REPORT_EVERY: Flag =
    row("report-every", TIME, "print the figures so far at this interval", Apply::Set(set_report_every));

pub(super) const REPORT_LETTER: Flag = letter(
    'Q',
    Value::Required("TIME", Hint::Text),
    "--quiet, and --report-every",
    Apply::Set(|options, value| {
        options.quiet = true;
        set_report_every(options, value)
    }),
);

pub(super) const VALUES_LETTER: Flag = letter(
    'C',
    NUMBER,
    "--count, and --values",
    Apply::Set(|options, value| {
        options.draft.values = true;
        set_count(options, value)
    }),
);

pub(super) const SHOW_LOST: Flag =
    switch("show-lost", "a line for each probe that is lost, late or not sent", |options| {
        options.draft.show_lost = true;
    });

pub(super) const VALUES: Flag =
    switch("values", "print the RTT of every probe in the end", |options| options.draft.values = true);

pub(super) const EXACT: Flag =
    switch("exact", "keep every RTT: percentiles are exact", |options| options.draft.exact = true);

pub(super) const PERCENTILES: Flag = Flag {
    default: Some(|| {
        let percentiles = Statistics::default().style.percentiles;
        percentiles.iter().map(Percent::to_string).collect::<Vec<_>>().join(",")
    }),
    ..row("percentiles", Value::Required("LIST", Hint::Text), "which percentiles to print", Apply::Set(set_percentiles))
};

pub(super) const PERCENTILES_OF: Flag = Flag {
    default: Some(|| "answered".to_owned()),
    ..row(
        "percentiles-of",
        Value::Required("WHICH", Hint::Text),
        "percentiles of the answered probes, or of all sent",
        Apply::Set(|options, value| {
            let choices = [("answered", false), ("sent", true)];
            options.draft.style.of_sent = choice(value, &choices, "answered or sent")?;
            Ok(())
        }),
    )
};

pub(super) const RTT_OF: Flag = Flag {
    default: Some(|| "first".to_owned()),
    ..row(
        "rtt-of",
        Value::Required("WHICH", Hint::Text),
        "RTTs of the first reply to a probe, or of all",
        Apply::Set(|options, value| {
            options.draft.all_rtts = choice(value, &[("first", false), ("all", true)], "first or all")?;
            Ok(())
        }),
    )
};

pub(super) const UNIT: Flag = Flag {
    default: Some(|| Unit::default().name().to_owned()),
    ..row(
        "unit",
        Value::Required("UNIT", Hint::Text),
        "the unit of RTTs: us, ms, s, or auto",
        Apply::Set(|options, value| {
            options.draft.style.unit = choice(value, &Unit::NAMES, "us, ms, s or auto")?;
            Ok(())
        }),
    )
};

pub(super) const PACKED: Flag =
    switch("packed", "short lines for programs: address, number of the probe, milliseconds", |options| {
        options.draft.packed = true;
    });

pub(super) const TIMESTAMPS: Flag = Flag {
    short: Some('D'),
    ..switch("timestamps", "begin lines with the time, in UTC", |options| options.draft.timestamps = true)
};

pub(super) const QUIET: Flag = Flag {
    short: Some('q'),
    ..switch("quiet", "print no lines of targets; with statistics, none of replies", |options| options.quiet = true)
};

pub(super) const WORST: Flag = row(
    "worst",
    NUMBER,
    "print the figures of the N worst lines only",
    Apply::Set(|options, value| {
        options.draft.style.worst = Some(parse_count(value)? as usize);
        Ok(())
    }),
);

pub(super) const HISTOGRAM: Flag =
    switch("histogram", "print a histogram of the RTTs", |options| options.draft.style.histogram = true);

pub(super) const BELL: Flag = row(
    "bell",
    Value::Required("WHEN", Hint::Text),
    "sound the terminal's bell: missed or received",
    Apply::Set(|options, value| {
        let choices = [("missed", Bell::Missed), ("received", Bell::Received)];
        options.draft.bell = Some(choice(value, &choices, "missed or received")?);
        Ok(())
    }),
);

pub(super) const FLOOD: Flag =
    switch("flood", "send the next probe as soon as one is answered (root only)", |options| {
        options.draft.flood = true;
    });

pub(super) const PRELOAD: Flag = row(
    "preload",
    NUMBER,
    "send the first N probes to each target at once (root only)",
    Apply::Set(|options, value| {
        let number = parse_unsigned(value);
        options.draft.preload = in_range(number, 1..=MAX_PRELOAD, "a whole number from 1 to 65535")?;
        Ok(())
    }),
);

/// The most probes to a target that are in flight.
const MAX_PRELOAD: u32 = 65_535;

fn set_count(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    options.draft.count = Some(parse_count(value)?);
    Ok(())
}

fn set_report_every(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: &str = "0.1 to 86400 seconds, as in 60, 1.5s or 500ms";
    let range = Duration::from_millis(100)..=Duration::from_secs(86_400);
    options.draft.report_every = Some(in_range(parse_time(value), range, EXPECTED)?);
    Ok(())
}

fn set_percentiles(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: &str = "up to 16 numbers from 0 to 100 with up to 3 decimals, as in 50,90,99.9";
    const MAX: usize = 16;
    let text = value.to_str().ok_or(ValueError::Invalid(EXPECTED))?;
    let percentiles: Option<Vec<_>> = text.split(',').map(parse_percent).collect();
    let percentiles = percentiles.filter(|list| list.len() <= MAX);
    options.draft.style.percentiles = percentiles.ok_or(ValueError::Invalid(EXPECTED))?;
    Ok(())
}

/// A percentage in decimals, read without rounding.
fn parse_percent(text: &str) -> Option<Percent> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if whole.len() > 3 || !(1..=3).contains(&decimals.len()) {
        return None;
    }
    let whole: u32 = parse_unsigned(OsStr::new(whole))?;
    let decimals: u32 = parse_unsigned(OsStr::new(&format!("{decimals:0<3}")))?;
    Percent::from_thousandths(whole * 1000 + decimals)
}

fn parse_count(value: &OsStr) -> Result<u32, ValueError> {
    in_range(parse_unsigned(value), 1..=MAX_COUNT, "a whole number from 1 to 1000000000")
}

fn choice<T: Copy>(value: &OsStr, choices: &[(&str, T)], expected: &'static str) -> Result<T, ValueError> {
    let chosen = choices.iter().find(|(name, _)| value == *name);
    chosen.map(|&(_, choice)| choice).ok_or(ValueError::Invalid(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_read_exactly() {
        let thousandths = |text| parse_percent(text).map(Percent::thousandths);
        assert_eq!([thousandths("0"), thousandths("50"), thousandths("100")], [Some(0), Some(50_000), Some(100_000)]);
        assert_eq!(
            [thousandths("99.9"), thousandths("99.99"), thousandths("0.001")],
            [Some(99_900), Some(99_990), Some(1)]
        );
        for bad in ["", ".5", "5.", "100.1", "101", "0.0001", "-1", "1e1", " 5", "5%", "1000"] {
            assert_eq!(thousandths(bad), None, "{bad}");
        }
    }
}
