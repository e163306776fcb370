//! The promise of the house (README.md, CONTRIBUTING.md): who may use whom, and what may be done where.
//!
//! The sources are read as tokens, without comments and strings, so that neither hides or feigns anything. An arrow is a
//! path that begins at the root of the crate: `crate::X`, `xymonping::X`, or as many `super::` as lead there. It may
//! point to a lower layer, or within a layer to a file that is listed before its own. `foo/bar.rs` counts as `foo.rs`.
//! Where a file does what only others may do, the test names the file and the words. Code under `#[cfg(test)]` keeps to
//! the arrows but may panic and read a clock.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the ground up, and the files of each in the order in which they may use each other.
const LAYERS: [&[&str]; 5] = [
    &["alloc", "address", "plan", "wire", "token", "tally"],
    &["prober"],
    &["net", "turn"],
    &[
        "message",
        "limits",
        "list",
        "privilege",
        "signal",
        "stdio",
        "memory",
        "sandbox",
        "run",
        "report",
        "cli",
        "input",
        "check",
    ],
    &["lib", "main"],
];

/// The layers that are clockwork.
const CORE: [usize; 2] = [0, 1];

/// Who may read a clock.
const CLOCKS: [&str; 3] = ["run", "net", "stdio"];

/// Runtime crates that are for certain files only. (nix is for every edge and for the driver.)
const CRATES: [(&str, &[&str]); 4] =
    [("lexopt", &["cli"]), ("caps", &["privilege"]), ("socket2", &["net"]), ("seccompiler", &["sandbox"])];

/// Above this a file is to be split.
const MAX_LINES: usize = 500;

#[test]
fn every_file_has_its_place_in_the_house() {
    check(|file| {
        let mut complaints = Vec::new();
        if file.place().is_none() {
            complaints.push("stands in no layer".to_owned());
        }
        if file.path.ends_with("mod.rs") {
            complaints.push("is a mod.rs".to_owned());
        }
        complaints
    });
}

#[test]
fn arrows_point_down_only() {
    check(|file| file.arrows().into_iter().filter_map(|to| file.refused(&to)).collect());
}

#[test]
fn every_file_opens_with_what_it_is() {
    check(|file| {
        let opens = file.text.lines().next().is_some_and(|line| line.starts_with("//!"));
        if opens { vec![] } else { vec!["does not open with //!".to_owned()] }
    });
}

#[test]
fn no_file_is_too_long() {
    check(|file| {
        let lines = file.text.lines().count();
        if lines <= MAX_LINES { vec![] } else { vec![format!("has {lines} lines: split it")] }
    });
}

#[test]
fn only_run_net_and_stdio_read_a_clock() {
    check(|file| if CLOCKS.contains(&file.name.as_str()) { vec![] } else { file.clocks() });
}

#[test]
fn the_core_does_nothing_to_the_world_and_asks_nothing_of_it() {
    check(|file| if file.is_core() { file.edges() } else { vec![] });
}

#[test]
fn runtime_crates_are_used_for_what_they_are_for() {
    check(File::strange_crates);
}

#[test]
fn nothing_is_unsafe() {
    check(File::dangers);
}

#[test]
fn nothing_prints_panics_exits_or_reads_the_environment_behind_mains_back() {
    check(File::rudeness);
}

/// Lists what is wrong with all the files in `src`.
fn check(complaints: impl Fn(&File) -> Vec<String>) {
    let files = sources();
    assert!(files.len() >= LAYERS[0].len(), "where are the sources?");
    let found: Vec<String> = files
        .iter()
        .flat_map(|file| complaints(file).into_iter().map(|what| format!("src/{} {what}", file.path.display())))
        .collect();
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn sources() -> Vec<File> {
    fn walk(root: &Path, dir: &Path, files: &mut Vec<File>) {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                walk(root, &path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(File::new(path.strip_prefix(root).unwrap(), fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &root, &mut files);
    files
}

/// A source file.
struct File {
    /// Below `src`.
    path: PathBuf,
    /// The name in [`LAYERS`] that it counts as.
    name: String,
    text: String,
    /// Of all its code.
    tokens: Vec<String>,
    /// Of its code that is not for tests only.
    shipped: Vec<String>,
}

impl File {
    fn new(path: &Path, text: String) -> Self {
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let tokens = tokens(&text);
        let shipped = without_tests(&tokens);
        File { path: path.to_owned(), name: first.trim_end_matches(".rs").to_owned(), text, tokens, shipped }
    }

    /// Its layer, and its place there.
    fn place(&self) -> Option<(usize, usize)> {
        place(&self.name)
    }

    fn is_core(&self) -> bool {
        self.place().is_some_and(|(layer, _)| CORE.contains(&layer))
    }

    /// The path of its module from the root of the crate.
    fn module(&self) -> Vec<String> {
        let module = self.path.with_extension("");
        let names = module.iter().map(|name| name.to_str().unwrap().to_owned());
        names.filter(|name| !["lib", "main", "mod"].contains(&name.as_str())).collect()
    }

    /// What it uses of the crate, by the name that follows the crate's.
    fn arrows(&self) -> BTreeSet<String> {
        paths(&self.tokens).into_iter().filter_map(|path| arrow(&self.module(), &path)).collect()
    }

    /// Why it may not use `to`, if it may not.
    fn refused(&self, to: &str) -> Option<String> {
        if *to == self.name || self.place() >= place("lib") {
            return None;
        }
        match (self.place(), place(to)) {
            (Some(from), Some(to)) if to < from => None,
            (_, Some(_)) => Some(format!("may not use {to}")),
            (_, None) => Some(format!("uses {to}, which is no file of the house")),
        }
    }

    fn clocks(&self) -> Vec<String> {
        let mut found = self.sees(&[
            &["Instant", "now"],
            &["SystemTime", "now"],
            &["UNIX_EPOCH", "elapsed"],
            &["clock_gettime"],
            &["clock_getres"],
            &["ClockId", "now"],
            &["gettimeofday"],
        ]);
        // `Instant::elapsed` takes no argument.
        if self.shipped.windows(4).any(|four| four == [".", "elapsed", "(", ")"]) {
            found.push("says .elapsed()".to_owned());
        }
        found
    }

    fn edges(&self) -> Vec<String> {
        let mut found = self.sees(&[
            &["std", "fs"],
            &["std", "os"],
            &["std", "env"],
            &["std", "thread"],
            &["process", "Command"],
            &["process", "id"],
            &["RandomState", "new"],
            &["RandomState", "default"],
            &["io", "stdin"],
            &["io", "stdout"],
            &["io", "stderr"],
            &["UdpSocket"],
            &["TcpStream"],
            &["TcpListener"],
            &["ToSocketAddrs"],
        ]);
        found.extend(self.sees(&[&["nix"], &["libc"], &["caps"], &["socket2"], &["lexopt"], &["seccompiler"]]));
        found
    }

    fn strange_crates(&self) -> Vec<String> {
        let not_ours = CRATES.iter().filter(|(_, files)| !files.contains(&self.name.as_str()));
        not_ours.flat_map(|&(name, _)| self.sees(&[&[name]])).collect()
    }

    fn dangers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (place, token) in self.tokens.iter().enumerate() {
            let forbidden = place >= 2 && self.tokens[place - 2..place] == ["forbid", "("];
            if token == "unsafe" || (token == "unsafe_code" && !forbidden) {
                found.push(format!("says {token}"));
            }
        }
        found
    }

    fn rudeness(&self) -> Vec<String> {
        let mut found = self.sees(&[
            &["process", "exit"],
            &["process", "abort"],
            &["env", "var"],
            &["env", "var_os"],
            &["env", "vars"],
            &["env", "vars_os"],
            &["env", "*"],
            &["process", "*"],
        ]);
        for pair in self.shipped.windows(2) {
            let prints = ["print", "println", "eprint", "eprintln", "dbg"].contains(&pair[0].as_str());
            if prints && pair[1] == "!" || pair[0] == "unwrap" && pair[1] == "(" {
                found.push(format!("says {}{}", pair[0], pair[1]));
            }
        }
        found
    }

    /// Which of `forbidden` occur in its paths, in a row.
    fn sees(&self, forbidden: &[&[&str]]) -> Vec<String> {
        let paths = paths(&self.shipped);
        let occurs = |words: &[&str]| paths.iter().any(|path| path.names.windows(words.len()).any(|row| row == words));
        forbidden.iter().filter(|words| occurs(words)).map(|words| format!("says {}", words.join("::"))).collect()
    }
}

/// The layer of a file and its place there.
fn place(name: &str) -> Option<(usize, usize)> {
    LAYERS.iter().enumerate().find_map(|(layer, files)| Some((layer, files.iter().position(|file| *file == name)?)))
}

/// A path in the code, with the groups of `use` multiplied out.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Used {
    /// The modules of this file that it stands in.
    inside: Vec<String>,
    names: Vec<String>,
}

/// The name after the crate's, if `path`, seen in a file that is `module`, begins at the root of the crate.
fn arrow(module: &[String], path: &Used) -> Option<String> {
    let (first, rest) = path.names.split_first()?;
    let climb = path.names.iter().take_while(|name| *name == "super").count();
    let here = module.len() + path.inside.len();
    let rest = match first.as_str() {
        "xymonping" if rest.is_empty() => return None, // the word alone may be anything
        "crate" | "xymonping" => rest,
        "super" if climb >= here => &path.names[climb..],
        // A file of a directory may climb to its parent, which counts as the same file.
        _ => return None,
    };
    Some(rest.first().map_or("the whole crate", String::as_str).to_owned())
}

/// All paths in `tokens`: names joined by `::`, and single names.
fn paths(tokens: &[String]) -> Vec<Used> {
    let mut found = Vec::new();
    // For each open brace the name of its module, if it opens one.
    let mut open: Vec<Option<String>> = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        let inside: Vec<String> = open.iter().flatten().cloned().collect();
        match tokens[place].as_str() {
            "{" => {
                let is_module = place >= 2 && tokens[place - 2] == "mod";
                open.push(is_module.then(|| tokens[place - 1].clone()));
                place += 1;
            }
            "}" => {
                open.pop();
                place += 1;
            }
            // pub(crate), pub(super), pub(in crate::prober): who may look, not whom we use.
            "pub" if is_restricted(&tokens[place + 1..]) => {
                place += tokens[place..].iter().position(|token| token == ")").unwrap_or(0) + 1;
            }
            // `use ::a` is no path that begins with `use`.
            token if is_name(token) && !KEYWORDS.contains(&token) => {
                let mut names = Vec::new();
                place = tree(tokens, place, Vec::new(), &mut names);
                found.extend(names.into_iter().map(|names| Used { inside: inside.clone(), names }));
            }
            _ => place += 1,
        }
    }
    found
}

/// Whether what follows `pub` restricts it; if not, it may still be the type of a field in brackets.
fn is_restricted(rest: &[String]) -> bool {
    match rest {
        [open, scope, close, ..] if open == "(" => {
            scope == "in" || close == ")" && ["crate", "super", "self"].contains(&scope.as_str())
        }
        _ => false,
    }
}

/// Reads the path that begins at `place`, behind `prefix`, and says where it ends. A group is multiplied out.
fn tree(tokens: &[String], mut place: usize, mut prefix: Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    loop {
        match tokens.get(place).map(String::as_str) {
            Some(name) if is_name(name) || name == "*" && !prefix.is_empty() => {
                // `use a::{self}` is a.
                if name != "self" || prefix.is_empty() {
                    prefix.push(name.to_owned());
                }
                place += 1;
            }
            Some("{") => {
                place += 1;
                while let Some(token) = tokens.get(place) {
                    match token.as_str() {
                        "}" => return place + 1,
                        token if is_name(token) || token == "*" || token == "{" => {
                            place = tree(tokens, place, prefix.clone(), found);
                        }
                        _ => place += 1,
                    }
                }
                return place;
            }
            _ => {}
        }
        if tokens.get(place).is_some_and(|token| token == "::")
            && tokens.get(place + 1).is_some_and(|token| is_name(token) || token == "{" || token == "*")
        {
            place += 1;
        } else {
            found.push(prefix);
            return place;
        }
    }
}

/// What looks like a name, may stand before `::`, and begins no path.
const KEYWORDS: [&str; 14] =
    ["use", "as", "in", "for", "dyn", "impl", "where", "return", "break", "if", "while", "match", "mut", "else"];

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// `tokens` without the items that stand under `#[cfg(test)]`.
fn without_tests(tokens: &[String]) -> Vec<String> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::new();
    let mut place = 0;
    while place < tokens.len() {
        if tokens[place..].starts_with(&MARK.map(String::from)) {
            // The item ends with its block, or with a semicolon before any block.
            let mut depth = 0;
            for token in &tokens[place..] {
                place += 1;
                depth += i32::from(token == "{") - i32::from(token == "}");
                if depth == 0 && (token == "}" || token == ";") {
                    break;
                }
            }
        } else {
            kept.push(tokens[place].clone());
            place += 1;
        }
    }
    kept
}

/// The names, numbers and signs of Rust code; comments are left out, and strings and characters are empty.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(len) = string(rest) {
            tokens.push("\"\"".to_owned());
            len
        } else {
            let raw = rest.strip_prefix("r#").unwrap_or(rest); // r#type
            let skipped = rest.len() - raw.len();
            let name = raw.len() - raw.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').len();
            let len = match name {
                0 if raw.starts_with("::") => 2,
                0 => first.len_utf8(),
                name => name,
            };
            tokens.push(raw[..len].to_owned());
            skipped + len
        };
        rest = &rest[len..];
    }
    tokens
}

/// The length of the block comment at the start of `text`, with those inside it.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut place) = (0, 0);
    loop {
        match &text.as_bytes()[place..] {
            [b'/', b'*', ..] => (depth, place) = (depth + 1, place + 2),
            [b'*', b'/', ..] => (depth, place) = (depth - 1, place + 2),
            [] => return place,
            _ => place += 1,
        }
        if depth == 0 {
            return place;
        }
    }
}

/// The length of the string or character at the start of `text`, if there is one; a lifetime is none.
fn string(text: &str) -> Option<usize> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        let rest = text.strip_prefix(prefix);
        let rest = rest.map(|rest| if prefix.ends_with('r') { rest.trim_start_matches('#') } else { rest });
        rest.is_some_and(|rest| rest.starts_with('"'))
            || (["b", ""].contains(prefix) && is_character(rest.unwrap_or("")))
    })?;
    let body = &text[prefix.len()..];
    if prefix.ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inside = &body[hashes + 1..];
        return Some(text.len() - inside.len() + inside.find(&end).map_or(inside.len(), |at| at + end.len()));
    }
    let quote = body.chars().next()?;
    let mut escaped = true; // the first quote does not end it
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(prefix.len() + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// Whether a character literal, not a lifetime, stands at the start of `text`.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\'') && (chars.next() == Some('\\') || chars.next() == Some('\''))
}

// What follows shows that the test would notice.

fn file(path: &str, text: &str) -> File {
    File::new(Path::new(path), text.to_owned())
}

fn refusals(path: &str, text: &str) -> Vec<String> {
    let file = file(path, text);
    file.arrows().into_iter().filter_map(|to| file.refused(&to)).collect()
}

#[test]
fn an_arrow_upwards_is_noticed_however_it_is_written() {
    for text in [
        "use crate::list::Address;",
        "use crate::{message::Error, list::{List, Rules}};",
        "use crate::{wire, list};",
        "use crate::{self, list::*};",
        "use ::xymonping::list;",
        "fn f() { xymonping::list::f() }",
        "fn f(a: &crate /* why */ :: list::Address) {}",
        "use super::list::Address;",
        "mod inner { use super::super::list; }",
        "mod inner { mod deeper { use crate::list; } }",
        "#[cfg(test)] mod tests { use super::*; use crate::list; }",
        "impl From<crate::list::Address> for X {}",
        "fn f() -> [u8; crate::list::MAX] { \"//\"; r#\"\"crate::x\"#; }",
        "const Q: char = '\"'; use crate::list; const R: char = '\"';",
        "const Q: &[u8] = b\"\\\\\"; use crate::list; // \"",
        "fn f<'a>(a: &'a u8) { crate::list::f::<'a>() }",
        "struct X(pub (crate::list::Address, u8)); pub(crate) fn f() {}",
    ] {
        assert!(refusals("wire.rs", text).contains(&"may not use list".to_owned()), "{text}");
    }
}

#[test]
fn an_arrow_to_a_later_file_of_the_same_layer_is_noticed() {
    assert_eq!(refusals("wire.rs", "use crate::token::Token;"), ["may not use token"]);
    assert_eq!(refusals("prober/pacer.rs", "use crate::report;"), ["may not use report"]);
    assert_eq!(refusals("prober/pacer.rs", "use super::super::report;"), ["may not use report"]);
    assert_eq!(refusals("report/json.rs", "use crate::check;"), ["may not use check"]);
    assert_eq!(refusals("net.rs", "use crate::privilege::Dropped;"), ["may not use privilege"]);
    assert_eq!(refusals("net.rs", "use crate::run::End;"), ["may not use run"]);
}

#[test]
fn an_arrow_to_the_root_of_the_crate_is_noticed() {
    for text in ["use crate::Exit;", "use crate::*;", "use crate as all;", "use crate::{self};", "use super::*;"] {
        assert_eq!(refusals("net.rs", text).len(), 1, "{text}");
    }
}

#[test]
fn arrows_downwards_and_within_a_file_are_none_of_our_business() {
    for (path, text) in [
        ("prober.rs", "use crate::plan::Plan; use crate::prober::pacer::Pacer; mod pacer;"),
        ("prober/pacer.rs", "use crate::plan::Rate; use super::MAX_BATCH; use crate::prober::queue::Nodes;"),
        ("prober/pacer.rs", "#[cfg(test)] mod tests { use super::*; use super::super::Prober; }"),
        ("report.rs", "pub(crate) fn f() {} pub(super) fn g() {} pub(in crate::prober) fn h() {}"),
        (
            "wire.rs",
            "// use crate::list;\n/* crate::net /* crate::cli */ crate::net */ const A: &str = \"crate::net\";",
        ),
        ("wire.rs", "/// [`crate::list`]\nconst A: &str = r##\"\"# crate::net\"##; const B: char = '\\'';"),
        ("wire.rs", "#[cfg(test)] mod tests { use super::*; }"),
        ("sandbox.rs", "use crate::privilege::Dropped; use self::crate_of::x; use std::super_x;"),
        ("check.rs", "use crate::{cli::Options, net::{self, Link}, sandbox, report::Lines};"),
        ("lib.rs", "pub mod wire; pub use crate::message::Exit; pub use self::run::probe;"),
        ("main.rs", "use xymonping::{Exit, run}; use xymonping::message::Error;"),
    ] {
        assert_eq!(refusals(path, text), [] as [&str; 0], "{path}: {text}");
    }
}

#[test]
fn a_file_without_a_place_is_noticed() {
    assert_eq!(file("utils.rs", "").place(), None);
    assert_eq!(file("utils/x.rs", "").place(), None);
    assert_eq!(file("prober/anything.rs", "").place(), place("prober"));
    assert_eq!(refusals("net.rs", "use crate::utils;"), ["uses utils, which is no file of the house"]);
}

#[test]
fn a_clock_is_noticed() {
    for text in [
        "let a = Instant::now();",
        "let a = std::time::Instant::now;",
        "x.map(|_| SystemTime ::\n now())",
        "use nix::time::{ClockId, clock_gettime};",
        "let a = since.elapsed();",
    ] {
        assert_ne!(file("cli.rs", text).clocks(), [] as [&str; 0], "{text}");
    }
    for text in
        ["// Instant::now()", "self.elapsed(now)", "\"Instant::now\"", "#[cfg(test)] mod t { f(Instant::now()) }"]
    {
        assert_eq!(file("cli.rs", text).clocks(), [] as [&str; 0], "{text}");
    }
}

#[test]
fn danger_and_rudeness_are_noticed() {
    for text in
        ["unsafe { f() }", "#![allow(unsafe_code)]", "unsafe impl Send for X {}", "#[cfg(test)] mod t { unsafe {} }"]
    {
        assert_ne!(file("cli.rs", text).dangers(), [] as [&str; 0], "{text}");
    }
    for text in ["#![forbid(unsafe_code)]", "// unsafe", "f(\"unsafe\")", "not_unsafe()"] {
        assert_eq!(file("lib.rs", text).dangers(), [] as [&str; 0], "{text}");
    }
    for text in [
        "println!(\"\")",
        "eprint ! ()",
        "a.unwrap()",
        "a\n.unwrap ()",
        "std::process::exit(1)",
        "use std::process::{ExitCode, exit};",
        "std::env::var(\"PATH\")",
        "use std::env; fn f() { env::vars_os() }",
        "use std::{env::{self, var}, fs};",
        "use std::env::*;",
        "#[cfg(test)] mod t { fn f() { { } } } fn g() { a.unwrap() }",
        "#[cfg(test)] use x; fn g() { a.unwrap() }",
    ] {
        assert_ne!(file("cli.rs", text).rudeness(), [] as [&str; 0], "{text}");
    }
    for text in [
        "a.unwrap_or(b)",
        "writeln!(out)",
        "fn print() {}",
        "std::process::ExitCode::from(4)",
        "std::env::args_os()",
        "env!(\"CARGO_PKG_VERSION\")",
        "\"a.unwrap()\"",
        "#[cfg(test)] mod t { fn f() { a.unwrap() } }",
    ] {
        assert_eq!(file("cli.rs", text).rudeness(), [] as [&str; 0], "{text}");
    }
}

#[test]
fn an_edge_in_the_core_is_noticed() {
    for text in
        ["use std::fs;", "use std::{io, thread};", "RandomState::new()", "io::stdout()", "nix::unistd::getpid()"]
    {
        assert_ne!(file("wire.rs", text).edges(), [] as [&str; 0], "{text}");
    }
    for text in
        ["use std::io::{self, Write};", "use std::process::ExitCode;", "use std::net::Ipv4Addr;", "x: RandomState"]
    {
        assert_eq!(file("wire.rs", text).edges(), [] as [&str; 0], "{text}");
    }
    assert_eq!(file("net.rs", "use lexopt::Parser;").strange_crates(), ["says lexopt"]);
    assert_eq!(file("cli.rs", "use lexopt::Parser;").strange_crates(), [] as [&str; 0]);
}
