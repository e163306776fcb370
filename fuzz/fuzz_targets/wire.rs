//! No bytes do harm to `wire`, and what it reads it would write so that it reads the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use multiping::address::Family;
use multiping::wire::{Echo, HEADER, Malformed, Message, checksum, ipv4_payload};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = ipv4_payload(bytes) {
        assert!(bytes.as_ptr_range().start <= message.as_ptr() && message.len() + 20 <= bytes.len());
        comes_back(Family::V4, message);
    }
    assert_eq!(checksum(bytes), rfc1071(bytes));
    comes_back(Family::V4, bytes);
    comes_back(Family::V6, bytes);
    comes_back(Family::V4, &with_checksum(bytes));

    if let Some((fields, data)) = bytes.split_first_chunk::<4>() {
        let [a, b, c, d] = *fields;
        let echo = Echo { ident: u16::from_be_bytes([a, b]), seq: u16::from_be_bytes([c, d]), data };
        for family in Family::BOTH {
            for message in [Message::Request(echo), Message::Reply(echo)] {
                is_read_as_written(family, message);
            }
        }
    }
});

/// Whatever is read from `bytes` is written, and read again as the same.
fn comes_back(family: Family, bytes: &[u8]) {
    if let Ok(message) = Message::parse(family, bytes) {
        let mut out = vec![0xee; bytes.len() + 64];
        let len = message.emit(family, &mut out).expect("there is room");
        assert_eq!(Message::parse(family, &out[..len]), Ok(message));
    }
}

/// An echo is written into just the room that it needs, and anything cut or altered is noticed or
/// is another message.
fn is_read_as_written(family: Family, message: Message) {
    let (Message::Request(echo) | Message::Reply(echo)) = message else { unreachable!() };
    let len = HEADER + echo.data.len();
    let mut out = vec![0xee; len];
    assert_eq!(message.emit(family, &mut out[..len - 1]), None);
    assert_eq!(message.emit(family, &mut out), Some(len));
    assert_eq!(Message::parse(family, &out), Ok(message));
    assert_eq!(Message::parse(family, &out[..HEADER - 1]), Err(Malformed));
    // One bit, chosen by the input. The kernel checks the checksum of ICMPv6.
    let at = usize::from(echo.ident) % len;
    out[at] ^= 1 << (echo.seq % 8);
    match family {
        Family::V4 => assert_eq!(Message::parse(family, &out), Err(Malformed)),
        Family::V6 if [2, 3].contains(&at) => assert_eq!(Message::parse(family, &out), Ok(message)),
        Family::V6 => assert_ne!(Message::parse(family, &out), Ok(message)),
    }
}

/// `bytes` with the checksum of ICMPv4 put right, which no mutation would find.
fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if bytes.len() >= 4 {
        bytes[2..4].fill(0);
        let sum = rfc1071(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(checksum(&bytes), 0);
    }
    bytes
}

/// The checksum as the RFC describes it, 16 bits at a time.
fn rfc1071(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u16, |sum, word| {
        let (sum, carry) = sum.overflowing_add(u16::from_be_bytes([word[0], *word.get(1).unwrap_or(&0)]));
        sum + u16::from(carry)
    });
    !sum
}
