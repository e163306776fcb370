//! Targets that one thread takes over from another. Processors are not equally fast, and they have
//! other work: with fixed shares a run would take as long as the slowest of them.
//!
//! A thread that has tried all of its targets is idle. One that has many left gives away half of
//! them, in a parcel, for each that is idle. In the end every target goes back to where it was at
//! first, with what is known of it.

use std::mem;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use multiping::alloc::OutOfMemory;
use multiping::prober::{Details, Moved, Prober, Sweep};

/// The fewest targets in a parcel: what a thread sends in about a millisecond.
const MIN_PARCEL: usize = 512;

/// The targets of one thread, and what is known of them.
pub(super) struct Part {
    pub(super) prober: Prober<Sweep>,
    pub(super) details: Option<Details>,
    /// Its number among the parts.
    number: usize,
    /// Whether it counts as one of [`State::givers`].
    gives: bool,
    /// Whether it counts as one of [`Exchange::idle`].
    is_idle: bool,
}

/// Targets on their way from one part to another.
struct Parcel {
    /// Of which part they are.
    from: usize,
    /// Its number among the parcels.
    number: usize,
    targets: Moved,
    details: Option<Details>,
}

/// What happened to a parcel, of which part.
enum Step {
    Given { parcel: usize, by: usize },
    Taken { parcel: usize, by: usize, targets: usize },
}

/// What the threads of a run exchange.
pub(super) struct Exchange {
    /// How many parts have no target left to try, and have not been given a parcel.
    idle: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many parts may give parcels.
    givers: usize,
    /// Those that nobody has taken so far.
    parcels: Vec<Parcel>,
    /// What has happened, in this order.
    steps: Vec<Step>,
    /// How many parcels there have been.
    count: usize,
}

impl Part {
    pub(super) fn new(prober: Prober<Sweep>, details: Option<Details>, number: usize) -> Self {
        Part { prober, details, number, gives: true, is_idle: false }
    }

    /// Whether all of its targets have been tried.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle
    }

    fn split_off(&mut self, targets: usize, number: usize) -> Result<Parcel, OutOfMemory> {
        let details = self.details.as_mut().map(|details| details.split_off(targets)).transpose()?;
        let targets = self.prober.strategy_mut().split_off(targets)?;
        Ok(Parcel { from: self.number, number, targets, details })
    }

    fn append(&mut self, parcel: Parcel) -> Result<(), OutOfMemory> {
        if let Some((own, more)) = self.details.as_mut().zip(parcel.details) {
            own.append(more)?;
        }
        self.prober.strategy_mut().append(parcel.targets)
    }

    fn can_append(&self, parcel: &Parcel) -> bool {
        self.prober.strategy().can_append(&parcel.targets)
    }
}

impl Exchange {
    /// An exchange between this many parts.
    pub(super) fn new(parts: usize) -> Self {
        let state = State { givers: parts, ..State::default() };
        Exchange { idle: AtomicUsize::new(0), state: Mutex::new(state) }
    }

    /// Gives away targets of `part` if another one is idle, or takes some if this one is. Returns
    /// whether there may be any to take later. Call it before each turn.
    pub(super) fn visit(&self, part: &mut Part) -> Result<bool, OutOfMemory> {
        let sweep = part.prober.strategy();
        let (movable, has_untried) = (sweep.movable(), sweep.tried() < sweep.addresses().len());
        let gives = movable >= 2 * MIN_PARCEL;
        let asked = gives && self.idle.load(Relaxed) > 0;
        if gives == part.gives && has_untried && !asked {
            return Ok(true);
        }
        let mut state = self.lock();
        state.set_gives(part, gives);
        if asked && state.parcels.len() < self.idle.load(Relaxed) {
            let parcel = part.split_off(movable / 2, state.count)?;
            state.steps.push(Step::Given { parcel: parcel.number, by: part.number });
            state.parcels.push(parcel);
            state.count += 1;
        } else if !has_untried {
            self.set_idle(part, true);
            if let Some(parcel) = state.take(part) {
                let (number, targets) = (parcel.number, parcel.targets.len());
                part.append(parcel)?;
                state.steps.push(Step::Taken { parcel: number, by: part.number, targets });
                let gives = part.prober.strategy().movable() >= 2 * MIN_PARCEL;
                state.set_gives(part, gives);
                self.set_idle(part, false);
            }
        }
        Ok(state.givers > 0 || !state.parcels.is_empty())
    }

    /// How many targets nobody has taken.
    pub(super) fn left(&self) -> usize {
        self.lock().parcels.iter().map(|parcel| parcel.targets.len()).sum()
    }

    /// Puts all targets back to where they were at first. The run has ended.
    pub(super) fn undo(&self, parts: &mut [Part]) -> Result<(), OutOfMemory> {
        let State { mut parcels, steps, .. } = mem::take(&mut *self.lock());
        for step in steps.into_iter().rev() {
            match step {
                Step::Taken { parcel, by, targets } => {
                    let part = parts.iter_mut().find(|part| part.number == by);
                    parcels.extend(part.map(|part| part.split_off(targets, parcel)).transpose()?);
                }
                Step::Given { parcel, by } => {
                    let place = parcels.iter().position(|other| other.number == parcel);
                    let part = parts.iter_mut().find(|part| part.number == by);
                    if let Some((place, part)) = place.zip(part) {
                        part.append(parcels.swap_remove(place))?;
                    }
                }
            }
        }
        Ok(())
    }

    fn set_idle(&self, part: &mut Part, is_idle: bool) {
        match (mem::replace(&mut part.is_idle, is_idle), is_idle) {
            (false, true) => self.idle.fetch_add(1, Relaxed),
            (true, false) => self.idle.fetch_sub(1, Relaxed),
            _ => return,
        };
    }

    /// Every change is whole, even if a thread has panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set_gives(&mut self, part: &mut Part, gives: bool) {
        match (mem::replace(&mut part.gives, gives), gives) {
            (false, true) => self.givers += 1,
            (true, false) => self.givers -= 1,
            _ => {}
        }
    }

    /// A parcel that `part` can take: its own one first, as it may be that nobody else can.
    fn take(&mut self, part: &Part) -> Option<Parcel> {
        let own = self.parcels.iter().position(|parcel| parcel.from == part.number);
        let place = own.or_else(|| self.parcels.iter().position(|parcel| part.can_append(parcel)))?;
        Some(self.parcels.swap_remove(place))
    }
}

#[cfg(test)]
mod tests;
