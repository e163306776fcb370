//! Metrics for Prometheus, and files that are kept up to date while a run goes on.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "runs/generate.rs"]
mod generate;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use generate::{Behaviour, Scene};
use xymonping_report::influx::influx;
use xymonping_report::prometheus::prometheus;
use xymonping_report::read::Reader;
use xymonping_report::run::Run;

const EXAMPLE: &str = include_str!("data/run.jsonl");

fn metrics(text: &str) -> String {
    prometheus(&generate::runs(text), false).unwrap()
}

/// Without the version of this program.
fn without_version(text: &str) -> String {
    text.lines().filter(|line| !line.contains("build_info")).map(|line| format!("{line}\n")).collect()
}

/// The value of a sample.
fn value(text: &str, name: &str, label: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(&format!("xymonping_{name}{{")) && line.contains(label))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn the_example_gives_its_metrics_and_points() {
    assert_eq!(without_version(&metrics(EXAMPLE)), include_str!("data/run.prom"));
    assert_eq!(influx(&generate::runs(EXAMPLE)), include_str!("data/run.influx"));
}

#[test]
fn what_is_unknown_has_no_sample() {
    let text = metrics(EXAMPLE);
    assert_eq!(value(&text, "alive", "192.0.2.1"), Some(1.0));
    assert_eq!(value(&text, "alive", "192.0.2.9"), Some(0.0));
    assert_eq!(value(&text, "alive", "2001:db8::1"), None, "unsent is not known to be the target's fault");
    assert_eq!(value(&text, "rtt_seconds", "192.0.2.9"), None);
    assert_eq!(value(&text, "run_complete", "core"), Some(1.0));
    let cut = EXAMPLE.split("{\"type\":\"end\"").next().unwrap();
    let text = metrics(cut);
    assert_eq!(value(&text, "run_complete", "core"), Some(0.0));
    assert_eq!(value(&text, "run_exit_code", "core"), None);
    let failed = EXAMPLE.replace("\"failures\":[]", "\"failures\":[\"IPv4 sending failed\"]");
    assert_eq!(value(&metrics(&failed), "run_complete", "core"), Some(0.0));
}

#[test]
fn no_series_is_there_twice() {
    // Equal lines of a list, and two runs of one name: the latest counts.
    let doubled = EXAMPLE.replace("old printer", "web01").replace("192.0.2.9", "192.0.2.1");
    for text in [doubled.clone() + &doubled, EXAMPLE.to_owned() + &EXAMPLE.replace("\"core\"", "\"edge\"")] {
        let text = metrics(&text);
        let names: Vec<_> = text.lines().filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.starts_with('#')).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    }
    let odd = metrics(&EXAMPLE.replace("old printer", r#"a\\b \"c\"\nd"#));
    assert!(odd.contains(r#"label="a\\b \"c\"\nd""#), "{odd}");
}

#[test]
fn loops_are_counters_that_never_fall() {
    let text = generate::text(&Scene::new(2, 40)).replace("\"mode\":\"count\"", "\"mode\":\"loop\"");
    let mut reader = Reader::default();
    reader.begin("input");
    let mut last = (0.0, 0.0, 0.0);
    for line in text.lines().filter(|line| !line.contains("\"type\":\"end\"")) {
        reader.feed(line.as_bytes());
        reader.feed(b"\n");
        reader.runs.iter_mut().for_each(Run::settle);
        let Some(text) = prometheus(&reader.runs, true) else { continue };
        assert_eq!(value(&text, "run_complete", "core"), None, "it goes on");
        let now = |name: &str| value(&text, name, "10.0.0.1").unwrap_or(0.0);
        let now = (now("requests_total"), now("requests_lost_total"), now("response_duration_seconds_count"));
        assert!(now.0 >= last.0 && now.1 >= last.1 && now.2 >= last.2, "{last:?} {now:?}");
        last = now;
    }
    let text = metrics(&text);
    assert_eq!(value(&text, "requests_total", "10.0.0.1"), Some(40.0));
    assert_eq!(last.0, 40.0);
    let lost = value(&text, "requests_lost_total", "10.0.0.1").unwrap();
    assert_eq!(
        value(
            &text,
            "response_duration_seconds_bucket",
            "10.0.0.1\",family=\"ipv4\",label=\"router0\",run=\"core\",le=\"+Inf\""
        ),
        Some(40.0 - lost)
    );
    assert!(value(&text, "requests_lost_total", "10.0.0.1").is_some() && lost > 0.0, "the scene has losses");
}

#[test]
fn promtool_finds_nothing_to_say() -> io::Result<()> {
    let loops = generate::text(&Scene::new(30, 20)).replace("\"mode\":\"count\"", "\"mode\":\"loop\"");
    let dead = generate::text(&Scene { behaviour: Behaviour::Dead, ..Scene::new(3, 3) });
    for text in [EXAMPLE, &generate::text(&Scene::new(100, 5)), &loops, &dead] {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => {
                let reason = format!("SKIPPED promtool_finds_nothing_to_say: cannot run `promtool`: {e}\n");
                return io::stderr().write_all(reason.as_bytes());
            }
        };
        child.stdin.take().unwrap().write_all(metrics(text).as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success() && said.is_empty(), "{said}");
    }
    Ok(())
}

/// Waits until the file says so.
fn wait_for(file: &Path, child: &mut Child, condition: impl Fn(&str) -> bool) -> String {
    loop {
        let text = fs::read_to_string(file).unwrap_or_default();
        if condition(&text) {
            return text;
        }
        assert!(child.try_wait().unwrap().is_none(), "it has ended: {text}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_loop_is_followed_through_a_pipe_and_in_a_file() {
    let text = generate::text(&Scene::new(2, 20)).replace("\"mode\":\"count\"", "\"mode\":\"loop\"");
    let records: Vec<&str> = text.split_inclusive('\n').collect();
    let (first, rest) = records.split_at(20);
    for through_pipe in [true, false] {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("follow-{through_pipe}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        let (input, output) = (dir.join("run.jsonl"), dir.join("run.prom"));
        fs::write(&input, first.concat()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_xymonping-report"));
        command.args(["--follow", "--every=0.1"]).arg(format!("--prometheus={}", output.display()));
        if !through_pipe {
            command.arg(&input);
        }
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        if through_pipe {
            pipe.write_all(first.concat().as_bytes()).unwrap();
        }
        let early = wait_for(&output, &mut child, |text| text.contains("requests_total"));
        assert!(!early.contains("run_complete"), "{early}");
        if through_pipe {
            pipe.write_all(rest.concat().as_bytes()).unwrap();
        } else {
            fs::OpenOptions::new().append(true).open(&input).unwrap().write_all(rest.concat().as_bytes()).unwrap();
        }
        drop(pipe);
        // A pipe ends; a file is read until the run has ended.
        assert!(child.wait().unwrap().success());
        assert_eq!(fs::read_to_string(&output).unwrap(), metrics(&text));
    }
}
