//! The manual page has every option and exit code of the program, and no other.
//!
//! `xymonping.1` is mdoc(7) source. These items are compared with the table of flags in both
//! directions: in OPTIONS `.It Fl -name` for a long option and `.It Fl x` for a letter, each
//! followed by the name of its value; in EXIT STATUS `.It N`. The items of DIAGNOSTICS are compared
//! with the texts of the messages, as far as these are fixed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};
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

/// The string literals in the implementations of `Display` in a source file.
fn displayed(path: &str) -> Vec<String> {
    fn literals(tokens: TokenStream, found: &mut Vec<String>) {
        for token in tokens {
            match token {
                TokenTree::Group(group) => literals(group.stream(), found),
                TokenTree::Literal(literal) => found.push(literal.to_string()),
                _ => {}
            }
        }
    }
    let path = format!("{}/src/{path}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (mut found, mut before) = (Vec::new(), Vec::new());
    for token in text.parse::<TokenStream>().unwrap_or_else(|e| panic!("{path}: {e}")) {
        match token {
            // The name of the type stands between `for` and the body.
            TokenTree::Group(group) => {
                if before.windows(2).any(|words| words == ["Display", "for"]) {
                    literals(group.stream(), &mut found);
                }
                before.clear();
            }
            token => before.push(token.to_string()),
        }
    }
    assert!(!found.is_empty(), "{path} displays nothing");
    let strings = found.iter().filter_map(|literal| literal.strip_prefix('"')?.strip_suffix('"'));
    let joined = |text: &str| text.split("\\\n").map(str::trim_start).collect::<String>();
    strings.map(|text| joined(text).replace("\\\"", "\"")).collect()
}

/// The fixed parts of a message: its words in front of the hint, without what is filled in.
fn fixed_parts(message: &str) -> Vec<&str> {
    let message = message.split(" (").next().unwrap_or(message);
    let parts = message.split('{').enumerate();
    let parts = parts.map(|(i, part)| if i == 0 { part } else { part.split_once('}').map_or("", |(_, rest)| rest) });
    let parts = parts.map(|part| part.trim_matches([' ', ':', ';', ',', '"']));
    parts.filter(|part| part.contains(char::is_alphabetic)).collect()
}

#[test]
fn the_manual_has_every_message_and_no_other() {
    let sources = ["message.rs", "message/warning.rs", "message/reject.rs", "list/remarks.rs"];
    let messages: Vec<_> = sources.into_iter().flat_map(displayed).collect();
    let heads: Vec<_> = items("DIAGNOSTICS")
        .into_iter()
        .map(|(head, _)| head.trim_matches('"').replace("\\(dq", "\"").replace("\\(aq", "'"))
        .collect();
    let matches = |head: &str, parts: &[&str]| {
        let found = parts.iter().try_fold(head, |rest, part| rest.split_once(part).map(|(_, after)| after));
        !parts.is_empty() && found.is_some()
    };
    let parts: Vec<_> = messages.iter().map(|message| fixed_parts(message)).collect();
    for (message, parts) in messages.iter().zip(&parts).filter(|(_, parts)| !parts.is_empty()) {
        assert!(heads.iter().any(|head| matches(head, parts)), "DIAGNOSTICS has no item for: {message}");
    }
    // Of these the program has only the form: an option or a call, and the kernel's reason.
    let forms = ["--interface=", "opening sockets: "];
    for head in heads.iter().filter(|head| !forms.iter().any(|form| head.starts_with(form))) {
        assert!(parts.iter().any(|parts| matches(head, parts)), "no message of the program is like: {head}");
    }
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
