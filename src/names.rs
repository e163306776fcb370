//! Names, looked up by a child process, because that takes what this process gives up: files,
//! sockets, threads, and modules that the C library loads.
//!
//! The child is this program itself, started by another name after privileges were dropped and
//! before the first probe, with an empty environment and two pipes. It has no privilege that its
//! caller has not; how that is made sure of does not depend on who started it. It is killed when
//! all is answered, or when its time is over.

#![expect(clippy::disallowed_methods, reason = "an edge: the child has a time limit")]

mod child;
mod reverse;

use std::ffi::OsStr;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::str;
use std::time::{Duration, Instant};

use multiping::address::Address;
use multiping::alloc::{Pieces, try_filled};

pub use crate::names::child::serve;

use crate::list::names::{Answer, Query, is_host_name};
use crate::message::{Count, Error, Unresolved};
use crate::signal::{self, Signals};
use crate::stdio::{Interrupted, Stream, Timeout};

/// The program that is running. Executing it again takes no further right.
const PROGRAM: &str = "/proc/self/exe";

/// The name by which the child knows what it is for.
const CHILD: &str = "xymonping-names";

/// How long names are looked up at most, and at most half of the time until a deadline.
const MAX_TIME: Duration = Duration::from_secs(30);

/// How many queries are written at once.
const MAX_QUERIES: usize = 1024;

/// The longest line of the child, in bytes.
const MAX_LINE: u64 = 8192;

/// Whether a process with this name is the child.
pub fn is_child(name: Option<&OsStr>) -> bool {
    name == Some(OsStr::new(CHILD))
}

/// Looks up everything that is asked for. What has no answer in time is late. `tell` is told of the
/// state where a signal asks for it.
pub fn look_up(
    queries: &[Query],
    signals: &Signals,
    deadline: Option<Instant>,
    tell: &dyn Fn(fmt::Arguments),
) -> Result<Vec<Answer>, Error> {
    let mut answers = try_filled(queries.len(), Answer::None(Unresolved::Late))?;
    let now = Instant::now();
    let half = deadline.map(|deadline| deadline.saturating_duration_since(now) / 2);
    let end = now + half.map_or(MAX_TIME, |half| half.min(MAX_TIME));
    let mut child = Command::new(PROGRAM)
        .arg0(CHILD)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::NoResolver)?;
    let result = converse(&mut child, queries, &mut answers, Timeout::Until(signals, end), tell);
    let _ = child.kill();
    // A process that the kernel keeps, as one that waits for a dead file server, is not waited for.
    let _ = match result {
        Ok(true) => child.wait().map(Some),
        _ => child.try_wait(),
    };
    result.map(|_| answers)
}

/// Hands the queries to the child and reads its answers. Returns whether it gave them all. That it
/// dies or says nothing more is no error: the answers that are missing say so.
fn converse(
    child: &mut Child,
    queries: &[Query],
    answers: &mut [Answer],
    timeout: Timeout,
    tell: &dyn Fn(fmt::Arguments),
) -> Result<bool, Error> {
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else { return Ok(false) };
    let mut input = Stream::new(input, timeout);
    for some in queries.chunks(MAX_QUERIES) {
        let text: String = some.iter().map(|query| format!("{}\n", query_line(*query))).collect();
        match input.write_all(text.as_bytes()) {
            Err(error) if Interrupted::event(&error).is_some() => return Err(Error::Resolving(error)),
            Err(_) => return Ok(false),
            Ok(()) => {}
        }
    }
    drop(input);
    let mut output = BufReader::new(Stream::new(output, timeout));
    let mut answered = 0;
    let mut line = Vec::new();
    let mut pieces = Pieces::default();
    while answered < queries.len() {
        match output.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => return Ok(false),
            Ok(_) => {
                let parsed = str::from_utf8(&line).ok().and_then(|line| parse_answer(line.strip_suffix('\n')?));
                let Some((index, answer)) = parsed else { return Ok(false) };
                let Some(place) = answers.get_mut(index) else { return Ok(false) };
                pieces.add(answer.bytes(), answered)?;
                *place = answer;
                answered += 1;
                line.clear();
            }
            Err(error) => match Interrupted::event(&error) {
                // What was read of a line stays.
                Some(signal::Event::Status) => {
                    let (done, all) = (answered, Count(queries.len(), "name"));
                    tell(format_args!("looking up names, {done} of {all} so far"));
                }
                Some(_) => return Err(Error::Resolving(error)),
                None => return Ok(false),
            },
        }
    }
    Ok(true)
}

/// A query as the child reads it.
fn query_line(query: Query) -> String {
    match query {
        Query::Addresses(name) => format!("a {name}"),
        Query::Name(address) => format!("n {address}"),
    }
}

fn parse_query(line: &str) -> Option<Query<'_>> {
    match line.split_once(' ')? {
        ("a", name) if is_host_name(name) => Some(Query::Addresses(name)),
        ("n", address) => Some(Query::Name(parse_address(address)?)),
        _ => None,
    }
}

/// An answer to the query of this index as the child writes it.
fn answer_line(index: usize, answer: &Answer) -> String {
    match answer {
        Answer::Addresses(addresses) => {
            let addresses: Vec<_> = addresses.iter().map(Address::to_string).collect();
            format!("{index} a {}", addresses.join(" "))
        }
        Answer::Name(name) => format!("{index} n {name}"),
        Answer::None(Unresolved::Unknown) => format!("{index} u"),
        Answer::None(_) => format!("{index} t"),
    }
}

/// Reads what [`answer_line`] has written. The answers come from the network, so nothing is taken
/// on trust.
fn parse_answer(line: &str) -> Option<(usize, Answer)> {
    let mut words = line.split(' ');
    let index = words.next()?.parse().ok()?;
    let answer = match words.next()? {
        "a" => Answer::Addresses(words.map(parse_address).collect::<Option<Vec<_>>>().filter(|all| !all.is_empty())?),
        "n" => Answer::Name(words.next().filter(|name| is_host_name(name))?.to_owned()),
        "u" => Answer::None(Unresolved::Unknown),
        "t" => Answer::None(Unresolved::Temporary),
        _ => return None,
    };
    Some((index, answer))
}

/// Reads an address whose zone, if it has one, is a number.
fn parse_address(text: &str) -> Option<Address> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, zone.parse().ok()?),
        None => (text, 0),
    };
    match ip.parse().ok()? {
        IpAddr::V4(ip) if zone == 0 => Some(Address::V4(ip)),
        IpAddr::V4(_) => None,
        IpAddr::V6(ip) => Some(Address::V6(ip, zone)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let addresses: Vec<_> = ["10.0.0.1", "fd00::1", "fe80::1%2"].into_iter().filter_map(parse_address).collect();
        assert_eq!(addresses.len(), 3);
        let queries = addresses.iter().map(|&address| Query::Name(address));
        for query in queries.chain([Query::Addresses("web01.example")]) {
            assert_eq!(parse_query(&query_line(query)), Some(query));
        }
        for answer in [
            Answer::Addresses(addresses),
            Answer::Name("gw_1.example".to_owned()),
            Answer::None(Unresolved::Unknown),
            Answer::None(Unresolved::Temporary),
        ] {
            assert_eq!(parse_answer(&answer_line(17, &answer)), Some((17, answer)));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["", "a", "a 127.1", "a a b", "n", "n x", "n 10.0.0.1%2", "n fe80::1%eth0", "x y"] {
            assert_eq!(parse_query(line), None, "{line}");
        }
        for line in ["", "1", "x u", "-1 u", "1 a", "1 a ", "1 a web", "1 n", "1 n a\x1b[2J", "1 n a:b", "1 x"] {
            assert_eq!(parse_answer(line), None, "{line}");
        }
    }
}
