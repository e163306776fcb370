//! The picture of one target: smoke over time, losses below it, the distribution beside it.

use crate::scene::Scene;
use crate::svg::draw::{Anchor, Canvas};
use crate::svg::scale::{clock_unit, time_axis};
use crate::svg::smoke::{Area, distribution, grid, panel, scale};
use crate::svg::{BANDS, WIDTH, header};

/// Draws it.
pub fn draw(scene: &Scene<'_>) -> Canvas {
    let mut canvas = Canvas::new(440.0);
    let subject = &scene.subjects[0];
    let area = Area { x: 70.0, y: 84.0, width: if scene.has_time { 900.0 } else { 0.0 }, height: 270.0 };
    let beside = Area { x: area.x + area.width + 24.0, width: WIDTH - 16.0 - area.x - area.width - 24.0, ..area };
    let scale = scale(subject, area);
    let how = match &scale {
        Some(scale) if scale.is_logarithmic() => "RTT on a logarithmic axis",
        Some(scale) if scale.is_beyond(subject.target.rtt_max_ns.unwrap_or(0)) => "▲ RTT beyond the axis",
        _ => "",
    };
    header(&mut canvas, scene, how, BANDS);
    canvas.text(16.0, 74.0, "t3", Anchor::Start, &subject.summary());
    let Some(scale) = scale else {
        canvas.text(area.x + 450.0, area.y + 130.0, "t1 bad", Anchor::Middle, "no answer");
        panel(&mut canvas, area, scene, subject, None, 1);
        axis(&mut canvas, scene, area);
        return canvas;
    };
    grid(&mut canvas, area, &scale, 7);
    if scene.has_time {
        panel(&mut canvas, area, scene, subject, Some(&scale), 1);
        axis(&mut canvas, scene, area);
    }
    distribution(&mut canvas, beside, subject, &scale, &[50, 90, 99]);
    canvas.text(beside.x, area.y + area.height + 16.0, "t2", Anchor::Start, "distribution");
    canvas
}

fn axis(canvas: &mut Canvas, scene: &Scene<'_>, area: Area) {
    let y = area.y + area.height;
    canvas.text(area.x - 6.0, y + 17.0, "t2", Anchor::End, "lost");
    time_axis(canvas, area.x, y + 26.0, area.width, scene.length, 9);
    let since = format!("since {} ({})", scene.start.date_and_time(), clock_unit(scene.length));
    canvas.text(area.x + area.width / 2.0, y + 62.0, "t2", Anchor::Middle, &since);
}
