//! Where the addresses come from: operands, a file, or standard input.

use std::io::{self, IsTerminal, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::cli::{Input, Options};
use crate::limits::Limits;
use crate::list::{List, ListParser, Rules};
use crate::memory;
use crate::message::Error;
use crate::net;
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// Reads the addresses to probe. `say` is given what the operator should know meanwhile.
pub fn read(options: &Options, limits: &Limits, signals: &Signals, say: impl Fn(&str)) -> Result<List, Error> {
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
            let opened = Stream::open_list(Path::new(path), signals);
            let mut file = opened.map_err(|error| Error::OpenList(path.as_bytes().into(), error))?;
            read_lines(&mut file, &mut parser, say)?;
        }
        Input::Stdin => {
            if io::stdin().is_terminal() {
                say("reading addresses from the terminal, one a line (end with Ctrl-D)");
            }
            read_lines(&mut Stream::new(io::stdin(), Timeout::Signal(signals)), &mut parser, say)?;
        }
    }
    parser.finish()
}

/// Reads a list to its end. A request for the status is answered with the number of lines so far.
fn read_lines(list: &mut impl Read, parser: &mut ListParser, say: impl Fn(&str)) -> Result<(), Error> {
    let mut piece = vec![0; 16 * 1024];
    loop {
        match list.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => parser.feed(&piece[..count])?,
            Err(error) if Interrupted::event(&error) == Some(signal::Event::Status) => {
                say(&format!("reading the list, {} lines so far", parser.accepted()));
            }
            Err(error) => return Err(Error::ReadList(error)),
        }
    }
}
