//! Targets by name. (`localhost` is in /etc/hosts; names under .invalid do not exist, RFC 2606.)

use std::env;
use std::fs;
use std::process::Command;

use multiping::{Config, Error, Pinger, Schedule, What, names};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

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

const CHILD: &str = "MULTIPING_TEST_NO_THREAD";

/// What cannot start a thread: there is memory left, but not enough for a stack.
fn child() {
    let (pinger, events) = Pinger::queued(Config::new()).unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB")).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    setrlimit(Resource::RLIMIT_AS, (size.trim().parse::<u64>().unwrap() + 1024) * 1024, hard).unwrap();
    let found = names::resolve(["127.0.0.1"], LONG);
    let target = pinger.add_name("127.0.0.1", Schedule::once(), None).unwrap();
    pinger.drain().unwrap();
    setrlimit(Resource::RLIMIT_AS, hard, hard).unwrap();
    let [Err(Error::Resolve { source, .. })] = &found[..] else { panic!("{found:?}") };
    assert_eq!(source.raw_os_error(), Some(nix::libc::EAGAIN), "{source}");
    let told: Vec<_> = events.filter(|event| event.target == target).map(|event| crate::name(&event.what)).collect();
    assert_eq!(told, ["unresolved", "done"]);
}

#[test]
fn without_a_thread_for_names_none_is_found_and_nothing_hangs() {
    if env::var_os(CHILD).is_some() {
        return child();
    }
    let this = "names::without_a_thread_for_names_none_is_found_and_nothing_hangs";
    let child = Command::new(env::current_exe().unwrap())
        .args(["--exact", this, "--nocapture"])
        .env(CHILD, "1")
        .env_remove("RUST_MIN_STACK")
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
}
