//! Who forwards: the engine in this daemon, or the kernel's IPVS. Both are told by the same verbs and show themselves alike.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use standfast_ipvs::{ConnReuse, Defence, Settings, Timeouts};
use standfast_parser::model::{Config, FlushOnStop, LvsBackend, LvsSysctl, LvsTimeouts};
use tracing::{error, info, warn};

use crate::daemonize::in_network_namespace;
use crate::dataplane::{self, Command, Dataplane, Snapshot};
use crate::health::{Plan, Table, TableChange};
use crate::kernel_ipvs::{self, Census};

/// A line to whoever forwards. Clones lead to the same one.
#[derive(Debug, Clone)]
pub enum Forwarder {
    /// The engine in this daemon.
    Embedded(dataplane::Handle),
    /// The kernel's IPVS.
    Kernel(kernel_ipvs::Handle),
}

/// What a forwarder is asked to be at its start.
#[derive(Debug, Clone)]
pub struct Choice {
    /// `lvs_backend`, or what the command line says.
    pub backend: LvsBackend,
    /// `lvs_flush`.
    pub flush: bool,
    /// Of the embedded engine.
    pub engine: dataplane::Options,
    /// `net_namespace_ipvs`: where it forwards; the daemon's own namespace without a name.
    pub namespace: Option<String>,
}

impl Choice {
    /// What a configuration asks for; the command line may name another backend.
    #[must_use]
    pub fn of(config: &Config, told: Option<LvsBackend>) -> Choice {
        let globals = &config.globals;
        Choice {
            backend: told.unwrap_or(globals.lvs_backend),
            flush: globals.lvs_flush,
            engine: dataplane::Options {
                busy_poll: globals.lvs_busy_poll,
                offload: globals.lvs_offload,
                ..dataplane::Options::default()
            },
            namespace: globals.net_namespace_ipvs.clone(),
        }
    }
}

/// Runs `task` where the services are: in the namespace of `net_namespace_ipvs`, or here.
///
/// # Errors
/// When there is no such namespace, or no right to enter it.
pub fn beside_services<T: Send>(namespace: Option<&str>, task: impl FnOnce() -> T + Send) -> io::Result<T> {
    match namespace {
        None => Ok(task()),
        Some(name) => in_network_namespace(name, task),
    }
}

impl Forwarder {
    /// Starts it in the namespace of the choice, or that of the calling thread; `None` where it cannot be, which is logged.
    #[must_use]
    pub fn start(choice: &Choice) -> Option<Forwarder> {
        let namespace = choice.namespace.as_deref();
        beside_services(namespace, || Self::start_here(choice)).unwrap_or_else(|problem| {
            let name = namespace.unwrap_or_default();
            error!(target: "healthcheck", "Nothing will be forwarded: the namespace '{name}' of net_namespace_ipvs: {problem}");
            None
        })
    }

    fn start_here(choice: &Choice) -> Option<Forwarder> {
        match choice.backend {
            LvsBackend::Embedded => embedded(choice.engine),
            LvsBackend::Kernel => match kernel(choice.flush) {
                Ok(forwarder) => Some(forwarder),
                Err(problem) => {
                    error!(target: "healthcheck", "Nothing will be forwarded: {problem}; lvs_backend embedded needs none");
                    None
                }
            },
            LvsBackend::Auto => match kernel(choice.flush) {
                Ok(forwarder) => Some(forwarder),
                Err(problem) => {
                    info!(target: "healthcheck", "Forwarding by the embedded engine: {problem}");
                    embedded(choice.engine)
                }
            },
        }
    }

    /// The word of `lvs_backend` for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Forwarder::Embedded(_) => LvsBackend::Embedded.word(),
            Forwarder::Kernel(_) => LvsBackend::Kernel.word(),
        }
    }

    /// The embedded engine, if that forwards.
    #[must_use]
    pub fn embedded(&self) -> Option<&dataplane::Handle> {
        match self {
            Forwarder::Embedded(engine) => Some(engine),
            Forwarder::Kernel(_) => None,
        }
    }

    /// The pools' table.
    #[must_use]
    pub fn table(&self) -> Box<dyn Table> {
        match self {
            Forwarder::Embedded(engine) => Box::new(Engine(engine.clone())),
            Forwarder::Kernel(kernel) => Box::new(Kernel(kernel.clone())),
        }
    }

    /// Takes over what a plan says beyond changes of the table; before they come.
    pub fn learn(&self, plan: &Plan) {
        let Forwarder::Kernel(kernel) = self else { return };
        kernel.learn(Census::of(plan));
        if plan.watches_traffic() {
            warn!(target: "healthcheck", "passive_health has no effect over the kernel's IPVS, which does not count failures");
        }
    }

    /// Sets the time-outs that the file has.
    pub fn set_timeouts(&self, timeouts: LvsTimeouts) {
        match self {
            Forwarder::Embedded(engine) => carry_out(engine, vec![Command::SetTimeouts(timeouts_of(timeouts))]),
            Forwarder::Kernel(kernel) => kernel.set_timeouts(timeouts),
        }
    }

    /// What the host's own stack must not answer stays so after a kill, until another director has taken over. The kernel's IPVS goes
    /// on by itself then.
    pub fn outlive(&self, config: &Config) {
        if let Forwarder::Embedded(engine) = self {
            engine.outlive(longest_takeover(config));
        }
    }

    /// Sets what the file says by the names of `net.ipv4.vs`, and the rest to the kernel's defaults.
    pub fn set_sysctls(&self, sysctls: &BTreeMap<LvsSysctl, u32>) {
        match self {
            Forwarder::Embedded(engine) => carry_out(engine, vec![Command::SetSettings(settings_of(sysctls))]),
            Forwarder::Kernel(_) if sysctls.is_empty() => {}
            Forwarder::Kernel(_) => warn!(
                target: "healthcheck",
                "lvs_sysctl has no effect over the kernel's IPVS: set net.ipv4.vs by sysctl"
            ),
        }
    }

    /// Services, servers and counters; `None` when it has ended or cannot be read.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        match self {
            Forwarder::Embedded(engine) => engine.snapshot().await.ok(),
            Forwarder::Kernel(kernel) => kernel.snapshot().await.ok()?.ok(),
        }
    }

    /// Whether it is at work.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        match self {
            Forwarder::Embedded(engine) => engine.is_alive(),
            Forwarder::Kernel(kernel) => kernel.is_alive(),
        }
    }

    /// Leaves the kernel's table as it is from here on; the table of the embedded engine ends with it in any case.
    pub fn let_go(&self) {
        if let Forwarder::Kernel(kernel) = self {
            kernel.let_go();
        }
    }

    /// Ends it; waits for it.
    pub fn stop(&self, flush: FlushOnStop) {
        match self {
            Forwarder::Embedded(engine) => engine.stop(),
            Forwarder::Kernel(kernel) => kernel.stop(flush == FlushOnStop::All),
        }
    }
}

fn embedded(options: dataplane::Options) -> Option<Forwarder> {
    let started = Dataplane::start(options);
    started
        .inspect_err(|problem| error!(target: "healthcheck", "Nothing will be forwarded: {problem}"))
        .ok()
        .map(Forwarder::Embedded)
}

fn kernel(flush: bool) -> Result<Forwarder, kernel_ipvs::Error> {
    let handle = kernel_ipvs::Handle::start(flush)?;
    info!(target: "healthcheck", "Forwarding by the kernel's IPVS");
    Ok(Forwarder::Kernel(handle))
}

/// How long it takes until another director has taken over everything, with its announcements; zero where none will. The master down
/// interval is three adverts and a skew of less than one, or of less than a second in version 2 (RFC 9568 section 6.1).
fn longest_takeover(config: &Config) -> Duration {
    const ANNOUNCING: Duration = Duration::from_millis(1500);
    const LONGEST: Duration = Duration::from_secs(60);
    let takeover = |adverts: Duration| adverts * 3 + adverts.max(Duration::from_secs(1)) + ANNOUNCING;
    let longest = config.instances.iter().map(|instance| takeover(instance.advert_int)).max();
    longest.unwrap_or_default().min(LONGEST)
}

/// The engine's time-outs for `lvs_timeouts`.
pub(crate) fn timeouts_of(configured: LvsTimeouts) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        tcp: configured.tcp.unwrap_or(default.tcp),
        tcp_fin: configured.tcpfin.unwrap_or(default.tcp_fin),
        udp: configured.udp.unwrap_or(default.udp),
    }
}

/// The engine's settings for `lvs_sysctl`.
pub(crate) fn settings_of(sysctls: &BTreeMap<LvsSysctl, u32>) -> Settings {
    let mut settings = Settings::default();
    for (sysctl, value) in sysctls {
        let on = *value != 0;
        let defence = u8::try_from(*value).ok().and_then(Defence::of_number).unwrap_or_default();
        match sysctl {
            LvsSysctl::ExpireNodestConn => settings.expire_nodest_conn = on,
            LvsSysctl::ExpireQuiescentTemplate => settings.expire_quiescent_template = on,
            LvsSysctl::ConnReuseMode => settings.conn_reuse_mode = ConnReuse::of_number(*value),
            LvsSysctl::SloppyTcp => settings.sloppy_tcp = on,
            LvsSysctl::DropEntry => settings.drop_entry = defence,
            LvsSysctl::DropPacket => settings.drop_packet = defence,
            LvsSysctl::SecureTcp => settings.secure_tcp = defence,
            LvsSysctl::Amemthresh => settings.amemthresh = *value,
            LvsSysctl::AmDroprate => settings.am_droprate = *value,
        }
    }
    settings
}

/// The embedded engine as the pools' table.
struct Engine(dataplane::Handle);

impl Table for Engine {
    fn apply(&self, changes: Vec<TableChange>) {
        carry_out(&self.0, changes.into_iter().map(command_of).collect());
    }
}

/// The kernel's IPVS as the pools' table.
struct Kernel(kernel_ipvs::Handle);

impl Table for Kernel {
    fn apply(&self, changes: Vec<TableChange>) {
        self.0.apply(changes);
    }
}

fn command_of(change: TableChange) -> Command {
    match change {
        TableChange::AddService(service) => Command::PutService(service),
        TableChange::EditService(service) => Command::EditService(service),
        TableChange::RemoveService(service) => Command::RemoveService(service),
        TableChange::AddDestination(service, server) => Command::PutDestination(service, server),
        TableChange::EditDestination(service, server) => Command::EditDestination(service, server),
        TableChange::RemoveDestination(service, server) => {
            Command::RemoveDestination { service, address: server.ip(), port: server.port() }
        }
    }
}

/// Gives orders and logs the refusals when they come, without waiting for them.
fn carry_out(engine: &dataplane::Handle, commands: Vec<Command>) {
    let answers = engine.apply(commands.clone());
    tokio::spawn(async move {
        // A sender that vanished is a data plane that was stopped.
        let answers = answers.await.unwrap_or_default();
        for (command, answer) in commands.iter().zip(answers) {
            if let Err(problem) = answer {
                error!(target: "healthcheck", "The forwarding table refuses {command:?}: {problem}");
            }
        }
    });
}
