//! The promises of `Pinger`, `Events` and `Engine`, each in a network of its own.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "pinger/engine.rs"]
mod engine;
#[path = "pinger/limits.rs"]
mod limits;
#[path = "pinger/names.rs"]
mod names;
#[path = "pinger/quiet.rs"]
mod quiet;
#[path = "pinger/stop.rs"]
mod stop;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv6Addr;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use multiping::{Config, Error, Event, Phase, Pinger, Rate, Schedule, What};

use quiet::{ROUTER, alive, play, play_with_router, silent};

const MILLI: Duration = Duration::from_millis(1);
/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(100);

fn name(what: &What) -> &'static str {
    match what {
        What::Reply(_) => "reply",
        What::Duplicate(_) => "duplicate",
        What::Late(_) => "late",
        What::Silence { .. } => "silence",
        What::IcmpError { .. } => "icmp error",
        What::Refused(_) => "refused",
        What::Unresolved(_) => "unresolved",
        What::Moved { .. } => "moved",
        What::Done => "done",
        _ => "other",
    }
}

fn figures<'a>(events: impl IntoIterator<Item = &'a Event>) -> BTreeMap<&'static str, usize> {
    let mut figures = BTreeMap::new();
    events.into_iter().for_each(|event| *figures.entry(name(&event.what)).or_default() += 1);
    figures
}

#[test]
fn drain_returns_when_all_is_told_and_every_probe_has_one_end() {
    play("drain_returns_when_all_is_told_and_every_probe_has_one_end", || {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = told.clone();
        let pinger = Pinger::new(Config::new(), move |event| tell.lock().unwrap().push(event)).unwrap();
        let schedule = Schedule::every(20 * MILLI).count(3).timeout(LONG);
        for number in 0..700 {
            pinger.add(alive(number), schedule).unwrap();
        }
        for number in 0..200 {
            pinger.add(silent(number), Schedule::once().timeout(100 * MILLI)).unwrap();
        }
        let counts = pinger.drain().unwrap();
        let told = told.lock().unwrap();
        let figures = figures(told.iter());
        assert_eq!((figures["reply"], figures["silence"], figures["done"]), (2100, 200, 900));
        assert_eq!((counts.sent, counts.replies, counts.silent), (2300, 2100, 200));
        let mut last: HashMap<_, u32> = HashMap::new();
        for event in told.iter() {
            if let What::Reply(reply) = &event.what {
                assert_eq!((reply.from, reply.ttl, reply.len), (event.address, Some(64), 64));
                assert!(reply.to.is_some() && reply.received >= event.sent && reply.rtt < LONG);
                *last.entry(event.target).or_default() += event.seq;
            }
        }
        assert!(last.values().all(|&sum| sum == 1 + 2), "probes count from 0");
    });
}

#[test]
fn a_full_queue_holds_up_sending_and_loses_nothing() {
    play("a_full_queue_holds_up_sending_and_loses_nothing", || {
        let (pinger, mut events) = Pinger::queued(Config::new().queue(50)).unwrap();
        for number in 0..100 {
            pinger.add(alive(number), Schedule::every(5 * MILLI).timeout(LONG)).unwrap();
        }
        // Until nothing more is sent: all that was sent is answered, and turns are skipped.
        let start = Instant::now();
        let mut before = 0;
        loop {
            thread::sleep(200 * MILLI);
            let sent = pinger.counts().sent;
            if sent >= 50 && sent == before {
                break;
            }
            assert!(start.elapsed() < LONG, "{sent} are sent and it goes on");
            before = sent;
        }
        let mut told: Vec<_> = (0..before).map(|_| events.next().unwrap()).collect();
        assert!(told.iter().all(|event| matches!(event.what, What::Reply(_))), "{:?}", figures(&told));
        // Sending goes on, and in the end every probe has been told.
        told.extend((0..500).map(|_| events.next().unwrap()));
        let counts = pinger.drain().unwrap();
        told.extend(events);
        let figures = figures(&told);
        assert_eq!((figures["reply"] as u64, figures["done"]), (counts.sent, 100));
        assert!(counts.skipped > 0 && counts.sent == counts.replies, "{counts:?}");
    });
}

#[test]
fn drain_returns_though_nobody_reads_the_full_queue() {
    play("drain_returns_though_nobody_reads_the_full_queue", || {
        let (pinger, events) = Pinger::queued(Config::new().queue(5)).unwrap();
        for number in 0..50 {
            pinger.add(alive(number), Schedule::every(MILLI).count(3).timeout(LONG)).unwrap();
        }
        // The reader is this thread.
        assert_eq!(pinger.drain().unwrap().replies, 150);
        let told: Vec<_> = events.collect();
        assert_eq!(figures(&told), BTreeMap::from([("reply", 150), ("done", 50)]));
    });
}

/// A pinger whose callback gets it beside each event.
fn with_itself(mut tell: impl FnMut(&Pinger, Event) + Send + 'static) -> Arc<OnceLock<Pinger>> {
    let own: Arc<OnceLock<Pinger>> = Arc::default();
    let inner = own.clone();
    let pinger = Pinger::new(Config::new(), move |event| {
        let pinger = loop {
            match inner.get() {
                Some(pinger) => break pinger,
                None => thread::yield_now(),
            }
        };
        tell(pinger, event);
    });
    assert!(own.set(pinger.unwrap()).is_ok());
    own
}

#[test]
fn what_is_asked_for_in_the_callback_is_done_at_once() {
    play("what_is_asked_for_in_the_callback_is_done_at_once", || {
        let (tell, told) = mpsc::channel();
        let own = with_itself(move |pinger, event| {
            let is_asked_for = match event.seq {
                0..20 => pinger.probe(event.target),
                _ => pinger.add(alive(1), Schedule::once().timeout(LONG)).is_ok(),
            };
            // Nothing else is scheduled: the thread would sleep.
            assert!(is_asked_for || event.address == alive(1), "{event:?}");
            let _ = tell.send((event.address, event.seq));
        });
        let pinger = own.get().unwrap();
        let target = pinger.add(alive(0), Schedule::manual().timeout(LONG)).unwrap();
        pinger.probe(target);
        for seq in 0..=20 {
            assert_eq!(told.recv_timeout(LONG), Ok((alive(0), seq)));
        }
        assert_eq!(told.recv_timeout(LONG), Ok((alive(1), 0)));
    });
}

#[test]
fn nothing_is_told_of_a_target_that_was_removed_in_the_callback() {
    play("nothing_is_told_of_a_target_that_was_removed_in_the_callback", || {
        let (tell, told) = mpsc::channel();
        let mut ended = HashSet::new();
        let own = with_itself(move |pinger, event| {
            assert!(!ended.contains(&event.target), "{event:?} is told of a target that is gone");
            if event.seq == 2 {
                assert!(pinger.remove(event.target) && !pinger.remove(event.target));
                assert!(!pinger.probe(event.target) && !pinger.finish(event.target));
                ended.insert(event.target);
                // A successor may have the slot at once.
                if ended.len() < 300 {
                    pinger.add(alive(ended.len() as u32), Schedule::every(MILLI).phase(Phase::Now)).unwrap();
                } else {
                    let _ = tell.send(pinger.len());
                }
            }
        });
        for number in 0..10 {
            own.get().unwrap().add(alive(number), Schedule::every(MILLI).phase(Phase::Now)).unwrap();
        }
        assert_eq!(told.recv_timeout(LONG), Ok(9));
    });
}

#[test]
fn nothing_is_told_of_a_target_once_its_removal_has_returned() {
    play("nothing_is_told_of_a_target_once_its_removal_has_returned", || {
        let gone = Arc::new(Mutex::new(HashSet::new()));
        let seen = gone.clone();
        let pinger = Pinger::new(Config::new(), move |event| {
            thread::yield_now();
            assert!(!seen.lock().unwrap().contains(&event.target), "{event:?} is of a target that is gone");
        })
        .unwrap();
        for round in 0..300 {
            let schedule = Schedule::every(MILLI).phase(Phase::Now);
            let targets: Vec<_> = (0..8).map(|number| pinger.add(alive(number), schedule).unwrap()).collect();
            if round % 4 == 0 {
                thread::sleep(MILLI);
            }
            for target in targets {
                assert!(pinger.remove(target));
                gone.lock().unwrap().insert(target);
            }
        }
        assert!(pinger.is_empty());
        pinger.drain().unwrap(); // an assertion in the callback would have closed it
    });
}

#[test]
fn a_panic_in_the_callback_closes_the_pinger_and_nothing_hangs() {
    play("a_panic_in_the_callback_closes_the_pinger_and_nothing_hangs", || {
        let (tell, told) = mpsc::channel();
        let pinger = Pinger::new(Config::new(), move |_| {
            let _ = tell.send(());
            panic!("this panic is part of a test");
        })
        .unwrap();
        let target = pinger.add(alive(0), Schedule::every(MILLI)).unwrap();
        told.recv_timeout(LONG).unwrap();
        assert!(told.recv_timeout(LONG).is_err(), "it is dropped with the callback");
        assert!(matches!(pinger.add(alive(1), Schedule::once()), Err(Error::Closed)));
        assert!(!pinger.probe(target) && !pinger.remove(target));
        assert!(matches!(pinger.drain(), Err(Error::Closed)));
    });
}

#[test]
fn events_are_read_in_any_way() {
    play("events_are_read_in_any_way", || {
        let (pinger, mut events) = Pinger::queued(Config::new()).unwrap();
        assert!(events.try_next().is_none());
        assert!(events.next_before(Instant::now()).is_none());
        let target = pinger.add(alive(0), Schedule::manual()).unwrap();
        assert!(pinger.probe(target));
        let event = events.next_before(Instant::now() + LONG).unwrap();
        assert!((event.target, event.seq) == (target, 0) && matches!(event.what, What::Reply(_)), "{event:?}");
        // By a task that is woken.
        struct Bell(mpsc::Sender<()>);
        impl Wake for Bell {
            fn wake(self: Arc<Self>) {
                let _ = self.0.send(());
            }
        }
        let (ring, bell) = mpsc::channel();
        let waker = Waker::from(Arc::new(Bell(ring)));
        let mut cx = Context::from_waker(&waker);
        assert!(events.poll_next(&mut cx).is_pending());
        pinger.probe(target);
        bell.recv_timeout(LONG).unwrap();
        assert!(matches!(events.poll_next(&mut cx), Poll::Ready(Some(Event { seq: 1, .. }))));
        assert!(events.poll_next(&mut cx).is_pending());
        pinger.finish(target);
        bell.recv_timeout(LONG).unwrap();
        assert!(matches!(events.poll_next(&mut cx), Poll::Ready(Some(Event { what: What::Done, seq: 2, .. }))));
        assert!(!pinger.finish(target) && pinger.is_empty());
        assert!(events.poll_next(&mut cx).is_pending());
        pinger.close();
        bell.recv_timeout(LONG).unwrap();
        assert!(matches!(events.poll_next(&mut cx), Poll::Ready(None)));
        assert!(events.next().is_none());
    });
}

#[test]
fn a_reader_who_goes_stops_nobody() {
    play("a_reader_who_goes_stops_nobody", || {
        let (pinger, events) = Pinger::queued(Config::new().queue(2)).unwrap();
        for number in 0..20 {
            pinger.add(alive(number), Schedule::every(MILLI).count(5).timeout(LONG)).unwrap();
        }
        drop(events);
        let counts = pinger.drain().unwrap();
        assert_eq!((counts.replies, counts.sent), (100, 100));
    });
}

#[test]
fn values_out_of_range_are_named() {
    let out = |result: Result<Pinger, Error>| match result {
        Err(Error::OutOfRange { what }) => what,
        _ => "in range",
    };
    assert_eq!(out(Pinger::new(Config::new().queue(0), drop)), "queue");
    assert_eq!(out(Pinger::new(Config::new().late(LONG * 3), drop)), "late");
    assert_eq!(out(Pinger::new(Config::new().thread_name("a\0b"), drop)), "thread_name");
    let pinger = Pinger::new(Config::new(), drop).unwrap();
    for (schedule, name) in [
        (Schedule::every(MILLI / 2), "period"),
        (Schedule::once().timeout(LONG * 3), "timeout"),
        (Schedule::once().in_flight(0), "in_flight"),
    ] {
        assert!(matches!(pinger.add(alive(0), schedule), Err(Error::OutOfRange { what }) if what == name));
    }
    for refresh in [Duration::ZERO, MILLI / 2, Duration::MAX] {
        let added = pinger.add_name("127.0.0.1", Schedule::once(), Some(refresh));
        assert!(matches!(added, Err(Error::OutOfRange { what: "refresh" })), "{refresh:?}: {added:?}");
    }
    assert!(pinger.is_empty());
}

#[test]
fn the_rate_holds_for_all_targets_together() {
    play("the_rate_holds_for_all_targets_together", || {
        let rate = Rate::per_second(200.0).unwrap();
        let (pinger, mut events) = Pinger::queued(Config::new().rate(rate)).unwrap();
        let start = Instant::now();
        for number in 0..100 {
            pinger.add(alive(number), Schedule::once().timeout(LONG)).unwrap();
        }
        assert_eq!((0..200).filter(|_| matches!(events.next().unwrap().what, What::Done)).count(), 100);
        // The first one or two are sent at once.
        assert!(start.elapsed() >= 98 * Duration::from_secs(1) / 200);
    });
}

#[test]
fn both_families_are_probed_by_one_pinger() {
    play("both_families_are_probed_by_one_pinger", || {
        let (pinger, events) = Pinger::queued(Config::new()).unwrap();
        pinger.add(alive(0), Schedule::once().timeout(LONG)).unwrap();
        pinger.add(Ipv6Addr::LOCALHOST, Schedule::once().timeout(LONG)).unwrap();
        assert_eq!(pinger.drain().unwrap().replies, 2);
        let events: Vec<_> = events.collect();
        let v6 = events.iter().find(|event| event.address == Ipv6Addr::LOCALHOST.into()).unwrap();
        let What::Reply(reply) = &v6.what else { panic!("{v6:?}") };
        assert_eq!((reply.ttl, reply.to), (Some(64), Some(Ipv6Addr::LOCALHOST.into())));
        assert_eq!(figures(&events), BTreeMap::from([("reply", 2), ("done", 2)]));
    });
}

#[test]
fn an_icmp_error_is_told_beside_the_end_of_its_probe() {
    play_with_router("an_icmp_error_is_told_beside_the_end_of_its_probe", || {
        let (pinger, events) = Pinger::queued(Config::new()).unwrap();
        pinger.add([198, 51, 100, 1], Schedule::once()).unwrap();
        pinger.drain().unwrap();
        let told: Vec<_> = events.collect();
        assert_eq!(told.iter().map(|event| name(&event.what)).collect::<Vec<_>>(), ["icmp error", "silence", "done"]);
        let What::IcmpError { from, error, verified } = told[0].what else { panic!("{told:?}") };
        // This router quotes the whole probe.
        assert_eq!((from, error.msg_type, error.code, verified), (ROUTER.into(), 3, 1, true));
        assert!(told[0].seq == 0 && told[0].sent == told[1].sent);
    });
}
