//! The data of a reply: it must be that of the probe, or the reply is damaged.
//!
//! It may end anywhere after the token, because some hosts truncate it, and more may follow it.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, PerFamily, TargetId};
use multiping::plan::{PacketOptions, Plan};
use multiping::prober::{Prober, ReplyKind};
use multiping::token::{Key, Token};
use multiping::wire::Echo;

const ADDRESS: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 1));
const IDENT: u16 = 0x1234;

/// What a reply to a probe with these options is taken for if its data was changed like this.
fn kind(options: &PacketOptions, change: impl FnOnce(&mut Vec<u8>)) -> ReplyKind {
    let (start, mut list) = (Instant::now(), AddressList::default());
    list.push(ADDRESS).unwrap();
    let (addresses, _) = list.dedup().unwrap();
    let (key, idents) = (Key::new(RandomState::new()), PerFamily { v4: IDENT, v6: IDENT });
    let prober = Prober::sweep(&Plan::default(), addresses, key, idents, start).unwrap();
    let mut prober = prober.with_data(&options.data());
    let probe = prober.poll_send(start)[0];
    prober.handle_sent(&[start], true, start);
    let mut data = options.data();
    data[..Token::LEN].copy_from_slice(&probe.token.emit());
    change(&mut data);
    prober.handle_reply(ADDRESS, &Echo { ident: IDENT, seq: 0, data: &data }, start + Duration::from_millis(1))
}

fn is_reply(kind: ReplyKind) -> bool {
    matches!(kind, ReplyKind::Reply { .. })
}

/// Probes of several sizes and patterns.
fn probes() -> Vec<PacketOptions> {
    let sizes: &[usize] = if cfg!(miri) { &[16, 20] } else { &[16, 17, 56, 100, 300] };
    let patterns: [&[u8]; 4] = [&[], &[0], &[0xff], &[1, 2, 3]];
    let options = |&size: &usize| {
        patterns.map(|pattern| {
            let mut options = PacketOptions::default();
            options.set_size(size).unwrap();
            options.set_pattern(pattern.to_vec()).unwrap();
            options
        })
    };
    sizes.iter().flat_map(options).collect()
}

#[test]
fn a_pattern_fills_what_is_after_the_token() {
    for options in probes() {
        let data = options.data();
        assert_eq!((data.len(), &data[..Token::LEN]), (options.size(), &[0; Token::LEN][..]));
        for (index, &byte) in data.iter().enumerate().skip(Token::LEN) {
            let expected = match options.pattern() {
                [] => index as u8,
                pattern => pattern[(index - Token::LEN) % pattern.len()],
            };
            assert_eq!(byte, expected, "{index}: {options:?}");
        }
    }
}

#[test]
fn data_that_comes_back_unchanged_is_a_reply() {
    for options in probes() {
        assert!(is_reply(kind(&options, |_| ())), "{options:?}");
    }
}

#[test]
fn a_changed_byte_anywhere_is_damage_whatever_the_length() {
    for options in probes() {
        for index in 0..options.size() {
            let damage = match index {
                0..Token::LEN => ReplyKind::Damaged,
                byte => ReplyKind::Altered { target: TargetId(0), attempt: 0, byte },
            };
            let flip = |data: &mut Vec<u8>| data[index] ^= 0x10;
            assert_eq!(kind(&options, flip), damage, "{index}: {options:?}");
            let cut_after = |data: &mut Vec<u8>| {
                flip(data);
                data.truncate(index + 1);
            };
            assert_eq!(kind(&options, cut_after), damage, "{index}: {options:?}");
            let grown = |data: &mut Vec<u8>| {
                flip(data);
                data.push(0);
            };
            assert_eq!(kind(&options, grown), damage, "{index}: {options:?}");
        }
    }
}

#[test]
fn data_may_be_cut_short_down_to_the_token() {
    for options in probes() {
        for len in 0..options.size() {
            let kind = kind(&options, |data| data.truncate(len));
            assert_eq!(is_reply(kind), len >= Token::LEN, "{len}: {kind:?}, {options:?}");
        }
    }
}

#[test]
fn data_may_have_more_after_it() {
    for options in probes() {
        for more in [1, 2, 40, 1000] {
            assert!(is_reply(kind(&options, |data| data.extend(vec![0xee; more]))), "{more}: {options:?}");
        }
    }
}

#[test]
fn other_data_of_the_same_length_is_damage() {
    for options in probes() {
        let zero = |data: &mut Vec<u8>| data.fill(0);
        assert_eq!(kind(&options, zero), ReplyKind::Damaged);
        let zero_filler = |data: &mut Vec<u8>| data[Token::LEN..].fill(0);
        let same = options.size() == Token::LEN || options.pattern() == [0];
        assert_eq!(is_reply(kind(&options, zero_filler)), same, "{options:?}");
    }
}
