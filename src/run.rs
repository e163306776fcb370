//! The program's loop around the engine: signals, deadline, status line and log.
//!
//! What a kind of run adds to it is a [`Mode`]: [`batch`] asks each target until it has answered,
//! and [`statistics`] probes each of them again and again.

pub mod batch;
pub mod groups;
mod log;
mod output;
mod schedules;
mod sizes;
pub mod statistics;
mod status;
mod team;
mod threads;

use std::fmt::Display;
use std::hash::RandomState;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant, SystemTime};

use multiping::address::{Addresses, Family};
use multiping::alloc::OutOfMemory;
use multiping::net::{Link, Missing};
use multiping::prober::{Diagnosis, Event, Prober, Strategy, Verdicts, Wait};
use multiping::turn;
use nix::libc::c_ulong;
use nix::sys::prctl;

pub use crate::run::log::Log;
pub use crate::run::output::{Output, print};
pub use crate::run::status::Status;
pub use crate::run::team::{Control, Team};
pub use crate::run::threads::processors;

use crate::cli::{ExitStatus, Options, Statistics};
use crate::limits::Limits;
use crate::list::{List, Remark, Zones};
use crate::message::{Error, Exit, Reject, Warning};
use crate::notes::Notes;
use crate::privilege::Dropped;
use crate::report::json::{self, Closing, Opening};
use crate::report::{End, Outcome};
use crate::sandbox;
use crate::signal::{self, Signals};
use crate::stdio::{Stream, Timeout};

/// How long a signal may have to wait while packets are sent one after the other: looking costs a
/// system call.
const SIGNAL_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// How late the kernel may wake us, in nanoseconds: its default (prctl(2), PR_SET_TIMERSLACK).
const TIMER_SLACK: c_ulong = 50_000;

/// Resets the timer slack, which is inherited from the caller.
pub fn set_timer_slack() {
    // If it is refused, probes are sent late; send times stay right.
    let _ = prctl::set_timerslack(TIMER_SLACK);
}

/// The clock that everything is timed by.
#[expect(clippy::disallowed_methods, reason = "the one clock of the program")]
pub fn now() -> Instant {
    Instant::now()
}

/// A point in time as the time since 1970, by the wall clock as it is now.
#[expect(clippy::disallowed_methods, reason = "the one wall clock of the program")]
pub fn since_1970(at: Instant) -> Duration {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    wall.saturating_sub(now().saturating_duration_since(at))
}

/// How long before the deadline probing has to end so that the lines are out by then: ample for a
/// file, for a pipe that is read, and with statistics for a terminal.
pub fn time_to_report(targets: usize, with_statistics: bool) -> Duration {
    let (start, target) = if with_statistics { (200, 50) } else { (20, 1) };
    Duration::from_millis(start) + Duration::from_micros(target) * u32::try_from(targets).unwrap_or(u32::MAX)
}

/// What a run needs once its list is read.
pub struct Session<'a> {
    /// What the command line asks for.
    pub options: &'a Options,
    /// The limits of the caller.
    pub limits: &'a Limits,
    /// The signals that may come.
    pub signals: &'a Signals,
    /// That privileges were dropped.
    pub dropped: &'a Dropped,
    /// The sockets: those of the first thread, and of further ones.
    pub links: Vec<Link>,
    /// The targets.
    pub list: List,
    /// The interfaces of targets, as typed.
    pub zones: Zones,
    /// Hosts that are known to answer.
    pub references: Addresses,
    /// Where a line for every packet is written to, if anywhere.
    pub log: Option<Log<'a>>,
    /// Random: for idents, keys and shuffling.
    pub secret: RandomState,
    /// When the process began.
    pub start: Instant,
    /// When probing has to end.
    pub deadline: Option<Instant>,
}

impl Session<'_> {
    /// Probes as the command line asks, and reports. Enters the sandbox before.
    pub fn run(self, notes: &mut Notes) -> Result<Exit, Error> {
        match &self.options.statistics {
            None => batch::run(self, notes),
            Some(statistics) => statistics::run(statistics.clone(), self, notes),
        }
    }

    /// The sockets of the first thread.
    fn link(&mut self) -> &mut Link {
        &mut self.links[0]
    }

    /// How many packets the kernel has dropped.
    fn drops(&self) -> u64 {
        self.links.iter().map(Link::drops).sum()
    }

    /// `prober` with the data of probes, regard to ICMP errors, and the references.
    fn prepare<S: Strategy>(&self, prober: Prober<S>) -> Result<Prober<S>, OutOfMemory> {
        let packet = &self.options.packet;
        let prober = prober.with_data(&packet.data()).with_kind(packet.kind())?;
        let mut prober = prober.with_icmp_errors(self.options.icmp_errors())?;
        let references = self.references.iter().map(|(_, address)| address);
        prober.set_references(references, self.options.plan.timeout(), now());
        Ok(prober)
    }

    /// How many lines were rejected, apart from names without an address.
    fn rejected(&self) -> u64 {
        self.list.rejected - self.list.unresolved.len() as u64
    }

    /// Writes the JSON records that come before the run.
    fn write_opening(
        &self,
        statistics: Option<&Statistics>,
        notes: &mut Notes,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let plan = &self.options.plan;
        let opening = Opening {
            run: self.options.run_name.as_deref(),
            time: since_1970(now()),
            mode: match statistics.map(|statistics| statistics.count) {
                None => json::Mode::Batch,
                Some(Some(_)) => json::Mode::Count,
                Some(None) => json::Mode::Loop,
            },
            targets: self.list.lines.len() + self.list.unresolved.len(),
            rejected: self.rejected(),
            count: statistics.and_then(|statistics| statistics.count),
            period: statistics.map(|statistics| statistics.period),
            timeout: plan.timeout(),
            late: statistics.map(|statistics| statistics.settings(plan).late),
            max_pps: plan.rate().pps(),
            size: self.options.packet.data_len(),
        };
        opening.write(out)?;
        let written = notes.remarks.iter().try_for_each(|Remark { line, text, reject }| match reject {
            // A name without an address is a target, which is unresolved.
            None | Some(Reject::Unresolved(_)) => Ok(()),
            Some(reject) => json::write_rejected(line, text.content(), reject, out),
        });
        if !self.options.list_errors {
            notes.remarks.truncate();
        }
        written.and_then(|()| out.flush())
    }

    /// What the last JSON record tells of a run that ended so.
    fn closing<'n>(&'n self, end: End, exit: Exit, stray: u64, slipped: u64, notes: &'n Notes) -> Closing<'n> {
        Closing {
            run: self.options.run_name.as_deref(),
            time: since_1970(now()),
            end,
            exit: exit as u8,
            duration: now() - self.start,
            rejected: self.rejected(),
            stray,
            kernel_drops: self.drops(),
            slipped,
            failures: notes.failures(),
            warnings: notes.warnings(),
        }
    }

    /// Enters the sandbox, with seccomp or without, and probes.
    fn probe<M: Mode>(
        &mut self,
        mode: &mut M,
        prober: &mut Prober<M::Strategy>,
        shows_status: bool,
    ) -> Result<End, Error> {
        let status = Status::of_stderr(self.options, shows_status);
        let (signals, log, deadline, dropped) = (self.signals, self.log.take(), self.deadline, self.dropped);
        sandbox::enter(dropped)?;
        Ok(probe(mode, self.link(), prober, &mut Context { signals, log, status, deadline }, dropped))
    }

    /// Notes how the run went.
    fn note(&self, outcome: &mut Outcome, notes: &mut Notes) {
        outcome.failures.extend(self.list.resolver_failure());
        notes.fail(&outcome.failures);
        // What one socket has to do without, those of the other threads have as well.
        if let Some(Missing { timestamps, filter, icmp_errors }) = self.links.first().map(Link::missing) {
            let no_errors = icmp_errors.then_some(Warning::NoIcmpErrors);
            let missing = [timestamps.map(Warning::NoTimestamps), filter.map(Warning::NoFilter), no_errors];
            notes.warn_first(missing.into_iter().flatten());
        }
        notes.warn_first(&outcome.warnings);
    }

    /// The exit code of a run that ended so, in which so many targets were unreachable and alive.
    fn exit(&self, outcome: &Outcome, unreachable: usize, alive: usize) -> Exit {
        match (outcome.failures.iter().map(Error::exit).max(), self.options.exit_status) {
            (Some(exit), _) => exit,
            (None, ExitStatus::Fping) if self.list.rejected > 0 => Exit::Rejected,
            (None, ExitStatus::Fping) if unreachable > 0 => Exit::Unreachable,
            (None, ExitStatus::Ping) if alive == 0 => Exit::Rejected,
            (None, _) => Exit::Success,
        }
    }
}

/// Writes a message of a run that goes on to stderr. Probing does not wait for it, and what cannot
/// be written is no reason to end.
fn tell(message: Option<String>) {
    if let Some(message) = message {
        let mut stderr = Stream::new(io::stderr(), Timeout::After(Duration::ZERO));
        let _ = stderr.write_all(format!("xymonping: {message}\n").as_bytes());
    }
}

/// What a kind of run adds to the loop.
pub trait Mode {
    /// What is probed when.
    type Strategy: Strategy;

    /// Something happened. Breaks with the signal that interrupts the writing of it.
    fn handle(&mut self, _event: &Event) -> ControlFlow<signal::Event> {
        ControlFlow::Continue(())
    }

    /// A turn is over. Breaks with a signal that came, as [`Mode::handle`].
    fn handle_turn(&mut self, _prober: &mut Prober<Self::Strategy>, _now: Instant) -> ControlFlow<signal::Event> {
        ControlFlow::Continue(())
    }

    /// Whether anything is to be written to standard output, so that the status line gives way.
    fn has_output(&self, _: Instant) -> bool {
        false
    }

    /// When there has to be a turn for its own sake.
    fn next_turn(&self) -> Option<Instant> {
        None
    }

    /// The signal of this name came. Returns how the run ends, if it ends now.
    fn handle_stop(&mut self, prober: &mut Prober<Self::Strategy>, signal: &'static str, now: Instant) -> Option<End>;

    /// A signal asks how the run goes. Returns whether that was answered; else the status line
    /// does. Breaks as [`Mode::handle`].
    fn handle_status(&mut self, _prober: &Prober<Self::Strategy>, _now: Instant) -> ControlFlow<signal::Event, bool> {
        ControlFlow::Continue(false)
    }

    /// The deadline is reached. Returns how the run ends.
    fn handle_deadline(&mut self, prober: &mut Prober<Self::Strategy>) -> End;

    /// How the run has ended, if it is over.
    fn is_over(&self, prober: &Prober<Self::Strategy>, _now: Instant) -> Option<End> {
        prober.is_done().then_some(End::Complete)
    }

    /// The state of the run, for the status line.
    fn progress(&mut self, prober: &Prober<Self::Strategy>, now: Instant) -> impl Display;
}

/// When an event happened.
fn time_of(event: &Event) -> Instant {
    match *event {
        Event::Sent { at, .. }
        | Event::SendError { at, .. }
        | Event::Received { at, .. }
        | Event::IcmpError { at, .. }
        | Event::Message { at, .. } => at,
        Event::TimedOut(_) | Event::Done { .. } => now(),
    }
}

/// Signals, log, status line and deadline of a run.
pub struct Context<'a, W> {
    /// The signals that may come.
    pub signals: &'a Signals,
    /// Where a line for every packet is written to, if anywhere.
    pub log: Option<Log<'a>>,
    /// The status line.
    pub status: Status<W>,
    /// When to stop, finished or not.
    pub deadline: Option<Instant>,
}

/// Prepares `link` for probing `addresses`, while descriptors can still be opened.
pub fn listen(link: &mut Link, addresses: &Addresses, references: &Addresses) -> Result<(), multiping::Error> {
    link.listen(|family| addresses.count(family) + references.count(family) > 0)?;
    link.look_for_routes();
    Ok(())
}

/// Judges a run that has ended, of whose targets `known` is known.
pub fn diagnose<S: Strategy>(link: &mut Link, probers: &[Prober<S>], known: &impl Verdicts) -> Diagnosis {
    let mut diagnosis = Diagnosis::judge(probers, known, |address| link.is_remote(address), link.has_global_ipv6());
    for family in Family::BOTH {
        let witnesses = diagnosis.witnesses(known, family, |address| link.is_remote(address));
        // Whether there is a route can be asked; whether a firewall refuses packets only one can
        // tell.
        let with_packet = diagnosis.refusals_of(family).any(|refusals| !refusals.is_no_way_out());
        if !witnesses.is_empty() && !link.can_send_to(&witnesses, with_packet) {
            diagnosis.mark_lost(family);
        }
    }
    diagnosis
}

/// Probes until the run is over, a signal ends it, or the deadline is reached.
pub fn probe<M: Mode, W: Write>(
    mode: &mut M,
    link: &mut Link,
    prober: &mut Prober<M::Strategy>,
    context: &mut Context<W>,
    _: &Dropped,
) -> End {
    let end = probe_until(mode, link, prober, context);
    context.status.wipe();
    end
}

fn probe_until<M: Mode, W: Write>(
    mode: &mut M,
    link: &mut Link,
    prober: &mut Prober<M::Strategy>,
    context: &mut Context<W>,
) -> End {
    let Context { signals, log, status, deadline } = context;
    let idents = link.idents();
    let mut next_signal_poll = now();
    loop {
        let now = now();
        // Asked before the replies are read: what had arrived when the signal came still counts.
        let mut signal = None;
        if next_signal_poll <= now {
            next_signal_poll = now + SIGNAL_POLL_INTERVAL;
            signal = signals.poll();
        }
        let is_over = deadline.is_some_and(|deadline| deadline <= now);
        let ends = is_over || matches!(signal, Some(signal::Event::Stop(_) | signal::Event::Alarm));
        let mut on_event = |event: Event| {
            if let Some(log) = log {
                log.write(&event, idents)?;
            }
            mode.handle(&event)
        };
        let turned = if ends {
            turn::receive(link, prober, now, &mut on_event).map_continue(|()| None)
        } else {
            turn::turn(link, prober, now, &mut on_event)
        };
        if mode.has_output(now) {
            status.wipe();
        }
        let handled = mode.handle_turn(prober, now);
        if let Some(end) = mode.is_over(prober, now) {
            return end;
        }
        if let Some((family, errno)) = prober.receive_failure(now) {
            return End::ReceivingFailed(family, errno);
        }
        for flow in [turned.map_continue(|_| ()), handled] {
            if let ControlFlow::Break(event) = flow {
                // A request for the status may be lost, a signal to stop may not.
                signal = signal.filter(|first| *first != signal::Event::Status).or(Some(event));
            }
        }
        if signal == Some(signal::Event::Status) {
            signal = match mode.handle_status(prober, now) {
                ControlFlow::Continue(false) => signal,
                ControlFlow::Continue(true) => None,
                ControlFlow::Break(event) => Some(event),
            };
        }
        match signal {
            Some(signal::Event::Stop(name)) => {
                if let Some(end) = mode.handle_stop(prober, name, now) {
                    return end;
                }
            }
            Some(signal::Event::Alarm) => return mode.handle_deadline(prober),
            _ if is_over => return mode.handle_deadline(prober),
            Some(signal::Event::Status) => status.print(mode.progress(prober, now)),
            None => {}
        }
        if status.is_due(now) {
            status.renew(mode.progress(prober, now), now);
        }
        // Asked again, as targets may have been finished or probes asked for since.
        let wait = turned.continue_value().flatten().and_then(|_| prober.poll_wait(now));
        if let Some(Wait { until, for_replies }) = wait {
            let until = [until, status.next(), mode.next_turn(), *deadline].into_iter().flatten().min();
            link.wait(Wait { until, for_replies }, signals.as_fd());
            next_signal_poll = now;
        }
    }
}
