//! What has a name in the file, found without a walk through everything of its kind.

use super::Builder;
use super::item::Argument;
use crate::diagnostic::Diagnostic;
use crate::span::Span;
use std::collections::{HashMap, HashSet};

/// Kinds of things with names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Script,
    Instance,
    SyncGroup,
    TrackFile,
    Process,
    Bfd,
    ServerGroup,
    TrackGroup,
    /// An interface that is tracked; it has no block of its own.
    Interface,
}

/// Names of the whole file, and those that one block listed.
#[derive(Debug, Default)]
pub(super) struct Named<'t> {
    /// Index in the model, and head of the block.
    known: HashMap<(Kind, &'t str), (usize, Span)>,
    listed: HashSet<(Kind, &'t str)>,
}

impl<'t> Named<'t> {
    pub(super) fn index(&self, kind: Kind, name: &str) -> Option<usize> {
        self.known.get(&(kind, name)).map(|(index, _)| *index)
    }

    /// Head of the block with a name.
    pub(super) fn head(&self, kind: Kind, name: &str) -> Option<Span> {
        self.known.get(&(kind, name)).map(|(_, span)| *span)
    }

    pub(super) fn insert(&mut self, kind: Kind, name: &'t str, index: usize, span: Span) {
        self.known.insert((kind, name), (index, span));
    }

    /// Begins a block: nothing is listed yet.
    pub(super) fn begin_list(&mut self) {
        self.listed.clear();
    }
}

impl<'t> Builder<'t> {
    /// True for a name that this block lists already, which is reported.
    pub(super) fn listed_twice(&mut self, kind: Kind, what: &str, name: Argument<'t>) -> bool {
        let twice = !self.named.listed.insert((kind, name.text));
        if twice {
            let text = format!("{what} `{}` is tracked already", name.text);
            let found = Diagnostic::error("duplicate-tracker", text).at(name.span);
            self.report(found.help("this line is ignored"));
        }
        twice
    }

    /// The name nearest to a word, as long as few such searches were made.
    pub(super) fn nearest_name<'n>(&self, word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
        if !self.diagnostics.wants_hint() {
            return None;
        }
        crate::suggest::nearest(word, names).map(str::to_owned)
    }
}
