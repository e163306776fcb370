//! Whether the sockets can be read. A read that fails is this machine's failure and says nothing
//! about a target.

use std::time::{Duration, Instant};

use crate::address::{Family, PerFamily};
use crate::prober::strategy::Strategy;
use crate::prober::{MAX_SLEEP, Prober, Wait};

/// For how long every read has to fail, with nothing received in between, until receiving counts as
/// refused for good, as by a seccomp filter or a security module. (A pending socket error is
/// returned once, and the reads after it work.)
pub const MAX_RECEIVE_FAILURE: Duration = Duration::from_secs(1);

/// The reads of one socket that failed in a row.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ReceiveErrors {
    /// The errno of the last read, and when the first one failed.
    failing: Option<(i32, Instant)>,
}

impl ReceiveErrors {
    /// A read worked, whether or not anything had arrived.
    pub(super) fn clear(&mut self) {
        self.failing = None;
    }

    /// A read failed. (If the errno changes, nothing was received in between all the same.)
    pub(super) fn failed(&mut self, errno: i32, now: Instant) {
        let (_, since) = self.failing.unwrap_or((errno, now));
        self.failing = Some((errno, since));
    }

    /// While reading fails: when to try again.
    pub(super) fn retry(&self, now: Instant) -> Option<Instant> {
        let (_, since) = self.failing?;
        let end = since + MAX_RECEIVE_FAILURE;
        Some(if now < end { (now + MAX_SLEEP).min(end) } else { now + MAX_SLEEP })
    }

    /// The errno of the last read, if reading has failed for too long by `now`.
    pub(super) fn failure(&self, now: Instant) -> Option<i32> {
        let (errno, since) = self.failing?;
        (now.saturating_duration_since(since) >= MAX_RECEIVE_FAILURE).then_some(errno)
    }
}

impl<S: Strategy> Prober<S> {
    /// The sockets were read; `error` is the errno of the last read of each, if that failed.
    pub fn handle_reads(&mut self, error: PerFamily<Option<i32>>, now: Instant) {
        for (family, error) in error {
            match error {
                Some(errno) => self.receive_errors[family].failed(errno, now),
                None => self.receive_errors[family].clear(),
            }
        }
    }

    /// While reading fails: how long to wait before the next try. Until one works, nothing may be
    /// sent, and nothing times out: a reply may be waiting.
    pub fn poll_receive_retry(&self, now: Instant) -> Option<Wait> {
        let retries = self.receive_errors.map(|errors| errors.retry(now));
        let until = [retries.v4, retries.v6].into_iter().flatten().min()?;
        Some(Wait { until: Some(until), for_replies: false })
    }

    /// The errno with which reading fails, if it has failed for [`MAX_RECEIVE_FAILURE`] by `now`.
    /// The run cannot go on then.
    pub fn receive_failure(&self, now: Instant) -> Option<(Family, i32)> {
        let failures = self.receive_errors.map(|errors| errors.failure(now)).into_iter();
        failures.filter_map(|(family, errno)| Some((family, errno?))).next()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use std::hash::RandomState;

    use super::*;
    use crate::plan::Rate;
    use crate::prober::Roster;
    use crate::token::Key;

    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    const ALMOST: Duration = Duration::from_millis(999);

    /// Reads fail each 10 ms, from `start` for as long as `time`.
    fn fail(errors: &mut ReceiveErrors, errno: i32, start: Instant, time: Duration) {
        (0..=time.as_millis() as u64)
            .step_by(10)
            .for_each(|ms| errors.failed(errno, start + Duration::from_millis(ms)));
    }

    #[test]
    fn reads_that_fail_for_a_second_are_a_failure() {
        let (mut errors, start) = (ReceiveErrors::default(), Instant::now());
        assert_eq!(errors.failure(start + ALMOST), None);
        fail(&mut errors, EPERM, start, MAX_RECEIVE_FAILURE);
        assert_eq!(errors.failure(start + ALMOST), None);
        assert_eq!(errors.failure(start + MAX_RECEIVE_FAILURE), Some(EPERM));
    }

    #[test]
    fn a_read_that_works_begins_the_second_anew() {
        let (mut errors, start) = (ReceiveErrors::default(), Instant::now());
        for second in 0..5 {
            let start = start + second * MAX_RECEIVE_FAILURE;
            fail(&mut errors, EPERM, start, ALMOST);
            assert_eq!(errors.failure(start + ALMOST), None);
            errors.clear();
            assert_eq!((errors.failure(start + MAX_RECEIVE_FAILURE), errors.retry(start)), (None, None));
        }
    }

    #[test]
    fn another_errno_is_no_read_that_works() {
        let (mut errors, start) = (ReceiveErrors::default(), Instant::now());
        fail(&mut errors, EPERM, start, ALMOST);
        errors.failed(EACCES, start + MAX_RECEIVE_FAILURE);
        assert_eq!(errors.failure(start + MAX_RECEIVE_FAILURE), Some(EACCES));
    }

    #[test]
    fn reading_is_tried_again_when_the_second_is_over_and_all_along() {
        let (mut errors, start) = (ReceiveErrors::default(), Instant::now());
        errors.failed(EPERM, start);
        assert_eq!(errors.retry(start), Some(start + MAX_SLEEP));
        assert_eq!(errors.retry(start + ALMOST), Some(start + MAX_RECEIVE_FAILURE));
        // A run that goes on all the same does not spin.
        for late in [MAX_RECEIVE_FAILURE, 2 * MAX_RECEIVE_FAILURE] {
            assert_eq!(errors.retry(start + late), Some(start + late + MAX_SLEEP));
        }
    }

    #[test]
    fn a_run_that_sends_nothing_does_not_wait_for_what_it_cannot_read() {
        let start = Instant::now();
        let idents = PerFamily { v4: 4, v6: 6 };
        let key = Key::new(RandomState::new());
        let mut prober = Prober::new(Roster::new(start), Rate::UNLIMITED, false, key, idents, start);
        assert_eq!(prober.poll_held_wait(start), Wait { until: None, for_replies: true });
        prober.handle_reads(PerFamily { v4: None, v6: Some(EPERM) }, start);
        // A socket whose reads fail may be readable all the time.
        for now in [start, start + 5 * MAX_RECEIVE_FAILURE] {
            assert_eq!(prober.poll_held_wait(now), Wait { until: Some(now + MAX_SLEEP), for_replies: false });
        }
    }
}
