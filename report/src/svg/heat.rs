//! The picture of many targets: a thin row each, worst first. At the left a heat map over time, in
//! which a common outage is a block; at the right the RTTs on one axis.

use crate::figures::loss_class;
use crate::scene::{Scene, Subject};
use crate::series::Bin;
use crate::svg::draw::{Anchor, Canvas, shorten};
use crate::svg::scale::{Scale, clock_unit, tick, time_axis};
use crate::svg::{WIDTH, header};

const TOP: f64 = 104.0;
const MAP: f64 = 190.0;
const RIGHT: f64 = WIDTH - 24.0;

/// The most pieces of the map, so that the file stays below 0.6 MB: each is about 13 bytes.
const MAX_PIECES: usize = 16_000;

const CLASSES: [&str; 10] = ["none", "pale", "s0", "s1", "s2", "l0", "l1", "l2", "l3", "l4"];

const GREYS: &[(&str, &str)] = &[("s1", "RTT > 1.5 × median"), ("s2", "> 3 ×")];

/// Draws it.
pub fn draw(scene: &Scene<'_>) -> Canvas {
    let rows = scene.subjects.len();
    let height = (1400.0 / rows as f64).clamp(3.0, 12.0);
    let bottom = TOP + rows as f64 * height;
    let mut canvas = Canvas::new(bottom + 56.0);
    header(&mut canvas, scene, "worst first, a row for each target", GREYS);
    let width = if scene.has_time { 540.0 } else { 0.0 };
    let figures = if scene.has_time { MAP + width + 30.0 } else { MAP };
    canvas.text(16.0, TOP - 8.0, "t2", Anchor::Start, "target");
    if scene.has_time {
        canvas.text(MAP, TOP - 24.0, "t3", Anchor::Start, "over time");
        let said = "colours: lost · grey: RTT of the column against the target's own median · white: as usual";
        canvas.text(MAP, TOP - 8.0, "t2", Anchor::Start, said);
    }
    let scale = common_scale(scene, figures, RIGHT);
    for ns in scale.ticks(8) {
        let x = scale.place(ns);
        canvas.line((x, TOP), (x, bottom), "grid");
        canvas.text(x, TOP - 8.0, "t2", Anchor::Middle, &tick(ns));
    }
    let said = format!("RTT: min–max, p10–p90 (bar), {} (dot, coloured by loss)", scene.typical());
    canvas.text(figures, TOP - 24.0, "t3", Anchor::Start, &said);
    let every = (11.0 / height).ceil() as usize;
    for (place, subject) in scene.subjects.iter().enumerate() {
        let y = TOP + place as f64 * height;
        if place % every == 0 {
            label(&mut canvas, subject, y, height);
        }
        spread(&mut canvas, subject, &scale, (figures, RIGHT), y, height);
    }
    canvas.flush(&CLASSES);
    if scene.has_time {
        map(&mut canvas, scene, height, width);
        time_axis(&mut canvas, MAP, bottom, width, scene.length, 8);
        let since = format!("since {} ({})", scene.start.date_and_time(), clock_unit(scene.length));
        canvas.text(MAP + width / 2.0, bottom + 36.0, "t2", Anchor::Middle, &since);
    }
    canvas.line((figures, bottom), (RIGHT, bottom), "axis");
    for ns in scale.ticks(8) {
        canvas.text(scale.place(ns), bottom + 16.0, "t2", Anchor::Middle, &tick(ns));
    }
    for (place, subject) in scene.subjects.iter().enumerate() {
        let said = format!("{}: {}", subject.name(), subject.summary());
        canvas.tip(10.0, TOP + place as f64 * height, WIDTH - 20.0, height, &said);
    }
    canvas
}

/// An axis for the RTTs of all.
pub fn common_scale(scene: &Scene<'_>, from: f64, to: f64) -> Scale {
    let min = scene.subjects.iter().filter_map(|subject| subject.target.rtt_min_ns).min();
    let max = scene.subjects.iter().filter_map(|subject| subject.target.rtt_max_ns).max();
    Scale::logarithmic(min.unwrap_or(100_000), max.unwrap_or(100_000_000), from, to)
}

fn label(canvas: &mut Canvas, subject: &Subject<'_>, y: f64, height: f64) {
    let target = &*subject.target;
    let label = if target.label.is_empty() { String::new() } else { format!("  {}", target.label) };
    let text = shorten(&format!("{}{label}", target.target), 31);
    canvas.text(16.0, y + height / 2.0 + 3.2, "t2 tiny", Anchor::Start, &text);
}

/// The RTTs of a target: a line, a bar and a dot.
fn spread(canvas: &mut Canvas, subject: &Subject<'_>, scale: &Scale, (left, right): (f64, f64), y: f64, height: f64) {
    let target = &*subject.target;
    let (Some(min), Some(max)) = (target.rtt_min_ns, target.rtt_max_ns) else {
        canvas.block(left, y, right - left, height, if target.sent > 0 { "pale" } else { "none" });
        return;
    };
    let middle = y + height / 2.0;
    let mut bar = |low: u64, high: u64, thickness: f64, class: &str| {
        let (from, to) = (scale.place(low), scale.place(high));
        canvas.block(from, middle - thickness / 2.0, (to - from).max(0.5), thickness, class);
    };
    bar(min, max, 0.8, "s1");
    if let Some(p90) = subject.percentile(90) {
        bar(subject.percentile(10).unwrap_or(min), p90, (height * 0.66).min(6.0), "s2");
    }
    if let Some(typical) = target.typical() {
        let size = (height * 0.9).min(6.0);
        let x = scale.place(typical) - size / 2.0;
        canvas.block(x, middle - size / 2.0, size, size, &format!("l{}", loss_class(subject.loss())));
    }
}

/// What a cell of the map shows; nothing if all is as usual.
fn class(cell: &Bin, usual: u64) -> Option<&'static str> {
    match loss_class(cell.loss()?) {
        0 => {}
        1 | 2 => return Some("l2"),
        3 => return Some("l3"),
        _ => return Some("l4"),
    }
    let rtt = cell.percentile(50)?;
    match rtt {
        _ if rtt > 3 * usual => Some("s2"),
        _ if 2 * rtt > 3 * usual => Some("s1"),
        _ => None,
    }
}

/// A piece of a row: row, first cell, number of cells, class.
struct Piece(usize, usize, usize, &'static str);

fn pieces(scene: &Scene<'_>, grid: (i64, usize)) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (row, subject) in scene.subjects.iter().enumerate() {
        if !subject.has_time() {
            pieces.push(Piece(row, 0, grid.1, "none"));
            continue;
        }
        let usual = subject.percentile(50).or(subject.target.rtt_mean_ns).unwrap_or(u64::MAX / 3);
        for (place, cell) in subject.columns(grid, 6).iter().enumerate() {
            let class = class(cell, usual);
            match (pieces.last_mut(), class) {
                (Some(last), Some(class)) if last.0 == row && last.1 + last.2 == place && last.3 == class => {
                    last.2 += 1
                }
                (_, Some(class)) => pieces.push(Piece(row, place, 1, class)),
                (_, None) => {}
            }
        }
    }
    pieces
}

fn map(canvas: &mut Canvas, scene: &Scene<'_>, height: f64, width: f64) {
    let mut most = 120;
    let (grid, pieces) = loop {
        let grid = scene.grid(most);
        let pieces = pieces(scene, grid);
        if pieces.len() <= MAX_PIECES || grid.1 <= 8 {
            break (grid, pieces);
        }
        most = grid.1 / 2;
    };
    let step = width * grid.0 as f64 / scene.length as f64;
    for Piece(row, first, number, class) in pieces {
        let x = MAP + first as f64 * step;
        let end = (x + number as f64 * step).min(MAP + width);
        canvas.block(x, TOP + row as f64 * height, end - x, height, class);
    }
    canvas.flush(&CLASSES);
}
