//! The real program on a network: what it says of hosts is what they did, in time and in kind.
//!
//! Six parts, each on a lab of its own for every test:
//! * `answers`: which answers count, what RTT is shown, and whom an answer is credited to;
//! * `crowd`: many hosts, strangers' traffic, a stopped process, full buffers, other runs on the same machine;
//! * `pace`: what leaves when, by the stamps of the wire's far end;
//! * `machine`: this machine's own troubles and manners: routes, devices, source addresses, sockets without privilege;
//! * `fair`: half-broken networks, and no verdict that this machine made;
//! * `routes`: whose failure it is that a packet cannot leave.

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

use lab::{assert_all, assert_true_rtts, hosts, list, ms};
