//! What a reply is worth, what silence is, and for how long a probe is known.

use std::hash::RandomState;
use std::time::{Duration, Instant};

use multiping::address::{PerFamily, TargetId};
use multiping::plan::Rate;
use multiping::prober::{Interface, Prober, Roster, Route, Schedule, TimedOut, Timeout};
use multiping::token::Key;
use multiping::wire::Echo;

use crate::machine::{Host, Machine, Told};
use crate::scenarios::{FIRST, SECOND_V6, every, machine};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_reply_counts_up_to_the_timeout_and_is_late_up_to_as_long_again() {
    for (delay, told) in [
        (SECOND, vec![Told::Reply(0, SECOND), Told::Done]),
        (
            SECOND + Duration::from_nanos(1),
            vec![
                Told::TimedOut(0, Timeout::Counted),
                Told::Done,
                Told::Late(0, Some(SECOND + Duration::from_nanos(1)), Some(Timeout::Counted)),
            ],
        ),
        (
            2 * SECOND,
            vec![
                Told::TimedOut(0, Timeout::Counted),
                Told::Done,
                Told::Late(0, Some(2 * SECOND), Some(Timeout::Counted)),
            ],
        ),
        (
            2 * SECOND + Duration::from_nanos(1),
            vec![Told::TimedOut(0, Timeout::Counted), Told::Done, Told::Late(0, None, None)],
        ),
    ] {
        // It does not matter when it is read: by the stamp it is late, or not.
        for stop in [0, 5] {
            let mut machine = machine();
            let target = machine.add(FIRST, Schedule::once(), Host::alive(delay));
            machine.stops.push_back(MILLI..MILLI + SECOND * stop);
            machine.run_until(10 * SECOND);
            let story: Vec<Told> = machine.take_story(target).into_iter().map(|(_, told)| told).skip(1).collect();
            match (&told[..], stop) {
                // The reply and the end of its timeout are read together: it has one end, and is
                // told once.
                ([_, _, Told::Late(_, Some(rtt), _)], 5) => {
                    assert_eq!(story, [Told::Late(0, Some(*rtt), None), Told::Done]);
                }
                ([_, _, late], 5) => assert_eq!(story, [*late, Told::TimedOut(0, Timeout::Counted), Told::Done]),
                (told, _) => assert_eq!(story, told, "{delay:?}"),
            }
        }
    }
}

#[test]
fn late_replies_are_known_for_as_long_as_asked() {
    for (late, known) in [(Duration::ZERO, false), (499 * MILLI, false), (500 * MILLI, true), (200 * SECOND, true)] {
        let mut machine = Machine::new(1, Rate::UNLIMITED, Some(late));
        machine.story = Some(Vec::new());
        let target = machine.add(FIRST, every(100 * MILLI).with_count(50), Host::alive(1500 * MILLI));
        machine.run_until(20 * SECOND);
        let story = machine.take_story(target);
        let with_rtt = story.iter().filter(|(_, told)| matches!(told, Told::Late(_, Some(_), _))).count();
        assert_eq!(with_rtt, if known { 50 } else { 0 }, "{late:?}");
    }
    assert!(Roster::new(machine().instant()).with_late(201 * SECOND).is_err());
}

#[test]
fn a_probe_is_forgotten_when_replies_are_later_than_late() {
    let mut machine = machine();
    // Two time out, one is answered, and one is refused; they are never probed again.
    for host in [Host::SILENT, Host::alive(MILLI), Host::SILENT, Host { refused: 100, ..Host::SILENT }] {
        machine.add(FIRST, Schedule::once(), host);
    }
    for (time, known) in [(SECOND, 3), (2 * SECOND - MILLI, 3), (2 * SECOND, 0)] {
        machine.run_until(time);
        machine.turn();
        assert_eq!(machine.prober.strategy().known(), known, "{time:?}");
    }
    assert_eq!(machine.prober.poll_wakeup(machine.instant()), None, "nobody wakes up for that");
    assert_eq!(machine.prober.strategy().len(), 4);
}

#[test]
fn probes_with_long_timeouts_do_not_keep_others_from_being_forgotten() {
    let mut machine = machine();
    for timeout in [200 * SECOND, 20 * SECOND, 2 * SECOND, 10 * MILLI] {
        machine.add(FIRST, every(SECOND).with_timeout(timeout).unwrap(), Host::SILENT);
    }
    machine.run_until(300 * SECOND);
    // Of each target as many as are sent in twice its timeout; of the first, all.
    let known = machine.prober.strategy().known();
    assert!((300 + 40 + 4..=300 + 40 + 4 + 4).contains(&known), "{known}");
}

#[test]
fn duplicates_are_told_from_late_replies_for_64_probes_and_more() {
    // The second copies come when 60 and 70 further probes have been sent. Every second one was
    // late.
    for (copies_after, exact) in [(60 * SECOND, true), (70 * SECOND, false)] {
        let mut machine = machine();
        let host = Host { loss: 50, copies: 1..2, spread: copies_after..copies_after, ..Host::alive(MILLI) };
        let target = machine.add(FIRST, every(SECOND).with_count(400), host);
        machine.run_until(600 * SECOND);
        let story = machine.take_story(target);
        let answered = story.iter().filter(|(_, told)| matches!(told, Told::Reply(..))).count();
        let duplicates = story.iter().filter(|(_, told)| matches!(told, Told::Duplicate(_, None))).count();
        let late = story.iter().filter(|(_, told)| matches!(told, Told::Late(_, None, None))).count();
        assert!(answered > 150 && duplicates + late == answered, "{answered} {duplicates} {late}");
        assert_eq!(late == 0, exact);
    }
}

#[test]
fn what_times_out_during_an_overflow_is_doubtful() {
    let mut machine = machine();
    let slow = Host { copies: 9..10, spread: MILLI..400 * MILLI, ..Host::alive(100 * MILLI) };
    let noisy = machine.add(FIRST, every(2 * SECOND), slow);
    let silent = machine.add(FIRST, every(SECOND), Host::SILENT);
    let other_family = machine.add(SECOND_V6, every(SECOND), Host::SILENT);
    let late = machine.add(FIRST, every(SECOND), Host::alive(1500 * MILLI));
    machine.run_until(1900 * MILLI);
    // From 2.0 to 2.5 ten replies come, and there is room for five.
    machine.buffer = 5;
    machine.stops.push_back(2 * SECOND + 1 * MILLI..2600 * MILLI);
    machine.run_until(8 * SECOND);
    let timeouts = |machine: &mut Machine, key| {
        let story = machine.take_story(key).into_iter();
        let timeouts = story.filter_map(|(_, told)| match told {
            Told::TimedOut(number, timeout) => Some((number, timeout == Timeout::Doubtful)),
            _ => None,
        });
        timeouts.collect::<Vec<_>>()
    };
    // The probes of 2 s were in flight meanwhile; those of 1 s had timed out, and that of 3 s came
    // after.
    assert_eq!(timeouts(&mut machine, silent)[..4], [(0, false), (1, false), (2, true), (3, false)]);
    assert_eq!(timeouts(&mut machine, other_family)[..4], [(0, false), (1, false), (2, false), (3, false)]);
    assert!(timeouts(&mut machine, noisy).is_empty(), "of several copies one came through");
    // A late reply says how its timeout was told.
    let story = machine.take_story(late);
    for (number, timeout) in [(0, Timeout::Counted), (2, Timeout::Doubtful), (3, Timeout::Counted)] {
        let told = Told::Late(number, Some(1500 * MILLI), Some(timeout));
        assert!(story.iter().any(|(_, other)| *other == told), "{told:?} in {story:?}");
    }
}

#[test]
fn what_times_out_while_a_reference_is_silent_or_its_link_is_down_is_doubtful() {
    let interface = |carrier| Interface { index: 1, carrier, ..Interface::default() };
    for (reference_answers, carrier, timeout) in
        [(true, true, Timeout::Counted), (false, true, Timeout::Doubtful), (true, false, Timeout::Doubtful)]
    {
        let start = Instant::now(); // all other times are made up
        let secret = Key::new(RandomState::new());
        let idents = PerFamily { v4: 4, v6: 6 };
        let mut prober = Prober::new(Roster::new(start), Rate::UNLIMITED, false, secret, idents, start);
        prober.set_references([SECOND_V6], SECOND, start);
        prober.handle_interface(interface(carrier), start);
        prober.strategy_mut().add(FIRST, &Schedule::once(), start).expect("there is memory");
        while let Some(&probe) = prober.poll_send(start).first() {
            prober.handle_sent(&[start], true, start);
            if probe.address == SECOND_V6 && reference_answers {
                let data = probe.token.emit();
                prober.handle_reply(SECOND_V6, &Echo { ident: 6, seq: probe.seq, data: &data }, start);
            }
        }
        let mut told = Vec::new();
        prober.handle_timeouts(start + SECOND, |_| Some(Route::over(1)), |timed_out| told.push(timed_out));
        assert_eq!(told, [TimedOut { target: TargetId(0), attempt: 0, sent: start, timeout }]);
        let counts = prober.counts();
        let doubtful = (counts.reference_refunds, counts.link_refunds);
        assert_eq!(doubtful, (u64::from(!reference_answers), u64::from(!carrier)));
        assert_eq!(prober.poll_done(), Some(TargetId(0)));
    }
}
