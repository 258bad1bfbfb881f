//! `$NAME`, `${NAME}` and the predefined names (behaviour note 13).

use super::line::{Line, Piece, Place};
use super::{Reader, Stop};
use crate::diagnostic::Diagnostic;
use crate::source::{SourceMap, narrow};
use crate::span::Span;

/// Definitions may use definitions this deep.
const DEPTH_LIMIT: usize = 64;

/// A misspelt name is looked for among at most so many definitions.
const SUGGESTED_AMONG: usize = 1000;
/// Bytes between the braces of `${...}`.
const ARGUMENT_LIMIT: usize = 1024;

/// A reference to a name within a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference<'t> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) name: &'t str,
    /// What follows the name within the braces.
    arguments: &'t str,
    braced: bool,
}

/// The first reference at or after `from`.
pub(super) fn find(text: &str, from: usize) -> Option<Reference<'_>> {
    let mut at = from;
    loop {
        let start = at + text.get(at..)?.find('$')?;
        if let Some(found) = reference_at(text, start) {
            return Some(found);
        }
        at = start + 1;
    }
}

fn reference_at(text: &str, start: usize) -> Option<Reference<'_>> {
    let rest = text.get(start + 1..)?;
    if let Some(inner) = rest.strip_prefix('{') {
        let close = inner.bytes().take(ARGUMENT_LIMIT).position(|b| b == b'}')?;
        let inside = inner.get(..close)?;
        let name = inside.get(..name_len(inside))?;
        let arguments = inside.get(name.len()..)?.trim();
        let plain = arguments.is_empty() || name.starts_with('_');
        return (!name.is_empty() && plain).then_some(Reference {
            start,
            end: start + close + 3,
            name,
            arguments,
            braced: true,
        });
    }
    let name = rest.get(..name_len(rest))?;
    let after = rest.get(name.len()..)?.chars().next();
    (!name.is_empty() && ends_name(after)).then_some(Reference {
        start,
        end: start + 1 + name.len(),
        name,
        arguments: "",
        braced: false,
    })
}

/// Whether a `$NAME` ends before this character. Before any other it is no reference.
fn ends_name(after: Option<char>) -> bool {
    after.is_none_or(|c| crate::lexer::is_blank(c) || matches!(c, ',' | ')'))
}

/// Bytes at the start of a text that are a name; no name begins with a digit.
pub(super) fn name_len(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

/// An expanded line while it is written.
#[derive(Default)]
pub(super) struct Output {
    text: String,
    pieces: Vec<(usize, Span, bool)>,
    /// The last place in the line that is being copied: columns are counted on from there.
    near: Option<Span>,
}

impl Output {
    pub(super) fn literal(&mut self, line: &Line, sources: &SourceMap, start: usize, end: usize) {
        if let Some(text) = sources.get(line.text).get(start..end).filter(|t| !t.is_empty()) {
            let span = line.span_after(sources, start, end, self.near);
            self.near = Some(span);
            self.pieces.push((self.text.len(), span, true));
            self.text.push_str(text);
        }
    }

    pub(super) fn replaced(&mut self, text: &str, by: Span) {
        self.pieces.push((self.text.len(), by, false));
        self.text.push_str(text);
    }

    pub(super) fn finish(self, sources: &mut SourceMap) -> Option<Line> {
        let text = sources.add_line(&self.text)?;
        let piece = |(at, span, literal): (usize, Span, bool)| Piece { at: text.at + narrow(at), span, literal };
        let pieces = self.pieces.into_iter().map(piece).collect();
        Some(Line { text, place: Place::Pieces(pieces) })
    }
}

impl Reader<'_> {
    /// The line with every name that is defined replaced. Undefined names stay.
    pub(super) fn substitute(&mut self, line: &Line) -> Result<Line, Stop> {
        self.report_glued(line);
        if find(self.sources.get(line.text), 0).is_none() {
            return Ok(line.clone());
        }
        let mut output = Output::default();
        self.substitute_into(line, &mut output, None, &mut Vec::new())?;
        output.finish(&mut self.sources).ok_or(Stop)
    }

    /// `site` is the reference in the file that led here, `None` for the file's own text.
    fn substitute_into(
        &mut self,
        line: &Line,
        output: &mut Output,
        site: Option<Span>,
        active: &mut Vec<String>,
    ) -> Result<(), Stop> {
        let text = self.sources.get(line.text).to_owned();
        let (mut at, mut quoted) = (0, false);
        while let Some(found) = find(&text, at) {
            quoted ^= text.get(at..found.start).is_some_and(|t| t.matches('"').count() % 2 == 1);
            self.copy(line, output, site, at, found.start)?;
            let span = site.unwrap_or_else(|| line.span_after(&self.sources, found.start, found.end, output.near));
            output.near = Some(span);
            if !self.replace(&found, span, output, active)? {
                self.keep(line, output, site, quoted, &found, span)?;
            }
            quoted ^= found.arguments.matches('"').count() % 2 == 1;
            at = found.end;
        }
        self.copy(line, output, site, at, text.len())
    }

    /// `$NAME/24`: keepalived does not see the name of a definition there.
    fn report_glued(&mut self, line: &Line) {
        let text = self.sources.get(line.text);
        for (at, _) in text.match_indices('$') {
            let rest = text.get(at + 1..).unwrap_or("");
            let (name, after) = rest.split_at(name_len(rest));
            if ends_name(after.chars().next()) || !self.definitions.contains_key(name) {
                continue;
            }
            let message = format!("`${name}` is not replaced here: a blank, a comma or `)` must follow it");
            let found = Diagnostic::trap("glued-name", message);
            let found = found.at(line.span(&self.sources, at, at + 1 + name.len()));
            self.diagnostics.push(found.help(format!("write `${{{name}}}`")));
        }
    }

    fn copy(
        &mut self,
        line: &Line,
        output: &mut Output,
        site: Option<Span>,
        start: usize,
        end: usize,
    ) -> Result<(), Stop> {
        self.spend(end - start)?;
        match site {
            None => output.literal(line, &self.sources, start, end),
            Some(span) => {
                let text = self.sources.get(line.text).get(start..end).unwrap_or("");
                output.replaced(text, span);
            }
        }
        Ok(())
    }

    /// An unknown name stays. Outside quotes it loses its braces, which would open a block.
    fn keep(
        &mut self,
        line: &Line,
        output: &mut Output,
        site: Option<Span>,
        quoted: bool,
        found: &Reference<'_>,
        span: Span,
    ) -> Result<(), Stop> {
        if quoted || !found.braced {
            return self.copy(line, output, site, found.start, found.end);
        }
        if !self.definitions.contains_key(found.name) {
            let text = format!("`${{{}}}` is not defined, and its braces are no part of a word", found.name);
            let help = "keepalived takes them for a block; `$NAME=value` lines must stand before their use";
            self.diagnostics.push(Diagnostic::error("undefined-name", text).at(span).help(help));
        }
        output.replaced("$", span);
        output.replaced(found.name, span);
        Ok(())
    }

    /// False when the name is unknown.
    fn replace(
        &mut self,
        found: &Reference<'_>,
        span: Span,
        output: &mut Output,
        active: &mut Vec<String>,
    ) -> Result<bool, Stop> {
        self.spend(16)?;
        let Some(definition) = self.definitions.get(found.name).cloned() else {
            if let Some(text) = self.predefined(found) {
                self.spend(text.len())?;
                output.replaced(&text, span);
                return Ok(true);
            }
            if !found.braced {
                self.report_undefined(found.name, span);
            }
            return Ok(false);
        };
        if definition.lines.len() > 1 {
            self.report_lines(found.name, span, definition.span);
            return Ok(false);
        }
        if active.len() >= DEPTH_LIMIT || active.iter().any(|name| name == found.name) {
            self.report_recursion(found.name, span, definition.span);
            return Ok(false);
        }
        active.push(found.name.to_owned());
        for line in definition.lines.iter() {
            self.substitute_into(line, output, Some(span), active)?;
        }
        active.pop();
        Ok(true)
    }

    fn predefined(&mut self, found: &Reference<'_>) -> Option<String> {
        if !found.arguments.is_empty() && !matches!(found.name, "_ENV" | "_RANDOM") {
            return None;
        }
        Some(match found.name {
            "_PWD" => self.directory().to_string_lossy().into_owned(),
            "_INSTANCE" => self.options.config_id.clone(),
            "_ENV" => (self.options.environment)(found.arguments)?,
            "_RANDOM" => self.random(found.arguments)?,
            "_HASH" => "#".to_owned(),
            "_BANG" => "!".to_owned(),
            _ => return None,
        })
    }

    /// `MIN MAX`, by default 0 and 32767; swapped when out of order. `None` when they are no numbers.
    fn random(&mut self, arguments: &str) -> Option<String> {
        let bounds: Option<Vec<u32>> = arguments.split_whitespace().map(|w| w.parse().ok()).collect();
        let bounds = bounds?;
        let (low, high) = (bounds.first().copied().unwrap_or(0), bounds.get(1).copied().unwrap_or(32767));
        let (low, high) = (low.min(high), low.max(high));
        let value = (self.options.random)();
        Some((u64::from(low) + value % (u64::from(high - low) + 1)).to_string())
    }

    fn report_undefined(&mut self, name: &str, span: Span) {
        let names = self.definitions.keys().map(String::as_str);
        let few = self.definitions.len() <= SUGGESTED_AMONG && self.diagnostics.wants_hint();
        let near = if few { crate::suggest::nearest(name, names).map(str::to_owned) } else { None };
        let text = format!("`${name}` is not defined here and stays as it is");
        let help = "definitions are lines of their own, `$NAME=value`, and stand before their use";
        let found = Diagnostic::trap("undefined-name", text).at(span).help(help);
        self.diagnostics.push(found.suggest(near.map(|n| format!("${n}"))));
    }

    fn report_lines(&mut self, name: &str, span: Span, defined: Span) {
        let text = format!("`${name}` has several lines and can only end a line");
        let found = Diagnostic::error("lines-within-line", text).at(span).related(defined, "defined here");
        self.diagnostics.push(found.help("it is not replaced here; use it on a line of its own"));
    }

    fn report_recursion(&mut self, name: &str, span: Span, defined: Span) {
        let text = format!("the definition of `${name}` needs itself");
        let found = Diagnostic::error("recursive-definition", text).at(span);
        self.diagnostics.push(found.related(defined, "defined here"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_need_an_end() {
        let name = |text| find(text, 0).map(|r| r.name);
        assert_eq!(name("a $P b"), Some("P"));
        assert_eq!(name("a ${P}7"), Some("P"));
        for text in ["a $P;", "$P\"", "$P{", "$P}", "$1", "${1}"] {
            assert_eq!(name(text), None, "{text}");
        }
        assert_eq!(name("$ ${} ${a b}"), None);
        assert_eq!(name("$x. $y"), Some("y"));
        assert_eq!(find("${_ENV HOME}", 0).map(|r| r.arguments), Some("HOME"));
    }
}
