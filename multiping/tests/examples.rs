//! Runs each example in a network of its own, and looks at what it prints.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "pinger/quiet.rs"]
#[expect(dead_code, reason = "its addresses are written out here")]
mod quiet;

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use quiet::play;

/// An example. Cargo builds them before the tests only if it was not asked for single ones.
fn example(name: &str) -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let tests = env::current_exe().unwrap();
        let profile = tests.parent().and_then(Path::parent).unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "build",
            "--quiet",
            "--locked",
            "--offline",
            "--package",
            "multiping",
            "--examples",
            "--target-dir",
        ]);
        cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
        cargo.args((profile.file_name().unwrap() == "release").then_some("--release"));
        assert!(cargo.status().unwrap().success(), "{cargo:?}");
        profile.join("examples")
    });
    Command::new(built.join(name))
}

/// What an example prints, line by line.
fn lines(mut command: Command) -> Vec<String> {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{command:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn multiping_of_python() {
    play("multiping_of_python", || {
        let mut command = example("multiping");
        command.args(["127.0.0.1", "192.0.2.10", "127.0.0.2"]);
        let lines = lines(command);
        assert_eq!(lines.iter().filter(|line| line.contains(" responded in ")).count(), 2);
        assert_eq!(lines[2..], ["silent: 1", "alive: 2, silent: 1"]);
    });
}

#[test]
fn go_multiping() {
    play("go_multiping", || {
        let mut command = example("go_multiping");
        command.args(["127.0.0.1", "192.0.2.10", "no-such-host.invalid", "::1"]);
        let lines = lines(command);
        for start in ["64 bytes from 127.0.0.1 rtt: ", "64 bytes from ::1 ", "Packet timed out from 192.0.2.10 seq: 0"]
        {
            assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:?}");
        }
        assert!(lines.iter().any(|line| line.starts_with("Packet errored from 0.0.0.0 ")), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "3 sent, 2 received");
    });
}

#[test]
fn table() {
    play("table", || {
        let mut command = example("table");
        command.args(["--for", "2.5", "127.0.0.1", "192.0.2.10"]);
        let lines = lines(command);
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines[0].starts_with("host ") && lines[1].starts_with("192.0.2.10 ") && lines[1].ends_with("  silent"));
        assert!(lines[1].contains(" 100.0% ") && lines[2].starts_with("127.0.0.1 ") && lines[2].contains(" 0.0% "));
    });
}

#[test]
fn tokio() {
    play("tokio", || {
        let lines = lines(example("tokio"));
        assert_eq!((lines.len(), lines[5].as_str()), (6, "5 of 5 answered"));
    });
}

#[test]
fn simulated() {
    // 8,640 probes each; one host is away for 6 of 24 hours.
    let expected =
        ["192.0.2.1: 8640 replies, 0 silent", "192.0.2.2: 8640 replies, 0 silent", "192.0.2.3: 6480 replies, "];
    let lines = lines(example("simulated"));
    assert_eq!((lines.len(), &lines[0][..], &lines[1][..]), (3, expected[0], expected[1]));
    assert!(lines[2].starts_with(expected[2]), "{lines:?}");
}

/// The exporter's metrics, once they hold `wanted`.
fn scrape(address: &str, wanted: &str) -> String {
    for _ in 0..1000 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        if text.contains(wanted) {
            return text;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!("{wanted:?} does not come");
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn exporter() {
    play("exporter", || {
        let list = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exporter-targets.txt");
        fs::write(&list, "127.0.0.1\n192.0.2.10\n").unwrap();
        let mut command = example("exporter");
        let mut process = Killed(command.arg("127.0.0.1:0").arg(&list).stdout(Stdio::piped()).spawn().unwrap());
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").and_then(|url| url.strip_suffix("/metrics")).unwrap();
        let text = scrape(address, "xymonping_requests_lost_total{target=\"192.0.2.10\",family=\"ipv4\"} 2\n");
        let text = if text.contains("_count{target=\"127.0.0.1\",family=\"ipv4\"} 0") {
            scrape(address, "_count{target=\"127.0.0.1\",family=\"ipv4\"} 2\n")
        } else {
            text
        };
        assert!(text.contains("xymonping_response_ttl{target=\"127.0.0.1\",family=\"ipv4\"} 64\n"), "{text}");
        assert!(text.contains("_bucket{target=\"127.0.0.1\",family=\"ipv4\",le=\"0.00005\"} "), "{text}");
        assert!(text.contains("# TYPE xymonping_response_duration_seconds histogram\n"), "{text}");
        // The file is watched: one goes and one comes.
        fs::write(&list, "127.0.0.1\n127.0.0.2\n").unwrap();
        let text = scrape(address, "_count{target=\"127.0.0.2\",family=\"ipv4\"} 1\n");
        assert!(!text.contains("192.0.2.10"), "{text}");
    });
}
