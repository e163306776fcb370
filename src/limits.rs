//! The limits of a caller. The program may be setuid, so callers whose real user is not root have
//! lower ones.

use std::time::Duration;

use multiping::address::Family;
use multiping::plan::Rate;

/// The limits of a caller.
#[derive(Clone, Copy)]
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
    /// Whether broadcast addresses may be probed.
    pub allow_broadcast: bool,
    /// Whether multicast addresses may be probed.
    pub allow_multicast: bool,
    /// The least time between two probes to multicast groups, whichever they are.
    pub group_spacing: Duration,
    /// Whether packets may have a firewall mark, which can lead them past rules.
    pub allow_mark: bool,
    /// The most bytes in a second, of IP packets.
    pub bytes_per_second: Option<u32>,
    /// The size of the receive buffer of a family, in bytes. Threads share it.
    pub receive_buffer: usize,
}

/// How many bytes of a packet are no data of a probe: the headers of IP, without options, and ICMP.
pub fn headers(family: Family) -> u16 {
    match family {
        Family::V4 => 28,
        Family::V6 => 48,
    }
}

impl Limits {
    /// For ordinary users. All that they send is a tenth of a gigabit a second.
    pub const ORDINARY: Limits = Limits {
        caller_is_root: false,
        rate: match Rate::per_second(10_000.0) {
            Ok(rate) => rate,
            Err(_) => Rate::UNLIMITED,
        },
        spacing: Duration::from_millis(10),
        targets: 1 << 24,
        generated: 131_072, // as in fping
        allow_broadcast: false,
        allow_multicast: false,
        group_spacing: Duration::from_secs(1),
        allow_mark: false,
        bytes_per_second: Some(12_500_000),
        receive_buffer: 4 << 20,
    };

    /// These limits with multicast allowed, for a run that keeps to `group_spacing`.
    pub fn with_multicast(self) -> Limits {
        Limits { allow_multicast: true, ..self }
    }

    /// The highest rate of probes with `size` bytes of data, of which some may be of `family`.
    pub fn rate_of(&self, size: usize, family: Family) -> Rate {
        let Some(bytes) = self.bytes_per_second else { return self.rate };
        let pps = f64::from(bytes) / (size + usize::from(headers(family))) as f64;
        if self.rate.exceeds(pps) { Rate::per_second(pps).unwrap_or(self.rate) } else { self.rate }
    }

    /// For root: what the program and its packets can hold.
    pub const ROOT: Limits = Limits {
        caller_is_root: true,
        rate: Rate::UNLIMITED,
        spacing: Duration::ZERO,
        targets: (1 << 31) - 1,
        generated: (1 << 31) - 1,
        allow_broadcast: true,
        allow_multicast: true,
        group_spacing: Duration::ZERO,
        allow_mark: true,
        bytes_per_second: None,
        receive_buffer: 32 << 20,
    };
}
