//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

/// Turn the output of xymonping --json into tables, pictures and metrics
#[derive(Clone, Debug, Parser)]
#[command(name = "xymonping-report", version, after_help = AFTER_HELP)]
pub struct Options {
    /// the output of xymonping --json; standard input if there is none
    #[arg(value_name = "FILE")]
    pub inputs: Vec<PathBuf>,

    /// write a table for people, worst first (default)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub text: Option<PathBuf>,

    /// write a table for programs
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub csv: Option<PathBuf>,

    /// write metrics for Prometheus
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub prometheus: Option<PathBuf>,

    /// write points in InfluxDB's line protocol
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    pub influx: Option<PathBuf>,

    /// write a picture
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// write a page with the picture and a table
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,

    /// rewrite the files while the run goes on
    #[arg(long)]
    pub follow: bool,

    /// how often --follow rewrites them [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "15s", hide_default_value = true)]
    pub every: Duration,

    /// colour --text: auto, always or never
    #[arg(long, value_name = "WHEN", default_value = "auto", hide_default_value = true, hide_possible_values = true)]
    pub color: When,

    /// use block characters in --text
    #[arg(long)]
    pub unicode: bool,

    /// exit with the exit code of the run
    #[arg(long)]
    pub exit_status: bool,
}

const AFTER_HELP: &str = "\
FILE may be - for standard output. Files are replaced in one step, and are never
seen half written.

exit codes: 0 done; 2 a line was not understood, or the input was cut off;
3 usage, or an input that cannot be opened; 4 a failure to read or to write";

/// When the table has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A kind of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Csv,
    /// Metrics.
    Prometheus,
    /// Points.
    Influx,
    /// A picture.
    Svg,
    /// A page.
    Html,
}

impl Options {
    /// What to write where; `-` is standard output.
    pub fn outputs(&self) -> Vec<(Format, PathBuf)> {
        let all = [
            (Format::Text, &self.text),
            (Format::Csv, &self.csv),
            (Format::Prometheus, &self.prometheus),
            (Format::Influx, &self.influx),
            (Format::Svg, &self.svg),
            (Format::Html, &self.html),
        ];
        let chosen = all.into_iter().filter_map(|(format, file)| Some((format, file.clone()?)));
        let mut chosen: Vec<_> = chosen.collect();
        if chosen.is_empty() {
            chosen.push((Format::Text, PathBuf::from("-")));
        }
        chosen
    }

    /// What is wrong with these options together.
    pub fn conflict(&self) -> Option<&'static str> {
        let to_stdout = self.outputs().iter().filter(|(_, file)| file.as_os_str() == "-").count();
        if to_stdout > 1 {
            Some("several outputs to standard output (give all but one a file: --csv=FILE)")
        } else if self.follow && self.inputs.len() > 1 {
            Some("--follow reads one input only")
        } else {
            None
        }
    }
}

/// Seconds, or a number with a unit.
fn time(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = seconds.map_or_else(|| humantime::parse_duration(text).map_err(|e| e.to_string()), Ok)?;
    if time < Duration::from_millis(100) || time > Duration::from_secs(86_400) {
        return Err("must be between 0.1s and 1 day".to_owned());
    }
    Ok(time)
}
