//! `--generate` and `-g`: every address of a network or range has a line, in ascending order, and
//! what cannot be generated is refused before anything is sent.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod lab;

use std::ffi::OsString;
use std::net::Ipv4Addr;

use lab::caller::{self, Rights, ordinary};
use lab::{LIMIT, Lab};
use multiping::address::Family;
use xymonping::cli::{self, CommandLine, Input, Request};
use xymonping::limits::Limits;
use xymonping::list::{List, ListParser, Rules};
use xymonping::message::{Error, Exit};

const BROADCASTS: [Ipv4Addr; 1] = [Ipv4Addr::new(192, 0, 2, 127)];

fn parser(limits: &Limits, family: Option<Family>) -> ListParser<'_> {
    let interface: &dyn Fn(&str) -> Option<u32> = &|name| match name {
        "eth0" | "2" => Some(2),
        "br-lan-1" => Some(3),
        _ => None,
    };
    let family = family.map(|family| (family, "--option"));
    ListParser::new(Rules { family, limits, broadcasts: &BROADCASTS, interface })
}

fn generate(range: &str, limits: &Limits) -> Result<List, Error> {
    let mut parser = parser(limits, None);
    parser.generate(range.as_bytes())?;
    parser.finish()
}

fn shown(list: &List) -> Vec<String> {
    list.lines.iter(&list.addresses).map(|(_, shown)| shown.to_string()).collect()
}

/// The addresses of a range, for an ordinary user.
fn addresses(range: &str) -> Vec<String> {
    let list = generate(range, &Limits::ORDINARY).unwrap_or_else(|error| panic!("{range}: {error}"));
    assert_eq!(list.rejected, 0, "{range}");
    shown(&list)
}

/// Why a range is refused, without the hint.
fn why(range: &str, limits: &Limits) -> String {
    let error = generate(range, limits).map(|list| shown(&list)).unwrap_err();
    assert_eq!(error.exit(), Exit::Usage, "{range}");
    let text = error.to_string();
    let text = text.strip_prefix(&format!("--generate=\"{}\": ", range.as_bytes().escape_ascii())).unwrap_or(&text);
    text.split(" (give a network, as 192.0.2.0/24, or a range, as 192.0.2.1-192.0.2.9)").next().unwrap().to_owned()
}

// What is generated.

#[test]
fn a_network_has_its_hosts() {
    assert_eq!(addresses("10.0.0.0/30"), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(addresses("10.0.0.7/29").len(), 6, "any address of the network stands for it");
    assert_eq!(addresses("10.0.0.7/29")[0], "10.0.0.1");
    assert_eq!(addresses("10.0.0.6/31"), ["10.0.0.6", "10.0.0.7"]);
    assert_eq!(addresses("10.0.0.7/32"), ["10.0.0.7"]);
    assert_eq!(addresses("10.0.255.0/23").len(), 510);
    assert_eq!(addresses("fd00::8/126"), ["fd00::8", "fd00::9", "fd00::a", "fd00::b"]);
    assert_eq!(addresses("fd00::8/128"), ["fd00::8"]);
    assert_eq!(addresses("fe80::%eth0/127"), ["fe80::%eth0", "fe80::1%eth0"]);
}

#[test]
fn a_range_has_both_ends_and_all_between() {
    assert_eq!(addresses("10.0.0.254-10.0.1.1"), ["10.0.0.254", "10.0.0.255", "10.0.1.0", "10.0.1.1"]);
    assert_eq!(addresses("10.0.0.7-10.0.0.7"), ["10.0.0.7"]);
    assert_eq!(addresses("fd00::ffff-fd00::1:1"), ["fd00::ffff", "fd00::1:0", "fd00::1:1"]);
    assert_eq!(addresses("fe80::1%2-fe80::2%2"), ["fe80::1%2", "fe80::2%2"]);
    assert_eq!(addresses("fe80::1%br-lan-1-fe80::2%br-lan-1"), ["fe80::1%br-lan-1", "fe80::2%br-lan-1"]);
}

#[test]
fn addresses_between_the_ends_are_rejected_like_lines() {
    let list = generate("192.0.2.126-192.0.2.128", &Limits::ORDINARY).unwrap();
    assert_eq!(shown(&list), ["192.0.2.126", "192.0.2.128"]);
    assert_eq!(list.rejected, 1);
    let remark = "line 2: \"192.0.2.127\": a broadcast address, for root only (no line of output for it)";
    assert!(list.remarks.iter().map(|it| it.to_string()).eq([remark]));
    assert_eq!(shown(&generate("192.0.2.126-192.0.2.128", &Limits::ROOT).unwrap()).len(), 3);
}

#[test]
fn several_ranges_are_one_list_of_distinct_targets() {
    let mut parser = parser(&Limits::ORDINARY, None);
    for range in ["10.0.0.1-10.0.0.2", "fd00::1/128", "10.0.0.2/31"] {
        parser.generate(range.as_bytes()).unwrap();
    }
    let list = parser.finish().unwrap();
    assert_eq!(shown(&list), ["10.0.0.1", "10.0.0.2", "fd00::1", "10.0.0.2", "10.0.0.3"]);
    assert_eq!(list.addresses.len(), 4);
}

// What is refused.

#[test]
fn what_is_no_network_and_no_range_is_refused() {
    let syntax = "not a network or a range of addresses";
    for (range, reason) in [
        ("", syntax),
        ("10.0.0.1", syntax),
        ("localhost/24", syntax),
        ("10.0.0/24", syntax),
        ("010.0.0.0/24", syntax),
        ("10.0.0.1-", syntax),
        ("-10.0.0.1", syntax),
        ("10.0.0.1-9", syntax),
        ("10.0.0.1-10.0.0.2-10.0.0.3", syntax),
        ("10.0.0.0/24-10.0.1.0/24", "not 0 to 32 bits"),
        ("10.0.0.0/", "not 0 to 32 bits"),
        ("10.0.0.0/33", "not 0 to 32 bits"),
        ("10.0.0.0/+8", "not 0 to 32 bits"),
        ("10.0.0.0/255.255.255.0", "not 0 to 32 bits"),
        ("fd00::/129", "not 0 to 128 bits"),
        ("10.0.0.2-10.0.0.1", "ends before it begins"),
        ("10.0.0.1-fd00::1", "two families or two interfaces"),
        ("fe80::1%2-fe80::2%eth0", "two families or two interfaces"),
        ("fe80::1%2-fe80::2", "two families or two interfaces"),
        ("fe80::/126", "a link-local address needs its interface, as in fe80::1%eth0"),
        ("fe80::%wlan9/126", "no such interface"),
        ("fd00::%eth0/126", "only link-local addresses have an interface"),
        ("10.0.0.0%eth0/30", "only link-local addresses have an interface"),
        ("0.0.0.0-0.0.0.9", "the unspecified address"),
        ("::ffff:10.0.0.0/120", "not an IP address; two lines run together, or a port?"),
        ("::ffff:a00:0/120", "an IPv4-mapped address; write it as IPv4"),
    ] {
        assert_eq!(why(range, &Limits::ROOT), reason, "{range}");
    }
    for range in ["224.0.0.0/30", "223.255.255.254-224.0.0.1", "ff0e::/126"] {
        assert_eq!(
            why(range, &Limits::ORDINARY),
            "a multicast address, for root only without --count or --loop",
            "{range}"
        );
    }
    assert!(parser(&Limits::ROOT, Some(Family::V6)).generate(b"10.0.0.0/30").is_err());
    assert!(parser(&Limits::ROOT, None).generate(b"10.0.0.\xff/30").is_err());
}

#[test]
fn an_ordinary_user_generates_131_072_addresses_and_no_more() {
    let limits = &Limits { targets: 200_000, ..Limits::ORDINARY };
    for range in ["10.0.0.0-10.1.255.255", "fd00::/111"] {
        assert_eq!(shown(&generate(range, limits).unwrap()).len(), 131_072, "{range}");
    }
    for range in ["10.0.0.0-10.2.0.0", "10.0.0.0/14", "0.0.0.0/0", "fd00::/110", "fd00::/64", "::/0"] {
        assert_eq!(why(range, limits), "more than 131072 addresses", "{range}");
    }
    // All ranges count together.
    let mut parser = parser(limits, None);
    parser.generate(b"10.0.0.0-10.1.255.254").unwrap();
    parser.generate(b"10.9.0.0/32").unwrap();
    assert!(parser.generate(b"10.9.0.0/32").is_err());
    assert_eq!(shown(&generate("10.0.0.0/14", &Limits::ROOT).unwrap()).len(), (1 << 18) - 2);
    assert_eq!(why("::/0", &Limits::ROOT), "more than 2147483647 addresses");
}

// The command line.

fn parse(args: &[&str]) -> CommandLine {
    cli::parse(args.iter().map(OsString::from), &Limits::ROOT)
}

fn input(args: &[&str]) -> Input {
    match parse(args).request {
        Ok(Request::Run(options)) => options.input,
        other => panic!("{args:?}: {other:?}"),
    }
}

#[test]
fn the_letter_takes_its_range_from_the_operands() {
    let ranges = |ranges: &[&str]| Input::Generated(ranges.iter().map(OsString::from).collect());
    assert_eq!(input(&["-Aeg", "10.0.0.0/24"]), ranges(&["10.0.0.0/24"]));
    assert_eq!(input(&["10.0.0.0/24", "-g"]), ranges(&["10.0.0.0/24"]));
    assert_eq!(input(&["-g", "10.0.0.1", "10.0.0.9"]), ranges(&["10.0.0.1-10.0.0.9"]));
    assert_eq!(input(&["--generate=10.0.0.0/24", "--generate", "::1/128"]), ranges(&["10.0.0.0/24", "::1/128"]));
    for (args, words) in [
        (&["-g"][..], "command line: -g takes a network, or two addresses (see --help)"),
        (&["-g", "::1", "::2", "::3"], "command line: -g takes a network, or two addresses (see --help)"),
        (&["-g", "::1/128", "--file=x"], "--file: cannot be combined with addresses on the command line"),
        (&["--generate=::1/128", "::1"], "--generate: cannot be combined with addresses on the command line"),
        (&["--generate=::1/128", "-g", "::1/128"], "--generate: cannot be combined with addresses on the command line"),
        (&["--generate=::1/128", "--file=x"], "--file: cannot be combined with --generate"),
        (&["--file=x", "--generate=::1/128"], "--file: cannot be combined with --generate"),
    ] {
        let error = parse(args).request.map(drop).unwrap_err();
        assert!(error.to_string().starts_with(words), "{args:?}: {error}");
    }
    assert!(!parse(&["--generate=x", "--bogus"]).awaits_list, "no list will come");
    assert!(!parse(&["-g", "10.0.0.0/24", "--bogus"]).awaits_list, "no list will come");
}

#[test]
fn every_generated_address_is_probed_and_has_its_line() {
    lab::play(|lab| {
        for args in [&["--generate=10.0.0.0/29"][..], &["-g", "10.0.0.1", "10.0.0.6"]] {
            lab.forget();
            let outcome = lab.run(&[args, &["--max-pps=1000"]].concat(), "10.9.9.9\n");
            assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""), "{outcome:?}");
            let lines: Vec<_> = (1..=6).map(|host| format!("10.0.0.{host} is alive")).collect();
            assert_eq!(outcome.verdicts(), lines);
            assert_eq!(lab.seen().len(), 6, "stdin is not read");
        }
        if lab.has_ipv6() {
            let outcome = lab.run(&["--generate=fd00::fffe-fd00::1:1", "--max-pps=1000"], "");
            let lines = ["fd00::fffe", "fd00::ffff", "fd00::1:0", "fd00::1:1"].map(|ip| format!("{ip} is alive"));
            assert_eq!(outcome.verdicts(), lines);
        }
    });
}

#[test]
fn a_setuid_program_refuses_too_many_for_its_caller() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let run = |lab: &Lab, range: &str| lab.start(ordinary(&program).arg(range)).finish(LIMIT);
        let outcome = run(lab, "--generate=10.0.0.0/8");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(3), ""), "{outcome:?}");
        let words = "xymonping: --generate=\"10.0.0.0/8\": more than 131072 addresses (";
        assert!(outcome.stderr.starts_with(words), "{outcome:?}");
        assert!(lab.seen().is_empty());
        assert_eq!(run(lab, "--generate=10.0.0.0/30").lines().len(), 2);
    });
}
