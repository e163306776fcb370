//! Keys that are in a record only where an option of the program asks for them.

use multiping::address::{Address, Family};
use multiping::wire::HostTime;
use serde::Serialize;

use crate::limits::headers;
use crate::report;
use crate::report::json::record::Text;
use crate::report::sizes::Found;

/// What was found by probes of many sizes.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Sizes {
    /// The largest size that was answered, and the length of such packets.
    largest_size: Option<u16>,
    largest_packet: Option<u32>,
    /// The least MTU that a router named, and which router.
    named_mtu: Option<u32>,
    named_by: Option<Text<Address>>,
    /// Whether a search has come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    search_complete: Option<bool>,
}

impl Sizes {
    pub(super) fn new(found: &Found, family: Family) -> Self {
        Sizes {
            largest_size: found.largest,
            largest_packet: found.largest.map(|size| u32::from(size) + u32::from(headers(family))),
            named_mtu: found.named.map(|(mtu, _)| mtu),
            named_by: found.named.map(|(_, router)| Text(router)),
            search_complete: found.is_complete,
        }
    }
}

/// The times of day in a reply to a Timestamp request, in milliseconds; null where there is none.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Times {
    originate_ms: Option<u32>,
    receive_ms: Option<u32>,
    transmit_ms: Option<u32>,
}

impl From<report::Times> for Times {
    fn from(times: report::Times) -> Self {
        let ms = |time: HostTime| time.time_of_day().map(|_| time.0);
        Times {
            originate_ms: times.originate.and_then(ms),
            receive_ms: ms(times.receive),
            transmit_ms: ms(times.transmit),
        }
    }
}
