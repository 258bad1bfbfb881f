//! The short way for lines of plain words and braces, which most lines are.
//!
//! It gives what the full lexer would give; a line with anything else in it is left to that.

use super::{KEEPALIVED_LINE, Reader};
use crate::diagnostic::Diagnostics;
use crate::source::{SourceMap, narrow, slice};
use crate::span::{FileId, Span};
use crate::tree::{TreeBuilder, Word};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    Blank,
    Open,
    Close,
    /// Never in a plain line.
    Other,
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
            byte if byte == b'\n' || is_special(byte) => Class::Other,
            _ => Class::Word,
        };
        byte += 1;
    }
    classes
}

fn class(byte: u8) -> Class {
    CLASSES.get(usize::from(byte)).copied().unwrap_or(Class::Other)
}

/// Where a line stands.
#[derive(Clone, Copy)]
struct Origin {
    file: FileId,
    /// Where the file begins in the source buffer.
    base: usize,
    /// Where the line begins in the file.
    start: usize,
    line: u32,
}

impl Origin {
    fn span(self, from: usize, to: usize) -> Span {
        Span {
            file: self.file,
            start: narrow(self.start + from),
            end: narrow(self.start + to),
            line: self.line,
            column: narrow(from + 1),
        }
    }

    fn at(self, from: usize) -> usize {
        self.base + self.start + from
    }
}

impl Reader<'_> {
    /// Reads the next line into the tree if it is a plain one.
    pub(super) fn plain_line(&mut self) -> bool {
        let Some(frame) = self.frames.last_mut().filter(|_| self.unfinished.is_none()) else {
            return false;
        };
        let text = self.sources.text(frame.file);
        if frame.special < frame.next {
            frame.special = frame.next + special(text.as_bytes().get(frame.next..).unwrap_or(&[]));
        }
        let Some(line) = text.get(frame.next..frame.special).and_then(|rest| plain(rest, frame.special == text.len()))
        else {
            return false;
        };
        let base = self.sources.base(frame.file);
        let origin = Origin { file: frame.file, base, start: frame.next, line: frame.line };
        frame.next += line.len() + 1;
        frame.line += 1;
        self.continues = false;
        emit(line, origin, &self.sources, &mut self.tree, &mut self.diagnostics);
        true
    }
}

/// Bytes before the first one that only the full lexer understands.
fn special(text: &[u8]) -> usize {
    // Whole chunks without a branch in between are several times as fast as bytes one by one.
    let dull = |chunk: &&[u8]| !chunk.iter().fold(false, |found, byte| found | is_special(*byte));
    let skipped = text.chunks(64).take_while(dull).map(<[u8]>::len).sum();
    let rest = text.get(skipped..).unwrap_or(&[]);
    skipped + rest.iter().position(|byte| is_special(*byte)).unwrap_or(rest.len())
}

const fn is_special(byte: u8) -> bool {
    matches!(byte, 0 | b'"' | b'\\' | b'#' | b'!' | b'$' | b'~' | b'@' | 0x80..)
}

/// The first line without its end; `None` where the full lexer is needed. `last`: nothing follows the text.
fn plain(rest: &str, last: bool) -> Option<&[u8]> {
    let end = rest.bytes().position(|byte| byte == b'\n');
    let len = end.or_else(|| (last && !rest.is_empty()).then_some(rest.len()))?;
    let line = rest.as_bytes().get(..len).filter(|_| len <= KEEPALIVED_LINE)?;
    let text = line.iter().position(|b| class(*b) != Class::Blank).and_then(|at| line.get(at..));
    (!text.is_some_and(|t| t.starts_with(b"include"))).then_some(line)
}

fn emit(line: &[u8], origin: Origin, sources: &SourceMap, tree: &mut TreeBuilder, diagnostics: &mut Diagnostics) {
    let (mut at, mut start, mut end) = (0, 0, 0);
    let mut first_word = tree.word_count();
    while let Some(byte) = line.get(at) {
        match class(*byte) {
            Class::Word => {
                if tree.word_count() == first_word {
                    start = at;
                }
                end = at + word_len(line, at);
                let text = slice(origin.at(at), end - at);
                tree.word(Word { text, span: origin.span(at, end) });
                at = end;
                continue;
            }
            Class::Open | Class::Close => {
                tree.end_statement(first_word, slice(origin.at(start), at - start));
                first_word = tree.word_count();
                let span = origin.span(at, at + 1);
                if *byte == b'{' {
                    tree.open(span, sources, diagnostics);
                } else {
                    tree.close(span, diagnostics);
                }
            }
            Class::Blank | Class::Other => {
                at += blanks(line, at);
                continue;
            }
        }
        at += 1;
    }
    tree.end_statement(first_word, slice(origin.at(start), end.saturating_sub(start)));
}

/// How many bytes to pass over: one, and the spaces behind it.
fn blanks(line: &[u8], at: usize) -> usize {
    let rest = line.get(at + 1..).unwrap_or(&[]);
    rest.iter().position(|b| *b != b' ').unwrap_or(rest.len()) + 1
}

fn word_len(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or(&[]);
    rest.iter().position(|b| class(*b) != Class::Word).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::special;

    #[test]
    fn lines_with_a_meaning_beyond_words_are_left_alone() {
        let plain = |text: &'static [u8]| {
            let end = special(text);
            super::plain(std::str::from_utf8(&text[..end]).unwrap(), end == text.len())
        };
        assert_eq!(plain(b"a b {\nc"), Some(b"a b {".as_slice()));
        assert_eq!(plain(b"end"), Some(b"end".as_slice()));
        for text in ["", " include x\n", "a # b\n", "a \"b\"\n", "$A=1\n", "@id a\n", "~SEQ(N,2) a\n", "caf\u{e9}\n"] {
            assert_eq!(plain(text.as_bytes()), None, "{text}");
        }
        assert_eq!(plain(&[b'a'; 1024]), None);
        assert_eq!(special(&[b'a'; 1000]), 1000);
        assert_eq!(special(format!("{}#", "a".repeat(99)).as_bytes()), 99);
    }
}
