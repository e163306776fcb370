//! What a run reports although it continues.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;

use multiping::prober::Answered;

use crate::message::words::{Count, Reason, Remedy};

/// Something to report although the run continues.
#[derive(Debug)]
pub enum Warning {
    /// fping's options that are accepted and ignored.
    Ignored(String),
    /// The rate was lowered to the limit for ordinary users, which is this, in packets a second.
    RateLowered(f64),
    /// The period was raised to the limit for ordinary users, which is this.
    PeriodRaised(Duration),
    /// There are so many multicast groups that each is probed this seldom.
    GroupsPaced(usize, Duration),
    /// So many lines a second are not shown on a terminal.
    NotReadable(f64),
    /// So many probes were sent more than half a period late, and so many were left out.
    Slipped(u64, u64),
    /// So many probes count neither as answered nor as lost.
    DoubtfulProbes(u64),
    /// The rate does not allow the period.
    PeriodTooShort {
        /// How many targets there are.
        targets: usize,
        /// The rate, in packets a second.
        pps: f64,
        /// The period that it allows.
        needed: Duration,
        /// The period that was asked for.
        asked: Duration,
    },
    /// So many threads run, of so many that are wanted; and why there are no more.
    FewerThreads(usize, usize, io::Error),
    /// Started as root, which keeps uid 0 without its capabilities.
    RootWithoutCapabilities,
    /// How many lines are not quoted because so many others are.
    MoreLines(u64),
    /// The list is too long for the deadline: how many targets, and the least number of
    /// seconds that they take.
    TooSlow(usize, f64),
    /// A silent target takes longer than the deadline allows: this many seconds.
    LongTimeouts(f64),
    /// Targets of one family that the kernel refused to send to: how many, the first, and why.
    Refused(usize, String, io::Error),
    /// Replies were lost in the receive buffer: how many probes were sent again.
    Overflow(u64),
    /// How long the neighbour table was full.
    NoBuffers(Duration),
    /// A link or a route was lost, and this many probes were sent again for it.
    LinkLost(u64),
    /// This machine may have dropped IPv6 packets, and this many silent probes prove nothing.
    Discarded(u64),
    /// No reference answered for a while, and this many probes were sent again for it.
    ReferenceSilent(u64),
    /// Packets waited in the queue of an interface.
    Queued {
        /// How many RTTs include that.
        replies: u64,
        /// The longest of them.
        longest: Duration,
        /// How many probes were sent again.
        refunds: u64,
    },
    /// Unreachable targets that did answer, but not so that it counts; and the first.
    DidAnswer(Answered, Option<String>),
    /// Not one of this many targets answered.
    NoneAnswered(usize),
    /// The kernel does not stamp what arrives.
    NoTimestamps(io::Error),
    /// The kernel has not both packet filters.
    NoFilter(io::Error),
    /// ICMP errors are asked for, and the kernel passes none to ICMP datagram sockets.
    NoIcmpErrors,
}

/// A number with at most one decimal, rounded down, as the limit is not exceeded; below 1 as it is.
struct Decimal(f64);

impl Display for Decimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.0 < 1.0 { self.0 } else { (self.0 * 10.0).floor() / 10.0 })
    }
}

impl Display for Warning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Ignored(options) => write!(f, "{options}: ignored (fping options without an equivalent here)"),
            Warning::RateLowered(pps) => {
                write!(f, "the rate was lowered to {} packets a second (the limit for ordinary users)", Decimal(*pps))
            }
            Warning::PeriodRaised(period) => {
                write!(f, "--period was raised to {} ms (the limit for ordinary users)", period.as_millis())
            }
            Warning::GroupsPaced(groups, every) => {
                let every = every.as_secs();
                write!(
                    f,
                    "multicast groups: {groups}, one probe to each every {every} s (the limit for ordinary users)"
                )
            }
            Warning::NotReadable(lines) => {
                write!(f, "{lines:.0} replies a second are not shown on a terminal (see --show-lost, --report-every)")
            }
            Warning::Slipped(late, skipped) => write!(
                f,
                "probes sent more than half a period late: {late}, left out: {skipped} (this machine was busy)"
            ),
            Warning::DoubtfulProbes(probes) => write!(
                f,
                "this machine may have lost replies: {} neither answered nor lost (lower --max-pps; see --debug)",
                Count(*probes, "probe")
            ),
            Warning::PeriodTooShort { targets, pps, needed, asked } => write!(
                f,
                "{} at {} packets a second: one probe to each every {:.3} s, not every {} s (raise --max-pps)",
                Count(*targets, "target"),
                Decimal(*pps),
                needed.as_secs_f64(),
                asked.as_secs_f64()
            ),
            Warning::FewerThreads(started, wanted, why) => {
                write!(f, "--threads: {started} of {wanted} can be started: {} (see: ulimit -u -v)", Reason(why))
            }
            Warning::RootWithoutCapabilities => {
                write!(f, "root's capability to read other users' files was dropped (use stdin: cat FILE | xymonping)")
            }
            Warning::MoreLines(1) => f.write_str("1 more line has a problem (--list-errors shows all)"),
            Warning::MoreLines(lines) => write!(f, "{lines} more lines have problems (--list-errors shows all)"),
            Warning::TooSlow(targets, seconds) => write!(
                f,
                "--deadline: too short for {}, which take {seconds:.1} s to be probed once \
                 (raise --max-pps or --deadline)",
                Count(*targets, "target")
            ),
            Warning::LongTimeouts(seconds) => write!(
                f,
                "--deadline: too short for silent targets, which take {seconds:.1} s (lower --timeout or --retries)"
            ),
            Warning::Refused(1, target, why) => {
                write!(f, "could not send to {target}: {} ({})", Reason(why), Remedy(why, target))
            }
            Warning::Refused(targets, first, why) => {
                let hint = Remedy(why, first);
                write!(f, "could not send to {targets} targets, first {first}: {} ({hint})", Reason(why))
            }
            Warning::Overflow(probes) => {
                write!(f, "this machine lost replies: {} sent again (lower --max-pps)", Count(*probes, "probe"))
            }
            Warning::NoBuffers(time) => write!(
                f,
                "kernel buffers were full for {:.1} s (neighbour table; see LIMITS in xymonping(1))",
                time.as_secs_f64()
            ),
            Warning::LinkLost(probes) => {
                write!(
                    f,
                    "a link or route of this machine was lost: {} sent again (see: ip monitor)",
                    Count(*probes, "probe")
                )
            }
            Warning::Discarded(probes) => write!(
                f,
                "this machine may have dropped IPv6 packets: {} repeated or in doubt (see: nft list ruleset, \
                 tc -s qdisc, grep Ip6OutDiscards /proc/net/snmp6)",
                Count(*probes, "probe")
            ),
            Warning::ReferenceSilent(probes) => {
                write!(f, "no reference answered for a while: {} sent again", Count(*probes, "probe"))
            }
            Warning::Queued { replies, longest, refunds } => write!(
                f,
                "packets waited in a queue of this machine: RTTs with waiting time: {replies}, up to {:.1} ms; \
                 probes sent again: {refunds} (lower --max-pps, or see: tc -s qdisc)",
                longest.as_secs_f64() * 1e3
            ),
            Warning::DidAnswer(Answered { targets, late, damaged, other_source, .. }, first) => {
                write!(f, "unreachable targets that did answer: {targets}")?;
                for (count, how) in [(late, "late"), (damaged, "damaged"), (other_source, "from another address")] {
                    if *count > 0 {
                        write!(f, ", {how}: {count}")?;
                    }
                }
                first.as_ref().map_or(Ok(()), |first| write!(f, ", the first {first} (see --debug)"))
            }
            Warning::NoneAnswered(targets) => {
                write!(f, "none of {targets} targets answered (is this machine's network all right? see --check)")
            }
            Warning::NoTimestamps(why) => write!(
                f,
                "receive time stamps: {} (RTTs are taken when replies are read, and too long by the wait for that)",
                Reason(why)
            ),
            Warning::NoFilter(why) => write!(
                f,
                "packet filter: {} (other programs' ICMP packets are read too: more work, same results)",
                Reason(why)
            ),
            Warning::NoIcmpErrors => {
                f.write_str("ICMP errors: not received on ICMP datagram sockets (see --check for how to get raw ones)")
            }
        }
    }
}
