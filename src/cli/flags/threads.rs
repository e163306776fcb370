//! The row of `--threads`.

use crate::cli::Threads;
use crate::cli::flag::{Apply, Flag, Hint, Value};
use crate::cli::threads::MAX_THREADS;
use crate::cli::value::{in_range, parse_unsigned};

pub(super) const THREADS: Flag = Flag {
    long: Some("threads"),
    short: None,
    value: Value::Required("N", Hint::Text),
    help: "probe by N threads, or `auto`: one a processor above 100000 packets/s",
    default: Some(|| "1".to_owned()),
    apply: Apply::Set(|options, value| {
        const EXPECTED: &str = "a whole number from 1 to 64, or auto";
        options.threads = match value.to_str() {
            Some("auto") => Threads::Auto,
            _ => Threads::Number(in_range(parse_unsigned(value), 1..=MAX_THREADS, EXPECTED)?),
        };
        Ok(())
    }),
};
