//! The short way for lines of plain words and braces, which most lines are.
//!
//! It gives what the full lexer would give; a line with anything else in it is left to that.

use super::{KEEPALIVED_LINE, Reader, Stop, WORD_LIMIT};
use crate::diagnostic::Diagnostics;
use crate::source::{Slice, SourceMap, narrow};
use crate::span::{FileId, Span};
use crate::tree::{TreeBuilder, Word};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Blank,
    Open,
    Close,
    /// The end of a line. Nothing else of this class stands in a plain one.
    End,
}

static CLASSES: [Class; 256] = classes();

const fn classes() -> [Class; 256] {
    let mut classes = [Class::Word; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b' ' | b'\t' | b'\r' | 0x0b | 0x0c => Class::Blank,
            b'{' => Class::Open,
            b'}' => Class::Close,
            byte if byte == b'\n' || is_special(byte) => Class::End,
            _ => Class::Word,
        };
        byte += 1;
    }
    classes
}

const fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

/// Quotes, marks of comments, definitions, conditions and repetitions, and all that is not ASCII.
const fn is_special(byte: u8) -> bool {
    matches!(byte, 0 | b'!'..=b'$' | b'@' | b'\\' | b'~'..)
}

impl Reader<'_> {
    /// Reads the next lines into the tree as long as they are plain ones.
    pub(super) fn plain_lines(&mut self) -> Result<(), Stop> {
        if self.tree.word_count() > WORD_LIMIT {
            return Err(Stop);
        }
        let Some(frame) = self.frames.last_mut().filter(|_| self.unfinished.is_none()) else {
            return Ok(());
        };
        let text = self.sources.text(frame.file).as_bytes();
        if frame.plain <= frame.next {
            frame.plain = plain_end(text, frame.next);
        }
        let mut lines = Lines {
            text: text.get(..frame.plain).unwrap_or(&[]),
            at: narrow(frame.next),
            line_start: narrow(frame.next),
            line: frame.line,
            file: frame.file,
            base: narrow(self.sources.base(frame.file)),
        };
        while lines.next(&mut self.tree, &self.sources, &mut self.diagnostics) {
            self.continues = false;
        }
        (frame.next, frame.line) = (lines.line_start as usize, lines.line);
        if self.tree.word_count() > WORD_LIMIT { Err(Stop) } else { Ok(()) }
    }
}

/// Bytes that are looked at together: without a branch in between they cost a fraction of single ones.
const CHUNK: usize = 64;
/// So many chunks without the end of a line may belong to one that is longer than keepalived reads.
const LONG: usize = KEEPALIVED_LINE / CHUNK - 2;

/// Where the lines end that have nothing in them which only the full lexer understands.
fn plain_end(text: &[u8], from: usize) -> usize {
    let (mut at, mut since) = (from, 0);
    for chunk in text.get(from..).unwrap_or(&[]).chunks(CHUNK) {
        let special = chunk.iter().fold(false, |found, byte| found | is_special(*byte));
        let ends = chunk.iter().fold(false, |found, byte| found | (*byte == b'\n'));
        since = if ends { 0 } else { since + 1 };
        if special || since > LONG {
            return after_newline(text, from, at + chunk.iter().position(|b| is_special(*b)).unwrap_or(0));
        }
        at += chunk.len();
    }
    at
}

/// The start of the line that a byte belongs to.
fn after_newline(text: &[u8], from: usize, byte: usize) -> usize {
    let before = text.get(from..byte).unwrap_or(&[]);
    before.iter().rposition(|b| *b == b'\n').map_or(from, |at| from + at + 1)
}

/// Plain lines, and how far they are read. No text is so long that an offset does not fit.
struct Lines<'a> {
    text: &'a [u8],
    at: u32,
    line_start: u32,
    line: u32,
    file: FileId,
    /// Where the file begins in the source buffer.
    base: u32,
}

impl Lines<'_> {
    /// Reads a line. False for one that includes a file, for one word too many, and at the end.
    fn next(&mut self, tree: &mut TreeBuilder, sources: &SourceMap, diagnostics: &mut Diagnostics) -> bool {
        self.blanks();
        let at_end = self.line_start as usize >= self.text.len();
        if at_end || self.rest().starts_with(b"include") || tree.word_count() > WORD_LIMIT {
            return false;
        }
        let (mut start, mut end) = (self.at, self.at);
        let mut first_word = tree.word_count();
        while let Some(class) = self.class() {
            match class {
                Class::Word => {
                    if tree.word_count() == first_word {
                        start = self.at;
                    }
                    tree.word(self.word());
                    end = self.at;
                }
                Class::Open | Class::Close => {
                    tree.end_statement(first_word, self.slice(start, self.at));
                    first_word = tree.word_count();
                    let span = self.span(self.at, self.at + 1);
                    if class == Class::Open {
                        tree.open(span, sources, diagnostics);
                    } else {
                        tree.close(span, diagnostics);
                    }
                    self.at += 1;
                }
                Class::Blank => self.blanks(),
                Class::End => break,
            }
        }
        tree.end_statement(first_word, self.slice(start, end));
        self.at += 1;
        self.line_start = self.at;
        self.line += 1;
        true
    }

    fn rest(&self) -> &[u8] {
        self.text.get(self.at as usize..).unwrap_or(&[])
    }

    fn class(&self) -> Option<Class> {
        self.text.get(self.at as usize).map(|byte| class(*byte))
    }

    fn word(&mut self) -> Word {
        let start = self.at;
        while self.class() == Some(Class::Word) {
            self.at += ordinary(self.rest()).max(1);
        }
        Word { text: self.slice(start, self.at), span: self.span(start, self.at) }
    }

    fn blanks(&mut self) {
        while self.rest().starts_with(b"    ") {
            self.at += 4;
        }
        while self.class() == Some(Class::Blank) {
            self.at += 1;
        }
    }

    fn slice(&self, from: u32, to: u32) -> Slice {
        Slice { at: self.base + from, len: to - from }
    }

    fn span(&self, from: u32, to: u32) -> Span {
        Span { file: self.file, start: from, end: to, line: self.line, column: from - self.line_start + 1 }
    }
}

/// How many bytes at the start, of eight, certainly belong to a word: all between the blanks and the braces.
fn ordinary(text: &[u8]) -> u32 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * EACH;
    let Some(eight) = text.first_chunk() else {
        return 0;
    };
    // Plain text has no byte above 0x7f, so that no sum and no difference reaches the next byte.
    let eight = u64::from_le_bytes(*eight);
    let above_blank = (eight | HIGH) - 0x21 * EACH;
    let from_brace = eight + 0x05 * EACH;
    ((!above_blank | from_brace) & HIGH).trailing_zeros() / 8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryLoader, Options};

    fn plain(text: &str) -> &str {
        &text[..plain_end(text.as_bytes(), 0)]
    }

    #[test]
    fn lines_with_a_meaning_beyond_words_are_left_alone() {
        assert_eq!(plain("a b {\nc"), "a b {\nc");
        assert_eq!(plain("a b {\nc\n# d\ne"), "a b {\nc\n");
        for text in ["a # b\n", "a \"b\"\n", "$A=1\n", "@id a\n", "~SEQ(N,2) a\n", "caf\u{e9}\n", "\0"] {
            assert_eq!(plain(text), "", "{text}");
            let after = format!("{}\n{text}", "a".repeat(99));
            assert_eq!(plain(&after).len(), 100, "{text}");
        }
    }

    #[test]
    fn lines_that_may_be_longer_than_keepalived_reads_are_left_alone() {
        for length in 0..=KEEPALIVED_LINE + 300 {
            let text = format!("x\n{}\ny\n", "a".repeat(length));
            assert!(length <= KEEPALIVED_LINE || plain(&text) == "x\n", "{length}");
            assert!(length > 800 || plain(&text) == text, "{length}");
        }
    }

    #[test]
    fn eight_bytes_are_as_ordinary_as_each_of_them() {
        for byte in 0..0x80 {
            for at in 0..8 {
                let mut text = *b"abcdefgh";
                text[at] = byte;
                let ordinary = ordinary(&text) as usize;
                assert!(ordinary == if (0x21..0x7b).contains(&byte) { 8 } else { at }, "{byte} {at}");
                assert!(ordinary <= at || class(byte) == Class::Word || is_special(byte));
            }
        }
    }

    #[test]
    fn an_inclusion_ends_the_plain_lines() {
        let loader = MemoryLoader::default();
        let options = Options::default();
        let mut reader = Reader::new(&loader, &options);
        let file = reader.sources.add_file("x".as_ref(), b"a b\n  include x\nc\n".to_vec()).unwrap();
        reader.push_frame(file, "x".as_ref());
        reader.plain_lines().unwrap();
        let frame = &reader.frames[0];
        assert_eq!((frame.next, frame.line), (4, 2));
    }
}
