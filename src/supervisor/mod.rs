//! The life of the daemon: starts the parts, passes on what one has to say to another, reloads, stops.
//!
//! One task runs it. It waits for signals and events only; scripts, mails and checks are tasks of their own, VRRP and the data
//! plane threads of their own.

mod addresses;
mod appointment;
mod calls;
mod chronicle;
mod dumps;
mod events;
mod life_scripts;
mod marker;
mod operate;
mod ready;
mod reload;
mod services;
mod sessions;
mod sync;
mod traffic;
mod virtual_routers;
mod web;

use crate::cli::Options;
use crate::config::Loaded;
use crate::configuration;
use crate::forwarder::Choice;
use crate::health::{HealthEvent, Plan};
use crate::machine::{Machine, Prepared};
use crate::notify::Notifier;
use crate::pidfile::PidFile;
use crate::run::Exit;
use crate::signals::{Request, Signals};
use crate::status::{Journal, Reloads};
use crate::track::Trackers;
use crate::translate;
use crate::vrrp::{VrrpEvent, VrrpSetup};
use appointment::Appointment;
use calls::Calls;
use events::Translator;
use futures::FutureExt as _;
use services::{Leaves, Services};
use sessions::Sessions;
use standfast_parser::model::Config;
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Interval;
use tracing::{error, info, warn};
use virtual_routers::VirtualRouters;

/// Limits of the steps of a stop.
const VRRP_PATIENCE: Duration = Duration::from_secs(3);
const BFD_PATIENCE: Duration = Duration::from_secs(1);
const HEALTH_PATIENCE: Duration = Duration::from_secs(2);
/// Scripts and mails get this part of `child_wait_time`; the rest of the stop takes the others.
const NOTIFY_SHARE: u32 = 2;
/// Tasks that are still blocked in the system when everything else is done.
const RUNTIME_PATIENCE: Duration = Duration::from_millis(100);
/// Pause after a fault of the supervisor itself, so that one that repeats does not burn the processor.
const FAULT_PAUSE: Duration = Duration::from_millis(100);
/// Pause between two attempts to start VRRP where the system refuses what it needs.
const RESTART_PAUSE: Duration = Duration::from_secs(5);
/// Pace of looking whether every part is alive.
const LIVENESS: Duration = Duration::from_secs(1);

/// The locked pid files, removed when the daemon ends.
#[derive(Debug)]
pub struct PidFiles {
    /// Of the daemon.
    pub main: PidFile,
    /// Of VRRP, if it may run.
    pub vrrp: Option<PidFile>,
    /// Of health checking, if it may run.
    pub checkers: Option<PidFile>,
    /// Where the control socket is to be.
    pub control: PathBuf,
    /// Where the virtual addresses are remembered, so that a restart after a crash removes them.
    pub memory: PathBuf,
}

/// Runs the daemon until it is told to stop. Makes threads: nothing may fork afterwards.
pub fn run(options: &Options, loaded: Loaded, pid_files: PidFiles) -> Exit {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("worker").enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            error!("Cannot start worker threads: {error}");
            return Exit::Failure;
        }
    };
    let exit = runtime.block_on(live(options, loaded, pid_files));
    runtime.shutdown_timeout(RUNTIME_PATIENCE);
    exit
}

async fn live(options: &Options, loaded: Loaded, mut pid_files: PidFiles) -> Exit {
    // First of all, so that no signal of an impatient service manager ends a half-started daemon.
    let signals = match Signals::register(options.ignore_sigint) {
        Ok(signals) => signals,
        Err(error) => {
            error!("Cannot handle signals: {error}");
            return Exit::Failure;
        }
    };
    for file in [Some(&mut pid_files.main), pid_files.vrrp.as_mut(), pid_files.checkers.as_mut()].into_iter().flatten()
    {
        if let Err(error) = file.write() {
            warn!("{error}");
        }
    }
    if let Some(name) = loaded.config.globals.process_name.as_deref() {
        crate::daemonize::set_process_name(name);
    }
    life_scripts::start(&loaded.config.globals).await;
    match Supervisor::start(options, loaded, pid_files) {
        Ok(supervisor) => supervisor.live(signals).await,
        Err(exit) => exit,
    }
}

/// The parts that run, and what they have to say.
struct Supervisor<'a> {
    options: &'a Options,
    machine: Machine,
    config: Arc<Config>,
    /// Faults of form that the running configuration has, and that a reload may have, too.
    faults: BTreeSet<&'static str>,
    notifier: Notifier,
    translator: Translator,
    sessions: Sessions,
    routers: Option<VirtualRouters>,
    services: Option<Services>,
    sync: sync::Sync,
    calls: Calls,
    appointment: Appointment,
    journal: Journal,
    started: SystemTime,
    configured: SystemTime,
    /// The file that it was read from.
    file: PathBuf,
    reloads: Reloads,
    web: web::Web,
    inbox: Inbox,
    outbox: Outbox,
    pid_files: PidFiles,
    /// When VRRP may be started again, if it does not run.
    restart_at: Instant,
}

/// Where events of the parts go; kept to be handed to parts that start later.
#[derive(Clone)]
struct Outbox {
    vrrp: UnboundedSender<VrrpEvent>,
    health: UnboundedSender<HealthEvent>,
    trackers: UnboundedSender<(TrackerName, TrackerStatus)>,
    /// BFD sessions by name, and whether they are up.
    sessions: UnboundedSender<(String, bool)>,
}

struct Inbox {
    vrrp: UnboundedReceiver<VrrpEvent>,
    health: UnboundedReceiver<HealthEvent>,
    trackers: UnboundedReceiver<(TrackerName, TrackerStatus)>,
    sessions: UnboundedReceiver<(String, bool)>,
}

fn mailboxes() -> (Outbox, Inbox) {
    let (vrrp, vrrp_events) = unbounded_channel();
    let (health, health_events) = unbounded_channel();
    let (trackers, tracker_events) = unbounded_channel();
    let (sessions, session_events) = unbounded_channel();
    let outbox = Outbox { vrrp, health, trackers, sessions };
    let inbox = Inbox { vrrp: vrrp_events, health: health_events, trackers: tracker_events, sessions: session_events };
    (outbox, inbox)
}

/// What the loop goes on with.
enum Next {
    Live,
    Stop(Exit),
}

impl<'a> Supervisor<'a> {
    fn start(options: &'a Options, loaded: Loaded, pid_files: PidFiles) -> Result<Self, Exit> {
        let machine = Machine::new(options);
        let faults = configuration::faults_of_form(&loaded);
        let prepared = machine.prepare(loaded.config);
        prepared.log();
        if prepared.is_idle() {
            warn!("Warning - keepalived has no configuration to run");
        }
        let notifier = Notifier::new(&prepared.config, prepared.book.clone(), &machine.host);
        let (outbox, inbox) = mailboxes();
        let mut supervisor = Self {
            options,
            machine,
            faults,
            config: Arc::default(),
            notifier,
            translator: Translator::default(),
            sessions: Sessions::default(),
            routers: None,
            services: None,
            sync: sync::Sync::default(),
            calls: Calls::listen(&pid_files.control),
            appointment: Appointment::default(),
            journal: Journal::default(),
            started: SystemTime::now(),
            configured: SystemTime::now(),
            file: options.config_path(),
            reloads: Reloads::default(),
            web: web::Web::default(),
            inbox,
            outbox,
            pid_files,
            restart_at: Instant::now(),
        };
        supervisor.apply(prepared)?;
        supervisor.note_daemon(format!("{} started", crate::cli::VERSION));
        info!("Startup complete");
        crate::logging::started();
        ready::tell("READY=1");
        Ok(supervisor)
    }

    async fn live(mut self, mut signals: Signals) -> Exit {
        if self.options.dump_config {
            self.log_configuration().await;
        }
        let mut look = tokio::time::interval(LIVENESS);
        loop {
            // A fault in one turn must not take the addresses away; the hook of the log has told of it.
            match AssertUnwindSafe(self.turn(&mut signals, &mut look)).catch_unwind().await {
                Ok(Next::Live) => {}
                Ok(Next::Stop(exit)) => {
                    self.stop().await;
                    return exit;
                }
                Err(_) => tokio::time::sleep(FAULT_PAUSE).await,
            }
        }
    }

    async fn turn(&mut self, signals: &mut Signals, look: &mut Interval) -> Next {
        tokio::select! {
            biased;
            request = signals.next() => self.obey(request).await,
            Some(event) = self.inbox.vrrp.recv() => self.vrrp_event(&event),
            Some((session, up)) = self.inbox.sessions.recv() => self.session_event(&session, up),
            Some((tracker, status)) = self.inbox.trackers.recv() => self.tracker_event(tracker, status),
            Some(event) = self.inbox.health.recv() => self.health_event(event),
            call = self.calls.next() => self.answer(call).await,
            question = self.web.next() => self.tell_web(question),
            () = self.appointment.comes() => {
                self.reload().await;
                Next::Live
            }
            _ = look.tick() => self.look().await,
        }
    }

    async fn obey(&mut self, request: Request) -> Next {
        match request {
            Request::Stop => return Next::Stop(Exit::Ok),
            Request::Reload => self.reload().await,
            Request::DumpData => self.dump_data().await,
            Request::DumpStats => self.dump_stats().await,
            Request::ClearStats => {
                self.dump_stats().await;
                self.routers.iter().for_each(VirtualRouters::clear_statistics);
            }
            Request::DumpJson => self.dump_json().await,
        }
        Next::Live
    }

    /// Brings the parts in line with a configuration: starts what is needed for the first time, else passes it on.
    fn apply(&mut self, prepared: Prepared) -> Result<(), Exit> {
        self.machine.adopt(&prepared);
        let Prepared { config, setup, trackers, plan, sessions, .. } = prepared;
        self.config = Arc::new(config);
        self.appointment.configure(&self.config.globals.reloads);
        self.configured = SystemTime::now();
        self.sessions.apply(sessions, translate::vrrp::bfd_scheduling(&self.config.globals), &self.outbox);
        match &mut self.routers {
            Some(routers) => routers.reconfigure(setup, trackers),
            None if setup.routers.is_empty() => {}
            None => self.routers = Some(self.start_routers(setup, trackers)?),
        }
        match &mut self.services {
            Some(services) => services.load(plan, &self.config, self.options.backend),
            None if plan.services.is_empty() => {}
            None => self.start_services(plan, Choice::of(&self.config, self.options.backend)),
        }
        self.load_sync();
        self.load_web();
        Ok(())
    }

    fn start_routers(&self, mut setup: VrrpSetup, trackers: Trackers) -> Result<VirtualRouters, Exit> {
        setup.verdicts = self.sessions.verdicts(&self.config);
        VirtualRouters::start(setup, trackers, &self.pid_files.memory, &self.outbox)
    }

    fn start_services(&mut self, plan: Plan, choice: Choice) {
        let services = Services::start(plan, &self.config, choice, &self.outbox);
        for (session, up) in self.sessions.of_checkers(&self.config) {
            services.health().set_bfd(&session, up);
        }
        self.services = Some(services);
    }

    /// VRRP hears of a session first.
    fn session_event(&mut self, name: &str, up: bool) -> Next {
        self.sessions.take(name, up);
        self.note_session(name, up);
        let Some(session) = self.config.bfd_instances.iter().find(|session| session.name == name) else {
            return Next::Live;
        };
        if let Some(routers) = self.routers.as_ref().filter(|_| session.vrrp) {
            let (tracker, status) = sessions::verdict(name, up);
            routers.tracker_changed(tracker, status);
        }
        if let Some(services) = self.services.as_ref().filter(|_| session.checker) {
            services.health().set_bfd(name, up);
        }
        Next::Live
    }

    fn vrrp_event(&mut self, event: &VrrpEvent) -> Next {
        self.note_vrrp(event);
        if let Some(event) = self.translator.vrrp(event) {
            self.notifier.handle(&event);
        }
        self.sync_event(event);
        // The thread restarts itself after a panic; that it ended means that the system refuses something that it needs.
        let ended = matches!(event, VrrpEvent::Ended { error: Some(_) });
        if ended {
            self.routers = None;
        }
        self.unless_no_respawn(ended || matches!(event, VrrpEvent::Restarted { .. }))
    }

    fn unless_no_respawn(&self, died: bool) -> Next {
        if died && self.options.dont_respawn {
            error!("A part of the daemon died and --dont-respawn is set - stopping");
            return Next::Stop(Exit::Failure);
        }
        Next::Live
    }

    fn tracker_event(&mut self, tracker: TrackerName, status: TrackerStatus) -> Next {
        self.note_tracker(&tracker, status);
        if let Some(routers) = &self.routers {
            routers.tracker_changed(tracker, status);
        }
        Next::Live
    }

    fn health_event(&mut self, event: HealthEvent) -> Next {
        self.note_health(&event);
        if let HealthEvent::Told(event) = event {
            self.notifier.handle(&event);
        }
        Next::Live
    }

    /// Restarts what has died without a word.
    async fn look(&mut self) -> Next {
        if ready::is_watched() {
            ready::tell_life(self.routers.as_ref().map(VirtualRouters::answers));
        }
        self.watch_transfer();
        self.retry_sync();
        let mut died = self.routers.as_mut().is_some_and(VirtualRouters::revive_trackers)
            | self.services.as_mut().is_some_and(Services::revive_trackers);
        if self.routers.is_none() && !self.config.instances.is_empty() && self.restart_at <= Instant::now() {
            died = true;
            self.restart_at = Instant::now() + RESTART_PAUSE;
            let setup = self.machine.prepare(Config::clone(&self.config));
            self.routers = self.start_routers(setup.setup, setup.trackers).ok();
        }
        if self.services.as_ref().is_some_and(|services| !services.are_alive()) {
            died = true;
            error!("Health checking or forwarding has died - restarting both; connections are lost");
            self.note_daemon("health checking or forwarding died and is started again; connections are lost");
            if let Some(services) = self.services.take() {
                services.stop(HEALTH_PATIENCE, Leaves::Everything).await;
            }
            let plan = self.machine.prepare(Config::clone(&self.config)).plan;
            self.start_services(plan, Choice { flush: false, ..Choice::of(&self.config, self.options.backend) });
            self.attach_sync();
        }
        self.unless_no_respawn(died)
    }

    /// VRRP first, so that the other router takes over while the rest is cleared away.
    async fn stop(mut self) {
        info!("Stopping");
        ready::tell("STOPPING=1");
        self.notifier.leave();
        if let Some(routers) = self.routers.take()
            && !routers.stop(VRRP_PATIENCE).await
        {
            warn!("VRRP did not stop in time - virtual addresses may be left");
        }
        while let Ok(event) = self.inbox.vrrp.try_recv() {
            self.vrrp_event(&event);
        }
        if !std::mem::take(&mut self.sessions).stop(BFD_PATIENCE).await {
            warn!("BFD did not stop in time");
        }
        self.sync.stop_all();
        let leaves = match self.options.keep_services {
            true => Leaves::Everything,
            false => Leaves::Nothing(self.config.globals.lvs_flush_on_stop),
        };
        if let Some(services) = self.services.take() {
            services.stop(HEALTH_PATIENCE, leaves).await;
        }
        while let Ok(event) = self.inbox.health.try_recv() {
            self.health_event(event);
        }
        self.notifier.finish(self.config.globals.child_wait_time / NOTIFY_SHARE).await;
        life_scripts::stop(&self.config.globals).await;
    }
}
