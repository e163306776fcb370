//! The command line: what is accepted, what is refused, and with which message.
//!
//! The options of a monitoring tool are in a file that is rarely read again. So each mistake in
//! them must end in exit code 3 and one line that says what is wrong, before a packet is sent; and
//! what xymonnet or an old `FPINGOPTS` passes must be accepted without a value being taken for an
//! address. The meaning of values is tested on the library's parser, exit codes and messages on the
//! program.

mod lab;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use lab::{Behaviour, Finished, LIMIT, Lab, ms};
use multiping::address::Family;
use multiping::plan::{Plan, Rate};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{mkfifo, pipe2};
use xymonping::cli::{self, Debug, ExitStatus, Input, Options, Request, Statistics};
use xymonping::limits::Limits;
use xymonping::report::Lines;

/// A live host, as all hosts are unless set otherwise.
const ALIVE: &str = "10.0.0.1";
const SILENT: &str = "10.0.0.7";
/// A short timeout, but not so short that a busy machine loses a live host.
const BRIEF: [&str; 2] = ["--retries=1", "--timeout=500ms"];

/// fping's letters with a value, and without.
const WITH_VALUE: &str = "bBcCfHiIkOpQrStTxX";
const WITHOUT_VALUE: &str = "46aAdDeghJlmMnNoqRsuv";

/// The program refuses these arguments with this message, and sends no packet.
fn refuses<A: AsRef<OsStr>>(lab: &Lab, args: &[A], message: &str) {
    lab.forget();
    let running = lab.start(lab.command().args(args));
    let outcome = running.finish(LIMIT);
    let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
    assert_eq!(outcome.code, Some(3), "{args:?}: {outcome:?}");
    assert_eq!(outcome.stderr, format!("xymonping: {message}\n"), "{args:?}");
    assert_eq!(outcome.stdout, "", "{args:?}");
    assert!(lab.seen().is_empty(), "{args:?}: {:?}", lab.seen());
}

fn succeeds(lab: &Lab, args: &[&str], stdin: &str) -> Finished {
    let outcome = lab.run(args, stdin);
    assert_eq!(outcome.code, Some(0), "{args:?}: {outcome:?}");
    outcome
}

/// The addresses of the output lines.
fn addresses(outcome: &Finished) -> Vec<&str> {
    outcome.lines().iter().map(|line| line.split(' ').next().unwrap_or("")).collect()
}

/// The options of arguments that the parser accepts.
fn parsed(args: &[&str]) -> Options {
    match cli::parse(args.iter().map(OsString::from), &Limits::ROOT).request {
        Ok(Request::Run(options)) => *options,
        other => panic!("{args:?}: {other:?}"),
    }
}

/// The message for arguments that the parser refuses.
fn refusal(args: &[&str]) -> String {
    match cli::parse(args.iter().map(OsString::from), &Limits::ROOT).request {
        Err(error) => {
            assert_eq!(error.exit() as u8, 3, "{args:?}: {error}");
            error.to_string()
        }
        Ok(request) => panic!("{args:?} is accepted: {request:?}"),
    }
}

/// A new directory for one test.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    path
}

/// A path as the program quotes it.
fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    let kept = &bytes[..bytes.len().min(60)];
    format!("\"{}\"{}", kept.escape_ascii(), if kept.len() < bytes.len() { "..." } else { "" })
}

// Numbers.

#[test]
fn whole_numbers_are_strict() {
    const GARBAGE: [&str; 16] = [
        "",
        " ",
        "abc",
        "-1",
        "+1",
        "1.0",
        "1e1",
        "0x1",
        " 1",
        "1 ",
        "1\n",
        "256",
        "99999999999999999999",
        "inf",
        "nan",
        "٣",
    ];
    for (name, range) in [("--retries", "0 to 255"), ("--responses", "1 to 255"), ("-r", "0 to 255")] {
        for garbage in GARBAGE {
            let message = refusal(&[name, garbage]);
            let quoted = garbage.as_bytes().escape_ascii();
            assert_eq!(message, format!("{name}: bad value \"{quoted}\" (give a whole number from {range})"));
        }
    }
    assert_eq!(refusal(&["--responses=0"]), "--responses: bad value \"0\" (give a whole number from 1 to 255)");
    assert_eq!(parsed(&["--retries=0"]).plan.retries(), 0);
    assert_eq!(parsed(&["--retries=255"]).plan.retries(), 255);
    assert_eq!(parsed(&["--responses=1"]).plan.responses(), 1);
    assert_eq!(parsed(&["--responses=255"]).plan.responses(), 255);
    assert_eq!(parsed(&["--retries=007"]).plan.retries(), 7);
}

#[test]
fn times_are_seconds_or_carry_a_unit() {
    for (text, time) in [
        ("5", ms(5000)),
        ("0.001", ms(1)),
        ("200", ms(200_000)),
        ("1.5", ms(1500)),
        (".5", ms(500)),
        ("2.", ms(2000)),
        ("1.5s", ms(1500)),
        ("1ms", ms(1)),
        ("200000ms", ms(200_000)),
        ("0.1s", ms(100)),
        ("2.5ms", Duration::from_micros(2500)),
        ("1m", ms(60_000)),
        ("0.5m", ms(30_000)),
    ] {
        assert_eq!(parsed(&["--timeout", text]).plan.timeout(), time, "{text}");
    }
    const GARBAGE: [&str; 27] = [
        "",
        "0",
        "0.0",
        "0s",
        "0ms",
        "-1",
        "+1",
        "abc",
        "s",
        "ms",
        ".",
        "1.2.3",
        "1e1",
        "inf",
        "nan",
        "infinity",
        "m",
        "4m",
        "1h",
        "1M",
        "1min",
        "1 s",
        " 1",
        "0.0009",
        "0.9ms",
        "200.001",
        "99999999999999999999999999999999999999999",
    ];
    for garbage in GARBAGE {
        assert_eq!(
            refusal(&["--timeout", garbage]),
            format!("--timeout: bad value \"{garbage}\" (give 0.001 to 200 seconds, as in 5, 500ms or 1m)")
        );
    }
}

#[test]
fn rates_are_strict() {
    for (text, rate) in [("50", 50.0), ("0.01", 0.01), ("10000000", 10_000_000.0), ("1.5", 1.5), ("007", 7.0)] {
        assert_eq!(parsed(&["--max-pps", text]).plan.rate().pps(), Some(rate), "{text}");
    }
    assert_eq!(parsed(&["--max-pps=unlimited"]).plan.rate(), Rate::UNLIMITED);
    let overflowing = "9".repeat(400);
    let garbage = [
        "",
        "0",
        "0.0",
        "-1",
        "+1",
        "abc",
        "1e3",
        "inf",
        "infinity",
        "nan",
        "NaN",
        "Unlimited",
        "unlimited ",
        "0x10",
        "0.009",
        "10000000.1",
        " 50",
        "50 ",
        "5 0",
        "1,5",
        &overflowing,
    ];
    for garbage in garbage {
        let message = refusal(&["--max-pps", garbage]);
        assert!(message.starts_with("--max-pps: bad value \""), "{message}");
        assert!(message.ends_with(" (give 0.01 to 10000000 packets a second, or unlimited)"), "{message}");
    }
}

#[test]
fn a_backoff_is_a_factor_from_1_to_5() {
    for (text, backoff) in [("1", 1.0), ("1.0", 1.0), ("1.5", 1.5), ("5", 5.0)] {
        assert_eq!(parsed(&["--backoff", text]).plan.backoff(), backoff, "{text}");
    }
    for garbage in ["", "0", "0.9", "5.01", "-2", "+2", "1,5", "2x", "inf", "nan", "1e0"] {
        let words = format!("-B: bad value \"{garbage}\" (give a factor from 1.0 to 5.0)");
        assert_eq!(refusal(&["-B", garbage]), words);
    }
}

#[test]
fn letters_with_times_take_milliseconds_without_a_unit() {
    for (text, time) in [("500", ms(500)), ("1", ms(1)), ("200000", ms(200_000)), ("2.5", Duration::from_micros(2500))]
    {
        assert_eq!(parsed(&["-t", text]).plan.timeout(), time, "{text}");
    }
    for garbage in ["", "0", "0.5", "-1", "200001", "1s", "500ms", "abc", "inf", "nan", "1e3", &"9".repeat(400)] {
        assert!(refusal(&["-t", garbage]).ends_with(" (give 1 to 200000 milliseconds)"), "{garbage}");
    }
    for (text, rate) in [("20", 50.0), ("10", 100.0), ("0.1", 10_000.0), ("100000", 0.01)] {
        assert_eq!(parsed(&["-i", text]).plan.rate().pps(), Some(rate), "{text}");
    }
    assert_eq!(parsed(&["-i0"]).plan.rate(), Rate::UNLIMITED);
    for garbage in ["", "-1", "0.00001", "100001", "1s", "10ms", "abc", "inf", "nan", "1e3", &"9".repeat(400)] {
        let message = refusal(&["-i", garbage]);
        assert!(
            message.ends_with(" (give milliseconds from 0.0001 to 100000, or 0 for unlimited)"),
            "{garbage}: {message}"
        );
    }
}

#[test]
fn a_bad_number_ends_the_program_before_a_packet_is_sent() {
    lab::play(|lab| {
        for (args, words) in [
            (
                &["--max-pps=0", ALIVE][..],
                r#"--max-pps: bad value "0" (give 0.01 to 10000000 packets a second, or unlimited)"#,
            ),
            (&["--responses=abc", ALIVE], r#"--responses: bad value "abc" (give a whole number from 1 to 255)"#),
            (&["--retries", "-1", ALIVE], r#"--retries: bad value "-1" (give a whole number from 0 to 255)"#),
            (&["-r", "-2", ALIVE], r#"-r: bad value "-2" (give a whole number from 0 to 255)"#),
            (
                &["--timeout=nan", ALIVE],
                r#"--timeout: bad value "nan" (give 0.001 to 200 seconds, as in 5, 500ms or 1m)"#,
            ),
            (&["-t", "nan", ALIVE], r#"-t: bad value "nan" (give 1 to 200000 milliseconds)"#),
            (&["-i", "x", ALIVE], r#"-i: bad value "x" (give milliseconds from 0.0001 to 100000, or 0 for unlimited)"#),
        ] {
            refuses(lab, args, words);
        }
    });
}

// The syntax of options.

#[test]
fn the_defaults_are_those_of_the_original() {
    let options = parsed(&[]);
    assert_eq!(options.plan, Plan::default());
    assert_eq!((options.plan.retries(), options.plan.responses()), (2, 1));
    assert_eq!((options.plan.timeout(), options.plan.rate().pps()), (ms(5000), Some(50.0)));
    assert_eq!((options.input, options.debug, options.lines), (Input::Stdin, Debug::Off, Lines::All));
    assert!(options.family.is_none() && options.exit_status == ExitStatus::Nothing && options.warnings.is_empty());
}

#[test]
fn a_value_may_follow_an_equals_sign_or_be_the_next_argument() {
    for (name, value) in [
        ("retries", "7"),
        ("timeout", "1.5s"),
        ("backoff", "1.5"),
        ("responses", "3"),
        ("max-pps", "unlimited"),
        ("source", "192.0.2.2"),
        ("file", "hosts"),
    ] {
        let joined = parsed(&[&format!("--{name}={value}")]);
        let apart = parsed(&[&format!("--{name}"), value]);
        assert_eq!(format!("{joined:?}"), format!("{apart:?}"));
        assert_ne!(format!("{joined:?}"), format!("{:?}", parsed(&[])), "--{name} has no effect");
        let alone = format!("--{name}");
        assert_eq!(refusal(&[&alone]), format!("command line: missing argument for option '{alone}' (see --help)"));
    }
}

#[test]
fn threads_are_as_many_as_are_of_use() {
    let threads = |args: &[&str], processors| parsed(args).threads(|| processors);
    assert_eq!(threads(&[], 8), 1);
    assert_eq!(threads(&["--threads=8"], 2), 1, "at the default rate");
    assert_eq!(threads(&["--threads=8", "--max-pps=unlimited"], 2), 8);
    assert_eq!(threads(&["--threads=8", "--max-pps=29999"], 8), 2);
    assert_eq!(threads(&["--threads=auto", "--max-pps=unlimited"], 3), 3);
    assert_eq!(threads(&["--threads=auto", "--max-pps=unlimited"], 500), 64);
    assert_eq!(threads(&["--threads=auto", "--max-pps=100000"], 8), 1);
    assert_eq!(threads(&["--threads=auto", "--max-pps=100001"], 8), 8);
    for value in ["0", "65", "-1", "2.0", "", "many", "Auto"] {
        let message = format!("--threads: bad value \"{value}\" (give a whole number from 1 to 64, or auto)");
        assert_eq!(refusal(&[&format!("--threads={value}"), ALIVE]), message);
    }
}

#[test]
fn what_needs_one_thread_is_refused_with_more() {
    for (other, named) in [
        ("--count=5", "--count or --loop"),
        ("--loop", "--count or --loop"),
        ("--debug", "--debug"),
        ("--debug=x", "--debug"),
        ("--json=packets", "--json=packets"),
        ("--icmp-errors=all", "--icmp-errors=all"),
    ] {
        let message = format!("--threads: cannot be combined with {named} (leave out one of them)");
        assert_eq!(refusal(&["--threads=2", other, ALIVE]), message);
        assert_eq!(parsed(&["--threads=1", other, ALIVE]).threads(|| 8), 1);
        assert_eq!(parsed(&["--threads=auto", "--max-pps=unlimited", other, ALIVE]).threads(|| 8), 1, "{other}");
    }
}

#[test]
fn debug_takes_a_file_after_an_equals_sign_only() {
    assert_eq!(parsed(&["--debug"]).debug, Debug::Stderr);
    assert_eq!(parsed(&["--debug=x"]).debug, Debug::File("x".into()));
    assert_eq!(refusal(&["--debug=", ALIVE]), "--debug: bad value \"\" (give a file, or no =)");
    let options = parsed(&["--debug", ALIVE]);
    assert_eq!(options.debug, Debug::Stderr);
    assert_eq!(options.input, Input::Operands(vec![ALIVE.into()]));
}

#[test]
fn of_a_repeated_option_the_last_wins() {
    let options = parsed(&[
        "--retries=5",
        "-r",
        "6",
        "--retries=7",
        "--timeout=9",
        "-t",
        "10",
        "--responses=2",
        "--responses=3",
        "-i",
        "20",
        "--max-pps=9",
        "--debug=x",
        "--debug",
    ]);
    assert_eq!((options.plan.retries(), options.plan.responses()), (7, 3));
    assert_eq!((options.plan.timeout(), options.plan.rate().pps()), (ms(10), Some(9.0)));
    assert_eq!(options.debug, Debug::Stderr);
    // An invalid value is an error even if a later one is valid.
    refusal(&["--retries=x", "--retries=1"]);
    // Repeating an option is not a conflict.
    assert_eq!(parsed(&["-4", "--ipv4", "-4"]).family, Some(Family::V4));
    assert_eq!(parsed(&["-a", "-a"]).lines, Lines::Alive);
}

#[test]
fn conflicting_options_are_refused_in_any_order() {
    lab::play(|lab| {
        let conflict = |one, other| format!("{one}: cannot be combined with {other} (leave out one of them)");
        for args in [["--ipv4", "--ipv6"], ["-6", "-4"], ["-4", "--ipv6"]] {
            refuses(lab, &args, &conflict("--ipv4", "--ipv6"));
        }
        for args in [&["-a", "-u"][..], &["-u", "-a"], &["-au"], &["-q", "-a", "-u"], &["-a", "-q", "-u"], &["-auq"]] {
            refuses(lab, args, &conflict("-a", "-u"));
        }
        refuses(lab, &["--file=x", ALIVE], &conflict("--file", "addresses on the command line"));
        refuses(lab, &[ALIVE, "-f", "-"], &conflict("--file", "addresses on the command line"));
        refuses(lab, &["--file=-", "--file=-"], &conflict("--file", "another --file"));
        refuses(lab, &["-f", "x", "--file=y"], &conflict("--file", "another --file"));
        let two = conflict("--source", "another --source of its family");
        refuses(lab, &["--source=192.0.2.1", "--source=192.0.2.1"], &two);
        refuses(lab, &["-S", "2001:db8::1", "--source=2001:db8::2"], &two);
        refuses(lab, &["--ipv4", "--source=2001:db8::1"], &conflict("--ipv4", "an IPv6 --source"));
        refuses(lab, &["--source=192.0.2.1", "-6"], &conflict("--ipv6", "an IPv4 --source"));
    });
}

#[test]
fn unknown_long_options_are_refused() {
    lab::play(|lab| {
        for option in ["--max-ppps", "--retrie", "--Retries", "--retries2", "--noresponses", "--c", "---retries"] {
            let quoted = format!("\"{option}\": unknown option (see --help)");
            refuses(lab, &[option, ALIVE], &quoted);
            refuses(lab, &[format!("{option}=5").as_str(), ALIVE], &quoted);
        }
    });
}

#[test]
fn an_option_without_a_value_takes_none() {
    lab::play(|lab| {
        const SWITCHES: [&str; 9] = [
            "--ipv4",
            "--ipv6",
            "--check-source",
            "--list-errors",
            "--summary",
            "--shuffle",
            "--dont-fragment",
            "--help",
            "--version",
        ];
        for option in SWITCHES {
            let words = format!("command line: {option} takes no value, not \"yes\" (see --help)");
            refuses(lab, &[format!("{option}=yes").as_str(), ALIVE], &words);
        }
    });
}

// fping's letters.

#[test]
fn values_of_fpings_letters_are_never_taken_for_addresses() {
    lab::play(|lab| {
        const VALUE: &str = "10.9.9.9";
        let acting = "bBcCfHiIOpQrSt";
        for letter in WITH_VALUE.chars().filter(|&letter| !acting.contains(letter)) {
            let (attached, alone, bundled) =
                (format!("-{letter}{VALUE}"), format!("-{letter}"), format!("-Ae{letter}"));
            for args in [&[&*attached][..], &[&*alone, VALUE], &[&*bundled, VALUE]] {
                let outcome = succeeds(lab, args, ALIVE);
                assert_eq!(addresses(&outcome), [ALIVE], "{args:?}");
                let ignored = format!("xymonping: -{letter}: ignored (fping options without an equivalent here)\n");
                assert_eq!(outcome.stderr, ignored, "{args:?}");
            }
            assert_eq!(refusal(&[&alone]), format!("command line: missing argument for option '{alone}' (see --help)"));
        }
        assert!(lab.seen_of(VALUE).is_empty());
    });
}

#[test]
fn fpings_letters_without_a_value_leave_addresses_alone() {
    for letter in WITHOUT_VALUE.chars().filter(|&letter| !"ghv".contains(letter)) {
        let options = parsed(&[&format!("-{letter}"), ALIVE]);
        assert_eq!(options.input, Input::Operands(vec![ALIVE.into()]), "-{letter}");
        let is_ignored = !"46aAeJlMqsu".contains(letter);
        assert_eq!(options.warnings.len(), usize::from(is_ignored), "-{letter}");
    }
}

#[test]
fn the_first_error_is_reported() {
    assert!(refusal(&["--bogus", "--json=x"]).starts_with("\"--bogus\": unknown option"));
    assert!(refusal(&["--json=x", "--bogus"]).starts_with("--json: bad value \"x\" (give packets, or no =)"));
}

#[test]
fn letters_that_fping_does_not_have_are_refused() {
    for letter in ('!'..='~').filter(|letter| !matches!(letter, '-' | '=')) {
        if WITH_VALUE.contains(letter) || WITHOUT_VALUE.contains(letter) {
            continue;
        }
        let quoted = format!("\"-{}\": unknown option (see --help)", letter.escape_default());
        assert_eq!(refusal(&[&format!("-{letter}")]), quoted);
        assert_eq!(refusal(&[&format!("-A{letter}")]), quoted);
    }
}

#[test]
fn letters_have_the_effect_of_their_long_options() {
    for (short, long) in [
        (&["-4"][..], "--ipv4"),
        (&["-6"], "--ipv6"),
        (&["-r", "4"], "--retries=4"),
        (&["-r4"], "--retries=4"),
        (&["-Aer4"], "--retries=4"),
        (&["-i", "10"], "--max-pps=100"),
        (&["-i10"], "--max-pps=100"),
        (&["-i", "0"], "--max-pps=unlimited"),
        (&["-t", "1500"], "--timeout=1.5"),
        (&["-t1500"], "--timeout=1.5"),
        (&["-S", "192.0.2.1"], "--source=192.0.2.1"),
        (&["-S192.0.2.1"], "--source=192.0.2.1"),
        (&["-B1.5"], "--backoff=1.5"),
        (&["-AeB", "1.5"], "--backoff=1.5"),
        (&["-s"], "--summary"),
        (&["-Aes"], "--summary"),
        (&["-q"], "--quiet"),
        (&["-c3"], "--count=3"),
        (&["-Aec", "3"], "--count=3"),
        (&["-l"], "--loop"),
        (&["-f", "hosts"], "--file=hosts"),
        (&["-fhosts"], "--file=hosts"),
    ] {
        assert_eq!(format!("{:?}", parsed(short)), format!("{:?}", parsed(&[long])), "{short:?}");
    }
}

#[test]
fn letters_of_fpings_count_and_loop_modes_act_in_our_formats() {
    let statistics = |args: &[&str]| parsed(args).statistics.unwrap_or_else(|| panic!("{args:?}"));
    let debug = |args: &[&str]| format!("{:?}", statistics(args));
    assert_eq!(debug(&["-C", "3"]), debug(&["--count=3", "--values"]));
    assert_eq!(debug(&["-lQ60"]), debug(&["--loop", "--quiet", "--report-every=60"]));
    assert_eq!(debug(&["-lp", "500"]), debug(&["--loop", "--period=0.5"]));
    assert_eq!(debug(&["-lD"]), debug(&["--loop", "--timestamps"]));
    // Without a count or a loop some mean nothing, as to fping.
    for args in [&["-D"][..], &["-p20"], &["-Dp", "20"]] {
        let options = parsed(args);
        assert!(options.statistics.is_none(), "{args:?}");
        assert!(options.warnings[0].to_string().contains("ignored"), "{args:?}");
    }
    assert_eq!(refusal(&["-Q60"]), "-Q: needs --count or --loop (add one of them)");
}

#[test]
fn options_of_statistics_have_ranges_and_need_a_mode() {
    let statistics = |args: &[&str]| {
        let all = [&["--loop"], args].concat();
        parsed(&all).statistics.unwrap_or_else(|| panic!("{all:?}"))
    };
    let Statistics { count, period, late, style, .. } = statistics(&[]);
    assert_eq!((count, period, late), (None, Duration::from_secs(1), None));
    assert_eq!(style.percentiles.iter().map(ToString::to_string).collect::<Vec<_>>(), ["50", "90", "99"]);
    assert_eq!(parsed(&["--count=1000000000"]).statistics.and_then(|it| it.count), Some(1_000_000_000));
    assert_eq!(statistics(&["--period=1m"]).period, Duration::from_secs(60));
    assert_eq!(statistics(&["--late=0"]).late, Some(Duration::ZERO));
    let percentiles = statistics(&["--percentiles=0,99.999,100"]).style.percentiles;
    assert_eq!(percentiles.iter().map(|it| it.thousandths()).collect::<Vec<_>>(), [0, 99_999, 100_000]);
    for bad in [
        "--count=0",
        "--count=1000000001",
        "--count=1.5",
        "--period=0.0009",
        "--period=86401",
        "--late=201",
        "--stop-after=0",
        "--reachable=x",
        "--report-every=0.01",
        "--percentiles=",
        "--percentiles=50,",
        "--percentiles=101",
        "--percentiles=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
        "--percentiles-of=lost",
        "--rtt-of=last",
        "--unit=ns",
        "--bell=always",
        "--worst=-1",
        "--exit-status=fping",
    ] {
        assert!(refusal(&["--loop", bad]).contains("bad value"), "{bad}");
    }
    for option in [
        "--period=1",
        "--late=1",
        "--stop-after=1",
        "--reachable=1",
        "--report-every=1",
        "--show-lost",
        "--values",
        "--exact",
        "--percentiles=50",
        "--percentiles-of=sent",
        "--rtt-of=all",
        "--unit=us",
        "--packed",
        "--timestamps",
        "--worst=1",
        "--histogram",
        "--bell=missed",
    ] {
        let name = option.split('=').next().unwrap_or_default();
        assert_eq!(refusal(&[option]), format!("{name}: needs --count or --loop (add one of them)"));
    }
    for (one, other) in [
        ("--count=3", "--loop"),
        ("--count=3", "--retries=1"),
        ("--loop", "--responses=2"),
        ("--loop", "--backoff=2"),
        ("--loop", "-a"),
        ("--count=3", "-u"),
        ("--values", "--loop"),
        ("--exact", "--loop"),
    ] {
        for args in [[one, other], [other, one]] {
            assert!(refusal(&args).contains("cannot be combined"), "{args:?}");
        }
    }
}

#[test]
fn ordinary_users_wait_10_ms_between_two_probes_to_a_target() {
    let request = |period| cli::parse(["--loop", period].map(OsString::from), &Limits::ORDINARY).request;
    for (typed, ms, warnings) in [("--period=0.001", 10, 1), ("--period=0.01", 10, 0), ("--period=0.02", 20, 0)] {
        let Ok(Request::Run(options)) = request(typed) else { panic!("{typed}") };
        assert_eq!(options.statistics.map(|it| it.period), Some(Duration::from_millis(ms)), "{typed}");
        assert_eq!(options.warnings.len(), warnings, "{typed}: {:?}", options.warnings);
    }
}

#[test]
fn options_that_xymon_passes_to_fping_work() {
    lab::play(|lab| {
        for args in
            [&["-Ae"][..], &["-A", "-e"], &["-Ae", "-r", "1"], &["-Ae", "-i10"], &["-i", "10", "-t", "2500", "-eA"]]
        {
            lab.forget();
            let outcome = succeeds(lab, args, "10.0.0.1\n10.0.0.2\n");
            assert_eq!(addresses(&outcome), ["10.0.0.1", "10.0.0.2"], "{args:?}");
            assert_eq!(outcome.stderr, "", "{args:?}");
            let probed: BTreeSet<_> = lab.seen().iter().map(|seen| seen.dst.to_string()).collect();
            assert_eq!(probed, BTreeSet::from(["10.0.0.1".to_owned(), "10.0.0.2".to_owned()]), "{args:?}");
        }
        assert_eq!(addresses(&succeeds(lab, &["-b56", ALIVE], "")), [ALIVE]);
    });
}

#[test]
fn ignored_letters_are_named_once_in_one_warning_after_the_failure() {
    lab::play(|lab| {
        let outcome = succeeds(lab, &["-m", "-T1.5", "-mR", "-x", "3", "-T", "12", ALIVE], "");
        let ignored = "xymonping: -m -T -R -x: ignored (fping options without an equivalent here)\n";
        assert_eq!(outcome.stderr, ignored);
        let outcome = lab.run(&["-m", "-T1.5", "-mR", "-x", "3", "--file=/nonexistent"], "");
        assert_eq!(outcome.code, Some(3));
        let failure =
            "xymonping: list \"/nonexistent\": No such file or directory (give a list that this user may read)\n"
                .to_owned();
        assert_eq!(outcome.stderr, failure + ignored);
    });
}

#[test]
fn letters_select_lines_but_do_not_change_them() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let list = "10.0.0.1\n10.0.0.7\nrubbish\n10.0.0.2\n";
        for (letters, expected) in [
            ("-A", &["10.0.0.1", SILENT, "10.0.0.2"][..]),
            ("-a", &["10.0.0.1", "10.0.0.2"]),
            ("-u", &[SILENT]),
            ("-q", &[]),
            ("-qa", &[]),
            ("-uq", &[]),
        ] {
            let outcome = succeeds(lab, &[&[letters], &BRIEF[..]].concat(), list);
            assert_eq!(addresses(&outcome), expected, "{letters}");
            for line in outcome.lines() {
                let unreachable = line == format!("{SILENT} is unreachable");
                assert!(
                    unreachable || line.contains(" is alive (") && (line.ends_with(" usec)") || line.ends_with(" ms)")),
                    "{line}"
                );
            }
            assert_eq!(
                outcome.first_stderr_line(),
                "xymonping: line 3: \"rubbish\": not an IP address (no line of output for it)"
            );
        }
    });
}

// Help and version.

#[test]
fn help_and_version_go_to_stdout_and_succeed() {
    lab::play(|lab| {
        for args in [&["--help"][..], &["-h"], &["-Aeh"], &["--retries=1", "--help", "--bogus"], &[ALIVE, "--help"]] {
            let outcome = succeeds(lab, args, "");
            assert!(outcome.stdout.starts_with("Usage: xymonping [OPTIONS] [ADDRESS...]\n"), "{args:?}: {outcome:?}");
            assert_eq!(outcome.stderr, "");
        }
        for args in [&["--version"][..], &["-v"], &["-ev", "--bogus"], &[ALIVE, "--version"]] {
            let outcome = succeeds(lab, args, "");
            assert_eq!(outcome.stdout, concat!("xymonping ", env!("CARGO_PKG_VERSION"), "\n"));
            assert_eq!(outcome.stderr, "");
        }
        refuses(lab, &["--bogus", "--help"], "\"--bogus\": unknown option (see --help)");
        assert!(lab.seen().is_empty());
    });
}

#[test]
fn the_help_text_names_every_option_and_its_default() {
    let help = cli::Help.to_string();
    // A row goes on in lines that begin with many blanks.
    let mut rows: Vec<String> = Vec::new();
    for line in help.lines() {
        match rows.last_mut() {
            Some(row) if line.starts_with("          ") => *row = format!("{row} {}", line.trim_start()),
            _ => rows.push(line.split_whitespace().collect::<Vec<_>>().join(" ")),
        }
    }
    for flag in cli::FLAGS {
        let Some(long) = flag.long else { continue };
        let typed = flag.short.map_or(format!("--{long}"), |short| format!("-{short}, --{long}"));
        let row =
            rows.iter().find(|row| row.strip_prefix(&typed).is_some_and(|rest| rest.starts_with([' ', '=', '['])));
        let row = row.unwrap_or_else(|| panic!("no row for {typed}:\n{help}"));
        assert!(row.contains(flag.help), "{row}");
        if let Some(default) = flag.default {
            assert!(row.ends_with(&format!("[default: {}]", default())), "{row}");
        }
    }
    let ignored = rows.iter().find(|row| row.ends_with("are ignored.")).expect("some letters are ignored");
    for letter in WITH_VALUE.chars().chain(WITHOUT_VALUE.chars()) {
        let named =
            rows.iter().any(|row| row.strip_prefix(&format!("-{letter}")).is_some_and(|r| r.starts_with([' ', ','])));
        assert!(named || ignored.contains(letter), "-{letter}");
    }
}

// Addresses and lists.

#[test]
fn operands_must_be_addresses() {
    lab::play(|lab| {
        for (operand, why) in [
            ("", "empty"),
            ("localhost", "not an IP address"),
            ("127.1", "not an IP address"),
            ("2130706433", "not an IP address"),
            ("010.0.0.1", "not an IP address"),
            ("10.0.0.256", "not an IP address"),
            ("10.0.0.1/24", "not an IP address"),
            (" 10.0.0.1", "not an IP address"),
            ("10.0.0.1 label", "not an IP address"),
            ("-", "not an IP address"),
            ("0.0.0.0", "the unspecified address"),
            ("::", "the unspecified address"),
            ("::ffff:10.0.0.1", "not an IP address; two lines run together, or a port?"),
            ("::ffff:a00:1", "an IPv4-mapped address; write it as IPv4"),
            ("fe80::7", "a link-local address needs its interface, as in fe80::1%eth0"),
            ("fe80::7%nowhere", "no such interface"),
            ("fd00::7%lab0", "only link-local addresses have an interface"),
            ("10.0.0.1%lab0", "only link-local addresses have an interface"),
        ] {
            // An invalid one voids them all.
            let hint = if why == "not an IP address" { " (give IP addresses; names need --resolve)" } else { "" };
            let words = format!("argument \"{operand}\": {why}{hint}");
            refuses(lab, &[ALIVE, operand], &words);
        }
        refuses(lab, &["--", "-1"], r#"argument "-1": not an IP address (give IP addresses; names need --resolve)"#);
        refuses(lab, &["--ipv6", ALIVE], r#"argument "10.0.0.1": an IPv4 address, excluded by --ipv6"#);
        refuses(lab, &["-4", "fd00::7"], r#"argument "fd00::7": an IPv6 address, excluded by --ipv4"#);
        for option in ["--icmp-timestamp", "--icmp-mask", "--record-route"] {
            let words = format!(r#"argument "fd00::7": an IPv6 address, excluded by {option}"#);
            refuses(lab, &["--count=1", option, "fd00::7"], &words);
        }
        let outcome = succeeds(lab, &["10.0.0.2", "--retries=0", "--", ALIVE, "10.0.0.2"], "10.0.0.3\n");
        assert_eq!(addresses(&outcome), ["10.0.0.2", ALIVE, "10.0.0.2"]);
        assert!(lab.seen_of("10.0.0.3").is_empty(), "with operands stdin is not read");
    });
}

#[test]
fn an_invalid_source_is_refused() {
    lab::play(|lab| {
        let give = "(give one address of this machine)";
        for (source, why) in [
            ("0.0.0.0", "the unspecified address"),
            ("::", "the unspecified address"),
            ("224.0.0.1", "a multicast address"),
            ("ff02::1", "a multicast address"),
            ("255.255.255.255", "a broadcast address"),
            ("192.0.2.255", "a broadcast address"),
            ("127.255.255.255", "a broadcast address"),
            ("::ffff:192.0.2.1", "an IPv4-mapped address"),
        ] {
            refuses(lab, &["--source", source, ALIVE], &format!("--source=\"{source}\": {why} {give}"));
        }
        let link_local = "link-local addresses need an interface, others have none";
        refuses(lab, &["--source=fe80::1", ALIVE], &format!("--source=\"fe80::1\": {link_local} {give}"));
        refuses(lab, &["--source=192.0.2.1%lab0", ALIVE], &format!("--source=\"192.0.2.1%lab0\": {link_local} {give}"));
        for zone in ["nowhere", "lab0:1", "lab0:"] {
            let source = format!("fe80::1%{zone}");
            refuses(lab, &["-S", &source, ALIVE], &format!("--source=\"{source}\": no such interface {give}"));
        }
        for source in ["203.0.113.9", "2001:db8::99"] {
            let words = format!("--source={source}: Cannot assign requested address (give an address of this machine)");
            refuses(lab, &["-S", source, ALIVE], &words);
        }
        for garbage in ["", "999.1.1.1", "localhost", "192.0.2", " 192.0.2.1", "192.0.2.1/24", "010.0.0.1"] {
            let words = format!("--source: bad value \"{garbage}\" (give one address of this machine)");
            refuses(lab, &["--source", garbage, ALIVE], &words);
        }
        let outcome = succeeds(lab, &["--source=192.0.2.2", "--source=2001:db8::2", ALIVE, "fd00::7"], "");
        assert_eq!(addresses(&outcome), [ALIVE, "fd00::7"]);
        let sources: Vec<_> = lab.seen().iter().map(|seen| seen.src.to_string()).collect();
        assert_eq!(sources, ["192.0.2.2", "2001:db8::2"]);
    });
}

#[test]
fn a_list_comes_from_a_file_a_pipe_or_stdin() {
    lab::play(|lab| {
        let directory = directory("lists");
        let list = directory.join("hosts");
        fs::write(&list, "10.0.0.1 one\n# none\n\n10.0.0.2\r\n").expect("our directory");
        let path = list.to_str().expect("ASCII");
        for args in [&["--file", path][..], &[&format!("--file={path}")], &["-f", path], &[&format!("-qAef{path}")[..]]]
        {
            let outcome = succeeds(lab, args, "10.0.0.3\n");
            let expected = if args[0].starts_with("-q") { &[][..] } else { &["10.0.0.1", "10.0.0.2"] };
            assert_eq!(addresses(&outcome), expected, "{args:?}");
        }
        for name in ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"] {
            let outcome = succeeds(lab, &["--file", name], "10.0.0.3\n");
            assert_eq!(addresses(&outcome), ["10.0.0.3"], "{name}");
        }
        let outcome = succeeds(lab, &["--file=/dev/null"], "10.0.0.3\n");
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""));

        // A named pipe is waited for, and read in any number of pieces.
        let fifo = directory.join("fifo");
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).expect("our directory");
        let running = lab.start(lab.command().arg("--file").arg(&fifo));
        let mut writer = OpenOptions::new().write(true).open(&fifo).expect("the program reads it");
        writer.write_all(b"10.0.").and_then(|()| writer.write_all(b"0.4\n10.0.0.5")).expect("the program reads it");
        drop(writer);
        let outcome = running.finish(LIMIT);
        assert_eq!((outcome.code, addresses(&outcome)), (Some(0), vec!["10.0.0.4", "10.0.0.5"]));
    });
}

#[test]
fn a_list_that_cannot_be_opened_is_an_error() {
    lab::play(|lab| {
        let directory = directory("bad-lists");
        let unreadable = directory.join("unreadable");
        fs::write(&unreadable, "10.0.0.1\n").expect("our directory");
        fs::set_permissions(&unreadable, Permissions::from_mode(0o000)).expect("our file");

        let readable = "(give a list that this user may read)";
        refuses(lab, &["--file=/nonexistent"], &format!("list \"/nonexistent\": No such file or directory {readable}"));
        refuses(lab, &["-f/dev/null/x"], &format!("list \"/dev/null/x\": Not a directory {readable}"));
        refuses(lab, &["--file="], r#"--file: bad value "" (give the path of a list, or - for standard input)"#);
        for path in ["/dev/fd/5", "/proc/self/fd/63"] {
            let words =
                format!("list \"{path}\": inherited descriptors above 2 are closed at start (use stdin: --file=-)");
            refuses(lab, &["--file", path], &words);
        }
        let words = format!(
            "list {}: Permission denied {readable}\nxymonping: root's capability to read other users' files was dropped \
             (use stdin: cat FILE | xymonping)",
            quoted(&unreadable)
        );
        refuses(lab, &[OsStr::new("--file"), unreadable.as_os_str()], &words);

        let words = format!("list {}: Is a directory {readable}", quoted(&directory));
        refuses(lab, &[OsStr::new("--file"), directory.as_os_str()], &words);
    });
}

#[test]
fn ten_rejected_lines_are_quoted_and_the_rest_counted() {
    lab::play(|lab| {
        let list: String = (1..=13).map(|n| format!("bad{n}\n")).collect();
        let list = list + "10.0.0.1\n10.0.0.2 10.0.0.3\n";
        let outcome = succeeds(lab, &[], &list);
        assert_eq!(addresses(&outcome), ["10.0.0.1", "10.0.0.2"]);
        let mut expected: Vec<_> = (1..=10)
            .map(|n| format!("xymonping: line {n}: \"bad{n}\": not an IP address (no line of output for it)"))
            .collect();
        expected.push("xymonping: 4 more lines have problems (--list-errors shows all)".into());
        assert_eq!(outcome.stderr.lines().collect::<Vec<_>>(), expected);
        let all = succeeds(lab, &["--list-errors"], &list);
        assert_eq!(all.stdout.lines().count(), 2);
        assert_eq!(all.stderr.lines().count(), 14);
        assert!(all.stderr.starts_with(&(expected[..10].join("\n") + "\n")));
        let last = "xymonping: line 15: \"10.0.0.2 10.0.0.3\": two addresses (only the first is probed)\n";
        assert!(all.stderr.ends_with(last), "{}", all.stderr);
        let list: String = (1..=10).map(|n| format!("bad{n}\n")).collect();
        assert_eq!(succeeds(lab, &[], &list).stderr.lines().count(), 10);
        // They come after what ended the program, however many they are.
        let args = ["--list-errors", "--summary", "--timeout=0.1", "--retries=0"];
        let many: String = (1..=20_000).map(|n| format!("bad{n}\n")).collect();
        lab.ip(&["link", "set", "lab0", "down"]);
        let outcome = lab.run(&args, many + ALIVE + "\n");
        assert_eq!(
            (outcome.code, outcome.stderr.lines().count()),
            (Some(4), 1 + 20_000 + 4),
            "{:.500}",
            outcome.stderr
        );
        assert!(outcome.first_stderr_line().starts_with("xymonping: no probe could leave"));
        assert!(outcome.stderr.lines().last().is_some_and(|line| line.starts_with("xymonping: send errors: ")));
    });
}

#[test]
fn quoted_input_is_printable_and_short() {
    lab::play(|lab| {
        let nasty = "\x1b[31m\u{e9}\r\"\\\n";
        refuses(
            lab,
            &[nasty],
            r#"argument "\x1b[31m\xc3\xa9\r\"\\\n": not an IP address (give IP addresses; names need --resolve)"#,
        );
        refuses(
            lab,
            &["--retries", nasty],
            r#"--retries: bad value "\x1b[31m\xc3\xa9\r\"\\\n" (give a whole number from 0 to 255)"#,
        );
        refuses(lab, &[&format!("--{nasty}")], r#""--\x1b[31m\xc3\xa9\r\"\\\n": unknown option (see --help)"#);
        let long = "x".repeat(61);
        let cut = format!("\"{}\"...", "x".repeat(60));
        refuses(lab, &[&long], &format!("argument {cut}: not an IP address (give IP addresses; names need --resolve)"));
        refuses(
            lab,
            &[&long[1..]],
            &format!("argument \"{}\": not an IP address (give IP addresses; names need --resolve)", &long[1..]),
        );
        refuses(lab, &["-r", &long], &format!("-r: bad value {cut} (give a whole number from 0 to 255)"));
        refuses(
            lab,
            &["--file", &long],
            &format!("list {cut}: No such file or directory (give a list that this user may read)"),
        );
        refuses(lab, &[&format!("--{long}")], &format!("\"--{}\"...: unknown option (see --help)", &long[..58]));
        refuses(
            lab,
            &[&format!("--ipv4={long}")],
            &format!("command line: --ipv4 takes no value, not {cut} (see --help)"),
        );
        refuses(lab, &["--ipv4=\u{e9}\x1b"], r#"command line: --ipv4 takes no value, not "\xc3\xa9\x1b" (see --help)"#);
    });
}

#[test]
fn arguments_need_not_be_utf_8() {
    lab::play(|lab| {
        refuses(
            lab,
            &[OsStr::from_bytes(b"\xff\xfe")],
            r#"argument "\xff\xfe": not an IP address (give IP addresses; names need --resolve)"#,
        );
        refuses(
            lab,
            &[OsStr::from_bytes(b"--retries=\xff")],
            r#"--retries: bad value "\xff" (give a whole number from 0 to 255)"#,
        );
        refuses(
            lab,
            &[OsStr::from_bytes(b"--source=\xff")],
            r#"--source: bad value "\xff" (give one address of this machine)"#,
        );
        refuses(
            lab,
            &[OsStr::from_bytes(b"--source=fe80::1%\x1b[2J")],
            r#"--source="fe80::1%\x1b[2J": no such interface (give one address of this machine)"#,
        );
        refuses(
            lab,
            &[OsStr::from_bytes(b"--file=/\xff")],
            r#"list "/\xff": No such file or directory (give a list that this user may read)"#,
        );
        // lexopt shows invalid UTF-8 as U+FFFD.
        refuses(lab, &[OsStr::from_bytes(b"--x\xff")], r#""--x\xef\xbf\xbd": unknown option (see --help)"#);
        refuses(lab, &[OsStr::from_bytes(b"-\xff")], r#""-\xef\xbf\xbd": unknown option (see --help)"#);
    });
}

// Exit codes.

#[test]
fn exit_codes_depend_on_results_only_with_exit_status() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        let cases = [
            ("10.0.0.1\n", 0),
            ("10.0.0.7\n", 1),
            ("10.0.0.1\n10.0.0.7\n", 1),
            ("10.0.0.1\nrubbish\n", 2),
            ("10.0.0.7\nrubbish\n", 2),
            ("rubbish\n", 2),
            ("# nobody\n\n", 0),
            ("", 0),
        ];
        let check = |list: &str, with_exit_status| {
            succeeds(lab, &BRIEF, list);
            for letter in [&[][..], &["-a"], &["-u"], &["-q"]] {
                let outcome = lab.run(&[&["--exit-status"], letter, &BRIEF].concat(), list);
                assert_eq!(outcome.code, Some(with_exit_status), "{list:?} {letter:?}: {outcome:?}");
            }
        };
        thread::scope(|scope| {
            for (list, with_exit_status) in cases {
                scope.spawn(move || check(list, with_exit_status));
            }
        });
        // A label that is an address is warned of, but the line is accepted.
        assert_eq!(lab.run(&["--exit-status"], "10.0.0.1 10.0.0.2\n").code, Some(0));
    });
}

#[test]
fn failures_win_over_exit_codes_about_results() {
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        assert_eq!(lab.run(&["--exit-status", "--retries=x"], "rubbish\n").code, Some(3));
        assert_eq!(lab.run(&["--exit-status", "rubbish"], "").code, Some(3));
        let mut running = lab.start(lab.command().args(["--exit-status", "--timeout=100"]));
        running.feed(format!("rubbish\n{SILENT}\n"));
        running.close_stdin();
        running.wait_until(LIMIT, "has not probed", |_| !lab.seen().is_empty());
        running.signal(Signal::SIGTERM);
        assert_eq!(running.finish(LIMIT).code, Some(4));
        lab.ip(&["link", "set", "lab0", "down"]);
        let outcome = lab.run(&["--exit-status", BRIEF[0], BRIEF[1]], format!("rubbish\n{SILENT}\n"));
        assert_eq!(outcome.code, Some(4), "{outcome:?}");
    });
}

// A list on stdin after a failure.

#[test]
fn the_list_of_a_parent_is_read_to_its_end_after_a_failure() {
    lab::play(|lab| {
        for args in [
            &["--bogus"][..],
            &["--source=203.0.113.9"],
            &["--debug=/"],
            &["--help=x"],
            // An address that is a value is not an operand, so a list may come.
            &["-S", "192.0.2.1", "--bogus"],
            &["--source", "192.0.2.1", "--bogus=x"],
            &["-AeS192.0.2.1", "--bogus"],
        ] {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
            let mut command = lab.command();
            command.args(args).stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped());
            let running = lab.start_as_is(&mut command);
            // The command has the reading end too; without it the program is the only reader.
            drop(command);
            let written = thread::spawn(move || File::from(writer).write_all(&[b'\n'; 1 << 20]));
            let outcome = running.finish(LIMIT);
            assert_eq!(outcome.code, Some(3), "{outcome:?}");
            assert!(written.join().is_ok_and(|written| written.is_ok()), "{args:?}: SIGPIPE for the parent");
        }
    });
}

#[test]
fn a_list_without_end_is_read_for_5_seconds_after_a_failure() {
    lab::play(|lab| {
        let mut running = lab.start(lab.command().arg("--bogus"));
        running.wait_until(LIMIT, "says nothing", |running| !running.stderr_so_far().is_empty());
        running.wait_until(LIMIT, "still waits", |running| running.status("State").is_none_or(|s| s.starts_with('Z')));
        let outcome = running.finish(LIMIT);
        assert_eq!(outcome.code, Some(3));
        assert!(outcome.wall >= ms(4900), "{outcome:?}");
    });
}

#[test]
fn stdin_is_not_read_if_no_list_is_expected() {
    lab::play(|lab| {
        for args in [
            &["--source=203.0.113.9", ALIVE][..],
            &["--file=/nonexistent"],
            &["localhost"],
            &["--help"],
            // An invalid command line may have an address to probe.
            &["--bogus", ALIVE],
            &[ALIVE, "--retries=x"],
            &["--help=x", "fd00::1"],
            &[ALIVE, "--max-pps"],
            &["--bogus", "--check"],
            &["--check=x"],
        ] {
            let (reader, writer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).expect("a pipe");
            File::from(writer.try_clone().expect("a descriptor"))
                .write_all(b"10.0.0.1\n")
                .expect("a pipe holds a line");
            let mut command = lab.command();
            command.args(args).stdin(reader.try_clone().expect("a descriptor"));
            let running = lab.start_as_is(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
            let outcome = running.finish(LIMIT);
            // The other end is open all the time: if it were read, that would take 5 seconds.
            assert!(outcome.wall < ms(4900), "{args:?}: {outcome:?}");
            let mut unread = [0; 64];
            let count = File::from(reader).read(&mut unread).expect("what was written");
            assert_eq!(&unread[..count], b"10.0.0.1\n", "{args:?}");
        }
    });
}

// The environment.

#[test]
fn environment_variables_have_no_effect() {
    const VARIABLES: [(&str, &str); 14] = [
        ("FPINGOPTS", "-r 9"),
        ("XYMONPING", "--bogus"),
        ("XYMONPING_OPTS", "--bogus"),
        ("XYMONHOME", "/nonexistent"),
        ("LANG", "de_DE.UTF-8"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LC_MESSAGES", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
        ("TZ", "Asia/Kathmandu"),
        ("POSIXLY_CORRECT", "1"),
        ("COLUMNS", "10"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_LOG", "trace"),
        ("TMPDIR", "/nonexistent"),
    ];
    lab::play(|lab| {
        lab.host(SILENT, Behaviour::silent());
        for args in
            [&["--help"][..], &["--bogus"], &["--retries=0", "--timeout=50ms", SILENT], &["--file=/nonexistent"]]
        {
            let run = |environment: &[(&str, &str)]| {
                let mut command = lab.command();
                command.args(args).env_clear().envs(environment.iter().copied());
                let outcome = lab.start(&mut command).finish(LIMIT);
                (outcome.code, outcome.stdout, outcome.stderr)
            };
            assert_eq!(run(&VARIABLES), run(&[]), "{args:?}");
        }
    });
}

#[test]
fn no_source_file_reads_an_environment_variable() -> io::Result<()> {
    let mut files = vec![PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    let mut read = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                files.push(entry?.path());
            }
            continue;
        }
        read += 1;
        let source = fs::read_to_string(&path)?;
        for word in ["env::var", "var_os(", "option_env!", "getenv"] {
            assert!(!source.contains(word), "{}: {word}", path.display());
        }
    }
    assert!(read > 10, "{read} files");
    Ok(())
}
