//! The limits of a caller. The program may be setuid, so callers whose real user is not root have
//! lower ones.

use std::time::Duration;

use multiping::address::PerFamily;
use multiping::plan::{PacketOptions, Rate};

/// The limits of a caller.
pub struct Limits {
    /// Whether the real user is root.
    pub caller_is_root: bool,
    /// The highest rate.
    pub rate: Rate,
    /// The shortest time between two probes to one target.
    pub spacing: Duration,
    /// The most accepted lines, and so targets, in one run.
    pub targets: usize,
    /// The most addresses that `--generate` makes in one run.
    pub generated: usize,
    /// Whether multicast and broadcast addresses may be probed.
    pub allow_multicast_and_broadcast: bool,
    /// The most data in a probe over IPv4 and over IPv6, in bytes.
    pub max_sizes: PerFamily<usize>,
    /// The size of each receive buffer, in bytes.
    pub receive_buffer: usize,
}

impl Limits {
    /// For ordinary users. A probe of the largest size fits into an Ethernet frame.
    pub const ORDINARY: Limits = Limits {
        caller_is_root: false,
        rate: match Rate::per_second(10_000.0) {
            Ok(rate) => rate,
            Err(_) => Rate::UNLIMITED,
        },
        spacing: Duration::from_millis(10),
        targets: 1 << 24,
        generated: 131_072, // as in fping
        allow_multicast_and_broadcast: false,
        max_sizes: PerFamily { v4: 1_472, v6: 1_452 },
        receive_buffer: 4 << 20,
    };

    /// For root: what the program and its packets can hold.
    pub const ROOT: Limits = Limits {
        caller_is_root: true,
        rate: Rate::UNLIMITED,
        spacing: Duration::ZERO,
        targets: (1 << 31) - 1,
        generated: (1 << 31) - 1,
        allow_multicast_and_broadcast: true,
        max_sizes: PerFamily { v4: *PacketOptions::SIZE.end(), v6: *PacketOptions::SIZE.end() },
        receive_buffer: 32 << 20,
    };
}
