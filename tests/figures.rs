//! What a run with statistics makes of the engine's events.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Addresses, TargetId};
use multiping::prober::{Event, Probe, ReplyKind, SendError, TimedOut, Timeout, Verdicts};
use multiping::stats::{Counter, Percent};
use multiping::tally::Verdict;
use multiping::token::Token;
use xymonping::figures::{Figures, Settings};

const SECOND: Duration = Duration::from_secs(1);

fn address(target: u32) -> Address {
    Address::V4(Ipv4Addr::new(192, 0, 2, target as u8 + 1))
}

/// Figures of five targets, in a run that begins at `start`.
fn figures(start: Instant, all_rtts: bool) -> Figures {
    Figures::new(addresses(), settings(all_rtts), start).unwrap()
}

fn addresses() -> Addresses {
    let mut list = AddressList::default();
    (0..5).for_each(|target| list.push(address(target)).unwrap());
    list.dedup().unwrap().0
}

fn settings(all_rtts: bool) -> Settings {
    Settings {
        count: Some(3),
        period: SECOND,
        timeout: SECOND,
        late: SECOND,
        exact: false,
        values: true,
        all_rtts,
        extra: 0,
    }
}

fn probe(target: u32, attempt: u32) -> Probe {
    Probe {
        target: TargetId(target),
        address: address(target),
        token: Token { target, attempt, seal: 0 },
        seq: 0,
        size: None,
    }
}

fn received(target: u32, kind: ReplyKind) -> Event<'static> {
    Event::Received {
        from: address(target),
        reply: None,
        kind,
        elsewhere: false,
        ttl: Some(60),
        tos: None,
        to: None,
        route: None,
        at: Instant::now(),
    }
}

#[test]
fn every_probe_has_one_end_and_every_target_its_verdict() {
    let start = Instant::now();
    let mut figures = figures(start, false);
    for (target, attempt) in [(0, 0), (0, 1), (1, 0), (2, 0), (3, 0)] {
        figures.record(&Event::Sent { probe: probe(target, attempt), at: start + SECOND * attempt });
    }
    let target = TargetId(0);
    figures.record(&received(0, ReplyKind::Reply { target, attempt: 0, rtt: SECOND / 4 }));
    figures.record(&received(0, ReplyKind::Duplicate { target, attempt: 0, rtt: Some(SECOND / 2) }));
    figures.record(&received(0, ReplyKind::Altered { target, attempt: 1, byte: 20 }));
    let timed_out = |target, attempt, timeout| {
        Event::TimedOut(TimedOut { target: TargetId(target), attempt, sent: start, timeout })
    };
    figures.record(&timed_out(0, 1, Timeout::Counted));
    // This machine may have lost the reply: neither answered nor lost.
    figures.record(&timed_out(1, 0, Timeout::Doubtful));
    // Lost, and then late.
    figures.record(&timed_out(2, 0, Timeout::Counted));
    let (target, rtt, timeout) = (TargetId(2), Some(SECOND * 3 / 2), Some(Timeout::Counted));
    figures.record(&received(2, ReplyKind::Late { target, attempt: 0, rtt, timeout }));
    for attempt in 0..3 {
        let error = SendError::Refused { errno: 101 };
        figures.record(&Event::SendError { probe: probe(4, attempt), error, at: start });
    }
    figures.sum_up();
    let counts = |target| {
        let counts = *figures.stats(TargetId(target)).unwrap().counts();
        let of = [Counter::Answered, Counter::Late, Counter::Lost, Counter::Doubtful, Counter::SendErrors];
        of.map(|counter| counts.get(counter))
    };
    let expected = [[1, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 3]];
    assert_eq!([0, 1, 2, 3, 4].map(counts), expected);
    let verdicts: Vec<_> = figures.verdicts().map(|(.., verdict)| verdict).collect();
    let refused = Verdict::Refused { errno: 101, no_buffers: false, was_sent: false };
    let alive = Verdict::Alive(SECOND / 4);
    assert_eq!(verdicts, [alive, Verdict::Undecided, Verdict::Unreachable, Verdict::Unsettled, refused]);
    assert_eq!(figures.invalid_replies(TargetId(2)), (true, false));
    assert_eq!((figures.answering(), figures.lossy()), (1, 1));
    let totals = figures.totals();
    assert_eq!((totals.counts().sent(), totals.counts().get(Counter::SendErrors), totals.rtts().n()), (3, 3, 2));
    let values: Vec<_> = figures.values(TargetId(0)).unwrap().collect();
    assert_eq!(values, [Some(SECOND / 4), None], "of the probes that were sent");
    // References and strangers are no targets.
    figures.record(&received(0, ReplyKind::Reply { target: TargetId(u32::MAX), attempt: 0, rtt: SECOND }));
    figures.record(&received(0, ReplyKind::Stray));
}

/// A target is refused as long as its last probe was.
#[test]
fn a_refusal_holds_until_a_probe_is_sent() {
    let start = Instant::now();
    let sent = |attempt| Event::Sent { probe: probe(0, attempt), at: start + SECOND * attempt };
    let silent = |attempt, timeout| {
        Event::TimedOut(TimedOut { target: TargetId(0), attempt, sent: start + SECOND * attempt, timeout })
    };
    let refused = |attempt| {
        let error = SendError::Refused { errno: 101 };
        Event::SendError { probe: probe(0, attempt), error, at: start }
    };
    let (rtt, timeout) = (Some(SECOND * 3 / 2), Some(Timeout::Counted));
    let late = || received(0, ReplyKind::Late { target: TargetId(0), attempt: 0, rtt, timeout });
    let as_refused = |was_sent| Verdict::Refused { errno: 101, no_buffers: false, was_sent };
    let lost = |attempt| [sent(attempt), silent(attempt, Timeout::Counted)];
    let doubtful = |attempt| [sent(attempt), silent(attempt, Timeout::Doubtful)];
    let [sent0, lost0] = lost(0);
    let [sent1, lost1] = lost(1);
    let cases = [
        (vec![refused(0), refused(1)], as_refused(false)),
        (vec![refused(0), sent1, lost1], Verdict::Unreachable),
        (vec![sent0, lost0, refused(1)], as_refused(true)),
        (lost(0).into_iter().chain([refused(1), late()]).collect(), as_refused(true)),
        (doubtful(0).into_iter().chain([refused(1)]).collect(), as_refused(true)),
        ([refused(0)].into_iter().chain(lost(1)).chain([refused(2)]).collect(), as_refused(true)),
        ([refused(0)].into_iter().chain(doubtful(1)).collect(), Verdict::Undecided),
    ];
    for (events, verdict) in cases {
        let mut figures = figures(start, false);
        events.iter().for_each(|event| figures.record(event));
        assert_eq!(figures.verdict(TargetId(0)), verdict, "{events:?}");
    }
}

#[test]
fn the_rtts_of_duplicates_count_only_where_asked() {
    for (all_rtts, n) in [(false, 1), (true, 2)] {
        let start = Instant::now();
        let mut figures = figures(start, all_rtts);
        let target = TargetId(0);
        figures.record(&Event::Sent { probe: probe(0, 0), at: start });
        figures.record(&received(0, ReplyKind::Reply { target, attempt: 0, rtt: SECOND / 4 }));
        figures.record(&received(0, ReplyKind::Duplicate { target, attempt: 0, rtt: Some(SECOND / 2) }));
        let rtts = figures.stats(target).unwrap().rtts();
        assert_eq!((rtts.n(), figures.totals().rtts().n()), (n, n), "{all_rtts}");
    }
}

#[test]
fn percentiles_are_of_all_duplicates_however_many_come() {
    for exact in [false, true] {
        let settings = Settings { exact, ..settings(true) };
        let mut figures = Figures::new(addresses(), settings, Instant::now()).unwrap();
        let target = TargetId(0);
        figures.record(&Event::Sent { probe: probe(0, 0), at: figures.start() });
        figures.record(&received(0, ReplyKind::Reply { target, attempt: 0, rtt: SECOND / 100 }));
        for copy in 2..=20 {
            let rtt = Some(SECOND * copy / 100);
            figures.record(&received(0, ReplyKind::Duplicate { target, attempt: 0, rtt }));
        }
        let rtts = figures.stats(target).unwrap().rtts();
        let percentile = |percent| rtts.percentile(Percent::from_thousandths(percent).unwrap()).unwrap();
        let expected = [SECOND / 100, SECOND / 10, SECOND / 5];
        assert_eq!([0, 50_000, 100_000].map(percentile), expected, "{exact}");
    }
}
