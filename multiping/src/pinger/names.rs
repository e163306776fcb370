//! Targets that have names.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::error::Error;
use crate::event::{TargetId, What};
use crate::pinger::{Core, Shared};
use crate::resolve::{Resolver, lookup};
use crate::schedule::Schedule;

/// The names of targets, and when they are looked up.
#[derive(Default)]
pub(super) struct Names {
    resolver: Resolver,
    entries: HashMap<TargetId, Entry>,
    /// When which name is to be looked up again. Targets may be gone by then.
    due: BinaryHeap<Reverse<(Instant, TargetId)>>,
    /// How many are being looked up.
    pending: usize,
}

struct Entry {
    name: Arc<str>,
    schedule: Schedule,
    refresh: Option<Duration>,
    is_pending: bool,
}

impl Names {
    /// Whether no name is being looked up.
    pub(super) fn is_idle(&self) -> bool {
        self.pending == 0
    }

    /// When a name is to be looked up again.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.peek().map(|&Reverse((at, _))| at)
    }

    pub(super) fn add(&mut self, target: TargetId, name: &str, schedule: Schedule, refresh: Option<Duration>) {
        let entry = Entry { name: name.into(), schedule, refresh, is_pending: false };
        self.entries.insert(target, entry);
    }

    pub(super) fn remove(&mut self, target: TargetId) {
        if self.entries.remove(&target).is_some_and(|entry| entry.is_pending) {
            self.pending -= 1;
        }
    }

    /// Nothing more is looked up. Returns the targets that were not being looked up.
    pub(super) fn wind_down(&mut self) -> Vec<TargetId> {
        self.due.clear();
        self.entries.values_mut().for_each(|entry| entry.refresh = None);
        let idle = self.entries.iter().filter(|(_, entry)| !entry.is_pending);
        idle.map(|(&target, _)| target).collect()
    }

    pub(super) fn close(&mut self) {
        self.resolver.stop();
        *self = Names::default();
    }

    /// Looks up a target's name on a thread of its own. `Err`: there can be none.
    fn look_up(&mut self, target: TargetId, shared: &Arc<Shared>) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(&target).filter(|entry| !entry.is_pending) else { return Ok(()) };
        entry.is_pending = true;
        self.pending += 1;
        let (name, shared) = (entry.name.clone(), Arc::downgrade(shared));
        self.resolver.start(Box::new(move || {
            let found = lookup(&name);
            if let Some(shared) = shared.upgrade() {
                shared.core().resolved(target, found, &shared);
                shared.wake();
            }
        }))
    }
}

impl Core {
    /// Looks up a target's name.
    pub(super) fn look_up(&mut self, target: TargetId, shared: &Arc<Shared>) {
        if let Err(error) = self.names.look_up(target, shared) {
            self.resolved(target, Err(error), shared);
        }
    }

    /// Looks up the names that are due again.
    pub(super) fn look_up_due(&mut self, now: Instant, shared: &Arc<Shared>) {
        while self.names.next_due().is_some_and(|at| at <= now) {
            if let Some(Reverse((_, target))) = self.names.due.pop() {
                self.look_up(target, shared);
            }
        }
    }

    /// A target's name was looked up.
    #[expect(clippy::disallowed_methods, reason = "an edge: names are looked up again after a time")]
    fn resolved(&mut self, target: TargetId, found: io::Result<Vec<Address>>, shared: &Shared) {
        let Core { engine, names, .. } = self;
        let Some(entry) = names.entries.get_mut(&target).filter(|entry| entry.is_pending) else { return };
        entry.is_pending = false;
        names.pending -= 1;
        let mut events = VecDeque::new();
        let current = engine.address(target);
        let result = found.and_then(|addresses| {
            // The order of a name's addresses may change from answer to answer.
            if current.is_some_and(|current| addresses.contains(&current)) {
                return Ok(());
            }
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for address in addresses {
                match engine.set_address(target, address, entry.schedule) {
                    Ok(event) => {
                        events.extend(event);
                        return Ok(());
                    }
                    // This machine may have no IPv6, for example.
                    Err(error) => last = io_error(error),
                }
            }
            Err(last)
        });
        if let Err(error) = result {
            events.push_back(engine.event(target, What::Unresolved(error)));
            if current.is_none() && entry.refresh.is_none() {
                engine.finish(target);
            }
        }
        match entry.refresh {
            Some(refresh) => names.due.push(Reverse((Instant::now() + refresh, target))),
            None => drop(names.entries.remove(&target)),
        }
        shared.queue.push(&mut events);
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Permission(error) | Error::NoFamily(error) | Error::NoSocket(error) => error,
        error => io::Error::other(error),
    }
}
