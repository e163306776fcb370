//! Names of addresses: from /etc/hosts, or else from the DNS (RFC 1035; RFC 3596 §2.5 for IPv6).
//!
//! The C library's function for it, getnameinfo(3), has no safe interface in std or nix. This does
//! what musl's does; the modules of glibc (nsswitch.conf(5)) are not asked.

#![expect(clippy::disallowed_methods, reason = "an edge: servers have a time limit")]

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use multiping::net;

use crate::list::names::is_host_name;

/// How long a server has to answer, and how often each is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// How many servers are asked (resolv.conf(5), MAXNS).
const MAX_SERVERS: usize = 3;

/// The longest answer over UDP without extensions (RFC 1035 §4.2.1), in bytes.
const MAX_MESSAGE: usize = 512;

const HEADER: usize = 12;
const TYPE_CNAME: u16 = 5;
const TYPE_PTR: u16 = 12;
const CLASS_IN: u16 = 1;

/// Where names are looked for.
pub(super) struct Reverse {
    hosts: HashMap<IpAddr, String>,
    servers: Vec<SocketAddr>,
}

impl Reverse {
    /// Reads the files that say where.
    pub(super) fn read() -> Self {
        let text = |path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        Reverse { hosts: hosts(&text("/etc/hosts")), servers: servers(&text("/etc/resolv.conf")) }
    }

    /// The name of an address, if it has one that can be printed.
    pub(super) fn name(&self, ip: IpAddr) -> Option<String> {
        if let Some(name) = self.hosts.get(&ip) {
            return Some(name.clone());
        }
        let question = question(ip)?;
        for server in self.servers.iter().cycle().take(ATTEMPTS * self.servers.len()) {
            let id = RandomState::new().build_hasher().finish() as u16;
            if let Ok(name) = ask(*server, id, &question) {
                return name.filter(|name| is_host_name(name));
            }
        }
        None
    }
}

/// The first name of each address (hosts(5)).
fn hosts(text: &str) -> HashMap<IpAddr, String> {
    let mut hosts = HashMap::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
        if let (Some(Ok(ip)), Some(name)) = (words.next().map(str::parse), words.next()) {
            if is_host_name(name) {
                hosts.entry(ip).or_insert_with(|| name.to_owned());
            }
        }
    }
    hosts
}

/// The name servers (resolv.conf(5)); this machine without any.
fn servers(text: &str) -> Vec<SocketAddr> {
    let of_line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and(words.next())?;
        match address.split_once('%') {
            Some((ip, zone)) => Some(SocketAddrV6::new(ip.parse().ok()?, 53, 0, net::interface(zone)?).into()),
            None => Some(SocketAddr::new(address.parse().ok()?, 53)),
        }
    };
    let servers: Vec<_> = text.lines().filter_map(of_line).take(MAX_SERVERS).collect();
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, 53).into()] } else { servers }
}

/// The question for the name of an address: QNAME, QTYPE, QCLASS.
fn question(ip: IpAddr) -> Option<Vec<u8>> {
    let name = match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, d] = ip.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(ip) => {
            let nibbles = ip.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 0xf, byte >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    };
    let mut question = Vec::new();
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).ok()?);
        question.extend(label.as_bytes());
    }
    question.push(0);
    question.extend([TYPE_PTR, CLASS_IN].map(u16::to_be_bytes).as_flattened());
    Some(question)
}

/// Asks one server. An error: it gave no answer, and another one may; `None`: there is no name.
fn ask(server: SocketAddr, id: u16, question: &[u8]) -> io::Result<Option<String>> {
    let unspecified: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    // A socket, and so a port, for each question: an answer cannot be forged without guessing it.
    let socket = UdpSocket::bind((unspecified, 0))?;
    socket.connect(server)?;
    let [high, low] = id.to_be_bytes();
    // One question, and recursion desired.
    let header = [high, low, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    socket.send(&[&header[..], question].concat())?;
    let end = Instant::now() + TIMEOUT;
    let mut message = [0; MAX_MESSAGE];
    loop {
        let remaining = end.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(remaining))?;
        let length = socket.recv(&mut message)?;
        match parse_response(&message[..length], id, question) {
            Response::Foreign => {}
            Response::Failed => return Err(io::ErrorKind::Other.into()),
            Response::Name(name) => return Ok(name),
        }
    }
}

/// What a message from a server is.
#[derive(Debug, PartialEq, Eq)]
enum Response {
    /// No answer to the question.
    Foreign,
    /// The server cannot answer.
    Failed,
    /// The name, or that there is none.
    Name(Option<String>),
}

fn parse_response(message: &[u8], id: u16, question: &[u8]) -> Response {
    let Some((&[i, d, flags, code, 0, 1, answers_high, answers_low, ..], body)) = message.split_first_chunk::<HEADER>()
    else {
        return Response::Foreign;
    };
    let is_response = flags & 0x80 != 0;
    let echoed = body.get(..question.len()).is_some_and(|echoed| echoed.eq_ignore_ascii_case(question));
    if u16::from_be_bytes([i, d]) != id || !is_response || !echoed {
        return Response::Foreign;
    }
    match code & 0xf {
        0 => {
            let answers = u16::from_be_bytes([answers_high, answers_low]);
            Response::Name(name_of(message, HEADER + question.len(), answers))
        }
        3 => Response::Name(None), // no such domain
        _ => Response::Failed,
    }
}

/// The name that the answers from `at` on give to the question, by way of aliases (RFC 2317).
fn name_of(message: &[u8], mut at: usize, answers: u16) -> Option<String> {
    let mut owner = read_name(message, HEADER)?.0;
    for _ in 0..answers {
        let (name, end) = read_name(message, at)?;
        let (&[t, y, c, l, _, _, _, _, n, m], _) = message.get(end..)?.split_first_chunk::<10>()?;
        let data = end + 10;
        at = data + usize::from(u16::from_be_bytes([n, m]));
        if u16::from_be_bytes([c, l]) != CLASS_IN || !name.eq_ignore_ascii_case(&owner) {
            continue;
        }
        match u16::from_be_bytes([t, y]) {
            TYPE_PTR => return Some(read_name(message, data)?.0),
            TYPE_CNAME => owner = read_name(message, data)?.0,
            _ => {}
        }
    }
    None
}

/// Reads a name, which may end in a pointer to an earlier one (RFC 1035 §4.1.4). Returns it, and
/// what follows it in the message.
fn read_name(message: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let (mut at, mut end) = (start, None);
    // Of 255 bytes at most, each label has two at least.
    for _ in 0..256 {
        let length = *message.get(at)?;
        match length {
            0 => return Some((name, end.unwrap_or(at + 1))),
            0xc0.. => {
                end = end.or(Some(at + 2));
                at = usize::from(u16::from_be_bytes([length & 0x3f, *message.get(at + 1)?]));
            }
            0x40.. => return None,
            _ => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '?' }));
                at += 1 + usize::from(length);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: u16 = 0x1234;

    fn asked() -> Vec<u8> {
        question(IpAddr::from([192, 0, 2, 7])).expect("its labels are short")
    }

    /// A response with these flags and answers: owner, type, data.
    fn response(flags: [u8; 2], answers: &[(&[u8], u16, &[u8])]) -> Vec<u8> {
        let mut message = ID.to_be_bytes().to_vec();
        message.extend(flags);
        message.extend([0, 1, 0, answers.len() as u8, 0, 0, 0, 0]);
        message.extend(asked());
        for (owner, record_type, data) in answers {
            message.extend(*owner);
            message.extend([record_type.to_be_bytes(), CLASS_IN.to_be_bytes()].as_flattened());
            message.extend([0, 0, 0, 60, 0, data.len() as u8]);
            message.extend(*data);
        }
        message
    }

    const ASKED: &[u8] = b"\xc0\x0c";
    const NAME: &[u8] = b"\x03web\x07example\0";

    #[test]
    fn questions_are_those_of_the_standards() {
        assert_eq!(asked(), b"\x017\x012\x010\x03192\x07in-addr\x04arpa\0\0\x0c\0\x01");
        let v6 = question(IpAddr::V6(Ipv6Addr::LOCALHOST)).expect("its labels are short");
        assert!(v6.starts_with(b"\x011\x010\x010") && v6.ends_with(b"\x010\x03ip6\x04arpa\0\0\x0c\0\x01"));
        assert_eq!(v6.len(), 32 * 2 + 9 + 1 + 4);
    }

    #[test]
    fn the_name_is_found_by_way_of_aliases() {
        let parse = |message: &[u8]| parse_response(message, ID, &asked());
        let name = Response::Name(Some("web.example".to_owned()));
        assert_eq!(parse(&response([0x81, 0x80], &[(ASKED, TYPE_PTR, NAME)])), name);
        let alias = b"\x04net7\xc0\x0c";
        let answers = [(ASKED, TYPE_CNAME, &alias[..]), (b"\x03off\0", TYPE_PTR, b"\x01x\0"), (alias, TYPE_PTR, NAME)];
        assert_eq!(parse(&response([0x81, 0x80], &answers)), name);
        assert_eq!(parse(&response([0x81, 0x80], &[])), Response::Name(None));
        assert_eq!(parse(&response([0x81, 0x83], &[])), Response::Name(None));
        assert_eq!(parse(&response([0x81, 0x82], &[])), Response::Failed);
    }

    #[test]
    fn what_does_not_answer_the_question_is_passed_over() {
        let good = response([0x81, 0x80], &[(ASKED, TYPE_PTR, NAME)]);
        assert_eq!(parse_response(&good, ID + 1, &asked()), Response::Foreign);
        assert_eq!(parse_response(&response([0x01, 0], &[]), ID, &asked()), Response::Foreign);
        let other = question(IpAddr::from([192, 0, 2, 8])).expect("its labels are short");
        assert_eq!(parse_response(&good, ID, &other), Response::Foreign);
        // However it is cut or changed, reading it ends, and finds nothing outside of it.
        for length in 0..good.len() {
            let _ = parse_response(&good[..length], ID, &asked());
        }
        for at in HEADER + asked().len()..good.len() {
            for byte in [0, 0x3f, 0x40, 0xc0, 0xff] {
                let mut changed = good.clone();
                changed[at] = byte;
                let _ = parse_response(&changed, ID, &asked());
            }
        }
        let looped = response([0x81, 0x80], &[(ASKED, TYPE_PTR, &[0xc0, good.len() as u8 - 13])]);
        let _ = parse_response(&looped, ID, &asked());
    }

    #[test]
    fn the_files_are_read_as_their_manuals_say() {
        let found =
            hosts("127.0.0.1 localhost\n# 10.0.0.1 no\n10.0.0.1\tweb web2 # x\n10.0.0.1 later\nfd00::1 v6\nx y\n");
        assert_eq!(found.get(&IpAddr::from([10, 0, 0, 1])).map(String::as_str), Some("web"));
        assert_eq!(found.len(), 3);
        let text =
            "search x\nnameserver 10.0.0.53\nnameserver fd00::53\n#nameserver 10.0.0.54\n nameserver 10.0.0.55\n";
        let found: Vec<_> = servers(text).iter().map(SocketAddr::to_string).collect();
        assert_eq!(found, ["10.0.0.53:53", "[fd00::53]:53", "10.0.0.55:53"]);
        assert_eq!(servers(""), [SocketAddr::from(([127, 0, 0, 1], 53))]);
    }
}
