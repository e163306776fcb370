//! Tests of probes that are no Echo Requests: which replies count, and that no Sequence Number is
//! that of two probes in flight.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Family, PerFamily, TargetId};
use multiping::plan::{IcmpErrors, Plan, ProbeKind, Rate};
use multiping::prober::{Probe, Prober, ReplyKind, Route, Sweep};
use multiping::token::Key;
use multiping::wire::{Echo, HostTime, IcmpError, Original, Query, QueryBody};

const IDENT: u16 = 0x1234;
const SECOND: Duration = Duration::from_secs(1);

fn address(number: u32) -> Address {
    Address::V4(Ipv4Addr::from(0x0a00_0000 + number))
}

/// A run of Timestamp requests over so many addresses, with a timeout of one second and no retries.
fn prober(targets: u32, check_source: bool, start: Instant) -> Prober<Sweep> {
    prober_of(ProbeKind::Timestamp, targets, check_source, start)
}

fn prober_of(kind: ProbeKind, targets: u32, check_source: bool, start: Instant) -> Prober<Sweep> {
    let mut addresses = AddressList::default();
    (0..targets).for_each(|number| addresses.push(address(number)).unwrap());
    let (addresses, _) = addresses.dedup().unwrap();
    let plan = Plan::default().with_timeout(SECOND).unwrap().with_rate(Rate::UNLIMITED).with_retries(0);
    let plan = plan.with_check_source(check_source);
    let key = Key::new(RandomState::new());
    let prober = Prober::sweep(&plan, addresses, key, PerFamily { v4: IDENT, v6: IDENT }, start).unwrap();
    prober.with_kind(kind).unwrap().with_icmp_errors(IcmpErrors::Fail).unwrap()
}

fn send(prober: &mut Prober<Sweep>, at: Instant) -> Vec<Probe> {
    let probes = prober.poll_send(at).to_vec();
    prober.handle_sent(&vec![at; probes.len()], false, at);
    probes
}

fn reply(probe: &Probe) -> Query {
    let originate = probe.token.originate();
    let body = QueryBody::Timestamp { originate, receive: HostTime(7), transmit: HostTime(u32::MAX) };
    Query { ident: IDENT, seq: probe.seq, body }
}

#[test]
fn a_reply_counts_by_its_sequence_number_and_what_it_returns() {
    let start = Instant::now();
    let mut prober = prober(2, false, start);
    let [first, second] = send(&mut prober, start)[..] else { panic!("two probes") };
    let at = start + SECOND / 2;
    let with = |originate| {
        let body = QueryBody::Timestamp { originate, receive: HostTime(7), transmit: HostTime(8) };
        Query { body, ..reply(&first) }
    };
    let HostTime(originate) = first.token.originate();
    assert_ne!(originate & HostTime::NON_STANDARD, 0, "it is no time");
    for bit in 0..32 {
        let query = with(HostTime(originate ^ 1 << bit));
        assert_eq!(prober.handle_query_reply(first.address, &query, at), ReplyKind::Damaged, "bit {bit}");
    }
    for query in [Query { ident: IDENT ^ 1, ..reply(&first) }, Query { seq: first.seq ^ 0x4000, ..reply(&first) }] {
        assert_eq!(prober.handle_query_reply(first.address, &query, at), ReplyKind::Stray, "{query:?}");
    }
    // That of another probe proves nothing of this one.
    let crossed = Query { seq: second.seq, ..reply(&first) };
    assert_eq!(prober.handle_query_reply(first.address, &crossed, at), ReplyKind::Damaged);
    let echo = Echo { ident: IDENT, seq: first.seq, data: &first.token.emit() };
    assert_eq!(prober.handle_reply(first.address, &echo, at), ReplyKind::Stray);
    // Whatever times the host tells, from wherever it answers, the RTT is what the clock says.
    let (target, attempt, rtt) = (TargetId(0), 0, SECOND / 2);
    let kind = prober.handle_query_reply(address(99), &reply(&first), at);
    assert_eq!(kind, ReplyKind::Reply { target, attempt, rtt });
    let kind = prober.handle_query_reply(first.address, &reply(&first), at);
    assert_eq!(kind, ReplyKind::Duplicate { target, attempt, rtt: None });
    let kind = prober.handle_query_reply(second.address, &reply(&second), start + 2 * SECOND);
    assert!(matches!(kind, ReplyKind::Late { target: TargetId(1), attempt: 0, .. }), "{kind:?}");
}

#[test]
fn with_the_source_checked_it_must_come_from_the_target() {
    let start = Instant::now();
    let mut prober = prober(1, true, start);
    let [probe] = send(&mut prober, start)[..] else { panic!("one probe") };
    assert_eq!(prober.handle_query_reply(address(99), &reply(&probe), start), ReplyKind::Stray);
    let kind = prober.handle_query_reply(probe.address, &reply(&probe), start);
    assert!(matches!(kind, ReplyKind::Reply { .. }), "{kind:?}");
}

#[test]
fn an_error_counts_by_what_it_quotes() {
    let start = Instant::now();
    let mut prober = prober(1, false, start);
    let [probe] = send(&mut prober, start)[..] else { panic!("one probe") };
    let error = IcmpError::named(Family::V4, 3, 1).unwrap();
    let data = [probe.token.originate().0.to_be_bytes(), [0; 4], [0; 4]].concat();
    let original = |kind, data| Original {
        destination: probe.address.ip(),
        kind,
        echo: Echo { ident: IDENT, seq: probe.seq, data },
    };
    let token = probe.token.emit();
    let mut other = data.clone();
    other[3] ^= 1;
    assert_eq!(prober.handle_icmp_error(&error, &original(ProbeKind::Timestamp, &other), start), None);
    assert_eq!(prober.handle_icmp_error(&error, &original(ProbeKind::Echo, &token), start), None);
    for length in [0, 3, 4, 12] {
        let original = original(ProbeKind::Timestamp, &data[..length]);
        assert_eq!(prober.handle_icmp_error(&error, &original, start), Some((TargetId(0), 0)), "{length} bytes");
    }
}

/// More targets than there are Sequence Numbers, as fast as possible: those whose number is in use
/// wait, and not in a loop.
#[test]
fn no_sequence_number_is_that_of_two_probes_in_flight() {
    const SEQS: usize = 1 << 16;
    let start = Instant::now();
    let mut prober = prober(SEQS as u32 + 20, false, start);
    let mut probes = Vec::new();
    loop {
        let sent = send(&mut prober, start);
        if sent.is_empty() {
            break;
        }
        probes.extend(sent);
    }
    assert_eq!(probes.len(), SEQS);
    let mut seqs: Vec<_> = probes.iter().map(|probe| probe.seq).collect();
    seqs.sort_unstable();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "each is used once");
    assert_eq!(prober.poll_wakeup(start), Some(start + SECOND));
    // A reply to the oldest probe frees its number; one to the next but one does not yet.
    for answered in [0, 2] {
        prober.handle_query_reply(probes[answered].address, &reply(&probes[answered]), start);
    }
    let [next] = send(&mut prober, start)[..] else { panic!("one number is free") };
    assert_eq!((next.seq, next.address), (probes[0].seq, address(SEQS as u32)));
    assert!(send(&mut prober, start).is_empty());
    // What comes for the one that had the number before is not taken for this one's.
    let copy = prober.handle_query_reply(probes[0].address, &reply(&probes[0]), start);
    assert_eq!(copy, ReplyKind::Stray);
    let end = start + SECOND;
    prober.handle_timeouts(end, |_| Some(Route::over(1)), |_| {});
    let rest: Vec<_> = std::iter::from_fn(|| Some(send(&mut prober, end)).filter(|sent| !sent.is_empty())).collect();
    assert_eq!(rest.concat().len(), 19);
}

#[test]
fn nobody_can_guess_the_first_sequence_number() {
    let start = Instant::now();
    let first = || send(&mut prober(1, false, start), start)[0].seq;
    let seqs: Vec<u16> = (0..8).map(|_| first()).collect();
    assert!(seqs.iter().any(|&seq| seq != seqs[0]), "{seqs:?}");
}

/// A mask proves nothing, so all else must.
#[test]
fn a_mask_counts_by_ident_sequence_number_and_source() {
    let start = Instant::now();
    let mut prober = prober_of(ProbeKind::Mask, 2, false, start);
    let [first, second] = send(&mut prober, start)[..] else { panic!("two probes") };
    let reply =
        |probe: &Probe| Query { ident: IDENT, seq: probe.seq, body: QueryBody::Mask(Ipv4Addr::new(255, 255, 255, 0)) };
    for query in [Query { ident: IDENT ^ 1, ..reply(&first) }, Query { seq: first.seq ^ 0x4000, ..reply(&first) }] {
        assert_eq!(prober.handle_query_reply(first.address, &query, start), ReplyKind::Stray, "{query:?}");
    }
    for (address, of) in [(address(99), &first), (second.address, &first), (first.address, &second)] {
        assert_eq!(prober.handle_query_reply(address, &reply(of), start), ReplyKind::Stray, "{address}");
    }
    let kind = prober.handle_query_reply(first.address, &reply(&first), start);
    assert!(matches!(kind, ReplyKind::Reply { target: TargetId(0), attempt: 0, .. }), "{kind:?}");
    let error = IcmpError::named(Family::V4, 3, 1).unwrap();
    let echo = Echo { ident: IDENT, seq: second.seq, data: &[0; 4] };
    let original = Original { destination: second.address.ip(), kind: ProbeKind::Mask, echo };
    assert_eq!(prober.handle_icmp_error(&error, &original, start), Some((TargetId(1), 0)));
}
