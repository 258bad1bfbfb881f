use super::Diagnostic;
use crate::source::SourceMap;
use crate::span::Span;
use serde_json::{Value, json};

/// One JSON array with an object for each diagnostic: `severity`, `code`, `message`, `file`, `line`, `column`, `end_column`, `help`,
/// `suggestion` and `related`. Absent things are `null`.
#[must_use]
pub fn to_json(diagnostics: &[Diagnostic], sources: &SourceMap) -> String {
    let list: Vec<Value> = diagnostics.iter().map(|d| object(d, sources)).collect();
    Value::Array(list).to_string()
}

fn object(diagnostic: &Diagnostic, sources: &SourceMap) -> Value {
    let related = |(span, label): &(Span, String)| json!({ "message": label, "file": path(*span, sources), "line": span.line, "column": span.column });
    json!({
        "severity": diagnostic.severity.as_str(),
        "code": diagnostic.code,
        "message": diagnostic.message,
        "label": diagnostic.label,
        "file": diagnostic.span.map(|s| path(s, sources)),
        "line": diagnostic.span.map(|s| s.line),
        "column": diagnostic.span.map(|s| s.column),
        "end_column": diagnostic.span.map(|s| end_column(s, sources)),
        "help": diagnostic.help,
        "suggestion": diagnostic.suggestion,
        "related": diagnostic.related.iter().map(related).collect::<Vec<_>>(),
    })
}

fn path(span: Span, sources: &SourceMap) -> String {
    sources.path(span.file).display().to_string()
}

fn end_column(span: Span, sources: &SourceMap) -> usize {
    span.column as usize + sources.excerpt(span).chars().count()
}
