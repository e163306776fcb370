//! Text -> targets, output lines, and remarks on lines that are rejected or ambiguous.
//!
//! A list is read in pieces of any size, so it is never in memory as text. Equal addresses become
//! one target; every accepted line keeps its place in the output.
//!
//! This file has the syntax of addresses. What depends on the machine and the caller is in
//! [`Rules`].

pub mod generate;
mod ipv4;
mod labels;
mod lines;
pub mod names;
mod remarks;
mod zones;

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str;

use multiping::address::{Address, AddressList, Addresses, Family};
use multiping::alloc::{OutOfMemory, Pieces, try_push};
use multiping::prober::{Details, Sweep};

pub use crate::list::lines::{OutputLines, Shown};
pub use crate::list::names::UnresolvedLine;
pub use crate::list::remarks::{Remark, Remarks};
pub use crate::list::zones::Zones;

use crate::limits::Limits;
use crate::list::labels::{Labels, label};
use crate::list::names::{Entry, Names};

use crate::message::{Error, Reject};

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 1024;

/// The byte order mark of UTF-8, which some editors put at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The byte order marks of UTF-16.
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// As much of a line as is parsed: a byte order mark, the longest line, and one more byte.
const MAX_BUFFERED: usize = BYTE_ORDER_MARK.len() + MAX_LINE + 1;

/// How many lines are accepted between two checks of the available memory.
const MEMORY_CHECK_LINES: usize = 1 << 16;

/// What a target takes while it is probed, which is more than finding equal addresses takes: its
/// state, a sum of RTTs, and an RTT for the summary.
const BYTES_PER_TARGET: usize = Sweep::BYTES_PER_TARGET + size_of::<u64>() + size_of::<u32>();

/// What it takes more where labels are kept, and for records or reasons its details.
const BYTES_PER_LABEL: usize = Labels::BYTES_PER_LINE + Details::BYTES_PER_TARGET;

/// Which addresses are accepted, on this machine and from this caller.
pub struct Rules<'a> {
    /// The only family that is accepted, if only one is, and the option that excludes the other.
    pub family: Option<(Family, &'static str)>,
    /// The limits of the caller.
    pub limits: &'a Limits,
    /// The broadcast addresses of this machine's networks.
    pub broadcasts: &'a [Ipv4Addr],
    /// The index of the interface with this name or number, if there is one.
    pub interface: &'a dyn Fn(&str) -> Option<u32>,
}

impl Rules<'_> {
    /// Parses an address. Returns it with its zone as typed.
    fn address<'t>(&self, text: &'t [u8]) -> Result<(Address, Option<&'t str>), Reject> {
        let text = str::from_utf8(text).map_err(|_| Reject::NotAnAddress)?;
        let (ip, zone) = parse_address(text)?;
        Ok((self.check(ip, zone)?, zone))
    }

    /// Whether an address with this zone is accepted.
    fn check(&self, ip: IpAddr, zone: Option<&str>) -> Result<Address, Reject> {
        let address = match ip {
            IpAddr::V4(_) if zone.is_some() => return Err(Reject::UnwantedZone),
            IpAddr::V4(ip) => self.ipv4(ip)?,
            IpAddr::V6(ip) => self.ipv6(ip, zone)?,
        };
        match self.family {
            Some((family, option)) if family != address.family() => {
                Err(Reject::ExcludedFamily(address.family().name(), option))
            }
            _ => Ok(address),
        }
    }

    /// Whether `text` is an address of any kind, accepted or not.
    fn is_address(&self, text: &[u8]) -> bool {
        !matches!(self.address(text), Err(Reject::NotAnAddress | Reject::DottedTail))
    }

    fn ipv4(&self, ip: Ipv4Addr) -> Result<Address, Reject> {
        if ip.is_unspecified() {
            Err(Reject::Unspecified)
        } else if ip.is_multicast() && !self.limits.allow_multicast {
            Err(Reject::Multicast)
        } else if (ip.is_broadcast() || self.broadcasts.contains(&ip)) && !self.limits.allow_broadcast {
            Err(Reject::Broadcast)
        } else {
            Ok(Address::V4(ip))
        }
    }

    fn ipv6(&self, ip: Ipv6Addr, zone: Option<&str>) -> Result<Address, Reject> {
        if ip.is_unspecified() {
            return Err(Reject::Unspecified);
        }
        if ip.to_ipv4_mapped().is_some() {
            return Err(Reject::Mapped);
        }
        if ip.is_multicast() && !self.limits.allow_multicast {
            return Err(Reject::Multicast);
        }
        // Groups of link scope (ff02::/16) are as local as fe80::/10 (RFC 4007 §4).
        let local = ip.is_unicast_link_local() || ip.segments()[0] & 0xff0f == 0xff02;
        match (local, zone) {
            (false, None) => Ok(Address::V6(ip, 0)),
            (false, Some(_)) => Err(Reject::UnwantedZone),
            (true, None) => Err(Reject::NeedsZone),
            (true, Some(zone)) => match (self.interface)(zone) {
                Some(index) => Ok(Address::V6(ip, index)),
                None => Err(Reject::NoSuchZone),
            },
        }
    }
}

/// The targets of a list and its output lines.
#[derive(Debug, Default)]
pub struct List {
    /// The targets.
    pub addresses: Addresses,
    /// The output lines, in the order of the list.
    pub lines: OutputLines,
    /// The lines that were rejected or ambiguous.
    pub remarks: Remarks,
    /// How many lines were rejected.
    pub rejected: u64,
    /// The names among them that have no address.
    pub unresolved: Vec<UnresolvedLine>,
    /// Whether a name had an address.
    pub any_resolved: bool,
    /// How many lines were accepted although a second address follows the first.
    pub two_addresses: u64,
}

/// A parser of lists and operands.
pub struct ListParser<'a> {
    rules: Rules<'a>,
    addresses: AddressList,
    list: List,
    /// The index of each zone in the spellings of the list.
    spellings: HashMap<String, u32>,
    /// An incomplete line, up to [`MAX_BUFFERED`] bytes, without all but the last of the blanks at
    /// its start.
    buffered: Vec<u8>,
    /// The length of that line so far, in bytes.
    line_len: usize,
    line_number: u64,
    /// Whether a line looked like UTF-16.
    utf16: bool,
    /// Whether and how names are looked up.
    names: Names,
    /// The accepted lines, as long as names are not looked up.
    entries: Vec<Entry>,
    /// The texts of these entries, and the names found.
    pieces: Pieces,
    keeps_labels: bool,
    /// Returns how many bytes of memory are available.
    available_memory: Option<&'a dyn Fn() -> u64>,
    /// The number of accepted lines at which memory is checked next.
    next_memory_check: usize,
}

impl<'a> ListParser<'a> {
    /// A parser at the start of a list.
    pub fn new(rules: Rules<'a>) -> Self {
        ListParser {
            rules,
            addresses: AddressList::default(),
            list: List::default(),
            spellings: HashMap::new(),
            buffered: Vec::with_capacity(MAX_BUFFERED),
            line_len: 0,
            line_number: 0,
            utf16: false,
            names: Names::default(),
            entries: Vec::new(),
            pieces: Pieces::default(),
            keeps_labels: false,
            available_memory: None,
            next_memory_check: MEMORY_CHECK_LINES,
        }
    }

    /// Limits the list to the memory that `available` returns, in bytes.
    pub fn within(self, available: &'a dyn Fn() -> u64) -> Self {
        ListParser { available_memory: Some(available), ..self }
    }

    /// Keeps remarks on all lines that deserve one, and not only on the first.
    pub fn with_all_remarks(mut self) -> Self {
        self.list.remarks = Remarks::new(true);
        self
    }

    /// Keeps the labels of the lines: see [`OutputLines::label`].
    pub fn with_labels(self) -> Self {
        ListParser { keeps_labels: true, ..self }
    }

    /// Parses the next piece of a list, which may end anywhere.
    pub fn feed(&mut self, piece: &[u8]) -> Result<(), Error> {
        let mut rest = piece;
        loop {
            while let Some((ip, line, after)) = ipv4::first_line(rest).filter(|_| self.line_len == 0) {
                self.ipv4_line(ip, line)?;
                rest = after;
            }
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else { break };
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.line_len == 0 && end <= MAX_LINE {
                self.line(without_indent(line), end)?;
            } else {
                self.buffer(line);
                self.buffered_line()?;
            }
            rest = after;
        }
        self.buffer(rest);
        Ok(())
    }

    /// Parses an operand: an address and nothing else.
    pub fn operand(&mut self, text: &[u8]) -> Result<(), Error> {
        self.line_number += 1;
        let parsed = match text {
            b"" => Err(Reject::Empty),
            _ => self.rules.address(text),
        };
        match parsed {
            Ok((address, zone)) => self.accept(address, zone, b""),
            Err(Reject::NotAnAddress) if self.takes_name(text) => self.accept_name(text, 0, b""),
            Err(reject) => Err(Error::BadOperand(text.into(), self.or_name(reject))),
        }
    }

    /// How many lines were accepted so far.
    pub fn accepted(&self) -> usize {
        self.addresses.len() + self.entries.len()
    }

    /// Ends the last line, which may have no newline.
    fn end(&mut self) -> Result<(), Error> {
        if self.line_len > 0 { self.buffered_line() } else { Ok(()) }
    }

    /// Ends the list.
    pub fn finish(mut self) -> Result<List, Error> {
        self.end()?;
        if self.utf16 && self.addresses.is_empty() {
            return Err(Error::Utf16List);
        }
        let (addresses, targets) = self.addresses.dedup()?;
        let lines = OutputLines { targets, ..self.list.lines };
        Ok(List { addresses, lines, ..self.list })
    }

    /// Buffers part of a line, but no more than is parsed.
    fn buffer(&mut self, mut part: &[u8]) {
        self.line_len = self.line_len.saturating_add(part.len());
        if self.buffered.iter().all(u8::is_ascii_whitespace) && part.first().is_some_and(u8::is_ascii_whitespace) {
            self.buffered.clear();
            part = without_indent(part);
        }
        let free = MAX_BUFFERED - self.buffered.len();
        self.buffered.extend_from_slice(&part[..part.len().min(free)]);
    }

    fn buffered_line(&mut self) -> Result<(), Error> {
        let mut line = mem::take(&mut self.buffered);
        let len = mem::take(&mut self.line_len);
        let result = self.line(&line, len);
        line.clear();
        self.buffered = line;
        result
    }

    /// Takes a line that is an address and nothing else.
    fn ipv4_line(&mut self, ip: Ipv4Addr, line: &[u8]) -> Result<(), Error> {
        self.line_number += 1;
        match self.rules.check(ip.into(), None) {
            Ok(address) => self.accept(address, None, b""),
            Err(reject) => self.reject(line, reject),
        }
    }

    /// Parses a line of `len` bytes, of which `line` is the part that was buffered.
    fn line(&mut self, mut line: &[u8], mut len: usize) -> Result<(), Error> {
        self.line_number += 1;
        let is_cut = line.len() == MAX_BUFFERED;
        if self.line_number == 1 {
            self.utf16 = UTF16_MARKS.iter().any(|mark| line.starts_with(mark));
            if let Some(without_mark) = line.strip_prefix(BYTE_ORDER_MARK) {
                (line, len) = (without_mark, len - BYTE_ORDER_MARK.len());
            }
        }
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let first = match words.next() {
            None if !is_cut => return Ok(()),
            Some(word) if word.starts_with(b"#") => return Ok(()),
            _ if len > MAX_LINE => Err(Reject::TooLong),
            Some(word) if !line.contains(&0) => self.rules.address(word),
            _ => {
                self.utf16 |= is_utf16(line);
                Err(Reject::Nul)
            }
        };
        match first {
            Ok((address, zone)) => {
                if words.next().is_some_and(|label| self.rules.is_address(label)) {
                    self.list.two_addresses += 1;
                    self.remark(line, None)?;
                }
                self.accept(address, zone, after_first_word(line))
            }
            Err(Reject::NotAnAddress) if self.takes_name(first_word(line)) => {
                self.accept_name(first_word(line), self.line_number, after_first_word(line))
            }
            Err(reject) => self.reject(line, self.or_name(reject)),
        }
    }

    /// The reason to reject what is no name either, where names are accepted.
    fn or_name(&self, reject: Reject) -> Reject {
        match reject {
            Reject::NotAnAddress if self.names.resolve => Reject::NotAHost,
            reject => reject,
        }
    }

    fn reject(&mut self, line: &[u8], reject: Reject) -> Result<(), Error> {
        self.reject_at(self.line_number, line, reject)
    }

    fn reject_at(&mut self, line_number: u64, line: &[u8], reject: Reject) -> Result<(), Error> {
        self.list.rejected += 1;
        self.remark_at(line_number, line, Some(reject))
    }

    /// Accepts a line, of which `rest` follows the address.
    fn accept(&mut self, address: Address, zone: Option<&str>, rest: &[u8]) -> Result<(), Error> {
        self.check_room()?;
        let label = if self.keeps_labels { label(rest) } else { String::new() };
        if self.names.are_looked_up() {
            let (zone, line) = (zone.map(str::to_owned), self.line_number);
            self.pieces.add(label.len() + zone.as_ref().map_or(0, String::len), self.entries.len())?;
            try_push(&mut self.entries, Entry::Address { address, zone, label, line })?;
            return Ok(());
        }
        if let Some(zone) = zone {
            let line = self.accepted() as u32;
            let spelling = self.spelling(zone)?;
            try_push(&mut self.list.lines.zones, (line, spelling))?;
        }
        if self.keeps_labels {
            self.list.lines.labels.push(&label, self.line_number)?;
        }
        Ok(self.addresses.push(address)?)
    }

    /// Whether one more line can be accepted.
    fn check_room(&mut self) -> Result<(), Error> {
        let lines = self.accepted();
        if lines >= self.rules.limits.targets {
            return Err(Error::TooMany(self.rules.limits.targets));
        }
        if lines >= self.next_memory_check {
            self.next_memory_check += MEMORY_CHECK_LINES;
            let mut per_line = AddressList::BYTES_PER_ADDRESS;
            let mut per_target = BYTES_PER_TARGET;
            if self.keeps_labels {
                per_target += BYTES_PER_LABEL;
            }
            if self.names.are_looked_up() {
                per_line += names::BYTES_PER_ENTRY;
                per_target += names::BYTES_PER_NAME;
            }
            let needed = MEMORY_CHECK_LINES * per_line + self.next_memory_check * per_target;
            self.check_memory(lines, needed)?;
        }
        Ok(())
    }

    /// The index of `zone` in the spellings of the list. A machine may have thousands of
    /// interfaces.
    fn spelling(&mut self, zone: &str) -> Result<u32, OutOfMemory> {
        if let Some(&index) = self.spellings.get(zone) {
            return Ok(index);
        }
        let spellings = &mut self.list.lines.spellings;
        self.spellings.try_reserve(1).map_err(|_| OutOfMemory::at(spellings.len()))?;
        let index = try_push(spellings, zone.to_owned())?;
        self.spellings.insert(zone.to_owned(), index);
        Ok(index)
    }

    fn remark(&mut self, line: &[u8], reject: Option<Reject>) -> Result<(), Error> {
        self.remark_at(self.line_number, line, reject)
    }

    fn remark_at(&mut self, line_number: u64, line: &[u8], reject: Option<Reject>) -> Result<(), Error> {
        let remarks = &mut self.list.remarks;
        remarks.push(line_number, line, reject).map_err(|_| Error::Memory(self.line_number as usize))?;
        if !remarks.is_empty() && remarks.len() % MEMORY_CHECK_LINES == 0 {
            self.check_memory(self.line_number as usize, MEMORY_CHECK_LINES * Remarks::MAX_BYTES)?;
        }
        Ok(())
    }

    /// Fails if `needed` bytes of memory are not available; `lines` were read.
    fn check_memory(&self, lines: usize, needed: usize) -> Result<(), Error> {
        match self.available_memory {
            Some(available) if available() < needed as u64 => Err(Error::Memory(lines)),
            _ => Ok(()),
        }
    }
}

/// Parses an address without asking whether it is accepted. Returns it with its zone as typed.
fn parse_address(text: &str) -> Result<(IpAddr, Option<&str>), Reject> {
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (text, None),
    };
    if address.contains(':') && address.contains('.') {
        return Err(Reject::DottedTail);
    }
    Ok((address.parse().map_err(|_| Reject::NotAnAddress)?, zone))
}

/// The first word of a line that has one.
fn first_word(line: &[u8]) -> &[u8] {
    line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty()).unwrap_or_default()
}

/// What follows the first word of a line.
fn after_first_word(line: &[u8]) -> &[u8] {
    let line = line.trim_ascii_start();
    line.iter().position(u8::is_ascii_whitespace).map_or(&[], |end| &line[end..])
}

/// A line without the blanks at its start except the last one, which keeps what follows from being
/// taken for a byte order mark.
fn without_indent(line: &[u8]) -> &[u8] {
    let blanks = line.len() - line.trim_ascii_start().len();
    &line[blanks.saturating_sub(1)..]
}

/// Whether a line begins with ASCII text in UTF-16: every second byte is NUL. In little endian, the
/// NUL of a newline is the first byte of the next line.
fn is_utf16(line: &[u8]) -> bool {
    // The shortest address: `::1`.
    let Some(start) = line.first_chunk::<6>() else { return false };
    let nuls = start.map(|byte| byte == 0);
    nuls == [true, false, true, false, true, false] || nuls == [false, true, false, true, false, true]
}
