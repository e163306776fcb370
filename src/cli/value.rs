//! What numbers and times look like on the command line: strictly so, because a value that is nearly right and silently
//! taken for another costs a night.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;
use std::time::Duration;

use crate::message::Error;
use crate::plan::Shape;

/// Why a value cannot be had.
pub(super) enum Bad {
    /// It is no such value; this is.
    Value(&'static str),
    /// Something worse.
    Error(Error),
}

/// A time in seconds, or with a unit.
pub(super) fn time(value: &OsStr) -> Option<Duration> {
    let text = value.to_str()?;
    let (number, unit) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 0.001),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    Duration::try_from_secs_f64(decimal(OsStr::new(number))? * unit).ok()
}

/// A decimal number as people write it: digits and at most one point. No sign, no exponent, no infinity.
pub(super) fn decimal(value: &OsStr) -> Option<f64> {
    let text = value.to_str()?;
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

pub(super) fn whole(value: &OsStr, range: RangeInclusive<u8>, wanted: &'static str) -> Result<u8, Bad> {
    within(digits(value), range, wanted)
}

/// A whole number without a sign.
pub(super) fn digits<T: FromStr>(value: &OsStr) -> Option<T> {
    value.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// Bytes in hexadecimal, two digits each, no more of them than a pattern may have.
pub(super) fn hex(value: &OsStr) -> Option<Vec<u8>> {
    let (pairs, odd) = value.as_bytes().as_chunks::<2>();
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let bytes = pairs.iter().map(|&[high, low]| u8::try_from(nibble(high)? << 4 | nibble(low)?).ok());
    let fits = odd.is_empty() && (1..=Shape::PATTERN).contains(&pairs.len());
    if fits { bytes.collect() } else { None }
}

pub(super) fn within<T: PartialOrd>(
    value: Option<T>,
    range: RangeInclusive<T>,
    wanted: &'static str,
) -> Result<T, Bad> {
    value.filter(|value| range.contains(value)).ok_or(Bad::Value(wanted))
}
