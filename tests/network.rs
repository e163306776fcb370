//! The program on a network: its results are what the hosts did.
//!
//! Seven parts, with a lab of its own for every test:
//! * `answers`: which replies are accepted, for which target, and which RTT is printed;
//! * `crowd`: many hosts, other traffic, a stopped process, full buffers, other runs on the same
//!   machine;
//! * `pace`: when probes are sent, by the stamps of the wire's far end;
//! * `machine`: this machine: routes, devices, source addresses, sockets without privilege;
//! * `fair`: half-broken networks, where this machine's own faults make no host unreachable;
//! * `routes`: failures to send: this machine's, or a missing route to some hosts;
//! * `uplinks`: more than one way out: bridges, several next hops, a route that moves.

mod lab;

#[path = "network/answers.rs"]
mod answers;
#[path = "network/crowd.rs"]
mod crowd;
#[path = "network/fair.rs"]
mod fair;
#[path = "network/machine.rs"]
mod machine;
#[path = "network/pace.rs"]
mod pace;
#[path = "network/routes.rs"]
mod routes;
#[path = "network/uplinks.rs"]
mod uplinks;

use lab::{assert_all, assert_true_rtts, hosts, list, ms};
