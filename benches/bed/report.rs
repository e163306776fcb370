//! Tables: printed, and saved under `target/bench`.

use std::fmt::Write;
use std::fs;
use std::thread;

use nix::sys::utsname::uname;

use super::{Program, Run, target_dir};

/// A Markdown page, and the raw figures of its runs.
pub struct Report {
    name: String,
    page: String,
    raw: String,
}

impl Report {
    pub fn new(name: &str) -> Report {
        let mut report = Report {
            name: name.to_owned(),
            page: String::new(),
            raw: "what\tprogram\tturn\twall_s\tuser_s\tsystem_s\tpeak_rss_bytes\texit\n".to_owned(),
        };
        report.add(&format!("## {name}\n\n{}\n", machine()));
        report
    }

    /// Adds text to the page, and prints it.
    pub fn add(&mut self, text: &str) {
        println!("{text}");
        self.page.push_str(text);
        self.page.push('\n');
    }

    /// Adds a table. The first row has the heads; the first column is text, the others are figures.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let mut text = String::new();
        for (number, row) in rows.iter().enumerate() {
            writeln!(text, "| {} |", row.join(" | ")).expect("writing to a string cannot fail");
            if number == 0 {
                let columns = row.len() - 1;
                writeln!(text, "|---|{}", "---:|".repeat(columns)).expect("writing to a string cannot fail");
            }
        }
        self.add(&text);
    }

    /// Adds the figures of single runs.
    pub fn raw(&mut self, what: &str, program: &Program, runs: &[Run]) {
        for (turn, run) in runs.iter().enumerate() {
            writeln!(
                self.raw,
                "{what}\t{}\t{turn}\t{:.6}\t{:.6}\t{:.6}\t{}\t{}",
                program.name,
                run.wall.as_secs_f64(),
                run.user.as_secs_f64(),
                run.system.as_secs_f64(),
                run.peak_rss,
                run.code.map_or("signal".to_owned(), |code| code.to_string()),
            )
            .expect("writing to a string cannot fail");
        }
    }

    /// Writes `target/bench/NAME.md` and `target/bench/NAME.tsv`.
    pub fn save(self) {
        let folder = target_dir().join("bench");
        fs::create_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for (suffix, text) in [("md", &self.page), ("tsv", &self.raw)] {
            let path = folder.join(format!("{}.{suffix}", self.name));
            fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            println!("saved {}", path.display());
        }
    }
}

/// Kernel and processors.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown model", |(_, model)| model);
    let cpus = thread::available_parallelism().map_or(0, usize::from);
    let kernel = uname().map_or(String::new(), |name| name.release().to_string_lossy().into_owned());
    format!("Linux {kernel}, {cpus} CPUs ({model})")
}

/// The median.
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    match figures.len() {
        0 => f64::NAN,
        len => f64::midpoint(figures[(len - 1) / 2], figures[len / 2]),
    }
}

/// The median of one figure of runs.
pub fn median_of(runs: &[Run], figure: impl FnMut(&Run) -> f64) -> f64 {
    median(runs.iter().map(figure))
}

/// The median over the turns of how many times as long `slow` took as `fast`.
pub fn ratio(slow: &[Run], fast: &[Run]) -> f64 {
    median(slow.iter().zip(fast).map(|(slow, fast)| slow.wall.as_secs_f64() / fast.wall.as_secs_f64()))
}

/// A figure with this many decimals.
pub fn number(figure: f64, decimals: usize) -> String {
    format!("{figure:.decimals$}")
}
