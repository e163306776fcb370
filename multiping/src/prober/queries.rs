//! Probes that carry no token, because they are no Echo Requests or have too little data for one:
//! what tells their replies, and when one may be sent.
//!
//! Which probe a reply answers, its Sequence Number says: that of a probe in flight is not used
//! again. That it does is proved by what else it returns.

use std::time::Instant;

use crate::address::Address;
use crate::alloc::OutOfMemory;
use crate::plan::ProbeKind;
use crate::prober::Prober;
use crate::prober::event::ReplyKind;
use crate::prober::references::References;
use crate::prober::strategy::{Attempt, Invalid, Strategy};
use crate::token::Token;
use crate::wire::{Query, QueryBody};

/// How many probes there are until their Sequence Numbers begin anew.
pub(super) const SEQS: u64 = 1 << 16;

impl<S: Strategy> Prober<S> {
    /// With probes of this kind. Without this they are Echo Requests. Those of other kinds begin
    /// with a Sequence Number that nobody can guess.
    ///
    /// # Errors
    ///
    /// If there is no memory for the Sequence Numbers of the probes sent, which takes half a
    /// megabyte.
    pub fn with_kind(self, kind: ProbeKind) -> Result<Self, OutOfMemory> {
        let first_seq = if kind == ProbeKind::Echo { self.first_seq } else { self.random_seq() };
        Prober { kind, first_seq, ..self }.with_sent_by_seq()
    }

    /// With so few bytes of data in its probes that a token does not fit. A reply then counts only
    /// if it has the ident and the Sequence Number of a probe in flight, comes from the address
    /// that this went to, and returns all of its data.
    ///
    /// # Errors
    ///
    /// If there is no memory for the Sequence Numbers of the probes sent, which takes half a
    /// megabyte.
    pub fn with_short_data(self, size: usize) -> Result<Self, OutOfMemory> {
        let size = size.min(Token::LEN);
        let first_seq = self.random_seq();
        Prober { short_data: Some(size), first_seq, filler: Vec::new(), ..self }.with_sent_by_seq()
    }

    /// A reply to a query other than Echo arrived from `from` at `at`.
    pub fn handle_query_reply(&mut self, from: Address, reply: &Query, at: Instant) -> ReplyKind {
        let kind = self.query_kind(from, reply, at);
        self.record_arrival(kind, from, at)
    }

    fn query_kind(&mut self, from: Address, reply: &Query, at: Instant) -> ReplyKind {
        if reply.kind() != self.kind || reply.ident != self.idents[from.family()] {
            return ReplyKind::Stray;
        }
        let Some((target, attempt)) = self.sent_by_seq.get(reply.seq) else { return ReplyKind::Stray };
        let Some(address) = self.address(target) else { return ReplyKind::Stray };
        match reply.body {
            QueryBody::Timestamp { originate, .. } if originate != self.token(target, attempt, address).originate() => {
                return self.kind_of_unlike();
            }
            QueryBody::Timestamp { .. } => {}
            // Nothing else tells it from what another host sends.
            QueryBody::Mask(_) if !address.is_source(from) => {
                self.record_invalid(target, Invalid::OtherSource);
                return ReplyKind::Stray;
            }
            QueryBody::Mask(_) => {}
        }
        if self.check_source && !address.is_source(from) && !address.ip().is_multicast() {
            self.record_invalid(target, Invalid::OtherSource);
            return ReplyKind::Stray;
        }
        self.kind_of_valid(target, attempt, at)
    }

    /// Whether a reply is told by its Sequence Number, and not by a token in its data.
    pub(super) fn tells_by_seq(&self) -> bool {
        self.kind != ProbeKind::Echo || self.short_data.is_some()
    }

    /// A Sequence Number that nobody can guess.
    fn random_seq(&self) -> u16 {
        self.key.number("first seq") as u16
    }

    /// The Sequence Number of the probe after so many others.
    pub(super) fn seq(&self, sent: u64) -> u16 {
        (sent as u16).wrapping_add(self.first_seq)
    }

    /// Until when this Sequence Number is that of a probe in flight, where it has to tell probes
    /// apart.
    pub(super) fn seq_in_use_until(&self, seq: u16, now: Instant) -> Option<Instant> {
        if !self.tells_by_seq() {
            return None;
        }
        let (target, attempt) = self.sent_by_seq.get(seq)?;
        self.address(target)?;
        let state = match References::is_reference(target) {
            true => self.references.attempt(target, attempt),
            false => self.strategy.attempt(target, attempt),
        };
        match state {
            Attempt::InFlight { sent, timeout } => Some(sent + timeout).filter(|&until| until > now),
            _ => None,
        }
    }
}
