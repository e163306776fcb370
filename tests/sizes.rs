//! Probes of many sizes, in a row or by a search: the largest that is answered, and what routers
//! say.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

use lab::{Answer, Behaviour, Finished, Lab};

const TARGET: &str = "10.202.0.1";
const FAST: [&str; 4] = ["--timeout=0.5", "--late=0", "--period=0.005", "--max-pps=1000"];

fn run(lab: &Lab, args: &[&str]) -> Finished {
    lab.forget();
    lab.run(&[&FAST[..], args].concat(), "")
}

/// The line about sizes of a target.
fn size_line<'a>(outcome: &'a Finished, target: &str) -> &'a str {
    let start = format!("{target}: ");
    outcome.stdout.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{outcome:?}"))
}

#[test]
fn each_size_of_a_range_is_sent_as_often_as_asked() {
    lab::play(|lab| {
        lab.host("10.0.0.2", Behaviour::answering(Answer::TruncatedTo(108)));
        let outcome = run(lab, &["--size=100-120/4", "--count=2", "10.0.0.1", "10.0.0.2"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let sizes: Vec<usize> = lab.seen_of("10.0.0.1").iter().map(|seen| seen.len).collect();
        assert_eq!(sizes, [100, 100, 104, 104, 108, 108, 112, 112, 116, 116, 120, 120]);
        let words = "10.0.0.1: largest size answered: 120 bytes (packets of 148 bytes)";
        assert_eq!(size_line(&outcome, "10.0.0.1"), words);
        // What comes back cut short was not answered in full.
        let words = "10.0.0.2: largest size answered: 108 bytes (packets of 136 bytes)";
        assert_eq!(size_line(&outcome, "10.0.0.2"), words);
        assert!(outcome.stdout.contains("128 bytes from 10.0.0.1: icmp_seq=11 "), "{outcome:?}");
        // Without --count one of each.
        run(lab, &["--size=16-18", "--quiet", "10.0.0.1"]);
        assert_eq!(lab.seen().iter().map(|seen| seen.len).collect::<Vec<_>>(), [16, 17, 18]);
    });
}

#[test]
fn a_router_names_the_mtu_of_a_path() {
    lab::play(|lab| {
        let _path = lab.path(1500, 1400).unwrap();
        let args = ["--size=1352-1392/10", "--dont-fragment", "--quiet", TARGET];
        let outcome = run(lab, &args);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let words = "10.202.0.1: largest size answered: 1372 bytes (packets of 1400 bytes); \
                     10.200.0.2 names an MTU of 1400";
        assert_eq!(size_line(&outcome, TARGET), words);
        let outcome = run(lab, &[&args[..], &["--json"]].concat());
        let keys = "\"largest_size\":1372,\"largest_packet\":1400,\"named_mtu\":1400,\"named_by\":\"10.200.0.2\"";
        assert!(outcome.stdout.contains(keys), "{outcome:?}");
    });
}

#[test]
fn a_host_that_answers_nothing_answers_no_size() {
    lab::play(|lab| {
        lab.host("10.0.0.3", Behaviour::silent());
        let outcome = run(lab, &["--size=16-20", "--quiet", "10.0.0.3"]);
        assert_eq!(size_line(&outcome, "10.0.0.3"), "10.0.0.3: no size answered");
        let outcome = run(lab, &["--size=16-20", "--quiet", "--json", "10.0.0.3"]);
        assert!(outcome.stdout.contains("\"largest_size\":null"), "{outcome:?}");
    });
}

#[test]
fn ranges_that_cannot_be_are_refused() {
    lab::play(|lab| {
        for range in ["15-20", "0-56", "20-16", "16-65508", "16-", "-16", "16-20/0", "16-20/", "16-20/x", "16-17-18"] {
            let outcome = lab.run(&[&format!("--size={range}"), "10.0.0.1"], "");
            assert_eq!(outcome.code, Some(3), "{range}: {outcome:?}");
            assert!(outcome.stderr.contains("less than 16 proves nothing"), "{outcome:?}");
        }
        for other in ["--loop", "--retries=1", "-a"] {
            let outcome = lab.run(&["--size=16-20", other, "10.0.0.1"], "");
            let name = other.split('=').next().unwrap();
            let words = format!("xymonping: --size=MIN-MAX: cannot be combined with {name} (");
            assert!(outcome.code == Some(3) && outcome.stderr.starts_with(&words), "{outcome:?}");
        }
        let outcome = lab.run(&["--size=16-65507", "--count=100000", "10.0.0.1"], "");
        assert_eq!(outcome.code, Some(3), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn the_mtu_of_a_path_is_found_by_what_its_router_says() {
    lab::play(|lab| {
        let _path = lab.path(1500, 1400).unwrap();
        let mut targets = vec![(TARGET, 1372, "10.200.0.2")];
        if lab.has_ipv6() {
            targets.push(("fd02::1", 1352, "fd00:1::2"));
        }
        for (target, size, router) in targets {
            let outcome = lab.run(&["--find-mtu", "--timeout=1", "--late=0", target], "");
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            let words = format!(
                "{target}: largest size answered: {size} bytes (packets of 1400 bytes); {router} names an MTU of 1400"
            );
            assert_eq!(size_line(&outcome, target), words, "{outcome:?}");
            let errors = outcome.stdout.lines().filter(|line| line.contains("(MTU 1400)")).count();
            assert_eq!(errors, 1, "it is believed at once: {outcome:?}");
            // The kernel may have learnt the MTU; that changes nothing.
            let again = lab.run(&["--find-mtu", "--timeout=1", "--late=0", "--quiet", target], "");
            assert_eq!(size_line(&again, target), words, "{again:?}");
        }
    });
}

#[test]
fn where_routers_are_silent_it_is_found_by_bisection() {
    lab::play(|lab| {
        let _path = lab.path(1500, 1300).unwrap();
        let args = ["--find-mtu", "--timeout=0.5", "--late=0", "--count=2", "--icmp-errors=ignore", "--json=packets"];
        let outcome = lab.run(&[&args[..], &["--size=16-1472", TARGET]].concat(), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let keys = "\"largest_size\":1272,\"largest_packet\":1300,\"named_mtu\":null,\"named_by\":null,\"search_complete\":true";
        assert!(outcome.stdout.contains(keys), "{outcome:?}");
        let count = |kind: &str| outcome.stdout.matches(&format!("\"type\":\"{kind}\"")).count();
        assert!(count("reply") + count("timeout") <= 26, "{outcome:?}");
    });
}

#[test]
fn a_search_that_is_cut_short_says_so() {
    lab::play(|lab| {
        lab.script("10.0.0.4", vec![Behaviour::default(), Behaviour::silent()]);
        let args = ["--find-mtu", "--size=100-200", "--timeout=100", "--deadline=1", "--quiet", "10.0.0.4"];
        let outcome = lab.run(&args, "");
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
        let words = "10.0.0.4: largest size answered so far: 100 bytes (packets of 128 bytes)";
        assert_eq!(size_line(&outcome, "10.0.0.4"), words);
    });
}

#[test]
fn what_a_search_cannot_have_is_refused() {
    lab::play(|lab| {
        for (other, name) in [
            ("--loop", "--loop"),
            ("--retries=1", "--retries"),
            ("--record-route", "--record-route"),
            ("--icmp-errors=fail", "--icmp-errors=fail"),
        ] {
            let outcome = lab.run(&["--find-mtu", other, "10.0.0.1"], "");
            let words = format!("xymonping: --find-mtu: cannot be combined with {name} (");
            assert!(outcome.code == Some(3) && outcome.stderr.starts_with(&words), "{outcome:?}");
        }
        for size in ["--size=100", "--size=16-100/2"] {
            let outcome = lab.run(&["--find-mtu", size, "10.0.0.1"], "");
            assert!(outcome.code == Some(3) && outcome.stderr.contains("--find-mtu takes --size=MIN-MAX only"));
        }
    });
}
