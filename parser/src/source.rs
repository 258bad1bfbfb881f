//! Texts of the configuration: the files as read, and the lines that substitution wrote.

use crate::span::{FileId, Span};
use std::path::{Path, PathBuf};

/// All texts of one parse. Files and expanded lines share one buffer, so that a word is two numbers.
#[derive(Debug, Default)]
pub struct SourceMap {
    text: String,
    files: Vec<SourceFile>,
}

#[derive(Debug)]
struct SourceFile {
    path: PathBuf,
    base: usize,
    len: usize,
}

/// A piece of text in a [`SourceMap`]: byte offset and length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Slice {
    pub(crate) at: u32,
    pub(crate) len: u32,
}

/// Largest number of bytes that all files and expansions may hold together.
pub(crate) const TEXT_LIMIT: usize = 128 << 20;

impl SourceMap {
    /// Number of files that were read.
    #[must_use]
    pub fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Path of a file, as it was asked for; empty for an unknown id.
    #[must_use]
    pub fn path(&self, file: FileId) -> &Path {
        self.file(file).map_or(Path::new(""), |f| &f.path)
    }

    /// Text of a file; empty for an unknown id. Bytes that are not UTF-8 were read as Latin-1.
    #[must_use]
    pub fn text(&self, file: FileId) -> &str {
        self.file(file).and_then(|f| self.text.get(f.base..f.base + f.len)).unwrap_or("")
    }

    /// The text that a span covers.
    #[must_use]
    pub fn excerpt(&self, span: Span) -> &str {
        self.text(span.file).get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// `path:line:column`.
    #[must_use]
    pub fn locate(&self, span: Span) -> String {
        format!("{}:{}:{}", self.path(span.file).display(), span.line, span.column)
    }

    /// Adds a file; `None` when the texts together would pass the limit.
    pub(crate) fn add_file(&mut self, path: &Path, bytes: Vec<u8>) -> Option<FileId> {
        let text = decode(bytes);
        let (base, len) = (self.text.len(), text.len());
        if base + len > TEXT_LIMIT {
            return None;
        }
        let id = FileId(u32::try_from(self.files.len()).ok()?);
        if self.text.is_empty() {
            self.text = text;
        } else {
            self.text.push_str(&text);
        }
        self.files.push(SourceFile { path: path.to_owned(), base, len });
        Some(id)
    }

    /// Where a file begins in the buffer.
    pub(crate) fn base(&self, file: FileId) -> usize {
        self.file(file).map_or(0, |f| f.base)
    }

    /// Stores an expanded line; `None` when the texts together would pass the limit.
    pub(crate) fn add_line(&mut self, line: &str) -> Option<Slice> {
        let at = self.text.len();
        if at + line.len() > TEXT_LIMIT {
            return None;
        }
        self.text.push_str(line);
        Some(slice(at, line.len()))
    }

    /// The text of a slice.
    pub(crate) fn get(&self, slice: Slice) -> &str {
        let at = slice.at as usize;
        self.text.get(at..at + slice.len as usize).unwrap_or("")
    }

    /// The whole buffer.
    pub(crate) fn buffer(&self) -> &str {
        &self.text
    }

    fn file(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(file.0 as usize)
    }
}

/// A slice from offsets in a buffer that [`TEXT_LIMIT`] keeps below 4 GiB.
pub(crate) fn slice(at: usize, len: usize) -> Slice {
    Slice { at: narrow(at), len: narrow(len) }
}

/// Offsets, counts and lines fit in 32 bits because of [`TEXT_LIMIT`]; anything else saturates.
pub(crate) fn narrow(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

fn decode(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| decode_mixed(error.as_bytes()))
}

fn decode_mixed(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + bytes.len() / 8);
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().copied().map(char::from));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_bytes_become_characters_and_utf8_stays() {
        let mut map = SourceMap::default();
        let id = map.add_file(Path::new("x"), b"caf\xe9 \xe4\xbd\x99\n".to_vec()).expect("small");
        assert_eq!(map.text(id), "caf\u{e9} \u{4f59}\n");
    }

    #[test]
    fn spans_are_found_in_the_second_file() {
        let mut map = SourceMap::default();
        map.add_file(Path::new("a"), b"first".to_vec()).expect("small");
        let id = map.add_file(Path::new("b"), b"x second".to_vec()).expect("small");
        let span = Span { file: id, start: 2, end: 8, line: 1, column: 3 };
        assert_eq!(map.excerpt(span), "second");
        assert_eq!(map.locate(span), "b:1:3");
    }
}
