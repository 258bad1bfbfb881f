//! The tables of `docs/metrics.md`.

use super::{Family, GROUPS, Kind};
use std::fmt::Write as _;

/// Every metric by its name in a query, in the groups and the order of a scrape, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for (title, families) in GROUPS {
        // Writing into memory does not fail.
        let _ = write!(text, "### {title}\n\n| metric | kind | labels | what |\n|---|---|---|---|\n");
        families.iter().for_each(|family| row(&mut text, family));
        text.push('\n');
    }
    text
}

fn row(text: &mut String, family: &Family) {
    let kind = match family.kind {
        Kind::Gauge => "gauge",
        Kind::Counter => "counter",
        Kind::Info => "info",
    };
    let labels: Vec<String> = family.labels.iter().map(|label| format!("`{label}`")).collect();
    let _ = writeln!(text, "| `{}` | {kind} | {} | {} |", family.sample_name(), labels.join(" "), family.help);
}
