//! The table for people: worst first, with what happened over time in a row of signs.

use std::collections::BTreeSet;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::figures::{count, counted, loss_class, milliseconds, percent, percentile_name, printable, share, span};
use crate::record::{State, Target};
use crate::run::{Row, Run};
use crate::series::Bin;

/// How the table is written.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// With the colours of a terminal.
    pub color: bool,
    /// With signs beyond ASCII.
    pub unicode: bool,
}

/// How many cells there are over time.
const CELLS: usize = 32;

/// The RTT of a cell, as a multiple of the target's usual one, up to which a sign stands for it.
const LEVELS: [f64; 6] = [1.1, 1.25, 1.5, 2.0, 3.0, 5.0];
const ASCII: [char; 7] = ['.', ':', '-', '=', '+', '*', '#'];
const BLOCKS: [char; 7] = ['▁', '▂', '▃', '▄', '▅', '▆', '█'];

/// A column: its title, and whether its cells stand at the right.
struct Column {
    title: String,
    right: bool,
    cells: Vec<(String, Style)>,
}

/// A block for each run.
pub fn text(runs: &[Run], look: Look) -> String {
    let mut text = String::new();
    for (place, run) in runs.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        write_run(&mut text, run, look);
    }
    text
}

fn write_run(text: &mut String, run: &Run, look: Look) {
    let rows = run.rows();
    let paint = |text: &str, style: Style| if look.color { format!("{style}{text}{style:#}") } else { text.to_owned() };
    let mut say = |line: String| text.push_str(&(ascii(line.trim_end(), look) + "\n"));
    say(paint(&headline(run, &rows), Style::new().bold()));
    if run.is_cut_off() {
        let cut = "CUT OFF: there is no `end` record, so targets and figures are missing";
        say(paint(cut, AnsiColor::Red.on_default().bold()));
    }
    for failure in run.end.iter().flat_map(|end| &end.failures) {
        say(paint(&format!("failed: {}", printable(failure)), AnsiColor::Red.on_default()));
    }
    for warning in run.end.iter().flat_map(|end| &end.warnings) {
        say(format!("warning: {}", printable(warning)));
    }
    for rejected in &run.rejected {
        say(format!("rejected: line {}: {}: {}", rejected.line, printable(&rejected.text), printable(&rejected.why)));
    }
    if rows.is_empty() {
        return;
    }
    let columns = columns(run, &rows, look);
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|(cell, _)| cell.chars().count());
        cells.max().unwrap_or(0).max(column.title.chars().count())
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let pad = |cell: &str, right: bool, width: usize| {
        let blanks = " ".repeat(width.saturating_sub(cell.chars().count()));
        if right { blanks + cell } else { cell.to_owned() + &blanks }
    };
    let titles = columns.iter().zip(&widths).map(|(column, width)| pad(&column.title, column.right, *width));
    say(paint(titles.collect::<Vec<_>>().join("  ").trim_end(), Style::new().dimmed()));
    for row in 0..rows.len() {
        let mut line = String::new();
        for (column, width) in columns.iter().zip(&widths) {
            let (cell, style) = &column.cells[row];
            let painted = if *style == Style::new() { cell.clone() } else { paint(cell, *style) };
            let blanks = pad("", true, width.saturating_sub(cell.chars().count()));
            line += &if column.right { blanks + &painted } else { painted + &blanks };
            line += "  ";
        }
        say(line);
    }
    if run.bins() > 0 {
        let cell = span(cell_width(run));
        let (signs, lost) = if look.unicode { ("▁ to █", '✕') } else { (". to #", 'x') };
        say(format!(
            "over time: one cell = {cell}; {signs}: p90, from the target's median to 5 times that; {lost}: more than half lost"
        ));
    }
}

fn headline(run: &Run, rows: &[Row<'_>]) -> String {
    let sum = |figure: fn(&Row<'_>) -> u64| rows.iter().map(figure).sum::<u64>();
    let (sent, lost) = (sum(|row| row.target.sent), sum(|row| row.target.lost));
    let states = State::ALL.iter().filter_map(|state| {
        let number = rows.iter().filter(|row| row.target.state == *state).count();
        (number > 0).then(|| format!("{} {}", count(number as u64), state.name()))
    });
    let states = states.collect::<Vec<_>>().join(", ");
    let states = if states.is_empty() { states } else { format!(": {states}") };
    let loss = share(lost, sent).map_or(String::new(), |loss| format!(" ({})", percent(loss)));
    let mut line = String::new();
    if !run.name().is_empty() {
        line = format!("{}  ", printable(run.name()));
    }
    let _ = write!(line, "{}  {}  ", run.start_time().date_and_time(), span(run.duration_ns()));
    let _ = write!(
        line,
        "{}{states}; {} sent, {} lost{loss}",
        counted(rows.len() as u64, "target"),
        count(sent),
        count(lost)
    );
    line
}

/// In ASCII only the names and labels of the list may have other signs.
fn ascii(line: &str, look: Look) -> String {
    if look.unicode { line.to_owned() } else { line.replace("µs", "us") }
}

fn columns(run: &Run, rows: &[Row<'_>], look: Look) -> Vec<Column> {
    let plain = Style::new();
    let column = |title: &str, right: bool, cell: &dyn Fn(&Row<'_>) -> (String, Style)| Column {
        title: title.to_owned(),
        right,
        cells: rows.iter().map(cell).collect(),
    };
    let number =
        |title: &str, figure: fn(&Row<'_>) -> u64| column(title, true, &|row| (figure(row).to_string(), plain));
    let rtt = |title: String, figure: &dyn Fn(&Row<'_>) -> Option<u64>| {
        let cell = |row: &Row<'_>| (figure(row).map_or("-".to_owned(), milliseconds), plain);
        rows.iter().any(|row| figure(row).is_some()).then(|| column(&title, true, &cell))
    };
    let mut columns = vec![
        column("target", false, &|row| (printable(&row.target.target), plain)),
        column("state", false, &|row| (row.target.state.name().to_owned(), state_style(row.target.state))),
        column("loss", true, &|row| match row.target.loss() {
            Some(loss) => (percent(loss), loss_style(loss)),
            None => ("-".to_owned(), plain),
        }),
        number("sent", |row| row.target.sent),
        number("lost", |row| row.target.lost),
        number("late", |row| row.target.late),
        number("dup", |row| row.target.duplicates),
    ];
    let percentiles: BTreeSet<u32> =
        rows.iter().flat_map(|row| &row.target.percentiles).map(|(percent, _)| *percent).collect();
    columns.extend(rtt("min ms".to_owned(), &|row| row.target.rtt_min_ns));
    columns.extend(rtt("mean ms".to_owned(), &|row| row.target.rtt_mean_ns));
    for percent in percentiles {
        columns.extend(rtt(format!("p{} ms", percentile_name(percent)), &|row| row.target.percentile(percent)));
    }
    columns.extend(rtt("max ms".to_owned(), &|row| row.target.rtt_max_ns));
    if run.bins() > 0 {
        let per_cell = bins_of_cell(run);
        columns.push(column("over time", false, &|row| {
            (
                row.series
                    .map_or(String::new(), |s| signs(&s.bins.chunks(per_cell).map(unite).collect::<Vec<_>>(), look)),
                plain,
            )
        }));
    }
    if rows.iter().any(|row| !row.target.label.is_empty()) {
        columns.push(column("label", false, &|row| (printable(&row.target.label), plain)));
    }
    if rows.iter().any(|row| !reason(&row.target).is_empty()) {
        columns.push(column("reason", false, &|row| (reason(&row.target), plain)));
    }
    columns
}

/// Why a target is not alive, in the words of the records.
pub fn reason(target: &Target) -> String {
    let from = target.icmp_from.as_ref().map_or(String::new(), |from| format!(" from {}", printable(from)));
    match (target.reason.as_deref(), &target.icmp_name, &target.errno_name) {
        (Some("icmp-error"), Some(icmp), _) => format!("{}{from}", printable(icmp)),
        (Some("send-error"), _, Some(errno)) => printable(errno),
        (Some(reason), ..) => printable(reason),
        (None, ..) => String::new(),
    }
}

fn state_style(state: State) -> Style {
    match state {
        State::Alive => Style::new(),
        State::Unreachable => AnsiColor::Red.on_default().bold(),
        _ => AnsiColor::Yellow.on_default().bold(),
    }
}

fn loss_style(loss: f64) -> Style {
    match loss_class(loss) {
        0 => AnsiColor::Blue.on_default(),
        1 => AnsiColor::Cyan.on_default(),
        2 => AnsiColor::Yellow.on_default(),
        3 => AnsiColor::Red.on_default(),
        _ => AnsiColor::Red.on_default().bold(),
    }
}

/// How many bins make a cell.
fn bins_of_cell(run: &Run) -> usize {
    run.bins().div_ceil(CELLS).max(1)
}

fn cell_width(run: &Run) -> u64 {
    run.width() * bins_of_cell(run) as u64
}

/// A sign for each cell.
pub fn signs(cells: &[Bin], look: Look) -> String {
    let mut usual: Vec<u64> = cells.iter().filter_map(|cell| cell.percentile(50)).collect();
    usual.sort_unstable();
    let usual = usual.get(usual.len() / 2).map_or(1.0, |median| *median as f64);
    let lost = if look.unicode { '✕' } else { 'x' };
    let sign = |cell: &Bin| match (cell.loss(), cell.percentile(90)) {
        (None, _) => ' ',
        (Some(loss), Some(rtt)) if loss <= 0.5 => {
            let ratio = rtt as f64 / usual;
            let level = LEVELS.iter().position(|most| ratio <= *most).unwrap_or(LEVELS.len());
            if look.unicode { BLOCKS[level] } else { ASCII[level] }
        }
        _ => lost,
    };
    cells.iter().map(sign).collect()
}

fn unite(bins: &[Bin]) -> Bin {
    let mut all = Bin::default();
    bins.iter().for_each(|bin| all.unite(bin, 64));
    all
}
