//! The events between a pinger's thread and those who read them.

use std::collections::VecDeque;
use std::mem;
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
    /// How many threads wait for a change: telling none costs a system call as well.
    waiting: usize,
    /// The bound was reached.
    is_held: bool,
    /// The reader was dropped.
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
        let mut inner = self.lock();
        inner.waiting += 1;
        let is_told = |inner: &mut Inner| inner.telling == Some(target);
        let mut inner = self.changed.wait_while(inner, is_told).unwrap_or_else(PoisonError::into_inner);
        inner.waiting -= 1;
    }

    /// The targets whose end was told since the last call.
    pub(super) fn take_done(&self) -> Vec<TargetId> {
        mem::take(&mut self.lock().done)
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

    /// Takes all `events`. Returns whether there is a slot to be freed: the reader was dropped.
    pub(super) fn push(&self, events: &mut VecDeque<Event>) -> bool {
        if events.is_empty() {
            return false;
        }
        let mut inner = self.lock();
        if inner.is_abandoned {
            return inner.discard(events);
        }
        match inner.events.is_empty() {
            true => mem::swap(&mut inner.events, events),
            false => inner.events.append(events),
        }
        let waker = inner.waker.take();
        self.notify(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        false
    }

    /// Wakes the threads that wait for a change.
    fn notify(&self, inner: MutexGuard<'_, Inner>) {
        let waiting = inner.waiting;
        drop(inner);
        if waiting > 0 {
            self.changed.notify_all();
        }
    }

    /// The next event, if there is one.
    pub(super) fn pop(&self) -> Popped {
        self.lock().pop(self.bound)
    }

    /// The next event, to be told before [`Queue::told`] is called.
    pub(super) fn begin_telling(&self) -> Popped {
        let mut inner = self.lock();
        let (event, wakes) = inner.pop(self.bound)?;
        inner.telling = Some(event.target);
        Some((event, wakes))
    }

    /// The event was told.
    pub(super) fn told(&self) {
        let mut inner = self.lock();
        inner.telling = None;
        self.notify(inner);
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
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(now()));
            if remaining.is_some_and(|remaining| remaining.is_zero()) {
                return None;
            }
            inner.waiting += 1;
            inner = match remaining {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(remaining) => {
                    self.changed.wait_timeout(inner, remaining).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            inner.waiting -= 1;
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

    /// The reader was dropped: so are events from now on.
    pub(super) fn abandon(&self) {
        let mut inner = self.lock();
        inner.is_abandoned = true;
        let mut events = mem::take(&mut inner.events);
        inner.discard(&mut events);
    }

    /// Nothing more comes.
    pub(super) fn close(&self) {
        let mut inner = self.lock();
        inner.is_closed = true;
        inner.telling = None;
        let waker = inner.waker.take();
        self.notify(inner);
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

    /// Drops events; targets that have ended are gone all the same. Returns whether there is such a
    /// one.
    fn discard(&mut self, events: &mut VecDeque<Event>) -> bool {
        let before = self.done.len();
        for event in events.drain(..) {
            if matches!(event.what, What::Done) && self.is_live(event.target) {
                self.live[event.target.index()] = None;
                self.done.push(event.target);
            }
        }
        self.done.len() > before
    }
}
