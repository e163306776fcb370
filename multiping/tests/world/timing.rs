//! The oracle's rules of time: the order of packets, how many at most in any window, how many at
//! least while there is something to send, and when the run ends at the latest.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use multiping::prober::{MAX_SLEEP, MAX_SLOW_START, MIN_SLEEP, REFUSAL_INTERVAL, SLOW_START};

use crate::oracle::{Attempt, Oracle};

/// How long after an overflow the rate is restored.
const RECOVERY_TIME: Duration = Duration::from_secs(1);

impl Oracle<'_> {
    /// All first attempts were sent first; then the others, in the order in which they fell due.
    /// (What was refused before fell due a while after that.)
    pub fn judge_order(&self, courses: &[Vec<Attempt>]) {
        let mut places = vec![0; courses.len()];
        let mut was_refused = vec![false; courses.len()];
        let mut tried = HashSet::new();
        let mut due = Duration::ZERO;
        for probe in &self.log.departures {
            let target = probe.target.index();
            if tried.insert(probe.target) {
                assert!(due == Duration::ZERO, "{probe:?} is a first attempt, and went behind others");
            } else {
                assert_eq!(tried.len(), courses.len(), "{probe:?} was sent before another target's first attempt");
                if !was_refused[target] {
                    let over = &courses[target][places[target] - 1].over;
                    assert!(over.end >= due, "{probe:?}, due at {over:?}, was sent after one that fell due at {due:?}");
                    due = due.max(over.start);
                }
            }
            was_refused[target] = probe.refused.is_some();
            places[target] += usize::from(probe.refused.is_none());
        }
        assert_eq!(tried.len(), courses.len(), "every target was tried");
    }

    /// In any window at most as many packets were sent as the rate allows, plus a burst of one
    /// packet or 10 ms worth of them.
    pub fn judge_pace(&self) {
        let Some(rate) = self.world.plan.rate().pps() else { return };
        let burst = 1.0 + f64::max(1.0, rate * 0.010);
        // From packet i to packet j there are j - i + 1; the window is fullest from the i with the
        // smallest i - rate * t.
        let mut smallest = f64::INFINITY;
        for (count, probe) in self.log.departures.iter().enumerate() {
            let ahead = count as f64 - rate * probe.at.as_secs_f64();
            smallest = smallest.min(ahead);
            let excess = ahead - smallest + 1.0 - burst;
            assert!(excess <= 1e-3, "{excess} packets too many up to {:?}", probe.at);
        }
    }

    /// While there was something to send and the driver was not delayed, the average was within 1 %
    /// of the rate.
    pub fn judge_work(&self, courses: &[Vec<Attempt>]) {
        let Some(rate) = self.world.plan.rate().pps() else { return };
        // The schedule is absolute, so shorter delays are caught up with, but not at a lowered
        // rate.
        let tolerated = match self.log.overflows.len() {
            0 if rate < 200.0 => Duration::from_millis(1),
            0 => Duration::from_millis(5),
            _ => Duration::ZERO,
        };
        for busy in self.busy(courses) {
            let lost = self.delayed(busy.clone(), tolerated) + self.slowed(&busy) + self.slow_start(&busy);
            let worth = (busy.end - busy.start).saturating_sub(lost).as_secs_f64() * rate;
            let after = self.log.departures.partition_point(|probe| probe.at <= busy.start);
            let until = self.log.departures.partition_point(|probe| probe.at <= busy.end);
            let sent = until.saturating_sub(after);
            assert!(
                sent as f64 + 2.0 >= worth * 0.99,
                "only {sent} packets were sent in {busy:?} of which {lost:?} were lost; it should be {worth}"
            );
        }
    }

    /// For how much of `time` the number of probes in flight may have been limited.
    fn slow_start(&self, time: &Range<Duration>) -> Duration {
        let sent = self.log.departures.iter().filter(|probe| probe.refused.is_none());
        let Some(begin) = sent.clone().map(|probe| probe.call.end).next() else { return Duration::ZERO };
        if (sent.count() as u64) < SLOW_START {
            return Duration::ZERO;
        }
        (begin + MAX_SLOW_START).min(time.end).saturating_sub(begin.max(time.start))
    }

    /// For how much of `time` the rate was lowered because of overflow.
    fn slowed(&self, time: &Range<Duration>) -> Duration {
        let mut slowed = Duration::ZERO;
        let mut from = time.start;
        for (_, at) in &self.log.overflows {
            let until = (*at + RECOVERY_TIME).min(time.end);
            slowed += until.saturating_sub((*at).max(from));
            from = from.max(until);
        }
        slowed
    }

    /// The times in which something waited to be sent.
    fn busy(&self, courses: &[Vec<Attempt>]) -> Vec<Range<Duration>> {
        let mut first_tries = vec![None; courses.len()];
        let mut refusals = vec![Vec::new(); courses.len()];
        for probe in &self.log.departures {
            first_tries[probe.target.index()].get_or_insert(probe.call.start);
            if probe.refused.is_some() {
                refusals[probe.target.index()].push(probe.at);
            }
        }
        let first_tries = first_tries.into_iter().flatten().map(|first| Duration::ZERO..first);
        let due = courses.iter().flat_map(|course| course.windows(2)).filter_map(|pair| {
            // The target at the head of the queue may first have to keep its spacing.
            let next = pair[1].probe;
            let waiting = pair[0].over.end + self.world.plan.spacing()..next.call.start;
            let between = |at: &Duration| pair[0].over.start <= *at && *at <= waiting.end;
            let was_refused = refusals[next.target.index()].iter().any(between);
            (!was_refused).then_some(waiting)
        });
        let mut stretches: Vec<_> = first_tries.chain(due).filter(|stretch| !stretch.is_empty()).collect();
        stretches.sort_by_key(|stretch| stretch.start);
        stretches.dedup_by(|next, stretch| {
            let joined = next.start <= stretch.end;
            if joined {
                stretch.end = stretch.end.max(next.end);
            }
            joined
        });
        stretches
    }

    /// The run ended when its last target was settled, no later than packets and timeouts explain.
    pub fn judge_end(&self, courses: &[Vec<Attempt>]) {
        let last = |course: &Vec<Attempt>| course.last().map(|attempt| attempt.over.end);
        let refused = self.log.departures.iter().rev().find(|probe| probe.refused.is_some()).map(|probe| probe.at);
        let settled = courses.iter().filter_map(last).chain(refused).max().unwrap_or(Duration::ZERO);
        // That the last one is given up is seen at the next look.
        let look = if refused.is_some() { REFUSAL_INTERVAL + *MIN_SLEEP.start() } else { Duration::ZERO };
        let settled = settled + look + self.delayed(settled..self.log.end, Duration::ZERO);
        assert!(
            self.log.end <= settled,
            "all targets were settled at {settled:?}, the run ended at {:?}",
            self.log.end
        );

        // When the last target was not in flight, it was queued while others were sent at the full
        // rate.
        let run = Duration::ZERO..self.log.end;
        let interval = self.world.interval().unwrap_or(Duration::ZERO);
        let attempts = courses.iter().map(Vec::len).max().unwrap_or(0) as u32;
        let longest = self.timeout(self.world.plan.retries().into());
        let each = longest + self.world.plan.spacing() + interval + *MIN_SLEEP.start() + MAX_SLEEP;
        let packets = interval.mul_f64(self.log.departures.len() as f64 * 1.01);
        // A target is refused for a minute at most, between its attempts and after them. Then it is
        // set aside until all others are done, and has its own attempts after that.
        let was_refused = self.log.departures.iter().any(|probe| probe.refused.is_some());
        let minutes = if was_refused { Duration::from_secs(130) * (attempts + 2) } else { Duration::ZERO };
        let attempts = if was_refused { 2 * attempts } else { attempts };
        let outages: Duration = self.world.outages.iter().map(|outage| outage.time.end - outage.time.start).sum();
        let slow_start = self.slow_start(&run);
        let bound = packets
            + each * attempts
            + minutes
            + outages
            + slow_start
            + self.delayed(run.clone(), Duration::ZERO)
            + self.slowed(&run);
        assert!(self.log.end <= bound, "the run ended at {:?}, later than {bound:?}", self.log.end);
    }

    /// For how long the driver was delayed in `time`, counting only delays longer than `tolerated`
    /// and one that lasts beyond the end.
    pub fn delayed(&self, time: Range<Duration>, tolerated: Duration) -> Duration {
        let first = self.log.delays.partition_point(|delay| delay.end <= time.start);
        let within = self.log.delays[first..].iter().take_while(|delay| delay.start < time.end);
        within
            .filter(|delay| delay.end - delay.start > tolerated || delay.end >= time.end)
            .map(|delay| delay.end.min(time.end) - delay.start.max(time.start))
            .sum()
    }
}
