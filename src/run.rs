//! The program's loop around the engine: signals, deadline, status line and log.

mod log;
mod status;

use std::io::Write;
use std::ops::ControlFlow;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use multiping::address::Family;
use multiping::net::Link;
use multiping::plan::Plan;
use multiping::prober::{Diagnosis, Event, Prober, Sweep, Wait};
use multiping::turn;
use nix::libc::c_ulong;
use nix::sys::prctl;

pub use crate::run::log::Log;
pub use crate::run::status::Status;

use crate::message::Warning;
use crate::privilege::Dropped;
use crate::report::End;
use crate::signal::{self, Signals};

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

/// How long before the deadline probing has to end so that the lines are out by then: ample for a
/// file, and for a pipe that is read.
pub fn time_to_report(targets: usize) -> Duration {
    Duration::from_millis(20) + Duration::from_micros(targets as u64)
}

/// The warning that a list cannot be probed by the deadline. It is worth giving before the run,
/// while there is time to interrupt it.
pub fn too_slow(plan: &Plan, targets: usize, deadline: Option<Instant>) -> Option<Warning> {
    let needed = targets.saturating_sub(1) as f64 / plan.rate().pps()?; // the first is sent at once
    let available = deadline?.saturating_duration_since(now());
    (needed > available.as_secs_f64()).then_some(Warning::TooSlow(targets, needed))
}

/// Signals, log, status line and deadline of a run.
pub struct Context<'a, W> {
    /// The signals that may come.
    pub signals: &'a Signals,
    /// Where a line for every packet is written to, if anywhere.
    pub log: Option<Log<'a>>,
    /// The status line.
    pub status: Status<W>,
    /// When to stop, whatever is settled.
    pub deadline: Option<Instant>,
}

/// Judges a run that has ended.
pub fn diagnose(link: &mut Link, prober: &Prober<Sweep>) -> Diagnosis {
    let mut diagnosis = Diagnosis::new(prober, |address| link.is_remote(address), link.has_global_ipv6());
    for family in Family::BOTH {
        let witnesses = diagnosis.witnesses(prober, family, |address| link.is_remote(address));
        // Whether there is a route can be asked; whether a firewall refuses packets only one can tell.
        let with_packet = diagnosis.refusals_of(family).any(|refusals| !refusals.is_no_way_out());
        if !witnesses.is_empty() && !link.can_send_to(&witnesses, with_packet) {
            diagnosis.mark_lost(family);
        }
    }
    diagnosis
}

/// Probes until every target is settled, a signal comes, or the deadline is reached.
pub fn probe<W: Write>(link: &mut Link, prober: &mut Prober<Sweep>, context: &mut Context<W>, _: &Dropped) -> End {
    let end = probe_until(link, prober, context);
    context.status.wipe();
    end
}

fn probe_until<W: Write>(link: &mut Link, prober: &mut Prober<Sweep>, context: &mut Context<W>) -> End {
    let Context { signals, log, status, deadline } = context;
    let idents = link.idents();
    let mut on_event = |event: Event| match log {
        Some(log) => log.write(&event, idents),
        None => ControlFlow::Continue(()),
    };
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
        let turned = if ends {
            turn::receive(link, prober, now, &mut on_event).map_continue(|()| None)
        } else {
            turn::turn(link, prober, now, &mut on_event)
        };
        if prober.is_done() {
            return End::Complete;
        }
        if let Some((family, errno)) = prober.receive_failure(now) {
            return End::ReceivingFailed(family, errno);
        }
        if let ControlFlow::Break(event) = turned {
            signal.get_or_insert(event);
        }
        match signal {
            Some(signal::Event::Stop(name)) => return End::Stopped(name),
            Some(signal::Event::Alarm) => return End::Deadline(prober.stop()),
            _ if is_over => return End::Deadline(prober.stop()),
            Some(signal::Event::Status) => status.print(prober, now),
            None => {}
        }
        status.renew(prober, now);
        if let ControlFlow::Continue(Some(Wait { until, for_replies })) = turned {
            let until = [until, status.next(), *deadline].into_iter().flatten().min();
            link.wait(Wait { until, for_replies }, signals.as_fd());
            next_signal_poll = now;
        }
    }
}
