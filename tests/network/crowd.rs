//! Many hosts, other traffic, a stopped process, full buffers, other runs on the same machine.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::lab::caller::{self, Rights};
use crate::lab::{self, Behaviour, Lab, Running, packet};
use crate::{assert_all, assert_true_rtts, hosts, list, ms};

/// Starts the program with a list.
fn start(lab: &Lab, args: &[&str], input: &str) -> Running {
    let mut running = lab.start(lab.command().args(args));
    running.feed(input);
    running.close_stdin();
    running
}

/// Stops the program for two seconds.
fn pause(running: &mut Running) {
    running.signal(Signal::SIGSTOP);
    std::thread::sleep(ms(2000));
    running.signal(Signal::SIGCONT);
}

#[test]
fn seventy_thousand_hosts_are_all_alive() {
    lab::play(|lab| {
        let all = [hosts(1, 60_000), hosts(2, 10_000)].concat();
        // In a user namespace buffers are small, the program's and the lab's: some hosts need
        // several attempts.
        let outcome = lab.run(&["--max-pps=unlimited", "--timeout=2", "--retries=10"], list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), all.len()), "{}", outcome.stderr);
        let dead = outcome.lines().into_iter().filter(|line| !line.contains(" is alive (")).count();
        assert_eq!(dead, 0, "{} {:?}", outcome.stderr, lab.counts());
        let order = outcome.stdout.lines().zip(&all).all(|(line, host)| line.starts_with(&format!("{host} is ")));
        assert!(order, "the lines are in the order of the list");
    });
}

#[test]
fn a_flood_of_foreign_replies_does_not_change_the_results() {
    lab::play(|lab| {
        let (alive, silent) = (hosts(1, 300), hosts(2, 150));
        lab.host("10.2.0.0/16", Behaviour::silent());
        let _flood = lab.foreign_replies(20_000, 0x4242);
        let args = ["--max-pps=1000", "--timeout=1", "--retries=1"];
        let outcome = lab.run(&args, list(&[silent.as_slice(), &alive].concat()));
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert_all(&outcome, &alive, true);
        assert_all(&outcome, &silent, false);
        assert_eq!(lab.seen().len(), 600, "nothing was lost, so nothing was sent again");
    });
}

#[test]
fn a_stop_of_two_seconds_does_not_change_the_results() {
    lab::play(|lab| {
        let (alive, silent) = (hosts(1, 30), hosts(2, 5));
        lab.host("10.1.0.0/16", Behaviour::after(ms(300)));
        lab.host("10.2.0.0/16", Behaviour::silent());
        let args = ["--max-pps=20", "--timeout=1", "--retries=1"];
        let mut running = start(lab, &args, &list(&[silent.as_slice(), &alive].concat()));
        // Just after a probe was sent, 50 ms before the next: some are in flight, and half have not
        // been sent.
        running.wait_until(lab::LIMIT, "half of its probes", |_| lab.seen().len() >= 20);
        pause(&mut running);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
        assert_all(&outcome, &alive, true);
        assert_all(&outcome, &silent, false);
        assert_true_rtts(lab, &outcome, &alive);
        for host in &alive {
            assert_eq!(lab.seen_of(host).len(), 1, "{host} replied in time");
        }
        for host in &silent {
            assert_eq!(lab.seen_of(host).len(), 2, "{host}");
        }
    });
}

#[test]
fn a_late_reply_is_late_though_the_process_was_stopped() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::after(ms(1500)));
        lab.host("10.0.0.2", Behaviour::after(ms(500)));
        let mut running = start(lab, &["--timeout=1", "--retries=0"], "10.0.0.1\n10.0.0.2\n");
        running.wait_until(lab::LIMIT, "both probes", |_| lab.seen().len() == 2);
        pause(&mut running);
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &["10.0.0.1"], false);
        assert_all(&outcome, &["10.0.0.2"], true);
    });
}

/// How many bytes a small reply takes in a receive buffer on a veth pair.
const REPLY: u64 = 832;

/// The size of the receive buffer without NET_ADMIN, which few enough replies fill.
fn ordinary_buffer() -> Option<u64> {
    let rmem_max: u64 = fs::read_to_string("/proc/sys/net/core/rmem_max").ok()?.trim().parse().ok()?;
    Some(rmem_max.min(4 << 20) * 2)
}

#[test]
fn hosts_whose_replies_were_dropped_are_probed_again() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        let Some(buffer) = ordinary_buffer() else {
            return lab::skip("hosts_whose_replies_were_dropped_are_probed_again", "no net.core.rmem_max");
        };
        let count = buffer / REPLY * 3 / 2;
        let all = hosts(1, count as u32);
        // At 10,000 a second all of them are probed before the first one replies.
        lab.others(Behaviour::after(Duration::from_millis(count / 5) + ms(2000)));
        let args = ["--max-pps=10000", "--timeout=30", "--retries=0"];
        let mut running = lab.start(caller::with_net_raw(&program).args(args));
        running.feed(list(&all));
        running.close_stdin();
        running.wait_until(lab::LIMIT, "all probes", |_| lab.counts().requests == count);
        running.signal(Signal::SIGSTOP);
        running.wait_until(lab::LIMIT, "all answers", |_| lab.counts().answers == count);
        // No delay from now on, to shorten the test; probes in flight are not affected.
        lab.others(Behaviour::default());
        running.signal(Signal::SIGCONT);
        let outcome = running.finish(3 * lab::LIMIT);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        assert!(lab.seen().len() > all.len(), "nothing was lost: {:?}", lab.counts());
        assert_all(&outcome, &all, true);
        assert!(outcome.first_stderr_line().contains("this machine lost replies"), "{}", outcome.stderr);
    });
}

/// How many bytes are in the receive buffer of the only raw socket of this network.
fn waiting(lab: &Lab) -> u64 {
    let sockets = lab.inside(|| fs::read_to_string("/proc/thread-self/net/raw")).expect("/proc is mounted");
    // sl local_address rem_address st tx_queue:rx_queue ...
    let queues = sockets.lines().nth(1).and_then(|line| line.split_whitespace().nth(4)).expect("a socket");
    let (_, bytes) = queues.split_once(':').expect("two numbers");
    u64::from_str_radix(bytes, 16).expect("a number")
}

#[test]
fn hosts_whose_replies_were_dropped_during_reading_are_probed_again() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        let Some(buffer) = ordinary_buffer() else {
            let name = "hosts_whose_replies_were_dropped_during_reading_are_probed_again";
            return lab::skip(name, "no net.core.rmem_max");
        };
        lab.keep_data();
        lab.script("10.0.0.1", vec![Behaviour::silent(), Behaviour::default()]);
        let mut running = lab.start(caller::with_net_raw(&program).args(["--timeout=5", "--retries=0"]));
        running.feed("10.0.0.1\n");
        running.close_stdin();
        running.wait_until(lab::LIMIT, "its probe", |_| !lab.seen().is_empty());
        let probe = lab.seen().swap_remove(0);
        let forged = |share| {
            let packet = packet::echo_reply(probe.dst, probe.src, probe.ident, 0, &[0; 56]);
            lab.inject_all(&vec![packet; (buffer * share / 100 / REPLY) as usize]);
        };
        // Its buffer is nearly full, and nothing is lost yet.
        running.signal(Signal::SIGSTOP);
        forged(90);
        running.signal(Signal::SIGCONT);
        while running.is_running() && waiting(lab) > buffer * 88 / 100 {}
        // While it is reading, the buffer becomes full, and the reply is dropped.
        running.signal(Signal::SIGSTOP);
        forged(110);
        lab.inject(&packet::echo_reply(probe.dst, probe.src, probe.ident, probe.seq, &probe.data));
        running.signal(Signal::SIGCONT);
        let outcome = running.finish(lab::LIMIT);
        assert_all(&outcome, &["10.0.0.1"], true);
        assert!(outcome.first_stderr_line().contains("this machine lost replies"), "{}", outcome.stderr);
    });
}

#[test]
fn runs_at_the_same_time_do_not_accept_each_others_replies() {
    lab::play(|lab| {
        let (alive, silent) = (hosts(1, 300), hosts(2, 95));
        lab.host("10.1.0.0/16", Behaviour::after(ms(50)));
        lab.host("10.2.0.0/16", Behaviour::silent());
        let args = ["--timeout=0.5", "--retries=2", "--max-pps=300"];
        // Children of one parent, started one after the other, with adjacent process ids.
        let runs: Vec<_> =
            (0..4).map(|_| (start(lab, &args, &list(&alive)), start(lab, &args, &list(&silent)))).collect();
        for (with_alive, with_silent) in runs {
            assert_all(&with_alive.finish(lab::LIMIT), &alive, true);
            assert_all(&with_silent.finish(lab::LIMIT), &silent, false);
        }
        let idents: std::collections::BTreeSet<u16> = lab.seen().iter().map(|seen| seen.ident).collect();
        assert!(idents.len() > 4, "idents are random: {idents:x?}");
    });
}
