//! The figures of one target ([`Stats`]) and of all of them ([`Totals`]).
//!
//! Each probe ends in exactly one way: answered within its timeout, late, lost, or not sent because
//! of a send error. (Or its end is doubtful, because this machine may have lost the reply.) A probe
//! whose timeout is not over is in no figure, so figures may be read at any time. RTTs are those of
//! answered and late probes, of the first reply to each. Times are kept in ticks of 100 ns and sums
//! in integers, so that nothing cancels out.
//!
//! All memory is allocated at the start: every collection here is a boxed slice, which cannot grow.
//! With a timeout of 5 s, replies accepted for 5 s more, and a probe every second, a target takes
//! 1,768 bytes.
//!
//! With `--exact` or `--values` every RTT is kept ([`Keep::Every`], [`Values`]): 4 bytes a probe.

mod counts;
mod histogram;
mod percent;
mod rtts;
mod sequence;
mod values;

use std::time::Duration;

pub use crate::stats::counts::{Counter, Counts, Loss};
pub use crate::stats::percent::{Percent, Percentile};
pub use crate::stats::rtts::{Keep, Rtts, Word};
pub use crate::stats::values::Values;

use crate::alloc::{OutOfMemory, try_with_capacity};
use crate::stats::rtts::ticks;
use crate::stats::sequence::{Sequence, State};

/// The resolution for one target: 448 counters of 4 bytes at most, error below 1/32.
const TARGET_BITS: u32 = 4;

/// The resolution over all targets: 3,200 counters of 8 bytes, error below 1/256.
const TOTAL_BITS: u32 = 7;

/// The figures of one target.
///
/// Its probes have numbers, counted from 0: `attempt`. Send times are counted from the start of the
/// run. An event that is recorded twice counts once, as long as the probe is in the window.
#[derive(Debug)]
pub struct Stats {
    rtts: Rtts<u32, TARGET_BITS>,
    sequence: Sequence,
    counts: Counts<u32>,
    ttl: Option<u8>,
}

impl Stats {
    /// Allocates memory for the RTTs to `keep`, and for the last probes: `window` of them, see
    /// [`Stats::window`].
    pub fn new(keep: Keep, window: usize) -> Result<Self, OutOfMemory> {
        Ok(Stats { rtts: Rtts::new(keep)?, sequence: Sequence::new(window)?, counts: Counts::default(), ttl: None })
    }

    /// As [`Stats::new`], for many targets. Their last probes lie one beside the other in memory: as a
    /// rule targets are probed in the order of the list.
    pub fn many(targets: usize, keep: Keep, window: usize) -> Result<Vec<Self>, OutOfMemory> {
        let mut all = try_with_capacity(targets)?;
        for _ in 0..targets {
            // Memory for RTTs comes after that of all probes.
            all.push(Stats::new(Keep::UpTo(0), window)?);
        }
        for stats in &mut all {
            stats.rtts = Rtts::new(keep)?;
        }
        Ok(all)
    }

    /// How many probes to remember if one is sent each `period` and replies are accepted for `late`
    /// after their `timeout`: those that may still be answered, and for jitter the one before the
    /// oldest that may be answered in time. Add the number of probes that may be sent ahead of
    /// their schedule.
    ///
    /// A reply to a probe outside of the window is counted, but does not change jitter, outages or
    /// reordering.
    pub fn window(timeout: Duration, late: Duration, period: Duration) -> usize {
        let periods = |time: Duration| time.as_nanos().div_ceil(period.as_nanos().max(1));
        let probes = periods(timeout + late).max(periods(timeout) + 1) + 1;
        usize::try_from(probes).unwrap_or(usize::MAX)
    }

    /// A probe was sent. Numbers that are left out were not sent.
    pub fn record_sent(&mut self, attempt: u32, at: Duration) {
        self.sequence.begin(attempt, at);
    }

    /// The kernel refused to send a probe.
    pub fn record_send_error(&mut self) {
        self.counts.add(Counter::SendErrors);
    }

    /// The first reply to a probe, within its timeout.
    pub fn record_reply(&mut self, attempt: u32, rtt: Duration) {
        match self.sequence.state(attempt) {
            Some(State::Answered(_) | State::Late) => return self.record_duplicate(),
            Some(State::Lost) => self.counts.take_back(Counter::Lost),
            Some(State::Doubtful) => self.counts.take_back(Counter::Doubtful),
            Some(State::InFlight | State::Unsent) | None => {}
        }
        let ticks = ticks(rtt);
        self.counts.add(Counter::Answered);
        if self.sequence.answer(attempt, ticks) {
            self.counts.add(Counter::Reordered);
        }
        self.rtts.add(ticks);
    }

    /// The timeout of a probe is over without a reply. It is lost, unless a late reply comes.
    pub fn record_timeout(&mut self, attempt: u32) {
        match self.sequence.state(attempt) {
            Some(State::Answered(_) | State::Late | State::Lost | State::Doubtful) => {}
            Some(State::InFlight | State::Unsent) | None => {
                self.counts.add(Counter::Lost);
                self.sequence.lose(attempt);
            }
        }
    }

    /// The timeout of a probe is over without a reply, and this machine may be to blame. It is not
    /// lost, and in no other figure either, unless a late reply comes.
    pub fn record_doubtful(&mut self, attempt: u32) {
        match self.sequence.state(attempt) {
            Some(State::Answered(_) | State::Late | State::Lost | State::Doubtful) => {}
            Some(State::InFlight | State::Unsent) | None => {
                self.counts.add(Counter::Doubtful);
                self.sequence.doubt(attempt);
            }
        }
    }

    /// The first reply to a probe, after its timeout. The probe is then no longer lost.
    pub fn record_late(&mut self, attempt: u32, rtt: Duration) {
        match self.sequence.state(attempt) {
            Some(State::Answered(_) | State::Late) => return self.record_duplicate(),
            Some(State::Lost) | None => self.counts.take_back(Counter::Lost),
            Some(State::Doubtful) => self.counts.take_back(Counter::Doubtful),
            Some(State::InFlight | State::Unsent) => {}
        }
        self.counts.add(Counter::Late);
        self.sequence.answer_late(attempt);
        self.rtts.record(rtt);
    }

    /// A further reply to an answered probe.
    pub fn record_duplicate(&mut self) {
        self.counts.add(Counter::Duplicates);
    }

    /// Counts the RTT of a duplicate among the others (`--rtt-of=all`).
    pub fn record_duplicate_rtt(&mut self, rtt: Duration) {
        self.rtts.record(rtt);
    }

    /// The TTL (IPv6: Hop Limit) that a reply came with.
    pub fn record_ttl(&mut self, ttl: u8) {
        if self.ttl.is_some_and(|before| before != ttl) {
            self.counts.add(Counter::TtlChanges);
        }
        self.ttl = Some(ttl);
    }

    /// A reply was damaged.
    pub fn record_damaged(&mut self) {
        self.counts.add(Counter::Damaged);
    }

    /// A reply came from another address than the one probed. Record the reply itself as usual.
    pub fn record_other_source(&mut self) {
        self.counts.add(Counter::OtherSource);
    }

    /// An ICMP error about one of the probes came.
    pub fn record_icmp_error(&mut self) {
        self.counts.add(Counter::IcmpErrors);
    }

    /// The counts.
    pub fn counts(&self) -> &Counts<u32> {
        &self.counts
    }

    /// The round-trip times.
    pub fn rtts(&self) -> &Rtts<u32, TARGET_BITS> {
        &self.rtts
    }

    /// A percentile over all probes that were sent and have ended: those lost have an infinite RTT
    /// (RFC 2681).
    pub fn percentile_of_sent(&self, percent: Percent) -> Option<Percentile> {
        self.rtts.percentile_of_sent(percent, self.counts.get(Counter::Lost))
    }

    /// How many probes were begun: the number after the highest of one that was sent.
    pub fn begun(&self) -> u32 {
        self.sequence.begun()
    }

    /// The TTL (IPv6: Hop Limit) of the last reply.
    pub fn ttl(&self) -> Option<u8> {
        self.ttl
    }

    /// The mean of the differences, without their signs, between the RTTs of two successive probes
    /// that were both answered in time: the delay variation of RFC 3393, of round trips.
    pub fn jitter(&self) -> Option<Duration> {
        self.sequence.jitter()
    }

    /// The same differences, smoothed as in RFC 3550, section 6.4.1: J += (|D| - J) / 16, in the
    /// order in which the second reply of each pair arrived.
    pub fn jitter_rfc3550(&self) -> Option<Duration> {
        self.sequence.jitter_rfc3550()
    }

    /// The number of probes in the longest row of lost ones (a loss period of RFC 3357). A probe
    /// that was not sent, or whose timeout is not over, does not end a row.
    pub fn longest_loss_run(&self) -> u32 {
        self.sequence.losses(Duration::ZERO).longest_run()
    }

    /// The duration of the longest row of lost probes, in steps of 0.1 ms: from the send time of
    /// its first probe to that of the next probe that was not lost, or to `end`, which is the end
    /// of the run, or now, counted from the start of the run. `None` if no probe was sent and
    /// has ended.
    pub fn longest_outage(&self, end: Duration) -> Option<Duration> {
        (self.counts.sent() > 0).then(|| self.sequence.losses(end).outage())
    }
}

/// The figures over all targets.
///
/// RTTs are recorded as they come, because the histogram of a target is coarser. Counts are merged
/// from the targets when they are read.
#[derive(Debug)]
pub struct Totals {
    counts: Counts<u64>,
    rtts: Rtts<u64, TOTAL_BITS>,
}

impl Totals {
    /// Allocates 26 KB.
    pub fn new() -> Result<Self, OutOfMemory> {
        Ok(Totals { counts: Counts::default(), rtts: Rtts::new(Keep::Any)? })
    }

    /// The RTT of an answered or late probe to any target.
    pub fn record_rtt(&mut self, rtt: Duration) {
        self.rtts.record(rtt);
    }

    /// Merges the counts of all targets, in place of those merged before.
    pub fn merge<'a>(&mut self, targets: impl IntoIterator<Item = &'a Stats>) {
        self.counts = Counts::default();
        for target in targets {
            self.counts.merge(&target.counts);
        }
    }

    /// The counts that were merged last.
    pub fn counts(&self) -> &Counts<u64> {
        &self.counts
    }

    /// The round-trip times of all targets together.
    pub fn rtts(&self) -> &Rtts<u64, TOTAL_BITS> {
        &self.rtts
    }

    /// As [`Stats::percentile_of_sent`].
    pub fn percentile_of_sent(&self, percent: Percent) -> Option<Percentile> {
        self.rtts.percentile_of_sent(percent, self.counts.get(Counter::Lost))
    }
}
