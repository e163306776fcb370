//! Targets dealt out to several shares, and moved from one to another.

use crate::address::{Address, Addresses, TargetId};
use crate::alloc::{OutOfMemory, try_reserve, try_with_capacity};

impl Addresses {
    /// Deals them out to so many shares, each family in turn: see [`Addresses::share_of`]. The
    /// memory that it takes meanwhile is that of one share.
    pub fn deal(self, shares: usize) -> Result<Vec<Addresses>, OutOfMemory> {
        let (v4, v6) = (deal(self.v4, shares)?, deal(self.v6, shares)?);
        Ok(v4.into_iter().zip(v6).map(|(v4, v6)| Addresses { v4, v6, ..Addresses::default() }).collect())
    }

    /// In which of `shares` a target is, and which target of that share it is, where there are
    /// `first_v6` IPv4 targets in all.
    pub fn share_of(target: TargetId, first_v6: u32, shares: u32) -> (usize, TargetId) {
        let (nth, before) = match target.0.checked_sub(first_v6) {
            // The first shares have one more if they cannot have equally many.
            Some(nth) => (nth, (first_v6 + shares - 1 - nth % shares) / shares),
            None => (target.0, 0),
        };
        ((nth % shares) as usize, TargetId(before + nth / shares))
    }

    /// Makes room for `more` to be appended without an allocation: of IPv4, and if that is said of
    /// both families in any order.
    pub fn reserve(&mut self, more: usize, with_v6: bool) -> Result<(), OutOfMemory> {
        if with_v6 {
            try_reserve(&mut self.v6, more)?;
            try_reserve(&mut self.appended, more)?;
        }
        // The last one, as alone it counts as room where there is no IPv6 yet.
        try_reserve(&mut self.v4, more)
    }

    /// How many can be appended without an allocation.
    pub fn room(&self) -> usize {
        if self.v6.is_empty() && self.appended.is_empty() {
            return self.v4.capacity() - self.v4.len();
        }
        (self.v6.capacity() - self.v6.len()).min(self.appended.capacity() - self.appended.len())
    }

    /// Moves the last `count` to the end of `other`, in their order. All others keep their numbers.
    pub(crate) fn move_last(&mut self, count: usize, other: &mut Addresses) {
        let appended = count.min(self.appended.len());
        let v6 = (count - appended).min(self.v6.len());
        let v4 = (count - appended - v6).min(self.v4.len());
        last(&mut self.v4, v4).for_each(|ip| other.append(Address::V4(ip)));
        last(&mut self.v6, v6).for_each(|(ip, zone)| other.append(Address::V6(ip, zone)));
        last(&mut self.appended, appended).for_each(|address| other.append(address));
    }

    fn append(&mut self, address: Address) {
        match address {
            _ if !self.appended.is_empty() => self.appended.push(address),
            Address::V4(ip) if self.v6.is_empty() => self.v4.push(ip),
            Address::V4(_) => self.appended.push(address),
            Address::V6(ip, zone) => self.v6.push((ip, zone)),
        }
    }
}

/// Removes the last `count` items.
fn last<T>(list: &mut Vec<T>, count: usize) -> impl Iterator<Item = T> {
    list.drain(list.len() - count..)
}

/// Item `n` to share `n` modulo the number of shares. The last share is what was left of `items`.
fn deal<T: Copy>(mut items: Vec<T>, shares: usize) -> Result<Vec<Vec<T>>, OutOfMemory> {
    let mut dealt = Vec::with_capacity(shares);
    for left in (2..=shares).rev() {
        let mut share = try_with_capacity(items.len().div_ceil(left))?;
        let mut nth = 0;
        items.retain(|&item| {
            let is_kept = nth % left != 0;
            if !is_kept {
                share.push(item);
            }
            nth += 1;
            is_kept
        });
        items.shrink_to_fit();
        dealt.push(share);
    }
    dealt.push(items);
    Ok(dealt)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::address::Family;

    #[test]
    fn every_target_is_in_one_share_and_families_are_dealt_out_evenly() {
        let cases = [(0, 0, 1), (5, 0, 1), (0, 7, 2), (1, 1, 2), (7, 5, 2), (8, 3, 3), (2, 1, 4), (100, 33, 7)];
        for (v4, v6, shares) in cases {
            let first_v6 = v4;
            let v4: Vec<_> = (0..v4).map(|n| Ipv4Addr::from_bits(0x0a00_0000 + n)).collect();
            let v6: Vec<_> = (0..v6).map(|n| (Ipv6Addr::from_bits(n), n as u32)).collect();
            let all = Addresses { v4: v4.clone(), v6: v6.clone(), appended: Vec::new() };
            let dealt = Addresses { v4, v6, appended: Vec::new() }.deal(shares).expect("there is memory");
            assert_eq!(dealt.len(), shares);
            assert_eq!(dealt.iter().map(Addresses::len).sum::<usize>(), all.len());
            for (target, address) in all.iter() {
                let (share, place) = Addresses::share_of(target, first_v6, shares as u32);
                assert_eq!(dealt[share].get(place), Some(address), "{target:?} of {first_v6} and {}", all.v6.len());
            }
            for family in Family::BOTH {
                let counts: Vec<_> = dealt.iter().map(|share| share.count(family)).collect();
                assert!(counts.is_sorted_by(|a, b| a >= b) && counts[0] - counts[shares - 1] <= 1, "{counts:?}");
            }
        }
    }
}
