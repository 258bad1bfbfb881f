//! What the parser has to say about a configuration.

mod json;
mod render;
mod sink;
mod verdict;

pub use json::to_json;
pub use render::{Style, render, render_all};
pub(crate) use sink::Diagnostics;
pub use verdict::Verdict;

use crate::span::Span;

/// The finding whose place is a password.
pub(crate) const LONG_PASSWORD: &str = "long-password";

/// How bad it is, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// An explanation.
    Note,
    /// Works, but probably not as meant.
    Warning,
    /// Works, but has a newer form.
    Deprecated,
    /// A line or block that has no effect, or was repaired.
    Error,
    /// A way for others to gain this daemon's rights.
    Security,
    /// The daemon does not start with this.
    Fatal,
}

impl Severity {
    /// The lower-case word used in texts and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Deprecated => "deprecated",
            Self::Error => "error",
            Self::Security => "security",
            Self::Fatal => "fatal",
        }
    }
}

/// What a diagnostic does to the exit code of a configuration test (behaviour note 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Weight {
    /// keepalived is silent here: no effect on the exit code.
    Silent,
    /// A fault of the machine that any other outranks: 4.
    Lesser,
    /// keepalived reports it: exit code 5.
    Counts,
    /// Script security, or a configuration file that cannot be read: exit code 6.
    Outranks,
    /// keepalived ends the parse here: exit code 2.
    Ends,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Effect on the exit code.
    pub weight: Weight,
    /// Stable name of the kind of finding, such as `unknown-keyword`.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The place; `None` for findings about the configuration as a whole.
    pub span: Option<Span>,
    /// Words beside the caret.
    pub label: Option<String>,
    /// Other places that explain it.
    pub related: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
    /// Text that could stand in place of the span.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// A finding without a place.
    #[must_use]
    pub fn new(severity: Severity, weight: Weight, code: &'static str, message: String) -> Self {
        Self {
            severity,
            weight,
            code,
            message,
            span: None,
            label: None,
            related: Vec::new(),
            help: None,
            suggestion: None,
        }
    }

    /// A fault that keepalived reports, too.
    pub(crate) fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, Weight::Counts, code, message.into())
    }

    /// A warning that keepalived gives, too.
    pub(crate) fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Weight::Counts, code, message.into())
    }

    /// A warning about something over which keepalived is silent.
    pub(crate) fn trap(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, Weight::Silent, code, message.into())
    }

    /// A keyword with a newer form.
    pub(crate) fn deprecated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Deprecated, Weight::Counts, code, message.into())
    }

    /// An explanation.
    pub(crate) fn note(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Note, Weight::Silent, code, message.into())
    }

    /// A fault with which the daemon does not start.
    pub(crate) fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, Weight::Counts, code, message.into())
    }

    pub(crate) fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    pub(crate) fn weighing(mut self, weight: Weight) -> Self {
        self.weight = weight;
        self
    }

    pub(crate) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn related(mut self, span: Span, label: impl Into<String>) -> Self {
        self.related.push((span, label.into()));
        self
    }

    /// A replacement for the span; `None` leaves it without.
    pub(crate) fn suggest(mut self, text: Option<impl Into<String>>) -> Self {
        self.suggestion = text.map(Into::into);
        self
    }
}
