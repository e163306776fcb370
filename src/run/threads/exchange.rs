//! Targets that one thread takes over from another. Processors are not equally fast, and they have
//! other work: with fixed shares a run would take as long as the slowest of them.
//!
//! A thread that has tried all of its targets wants some. One that has many left sends it a parcel,
//! with half of them at most. When the run has ended, every target goes back to where it was at
//! first, with what is known of it. All memory is allocated before; where there is too little, less
//! is exchanged.

use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use multiping::address::{Addresses, Family};
use multiping::alloc;
use multiping::prober::{Details, Prober, Sweep};

/// The fewest targets in a parcel: what a thread sends in a few milliseconds.
const MIN_PARCEL: usize = 512;

/// The most targets in a parcel are this part of those of a thread, or [`MIN_PARCEL`].
const PARCELS: usize = 16;

/// How many targets a thread takes over at most: this part of those that it has at first.
const EXTRA: usize = 2;

/// How many parcels are sent at most.
const MAX_TRANSFERS: usize = 1024;

/// The targets of one thread, and what is known of them.
pub(super) struct Part {
    pub(super) prober: Prober<Sweep>,
    pub(super) details: Option<Details>,
    /// Its number among the parts.
    number: usize,
    /// What [`Member::offers`] says of it.
    offers: bool,
}

/// What the threads of a run exchange.
pub(super) struct Exchange {
    /// How many parts want targets.
    wanted: AtomicUsize,
    state: Mutex<State>,
}

struct State {
    members: Vec<Member>,
    /// In the order in which they were sent.
    transfers: Vec<Transfer>,
}

/// What the others see of a part.
struct Member {
    /// Whether it has enough targets left to send a parcel.
    offers: bool,
    /// How many targets it wants.
    wants: usize,
    /// A parcel that it has not taken yet. Until then its targets are the same.
    parcel: Addresses,
}

/// A parcel that was sent.
struct Transfer {
    from: usize,
    to: usize,
    targets: usize,
}

impl Part {
    pub(super) fn new(prober: Prober<Sweep>, details: Option<Details>, number: usize) -> Self {
        Part { prober, details, number, offers: true }
    }

    /// Whether all of its targets have been tried.
    pub(super) fn is_idle(&self) -> bool {
        let sweep = self.prober.strategy();
        sweep.tried() == sweep.addresses().len()
    }

    /// How many targets it can take over.
    fn room(&self) -> usize {
        let details = self.details.as_ref().map_or(usize::MAX, Details::room);
        self.prober.strategy().room().min(details)
    }

    fn can_offer(&self) -> bool {
        self.prober.strategy().removable() >= 2 * MIN_PARCEL
    }

    /// Adapts the details to the targets.
    fn resize_details(&mut self) {
        let targets = self.prober.strategy().addresses().len();
        self.details.iter_mut().for_each(|details| details.resize(targets));
    }

    fn take(&mut self, parcel: &mut Addresses) {
        self.prober.strategy_mut().append(parcel);
        self.resize_details();
    }

    fn remove_last(&mut self, targets: usize, parcel: &mut Addresses) {
        self.prober.strategy_mut().remove_last(targets, parcel);
        self.resize_details();
    }

    fn return_last(&mut self, targets: usize, other: &mut Part) {
        self.prober.strategy_mut().return_last(targets, other.prober.strategy_mut());
        if let Some((details, others)) = self.details.as_mut().zip(other.details.as_mut()) {
            details.move_last(targets, others);
        }
    }
}

impl Exchange {
    /// An exchange between `parts`. Makes room for what they may take over, as far as there is
    /// memory.
    pub(super) fn new(parts: &mut [Part]) -> Self {
        let has_v6 = parts.iter().any(|part| part.prober.strategy().addresses().count(Family::V6) > 0);
        let member = |part: &mut Part| {
            let targets = part.prober.strategy().addresses().len();
            let (mut parcel, more) = (Addresses::default(), targets / EXTRA);
            // A part without room is sent nothing. What many parts reserve adds up, little as each
            // may be.
            let _ = alloc::check_headroom(targets)
                .and_then(|()| parcel.reserve(MIN_PARCEL.max(targets / PARCELS), has_v6))
                .and_then(|()| part.prober.strategy_mut().reserve(more, has_v6))
                .and_then(|()| part.details.as_mut().map_or(Ok(()), |details| details.reserve(more)));
            Member { offers: true, wants: 0, parcel }
        };
        let members = parts.iter_mut().map(member).collect();
        let state = State { members, transfers: Vec::with_capacity(MAX_TRANSFERS) };
        Exchange { wanted: AtomicUsize::new(0), state: Mutex::new(state) }
    }

    /// Sends targets of `part` to another one that wants some, or takes what was sent to it.
    /// Returns whether it is not to end: it has targets left to try, or may be sent more. Call it
    /// before each turn.
    pub(super) fn visit(&self, part: &mut Part) -> bool {
        let is_asked = part.offers && self.wanted.load(Relaxed) > 0;
        if !part.is_idle() && !is_asked && part.offers == part.can_offer() {
            return true;
        }
        let mut state = self.lock();
        let State { members, transfers } = &mut *state;
        let own = &mut members[part.number];
        if !own.parcel.is_empty() {
            part.take(&mut own.parcel);
        }
        part.offers = part.can_offer();
        own.offers = part.offers;
        let room = part.room().min(own.parcel.room());
        let may_come = members.iter().any(|member| member.offers || !member.parcel.is_empty());
        let wants = if may_come && part.is_idle() && room >= MIN_PARCEL { room } else { 0 };
        self.set_wants(&mut members[part.number], wants);
        if part.offers && transfers.len() < MAX_TRANSFERS {
            if let Some((to, member)) = members.iter_mut().enumerate().find(|(_, member)| member.wants > 0) {
                let targets = (part.prober.strategy().removable() / 2).min(member.wants);
                part.remove_last(targets, &mut member.parcel);
                self.set_wants(member, 0);
                transfers.push(Transfer { from: part.number, to, targets });
            }
        }
        wants > 0 || !part.is_idle()
    }

    /// Has each part take what was sent to it. All threads have ended.
    pub(super) fn deliver(&self, parts: &mut [Part]) {
        for (part, member) in parts.iter_mut().zip(&mut self.lock().members) {
            part.take(&mut member.parcel);
        }
    }

    /// Puts all targets back to where they were at first. All was delivered.
    pub(super) fn undo(&self, parts: &mut [Part]) {
        for Transfer { from, to, targets } in self.lock().transfers.drain(..).rev() {
            let (before, rest) = parts.split_at_mut(from.max(to));
            let (low, high) = (&mut before[from.min(to)], &mut rest[0]);
            let (from, to) = if from < to { (low, high) } else { (high, low) };
            to.return_last(targets, from);
        }
    }

    fn set_wants(&self, member: &mut Member, wants: usize) {
        match (mem::replace(&mut member.wants, wants), wants) {
            (0, 1..) => self.wanted.fetch_add(1, Relaxed),
            (1.., 0) => self.wanted.fetch_sub(1, Relaxed),
            _ => return,
        };
    }

    /// If a thread has panicked, the run ends, and nobody looks at this any more.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
