//! What is told of targets that come and go.

use std::fmt::{self, Debug, Formatter};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::address::{self, Address};
use crate::prober::{self, RosterId};
use crate::token::Token;
use crate::wire::IcmpError;

/// Names a target as long as it is there, and never another one later.
///
/// A target is there from `add` until it is removed, or until [`What::Done`] was told.
///
/// ```
/// use multiping::{Config, Engine, Schedule};
///
/// let mut engine = Engine::new(Config::new())?;
/// let target = match engine.add([127, 0, 0, 1], Schedule::manual()) {
///     Ok(target) => target,
///     Err(error) => return Ok(println!("skipped: {error}")), // no right to ping
/// };
/// engine.remove(target);
/// let another = engine.add([127, 0, 0, 2], Schedule::manual())?;
/// assert!(another != target && another.index() == target.index());
/// # Ok::<_, multiping::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub(crate) RosterId);

impl TargetId {
    /// A small number, for arrays of one's own: no two targets that are there have the same one. It
    /// is reused after removal.
    pub fn index(self) -> usize {
        self.0.target.index()
    }
}

impl Debug for TargetId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let RosterId { target, generation } = self.0;
        f.debug_struct("TargetId").field("index", &target.0).field("generation", &generation).finish()
    }
}

/// What happened to a probe, or to a target.
///
/// Each probe has exactly one [`What::Reply`], [`What::Silence`] or [`What::Refused`], unless its
/// target is removed or moves before that. [`What::Duplicate`] and [`What::Late`] come on top.
///
/// ```
/// use multiping::{Event, What};
///
/// fn print(event: &Event) {
///     println!("{} probe {}: {:?}", event.address, event.seq, event.what);
/// }
/// # let _ = (print, What::Done);
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Event {
    /// Which target.
    pub target: TargetId,
    /// Its address. (`0.0.0.0` as long as its name has none.)
    pub address: Address,
    /// Which probe to it: they count from 0. In events about the target itself: how many probes
    /// there were.
    pub seq: u32,
    /// When the probe was sent, or refused. In events about the target itself: when it happened.
    pub sent: Instant,
    /// What happened.
    pub what: What,
}

/// See [`Event`].
///
/// ```
/// use multiping::{Event, What};
///
/// /// Adds an event to the numbers of answers and losses.
/// fn count(event: &Event, answers: &mut u32, losses: &mut u32) {
///     match event.what {
///         What::Reply(_) => *answers += 1,
///         What::Silence { doubtful: false } => *losses += 1,
///         _ => {} // says nothing of the target, or is no end of a probe
///     }
/// }
/// # let _ = count;
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum What {
    /// The first valid answer, within the timeout by the kernel's time stamp.
    Reply(Reply),
    /// A further answer to a probe that was answered.
    Duplicate(Reply),
    /// An answer to a probe whose silence was told. How long such answers are known: see
    /// [`Config::late`](crate::Config::late).
    Late(Reply),
    /// No answer in time.
    Silence {
        /// This machine may be to blame (a full buffer, a link without carrier, a lost route, a
        /// queue of its own): the silence says nothing of the target.
        doubtful: bool,
    },
    /// A router, or the target itself, sent an ICMP error about a probe in flight. The probe goes
    /// on: it has its own end as well. (With datagram sockets there are none.)
    IcmpError {
        /// Who sent it.
        from: Address,
        /// The error.
        error: IcmpError,
        /// It quotes the whole token of the probe, which nobody can forge without having seen it.
        /// If not, it quotes less, but what it quotes is right: target, ident and Sequence Number.
        verified: bool,
    },
    /// This machine refused to send the probe, for this reason: it says nothing about the target.
    Refused(io::Error),
    /// The target's name has no address, for this reason; it keeps the last one that it had.
    Unresolved(io::Error),
    /// The target's name has another address from now on. Of probes in flight to the old one
    /// nothing more is told.
    Moved {
        /// The address that it had; `None`: it is the first one.
        from: Option<Address>,
    },
    /// Nothing more will be told of the target, and it is gone.
    Done,
}

/// An answer.
///
/// ```
/// use multiping::Reply;
///
/// /// A line as of ping(8).
/// fn line(reply: &Reply, seq: u32) -> String {
///     let ttl = reply.ttl.map(|ttl| format!(" ttl={ttl}")).unwrap_or_default();
///     format!("{} bytes from {}: icmp_seq={seq}{ttl} time={:?}", reply.len, reply.from, reply.rtt)
/// }
/// # let _ = line;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The round-trip delay (RFC 2681).
    pub rtt: Duration,
    /// Where it came from: the probed address, unless a router or a host with several addresses
    /// answers.
    pub from: Address,
    /// The address of this machine that it was sent to, where the kernel tells.
    pub to: Option<IpAddr>,
    /// Its TTL or Hop Limit, where the kernel tells.
    pub ttl: Option<u8>,
    /// The length of the ICMP message, in bytes.
    pub len: usize,
    /// When it arrived, by the kernel's time stamp.
    pub received: Instant,
}

/// What happened so far, in packets.
///
/// ```
/// use multiping::{Config, Engine};
///
/// let counts = Engine::new(Config::new())?.counts();
/// assert_eq!((counts.sent, counts.replies, counts.dropped), (0, 0, 0));
/// # Ok::<_, multiping::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Counts {
    /// Probes sent.
    pub sent: u64,
    /// Probes that this machine refused to send.
    pub refused: u64,
    /// First valid answers in time.
    pub replies: u64,
    /// Probes without an answer in time.
    pub silent: u64,
    /// Further answers.
    pub duplicates: u64,
    /// Answers after the timeout.
    pub late: u64,
    /// Packets with a wrong checksum, token or data, and answers to targets that are gone.
    pub damaged: u64,
    /// Packets that answer none of our probes.
    pub stray: u64,
    /// ICMP errors about probes in flight.
    pub icmp_errors: u64,
    /// Answers from another address than the probed one.
    pub other_source: u64,
    /// Turns of schedules that were over before a probe could be sent.
    pub skipped: u64,
    /// Packets that the kernel dropped because a receive buffer was full, or damaged ICMPv6 ones.
    pub dropped: u64,
}

impl Counts {
    pub(crate) fn new(counts: &prober::Counts, skipped: u64, dropped: u64) -> Self {
        Counts {
            sent: counts.sent,
            refused: counts.refused,
            replies: counts.replies,
            silent: counts.timeouts,
            duplicates: counts.duplicates,
            late: counts.late,
            damaged: counts.damaged,
            stray: counts.stray,
            icmp_errors: counts.icmp_errors,
            other_source: counts.other_source,
            skipped,
            dropped,
        }
    }
}

/// What is noted of an event while the state machine works: the target's id, generation and first
/// attempt are found when it has done so.
pub(crate) struct Note {
    pub(crate) target: address::TargetId,
    pub(crate) attempt: u32,
    pub(crate) sent: Instant,
    pub(crate) what: What,
}

impl Note {
    /// Appends what is to be told of an event. The attempt of a refused probe is in its token.
    pub(crate) fn push(notes: &mut Vec<Note>, event: &prober::Event, now: Instant) {
        use prober::ReplyKind;
        match *event {
            prober::Event::Sent { .. } => {}
            prober::Event::SendError { probe, error, at } => {
                let what = What::Refused(io::Error::from_raw_os_error(error.errno()));
                notes.push(Note { target: probe.target, attempt: probe.token.attempt, sent: at, what });
            }
            prober::Event::TimedOut(timed_out) => {
                let prober::TimedOut { target, attempt, sent, timeout } = timed_out;
                let doubtful = timeout != prober::Timeout::Counted;
                notes.push(Note { target, attempt, sent, what: What::Silence { doubtful } });
            }
            prober::Event::Received { from, reply, kind, at, ttl, to, .. } => {
                let (target, attempt, rtt) = match kind {
                    ReplyKind::Reply { target, attempt, rtt } => (target, attempt, rtt),
                    ReplyKind::Duplicate { target, attempt, rtt: Some(rtt) }
                    | ReplyKind::Late { target, attempt, rtt: Some(rtt), .. } => (target, attempt, rtt),
                    _ => return,
                };
                let len = reply.map_or(0, |reply| reply.message_len());
                let sent = at.checked_sub(rtt).unwrap_or(at);
                let reply = Reply { rtt, from, to, ttl, len, received: at };
                let what = match kind {
                    ReplyKind::Reply { .. } => What::Reply(reply),
                    ReplyKind::Duplicate { .. } => What::Duplicate(reply),
                    _ => What::Late(reply),
                };
                // Each probe has one end: a late reply that was read in time to end it is told
                // after its silence.
                if let ReplyKind::Late { timeout: None, .. } = kind {
                    notes.push(Note { target, attempt, sent, what: What::Silence { doubtful: false } });
                }
                notes.push(Note { target, attempt, sent, what });
            }
            prober::Event::IcmpError { from, error, original, about: Some((target, attempt)), at } => {
                let verified = original.echo.data.len() >= Token::LEN;
                notes.push(Note { target, attempt, sent: at, what: What::IcmpError { from, error, verified } });
            }
            prober::Event::IcmpError { about: None, .. } | prober::Event::Message { .. } => {}
            prober::Event::Done { target } => {
                notes.push(Note { target, attempt: 0, sent: now, what: What::Done });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_with_what_tells_it_from_others_of_its_index() {
        let id = TargetId(RosterId { target: address::TargetId(7), generation: 2 });
        assert_eq!((format!("{id:?}").as_str(), id.index()), ("TargetId { index: 7, generation: 2 }", 7));
    }
}
