//! The few verbs of rtnetlink that the daemon needs, on a thread of their own.
//!
//! The thread "netlink" keeps a table of interfaces, sets and removes virtual addresses, and announces them with
//! gratuitous ARPs and unsolicited neighbour advertisements. Commands are carried out in the order in which they were
//! given; giving one never waits. What the kernel reports reaches subscribers as [`Event`]s.

mod address;
mod announce;
mod belongings;
mod conflict;
mod encap;
mod estate;
mod firewall;
mod frame;
mod interface;
mod kernel;
mod memory;
mod packet;
mod route;
mod rule;
mod sysctl;
mod vmac;
mod worker;

pub use address::AddressSpec;
pub use announce::{Pace, PaceGroup};
pub use belongings::Belongings;
pub use firewall::FirewallOptions;
pub use interface::{Interface, InterfaceAddress, Nature};
pub(crate) use kernel::LOOPBACK;
pub use packet::PacketSocket;
pub use route::RouteSpec;
pub use rule::RuleSpec;
pub use sysctl::Sysctl;
pub use vmac::{VmacKind, VmacSpec};

use crate::poller::Bell;
use crate::scheduling::Scheduling;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// What a subscriber is told; calls come from the netlink thread and must not wait.
#[derive(Debug, Clone)]
pub enum Event {
    /// Every interface. Comes first, and again after the kernel dropped messages.
    Snapshot(Vec<Arc<Interface>>),
    /// An interface appeared or changed.
    Changed(Arc<Interface>),
    /// An interface vanished or goes by another name.
    Removed(Arc<Interface>),
    /// Somebody else removed an address that a router had set.
    AddressLost {
        /// The router.
        owner: Arc<str>,
        /// Name of the interface.
        interface: String,
        /// The address.
        address: IpAddr,
    },
    /// Somebody else removed a route or a rule that a router had set.
    PolicyLost {
        /// The router.
        owner: Arc<str>,
        /// `route 10.0.0.0/8 via 10.1.0.1` or the like.
        what: Arc<str>,
    },
}

/// Receives events on the netlink thread.
pub type Subscriber = Box<dyn FnMut(Event) + Send>;

/// Settings of the thread.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// File that remembers virtual addresses across a crash; `None` remembers nothing.
    pub memory: Option<PathBuf>,
}

/// Before the thread begins again after a failure.
const RESTART_PAUSE: Duration = Duration::from_millis(10);

enum Command {
    Subscribe(Subscriber),
    Snapshot(SyncSender<Vec<Arc<Interface>>>),
    Recover(Vec<AddressSpec>),
    Remember(Vec<AddressSpec>),
    Leave,
    Forget,
    SetPace(Pace),
    Schedule(Scheduling),
    SetStatics(Arc<Belongings>),
    SetSysctls(Vec<Sysctl>),
    SetFirewall(FirewallOptions),
    SetVmacs(Vec<VmacSpec>),
    Set {
        owner: Arc<str>,
        belongings: Arc<Belongings>,
    },
    Clear {
        owner: Arc<str>,
        belongings: Arc<Belongings>,
    },
    Announce {
        owner: Arc<str>,
        belongings: Arc<Belongings>,
        rounds: u32,
    },
    Announced(oneshot::Sender<BTreeMap<Arc<str>, u64>>),
    Barrier(SyncSender<()>),
    #[cfg(test)]
    Panic,
}

/// Gives commands to the netlink thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub struct Handle {
    line: Arc<Line>,
}

#[derive(Debug)]
struct Line {
    /// `None` only while it is dropped.
    commands: Option<Sender<Command>>,
    bell: Bell,
}

impl Drop for Line {
    /// The thread finds the channel closed when the bell wakes it.
    fn drop(&mut self) {
        self.commands = None;
        self.bell.ring();
    }
}

/// Starts the thread in the network namespace of the caller and reads the interfaces.
///
/// # Errors
/// When the thread or its sockets cannot be made, or the kernel does not list its interfaces.
pub fn start(options: Options) -> io::Result<Handle> {
    let (commands, received) = channel();
    let (ready, outcome) = sync_channel(1);
    let bell = Bell::new()?;
    let ear = bell.clone();
    std::thread::Builder::new().name("netlink".to_owned()).spawn(move || run(options, &received, &ear, &ready))?;
    let line = Line { commands: Some(commands), bell };
    outcome.recv().map_err(|_| io::Error::other("the netlink thread ended at its start"))??;
    Ok(Handle { line: Arc::new(line) })
}

fn run(options: Options, commands: &Receiver<Command>, bell: &Bell, ready: &SyncSender<io::Result<()>>) {
    let mut estate = estate::Estate::new(options);
    let mut ready = Some(ready);
    loop {
        let life = catch_unwind(AssertUnwindSafe(|| live(&mut estate, commands, bell, &mut ready)));
        match life {
            Ok(Ok(())) => return,
            Ok(Err(error)) => match ready.take() {
                Some(ready) => return drop(ready.send(Err(error))),
                None => tracing::error!(target: "vrrp", "the netlink thread begins again: {error}"),
            },
            Err(_) => tracing::error!(target: "vrrp", "the netlink thread panicked and begins again"),
        }
        std::thread::sleep(RESTART_PAUSE);
    }
}

fn live(
    estate: &mut estate::Estate,
    commands: &Receiver<Command>,
    bell: &Bell,
    ready: &mut Option<&SyncSender<io::Result<()>>>,
) -> io::Result<()> {
    let mut worker = worker::Worker::open(estate)?;
    match ready.take() {
        Some(ready) => drop(ready.send(Ok(()))),
        None => worker.tell_all(),
    }
    worker.run(commands, bell)
}

impl Handle {
    /// Calls `subscriber` with every event from here on, a snapshot first.
    pub fn subscribe(&self, subscriber: Subscriber) {
        self.give(Command::Subscribe(subscriber));
    }

    /// Every interface; empty when the thread does not answer within a second. Waits, so not for the VRRP thread.
    #[must_use]
    pub fn interfaces(&self) -> Vec<Arc<Interface>> {
        let (reply, answer) = sync_channel(1);
        self.give(Command::Snapshot(reply));
        answer.recv_timeout(Duration::from_secs(1)).unwrap_or_default()
    }

    /// Removes what a killed predecessor left of `configured` and of the remembered addresses; remembers `configured`.
    pub fn recover(&self, configured: Vec<AddressSpec>) {
        self.give(Command::Recover(configured));
    }

    /// Remembers `configured` besides what is set.
    pub fn remember(&self, configured: Vec<AddressSpec>) {
        self.give(Command::Remember(configured));
    }

    /// Every router is about to go: addresses that fall with another are not put back from here on.
    pub fn leave(&self) {
        self.give(Command::Leave);
    }

    /// Forgets the remembered addresses: all of them were removed.
    pub fn forget(&self) {
        self.give(Command::Forget);
    }

    /// Applies real-time priority to the thread.
    pub fn schedule(&self, scheduling: Scheduling) {
        self.give(Command::Schedule(scheduling));
    }

    /// Sets the pauses between announcements.
    pub fn set_pace(&self, pace: Pace) {
        self.give(Command::SetPace(pace));
    }

    /// Brings what is there while the daemon runs in line with `statics`.
    pub fn set_statics(&self, statics: Arc<Belongings>) {
        self.give(Command::SetStatics(statics));
    }

    /// Changes settings of interfaces, and puts back those that are wanted no longer.
    pub fn set_sysctls(&self, wanted: Vec<Sysctl>) {
        self.give(Command::SetSysctls(wanted));
    }

    /// Makes these interfaces and removes those that were made before and are not among them.
    pub fn set_vmacs(&self, wanted: Vec<VmacSpec>) {
        self.give(Command::SetVmacs(wanted));
    }

    /// Names the table of addresses that accept no packets, for the first such address.
    pub fn set_firewall(&self, options: FirewallOptions) {
        self.give(Command::SetFirewall(options));
    }

    /// Sets what belongs to a router; what stands already is adopted.
    pub fn set(&self, owner: &Arc<str>, belongings: &Arc<Belongings>) {
        self.give(Command::Set { owner: Arc::clone(owner), belongings: Arc::clone(belongings) });
    }

    /// Removes what belongs to a router as far as it stands, and what waits of its announcements.
    pub fn clear(&self, owner: &Arc<str>, belongings: &Arc<Belongings>) {
        self.give(Command::Clear { owner: Arc::clone(owner), belongings: Arc::clone(belongings) });
    }

    /// Announces the addresses of a router with `rounds` packets each.
    pub fn announce(&self, owner: &Arc<str>, belongings: &Arc<Belongings>, rounds: u32) {
        self.give(Command::Announce { owner: Arc::clone(owner), belongings: Arc::clone(belongings), rounds });
    }

    /// Gratuitous ARPs and unsolicited neighbour advertisements sent since the start, by router; `None` when the thread has ended.
    pub fn announced(&self) -> impl Future<Output = Option<BTreeMap<Arc<str>, u64>>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Announced(reply));
        async { answer.await.ok() }
    }

    /// Waits until every earlier command was carried out; false when that takes longer than `bound`.
    #[must_use]
    pub fn settle(&self, bound: Duration) -> bool {
        let (reply, answer) = sync_channel(1);
        self.give(Command::Barrier(reply));
        answer.recv_timeout(bound).is_ok()
    }

    /// The thread lives as long as a handle does.
    fn give(&self, command: Command) {
        match &self.line.commands {
            Some(commands) if commands.send(command).is_ok() => self.line.bell.ring(),
            _ => tracing::error!(target: "vrrp", "the netlink thread has ended; a command is lost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_panic_loses_neither_subscribers_nor_commands() {
        let handle = start(Options::default()).expect("a thread");
        let (told, events) = channel();
        handle.subscribe(Box::new(move |event| {
            let _ = told.send(event);
        }));
        handle.give(Command::Panic);
        assert!(handle.settle(Duration::from_secs(5)), "the command after the panic was lost");
        for _ in 0..2 {
            let event = events.recv_timeout(Duration::from_secs(5)).expect("an event");
            assert!(matches!(event, Event::Snapshot(_)), "{event:?}");
        }
        assert!(handle.interfaces().iter().any(|interface| interface.name == "lo"));
    }
}
