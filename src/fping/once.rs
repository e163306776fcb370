//! The default mode: each target is asked until it has answered, and the lines of those that do are
//! written as they answer.

use std::fmt::Display;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use multiping::address::{Address, TargetId};
use multiping::prober::{Diagnosis, Event, Prober, ReplyKind, Sweep, TimedOut, Timeout};
use multiping::tally::Verdict;
use nix::errno::Errno;

use crate::cli::fping::Options;
use crate::fping::MIN_RTT;
use crate::fping::clock::Clock;
use crate::fping::output::Output;
use crate::fping::targets::{Lines, Targets};
use crate::report::fping::{self, Figures, Header, Label, Name, Trips};
use crate::report::{End, Times};
use crate::run::{Mode, since_1970};
use crate::signal;

/// A run of the default mode.
pub(super) struct Once<'a, 'o> {
    targets: &'a Targets,
    lines: &'a Lines,
    format: fping::Once,
    /// Whether ICMP errors are told.
    tells_errors: bool,
    /// How many targets end the run when they have answered.
    enough: Option<u32>,
    clock: &'a Clock,
    /// Of each target when the last probe was sent, and how many have timed out.
    sent: Vec<(Option<Instant>, u32)>,
    pub(super) output: &'a mut Output<'o>,
    /// How many lines of the list have answered.
    pub(super) alive: u32,
    pub(super) trips: Trips,
    pub(super) duplicates: u64,
}

impl<'a, 'o> Once<'a, 'o> {
    pub(super) fn new(
        options: &Options,
        targets: &'a Targets,
        lines: &'a Lines,
        clock: &'a Clock,
        sent: Vec<(Option<Instant>, u32)>,
        output: &'a mut Output<'o>,
    ) -> Self {
        let is_list = options.alive || options.unreachable;
        let both = !is_list && !options.quiet && options.reachable.is_none();
        let format = fping::Once {
            alive: options.alive || both,
            unreachable: options.unreachable || both,
            bare: is_list,
            elapsed: options.elapsed,
            headers: options.headers,
        };
        let enough = options.reachable.filter(|_| options.ends_when_reached);
        Once {
            targets,
            lines,
            format,
            enough,
            clock,
            tells_errors: !options.quiet,
            sent,
            output,
            alive: 0,
            trips: Trips::default(),
            duplicates: 0,
        }
    }

    fn record_reply(
        &mut self,
        target: TargetId,
        from: Address,
        rtt: Duration,
        times: Option<Times>,
        header: &Header,
    ) -> ControlFlow<signal::Event> {
        let rtt = rtt.max(MIN_RTT);
        self.trips.add(rtt);
        let (lines, targets) = (self.lines, self.targets);
        for line in lines.of(target) {
            self.alive += 1;
            if self.format.alive {
                if !targets.addresses()[line].is_source(from) {
                    self.output.message(format_args!(" [<- {from}]"))?;
                }
                self.output.result(self.format.alive(targets.name(line), rtt, times, header))?;
            }
        }
        ControlFlow::Continue(())
    }

    /// Whether enough targets have answered to end the run.
    fn is_enough(&self) -> bool {
        self.enough.is_some_and(|enough| self.alive >= enough)
    }

    /// Writes the figures of each line of the list so far. A probe in flight is not among them.
    fn report(&mut self, sweep: &Sweep) -> ControlFlow<signal::Event> {
        let mut lines = String::new();
        for (line, target) in self.lines.iter() {
            let lost = self.sent.get(target.index()).map_or(0, |&(_, lost)| lost);
            let mut figures = Figures { sent: lost, ..Figures::default() };
            if let Verdict::Alive(rtt) = sweep.verdict(target) {
                figures.record(Some(rtt.max(MIN_RTT)));
            }
            let label = Label { name: self.targets.name(line), width: self.targets.width };
            lines += &fping::figures_line(label, &figures, None);
        }
        let blank = if self.format.alive || self.format.unreachable { "\n" } else { "" };
        self.output.message(format_args!("{blank}[{}]\n", self.clock.time_of_day()))?;
        self.output.message(lines)
    }

    /// Writes the lines of what has not answered, in the order of the list. Returns how many
    /// targets are unreachable.
    pub(super) fn finish(&mut self, sweep: &Sweep, diagnosis: &Diagnosis) -> (u32, ControlFlow<signal::Event>) {
        let (mut unreachable, mut flow) = (0, ControlFlow::Continue(()));
        for (line, target) in self.lines.iter() {
            let Some(address) = sweep.addresses().get(target) else { continue };
            let verdict = sweep.verdict(target);
            if !diagnosis.is_unreachable(verdict, address.family()) {
                continue;
            }
            unreachable += 1;
            let name = self.targets.name(line);
            if let (Verdict::Refused { errno, .. }, true) = (verdict, self.format.unreachable && !self.format.bare) {
                flow = if flow.is_continue() { self.output.message(send_error(name, errno)) } else { flow };
            }
            if self.format.unreachable && flow.is_continue() {
                flow = self.output.result(self.format.unreachable(name));
            }
        }
        (unreachable, flow)
    }
}

fn send_error(name: Name, errno: i32) -> String {
    format!("{name}: error while sending ping: {}\n", Errno::from_raw(errno).desc())
}

impl Mode for Once<'_, '_> {
    type Strategy = Sweep;

    fn handle(&mut self, event: &Event) -> ControlFlow<signal::Event> {
        match *event {
            Event::Sent { probe, at } => {
                if let Some(sent) = self.sent.get_mut(probe.target.index()) {
                    sent.0 = Some(at);
                }
            }
            Event::TimedOut(TimedOut { target, timeout: Timeout::Counted | Timeout::Failed, .. }) => {
                if let Some(sent) = self.sent.get_mut(target.index()) {
                    sent.1 += 1;
                }
            }
            Event::Received { from, reply, kind: ReplyKind::Reply { target, rtt, .. }, ttl, tos, to, at, .. } => {
                let times = reply.and_then(|reply| Times::of(&reply, || since_1970(at), Some(rtt)));
                return self.record_reply(target, from, rtt, times, &Header { destination: to, tos, ttl });
            }
            Event::Received { reply: Some(reply), kind: ReplyKind::Duplicate { target, attempt, .. }, at, .. } => {
                self.duplicates += 1;
                let sent = self.sent.get(target.index()).and_then(|sent| sent.0);
                let rtt = sent.map(|sent| at.saturating_duration_since(sent));
                if let (Some(line), Some(rtt)) = (self.lines.of(target).next(), rtt) {
                    let bytes = reply.message_len();
                    return self.output.message(fping::duplicate(self.targets.name(line), attempt, bytes, rtt));
                }
            }
            Event::IcmpError { from, error, about: Some((target, _)), .. } if self.tells_errors => {
                let (lines, targets) = (self.lines, self.targets);
                return lines.of(target).try_for_each(|line| {
                    let name = targets.name(line);
                    let error = fping::icmp_error(from.family(), error.msg_type, error.code, &from.to_string(), name);
                    error.map_or(ControlFlow::Continue(()), |error| self.output.message(error))
                });
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn handle_stop(&mut self, _: &mut Prober<Sweep>, signal: &'static str, _: Instant) -> Option<End> {
        Some(End::Stopped(signal))
    }

    fn handle_status(&mut self, prober: &Prober<Sweep>, _: Instant) -> ControlFlow<signal::Event, bool> {
        self.report(prober.strategy()).map_continue(|()| true)
    }

    fn handle_deadline(&mut self, prober: &mut Prober<Sweep>) -> End {
        End::Deadline(prober.stop())
    }

    fn is_over(&self, prober: &Prober<Sweep>, _: Instant) -> Option<End> {
        let is_over = self.is_enough() || self.output.has_failed() || prober.is_done();
        is_over.then_some(End::Complete)
    }

    fn progress(&mut self, prober: &Prober<Sweep>, _: Instant) -> impl Display {
        let sweep = prober.strategy();
        format!("{} of {} targets are settled", sweep.settled(), sweep.addresses().len())
    }
}
