//! Lists of any bytes and any length, and with more lines than there is memory for.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use crate::lab::caller::{self, ORDINARY, Rights, ordinary};
use crate::lab::{Finished, LIMIT, Lab, Running, pipe, skip};
use crate::{ALIVE, is_alive, run};

/// Writes a list of `start` and `times` times `piece`, or as much of it as is read.
fn write(lab: &Lab, command: &mut Command, start: &str, piece: &[u8], times: usize) -> Finished {
    let (reader, mut writer) = pipe();
    let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
    // The program must be the only reader, so that the pipe breaks when it ends.
    command.stdin(Stdio::null());
    thread::scope(|scope| {
        scope.spawn(move || {
            let _ = writer.write_all(start.as_bytes());
            (0..times).try_for_each(|_| writer.write_all(piece))
        });
        running.finish(LIMIT)
    })
}

#[test]
fn lines_may_have_any_bytes_and_any_length() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let every: Vec<u8> = (0..=255).collect();
        let reversed: Vec<u8> = (0..=255).rev().collect();
        let blanks = |length: usize| format!("{ALIVE}{:1$}", "", length - ALIVE.len()).into_bytes();
        let utf16: Vec<u8> = ALIVE.bytes().flat_map(|byte| [byte, 0]).collect();
        let cases: [(&str, Vec<u8>, usize); 10] = [
            ("every byte", every, 0),
            ("every byte, backwards", reversed, 0),
            ("NULs", vec![0; 5000], 0),
            ("a NUL after an address", format!("{ALIVE}\0").into_bytes(), 0),
            ("UTF-16", utf16, 0),
            ("escapes", b"\x1b[2J\x1b]0;title\x07\r".to_vec(), 0),
            ("1,023 bytes", blanks(1023), 1),
            ("1,024 bytes", blanks(1024), 1),
            ("1,025 bytes", blanks(1025), 0),
            ("a quoted format", b"%s%n%x".to_vec(), 0),
        ];
        for (name, line, lines) in cases {
            let list = [&line[..], b"\n", ALIVE.as_bytes(), b"\n"].concat();
            let outcome = run(lab, &mut ordinary(&program), list);
            is_alive(&outcome, name);
            assert_eq!(outcome.lines().len(), lines + 1, "{name}: {outcome:?}");
            let is_printable = |text: &str| text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~'));
            assert!(is_printable(&outcome.stdout) && is_printable(&outcome.stderr), "{name}: {outcome:?}");
        }
    });
}

#[test]
fn a_hundred_megabytes_without_a_newline_are_one_line() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let piece = vec![b'1'; 1 << 20];
        let outcome = write(lab, &mut ordinary(&program), "10.0.0.1\n", &piece, 100);
        is_alive(&outcome, "the line before");
        assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
        assert!(outcome.stderr.ends_with("\"...: line too long (no line of output for it)\n"), "{outcome:?}");
        assert!(outcome.peak_rss_kib < 32 << 10, "{} KiB", outcome.peak_rss_kib);
    });
}

#[test]
fn a_list_may_be_written_byte_by_byte() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let (reader, mut writer) = pipe();
        let mut command = ordinary(&program);
        let running = lab.start_as_is(command.stdin(reader).stdout(Stdio::piped()).stderr(Stdio::piped()));
        for byte in "10.0.0.1 first\r\n# 10.0.0.2\n\n10.0.0.3".bytes() {
            writer.write_all(&[byte]).expect("the program reads");
        }
        drop(writer);
        let outcome = running.finish(LIMIT);
        is_alive(&outcome, "one byte at a time");
        assert_eq!((outcome.lines().len(), outcome.stderr.as_str()), (2, ""), "{outcome:?}");
    });
}

#[test]
fn a_list_may_stop_in_the_middle_of_a_line() {
    caller::play(&[], |lab, place| {
        let program = place.install(Rights::Setuid);
        let mut running: Running = lab.start(ordinary(&program).arg("--deadline=500ms"));
        running.feed("10.0.0.1\n10.0.0");
        running.wait_until(LIMIT, "prints nothing", |running| running.stderr_so_far().ends_with('\n'));
        crate::fails(&running.finish(LIMIT), "reading the list: deadline reached (nothing was probed)");
        assert!(lab.seen().is_empty());
    });
}

// More lines than there is memory for.

/// The run ended for lack of memory, not by a signal, and without output lines.
fn is_out_of_memory(lab: &Lab, outcome: &Finished) {
    assert_eq!((outcome.code, outcome.signal, outcome.stdout.as_str()), (Some(4), None, ""), "{outcome:?}");
    let line = outcome.first_stderr_line();
    assert!(line.starts_with("xymonping: out of memory at "), "{outcome:?}");
    assert!(line.ends_with(" lines (split the list, or allow more: ulimit -v, or the control group)"), "{outcome:?}");
    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome:?}");
    assert!(lab.seen().is_empty());
}

/// Lines without end, all of one address: equal lines take memory until the list is complete.
fn endless(lab: &Lab, command: &mut Command, line: &str) -> Finished {
    write(lab, command, "", line.repeat(100_000).as_bytes(), usize::MAX)
}

#[test]
fn a_list_longer_than_a_limit_on_memory_is_refused() {
    caller::play(&["prlimit"], |lab, place| {
        let program = place.install(Rights::Setuid);
        // Of each, 33 MiB are headroom. For the last list a zone is looked up for every line.
        for (mib, line) in [(48, "10.0.0.1\n"), (64, "10.0.0.1\n"), (48, "fd00::1\n"), (42, "fe80::1%1\n")] {
            let mut command = Command::new("prlimit");
            // As root, since ordinary users have a limit on lines.
            command.args([format!("--as={}", mib << 20), format!("--data={}", mib << 20)]).arg(&program);
            is_out_of_memory(lab, &endless(lab, &mut command, line));
        }
    });
}

/// A control group with a limit on memory, which is removed when this is dropped.
struct Group(PathBuf);

impl Group {
    /// In the first hierarchy with a memory controller, of version 2 or version 1.
    fn new(bytes: u64) -> Result<Group, String> {
        let name = format!("xymonping-lab-{}-{bytes}", std::process::id());
        let mut refusal = "no control group can be made".to_owned();
        for (root, limit) in [("/sys/fs/cgroup", "memory.max"), ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")] {
            let group = Group(PathBuf::from(root).join(&name));
            let made = fs::create_dir(&group.0).and_then(|()| {
                // The program reads the limit as an ordinary user, whatever the umask here.
                fs::set_permissions(&group.0, Permissions::from_mode(0o755))?;
                // If the file does not exist this is not a control group, and it must not be
                // created.
                fs::metadata(group.0.join(limit)).and_then(|_| fs::write(group.0.join(limit), bytes.to_string()))
            });
            match made {
                Ok(()) => return Ok(group),
                Err(error) => refusal = format!("{root}: {error}"),
            }
        }
        Err(refusal)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_list_longer_than_a_control_group_allows_is_refused() {
    caller::play(&["sh", "setpriv"], |lab, place| {
        let program = place.install(Rights::Setuid);
        // The last list ends, and there is memory to read it but not to probe it.
        for (mib, line, times) in [
            (80, "10.0.0.1\n", usize::MAX),
            (120, "10.0.0.1\n", usize::MAX),
            (100, "fd00::1\n", usize::MAX),
            (12, "10.0.0.1\n", 10),
        ] {
            let group = match Group::new(mib << 20) {
                Ok(group) => group,
                Err(refusal) => return skip("a_list_longer_than_a_control_group_allows_is_refused", &refusal),
            };
            let mut command = Command::new("sh");
            let user = format!("--reuid={ORDINARY}");
            let script = "echo $$ > \"$0/cgroup.procs\" && shift 0 && exec setpriv \"$@\"";
            command.args(["-c", script]).arg(&group.0).args([&user, "--clear-groups"]).arg(&program);
            let outcome = write(lab, &mut command, "", line.repeat(100_000).as_bytes(), times);
            is_out_of_memory(lab, &outcome);
            // A short list does not check.
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(&group.0).args([&user, "--clear-groups"]).arg(&program).arg(ALIVE);
            is_alive(&run(lab, &mut command, ""), "a short list");
            lab.forget();
        }
    });
}
