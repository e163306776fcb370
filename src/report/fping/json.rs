//! `-J`: an object in each line. Names are escaped, and everything that is said is an object.

use std::fmt::Write;
use std::time::Duration;

use crate::report::Times;
use crate::report::fping::{Figures, Header, HeaderFields, Ms, Name, Stats, Trips};

/// Text in quotation marks.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            c if c.is_control() => write!(quoted, "\\u{:04x}", u32::from(c)),
            c => write!(quoted, "{c}"),
        };
    }
    quoted + "\""
}

fn ms(time: Ms) -> String {
    format!("{:.4}", time.nanos() as f64 / 1e6)
}

fn head(kind: &str, stamp: Option<&str>, name: Name) -> String {
    let stamp = stamp.map_or(String::new(), |stamp| format!("\"timestamp\": {}, ", quoted(stamp)));
    format!("{{\"{kind}\": {{{stamp}\"host\": {}", quoted(&name.to_string()))
}

/// A probe that was answered: with so many bytes of ICMP, after this time, from another address
/// if that is named, and with the header that is asked for.
pub fn json_reply(
    name: Name,
    stamp: Option<&str>,
    seq: u32,
    (bytes, rtt): (usize, Duration),
    times: Option<Times>,
    from: Option<&str>,
    (headers, header): (HeaderFields, &Header),
) -> String {
    let rtt = ms(rtt.into());
    let times = times.map_or(String::new(), timestamps);
    let from = from.map_or(String::new(), |from| format!(", \"src\": {}", quoted(from)));
    let header = headers.json(header);
    format!(
        "{}, \"seq\": {seq}, \"size\": {bytes}, \"rtt\": {rtt}{times}{from}{header}}}}}\n",
        head("resp", stamp, name)
    )
}

/// The times of day in a reply.
fn timestamps(times: Times) -> String {
    let originate = times.originate.unwrap_or_default();
    let [originate, receive, transmit, local] =
        [originate, times.receive, times.transmit, times.local].map(|time| time.0);
    format!(
        ", \"timestamps\": {{\"originate\": {originate}, \"receive\": {receive}, \"transmit\": {transmit}, \
         \"localreceive\": {local}}}"
    )
}

/// A probe that was not answered.
pub fn json_timeout(name: Name, stamp: Option<&str>, seq: u32) -> String {
    format!("{}, \"seq\": {seq}}}}}\n", head("timeout", stamp, name))
}

/// The figures of a target, with the outage at this period if there is one; `time`: those of an
/// interval that ends then, in seconds since 1970.
pub fn json_figures(name: Name, figures: &Figures, period: Option<Duration>, time: Option<u64>) -> String {
    let host = quoted(&name.to_string());
    let mut line = match time {
        Some(time) => format!("{{\"intSum\": {{\"time\": {time},\"host\": {host}"),
        None => format!("{{\"summary\": {{\"host\": {host}"),
    };
    let (sent, received) = (figures.sent, figures.trips.count);
    line += &format!(", \"xmt\": {sent}, \"rcv\": {received}, \"loss\": {}", figures.loss());
    if let Some(period) = period {
        line += &format!(", \"outage(ms)\": {}", figures.outage(period));
    }
    line + &trips(&figures.trips) + "}}\n"
}

fn trips(trips: &Trips) -> String {
    let Some(mean) = trips.mean() else { return String::new() };
    let [min, avg, max] = [trips.min(), mean, trips.max()].map(ms);
    format!(", \"rttMin\": {min}, \"rttAvg\": {avg}, \"rttMax\": {max}")
}

/// All round-trip times of a target.
pub fn json_values(name: Name, values: impl Iterator<Item = Option<Duration>>) -> String {
    let values = values.map(|value| value.map_or("null".to_owned(), |rtt| ms(rtt.into())));
    format!("{}, \"values\": [{}]}}}}\n", head("vSum", None, name), values.collect::<Vec<_>>().join(", "))
}

/// Something about a target.
pub fn json_warning(name: Name, message: &str) -> String {
    format!("{}, \"message\": {}}}}}\n", head("warning", None, name), quoted(message))
}

/// The summary.
pub fn json_stats(stats: &Stats) -> String {
    let counts = [
        ("targets", stats.targets),
        ("alive", stats.alive),
        ("unreachable", stats.unreachable),
        ("unknownAddresses", stats.unknown),
        ("timeouts", stats.timeouts),
        ("icmpEchosSent", stats.sent),
        ("icmpEchoRepliesReceived", stats.replies),
        ("otherIcmpReceived", stats.other),
    ];
    let counts: Vec<_> = counts.iter().map(|(what, count)| format!("\"{what}\": {count}")).collect();
    let (counts, trips, elapsed) = (counts.join(", "), trips(&stats.trips), stats.elapsed.as_secs_f64());
    format!("{{\"stats\": {{{counts}{trips}, \"elapsed\": {elapsed:.3}}}}}\n")
}

#[cfg(test)]
mod tests {
    use multiping::wire::HostTime;

    use super::*;

    const RTT: Duration = Duration::from_micros(182);

    #[test]
    fn objects_are_fpings() {
        let name = Name(b"a");
        let nothing = (HeaderFields::default(), &Header::default());
        let ttl =
            (HeaderFields { ttl: true, ..HeaderFields::default() }, &Header { ttl: Some(63), ..Header::default() });
        let reply = json_reply(name, None, 0, (64, RTT), None, None, nothing);
        assert_eq!(reply, "{\"resp\": {\"host\": \"a\", \"seq\": 0, \"size\": 64, \"rtt\": 0.1820}}\n");
        let reply = json_reply(name, Some("1.5"), 1, (64, RTT), None, Some("::1"), ttl);
        let expected = "\"host\": \"a\", \"seq\": 1, \"size\": 64, \"rtt\": 0.1820, \"src\": \"::1\", \"ttl\": 63}}\n";
        assert_eq!(reply, format!("{{\"resp\": {{\"timestamp\": \"1.5\", {expected}"));
        let [originate, receive, transmit, local] = [1, 2, 3, 4].map(HostTime);
        let times = Times { originate: Some(originate), receive, transmit, local };
        let reply = json_reply(name, None, 0, (20, RTT), Some(times), None, nothing);
        let expected = r#""timestamps": {"originate": 1, "receive": 2, "transmit": 3, "localreceive": 4}}}"#;
        assert!(reply.ends_with(&format!("\"rtt\": 0.1820, {expected}\n")), "{reply}");
        assert_eq!(json_timeout(name, None, 1), "{\"timeout\": {\"host\": \"a\", \"seq\": 1}}\n");
        let mut figures = Figures::default();
        [Some(RTT), None].into_iter().for_each(|rtt| figures.record(rtt));
        let rest = "\"host\": \"a\", \"xmt\": 2, \"rcv\": 1, \"loss\": 50";
        let times = ", \"rttMin\": 0.1820, \"rttAvg\": 0.1820, \"rttMax\": 0.1820}}\n";
        assert_eq!(json_figures(name, &figures, None, None), format!("{{\"summary\": {{{rest}{times}"));
        let period = Some(Duration::from_secs(1));
        let outage = ", \"outage(ms)\": 1000";
        let line = json_figures(name, &figures, period, Some(9));
        assert_eq!(line, format!("{{\"intSum\": {{\"time\": 9,{rest}{outage}{times}"));
        let values = json_values(name, [Some(RTT), None].into_iter());
        assert_eq!(values, "{\"vSum\": {\"host\": \"a\", \"values\": [0.1820, null]}}\n");
        let stats = json_stats(&Stats { targets: 1, ..Stats::default() });
        assert!(stats.starts_with("{\"stats\": {\"targets\": 1, \"alive\": 0, "), "{stats}");
        assert!(stats.ends_with(", \"otherIcmpReceived\": 0, \"elapsed\": 0.000}}\n"), "{stats}");
    }

    #[test]
    fn names_are_escaped() {
        let line = json_warning(Name(b"a\"\\\x1b\n"), "no");
        let expected = r#"{"warning": {"host": "a\"\\\u001b\u000a", "message": "no"}}"#;
        assert_eq!(line, format!("{expected}\n"));
    }
}
