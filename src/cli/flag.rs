//! A row of the table of flags: name, letter, value, help text, default and effect of an option.

use std::ffi::OsStr;

use crate::cli::Options;
use crate::cli::value::ValueError;

/// One row of the table. It has a long name, a letter, or both.
pub struct Flag {
    /// The long name, without dashes.
    pub long: Option<&'static str>,
    /// The letter, without its dash.
    pub short: Option<char>,
    /// The value it takes.
    pub value: Value,
    /// The help text; empty if the option has no effect.
    pub help: &'static str,
    /// The default, for the help text.
    pub default: Option<fn() -> String>,
    pub(super) apply: Apply,
}

/// The value of an option: its name in the help text, and what a shell can complete it with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// No value.
    None,
    /// An optional value; it must follow `=` or the letter.
    Optional(&'static str, Hint),
    /// A required value; it may also be the next argument.
    Required(&'static str, Hint),
}

/// What a shell can complete a value with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// Paths of files.
    File,
    /// Names of network interfaces.
    Interface,
    /// Nothing.
    Text,
}

/// The effect of an option.
pub(super) enum Apply {
    Help,
    Version,
    /// Changes the options; for an option without a value.
    Switch(fn(&mut Options)),
    /// Changes the options by the value, which is empty if the option has none.
    Set(fn(&mut Options, &OsStr) -> Result<(), ValueError>),
    /// Changes the options by an optional value.
    SetOptional(fn(&mut Options, Option<&OsStr>) -> Result<(), ValueError>),
    /// No effect, because it requests what is always done.
    Accept,
    /// No effect, with a warning.
    Ignore,
}

impl std::fmt::Debug for Flag {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", (self.long, self.short))
    }
}

impl Flag {
    /// The help text of its letter: the equivalent long option, or else [`Self::help`].
    pub fn short_help(&self) -> String {
        self.long.map_or(self.help.to_owned(), |long| format!("--{long}"))
    }

    /// Whether it is ignored, with a warning.
    pub fn is_ignored(&self) -> bool {
        matches!(self.apply, Apply::Ignore)
    }

    /// Whether it is not ignored.
    pub fn has_effect(&self) -> bool {
        !self.is_ignored()
    }
}
