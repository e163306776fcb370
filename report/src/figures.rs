//! Figures as text: times, shares, counts. Every output for people has them from here.

/// How bad a loss is: none, up to 2 %, up to 10 %, up to 30 %, more.
pub const LOSS_CLASSES: [&str; 5] = ["0", "≤2 %", "≤10 %", "≤30 %", "more"];

/// The place of a loss in [`LOSS_CLASSES`].
pub fn loss_class(loss: f64) -> usize {
    [0.0, 0.02, 0.1, 0.3].iter().position(|most| loss <= *most).unwrap_or(4)
}

/// A percentile as it is named, from thousandths of a percent: 99.9.
pub fn percentile_name(thousandths: u32) -> String {
    (f64::from(thousandths) / 1000.0).to_string()
}

/// A share in percent with one decimal. It is 0 or 100 only if it is exactly so.
pub fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round();
    match share {
        _ if share <= 0.0 => "0 %".to_owned(),
        _ if share >= 1.0 => "100 %".to_owned(),
        _ if tenths < 1.0 => "<0.1 %".to_owned(),
        _ if tenths > 999.0 => ">99.9 %".to_owned(),
        _ => format!("{:.1} %", tenths / 10.0),
    }
}

/// The share of `part` in `whole`; none of nothing.
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// An RTT with its unit and three significant digits.
pub fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        // What would be rounded up to the next unit is in that unit.
        0..999_500 => (ns as f64 / 1e3, "µs"),
        999_500..999_500_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    match value {
        _ if ns == 0 => format!("0 {unit}"),
        _ if value < 9.995 => format!("{value:.2} {unit}"),
        _ if value < 99.95 => format!("{value:.1} {unit}"),
        _ => format!("{value:.0} {unit}"),
    }
}

/// An RTT in milliseconds with three decimals.
pub fn milliseconds(ns: u64) -> String {
    format!("{:.3}", ns as f64 / 1e6)
}

/// A length of time in the units of a clock.
pub fn span(ns: u64) -> String {
    let seconds = ns / 1_000_000_000;
    match seconds {
        0..60 => time(ns),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A number with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number and its noun: `1 target`, `2 targets`.
pub fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// What does not belong on a terminal or in a line of a table is escaped.
pub fn printable(text: &str) -> String {
    let escape = |c: char| -> String { if c.is_control() { c.escape_default().to_string() } else { c.to_string() } };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_exact_at_both_ends() {
        let cases = [(0, 10, "0 %"), (10, 10, "100 %"), (1, 10_000, "<0.1 %"), (9_999, 10_000, ">99.9 %")];
        for (part, whole, text) in cases {
            assert_eq!(percent(share(part, whole).expect("a share")), text);
        }
        assert_eq!(percent(1.0 / 3.0), "33.3 %");
        assert_eq!(percent(0.99949), "99.9 %");
        assert_eq!(share(0, 0), None);
    }

    #[test]
    fn times_have_three_digits() {
        let cases = [
            (0, "0 µs"),
            (100, "0.10 µs"),
            (9_996, "10.0 µs"),
            (365_100, "365 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (1_234_567, "1.23 ms"),
            (45_678_000, "45.7 ms"),
            (999_600_000, "1.00 s"),
            (5_010_000_000, "5.01 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(time(ns), text);
        }
        assert_eq!(span(14_000_000_000), "14.0 s");
        assert_eq!(span(3_725_000_000_000), "1 h 02 min");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(counted(1, "target"), "1 target");
    }

    #[test]
    fn losses_have_classes() {
        let classes = [0.0, 0.02, 0.021, 0.1, 0.3, 0.31, 1.0].map(loss_class);
        assert_eq!(classes, [0, 1, 2, 2, 3, 4, 4]);
    }
}
