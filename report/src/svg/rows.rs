//! The picture of a few targets: a row each, worst first, each with an axis of its own.

use crate::figures::{loss_class, percent, time};
use crate::record::State;
use crate::scene::{Scene, Subject};
use crate::svg::draw::{Anchor, Canvas, shorten, words_of};
use crate::svg::scale::{clock_unit, time_axis};
use crate::svg::smoke::{Area, distribution, grid, panel, scale};
use crate::svg::{BANDS, header};

const HEIGHT: f64 = 74.0;
const TOP: f64 = 92.0;

/// Draws it.
pub fn draw(scene: &Scene<'_>) -> Canvas {
    let rows = scene.subjects.len() as f64;
    let mut canvas = Canvas::new(TOP + rows * HEIGHT + 56.0);
    header(&mut canvas, scene, "worst first; each with its own RTT axis, up to twice its p95; ▲ beyond it", BANDS);
    let area = Area { x: 240.0, y: TOP, width: 570.0, height: 46.0 };
    for (x, name) in FIGURES {
        let name = if name == "median" { scene.typical() } else { name };
        canvas.text(x, TOP - 14.0, "t2", Anchor::End, name);
    }
    for (place, subject) in scene.subjects.iter().enumerate() {
        row(&mut canvas, scene, subject, Area { y: TOP + place as f64 * HEIGHT, ..area });
    }
    if scene.has_time {
        let y = TOP + rows * HEIGHT;
        time_axis(&mut canvas, area.x, y, area.width, scene.length, 6);
        let since = format!("since {} ({})", scene.start.date_and_time(), clock_unit(scene.length));
        canvas.text(area.x + area.width / 2.0, y + 34.0, "t2", Anchor::Middle, &since);
    }
    canvas
}

/// The right edges of the figures, and their names.
const FIGURES: [(f64, &str); 4] = [(990.0, "lost"), (1055.0, "median"), (1120.0, "p90"), (1184.0, "max")];

fn row(canvas: &mut Canvas, scene: &Scene<'_>, subject: &Subject<'_>, area: Area) {
    let target = &*subject.target;
    canvas.text(16.0, area.y + 14.0, "t3", Anchor::Start, &target.target);
    let run = subject.run.map_or(String::new(), |run| format!("{run}: "));
    let name = run + &target.label;
    if name.chars().count() > 25 && target.state == State::Alive {
        let (first, second): (Vec<_>, Vec<_>) = name.chars().enumerate().partition(|(place, _)| *place < 25);
        let line = |part: Vec<(usize, char)>| part.into_iter().map(|(_, c)| c).collect::<String>();
        canvas.text(16.0, area.y + 29.0, "t2", Anchor::Start, &line(first));
        canvas.text(16.0, area.y + 43.0, "t2", Anchor::Start, &shorten(&line(second), 25));
    } else {
        canvas.text(16.0, area.y + 29.0, "t2", Anchor::Start, &shorten(&name, 25));
    }
    if target.state != State::Alive {
        let reason = target.reason.as_deref().unwrap_or("");
        let words = shorten(&format!("{}: {reason}", target.state.name()), 26);
        canvas.text(16.0, area.y + 44.0, "t2 bad", Anchor::Start, &words);
    }
    canvas.tip(10.0, area.y, 170.0, area.height, &format!("{}: {}", subject.name(), subject.summary()));
    let scale = scale(subject, area);
    if let Some(scale) = &scale {
        grid(canvas, area, scale, 3);
        let beside = Area { x: 832.0, width: 96.0, ..area };
        distribution(canvas, beside, subject, scale, &[]);
    } else {
        canvas.rect(area.x, area.y, area.width, area.height, if target.sent > 0 { "pale" } else { "none" });
        canvas.text(area.x + area.width / 2.0, area.y + 28.0, "t2", Anchor::Middle, "no answer");
    }
    if subject.has_time() {
        panel(canvas, area, scene, subject, scale.as_ref(), 5);
    } else {
        boxes(canvas, subject, area, scale.as_ref());
    }
    let y = area.y + 28.0;
    let loss = target.loss().map_or("–".to_owned(), percent);
    canvas.text(FIGURES[0].0, y, words_of(subject.loss()), Anchor::End, &loss);
    let figures = [target.typical(), subject.percentile(90), target.rtt_max_ns];
    for ((x, _), ns) in FIGURES[1..].iter().zip(figures) {
        canvas.text(*x, y, "t3", Anchor::End, &ns.map_or("–".to_owned(), time));
    }
}

/// Where nothing is known over time: the range as one block.
fn boxes(canvas: &mut Canvas, subject: &Subject<'_>, area: Area, scale: Option<&crate::svg::scale::Scale>) {
    let target = &*subject.target;
    if let (Some(scale), Some(min), Some(max)) = (scale, target.rtt_min_ns, target.rtt_max_ns) {
        let mut band = |low: u64, high: u64, class: &str| {
            let (top, bottom) = (scale.place(high), scale.place(low));
            canvas.block(area.x, top, area.width, (bottom - top).max(1.0), class);
        };
        band(min, max, "s0");
        if let (Some(p10), Some(p90)) = (subject.percentile(10).or(Some(min)), subject.percentile(90)) {
            band(p10, p90, "s1");
        }
        let class = format!("l{}", loss_class(subject.loss()));
        if let Some(typical) = target.typical() {
            canvas.block(area.x, scale.place(typical) - 1.1, area.width, 2.2, &class);
        }
        canvas.flush(&["s0", "s1", &class]);
    }
    canvas.line((area.x, area.y + area.height), (area.x + area.width, area.y + area.height), "axis");
}
