//! The syntax of numbers and times on the command line. It is strict, because a mistyped value that
//! is accepted as another one is hard to find.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;
use std::time::Duration;

use multiping::plan::OutOfRange;

use crate::message::Error;

/// Why a value is refused.
pub(super) enum ValueError {
    /// It has the wrong syntax or is out of range; this is what the option accepts.
    Invalid(&'static str),
    /// It has the right syntax, but cannot be used.
    Unusable(Error),
}

impl ValueError {
    /// The error to report about `option`.
    pub(super) fn about(self, option: String, value: &OsStr) -> Error {
        match self {
            ValueError::Invalid(expected) => Error::BadValue { option, value: value.as_bytes().into(), expected },
            ValueError::Unusable(error) => error,
        }
    }
}

impl From<Error> for ValueError {
    fn from(error: Error) -> Self {
        ValueError::Unusable(error)
    }
}

/// A time in seconds, or with a unit.
pub(super) fn parse_time(value: &OsStr) -> Option<Duration> {
    const UNITS: [(&str, f64); 3] = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let text = value.to_str()?;
    let with_unit = UNITS.iter().find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit)));
    let (number, unit) = with_unit.unwrap_or((text, 1.0));
    Duration::try_from_secs_f64(parse_decimal(OsStr::new(number))? * unit).ok()
}

/// A decimal number: digits and at most one point. No sign, no exponent, no infinity.
pub(super) fn parse_decimal(value: &OsStr) -> Option<f64> {
    let text = value.to_str()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

/// A whole number in `range`.
pub(super) fn parse_u8(value: &OsStr, range: RangeInclusive<u8>, expected: &'static str) -> Result<u8, ValueError> {
    in_range(parse_unsigned(value), range, expected)
}

/// A whole number without a sign.
pub(super) fn parse_unsigned<T: FromStr>(value: &OsStr) -> Option<T> {
    value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Bytes in hexadecimal, two digits each, at least one.
pub(super) fn parse_hex(value: &OsStr) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let bytes = value.as_bytes().chunks(2).map(|pair| match *pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    });
    bytes.collect::<Option<Vec<u8>>>().filter(|bytes| !bytes.is_empty())
}

/// The result of `check`, if there is a value and it is in range.
pub(super) fn checked<T, U>(
    value: Option<T>,
    check: impl FnOnce(T) -> Result<U, OutOfRange>,
    expected: &'static str,
) -> Result<U, ValueError> {
    value.and_then(|value| check(value).ok()).ok_or(ValueError::Invalid(expected))
}

/// The value, if there is one and it is in `range`.
pub(super) fn in_range<T: PartialOrd>(
    value: Option<T>,
    range: RangeInclusive<T>,
    expected: &'static str,
) -> Result<T, ValueError> {
    value.filter(|value| range.contains(value)).ok_or(ValueError::Invalid(expected))
}
