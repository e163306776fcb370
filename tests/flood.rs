//! `--flood` and `--preload`: probes follow each other at once, for root only, and no answer hides
//! a loss.

mod lab;

use std::ffi::OsString;

use lab::{Behaviour, Finished, Lose, ms};
use xymonping::cli::{self, Request};
use xymonping::limits::Limits;

const ALIVE: &str = "10.0.0.1";

/// How many dots and backspaces are in front of the figures.
fn signs(outcome: &Finished) -> (usize, usize) {
    let line = outcome.lines()[0];
    assert!(line.bytes().all(|byte| matches!(byte, b'.' | b'\x08')), "{outcome:?}");
    (line.matches('.').count(), line.matches('\x08').count())
}

/// Sent and received, in the figures of the only target.
fn counts(outcome: &Finished) -> Vec<&str> {
    let row = outcome.stdout.lines().find(|line| line.starts_with(ALIVE));
    row.unwrap_or_default().split_whitespace().skip(1).take(2).collect()
}

#[test]
fn an_answer_is_followed_by_the_next_probe() {
    lab::play(|lab| {
        let outcome = lab.run(&["--flood", "--count=300", ALIVE], "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let seen = lab.seen();
        // On a busy machine turns may be left out, which is said.
        let sent = seen.len();
        assert!(sent == 300 || sent > 1 && outcome.stderr.contains("left out: "), "{outcome:?}");
        let number = sent.to_string();
        assert_eq!((signs(&outcome), counts(&outcome)), ((sent, sent), vec![number.as_str(); 2]));
        let gaps = seen.windows(2).map(|pair| pair[1].time - pair[0].time);
        assert!(gaps.filter(|gap| *gap < ms(9)).count() > 0, "not one came sooner than without an answer");
    });
}

#[test]
fn the_dots_of_lost_probes_stay_and_duplicates_take_none_back() {
    lab::play(|lab| {
        lab.host(ALIVE, Behaviour { copies: 2, lose: Lose::First(20), ..Behaviour::default() });
        let outcome = lab.run(&["--flood", "--count=60", "--timeout=200ms", ALIVE], "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let sent = lab.seen().len();
        assert!(sent > 20, "{outcome:?}");
        let (all, answered) = (sent.to_string(), (sent - 20).to_string());
        let expected = ((sent, sent - 20), vec![all.as_str(), answered.as_str()]);
        assert_eq!((signs(&outcome), counts(&outcome)), expected, "{outcome:?}");
        let quiet = lab.run(&["--flood", "--quiet", "--count=4", ALIVE], "");
        assert!(quiet.stdout.starts_with("target "), "{quiet:?}");
    });
}

#[test]
fn the_first_probes_leave_at_once() {
    lab::play(|lab| {
        let args = ["--count=4", "--preload=3", "--period=1", "--max-pps=1000", "--timeout=500ms"];
        let outcome = lab.run(&[&args[..], &[ALIVE]].concat(), "");
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        assert_eq!(counts(&outcome), ["4", "4"]);
        let times: Vec<_> = lab.seen().iter().map(|seen| seen.time).collect();
        assert_eq!(times.len(), 4);
        assert!(times[3] - times[0] >= ms(500), "the last one waits for its turn: {times:?}");
        assert!(times[2] - times[0] < times[3] - times[2], "{times:?}");
        lab.forget();
        // Not more than there are.
        let outcome = lab.run(&["--count=2", "--preload=5", "--max-pps=1000", ALIVE], "");
        assert_eq!(counts(&outcome), ["2", "2"]);
        assert_eq!(lab.seen().len(), 2);
    });
}

#[test]
fn both_are_for_root_and_for_statistics() {
    let refusal = |args: &[&str], limits| match cli::parse(args.iter().map(OsString::from), limits).request {
        Err(error) => error.to_string(),
        Ok(Request::Run(_)) => String::new(),
        Ok(other) => panic!("{other:?}"),
    };
    for (args, words) in [
        (&["--flood", "--count=3"][..], "--flood: for root only (leave it out)"),
        (&["--preload=2", "--loop"], "--preload: for root only (leave it out)"),
        (&["--preload=1", "--loop"], ""),
    ] {
        assert_eq!(refusal(args, &Limits::ORDINARY), words, "{args:?}");
        assert_eq!(refusal(args, &Limits::ROOT), "", "{args:?}");
    }
    for option in ["--flood", "--preload"] {
        let given = if option == "--flood" { "--flood" } else { "--preload=2" };
        assert_eq!(refusal(&[given], &Limits::ROOT), format!("{option}: needs --count or --loop (add one of them)"));
    }
    for other in ["--period=1", "-p10", "--packed", "--bell=missed", "--show-lost", "--timestamps", "--stop-after=1"] {
        let words = refusal(&["--loop", "--flood", other], &Limits::ROOT);
        assert!(words.starts_with("--flood: cannot be combined with "), "{other}: {words}");
    }
    for value in ["0", "65536", "x"] {
        let words = refusal(&["--loop", &format!("--preload={value}")], &Limits::ROOT);
        assert!(words.starts_with("--preload: bad value "), "{words}");
    }
}

#[test]
fn groups_are_not_flooded() {
    lab::play(|lab| {
        let outcome = lab.run(&["--flood", "--count=3", "--multicast-interface=lab0", "239.1.2.3"], "");
        let words = "xymonping: --flood: cannot be combined with multicast targets (leave out one of them)\n";
        assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(3), words), "{outcome:?}");
        assert!(lab.seen().is_empty());
    });
}
