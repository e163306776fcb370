//! A list of targets, each of which is probed until it has answered or has had its chances.

#![expect(clippy::disallowed_methods, reason = "an edge: the run is timed and waits here")]

mod options;
mod results;
mod running;

use std::convert::Infallible;
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
#[cfg(feature = "resolve")]
use std::sync::Arc;
#[cfg(feature = "resolve")]
use std::time::Duration;
use std::time::Instant;

use nix::sys::eventfd::EventFd;

pub use crate::ping::options::Options;
pub use crate::ping::results::{Outcome, Results, Rtt, Verdict};
pub use crate::ping::running::Running;

#[cfg(feature = "resolve")]
use crate::address::Addresses;
use crate::address::{Address, AddressList, Family, TargetId, TargetMap};
use crate::alloc::try_filled;
use crate::error::Error;
use crate::event::Counts;
use crate::net::{self, Link};
use crate::ping::results::{Extremes, IcmpErrorsSeen};
use crate::prober::{self, Prober, ReplyKind, Sweep, Wait};
use crate::sockets::Opener;
use crate::tally;
use crate::token::Key;
use crate::turn;

/// Pings every target and returns what became of each, in the order given. Blocks meanwhile; see
/// [`Options::start`] for a thread of its own. Equal addresses are probed once.
///
/// It takes about max(targets / rate, (1 + retries) x timeout): see [`Options`]. It holds at most
/// five descriptors meanwhile: a socket for each family, two netlink sockets for links and routes,
/// and an eventfd; with a datagram socket for IPv6 a sixth, for the count of what is dropped.
///
/// A target that this machine refuses to send to is tried again for (1 + retries) x timeout, 60 s
/// at most, and then in rounds a second apart, before it is [`Verdict::Unsent`]: a route may come
/// back. So IPv6 targets take 16 s by default on a machine that has only IPv4. Where that is too
/// long, set a shorter [timeout](Options::timeout) or a [deadline](Options::deadline), or leave
/// these targets out.
///
/// # Errors
///
/// [`Error::Permission`] if there may be no socket, [`Error::NoSocket`] if it is refused otherwise,
/// and [`Error::NoFamily`] if this machine has no family that any target has;
/// [`Error::OutOfRange`], [`Error::Memory`], [`Error::InUse`]; [`Error::Source`] or
/// [`Error::Option`] if the kernel refuses what was asked of the sockets; [`Error::System`] if
/// nothing can be received for a second. Never because of what a target does.
///
/// ```
/// use multiping::{Address, Options, Verdict, ping};
///
/// let targets = [Address::from([127, 0, 0, 1]), "127.0.0.2".parse()?];
/// let results = match ping(targets, &Options::new()) {
///     Ok(results) => results,
///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
/// };
/// for outcome in results.iter() {
///     match outcome.verdict {
///         Verdict::Alive { rtt } => println!("{} is alive ({:?})", outcome.address, rtt.mean),
///         verdict => println!("{} is {verdict:?}", outcome.address),
///     }
/// }
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub fn ping<T: Into<Address>>(targets: impl IntoIterator<Item = T>, options: &Options) -> Result<Results, Error> {
    let mut run = Run::new(targets, options)?;
    let wake = net::eventfd()?;
    while let Some(wait) = run.step(|_, _| {}) {
        run.wait(wait, &wake);
    }
    run.finish()
}

/// Looks up names, pings their addresses, and returns what became of each, in the order given.
/// Blocks meanwhile. A name without an address is [`Verdict::Unresolved`] and spoils nothing.
///
/// Names are given 30 s, or the [deadline](Options::deadline), which then begins anew for the run.
/// Of several addresses the first one is taken.
///
/// # Errors
///
/// As [`ping`].
///
/// ```
/// use multiping::{Options, Verdict, names};
///
/// match names::ping(["127.0.0.1", "no-such-host.invalid"], &Options::new()) {
///     Ok(results) => {
///         let verdicts: Vec<Verdict> = results.iter().map(|outcome| outcome.verdict).collect();
///         assert!(verdicts[0].is_alive() && matches!(verdicts[1], Verdict::Unresolved(_)));
///     }
///     Err(error) => println!("skipped: {error}"), // no right to ping
/// }
/// ```
#[cfg(feature = "resolve")]
pub fn ping_names<S: AsRef<str>>(names: impl IntoIterator<Item = S>, options: &Options) -> Result<Results, Error> {
    let within = options.deadline.unwrap_or(Duration::from_secs(30));
    let (mut targets, mut unresolved) = (Vec::new(), Vec::new());
    for (place, found) in crate::resolve::resolve(names, within).into_iter().enumerate() {
        match found.map(|addresses| addresses.first().copied()) {
            Ok(Some(address)) => targets.push(address),
            Ok(None) => {}
            Err(Error::Resolve { source, .. }) => unresolved.push((place, Arc::new(source))),
            Err(error) => return Err(error),
        }
    }
    if targets.is_empty() {
        // There is nothing that would need a socket.
        let sweep = Sweep::new(&options.plan()?, Addresses::default(), &Key::new(RandomState::new()), Instant::now())?;
        let results =
            Results::new(sweep, TargetMap::default(), Vec::new(), IcmpErrorsSeen::new(), Counts::default(), true);
        return Ok(results.with_unresolved(unresolved));
    }
    Ok(ping(targets, options)?.with_unresolved(unresolved))
}

/// A run over a list.
struct Run {
    prober: Prober<Sweep>,
    link: Link,
    /// Holds the sockets for this run.
    _opener: Opener,
    map: TargetMap,
    /// The shortest and longest RTT of each target, where more than one reply is needed.
    extremes: Vec<Extremes>,
    /// The last ICMP error about each target that had any.
    errors: IcmpErrorsSeen,
    deadline: Option<Instant>,
    /// Targets of which something was told in this turn.
    touched: Vec<TargetId>,
    is_cut_short: bool,
    failure: Option<Error>,
}

impl Run {
    fn new<T: Into<Address>>(targets: impl IntoIterator<Item = T>, options: &Options) -> Result<Self, Error> {
        let start = Instant::now();
        let plan = options.plan()?;
        let mut list = AddressList::default();
        for target in targets {
            list.push(target.into())?;
        }
        let (addresses, map) = list.dedup()?;
        let (mut link, opener) = options.sockets.link(&options.packet, options.icmp_errors)?;
        open(&mut link, &opener, Family::BOTH.map(|family| (family, addresses.count(family))))?;
        let extremes = if plan.responses() > 1 { addresses.len() } else { 0 };
        let extremes = try_filled(extremes, Extremes::default())?;
        let key = Key::new(RandomState::new());
        let prober = Prober::sweep(&plan, addresses, key, link.idents(), Instant::now())?;
        Ok(Run {
            prober: prober
                .with_data(&options.packet.data())
                .with_kind(options.packet.kind())?
                .with_icmp_errors(options.icmp_errors)?,
            link,
            _opener: opener,
            map,
            extremes,
            errors: IcmpErrorsSeen::default(),
            deadline: options.deadline.and_then(|whole| start.checked_add(whole)),
            touched: Vec::new(),
            is_cut_short: false,
            failure: None,
        })
    }

    /// One turn. `None`: the run is over; else how to wait for the next one. Targets that may have
    /// been settled by it are handed to `on_target`.
    fn step(&mut self, mut on_target: impl FnMut(&Self, TargetId)) -> Option<Option<Wait>> {
        let now = Instant::now();
        let is_over = self.deadline.is_some_and(|deadline| deadline <= now);
        let (link, prober) = (&mut self.link, &mut self.prober);
        let (touched, extremes, errors) = (&mut self.touched, &mut self.extremes, &mut self.errors);
        let mut on_event = |event: prober::Event| -> ControlFlow<Infallible> {
            match event {
                prober::Event::Received { kind: ReplyKind::Reply { target, rtt, .. }, .. } => {
                    if let Some(extremes) = extremes.get_mut(target.index()) {
                        extremes.record(rtt);
                    }
                    touched.push(target);
                }
                // Without memory for it the reason stays unknown.
                prober::Event::IcmpError { from, error, about: Some((target, _)), .. }
                    if errors.try_reserve(1).is_ok() =>
                {
                    errors.insert(target, (from, error));
                }
                prober::Event::TimedOut(timed_out) => touched.push(timed_out.target),
                _ => {}
            }
            ControlFlow::Continue(())
        };
        let ControlFlow::Continue(wait) = match is_over {
            true => turn::receive(link, prober, now, &mut on_event).map_continue(|()| None),
            false => turn::turn(link, prober, now, &mut on_event),
        };
        let mut touched = std::mem::take(&mut self.touched);
        for target in touched.drain(..) {
            on_target(self, target);
        }
        self.touched = touched;
        if self.prober.is_done() {
            return None;
        }
        if let Some((_, errno)) = self.prober.receive_failure(now) {
            let source = std::io::Error::from_raw_os_error(errno);
            self.failure = Some(Error::System { what: "receiving", source });
            return None;
        }
        if is_over {
            self.stop();
            return None;
        }
        Some(wait.map(|Wait { until, for_replies }| {
            let until = [until, self.deadline].into_iter().flatten().min();
            Wait { until, for_replies }
        }))
    }

    /// Ends the run: targets with a reply are alive, those with a timeout silent, and the others
    /// unsettled.
    fn stop(&mut self) {
        self.is_cut_short = true;
        self.prober.stop();
    }

    fn wait(&self, wait: Option<Wait>, wake: &EventFd) {
        if let Some(wait) = wait {
            self.link.wait(wait, wake.as_fd());
        }
    }

    /// The verdict on a target so far.
    fn verdict(&self, target: TargetId) -> Verdict {
        Verdict::new(self.prober.strategy(), &self.extremes, &self.errors, target)
    }

    /// Whether a target is settled.
    fn is_settled(&self, target: TargetId) -> bool {
        self.prober.strategy().verdict(target) != tally::Verdict::Unsettled
    }

    fn outcome(&self, target: TargetId) -> Option<Outcome> {
        let address = self.prober.strategy().addresses().get(target)?;
        Some(Outcome { address, verdict: self.verdict(target) })
    }

    fn finish(self) -> Result<Results, Error> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let counts = Counts::new(self.prober.counts(), 0, self.link.drops());
        Ok(Results::new(self.prober.into_strategy(), self.map, self.extremes, self.errors, counts, !self.is_cut_short))
    }
}

/// Opens the sockets of the families that have targets. Without one of them the other may do: its
/// targets are unsent.
fn open(link: &mut Link, opener: &Opener, families: [(Family, usize); 2]) -> Result<(), Error> {
    let ident = RandomState::new().hash_one("ident") as u16;
    let mut refusal = None;
    let mut is_open = false;
    for (family, _) in families.into_iter().filter(|&(_, targets)| targets > 0) {
        match opener.open(link, family, ident) {
            Ok(()) => is_open = true,
            Err(error @ (Error::NoFamily(_) | Error::Permission(_))) => {
                refusal.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    match refusal {
        Some(error) if !is_open => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_and_results_may_go_to_other_threads() {
        fn send_and_sync<T: Send + Sync + 'static>() {}
        send_and_sync::<Running>();
        send_and_sync::<Results>();
        send_and_sync::<Outcome>();
        send_and_sync::<Options>();
    }
}
