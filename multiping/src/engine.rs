//! What a pinger's thread runs, without the thread: for a loop of one's own.

#![expect(clippy::disallowed_methods, reason = "an edge: turns are timed here")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use crate::address::{Address, Family, PerFamily};
use crate::config::Config;
use crate::error::Error;
use crate::event::{Counts, Event, Note, TargetId, What};
use crate::net::{Link, Waiter};
use crate::prober::{self, Prober, Roster, Strategy, Wait};
use crate::schedule::Schedule;
use crate::sockets::Opener;
use crate::token::Key;
use crate::turn;

/// Stands for the address of a target whose name has none yet.
const NO_ADDRESS: Address = Address::V6(Ipv6Addr::UNSPECIFIED, u32::MAX);

/// Probes targets that come and go, in a loop of your own.
///
/// It has at most one socket a family, and two netlink sockets while one of these is open: one asks
/// for links and routes, one is told of changes. Without netlink silence is never doubtful for a
/// lost link or route. It waits for nothing: [`Engine::turn`] does what is to be done by now and
/// says when to come back.
/// It is `Send`, and of use in one process only: after a fork the sockets would be shared.
///
/// ```
/// use std::time::Duration;
/// use multiping::{Config, Engine, Schedule, What};
///
/// let mut engine = Engine::new(Config::new())?;
/// if let Err(error) = engine.add([127, 0, 0, 1], Schedule::once()) {
///     println!("skipped: {error}"); // no right to ping
///     return Ok(());
/// }
/// while !engine.is_empty() {
///     let turn = engine.turn();
///     while let Some(event) = engine.next_event() {
///         if let What::Reply(reply) = event.what {
///             println!("{} answered in {:?}", event.address, reply.rtt);
///         }
///     }
///     // Your loop polls `engine.descriptors()` here as well.
///     std::thread::sleep(turn.timeout().unwrap_or_default().min(Duration::from_millis(5)));
/// }
/// # Ok::<_, multiping::Error>(())
/// ```
pub struct Engine {
    prober: Prober<Roster>,
    link: Link,
    /// `None`: closed for good.
    opener: Option<Opener>,
    ident: u16,
    /// How many targets of each family there are.
    targets: PerFamily<usize>,
    queue: usize,
    notes: Vec<Note>,
    events: VecDeque<Event>,
    /// Targets are only to end.
    winding_down: bool,
}

/// When to call [`Engine::turn`] again.
///
/// ```
/// use multiping::{Config, Engine};
///
/// let mut engine = Engine::new(Config::new())?;
/// let turn = engine.turn();
/// // Without targets there is nothing to wait for.
/// assert_eq!((turn.wakeup, turn.timeout()), (None, None));
/// # Ok::<_, multiping::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// At the latest then; `None`: not before something else happens.
    pub wakeup: Option<Instant>,
    /// Whether to do so as well when a descriptor can be read. If not, replies lose nothing by
    /// being read at `wakeup`: the kernel has stamped them.
    pub wants_read: bool,
}

impl Turn {
    /// How long to wait from now on; `None`: until something else happens.
    pub fn timeout(&self) -> Option<std::time::Duration> {
        self.wakeup.map(|wakeup| wakeup.saturating_duration_since(Instant::now()))
    }
}

impl Engine {
    /// An engine without targets, and without sockets unless `config` brings them.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`], and [`Error::InUse`] if the sockets of `config` serve another run.
    pub fn new(config: Config) -> Result<Self, Error> {
        let now = Instant::now();
        let secret = RandomState::new();
        let ident = secret.hash_one("ident") as u16;
        let roster = config.roster(now)?;
        let (link, opener) = config.sockets.link(&config.packet, config.icmp_errors)?;
        let key = Key::new(RandomState::new());
        let prober = Prober::new(roster, config.rate, config.check_source, key, link.idents(), now);
        Ok(Engine {
            prober: prober
                .with_data(&config.packet.data())
                .with_kind(config.packet.kind())?
                .with_icmp_errors(config.icmp_errors)?,
            link,
            opener: Some(opener),
            ident,
            targets: PerFamily::default(),
            queue: config.queue,
            notes: Vec::new(),
            events: VecDeque::new(),
            winding_down: false,
        })
    }

    /// Adds a target, which is probed by `schedule` from now on. Equal addresses are different
    /// targets. The first one of a family opens its socket.
    ///
    /// # Errors
    ///
    /// [`Error::OutOfRange`] if a value of the schedule is, [`Error::Memory`], and what opening a
    /// socket ends with: [`Error::Permission`], [`Error::NoFamily`], [`Error::NoSocket`],
    /// [`Error::Source`] or [`Error::Option`].
    pub fn add(&mut self, address: impl Into<Address>, schedule: Schedule) -> Result<TargetId, Error> {
        let (address, schedule) = (address.into(), schedule.checked()?);
        let family = address.family();
        self.open(family)?;
        match self.prober.strategy_mut().add(address, &schedule, Instant::now()) {
            Ok(id) => {
                self.targets[family] += 1;
                Ok(TargetId(id))
            }
            Err(error) => {
                self.close_idle(family);
                Err(error.into())
            }
        }
    }

    /// Asks for one more probe at once, out of turn. Returns whether the target is there and not
    /// finished.
    pub fn probe(&mut self, target: TargetId) -> bool {
        self.prober.strategy_mut().probe(target.0, Instant::now())
    }

    /// Sends no more probes to a target. What is in flight still counts, and [`What::Done`] comes
    /// last. Returns whether the target is there.
    pub fn finish(&mut self, target: TargetId) -> bool {
        self.prober.strategy_mut().finish(target.0)
    }

    /// Removes a target at once: no event of it is told any more. Returns whether it was there.
    pub fn remove(&mut self, target: TargetId) -> bool {
        let address = self.prober.strategy().address(target.0.target);
        if !self.prober.strategy_mut().remove(target.0) {
            return false;
        }
        if let Some(address) = address.filter(|&address| address != NO_ADDRESS) {
            self.targets[address.family()] -= 1;
            self.close_idle(address.family());
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
    pub fn reschedule(&mut self, target: TargetId, schedule: Schedule) -> Result<bool, Error> {
        let schedule = schedule.checked()?;
        Ok(self.prober.strategy_mut().reschedule(target.0, &schedule, Instant::now()))
    }

    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.prober.strategy().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        Counts::new(self.prober.counts(), self.prober.strategy().slips().skipped, self.link.drops())
    }

    /// Why nothing can be received, if every attempt to read has failed for a second. Probes then
    /// wait for their end.
    pub fn receive_failure(&self) -> Option<io::Error> {
        let (_, errno) = self.prober.receive_failure(Instant::now())?;
        Some(io::Error::from_raw_os_error(errno))
    }

    /// Reads what came, ends what has timed out, sends what is due. Call it when a descriptor can
    /// be read or the time that it returned is over, and after targets were added; extra calls are
    /// harmless.
    pub fn turn(&mut self) -> Turn {
        match self.advance(self.events.len() >= self.queue) {
            None => Turn { wakeup: Some(Instant::now()), wants_read: false },
            Some(Wait { until, for_replies }) => {
                Turn { wakeup: until, wants_read: for_replies || self.link.is_urgent() }
            }
        }
    }

    /// The next event. After [`What::Done`] its target is gone.
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            let event = self.events.pop_front()?;
            let is_there = self.prober.strategy().id(event.target.0.target) == Some(event.target.0);
            if let What::Done = event.what {
                self.remove(event.target);
            }
            if is_there {
                return Some(event);
            }
        }
    }

    /// The descriptors to wait for, at most one for each family. They change when the first target
    /// of a family is added or the last one goes.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.link.descriptors()
    }

    /// A turn, after which the caller takes the events. On `hold` nothing is sent.
    pub(crate) fn advance(&mut self, hold: bool) -> Option<Wait> {
        let now = Instant::now();
        let (notes, link, prober) = (&mut self.notes, &mut self.link, &mut self.prober);
        let mut on_event = |event: prober::Event| -> ControlFlow<Infallible> {
            Note::push(notes, &event, now);
            ControlFlow::Continue(())
        };
        let flow = match hold {
            true => turn::receive(link, prober, now, &mut on_event).map_continue(|()| Some(prober.poll_held_wait(now))),
            false => turn::turn(link, prober, now, &mut on_event),
        };
        let ControlFlow::Continue(wait) = flow;
        let roster = self.prober.strategy();
        for Note { target, attempt, sent, what } in self.notes.drain(..) {
            // No target is removed between an event and this place.
            let Some(id) = roster.id(target) else { continue };
            let first = roster.first_attempt(id).unwrap_or(0);
            let sent = match what {
                What::IcmpError { .. } => {
                    roster.rtt(target, attempt, sent).and_then(|age| sent.checked_sub(age)).unwrap_or(sent)
                }
                _ => sent,
            };
            let end = if let What::Done = what { roster.next_attempt(id).unwrap_or(0) } else { attempt };
            let address = told(roster.address(target).unwrap_or(NO_ADDRESS));
            self.events.push_back(Event { target: TargetId(id), address, seq: end.wrapping_sub(first), sent, what });
        }
        wait
    }

    /// All events that there are, to be taken, including those of targets that are gone by now.
    pub(crate) fn events_mut(&mut self) -> &mut VecDeque<Event> {
        &mut self.events
    }

    /// What waits for the sockets while the engine is not held.
    pub(crate) fn waiter(&self, wait: Wait) -> Waiter {
        self.link.waiter(wait)
    }

    /// Whether nothing is to be sent, in flight or told.
    pub(crate) fn is_done(&self) -> bool {
        self.prober.is_done()
    }

    /// Ends all targets in good order: those with a count after it, the others after what was asked
    /// for. Those whose name has no address are the caller's to end, or end when they get one.
    pub(crate) fn wind_down(&mut self) {
        self.winding_down = true;
        let roster = self.prober.strategy_mut();
        let ids: Vec<_> = roster.ids().collect();
        for id in ids {
            if roster.address(id.target) != Some(NO_ADDRESS) {
                roster.wind_down(id);
            }
        }
    }

    /// Closes the sockets for good.
    pub(crate) fn shut(&mut self) {
        Family::BOTH.into_iter().for_each(|family| self.link.close(family));
        self.opener = None;
    }

    /// Whether a target's name has an address.
    #[cfg(feature = "resolve")]
    pub(crate) fn address(&self, target: TargetId) -> Option<Address> {
        let roster = self.prober.strategy();
        // Its slot may be another target's by now.
        let is_there = roster.id(target.0.target) == Some(target.0);
        roster.address(target.0.target).filter(|&address| is_there && address != NO_ADDRESS)
    }

    /// Adds a target whose name is not resolved yet.
    #[cfg(feature = "resolve")]
    pub(crate) fn add_unresolved(&mut self) -> Result<TargetId, Error> {
        let schedule = Schedule::manual().checked()?;
        Ok(TargetId(self.prober.strategy_mut().add(NO_ADDRESS, &schedule, Instant::now())?))
    }

    /// Gives a target the address that its name has, and the schedule with its first one. Returns
    /// the event to tell, if it has not had this address before.
    #[cfg(feature = "resolve")]
    pub(crate) fn set_address(
        &mut self,
        target: TargetId,
        address: Address,
        schedule: Schedule,
    ) -> Result<Option<Event>, Error> {
        let roster = self.prober.strategy();
        let Some(before) = roster.address(target.0.target).filter(|_| roster.id(target.0.target) == Some(target.0))
        else {
            return Ok(None);
        };
        if before == address {
            return Ok(None);
        }
        let schedule = schedule.checked()?;
        self.open(address.family())?;
        self.targets[address.family()] += 1;
        let now = Instant::now();
        let roster = self.prober.strategy_mut();
        roster.set_address(target.0, address);
        if before == NO_ADDRESS {
            roster.reschedule(target.0, &schedule, now);
            if self.winding_down {
                roster.wind_down(target.0);
            }
        } else {
            self.targets[before.family()] -= 1;
            self.close_idle(before.family());
        }
        let from = Some(before).filter(|&before| before != NO_ADDRESS);
        Ok(Some(self.event(target, What::Moved { from })))
    }

    /// An event about a target itself.
    #[cfg(feature = "resolve")]
    pub(crate) fn event(&self, target: TargetId, what: What) -> Event {
        let roster = self.prober.strategy();
        let address = told(roster.address(target.0.target).unwrap_or(NO_ADDRESS));
        let (first, next) = (roster.first_attempt(target.0), roster.next_attempt(target.0));
        let seq = next.unwrap_or(0).wrapping_sub(first.unwrap_or(0));
        Event { target, address, seq, sent: Instant::now(), what }
    }

    fn open(&mut self, family: Family) -> Result<(), Error> {
        if !self.link.is_open(family) {
            let opener = self.opener.as_ref().ok_or(Error::Closed)?;
            opener.open(&mut self.link, family, self.ident)?;
            self.prober.set_idents(self.link.idents());
        }
        Ok(())
    }

    fn close_idle(&mut self, family: Family) {
        if self.targets[family] == 0 {
            self.link.close(family);
        }
    }
}

/// `NO_ADDRESS` is reported as 0.0.0.0.
fn told(address: Address) -> Address {
    if address == NO_ADDRESS { Address::V4(Ipv4Addr::UNSPECIFIED) } else { address }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use nix::sys::socket::{getsockopt, sockopt};

    use super::*;

    /// Two engines with the same Identifier, as two processes may have it by chance: each hears the
    /// other's replies, and takes none of them for its own.
    #[test]
    fn engines_with_the_same_identifier_credit_each_other_nothing() {
        let new = || Engine::new(Config::new()).unwrap_or_else(|error| panic!("{error}"));
        let mut engines = [new(), new()];
        for engine in &mut engines {
            engine.ident = 4711;
            for number in 1..=50 {
                let schedule = Schedule::every(Duration::from_millis(20)).count(4).timeout(Duration::from_secs(100));
                if let Err(error) = engine.add([127, 0, 0, number], schedule) {
                    let name = "engines_with_the_same_identifier_credit_each_other_nothing";
                    let _ = writeln!(io::stderr(), "SKIPPED {name}: {error}");
                    return;
                }
            }
        }
        if engines[0].link.idents().v4 != 4711 {
            return; // a datagram socket's is the kernel's choice
        }
        let mut told = [0; 2];
        while engines.iter().any(|engine| !engine.is_empty()) {
            for (engine, told) in engines.iter_mut().zip(&mut told) {
                engine.turn();
                while let Some(event) = engine.next_event() {
                    if let What::Reply(reply) = event.what {
                        assert_eq!(reply.from, event.address);
                        *told += 1;
                    }
                }
            }
        }
        assert_eq!(told, [200; 2]);
        // Each hears the other's, until it is done.
        let damaged: u64 = engines.iter().map(|engine| engine.counts().damaged).sum();
        assert!(damaged > 100, "{damaged} of the other's replies were heard");
        assert!(engines.iter().all(|engine| engine.counts().duplicates == 0));
    }

    /// With IP_RECVERR, ICMP errors would fail reads and fill the receive buffer.
    #[test]
    fn no_turn_leaves_ip_recverr_set() {
        let mut engine = Engine::new(Config::new()).unwrap_or_else(|error| panic!("{error}"));
        for number in 1..=20 {
            if let Err(error) = engine.add([127, 0, 0, number], Schedule::every(Duration::from_millis(1)).count(9)) {
                let _ = writeln!(io::stderr(), "SKIPPED no_turn_leaves_ip_recverr_set: {error}");
                return;
            }
        }
        let is_set = |engine: &Engine| {
            let mut sockets = engine.link.descriptors();
            sockets.any(|socket| getsockopt(&socket, sockopt::Ipv4RecvErr) == Ok(true))
        };
        // One that ends early, with the first probe that is sent, is no different.
        let mut stop = |_: prober::Event| ControlFlow::Break(());
        while turn::turn(&mut engine.link, &mut engine.prober, Instant::now(), &mut stop).is_continue() {}
        assert!(!is_set(&engine));
        while !engine.is_empty() {
            engine.turn();
            assert!(!is_set(&engine));
            while engine.next_event().is_some() {}
        }
        assert_eq!(engine.counts().sent, 180);
    }

    /// Whose name is still being looked up when it is removed.
    #[cfg(feature = "resolve")]
    #[test]
    fn a_target_that_is_gone_has_no_address_though_its_slot_has() {
        let mut engine = Engine::new(Config::new()).unwrap_or_else(|error| panic!("{error}"));
        let gone = engine.add_unresolved().unwrap_or_else(|error| panic!("{error}"));
        assert!(engine.remove(gone));
        match engine.add([127, 0, 0, 1], Schedule::manual()) {
            Ok(next) => {
                assert_eq!(next.index(), gone.index());
                assert_eq!((engine.address(gone), engine.address(next)), (None, Some([127, 0, 0, 1].into())));
            }
            Err(error) => {
                let name = "a_target_that_is_gone_has_no_address_though_its_slot_has";
                let _ = writeln!(io::stderr(), "SKIPPED {name}: {error}");
            }
        }
    }
}
