//! The network and its hosts: the replies to a probe, when they arrive, from where, and how
//! damaged.
//!
//! A host is described by odds. All of it works on real bytes: messages are parsed and emitted, and
//! damage is a flipped bit, a missing tail or zeroed data. What happens to a probe follows from the
//! seed, the target and the attempt alone, so two worlds that differ only in scheduling can be
//! compared.
//!
//! The kernel verifies the checksum for raw ICMPv6 sockets and drops what fails. So a damaged IPv6
//! reply is dropped here, unless its checksum was also corrected (by a broken translator, say).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::time::Duration;

use multiping::address::{Address, Family};
use multiping::plan::ProbeKind;
use multiping::token::Token;
use multiping::wire::{self, Detail, Echo, HEADER, IcmpError, Message, Original};

use crate::rng::Rng;

/// What a probe carries after its token.
pub const FILLER: u8 = 0x5a;

/// An ICMP message on its way to the machine.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it reaches the receive buffer.
    pub at: Duration,
    /// Its source address.
    pub from: Address,
    /// The message, without IP header.
    pub bytes: Vec<u8>,
}

/// How a host and the path to it behave. Odds are in percent.
#[derive(Clone, Debug)]
pub struct Host {
    /// How many of the first attempts are lost.
    pub lost_first: u32,
    /// The odds that an attempt after these is lost.
    pub loss: u64,
    /// How long a reply takes.
    pub delay: Range<Duration>,
    /// How many copies of a reply may follow it; the number is drawn for each.
    pub copies: Range<u64>,
    /// How long after the reply a copy arrives. Copies may overtake each other.
    pub spread: Range<Duration>,
    /// The odds that a reply or a copy is damaged.
    pub damage: u64,
    /// The odds that a reply or a copy comes from another address.
    pub other_source: u64,
    /// The odds that a reply with a guessed seal arrives first.
    pub forged: u64,
    /// The odds that an attempt that is lost draws an ICMP error, and one that is answered a
    /// redirect before the reply. Errors take as long as a reply.
    pub errors: u64,
    /// The error with which the machine refuses to send to it.
    pub refusal: Option<i32>,
    /// Whether it can be sent to in an outage.
    pub is_near: bool,
}

impl Host {
    /// Never replies.
    pub const SILENT: Host = Host {
        lost_first: 0,
        loss: 100,
        delay: Duration::ZERO..Duration::ZERO,
        copies: 0..1,
        spread: Duration::ZERO..Duration::ZERO,
        damage: 0,
        other_source: 0,
        forged: 0,
        errors: 0,
        refusal: None,
        is_near: false,
    };

    /// Replies to every probe once, after `delay`.
    pub fn alive(delay: Duration) -> Host {
        Host { loss: 0, delay: delay..delay, ..Host::SILENT }
    }

    /// The replies to `request`, which was sent to `address` at `sent_at`.
    pub fn replies(&self, seed: u64, address: Address, request: &[u8], sent_at: Duration) -> Vec<Packet> {
        let family = address.family();
        let Ok(Message::Request(echo)) = Message::parse(family, request) else {
            panic!("not an Echo Request: {request:02x?}");
        };
        let token = Token::parse(echo.data).expect("a probe carries a token");
        let rng = &mut Rng::stream(seed, [u64::from(token.target), u64::from(token.attempt)]);
        let mut packets = Vec::new();
        let delay = rng.duration(&self.delay);
        if rng.percent(self.forged) {
            let guess = Token { seal: rng.u64(), ..token };
            packets.push(Packet { at: sent_at + delay / 2, from: address, bytes: reply(family, echo.ident, guess) });
        }
        let lost = rng.percent(self.loss) || token.attempt < self.lost_first;
        if self.errors > 0 && rng.percent(self.errors) {
            packets.push(Packet { at: sent_at + delay, ..error(rng, address, echo, !lost) });
        }
        if lost {
            return packets;
        }
        let copies = rng.number(&self.copies);
        for copy in 0..=copies {
            let later = if copy == 0 { Duration::ZERO } else { rng.duration(&self.spread) };
            let from = if rng.percent(self.other_source) { other_address(rng, address) } else { address };
            let mut bytes = emitted(family, &Message::Reply(echo));
            if rng.percent(self.damage) && !damage(rng, address, &mut bytes) {
                continue;
            }
            packets.push(Packet { at: sent_at + delay + later, from, bytes });
        }
        packets
    }
}

/// An Echo Reply with `token` and data like a probe's.
pub fn reply(family: Family, ident: u16, token: Token) -> Vec<u8> {
    let mut data = [FILLER; 56];
    data[..Token::LEN].copy_from_slice(&token.emit());
    emitted(family, &Message::Reply(Echo { ident, seq: 0, data: &data }))
}

/// An error about a probe to `address`: from a router or the host itself, with or without the token
/// in its quote, and sometimes about a probe that was never sent.
fn error(rng: &mut Rng, address: Address, echo: Echo, is_redirect: bool) -> Packet {
    let family = address.family();
    let (msg_type, detail) = match family {
        Family::V4 if is_redirect => (5, Detail::Gateway(Ipv4Addr::new(192, 0, 2, 254).into())),
        Family::V4 => (rng.pick(&[3, 11, 12]), Detail::None),
        Family::V6 if is_redirect => (137, Detail::Gateway(Ipv6Addr::LOCALHOST.into())),
        Family::V6 => {
            rng.pick(&[(1, Detail::None), (2, Detail::Mtu(1280)), (3, Detail::None), (4, Detail::Pointer(6))])
        }
    };
    let error = IcmpError::named(family, msg_type, 1).expect("a type of errors").with_detail(detail);
    let cut = rng.pick(&[0, 7, Token::LEN, echo.data.len()]).min(echo.data.len());
    let mut data = echo.data[..cut].to_vec();
    let mut original = Original { destination: address.ip(), kind: ProbeKind::Echo, echo };
    match rng.below(10) {
        0 => original.destination = other_address(rng, address).ip(),
        1 => original.echo.ident ^= 1,
        2 => original.echo.seq ^= 1,
        3 => data.iter_mut().take(1).for_each(|byte| *byte ^= 0x80),
        _ => {}
    }
    original.echo.data = &data;
    let from = if rng.percent(50) { address } else { other_address(rng, address) };
    Packet { at: Duration::ZERO, from, bytes: emitted(family, &Message::Error { error, original }) }
}

/// Destination Unreachable from the host itself.
fn unreachable(address: Address, echo: Echo<'_>) -> Message<'_> {
    let msg_type = if address.family() == Family::V4 { 3 } else { 1 };
    let error = IcmpError::named(address.family(), msg_type, 1).expect("a type of errors");
    Message::Error { error, original: Original { destination: address.ip(), kind: ProbeKind::Echo, echo } }
}

/// The bytes of `message`, which parse as the same message.
pub fn emitted(family: Family, message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; 1500];
    let length = message.emit(family, &mut bytes).expect("the buffer is large enough");
    bytes.truncate(length);
    assert_eq!(Message::parse(family, &bytes).as_ref(), Ok(message), "parse(emit(x)) == x");
    bytes
}

/// Another address of the same family.
fn other_address(rng: &mut Rng, address: Address) -> Address {
    let change = 1 + rng.below(200) as u8;
    match address {
        Address::V4(ip) => Address::V4((u32::from(ip) ^ u32::from(change)).into()),
        Address::V6(ip, zone) if zone > 0 && rng.percent(50) => Address::V6(ip, zone + 1),
        Address::V6(ip, zone) => Address::V6((u128::from(ip) ^ u128::from(change)).into(), zone),
    }
}

/// Damages a reply. Returns whether the kernel still delivers it.
fn damage(rng: &mut Rng, address: Address, bytes: &mut Vec<u8>) -> bool {
    let family = address.family();
    let bits = bytes.len() as u64 * 8;
    match rng.below(7) {
        // Bits flipped on the wire, anywhere in the message. (In one byte: in two words they might
        // leave the checksum as it was, depending on what the words hold, and so on the key.)
        0 | 1 => {
            let place = rng.below(bytes.len() as u64) as usize;
            bytes[place] ^= 1 + rng.below(255) as u8;
            return family == Family::V4;
        }
        // Cut short on the wire.
        2 => {
            bytes.truncate(rng.below(bytes.len() as u64) as usize);
            return family == Family::V4;
        }
        // Cut short, or with a bit of its data flipped, by something that corrects the checksum.
        3 => bytes.truncate(rng.below(bytes.len() as u64) as usize),
        4 => flip(bytes, HEADER as u64 * 8 + rng.below(bits - HEADER as u64 * 8)),
        // A host that zeroes the data.
        5 => bytes[HEADER..].fill(0),
        // Another message: a reply to another program, an error, or the request looped back.
        _ => {
            let Ok(Message::Reply(echo)) = Message::parse(family, bytes) else { panic!("not a reply: {bytes:02x?}") };
            let message = match rng.below(3) {
                0 => Message::Reply(Echo { ident: echo.ident ^ 0x0101, ..echo }),
                1 => unreachable(address, echo),
                _ => Message::Request(echo),
            };
            *bytes = emitted(family, &message);
        }
    }
    if family == Family::V4 && bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let sum = wire::checksum(bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    true
}

fn flip(bytes: &mut [u8], bit: u64) {
    bytes[bit as usize / 8] ^= 1 << (bit % 8);
}
