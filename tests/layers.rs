//! The layers of the code (CONTRIBUTING.md): which file may use which, and what the core
//! must not do. Cargo enforces the order of the packages; lints restrict clocks, printing and exits
//! (Cargo.toml, clippy.toml).
//!
//! The sources are read as tokens, so comments and strings do not count. A use is a path from the
//! root of a package, `crate::X` or `xymonping::X`. `foo/bar.rs` counts as `foo.rs`.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// The packages, and the files of each in the order in which they may use each other.
const PACKAGES: [(&str, &[&str]); 3] = [
    (
        "multiping",
        &[
            "alloc", "address", "plan", "wire", "token", "tally", "stats", "prober", "error", "net", "turn", "sockets",
            "schedule", "event", "config", "engine", "resolve", "pinger", "ping", "proto", "lib",
        ],
    ),
    (
        ".",
        &[
            "message",
            "limits",
            "list",
            "privilege",
            "inherited",
            "signal",
            "stdio",
            "notes",
            "names",
            "memory",
            "sandbox",
            "figures",
            "swept",
            "report",
            "cli",
            "input",
            "run",
            "check",
            "personality",
            "fping",
            "lib",
            "main",
        ],
    ),
    (
        "report",
        &[
            "figures",
            "record",
            "series",
            "run",
            "text",
            "csv",
            "prometheus",
            "influx",
            "scene",
            "svg",
            "html",
            "cli",
            "read",
            "output",
            "lib",
            "main",
        ],
    ),
];

/// The files of the engine that do no IO, and the words that IO would take.
const CORE: &[&str] = &["alloc", "address", "plan", "wire", "token", "tally", "stats", "prober"];
const IO: &[&str] = &["nix", "socket2", "fs", "env", "process", "thread", "SystemTime", "UdpSocket", "OwnedFd"];

/// Crates that only certain files may use.
const CRATES: &[(&str, &[&str])] = &[
    ("lexopt", &["cli"]),
    ("caps", &["privilege"]),
    ("socket2", &["net", "sockets"]),
    ("seccompiler", &["sandbox"]),
    ("tz", &["fping"]),
];

/// The most lines of a file; a longer one must be split.
const MAX_LINES: usize = 500;

/// A source file.
struct File {
    path: PathBuf,
    /// Its name among the files of its package.
    name: String,
    /// The files that it may use.
    below: Option<&'static [&'static str]>,
    text: String,
    words: Vec<String>,
}

/// All words and signs of a file, including those in brackets of any kind.
fn words(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                words.push("(".to_owned());
                self::words(group.stream(), words);
                words.push(")".to_owned());
            }
            TokenTree::Literal(_) => words.push("literal".to_owned()),
            token => words.push(token.to_string()),
        }
    }
}

fn files() -> Vec<File> {
    fn walk(dir: &Path, paths: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, paths) } else { paths.push(path) }
        }
    }
    let mut files = Vec::new();
    for (package, order) in PACKAGES {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(package).join("src");
        let mut paths = Vec::new();
        walk(&root, &mut paths);
        for path in paths {
            let first = path.strip_prefix(&root).unwrap().components().next().unwrap();
            let name = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
            let text = fs::read_to_string(&path).unwrap();
            files.push(File::new(path, name, order, text));
        }
    }
    files
}

impl File {
    fn new(path: PathBuf, name: String, order: &'static [&'static str], text: String) -> Self {
        let mut all = Vec::new();
        words(text.parse().unwrap(), &mut all);
        let place = order.iter().position(|file| *file == name);
        File { path, name, below: place.map(|place| &order[..place]), text, words: all }
    }

    /// The files of the package that this file uses, except itself. `crate::{a, b}` is refused, so
    /// that no use is hidden in a group.
    fn uses(&self) -> Vec<&str> {
        let from_root = |path: &&[String]| ["crate", "xymonping"].contains(&path[0].as_str()) && path[1] == ":";
        let paths = self.words.windows(4).filter(from_root);
        paths.map(|path| path[3].as_str()).filter(|to| *to != self.name).collect()
    }

    fn violations(&self) -> Vec<String> {
        let mut violations = Vec::new();
        let below = self.below.unwrap_or_else(|| {
            violations.push("is in no layer".to_owned());
            &[]
        });
        for to in self.uses() {
            if !below.contains(&to) {
                violations.push(format!("may not use {to}"));
            }
        }
        if self.words.windows(4).any(|path| path[0] == "super" && path[3] == "super") {
            violations.push("uses super::super".to_owned());
        }
        for word in IO.iter().filter(|_| CORE.contains(&self.name.as_str())) {
            if self.words.iter().any(|other| other == word) {
                violations.push(format!("does IO: {word}"));
            }
        }
        for (name, files) in CRATES {
            if !files.contains(&self.name.as_str())
                && self.words.windows(2).any(|pair| pair[0] == *name && pair[1] == ":")
            {
                violations.push(format!("uses {name}"));
            }
        }
        if self.path.ends_with("mod.rs") {
            violations.push("is a mod.rs".to_owned());
        }
        if !self.text.starts_with("//!") {
            violations.push("does not begin with a `//!` comment".to_owned());
        }
        if self.text.lines().count() > MAX_LINES {
            violations.push("is too long".to_owned());
        }
        violations
    }
}

#[test]
fn every_file_follows_the_rules() {
    let files = files();
    assert!(files.len() > 40, "there are more source files");
    let violations = |file: &File| {
        file.violations().into_iter().map(|what| format!("{} {what}", file.path.display())).collect::<Vec<_>>()
    };
    let violations: Vec<String> = files.iter().flat_map(violations).collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn violations_are_detected() {
    let violations = |name: &str, text: &str| {
        let order = PACKAGES[0].1;
        File::new(PathBuf::from(format!("{name}.rs")), name.to_owned(), order, format!("//! X.\n{text}")).violations()
    };
    for text in [
        "use crate::turn::turn;",
        "use crate::{turn, net};",
        "fn f(a: &crate /* why */ :: turn::Turn) {}",
        "mod inner { fn f() { crate::turn::turn() } }",
        "use crate::*;",
        "use super::super::turn;",
        "use std::fs;",
        "fn f() { nix::unistd::getpid() }",
        "fn f() { lexopt::Parser::from_env() }",
    ] {
        assert_eq!(violations("wire", text).len(), 1, "{text}: {:?}", violations("wire", text));
    }
    for text in [
        "use crate::address::Family;",
        "// use crate::turn;\nconst A: &str = \"crate::turn\";",
        "/// [`crate::turn`]\nfn f() {}",
        "#[cfg(test)] mod tests { use super::*; }",
        "pub(crate) fn f() {}",
    ] {
        assert_eq!(violations("wire", text), [] as [&str; 0], "{text}");
    }
    assert_eq!(violations("utils", ""), ["is in no layer"]);
}
