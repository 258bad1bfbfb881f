use super::{Diagnostic, LONG_PASSWORD, Severity};
use crate::secret::{cover, veil};
use crate::source::SourceMap;
use crate::span::Span;
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// Longest source line that an excerpt shows, in bytes.
const EXCERPT_LIMIT: usize = 400;

/// How diagnostics look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Text only.
    #[default]
    Plain,
    /// With ANSI colours.
    Colour,
}

/// All diagnostics with their excerpts, and a summary line when there are any.
#[must_use]
pub fn render_all(diagnostics: &[Diagnostic], sources: &SourceMap, style: Style) -> String {
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(&render(diagnostic, sources, style));
        text.push_str("\n\n");
    }
    text
}

/// One diagnostic in the manner of rustc: message, `file:line:column`, excerpt with caret, help. No final newline.
#[must_use]
pub fn render(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Colour => Renderer::styled(),
    };
    renderer.decor_style(DecorStyle::Ascii).render(&[group(diagnostic, sources)])
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a SourceMap) -> Group<'a> {
    let level = level(diagnostic.severity);
    let mut group = Group::with_title(level.primary_title(visible(&diagnostic.message)).id(diagnostic.code));
    if let Some(span) = diagnostic.span {
        group = group.element(primary(diagnostic, span, sources));
    }
    for (span, label) in &diagnostic.related {
        group = group.element(excerpt(*span, sources, AnnotationKind::Context, Some(visible(label)), false));
    }
    if let Some(suggestion) = &diagnostic.suggestion {
        group = group.element(Level::HELP.message(format!("did you mean `{}`?", visible(suggestion))));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(visible(help)));
    }
    group
}

fn level(severity: Severity) -> Level<'static> {
    match severity {
        Severity::Fatal => Level::ERROR.with_name("fatal"),
        Severity::Error => Level::ERROR,
        Severity::Security => Level::ERROR.with_name("security"),
        Severity::Warning => Level::WARNING,
        Severity::Deprecated => Level::WARNING.with_name("deprecated"),
        Severity::Note => Level::NOTE,
    }
}

fn primary<'a>(diagnostic: &'a Diagnostic, span: Span, sources: &'a SourceMap) -> Snippet<'a, Annotation<'a>> {
    let label = diagnostic.label.as_deref().map(visible);
    excerpt(span, sources, AnnotationKind::Primary, label, diagnostic.code == LONG_PASSWORD)
}

fn excerpt<'a>(
    span: Span,
    sources: &'a SourceMap,
    kind: AnnotationKind,
    label: Option<String>,
    marks_secret: bool,
) -> Snippet<'a, Annotation<'a>> {
    let (line, marked) = excerpt_of(sources.text(span.file), span);
    // A password may stand in a definition, where no keyword tells that it is one.
    let line = if marks_secret { cover(line, marked.clone()) } else { veil(line) };
    let mut annotation = kind.span(marked);
    if let Some(label) = label {
        annotation = annotation.label(label);
    }
    Snippet::source(line)
        .path(visible(&sources.path(span.file).display().to_string()))
        .line_start(span.line as usize)
        .annotation(annotation)
}

/// The line of a span without its end, and the span within it. Only this line is handed on, so that a big file costs nothing.
fn excerpt_of(text: &str, span: Span) -> (&str, Range<usize>) {
    let start = boundary(text, span.start as usize);
    let head = text.get(..start).unwrap_or("");
    let line_start = head.rfind('\n').map_or(0, |at| at + 1);
    let rest = text.get(line_start..).unwrap_or("");
    let line = rest.split('\n').next().unwrap_or("").trim_end_matches('\r');
    let line = line.get(..boundary(line, EXCERPT_LIMIT)).unwrap_or(line);
    let from = (start - line_start).min(line.len());
    let to = boundary(line, (span.end as usize).saturating_sub(line_start)).max(from);
    (line, from..to)
}

/// The nearest character boundary at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at)
}

/// Control characters made visible, so that a configuration cannot steer the terminal.
fn visible(text: &str) -> String {
    annotate_snippets::normalize_untrusted_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn sample() -> (SourceMap, Diagnostic) {
        let mut map = SourceMap::default();
        let text = "global_defs {\n  rooter_id a\n}\n";
        let file = map.add_file(Path::new("k.conf"), text.as_bytes().to_vec()).expect("small");
        let span = Span { file, start: 16, end: 25, line: 2, column: 3 };
        let found =
            Diagnostic::error("unknown-keyword", "unknown keyword `rooter_id`").at(span).suggest(Some("router_id"));
        (map, found)
    }

    #[test]
    fn it_looks_like_rustc() {
        let (map, found) = sample();
        insta::assert_snapshot!(render(&found, &map, Style::Plain));
    }

    #[test]
    fn spans_out_of_the_file_do_not_panic() {
        let (map, mut found) = sample();
        for (start, end) in [(0, 900), (900, 2), (30, 31), (17, 17)] {
            found.span = Some(Span { start, end, line: 7, ..Span::default() });
            assert!(render(&found, &map, Style::Plain).contains("unknown-keyword"));
        }
    }
}
