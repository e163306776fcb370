//! When this machine dropped IPv6 packets of which the kernel does not tell, but which it counts:
//! it returns success to an ICMP datagram socket all the same.
//!
//! They are dropped while they are sent. So a probe can be one of them only if the counter has
//! risen between the last reading before it was sent and the first one after that. It is read at
//! turns that there are anyway, but not too often; when a probe times out; and once more soon after
//! the last one was sent: the later, the more would be in doubt.

use std::time::Instant;

use crate::prober::{LOOK_INTERVAL, Prober, Strategy};

/// The most periods that are kept. Of more the oldest are joined, which puts what was sent between
/// them in doubt as well.
const MAX_PERIODS: usize = 64;

/// The counter over time.
#[derive(Debug, Default)]
pub(super) struct Discards {
    /// What was read last, and when.
    last: Option<(u64, Instant)>,
    /// Between which readings it has changed.
    periods: Vec<(Instant, Instant)>,
    /// When the last probe of IPv6 was sent.
    sent_at: Option<Instant>,
}

impl<S: Strategy> Prober<S> {
    /// Whether to say now how many IPv6 packets this machine has dropped: before anything is sent
    /// or times out.
    pub fn poll_discards(&self, now: Instant) -> bool {
        self.paths.discards().wants_reading(|| self.is_expiring(now), now)
    }

    /// The counter of the IPv6 packets that this machine has dropped is `count` at `now`, where the
    /// kernel does not tell which. `None`: it tells of each probe, or the counter cannot be read.
    pub fn handle_discards(&mut self, count: Option<u64>, now: Instant) {
        self.paths.discards_mut().record(count, now);
    }
}

impl Discards {
    /// The counter is `count` at `now`. `None`: there is none, or no longer.
    pub(super) fn record(&mut self, count: Option<u64>, now: Instant) {
        if let Some((_, read_at)) = self.last.filter(|&(before, _)| count.is_some_and(|count| count != before)) {
            match self.periods.last_mut() {
                Some((_, end)) if *end == read_at => *end = now,
                _ => self.periods.push((read_at, now)),
            }
            if self.periods.len() > MAX_PERIODS {
                let (start, _) = self.periods.remove(0);
                self.periods[0].0 = start;
            }
        }
        self.last = count.map(|count| (count, now));
    }

    /// A probe of IPv6 was sent at `at`.
    pub(super) fn handle_sent(&mut self, at: Instant) {
        self.sent_at = Some(at);
    }

    /// Whether to read the counter now; `is_expiring`: a probe times out.
    fn wants_reading(&self, is_expiring: impl FnOnce() -> bool, now: Instant) -> bool {
        let Some((_, read_at)) = self.last else { return true };
        now.saturating_duration_since(read_at) >= LOOK_INTERVAL || self.is_behind() && is_expiring()
    }

    /// When to read it even if there is nothing else to do.
    pub(super) fn next_count(&self) -> Option<Instant> {
        let (_, read_at) = self.last.filter(|_| self.is_behind())?;
        Some(read_at + LOOK_INTERVAL)
    }

    /// Whether a probe was sent since it was read.
    fn is_behind(&self) -> bool {
        self.last.is_some_and(|(_, read_at)| self.sent_at.is_some_and(|sent| read_at <= sent))
    }

    /// When the counter was last seen to have risen.
    pub(super) fn last_rise(&self) -> Option<Instant> {
        self.periods.last().map(|&(_, end)| end)
    }

    /// Whether a packet that was sent at `sent` may have been dropped.
    pub(super) fn had_any(&self, sent: Instant) -> bool {
        self.periods.iter().any(|&(start, end)| start <= sent && sent <= end)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use std::time::Duration;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_was_sent_between_two_readings_that_differ_is_in_doubt() {
        let start = Instant::now();
        let mut discards = Discards::default();
        for (ms, count) in [(10, 7), (20, 7), (30, 9), (40, 10), (50, 10), (60, 11), (70, 11)] {
            discards.record(Some(count), start + ms * MS);
        }
        let doubtful: Vec<_> = (0..80).filter(|&ms| discards.had_any(start + ms * MS)).collect();
        assert_eq!(doubtful, (20..=40).chain(50..=60).collect::<Vec<_>>());
        // A counter that was gone may have been another one.
        discards.record(None, start + 80 * MS);
        discards.record(Some(0), start + 90 * MS);
        assert!(!discards.had_any(start + 85 * MS) && discards.had_any(start + 60 * MS));
    }

    #[test]
    fn it_is_read_after_the_last_probe_and_before_the_first_timeout() {
        let start = Instant::now();
        let at = |ms| start + ms * MS;
        let mut discards = Discards::default();
        assert!(discards.wants_reading(|| false, start), "before the first probe");
        discards.record(Some(0), start);
        assert_eq!([1, 99, 100].map(|ms| discards.wants_reading(|| true, at(ms))), [false, false, true]);
        assert_eq!(discards.next_count(), None, "nothing was sent");
        discards.handle_sent(at(10));
        assert_eq!([11, 99, 100].map(|ms| discards.wants_reading(|| false, at(ms))), [false, false, true]);
        assert!(discards.wants_reading(|| true, at(11)));
        assert_eq!(discards.next_count(), Some(at(100)));
        discards.record(Some(0), at(20));
        assert!(!discards.wants_reading(|| true, at(21)) && discards.next_count().is_none());
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
