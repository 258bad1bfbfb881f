//! One statement with a known keyword, its arguments read by the shape that the table gives.

use super::Builder;
use crate::diagnostic::{Diagnostic, Weight};
use crate::model::Script;
use crate::source::SourceMap;
use crate::span::Span;
use crate::suggest::nearest;
use crate::table::{self, Block, Keyword, Missing, Range, Shape};
use crate::tree::{NodeId, Word};
use crate::value;
use std::net::IpAddr;
use std::time::Duration;

/// A statement with a known keyword.
pub(crate) struct Item<'t> {
    pub(crate) keyword: &'static Keyword,
    pub(crate) id: NodeId,
    sources: &'t SourceMap,
    /// The words after the keyword.
    words: &'t [Word],
    pub(crate) value: Value<'t>,
    span: Span,
}

/// A word and its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Argument<'t> {
    pub(crate) text: &'t str,
    pub(crate) span: Span,
}

/// What a shape made of the arguments.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'t> {
    /// Nothing to read, or nothing given, or left to the block.
    None,
    Switch(bool),
    Word(&'t str),
    Integer(i64),
    Duration(Duration),
    Address(IpAddr),
    Script(Box<Script>),
    /// Reported; the line has no effect.
    Invalid,
}

impl<'t> Item<'t> {
    pub(crate) fn name(&self) -> &'static str {
        self.keyword.name
    }

    /// The keyword's place.
    pub(crate) fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn argument(&self, index: usize) -> Option<Argument<'t>> {
        self.words.get(index).map(|word| argument(self.sources, *word))
    }

    /// All words after the keyword.
    pub(crate) fn arguments(&self) -> Vec<Argument<'t>> {
        self.words.iter().map(|word| argument(self.sources, *word)).collect()
    }

    /// The first argument's place, or the keyword's.
    pub(crate) fn argument_span(&self) -> Span {
        self.argument(0).map_or(self.span, |a| a.span)
    }

    pub(crate) fn switch(&self) -> bool {
        matches!(self.value, Value::Switch(true))
    }

    pub(crate) fn word(&self) -> Option<&'t str> {
        match self.value {
            Value::Word(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn text_value(&self) -> Option<String> {
        self.word().map(str::to_owned)
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        match self.value {
            Value::Integer(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn unsigned(&self) -> Option<u32> {
        self.integer().and_then(|v| u32::try_from(v).ok())
    }

    pub(crate) fn byte(&self) -> Option<u8> {
        self.integer().and_then(|v| u8::try_from(v).ok())
    }

    pub(crate) fn signed_byte(&self) -> Option<i8> {
        self.integer().and_then(|v| i8::try_from(v).ok())
    }

    pub(crate) fn port(&self) -> Option<u16> {
        self.integer().and_then(|v| u16::try_from(v).ok())
    }

    /// A duration, also from a whole number of seconds.
    pub(crate) fn seconds(&self) -> Option<Duration> {
        match self.value {
            Value::Duration(duration) => Some(duration),
            Value::Integer(value) => u64::try_from(value).ok().map(Duration::from_secs),
            _ => None,
        }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.value {
            Value::Address(address) => Some(address),
            _ => None,
        }
    }

    pub(crate) fn script(&self) -> Option<Script> {
        match &self.value {
            Value::Script(script) => Some((**script).clone()),
            _ => None,
        }
    }
}

impl<'t> Builder<'t> {
    /// Reads a statement of a block. `None` when it has no effect; the reason has been reported.
    pub(crate) fn item(&mut self, id: NodeId, block: &'static Block) -> Option<Item<'t>> {
        let (first, rest) = self.words(id).split_first()?;
        let name = self.text(*first);
        let Some(keyword) = block.find(name).filter(|k| k.name != "*") else {
            self.unknown(id, name, *first, block);
            return None;
        };
        self.note_effect(block, keyword, first.span);
        self.deprecation(keyword, first.span);
        self.has_arguments(id, keyword, *first, rest)?;
        self.has_right_block(id, keyword, first.span)?;
        let value = self.read(id, keyword, rest);
        self.lost_words(keyword, rest);
        Some(Item { keyword, id, sources: self.sources, words: rest, value, span: first.span })
    }

    pub(crate) fn argument(&self, word: Word) -> Argument<'t> {
        argument(self.sources, word)
    }

    fn unknown(&mut self, id: NodeId, name: &str, word: Word, block: &'static Block) {
        let text = format!("unknown keyword `{name}` in {}", place(block));
        let mut found = Diagnostic::error("unknown-keyword", text).at(word.span);
        if self.diagnostics.wants_hint() {
            found = found.suggest(nearest(name, block.keywords().map(|k| k.name)));
            found.help = unknown_help(name, block);
        }
        if self.tree.has_block(id) {
            let count = self.tree.size(id);
            let statements = if count == 1 { "1 statement".to_owned() } else { format!("{count} statements") };
            found = found.label(format!("its block of {statements} is skipped"));
        }
        self.report(found);
    }

    fn deprecation(&mut self, keyword: &Keyword, span: Span) {
        let Some(replacement) = keyword.replacement else {
            return;
        };
        let text = format!("`{}` is deprecated", keyword.name);
        let silent = matches!(
            keyword.name,
            "vrrp_track_file" | "native_ipv6" | "enable_snmp_keepalived" | "lvs_process_name" | "lvs_flush_onstop"
        ) || keyword.name.ends_with("_rlimit_rtime");
        let weight = if silent { Weight::Silent } else { Weight::Counts };
        let found = Diagnostic::deprecated("deprecated", text).at(span).weighing(weight);
        self.report(match replacement {
            "" => found,
            word => found.help(format!("use `{word}`")),
        });
    }

    fn has_arguments(&mut self, id: NodeId, keyword: &Keyword, word: Word, rest: &[Word]) -> Option<()> {
        if rest.len() >= keyword.required() {
            return Some(());
        }
        if keyword.shape.is_script() && self.tree.node(id).is_some_and(|n| self.sources.get(n.raw).contains('"')) {
            // The quote that is not closed has been reported.
            return None;
        }
        let text = format!("`{}` needs an argument: {}", keyword.name, keyword.arguments);
        let found = match keyword.missing {
            Missing::Ends => Diagnostic::fatal("missing-argument", text).weighing(Weight::Ends),
            Missing::Complains => Diagnostic::error("missing-argument", text),
            Missing::Ignores => Diagnostic::trap("missing-argument", text),
        };
        let ends = keyword.missing == Missing::Ends;
        let help = if ends { "keepalived refuses to start here" } else { "the line is ignored" };
        self.report(found.at(word.span).help(help));
        None
    }

    fn has_right_block(&mut self, id: NodeId, keyword: &Keyword, span: Span) -> Option<()> {
        let wanted = matches!(keyword.shape, Shape::Nested | Shape::Entries);
        let text = match (wanted, self.tree.has_block(id)) {
            (true, false) => format!("`{}` needs a block: `{{` is missing", keyword.name),
            (false, true) => format!("`{}` takes no block", keyword.name),
            _ => return Some(()),
        };
        let found = Diagnostic::error(if wanted { "missing-open" } else { "unexpected-brace" }, text).at(span);
        let help = match keyword.shape {
            Shape::Entries => "write its entries between `{` and `}`, each on a line of its own",
            Shape::Nested => "write its lines between `{` and `}`",
            _ => "the block is skipped",
        };
        self.report(found.help(help));
        (!wanted).then_some(())
    }

    fn lost_words(&mut self, keyword: &Keyword, arguments: &[Word]) {
        let Some(lost) = keyword.most().and_then(|most| arguments.get(most)) else {
            return;
        };
        if keyword.shape == Shape::Entries || keyword.counts_words() {
            let text = format!("`{}` takes no further words", keyword.name);
            let help = if keyword.shape == Shape::Entries { "they are ignored" } else { "keepalived ignores the line" };
            return self.report(Diagnostic::error("extra-words", text).at(lost.span).help(help));
        }
        let text = format!("`{}` does not read this", keyword.name);
        let help = "keepalived ignores it in silence; each statement needs a line of its own";
        self.report(Diagnostic::trap("lost-words", text).at(lost.span).help(help));
    }

    fn read(&mut self, id: NodeId, keyword: &'static Keyword, arguments: &[Word]) -> Value<'t> {
        let first = arguments.first().map(|word| self.argument(*word));
        match keyword.shape {
            Shape::Switch => self.read_switch(keyword, first),
            Shape::Word | Shape::OptionalWord => first.map_or(Value::None, |a| Value::Word(a.text)),
            Shape::Integer(range) | Shape::OptionalInteger(range) => {
                first.map_or(Value::None, |a| self.read_integer(keyword.name, a, range))
            }
            Shape::Seconds(range) => {
                first.map_or(Value::None, |a| self.read_duration(keyword.name, a, range, 1_000_000))
            }
            Shape::Milliseconds(range) => {
                first.map_or(Value::None, |a| self.read_duration(keyword.name, a, range, 1000))
            }
            Shape::Address => first.map_or(Value::None, |a| self.read_address(keyword.name, a)),
            Shape::Script | Shape::OptionalScript | Shape::Command => self.read_script(id, keyword, arguments),
            _ => Value::None,
        }
    }

    fn read_switch(&mut self, keyword: &Keyword, first: Option<Argument<'t>>) -> Value<'t> {
        let Some(argument) = first else {
            return Value::Switch(true);
        };
        if let Some(value) = value::switch(argument.text) {
            return Value::Switch(value);
        }
        let text = format!("`{}` is neither on nor off", argument.text);
        let help = format!("`{}` takes on, true, yes, off, false, no or nothing; the line is ignored", keyword.name);
        // keepalived 2.2.7 reads no switch here.
        let silent = matches!(keyword.name, "vrrp_strict" | "vrrp_skip_check_adv_addr");
        let weight = if silent { Weight::Silent } else { Weight::Counts };
        self.report(Diagnostic::error("invalid-switch", text).weighing(weight).at(argument.span).help(help));
        Value::Invalid
    }

    fn read_integer(&mut self, name: &str, argument: Argument<'t>, range: Range) -> Value<'t> {
        let read = self.number(name, argument, range, 1);
        match read.and_then(|v| i64::try_from(v).ok()) {
            Some(value) => Value::Integer(value),
            None => range.repair.map_or(Value::Invalid, Value::Integer),
        }
    }

    fn read_duration(&mut self, name: &str, argument: Argument<'t>, range: Range, unit: i128) -> Value<'t> {
        match self.number(name, argument, range, unit) {
            Some(value) => Value::Duration(value::microseconds(value)),
            None => Value::Invalid,
        }
    }

    /// A number in units of 1/unit; `None` when it has been reported and is not used.
    pub(crate) fn number(&mut self, name: &str, mut argument: Argument<'t>, range: Range, unit: i128) -> Option<i128> {
        if argument.text.is_empty() {
            let found = Diagnostic::trap("empty-number", format!("`{name}` reads an empty word as 0"));
            self.report(found.at(argument.span));
            argument.text = "0";
        }
        let places = match unit {
            1 => 0,
            1000 => 3,
            _ => 6,
        };
        let read = if places == 0 { value::whole(argument.text) } else { value::decimal(argument.text, places) };
        let Some(number) = read else {
            self.not_a_number(name, argument, range);
            return None;
        };
        if number.rounded {
            let text = format!("`{}` has more than {places} decimals", argument.text);
            self.report(Diagnostic::error("too-many-decimals", text).at(argument.span).help("it is rounded"));
        }
        if number.value < range.min || number.value > range.max {
            self.out_of_range(name, argument, range, unit);
            return None;
        }
        if number.rest.is_empty() {
            return Some(number.value);
        }
        self.trailing(name, argument, number, range, unit)
    }

    fn trailing(
        &mut self,
        name: &str,
        argument: Argument<'t>,
        number: value::Number<'t>,
        range: Range,
        unit: i128,
    ) -> Option<i128> {
        let seconds = unit > 1 && matches!(number.rest, "s" | "sec" | "secs" | "seconds");
        if range.strict || (unit > 1 && !seconds) {
            self.not_a_number(name, argument, range);
            return None;
        }
        let kept = argument.text.strip_suffix(number.rest).unwrap_or("");
        let text = format!("`{}` after the number {kept} does not belong there", number.rest);
        let found = Diagnostic::error("invalid-number", text).at(argument.span);
        self.report(found.help(format!("{kept} is used")));
        Some(number.value)
    }

    fn not_a_number(&mut self, name: &str, argument: Argument<'t>, range: Range) {
        let text = format!("`{}` is not a number that `{name}` takes", argument.text);
        let found = Diagnostic::error("invalid-number", text).at(argument.span);
        self.report(found.help(fallback(range)));
    }

    fn out_of_range(&mut self, name: &str, argument: Argument<'t>, range: Range, unit: i128) {
        let (low, high) = (in_units(range.min, unit), in_units(range.max, unit));
        let text = format!("`{name}` must be from {low} to {high}, not {}", argument.text);
        let found = Diagnostic::error("out-of-range", text).at(argument.span);
        self.report(found.help(fallback(range)));
    }

    fn read_address(&mut self, name: &str, argument: Argument<'t>) -> Value<'t> {
        if let (Some(address), prefix) = value::address_and_prefix(argument.text) {
            if prefix.is_some() {
                let text = format!("`{name}` does not read the prefix length");
                let found = Diagnostic::trap("lost-prefix", text).at(argument.span);
                self.report(found.help(format!("{address} is used")));
            }
            return Value::Address(address);
        }
        let text = format!("`{}` is not an IP address", argument.text);
        let found = Diagnostic::error("invalid-address", text).at(argument.span);
        self.report(found.help(format!("this `{name}` is ignored")));
        Value::Invalid
    }
}

fn argument(sources: &SourceMap, word: Word) -> Argument<'_> {
    Argument { text: sources.get(word.text), span: word.span }
}

fn fallback(range: Range) -> String {
    match range.repair {
        Some(value) => format!("{value} is used"),
        None => "the line is ignored".to_owned(),
    }
}

fn in_units(value: i128, unit: i128) -> String {
    let (whole, part) = (value / unit, (value % unit).abs());
    if part == 0 {
        return whole.to_string();
    }
    let width = if unit == 1000 { 3 } else { 6 };
    format!("{whole}.{part:0width$}").trim_end_matches('0').to_owned()
}

fn place(block: &Block) -> String {
    match block.name() {
        "" => "the top level".to_owned(),
        name => format!("`{name}`"),
    }
}

fn unknown_help(name: &str, block: &Block) -> Option<String> {
    let bare = name.trim_end_matches([':', ';', '=', ',']);
    if bare != name && block.find(bare).is_some() {
        return Some(format!("write `{bare}` without `{}`", name.get(bare.len()..).unwrap_or("")));
    }
    let known = removed(name).map(str::to_owned);
    known.or_else(|| {
        // Of several blocks the one that most configurations have it in.
        let other = table::blocks_with(name).min_by_key(|block| block.find(name).map(|keyword| keyword.tier))?;
        Some(format!("`{name}` belongs in {}", place(other)))
    })
}

/// Words of old versions and of other people's examples.
fn removed(name: &str) -> Option<&'static str> {
    Some(match name {
        "nat_mask" => "keepalived no longer has `nat_mask`; the line can go",
        "lvs_id" => "`lvs_id` became `router_id`",
        "nb_get_retry" => "use `retry`; `nb_get_retry` exists only in HTTP_GET and SSL_GET",
        "tcp_port" => "use `connect_port`",
        "smtp_connection_timeout" => "use `smtp_connect_timeout`",
        "lvs_sync_daemon_inteface" => "use the global `lvs_sync_daemon`",
        "vrrp_mcast_group" => "use `vrrp_mcast_group4`",
        "track_vips" | "track_routes" => "this keyword never was released",
        _ => return None,
    })
}
