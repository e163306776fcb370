//! A ping engine for many hosts at once.
//!
//! *No false alarms.* A target is called unreachable only after its fair chances, all of them
//! unanswered in time by the kernel's time stamps. What fails on this machine (a refused send, a
//! full buffer) is told apart from the target's silence.
//!
//! *A pure core.* [`prober::Prober`] decides everything and does no IO: packets and times are
//! handed to it, and it returns probes and the time to come back. It runs in a virtual world as it
//! runs on the wire. What differs between kinds of runs is a [`prober::Strategy`]: a
//! [`prober::Sweep`] asks each target of a list until it has answered, and a [`prober::Roster`]
//! probes targets that come and go, each by its own schedule. Below it are the formats ([`wire`],
//! [`token`]), the [`plan`], the state of a target ([`tally`]), [`address`]es and memory
//! ([`alloc`]).
//!
//! *Your own loop.* [`net::Link`] is the sockets; [`turn::turn`] does all that is to be done
//! between two waits. Opening raw sockets needs CAP_NET_RAW; nothing else does. The engine has no
//! process-wide effect: it changes no signal handler and prints nothing. [`Engine`] and [`Pinger`]
//! probe targets that come and go; only a [`Pinger`] has a thread.
//!
//! A file uses only files of a lower layer, or of its own layer listed before it:
//! `alloc address plan wire token tally stats`, then `prober`, then `error net turn`, then
//! `sockets schedule event config engine resolve pinger ping`.

// Not for tests, which share files by #[path] and read clocks.
#![deny(unreachable_pub, clippy::disallowed_methods)]

#[cfg(not(target_os = "linux"))]
compile_error!("multiping needs Linux: it relies on kernel time stamps and socket filters");

pub mod address;
pub mod alloc;
pub mod plan;
pub mod stats;
pub mod tally;
pub mod token;
pub mod wire;

pub mod prober;

pub mod net;
pub mod turn;

mod config;
mod engine;
mod error;
mod event;
mod ping;
mod pinger;
#[cfg(feature = "resolve")]
mod resolve;
mod schedule;
mod sockets;

pub use crate::address::Address;
pub use crate::config::Config;
pub use crate::engine::{Engine, Turn};
pub use crate::error::{Error, SocketOption};
pub use crate::event::{Counts, Event, Reply, TargetId, What};
pub use crate::net::ParseAddressError;
pub use crate::ping::{Options, Outcome, Results, Rtt, Running, Verdict, ping};
pub use crate::pinger::{Events, Pinger};
pub use crate::plan::{OutOfRange, PacketOptions, Rate};
pub use crate::schedule::{Phase, Schedule};
pub use crate::sockets::{Families, Kind, Sockets};
pub use crate::wire::{Detail, IcmpError};

/// Names and their addresses, by the system's resolver. (Feature `resolve`, on by default.)
#[cfg(feature = "resolve")]
pub mod names {
    pub use crate::ping::ping_names as ping;
    pub use crate::resolve::resolve;
}
