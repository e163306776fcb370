//! The interfaces of link-local targets by the names that were typed for them: the engine has their
//! numbers, and in the sandbox the kernel cannot be asked for a name.

use std::collections::HashMap;
use std::fmt::{self, Display, Formatter};

use multiping::address::{Address, Addresses};

use crate::list::OutputLines;

/// The first name that was typed for each interface.
#[derive(Clone, Debug, Default)]
pub struct Zones(HashMap<u32, String>);

impl Zones {
    /// The interfaces that `lines` name.
    pub fn new(lines: &OutputLines, addresses: &Addresses) -> Self {
        let mut names = HashMap::new();
        let mut with_zone = lines.zones.iter().peekable();
        for (target, number) in lines.targets.iter().zip(0..) {
            let Some((line, spelling)) = with_zone.peek() else { break };
            if *line != number {
                continue;
            }
            if let (Some(Address::V6(_, index)), Some(name)) =
                (addresses.get(target), lines.spellings.get(*spelling as usize))
            {
                names.entry(index).or_insert_with(|| name.clone());
            }
            with_zone.next();
        }
        Zones(names)
    }

    /// An address as it is printed, with the name of its interface.
    pub fn show(&self, address: Address) -> impl Display {
        Named { address, zones: self }
    }
}

struct Named<'a> {
    address: Address,
    zones: &'a Zones,
}

impl Display for Named<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.address {
            Address::V6(ip, index) if index != 0 => match self.zones.0.get(&index) {
                Some(name) => write!(f, "{ip}%{name}"),
                None => self.address.fmt(f),
            },
            address => address.fmt(f),
        }
    }
}
