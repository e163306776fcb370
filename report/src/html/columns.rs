//! The columns of the table on the page, and what the details of a target add to them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::figures::{loss_class, milliseconds, percent, percentile_name, span, time};
use crate::record::{State, Target};
use crate::scene::{Scene, Subject};
use crate::text::{Look, reason, signs};

/// More targets than these have no signs over time in the table, only in their details.
const MOST_WITH_SIGNS: usize = 1000;

/// The most percentiles in the table.
const MOST_PERCENTILES: usize = 5;

/// A column.
pub struct Column {
    /// What stands above it, and what the filter calls it.
    pub title: String,
    content: Content,
}

/// What stands in a column.
enum Content {
    Target,
    Run,
    Label,
    State,
    Loss,
    Count(fn(&Target) -> u64),
    Rtt(fn(&Target) -> Option<u64>),
    /// In thousandths of a percent.
    Percentile(u32),
    OverTime,
}

impl Column {
    fn new(title: &str, content: Content) -> Self {
        Column { title: title.to_owned(), content }
    }

    /// Where its text stands.
    pub fn class(&self) -> &'static str {
        match self.content {
            Content::Target | Content::Run | Content::Label | Content::State => "left",
            Content::OverTime => "time",
            _ => "",
        }
    }

    /// Class and text of a cell.
    pub fn cell(&self, scene: &Scene<'_>, subject: &Subject<'_>) -> (&'static str, String) {
        let target = &*subject.target;
        let text = match self.content {
            Content::Target => target.target.clone(),
            Content::Run => subject.run.unwrap_or("").to_owned(),
            Content::Label => target.label.clone(),
            Content::State => match reason(target) {
                reason if reason.is_empty() => target.state.name().to_owned(),
                reason => format!("{}: {reason}", target.state.name()),
            },
            Content::Loss => target.loss().map_or(String::new(), percent),
            Content::Count(figure) => figure(target).to_string(),
            Content::Rtt(_) | Content::Percentile(_) => self.rtt(target).map_or(String::new(), milliseconds),
            Content::OverTime => signs(&subject.columns(scene.grid(32), 6), Look { unicode: true, color: false }),
        };
        let class = match self.content {
            Content::State if target.state != State::Alive => "left w4",
            Content::Loss => ["", "w1", "w2", "w3", "w4"][loss_class(subject.loss())],
            _ => self.class(),
        };
        (class, text)
    }

    /// What a cell is sorted by, if not by its text.
    pub fn value(&self, subject: &Subject<'_>) -> Option<Value> {
        let target = &*subject.target;
        match self.content {
            Content::Loss => Some(target.loss().into()),
            Content::Count(figure) => Some(figure(target).into()),
            Content::Rtt(_) | Content::Percentile(_) => Some(self.rtt(target).into()),
            _ => None,
        }
    }

    /// Whether it can be sorted.
    pub fn sorts(&self) -> bool {
        !matches!(self.content, Content::OverTime)
    }

    /// What a number in the filter is multiplied with.
    pub fn unit(&self) -> f64 {
        match self.content {
            Content::Loss => 0.01,
            Content::Rtt(_) | Content::Percentile(_) => 1e6,
            _ => 1.0,
        }
    }

    fn rtt(&self, target: &Target) -> Option<u64> {
        match self.content {
            Content::Rtt(figure) => figure(target),
            Content::Percentile(wanted) => target.percentile(wanted),
            _ => None,
        }
    }
}

/// The columns for these targets. What happened to none needs no column.
pub fn columns(scene: &Scene<'_>) -> Vec<Column> {
    let any = |is: fn(&Target) -> bool| scene.subjects.iter().any(|subject| is(&subject.target));
    let known = scene.subjects.iter().flat_map(|subject| &subject.target.percentiles);
    let known: BTreeSet<u32> = known.map(|(percentile, _)| *percentile).collect();
    let mut columns = vec![Column::new("target", Content::Target)];
    if scene.names.len() > 1 {
        columns.push(Column::new("run", Content::Run));
    }
    if any(|target| !target.label.is_empty()) {
        columns.push(Column::new("label", Content::Label));
    }
    columns.push(Column::new("state", Content::State));
    columns.push(Column::new("loss", Content::Loss));
    columns.push(Column::new("sent", Content::Count(|target| target.sent)));
    columns.push(Column::new("lost", Content::Count(|target| target.lost)));
    if any(|target| target.late > 0) {
        columns.push(Column::new("late", Content::Count(|target| target.late)));
    }
    if any(|target| target.duplicates > 0) {
        columns.push(Column::new("dup", Content::Count(|target| target.duplicates)));
    }
    columns.push(Column::new("min", Content::Rtt(|target| target.rtt_min_ns)));
    columns.push(Column::new("mean", Content::Rtt(|target| target.rtt_mean_ns)));
    let left_out = known.len().saturating_sub(MOST_PERCENTILES);
    for percentile in known.into_iter().skip(left_out) {
        let title = format!("p{}", percentile_name(percentile));
        columns.push(Column::new(&title, Content::Percentile(percentile)));
    }
    columns.push(Column::new("max", Content::Rtt(|target| target.rtt_max_ns)));
    if scene.has_time && scene.subjects.len() <= MOST_WITH_SIGNS {
        columns.push(Column::new("over time", Content::OverTime));
    }
    columns
}

/// The figures of a target that are not in the table, with their units.
pub fn details(subject: &Subject<'_>) -> [(&'static str, String); 11] {
    let target = &*subject.target;
    let rtt = |ns: Option<u64>| ns.map_or(String::new(), time);
    let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
    [
        ("received", target.received.to_string()),
        ("damaged", number(target.damaged)),
        ("from other addresses", number(target.elsewhere)),
        ("reordered", number(target.reordered)),
        ("ICMP errors", number(target.icmp_errors)),
        ("send errors", number(target.send_errors)),
        ("TTL", target.ttl.map_or(String::new(), |ttl| ttl.to_string())),
        ("MTU", target.icmp_mtu.map_or(String::new(), |mtu| mtu.to_string())),
        ("standard deviation", rtt(target.rtt_stddev_ns)),
        ("jitter", rtt(target.jitter_ns)),
        ("longest outage", target.longest_outage_ns.filter(|ns| *ns > 0).map_or(String::new(), span)),
    ]
}
