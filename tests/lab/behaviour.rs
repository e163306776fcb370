//! How the hosts on the wire behave, as data.
//!
//! A [`Behaviour`] describes the answer to one probe. A host has a script of them: the first for
//! its first probe, the second for its second, the last one for all that follow. [`Hosts`] finds
//! the script of an address: that of the exact address, or of the longest prefix, or of all other
//! hosts. That takes one hash look-up and a walk over a few prefixes, so a /8 of live hosts costs
//! nothing.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use super::packet::{self, Header, Request};
use super::{ROUTER4, ROUTER6};

/// An ICMP error quotes as much of the probe as fits into this (RFC 1812 §4.3.2.3; RFC 4443 §2.4
/// allows more).
const LONGEST_QUOTE: usize = 548;

/// A Timestamp request, and the times in the replies to it: 01:02:03.004 and 01:02:03.005.
const TIMESTAMP: u8 = 13;
pub const TIMES: [u32; 2] = [3_723_004, 3_723_005];

/// What a host does with one probe. The default is one valid reply, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// How long after the probe arrived the first answer is sent.
    pub delay: Duration,
    /// Which probes get no answer.
    pub lose: Lose,
    /// How many times the answer is sent; 0 is silence.
    pub copies: u32,
    /// The time between two copies.
    pub gap: Duration,
    /// The source address of the answer, if it is not the probed one.
    pub from: Option<IpAddr>,
    /// What is sent.
    pub answer: Answer,
    /// IPv4 options in the answer's header: the ICMP message then does not begin at byte 20.
    pub ip_options: Vec<u8>,
    /// The TTL or hop limit of the answer as it arrives.
    pub ttl: u8,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour {
            delay: Duration::ZERO,
            lose: Lose::None,
            copies: 1,
            gap: Duration::ZERO,
            from: None,
            answer: Answer::Reply,
            ip_options: Vec::new(),
            ttl: 64,
        }
    }
}

impl Behaviour {
    /// A host that never answers.
    pub fn silent() -> Behaviour {
        Behaviour { lose: Lose::All, ..Behaviour::default() }
    }

    /// A host that replies after this delay.
    pub fn after(delay: Duration) -> Behaviour {
        Behaviour { delay, ..Behaviour::default() }
    }

    /// A host that answers so, at once.
    pub fn answering(answer: Answer) -> Behaviour {
        Behaviour { answer, ..Behaviour::default() }
    }
}

impl Behaviour {
    /// The packet that answers this request.
    pub fn packet(&self, request: &Request) -> Vec<u8> {
        let is_error = matches!(self.answer, Answer::Error(_));
        let source = match request.dst {
            IpAddr::V4(_) if is_error => ROUTER4.into(),
            IpAddr::V6(_) if is_error => ROUTER6.into(),
            probed => probed,
        };
        let header = Header {
            src: self.from.unwrap_or(source),
            dst: request.src,
            ttl: self.ttl,
            tos: request.tos,
            options: &self.ip_options,
        };
        let reply = |ident: u16, seq: u16, data: &[u8]| match request.msg_type {
            8 | 128 => packet::echo(header, false, ident, seq, data),
            query => {
                let ([i, j], [s, t]) = (ident.to_be_bytes(), seq.to_be_bytes());
                packet::icmp(header, query + 1, 0, [i, j, s, t], data)
            }
        };
        let plain = |data: &[u8]| reply(request.ident, request.seq, data);
        let told: Vec<u8>;
        let data = match (request.msg_type, request.data) {
            (TIMESTAMP, &[a, b, c, d, ..]) => {
                let [receive, transmit] = TIMES.map(u32::to_be_bytes);
                told = [[a, b, c, d], receive, transmit].concat();
                &told
            }
            (_, data) => data,
        };
        match &self.answer {
            Answer::Reply => plain(data),
            Answer::BadChecksum => {
                let mut packet = plain(data);
                let checksum = packet::message_start(&packet) + 2;
                packet[checksum] ^= 0x40;
                packet
            }
            Answer::FlippedByte(at) => {
                let mut data = data.to_vec();
                data[*at] ^= 0xff;
                plain(&data)
            }
            Answer::ZeroedData => plain(&vec![0; data.len()]),
            Answer::TruncatedTo(len) => plain(&data[..data.len().min(*len)]),
            Answer::Extended(more) => plain(&[data, more].concat()),
            Answer::OtherIdent(by) => reply(request.ident.wrapping_add(*by), request.seq, data),
            Answer::OtherSeq(by) => reply(request.ident, request.seq.wrapping_add(*by), data),
            Answer::Data(other) => plain(other),
            Answer::Icmp { msg_type, code, rest } => {
                let (word, data) = rest.split_at(rest.len().min(4));
                let mut four = [0; 4];
                four[..word.len()].copy_from_slice(word);
                packet::icmp(header, *msg_type, *code, four, data)
            }
            Answer::Request => packet::echo(header, true, request.ident, request.seq, data),
            Answer::Error(error) => {
                let (msg_type, code) = error.numbers(request.dst.is_ipv6());
                let quote = &request.packet[..request.packet.len().min(LONGEST_QUOTE)];
                packet::icmp(header, msg_type, code, [0; 4], quote)
            }
        }
    }
}

/// Which of a host's probes are lost. They are numbered from 1 for each address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lose {
    None,
    All,
    First(u32),
    Numbers(BTreeSet<u32>),
}

impl Lose {
    pub fn takes(&self, number: u32) -> bool {
        match self {
            Lose::None => false,
            Lose::All => true,
            Lose::First(n) => number <= *n,
            Lose::Numbers(numbers) => numbers.contains(&number),
        }
    }
}

/// What a host sends as an answer. The checksum is valid in all but `BadChecksum`, so that each
/// variant tests one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A valid Echo Reply.
    Reply,
    /// A reply whose checksum is wrong by one bit.
    BadChecksum,
    /// A reply with all bits of one byte flipped, at this offset in the data.
    FlippedByte(usize),
    /// A reply of the right length, all zeros.
    ZeroedData,
    /// A reply with the first bytes of the data only.
    TruncatedTo(usize),
    /// A reply with these bytes after its data.
    Extended(Vec<u8>),
    /// A reply with another Identifier (the probe's plus this).
    OtherIdent(u16),
    /// A reply with another Sequence Number (the probe's plus this).
    OtherSeq(u16),
    /// A reply with this data.
    Data(Vec<u8>),
    /// Any ICMP message: type, code, and everything after the checksum.
    Icmp { msg_type: u8, code: u8, rest: Vec<u8> },
    /// The probe itself, as an Echo Request.
    Request,
    /// An ICMP error that quotes the probe, from a router unless `from` is set.
    Error(IcmpError),
}

/// The ICMP errors, by their meaning in both families (RFC 792, RFC 4443 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    HostUnreachable,
    NetUnreachable,
    PortUnreachable,
    AdminProhibited,
    TimeExceeded,
}

impl IcmpError {
    /// Type and code.
    pub fn numbers(self, v6: bool) -> (u8, u8) {
        match (self, v6) {
            (IcmpError::NetUnreachable, false) => (3, 0),
            (IcmpError::HostUnreachable, false) => (3, 1),
            (IcmpError::PortUnreachable, false) => (3, 3),
            (IcmpError::AdminProhibited, false) => (3, 13),
            (IcmpError::TimeExceeded, false) => (11, 0),
            (IcmpError::NetUnreachable, true) => (1, 0),
            (IcmpError::AdminProhibited, true) => (1, 1),
            (IcmpError::HostUnreachable, true) => (1, 3),
            (IcmpError::PortUnreachable, true) => (1, 4),
            (IcmpError::TimeExceeded, true) => (3, 0),
        }
    }
}

/// An address or a prefix: `10.0.0.7`, `10.0.0.0/8`, `fd00::/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net {
    addr: IpAddr,
    bits: u32,
}

impl Net {
    pub fn contains(&self, addr: IpAddr) -> bool {
        let prefix = |bits: u128, width: u32| bits.checked_shr(width - self.bits).unwrap_or(0);
        match (self.addr, addr) {
            (IpAddr::V4(a), IpAddr::V4(b)) => prefix(a.to_bits().into(), 32) == prefix(b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => prefix(a.to_bits(), 128) == prefix(b.to_bits(), 128),
            _ => false,
        }
    }
}

impl FromStr for Net {
    type Err = String;

    fn from_str(text: &str) -> Result<Net, String> {
        let wrong = || format!("{text:?} is neither an address nor a prefix");
        let (addr, bits) = text.split_once('/').map_or((text, None), |(addr, bits)| (addr, Some(bits)));
        let addr: IpAddr = addr.parse().map_err(|_| wrong())?;
        let width = if addr.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        if bits <= width { Ok(Net { addr, bits }) } else { Err(wrong()) }
    }
}

/// All hosts.
pub struct Hosts {
    exact: HashMap<IpAddr, Vec<Behaviour>>,
    /// Longest first, so that the first match counts.
    prefixes: Vec<(Net, Vec<Behaviour>)>,
    others: Vec<Behaviour>,
}

impl Default for Hosts {
    /// All hosts are alive.
    fn default() -> Hosts {
        Hosts { exact: HashMap::new(), prefixes: Vec::new(), others: vec![Behaviour::default()] }
    }
}

impl Hosts {
    /// Sets the script of an address or prefix.
    pub fn set(&mut self, net: Net, script: Vec<Behaviour>) {
        assert!(!script.is_empty(), "a script has at least one behaviour");
        let width = if net.addr.is_ipv4() { 32 } else { 128 };
        if net.bits == width {
            self.exact.insert(net.addr, script);
        } else {
            // Of equally long prefixes the newest comes first, so that a test can replace one.
            self.prefixes.retain(|(other, _)| *other != net);
            let place = self.prefixes.partition_point(|(other, _)| other.bits > net.bits);
            self.prefixes.insert(place, (net, script));
        }
    }

    /// Sets the behaviour of all hosts without a script.
    pub fn set_others(&mut self, behaviour: Behaviour) {
        self.others = vec![behaviour];
    }

    /// What `addr` does with its probe of this number, from 1.
    pub fn behaviour(&self, addr: IpAddr, number: u32) -> &Behaviour {
        let prefix = || self.prefixes.iter().find(|(net, _)| net.contains(addr)).map(|(_, script)| script);
        let script = self.exact.get(&addr).or_else(prefix).unwrap_or(&self.others);
        let last = script.len() - 1;
        &script[last.min(number.saturating_sub(1) as usize)]
    }
}
