//! `--json`: JSON Lines for programs, one record a line (packaging/run.schema.json describes them).
//!
//! The keys are flat and have one type each; a key is always there, and null is undefined. RTTs and
//! durations are whole nanoseconds. Text is ASCII, with escapes.

mod batch;
mod interval;
mod optional;
mod packet;
mod record;
mod statistics;

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

pub use crate::report::json::batch::write_batch;
pub use crate::report::json::interval::Intervals;
pub use crate::report::json::packet::Packet;
pub use crate::report::json::record::Mode;
pub use crate::report::json::statistics::{Finished, Packets};

use crate::report::json::record::{Probes, Rejected, Rtts, SCHEMA, Start, States, Text, nanoseconds};
use crate::report::{End, Rfc3339};

/// What is known at the start of a run.
pub struct Opening<'a> {
    /// The name of the run.
    pub run: Option<&'a str>,
    /// The time since 1970.
    pub time: Duration,
    /// What kind of run it is.
    pub mode: Mode,
    /// How many lines were accepted, and how many were rejected.
    pub targets: usize,
    /// See `targets`.
    pub rejected: u64,
    /// How many probes each target is sent.
    pub count: Option<u32>,
    /// The time between two of them.
    pub period: Option<Duration>,
    /// How long a probe may stay unanswered.
    pub timeout: Duration,
    /// How long after its timeout a reply is late.
    pub late: Option<Duration>,
    /// The rate, if it is limited.
    pub max_pps: Option<f64>,
    /// How many bytes of data a probe carries.
    pub size: usize,
}

impl Opening<'_> {
    /// Writes the first record.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let start = Start {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            run: self.run,
            time: Text(Rfc3339(self.time)),
            mode: self.mode,
            targets: self.targets as u64,
            rejected: self.rejected,
            count: self.count,
            period_ns: self.period.map(nanoseconds),
            timeout_ns: nanoseconds(self.timeout),
            late_ns: self.late.map(nanoseconds),
            max_pps: self.max_pps,
            size: self.size,
        };
        write(&start, out)
    }
}

/// Writes the record of a line that is not probed.
pub fn write_rejected(line: u64, text: impl Display, why: impl Display, out: &mut impl Write) -> io::Result<()> {
    write(&Rejected { line, text: Text(text), why: Text(why) }, out)
}

/// What is known at the end of a run beside the figures of its targets.
pub struct Closing<'a> {
    /// The name of the run.
    pub run: Option<&'a str>,
    /// The time since 1970.
    pub time: Duration,
    /// How the run ended.
    pub end: End,
    /// The exit code.
    pub exit: u8,
    /// How long it took.
    pub duration: Duration,
    /// How many lines were rejected.
    pub rejected: u64,
    /// How many packets arrived that were not for this run.
    pub stray: u64,
    /// How many packets the kernel dropped.
    pub kernel_drops: u64,
    /// How many probes were sent long after their time.
    pub slipped: u64,
    /// Why the run is a failure.
    pub failures: &'a [String],
    /// What the operator should know.
    pub warnings: &'a [String],
}

/// The figures of all targets.
struct Totals<P> {
    probes: Probes,
    duplicates: u64,
    damaged: u64,
    icmp_errors: u64,
    send_errors: u64,
    rtts: Rtts<P>,
}

impl<'a> Closing<'a> {
    fn record<P>(&self, states: States, totals: Totals<P>) -> record::End<'a, P> {
        record::End {
            schema: SCHEMA,
            run: self.run,
            time: Text(Rfc3339(self.time)),
            complete: self.end == End::Complete,
            cut_short: match self.end {
                End::Complete => None,
                End::Stopped(signal) => Some(signal),
                End::Deadline(_) => Some("deadline"),
                End::ReceivingFailed(..) => Some("receiving-failed"),
            },
            exit: self.exit,
            duration_ns: nanoseconds(self.duration),
            states,
            rejected: self.rejected,
            probes: totals.probes,
            duplicates: totals.duplicates,
            damaged: totals.damaged,
            stray: self.stray,
            icmp_errors: totals.icmp_errors,
            send_errors: totals.send_errors,
            kernel_drops: self.kernel_drops,
            slipped: self.slipped,
            rtts: totals.rtts,
            failures: self.failures,
            warnings: self.warnings,
        }
    }
}

/// Writes a record and a newline.
fn write(record: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    record.serialize(&mut Serializer::with_formatter(&mut out, Ascii))?;
    out.write_all(b"\n")
}

/// Without blanks, and with escapes for what is not ASCII: whatever encoding a reader assumes, it
/// reads the same.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        if fragment.is_ascii() {
            return out.write_all(fragment.as_bytes());
        }
        fragment.chars().try_for_each(|character| match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => out.write_all(&[byte]),
            _ => character.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ascii_and_reads_back() -> io::Result<()> {
        let text = "B\u{fc}ro \"3\" \u{1f4e0}\\\u{1b}\u{7f}";
        let mut line = Vec::new();
        write(&[text], &mut line)?;
        assert_eq!(line, b"[\"B\\u00fcro \\\"3\\\" \\ud83d\\udce0\\\\\\u001b\x7f\"]\n");
        let read: [String; 1] = serde_json::from_slice(&line)?;
        assert_eq!(read, [text]);
        Ok(())
    }
}
