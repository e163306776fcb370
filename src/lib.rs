//! The program `xymonping`: a batch ping probe for monitoring systems. Many addresses in, one true
//! line for each out.
//!
//! *Privileges are used once.* Opening sockets takes a value that exists only while privileges are
//! in force ([`privilege::Privileged`]); probing takes one that exists only after they were dropped
//! ([`privilege::Dropped`]).
//!
//! *No false alarms.* The engine (`multiping`) decides whether silence is a target's fault or this
//! machine's; here that becomes lines ([`report`]), messages and exit codes ([`message`]).
//!
//! Each file has one interface to the outside: the command line ([`cli`]), the list ([`list`],
//! [`input`], [`names`]), what the process inherits ([`inherited`]), privileges ([`privilege`],
//! [`sandbox`]), signals ([`signal`]), descriptors ([`stdio`]) and memory ([`memory`]). [`run`] is
//! the loop, [`check`] the report of `--check`. [`personality`] knows by which names the program is
//! another one, as [`fping`].
//!
//! A file uses only files listed before it: `message limits list privilege inherited signal stdio
//! notes names memory sandbox figures swept report cli input run check personality fping`, then
//! `main`. This library is for tests, fuzz targets and completions; its API is not stable.

// Not for tests, which share files by #[path] and read clocks.
#![deny(unreachable_pub, clippy::disallowed_methods)]

pub mod check;
pub mod cli;
pub mod figures;
pub mod fping;
pub mod inherited;
pub mod input;
pub mod limits;
pub mod list;
pub mod memory;
pub mod message;
pub mod names;
pub mod notes;
pub mod personality;
pub mod privilege;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod signal;
pub mod stdio;
pub mod swept;
