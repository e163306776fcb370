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

use lab::{FAR_DEVICE, LIMIT, Lab, assert_all, assert_true_rtts, hosts, list, ms};

/// Asserts that no host is unreachable if the carrier is lost while the first of `all`, which are
/// alive, are probed with `args`: for a moment, and for good.
fn assert_fair_without_carrier(lab: &Lab, args: [&str; 3], all: &[String]) {
    for comes_back in [true, false] {
        lab.forget();
        let mut running = lab.start(lab.command().args(args));
        running.feed(list(all));
        running.close_stdin();
        running.wait_until(LIMIT, "some probes", |_| lab.seen().len() >= 10);
        lab.ip(&["link", "set", FAR_DEVICE, "down"]);
        lab.wait_for_no_carrier();
        if comes_back {
            lab.ip(&["link", "set", FAR_DEVICE, "up"]);
        }
        let outcome = running.finish(LIMIT);
        assert!(!outcome.stdout.contains("unreachable"), "{outcome:?}");
        if comes_back {
            assert_eq!((outcome.code, outcome.lines().len()), (Some(0), all.len()), "{outcome:?}");
        } else {
            assert_eq!(outcome.code, Some(4), "{outcome:?}");
        }
    }
}
