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
//! process-wide effect: it changes no signal handler, prints nothing and starts no thread.
//!
//! A file uses only files of a lower layer, or of its own layer listed before it:
//! `alloc address plan wire token tally`, then `prober`, then `error net turn`.

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

mod error;

pub use crate::error::{Error, SocketOption};
