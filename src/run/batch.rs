//! Batch mode: each target is asked until it has answered, and has one line in the end.

use std::fmt::{self, Display, Formatter};
use std::io::{self, BufWriter, IsTerminal};
use std::mem;
use std::time::Instant;

use multiping::plan::Plan;
use multiping::prober::{Prober, Sweep};
use multiping::token::Key;

use crate::message::{Error, Exit, Warning};
use crate::notes::Notes;
use crate::report::{End, Format, Outcome, Reserved, Results, Summary};
use crate::run::{Mode, Session, diagnose, now};
use crate::stdio::{self, Stream, Timeout};

/// Batch mode.
struct Batch;

/// Probes the targets of a session, and reports.
pub(super) fn run(mut session: Session, notes: &mut Notes) -> Result<Exit, Error> {
    let options = session.options;
    let addresses = mem::take(&mut session.list.addresses);
    let targets = addresses.len();
    if let Some(warning) = too_slow(&options.plan, targets, session.deadline) {
        notes.say(warning);
    } else if let Some(warning) = long_timeouts(&options.plan, targets, session.deadline) {
        // On a terminal there is time to interrupt it; elsewhere the first line is kept for failures.
        if io::stderr().is_terminal() { notes.say(warning) } else { notes.warn([warning]) }
    }
    let reserved = if options.summary { Summary::reserve(targets)? } else { Reserved::default() };
    let mut out = BufWriter::with_capacity(16 * 1024, Stream::new(io::stdout(), Timeout::Signal(session.signals)));
    let key = Key::new(session.secret.clone());
    let prober = Prober::sweep(&options.plan, addresses, key, session.link.idents(), now())?;
    let mut prober = session.prepare(prober);
    let end = session.probe(&mut Batch, &mut prober, true)?;
    let diagnosis = diagnose(&mut session.link, &prober, prober.strategy());
    let mut outcome = Outcome::new(&prober, &diagnosis, end, &session.zones);
    session.note(&mut outcome, notes);
    let results = Results { lines: &session.list.lines, prober: &prober, diagnosis: &diagnosis };
    if let Err(error) = results.write(Format::Xymon(options.lines), &mut out) {
        // Dropping the buffer would write it once more, and could block once more.
        let _ = out.into_parts();
        return Err(Error::WriteResults(error));
    }
    stdio::close_stdout().map_err(Error::WriteResults)?;
    if options.summary {
        notes.summarize(Summary::new(results, session.link.drops(), now() - session.start, reserved));
    }
    let exit = session.exit(&outcome, diagnosis.unreachable, prober.strategy().alive());
    // The kernel frees the memory of a process faster than destructors do.
    mem::forget((session, prober, out));
    Ok(exit)
}

impl Mode for Batch {
    type Strategy = Sweep;

    fn handle_stop(&mut self, _: &mut Prober<Sweep>, signal: &'static str, _: Instant) -> Option<End> {
        Some(End::Stopped(signal))
    }

    fn handle_deadline(&mut self, prober: &mut Prober<Sweep>) -> End {
        End::Deadline(prober.stop())
    }

    fn progress(&mut self, prober: &Prober<Sweep>, now: Instant) -> impl Display {
        Progress { prober, now }
    }
}

struct Progress<'a> {
    prober: &'a Prober<Sweep>,
    now: Instant,
}

impl Display for Progress<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Progress { prober, now } = self;
        let sweep = prober.strategy();
        let (alive, silent) = (sweep.alive(), sweep.silent());
        let remaining = prober.remaining(*now).as_secs_f64().ceil();
        write!(f, "{} of {} probed, ", sweep.tried(), sweep.addresses().len())?;
        write!(f, "{alive} alive, {silent} silent, about {remaining} s left")
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
