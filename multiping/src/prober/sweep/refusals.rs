//! Targets that the kernel refuses to send to: when they are due again, set aside, or given up.

use std::time::{Duration, Instant};

use crate::address::TargetId;
use crate::prober::backpressure::MAX_JAM;
use crate::prober::sweep::Sweep;
use crate::tally::{Phase, TICK};

/// After a refusal a target is due again after its timeout, but not later than this.
const MAX_RETRY_DELAY: Duration = Duration::from_secs(1);

/// How long a target may be refused without a break before it is set aside, whatever its timeouts.
const MAX_REFUSED: Duration = Duration::from_secs(60);

/// The time between two rounds of those set aside.
const ROUND_INTERVAL: Duration = Duration::from_secs(1);

/// How many rounds there are at least.
const MIN_ROUNDS: u32 = 2;

/// The unit of the times of refusals, which have 16 bits.
const COARSE_TICK: Duration = Duration::from_millis(10);

/// A round of those set aside.
pub(super) struct Round {
    number: u32,
    start: Instant,
    /// Whether a probe to one of them was accepted.
    pub(super) progress: bool,
}

impl Sweep {
    /// No attempt is used up. A target that is refused too long is set aside.
    pub(super) fn refuse(&mut self, target: TargetId, errno: i32, no_buffers: bool, at: Instant) {
        let was_refused = self.take(target, at) == Phase::DueAgain;
        let now = coarse_ticks(at.saturating_duration_since(self.epoch));
        self.last_refusal = self.last_refusal.max(now);
        let now = self.last_refusal as u16;
        let since = if was_refused { self.tallies[target.index()].refused_since().0 } else { now };
        // A lack of buffers concerns all targets, so what counts is how long no packet was
        // accepted.
        let refused_for = if no_buffers {
            let accepted = self.last_ticks * TICK.as_nanos() as u64 / COARSE_TICK.as_nanos() as u64;
            u64::from(now.wrapping_sub(since)).min(self.last_refusal.saturating_sub(accepted))
        } else {
            now.wrapping_sub(since).into()
        };
        let max = if no_buffers { MAX_JAM } else { self.total_timeout.min(MAX_REFUSED) };
        let tally = &mut self.tallies[target.index()];
        tally.set_errno(errno, no_buffers);
        if self.round.is_some() || refused_for >= coarse_ticks(max) {
            tally.set_phase(Phase::SetAside);
            self.nodes.push_back(&mut self.set_aside, target);
            self.set_aside_count += 1;
        } else {
            tally.set_phase(Phase::Refused);
            tally.set_refused_since(since, now);
            self.nodes.push_back(&mut self.refused, target);
            self.refused_count += 1;
        }
    }

    /// How long a refused target waits.
    fn retry_delay(&self) -> Duration {
        self.timeouts[0].min(MAX_RETRY_DELAY)
    }

    /// When the oldest refused target is due again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let target = self.refused.first()?;
        let (_, last) = self.tallies[target.index()].refused_since();
        let back = (self.last_refusal as u16).wrapping_sub(last);
        let due = self.last_refusal.saturating_sub(back.into()) + coarse_ticks(self.retry_delay());
        Some(self.epoch + Duration::from_millis(due * COARSE_TICK.as_millis() as u64))
    }

    /// Whether there is nothing to do but to try those set aside.
    fn only_set_aside(&self) -> bool {
        self.set_aside_count > 0 && self.settled + self.set_aside_count == self.addresses.len()
    }

    /// Whether there is another round of those set aside.
    fn has_next_round(&self) -> bool {
        self.round.as_ref().is_none_or(|round| round.number < MIN_ROUNDS || round.progress)
    }

    /// When the next round begins, or at once if there is none. `None`: not before all else is
    /// settled.
    pub(super) fn next_round(&self) -> Option<Instant> {
        let last = self.round.as_ref().filter(|_| self.has_next_round());
        self.only_set_aside().then(|| last.map_or(self.epoch, |round| round.start + ROUND_INTERVAL))
    }

    /// Begins a round of those set aside, or gives them up.
    fn try_set_aside(&mut self, now: Instant) {
        let goes_on = self.has_next_round();
        let number = self.round.as_ref().map_or(1, |round| round.number + 1);
        self.round = Some(Round { number, start: now, progress: false });
        while let Some(target) = self.set_aside.first() {
            self.nodes.remove(&mut self.set_aside, target);
            self.set_aside_count -= 1;
            if goes_on {
                self.enqueue(target, Phase::DueAgain);
            } else {
                self.tallies[target.index()].set_phase(Phase::GivenUp);
                self.given_up += 1;
            }
        }
    }

    /// Makes those due that are due again by `now`, and begins a round of those set aside.
    pub(super) fn retry_refused(&mut self, now: Instant) {
        while let Some(target) = self.refused.first().filter(|_| self.next_retry().is_some_and(|due| due <= now)) {
            self.nodes.remove(&mut self.refused, target);
            self.refused_count -= 1;
            self.enqueue(target, Phase::DueAgain);
        }
        if self.next_round().is_some_and(|next| next <= now) {
            self.try_set_aside(now);
        }
    }
}

/// A time in coarse ticks, rounded up.
fn coarse_ticks(time: Duration) -> u64 {
    time.as_nanos().div_ceil(COARSE_TICK.as_nanos()) as u64
}
