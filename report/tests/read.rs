//! What is read, and what is said of input that cannot be understood.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "runs/generate.rs"]
mod generate;

use generate::{Behaviour, Scene};
use serde_json::Value;
use xymonping_report::read::{MAX_LINE, Reader};
use xymonping_report::record::State;

const EXAMPLE: &str = include_str!("data/run.jsonl");

/// Reads it in pieces of this size.
fn read_in_pieces(bytes: &[u8], size: usize) -> Reader {
    let mut reader = Reader::default();
    reader.begin("input");
    bytes.chunks(size).for_each(|piece| reader.feed(piece));
    reader.finish();
    reader
}

fn read(text: &str) -> Reader {
    read_in_pieces(text.as_bytes(), text.len().max(1))
}

#[test]
fn the_example_is_read_whole_in_pieces_of_any_size() {
    for size in [1, 7, 100, EXAMPLE.len()] {
        let reader = read_in_pieces(EXAMPLE.as_bytes(), size);
        assert_eq!(reader.problems, [] as [&str; 0]);
        let run = &reader.runs[0];
        assert_eq!((run.name(), run.rejected.len(), run.end.as_ref().unwrap().exit), ("core", 1, 0));
        let rows = run.rows();
        let states: Vec<_> = rows.iter().map(|row| row.target.state).collect();
        assert_eq!(states, [State::Unreachable, State::Unsent, State::Alive]);
        assert_eq!(rows[2].target.percentile(90_000), Some(402_200));
        assert_eq!(rows[1].target.loss(), None);
    }
}

#[test]
fn every_problem_is_named_by_its_line_and_the_rest_is_shown() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines.insert(place, line);
        lines.join("\n") + "\n"
    };
    let long = format!("{{\"type\":\"{}\"}}", "x".repeat(MAX_LINE));
    let newer = lines[0].replace("\"schema\":1", "\"schema\":2");
    for (text, expected) in [
        (with(3, "no JSON"), "input: line 4: expected ident (column 2)"),
        (with(3, "{\"type\":\"reply\"}"), "input: line 4: missing field `time` (column 16)"),
        (
            with(3, &lines[1].replace("365100", "\"365100\"")),
            "input: line 4: invalid type: string \"365100\", expected u64",
        ),
        (with(3, &lines[5].replace("alive", "well")), "input: line 4: unknown variant `well`, expected one of"),
        (with(3, "\u{fffd}\u{0}"), "input: line 4: expected value (column 1)"),
        (with(3, &long), "input: line 4: longer than 16 MiB"),
        (EXAMPLE.replace(lines[0], &newer), "input: line 1: schema 2, but this program knows 1"),
    ] {
        let reader = read(&text);
        assert_eq!(reader.problems.len(), 1, "{:?}", reader.problems);
        assert!(reader.problems[0].starts_with(expected), "{:?}", reader.problems);
        assert_eq!(reader.runs.len(), 1, "{expected}");
        assert_eq!(reader.runs[0].rows().len(), 3, "{expected}");
        assert!(reader.runs[0].end.is_some(), "{expected}");
    }
    // What may come with a newer version is no problem.
    for line in ["{\"type\":\"weather\",\"sun\":true}", "", "  ", "{\"new\":[1,{\"a\":2}],\"type\":\"other\"}"] {
        assert_eq!(read(&with(3, line)).problems, [] as [&str; 0]);
    }
    let new_keys = EXAMPLE.replace("\"line\":", "\"depth\":{\"a\":[1]},\"line\":");
    assert_eq!(read(&new_keys).problems, [] as [&str; 0]);
    let many = read(&"?\n".repeat(1000));
    assert_eq!((many.problems.len(), many.more_problems), (10, 990));
}

#[test]
fn input_that_is_cut_off_anywhere_is_shown_as_far_as_it_goes() {
    let text = generate::text(&Scene::new(3, 20));
    for length in (0..text.len()).step_by(97) {
        let reader = read(&text[..length]);
        // A line that lacks its newline only is whole.
        let at_line_end = text[..length].ends_with('\n') || text[length..].starts_with('\n') || length == 0;
        let has_start = text[..length].contains('\n') || text[length..].starts_with('\n');
        let expected = usize::from(has_start) + usize::from(!at_line_end);
        assert_eq!(reader.problems.len(), expected, "{length}: {:?}", reader.problems);
        if has_start {
            assert!(reader.runs[0].end.is_none());
            assert!(reader.problems.last().unwrap().contains("no `end` record"), "{:?}", reader.problems);
        }
    }
    // Without the records of targets their figures come from the packets.
    let packets = text.split("{\"type\":\"target\"").next().unwrap();
    let (whole, cut) = (read(&text), read(packets));
    for row in whole.runs[0].rows() {
        let rows = cut.runs[0].rows();
        let estimate = &rows.iter().find(|other| other.target.target == row.target.target).unwrap().target;
        let known =
            (row.target.sent, row.target.lost, row.target.rtt_min_ns, row.target.rtt_mean_ns, row.target.rtt_max_ns);
        let (sent, lost) = (estimate.sent, estimate.lost);
        assert_eq!((sent, lost, estimate.rtt_min_ns, estimate.rtt_mean_ns, estimate.rtt_max_ns), known);
        // Silence proves nothing then.
        assert_ne!(estimate.state, State::Unreachable);
    }
}

#[test]
fn probes_are_counted_where_they_were_sent() {
    for behaviour in [Behaviour::Ordinary, Behaviour::Dead, Behaviour::NearAndFar, Behaviour::OneAnswer] {
        for (targets, count) in [(1, 1), (1, 1000), (30, 50), (1001, 3)] {
            let reader = read(&generate::text(&Scene { behaviour, ..Scene::new(targets, count) }));
            let run = &reader.runs[0];
            for row in run.rows() {
                let bins = &row.series.unwrap().bins;
                let sum = |figure: fn(&xymonping_report::series::Bin) -> u32| bins.iter().map(figure).sum::<u32>();
                assert_eq!(u64::from(sum(|bin| bin.answered)), row.target.received);
                assert_eq!(u64::from(sum(|bin| bin.lost)), row.target.lost);
                if count < 60 {
                    assert_eq!(bins.len(), count, "one probe is one bin");
                }
            }
        }
    }
}

#[test]
fn intervals_and_values_stand_in_for_packets() {
    let packets = generate::text(&Scene::new(5, 600));
    let intervals = generate::text(&Scene { packets: false, intervals: true, ..Scene::new(5, 600) });
    let (packets, intervals) = (read(&packets), read(&intervals));
    let lost = |reader: &Reader| -> Vec<(String, u32)> {
        let rows = reader.runs[0].rows();
        let bins = |row: &xymonping_report::run::Row<'_>| row.series.unwrap().bins.iter().map(|bin| bin.lost).sum();
        rows.iter().map(|row| (row.target.target.clone(), bins(row))).collect()
    };
    assert_eq!(lost(&packets), lost(&intervals));
    assert_eq!(intervals.runs[0].bins(), 10);

    let values = EXAMPLE.replace("\"rtt_p10_ns\":341200", "\"rtts_ns\":[365100,null,400000],\"rtt_p10_ns\":341200");
    let values: String =
        values.lines().filter(|line| !line.contains("reply")).map(|line| format!("{line}\n")).collect();
    let reader = read(&values);
    let rows = reader.runs[0].rows();
    let bins = &rows[2].series.unwrap().bins;
    let probes: Vec<_> = bins.iter().map(|bin| (bin.answered, bin.lost)).collect();
    assert_eq!(probes, [(1, 0), (0, 1), (1, 0)]);
}

#[test]
fn a_late_answer_takes_its_loss_back() {
    let late = |probe: u64, time: &str| {
        format!(
            r#"{{"type":"late","time":"{time}","target":"192.0.2.1","label":"","probe":{probe},"seq":1,"bytes":64,"ttl":62,"rtt_ns":6000000000,"from":null}}"#
        )
    };
    let timeout = |probe: u64, time: &str| {
        format!(r#"{{"type":"timeout","time":"{time}","target":"192.0.2.1","label":"","probe":{probe}}}"#)
    };
    let lines = [
        EXAMPLE.lines().next().unwrap().to_owned(),
        timeout(0, "2026-11-26T10:36:05.100000Z"),
        late(0, "2026-11-26T10:36:06.100000Z"),
        timeout(1, "2026-11-26T10:36:06.100000Z"),
    ];
    let reader = read(&(lines.join("\n") + "\n"));
    let rows = reader.runs[0].rows();
    let target = &rows[0].target;
    assert_eq!((target.sent, target.late, target.lost), (2, 1, 1));
    let bins: Vec<_> = rows[0].series.unwrap().bins.iter().map(|bin| (bin.answered, bin.lost)).collect();
    assert_eq!(bins, [(1, 0), (0, 1)]);
}

#[test]
fn a_run_and_a_label_may_be_null() {
    let text = EXAMPLE.replace("\"run\":\"core\"", "\"run\":null").replace("\"label\":\"web01\"", "\"label\":null");
    let reader = read(&text);
    assert_eq!(reader.problems, [] as [&str; 0]);
    assert_eq!((reader.runs[0].name(), reader.runs[0].records()), ("", 3));
    assert!(reader.runs[0].end.is_some());
}

#[test]
fn several_runs_are_kept_apart() {
    let two = format!("{EXAMPLE}{}", EXAMPLE.replace("\"core\"", "\"edge\""));
    let reader = read(&two);
    assert_eq!(reader.problems, [] as [&str; 0]);
    assert_eq!(
        reader.runs.iter().map(|run| (run.name(), run.records())).collect::<Vec<_>>(),
        [("core", 3), ("edge", 3)]
    );
    // A run that was cut off before the next one is named.
    let cut: String = two
        .lines()
        .filter(|line| !line.contains("\"run\":\"core\"") || line.contains("start"))
        .collect::<Vec<_>>()
        .join("\n");
    let reader = read(&cut);
    assert_eq!(reader.problems.len(), 1, "{:?}", reader.problems);
    assert_eq!(reader.runs.len(), 2);
}

#[test]
fn made_up_records_are_those_of_the_schema() {
    let schema: Value = serde_json::from_str(include_str!("../../packaging/run.schema.json")).unwrap();
    let of_kind = |kind: &Value| {
        let all = schema["oneOf"].as_array().unwrap().iter();
        all.map(|one| one.as_object().unwrap()).find(|one| {
            let kinds = &one["properties"]["type"];
            kinds["enum"].as_array().is_some_and(|kinds| kinds.contains(kind)) || kinds["const"] == *kind
        })
    };
    let intervals = generate::text(&Scene { intervals: true, ..Scene::new(3, 60) });
    for line in EXAMPLE.lines().chain(intervals.lines()) {
        let record: Value = serde_json::from_str(line).unwrap();
        let one = of_kind(&record["type"]).unwrap_or_else(|| panic!("no such type: {line}"));
        for key in one["required"].as_array().unwrap() {
            assert!(record.get(key.as_str().unwrap()).is_some(), "no {key}: {line}");
        }
    }
}
