//! What the command line refers to: the addresses to send from, and the list of targets as
//! operands, in a file, or on standard input.

use std::fmt;
use std::io::{self, IsTerminal, Read};
use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use multiping::SocketOption;
use multiping::address::{Address, Addresses, Family, PerFamily};
use multiping::net;
use multiping::plan::{IcmpErrors, ProbeKind};

use crate::cli::{Input, Options, Source, Statistics};
use crate::limits::Limits;
use crate::list::{List, ListParser, Rules};
use crate::memory;
use crate::message::{Error, Quoted, Warning};
use crate::names;
use crate::notes::Notes;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// The shortest wait for a list: poll(2) counts whole milliseconds.
const MIN_WAIT: Duration = Duration::from_millis(1);

/// The configuration of the sockets of each of so many threads, checked as far as that is possible
/// without privilege.
pub fn sockets(options: &Options, limits: &Limits, threads: usize) -> Result<net::Config, Error> {
    let source = |source: &Option<Source>| source.as_ref().map(checked_source).transpose();
    Ok(net::Config {
        sources: PerFamily { v4: source(&options.sources.v4)?, v6: source(&options.sources.v6)? },
        interface: options.interface.clone(),
        receive_buffer: limits.receive_buffer / threads,
        icmp_errors: options.icmp_errors(),
        prefers_datagram: threads > 1 && options.icmp_errors() == IcmpErrors::Ignore && !options.packet.needs_raw(),
        ..config(options.family, limits)
    })
}

/// Sockets for the only family asked for, or for both, within the limits of the caller.
pub fn config(family: Option<Family>, limits: &Limits) -> net::Config {
    net::Config {
        families: PerFamily::from_fn(|other| family.is_none_or(|family| family == other)),
        sources: PerFamily::default(),
        interface: None,
        outgoing_interface: None,
        mark: None,
        receive_buffer: limits.receive_buffer,
        broadcast: limits.allow_broadcast,
        icmp_errors: IcmpErrors::Ignore,
        prefers_datagram: false,
    }
}

/// The address of a `--source`.
fn checked_source(source: &Source) -> Result<Address, Error> {
    source_address(source).map_err(|why| Error::BadSource(source.to_string().as_bytes().into(), why))
}

/// The address to send from, with the index of its interface, or why it is none. Broadcast
/// addresses are refused here, because the kernel binds to them.
pub fn source_address(source: &Source) -> Result<Address, &'static str> {
    match (source.ip, &source.zone) {
        (IpAddr::V4(ip), _) if net::is_broadcast(ip) => Err("a broadcast address"),
        (IpAddr::V4(ip), _) => Ok(Address::V4(ip)),
        (IpAddr::V6(ip), None) => Ok(Address::V6(ip, 0)),
        (IpAddr::V6(ip), Some(zone)) => {
            net::interface(zone).map(|index| Address::V6(ip, index)).ok_or("no such interface")
        }
    }
}

/// Finds the interface that `--multicast-interface` refers to.
pub fn find_multicast_interface(options: &mut Options) -> Result<(), Error> {
    let Some(name) = &options.multicast_interface else { return Ok(()) };
    let index = match name.parse() {
        Ok(ip) => net::interface_with(ip),
        Err(_) => net::interface(name),
    };
    let unknown = || Error::BadValue {
        option: "--multicast-interface".to_owned(),
        value: name.as_bytes().into(),
        expected: "an interface, or an address of this machine",
    };
    options.packet.set_multicast_interface(index.ok_or_else(unknown)?);
    Ok(())
}

/// The addresses that may not be targets: none, if the caller may probe broadcast addresses.
fn broadcasts(limits: &Limits) -> Vec<Ipv4Addr> {
    if limits.allow_broadcast { Vec::new() } else { net::broadcasts() }
}

/// The error of sockets that were opened or set up, with the value that the kernel refused.
pub fn refused(error: multiping::Error, options: &Options) -> Error {
    match (error, &options.interface) {
        (multiping::Error::Option { option: SocketOption::Interface, source }, Some(name)) => {
            Error::SocketOption(format!("--interface={}", Quoted::from(name.as_bytes())), source)
        }
        (error, _) => error.into(),
    }
}

/// Reads the list of targets, and notes the remarks on it. While a list is read, `show` is called
/// with the number of lines so far and with whether a signal asked for it; it returns after what
/// time it is to be called again, if it is.
pub fn read(
    options: &Options,
    limits: &Limits,
    signals: &Signals,
    notes: &mut Notes,
    show: &mut dyn FnMut(usize, bool) -> Option<Duration>,
) -> Result<List, Error> {
    let broadcasts = broadcasts(limits);
    let limits = &if options.statistics.is_some() { limits.with_multicast() } else { *limits };
    let rules = Rules { family: options.only_family(), limits, broadcasts: &broadcasts, interface: &net::interface };
    let mut parser = ListParser::new(rules).within(&memory::available).with_names(options.names);
    if options.list_errors || options.json.is_some() {
        parser = parser.with_all_remarks();
    }
    if options.statistics.is_some() || options.json.is_some() || options.shows_icmp_errors() {
        parser = parser.with_labels();
    }
    match &options.input {
        Input::Operands(operands) => {
            for operand in operands {
                parser.operand(operand.as_bytes())?;
            }
        }
        Input::Generated(ranges) => {
            for range in ranges {
                parser.generate(range.as_bytes())?;
            }
        }
        Input::File(path) => {
            let mut file = Stream::open_list(Path::new(path), signals).map_err(|error| {
                if limits.caller_is_root && error.kind() == io::ErrorKind::PermissionDenied {
                    notes.warn([Warning::RootWithoutCapabilities]);
                }
                Error::OpenList(path.as_bytes().into(), error)
            })?;
            read_lines(&mut file, &mut parser, show)?;
        }
        Input::Stdin => {
            let mut list = Stream::new(io::stdin(), Timeout::Signal(signals));
            if io::stdin().is_terminal() {
                notes.say("reading addresses from the terminal, one per line (end with Ctrl-D)");
                // What is being typed must not be overwritten.
                let mut show_if_asked = |lines, asked| if asked { show(lines, true).and(None) } else { None };
                read_lines(&mut list, &mut parser, &mut show_if_asked)?;
            } else {
                read_lines(&mut list, &mut parser, show)?;
            }
        }
    }
    if options.names.are_looked_up() {
        notes.awaits_list = false;
        let (deadline, tell) = (notes.deadline, &|state: fmt::Arguments| notes.say(state));
        parser.look_up(|queries| names::look_up(queries, signals, deadline, tell))?;
    }
    let mut list = parser.finish()?;
    notes.remarks = mem::take(&mut list.remarks);
    let packet = &options.packet;
    let has_groups = || list.addresses.iter().any(|(_, address)| address.ip().is_multicast());
    let statistics = options.statistics.as_ref();
    let without_groups = [
        // Their members answer from addresses of their own.
        (packet.kind() == ProbeKind::Mask, "--icmp-mask"),
        (statistics.is_some_and(|statistics| statistics.flood), "--flood"),
        (statistics.is_some_and(Statistics::searches), "--find-mtu"),
    ];
    if let Some((_, option)) = without_groups.into_iter().find(|(is_given, _)| *is_given && has_groups()) {
        return Err(Error::Conflict(option, "multicast targets"));
    }
    let for_groups = [
        (packet.multicast_ttl().is_some(), "--multicast-ttl"),
        (packet.multicast_interface().is_some(), "--multicast-interface"),
        (packet.no_multicast_loop(), "--no-multicast-loop"),
    ];
    match for_groups.into_iter().find(|(is_given, _)| *is_given) {
        Some((_, option)) if !has_groups() => {
            return Err(Error::Needs(option, "a target that is a multicast address"));
        }
        _ => {}
    }
    Ok(list)
}

/// The addresses of the references.
pub fn references(options: &Options, limits: &Limits) -> Result<Addresses, Error> {
    if options.references.is_empty() {
        return Ok(Addresses::default());
    }
    let broadcasts = broadcasts(limits);
    let rules = Rules { family: options.only_family(), limits, broadcasts: &broadcasts, interface: &net::interface };
    let mut parser = ListParser::new(rules);
    for reference in &options.references {
        parser.operand(reference.as_bytes()).map_err(|error| match error {
            Error::BadOperand(text, why) => Error::BadReference(text, why),
            error => error,
        })?;
    }
    Ok(parser.finish()?.addresses)
}

/// Reads a list to its end, and shows the number of lines so far.
fn read_lines<D: AsFd>(
    list: &mut Stream<D>,
    parser: &mut ListParser,
    show: &mut dyn FnMut(usize, bool) -> Option<Duration>,
) -> Result<(), Error> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        if show(parser.accepted(), false).is_some_and(|wait| !list.wait_readable(wait.max(MIN_WAIT))) {
            continue;
        }
        match list.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => parser.feed(&piece[..count])?,
            Err(error) if Interrupted::event(&error) == Some(signal::Event::Status) => {
                show(parser.accepted(), true);
            }
            Err(error) => return Err(Error::ReadList(error)),
        }
    }
}
