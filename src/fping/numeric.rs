//! Addresses in all the forms that the C library takes, and its words for names that have none.

use std::net::{Ipv4Addr, Ipv6Addr};

use multiping::address::{Address, Family};
use multiping::net;

use crate::cli::fping::digits_of_any_base;

/// The C library's words, which clients look for (EAI_NONAME).
pub(super) const NOT_KNOWN: &str = "Name or service not known";

/// The same for a name server that does not answer (EAI_AGAIN).
pub(super) const TEMPORARY: &str = "Temporary failure in name resolution";

/// The same for an address of the other family (EAI_ADDRFAMILY).
const WRONG_FAMILY: &str = "Address family for hostname not supported";

/// The address that `text` is, or why it is none of `family`. `None`: it is a name.
pub(super) fn parse(text: &str, family: Option<Family>) -> Option<Result<Address, &'static str>> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    let parsed = match (ipv4(address), address.parse::<Ipv6Addr>(), zone) {
        (Some(ip), _, None) => Address::V4(ip),
        (Some(_), _, Some(_)) => return Some(Err(NOT_KNOWN)),
        (None, Ok(ip), None) => Address::V6(ip, 0),
        (None, Ok(ip), Some(zone)) => match net::interface(zone) {
            Some(index) => Address::V6(ip, index),
            None => return Some(Err(NOT_KNOWN)),
        },
        (None, Err(_), _) => return None,
    };
    Some(match family {
        Some(family) if family != parsed.family() => Err(WRONG_FAMILY),
        _ => Ok(parsed),
    })
}

/// An IPv4 address of one to four numbers, each decimal, octal (`010`) or hexadecimal (`0x10`), of
/// which the last one fills all bytes that are left (inet_aton(3)).
pub(super) fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last().filter(|(_, first)| first.len() < 4)?;
    let mut address = 0;
    for (part, shift) in first.iter().zip([24, 16, 8]) {
        address |= digits_of_any_base(part).filter(|&part| part < 256)? << shift;
    }
    let remaining = u32::MAX >> (8 * first.len());
    Some((address | digits_of_any_base(last).filter(|&last| last <= remaining)?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_addresses_have_one_to_four_numbers() {
        for (text, address) in [
            ("192.0.2.1", [192, 0, 2, 1]),
            ("127.1", [127, 0, 0, 1]),
            ("127.1.2", [127, 1, 0, 2]),
            ("127.65535", [127, 0, 255, 255]),
            ("010.0.0.1", [8, 0, 0, 1]),
            ("0x7f000001", [127, 0, 0, 1]),
            ("0", [0, 0, 0, 0]),
            ("4294967295", [255, 255, 255, 255]),
        ] {
            assert_eq!(ipv4(text), Some(address.into()), "{text}");
        }
        for text in ["", ".", "1.", ".1", "1.2.3.4.5", "256.1", "127.16777216", "4294967296", "08", "1.2.3.+4", "a"] {
            assert_eq!(ipv4(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_of_another_family_are_told_from_names() {
        assert_eq!(parse("::1", Some(Family::V4)), Some(Err(WRONG_FAMILY)));
        assert_eq!(parse("127.1", Some(Family::V6)), Some(Err(WRONG_FAMILY)));
        assert_eq!(parse("::1", Some(Family::V6)), Some(Ok(Address::V6(Ipv6Addr::LOCALHOST, 0))));
        assert_eq!(parse("fe80::1%no-such-interface", None), Some(Err(NOT_KNOWN)));
        assert_eq!(parse("localhost", None), None);
    }
}
