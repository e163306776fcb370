//! How many IPv6 packets this machine has dropped that it was to send (ipSystemStatsOutDiscards,
//! RFC 4293). To an ICMP datagram socket the kernel returns success for them, whatever drops them:
//! a full queue, a firewall, a full neighbour table (ping_v6_sendmsg in net/ipv6/ping.c).
//!
//! The counter is read from `/proc/net/snmp6`, where it has a name. rtnetlink tells it as well, and
//! for each interface (IFLA_INET6_STATS), but by a number that differs between kernels: 14 at
//! first, 19 on Linux 6.18. The file is opened before a sandbox is entered, and needs no privilege.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::net::FamilySocket;

/// The counters of the network namespace of this thread.
const COUNTERS: &str = "/proc/thread-self/net/snmp6";

const NAME: &[u8] = b"Ip6OutDiscards";

/// Room for the lines up to that one, which is the 12th, of some 40 bytes each.
const BUFFER: usize = 2048;

/// The counter.
pub(super) struct Discards(File);

impl Discards {
    /// Opens the counter for a socket that is not told of what is dropped. None for any other, and
    /// where the counter cannot be read.
    pub(super) fn open(socket: &FamilySocket) -> Option<Self> {
        if !socket.hides_drops() {
            return None;
        }
        let discards = Discards(File::open(COUNTERS).ok()?);
        discards.read().map(|_| discards)
    }

    /// How many packets were dropped so far. None: it cannot be read now.
    pub(super) fn read(&self) -> Option<u64> {
        let mut buffer = [0; BUFFER];
        let length = self.0.read_at(&mut buffer, 0).ok()?;
        parse(buffer.get(..length)?)
    }
}

/// The value in the line that begins with the name of the counter, if it is there and complete.
fn parse(counters: &[u8]) -> Option<u64> {
    let lines = counters.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let mut values = lines.filter_map(|line| line.strip_prefix(NAME)).filter(|rest| rest.starts_with(b" "));
    std::str::from_utf8(values.next()?).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first lines on Linux 6.18, in the order of the kernel.
    const COUNTERS: &str = "\
Ip6InReceives                   \t5
Ip6InDiscards                   \t7
Ip6OutForwDatagrams             \t8
Ip6OutRequests                  \t5
Ip6OutDiscards                  \t18446744073709551615
Ip6OutNoRoutes                  \t3
";

    #[test]
    fn the_counter_is_found_by_its_name() {
        assert_eq!(parse(COUNTERS.as_bytes()), Some(u64::MAX));
        assert_eq!(parse(b"Ip6OutDiscards \t0\n"), Some(0));
        assert_eq!(parse(b"Ip6OutDiscardsOfLate \t1\nIp6OutDiscards \t2\n"), Some(2));
    }

    #[test]
    fn what_is_cut_short_or_damaged_is_no_counter() {
        let end = COUNTERS.find("\nIp6OutNo").map_or(0, |end| end + 1);
        for length in 0..end {
            assert_eq!(parse(&COUNTERS.as_bytes()[..length]), None, "{length}");
        }
        for value in ["", "\t", "-1", "1 2", "x", "0x1", "18446744073709551616", "\u{fffd}"] {
            assert_eq!(parse(format!("Ip6OutDiscards {value}\n").as_bytes()), None, "{value:?}");
        }
        assert_eq!(parse(b"Ip6OutDiscards \xff\n"), None);
        assert_eq!(parse(&[0; BUFFER]), None);
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..20_000 {
            let mut damaged = COUNTERS.as_bytes().to_vec();
            let place = rng.usize(..damaged.len());
            damaged[place] = rng.u8(..);
            damaged.truncate(rng.usize(..=damaged.len()));
            let _ = parse(&damaged); // without a panic
        }
    }

    #[test]
    fn the_kernel_has_the_counter_near_the_beginning() {
        // Where it has IPv6.
        let Ok(file) = File::open(super::COUNTERS) else { return };
        let discards = Discards(file);
        assert!(discards.read().is_some() && discards.read().is_some(), "it can be read again");
    }
}
