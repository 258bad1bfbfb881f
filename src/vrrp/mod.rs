//! The VRRP thread: everything impure around the pure [`standfast_vrrp::Node`].
//!
//! One thread owns the raw sockets, one timer and the node; nothing that it does waits for another part of the daemon.
//! Commands reach it through a channel and a bell, addresses and announcements leave through the queue of the
//! [netlink thread](crate::netlink), and events for scripts and mail leave through another channel.

mod capability;
mod entries;
mod event;
mod facts;
mod rehearsal;
mod setup;
mod shell;
mod slots;
mod socket;
mod sockets;
mod thread;

pub use crate::scheduling::{Priority, Scheduling};
pub use capability::MissingCapability;
pub use event::{SocketView, Views, VrrpEvent};
pub use rehearsal::{Part, Performance, Rehearsal, Standing};
pub use setup::{MissingInterface, RouterSetup, VrrpSetup};
pub use slots::Delay;

use crate::netlink;
use crate::poller::Bell;
use shell::World;
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thread::Command;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Why the thread was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process may not do what VRRP needs.
    #[error(transparent)]
    Capability(#[from] MissingCapability),
    /// An instance on an interface that does not exist: keepalived's exit code 2.
    #[error(transparent)]
    Interface(#[from] MissingInterface),
    /// The system refused a thread or a file descriptor.
    #[error("cannot start the VRRP thread: {0}")]
    System(#[from] io::Error),
}

/// Speaks to the VRRP thread; no method waits for it unless it is `async`.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Command>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread in the network namespace of the caller, which must be that of `netlink`.
///
/// Addresses that a killed predecessor left behind are removed first.
///
/// # Errors
/// When a capability or an interface is missing, or the system refuses the thread.
pub fn start(
    setup: VrrpSetup,
    netlink: &netlink::Handle,
    events: UnboundedSender<VrrpEvent>,
) -> Result<Handle, StartError> {
    capability::check()?;
    setup.check_interfaces(&netlink.interfaces())?;
    netlink.schedule(setup.scheduling.below());
    netlink.set_pace(setup.pace.clone());
    netlink.recover(setup.addresses());
    netlink.set_firewall(setup.firewall.clone());
    netlink.set_vmacs(setup.vmacs.clone());
    netlink.set_sysctls(setup.sysctls());
    netlink.set_statics(Arc::clone(&setup.statics));
    // Without what was just removed: a leftover must not become the source of adverts.
    let interfaces = facts::by_index(netlink.interfaces());
    let (commands, received) = channel();
    let bell = Bell::new().map_err(io::Error::from)?;
    let trackers = setup.verdicts.iter().cloned().collect();
    let world = World { setup, netlink: netlink.clone(), events, interfaces, trackers };
    let ear = bell.clone();
    let thread =
        std::thread::Builder::new().name("vrrp".to_owned()).spawn(move || thread::run(world, &received, &ear))?;
    let handle = Handle { commands, bell, thread: Some(thread) };
    handle.listen_to(netlink);
    Ok(handle)
}

impl Handle {
    /// Passes a tracker's verdict on. Verdicts are remembered, also across a restart of the thread.
    pub fn set_tracker(&self, tracker: TrackerName, status: TrackerStatus) {
        self.give(Command::SetTracker(tracker, status));
    }

    /// Applies the differences to another setup. Scheduling stays as it was started.
    pub fn reconfigure(&self, setup: VrrpSetup) {
        self.give(Command::Reconfigure(Box::new(setup)));
    }

    /// Counts from zero again.
    pub fn clear_statistics(&self) {
        self.give(Command::ClearStatistics);
    }

    /// The state of everything; empty when the thread has ended.
    pub fn views(&self) -> impl Future<Output = Views> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Views(reply));
        async { answer.await.unwrap_or_default() }
    }

    /// Copies of everything that a reload changes, to play one on; `None` when the thread has ended.
    pub fn rehearsal(&self) -> impl Future<Output = Option<Rehearsal>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Rehearse(reply));
        async { answer.await.ok() }
    }

    /// Whether the thread answers; false when it has ended.
    pub fn answers(&self) -> impl Future<Output = bool> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Ping(reply));
        async { answer.await.is_ok() }
    }

    /// Has a master and its group resign for another router's sake, see [`standfast_vrrp::Node::yield_mastership`].
    pub fn yield_mastership(&self, name: String, lasts: Duration) -> impl Future<Output = Result<(), String>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Yield(name, lasts, reply));
        async { answer.await.unwrap_or_else(|_| Err("VRRP does not run".to_owned())) }
    }

    /// Has a backup and its group leave a lesser master in place for so long at least, or no longer, see
    /// [`standfast_vrrp::Node::hold_preemption`].
    pub fn hold_preemption(&self, name: String, lasts: Option<Duration>) {
        self.give(Command::Hold(name, lasts));
    }

    /// Sends the last adverts, removes the addresses and ends the thread; false when that takes longer than `bound`.
    pub async fn stop(mut self, bound: Duration) -> bool {
        self.give(Command::Stop);
        let Some(thread) = self.thread.take() else { return true };
        let end = Instant::now() + bound;
        while !thread.is_finished() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        thread.is_finished()
    }

    fn listen_to(&self, netlink: &netlink::Handle) {
        let (commands, bell) = (self.commands.clone(), self.bell.clone());
        netlink.subscribe(Box::new(move |event| {
            // An error means that the thread has ended.
            if commands.send(Command::Netlink(event)).is_ok() {
                bell.ring();
            }
        }));
    }

    fn give(&self, command: Command) {
        if self.commands.send(command).is_ok() {
            self.bell.ring();
        }
    }
}
