//! Axes: where a value stands, and which values are written.

use crate::figures::time;
use crate::svg::draw::{Anchor, Canvas};

/// An axis of RTTs. What is beyond its end stands at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    log: bool,
    low: f64,
    high: f64,
    /// Where its low end is.
    from: f64,
    /// Where its high end is.
    to: f64,
}

impl Scale {
    /// For one target: linear to about twice its p95, so that an outlier does not flatten the rest,
    /// or logarithmic if the RTTs differ much.
    pub fn of_target(min: u64, p95: u64, max: u64, from: f64, to: f64) -> Self {
        let (min, p95, max) = (min.max(100) as f64, p95.max(100) as f64, max.max(100) as f64);
        if p95 / min > 12.0 {
            return Self::logarithmic(min as u64, max as u64, from, to);
        }
        let spread = p95 - min;
        // Of RTTs that hardly differ, the differences are worth seeing.
        let low = if p95 < 1.6 * min { 0.8 * min } else { 0.0 };
        let high = (p95 + 3.0 * spread).clamp(1.2 * p95, 2.0 * p95);
        Scale { log: false, low, high, from, to }
    }

    /// From the shortest to the longest, by powers.
    pub fn logarithmic(min: u64, max: u64, from: f64, to: f64) -> Self {
        let low = min.max(100) as f64 / 1.15;
        Scale { log: true, low, high: (max as f64 * 1.15).max(low * 4.0), from, to }
    }

    /// Where this RTT stands.
    pub fn place(&self, ns: u64) -> f64 {
        let value = (ns as f64).clamp(self.low.max(1.0), self.high);
        let share = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Whether this RTT is beyond the end.
    pub fn is_beyond(&self, ns: u64) -> bool {
        ns as f64 > self.high
    }

    /// Whether the axis is by powers.
    pub fn is_logarithmic(&self) -> bool {
        self.log
    }

    /// At most so many values to write.
    pub fn ticks(&self, most: usize) -> Vec<u64> {
        let all = |values: Vec<f64>| values.into_iter().filter(|v| *v >= self.low && *v <= self.high).map(|v| v as u64);
        if self.log {
            // 1, 2 and 5 of each power; or only 1; or every second, third power.
            for (steps, powers) in [(&[1.0, 2.0, 5.0][..], 1), (&[1.0, 3.0], 1), (&[1.0], 1), (&[1.0], 2), (&[1.0], 3)]
            {
                let decade = |power: i32| steps.iter().map(move |step| step * 10_f64.powi(power));
                let ticks: Vec<u64> = all((2..12).step_by(powers).flat_map(decade).collect()).collect();
                if ticks.len() <= most.max(2) {
                    return ticks;
                }
            }
            return Vec::new();
        }
        let step = (-2..12).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)));
        let step =
            step.into_iter().find(|step| (self.high - self.low) / step <= most as f64 + 0.9).unwrap_or(self.high);
        let first = (self.low / step).ceil() as u64;
        all((0..=most as u64).map(|place| (first + place) as f64 * step).collect()).collect()
    }
}

/// An RTT as it stands at an axis, without needless zeros.
pub fn tick(ns: u64) -> String {
    if ns == 0 {
        return "0".to_owned();
    }
    let text = time(ns);
    let (number, unit) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number} {unit}")
}

/// Lengths of time that read well, in seconds.
const STEPS: [f64; 27] = [
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    1200.0, 1800.0, 3600.0, 7200.0, 10_800.0, 21_600.0, 43_200.0, 86_400.0,
];

/// Draws the axis of time below an area: ticks, and times since the begin.
pub fn time_axis(canvas: &mut Canvas, x: f64, y: f64, width: f64, length: i64, most: usize) {
    let seconds = length as f64 / 1e9;
    let days = (seconds / 86_400.0 / most as f64).ceil() * 86_400.0;
    let step = STEPS.iter().copied().find(|step| seconds / step <= most as f64).unwrap_or(days);
    canvas.line((x, y), (x + width, y), "axis");
    let mut place = 0.0;
    while place <= seconds * 1.0001 {
        let at = x + place / seconds * width;
        canvas.line((at, y), (at, y + 4.0), "axis");
        canvas.text(at, y + 16.0, "t2", Anchor::Middle, &clock(place, step, seconds));
        place += step;
    }
}

/// What the times at an axis of this length are.
pub fn clock_unit(length: i64) -> &'static str {
    match length / 1_000_000_000 {
        0..60 => "s",
        60..7200 => "min:s",
        7200..172_800 => "h:min",
        _ => "days",
    }
}

fn clock(at: f64, step: f64, length: f64) -> String {
    let whole = at.round() as u64;
    if length < 60.0 {
        let decimals = (-step.log10()).ceil().clamp(0.0, 3.0) as usize;
        return format!("{at:.decimals$}");
    }
    if length < 7200.0 {
        return format!("{}:{:02}", whole / 60, whole % 60);
    }
    if length < 172_800.0 {
        return format!("{}:{:02}", whole / 3600, whole / 60 % 60);
    }
    let (days, hours) = (whole / 86_400, whole / 3600 % 24);
    if hours == 0 { format!("{days}") } else { format!("{days} d {hours} h") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_does_not_flatten_the_rest() {
        let scale = Scale::of_target(18_000_000, 28_000_000, 9_000_000_000, 100.0, 0.0);
        assert!(!scale.is_logarithmic() && scale.is_beyond(9_000_000_000));
        assert!(scale.place(18_000_000) - scale.place(28_000_000) > 20.0);
        assert_eq!(scale.place(9_000_000_000), 0.0);
        // 2 ms and 2 s together.
        let scale = Scale::of_target(2_000_000, 2_000_000_000, 2_100_000_000, 100.0, 0.0);
        assert!(scale.is_logarithmic() && !scale.is_beyond(2_100_000_000));
        assert!(scale.place(2_000_000) - scale.place(2_000_000_000) > 50.0);
    }

    #[test]
    fn there_are_some_ticks_and_not_too_many() {
        for min in [0, 100, 341_200, 18_000_000, 2_000_000_000] {
            for factor in [1, 2, 11, 13, 1000, 100_000] {
                for most in [3, 8] {
                    let scale = Scale::of_target(min, min * factor, min * factor * 3, 100.0, 0.0);
                    let ticks = scale.ticks(most);
                    assert!((1..=most + 1).contains(&ticks.len()), "{min} {factor} {most}: {ticks:?}");
                    assert!(ticks.is_sorted());
                }
            }
        }
    }

    #[test]
    fn ticks_are_written_short() {
        assert_eq!([20_000_000, 500_000, 1_500_000_000].map(tick), ["20 ms", "500 µs", "1.5 s"]);
        assert_eq!(clock(150.0, 150.0, 900.0), "2:30");
        assert_eq!(clock(0.5, 0.5, 3.0), "0.5");
        assert_eq!(clock(108_000.0, 3600.0, 200_000.0), "1 d 6 h");
    }
}
