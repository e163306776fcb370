//! The targets of a run: what each is called, its address, and its place among those to probe.

use std::net::{IpAddr, Ipv4Addr};

use multiping::address::{Address, AddressList, Addresses, Family, TargetId, TargetMap};
use multiping::alloc::{OutOfMemory, try_filled, try_push};

use crate::cli::fping::Options;
use crate::fping::numeric;
use crate::fping::words::Words;
use crate::limits::Limits;
use crate::report::fping::Name;

/// Targets in the order of the list. Equal ones are different targets.
#[derive(Debug, Default)]
pub(super) struct Targets {
    shown: Words,
    addresses: Vec<Address>,
    /// How many names have no address.
    pub(super) unknown: u32,
    /// How many addresses this caller may not probe.
    pub(super) refused: u32,
}

impl Targets {
    /// Finds the addresses of `words`. `say` is told of those that have none.
    pub(super) fn find(
        words: &Words,
        options: &Options,
        limits: &Limits,
        mut say: impl FnMut(Name, &'static str),
    ) -> Result<Self, OutOfMemory> {
        let mut targets = Targets::default();
        for word in words.iter() {
            let name = Name(word);
            let text = name.to_string();
            match numeric::parse(&text, options.family).unwrap_or(Err(numeric::TEMPORARY)) {
                Ok(address) if !limits.allow_multicast_and_broadcast && is_group(address) => {
                    targets.refused += 1;
                    say(name, "error while sending ping: Permission denied");
                }
                Ok(address) if options.addresses => targets.push(address.ip().to_string().as_bytes(), address)?,
                Ok(address) => targets.push(word, address)?,
                Err(why) => {
                    targets.unknown += 1;
                    say(name, why);
                }
            }
        }
        Ok(targets)
    }

    fn push(&mut self, shown: &[u8], address: Address) -> Result<(), OutOfMemory> {
        self.shown.push(shown)?;
        try_push(&mut self.addresses, address).map(drop)
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// What a target is called.
    pub(super) fn name(&self, line: usize) -> Name<'_> {
        Name(self.shown.get(line))
    }

    /// The width of the longest name.
    pub(super) fn width(&self) -> usize {
        (0..self.len()).map(|line| self.name(line).to_string().chars().count()).max().unwrap_or(0)
    }

    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// How many there are of a family.
    pub(super) fn count(&self, family: Family) -> usize {
        self.addresses.iter().filter(|address| address.family() == family).count()
    }

    /// Makes one target of a sweep of equal addresses.
    pub(super) fn dedup(&self) -> Result<(Addresses, TargetMap), OutOfMemory> {
        let mut list = AddressList::default();
        self.addresses.iter().try_for_each(|&address| list.push(address))?;
        list.dedup()
    }
}

/// Multicast. (Of broadcast addresses the kernel knows more than we do; it refuses them.)
fn is_group(address: Address) -> bool {
    address.ip().is_multicast() || address.ip() == IpAddr::V4(Ipv4Addr::BROADCAST)
}

/// Which lines of the list each target of a sweep is.
#[derive(Debug)]
pub(super) struct Lines {
    targets: TargetMap,
    /// The lines, by target.
    lines: Vec<u32>,
    /// Where those of each target end in `lines`.
    ends: Vec<u32>,
}

impl Lines {
    /// Sorts the lines of this many targets.
    pub(super) fn new(targets: TargetMap, count: usize) -> Result<Self, OutOfMemory> {
        let mut ends = try_filled(count, 0_u32)?;
        targets.iter().for_each(|target| ends[target.index()] += 1);
        let mut end = 0;
        for place in &mut ends {
            // At first where those of the target begin; each of them moves it on.
            (*place, end) = (end, end + *place);
        }
        let mut lines = try_filled(end as usize, 0_u32)?;
        for (target, line) in targets.iter().zip(0..) {
            let place = &mut ends[target.index()];
            lines[*place as usize] = line;
            *place += 1;
        }
        Ok(Lines { targets, lines, ends })
    }

    /// Every line of the list with its target.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, TargetId)> {
        self.targets.iter().enumerate()
    }

    /// The lines of a target, in the order of the list.
    pub(super) fn of(&self, target: TargetId) -> impl Iterator<Item = usize> {
        let end = self.ends.get(target.index()).copied().unwrap_or(0);
        let start = target.index().checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.lines.get(start as usize..end as usize).unwrap_or_default().iter().map(|&line| line as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(list: &[&str], options: &Options, limits: &Limits) -> (Targets, Vec<String>) {
        let mut words = Words::default();
        list.iter().for_each(|word| words.push(word.as_bytes()).expect("there is memory"));
        let mut said = Vec::new();
        let targets = Targets::find(&words, options, limits, |name, why| said.push(format!("{name}: {why}")));
        (targets.expect("there is memory"), said)
    }

    #[test]
    fn targets_are_called_as_they_were_typed() {
        let (found, said) = targets(&["127.1", "::1", "127.0.0.1"], &Options::default(), &Limits::ROOT);
        let names: Vec<_> = (0..found.len()).map(|line| found.name(line).to_string()).collect();
        assert_eq!((names, said.len()), (["127.1", "::1", "127.0.0.1"].map(String::from).to_vec(), 0));
        let options = Options { addresses: true, ..Options::default() };
        let (found, _) = targets(&["127.1", "0:0::1"], &options, &Limits::ROOT);
        assert_eq!([0, 1].map(|line| found.name(line).to_string()), ["127.0.0.1", "::1"]);
    }

    #[test]
    fn ordinary_users_get_no_groups() {
        let (found, said) =
            targets(&["224.0.0.1", "ff02::1", "255.255.255.255"], &Options::default(), &Limits::ORDINARY);
        assert_eq!((found.len(), found.refused, found.unknown), (0, 3, 0));
        assert_eq!(said[0], "224.0.0.1: error while sending ping: Permission denied");
        assert_eq!(targets(&["224.0.0.1", "ff02::1"], &Options::default(), &Limits::ROOT).0.len(), 2);
    }

    #[test]
    fn equal_addresses_are_one_target_and_keep_their_lines() {
        let (found, _) = targets(&["10.0.0.1", "::1", "10.0.0.2", "10.1", "::1"], &Options::default(), &Limits::ROOT);
        let (addresses, map) = found.dedup().expect("there is memory");
        let lines = Lines::new(map, addresses.len()).expect("there is memory");
        let of = |target: u32| lines.of(TargetId(target)).collect::<Vec<_>>();
        assert_eq!([of(0), of(1), of(2)], [vec![0, 3], vec![2], vec![1, 4]]);
        let order: Vec<_> = lines.iter().map(|(_, target)| target.0).collect();
        assert_eq!(order, [0, 2, 1, 0, 2]);
    }
}
