//! Batch mode: each target is asked until it has answered, and has one line in the end.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Stdout};
use std::mem;
use std::ops::ControlFlow;
use std::time::Instant;

use multiping::address::Addresses;
use multiping::plan::Plan;
use multiping::prober::{Details, Event, Prober, Sweep};
use multiping::token::Key;

use crate::cli::Json;
use crate::message::{Error, Exit, Warning};
use crate::notes::Notes;
use crate::report::json::{self, Packet};
use crate::report::{End, Format, Hosts, Outcome, Reserved, Results, Summary, reasons};
use crate::run::{Mode, Output, Session, diagnose, now, since_1970, tell, threads, time_of};
use crate::signal;
use crate::stdio::{self, Stream, Timeout};
use crate::swept::{BatchProgress, Swept};

/// Probes the targets of a session, and reports.
pub(super) fn run(mut session: Session, notes: &mut Notes) -> Result<Exit, Error> {
    let options = session.options;
    let addresses = mem::take(&mut session.list.addresses);
    let targets = addresses.len();
    if let Some(warning) = too_slow(&options.plan, targets, session.deadline) {
        notes.warn_now(&warning);
    } else if let Some(warning) = long_timeouts(&options.plan, targets, session.deadline) {
        // On a terminal there is time to interrupt it; elsewhere the first line is kept for
        // failures.
        if io::stderr().is_terminal() { notes.warn_now(&warning) } else { notes.warn([warning]) }
    }
    let reserved = if options.summary { Summary::reserve(targets)? } else { Reserved::default() };
    let keeps_details = options.json.is_some() || options.shows_icmp_errors();
    let stdout = || Stream::new(io::stdout(), Timeout::Signal(session.signals));
    let mut out = BufWriter::with_capacity(16 * 1024, stdout());
    if options.json.is_some() {
        if let Err(error) = session.write_opening(None, notes, &mut out) {
            // Dropping the buffer would write it once more, and could block once more.
            let _ = out.into_parts();
            return Err(Error::WriteResults(error));
        }
    }
    let shows_all = options.tells_all_icmp();
    let (Probed { end, probers, details }, packets) = match threads::start(&session, targets, notes) {
        None => probe(&mut session, addresses, keeps_details)?,
        Some(team) => (threads::probe(&mut session, team, addresses, keeps_details)?, None),
    };
    let swept = Swept::new(&probers, &details);
    let diagnosis = diagnose(session.link(), &probers, &swept);
    let mut outcome = Outcome::new(swept, &diagnosis, end, &session.zones);
    if let Some((_, reference)) = session.references.iter().next() {
        outcome.name_reference(session.zones.show(reference));
    }
    session.note(&mut outcome, notes);
    let exit = session.exit(&outcome, diagnosis.unreachable, swept.alive());
    let hosts = match packets {
        Some(Packets { mut output, hosts, .. }) => {
            output.finish()?;
            Some(hosts)
        }
        None => None,
    };
    let lines = hosts.as_ref().map_or(&session.list.lines, Hosts::lines);
    let results = Results { lines, swept, diagnosis: &diagnosis };
    let written = match options.json {
        None => results.write(Format::Xymon(options.lines), &mut out),
        Some(_) => {
            let stray = swept.counts().stray;
            let closing = session.closing(end, exit, stray, 0, notes);
            json::write_batch(&results, &session.list.unresolved, &closing, &mut out)
                .and_then(|()| io::Write::flush(&mut out))
        }
    };
    if let Err(error) = written {
        // Dropping the buffer would write it once more, and could block once more.
        let _ = out.into_parts();
        return Err(Error::WriteResults(error));
    }
    stdio::close_stdout().map_err(Error::WriteResults)?;
    if options.shows_icmp_errors() && !shows_all {
        notes.write(reasons::last_errors(&results, |address| session.links[0].is_remote(address)));
    }
    if options.summary {
        notes.summarize(Summary::new(results, session.drops(), now() - session.start, reserved));
    }
    // The kernel frees the memory of a process faster than destructors do.
    mem::forget((session, probers, out, hosts, details));
    Ok(exit)
}

/// A run that has ended, and what is known of the targets of each thread.
pub(super) struct Probed {
    pub(super) end: End,
    pub(super) probers: Vec<Prober<Sweep>>,
    /// Empty where no details are kept.
    pub(super) details: Vec<Details>,
}

/// Probes `addresses` in this thread, in the sandbox. Returns the records of packets as well, if
/// they are written.
fn probe<'a>(
    session: &mut Session<'a>,
    addresses: Addresses,
    keeps_details: bool,
) -> Result<(Probed, Option<Packets<'a>>), Error> {
    let options = session.options;
    let details = if keeps_details { Some(Details::new(addresses.len())?) } else { None };
    if options.json.is_some() {
        session.link().receive_ttl();
    }
    let packets = match options.json {
        Some(Json::Packets) => {
            let output = Output::new(Stream::new(io::stdout(), Timeout::Signal(session.signals)));
            let hosts = Hosts::new(mem::take(&mut session.list.lines), &addresses)?;
            Some(Packets { output, hosts, pending: Vec::new() })
        }
        _ => None,
    };
    let key = Key::new(session.secret.clone());
    let prober = Prober::sweep(&options.plan, addresses, key, session.link().idents(), now())?;
    let mut prober = session.prepare(prober)?;
    let mut batch = Batch { details, shows_all: options.tells_all_icmp(), packets };
    let end = session.probe(&mut batch, &mut prober, true)?;
    Ok((Probed { end, probers: vec![prober], details: batch.details.into_iter().collect() }, batch.packets))
}

/// Batch mode.
struct Batch<'a> {
    /// What is kept of each target beside what the engine keeps, if anything is.
    details: Option<Details>,
    /// Whether every ICMP message is shown as it comes.
    shows_all: bool,
    packets: Option<Packets<'a>>,
}

/// Records of packets.
struct Packets<'a> {
    output: Output<'a, Stdout>,
    hosts: Hosts,
    /// What happened in this turn, and when.
    pending: Vec<(Packet, Instant)>,
}

impl Mode for Batch<'_> {
    type Strategy = Sweep;

    fn handle(&mut self, event: &Event) -> ControlFlow<signal::Event> {
        if let Some(details) = &mut self.details {
            details.record(event);
        }
        if let Some(packets) = &mut self.packets {
            packets.pending.extend(Packet::of(event).map(|packet| (packet, time_of(event))));
        }
        if self.shows_all {
            tell(reasons::message(event));
        }
        ControlFlow::Continue(())
    }

    fn handle_turn(&mut self, prober: &mut Prober<Sweep>, _: Instant) -> ControlFlow<signal::Event> {
        let Some(Packets { output, hosts, pending }) = &mut self.packets else { return ControlFlow::Continue(()) };
        let addresses = prober.strategy().addresses();
        for (packet, at) in pending.drain(..) {
            if let Some((shown, label)) = hosts.parts(packet.target, addresses) {
                // Writing to memory does not fail.
                let _ = packet.write(since_1970(at), shown, label, &mut output.buffer);
            }
        }
        output.flush()
    }

    fn has_output(&self, _: Instant) -> bool {
        self.packets.as_ref().is_some_and(|packets| !packets.pending.is_empty())
    }

    fn is_over(&self, prober: &Prober<Sweep>, _: Instant) -> Option<End> {
        let failed = self.packets.as_ref().is_some_and(|packets| packets.output.has_failed());
        (failed || prober.is_done()).then_some(End::Complete)
    }

    fn handle_stop(&mut self, _: &mut Prober<Sweep>, signal: &'static str, _: Instant) -> Option<End> {
        Some(End::Stopped(signal))
    }

    fn handle_deadline(&mut self, prober: &mut Prober<Sweep>) -> End {
        End::Deadline(prober.stop())
    }

    fn progress(&mut self, prober: &Prober<Sweep>, now: Instant) -> impl Display {
        BatchProgress::of(prober, now)
    }
}

/// The warning that a list cannot be probed by the deadline. It is worth giving before the run,
/// while there is time to interrupt it.
fn too_slow(plan: &Plan, targets: usize, deadline: Option<Instant>) -> Option<Warning> {
    let needed = targets.saturating_sub(1) as f64 / plan.rate().pps()?; // the first is sent at once
    let available = deadline?.saturating_duration_since(now());
    (needed > available.as_secs_f64()).then_some(Warning::TooSlow(targets, needed))
}

/// The warning that a silent target has no result by the deadline.
fn long_timeouts(plan: &Plan, targets: usize, deadline: Option<Instant>) -> Option<Warning> {
    let (needed, available) = (plan.total_timeout(), deadline?.saturating_duration_since(now()));
    (targets > 0 && needed > available).then_some(Warning::LongTimeouts(needed.as_secs_f64()))
}
