//! What the caller says of one target's timing.

use std::time::Duration;

use crate::error::Error;
use crate::prober;

pub use crate::prober::Phase;

/// How often, for how long and how patiently a target is probed. Values are checked where the
/// schedule is used: [`Error::OutOfRange`].
///
/// Default: every second without end, one second's patience, at a place of its own within the
/// second.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Phase, Schedule};
///
/// // Ten probes, five a second, the first one at once.
/// let ten = Schedule::every(Duration::from_millis(200)).count(10).phase(Phase::Now);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// `None`: there are no turns.
    period: Option<Duration>,
    count: u32,
    timeout: Duration,
    in_flight: u16,
    after_reply: bool,
    phase: Phase,
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::every(Duration::from_secs(1))
    }
}

impl Schedule {
    /// A probe in each `period`: 1 ms to one day.
    pub const fn every(period: Duration) -> Self {
        Schedule {
            period: Some(period),
            count: 0,
            timeout: Duration::from_secs(1),
            in_flight: u16::MAX,
            after_reply: false,
            phase: Phase::Spread,
        }
    }

    /// One probe, at once.
    pub const fn once() -> Self {
        Schedule::every(Duration::from_secs(1)).count(1).phase(Phase::Now)
    }

    /// No turns: a probe only when `probe` asks for it.
    ///
    /// ```
    /// use multiping::{Config, Pinger, Schedule, What};
    ///
    /// let (pinger, mut events) = Pinger::queued(Config::new())?;
    /// let target = match pinger.add([127, 0, 0, 1], Schedule::manual()) {
    ///     Ok(target) => target,
    ///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
    /// };
    /// assert!(pinger.probe(target));
    /// println!("{:?}", events.next());
    /// // From now on by another schedule, and to its end.
    /// assert!(pinger.reschedule(target, Schedule::default())?);
    /// assert!(pinger.finish(target));
    /// let last = events.find(|event| matches!(event.what, What::Done));
    /// assert_eq!(last.map(|event| event.target), Some(target));
    /// // It is gone. Another one is removed, and has no event any more.
    /// let another = pinger.add([127, 0, 0, 2], Schedule::once())?;
    /// assert!(!pinger.remove(target) && pinger.remove(another) && events.try_next().is_none());
    /// # Ok::<_, multiping::Error>(())
    /// ```
    pub const fn manual() -> Self {
        Schedule { period: None, ..Schedule::every(Duration::from_secs(1)) }
    }

    /// How many turns there are; 0: turns without end. Default: without end.
    pub const fn count(self, count: u32) -> Self {
        Schedule { count, ..self }
    }

    /// How long a probe may stay unanswered: 1 ms to 200 s. Default: 1 s. Zero: without end; a
    /// probe is then given up, and told as silence, when one more is sent than
    /// [may be in flight](Schedule::in_flight), or when its target is finished.
    pub const fn timeout(self, timeout: Duration) -> Self {
        Schedule { timeout, ..self }
    }

    /// How many probes may be in flight at once: 1 to 65,535, which is the default. One more waits
    /// until one of them has ended, or, without a timeout, takes the place of the oldest one.
    pub const fn in_flight(self, most: u16) -> Self {
        Schedule { in_flight: most, ..self }
    }

    /// Whether a reply makes the next turn due at once, so that a target is probed as fast as it
    /// answers, and once in a period while it is silent. Default: no.
    pub const fn after_reply(self, yes: bool) -> Self {
        Schedule { after_reply: yes, ..self }
    }

    /// When the first turn is. Default: [`Phase::Spread`].
    pub const fn phase(self, phase: Phase) -> Self {
        Schedule { phase, ..self }
    }

    /// Converts to the core's type and checks the ranges.
    pub(crate) fn checked(&self) -> Result<prober::Schedule, Error> {
        let out_of_range = |what| move |_| Error::OutOfRange { what };
        let mut schedule = match self.period {
            Some(period) => prober::Schedule::default().with_period(period).map_err(out_of_range("period"))?,
            None => prober::Schedule::manual(),
        };
        schedule = match self.timeout {
            Duration::ZERO => schedule.without_timeout(),
            timeout => schedule.with_timeout(timeout).map_err(out_of_range("timeout"))?,
        };
        schedule = schedule.with_max_in_flight(self.in_flight).map_err(out_of_range("in_flight"))?;
        Ok(schedule.with_count(self.count).with_after_reply(self.after_reply).with_phase(self.phase))
    }
}
