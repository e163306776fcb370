//! Tests of ICMP errors: for which probes they count, and what they settle. Random ones are in
//! `world`.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Family, PerFamily, TargetId};
use multiping::plan::{IcmpErrors, Plan, ProbeKind, Rate};
use multiping::prober::{Interface, Probe, Prober, ReplyKind, Route, Sweep, TimedOut, Timeout};
use multiping::tally::Verdict;
use multiping::token::Key;
use multiping::wire::{Detail, Echo, IcmpError, Original};

const IDENT: u16 = 0x1234;
const MILLI: Duration = Duration::from_millis(1);

/// A run over two addresses, both of which have been probed at the start.
struct Run {
    prober: Prober<Sweep>,
    start: Instant,
    probes: Vec<Probe>,
}

impl Run {
    fn new(icmp_errors: IcmpErrors) -> Run {
        let mut addresses = AddressList::default();
        for last in [1, 2] {
            addresses.push(Address::V4(Ipv4Addr::new(192, 0, 2, last))).unwrap();
        }
        let (addresses, _) = addresses.dedup().unwrap();
        let plan = Plan::default().with_timeout(1000 * MILLI).unwrap().with_rate(Rate::UNLIMITED).with_retries(1);
        let (key, start) = (Key::new(RandomState::new()), Instant::now());
        let idents = PerFamily { v4: IDENT, v6: 0 };
        let prober = Prober::sweep(&plan, addresses, key, idents, start).unwrap();
        let mut run = Run { prober: prober.with_icmp_errors(icmp_errors).unwrap(), start, probes: Vec::new() };
        run.send(Duration::ZERO);
        assert_eq!(run.probes.len(), 2);
        run
    }

    /// Sends what is due.
    fn send(&mut self, at: Duration) -> usize {
        let at = self.start + at;
        let probes = self.prober.poll_send(at).to_vec();
        self.prober.handle_sent(&vec![at; probes.len()], true, at);
        self.probes.extend(&probes);
        probes.len()
    }

    /// An error about the probe of this number, of whose data it quotes so many bytes.
    fn error(&mut self, number: usize, msg_type: u8, quoted: usize, at: Duration) -> Option<(TargetId, u32)> {
        self.changed_error(number, msg_type, quoted, at, |_| {})
    }

    /// The same, with something changed in its quote.
    fn changed_error(
        &mut self,
        number: usize,
        msg_type: u8,
        quoted: usize,
        at: Duration,
        change: impl FnOnce(&mut Quote),
    ) -> Option<(TargetId, u32)> {
        let Probe { address, token, seq, .. } = self.probes[number];
        let mut quote = Quote { destination: address.ip(), ident: IDENT, seq, data: token.emit()[..quoted].to_vec() };
        change(&mut quote);
        let Quote { destination, ident, seq, data } = quote;
        let detail = if msg_type == 5 { Detail::Gateway(destination) } else { Detail::None };
        let error = IcmpError::named(Family::V4, msg_type, 1).expect("a type of errors").with_detail(detail);
        let original = Original { destination, kind: ProbeKind::Echo, echo: Echo { ident, seq, data: &data } };
        self.prober.handle_icmp_error(&error, &original, self.start + at)
    }

    fn reply(&mut self, number: usize, at: Duration) -> ReplyKind {
        let Probe { address, token, seq, .. } = self.probes[number];
        let data = token.emit();
        self.prober.handle_reply(address, &Echo { ident: IDENT, seq, data: &data }, self.start + at)
    }

    fn timeouts(&mut self, at: Duration) -> Vec<(u32, Timeout)> {
        let mut ended = Vec::new();
        let on_end = |TimedOut { target, timeout, .. }| ended.push((target.0, timeout));
        self.prober.handle_timeouts(self.start + at, |_| Some(Route::over(1)), on_end);
        ended
    }

    fn verdict(&self, target: u32) -> Verdict {
        self.prober.strategy().verdict(TargetId(target))
    }
}

/// The parts of a quote.
struct Quote {
    destination: IpAddr,
    ident: u16,
    seq: u16,
    data: Vec<u8>,
}

#[test]
fn an_error_counts_by_its_token_or_where_none_is_quoted_by_its_sequence_number() {
    let mut run = Run::new(IcmpErrors::Report);
    for quoted in [0, 1, 15, 16] {
        for number in [0, 1] {
            let about = run.error(number, 3, quoted, 5 * MILLI);
            assert_eq!(about, Some((TargetId(number as u32), 0)), "{quoted} bytes");
        }
    }
    assert_eq!((run.prober.counts().icmp_errors, run.prober.counts().stray), (8, 0));
}

#[test]
fn an_error_with_another_ident_destination_seal_or_sequence_number_does_not_count() {
    let mut run = Run::new(IcmpErrors::Fail);
    let other = IpAddr::from([192, 0, 2, 99]);
    for quoted in [0, 8, 16] {
        assert_eq!(run.changed_error(0, 3, quoted, MILLI, |quote| quote.ident ^= 1), None);
        assert_eq!(run.changed_error(0, 3, quoted, MILLI, |quote| quote.destination = other), None);
    }
    for quoted in [9, 12, 16] {
        let wrong_seal = |quote: &mut Quote| quote.data[8] ^= 1;
        assert_eq!(run.changed_error(0, 3, quoted, MILLI, wrong_seal), None, "{quoted} bytes");
    }
    assert_eq!(run.changed_error(0, 3, 0, MILLI, |quote| quote.seq ^= 1), None, "it names another target's probe");
    assert_eq!(run.changed_error(0, 3, 0, MILLI, |quote| quote.seq = 999), None, "it was not sent yet");
    assert_eq!((run.prober.counts().icmp_errors, run.prober.counts().stray), (0, 11));
    assert_eq!(run.timeouts(MILLI), []);
    assert_eq!(run.verdict(0), Verdict::Unsettled);
}

#[test]
fn an_error_after_the_reply_or_after_the_timeout_does_not_count() {
    let mut run = Run::new(IcmpErrors::Report);
    assert!(matches!(run.reply(0, 2 * MILLI), ReplyKind::Reply { .. }));
    assert_eq!(run.error(0, 3, 16, 3 * MILLI), None);
    assert!(run.error(1, 3, 16, 1000 * MILLI).is_some());
    assert_eq!(run.error(1, 3, 16, 1001 * MILLI), None, "read in time, but it came too late");
    assert_eq!(run.timeouts(1001 * MILLI), [(1, Timeout::Counted)]);
    assert_eq!(run.send(1001 * MILLI), 1);
    assert_eq!(run.error(1, 3, 16, 1002 * MILLI), None, "it is about the attempt before");
    assert_eq!(run.error(2, 3, 16, 1002 * MILLI), Some((TargetId(1), 1)));
}

#[test]
fn errors_that_are_reported_settle_nothing() {
    let mut run = Run::new(IcmpErrors::Report);
    assert!(run.error(0, 3, 16, MILLI).is_some());
    assert_eq!(run.timeouts(MILLI), []);
    assert!(matches!(run.reply(0, 2 * MILLI), ReplyKind::Reply { .. }));
    assert_eq!(run.verdict(0), Verdict::Alive(2 * MILLI));
}

#[test]
fn with_fail_the_first_error_settles_its_target() {
    let mut run = Run::new(IcmpErrors::Fail);
    assert!(run.error(0, 3, 0, MILLI).is_some());
    assert!(run.error(0, 11, 16, MILLI).is_some(), "a second one, before the first had an effect");
    assert_eq!(run.timeouts(MILLI), [(0, Timeout::Failed)]);
    assert_eq!((run.verdict(0), run.verdict(1)), (Verdict::Unreachable, Verdict::Unsettled));
    assert_eq!(run.prober.strategy().silent(), 1);
    assert_eq!(run.error(0, 3, 16, 2 * MILLI), None, "nothing is in flight");
    assert!(matches!(run.reply(0, 2 * MILLI), ReplyKind::Late { .. }));
    // A reply that is read in the same turn comes first.
    assert!(run.error(1, 12, 16, 3 * MILLI).is_some());
    assert!(matches!(run.reply(1, 3 * MILLI), ReplyKind::Reply { .. }));
    assert_eq!(run.timeouts(3 * MILLI), []);
    assert_eq!(run.verdict(1), Verdict::Alive(3 * MILLI));
    assert!(run.prober.is_done());
}

#[test]
fn a_redirect_is_no_failure() {
    let mut run = Run::new(IcmpErrors::Fail);
    assert!(run.error(0, 5, 16, MILLI).is_some());
    assert_eq!(run.timeouts(MILLI), []);
    assert!(matches!(run.reply(0, 2 * MILLI), ReplyKind::Reply { .. }));
}

#[test]
fn an_error_that_this_machine_reports_after_it_lost_the_link_is_excused() {
    let mut run = Run::new(IcmpErrors::Fail);
    let interface = |carrier, carrier_losses| Interface { index: 1, carrier, carrier_losses, ..Interface::default() };
    run.prober.handle_interface(interface(true, 0), run.start);
    assert!(run.error(0, 3, 16, 2 * MILLI).is_some());
    run.prober.handle_interface(interface(false, 1), run.start + MILLI);
    assert_eq!(run.timeouts(2 * MILLI), [(0, Timeout::Refunded)]);
    assert_eq!(run.verdict(0), Verdict::Unsettled);
    assert_eq!(run.prober.counts().link_refunds, 1);
}

#[test]
fn what_is_excused_too_often_is_undecided_whether_it_fails_or_is_silent() {
    let mut run = Run::new(IcmpErrors::Fail);
    run.prober.handle_interface(Interface { index: 1, carrier: false, ..Interface::default() }, run.start);
    let (mut now, mut ended) = (Duration::ZERO, [Vec::new(), Vec::new()]);
    while !run.prober.is_done() {
        let last = run.probes.iter().rposition(|probe| probe.target == TargetId(0)).unwrap();
        run.error(last, 3, 16, now + MILLI);
        now += 1001 * MILLI;
        run.timeouts(now).into_iter().for_each(|(target, timeout)| ended[target as usize].push(timeout));
        run.send(now);
    }
    let (repeated, [failed, silent]) = ([Timeout::Refunded; 5], &ended);
    assert_eq!(failed[..], [&repeated[..], &[Timeout::Doubtful]].concat());
    assert_eq!(silent[..], [&repeated[..], &[Timeout::Counted; 2]].concat());
    assert_eq!((run.verdict(0), run.verdict(1)), (Verdict::Undecided, Verdict::Undecided));
    assert_eq!(run.prober.strategy().silent(), 2);
}

#[test]
fn errors_that_are_ignored_do_not_count() {
    let mut run = Run::new(IcmpErrors::Ignore);
    assert_eq!(run.error(0, 3, 16, MILLI), None);
    assert_eq!(run.error(0, 3, 0, MILLI), None);
    assert_eq!((run.prober.counts().icmp_errors, run.prober.counts().stray), (0, 2));
}
