//! Prints a completion script for the command line of xymonping, from the table of flags:
//! `completions bash`, `zsh` or `fish`.
//!
//! An example rather than an option of the program, because a setuid binary should not contain what
//! only a build needs. Letters without an effect are not completed.

use std::env;
use std::io::{self, Write};

use xymonping::cli::{FLAGS, Flag, Hint, Value, letters};

fn main() -> io::Result<()> {
    let text = match env::args().nth(1).as_deref() {
        Some("bash") => bash(),
        Some("zsh") => zsh(),
        Some("fish") => fish(),
        _ => return Err(io::Error::other("usage: completions bash|zsh|fish")),
    };
    io::stdout().write_all(text.as_bytes())
}

/// A long option or a letter, as typed.
struct Row {
    typed: String,
    value: Value,
    help: String,
}

fn rows() -> Vec<Row> {
    let long =
        |flag: &Flag| Some(Row { typed: format!("--{}", flag.long?), value: flag.value, help: flag.help.to_owned() });
    let short =
        |(short, flag): (char, &Flag)| Row { typed: format!("-{short}"), value: flag.value, help: flag.short_help() };
    FLAGS.iter().filter_map(long).chain(letters().into_iter().map(short)).collect()
}

fn bash() -> String {
    let rows = rows();
    let typed = |matches: fn(Value) -> bool| {
        let rows = rows.iter().filter(|row| matches(row.value));
        rows.map(|row| row.typed.as_str()).collect::<Vec<_>>().join(" | ")
    };
    // A long option with a required value is completed with `=`.
    let words = rows.iter().map(|row| match row.value {
        Value::Required(..) if row.typed.starts_with("--") => format!("{}=", row.typed),
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
        files = typed(|value| matches!(value, Value::Required(_, Hint::File))),
        maybe = typed(|value| matches!(value, Value::Optional(_, Hint::File))),
        interfaces = typed(|value| matches!(value, Value::Required(_, Hint::Interface))),
        nothing = typed(|value| matches!(value, Value::Required(_, Hint::Text))),
        words = words.collect::<Vec<_>>().join(" "),
    )
}

fn zsh() -> String {
    let mut text = "#compdef xymonping\n# Written by packaging/completions.rs.\n\n_arguments -s -S \\\n".to_owned();
    let action = |hint| match hint {
        Hint::File => "_files",
        Hint::Interface => "_net_interfaces",
        Hint::Text => " ",
    };
    for Row { typed, value, help } in rows() {
        // The value of a long option may follow `=`, that of a letter may be attached.
        let (sign, value) = match value {
            Value::None => ("", String::new()),
            Value::Optional(name, hint) => ("=-", format!("::{name}:{}", action(hint))),
            Value::Required(name, hint) => {
                (if typed.starts_with("--") { "=" } else { "+" }, format!(":{name}:{}", action(hint)))
            }
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
    for Row { typed, value, help } in rows() {
        let name = match typed.strip_prefix("--") {
            Some(long) => format!("-l {long}"),
            None => format!("-s {}", typed.trim_start_matches('-')),
        };
        let value = match value {
            // fish cannot express that a value may follow `=` only.
            Value::None | Value::Optional(..) => "",
            Value::Required(_, Hint::File) => " -r -F",
            Value::Required(_, Hint::Interface) => " -x -a '(__fish_print_interfaces)'",
            Value::Required(_, Hint::Text) => " -x",
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

    /// The output of a script in a shell; `None` if that shell is not installed.
    fn run(test: &str, shell: &str, arguments: &[&str], script: &str) -> Option<String> {
        let pipe = Stdio::piped;
        let child = Command::new(shell).args(arguments).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(error) => {
                let _ = writeln!(io::stderr(), "SKIPPED {test}: cannot run `{shell}`: {error}");
                return None;
            }
        };
        child.stdin.take().expect("piped").write_all(script.as_bytes()).expect("the shell reads it");
        let output = child.wait_with_output().expect("the shell ends");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && errors.is_empty(), "{shell}: {errors}");
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    #[test]
    fn every_flag_with_an_effect_is_completed_in_every_shell() {
        let has = |text: &str, name: &str| text.split([' ', '\'', '=', '[', '+', '\n']).any(|word| word == name);
        let (bash, zsh, fish) = (bash(), zsh(), fish());
        let bash = bash.lines().find(|line| line.contains("compgen -W")).expect("a list of words");
        let (_, zsh) = zsh.split_once("_arguments -s -S").expect("a call of _arguments");
        for flag in FLAGS {
            if let Some(long) = flag.long {
                let typed = format!("--{long}");
                assert!(has(bash, &typed) && has(zsh, &typed), "{typed}");
                assert!(fish.contains(&format!(" -l {long} ")), "{typed}");
            }
            if let Some(short) = flag.short {
                let typed = format!("-{short}");
                let has_effect = flag.has_effect();
                assert_eq!((has(zsh, &typed), has(bash, &typed)), (has_effect, has_effect), "{typed}");
                assert_eq!(fish.contains(&format!(" -s {short} ")), has_effect, "{typed}");
            }
        }
    }

    #[test]
    fn bash_completes() {
        const NAME: &str = "bash_completes";
        let complete = |words: &str| {
            // `compopt` works only in an interactive completion.
            let script = format!(
                "set -eu\ncompopt() {{ :; }}\n{}\nCOMP_WORDS=(xymonping {words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
                 _xymonping\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
                bash()
            );
            run(NAME, "bash", &["--norc"], &script)
        };
        let Some(long) = complete("--res") else { return };
        assert_eq!(long, "--responses=\n--resolve\n");
        assert_eq!(complete("--summ").expect("bash"), "--summary\n");
        assert_eq!(complete("--file Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--file = Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--debug = Cargo.t").expect("bash"), "Cargo.toml\n");
        assert_eq!(complete("--interface l").expect("bash"), "lo\n");
        assert_eq!(complete("--retries ''").expect("bash").trim(), "");
        assert_eq!(complete("''").expect("bash").trim(), "");
    }

    #[test]
    fn zsh_parses_the_script() {
        run("zsh_parses_the_script", "zsh", &["-f", "-n"], &zsh());
    }

    #[test]
    fn fish_completes() {
        let script = format!("{}complete -C 'xymonping --retr'\ncomplete -C 'xymonping -'\n", fish());
        if let Some(output) = run("fish_completes", "fish", &["--no-config"], &script) {
            assert!(output.contains("--retries\t") && output.contains("-q\t--quiet"), "{output}");
        }
    }
}
