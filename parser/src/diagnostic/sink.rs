use super::{Diagnostic, Severity, Weight};
use crate::span::Span;
use std::collections::HashSet;

/// Diagnostics kept one by one; what comes after them is only counted.
const LIMIT: usize = 2000;
/// Diagnostics that get a "did you mean": looking for one costs more than all the rest of a line.
const HINTS: usize = 256;

/// Collects diagnostics: each place says each thing once.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    list: Vec<Diagnostic>,
    seen: HashSet<(Span, String)>,
    dropped: Vec<Diagnostic>,
    dropped_count: usize,
    /// Every severity and weight that is kept: a handful.
    kinds: Vec<(Severity, Weight)>,
}

impl Diagnostics {
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.seen.len() < LIMIT
            && let Some(span) = diagnostic.span
            && !self.seen.insert((span, diagnostic.message.clone()))
        {
            return;
        }
        let kind = (diagnostic.severity, diagnostic.weight);
        let new_kind = !self.kinds.contains(&kind);
        if new_kind {
            self.kinds.push(kind);
        }
        if self.list.len() < LIMIT {
            return self.list.push(diagnostic);
        }
        // One example of each severity and weight keeps the verdict right.
        self.dropped_count += 1;
        if new_kind {
            self.dropped.push(diagnostic);
        }
    }

    /// Whether a diagnostic that comes now deserves a search for what was meant.
    pub(crate) fn wants_hint(&self) -> bool {
        self.list.len() < HINTS
    }

    /// All findings in the order of the files; those without a place come last.
    pub(crate) fn finish(mut self) -> Vec<Diagnostic> {
        self.list.append(&mut self.dropped);
        self.list.sort_by_key(|d| (d.span.is_none(), d.span));
        if self.dropped_count > 0 {
            let text = format!("{} more findings are not shown", self.dropped_count);
            self.list.push(Diagnostic::note("too-many", text));
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Verdict;

    #[test]
    fn a_place_says_a_thing_once() {
        let mut sink = Diagnostics::default();
        sink.push(Diagnostic::error("x", "one").at(Span::default()));
        sink.push(Diagnostic::error("x", "one").at(Span::default()));
        sink.push(Diagnostic::error("x", "two").at(Span::default()));
        assert_eq!(sink.finish().len(), 2);
    }

    #[test]
    fn the_verdict_survives_the_limit() {
        let mut sink = Diagnostics::default();
        for line in 0..3000 {
            let span = Span { line, ..Span::default() };
            sink.push(Diagnostic::error("x", "same").at(span));
        }
        sink.push(Diagnostic::fatal("y", "worse"));
        let all = sink.finish();
        assert!(all.len() <= LIMIT + 2, "{}", all.len());
        assert_eq!(Verdict::of(&all).daemon, Some(2));
    }
}
