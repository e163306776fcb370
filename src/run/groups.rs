//! Probes of ordinary users to multicast groups, each of which may be answered by many hosts: to
//! all groups together one a second, in turn, however long this process was stopped.

use std::time::{Duration, Instant};

use multiping::address::{Address, TargetId};
use multiping::alloc::{OutOfMemory, try_push};
use multiping::prober::{Event, Roster};

/// The groups of a run.
#[derive(Debug, Default)]
pub struct Groups {
    targets: Vec<TargetId>,
    /// How many probes each is sent; `None`: any number.
    count: Option<u32>,
    /// The least time between two probes.
    spacing: Duration,
    /// How many probes there were, sent or refused.
    probes: u64,
    /// Which one was asked to be probed, and was not yet.
    awaited: Option<TargetId>,
    /// When the next one may be probed. `None`: nothing is left.
    next: Option<Instant>,
}

impl Groups {
    /// Those among `targets` that are groups, each of which is sent `count` probes, one a period,
    /// from `start` on. Any two probes are `spacing` apart; if that is 0, they are targets as
    /// others are.
    pub fn new(
        targets: impl Iterator<Item = (TargetId, Address)>,
        count: Option<u32>,
        period: Duration,
        spacing: Duration,
        start: Instant,
    ) -> Result<Self, OutOfMemory> {
        let mut groups = Groups { count, next: Some(start), ..Groups::default() };
        for (target, _) in targets.filter(|(_, address)| address.ip().is_multicast() && !spacing.is_zero()) {
            try_push(&mut groups.targets, target)?;
        }
        let number = u32::try_from(groups.targets.len()).unwrap_or(u32::MAX).max(1);
        groups.spacing = spacing.max(period / number);
        Ok(groups)
    }

    /// Whether it is a group that is probed by this.
    pub fn contains(&self, target: TargetId) -> bool {
        self.targets.binary_search(&target).is_ok()
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The time between two probes to the same group.
    pub fn period(&self) -> Duration {
        self.spacing.saturating_mul(u32::try_from(self.len()).unwrap_or(u32::MAX))
    }

    /// Records an event of the run.
    pub fn record(&mut self, event: &Event) {
        match *event {
            Event::Sent { probe, at } | Event::SendError { probe, at, .. } if self.awaited == Some(probe.target) => {
                self.probes += 1;
                (self.awaited, self.next) = (None, Some(at + self.spacing));
            }
            // It was finished before its probe could leave.
            Event::Done { target } if self.awaited == Some(target) => self.awaited = None,
            _ => {}
        }
    }

    /// Has the next group probed if it is time. Those that are finished are passed over.
    pub fn handle_turn(&mut self, roster: &mut Roster, now: Instant) {
        if self.next_turn().is_none_or(|next| next > now) {
            return;
        }
        let groups = self.targets.len() as u64;
        for _ in 0..groups {
            let (round, place) = (self.probes / groups, (self.probes % groups) as usize);
            let target = self.targets.get(place).and_then(|&target| roster.id(target));
            let may_go_on = self.count.is_none_or(|count| round < u64::from(count));
            if let Some(id) = target.filter(|_| may_go_on) {
                if roster.probe(id, now) {
                    if self.count.is_some_and(|count| round + 1 >= u64::from(count)) {
                        roster.wind_down(id);
                    }
                    self.awaited = Some(id.target);
                    return;
                }
            }
            self.probes += 1;
        }
        self.next = None;
    }

    /// When there has to be a turn for it.
    pub fn next_turn(&self) -> Option<Instant> {
        self.next.filter(|_| self.awaited.is_none() && !self.is_empty())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant to count from; all other times are made up")]
mod tests {
    use std::hash::RandomState;
    use std::net::Ipv4Addr;

    use multiping::address::PerFamily;
    use multiping::plan::Rate;
    use multiping::prober::{Prober, Schedule};
    use multiping::token::Key;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Probes groups and returns when which was probed, in milliseconds, in a process that is
    /// stopped for the third to the tenth second.
    fn probes(number: u8, count: Option<u32>, period: Duration) -> Result<Vec<(u128, u32)>, OutOfMemory> {
        let start = Instant::now();
        let mut roster = Roster::new(start);
        let mut targets = Vec::new();
        for last in 1..=number {
            let address = Address::V4(Ipv4Addr::new(239, 0, 0, last));
            targets.push((roster.add(address, &Schedule::manual(), start)?.target, address));
        }
        let mut groups = Groups::new(targets.into_iter(), count, period, SECOND, start)?;
        let (key, idents) = (Key::new(RandomState::new()), PerFamily { v4: 1, v6: 1 });
        let mut prober = Prober::new(roster, Rate::UNLIMITED, false, key, idents, start);
        let mut sent = Vec::new();
        for ms in (0..20_000).step_by(10).filter(|ms| !(3_000..10_000).contains(ms)) {
            let now = start + Duration::from_millis(ms);
            prober.handle_timeouts(now, |_| None, |_| {});
            for probe in prober.poll_send(now).to_vec() {
                groups.record(&Event::Sent { probe, at: now });
                prober.handle_sent(&[now], false, now);
                sent.push((u128::from(ms), probe.target.0));
            }
            while prober.poll_done().is_some() {}
            groups.handle_turn(prober.strategy_mut(), now);
        }
        Ok(sent)
    }

    #[test]
    fn all_groups_together_get_one_probe_a_second() -> Result<(), OutOfMemory> {
        let sent = probes(3, None, SECOND / 10)?;
        assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 1000), "{sent:?}");
        assert!(sent.iter().zip(0..).all(|((_, target), number)| *target == number % 3), "in turn: {sent:?}");
        assert!((12..=14).contains(&sent.len()), "nothing is made up for: {sent:?}");
        Ok(())
    }

    #[test]
    fn each_group_has_its_count_and_a_long_period_holds() -> Result<(), OutOfMemory> {
        let sent = probes(2, Some(3), SECOND)?;
        assert_eq!(sent.iter().map(|(_, target)| *target).collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1]);
        let sent = probes(1, Some(4), 5 * SECOND)?;
        assert!(sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 5000), "{sent:?}");
        assert_eq!(probes(0, Some(4), SECOND)?, []);
        Ok(())
    }
}
