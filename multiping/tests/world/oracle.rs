//! The oracle: what the results must be, from the world's log and the rules of xymonping(1) alone.
//!
//! It parses the bytes that arrived itself, to know which of them were replies; it takes from the
//! log when each probe was sent, within the bounds of the system call; and from these it follows
//! each target through its attempts. Where the clock readings leave two results possible (a reply
//! that came as its timeout ended), it accepts both, and follows the prober.
//!
//! Of the prober's own results it uses only how each reply was classified, the verdicts and the
//! counts, and it checks each of them.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use multiping::address::Address;
use multiping::address::Family;
use multiping::prober::{COALESCED_RATE, MIN_SLEEP, ReplyKind};
use multiping::tally::{TICK, Verdict};
use multiping::token::Token;
use multiping::wire::HEADER;

use crate::errors::Quote;
use crate::log::{Arrival, Departure, Log, Reception};
use crate::machine::{ENOBUFS, World};
use crate::network::FILLER;

/// How often an attempt of a target is refunded at most (xymonping(1), LIMITS).
const MAX_REFUNDS: u32 = 5;

/// Panics with the reason if the run in `log` breaks a rule in `world`.
pub fn judge(world: &World, log: &Log) {
    let oracle = Oracle { world, log };
    let firsts = oracle.judge_packets();
    let failures = oracle.judge_errors();
    let courses = oracle.courses(&firsts, &failures);
    for (place, course) in courses.iter().enumerate() {
        oracle.judge_target(place, course);
    }
    oracle.judge_duplicates(&courses);
    oracle.judge_order(&courses);
    oracle.judge_pace();
    oracle.judge_work(&courses);
    oracle.judge_end(&courses);
    oracle.judge_faults();
}

/// A parsed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parsed {
    Malformed,
    /// Neither an Echo Reply nor an ICMP error.
    Other,
    /// An ICMP error that quotes an Echo Request.
    Error,
    /// An Echo Reply to another program.
    Foreign,
    /// An Echo Reply to this run, too short for a token.
    Short,
    /// An Echo Reply to this run with the token of a probe, and other data after it than was sent.
    Altered,
    /// An Echo Reply to this run with this token; if that is of a probe, also with the data that
    /// was sent, or part of it, or more.
    Reply([u8; 16]),
}

/// The first valid reply to a probe, in time or not.
struct First<'a> {
    arrival: &'a Arrival,
    kind: ReplyKind,
}

/// An attempt of a target.
pub struct Attempt<'a> {
    pub probe: &'a Departure,
    /// The bounds of the RTT, if there was a reply in time.
    pub rtt: Option<Range<Duration>>,
    /// Whether an ICMP error ended it.
    pub failed: bool,
    /// The bounds of when the driver learned that it was over.
    pub over: Range<Duration>,
}

/// A possible state of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    replies: u32,
    timeouts: u32,
    refunds: u32,
    is_undecided: bool,
    is_settled: bool,
}

/// A world and what happened in it. The rules of time are in `timing`.
pub struct Oracle<'a> {
    pub world: &'a World,
    pub log: &'a Log,
}

impl<'a> Oracle<'a> {
    /// Checks how messages were classified. Returns the first valid reply to each probe, by token.
    fn judge_packets(&self) -> HashMap<[u8; 16], First<'a>> {
        let mut probes = HashMap::new();
        for probe in self.sent() {
            let other = probes.insert(probe.token, probe);
            assert!(other.is_none(), "two probes carry the same token");
        }
        let mut firsts: HashMap<[u8; 16], First> = HashMap::new();
        let [mut replies, mut other_source, mut again, mut damaged, mut stray] = [0; 5];
        for arrival in self.log.arrivals.iter().filter(|arrival| arrival.reception != Reception::Dropped) {
            let from = arrival.packet.from;
            let mut parsed = parse(from.family(), self.world.idents[from.family()], &arrival.packet.bytes);
            let sent = self.world.machine.size - Token::LEN;
            let is_altered = |data: &[u8]| data.iter().take(sent).any(|&byte| byte != FILLER);
            if matches!(parsed, Parsed::Reply(token) if probes.contains_key(&token))
                && arrival.packet.bytes.get(HEADER + Token::LEN..).is_some_and(is_altered)
            {
                parsed = Parsed::Altered;
            }
            let probe = match parsed {
                Parsed::Reply(token) => probes.get(&token),
                _ => None,
            };
            let is_refused = |probe: &&Departure| self.world.plan.check_source() && !is_from(probe.address, from);
            match (parsed, probe, arrival.reception) {
                (Parsed::Malformed, _, Reception::Handled(ReplyKind::Damaged)) => damaged += 1,
                (Parsed::Other, _, Reception::Handled(ReplyKind::Stray)) => stray += 1,
                (Parsed::Error, _, Reception::Error(None)) => stray += 1,
                (Parsed::Error, _, Reception::Error(Some(_))) => {}
                (Parsed::Foreign, _, Reception::Handled(ReplyKind::Stray)) => stray += 1,
                (Parsed::Altered, _, Reception::Handled(ReplyKind::Altered { .. })) => damaged += 1,
                (Parsed::Short | Parsed::Reply(_), None, Reception::Handled(ReplyKind::Damaged)) => damaged += 1,
                (Parsed::Reply(_), Some(probe), Reception::Handled(ReplyKind::Stray)) if is_refused(probe) => {
                    stray += 1
                }
                (Parsed::Reply(token), Some(probe), Reception::Handled(kind)) if !is_refused(probe) => {
                    let first = !firsts.contains_key(&token);
                    match kind {
                        ReplyKind::Reply { target, .. } => {
                            assert!(first && target == probe.target, "only the first reply to a probe counts");
                            replies += 1;
                            other_source += u64::from(!is_from(probe.address, from));
                        }
                        ReplyKind::Duplicate { .. } | ReplyKind::Late { .. } => again += 1,
                        ReplyKind::Altered { .. } | ReplyKind::Damaged | ReplyKind::Stray => {
                            panic!("a valid reply was classified as {kind:?}: {arrival:?}")
                        }
                    }
                    firsts.entry(token).or_insert(First { arrival, kind });
                }
                _ => panic!("misclassified: {parsed:?}, {arrival:?}"),
            }
        }
        let counts = &self.log.counts;
        assert_eq!(
            (replies, other_source, again, damaged, stray),
            (counts.replies, counts.other_source, counts.duplicates + counts.late, counts.damaged, counts.stray),
            "replies, from other sources, duplicate or late, damaged, stray"
        );
        let refused = self.log.departures.iter().filter(|probe| probe.refused.is_some()).count() as u64;
        assert_eq!((counts.sent, counts.refused), (self.log.departures.len() as u64 - refused, refused));
        firsts
    }

    /// The probes that were sent.
    fn sent(&self) -> impl Iterator<Item = &'a Departure> {
        self.log.departures.iter().filter(|probe| probe.refused.is_none())
    }

    /// The attempts of each target. `failures` are the first errors that end an attempt, by token.
    fn courses(
        &self,
        firsts: &HashMap<[u8; 16], First>,
        failures: &HashMap<[u8; 16], &Arrival>,
    ) -> Vec<Vec<Attempt<'a>>> {
        let mut courses: Vec<Vec<Attempt>> = self.log.targets.iter().map(|_| Vec::new()).collect();
        for probe in self.sent() {
            let course = &mut courses[probe.target.index()];
            let timeout = self.timeout(course.iter().filter(|attempt| attempt.rtt.is_none()).count());
            let rtt = firsts.get(&probe.token).and_then(|first| self.rtt(probe, first, timeout));
            let failure = failures.get(&probe.token).filter(|_| rtt.is_none());
            let over = match (&rtt, failure) {
                (Some(_), _) => firsts[&probe.token].arrival.read_at..firsts[&probe.token].arrival.read_at,
                (None, Some(failure)) => failure.read_at..failure.read_at,
                (None, None) => self.timed_out(probe, timeout),
            };
            course.push(Attempt { probe, rtt, failed: failure.is_some(), over });
        }
        courses
    }

    /// The timeout of an attempt at a target that has timed out this often. (Where attempts may be
    /// refunded, worlds have no backoff.)
    pub fn timeout(&self, timeouts: usize) -> Duration {
        let plan = &self.world.plan;
        let longer = |timeout: Duration| timeout.mul_f64(plan.backoff()).min(Duration::from_secs(200));
        if plan.backoff() == 1.0 { plan.timeout() } else { (0..timeouts).fold(plan.timeout(), |t, _| longer(t)) }
    }

    /// The bounds of the RTT of a probe by its first reply, unless that was late.
    fn rtt(&self, probe: &Departure, first: &First, timeout: Duration) -> Option<Range<Duration>> {
        let stamp = first.arrival.packet.at;
        match first.kind {
            ReplyKind::Reply { rtt, .. } => {
                assert!(stamp <= probe.call.end + timeout, "a late reply was accepted: {probe:?}, {:?}", first.arrival);
                let bounds = stamp.saturating_sub(probe.call.end + TICK)..stamp + TICK - probe.call.start;
                assert!(bounds.start <= rtt && rtt <= bounds.end, "RTT {rtt:?} is not within {bounds:?}: {probe:?}");
                Some(bounds)
            }
            _ => {
                let late = stamp + TICK > probe.call.start + timeout || self.has_failed(probe);
                assert!(late, "a reply in time was not accepted: {probe:?}, {:?}", first.arrival);
                None
            }
        }
    }

    /// The bounds of when a probe timed out: at the first check after its timeout.
    fn timed_out(&self, probe: &Departure, timeout: Duration) -> Range<Duration> {
        let checks = &self.log.timeout_checks;
        let check = |after: Duration| checks.get(checks.partition_point(|&check| check < after)).copied();
        let due = probe.call.end + timeout;
        let first = check((probe.call.start + timeout).saturating_sub(TICK));
        let first = first.unwrap_or_else(|| panic!("the run ended before the timeout of {probe:?}"));
        let last = check(due).unwrap_or(self.log.end);
        let coalesced =
            if self.world.plan.rate().exceeds(COALESCED_RATE) { *MIN_SLEEP.start() } else { Duration::ZERO };
        let allowed = due + self.delayed(due..last, Duration::ZERO) + coalesced;
        // A check before the latest possible deadline may already have found it over.
        assert!(first < due || last <= allowed, "timed out at {last:?}, which is later than {allowed:?}: {probe:?}");
        first..last
    }

    /// Each target had its attempts, no more and no fewer, and its verdict follows from them.
    fn judge_target(&self, place: usize, course: &[Attempt]) {
        let plan = &self.world.plan;
        let name = self.log.targets[place];
        for pair in course.windows(2) {
            let (before, after) = (&pair[0], &pair[1].probe);
            assert!(after.call.start >= before.over.start, "{name} has two probes in flight: {after:?}");
            let spaced = before.probe.call.start + plan.spacing();
            assert!(after.call.start + TICK >= spaced, "{name}: two probes are too close: {after:?}");
        }
        let overflowed = self.log.overflows.iter().any(|(family, _)| *family == name.family());
        let limit = usize::from(plan.retries()) + usize::from(plan.responses());
        let limit = if overflowed || self.is_hampered() { limit + MAX_REFUNDS as usize } else { limit };
        assert!(course.len() <= limit, "{name} was probed {} times", course.len());

        let mut states = vec![State::default()];
        for attempt in course {
            states.retain(|state| !state.is_settled);
            assert!(!states.is_empty(), "{name} was settled, and then probed again: {:?}", attempt.probe);
            states = match &attempt.rtt {
                None if attempt.failed => {
                    // The loss of a link, which excuses it, is seen at the next look.
                    let excuses: &[bool] = if self.is_hampered() { &[true, false] } else { &[false] };
                    let next = |state: State| excuses.iter().map(move |&excused| state.failed(excused));
                    states.into_iter().flat_map(next).collect()
                }
                Some(_) => states.into_iter().map(|state| state.answered(plan.responses().into())).collect(),
                None => {
                    let overflow = self.overflow(attempt);
                    let next = |state: State| {
                        let after = |&overflowed: &bool| state.timed_out(overflowed, plan.retries().into());
                        overflow.iter().map(after).collect::<Vec<_>>()
                    };
                    states.into_iter().flat_map(next).collect()
                }
            };
            states.sort_by_key(|state| (state.timeouts, state.refunds));
            states.dedup();
        }
        let verdict = self.log.verdicts[place];
        if let Verdict::Refused { errno, no_buffers, was_sent } = verdict {
            return self.judge_refused(place, errno, no_buffers, was_sent != course.is_empty());
        }
        let is_possible = states.iter().filter(|state| state.is_settled).any(|state| self.fits(state, course, verdict));
        assert!(is_possible, "{name} cannot be {verdict:?} after {states:?}");
    }

    /// Whether the link may have kept probes or replies.
    fn is_hampered(&self) -> bool {
        !self.world.machine.cuts.is_empty() || !self.world.machine.queues.is_empty()
    }

    /// A target that was refused until the end: for its last reason, and again and again.
    fn judge_refused(&self, place: usize, errno: i32, no_buffers: bool, was_sent_is_right: bool) {
        let name = self.log.targets[place];
        let of_target = |probe: &&Departure| probe.target.index() == place;
        let refused: Vec<_> =
            self.log.departures.iter().rev().filter(of_target).map_while(|probe| probe.refused).collect();
        let reasons = (refused[0].errno(), refused[0].is_no_buffers());
        // The prober knows ENOBUFS as the only errno of full buffers.
        let reasons = if reasons.1 { (ENOBUFS, true) } else { reasons };
        assert_eq!((errno, no_buffers, was_sent_is_right), (reasons.0, reasons.1, true), "{name}");
        assert!(refused.len() >= 2, "{name} was given up after {} refusals", refused.len());
    }

    /// Whether replies may have been lost on this machine while an attempt was in flight: no, yes,
    /// or either.
    fn overflow(&self, attempt: &Attempt) -> &'static [bool] {
        if self.is_hampered() {
            return &[true, false];
        }
        let family = attempt.probe.address.family();
        let during = |time: Range<Duration>| {
            self.log.overflows.iter().any(|(of, at)| *of == family && time.start <= *at && *at <= time.end)
        };
        let certainly = during(attempt.probe.call.end..attempt.over.start);
        let possibly = during(attempt.probe.call.start.saturating_sub(TICK)..attempt.over.end);
        match (certainly, possibly) {
            (true, _) => &[true],
            (false, true) => &[true, false],
            (false, false) => &[false],
        }
    }

    /// Whether `verdict` follows from `state`.
    fn fits(&self, state: &State, course: &[Attempt], verdict: Verdict) -> bool {
        let rtts: Vec<_> = course.iter().filter_map(|attempt| attempt.rtt.as_ref()).collect();
        let count = rtts.len() as u32;
        if count > 0 {
            let least = rtts.iter().map(|rtt| rtt.start).sum::<Duration>() / count;
            let limit = rtts.iter().map(|rtt| rtt.end).sum::<Duration>() / count;
            return matches!(verdict, Verdict::Alive(mean) if least <= mean + TICK && mean <= limit + TICK);
        }
        verdict == if state.is_undecided { Verdict::Undecided } else { Verdict::Unreachable }
    }

    /// Further replies are duplicates of targets that always replied in time, and late from targets
    /// that never did. Of others the prober cannot tell.
    fn judge_duplicates(&self, courses: &[Vec<Attempt>]) {
        for arrival in &self.log.arrivals {
            let Reception::Handled(kind @ (ReplyKind::Duplicate { .. } | ReplyKind::Late { .. })) = arrival.reception
            else {
                continue;
            };
            let place = arrival.packet.bytes[8..].first_chunk().expect("a token begins with the target");
            let target = u32::from_be_bytes(*place);
            let course = &courses[target as usize];
            if course.iter().all(|attempt| attempt.rtt.is_some()) {
                assert!(matches!(kind, ReplyKind::Duplicate { .. }), "{arrival:?}");
            } else if course.iter().all(|attempt| attempt.rtt.is_none()) {
                assert!(matches!(kind, ReplyKind::Late { .. }), "{arrival:?}");
            }
        }
    }

    /// Targets that were refused until the end are this machine's fault if they are most of the
    /// list or of their family, if a quarter of the family had no way out, if two had been sent to
    /// before (and no rule forbids them beside some that are alive), for lack of buffers, or if one
    /// that is alive is refused as well at the end.
    fn judge_faults(&self) {
        let refused = |wanted: &dyn Fn(Family, i32, bool, bool) -> bool| {
            let verdicts = self.log.targets.iter().zip(&self.log.verdicts);
            let counts = verdicts.filter(|(address, verdict)| match **verdict {
                Verdict::Refused { errno, no_buffers, was_sent } => {
                    wanted(address.family(), errno, no_buffers, was_sent)
                }
                _ => false,
            });
            counts.count()
        };
        let all = self.log.targets.len();
        let is_alive = |family| {
            let mut verdicts = self.log.targets.iter().zip(&self.log.verdicts);
            verdicts.any(|(address, verdict)| address.family() == family && matches!(verdict, Verdict::Alive(_)))
        };
        for family in Family::BOTH {
            let of_family = self.log.targets.iter().filter(|address| address.family() == family).count();
            let here = refused(&|of, _, _, _| of == family);
            let no_way_out = refused(&|of, errno, _, _| of == family && [100, 101].contains(&errno));
            let fault = here > 0
                && (self.sent().next().is_none()
                    || refused(&|of, _, no_buffers, _| of == family && no_buffers) > 0
                    || refused(&|of, errno, _, was_sent| was_sent && !(is_alive(of) && [1, 13].contains(&errno))) > 1
                    || refused(&|_, _, _, _| true) * 2 > all
                    || of_family > 1 && here * 2 > of_family
                    || no_way_out > 1 && no_way_out * 4 >= of_family
                    || self.log.refused_witnesses[family]);
            assert_eq!(self.log.faults[family].is_some(), fault, "{family:?}: {here} of {of_family} refused");
        }
    }
}

impl State {
    fn answered(mut self, responses: u32) -> State {
        self.replies += 1;
        self.is_settled = self.replies == responses;
        self
    }

    fn failed(mut self, excused: bool) -> State {
        if excused && self.refunds < MAX_REFUNDS {
            self.refunds += 1;
            return self;
        }
        self.is_undecided |= excused;
        self.is_settled = true;
        self
    }

    fn timed_out(mut self, overflowed: bool, retries: u32) -> State {
        if overflowed && self.refunds < MAX_REFUNDS {
            self.refunds += 1;
            return self;
        }
        self.is_undecided |= overflowed;
        self.timeouts += 1;
        self.is_settled = self.timeouts > retries;
        self
    }
}

/// Parses a message as RFC 792 and RFC 4443 describe it.
fn parse(family: Family, ident: u16, bytes: &[u8]) -> Parsed {
    if bytes.len() < 4 || (family == Family::V4 && !has_right_checksum(bytes)) {
        return Parsed::Malformed;
    }
    let (request, reply) = if family == Family::V4 { (8, 0) } else { (128, 129) };
    match (bytes[0], bytes[1]) {
        (msg_type, 0) if (msg_type == request || msg_type == reply) && bytes.len() < 8 => Parsed::Malformed,
        (msg_type, 0) if msg_type == reply => {
            if bytes[4..6] != ident.to_be_bytes() {
                Parsed::Foreign
            } else {
                bytes[8..].first_chunk().map_or(Parsed::Short, |token| Parsed::Reply(*token))
            }
        }
        _ if Quote::parse(family, bytes).is_some() => Parsed::Error,
        _ => Parsed::Other,
    }
}

/// Whether the checksum of a message is right (RFC 1071), computed word by word.
fn has_right_checksum(bytes: &[u8]) -> bool {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// Whether `from` is the address of `target`; zones are compared if the target has one.
fn is_from(target: Address, from: Address) -> bool {
    match (target, from) {
        (Address::V6(ip, 0), Address::V6(from, _)) => ip == from,
        _ => target == from,
    }
}
