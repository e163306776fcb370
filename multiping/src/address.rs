//! Addresses of both families, and the targets that distinct addresses are.
//!
//! A [`TargetId`] names a target within a run. A list may name an address more than once:
//! [`AddressList`] takes all of them, and makes of equal ones one target.

mod deal;

use std::fmt::{self, Display, Formatter};
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::{Index, IndexMut};

use crate::alloc::{OutOfMemory, try_filled, try_push};

/// The two versions of IP, and with them the two versions of ICMP.
///
/// It is exhaustive: no third version of IP is to come, and a `match` on it needs no wildcard.
///
/// ```
/// use multiping::{Address, Family};
///
/// let families = ["192.0.2.1", "2001:db8::1"].map(|text| text.parse().map(Address::family));
/// assert_eq!(families, Family::BOTH.map(Ok));
/// assert_eq!(Family::V6.name(), "IPv6");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4 and ICMP (RFC 792).
    V4,
    /// IPv6 and ICMPv6 (RFC 4443).
    V6,
}

impl Family {
    /// Both families, in the order in which they are probed.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// `IPv4` or `IPv6`.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// One value for each family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerFamily<T> {
    /// For IPv4.
    pub v4: T,
    /// For IPv6.
    pub v6: T,
}

impl<T> PerFamily<T> {
    /// The values that `make` returns.
    pub fn from_fn(mut make: impl FnMut(Family) -> T) -> Self {
        PerFamily { v4: make(Family::V4), v6: make(Family::V6) }
    }

    /// The values with `change` applied to each.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerFamily<U> {
        PerFamily { v4: change(self.v4), v6: change(self.v6) }
    }

    /// References to the values.
    pub fn as_ref(&self) -> PerFamily<&T> {
        PerFamily { v4: &self.v4, v6: &self.v6 }
    }

    /// Mutable references to the values.
    pub fn as_mut(&mut self) -> PerFamily<&mut T> {
        PerFamily { v4: &mut self.v4, v6: &mut self.v6 }
    }
}

impl<T> IntoIterator for PerFamily<T> {
    type Item = (Family, T);
    type IntoIter = std::array::IntoIter<(Family, T), 2>;

    fn into_iter(self) -> Self::IntoIter {
        [(Family::V4, self.v4), (Family::V6, self.v6)].into_iter()
    }
}

impl<T> Index<Family> for PerFamily<T> {
    type Output = T;

    fn index(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<T> IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// Where a probe goes, or where a reply comes from.
///
/// It is exhaustive, as [`Family`] is.
///
/// ```
/// use std::net::Ipv6Addr;
/// use multiping::Address;
///
/// let address: Address = "127.0.0.1".parse()?;
/// assert_eq!(address, Address::from([127, 0, 0, 1]));
/// // Link-local addresses have a zone: the index or the name of an interface, as in `fe80::1%lo`.
/// let neighbour = Address::scoped(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1), 2);
/// assert_eq!(neighbour.scope().map(|zone| zone.get()), Some(2));
/// # Ok::<_, multiping::ParseAddressError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address with its zone (RFC 4007 §11) as an interface index; 0: none.
    V6(Ipv6Addr, u32),
}

/// In as few numbers as possible: each probe and each reply takes a hash.
impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match *self {
            Address::V4(ip) => state.write_u64(4 << 32 | u64::from(ip.to_bits())),
            Address::V6(ip, zone) => {
                state.write_u64(6 << 32 | u64::from(zone));
                state.write_u128(ip.to_bits());
            }
        }
    }
}

impl Address {
    /// The address without a zone.
    pub const fn new(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Address::V4(ip),
            IpAddr::V6(ip) => Address::V6(ip, 0),
        }
    }

    /// An IPv6 address with its zone (RFC 4007 §11), which is the index of an interface; 0 is none.
    pub const fn scoped(ip: Ipv6Addr, scope: u32) -> Self {
        Address::V6(ip, scope)
    }

    /// The zone, if there is one.
    pub fn scope(self) -> Option<NonZeroU32> {
        match self {
            Address::V4(_) => None,
            Address::V6(_, zone) => NonZeroU32::new(zone),
        }
    }

    /// The family of the address.
    pub fn family(self) -> Family {
        match self {
            Address::V4(_) => Family::V4,
            Address::V6(..) => Family::V6,
        }
    }

    /// The address without its zone.
    pub fn ip(self) -> IpAddr {
        match self {
            Address::V4(ip) => ip.into(),
            Address::V6(ip, _) => ip.into(),
        }
    }

    /// Whether a reply from `from` comes from this address. A zone is compared only if this address
    /// has one.
    pub fn is_source(self, from: Address) -> bool {
        match (self, from) {
            (Address::V6(ip, 0), Address::V6(from, _)) => ip == from,
            _ => self == from,
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Address::new(ip)
    }
}

impl From<Ipv4Addr> for Address {
    fn from(ip: Ipv4Addr) -> Self {
        Address::V4(ip)
    }
}

impl From<Ipv6Addr> for Address {
    fn from(ip: Ipv6Addr) -> Self {
        Address::V6(ip, 0)
    }
}

impl From<[u8; 4]> for Address {
    fn from(octets: [u8; 4]) -> Self {
        Address::V4(octets.into())
    }
}

impl From<SocketAddr> for Address {
    /// The port is left out.
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Address::V4(*address.ip()),
            SocketAddr::V6(address) => Address::V6(*address.ip(), address.scope_id()),
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

/// Names a target within a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

impl TargetId {
    /// The target's index in an array of all targets.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Distinct addresses, each the target of its index: IPv4 first, each family in the order of the
/// list. An IPv4 address costs 4 bytes, an IPv6 address 20.
#[derive(Debug, Default)]
pub struct Addresses {
    v4: Vec<Ipv4Addr>,
    v6: Vec<(Ipv6Addr, u32)>,
    /// What was appended later, and has no place before these.
    appended: Vec<Address>,
}

impl Addresses {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len() + self.appended.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of `family` there are.
    pub fn count(&self, family: Family) -> usize {
        let appended = self.appended.iter().filter(|address| address.family() == family).count();
        appended
            + match family {
                Family::V4 => self.v4.len(),
                Family::V6 => self.v6.len(),
            }
    }

    /// The address of a target, if there is such a target.
    pub fn get(&self, target: TargetId) -> Option<Address> {
        match self.v4.get(target.index()) {
            Some(&ip) => Some(Address::V4(ip)),
            None => self.get_behind_v4(target.index() - self.v4.len()),
        }
    }

    fn get_behind_v4(&self, index: usize) -> Option<Address> {
        match self.v6.get(index) {
            Some(&(ip, zone)) => Some(Address::V6(ip, zone)),
            None => self.appended.get(index - self.v6.len()).copied(),
        }
    }

    /// Every target with its address, in the order of probing.
    pub fn iter(&self) -> impl Iterator<Item = (TargetId, Address)> {
        (0..self.len() as u32).map(TargetId).filter_map(|target| Some((target, self.get(target)?)))
    }
}

/// Marks an entry of [`AddressList`] as IPv6.
const IS_V6: u32 = 1 << 31;

/// Addresses in the order of a list, in which some may be equal.
#[derive(Debug, Default)]
pub struct AddressList {
    addresses: Addresses,
    /// The index of each address within its family, with [`IS_V6`].
    entries: Vec<u32>,
}

impl AddressList {
    /// How many bytes an address takes at most while it is here, and while equal ones are found.
    pub const BYTES_PER_ADDRESS: usize = size_of::<(Ipv6Addr, u32)>() + size_of::<u32>() + size_of::<(u32, u32)>();

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends an address.
    pub fn push(&mut self, address: Address) -> Result<(), OutOfMemory> {
        let entry = match address {
            Address::V4(ip) => try_push(&mut self.addresses.v4, ip)?,
            Address::V6(ip, zone) => try_push(&mut self.addresses.v6, (ip, zone))? | IS_V6,
        };
        try_push(&mut self.entries, entry).map(drop)
    }

    /// Makes one target of equal addresses. Returns the distinct addresses, and which target each
    /// address of the list is.
    pub fn dedup(self) -> Result<(Addresses, TargetMap), OutOfMemory> {
        let AddressList { mut addresses, mut entries } = self;
        let v4 = dedup(&mut addresses.v4)?;
        let v6 = dedup(&mut addresses.v6)?;
        let one_family = addresses.v4.is_empty() || addresses.v6.is_empty();
        if one_family && v4.is_none() && v6.is_none() {
            let count = entries.len() as u32;
            return Ok((addresses, TargetMap(Map::Identity(count))));
        }
        let first_v6 = addresses.v4.len() as u32;
        for entry in &mut entries {
            let (new, first) = if *entry & IS_V6 == 0 { (&v4, 0) } else { (&v6, first_v6) };
            let old = *entry & !IS_V6;
            *entry = first + new.as_ref().and_then(|new| new.get(old as usize).copied()).unwrap_or(old);
        }
        Ok((addresses, TargetMap(Map::Table(entries))))
    }
}

/// Which target each address of a list is.
#[derive(Debug)]
pub struct TargetMap(Map);

#[derive(Debug)]
enum Map {
    /// Address `n` of this many is target `n`.
    Identity(u32),
    Table(Vec<u32>),
}

impl Default for TargetMap {
    fn default() -> Self {
        TargetMap(Map::Identity(0))
    }
}

impl TargetMap {
    /// The targets of the addresses, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = TargetId> {
        (0..self.len()).filter_map(|place| self.get(place))
    }

    /// How many addresses there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Map::Identity(count) => *count as usize,
            Map::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The target of the address at this place of the list.
    pub fn get(&self, place: usize) -> Option<TargetId> {
        match &self.0 {
            Map::Identity(count) => (place < *count as usize).then_some(TargetId(place as u32)),
            Map::Table(table) => table.get(place).copied().map(TargetId),
        }
    }
}

/// Keeps the first of equal addresses. Returns the new index of each old one, or `None` if no two
/// were equal. Sorting indices costs 4 bytes an address, and only meanwhile; a hash map costs 28.
fn dedup<A: Ord + Copy>(addresses: &mut Vec<A>) -> Result<Option<Vec<u32>>, OutOfMemory> {
    if addresses.is_sorted_by(|a, b| a < b) {
        return Ok(None);
    }
    let mut order = try_filled(addresses.len(), 0)?;
    order.iter_mut().zip(0..).for_each(|(index, number)| *index = number);
    order.sort_unstable_by_key(|&index| (addresses[index as usize], index));
    let equal = |a: u32, b: u32| addresses[a as usize] == addresses[b as usize];
    if !order.windows(2).any(|pair| equal(pair[0], pair[1])) {
        return Ok(None);
    }
    let mut new = try_filled(addresses.len(), 0_u32)?;
    for run in order.chunk_by(|&a, &b| equal(a, b)) {
        for &index in run {
            new[index as usize] = run[0];
        }
    }
    // So far `new` holds the first index of each address. Close the gaps, in the order of the list.
    let mut kept = 0;
    for index in 0..addresses.len() {
        if new[index] as usize == index {
            addresses[kept as usize] = addresses[index];
            new[index] = kept;
            kept += 1;
        } else {
            new[index] = new[new[index] as usize];
        }
    }
    addresses.truncate(kept as usize);
    Ok(Some(new))
}
