//! The phases in their order, and one exit code.
//!
//! Privileges are suspended before anything that the caller supplied is read, resumed only while
//! the sockets are opened, and dropped before the first target is read. Every failure ends in one
//! line that says what failed, and in an exit code that the parent does not take for silent hosts.

#![deny(clippy::disallowed_methods)]

use std::env;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic;
use std::process::ExitCode;

use multiping::net::Link;
use xymonping::check::{self, Checklist};
use xymonping::cli::{self, Input, Request};
use xymonping::fping;
use xymonping::inherited;
use xymonping::input;
use xymonping::limits::Limits;
use xymonping::list::{List, Zones};
use xymonping::memory;
use xymonping::message::{Error, Exit};
use xymonping::names;
use xymonping::notes::{self, Notes};
use xymonping::personality::{Invocation, Personality};
use xymonping::privilege::Suspended;
use xymonping::run::{self, Log, Session, Status};
use xymonping::sandbox;
use xymonping::signal::Signals;

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
    let mut options = match command_line.request {
        Ok(Request::Run(options)) => *options,
        other => {
            suspended.drop()?;
            return other.and_then(|request| run::print(request, &signals));
        }
    };
    let threads = if options.check { 1 } else { options.threads(run::processors) };
    let config = match input::sockets(&options, limits, threads) {
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
    let sockets = (0..threads).map(|_| privileged.open_sockets(config.clone())).collect::<Result<Vec<_>, _>>();
    let dropped = privileged.drop()?;

    // 5. Drop all packets, read targets, accept replies. What arrived before the filter is read
    //    before the first probe.
    if let Some(time) = options.deadline {
        notes.deadline = Some(start + time);
        signals.set_alarm(time.saturating_sub(run::now() - start))?;
    }
    input::find_multicast_interface(&mut options)?;
    let secret = RandomState::new();
    let ident = secret.build_hasher().finish() as u16;
    let links = sockets.and_then(|sockets| {
        let numbered = (0..).map(|nth| ident.wrapping_add(nth)).zip(sockets);
        numbered.map(|(ident, sockets)| Link::new(sockets, ident, &options.packet)).collect::<Result<Vec<_>, _>>()
    });
    if let Some(right) = right {
        let link = links.map(|mut links| links.swap_remove(0));
        let link = link.and_then(|mut link| link.listen(|_| true).map(|()| link));
        let sockets = link.map(Link::status).map_err(|error| input::refused(error, &options));
        let mut checklist = Checklist::new(right, options.family, &sockets);
        let entered = sandbox::enter(&dropped);
        checklist.add_sandbox(&entered);
        checklist.add_limits(limits);
        let result = check::result(sockets).and(entered.map(drop));
        checklist.add_verdict(&result);
        run::print(&checklist, &signals)?;
        return result.map(|()| Exit::Success);
    }
    let mut links = links.map_err(|error| input::refused(error, &options))?;
    let mut log = Log::open(&options.debug, options.packet.size(), &signals)?;
    let mut status = Status::of_stderr(&options, true);
    let mut show = |lines, asked| status.show_reading(lines, asked);
    let list = input::read(&options, limits, &signals, notes, &mut show);
    status.wipe();
    let list = list?;
    notes.awaits_list = false;
    let zones = Zones::new(&list.lines, &list.addresses);
    if let Some(log) = &mut log {
        log.zones = zones.clone();
    }
    let references = input::references(&options, limits)?;
    let List { addresses, .. } = &list;
    run::listen(&mut links[0], addresses, &references)?;
    let to_report = run::time_to_report(addresses.len(), options.statistics.is_some());
    let deadline = options.deadline.map(|time| start + time - to_report.min(time / 2));

    // 6. Enter the sandbox, with seccomp or without; probe; report.
    let (options, signals, dropped) = (&options, &signals, &dropped);
    let session =
        Session { options, limits, signals, dropped, links, list, zones, references, log, secret, start, deadline };
    session.run(notes)
}
