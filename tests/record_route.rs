//! `--record-route`: what the kernels of a path record is shown once for each route.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

use lab::caller::{self, Rights};
use lab::{Behaviour, LIMIT, Lab};

const TARGET: &str = "10.202.0.1";
const ARGS: [&str; 5] = ["--record-route", "--timeout=2", "--period=0.05", "--late=0", "--count=3"];

/// The hops there and back: this machine, the router's far side, the target as it receives and as
/// it replies, the router's near side, this machine.
const HOPS: [&str; 6] = ["10.200.0.1", "10.201.0.1", TARGET, TARGET, "10.200.0.2", "10.200.0.1"];

fn run(lab: &Lab, args: &[&str]) -> lab::Finished {
    lab.run(&[&ARGS[..], args].concat(), "")
}

#[test]
fn the_routers_there_and_back_are_shown_once_for_each_route() {
    lab::play(|lab| {
        let _path = lab.path(1500, 1500).unwrap();
        let outcome = run(lab, &[TARGET]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let first = outcome.stdout.split("icmp_seq=1").next().unwrap();
        let shown: Vec<&str> = first.lines().filter_map(|line| line.split_once('\t')).map(|(_, hop)| hop).collect();
        assert_eq!(shown, HOPS, "{outcome:?}");
        assert_eq!(outcome.stdout.matches("RR: \t").count(), 1, "{outcome:?}");
        let same: Vec<_> = outcome.stdout.lines().filter(|line| line.ends_with(" ms\t(same route)")).collect();
        assert_eq!(same.len(), 2, "{outcome:?}");
        let json = run(lab, &["--json=packets", TARGET]);
        let hops = HOPS.map(|hop| format!("\"{hop}\"")).join(",");
        assert!(json.stdout.contains(&format!("\"route\":[{hops}]}}")), "{json:?}");
        // The largest that fits an Ethernet frame with all its options.
        let outcome = run(lab, &["--size=1432", "--dont-fragment", TARGET]);
        assert!(outcome.stdout.contains("1440 bytes from") && outcome.stdout.contains("RR: "), "{outcome:?}");
    });
}

#[test]
fn a_reply_without_a_route_has_none_and_a_bad_option_is_none() {
    lab::play(|lab| {
        let record = |pointer: u8| vec![7, 11, pointer, 10, 9, 9, 1, 10, 9, 9, 2];
        lab.script(
            "10.0.0.2",
            vec![
                Behaviour::default(),
                Behaviour { ip_options: record(200), ..Behaviour::default() },
                Behaviour { ip_options: record(12), ..Behaviour::default() },
            ],
        );
        let outcome = run(lab, &["10.0.0.2"]);
        assert_eq!(outcome.stdout.matches("bytes from").count(), 3, "{outcome:?}");
        let (before, after) = outcome.stdout.split_once("icmp_seq=2").unwrap();
        assert!(!before.contains('\t'), "{outcome:?}");
        assert!(after.contains("\nRR: \t10.9.9.1\n\t10.9.9.2\n"), "{outcome:?}");
    });
}

#[test]
fn what_does_not_go_together_is_refused() {
    lab::play(|lab| {
        for (args, words) in [
            (&["--count=1", "--ipv6"][..], "--record-route: cannot be combined with --ipv6 ("),
            (&["--count=1", "--packed"], "--record-route: cannot be combined with --packed ("),
            (&["--count=1", "--size=1433"], "--record-route: cannot be combined with --size above 1432 ("),
            (&[], "--record-route: "),
        ] {
            let outcome = lab.run(&[&["--record-route", "10.0.0.1"], args].concat(), "");
            assert_eq!(outcome.code, Some(3), "{outcome:?}");
            assert!(outcome.first_stderr_line().starts_with(&format!("xymonping: {words}")), "{outcome:?}");
        }
    });
}

#[test]
fn ordinary_users_may() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let _path = lab.path(1500, 1500).unwrap();
        let outcome = lab.start(caller::ordinary(&program).args(ARGS).arg(TARGET)).finish(LIMIT);
        assert!(outcome.stdout.contains("RR: \t10.200.0.1\n\t10.201.0.1\n"), "{outcome:?}");
    });
}
