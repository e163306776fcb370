//! Metrics in the text format 0.0.4 of Prometheus: for its node_exporter, or for anything that
//! reads it.
//!
//! A run that ends is gauges: its figures begin at zero each time, so a counter would stand still
//! and `rate()` of it be zero. A run with `--loop` is counters and a histogram. What is unknown has
//! no sample, and what did not happen has a zero. HELP texts never change: they must agree between
//! files.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{Display, Write};

use crate::figures::percentile_name;
use crate::record::{Mode, State};
use crate::run::{Row, Run};
use crate::series::bounds;

/// The metrics of the latest run of each name. Of runs that go on, only the counters of loops are
/// ready; if nothing is, there is no text.
pub fn prometheus(runs: &[Run], goes_on: bool) -> Option<String> {
    let latest: BTreeMap<&str, &Run> = runs.iter().map(|run| (run.name(), run)).collect();
    let ready = |run: &&Run| run.end.is_some() || !goes_on || run.start.mode == Mode::Loop;
    let runs: Vec<&Run> = latest.into_values().filter(ready).collect();
    if runs.is_empty() {
        return None;
    }
    let mut metrics = Metrics::default();
    for run in &runs {
        for (row, labels) in rows(run) {
            if run.start.mode == Mode::Loop {
                counters(&mut metrics, &row, &labels)
            } else {
                gauges(&mut metrics, &row, &labels)
            }
        }
    }
    for run in runs.iter().filter(|run| run.end.is_some() || !goes_on) {
        whole_run(&mut metrics, run);
    }
    let version = Labels::default().with("version", env!("CARGO_PKG_VERSION"));
    metrics.gauge("build_info", "Version of the program that wrote this.", &version, 1);
    Some(metrics.text())
}

/// The targets with their labels. Of lines with equal target and label only one can be there.
fn rows(run: &Run) -> Vec<(Row<'_>, Labels)> {
    let mut seen = HashSet::new();
    let labels = |row: &Row<'_>| {
        let (target, family) = (&row.target.target, row.target.family.as_deref().unwrap_or(""));
        let labels = Labels::default().with("target", target).with("family", family);
        labels.with("label", &row.target.label).with("run", run.name())
    };
    let rows = run.rows().into_iter().map(|row| (labels(&row), row));
    rows.filter(|(labels, _)| seen.insert(labels.0.clone())).map(|(labels, row)| (row, labels)).collect()
}

fn gauges(metrics: &mut Metrics, row: &Row<'_>, labels: &Labels) {
    let target = &*row.target;
    if matches!(target.state, State::Alive | State::Unreachable) {
        let help = "Whether the target answered in time at least once in the last run; \
            no sample where this machine cannot tell.";
        metrics.gauge("alive", help, labels, u8::from(target.state == State::Alive));
    }
    if target.state == State::Unreachable {
        let help = "Why an unreachable target is taken to be so; from is who sent the ICMP error.";
        let reasons = labels.with("reason", target.reason.as_deref().unwrap_or(""));
        let reasons = reasons.with("icmp", target.icmp_name.as_deref().unwrap_or(""));
        metrics.gauge("unreachable_info", help, &reasons.with("from", target.icmp_from.as_deref().unwrap_or("")), 1);
    }
    metrics.gauge("sent", "Probes sent to the target in the last run.", labels, target.sent);
    let help = "Probes of the last run that were never answered, not even late.";
    metrics.gauge("lost", help, labels, target.lost);
    metrics.gauge("late", "Probes of the last run that were answered after their timeout.", labels, target.late);
    let help = "Further replies to probes of the last run that had been answered.";
    metrics.gauge("duplicates", help, labels, target.duplicates);
    let ends = [(0, target.rtt_min_ns), (100_000, target.rtt_max_ns)];
    let ends = ends.into_iter().filter_map(|(percent, ns)| Some((percent, ns?)));
    let mut rtts: BTreeMap<u32, u64> = target.percentiles.iter().copied().collect();
    rtts.extend(ends);
    for (thousandths, ns) in rtts {
        let help = "Round-trip times of the last run; 0 is the shortest, 100 the longest, the others by nearest rank.";
        let percentile = percentile_name(thousandths);
        metrics.gauge("rtt_seconds", help, &labels.with("percentile", &percentile), Seconds(ns));
    }
    for (name, help, ns) in [
        ("rtt_mean_seconds", "Mean round-trip time of the last run.", target.rtt_mean_ns),
        (
            "rtt_stddev_seconds",
            "Standard deviation (of the population) of the round-trip times of the last run.",
            target.rtt_stddev_ns,
        ),
        (
            "jitter_seconds",
            "Mean difference between the round-trip times of successive probes of the last run.",
            target.jitter_ns,
        ),
        (
            "longest_outage_seconds",
            "From the first of the longest row of lost probes to the next that was answered.",
            target.longest_outage_ns,
        ),
    ] {
        if let Some(ns) = ns {
            metrics.gauge(name, help, labels, Seconds(ns));
        }
    }
}

fn counters(metrics: &mut Metrics, row: &Row<'_>, labels: &Labels) {
    let target = &*row.target;
    let record = (target.sent, target.lost, target.send_errors, target.duplicates);
    let (sent, lost, send_errors, duplicates) = row.series.map_or(record, |series| {
        let counters = &series.counters;
        // What timed out may still be answered late, and is sent in either case.
        let sent = counters.sent() + series.timed_out.len() as u64;
        if sent == 0 { record } else { (sent, counters.lost, counters.send_errors, counters.duplicates) }
    });
    metrics.counter("requests_total", "Probes sent.", labels, sent);
    let help = "Probes whose timeout is over and that were not answered, not even late.";
    metrics.counter("requests_lost_total", help, labels, lost);
    metrics.counter("send_errors_total", "Probes that this machine did not send.", labels, send_errors);
    let help = "Further replies to probes that had been answered.";
    metrics.counter("response_duplicates_total", help, labels, duplicates);
    if let Some(ttl) = row.series.and_then(|series| series.counters.ttl).or(target.ttl) {
        metrics.gauge("response_ttl", "Time to live, or hop limit, of the last reply.", labels, ttl);
    }
    let Some(series) = row.series.filter(|series| series.has_packets) else { return };
    let samples = metrics.family("response_duration_seconds", "histogram", "Round-trip times.");
    let mut passed = 0;
    for (number, bound) in series.counters.by_bound.iter().zip(bounds().map(Some).chain([None])) {
        passed += number;
        let bound = bound.map_or("+Inf".to_owned(), |ns| Seconds(ns).to_string());
        sample(samples, "response_duration_seconds_bucket", &labels.with("le", &bound), passed);
    }
    sample(samples, "response_duration_seconds_sum", labels, Seconds(series.counters.rtt_sum_ns));
    sample(samples, "response_duration_seconds_count", labels, passed);
}

fn whole_run(metrics: &mut Metrics, run: &Run) {
    let labels = Labels::default().with("run", run.name());
    let rows = run.rows();
    for state in State::ALL {
        let number = rows.iter().filter(|row| row.target.state == state).count();
        let labels = labels.with("state", state.name());
        metrics.gauge("run_targets", "Targets of the last run by how they ended.", &labels, number);
    }
    let help = "Whether the last run was completed and nothing failed on this machine; \
        0 tells nothing about the targets.";
    metrics.gauge("run_complete", help, &labels, u8::from(run.is_complete()));
    if let Some(end) = &run.end {
        metrics.gauge("run_exit_code", "Exit code of the last run.", &labels, end.exit);
        let ended = Seconds(end.time.0.max(0) as u64);
        metrics.gauge("run_end_timestamp_seconds", "When the last run ended, in Unix time.", &labels, ended);
        let took = Seconds(end.duration_ns);
        metrics.gauge("run_duration_seconds", "How long the last run took.", &labels, took);
        let help = "Replies or damaged packets that the kernel threw away in the last run.";
        metrics.gauge("run_kernel_drops", help, &labels, end.kernel_drops);
    }
}

/// Nanoseconds, written as seconds without rounding.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// Names and values as they stand between braces.
#[derive(Clone, Default)]
struct Labels(String);

impl Labels {
    fn with(&self, name: &str, value: &str) -> Labels {
        let mut text = self.0.clone();
        let comma = if text.is_empty() { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{comma}{name}=\"{value}\"");
        Labels(text)
    }
}

/// Families of samples, in the order of their first sample: the samples of a family stand together.
#[derive(Default)]
struct Metrics(Vec<(&'static str, String)>);

impl Metrics {
    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> &mut String {
        let place = self.0.iter().position(|(other, _)| *other == name).unwrap_or_else(|| {
            let head = format!("# HELP xymonping_{name} {help}\n# TYPE xymonping_{name} {kind}\n");
            self.0.push((name, head));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }

    fn gauge(&mut self, name: &'static str, help: &str, labels: &Labels, value: impl Display) {
        sample(self.family(name, "gauge", help), name, labels, value);
    }

    fn counter(&mut self, name: &'static str, help: &str, labels: &Labels, value: impl Display) {
        sample(self.family(name, "counter", help), name, labels, value);
    }

    fn text(self) -> String {
        self.0.into_iter().map(|(_, samples)| samples).collect()
    }
}

fn sample(text: &mut String, name: &str, labels: &Labels, value: impl Display) {
    let _ = writeln!(text, "xymonping_{name}{{{}}} {value}", labels.0);
}
