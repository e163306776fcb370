//! What needs no network: version, help, and command lines that are refused.

use std::process::Stdio;

use super::called;

/// The exit code, stdout and stderr of a command line that sends nothing.
fn refused(name: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let output = called(name, args).stdin(Stdio::null()).output().expect("it can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("it is text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn the_version_is_fpings() {
    for args in [&["-v"][..], &["--version"], &["-4", "-qv", "ignored"]] {
        assert_eq!(refused("/x/fping", args), (Some(0), "/x/fping: Version 5.5\n".into(), String::new()), "{args:?}");
    }
    assert_eq!(refused("fping6", &["-v"]).1, "fping6: Version 5.5\n");
    assert_eq!(refused("xymonping", &["--as=fping", "-v"]).1, "fping: Version 5.5\n");
}

#[test]
fn the_help_text_has_what_clients_look_for() {
    let (code, help, stderr) = refused("/x/fping", &["-4", "-h"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert!(help.starts_with("Usage: /x/fping [options] [targets...]\n\nProbing options:\n"), "{help}");
    assert!(help.ends_with("\n   -v, --version      show version\n"), "{help}");
    // SmokePing, Zabbix, flent, and network scanners.
    for text in
        [" -S,", " -O,", "--ipv6", "print timestamp before each output line", "--check-source", "--seqmap-timeout"]
    {
        assert!(help.contains(text), "{text}: {help}");
    }
    assert!(help.lines().any(|line| line.trim_start().starts_with("-S,")));
    assert!(help.len() > 1024, "Zabbix takes less for an answer");
    assert!(help.lines().all(|line| line.len() <= 80), "{help}");
}

#[test]
fn bad_usage_is_the_help_text_and_exit_code_1() {
    let (_, help, _) = refused("fping", &["-h"]);
    for args in [
        &["-c", "0", "127.0.0.1"][..],
        &["-c1q", "127.0.0.1"],
        &["-c", "-1", "127.0.0.1"],
        &["-c", "", "127.0.0.1"],
        &["-c", "4294967297", "127.0.0.1"],
        &["-i", "-1", "127.0.0.1"],
        &["-t", "x", "127.0.0.1"],
        &["-H", "0", "127.0.0.1"],
        &["-O", "256", "127.0.0.1"],
        &["-x", "0", "127.0.0.1"],
        &["-k", "0", "127.0.0.1"],
        &["-Q", "1x", "127.0.0.1"],
        &["--timestamp-format=x", "127.0.0.1"],
        &["-f", "-", "127.0.0.1"],
        &["-g"],
        &["-g", "1", "2", "3"],
    ] {
        assert_eq!(refused("fping", args), (Some(1), String::new(), help.clone()), "{args:?}");
    }
}

#[test]
fn what_is_wrong_with_an_option_is_said_as_fping_says_it() {
    let hint = "see 'fping -h' for usage information";
    for (args, message) in [
        (&["-Z"][..], format!("invalid option -- 'Z'\n{hint}")),
        (&["-qZ"], format!("invalid option -- 'Z'\n{hint}")),
        (&["--foo=1"], format!("invalid option -- 'foo=1'\n{hint}")),
        (&["--vers"], format!("invalid option -- 'vers'\n{hint}")),
        (&["-qc"], format!("option requires an argument -- 'c'\n{hint}")),
        (&["--count"], format!("option requires an argument -- 'count'\n{hint}")),
        (&["--alive=1"], format!("option takes no arguments -- 'alive'\n{hint}")),
        (&["-4", "-6", "-Z"], "can't specify both -4 and -6".into()),
        (&["-d", "-n"], "use either one of -d or -n".into()),
        (&["-a", "-u"], "specify only one of a, u".into()),
        (&["-c1", "-l"], "specify only one of c, l".into()),
        (&["--oiface=a", "-Ib"], "specify only --oiface or -I, --iface".into()),
        (&["-J"], "option -J, --json requires -c, -C, or -l".into()),
        (&["-B", "0.5"], "backoff factor 0.5 not valid, must be between 1.0 and 5.0".into()),
        (&["-b65508"], "data size 65508 not valid, must not be larger than 65507".into()),
        (&["-H256"], "ttl 256 out of range".into()),
        (&["-S", "x"], "can't parse source address: x".into()),
        (&["-S", " 127.0.0.1"], "can't parse source address:  127.0.0.1".into()),
    ] {
        assert_eq!(refused("a/fping", args), (Some(1), String::new(), format!("a/fping: {message}\n")), "{args:?}");
    }
    let conflict = "fping6: can't specify both -4 and -6\n";
    assert_eq!(refused("fping6", &["-4"]), (Some(1), String::new(), conflict.into()));
}
