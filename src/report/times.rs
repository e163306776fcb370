//! The times of day in a reply to a Timestamp request: the host's as it tells them, and this
//! machine's own beside them. Nothing is computed from the host's.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use multiping::wire::{HostTime, Query, QueryBody, Reply};

/// The times of a probe and its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the probe was sent, by the clock of this machine, if that is known.
    pub originate: Option<HostTime>,
    /// When the host received it, by the host's.
    pub receive: HostTime,
    /// When the host sent the reply, by the host's.
    pub transmit: HostTime,
    /// When the reply was received, by the clock of this machine.
    pub local: HostTime,
}

impl Times {
    /// The times of a reply that arrived so long after 1970, after this round-trip time. `None`: it
    /// is no reply to a Timestamp request.
    pub fn of(reply: &Reply, arrived: impl FnOnce() -> Duration, rtt: Option<Duration>) -> Option<Self> {
        let Reply::Query(Query { body: QueryBody::Timestamp { receive, transmit, .. }, .. }) = *reply else {
            return None;
        };
        let arrived = arrived();
        let originate = rtt.map(|rtt| time_of_day(arrived.saturating_sub(rtt)));
        Some(Times { originate, receive, transmit, local: time_of_day(arrived) })
    }
}

/// The time of day of a time since 1970, in UTC.
fn time_of_day(time: Duration) -> HostTime {
    const DAY: u64 = 86_400;
    HostTime((time.as_secs() % DAY * 1000) as u32 + time.subsec_millis())
}

impl Display for Times {
    /// As ping(8) shows them, with milliseconds.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if let Some(originate) = self.originate {
            write!(f, " tso={}", Shown(originate))?;
        }
        write!(f, " tsr={} tst={}", Shown(self.receive), Shown(self.transmit))
    }
}

struct Shown(HostTime);

impl Display for Shown {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0.time_of_day() {
            Some(time) => {
                let second = time.as_secs();
                let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
                write!(f, "{hour:02}:{minute:02}:{second:02}.{:03}", time.subsec_millis())
            }
            None => write!(f, "0x{:08x}", self.0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_the_day_or_no_times() {
        let (receive, transmit) = (HostTime(3_723_004), HostTime(HostTime::NON_STANDARD | 1));
        let body = QueryBody::Timestamp { originate: HostTime(0), receive, transmit };
        let reply = Reply::Query(Query { ident: 1, seq: 2, body });
        // In the first millisecond of a day.
        let arrived = Duration::from_millis(20_783 * 86_400_000);
        let times = Times::of(&reply, || arrived, Some(Duration::from_millis(1)));
        assert_eq!(times.map(|times| (times.originate, times.local)), Some((Some(HostTime(86_399_999)), HostTime(0))));
        let text = times.map(|times| times.to_string());
        assert_eq!(text.as_deref(), Some(" tso=23:59:59.999 tsr=01:02:03.004 tst=0x80000001"));
        let unknown = Times::of(&reply, || arrived, None).map(|times| times.to_string());
        assert_eq!(unknown.as_deref(), Some(" tsr=01:02:03.004 tst=0x80000001"));
    }
}
