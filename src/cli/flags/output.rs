//! The rows of the options of what is written: JSON records, ICMP errors, summary, log, exit code.

use std::ffi::OsStr;

use multiping::plan::IcmpErrors;

use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::flags::letter;
use crate::cli::value::ValueError;
use crate::cli::{Debug, ExitStatus, Json, Options};

/// The longest name of a run, in bytes.
const MAX_NAME: usize = 64;

pub(super) const JSON: Flag = Flag {
    long: Some("json"),
    short: None,
    value: Value::Optional("packets", Hint::Text),
    help: "print JSON Lines: a record for each target, or also for each packet",
    default: None,
    apply: Apply::SetOptional(|options, value| {
        options.json = match value {
            None => Some(Json::Targets),
            Some(value) if value == "packets" => Some(Json::Packets),
            Some(_) => return Err(ValueError::Invalid("packets, or no =")),
        };
        Ok(())
    }),
};

pub(super) const JSON_LETTER: Flag =
    letter('J', Value::None, "--json", Apply::Switch(|options| options.json = Some(Json::Targets)));

pub(super) const RUN_NAME: Flag = Flag {
    long: Some("run-name"),
    short: None,
    value: Value::Required("NAME", Hint::Text),
    help: "the name of the run in its JSON records",
    default: None,
    apply: Apply::Set(set_run_name),
};

pub(super) const ICMP_ERRORS: Flag = Flag {
    long: Some("icmp-errors"),
    short: None,
    value: Value::Required("WHAT", Hint::Text),
    help: "report, ignore, fail (unreachable at the first one), all (of this machine)",
    default: None,
    apply: Apply::Set(|options, value| {
        options.icmp_errors = match value.to_str() {
            Some("ignore") => Some(IcmpErrors::Ignore),
            Some("report") => Some(IcmpErrors::Report),
            Some("fail") => Some(IcmpErrors::Fail),
            Some("all") => Some(IcmpErrors::All),
            _ => return Err(ValueError::Invalid("report, ignore, fail or all")),
        };
        Ok(())
    }),
};

pub(super) const EXIT_STATUS: Flag = Flag {
    long: Some("exit-status"),
    short: None,
    value: Value::Optional("ping", Hint::Text),
    help: "exit 1 if a target is unreachable, 2 if a line is rejected; with =ping: 2 if none answers",
    default: None,
    apply: Apply::SetOptional(|options, value| {
        options.exit_status = match value {
            None => ExitStatus::Fping,
            Some(value) if value == "ping" => ExitStatus::Ping,
            Some(_) => return Err(ValueError::Invalid("ping, or no =")),
        };
        Ok(())
    }),
};

pub(super) const SUMMARY: Flag = Flag {
    long: Some("summary"),
    short: Some('s'),
    value: Value::None,
    help: "print a summary to standard error",
    default: None,
    apply: Apply::Switch(|options| options.summary = true),
};

pub(super) const DEBUG: Flag = Flag {
    long: Some("debug"),
    short: None,
    value: Value::Optional("FILE", Hint::File),
    help: "log every packet to standard error, or append to FILE",
    default: None,
    apply: Apply::SetOptional(|options, value| {
        options.debug = match value {
            None => Debug::Stderr,
            Some(path) if path.is_empty() => return Err(ValueError::Invalid("a file, or no =")),
            Some(path) => Debug::File(path.into()),
        };
        Ok(())
    }),
};

fn set_run_name(options: &mut Options, value: &OsStr) -> Result<(), ValueError> {
    let is_name = |name: &&str| (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    let name = value.to_str().filter(is_name).ok_or(ValueError::Invalid("a name of 1 to 64 bytes"))?;
    options.run_name = Some(name.to_owned());
    Ok(())
}
