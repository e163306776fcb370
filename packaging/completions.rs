//! Writes what a shell needs to complete the command line of xymonping, from the table of flags:
//! `completions bash`, `zsh` or `fish`, to standard output.
//!
//! An example and not an option of the program: nothing that only a build needs belongs into a setuid binary. Letters
//! that are accepted without effect are not offered.

use std::env;
use std::io::{self, Write};

use xymonping::cli::{FLAGS, LETTERS};

fn main() -> io::Result<()> {
    let text = match env::args().nth(1).as_deref() {
        Some("bash") => bash(),
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        _ => return Err(io::Error::other("usage: completions bash|zsh|fish")),
    };
    io::stdout().write_all(text.as_bytes())
}

/// What is offered for a value.
#[derive(PartialEq)]
enum Offer {
    /// There is no value.
    NoValue,
    /// Files; the value may be left out.
    MaybeFiles,
    Files,
    Interfaces,
    /// Nothing that a shell could know.
    Nothing,
}

/// A flag or a letter, as it is typed, with its dashes.
struct Row {
    typed: String,
    value: &'static str,
    help: &'static str,
    offer: Offer,
}

fn rows() -> Vec<Row> {
    let row = |typed, value, help| {
        let offer = match value {
            "" => Offer::NoValue,
            "[FILE]" => Offer::MaybeFiles,
            "PATH" => Offer::Files,
            "NAME" => Offer::Interfaces,
            _ => Offer::Nothing,
        };
        Row { typed, value: value.trim_matches(['[', ']']), help, offer }
    };
    let flags = FLAGS.iter().map(|flag| row(format!("--{}", flag.long), flag.value, flag.help));
    let letters = LETTERS.iter().filter(|letter| !letter.help.is_empty());
    flags.chain(letters.map(|letter| row(format!("-{}", letter.short), letter.value, letter.help))).collect()
}

fn bash() -> String {
    let rows = rows();
    let typed = |wanted: &[Offer]| {
        let rows = rows.iter().filter(|row| wanted.contains(&row.offer));
        rows.map(|row| row.typed.as_str()).collect::<Vec<_>>().join(" | ")
    };
    // A long option with a value is offered with the `=` that may stand before it.
    let words = rows.iter().map(|row| match row.offer {
        Offer::NoValue | Offer::MaybeFiles => row.typed.clone(),
        _ if row.typed.starts_with("--") => format!("{}=", row.typed),
        _ => row.typed.clone(),
    });
    format!(
        r#"# bash completion for xymonping; written by packaging/completions.rs.

_xymonping() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} option=${{COMP_WORDS[COMP_CWORD - 1]}} equals=
    COMPREPLY=()
    # In `--file=PATH` the `=` is a word of its own.
    if [[ $cur == = ]]; then
        cur= equals=1
    elif [[ $option == = ]]; then
        option=${{COMP_WORDS[COMP_CWORD - 2]}} equals=1
    fi
    case $option in
    {files})
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        return
        ;;
    {maybe})
        if [[ $equals ]]; then
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
        fi
        ;;
    {interfaces})
        mapfile -t COMPREPLY < <(cd /sys/class/net && compgen -f -- "$cur")
        return
        ;;
    {nothing})
        return
        ;;
    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W '{words}' -- "$cur")
        if [[ ${{COMPREPLY[0]-}} == *= ]]; then
            compopt -o nospace
        fi
    fi
}}

complete -F _xymonping xymonping
"#,
        files = typed(&[Offer::Files]),
        maybe = typed(&[Offer::MaybeFiles]),
        interfaces = typed(&[Offer::Interfaces]),
        nothing = typed(&[Offer::Nothing]),
        words = words.collect::<Vec<_>>().join(" "),
    )
}

fn zsh() -> String {
    let mut text = "#compdef xymonping\n# Written by packaging/completions.rs.\n\n_arguments -s -S \\\n".to_owned();
    for Row { typed, value, help, offer } in rows() {
        // A long option takes its value behind `=` or in the next word, a letter attached or in the next word.
        let sign = match offer {
            Offer::NoValue => "",
            Offer::MaybeFiles => "=-",
            _ if typed.starts_with("--") => "=",
            _ => "+",
        };
        let value = match offer {
            Offer::NoValue => String::new(),
            Offer::MaybeFiles => format!("::{value}:_files"),
            Offer::Files => format!(":{value}:_files"),
            Offer::Interfaces => format!(":{value}:_net_interfaces"),
            Offer::Nothing => format!(":{value}: "),
        };
        let help = help.replace('[', "\\[").replace(']', "\\]").replace('\'', "'\\''");
        text += &format!("    '{typed}{sign}[{help}]{value}' \\\n");
    }
    text + "    '*:address:_hosts'\n"
}

fn fish() -> String {
    let mut text = "# fish completion for xymonping; written by packaging/completions.rs.\n\n\
                    complete -c xymonping -f\n"
        .to_owned();
    for Row { typed, help, offer, .. } in rows() {
        let name = match typed.strip_prefix("--") {
            Some(long) => format!("-l {long}"),
            None => format!("-s {}", typed.trim_start_matches('-')),
        };
        let value = match offer {
            // fish has no way to say that a value may follow `=` only.
            Offer::NoValue | Offer::MaybeFiles => "",
            Offer::Files => " -r -F",
            Offer::Interfaces => " -x -a '(__fish_print_interfaces)'",
            Offer::Nothing => " -x",
        };
        let help = help.replace('\'', "\\'");
        text += &format!("complete -c xymonping {name}{value} -d '{help}'\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    /// Feeds a script to a shell; without that shell there is nothing to see.
    fn ask(test: &str, shell: &str, arguments: &[&str], script: &str) -> Option<String> {
        let pipe = Stdio::piped;
        let child = Command::new(shell).args(arguments).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED {test}: cannot run `{shell}`: {error}");
                return None;
            }
        };
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("the shell reads");
        let output = child.wait_with_output().expect("the shell ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{shell}: {said}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn every_flag_that_does_something_is_offered_in_every_shell() {
        let named = |text: &str, name: &str| text.split([' ', '\'', '=', '[', '+', '\n']).any(|word| word == name);
        let (bash, zsh, fish) = (bash(), zsh(), fish());
        let bash = bash.lines().find(|line| line.contains("compgen -W")).expect("a list of words");
        let (_, zsh) = zsh.split_once("_arguments -s -S").expect("a call of _arguments");
        for flag in FLAGS {
            let typed = format!("--{}", flag.long);
            assert!(named(bash, &typed) && named(zsh, &typed), "{typed}");
            assert!(fish.contains(&format!(" -l {} ", flag.long)), "{typed}");
        }
        for letter in LETTERS {
            let typed = format!("-{}", letter.short);
            let acts = !letter.help.is_empty();
            assert_eq!((named(zsh, &typed), named(bash, &typed)), (acts, acts), "{typed}");
            assert_eq!(fish.contains(&format!(" -s {} ", letter.short)), acts, "{typed}");
        }
    }

    #[test]
    fn bash_completes() {
        const NAME: &str = "bash_completes";
        let complete = |words: &str| {
            // `compopt` works only while bash completes for a person.
            let script = format!(
                "set -eu\ncompopt() {{ :; }}\n{}\nCOMP_WORDS=(xymonping {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
                 _xymonping\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
                bash()
            );
            ask(NAME, "bash", &["--norc"], &script)
        };
        let Some(long) = complete("--re") else { return };
        assert_eq!(long, "--retries=\n--responses=\n");
        assert_eq!(complete("--summ").expect("bash"), "--summary\n");
        assert_eq!(complete("--file Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--file = Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--debug = Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--interface l").expect("bash"), "lo\n");
        assert_eq!(complete("--retries ''").expect("bash").trim(), "");
        assert_eq!(complete("''").expect("bash").trim(), "");
    }

    #[test]
    fn zsh_understands_it() {
        ask("zsh_understands_it", "zsh", &["-f", "-n"], &zsh());
    }

    #[test]
    fn fish_completes() {
        let script = format!("{}complete -C 'xymonping --retr'\ncomplete -C 'xymonping -'\n", fish());
        if let Some(said) = ask("fish_completes", "fish", &["--no-config"], &script) {
            assert!(said.contains("--retries\t") && said.contains("-q\tprint no lines"), "{said}");
        }
    }
}
