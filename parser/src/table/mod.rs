//! The one table of keywords: the source of parsing, of "did you mean" and of the keyword reference.

mod checkers;
mod globals;
mod index;
mod lvs;
mod ours;
mod root;
mod shape;
mod statics;
mod vrrp;

pub use shape::{Range, Shape};

pub(crate) use checkers::*;
pub(crate) use globals::*;
use index::Index;
pub(crate) use lvs::*;
pub(crate) use root::*;
pub(crate) use statics::*;
pub(crate) use vrrp::*;

/// A keyword within a block.
#[derive(Debug, Clone, Copy)]
pub struct Keyword {
    /// The word; `*` stands for the entries of a block that has no keywords.
    pub name: &'static str,
    /// How its arguments are read.
    pub shape: Shape,
    /// Its arguments, for people.
    pub arguments: &'static str,
    /// What holds without it, for people.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
    /// How much it matters: 1 every configuration, 2 many, 3 few.
    pub tier: u8,
    /// What replaces it, when it is deprecated; empty when nothing does.
    pub replacement: Option<&'static str>,
    /// What it means that its argument is missing.
    pub missing: Missing,
    /// A block whose keyword needs a word after it: without one the daemon does not start.
    pub named: bool,
    /// keepalived 2.2.7 does not know it.
    pub newer_than_2_2_7: bool,
    /// keepalived does not know it at all.
    pub ours: bool,
    /// Whether the daemon does what it says.
    pub effect: Effect,
}

/// What keepalived makes of a keyword without its argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It ends.
    Ends,
    /// It complains and goes on without the line.
    Complains,
    /// It goes on in silence.
    Ignores,
}

/// Whether the daemon does what a keyword says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Acts,
    /// The keyword is read and stands in the model; nothing happens yet.
    Accepted,
    /// Nothing will happen, for this reason.
    Never(&'static str),
}

/// The keywords that may stand in a block.
#[derive(Debug)]
pub struct Block {
    /// `/virtual_server/real_server`, and `/` for the top level.
    pub path: &'static str,
    parts: &'static [&'static [Keyword]],
    index: Index,
}

const fn k(
    name: &'static str,
    shape: Shape,
    arguments: &'static str,
    default: &'static str,
    meaning: &'static str,
    tier: u8,
) -> Keyword {
    Keyword {
        name,
        shape,
        arguments,
        default,
        meaning,
        tier,
        replacement: None,
        missing: Missing::Ends,
        named: false,
        newer_than_2_2_7: false,
        ours: false,
        effect: Effect::Acts,
    }
}

/// Rows of one line each.
macro_rules! keywords {
    ($name:ident { $($row:expr;)* }) => {
        pub(super) const $name: &[Keyword] = &[$($row),*];
    };
}
use keywords;

impl Keyword {
    /// Words that must follow the keyword.
    pub(crate) fn required(&self) -> usize {
        if self.named { 1 } else { self.shape.required() }
    }

    /// Words that are read; `None` when the block decides.
    pub(crate) fn most(&self) -> Option<usize> {
        match self.shape {
            // keepalived does not look at further words here.
            Shape::Entries if matches!(self.name, "group" | "notification_email" | "interfaces") => None,
            Shape::Entries => Some(usize::from(self.named)),
            shape => shape.most(),
        }
    }

    /// Statements that keepalived ignores when they have more words than it reads.
    pub(crate) fn counts_words(&self) -> bool {
        matches!(
            self.name,
            "reload_time_file"
                | "snmp_name"
                | "snmp_socket"
                | "umask"
                | "kernel_rx_buf_size"
                | "vrrp_rx_bufs_multiplier"
        )
    }

    const fn deprecated(mut self, replacement: &'static str) -> Self {
        self.replacement = Some(replacement);
        self
    }

    const fn named(mut self) -> Self {
        self.named = true;
        self
    }

    const fn mild(mut self) -> Self {
        self.missing = Missing::Complains;
        self
    }

    const fn quiet(mut self) -> Self {
        self.missing = Missing::Ignores;
        self
    }

    const fn accepted(mut self) -> Self {
        self.effect = Effect::Accepted;
        self
    }

    const fn never(mut self, reason: &'static str) -> Self {
        self.effect = Effect::Never(reason);
        self
    }

    const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    const fn since_2_3(mut self) -> Self {
        self.newer_than_2_2_7 = true;
        self
    }
}

impl Block {
    const fn new(path: &'static str, parts: &'static [&'static [Keyword]]) -> Self {
        Self { path, parts, index: Index::of(parts) }
    }

    /// All keywords of the block.
    pub fn keywords(&self) -> impl Iterator<Item = &'static Keyword> + use<> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The keyword of a name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Keyword> {
        self.index.slots(name).find_map(|(part, row)| {
            let keyword = self.parts.get(usize::from(part))?.get(usize::from(row))?;
            (keyword.name == name).then_some(keyword)
        })
    }

    /// The last component of the path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or("")
    }
}

/// Every block with keywords or entries, in the order of the reference.
pub static BLOCKS: &[&Block] = &[
    &ROOT,
    &GLOBAL_DEFS,
    &TRACK_GROUP,
    &STATIC_IPADDRESS,
    &STATIC_ROUTES,
    &STATIC_RULES,
    &GARP_GROUP,
    &LINKBEAT_INTERFACES,
    &INTERFACE_UP_DOWN_DELAYS,
    &VRRP_SYNC_GROUP,
    &VRRP_SCRIPT,
    &VRRP_TRACK_PROCESS,
    &TRACK_FILE,
    &VRRP_INSTANCE,
    &AUTHENTICATION,
    &AUTH_HMAC,
    &VIRTUAL_IPADDRESS,
    &VIRTUAL_IPADDRESS_EXCLUDED,
    &VIRTUAL_ROUTES,
    &VIRTUAL_RULES,
    &ADDRESS_OPTIONS,
    &UNICAST_PEER,
    &INSTANCE_TRACK_INTERFACE,
    &INSTANCE_TRACK_SCRIPT,
    &INSTANCE_TRACK_FILE,
    &INSTANCE_TRACK_PROCESS,
    &INSTANCE_TRACK_BFD,
    &SSL,
    &VIRTUAL_SERVER_GROUP,
    &VIRTUAL_SERVER,
    &FORWARDING,
    &REAL_SERVER,
    &TCP_CHECK,
    &PING_CHECK,
    &UDP_CHECK,
    &DNS_CHECK,
    &SMTP_CHECK,
    &HOST,
    &HTTP_GET,
    &SSL_GET,
    &URL,
    &GRPC_CHECK,
    &MISC_CHECK,
    &FILE_CHECK,
    &BFD_CHECK,
    &BFD_INSTANCE,
];

/// Blocks that stand only at the top level, so that one within another block means a forgotten brace.
pub(crate) fn is_top_level_block(name: &str) -> bool {
    const AMBIGUOUS: [&str; 1] = ["track_file"];
    let nested = |k: &Keyword| matches!(k.shape, Shape::Nested | Shape::Entries);
    !AMBIGUOUS.contains(&name) && ROOT.find(name).is_some_and(nested)
}

/// Where else a keyword is known.
pub(crate) fn blocks_with(name: &str) -> impl Iterator<Item = &'static Block> {
    BLOCKS.iter().copied().filter(move |b| name != "*" && b.find(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_block_has_a_keyword_twice() {
        for block in BLOCKS {
            let mut seen = HashSet::new();
            for keyword in block.keywords() {
                assert!(seen.insert(keyword.name), "{} {}", block.path, keyword.name);
            }
        }
    }

    #[test]
    fn replacements_exist() {
        for block in BLOCKS {
            for keyword in block.keywords().filter(|k| !k.replacement.unwrap_or("").is_empty()) {
                let name = keyword.replacement.unwrap_or("");
                assert!(blocks_with(name).next().is_some(), "{name}");
            }
        }
    }

    #[test]
    fn every_nested_block_of_the_top_level_is_listed() {
        for keyword in ROOT.keywords().filter(|k| matches!(k.shape, Shape::Nested | Shape::Entries)) {
            let same = if keyword.name == "vrrp_track_file" { "track_file" } else { keyword.name };
            assert!(BLOCKS.iter().any(|b| b.name() == same), "{}", keyword.name);
        }
    }
}
