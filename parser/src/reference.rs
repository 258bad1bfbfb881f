//! The keyword reference, written from the table.

use crate::table::{BLOCKS, Block, Effect, Keyword};
use std::fmt::Write;

/// The reference as Markdown: a section for each block, a row for each keyword.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(HEAD);
    for block in BLOCKS {
        section(&mut text, block);
    }
    text.push_str(BEYOND);
    for (block, keyword) in BLOCKS.iter().flat_map(|b| b.keywords().map(move |k| (b, k))).filter(|(_, k)| k.ours) {
        let (arguments, default, meaning) = (cell(keyword.arguments), cell(keyword.default), cell(keyword.meaning));
        let (title, name, acts) = (title(block), keyword.name, acts(keyword));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "| {title} | `{name}` | {arguments} | {default} | {meaning} | {acts} |");
    }
    text
}

fn title(block: &Block) -> &'static str {
    match block.path.trim_start_matches('/') {
        "" => "Top level",
        path => path,
    }
}

fn acts(keyword: &Keyword) -> String {
    match keyword.effect {
        Effect::Acts => "yes".to_owned(),
        Effect::Accepted => "accepted".to_owned(),
        Effect::Never(reason) => format!("no: {}", cell(reason)),
    }
}

const HEAD: &str = "# Keywords

Every keyword of keepalived's language that Standfast reads, by block. This page is written from the parser's table:
`UPDATE_REFERENCE=1 cargo test -p standfast-parser --test reference` writes it anew.

Tier 1 is in nearly every configuration, tier 2 in many, tier 3 in few. The last column says whether the daemon does what
the keyword says: `yes`; `accepted` when it is read and nothing happens yet; or why nothing ever will. A start and
`--config-test` say the same of each keyword that a configuration uses. Keywords that keepalived does not have stand
[at the end](#beyond-keepalived).
";

const BEYOND: &str = "
## Beyond keepalived

These are off unless they are written, and keepalived would report each as an unknown keyword.

| block | keyword | arguments | default | meaning | acts |
|-|-|-|-|-|-|
";

fn section(text: &mut String, block: &Block) {
    if block.keywords().all(|keyword| keyword.ours || matches!(block.name(), "GRPC_CHECK")) {
        return;
    }
    let title = title(block);
    // Writing to a string cannot fail.
    let _ = write!(text, "\n## {title}\n\n| keyword | arguments | default | meaning | tier | acts |\n|-|-|-|-|-|-|\n");
    for keyword in block.keywords().filter(|keyword| !keyword.ours) {
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
    let _ = writeln!(
        text,
        "| {name} | {arguments} | {default} | {} | {} | {} |",
        meaning.trim(),
        keyword.tier,
        acts(keyword)
    );
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('*', "\\*")
}
