//! From files to statements: lines, definitions, conditions, repetitions and includes, in keepalived's order.

mod include;
mod line;
mod plain;
mod sequence;
mod substitute;

use crate::Options;
use crate::diagnostic::{Diagnostic, Diagnostics, Weight};
use crate::lexer::comment;
use crate::lexer::words::{Kind, lexemes};
use crate::loader::Loader;
use crate::source::{SourceMap, slice};
use crate::span::{FileId, Span};
use crate::tree::{Tree, TreeBuilder, Word};
use line::{FilePlace, Line, Piece, Place};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// keepalived's line buffer holds this many bytes; it cuts longer lines.
const KEEPALIVED_LINE: usize = 1023;
/// Longer lines than this are not read at all.
const LINE_LIMIT: usize = 64 << 10;
/// Bytes (and, with a charge for each, steps) that definitions and repetitions may write.
const EXPANSION_LIMIT: usize = 8 << 20;
/// Words of all statements together.
const WORD_LIMIT: usize = 4 << 20;
/// Repetitions and multi-line definitions may nest this deep.
const NESTING_LIMIT: usize = 16;

/// The parse cannot go on; the reason has been reported.
#[derive(Debug)]
pub(crate) struct Stop;

#[derive(Debug, Clone)]
struct Definition {
    lines: Rc<[Line]>,
    span: Span,
}

/// A file that is being read.
#[derive(Debug)]
struct Frame {
    file: FileId,
    directory: PathBuf,
    /// Next byte of the file.
    next: usize,
    line: u32,
    /// Where the lines end that need no full lexer, if that is not before `next`.
    plain: usize,
}

/// Reads files into a tree.
pub(crate) struct Reader<'a> {
    loader: &'a dyn Loader,
    options: &'a Options,
    pub(crate) sources: SourceMap,
    pub(crate) diagnostics: Diagnostics,
    tree: TreeBuilder,
    definitions: HashMap<String, Definition>,
    /// A definition whose last line ended in a backslash.
    unfinished: Option<(String, Vec<Line>, Span)>,
    frames: Vec<Frame>,
    budget: usize,
    words: Vec<Word>,
    /// The comment of the line being read ended in a backslash.
    continues: bool,
    /// Files that `include` named, found or not.
    includes: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(loader: &'a dyn Loader, options: &'a Options) -> Self {
        Self {
            loader,
            options,
            sources: SourceMap::default(),
            diagnostics: Diagnostics::default(),
            tree: TreeBuilder::default(),
            definitions: HashMap::new(),
            unfinished: None,
            frames: Vec::new(),
            budget: EXPANSION_LIMIT,
            words: Vec::new(),
            continues: false,
            includes: 0,
        }
    }

    /// Reads the entry file and everything that it includes.
    pub(crate) fn run(mut self, entry: &Path) -> (Tree, SourceMap, Diagnostics) {
        self.open_entry(entry);
        if self.read_lines().is_err() {
            self.report_budget();
        }
        self.finish_definition();
        let tree = self.tree.finish(&mut self.diagnostics);
        (tree, self.sources, self.diagnostics)
    }

    fn read_lines(&mut self) -> Result<(), Stop> {
        loop {
            self.plain_lines()?;
            let Some(line) = self.next_physical() else {
                return Ok(());
            };
            self.physical(line)?;
        }
    }

    fn directory(&self) -> &Path {
        self.frames.last().map_or(Path::new("."), |f| &f.directory)
    }

    /// The next line of the file on top of the stack, without its end.
    fn next_physical(&mut self) -> Option<(FilePlace, usize)> {
        loop {
            let frame = self.frames.last_mut()?;
            let base = self.sources.base(frame.file);
            let rest = self.sources.text(frame.file).get(frame.next..).unwrap_or("");
            if rest.is_empty() {
                self.frames.pop();
                continue;
            }
            let len = rest.find('\n').unwrap_or(rest.len());
            let place = FilePlace { file: frame.file, base, line_start: base + frame.next, line: frame.line };
            frame.next += len + 1;
            frame.line += 1;
            return Some((place, len));
        }
    }

    /// A line of a file: comment and oddities removed.
    fn physical(&mut self, (place, len): (FilePlace, usize)) -> Result<(), Stop> {
        let line = Line { text: slice(place.line_start, len), place: Place::File(place) };
        let Some(line) = self.fitting(line) else {
            return Ok(());
        };
        let line = self.without_oddities(line)?;
        let code = comment::strip(self.sources.get(line.text));
        if code.cuts_word {
            self.report_cut_word(&line, code.len);
        }
        let kept = line.part(0, code.len);
        let kept = if code.escapes.is_empty() { kept } else { self.without_escapes(&kept, &code.escapes)? };
        let kept = kept.trimmed(&self.sources);
        let backslash = self.comment_backslash(&line, code.len);
        if self.unfinished.is_some() {
            self.continue_definition(&kept, backslash);
            return Ok(());
        }
        if backslash && !self.begins_definition(&kept) {
            self.report_comment_backslash(&line);
        }
        self.continues = backslash;
        self.logical(&kept, 0)
    }

    /// A comment that ends in a backslash: within a definition it continues, elsewhere keepalived reads a word.
    fn comment_backslash(&self, line: &Line, code: usize) -> bool {
        let comment = self.sources.get(line.text).get(code..).unwrap_or("");
        comment.trim_end_matches(crate::lexer::is_blank).ends_with('\\')
    }

    fn begins_definition(&self, line: &Line) -> bool {
        definition_name(self.sources.get(line.text)).is_some()
    }

    fn report_comment_backslash(&mut self, line: &Line) {
        let text = self.sources.get(line.text);
        let end = text.trim_end_matches(crate::lexer::is_blank).len();
        let found = Diagnostic::error("comment-backslash", "a backslash at the end of a comment");
        let found = found.at(line.span(&self.sources, end - 1, end));
        self.diagnostics.push(found.help("keepalived takes it for a word of its own; it is ignored here"));
    }

    /// Reports lines that are too long; `None` for those that are not read.
    fn fitting(&mut self, line: Line) -> Option<Line> {
        let len = line.text.len as usize;
        if len <= KEEPALIVED_LINE {
            return Some(line);
        }
        let read = len <= LINE_LIMIT;
        let text = format!("this line has {len} bytes; keepalived reads at most {KEEPALIVED_LINE}");
        let help = if read {
            "keepalived takes what follows as another line; it is read whole here"
        } else {
            "the line is ignored"
        };
        let found = Diagnostic::error("long-line", text).help(help);
        self.diagnostics.push(found.at(line.span(&self.sources, 0, 1)));
        read.then_some(line)
    }

    /// A NUL ends the line; characters that only look like blanks become blanks.
    fn without_oddities(&mut self, line: Line) -> Result<Line, Stop> {
        let text = self.sources.get(line.text);
        if text.is_ascii() && !text.contains('\0') {
            return Ok(line);
        }
        let line = match text.find('\0') {
            Some(at) => {
                self.diagnostics.push(
                    Diagnostic::trap("nul", "a NUL byte ends this line for keepalived").at(line.span(
                        &self.sources,
                        at,
                        at + 1,
                    )),
                );
                line.part(0, at)
            }
            None => line,
        };
        self.without_invisible(line)
    }

    fn without_invisible(&mut self, line: Line) -> Result<Line, Stop> {
        let text = self.sources.get(line.text);
        let code = text.get(..comment::strip(text).len).unwrap_or("");
        let odd = |(_, c): &(usize, char)| crate::lexer::name_of_invisible(*c).is_some();
        let mut quoted = false;
        let mut found: Vec<(usize, char)> = Vec::new();
        for (at, c) in code.char_indices() {
            quoted ^= c == '"';
            if !quoted && odd(&(at, c)) {
                found.push((at, c));
            }
        }
        let Some((at, first)) = found.first().copied() else {
            return Ok(line);
        };
        let mut text = text.to_owned();
        for (at, c) in &found {
            text.replace_range(*at..at + c.len_utf8(), &" ".repeat(c.len_utf8()));
        }
        self.report_invisible(&line, at, first);
        self.rewritten(&line, &text)
    }

    /// A line with other text of the same length.
    fn rewritten(&mut self, line: &Line, text: &str) -> Result<Line, Stop> {
        let span = line.whole(&self.sources);
        let text = self.sources.add_line(text).ok_or(Stop)?;
        let piece = Piece { at: text.at, span, literal: true };
        Ok(Line { text, place: Place::Pieces(Rc::new([piece])) })
    }

    fn report_invisible(&mut self, line: &Line, at: usize, c: char) {
        let name = crate::lexer::name_of_invisible(c).unwrap_or("invisible character");
        let found = Diagnostic::error("invisible-character", format!("{name} in the line"))
            .at(line.span(&self.sources, at, at + c.len_utf8()))
            .help("keepalived takes it for a part of the word; it is read as a blank here");
        self.diagnostics.push(found);
    }

    fn report_cut_word(&mut self, line: &Line, at: usize) {
        let text = self.sources.get(line.text);
        let mark = text.get(at..).and_then(|t| t.chars().next()).unwrap_or('#');
        let text = format!("`{mark}` within a word begins a comment");
        let help = format!("put the word in double quotes, or write `\\{mark}`, if the rest belongs to it");
        let end = line.text.len as usize;
        let found = Diagnostic::trap("comment-cuts-word", text).at(line.span(&self.sources, at, end));
        self.diagnostics.push(found.label("lost").help(help));
    }

    fn without_escapes(&mut self, line: &Line, escapes: &[usize]) -> Result<Line, Stop> {
        let mut output = substitute::Output::default();
        let mut from = 0;
        for at in escapes {
            output.literal(line, &self.sources, from, *at);
            from = at + 1;
        }
        output.literal(line, &self.sources, from, line.text.len as usize);
        output.finish(&mut self.sources).ok_or(Stop)
    }

    /// A line without its comment: `@id`, `$NAME=`, `~SEQ`, `include`, `$NAME`, then words.
    fn logical(&mut self, line: &Line, depth: usize) -> Result<(), Stop> {
        if depth > NESTING_LIMIT {
            return self.report_nesting(line);
        }
        let text = self.sources.get(line.text);
        match text.bytes().next() {
            None => return Ok(()),
            Some(b'@') => return self.conditional(line, depth),
            Some(b'$') if self.define(line) => return Ok(()),
            Some(b'~') if self.repeat(line, depth)? => return Ok(()),
            Some(b'i') if self.include(line)? => return Ok(()),
            _ => {}
        }
        if !self.sources.get(line.text).contains('$') {
            self.emit(line);
            return Ok(());
        }
        if self.multi_line(line, depth)? {
            return Ok(());
        }
        let line = self.substitute(line)?;
        if self.sources.get(line.text).starts_with(['~', '@']) {
            return self.logical(&line, depth + 1);
        }
        // A value may bring a comment of its own.
        let code = comment::strip(self.sources.get(line.text));
        self.emit(&line.part(0, code.len));
        Ok(())
    }

    /// `@id rest` and `@^id rest` (behaviour note 14).
    fn conditional(&mut self, line: &Line, depth: usize) -> Result<(), Stop> {
        let text = self.sources.get(line.text);
        let end = text.find(crate::lexer::is_blank).unwrap_or(text.len());
        let id = text.get(1..end).unwrap_or("");
        let (negated, id) = match id.strip_prefix('^') {
            Some(id) => (true, id),
            None => (false, id),
        };
        if (id == self.options.config_id) == negated {
            return Ok(());
        }
        let rest = line.part(end, text.len()).trimmed(&self.sources);
        if self.sources.get(rest.text).starts_with('@') {
            // A second condition is a word for keepalived.
            let rest = self.substitute(&rest)?;
            self.emit(&rest);
            return Ok(());
        }
        self.logical(&rest, depth + 1)
    }

    /// `$NAME=value` (behaviour note 13). False when the line is no definition.
    fn define(&mut self, line: &Line) -> bool {
        let text = self.sources.get(line.text);
        let Some(name) = definition_name(text).map(str::to_owned) else {
            return false;
        };
        let span = line.span(&self.sources, 0, name.len() + 1);
        let value = line.part(name.len() + 2, text.len()).trimmed(&self.sources);
        self.unfinished = Some((name, Vec::new(), span));
        let backslash = std::mem::take(&mut self.continues);
        self.continue_definition(&value, backslash);
        true
    }

    /// `backslash`: the line goes on although its own last character says nothing of it.
    fn continue_definition(&mut self, line: &Line, backslash: bool) {
        let Some((_, lines, _)) = &mut self.unfinished else {
            return;
        };
        let text = self.sources.get(line.text);
        let own = text.ends_with('\\');
        let more = own || backslash;
        let kept = line.part(0, text.len() - usize::from(own)).trimmed(&self.sources);
        if kept.text.len > 0 || !more {
            lines.push(kept);
        }
        if !more {
            self.finish_definition();
        }
    }

    fn finish_definition(&mut self) {
        if let Some((name, lines, span)) = self.unfinished.take() {
            let lines = lines.into();
            self.definitions.insert(name, Definition { lines, span });
        }
    }

    /// A line that is nothing but the name of a definition, or that ends in the name of one with several lines.
    fn multi_line(&mut self, line: &Line, depth: usize) -> Result<bool, Stop> {
        let Some((start, lines)) = self.definition_at_end(line) else {
            return Ok(false);
        };
        let Some((first, others)) = lines.split_first() else {
            return Ok(true);
        };
        let mut output = substitute::Output::default();
        output.literal(line, &self.sources, 0, start);
        output.literal(first, &self.sources, 0, first.text.len as usize);
        self.spend(start)?;
        let joined = output.finish(&mut self.sources).ok_or(Stop)?;
        let first = if start == 0 { first } else { &joined };
        for line in std::iter::once(first).chain(others) {
            self.spend(line.text.len as usize + 16)?;
            self.logical(line, depth + 1)?;
        }
        Ok(true)
    }

    /// Where the name begins, and the lines that it stands for.
    fn definition_at_end(&self, line: &Line) -> Option<(usize, Rc<[Line]>)> {
        let text = self.sources.get(line.text);
        let last = text.rfind('$').and_then(|at| substitute::find(text, at)).filter(|r| r.end == text.len())?;
        let lines = &self.definitions.get(last.name)?.lines;
        (last.start == 0 || lines.len() > 1).then(|| (last.start, Rc::clone(lines)))
    }

    /// Words and braces into the tree.
    fn emit(&mut self, line: &Line) {
        let text = self.sources.get(line.text);
        self.words.clear();
        let (mut raw_start, mut columns) = (None, Columns::default());
        for lexeme in lexemes(text) {
            let outer = match lexeme.kind {
                Kind::Quoted => lexeme.start - 1..lexeme.end + 1,
                Kind::Unclosed => lexeme.start - 1..lexeme.end,
                _ => lexeme.start..lexeme.end,
            };
            let span = columns.span(line, &self.sources, text, outer.start, outer.end);
            match lexeme.kind {
                Kind::Word | Kind::Quoted => {
                    raw_start.get_or_insert(outer.start);
                    let at = line.text.at as usize;
                    self.words.push(Word { text: slice(at + lexeme.start, lexeme.end - lexeme.start), span });
                }
                Kind::Unclosed => {
                    raw_start.get_or_insert(outer.start);
                    let found = Diagnostic::error("unclosed-quote", "this quote is not closed");
                    let found = found.at(span).label("the rest of the line is lost");
                    self.diagnostics.push(found);
                }
                Kind::Open | Kind::Close => {
                    let start = raw_start.take().unwrap_or(outer.start);
                    let raw = line.part(start, outer.start).text;
                    self.tree.statement(&self.words, raw);
                    self.words.clear();
                    if lexeme.kind == Kind::Open {
                        self.tree.open(span, &self.sources, &mut self.diagnostics);
                    } else {
                        self.tree.close(span, &mut self.diagnostics);
                    }
                }
            }
        }
        let raw = line.part(raw_start.unwrap_or(0), text.len()).text;
        self.tree.statement(&self.words, raw);
    }

    /// Takes from what definitions and repetitions may cost.
    fn spend(&mut self, cost: usize) -> Result<(), Stop> {
        self.budget = self.budget.checked_sub(cost).ok_or(Stop)?;
        Ok(())
    }

    fn report_budget(&mut self) {
        let text = "definitions, repetitions or included files grow too large; reading stops here";
        let mut found = Diagnostic::fatal("too-large", text).weighing(Weight::Counts);
        found.span = self.frames.last().map(|frame| Span {
            file: frame.file,
            start: u32::try_from(frame.next.saturating_sub(1)).unwrap_or(u32::MAX),
            end: u32::try_from(frame.next.saturating_sub(1)).unwrap_or(u32::MAX),
            line: frame.line.saturating_sub(1),
            column: 1,
        });
        self.diagnostics.push(found);
    }

    fn report_nesting(&mut self, line: &Line) -> Result<(), Stop> {
        let found = Diagnostic::error("deep-nesting", "conditions, definitions and repetitions nest too deep");
        let found = found.at(line.whole(&self.sources)).help("the line is ignored");
        self.diagnostics.push(found);
        Ok(())
    }
}

/// The name that a `$NAME=` line defines.
fn definition_name(text: &str) -> Option<&str> {
    let rest = text.strip_prefix('$')?;
    let name = rest.get(..substitute::name_len(rest)).filter(|n| !n.is_empty())?;
    rest.get(name.len()..)?.starts_with('=').then_some(name)
}

/// Columns of ever later words of one line, each byte counted once.
#[derive(Debug, Default)]
struct Columns {
    at: usize,
    column: u32,
    before: Option<Span>,
}

impl Columns {
    fn span(&mut self, line: &Line, sources: &SourceMap, text: &str, start: usize, end: usize) -> Span {
        if !matches!(line.place, Place::File(_)) {
            let span = line.span_after(sources, start, end, self.before);
            self.before = Some(span);
            return span;
        }
        let mut span = if self.column == 0 {
            line.span(sources, start, end)
        } else {
            line.part(start, end).span_at(sources, self.column)
        };
        if self.column > 0 {
            let skipped = text.get(self.at..start).unwrap_or("").chars().count();
            span.column = self.column + crate::source::narrow(skipped);
        }
        (self.at, self.column) = (start, span.column);
        span
    }
}
