//! What the program that this one replaces gets wrong, one scenario after the other, and how it should be.
//!
//! The comments say how xymonping 4.3.30 fared. The scenarios run against any other program too:
//! `XYMONPING_UNDER_TEST=/usr/lib/xymon/server/bin/xymonping cargo test --test incumbent`. What became of each with the
//! original and with fping is in tests/README.md.
//!
//! Two of its weaknesses are not here. A step of the wall clock makes it wait for an hour or call everybody down; no
//! test may set the clock of the machine it runs on, so that is shown where stamps are turned into moments
//! (src/net/stamp.rs). And its speed is a matter of benches/.

mod lab;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::process::{self, Command};
use std::time::Duration;
use std::{env, fs};

use lab::caller::{self, ORDINARY, Rights, ordinary};
use lab::{Answer, Behaviour, Finished, HOST4, IcmpError, Lab, Running, hosts, list, ms};
use nix::sys::signal::Signal;

/// Silence is told soon. The original knows whole seconds only.
const FAST: [&str; 3] = ["--timeout=1", "--retries=1", "--max-pps=1000"];

/// How many of these hosts are called alive, and how many unreachable.
fn told(outcome: &Finished, addresses: &[String]) -> (usize, usize) {
    told_in(&outcome.stdout, addresses)
}

fn told_in(stdout: &str, addresses: &[String]) -> (usize, usize) {
    let said: HashMap<&str, &str> = stdout.lines().filter_map(|line| line.split_once(" is ")).collect();
    let told = |word: &str| {
        let about = |address: &&String| said.get(address.as_str()).is_some_and(|said| said.starts_with(word));
        addresses.iter().filter(about).count()
    };
    (told("alive ("), told("unreachable"))
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

/// It counted copies as answers of other hosts, and the round ended too early: 8 of 80 unreachable.
#[test]
fn duplicates_answer_for_nobody_else() {
    lab::play(|lab| {
        let hosts = hosts(1, 80);
        lab.others(Behaviour { copies: 2, ..Behaviour::default() });
        let outcome = lab.run(&["--max-pps=500"], list(&hosts));
        assert_eq!(told(&outcome, &hosts), (80, 0));
        assert_eq!(lab.seen().len(), 80);
    });
}

/// Copies counted as responses: in every second run one or two probes satisfied `--responses=3`.
#[test]
fn duplicates_are_not_further_responses() {
    lab::play(|lab| {
        lab.others(Behaviour { copies: 3, ..Behaviour::default() });
        let outcome = lab.run(&["--responses=3"], "10.0.0.1\n");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
        assert_eq!(lab.seen().len(), 3);
    });
}

/// Only a silent 100 ms let it send on: it never ended.
#[test]
fn a_trickle_of_foreign_replies_does_not_keep_the_run_alive() {
    lab::play(|lab| {
        let hosts = hosts(1, 150);
        lab.others(Behaviour::silent());
        let _trickle = lab.foreign_replies(20, 0x1234);
        let outcome = lab.run(&FAST, list(&hosts));
        assert_eq!((outcome.is_complete(), told(&outcome, &hosts)), (true, (0, 150)));
    });
}

/// Children with adjacent process ids shared identifiers, and replies to one run's first probes were taken for replies
/// to another's second ones: up to 40 of 95 dead hosts were alive.
#[test]
fn neighbouring_runs_do_not_share_replies() {
    lab::play(|lab| {
        let (alive, dead) = (hosts(1, 95), hosts(2, 95));
        lab.host("10.2.0.0/16", Behaviour::silent());
        let directory = env::temp_dir().join(format!("xymonping-neighbours-{}", process::id()));
        fs::create_dir(&directory).expect("a directory for temporary files");
        // All from one shell, which uses up no other process ids in between. The living answer while the dead are asked
        // again.
        let script = "slow=$1; shift; for n in 1 2 3; do\n\
                      \"$0\" $slow <<<\"$ALIVE\" >alive-$n &\n\
                      \"$0\" \"$@\" <<<\"$DEAD\" >dead-$n &\n\
                      done; wait";
        let slow = lab::spelled(&["--timeout=1", "--retries=1", "--max-pps=30"]).join(" ");
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(lab::program()).arg(slow).args(lab::spelled(&FAST));
        command.current_dir(&directory).env("ALIVE", list(&alive)).env("DEAD", list(&dead));
        lab.start(&mut command).finish(lab::LIMIT);
        let told = |name: &str, addresses: &[String]| {
            told_in(&fs::read_to_string(directory.join(name)).expect("its output"), addresses)
        };
        let told: Vec<_> =
            (1..=3).map(|n| (told(&format!("alive-{n}"), &alive), told(&format!("dead-{n}"), &dead))).collect();
        fs::remove_dir_all(&directory).expect("it is ours");
        assert_eq!(told, [((95, 0), (0, 95)); 3]);
    });
}

/// Any reply from anywhere was taken, with no way to refuse it.
#[test]
fn replies_from_another_address_count_only_if_they_prove_what_they_answer() {
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

/// Hosts beyond 65,535 were unreachable, and their replies credited to the first ones.
#[test]
fn more_hosts_than_sequence_numbers_are_all_told_right() {
    lab::play(|lab| {
        let (alive, dead) = (hosts(1, 67_000), hosts(5, 56));
        lab.host("10.5.0.0/16", Behaviour::silent());
        // The dead ones stand first: it is they who would be taken for the last ones, had numbers wrapped around.
        let outcome = lab.run(&["--max-pps=40000", "--timeout=2"], list(&dead) + &list(&alive));
        assert_eq!(
            (outcome.is_complete(), told(&outcome, &alive), told(&outcome, &dead)),
            (true, (67_000, 0), (0, 56))
        );
    });
}

/// It slept in the send path before it read: 20.2 ms for a path of 10 us.
#[test]
fn the_pace_is_not_in_the_rtt() {
    lab::play(|lab| {
        let hosts = hosts(1, 30);
        let outcome = lab.run(&[], list(&hosts));
        assert_eq!(told(&outcome, &hosts), (30, 0));
        let (seen, answered) = (lab.seen(), lab.answered());
        let mut excess: Vec<Duration> = hosts
            .iter()
            .map(|host| {
                let ip: IpAddr = host.parse().expect("an address");
                let probe = seen.iter().find(|seen| seen.dst == ip).expect("it was probed");
                let answer = answered.iter().find(|answer| answer.host == ip).expect("it has answered");
                let shown = outcome.rtt_of(host).expect("it is alive");
                shown.saturating_sub(answer.time.end - probe.time)
            })
            .collect();
        excess.sort();
        assert!(excess[15] < ms(1), "half of the RTTs are {:?} or more too long", excess[15]);
    });
}

/// It took the time when it came to read: 1,754 ms for a host 250 ms away.
#[test]
fn a_stopped_process_does_not_stretch_rtts() {
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
        let travelled = lab.answered()[0].time.end - lab.seen()[0].time;
        assert!(rtt >= ms(249) && rtt < travelled + ms(100), "{rtt:?}, not {travelled:?}");
    });
}

/// It read the send time from the reply: 1,795,207,274,621.4 ms.
#[test]
fn a_reply_cannot_move_the_rtt() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour::answering(Answer::ZeroedData));
        lab.host("10.0.0.2", Behaviour::answering(Answer::TruncatedTo(0)));
        lab.host("10.0.0.3", Behaviour::answering(Answer::TruncatedTo(8)));
        lab.host("10.0.0.4", Behaviour::answering(Answer::Data(vec![0xff; 56])));
        lab.host("10.0.0.5", Behaviour::answering(Answer::FlippedByte(12)));
        // The bytes of a good reply lie in the buffer when the short ones arrive.
        let outcome = lab.run(&FAST, "10.0.0.99\n10.0.0.1\n10.0.0.2\n10.0.0.3\n10.0.0.4\n10.0.0.5\n");
        assert!(outcome.is_alive("10.0.0.99"), "{outcome:?}");
        for n in 1..=5 {
            assert_eq!(outcome.verdict_of(&format!("10.0.0.{n}")), "unreachable", "{outcome:?}");
        }
    });
}

/// Raw sockets see packets that nobody has checked: a reply with checksum 0xdead was alive.
#[test]
fn a_reply_with_a_wrong_checksum_is_no_reply() {
    lab::play(|lab| {
        lab.script("10.0.0.1", vec![Behaviour::answering(Answer::BadChecksum)]);
        lab.script("10.0.0.2", vec![Behaviour::answering(Answer::BadChecksum), Behaviour::default()]);
        let outcome = lab.run(&FAST, "10.0.0.1\n10.0.0.2\n");
        assert_eq!(outcome.verdict_of("10.0.0.1"), "unreachable", "{outcome:?}");
        assert!(outcome.is_alive("10.0.0.2"), "damage is loss, and loss is retried: {outcome:?}");
    });
}

/// SIGFPE, which xymonnet takes for a success without lines; or no pacing at all.
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

/// `-Ae -r 1` pinged 0.0.0.1 and nobody else: every host red.
#[test]
fn the_value_of_an_option_is_never_an_address() {
    lab::play(|lab| {
        let cases: [&[&str]; 9] = [
            &["-Ae", "-r", "1"],
            &["-Aer", "1"],
            &["-Ae", "-t", "500", "-B", "1.5", "-H", "64"],
            &["-Ae", "-i", "10", "-p", "20", "-b", "56", "-O", "0"],
            &["-AeT", "10", "-Q", "1", "-c", "1"],
            &["-C", "1", "-k", "1", "-x", "1", "-X", "1", "-I", "lab0"],
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

/// 010.0.0.1 pinged 8.0.0.1; a leading blank cost the line, and so the host.
#[test]
fn an_address_is_what_it_looks_like() {
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
        assert_eq!(lab.seen().len(), 4, "nobody else is probed");
        for rejected in rejected {
            assert!(outcome.stderr.contains(&format!("\"{rejected}\"")), "{rejected} is named: {outcome:?}");
        }
        let outcome = lab.run(&[&FAST[..], &["--exit-status"]].concat(), &input);
        assert_eq!((outcome.code, outcome.lines().len()), (Some(2), 4), "{outcome:?}");
    });
}

/// SIGABRT, which xymonnet takes for a success without lines; a file capability did not help.
#[test]
fn without_privilege_it_says_what_is_missing() {
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

/// `Uid: 65534 65534 0 65534`: root was one call away for the whole run.
#[test]
fn privilege_is_gone_for_good_while_it_probes() {
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

/// With 1,197 inherited descriptors its socket was beyond a set of 1,024: SIGABRT, where the C library checks.
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

/// `unreachable` for everybody after 18 s, exit 0; or another source than was asked for, exit 0.
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

/// `unreachable` for everybody, exit 0: a storm of red.
#[test]
fn our_own_network_down_is_nobody_elses_fault() {
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

/// Zero bytes.
#[test]
fn a_run_cut_short_tells_what_it_knows() {
    lab::play(|lab| {
        let (alive, rest) = (hosts(1, 10), hosts(2, 1000));
        let mut running = start(lab, &[], &(list(&alive) + &list(&rest)));
        running.wait_until(lab::LIMIT, "some answers", |_| lab.counts().answers > 10);
        running.signal(Signal::SIGTERM);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.code, outcome.signal), (Some(4), None), "{outcome:?}");
        assert_eq!(told(&outcome, &alive), (10, 0), "{outcome:?}");
        assert_eq!(told(&outcome, &rest).1, 0, "who was not asked is not unreachable: {outcome:?}");
        assert!(outcome.first_stderr_line().contains("SIGTERM"), "{outcome:?}");
    });
}

/// One deadline for a whole round: the first of 1,500 hosts could answer 30 s late and be alive.
#[test]
fn every_probe_has_its_own_deadline() {
    lab::play(|lab| {
        let (late, rest) = (hosts(1, 5), hosts(2, 60));
        lab.host("10.1.0.0/16", Behaviour::after(ms(1500)));
        let outcome = lab.run(&["--timeout=1", "--retries=0"], list(&late) + &list(&rest));
        assert_eq!((told(&outcome, &late), told(&outcome, &rest)), ((0, 5), (60, 0)), "{outcome:?}");
    });
}

/// fping gives a host up at the first send that fails; the original tries it again in the next round.
#[test]
fn a_failed_send_is_tried_again_in_its_own_time() {
    lab::play(|lab| {
        let hosts = hosts(1, 5);
        lab.ip(&["route", "del", "10.0.0.0/8"]);
        let mut running = start(lab, &["--timeout=1", "--retries=1"], &(list(&hosts) + "192.0.2.9\n"));
        // Its turn comes after theirs.
        running.wait_until(lab::LIMIT, "the neighbour's probe", |_| lab.seen().len() == 1);
        lab.ip(&["route", "add", "10.0.0.0/8", "via", "192.0.2.254", "dev", lab::DEVICE]);
        let outcome = running.finish(lab::LIMIT);
        assert_eq!((outcome.is_complete(), told(&outcome, &hosts)), (true, (5, 0)), "{outcome:?}");
    });
}

/// It reads every packet of everybody; this flood it withstood.
#[test]
fn strangers_packets_are_not_even_seen() {
    lab::play(|lab| {
        let hosts = hosts(1, 200);
        let _flood = lab.foreign_replies(10_000, 0x4321);
        let outcome = lab.run(&[&FAST[..], &["--debug"]].concat(), list(&hosts));
        assert_eq!((outcome.is_complete(), told(&outcome, &hosts)), (true, (200, 0)));
        // Some arrive between the opening of a socket and its filter; they are put aside before the first probe leaves.
        let probing = outcome.stderr.lines().skip_while(|line| !line.contains(" send "));
        assert_eq!(probing.filter(|line| line.contains(" recv ")).count(), 200);
    });
}

/// Ignored, and the list read instead; or left out. Exit 0.
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

/// `--max-ppps=5000` was accepted silently.
#[test]
fn a_mistyped_option_is_an_error_and_a_letter_of_fping_is_not() {
    lab::play(|lab| {
        for arg in ["--max-ppps=5000", "--retry=1", "--time-out=5", "--Timeout=1", "-Z"] {
            assert_usage_error(lab, &[arg]);
        }
        let outcome = lab.run(&["-AedDglmnNosJR"], "10.0.0.1\n");
        assert!(outcome.is_complete(), "{outcome:?}");
        assert!(outcome.is_alive("10.0.0.1"), "{outcome:?}");
    });
}

/// `-i10` was no pace at all: eleven packets within a millisecond. And `-r2` was two attempts in all.
#[test]
fn letters_mean_what_fping_means_by_them() {
    lab::play(|lab| {
        lab.host("10.2.0.0/16", Behaviour::silent());
        let (alive, dead) = (hosts(1, 40), hosts(2, 1));
        let outcome = lab.run(&["-Ae", "-i10", "-r2", "-t300"], list(&dead) + &list(&alive));
        assert_eq!((told(&outcome, &alive), told(&outcome, &dead)), ((40, 0), (0, 1)), "{outcome:?}");
        // 10 ms apart, of which a late wake-up may make 2 good.
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

/// An error is no answer, and not the end of a host either: the next attempt may take another way.
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

/// Its debugging output had identifier and index swapped.
#[test]
fn debugging_output_is_right() {
    lab::play(|lab| {
        let outcome = lab.run(&["--debug"], "10.0.0.1\n");
        let seen = lab.seen().pop().expect("it was probed");
        let numbers = format!("10.0.0.1 ident {} seq {} ", seen.ident, seen.seq);
        assert_eq!(outcome.stderr.matches(&numbers).count(), 2, "once sent, once received: {outcome:?}");
    });
}

/// Every probe carried the time of day.
#[test]
fn a_probe_tells_nothing_about_our_clock() {
    lab::play(|lab| {
        lab.keep_data();
        lab.run(&["--responses=3"], "10.0.0.1\n10.0.0.2\n");
        lab.run(&["--responses=3"], "10.0.0.1\n10.0.0.2\n");
        let seen = lab.seen();
        assert_eq!(seen.len(), 12);
        let tokens: BTreeSet<&[u8]> = seen.iter().map(|seen| &seen.data[..16]).collect();
        let rests: BTreeSet<&[u8]> = seen.iter().map(|seen| &seen.data[16..]).collect();
        assert_eq!(
            (tokens.len(), rests.len()),
            (12, 1),
            "each has a token of its own, and the rest is a fixed pattern"
        );
        // A clock runs in one direction only. Seals are drawn as if by lot: by chance 12 are in order once in 10^8 runs.
        let seals: Vec<&[u8]> = seen.iter().map(|seen| &seen.data[8..16]).collect();
        assert!(!seals.is_sorted(), "{seals:?}");
    });
}
