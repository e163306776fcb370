//! Whatever stands on a command line, it is understood to the letter or refused in plain words; no
//! value is taken for an address; and what is accepted is within the caller's limits.
//!
//! The first byte of an input chooses the caller; the rest are the arguments, with a NUL between
//! them.

#![no_main]

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use multiping::address::Family;
use multiping::plan::{PacketOptions, Plan, Rate};
use xymonping::cli::{self, CommandLine, Debug, FLAGS, Flag, Input, Options, Request, Value};
use xymonping::limits::Limits;
use xymonping::message::Exit;

fuzz_target!(|input: &[u8]| {
    let Some((&caller, line)) = input.split_first() else { return };
    let limits = if caller % 2 == 0 { &Limits::ORDINARY } else { &Limits::ROOT };
    let args: Vec<OsString> = match line {
        b"" => Vec::new(),
        _ => line.split(|&byte| byte == 0).map(|arg| OsStr::from_bytes(arg).to_owned()).collect(),
    };
    let CommandLine { request, awaits_list } = cli::parse(args.iter().cloned(), limits);
    match request {
        Ok(Request::Run(options)) => {
            let expected = operands(&args);
            let generates = matches!(options.input, Input::Generated(_));
            let found: &[OsString] = if let Input::Operands(found) = &options.input { found } else { &[] };
            assert!(generates || found == expected);
            let is_target = |operand: &OsString| is_address(operand) || options.names.resolve;
            assert_eq!(awaits_list, !options.check && !generates && !expected.iter().any(is_target));
            within_limits(&options, limits);
            options.warnings.iter().for_each(|warning| is_plain(&warning.to_string()));
        }
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.exit(), Exit::Usage);
            is_plain(&error.to_string());
        }
    }
});

fn is_address(operand: &OsString) -> bool {
    operand.to_str().is_some_and(|text| text.parse::<IpAddr>().is_ok())
}

/// The operands of a command line that is well formed, by the conventions of getopt_long(3) and the
/// table of flags.
fn operands(args: &[OsString]) -> Vec<OsString> {
    let takes_value = |flag: &Flag| matches!(flag.value, Value::Required(..));
    let mut found = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_bytes() {
            b"--" => found.extend(args.by_ref().cloned()),
            [b'-', b'-', long @ ..] => {
                let takes = |flag: &Flag| flag.long.is_some_and(|name| name.as_bytes() == long) && takes_value(flag);
                if FLAGS.iter().any(takes) {
                    args.next();
                }
            }
            [b'-', letters @ ..] if !letters.is_empty() => {
                let takes =
                    |letter: &u8| FLAGS.iter().any(|flag| flag.short == Some(char::from(*letter)) && takes_value(flag));
                // The first that takes a value has the rest of the argument, or the next one.
                if letters.iter().position(takes) == Some(letters.len() - 1) {
                    args.next();
                }
            }
            _ => found.push(arg.clone()),
        }
    }
    found
}

fn within_limits(options: &Options, limits: &Limits) {
    let Options { plan, packet, sources, family, .. } = options;
    let max_rate = limits.rate_of(packet.size(), family.unwrap_or(Family::V6));
    match (plan.rate().pps(), max_rate.pps()) {
        (Some(pps), max) => assert!(Rate::RANGE.contains(&pps) && max.is_none_or(|max| pps <= max)),
        (None, max) => assert_eq!(max, None),
    }
    assert!(Plan::TIMEOUT.contains(&plan.timeout()));
    assert!(plan.responses() > 0);
    assert_eq!(plan.spacing(), limits.spacing);
    assert!(PacketOptions::SIZE.contains(&packet.size()));
    assert!(packet.pattern().len() <= PacketOptions::MAX_PATTERN);
    assert_ne!(packet.ttl(), Some(0));
    assert!(options.interface.as_ref().is_none_or(|name| (1..16).contains(&name.len())));
    assert!(options.deadline.is_none_or(|time| time >= Duration::from_millis(1)));
    for (of_source, source) in sources.as_ref() {
        let Some(source) = source else { continue };
        assert_eq!(source.ip.is_ipv4(), of_source == Family::V4);
        assert!(!source.ip.is_unspecified() && !source.ip.is_multicast());
        assert!(family.is_none_or(|family| family == of_source));
    }
    match (&options.input, &options.debug) {
        (Input::File(path), _) | (_, Debug::File(path)) => assert!(!path.is_empty()),
        (Input::Operands(operands) | Input::Generated(operands), _) => assert!(!operands.is_empty()),
        (Input::Stdin, _) => {}
    }
}

/// Fit for a terminal and for the one line of Xymon's log.
fn is_plain(text: &str) {
    assert!(text.len() < 1000 && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
}
