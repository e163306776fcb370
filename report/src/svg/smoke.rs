//! The RTTs of one target over time as smoke, its losses below the axis, and its distribution.

use crate::figures::{loss_class, percent, span, time};
use crate::scene::{Scene, Subject};
use crate::series::Bin;
use crate::svg::draw::{Anchor, Canvas};
use crate::svg::scale::{Scale, tick};

/// A part of the picture.
#[derive(Clone, Copy)]
pub struct Area {
    /// Its left edge.
    pub x: f64,
    /// Its upper edge.
    pub y: f64,
    /// Its width.
    pub width: f64,
    /// Its height.
    pub height: f64,
}

/// The classes of the shapes, from below.
const CLASSES: [&str; 10] = ["none", "s0", "s1", "s2", "l0", "l1", "l2", "l3", "l4", "up"];

/// How many RTTs of a column are kept.
const SAMPLE: usize = 64;

/// The axis for the RTTs of a target; none if it never answered.
pub fn scale(subject: &Subject<'_>, area: Area) -> Option<Scale> {
    let target = &*subject.target;
    let (min, max) = (target.rtt_min_ns?, target.rtt_max_ns?);
    let p95 = subject.histogram().percentile(95).or(target.percentile(90)).or(target.rtt_mean_ns).unwrap_or(max);
    Some(Scale::of_target(min, p95.clamp(min, max), max, area.y + area.height, area.y))
}

/// Horizontal lines with their RTTs at the left.
pub fn grid(canvas: &mut Canvas, area: Area, scale: &Scale, most: usize) {
    for ns in scale.ticks(most) {
        let y = scale.place(ns);
        canvas.line((area.x, y), (area.x + area.width, y), "grid");
        canvas.text(area.x - 6.0, y + 3.5, "t2", Anchor::End, &tick(ns));
    }
}

/// Bands and medians in columns of about 3 pixels, marks for what is beyond, and losses below.
/// `tips` columns share what is said when the pointer rests on them.
pub fn panel(
    canvas: &mut Canvas,
    area: Area,
    scene: &Scene<'_>,
    subject: &Subject<'_>,
    scale: Option<&Scale>,
    tips: usize,
) {
    let (length, number) = scene.grid((area.width / 3.0) as usize);
    let columns = subject.columns((length, number), SAMPLE);
    let full = length as f64 * number as f64 / scene.length as f64;
    let step = area.width * full / number as f64;
    let bottom = area.y + area.height;
    for (place, column) in columns.iter().enumerate() {
        let x = area.x + place as f64 * step;
        // The last column may be longer than the run.
        let width = step.min(area.x + area.width - x);
        if let Some(loss) = column.loss().filter(|loss| *loss > 0.0) {
            canvas.block(x, bottom + 2.0, width, 3.0 + 11.0 * loss, &format!("l{}", loss_class(loss)));
        }
        if let (Some(scale), Some((min, _, max))) = (scale, column.range()) {
            bands(canvas, scale, column, x, width);
            if scale.is_beyond(max) {
                canvas.beyond(x + width / 2.0, area.y - 1.0);
            }
            let median = scale.place(column.percentile(50).unwrap_or(min));
            let class = format!("l{}", loss_class(column.loss().unwrap_or(0.0)));
            canvas.block(x, median - 1.1, width, 2.2, &class);
        }
    }
    canvas.flush(&CLASSES);
    canvas.line((area.x, bottom), (area.x + area.width, bottom), "axis");
    let tips = if number <= 60 { 1 } else { tips.max(1) };
    for (place, group) in columns.chunks(tips).enumerate() {
        let mut all = Bin::default();
        group.iter().for_each(|column| all.unite(column, SAMPLE));
        if !all.is_empty() {
            let first = place * tips;
            let x = area.x + first as f64 * step;
            let width = (step * group.len() as f64).min(area.x + area.width - x);
            let said = tip(&all, first as u64 * length as u64);
            canvas.tip(x, area.y, width, area.height + 16.0, &said);
        }
    }
}

fn bands(canvas: &mut Canvas, scale: &Scale, column: &Bin, x: f64, width: f64) {
    let Some((min, _, max)) = column.range() else { return };
    let mut band = |low: u64, high: u64, class: &str| {
        let (top, bottom) = (scale.place(high), scale.place(low));
        if bottom - top > 0.4 {
            canvas.block(x, top, width, bottom - top, class);
        }
    };
    band(min, max, "s0");
    if column.has_sample() {
        let of = |percent: usize| column.percentile(percent).unwrap_or(min);
        band(of(10), of(90), "s1");
        band(of(25), of(75), "s2");
    }
}

/// What a column is, in words.
fn tip(column: &Bin, since: u64) -> String {
    let sent = u64::from(column.answered) + u64::from(column.lost);
    let mut text = format!("after {}: {sent} sent, {} lost", span(since), column.lost);
    if let Some(loss) = column.loss().filter(|loss| *loss > 0.0) {
        text += &format!(" ({})", percent(loss));
    }
    if let (Some((min, _, max)), Some(median)) = (column.range(), column.percentile(50)) {
        text += &format!("; {} to {}, median {}", time(min), time(max), time(median));
    }
    text
}

/// How many RTTs there are of each size, on the axis of the panel beside it.
pub fn distribution(canvas: &mut Canvas, area: Area, subject: &Subject<'_>, scale: &Scale, marks: &[u32]) {
    if subject.histogram().total() == 0 && marks.is_empty() {
        return;
    }
    let rows = (area.height / 6.0).max(8.0) as usize;
    let height = area.height / rows as f64;
    let mut counts = vec![0_u64; rows + 1];
    for (low, high, number) in subject.histogram().classes() {
        let middle = low.midpoint(high);
        let row = ((area.y + area.height - scale.place(middle)) / height) as usize;
        let row = if scale.is_beyond(middle) { rows } else { row.min(rows - 1) };
        counts[row] += u64::from(number);
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    // The marks stand at the right of the bars.
    let bars = if marks.is_empty() { area.width } else { area.width - 84.0 };
    for (row, number) in counts.iter().enumerate().filter(|(_, number)| **number > 0) {
        let width = (*number as f64 / most * bars).max(1.0);
        let y = if row == rows { area.y - 5.0 } else { area.y + area.height - (row + 1) as f64 * height + 0.5 };
        canvas.block(area.x, y, width, if row == rows { 4.0 } else { height - 1.0 }, "s2");
    }
    canvas.flush(&CLASSES);
    let mut above = f64::INFINITY;
    for percent in marks {
        if let Some(ns) = subject.percentile(*percent) {
            let y = scale.place(ns);
            canvas.line((area.x, y), (area.x + area.width, y), "mark");
            // Two that are near each other stand one above the other.
            above = (y - 3.0).min(above - 12.0);
            canvas.text(area.x + area.width, above, "t3", Anchor::End, &format!("p{percent} {}", time(ns)));
        }
    }
    canvas.line((area.x, area.y + area.height), (area.x + area.width, area.y + area.height), "axis");
}
