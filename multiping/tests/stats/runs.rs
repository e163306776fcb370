//! Random runs of probes: all figures, at every moment, against those from a table of all probes.

use std::time::Duration;

use multiping::stats::{Counter, Keep, Percentile, Stats, Totals};

use crate::random::Rng;
use crate::rtts::check_rtts;
use crate::{TICK, nearest_rank, percents};

/// What a probe was drawn to end in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    SendError,
    Silent,
    /// Answered so many ticks after it was sent.
    Reply(u32),
}

/// A random run of probes to one target. All times in ticks.
struct Run {
    period: u64,
    timeout: u64,
    late: u64,
    /// When each probe is sent or refused, and its fate.
    probes: Vec<(u64, Fate)>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Reply(usize),
    Timeout(usize),
    Late(usize),
    Duplicate,
    Sent(usize),
    SendError,
}

/// In units of 0.1 ms, the resolution of outages.
const STEP: u64 = 1000;

impl Run {
    fn draw(rng: &mut Rng) -> Self {
        let period = (1 + rng.below(1000)) * STEP;
        let longest = rng.pick([period / 2, period, 12 * period]);
        let timeout = 1 + rng.below(longest);
        let latest = rng.pick([1, period, timeout + 1, 2 * timeout]);
        let late = rng.below(latest);
        let losses = rng.below(101);
        let mut is_down = false;
        let probes = (0..1 + rng.below(120)).map(|number| {
            // Up to one period behind.
            let slip = if rng.below(5) == 0 { rng.below(period / STEP) * STEP } else { 0 };
            if rng.below(10) == 0 {
                is_down = rng.below(100) < losses;
            }
            let fate = match rng.below(20) {
                0 => Fate::SendError,
                1..5 if losses > 0 => Fate::Silent,
                _ if is_down => Fate::Silent,
                5 => Fate::Reply(rng.below(timeout + late + 1) as u32),
                6 => Fate::Reply(timeout as u32 + rng.below(late + 1) as u32),
                _ => Fate::Reply(rng.below(1 + timeout / 4) as u32),
            };
            (number * period + slip, fate)
        });
        Run { period, timeout, late, probes: probes.collect() }
    }

    /// All that happens, in its order.
    fn events(&self, rng: &mut Rng) -> Vec<(u64, Event)> {
        let mut events = Vec::new();
        for (number, &(sent, fate)) in self.probes.iter().enumerate() {
            if fate == Fate::SendError {
                events.push((sent, Event::SendError));
                continue;
            }
            events.push((sent, Event::Sent(number)));
            match fate {
                Fate::Reply(rtt) if u64::from(rtt) <= self.timeout => {
                    events.push((sent + u64::from(rtt), Event::Reply(number)));
                    if rng.below(10) == 0 {
                        events.push((sent + u64::from(rtt) + rng.below(5), Event::Duplicate));
                    }
                    continue;
                }
                Fate::Reply(rtt) => events.push((sent + u64::from(rtt), Event::Late(number))),
                _ => {}
            }
            events.push((sent + self.timeout, Event::Timeout(number)));
        }
        events.sort_by_key(|&(at, event)| (at, !matches!(event, Event::Sent(_)), event));
        events
    }

    fn stats(&self) -> Stats {
        let window = Stats::window(time(self.timeout), time(self.late), time(self.period));
        Stats::new(Keep::Any, window).unwrap()
    }
}

fn time(ticks: u64) -> Duration {
    Duration::from_nanos(ticks * 100)
}

fn ticks_of(time: Duration) -> f64 {
    time.as_nanos() as f64 / 100.0
}

/// What a probe has ended in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Answered(u32),
    Late(u32),
    Lost,
}

/// The figures from all that is known of all probes.
#[derive(Default)]
struct Oracle {
    /// When each probe was sent, if it was, and what it has ended in, if it has.
    probes: Vec<Option<(u64, Option<End>)>>,
    /// The numbers of the probes answered in time, as the replies came.
    answered: Vec<usize>,
    duplicates: u64,
    send_errors: u64,
}

impl Oracle {
    fn new(run: &Run) -> Self {
        Oracle { probes: vec![None; run.probes.len()], ..Oracle::default() }
    }

    fn end(&mut self, number: usize, end: End) {
        self.probes[number].as_mut().unwrap().1 = Some(end);
    }

    fn ends(&self) -> impl Iterator<Item = (u64, End)> {
        self.probes.iter().flatten().filter_map(|&(sent, end)| Some((sent, end?)))
    }

    fn answer(&self, number: usize) -> Option<u32> {
        match *self.probes.get(number)? {
            Some((_, Some(End::Answered(rtt)))) => Some(rtt),
            _ => None,
        }
    }

    fn rtts(&self) -> Vec<u32> {
        self.ends()
            .filter_map(|(_, end)| match end {
                End::Answered(rtt) | End::Late(rtt) => Some(rtt),
                End::Lost => None,
            })
            .collect()
    }

    /// The differences between successive answers, in the order in which they became known.
    fn differences(&self) -> Vec<u32> {
        let mut differences = Vec::new();
        for (place, &number) in self.answered.iter().enumerate() {
            let rtt = self.answer(number).unwrap();
            for neighbour in [number.wrapping_sub(1), number + 1] {
                if self.answered[..place].contains(&neighbour) {
                    differences.push(rtt.abs_diff(self.answer(neighbour).unwrap()));
                }
            }
        }
        differences
    }

    /// The longest row of lost probes: how many, and for how long.
    fn row(&self, end: u64) -> (u32, u64) {
        let ends: Vec<(u64, End)> = self.ends().collect();
        let mut longest = (0, 0);
        for first in 0..ends.len() {
            if ends[first].1 != End::Lost || first > 0 && ends[first - 1].1 == End::Lost {
                continue;
            }
            let row = ends[first..].iter().take_while(|(_, end)| *end == End::Lost).count();
            let until = ends.get(first + row).map_or(end, |&(sent, _)| sent);
            longest = longest.max((row as u32, until - ends[first].0));
        }
        longest
    }

    fn check(&self, stats: &Stats, now: u64, what: &str) {
        let count = |is: fn(&End) -> bool| self.ends().filter(|(_, end)| is(end)).count() as u64;
        let expected = [
            (Counter::Answered, count(|end| matches!(end, End::Answered(_)))),
            (Counter::Late, count(|end| matches!(end, End::Late(_)))),
            (Counter::Lost, count(|end| *end == End::Lost)),
            (Counter::SendErrors, self.send_errors),
            (Counter::Duplicates, self.duplicates),
            (Counter::Reordered, self.reordered()),
        ];
        for (counter, number) in expected {
            assert_eq!(stats.counts().get(counter), number, "{counter:?}, {what}");
        }
        assert_eq!(stats.counts().sent(), self.ends().count() as u64, "{what}");
        let sample = self.rtts();
        if sample.is_empty() {
            assert_eq!(stats.rtts().n(), 0, "{what}");
        } else {
            check_rtts(stats.rtts(), &sample, true, what);
        }
        self.check_jitter(stats, what);
        let (row, outage) = self.row(now / STEP * STEP);
        assert_eq!(stats.longest_loss_run(), row, "{what}");
        let outage = (stats.counts().sent() > 0).then(|| time(outage));
        assert_eq!(stats.longest_outage(time(now)), outage, "{what}");
    }

    fn reordered(&self) -> u64 {
        let answered = self.answered.iter().enumerate();
        answered.filter(|&(place, number)| self.answered[..place].iter().any(|before| before > number)).count() as u64
    }

    fn check_jitter(&self, stats: &Stats, what: &str) {
        let differences = self.differences();
        // Whatever the order: a pair for each two successive probes that were both answered.
        let pairs = (1..self.probes.len()).filter(|&number| self.answer(number).and(self.answer(number - 1)).is_some());
        assert_eq!(pairs.count(), differences.len());
        if differences.is_empty() {
            assert_eq!((stats.jitter(), stats.jitter_rfc3550()), (None, None), "{what}");
            return;
        }
        let sum: u64 = differences.iter().map(|&difference| u64::from(difference)).sum();
        let mean = sum as f64 / differences.len() as f64;
        assert!((ticks_of(stats.jitter().unwrap()) - mean).abs() < 0.00501, "{what}");
        let smoothed = differences.iter().fold(0.0, |smoothed, &d| smoothed + (f64::from(d) - smoothed) / 16.0);
        assert!((ticks_of(stats.jitter_rfc3550().unwrap()) - smoothed).abs() < 0.0051, "{what}");
    }
}

/// Plays a run to `stats` and to the oracle, and compares all figures again and again.
fn play(run: &Run, rng: &mut Rng, stats: &mut Stats, totals: &mut Totals, what: &str) -> Oracle {
    let mut oracle = Oracle::new(run);
    let events = run.events(rng);
    let last = events.len() - 1;
    for (place, &(at, event)) in events.iter().enumerate() {
        let attempt = |number: usize| number as u32;
        match event {
            Event::Sent(number) => {
                stats.record_sent(attempt(number), time(at));
                oracle.probes[number] = Some((at, None));
            }
            Event::SendError => {
                stats.record_send_error();
                oracle.send_errors += 1;
            }
            Event::Duplicate => {
                stats.record_duplicate();
                oracle.duplicates += 1;
            }
            Event::Timeout(number) => {
                stats.record_timeout(attempt(number));
                oracle.end(number, End::Lost);
            }
            Event::Reply(number) | Event::Late(number) => {
                let rtt = (at - run.probes[number].0) as u32;
                totals.record_rtt(TICK * rtt);
                if matches!(event, Event::Late(_)) {
                    stats.record_late(attempt(number), TICK * rtt);
                    oracle.end(number, End::Late(rtt));
                } else {
                    stats.record_reply(attempt(number), TICK * rtt);
                    oracle.end(number, End::Answered(rtt));
                    oracle.answered.push(number);
                }
            }
        }
        if rng.below(40) == 0 || place == last {
            oracle.check(stats, at, &format!("{what} at {at}"));
        }
    }
    // Long after the last event.
    oracle.check(stats, events[last].0 + 12_345_678, what);
    oracle
}

#[test]
fn figures_of_random_runs_are_those_of_plain_arithmetic_at_every_moment() {
    let mut totals = Totals::new().unwrap();
    let mut targets = Vec::new();
    for seed in 0..1000 {
        let rng = &mut Rng::new(seed);
        let run = Run::draw(rng);
        let mut stats = run.stats();
        play(&run, rng, &mut stats, &mut totals, &format!("seed {seed}"));
        targets.push(stats);
    }
    totals.merge(&targets);
    for counter in [Counter::Late, Counter::Lost, Counter::SendErrors, Counter::Duplicates, Counter::Reordered] {
        assert!(totals.counts().get(counter) > 500, "{counter:?}: {}", totals.counts().get(counter));
    }
}

#[test]
fn totals_are_the_sums_over_the_targets_and_all_their_rtts() {
    let mut totals = Totals::new().unwrap();
    let (mut targets, mut sample, mut lost) = (Vec::new(), Vec::new(), 0);
    for seed in 10_000..10_200 {
        let rng = &mut Rng::new(seed);
        let run = Run::draw(rng);
        let mut stats = run.stats();
        let oracle = play(&run, rng, &mut stats, &mut totals, &format!("seed {seed}"));
        lost += oracle.ends().filter(|(_, end)| *end == End::Lost).count() as u64;
        sample.extend(oracle.rtts());
        targets.push(stats);
        totals.merge(&targets);
        totals.merge(&targets); // not added twice
        check_rtts(totals.rtts(), &sample, sample.len() <= 3200, "all targets");
        assert_eq!((totals.counts().get(Counter::Lost), totals.counts().sent()), (lost, lost + sample.len() as u64));
    }
    assert!(sample.len() > 3200, "the histogram is tested too");
    let sent: Vec<u32> = sample.iter().copied().chain((0..lost).map(|_| u32::MAX)).collect();
    let mut sorted = sent;
    sorted.sort_unstable();
    for percent in percents() {
        let expected = nearest_rank(&sorted, percent);
        match totals.percentile_of_sent(percent).unwrap() {
            Percentile::Lost => assert_eq!(expected, u32::MAX),
            Percentile::Rtt(rtt) => assert!((ticks_of(rtt) - f64::from(expected)).abs() * 256.0 <= f64::from(expected)),
        }
    }
}
