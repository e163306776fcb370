//! `--generate`: the addresses of a network, or of a range, as the lines of a list.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

use multiping::address::Family;

use crate::list::{ListParser, parse_address};
use crate::message::{BadRange, Error, Reject};

/// Addresses of one family that follow each other, the first of which is not behind the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    family: Family,
    first: u128,
    last: u128,
}

impl ListParser<'_> {
    /// Appends the addresses that `text` stands for, `NETWORK/BITS` or `FROM-TO`, in ascending
    /// order. Each is treated as a line of a list, but the first and the last must be accepted.
    pub fn generate(&mut self, text: &[u8]) -> Result<(), Error> {
        let bad = |why| Error::BadRange(text.into(), why);
        let (range, zone) = parse(text).map_err(bad)?;
        let limit = self.rules.limits.generated;
        let more = u64::try_from(range.more()).ok().and_then(|more| more.checked_add(1));
        let lines = more.and_then(|more| more.checked_add(self.line_number));
        if lines.is_none_or(|lines| lines > limit as u64) {
            return Err(bad(BadRange::TooMany(limit)));
        }
        for end in [range.first, range.last] {
            self.rules.check(range.ip(end), zone).map_err(|why| bad(BadRange::End(why)))?;
        }
        for ip in range.addresses() {
            self.line_number += 1;
            match self.rules.check(ip, zone) {
                Ok(address) => self.accept(address, zone, b"")?,
                Err(reject) => self.reject(ip.to_string().as_bytes(), reject)?,
            }
        }
        Ok(())
    }
}

impl Range {
    /// All addresses of the network of `ip` that has a prefix of so many bits, of which an address
    /// has as many at least; of an IPv4 network of more than two, those of hosts: not the first,
    /// which stands for the network, nor the last, which is its broadcast address.
    pub fn network(ip: IpAddr, bits: u32) -> Self {
        let (family, number) = numbered(ip);
        let hosts = u128::MAX.checked_shr(128 - width(family) + bits).unwrap_or(0);
        let (first, last) = (number & !hosts, number | hosts);
        match family {
            Family::V4 if hosts > 1 => Range { family, first: first + 1, last: last - 1 },
            _ => Range { family, first, last },
        }
    }

    /// All addresses from one to another.
    pub fn between(from: IpAddr, to: IpAddr) -> Result<Self, BadRange> {
        let ((family, first), (to_family, last)) = (numbered(from), numbered(to));
        if family != to_family {
            Err(BadRange::Unlike)
        } else if first > last {
            Err(BadRange::Descending)
        } else {
            Ok(Range { family, first, last })
        }
    }

    /// How many addresses follow the first.
    pub fn more(self) -> u128 {
        self.last - self.first
    }

    /// Its addresses in ascending order.
    pub fn addresses(self) -> impl Iterator<Item = IpAddr> {
        (self.first..=self.last).map(move |number| self.ip(number))
    }

    fn ip(self, number: u128) -> IpAddr {
        match self.family {
            Family::V4 => Ipv4Addr::from(number as u32).into(),
            Family::V6 => Ipv6Addr::from(number).into(),
        }
    }
}

/// A range, and the zone of each of its addresses, as typed.
fn parse(text: &[u8]) -> Result<(Range, Option<&str>), BadRange> {
    let text = str::from_utf8(text).map_err(|_| BadRange::Syntax)?;
    match text.split_once('/') {
        Some((network, bits)) => parse_network(network, bits),
        None => parse_ends(text),
    }
}

fn parse_network<'t>(network: &'t str, bits: &str) -> Result<(Range, Option<&'t str>), BadRange> {
    let (ip, zone) = end(network)?;
    let width = width(numbered(ip).0);
    let is_number = !bits.is_empty() && bits.bytes().all(|digit| digit.is_ascii_digit());
    let bits = bits.parse::<u32>().ok().filter(|bits| is_number && *bits <= width).ok_or(BadRange::Bits(width))?;
    Ok((Range::network(ip, bits), zone))
}

fn parse_ends(text: &str) -> Result<(Range, Option<&str>), BadRange> {
    // The name of an interface may have hyphens too.
    let ends = text.match_indices('-').map(|(at, _)| (&text[..at], &text[at + 1..]));
    let (from, to) = ends.clone().find(|(_, to)| end(to).is_ok()).or(ends.clone().next()).ok_or(BadRange::Syntax)?;
    let ((from, zone), (to, to_zone)) = (end(from)?, end(to)?);
    if zone != to_zone {
        return Err(BadRange::Unlike);
    }
    Ok((Range::between(from, to)?, zone))
}

fn end(text: &str) -> Result<(IpAddr, Option<&str>), BadRange> {
    parse_address(text).map_err(|reject| match reject {
        Reject::NotAnAddress => BadRange::Syntax,
        reject => BadRange::End(reject),
    })
}

/// An address as a number.
fn numbered(ip: IpAddr) -> (Family, u128) {
    match ip {
        IpAddr::V4(ip) => (Family::V4, u32::from(ip).into()),
        IpAddr::V6(ip) => (Family::V6, ip.into()),
    }
}

/// How many bits an address has.
fn width(family: Family) -> u32 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}
