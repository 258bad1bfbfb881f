//! What the trackers of a sync group's members may do.

use super::Builder;
use crate::diagnostic::Diagnostic;
use crate::model::{Config, VrrpInstance};
use std::collections::HashMap;

impl Builder<'_> {
    /// Without `sync_group_tracking_weight` members share one priority: their own weighted trackers are left out, as
    /// keepalived does. Processes keep their weight there, and so do the trackers of the group itself.
    pub(super) fn weigh_members(&mut self) {
        let scripts: HashMap<_, _> = self.config.scripts.iter().map(|s| (s.name.clone(), s.weight)).collect();
        let files: HashMap<_, _> = self.config.track_files.iter().map(|f| (f.name.clone(), f.weight)).collect();
        let sessions: HashMap<_, _> = self.config.bfd_instances.iter().map(|b| (b.name.clone(), b.weight)).collect();
        for index in members(&self.config) {
            let Some(instance) = self.config.instances.get_mut(index) else { continue };
            let mut lost = unweigh_interfaces(instance);
            instance.track_scripts.retain(|t| keep(&scripts, &t.name, t.weight, "track_script", &mut lost));
            for tracked in &mut instance.track_files {
                if tracked.weight.or(files.get(&tracked.name).copied()) == Some(1) {
                    tracked.weight = Some(0);
                    lost.push(format!("the weight of track_file `{}` is taken for 0", tracked.name));
                }
            }
            instance.track_files.retain(|t| keep(&files, &t.name, t.weight, "track_file", &mut lost));
            instance.track_bfds.retain(|t| keep(&sessions, &t.name, t.weight, "track_bfd", &mut lost));
            let (name, span) = (instance.name.clone(), instance.span);
            if !lost.is_empty() {
                let text = format!("({name}) is a member of a sync group: {}", lost.join("; "));
                let help = "track it in the group, or say `sync_group_tracking_weight` there";
                self.report(Diagnostic::error("weight-in-group", text).at(span).help(help));
            }
        }
    }
}

/// Instances of groups that share one priority.
fn members(config: &Config) -> Vec<usize> {
    let groups = config.sync_groups.iter().filter(|group| !group.global_tracking);
    let names: std::collections::HashSet<_> = groups.flat_map(|group| &group.members).collect();
    config.instances.iter().enumerate().filter(|(_, i)| names.contains(&i.name)).map(|(index, _)| index).collect()
}

/// An interface keeps its vote as a fault.
fn unweigh_interfaces(instance: &mut VrrpInstance) -> Vec<String> {
    let mut lost = Vec::new();
    for tracked in instance.track_interfaces.iter_mut().filter(|tracked| tracked.weight != 0) {
        tracked.weight = 0;
        lost.push(format!("the weight of track_interface `{}` is taken for 0", tracked.name));
    }
    if !instance.dont_track_primary {
        let own = instance.interface.as_ref();
        instance.track_interfaces.retain(|tracked| own != Some(&tracked.name));
    }
    lost
}

fn keep(weights: &HashMap<String, i32>, name: &str, own: Option<i32>, what: &str, lost: &mut Vec<String>) -> bool {
    let weighted = own.or(weights.get(name).copied()).is_some_and(|weight| weight != 0);
    if weighted {
        lost.push(format!("{what} `{name}` has a weight and is ignored"));
    }
    !weighted
}
