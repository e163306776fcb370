//! Names in a list: `--resolve`, which makes targets of them, and `--names`, which finds those of
//! addresses. The looking up is left to the caller, for this file does no IO.

use std::mem;
use std::str;

use multiping::address::{Address, Family};
use multiping::alloc::try_push;

use crate::list::labels::label;
use crate::list::{List, ListParser};
use crate::message::{Error, Reject, Unresolved};

/// The longest name, in bytes (RFC 1035 §3.1, without the length of the root).
const MAX_NAME: usize = 253;

/// What the text of a name or of the addresses of one takes, in bytes, if they are of common
/// length: an estimate.
const TYPICAL_TEXT: usize = 48;

/// What a line takes until names are looked up.
pub(super) const BYTES_PER_ENTRY: usize = size_of::<Entry>() + TYPICAL_TEXT;

/// What looking one up takes, here and in the child, and its place in the output.
pub(super) const BYTES_PER_NAME: usize =
    size_of::<Query>() + size_of::<Answer>() + size_of::<(u32, String)>() + 3 * TYPICAL_TEXT;

/// Whether and how names are looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Whether names are accepted in place of addresses.
    pub resolve: bool,
    /// Whether the names of addresses are looked up.
    pub reverse: bool,
    /// Which family comes first, whatever the order of the resolver.
    pub prefer: Option<Family>,
    /// Whether each address of a name is a target, and not only the first.
    pub all_addresses: bool,
}

impl Names {
    /// Whether anything is looked up.
    pub fn are_looked_up(self) -> bool {
        self.resolve || self.reverse
    }
}

/// What is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Query<'a> {
    /// The addresses of a name.
    Addresses(&'a str),
    /// The name of an address.
    Name(Address),
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The addresses of a name, at least one.
    Addresses(Vec<Address>),
    /// The name of an address.
    Name(String),
    /// Nothing.
    None(Unresolved),
}

impl Answer {
    /// How many bytes it takes beside itself.
    pub fn bytes(&self) -> usize {
        match self {
            Answer::Addresses(addresses) => addresses.capacity() * size_of::<Address>(),
            Answer::Name(name) => name.capacity(),
            Answer::None(_) => 0,
        }
    }
}

/// The answers to distinct queries.
#[derive(Debug, Default)]
pub struct Known<'a> {
    /// In ascending order.
    queries: Vec<Query<'a>>,
    /// The answer to each.
    answers: Vec<Answer>,
}

impl<'a> Known<'a> {
    /// Has `look_up` answer each query once, in the order in which it gets them.
    pub fn ask(
        queries: impl Iterator<Item = Query<'a>>,
        look_up: impl FnOnce(&[Query]) -> Result<Vec<Answer>, Error>,
    ) -> Result<Self, Error> {
        let mut distinct = Vec::new();
        for query in queries {
            try_push(&mut distinct, query)?;
        }
        distinct.sort_unstable();
        distinct.dedup();
        let answers = if distinct.is_empty() { Vec::new() } else { look_up(&distinct)? };
        Ok(Known { queries: distinct, answers })
    }

    /// The addresses of a name, or why it has none.
    pub fn addresses(&self, name: &str) -> Result<&[Address], Unresolved> {
        match self.answer(Query::Addresses(name)) {
            Some(Answer::Addresses(found)) => Ok(found),
            Some(Answer::None(why)) => Err(*why),
            _ => Err(Unresolved::Late),
        }
    }

    /// The name of an address, if it has one.
    pub fn name(&self, address: Address) -> Option<&str> {
        match self.answer(Query::Name(address)) {
            Some(Answer::Name(name)) => Some(name),
            _ => None,
        }
    }

    fn answer(&self, query: Query) -> Option<&Answer> {
        self.answers.get(self.queries.binary_search(&query).ok()?)
    }
}

/// A name without an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnresolvedLine {
    /// The number of its line, from 1; 0 for an operand.
    pub line: u64,
    /// The name.
    pub name: String,
    /// Why it has none.
    pub why: Unresolved,
}

impl List {
    /// The failure of this machine that no name could be looked up, if that is how it was: a single
    /// one, or some of them, may be the fault of their own name servers.
    pub fn resolver_failure(&self) -> Option<Error> {
        let first = self.unresolved.first()?;
        let is_failure = !self.any_resolved && self.unresolved.iter().all(|line| line.why.is_temporary());
        is_failure.then_some(Error::NoneResolved(self.unresolved.len(), first.name.clone(), first.why))
    }
}

/// An accepted line before its names are looked up.
#[derive(Debug)]
pub(super) enum Entry {
    Address { address: Address, zone: Option<String>, label: String, line: u64 },
    Name { name: String, line: u64, label: String },
}

impl ListParser<'_> {
    /// Keeps what [`ListParser::look_up`] needs.
    pub fn with_names(self, names: Names) -> Self {
        ListParser { names, ..self }
    }

    /// Whether `text`, which is no address, is taken for a name.
    pub(super) fn takes_name(&self, text: &[u8]) -> bool {
        self.names.resolve && str::from_utf8(text).is_ok_and(is_host_name)
    }

    /// Accepts a name that is looked up later.
    pub(super) fn accept_name(&mut self, name: &[u8], line: u64, rest: &[u8]) -> Result<(), Error> {
        self.check_room()?;
        let (name, label) = (String::from_utf8_lossy(name).into_owned(), label(rest));
        self.pieces.add(name.len() + label.len(), self.entries.len())?;
        try_push(&mut self.entries, Entry::Name { name, line, label })?;
        Ok(())
    }

    /// Ends the input, has `look_up` answer what there is to look up, and makes targets of what it
    /// finds. A name without an address is rejected like a line without one.
    pub fn look_up(&mut self, look_up: impl FnOnce(&[Query]) -> Result<Vec<Answer>, Error>) -> Result<(), Error> {
        self.end()?;
        let names = mem::take(&mut self.names);
        let entries = mem::take(&mut self.entries);
        let queries = entries.iter().filter_map(|entry| match entry {
            Entry::Address { address, .. } => names.reverse.then_some(Query::Name(*address)),
            Entry::Name { name, .. } => Some(Query::Addresses(name)),
        });
        let known = Known::ask(queries, look_up)?;
        for entry in &entries {
            match entry {
                Entry::Address { address, zone, label, line } => {
                    self.line_number = *line;
                    self.accept_named(*address, zone.as_deref(), known.name(*address), label)?;
                }
                Entry::Name { name, line, label } => {
                    self.line_number = if *line == 0 { self.accepted() as u64 + 1 } else { *line };
                    let found = known.addresses(name).map_err(Reject::Unresolved);
                    match found.and_then(|found| self.choose(found, names)) {
                        Ok(chosen) => {
                            self.list.any_resolved = true;
                            for (address, zone) in chosen {
                                self.accept_named(address, zone.as_deref(), Some(name), label)?;
                            }
                        }
                        Err(reject) => {
                            self.reject_at(*line, name.as_bytes(), reject)?;
                            if let Reject::Unresolved(why) = reject {
                                self.pieces.add(name.len(), self.accepted())?;
                                let (line, name) = (*line, name.clone());
                                try_push(&mut self.list.unresolved, UnresolvedLine { line, name, why })?;
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The addresses of a name that become targets, each with its zone.
    fn choose(&self, found: &[Address], names: Names) -> Result<Vec<(Address, Option<String>)>, Reject> {
        let family = self.rules.family.map(|(family, _)| family);
        let mut chosen = Vec::new();
        let mut reject = family.map_or(Unresolved::Unknown, |family| Unresolved::NoneOf(family.name())).into();
        for &found in found.iter().filter(|found| family.is_none_or(|family| family == found.family())) {
            let zone = match found {
                Address::V6(_, zone) if zone != 0 => Some(zone.to_string()),
                _ => None,
            };
            match self.rules.check(found.ip(), zone.as_deref()) {
                Ok(address) => chosen.push((address, zone)),
                Err(why) => reject = why,
            }
        }
        if let Some(family) = names.prefer {
            chosen.sort_by_key(|(address, _)| address.family() != family);
        }
        if !names.all_addresses {
            chosen.truncate(1);
        }
        if chosen.is_empty() { Err(reject) } else { Ok(chosen) }
    }

    fn accept_named(
        &mut self,
        address: Address,
        zone: Option<&str>,
        name: Option<&str>,
        label: &str,
    ) -> Result<(), Error> {
        let line = self.accepted() as u32;
        self.accept(address, zone, label.as_bytes())?;
        if let Some(name) = name {
            self.pieces.add(name.len(), line as usize)?;
            try_push(&mut self.list.lines.names, (line, name.to_owned()))?;
        }
        Ok(())
    }
}

/// Whether `text` can be the name of a host: letters, digits, hyphens and underscores between dots,
/// and not a number at the end, because the resolver would take that for an address in one of its
/// old forms (inet_aton(3)), as `127.1` and `0x7f000001` are.
pub fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    text.len() <= MAX_NAME && text.split('.').all(is_label) && !is_number
}
