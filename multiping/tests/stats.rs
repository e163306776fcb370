//! `stats`: every figure equals that of plain arithmetic on all probes, in bounded memory.
//!
//! The oracle keeps all probes and all RTTs, and computes each figure from its definition. Random
//! samples and runs follow from seeds, so a failure can be repeated.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "stats/random.rs"]
mod random;
#[path = "stats/rtts.rs"]
mod rtts;
#[path = "stats/runs.rs"]
mod runs;

use std::time::Duration;

use multiping::stats::{Counter, Keep, Percent, Percentile, Rtts, Stats, Totals, Values};

const TICK: Duration = Duration::from_nanos(100);

/// In thousandths.
const PERCENTS: [u32; 12] = [0, 1, 1000, 7000, 10_000, 25_000, 50_000, 75_000, 90_000, 99_000, 99_900, 100_000];

fn percents() -> impl Iterator<Item = Percent> {
    PERCENTS.into_iter().map(|thousandths| Percent::from_thousandths(thousandths).unwrap())
}

/// The nearest rank, by its definition: the smallest value with at least this percentage of the
/// values at or below it.
fn nearest_rank(sorted: &[u32], percent: Percent) -> u32 {
    let n = sorted.len() as u64;
    let reaches = |at_or_below: usize| at_or_below as u64 * 100_000 >= n * u64::from(percent.thousandths());
    let place = (0..sorted.len()).find(|&place| reaches(place + 1)).unwrap();
    sorted[place]
}

#[test]
fn of_nothing_there_is_no_figure() {
    let stats = Stats::new(Keep::Any, 11).unwrap();
    let rtts = stats.rtts();
    assert_eq!((rtts.n(), rtts.min(), rtts.mean(), rtts.max(), rtts.stddev()), (0, None, None, None, None));
    assert_eq!((rtts.is_exact(), rtts.error_ratio()), (true, 0.0));
    for percent in percents() {
        assert_eq!((rtts.percentile(percent), stats.percentile_of_sent(percent)), (None, None));
    }
    assert_eq!((stats.jitter(), stats.jitter_rfc3550(), stats.ttl(), stats.counts().loss()), (None, None, None, None));
    assert_eq!((stats.longest_outage(Duration::from_secs(9)), stats.longest_loss_run()), (None, 0));
    let totals = Totals::new().unwrap();
    assert_eq!((totals.rtts().mean(), totals.counts().loss(), totals.counts().sent()), (None, None, 0));
}

#[test]
fn lost_probes_are_infinite_in_percentiles_of_those_sent() {
    for n in 0..30u32 {
        for lost in 0..30u32 {
            let mut stats = Stats::new(Keep::Any, 2).unwrap();
            for attempt in 0..n + lost {
                stats.record_sent(attempt, Duration::from_secs(attempt.into()));
                if attempt < n {
                    stats.record_reply(attempt, TICK * attempt);
                } else {
                    stats.record_timeout(attempt);
                }
            }
            let sorted: Vec<u32> = (0..n).chain((0..lost).map(|_| u32::MAX)).collect();
            for percent in percents() {
                let expected = (n + lost > 0).then(|| match nearest_rank(&sorted, percent) {
                    u32::MAX => Percentile::Lost,
                    ticks => Percentile::Rtt(TICK * ticks),
                });
                assert_eq!(stats.percentile_of_sent(percent), expected, "p{percent}: {n} answered, {lost} lost");
            }
        }
    }
}

/// Feeds a line of probes, one a second: a digit is answered after so many ms, `.` lost, `l` late,
/// `-` not sent, `?` in flight.
fn feed(line: &str) -> Stats {
    let mut stats = Stats::new(Keep::Any, 11).unwrap();
    for (attempt, what) in (0..).zip(line.chars()) {
        if what == '-' {
            stats.record_send_error();
            continue;
        }
        stats.record_sent(attempt, Duration::from_secs(attempt.into()));
        match what {
            '.' => stats.record_timeout(attempt),
            'l' => {
                stats.record_timeout(attempt);
                stats.record_late(attempt, Duration::from_secs(6));
            }
            '?' => {}
            digit => stats.record_reply(attempt, Duration::from_millis(digit.to_digit(10).unwrap().into())),
        }
    }
    stats
}

#[test]
fn an_outage_lasts_from_the_first_lost_probe_to_the_next_that_was_not_lost_or_to_the_end() {
    for (line, run, seconds) in [
        ("1111111111", 0, 0),
        (".1", 1, 1),
        ("1..1...11", 3, 3),
        ("1...1..11", 3, 3),
        ("..........", 10, 14), // the example of 10 probes with a timeout of 5 s
        ("1111111...", 3, 7),
        ("1..l..1111", 2, 2), // late is not lost
        ("1.-.1..111", 2, 3), // what was not sent says nothing, but takes time
        ("1.?.1", 2, 3),
        ("1.??", 1, 13),
        ("..1..111111", 2, 2),
        ("....1111111111111111111111111111", 4, 4), // long out of the window
        ("1....................1", 20, 20),         // longer than the window, and sent after the end
        ("----------", 0, -1),
        ("??", 0, -1),
    ] {
        let stats = feed(line);
        assert_eq!(stats.longest_loss_run(), run, "{line}");
        let outage = u64::try_from(seconds).ok().map(Duration::from_secs);
        assert_eq!(stats.longest_outage(Duration::from_secs(14)), outage, "{line}");
    }
}

#[test]
fn outages_of_years_and_probes_days_apart_are_timed_right() {
    let day = Duration::from_secs(86_400);
    let mut stats = Stats::new(Keep::Any, Stats::window(day / 4, day / 4, day)).unwrap();
    for attempt in 0..1000u32 {
        stats.record_sent(attempt, day * attempt + Duration::from_micros(100));
        if (10..910).contains(&attempt) { stats.record_timeout(attempt) } else { stats.record_reply(attempt, TICK) }
    }
    assert_eq!(stats.longest_loss_run(), 900);
    assert_eq!(stats.longest_outage(day * 1000), Some(day * 900));
}

#[test]
fn jitter_is_over_successive_probes_that_were_both_answered_in_time() {
    for (line, jitter) in [
        ("1", None),
        ("13", Some(2000.0)),
        ("1311", Some(4000.0 / 3.0)),
        ("1.3", None),
        ("1-3", None),
        ("1l3", None),
        ("1?3", None),
        ("15.1399", Some((4.0 + 2.0 + 6.0 + 0.0) / 4.0 * 1000.0)),
        ("19.19191", Some(8000.0)),
    ] {
        let micros = feed(line).jitter().map(|jitter| jitter.as_nanos() as f64 / 1000.0);
        assert!((micros.unwrap_or(-1.0) - jitter.unwrap_or(-1.0)).abs() < 0.001, "{line}: {micros:?}");
        assert_eq!(micros.is_some(), jitter.is_some(), "{line}");
    }
}

#[test]
fn rfc_3550_jitter_moves_by_a_sixteenth() {
    assert_eq!(feed("1").jitter_rfc3550(), None);
    assert_eq!(feed("19").jitter_rfc3550(), Some(Duration::from_micros(500)));
    // 500 us - 500 us / 16 + 8 ms / 16
    assert_eq!(feed("191").jitter_rfc3550(), Some(Duration::from_nanos(968_750)));
    assert_eq!(feed("11111").jitter_rfc3550(), Some(Duration::ZERO));
}

#[test]
fn what_is_told_twice_is_counted_once() {
    let mut stats = Stats::new(Keep::Any, 4).unwrap();
    let ms = Duration::from_millis(1);
    for attempt in 0..3 {
        stats.record_sent(attempt, Duration::from_secs(attempt.into()));
    }
    stats.record_reply(0, ms);
    stats.record_reply(0, ms * 9); // a duplicate
    stats.record_late(0, ms * 9); // another
    stats.record_timeout(0);
    stats.record_timeout(1);
    stats.record_timeout(1);
    stats.record_late(1, ms * 2);
    stats.record_late(1, ms * 3); // a third
    stats.record_timeout(1);
    stats.record_late(2, ms * 4); // its timeout was not told
    let counts = [Counter::Answered, Counter::Late, Counter::Lost, Counter::Duplicates];
    assert_eq!(counts.map(|counter| stats.counts().get(counter)), [1, 2, 0, 3]);
    assert_eq!((stats.rtts().n(), stats.rtts().max()), (3, Some(ms * 4)));
}

#[test]
fn an_answer_in_time_that_is_read_after_the_timeout_still_counts() {
    let mut stats = Stats::new(Keep::Any, 4).unwrap();
    stats.record_sent(0, Duration::ZERO);
    stats.record_timeout(0);
    stats.record_reply(0, TICK);
    assert_eq!((stats.counts().get(Counter::Answered), stats.counts().get(Counter::Lost)), (1, 0));
    assert_eq!(stats.longest_loss_run(), 0);
}

#[test]
fn probes_that_left_the_window_are_counted_all_the_same() {
    let mut stats = Stats::new(Keep::Any, 2).unwrap();
    for attempt in 0..100 {
        stats.record_sent(attempt, Duration::from_secs(attempt.into()));
    }
    stats.record_reply(0, TICK);
    stats.record_timeout(1);
    stats.record_timeout(2);
    stats.record_late(2, TICK);
    let counts = [Counter::Answered, Counter::Late, Counter::Lost, Counter::Reordered];
    assert_eq!(counts.map(|counter| stats.counts().get(counter)), [1, 1, 1, 0]);
    // Numbers that jump, and the last ones there are.
    for attempt in [1000, 1_000_000, u32::MAX - 1, u32::MAX, 3] {
        stats.record_sent(attempt, Duration::from_secs(attempt.into()));
        stats.record_timeout(attempt);
    }
    assert_eq!(stats.counts().get(Counter::Lost), 6);
}

#[test]
fn duplicates_count_with_their_rtt_only_where_asked() {
    let mut stats = feed("11");
    stats.record_duplicate();
    assert_eq!((stats.counts().get(Counter::Duplicates), stats.rtts().n()), (1, 2));
    stats.record_duplicate();
    stats.record_duplicate_rtt(Duration::from_millis(4));
    assert_eq!((stats.counts().get(Counter::Duplicates), stats.rtts().n()), (2, 3));
    assert_eq!((stats.rtts().mean(), stats.counts().sent()), (Some(Duration::from_millis(2)), 2));
}

#[test]
fn the_last_ttl_and_its_changes_are_known() {
    let mut stats = Stats::new(Keep::Any, 2).unwrap();
    for ttl in [62, 62, 61, 62, 62] {
        stats.record_ttl(ttl);
    }
    assert_eq!((stats.ttl(), stats.counts().get(Counter::TtlChanges)), (Some(62), 2));
}

#[test]
fn a_doubtful_probe_is_neither_lost_nor_the_end_of_an_outage() {
    let mut stats = feed("1...");
    stats.record_sent(4, Duration::from_secs(4));
    stats.record_doubtful(4);
    stats.record_doubtful(4);
    assert_eq!((stats.counts().get(Counter::Doubtful), stats.counts().sent(), stats.longest_loss_run()), (1, 4, 3));
    stats.record_sent(5, Duration::from_secs(5));
    stats.record_timeout(5);
    assert_eq!((stats.counts().get(Counter::Lost), stats.longest_loss_run()), (4, 4));
    stats.record_late(4, Duration::from_secs(7));
    assert_eq!((stats.counts().get(Counter::Doubtful), stats.counts().get(Counter::Lost)), (0, 4));
    assert_eq!((stats.counts().get(Counter::Late), stats.counts().sent(), stats.longest_loss_run()), (1, 6, 3));
}

#[test]
fn each_further_event_has_its_own_count() {
    let mut stats = Stats::new(Keep::Any, 2).unwrap();
    stats.record_damaged();
    (0..2).for_each(|_| stats.record_other_source());
    (0..3).for_each(|_| stats.record_icmp_error());
    (0..4).for_each(|_| stats.record_send_error());
    let counts = [Counter::Damaged, Counter::OtherSource, Counter::IcmpErrors, Counter::SendErrors];
    assert_eq!(counts.map(|counter| stats.counts().get(counter)), [1, 2, 3, 4]);
    assert_eq!(stats.counts().sent(), 0);
}

#[test]
fn a_target_takes_2_kilobytes_at_most_by_default() {
    let second = Duration::from_secs(1);
    let window = Stats::window(second * 5, second * 5, second);
    assert_eq!(window, 11);
    // Replies are accepted for 10 s in all.
    let (words, slots) = (Rtts::<u32, 4>::words(Keep::Within(second * 10)) * 4, window * 8);
    assert_eq!((words, Rtts::<u32, 4>::words(Keep::Any)), (376 * 4, 448));
    let bytes = size_of::<Stats>() + words + slots;
    assert!(bytes <= 2048, "{bytes} bytes");
    // With --count=10.
    assert!(bytes - words + 10 * 4 <= 300);
}

#[test]
fn the_window_holds_all_probes_that_may_be_answered() {
    let seconds = Duration::from_secs;
    assert_eq!(Stats::window(seconds(5), Duration::ZERO, seconds(1)), 7);
    assert_eq!(Stats::window(seconds(1), seconds(1), seconds(86_400)), 3);
    assert_eq!(Stats::window(seconds(200), seconds(200), Duration::from_millis(1)), 400_001);
    assert!(Stats::window(seconds(1), seconds(1), Duration::ZERO) > 1_000_000);
}

#[test]
fn no_memory_is_an_error() {
    assert!(Stats::new(Keep::Every(usize::MAX), 11).is_err());
    assert!(Stats::new(Keep::Any, usize::MAX / 16).is_err());
    assert!(Stats::many(usize::MAX, Keep::Any, 2).is_err());
    assert!(Stats::many(2, Keep::Every(usize::MAX), 2).is_err());
    assert!(Values::new(usize::MAX).is_err());
}
