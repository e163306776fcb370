//! The programs run in the kernel, on a pair of local sockets, which need no privilege.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::net::IpAddr;

use socket2::{Domain, Type};

use super::*;
use crate::wire::{Detail, Echo, HostTime, IcmpError, Message, Original, QueryBody};

const IDENT: u16 = 0xbeef;

/// Whether the kernel passes these bytes through `filter`.
fn passes(filter: &[SockFilter], bytes: &[u8]) -> bool {
    let (sender, receiver) = Socket::pair(Domain::UNIX, Type::DGRAM.nonblocking(), None).unwrap();
    receiver.attach_filter(filter).unwrap();
    sender.send(bytes).unwrap();
    let mut slots = [std::mem::MaybeUninit::uninit(); 2048];
    match receiver.recv(&mut slots) {
        Ok(length) => length == bytes.len(),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
        Err(error) => panic!("{error}"),
    }
}

fn echoes(errors: IcmpErrors) -> Accepted {
    Accepted { kind: ProbeKind::Echo, errors }
}

fn echo(ident: u16) -> Echo<'static> {
    Echo { ident, seq: 7, data: b"0123456789abcdef" }
}

/// An error about a request with `ident`.
fn error(family: Family, msg_type: u8, ident: u16) -> Vec<u8> {
    let [v4, v6] = ["192.0.2.1", "2001:db8::1"].map(|address| address.parse::<IpAddr>().unwrap());
    let (destination, detail) = match (family, msg_type) {
        (Family::V4, 5) => (v4, Detail::Gateway(v4)),
        (Family::V4, 12) => (v4, Detail::Pointer(20)),
        (Family::V4, _) => (v4, Detail::None),
        (Family::V6, 2) => (v6, Detail::Mtu(1280)),
        (Family::V6, 4) => (v6, Detail::Pointer(6)),
        (Family::V6, 137) => (v6, Detail::Gateway(v6)),
        (Family::V6, _) => (v6, Detail::None),
    };
    let error = IcmpError { family, msg_type, code: 0, detail };
    emitted(
        family,
        &Message::Error { error, original: Original { destination, kind: ProbeKind::Echo, echo: echo(ident) } },
    )
}

fn emitted(family: Family, message: &Message) -> Vec<u8> {
    let mut bytes = vec![0; 256];
    let length = message.emit(family, &mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// As a raw IPv4 socket gets it, behind a header with so many words of options.
fn with_header(message: &[u8], options: u8) -> Vec<u8> {
    let length = 20 + 4 * usize::from(options);
    let mut packet = vec![0; length];
    packet[0] = 0x45 + options;
    [&packet, message].concat()
}

#[test]
fn replies_pass_by_their_identifier() {
    for (ident, expected) in [(IDENT, true), (IDENT + 1, false)] {
        let reply = |family| emitted(family, &Message::Reply(echo(ident)));
        for options in [0, 3, 10] {
            let packet = with_header(&reply(Family::V4), options);
            assert_eq!(passes(&replies_v4(IDENT), &packet), expected);
            assert_eq!(passes(&replies_and_errors_v4(IDENT, 0), &packet), expected);
        }
        assert_eq!(passes(&replies_v6(IDENT), &reply(Family::V6)), expected);
        assert_eq!(passes(&replies_and_errors_v6(IDENT), &reply(Family::V6)), expected);
    }
}

#[test]
fn errors_pass_by_the_identifier_that_they_quote() {
    for (ident, expected) in [(IDENT, true), (IDENT + 1, false)] {
        for &msg_type in wire::ERRORS.v4 {
            let mut message = error(Family::V4, msg_type, ident);
            for (options, quoted_options) in [(0, 0), (2, 0), (0, 1), (10, 10)] {
                let mut message = message.clone();
                message[8] = 0x45 + quoted_options;
                message.splice(28..28, vec![0xee; 4 * usize::from(quoted_options)]);
                let packet = with_header(&message, options);
                assert_eq!(passes(&replies_and_errors_v4(IDENT, 0), &packet), expected, "type {msg_type}");
            }
            message.truncate(8 + 20 + 5);
            assert!(!passes(&replies_and_errors_v4(IDENT, 0), &with_header(&message, 0)), "half an ident");
        }
        for &msg_type in wire::ERRORS.v6 {
            let message = error(Family::V6, msg_type, ident);
            assert_eq!(passes(&replies_and_errors_v6(IDENT), &message), expected, "type {msg_type}");
            let quote = if msg_type == 137 { 48 } else { 8 };
            let mut fragment = message.clone();
            fragment[quote + 6] = 44;
            fragment.splice(quote + 40..quote + 40, [58, 0, 0, 1, 0, 0, 0, 9]);
            assert_eq!(passes(&replies_and_errors_v6(IDENT), &fragment), expected, "a fragment, type {msg_type}");
            let mut other = message;
            other[quote + 6] = 17;
            assert!(!passes(&replies_and_errors_v6(IDENT), &other), "UDP");
        }
        let mut redirect = error(Family::V6, 137, ident);
        redirect.splice(40..40, [2, 1, 2, 0, 0, 0, 0, 1]);
        assert_eq!(passes(&replies_and_errors_v6(IDENT), &redirect), expected, "behind a link-layer address");
        redirect[40] = 3;
        assert!(!passes(&replies_and_errors_v6(IDENT), &redirect), "behind another option");
    }
}

#[test]
fn the_types_that_pass() {
    let types_v4 = |errors| (0..32).filter(|bit| dropped_v4(echoes(errors)) & 1 << bit == 0).collect::<Vec<u32>>();
    let types_v6 = |errors| {
        (0..=255).filter(|bit| dropped_v6(echoes(errors))[bit / 32] & 1 << (bit % 32) == 0).collect::<Vec<usize>>()
    };
    assert_eq!((types_v4(IcmpErrors::Ignore), types_v6(IcmpErrors::Ignore)), (vec![0], vec![129]));
    for errors in [IcmpErrors::Report, IcmpErrors::Fail] {
        assert_eq!(types_v4(errors), [0, 3, 5, 11, 12]);
        assert_eq!(types_v6(errors), [1, 2, 3, 4, 129, 137]);
    }
    assert_eq!((types_v4(IcmpErrors::All).len(), types_v6(IcmpErrors::All).len()), (32, 256));
}

#[test]
fn replies_to_other_queries_pass_in_the_place_of_echo_replies() {
    let accepted = |errors| Accepted { kind: ProbeKind::Timestamp, errors };
    let types = |errors| (0..32).filter(|bit| dropped_v4(accepted(errors)) & 1 << bit == 0).collect::<Vec<u32>>();
    assert_eq!((types(IcmpErrors::Ignore), types(IcmpErrors::Report)), (vec![14], vec![3, 5, 11, 12, 14]));
    for (ident, expected) in [(IDENT, true), (IDENT + 1, false)] {
        let time = HostTime(1);
        let body = QueryBody::Timestamp { originate: time, receive: time, transmit: time };
        let packet = with_header(&emitted(Family::V4, &Message::QueryReply(Query { ident, seq: 7, body })), 3);
        assert_eq!(passes(&replies_v4(IDENT), &packet), expected);
        assert_eq!(passes(&replies_and_errors_v4(IDENT, 14), &packet), expected);
        let error = with_header(&error(Family::V4, 3, ident), 0);
        assert_eq!(passes(&replies_and_errors_v4(IDENT, 14), &error), expected);
    }
}
