//! The rows of the options that say how packets are sent: by which routes, and to which groups.

use std::ffi::OsStr;

use multiping::plan::ProbeKind;
use multiping::prober::SizeRange;

use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::flags::NUMBER;
use crate::cli::value::{ValueError, checked, parse_u8, parse_unsigned};
use crate::cli::{Options, Sizing};

const fn row(long: &'static str, value: Value, help: &'static str, apply: Apply) -> Flag {
    Flag { long: Some(long), short: None, value, help, default: None, apply }
}

const fn switch(long: &'static str, help: &'static str, set: fn(&mut Options)) -> Flag {
    row(long, Value::None, help, Apply::Switch(set))
}

/// One size, or a range with a step. (What has less data than a token proves nothing.)
pub(super) fn set_size(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    const EXPECTED: &str = "16 to 65507 bytes, or MIN-MAX[/STEP]; a reply with less than 16 proves nothing";
    let invalid = ValueError::Invalid(EXPECTED);
    let Some((least, rest)) = value.to_str().and_then(|text| text.split_once('-')) else {
        options.draft.sizes = None;
        return checked(parse_unsigned(value), |size| options.packet.set_size(size), EXPECTED);
    };
    let (greatest, step) = rest.split_once('/').unwrap_or((rest, "1"));
    let [least, greatest, step] = [least, greatest, step].map(|text| parse_unsigned::<usize>(OsStr::new(text)));
    let (Some(least), Some(greatest), Some(step)) = (least, greatest, step) else { return Err(invalid) };
    options.draft.sizes =
        Some(Sizing::Range(checked(Some(step), |step| SizeRange::new(least, greatest, step), EXPECTED)?));
    checked(Some(greatest), |size| options.packet.set_size(size), EXPECTED)
}

pub(super) const FIND_MTU: Flag =
    switch("find-mtu", "find the largest size that each target answers unfragmented", |options| {
        options.draft.find_mtu = true;
    });

pub(super) const ICMP_TIMESTAMP: Flag =
    switch("icmp-timestamp", "send Timestamp requests, and print the times that hosts tell (IPv4)", |options| {
        options.packet.set_kind(ProbeKind::Timestamp);
    });

pub(super) const ICMP_MASK: Flag =
    switch("icmp-mask", "send Address Mask Requests, and print the masks that hosts tell (IPv4)", |options| {
        options.packet.set_kind(ProbeKind::Mask);
    });

pub(super) const DONT_ROUTE: Flag =
    switch("dont-route", "send to neighbours only, past the routing tables", |options| {
        options.packet.set_dont_route(true);
    });

pub(super) const RECORD_ROUTE: Flag =
    switch("record-route", "print the routers that each reply names (IPv4)", |options| {
        options.packet.set_record_route(true);
    });

pub(super) const MULTICAST_TTL: Flag = row(
    "multicast-ttl",
    NUMBER,
    "Time To Live, or Hop Limit, of probes to groups",
    Apply::Set(|options, value| {
        options.packet.set_multicast_ttl(parse_u8(value, 0..=255, "a whole number from 0 to 255")?);
        Ok(())
    }),
);

pub(super) const MULTICAST_INTERFACE: Flag = row(
    "multicast-interface",
    Value::Required("INTERFACE", Hint::Interface),
    "send probes to groups from this interface, or the one with this address",
    Apply::Set(|options, value| {
        let name = value.to_str().filter(|name| !name.is_empty());
        let name = name.ok_or(ValueError::Invalid("an interface, or an address of this machine"))?;
        options.multicast_interface = Some(name.to_owned());
        Ok(())
    }),
);

pub(super) const NO_MULTICAST_LOOP: Flag =
    switch("no-multicast-loop", "keep probes to groups from this machine itself", |options| {
        options.packet.set_no_multicast_loop(true);
    });
