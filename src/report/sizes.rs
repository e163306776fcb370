//! What a run with probes of many sizes has found: the largest one that each target answered, and
//! the MTU that a router named.

use std::io::{self, Write};

use multiping::address::Address;

use crate::figures::Figures;
use crate::limits::headers;
use crate::report::Hosts;

/// What was found of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The largest size that was answered, in bytes of data.
    pub largest: Option<u16>,
    /// The least MTU that a router named, and which router.
    pub named: Option<(u32, Address)>,
    /// Of a search: whether it has come to its end.
    pub is_complete: Option<bool>,
}

impl Found {
    /// A reply to a probe of this size came, with all of its data.
    pub fn answered(&mut self, size: u16) {
        self.largest = self.largest.max(Some(size));
    }

    /// A router names the MTU of a link.
    pub fn named(&mut self, mtu: u32, router: Address) {
        if self.named.is_none_or(|(least, _)| mtu < least) {
            self.named = Some((mtu, router));
        }
    }
}

/// Writes a line for each target.
pub fn write(out: &mut impl Write, found: &[Found], figures: &Figures, hosts: &Hosts) -> io::Result<()> {
    let addresses = figures.addresses();
    for ((target, address), found) in addresses.iter().zip(found) {
        let Some(host) = hosts.name(target, addresses) else { continue };
        let so_far = if found.is_complete == Some(false) { " so far" } else { "" };
        match found.largest {
            Some(size) => {
                let packet = u32::from(size) + u32::from(headers(address.family()));
                write!(out, "{host}: largest size answered{so_far}: {size} bytes (packets of {packet} bytes)")?;
            }
            None => write!(out, "{host}: no size answered{so_far}")?,
        }
        if let Some((mtu, router)) = found.named {
            write!(out, "; {router} names an MTU of {mtu}")?;
        }
        writeln!(out)?;
    }
    Ok(())
}
