//! What a run comes to in the operator's words: failures, which decide the exit code, and warnings.

use std::io;
use std::time::Duration;

use multiping::address::Family;
use multiping::prober::{Diagnosis, Fault, Prober, Refusals, Sweep};

use crate::message::{Error, Warning};

/// From this time on, full buffers explain why a run took so long.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every target is settled.
    Complete,
    /// The signal of this name came.
    Stopped(&'static str),
    /// The deadline was reached, with this many targets unsettled.
    Deadline(usize),
}

/// Failures and warnings of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why it is a failure, if it is one; the worst first.
    pub failures: Vec<Error>,
    /// What the operator should know.
    pub warnings: Vec<Warning>,
}

impl Outcome {
    /// The outcome of a run that ended so.
    pub fn new(prober: &Prober<Sweep>, diagnosis: &Diagnosis, end: End) -> Self {
        let mut outcome = Outcome::default();
        let sweep = prober.strategy();
        let targets = sweep.addresses().len();
        outcome.failures.extend(match end {
            End::Complete => None,
            End::Stopped(signal) => Some(Error::Stopped(signal, sweep.settled(), targets)),
            End::Deadline(unsettled) => {
                let without_line = targets - sweep.alive() - diagnosis.unreachable;
                Some(Error::Deadline { unsettled, without_line, targets })
            }
        });
        for family in Family::BOTH {
            let Some(first) = diagnosis.refusals_of(family).next() else { continue };
            let unsent = diagnosis.refusals_of(family).map(|refusals| refusals.targets).sum();
            match diagnosis.fault[family] {
                None => {
                    outcome.warnings.extend(diagnosis.refusals_of(family).map(|refusals| {
                        Warning::Unsent(refusals.targets, refusals.first.to_string(), reason(refusals))
                    }))
                }
                // Said once: it is about both families.
                Some(Fault::NothingSent)
                    if outcome.failures.iter().any(|error| matches!(error, Error::NothingSent(_))) => {}
                Some(Fault::NothingSent) => outcome.failures.push(Error::NothingSent(reason(first))),
                Some(Fault::SendingFailed) => {
                    outcome.failures.push(Error::SendingFailed(family.name(), unsent, reason(first)));
                }
            }
        }
        if diagnosis.undecided > 0 {
            outcome.failures.push(Error::Undecided(diagnosis.undecided));
        }
        let counts = prober.counts();
        if counts.refunded > 0 {
            outcome.warnings.push(Warning::Overflow(counts.refunded));
        }
        if counts.no_buffers >= LONG_WAIT {
            outcome.warnings.push(Warning::NoBuffers(counts.no_buffers));
        }
        outcome
    }
}

fn reason(refusals: &Refusals) -> io::Error {
    io::Error::from_raw_os_error(refusals.errno)
}
