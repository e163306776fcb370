//! The output lines of a list: what each shows of its target.

use std::fmt::{self, Display, Formatter};

use multiping::address::{Address, Addresses, TargetId, TargetMap};

use crate::list::labels::Labels;

/// The output lines of a list: the target of each, and its zone as typed.
#[derive(Debug, Default)]
pub struct OutputLines {
    pub(super) targets: TargetMap,
    /// The lines with a zone, in ascending order, each with an index into `spellings`. Few lines
    /// have one.
    pub(super) zones: Vec<(u32, u32)>,
    /// The zones as typed: a few for each interface, its names and its number.
    pub(super) spellings: Vec<String>,
    /// The lines of targets with a name, in ascending order, where names are looked up.
    pub(super) names: Vec<(u32, String)>,
    /// The labels of the lines, where they are kept.
    pub(super) labels: Labels,
}

impl OutputLines {
    /// The output lines in the order of the list: the target of each, and its address as typed.
    pub fn iter<'a>(&'a self, addresses: &'a Addresses) -> impl Iterator<Item = (TargetId, Shown<'a>)> {
        self.iter_with(|target| addresses.get(target))
    }

    /// The same where `address` knows the addresses.
    pub fn iter_with(
        &self,
        address: impl Fn(TargetId) -> Option<Address>,
    ) -> impl Iterator<Item = (TargetId, Shown<'_>)> {
        let lines = self.targets.iter().zip(0..);
        lines.filter_map(move |(target, line)| Some((target, self.shown(line, address(target)?))))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The address of a line, counted from 0, as typed.
    pub fn shown(&self, line: u32, address: Address) -> Shown<'_> {
        Shown { address, zone: self.zone(line) }
    }

    /// The label of a line, counted from 0, where labels are kept, or else the name of its target;
    /// empty if it has neither.
    pub fn label(&self, line: u32) -> &str {
        match self.labels.get(line as usize) {
            "" => self.name(line).unwrap_or_default(),
            label => label,
        }
    }

    /// The name of the target of a line, counted from 0, where names are looked up.
    pub fn name(&self, line: u32) -> Option<&str> {
        let index = self.names.binary_search_by_key(&line, |&(line, _)| line).ok()?;
        Some(&self.names[index].1)
    }

    /// The number in the list of a line, counted from 0, where labels are kept. Otherwise that of
    /// an output line, from 1.
    pub fn number(&self, line: u32) -> u64 {
        self.labels.number(line as usize).map_or(u64::from(line) + 1, u64::from)
    }

    /// The zone to show on a line.
    fn zone(&self, line: u32) -> Option<&str> {
        let index = self.zones.binary_search_by_key(&line, |&(line, _)| line).ok()?;
        self.spellings.get(self.zones[index].1 as usize).map(String::as_str)
    }
}

/// An address as it is printed, with its zone as typed.
pub struct Shown<'a> {
    address: Address,
    zone: Option<&'a str>,
}

impl Shown<'_> {
    /// The address, whose zone is an index.
    pub fn address(&self) -> Address {
        self.address
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.address, self.zone) {
            (Address::V6(ip, _), Some(zone)) => write!(f, "{ip}%{zone}"),
            (address, _) => address.fmt(f),
        }
    }
}
