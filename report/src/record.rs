//! The records of `xymonping --json`, as far as they are used here, and their time stamps.
//!
//! Keys and types of records that are unknown are skipped, as the schema demands of its readers. A
//! key that is missing is an error only if nothing can be shown without it.

use std::borrow::Cow;
use std::fmt::{self, Formatter};
use std::time::{Duration, UNIX_EPOCH};

use serde::de::{self, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// The version of the schema that this program knows.
pub const SCHEMA: u64 = 1;

/// A point in time: nanoseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl Time {
    /// RFC 3339, UTC, to the second, with a blank for the `T`.
    pub fn date_and_time(self) -> String {
        let text = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_nanos(self.0.max(0) as u64));
        text.to_string().replace('T', " ").replace('Z', " UTC")
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Cow<'de, str> = Text::deserialize(deserializer)?.0;
        let time = humantime::parse_rfc3339(&text).map_err(de::Error::custom)?;
        let since = time.duration_since(UNIX_EPOCH).map_err(de::Error::custom)?;
        Ok(Time(i64::try_from(since.as_nanos()).map_err(de::Error::custom)?))
    }
}

/// A string that is borrowed from the line if it has no escapes.
#[derive(Deserialize)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The type of a record.
#[derive(Deserialize)]
pub struct Kind<'a> {
    /// `start`, `target`, `reply` and so on.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
}

/// A value; null is none.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// What a run does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each target is asked until it has answered.
    #[default]
    Batch,
    /// A number of probes to each target.
    Count,
    /// Probes until interrupted.
    Loop,
}

/// The first record of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Start {
    /// The version of the schema.
    pub schema: u64,
    /// The version of the program.
    #[serde(default, deserialize_with = "or_default")]
    pub version: String,
    /// The name of the run; may be empty.
    #[serde(default, deserialize_with = "or_default")]
    pub run: String,
    /// When it started.
    pub time: Time,
    /// What it does.
    pub mode: Mode,
    /// Accepted lines.
    #[serde(default, deserialize_with = "or_default")]
    pub targets: u64,
    /// Probes to each target.
    #[serde(default)]
    pub count: Option<u64>,
    /// Between two probes to a target.
    #[serde(default)]
    pub period_ns: Option<u64>,
    /// Until a probe counts as not answered in time.
    #[serde(default)]
    pub timeout_ns: Option<u64>,
    /// How long after its timeout a reply is still known.
    #[serde(default)]
    pub late_ns: Option<u64>,
}

/// How a target ended. In this order targets are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was asked and did not answer in time.
    Unreachable,
    /// Its name has no address.
    Unresolved,
    /// No probe left the prober's machine.
    Unsent,
    /// Replies were lost on the prober's machine.
    Undecided,
    /// The run ended first.
    Unsettled,
    /// It answered in time.
    Alive,
}

impl State {
    /// All states, in the order in which programs list them.
    pub const ALL: [State; 6] =
        [State::Alive, State::Unreachable, State::Unsent, State::Undecided, State::Unsettled, State::Unresolved];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            State::Alive => "alive",
            State::Unreachable => "unreachable",
            State::Unsent => "unsent",
            State::Undecided => "undecided",
            State::Unsettled => "unsettled",
            State::Unresolved => "unresolved",
        }
    }
}

/// The figures of one accepted line of the list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[expect(missing_docs, reason = "the schema describes the keys")]
pub struct Target {
    pub target: String,
    #[serde(default, deserialize_with = "or_default")]
    pub label: String,
    #[serde(default)]
    pub family: Option<String>,
    pub state: State,
    #[serde(default)]
    pub reason: Option<String>,
    pub sent: u64,
    pub received: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub late: u64,
    pub lost: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub duplicates: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub damaged: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub elsewhere: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub reordered: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub icmp_errors: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub send_errors: u64,
    #[serde(default)]
    pub icmp_name: Option<String>,
    #[serde(default)]
    pub icmp_from: Option<String>,
    #[serde(default)]
    pub icmp_mtu: Option<u64>,
    #[serde(default)]
    pub errno_name: Option<String>,
    #[serde(default)]
    pub ttl: Option<u64>,
    #[serde(default, deserialize_with = "or_default")]
    pub samples: u64,
    #[serde(default)]
    pub rtt_min_ns: Option<u64>,
    #[serde(default)]
    pub rtt_mean_ns: Option<u64>,
    #[serde(default)]
    pub rtt_max_ns: Option<u64>,
    #[serde(default)]
    pub rtt_stddev_ns: Option<u64>,
    #[serde(default)]
    pub jitter_ns: Option<u64>,
    #[serde(default)]
    pub longest_outage_ns: Option<u64>,
    #[serde(default)]
    pub longest_loss_run: Option<u64>,
    /// The RTT of each probe, in order; none if it was lost.
    #[serde(default)]
    pub rtts_ns: Option<Vec<Option<u64>>>,
    /// Low and high edge, and how many RTTs lie between.
    #[serde(default)]
    pub histogram: Option<Vec<(u64, u64, u64)>>,
    /// Percentiles of the RTTs: thousandths of a percent, and ns.
    #[serde(flatten, deserialize_with = "percentiles")]
    pub percentiles: Vec<(u32, u64)>,
}

impl Target {
    /// Of the probes whose fate is known, how many were lost; none if none was sent.
    pub fn loss(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.lost as f64 / self.sent as f64)
    }

    /// One percentile of the RTTs, in thousandths of a percent, as far as the record has it.
    pub fn percentile(&self, thousandths: u32) -> Option<u64> {
        self.percentiles.iter().find(|(known, _)| *known == thousandths).map(|(_, ns)| *ns)
    }

    /// The median of the RTTs, as far as the record has it.
    pub fn median(&self) -> Option<u64> {
        self.percentile(50_000)
    }

    /// What stands for the RTT of the target where one figure has to do.
    pub fn typical(&self) -> Option<u64> {
        self.median().or(self.rtt_mean_ns).or(self.rtt_min_ns)
    }
}

/// Thousandths of a percent, from the key of a percentile: `rtt_p99_9_ns` is 99,900.
pub fn percentile_of(key: &str) -> Option<u32> {
    let digits = key.strip_prefix("rtt_p")?.strip_suffix("_ns")?;
    let (whole, part) = digits.split_once('_').unwrap_or((digits, "0"));
    if part.is_empty() || part.len() > 3 {
        return None;
    }
    let thousandths = part.parse::<u32>().ok()? * 10_u32.pow(3 - part.len() as u32);
    Some(whole.parse::<u32>().ok().filter(|whole| *whole <= 100)? * 1000 + thousandths)
}

/// Of the keys that have no field of their own, those of percentiles.
fn percentiles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(u32, u64)>, D::Error> {
    struct Percentiles;
    impl<'de> Visitor<'de> for Percentiles {
        type Value = Vec<(u32, u64)>;

        fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
            f.write_str("keys with values")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut found = Vec::new();
            while let Some(key) = map.next_key::<Text<'de>>()? {
                match percentile_of(&key.0) {
                    Some(percent) => found.extend(map.next_value::<Option<u64>>()?.map(|ns| (percent, ns))),
                    None => drop(map.next_value::<IgnoredAny>()?),
                }
            }
            found.sort_unstable();
            Ok(found)
        }
    }
    deserializer.deserialize_map(Percentiles)
}

/// What one packet, or its absence, was.
#[derive(Deserialize)]
pub struct Packet<'a> {
    /// When.
    pub time: Time,
    /// Whose.
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    /// Its label.
    #[serde(borrow, default)]
    pub label: Option<Text<'a>>,
    /// Which probe to this target.
    #[serde(default, deserialize_with = "or_default")]
    pub probe: u64,
    /// The RTT of a reply.
    #[serde(default)]
    pub rtt_ns: Option<u64>,
    /// The TTL of a reply.
    #[serde(default)]
    pub ttl: Option<u64>,
}

/// The figures of one target in one interval of a run.
#[derive(Deserialize)]
pub struct Interval<'a> {
    /// When the interval ended.
    pub time: Time,
    /// Whose.
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    /// Its label.
    #[serde(borrow, default)]
    pub label: Option<Text<'a>>,
    /// Probes whose fate became known in it.
    pub sent: u64,
    /// Answered in time.
    pub received: u64,
    /// Answered late.
    #[serde(default, deserialize_with = "or_default")]
    pub late: u64,
    /// Neither.
    pub lost: u64,
    /// The shortest RTT.
    #[serde(default)]
    pub rtt_min_ns: Option<u64>,
    /// The mean RTT.
    #[serde(default)]
    pub rtt_mean_ns: Option<u64>,
    /// The longest RTT.
    #[serde(default)]
    pub rtt_max_ns: Option<u64>,
}

/// A line of the list that is no target.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Rejected {
    /// The line of the list.
    pub line: u64,
    /// What it says.
    pub text: String,
    /// Why it was rejected.
    pub why: String,
}

/// The last record of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct End {
    /// The version of the schema.
    pub schema: u64,
    /// When it ended.
    pub time: Time,
    /// Whether it was completed.
    pub complete: bool,
    /// What cut it short.
    #[serde(default)]
    pub cut_short: Option<Value>,
    /// The exit code.
    pub exit: u8,
    /// How long it took.
    pub duration_ns: u64,
    /// Packets that the kernel threw away.
    #[serde(default, deserialize_with = "or_default")]
    pub kernel_drops: u64,
    /// What failed on the prober's machine.
    #[serde(default, deserialize_with = "or_default")]
    pub failures: Vec<String>,
    /// What it warned of.
    #[serde(default, deserialize_with = "or_default")]
    pub warnings: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_percentiles_are_understood() {
        for (key, expected) in [
            ("rtt_p50_ns", Some(50_000)),
            ("rtt_p99_9_ns", Some(99_900)),
            ("rtt_p0_001_ns", Some(1)),
            ("rtt_p100_ns", Some(100_000)),
            ("rtt_p101_ns", None),
            ("rtt_p_ns", None),
            ("rtt_p9__ns", None),
            ("rtt_mean_ns", None),
        ] {
            assert_eq!(percentile_of(key), expected, "{key}");
        }
    }

    #[test]
    fn times_are_read_and_written() {
        let time: Time = serde_json::from_str("\"2026-11-26T10:36:00.000123Z\"").expect("a time");
        assert_eq!(time, Time(1_795_689_360_000_123_000));
        assert_eq!(time.date_and_time(), "2026-11-26 10:36:00 UTC");
    }
}
