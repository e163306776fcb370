//! Targets by name. (`localhost` is in /etc/hosts; names under .invalid do not exist, RFC 2606.)

use multiping::{Config, Pinger, Schedule, What, names};

use crate::LONG;
use crate::quiet::{alive, play};

#[test]
fn a_bad_name_spoils_nothing_and_drain_waits_for_names() {
    play("a_bad_name_spoils_nothing_and_drain_waits_for_names", || {
        let (pinger, events) = Pinger::queued(Config::new()).unwrap();
        let bad = pinger.add_name("no-such-host.invalid", Schedule::once().timeout(LONG), None).unwrap();
        let good = pinger.add_name("127.0.0.1", Schedule::once().timeout(LONG), None).unwrap();
        let plain = pinger.add(alive(1), Schedule::once().timeout(LONG)).unwrap();
        assert_eq!(pinger.len(), 3);
        pinger.drain().unwrap();
        let told: Vec<_> = events.collect();
        let of = |target| told.iter().filter(move |event| event.target == target).map(|event| crate::name(&event.what));
        assert_eq!(of(bad).collect::<Vec<_>>(), ["unresolved", "done"]);
        assert_eq!(of(good).collect::<Vec<_>>(), ["moved", "reply", "done"]);
        assert_eq!(of(plain).collect::<Vec<_>>(), ["reply", "done"]);
        let moved = told.iter().find(|event| matches!(event.what, What::Moved { from: None })).unwrap();
        assert_eq!(moved.address, alive(0));
    });
}

#[test]
fn a_name_without_an_address_may_get_one_later() {
    play("a_name_without_an_address_may_get_one_later", || {
        let (pinger, mut events) = Pinger::queued(Config::new()).unwrap();
        let schedule = Schedule::every(LONG);
        let target = pinger.add_name("no-such-host.invalid", schedule, Some(crate::MILLI * 10)).unwrap();
        for _ in 0..3 {
            let event = events.next().unwrap();
            assert!(event.target == target && matches!(event.what, What::Unresolved(_)), "{event:?}");
            assert_eq!(event.address, [0, 0, 0, 0].into());
        }
        assert!(pinger.remove(target) && pinger.is_empty());
        pinger.drain().unwrap();
        assert!(events.next().is_none());
    });
}

#[test]
fn names_are_looked_up_in_their_order() {
    let names =
        (0..30).map(|number| if number % 3 == 0 { "no-such-host.invalid".into() } else { format!("127.0.0.{number}") });
    let found = names::resolve(names, LONG);
    for (number, addresses) in (0_u8..).zip(&found) {
        match addresses {
            Ok(addresses) => assert_eq!(addresses[..], [[127, 0, 0, number].into()]),
            Err(error) => assert!(number % 3 == 0 && error.to_string().contains("no-such-host"), "{error:?}"),
        }
    }
    assert_eq!(found.iter().filter(|found| found.is_ok()).count(), 20);
}
