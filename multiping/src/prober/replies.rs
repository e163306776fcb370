//! What a reply is worth: by its ident, data, source and time.

use std::time::Instant;

use crate::address::{Address, TargetId};
use crate::plan::ProbeKind;
use crate::prober::event::ReplyKind;
use crate::prober::queries::SEQS;
use crate::prober::references::References;
use crate::prober::strategy::{Attempt, Invalid, Strategy};
use crate::prober::{MAX_DAMAGED, Prober};
use crate::token::Token;
use crate::wire::Echo;

impl<S: Strategy> Prober<S> {
    /// An Echo Reply arrived from `from` at `at`.
    pub fn handle_reply(&mut self, from: Address, reply: &Echo, at: Instant) -> ReplyKind {
        let kind = self.kind(from, reply, at);
        self.record_arrival(kind, from, at)
    }

    /// Records what arrived, and returns it as it is counted.
    pub(super) fn record_arrival(&mut self, mut kind: ReplyKind, from: Address, at: Instant) -> ReplyKind {
        match kind {
            ReplyKind::Reply { target, attempt, rtt } => {
                self.counts.replies += 1;
                self.counts.other_source += u64::from(self.is_elsewhere(&kind, from));
                let was_queued = |sent| self.paths.was_queued(sent);
                if self.paths.have_queued() && at.checked_sub(rtt).is_some_and(was_queued) {
                    self.counts.queued += 1;
                    self.counts.longest_queued = self.counts.longest_queued.max(rtt);
                }
                if References::is_reference(target) {
                    self.references.record_reply(target, attempt);
                } else {
                    self.strategy.record_reply(target, attempt, rtt);
                }
            }
            ReplyKind::Duplicate { .. } => self.counts.duplicates += 1,
            ReplyKind::Late { target, attempt, rtt, ref mut timeout } => {
                self.counts.late += 1;
                if rtt.is_some() {
                    *timeout = self.strategy.record_late(target, attempt);
                    self.counts.timeouts += u64::from(timeout.is_none());
                }
            }
            ReplyKind::Altered { .. } | ReplyKind::Damaged => {
                self.handle_damaged(from);
            }
            ReplyKind::Stray => self.counts.stray += 1,
        }
        kind
    }

    /// Whether what arrived from `from` is to a probe of ours, which was sent to another address.
    pub(crate) fn is_elsewhere(&self, kind: &ReplyKind, from: Address) -> bool {
        let address = kind.about().and_then(|(target, _)| self.address(target));
        address.is_some_and(|address| !address.is_source(from))
    }

    /// A packet arrived from `from` that is malformed: cut short, or with a wrong checksum.
    pub fn handle_damaged(&mut self, from: Address) -> ReplyKind {
        self.counts.damaged += 1;
        if self.damaged_from.len() < MAX_DAMAGED && !self.damaged_from.contains(&from) {
            self.damaged_from.push(from);
        }
        ReplyKind::Damaged
    }

    /// A packet arrived that is no Echo Reply.
    pub fn handle_other(&mut self) -> ReplyKind {
        self.counts.stray += 1;
        ReplyKind::Stray
    }

    /// The first byte of a reply's data that is not what was sent, as far as both go.
    fn altered(&self, data: &[u8]) -> Option<usize> {
        let received = data.get(Token::LEN..).unwrap_or_default();
        let common = received.len().min(self.filler.len());
        if received[..common] == self.filler[..common] {
            return None; // as a rule, and faster than byte by byte
        }
        let pairs = received.iter().zip(&self.filler);
        pairs.zip(Token::LEN..).find(|((received, sent), _)| received != sent).map(|(_, byte)| byte)
    }

    /// What a reply is, by its ident, data, source and time.
    fn kind(&mut self, from: Address, reply: &Echo, at: Instant) -> ReplyKind {
        if self.kind != ProbeKind::Echo || reply.ident != self.idents[from.family()] {
            return ReplyKind::Stray;
        }
        if let Some(size) = self.short_data {
            return self.kind_of_short(from, reply, size, at);
        }
        let Some(token) = Token::parse(reply.data) else { return ReplyKind::Damaged };
        let (target, attempt) = (TargetId(token.target), token.attempt);
        let Some(address) = self.address(target) else { return ReplyKind::Damaged };
        if self.token(target, attempt, address) != token {
            return ReplyKind::Damaged;
        }
        if let Some(byte) = self.altered(reply.data) {
            return ReplyKind::Altered { target, attempt, byte };
        }
        // The members of a group answer with their own addresses.
        if self.check_source && !address.is_source(from) && !address.ip().is_multicast() {
            self.record_invalid(target, Invalid::OtherSource);
            return ReplyKind::Stray;
        }
        self.kind_of_valid(target, attempt, at)
    }

    /// The same of a reply to a probe with so little data that a token does not fit.
    fn kind_of_short(&mut self, from: Address, reply: &Echo, size: usize, at: Instant) -> ReplyKind {
        let Some((target, attempt)) = self.sent_by_seq.get(reply.seq) else { return ReplyKind::Stray };
        let Some(address) = self.address(target) else { return ReplyKind::Stray };
        let sent = self.token(target, attempt, address).emit_seal_first();
        if reply.data.get(..size) != sent.get(..size) {
            return self.kind_of_unlike();
        }
        if !address.is_source(from) && !address.ip().is_multicast() {
            self.record_invalid(target, Invalid::OtherSource);
            return ReplyKind::Stray;
        }
        self.kind_of_valid(target, attempt, at)
    }

    /// What a reply is that has the ident and the Sequence Number of a probe, and differs
    /// otherwise.
    pub(super) fn kind_of_unlike(&self) -> ReplyKind {
        // It may also answer the last probe with this number, very late.
        if self.counts.sent > SEQS { ReplyKind::Stray } else { ReplyKind::Damaged }
    }

    /// What a valid reply to an attempt is, by its time.
    pub(super) fn kind_of_valid(&mut self, target: TargetId, attempt: u32, at: Instant) -> ReplyKind {
        let state = match References::is_reference(target) {
            true => self.references.attempt(target, attempt),
            false => self.strategy.attempt(target, attempt),
        };
        let rtt = || if References::is_reference(target) { None } else { self.strategy.rtt(target, attempt, at) };
        match state {
            Attempt::Answered => ReplyKind::Duplicate { target, attempt, rtt: rtt() },
            Attempt::InFlight { sent, timeout } if at.saturating_duration_since(sent) <= timeout => {
                ReplyKind::Reply { target, attempt, rtt: at.saturating_duration_since(sent) }
            }
            Attempt::InFlight { .. } | Attempt::Over => {
                let rtt = rtt();
                self.record_invalid(target, Invalid::Late);
                ReplyKind::Late { target, attempt, rtt, timeout: None }
            }
        }
    }

    pub(super) fn record_invalid(&mut self, target: TargetId, why: Invalid) {
        if !References::is_reference(target) {
            self.strategy.record_invalid(target, why);
        }
    }
}
