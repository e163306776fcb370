//! The targets as they were named: the first word of each line of a list, operands, or the
//! addresses of a range.

use multiping::alloc::{OutOfMemory, try_grow, try_push};

/// The longest name that is read, in bytes.
const MAX_WORD: usize = 255;

/// Words, in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Words {
    text: Vec<u8>,
    /// Where each word ends in `text`.
    ends: Vec<u32>,
}

impl Words {
    pub(super) fn push(&mut self, word: &[u8]) -> Result<(), OutOfMemory> {
        let count = self.ends.len();
        let end = u32::try_from(self.text.len() + word.len()).map_err(|_| OutOfMemory::at(count))?;
        if self.text.capacity() - self.text.len() < word.len() {
            try_grow(count, || self.text.try_reserve(word.len()).map(|()| self.text.capacity()))?;
        }
        self.text.extend_from_slice(word);
        try_push(&mut self.ends, end).map(drop)
    }

    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(index).copied().unwrap_or(start);
        &self.text[start as usize..end as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// A name is too long, or there is no memory for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadList {
    TooLong,
    Memory(OutOfMemory),
}

impl From<OutOfMemory> for BadList {
    fn from(error: OutOfMemory) -> Self {
        BadList::Memory(error)
    }
}

/// Reads a list in pieces of any size. What follows the first word of a line is a label.
#[derive(Debug, Default)]
pub(super) struct ListReader {
    words: Words,
    word: Vec<u8>,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Start,
    Word,
    Rest,
}

impl ListReader {
    pub(super) fn feed(&mut self, piece: &[u8]) -> Result<(), BadList> {
        for &byte in piece {
            let is_blank = byte.is_ascii_whitespace() || byte == b'\x0b';
            self.place = match (byte, self.place) {
                (b'\n', _) => Place::Start,
                (_, Place::Start) if is_blank => Place::Start,
                (b'#', Place::Start) | (_, Place::Rest) => Place::Rest,
                (_, Place::Word) if is_blank => Place::Rest,
                _ if self.word.len() == MAX_WORD => return Err(BadList::TooLong),
                _ => {
                    self.word.push(byte);
                    Place::Word
                }
            };
            if self.place != Place::Word {
                self.end_word()?;
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    pub(super) fn finish(mut self) -> Result<Words, BadList> {
        self.end_word()?;
        Ok(self.words)
    }

    fn end_word(&mut self) -> Result<(), BadList> {
        if !self.word.is_empty() {
            self.words.push(&self.word)?;
            self.word.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, piece: usize) -> Result<Vec<String>, BadList> {
        let mut reader = ListReader::default();
        text.as_bytes().chunks(piece).try_for_each(|piece| reader.feed(piece))?;
        Ok(reader.finish()?.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect())
    }

    #[test]
    fn the_first_word_of_each_line_is_a_target() {
        let list = "a\n  b label # more\n\n#c\n  # d\n\te\r\n \r\n#\nf#g h\nlast";
        for piece in 1..list.len() {
            assert_eq!(read(list, piece).as_deref(), Ok(&["a", "b", "e", "f#g", "last"].map(String::from)[..]));
        }
    }

    #[test]
    fn a_name_has_255_bytes_at_most_and_a_line_any_number() {
        let longest = "x".repeat(255);
        assert_eq!(read(&format!("{longest}\n"), 100), Ok(vec![longest.clone()]));
        assert_eq!(read(&format!("{longest}x\n"), 100), Err(BadList::TooLong));
        assert_eq!(read(&format!("a {longest}{longest}\n"), 100), Ok(vec!["a".into()]));
        assert_eq!(read(&format!("#{longest}{longest}"), 100), Ok(vec![]));
    }
}
