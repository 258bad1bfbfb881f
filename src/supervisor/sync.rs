//! The sync daemons, as `lvs_sync_daemon`, the state of its instance and ipvsadm want them.

use super::Supervisor;
use super::services::Services;
use crate::control::{Answer, Failure, Request};
use crate::forwarder::{Forwarder, beside_services};
use crate::ipvsadm::{DaemonSettings, Role};
use crate::kernel_ipvs;
use crate::status::SyncDaemons;
use crate::sync::{Daemons, Error, Key, Settings, Tally, Transfer, Tuning};
use crate::translate::vrrp::octets;
use crate::vrrp::VrrpEvent;
use standfast_ipvs::sync::{SyncSettings, Version};
use standfast_parser::model::{Config, SyncDaemon, SyncTuning};
use standfast_vrrp::State;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// So long a director that is there takes at most to say that its connections come.
const ANSWER: Duration = Duration::from_secs(3);
/// All of them are awaited this long at most: a million take some seconds.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// The daemons, and what the file says of them.
#[derive(Debug, Default)]
pub(super) struct Sync {
    daemons: Daemons,
    /// Those of the kernel that the file has started.
    kernels: Option<Kernels>,
    /// What the running configuration asks for.
    wanted: Option<Wanted>,
    /// The latest state of the instance that decides.
    state: Option<State>,
    /// Since when that instance does not preempt, because the connections of the other director have not come.
    held_since: Option<Instant>,
    /// Why a daemon that should run does not: an interface may get its address later, as with IPv6 at boot.
    problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    daemon: SyncDaemon,
    settings: DaemonSettings,
    tuning: SyncTuning,
}

/// Sync daemons of the kernel's IPVS.
#[derive(Debug)]
struct Kernels {
    line: kernel_ipvs::Handle,
    roles: Vec<Role>,
    syncid: u8,
}

impl Kernels {
    /// Has those run that should.
    fn follow(&mut self, wanted: &[Role], settings: &DaemonSettings) {
        let Kernels { line, roles, syncid } = self;
        roles.iter().filter(|role| !wanted.contains(role)).for_each(|role| line.stop_daemon(*role, *syncid));
        let fresh = wanted.iter().filter(|role| !roles.contains(role));
        fresh.for_each(|role| line.start_daemon(*role, settings.clone()));
        *roles = wanted.to_vec();
    }

    fn stop(self) {
        self.roles.iter().for_each(|role| self.line.stop_daemon(*role, self.syncid));
    }
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
        Some(Wanted { daemon, settings, tuning: config.globals.sync_tuning.clone() })
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
        self.sync.problem = None;
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
        if let Some(Forwarder::Kernel(line)) = self.services_for_calls().forwarder() {
            let syncid = wanted.settings.syncid.unwrap_or(0);
            let kernels = self.sync.kernels.get_or_insert_with(|| Kernels { line, roles: Vec::new(), syncid });
            return kernels.follow(roles, &wanted.settings);
        }
        for role in [Role::Master, Role::Backup] {
            if !roles.contains(&role) && self.sync.daemons.stop(role).is_ok() {
                info!(target: "healthcheck", "Stopped the {} sync daemon", role.word());
            }
        }
        let known = self.sync.problem.take();
        for role in roles {
            if self.sync.daemons.settings(*role).is_some() {
                continue;
            }
            match self.start_daemon(*role, &wanted.settings) {
                Ok(()) if *role == Role::Backup => self.hold_preemption(),
                Ok(()) => {}
                Err(problem) => {
                    let problem = format!("The {} sync daemon does not start: {problem}", role.word());
                    if known.as_ref() != Some(&problem) {
                        error!(target: "healthcheck", "{problem}; it is tried again each second");
                    }
                    self.sync.problem = Some(problem);
                }
            }
        }
    }

    /// Tries again what could not be started.
    pub(super) fn retry_sync(&mut self) {
        if self.sync.problem.is_some() {
            self.follow_sync();
        }
    }

    /// A director that returns waits for the connections that the other one has, before it takes its place.
    fn hold_preemption(&mut self) {
        self.sync.held_since = Some(Instant::now());
        self.tell_hold(Some(ANSWER));
    }

    fn tell_hold(&self, lasts: Option<Duration>) {
        let instance = self.sync.wanted.as_ref().and_then(|wanted| wanted.daemon.instance.as_deref());
        if let (Some(routers), Some(instance)) = (&self.routers, instance) {
            routers.hold_preemption(instance, lasts);
        }
    }

    /// Goes on waiting while the connections come, and no longer when they have come.
    pub(super) fn watch_transfer(&mut self) {
        let Some(since) = self.sync.held_since else { return };
        match self.sync.daemons.transfer() {
            Some(Transfer::Coming) if since.elapsed() < LONGEST_HOLD => self.tell_hold(Some(ANSWER)),
            Some(Transfer::Awaited) if since.elapsed() < ANSWER => {}
            _ => {
                self.sync.held_since = None;
                self.tell_hold(None);
            }
        }
    }

    fn start_daemon(&mut self, role: Role, asked: &DaemonSettings) -> Result<(), Error> {
        let tuning = tuning(&self.config.globals.sync_tuning)?;
        let services = self.services_for_calls();
        let (forwarder, namespace) = (services.forwarder(), services.namespace().map(str::to_owned));
        let engine = forwarder.as_ref().and_then(Forwarder::embedded);
        let daemons = &mut self.sync.daemons;
        let started = beside_services(namespace.as_deref(), || {
            let settings = Settings::new(role, asked, &tuning)?;
            let shown = settings.daemon.clone();
            if daemons.settings(role).is_some() {
                return Err(Error::Running);
            }
            daemons.start(settings, engine.ok_or(Error::NoDataplane)?)?;
            Ok(shown)
        });
        let shown = started.map_err(Error::system("enter its namespace"))??;
        info!(
            target: "healthcheck",
            "Started the {} sync daemon on {}, group {} port {}, syncid {}",
            role.word(), shown.interface, shown.group, shown.port, shown.syncid
        );
        Ok(())
    }

    /// Calls about sync daemons of the embedded engine; others are given back.
    pub(super) fn answer_sync(&mut self, request: Request) -> Result<Result<Answer, Failure>, Request> {
        if self.asks_for_kernel() {
            self.services_for_calls();
        }
        if matches!(self.services.as_ref().and_then(Services::forwarder), Some(Forwarder::Kernel(_))) {
            return Err(request);
        }
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
        match self.services.as_ref().and_then(Services::forwarder) {
            Some(Forwarder::Embedded(engine)) => {
                let namespace = self.services.as_ref().and_then(Services::namespace);
                let daemons = &mut self.sync.daemons;
                if let Err(problem) = beside_services(namespace, || daemons.attach(&engine)) {
                    error!(target: "healthcheck", "The sync daemons do not start again: {problem}");
                }
            }
            Some(Forwarder::Kernel(line)) => {
                if let Some(kernels) = &mut self.sync.kernels {
                    kernels.line = line;
                }
            }
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
        if let Some(kernels) = self.kernels.take() {
            kernels.stop();
        }
        let stopped = [Role::Master, Role::Backup].map(|role| self.daemons.stop(role).is_ok());
        if stopped.contains(&true) {
            info!(target: "healthcheck", "Sync daemons stopped: {}", self.daemons.tally());
        }
    }
}

/// What the file says of the daemons; with a key that cannot be read they do not start.
fn tuning(given: &SyncTuning) -> Result<Tuning, Error> {
    let octets = given.key.as_ref().map(|key| octets(&key.0)).transpose().map_err(Error::Key)?;
    let rules = SyncSettings {
        threshold: given.threshold,
        period: given.period,
        refresh_period: given.refresh_period,
        retries: given.retries,
        persist_mode: given.persist_mode,
        at_once: false,
    };
    let version = if given.version == 0 { Version::V0 } else { Version::V1 };
    Ok(Tuning { version, rules, at_once: given.at_once, ports: given.ports, key: octets.map(Key::new) })
}
