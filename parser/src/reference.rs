//! The keyword reference, written from the table.

use crate::table::{BLOCKS, Block, Keyword};
use std::fmt::Write;

/// The reference as Markdown: a section for each block, a row for each keyword.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for block in BLOCKS {
        section(&mut text, block);
    }
    text
}

const HEAD: &str = "# Keywords

Every keyword of keepalived's language that Standfast reads, by block. This page is written from the parser's table:
`UPDATE_REFERENCE=1 cargo test -p standfast-parser --test reference` writes it anew.

Tier 1 is in nearly every configuration, tier 2 in many, tier 3 in few. What a running daemon accepts without acting on it
yet is said at its start, and by `--config-test`.
";

fn section(text: &mut String, block: &Block) {
    let title = if block.path == "/" { "Top level" } else { block.path.trim_start_matches('/') };
    // Writing to a string cannot fail.
    let _ = write!(text, "\n## {title}\n\n| keyword | arguments | default | meaning | tier |\n|-|-|-|-|-|\n");
    for keyword in block.keywords() {
        row(text, keyword);
    }
}

fn row(text: &mut String, keyword: &Keyword) {
    let name = if keyword.name == "*" { "each line".to_owned() } else { format!("`{}`", keyword.name) };
    let mut meaning = cell(keyword.meaning);
    if let Some(replacement) = keyword.replacement.filter(|r| !r.is_empty() && !keyword.meaning.contains(r)) {
        let _ = write!(meaning, " (deprecated: use `{replacement}`)");
    }
    if keyword.newer_than_2_2_7 {
        meaning.push_str(" (not in keepalived 2.2.7)");
    }
    let (arguments, default) = (cell(keyword.arguments), cell(keyword.default));
    let _ = writeln!(text, "| {name} | {arguments} | {default} | {} | {} |", meaning.trim(), keyword.tier);
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
