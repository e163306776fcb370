//! What a run comes to in the operator's words: failures, which decide the exit code, and warnings.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use multiping::address::Family;
use multiping::prober::{Diagnosis, Prober, Refusals, Roster};
use multiping::stats::Counter;

use crate::figures::Figures;
use crate::list::Zones;
use crate::message::{Error, Warning};
use crate::swept::Swept;

/// From this time on, full buffers explain why a run took so long.
const LONG_WAIT: Duration = Duration::from_secs(1);

/// If not one of this many targets answers, it is likely that the fault is this machine's or its
/// network's.
const MANY: usize = 10;

/// Why a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every target is settled.
    Complete,
    /// The signal of this name came.
    Stopped(&'static str),
    /// The deadline was reached, with this many targets unsettled.
    Deadline(usize),
    /// The socket of this family cannot be read, for this errno.
    ReceivingFailed(Family, i32),
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
    pub fn new(swept: Swept, diagnosis: &Diagnosis, end: End, zones: &Zones) -> Self {
        let mut outcome = Outcome::default();
        let targets = swept.len();
        let without_line = targets - swept.alive() - diagnosis.unreachable;
        outcome.failures.extend(match end {
            End::Complete => None,
            End::Stopped(signal) => Some(Error::Stopped(signal, swept.settled(), targets)),
            End::Deadline(unsettled) => Some(Error::Deadline { unsettled, without_line, targets }),
            End::ReceivingFailed(family, errno) => {
                let error = io::Error::from_raw_os_error(errno);
                Some(Error::ReceivingFailed(family.name(), error, Some((without_line, targets))))
            }
        });
        outcome.add_refusals(diagnosis, swept.sent_outward(), zones, |family, targets, first, why| {
            Error::SendingFailed { family: family.name(), targets, first, why }
        });
        if diagnosis.no_reference {
            outcome.failures.push(Error::NoReference(diagnosis.undecided, "ADDRESS".to_owned()));
        } else if diagnosis.undecided > 0 {
            outcome.failures.push(Error::Undecided(diagnosis.undecided));
        }
        outcome.warnings.extend(warnings(swept, diagnosis, zones));
        outcome
    }

    /// The outcome of a run with statistics that ended so, with its figures summed up.
    /// `unfinished`: how many targets were, when a signal came.
    pub fn of_statistics(
        prober: &Prober<Roster>,
        figures: &Figures,
        diagnosis: &Diagnosis,
        end: End,
        unfinished: usize,
        zones: &Zones,
    ) -> Self {
        let mut outcome = Outcome::default();
        let (targets, counts) = (figures.addresses().len(), prober.counts());
        outcome.failures.extend(match end {
            End::Complete => None,
            End::Stopped(signal) => Some(Error::CutShort(signal, unfinished, targets)),
            End::Deadline(unfinished) => Some(Error::CutShort("--deadline", unfinished, targets)),
            End::ReceivingFailed(family, errno) => {
                let error = io::Error::from_raw_os_error(errno);
                Some(Error::ReceivingFailed(family.name(), error, Some((targets - figures.answering(), targets))))
            }
        });
        outcome.add_refusals(diagnosis, prober.sent_outward(), zones, |family, targets, first, why| {
            Error::NotSent(family.name(), targets, first, why)
        });
        if diagnosis.undecided > 0 {
            outcome.failures.push(Error::Doubtful(diagnosis.undecided));
        }
        let (slipped, skipped) = figures.slips(prober.strategy().slips());
        let doubtful = figures.totals().counts().get(Counter::Doubtful);
        let warnings = [
            (counts.discard_refunds > 0).then_some(Warning::Discarded(counts.discard_refunds)),
            (doubtful > counts.discard_refunds)
                .then_some(Warning::DoubtfulProbes(doubtful.saturating_sub(counts.discard_refunds))),
            (slipped + skipped > 0).then_some(Warning::Slipped(slipped, skipped)),
            (counts.no_buffers >= LONG_WAIT).then_some(Warning::NoBuffers(counts.no_buffers)),
        ];
        outcome.warnings.extend(warnings.into_iter().flatten());
        outcome
    }

    /// Names the first of the references, where it is a failure that none answered.
    pub fn name_reference(&mut self, name: impl Display) {
        for failure in &mut self.failures {
            if let Error::NoReference(_, first) = failure {
                *first = name.to_string();
            }
        }
    }

    /// Adds what could not be sent: a failure, by `failure`, where that is this machine's fault.
    fn add_refusals(
        &mut self,
        diagnosis: &Diagnosis,
        sent_outward: bool,
        zones: &Zones,
        failure: impl Fn(Family, usize, String, io::Error) -> Error,
    ) {
        for family in Family::BOTH {
            let refusals = || diagnosis.refusals_of(family);
            let Some(first) = refusals().next() else { continue };
            let targets = refusals().map(|refusals| refusals.targets).sum();
            match diagnosis.fault[family] {
                None => self.warnings.extend(refusals().map(|refusals| {
                    let first = zones.show(refusals.first).to_string();
                    Warning::Refused(refusals.targets, first, reason(refusals))
                })),
                Some(_) if sent_outward => {
                    let target = zones.show(first.first).to_string();
                    self.failures.push(failure(family, targets, target, reason(first)));
                }
                // Said once: it is about both families.
                Some(_) if self.failures.iter().any(|error| matches!(error, Error::NothingSent(..))) => {}
                Some(_) => {
                    let target = zones.show(first.first).to_string();
                    self.failures.push(Error::NothingSent(target, reason(first)));
                }
            }
        }
    }
}

/// What went wrong without making the run a failure.
fn warnings(swept: Swept, diagnosis: &Diagnosis, zones: &Zones) -> impl Iterator<Item = Warning> {
    let counts = swept.counts();
    let targets = swept.len();
    let first = diagnosis.answered.first.map(|first| zones.show(first).to_string());
    let none_answered = targets >= MANY && diagnosis.unreachable == targets && diagnosis.answered.targets == 0;
    [
        (counts.overflow_refunds > 0).then_some(Warning::Overflow(counts.overflow_refunds)),
        (counts.link_refunds > 0).then_some(Warning::LinkLost(counts.link_refunds)),
        (counts.discard_refunds > 0).then_some(Warning::Discarded(counts.discard_refunds)),
        (counts.reference_refunds > 0).then_some(Warning::ReferenceSilent(counts.reference_refunds)),
        (counts.queued > 0 || counts.queue_refunds > 0).then_some(Warning::Queued {
            replies: counts.queued,
            longest: counts.longest_queued,
            refunds: counts.queue_refunds,
        }),
        (counts.no_buffers >= LONG_WAIT).then_some(Warning::NoBuffers(counts.no_buffers)),
        (diagnosis.answered.targets > 0).then_some(Warning::DidAnswer(diagnosis.answered, first)),
        none_answered.then_some(Warning::NoneAnswered(targets)),
    ]
    .into_iter()
    .flatten()
}

fn reason(refusals: &Refusals) -> io::Error {
    io::Error::from_raw_os_error(refusals.errno)
}
