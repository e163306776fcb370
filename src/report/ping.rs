//! What ping(8) of iputils prints before and after the replies of its one host, for the programs
//! that read that.

use std::io::{self, Write};
use std::time::Duration;

use multiping::address::Family;
use multiping::stats::{Counter, Stats};

use crate::limits::headers;
use crate::report::unit::Unit;

/// The line before the replies: the target, with its label, and the size of the probes' data.
pub fn write_header(out: &mut impl Write, address: &str, label: &str, family: Family, size: usize) -> io::Result<()> {
    let packet = size + usize::from(headers(family));
    match (family, label) {
        (Family::V4, "") => writeln!(out, "PING {address} ({address}) {size}({packet}) bytes of data."),
        (Family::V4, label) => writeln!(out, "PING {label} ({address}) {size}({packet}) bytes of data."),
        (Family::V6, "") => writeln!(out, "PING {address}({address}) {size} data bytes"),
        (Family::V6, label) => writeln!(out, "PING {label} ({label} ({address})) {size} data bytes"),
    }
}

/// The figures after them.
pub fn write_statistics(out: &mut impl Write, name: &str, stats: &Stats, elapsed: Duration) -> io::Result<()> {
    let (counts, rtts) = (stats.counts(), stats.rtts());
    let received = counts.get(Counter::Answered) + counts.get(Counter::Late);
    writeln!(out, "\n--- {name} ping statistics ---")?;
    write!(out, "{} packets transmitted, {received} received", counts.sent())?;
    for (counter, what) in
        [(Counter::Duplicates, "duplicates"), (Counter::Damaged, "corrupted"), (Counter::IcmpErrors, "errors")]
    {
        if counts.get(counter) > 0 {
            write!(out, ", +{} {what}", counts.get(counter))?;
        }
    }
    if let Some(loss) = counts.loss() {
        // In whole millionths, without the zeros at the end; 0 and 100 only if they are exact.
        let ratio = loss.ratio();
        let millionths = (ratio * 1e6).round();
        let inside = if ratio > 0.0 && ratio < 1.0 { millionths.clamp(1.0, 999_999.0) } else { millionths };
        write!(out, ", {}% packet loss", inside / 1e4)?;
    }
    writeln!(out, ", time {}ms", elapsed.as_millis())?;
    match (rtts.min(), rtts.mean(), rtts.max(), rtts.stddev()) {
        (Some(min), Some(mean), Some(max), Some(stddev)) => {
            let [min, mean, max, stddev] = [min, mean, max, stddev].map(|time| Unit::Ms.figure(time));
            writeln!(out, "rtt min/avg/max/mdev = {min}/{mean}/{max}/{stddev} ms")
        }
        // As ping(8), so that the line before is at the same place from the end.
        _ => writeln!(out),
    }
}
