//! The state machine without input, output, clock or randomness: for event loops of any kind, and
//! for simulations.
//!
//! A [`Prober`] decides what is sent when, and what a reply is worth. Its caller reports what
//! happened (`handle_*`) and asks what to do (`poll_*`); time is an argument, and extra calls do no
//! harm. What differs between kinds of runs is a [`Strategy`]: a [`Sweep`] asks each target of a
//! list until it has answered, and a [`Roster`] probes targets that come and go.
//!
//! A turn of a loop around it, in this order:
//!
//! 1. hand over every packet that has arrived: [`Message::parse`], then [`Prober::handle_reply`] or
//!    [`Prober::handle_query_reply`];
//! 2. [`Prober::handle_timeouts`], with the time up to which that is so;
//! 3. [`Prober::poll_done`] until it returns nothing;
//! 4. send what [`Prober::poll_send`] returns, by one system call for each if
//!    [`Prober::sends_singly`]: [`Message::emit`]; then [`Prober::handle_sent`] or
//!    [`Prober::handle_send_error`]; a few times over while it returns something;
//! 5. wait as [`Prober::poll_wait`] says.
//!
//! `examples/simulated.rs` is such a loop around a network that does not exist, and
//! `examples/tokio.rs` one in an async runtime.
//!
//! Here a [`TargetId`] is the number of a target, and a [`RosterId`] names it for good.

#[doc(inline)]
pub use crate::address::{AddressList, Addresses, PerFamily, TargetId, TargetMap};
#[doc(inline)]
pub use crate::plan::{IcmpErrors, Plan, ProbeKind};
#[doc(inline)]
pub use crate::prober::{
    Attempt, Counts, Event, Interface, Invalid, Phase, Probe, Prober, ReplyKind, Roster, RosterId, Route, Schedule,
    SendError, Slips, Strategy, Sweep, TimedOut, Timeout, Wait, send_times,
};
#[doc(inline)]
pub use crate::tally::{Tally, Verdict};
#[doc(inline)]
pub use crate::token::{Key, Token};
#[doc(inline)]
pub use crate::wire::{
    ECHO_REPLY, Echo, HEADER, HostTime, Malformed, Message, Original, Query, QueryBody, RecordedRoute, Reply,
    ipv4_destination, ipv4_payload, ipv4_ttl,
};
