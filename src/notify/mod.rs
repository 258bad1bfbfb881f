//! Telling the world: scripts, FIFO records and mails, in keepalived's order, words and numbers.
//!
//! A [`Notifier`] is fed with [`Event`]s by the supervisor and never waits for anybody.

pub mod command;
pub mod fifo;
pub mod launcher;
pub mod mail;

mod book;
mod tally;

pub use book::Book;
pub use tally::{Counters, Tally};

use book::Scripts;
use fifo::Fifo;
use launcher::Launcher;
use mail::{Mail, Postman, Settings};
use standfast_checkers::script::Command;
use standfast_parser::model::{Config, Fifo as FifoConfig};
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

use crate::users::Account;

/// States that are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Master.
    Master,
    /// Backup.
    Backup,
    /// Fault.
    Fault,
    /// The daemon stops.
    Stop,
    /// Taken out of the configuration by a reload.
    Deleted,
}

impl State {
    /// The word in arguments and FIFO records.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Master => "MASTER",
            Self::Backup => "BACKUP",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An instance changed its state.
    Instance {
        /// Its name.
        name: String,
        /// The state it is in.
        state: State,
        /// Its effective priority.
        priority: u8,
    },
    /// A sync group changed its state.
    Group {
        /// Its name.
        name: String,
        /// The state it is in.
        state: State,
    },
    /// A master heard an advert of lower priority.
    LowerPriorityReceived {
        /// The instance.
        name: String,
        /// Its effective priority.
        priority: u8,
    },
    /// A second master was heard again and again.
    SplitBrain {
        /// The instance.
        name: String,
        /// The other master.
        rival: IpAddr,
    },
    /// The effective priority of an instance changed.
    PriorityChanged {
        /// The instance.
        name: String,
        /// Whether it is master now.
        master: bool,
        /// Its effective priority.
        priority: u8,
    },
    /// A real server came or went.
    Server {
        /// Virtual server: `[10.0.0.100]:tcp:80`.
        service: String,
        /// Real server: `[10.1.0.1]:tcp:80`.
        server: String,
        /// Whether it is in service.
        up: bool,
        /// `notify_up` or `notify_down`.
        script: Option<Command>,
    },
    /// A virtual server gained or lost its quorum.
    Quorum {
        /// Virtual server.
        service: String,
        /// Whether it has its quorum.
        up: bool,
        /// `quorum_up` or `quorum_down`.
        script: Option<Command>,
    },
    /// A mail about a real server is wanted.
    ServerMail {
        /// Virtual server.
        service: String,
        /// Real server.
        server: String,
        /// Whether it is in service.
        up: bool,
        /// Body.
        body: String,
    },
    /// A mail about the quorum of a virtual server is wanted.
    QuorumMail {
        /// Virtual server.
        service: String,
        /// Whether it has its quorum.
        up: bool,
        /// Body.
        body: String,
    },
}

/// Which readers a record is for, besides those of the global FIFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Vrrp,
    Lvs,
}

/// Starts scripts, writes records and sends mails. Needs a tokio runtime.
#[derive(Debug)]
pub struct Notifier {
    book: Book,
    launcher: Launcher,
    postman: Postman,
    mail: Option<Arc<Settings>>,
    mailed: HashMap<(&'static str, String), State>,
    global_fifo: Option<Fifo>,
    vrrp_fifo: Option<Fifo>,
    lvs_fifo: Option<Fifo>,
    counters: Arc<Counters>,
}

impl Notifier {
    /// A notifier for a configuration. `book` holds its checked scripts, `host` is the name of this machine.
    #[must_use]
    pub fn new(config: &Config, book: Book, host: &str) -> Self {
        let counters = Arc::<Counters>::default();
        let mut notifier = Self {
            book: Book::default(),
            launcher: Launcher::counting(Arc::clone(&counters)),
            postman: Postman::new(Arc::clone(&counters)),
            mail: None,
            mailed: HashMap::new(),
            global_fifo: None,
            vrrp_fifo: None,
            lvs_fifo: None,
            counters,
        };
        notifier.reconfigure(config, book, host);
        notifier
    }

    /// What became of scripts, mails and records so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.counters.tally()
    }

    /// Goes on with another configuration. FIFOs whose path stays are kept open.
    pub fn reconfigure(&mut self, config: &Config, mut book: Book, host: &str) {
        let (mail, notes) = Settings::new(&config.globals, host);
        notes.iter().for_each(|note| warn!("{note}"));
        self.mail = mail.map(Arc::new);
        let globals = &config.globals;
        replace(&mut self.global_fifo, globals.notify_fifo.as_ref(), &book, &self.launcher);
        replace(&mut self.vrrp_fifo, globals.vrrp_notify_fifo.as_ref(), &book, &self.launcher);
        replace(&mut self.lvs_fifo, globals.lvs_notify_fifo.as_ref(), &book, &self.launcher);
        book.keep_leaving(std::mem::take(&mut self.book));
        self.book = book;
    }

    /// Tells about an event: scripts first, then FIFOs, then mail.
    pub fn handle(&mut self, event: &Event) {
        match event {
            Event::Instance { name, state, priority } => self.instance(name, *state, *priority),
            Event::Group { name, state } => self.group(name, *state),
            Event::LowerPriorityReceived { name, priority } => self.lower_priority(name, *priority),
            Event::SplitBrain { name, rival } => self.split_brain(name, *rival),
            Event::PriorityChanged { name, master, priority } => self.priority_changed(name, *master, *priority),
            Event::Server { service, server, up, script } => {
                self.launch(script.as_ref());
                // keepalived sends its string's NUL, too, which no reader of lines has a use for.
                self.record(Audience::Lvs, &format!("RS {server} {service} {}\n", up_word(*up)));
            }
            Event::Quorum { service, up, script } => {
                self.launch(script.as_ref());
                self.record(Audience::Lvs, &format!("VS {service} {}\n", up_word(*up)));
            }
            Event::ServerMail { service, server, up, body } => {
                let subject = format!("Realserver {server} of virtual server {service} - {}", up_word(*up));
                self.send(Mail { subject, body: body.clone() });
            }
            Event::QuorumMail { service, up, body } => {
                self.send(Mail { subject: format!("Virtualserver {service} - {}", up_word(*up)), body: body.clone() });
            }
        }
    }

    /// Writes the state of an instance to the FIFOs, and tells nobody else.
    pub fn record_instance(&mut self, name: &str, state: State, priority: u8) {
        self.record(Audience::Vrrp, &format!("INSTANCE \"{name}\" {} {priority}\n", state.word()));
    }

    /// Writes the state of a group to the FIFOs, and tells nobody else.
    pub fn record_group(&mut self, name: &str, state: State) {
        self.record(Audience::Vrrp, &format!("GROUP \"{name}\" {} 0\n", state.word()));
    }

    /// The daemon is about to end: scripts that start from here on tell of that, and may outlive it.
    pub fn leave(&mut self) {
        self.launcher.detach();
    }

    /// Gives what is under way a last chance: running scripts and waiting mails, `patience` at most for both together.
    pub async fn finish(self, patience: Duration) {
        let Self { launcher, postman, global_fifo, vrrp_fifo, lvs_fifo, .. } = self;
        // Whoever reads them may end then.
        drop([global_fifo, vrrp_fifo, lvs_fifo]);
        tokio::join!(launcher.settle(patience), postman.finish(patience));
    }

    fn instance(&mut self, name: &str, state: State, priority: u8) {
        let state = self.book.instances.get(name).map_or(state, |scripts| scripts.told(state));
        if let Some(scripts) = self.book.instances.get(name) {
            let arguments = ["INSTANCE", name, state.word(), &priority.to_string()];
            run_state_scripts(&self.launcher, scripts, state, arguments);
        }
        self.record_instance(name, state, priority);
        let wanted = self.book.instances.get(name).is_some_and(|scripts| scripts.smtp_alert);
        self.mail_state(wanted, "Instance", name, state, instance_body(state));
    }

    fn group(&mut self, name: &str, state: State) {
        let state = self.book.groups.get(name).map_or(state, |scripts| scripts.told(state));
        if let Some(scripts) = self.book.groups.get(name) {
            run_state_scripts(&self.launcher, scripts, state, ["GROUP", name, state.word(), "0"]);
        }
        self.record_group(name, state);
        let wanted = self.book.groups.get(name).is_some_and(|scripts| scripts.smtp_alert);
        self.mail_state(wanted, "Group", name, state, group_body(state));
    }

    fn lower_priority(&mut self, name: &str, priority: u8) {
        self.launch(self.book.instances.get(name).and_then(|scripts| scripts.lower_priority.as_ref()));
        self.record(Audience::Vrrp, &format!("INSTANCE \"{name}\" MASTER_RX_LOWER_PRI {priority}\n"));
    }

    fn split_brain(&self, name: &str, rival: IpAddr) {
        let scripts = self.book.instances.get(name);
        if let Some(command) = scripts.and_then(|scripts| scripts.split_brain.as_ref()) {
            self.launcher.launch(command, &["INSTANCE", name, &rival.to_string()]);
        }
    }

    fn priority_changed(&mut self, name: &str, master: bool, priority: u8) {
        if self.book.instances.get(name).is_some_and(|scripts| scripts.priority_changes) {
            let word = if master { "MASTER_PRIORITY" } else { "BACKUP_PRIORITY" };
            self.record(Audience::Vrrp, &format!("INSTANCE \"{name}\" {word} {priority}\n"));
        }
    }

    fn launch(&self, command: Option<&Command>) {
        if let Some(command) = command {
            self.launcher.launch(command, &[]);
        }
    }

    fn record(&mut self, audience: Audience, record: &str) {
        let own = match audience {
            Audience::Vrrp => &mut self.vrrp_fifo,
            Audience::Lvs => &mut self.lvs_fifo,
        };
        for fifo in [self.global_fifo.as_mut(), own.as_mut()].into_iter().flatten() {
            if !fifo.write(record) {
                tally::count(&self.counters.records_lost);
            }
        }
    }

    /// Mails a state unless it is the one that was mailed last.
    fn mail_state(&mut self, wanted: bool, kind: &'static str, name: &str, state: State, body: &str) {
        let silent = !wanted || (state == State::Fault && self.book.no_email_faults);
        if silent || self.mailed.insert((kind, name.to_owned()), state) == Some(state) {
            return;
        }
        let tail = match state {
            State::Stop => "Stopping".to_owned(),
            State::Deleted => "Deleted".to_owned(),
            _ => format!("Entering {} state", state.word()),
        };
        self.send(Mail { subject: format!("VRRP {kind} {name} - {tail}"), body: body.to_owned() });
    }

    fn send(&self, mail: Mail) {
        if let Some(settings) = &self.mail {
            self.postman.send(settings, mail);
        }
    }
}

fn run_state_scripts(launcher: &Launcher, scripts: &Scripts, state: State, arguments: [&str; 4]) {
    if let Some(command) = scripts.of(state) {
        launcher.launch(command, &[]);
    }
    if let Some(command) = &scripts.any {
        launcher.launch(command, &arguments);
    }
}

/// Opens the FIFO that the configuration names, and starts the script that reads it, unless it is open already.
fn replace(slot: &mut Option<Fifo>, wanted: Option<&FifoConfig>, book: &Book, launcher: &Launcher) {
    let Some(wanted) = wanted else {
        *slot = None;
        return;
    };
    let path = Path::new(&wanted.path);
    if slot.as_ref().is_some_and(|fifo| fifo.path() == path) {
        return;
    }
    *slot = None;
    let owner = match wanted.user.as_ref().map(Account::resolve).transpose() {
        Ok(owner) => owner.unwrap_or_else(Account::own),
        Err(error) => return warn!("Cannot use notify FIFO {}: {error}", wanted.path),
    };
    match Fifo::open(path, owner) {
        Ok(fifo) => *slot = Some(fifo),
        Err(error) => return warn!("Cannot use notify FIFO {}: {error}", wanted.path),
    }
    if let Some(command) = book.fifo_scripts.get(&wanted.path) {
        launcher.launch(command, &[&wanted.path]);
    }
}

fn up_word(up: bool) -> &'static str {
    if up { "UP" } else { "DOWN" }
}

fn instance_body(state: State) -> &'static str {
    match state {
        State::Master => "=> VRRP Instance is now owning VRRP VIPs <=",
        State::Backup | State::Fault => "=> VRRP Instance is no longer owning VRRP VIPs <=",
        State::Stop => "=> VRRP Instance stopping <=",
        State::Deleted => "=> VRRP Deleted at reload <=",
    }
}

fn group_body(state: State) -> &'static str {
    match state {
        State::Master => "=> All VRRP group instances are now in MASTER state <=",
        State::Backup => "=> All VRRP group instances are now in BACKUP state <=",
        State::Fault => "=> All VRRP group instances are now in FAULT state <=",
        State::Stop => "=> All VRRP group instances are now stopping <=",
        State::Deleted => "=> VRRP Deleted at reload <=",
    }
}

#[cfg(test)]
mod tests;
