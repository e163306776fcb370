//! How long to wait for the next turn.

use std::time::{Duration, Instant};

use crate::prober::{COALESCED, COALESCED_RATE, MAX_SLEEP, MIN_SLEEP, Prober, Strategy, Wait};

impl<S: Strategy> Prober<S> {
    /// When to come back: when there may be something to send or to time out. `None`: never.
    pub fn poll_wakeup(&self, now: Instant) -> Option<Instant> {
        let full_until = self.slow_start.full_until(self.in_flight(), now);
        let seq_until = self.seq_in_use_until(self.seq(self.counts.sent), now);
        let held_up = [full_until, self.backpressure.until(now), self.drain_look(now), seq_until];
        let held_up = held_up.into_iter().flatten().max();
        let next = self.pacer.next(now).max(held_up.unwrap_or(now));
        let due = [self.strategy.next_due(), self.references.next_due()].into_iter().flatten().min();
        let send = due.map(|due| next.max(due));
        // At a rate that was lowered, the next packet may be due long after the rate has recovered.
        let recovery = send.and(self.slowed).map(|(_, recovery)| recovery);
        // What is overdue could not be read, and is read at the next turn that there is anyway.
        let count = self.paths.discards().next_count().filter(|&count| self.in_flight() > 0 && count > now);
        [self.strategy.next_timeout(), send, recovery, count].into_iter().flatten().min()
    }

    /// How to wait after the turn at `now`; `None`: not at all. What fell due since can wait for
    /// others. It takes account of all that the caller has asked the strategy for.
    pub fn poll_wait(&self, now: Instant) -> Option<Wait> {
        if let Some(wait) = self.poll_receive_retry(now) {
            return Some(wait);
        }
        if self.strategy.has_done() {
            return None;
        }
        if let Some(until) = self.backpressure.until(now) {
            return Some(Wait { until: Some(until), for_replies: false });
        }
        let is_full = self.slow_start.full_until(self.in_flight(), now).is_some();
        let min_sleep = self.min_sleep();
        // Where little is sent, a wake-up for each probe and each reply costs little.
        let coalesces = self.strategy.load().is_none() || !min_sleep.is_zero();
        match self.poll_wakeup(now) {
            Some(wakeup) if wakeup <= now => None,
            Some(wakeup) if coalesces && self.has_work() && !is_full && wakeup <= now + MAX_SLEEP => {
                Some(Wait { until: Some(wakeup.max(now + min_sleep)), for_replies: false })
            }
            until => Some(Wait { until, for_replies: true }),
        }
    }

    /// See [`MIN_SLEEP`].
    fn min_sleep(&self) -> Duration {
        let pps = self.strategy.load().unwrap_or(f64::INFINITY).min(self.max_pps);
        let sleep = match self.max_pps.is_finite() {
            _ if pps <= COALESCED_RATE => Duration::ZERO,
            true => *MIN_SLEEP.start(),
            false => Duration::from_secs_f64(COALESCED / pps).clamp(*MIN_SLEEP.start(), *MIN_SLEEP.end()),
        };
        sleep.min(self.strategy.max_delay())
    }

    /// How long to wait while nothing is to be sent, as while events wait for their reader.
    pub(crate) fn poll_held_wait(&self, now: Instant) -> Wait {
        let until = self.strategy.next_timeout();
        self.poll_receive_retry(now).unwrap_or(Wait { until, for_replies: true })
    }
}
