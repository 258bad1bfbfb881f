//! From statements to the model.

mod address;
mod auth_hmac;
mod check_services;
mod check_vrrp;
mod checker;
mod globals;
mod http;
mod instance;
mod item;
mod members;
mod real_server;
mod script;
mod sync_group;
mod trackers;
mod tracking;
mod virtual_server;
mod virtual_server_group;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Config, Statement};
use crate::source::SourceMap;
use crate::span::Span;
use crate::table::{self, Block, Keyword};
use crate::tree::{Children, NodeId, Tree, Word};
pub(crate) use item::{Item, Value};
use std::collections::HashMap;

/// Levels of blocks that are kept as they stand.
const KEPT_DEPTH: usize = 3;

/// A keyword that is accepted but has no effect yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotActedOn {
    /// Path of its block and its name: `/vrrp_instance/use_vmac`.
    pub keyword: String,
    /// Where it stands.
    pub span: Span,
}

/// Builds the model.
pub(crate) struct Builder<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) sources: &'t SourceMap,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) config: Config,
    pub(crate) not_acted_on: Vec<NotActedOn>,
    drafts: globals::GlobalDrafts,
    /// Members of each sync group as written.
    group_members: Vec<Vec<(&'t str, Span)>>,
    /// Where the instance being read tracks which interface.
    tracked_interface_spans: HashMap<&'t str, Span>,
}

impl<'t> Builder<'t> {
    pub(crate) fn new(tree: &'t Tree, sources: &'t SourceMap, diagnostics: Diagnostics) -> Self {
        Self {
            tree,
            sources,
            diagnostics,
            config: Config::default(),
            not_acted_on: Vec::new(),
            drafts: globals::GlobalDrafts::default(),
            group_members: Vec::new(),
            tracked_interface_spans: HashMap::new(),
        }
    }

    /// Reads all statements: `global_defs` first, wherever they stand.
    pub(crate) fn run(mut self) -> (Config, Diagnostics, Vec<NotActedOn>) {
        let roots: Vec<NodeId> = self.tree.roots().collect();
        for id in &roots {
            if self.keyword_text(*id) == "global_defs" {
                self.top_level(*id);
            }
        }
        self.settle_globals();
        for id in &roots {
            if self.keyword_text(*id) != "global_defs" {
                self.top_level(*id);
            }
        }
        self.check_vrrp();
        self.check_services();
        (self.config, self.diagnostics, self.not_acted_on)
    }

    fn top_level(&mut self, id: NodeId) {
        let Some(item) = self.item(id, &table::ROOT) else {
            return;
        };
        match item.name() {
            "global_defs" => self.global_defs(&item),
            "vrrp_script" => self.vrrp_script(&item),
            "vrrp_instance" => self.vrrp_instance(&item),
            "vrrp_sync_group" => self.vrrp_sync_group(&item),
            "virtual_server" => self.virtual_server(&item),
            "virtual_server_group" => self.virtual_server_group(&item),
            "track_file" | "vrrp_track_file" => self.track_file(&item),
            "vrrp_track_process" => self.track_process(&item),
            "bfd_instance" => self.bfd_instance(&item),
            "net_namespace" => self.config.globals.net_namespace = item.text_value(),
            "instance" => self.config.globals.instance = item.text_value(),
            "use_pid_dir" => self.config.globals.use_pid_dir = true,
            "child_wait_time" => self.child_wait_time(&item),
            _ => self.keep_root(&item),
        }
    }

    fn child_wait_time(&mut self, item: &Item<'t>) {
        if let Some(seconds) = item.seconds() {
            self.config.globals.child_wait_time = seconds;
        }
    }

    fn keep_root(&mut self, item: &Item<'t>) {
        let statement = self.keep(&table::ROOT, item);
        self.config.kept.push(statement);
    }

    /// Lists a keyword that has no effect yet, and checks what stands below it.
    pub(crate) fn keep(&mut self, block: &Block, item: &Item<'t>) -> Statement {
        self.not_acted_on(block, item);
        self.check_below(item.id, block, item.keyword);
        self.statement(item.id, KEPT_DEPTH)
    }

    /// Lists a keyword that has no effect yet.
    pub(crate) fn not_acted_on(&mut self, block: &Block, item: &Item<'t>) {
        let path = block.path.trim_end_matches('/');
        self.not_acted_on.push(NotActedOn { keyword: format!("{path}/{}", item.name()), span: item.span() });
    }

    /// A statement as it stands, and as many levels of its block.
    fn statement(&self, id: NodeId, depth: usize) -> Statement {
        let words = self.words(id);
        let below = || self.children(id).map(|child| self.statement(child, depth - 1)).collect();
        Statement {
            words: words.iter().map(|w| self.text(*w).to_owned()).collect(),
            block: (depth > 1 && self.tree.has_block(id)).then(below),
            span: words.first().map(|w| w.span).unwrap_or_default(),
        }
    }

    /// Checks the keywords of a block that nothing reads yet.
    fn check_below(&mut self, id: NodeId, parent: &Block, keyword: &Keyword) {
        let path = format!("{}/{}", parent.path.trim_end_matches('/'), keyword.name);
        let path = if path == "/vrrp_track_file" { "/track_file" } else { &path };
        let Some(block) = table::BLOCKS.iter().find(|b| b.path == path) else {
            return;
        };
        if block.find("*").is_some() {
            return;
        }
        for child in self.children(id) {
            if let Some(item) = self.item(child, block) {
                self.check_below(item.id, block, item.keyword);
            }
        }
    }

    pub(crate) fn children(&self, id: NodeId) -> Children<'t> {
        let tree: &'t Tree = self.tree;
        tree.children(id)
    }

    pub(crate) fn text(&self, word: Word) -> &'t str {
        let sources: &'t SourceMap = self.sources;
        sources.get(word.text)
    }

    pub(crate) fn words(&self, id: NodeId) -> &'t [Word] {
        let tree: &'t Tree = self.tree;
        tree.words(id)
    }

    fn keyword_text(&self, id: NodeId) -> &'t str {
        self.words(id).first().map_or("", |w| self.text(*w))
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}
