//! From statements to the model.

mod address;
mod assemble_instance;
mod auth_hmac;
mod check_services;
mod check_vrrp;
mod checker;
mod easing;
mod encap;
mod forwarding;
mod globals;
mod http;
mod instance;
mod interface;
mod item;
mod lvs_globals;
mod members;
mod named;
mod process;
mod real_server;
mod route;
mod rule;
mod script;
mod statics;
mod sync_group;
mod trackers;
mod tracking;
mod virtual_server;
mod virtual_server_group;
mod words;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::model::{Config, Statement};
use crate::source::SourceMap;
use crate::span::Span;
use crate::table::{self, Block, Effect, Keyword};
use crate::tree::{Children, NodeId, Tree, Word};
use crate::{InterfaceMention, Need, Options};
use item::Argument;
pub(crate) use item::{Item, Value};
use std::collections::{HashMap, HashSet};

/// Levels of blocks that are kept as they stand.
const KEPT_DEPTH: usize = 3;

/// A keyword that is accepted but has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotActedOn {
    /// Path of its block and its name: `/vrrp_instance/use_vmac`.
    pub keyword: String,
    /// Why it never has one; `None` while it only has none yet.
    pub reason: Option<&'static str>,
    /// Where it stands first.
    pub span: Span,
    /// How often it stands in the configuration.
    pub count: usize,
}

impl std::fmt::Display for NotActedOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is accepted and has no effect", self.keyword)?;
        if let Some(reason) = self.reason {
            write!(f, ": {reason}")?;
        }
        if self.count > 1 {
            write!(f, " ({} times)", self.count)?;
        }
        Ok(())
    }
}

/// What was built.
pub(crate) struct Built {
    pub(crate) config: Config,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) not_acted_on: Vec<NotActedOn>,
    pub(crate) interfaces: Vec<InterfaceMention>,
}

/// Builds the model.
pub(crate) struct Builder<'t> {
    pub(crate) tree: &'t Tree,
    pub(crate) sources: &'t SourceMap,
    options: &'t Options,
    pub(crate) diagnostics: Diagnostics,
    pub(crate) config: Config,
    /// By block and name, in the order of the file.
    without_effect: Vec<(&'static Block, &'static Keyword, NotActedOn)>,
    drafts: globals::GlobalDrafts,
    interfaces: Vec<InterfaceMention>,
    /// Members of each sync group as written.
    group_members: Vec<Vec<(&'t str, Span)>>,
    /// Where the instance being read tracks which interface.
    tracked_interface_spans: HashMap<&'t str, Span>,
    /// Members of each track group as written.
    track_group_members: Vec<Vec<(&'t str, Span)>>,
    /// Names that VMACs and ipvlans have.
    interface_names: HashSet<&'t str>,
    named: named::Named<'t>,
    /// Room for the real servers of the next service and their checkers; empty.
    spare_drafts: (Vec<real_server::RealServerDraft>, Vec<checker::CheckerDraft>),
    /// Priority of the next rule that has none, for IPv4 and IPv6.
    next_rule_priority: [u32; 2],
}

impl<'t> Builder<'t> {
    pub(crate) fn new(tree: &'t Tree, sources: &'t SourceMap, options: &'t Options, diagnostics: Diagnostics) -> Self {
        Self {
            tree,
            sources,
            options,
            diagnostics,
            config: Config::default(),
            without_effect: Vec::new(),
            drafts: globals::GlobalDrafts::default(),
            interfaces: Vec::new(),
            group_members: Vec::new(),
            tracked_interface_spans: HashMap::new(),
            track_group_members: Vec::new(),
            interface_names: HashSet::new(),
            named: named::Named::default(),
            spare_drafts: <(Vec<_>, Vec<_>)>::default(),
            next_rule_priority: [rule::FIRST_PRIORITY; 2],
        }
    }

    /// Reads all statements: `global_defs` first, wherever they stand.
    pub(crate) fn run(mut self) -> Built {
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
        self.resolve_track_groups();
        self.check_vrrp();
        self.check_services();
        Built {
            config: self.config,
            diagnostics: self.diagnostics,
            not_acted_on: self.without_effect.into_iter().map(|(.., entry)| entry).collect(),
            interfaces: self.interfaces,
        }
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
            "track_group" => self.track_group(&item),
            "static_ipaddress" => self.static_addresses(&item),
            "static_routes" => self.static_routes(&item),
            "static_rules" => self.static_rules(&item),
            "garp_group" => self.garp_group(&item),
            "linkbeat_interfaces" => self.linkbeat_interfaces(&item),
            "interface_up_down_delays" => self.interface_delays(&item),
            "linkbeat_use_polling" => self.config.linkbeat_use_polling = true,
            "SSL" => self.client_tls(&item),
            "net_namespace_ipvs" => {
                self.config.globals.net_namespace_ipvs = Some(item.text_value().unwrap_or_default());
            }
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

    /// Remembers that an interface is named.
    fn mention(&mut self, name: &Argument<'t>, role: impl Into<String>, need: Need) {
        let (name, role, span) = (name.text.to_owned(), role.into(), name.span);
        self.interfaces.push(InterfaceMention { name, role, need, span });
    }

    /// The interface that is the argument of a keyword of an instance.
    fn interface_of(&mut self, item: &Item<'t>, instance: &str) -> Option<String> {
        let name = item.argument(0)?;
        self.mention(&name, format!("vrrp_instance {instance}"), Need::Start);
        Some(name.text.to_owned())
    }

    /// A statement as it stands, after a check of what stands below it.
    pub(crate) fn keep(&mut self, block: &'static Block, item: &Item<'t>) -> Statement {
        self.check_below(item.id, block, item.keyword);
        self.statement(item.id, KEPT_DEPTH)
    }

    /// Lists a keyword when it has no effect.
    fn note_effect(&mut self, block: &'static Block, keyword: &'static Keyword, span: Span) {
        let reason = match keyword.effect {
            Effect::Acts => return,
            Effect::Accepted => None,
            Effect::Never(reason) => Some(reason),
        };
        let same = |(b, k, _): &&mut (&'static Block, &'static Keyword, NotActedOn)| {
            std::ptr::eq(*b, block) && k.name == keyword.name
        };
        if let Some((.., known)) = self.without_effect.iter_mut().find(same) {
            known.count += 1;
            return;
        }
        let path = block.path.trim_end_matches(['/', '*']).trim_end_matches('/');
        let keyword_path = format!("{path}/{}", keyword.name);
        let entry = NotActedOn { keyword: keyword_path, reason, span, count: 1 };
        self.without_effect.push((block, keyword, entry));
    }

    /// An option of a line, when the table has it.
    pub(crate) fn option(&mut self, block: &'static Block, word: Argument<'t>) -> Option<&'static Keyword> {
        let keyword = block.find(word.text)?;
        self.note_effect(block, keyword, word.span);
        Some(keyword)
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
    fn check_below(&mut self, id: NodeId, parent: &'static Block, keyword: &Keyword) {
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
