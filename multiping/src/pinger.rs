//! Targets that come and go, probed by a thread of its own.

#![cfg_attr(feature = "resolve", expect(clippy::disallowed_methods, reason = "an edge: names are due at a time"))]

mod events;
#[cfg(feature = "resolve")]
mod names;
mod queue;
#[cfg(test)]
mod tests;
mod wake;

use std::io;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
#[cfg(feature = "resolve")]
use std::time::{Duration, Instant};

pub use crate::pinger::events::Events;

use crate::address::Address;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::event::{Counts, Event, TargetId};
#[cfg(feature = "resolve")]
use crate::pinger::names::Names;
use crate::pinger::queue::Queue;
use crate::pinger::wake::WakeFd;
#[cfg(feature = "resolve")]
use crate::prober;
use crate::prober::Wait;
use crate::schedule::Schedule;

/// Probes targets that come and go, on a thread of its own.
///
/// One thread and one socket a family, whatever the number of targets; beside them an eventfd,
/// which wakes the thread, and two netlink sockets while there are targets. It is `Send` and
/// `Sync`: share it by reference or in an [`Arc`]. Its methods hold up the thread for microseconds,
/// and are held up no longer than it takes to read or send a few packets.
///
/// When it is dropped it is closed at once, as by [`Pinger::close`]. After a `fork` it is of no use
/// in the child: there nothing is probed, and every method fails.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Config, Pinger, Schedule, What};
///
/// let pinger = Pinger::new(Config::new(), |event| match event.what {
///     What::Reply(reply) => println!("{}: {:?}", event.address, reply.rtt),
///     What::Silence { doubtful } => println!("{}: silent (doubtful: {doubtful})", event.address),
///     _ => {}
/// })?;
/// match pinger.add([127, 0, 0, 1], Schedule::every(Duration::from_millis(10)).count(3)) {
///     Ok(_) => println!("{:?}", pinger.drain()?), // waits until all is told
///     Err(error) => println!("skipped: {error}"), // no right to ping
/// }
/// # Ok::<_, multiping::Error>(())
/// ```
pub struct Pinger {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), Panicked>>>,
    thread_id: ThreadId,
}

/// How often the thread lets others go first in one turn.
const MAX_YIELDS: u32 = 100;

/// What is called with each event.
struct Tell(Box<dyn FnMut(Event) + Send>);

/// The callback panicked.
struct Panicked;

/// What the thread shares with the pinger and the reader of its events.
pub(crate) struct Shared {
    core: Mutex<Core>,
    /// How many wait for it: the thread lets them go first.
    waiting: AtomicUsize,
    queue: Queue,
    wake: WakeFd,
    /// The thread is to end at once, or has ended.
    is_closing: AtomicBool,
    /// The process in which the thread runs.
    process: AtomicU32,
}

/// The state machine and the sockets.
struct Core {
    engine: Engine,
    #[cfg(feature = "resolve")]
    names: Names,
    /// The thread is to end once all is told.
    draining: bool,
}

impl Pinger {
    /// A pinger that tells of what happens by calling `tell`.
    ///
    /// That runs on the pinger's thread, without a lock held: it may call any method but
    /// [`Pinger::drain`] and [`Pinger::close`]. While it runs nothing is sent or read; times stay
    /// right, because the kernel takes them. If it panics, the pinger is closed.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], [`Error::InUse`], and [`Error::System`] if there can be no thread.
    pub fn new(config: Config, tell: impl FnMut(Event) + Send + 'static) -> Result<Self, Error> {
        Self::start(config, Some(Tell(Box::new(tell))))
    }

    /// A pinger that tells of what happens by a queue. Once [`Config::queue`] events wait in it,
    /// nothing is sent until there is room.
    ///
    /// # Errors
    ///
    /// As [`Pinger::new`].
    pub fn queued(config: Config) -> Result<(Self, Events), Error> {
        let pinger = Self::start(config, None)?;
        let events = Events { shared: pinger.shared.clone() };
        Ok((pinger, events))
    }

    fn start(config: Config, tell: Option<Tell>) -> Result<Self, Error> {
        let name = config.thread_name.clone();
        let bound = config.queue;
        let engine = Engine::new(config)?;
        let shared = Arc::new(Shared {
            core: Mutex::new(Core {
                engine,
                #[cfg(feature = "resolve")]
                names: Names::default(),
                draining: false,
            }),
            waiting: AtomicUsize::new(0),
            queue: Queue::new(bound),
            wake: WakeFd::new()?,
            is_closing: AtomicBool::new(false),
            process: AtomicU32::new(process::id()),
        });
        let for_thread = shared.clone();
        let run = move || {
            let mut tell = tell;
            let ended = catch_unwind(AssertUnwindSafe(|| for_thread.run(&mut tell)));
            for_thread.end();
            // What it holds may be a pinger, this one for example.
            drop(catch_unwind(AssertUnwindSafe(|| drop(tell))));
            ended.map_err(|_| Panicked)
        };
        let thread = thread::Builder::new().name(name).spawn(run);
        let thread = thread.map_err(|source| Error::System { what: "starting a thread", source })?;
        let thread_id = thread.thread().id();
        Ok(Pinger { shared, thread: Some(thread), thread_id })
    }

    /// Adds a target, which is probed by `schedule` from now on. Equal addresses are different
    /// targets. The first one of a family opens its socket, with the rights of the thread that
    /// calls.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the thread is gone or this is another process, and as
    /// [`Engine::add`](crate::Engine::add).
    pub fn add(&self, address: impl Into<Address>, schedule: Schedule) -> Result<TargetId, Error> {
        let target = {
            let mut core = self.open_core()?;
            let target = core.engine.add(address, schedule)?;
            self.shared.queue.admit(target);
            target
        };
        self.shared.wake();
        Ok(target)
    }

    /// Adds a target by name, which is looked up on another thread: probing waits for nobody's
    /// name. [`What::Moved`](crate::What::Moved) tells its address, which is the first one that
    /// this machine has the family for; [`What::Unresolved`](crate::What::Unresolved) that there is
    /// none. With `refresh` (1 ms to one day) the name is looked up again after so long each time,
    /// and the target moves if its address is no longer among the name's.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`], [`Error::OutOfRange`] and [`Error::Memory`], as [`Pinger::add`].
    ///
    /// ```
    /// use multiping::{Config, Pinger, Schedule};
    ///
    /// let pinger = Pinger::new(Config::new(), |event| println!("{}: {:?}", event.address, event.what))?;
    /// pinger.add_name("localhost", Schedule::once(), None)?;
    /// pinger.drain()?;
    /// # Ok::<_, multiping::Error>(())
    /// ```
    #[cfg(feature = "resolve")]
    pub fn add_name(&self, name: &str, schedule: Schedule, refresh: Option<Duration>) -> Result<TargetId, Error> {
        schedule.checked()?;
        if refresh.is_some_and(|refresh| !prober::Schedule::PERIOD.contains(&refresh)) {
            return Err(Error::OutOfRange { what: "refresh" });
        }
        let mut core = self.open_core()?;
        let target = core.engine.add_unresolved()?;
        self.shared.queue.admit(target);
        core.names.add(target, name, schedule, refresh);
        core.look_up(target, &self.shared);
        drop(core);
        self.shared.wake();
        Ok(target)
    }

    /// Asks for one more probe at once, out of turn. Returns whether the target is there and not
    /// finished. For an example see [`Schedule::manual`].
    pub fn probe(&self, target: TargetId) -> bool {
        self.change(target, |engine| engine.probe(target))
    }

    /// Sends no more probes to a target. What is in flight still counts, and
    /// [`What::Done`](crate::What::Done) comes last. Returns whether the target is there.
    pub fn finish(&self, target: TargetId) -> bool {
        self.change(target, |engine| engine.finish(target))
    }

    /// Removes a target at once: when this has returned, no event of it is told any more, nor
    /// waits in the queue. (Where `tell` is just being called with one on another thread, this
    /// waits for it.) Returns whether it was there.
    pub fn remove(&self, target: TargetId) -> bool {
        let Ok(mut core) = self.open_core() else { return false };
        if !self.shared.queue.dismiss(target) {
            return false;
        }
        core.remove(target);
        drop(core);
        if !self.is_own_thread() {
            self.shared.queue.wait_until_told(target);
        }
        true
    }

    /// Probes a target by another schedule from now on, as if it were new. What is in flight keeps
    /// its timeout; what has none gets the new one. Returns whether the target is there and not
    /// finished.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if a value of the schedule is; then nothing has changed.
    pub fn reschedule(&self, target: TargetId, schedule: Schedule) -> Result<bool, Error> {
        schedule.checked()?;
        Ok(self.change(target, |engine| engine.reschedule(target, schedule).unwrap_or(false)))
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        match self.shared.is_foreign() {
            true => 0,
            false => self.shared.core().engine.len().saturating_sub(self.shared.queue.ended()),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        match self.shared.is_foreign() {
            true => Counts::default(),
            false => self.shared.core().engine.counts(),
        }
    }

    /// Why nothing can be received, if every attempt to read has failed for a second. Probes then
    /// wait for their end.
    pub fn receive_failure(&self) -> Option<io::Error> {
        self.open_core().ok()?.engine.receive_failure()
    }

    /// Ends in good order: waits until the last event has been told (of [`Events`]: is in the
    /// queue), ends the thread and closes the sockets.
    ///
    /// A target with a count is probed to its end, a name is looked up to its end, a probe that was
    /// asked for is sent. All other targets are finished, and what is in flight to them may still
    /// be answered within its timeout; what has none gets one second. Sending goes on even if the
    /// queue is full, since its reader may be the caller: it then takes more than
    /// [`Config::queue`] events.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the thread is gone before that: `tell` panicked, or this is another
    /// process.
    ///
    /// ```
    /// use multiping::{Config, Pinger, Schedule, What};
    ///
    /// let (pinger, events) = Pinger::queued(Config::new())?;
    /// let target = match pinger.add([127, 0, 0, 1], Schedule::once()) {
    ///     Ok(target) => target,
    ///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
    /// };
    /// let counts = pinger.drain()?;
    /// let told: Vec<What> = events.map(|event| event.what).collect();
    /// assert!(matches!(told[..], [.., What::Done]));
    /// assert!(counts.sent + counts.refused == 1 && target.index() == 0);
    /// # Ok::<_, multiping::Error>(())
    /// ```
    pub fn drain(mut self) -> Result<Counts, Error> {
        {
            let mut core = self.open_core()?;
            core.draining = true;
            core.engine.wind_down();
            #[cfg(feature = "resolve")]
            {
                let Core { names, engine, .. } = &mut *core;
                for target in names.wind_down() {
                    if engine.address(target).is_none() {
                        engine.finish(target);
                    }
                }
            }
        }
        self.shared.wake();
        self.join()?;
        Ok(self.counts())
    }

    /// Closes at once: nothing more is told, the thread ends (after the call of `tell` that may be
    /// going on), and the sockets are closed.
    pub fn close(mut self) -> Counts {
        self.shut();
        self.counts()
    }

    fn shut(&mut self) {
        if self.shared.is_foreign() {
            // There is no such thread in this process.
            std::mem::forget(self.thread.take());
            return;
        }
        self.shared.is_closing.store(true, Ordering::Release);
        self.shared.wake();
        // A panic of `tell` was told by the panic hook.
        let _ = self.join();
    }

    fn join(&mut self) -> Result<(), Error> {
        match self.thread.take() {
            Some(thread) if !self.is_own_thread() => match thread.join() {
                Ok(Ok(())) => Ok(()),
                _ => Err(Error::Closed),
            },
            _ => Ok(()),
        }
    }

    fn is_own_thread(&self) -> bool {
        thread::current().id() == self.thread_id
    }

    fn open_core(&self) -> Result<MutexGuard<'_, Core>, Error> {
        if self.shared.is_foreign() {
            return Err(Error::Closed);
        }
        let core = self.shared.core();
        if self.shared.is_closing() || core.draining { Err(Error::Closed) } else { Ok(core) }
    }

    fn change(&self, target: TargetId, change: impl FnOnce(&mut Engine) -> bool) -> bool {
        let Ok(mut core) = self.open_core() else { return false };
        let changed = self.shared.queue.is_live(target) && change(&mut core.engine);
        drop(core);
        if changed {
            self.shared.wake();
        }
        changed
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.shut();
        }
    }
}

impl Shared {
    /// Whether this is another process than the thread's, after a fork. Then a lock may be held for
    /// ever.
    fn is_foreign(&self) -> bool {
        self.process.load(Ordering::Relaxed) != process::id()
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        core
    }

    /// Has the thread take another turn. In the callback as well: how long it waits afterwards was
    /// decided before.
    fn wake(&self) {
        self.wake.wake();
    }

    /// What the thread does until it is to end.
    fn run(self: &Arc<Self>, tell: &mut Option<Tell>) {
        loop {
            self.wake.clear();
            let (waiter, is_over, mut goes_on) = {
                let mut core = self.core();
                if self.is_closing() {
                    return;
                }
                let wait = core.turn(self);
                // Before the lock is released: what is removed from then on is in the queue, or was
                // told.
                let frees_slots = self.queue.push(core.engine.events_mut());
                (wait.map(|wait| core.engine.waiter(wait)), core.is_over(), frees_slots)
            };
            if let Some(tell) = tell {
                while let Some((event, wakes)) = self.queue.begin_telling() {
                    goes_on |= wakes;
                    (tell.0)(event);
                    self.queue.told();
                    if self.is_closing() {
                        return;
                    }
                }
            }
            if is_over {
                return;
            }
            // A lock is not fair: whoever waits for it goes first, but not for ever.
            let mut yields = 0;
            while self.waiting.load(Ordering::Relaxed) > 0 && yields < MAX_YIELDS {
                thread::yield_now();
                yields += 1;
            }
            if let Some(waiter) = waiter.filter(|_| !goes_on) {
                waiter.wait(self.wake.as_fd());
            }
        }
    }

    /// The thread ends.
    fn end(&self) {
        let mut core = self.core();
        self.is_closing.store(true, Ordering::Release);
        core.engine.shut();
        #[cfg(feature = "resolve")]
        core.names.close();
        drop(core);
        self.queue.close();
    }
}

impl Core {
    /// One turn, after which the engine has events: how to wait for the next one.
    fn turn(&mut self, shared: &Arc<Shared>) -> Option<Wait> {
        for target in shared.queue.take_done() {
            self.remove(target);
        }
        #[cfg(feature = "resolve")]
        self.look_up_due(Instant::now(), shared);
        // The reader of a full queue may be who waits for the end.
        let wait = self.engine.advance(!self.draining && shared.queue.is_full());
        #[cfg(feature = "resolve")]
        let wait =
            wait.map(|wait| Wait { until: [wait.until, self.names.next_due()].into_iter().flatten().min(), ..wait });
        wait
    }

    fn remove(&mut self, target: TargetId) {
        self.engine.remove(target);
        #[cfg(feature = "resolve")]
        self.names.remove(target);
    }

    /// Whether all is told that is in the queue, and nothing more comes.
    fn is_over(&self) -> bool {
        #[cfg(feature = "resolve")]
        if !self.names.is_idle() {
            return false;
        }
        self.draining && self.engine.is_done()
    }
}
