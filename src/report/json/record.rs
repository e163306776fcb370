//! The records, with their keys in the order in which they are written.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use multiping::address::{Address, Family};
use multiping::prober::Diagnosis;
use multiping::tally::{TICK, Verdict};
use multiping::wire::IcmpError;
use nix::errno::Errno;
use serde::{Serialize, Serializer};

use crate::list::UnresolvedLine;
use crate::report::Rfc3339;
use crate::report::json::optional::{Sizes, Times};
use crate::report::state::State;

/// The version of the records. It rises when a key goes or changes its meaning.
pub(super) const SCHEMA: u32 = 1;

/// The first record: what the run is.
#[derive(Serialize)]
#[serde(tag = "type", rename = "start")]
pub(super) struct Start<'a> {
    pub(super) schema: u32,
    pub(super) version: &'static str,
    pub(super) run: Option<&'a str>,
    pub(super) time: Text<Rfc3339>,
    pub(super) mode: Mode,
    pub(super) targets: u64,
    pub(super) rejected: u64,
    pub(super) count: Option<u32>,
    pub(super) period_ns: Option<u64>,
    pub(super) timeout_ns: u64,
    pub(super) late_ns: Option<u64>,
    pub(super) max_pps: Option<f64>,
    pub(super) size: usize,
}

/// What kind of run it is.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each target is asked until it has answered.
    Batch,
    /// A number of probes to each target.
    Count,
    /// Until interrupted.
    Loop,
}

/// A line of the list that is not probed.
#[derive(Serialize)]
#[serde(tag = "type", rename = "rejected")]
#[serde(bound(serialize = "T: Display, W: Display"))]
pub(super) struct Rejected<T, W> {
    pub(super) line: u64,
    pub(super) text: Text<T>,
    pub(super) why: Text<W>,
}

/// The figures of one line of the list. `P`: percentiles.
#[derive(Serialize)]
#[serde(tag = "type", rename = "target")]
#[serde(bound(serialize = "T: Display, P: Serialize"))]
pub(super) struct Target<'a, T, P> {
    pub(super) target: Text<T>,
    pub(super) label: &'a str,
    pub(super) line: u64,
    pub(super) family: Option<FamilyName>,
    pub(super) state: State,
    pub(super) reason: Option<Reason>,
    #[serde(flatten)]
    pub(super) probes: Probes,
    pub(super) duplicates: u64,
    pub(super) damaged: u64,
    pub(super) elsewhere: u64,
    pub(super) reordered: u64,
    pub(super) icmp_errors: u64,
    pub(super) send_errors: u64,
    #[serde(flatten)]
    pub(super) error: LastError,
    pub(super) errno: Option<i32>,
    pub(super) errno_name: Option<Text<ErrnoName>>,
    pub(super) ttl: Option<u8>,
    pub(super) ttl_changes: u64,
    #[serde(flatten)]
    pub(super) rtts: Rtts<P>,
    pub(super) jitter_ns: Option<u64>,
    pub(super) jitter_rfc3550_ns: Option<u64>,
    pub(super) longest_outage_ns: Option<u64>,
    pub(super) longest_loss_run: Option<u64>,
    #[serde(flatten)]
    pub(super) sizes: Option<Sizes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rtts_ns: Option<Vec<Option<u64>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) histogram: Option<Vec<(u64, u64, u64)>>,
}

impl<'a, P> Target<'a, &'a str, P> {
    /// A name without an address.
    pub(super) fn unresolved(line: &'a UnresolvedLine, percentiles: P) -> Self {
        Target {
            target: Text(&line.name),
            label: "",
            line: line.line,
            family: None,
            state: State::Unresolved,
            reason: Some(Reason::ResolveError),
            probes: Probes::default(),
            duplicates: 0,
            damaged: 0,
            elsewhere: 0,
            reordered: 0,
            icmp_errors: 0,
            send_errors: 0,
            error: LastError::default(),
            errno: None,
            errno_name: None,
            ttl: None,
            ttl_changes: 0,
            rtts: Rtts {
                samples: 0,
                rtt_error_ratio: 0.0,
                rtt_min_ns: None,
                rtt_mean_ns: None,
                rtt_max_ns: None,
                rtt_stddev_ns: None,
                percentiles,
            },
            jitter_ns: None,
            jitter_rfc3550_ns: None,
            longest_outage_ns: None,
            longest_loss_run: None,
            sizes: None,
            rtts_ns: None,
            histogram: None,
        }
    }
}

/// The last record: without it the output was cut off.
#[derive(Serialize)]
#[serde(tag = "type", rename = "end")]
pub(super) struct End<'a, P> {
    pub(super) schema: u32,
    pub(super) run: Option<&'a str>,
    pub(super) time: Text<Rfc3339>,
    pub(super) complete: bool,
    pub(super) cut_short: Option<&'static str>,
    pub(super) exit: u8,
    pub(super) duration_ns: u64,
    #[serde(flatten)]
    pub(super) states: States,
    pub(super) rejected: u64,
    #[serde(flatten)]
    pub(super) probes: Probes,
    pub(super) duplicates: u64,
    pub(super) damaged: u64,
    pub(super) stray: u64,
    pub(super) icmp_errors: u64,
    pub(super) send_errors: u64,
    pub(super) kernel_drops: u64,
    pub(super) slipped: u64,
    #[serde(flatten)]
    pub(super) rtts: Rtts<P>,
    pub(super) failures: &'a [String],
    pub(super) warnings: &'a [String],
}

/// What became of probes.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct Probes {
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) late: u64,
    pub(super) lost: u64,
    loss_ratio: Option<f64>,
}

impl Probes {
    pub(super) fn new(received: u64, late: u64, lost: u64) -> Self {
        let sent = received + late + lost;
        let loss_ratio = (sent > 0).then(|| lost as f64 / sent as f64);
        Probes { sent, received, late, lost, loss_ratio }
    }
}

/// Round-trip times.
#[derive(Clone, Serialize)]
pub(super) struct Rtts<P> {
    pub(super) samples: u64,
    /// By how much a percentile is wrong at most.
    pub(super) rtt_error_ratio: f64,
    pub(super) rtt_min_ns: Option<u64>,
    pub(super) rtt_mean_ns: Option<u64>,
    pub(super) rtt_max_ns: Option<u64>,
    pub(super) rtt_stddev_ns: Option<u64>,
    #[serde(flatten)]
    pub(super) percentiles: P,
}

/// How many records have each state.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct States {
    alive: u64,
    unreachable: u64,
    unsent: u64,
    undecided: u64,
    unsettled: u64,
    unresolved: u64,
}

impl States {
    pub(super) fn add(&mut self, state: State) {
        *match state {
            State::Alive => &mut self.alive,
            State::Unreachable => &mut self.unreachable,
            State::Unsent => &mut self.unsent,
            State::Undecided => &mut self.undecided,
            State::Unsettled => &mut self.unsettled,
            State::Unresolved => &mut self.unresolved,
        } += 1;
    }
}

/// Whether late replies and ICMP errors came of a target that did not answer in time.
#[derive(Clone, Copy)]
pub(super) struct Silence {
    pub(super) was_late: bool,
    pub(super) has_errors: bool,
}

/// Why it is not alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    Timeout,
    IcmpError,
    Late,
    SendError,
    RepliesLostHere,
    NoReference,
    CutShort,
    ResolveError,
}

impl Reason {
    /// Why a target with this verdict is in this state.
    pub(super) fn of(state: State, verdict: Verdict, diagnosis: &Diagnosis, silence: Silence) -> Option<Reason> {
        match state {
            State::Alive => None,
            State::Unreachable if silence.was_late => Some(Reason::Late),
            State::Unreachable if silence.has_errors => Some(Reason::IcmpError),
            State::Unreachable => Some(Reason::Timeout),
            State::Undecided if diagnosis.no_reference => Some(Reason::NoReference),
            State::Undecided if verdict == Verdict::Undecided => Some(Reason::RepliesLostHere),
            State::Unsent | State::Undecided => Some(Reason::SendError),
            State::Unsettled => Some(Reason::CutShort),
            State::Unresolved => Some(Reason::ResolveError),
        }
    }
}

/// The last ICMP error about a target.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct LastError {
    icmp_type: Option<u8>,
    icmp_code: Option<u8>,
    icmp_name: Option<Text<IcmpName>>,
    icmp_from: Option<Text<Address>>,
    icmp_mtu: Option<u32>,
}

impl LastError {
    pub(super) fn new(last: Option<(IcmpError, Address)>) -> Self {
        let Some((error, from)) = last else { return LastError::default() };
        LastError {
            icmp_type: Some(error.msg_type),
            icmp_code: Some(error.code),
            icmp_name: Some(Text(IcmpName(error))),
            icmp_from: Some(Text(from)),
            icmp_mtu: error.mtu(),
        }
    }
}

/// The family of an address.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum FamilyName {
    Ipv4,
    Ipv6,
}

impl From<Family> for FamilyName {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => FamilyName::Ipv4,
            Family::V6 => FamilyName::Ipv6,
        }
    }
}

/// The default percentiles, where none are known.
#[derive(Clone, Copy, Default, Serialize)]
pub(super) struct NoPercentiles {
    rtt_p50_ns: Option<u64>,
    rtt_p90_ns: Option<u64>,
    rtt_p99_ns: Option<u64>,
}

/// Anything that is written as its text.
#[derive(Clone, Copy)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The name of an ICMP error.
#[derive(Clone, Copy)]
pub(super) struct IcmpName(IcmpError);

impl Display for IcmpName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.name().fmt(f)
    }
}

/// The name of an errno: `ENETUNREACH`.
pub(super) fn errno_name(errno: i32) -> Text<ErrnoName> {
    Text(ErrnoName(Errno::from_raw(errno)))
}

pub(super) struct ErrnoName(Errno);

impl Display for ErrnoName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// An RTT as it is written: in whole ticks, as the figures are.
pub(super) fn rtt_nanoseconds(rtt: Duration) -> u64 {
    let nanoseconds = nanoseconds(rtt);
    nanoseconds - nanoseconds % TICK.as_nanos() as u64
}

/// A time as it is written. 2^53 of them, which every reader can hold, are 104 days.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Which probe a packet is about, and when.
#[derive(Serialize)]
#[serde(bound(serialize = "T: Display"))]
pub(super) struct About<'a, T> {
    pub(super) time: Text<Rfc3339>,
    pub(super) target: Text<T>,
    pub(super) label: &'a str,
    pub(super) probe: u32,
}

/// A packet that arrived.
#[derive(Serialize)]
#[serde(bound(serialize = "T: Display"))]
pub(super) struct Arrival<'a, T> {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(flatten)]
    pub(super) about: About<'a, T>,
    pub(super) seq: u16,
    pub(super) bytes: usize,
    pub(super) ttl: Option<u8>,
    pub(super) rtt_ns: Option<u64>,
    pub(super) from: Option<Text<Address>>,
    #[serde(flatten)]
    pub(super) times: Option<Times>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) mask: Option<Text<Ipv4Addr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) route: Option<&'a [Ipv4Addr]>,
}

/// A probe that was not answered in time.
#[derive(Serialize)]
#[serde(tag = "type", rename = "timeout")]
#[serde(bound(serialize = "T: Display"))]
pub(super) struct TimedOut<'a, T> {
    #[serde(flatten)]
    pub(super) about: About<'a, T>,
}

/// An ICMP error about a probe.
#[derive(Serialize)]
#[serde(tag = "type", rename = "icmp-error")]
#[serde(bound(serialize = "T: Display"))]
pub(super) struct IcmpErrorRecord<'a, T> {
    #[serde(flatten)]
    about: About<'a, T>,
    icmp_type: u8,
    icmp_code: u8,
    icmp_name: Text<IcmpName>,
    icmp_from: Text<Address>,
    icmp_mtu: Option<u32>,
    icmp_pointer: Option<u32>,
    icmp_gateway: Option<Text<IpAddr>>,
}

impl<'a, T> IcmpErrorRecord<'a, T> {
    pub(super) fn new(about: About<'a, T>, error: IcmpError, from: Address) -> Self {
        IcmpErrorRecord {
            about,
            icmp_type: error.msg_type,
            icmp_code: error.code,
            icmp_name: Text(IcmpName(error)),
            icmp_from: Text(from),
            icmp_mtu: error.mtu(),
            icmp_pointer: error.pointer(),
            icmp_gateway: error.gateway().map(Text),
        }
    }
}

/// A probe that the kernel refused to send.
#[derive(Serialize)]
#[serde(tag = "type", rename = "send-error")]
#[serde(bound(serialize = "T: Display"))]
pub(super) struct SendError<'a, T> {
    #[serde(flatten)]
    pub(super) about: About<'a, T>,
    pub(super) errno: i32,
    pub(super) errno_name: Text<ErrnoName>,
}
