//! The promise about reads that fail: while they do, nothing is sent and nothing times out, and
//! what arrived meanwhile counts by its time stamp once a read works. After a second the run cannot
//! go on.
//!
//! The loop here does what `turn` does, with made-up times.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::hash::RandomState;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::{Duration, Instant};

use multiping::address::{Address, AddressList, Family, PerFamily, TargetId};
use multiping::plan::{Plan, Rate};
use multiping::prober::{MAX_RECEIVE_FAILURE, MAX_SLEEP, Prober, Route, Sweep, Wait};
use multiping::tally::Verdict;
use multiping::token::Key;
use multiping::wire::Echo;

const MILLI: Duration = Duration::from_millis(1);
const TIMEOUT: Duration = Duration::from_millis(100);
const RTT: Duration = Duration::from_millis(10);
const EPERM: i32 = 1;
const IDENTS: PerFamily<u16> = PerFamily { v4: 4, v6: 6 };

/// Two targets, of which the first replies after [`RTT`]; a packet each 50 ms, no retries.
struct Run {
    prober: Prober<Sweep>,
    start: Instant,
    now: Instant,
    /// When a reply arrives, and its data.
    replies: Vec<(Instant, Address, [u8; 16])>,
    sent: Vec<Duration>,
}

impl Run {
    fn new() -> Self {
        let (start, mut list) = (Instant::now(), AddressList::default());
        for last in [1, 2] {
            list.push(Address::V4(Ipv4Addr::new(192, 0, 2, last))).unwrap();
        }
        let (addresses, _) = list.dedup().unwrap();
        let plan = Plan::default().with_retries(0).with_timeout(TIMEOUT).unwrap();
        let plan = plan.with_rate(Rate::per_second(20.0).unwrap());
        let prober = Prober::sweep(&plan, addresses, Key::new(RandomState::new()), IDENTS, start).unwrap();
        Run { prober, start, now: start, replies: Vec::new(), sent: Vec::new() }
    }

    /// Plays the run to its end, or until receiving counts as refused. In these times each read
    /// fails.
    fn play(&mut self, failing: &[Range<Duration>]) -> Option<(Family, i32)> {
        for _ in 0..1000 {
            let fails = failing.iter().any(|time| time.contains(&(self.now - self.start)));
            if !fails {
                let (arrived, later): (Vec<_>, _) = self.replies.drain(..).partition(|(at, ..)| *at <= self.now);
                self.replies = later;
                for (at, from, data) in arrived {
                    self.prober.handle_reply(from, &Echo { ident: IDENTS.v4, seq: 0, data: &data }, at);
                }
            }
            self.prober.handle_reads(PerFamily { v4: fails.then_some(EPERM), v6: None }, self.now);
            let wait = match self.prober.poll_receive_retry(self.now) {
                Some(retry) => {
                    assert!(fails && !retry.for_replies, "{retry:?}");
                    Some(retry)
                }
                None => self.turn(),
            };
            if self.prober.is_done() {
                return None;
            }
            if let Some(failure) = self.prober.receive_failure(self.now) {
                return Some(failure);
            }
            if let Some(Wait { until, for_replies }) = wait {
                let reply = self.replies.iter().map(|(at, ..)| *at).filter(|_| for_replies);
                self.now = reply.chain(until).min().unwrap().max(self.now);
            }
        }
        panic!("the run does not end");
    }

    /// What is done while reads work, apart from reading.
    fn turn(&mut self) -> Option<Wait> {
        self.prober.handle_timeouts(self.now, |_| Some(Route::over(1)), |_| {});
        let probes = self.prober.poll_send(self.now).to_vec();
        for probe in &probes {
            self.sent.push(self.now - self.start);
            if probe.target == TargetId(0) {
                self.replies.push((self.now + RTT, probe.address, probe.token.emit()));
            }
        }
        self.prober.handle_sent(&vec![self.now; probes.len()], true, self.now);
        self.prober.poll_wait(self.now)
    }

    fn verdicts(&self) -> [Verdict; 2] {
        [0, 1].map(|target| self.prober.strategy().verdict(TargetId(target)))
    }
}

#[test]
fn reads_that_work_again_in_time_cost_no_target_its_reply() {
    // From before the first probe; while it is in flight, long beyond its timeout; twice.
    for failing in [&[(0, 999)][..], &[(5, 1000)], &[(5, 900), (920, 1800)], &[(5, 6)]] {
        let failing: Vec<_> = failing.iter().map(|&(start, end)| start * MILLI..end * MILLI).collect();
        let mut run = Run::new();
        assert_eq!(run.play(&failing), None, "{failing:?}");
        assert_eq!(run.verdicts(), [Verdict::Alive(RTT), Verdict::Unreachable], "{failing:?}");
        let in_time = |sent: &Duration| !failing.iter().any(|time| time.contains(sent));
        assert!(run.sent.iter().all(in_time), "{:?} {failing:?}", run.sent);
        assert_eq!(run.sent.len(), 2);
    }
}

#[test]
fn reads_that_fail_for_a_second_end_the_run_and_settle_no_target() {
    for start in [Duration::ZERO, 5 * MILLI] {
        let mut run = Run::new();
        assert_eq!(run.play(&[start..Duration::MAX]), Some((Family::V4, EPERM)));
        assert_eq!(run.verdicts(), [Verdict::Unsettled; 2]);
        let took = run.now - run.start;
        let noticed = start + MAX_RECEIVE_FAILURE..=start + MAX_RECEIVE_FAILURE + 2 * TIMEOUT;
        assert!(noticed.contains(&took), "{took:?}");
        assert_eq!(run.sent.len(), usize::from(!start.is_zero()), "nothing is sent meanwhile");
    }
}

#[test]
fn failing_reads_are_repeated_every_20_ms() {
    let mut run = Run::new();
    run.prober.handle_reads(PerFamily { v4: None, v6: Some(EPERM) }, run.start);
    let retry = Wait { until: Some(run.start + MAX_SLEEP), for_replies: false };
    assert_eq!(run.prober.poll_receive_retry(run.start), Some(retry));
    run.prober.handle_reads(PerFamily::default(), run.start + MAX_SLEEP);
    assert_eq!(run.prober.poll_receive_retry(run.start + MAX_SLEEP), None);
}
