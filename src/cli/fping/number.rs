//! Numbers as fping takes them: leading blanks and a plus sign are allowed (OpenWISP passes `-c 5`
//! as one argument), anything else around a number is not.

use std::str;
use std::time::Duration;

/// The number behind leading blanks and a plus sign.
fn unsigned(text: &[u8]) -> Option<&str> {
    let text = text.trim_ascii_start();
    str::from_utf8(text.strip_prefix(b"+").unwrap_or(text)).ok()
}

/// A whole number in decimal.
pub(super) fn whole(text: &[u8]) -> Option<u32> {
    let digits = unsigned(text)?;
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// A whole number in decimal, hexadecimal (`0x10`) or octal (`010`).
pub(super) fn whole_of_any_base(text: &[u8]) -> Option<u32> {
    digits_of_any_base(unsigned(text)?)
}

/// The digits of such a number, without blank or sign before them.
pub fn digits_of_any_base(text: &str) -> Option<u32> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let (digits, base) = match (hexadecimal, text.strip_prefix('0')) {
        (Some(digits), _) => (digits, 16),
        (None, Some(digits)) if !digits.is_empty() => (digits, 8),
        _ => (text, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, base).ok() }
}

/// A decimal fraction, which may also be written with an exponent, or in hexadecimal.
pub(super) fn fraction(text: &[u8]) -> Option<f64> {
    let text = unsigned(text)?;
    if text.starts_with(['+', '-']) {
        return None;
    }
    let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok()? as f64,
        Some(_) => return None,
        None => text.parse().ok()?,
    };
    (number >= 0.0).then_some(number)
}

/// A time in milliseconds.
pub(super) fn milliseconds(text: &[u8]) -> Option<Duration> {
    fraction(text).map(|ms| Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_may_have_blanks_and_a_plus_in_front() {
        for (text, number) in [("5", 5), (" 5", 5), ("\t +5", 5), ("007", 7), ("4294967295", u32::MAX)] {
            assert_eq!(whole(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["", " ", "+", "-5", "5 ", "5q", "0x5", "1.5", "++5", "4294967296", "4294967297"] {
            assert_eq!(whole(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn the_type_of_service_may_be_hexadecimal_or_octal() {
        for (text, number) in [("0", 0), ("16", 16), ("0x10", 16), ("020", 16), (" +0X1f", 31)] {
            assert_eq!(whole_of_any_base(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["", "0x", "08", "0x+1", "-1", "1q"] {
            assert_eq!(whole_of_any_base(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn fractions_are_written_as_in_c() {
        for (text, number) in [("1e2", 100.0), (".5", 0.5), ("5.", 5.0), ("0x32", 50.0), (" +1.5", 1.5)] {
            assert_eq!(fraction(text.as_bytes()), Some(number), "{text:?}");
        }
        for text in ["", "-1", "+-1", "1q", "1 ", "nan", "0x", "1,5", "5s"] {
            assert_eq!(fraction(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(milliseconds(b"inf"), Some(Duration::MAX));
        assert_eq!(milliseconds(b"0.001"), Some(Duration::from_micros(1)));
    }
}
