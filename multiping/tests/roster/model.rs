//! The rules of a roster, written down plainly: lists that are searched from end to end, and times
//! that are durations since the start. It knows nothing of slots, heaps, tokens or generations, and
//! shares no code with what it judges.
//!
//! It is told what happened, checks that it may happen, and says what has to come of it.

use std::time::Duration;

use multiping::address::{Address, PerFamily};
use multiping::prober::{Phase, Schedule};

/// Names a target for good: targets are numbered in the order in which they were added.
pub type Key = usize;

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Answered,
    Late,
    Lost,
    Doubtful,
    Refused,
}

/// A probe that was sent or refused.
#[derive(Clone, Debug)]
pub struct Probe {
    pub sent: Duration,
    timeout: Duration,
    pub end: Option<End>,
}

/// What a reply has to be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    Reply(Duration),
    /// With its RTT, as long as the probe is known.
    Duplicate(Option<Duration>),
    /// With how the timeout was told of, if it was.
    Late(Duration, Option<End>),
    /// Later than late.
    TooLate,
    /// Later than late, and so many probes ago that a duplicate may be taken for a late reply.
    Forgotten,
    /// The target is gone.
    Nothing,
}

#[derive(Debug)]
pub struct Target {
    pub address: Address,
    schedule: Schedule,
    pub is_there: bool,
    /// Nothing more is sent.
    is_finished: bool,
    is_done: bool,
    turn: Option<Duration>,
    turns: u32,
    extras: u32,
    extra_at: Duration,
    pub probes: Vec<Probe>,
    /// The numbers of those in flight.
    in_flight: Vec<usize>,
    pub slipped: u32,
}

/// All targets there have been.
pub struct Model {
    late: Option<Duration>,
    pub targets: Vec<Target>,
    /// Those that are there.
    pub present: Vec<Key>,
    newcomers: u64,
    pub slipped: u64,
    pub skipped: u64,
}

impl Target {
    /// When the next probe is due.
    fn due(&self) -> Option<Duration> {
        let extra = (self.extras > 0).then_some(self.extra_at);
        self.turn.into_iter().chain(extra).min()
    }

    /// Whether the next probe has to wait until one in flight has ended.
    fn is_full(&self) -> bool {
        self.in_flight.len() >= usize::from(self.schedule.max_in_flight())
    }

    fn deadline(&self, number: usize) -> Duration {
        self.probes[number].sent + self.probes[number].timeout
    }

    /// Up to when a reply to a probe is known.
    fn known_until(&self, number: usize, late: Option<Duration>) -> Duration {
        self.deadline(number) + late.unwrap_or(self.probes[number].timeout)
    }

    fn end(&mut self, number: usize, end: End) {
        let old = self.probes[number].end.replace(end);
        assert!(
            old.is_none() || end == End::Late && matches!(old, Some(End::Lost | End::Doubtful)),
            "a probe that had ended as {old:?} ends as {end:?}"
        );
        self.in_flight.retain(|&other| other != number);
    }
}

impl Model {
    pub fn new(late: Option<Duration>) -> Self {
        Model { late, targets: Vec::new(), present: Vec::new(), newcomers: 0, slipped: 0, skipped: 0 }
    }

    pub fn add(&mut self, address: Address, schedule: Schedule, now: Duration) -> Key {
        let key = self.targets.len();
        self.targets.push(Target {
            address,
            schedule,
            is_there: true,
            is_finished: false,
            is_done: false,
            turn: None,
            turns: 0,
            extras: 0,
            extra_at: now,
            probes: Vec::new(),
            in_flight: Vec::new(),
            slipped: 0,
        });
        self.present.push(key);
        self.follow(key, schedule, now);
        key
    }

    fn follow(&mut self, key: Key, schedule: Schedule, now: Duration) {
        let first = schedule.period().map(|period| match schedule.phase() {
            Phase::Now => now,
            Phase::After(time) => now + time,
            Phase::Spread => {
                // The fraction of n times the golden ratio, in units of 2^-64 (OEIS A001622).
                let fraction = (u128::from(self.newcomers) * 0x1_9e37_79b9_7f4a_7c15) % (1 << 64);
                self.newcomers += 1;
                let place = Duration::from_nanos((period.as_nanos() * fraction / (1 << 64)) as u64);
                let mut turn = period * (now.as_nanos() / period.as_nanos()) as u32 + place;
                if turn < now {
                    turn += period;
                }
                turn
            }
            phase => panic!("the model does not know {phase:?}"),
        });
        let target = &mut self.targets[key];
        (target.schedule, target.turn, target.turns) = (schedule, first, schedule.count());
    }

    pub fn remove(&mut self, key: Key) -> bool {
        let target = &mut self.targets[key];
        (target.turn, target.extras) = (None, 0);
        target.in_flight.clear();
        self.present.retain(|&other| other != key);
        std::mem::replace(&mut target.is_there, false)
    }

    pub fn finish(&mut self, key: Key) -> bool {
        let target = &mut self.targets[key];
        if target.is_there {
            (target.turn, target.extras, target.is_finished) = (None, 0, true);
        }
        target.is_there
    }

    pub fn reschedule(&mut self, key: Key, schedule: Schedule, now: Duration) -> bool {
        let open = self.targets[key].is_there && !self.targets[key].is_finished;
        if open {
            self.follow(key, schedule, now);
            self.targets[key].extra_at = now;
        }
        open
    }

    pub fn probe(&mut self, key: Key, now: Duration) -> bool {
        let target = &mut self.targets[key];
        let open = target.is_there && !target.is_finished;
        if open {
            if target.extras == 0 {
                target.extra_at = now;
            }
            target.extras += 1;
        }
        open
    }

    /// A probe was sent, or refused. Returns which turn it took, if it was not out of turn.
    pub fn attempt(&mut self, key: Key, number: usize, at: Duration, refused: bool) -> Option<Duration> {
        let target = &mut self.targets[key];
        assert_eq!(number, target.probes.len(), "probes of a target are numbered one by one");
        assert!(target.due().is_some_and(|due| due <= at), "{target:?} has no probe at {at:?}");
        assert!(!target.is_full(), "too many in flight: {target:?}");
        target.probes.push(Probe {
            sent: at,
            timeout: target.schedule.timeout().expect("the model knows only timeouts"),
            end: None,
        });
        if refused {
            target.probes[number].end = Some(End::Refused);
        } else {
            target.in_flight.push(number);
        }
        if target.extras > 0 {
            (target.extras, target.extra_at) = (target.extras - 1, at);
            return None;
        }
        let turn = target.turn.expect("a turn, as it is no extra");
        let period = target.schedule.period().expect("turns have a period");
        if at.saturating_sub(turn) * 2 > period {
            target.slipped += 1;
            self.slipped += 1;
        }
        // Turns that are over are not made up for.
        let mut next = turn + period;
        while next <= at {
            next += period;
            self.skipped += 1;
        }
        target.turn = Some(next);
        match target.turns {
            0 => {}
            1 => (target.turn, target.is_finished) = (None, true),
            turns => target.turns = turns - 1,
        }
        Some(turn)
    }

    /// A reply to a probe that was sent arrived at `at`, and every packet that arrived before was
    /// told.
    pub fn reply(&mut self, key: Key, number: usize, at: Duration) -> Expected {
        let target = &mut self.targets[key];
        if !target.is_there {
            return Expected::Nothing;
        }
        let rtt = at - target.probes[number].sent;
        let known = at <= target.known_until(number, self.late);
        match target.probes[number].end {
            None if rtt <= target.probes[number].timeout => {
                target.end(number, End::Answered);
                Expected::Reply(rtt)
            }
            None | Some(End::Lost | End::Doubtful) if !known => Expected::TooLate,
            end @ (None | Some(End::Lost | End::Doubtful)) => {
                target.end(number, End::Late);
                Expected::Late(rtt, end)
            }
            Some(End::Answered | End::Late) if known => Expected::Duplicate(Some(rtt)),
            Some(End::Answered | End::Late) if target.probes.len() - number <= 64 => Expected::Duplicate(None),
            Some(End::Answered | End::Late) => Expected::Forgotten,
            Some(End::Refused) => panic!("a reply to a probe that never left"),
        }
    }

    /// What times out by `now`, the first one first: target, number, when it was sent, and how it
    /// ends. `overflow` is when replies were last seen to be lost.
    pub fn time_out(
        &mut self,
        now: Duration,
        overflow: PerFamily<Option<Duration>>,
    ) -> Vec<(Key, usize, Duration, End)> {
        let mut ended = Vec::new();
        for &key in &self.present {
            let target = &mut self.targets[key];
            for number in target.in_flight.clone() {
                let (deadline, sent) = (target.deadline(number), target.probes[number].sent);
                if deadline <= now {
                    let lost = overflow[target.address.family()].is_some_and(|overflow| overflow >= sent);
                    let end = if lost { End::Doubtful } else { End::Lost };
                    target.end(number, end);
                    ended.push((deadline, (key, number, sent, end)));
                }
            }
        }
        ended.sort_by_key(|&(deadline, _)| deadline);
        ended.into_iter().map(|(_, ended)| ended).collect()
    }

    /// Who is done and was not so before.
    pub fn done(&mut self) -> Vec<Key> {
        let mut done = Vec::new();
        for &key in &self.present {
            let target = &mut self.targets[key];
            if target.is_finished && target.in_flight.is_empty() && !target.is_done {
                target.is_done = true;
                done.push(key);
            }
        }
        done
    }

    pub fn is_done(&self) -> bool {
        self.present.iter().all(|&key| self.targets[key].is_done)
    }

    pub fn in_flight(&self) -> usize {
        self.present.iter().map(|&key| self.targets[key].in_flight.len()).sum()
    }

    /// When something falls due, or may be sent, or times out.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let targets = || self.present.iter().map(|&key| &self.targets[key]);
        let due = targets().filter_map(|target| target.due().filter(|&due| due > now || !target.is_full()));
        let deadlines = targets().flat_map(|target| target.in_flight.iter().map(|&number| target.deadline(number)));
        due.chain(deadlines).min()
    }

    /// How many probes a second the schedules ask for.
    pub fn load(&self) -> f64 {
        let open = self.present.iter().map(|&key| &self.targets[key]).filter(|target| !target.is_finished);
        open.filter_map(|target| Some(1.0 / target.schedule.period()?.as_secs_f64())).sum()
    }

    /// How many probes ended in each way, and how many did not: of targets that were removed.
    pub fn ends(&self) -> Vec<(Option<End>, usize)> {
        let all = [End::Answered, End::Late, End::Lost, End::Doubtful, End::Refused].map(Some);
        let probes = || self.targets.iter().flat_map(|target| &target.probes);
        all.into_iter().chain([None]).map(|end| (end, probes().filter(|probe| probe.end == end).count())).collect()
    }

    /// Fails unless each probe has its end, is in flight, or was sent to a target that is gone.
    pub fn check_ends(&self) {
        for &key in &self.present {
            let target = &self.targets[key];
            let open = target.probes.iter().filter(|probe| probe.end.is_none()).count();
            assert_eq!(open, target.in_flight.len(), "of target {key}");
        }
    }
}
