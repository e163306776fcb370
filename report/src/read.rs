//! Bytes to runs. What cannot be understood is named by its line, and the rest is read all the
//! same.

use serde::Deserialize;
use serde_json::Error;

use crate::csv;
use crate::figures::printable;
use crate::record::{End, Interval, Kind, Packet, Rejected, SCHEMA, Start, Target};
use crate::run::{Event, Run};

/// The longest line that is read. One with the RTTs of a million probes is shorter.
pub const MAX_LINE: usize = 16 << 20;

/// How many problems are named; the others are counted.
const MAX_PROBLEMS: usize = 10;

/// Reads inputs one after the other.
#[derive(Default)]
pub struct Reader {
    /// The runs so far.
    pub runs: Vec<Run>,
    /// Their targets as a table, if one is wanted.
    pub table: Option<csv::Table>,
    /// What could not be understood, by input and line.
    pub problems: Vec<String>,
    /// How many more there were.
    pub more_problems: u64,
    input: String,
    line: u64,
    partial: Vec<u8>,
    /// The line is too long; the rest of it is passed over.
    too_long: bool,
    /// Whether the last run may still get records.
    open: bool,
}

impl Reader {
    /// Begins with the next input.
    pub fn begin(&mut self, name: &str) {
        self.input = name.to_owned();
        self.line = 0;
    }

    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while let Some(length) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(length);
            bytes = &rest[1..];
            if self.partial.is_empty() && !self.too_long && line.len() <= MAX_LINE {
                self.line(line, true);
            } else {
                self.keep(line);
                self.end_line(true);
            }
        }
        self.keep(bytes);
    }

    /// The input is at its end.
    pub fn finish(&mut self) {
        if !self.partial.is_empty() || self.too_long {
            self.end_line(false);
        }
        self.close();
    }

    /// Whether the latest run has ended.
    pub fn has_ended(&self) -> bool {
        !self.runs.is_empty() && !self.open
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.partial.len() + bytes.len() > MAX_LINE {
            self.too_long = true;
            self.partial = Vec::new();
        }
        if !self.too_long {
            self.partial.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self, whole: bool) {
        let mut line = std::mem::take(&mut self.partial);
        if std::mem::take(&mut self.too_long) {
            self.line += 1;
            self.problem(&format!("longer than {} MiB", MAX_LINE >> 20));
        } else {
            self.line(&line, whole);
        }
        line.clear();
        self.partial = line;
    }

    fn line(&mut self, line: &[u8], whole: bool) {
        self.line += 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        if let Err(error) = self.record(line) {
            let text = error.to_string();
            let what = text.split(" at line ").next().unwrap_or(&text);
            let cut = if whole { "" } else { ", and the input ends in this line" };
            self.problem(&format!("{what} (column {}){cut}", error.column()));
        }
    }

    fn problem(&mut self, what: &str) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(format!("{}: line {}: {}", self.input, self.line, printable(what)));
        } else {
            self.more_problems += 1;
        }
    }

    fn record(&mut self, line: &[u8]) -> Result<(), Error> {
        let kind = match type_of(line) {
            Some(kind) => kind,
            None => serde_json::from_slice::<Kind<'_>>(line)?.kind.into_owned(),
        };
        match kind.as_str() {
            "start" => {
                let start: Start = serde_json::from_slice(line)?;
                self.close();
                self.check_schema(start.schema);
                self.runs.push(Run::new(start));
                self.open = true;
            }
            "target" => {
                let target: Target = serde_json::from_slice(line)?;
                if let Some(table) = &mut self.table {
                    table.add(line)?;
                }
                self.run().target(target);
            }
            "interval" => {
                let interval: Interval<'_> = serde_json::from_slice(line)?;
                self.run().interval(&interval);
            }
            "rejected" => {
                let rejected: Rejected = serde_json::from_slice(line)?;
                self.run().rejected.push(rejected);
            }
            "end" => {
                let end: End = serde_json::from_slice(line)?;
                self.check_schema(end.schema);
                if self.run().start.schema == 0 {
                    self.run().start.run = name_of(line)?;
                }
                self.run().end = Some(end);
                self.run().close();
                self.open = false;
            }
            kind => {
                if let Some(event) = Event::of(kind) {
                    let packet: Packet<'_> = serde_json::from_slice(line)?;
                    self.run().packet(event, &packet);
                }
            }
        }
        Ok(())
    }

    /// The run that the record belongs to. Records without a start make one of their own.
    fn run(&mut self) -> &mut Run {
        if !self.open {
            self.problem("records without a `start` record before them");
            self.runs.push(Run::new(Start::default()));
            self.open = true;
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    fn check_schema(&mut self, schema: u64) {
        if schema != SCHEMA {
            self.problem(&format!("schema {schema}, but this program knows {SCHEMA}: figures may be wrong or missing"));
        }
    }

    /// The records of the run are over, with or without its end.
    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.problem("no `end` record: the output of the run was cut off here");
            if let Some(run) = self.runs.last_mut() {
                run.close();
            }
        }
    }
}

/// The type of a record that begins with it, as xymonping writes them.
fn type_of(line: &[u8]) -> Option<String> {
    let rest = line.strip_prefix(b"{\"type\":\"")?;
    let length = rest.iter().take(32).position(|byte| *byte == b'"')?;
    let kind = &rest[..length];
    let plain = kind.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'-');
    plain.then(|| String::from_utf8_lossy(kind).into_owned())
}

fn name_of(line: &[u8]) -> Result<String, Error> {
    #[derive(Deserialize)]
    struct Name {
        run: Option<String>,
    }
    Ok(serde_json::from_slice::<Name>(line)?.run.unwrap_or_default())
}
