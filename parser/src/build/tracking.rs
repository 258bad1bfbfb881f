//! Blocks with an entry on each line: trackers and lists of words.

use super::item::Argument;
use super::named::Kind;
use super::words::{Read, Refused};
use super::{Builder, Item};
use crate::Need;
use crate::diagnostic::Diagnostic;
use crate::model::{TrackedInterface, TrackedWeight};
use crate::span::Span;
use crate::table::Range;
use crate::tree::NodeId;

/// `weight N [reverse|noreverse]`.
pub(super) type Weight = Option<(i32, Option<bool>)>;

impl<'t> Builder<'t> {
    /// All words of a block that takes several on a line.
    pub(super) fn block_words(&self, item: &Item<'t>) -> impl Iterator<Item = (&'t str, Span)> + use<'t> {
        let (tree, sources) = (self.tree, self.sources);
        let words = self.children(item.id).flat_map(move |id| tree.words(id));
        words.map(move |w| (sources.get(w.text), w.span))
    }

    /// The words of one line of a block.
    pub(super) fn entry(&self, id: NodeId) -> Vec<Argument<'t>> {
        self.words(id).iter().map(|w| self.argument(*w)).collect()
    }

    pub(super) fn track_interfaces(&mut self, list: &mut Vec<TrackedInterface>, item: &Item<'t>) {
        for id in self.children(item.id) {
            let entry = self.entry(id);
            let Some((name, options)) = entry.split_first() else {
                continue;
            };
            let Ok(weight) = self.track_options("track_interface", options, 253) else { continue };
            let (weight, reverse) = weight.unwrap_or_default();
            self.mention(name, "track_interface", Need::Line);
            if self.listed_twice(Kind::Interface, "interface", *name) {
                continue;
            }
            list.push(TrackedInterface { name: name.text.to_owned(), weight, reverse: reverse == Some(true) });
            self.tracked_interface_spans.insert(name.text, name.span);
        }
    }

    pub(super) fn track_scripts(&mut self, list: &mut Vec<TrackedWeight>, item: &Item<'t>) {
        for id in self.children(item.id) {
            let entry = self.entry(id);
            let Some((name, options)) = entry.split_first() else {
                continue;
            };
            let Ok(weight) = self.track_options("track_script", options, 253) else { continue };
            if self.named.index(Kind::Script, name.text).is_none() {
                self.unknown_script(*name);
                continue;
            }
            if self.listed_twice(Kind::Script, "script", *name) {
                continue;
            }
            list.push(TrackedWeight {
                name: name.text.to_owned(),
                weight: weight.map(|w| w.0),
                reverse: weight.and_then(|w| w.1),
            });
        }
    }

    fn unknown_script(&mut self, name: Argument<'t>) {
        let near = self.nearest_name(name.text, self.config.scripts.iter().map(|s| s.name.as_str()));
        let text = format!("there is no vrrp_script `{}` above this line", name.text);
        let help = "the line is ignored; a script must stand before the block that tracks it";
        let found = Diagnostic::error("unknown-script", text).at(name.span).help(help);
        self.report(found.suggest(near));
    }

    /// `[weight N [reverse|noreverse]]`; what is something else is not tracked.
    pub(super) fn track_options(&mut self, what: &str, options: &[Argument<'t>], most: i128) -> Read<Weight> {
        let Some((first, rest)) = options.split_first() else { return Ok(None) };
        if first.text != "weight" {
            let text = format!("unknown option `{}` in `{what}`", first.text);
            let found = Diagnostic::error("unknown-option", text).at(first.span);
            self.report(found.help("`weight N` and `weight N reverse` exist; the line is ignored"));
            return Err(Refused);
        }
        let Some((value, rest)) = rest.split_first() else {
            let found = Diagnostic::error("missing-value", "`weight` needs a number").at(first.span);
            self.report(found.help("the line is ignored"));
            return Err(Refused);
        };
        let range = Range { min: -most, max: most, strict: false, repair: None };
        let weight = self.number("weight", *value, range, 1).and_then(|v| i32::try_from(v).ok());
        let reverse = rest.first().map(|option| self.reverse_option(Some(*option)));
        Ok(weight.map(|weight| (weight, reverse)))
    }

    /// A port of 1 to 65535.
    pub(super) fn port_argument(&mut self, name: &str, argument: Argument<'t>) -> Option<u16> {
        let range = Range { min: 1, max: 65535, strict: true, repair: None };
        self.number(name, argument, range, 1).and_then(|v| u16::try_from(v).ok())
    }
}
