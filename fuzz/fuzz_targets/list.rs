//! A list means the same however a pipe cuts it, a line never splits, every accepted line has its
//! line of output, and memory grows with accepted lines only.
//!
//! The first four bytes of an input choose the rules and the sizes of the pieces; the rest is the
//! list.

#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use libfuzzer_sys::fuzz_target;
use multiping::address::Family;
use xymonping::limits::Limits;
use xymonping::list::{List, ListParser, MAX_LINE, Remark, Rules};
use xymonping::message::Error;

const BROADCASTS: [Ipv4Addr; 1] = [Ipv4Addr::new(192, 0, 2, 127)];

/// What a list takes besides its accepted lines: one line while it is incomplete, and ten remarks.
const SMALL: usize = 8 * 1024;

/// The rest of a line that is far too long to be kept.
const ENDLESS: [u8; 2 * SMALL] = [b'x'; 2 * SMALL];

/// Byte order marks.
const MARKS: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];

/// What an accepted line takes while vectors double.
const LINE: usize = 128;

fuzz_target!(|input: &[u8]| {
    let Some((&[choice, sizes @ ..], text)) = input.split_first_chunk::<4>() else { return };
    let few = Limits { targets: 5, ..Limits::ORDINARY };
    let rules = || Rules {
        family: [None, Some((Family::V4, "-4")), Some((Family::V6, "-6")), None][usize::from(choice % 4)],
        limits: [&Limits::ORDINARY, &Limits::ROOT, &few][usize::from(choice / 4 % 3)],
        broadcasts: &BROADCASTS,
        interface: &|name| match name {
            "lo" | "1" => Some(1),
            "eth0" | "2" => Some(2),
            _ => None,
        },
    };

    let whole = read(rules(), [text]).map(Told::from).map_err(|error| error.to_string());
    let pieces = read(rules(), cut(text, sizes)).map(Told::from).map_err(|error| error.to_string());
    assert_eq!(pieces, whole);

    match (whole, one_by_one(&rules, text)) {
        (Ok(_), None) => {} // UTF-16 among lines that are accepted
        (Ok(whole), Some(told)) => assert_eq!(whole, told),
        (Err(error), None) => assert!(error.contains("UTF-16") || error.contains("more than 5 lines")),
        (Err(_), Some(told)) => assert!(told.lines.len() > few.targets),
    }

    let (head, tail) = text.split_at(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |place| place + 1));
    let is_marked = head.is_empty() && MARKS.iter().any(|mark| tail.starts_with(mark));
    if is_marked || tail.trim_ascii_start().starts_with(b"#") {
        return;
    }
    match (read(rules(), [head]), read(rules(), [text, &ENDLESS])) {
        (Ok(head), Ok(endless)) => {
            assert_eq!((count(&endless), endless.rejected), (count(&head), head.rejected + 1));
        }
        (head, endless) => assert!(head.is_err() && endless.is_err()),
    }
});

fn read<'t>(rules: Rules, pieces: impl IntoIterator<Item = &'t [u8]>) -> Result<List, Error> {
    let before = HELD.load(Relaxed);
    MOST.store(before, Relaxed);
    let mut reading = ListParser::new(rules);
    for piece in pieces {
        reading.feed(piece)?;
    }
    let accepted = reading.accepted();
    let list = reading.finish()?;
    let took = MOST.load(Relaxed) - before;
    let lines = count(&list);
    // The last line may still have been incomplete.
    assert!((accepted..=accepted + 1).contains(&lines) && list.addresses.len() <= lines);
    assert!(took <= SMALL + LINE * lines, "{took} bytes for {lines} lines");
    assert_eq!(list.addresses.iter().count(), list.addresses.len());
    Ok(list)
}

/// How many output lines a list has.
fn count(list: &List) -> usize {
    list.lines.iter(&list.addresses).count()
}

/// Cuts `text` into pieces of these sizes, again and again. A piece may be empty.
fn cut(text: &[u8], sizes: [u8; 3]) -> Vec<&[u8]> {
    let sizes = if sizes == [0; 3] { [1; 3] } else { sizes };
    let mut rest = text;
    let mut pieces = Vec::new();
    for &size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at(rest.len().min(size.into()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

/// What is said of a list.
#[derive(Debug, Default, PartialEq)]
struct Told {
    lines: Vec<String>,
    remarks: Vec<String>,
    rejected: u64,
    two_addresses: u64,
}

impl From<List> for Told {
    fn from(list: List) -> Self {
        Told::behind(list, 0)
    }
}

impl Told {
    /// What is said of a list behind this many lines of another.
    fn behind(list: List, lines: u64) -> Self {
        let text = |remark: Remark| Remark { line: remark.line + lines, ..remark }.to_string();
        let remarks: Vec<String> = list.remarks.iter().map(text).collect();
        for remark in &remarks {
            assert!(remark.len() < 400 && remark.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{remark:?}");
        }
        Told {
            lines: list.lines.iter(&list.addresses).map(|(_, shown)| shown.to_string()).collect(),
            remarks,
            rejected: list.rejected,
            two_addresses: list.two_addresses,
        }
    }
}

/// What is said of a list whose lines are each read as a list of its own; `None`: one of them is a
/// list in UTF-16.
fn one_by_one<'r>(rules: &dyn Fn() -> Rules<'r>, text: &[u8]) -> Option<Told> {
    let mut told = Told::default();
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        if number > 1 && line.starts_with(b"\xef\xbb\xbf") {
            // A mark is one at the very start only.
            let alone = [b"\n", line].concat();
            told.add(number - 1, read(rules(), [&*alone]))?;
        } else {
            told.add(number, read(rules(), [line]))?;
        }
        let unmarked = line.strip_prefix(MARKS[0]).filter(|_| number == 1).unwrap_or(line).trim_ascii_start();
        assert!(line.len() <= MAX_LINE + 3 || unmarked.is_empty() || unmarked.starts_with(b"#") || told.rejected > 0);
    }
    Some(told)
}

impl Told {
    /// Adds what was said of one line.
    fn add(&mut self, number: u64, alone: Result<List, Error>) -> Option<()> {
        if matches!(alone, Err(Error::Utf16List)) {
            return None;
        }
        let alone = Told::behind(alone.expect("one line is never too many"), number - 1);
        assert!(alone.lines.len() as u64 + alone.rejected <= 1);
        self.lines.extend(alone.lines);
        self.remarks.extend(alone.remarks);
        self.remarks.truncate(10);
        self.rejected += alone.rejected;
        self.two_addresses += alone.two_addresses;
        Some(())
    }
}

/// How many bytes of memory are held, and how many were at most.
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: `System` does the work, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(held, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(memory, layout) }
    }
}
