//! A forger: what somebody who makes up replies can do to a run, and what he cannot.
//!
//! Two of them, each on a lab of its own for every test:
//! * `blind`: he knows the method, the list and the attempts, but not the key, and sees no packet. He can do nothing:
//!   no dead host is alive, no RTT is moved, and no live host is unreachable, however many replies he sends;
//! * `watching`: he stands on the path and sees every probe. He may answer in a dead host's place, as whoever sees an
//!   Echo Request can, but each probe once, in its time, and for nobody else.

mod lab;

#[path = "forger/blind.rs"]
mod blind;
#[path = "forger/watching.rs"]
mod watching;
