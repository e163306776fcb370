//! Batch mode: each target is asked until it has answered, and has one line in the end.

use std::fmt::{self, Display, Formatter};
use std::time::Instant;

use multiping::plan::Plan;
use multiping::prober::{Prober, Sweep};

use crate::message::Warning;
use crate::report::End;
use crate::run::{Mode, now};

/// Batch mode.
pub struct Batch;

impl Mode for Batch {
    type Strategy = Sweep;

    fn handle_stop(&mut self, _: &mut Prober<Sweep>, signal: &'static str, _: Instant) -> Option<End> {
        Some(End::Stopped(signal))
    }

    fn handle_deadline(&mut self, prober: &mut Prober<Sweep>) -> End {
        End::Deadline(prober.stop())
    }

    fn progress(&self, prober: &Prober<Sweep>, now: Instant) -> impl Display {
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
        let (alive, silent) = (sweep.alive(), sweep.settled() - sweep.alive());
        let remaining = prober.remaining(*now).as_secs_f64().ceil();
        write!(f, "{} of {} probed, ", sweep.tried(), sweep.addresses().len())?;
        write!(f, "{alive} alive, {silent} silent, about {remaining} s left")
    }
}

/// The warning that a list cannot be probed by the deadline. It is worth giving before the run,
/// while there is time to interrupt it.
pub fn too_slow(plan: &Plan, targets: usize, deadline: Option<Instant>) -> Option<Warning> {
    let needed = targets.saturating_sub(1) as f64 / plan.rate().pps()?; // the first is sent at once
    let available = deadline?.saturating_duration_since(now());
    (needed > available.as_secs_f64()).then_some(Warning::TooSlow(targets, needed))
}
