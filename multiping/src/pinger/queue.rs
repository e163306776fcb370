//! The events between a pinger's thread and those who read them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::event::{Event, TargetId, What};

/// Events that wait to be told, and which targets they may be told of.
pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// How many events may wait before nothing is sent.
    bound: usize,
}

#[derive(Default)]
struct Inner {
    events: VecDeque<Event>,
    /// The target in each slot, until it was removed or its end was told.
    live: Vec<Option<TargetId>>,
    /// Targets whose end was told and whose slots are not free yet.
    done: Vec<TargetId>,
    /// The target whose event is being told.
    telling: Option<TargetId>,
    waker: Option<Waker>,
    /// The bound was reached.
    is_held: bool,
    /// Nobody reads any more.
    is_abandoned: bool,
    /// Nothing more comes.
    is_closed: bool,
}

/// An event, and whether the thread has to be woken: there is room again, or a slot to be freed.
pub(super) type Popped = Option<(Event, bool)>;

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Queue { inner: Mutex::default(), changed: Condvar::new(), bound }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A target is there from now on.
    pub(super) fn admit(&self, target: TargetId) {
        let mut inner = self.lock();
        if inner.live.len() <= target.index() {
            inner.live.resize(target.index() + 1, None);
        }
        inner.live[target.index()] = Some(target);
    }

    /// Whether a target is there.
    pub(super) fn is_live(&self, target: TargetId) -> bool {
        self.lock().is_live(target)
    }

    /// From now on no event of a target is told. Returns whether it was there.
    pub(super) fn dismiss(&self, target: TargetId) -> bool {
        let mut inner = self.lock();
        let was_live = inner.is_live(target);
        if was_live {
            inner.live[target.index()] = None;
        }
        was_live
    }

    /// Waits until no event of a target is being told.
    pub(super) fn wait_until_told(&self, target: TargetId) {
        let inner = self.lock();
        let is_told = |inner: &mut Inner| inner.telling == Some(target);
        drop(self.changed.wait_while(inner, is_told).unwrap_or_else(PoisonError::into_inner));
    }

    /// The targets whose end was told since the last call.
    pub(super) fn take_done(&self) -> Vec<TargetId> {
        std::mem::take(&mut self.lock().done)
    }

    /// How many targets have ended whose slots are not free yet.
    pub(super) fn ended(&self) -> usize {
        self.lock().done.len()
    }

    /// Whether so many events wait that nothing is to be sent.
    pub(super) fn is_full(&self) -> bool {
        let mut inner = self.lock();
        inner.is_held = inner.events.len() >= self.bound;
        inner.is_held
    }

    /// Appends events.
    pub(super) fn push(&self, events: VecDeque<Event>) {
        if events.is_empty() {
            return;
        }
        let mut inner = self.lock();
        if inner.is_abandoned {
            inner.discard(events);
            return;
        }
        match inner.events.is_empty() {
            true => inner.events = events,
            false => inner.events.extend(events),
        }
        let waker = inner.waker.take();
        drop(inner);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The next event, if there is one.
    pub(super) fn pop(&self) -> Popped {
        self.lock().pop(self.bound)
    }

    /// The next event, to be told before [`Queue::told`] is called.
    pub(super) fn begin_telling(&self) -> Option<Event> {
        let mut inner = self.lock();
        let (event, _) = inner.pop(self.bound)?;
        inner.telling = Some(event.target);
        Some(event)
    }

    /// The event was told.
    pub(super) fn told(&self) {
        self.lock().telling = None;
        self.changed.notify_all();
    }

    /// Waits for the next event, until `deadline` at most. `None`: there was none, or none will
    /// come.
    pub(super) fn wait(&self, deadline: Option<Instant>, now: impl Fn() -> Instant) -> Popped {
        let mut inner = self.lock();
        loop {
            let popped = inner.pop(self.bound);
            if popped.is_some() || inner.is_closed {
                return popped;
            }
            inner = match deadline.map(|deadline| deadline.saturating_duration_since(now())) {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(remaining) if remaining.is_zero() => return None,
                Some(remaining) => {
                    self.changed.wait_timeout(inner, remaining).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The next event, or has `waker` woken when there may be one. `Err`: none will come.
    pub(super) fn poll(&self, waker: &Waker) -> Result<Popped, ()> {
        let mut inner = self.lock();
        let popped = inner.pop(self.bound);
        match popped {
            None if inner.is_closed => Err(()),
            None => {
                match &mut inner.waker {
                    Some(old) => old.clone_from(waker),
                    none => *none = Some(waker.clone()),
                }
                Ok(None)
            }
            popped => Ok(popped),
        }
    }

    /// Nobody reads any more: events are dropped from now on.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.is_abandoned = true;
        let events = std::mem::take(&mut inner.events);
        inner.discard(events);
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.telling = None;
        let waker = inner.waker.take();
        drop(inner);
        self.changed.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Inner {
    fn is_live(&self, target: TargetId) -> bool {
        self.live.get(target.index()) == Some(&Some(target))
    }

    fn pop(&mut self, bound: usize) -> Popped {
        loop {
            let event = self.events.pop_front()?;
            if !self.is_live(event.target) {
                continue;
            }
            let mut wakes = false;
            if let What::Done = event.what {
                self.live[event.target.index()] = None;
                self.done.push(event.target);
                wakes = true;
            }
            // Not at every place that comes free: waking costs a system call.
            if self.is_held && self.events.len() < bound - bound / 4 {
                self.is_held = false;
                wakes = true;
            }
            return Some((event, wakes));
        }
    }

    /// Drops events; targets that have ended are gone all the same.
    fn discard(&mut self, events: VecDeque<Event>) {
        for event in events {
            if matches!(event.what, What::Done) && self.is_live(event.target) {
                self.live[event.target.index()] = None;
                self.done.push(event.target);
            }
        }
    }
}
