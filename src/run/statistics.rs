//! Runs with statistics: each target is probed again and again, replies are shown as they come, and
//! the figures in the end.

use std::fmt::Display;
use std::io::{self, IsTerminal};
use std::mem;
use std::ops::ControlFlow;
use std::slice;
use std::time::{Duration, Instant};

use multiping::address::{Address, Family, TargetId};
use multiping::alloc::try_filled;
use multiping::plan::IcmpErrors;
use multiping::prober::{Diagnosis, Event, Prober, ReplyKind, Roster};
use multiping::stats::Counter;
use multiping::token::Key;
use multiping::wire::Reply;

use crate::cli::{Bell, Json, Statistics};
use crate::figures::Figures;
use crate::memory;
use crate::message::{Error, Exit, Warning};
use crate::notes::Notes;
use crate::report::json::{self, Finished, Intervals};
use crate::report::{
    End, EventContext, EventLines, Flood, Host, Hosts, Outcome, Packed, Progress, ReplyLines, Table, ping, reasons,
    sizes,
};
use crate::run::groups::Groups;
use crate::run::schedules::roster;
use crate::run::sizes::SizeRun;
use crate::run::{Mode, Output, Session, diagnose, now, since_1970, tell, time_of};
use crate::signal;
use crate::stdio::{self, Stream, Timeout};

/// More lines than this in a second cannot be read on a terminal.
const MAX_READABLE: f64 = 20.0;

/// With more targets than this the RTTs of duplicates are not shown: for them every probe would
/// have to be known until nothing can come any more, which takes another kilobyte a target.
const MAX_WITH_DUPLICATE_RTTS: usize = 1000;

/// How many probes back a duplicate is known without its RTT.
const KNOWN_DUPLICATES: usize = 64;

/// Probes the targets of a session, and reports.
pub(super) fn run(statistics: Statistics, mut session: Session, notes: &mut Notes) -> Result<Exit, Error> {
    let plan = &session.options.plan;
    let addresses = mem::take(&mut session.list.addresses);
    let (statistics, warning) = statistics.within_rate(plan, addresses.len(), session.references.len());
    warning.into_iter().for_each(|warning| notes.warn_now(&warning));
    let settings = statistics.settings(plan);
    let (needed, available) = (addresses.len() as u64 * settings.bytes_per_target(), memory::available());
    if needed > available {
        return Err(Error::TooMuchMemory { needed, available });
    }
    let (is_json, icmp_errors) = (session.options.json.is_some(), session.options.icmp_errors());
    let stdout = io::stdout();
    let is_terminal = stdout.is_terminal();
    let mut output = Output::new(Stream::new(stdout, Timeout::Signal(session.signals)));
    if is_json {
        session.write_opening(Some(&statistics), notes, &mut output.buffer).map_err(Error::WriteResults)?;
    }
    let hosts = Hosts::new(mem::take(&mut session.list.lines), &addresses)?;
    session.link().receive_ttl();
    let lines_a_second = addresses.len() as f64 / statistics.period.as_secs_f64();
    let mut shows_replies = !statistics.quiet && !is_json;
    if shows_replies && is_terminal && !statistics.flood && !statistics.searches() && lines_a_second > MAX_READABLE {
        shows_replies = false;
        notes.warn_now(&Warning::NotReadable(lines_a_second));
    }
    let lines: Option<Box<dyn EventLines>> = if is_json {
        (session.options.json == Some(Json::Packets)).then(|| Box::new(json::Packets) as Box<dyn EventLines>)
    } else if statistics.packed && (shows_replies || statistics.show_lost) {
        Some(Box::new(Packed { show_replies: shows_replies }))
    } else if shows_replies && statistics.flood {
        Some(Box::new(Flood))
    } else if shows_replies || statistics.show_lost {
        let (unit, show_lost) = (statistics.style.unit, statistics.show_lost);
        let show_errors = shows_replies && matches!(icmp_errors, IcmpErrors::Report | IcmpErrors::Fail);
        let (own, data) = (session.link().local_addresses().to_vec(), session.options.packet.data());
        let routes = if session.options.packet.record_route() { addresses.len() } else { 0 };
        let routes = try_filled(routes, None)?;
        Some(Box::new(ReplyLines { routes, unit, show_replies: shows_replies, show_lost, show_errors, own, data }))
    } else {
        None
    };
    let start = now();
    let figures = Figures::new(addresses, settings, start)?;
    let spacing = session.limits.group_spacing;
    let groups = Groups::new(figures.addresses().iter(), statistics.count, statistics.period, spacing, start)?;
    if groups.period() > statistics.period {
        notes.warn_now(&Warning::GroupsPaced(groups.len(), groups.period()));
    }
    let mut roster = roster(&statistics, &session, &figures, &groups)?;
    let shows_duplicates = lines.is_some() && figures.addresses().len() <= MAX_WITH_DUPLICATE_RTTS;
    if !shows_duplicates && !statistics.all_rtts && settings.window() <= KNOWN_DUPLICATES {
        roster = roster.without_duplicate_rtts();
    }
    let (rate, key) = (plan.rate(), Key::new(session.secret.clone()));
    let prober = Prober::new(roster, rate, plan.check_source(), key, session.link().idents(), start);
    let mut prober = session.prepare(prober)?;
    let spacing = session.limits.spacing.max(statistics.period);
    let sizes = statistics.sizes.map(|sizing| SizeRun::new(sizing, figures.addresses(), spacing, start)).transpose()?;
    if let Some(sizes) = &sizes {
        prober = prober.with_sizes(sizes.sizes()?);
    }
    let records = match is_json {
        false => None,
        true => {
            let targets = figures.addresses().len();
            Some(Records { intervals: statistics.report_every.map(|_| Intervals::new(targets)).transpose()? })
        }
    };
    let mut run = Run {
        lines,
        records,
        sizes,
        groups,
        output,
        next_report: statistics.report_every.map(|interval| start + interval),
        missed: try_filled(if statistics.bell == Some(Bell::Missed) { figures.addresses().len() } else { 0 }, 0)?,
        rings: false,
        icmp_errors,
        satisfied: Vec::new(),
        is_ping: shows_replies
            && !statistics.searches()
            && !statistics.packed
            && !statistics.flood
            && figures.addresses().len() == 1,
        last_late: None,
        stopped: None,
        figures,
        hosts,
        statistics,
    };
    run.write_ping_header(session.options.packet.data_len());
    let end = session.probe(&mut run, &mut prober, !(shows_replies && is_terminal))?;
    let diagnosis = diagnose(session.link(), slice::from_ref(&prober), &run.figures);
    run.figures.sum_up();
    let unfinished = run.stopped.map_or(0, |(_, unfinished)| unfinished);
    let mut outcome = Outcome::of_statistics(&prober, &run.figures, &diagnosis, end, unfinished, &session.zones);
    session.note(&mut outcome, notes);
    let exit = session.exit(&outcome, diagnosis.unreachable, run.figures.answering());
    run.output.begin_last();
    match run.records.take() {
        Some(_) => {
            let counts = prober.counts();
            let (slipped, skipped) = run.figures.slips(prober.strategy().slips());
            let closing = session.closing(end, exit, counts.stray, slipped + skipped, notes);
            let finished = Finished {
                figures: &run.figures,
                hosts: &run.hosts,
                diagnosis: &diagnosis,
                style: &run.statistics.style,
                sizes: run.sizes.as_ref().map(SizeRun::found).unwrap_or_default(),
                unresolved: &session.list.unresolved,
                damaged: counts.damaged,
                elapsed: run.elapsed(now()),
            };
            // What cannot be written is told of by `finish`.
            let _ = finished.write(&closing, &mut run.output);
        }
        None => {
            run.write_table(now(), Some(&diagnosis));
            run.write_sizes();
            run.write_ping_statistics(now());
        }
    }
    run.output.finish()?;
    stdio::close_stdout().map_err(Error::WriteResults)?;
    // The kernel frees the memory of a process faster than destructors do.
    mem::forget((session, prober, run.figures, run.hosts));
    Ok(exit)
}

/// A run with statistics.
struct Run<'a, D> {
    statistics: Statistics,
    figures: Figures,
    hosts: Hosts,
    /// What writes a line for each reply, if anything.
    lines: Option<Box<dyn EventLines>>,
    /// With `--json`: what the records need beside the figures.
    records: Option<Records>,
    /// Where probes have many sizes: what is found by that.
    sizes: Option<SizeRun>,
    /// The multicast groups, where they are probed by a rule of their own.
    groups: Groups,
    output: Output<'a, D>,
    next_report: Option<Instant>,
    /// With `--bell=missed`: how many probes to each target were unanswered at most.
    missed: Vec<u32>,
    /// Whether the bell is to sound.
    rings: bool,
    /// What becomes of ICMP errors.
    icmp_errors: IcmpErrors,
    /// Targets that need no more probes: they have answered often enough, or cannot be reached.
    satisfied: Vec<TargetId>,
    /// Whether there is one target, so that programs that read ping(8)'s output may read this.
    is_ping: bool,
    /// Until when replies to lost probes are waited for, once nothing is in flight.
    last_late: Option<Instant>,
    /// The signal that has stopped it, and how many targets were not done when it came.
    stopped: Option<(&'static str, usize)>,
}

/// What JSON records need beside the figures.
struct Records {
    intervals: Option<Intervals>,
}

/// The signal that is the planned end of a run.
const PLANNED: &str = "SIGINT";

impl<D: std::os::fd::AsFd> Mode for Run<'_, D> {
    type Strategy = Roster;

    fn handle(&mut self, event: &Event) -> ControlFlow<signal::Event> {
        self.figures.record(event);
        if let Some(Records { intervals: Some(intervals) }) = &mut self.records {
            intervals.record(event);
        }
        self.groups.record(event);
        if let Some(sizes) = &mut self.sizes {
            sizes.record(event);
        }
        match *event {
            Event::Received { kind: ReplyKind::Reply { target, .. }, .. } => self.handle_reply(target),
            Event::Sent { probe, .. } if !self.missed.is_empty() => {
                self.handle_sent(probe.target, probe.token.attempt);
            }
            Event::IcmpError { error, about: Some((target, _)), .. }
                if self.icmp_errors == IcmpErrors::Fail && error.is_failure() =>
            {
                self.satisfied.push(target);
            }
            _ => {}
        }
        if self.icmp_errors == IcmpErrors::All && self.records.is_none() {
            tell(reasons::message(event));
        }
        if let Some(lines) = &mut self.lines {
            let has_time = self.statistics.timestamps || self.records.is_some();
            let is_query = matches!(event, Event::Received { reply: Some(Reply::Query(_)), .. });
            let time = (has_time || is_query).then(|| since_1970(time_of(event)));
            let stamp = time.filter(|_| has_time);
            // Writing to memory does not fail.
            let context = EventContext { event, stamp, time, figures: &self.figures, hosts: &self.hosts };
            let _ = lines.write(&mut self.output.buffer, &context);
        }
        ControlFlow::Continue(())
    }

    fn has_output(&self, now: Instant) -> bool {
        !self.output.buffer.is_empty() || self.rings || self.next_report.is_some_and(|next| next <= now)
    }

    fn handle_turn(&mut self, prober: &mut Prober<Roster>, now: Instant) -> ControlFlow<signal::Event> {
        for target in mem::take(&mut self.satisfied) {
            let roster = prober.strategy_mut();
            if let Some(id) = roster.id(target) {
                roster.finish(id);
            }
        }
        self.groups.handle_turn(prober.strategy_mut(), now);
        if let Some(sizes) = &mut self.sizes {
            sizes.handle_turn(prober, now);
        }
        if self.last_late.is_none() && self.stopped.is_none() && prober.is_done() {
            // Unlike what is in flight, what is lost is waited for only if that is asked for.
            self.last_late = Some(now + self.statistics.late.unwrap_or_default());
        }
        let due = self.next_report.filter(|&next| next <= now).zip(self.statistics.report_every);
        if let Some((next, interval)) = due {
            // Reports that were missed while the process was stopped are skipped.
            let late = now.saturating_duration_since(next).as_nanos() / interval.as_nanos();
            self.next_report = Some(next + interval * (late as u32 + 1));
            self.write_report(now);
        }
        if mem::take(&mut self.rings) {
            self.output.buffer.push(b'\x07');
        }
        self.output.flush()
    }

    fn next_turn(&self) -> Option<Instant> {
        let next_size = self.sizes.as_ref().and_then(SizeRun::next_turn);
        [self.next_report, next_size, self.groups.next_turn(), self.last_late].into_iter().flatten().min()
    }

    fn handle_stop(&mut self, prober: &mut Prober<Roster>, signal: &'static str, _: Instant) -> Option<End> {
        if self.stopped.is_some() {
            return Some(self.end());
        }
        let roster = prober.strategy_mut();
        self.stopped = Some((signal, roster.open()));
        self.last_late = None;
        for (target, _) in self.figures.addresses().iter() {
            if let Some(id) = roster.id(target) {
                roster.finish(id);
            }
        }
        None
    }

    fn handle_deadline(&mut self, prober: &mut Prober<Roster>) -> End {
        let unfinished = prober.strategy().open();
        match self.statistics.count.filter(|_| self.stopped.is_none()) {
            Some(_) if unfinished > 0 => End::Deadline(unfinished),
            _ => self.end(),
        }
    }

    fn is_over(&self, prober: &Prober<Roster>, now: Instant) -> Option<End> {
        let enough = self.statistics.reachable.is_some_and(|enough| self.figures.answering() >= enough as usize);
        let is_done = prober.is_done() && self.last_late.is_none_or(|last| last <= now || self.figures.lossy() == 0);
        (enough || is_done || self.output.has_failed()).then(|| self.end())
    }

    fn progress(&mut self, _: &Prober<Roster>, now: Instant) -> impl Display {
        self.figures.sum_up();
        Progress { figures: &self.figures, unit: self.statistics.style.unit, elapsed: self.elapsed(now) }
    }
}

impl<D: std::os::fd::AsFd> Run<'_, D> {
    /// How the run ends, if it ends now.
    fn end(&self) -> End {
        match self.stopped {
            None | Some((PLANNED, _)) => End::Complete,
            Some((signal, _)) => End::Stopped(signal),
        }
    }

    /// How long the run has taken.
    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.figures.start())
    }

    fn handle_reply(&mut self, target: TargetId) {
        self.rings |= self.statistics.bell == Some(Bell::Received);
        if let Some(enough) = self.statistics.stop_after {
            let answered = self.figures.stats(target).map_or(0, |stats| stats.counts().get(Counter::Answered));
            if answered == u64::from(enough) {
                self.satisfied.push(target);
            }
        }
    }

    /// Sounds the bell where more probes are unanswered than ever before, apart from the one that
    /// was just sent.
    fn handle_sent(&mut self, target: TargetId, attempt: u32) {
        let Some(stats) = self.figures.stats(target) else { return };
        // What this machine did not send, or may have lost, was not missed.
        let of = |counter| stats.counts().get(counter);
        let others = [Counter::Answered, Counter::Late, Counter::SendErrors, Counter::Doubtful].map(of);
        let missed = u64::from(attempt).saturating_sub(others.into_iter().sum());
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        if let Some(most) = self.missed.get_mut(target.index()).filter(|most| missed > **most) {
            *most = missed;
            self.rings = true;
        }
    }

    /// The one target, where the output is like ping(8)'s.
    fn pinged(&self) -> Option<(TargetId, Host<'_>)> {
        let (target, _) = self.figures.addresses().iter().next().filter(|_| self.is_ping)?;
        Some((target, self.hosts.name(target, self.figures.addresses())?))
    }

    fn write_ping_header(&mut self, size: usize) {
        let mut out = Vec::new();
        if let Some((target, host)) = self.pinged() {
            let family = self.figures.addresses().get(target).map_or(Family::V4, Address::family);
            // Writing to memory does not fail.
            let _ = ping::write_header(&mut out, &host.shown.to_string(), host.label, family, size);
        }
        self.output.buffer.append(&mut out);
    }

    fn write_ping_statistics(&mut self, now: Instant) {
        let mut out = Vec::new();
        let elapsed = self.elapsed(now);
        if let Some((target, host)) = self.pinged() {
            let name = if host.label.is_empty() { host.shown.to_string() } else { host.label.to_owned() };
            let stats = self.figures.stats(target);
            let _ = stats.map(|stats| ping::write_statistics(&mut out, &name, stats, elapsed));
        }
        self.output.buffer.append(&mut out);
    }

    /// Writes what is found by probes of many sizes.
    fn write_sizes(&mut self) {
        if let Some(found) = self.sizes.as_ref().map(SizeRun::found) {
            // Writing to memory does not fail.
            let _ = sizes::write(&mut self.output.buffer, found, &self.figures, &self.hosts);
        }
    }

    /// Writes the figures so far, for people, or what happened since the last time, for programs.
    fn write_report(&mut self, now: Instant) {
        match &mut self.records {
            None => {
                self.write_table(now, None);
                self.output.buffer.push(b'\n');
            }
            Some(Records { intervals: Some(intervals) }) => {
                // What cannot be written is told of in the end.
                let _ = intervals.write(since_1970(now), &self.figures, &self.hosts, &mut self.output);
            }
            Some(_) => {}
        }
    }

    /// Writes the figures so far, or with the `diagnosis` of the whole run.
    fn write_table(&mut self, now: Instant, diagnosis: Option<&Diagnosis>) {
        self.figures.sum_up();
        if self.statistics.flood && self.lines.is_some() {
            self.output.buffer.push(b'\n');
        }
        let (style, elapsed) = (&self.statistics.style, self.elapsed(now));
        let table = Table { figures: &self.figures, hosts: &self.hosts, style, elapsed, diagnosis };
        // What cannot be written is told of in the end.
        let _ = table.write(&mut self.output);
    }
}
