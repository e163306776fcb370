//! The 16 bytes at the head of a probe's data that tie a reply to its probe.
//!
//! A token names the target and the attempt in plain, and seals both, with the target's address,
//! under a key that is fresh for every run. A reply cannot be forged without having seen the probe,
//! except by guessing 64 bits. Nothing in it is a time, so it tells an observer nothing about our
//! clock, and nothing an observer alters in it can change an RTT.

use std::hash::{BuildHasher, Hash, RandomState};

use crate::wire::HostTime;

/// The first bytes of a probe's data.
///
/// ```
/// use std::hash::RandomState;
/// use multiping::proto::{Key, Token};
///
/// let token = Key::new(RandomState::new()).token(7, 0, "192.0.2.1");
/// assert_eq!(Token::parse(&token.emit()), Some(token));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// Which target the probe went to.
    pub target: u32,
    /// How many probes that target had been sent before this one.
    pub attempt: u32,
    /// The keyed hash over the two.
    pub seal: u64,
}

impl Token {
    /// The length of a token, in bytes: the least data that a probe can carry.
    pub const LEN: usize = 16;

    /// The token at the head of an Echo Reply's data, if it is long enough for one.
    pub fn parse(data: &[u8]) -> Option<Self> {
        let (bytes, _) = data.split_first_chunk::<{ Self::LEN }>()?;
        let number = u128::from_be_bytes(*bytes);
        Some(Token { target: (number >> 96) as u32, attempt: (number >> 64) as u32, seal: number as u64 })
    }

    /// What a Timestamp request carries in the place of a time: 31 bits of the seal, with the bit
    /// set that says that it is no time (RFC 792 page 17).
    pub fn originate(&self) -> HostTime {
        HostTime(HostTime::NON_STANDARD | self.seal as u32)
    }

    /// The token's bytes, all of them in network order.
    pub fn emit(&self) -> [u8; Self::LEN] {
        (u128::from(self.target) << 96 | u128::from(self.attempt) << 64 | u128::from(self.seal)).to_be_bytes()
    }

    /// The same with the seal first, of which as much is sent as fits into data that is too short
    /// for all of it: the seal is what nobody can guess.
    pub fn emit_seal_first(&self) -> [u8; Self::LEN] {
        (u128::from(self.seal) << 64 | u128::from(self.target) << 32 | u128::from(self.attempt)).to_be_bytes()
    }
}

/// The secret of one run: a keyed hash (the SipHash of the standard library).
///
/// ```
/// use std::hash::RandomState;
/// use multiping::proto::Key;
///
/// // Another run has another key, and takes none of this one's tokens for its own.
/// let [ours, theirs] = [(); 2].map(|()| Key::new(RandomState::new()).token(7, 0, "192.0.2.1"));
/// assert_ne!(ours.seal, theirs.seal);
/// ```
#[derive(Clone)]
pub struct Key(RandomState);

impl Key {
    /// A key made from `secret`, which draws its own randomness from the system when it is made.
    pub fn new(secret: RandomState) -> Self {
        Key(secret)
    }

    /// The token of an attempt at a target, which `address` stands for: whatever else the seal
    /// covers.
    pub fn token(&self, target: u32, attempt: u32, address: impl Hash) -> Token {
        // In one number: the hash takes its time for each.
        let probe = u64::from(target) << 32 | u64::from(attempt);
        Token { target, attempt, seal: self.0.hash_one((probe, address)) }
    }

    /// A number that cannot be computed from `what` without the key.
    pub fn number(&self, what: impl Hash) -> u64 {
        self.0.hash_one(what)
    }
}
