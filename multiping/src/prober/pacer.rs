//! When may the next packet leave? Answers with an `Instant`; never sleeps, never counts anything
//! but packets.
//!
//! The schedule is absolute: packet after packet is due one interval after the one before, so that
//! an average rate comes out exactly however late each wake-up is. What a late wake-up left unsent
//! may be made good, but only a little of it: credit beyond a burst is lost, and after a stall the
//! schedule moves on from the present. (The generic cell rate algorithm of ITU-T I.371, with its
//! "theoretical arrival time" as our `due`.)

use std::time::{Duration, Instant};

use crate::plan::Rate;

/// As much of the schedule as may be made good at once: 10 ms worth of packets leave together at
/// the most.
const BURST: Duration = Duration::from_millis(10);

/// At low rates a burst is one packet, and this much of its interval may be made good: a late
/// wake-up's worth.
const LATENESS: Duration = Duration::from_millis(2);

/// Picoseconds, in which the interval at the highest rate is still a number of six digits.
const PER_SECOND: u128 = 1_000_000_000_000;
const PER_NANOSECOND: u128 = 1_000;

/// The pace of everything that leaves.
#[derive(Debug)]
pub(super) struct Pacer {
    start: Instant,
    /// Between two packets, in picoseconds; 0 if the rate is unlimited.
    interval: u128,
    /// The interval that was asked for.
    asked: u128,
    /// The interval before it was lengthened.
    full: u128,
    /// When the next packet is due, in picoseconds from the start.
    due: u128,
}

impl Pacer {
    /// How often the rate may be halved: to one thirty-second, and no further.
    const MAX_HALVINGS: u32 = 5;

    /// A schedule whose first packet is due at `start`.
    pub(super) fn new(rate: Rate, start: Instant) -> Self {
        let interval = rate.pps().map_or(0, |pps| (PER_SECOND as f64 / pps) as u128);
        Pacer { start, interval, asked: interval, full: interval, due: 0 }
    }

    /// Whether nothing limits the rate now.
    pub(super) fn is_unlimited(&self) -> bool {
        self.interval == 0
    }

    /// How many packets may leave at `now`, up to `most`.
    pub(super) fn allows(&self, now: Instant, most: usize) -> usize {
        let lag = self.elapsed(now).checked_sub(self.due_at(now));
        match lag.map(|lag| lag.checked_div(self.interval)) {
            None => 0,
            Some(None) => most, // no interval: unlimited
            Some(Some(behind)) => usize::try_from(behind + 1).map_or(most, |packets| packets.min(most)),
        }
    }

    /// Takes note of packets that left at `now`.
    pub(super) fn spend(&mut self, packets: usize, now: Instant) {
        self.due = self.due_at(now) + packets as u128 * self.interval;
    }

    /// When the next packet may leave, if it is not now.
    pub(super) fn next(&self, now: Instant) -> Instant {
        let wait = self.due.saturating_sub(self.elapsed(now)).div_ceil(PER_NANOSECOND);
        now + Duration::from_nanos(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// How long as many packets take.
    pub(super) fn duration(&self, packets: usize) -> Duration {
        let nanoseconds = packets as u128 * self.interval / PER_NANOSECOND;
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// Halves the rate, but never below a thirty-second of it. A rate that is unlimited is first
    /// taken to be what it was so far: `sent` packets since the start.
    pub(super) fn slow_down(&mut self, sent: u64, now: Instant) {
        if self.interval == 0 {
            self.full = self.elapsed(now) / u128::from(sent.max(1));
            self.interval = self.full.max(1);
            self.due = self.elapsed(now);
        }
        self.interval = (self.interval * 2).min((self.full << Self::MAX_HALVINGS).max(1));
    }

    /// Goes back to the rate that was asked for. The next packet does not wait for what is left of
    /// a longer interval.
    pub(super) fn recover(&mut self, now: Instant) {
        self.interval = self.asked;
        self.due = self.due.min(self.elapsed(now) + self.asked);
    }

    /// When the next packet is due, as of `now`: what the schedule lags behind by more than a burst
    /// is lost.
    fn due_at(&self, now: Instant) -> u128 {
        let burst = (BURST.as_nanos() * PER_NANOSECOND).saturating_sub(self.interval);
        let slack = burst.max(LATENESS.as_nanos() * PER_NANOSECOND);
        self.due.max(self.elapsed(now).saturating_sub(slack))
    }

    /// Picoseconds from the start to `now`.
    fn elapsed(&self, now: Instant) -> u128 {
        now.saturating_duration_since(self.start).as_nanos() * PER_NANOSECOND
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    //! The clock is read once, for an `Instant` to count from; from there on time is made up.

    use super::*;

    /// The rates that are tried: the ends of the range, the default, the borders of the burst, and
    /// one that divides badly.
    const RATES: [f64; 8] = [0.01, 1.0, 50.0, 100.0, 110.0, 1000.0, 33_333.3, 1e7];

    /// More than is ever sent at once, and more than a burst at 1,000 packets a second.
    const BATCH: usize = 16;

    fn start() -> Instant {
        Instant::now()
    }

    fn pacer(pps: f64, start: Instant) -> Pacer {
        Pacer::new(Rate::per_second(pps).expect("a rate in range"), start)
    }

    fn seconds(count: f64) -> Duration {
        Duration::from_secs_f64(count)
    }

    /// How much may leave at once: one packet, or 10 ms worth.
    fn burst(pps: f64) -> f64 {
        (pps * BURST.as_secs_f64()).max(1.0)
    }

    /// Sends all that may leave at `now`, at once.
    fn drain(pacer: &mut Pacer, now: Instant) -> usize {
        let mut sent = 0;
        loop {
            let packets = pacer.allows(now, BATCH);
            if packets == 0 {
                return sent;
            }
            pacer.spend(packets, now);
            sent += packets;
            assert!(sent < 1_000_000, "there is no end to it");
        }
    }

    /// Runs a schedule whose every wake-up is late by up to `lateness`, until `packets` have left.
    /// Returns when and how many left each time.
    fn run(pacer: &mut Pacer, start: Instant, packets: usize, lateness: Duration) -> Vec<(Instant, usize)> {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut departures = Vec::new();
        let (mut now, mut sent) = (start, 0);
        while sent < packets {
            let count = drain(pacer, now);
            departures.push((now, count));
            sent += count;
            let due = pacer.next(now);
            assert!(due > now, "what may leave now has left");
            now = due + lateness.mul_f64(rng.f64());
        }
        departures
    }

    /// Fails if more than the rate allows left in any window. (Windows that begin and end with a
    /// departure are the fullest.)
    fn check_windows(departures: &[(Instant, usize)], pps: f64) {
        let mut before = Vec::with_capacity(departures.len() + 1);
        before.push(0);
        for &(_, count) in departures {
            before.push(before[before.len() - 1] + count);
        }
        for first in 0..departures.len() {
            // All near windows, and ever farther ones.
            let near = first..departures.len().min(first + 20);
            let far = (4..40).map(|power| first + (1 << power)).take_while(|&last| last < departures.len());
            for last in near.chain(far) {
                let count = before[last + 1] - before[first];
                let window = departures[last].0 - departures[first].0;
                let most = pps * window.as_secs_f64() + 1.0 + burst(pps);
                assert!(count as f64 <= most + 1e-6, "{count} packets in {window:?} at {pps} pps");
            }
        }
    }

    #[test]
    fn the_first_packet_is_due_at_the_start_and_the_next_one_interval_later() {
        let start = start();
        let mut pacer = pacer(50.0, start);
        assert_eq!((pacer.next(start), pacer.allows(start, BATCH)), (start, 1));
        pacer.spend(1, start);
        let due = start + Duration::from_millis(20);
        assert_eq!((pacer.next(start), pacer.allows(start, BATCH)), (due, 0));
        assert_eq!(pacer.allows(due - Duration::from_nanos(1), BATCH), 0);
        assert_eq!((pacer.next(due), pacer.allows(due, BATCH)), (due, 1));
    }

    /// Fails unless the last packet left when it was due, or late by no more than its wake-up: then
    /// nothing was lost on the way and nothing made good twice.
    fn check_exact(departures: &[(Instant, usize)], start: Instant, pps: f64, lateness: Duration) {
        let sent: usize = departures.iter().map(|&(_, count)| count).sum();
        let ideal = (sent - 1) as f64 / pps;
        let late = (departures[departures.len() - 1].0 - start).as_secs_f64() - ideal;
        let rounding = 1e-9 * ideal + 2e-9;
        let most = lateness.as_secs_f64() + rounding;
        assert!(-rounding <= late && late <= most, "{late} s late after {sent} packets at {pps} pps");
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn the_schedule_is_exact_over_100_000_packets_however_late_each_wake_up() {
        for pps in RATES {
            // Any wake-up may be as late as this, and one at a high rate by nearly a burst.
            let lateness = (BURST.saturating_sub(seconds(1.0 / pps))).max(LATENESS) - Duration::from_nanos(1);
            for lateness in [Duration::ZERO, Duration::from_micros(50), LATENESS / 2, lateness] {
                let start = start();
                let mut pacer = pacer(pps, start);
                let departures = run(&mut pacer, start, 100_000, lateness);
                check_windows(&departures, pps);
                check_exact(&departures, start, pps, lateness);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn no_window_holds_more_than_rate_and_burst_however_irregular_the_wake_ups() {
        for pps in RATES {
            for lateness in [0.0, 0.0001, 0.002, 0.005, 0.01, 0.02, 0.5, 3.0 / pps] {
                let start = start();
                let mut pacer = pacer(pps, start);
                check_windows(&run(&mut pacer, start, 3000, seconds(lateness)), pps);
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn a_stall_gives_no_credit_beyond_the_burst() {
        for pps in RATES {
            for stall in [seconds(2.0 / pps), seconds(10.0), seconds(100_000.0)] {
                let start = start();
                let mut pacer = pacer(pps, start);
                drain(&mut pacer, start);
                let now = start + stall.max(seconds(1.0 / pps)) + BURST;
                let sent = drain(&mut pacer, now);
                assert!(1 <= sent && sent as f64 <= burst(pps), "{sent} packets after {stall:?} at {pps} pps");
                // From there on the schedule moves on from the present.
                let next = pacer.next(now);
                assert!(next > now && next <= now + seconds(1.0 / pps) + Duration::from_nanos(1));
                let in_a_second = run(&mut pacer, next, 1000, Duration::ZERO);
                check_windows(&in_a_second, pps);
            }
        }
    }

    #[test]
    fn packets_that_leave_late_in_a_long_system_call_count_from_its_end() {
        let start = start();
        let mut pacer = pacer(1000.0, start);
        pacer.spend(1, start + Duration::from_secs(1));
        // 10 ms worth are left of that second: the packet itself and nine more.
        assert_eq!(drain(&mut pacer, start + Duration::from_secs(1)), 9);
    }

    #[test]
    fn asking_costs_nothing() {
        let start = start();
        let mut pacer = pacer(1000.0, start);
        let now = start + Duration::from_secs(1);
        for _ in 0..100 {
            assert_eq!((pacer.allows(now, 4), pacer.allows(now, BATCH), pacer.next(now)), (4, 10, now));
        }
        pacer.spend(0, now);
        assert_eq!(drain(&mut pacer, now), 10);
    }

    #[test]
    fn a_moment_before_the_start_is_the_start() {
        let start = start() + Duration::from_secs(10);
        let mut pacer = pacer(50.0, start);
        assert_eq!(pacer.allows(start - Duration::from_secs(1), BATCH), 1);
        pacer.spend(1, start - Duration::from_secs(1));
        assert_eq!(pacer.allows(start, BATCH), 0);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn an_unlimited_rate_allows_as_many_as_are_asked_for_at_any_time() {
        let start = start();
        let mut pacer = Pacer::new(Rate::UNLIMITED, start);
        for step in 0..100_000 {
            let now = start + Duration::from_nanos(step);
            assert_eq!((pacer.allows(now, BATCH), pacer.next(now)), (BATCH, now));
            pacer.spend(BATCH, now);
        }
        assert_eq!(pacer.allows(start, usize::MAX), usize::MAX);
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn the_rate_is_halved_five_times_at_most() {
        for pps in RATES {
            let start = start();
            let mut pacer = pacer(pps, start);
            for halvings in 1..=10 {
                pacer.slow_down(1000, start);
                let slow = pps / f64::from(1 << halvings.min(Pacer::MAX_HALVINGS));
                let mut slowed = Pacer { due: 0, ..pacer };
                let departures = run(&mut slowed, start, 1000, Duration::ZERO);
                check_windows(&departures, slow);
                let sent: usize = departures.iter().map(|&(_, count)| count).sum();
                let lasted = (departures[departures.len() - 1].0 - start).as_secs_f64();
                let average = (sent - 1) as f64 / lasted;
                assert!((average / slow - 1.0).abs() < 0.01, "{average} pps instead of {slow}");
            }
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn recovery_goes_back_to_the_rate_that_was_asked_for_and_no_further() {
        for pps in RATES {
            let start = start();
            let mut pacer = pacer(pps, start);
            for _ in 0..3 {
                for _ in 0..7 {
                    pacer.slow_down(1000, start);
                }
                pacer.recover(start);
                pacer.recover(start);
                assert_eq!(pacer.interval, pacer.asked);
            }
            check_windows(&run(&mut pacer, start, 1000, Duration::ZERO), pps);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn a_run_that_is_slowed_and_recovers_again_and_again_never_exceeds_the_rate() {
        for pps in RATES {
            let start = start();
            let mut pacer = pacer(pps, start);
            let mut departures = Vec::new();
            let mut now = start;
            for round in 0..200 {
                departures.extend(run(&mut pacer, now, 30, Duration::from_millis(1)));
                (now, _) = departures[departures.len() - 1];
                match round % 5 {
                    0 | 1 | 3 => pacer.slow_down(1000, now),
                    _ => pacer.recover(now),
                }
                now = pacer.next(now).max(now + Duration::from_nanos(1));
            }
            check_windows(&departures, pps);
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "takes minutes in Miri")]
    fn an_unlimited_rate_is_halved_from_what_it_was_so_far_and_recovers_to_unlimited() {
        let start = start();
        let mut pacer = Pacer::new(Rate::UNLIMITED, start);
        let now = start + Duration::from_secs(1);
        for halvings in 1..=10 {
            pacer.slow_down(320_000, now);
            let pps = 320_000.0 / f64::from(1 << halvings.min(Pacer::MAX_HALVINGS));
            let mut slowed = Pacer { ..pacer };
            let departures = run(&mut slowed, now, 20_000, Duration::ZERO);
            check_windows(&departures, pps);
            let lasted = (departures[departures.len() - 1].0 - now).as_secs_f64();
            assert!((20_000.0 / lasted / pps - 1.0).abs() < 0.01, "{halvings} halvings");
        }
        pacer.recover(now);
        assert_eq!((pacer.allows(now, BATCH), pacer.next(now)), (BATCH, now));
        // The next time counts from what it was by then.
        let now = now + Duration::from_secs(1);
        pacer.slow_down(2_000, now);
        assert_eq!(pacer.interval, 2 * PER_SECOND / 1000);
    }

    #[test]
    fn an_unlimited_rate_can_be_halved_before_anything_was_sent() {
        let start = start();
        for (sent, after) in [(0, Duration::ZERO), (1, Duration::ZERO), (0, Duration::from_secs(1)), (u64::MAX, BURST)]
        {
            let mut pacer = Pacer::new(Rate::UNLIMITED, start);
            for _ in 0..10 {
                pacer.slow_down(sent, start + after);
            }
            assert!(pacer.interval > 0, "{sent} packets in {after:?}");
            let _ = pacer.allows(start + after, BATCH);
            let _ = pacer.next(start + after);
        }
    }
}
