//! The manual page has every option and exit code of the program, and no other.
//!
//! `xymonping.1` is mdoc(7) source. These items are compared with the table of flags in both
//! directions: in OPTIONS `.It Fl -name` for a long option and `.It Fl x` for a letter, each
//! followed by the name of its value; in EXIT STATUS `.It N`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use xymonping::cli::{FLAGS, GROUPS, Value, letters};
use xymonping::message::Exit;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/xymonping.1");

/// The head of every item in a section (what follows `.It`), and the text below it.
fn items(section: &str) -> Vec<(String, String)> {
    let page = fs::read_to_string(PAGE).unwrap_or_else(|e| panic!("{PAGE}: {e}"));
    let mut lines = page.lines().skip_while(|line| *line != format!(".Sh {section}"));
    assert!(lines.next().is_some(), "the manual has no section {section}");
    let mut items: Vec<(String, String)> = Vec::new();
    for line in lines.take_while(|line| !line.starts_with(".Sh ")) {
        match (line.strip_prefix(".It "), items.last_mut()) {
            (Some(head), _) => items.push((head.to_owned(), String::new())),
            (None, Some((_, text))) => *text = format!("{text}{line}\n"),
            (None, None) => {}
        }
    }
    items
}

/// The documented options: name (with one dash less than typed) -> name of its value, in brackets
/// if it is optional, and text.
fn options() -> BTreeMap<String, (String, String)> {
    let mut options = BTreeMap::new();
    for (head, text) in items("OPTIONS") {
        let words: Vec<_> = head.split(' ').collect();
        let (name, value) = match words.as_slice() {
            ["Fl", name] => (name, String::new()),
            ["Fl", name, "Ar", value] if !name.starts_with('-') => (name, (*value).to_owned()),
            ["Fl", name, "Ns", "=", "Ns", "Ar", value] if name.starts_with('-') => (name, (*value).to_owned()),
            ["Fl", name, "Ns", "Oo", "=", "Ns", "Ar", value, "Oc"] if name.starts_with('-') => {
                (name, format!("[{value}]"))
            }
            _ => panic!("an item in OPTIONS is not an option: .It {head}"),
        };
        let known = options.insert((*name).to_owned(), (value, text));
        assert!(known.is_none(), "the manual has {name} twice");
    }
    options
}

#[test]
fn the_manual_has_every_option_and_no_other() {
    let documented: BTreeMap<_, _> = options().into_iter().map(|(name, (value, _))| (name, value)).collect();
    let mut accepted = BTreeMap::new();
    for flag in FLAGS {
        let value = match flag.value {
            Value::None => String::new(),
            Value::Optional(value, _) => format!("[{value}]"),
            Value::Required(value, _) => value.to_owned(),
        };
        let names = [flag.long.map(|long| format!("-{long}")), flag.short.map(String::from)];
        assert!(names.iter().any(Option::is_some), "an option has no name");
        for name in names.into_iter().flatten() {
            assert!(accepted.insert(name, value.clone()).is_none(), "the table has an option twice");
        }
    }
    for (name, value) in &accepted {
        assert_eq!(documented.get(name), Some(value), "-{name} in the manual");
    }
    for name in documented.keys() {
        assert!(accepted.contains_key(name), "-{name} is in the manual only");
    }
}

#[test]
fn the_manual_has_the_right_defaults() {
    let options = options();
    for flag in FLAGS {
        let Some(long) = flag.long else {
            assert!(flag.default.is_none(), "a letter has a default");
            continue;
        };
        let (_, text) = options.get(&format!("-{long}")).unwrap_or_else(|| panic!("no --{long}"));
        let stated = text.lines().find_map(|line| line.strip_prefix("The default is ")?.strip_suffix('.'));
        let default = flag.default.map(|default| default());
        assert_eq!(stated, default.as_deref(), "--{long}");
    }
}

#[test]
fn the_manual_has_the_groups_of_the_help_text() {
    let page = fs::read_to_string(PAGE).unwrap_or_else(|e| panic!("{PAGE}: {e}"));
    let options = page.lines().skip_while(|line| *line != ".Sh OPTIONS").skip(1);
    let mut groups: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in options.take_while(|line| !line.starts_with(".Sh ")) {
        if let Some(title) = line.strip_prefix(".Ss ") {
            groups.push((title, Vec::new()));
        } else if let (Some(option), Some((_, names))) = (line.strip_prefix(".It Fl -"), groups.last_mut()) {
            names.extend(option.split(' ').next());
        }
    }
    assert_eq!(groups.pop(), Some(("Letters", Vec::new())));
    let expected: Vec<_> = GROUPS.iter().map(|(title, names)| (*title, names.to_vec())).collect();
    assert_eq!(groups, expected);
}

#[test]
fn letters_refer_to_their_long_options() {
    let options = options();
    for (short, flag) in letters() {
        let help = flag.short_help();
        let Some(long) = help.strip_prefix("--") else { continue };
        let long = long.split(',').next().unwrap_or(long);
        let (_, text) = options.get(&short.to_string()).unwrap_or_else(|| panic!("no -{short}"));
        assert!(FLAGS.iter().any(|flag| flag.long == Some(long)), "--{long}");
        assert!(text.contains(&format!(".Fl -{long}")), "-{short}: {text}");
    }
}

#[test]
fn the_manual_has_every_exit_code_and_no_other() {
    let codes = [Exit::Success, Exit::Unreachable, Exit::Rejected, Exit::Usage, Exit::Failure];
    let documented: Vec<_> = items("EXIT STATUS").into_iter().map(|(head, _)| head).collect();
    assert_eq!(documented, codes.map(|code| (code as u8).to_string()));
}

#[test]
fn the_foot_of_each_page_has_the_version_and_no_other_system() {
    for (page, name) in [
        ("xymonping.1", "xymonping"),
        ("fping.1", "xymonping"),
        ("packaging/xymonping-privilege.8", "xymonping"),
        ("report/xymonping-report.1", "xymonping-report"),
    ] {
        let path = format!("{}/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let foot = format!("\n.ds doc-default-operating-system {name} {}\n.Os\n", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&foot), "{page} has no line of groff's with {}", foot.trim());
    }
}

#[test]
fn mandoc_reports_no_errors() -> io::Result<()> {
    assert!(Path::new(PAGE).exists(), "no {PAGE}");
    match Command::new("mandoc").args(["-Tlint", PAGE]).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            // These depend on which other manuals are installed.
            let irrelevant = ["referenced manual not found", "outdated mandoc.db"];
            let errors: Vec<_> =
                text.lines().filter(|line| !irrelevant.iter().any(|error| line.contains(error))).collect();
            assert!(errors.is_empty(), "{errors:#?}");
            Ok(())
        }
        Err(e) => {
            let reason = format!("SKIPPED mandoc_reports_no_errors: cannot run `mandoc`: {e}\n");
            io::stderr().write_all(reason.as_bytes())
        }
    }
}
