//! An engine in a loop of one's own.

use std::net::Ipv6Addr;
use std::thread;
use std::time::{Duration, Instant};

use multiping::{Config, Engine, Error, Event, Families, Kind, Rate, Schedule, Sockets, TargetId, What};

use crate::quiet::{alive, play, silent};
use crate::{LONG, MILLI};

/// Turns until `is_over`, and returns what was told.
fn run(engine: &mut Engine, mut is_over: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let (start, mut told) = (Instant::now(), Vec::new());
    while !is_over(&told) {
        assert!(start.elapsed() < LONG, "{:?}", crate::figures(&told));
        engine.turn();
        told.extend(std::iter::from_fn(|| engine.next_event()));
        thread::sleep(MILLI / 5);
    }
    told
}

#[test]
fn a_socket_is_open_while_its_family_has_targets() {
    play("a_socket_is_open_while_its_family_has_targets", || {
        let mut engine = Engine::new(Config::new()).unwrap();
        let descriptors = |engine: &Engine| engine.descriptors().count();
        assert_eq!(descriptors(&engine), 0);
        let v4 = engine.add(alive(0), Schedule::manual()).unwrap();
        assert_eq!(descriptors(&engine), 1);
        // A family that comes later.
        let v6 = engine.add(Ipv6Addr::LOCALHOST, Schedule::once()).unwrap();
        assert_eq!(descriptors(&engine), 2);
        let told = run(&mut engine, |told| told.len() == 2);
        assert!(told.iter().all(|event| event.target == v6), "{told:?}");
        assert!(matches!((&told[0].what, &told[1].what), (What::Reply(_), What::Done)));
        assert_eq!((descriptors(&engine), engine.len()), (1, 1), "the last one of IPv6 is gone");
        assert!(engine.remove(v4) && !engine.remove(v4) && !engine.remove(v6));
        assert_eq!((descriptors(&engine), engine.len()), (0, 0));
        // And again.
        let again = engine.add(alive(1), Schedule::once()).unwrap();
        assert_ne!(again, v4);
        let told = run(&mut engine, |told| told.len() == 2);
        assert!(matches!(&told[0].what, What::Reply(reply) if reply.from == alive(1)));
        assert_eq!(descriptors(&engine), 0);
    });
}

#[test]
fn links_that_nobody_looks_at_are_not_gone() {
    play("links_that_nobody_looks_at_are_not_gone", || {
        let mut engine = Engine::new(Config::new()).unwrap();
        let schedule = Schedule::once().timeout(50 * MILLI);
        for _ in 0..2 {
            engine.add(silent(0), schedule).unwrap();
            let told = run(&mut engine, |told| told.len() == 2);
            assert!(matches!(told[0].what, What::Silence { doubtful: false }), "{told:?}");
            // Without a target it has no sockets, and it is time for another look.
            assert!(engine.is_empty());
            thread::sleep(150 * MILLI);
            engine.turn();
        }
    });
}

#[test]
fn replies_may_wait_once_the_kernel_is_seen_to_stamp_them() {
    play("replies_may_wait_once_the_kernel_is_seen_to_stamp_them", || {
        // Many packets a second, so that a wake-up sends several.
        let mut engine = Engine::new(Config::new().rate(Rate::per_second(5_000.0).unwrap())).unwrap();
        for number in 0..5_000_u32 {
            engine.add(silent((number % 200) as u8), Schedule::every(1_000 * MILLI)).unwrap();
        }
        let waits = |engine: &mut Engine| loop {
            let turn = engine.turn();
            if turn.wakeup.is_some_and(|wakeup| wakeup > Instant::now()) {
                return turn;
            }
        };
        for _ in 0..5 {
            let turn = waits(&mut engine);
            assert!(turn.wants_read, "nothing is known of stamps");
            thread::sleep(turn.timeout().unwrap());
        }
        engine.add(alive(0), Schedule::every(10 * MILLI)).unwrap();
        let start = Instant::now();
        while waits(&mut engine).wants_read {
            assert!(start.elapsed() < LONG);
            thread::sleep(MILLI);
        }
    });
}

#[test]
fn a_full_queue_holds_up_an_engine_as_well() {
    play("a_full_queue_holds_up_an_engine_as_well", || {
        let mut engine = Engine::new(Config::new().queue(3)).unwrap();
        for number in 0..10 {
            engine.add(alive(number), Schedule::every(2 * MILLI).timeout(LONG)).unwrap();
        }
        for _ in 0..100 {
            engine.turn();
            thread::sleep(MILLI);
        }
        let sent = engine.counts().sent;
        // Two that wait, a batch that is read in the last turn, and a batch that is sent in it.
        assert!((3..=18).contains(&sent), "{sent} are sent though nobody reads");
        for _ in 0..20 {
            engine.turn();
        }
        assert_eq!(engine.counts().sent, sent);
        let told = run(&mut engine, |told| told.len() > 500);
        assert!(told.iter().all(|event| matches!(event.what, What::Reply(_))), "{:?}", crate::figures(&told));
    });
}

#[test]
fn a_removed_target_has_no_event_even_if_some_wait() {
    play("a_removed_target_has_no_event_even_if_some_wait", || {
        let mut engine = Engine::new(Config::new()).unwrap();
        let targets: Vec<TargetId> =
            (0..4).map(|number| engine.add(alive(number), Schedule::every(MILLI)).unwrap()).collect();
        while engine.counts().replies < 40 {
            engine.turn();
        }
        assert!(engine.remove(targets[1]) && engine.remove(targets[3]));
        // Its slot is free, and what waits is not taken for its successor's.
        let successor = engine.add(silent(0), Schedule::manual()).unwrap();
        assert_eq!(successor.index(), targets[1].index());
        let told: Vec<Event> = std::iter::from_fn(|| engine.next_event()).collect();
        assert!(!told.is_empty() && told.iter().all(|event| [targets[0], targets[2]].contains(&event.target)));
    });
}

#[test]
fn sockets_that_were_opened_early_serve_one_run_at_a_time() {
    play("sockets_that_were_opened_early_serve_one_run_at_a_time", || {
        for kind in [Kind::Raw, Kind::Datagram, Kind::Any] {
            let sockets = match Sockets::open(kind, Families::V4) {
                // Datagram sockets are allowed to groups; root's may not be among them.
                Err(Error::Permission(_)) if kind == Kind::Datagram => continue,
                sockets => sockets.unwrap(),
            };
            let config = Config::new().sockets(sockets);
            for round in 0..3 {
                let mut engine = Engine::new(config.clone()).unwrap();
                assert!(matches!(Engine::new(config.clone()), Err(Error::InUse)));
                assert!(matches!(engine.add(Ipv6Addr::LOCALHOST, Schedule::once()), Err(Error::NoFamily(_))));
                engine.add(alive(round), Schedule::once().timeout(LONG)).unwrap();
                // Nobody waits for this one: the next run is not to take its reply for its own.
                engine.add(alive(100), Schedule::every(MILLI)).unwrap();
                let is_done = |told: &[Event]| told.iter().any(|event| matches!(event.what, What::Done));
                let told = run(&mut engine, is_done);
                assert!(
                    told.iter().any(|event| matches!(&event.what, What::Reply(reply) if reply.from == alive(round)))
                );
                let counts = engine.counts();
                assert_eq!((counts.damaged, counts.stray), (0, 0), "{kind:?}, round {round}");
            }
        }
    });
}

#[test]
fn sockets_that_are_brought_must_be_icmp() {
    play("sockets_that_are_brought_must_be_icmp", || {
        use socket2::{Domain, Protocol, Socket, Type};
        let open = |domain, socket_type, protocol| Socket::new(domain, socket_type, Some(protocol)).unwrap().into();
        let v4 = || open(Domain::IPV4, Type::RAW, Protocol::ICMPV4);
        let v6 = || open(Domain::IPV6, Type::RAW, Protocol::ICMPV6);
        let tcp = || open(Domain::IPV4, Type::STREAM, Protocol::TCP);
        let other = || open(Domain::IPV4, Type::RAW, Protocol::UDP);
        let file = || std::fs::File::open("/proc/self/stat").unwrap().into();
        for wrong in [vec![], vec![tcp()], vec![other()], vec![file()], vec![v4(), v4()], vec![v4(), tcp()]] {
            assert!(matches!(Sockets::from_fds(wrong), Err(Error::NotIcmp)));
        }
        let sockets = Sockets::from_fds([v6(), v4()]).unwrap();
        let mut engine = Engine::new(Config::new().sockets(sockets.buffer(100_000))).unwrap();
        engine.add(alive(0), Schedule::once().timeout(LONG)).unwrap();
        engine.add(Ipv6Addr::LOCALHOST, Schedule::once().timeout(LONG)).unwrap();
        let told = run(&mut engine, |told| told.len() == 4);
        assert_eq!(told.iter().filter(|event| matches!(event.what, What::Reply(_))).count(), 2);
    });
}

#[test]
fn what_this_machine_refuses_is_an_error_or_told_as_refused() {
    play("what_this_machine_refuses_is_an_error_or_told_as_refused", || {
        let not_here = Sockets::on_demand().source([198, 51, 100, 1]);
        let mut engine = Engine::new(Config::new().sockets(not_here)).unwrap();
        let error = engine.add(alive(0), Schedule::once()).unwrap_err();
        assert!(matches!(error, Error::Source { .. }), "{error:?}");
        assert!(std::error::Error::source(&error).is_some());
        let no_device = Sockets::on_demand().interface("no-such-device");
        let mut engine = Engine::new(Config::new().sockets(no_device)).unwrap();
        assert!(matches!(engine.add(alive(0), Schedule::once()), Err(Error::Option { .. })));
        assert!(engine.is_empty());
        // There is no route to it.
        let mut engine = Engine::new(Config::new()).unwrap();
        let target = engine.add([203, 0, 113, 1], Schedule::once()).unwrap();
        let told = run(&mut engine, |told| told.len() == 2);
        assert!(
            matches!(&told[0], Event { what: What::Refused(error), seq: 0, .. } if error.raw_os_error() == Some(101))
        );
        assert!(told[1].target == target && matches!(told[1].what, What::Done));
        assert_eq!(engine.counts().refused, 1);
    });
}

#[test]
fn late_and_never_are_told_apart() {
    play("late_and_never_are_told_apart", || {
        let mut engine = Engine::new(Config::new()).unwrap();
        // Without a timeout at most two probes wait; the oldest is given up for a new one.
        let schedule = Schedule::manual().timeout(Duration::ZERO).in_flight(2);
        let target = engine.add(silent(0), schedule).unwrap();
        (0..5).for_each(|_| assert!(engine.probe(target)));
        let told = run(&mut engine, |told| told.len() == 3);
        assert!(
            told.iter().zip(0..).all(|(event, seq)| event.seq == seq && matches!(event.what, What::Silence { .. }))
        );
        assert!(engine.finish(target));
        let told = run(&mut engine, |told| told.len() == 3);
        assert!(matches!(told[2].what, What::Done), "{told:?}");
    });
}
