//! The program `xymonping`: a batch ping probe that monitoring systems can trust. Many addresses in, one
//! true line for each out.
//!
//! *Privileges are used once.* What opens sockets takes the proof that privileges are in force
//! ([`privilege::Privileged`]); what probes takes the proof that they are gone
//! ([`privilege::Dropped`]).
//!
//! *Our own failure is never the hosts' failure.* The engine (`multiping`) says whose fault silence is;
//! here that becomes lines ([`report`]), words and exit codes ([`message`]).
//!
//! Each file talks to one thing outside: the command line ([`cli`]), the list ([`list`], [`input`]), the
//! kernel's view of our privileges ([`privilege`], [`sandbox`]), signals ([`signal`]), descriptors
//! ([`stdio`]) and memory ([`memory`]). [`run`] is the loop, [`check`] reports what a run would have.
//!
//! A file uses only files listed before it: `message limits list privilege signal stdio notes memory
//! sandbox report cli input run check`, then `main`. This library is for tests, fuzz targets and completions; it
//! promises nothing.

// Not for tests, which share files by #[path] and read clocks.
#![deny(unreachable_pub, clippy::disallowed_methods)]

pub mod check;
pub mod cli;
pub mod input;
pub mod limits;
pub mod list;
pub mod memory;
pub mod message;
pub mod notes;
pub mod privilege;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod stdio;
