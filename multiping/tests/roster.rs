//! The promise of `Roster`: targets that come and go are each probed by their own schedule, every
//! probe has exactly one end, and nothing is taken over from a target that had the slot before.
//!
//! Runs are played in virtual time beside a plain model of the rules (`roster/model.rs`), and each
//! answer of the prober is compared with the model's: what is sent when, what a reply is, what
//! times out, who is done, and when to wake up. A failing random run says its seed.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "roster/endless.rs"]
mod endless;
#[path = "roster/machine.rs"]
mod machine;
#[path = "roster/model.rs"]
mod model;
#[path = "roster/random.rs"]
mod random;
#[path = "roster/replies.rs"]
mod replies;
#[path = "world/rng.rs"]
#[expect(dead_code, reason = "tests/world.rs uses all of it")]
mod rng;
#[path = "roster/scenarios.rs"]
mod scenarios;
#[path = "roster/spread.rs"]
mod spread;
#[path = "roster/waits.rs"]
mod waits;
