//! Reads, writes, and one exit code.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::error::ErrorKind;
use xymonping_report::cli::{Format, Options, When};
use xymonping_report::csv::Table;
use xymonping_report::figures::{counted, printable};
use xymonping_report::html::html;
use xymonping_report::influx::influx;
use xymonping_report::output;
use xymonping_report::prometheus::prometheus;
use xymonping_report::read::Reader;
use xymonping_report::run::Run;
use xymonping_report::svg::svg;
use xymonping_report::text::{Look, text};

/// How much is read at once.
const BLOCK: usize = 256 << 10;

/// How long to wait at the end of a file that is followed.
const POLL: Duration = Duration::from_millis(200);

/// A failure: its exit code and its words.
struct Failure(u8, String);

const BAD_INPUT: u8 = 2;
const USAGE: u8 = 3;
const FAILURE: u8 = 4;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            let written = output::write(Path::new("-"), error.to_string().as_bytes());
            return if written.is_ok() { ExitCode::SUCCESS } else { FAILURE.into() };
        }
        Err(error) => {
            let text = error.to_string();
            say(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
            return USAGE.into();
        }
    };
    match run(&options) {
        Ok(code) => code.into(),
        Err(Failure(code, what)) => {
            say(&what);
            code.into()
        }
    }
}

/// Writes a message to stderr. Errors are ignored: there is no other place for them.
fn say(what: &str) {
    let _ = writeln!(io::stderr(), "xymonping-report: {what}");
}

/// An error in the C library's words, without the number that std appends.
fn reason(error: &io::Error) -> String {
    let words = error.to_string();
    words.split(" (os error").next().unwrap_or(&words).to_owned()
}

fn run(options: &Options) -> Result<u8, Failure> {
    if let Some(conflict) = options.conflict() {
        return Err(Failure(USAGE, conflict.to_owned()));
    }
    let mut reader = Reader::default();
    reader.table = options.csv.as_ref().map(|_| Table::default());
    let stdin = [Path::new("-").to_owned()];
    for input in if options.inputs.is_empty() { &stdin } else { options.inputs.as_slice() } {
        let is_stdin = input.as_os_str() == "-";
        let name = if is_stdin { "standard input".to_owned() } else { input.display().to_string() };
        let source: Box<dyn Read + Send> = if is_stdin {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(input).map_err(|e| Failure(USAGE, format!("cannot open {name}: {}", reason(&e))))?)
        };
        reader.begin(&name);
        let result = if options.follow {
            follow(options, &mut reader, source, is_stdin)?
        } else {
            read_all(&mut reader, source)
        };
        result.map_err(|e| Failure(FAILURE, format!("cannot read {name}: {}", reason(&e))))?;
        reader.finish();
    }
    for problem in &reader.problems {
        say(problem);
    }
    if reader.more_problems > 0 {
        say(&counted(reader.more_problems, "more problem"));
    }
    let table = reader.table.take();
    if let Some(left_out) = table.as_ref().map(|table| table.left_out.join(", ")).filter(|keys| !keys.is_empty()) {
        say(&format!("--csv: no column for {}: the first target does not have it", printable(&left_out)));
    }
    write(options, &reader.runs, table, false)?;
    let ends = reader.runs.iter().filter_map(|run| run.end.as_ref());
    let exit = if options.exit_status { ends.map(|end| end.exit).max().unwrap_or(0) } else { 0 };
    Ok(exit.max(if reader.problems.is_empty() { 0 } else { BAD_INPUT }))
}

fn read_all(reader: &mut Reader, mut source: impl Read) -> io::Result<()> {
    let mut block = vec![0; BLOCK];
    loop {
        match source.read(&mut block) {
            Ok(0) => return Ok(()),
            Ok(length) => reader.feed(&block[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reads until the run has ended or a pipe is closed, and writes the files again and again
/// meanwhile.
fn follow(
    options: &Options,
    reader: &mut Reader,
    source: Box<dyn Read + Send>,
    is_stdin: bool,
) -> Result<io::Result<()>, Failure> {
    let (sender, blocks) = mpsc::sync_channel(4);
    thread::spawn(move || send_blocks(source, is_stdin, &sender));
    let mut next = Instant::now() + options.every;
    let mut fresh = false;
    loop {
        match blocks.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Ok(block)) => {
                reader.feed(&block);
                fresh = true;
                if reader.has_ended() && !is_stdin {
                    return Ok(Ok(()));
                }
            }
            Ok(Err(error)) => return Ok(Err(error)),
            Err(RecvTimeoutError::Disconnected) => return Ok(Ok(())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= next {
            if fresh && !reader.runs.is_empty() {
                reader.runs.iter_mut().for_each(Run::settle);
                write(options, &reader.runs, None, true)?;
            }
            fresh = false;
            next = Instant::now() + options.every;
        }
    }
}

fn send_blocks(mut source: Box<dyn Read + Send>, is_stdin: bool, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut block = vec![0; BLOCK];
        let sent = match source.read(&mut block) {
            Ok(0) if is_stdin => return,
            Ok(0) => {
                thread::sleep(POLL);
                Ok(())
            }
            Ok(length) => {
                block.truncate(length);
                sender.send(Ok(block))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => {
                let _ = sender.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Writes the outputs. While a run goes on, standard output gets only points, which may follow each
/// other.
fn write(options: &Options, runs: &[Run], mut table: Option<Table>, goes_on: bool) -> Result<(), Failure> {
    let is_stdout = |file: &Path| file.as_os_str() == "-";
    for (format, file) in &options.outputs() {
        if goes_on && is_stdout(file) && *format != Format::Influx {
            continue;
        }
        let color = match options.color {
            When::Auto => is_stdout(file) && io::stdout().is_terminal(),
            when => when == When::Always,
        };
        let bytes = match format {
            Format::Text => Some(text(runs, Look { color, unicode: options.unicode }).into_bytes()),
            // While a run goes on, it has no records of targets.
            Format::Csv => table.take().map(Table::finish),
            Format::Prometheus => prometheus(runs, goes_on).map(String::into_bytes),
            Format::Influx => Some(influx(runs).into_bytes()),
            Format::Html => Some(html(runs).into_bytes()),
            Format::Svg => Some(svg(runs).into_bytes()),
        };
        let name = if is_stdout(file) { "standard output".to_owned() } else { file.display().to_string() };
        let written = bytes.map_or(Ok(()), |bytes| output::write(file, &bytes));
        written.map_err(|e| Failure(FAILURE, format!("cannot write {name}: {}", reason(&e))))?;
    }
    Ok(())
}
