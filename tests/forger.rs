//! Forged replies: what an attacker can do to the results, and what not.
//!
//! Two attackers, with a lab of its own for every test:
//! * `blind`: knows the method, the list and the attempts, but not the key, and sees no packet.
//!   However many replies are forged, no dead host is alive, no live host is unreachable, and no
//!   RTT changes;
//! * `watching`: is on the path and sees every probe. It can reply for a dead host, as anyone can
//!   who sees an Echo Request, but once for each probe, within its timeout, and for no other host.

mod lab;

#[path = "forger/blind.rs"]
mod blind;
#[path = "forger/watching.rs"]
mod watching;
