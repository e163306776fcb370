//! What an ICMP error is worth: it counts if its quote names a target, our ident and a probe to
//! that target in flight, and holds the probe's token as far as it quotes that.

use std::time::Instant;

use crate::address::TargetId;
use crate::alloc::{OutOfMemory, try_filled};
use crate::plan::{IcmpErrors, ProbeKind};
use crate::prober::Prober;
use crate::prober::references::References;
use crate::prober::strategy::{Attempt, Strategy};
use crate::token::Token;
use crate::wire::{IcmpError, Original};

/// How many Sequence Numbers there are.
const SEQS: usize = 1 << 16;

/// The last probe that was sent with each Sequence Number: a router may quote no token, but only
/// ident and seq (RFC 792 promises no more), and queries other than Echo carry none. Empty where
/// neither is of interest.
#[derive(Default)]
pub(super) struct SentBySeq(Vec<(TargetId, u32)>);

impl SentBySeq {
    /// Before any probe: of no target.
    pub(super) fn new() -> Result<Self, OutOfMemory> {
        try_filled(SEQS, (TargetId(u32::MAX), 0)).map(SentBySeq)
    }

    pub(super) fn record(&mut self, seq: u16, target: TargetId, attempt: u32) {
        if let Some(probe) = self.0.get_mut(usize::from(seq)) {
            *probe = (target, attempt);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, seq: u16) -> Option<(TargetId, u32)> {
        self.0.get(usize::from(seq)).copied()
    }
}

impl<S: Strategy> Prober<S> {
    /// With regard to ICMP errors. Without this they are ignored.
    ///
    /// # Errors
    ///
    /// If there is no memory for the Sequence Numbers of the probes sent, which takes half a
    /// megabyte.
    pub fn with_icmp_errors(self, icmp_errors: IcmpErrors) -> Result<Self, OutOfMemory> {
        Prober { icmp_errors, ..self }.with_sent_by_seq()
    }

    /// With the probes by their Sequence Numbers, if these are needed.
    pub(super) fn with_sent_by_seq(self) -> Result<Self, OutOfMemory> {
        let is_needed = self.icmp_errors != IcmpErrors::Ignore || self.tells_by_seq();
        let sent_by_seq = match is_needed {
            true if self.sent_by_seq.is_empty() => SentBySeq::new()?,
            true => self.sent_by_seq,
            false => SentBySeq::default(),
        };
        Ok(Prober { sent_by_seq, ..self })
    }

    /// An ICMP error arrived at `at` that quotes a request. Returns the target and the
    /// attempt that it counts for.
    pub fn handle_icmp_error(
        &mut self,
        error: &IcmpError,
        original: &Original,
        at: Instant,
    ) -> Option<(TargetId, u32)> {
        let about = self.quoted_probe(error, original, at);
        match about {
            Some((target, attempt)) => {
                self.counts.icmp_errors += 1;
                if self.icmp_errors == IcmpErrors::Fail && error.is_failure() {
                    self.strategy.record_failure(target, attempt);
                }
            }
            None => self.counts.stray += 1,
        }
        about
    }

    /// The probe in flight that an error quotes.
    fn quoted_probe(&self, error: &IcmpError, original: &Original, at: Instant) -> Option<(TargetId, u32)> {
        let is_ours = original.kind == self.kind && original.echo.ident == self.idents[error.family];
        if self.icmp_errors == IcmpErrors::Ignore || !is_ours {
            return None;
        }
        let (target, attempt) = match Token::parse(original.echo.data).filter(|_| !self.tells_by_seq()) {
            Some(token) => (TargetId(token.target), token.attempt),
            None => self.sent_by_seq.get(original.echo.seq)?,
        };
        if References::is_reference(target) {
            return None;
        }
        let address = self.strategy.address(target).filter(|address| address.ip() == original.destination)?;
        let token = self.token(target, attempt, address);
        if !(match self.kind {
            ProbeKind::Echo => match self.short_data {
                Some(size) => begins_alike(original.echo.data, &token.emit_seal_first()[..size]),
                None => begins_alike(original.echo.data, &token.emit()),
            },
            ProbeKind::Mask => true,
            ProbeKind::Timestamp => begins_alike(original.echo.data, &token.originate().0.to_be_bytes()),
        }) {
            return None;
        }
        match self.strategy.attempt(target, attempt) {
            Attempt::InFlight { sent, timeout } if at.saturating_duration_since(sent) <= timeout => {
                Some((target, attempt))
            }
            _ => None,
        }
    }
}

/// Whether `quoted` is `sent`, as far as both go.
fn begins_alike(quoted: &[u8], sent: &[u8]) -> bool {
    quoted.iter().zip(sent).all(|(quoted, sent)| quoted == sent)
}
