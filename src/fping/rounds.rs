//! Count mode and loop mode: each target is probed once a period.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use multiping::address::{Address, TargetId};
use multiping::alloc::{OutOfMemory, try_filled};
use multiping::prober::{Diagnosis, Event, Phase, Prober, ReplyKind, Roster, Schedule, Timeout, Verdicts};
use multiping::tally::{TICK, Verdict, ticks};

use crate::cli::fping::{Options, Report};
use crate::fping::MIN_RTT;
use crate::fping::clock::Clock;
use crate::fping::output::Output;
use crate::fping::targets::Targets;
use crate::limits::Limits;
use crate::report::fping::{self, Figures, Header, Label, Trips};
use crate::report::{End, Times};
use crate::run::groups::Groups;
use crate::run::{Mode, since_1970};
use crate::signal;

/// A probe that has not ended.
const PENDING: u32 = u32::MAX;

/// What is known of one target.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Since the start.
    total: Figures,
    /// Since the last report.
    interval: Figures,
    /// How many probes the kernel refused, which `total` counts as lost, and why it refused the
    /// last one.
    refused: u32,
    errno: i32,
    no_buffers: bool,
    /// Whether the last probe was refused.
    is_refused: bool,
    /// How many probes may have been lost on this machine, which are counted nowhere else.
    doubtful: u32,
}

/// A reply that counts.
#[derive(Clone, Copy, Debug)]
struct Reply {
    /// How many bytes of ICMP it has.
    bytes: usize,
    rtt: Duration,
    from: Address,
    header: Header,
    times: Option<Times>,
}

/// A run in count mode or loop mode.
pub(super) struct Rounds<'a, 'o> {
    options: &'a Options,
    targets: &'a Targets,
    clock: &'a Clock,
    tallies: Vec<Tally>,
    /// With `-C`: the round-trip time of each probe of each target, in ticks; 0: not answered.
    values: Vec<u32>,
    /// Whether probes have lines.
    pub(super) has_lines: bool,
    /// When the next report is due.
    next_report: Option<(Instant, Report)>,
    /// Whether charts were defined.
    charts_defined: bool,
    /// ICMP errors that wait for the next line of their target, which clients want to see first.
    errors: BTreeMap<TargetId, Vec<String>>,
    /// The multicast groups, where they are probed by a rule of their own.
    groups: Groups,
    /// How many targets have answered.
    pub(super) alive: u32,
    pub(super) trips: Trips,
    pub(super) duplicates: u64,
    pub(super) output: &'a mut Output<'o>,
}

/// The schedules of targets, of which a packet may leave each `gap`.
pub(super) fn roster(
    options: &Options,
    targets: &Targets,
    gap: Duration,
    limits: &Limits,
    now: Instant,
) -> Result<(Roster, Groups), OutOfMemory> {
    let spacing = limits.spacing;
    let mut roster = Roster::new(now);
    // Late replies are ignored, so they need not be known.
    roster = roster.with_late(Duration::ZERO).unwrap_or_else(|_| Roster::new(now));
    let asked = options.period.clamp(spacing.max(*Schedule::PERIOD.start()), *Schedule::PERIOD.end());
    // A period that the rate cannot keep would leave out probes.
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    let period = asked.max(gap.saturating_mul(count)).min(*Schedule::PERIOD.end());
    let timeout = timeout(options).clamp(*Schedule::TIMEOUT.start(), *Schedule::TIMEOUT.end());
    let schedule = Schedule::default().with_count(options.count.unwrap_or(0));
    let schedule = schedule.with_period(period).and_then(|schedule| schedule.with_timeout(timeout)).unwrap_or(schedule);
    let all = targets.addresses().iter().zip(0..).map(|(&address, index)| (TargetId(index), address));
    let groups = Groups::new(all, options.count, period, limits.group_spacing, now)?;
    let manual = Schedule::manual().with_timeout(timeout).unwrap_or_else(|_| Schedule::manual());
    for (&address, nth) in targets.addresses().iter().zip(0..) {
        let phase = Phase::After(gap.saturating_mul(nth));
        let schedule = if groups.contains(TargetId(nth)) { manual } else { schedule.with_phase(phase) };
        roster.add(address, &schedule, now)?;
    }
    Ok((roster, groups))
}

/// So many intervals after `start` the next report is due; `None`: never.
fn next_report(report: Option<Report>, start: Instant, intervals: u32) -> Option<(Instant, Report)> {
    let report = report?;
    Some((start.checked_add(report.interval.saturating_mul(intervals))?, report))
}

/// How long a reply may take: the period, if nothing else is asked for.
fn timeout(options: &Options) -> Duration {
    const MAX_DEFAULT: Duration = Duration::from_millis(2000);
    options.timeout.unwrap_or(options.period.min(MAX_DEFAULT))
}

impl<'a, 'o> Rounds<'a, 'o> {
    pub(super) fn new(
        options: &'a Options,
        targets: &'a Targets,
        clock: &'a Clock,
        groups: Groups,
        now: Instant,
        output: &'a mut Output<'o>,
    ) -> Result<Self, OutOfMemory> {
        let columns = if options.values { options.count.unwrap_or(0) as usize } else { 0 };
        let cells = columns.checked_mul(targets.len()).ok_or(OutOfMemory::at(targets.len()))?;
        Ok(Rounds {
            options,
            targets,
            clock,
            tallies: try_filled(targets.len(), Tally::default())?,
            values: try_filled(cells, PENDING)?,
            // -q silences count mode only, -Q both.
            has_lines: options.report.is_none() && (options.is_endless || !options.quiet),
            next_report: next_report(options.report.filter(|report| !report.interval.is_zero()), now, 1),
            charts_defined: false,
            errors: BTreeMap::new(),
            groups,
            alive: 0,
            trips: Trips::default(),
            duplicates: 0,
            output,
        })
    }

    fn label(&self, target: TargetId) -> Label<'a> {
        Label { name: self.targets.name(target.index()), width: self.targets.width }
    }

    /// A probe has ended: with a reply of so many bytes of ICMP from somewhere, or without. `at`:
    /// when; `None`: it was refused.
    fn settle(
        &mut self,
        target: TargetId,
        attempt: u32,
        reply: Option<Reply>,
        at: Option<Instant>,
    ) -> ControlFlow<signal::Event> {
        let rtt = reply.map(|reply| reply.rtt);
        let tally = &mut self.tallies[target.index()];
        tally.is_refused = at.is_none();
        tally.total.record(rtt);
        tally.interval.record(rtt);
        if let Some(rtt) = rtt {
            self.alive += u32::from(tally.total.trips.count == 1);
            self.trips.add(rtt);
        }
        self.set_value(target, attempt, rtt);
        let Some(at) = at.filter(|_| self.has_lines) else { return ControlFlow::Continue(()) };
        let label = self.label(target);
        let tally = &self.tallies[target.index()];
        let stamp = self.options.timestamp.then(|| self.clock.stamp(at, self.options.stamp_format));
        let other = reply.filter(|reply| !self.targets.addresses()[target.index()].is_source(reply.from));
        let other = other.map(|reply| reply.from.to_string());
        let numbers = reply.map(|reply| (reply.bytes, reply.rtt));
        let times = reply.and_then(|reply| reply.times);
        let header = reply.map(|reply| reply.header).unwrap_or_default();
        if self.options.json {
            let (stamp, headers) = (stamp.as_deref(), (self.options.headers, &header));
            self.output.result(match numbers {
                Some(numbers) => {
                    fping::json_reply(label.name, stamp, attempt, numbers, times, other.as_deref(), headers)
                }
                None => fping::json_timeout(label.name, stamp, attempt),
            })?;
        } else {
            let line = fping::probe_line(label, attempt, numbers, &tally.total);
            let stamp = stamp.map_or(String::new(), |stamp| format!("[{stamp}] "));
            let header = reply.map_or(String::new(), |_| self.options.headers.text(&header));
            let times = times.map_or(String::new(), |times| fping::timestamps(&times, self.options.alive));
            if let Some(from) = other {
                self.output.message(format_args!(" [<- {from}]"))?;
            }
            self.output.result(format_args!("{stamp}{line}{times}{header}\n"))?;
        }
        self.tell_errors(target)
    }

    fn set_value(&mut self, target: TargetId, attempt: u32, rtt: Option<Duration>) {
        let columns = self.values.len() / self.tallies.len().max(1);
        if (attempt as usize) < columns {
            self.values[target.index() * columns + attempt as usize] = rtt.map_or(0, ticks);
        }
    }

    /// Writes the ICMP errors that wait for a line of `target`.
    fn tell_errors(&mut self, target: TargetId) -> ControlFlow<signal::Event> {
        let errors = self.errors.remove(&target).into_iter().flatten();
        let (json, output) = (self.options.json, &mut *self.output);
        errors.into_iter().try_for_each(|error| if json { output.result(error) } else { output.message(error) })
    }

    /// Writes the figures since the last report, or all of them.
    fn report(&mut self, cumulative: bool, charts: Option<Duration>) -> ControlFlow<signal::Event> {
        let outage = self.options.outage.then_some(self.options.period);
        let mut lines = String::new();
        for index in 0..self.tallies.len() {
            let target = TargetId(index as u32);
            let tally = &mut self.tallies[index];
            let interval = mem::take(&mut tally.interval);
            let figures = if cumulative { tally.total } else { interval };
            match charts {
                Some(every) => {
                    let first = (!self.charts_defined).then_some(every.as_secs_f64());
                    let name = self.targets.name(index);
                    lines += &fping::charts(self.targets.typed(index), name, &interval, first);
                }
                None if self.options.json => {
                    let time = Some(self.clock.seconds());
                    lines += &fping::json_figures(self.targets.name(index), &figures, outage, time);
                }
                None => lines += &fping::figures_line(self.label(target), &figures, outage),
            }
        }
        if charts.is_some() {
            self.charts_defined = true;
        }
        if charts.is_some() || self.options.json {
            return self.output.result(lines);
        }
        self.output.message(format_args!("[{}]\n", self.clock.time_of_day()))?;
        self.output.message(lines)
    }

    /// Writes the figures of all targets. Of those that could not be sent to, which is this
    /// machine's fault where the diagnosis says so, only what was sent counts. Returns how many
    /// targets did not answer.
    pub(super) fn finish(&mut self, diagnosis: &Diagnosis) -> (u32, ControlFlow<signal::Event>) {
        let waiting: Vec<TargetId> = self.errors.keys().copied().collect();
        let mut flow = waiting.into_iter().try_for_each(|target| self.tell_errors(target));
        let json = self.options.json;
        if self.has_lines && flow.is_continue() && !json {
            flow = self.output.message("\n");
        }
        let outage = self.options.outage.then_some(self.options.period);
        let columns = self.values.len() / self.tallies.len().max(1);
        let mut unreachable = 0;
        for index in 0..self.tallies.len() {
            let tally = self.tallies[index];
            let is_ours = diagnosis.fault[self.targets.addresses()[index].family()].is_some();
            let mut figures = tally.total;
            if is_ours {
                figures.sent -= tally.refused;
            }
            unreachable += u32::from(figures.trips.count == 0);
            if flow.is_break() || is_ours && figures.sent == 0 && tally.refused > 0 {
                continue;
            }
            let label = self.label(TargetId(index as u32));
            let line = match columns {
                0 if json => fping::json_figures(label.name, &figures, outage, None),
                0 => fping::figures_line(label, &figures, outage),
                _ => {
                    let values = &self.values[index * columns..(index + 1) * columns];
                    let ended = values.iter().rposition(|&value| value != PENDING).map_or(0, |last| last + 1);
                    let rtt = |&value: &u32| (value != 0 && value != PENDING).then(|| value * TICK);
                    let values = values[..ended].iter().map(rtt);
                    if json { fping::json_values(label.name, values) } else { fping::values_line(label, values) }
                }
            };
            flow = if json { self.output.result(line) } else { self.output.message(line) };
        }
        (unreachable, flow)
    }
}

impl Verdicts for Rounds<'_, '_> {
    fn verdicts(&self) -> impl Iterator<Item = (TargetId, Address, Verdict)> {
        let targets = self.tallies.iter().zip(self.targets.addresses()).zip(0..);
        targets.map(|((tally, &address), index)| {
            let verdict = match tally {
                Tally { total, .. } if total.trips.count > 0 => Verdict::Alive(Duration::ZERO),
                Tally { is_refused: true, refused, errno, no_buffers, .. } => {
                    let was_sent = tally.total.sent > *refused || tally.doubtful > 0;
                    Verdict::Refused { errno: *errno, no_buffers: *no_buffers, was_sent }
                }
                Tally { total, refused, .. } if total.sent > *refused => Verdict::Unreachable,
                Tally { doubtful, .. } if *doubtful > 0 => Verdict::Undecided,
                _ => Verdict::Unsettled,
            };
            (TargetId(index), address, verdict)
        })
    }

    fn invalid_replies(&self, _: TargetId) -> (bool, bool) {
        (false, false)
    }
}

impl Mode for Rounds<'_, '_> {
    type Strategy = Roster;

    fn handle(&mut self, event: &Event) -> ControlFlow<signal::Event> {
        self.groups.record(event);
        match *event {
            Event::Received {
                from,
                reply: Some(reply),
                kind: ReplyKind::Reply { target, attempt, rtt },
                ttl,
                tos,
                to,
                at,
                ..
            } => {
                // The same precision everywhere: clients compare the numbers.
                let rtt = ticks(rtt.max(MIN_RTT)) * TICK;
                let (bytes, times) = (reply.message_len(), Times::of(&reply, || since_1970(at), Some(rtt)));
                let header = Header { destination: to, tos, ttl };
                self.settle(target, attempt, Some(Reply { bytes, rtt, from, header, times }), Some(at))
            }
            Event::Received { kind: ReplyKind::Duplicate { .. }, .. } => {
                self.duplicates += 1;
                ControlFlow::Continue(())
            }
            Event::TimedOut(timed_out) => match timed_out.timeout {
                Timeout::Doubtful => {
                    let tally = &mut self.tallies[timed_out.target.index()];
                    tally.doubtful += 1;
                    tally.is_refused = false;
                    self.set_value(timed_out.target, timed_out.attempt, None);
                    ControlFlow::Continue(())
                }
                _ => self.settle(timed_out.target, timed_out.attempt, None, Some(crate::run::now())),
            },
            Event::SendError { probe, error, .. } => {
                let tally = &mut self.tallies[probe.target.index()];
                tally.refused += 1;
                (tally.errno, tally.no_buffers) = (error.errno(), error.is_no_buffers());
                self.settle(probe.target, probe.token.attempt, None, None)
            }
            Event::IcmpError { from, error, about: Some((target, _)), .. } if !self.options.quiet => {
                let (name, router) = (self.targets.name(target.index()), from.to_string());
                let line = fping::icmp_error(from.family(), error.msg_type, error.code, &router, name);
                let json = |line: String| fping::json_warning(name, line.trim_end());
                let line = line.map(|line| if self.options.json { json(line) } else { line });
                // The same one again tells nothing, and may come as often as a stranger likes.
                let errors = self.errors.entry(target).or_default();
                errors.extend(line.filter(|line| !errors.contains(line)));
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn handle_turn(&mut self, prober: &mut Prober<Roster>, now: Instant) -> ControlFlow<signal::Event> {
        self.groups.handle_turn(prober.strategy_mut(), now);
        let Some((next, report)) = self.next_report.filter(|&(next, _)| next <= now) else {
            return ControlFlow::Continue(());
        };
        // Those that were missed are left out.
        let late = now.saturating_duration_since(next).as_nanos() / report.interval.as_nanos();
        self.next_report = next_report(Some(report), next, u32::try_from(late + 1).unwrap_or(u32::MAX));
        self.report(report.cumulative, self.options.netdata.then_some(report.interval))
    }

    fn next_turn(&self) -> Option<Instant> {
        [self.next_report.map(|(next, _)| next), self.groups.next_turn()].into_iter().flatten().min()
    }

    fn handle_status(&mut self, _: &Prober<Roster>, _: Instant) -> ControlFlow<signal::Event, bool> {
        if self.has_lines && !self.options.json {
            self.output.message("\n")?;
        }
        self.report(self.options.report.is_some_and(|report| report.cumulative), None)?;
        ControlFlow::Continue(true)
    }

    fn handle_stop(&mut self, _: &mut Prober<Roster>, signal: &'static str, _: Instant) -> Option<End> {
        Some(End::Stopped(signal))
    }

    fn handle_deadline(&mut self, _: &mut Prober<Roster>) -> End {
        End::Complete
    }

    fn is_over(&self, prober: &Prober<Roster>, _: Instant) -> Option<End> {
        let required = self.options.reachable.filter(|_| self.options.ends_when_reached);
        let is_enough = required.is_some_and(|required| self.alive >= required);
        let is_over = is_enough || self.output.has_failed() || prober.is_done();
        is_over.then_some(End::Complete)
    }

    fn progress(&mut self, _: &Prober<Roster>, _: Instant) -> impl Display {
        String::new()
    }
}
