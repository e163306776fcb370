//! `--report-every`: what happened to each target since the last such record.

use std::io::{self, Write};
use std::time::Duration;

use multiping::alloc::{OutOfMemory, try_filled};
use multiping::prober::{Event, ReplyKind, TimedOut, Timeout};
use multiping::tally::in_ticks;
use serde::Serialize;

use crate::figures::Figures;
use crate::report::json::record::{Text, nanoseconds, rtt_nanoseconds};
use crate::report::json::write;
use crate::report::{Hosts, Rfc3339};

/// What happened to all targets.
pub struct Intervals(Vec<Interval>);

/// What happened to a target.
#[derive(Clone, Copy, Default)]
struct Interval {
    received: u32,
    late: u32,
    lost: u32,
    min: Option<Duration>,
    max: Duration,
    sum: Duration,
}

/// The record.
#[derive(Serialize)]
#[serde(tag = "type", rename = "interval")]
#[serde(bound(serialize = "T: std::fmt::Display"))]
struct Record<'a, T> {
    time: Text<Rfc3339>,
    target: Text<T>,
    label: &'a str,
    sent: u32,
    received: u32,
    late: u32,
    lost: u32,
    rtt_min_ns: Option<u64>,
    rtt_mean_ns: Option<u64>,
    rtt_max_ns: Option<u64>,
}

impl Intervals {
    /// For so many targets.
    pub fn new(targets: usize) -> Result<Self, OutOfMemory> {
        try_filled(targets, Interval::default()).map(Intervals)
    }

    /// Records an event.
    pub fn record(&mut self, event: &Event) {
        match *event {
            Event::Received { kind: ReplyKind::Reply { target, rtt, .. }, .. } => {
                if let Some(interval) = self.0.get_mut(target.index()) {
                    interval.received += 1;
                    interval.record_rtt(rtt);
                }
            }
            Event::Received { kind: ReplyKind::Late { target, rtt: Some(rtt), timeout, .. }, .. } => {
                if let Some(interval) = self.0.get_mut(target.index()) {
                    interval.late += 1;
                    if let Some(Timeout::Counted | Timeout::Failed) = timeout {
                        // What was lost in an interval before stays so there.
                        interval.lost = interval.lost.saturating_sub(1);
                    }
                    interval.record_rtt(rtt);
                }
            }
            Event::TimedOut(TimedOut { target, timeout: Timeout::Counted | Timeout::Failed, .. }) => {
                if let Some(interval) = self.0.get_mut(target.index()) {
                    interval.lost += 1;
                }
            }
            _ => {}
        }
    }

    /// Writes a record for each target, at `time` since 1970, and begins anew.
    pub fn write(&mut self, time: Duration, figures: &Figures, hosts: &Hosts, out: &mut impl Write) -> io::Result<()> {
        for (target, _) in figures.addresses().iter() {
            let Some((shown, label)) = hosts.parts(target, figures.addresses()) else { continue };
            let Some(interval) = self.0.get_mut(target.index()).map(std::mem::take) else { continue };
            let Interval { received, late, lost, min, max, sum } = interval;
            let record = Record {
                time: Text(Rfc3339(time)),
                target: Text(shown),
                label,
                sent: received + late + lost,
                received,
                late,
                lost,
                rtt_min_ns: min.map(rtt_nanoseconds),
                rtt_mean_ns: min.map(|_| nanoseconds(sum / (received + late))),
                rtt_max_ns: min.map(|_| rtt_nanoseconds(max)),
            };
            write(&record, &mut *out)?;
        }
        Ok(())
    }
}

impl Interval {
    fn record_rtt(&mut self, rtt: Duration) {
        // As the figures of the whole run: else the mean could be above the maximum.
        let rtt = in_ticks(rtt);
        self.min = Some(self.min.map_or(rtt, |min| min.min(rtt)));
        self.max = self.max.max(rtt);
        self.sum += rtt;
    }
}
