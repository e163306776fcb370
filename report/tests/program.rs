//! The program as its users call it: outputs, messages, exit codes.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

const EXAMPLE: &str = include_str!("data/run.jsonl");

fn report(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xymonping-report"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end without reading all of it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn result(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A directory of its own.
fn dir(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn text_is_the_default_and_plain_where_there_is_no_terminal() {
    let (code, stdout, stderr) = result(&report(&[], EXAMPLE));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(stdout.is_ascii(), "{stdout}");
    assert!(!stdout.contains('\u{1b}'));
    let first: Vec<_> = stdout.lines().filter_map(|line| line.split(' ').next()).collect();
    let expected = ["core", "warning:", "rejected:", "target", "192.0.2.9", "2001:db8::1", "192.0.2.1", "over"];
    assert_eq!(first, expected);
    let (_, colored, _) = result(&report(&["--text", "--color=always", "--unicode"], EXAMPLE));
    assert!(colored.contains('\u{1b}') && colored.contains('▁') && colored.contains('✕'), "{colored}");
}

#[test]
fn the_table_for_programs_has_the_values_of_the_json() {
    let (code, stdout, _) = result(&report(&["--csv"], EXAMPLE));
    assert_eq!((code, stdout.as_str()), (0, include_str!("data/run.csv")));
    let quoted = EXAMPLE.replace("old printer", r#"old \"printer\", 2nd\nfloor"#);
    let (_, stdout, _) = result(&report(&["--csv"], &quoted));
    assert!(stdout.contains("192.0.2.9,\"old \"\"printer\"\", 2nd\nfloor\",2,"), "{stdout}");
    // Of an empty list there are the columns only.
    let ends: String =
        EXAMPLE.lines().filter(|line| !line.contains("\"target\":\"")).map(|line| format!("{line}\n")).collect();
    let (_, stdout, _) = result(&report(&["--csv"], &ends));
    assert_eq!(stdout.lines().count(), 1);
    assert!(stdout.starts_with("target,label,line,family,state,reason,sent"), "{stdout}");
    // A key that comes later has no column, and that is said.
    let later = EXAMPLE.replace("\"line\":2,", "\"line\":2,\"rtt_p99_ns\":null,");
    let (code, stdout, stderr) = result(&report(&["--csv"], &later));
    assert_eq!((code, stdout.as_str()), (0, include_str!("data/run.csv")));
    assert!(stderr.contains("no column for rtt_p99_ns"), "{stderr}");
}

#[test]
fn exit_codes() {
    let failed = EXAMPLE.replace("\"exit\":0", "\"exit\":4");
    let cut = EXAMPLE.split("{\"type\":\"end\"").next().unwrap();
    for (args, input, expected) in [
        (&[][..], EXAMPLE, 0),
        (&[], &failed, 0),
        (&["--exit-status"], &failed, 4),
        (&["--exit-status"], EXAMPLE, 0),
        (&[], cut, 2),
        (&[], "no JSON\n", 2),
        (&[], "", 0),
        (&["--no-such-option"], EXAMPLE, 3),
        (&["--csv", "--text"], EXAMPLE, 3),
        (&["--every=0"], EXAMPLE, 3),
        (&["/nonexistent/run.jsonl"], EXAMPLE, 3),
        (&["--text=/nonexistent/report.txt"], EXAMPLE, 4),
        (&["--help"], "", 0),
        (&["--version"], "", 0),
    ] {
        let (code, _, stderr) = result(&report(args, input));
        assert_eq!(code, expected, "{args:?}: {stderr}");
        assert_eq!(stderr.is_empty(), expected == 0 || args == ["--exit-status"], "{args:?}: {stderr}");
        assert!(stderr.is_empty() || stderr.starts_with("xymonping-report: "), "{args:?}: {stderr}");
    }
}

#[test]
fn several_outputs_in_one_call_replace_their_files() {
    let dir = dir("outputs");
    let (text, csv) = (dir.join("run.txt"), dir.join("link.csv"));
    let options = [format!("--text={}", text.display()), format!("--csv={}", csv.display())];
    fs::write(&text, "old").unwrap();
    // A link stays a link.
    std::os::unix::fs::symlink(dir.join("run.csv"), &csv).unwrap();
    fs::write(dir.join("run.csv"), "old").unwrap();
    let (code, stdout, stderr) = result(&report(&[&options[0], &options[1]], EXAMPLE));
    assert_eq!((code, stdout.as_str(), stderr.as_str()), (0, "", ""));
    assert!(fs::read_to_string(&text).unwrap().starts_with("core"));
    assert!(fs::symlink_metadata(&csv).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(dir.join("run.csv")).unwrap(), include_str!("data/run.csv"));
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["link.csv", "run.csv", "run.txt"], "nothing else is left");
    // Several inputs.
    fs::write(dir.join("one.jsonl"), EXAMPLE).unwrap();
    fs::write(dir.join("two.jsonl"), EXAMPLE.replace("\"core\"", "\"edge\"")).unwrap();
    let inputs = ["one.jsonl", "two.jsonl"].map(|name| dir.join(name).display().to_string());
    let (code, stdout, _) = result(&report(&[&inputs[0], &inputs[1]], ""));
    assert_eq!(code, 0);
    assert!(stdout.starts_with("core  ") && stdout.contains("\n\nedge  "), "{stdout}");
}

#[test]
fn help_fits_a_terminal() {
    let (_, help, _) = result(&report(&["--help"], ""));
    assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
}
