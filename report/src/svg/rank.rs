//! The picture of very many targets: all of them by rank, how many lost how much, and the worst.

use crate::figures::{count, loss_class, percent, time};
use crate::record::State;
use crate::scene::{Scene, Subject};
use crate::svg::draw::{Anchor, Canvas, shorten, words_of};
use crate::svg::heat::common_scale;
use crate::svg::scale::{Scale, tick};
use crate::svg::smoke::Area;
use crate::svg::{WIDTH, header};

const GREYS: &[(&str, &str)] = &[("s1", "p10–p90"), ("up", "max")];
const CLASSES: [&str; 10] = ["none", "s0", "s1", "s2", "up", "l0", "l1", "l2", "l3", "l4"];

/// How many of the worst are shown.
const WORST: usize = 40;

/// Draws it.
pub fn draw(scene: &Scene<'_>) -> Canvas {
    let mut canvas = Canvas::new(1032.0);
    header(&mut canvas, scene, "", GREYS);
    let area = Area { x: 76.0, y: 100.0, width: 700.0, height: 330.0 };
    ranks(&mut canvas, scene, area);
    bars(&mut canvas, scene, Area { x: 900.0, y: 100.0, width: 230.0, height: 330.0 });
    worst(&mut canvas, scene, 530.0);
    canvas
}

/// The targets that answered, by RTT, and then the others as blocks.
fn ranks(canvas: &mut Canvas, scene: &Scene<'_>, area: Area) {
    let typical = scene.typical();
    let title = format!("RTT by rank: {typical} coloured by loss, p10–p90 (band), longest of each column (dots)");
    canvas.text(area.x, area.y - 14.0, "t3", Anchor::Start, &title);
    let bottom = area.y + area.height;
    let scale = common_scale(scene, bottom, area.y);
    for ns in scale.ticks(8) {
        let y = scale.place(ns);
        canvas.line((area.x, y), (area.x + area.width, y), "grid");
        canvas.text(area.x - 6.0, y + 3.5, "t2", Anchor::End, &tick(ns));
    }
    let mut answered: Vec<&Subject<'_>> = scene.subjects.iter().filter(|s| s.target.typical().is_some()).collect();
    answered.sort_by_key(|subject| subject.target.typical());
    let all = scene.subjects.len() as f64;
    let columns = ((area.width / 3.0 * answered.len() as f64 / all).ceil() as usize).clamp(1, 240);
    let step = area.width * answered.len() as f64 / all / columns as f64;
    let mut tips = Vec::new();
    for column in 0..columns {
        let group = &answered[column * answered.len() / columns..(column + 1) * answered.len() / columns];
        let x = area.x + column as f64 * step;
        if !group.is_empty() {
            tips.push((x, group_of(canvas, group, &scale, x, step)));
        }
    }
    canvas.flush(&CLASSES);
    let mut x = area.x + area.width * answered.len() as f64 / all;
    for state in [State::Unreachable, State::Unresolved, State::Unsent, State::Undecided, State::Unsettled] {
        let silent = |s: &&Subject<'_>| s.target.state == state && s.target.typical().is_none();
        let number = scene.subjects.iter().filter(silent).count();
        let width = area.width * number as f64 / all;
        if number > 0 {
            let class = if state == State::Unreachable { "l4" } else { "s2" };
            canvas.rect(x, area.y, width.max(1.0), area.height, class);
            tips.push((x, format!("{} {}", count(number as u64), state.name())));
            if width > 90.0 {
                canvas.text(x + width / 2.0, area.y + 20.0, "t3 onred", Anchor::Middle, state.name());
            }
        }
        x += width;
    }
    canvas.line((area.x, bottom), (area.x + area.width, bottom), "axis");
    for fifth in 0..=5 {
        let x = area.x + area.width * f64::from(fifth) / 5.0;
        canvas.line((x, bottom), (x, bottom + 4.0), "axis");
        let rank = scene.subjects.len() as u64 * u64::from(fifth as u8) / 5;
        canvas.text(x, bottom + 16.0, "t2", Anchor::Middle, &count(rank));
    }
    let axis = format!("targets, by their {typical} RTT; those that did not answer last");
    canvas.text(area.x + area.width / 2.0, bottom + 34.0, "t2", Anchor::Middle, &axis);
    for (place, (x, said)) in tips.iter().enumerate() {
        let end = tips.get(place + 1).map_or(area.x + area.width, |next| next.0);
        canvas.tip(*x, area.y, end - x, area.height, said);
    }
}

/// Some targets next to each other, and what is said of them.
fn group_of(canvas: &mut Canvas, group: &[&Subject<'_>], scale: &Scale, x: f64, width: f64) -> String {
    let middle = |figure: &dyn Fn(&Subject<'_>) -> Option<u64>| {
        let mut all: Vec<u64> = group.iter().filter_map(|subject| figure(subject)).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied()
    };
    let low = middle(&|s| s.percentile(10).or(s.target.rtt_min_ns));
    let high = middle(&|s| s.percentile(90).or(s.target.rtt_max_ns));
    if let (Some(low), Some(high)) = (low, high) {
        canvas.block(x, scale.place(high), width, scale.place(low) - scale.place(high), "s1");
    }
    let max = group.iter().filter_map(|subject| subject.target.rtt_max_ns).max();
    if let Some(max) = max {
        canvas.block(x + width / 2.0 - 0.9, scale.place(max) - 0.9, 1.8, 1.8, "up");
    }
    let sum = |figure: fn(&Subject<'_>) -> u64| group.iter().map(|subject| figure(subject)).sum::<u64>();
    let (sent, lost) = (sum(|s| s.target.sent), sum(|s| s.target.lost));
    let loss = lost as f64 / sent.max(1) as f64;
    let median = middle(&|s| s.target.typical()).unwrap_or(0);
    canvas.block(x, scale.place(median) - 1.3, width, 2.6, &format!("l{}", loss_class(loss)));
    format!(
        "{} targets: median {}, longest {}, {} lost",
        group.len(),
        time(median),
        max.map_or("–".to_owned(), time),
        percent(loss)
    )
}

/// How many targets lost how much.
fn bars(canvas: &mut Canvas, scene: &Scene<'_>, area: Area) {
    canvas.text(area.x - 66.0, area.y - 14.0, "t3", Anchor::Start, "targets by loss");
    let classes = [
        ("none", 0.0, "l0"),
        ("≤ 1 %", 0.01, "l1"),
        ("≤ 2 %", 0.02, "l1"),
        ("≤ 5 %", 0.05, "l2"),
        ("≤ 10 %", 0.1, "l2"),
        ("≤ 30 %", 0.3, "l3"),
        ("< 100 %", 1.0 - 1e-12, "l4"),
        ("all", 1.0, "l4"),
    ];
    let losses: Vec<f64> = scene.subjects.iter().filter_map(|subject| subject.target.loss()).collect();
    let length = |number: usize| area.width * ((number + 1) as f64).ln() / ((losses.len() + 1) as f64).ln().max(0.1);
    let mut above = -1.0;
    for (place, (name, most, class)) in classes.iter().enumerate() {
        let number = losses.iter().filter(|loss| **loss > above && **loss <= *most).count();
        above = *most;
        let y = area.y + place as f64 * 24.0;
        canvas.text(area.x - 8.0, y + 12.0, "t2", Anchor::End, name);
        canvas.rect(area.x, y, length(number), 16.0, class);
        canvas.text(area.x + length(number) + 6.0, y + 12.0, "t3", Anchor::Start, &count(number as u64));
    }
    let y = area.y + classes.len() as f64 * 24.0;
    canvas.text(area.x, y + 8.0, "t2", Anchor::Start, "length: logarithm of the number");
    let silent: Vec<&Subject<'_>> = scene.subjects.iter().filter(|s| s.target.state != State::Alive).collect();
    if !silent.is_empty() {
        canvas.text(
            area.x - 66.0,
            y + 36.0,
            "t3",
            Anchor::Start,
            &format!("not alive: {}", count(silent.len() as u64)),
        );
    }
    for (place, subject) in silent.iter().take(10).enumerate() {
        let y = y + 54.0 + (place / 2) as f64 * 15.0;
        let x = area.x - 66.0 + (place % 2) as f64 * 186.0;
        canvas.text(x, y, "t2 tiny", Anchor::Start, &shorten(&subject.name(), 33));
    }
    if silent.len() > 10 {
        canvas.text(area.x - 66.0, y + 132.0, "t2 tiny", Anchor::Start, "…");
    }
}

/// The worst of those that answered.
fn worst(canvas: &mut Canvas, scene: &Scene<'_>, top: f64) {
    let answered: Vec<&Subject<'_>> =
        scene.subjects.iter().filter(|s| s.target.state == State::Alive).take(WORST).collect();
    let title = format!("The worst {} of those that answered", answered.len());
    canvas.text(16.0, top - 24.0, "t1", Anchor::Start, &title);
    for (half, column) in answered.chunks(WORST / 2).enumerate() {
        let x = 16.0 + half as f64 * 596.0;
        for (right, name) in [(228.0, "lost"), (298.0, scene.typical()), (366.0, "max")] {
            canvas.text(x + right, top - 6.0, "t2", Anchor::End, name);
        }
        if scene.has_time {
            canvas.text(x + 380.0, top - 6.0, "t2", Anchor::Start, "over time: RTT (grey), losses");
        }
        for (place, subject) in column.iter().enumerate() {
            let y = top + place as f64 * 24.0;
            line(canvas, scene, subject, x, y);
        }
    }
    canvas.flush(&CLASSES);
}

fn line(canvas: &mut Canvas, scene: &Scene<'_>, subject: &Subject<'_>, x: f64, y: f64) {
    let target = &*subject.target;
    canvas.text(x, y + 8.0, "t3", Anchor::Start, &shorten(&target.target, 24));
    canvas.text(x, y + 18.0, "t2 tiny", Anchor::Start, &shorten(&target.label, 32));
    canvas.text(
        x + 228.0,
        y + 12.0,
        words_of(subject.loss()),
        Anchor::End,
        &target.loss().map_or("–".to_owned(), percent),
    );
    for (right, ns) in [(298.0, target.typical()), (366.0, target.rtt_max_ns)] {
        canvas.text(x + right, y + 12.0, "t2", Anchor::End, &ns.map_or("–".to_owned(), time));
    }
    let grid = scene.grid(60);
    let columns = subject.columns(grid, 0);
    let step = 190.0 / grid.1 as f64;
    let mut means: Vec<u64> = columns.iter().filter_map(|bin| bin.percentile(50)).collect();
    means.sort_unstable();
    let most = means.get(means.len().saturating_sub(1) * 95 / 100).map_or(1.0, |ns| *ns as f64 * 1.2);
    for (place, column) in columns.iter().enumerate() {
        let at = x + 380.0 + place as f64 * step;
        let (loss, width) = (column.loss().unwrap_or(0.0), (step - 0.6).max(0.6));
        if let Some(rtt) = column.percentile(50) {
            let height = (rtt as f64 / most).min(1.0) * 15.0;
            canvas.block(at, y + 17.0 - height, width, height, "s2");
        }
        if loss > 0.0 {
            let height = (15.0 * loss).max(3.0);
            canvas.block(at, y + 2.0, width, height, &format!("l{}", loss_class(loss).max(2)));
        }
    }
    canvas.tip(x - 4.0, y - 2.0, WIDTH / 2.0 - 20.0, 23.0, &format!("{}: {}", subject.name(), subject.summary()));
}
