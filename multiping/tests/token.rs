//! Tests of `token`: 16 bytes identify a probe, and cannot be forged without the key.
//!
//! The key is random, as it is in the program, so nothing here depends on its value: two seals that
//! must differ are equal by chance once in 2^64 trials.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::HashSet;
use std::hash::RandomState;
use std::net::{Ipv4Addr, Ipv6Addr};

use multiping::address::Address;
use multiping::token::{Key, Token};

const ADDRESS: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 1));

fn key() -> Key {
    Key::new(RandomState::new())
}

#[test]
fn the_layout_is_target_attempt_seal_in_network_order() {
    let token = Token { target: 0x0102_0304, attempt: 0x0506_0708, seal: 0x090a_0b0c_0d0e_0f10 };
    let bytes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
    assert_eq!(token.emit(), bytes);
    assert_eq!(Token::parse(&bytes), Some(token));
    assert_eq!(Token::LEN, bytes.len());
}

#[test]
fn what_is_emitted_is_parsed_back() {
    for target in [0, 1, 255, 256, 65_536, u32::MAX - 1, u32::MAX] {
        for attempt in [0, 1, 2, 255, 515, u32::MAX] {
            for seal in [0, 1, 1 << 32, 1 << 63, u64::MAX, 0x0123_4567_89ab_cdef] {
                let token = Token { target, attempt, seal };
                assert_eq!(Token::parse(&token.emit()), Some(token));
            }
        }
    }
}

#[test]
fn any_16_bytes_are_a_token_and_are_emitted_unchanged() {
    for bit in 0..128 {
        for bytes in [(1u128 << bit).to_be_bytes(), (!(1u128 << bit)).to_be_bytes()] {
            assert_eq!(Token::parse(&bytes).map(|token| token.emit()), Some(bytes));
        }
    }
}

#[test]
fn bytes_after_a_token_do_not_matter() {
    let token = key().token(7, 2, ADDRESS);
    let mut data = token.emit().to_vec();
    for more in 0..100 {
        assert_eq!(Token::parse(&data), Some(token), "{more} bytes after it");
        data.push(more);
    }
}

#[test]
fn data_shorter_than_a_token_has_none() {
    let bytes = key().token(7, 2, ADDRESS).emit();
    for len in 0..Token::LEN {
        assert_eq!(Token::parse(&bytes[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_key_makes_the_same_token_every_time() {
    let key = key();
    assert_eq!(key.token(7, 2, ADDRESS), key.token(7, 2, ADDRESS));
    assert_eq!((key.token(7, 2, ADDRESS).target, key.token(7, 2, ADDRESS).attempt), (7, 2));
}

#[test]
fn a_token_with_any_bit_flipped_is_invalid() {
    let key = key();
    for (target, attempt) in [(0, 0), (7, 2), (1_000_000, 514), (u32::MAX, u32::MAX)] {
        let bytes = key.token(target, attempt, ADDRESS).emit();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 0x80 >> (bit % 8);
            let token = Token::parse(&flipped).unwrap();
            assert_ne!(token, key.token(token.target, token.attempt, ADDRESS), "bit {bit}");
            assert_ne!(token, key.token(target, attempt, ADDRESS), "bit {bit}");
        }
    }
}

#[test]
fn seals_differ_by_target_and_by_attempt() {
    let key = key();
    let mut seals = HashSet::new();
    // Miri takes a thousand times as long.
    let count = if cfg!(miri) { 10 } else { 300 };
    for target in 0..count {
        for attempt in 0..count {
            assert!(seals.insert(key.token(target, attempt, ADDRESS).seal), "target {target}, attempt {attempt}");
        }
    }
}

#[test]
fn seals_differ_by_address_family_and_zone() {
    let key = key();
    let local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    let addresses = [
        ADDRESS,
        Address::V4(Ipv4Addr::new(192, 0, 2, 2)),
        Address::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped(), 0),
        Address::V6(local, 0),
        Address::V6(local, 1),
        Address::V6(local, 2),
    ];
    let seals: HashSet<u64> = addresses.iter().map(|address| key.token(7, 2, address).seal).collect();
    assert_eq!(seals.len(), addresses.len());
}

#[test]
fn seals_differ_by_key() {
    // Runs at the same time, as xymonnet starts them, must not accept each other's replies.
    let seals: HashSet<u64> = (0..1000).map(|_| key().token(7, 2, ADDRESS).seal).collect();
    assert_eq!(seals.len(), 1000);
}
