//! The sync daemons, as `lvs_sync_daemon`, the state of its instance and ipvsadm want them.

use super::Supervisor;
use crate::control::{Answer, Failure, Request};
use crate::ipvsadm::{DaemonSettings, Role};
use crate::status::SyncDaemons;
use crate::sync::{Daemons, Error, Settings, Tally};
use crate::vrrp::VrrpEvent;
use standfast_parser::model::{Config, SyncDaemon};
use standfast_vrrp::State;
use tracing::{error, info, warn};

/// The daemons, and what the file says of them.
#[derive(Debug, Default)]
pub(super) struct Sync {
    daemons: Daemons,
    /// What the running configuration asks for.
    wanted: Option<Wanted>,
    /// The latest state of the instance that decides.
    state: Option<State>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    daemon: SyncDaemon,
    settings: DaemonSettings,
}

impl Wanted {
    /// As keepalived: the id is the instance's VRID unless it is given.
    fn of(config: &Config) -> Option<Wanted> {
        let daemon = config.globals.sync_daemon.clone()?;
        let instance = daemon.instance.as_deref();
        let vrid = config
            .instances
            .iter()
            .find(|held| Some(held.name.as_str()) == instance)
            .map(|held| held.virtual_router_id);
        let settings = DaemonSettings {
            interface: Some(daemon.interface.clone()),
            syncid: daemon.id.or(vrid),
            maxlen: daemon.maximum_length,
            group: daemon.group,
            port: daemon.port,
            ttl: daemon.ttl,
        };
        Some(Wanted { daemon, settings })
    }

    /// Which daemons run: both where no instance decides.
    fn roles(&self, state: Option<State>) -> &'static [Role] {
        match (self.daemon.instance.is_some(), state) {
            (false, _) => &[Role::Master, Role::Backup],
            (true, Some(State::Master)) => &[Role::Master],
            (true, Some(State::Backup | State::Fault | State::Init)) => &[Role::Backup],
            (true, None | Some(State::Stop | State::Deleted)) => &[],
        }
    }
}

impl Supervisor<'_> {
    /// Takes over what a configuration says of the daemons. What is the same stays.
    pub(super) fn load_sync(&mut self) {
        let wanted = Wanted::of(&self.config);
        if wanted == self.sync.wanted {
            return;
        }
        let instance = |wanted: &Option<Wanted>| wanted.as_ref().and_then(|wanted| wanted.daemon.instance.clone());
        if instance(&wanted) != instance(&self.sync.wanted) {
            self.sync.state = None;
        }
        if self.sync.wanted.take().is_some() {
            self.sync.stop_all();
        }
        self.sync.wanted = wanted;
        self.follow_sync();
    }

    /// The state of an instance decides between sending and receiving.
    pub(super) fn sync_event(&mut self, event: &VrrpEvent) {
        let VrrpEvent::Transition { router, to, .. } = event else { return };
        let decides = self.sync.wanted.as_ref().and_then(|wanted| wanted.daemon.instance.as_deref());
        if decides == Some(&**router) {
            self.sync.state = Some(*to);
            self.follow_sync();
        }
    }

    /// Starts and stops daemons until those run that should.
    fn follow_sync(&mut self) {
        let Some(wanted) = self.sync.wanted.clone() else { return };
        let roles = wanted.roles(self.sync.state);
        for role in [Role::Master, Role::Backup] {
            if !roles.contains(&role) && self.sync.daemons.stop(role).is_ok() {
                info!(target: "healthcheck", "Stopped the {} sync daemon", name(role));
            }
        }
        for role in roles {
            if self.sync.daemons.settings(*role).is_none()
                && let Err(problem) = self.start_daemon(*role, &wanted.settings)
            {
                error!(target: "healthcheck", "The {} sync daemon does not start: {problem}", name(*role));
            }
        }
    }

    fn start_daemon(&mut self, role: Role, asked: &DaemonSettings) -> Result<(), Error> {
        let settings = Settings::new(role, asked)?;
        if self.sync.daemons.settings(role).is_some() {
            return Err(Error::Running);
        }
        let engine = self.services_for_calls().engine().ok_or(Error::NoDataplane)?;
        let shown = settings.daemon.clone();
        self.sync.daemons.start(settings, &engine)?;
        info!(
            target: "healthcheck",
            "Started the {} sync daemon on {}, group {} port {}, syncid {}",
            name(role), shown.interface, shown.group, shown.port, shown.syncid
        );
        Ok(())
    }

    /// Calls about sync daemons; others are given back.
    pub(super) fn answer_sync(&mut self, request: Request) -> Result<Result<Answer, Failure>, Request> {
        let done =
            |result: Result<(), Error>| result.map(|()| Answer::Done).map_err(|error| Failure::new(error.to_string()));
        match request {
            Request::Daemons => Ok(Ok(Answer::Daemons(self.sync.daemons.running()))),
            Request::StartDaemon(role, asked) => Ok(done(self.start_daemon(role, &asked))),
            Request::StopDaemon(role, _) => Ok(done(self.sync.daemons.stop(role))),
            other => Err(other),
        }
    }

    /// The data plane is another one.
    pub(super) fn attach_sync(&mut self) {
        match self.services.as_ref().and_then(super::services::Services::engine) {
            Some(engine) => self.sync.daemons.attach(&engine),
            None => warn!(target: "healthcheck", "There is no data plane to sync"),
        }
    }
}

impl Sync {
    /// For those who ask how it goes; `None` while there was no daemon.
    pub(super) fn picture(&self) -> Option<SyncDaemons> {
        let (sends, receives) = (self.daemons.settings(Role::Master), self.daemons.settings(Role::Backup));
        let tally = self.daemons.tally();
        if sends.is_none() && receives.is_none() && tally == Tally::default() {
            return None;
        }
        let owned = |pairs: Vec<(&str, u64)>| pairs.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        let mut refused = vec![("foreign network", tally.foreign), ("not taken in time", tally.crowded)];
        refused.extend(tally.rejected);
        Some(SyncDaemons {
            sends: sends.is_some(),
            receives: receives.is_some(),
            sent: tally.sent,
            entries_sent: tally.entries_sent,
            unsent: tally.unsent,
            received: tally.received,
            refused: owned(refused),
            adopted: owned(tally.adopted),
        })
    }

    /// Ends both daemons and says what they did.
    pub(super) fn stop_all(&mut self) {
        let stopped = [Role::Master, Role::Backup].map(|role| self.daemons.stop(role).is_ok());
        if stopped.contains(&true) {
            info!(target: "healthcheck", "Sync daemons stopped: {}", self.daemons.tally());
        }
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Master => "master",
        Role::Backup => "backup",
    }
}
