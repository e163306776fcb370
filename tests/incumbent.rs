//! What Xymon's own xymonping gets wrong, a scenario for each, and how it should be.
//!
//! The comments say what xymonping 4.3.30 does. The scenarios can be run on any other program:
//! `XYMONPING_UNDER_TEST=/usr/lib/xymon/server/bin/xymonping cargo test --test incumbent`. The
//! results of the original and of fping are in tests/README.md.
//!
//! Two of its faults are not here. After a step of the wall clock it waits for an hour or calls
//! every host down; a test must not set the clock of its machine, so that is tested where stamps
//! are converted (multiping/src/net/timestamp.rs). Its speed is measured in benches/.

mod lab;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Answer, Behaviour, Finished, HOST4, IcmpError, Lab, Running, hosts, list, ms};
use nix::sys::signal::Signal;

/// Short timeouts. The original accepts whole seconds only.
const FAST: [&str; 3] = ["--timeout=1", "--retries=1", "--max-pps=1000"];

/// How many of these hosts are alive, and how many unreachable.
fn tally(outcome: &Finished, addresses: &[String]) -> (usize, usize) {
    tally_of(&outcome.stdout, addresses)
}

fn tally_of(stdout: &str, addresses: &[String]) -> (usize, usize) {
    let verdicts: HashMap<&str, &str> = stdout.lines().filter_map(|line| line.split_once(" is ")).collect();
    let count = |verdict: &str| {
        let has_it = |address: &&String| verdicts.get(address.as_str()).is_some_and(|it| it.starts_with(verdict));
        addresses.iter().filter(has_it).count()
    };
    (count("alive ("), count("unreachable"))
}

fn start(lab: &Lab, args: &[&str], input: &str) -> Running {
    let mut running = lab.start(lab.command().args(lab::spelled(args)));
    running.feed(input);
    running.close_stdin();
    running
}

/// Asserts that the program refused its command line, and sent and printed nothing.
fn assert_usage_error(lab: &Lab, args: &[&str]) {
    let outcome = lab.run(args, "10.0.0.1\n");
    assert_eq!((outcome.code, outcome.signal, outcome.stdout.as_str()), (Some(3), None, ""), "{args:?} {outcome:?}");
    assert!(outcome.first_stderr_line().starts_with("xymonping: "), "{args:?} {outcome:?}");
    assert_eq!(lab.seen().len(), 0, "{args:?}");
}

/// It counts copies as replies of other hosts, and stops waiting too early: 8 of 80 unreachable.
#[test]
fn duplicates_do_not_count_for_other_hosts() {
    lab::play(|lab| {
        let hosts = hosts(1, 80);
        lab.others(Behaviour { copies: 2, ..Behaviour::default() });
        let outcome = lab.run(&["--max-pps=500"], list(&hosts));
        assert_eq!(tally(&outcome, &hosts), (80, 0));
        assert_eq!(lab.seen().len(), 80);
    });
}

/// Copies count as responses: in every second run one or two probes are enough for `--responses=3`.
#[test]
fn duplicates_are_not_further_responses() {
    lab::play(|lab| {
        lab.others(Behaviour { copies: 3, ..Behaviour::default() });
        let outcome = lab.run(&["--responses=3"], "10.0.0.1\n");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
        assert_eq!(lab.seen().len(), 3);
    });
}

/// It sends the next probe only after 100 ms without a packet: it never ends.
#[test]
fn foreign_replies_do_not_keep_the_run_from_ending() {
    lab::play(|lab| {
        let hosts = hosts(1, 150);
        lab.others(Behaviour::silent());
        let _replies = lab.foreign_replies(20, 0x1234);
        let outcome = lab.run(&FAST, list(&hosts));
        assert_eq!((outcome.is_complete(), tally(&outcome, &hosts)), (true, (0, 150)));
    });
}

/// Processes with adjacent ids share identifiers, and accept replies to each other's probes: up to
/// 40 of 95 dead hosts are alive.
#[test]
fn neighbouring_runs_do_not_share_replies() {
    lab::play(|lab| {
        let (alive, dead) = (hosts(1, 95), hosts(2, 95));
        lab.host("10.2.0.0/16", Behaviour::silent());
        let directory = env::temp_dir().join(format!("xymonping-neighbours-{}", process::id()));
        fs::create_dir(&directory).expect("a directory for temporary files");
        // All from one shell, which uses no other process ids in between. The live hosts reply
        // while the dead ones are probed again.
        let script = "slow=$1; shift; for n in 1 2 3; do\n\
                      \"$0\" $slow <<<\"$ALIVE\" >alive-$n &\n\
                      \"$0\" \"$@\" <<<\"$DEAD\" >dead-$n &\n\
                      done; wait";
        let slow = lab::spelled(&["--timeout=1", "--retries=1", "--max-pps=30"]).join(" ");
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(lab::program()).arg(slow).args(lab::spelled(&FAST));
        command.current_dir(&directory).env("ALIVE", list(&alive)).env("DEAD", list(&dead));
        lab.start(&mut command).finish(lab::LIMIT);
        let tally = |name: &str, addresses: &[String]| {
            tally_of(&fs::read_to_string(directory.join(name)).expect("its output"), addresses)
        };
        let tallies: Vec<_> =
            (1..=3).map(|n| (tally(&format!("alive-{n}"), &alive), tally(&format!("dead-{n}"), &dead))).collect();
        fs::remove_dir_all(&directory).expect("our directory");
        assert_eq!(tallies, [((95, 0), (0, 95)); 3]);
    });
}

/// It accepts any reply from any address, and has no option against that.
#[test]
fn replies_from_another_address_are_accepted_only_with_a_valid_token() {
    lab::play(|lab| {
        let from = Some("10.0.0.66".parse().expect("an address"));
        lab.host("10.0.0.7", Behaviour { from, ..Behaviour::default() });
        lab.host("10.0.0.8", Behaviour { from, answer: Answer::Data(vec![7; 56]), ..Behaviour::default() });
        let outcome = lab.run(&FAST, "10.0.0.7\n10.0.0.8\n");
        assert!(outcome.is_alive("10.0.0.7"), "a host with several addresses is alive: {outcome:?}");
        assert_eq!(outcome.verdict_of("10.0.0.8"), "unreachable", "{outcome:?}");
        let strict = lab.run(&[&FAST[..], &["--check-source"]].concat(), "10.0.0.7\n10.0.0.8\n");
        assert_eq!(strict.verdict_of("10.0.0.7"), "unreachable", "{strict:?}");
    });
}

/// Hosts beyond 65,535 are unreachable, and their replies count for the first ones.
#[test]
fn more_hosts_than_sequence_numbers_have_the_right_verdicts() {
    lab::play(|lab| {
        let (alive, dead) = (hosts(1, 67_000), hosts(5, 56));
        lab.host("10.5.0.0/16", Behaviour::silent());
        // The dead hosts are first: if numbers wrapped around, these would get the replies of the
        // last ones.
        let outcome = lab.run(&["--max-pps=40000", "--timeout=2"], list(&dead) + &list(&alive));
        assert_eq!(
            (outcome.is_complete(), tally(&outcome, &alive), tally(&outcome, &dead)),
            (true, (67_000, 0), (0, 56))
        );
    });
}

/// It sleeps between sending and reading: 20.2 ms for a path of 10 us.
#[test]
fn pacing_is_not_included_in_the_rtt() {
    lab::play(|lab| {
        let hosts = hosts(1, 30);
        let outcome = lab.run(&[], list(&hosts));
        assert_eq!(tally(&outcome, &hosts), (30, 0));
        let (seen, answered) = (lab.seen(), lab.answered());
        let mut excess: Vec<Duration> = hosts
            .iter()
            .map(|host| {
                let ip: IpAddr = host.parse().expect("an address");
                let probe = seen.iter().find(|seen| seen.dst == ip).expect("it was probed");
                let answer = answered.iter().find(|answer| answer.host == ip).expect("it has answered");
                let printed = outcome.rtt_of(host).expect("it is alive");
                printed.saturating_sub(answer.time.end - probe.time)
            })
            .collect();
        excess.sort();
        assert!(excess[15] < ms(1), "half of the RTTs are {:?} or more too long", excess[15]);
    });
}

/// It reads the clock when it reads the reply: 1,754 ms for a host 250 ms away.
#[test]
fn a_stop_of_the_process_does_not_lengthen_rtts() {
    lab::play(|lab| {
        lab.others(Behaviour::after(ms(250)));
        let mut running = start(lab, &[], "10.0.0.1\n");
        running.wait_until(lab::LIMIT, "its probe", |_| lab.seen().len() == 1);
        running.signal(Signal::SIGSTOP);
        running.wait_until(lab::LIMIT, "the answer", |_| lab.counts().answers == 1);
        std::thread::sleep(ms(1500));
        running.signal(Signal::SIGCONT);
        let outcome = running.finish(lab::LIMIT);
        let rtt = outcome.rtt_of("10.0.0.1").expect("it is alive");
        let true_rtt = lab.answered()[0].time.end - lab.seen()[0].time;
        assert!(rtt >= ms(249) && rtt < true_rtt + ms(100), "{rtt:?}, not {true_rtt:?}");
    });
}

/// It reads the send time from the reply: 1,795,207,274,621.4 ms.
#[test]
fn the_data_of_a_reply_does_not_affect_the_rtt() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::answering(Answer::ZeroedData));
        lab.host("10.0.0.2", Behaviour::answering(Answer::TruncatedTo(0)));
        lab.host("10.0.0.3", Behaviour::answering(Answer::TruncatedTo(8)));
        lab.host("10.0.0.4", Behaviour::answering(Answer::Data(vec![0xff; 56])));
        lab.host("10.0.0.5", Behaviour::answering(Answer::FlippedByte(12)));
        // When the short replies arrive, the buffer has the bytes of a valid one.
        let outcome = lab.run(&FAST, "10.0.0.99\n10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n10.0.0.5\n");
        assert!(outcome.is_alive("10.0.0.99"), "{outcome:?}");
        for n in 1..=5 {
            assert_eq!(outcome.verdict_of(&format!("10.0.0.{n}")), "unreachable", "{outcome:?}");
        }
    });
}

/// The kernel does not verify ICMP checksums for raw sockets: a reply with checksum 0xdead is
/// accepted.
#[test]
fn a_reply_with_a_wrong_checksum_is_not_accepted() {
    lab::play(|lab| {
        lab.script("10.0.0.1", vec![Behaviour::answering(Answer::BadChecksum)]);
        lab.script("10.0.0.2", vec![Behaviour::answering(Answer::BadChecksum), Behaviour::default()]);
        let outcome = lab.run(&FAST, "10.0.0.1\n10.0.0.2\n");
        assert_eq!(outcome.verdict_of("10.0.0.1"), "unreachable", "{outcome:?}");
        assert!(outcome.is_alive("10.0.0.2"), "it is probed again: {outcome:?}");
    });
}

/// SIGFPE, which xymonnet takes for success without lines; or no pacing.
#[test]
fn a_bad_rate_is_a_usage_error() {
    lab::play(|lab| {
        for rate in ["0", "abc", "-5", "", "1e400", "nan", "inf", "10000001", "0.001", "50x", " 50"] {
            assert_usage_error(lab, &[&format!("--max-pps={rate}")]);
        }
    });
}

/// `unreachable` without a packet sent, exit 0.
#[test]
fn bad_numbers_are_usage_errors() {
    lab::play(|lab| {
        for arg in [
            "--responses=0",
            "--responses=abc",
            "--responses=256",
            "--retries=-1",
            "--retries=-2",
            "--retries=",
            "--retries=1.5",
            "--retries=99999999999999999999",
            "--timeout=0",
            "--timeout=-1",
            "--timeout=abc",
            "--timeout=1000",
            "-r-1",
            "-rx",
            "-tx",
            "-ix",
        ] {
            assert_usage_error(lab, &[arg]);
        }
    });
}

#[test]
fn no_retries_are_one_probe() {
    lab::play(|lab| {
        lab.others(Behaviour::silent());
        for arg in ["-r0", "--retries=0"] {
            lab.forget();
            let outcome = lab.run(&["--timeout=1", arg], "10.0.0.1\n");
            assert_eq!((outcome.is_complete(), outcome.verdict_of("10.0.0.1")), (true, "unreachable"), "{outcome:?}");
            assert_eq!(lab.seen().len(), 1, "{arg}");
        }
    });
}

/// `-Ae -r 1` pings only 0.0.0.1: every host is red.
#[test]
fn the_value_of_an_option_is_never_an_address() {
    lab::play(|lab| {
        let cases: [&[&str]; 9] = [
            &["-Ae", "-r", "1"],
            &["-Aer", "1"],
            &["-Ae", "-t", "500", "-B", "1.5", "-H", "64"],
            &["-Ae", "-i", "10", "-p", "20", "-b", "56", "-O", "0"],
            &["-AeT", "10", "-x", "1"],
            &["-k", "1", "-X", "1", "-I", "lab0"],
            &["--retries", "1", "--timeout", "2", "--max-pps", "100", "--responses", "1"],
            &["-S", "192.0.2.1"],
            &["--source", "192.0.2.1"],
        ];
        for args in cases {
            lab.forget();
            let outcome = lab.run(args, "10.0.0.1\n");
            assert_eq!((outcome.is_complete(), outcome.lines().len()), (true, 1), "{args:?} {outcome:?}");
            assert!(outcome.is_alive("10.0.0.1"), "{args:?} {outcome:?}");
            let probed: BTreeSet<IpAddr> = lab.seen().iter().map(|seen| seen.dst).collect();
            assert_eq!(probed.len(), 1, "{args:?}");
        }
    });
}

/// It pings 8.0.0.1 for 010.0.0.1, and drops lines with a leading blank.
#[test]
fn ambiguous_addresses_are_rejected_and_blanks_accepted() {
    lab::play(|lab| {
        let rejected =
            ["010.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "10.0.0.256", "10.0.0", "10.0.0.1.2", "router"];
        let lines: String = rejected.iter().map(|line| format!("{line}\n")).collect();
        let input = lines + " 10.0.0.2\n\t10.0.0.3 \r\n10.0.0.4 gateway # of the lab\n# none\n\n10.0.0.5";
        let outcome = lab.run(&FAST, &input);
        assert_eq!((outcome.is_complete(), outcome.lines().len()), (true, 4), "{outcome:?}");
        for n in 2..=5 {
            assert!(outcome.is_alive(&format!("10.0.0.{n}")), "{outcome:?}");
        }
        assert_eq!(lab.seen().len(), 4, "no other host is probed");
        for rejected in rejected {
            assert!(outcome.stderr.contains(&format!("\"{rejected}\"")), "{rejected} is quoted: {outcome:?}");
        }
        let outcome = lab.run(&[&FAST[..], &["--exit-status"]].concat(), &input);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(2), 4), "{outcome:?}");
    });
}

/// SIGABRT, which xymonnet takes for success without lines, also with a file capability.
#[test]
fn without_privilege_the_message_says_what_is_missing() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::None);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        let run = |command: &mut Command| {
            let running = lab.start(command.args(lab::spelled(&FAST)));
            running.feed("10.0.0.1\n");
            running.finish(lab::LIMIT)
        };
        let outcome = run(&mut ordinary(&program));
        assert_eq!((outcome.code, outcome.signal, outcome.stdout.as_str()), (Some(3), None, ""), "{outcome:?}");
        assert!(outcome.first_stderr_line().contains("no permission to ping"), "{outcome:?}");
        assert!(
            outcome.first_stderr_line().contains("chmod u+s") && outcome.first_stderr_line().contains("setcap"),
            "{outcome:?}"
        );
        let outcome = run(&mut caller::with_net_raw(&program));
        assert!(outcome.is_alive("10.0.0.1"), "one capability is enough: {outcome:?}");
    });
}

/// `Uid: 65534 65534 0 65534`: it can regain root during the whole run.
#[test]
fn privileges_are_dropped_for_good_while_it_probes() {
    caller::play(&["setpriv"], |lab, place| {
        let program = place.install(Rights::Setuid);
        lab.set_sysctl("net.ipv4.ping_group_range", "1 0");
        lab.others(Behaviour::after(ms(500)));
        let mut running = lab.start(ordinary(&program).args(lab::spelled(&["--timeout=30"])));
        running.feed("10.0.0.1\n");
        running.close_stdin();
        running.wait_until(lab::LIMIT, "its probe", |_| lab.seen().len() == 1);
        let nobody = [ORDINARY.to_string().as_str(); 4].join(" ");
        let none = "0".repeat(16);
        for (field, value) in [
            ("Uid", &nobody),
            ("Gid", &nobody),
            ("CapInh", &none),
            ("CapPrm", &none),
            ("CapEff", &none),
            ("CapAmb", &none),
            ("NoNewPrivs", &"1".to_owned()),
        ] {
            assert_eq!(running.status(field).as_ref(), Some(value), "{field}");
        }
        let outcome = running.finish(lab::LIMIT);
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

/// With 1,197 inherited descriptors its socket is beyond FD_SETSIZE: SIGABRT.
#[test]
fn inherited_descriptors_do_no_harm() {
    lab::play(|lab| {
        let script = "ulimit -n 2000 || exit 77\n\
                      for ((fd = 3; fd < 1200; fd++)); do eval \"exec $fd</dev/null\"; done\n\
                      exec \"$0\" \"$@\"";
        let running =
            lab.start(Command::new("bash").args(["-c", script]).arg(lab::program()).args(lab::spelled(&FAST)));
        running.feed("10.0.0.1\n");
        let outcome = running.finish(lab::LIMIT);
        if outcome.code == Some(77) {
            return lab::skip("inherited_descriptors_do_no_harm", outcome.first_stderr_line());
        }
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

/// `unreachable` for all hosts after 18 s, exit 0; or another source address, exit 0.
#[test]
fn a_bad_source_is_a_usage_error() {
    lab::play(|lab| {
        for source in ["999.1.1.1", "255.255.255.255", "192.0.2.255", "10.0.0.1", "224.0.0.1", "0.0.0.0", "eth0"] {
            assert_usage_error(lab, &[&format!("--source={source}")]);
        }
        let outcome = lab.run(&[&format!("--source={HOST4}")], "10.0.0.1\n");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

/// `unreachable` for all hosts, exit 0: every host is red.
#[test]
fn with_our_network_down_no_host_is_unreachable() {
    lab::play(|lab| {
        lab.ip(&["link", "set", lab::DEVICE, "down"]);
        let outcome = lab.run(&FAST, list(&hosts(1, 20)));
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(4), ""), "{outcome:?}");
    });
}

/// Exit 0 on a full disk, and missing lines are red hosts.
#[test]
fn lines_that_cannot_be_written_are_a_failure() {
    lab::play(|lab| {
        for script in ["exec \"$0\" \"$@\" >/dev/full", "exec \"$0\" \"$@\" 1</dev/null"] {
            let running =
                lab.start(Command::new("sh").args(["-c", script]).arg(lab::program()).args(lab::spelled(&FAST)));
            running.feed("10.0.0.1\n");
            let outcome = running.finish(lab::LIMIT);
            assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{script} {outcome:?}");
            assert!(outcome.first_stderr_line().contains("writing results"), "{script} {outcome:?}");
        }
    });
}

/// No output.
#[test]
fn an_interrupted_run_prints_its_results() {
    lab::play(|lab| {
        let (alive, rest) = (hosts(1, 10), hosts(2, 1000));
        let mut running = start(lab, &[], &(list(&alive) + &list(&rest)));
        running.wait_until(lab::LIMIT, "some answers", |_| lab.counts().answers > 10);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{outcome:?}");
        assert_eq!(tally(&outcome, &alive), (10, 0), "{outcome:?}");
        assert_eq!(tally(&outcome, &rest).1, 0, "hosts that were not probed are not unreachable: {outcome:?}");
        assert!(outcome.first_stderr_line().contains("SIGTERM"), "{outcome:?}");
    });
}

/// One timeout for all hosts together: the first of 1,500 hosts can reply 30 s late and be alive.
#[test]
fn every_probe_has_its_own_timeout() {
    lab::play(|lab| {
        let (late, rest) = (hosts(1, 5), hosts(2, 60));
        lab.host("10.1.0.0/16", Behaviour::after(ms(1500)));
        let outcome = lab.run(&["--timeout=1", "--retries=0"], list(&late) + &list(&rest));
        assert_eq!((tally(&outcome, &late), tally(&outcome, &rest)), ((0, 5), (60, 0)), "{outcome:?}");
    });
}

/// fping calls a host unreachable at the first failed send; the original tries again after the
/// others.
#[test]
fn a_failed_send_is_tried_again_in_its_own_time() {
    lab::play(|lab| {
        let hosts = hosts(1, 5);
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let mut running = start(lab, &["--timeout=1", "--retries=1"], &(list(&hosts) + "192.0.2.9\n"));
        // It is probed after the others.
        running.wait_until(lab::LIMIT, "the neighbour's probe", |_| lab.seen().len() == 1);
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.is_complete(), tally(&outcome, &hosts)), (true, (5, 0)), "{outcome:?}");
    });
}

/// It reads the replies to every ping on the machine. The results are right even so.
#[test]
fn replies_to_other_pings_are_not_received() {
    lab::play(|lab| {
        let hosts = hosts(1, 200);
        let _flood = lab.foreign_replies(10_000, 0x4321);
        let outcome = lab.run(&[&FAST[..], &["--debug"]].concat(), list(&hosts));
        assert_eq!((outcome.is_complete(), tally(&outcome, &hosts)), (true, (200, 0)));
        // Some arrive between the opening of a socket and its filter; they are read before the
        // first probe.
        let probing = outcome.stderr.lines().skip_while(|line| !line.contains(" send "));
        assert_eq!(probing.filter(|line| line.contains(" recv ")).count(), 200);
    });
}

/// It ignores the name and reads the list, or skips it. Exit 0.
#[test]
fn a_host_name_as_an_operand_is_an_error() {
    lab::play(|lab| {
        for args in [&["localhost"][..], &["10.0.0.1", "localhost"], &["10.0.0.1", ""], &["127.1"]] {
            assert_usage_error(lab, args);
        }
        let outcome = lab.run(&["10.0.0.1", "10.0.0.2"], "10.0.0.3\n");
        assert_eq!((outcome.is_complete(), outcome.lines().len()), (true, 2), "{outcome:?}");
    });
}

/// It accepts `--max-ppps=5000` silently.
#[test]
fn a_mistyped_option_is_an_error_and_a_letter_of_fping_is_not() {
    lab::play(|lab| {
        for arg in ["--max-ppps=5000", "--retry=1", "--time-out=5", "--Timeout=1", "-Z"] {
            assert_usage_error(lab, &[arg]);
        }
        let outcome = lab.run(&["-AedDmnNosR"], "10.0.0.1\n");
        assert!(outcome.is_complete(), "{outcome:?}");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

/// `-i10` is no pacing: eleven packets within a millisecond. And `-r2` is two attempts in all.
#[test]
fn letters_have_the_meaning_of_fping() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let (alive, dead) = (hosts(1, 40), hosts(2, 1));
        let outcome = lab.run(&["-Ae", "-i10", "-r2", "-t300"], list(&dead) + &list(&alive));
        assert_eq!((tally(&outcome, &alive), tally(&outcome, &dead)), ((40, 0), (0, 1)), "{outcome:?}");
        // 10 ms apart, of which 2 may be caught up with after a late wake-up.
        let seen = lab.seen();
        for (n, later) in seen.iter().enumerate().skip(10) {
            let apart = later.time - seen[n - 10].time;
            assert!(apart >= ms(90), "eleven packets within {apart:?}");
        }
        let silent = lab.seen_of("10.2.0.0/16");
        assert_eq!(silent.len(), 3, "two retries");
        assert!(silent[1].time - silent[0].time >= ms(299));
    });
}

/// IPv4 only.
#[test]
fn ipv6_is_pinged_like_ipv4() {
    lab::play(|lab| {
        if !lab.has_ipv6() {
            return lab::skip("ipv6_is_pinged_like_ipv4", "this kernel has no IPv6");
        }
        lab.host("fd00::2", Behaviour::silent());
        let outcome = lab.run(&FAST, "fd00::1\nfd00::2\n10.0.0.1\nFD00:0:0::3\n");
        assert_eq!((outcome.is_complete(), outcome.lines().len()), (true, 4), "{outcome:?}");
        assert!(["fd00::1", "10.0.0.1", "fd00::3"].iter().all(|host| outcome.is_alive(host)), "{outcome:?}");
        assert_eq!(outcome.verdict_of("fd00::2"), "unreachable", "{outcome:?}");
    });
}

/// An error is not a reply, and does not end a target either: the next attempt may be answered.
#[test]
fn icmp_errors_decide_nothing() {
    lab::play(|lab| {
        let error = |error| Behaviour::answering(Answer::Error(error));
        lab.host("10.0.0.1", error(IcmpError::HostUnreachable));
        lab.script("10.0.0.2", vec![error(IcmpError::NetUnreachable), Behaviour::default()]);
        lab.script("10.0.0.3", vec![error(IcmpError::TimeExceeded), Behaviour::default()]);
        let outcome = lab.run(&FAST, "10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n");
        assert_eq!(outcome.verdict_of("10.0.0.1"), "unreachable", "{outcome:?}");
        assert!(["10.0.0.2", "10.0.0.3", "10.0.0.4"].iter().all(|host| outcome.is_alive(host)), "{outcome:?}");
    });
}

/// Its debugging output has identifier and index swapped.
#[test]
fn debugging_output_is_right() {
    lab::play(|lab| {
        let outcome = lab.run(&["--debug"], "10.0.0.1\n");
        let seen = lab.seen().pop().expect("it was probed");
        let numbers = format!("10.0.0.1 ident {} seq {} ", seen.ident, seen.seq);
        assert_eq!(outcome.stderr.matches(&numbers).count(), 2, "sent and received: {outcome:?}");
    });
}

/// Every probe carries the time of day.
#[test]
fn a_probe_carries_no_time() {
    lab::play(|lab| {
        lab.keep_data();
        lab.run(&["--responses=3"], "10.0.0.1\n10.0.0.2\n");
        lab.run(&["--responses=3"], "10.0.0.1\n10.0.0.2\n");
        let seen = lab.seen();
        assert_eq!(seen.len(), 12);
        let tokens: BTreeSet<&[u8]> = seen.iter().map(|seen| &seen.data[..16]).collect();
        let rests: BTreeSet<&[u8]> = seen.iter().map(|seen| &seen.data[16..]).collect();
        assert_eq!((tokens.len(), rests.len()), (12, 1), "a token each, and then a fixed pattern");
        // Times would be in order. Seals are random: by chance 12 are in order once in 10^8 runs.
        let seals: Vec<&[u8]> = seen.iter().map(|seen| &seen.data[8..16]).collect();
        assert!(!seals.is_sorted(), "{seals:?}");
    });
}
