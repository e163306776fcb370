//! Output read as clients of fping read it, each by its own rules.

use std::process::{Command, Stdio};

use crate::lab::{self, Behaviour, Lab, Lose, Running};

/// What the command writes to both streams, merged, as clients see it through `2>&1`.
fn merged(lab: &Lab, args: &[&str], stdin: &str) -> String {
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" --as=fping \"$@\" 2>&1", env!("CARGO_BIN_EXE_xymonping")]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let running = lab.inside(|| Running::start_as_is(&mut command)).expect("there is a shell");
    running.feed(stdin);
    running.finish(lab::LIMIT).stdout
}

/// Zabbix: the first word of a line, or with `-dA` what the first brackets hold, is the address;
/// `[i]` marks probe i as answered if the line does not say ` timed out `; column i of the line
/// without brackets counts if probe i is marked.
fn zabbix(output: &str, address: &str, in_brackets: bool) -> Vec<f64> {
    assert!(!output.lines().next().unwrap_or_default().contains(" error:"), "{output}");
    let mut answered = Vec::new();
    let mut times = Vec::new();
    for line in output.lines().filter(|line| line.contains(" : ") && !line.contains("duplicate for")) {
        let found = match in_brackets {
            true => line.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map(|(address, _)| address),
            false => line.split(' ').next(),
        };
        if found != Some(address) {
            continue;
        }
        let (_, rest) = line.split_once(" : ").expect("it was looked for");
        match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((probe, rest)) if !rest.contains(" timed out ") => {
                answered.push(probe.parse::<usize>().expect("it is a number"));
            }
            Some(_) => {}
            None => {
                let columns = rest.split(' ').enumerate().filter(|(column, _)| answered.contains(column));
                times.extend(columns.map(|(_, time)| time.parse::<f64>().expect("it is a number")));
            }
        }
    }
    times
}

#[test]
fn zabbix_reads_all_answers() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::Numbers([2].into()), copies: 2, ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour::silent());
        let output = merged(lab, &["-C3", "-p50", "-b68", "-t1000", "-i0"], "10.0.0.1\n10.0.0.2\n10.0.0.3\n");
        for (address, answers) in [("10.0.0.1", 2), ("10.0.0.2", 0), ("10.0.0.3", 3)] {
            assert_eq!(zabbix(&output, address, false).len(), answers, "{address}: {output}");
        }
        let output = merged(lab, &["-C2", "-p50", "-t1000", "-dA", "-i0"], "127.0.0.1\n");
        assert_eq!(zabbix(&output, "127.0.0.1", true).len(), 2, "{output}");
        // How it finds out which options there are: an answer is short, and begins with the
        // address.
        for args in [&["-c1", "-t1000", "-i0"][..], &["-4", "-c1", "-t1000"]] {
            let output = merged(lab, args, "127.0.0.1");
            assert!(output.len() < 1024 && output.starts_with("127.0.0.1"), "{output}");
        }
        assert!(merged(lab, &["-h"], "").len() > 1024);
    });
}

/// LibreNMS: the last line is `NAME : xmt/rcv/%loss = X/R/L%`, with `, min/avg/max = A/B/C` unless
/// all is lost. Returns sent, received, loss, and the mean.
fn librenms(output: &str) -> Option<(u32, u32, u32, Option<f64>)> {
    let (_, figures) = output.lines().last()?.split_once(" : xmt/rcv/%loss = ")?;
    let (counts, times) = match figures.split_once("%, min/avg/max = ") {
        Some((counts, times)) => (counts, Some(times)),
        None => (figures.strip_suffix('%')?, None),
    };
    let counts: Vec<u32> = counts.split('/').map(|count| count.parse().ok()).collect::<Option<_>>()?;
    let times = times.map(|times| times.split('/').map(|time| time.parse().ok()).collect::<Option<Vec<f64>>>());
    match (&counts[..], times) {
        (&[sent, received, loss], None) if loss == 100 => Some((sent, received, loss, None)),
        (&[sent, received, loss], Some(Some(times))) if times.len() == 3 => {
            Some((sent, received, loss, Some(times[1])))
        }
        _ => None,
    }
}

#[test]
fn librenms_reads_the_last_line_and_one_for_each_of_a_list() {
    lab::play(|lab| {
        lab.host("10.0.0.1", Behaviour { lose: Lose::Numbers([2].into()), ..Behaviour::default() });
        lab.host("10.0.0.2", Behaviour::silent());
        let poll = |host| merged(lab, &["-4", "-e", "-q", "-c", "3", "-p", "200", "-t", "1000", "-O", "0", host], "");
        let output = poll("10.0.0.1");
        assert!(matches!(librenms(&output), Some((3, 2, 33, Some(mean))) if mean > 0.0), "{output}");
        let output = poll("10.0.0.2");
        assert_eq!(librenms(&output), Some((3, 0, 100, None)), "{output}");
        let list = "10.0.0.1\n10.0.0.2\nno!name\n";
        let output = merged(lab, &["-4", "-f", "-", "-t", "1000", "-r", "1", "-O", "0"], list);
        let mut lines: Vec<&str> = output.lines().collect();
        lines.sort_unstable();
        let expected = ["10.0.0.1 is alive", "10.0.0.2 is unreachable", "no!name: Name or service not known"];
        assert_eq!(lines, expected);
    });
}

#[test]
fn cake_autorate_reads_twelve_words() {
    lab::play(|lab| {
        let options = ["--timestamp", "--count=2", "--period", "100", "--interval", "5", "--timeout", "10000"];
        let output = merged(lab, &[&options[..], &["10.0.0.1"]].concat(), "");
        for line in output.lines().take(2) {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(words.len(), 12, "{line}");
            let stamp = words[0].trim_matches(['[', ']']).split_once('.');
            assert!(stamp.is_some_and(|(seconds, decimals)| (seconds.len(), decimals.len()) == (10, 5)), "{line}");
            assert!(words[6].parse::<f64>().is_ok(), "{line}");
        }
    });
}
