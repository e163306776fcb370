//! Which program this is: xymonping, or another one by whose name it was called.
//!
//! This table is all that knows of other programs; each of them has files of its own.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Personality {
    /// xymonping.
    Xymonping,
    /// fping, as its clients know it.
    Fping,
}

/// The other programs, and how the names begin by which they are called.
const OTHERS: &[(&str, Personality)] = &[("fping", Personality::Fping)];

/// The option, only as the first argument, that asks for another program.
const AS: &[u8] = b"--as=";

/// How the program was called.
#[derive(Debug)]
pub struct Invocation {
    /// As which program.
    pub personality: Personality,
    /// Its name, as given.
    pub name: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Invocation {
    /// Takes all arguments of the process, with its name as the first.
    pub fn new(arguments: impl IntoIterator<Item = OsString>) -> Self {
        let mut arguments = arguments.into_iter();
        let mut name = arguments.next().unwrap_or_default();
        let mut arguments: Vec<_> = arguments.collect();
        let file = Path::new(&name).file_name().unwrap_or_default();
        let mut personality = find(|other| file.as_bytes().starts_with(other.as_bytes()));
        let asked = arguments.first().and_then(|first| first.as_bytes().strip_prefix(AS));
        let asked = asked.map(|asked| OsStr::from_bytes(asked).to_owned());
        if let Some(asked) = asked {
            if let Some(other) =
                find(|other| asked.as_bytes().strip_suffix(b"6").unwrap_or(asked.as_bytes()) == other.as_bytes())
            {
                personality = Some(other);
                name = asked;
                arguments.remove(0);
            }
        }
        Invocation { personality: personality.unwrap_or(Personality::Xymonping), name, arguments }
    }
}

fn find(is_meant: impl Fn(&str) -> bool) -> Option<Personality> {
    OTHERS.iter().find(|(name, _)| is_meant(name)).map(|&(_, personality)| personality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(arguments: &[&str]) -> (Personality, String, Vec<String>) {
        let Invocation { personality, name, arguments } = Invocation::new(arguments.iter().map(OsString::from));
        let text = |text: OsString| text.into_string().unwrap_or_default();
        (personality, text(name), arguments.into_iter().map(text).collect())
    }

    #[test]
    fn the_name_or_the_first_argument_says_which_program_it_is() {
        for name in ["xymonping", "/usr/lib/xymon/server/bin/xymonping", "", "/opt/fping/xymonping"] {
            assert_eq!(called(&[name, "-e"]), (Personality::Xymonping, name.into(), vec!["-e".into()]));
        }
        for name in ["fping", "fping6", "/usr/bin/fping", "./fping6"] {
            assert_eq!(called(&[name, "-e"]), (Personality::Fping, name.into(), vec!["-e".into()]));
        }
        assert_eq!(called(&["xymonping", "--as=fping", "-e"]), (Personality::Fping, "fping".into(), vec!["-e".into()]));
        assert_eq!(called(&["xymonping", "--as=fping6"]), (Personality::Fping, "fping6".into(), vec![]));
        for arguments in [&["xymonping", "-e", "--as=fping"][..], &["xymonping", "--as=ping", "-e"]] {
            assert_eq!(called(arguments).0, Personality::Xymonping);
            assert_eq!(called(arguments).2, arguments[1..]);
        }
        assert_eq!(called(&[]).0, Personality::Xymonping);
    }
}
