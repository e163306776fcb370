//! A fork, what may go to other threads, and what is left of targets that have ended.

use super::*;
#[cfg(feature = "resolve")]
use crate::event::What;
use crate::sockets::Sockets;

/// A target without an address, which needs no socket.
#[cfg(feature = "resolve")]
fn add_unresolved(pinger: &Pinger) -> TargetId {
    let target = pinger.shared.core().engine.add_unresolved();
    let target = target.unwrap_or_else(|error| panic!("{error}"));
    pinger.shared.queue.admit(target);
    target
}

/// Waits for what the pinger's thread does by itself.
#[cfg(feature = "resolve")]
fn wait_until(pinger: &Pinger, is_so: impl Fn(&Core) -> bool) {
    let start = Instant::now();
    while !is_so(&pinger.shared.core()) {
        assert!(start.elapsed() < Duration::from_secs(100), "nothing happens");
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(feature = "resolve")]
#[test]
fn the_slot_of_the_last_target_that_has_ended_is_freed() {
    let with_callback = Pinger::new(Config::new(), drop).unwrap_or_else(|error| panic!("{error}"));
    let (without_reader, events) = Pinger::queued(Config::new()).unwrap_or_else(|error| panic!("{error}"));
    drop(events);
    for pinger in [with_callback, without_reader] {
        let target = add_unresolved(&pinger);
        assert!(pinger.finish(target));
        wait_until(&pinger, |core| core.engine.is_empty());
    }
}

#[cfg(feature = "resolve")]
#[test]
fn the_name_of_a_target_that_has_ended_is_not_looked_up_again() {
    let (pinger, mut events) = Pinger::queued(Config::new()).unwrap_or_else(|error| panic!("{error}"));
    // No name: that takes no resolver.
    let target = pinger.add_name("\0", Schedule::once(), Some(Duration::from_millis(1)));
    let target = target.unwrap_or_else(|error| panic!("{error}"));
    assert!(events.next().is_some_and(|event| matches!(event.what, What::Unresolved(_))));
    assert!(pinger.finish(target));
    assert!(events.any(|event| matches!(event.what, What::Done)));
    wait_until(&pinger, |core| core.names.is_idle() && core.names.next_due().is_none());
}

/// Plays a fork: for the child the thread is in another process.
#[cfg(feature = "resolve")]
#[test]
fn in_another_process_every_method_fails_and_none_hangs() {
    let started = Pinger::queued(Config::new());
    let (pinger, mut events) = started.unwrap_or_else(|error| panic!("{error}"));
    let target = add_unresolved(&pinger);
    // As a thread that holds it when the process forks.
    let for_thread = pinger.shared.clone();
    let held = for_thread.core();
    let thread = pinger.shared.process.swap(0, Ordering::Relaxed);
    assert!(matches!(pinger.add([127, 0, 0, 1], Schedule::once()), Err(Error::Closed)));
    assert!(!pinger.probe(target) && !pinger.finish(target) && !pinger.remove(target));
    assert!(matches!(pinger.reschedule(target, Schedule::once()), Ok(false)));
    assert_eq!((pinger.len(), pinger.counts()), (0, Counts::default()));
    assert!(events.next().is_none() && events.try_next().is_none());
    assert!(matches!(pinger.drain(), Err(Error::Closed)));
    drop(events);
    // The parent goes on, and so its thread ends.
    drop(held);
    for_thread.process.store(thread, Ordering::Relaxed);
    for_thread.is_closing.store(true, Ordering::Relaxed);
    for_thread.wake();
}

#[test]
fn what_may_go_to_other_threads_does() {
    fn send<T: Send + 'static>() {}
    fn sync<T: Sync>() {}
    send::<Pinger>();
    sync::<Pinger>();
    send::<Events>();
    send::<Engine>();
    send::<Event>();
    sync::<Event>();
    send::<Sockets>();
    sync::<Sockets>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
}
