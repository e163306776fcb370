//! When one target of a roster is probed.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::plan::{OutOfRange, Plan};

/// How often, for how long and how patiently a target is probed.
///
/// ```
/// use std::time::Duration;
/// use multiping::proto::Schedule;
///
/// let schedule = Schedule::default().with_period(Duration::from_millis(200))?.with_count(10);
/// assert_eq!((schedule.count(), schedule.timeout()), (10, Some(Duration::from_secs(1))));
/// # Ok::<_, multiping::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    count: u32,
    period: Option<Duration>,
    timeout: Option<Duration>,
    max_in_flight: u16,
    after_reply: bool,
    phase: Phase,
}

/// When a target's first turn is. Its further turns follow at whole periods.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Phase, Schedule};
///
/// // Every minute, the first time in ten seconds.
/// let schedule = Schedule::every(Duration::from_secs(60)).phase(Phase::After(Duration::from_secs(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// At a place of its own within the period, so that the probes to many targets are spread
    /// evenly.
    Spread,
    /// At once.
    Now,
    /// After this time.
    After(Duration),
}

impl Default for Schedule {
    /// Every second without end, with a timeout of one second.
    fn default() -> Self {
        Schedule {
            count: 0,
            period: Some(Duration::from_secs(1)),
            timeout: Some(Duration::from_secs(1)),
            max_in_flight: u16::MAX,
            after_reply: false,
            phase: Phase::Spread,
        }
    }
}

impl Schedule {
    /// The shortest and the longest period.
    pub const PERIOD: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(86_400);

    /// The shortest and the longest timeout.
    pub const TIMEOUT: RangeInclusive<Duration> = Plan::TIMEOUT;

    /// One probe, at once.
    pub fn once() -> Self {
        Schedule { count: 1, phase: Phase::Now, ..Schedule::default() }
    }

    /// No turns: a probe only when [`Roster::probe`](super::Roster::probe) asks for it.
    pub fn manual() -> Self {
        Schedule { period: None, ..Schedule::default() }
    }

    /// How many turns the target has; 0: turns without end. Default: without end.
    pub fn with_count(self, count: u32) -> Self {
        Schedule { count, ..self }
    }

    /// The time from turn to turn. Default: 1 s.
    ///
    /// # Errors
    ///
    /// If `period` is not in [`Schedule::PERIOD`].
    pub fn with_period(self, period: Duration) -> Result<Self, OutOfRange> {
        if !Self::PERIOD.contains(&period) {
            return Err(OutOfRange);
        }
        Ok(Schedule { period: Some(period), ..self })
    }

    /// How long a probe may stay unanswered. Default: 1 s.
    ///
    /// # Errors
    ///
    /// If `timeout` is not in [`Schedule::TIMEOUT`].
    pub fn with_timeout(self, timeout: Duration) -> Result<Self, OutOfRange> {
        if !Self::TIMEOUT.contains(&timeout) {
            return Err(OutOfRange);
        }
        Ok(Schedule { timeout: Some(timeout), ..self })
    }

    /// A probe may stay unanswered without end. It is given up, and has timed out, when one more is
    /// sent than may be in flight, when its target is finished, or by the timeout of the next
    /// schedule.
    pub fn without_timeout(self) -> Self {
        Schedule { timeout: None, ..self }
    }

    /// Whether a reply makes the next turn due at once; those after it follow a period later each.
    /// Default: no.
    pub fn with_after_reply(self, after_reply: bool) -> Self {
        Schedule { after_reply, ..self }
    }

    /// How many probes may be in flight at once; a further one waits until one of them has ended,
    /// or, without a timeout, is sent in the place of the oldest one. Default: 65,535, which is the
    /// most.
    ///
    /// # Errors
    ///
    /// If `max_in_flight` is 0.
    pub fn with_max_in_flight(self, max_in_flight: u16) -> Result<Self, OutOfRange> {
        if max_in_flight == 0 {
            return Err(OutOfRange);
        }
        Ok(Schedule { max_in_flight, ..self })
    }

    /// When the first turn is. Default: [`Phase::Spread`].
    pub fn with_phase(self, phase: Phase) -> Self {
        Schedule { phase, ..self }
    }

    /// See [`Schedule::with_count`].
    pub fn count(&self) -> u32 {
        self.count
    }

    /// See [`Schedule::with_period`]; `None`: no turns.
    pub fn period(&self) -> Option<Duration> {
        self.period
    }

    /// See [`Schedule::with_timeout`]; `None`: without end.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// See [`Schedule::with_after_reply`].
    pub fn after_reply(&self) -> bool {
        self.after_reply
    }

    /// See [`Schedule::with_max_in_flight`].
    pub fn max_in_flight(&self) -> u16 {
        self.max_in_flight
    }

    /// See [`Schedule::with_phase`].
    pub fn phase(&self) -> Phase {
        self.phase
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_are_refused() {
        let schedule = Schedule::default();
        for period in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(86_401), Duration::MAX] {
            assert_eq!(schedule.with_period(period), Err(OutOfRange), "{period:?}");
        }
        for timeout in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(201), Duration::MAX] {
            assert_eq!(schedule.with_timeout(timeout), Err(OutOfRange), "{timeout:?}");
        }
        assert_eq!(schedule.with_max_in_flight(0), Err(OutOfRange));
        for bound in [*Schedule::PERIOD.start(), *Schedule::PERIOD.end()] {
            assert_eq!(schedule.with_period(bound).map(|schedule| schedule.period()), Ok(Some(bound)));
        }
    }
}
