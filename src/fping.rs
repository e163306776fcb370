//! Serving as fping 5.5: its command line, lines, numbers and exit codes, on the same engine.
//!
//! The phases are those of `main`. What differs on purpose: our own failure is never a host's
//! silence (exit code 4 with a reason), a duplicate counts for nothing, and a run that is stopped
//! calls no target unreachable that is not settled.

mod clock;
mod failure;
mod generate;
mod numeric;
mod once;
mod output;
mod rounds;
mod targets;
mod words;

use std::ffi::OsStr;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read};
use std::mem;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::slice;
use std::time::{Duration, Instant};

use multiping::address::{Address, Family, PerFamily};
use multiping::alloc::try_filled;
use multiping::net::{self, Link};
use multiping::plan::{IcmpErrors, PacketOptions, Plan, ProbeKind, Rate};
use multiping::prober::{Counts, Prober, Strategy};
use multiping::token::Key;
use nix::errno::Errno;

use crate::cli::Source;
use crate::cli::fping::{Help, Options, Request, VERSION, parse};
use crate::fping::clock::Clock;
use crate::fping::failure::{
    BAD_USAGE, Failure, NO_ADDRESS, bad_interface, bad_mark, bad_outgoing_interface, bad_source, fail, failures,
    unless_stopped,
};
use crate::fping::generate::BadRange;
use crate::fping::once::Once;
use crate::fping::output::Output;
use crate::fping::rounds::Rounds;
use crate::fping::targets::{Lines, Targets};
use crate::fping::words::{ListReader, Words};
use crate::input;
use crate::limits::Limits;
use crate::list::names::Query;
use crate::message::{Error, Exit, Reason, Warning};
use crate::names;
use crate::personality::Invocation;
use crate::privilege::{Dropped, Suspended};
use crate::report::End;
use crate::report::fping::{self as report, Stats, Trips};
use crate::run::{self, Context, Mode, Status};
use crate::sandbox;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// What clients take for a round-trip time is more than 0.
const MIN_RTT: Duration = Duration::from_micros(1);

/// Runs from the parsing of the command line to the end.
pub fn run(
    invocation: &Invocation,
    suspended: Suspended,
    signals: &Signals,
    limits: &Limits,
    start: Instant,
) -> Result<Exit, Error> {
    let program = &invocation.name;
    let options = match parse(program, &invocation.arguments) {
        Ok(Request::Run(options)) => *options,
        other => {
            suspended.drop()?;
            return match other {
                Ok(Request::Help) => run::print(Help(program), signals),
                Ok(_) => run::print(format_args!("{}: Version {VERSION}\n", program.to_string_lossy()), signals),
                Err(refusal) => Ok(fail(refusal.into(), program, &mut Output::new(signals))),
            };
        }
    };
    let config = match config(&options, limits) {
        Ok(config) => config,
        Err(failure) => {
            suspended.drop()?;
            return Ok(fail(failure, program, &mut Output::new(signals)));
        }
    };
    let privileged = suspended.resume()?;
    let sockets = privileged.open_sockets(config);
    let dropped = privileged.drop()?;
    let mut output = Output::new(signals);
    let setting = Setting { options: &options, limits, signals, start, program };
    let result = sockets.map_err(Failure::from).and_then(|sockets| setting.run(sockets, &dropped, &mut output));
    let exit = match result {
        Ok(exit) => exit,
        Err(failure) => fail(failure, program, &mut output),
    };
    match output.close() {
        Ok(()) => Ok(exit),
        Err(error) => Ok(fail(error.into(), program, &mut output)),
    }
}

/// The configuration of the sockets, checked as far as that is possible without privilege.
fn config(options: &Options, limits: &Limits) -> Result<net::Config, Failure> {
    let source = |source: &Option<Source>| source.as_ref().map(source_address).transpose();
    if options.mark.is_some() && !limits.allow_mark {
        return Err(bad_mark(&Errno::EPERM.into()));
    }
    let outgoing_interface = options.outgoing_interface.as_ref().map(|name| {
        let index = name.to_str().and_then(net::interface);
        index.ok_or_else(|| bad_outgoing_interface(&Errno::ENODEV.into()))
    });
    let interface = options.interface.as_ref().map(|name| {
        // The kernel's names are shorter than 16 bytes (IFNAMSIZ).
        let name = name.to_str().filter(|name| (1..16).contains(&name.len()));
        name.map(str::to_owned).ok_or_else(|| bad_interface(&Errno::ENODEV.into()))
    });
    Ok(net::Config {
        sources: PerFamily { v4: source(&options.sources.v4)?, v6: source(&options.sources.v6)? },
        interface: interface.transpose()?,
        outgoing_interface: outgoing_interface.transpose()?,
        mark: options.mark,
        icmp_errors: icmp_errors(options),
        ..input::config(options.family, limits)
    })
}

/// The address of `-S`. What the kernel would bind to although it is no address of this machine
/// alone is refused here.
fn source_address(source: &Source) -> Result<Address, Failure> {
    let address = input::source_address(source).ok();
    let is_one_host = |address: &Address| !address.ip().is_unspecified() && !address.ip().is_multicast();
    address.filter(is_one_host).ok_or_else(|| bad_source(&Errno::EADDRNOTAVAIL.into()))
}

/// Which ICMP errors are asked for: those that are told.
fn icmp_errors(options: &Options) -> IcmpErrors {
    if options.quiet { IcmpErrors::Ignore } else { IcmpErrors::Report }
}

/// How a run of any mode has ended.
struct Ending {
    alive: u32,
    unreachable: u32,
    trips: Trips,
    duplicates: u64,
    /// Why it is a failure, if it is one.
    failures: Vec<String>,
    flow: ControlFlow<signal::Event>,
}

/// What a run is made of before the sockets are open.
struct Setting<'a> {
    options: &'a Options,
    limits: &'a Limits,
    signals: &'a Signals,
    start: Instant,
    program: &'a OsStr,
}

impl Setting<'_> {
    fn run(&self, sockets: net::OpenedSockets, dropped: &Dropped, output: &mut Output) -> Result<Exit, Failure> {
        let secret = RandomState::new();
        let ident = secret.build_hasher().finish() as u16;
        let mut link = Link::new(sockets, ident, &self.packet())?;
        let words = self.words()?;
        // There is no figure to report yet.
        let look_up = |queries: &[Query]| names::look_up(queries, self.signals, None, &|_| ());
        let options = self.options;
        let mut said = ControlFlow::Continue(());
        let targets = Targets::find(&words, options, self.limits, &look_up, |name, why| {
            if options.json && said.is_continue() {
                said = output.result(report::json_warning(name, why));
            }
            if !options.quiet && said.is_continue() {
                said = output.message(format_args!("{name}: {why}\n"));
            }
        })?;
        drop(words);
        unless_stopped(said)?;
        if targets.len() == 0 {
            return Ok(if targets.unknown > 0 { NO_ADDRESS } else { Exit::Unreachable });
        }
        link.listen(|family| targets.count(family) > 0)?;
        link.look_for_routes();
        let key = Key::new(secret);
        if options.headers.ttl {
            link.receive_ttl();
        }
        if options.headers.tos {
            link.receive_tos();
        }
        if options.headers.destination {
            link.receive_destination();
        }
        if options.is_default_mode() {
            self.run_once(&targets, link, key, dropped, output)
        } else {
            self.run_rounds(&targets, link, key, dropped, output)
        }
    }

    /// The default mode.
    fn run_once(
        &self,
        targets: &Targets,
        mut link: Link,
        key: Key,
        dropped: &Dropped,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let (addresses, map) = targets.dedup().map_err(Error::from)?;
        let lines = Lines::new(map, addresses.len()).map_err(Error::from)?;
        let sent = try_filled(addresses.len(), (None, 0)).map_err(Error::from)?;
        let prober = Prober::sweep(&self.plan_for(targets, output)?, addresses, key, link.idents(), run::now())
            .map_err(Error::from)?;
        let mut prober = self.prepare(prober)?;
        let clock = Clock::new();
        let mut once = Once::new(self.options, targets, &lines, &clock, sent, output);
        let end = self.probe(&mut once, &mut link, &mut prober, dropped)?;
        let diagnosis = run::diagnose(&mut link, slice::from_ref(&prober), prober.strategy());
        let finished = Some((prober.strategy().settled(), prober.strategy().addresses().len()));
        let (unreachable, flow) = once.finish(prober.strategy(), &diagnosis);
        let ending = Ending {
            alive: once.alive,
            unreachable,
            trips: once.trips,
            duplicates: once.duplicates,
            failures: failures(end, &diagnosis, finished),
            flow,
        };
        let exit = self.finish(ending, targets, prober.counts(), output);
        // The kernel frees the memory of a process faster than destructors do.
        mem::forget((link, prober, lines));
        Ok(exit)
    }

    /// Count mode and loop mode.
    fn run_rounds(
        &self,
        targets: &Targets,
        mut link: Link,
        key: Key,
        dropped: &Dropped,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let clock = Clock::new();
        let (options, limits, rate, now) = (self.options, self.limits, self.rate(), run::now());
        if options.period < limits.spacing && !options.quiet {
            let least = limits.spacing.as_millis();
            unless_stopped(output.message(format_args!(
                "{}: -p raised to {least} ms (the limit for ordinary users)\n",
                self.program.to_string_lossy()
            )))?;
        }
        let gap = rate.pps().map_or(Duration::ZERO, |pps| Duration::from_secs_f64(1.0 / pps));
        let (roster, groups) = rounds::roster(options, targets, gap, limits, now).map_err(Error::from)?;
        if groups.period() > options.period && !options.quiet {
            let warning = Warning::GroupsPaced(groups.len(), groups.period());
            unless_stopped(output.message(format_args!("{}: {warning}\n", self.program.to_string_lossy())))?;
        }
        let prober = Prober::new(roster, rate, options.check_source, key, link.idents(), now);
        let mut prober = self.prepare(prober)?;
        let mut rounds = Rounds::new(options, targets, &clock, groups, now, output).map_err(Error::from)?;
        let end = self.probe(&mut rounds, &mut link, &mut prober, dropped)?;
        let diagnosis = run::diagnose(&mut link, slice::from_ref(&prober), &rounds);
        let (unreachable, flow) = rounds.finish(&diagnosis);
        let ending = Ending {
            alive: rounds.alive,
            unreachable,
            trips: rounds.trips,
            duplicates: rounds.duplicates,
            failures: failures(end, &diagnosis, None),
            flow,
        };
        drop(rounds);
        let exit = self.finish(ending, targets, prober.counts(), output);
        mem::forget((link, prober));
        Ok(exit)
    }

    /// `prober` with the data of probes, and with regard to ICMP errors.
    fn prepare<S: Strategy>(&self, prober: Prober<S>) -> Result<Prober<S>, Failure> {
        let packet = self.packet();
        let mut prober = prober.with_data(&packet.data()).with_kind(packet.kind()).map_err(Error::from)?;
        if packet.size() < *PacketOptions::SIZE.start() {
            prober = prober.with_short_data(packet.size()).map_err(Error::from)?;
        }
        Ok(prober.with_icmp_errors(icmp_errors(self.options)).map_err(Error::from)?)
    }

    /// Enters the sandbox, and probes.
    fn probe<M: Mode>(
        &self,
        mode: &mut M,
        link: &mut Link,
        prober: &mut Prober<M::Strategy>,
        dropped: &Dropped,
    ) -> Result<End, Failure> {
        let status = Status::new(Vec::new(), false);
        let mut context = Context { signals: self.signals, log: None, status, deadline: None };
        sandbox::enter(dropped)?;
        Ok(run::probe(mode, link, prober, &mut context, dropped))
    }

    /// Writes what ends a run of any mode.
    fn finish(&self, ending: Ending, targets: &Targets, counts: &Counts, output: &mut Output) -> Exit {
        let options = self.options;
        let Ending { alive, unreachable, trips, duplicates, failures, mut flow } = ending;
        let is_enough = options.reachable.is_some_and(|required| alive >= required);
        // What was left out for having enough is no failure.
        let failures = if is_enough && options.ends_when_reached { Vec::new() } else { failures };
        if let (Some(required), true) = (options.reachable, flow.is_continue()) {
            let line = report::enough(required, alive);
            flow = if options.json { output.message(line) } else { output.result(line) };
        }
        if options.stats && flow.is_continue() {
            let stats = Stats {
                targets: targets.len() as u64,
                alive: alive.into(),
                unreachable: unreachable.into(),
                unknown: targets.unknown.into(),
                timeouts: counts.timeouts,
                sent: counts.sent,
                replies: counts.replies + duplicates,
                other: counts.stray + counts.icmp_errors,
                trips,
                elapsed: run::now().saturating_duration_since(self.start),
            };
            flow = if options.json { output.result(report::json_stats(&stats)) } else { output.message(stats) };
        }
        for failure in failures.iter().filter(|_| flow.is_continue()) {
            let _ = output.message(format_args!("{}: {failure}\n", self.program.to_string_lossy()));
        }
        match options.reachable {
            Some(_) if is_enough => Exit::Success,
            _ if !failures.is_empty() || flow.is_break() => Exit::Failure,
            Some(_) => Exit::Unreachable,
            None if targets.unknown > 0 => NO_ADDRESS,
            None if unreachable > 0 || targets.refused > 0 => Exit::Unreachable,
            None => Exit::Success,
        }
    }

    /// What a probe is like on the wire.
    fn packet(&self) -> PacketOptions {
        // The same bytes in each run, as fping's are: the data is no secret.
        const RANDOM: [u8; 16] = *b"\x5f\x1b\xc4\x92\xe7\x3d\x08\xaa\x71\xd6\x2e\x99\x40\xf3\x8c\x15";
        let mut packet = PacketOptions::default();
        let size = self.options.size as usize;
        let pattern = if self.options.random_data { RANDOM.to_vec() } else { vec![0] };
        // Both are in range.
        let _ = packet.set_size(size).or_else(|_| packet.set_short_size(size));
        let _ = packet.set_pattern(pattern);
        if let Some(ttl) = self.options.ttl {
            let _ = packet.set_ttl(ttl);
        }
        if let Some(tos) = self.options.tos {
            packet.set_tos(tos);
        }
        if self.options.icmp_timestamp {
            packet.set_kind(ProbeKind::Timestamp);
        }
        packet.set_dont_fragment(self.options.dont_fragment);
        packet
    }

    /// The plan of the default mode for these targets. All probes are as far apart as those of
    /// ordinary users to multicast groups have to be, if any goes to one.
    fn plan_for(&self, targets: &Targets, output: &mut Output) -> Result<Plan, Failure> {
        let (plan, spacing) = (self.plan(), self.limits.group_spacing);
        if spacing.is_zero() || !targets.have_groups() {
            return Ok(plan);
        }
        let pps = 1.0 / spacing.as_secs_f64();
        let Some(rate) = Rate::per_second(pps).ok().filter(|_| plan.rate().exceeds(pps)) else { return Ok(plan) };
        if !self.options.quiet {
            unless_stopped(output.message(format_args!(
                "{}: -i raised to {} ms (the limit for ordinary users where there are multicast addresses)\n",
                self.program.to_string_lossy(),
                spacing.as_millis()
            )))?;
        }
        Ok(plan.with_rate(rate))
    }

    /// How targets are probed in the default mode. A value out of range is set to the nearest
    /// limit.
    fn plan(&self) -> Plan {
        let options = self.options;
        let timeout = options.timeout.unwrap_or(Duration::from_millis(500));
        let timeout = timeout.clamp(*Plan::TIMEOUT.start(), *Plan::TIMEOUT.end());
        let plan = Plan::default().with_retries(u8::try_from(options.retries).unwrap_or(u8::MAX));
        let plan = plan.with_timeout(timeout).and_then(|plan| plan.with_backoff(options.backoff)).unwrap_or(plan);
        let plan = plan.with_spacing(self.limits.spacing).unwrap_or(plan);
        plan.with_check_source(options.check_source).with_rate(self.rate())
    }

    /// The rate that the least time between packets is, within the caller's limits.
    fn rate(&self) -> Rate {
        let pps = 1.0 / self.options.interval.as_secs_f64();
        let rate = match pps {
            pps if pps > *Rate::RANGE.end() => Rate::UNLIMITED,
            pps => Rate::per_second(pps.max(*Rate::RANGE.start())).unwrap_or(Rate::UNLIMITED),
        };
        let max = self.limits.rate_of(self.options.size as usize, Family::V6);
        match max.pps() {
            Some(limit) if rate.exceeds(limit) => max,
            _ => rate,
        }
    }

    /// The targets as they were named.
    fn words(&self) -> Result<Words, Failure> {
        let options = self.options;
        if options.generate {
            let operands: Vec<_> = options.operands.iter().map(|operand| operand.as_bytes()).collect();
            return generate::generate(&operands).map_err(|error| match error {
                BadRange::Empty => Failure::Silent,
                BadRange::Usage => Failure::Usage,
                BadRange::Said(text) => Failure::Plain(format!("{}{text}", self.program.to_string_lossy()), BAD_USAGE),
                BadRange::Memory(error) => Error::from(error).into(),
            });
        }
        if !options.operands.is_empty() {
            let mut words = Words::default();
            for operand in &options.operands {
                words.push(operand.as_bytes()).map_err(Error::from)?;
            }
            return Ok(words);
        }
        match options.file.as_deref() {
            Some(path) if path != "-" => {
                let file = Stream::open_list(Path::new(path), self.signals);
                let file = file.map_err(|error| Failure::Named(format!("fopen : {}", Reason(&error)), Exit::Failure));
                self.read(file?)
            }
            _ => self.read(Stream::new(io::stdin(), Timeout::Signal(self.signals))),
        }
    }

    fn read(&self, mut list: impl Read) -> Result<Words, Failure> {
        let mut reader = ListReader::default();
        let mut piece = vec![0; 16 * 1024];
        loop {
            match list.read(&mut piece) {
                Ok(0) => return Ok(reader.finish()?),
                Ok(count) => reader.feed(&piece[..count])?,
                // There is nothing to tell yet.
                Err(error) if Interrupted::event(&error) == Some(signal::Event::Status) => {}
                Err(error) => return Err(Error::ReadList(error).into()),
            }
            if reader.len() > self.limits.targets {
                return Err(Error::TooMany(self.limits.targets).into());
            }
        }
    }
}
