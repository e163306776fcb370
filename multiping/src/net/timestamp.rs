//! The kernel's receive time stamps, which are wall-clock times, on the monotonic clock.
//!
//! A stamp is converted by reading both clocks: it is as far from now on the one as on the other.
//! (What changes the wall clock's speed changes the monotonic one's as well: only a step changes
//! their difference.) A packet has not arrived before its queue was last seen empty, but for a
//! little ([`TOLERANCE`]). A stamp that says so, or that is from the future, is from before a step
//! of the wall clock, and is converted by what the clocks said when the queue was empty. So no step
//! changes when a packet arrived, unless it is shorter than the queue was not looked at. Then
//! either may be right, and the earlier one is taken: it is wrong by no more than the step, and
//! makes no reply late.

use std::time::{Duration, Instant, SystemTime};

/// How far before the time at which a queue was seen empty a packet in it may be stamped: the
/// kernel stamps it a little before it queues it. And by how much the clocks may differ without a
/// step, as far as can be read.
const TOLERANCE: Duration = Duration::from_millis(1);

/// How long it may take to read both clocks, and how often that is tried: the scheduler may take
/// the processor away in between.
const MAX_READING: Duration = Duration::from_micros(20);
const MAX_READINGS: u32 = 4;

/// The time since the wall clock's epoch.
pub(super) fn wall_clock() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The same time on both clocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPair {
    pub(super) now: Instant,
    /// The wall clock, as a time since its epoch.
    wall: Duration,
}

impl ClockPair {
    /// The present.
    pub(super) fn read() -> Self {
        Self::read_from(Instant::now, wall_clock)
    }

    fn read_from(monotonic: impl Fn() -> Instant, wall: impl Fn() -> Duration) -> Self {
        let read = || {
            let pair = ClockPair { now: monotonic(), wall: wall() };
            (monotonic().saturating_duration_since(pair.now), pair)
        };
        let mut best = read();
        for _ in 1..MAX_READINGS {
            if best.0 <= MAX_READING {
                break;
            }
            let again = read();
            best = if again.0 < best.0 { again } else { best };
        }
        best.1
    }

    /// The same difference of the clocks at another time.
    fn at(self, now: Instant) -> Self {
        match now.checked_duration_since(self.now) {
            Some(later) => ClockPair { now, wall: self.wall + later },
            None => ClockPair { now, wall: self.wall.saturating_sub(self.now - now) },
        }
    }

    /// The stamps of packets that are read now, from a queue that was last seen empty at `empty`.
    pub(super) fn stamps_since(self, empty: ClockPair) -> Stamps {
        // After a step back, what was stamped before it seems to be later than it was.
        let was_stepped_back = empty.at(self.now).wall > self.wall + TOLERANCE;
        Stamps { now: self, empty, was_stepped_back }
    }

    /// A wall-clock time on the monotonic clock.
    fn monotonic(&self, wall: Duration) -> Option<Instant> {
        match self.wall.checked_sub(wall) {
            Some(age) => self.now.checked_sub(age),
            None => self.now.checked_add(wall - self.wall),
        }
    }
}

/// The stamps of the packets of one read.
pub(super) struct Stamps {
    now: ClockPair,
    empty: ClockPair,
    was_stepped_back: bool,
}

impl Stamps {
    /// When a packet arrived that the kernel stamped with `stamp`, a time since the wall clock's
    /// epoch. `None`: the wall clock was stepped more than once since the queue was empty.
    pub(super) fn arrival(&self, stamp: Duration) -> Option<Instant> {
        let Stamps { now, empty, was_stepped_back } = self;
        let is_possible = |at: &Instant| empty.now.saturating_duration_since(*at) <= TOLERANCE && *at <= now.now;
        let by_now = now.monotonic(stamp).filter(is_possible);
        if by_now.is_some() && !was_stepped_back {
            return by_now;
        }
        empty.monotonic(stamp).filter(is_possible).or(by_now)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const WALL: Duration = Duration::from_secs(1_800_000_000);
    const MS: Duration = Duration::from_millis(1);

    /// The wall clock `ms` after the start: stepped by `step` milliseconds at `stepped_at`.
    fn wall(ms: i64, stepped_at: i64, step: i64) -> Duration {
        let ms = ms + if ms >= stepped_at { step } else { 0 };
        Duration::from_millis((WALL.as_millis() as i64 + ms) as u64)
    }

    fn pair(start: Instant, ms: i64, wall: Duration) -> ClockPair {
        ClockPair { now: start + Duration::from_millis(ms as u64), wall }
    }

    /// When packets arrive, in milliseconds, that arrived at `ms` and are read at `read`, from a
    /// queue that was empty at 0: by the stamps of a clock that is stepped at `stepped_at`.
    fn arrivals(ms: &[i64], read: i64, stepped_at: i64, step: i64) -> Vec<Option<i64>> {
        let start = Instant::now() + Duration::from_secs(10);
        let empty = pair(start, 0, wall(0, stepped_at, step));
        let now = pair(start, read, wall(read, stepped_at, step));
        let stamps = now.stamps_since(empty);
        let arrival = |&ms: &i64| stamps.arrival(wall(ms, stepped_at, step));
        let milliseconds = |at: Instant| match at.checked_duration_since(start) {
            Some(after) => after.as_millis() as i64,
            None => -(start.saturating_duration_since(at).as_millis() as i64),
        };
        ms.iter().map(|ms| arrival(ms).map(milliseconds)).collect()
    }

    fn exact(ms: &[i64]) -> Vec<Option<i64>> {
        ms.iter().copied().map(Some).collect()
    }

    #[test]
    fn a_stamp_is_as_old_on_the_monotonic_clock_as_on_the_wall_clock() {
        let packets = [-1, 0, 1, 7, 19, 20];
        assert_eq!(arrivals(&packets, 20, i64::MAX, 0), exact(&packets));
        // A process that was stopped.
        let packets = [0, 100, 2_999];
        assert_eq!(arrivals(&packets, 3_000, i64::MAX, 0), exact(&packets));
    }

    #[test]
    fn a_step_that_is_longer_than_the_wait_changes_no_arrival() {
        for (read, packets) in [(20, vec![0, 1, 9, 10, 11, 19, 20]), (3_000, vec![0, 5, 1_499, 1_500, 2_000, 3_000])] {
            for step in [read + 2, 10_000, 3_600_000, 86_400_000, 1_000_000_000_000] {
                for stepped_at in packets.iter().map(|ms| ms + 1).filter(|&at| at <= read) {
                    for step in [step, -step] {
                        let found = arrivals(&packets, read, stepped_at, step);
                        assert_eq!(found, exact(&packets), "stepped by {step} at {stepped_at}, read at {read}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_step_that_is_shorter_makes_no_reply_late_and_changes_arrivals_by_no_more_than_itself() {
        let packets: Vec<i64> = (0..=200).collect();
        for step in [-199, -100, -20, -3, -1, 1, 3, 20, 100, 199] {
            for stepped_at in [1, 50, 100, 199, 200] {
                let found = arrivals(&packets, 200, stepped_at, step);
                for (&ms, found) in packets.iter().zip(found) {
                    let found = found.unwrap_or_else(|| panic!("{ms} ms, stepped by {step} at {stepped_at}"));
                    // Below the tolerance it is no step.
                    let latest = if step.abs() <= 1 { ms + 1 } else { ms };
                    let possible = ms - step.abs()..=latest;
                    assert!(possible.contains(&found), "{ms} ms: {found}, stepped by {step} at {stepped_at}");
                }
            }
        }
    }

    #[test]
    fn a_stamp_that_no_clock_explains_is_not_used() {
        let start = Instant::now() + Duration::from_secs(10);
        let (empty, now) = (pair(start, 0, WALL), pair(start, 20, WALL + 3_600_000 * MS));
        for stamp in [Duration::ZERO, WALL - 2 * MS, WALL + 21 * MS, WALL + 1_800_000 * MS, Duration::MAX] {
            assert_eq!(now.stamps_since(empty).arrival(stamp), None, "{stamp:?}");
        }
    }

    #[test]
    fn clocks_that_are_read_apart_are_read_again() {
        let start = Instant::now();
        // The processor is taken away for so long after the wall clock was read.
        for (pauses, expected) in [(vec![0], 0), (vec![5_000, 10], 1), (vec![900, 500, 30, 700], 2), (vec![50; 4], 0)] {
            let (now, readings) = (Cell::new(start), Cell::new(0));
            let wall = || {
                let reading = readings.replace(readings.get() + 1);
                now.set(now.get() + Duration::from_micros(pauses[reading]));
                Duration::from_secs(reading as u64)
            };
            let pair = ClockPair::read_from(|| now.get(), wall);
            assert_eq!(readings.get(), pauses.len());
            assert_eq!(pair.wall, Duration::from_secs(expected), "{pauses:?}");
            let before: u64 = pauses[..expected as usize].iter().sum();
            assert_eq!(pair.now, start + Duration::from_micros(before));
        }
    }
}
