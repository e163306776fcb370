//! The oracle: what must have come out, worked out from the world's log and the rules of xymonping(1) alone.
//!
//! It reads the bytes that arrived with a parser of its own, so that it knows which of them were answers; it takes from
//! the log when each probe left, within the bounds of the system call that sent it; and from these it follows each
//! target through its attempts. Where the clock readings leave open which of two things happened (a reply that came as
//! its timeout ended), it accepts both, and follows what the prober said.
//!
//! Of the prober's own words only these are used, and each of them is checked: what it called each reply, its verdicts
//! and its counts.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use multiping::address::Address;
use multiping::address::Family;
use multiping::prober::{COALESCED_RATE, MIN_SLEEP, ReplyKind};
use multiping::tally::{TICK, Verdict};

use crate::log::{Arrival, Departure, Log, Outcome};
use crate::machine::{ENOBUFS, World};

/// How often an attempt is given back at most (xymonping(1), LIMITS).
const MAX_GIVEN_BACK: u32 = 5;

/// Panics with the reason if the run that `log` tells of is not as it should be in `world`.
pub fn judge(world: &World, log: &Log) {
    let oracle = Oracle { world, log };
    let answers = oracle.judge_packets();
    let courses = oracle.courses(&answers);
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

/// What a message is, by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Malformed,
    /// Whole, and no Echo Reply.
    Other,
    /// An Echo Reply to another program.
    Foreign,
    /// An Echo Reply to us, too short for a token.
    Short,
    /// An Echo Reply to us that carries this.
    Reply([u8; 16]),
}

/// The first valid reply to a probe, if it was answered at all, in time or not.
struct First<'a> {
    arrival: &'a Arrival,
    fate: ReplyKind,
}

/// How one attempt went.
pub struct Attempt<'a> {
    pub probe: &'a Departure,
    /// The RTT, if it was answered: between these bounds.
    pub rtt: Option<Range<Duration>>,
    /// When the driver learned that it was over, between these bounds.
    pub over: Range<Duration>,
}

/// Where a target may stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct State {
    replies: u32,
    silences: u32,
    given_back: u32,
    doubtful: bool,
    settled: bool,
}

/// A world and what happened in it; the rules of time stand in a file of their own.
pub struct Oracle<'a> {
    pub world: &'a World,
    pub log: &'a Log,
}

impl<'a> Oracle<'a> {
    /// Every message was taken for what it is. Returns the first valid reply to each probe, by token.
    fn judge_packets(&self) -> HashMap<[u8; 16], First<'a>> {
        let mut probes = HashMap::new();
        for probe in self.sent() {
            let doubled = probes.insert(probe.token, probe);
            assert!(doubled.is_none(), "no two probes carry the same token");
        }
        let mut answers: HashMap<[u8; 16], First> = HashMap::new();
        let [mut replies, mut elsewhere, mut again, mut damaged, mut stray] = [0; 5];
        for arrival in self.log.arrivals.iter().filter(|arrival| arrival.outcome != Outcome::Overflowed) {
            let from = arrival.packet.from;
            let kind = kind(from.family(), self.world.idents[from.family()], &arrival.packet.bytes);
            let probe = match kind {
                Kind::Reply(token) => probes.get(&token),
                _ => None,
            };
            let refused = |probe: &&Departure| self.world.plan.check_source() && !is_from(probe.address, from);
            match (kind, probe, arrival.outcome) {
                (Kind::Malformed, _, Outcome::Judged(ReplyKind::Damaged)) => damaged += 1,
                (Kind::Other, _, Outcome::Judged(ReplyKind::Stray)) => stray += 1,
                (Kind::Foreign, _, Outcome::Judged(ReplyKind::Stray)) => stray += 1,
                (Kind::Short | Kind::Reply(_), None, Outcome::Judged(ReplyKind::Damaged)) => damaged += 1,
                (Kind::Reply(_), Some(probe), Outcome::Judged(ReplyKind::Stray)) if refused(probe) => stray += 1,
                (Kind::Reply(token), Some(probe), Outcome::Judged(fate)) if !refused(probe) => {
                    let first = !answers.contains_key(&token);
                    match fate {
                        ReplyKind::Reply { target, .. } => {
                            assert!(first && target == probe.target, "only the first reply to a probe counts");
                            replies += 1;
                            elsewhere += u64::from(!is_from(probe.address, from));
                        }
                        ReplyKind::Duplicate | ReplyKind::Late => again += 1,
                        ReplyKind::Damaged | ReplyKind::Stray => {
                            panic!("a valid reply was called {fate:?}: {arrival:?}")
                        }
                    }
                    answers.entry(token).or_insert(First { arrival, fate });
                }
                _ => panic!("taken for something else: {kind:?}, {arrival:?}"),
            }
        }
        let counts = &self.log.counts;
        assert_eq!(
            (replies, elsewhere, again, damaged, stray),
            (counts.replies, counts.other_source, counts.duplicates + counts.late, counts.damaged, counts.stray),
            "replies, from elsewhere, duplicate or late, damaged, stray"
        );
        let refused = self.log.departures.iter().filter(|probe| probe.refused.is_some()).count() as u64;
        assert_eq!((counts.sent, counts.refused), (self.log.departures.len() as u64 - refused, refused));
        answers
    }

    /// The probes that were sent.
    fn sent(&self) -> impl Iterator<Item = &'a Departure> {
        self.log.departures.iter().filter(|probe| probe.refused.is_none())
    }

    /// How each attempt of each target went.
    fn courses(&self, answers: &HashMap<[u8; 16], First>) -> Vec<Vec<Attempt<'a>>> {
        let mut courses: Vec<Vec<Attempt>> = self.log.targets.iter().map(|_| Vec::new()).collect();
        for probe in self.sent() {
            let rtt = answers.get(&probe.token).and_then(|first| self.rtt(probe, first));
            let over = match &rtt {
                Some(_) => answers[&probe.token].arrival.seen..answers[&probe.token].arrival.seen,
                None => self.given_up(probe),
            };
            courses[probe.target.index()].push(Attempt { probe, rtt, over });
        }
        courses
    }

    /// The RTT of a probe by its first reply, unless that was late: between which bounds.
    fn rtt(&self, probe: &Departure, first: &First) -> Option<Range<Duration>> {
        let stamp = first.arrival.packet.at;
        let timeout = self.world.plan.timeout();
        match first.fate {
            ReplyKind::Reply { rtt, .. } => {
                assert!(stamp <= probe.call.end + timeout, "a late reply counted: {probe:?}, {:?}", first.arrival);
                let bounds = stamp.saturating_sub(probe.call.end + TICK)..stamp + TICK - probe.call.start;
                assert!(bounds.start <= rtt && rtt <= bounds.end, "RTT {rtt:?} is not within {bounds:?}: {probe:?}");
                Some(bounds)
            }
            _ => {
                let late = stamp + TICK > probe.call.start + timeout;
                assert!(late, "a reply in time did not count: {probe:?}, {:?}", first.arrival);
                None
            }
        }
    }

    /// When a probe that stayed silent was given up: at the first look after its timeout.
    fn given_up(&self, probe: &Departure) -> Range<Duration> {
        let timeout = self.world.plan.timeout();
        let rounds = &self.log.rounds;
        let look = |after: Duration| rounds.get(rounds.partition_point(|&round| round < after)).copied();
        let due = probe.call.end + timeout;
        let first = look((probe.call.start + timeout).saturating_sub(TICK));
        let first = first.unwrap_or_else(|| panic!("the run ended before the timeout of {probe:?}"));
        let last = look(due).unwrap_or(self.log.end);
        let coalesced = if self.world.plan.rate().exceeds(COALESCED_RATE) { MIN_SLEEP } else { Duration::ZERO };
        let allowed = due + self.lapsed(due..last, Duration::ZERO) + coalesced;
        // (A look before the latest possible deadline may have been the one that found it over.)
        assert!(
            first < due || last <= allowed,
            "given up at {last:?}, which could have been at {allowed:?}: {probe:?}"
        );
        first..last
    }

    /// One target had its fair chances, no more and no fewer, and the verdict follows from them.
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
        let most = usize::from(plan.retries()) + usize::from(plan.responses());
        let most = if overflowed || self.is_hampered() { most + MAX_GIVEN_BACK as usize } else { most };
        assert!(course.len() <= most, "{name} was probed {} times", course.len());

        let mut states = vec![State::default()];
        for attempt in course {
            states.retain(|state| !state.settled);
            assert!(!states.is_empty(), "{name} was settled, and then probed again: {:?}", attempt.probe);
            states = match &attempt.rtt {
                Some(_) => states.into_iter().map(|state| state.answered(plan.responses().into())).collect(),
                None => {
                    let overflow = self.overflow(attempt);
                    let next = |state: State| {
                        let silent = |&overflowed: &bool| state.silent(overflowed, plan.retries().into());
                        overflow.iter().map(silent).collect::<Vec<_>>()
                    };
                    states.into_iter().flat_map(next).collect()
                }
            };
            states.sort_by_key(|state| (state.silences, state.given_back));
            states.dedup();
        }
        let verdict = self.log.verdicts[place];
        if let Verdict::Refused { errno, no_buffers, was_sent } = verdict {
            return self.judge_refused(place, errno, no_buffers, was_sent != course.is_empty());
        }
        let sane = states.iter().filter(|state| state.settled).any(|state| self.fits(state, course, verdict));
        assert!(sane, "{name} cannot be {verdict:?} after {states:?}");
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

    /// Whether replies may have been lost on this machine while an attempt was waited for: no, yes, or perhaps.
    fn overflow(&self, attempt: &Attempt) -> &'static [bool] {
        if self.is_hampered() {
            return &[true, false];
        }
        let family = attempt.probe.address.family();
        let during = |time: Range<Duration>| {
            self.log.overflows.iter().any(|(of, at)| *of == family && time.start <= *at && *at <= time.end)
        };
        let surely = during(attempt.probe.call.end..attempt.over.start);
        let perhaps = during(attempt.probe.call.start.saturating_sub(TICK)..attempt.over.end);
        match (surely, perhaps) {
            (true, _) => &[true],
            (false, true) => &[true, false],
            (false, false) => &[false],
        }
    }

    /// Whether `verdict` is right for a target that ended in `state`.
    fn fits(&self, state: &State, course: &[Attempt], verdict: Verdict) -> bool {
        let rtts: Vec<_> = course.iter().filter_map(|attempt| attempt.rtt.as_ref()).collect();
        let count = rtts.len() as u32;
        if count > 0 {
            let least = rtts.iter().map(|rtt| rtt.start).sum::<Duration>() / count;
            let most = rtts.iter().map(|rtt| rtt.end).sum::<Duration>() / count;
            return matches!(verdict, Verdict::Alive(mean) if least <= mean + TICK && mean <= most + TICK);
        }
        verdict == if state.doubtful { Verdict::Undecided } else { Verdict::Unreachable }
    }

    /// Further replies are called duplicates where the target answered in time, and late where it never did. (Where it
    /// did both, the prober guesses.)
    fn judge_duplicates(&self, courses: &[Vec<Attempt>]) {
        for arrival in &self.log.arrivals {
            let Outcome::Judged(fate @ (ReplyKind::Duplicate | ReplyKind::Late)) = arrival.outcome else { continue };
            let place = arrival.packet.bytes[8..].first_chunk().expect("a token begins with the target");
            let target = u32::from_be_bytes(*place);
            let course = &courses[target as usize];
            if course.iter().all(|attempt| attempt.rtt.is_some()) {
                assert_eq!(fate, ReplyKind::Duplicate, "{arrival:?}");
            } else if course.iter().all(|attempt| attempt.rtt.is_none()) {
                assert_eq!(fate, ReplyKind::Late, "{arrival:?}");
            }
        }
    }

    /// Targets that were refused until the end are this machine's fault if they are most of the list or of their
    /// family, if a quarter of the family had no way out, if two had been sent to before, or for lack of buffers.
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
        for family in Family::BOTH {
            let of_family = self.log.targets.iter().filter(|address| address.family() == family).count();
            let here = refused(&|of, _, _, _| of == family);
            let no_way_out = refused(&|of, errno, _, _| of == family && [100, 101].contains(&errno));
            let fault = here > 0
                && (self.sent().next().is_none()
                    || refused(&|of, _, no_buffers, _| of == family && no_buffers) > 0
                    || refused(&|_, _, _, was_sent| was_sent) > 1
                    || refused(&|_, _, _, _| true) * 2 > all
                    || of_family > 1 && here * 2 > of_family
                    || no_way_out > 1 && no_way_out * 4 >= of_family);
            assert_eq!(self.log.faults[family].is_some(), fault, "{family:?}: {here} of {of_family} refused");
        }
    }
}

impl State {
    fn answered(mut self, responses: u32) -> State {
        self.replies += 1;
        self.settled = self.replies == responses;
        self
    }

    fn silent(mut self, overflowed: bool, retries: u32) -> State {
        if overflowed && self.given_back < MAX_GIVEN_BACK {
            self.given_back += 1;
            return self;
        }
        self.doubtful |= overflowed;
        self.silences += 1;
        self.settled = self.silences > retries;
        self
    }
}

/// Reads a message by the letter of RFC 792 and RFC 4443.
fn kind(family: Family, ident: u16, bytes: &[u8]) -> Kind {
    if bytes.len() < 4 || (family == Family::V4 && !sums_up(bytes)) {
        return Kind::Malformed;
    }
    let (request, reply) = if family == Family::V4 { (8, 0) } else { (128, 129) };
    match (bytes[0], bytes[1]) {
        (kind, 0) if (kind == request || kind == reply) && bytes.len() < 8 => Kind::Malformed,
        (kind, 0) if kind == reply => {
            if bytes[4..6] != ident.to_be_bytes() {
                Kind::Foreign
            } else {
                bytes[8..].first_chunk().map_or(Kind::Short, |token| Kind::Reply(*token))
            }
        }
        _ => Kind::Other,
    }
}

/// Whether the 16-bit words of a message add up to all ones (RFC 1071), the slow way.
fn sums_up(bytes: &[u8]) -> bool {
    let mut sum = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}

/// Whether a reply from `from` comes from `target`; a zone is compared where the target has one.
fn is_from(target: Address, from: Address) -> bool {
    match (target, from) {
        (Address::V6(ip, 0), Address::V6(from, _)) => ip == from,
        _ => target == from,
    }
}
