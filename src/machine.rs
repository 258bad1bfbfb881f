//! What a configuration means on this machine: its name, its interfaces, its users and scripts.

use crate::bfd;
use crate::cli::Options;
use crate::health::{Ids, Plan};
use crate::netlink::LOOPBACK;
use crate::notify::Book;
use crate::notify::command::ScriptPolicy;
use crate::track::{self, Trackers};
use crate::translate;
use crate::vrrp::VrrpSetup;
use nix::net::if_::if_nametoindex;
use nix::time::{ClockId, clock_gettime};
use standfast_parser::model::{Config, VrrpInstance};
use standfast_parser::{Diagnostic, InterfaceMention, Need, Severity, Weight};
use standfast_vrrp::bfd::SessionConfig;
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::warn;

/// How long the system has been running; nothing where it does not say.
fn since_boot() -> Duration {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::ZERO, Duration::from)
}

/// The full name of the host, or `localhost` where it has none.
#[must_use]
pub fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// The name of the host up to its first dot.
#[must_use]
pub fn short_host_name() -> String {
    let name = host_name();
    name.split_once('.').map_or(name.clone(), |(short, _)| short.to_owned())
}

/// What there is to say about interfaces that are named and do not exist here. Without `dynamic_interfaces`, keepalived does not
/// start with an instance on such an interface.
#[must_use]
pub fn check_interfaces(mentions: &[InterfaceMention], config: &Config) -> Vec<Diagnostic> {
    let own: BTreeSet<&str> = config.instances.iter().filter_map(own_interface).collect();
    let foreign = mentions.iter().filter(|mention| !own.contains(mention.name.as_str()));
    let dynamic = config.globals.dynamic_interfaces;
    let judge = |mention: &InterfaceMention| match if_nametoindex(mention.name.as_str()) {
        Err(_) => missing_interface(mention, dynamic),
        Ok(LOOPBACK) if mention.need == Need::Start => Some(loopback(mention)),
        Ok(_) => None,
    };
    foreign.filter_map(judge).collect()
}

/// Nobody else hears adverts there; keepalived does not start either.
fn loopback(mention: &InterfaceMention) -> Diagnostic {
    let text = format!("{} cannot use the loopback interface {}", mention.role, mention.name);
    let help = "name the interface of the network on which the other router is";
    let found = Diagnostic::new(Severity::Fatal, Weight::Counts, "loopback-interface", text);
    Diagnostic { help: Some(help.to_owned()), span: Some(mention.span), ..found }
}

/// The interface that an instance makes.
fn own_interface(instance: &VrrpInstance) -> Option<&str> {
    let vmac = instance.vmac.as_ref().and_then(|vmac| vmac.name.as_deref());
    vmac.or_else(|| instance.ipvlan.as_ref()?.name.as_deref())
}

fn missing_interface(mention: &InterfaceMention, dynamic: bool) -> Option<Diagnostic> {
    let text = format!("interface {} for {} doesn't exist", mention.name, mention.role);
    let found = match mention.need {
        Need::Start if dynamic => {
            finding(Severity::Note, Weight::Silent, format!("{text}; it will be used when it comes"))
        }
        _ if dynamic => return None,
        Need::Start => {
            let help = "create it first, or say `dynamic_interfaces` in global_defs";
            Diagnostic { help: Some(help.to_owned()), ..finding(Severity::Fatal, Weight::Counts, text) }
        }
        Need::Line => finding(Severity::Error, Weight::Counts, text),
        Need::Fatal => finding(Severity::Error, Weight::Lesser, text),
    };
    Some(Diagnostic { span: Some(mention.span), ..found })
}

fn finding(severity: Severity, weight: Weight, message: String) -> Diagnostic {
    Diagnostic::new(severity, weight, "missing-interface", message)
}

/// A configuration turned into what each part is told.
#[derive(Debug)]
pub struct Prepared {
    /// The configuration without track scripts that may not run.
    pub config: Config,
    /// Who is told by which script.
    pub book: Book,
    /// What is watched.
    pub trackers: Trackers,
    /// BFD sessions; none when BFD does not run.
    pub sessions: Vec<SessionConfig>,
    /// For VRRP; empty when it does not run.
    pub setup: VrrpSetup,
    /// For health checking and forwarding; empty when it does not run.
    pub plan: Plan,
    /// What there is to say about scripts, in keepalived's words.
    pub notes: Vec<String>,
    /// Whether root runs scripts that are not secured.
    pub security_violated: bool,
    ids: Ids,
}

impl Prepared {
    /// Whether there is nothing to do at all.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.setup.routers.is_empty() && self.plan.services.is_empty() && self.sessions.is_empty()
    }

    /// Logs what was found about scripts; the pools log their warnings themselves.
    pub fn log(&self) {
        self.notes.iter().for_each(|note| warn!("{note}"));
    }
}

/// Turns configurations of this machine into orders for the parts.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Full name of the host.
    pub host: String,
    ids: Ids,
    vrrp: bool,
    checkers: bool,
    bfd: bool,
    keep_addresses: bool,
}

impl Machine {
    /// For a daemon with these options.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            host: host_name(),
            ids: Ids::default(),
            vrrp: options.subsystems.vrrp,
            checkers: options.subsystems.checkers,
            bfd: options.subsystems.bfd,
            keep_addresses: options.keep_addresses,
        }
    }

    /// Prepares a configuration and changes nothing. Parts that do not run on this command line get nothing to do.
    pub fn prepare(&self, mut config: Config) -> Prepared {
        if !self.vrrp {
            config.instances.clear();
            config.sync_groups.clear();
            config.scripts.clear();
        }
        if !self.checkers {
            config.virtual_servers.clear();
        }
        if !self.bfd {
            config.bfd_instances.clear();
        }
        let mut policy = ScriptPolicy::new(&config.globals);
        let (scripts, disabled) = track::prepare(&mut config, &mut policy);
        let trackers = Trackers {
            scripts,
            files: track::file::prepare(&config),
            processes: track::process::prepare(&config),
            process_events: config.globals.receive_buffers.process_monitor,
        };
        let book = Book::new(&config, &mut policy);
        let mut ids = self.ids.clone();
        let plan = Plan::new(&config, &mut ids, &mut |script| policy.prepare_optional(Some(script)));
        let setup = self.vrrp_setup(&config);
        let security_violated = policy.violated();
        let mut notes = policy.into_notes();
        notes.extend(disabled);
        let plan = plan.with_identity(translate::tls::identity(config.client_tls.as_ref(), &mut notes).as_ref());
        let sessions = bfd::sessions(&config);
        Prepared { config, book, trackers, sessions, setup, plan, notes, security_violated, ids }
    }

    /// Remembers the identities of a configuration that is about to run.
    pub fn adopt(&mut self, prepared: &Prepared) {
        self.ids = prepared.ids.clone();
    }

    fn vrrp_setup(&self, config: &Config) -> VrrpSetup {
        let scripts = config.scripts.iter().map(|script| script.name.clone()).collect();
        let setup = translate::vrrp::setup(config, &scripts);
        let after_boot = config.globals.vrrp_delay_after_boot.saturating_sub(since_boot());
        let startup_delay = setup.startup_delay.max(after_boot);
        VrrpSetup { keep_addresses: self.keep_addresses, startup_delay, ..setup }
    }
}
