//! Helpers of the parser's tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

use standfast_parser::{MemoryLoader, Options, Parsed, parse};
use std::fmt::Debug;
use std::path::Path;

/// Parses one text as `test.conf`, with the config id `here`.
pub fn parse_text(text: impl Into<Vec<u8>>) -> Parsed {
    let options = Options { config_id: "here".to_owned(), ..Options::default() };
    parse(&MemoryLoader::single("test.conf", text), Path::new("test.conf"), &options)
}

/// The debug form of a model without its spans.
pub fn without_spans(value: &impl Debug) -> String {
    let text = format!("{value:#?}");
    let mut kept = Vec::new();
    let mut skip: Option<usize> = None;
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        if let Some(depth) = skip {
            if indent == depth && line.trim_start().starts_with('}') {
                skip = None;
            }
            continue;
        }
        if line.trim_start().starts_with("span: Span {") {
            skip = Some(indent);
            continue;
        }
        kept.push(line);
    }
    kept.join("\n")
}

/// `line: severity code message`, one diagnostic a line.
pub fn summary(parsed: &Parsed) -> String {
    let line = |d: &standfast_parser::Diagnostic| {
        let place = d.span.map_or_else(|| "-".to_owned(), |s| format!("{}:{}", s.line, s.column));
        format!("{place} {} [{}] {}", d.severity.as_str(), d.code, d.message)
    };
    parsed.diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}
