//! When this machine dropped IPv6 packets of which the kernel does not tell, but which it counts:
//! it returns success to an ICMP datagram socket all the same.
//!
//! They are dropped while they are sent. So a probe can be one of them only if the counter has
//! risen between the last look before it was sent and the first one after that.

use std::time::Instant;

/// The most periods that are kept. Of more the oldest are joined, which puts what was sent between
/// them in doubt as well.
const MAX_PERIODS: usize = 64;

/// The counter over time.
#[derive(Debug, Default)]
pub(super) struct Discards {
    /// The counter as of the last look, and when that was.
    last: Option<(u64, Instant)>,
    /// Between which looks it has changed; `None`: before the first one.
    periods: Vec<(Option<Instant>, Instant)>,
}

impl Discards {
    /// The counter is `count` at `now`. It was 0 before the first probe. `None`: there is none, or
    /// no longer.
    pub(super) fn record(&mut self, count: Option<u64>, now: Instant) {
        let Some(count) = count else {
            self.last = None;
            return;
        };
        let (before, read_at) = self.last.map_or((0, None), |(before, read_at)| (before, Some(read_at)));
        if count != before {
            match self.periods.last_mut() {
                Some((_, end)) if Some(*end) == read_at => *end = now,
                _ => self.periods.push((read_at, now)),
            }
            if self.periods.len() > MAX_PERIODS {
                let (start, _) = self.periods.remove(0);
                self.periods[0].0 = start;
            }
        }
        self.last = Some((count, now));
    }

    /// Whether a packet that was sent at `sent` may have been dropped.
    pub(super) fn had_any(&self, sent: Instant) -> bool {
        self.periods.iter().any(|&(start, end)| start.is_none_or(|start| start <= sent) && sent <= end)
    }

    /// Whether a packet that was sent at `sent` may have been dropped without being counted yet.
    pub(super) fn are_uncounted(&self, sent: Instant) -> bool {
        self.last.is_some_and(|(_, read_at)| read_at < sent)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_sent_between_two_looks_that_differ_is_in_doubt() {
        let start = Instant::now();
        let mut discards = Discards::default();
        assert!(!discards.are_uncounted(start), "nothing is counted");
        for (ms, count) in [(10, 0), (20, 0), (30, 2), (40, 3), (50, 3), (60, 4), (70, 4)] {
            discards.record(Some(count), start + ms * MS);
        }
        let doubtful: Vec<_> = (0..80).filter(|&ms| discards.had_any(start + ms * MS)).collect();
        assert_eq!(doubtful, (20..=40).chain(50..=60).collect::<Vec<_>>());
        assert_eq!([70, 71].map(|ms| discards.are_uncounted(start + ms * MS)), [false, true]);
        discards.record(None, start + 80 * MS);
        assert!(!discards.are_uncounted(start + 90 * MS) && discards.had_any(start + 60 * MS));
    }

    #[test]
    fn what_was_sent_before_the_first_look_is_in_doubt_if_anything_was_dropped() {
        let start = Instant::now();
        for count in [0, 1] {
            let mut discards = Discards::default();
            discards.record(Some(count), start + 10 * MS);
            let doubtful = [0, 11].map(|ms| discards.had_any(start + ms * MS));
            assert_eq!(doubtful, [count > 0, false]);
        }
    }

    #[test]
    fn the_oldest_of_many_periods_are_joined() {
        let start = Instant::now();
        let mut discards = Discards::default();
        for look in 0..1000 {
            discards.record(Some(u64::from(look / 2)), start + look * MS);
        }
        assert_eq!(discards.periods.len(), MAX_PERIODS);
        let is_doubtful = |half: u32| discards.had_any(start + half * MS / 2);
        assert!((2..1700).all(is_doubtful));
        // Of the last ones every second.
        assert_eq!([1993, 1995, 1997].map(is_doubtful), [false, true, false]);
    }
}
