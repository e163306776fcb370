//! The targets of a run: what each is called, its address, and its place among those to probe.

use std::net::{IpAddr, Ipv4Addr};
use std::str;

use multiping::address::{Address, AddressList, Addresses, Family, TargetId, TargetMap};
use multiping::alloc::{OutOfMemory, try_filled, try_push};

use crate::cli::fping::Options;
use crate::fping::numeric;
use crate::fping::words::Words;
use crate::limits::Limits;
use crate::list::names::{Answer, Known, Query, is_host_name};
use crate::message::Error;
use crate::report::fping::Name;

/// Targets in the order of the list. Equal ones are different targets.
#[derive(Debug, Default)]
pub(super) struct Targets {
    shown: Words,
    /// The width of the longest name.
    pub(super) width: usize,
    /// As typed, where that is wanted too.
    typed: Option<Words>,
    addresses: Vec<Address>,
    /// How many names have no address.
    pub(super) unknown: u32,
    /// How many addresses this caller may not probe.
    pub(super) refused: u32,
}

/// Answers questions about names, in their order.
pub(super) type LookUp<'a> = &'a dyn Fn(&[Query]) -> Result<Vec<Answer>, Error>;

/// The addresses of a name in `family`, or the C library's words for why there is none.
fn addresses(known: &Known, name: &str, family: Option<Family>) -> Result<Vec<Address>, &'static str> {
    let all = match known.addresses(name) {
        Ok(all) => all,
        Err(why) => return Err(if why.is_temporary() { numeric::TEMPORARY } else { numeric::NOT_KNOWN }),
    };
    let wanted = |address: &Address| family.is_none_or(|family| family == address.family());
    let found: Vec<Address> = all.iter().copied().filter(wanted).collect();
    if found.is_empty() { Err(numeric::NOT_KNOWN) } else { Ok(found) }
}

/// A word that can be the name of a host.
fn host_name(word: &[u8]) -> Option<&str> {
    str::from_utf8(word).ok().filter(|name| is_host_name(name))
}

impl Targets {
    /// Finds the addresses of `words`, and their names where that is asked for. `say` is told of
    /// those that have no address.
    pub(super) fn find(
        words: &Words,
        options: &Options,
        limits: &Limits,
        look_up: LookUp,
        mut say: impl FnMut(Name, &'static str),
    ) -> Result<Self, Error> {
        // No number is a host name too.
        let known = Known::ask(words.iter().filter_map(host_name).map(Query::Addresses), look_up)?;
        let mut targets = Targets { typed: options.netdata.then(Words::default), ..Targets::default() };
        // With the index of the word, and whether the name of the address is asked for.
        let mut found: Vec<(usize, Address, bool)> = Vec::new();
        for (index, word) in words.iter().enumerate() {
            let name = Name(word);
            let number = numeric::parse(&name.to_string(), options.family);
            let wants_name = options.reverse_names.is_some_and(|always| always || number.is_some());
            let addresses = match number {
                Some(address) => address.map(|address| vec![address]),
                None => {
                    host_name(word).ok_or(numeric::NOT_KNOWN).and_then(|name| addresses(&known, name, options.family))
                }
            };
            match addresses {
                Ok(addresses) => {
                    let count = if options.all_addresses { addresses.len() } else { 1 };
                    for address in addresses.into_iter().take(count) {
                        if address.ip() == IpAddr::V4(Ipv4Addr::BROADCAST) && !limits.allow_broadcast {
                            // Of other broadcast addresses the kernel knows more than we do; it
                            // refuses them.
                            targets.refused += 1;
                            say(name, "error while sending ping: Permission denied");
                        } else {
                            try_push(&mut found, (index, address, wants_name))?;
                        }
                    }
                }
                Err(why) => {
                    targets.unknown += 1;
                    say(name, why);
                }
            }
        }
        let reverse = found.iter().filter(|&&(.., wants_name)| wants_name);
        let names = Known::ask(reverse.map(|&(_, address, _)| Query::Name(address)), look_up)?;
        for &(index, address, wants_name) in &found {
            let word = words.get(index);
            let name = names.name(address).filter(|_| wants_name).map_or(word, str::as_bytes);
            let ip = address.ip();
            let shown = match (options.addresses, options.reverse_names) {
                (true, Some(_)) => format!("{} ({ip})", Name(name)),
                (true, None) => ip.to_string(),
                (false, _) => Name(name).to_string(),
            };
            targets.width = targets.width.max(shown.chars().count());
            targets.shown.push(shown.as_bytes())?;
            targets.typed.as_mut().map_or(Ok(()), |typed| typed.push(word))?;
            try_push(&mut targets.addresses, address)?;
        }
        Ok(targets)
    }

    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }

    /// What a target is called.
    pub(super) fn name(&self, line: usize) -> Name<'_> {
        Name(self.shown.get(line))
    }

    /// A target as it was typed.
    pub(super) fn typed(&self, line: usize) -> Name<'_> {
        Name(self.typed.as_ref().unwrap_or(&self.shown).get(line))
    }

    pub(super) fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// Whether any is a multicast group.
    pub(super) fn have_groups(&self) -> bool {
        self.addresses.iter().any(|address| address.ip().is_multicast())
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
    use crate::message::Unresolved;

    /// Knows one name, with two addresses, and the name of one address.
    fn look_up(queries: &[Query]) -> Result<Vec<Answer>, Error> {
        let addresses = ["10.0.0.1", "10.0.0.2"].map(|ip| Address::V4(ip.parse().expect("it is an address")));
        let answer = |query: &Query| match query {
            Query::Addresses("two") => Answer::Addresses(addresses.to_vec()),
            Query::Addresses("later") => Answer::None(Unresolved::Temporary),
            Query::Name(address) if *address == addresses[0] => Answer::Name("one.example".to_owned()),
            _ => Answer::None(Unresolved::Unknown),
        };
        Ok(queries.iter().map(answer).collect())
    }

    fn targets(list: &[&str], options: &Options, limits: &Limits) -> (Targets, Vec<String>) {
        let mut words = Words::default();
        list.iter().for_each(|word| words.push(word.as_bytes()).expect("there is memory"));
        let mut said = Vec::new();
        let say = |name: Name, why: &str| said.push(format!("{name}: {why}"));
        let targets = Targets::find(&words, options, limits, &look_up, say);
        (targets.expect("there is memory"), said)
    }

    fn shown(list: &[&str], options: &Options) -> Vec<String> {
        let (found, _) = targets(list, options, &Limits::ROOT);
        (0..found.len()).map(|line| found.name(line).to_string()).collect()
    }

    #[test]
    fn targets_are_called_as_they_were_typed() {
        assert_eq!(shown(&["127.1", "::1", "two"], &Options::default()), ["127.1", "::1", "two"]);
        let options = Options { addresses: true, ..Options::default() };
        assert_eq!(shown(&["127.1", "0:0::1", "two"], &options), ["127.0.0.1", "::1", "10.0.0.1"]);
        let options = Options { all_addresses: true, ..options };
        assert_eq!(shown(&["two"], &options), ["10.0.0.1", "10.0.0.2"]);
    }

    #[test]
    fn names_of_addresses_are_shown_where_asked_for() {
        let options = Options { reverse_names: Some(false), ..Options::default() };
        assert_eq!(shown(&["10.0.0.1", "10.0.0.9", "two"], &options), ["one.example", "10.0.0.9", "two"]);
        let both = Options { addresses: true, ..options.clone() };
        let expected = ["one.example (10.0.0.1)", "10.0.0.9 (10.0.0.9)", "two (10.0.0.1)"];
        assert_eq!(shown(&["10.0.0.1", "10.0.0.9", "two"], &both), expected);
        let always = Options { reverse_names: Some(true), ..options };
        assert_eq!(shown(&["10.0.0.1", "two"], &always), ["one.example", "one.example"]);
    }

    #[test]
    fn names_without_an_address_are_told_in_the_c_librarys_words() {
        let (found, said) = targets(&["later", "none", "a b", "10.0.0.1"], &Options::default(), &Limits::ROOT);
        assert_eq!((found.len(), found.unknown), (1, 3));
        let expected = [
            "later: Temporary failure in name resolution",
            "none: Name or service not known",
            "a b: Name or service not known",
        ];
        assert_eq!(said, expected);
        let options = Options { family: Some(Family::V6), ..Options::default() };
        assert_eq!(targets(&["two"], &options, &Limits::ROOT).1, ["two: Name or service not known"]);
    }

    #[test]
    fn ordinary_users_get_no_broadcasts() {
        let list = ["224.0.0.1", "ff02::1", "255.255.255.255"];
        let (found, said) = targets(&list, &Options::default(), &Limits::ORDINARY);
        assert_eq!((found.len(), found.refused, found.unknown, found.have_groups()), (2, 1, 0, true));
        assert_eq!(said, ["255.255.255.255: error while sending ping: Permission denied"]);
        let (found, said) = targets(&list[2..], &Options::default(), &Limits::ROOT);
        assert_eq!((found.len(), found.have_groups(), said.len()), (1, false, 0));
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
