//! What an ICMP error is worth: it counts if its quote names a target, our ident and a probe to
//! that target in flight, and holds the probe's token as far as it quotes that.

use std::time::Instant;

use crate::address::TargetId;
use crate::alloc::{OutOfMemory, try_filled};
use crate::plan::IcmpErrors;
use crate::prober::Prober;
use crate::prober::references::References;
use crate::prober::strategy::{Attempt, Strategy};
use crate::token::Token;
use crate::wire::{IcmpError, Original};

/// How many Sequence Numbers there are.
const SEQS: usize = 1 << 16;

/// The last probe that was sent with each Sequence Number: a router may quote no token, but only
/// ident and seq (RFC 792 promises no more). Empty if ICMP errors are ignored.
#[derive(Default)]
pub(super) struct SentBySeq(Vec<(TargetId, u32)>);

impl SentBySeq {
    /// Before any probe: of no target.
    fn new() -> Result<Self, OutOfMemory> {
        try_filled(SEQS, (TargetId(u32::MAX), 0)).map(SentBySeq)
    }

    pub(super) fn record(&mut self, seq: u16, target: TargetId, attempt: u32) {
        if let Some(probe) = self.0.get_mut(usize::from(seq)) {
            *probe = (target, attempt);
        }
    }

    fn get(&self, seq: u16) -> Option<(TargetId, u32)> {
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
        let sent_by_seq = if icmp_errors == IcmpErrors::Ignore { SentBySeq::default() } else { SentBySeq::new()? };
        Ok(Prober { icmp_errors, sent_by_seq, ..self })
    }

    /// An ICMP error arrived at `at` that quotes an Echo Request. Returns the target and the
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
        if self.icmp_errors == IcmpErrors::Ignore || original.echo.ident != self.idents[error.family] {
            return None;
        }
        let (target, attempt) = match Token::parse(original.echo.data) {
            Some(token) => (TargetId(token.target), token.attempt),
            None => self.sent_by_seq.get(original.echo.seq)?,
        };
        if References::is_reference(target) {
            return None;
        }
        let address = self.strategy.address(target).filter(|address| address.ip() == original.destination)?;
        let quoted = original.echo.data.iter().take(Token::LEN);
        if !quoted.eq(self.token(target, attempt, address).emit().iter().take(original.echo.data.len())) {
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
