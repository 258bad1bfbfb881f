//! Statements and blocks, before they mean anything.
//!
//! The tree is flat: nodes stand in the order of the file and know where their subtree ends. A hundred thousand nested
//! braces cost neither stack nor recursion.

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::source::{Slice, SourceMap, narrow};
use crate::span::Span;

/// A word or the inside of a quoted string.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub(crate) text: Slice,
    pub(crate) span: Span,
}

/// A statement and, perhaps, its block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    first_word: u32,
    words: u32,
    /// The statement as written, comment and brace excluded.
    pub(crate) raw: Slice,
    /// Index after the last node of the block.
    end: u32,
    pub(crate) has_block: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    words: Vec<Word>,
    nodes: Vec<Node>,
}

/// Index of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl Tree {
    pub(crate) fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0 as usize)
    }

    /// The words of a statement; never empty for an id that [`Tree::children`] gave.
    pub(crate) fn words(&self, id: NodeId) -> &[Word] {
        let range = |n: &Node| n.first_word as usize..(n.first_word + n.words) as usize;
        self.node(id).and_then(|n| self.words.get(range(n))).unwrap_or(&[])
    }

    /// The statements of the file.
    pub(crate) fn roots(&self) -> Children<'_> {
        Children { tree: self, next: 0, end: narrow(self.nodes.len()) }
    }

    /// The statements of a block.
    pub(crate) fn children(&self, id: NodeId) -> Children<'_> {
        let end = self.node(id).map_or(0, |n| n.end);
        Children { tree: self, next: id.0 + 1, end }
    }

    pub(crate) fn has_block(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|n| n.has_block)
    }

    /// Number of statements below a node, at all depths.
    pub(crate) fn size(&self, id: NodeId) -> usize {
        self.node(id).map_or(0, |n| n.end.saturating_sub(id.0 + 1)) as usize
    }

    /// Words in all statements.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len()
    }
}

/// Iterates over the statements of one block.
#[derive(Debug, Clone)]
pub(crate) struct Children<'t> {
    tree: &'t Tree,
    next: u32,
    end: u32,
}

impl Iterator for Children<'_> {
    type Item = NodeId;

    fn next(&mut self) -> Option<NodeId> {
        if self.next >= self.end {
            return None;
        }
        let id = NodeId(self.next);
        self.next = self.tree.node(id)?.end.max(self.next + 1);
        Some(id)
    }
}

/// A brace that waits for its partner.
#[derive(Debug, Clone, Copy)]
enum Open {
    Block(u32, Span),
    /// An opening brace with nothing before it, ignored together with its partner.
    Stray,
}

#[derive(Debug, Default)]
pub(crate) struct TreeBuilder {
    tree: Tree,
    open: Vec<Open>,
    /// The statement that a `{` would belong to.
    pending: Option<u32>,
}

impl TreeBuilder {
    /// Makes room for the words and statements that a file of so many bytes usually has.
    pub(crate) fn expect(&mut self, bytes: usize) {
        const MOST: usize = 1 << 20;
        self.tree.words.reserve((bytes / 12).min(MOST));
        self.tree.nodes.reserve((bytes / 24).min(MOST));
    }

    /// Adds a statement. Empty ones are none.
    pub(crate) fn statement(&mut self, words: &[Word], raw: Slice) {
        let first = self.tree.words.len();
        self.tree.words.extend_from_slice(words);
        self.end_statement(first, raw);
    }

    /// Adds a word to the statement that [`Self::end_statement`] ends.
    pub(crate) fn word(&mut self, word: Word) {
        self.tree.words.push(word);
    }

    /// Words so far.
    pub(crate) fn word_count(&self) -> usize {
        self.tree.words.len()
    }

    /// Makes a statement of the words from `first` on. Without any there is none.
    pub(crate) fn end_statement(&mut self, first: usize, raw: Slice) {
        let words = self.tree.words.len().saturating_sub(first);
        if words == 0 {
            return;
        }
        let index = narrow(self.tree.nodes.len());
        let (first_word, words) = (narrow(first), narrow(words));
        self.tree.nodes.push(Node { first_word, words, raw, end: index + 1, has_block: false });
        self.pending = Some(index);
    }

    pub(crate) fn open(&mut self, brace: Span, sources: &SourceMap, diagnostics: &mut Diagnostics) {
        let Some(index) = self.pending.take() else {
            self.open.push(Open::Stray);
            let text = "unexpected `{`: no keyword before it";
            let help = "this brace and its partner are ignored";
            return diagnostics.push(Diagnostic::error("unexpected-brace", text).at(brace).help(help));
        };
        self.close_forgotten(index, sources, diagnostics);
        if let Some(node) = self.tree.nodes.get_mut(index as usize) {
            node.has_block = true;
        }
        self.open.push(Open::Block(index, brace));
    }

    /// A block that exists only at the top level, found within another one: the braces before it were forgotten.
    fn close_forgotten(&mut self, index: u32, sources: &SourceMap, diagnostics: &mut Diagnostics) {
        if !self.inside_block() {
            return;
        }
        let words = self.tree.words(NodeId(index));
        let Some(word) = words.first().copied() else {
            return;
        };
        let name = sources.get(word.text);
        if !crate::table::is_top_level_block(name) {
            return;
        }
        let count = self.open.len();
        let text = format!("`{name}` inside another block: {count} closing `}}` missing before it");
        let mut found = Diagnostic::error("missing-close", text)
            .at(word.span)
            .help("the open blocks are taken to end here; keepalived would lose everything up to their end");
        for open in std::mem::take(&mut self.open) {
            if let Open::Block(node, brace) = open {
                self.end_node(node, index);
                found = found.related(brace, "this block is still open");
            }
        }
        found.related.truncate(4);
        diagnostics.push(found);
    }

    fn inside_block(&self) -> bool {
        self.open.iter().any(|open| matches!(open, Open::Block(..)))
    }

    pub(crate) fn close(&mut self, brace: Span, diagnostics: &mut Diagnostics) {
        self.pending = None;
        match self.open.pop() {
            Some(Open::Block(index, _)) => self.end_node(index, narrow(self.tree.nodes.len())),
            Some(Open::Stray) => {}
            None => {
                let text = "extra `}`: no block is open here";
                diagnostics.push(Diagnostic::error("extra-close", text).at(brace));
            }
        }
    }

    fn end_node(&mut self, index: u32, end: u32) {
        if let Some(node) = self.tree.nodes.get_mut(index as usize) {
            node.end = end;
        }
    }

    /// Ends the file: what is open is closed here.
    pub(crate) fn finish(mut self, diagnostics: &mut Diagnostics) -> Tree {
        let count = self.open.len();
        let end = narrow(self.tree.nodes.len());
        let mut innermost = None;
        for open in std::mem::take(&mut self.open) {
            if let Open::Block(index, brace) = open {
                self.end_node(index, end);
                innermost = Some(brace);
            }
        }
        if count > 0 {
            diagnostics.push(unclosed(count, innermost));
        }
        self.tree
    }
}

fn unclosed(count: usize, innermost: Option<Span>) -> Diagnostic {
    let text = format!("{count} closing `}}` missing at the end");
    let found = Diagnostic::error("missing-close", text).help("the open blocks are taken to end with the file");
    match innermost {
        Some(span) => found.at(span).label("the innermost block that is not closed"),
        None => found,
    }
}
