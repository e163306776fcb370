//! Pictures of ordinary and of hard runs. How they look has to be looked at; this is what can be
//! said without: they are well-formed, small enough, complete, and nothing is drawn where it is not
//! seen.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

#[path = "runs/generate.rs"]
mod generate;

use std::collections::BTreeSet;

use generate::{Behaviour, Scene};
use roxmltree::Document;
use xymonping_report::svg::svg;

const EXAMPLE: &str = include_str!("data/run.jsonl");

/// All words of a picture.
fn words(text: &str) -> String {
    let document = Document::parse(text).unwrap();
    document.descendants().filter(|node| node.is_text()).filter_map(|node| node.text()).collect::<Vec<_>>().join("\n")
}

fn check(text: &str, what: &str) {
    assert!(text.len() < 600_000, "{what}: {} bytes", text.len());
    let document = Document::parse(text).unwrap_or_else(|error| panic!("{what}: {error}"));
    let root = document.root_element();
    let height: f64 = root.attribute("height").unwrap().parse().unwrap();
    let style = document.descendants().find(|node| node.has_tag_name("style")).unwrap().text().unwrap();
    let mut classes = BTreeSet::new();
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        classes.extend(
            node.attribute("class").unwrap_or("").split(' ').filter(|class| !matches!(*class, "" | "xp" | "head")),
        );
        let number = |name: &str| node.attribute(name).map(|value| value.parse::<f64>().unwrap());
        for (place, length, end) in [("x", "width", 1200.0), ("y", "height", height)] {
            let (place, length) = (number(place).unwrap_or(0.0), number(length).unwrap_or(0.0));
            assert!(place >= -0.1 && length >= 0.0 && place + length <= end + 0.2, "{what}: {node:?}");
        }
    }
    for class in classes {
        assert!(
            style.contains(&format!(".{class}{{")) || style.contains(&format!(".{class},")),
            "{what}: no colour for {class}"
        );
    }
    for word in ["NaN", "inf"] {
        let numbers = document.descendants().flat_map(|node| node.attributes()).filter(|a| a.name() != "aria-label");
        assert!(!numbers.map(|attribute| attribute.value()).any(|value| value.contains(word)), "{what}: {word}");
    }
}

#[test]
fn every_run_has_a_picture_that_is_well_formed_and_small() {
    let behaviours =
        [Behaviour::Ordinary, Behaviour::Dead, Behaviour::NearAndFar, Behaviour::OneAnswer, Behaviour::Noisy];
    for (place, behaviour) in behaviours.into_iter().enumerate() {
        for (targets, count) in [(1, 1), (1, 700), (2, 30), (24, 150), (25, 20), (400, 8), (1000, 3), (1001, 2)] {
            for packets in [true, false] {
                let scene = Scene { behaviour, packets, label: 60, seed: place as u64, ..Scene::new(targets, count) };
                let text = svg(&generate::runs(&generate::text(&scene)));
                check(&text, &format!("behaviour {place}, {targets} targets, {count} probes, packets {packets}"));
            }
        }
    }
}

#[test]
fn the_largest_pictures_are_small_too() {
    for (targets, count) in [(24, 600), (1000, 70)] {
        let scene = Scene { behaviour: Behaviour::Noisy, label: 60, ..Scene::new(targets, count) };
        check(&svg(&generate::runs(&generate::text(&scene))), &format!("{targets} targets"));
    }
}

#[test]
fn a_picture_says_what_it_shows() {
    let text = words(&svg(&generate::runs(EXAMPLE)));
    for expected in [
        "3 targets: 1 alive, 1 unreachable, 1 unsent",
        "core · 2026-11-26 10:36:00 UTC",
        "20 sent, 10 lost (50.0 %) · n = 10",
        "old printer",
        "unreachable: icmp-error",
        "unsent: send-error",
        "p10–p90",
        "100 %",
        "365 µs",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let cut = EXAMPLE.split("{\"type\":\"end\"").next().unwrap();
    assert!(words(&svg(&generate::runs(cut))).contains("cut off"));
    let empty: String =
        EXAMPLE.lines().filter(|line| !line.contains("\"target\":\"")).map(|line| format!("{line}\n")).collect();
    assert!(words(&svg(&generate::runs(&empty))).contains("no targets"));
    assert!(words(&svg(&[])).contains("no targets"));
    // Names may be anything.
    let odd = EXAMPLE.replace("old printer", r#"<b>&amp;\"]]>\u0000\u001b\uffff 名前"#);
    let text = svg(&generate::runs(&odd));
    check(&text, "odd names");
    assert!(words(&text).contains("<b>&amp;\"]]> 名前"));
}

#[test]
fn the_same_run_gives_the_same_picture() {
    let text = generate::text(&Scene::new(3, 900));
    assert_eq!(svg(&generate::runs(&text)), svg(&generate::runs(&text)));
}

#[test]
fn runs_of_one_name_are_added_up_and_others_are_compared() {
    let first = generate::text(&Scene::new(3, 30));
    let later = first.replace("T10:", "T11:");
    let text = words(&svg(&generate::runs(&(first.clone() + &later))));
    assert!(text.contains("3 targets: 3 alive") && text.contains("180 sent"), "{text}");
    assert!(text.contains("1 h 00 min"), "{text}");
    // Without packets each run is a column.
    let alone = |text: &str| {
        text.lines().filter(|line| !line.contains("\"probe\"")).map(|line| format!("{line}\n")).collect::<String>()
    };
    let picture = words(&svg(&generate::runs(&(alone(&first) + &alone(&later)))));
    assert!(picture.contains("2 h 00 min") && picture.contains("after 1 h 00 min: 30 sent"), "{picture}");
    assert!(words(&svg(&generate::runs(&alone(&first)))).contains("nothing is known over time"));
    let other = later.replace("\"core\"", "\"edge\"");
    let text = words(&svg(&generate::runs(&(first + &other))));
    assert!(
        text.contains("6 targets: 6 alive") && text.contains("core: router0") && text.contains("edge: router0"),
        "{text}"
    );
}
