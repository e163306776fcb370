//! Tests of `wire`: messages are emitted and parsed back without loss, and parsing is safe for any
//! bytes.
//!
//! The packets at the end of this file were written by hand from RFC 791, 792, 4443 and 8200, not
//! by the code under test, and so was the checksum that they are compared with: 16 bits at a time,
//! with the carry added at once. Every literal is also cut at each length and flipped at each bit.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;
use multiping::address::Family;
use multiping::plan::ProbeKind;
use multiping::wire::{
    Detail, Echo, HEADER, HostTime, IcmpError, Malformed, Message, Original, Query, QueryBody, checksum, ipv4_payload,
};

/// The data of the probe in the literals.
const DATA: &[u8] = b"\0\0\0\x07\0\0\0\x01\x1f\x2e\x3d\x4c\x5b\x6a\x79\x88ping";
const ECHO: Echo<'static> = Echo { ident: 0xbeef, seq: 0x0102, data: DATA };

/// Where it was sent to.
const TARGET_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
const TARGET_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7));

/// The routers that redirects name.
const GATEWAY_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 254));
const GATEWAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1));

fn icmp_error(family: Family, msg_type: u8, code: u8, detail: Detail) -> IcmpError {
    // Some of them are of types that are no errors. (3 is one in both families.)
    let mut error = IcmpError::named(family, 3, code).expect("a type of errors").with_detail(detail);
    error.msg_type = msg_type;
    error
}

fn timestamp(ident: u16, seq: u16, times: [u32; 3]) -> Query {
    let [originate, receive, transmit] = times.map(HostTime);
    Query { ident, seq, body: QueryBody::Timestamp { originate, receive, transmit } }
}

/// An error of ICMPv4 about the request in the literals, of whose data it quotes `data`.
fn error_v4(msg_type: u8, code: u8, detail: Detail, data: &[u8]) -> Message<'_> {
    let error = icmp_error(Family::V4, msg_type, code, detail);
    Message::Error {
        error,
        original: Original { destination: TARGET_V4, kind: ProbeKind::Echo, echo: Echo { data, ..ECHO } },
    }
}

/// The same of ICMPv6.
fn error_v6(msg_type: u8, code: u8, detail: Detail, data: &[u8]) -> Message<'_> {
    let error = icmp_error(Family::V6, msg_type, code, detail);
    Message::Error {
        error,
        original: Original { destination: TARGET_V6, kind: ProbeKind::Echo, echo: Echo { data, ..ECHO } },
    }
}

/// Every literal of IPv4 (whole packets), and the message in it.
fn packets_v4() -> Vec<(&'static [u8], Message<'static>)> {
    vec![
        (&REQUEST_V4, Message::Request(ECHO)),
        (&REPLY_V4, Message::Reply(ECHO)),
        (&REPLY_V4_OPTIONS, Message::Reply(ECHO)),
        (&UNREACHABLE_V4, error_v4(3, 1, Detail::None, DATA)),
        (&EXCEEDED_V4, error_v4(11, 0, Detail::None, b"")),
        (&PROBLEM_V4, error_v4(12, 0, Detail::Pointer(20), &DATA[..13])),
        (&REDIRECT_V4, error_v4(5, 1, Detail::Gateway(GATEWAY_V4), b"")),
        (&TOO_BIG_V4, error_v4(3, 4, Detail::Mtu(1300), b"")),
        (&UNREACHABLE_V4_FRAGMENT, Message::Other { msg_type: 3, code: 4 }),
        (&UNREACHABLE_V4_UDP, Message::Other { msg_type: 3, code: 3 }),
        (&UNREACHABLE_V4_REPLY, Message::Other { msg_type: 3, code: 1 }),
        (&TIMESTAMP_V4, Message::QueryReply(timestamp(1, 2, [0x0203_0405, 0x0607_0809, 0x0001_0203]))),
    ]
}

/// Every literal of IPv6 (ICMPv6 messages), and the message in it.
fn messages_v6() -> Vec<(&'static [u8], Message<'static>)> {
    vec![
        (&REQUEST_V6, Message::Request(ECHO)),
        (&REPLY_V6, Message::Reply(ECHO)),
        (&UNREACHABLE_V6, error_v6(1, 3, Detail::None, DATA)),
        (&TOO_BIG_V6, error_v6(2, 0, Detail::Mtu(1280), &DATA[..5])),
        (&EXCEEDED_V6, error_v6(3, 0, Detail::None, b"")),
        (&PROBLEM_V6, error_v6(4, 1, Detail::Pointer(6), DATA)),
        (&UNREACHABLE_V6_UDP, Message::Other { msg_type: 1, code: 4 }),
        (&TOO_BIG_V6_FRAGMENT, error_v6(2, 0, Detail::Mtu(1300), &DATA[..16])),
        (&REDIRECT_V6, error_v6(137, 0, Detail::Gateway(GATEWAY_V6), &DATA[..17])),
        (&UNREACHABLE_V6_FRAGMENT, Message::Other { msg_type: 1, code: 0 }),
        (&SOLICITATION_V6, Message::Other { msg_type: 135, code: 0 }),
    ]
}

/// Every literal as a bare ICMP message.
fn messages() -> Vec<(Family, &'static [u8], Message<'static>)> {
    let v4 = packets_v4().into_iter().map(|(packet, message)| (Family::V4, &packet[header_len(packet)..], message));
    v4.chain(messages_v6().into_iter().map(|(bytes, message)| (Family::V6, bytes, message))).collect()
}

/// How often something random is tried. Miri takes a thousand times as long.
const fn trials(many: u32) -> u32 {
    if cfg!(miri) { many.div_ceil(1000) } else { many }
}

fn header_len(packet: &[u8]) -> usize {
    usize::from(packet[0] & 15) * 4
}

#[test]
fn literal_ipv4_packets_are_parsed() {
    for (packet, message) in packets_v4() {
        let bytes = ipv4_payload(packet).unwrap();
        assert_eq!(bytes, &packet[header_len(packet)..]);
        assert_eq!(Message::parse(Family::V4, bytes), Ok(message));
    }
}

#[test]
fn literal_icmpv6_messages_are_parsed() {
    for (bytes, message) in messages_v6() {
        assert_eq!(Message::parse(Family::V6, bytes), Ok(message));
    }
}

#[test]
fn literal_packets_have_valid_checksums() {
    for (packet, _) in packets_v4() {
        let (header, message) = packet.split_at(header_len(packet));
        assert_eq!((rfc1071(header), rfc1071(message)), (0, 0), "{packet:02x?}");
        assert_eq!((checksum(header), checksum(message)), (0, 0), "{packet:02x?}");
    }
}

#[test]
fn emitted_messages_are_the_literal_bytes() {
    let mut out = [0xee; 64];
    let len = Message::Request(ECHO).emit(Family::V4, &mut out).unwrap();
    assert_eq!(out[..len], REQUEST_V4[20..]);
    let len = Message::Reply(ECHO).emit(Family::V4, &mut out).unwrap();
    assert_eq!(out[..len], REPLY_V4[20..]);
    // The kernel fills in the checksum of ICMPv6.
    for (message, literal) in [(Message::Request(ECHO), REQUEST_V6), (Message::Reply(ECHO), REPLY_V6)] {
        let len = message.emit(Family::V6, &mut out).unwrap();
        assert_eq!((&out[..2], &out[2..4], &out[4..len]), (&literal[..2], &[0, 0][..], &literal[4..]));
    }
}

#[test]
fn bytes_after_the_ipv4_packet_are_ignored() {
    // Short packets arrive with the padding of the Ethernet frame.
    let mut frame = REPLY_V4.to_vec();
    frame.extend_from_slice(b"padding");
    assert_eq!(ipv4_payload(&frame), Ok(&REPLY_V4[20..]));
}

#[test]
fn a_malformed_ipv4_packet_or_one_without_icmp_is_rejected() {
    for (at, value, why) in [(0, 0x65, "version 6"), (0, 0x44, "a header of 16 bytes"), (9, 17, "UDP")] {
        let mut packet = REPLY_V4;
        packet[at] = value;
        assert_eq!(ipv4_payload(&packet), Err(Malformed), "{why}");
    }
    let mut packet = REPLY_V4;
    packet[2..4].copy_from_slice(&19u16.to_be_bytes());
    assert_eq!(ipv4_payload(&packet), Err(Malformed), "a total length below the header's");
}

#[test]
fn an_echo_with_another_code_is_not_an_echo() {
    for (family, msg_type) in [(Family::V4, 8), (Family::V4, 0), (Family::V6, 128), (Family::V6, 129)] {
        for code in 1..=255 {
            let mut bytes = [0; 28];
            bytes[..2].copy_from_slice(&[msg_type, code]);
            bytes[4..8].copy_from_slice(&[0xbe, 0xef, 1, 2]);
            let sum = rfc1071(&bytes);
            bytes[2..4].copy_from_slice(&sum.to_be_bytes());
            assert_eq!(Message::parse(family, &bytes), Ok(Message::Other { msg_type, code }));
        }
    }
}

#[test]
fn types_of_one_family_have_another_meaning_in_the_other() {
    // The ICMPv6 checksum is not verified, so the same bytes can be parsed either way.
    assert_eq!(Message::parse(Family::V6, &REPLY_V4[20..]), Ok(Message::Other { msg_type: 0, code: 0 }));
    assert_eq!(Message::parse(Family::V6, &EXCEEDED_V4[20..]), Ok(Message::Other { msg_type: 11, code: 0 }));
}

#[test]
fn a_truncated_packet_is_rejected_by_its_ipv4_header() {
    for (packet, _) in packets_v4() {
        for len in 0..packet.len() {
            assert_eq!(ipv4_payload(&packet[..len]), Err(Malformed), "{len} of {packet:02x?}");
        }
    }
}

#[test]
fn a_truncated_message_is_rejected_or_has_less_data() {
    for (family, bytes, whole) in messages() {
        for len in 0..bytes.len() {
            let Ok(cut) = Message::parse(family, &bytes[..len]) else { continue };
            assert!(is_shortened(&cut, &whole), "{len} bytes of {whole:?} are {cut:?}");
        }
    }
}

#[test]
fn a_truncated_message_with_a_corrected_checksum_has_less_data() {
    // An attacker may send such a message.
    for (family, bytes, whole) in messages() {
        for len in 4..bytes.len() {
            let mut cut = bytes[..len].to_vec();
            cut[2..4].fill(0);
            let sum = rfc1071(&cut);
            cut[2..4].copy_from_slice(&sum.to_be_bytes());
            match Message::parse(family, &cut) {
                Ok(message) => assert!(is_shortened(&message, &whole), "{len} bytes of {whole:?} are {message:?}"),
                Err(Malformed) => assert!(len < least_len(&whole), "{len} bytes of {whole:?}"),
            }
        }
    }
}

/// The least length of such a message: queries other than Echo have a fixed one.
fn least_len(message: &Message) -> usize {
    if let Message::QueryReply(query) = message { query.message_len() } else { HEADER }
}

/// Whether `cut` is a truncated `whole`.
fn is_shortened(cut: &Message, whole: &Message) -> bool {
    let less =
        |cut: &Echo, whole: &Echo| (cut.ident, cut.seq) == (whole.ident, whole.seq) && whole.data.starts_with(cut.data);
    match (*cut, *whole) {
        (Message::Request(cut), Message::Request(whole)) | (Message::Reply(cut), Message::Reply(whole)) => {
            less(&cut, &whole)
        }
        (Message::Error { error: a, original: cut }, Message::Error { error, original }) => {
            a == error && cut.destination == original.destination && less(&cut.echo, &original.echo)
        }
        // Without the original an error is not about a probe.
        (Message::Other { msg_type, code }, Message::Error { error, .. }) => {
            (msg_type, code) == (error.msg_type, error.code)
        }
        (cut, whole) => cut == whole,
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn every_single_bit_flip_of_an_ipv4_message_is_rejected() {
    for (packet, _) in packets_v4() {
        for_each_flip(ipv4_payload(packet).unwrap(), |flipped, bit| {
            assert_eq!(Message::parse(Family::V4, flipped), Err(Malformed), "bit {bit} of {packet:02x?}");
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn no_single_bit_flip_of_an_ipv4_header_makes_another_echo_or_error() {
    for (packet, message) in packets_v4() {
        let len = header_len(packet);
        for_each_flip(&packet[..len], |header, bit| {
            let flipped = [header, &packet[len..]].concat();
            let read = ipv4_payload(&flipped).and_then(|bytes| Message::parse(Family::V4, bytes));
            // The kernel has verified the checksum of the header. Otherwise a header that seems
            // longer could end at the header of a quoted packet, whose valid checksum passes for
            // ICMP's.
            let harmless = matches!(read, Err(Malformed) | Ok(Message::Other { .. })) || read == Ok(message);
            assert!(harmless, "bit {bit} of {packet:02x?} makes it {read:?}");
        });
    }
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn every_single_bit_flip_of_an_icmpv6_message_is_parsed_safely() {
    // The kernel verifies that checksum, so nothing is rejected here.
    for (bytes, message) in messages_v6() {
        for_each_flip(bytes, |flipped, bit| {
            let read = Message::parse(Family::V6, flipped).unwrap();
            // Bits 16-31 are the checksum.
            assert!(!(16..32).contains(&bit) || read == message, "bit {bit} of {message:?} makes it {read:?}");
        });
    }
}

fn for_each_flip(bytes: &[u8], mut check: impl FnMut(&[u8], usize)) {
    let mut flipped = bytes.to_vec();
    for bit in 0..bytes.len() * 8 {
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
        check(&flipped, bit);
        flipped[bit / 8] ^= 0x80 >> (bit % 8);
    }
}

#[test]
fn what_is_emitted_is_parsed_back() {
    let mut rng = Rng::with_seed(1);
    let mut out = vec![0; 2048];
    for _ in 0..trials(20_000) {
        let family = Family::BOTH[rng.usize(..2)];
        let data = any_bytes(&mut rng);
        let message = any_message(&mut rng, family, &data);
        out.fill(0xee);
        let len = message.emit(family, &mut out).unwrap();
        assert_eq!(Message::parse(family, &out[..len]), Ok(message));
        assert!(out[len..].iter().all(|&byte| byte == 0xee), "{message:?} is longer than returned");
        if family == Family::V4 {
            assert_eq!(rfc1071(&out[..len]), 0, "{message:?}");
        } else {
            assert_eq!(out[2..4], [0, 0], "{message:?}");
        }
    }
}

#[test]
fn a_buffer_that_is_one_byte_too_short_is_rejected() {
    let mut rng = Rng::with_seed(2);
    let mut out = vec![0; 2048];
    for _ in 0..trials(500) {
        let family = Family::BOTH[rng.usize(..2)];
        let data = any_bytes(&mut rng);
        let message = any_message(&mut rng, family, &data);
        let len = message.emit(family, &mut out).unwrap();
        assert_eq!(message.emit(family, &mut out[..len]), Some(len));
        for short in [0, len / 2, len - 1] {
            assert_eq!(message.emit(family, &mut out[..short]), None, "{message:?} in {short} bytes");
        }
    }
}

#[test]
fn an_error_that_no_message_can_carry_is_not_emitted() {
    let mtu = |mtu| Detail::Mtu(mtu);
    for (message, family, why) in [
        (error_v4(2, 0, Detail::None, b""), Family::V4, "a type of ICMPv6"),
        (error_v4(4, 0, Detail::None, b""), Family::V4, "Source Quench"),
        (error_v4(3, 4, mtu(65_536), b""), Family::V4, "17 bits"),
        (error_v4(3, 1, mtu(1300), b""), Family::V4, "an MTU where none is"),
        (error_v4(12, 0, Detail::Pointer(256), b""), Family::V4, "9 bits"),
        (error_v6(137, 0, Detail::None, b""), Family::V6, "a redirect to nowhere"),
        (error_v6(1, 0, Detail::None, b""), Family::V4, "of the other family"),
    ] {
        assert_eq!(message.emit(family, &mut [0; 256]), None, "{why}");
    }
}

/// The table in xymonping(1), by type and code.
#[test]
fn errors_have_names_and_texts() {
    let show = |message: Message| {
        let Message::Error { error, .. } = message else { panic!("no error: {message:?}") };
        format!("{} / {error}", error.name())
    };
    let v4 = |msg_type, code| show(error_v4(msg_type, code, Detail::None, b""));
    let v6 = |msg_type, code| show(error_v6(msg_type, code, Detail::None, b""));
    assert_eq!(v4(3, 1), "host-unreachable / Destination Host Unreachable");
    assert_eq!(v4(11, 0), "ttl-exceeded / Time to live exceeded");
    assert_eq!(v6(1, 3), "address-unreachable / Destination Host Unreachable");
    assert_eq!(v4(3, 16), "type-3-code-16 / ICMP type 3 code 16");
    assert_eq!(v6(4, 9), "type-4-code-9 / ICMP type 4 code 9");
    assert_eq!(
        show(error_v4(3, 4, Detail::Mtu(1000), b"")),
        "fragmentation-needed / frag needed and DF set (MTU 1000)"
    );
    assert_eq!(show(error_v6(4, 0, Detail::Pointer(40), b"")), "bad-header / Parameter problem (byte 40)");
    let redirect = show(error_v4(5, 1, Detail::Gateway(GATEWAY_V4), b""));
    assert_eq!(redirect, "redirect-host / Redirect Host (new gateway 203.0.113.254)");
    let mut names: Vec<_> = (0..=15).map(|code| v4(3, code)).chain((0..=7).map(|code| v6(1, code))).collect();
    assert!(names.iter().all(|name| !name.starts_with("type-")), "{names:?}");
    names.sort();
    names.dedup_by_key(|name| name.split(" / ").next().unwrap_or_default().to_owned());
    assert_eq!(names.len(), 16 + 8 - 2, "admin-prohibited and port-unreachable are the same in both families");
}

#[test]
fn random_bytes_are_parsed_safely() {
    let mut rng = Rng::with_seed(3);
    for _ in 0..trials(50_000) {
        let mut bytes = any_bytes(&mut rng);
        for family in Family::BOTH {
            let _ = Message::parse(family, &bytes);
            // Most random bytes are rejected by checksum or type, so make these valid.
            if bytes.len() >= 29 {
                bytes[0] = [0, 3, 8, 11, 1, 2, 128, 129, 5, 12, 137][rng.usize(..11)];
                bytes[8] = 0x40 | bytes[8] & 15;
                bytes[17] = 1;
                bytes[14] = 58;
                bytes[2..4].fill(0);
                let sum = rfc1071(&bytes);
                bytes[2..4].copy_from_slice(&sum.to_be_bytes());
                Message::parse(family, &bytes).unwrap();
            }
        }
        let _ = ipv4_payload(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 0x40 | *first & 15;
            let _ = ipv4_payload(&bytes);
        }
    }
}

#[test]
fn the_checksum_is_that_of_rfc_1071_at_every_length() {
    let mut rng = Rng::with_seed(4);
    for len in 0..=100 {
        for fill in [0x00, 0xff, 0x80, 0x01] {
            let bytes = vec![fill; len];
            assert_eq!(checksum(&bytes), rfc1071(&bytes), "{len} bytes of {fill:#04x}");
        }
        for _ in 0..trials(200) {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            assert_eq!(checksum(&bytes), rfc1071(&bytes), "{bytes:02x?}");
        }
    }
}

#[test]
fn the_checksum_of_the_example_in_rfc_1071() {
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
}

#[test]
#[cfg_attr(miri, ignore = "takes minutes in Miri")]
fn the_checksum_of_the_longest_packet_does_not_overflow() {
    for len in [65_531, 65_532, 65_533, 65_534, 65_535] {
        let bytes = vec![0xff; len];
        assert_eq!(checksum(&bytes), rfc1071(&bytes), "{len}");
    }
}

/// The Internet checksum as RFC 1071 §1 puts it: the ones' complement sum of 16-bit words, odd
/// bytes padded with zero.
fn rfc1071(bytes: &[u8]) -> u16 {
    let mut sum: u16 = 0;
    for pair in bytes.chunks(2) {
        let word = u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
        let (partial, carry) = sum.overflowing_add(word);
        sum = partial + u16::from(carry);
    }
    !sum
}

/// Any bytes: mostly few, one time in eight up to as many as an Ethernet frame holds.
fn any_bytes(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.u8(..8) == 0 { rng.usize(..1473) } else { rng.usize(..80) };
    (0..len).map(|_| rng.u8(..)).collect()
}

fn any_query(rng: &mut Rng) -> Query {
    if rng.bool() {
        return Query { ident: rng.u16(..), seq: rng.u16(..), body: QueryBody::Mask(Ipv4Addr::from(rng.u32(..))) };
    }
    timestamp(rng.u16(..), rng.u16(..), [rng.u32(..), rng.u32(..), rng.u32(..)])
}

/// Any message that `family` can express.
fn any_message<'a>(rng: &mut Rng, family: Family, data: &'a [u8]) -> Message<'a> {
    let echo = Echo { ident: rng.u16(..), seq: rng.u16(..), data };
    let (msg_type, code) = (rng.u8(..), rng.u8(..));
    match rng.u8(..6) {
        4 if family == Family::V4 => Message::QueryRequest(any_query(rng)),
        5 if family == Family::V4 => Message::QueryReply(any_query(rng)),
        0 => Message::Request(echo),
        1 => Message::Reply(echo),
        2 => {
            let (msg_type, code, detail, destination) = match family {
                Family::V4 => {
                    let destination = IpAddr::from(rng.u32(..).to_be_bytes());
                    let gateway = IpAddr::from(rng.u32(..).to_be_bytes());
                    match rng.u8(..5) {
                        0 => (3, 4, Detail::Mtu(rng.u32(1..65_536)), destination),
                        1 => (5, code, Detail::Gateway(gateway), destination),
                        2 => (12, 0, Detail::Pointer(rng.u32(..256)), destination),
                        3 => (3, if code == 4 { 1 } else { code }, Detail::None, destination),
                        _ => (11, code, Detail::None, destination),
                    }
                }
                Family::V6 => {
                    let destination = IpAddr::from(rng.u128(..).to_be_bytes());
                    let gateway = IpAddr::from(rng.u128(..).to_be_bytes());
                    match rng.u8(..5) {
                        0 => (2, code, Detail::Mtu(rng.u32(..)), destination),
                        1 => (137, code, Detail::Gateway(gateway), destination),
                        2 => (4, code, Detail::Pointer(rng.u32(..)), destination),
                        3 => (1, code, Detail::None, destination),
                        _ => (3, code, Detail::None, destination),
                    }
                }
            };
            let error = icmp_error(family, msg_type, code, detail);
            let kind = if family == Family::V4 && rng.bool() { ProbeKind::Timestamp } else { ProbeKind::Echo };
            Message::Error { error, original: Original { destination, kind, echo } }
        }
        // With code 0 the type of a query would be that query. (Nothing is quoted in what is
        // emitted.)
        _ => Message::Other {
            msg_type,
            code: if [0, 8, 13, 14, 17, 18, 128, 129].contains(&msg_type) { code.max(1) } else { code },
        },
    }
}

/// 192.0.2.1 -> 198.51.100.7, Echo Request.
#[rustfmt::skip]
const REQUEST_V4: [u8; 48] = [
    0x45, 0x00, 0x00, 0x30, 0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x32, 0x4b, 0xc0, 0x00, 0x02, 0x01,
    0xc6, 0x33, 0x64, 0x07, 0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07,
    0x00, 0x00, 0x00, 0x01, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// 198.51.100.7 -> 192.0.2.1, Echo Reply.
#[rustfmt::skip]
const REPLY_V4: [u8; 48] = [
    0x45, 0x00, 0x00, 0x30, 0x1c, 0x46, 0x40, 0x00, 0x39, 0x01, 0x39, 0x4b, 0xc6, 0x33, 0x64, 0x07,
    0xc0, 0x00, 0x02, 0x01, 0x00, 0x00, 0x2f, 0xc8, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07,
    0x00, 0x00, 0x00, 0x01, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// The same reply behind an IPv4 header of 32 bytes: Router Alert, Record Route, End of List.
#[rustfmt::skip]
const REPLY_V4_OPTIONS: [u8; 60] = [
    0x48, 0x00, 0x00, 0x3c, 0x1c, 0x46, 0x40, 0x00, 0x39, 0x01, 0x95, 0x71, 0xc6, 0x33, 0x64, 0x07,
    0xc0, 0x00, 0x02, 0x01, 0x94, 0x04, 0x00, 0x00, 0x07, 0x07, 0x04, 0xc0, 0x00, 0x02, 0x01, 0x00,
    0x00, 0x00, 0x2f, 0xc8, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// 203.0.113.254 -> 192.0.2.1, Destination Unreachable (host), quoting the whole request.
#[rustfmt::skip]
const UNREACHABLE_V4: [u8; 76] = [
    0x45, 0x00, 0x00, 0x4c, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x6a, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x03, 0x01, 0xfc, 0xfe, 0x00, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00, 0x30,
    0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x32, 0x4b, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Time Exceeded (in transit), quoting what RFC 792 promises: the IP header and 8 bytes.
#[rustfmt::skip]
const EXCEEDED_V4: [u8; 56] = [
    0x45, 0x00, 0x00, 0x38, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x7e, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x0b, 0x00, 0x05, 0x46, 0x00, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00, 0x30,
    0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x32, 0x4b, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02,
];

/// Parameter Problem, pointer 20, quoting a request with an option in its IP header and 13 bytes of
/// its data.
#[rustfmt::skip]
const PROBLEM_V4: [u8; 73] = [
    0x45, 0x00, 0x00, 0x49, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x6d, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x0c, 0x00, 0x38, 0xc3, 0x14, 0x00, 0x00, 0x00, 0x46, 0x00, 0x00, 0x34,
    0x1c, 0x46, 0x40, 0x00, 0x01, 0x01, 0xdc, 0x42, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x94, 0x04, 0x00, 0x00, 0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07,
    0x00, 0x00, 0x00, 0x01, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b,
];

/// Redirect (type 5), which also quotes the request.
#[rustfmt::skip]
const REDIRECT_V4: [u8; 56] = [
    0x45, 0x00, 0x00, 0x38, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x7e, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x05, 0x01, 0xce, 0x45, 0xcb, 0x00, 0x71, 0xfe, 0x45, 0x00, 0x00, 0x30,
    0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x32, 0x4b, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02,
];

/// Fragmentation needed, MTU 1300, quoting the first fragment of a longer request.
#[rustfmt::skip]
const TOO_BIG_V4: [u8; 56] = [
    0x45, 0x00, 0x00, 0x38, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x7e, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x03, 0x04, 0x08, 0x2e, 0x00, 0x00, 0x05, 0x14, 0x45, 0x00, 0x05, 0x94,
    0x1c, 0x46, 0x20, 0x00, 0x40, 0x01, 0x4c, 0xe7, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02,
];

/// The same about a later fragment, whose data begins as an Echo Request does.
#[rustfmt::skip]
const UNREACHABLE_V4_FRAGMENT: [u8; 56] = [
    0x45, 0x00, 0x00, 0x38, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x7e, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x03, 0x04, 0x08, 0x2e, 0x00, 0x00, 0x05, 0x14, 0x45, 0x00, 0x05, 0x94,
    0x1c, 0x46, 0x20, 0xb9, 0x40, 0x01, 0x4c, 0x2e, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x00, 0x27, 0xc8, 0xbe, 0xef, 0x01, 0x02,
];

/// Port Unreachable about a UDP datagram whose source port, 2097, begins as an Echo Request does.
#[rustfmt::skip]
const UNREACHABLE_V4_UDP: [u8; 57] = [
    0x45, 0x00, 0x00, 0x39, 0x1c, 0x46, 0x40, 0x00, 0x39, 0x01, 0x39, 0x42, 0xc6, 0x33, 0x64, 0x07,
    0xc0, 0x00, 0x02, 0x01, 0x03, 0x03, 0x07, 0xc0, 0x00, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00, 0x1d,
    0x1c, 0x46, 0x40, 0x00, 0x40, 0x11, 0x32, 0x4e, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x08, 0x31, 0x00, 0x35, 0x00, 0x09, 0xab, 0xcd, 0x41,
];

/// Destination Unreachable about an Echo Reply that this machine sent.
#[rustfmt::skip]
const UNREACHABLE_V4_REPLY: [u8; 56] = [
    0x45, 0x00, 0x00, 0x38, 0x1c, 0x46, 0x40, 0x00, 0xfa, 0x01, 0x65, 0x7e, 0xcb, 0x00, 0x71, 0xfe,
    0xc0, 0x00, 0x02, 0x01, 0x03, 0x01, 0x0d, 0x45, 0x00, 0x00, 0x00, 0x00, 0x45, 0x00, 0x00, 0x30,
    0x1c, 0x46, 0x40, 0x00, 0x40, 0x01, 0x32, 0x4b, 0xc0, 0x00, 0x02, 0x01, 0xc6, 0x33, 0x64, 0x07,
    0x00, 0x00, 0x2f, 0xc8, 0xbe, 0xef, 0x01, 0x02,
];

/// Timestamp Reply (type 14).
#[rustfmt::skip]
const TIMESTAMP_V4: [u8; 40] = [
    0x45, 0x00, 0x00, 0x28, 0x1c, 0x46, 0x40, 0x00, 0x39, 0x01, 0x39, 0x53, 0xc6, 0x33, 0x64, 0x07,
    0xc0, 0x00, 0x02, 0x01, 0x0e, 0x00, 0xdb, 0xe0, 0x00, 0x01, 0x00, 0x02, 0x02, 0x03, 0x04, 0x05,
    0x06, 0x07, 0x08, 0x09, 0x00, 0x01, 0x02, 0x03,
];

/// Echo Request, 2001:db8::1 -> 2001:db8::7; without an IP header, as raw ICMPv6 sockets deliver.
#[rustfmt::skip]
const REQUEST_V6: [u8; 28] = [
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Echo Reply.
#[rustfmt::skip]
const REPLY_V6: [u8; 28] = [
    0x81, 0x00, 0x52, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Destination Unreachable (address), quoting the whole request.
#[rustfmt::skip]
const UNREACHABLE_V6: [u8; 76] = [
    0x01, 0x03, 0x07, 0xff, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x3a, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Packet Too Big, MTU 1280, quoting 5 bytes of the request's data.
#[rustfmt::skip]
const TOO_BIG_V6: [u8; 61] = [
    0x02, 0x00, 0x12, 0x50, 0x00, 0x00, 0x05, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x3a, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00,
];

/// Time Exceeded, quoting the request without its data.
#[rustfmt::skip]
const EXCEEDED_V6: [u8; 56] = [
    0x03, 0x00, 0x16, 0x5c, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x3a, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02,
];

/// Parameter Problem (unrecognized next header), pointer 6, quoting the whole request.
#[rustfmt::skip]
const PROBLEM_V6: [u8; 76] = [
    0x04, 0x01, 0x04, 0xfb, 0x00, 0x00, 0x00, 0x06, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x3a, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Destination Unreachable (port) about a UDP datagram whose source port, 32817, begins as an Echo
/// Request does.
#[rustfmt::skip]
const UNREACHABLE_V6_UDP: [u8; 57] = [
    0x01, 0x04, 0x69, 0x0d, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x09, 0x11, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x31, 0x00, 0x35, 0x00, 0x09, 0xab, 0xcd, 0x41,
];

/// Destination Unreachable about a later fragment of a request: no ICMPv6 header after the IPv6
/// one.
#[rustfmt::skip]
const UNREACHABLE_V6_FRAGMENT: [u8; 76] = [
    0x01, 0x00, 0x6a, 0x42, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x1c, 0x2c, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x3a, 0x00, 0x05, 0xa8, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x69, 0x6e, 0x67,
];

/// Packet Too Big, MTU 1300, quoting the first fragment of a longer request, 16 bytes of its data.
#[rustfmt::skip]
const TOO_BIG_V6_FRAGMENT: [u8; 80] = [
    0x02, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x14, 0x60, 0x00, 0x00, 0x00, 0x05, 0xb0, 0x2c, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x3a, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02,
    0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01, 0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88,
];

/// Redirect to fe80::1 (RFC 4861 §4.5): a link-layer address, and then the header of the request
/// with 17 bytes of its data and 7 of padding.
#[rustfmt::skip]
const REDIRECT_V6: [u8; 128] = [
    0x89, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x04, 0x0a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x60, 0x00, 0x00, 0x00, 0x00, 0x19, 0x3a, 0x40,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
    0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x07,
    0x80, 0x00, 0x53, 0xf7, 0xbe, 0xef, 0x01, 0x02, 0x00, 0x00, 0x00, 0x07, 0x00, 0x00, 0x00, 0x01,
    0x1f, 0x2e, 0x3d, 0x4c, 0x5b, 0x6a, 0x79, 0x88, 0x70, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

/// Neighbor Solicitation (type 135).
#[rustfmt::skip]
const SOLICITATION_V6: [u8; 24] = [
    0x87, 0x00, 0xee, 0x81, 0x00, 0x00, 0x00, 0x00, 0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01,
];
