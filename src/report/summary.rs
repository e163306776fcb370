//! `--summary`: the figures of a run, for people.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use multiping::alloc::{OutOfMemory, try_with_capacity};
use multiping::tally::{TICK, Verdict};

use crate::report::Results;

/// The figures of a run.
pub struct Summary<'a> {
    results: Results<'a>,
    /// How many replies or damaged packets the kernel dropped.
    drops: u64,
    elapsed: Duration,
    /// The RTT of every alive target, in ticks; sorted.
    rtts: Vec<u32>,
}

/// Memory for the RTTs of a summary, reserved before the run.
#[derive(Default)]
pub struct Reserved(Vec<u32>);

impl<'a> Summary<'a> {
    /// Reserves memory for the summary of this many targets.
    pub fn reserve(targets: usize) -> Result<Reserved, OutOfMemory> {
        try_with_capacity(targets).map(Reserved)
    }

    /// Sums up a run that took `elapsed`, in which the kernel dropped this many packets.
    pub fn new(results: Results<'a>, drops: u64, elapsed: Duration, Reserved(mut rtts): Reserved) -> Self {
        let swept = results.swept;
        rtts.extend(swept.targets().filter_map(|target| match swept.verdict(target) {
            Verdict::Alive(rtt) => u32::try_from(rtt.as_nanos() / TICK.as_nanos()).ok(),
            _ => None,
        }));
        rtts.sort_unstable();
        Summary { results, drops, elapsed, rtts }
    }

    /// The RTT that this share of alive targets does not exceed (the nearest rank), in
    /// milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.rtts.len() as f64).ceil() as usize;
        self.rtts.get(rank.max(1) - 1).map_or(0.0, |&ticks| milliseconds(ticks.into()))
    }
}

impl Display for Summary<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Summary { results, drops, elapsed, rtts } = self;
        let swept = results.swept;
        let (targets, alive, unreachable) = (swept.len(), swept.alive(), results.diagnosis.unreachable);
        let counts = swept.counts();
        let without_line = targets - alive - unreachable;
        writeln!(f, "targets: {targets}, alive: {alive}, unreachable: {unreachable}, without a line: {without_line}")?;
        writeln!(f, "alive only after a retry: {}", swept.after_retry())?;
        write!(f, "probes sent: {}, replies: {}, ", counts.sent, counts.replies)?;
        write!(f, "from other sources: {}, duplicates: {}, ", counts.other_source, counts.duplicates)?;
        writeln!(f, "late: {}, damaged: {}, stray: {}", counts.late, counts.damaged, counts.stray)?;
        write!(f, "send errors: {}, kernel drops: {drops}, time: {:.3} s", counts.refused, elapsed.as_secs_f64())?;
        if !rtts.is_empty() {
            let sum: u64 = rtts.iter().map(|&ticks| u64::from(ticks)).sum();
            let mean = milliseconds(sum as f64 / rtts.len() as f64);
            let [min, median, p99, max] = [0.0, 0.5, 0.99, 1.0].map(|share| self.quantile(share));
            write!(f, "\nRTT min/median/mean/p99/max: {min:.3}/{median:.3}/{mean:.3}/{p99:.3}/{max:.3} ms")?;
        }
        Ok(())
    }
}

/// Rounded to whole microseconds as on the lines: halves up, and at least 1.
fn milliseconds(ticks: f64) -> f64 {
    (ticks * TICK.as_nanos() as f64 / 1000.0 + 0.5).floor().max(1.0) / 1000.0
}
