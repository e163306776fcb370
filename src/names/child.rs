//! The child: queries on standard input to its end, an answer for each on standard output, in any
//! order.

use std::io::{self, Read, Write};
use std::iter::Enumerate;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::Lines;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use multiping::address::Address;

use crate::list::names::{Answer, Query};
use crate::message::{Error, Unresolved};
use crate::names::reverse::Reverse;
use crate::names::{MAX_TIME, answer_line, parse_query};
use crate::privilege::Dropped;
use crate::stdio::{Stream, Timeout};

/// How many names are looked up at the same time.
const THREADS: usize = 64;

/// The stack of a thread, in bytes: what the C library's resolver and its modules need, with room
/// to spare.
const STACK: usize = 512 << 10;

/// The most addresses of a name that are passed on.
const MAX_ADDRESSES: usize = 64;

/// Where a thread writes its answers, with the index of their queries.
type Answers = Sender<(usize, Answer)>;

/// What the threads share.
struct Work {
    queries: Mutex<Enumerate<Lines<'static>>>,
    reverse: Reverse,
}

/// Looks names up for the parent, which kills this process once it has all answers. Should the
/// parent have died, it ends by itself.
pub fn serve(_: &Dropped) -> Result<(), Error> {
    let end = Instant::now() + MAX_TIME + Duration::from_secs(1);
    let mut text = String::new();
    let mut input = Stream::new(io::stdin(), Timeout::After(MAX_TIME));
    input.read_to_string(&mut text).map_err(Error::Resolving)?;
    // The threads are not waited for, so the text has to last as long as the process.
    let text: &str = text.leak();
    let threads = text.lines().take(THREADS).count();
    let work = Arc::new(Work { queries: Mutex::new(text.lines().enumerate()), reverse: Reverse::read() });
    let (tell, told) = mpsc::channel();
    let mut started = 0;
    for _ in 0..threads {
        let (work, tell) = (Arc::clone(&work), tell.clone());
        let thread = thread::Builder::new().stack_size(STACK).spawn(move || work.run(&tell));
        started += usize::from(thread.is_ok());
    }
    if started == 0 {
        work.run(&tell);
    }
    drop(tell);
    let mut out = Stream::new(io::stdout(), Timeout::After(MAX_TIME));
    while let Ok((index, answer)) = told.recv_timeout(end.saturating_duration_since(Instant::now())) {
        out.write_all(format!("{}\n", answer_line(index, &answer)).as_bytes()).map_err(Error::Resolving)?;
    }
    Ok(())
}

impl Work {
    /// Answers queries until none is left.
    fn run(&self, tell: &Answers) {
        loop {
            let next = self.queries.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, line)) = next else { return };
            let Some(query) = parse_query(line) else { return };
            let answer = match query {
                Query::Addresses(name) => addresses(name),
                Query::Name(address) => {
                    self.reverse.name(address.ip()).map_or(Answer::None(Unresolved::Unknown), Answer::Name)
                }
            };
            if tell.send((index, answer)).is_err() {
                return;
            }
        }
    }
}

/// The addresses of a name, in the resolver's order (RFC 6724).
fn addresses(name: &str) -> Answer {
    match (name, 0).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<Address> = Vec::new();
            for address in found.map(address_of) {
                if !addresses.contains(&address) && addresses.len() < MAX_ADDRESSES {
                    addresses.push(address);
                }
            }
            if addresses.is_empty() { Answer::None(Unresolved::Unknown) } else { Answer::Addresses(addresses) }
        }
        Err(error) => Answer::None(reason(&error.to_string())),
    }
}

fn address_of(address: SocketAddr) -> Address {
    match address {
        SocketAddr::V4(address) => Address::V4(*address.ip()),
        SocketAddr::V6(address) => Address::V6(*address.ip(), address.scope_id()),
    }
}

/// What the C library's words say, as std does not pass its number on (EAI_NONAME and EAI_NODATA;
/// gai_strerror(3), of glibc and of musl). They are never translated: no locale is set.
fn reason(words: &str) -> Unresolved {
    const DEFINITE: [&str; 4] = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
    ];
    if DEFINITE.iter().any(|definite| words.contains(definite)) { Unresolved::Unknown } else { Unresolved::Temporary }
}
