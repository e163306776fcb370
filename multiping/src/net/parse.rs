//! Addresses in text, with zones that are names of this machine's interfaces.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use crate::address::Address;
use crate::net::route::interface;

/// The text is no IP address, or its zone is no interface of this machine.
///
/// ```
/// use multiping::Address;
///
/// assert!("127.0.0.1".parse::<Address>().is_ok() && "127.1".parse::<Address>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParseAddressError;

impl Display for ParseAddressError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("not an IP address, or its zone is not an interface of this machine")
    }
}

impl std::error::Error for ParseAddressError {}

impl FromStr for Address {
    type Err = ParseAddressError;

    /// Parses an IPv4 address, or an IPv6 address with or without a zone, which is the name or the
    /// number of an interface of this machine (RFC 4007 §11): `fe80::1%eth0`.
    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        match text.split_once('%') {
            None => text.parse::<IpAddr>().map(Address::from).map_err(|_| ParseAddressError),
            Some((ip, zone)) => {
                let ip: Ipv6Addr = ip.parse().map_err(|_| ParseAddressError)?;
                interface(zone).map(|index| Address::V6(ip, index)).ok_or(ParseAddressError)
            }
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_names_or_numbers_of_interfaces_of_this_machine() {
        let parse = |text: &str| text.parse::<Address>();
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(parse("192.0.2.1"), Ok(Address::from([192, 0, 2, 1])));
        assert_eq!(parse("fe80::1"), Ok(Address::V6(link_local, 0)));
        assert_eq!(
            (parse("fe80::1%lo"), parse("fe80::1%1")),
            (Ok(Address::V6(link_local, 1)), Ok(Address::V6(link_local, 1)))
        );
        for text in ["", "192.0.2", "192.0.2.1%lo", "fe80::1%", "fe80::1%no-such-device", "fe80::1%999999", "host"] {
            assert_eq!(parse(text), Err(ParseAddressError), "{text}");
        }
    }
}
