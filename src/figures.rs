//! What a run with statistics (`--count`, `--loop`) knows of its targets: the figures of each and
//! of all of them, from the engine's events.

use std::time::{Duration, Instant};

use multiping::address::{Address, Addresses, TargetId};
use multiping::alloc::{OutOfMemory, try_filled, try_with_capacity};
use multiping::prober::{Event, Probe, ReplyKind, Roster, SendError, Slips, Timeout, Verdicts};
use multiping::stats::{Counter, Keep, Rtts, Stats, Totals, Values};
use multiping::tally::Verdict;
use multiping::wire::{Detail, IcmpError};

/// Which figures are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How many probes each target is sent; `None`: any number.
    pub count: Option<u32>,
    /// The time between two probes to a target.
    pub period: Duration,
    /// How many probes are sent out of turn at the start.
    pub extra: u32,
    /// How long a probe may stay unanswered.
    pub timeout: Duration,
    /// How long after its timeout a reply is late.
    pub late: Duration,
    /// Whether all RTTs are kept, so that percentiles are exact.
    pub exact: bool,
    /// Whether the RTT of each probe is kept, in order.
    pub values: bool,
    /// Whether the RTTs of duplicates count.
    pub all_rtts: bool,
}

impl Settings {
    /// How many probes to a target may be known at a time.
    pub fn window(&self) -> usize {
        let window = Stats::window(self.timeout, self.late, self.period) + self.extra as usize;
        // Probes that were late may follow each other faster than their period.
        self.count.map_or(window + 1, |count| window.min(count as usize))
    }

    fn keep(&self) -> Keep {
        match self.count.map(|count| count as usize) {
            // Any number of duplicates may come: then those are exact that there is memory for.
            Some(count) if self.exact && self.all_rtts => Keep::Every(count.max(Rtts::<u32, 4>::COUNTERS)),
            Some(count) if self.exact => Keep::Every(count),
            Some(count) if !self.all_rtts => Keep::UpTo(count),
            _ => Keep::Within(self.timeout + self.late),
        }
    }

    /// How many bytes a target takes, with its probes in flight.
    pub fn bytes_per_target(&self) -> u64 {
        const PER_PROBE: usize = 148; // in the engine, while it is known; measured
        let window = self.window();
        let rtts = Rtts::<u32, 4>::words(self.keep());
        let values = if self.values { size_of::<Values>() as u64 + 4 * u64::from(self.count.unwrap_or(0)) } else { 0 };
        let bytes = size_of::<Stats>() + size_of::<Failures>() + Roster::BYTES_PER_TARGET + window * (8 + PER_PROBE);
        rtts as u64 * 4 + values + bytes as u64
    }
}

/// Why probes to a target failed.
#[derive(Clone, Debug, Default)]
struct Failures {
    /// Why the kernel last refused a probe, and how many were begun by then.
    refused: Option<(SendError, u32)>,
    /// The last ICMP error about a probe that tells of a failure, in few bytes: who reported it, its
    /// type, its code, and the MTU that it names (0: none).
    icmp_error: Option<(Address, u8, u8, u32)>,
}

/// What is known of all targets.
#[derive(Debug)]
pub struct Figures {
    addresses: Addresses,
    stats: Vec<Stats>,
    /// Apart from the figures, as few targets have any.
    failures: Vec<Failures>,
    /// Empty if [`Settings::values`] is not set.
    values: Vec<Values>,
    totals: Totals,
    settings: Settings,
    start: Instant,
    answering: usize,
}

impl Figures {
    /// Allocates all memory that the figures of `addresses` take, of a run that begins at `start`.
    pub fn new(addresses: Addresses, settings: Settings, start: Instant) -> Result<Self, OutOfMemory> {
        let targets = addresses.len();
        let stats = Stats::many(targets, settings.keep(), settings.window())?;
        let failures = try_filled(targets, Failures::default())?;
        let mut values = Vec::new();
        if let Some(count) = settings.count.filter(|_| settings.values) {
            values = try_with_capacity(targets)?;
            for _ in 0..targets {
                values.push(Values::new(count as usize)?);
            }
        }
        Ok(Figures { addresses, stats, failures, values, totals: Totals::new()?, settings, start, answering: 0 })
    }

    /// Records an event.
    pub fn record(&mut self, event: &Event) {
        match *event {
            Event::Sent { probe: Probe { target, token, .. }, at } => {
                let at = at.saturating_duration_since(self.start);
                if let Some(stats) = self.stats.get_mut(target.index()) {
                    stats.record_sent(token.attempt, at);
                }
            }
            Event::SendError { probe, error, .. } => {
                let target = probe.target.index();
                if let (Some(stats), Some(failures)) = (self.stats.get_mut(target), self.failures.get_mut(target)) {
                    stats.record_send_error();
                    failures.refused = Some((error, stats.begun()));
                }
            }
            Event::Received { kind, ttl, elsewhere, .. } => self.record_arrival(kind, ttl, elsewhere),
            Event::TimedOut(timed_out) => {
                if let Some(stats) = self.stats.get_mut(timed_out.target.index()) {
                    match timed_out.timeout {
                        Timeout::Doubtful | Timeout::Refunded => stats.record_doubtful(timed_out.attempt),
                        Timeout::Counted | Timeout::Failed => stats.record_timeout(timed_out.attempt),
                    }
                }
            }
            Event::IcmpError { from, error, about: Some((target, _)), .. } => {
                let target = target.index();
                if let (Some(stats), Some(failures)) = (self.stats.get_mut(target), self.failures.get_mut(target)) {
                    stats.record_icmp_error();
                    if error.is_failure() {
                        failures.icmp_error = Some((from, error.msg_type, error.code, error.mtu().unwrap_or(0)));
                    }
                }
            }
            _ => {}
        }
    }

    fn record_arrival(&mut self, kind: ReplyKind, ttl: Option<u8>, elsewhere: bool) {
        let Some((id, _)) = kind.about() else { return };
        let Some(stats) = self.stats.get_mut(id.index()) else { return };
        match kind {
            ReplyKind::Reply { attempt, rtt, .. } => {
                self.answering += usize::from(stats.counts().get(Counter::Answered) == 0);
                stats.record_reply(attempt, rtt);
            }
            ReplyKind::Late { attempt, rtt: Some(rtt), .. } => stats.record_late(attempt, rtt),
            // What was reported as lost stays so: it is not known any more when it was sent.
            ReplyKind::Late { rtt: None, .. } => return,
            ReplyKind::Duplicate { rtt, .. } => {
                stats.record_duplicate();
                if let Some(rtt) = rtt.filter(|_| self.settings.all_rtts) {
                    stats.record_duplicate_rtt(rtt);
                    self.totals.record_rtt(rtt);
                }
                return;
            }
            ReplyKind::Altered { .. } => return stats.record_damaged(),
            ReplyKind::Damaged | ReplyKind::Stray => return,
        }
        if let Some(ttl) = ttl {
            stats.record_ttl(ttl);
        }
        if elsewhere {
            stats.record_other_source();
        }
        if let ReplyKind::Reply { attempt, rtt, .. } | ReplyKind::Late { attempt, rtt: Some(rtt), .. } = kind {
            self.totals.record_rtt(rtt);
            if let Some(values) = self.values.get_mut(id.index()) {
                values.record(attempt, rtt);
            }
        }
    }

    /// Sums the counts of all targets up. Call before [`Figures::totals`].
    pub fn sum_up(&mut self) {
        self.totals.merge(&self.stats);
    }

    /// The figures over all targets, with the counts of the last [`Figures::sum_up`].
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The targets' addresses.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The figures of a target.
    pub fn stats(&self, target: TargetId) -> Option<&Stats> {
        self.stats.get(target.index())
    }

    /// The last ICMP error that tells why a target's probes fail, with no other detail than an MTU,
    /// and who reported it.
    pub fn icmp_error(&self, target: TargetId) -> Option<(IcmpError, Address)> {
        let (from, msg_type, code, mtu) = self.failures.get(target.index())?.icmp_error?;
        let detail = if mtu == 0 { Detail::None } else { Detail::Mtu(mtu) };
        Some((IcmpError::named(from.family(), msg_type, code)?.with_detail(detail), from))
    }

    /// The RTT of each of a target's probes so far, where they are kept.
    pub fn values(&self, target: TargetId) -> Option<impl ExactSizeIterator<Item = Option<Duration>>> {
        let begun = self.stats(target)?.begun() as usize;
        Some(self.values.get(target.index())?.iter().take(begun))
    }

    /// How many probes left more than half a period late, and how many were left out. With a count
    /// none is: a turn that was missed is put off.
    pub fn slips(&self, slips: &Slips) -> (u64, u64) {
        (slips.slipped, if self.settings.count.is_some() { 0 } else { slips.skipped })
    }

    /// Which figures are kept.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the run began.
    pub fn start(&self) -> Instant {
        self.start
    }

    /// How many targets have answered in time at least once.
    pub fn answering(&self) -> usize {
        self.answering
    }

    /// How many targets have lost a probe.
    pub fn lossy(&self) -> usize {
        self.stats.iter().filter(|stats| stats.counts().get(Counter::Lost) > 0).count()
    }

    /// Why the kernel last refused a probe to a target.
    pub fn send_error(&self, target: TargetId) -> Option<SendError> {
        Some(self.failures.get(target.index())?.refused?.0)
    }

    /// What is known of a target.
    pub fn verdict(&self, target: TargetId) -> Verdict {
        let Some(stats) = self.stats(target) else { return Verdict::Unsettled };
        let refused = self.failures.get(target.index()).and_then(|failures| failures.refused);
        let counts = stats.counts();
        let (was_sent, is_doubtful) = (counts.sent() > 0, counts.get(Counter::Doubtful) > 0);
        if counts.get(Counter::Answered) > 0 {
            Verdict::Alive(stats.rtts().mean().unwrap_or_default())
        } else if let Some((error, _)) = refused.filter(|&(_, begun)| begun == stats.begun()) {
            // The last probe was refused.
            let was_sent = was_sent || is_doubtful;
            Verdict::Refused { errno: error.errno(), no_buffers: error.is_no_buffers(), was_sent }
        } else if was_sent {
            Verdict::Unreachable
        } else if is_doubtful {
            Verdict::Undecided
        } else {
            Verdict::Unsettled
        }
    }
}

impl Verdicts for Figures {
    fn verdicts(&self) -> impl Iterator<Item = (TargetId, Address, Verdict)> {
        self.addresses.iter().map(|(target, address)| (target, address, self.verdict(target)))
    }

    fn invalid_replies(&self, target: TargetId) -> (bool, bool) {
        let late = self.stats(target).is_some_and(|stats| stats.counts().get(Counter::Late) > 0);
        (late, false)
    }
}
