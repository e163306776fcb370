//! What a sweep does not keep of its targets, for those who ask for it: counters, the least and the
//! greatest RTT, and the last ICMP error. In 56 bytes a target, beside the 8 of its tally.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::address::{Address, TargetId};
use crate::alloc::{OutOfMemory, try_filled, try_reserve};
use crate::prober::event::{Event, ReplyKind};
use crate::prober::strategy::{TimedOut, Timeout};
use crate::tally::{self, TICK};
use crate::wire::{Detail, IcmpError};

/// The details of every target of a sweep, from the events of its run.
#[derive(Debug, Default)]
pub struct Details(Vec<TargetDetails>);

/// The details of one target. A counter stays at its largest value when it is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetDetails {
    /// The least and the greatest RTT, in ticks.
    min: u32,
    max: u32,
    duplicates: u32,
    icmp_errors: u32,
    /// The source of the last ICMP error (an IPv4 address is mapped), its zone, and the MTU that it
    /// names (0: none).
    error_from: [u8; 16],
    error_zone: u32,
    error_mtu: u32,
    /// How many probes had a timeout without a reply, and how many of these were answered late.
    timeouts: u16,
    late: u16,
    /// Which attempt was answered late last, counted from 1: copies of a late reply are no further
    /// answers.
    last_late: u16,
    damaged: u16,
    elsewhere: u16,
    send_errors: u8,
    error_attempt: u8,
    error_type: u8,
    error_code: u8,
    /// The TTL of the last reply; 0: unknown.
    ttl: u8,
    ttl_changes: u8,
}

impl Details {
    /// How many bytes a target takes.
    pub const BYTES_PER_TARGET: usize = size_of::<TargetDetails>();

    /// Empty details of `targets` targets.
    pub fn new(targets: usize) -> Result<Self, OutOfMemory> {
        try_filled(targets, TargetDetails::default()).map(Details)
    }

    /// Makes room for those of `more` targets.
    pub fn reserve(&mut self, more: usize) -> Result<(), OutOfMemory> {
        try_reserve(&mut self.0, more)
    }

    /// For how many targets more there is room.
    pub fn room(&self) -> usize {
        self.0.capacity() - self.0.len()
    }

    /// Makes them those of the first `targets` targets: of further ones they are empty.
    pub fn resize(&mut self, targets: usize) {
        self.0.resize(targets, TargetDetails::default());
    }

    /// Moves those of the last `count` targets to the end of `other`.
    pub fn move_last(&mut self, count: usize, other: &mut Details) {
        other.0.extend(self.0.drain(self.0.len().saturating_sub(count)..));
    }

    /// The details of a target; `None`: none are kept.
    pub fn get(&self, target: TargetId) -> Option<&TargetDetails> {
        self.0.get(target.index())
    }

    /// Records an event of the run.
    pub fn record(&mut self, event: &Event) {
        match *event {
            Event::Received { kind, ttl, elsewhere, .. } => self.record_arrival(kind, ttl, elsewhere),
            Event::TimedOut(TimedOut { target, timeout: Timeout::Counted | Timeout::Failed, .. }) => {
                self.with(target, |details| add(&mut details.timeouts));
            }
            Event::SendError { probe, .. } => self.with(probe.target, |details| {
                details.send_errors = details.send_errors.saturating_add(1);
            }),
            Event::IcmpError { from, error, about: Some((target, attempt)), .. } if error.is_failure() => {
                self.with(target, |details| details.record_error(from, &error, attempt));
            }
            Event::Sent { .. }
            | Event::TimedOut(_)
            | Event::IcmpError { .. }
            | Event::Message { .. }
            | Event::Done { .. } => {}
        }
    }

    fn record_arrival(&mut self, kind: ReplyKind, ttl: Option<u8>, elsewhere: bool) {
        match kind {
            ReplyKind::Reply { target, rtt, .. } => self.with(target, |details| {
                details.record_rtt(rtt);
                details.record_source(ttl, elsewhere);
            }),
            ReplyKind::Duplicate { target, .. } => self.with(target, |details| {
                details.duplicates = details.duplicates.saturating_add(1);
                details.record_source(ttl, elsewhere);
            }),
            ReplyKind::Late { target, attempt, .. } => self.with(target, |details| {
                let attempt = u16::try_from(attempt + 1).unwrap_or(u16::MAX);
                if details.last_late == attempt {
                    details.duplicates = details.duplicates.saturating_add(1);
                } else {
                    details.last_late = attempt;
                    add(&mut details.late);
                }
                details.record_source(ttl, elsewhere);
            }),
            ReplyKind::Altered { target, .. } => self.with(target, |details| add(&mut details.damaged)),
            ReplyKind::Damaged | ReplyKind::Stray => {}
        }
    }

    /// Changes the details of a target, if it is one of these.
    fn with(&mut self, target: TargetId, change: impl FnOnce(&mut TargetDetails)) {
        self.0.get_mut(target.index()).map(change);
    }
}

fn add(counter: &mut u16) {
    *counter = counter.saturating_add(1);
}

impl TargetDetails {
    fn record_rtt(&mut self, rtt: Duration) {
        let ticks = tally::ticks(rtt);
        // Of no reply yet the greatest is zero, and an RTT below a tick counts as one tick there.
        self.min = if self.max == 0 { ticks } else { self.min.min(ticks) };
        self.max = self.max.max(ticks).max(1);
    }

    fn record_source(&mut self, ttl: Option<u8>, elsewhere: bool) {
        if elsewhere {
            add(&mut self.elsewhere);
        }
        if let Some(ttl) = ttl {
            let changed = self.ttl != 0 && self.ttl != ttl;
            self.ttl_changes = self.ttl_changes.saturating_add(changed.into());
            self.ttl = ttl;
        }
    }

    fn record_error(&mut self, from: Address, error: &IcmpError, attempt: u32) {
        self.icmp_errors = self.icmp_errors.saturating_add(1);
        (self.error_from, self.error_zone) = match from {
            Address::V4(ip) => (ip.to_ipv6_mapped().octets(), 0),
            Address::V6(ip, zone) => (ip.octets(), zone),
        };
        self.error_mtu = error.mtu().unwrap_or(0);
        self.error_attempt = u8::try_from(attempt).unwrap_or(u8::MAX);
        (self.error_type, self.error_code) = (error.msg_type, error.code);
    }

    /// The least RTT of a reply that counts.
    pub fn min_rtt(&self) -> Option<Duration> {
        (self.max > 0).then(|| TICK * self.min)
    }

    /// The greatest RTT of a reply that counts.
    pub fn max_rtt(&self) -> Option<Duration> {
        (self.max > 0).then(|| TICK * self.max)
    }

    /// How many probes were answered after their timeout.
    pub fn late(&self) -> u64 {
        self.late.into()
    }

    /// How many probes timed out and were not answered late either. Attempts that were repeated
    /// because this machine may be to blame are not among them.
    pub fn lost(&self) -> u64 {
        self.timeouts.saturating_sub(self.late).into()
    }

    /// How many further replies came to answered probes.
    pub fn duplicates(&self) -> u64 {
        self.duplicates.into()
    }

    /// How many replies came with altered data.
    pub fn damaged(&self) -> u64 {
        self.damaged.into()
    }

    /// How many replies came from another address than the one probed.
    pub fn elsewhere(&self) -> u64 {
        self.elsewhere.into()
    }

    /// How often the kernel refused to send.
    pub fn send_errors(&self) -> u64 {
        self.send_errors.into()
    }

    /// The TTL or Hop Limit of the last reply, if that is known.
    pub fn ttl(&self) -> Option<u8> {
        (self.ttl != 0).then_some(self.ttl)
    }

    /// How often it changed.
    pub fn ttl_changes(&self) -> u64 {
        self.ttl_changes.into()
    }

    /// How many ICMP errors came about probes in flight, redirects apart.
    pub fn icmp_errors(&self) -> u64 {
        self.icmp_errors.into()
    }

    /// The last of them.
    pub fn last_error(&self) -> Option<LastError> {
        let ip = Ipv6Addr::from(self.error_from);
        let from = match ip.to_ipv4_mapped() {
            Some(ip) => Address::V4(ip),
            None => Address::V6(ip, self.error_zone),
        };
        let detail = if self.error_mtu == 0 { Detail::None } else { Detail::Mtu(self.error_mtu) };
        let error = IcmpError { family: from.family(), msg_type: self.error_type, code: self.error_code, detail };
        (self.icmp_errors > 0).then_some(LastError { error, from, attempt: self.error_attempt.into() })
    }
}

/// The last ICMP error about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The error, with no other detail than an MTU.
    pub error: IcmpError,
    /// Its source address.
    pub from: Address,
    /// The attempt that it is about, or 255, if that is less.
    pub attempt: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_details_of_a_target_take_56_bytes() {
        assert_eq!(Details::BYTES_PER_TARGET, 56);
    }
}
