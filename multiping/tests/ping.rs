//! The promises of `ping`, `Options::start` and `names::ping`, each in a network of its own.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "pinger/quiet.rs"]
mod quiet;

use std::future::Future;
use std::net::Ipv6Addr;
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use multiping::{Address, Error, Families, Kind, Options, Rate, Results, Sockets, Verdict, names, ping};

use quiet::{ROUTER, alive, play, play_with_router, silent};

const MILLI: Duration = Duration::from_millis(1);
const LONG: Duration = Duration::from_secs(100);

/// A word for each verdict.
fn words(results: &Results) -> Vec<&'static str> {
    let word = |verdict| match verdict {
        Verdict::Alive { .. } => "alive",
        Verdict::Silent => "silent",
        Verdict::Unsent(_) => "unsent",
        Verdict::Undecided => "undecided",
        Verdict::Unresolved(_) => "unresolved",
        Verdict::Unsettled => "unsettled",
        _ => "other",
    };
    results.iter().map(|outcome| word(outcome.verdict)).collect()
}

fn quick() -> Options {
    Options::new().rate(Rate::UNLIMITED).timeout(200 * MILLI).retries(1)
}

#[test]
fn every_target_is_accounted_for_in_the_order_given() {
    play("every_target_is_accounted_for_in_the_order_given", || {
        let v6: Address = Ipv6Addr::LOCALHOST.into();
        let targets = [alive(0), silent(0), v6, alive(1), alive(0), silent(0)];
        let results = ping(targets, &quick()).unwrap();
        assert_eq!(words(&results), ["alive", "silent", "alive", "alive", "alive", "silent"]);
        assert_eq!(results.iter().map(|outcome| outcome.address).collect::<Vec<_>>(), targets);
        assert_eq!((results.len(), results.iter().len(), results.alive().count()), (6, 6, 4));
        assert_eq!(results.silent().collect::<Vec<_>>(), [silent(0), silent(0)]);
        // Equal addresses are probed once.
        assert_eq!((results.counts().sent, results.counts().replies), (3 + 2, 3));
        assert!(results.is_complete());
    });
}

#[test]
fn round_trip_times_are_those_of_all_answers() {
    play("round_trip_times_are_those_of_all_answers", || {
        let results = ping([alive(0)], &quick().timeout(LONG).responses(5)).unwrap();
        let (address, rtt) = results.alive().next().unwrap();
        assert_eq!((address, rtt.replies), (alive(0), 5));
        assert!(rtt.min <= rtt.mean && rtt.mean <= rtt.max && rtt.max < LONG);
        let single = ping([alive(0)], &quick().timeout(LONG)).unwrap();
        let (_, rtt) = single.alive().next().unwrap();
        assert_eq!((rtt.replies, rtt.min, rtt.max), (1, rtt.mean, rtt.mean));
    });
}

#[test]
fn what_cannot_be_sent_is_not_silent() {
    play("what_cannot_be_sent_is_not_silent", || {
        let results = ping([[127, 0, 0, 1], [203, 0, 113, 1]], &quick().timeout(10 * MILLI)).unwrap();
        let verdict = results.iter().nth(1).unwrap().verdict;
        assert!(matches!(&verdict, Verdict::Unsent(error) if error.raw_os_error() == Some(101)), "{verdict:?}");
    });
}

#[test]
fn a_silent_target_is_unreachable_where_a_router_says_why() {
    play_with_router("a_silent_target_is_unreachable_where_a_router_says_why", || {
        let target = [198, 51, 100, 1];
        let results = ping([target, ROUTER], &quick().timeout(500 * MILLI).retries(0)).unwrap();
        let verdicts: Vec<Verdict> = results.iter().map(|outcome| outcome.verdict).collect();
        assert!(
            matches!(verdicts[0], Verdict::Unreachable { by, error } if by == ROUTER.into() && (error.msg_type, error.code) == (3, 1)),
            "{verdicts:?}"
        );
        assert!(verdicts[1].is_alive(), "{verdicts:?}");
        assert_eq!((results.silent().collect::<Vec<_>>(), results.counts().icmp_errors), (vec![target.into()], 1));
        let ignoring = quick().retries(0).icmp_errors(false);
        assert_eq!(words(&ping([target], &ignoring).unwrap()), ["silent"]);
    });
}

#[test]
fn a_list_without_targets_needs_no_rights() {
    let results = ping::<Address>([], &Options::new()).unwrap();
    assert!(results.is_empty() && results.is_complete() && results.iter().next().is_none());
}

#[test]
fn a_deadline_is_the_whole_and_what_was_not_tried_is_unsettled() {
    play("a_deadline_is_the_whole_and_what_was_not_tried_is_unsettled", || {
        let slow = Options::new().rate(Rate::per_second(1.0).unwrap()).deadline(200 * MILLI).retries(0);
        let results = ping([alive(0), alive(1)], &slow).unwrap();
        assert_eq!(words(&results), ["alive", "unsettled"]);
        assert!(!results.is_complete());
        // One attempt has its whole timeout before it ends.
        let results = ping([silent(0)], &Options::new().deadline(3000 * MILLI).retries(0)).unwrap();
        assert_eq!((words(&results), results.is_complete()), (vec!["silent"], true));
        // Three retries are spread over it: a silent target was asked four times, or nearly.
        let results = ping([silent(0)], &Options::new().deadline(400 * MILLI).retries(3)).unwrap();
        assert_eq!(words(&results), ["silent"]);
        assert!(results.counts().sent >= 2, "{:?}", results.counts());
    });
}

#[test]
fn outcomes_come_as_targets_are_settled() {
    play("outcomes_come_as_targets_are_settled", || {
        let targets = [silent(0), alive(0), alive(1), alive(0)];
        let mut running = quick().timeout(500 * MILLI).retries(0).start(targets).unwrap();
        let outcomes: Vec<_> = running.by_ref().collect();
        let last = outcomes.last().unwrap();
        assert_eq!((outcomes.len(), last.address), (3, silent(0)));
        assert!(outcomes[..2].iter().all(|outcome| outcome.verdict.is_alive()));
        assert_eq!(words(&running.wait().unwrap()), ["silent", "alive", "alive", "alive"]);
    });
}

#[test]
fn a_run_that_is_cancelled_says_what_it_knows() {
    play("a_run_that_is_cancelled_says_what_it_knows", || {
        let mut running = quick().timeout(LONG).start([silent(0), alive(0)]).unwrap();
        assert_eq!(running.next().unwrap().address, alive(0));
        running.cancel();
        let rest: Vec<_> = running.by_ref().collect();
        assert!(rest.len() == 1 && matches!(rest[0].verdict, Verdict::Unsettled), "{rest:?}");
        let results = running.wait().unwrap();
        assert_eq!(words(&results), ["unsettled", "alive"]);
        assert!(!results.is_complete());
        // Dropping one ends it as well: this would take minutes.
        drop(quick().timeout(LONG).start([silent(0)]).unwrap());
    });
}

#[test]
fn a_run_is_a_future_for_any_runtime() {
    struct Bell(mpsc::Sender<()>);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(());
        }
    }
    play("a_run_is_a_future_for_any_runtime", || {
        let (ring, bell) = mpsc::channel();
        let waker = Waker::from(Arc::new(Bell(ring)));
        let mut cx = Context::from_waker(&waker);
        let mut running = pin!(quick().start([silent(0), alive(0)]).unwrap());
        let results = loop {
            match running.as_mut().poll(&mut cx) {
                Poll::Ready(results) => break results.unwrap(),
                Poll::Pending => bell.recv_timeout(LONG).unwrap(),
            }
        };
        assert_eq!(words(&results), ["silent", "alive"]);
        assert!(matches!(running.as_mut().poll(&mut cx), Poll::Ready(Err(Error::Closed))));
    });
}

#[test]
fn values_out_of_range_and_missing_sockets_are_errors() {
    play("values_out_of_range_and_missing_sockets_are_errors", || {
        let what = |options: &Options| match ping([alive(0)], options) {
            Err(Error::OutOfRange { what }) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(what(&Options::new().timeout(LONG * 3)), "timeout");
        assert_eq!(what(&Options::new().responses(0)), "responses");
        assert_eq!(what(&Options::new().spacing(LONG * 3)), "spacing");
        let only_v4 = quick().sockets(Sockets::open(Kind::Raw, Families::V4).unwrap());
        assert!(matches!(ping([Ipv6Addr::LOCALHOST], &only_v4), Err(Error::NoFamily(_))));
        // The sockets are free again afterwards.
        assert_eq!(words(&ping([alive(0)], &only_v4).unwrap()), ["alive"]);
        assert_eq!(words(&ping([alive(1)], &only_v4).unwrap()), ["alive"]);
    });
}

#[test]
fn a_bad_name_is_unresolved_and_spoils_nothing() {
    play("a_bad_name_is_unresolved_and_spoils_nothing", || {
        let list = ["no-such-host.invalid", "127.0.0.1", "192.0.2.10", "no-such-host.invalid", "::1"];
        let results = names::ping(list, &quick()).unwrap();
        assert_eq!(words(&results), ["unresolved", "alive", "silent", "unresolved", "alive"]);
        let results = names::ping(["no-such-host.invalid"], &quick()).unwrap();
        assert_eq!(words(&results), ["unresolved"]);
    });
}
