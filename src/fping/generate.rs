//! `-g`: all addresses of a range or a network.

use std::net::IpAddr;
use std::str;

use multiping::alloc::OutOfMemory;

use crate::fping::numeric;
use crate::fping::words::Words;
use crate::list::generate::Range;
use crate::message;

/// The most addresses of one range.
const MAX: u128 = 131_072;

/// Why a range has no addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadRange {
    /// It is empty: nothing is said.
    Empty,
    /// The help text says what is expected.
    Usage,
    /// A message that begins with the program's name and this.
    Said(String),
    /// There is no memory for it.
    Memory(OutOfMemory),
}

/// The addresses of the operands of `-g`, in ascending order.
pub(super) fn generate(operands: &[&[u8]]) -> Result<Words, BadRange> {
    let (range, zone) = match operands {
        [network] => network_range(network)?,
        [first, last] => first_and_last(first, last)?,
        _ => return Err(BadRange::Usage),
    };
    if range.more() >= MAX {
        return Err(said(": -g parameter generates too many addresses"));
    }
    let mut words = Words::default();
    for ip in range.addresses() {
        words.push(format!("{ip}{zone}").as_bytes()).map_err(BadRange::Memory)?;
    }
    Ok(words)
}

fn said(text: impl Into<String>) -> BadRange {
    BadRange::Said(text.into())
}

/// The range of `ADDRESS/LENGTH`, and its zone with the percent sign.
fn network_range(network: &[u8]) -> Result<(Range, String), BadRange> {
    let text = str::from_utf8(network).map_err(|_| BadRange::Usage)?;
    let (address, length) = text.split_once('/').ok_or(BadRange::Usage)?;
    if length.contains('%') {
        return Err(said(": address scope must precede prefix length"));
    }
    let (ip, zone) =
        parse(address).ok_or_else(|| said(format!(", can't parse address {address}: {}", numeric::NOT_KNOWN)))?;
    let digits = length.bytes().all(|byte| byte.is_ascii_digit());
    let length: u32 = if digits { length.parse().map_err(|_| BadRange::Usage)? } else { return Err(BadRange::Usage) };
    let (least, most) = if ip.is_ipv4() { (1, 32) } else { (65, 128) };
    if !(least..=most).contains(&length) {
        return Err(said(format!(": netmask must be between {least} and {most} (is: {length})")));
    }
    Ok((Range::network(ip, length), zone))
}

fn first_and_last(first: &[u8], last: &[u8]) -> Result<(Range, String), BadRange> {
    let parse = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        parse(&text).ok_or_else(|| said(format!(": can't parse address {text}: {}", numeric::NOT_KNOWN)))
    };
    let ((first, zone), (last, other_zone)) = (parse(first)?, parse(last)?);
    if first.is_ipv6() && last.is_ipv6() && zone != other_zone {
        return Err(said(": different scopes for start and end addresses"));
    }
    match Range::between(first, last) {
        Ok(range) => Ok((range, zone)),
        Err(message::BadRange::Descending) => Err(BadRange::Empty),
        Err(_) => Err(said(": start and end addresses are of different families")),
    }
}

/// An address, and its zone with the percent sign.
fn parse(text: &str) -> Option<(IpAddr, String)> {
    let (address, zone) = match text.find('%') {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    match numeric::ipv4(address) {
        Some(ip) if zone.is_empty() => Some((ip.into(), String::new())),
        Some(_) => None,
        None => Some((IpAddr::V6(address.parse().ok()?), zone.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(operands: &[&str]) -> Result<Vec<String>, BadRange> {
        let operands: Vec<_> = operands.iter().map(|operand| operand.as_bytes()).collect();
        let words = generate(&operands)?;
        Ok(words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    #[test]
    fn networks_are_without_their_own_and_the_broadcast_address() {
        let list = |list: &[&str]| Ok(list.iter().map(|&address| address.to_owned()).collect::<Vec<_>>());
        assert_eq!(range(&["192.0.2.77/30"]), list(&["192.0.2.77", "192.0.2.78"]));
        assert_eq!(range(&["192.0.2.77/31"]), list(&["192.0.2.76", "192.0.2.77"]));
        assert_eq!(range(&["192.0.2.77/32"]), list(&["192.0.2.77"]));
        assert_eq!(range(&["255.255.255.254/31"]), list(&["255.255.255.254", "255.255.255.255"]));
        assert_eq!(range(&["10.0.0.0/16"]).map(|list| list.len()), Ok(65_534));
        assert_eq!(range(&["2001:db8::4/127"]), list(&["2001:db8::4", "2001:db8::5"]));
        assert_eq!(range(&["fe80::%lo/127"]), list(&["fe80::%lo", "fe80::1%lo"]));
    }

    #[test]
    fn ranges_have_both_ends() {
        let list = range(&["192.0.2.254", "192.0.3.1"]);
        assert_eq!(
            list.as_deref(),
            Ok(&["192.0.2.254", "192.0.2.255", "192.0.3.0", "192.0.3.1"].map(String::from)[..])
        );
        assert_eq!(range(&["127.0.0.3", "127.1"]), Err(BadRange::Empty));
        assert_eq!(range(&["10.0.0.0", "10.1.255.255"]).map(|list| list.len()), Ok(131_072));
        assert_eq!(range(&["::1", "::2"]).map(|list| list.len()), Ok(2));
    }

    #[test]
    fn what_is_wrong_with_a_range_is_said_as_fping_says_it() {
        for (operands, message) in [
            (&["10.0.0.0", "10.2.0.0"][..], ": -g parameter generates too many addresses"),
            (&["10.0.0.0/1"], ": -g parameter generates too many addresses"),
            (&["10.0.0.0/0"], ": netmask must be between 1 and 32 (is: 0)"),
            (&["10.0.0.0/33"], ": netmask must be between 1 and 32 (is: 33)"),
            (&["::/64"], ": netmask must be between 65 and 128 (is: 64)"),
            (&["x/24"], ", can't parse address x: Name or service not known"),
            (&["x", "10.0.0.1"], ": can't parse address x: Name or service not known"),
            (&["fe80::1%a", "fe80::2%b"], ": different scopes for start and end addresses"),
            (&["fe80::1/127%a"], ": address scope must precede prefix length"),
        ] {
            assert_eq!(range(operands), Err(said(message)), "{operands:?}");
        }
        for operands in [&["10.0.0.0/x"][..], &["10.0.0.0/"], &["10.0.0.0"], &["10.0.0.0/-1"], &[]] {
            assert_eq!(range(operands), Err(BadRange::Usage), "{operands:?}");
        }
    }
}
