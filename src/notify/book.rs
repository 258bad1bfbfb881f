//! Who wants to be told what: the checked scripts and mail wishes of a configuration, by name.

use super::State;
use super::command::{Command, ScriptPolicy};
use super::names::{real_server_name, virtual_server_name};
use standfast_parser::model::{Config, Fifo, Notify, RealServer, VirtualServer};
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
    pub(super) priority_changes: bool,
    pub(super) smtp_alert: bool,
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
            priority_changes: notify.priority_changes,
            smtp_alert,
        }
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

/// Scripts and mail wish of a real or virtual server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ServerScripts {
    up: Option<Command>,
    down: Option<Command>,
    pub(super) smtp_alert: bool,
}

impl ServerScripts {
    fn of_real(server: &RealServer, policy: &mut ScriptPolicy) -> Self {
        Self {
            up: policy.prepare_optional(server.notify_up.as_ref()),
            down: policy.prepare_optional(server.notify_down.as_ref()),
            smtp_alert: server.smtp_alert,
        }
    }

    fn of_virtual(server: &VirtualServer, policy: &mut ScriptPolicy) -> Self {
        Self {
            up: policy.prepare_optional(server.quorum_up.as_ref()),
            down: policy.prepare_optional(server.quorum_down.as_ref()),
            smtp_alert: server.smtp_alert,
        }
    }

    pub(super) fn of(&self, up: bool) -> Option<&Command> {
        if up { self.up.as_ref() } else { self.down.as_ref() }
    }
}

/// Everything that wants to be told something. Building it checks every notification script of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Book {
    pub(super) instances: HashMap<String, Scripts>,
    pub(super) groups: HashMap<String, Scripts>,
    pub(super) virtual_servers: HashMap<String, ServerScripts>,
    pub(super) real_servers: HashMap<(String, String), ServerScripts>,
    pub(super) fifo_scripts: HashMap<String, Command>,
    pub(super) no_email_faults: bool,
}

impl Book {
    /// The wishes of a configuration; scripts that may not run are left out and noted in `policy`.
    #[must_use]
    pub fn new(config: &Config, policy: &mut ScriptPolicy) -> Self {
        let mut book = Self { no_email_faults: config.globals.no_email_faults, ..Self::default() };
        for instance in &config.instances {
            let scripts = Scripts::new(&instance.notify, instance.smtp_alert, policy);
            book.instances.insert(instance.name.clone(), scripts);
        }
        for group in &config.sync_groups {
            let scripts = Scripts::new(&group.notify, group.smtp_alert, policy);
            book.groups.insert(group.name.clone(), scripts);
        }
        config.virtual_servers.iter().for_each(|server| book.add_server(server, policy));
        let globals = &config.globals;
        let fifos = [&globals.notify_fifo, &globals.vrrp_notify_fifo, &globals.lvs_notify_fifo];
        fifos.into_iter().flatten().for_each(|fifo| book.add_fifo(fifo, policy));
        book
    }

    fn add_server(&mut self, server: &VirtualServer, policy: &mut ScriptPolicy) {
        let name = virtual_server_name(server);
        self.virtual_servers.insert(name.clone(), ServerScripts::of_virtual(server, policy));
        for real in &server.real_servers {
            let key = (name.clone(), real_server_name(real.address, server.protocol));
            self.real_servers.insert(key, ServerScripts::of_real(real, policy));
        }
    }

    fn add_fifo(&mut self, fifo: &Fifo, policy: &mut ScriptPolicy) {
        if let Some(command) = policy.prepare_optional(fifo.script.as_ref()) {
            self.fifo_scripts.insert(fifo.path.clone(), command);
        }
    }
}
