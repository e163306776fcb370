//! The phases in their order, and one exit code.
//!
//! Rights are set aside before anything of the caller's is read, come back for the moment in which the sockets are
//! opened, and are gone before the first target is read. Whatever goes wrong ends in one line that says what, and in an
//! exit code that the parent does not take for the hosts' silence.

#![forbid(unsafe_code)]

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, Cursor, IsTerminal, Write};
use std::mem;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use xymonping::check;
use xymonping::cli::{self, Debug, Help, Input, Options, Request};
use xymonping::driver::{self, Context, Log, Status};
use xymonping::error::{Error, Exit, Warning};
use xymonping::memory;
use xymonping::net::{self, Link, Origin, RawSockets};
use xymonping::plan::{Limits, Plan, Rate};
use xymonping::privilege::{self, Suspended};
use xymonping::prober::Prober;
use xymonping::report::{Outcome, Summary};
use xymonping::sandbox;
use xymonping::signal::Signals;
use xymonping::stdio::{Stream, Until};
use xymonping::targets::{Reading, Rules, Targets};
use xymonping::token::Key;

/// How many milliseconds the last messages wait for a reader, and the last reading for a writer: the end may not hang.
const LAST_WORDS: u16 = 1000;

/// What is said on stderr at the end: failures first, then warnings, then remarks on lines.
#[derive(Default)]
struct Notes {
    failures: Vec<String>,
    warnings: Vec<String>,
    /// Whether a list is expected on stdin that has not been read to its end.
    awaiting_list: bool,
    /// When the process has to be over.
    deadline: Option<Instant>,
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(|bug| {
        let place = bug.location().map_or(String::new(), |place| format!(" at {place}"));
        let what = bug.payload_as_str().unwrap_or("panic");
        say(&[Error::Panic(format!("{what}{place}")).to_string()], None);
    }));
    if let Err(error) = memory::prepare() {
        // What it takes to say so may be more than there is.
        if memory::has_stack() {
            refuse(&error);
        }
        return Exit::Failure.into();
    }
    panic::catch_unwind(|| {
        let mut notes = Notes { awaiting_list: true, ..Notes::default() };
        let exit = run(&mut notes).unwrap_or_else(|error| {
            notes.awaiting_list &= !matches!(error, Error::ReadList(_));
            notes.failures.insert(0, error.to_string());
            error.exit()
        });
        notes.failures.append(&mut notes.warnings);
        say(&notes.failures, notes.deadline);
        if exit >= Exit::Usage && notes.awaiting_list {
            listen_to_the_end(notes.deadline);
        }
        exit
    })
    .unwrap_or(Exit::Failure)
    .into()
}

/// Says why the program ends where there is not even the memory to begin.
fn refuse(error: &Error) {
    let mut line = Cursor::new([0; 256]);
    if privilege::forsake().is_ok() && writeln!(line, "xymonping: {error}").is_ok() {
        let said = &line.get_ref()[..line.position() as usize];
        let _ = Stream::new(io::stderr(), Until::Milliseconds(LAST_WORDS)).write_all(said);
    }
}

fn run(notes: &mut Notes) -> Result<Exit, Error> {
    let start = driver::now();

    // 1. Set rights aside.
    let suspended = Suspended::begin()?;
    let mut signals = Signals::block()?;
    driver::be_punctual();
    let caller_is_root = suspended.caller_is_root();
    let limits = if caller_is_root { &Limits::ROOT } else { &Limits::ORDINARY };

    // 2. Read the command line, without rights.
    let request = cli::parse(env::args_os().skip(1), limits);
    let (options, origins) = match request.and_then(with_origins) {
        Ok((Request::Run(options), origins)) => (*options, origins),
        Ok((request, _)) => {
            suspended.resume()?.drop()?;
            return answer(&request, &signals);
        }
        Err(error) => {
            // A command line that cannot be understood may still tell that nobody is writing us a list.
            notes.awaiting_list = !cli::needs_no_list(env::args_os().skip(1));
            suspended.resume()?.drop()?;
            return Err(error);
        }
    };
    notes.awaiting_list = options.input == Input::Stdin && !options.check;
    notes.warnings.extend(options.warnings.iter().map(Warning::to_string));

    // 3. Use them, once. 4. Give them up.
    let right = options.check.then(|| suspended.right());
    let privileged = suspended.resume()?;
    let sockets = RawSockets::open(&privileged, options.only, origins, caller_is_root);
    let dropped = privileged.drop()?;

    // 5. Shut the sockets, read targets, listen: nothing piles up meanwhile, and what came before is drained before the
    // first probe.
    if let Some(deadline) = options.deadline {
        notes.deadline = Some(start + deadline);
        signals.set_alarm(deadline.saturating_sub(driver::now() - start))?;
    }
    let secret = RandomState::new();
    let ident = secret.build_hasher().finish() as u16;
    let make_ready =
        |sockets| Link::new(sockets, ident, &options.shape, options.interface.as_deref(), caller_is_root, &dropped);
    let link = sockets.and_then(make_ready);
    if let Some(right) = right {
        let link = link.and_then(|mut link| link.listen(|_| true).map(|()| link));
        let (report, end) = check::look(right, options.only, link, limits, &dropped);
        print(&report, &signals)?;
        return end.map(|()| Exit::Success);
    }
    let mut link = link?;
    let log = open_log(&options.debug, &signals)?;
    let targets = read_targets(&options, limits, &signals, notes)?;
    notes.awaiting_list = false;
    link.listen(|family| targets.of(family) > 0)?;
    if targets.addresses().any(|(_, address)| link.leaves(address)) {
        link.take_compass(origins, options.interface.as_deref());
    }
    let deadline = options.deadline.map(|time| start + time - time_to_report(targets.len()).min(time / 2));
    warn_of_deadline(&options.plan, targets.len(), deadline);
    let rejected = targets.rejected > 0;
    let room = Summary::room(if options.summary { targets.len() } else { 0 })?;
    let mut out = BufWriter::with_capacity(16 * 1024, Stream::new(io::stdout(), Until::Signal(&signals)));
    let mut prober = Prober::new(options.plan, Key::new(secret), link.idents(), targets, driver::now())?;
    let status = Status::new(Stream::new(io::stderr(), Until::Milliseconds(0)), io::stderr().is_terminal());
    let mut context = Context { signals: &signals, log, status, deadline };

    // 6. Close the door, probe, report.
    sandbox::enter(&dropped)?;
    let end = driver::probe(&mut link, &mut prober, &mut context, &dropped);
    let outcome = Outcome::of(&prober, end);
    notes.failures.extend(outcome.failures.iter().map(Error::to_string));
    notes.warnings.splice(0..0, outcome.warnings.iter().map(Warning::to_string));
    if let Err(error) = outcome.write(&mut out, &prober, options.lines) {
        // Dropped as it is, the buffer would be written once more, and wait once more for a reader who does not read.
        let _ = out.into_parts();
        return Err(Error::WriteResults(error));
    }
    if options.summary {
        let summary = Summary::new(&prober, &outcome, link.drops(), driver::now() - start, room);
        notes.warnings.push(summary.to_string());
    }
    // The kernel takes everything back faster than we can give it piece by piece.
    mem::forget((link, prober, out));
    Ok(match outcome.failures.iter().map(Error::exit).max() {
        Some(exit) => exit,
        None if options.exit_status && rejected => Exit::Rejected,
        None if options.exit_status && outcome.unreachable > 0 => Exit::Unreachable,
        None => Exit::Success,
    })
}

/// How long before the deadline probing has to end so that the lines are out by then: ample for a file, and for a pipe
/// that is read.
fn time_to_report(targets: usize) -> Duration {
    Duration::from_millis(20) + Duration::from_micros(targets as u64)
}

/// A list that cannot be probed in time is announced before the run, while there is time to interrupt it.
fn warn_of_deadline(plan: &Plan, targets: usize, deadline: Option<Instant>) {
    if let (Some(deadline), Rate::PerSecond(pps)) = (deadline, plan.rate) {
        let needed = targets.saturating_sub(1) as f64 / pps; // the first leaves at once
        if needed > deadline.saturating_duration_since(driver::now()).as_secs_f64() {
            say(&[Warning::TooSlow(targets, needed).to_string()], Some(deadline));
        }
    }
}

/// Checks the addresses to send from, as far as that takes no rights.
fn with_origins(request: Request) -> Result<(Request, [Option<Origin>; 2]), Error> {
    let mut origins = [None; 2];
    if let Request::Run(options) = &request {
        for (origin, source) in origins.iter_mut().zip(&options.sources) {
            *origin = source.as_ref().map(Origin::check).transpose()?;
        }
    }
    Ok((request, origins))
}

/// Answers a question about the program itself.
fn answer(request: &Request, signals: &Signals) -> Result<Exit, Error> {
    let text = match request {
        Request::Help => Help.to_string(),
        _ => format!("xymonping {}\n", env!("CARGO_PKG_VERSION")),
    };
    print(&text, signals)?;
    Ok(Exit::Success)
}

/// Writes to stdout what is no result.
fn print(text: &str, signals: &Signals) -> Result<(), Error> {
    Stream::new(io::stdout(), Until::Signal(signals)).write_all(text.as_bytes()).map_err(Error::WriteResults)
}

fn open_log<'a>(debug: &Debug, signals: &'a Signals) -> Result<Option<Log<'a>>, Error> {
    Ok(match debug {
        Debug::Off => None,
        Debug::Stderr => Some(Log::new(Stream::new(io::stderr(), Until::Signal(signals)))),
        Debug::File(path) => {
            let file = Stream::open_log(Path::new(path), signals);
            Some(Log::new(file.map_err(|error| Error::OpenDebug(path.as_bytes().into(), error))?))
        }
    })
}

fn read_targets(options: &Options, limits: &Limits, signals: &Signals, notes: &mut Notes) -> Result<Targets, Error> {
    // Root may ping them; then it is not worth while to ask.
    let broadcasts = if limits.groups { Vec::new() } else { net::broadcasts() };
    let rules = Rules { only: options.only, limits, broadcasts: &broadcasts, interface: &net::interface };
    let mut reading = Reading::new(rules).within(&memory::available);
    let deadline = notes.deadline;
    let tell = |lines| say(&[format!("reading the list, {lines} lines so far")], deadline);
    match &options.input {
        Input::Operands(operands) => {
            for operand in operands {
                reading.operand(operand.as_bytes())?;
            }
        }
        Input::File(path) => {
            let opened = Stream::open_list(Path::new(path), signals);
            let mut list = opened.map_err(|error| {
                if limits.groups && error.kind() == io::ErrorKind::PermissionDenied {
                    notes.warnings.push(Warning::RootWithoutPowers.to_string());
                }
                Error::OpenList(path.as_bytes().into(), error)
            })?;
            driver::read_list(&mut list, &mut reading, tell)?;
        }
        Input::Stdin => {
            if io::stdin().is_terminal() {
                say(&["reading addresses from the terminal, one a line (end with Ctrl-D)".to_owned()], notes.deadline);
            }
            driver::read_list(&mut Stream::new(io::stdin(), Until::Signal(signals)), &mut reading, tell)?;
        }
    }
    let targets = reading.finish()?;
    notes.warnings.extend(targets.remarks.iter().map(|remark| remark.to_string()));
    let unsaid = targets.rejected + targets.doubtful - targets.remarks.len() as u64;
    if unsaid > 0 {
        notes.warnings.push(Warning::MoreLines(unsaid).to_string());
    }
    Ok(targets)
}

/// Writes lines to stderr, each with the program's name, and waits for a reader no longer than the deadline allows. If
/// one cannot be written, nobody is left to be told, and the rest is not tried.
fn say(lines: &[String], deadline: Option<Instant>) {
    let left = deadline.map(|deadline| deadline.saturating_duration_since(driver::now()).as_millis());
    let patience = left.map_or(LAST_WORDS, |left| left.min(LAST_WORDS.into()) as u16);
    let mut out = Stream::new(io::stderr(), Until::Milliseconds(patience));
    let _ = lines.iter().try_for_each(|line| out.write_all(format!("xymonping: {line}\n").as_bytes()));
}

/// Reads what a parent is still writing to us.
fn listen_to_the_end(deadline: Option<Instant>) {
    let mut input = Stream::new(io::stdin(), Until::Milliseconds(LAST_WORDS));
    if input.has_peer() {
        driver::drain_input(&mut input, deadline);
    }
}
