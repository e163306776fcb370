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
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use xymonping::address::{Address, PerFamily};
use xymonping::check;
use xymonping::cli::{self, Debug, Help, Input, Options, Request, Source};
use xymonping::input;
use xymonping::limits::Limits;
use xymonping::list::List;
use xymonping::memory;
use xymonping::message::{Error, Exit, Warning};
use xymonping::net::{self, Link, RawSockets};
use xymonping::plan::Plan;
use xymonping::privilege::{self, Privileged, Suspended};
use xymonping::prober::{Diagnosis, Prober};
use xymonping::report::{Format, Outcome, Reserved, Results, Summary};
use xymonping::run::{self, Context, Log, Status};
use xymonping::sandbox;
use xymonping::signal::Signals;
use xymonping::stdio::{Stream, Timeout};
use xymonping::token::Key;

/// How long the final writes and reads may block, so that exiting never hangs.
const EXIT_IO_TIMEOUT: Duration = Duration::from_secs(1);

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
        write_stderr(&[Error::Panic(format!("{what}{place}")).to_string()], None);
    }));
    if let Err(error) = memory::prepare() {
        // Reporting it takes stack.
        if memory::has_stack() {
            fail_without_memory(&error);
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
        write_stderr(&notes.failures, notes.deadline);
        if exit >= Exit::Usage && notes.awaiting_list {
            drain_stdin(notes.deadline);
        }
        exit
    })
    .unwrap_or(Exit::Failure)
    .into()
}

/// Reports that there is not enough memory to start, without allocating.
fn fail_without_memory(error: &Error) {
    let mut line = Cursor::new([0; 256]);
    if privilege::forsake().is_ok() && writeln!(line, "xymonping: {error}").is_ok() {
        let said = &line.get_ref()[..line.position() as usize];
        let _ = Stream::new(io::stderr(), Timeout::After(EXIT_IO_TIMEOUT)).write_all(said);
    }
}

fn run(notes: &mut Notes) -> Result<Exit, Error> {
    let start = run::now();

    // 1. Set rights aside.
    let suspended = Suspended::begin()?;
    let mut signals = Signals::block()?;
    run::set_timer_slack();
    let limits = if suspended.caller_is_root() { &Limits::ROOT } else { &Limits::ORDINARY };

    // 2. Read the command line, without rights.
    let command_line = cli::parse(env::args_os().skip(1), limits);
    notes.awaiting_list = command_line.awaits_list;
    let (options, sources) = match command_line.request.and_then(with_sources) {
        Ok((Request::Run(options), sources)) => (*options, sources),
        Ok((request, _)) => {
            suspended.resume()?.drop()?;
            return answer(&request, &signals);
        }
        Err(error) => {
            suspended.resume()?.drop()?;
            return Err(error);
        }
    };
    notes.awaiting_list = options.input == Input::Stdin && !options.check;
    notes.warnings.extend(options.warnings.iter().map(Warning::to_string));

    // 3. Use them, once. 4. Give them up.
    let right = options.check.then(|| suspended.right());
    let privileged = suspended.resume()?;
    let sockets = open_sockets(&options, sources, limits, &privileged);
    let dropped = privileged.drop()?;

    // 5. Drop all packets, read targets, accept replies: nothing queues up meanwhile, and what came before is read before
    // the first probe.
    if let Some(deadline) = options.deadline {
        notes.deadline = Some(start + deadline);
        signals.set_alarm(deadline.saturating_sub(run::now() - start))?;
    }
    let secret = RandomState::new();
    let ident = secret.build_hasher().finish() as u16;
    let link = sockets.and_then(|sockets| Ok(Link::new(sockets, ident, &options.packet)?));
    if let Some(right) = right {
        let link = link.and_then(|mut link| Ok(link.listen(|_| true).map(|()| link)?));
        let (report, end) = check::look(right, options.family, link, limits, &dropped);
        print(&report, &signals)?;
        return end.map(|()| Exit::Success);
    }
    let mut link = link?;
    let log = open_log(&options.debug, &signals)?;
    let List { addresses, lines, rejected, .. } = read_list(&options, limits, &signals, notes)?;
    let targets = addresses.len();
    notes.awaiting_list = false;
    link.listen(|family| addresses.count(family) > 0)?;
    if addresses.iter().any(|(_, address)| link.is_remote(address)) {
        link.look_for_routes();
    }
    let deadline = options.deadline.map(|time| start + time - time_to_report(targets).min(time / 2));
    warn_of_deadline(&options.plan, targets, deadline);
    let reserved = if options.summary { Summary::reserve(targets)? } else { Reserved::default() };
    let mut out = BufWriter::with_capacity(16 * 1024, Stream::new(io::stdout(), Timeout::Signal(&signals)));
    let mut prober = Prober::sweep(&options.plan, addresses, Key::new(secret), link.idents(), run::now())?;
    let status = Status::new(Stream::new(io::stderr(), Timeout::After(Duration::ZERO)), io::stderr().is_terminal());
    let mut context = Context { signals: &signals, log, status, deadline };

    // 6. Enter the sandbox, probe, report.
    sandbox::enter(&dropped)?;
    let end = run::probe(&mut link, &mut prober, &mut context, &dropped);
    let diagnosis = Diagnosis::new(&prober);
    let outcome = Outcome::new(&prober, &diagnosis, end);
    notes.failures.extend(outcome.failures.iter().map(Error::to_string));
    notes.warnings.splice(0..0, outcome.warnings.iter().map(Warning::to_string));
    let results = Results { lines: &lines, prober: &prober, diagnosis: &diagnosis };
    if let Err(error) = results.write(Format::Xymon(options.lines), &mut out) {
        // Dropped as it is, the buffer would be written once more, and wait once more for a reader who does not read.
        let _ = out.into_parts();
        return Err(Error::WriteResults(error));
    }
    if options.summary {
        notes.warnings.push(Summary::new(results, link.drops(), run::now() - start, reserved).to_string());
    }
    // The kernel takes everything back faster than we can give it piece by piece.
    mem::forget((link, prober, out, lines));
    Ok(match outcome.failures.iter().map(Error::exit).max() {
        Some(exit) => exit,
        None if options.exit_status && rejected > 0 => Exit::Rejected,
        None if options.exit_status && diagnosis.unreachable > 0 => Exit::Unreachable,
        None => Exit::Success,
    })
}

/// Opens the sockets, which is all that is done with privilege.
fn open_sockets(
    options: &Options,
    sources: PerFamily<Option<Address>>,
    limits: &Limits,
    _: &Privileged,
) -> Result<RawSockets, Error> {
    Ok(RawSockets::open(net::Config {
        families: PerFamily::from_fn(|family| options.family.is_none_or(|only| only == family)),
        sources,
        interface: options.interface.clone(),
        receive_buffer: limits.receive_buffer,
        broadcast: limits.groups,
    })?)
}

/// How long before the deadline probing has to end so that the lines are out by then: ample for a file, and for a pipe
/// that is read.
fn time_to_report(targets: usize) -> Duration {
    Duration::from_millis(20) + Duration::from_micros(targets as u64)
}

/// A list that cannot be probed in time is announced before the run, while there is time to interrupt it.
fn warn_of_deadline(plan: &Plan, targets: usize, deadline: Option<Instant>) {
    if let (Some(deadline), Some(pps)) = (deadline, plan.rate().pps()) {
        let needed = targets.saturating_sub(1) as f64 / pps; // the first leaves at once
        if needed > deadline.saturating_duration_since(run::now()).as_secs_f64() {
            write_stderr(&[Warning::TooSlow(targets, needed).to_string()], Some(deadline));
        }
    }
}

/// Checks the addresses to send from, as far as that needs no privilege.
fn with_sources(request: Request) -> Result<(Request, PerFamily<Option<Address>>), Error> {
    let mut sources = PerFamily::default();
    if let Request::Run(options) = &request {
        for source in [&options.sources.v4, &options.sources.v6].into_iter().flatten() {
            let address = source_address(source)?;
            sources[address.family()] = Some(address);
        }
    }
    Ok((request, sources))
}

/// The address of a `--source`, its zone looked up. The kernel would bind to a broadcast address.
fn source_address(source: &Source) -> Result<Address, Error> {
    let refused = |why| Error::BadSource(source.to_string().as_bytes().into(), why);
    match (source.ip, &source.zone) {
        (IpAddr::V4(ip), _) if net::is_broadcast(ip) => Err(refused("a broadcast address")),
        (IpAddr::V4(ip), _) => Ok(Address::V4(ip)),
        (IpAddr::V6(ip), None) => Ok(Address::V6(ip, 0)),
        (IpAddr::V6(ip), Some(zone)) => match net::interface(zone) {
            Some(index) => Ok(Address::V6(ip, index)),
            None => Err(refused("no such interface")),
        },
    }
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
    Stream::new(io::stdout(), Timeout::Signal(signals)).write_all(text.as_bytes()).map_err(Error::WriteResults)
}

fn open_log<'a>(debug: &Debug, signals: &'a Signals) -> Result<Option<Log<'a>>, Error> {
    Ok(match debug {
        Debug::Off => None,
        Debug::Stderr => Some(Log::new(Stream::new(io::stderr(), Timeout::Signal(signals)))),
        Debug::File(path) => {
            let file = Stream::open_log(Path::new(path), signals);
            Some(Log::new(file.map_err(|error| Error::OpenDebug(path.as_bytes().into(), error))?))
        }
    })
}

/// Reads the list; remarks on it are noted.
fn read_list(options: &Options, limits: &Limits, signals: &Signals, notes: &mut Notes) -> Result<List, Error> {
    let deadline = notes.deadline;
    let list = input::read(options, limits, signals, |line| write_stderr(&[line.to_owned()], deadline));
    if let Err(Error::OpenList(_, error)) = &list
        && limits.caller_is_root
        && error.kind() == io::ErrorKind::PermissionDenied
    {
        notes.warnings.push(Warning::RootWithoutPowers.to_string());
    }
    let list = list?;
    notes.warnings.extend(list.remarks.iter().map(|remark| remark.to_string()));
    let unsaid = list.rejected + list.two_addresses - list.remarks.len() as u64;
    if unsaid > 0 {
        notes.warnings.push(Warning::MoreLines(unsaid).to_string());
    }
    Ok(list)
}

/// Writes lines to stderr, each with the program's name, and blocks no longer than the deadline
/// allows. After the first line that cannot be written the others are not tried.
fn write_stderr(lines: &[String], deadline: Option<Instant>) {
    let remaining = deadline.map(|deadline| deadline.saturating_duration_since(run::now()));
    let timeout = remaining.map_or(EXIT_IO_TIMEOUT, |remaining| remaining.min(EXIT_IO_TIMEOUT));
    let mut out = Stream::new(io::stderr(), Timeout::After(timeout));
    let _ = lines.iter().try_for_each(|line| out.write_all(format!("xymonping: {line}\n").as_bytes()));
}

/// Reads the rest of stdin, so that a parent that is still writing gets no SIGPIPE.
fn drain_stdin(deadline: Option<Instant>) {
    let mut input = Stream::new(io::stdin(), Timeout::After(EXIT_IO_TIMEOUT));
    if input.is_pipe_or_socket() {
        input.drain(deadline);
    }
}
