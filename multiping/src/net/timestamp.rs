//! The kernel's receive time stamps, which are wall-clock times, on the monotonic clock.
//!
//! A stamp is converted by its age: wall clock now minus stamp, subtracted from the monotonic clock
//! now. An age that is negative or older than the last empty queue means that the wall clock was
//! stepped. Then the time of reading has to do: it is too late by the time since the last read at
//! most. So a step affects only the few packets that were queued across it, and those only a
//! little.

use std::time::{Duration, Instant};

/// How far before the time at which a queue was seen empty a packet in it may be stamped: the
/// kernel stamps it a little before it queues it.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The current time on both clocks, and when the queue was last seen empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockPair {
    pub(super) now: Instant,
    /// The wall clock, as a time since its epoch.
    pub(super) wall: Duration,
    pub(super) empty: Instant,
}

impl ClockPair {
    /// When a packet arrived that the kernel stamped with `stamp`, a time since the wall clock's
    /// epoch. `None`: the wall clock was stepped meanwhile.
    pub(super) fn arrival(&self, stamp: Duration) -> Option<Instant> {
        let oldest = self.now.saturating_duration_since(self.empty) + TOLERANCE;
        let age = self.wall.checked_sub(stamp).filter(|&age| age <= oldest)?;
        self.now.checked_sub(age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Duration = Duration::from_secs(1_800_000_000);
    const MS: Duration = Duration::from_millis(1);

    /// The queue was seen empty 20 ms ago.
    fn clocks(wall: Duration) -> ClockPair {
        let empty = Instant::now();
        ClockPair { now: empty + 20 * MS, wall, empty }
    }

    #[test]
    fn a_stamp_is_as_old_on_the_monotonic_clock_as_on_the_wall_clock() {
        let clocks = clocks(WALL);
        for age in [0, 1, 999, 12_345_678, 20_000_000] {
            let age = Duration::from_nanos(age);
            assert_eq!(clocks.arrival(WALL - age), Some(clocks.now - age));
        }
    }

    #[test]
    fn a_stamp_from_shortly_before_the_queue_was_empty_is_used() {
        let clocks = clocks(WALL);
        assert_eq!(clocks.arrival(WALL - 21 * MS), Some(clocks.now - 21 * MS));
    }

    #[test]
    fn a_stamp_from_before_a_step_forward_is_not_used() {
        for step in [21 * MS, Duration::from_secs(3600), WALL] {
            let clocks = clocks(WALL + step);
            assert_eq!(clocks.arrival(WALL - 5 * MS), None, "step {step:?}");
        }
    }

    #[test]
    fn a_stamp_from_the_future_is_not_used() {
        for step in [6 * MS, Duration::from_secs(3600), WALL] {
            let clocks = clocks(WALL - step);
            assert_eq!(clocks.arrival(WALL - 5 * MS), None, "step {step:?}");
        }
    }

    #[test]
    fn a_small_step_moves_an_arrival_by_no_more_than_itself() {
        for step in 0..15 {
            let clocks = clocks(WALL + step * MS);
            assert_eq!(clocks.arrival(WALL - 5 * MS), Some(clocks.now - (5 + step) * MS));
        }
    }

    #[test]
    fn a_process_that_was_stopped_uses_stamps_from_the_time_in_between() {
        let empty = Instant::now();
        let clocks = ClockPair { now: empty + Duration::from_secs(3), wall: WALL, empty };
        assert_eq!(clocks.arrival(WALL - 2900 * MS), Some(clocks.now - 2900 * MS));
    }
}
