//! A batch ping probe that monitoring systems can trust: many addresses in, one true line for each out.
//!
//! Three things make it what it is.
//!
//! *Silence must be earned.* A target is called unreachable only after its fair chances, all of them unanswered in time,
//! and in time is what the kernel's time stamps say. What fails on our own side (a refused send, a full buffer, a signal,
//! a full disk) is told apart from the targets' silence at every step, and ends in another exit code.
//!
//! *The core is clockwork.* [`prober::Prober`] decides everything and touches nothing: packets and moments are handed to
//! it, and it hands out probes and the moment to come back. It runs in a virtual world as it runs on the wire. Around it
//! stand the formats ([`wire`], [`token`]), the policy ([`plan`]), the accounts ([`tally`]), memory ([`room`]), the list
//! ([`targets`]) and the lines ([`report`]).
//!
//! *Rights are used once.* The edges each talk to one thing outside: the command line ([`cli`]), the kernel's idea of our
//! rights ([`privilege`], [`sandbox`]), signals ([`signal`]), descriptors ([`stdio`]), memory ([`memory`]) and sockets
//! ([`net`]); [`check`] tells what they got. What opens sockets asks for the proof that rights are in force; what probes
//! ([`driver`]) asks for the proof that they are gone.
//!
//! A file may use those of the layers below it, and of its own layer those that stand before it:
//! `error wire token plan tally room`, then `targets prober report`, then
//! `cli privilege signal stdio memory sandbox net check`, then `driver`, then `main`.

#![deny(unreachable_pub)]
#![forbid(unsafe_code)]

pub mod address;
pub mod alloc;
pub mod plan;
pub mod tally;
pub mod token;
pub mod wire;

pub mod net;
pub mod prober;
pub mod turn;

pub mod check;
pub mod cli;
pub mod input;
pub mod limits;
pub mod list;
pub mod memory;
pub mod message;
pub mod privilege;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod stdio;
