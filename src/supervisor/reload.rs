//! Reading the configuration again: what that would change, and changing it.

use super::marker::Marker;
use super::services::Services;
use super::virtual_routers::VirtualRouters;
use super::{Supervisor, events, ready};
use crate::cli::Options;
use crate::config::Loaded;
use crate::configuration::{self, Namespace};
use crate::control::{Answer, Failure};
use crate::health::Health;
use crate::machine::{Machine, Prepared};
use crate::netlink::Interface;
use crate::plan::{self, Outcome, Outlook, Scene};
use standfast_parser::model::Config;
use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{error, info};

/// How long a reload waits for the parts to say how they stand; nothing else is done meanwhile.
const SCENE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a plan waits for them, shorter than its client does.
const LOOK_PATIENCE: Duration = Duration::from_secs(20);

const BUSY: &str = "Forwarding is too busy to tell what the file costs, and it is not applied (SIGHUP does not ask)";
const UNTOLD: &str = "What the file changes cannot be told, and it is not applied (SIGHUP does not ask)";

/// A configuration that may follow the one that runs.
struct Candidate {
    prepared: Prepared,
    /// Faults of form that it has.
    faults: BTreeSet<&'static str>,
}

/// Why a configuration is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Refusal {
    /// A daemon does not start with it.
    Faults,
    /// Something that a reload cannot do, or shall not.
    Because(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults => f.write_str("The configuration is not applied"),
            Self::Because(reason) => f.write_str(reason),
        }
    }
}

impl Refusal {
    fn for_clients(&self) -> String {
        match self {
            Self::Faults => "the file has faults with which the daemon does not start".to_owned(),
            Self::Because(reason) => reason.clone(),
        }
    }
}

/// What a file is judged by.
struct Running {
    machine: Machine,
    config: Arc<Config>,
    /// Faults of form that the running configuration has, too.
    faults: BTreeSet<&'static str>,
    /// Interfaces that are there, if VRRP runs.
    interfaces: Option<Vec<Arc<Interface>>>,
}

impl Running {
    /// What a start would refuse is refused before anything is touched.
    fn judge(&self, options: &Options, loaded: &mut Loaded) -> Result<Candidate, Refusal> {
        if configuration::refusal(loaded, options).is_some() {
            return Err(Refusal::Faults);
        }
        let faults = configuration::faults_of_form(loaded);
        let prepared = self.machine.prepare(std::mem::take(&mut loaded.config));
        match self.objection(&prepared, &faults) {
            Some(reason) => Err(Refusal::Because(reason)),
            None => Ok(Candidate { prepared, faults }),
        }
    }

    fn objection(&self, prepared: &Prepared, faults: &BTreeSet<&str>) -> Option<String> {
        if let Some(fault) = faults.iter().find(|fault| !self.faults.contains(*fault)) {
            return Some(format!("The file has lost its form ({fault}) and is not applied"));
        }
        if prepared.is_idle() && !(self.config.instances.is_empty() && self.config.virtual_servers.is_empty()) {
            let text = "The file leaves nothing to run and is not applied (stop the daemon to end everything)";
            return Some(text.to_owned());
        }
        if prepared.config.globals.net_namespace != self.config.globals.net_namespace {
            return Some("net_namespace cannot be changed by a reload".to_owned());
        }
        let missing = prepared.setup.check_interfaces(self.interfaces.as_ref()?).err()?;
        Some(missing.to_string())
    }
}

impl Supervisor<'_> {
    /// Reads the configuration again and applies the differences; whatever is wrong with it leaves everything as it is.
    pub(super) async fn reload(&mut self) {
        begin();
        let options = self.options;
        let mut loaded = self.read(options);
        let judged = self.running().judge(options, &mut loaded);
        match judged {
            Ok(candidate) => self.take(candidate, options).await,
            Err(refusal) => self.refuse(&refusal),
        }
        ready::tell("READY=1");
    }

    /// As [`reload`](Self::reload), by order of a client, who is told what was changed.
    pub(super) async fn reload_by_order(&mut self, file: Option<String>, gently: bool) -> Result<Answer, Failure> {
        begin();
        let options = self.options_for(file);
        let mut loaded = self.read(&options);
        let outlook = match self.running().judge(&options, &mut loaded) {
            Ok(candidate) => self.reload_with(candidate, &options, &loaded, gently).await,
            Err(refusal) => {
                self.refuse(&refusal);
                refused(&refusal, &options, &loaded)
            }
        };
        ready::tell("READY=1");
        Ok(Answer::Plan(Box::new(outlook)))
    }

    async fn reload_with(&mut self, candidate: Candidate, options: &Options, loaded: &Loaded, gently: bool) -> Outlook {
        let findings = plan::findings(loaded, Some(&candidate.prepared));
        let Ok(scene) = tokio::time::timeout(SCENE_PATIENCE, self.scene()).await else {
            return self.refuse_unforeseen(BUSY, options, loaded);
        };
        let foreseen = tokio::task::spawn_blocking(move || (foresee(scene, &candidate), candidate)).await;
        let Ok((outlook, candidate)) = foreseen else {
            return self.refuse_unforeseen(UNTOLD, options, loaded);
        };
        let outlook = Outlook { configuration: path_of(options), findings, ..outlook };
        if gently && !outlook.losses.is_empty() {
            let costs: Vec<&str> = outlook.losses.iter().map(|loss| loss.text.as_str()).collect();
            let refusal = Refusal::Because(format!("A reload would be destructive ({})", costs.join("; ")));
            self.refuse(&refusal);
            return Outlook { outcome: Outcome::Refused, refused: Some(refusal.for_clients()), ..outlook };
        }
        self.take(candidate, options).await;
        Outlook { outcome: Outcome::Applied, ..outlook }
    }

    /// What a reload would change. Asks the parts at once and waits for nobody.
    pub(super) fn plan(&self, file: Option<String>) -> impl Future<Output = Result<Answer, Failure>> + Send + use<> {
        let (options, running, scene) = (self.options_for(file), self.running(), self.scene());
        async move {
            let busy = |_| Failure::new("forwarding is too busy to tell what connections there are");
            let scene = tokio::time::timeout(LOOK_PATIENCE, scene).await.map_err(busy)?;
            let look = tokio::task::spawn_blocking(move || look(&running, &options, scene)).await;
            let outlook = look.map_err(|_| Failure::new("what the file changes cannot be told; see the log"))?;
            Ok(Answer::Plan(Box::new(outlook)))
        }
    }

    /// With the `reload_file` there while it lasts.
    fn read(&self, options: &Options) -> Loaded {
        let _marker = self.config.globals.reloads.marker.as_deref().and_then(Marker::set);
        read(options)
    }

    fn options_for(&self, file: Option<String>) -> Options {
        let given = file.map(PathBuf::from);
        Options { config_file: given.or_else(|| self.options.config_file.clone()), ..self.options.clone() }
    }

    fn running(&self) -> Running {
        Running {
            machine: self.machine.clone(),
            config: Arc::clone(&self.config),
            faults: self.faults.clone(),
            interfaces: self.routers.as_ref().map(VirtualRouters::interfaces),
        }
    }

    fn scene(&self) -> impl Future<Output = Scene> + Send + use<> {
        let vrrp = self.routers.as_ref().map(VirtualRouters::rehearsal);
        let farm = self.services.as_ref().map(Services::health).map(Health::rehearsal);
        let forwarder = self.services.as_ref().and_then(Services::forwarder);
        let (machine, config) = (self.machine.clone(), Arc::clone(&self.config));
        async move {
            let vrrp = match vrrp {
                Some(copy) => copy.await,
                None => None,
            };
            let farm = match farm {
                Some(copy) => copy.await,
                None => None,
            };
            let snapshot = match &forwarder {
                Some(forwarder) => forwarder.snapshot().await,
                None => None,
            };
            Scene { before: machine.prepare(Config::clone(&config)), vrrp, farm, snapshot }
        }
    }

    async fn take(&mut self, candidate: Candidate, options: &Options) {
        let Candidate { prepared, faults } = candidate;
        prepared.log();
        self.faults = faults;
        self.file = options.config_path();
        self.notifier.reconfigure(&prepared.config, prepared.book.clone(), &self.machine.host);
        self.reloads.applied += 1;
        match self.apply(prepared) {
            Ok(()) => {
                info!("Reload complete");
                let is_own = self.file == self.options.config_path();
                self.note_daemon(if is_own {
                    "reloaded".to_owned()
                } else {
                    format!("reloaded from {}", self.file.display())
                });
            }
            Err(_) => error!("A part of the configuration could not be started, see above"),
        }
        if self.config.globals.fifo_states_on_reload {
            self.record_states().await;
        }
    }

    fn refuse_unforeseen(&mut self, reason: &str, options: &Options, loaded: &Loaded) -> Outlook {
        let refusal = Refusal::Because(reason.to_owned());
        self.refuse(&refusal);
        refused(&refusal, options, loaded)
    }

    fn refuse(&mut self, refusal: &Refusal) {
        self.reloads.refused += 1;
        error!("{refusal}; what runs goes on unchanged");
        self.note_daemon(match refusal {
            Refusal::Faults => "reload refused: the file has faults, see the log".to_owned(),
            Refusal::Because(reason) => format!("reload refused: {reason}"),
        });
    }

    /// `fifo_write_vrrp_states_on_reload`: a reader that has started anew with the configuration learns where everything stands.
    async fn record_states(&mut self) {
        let Some(routers) = &self.routers else { return };
        let views = routers.views().await;
        for router in &views.routers {
            if let Some(state) = events::told(router.state) {
                self.notifier.record_instance(&router.name, state, router.effective_priority);
            }
        }
        for group in &views.groups {
            if let Some(state) = events::told(group.state) {
                self.notifier.record_group(&group.name, state);
            }
        }
    }
}

fn begin() {
    info!("Reloading ...");
    ready::tell("RELOADING=1");
    crate::logging::reopen();
}

fn read(options: &Options) -> Loaded {
    info!("Configuration file {}", options.config_path().display());
    let loaded = configuration::read(options, Namespace::Inside);
    configuration::log(&loaded);
    loaded
}

fn path_of(options: &Options) -> String {
    options.config_path().display().to_string()
}

fn foresee(scene: Scene, candidate: &Candidate) -> Outlook {
    plan::outlook(scene, &candidate.prepared, Instant::now())
}

fn look(running: &Running, options: &Options, scene: Scene) -> Outlook {
    let mut loaded = configuration::read(options, Namespace::Inside);
    match running.judge(options, &mut loaded) {
        Err(refusal) => refused(&refusal, options, &loaded),
        Ok(candidate) => {
            let findings = plan::findings(&loaded, Some(&candidate.prepared));
            Outlook { configuration: path_of(options), findings, ..foresee(scene, &candidate) }
        }
    }
}

fn refused(refusal: &Refusal, options: &Options, loaded: &Loaded) -> Outlook {
    Outlook {
        configuration: path_of(options),
        outcome: Outcome::Refused,
        refused: Some(refusal.for_clients()),
        findings: plan::findings(loaded, None),
        ..Outlook::default()
    }
}
