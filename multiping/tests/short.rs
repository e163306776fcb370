//! Tests of probes with too little data for a token: which replies count, and that no Sequence
//! Number is that of two probes in flight.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::HashSet;
use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Family, PerFamily, TargetId};
use multiping::plan::{IcmpErrors, Plan, ProbeKind, Rate};
use multiping::prober::{Probe, Prober, ReplyKind, Route, Sweep};
use multiping::token::Key;
use multiping::wire::{Echo, IcmpError, Original};

const IDENT: u16 = 0x1234;
const SECOND: Duration = Duration::from_secs(1);

fn address(number: u32) -> Address {
    Address::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

/// A run over so many addresses, with so much data, a timeout of one second and no retries.
fn prober(targets: u32, size: usize, start: Instant) -> Prober<Sweep> {
    let mut addresses = AddressList::default();
    (0..targets).for_each(|number| addresses.push(address(number)).unwrap());
    let (addresses, _) = addresses.dedup().unwrap();
    let plan = Plan::default().with_timeout(SECOND).unwrap().with_rate(Rate::UNLIMITED).with_retries(0);
    let key = Key::new(RandomState::new());
    let prober = Prober::sweep(&plan, addresses, key, PerFamily { v4: IDENT, v6: IDENT }, start).unwrap();
    prober.with_short_data(size).unwrap().with_icmp_errors(IcmpErrors::Report).unwrap()
}

fn send(prober: &mut Prober<Sweep>, at: Instant) -> Vec<Probe> {
    let probes = prober.poll_send(at).to_vec();
    prober.handle_sent(&vec![at; probes.len()], false, at);
    probes
}

#[test]
fn a_reply_counts_by_ident_sequence_number_source_and_all_of_its_data() {
    let start = Instant::now();
    for size in 0..16 {
        let mut prober = prober(2, size, start);
        let [first, second] = send(&mut prober, start)[..] else { panic!("two probes") };
        let at = start + SECOND / 2;
        let token = first.token.emit_seal_first();
        let data = &token[..size];
        let echo = Echo { ident: IDENT, seq: first.seq, data };
        for bit in 0..8 * size {
            let mut data = data.to_vec();
            data[bit / 8] ^= 1 << (bit % 8);
            let kind = prober.handle_reply(first.address, &Echo { data: &data, ..echo }, at);
            assert_eq!(kind, ReplyKind::Damaged, "bit {bit} of {size} bytes");
        }
        for cut in 0..size {
            let kind = prober.handle_reply(first.address, &Echo { data: &data[..cut], ..echo }, at);
            assert_eq!(kind, ReplyKind::Damaged, "{cut} of {size} bytes");
        }
        for echo in [Echo { ident: IDENT ^ 1, ..echo }, Echo { seq: first.seq ^ 0x4000, ..echo }] {
            assert_eq!(prober.handle_reply(first.address, &echo, at), ReplyKind::Stray, "{echo:?}");
        }
        assert_eq!(prober.handle_reply(second.address, &echo, at), ReplyKind::Stray, "it is from elsewhere");
        let (target, attempt, rtt) = (TargetId(0), 0, SECOND / 2);
        assert_eq!(prober.handle_reply(first.address, &echo, at), ReplyKind::Reply { target, attempt, rtt });
        let duplicate = ReplyKind::Duplicate { target, attempt, rtt: None };
        assert_eq!(prober.handle_reply(first.address, &echo, at), duplicate);
        let (token, seq) = (second.token.emit_seal_first(), second.seq);
        let late = Echo { ident: IDENT, seq, data: &token[..size] };
        let kind = prober.handle_reply(second.address, &late, start + 2 * SECOND);
        assert!(matches!(kind, ReplyKind::Late { target: TargetId(1), attempt: 0, .. }), "{kind:?}");
    }
}

#[test]
fn the_data_is_what_nobody_can_guess() {
    let start = Instant::now();
    let mut prober = prober(2, 8, start);
    let [first, second] = send(&mut prober, start)[..] else { panic!("two probes") };
    assert_eq!(first.token.emit_seal_first()[..8], first.token.seal.to_be_bytes());
    assert_ne!(first.token.emit_seal_first()[..8], second.token.emit_seal_first()[..8]);
}

#[test]
fn an_icmp_error_is_about_the_probe_with_its_number() {
    let start = Instant::now();
    let mut prober = prober(1, 4, start);
    let [probe] = send(&mut prober, start)[..] else { panic!("one probe") };
    let error = IcmpError::named(Family::V4, 3, 1).unwrap();
    let token = probe.token.emit_seal_first();
    let quoting = |seq, data| {
        let echo = Echo { ident: IDENT, seq, data };
        Original { destination: probe.address.ip(), kind: ProbeKind::Echo, echo }
    };
    let at = start + SECOND / 2;
    assert_eq!(prober.handle_icmp_error(&error, &quoting(probe.seq ^ 1, &token[..4]), at), None);
    assert_eq!(prober.handle_icmp_error(&error, &quoting(probe.seq, &[0xff; 4]), at), None);
    // Routers pad what they quote (RFC 4884 §4.1).
    let mut padded = token[..4].to_vec();
    padded.resize(100, 0);
    for data in [&[][..], &token[..2], &token[..4], &padded] {
        assert_eq!(prober.handle_icmp_error(&error, &quoting(probe.seq, data), at), Some((TargetId(0), 0)));
    }
}

#[test]
fn no_sequence_number_is_that_of_two_probes_in_flight() {
    let start = Instant::now();
    let mut prober = prober(70_000, 0, start);
    let mut sent = HashSet::new();
    loop {
        let probes = send(&mut prober, start);
        if probes.is_empty() {
            break;
        }
        assert!(probes.iter().all(|probe| sent.insert(probe.seq)), "two probes in flight have one number");
    }
    assert_eq!(sent.len(), 1 << 16);
    // Once they have timed out, the others are sent.
    let later = start + SECOND + Duration::from_millis(1);
    prober.handle_timeouts(later, |_| Some(Route::over(1)), |_| {});
    let mut rest = 0;
    while let count @ 1.. = send(&mut prober, later).len() {
        rest += count;
    }
    assert_eq!(rest, 70_000 - (1 << 16));
}
