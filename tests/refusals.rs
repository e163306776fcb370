//! System calls that the kernel lacks or a filter refuses: a run works without them, or fails.
//!
//! gVisor and WSL 1 have neither all packet filters nor time stamps of receipt; seccomp profiles
//! and security modules may forbid any call. Here a seccomp filter simulates all of them.

#![cfg(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))]

mod lab;

use std::thread;
use std::time::Instant;

use lab::seccomp::{Call, forbid, refuse};
use lab::{Behaviour, Finished, LIMIT, Lab, assert_all, hosts, list, ms};
use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";

/// From linux/icmp.h and linux/icmpv6.h; libc has neither.
const ICMP_FILTER: i32 = 1;
const ICMP6_FILTER: i32 = 1;

const fn setsockopt(level: &'static [(u8, i32); 2]) -> Call<'static> {
    (libc::SYS_setsockopt, level)
}

const TIMESTAMPS: Call = setsockopt(&[(1, libc::SOL_SOCKET), (2, libc::SO_TIMESTAMPNS)]);
const BY_IDENT: Call = setsockopt(&[(1, libc::SOL_SOCKET), (2, libc::SO_ATTACH_FILTER)]);
const BY_TYPE: [Call; 2] =
    [setsockopt(&[(1, libc::SOL_RAW), (2, ICMP_FILTER)]), setsockopt(&[(1, libc::IPPROTO_ICMPV6), (2, ICMP6_FILTER)])];

const CLOSE_STDOUT: Call = (libc::SYS_close, &[(0, 1)]);
const RECVMMSG: Call = (libc::SYS_recvmmsg, &[]);

fn run_without(lab: &Lab, calls: &[Call], errno: Errno, args: &[&str], input: &str) -> Finished {
    let running = lab.start_under(|| refuse(calls, errno), lab.command().args(args));
    running.feed(input);
    running.finish(LIMIT)
}

#[test]
fn without_time_stamps_replies_are_timed_when_they_are_read() {
    lab::play(|lab| {
        let (alive, far) = (hosts(1, 30), hosts(2, 10));
        lab.host("10.2.0.0/16", Behaviour::after(ms(150)));
        lab.host(SILENT, Behaviour::silent());
        let mut v6: Vec<String> = Vec::new();
        if lab.has_ipv6() {
            v6.extend((1..10).map(|n| format!("fd00::{n}")));
        }
        // Packets leave every 20 ms: a reply that waited for its turn until then would be as late.
        let input = list(&far) + &list(&alive) + &list(&v6) + SILENT;
        let args = ["--timeout=2s", "--retries=1"];
        let outcome = run_without(lab, &[TIMESTAMPS], Errno::ENOPROTOOPT, &args, &input);
        let message = "xymonping: receive time stamps: Protocol not available (RTTs are taken when replies are read, and \
                     too long by the wait for that)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), message), "{outcome:?}");
        assert_eq!(outcome.verdict_of(SILENT), "unreachable");
        let near = [alive, v6].concat();
        // The shortest, because on a busy machine any of them may be read late.
        let shortest = near.iter().filter_map(|host| outcome.rtt_of(host)).min();
        assert!(shortest.is_some_and(|rtt| rtt < ms(10)), "{outcome:?}");
        assert!(far.iter().all(|host| outcome.rtt_of(host).is_some_and(|rtt| rtt >= ms(150))), "{outcome:?}");
        let all = [far, near].concat();
        assert_all(&outcome, &all, true);
        assert_eq!(lab.seen().len(), all.len() + 2);
    });
}

#[test]
fn until_the_kernel_stamps_replies_they_are_read_at_once() {
    lab::play(|lab| {
        // The kernel turns stamps on a little after it was asked to. Here it never does.
        let run = || {
            let outcome = run_without(lab, &[TIMESTAMPS], Errno::UnknownErrno, &[], &list(&[ALIVE, "10.0.0.2"]));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            outcome.rtt_of(ALIVE).unwrap_or_else(|| panic!("{outcome:?}"))
        };
        // The reply to the first packet, before anything is known of stamps. The second packet
        // leaves 20 ms after it. (Most of them, because on a busy machine the reply may be read
        // later, and the second packet leave sooner after a first one that left late.)
        let mut rtts: Vec<_> = (0..9).map(|_| run()).collect();
        rtts.sort_unstable();
        assert!(rtts[rtts.len() / 2] < ms(10), "{rtts:?}");
    });
}

#[test]
fn without_packet_filters_what_arrives_is_checked_all_the_same() {
    lab::play(|lab| {
        let alive = if lab.has_ipv6() { vec![ALIVE, "10.0.0.2", "fd00::1"] } else { vec![ALIVE, "10.0.0.2"] };
        lab.host(SILENT, Behaviour::silent());
        let _foreign = lab.foreign_replies(500, 0x4242);
        let all = [&BY_TYPE[..], &[BY_IDENT]].concat();
        for (calls, errno) in
            [(&[BY_IDENT][..], Errno::ENOPROTOOPT), (&BY_TYPE, Errno::EPERM), (&all, Errno::ENOPROTOOPT)]
        {
            lab.forget();
            let args = ["--timeout=300ms", "--retries=1", "--summary"];
            let outcome = run_without(lab, calls, errno, &args, &(list(&alive) + SILENT));
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            let reason = errno.desc();
            let message = format!(
                "xymonping: packet filter: {reason} (other programs' ICMP packets are read too: more work, same results)"
            );
            assert_eq!(outcome.first_stderr_line(), message);
            assert_all(&outcome, &alive, true);
            assert_eq!(outcome.verdict_of(SILENT), "unreachable");
            // Only the filter by Identifier drops foreign replies. (A few may arrive before it is
            // set.)
            if calls.contains(&BY_IDENT) {
                assert!(!outcome.stderr.contains(" stray: 0,"), "{outcome:?}");
            }
        }
    });
}

#[test]
fn without_filters_and_stamps_a_flood_does_not_keep_a_run_from_ending() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let all = [&BY_TYPE[..], &[BY_IDENT, TIMESTAMPS]].concat();
        let _foreign = lab.foreign_replies(20_000, 0x4242);
        let outcome =
            run_without(lab, &all, Errno::ENOPROTOOPT, &["--timeout=200ms", "--retries=0"], &list(&[ALIVE, SILENT]));
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(outcome.verdicts(), ["10.0.0.1 is alive", "10.0.0.7 is unreachable"]);
        assert_eq!(outcome.stderr.lines().count(), 2, "{outcome:?}");
    });
}

#[test]
fn time_stamps_are_on_before_the_list_is_read() {
    lab::play(|lab| {
        // Where asking for them kills, that happens although the list never ends.
        let mut running = lab.start_under(|| forbid(TIMESTAMPS), &mut lab.command());
        let end = Instant::now() + LIMIT;
        while running.is_running() {
            assert!(Instant::now() < end, "it waits for a list, without having asked for time stamps");
            thread::sleep(ms(1));
        }
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.signal, Some(Signal::SIGSYS as i32), "{outcome:?}");
    });
}

#[test]
fn refused_reads_are_this_machines_failure() {
    lab::play(|lab| {
        let hosts = if lab.has_ipv6() { vec![ALIVE, SILENT, "fd00::1"] } else { vec![ALIVE, SILENT] };
        lab.host(SILENT, Behaviour::silent());
        for errno in [Errno::EPERM, Errno::EACCES, Errno::ENOSYS] {
            // Also if all timeouts of the run are shorter than the second that it takes.
            for args in [&[][..], &["--timeout=50ms", "--retries=0"], &["--max-pps=unlimited", "--timeout=100"]] {
                lab.forget();
                let outcome = run_without(lab, &[RECVMMSG], errno, args, &list(&hosts));
                let (why, count) = (errno.desc(), hosts.len());
                let message = format!(
                    "xymonping: IPv4 receiving failed: {why} (no line for {count} of {count} targets; run --check for details)\n"
                );
                assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{args:?}: {outcome:?}");
                assert_eq!(outcome.stderr, message, "{args:?}");
                assert!(lab.seen().is_empty(), "nothing is sent while replies cannot be received");
            }
        }
    });
}

#[test]
fn refused_reads_of_ipv6_are_this_machines_failure() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return;
        }
        let outcome = run_without(lab, &[RECVMMSG], Errno::EPERM, &["--ipv6"], "fd00::1\n");
        let message = "xymonping: IPv6 receiving failed: Operation not permitted (no line for 1 of 1 target; run --check for \
                     details)";
        assert_eq!((outcome.code, outcome.first_stderr_line()), (Some(4), message), "{outcome:?}");
    });
}

#[test]
fn a_check_receives_a_reply_from_this_machine() {
    lab::play(|lab| {
        let checked = |calls: &[Call], errno, args: &[&str]| {
            lab.start_under(|| refuse(calls, errno), lab.command().arg("--check").args(args)).finish(LIMIT)
        };
        let receive = |outcome: &Finished| -> Vec<String> {
            outcome.lines().iter().filter_map(|line| Some(line.strip_prefix("  receive    ")?.to_owned())).collect()
        };
        let outcome = checked(&[], Errno::EPERM, &[]);
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
        let replies = ["a reply from 127.0.0.1", "a reply from ::1"];
        assert_eq!(receive(&outcome), replies[..if lab.has_ipv6() { 2 } else { 1 }], "{outcome:?}");
        // The same without filters and time stamps, and with options that change the probes.
        let all = [&BY_TYPE[..], &[BY_IDENT, TIMESTAMPS]].concat();
        let outcome = checked(&all, Errno::ENOPROTOOPT, &["--ipv4", "--size=1000", "--source=192.0.2.1"]);
        assert_eq!((outcome.code, receive(&outcome)), (Some(0), vec![replies[0].to_owned()]), "{outcome:?}");
        assert!(
            outcome.stdout.contains("  kernel     no packet filter, no time stamps, drop counter\n"),
            "{outcome:?}"
        );

        for errno in [Errno::EPERM, Errno::EACCES, Errno::ENOSYS] {
            let outcome = checked(&[RECVMMSG], errno, &["--ipv4"]);
            let why = errno.desc();
            let message = format!("xymonping: IPv4 receiving failed: {why} (a seccomp filter or a security module?)\n");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(4), message.as_str()), "{outcome:?}");
            assert_eq!(receive(&outcome), [format!("none: {why}")]);
            assert!(outcome.stdout.ends_with("verdict      a run would fail with status 4\n"), "{outcome:?}");
        }
        // With --interface nothing is sent; a missing reply is no failure.
        let quiet = "works, but 127.0.0.1 was not pinged or did not reply";
        let outcome = checked(&[], Errno::EPERM, &["--ipv4", "--interface=lab0"]);
        assert_eq!((outcome.code, receive(&outcome)), (Some(0), vec![quiet.to_owned()]), "{outcome:?}");
        lab.set_sysctl("net.ipv4.icmp_echo_ignore_all", "1");
        let outcome = checked(&[], Errno::EPERM, &["--ipv4"]);
        assert_eq!((outcome.code, receive(&outcome)), (Some(0), vec![quiet.to_owned()]), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn output_that_is_lost_on_close_is_a_failure() {
    lab::play(|lab| {
        // As NFS reports a full disk. Here stdout is a pipe, so the output arrives.
        for (errno, why) in [(Errno::ENOSPC, "No space left on device"), (Errno::EIO, "Input/output error")] {
            for args in
                [&[ALIVE][..], &["--exit-status", "--summary", ALIVE], &["--help"], &["--version"], &["--check"]]
            {
                let outcome = run_without(lab, &[CLOSE_STDOUT], errno, args, "");
                let message = format!("xymonping: writing results: {why} (the output is incomplete)");
                assert_eq!(
                    (outcome.code, outcome.first_stderr_line()),
                    (Some(4), message.as_str()),
                    "{args:?}: {outcome:?}"
                );
                assert!(!outcome.stdout.is_empty(), "{args:?}");
            }
        }
    });
}
