//! The page: one file that needs nothing else, with the picture and a table that sorts and filters.
//!
//! `page/` has its text, its look and what it does; here is what stands in it. Without JavaScript
//! the table stands as it is.

mod columns;

use minijinja::{Environment, context};
use serde::Serialize;

use crate::figures::{count, loss_class, time};
use crate::html::columns::{Column, columns, details};
use crate::record::State;
use crate::run::Run;
use crate::scene::{Scene, Subject};
use crate::svg::draw::{COLOURS, Colour};
use crate::svg::{self, draw};

const PAGE: &str = include_str!("../page/page.html");
const STYLE: &str = include_str!("../page/page.css");
const SCRIPT: &str = include_str!("../page/page.js");

/// The columns of a target over time.
const CELLS: usize = 60;

/// A page of these runs.
pub fn html(runs: &[Run]) -> String {
    let scene = Scene::new(runs);
    let columns = columns(&scene);
    let states: Vec<_> =
        State::ALL.iter().filter(|state| scene.number(**state) > 0).map(|state| state.name()).collect();
    let rows: Vec<Row> = (0..scene.subjects.len()).map(|place| Row::new(&scene, &columns, place)).collect();
    let mut page = Environment::new();
    // The names of a template tell what is escaped in it.
    let rendered = page.add_template("page.html", PAGE).and_then(|()| {
        page.get_template("page.html")?.render(context! {
            title => scene.title(),
            subtitle => scene.subtitle(),
            cut_off => scene.cut_off,
            notes => notes(runs),
            picture => svg::picture(&scene).element(),
            states => states,
            columns => columns.iter().map(|column| context! { title => column.title, class => column.class() }).collect::<Vec<_>>(),
            widths => widths(&columns, &rows),
            rows => rows,
            data => data(&scene, &columns),
            style => style(),
            script => SCRIPT,
            version => env!("CARGO_PKG_VERSION"),
        })
    });
    rendered.unwrap_or_else(|error| format!("<!-- {error:#} -->\n"))
}

/// The widths of the columns, for the longest text in each, and of all of them. Long texts are cut.
fn widths(columns: &[Column], rows: &[Row]) -> Widths {
    let width = |(place, column): (usize, &Column)| {
        let of = |row: &Row| match place {
            0 => row.target.chars().count(),
            _ => row.cells[place - 1].1.chars().count(),
        };
        let longest = rows.iter().map(of).max().unwrap_or(0).min(28).max(column.title.chars().count() + 2);
        // A `ch` is the width of a digit; letters are narrower, but for the bold ones of a state.
        longest + 2
    };
    let widths: Vec<usize> = columns.iter().enumerate().map(width).collect();
    Widths {
        all: format!("{}ch", widths.iter().sum::<usize>()),
        columns: widths.iter().map(|width| format!("minmax({width}ch,{width}fr)")).collect::<Vec<_>>().join(" "),
    }
}

#[derive(Serialize)]
struct Widths {
    columns: String,
    all: String,
}

/// What the runs warned of, and what they rejected.
fn notes(runs: &[Run]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |class, text: String| notes.push(Note { class, text });
    for run in runs {
        for failure in run.end.iter().flat_map(|end| &end.failures) {
            note("bad", format!("Failed: {failure}"));
        }
        for warning in run.end.iter().flat_map(|end| &end.warnings) {
            note("note", format!("Warning: {warning}"));
        }
        for rejected in run.rejected.iter().take(10) {
            note("note", format!("Rejected: line {}: {}: {}", rejected.line, rejected.text, rejected.why));
        }
        if run.rejected.len() > 10 {
            note("note", format!("Rejected: {} more lines", count(run.rejected.len() as u64 - 10)));
        }
    }
    notes
}

#[derive(Serialize)]
struct Note {
    class: &'static str,
    text: String,
}

/// A row of the table: class and text of each cell but the first.
#[derive(Serialize)]
struct Row {
    target: String,
    cells: Vec<(&'static str, String)>,
}

impl Row {
    fn new(scene: &Scene<'_>, columns: &[Column], place: usize) -> Self {
        let subject = &scene.subjects[place];
        let cells = columns[1..].iter().map(|column| column.cell(scene, subject));
        Row { target: subject.target.target.clone(), cells: cells.collect() }
    }
}

/// What the script works with, besides the text of the table.
#[derive(Serialize)]
struct Data {
    since: String,
    columns: Vec<DataColumn>,
    states: Vec<&'static str>,
    keys: Vec<&'static str>,
    details: Vec<Details>,
}

#[derive(Serialize)]
struct DataColumn {
    name: String,
    unit: f64,
    /// Whether it sorts.
    sorts: bool,
    /// What it sorts by, if not by its text.
    values: Option<Vec<serde_json::Value>>,
}

#[derive(Serialize)]
struct Details {
    values: Vec<Option<String>>,
    series: Option<[String; 3]>,
    most: String,
}

fn data(scene: &Scene<'_>, columns: &[Column]) -> String {
    let subjects = &scene.subjects;
    let column = |column: &Column| DataColumn {
        name: column.title.clone(),
        unit: column.unit(),
        sorts: column.sorts(),
        values: subjects.iter().map(|subject| column.value(subject)).collect(),
    };
    let detail = |subject: &Subject<'_>| {
        let (series, most) = series(scene, subject);
        let values = details(subject).map(|(_, value)| Some(value).filter(|value| !value.is_empty()));
        Details { values: values.to_vec(), series, most }
    };
    let data = Data {
        since: if scene.has_time { format!("since {}", scene.start.date_and_time()) } else { String::new() },
        columns: columns.iter().map(column).collect(),
        states: subjects.iter().map(|subject| subject.target.state.name()).collect(),
        keys: subjects.first().map_or(Vec::new(), |subject| details(subject).map(|(key, _)| key).to_vec()),
        details: subjects.iter().map(detail).collect(),
    };
    // In a page, `<` could end the script, or begin a comment in it.
    serde_json::to_string(&data).unwrap_or_default().replace('<', "\\u003c")
}

/// RTT and loss in columns, each a digit of base 36, and the class of the loss; and the RTT of the
/// highest digit.
fn series(scene: &Scene<'_>, subject: &Subject<'_>) -> (Option<[String; 3]>, String) {
    if !subject.has_time() {
        return (None, String::new());
    }
    let columns = subject.columns(scene.grid(CELLS), 6);
    let mut rtts: Vec<u64> = columns.iter().filter_map(|column| column.percentile(90)).collect();
    rtts.sort_unstable();
    // An outlier does not flatten the rest.
    let high = rtts.get(rtts.len() * 95 / 100).copied();
    let most = high.unwrap_or(1).max(1) as f64 * 1.25;
    let digit = |share: f64| char::from_digit((share.min(1.0) * 35.0).round() as u32, 36).unwrap_or('z');
    let rtts = columns.iter().map(|column| column.percentile(90).map_or(' ', |rtt| digit(rtt as f64 / most)));
    let losses = columns
        .iter()
        .map(|column| column.loss().map_or(' ', |loss| if loss > 0.0 { digit(loss.max(0.03)) } else { '0' }));
    let classes =
        columns.iter().map(|column| column.loss().map_or(' ', |loss| char::from(b'0' + loss_class(loss) as u8)));
    (Some([rtts.collect(), losses.collect(), classes.collect()]), high.map_or(String::new(), |_| time(most as u64)))
}

/// The look of the page, of the picture, and of both where dark or light was chosen.
fn style() -> String {
    let variables = |of: fn(&Colour) -> &'static str| {
        let named = COLOURS.iter().filter(|colour| colour.class.starts_with(['l', 'w']));
        named.map(|colour| format!("--{}:{};", colour.class, of(colour))).collect::<String>()
    };
    let light = format!(
        "color-scheme:light;--back:#ffffff;--ink:#1b1f23;--dim:#5f6973;--line:#dfe3e7;--hover:#f2f5f8;--bad:#b2182b;\
         --link:#1f5c99;--grey:#95a1ac;{}",
        variables(|colour| colour.light)
    );
    let dark = format!(
        "color-scheme:dark;--back:#14181d;--ink:#e9ecef;--dim:#9aa5b0;--line:#2c353e;--hover:#1d242b;--bad:#ff6b7a;\
         --link:#7fb8ee;--grey:#6d7b88;{}",
        variables(|colour| colour.dark)
    );
    let pictures = |theme: &str, of: fn(&Colour) -> &'static str| {
        let rule = |colour: &Colour| {
            format!(":root[data-theme={theme}] .xp .{}{{{}:{}}}\n", colour.class, colour.property, of(colour))
        };
        COLOURS.iter().map(rule).collect::<String>()
    };
    format!(
        "{STYLE}:root{{{light}}}\n@media(prefers-color-scheme:dark){{:root{{{dark}}}}}\n\
         :root[data-theme=light]{{{light}}}\n:root[data-theme=dark]{{{dark}}}\n{}{}{}",
        draw::style(),
        pictures("light", |colour| colour.light),
        pictures("dark", |colour| colour.dark),
    )
}
