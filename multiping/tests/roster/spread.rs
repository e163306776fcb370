//! Newcomers are spread evenly over their period, however many there are and whenever they come.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, PerFamily};
use multiping::plan::Rate;
use multiping::prober::{Phase, Prober, Roster, Schedule};
use multiping::token::Key;

const SECOND: Duration = Duration::from_secs(1);

fn address(number: u32) -> Address {
    Address::V4(Ipv4Addr::from(number))
}

/// When the turn is that each target has in the second after all have come; the nth comes after n
/// times `pause`. In the order in which they came.
fn places(targets: u32, pause: Duration) -> Vec<Duration> {
    let start = Instant::now(); // all other times are made up
    let idents = PerFamily { v4: 4, v6: 6 };
    let secret = Key::new(RandomState::new());
    let mut prober = Prober::new(Roster::new(start), Rate::UNLIMITED, false, secret, idents, start);
    for number in 0..targets {
        let now = start + pause * number;
        let roster = prober.strategy_mut();
        let id = roster.add(address(number), &Schedule::default(), now).expect("there is memory");
        assert_eq!(id.target.0, number);
    }
    // The second begins when all have had their first turn.
    let begin = (pause * targets).as_secs() as u32 + 2;
    let mut places = vec![None; targets as usize];
    let mut now = start;
    while let Some(next) = prober.poll_wakeup(now).filter(|next| *next < start + SECOND * (begin + 1)) {
        now = next;
        prober.handle_timeouts(now, |_| None, |_| {});
        let probes = prober.poll_send(now).to_vec();
        prober.handle_sent(&vec![now; probes.len()], false, now);
        if now >= start + SECOND * begin {
            for probe in probes {
                let place = &mut places[probe.target.index()];
                assert_eq!(place.replace(now - start - SECOND * begin), None, "one turn a second");
            }
        }
    }
    places.into_iter().map(|place| place.expect("one turn a second")).collect()
}

/// Fails unless the first n of `places` divide the second evenly, for each n. The gaps between
/// multiples of the golden ratio have three lengths at most (the three-gap theorem); times n the
/// longest is never above 1.9 and the shortest never below 0.44 of the whole. (Even spacing would
/// be 1.)
fn check_even(places: &[Duration]) {
    let whole = SECOND.as_nanos() as u64;
    let mut sorted = BTreeSet::new();
    let mut gaps = BTreeMap::from([(whole, 1)]);
    for (n, place) in (1..).zip(places) {
        let place = place.as_nanos() as u64;
        let after = sorted.range(place..).chain(sorted.iter()).next().copied();
        let before = sorted.range(..place).next_back().or(sorted.last()).copied();
        if let (Some(before), Some(after)) = (before, after) {
            let between = |from: u64, to: u64| match (to + whole - from) % whole {
                0 => whole,
                gap => gap,
            };
            let old = gaps.get_mut(&between(before, after)).expect("a gap");
            *old -= 1;
            if *old == 0 {
                gaps.remove(&between(before, after));
            }
            for gap in [between(before, place), between(place, after)] {
                *gaps.entry(gap).or_insert(0) += 1;
            }
        }
        assert!(sorted.insert(place), "two targets have one place");
        let (longest, shortest) = (gaps.keys().last().expect("a gap") * n, gaps.keys().next().expect("a gap") * n);
        assert!(longest <= whole / 10 * 19 + n, "the longest of {n} gaps is {longest} / {n}");
        assert!(shortest + n >= whole / 100 * 44, "the shortest of {n} gaps is {shortest} / {n}");
    }
}

#[test]
fn newcomers_are_spread_evenly_over_their_period_from_1_to_10_000() {
    check_even(&places(10_000, Duration::ZERO));
}

#[test]
fn it_does_not_matter_when_they_come() {
    // Counted from when each came, all places would be one: the rest of the golden ratio is its
    // pause.
    check_even(&places(200, Duration::from_nanos(381_966_011)));
    check_even(&places(1000, Duration::from_millis(7)));
}

#[test]
fn a_first_turn_is_within_one_period() {
    let start = Instant::now();
    let mut roster = Roster::new(start);
    let schedule = Schedule::default().with_period(7 * SECOND).expect("in range");
    for number in 0..1000 {
        let now = start + Duration::from_millis(number * 17);
        let id = roster.add(address(number as u32), &schedule, now).expect("there is memory");
        let due = multiping::prober::Strategy::next_due(&roster).expect("one is due");
        assert!(now <= due && due < now + 7 * SECOND, "{due:?}");
        roster.remove(id);
    }
    for (phase, due) in [(Phase::Now, Duration::ZERO), (Phase::After(9 * SECOND), 9 * SECOND)] {
        let id = roster.add(address(1), &schedule.with_phase(phase), start + SECOND).expect("there is memory");
        assert_eq!(multiping::prober::Strategy::next_due(&roster), Some(start + SECOND + due));
        roster.remove(id);
    }
}
