//! Help and version texts.

use super::table::{OPTIONS, Row, Value};
use std::fmt::Write as _;

const HELP_COLUMN: usize = 34;

/// The version line, as `-v` prints it and the daemon logs it at start.
pub const VERSION: &str = concat!("Standfast v", env!("CARGO_PKG_VERSION"));

/// The text of `--help`.
#[must_use]
pub fn help(program: &str) -> String {
    let mut text = format!("Usage: {program} [OPTION]...\n");
    for row in OPTIONS {
        write_row(&mut text, row);
    }
    text
}

fn write_row(text: &mut String, row: &Row) {
    let names = names(row);
    let mut lines = row.help.lines();
    let first = lines.next().unwrap_or_default();
    if names.len() + 2 > HELP_COLUMN {
        let _ = writeln!(text, "{names}\n{:HELP_COLUMN$}{first}", "");
    } else {
        let _ = writeln!(text, "{names:HELP_COLUMN$}{first}");
    }
    for line in lines {
        let _ = writeln!(text, "{:HELP_COLUMN$}{line}", "");
    }
}

fn names(row: &Row) -> String {
    let short = row.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let value = match row.value {
        Value::None => String::new(),
        Value::Required(name) => format!("={name}"),
        Value::Attached(name) => format!("[={name}]"),
    };
    format!("  {short}--{}{value}", row.long)
}
