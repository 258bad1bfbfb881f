//! What stands at the top level for the whole machine: static entries, track groups, interfaces.

use super::item::Argument;
use super::named::Kind;
use super::{Builder, Item};
use crate::Need;
use crate::diagnostic::Diagnostic;
use crate::model::{GarpGroup, InterfaceDelay, Linkbeat, LinkbeatInterface, TrackGroup};
use crate::table::{self, Range};
use crate::value::microseconds;
use std::time::Duration;

impl<'t> Builder<'t> {
    pub(super) fn static_addresses(&mut self, item: &Item<'t>) {
        for id in self.children(item.id) {
            let address = self.virtual_address(&self.entry(id), true);
            self.config.statics.addresses.extend(address);
        }
    }

    pub(super) fn static_routes(&mut self, item: &Item<'t>) {
        let mut routes = self.routes(item, true);
        self.config.statics.routes.append(&mut routes);
    }

    pub(super) fn static_rules(&mut self, item: &Item<'t>) {
        let mut rules = self.rules(item, true);
        self.config.statics.rules.append(&mut rules);
    }

    pub(super) fn track_group(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        if let Some(first) = self.named.head(Kind::TrackGroup, name) {
            let text = format!("track_group `{name}` exists already; this one is skipped");
            let found = Diagnostic::error("duplicate-track-group", text).at(item.argument_span());
            let found = found.related(first, "the first one");
            return self.report(found);
        }
        let mut members = Vec::new();
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::TRACK_GROUP) {
                members.extend(self.block_words(&child));
            }
        }
        let span = item.argument_span();
        if members.is_empty() {
            let found = Diagnostic::trap("empty-block", format!("track_group `{name}` has no members")).at(span);
            self.report(found.help("name instances in `group { }`"));
        }
        self.named.insert(Kind::TrackGroup, name, self.config.track_groups.len(), span);
        self.track_group_members.push(members);
        self.config.track_groups.push(TrackGroup { name: name.to_owned(), members: Vec::new(), span });
    }

    /// Keeps the members that exist. Runs when all instances were read.
    pub(super) fn resolve_track_groups(&mut self) {
        for (index, members) in std::mem::take(&mut self.track_group_members).into_iter().enumerate() {
            for (name, span) in members {
                if self.named.index(Kind::Instance, name).is_none() {
                    let near = self.nearest_instance(name);
                    let text = format!("`{name}` of a track_group is no vrrp_instance");
                    let found = Diagnostic::trap("unknown-instance", text).at(span);
                    self.report(found.help("the member is ignored").suggest(near));
                    continue;
                }
                if let Some(group) = self.config.track_groups.get_mut(index) {
                    group.members.push(name.to_owned());
                }
            }
        }
    }

    pub(super) fn garp_group(&mut self, item: &Item<'t>) {
        let mut group = GarpGroup { span: item.span(), ..GarpGroup::default() };
        let mut delayed = false;
        for child in self.children(item.id) {
            let Some(child) = self.item(child, &table::GARP_GROUP) else { continue };
            match child.name() {
                "garp_interval" => group.garp_interval = child.seconds().unwrap_or_default(),
                "gna_interval" => group.gna_interval = child.seconds().unwrap_or_default(),
                "interface" => {
                    if let Some(name) = child.argument(0) {
                        self.mention(&name, "a garp_group", Need::Line);
                    }
                    group.interfaces.extend(child.text_value());
                }
                _ => self.group_interfaces(&mut group, &child),
            }
            delayed |= child.name().ends_with("_interval") && child.seconds().is_some();
        }
        if delayed {
            return self.config.garp_groups.push(group);
        }
        let found = Diagnostic::error("no-interval", "this `garp_group` sets no interval").at(item.span());
        self.report(found.help("it is ignored; give `garp_interval` or `gna_interval`"));
    }

    fn group_interfaces(&mut self, group: &mut GarpGroup, item: &Item<'t>) {
        let before = group.interfaces.len();
        for (text, span) in self.block_words(item) {
            self.mention(&Argument { text, span }, "a garp_group", Need::Line);
            group.interfaces.push(text.to_owned());
        }
        if group.interfaces.len() == before {
            let found = Diagnostic::error("empty-block", "this `interfaces` block is empty");
            self.report(found.at(item.span()));
        }
    }

    pub(super) fn linkbeat_interfaces(&mut self, item: &Item<'t>) {
        for id in self.children(item.id) {
            let entry = self.entry(id);
            let Some((name, options)) = entry.split_first() else { continue };
            self.mention(name, "linkbeat_interfaces", Need::Fatal);
            let kind = match options.first().map(|option| option.text) {
                None => Linkbeat::Any,
                Some("MII") => Linkbeat::Mii,
                Some("ETHTOOL") => Linkbeat::Ethtool,
                Some("IOCTL") => Linkbeat::Ioctl,
                Some(other) => {
                    let text = format!("`{other}` is no way to ask for the state of a link");
                    let found = Diagnostic::error("unknown-option", text).at(options.first().map_or(name, |o| o).span);
                    self.report(found.help("MII, ETHTOOL or IOCTL, in capitals; it is ignored"));
                    Linkbeat::Any
                }
            };
            self.config.linkbeat_interfaces.push(LinkbeatInterface { name: name.text.to_owned(), kind });
        }
    }

    pub(super) fn interface_delays(&mut self, item: &Item<'t>) {
        for id in self.children(item.id) {
            let entry = self.entry(id);
            if let Some(name) = entry.first() {
                self.mention(name, "interface_up_down_delays", Need::Fatal);
            }
            let delay = match entry.as_slice() {
                [name, down] => self.link_delay(*down).map(|down| (name, down, Duration::ZERO)),
                [name, down, up, ..] => {
                    self.link_delay(*down).and_then(|down| Some((name, down, self.link_delay(*up)?)))
                }
                [name] => {
                    let text = format!("`{}` has no delay", name.text);
                    let found = Diagnostic::trap("missing-value", text).at(name.span);
                    self.report(found.help("write the delay of a loss and, perhaps, of a return, in seconds"));
                    None
                }
                [] => None,
            };
            let delay = delay.map(|(name, down, up)| InterfaceDelay { name: name.text.to_owned(), down, up });
            self.config.interface_delays.extend(delay);
        }
    }

    fn link_delay(&mut self, value: Argument<'t>) -> Option<Duration> {
        let range = Range { min: 0, max: 255_000_000, strict: false, repair: None };
        self.number("delay", value, range, 1_000_000).map(microseconds)
    }
}
