//! `vrrp_sync_group`.

use super::named::Kind;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{Notify, SyncGroup};
use crate::span::Span;
use crate::table;
use std::collections::HashMap;

impl<'t> Builder<'t> {
    pub(super) fn vrrp_sync_group(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        if let Some(first) = self.named.head(Kind::SyncGroup, name) {
            let text = format!("sync group `{name}` exists already; this one is skipped");
            let found = Diagnostic::error("duplicate-group", text).at(item.argument_span());
            let found = found.related(first, "the first one");
            return self.report(found);
        }
        let globals = &self.config.globals;
        let mut group = SyncGroup {
            name: name.to_owned(),
            members: Vec::new(),
            notify: Notify { priority_changes: self.config.globals.notify_priority_changes, ..Notify::default() },
            smtp_alert: globals.smtp_alert_vrrp.or(globals.smtp_alert).unwrap_or(false),
            global_tracking: false,
            track_interfaces: Vec::new(),
            track_scripts: Vec::new(),
            track_files: Vec::new(),
            track_processes: Vec::new(),
            track_bfds: Vec::new(),
            span: item.argument_span(),
        };
        self.named.begin_list();
        let mut members = Vec::new();
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::VRRP_SYNC_GROUP) {
                self.group_keyword(&mut group, &mut members, &child);
            }
        }
        self.named.insert(Kind::SyncGroup, name, self.config.sync_groups.len(), group.span);
        self.group_members.push(members);
        self.config.sync_groups.push(group);
    }

    fn group_keyword(&mut self, group: &mut SyncGroup, members: &mut Vec<(&'t str, Span)>, item: &Item<'t>) {
        if self.notify_keyword(&mut group.notify, item) {
            return;
        }
        match item.name() {
            "group" if !members.is_empty() => {
                let text = format!("sync group `{}` has a list of members already", group.name);
                let found = Diagnostic::error("given-twice", text).at(item.span());
                self.report(found.help("this one is ignored"));
            }
            "group" => members.extend(self.block_words(item)),
            "smtp_alert" => group.smtp_alert = item.switch(),
            "global_tracking" | "sync_group_tracking_weight" => group.global_tracking = true,
            "notify_priority_changes" => group.notify.priority_changes = item.switch(),
            "track_interface" => self.track_interfaces(&mut group.track_interfaces, item),
            "track_script" => self.track_scripts(&mut group.track_scripts, item),
            "track_file" => self.tracked(&mut group.track_files, item),
            "track_process" => self.tracked(&mut group.track_processes, item),
            "track_bfd" => self.tracked(&mut group.track_bfds, item),
            _ => {}
        }
    }

    /// Keeps the members that exist. Runs when all instances were read.
    pub(super) fn resolve_groups(&mut self) {
        let listed = std::mem::take(&mut self.group_members);
        let mut groups = HashMap::new();
        for (index, members) in listed.into_iter().enumerate() {
            for (name, span) in members {
                self.resolve_member(&mut groups, index, name, span);
            }
            self.check_group_size(index);
        }
        self.config.sync_groups.retain(|g| !g.members.is_empty());
    }

    fn resolve_member(&mut self, groups: &mut HashMap<&'t str, usize>, index: usize, name: &'t str, span: Span) {
        let Some(group) = self.config.sync_groups.get(index) else {
            return;
        };
        let other = groups.get(name).and_then(|other| self.config.sync_groups.get(*other));
        let found = if self.named.index(Kind::Instance, name).is_none() {
            let near = self.nearest_instance(name);
            let text = format!("sync group `{}` names `{name}`, which is no vrrp_instance", group.name);
            Some(Diagnostic::error("unknown-instance", text).suggest(near))
        } else if let Some(other) = other {
            let text = format!("`{name}` is a member of sync group `{}` already", other.name);
            Some(Diagnostic::error("duplicate-member", text))
        } else {
            None
        };
        match found {
            Some(found) => self.report(found.at(span).help("the member is ignored")),
            None => {
                groups.insert(name, index);
                if let Some(group) = self.config.sync_groups.get_mut(index) {
                    group.members.push(name.to_owned());
                }
            }
        }
    }

    pub(super) fn nearest_instance(&self, name: &str) -> Option<String> {
        self.nearest_name(name, self.config.instances.iter().map(|i| i.name.as_str()))
    }

    fn check_group_size(&mut self, index: usize) {
        let Some(group) = self.config.sync_groups.get(index).filter(|g| g.members.len() < 2) else {
            return;
        };
        let members = if group.members.is_empty() { "no members" } else { "only one member" };
        let text = format!("sync group `{}` has {members}", group.name);
        let found = Diagnostic::warning("small-group", text).at(group.span);
        let help = if group.members.is_empty() {
            "it is removed"
        } else {
            "a group keeps two instances or more in the same state"
        };
        self.report(found.help(help));
    }
}
