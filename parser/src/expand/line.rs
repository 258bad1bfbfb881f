//! A line on its way from the file to the tree, and where each of its bytes came from.

use crate::source::{Slice, SourceMap, narrow, slice};
use crate::span::{FileId, Span};
use std::rc::Rc;

/// Text in the source buffer and its origin.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) text: Slice,
    pub(crate) place: Place,
}

/// Where the bytes of a line came from.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A stretch of a file.
    File(FilePlace),
    /// Put together from pieces.
    Pieces(Rc<[Piece]>),
}

/// Enough of a physical line to compute spans.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilePlace {
    pub(crate) file: FileId,
    /// Where the file begins in the source buffer.
    pub(crate) base: usize,
    /// Where the physical line begins in the source buffer.
    pub(crate) line_start: usize,
    pub(crate) line: u32,
}

/// Bytes of an expanded line, from `at` in the source buffer to the next piece.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) at: u32,
    pub(crate) span: Span,
    /// The bytes stand so in the file; otherwise the span is the `$NAME` that they replaced.
    pub(crate) literal: bool,
}

impl Line {
    /// The part of the line from byte `from` to byte `to`.
    pub(crate) fn part(&self, from: usize, to: usize) -> Line {
        let len = (self.text.len as usize).min(to).saturating_sub(from);
        Line { text: slice(self.text.at as usize + from, len), place: self.place.clone() }
    }

    /// The line without blanks at both ends.
    pub(crate) fn trimmed(&self, sources: &SourceMap) -> Line {
        let text = sources.get(self.text);
        let start = text.len() - text.trim_start_matches(crate::lexer::is_blank).len();
        let end = text.trim_end_matches(crate::lexer::is_blank).len();
        self.part(start, end.max(start))
    }

    /// The span of bytes `start..end` of the line.
    pub(crate) fn span(&self, sources: &SourceMap, start: usize, end: usize) -> Span {
        self.span_after(sources, start, end, None)
    }

    /// The same; columns are counted from `before`, the span of an earlier part, where that is nearer.
    pub(crate) fn span_after(&self, sources: &SourceMap, start: usize, end: usize, before: Option<Span>) -> Span {
        let at = self.text.at as usize;
        match &self.place {
            Place::File(place) => place.span(sources, (at + start, at + end), before),
            Place::Pieces(pieces) => span_in_pieces(pieces, sources, (at + start, at + end), before),
        }
    }

    /// The span of the whole line when its column is known: the text before it is not counted again.
    pub(crate) fn span_at(&self, sources: &SourceMap, column: u32) -> Span {
        match &self.place {
            Place::File(place) => Span {
                file: place.file,
                start: narrow((self.text.at as usize).saturating_sub(place.base)),
                end: narrow((self.text.at as usize + self.text.len as usize).saturating_sub(place.base)),
                line: place.line,
                column,
            },
            Place::Pieces(_) => self.whole(sources),
        }
    }

    /// The span of the whole line.
    pub(crate) fn whole(&self, sources: &SourceMap) -> Span {
        self.span(sources, 0, self.text.len as usize)
    }
}

impl FilePlace {
    fn span(&self, sources: &SourceMap, (start, end): (usize, usize), near: Option<Span>) -> Span {
        let near = near.filter(|n| n.file == self.file && n.line == self.line && self.base + n.start as usize <= start);
        let (from, column) = near.map_or((self.line_start, 1), |n| (self.base + n.start as usize, n.column));
        let before = sources.buffer().get(from..start).unwrap_or("");
        Span {
            file: self.file,
            start: narrow(start.saturating_sub(self.base)),
            end: narrow(end.saturating_sub(self.base)),
            line: self.line,
            column: column + narrow(columns(before)),
        }
    }
}

fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().count() }
}

fn span_in_pieces(pieces: &[Piece], sources: &SourceMap, (start, end): (usize, usize), before: Option<Span>) -> Span {
    let last = end.saturating_sub(1).max(start);
    let Some(first) = piece_span(pieces, sources, start, before) else {
        return Span::default();
    };
    let Some(last) = piece_span(pieces, sources, last, Some(first)) else {
        return Span::default();
    };
    if first.file != last.file || last.end < first.start {
        return first;
    }
    Span { end: last.end, ..first }
}

/// The span of one byte: itself where it is literal, else the whole piece.
fn piece_span(pieces: &[Piece], sources: &SourceMap, at: usize, near: Option<Span>) -> Option<Span> {
    let index = pieces.partition_point(|p| p.at as usize <= at);
    let piece = pieces.get(index.checked_sub(1)?)?;
    if !piece.literal {
        return Some(piece.span);
    }
    let offset = at - piece.at as usize;
    let start = piece.span.start as usize + offset;
    let usable = |n: &Span| {
        (n.file, n.line) == (piece.span.file, piece.span.line)
            && (piece.span.start as usize..=start).contains(&(n.start as usize))
    };
    let from = near.filter(usable).unwrap_or(piece.span);
    let before = sources.text(piece.span.file).get(from.start as usize..start);
    Some(Span {
        start: narrow(start),
        end: narrow(start + 1),
        column: from.column + narrow(columns(before.unwrap_or(""))),
        ..piece.span
    })
}
