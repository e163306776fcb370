//! Points in the line protocol of InfluxDB, which Telegraf takes too: one for each target and run.

use std::fmt::Write;

use crate::figures::{percentile_name, printable};
use crate::run::{Row, Run};

/// The points of all runs, at the time when they ended, or of their latest record.
pub fn influx(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let time = run.start_time().0.saturating_add(i64::try_from(run.duration_ns()).unwrap_or(i64::MAX));
        let rows = run.rows();
        for row in &rows {
            point(&mut text, run, row);
            let _ = writeln!(text, " {time}");
        }
        let _ = write!(text, "xymonping_run{}", tag("run", run.name()));
        let _ =
            write!(text, " complete={},targets={}i,duration_ns={}i", run.is_complete(), rows.len(), run.duration_ns());
        if let Some(end) = &run.end {
            let _ = write!(text, ",exit={}i,kernel_drops={}i", end.exit, end.kernel_drops);
        }
        let _ = writeln!(text, " {time}");
    }
    text
}

fn point(text: &mut String, run: &Run, row: &Row<'_>) {
    let target = &*row.target;
    text.push_str("xymonping");
    for (key, value) in [
        ("run", run.name()),
        ("target", &target.target),
        ("label", &target.label),
        ("family", target.family.as_deref().unwrap_or("")),
        ("state", target.state.name()),
    ] {
        text.push_str(&tag(key, value));
    }
    let _ = write!(
        text,
        " sent={}i,received={}i,late={}i,lost={}i",
        target.sent, target.received, target.late, target.lost
    );
    let _ = write!(text, ",duplicates={}i,send_errors={}i", target.duplicates, target.send_errors);
    if let Some(loss) = target.loss() {
        let _ = write!(text, ",loss_ratio={loss}");
    }
    for (key, value) in [
        ("rtt_min_ns", target.rtt_min_ns),
        ("rtt_mean_ns", target.rtt_mean_ns),
        ("rtt_max_ns", target.rtt_max_ns),
        ("rtt_stddev_ns", target.rtt_stddev_ns),
        ("jitter_ns", target.jitter_ns),
        ("longest_outage_ns", target.longest_outage_ns),
    ] {
        if let Some(value) = value {
            let _ = write!(text, ",{key}={value}i");
        }
    }
    for (thousandths, ns) in &target.percentiles {
        let percent = percentile_name(*thousandths).replace('.', "_");
        let _ = write!(text, ",rtt_p{percent}_ns={ns}i");
    }
    for (key, value) in
        [("reason", &target.reason), ("icmp_name", &target.icmp_name), ("errno_name", &target.errno_name)]
    {
        if let Some(value) = value {
            let _ = write!(text, ",{key}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""));
        }
    }
}

/// A comma, key and value; nothing for an empty value, which the protocol does not have. A
/// backslash cannot be written before a comma, so it becomes a slash.
fn tag(key: &str, value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    let value = printable(value).replace('\\', "/");
    format!(",{key}={}", value.replace(',', "\\,").replace('=', "\\=").replace(' ', "\\ "))
}
