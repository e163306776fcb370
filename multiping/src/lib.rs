//! Pings many IPv4 and IPv6 hosts at once: exact round-trip times, a steady rate, and no false
//! alarms.
//!
//! **A list**: [`ping`] blocks, [`Options::start`] runs on a thread and is an iterator and a
//! future.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use multiping::{Address, Options, ping};
//!
//! let targets = ["127.0.0.1".parse::<Address>()?, "127.0.0.2".parse()?];
//! # if ping(targets, &Options::new()).is_err() { return Ok(println!("skipped: no right to ping")); }
//! let results = ping(targets, &Options::new())?;
//! for (address, rtt) in results.alive() {
//!     println!("{address} is alive ({:?})", rtt.mean);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Targets that come and go**: a [`Pinger`] has a thread and tells of each probe's end by a
//! callback, or by [`Events`]: an iterator that also waits until a time or for any async runtime.
//! [`Engine`] is the same for a loop of your own.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use multiping::{Config, Pinger, Schedule, What};
//!
//! let (pinger, events) = Pinger::queued(Config::new())?;
//! # if pinger.add([127, 0, 0, 1], Schedule::manual()).is_err() { return Ok(println!("skipped: no right to ping")); }
//! pinger.add([127, 0, 0, 1], Schedule::every(Duration::from_millis(50)))?;
//! for event in events.take(3) {
//!     match event.what {
//!         What::Reply(reply) => println!("{} probe {}: {:?}", event.address, event.seq, reply.rtt),
//!         other => println!("{} probe {}: {other:?}", event.address, event.seq),
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **No input or output at all**: [`proto`] is the state machine underneath. Packets and times are
//! its arguments.
//!
//! ```
//! use std::{hash::RandomState, time::Instant};
//! use multiping::{Address, Rate, proto::{Key, PerFamily, Prober, Roster, Schedule}};
//!
//! let now = Instant::now();
//! let idents = PerFamily { v4: 4711, v6: 4711 };
//! let mut prober = Prober::new(Roster::new(now), Rate::UNLIMITED, false, Key::new(RandomState::new()), idents, now);
//! prober.strategy_mut().add(Address::from([192, 0, 2, 1]), &Schedule::once(), now)?;
//! assert_eq!(prober.poll_send(now).len(), 1); // send it, then say so: prober.handle_sent(..)
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
//!
//! # What a result is worth
//!
//! * **An answer belongs to its probe.** A probe carries a token: a keyed 64-bit hash over target
//!   and attempt. No identifier of 16 bits decides, and no address: any number of targets and of
//!   processes can ping at the same time.
//! * **A round-trip time is the network's.** Answers are timed by the kernel. A busy machine, a
//!   slow callback or a stopped process is in no RTT and makes no timeout.
//! * **This machine's failure is no target's.** A refused send ([`What::Refused`],
//!   [`Verdict::Unsent`]), a full buffer, a link without carrier or a lost route (`doubtful`,
//!   [`Verdict::Undecided`]) are told apart from silence.
//! * **Every probe has one end, and nothing is dropped.** A full queue holds up sending, not
//!   reading.
//!
//! # Rights
//!
//! Raw sockets need CAP_NET_RAW. Without it ICMP datagram sockets are used, where
//! `net.ipv4.ping_group_range` includes a group of the process (for IPv6 as well); with them, ICMP
//! errors are not seen. Without either there is [`Error::Permission`]. [`Sockets`] can be opened
//! early, before rights are given up, or be brought.
//!
//! # What it does to a process
//!
//! It has one thread for each [`Pinger`] or [`Running`], up to eight more while names are looked
//! up, one ICMP socket for each family while it has targets, and beside these two netlink sockets,
//! which tell of links and routes, and for a thread an eventfd: five descriptors at most, and with
//! a datagram socket for IPv6 a file of `/proc`, which tells how many packets were dropped.
//! ([`Sockets`] that were opened early or brought are duplicated for a run.) All are close-on-exec.
//! It handles no signal, prints nothing, sets no limit, reads no environment and has no global
//! state. Everything is `Send`; [`Pinger`] and all values are `Sync`. After a fork it is of no use
//! in the child, and fails there instead of hanging.
//!
//! # Features
//!
//! * `resolve` (default): [`Pinger::add_name`] and [`names`], by the system's resolver.
//! * `stream`: [`Events`] is a `futures_core::Stream`.
//! * `serde`: [`Address`] as text; [`Counts`] and [`Rtt`] can be serialized.
//!
//! Linux only. Rust 1.85 or later; a newer one is asked for in minor versions only.
//!
//! # For contributors
//!
//! A file uses only files of a lower layer, or of its own layer listed before it:
//! `alloc address plan wire token tally stats`, then `prober`, then `error net turn`, then
//! `sockets schedule event config engine resolve pinger ping proto`. The modules that are public
//! and not shown here are for the program `xymonping` and are promised to nobody.

// Not for tests, which share files by #[path] and read clocks.
#![deny(unreachable_pub, clippy::disallowed_methods)]

#[cfg(not(target_os = "linux"))]
compile_error!("multiping needs Linux: it relies on kernel time stamps and socket filters");

// Hidden: public for the program of the same workspace and for the tests. What others may use of
// them is in `proto` or at the root.
#[doc(hidden)]
pub mod address;
#[doc(hidden)]
pub mod alloc;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod stats;
#[doc(hidden)]
pub mod tally;
#[doc(hidden)]
pub mod token;
#[doc(hidden)]
pub mod wire;

#[doc(hidden)]
pub mod prober;

#[doc(hidden)]
pub mod net;
#[doc(hidden)]
pub mod turn;

mod config;
mod engine;
mod error;
mod event;
mod ping;
mod pinger;
pub mod proto;
#[cfg(feature = "resolve")]
mod resolve;
mod schedule;
mod sockets;

#[doc(inline)]
pub use crate::address::{Address, Family};
#[doc(inline)]
pub use crate::alloc::OutOfMemory;
pub use crate::config::Config;
pub use crate::engine::{Engine, Turn};
pub use crate::error::{Error, SocketOption};
pub use crate::event::{Counts, Event, Reply, TargetId, What};
#[doc(inline)]
pub use crate::net::ParseAddressError;
pub use crate::ping::{Options, Outcome, Results, Rtt, Running, Verdict, ping};
pub use crate::pinger::{Events, Pinger};
#[doc(inline)]
pub use crate::plan::{OutOfRange, PacketOptions, Rate};
#[doc(inline)]
pub use crate::schedule::Phase;
pub use crate::schedule::Schedule;
pub use crate::sockets::{Families, Kind, Sockets};
#[doc(inline)]
pub use crate::wire::{Detail, IcmpError};

/// Has the README's example compiled.
#[cfg(all(doctest, feature = "resolve"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Names and their addresses, by the system's resolver. (Feature `resolve`, on by default.)
#[cfg(feature = "resolve")]
pub mod names {
    pub use crate::ping::ping_names as ping;
    pub use crate::resolve::resolve;
}
