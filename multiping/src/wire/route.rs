//! The Record Route option of IPv4 (RFC 791 page 20): the addresses of the routers that a packet
//! has passed, and of the host that answered, as far as there is room.

use std::net::Ipv4Addr;

/// The types of options: End of List and No Operation, which have no length, and Record Route.
const END: u8 = 0;
const NO_OPERATION: u8 = 1;
const RECORD_ROUTE: u8 = 7;

/// The length of type, length and pointer, and of an address.
const HEAD: usize = 3;
const ADDRESS: usize = 4;

/// How many addresses an option holds at most: 40 bytes are left for all options of a header.
const MAX_HOPS: usize = 9;

/// The options of a packet that asks for its route: a No Operation, so that the addresses begin at
/// a multiple of 4, and a Record Route with room for as many as there can be.
pub const RECORD_ROUTE_OPTIONS: [u8; 40] = {
    let mut options = [0; 40];
    options[0] = NO_OPERATION;
    options[1] = RECORD_ROUTE;
    options[2] = (HEAD + MAX_HOPS * ADDRESS) as u8;
    options[3] = HEAD as u8 + 1;
    options
};

/// The addresses that were recorded, there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedRoute {
    hops: [Ipv4Addr; MAX_HOPS],
    /// How many there are.
    len: u8,
}

impl RecordedRoute {
    /// The route that the options of an IPv4 header hold, if one was recorded.
    pub fn parse(mut options: &[u8]) -> Option<Self> {
        loop {
            match *options.first()? {
                END => return None,
                NO_OPERATION => options = options.get(1..)?,
                msg_type => {
                    // An option without room for its own length has no end.
                    let length = Some(usize::from(*options.get(1)?)).filter(|&length| length >= 2)?;
                    let option = options.get(..length)?;
                    if msg_type == RECORD_ROUTE {
                        return Self::parse_option(option);
                    }
                    options = options.get(length..)?;
                }
            }
        }
    }

    fn parse_option(option: &[u8]) -> Option<Self> {
        // The pointer counts from 1, and is behind the last address.
        let end = usize::from(*option.get(HEAD - 1)?).checked_sub(1)?;
        let recorded = option.get(HEAD..end)?.chunks_exact(ADDRESS);
        let mut route = RecordedRoute { hops: [Ipv4Addr::UNSPECIFIED; MAX_HOPS], len: 0 };
        for (hop, bytes) in route.hops.iter_mut().zip(recorded) {
            *hop = Ipv4Addr::from(*bytes.first_chunk::<ADDRESS>()?);
            route.len += 1;
        }
        Some(route)
    }

    /// The addresses, in the order in which they were recorded.
    pub fn hops(&self) -> &[Ipv4Addr] {
        &self.hops[..self.len.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Record Route option with this pointer, and addresses from 10.0.0.1 on.
    fn option(length: u8, pointer: u8) -> Vec<u8> {
        let addresses = (1..=9).flat_map(|last| [10, 0, 0, last]);
        [RECORD_ROUTE, length, pointer].into_iter().chain(addresses).take(length.into()).collect()
    }

    fn hops(options: &[u8]) -> Option<Vec<u8>> {
        RecordedRoute::parse(options).map(|route| route.hops().iter().map(|hop| hop.octets()[3]).collect())
    }

    #[test]
    fn what_was_recorded_is_read() {
        assert_eq!(hops(&RECORD_ROUTE_OPTIONS), Some(vec![]), "nothing yet");
        assert_eq!(hops(&option(39, 4)), Some(vec![]));
        assert_eq!(hops(&option(39, 12)), Some(vec![1, 2]));
        assert_eq!(hops(&option(39, 40)), Some((1..=9).collect()), "it is full");
        // Router Alert before it.
        assert_eq!(hops(&[&[0x94, 4, 0, 0, NO_OPERATION][..], &option(11, 12)].concat()), Some(vec![1, 2]));
    }

    #[test]
    fn what_is_no_route_is_none() {
        assert_eq!(hops(&[]), None);
        assert_eq!(hops(&[NO_OPERATION, END, RECORD_ROUTE, 3, 4]), None, "behind the end");
        assert_eq!(hops(&[0x94, 0, RECORD_ROUTE, 3, 4]), None, "an option of no length");
        assert_eq!(hops(&[0x94, 1, RECORD_ROUTE, 3, 4]), None);
        assert_eq!(hops(&[RECORD_ROUTE]), None);
        for length in 0..39 {
            // Cut short, or with a pointer to anywhere.
            assert_eq!(hops(&option(39, 12)[..length]), None, "{length}");
        }
        for pointer in 0..=255 {
            let count = hops(&option(39, pointer)).map(|hops| hops.len());
            let expected = (4..=40).contains(&pointer).then(|| usize::from(pointer - 4) / 4);
            assert_eq!(count, expected, "{pointer}");
        }
    }
}
