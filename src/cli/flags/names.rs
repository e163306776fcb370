//! The rows of the options about names.

use multiping::address::Family;

use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::value::ValueError;

pub(super) const RESOLVE: Flag = Flag {
    long: Some("resolve"),
    short: None,
    value: Value::None,
    help: "accept host names in place of addresses",
    default: None,
    apply: Apply::Switch(|options| options.names.resolve = true),
};

pub(super) const PREFER: Flag = Flag {
    long: Some("prefer"),
    short: None,
    value: Value::Required("FAMILY", Hint::Text),
    help: "of a name with both, probe the ipv4 or the ipv6 address",
    default: None,
    apply: Apply::Set(|options, value| {
        options.names.prefer = match value.to_str() {
            Some("ipv4") => Some(Family::V4),
            Some("ipv6") => Some(Family::V6),
            _ => return Err(ValueError::Invalid("ipv4 or ipv6")),
        };
        Ok(())
    }),
};

pub(super) const ALL_ADDRESSES: Flag = Flag {
    long: Some("all-addresses"),
    short: None,
    value: Value::None,
    help: "probe every address of a name",
    default: None,
    apply: Apply::Switch(|options| options.names.all_addresses = true),
};

pub(super) const NAMES: Flag = Flag {
    long: Some("names"),
    short: None,
    value: Value::None,
    help: "print the names of addresses as well",
    default: None,
    apply: Apply::Switch(|options| options.names.reverse = true),
};
