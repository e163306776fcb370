//! The text of `--help`, from the table of flags: options in groups, no line wider than a terminal.

use std::fmt::{self, Display, Formatter};

use crate::cli::flag::{Flag, Value};
use crate::cli::flags::FLAGS;
use crate::cli::letters;
use crate::message::Exit;

/// The groups of the long options, in the help text and in the manual page: title and names.
pub const GROUPS: &[(&str, &[&str])] = &[
    ("Targets", &["file", "generate", "ipv4", "ipv6", "shuffle", "list-errors"]),
    ("Batch runs", &["retries", "timeout", "backoff", "responses", "max-pps", "threads", "deadline", "reference"]),
    (
        "Statistics",
        &[
            "count",
            "loop",
            "period",
            "late",
            "stop-after",
            "reachable",
            "report-every",
            "quiet",
            "show-lost",
            "timestamps",
            "packed",
            "unit",
            "percentiles",
            "percentiles-of",
            "rtt-of",
            "exact",
            "values",
            "worst",
            "histogram",
            "bell",
            "preload",
            "flood",
        ],
    ),
    ("Host names", &["resolve", "prefer", "all-addresses", "names"]),
    (
        "Packets",
        &[
            "size",
            "dont-fragment",
            "pattern",
            "ttl",
            "tos",
            "source",
            "interface",
            "check-source",
            "find-mtu",
            "icmp-timestamp",
            "icmp-mask",
            "dont-route",
            "record-route",
            "multicast-ttl",
            "multicast-interface",
            "no-multicast-loop",
        ],
    ),
    ("Output", &["json", "run-name", "icmp-errors", "summary", "exit-status", "debug"]),
    ("Help", &["check", "help", "version"]),
];

const HEAD: &str = "\
Usage: xymonping [OPTIONS] [ADDRESS...]
       xymonping [OPTIONS] <LIST
Ping the addresses, or those of a list, one per line, and print a line for each.

Examples:
  xymonping --file=hosts                 which of these hosts are alive?
  xymonping --count=10 --quiet 192.0.2.1 192.0.2.9
                                         their loss and round-trip times
";

/// The exit codes in words.
const EXITS: [(Exit, &str); 5] = [
    (Exit::Success, "the run completed, whatever the targets said"),
    (Exit::Unreachable, "with --exit-status: a target is unreachable"),
    (Exit::Rejected, "with --exit-status: a line of the list was rejected"),
    (Exit::Usage, "wrong usage, a file that cannot be opened, or no permission to ping"),
    (Exit::Failure, "this machine failed, or the run was cut short"),
];

const WIDTH: usize = 80;
/// Where the explanations begin.
const COLUMN: usize = 29;

/// The help text, from the table.
pub struct Help;

impl Display for Help {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        for (title, names) in GROUPS {
            writeln!(f, "\n{title}:")?;
            for flag in names.iter().filter_map(|name| FLAGS.iter().find(|flag| flag.long == Some(name))) {
                write_long(f, flag)?;
            }
        }
        writeln!(f, "\nfping's other letters:")?;
        for (short, flag) in letters().into_iter().filter(|(_, flag)| flag.long.is_none()) {
            let name = match flag.value {
                Value::None => format!("  -{short}"),
                Value::Optional(value, _) => format!("  -{short}[{value}]"),
                Value::Required(value, _) => format!("  -{short} {value}"),
            };
            write_row(f, &name, flag.help.split(' '))?;
        }
        let ignored: String = FLAGS.iter().filter(|flag| flag.is_ignored()).filter_map(|flag| flag.short).collect();
        writeln!(f, "  The others (-{ignored}) are ignored.\n\nExit status:")?;
        for (exit, meaning) in EXITS {
            writeln!(f, "  {}  {meaning}", exit as u8)?;
        }
        writeln!(f, "\nAll of it: man xymonping")
    }
}

fn write_long(f: &mut Formatter<'_>, flag: &Flag) -> fmt::Result {
    let short = flag.short.map_or("    ".to_owned(), |short| format!("-{short}, "));
    let long = flag.long.unwrap_or_default();
    let name = match flag.value {
        Value::None => format!("  {short}--{long}"),
        Value::Optional(value, _) => format!("  {short}--{long}[={value}]"),
        Value::Required(value, _) => format!("  {short}--{long}={value}"),
    };
    let default = flag.default.map(|default| format!("[default: {}]", default()));
    write_row(f, &name, flag.help.split(' ').chain(default.as_deref()))
}

/// A name, and beside it, or below it if it is long, its explanation in lines of [`WIDTH`].
fn write_row<'a>(f: &mut Formatter<'_>, name: &str, words: impl Iterator<Item = &'a str>) -> fmt::Result {
    write!(f, "{name}")?;
    let mut at = name.len();
    if at >= COLUMN {
        writeln!(f)?;
        at = 0;
    }
    for word in words {
        if at > COLUMN && at + 1 + word.len() > WIDTH {
            writeln!(f)?;
            at = 0;
        }
        let gap = COLUMN.checked_sub(at).unwrap_or(1);
        write!(f, "{:gap$}{word}", "")?;
        at += gap + word.len();
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_long_option_is_in_one_group() {
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        let mut all: Vec<_> = FLAGS.iter().filter_map(|flag| flag.long).collect();
        grouped.sort_unstable();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        for line in Help.to_string().lines() {
            assert!(line.len() <= WIDTH && line.trim_end() == line, "{line:?}");
        }
    }
}
