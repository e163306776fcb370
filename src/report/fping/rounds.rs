//! Count mode and loop mode: the line of each probe, and the figures of each target.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::report::fping::{Ms, Name, Trips};

/// A name with blanks up to the width of the longest one, and a colon.
#[derive(Clone, Copy, Debug)]
pub struct Label<'a> {
    /// The name.
    pub name: Name<'a>,
    /// The width of the longest one.
    pub width: usize,
}

impl Display for Label<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Label { name, width } = self;
        write!(f, "{name:width$} :")
    }
}

/// The figures of one target, from the start or in an interval. Only probes that were answered or
/// have timed out are in them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// How many probes were settled.
    pub sent: u32,
    /// The round-trip times of those that were answered.
    pub trips: Trips,
}

impl Figures {
    /// A probe was answered after this time, or not at all.
    pub fn record(&mut self, rtt: Option<Duration>) {
        self.sent = self.sent.saturating_add(1);
        if let Some(rtt) = rtt {
            self.trips.add(rtt);
        }
    }

    /// How many probes were lost.
    pub fn lost(&self) -> u64 {
        u64::from(self.sent).saturating_sub(self.trips.count)
    }

    /// The loss in percent, cut: 2 of 3 are 66.
    pub fn loss(&self) -> u64 {
        (100 * self.lost()).checked_div(self.sent.into()).unwrap_or(0)
    }

    /// The time lost to silence, in milliseconds, where probes are sent once a period.
    pub fn outage(&self, period: Duration) -> u64 {
        (u128::from(self.lost()) * period.as_nanos() / 1_000_000) as u64
    }
}

/// The line of a probe: the number of it, and if it was answered how many bytes of ICMP came after
/// which time. `so_far` includes it.
pub fn probe_line(label: Label, seq: u32, reply: Option<(usize, Duration)>, so_far: &Figures) -> String {
    let mean = so_far.trips.mean().map_or("NaN".to_owned(), |mean| mean.to_string());
    let loss = so_far.loss();
    match reply {
        Some((bytes, rtt)) => {
            let rtt = Ms::from(rtt);
            format!("{label} [{seq}], {bytes} bytes, {rtt} ms ({mean} avg, {loss}% loss)")
        }
        None => format!("{label} [{seq}], timed out ({mean} avg, {loss}% loss)"),
    }
}

/// The line of a target's figures, with the outage at this period if there is one.
pub fn figures_line(label: Label, figures: &Figures, period: Option<Duration>) -> String {
    let Figures { sent, trips } = figures;
    let mut line = format!("{label} xmt/rcv/%loss = {sent}/{}/{}%", trips.count, figures.loss());
    if let Some(period) = period {
        line += &format!(", outage(ms) = {}", figures.outage(period));
    }
    if let Some(mean) = trips.mean() {
        line += &format!(", min/avg/max = {}/{mean}/{}", trips.min(), trips.max());
    }
    line + "\n"
}

/// The line of all round-trip times of a target; `None`: the probe was not answered.
pub fn values_line(label: Label, values: impl Iterator<Item = Option<Duration>>) -> String {
    let mut line = label.to_string();
    for value in values {
        line += " ";
        line += &value.map_or("-".to_owned(), |rtt| Ms::from(rtt).to_string());
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABEL: Label<'_> = Label { name: Name(b"a"), width: 4 };

    fn figures(rtts: &[Option<u64>]) -> Figures {
        let mut figures = Figures::default();
        rtts.iter().for_each(|rtt| figures.record(rtt.map(Duration::from_micros)));
        figures
    }

    #[test]
    fn lines_of_probes() {
        let rtt = Duration::from_micros(1500);
        let line = probe_line(LABEL, 1, Some((64, rtt)), &figures(&[None, None, Some(1500)]));
        assert_eq!(line, "a    : [1], 64 bytes, 1.50 ms (1.50 avg, 66% loss)");
        let line = probe_line(LABEL, 0, None, &figures(&[None]));
        assert_eq!(line, "a    : [0], timed out (NaN avg, 100% loss)");
    }

    #[test]
    fn lines_of_figures() {
        let some = figures(&[Some(1000), None, Some(2000)]);
        assert_eq!(figures_line(LABEL, &some, None), "a    : xmt/rcv/%loss = 3/2/33%, min/avg/max = 1.00/1.50/2.00\n");
        let none = figures(&[None, None]);
        let period = Duration::from_micros(500_700);
        assert_eq!(figures_line(LABEL, &none, Some(period)), "a    : xmt/rcv/%loss = 2/0/100%, outage(ms) = 1001\n");
        assert_eq!(figures_line(LABEL, &figures(&[]), None), "a    : xmt/rcv/%loss = 0/0/0%\n");
    }

    #[test]
    fn averages_never_overflow() {
        let long = figures(&[Some(3_000_000), Some(3_100_000)]);
        let line = figures_line(Label { name: Name(b"a"), width: 1 }, &long, None);
        assert_eq!(line, "a : xmt/rcv/%loss = 2/2/0%, min/avg/max = 3000/3050/3100\n");
    }

    #[test]
    fn lines_of_values_have_a_column_for_each_probe() {
        let values = [Some(39), None, Some(12_300)].map(|value| value.map(Duration::from_micros));
        assert_eq!(values_line(LABEL, values.into_iter()), "a    : 0.039 - 12.3\n");
    }
}
