//! The kernel's receive time stamps, which are wall-clock times, on our own clock, which is not.
//!
//! The wall clock may be stepped at any moment, so a stamp is never compared with another moment of the wall clock than
//! the present: its age is taken, and counted back from the present of the monotonic clock. An age that cannot be (the
//! future, or before the queue was last seen empty) betrays a step in between. Then the present itself has to do: it is
//! too late by the time since the last drain at most. So a step can touch only the few packets that were queued across
//! it, and those only a little.

use std::time::{Duration, Instant};

/// How far before the moment at which a queue was seen empty a packet in it may be stamped: the kernel stamps it a
/// little before it queues it.
const TOLERANCE: Duration = Duration::from_millis(1);

/// The present, on both clocks, and the last moment at which the queue was seen empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present {
    pub(super) now: Instant,
    /// The wall clock's reading, as a time since its epoch.
    pub(super) wall: Duration,
    pub(super) empty: Instant,
}

impl Present {
    /// When a packet arrived that the kernel stamped with `stamp`, a time since the wall clock's epoch. `None`: the
    /// stamp is not to be believed.
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
    fn present(wall: Duration) -> Present {
        let empty = Instant::now();
        Present { now: empty + 20 * MS, wall, empty }
    }

    #[test]
    fn a_stamp_is_as_far_back_on_our_clock_as_on_the_wall() {
        let present = present(WALL);
        for age in [0, 1, 999, 12_345_678, 20_000_000] {
            let age = Duration::from_nanos(age);
            assert_eq!(present.arrival(WALL - age), Some(present.now - age));
        }
    }

    #[test]
    fn a_stamp_from_shortly_before_the_queue_was_empty_is_believed() {
        let present = present(WALL);
        assert_eq!(present.arrival(WALL - 21 * MS), Some(present.now - 21 * MS));
    }

    #[test]
    fn a_stamp_from_before_a_step_forward_is_not_believed() {
        for step in [21 * MS, Duration::from_secs(3600), WALL] {
            let present = present(WALL + step);
            assert_eq!(present.arrival(WALL - 5 * MS), None, "step {step:?}");
        }
    }

    #[test]
    fn a_stamp_from_the_future_is_not_believed() {
        for step in [6 * MS, Duration::from_secs(3600), WALL] {
            let present = present(WALL - step);
            assert_eq!(present.arrival(WALL - 5 * MS), None, "step {step:?}");
        }
    }

    #[test]
    fn a_small_step_moves_an_arrival_by_no_more_than_itself() {
        for step in 0..15 {
            let present = present(WALL + step * MS);
            assert_eq!(present.arrival(WALL - 5 * MS), Some(present.now - (5 + step) * MS));
        }
    }

    #[test]
    fn a_process_that_was_stopped_believes_stamps_from_the_time_in_between() {
        let empty = Instant::now();
        let present = Present { now: empty + Duration::from_secs(3), wall: WALL, empty };
        assert_eq!(present.arrival(WALL - 2900 * MS), Some(present.now - 2900 * MS));
    }
}
