//! The sync daemons: connections told to another director over UDP multicast, as by the kernel's IPVS.
//!
//! ```text
//!   data plane's worker ──buffers of records──> sender thread ──datagrams──> group
//!   data plane's worker <─────datagrams─────── receiver thread <─────────── group
//! ```
//!
//! Each end is a thread of its own. Between them and the worker are queues of fixed length on which nobody waits: what
//! finds no room is counted, and told again with a later packet. The receiver checks a datagram whole and does no more
//! work than its share allows; what comes beyond that is left to the kernel to drop.

mod counters;
mod ears;
mod mailbox;
mod neighbourhood;
mod post;
mod receiver;
mod sender;
mod share;
mod socket;
mod stationery;

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use standfast_ipvs::sync::{Seal, SyncSettings, Version};

use crate::dataplane;
use crate::ipvsadm::{Daemon, DaemonSettings, Role};
pub(crate) use counters::AdoptedCounts;
pub use counters::{Counters, Tally};
use receiver::Receiver;
pub use receiver::Transfer;
use sender::Sender;

/// The group of IPVS's daemons.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 81);
/// Their port.
pub const PORT: u16 = 8848;
/// Most ports of one daemon.
pub const MOST_PORTS: u16 = 64;

/// What both ends agree on, and how the sending one tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What `ipvsadm --list --daemon` shows.
    pub daemon: Daemon,
    /// What is sent.
    pub version: Version,
    /// When it is sent.
    pub rules: SyncSettings,
    /// Directors of this kind are told at once.
    pub at_once: bool,
    /// Ports from the daemon's on, 1..=64 (`sync_ports`).
    pub ports: u16,
    /// Datagrams are signed with it, and only such are taken.
    pub key: Option<Key>,
}

/// A secret that both directors have.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// Of these octets.
    #[must_use]
    pub fn new(octets: Vec<u8>) -> Key {
        Key(octets)
    }

    fn seal(&self) -> Option<Seal> {
        Seal::new(&self.0)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// How the embedded engine's daemons work, beyond what ipvsadm can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tuning {
    /// What is sent.
    pub version: Version,
    /// When it is sent.
    pub rules: SyncSettings,
    /// Directors of this kind are told at once.
    pub at_once: bool,
    /// Ports from the daemon's on, 1..=64.
    pub ports: u16,
    /// Datagrams are signed with it, and only such are taken.
    pub key: Option<Key>,
}

impl Default for Tuning {
    /// IPVS's, and directors of this kind are told at once.
    fn default() -> Self {
        Tuning { version: Version::V1, rules: SyncSettings::default(), at_once: true, ports: 1, key: None }
    }
}

/// Why a daemon was not started or stopped, in ipvsadm's words.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It runs.
    #[error("Daemon has already run")]
    Running,
    /// It does not run.
    #[error("No daemon is running")]
    NotRunning,
    /// Its interface does not exist.
    #[error("No such device")]
    NoDevice,
    /// Its key cannot be had.
    #[error("the key of lvs_sync_key: {0}")]
    Key(String),
    /// There is no data plane to sync.
    #[error("the data plane is stopped")]
    NoDataplane,
    /// A socket or thread could not be had.
    #[error("the sync daemon cannot {doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Settings {
    /// The settings of a daemon of `role`, by IPVS's defaults where `asked` is silent.
    ///
    /// # Errors
    /// [`Error::NoDevice`] without an interface, or where it does not exist.
    pub fn new(role: Role, asked: &DaemonSettings, tuning: &Tuning) -> Result<Settings, Error> {
        let interface = asked.interface.clone().ok_or(Error::NoDevice)?;
        let group = asked.group.unwrap_or(IpAddr::V4(GROUP));
        let longest = socket::longest(&interface, group).map_err(Error::system("look at its interface"))?;
        let daemon = Daemon {
            role,
            interface,
            syncid: asked.syncid.unwrap_or(0),
            maxlen: asked.maxlen.unwrap_or(longest),
            group,
            port: asked.port.unwrap_or(PORT),
            ttl: asked.ttl.unwrap_or(1),
        };
        let Tuning { version, rules, at_once, ports, key } = tuning.clone();
        // Version 0 has no room for a signature.
        let version = if key.is_some() { Version::V1 } else { version };
        Ok(Settings { daemon, version, rules, at_once, ports, key })
    }
}

impl Error {
    pub(crate) fn system(doing: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| match source.raw_os_error() {
            Some(libc::ENODEV) => Error::NoDevice,
            _ => Error::System { doing, source },
        }
    }
}

/// The daemons that run, at most one of each role.
#[derive(Debug, Default)]
pub struct Daemons {
    sender: Option<(Settings, Sender)>,
    receiver: Option<(Settings, Receiver)>,
    counters: Arc<Counters>,
}

impl Daemons {
    /// Starts the daemon of the settings' role on a data plane, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Running`], [`Error::NoDevice`] or [`Error::System`].
    pub fn start(&mut self, settings: Settings, engine: &dataplane::Handle) -> Result<(), Error> {
        let counters = Arc::clone(&self.counters);
        match settings.daemon.role {
            Role::Master if self.sender.is_some() => Err(Error::Running),
            Role::Backup if self.receiver.is_some() => Err(Error::Running),
            Role::Master => {
                let sender = Sender::start(&settings, engine, counters)?;
                self.sender = Some((settings, sender));
                Ok(())
            }
            Role::Backup => {
                let receiver = Receiver::start(&settings, engine, counters)?;
                self.receiver = Some((settings, receiver));
                Ok(())
            }
        }
    }

    /// Stops the daemon of a role; what it has not sent yet is sent.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn stop(&mut self, role: Role) -> Result<(), Error> {
        let stopped = match role {
            Role::Master => self.sender.take().is_some(),
            Role::Backup => self.receiver.take().is_some(),
        };
        if stopped { Ok(()) } else { Err(Error::NotRunning) }
    }

    /// Starts the daemons that ran anew on another data plane.
    pub fn attach(&mut self, engine: &dataplane::Handle) {
        let settings = [self.sender.take().map(|(held, _)| held), self.receiver.take().map(|(held, _)| held)];
        for settings in settings.into_iter().flatten() {
            if let Err(error) = self.start(settings, engine) {
                tracing::error!(target: "healthcheck", "The sync daemon does not start again: {error}");
            }
        }
    }

    /// What runs, the sending one first.
    #[must_use]
    pub fn running(&self) -> Vec<Daemon> {
        let sender = self.sender.iter().map(|(settings, _)| settings);
        let receiver = self.receiver.iter().map(|(settings, _)| settings);
        sender.chain(receiver).map(|settings| settings.daemon.clone()).collect()
    }

    /// The settings with which the daemon of a role runs.
    #[must_use]
    pub fn settings(&self, role: Role) -> Option<&Settings> {
        match role {
            Role::Master => self.sender.as_ref().map(|(settings, _)| settings),
            Role::Backup => self.receiver.as_ref().map(|(settings, _)| settings),
        }
    }

    /// How far the connections are that the other director has, where a receiving daemon runs.
    #[must_use]
    pub fn transfer(&self) -> Option<Transfer> {
        self.receiver.as_ref().map(|(_, receiver)| receiver.transfer())
    }

    /// What all daemons so far have sent and received.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.counters.tally()
    }
}
