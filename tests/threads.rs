//! `--threads`: the same lines, messages and exit codes as with one thread, whatever happens.
//!
//! That targets are dealt out shows on the wire: each thread has an Identifier of its own.

mod lab;

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::process::Command;

use lab::caller::{self, Rights, ordinary};
use lab::{Behaviour, Finished, LIMIT, Lab, Running, hosts, list, ms, packet};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use serde_json::{Map, Value};

const TWO: &str = "--threads=2";

/// A rate of which each of two threads has a half that one thread may have.
const FAST: &str = "--max-pps=20000";

/// Groups that may open ICMP datagram sockets: none, and root's own. In the first case the threads
/// have raw sockets.
const GROUPS: [&str; 2] = ["1 0", "0 0"];

fn allow_datagram_sockets(lab: &Lab, groups: &str) {
    lab.set_sysctl("net.ipv4.ping_group_range", groups);
}

/// The Identifiers of the probes to hosts of a family.
fn idents(lab: &Lab, is_wanted: impl Fn(IpAddr) -> bool) -> BTreeSet<u16> {
    lab.seen().iter().filter(|seen| is_wanted(seen.dst)).map(|seen| seen.ident).collect()
}

/// A field of the status of each thread of a process.
fn of_threads(running: &Running, field: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).into_iter().flatten();
    let statuses = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let value = |status: String| {
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
        Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    statuses.filter_map(value).collect()
}

/// A thread of a process other than its first one.
fn last_thread(running: &Running) -> Pid {
    let tasks = fs::read_dir(format!("/proc/{}/task", running.pid())).into_iter().flatten();
    let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
    Pid::from_raw(ids.max().expect("the process runs"))
}

/// How many sockets of a kind there are in the network of a process: lines of a table after the
/// first one.
fn sockets(running: &Running, kind: &str) -> usize {
    let table = fs::read_to_string(format!("/proc/{}/net/{kind}", running.pid()));
    table.expect("the process runs").lines().count() - 1
}

/// Starts a run of two threads over hosts of which only the first is alive, and waits until all of
/// them are probed.
fn under_way(lab: &Lab, args: &[&str], all: &[String]) -> Running {
    lab.host("10.0.0.0/8", Behaviour::silent());
    lab.host(&all[0], Behaviour::default());
    let mut running = lab.start(lab.command().args([TWO, FAST]).args(args));
    running.feed(list(all));
    running.close_stdin();
    running.wait_until(LIMIT, "has not probed all", |_| lab.seen().len() >= all.len() && lab.counts().answers == 1);
    running
}

// Lines.

#[test]
fn lines_are_those_of_one_thread_in_the_order_of_the_list() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        lab.host("fd00:2::/32", Behaviour::silent());
        // Each host on two lines, in descending order, families mixed, with lines that are
        // rejected.
        let v4 = [hosts(1, 150), hosts(2, 7)].concat();
        let v6 = (1..=if lab.has_ipv6() { 60 } else { 0 }).map(|n| format!("fd00:{}::{n:x}", 1 + n % 2));
        let mut lines: Vec<String> = v4.iter().cloned().chain(v6).rev().collect();
        lines.insert(40, "example.org".to_owned());
        lines.extend(lines.clone());
        let args = ["--retries=1", "--timeout=0.3", "--summary"];
        let one = lab.run(&[&args[..], &["--max-pps=20000"]].concat(), list(&lines));
        for (rate, groups) in [FAST, "--max-pps=unlimited"].iter().flat_map(|rate| GROUPS.map(|groups| (*rate, groups)))
        {
            lab.forget();
            allow_datagram_sockets(lab, groups);
            let two = lab.run(&[&args[..], &[rate, TWO]].concat(), list(&lines));
            assert_eq!((two.code, two.verdicts()), (one.code, one.verdicts()), "{rate}");
            let heads = |outcome: &Finished| {
                let lines = outcome.stderr.lines().filter(|line| !line.contains("time: ") && !line.contains("RTT "));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(heads(&two), heads(&one), "{rate}");
            for family in [IpAddr::is_ipv4, IpAddr::is_ipv6].iter().take(1 + usize::from(lab.has_ipv6())) {
                assert_eq!(idents(lab, |ip| family(&ip)).len(), 2, "{rate}");
            }
        }
        assert_eq!(one.lines().len(), lines.len() - 2, "{one:?}");
    });
}

#[test]
fn no_more_threads_start_than_are_of_use() {
    lab::play(|lab| {
        for (args, targets, threads) in [
            (&[TWO, FAST][..], 199, 1),
            (&[TWO, FAST], 200, 2),
            (&["--threads=9", "--max-pps=30000"], 500, 3),
            (&["--threads=9", "--max-pps=unlimited"], 500, 5),
            (&[TWO, "--max-pps=19999"], 200, 1),
            (&["--max-pps=unlimited"], 500, 1),
            (&["--threads=auto", "--max-pps=100000"], 500, 1),
        ] {
            lab.forget();
            let all = hosts(1, targets);
            let outcome = lab.run(args, list(&all));
            assert_eq!((outcome.code, &*outcome.stderr), (Some(0), ""), "{args:?}");
            lab::assert_all(&outcome, &all, true);
            assert_eq!(idents(lab, |_| true).len(), threads, "{args:?}");
        }
    });
}

#[test]
fn auto_is_one_thread_a_processor_at_high_rates() {
    lab::play(|lab| {
        let all = hosts(1, 400);
        for (processors, threads) in [("0", 1), ("0,1", 2)] {
            lab.forget();
            let mut command = Command::new("taskset");
            command.args(["-c", processors]).arg(lab::program()).args(["--threads=auto", "--max-pps=unlimited"]);
            let Ok(mut running) = lab.inside(|| Running::start(&mut command)) else {
                return lab::report_skipped("auto_is_one_thread_a_processor_at_high_rates", "no taskset");
            };
            running.feed(list(&all));
            running.close_stdin();
            let outcome = running.finish(LIMIT);
            if outcome.stderr.contains("taskset: ") {
                return lab::report_skipped("auto_is_one_thread_a_processor_at_high_rates", "one processor");
            }
            lab::assert_all(&outcome, &all, true);
            assert_eq!(idents(lab, |_| true).len(), threads, "{processors}");
        }
    });
}

#[test]
fn records_are_those_of_one_thread() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let lines = list(&[hosts(1, 200), hosts(2, 5)].concat());
        let records = |outcome: &Finished| -> Vec<Map<String, Value>> {
            let records = outcome.stdout.lines().map(|line| serde_json::from_str(line).expect("a record"));
            let without_times = |mut record: Map<String, Value>| {
                record.retain(|key, _| key != "time" && !key.ends_with("_ns"));
                record
            };
            records.map(without_times).collect()
        };
        let args = ["--json", "--retries=0", "--timeout=0.3", FAST];
        let one = lab.run(&args, &lines);
        let two = lab.run(&[&args[..], &[TWO]].concat(), &lines);
        assert_eq!((two.code, records(&two)), (one.code, records(&one)));
        assert_eq!(two.lines().len(), 207, "{two:?}");
    });
}

#[test]
fn the_rate_is_that_of_all_threads_together() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let lines = list(&[hosts(1, 3000), hosts(2, 300)].concat());
        let outcome = lab.run(&[TWO, FAST, "--retries=2", "--timeout=0.05"], &lines);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 3300), "{}", outcome.stderr);
        assert_eq!(idents(lab, |_| true).len(), 2);
        lab.assert_pace(20_000.0);
    });
}

/// Processors are not equally fast. Here one thread stands still until the other one has probed all
/// of its hosts.
#[test]
fn a_thread_that_has_none_left_takes_over_targets_of_another_one() {
    lab::play(|lab| {
        let all = hosts(1, 20_000);
        // How many hosts the thread that probes most of them has probed.
        let most = || {
            let mut hosts: BTreeMap<u16, BTreeSet<IpAddr>> = BTreeMap::new();
            for seen in lab.seen() {
                hosts.entry(seen.ident).or_default().insert(seen.dst);
            }
            hosts.values().map(BTreeSet::len).max().unwrap_or_default()
        };
        let mut running = lab.start(lab.command().args([TWO, FAST, "--retries=3"]));
        running.feed(list(&all));
        running.close_stdin();
        running.wait_until(LIMIT, "has not begun", |_| lab.counts().requests >= 1000);
        let held = last_thread(&running);
        ptrace::seize(held, ptrace::Options::empty()).expect("the tests may trace it");
        ptrace::interrupt(held).expect("it is traced");
        waitpid(held, Some(WaitPidFlag::__WALL)).expect("it stops");
        running.wait_until(LIMIT, "has not probed half of all", |_| lab.counts().requests > 10_000 && most() >= 10_000);
        ptrace::detach(held, None).expect("it has stopped");
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        lab::assert_all(&outcome, &all, true);
        assert_eq!(outcome.verdicts().len(), all.len());
        assert!(most() >= 12_000, "one thread has probed {} of 20000", most());
    });
}

// How a run ends.

#[test]
fn a_signal_ends_all_threads() {
    lab::play(|lab| {
        let all = hosts(1, 250);
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            lab.forget();
            let mut running = under_way(lab, &["--timeout=100"], &all);
            running.signal(signal);
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.verdicts()), (Some(4), vec!["10.1.0.1 is alive"]), "{outcome:?}");
            let message =
                format!("xymonping: stopped by {signal}: 1 of 250 targets finished (the others have no line)\n");
            assert_eq!(outcome.stderr, message);
        }
    });
}

#[test]
fn at_the_deadline_targets_with_a_timeout_are_unreachable_whichever_thread_has_them() {
    lab::play(|lab| {
        let all = hosts(1, 250);
        let outcome = under_way(lab, &["--timeout=0.2", "--retries=200", "--deadline=1.5"], &all).finish(LIMIT);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(4), 250), "{outcome:?}");
        lab::assert_all(&outcome, &all[1..], false);
        let message = "xymonping: deadline reached with 249 of 250 targets unfinished (0 without a line; raise --deadline or --max-pps)";
        assert_eq!(outcome.first_stderr_line(), message, "{outcome:?}");
        assert!(outcome.wall >= ms(1400), "{outcome:?}");
    });
}

#[test]
fn a_status_signal_shows_the_progress_of_all_threads() {
    lab::play(|lab| {
        let all = hosts(1, 250);
        let mut running = under_way(lab, &["--timeout=100"], &all);
        running.signal(Signal::SIGUSR1);
        running.wait_until(LIMIT, "shows nothing", |running| running.stderr_so_far().ends_with('\n'));
        let line = running.stderr_so_far();
        assert!(line.starts_with("xymonping: 250 of 250 probed, 1 alive, 0 silent, about "), "{line}");
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
    });
}

/// While replies are lost on this machine, silence proves nothing, in whichever thread.
#[test]
fn replies_for_which_no_buffer_had_room_are_asked_for_again() {
    caller::play(&["setpriv"], |lab, place| {
        // Later than the start, in which few probes are in flight.
        lab.others(Behaviour::after(ms(1500)));
        let all = hosts(1, 250);
        // Without NET_ADMIN the buffers are no larger than this, which the kernel doubles.
        let rmem_max = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("every kernel has it");
        let rmem_max: usize = rmem_max.trim().parse().expect("a number");
        for groups in GROUPS {
            lab.forget();
            allow_datagram_sockets(lab, groups);
            let mut command = Command::new("setpriv");
            command.arg("--bounding-set=-net_admin").arg(place.install(Rights::None));
            command.args([TWO, "--max-pps=unlimited", "--retries=0", "--timeout=3", "--summary"]);
            let mut running = lab.start(&mut command);
            running.feed(list(&all));
            running.close_stdin();
            running.wait_until(LIMIT, "has not probed all", |_| lab.counts().requests == 250);
            running.signal(Signal::SIGSTOP);
            let idents = idents(lab, |_| true);
            let flood = |ident| packet::echo_reply(lab::ROUTER4.into(), lab::HOST4.into(), ident, 0, &[0; 60_000]);
            lab.inject_all(
                &idents.iter().flat_map(|&ident| vec![flood(ident); 2 + rmem_max / 30_000]).collect::<Vec<_>>(),
            );
            running.wait_until(LIMIT, "has not been answered", |_| lab.counts().answers == 250);
            running.signal(Signal::SIGCONT);
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
            lab::assert_all(&outcome, &all, true);
            for ident in idents {
                assert!(lab.seen().iter().filter(|seen| seen.ident == ident).count() > 125, "{}", outcome.stderr);
            }
        }
    });
}

#[test]
fn a_route_lost_in_mid_run_makes_no_host_unreachable() {
    lab::play(|lab| {
        let all = hosts(1, 250);
        let mut running = under_way(lab, &["--timeout=0.3", "--retries=1"], &all);
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        running.close_stdin();
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, outcome.verdicts()), (Some(4), vec!["10.1.0.1 is alive"]), "{outcome:?}");
        let message =
            "xymonping: IPv4 sending failed: Network is unreachable (no line for 249 targets, first 10.1.0.2; ";
        assert!(outcome.stderr.starts_with(message), "{outcome:?}");
    });
}

/// Judged by one thread alone, a quarter of its targets would be without a way out.
#[test]
fn refusals_count_over_the_whole_list() {
    lab::play(|lab| {
        // All of them are in one share, which has 100 targets.
        lab.ip(&["route", "add", "throw", "10.9.0.0/16"]);
        let (alive, refused) = (hosts(1, 170), hosts(9, 30));
        let mut all = alive.clone();
        for (nth, host) in refused.iter().enumerate() {
            all.insert(nth * 2, host.clone());
        }
        let args = ["--timeout=0.2", "--retries=0", "--max-pps=unlimited"];
        let one = lab.run(&args, list(&all));
        for groups in GROUPS {
            allow_datagram_sockets(lab, groups);
            let two = lab.run(&[&args[..], &[TWO]].concat(), list(&all));
            assert_eq!((two.code, two.verdicts(), &two.stderr), (one.code, one.verdicts(), &one.stderr));
            assert_eq!((two.code, two.verdict_of(&refused[0])), (Some(0), "unreachable"), "{two:?}");
        }
    });
}

#[test]
fn while_no_reference_answers_silence_proves_nothing() {
    lab::play(|lab| {
        let all = hosts(1, 220);
        lab.host("10.3.0.1", Behaviour::silent());
        lab.host(&all[7], Behaviour::silent());
        let args = [TWO, FAST, "--timeout=0.2", "--retries=0"];
        let outcome = lab.run(&[&args[..], &["--reference=10.3.0.1"]].concat(), list(&all));
        assert_eq!((outcome.code, outcome.lines().len()), (Some(4), 219), "{outcome:?}");
        assert!(
            outcome.stderr.starts_with("xymonping: no reference answered: 1 silent target undecided "),
            "{outcome:?}"
        );
        let outcome = lab.run(&[&args[..], &["--reference=10.3.0.2"]].concat(), list(&all));
        assert_eq!((outcome.code, outcome.verdict_of(&all[7])), (Some(0), "unreachable"), "{outcome:?}");
    });
}

// Privileges.

#[test]
fn all_threads_are_without_privileges_and_in_the_sandbox() {
    caller::play(&[], |lab, _| {
        let running = under_way(lab, &["--timeout=100"], &hosts(1, 250));
        assert_eq!(of_threads(&running, "Pid").len(), 3);
        assert_eq!(["raw", "icmp"].map(|kind| sockets(&running, kind)), [2, 0]);
        let none = "0000000000000000";
        for field in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            assert_eq!(of_threads(&running, field), [none; 3], "{field}");
        }
        assert_eq!(of_threads(&running, "NoNewPrivs"), ["1"; 3]);
        let mode =
            if cfg!(any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")) { "2" } else { "0" };
        assert_eq!(of_threads(&running, "Seccomp"), [mode; 3]);
        let masks = of_threads(&running, "SigBlk");
        assert!(masks.iter().all(|mask| *mask == masks[0] && mask != none), "{masks:?}");
    });
}

/// Where the system allows it, each thread has sockets that get no copies of the others' replies,
/// unless what was asked for takes raw ones.
#[test]
fn threads_have_icmp_datagram_sockets_where_those_are_allowed() {
    lab::play(|lab| {
        for (groups, args, raw, datagram) in [
            (GROUPS[0], &["--timeout=100"][..], 2, 0),
            (GROUPS[1], &["--timeout=100"], 0, 2),
            (GROUPS[1], &["--timeout=100", "--source=192.0.2.2"], 0, 2),
            (GROUPS[1], &["--timeout=100", "--icmp-errors=report"], 2, 0),
        ] {
            lab.forget();
            allow_datagram_sockets(lab, groups);
            let running = under_way(lab, args, &hosts(1, 250));
            assert_eq!(["raw", "icmp"].map(|kind| sockets(&running, kind)), [raw, datagram], "{groups} {args:?}");
            // Over IPv6 those would not tell of a full queue.
            assert!(!lab.has_ipv6() || sockets(&running, "icmp6") == 0);
        }
    });
}

#[test]
fn a_run_of_an_ordinary_user_has_one_thread() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.host("10.2.0.0/16", Behaviour::silent());
        let lines = list(&[hosts(1, 1500), hosts(2, 300)].concat());
        for threads in [TWO, "--threads=64", "--threads=auto"] {
            lab.forget();
            let args = [threads, "--max-pps=unlimited", "--retries=2", "--timeout=0.05"];
            let running = lab.start(ordinary(&program).args(args));
            running.feed(&lines);
            let outcome = running.finish(LIMIT);
            assert_eq!((outcome.code, outcome.lines().len()), (Some(0), 1800), "{outcome:?}");
            assert_eq!(idents(lab, |_| true).len(), 1, "{threads}");
            lab.assert_pace(10_000.0);
        }
    });
}

// Where there can be no threads.

/// Set in the environment of the test that is run again under a filter.
#[cfg(target_arch = "x86_64")]
const FILTERED: &str = "XYMONPING_THREADS_FILTERED";

#[cfg(target_arch = "x86_64")]
#[test]
fn where_no_thread_can_be_started_one_probes() {
    use lab::seccomp::refuse;
    use nix::errno::Errno;
    use nix::libc;

    if env::var_os(FILTERED).is_some() {
        // The C library falls back to clone(2), whose flags a filter can read.
        let thread = libc::CLONE_VM
            | libc::CLONE_FS
            | libc::CLONE_FILES
            | libc::CLONE_SYSVSEM
            | libc::CLONE_SIGHAND
            | libc::CLONE_THREAD
            | libc::CLONE_SETTLS
            | libc::CLONE_PARENT_SETTID
            | libc::CLONE_CHILD_CLEARTID;
        refuse(&[(libc::SYS_clone3, &[])], Errno::ENOSYS);
        refuse(&[(libc::SYS_clone, &[(0, thread)])], Errno::EAGAIN);
        let error = Command::new(lab::program()).args([TWO, FAST]).exec();
        panic!("cannot start the program: {error}");
    }
    lab::play(|lab| {
        let all = hosts(1, 250);
        let mut command = Command::new(env::current_exe().expect("a test knows its own binary"));
        command.args(["--exact", "where_no_thread_can_be_started_one_probes", "--nocapture"]).env(FILTERED, "1");
        let running = lab.start(&mut command);
        running.feed(list(&all));
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        lab::assert_all(&outcome, &all, true);
        let warning =
            "xymonping: --threads: 1 of 2 can be started: Resource temporarily unavailable (see: ulimit -u -v)\n";
        assert_eq!(outcome.stderr, warning);
        assert_eq!(idents(lab, |_| true).len(), 1);
    });
}

#[test]
fn more_sockets_than_descriptors_are_a_failure_with_one_line() {
    lab::play(|lab| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 20; exec \"$@\"", "sh"]).arg(lab::program());
        let running = lab.start(command.args(["--threads=64", "--max-pps=unlimited", "10.0.0.1"]));
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, &*outcome.stdout), (Some(4), ""), "{outcome:?}");
        assert_eq!(outcome.stderr, "xymonping: opening sockets: Too many open files\n");
        assert!(lab.seen().is_empty());
    });
}
