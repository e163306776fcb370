//! A histogram of RTTs in plain characters.

use std::io::{self, Write};
use std::time::Duration;

use multiping::stats::{Percent, Rtts, Word};

use crate::report::unit::Short;

/// How many rows there are.
const ROWS: u32 = 12;

/// The length of the longest bar.
const BAR: u64 = 40;

/// Writes a row for each of [`ROWS`] ranges of RTTs, whose bounds have equal ratios: where it
/// begins, a bar, how many RTTs are in it, and which of the `percentiles`.
pub(super) fn write<W: Word, const BITS: u32>(
    out: &mut impl Write,
    rtts: &Rtts<W, BITS>,
    percentiles: &[(Percent, Duration)],
) -> io::Result<()> {
    let rows = rows(rtts);
    let most = rows.iter().map(|row| row.count).max().unwrap_or(0).max(1);
    let mut above = Duration::ZERO; // percentiles up to this have been named
    for (place, row) in rows.iter().enumerate() {
        let bar = "#".repeat((u128::from(row.count) * u128::from(BAR)).div_ceil(most.into()) as usize);
        write!(out, "  {:>8} |{bar:width$} {}", Short(row.from), row.count, width = BAR as usize)?;
        for (percent, _) in percentiles.iter().filter(|(_, rtt)| (place == 0 || *rtt > above) && *rtt <= row.to) {
            write!(out, "  p{percent}")?;
        }
        writeln!(out)?;
        above = row.to;
    }
    Ok(())
}

/// RTTs above `from` (in the first row, from it on) up to `to`.
pub(super) struct Row {
    pub(super) from: Duration,
    pub(super) to: Duration,
    pub(super) count: u64,
}

/// The rows of a histogram: none without RTTs, and one if they are all equal.
pub(super) fn rows<W: Word, const BITS: u32>(rtts: &Rtts<W, BITS>) -> Vec<Row> {
    let (Some(min), Some(max)) = (rtts.min(), rtts.max()) else { return Vec::new() };
    let low = min.max(Duration::from_nanos(100));
    let step = root(max.as_secs_f64() / low.as_secs_f64());
    let edge = |row: u32| match row {
        0 => min,
        ROWS => max,
        row => low.mul_f64(step.powi(row as i32)),
    };
    if min == max {
        return vec![Row { from: min, to: max, count: rtts.n() }];
    }
    let mut below = 0;
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let (from, to) = (edge(row), edge(row + 1));
        let up_to = rtts.count_up_to(to);
        rows.push(Row { from, to, count: up_to - below });
        below = up_to;
    }
    rows
}

/// The root of `ratio` that is the step of [`ROWS`] rows. (With powf every start of the program
/// would load the C library's libm.)
fn root(ratio: f64) -> f64 {
    let (mut low, mut high) = (1.0, ratio.max(1.0));
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if middle.powi(ROWS as i32) < ratio { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use multiping::stats::Stats;

    use super::*;

    fn text(rtts: &[u64]) -> Vec<String> {
        let mut stats = Stats::new(multiping::stats::Keep::Any, 2).expect("there is memory");
        rtts.iter().zip(0..).for_each(|(rtt, attempt)| {
            stats.record_sent(attempt, Duration::ZERO);
            stats.record_reply(attempt, Duration::from_micros(*rtt));
        });
        let percentiles = [50_000, 99_000].into_iter().filter_map(Percent::from_thousandths);
        let percentiles: Vec<_> =
            percentiles.filter_map(|percent| Some((percent, stats.rtts().percentile(percent)?))).collect();
        let mut out = Vec::new();
        write(&mut out, stats.rtts(), &percentiles).expect("memory can be written");
        String::from_utf8_lossy(&out).lines().map(|line| line.trim_end().to_owned()).collect()
    }

    #[test]
    fn each_rtt_is_in_one_row_and_each_percentile_in_its_own() {
        let spread: Vec<u64> = (0..1000).map(|n| 100 + n * n / 100).collect();
        for rtts in [&spread[..], &[100, 100, 100, 10_000], &[1, 2], &[7, 9_000_000]] {
            let rows = text(rtts);
            let words = |row: &str| row.split_once('|').map(|(_, rest)| rest.replace('#', "")).unwrap_or_default();
            let counts: Vec<u64> =
                rows.iter().filter_map(|row| words(row).split_whitespace().next()?.parse().ok()).collect();
            assert_eq!((rows.len(), counts.iter().sum::<u64>()), (12, rtts.len() as u64), "{rows:?}");
            assert_eq!(rows.iter().filter(|row| row.contains(" p50")).count(), 1, "{rows:?}");
            assert_eq!(rows.iter().filter(|row| row.contains(" p99")).count(), 1, "{rows:?}");
        }
    }

    #[test]
    fn equal_rtts_are_one_row_and_none_are_none() {
        let bar = "#".repeat(40);
        assert_eq!(text(&[250, 250]), [format!("    250 us |{bar} 2  p50  p99")]);
        assert!(text(&[]).is_empty());
    }
}
