//! A fork, and what may go to other threads.

use super::*;
use crate::sockets::Sockets;

/// Plays a fork: for the child the thread is in another process.
#[cfg(feature = "resolve")]
#[test]
fn in_another_process_every_method_fails_and_none_hangs() {
    let started = Pinger::queued(Config::new());
    let (pinger, mut events) = started.unwrap_or_else(|error| panic!("{error}"));
    let target = pinger.shared.core().engine.add_unresolved();
    let target = target.unwrap_or_else(|error| panic!("{error}"));
    pinger.shared.queue.admit(target);
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
