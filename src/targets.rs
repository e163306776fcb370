//! Text -> targets and lines; what is rejected is kept for the end.
//!
//! A list is read in pieces of any size, so that it never stands in memory as text. Equal addresses become one target;
//! every accepted line keeps its place in the output. Targets are numbered family by family (IPv4 first), each in the
//! order of the input, so that an address costs its own bytes and nothing else.
//!
//! This file may know what an address looks like, but not which interfaces this machine has: [`Rules`] tells it.

use std::fmt::{self, Display, Formatter};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::error::{Error, Quoted, Reject};
use crate::plan::Limits;
use crate::room::{filled, push};
use crate::wire::Family;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 1024;

/// The byte order mark of UTF-8, which some editors put at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// As much of a line as shows that it is too long, even behind a byte order mark.
const ENOUGH: usize = BYTE_ORDER_MARK.len() + MAX_LINE + 1;

/// After so many lines the machine is asked for the first time whether it has the memory for as many again.
const MANY: usize = 1 << 16;

/// What a line takes at most while it is read, in bytes: its address, its target, its zone.
const WHILE_READING: usize = size_of::<(Ipv6Addr, u32)>() + size_of::<u32>() + size_of::<(u32, u32)>();

/// What it takes later, which is more than finding equal addresses does: a tally, a link, a sum of RTTs and a place in the
/// summary.
const LATER: usize = 8 + 8 + 8 + 4;

/// How many rejected lines, and how many remarks on lines, are kept word for word.
const KEPT: usize = 10;

/// The place of a target in the order of probing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

impl TargetId {
    /// This target's place in an array.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a probe goes, or where a reply comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address with the index of its interface, which is 0 where the address does not need one.
    V6(Ipv6Addr, u32),
}

impl Address {
    /// The family of the address.
    pub fn family(self) -> Family {
        match self {
            Address::V4(_) => Family::V4,
            Address::V6(..) => Family::V6,
        }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Address::V4(ip) => ip.fmt(f),
            Address::V6(ip, 0) => ip.fmt(f),
            Address::V6(ip, zone) => write!(f, "{ip}%{zone}"),
        }
    }
}

/// What counts as a target here and for this caller.
pub struct Rules<'a> {
    /// The only family wanted, if only one is.
    pub only: Option<Family>,
    /// What the caller may do.
    pub limits: &'a Limits,
    /// The broadcast addresses of this machine's networks.
    pub broadcasts: &'a [Ipv4Addr],
    /// The index of the interface with this name or number, if there is one.
    pub interface: &'a dyn Fn(&str) -> Option<u32>,
}

impl Rules<'_> {
    /// Reads one address, and the zone as it was typed.
    fn address<'t>(&self, text: &'t [u8]) -> Result<(Address, Option<&'t str>), Reject> {
        let text = str::from_utf8(text).map_err(|_| Reject::NotAnAddress)?;
        let (address, zone) = match text.split_once('%') {
            Some((address, zone)) => (address, Some(zone)),
            None => (text, None),
        };
        let address = if address.contains(':') {
            self.ipv6(address, zone)?
        } else {
            let ip = address.parse().map_err(|_| Reject::NotAnAddress)?;
            if zone.is_some() {
                return Err(Reject::UnwantedZone);
            }
            self.ipv4(ip)?
        };
        match self.only {
            Some(only) if only != address.family() => Err(Reject::ExcludedFamily(address.family().name())),
            _ => Ok((address, zone)),
        }
    }

    /// Whether `text` is an address at all, of a family asked for or not.
    fn is_address(&self, text: &[u8]) -> bool {
        !matches!(self.address(text), Err(Reject::NotAnAddress | Reject::DottedTail))
    }

    fn ipv4(&self, ip: Ipv4Addr) -> Result<Address, Reject> {
        if ip.is_unspecified() {
            Err(Reject::Unspecified)
        } else if ip.is_multicast() && !self.limits.groups {
            Err(Reject::Multicast)
        } else if (ip.is_broadcast() || self.broadcasts.contains(&ip)) && !self.limits.groups {
            Err(Reject::Broadcast)
        } else {
            Ok(Address::V4(ip))
        }
    }

    fn ipv6(&self, address: &str, zone: Option<&str>) -> Result<Address, Reject> {
        if address.contains('.') {
            return Err(Reject::DottedTail);
        }
        let ip: Ipv6Addr = address.parse().map_err(|_| Reject::NotAnAddress)?;
        if ip.is_unspecified() {
            return Err(Reject::Unspecified);
        }
        if ip.to_ipv4_mapped().is_some() {
            return Err(Reject::Mapped);
        }
        if ip.is_multicast() && !self.limits.groups {
            return Err(Reject::Multicast);
        }
        // Groups of link scope (ff02::/16) are as local as fe80::/10 (RFC 4007 §4).
        let local = ip.is_unicast_link_local() || ip.segments()[0] & 0xff0f == 0xff02;
        match (local, zone) {
            (false, None) => Ok(Address::V6(ip, 0)),
            (false, Some(_)) => Err(Reject::UnwantedZone),
            (true, None) => Err(Reject::NeedsZone),
            (true, Some(zone)) => match (self.interface)(zone) {
                Some(index) => Ok(Address::V6(ip, index)),
                None => Err(Reject::NoSuchZone),
            },
        }
    }
}

/// A line that deserves a word on stderr.
#[derive(Debug)]
pub struct Remark {
    /// The number of the line, from 1.
    pub line: u64,
    /// What stood there.
    pub text: Quoted,
    /// What is wrong with it; `None`: it was accepted, but what follows the address is an address as well.
    pub reject: Option<Reject>,
}

impl Display for Remark {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.reject {
            Some(reject) => write!(f, "line {}: {}: {reject} (no line of output for it)", self.line, self.text),
            None => write!(f, "line {}: {}: two addresses (only the first is probed)", self.line, self.text),
        }
    }
}

/// The addresses to probe and the lines to print.
#[derive(Debug, Default)]
pub struct Targets {
    v4: Vec<Ipv4Addr>,
    v6: Vec<(Ipv6Addr, u32)>,
    /// Which target each line of output speaks of; empty where the two run side by side.
    lines: Vec<u32>,
    /// Which lines of output show a zone, in their order, and which of `spellings` it is: few addresses have one.
    zones: Vec<(u32, u32)>,
    /// The zones as they were typed. There are at most as many as this machine has interfaces, twice: by name and by
    /// number.
    spellings: Vec<String>,
    /// What was wrong with the first few lines that something was wrong with.
    pub remarks: Vec<Remark>,
    /// How many lines were rejected in all.
    pub rejected: u64,
    /// How many lines were accepted with a remark.
    pub doubtful: u64,
}

impl Targets {
    /// How many targets there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there is nothing to probe.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many targets of `family` there are.
    pub fn of(&self, family: Family) -> usize {
        match family {
            Family::V4 => self.v4.len(),
            Family::V6 => self.v6.len(),
        }
    }

    /// The address of a target, if there is such a target.
    pub fn address(&self, target: TargetId) -> Option<Address> {
        match self.v4.get(target.index()) {
            Some(&ip) => Some(Address::V4(ip)),
            None => self.v6.get(target.index() - self.v4.len()).map(|&(ip, zone)| Address::V6(ip, zone)),
        }
    }

    /// Every target, in the order of probing.
    pub fn addresses(&self) -> impl Iterator<Item = (TargetId, Address)> {
        (0..self.len() as u32).filter_map(|number| Some((TargetId(number), self.address(TargetId(number))?)))
    }

    /// The lines of output in the order of the input: the address of each, how it is shown, and its target.
    pub fn lines(&self) -> impl Iterator<Item = (Address, impl Display, TargetId)> {
        let count = if self.lines.is_empty() { self.len() } else { self.lines.len() };
        (0..count as u32).filter_map(|line| {
            let target = TargetId(if self.lines.is_empty() { line } else { *self.lines.get(line as usize)? });
            let address = self.address(target)?;
            Some((address, Shown { address, zone: self.zone(line) }, target))
        })
    }

    /// The zone to show on a line of output.
    fn zone(&self, line: u32) -> Option<&str> {
        let place = self.zones.binary_search_by_key(&line, |&(line, _)| line).ok()?;
        self.spellings.get(self.zones[place].1 as usize).map(String::as_str)
    }
}

/// An address as it is printed: the zone as it was typed.
struct Shown<'a> {
    address: Address,
    zone: Option<&'a str>,
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.address, self.zone) {
            (Address::V6(ip, _), Some(zone)) => write!(f, "{ip}%{zone}"),
            (address, _) => address.fmt(f),
        }
    }
}

/// Marks a line of [`Reading`] whose address is IPv6.
const IS_V6: u32 = 1 << 31;

/// A list while it is being read.
pub struct Reading<'a> {
    rules: Rules<'a>,
    found: Targets,
    /// The line that is not yet complete, as far as [`ENOUGH`].
    partial: Vec<u8>,
    number: u64,
    /// Tells how many bytes of memory can still be had, if anybody can.
    memory: Option<&'a dyn Fn() -> u64>,
    /// For how many lines there is memory, as far as that was asked.
    enough_for: usize,
}

impl<'a> Reading<'a> {
    /// Nothing has been read yet.
    pub fn new(rules: Rules<'a>) -> Self {
        let partial = Vec::with_capacity(ENOUGH);
        Reading { rules, found: Targets::default(), partial, number: 0, memory: None, enough_for: MANY }
    }

    /// The same within what `memory` says can still be had: a list for which that is too little is refused.
    pub fn within(self, memory: &'a dyn Fn() -> u64) -> Self {
        Reading { memory: Some(memory), ..self }
    }

    /// Takes the next piece of a list, which may end anywhere.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.partial.is_empty() {
                self.line(line)?;
            } else {
                self.hold(line);
                self.held_line()?;
            }
            rest = after;
        }
        self.hold(rest);
        Ok(())
    }

    /// Takes an operand: an address and nothing else.
    pub fn operand(&mut self, text: &[u8]) -> Result<(), Error> {
        let (address, zone) = match text {
            b"" => Err(Reject::Empty),
            _ => self.rules.address(text),
        }
        .map_err(|reject| Error::BadOperand(text.into(), reject))?;
        self.accept(address, zone)
    }

    /// How many lines were accepted so far.
    pub fn accepted(&self) -> usize {
        self.found.lines.len()
    }

    /// The list is complete.
    pub fn finish(mut self) -> Result<Targets, Error> {
        if !self.partial.is_empty() {
            self.held_line()?;
        }
        let mut found = self.found;
        let v4 = unite(&mut found.v4)?;
        let v6 = unite(&mut found.v6)?;
        if v4.is_empty() && v6.is_empty() && (found.v4.is_empty() || found.v6.is_empty()) {
            found.lines = Vec::new();
        } else {
            let first_v6 = found.v4.len() as u32;
            for line in &mut found.lines {
                let (united, base) = if *line & IS_V6 == 0 { (&v4, 0) } else { (&v6, first_v6) };
                let nth = *line & !IS_V6;
                *line = base + united.get(nth as usize).copied().unwrap_or(nth);
            }
        }
        Ok(found)
    }

    /// Keeps a part of a line, but never more than shows that the line is too long.
    fn hold(&mut self, part: &[u8]) {
        let room = ENOUGH - self.partial.len();
        self.partial.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn held_line(&mut self) -> Result<(), Error> {
        let mut line = std::mem::take(&mut self.partial);
        let result = self.line(&line);
        line.clear();
        self.partial = line;
        result
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Error> {
        self.number += 1;
        let unmarked = if self.number == 1 { line.strip_prefix(BYTE_ORDER_MARK) } else { None };
        let line = unmarked.unwrap_or(line);
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let first = match words.next() {
            _ if line.len() > MAX_LINE => Err(Reject::TooLong),
            _ if line.contains(&0) => Err(Reject::Nul),
            None => return Ok(()),
            Some(word) if word.starts_with(b"#") => return Ok(()),
            Some(word) => self.rules.address(word),
        };
        match first {
            Ok((address, zone)) => {
                if words.next().is_some_and(|label| self.rules.is_address(label)) {
                    self.found.doubtful += 1;
                    self.remark(line, None);
                }
                self.accept(address, zone)
            }
            Err(reject) => {
                self.found.rejected += 1;
                self.remark(line, Some(reject));
                Ok(())
            }
        }
    }

    fn accept(&mut self, address: Address, zone: Option<&str>) -> Result<(), Error> {
        let found = &mut self.found;
        if found.lines.len() >= self.rules.limits.targets {
            return Err(Error::TooMany(self.rules.limits.targets));
        }
        if found.lines.len() >= self.enough_for {
            self.enough_for += MANY;
            let needed = (MANY * WHILE_READING + self.enough_for * LATER) as u64;
            if self.memory.is_some_and(|memory| memory() < needed) {
                return Err(Error::Memory(found.lines.len()));
            }
        }
        let line = found.lines.len() as u32;
        if let Some(zone) = zone {
            let known = found.spellings.iter().position(|spelling| spelling == zone);
            let spelling = match known {
                Some(place) => place as u32,
                None => push(&mut found.spellings, zone.to_owned())?,
            };
            push(&mut found.zones, (line, spelling))?;
        }
        let entry = match address {
            Address::V4(ip) => push(&mut found.v4, ip)?,
            Address::V6(ip, zone) => push(&mut found.v6, (ip, zone))? | IS_V6,
        };
        push(&mut found.lines, entry).map(drop)
    }

    fn remark(&mut self, line: &[u8], reject: Option<Reject>) {
        if self.found.remarks.len() < KEPT {
            self.found.remarks.push(Remark { line: self.number, text: line.into(), reject });
        }
    }
}

/// Unites equal addresses, each at its first place. Returns the new place of each old one, or nothing if no two were
/// equal. Sorting indices costs 4 bytes an address, and only for the moment; a hash map costs seven times that.
fn unite<A: Ord + Copy>(addresses: &mut Vec<A>) -> Result<Vec<u32>, Error> {
    if addresses.is_sorted_by(|a, b| a < b) {
        return Ok(Vec::new());
    }
    let mut order = filled(addresses.len(), 0)?;
    order.iter_mut().zip(0..).for_each(|(place, number)| *place = number);
    order.sort_unstable_by_key(|&place| (addresses[place as usize], place));
    if order.windows(2).all(|pair| addresses[pair[0] as usize] != addresses[pair[1] as usize]) {
        return Ok(Vec::new());
    }
    let mut places = filled(addresses.len(), 0_u32)?;
    for run in order.chunk_by(|&a, &b| addresses[a as usize] == addresses[b as usize]) {
        for &place in run {
            places[place as usize] = run[0];
        }
    }
    // So far each place holds the first old place of its address. Close the gaps, in the order of the input.
    let mut kept = 0;
    for place in 0..addresses.len() {
        if places[place] as usize == place {
            addresses[kept as usize] = addresses[place];
            places[place] = kept;
            kept += 1;
        } else {
            places[place] = places[places[place] as usize];
        }
    }
    addresses.truncate(kept as usize);
    Ok(places)
}
