//! Round-trip times against plain arithmetic on random samples.

use std::time::Duration;

use multiping::stats::{Keep, Percent, Rtts, Word};

use crate::random::{DISTRIBUTIONS, LONGEST, Rng};
use crate::{TICK, nearest_rank, percents};

/// Checks all figures of `rtts`, which were made from `sample`.
pub fn check_rtts<W: Word, const BITS: u32>(rtts: &Rtts<W, BITS>, sample: &[u32], exact: bool, what: &str) {
    let n = sample.len() as u64;
    let mut sorted = sample.to_vec();
    sorted.sort_unstable();
    assert_eq!((rtts.n(), rtts.is_exact()), (n, exact), "{what}");
    assert_eq!(rtts.min(), sorted.first().map(|&ticks| TICK * ticks), "{what}");
    assert_eq!(rtts.max(), sorted.last().map(|&ticks| TICK * ticks), "{what}");
    let sum: u128 = sample.iter().map(|&ticks| u128::from(ticks)).sum();
    let mean = sum as f64 * 100.0 / n as f64;
    assert!((rtts.mean().unwrap().as_nanos() as f64 - mean).abs() <= 0.5 + mean * 1e-15, "mean of {what}");
    // In two passes, about the mean.
    let deviations = sample.iter().map(|&ticks| (f64::from(ticks) * 100.0 - mean).powi(2));
    let stddev = (deviations.sum::<f64>() / n as f64).sqrt();
    let ours = rtts.stddev().unwrap().as_nanos() as f64;
    assert!((ours - stddev).abs() <= 0.51 + stddev * 1e-9, "stddev of {what}: {ours}, expected {stddev}");
    let bound = if exact { 0.0 } else { 1.0 / f64::from(2 << BITS) };
    assert_eq!(rtts.error_ratio(), bound, "{what}");
    let mut before = Duration::ZERO;
    for percent in percents() {
        let expected = TICK * nearest_rank(&sorted, percent);
        let ours = rtts.percentile(percent).unwrap();
        if exact {
            assert_eq!(ours, expected, "p{percent} of {what}");
        } else {
            let error = ours.abs_diff(expected).as_secs_f64();
            assert!(ours == expected || error < bound * expected.as_secs_f64(), "p{percent} of {what}: {ours:?}");
        }
        assert!(before <= ours, "percentiles rise");
        before = ours;
    }
    assert_eq!((rtts.percentile(Percent::from_thousandths(0).unwrap()), Some(before)), (rtts.min(), rtts.max()));
}

fn check_sample<W: Word, const BITS: u32>(keep: Keep, n: usize, distribution: usize, exact: bool) {
    let mut rng = Rng::new(n as u64 * 10 + distribution as u64);
    let longest = match keep {
        Keep::Within(longest) => u32::try_from(longest.as_nanos() / TICK.as_nanos()).unwrap_or(LONGEST),
        _ => LONGEST,
    };
    let sample: Vec<u32> = (0..n).map(|_| rng.rtt(distribution).min(longest)).collect();
    let mut rtts = Rtts::<W, BITS>::new(keep).unwrap();
    for &ticks in &sample {
        rtts.record(TICK * ticks);
    }
    check_rtts(&rtts, &sample, exact, &format!("{n} RTTs of distribution {distribution}, {keep:?}"));
}

#[test]
fn rtt_figures_of_a_target_are_those_of_plain_arithmetic() {
    for distribution in 0..DISTRIBUTIONS {
        for n in (1..60).chain([100, 446, 447, 448, 449, 450, 500, 895, 896, 897, 1000, 3457, 20_000]) {
            check_sample::<u32, 4>(Keep::Any, n, distribution, n <= 448);
            check_sample::<u32, 4>(Keep::UpTo(n), n, distribution, n <= 448);
            for longest in [Duration::from_millis(1), Duration::from_secs(10), Duration::MAX] {
                let words = Rtts::<u32, 4>::words(Keep::Within(longest));
                check_sample::<u32, 4>(Keep::Within(longest), n, distribution, n <= words);
            }
        }
    }
}

#[test]
fn rtt_figures_over_all_targets_are_those_of_plain_arithmetic() {
    for distribution in 0..DISTRIBUTIONS {
        for n in [1, 2, 448, 449, 3199, 3200, 3201, 6401, 50_000] {
            check_sample::<u64, 7>(Keep::Any, n, distribution, n <= 3200);
        }
    }
}

#[test]
fn where_every_rtt_is_kept_percentiles_are_exact() {
    for distribution in 0..DISTRIBUTIONS {
        for n in [1, 10, 447, 448, 449, 450, 1000, 20_000] {
            check_sample::<u32, 4>(Keep::Every(n), n, distribution, true);
        }
        // With the RTTs of duplicates there may be more of them than probes.
        check_sample::<u32, 4>(Keep::Every(448), 449, distribution, false);
        check_sample::<u32, 4>(Keep::Every(5000), 5001, distribution, false);
    }
}

#[test]
fn where_more_rtts_come_than_announced_only_the_percentiles_lack_them() {
    let mut rtts = Rtts::<u32, 4>::new(Keep::UpTo(2)).unwrap();
    for ticks in [10, 30, 50] {
        rtts.record(TICK * ticks);
    }
    assert_eq!((rtts.n(), rtts.is_exact()), (3, false));
    assert_eq!((rtts.min(), rtts.mean(), rtts.max()), (Some(TICK * 10), Some(TICK * 30), Some(TICK * 50)));
    assert_eq!(rtts.percentile(Percent::from_thousandths(100_000).unwrap()), Some(TICK * 30));
    let mut none = Rtts::<u32, 4>::new(Keep::UpTo(0)).unwrap();
    none.record(TICK);
    assert_eq!((none.mean(), none.percentile(Percent::from_thousandths(50_000).unwrap())), (Some(TICK), None));
}

#[test]
fn an_rtt_above_the_longest_one_is_in_the_last_bucket() {
    let mut rtts = Rtts::<u32, 4>::new(Keep::Within(Duration::from_millis(10))).unwrap();
    (0..1000).for_each(|_| rtts.record(Duration::from_secs(1)));
    rtts.record(Duration::from_secs(2));
    let percentile = |percent| rtts.percentile(Percent::from_thousandths(percent).unwrap());
    assert_eq!((rtts.n(), percentile(50_000)), (1001, Some(Duration::from_secs(1))));
    assert_eq!(percentile(100_000), Some(Duration::from_secs(2)));
}

#[test]
fn rtts_are_cut_to_ticks_and_an_endless_one_counts_as_the_longest() {
    let longest = TICK * LONGEST;
    for (rtt, kept) in [
        (Duration::ZERO, Duration::ZERO),
        (Duration::from_nanos(99), Duration::ZERO),
        (Duration::from_nanos(365_199), Duration::from_nanos(365_100)),
        (longest, longest),
        (longest + TICK, longest),
        (Duration::from_secs(429), longest),
        (Duration::from_secs(430), longest),
        (Duration::MAX, longest),
    ] {
        let mut rtts = Rtts::<u32, 4>::new(Keep::Any).unwrap();
        for _ in 0..1000 {
            rtts.record(rtt);
        }
        let figures =
            [rtts.min(), rtts.mean(), rtts.max(), rtts.percentile(Percent::from_thousandths(50_000).unwrap())];
        assert_eq!((figures, rtts.stddev()), ([Some(kept); 4], Some(Duration::ZERO)), "{rtt:?}");
    }
}

#[test]
fn deviations_of_a_tick_are_seen_beside_an_rtt_of_minutes() {
    let mut rtts = Rtts::<u32, 4>::new(Keep::Any).unwrap();
    for i in 0..100_000 {
        rtts.record(TICK * (LONGEST - i % 2));
    }
    assert_eq!(rtts.stddev(), Some(Duration::from_nanos(50)));
    assert_eq!(rtts.mean(), Some(TICK * (LONGEST - 1) + TICK / 2));
}
