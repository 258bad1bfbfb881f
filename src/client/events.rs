//! Events as lines.

use super::time::moment;
use crate::status::{EntryKind, JournalEntry};

/// An event on a line.
pub(super) fn line(entry: &JournalEntry, json: bool) -> String {
    if json {
        return super::json(entry);
    }
    let subject = if entry.subject.is_empty() { String::new() } else { format!("{}: ", entry.subject) };
    let kind = if entry.kind == EntryKind::Daemon { "" } else { entry.kind.name() };
    format!("{}  {kind:11} {subject}{}\n", moment(entry.at_ms), entry.text)
}
