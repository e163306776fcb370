//! Pictures: one SVG file for all targets of the runs. How they are drawn depends on how many there
//! are.

pub mod draw;
mod heat;
mod one;
mod rank;
mod rows;
mod scale;
mod smoke;

use crate::figures::LOSS_CLASSES;
use crate::run::Run;
use crate::scene::Scene;
use crate::svg::draw::{Anchor, Canvas};

/// The width of every picture.
pub const WIDTH: f64 = 1200.0;

/// The greys where probes are shown over time.
const BANDS: &[(&str, &str)] = &[("s0", "min–max"), ("s1", "p10–p90"), ("s2", "p25–p75")];

/// A picture of these runs, as a file.
pub fn svg(runs: &[Run]) -> String {
    picture(&Scene::new(runs)).file()
}

/// A picture of this scene.
pub fn picture(scene: &Scene<'_>) -> Canvas {
    match scene.subjects.len() {
        0 => nothing(scene),
        1 => one::draw(scene),
        2..=24 => rows::draw(scene),
        25..=1000 => heat::draw(scene),
        _ => rank::draw(scene),
    }
}

fn nothing(scene: &Scene<'_>) -> Canvas {
    let mut canvas = Canvas::new(90.0);
    header(&mut canvas, scene, "no targets", &[]);
    canvas
}

/// Title, subtitle and legend, 60 high.
fn header(canvas: &mut Canvas, scene: &Scene<'_>, how: &str, greys: &[(&str, &str)]) {
    canvas.title(&scene.title(), &scene.subtitle());
    canvas.text(16.0, 25.0, "t1 head", Anchor::Start, &draw::shorten(&scene.title(), 62));
    canvas.text(16.0, 43.0, "t2 head", Anchor::Start, &draw::shorten(&scene.subtitle(), 130));
    if scene.cut_off {
        canvas.text(
            16.0,
            58.0,
            "t2 bad",
            Anchor::Start,
            "cut off: there is no end record, so targets and figures are missing",
        );
    } else if !scene.has_time && !scene.subjects.is_empty() {
        let why = "nothing is known over time: that takes --json=packets, --report-every or several runs";
        canvas.text(16.0, 58.0, "t2", Anchor::Start, why);
    } else {
        canvas.text(16.0, 58.0, "t2", Anchor::Start, how);
    }
    let mut x = WIDTH - 16.0;
    let mut entry = |canvas: &mut Canvas, class: &str, name: &str| {
        x -= draw::width_of(name, 11.0);
        canvas.text(x, 25.0, "t2", Anchor::Start, name);
        x -= 15.0;
        canvas.rect(x, 16.0, 10.0, 10.0, class);
        x -= 14.0;
    };
    for (class, name) in greys.iter().rev() {
        entry(canvas, class, name);
    }
    for (class, name) in LOSS_CLASSES.iter().enumerate().rev() {
        entry(canvas, &format!("l{class}"), name);
    }
    canvas.text(x + 8.0, 25.0, "t2", Anchor::End, "loss");
}
