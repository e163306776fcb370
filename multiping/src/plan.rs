//! What each target is sent, and when it is settled: policy as data.
//!
//! A mode of the program is a value of [`Plan`]. The defaults are those of the original xymonping,
//! and this is their only home: the flag table, the help text and the test of the man page all read
//! them here.

mod packet;

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::iter;
use std::ops::RangeInclusive;
use std::time::Duration;

pub use crate::plan::packet::{PacketOptions, ProbeKind};

/// A value is outside of its documented range.
///
/// ```
/// assert_eq!(multiping::Rate::per_second(-1.0).map_err(|error| error.to_string()), Err("value out of range".into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OutOfRange;

impl Display for OutOfRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("value out of range")
    }
}

impl Error for OutOfRange {}

fn checked<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Result<T, OutOfRange> {
    if range.contains(&value) { Ok(value) } else { Err(OutOfRange) }
}

/// How many packets may be sent in a second, retries included.
///
/// ```
/// use multiping::Rate;
///
/// assert_eq!(Rate::per_second(2_500.0)?.pps(), Some(2_500.0));
/// assert_eq!(Rate::UNLIMITED.pps(), None);
/// assert!(Rate::per_second(0.0).is_err());
/// # Ok::<_, multiping::OutOfRange>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate(Option<f64>);

impl Rate {
    /// The lowest and the highest rate that can be asked for, in packets a second.
    pub const RANGE: RangeInclusive<f64> = 0.01..=10_000_000.0;

    /// As many packets as the kernel accepts.
    pub const UNLIMITED: Rate = Rate(None);

    pub(crate) const THOUSAND: Rate = Rate(Some(1000.0));

    /// This many packets a second, on average.
    ///
    /// # Errors
    ///
    /// If `pps` is not in [`Rate::RANGE`].
    pub const fn per_second(pps: f64) -> Result<Rate, OutOfRange> {
        if *Self::RANGE.start() <= pps && pps <= *Self::RANGE.end() { Ok(Rate(Some(pps))) } else { Err(OutOfRange) }
    }

    /// Packets a second; `None`: unlimited.
    pub const fn pps(self) -> Option<f64> {
        self.0
    }

    /// Whether it is higher than `pps` packets a second.
    pub fn exceeds(self, pps: f64) -> bool {
        self.0.is_none_or(|rate| rate > pps)
    }
}

impl Display for Rate {
    /// As `--max-pps` takes it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pps) => pps.fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

/// What to do with ICMP errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IcmpErrors {
    /// Nothing: the kernel drops them.
    #[default]
    Ignore,
    /// Those about probes in flight are reported, and change no verdict.
    Report,
    /// The same, and the first one that is a failure settles its target.
    Fail,
    /// Every ICMP message of this machine is reported, whatever it is about.
    All,
}

/// What each target is sent, and when it is settled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    retries: u8,
    responses: u8,
    timeout: Duration,
    backoff: f64,
    rate: Rate,
    spacing: Duration,
    check_source: bool,
    shuffle: bool,
}

impl Default for Plan {
    /// The defaults of xymonping(1).
    fn default() -> Self {
        const FIFTY: Rate = Rate(Some(50.0));
        Plan {
            retries: 2,
            responses: 1,
            timeout: Duration::from_secs(5),
            backoff: 1.0,
            rate: FIFTY,
            spacing: Duration::ZERO,
            check_source: false,
            shuffle: false,
        }
    }
}

impl Plan {
    /// The shortest and the longest timeout.
    pub const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(200);

    /// The least and the greatest backoff, as in fping(8).
    pub const BACKOFF: RangeInclusive<f64> = 1.0..=5.0;

    /// The least and the greatest number of replies.
    pub const RESPONSES: RangeInclusive<u8> = 1..=u8::MAX;

    /// The greatest spacing.
    pub const MAX_SPACING: Duration = *Self::TIMEOUT.end();

    /// How many further attempts a target gets after silence. Default: 2.
    pub fn with_retries(self, retries: u8) -> Self {
        Plan { retries, ..self }
    }

    /// How many replies to get from each target; the RTT is their mean. Default: 1.
    ///
    /// # Errors
    ///
    /// If `responses` is 0.
    pub fn with_responses(self, responses: u8) -> Result<Self, OutOfRange> {
        Ok(Plan { responses: checked(responses, &Self::RESPONSES)?, ..self })
    }

    /// How long a probe may stay unanswered. Default: 5 s.
    ///
    /// # Errors
    ///
    /// If `timeout` is not in [`Plan::TIMEOUT`].
    pub fn with_timeout(self, timeout: Duration) -> Result<Self, OutOfRange> {
        Ok(Plan { timeout: checked(timeout, &Self::TIMEOUT)?, ..self })
    }

    /// The factor from each timeout of a target to its next one. Default: 1.
    ///
    /// # Errors
    ///
    /// If `backoff` is not in [`Plan::BACKOFF`].
    pub fn with_backoff(self, backoff: f64) -> Result<Self, OutOfRange> {
        Ok(Plan { backoff: checked(backoff, &Self::BACKOFF)?, ..self })
    }

    /// The pace of everything that is sent. Default: 50 packets a second.
    pub fn with_rate(self, rate: Rate) -> Self {
        Plan { rate, ..self }
    }

    /// The least time between two probes to one target. Default: none.
    ///
    /// # Errors
    ///
    /// If `spacing` is greater than [`Plan::MAX_SPACING`].
    pub fn with_spacing(self, spacing: Duration) -> Result<Self, OutOfRange> {
        Ok(Plan { spacing: checked(spacing, &(Duration::ZERO..=Self::MAX_SPACING))?, ..self })
    }

    /// Whether a reply counts only if it comes from the probed address. Default: no.
    pub fn with_check_source(self, check_source: bool) -> Self {
        Plan { check_source, ..self }
    }

    /// Whether targets are probed in a random order. Default: no.
    pub fn with_shuffle(self, shuffle: bool) -> Self {
        Plan { shuffle, ..self }
    }

    /// See [`Plan::with_retries`].
    pub fn retries(&self) -> u8 {
        self.retries
    }

    /// See [`Plan::with_responses`].
    pub fn responses(&self) -> u8 {
        self.responses
    }

    /// See [`Plan::with_timeout`].
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// See [`Plan::with_backoff`].
    pub fn backoff(&self) -> f64 {
        self.backoff
    }

    /// See [`Plan::with_rate`].
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// See [`Plan::with_spacing`].
    pub fn spacing(&self) -> Duration {
        self.spacing
    }

    /// See [`Plan::with_check_source`].
    pub fn check_source(&self) -> bool {
        self.check_source
    }

    /// See [`Plan::with_shuffle`].
    pub fn shuffle(&self) -> bool {
        self.shuffle
    }

    /// The distinct timeouts of a target's successive attempts; the last one holds for all further
    /// attempts. None is longer than the longest that can be asked for.
    pub fn timeouts(&self) -> Vec<Duration> {
        let mut timeouts: Vec<_> = self.each_timeout().collect();
        timeouts.dedup();
        timeouts
    }

    /// How long a target that never replies is probed, if each attempt is made at once.
    pub fn total_timeout(&self) -> Duration {
        self.each_timeout().sum()
    }

    fn each_timeout(&self) -> impl Iterator<Item = Duration> {
        let next = |timeout: &Duration| Some(timeout.mul_f64(self.backoff).min(*Self::TIMEOUT.end()));
        iter::successors(Some(self.timeout), next).take(usize::from(self.retries) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_out_of_range_are_refused() {
        for pps in [0.0, -0.0, -1.0, 0.009_999, 10_000_000.1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Rate::per_second(pps), Err(OutOfRange), "{pps}");
        }
        for pps in [0.01, 50.0, 10_000_000.0] {
            assert_eq!(Rate::per_second(pps).map(Rate::pps), Ok(Some(pps)));
        }
    }

    #[test]
    fn times_out_of_range_are_refused() {
        let plan = Plan::default();
        for timeout in [Duration::ZERO, Duration::from_micros(999), Duration::from_secs(1000), Duration::MAX] {
            assert_eq!(plan.with_timeout(timeout), Err(OutOfRange), "{timeout:?}");
        }
        assert_eq!(plan.with_spacing(Duration::MAX), Err(OutOfRange));
        assert_eq!(plan.with_responses(0), Err(OutOfRange));
        for backoff in [0.0, 0.99, 5.01, f64::NAN, f64::INFINITY] {
            assert_eq!(plan.with_backoff(backoff), Err(OutOfRange), "{backoff}");
        }
    }

    #[test]
    fn timeouts_grow_by_the_backoff_up_to_the_longest() {
        let seconds = |list: &[u64]| list.iter().map(|&s| Duration::from_secs(s)).collect::<Vec<_>>();
        let plan = Plan::default().with_retries(4);
        assert_eq!(plan.timeouts(), seconds(&[5]), "a constant timeout is one");
        assert_eq!(plan.with_backoff(2.0).map(|plan| plan.timeouts()), Ok(seconds(&[5, 10, 20, 40, 80])));
        assert_eq!(plan.with_backoff(5.0).map(|plan| plan.timeouts()), Ok(seconds(&[5, 25, 125, 200])));
        let total = |backoff| plan.with_backoff(backoff).map(|plan| plan.total_timeout().as_secs());
        assert_eq!([1.0, 2.0, 5.0].map(total), [Ok(25), Ok(155), Ok(555)]);
        let longest = plan.with_retries(255).with_timeout(*Plan::TIMEOUT.end());
        assert_eq!(longest.and_then(|plan| plan.with_backoff(5.0)).map(|plan| plan.timeouts()), Ok(seconds(&[200])));
    }
}
