//! Batch mode by several threads. The targets are dealt out: each thread has sockets, an
//! Identifier, a prober and a pace of its own. The main thread waits for signals and the deadline.
//!
//! Nothing is shared while they probe. What they came to is judged together, in the end.

use std::convert::Infallible;
use std::io::Write;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use multiping::address::{Addresses, Family};
use multiping::net::Link;
use multiping::plan::Rate;
use multiping::prober::{Details, Event, Prober, SLOW_START, Sweep};
use multiping::token::Key;
use multiping::turn;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CpuSet, sched_getaffinity};
use nix::sys::time::TimeSpec;
use nix::unistd::Pid;

use crate::message::{Error, Warning};
use crate::notes::Notes;
use crate::report::End;
use crate::run::batch::Probed;
use crate::run::team::{Control, Team};
use crate::run::{Context, Session, Status, listen, now};
use crate::sandbox;
use crate::signal;
use crate::swept::BatchProgress;

/// The fewest targets for which a thread is worth starting.
const MIN_TARGETS: usize = 100;

/// How many processors this process may use, as far as that is known.
pub fn processors() -> usize {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return 1 };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).count()
}

/// A share of the targets, with all that it takes to probe it.
pub(super) struct Share {
    link: Link,
    prober: Prober<Sweep>,
    details: Option<Details>,
    shown: Arc<Shown>,
    /// The family whose socket cannot be read, and the errno.
    failure: Option<(Family, i32)>,
}

/// The threads for so many targets; `None`: one thread is enough, or there can be no other.
pub(super) fn start(session: &Session, targets: usize, notes: &mut Notes) -> Option<Team<Share>> {
    let wanted = (targets / MIN_TARGETS).min(session.links.len());
    if wanted < 2 {
        return None;
    }
    let (team, error) = match Team::start(wanted, work) {
        Ok((team, error)) => (Some(team), error),
        Err(error) => (None, Some(error)),
    };
    let team = team.filter(|team| team.len() > 1);
    if let Some(error) = error {
        let started = team.as_ref().map_or(1, Team::len);
        notes.warn([Warning::FewerThreads(started, wanted, error)]);
    }
    team
}

/// Deals `addresses` out to the threads, enters the sandbox, and waits until they are probed.
pub(super) fn probe(
    session: &mut Session,
    mut team: Team<Share>,
    addresses: Addresses,
    keeps_details: bool,
) -> Result<Probed, Error> {
    let (options, count) = (session.options, team.len());
    let plan = options.plan.with_rate(part_of(options.plan.rate(), count));
    let key = Key::new(session.secret.clone());
    let mut shares = Vec::with_capacity(count);
    for (mut link, addresses) in mem::take(&mut session.links).into_iter().zip(addresses.deal(count)?) {
        if !shares.is_empty() {
            // The first one has every family that the list has, and listens already.
            listen(&mut link, &addresses, &session.references)?;
        }
        if options.json.is_some() {
            link.receive_ttl();
        }
        let details = if keeps_details { Some(Details::new(addresses.len())?) } else { None };
        let prober = Prober::sweep(&plan, addresses, key.clone(), link.idents(), now())?;
        // What is sent before the first router is known to forward it waits in one queue.
        let prober = session.prepare(prober)?.with_slow_start(SLOW_START.div_ceil(count as u64));
        let shown = Arc::new(Shown::new(session.start));
        shares.push(Share { link, prober, details, shown, failure: None });
    }
    let shown: Vec<_> = shares.iter().map(|share| Arc::clone(&share.shown)).collect();
    let status = Status::of_stderr(options, true);
    let mut context = Context { signals: session.signals, log: None, status, deadline: session.deadline };
    sandbox::enter_with_threads(session.dropped)?;
    team.begin(shares);
    let cut = wait(&team, &mut context, |now| {
        shown.iter().map(|shown| shown.load(now)).fold(BatchProgress::default(), BatchProgress::with)
    });
    context.status.wipe();
    let (mut probers, mut kept, mut failure) = (Vec::with_capacity(count), Vec::new(), None);
    for share in team.join() {
        session.links.push(share.link);
        probers.push(share.prober);
        kept.extend(share.details);
        failure = failure.or(share.failure);
    }
    let end = match (failure, cut) {
        _ if probers.iter().all(Prober::is_done) => End::Complete,
        (Some((family, errno)), _) => End::ReceivingFailed(family, errno),
        (None, Some(signal::Event::Stop(name))) => End::Stopped(name),
        (None, _) => End::Deadline(probers.iter_mut().map(Prober::stop).sum()),
    };
    Ok(Probed { end, probers, details: kept })
}

/// The rate of each of so many threads.
fn part_of(rate: Rate, threads: usize) -> Rate {
    rate.pps().map_or(rate, |pps| Rate::per_second(pps / threads as f64).unwrap_or(rate))
}

/// Probes a share until it is settled, or until it is told to stop.
fn work(share: &mut Share, control: &Control) {
    let Share { link, prober, details, shown, failure } = share;
    loop {
        let now = now();
        // Asked before the replies are read: what had arrived when it came still counts.
        let stops = control.stop_requested();
        let on_event = &mut |event: Event| {
            if let Some(details) = details {
                details.record(&event);
            }
            ControlFlow::<Infallible>::Continue(())
        };
        let ControlFlow::Continue(wait) = if stops {
            turn::receive(link, prober, now, on_event).map_continue(|()| None)
        } else {
            turn::turn(link, prober, now, on_event)
        };
        shown.store(prober, now);
        if stops || prober.is_done() {
            return;
        }
        *failure = prober.receive_failure(now);
        if failure.is_some() {
            return control.stop();
        }
        if let Some(wait) = wait {
            link.wait(wait, control.as_fd());
        }
    }
}

/// Waits until all threads have ended. Returns what cut them short, if anything did.
fn wait<W: Write>(
    team: &Team<Share>,
    context: &mut Context<W>,
    progress: impl Fn(Instant) -> BatchProgress,
) -> Option<signal::Event> {
    let Context { signals, status, deadline, .. } = context;
    while !team.has_ended() {
        let now = now();
        match signals.poll() {
            Some(signal::Event::Status) => status.print(progress(now)),
            Some(cut) => {
                team.stop();
                return Some(cut);
            }
            None if deadline.is_some_and(|deadline| deadline <= now) => {
                team.stop();
                return Some(signal::Event::Alarm);
            }
            None => {}
        }
        if status.is_due(now) {
            status.renew(progress(now), now);
        }
        let until = [status.next(), *deadline].into_iter().flatten().min();
        let timeout = until.map(|until| TimeSpec::from(until.saturating_duration_since(now)));
        let mut awaited = [signals.as_fd(), team.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        // Whatever ends the wait, everything is looked at again.
        let _ = ppoll(&mut awaited, timeout, None);
    }
    None
}

/// The progress of a share: written by its thread, read by the main thread.
struct Shown {
    start: Instant,
    targets: AtomicUsize,
    tried: AtomicUsize,
    alive: AtomicUsize,
    silent: AtomicUsize,
    /// When it is likely to end, in milliseconds from the start.
    end: AtomicU64,
}

impl Shown {
    fn new(start: Instant) -> Self {
        let [targets, tried, alive, silent] = Default::default();
        Shown { start, targets, tried, alive, silent, end: AtomicU64::new(0) }
    }

    fn store(&self, prober: &Prober<Sweep>, now: Instant) {
        let BatchProgress { targets, tried, alive, silent, remaining } = BatchProgress::of(prober, now);
        self.targets.store(targets, Relaxed);
        self.tried.store(tried, Relaxed);
        self.alive.store(alive, Relaxed);
        self.silent.store(silent, Relaxed);
        let end = now.saturating_duration_since(self.start) + remaining;
        self.end.store(end.as_millis() as u64, Relaxed);
    }

    fn load(&self, now: Instant) -> BatchProgress {
        let end = Duration::from_millis(self.end.load(Relaxed));
        BatchProgress {
            targets: self.targets.load(Relaxed),
            tried: self.tried.load(Relaxed),
            alive: self.alive.load(Relaxed),
            silent: self.silent.load(Relaxed),
            remaining: end.saturating_sub(now.saturating_duration_since(self.start)),
        }
    }
}
