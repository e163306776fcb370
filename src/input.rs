//! What the command line names outside of itself: addresses to send from, and the list of targets as
//! operands, in a file, or on standard input.

use std::io::{self, IsTerminal, Read};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use multiping::address::{Address, PerFamily};
use multiping::net;

use crate::cli::{Input, Options, Source};
use crate::limits::Limits;
use crate::list::{List, ListParser, Rules};
use crate::memory;
use crate::message::{Error, Warning};
use crate::notes::Notes;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// What is asked of the sockets, as far as it can be checked without privilege.
pub fn sockets(options: &Options, limits: &Limits) -> Result<net::Config, Error> {
    let source = |source: &Option<Source>| source.as_ref().map(source_address).transpose();
    Ok(net::Config {
        families: PerFamily::from_fn(|family| options.family.is_none_or(|only| only == family)),
        sources: PerFamily { v4: source(&options.sources.v4)?, v6: source(&options.sources.v6)? },
        interface: options.interface.clone(),
        receive_buffer: limits.receive_buffer,
        broadcast: limits.groups,
    })
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

/// Reads the list of targets; remarks on it are noted.
pub fn read(options: &Options, limits: &Limits, signals: &Signals, notes: &mut Notes) -> Result<List, Error> {
    // Root may ping broadcast addresses.
    let broadcasts = if limits.groups { Vec::new() } else { net::broadcasts() };
    let rules = Rules { family: options.family, limits, broadcasts: &broadcasts, interface: &net::interface };
    let mut parser = ListParser::new(rules).within(&memory::available);
    match &options.input {
        Input::Operands(operands) => {
            for operand in operands {
                parser.operand(operand.as_bytes())?;
            }
        }
        Input::File(path) => {
            let mut file = Stream::open_list(Path::new(path), signals).map_err(|error| {
                if limits.caller_is_root && error.kind() == io::ErrorKind::PermissionDenied {
                    notes.warn([Warning::RootWithoutPowers]);
                }
                Error::OpenList(path.as_bytes().into(), error)
            })?;
            read_lines(&mut file, &mut parser, notes)?;
        }
        Input::Stdin => {
            if io::stdin().is_terminal() {
                notes.say("reading addresses from the terminal, one a line (end with Ctrl-D)");
            }
            read_lines(&mut Stream::new(io::stdin(), Timeout::Signal(signals)), &mut parser, notes)?;
        }
    }
    let list = parser.finish()?;
    notes.warn(&list.remarks);
    let unsaid = list.rejected + list.two_addresses - list.remarks.len() as u64;
    if unsaid > 0 {
        notes.warn([Warning::MoreLines(unsaid)]);
    }
    Ok(list)
}

/// Reads a list to its end. A request for the status is answered with the number of lines so far.
fn read_lines(list: &mut impl Read, parser: &mut ListParser, notes: &Notes) -> Result<(), Error> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        match list.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => parser.feed(&piece[..count])?,
            Err(error) if Interrupted::event(&error) == Some(signal::Event::Status) => {
                notes.say(format_args!("reading the list, {} lines so far", parser.accepted()));
            }
            Err(error) => return Err(Error::ReadList(error)),
        }
    }
}
