//! Batch mode by several threads. The targets are dealt out: each thread has sockets, an
//! Identifier, a prober and a pace of its own. The main thread waits for signals and the deadline.
//!
//! While they probe they share nothing but what is left to do (`exchange`). What they came to is
//! judged together, in the end.

mod exchange;

use std::convert::Infallible;
use std::io::Write;
use std::iter;
use std::mem;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::{Duration, Instant};

use multiping::address::{Addresses, Family};
use multiping::alloc;
use multiping::net::Link;
use multiping::plan::Rate;
use multiping::prober::{Details, Event, Prober, SLOW_START, Sweep, Wait};
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
use crate::run::threads::exchange::{Exchange, Part};
use crate::run::{Context, Session, Status, listen, now};
use crate::sandbox;
use crate::signal;
use crate::swept::BatchProgress;

/// The fewest targets for which a thread is worth starting.
const MIN_TARGETS: usize = 100;

/// How long a thread waits at most while another one may have targets for it.
const EXCHANGE_INTERVAL: Duration = Duration::from_millis(1);

/// How many processors this process may use, as far as that is known.
pub fn processors() -> usize {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return 1 };
    (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu) == Ok(true)).count()
}

/// A share of the targets, with all that it takes to probe it.
pub(super) struct Share {
    link: Link,
    part: Part,
    exchange: Arc<Exchange>,
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
    let mut links = mem::take(&mut session.links);
    for link in links.iter_mut().skip(1) {
        // The first one listens already. Each has the families of the whole list, as it may take
        // over targets of both.
        listen(link, &addresses, &session.references)?;
    }
    let (targets, mut parts) = (addresses.len(), Vec::with_capacity(count));
    for (link, addresses) in links.iter_mut().zip(addresses.deal(count)?) {
        if options.json.is_some() {
            link.receive_ttl();
        }
        let details = if keeps_details { Some(Details::new(addresses.len())?) } else { None };
        let prober = Prober::sweep(&plan, addresses, key.clone(), link.idents(), now())?;
        // What is sent before the first router is known to forward it waits in one queue.
        let prober = session.prepare(prober)?.with_slow_start(SLOW_START.div_ceil(count as u64));
        parts.push(Part::new(prober, details, parts.len()));
    }
    let exchange = Arc::new(Exchange::new(&mut parts));
    let shown: Vec<_> = iter::repeat_with(|| Arc::new(Shown::new(session.start))).take(count).collect();
    let share = |((link, part), shown): (_, &Arc<_>)| {
        let (exchange, shown) = (Arc::clone(&exchange), Arc::clone(shown));
        Share { link, part, exchange, shown, failure: None }
    };
    let shares = links.into_iter().zip(parts).zip(&shown).map(share).collect();
    let status = Status::of_stderr(options, true);
    let mut context = Context { signals: session.signals, log: None, status, deadline: session.deadline };
    // Shares are many small pieces, which add up.
    alloc::check_headroom(targets)?;
    sandbox::enter_with_threads(session.dropped)?;
    team.begin(shares);
    let cut = wait(&team, &mut context, |now| {
        let shown = shown.iter().map(|shown| shown.load(now));
        // A parcel on its way is in no share.
        BatchProgress { targets, ..shown.fold(BatchProgress::default(), BatchProgress::with) }
    });
    context.status.wipe();
    let (mut parts, mut failure) = (Vec::with_capacity(count), None);
    for share in team.join() {
        session.links.push(share.link);
        parts.push(share.part);
        failure = failure.or(share.failure);
    }
    exchange.deliver(&mut parts);
    let end = match (failure, cut) {
        _ if parts.iter().all(|part| part.prober.is_done()) => End::Complete,
        (Some((family, errno)), _) => End::ReceivingFailed(family, errno),
        (None, Some(signal::Event::Stop(name))) => End::Stopped(name),
        (None, _) => End::Deadline(parts.iter_mut().map(|part| part.prober.stop()).sum()),
    };
    exchange.undo(&mut parts);
    let (probers, details): (_, Vec<_>) = parts.into_iter().map(|part| (part.prober, part.details)).unzip();
    Ok(Probed { end, probers, details: details.into_iter().flatten().collect() })
}

/// The rate of each of so many threads.
fn part_of(rate: Rate, threads: usize) -> Rate {
    rate.pps().map_or(rate, |pps| Rate::per_second(pps / threads as f64).unwrap_or(rate))
}

/// Probes a share until it is settled, or until it is told to stop.
fn work(share: &mut Share, control: &Control) {
    let Share { link, part, exchange, shown, failure } = share;
    loop {
        let more_may_come = exchange.visit(part);
        let Part { prober, details, .. } = part;
        let now = now();
        // Asked before the replies are read: what had arrived when it came still counts.
        let stops = control.stop_requested();
        let on_event = &mut |event: Event| {
            if let Some(details) = details.as_mut() {
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
        if stops || prober.is_done() && !more_may_come {
            return;
        }
        *failure = prober.receive_failure(now);
        if failure.is_some() {
            return control.stop();
        }
        let next_visit = (more_may_come && part.is_idle()).then(|| now + EXCHANGE_INTERVAL);
        if let Some(wait) = wait {
            let until = [wait.until, next_visit].into_iter().flatten().min();
            link.wait(Wait { until, ..wait }, control.as_fd());
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
