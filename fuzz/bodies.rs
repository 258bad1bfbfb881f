//! What each fuzz target checks. The parser's tests run the same functions over `fuzz/corpus`.

use standfast_parser::{MemoryLoader, Options, Parsed, diagnostic, parse, print};
use std::path::Path;

fn read(bytes: &[u8]) -> Parsed {
    parse(&MemoryLoader::single("fuzz.conf", bytes), Path::new("fuzz.conf"), &Options::default())
}

/// Places lie within their file, on the line and in the column that they name.
pub fn lexer(bytes: &[u8]) {
    let parsed = read(bytes);
    for span in parsed.diagnostics.iter().filter_map(|d| d.span) {
        let text = parsed.sources.text(span.file);
        let before = text.get(..span.start as usize).expect("a place within the file");
        assert!(span.start <= span.end && span.end as usize <= text.len() + 1, "{span:?}");
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        assert_eq!((span.line as usize, span.column as usize), (line, column), "{span:?}");
    }
}

/// Everything that the daemon does with a configuration ends without a panic, twice with the same findings.
pub fn parser(bytes: &[u8]) {
    let parsed = read(bytes);
    let _ = diagnostic::render_all(&parsed.diagnostics, &parsed.sources, diagnostic::Style::Colour);
    let _ = diagnostic::to_json(&parsed.diagnostics, &parsed.sources);
    assert_eq!(parsed.diagnostics, read(bytes).diagnostics);
}

/// What is printed is read again as what is printed.
pub fn round_trip(bytes: &[u8]) {
    let first = print::print(&read(bytes).config);
    let second = print::print(&read(first.as_bytes()).config);
    assert_eq!(first, second);
}
