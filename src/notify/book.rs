//! Who wants to be told what: the checked scripts and mail wishes of a configuration, by name.

use super::State;
use super::command::ScriptPolicy;
use standfast_checkers::script::Command;
use standfast_parser::model::{Config, Fifo, Notify};
use std::collections::HashMap;

/// Scripts and mail wish of an instance or a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scripts {
    pub(super) master: Option<Command>,
    pub(super) backup: Option<Command>,
    pub(super) fault: Option<Command>,
    pub(super) stop: Option<Command>,
    pub(super) deleted: Option<Command>,
    pub(super) lower_priority: Option<Command>,
    pub(super) any: Option<Command>,
    pub(super) split_brain: Option<Command>,
    pub(super) priority_changes: bool,
    pub(super) smtp_alert: bool,
    /// No longer in the configuration.
    leaving: bool,
}

impl Scripts {
    fn new(notify: &Notify, smtp_alert: bool, policy: &mut ScriptPolicy) -> Self {
        Self {
            master: policy.prepare_optional(notify.master.as_ref()),
            backup: policy.prepare_optional(notify.backup.as_ref()),
            fault: policy.prepare_optional(notify.fault.as_ref()),
            stop: policy.prepare_optional(notify.stop.as_ref()),
            deleted: policy.prepare_optional(notify.deleted.as_ref()),
            lower_priority: policy.prepare_optional(notify.master_rx_lower_pri.as_ref()),
            any: policy.prepare_optional(notify.any.as_ref()),
            split_brain: None,
            priority_changes: notify.priority_changes,
            smtp_alert,
            leaving: false,
        }
    }

    /// Without `notify_deleted`, keepalived tells of an instance that a reload removed as if it had a fault.
    pub(super) fn told(&self, state: State) -> State {
        if state == State::Deleted && self.deleted.is_none() { State::Fault } else { state }
    }

    pub(super) fn of(&self, state: State) -> Option<&Command> {
        match state {
            State::Master => self.master.as_ref(),
            State::Backup => self.backup.as_ref(),
            State::Fault => self.fault.as_ref(),
            State::Stop => self.stop.as_ref(),
            State::Deleted => self.deleted.as_ref(),
        }
    }
}

/// Everything that wants to be told something. Building it checks the notification scripts of instances, groups and FIFOs.
#[derive(Debug, Clone, Default)]
pub struct Book {
    pub(super) instances: HashMap<String, Scripts>,
    pub(super) groups: HashMap<String, Scripts>,
    pub(super) fifo_scripts: HashMap<String, Command>,
    pub(super) no_email_faults: bool,
}

impl Book {
    /// The wishes of a configuration; scripts that may not run are left out and noted in `policy`.
    #[must_use]
    pub fn new(config: &Config, policy: &mut ScriptPolicy) -> Self {
        let mut book = Self { no_email_faults: config.globals.no_email_faults, ..Self::default() };
        for instance in &config.instances {
            let mut scripts = Scripts::new(&instance.notify, instance.smtp_alert, policy);
            scripts.split_brain = policy.prepare_optional(instance.split_brain_notify.as_ref());
            book.instances.insert(instance.name.clone(), scripts);
        }
        for group in &config.sync_groups {
            let scripts = Scripts::new(&group.notify, group.smtp_alert, policy);
            book.groups.insert(group.name.clone(), scripts);
        }
        let globals = &config.globals;
        let fifos = [&globals.notify_fifo, &globals.vrrp_notify_fifo, &globals.lvs_notify_fifo];
        fifos.into_iter().flatten().for_each(|fifo| book.add_fifo(fifo, policy));
        book
    }

    /// Keeps what `former` says about those who are leaving, because their end is still to be told.
    pub(super) fn keep_leaving(&mut self, former: Self) {
        for (name, scripts) in former.instances.into_iter().filter(|(_, scripts)| !scripts.leaving) {
            self.instances.entry(name).or_insert(Scripts { leaving: true, ..scripts });
        }
        for (name, scripts) in former.groups.into_iter().filter(|(_, scripts)| !scripts.leaving) {
            self.groups.entry(name).or_insert(Scripts { leaving: true, ..scripts });
        }
    }

    fn add_fifo(&mut self, fifo: &Fifo, policy: &mut ScriptPolicy) {
        if let Some(command) = policy.prepare_optional(fifo.script.as_ref()) {
            self.fifo_scripts.insert(fifo.path.clone(), command);
        }
    }
}
