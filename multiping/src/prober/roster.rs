//! The strategy of statistics and of long-lived pingers: targets come and go, and each is probed by
//! a schedule of its own, with any number of probes in flight.
//!
//! A target keeps its slot, and its numbers, until it is removed. Then the slot is free for another
//! one; its generation changes and with it all seals, so that a late reply to a removed target's
//! probe verifies for nobody.
//!
//! Each probe that was sent ends in one way: answered in time, answered late, or not at all, in
//! which case it is doubtful if this machine may have lost the reply. A probe that the kernel
//! refused has taken its turn, and was never in flight. Only of a removed target nothing more is
//! reported.
//!
//! Memory grows only where targets are added and before probes are sent, and each time the system
//! may refuse it.

mod attempts;
mod flights;
mod lazy_heap;
mod schedule;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

pub use crate::prober::roster::schedule::{Phase, Schedule};

use crate::address::{Address, TargetId};
use crate::alloc::{OutOfMemory, try_grow_queue, try_push};
use crate::plan::OutOfRange;
use crate::prober::roster::flights::Flights;
use crate::prober::roster::lazy_heap::{Entry, LazyHeap};
use crate::prober::roster::slot::{End, NEVER, Place, Slot};
use crate::prober::{MAX_BATCH, MAX_REFERENCES};

/// The timeout of probes without one that are the last ones, in nanoseconds.
const LAST_TIMEOUT: u64 = 1_000_000_000;

/// Names a target of a roster as long as it is there, and never another one later. (Not until its
/// slot has been reused 4,294,967,296 times.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RosterId {
    /// The target's id in the events of a run. Another target may have it later.
    pub target: TargetId,
    pub(crate) generation: u32,
}

/// What was not sent in time, over all targets there have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slips {
    /// Probes that were sent, or refused by the kernel, more than half a period after their turn.
    pub slipped: u64,
    /// Turns that were over before a probe could be sent.
    pub skipped: u64,
    /// How often there was no memory for more probes in flight.
    pub no_memory: u64,
}

/// Probes targets that come and go.
///
/// For figures in which each probe is counted once: an [`Event::SendError`], a [`ReplyKind::Reply`]
/// and an [`Event::TimedOut`] are each the end of a probe, and so is a [`ReplyKind::Late`] with an
/// RTT, for which the timeout that it names, if any, is to be taken back.
///
/// [`Event::SendError`]: crate::prober::Event::SendError
/// [`Event::TimedOut`]: crate::prober::Event::TimedOut
/// [`ReplyKind::Late`]: crate::prober::ReplyKind::Late
/// [`ReplyKind::Reply`]: crate::prober::ReplyKind::Reply
///
/// ```
/// use std::time::{Duration, Instant};
/// use multiping::{Address, proto::{Roster, Schedule, Strategy}};
///
/// let now = Instant::now();
/// let mut roster = Roster::new(now);
/// let every = Schedule::default().with_period(Duration::from_millis(100))?;
/// let target = roster.add(Address::from([192, 0, 2, 1]), &every, now)?;
/// assert_eq!((roster.len(), roster.load()), (1, Some(10.0)));
/// assert!(roster.remove(target) && roster.is_done());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Roster {
    epoch: Instant,
    slots: Vec<Slot>,
    /// The free slots, the one that was freed first in front.
    free: VecDeque<u32>,
    /// When which target is due. Entries are numbered one by one, so that of those that are due at
    /// the same time the one that came first is first: none is always last.
    due: LazyHeap,
    /// The number of the last entry.
    last_entry: u32,
    /// What is sent next: at most [`MAX_BATCH`] entries.
    ready: Vec<Entry>,
    flights: Flights,
    /// Targets that are done and were not reported yet.
    done: VecDeque<u32>,
    targets: usize,
    /// How many targets are not done.
    open: usize,
    /// How many places were given to newcomers.
    spread: u64,
    /// How many probes all schedules send in 10^18 ns: an integer, so that nothing adds up over
    /// time.
    load: u128,
    /// How long the most urgent target that was added while others were not done can wait, in ns.
    max_delay: u64,
    /// Up to when all packets that had arrived were handed over.
    handed_over: u64,
    /// Before this nothing is sent, because there was no memory.
    retry_at: u64,
    /// Between two turns of a target, at least.
    spacing: u64,
    /// Whether answered probes are known as long as others, for the RTTs of duplicates.
    keeps_answered: bool,
    slips: Slips,
}

impl Roster {
    /// How many bytes a target takes, apart from its probes in flight: its due times are in a queue
    /// that has grown to twice its size at most, and were in a heap before.
    pub const BYTES_PER_TARGET: usize = size_of::<Slot>() + 3 * size_of::<Entry>();

    /// The longest time for which late replies are known.
    pub const MAX_LATE: Duration = *Schedule::TIMEOUT.end();

    /// A roster without targets, at `now`. No time before that is ever meant.
    pub fn new(now: Instant) -> Self {
        Roster {
            epoch: now,
            slots: Vec::new(),
            free: VecDeque::new(),
            due: LazyHeap::default(),
            last_entry: 0,
            ready: Vec::with_capacity(MAX_BATCH),
            flights: Flights::default(),
            done: VecDeque::new(),
            targets: 0,
            open: 0,
            spread: 0,
            load: 0,
            max_delay: u64::MAX,
            handed_over: 0,
            retry_at: 0,
            spacing: 0,
            keeps_answered: true,
            slips: Slips::default(),
        }
    }

    /// How long after its timeout a probe is known, so that a reply counts as late. Default: as
    /// long again as the timeout.
    ///
    /// # Errors
    ///
    /// If `late` is greater than [`Roster::MAX_LATE`].
    pub fn with_late(mut self, late: Duration) -> Result<Self, OutOfRange> {
        if late > Self::MAX_LATE {
            return Err(OutOfRange);
        }
        self.flights.set_late(late);
        Ok(self)
    }

    /// Forgets probes when they are answered, which saves much of the memory of those known.
    /// Duplicates then have no RTT, and are told from late replies only among the last 64 attempts
    /// at their target.
    pub fn without_duplicate_rtts(self) -> Self {
        Roster { keeps_answered: false, ..self }
    }

    /// The least time between two turns of a target, however late the first of them was. Default:
    /// none.
    ///
    /// # Errors
    ///
    /// If `spacing` is greater than the longest period.
    pub fn with_spacing(mut self, spacing: Duration) -> Result<Self, OutOfRange> {
        if spacing > *Schedule::PERIOD.end() {
            return Err(OutOfRange);
        }
        self.spacing = spacing.as_nanos() as u64;
        Ok(self)
    }

    /// Adds a target, which is probed by `schedule` from `now` on. Equal addresses are different
    /// targets.
    ///
    /// # Errors
    ///
    /// If there is no memory; then nothing has changed.
    pub fn add(&mut self, address: Address, schedule: &Schedule, now: Instant) -> Result<RosterId, OutOfMemory> {
        if self.free.is_empty() {
            self.add_slot()?;
        }
        let Some(index) = self.free.pop_front() else { return Err(OutOfMemory { items: self.slots.len() }) };
        self.slots[index as usize].occupy(address);
        self.targets += 1;
        self.open += 1;
        self.follow(index, schedule, self.nanos(now));
        Ok(RosterId { target: TargetId(index), generation: self.slots[index as usize].generation })
    }

    /// Removes a target at once, with all that is in flight to it. Returns whether it was there.
    ///
    /// Not to be called between [`Prober::poll_send`](super::Prober::poll_send) and the call that
    /// says what became of its probes; neither are [`Roster::finish`] and [`Roster::reschedule`].
    pub fn remove(&mut self, id: RosterId) -> bool {
        let Some(index) = self.find(id) else { return false };
        self.retire(index);
        self.forget_flights(index);
        let slot = &mut self.slots[index as usize];
        if slot.end == End::Done {
            self.done.retain(|&done| done != index);
        } else {
            self.open -= 1;
        }
        slot.vacate();
        self.free.push_back(index);
        self.targets -= 1;
        true
    }

    /// Sends no more to a target; what is in flight may still be answered, and then the target is
    /// done. What has no timeout has timed out. Returns whether the target is there.
    pub fn finish(&mut self, id: RosterId) -> bool {
        let Some(index) = self.find(id) else { return false };
        self.retire(index);
        self.end_endless(index, None);
        self.end_if_idle(index);
        true
    }

    /// Ends a target in good order: one with a count after its last turn, any other one after the
    /// probes that were asked for out of turn. What has no timeout gets one second. Returns whether
    /// the target is there.
    pub fn wind_down(&mut self, id: RosterId) -> bool {
        let Some(index) = self.find(id) else { return false };
        let slot = &mut self.slots[index as usize];
        slot.winds_down = true;
        if slot.timeout == NEVER {
            slot.timeout = LAST_TIMEOUT;
            self.end_endless(index, Some(LAST_TIMEOUT));
        }
        let slot = &mut self.slots[index as usize];
        if slot.end == End::Open && !slot.is_counted() {
            let was = mem::replace(&mut slot.turn, NEVER);
            let waits = slot.extras > 0;
            if !waits {
                self.retire(index);
                self.end_if_idle(index);
            } else if slot.place == Place::Queued && was != NEVER {
                self.withdraw(index);
                self.enqueue(index, self.handed_over);
            }
        }
        true
    }

    /// Probes a target at another address from now on, as when a name has got another one. Nothing
    /// more is reported of the probes in flight. Returns whether the target is there.
    pub fn set_address(&mut self, id: RosterId, address: Address) -> bool {
        let Some(index) = self.find(id) else { return false };
        if self.slots[index as usize].address != Some(address) {
            self.forget_flights(index);
            let slot = &mut self.slots[index as usize];
            (slot.address, slot.in_flight) = (Some(address), 0);
            if slot.place == Place::Blocked {
                let due = slot.due(self.handed_over);
                self.enqueue(index, due);
            }
            self.end_if_idle(index);
        }
        true
    }

    /// Probes a target by another schedule from `now` on, as if it were new. What is in flight
    /// keeps its timeout; what has none gets the new one. Returns whether the target is there and
    /// not finished.
    pub fn reschedule(&mut self, id: RosterId, schedule: &Schedule, now: Instant) -> bool {
        let Some(index) = self.find_open(id) else { return false };
        self.withdraw(index);
        self.load -= load_of(self.slots[index as usize].period);
        let now = self.nanos(now);
        self.follow(index, schedule, now);
        if let Some(timeout) = schedule.timeout() {
            self.end_endless(index, Some(timeout.as_nanos() as u64));
        }
        true
    }

    /// Asks for one more probe at once, out of turn, which its count does not include. Returns
    /// whether the target is there and not finished.
    pub fn probe(&mut self, id: RosterId, now: Instant) -> bool {
        let Some(index) = self.find_open(id) else { return false };
        let now = self.nanos(now);
        let slot = &mut self.slots[index as usize];
        let Some(extras) = slot.extras.checked_add(1) else { return false };
        slot.extras = extras;
        let waits = matches!(slot.place, Place::Ready | Place::Blocked);
        if !waits && extras == 1 && now < slot.turn {
            self.withdraw(index);
            self.enqueue(index, now);
        }
        true
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.targets
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets == 0
    }

    /// The targets that there are.
    pub fn ids(&self) -> impl Iterator<Item = RosterId> {
        (0..self.slots.len() as u32).filter_map(|index| self.id(TargetId(index)))
    }

    /// How many probes are in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.in_flight()
    }

    /// How many probes are known: those in flight, and those whose replies would be late or
    /// duplicates.
    pub fn known(&self) -> usize {
        self.flights.len()
    }

    /// How many targets are not done: more will be sent to them, or something is in flight.
    pub fn open(&self) -> usize {
        self.open
    }

    /// What was not sent in time.
    pub fn slips(&self) -> &Slips {
        &self.slips
    }

    /// How many of a target's probes were sent, or refused, more than half a period after their
    /// turn.
    pub fn slipped(&self, id: RosterId) -> Option<u32> {
        Some(self.slots[self.find(id)? as usize].slipped)
    }

    /// The number of a target's first attempt. Attempts are numbered by slot, so those of a target
    /// that has a slot after another one do not begin with 0.
    pub fn first_attempt(&self, id: RosterId) -> Option<u32> {
        Some(self.slots[self.find(id)? as usize].first_attempt)
    }

    /// The number of a target's next attempt.
    pub fn next_attempt(&self, id: RosterId) -> Option<u32> {
        Some(self.slots[self.find(id)? as usize].next_attempt)
    }

    /// The target that has this id at present.
    pub fn id(&self, target: TargetId) -> Option<RosterId> {
        let slot = self.slots.get(target.index()).filter(|slot| slot.address.is_some())?;
        Some(RosterId { target, generation: slot.generation })
    }

    fn find(&self, id: RosterId) -> Option<u32> {
        (self.id(id.target) == Some(id)).then_some(id.target.0)
    }

    fn find_open(&self, id: RosterId) -> Option<u32> {
        self.find(id).filter(|&index| self.slots[index as usize].end == End::Open)
    }

    /// Adds a free slot, and makes room for all that a further target can need apart from its
    /// probes.
    fn add_slot(&mut self) -> Result<(), OutOfMemory> {
        let slots = self.slots.len() + 1;
        // The ids above are those of references.
        if slots > u32::MAX as usize - MAX_REFERENCES {
            return Err(OutOfMemory { items: slots });
        }
        self.due.reserve(slots)?;
        for queue in [&mut self.free, &mut self.done] {
            try_grow_queue(queue, slots)?;
        }
        let index = try_push(&mut self.slots, Slot::default())?;
        self.free.push_back(index);
        Ok(())
    }

    /// Begins to probe a target by a schedule.
    fn follow(&mut self, index: u32, schedule: &Schedule, now: u64) {
        let turn = self.first_turn(schedule, now);
        let slot = &mut self.slots[index as usize];
        slot.follow(schedule, turn);
        self.load += load_of(slot.period);
        let others = if self.open > 1 { self.max_delay } else { u64::MAX };
        self.max_delay = others.min(slot.max_delay());
        let due = slot.due(now);
        self.enqueue(index, due);
    }

    /// When the first turn is. Newcomers get places within the period by multiples of the golden
    /// ratio, which divide it evenly however many there are (the three-gap theorem). A place is
    /// counted from the epoch and not from `now`, so that it does not matter when a target comes.
    fn first_turn(&mut self, schedule: &Schedule, now: u64) -> u64 {
        const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15; // its fraction, in units of 2^-64
        let Some(period) = schedule.period().map(|period| period.as_nanos() as u64) else { return NEVER };
        match schedule.phase() {
            Phase::Now => now,
            Phase::After(time) => now.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(NEVER)),
            Phase::Spread => {
                let fraction = self.spread.wrapping_mul(GOLDEN_RATIO);
                self.spread = self.spread.wrapping_add(1);
                let place = ((u128::from(period) * u128::from(fraction)) >> 64) as u64;
                let turn = now - now % period + place;
                if turn < now { turn + period } else { turn }
            }
        }
    }

    /// Puts a target, of which no probe waits, among the due ones; at [`NEVER`] it is not.
    fn enqueue(&mut self, index: u32, at: u64) {
        if at == NEVER {
            return;
        }
        self.last_entry = self.last_entry.wrapping_add(1);
        let slot = &mut self.slots[index as usize];
        (slot.place, slot.entry) = (Place::Queued, self.last_entry);
        self.due.push(Entry { at, number: slot.entry, slot: index });
    }

    /// The target's next probe no longer waits.
    fn withdraw(&mut self, index: u32) {
        match mem::take(&mut self.slots[index as usize].place) {
            Place::Queued => self.due.mark_stale(|entry| is_queued(&self.slots, entry)),
            Place::Ready => self.ready.retain(|entry| entry.slot != index),
            Place::Blocked | Place::Nowhere => {}
        }
    }

    /// Forgets all probes to a target. Replies to them then count as damaged.
    fn forget_flights(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        while slot.oldest_attempt != slot.next_attempt {
            self.flights.remove(index, slot.oldest_attempt);
            slot.oldest_attempt = slot.oldest_attempt.wrapping_add(1);
        }
    }

    /// Sends no more to a target.
    fn retire(&mut self, index: u32) {
        if self.slots[index as usize].end == End::Open {
            self.withdraw(index);
            let slot = &mut self.slots[index as usize];
            self.load -= load_of(slot.period);
            (slot.end, slot.turn, slot.extras) = (End::Finishing, NEVER, 0);
        }
    }

    /// If nothing more is sent to a target and nothing is in flight, it is done.
    fn end_if_idle(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.end == End::Finishing && slot.in_flight == 0 {
            slot.end = End::Done;
            self.open -= 1;
            self.done.push_back(index);
        }
    }

    /// Nanoseconds from the epoch.
    fn nanos(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_nanos() as u64
    }

    fn instant(&self, nanos: u64) -> Instant {
        self.epoch + Duration::from_nanos(nanos)
    }
}

/// How many probes a period makes in 10^18 ns.
fn load_of(period: u64) -> u128 {
    10_u128.pow(18).checked_div(period.into()).unwrap_or(0)
}

fn is_queued(slots: &[Slot], entry: Entry) -> bool {
    let slot = &slots[entry.slot as usize];
    slot.place == Place::Queued && slot.entry == entry.number
}
