//! When probes are sent, by the kernel's stamps at the far end of the wire.

use crate::lab::{self, Behaviour, Lab, Lose};
use crate::{assert_all, hosts, list, ms};

/// Hosts of which a fifth is silent, so that retries and first attempts mix.
fn mixed(lab: &Lab, count: u32) -> (Vec<String>, Vec<String>) {
    lab.host("10.2.0.0/16", Behaviour::silent());
    (hosts(1, count - count / 5), hosts(2, count / 5))
}

#[test]
fn a_rate_of_50_is_kept() {
    lab::play(|lab| {
        let (alive, silent) = mixed(lab, 50);
        let input = list(&[silent.as_slice(), &alive].concat());
        let outcome = lab.run(&["--timeout=0.2", "--retries=1"], input);
        assert_all(&outcome, &alive, true);
        assert_all(&outcome, &silent, false);
        assert_eq!(lab.seen().len(), 60);
        lab.assert_pace(50.0);
    });
}

#[test]
fn a_rate_of_1_000_is_kept() {
    lab::play(|lab| {
        let (alive, silent) = mixed(lab, 2000);
        let input = list(&[silent.as_slice(), &alive].concat());
        let outcome = lab.run(&["--max-pps=1000", "--timeout=0.3", "--retries=2"], input);
        assert_all(&outcome, &alive, true);
        assert_all(&outcome, &silent, false);
        assert_eq!(lab.seen().len(), 2800);
        lab.assert_pace(1000.0);
    });
}

#[test]
fn a_rate_of_20_000_is_kept() {
    lab::play(|lab| {
        let alive = hosts(1, 20_000);
        let outcome = lab.run(&["--max-pps=20000"], list(&alive));
        assert_all(&outcome, &alive, true);
        lab.assert_pace(20_000.0);
    });
}

#[test]
fn follow_ups_keep_the_rate() {
    lab::play(|lab| {
        let alive = hosts(1, 20);
        let outcome = lab.run(&["--max-pps=100", "--responses=5"], list(&alive));
        assert_all(&outcome, &alive, true);
        assert_eq!(lab.seen().len(), 100);
        lab.assert_pace(100.0);
    });
}

#[test]
fn each_attempt_waits_longer_by_the_backoff() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let silent = hosts(2, 3);
        let outcome = lab.run(&["--timeout=0.2", "-B", "2.5", "--max-pps=unlimited"], list(&silent));
        assert_all(&outcome, &silent, false);
        for host in &silent {
            let seen = lab.seen_of(host);
            assert_eq!(seen.len(), 3);
            // (The scheduler may come between a packet and the clock; it does not take 100 ms to.)
            assert!(seen[1].time - seen[0].time >= ms(100) && seen[2].time - seen[1].time >= ms(400));
        }
    });
}

#[test]
fn a_stop_is_not_caught_up_with() {
    lab::play(|lab| {
        let alive = hosts(1, 100);
        let mut running = lab.start(lab.command().arg("--max-pps=100"));
        running.feed(list(&alive));
        running.close_stdin();
        running.wait_until(lab::LIMIT, "some probes", |_| lab.seen().len() >= 20);
        running.signal(nix::sys::signal::Signal::SIGSTOP);
        std::thread::sleep(ms(500));
        running.signal(nix::sys::signal::Signal::SIGCONT);
        assert_all(&running.finish(lab::LIMIT), &alive, true);
        lab.assert_pace(100.0);
    });
}

#[test]
fn unlimited_probes_no_live_host_twice() {
    lab::play(|lab| {
        let alive = hosts(1, 5000);
        let outcome = lab.run(&["--max-pps=unlimited", "--timeout=20"], list(&alive));
        assert_all(&outcome, &alive, true);
        assert_eq!(lab.seen().len(), alive.len());
    });
}

#[test]
fn first_attempts_are_sent_first() {
    lab::play(|lab| {
        let all = hosts(1, 60);
        lab.others(Behaviour { lose: Lose::First(1), ..Behaviour::default() });
        // When the sixtieth is probed, a dozen others are due again.
        let outcome = lab.run(&["--max-pps=100", "--timeout=0.1", "--retries=1"], list(&all));
        assert_all(&outcome, &all, true);
        let numbers: Vec<u32> = lab.seen().iter().map(|seen| seen.number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
    });
}

#[test]
fn at_most_one_probe_to_a_host_is_in_flight() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::silent());
        lab.host("10.0.0.2", Behaviour::after(ms(150)));
        let args = ["--max-pps=unlimited", "--timeout=0.2", "--retries=3", "--responses=3"];
        let outcome = lab.run(&args, "10.0.0.1\n10.0.0.2\n");
        assert_all(&outcome, &["10.0.0.1"], false);
        assert_all(&outcome, &["10.0.0.2"], true);
        for (host, gap, probes) in [("10.0.0.1", ms(200), 4), ("10.0.0.2", ms(150), 3)] {
            let seen = lab.seen_of(host);
            assert_eq!(seen.len(), probes, "{host}");
            for pair in seen.windows(2) {
                assert!(
                    pair[1].time - pair[0].time + lab::CLOCK_ERROR >= gap,
                    "{host}: {:?}",
                    pair[1].time - pair[0].time
                );
            }
        }
    });
}
