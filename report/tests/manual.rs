//! The manual page has every option and exit code of the program, and no other.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::BTreeSet;

use clap::CommandFactory;
use clap_complete::{Shell, generate};
use xymonping_report::cli::Options;
use xymonping_report::read::Reader;

const PAGE: &str = include_str!("../xymonping-report.1");

/// The heads of the items of a section.
fn items(section: &str) -> Vec<&'static str> {
    let text = PAGE.split(&format!(".Sh {section}\n")).nth(1).unwrap();
    let text = text.split("\n.Sh ").next().unwrap();
    text.lines().filter_map(|line| line.strip_prefix(".It ")).collect()
}

/// The options as they stand in the manual page.
fn accepted() -> BTreeSet<String> {
    let mut command = Options::command();
    command.build();
    let item = |option: &clap::Arg| {
        let long = option.get_long().unwrap();
        let value = option.get_value_names().map(|names| names[0].to_lowercase());
        let optional = option.get_num_args().unwrap().min_values() == 0;
        match (option.get_short(), value) {
            (Some(short), _) => format!("Fl {short} , Fl -{long}"),
            (None, Some(value)) if option.get_action().takes_values() && optional => {
                format!("Fl -{long} Ns Oo = Ns Ar {value} Oc")
            }
            (None, Some(value)) if option.get_action().takes_values() => format!("Fl -{long} Ar {value}"),
            (None, _) => format!("Fl -{long}"),
        }
    };
    command.get_arguments().filter(|argument| argument.get_long().is_some()).map(item).collect()
}

#[test]
fn the_manual_has_every_option_and_no_other() {
    let documented: BTreeSet<String> = items("OPTIONS").into_iter().map(str::to_owned).collect();
    assert_eq!(documented, accepted());
}

#[test]
fn the_manual_has_the_right_defaults() {
    for option in Options::command().get_arguments() {
        let [default] = option.get_default_values() else { continue };
        let head = format!(".It Fl -{} ", option.get_long().unwrap());
        let text = PAGE.split(&head).nth(1).unwrap().split("\n.It ").next().unwrap();
        let stated = format!("The default is {}.", default.to_str().unwrap());
        assert!(text.contains(&stated), "{head}: {stated}");
    }
}

#[test]
fn the_manual_has_every_exit_code_and_no_other() {
    assert_eq!(items("EXIT STATUS"), ["0", "2", "3", "4"]);
    let help = Options::command().render_help().to_string();
    let codes = help.split("exit codes: ").nth(1).unwrap().replace('\n', " ");
    let codes: Vec<_> = codes.split("; ").map(|code| code.split(' ').next().unwrap()).collect();
    assert_eq!(codes, ["0", "2", "3", "4"]);
}

#[test]
fn the_manual_has_what_is_said_of_input_that_cannot_be_understood() {
    let lines: Vec<_> = include_str!("data/run.jsonl").lines().collect();
    let target = lines.iter().find(|line| line.starts_with("{\"type\":\"target\"")).unwrap();
    let newer = lines[0].replace("\"schema\":1", "\"schema\":2");
    let mut said = BTreeSet::new();
    for text in ["rubbish", target, &newer] {
        let mut reader = Reader::default();
        reader.begin("hosts.jsonl");
        reader.feed(format!("{text}\n").as_bytes());
        reader.finish();
        said.extend(reader.problems.iter().map(|problem| problem.splitn(3, ": ").nth(2).unwrap().to_owned()));
    }
    assert_eq!(said.len(), 4, "{said:?}");
    for text in said {
        assert!(items("DIAGNOSTICS").iter().any(|head| head.contains(&text)), "DIAGNOSTICS has no item for: {text}");
    }
}

#[test]
fn shells_complete_every_option() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let mut script = Vec::new();
        generate(shell, &mut Options::command(), "xymonping-report", &mut script);
        let script = String::from_utf8(script).unwrap();
        for option in Options::command().get_arguments() {
            assert!(option.get_long().is_none_or(|long| script.contains(long)), "{shell}: {option}");
        }
    }
}
