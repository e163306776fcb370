//! The phases in their order, and one exit code.
//!
//! Privileges are suspended before anything that the caller supplied is read, resumed only while
//! the sockets are opened, and dropped before the first target is read. Every failure ends in one
//! line that says what failed, and in an exit code that the parent does not take for silent hosts.

#![deny(clippy::disallowed_methods)]

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::mem;
use std::panic;
use std::process::ExitCode;
use std::time::Duration;

use multiping::net::{Link, Missing};
use multiping::prober::Prober;
use multiping::token::Key;
use xymonping::check::{self, Checklist};
use xymonping::cli::{self, Input, Request};
use xymonping::fping;
use xymonping::inherited;
use xymonping::input;
use xymonping::limits::Limits;
use xymonping::list::List;
use xymonping::memory;
use xymonping::message::{Error, Exit, Warning};
use xymonping::names;
use xymonping::notes::{self, Notes};
use xymonping::personality::{Invocation, Personality};
use xymonping::privilege::Suspended;
use xymonping::report::{Format, Outcome, Reserved, Results, Summary};
use xymonping::run::batch::{self, Batch};
use xymonping::run::{self, Context, Log, Status};
use xymonping::sandbox;
use xymonping::signal::Signals;
use xymonping::stdio::{self, Stream, Timeout};

fn main() -> ExitCode {
    panic::set_hook(Box::new(|bug| {
        let place = bug.location().map_or_else(String::new, |place| format!(" at {place}"));
        let payload = bug.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let what = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic");
        notes::write_stderr([Error::Panic(format!("{what}{place}"))], None);
    }));
    if let Err(error) = memory::reserve_stack_and_heap() {
        // Reporting it takes stack.
        if memory::can_grow_stack() {
            notes::fail_without_memory(&error);
        }
        return Exit::Failure.into();
    }
    panic::catch_unwind(|| {
        let mut notes = Notes::default();
        let result = run(&mut notes);
        notes.finish(result)
    })
    .unwrap_or(Exit::Failure)
    .into()
}

fn run(notes: &mut Notes) -> Result<Exit, Error> {
    let start = run::now();

    // 1. Suspend privileges.
    let suspended = Suspended::begin()?;
    inherited::reset()?;
    if names::is_child(env::args_os().next().as_deref()) {
        return names::serve(&suspended.drop()?).map(|()| Exit::Success);
    }
    let mut signals = Signals::block()?;
    run::set_timer_slack();
    let limits = if suspended.caller_is_root() { &Limits::ROOT } else { &Limits::ORDINARY };

    let invocation = Invocation::new(env::args_os());
    if invocation.personality == Personality::Fping {
        notes.awaits_list = false;
        return fping::run(&invocation, suspended, &signals, limits, start);
    }

    // 2. Parse the command line, unprivileged.
    let command_line = cli::parse(invocation.arguments, limits);
    notes.awaits_list = command_line.awaits_list;
    let options = match command_line.request {
        Ok(Request::Run(options)) => *options,
        other => {
            suspended.drop()?;
            return other.and_then(|request| print(&request.to_string(), &signals));
        }
    };
    let config = match input::sockets(&options, limits) {
        Ok(config) => config,
        Err(error) => {
            suspended.drop()?;
            return Err(error);
        }
    };
    notes.awaits_list = options.input == Input::Stdin && !options.check;
    notes.warn(&options.warnings);

    // 3. Use privileges, once. 4. Drop them for good.
    let right = options.check.then(|| suspended.right());
    let privileged = suspended.resume()?;
    let sockets = privileged.open_sockets(config);
    let dropped = privileged.drop()?;

    // 5. Drop all packets, read targets, accept replies. What arrived before the filter is read before
    //    the first probe.
    if let Some(time) = options.deadline {
        notes.deadline = Some(start + time);
        signals.set_alarm(time.saturating_sub(run::now() - start))?;
    }
    let secret = RandomState::new();
    let ident = secret.build_hasher().finish() as u16;
    let link = sockets.and_then(|sockets| Link::new(sockets, ident, &options.packet));
    if let Some(right) = right {
        let link = link.and_then(|mut link| link.listen(|_| true).map(|()| link));
        let sockets = link.map(Link::status).map_err(Error::from);
        let mut checklist = Checklist::new(right, options.family, &sockets);
        let entered = sandbox::enter(&dropped);
        checklist.add_sandbox(&entered);
        checklist.add_limits(limits);
        let result = check::result(sockets).and(entered.map(drop));
        checklist.add_verdict(&result);
        print(&checklist.to_string(), &signals)?;
        return result.map(|()| Exit::Success);
    }
    let mut link = link?;
    let log = Log::open(&options.debug, options.packet.size(), &signals)?;
    let list = input::read(&options, limits, &signals, notes)?;
    let resolver_failure = list.resolver_failure();
    let List { addresses, lines, rejected, .. } = list;
    notes.awaits_list = false;
    let references = input::references(&options, limits)?;
    link.listen(|family| addresses.count(family) + references.count(family) > 0)?;
    if addresses.iter().chain(references.iter()).any(|(_, address)| link.is_remote(address)) {
        link.look_for_routes();
    }
    let targets = addresses.len();
    let deadline = options.deadline.map(|time| start + time - run::time_to_report(targets).min(time / 2));
    if let Some(warning) = batch::too_slow(&options.plan, targets, deadline) {
        notes.say(warning);
    }
    let reserved = if options.summary { Summary::reserve(targets)? } else { Reserved::default() };
    let mut out = BufWriter::with_capacity(16 * 1024, Stream::new(io::stdout(), Timeout::Signal(&signals)));
    let prober = Prober::sweep(&options.plan, addresses, Key::new(secret), link.idents(), run::now())?;
    let mut prober = prober.with_data(&options.packet.data());
    let references = references.iter().map(|(_, address)| address);
    prober.set_references(references, options.plan.timeout(), run::now());
    let status = Status::new(Stream::new(io::stderr(), Timeout::After(Duration::ZERO)), io::stderr().is_terminal());
    let mut context = Context { signals: &signals, log, status, deadline };

    // 6. Enter the sandbox, with seccomp or without; probe; report.
    sandbox::enter(&dropped)?;
    let end = run::probe(&mut Batch, &mut link, &mut prober, &mut context, &dropped);
    let diagnosis = run::diagnose(&mut link, &prober, prober.strategy());
    let mut outcome = Outcome::new(&prober, &diagnosis, end);
    outcome.failures.extend(resolver_failure);
    notes.fail(&outcome.failures);
    let Missing { timestamps, filter, icmp_errors } = link.missing();
    let no_errors = icmp_errors.then_some(Warning::NoIcmpErrors);
    let missing = [timestamps.map(Warning::NoTimestamps), filter.map(Warning::NoFilter), no_errors];
    notes.warn_first(missing.into_iter().flatten());
    notes.warn_first(&outcome.warnings);
    let results = Results { lines: &lines, prober: &prober, diagnosis: &diagnosis };
    if let Err(error) = results.write(Format::Xymon(options.lines), &mut out) {
        // Dropping the buffer would write it once more, and could block once more.
        let _ = out.into_parts();
        return Err(Error::WriteResults(error));
    }
    stdio::close_stdout().map_err(Error::WriteResults)?;
    if options.summary {
        notes.summarize(Summary::new(results, link.drops(), run::now() - start, reserved));
    }
    // The kernel frees the memory of a process faster than destructors do.
    mem::forget((link, prober, out, lines));
    Ok(match outcome.failures.iter().map(Error::exit).max() {
        Some(exit) => exit,
        None if options.exit_status && rejected > 0 => Exit::Rejected,
        None if options.exit_status && diagnosis.unreachable > 0 => Exit::Unreachable,
        None => Exit::Success,
    })
}

/// Writes text other than results to stdout.
fn print(text: &str, signals: &Signals) -> Result<Exit, Error> {
    let mut out = Stream::new(io::stdout(), Timeout::Signal(signals));
    out.write_all(text.as_bytes()).and_then(|()| stdio::close_stdout()).map_err(Error::WriteResults)?;
    Ok(Exit::Success)
}
