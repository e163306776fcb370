//! Sixteen bytes are a token and come back as they were; only the key's own are the key's.

#![no_main]

use std::hash::RandomState;
use std::net::{Ipv4Addr, Ipv6Addr};

use libfuzzer_sys::fuzz_target;
use multiping::address::Address;
use multiping::token::{Key, Token};

fuzz_target!(|data: &[u8]| {
    let Some(token) = Token::parse(data) else {
        assert!(data.len() < Token::LEN);
        return;
    };
    assert_eq!(token.emit(), data[..Token::LEN]);
    assert_eq!(Token::parse(&token.emit()), Some(token));

    // A key for each input: the fuzzer sees what is compared, and would soon have learned the seals
    // of a lasting one.
    let key = Key::new(RandomState::new());
    // The address, if any follows; and another one.
    let address = match data[Token::LEN..].first_chunk::<16>() {
        Some(bytes) => Address::V6(Ipv6Addr::from(*bytes), token.attempt),
        None => Address::V4(Ipv4Addr::from_bits(token.target)),
    };
    let other = Address::V4(Ipv4Addr::from_bits(!token.target));
    let ours = key.token(token.target, token.attempt, address);
    assert_eq!((ours.target, ours.attempt), (token.target, token.attempt));
    assert_eq!(ours, key.token(token.target, token.attempt, address));
    // By chance once in 2^64 inputs.
    assert_ne!(ours, token);
    assert_ne!(ours, key.token(token.target, token.attempt, other));
    let bit = token.seal % 128;
    let flipped = Token::parse(&(u128::from_be_bytes(ours.emit()) ^ 1 << bit).to_be_bytes()).expect("16 bytes");
    assert_ne!(flipped, key.token(flipped.target, flipped.attempt, address));
});
