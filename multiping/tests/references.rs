//! References: while none of them replies, the silence of a target proves nothing.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, PerFamily};
use multiping::plan::{Plan, Rate};
use multiping::prober::{Diagnosis, Prober, Route, Sweep};
use multiping::tally::{Tally, Verdict};
use multiping::token::Key;
use multiping::wire::Echo;

const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };
const TARGET: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 1));
const REFERENCE: Address = Address::V4(Ipv4Addr::new(192, 0, 2, 254));
const SECOND: Duration = Duration::from_secs(1);

/// Simulates a run over one silent target, with one attempt of 5 s. The reference replies at once
/// to what is sent at times for which `answers` is true.
fn play(answers: impl Fn(Duration) -> bool) -> (Prober<Sweep>, Duration) {
    let start = Instant::now(); // all other times are made up
    let mut list = AddressList::default();
    list.push(TARGET).unwrap();
    let plan = Plan::default().with_timeout(5 * SECOND).unwrap().with_retries(0).with_rate(Rate::UNLIMITED);
    let (addresses, _) = list.dedup().unwrap();
    let mut prober = Prober::sweep(&plan, addresses, Key::new(RandomState::new()), IDENTS, start).unwrap();
    prober.set_references([REFERENCE], plan.timeout(), start);
    let mut now = start;
    while !prober.is_done() {
        while let Some(&probe) = prober.poll_send(now).first() {
            prober.handle_sent(&[now], true, now);
            if probe.address == REFERENCE && answers(now - start) {
                let data = probe.token.emit();
                prober.handle_reply(REFERENCE, &Echo { ident: IDENTS.v4, seq: probe.seq, data: &data }, now);
            }
        }
        now = prober.poll_wakeup(now).unwrap();
        prober.handle_timeouts(now, |_| Some(Route::over(1)), |_| {});
    }
    (prober, now - start)
}

fn verdict(prober: &Prober<Sweep>) -> Verdict {
    let (target, _) = prober.strategy().addresses().iter().next().unwrap();
    prober.strategy().verdict(target)
}

#[test]
fn a_silent_target_beside_an_answering_reference_is_unreachable() {
    let (prober, end) = play(|_| true);
    assert_eq!((verdict(&prober), end), (Verdict::Unreachable, 5 * SECOND));
    assert_eq!(Diagnosis::new(&prober, |_| true, true).unreachable, 1);
    assert_eq!(prober.counts().sent, 1 + 5, "the reference once a second");
}

#[test]
fn while_the_reference_is_silent_attempts_are_repeated() {
    let (prober, end) = play(|sent| sent >= 12 * SECOND);
    assert_eq!((verdict(&prober), end), (Verdict::Unreachable, 15 * SECOND));
    assert_eq!(prober.counts().reference_refunds, 2);
}

#[test]
fn a_reference_that_answered_before_the_attempt_proves_nothing_of_it() {
    // It answers what is sent with the first attempt only: that one counts.
    let (prober, end) = play(|sent| sent.is_zero());
    assert_eq!((verdict(&prober), end), (Verdict::Unreachable, 5 * SECOND));
    // It falls silent before that.
    let (prober, _) = play(|_| false);
    assert_eq!(verdict(&prober), Verdict::Undecided);
    assert_eq!(prober.counts().reference_refunds, u64::from(Tally::MAX_REFUNDS));
}

#[test]
fn where_no_reference_ever_answered_no_target_is_called_unreachable() {
    let (prober, _) = play(|_| false);
    let diagnosis = Diagnosis::new(&prober, |_| true, true);
    assert!(diagnosis.no_reference);
    assert_eq!((diagnosis.unreachable, diagnosis.undecided), (0, 1));
}
