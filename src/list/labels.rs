//! The labels of the lines of a list, which are what follows the address up to a comment, and the
//! numbers of these lines.

use std::fmt::{self, Display, Formatter, Write};

use multiping::alloc::{OutOfMemory, try_grow, try_push};

/// The longest label that is kept, in bytes.
const MAX_LABEL: usize = 64;

/// The labels of all accepted lines, one after the other. In 8 bytes a line, apart from the text.
#[derive(Debug, Default)]
pub(super) struct Labels {
    text: String,
    /// Where each of them ends, and the number of its line in the list, from 1.
    lines: Vec<(u32, u32)>,
}

impl Labels {
    /// How many bytes a line takes.
    pub(super) const BYTES_PER_LINE: usize = size_of::<(u32, u32)>();

    /// Adds the label of the next accepted line, which has this number in the list.
    pub(super) fn push(&mut self, label: &str, number: u64) -> Result<(), OutOfMemory> {
        let lines = self.lines.len();
        let room = self.text.capacity() - self.text.len();
        if room < label.len() {
            try_grow(lines, || self.text.try_reserve(label.len()).map(|()| self.text.capacity()))?;
        }
        self.text.push_str(label);
        let end = u32::try_from(self.text.len()).map_err(|_| OutOfMemory::at(lines))?;
        try_push(&mut self.lines, (end, u32::try_from(number).unwrap_or(u32::MAX))).map(drop)
    }

    /// The label of a line, counted from 0; empty if it has none.
    pub(super) fn get(&self, line: usize) -> &str {
        let end = |line: usize| self.lines.get(line).map(|&(end, _)| end as usize);
        let start = line.checked_sub(1).map_or(0, |before| end(before).unwrap_or(0));
        self.text.get(start..end(line).unwrap_or(start)).unwrap_or_default()
    }

    /// The number in the list of an accepted line, counted from 0.
    pub(super) fn number(&self, line: usize) -> Option<u32> {
        self.lines.get(line).map(|&(_, number)| number)
    }
}

/// The label in what follows the address of a line, safe for a terminal: control characters and
/// what changes the direction of text are escaped.
pub(super) fn label(rest: &[u8]) -> String {
    let rest = rest.trim_ascii();
    let comment = rest.windows(2).position(|pair| pair[0].is_ascii_whitespace() && pair[1] == b'#');
    let text = match rest {
        [b'#', ..] => &[],
        _ => rest[..comment.unwrap_or(rest.len())].trim_ascii_end(),
    };
    let text = String::from_utf8_lossy(text);
    let mut label = Visible(&text).to_string();
    let fits = |&end: &usize| label.is_char_boundary(end);
    label.truncate((0..=MAX_LABEL.min(label.len())).rev().find(fits).unwrap_or(0));
    label
}

/// Text without characters that a terminal would obey or not show.
struct Visible<'a>(&'a str);

impl Display for Visible<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '\t' => f.write_char(' '),
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => {
                character.escape_unicode().fmt(f)
            }
            _ if character.is_control() => character.escape_unicode().fmt(f),
            _ => f.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_ends_at_a_comment() {
        for (rest, expected) in [
            ("", ""),
            ("  web01 ", "web01"),
            (" old printer # third floor", "old printer"),
            ("#5 of 9", ""),
            ("  # comment", ""),
            ("C#9", "C#9"),
            ("B\u{fc}ro\r", "B\u{fc}ro"),
            ("a\x1b[31mb\u{202e}c\td", "a\\u{1b}[31mb\\u{202e}c d"),
        ] {
            assert_eq!(label(rest.as_bytes()), expected, "{rest:?}");
        }
        assert_eq!(label(b"x\xffy"), "x\u{fffd}y");
        assert_eq!(label("\u{e9}".repeat(100).as_bytes()), "\u{e9}".repeat(32), "cut between characters");
        assert_eq!(label(&[b'a'; 65]), "a".repeat(64));
    }

    #[test]
    fn each_line_has_its_own_label() -> Result<(), OutOfMemory> {
        let mut labels = Labels::default();
        for (label, number) in [("one", 1), ("", 2), ("three", 7)] {
            labels.push(label, number)?;
        }
        assert_eq!([0, 1, 2, 3].map(|line| labels.get(line)), ["one", "", "three", ""]);
        assert_eq!([0, 1, 2, 3].map(|line| labels.number(line)), [Some(1), Some(2), Some(7), None]);
        Ok(())
    }
}
