//! A picture: the RTT that each program reports against the true RTT on the wire.
//!
//! 1,500 hosts reply after 0.1 to 50 ms, in random order. The points of a program with true RTTs
//! are on the diagonal; a program that sleeps between sending and reading adds its sleep. Draws
//! benches/rtt.svg.

// The bed and the lab both include namespace.rs.
#![allow(clippy::duplicate_mod)]

mod bed;
mod capture;
mod figures;
#[path = "../tests/lab.rs"]
mod lab;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use fastrand::Rng;
use plotters::prelude::*;

use bed::{List, Program, Report, alive4, begin, number, run_here};
use capture::{Capture, Keep};
use figures::{error, median_p99_max, msec, save_data, verdicts};
use lab::{Behaviour, Lab};

const HOSTS: u32 = 1500;
const SHORTEST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(50);
/// The end of the axis, in milliseconds. A host that a busy machine delayed may be beyond it.
const AXIS: f64 = 52.0;

struct Run {
    program: Program,
    /// The true RTT of a host and the reported one, in milliseconds.
    points: Vec<(f64, f64)>,
}

fn main() -> Result<(), Box<dyn Error>> {
    begin();
    let lab = Lab::open()?;
    for (n, delay) in delays().into_iter().enumerate() {
        lab.host(&alive4(n as u32 + 1).to_string(), Behaviour::after(delay));
    }
    let list = List::new((0..HOSTS).map(|n| alive4(n + 1)));
    let peers = [Program::original(&[]), Program::fping(&["-e", "-i", "20"])].into_iter().flatten();
    let programs = peers.chain([Program::ours(&[]).named("this xymonping")]);

    let mut report = Report::new("picture");
    report
        .add(&format!("{HOSTS} hosts with RTTs from 0.1 to 50 ms, 50 packets a second. Error: reported - true RTT.\n"));
    let mut rows = vec![["program", "hosts", "error: median ms", "p99 ms", "max ms"].map(str::to_owned).to_vec()];
    let mut raw = String::new();
    let mut runs = Vec::new();
    for program in programs {
        let capture = lab.inside(|| Capture::start(lab::DEVICE, Keep::Both));
        let run = lab.inside(|| run_here(&program, Some(&list)));
        let truth = capture.finish().rtts_by_host();
        let reported = verdicts(&run.stdout);
        let pairs: Vec<_> = truth.iter().filter_map(|(host, truth)| Some((*truth, (*reported.get(host)?)?))).collect();
        let errors = pairs.iter().map(|&(truth, reported)| error(reported, truth) / 1000.0).collect();
        let figures = median_p99_max(errors).map(|figure| number(figure, 3));
        rows.push([vec![program.name.clone(), pairs.len().to_string()], figures.to_vec()].concat());
        report.raw("1500 hosts", &program, &[run]);
        let points: Vec<_> = pairs.iter().map(|&(truth, reported)| (msec(truth), msec(reported))).collect();
        points.iter().try_for_each(|(truth, reported)| writeln!(raw, "{}\t{truth:.4}\t{reported:.4}", program.name))?;
        runs.push(Run { program, points });
    }
    report.table(&rows);
    save_data("picture", "program\ttrue_rtt_ms\treported_rtt_ms", &raw);
    report.save();
    draw(&runs, &Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/rtt.svg"))
}

/// Even steps from the shortest to the longest, shuffled with a fixed seed.
fn delays() -> Vec<Duration> {
    let step = (LONGEST - SHORTEST) / (HOSTS - 1);
    let mut delays: Vec<_> = (0..HOSTS).map(|place| SHORTEST + step * place).collect();
    Rng::with_seed(1).shuffle(&mut delays);
    delays
}

/// The points without those that would cover each other, to keep the file small.
fn visible(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    const STEP: f64 = 0.1;
    let cell = |value: f64| (value / STEP).round() as i64;
    let cells: BTreeSet<_> = points
        .iter()
        .filter(|(truth, _)| *truth <= AXIS)
        .map(|&(truth, reported)| (cell(truth), cell(reported)))
        .collect();
    cells.into_iter().map(|(truth, reported)| (truth as f64 * STEP, reported as f64 * STEP)).collect()
}

fn draw(runs: &[Run], path: &Path) -> Result<(), Box<dyn Error>> {
    let points: Vec<_> = runs.iter().map(|run| visible(&run.points)).collect();
    let highest = points.iter().flatten().map(|&(_, reported)| reported).fold(AXIS, f64::max);
    let root = SVGBackend::new(path, (900, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("Reported and true RTT of 1,500 hosts, 50 packets a second", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(52)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..AXIS, 0.0..highest * 1.04)?;
    chart
        .configure_mesh()
        .x_desc("RTT on the wire, ms")
        .y_desc("RTT reported, ms")
        .x_label_formatter(&|value| format!("{value:.0}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .axis_desc_style(("sans-serif", 17))
        .label_style(("sans-serif", 14))
        .max_light_lines(0)
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    // Distinct in grey too, and without red and green.
    let colours = [RGBColor(213, 94, 0), RGBColor(86, 180, 233), BLACK];
    for (run, points) in runs.iter().zip(points) {
        let (colour, radius) = match run.program.name.as_str() {
            "fping" => (colours[1], 3),
            "this xymonping" => (colours[2], 1),
            _ => (colours[0], 2),
        };
        chart
            .draw_series(points.into_iter().map(|point| Circle::new(point, radius, colour.filled())))?
            .label(run.program.name.as_str())
            .legend(move |(x, y)| Circle::new((x + 8, y), radius + 1, colour.filled()));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 16))
        .margin(14)
        .draw()?;
    Ok(root.present()?)
}
