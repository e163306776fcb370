//! `-N`: charts for Netdata's plugin protocol.

use std::fmt::Write;

use crate::report::fping::{Figures, Ms, Name};

/// The lines of a target's figures in an interval. `typed` is its name as typed, which makes the
/// ids of its charts; with `first`, the number of seconds between two of them, they are defined.
pub fn charts(typed: Name, shown: Name, figures: &Figures, first: Option<f64>) -> String {
    let id: String = typed.to_string().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let mut text = String::new();
    let mut chart = |name: &str, head: &str, dimensions: &[&str], values: &[(&str, u64)]| {
        // Writing to a string does not fail.
        if let Some(seconds) = first {
            let _ = writeln!(text, "CHART fping.{id}_{name} '' {head} {seconds:.0}");
            dimensions.iter().for_each(|dimension| {
                let _ = writeln!(text, "DIMENSION {dimension}");
            });
        }
        let _ = writeln!(text, "BEGIN fping.{id}_{name}");
        values.iter().for_each(|(what, value)| {
            let _ = writeln!(text, "SET {what} = {value}");
        });
        let _ = writeln!(text, "END");
    };
    let Figures { sent, trips } = figures;
    chart(
        "packets",
        &format!("'FPing Packets' packets '{shown}' fping.packets line 110020"),
        &["xmt sent absolute 1 1", "rcv received absolute 1 1"],
        &[("xmt", u64::from(*sent)), ("rcv", trips.count)],
    );
    let returned = (100 * trips.count).checked_div(u64::from(*sent)).unwrap_or(0);
    chart(
        "quality",
        &format!("'FPing Quality' percentage '{shown}' fping.quality area 110010"),
        &["returned '' absolute 1 1"],
        &[("returned", returned)],
    );
    let times = trips.mean().map(|mean| [("min", trips.min()), ("avg", mean), ("max", trips.max())].map(nanos));
    chart(
        "latency",
        &format!("'FPing Latency' ms '{shown}' fping.latency area 110000"),
        &["min minimum absolute 1 1000000", "max maximum absolute 1 1000000", "avg average absolute 1 1000000"],
        times.as_ref().map_or(&[], |times| times),
    );
    text
}

fn nanos((what, time): (&'static str, Ms)) -> (&'static str, u64) {
    (what, time.nanos())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn charts_are_defined_once() {
        let mut figures = Figures::default();
        [Some(1000), Some(3000), None].into_iter().for_each(|rtt| figures.record(rtt.map(Duration::from_nanos)));
        let first = charts(Name(b"a-b.c"), Name(b"shown"), &figures, Some(10.0));
        let lines = [
            "CHART fping.a_b_c_packets '' 'FPing Packets' packets 'shown' fping.packets line 110020 10",
            "DIMENSION xmt sent absolute 1 1",
            "DIMENSION rcv received absolute 1 1",
            "BEGIN fping.a_b_c_packets",
            "SET xmt = 3",
            "SET rcv = 2",
            "END",
            "CHART fping.a_b_c_quality '' 'FPing Quality' percentage 'shown' fping.quality area 110010 10",
            "DIMENSION returned '' absolute 1 1",
            "BEGIN fping.a_b_c_quality",
            "SET returned = 66",
            "END",
            "CHART fping.a_b_c_latency '' 'FPing Latency' ms 'shown' fping.latency area 110000 10",
            "DIMENSION min minimum absolute 1 1000000",
            "DIMENSION max maximum absolute 1 1000000",
            "DIMENSION avg average absolute 1 1000000",
            "BEGIN fping.a_b_c_latency",
            "SET min = 1000",
            "SET avg = 2000",
            "SET max = 3000",
            "END",
            "",
        ];
        assert_eq!(first, lines.join("\n"));
        let later = charts(Name(b"a-b.c"), Name(b"shown"), &Figures::default(), None);
        let lines = [
            "BEGIN fping.a_b_c_packets",
            "SET xmt = 0",
            "SET rcv = 0",
            "END",
            "BEGIN fping.a_b_c_quality",
            "SET returned = 0",
            "END",
            "BEGIN fping.a_b_c_latency",
            "END",
            "",
        ];
        assert_eq!(later, lines.join("\n"));
    }
}
