//! BFD sessions: everything impure around the pure [`standfast_vrrp::bfd::Bfd`].
//!
//! A thread of its own owns the UDP sockets, one timer and the sessions, one priority below VRRP: detection at
//! milliseconds cannot wait for scripts or checks, and must not make an advert wait. What a session becomes is told by
//! name through [`Report`]; the supervisor passes it on to VRRP (`track_bfd`) and to the checkers (`BFD_CHECK`).

mod shell;
mod socket;
mod thread;

use crate::poller::Bell;
use crate::scheduling::Scheduling;
use standfast_parser::model::{BfdInstance, Config};
use standfast_vrrp::bfd::{SessionConfig, SessionView};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thread::Command;
use tokio::sync::oneshot;

/// What is told about a session: its name, and whether it is up. A new session is told to be down. Called from the thread; must
/// not wait.
pub type Report = Arc<dyn Fn(&str, bool) + Send + Sync>;

/// The sessions of a configuration, in file order.
#[must_use]
pub fn sessions(config: &Config) -> Vec<SessionConfig> {
    config.bfd_instances.iter().map(session).collect()
}

fn session(instance: &BfdInstance) -> SessionConfig {
    SessionConfig {
        name: instance.name.clone(),
        neighbor: instance.neighbor,
        source: instance.source,
        min_rx: instance.min_rx,
        min_tx: instance.min_tx,
        idle_tx: instance.idle_tx,
        multiplier: instance.multiplier,
        passive: instance.passive,
        ttl: instance.ttl,
        // -1 and 255 take any; the number of hops is at most 254 otherwise.
        max_hops: u8::try_from(instance.max_hops).ok().filter(|hops| *hops != u8::MAX),
        multihop: instance.multihop,
    }
}

/// Speaks to the BFD thread; no method waits for it unless it is `async`.
#[derive(Debug)]
pub struct Handle {
    commands: Sender<Command>,
    bell: Bell,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread in the network namespace of the caller.
///
/// # Errors
/// When the system refuses a thread or a file descriptor.
pub fn start(sessions: Vec<SessionConfig>, scheduling: Scheduling, report: Report) -> io::Result<Handle> {
    let (commands, received) = channel();
    let bell = Bell::new().map_err(io::Error::from)?;
    let ear = bell.clone();
    let work = move || thread::run(sessions, scheduling, &report, &received, &ear);
    let thread = std::thread::Builder::new().name("bfd".to_owned()).spawn(work)?;
    Ok(Handle { commands, bell, thread: Some(thread) })
}

impl Handle {
    /// Applies the differences to other sessions.
    pub fn configure(&self, sessions: Vec<SessionConfig>) {
        self.give(Command::Configure(sessions));
    }

    /// Every session in file order; none when the thread has ended.
    pub fn views(&self) -> impl Future<Output = Vec<SessionView>> + use<> {
        let (reply, answer) = oneshot::channel();
        self.give(Command::Views(reply));
        async { answer.await.unwrap_or_default() }
    }

    /// Tells every neighbor and ends the thread; false when that takes longer than `bound`.
    pub async fn stop(mut self, bound: Duration) -> bool {
        self.give(Command::Stop);
        let Some(thread) = self.thread.take() else { return true };
        let end = Instant::now() + bound;
        while !thread.is_finished() && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        thread.is_finished()
    }

    fn give(&self, command: Command) {
        // An error means that the thread has ended.
        if self.commands.send(command).is_ok() {
            self.bell.ring();
        }
    }
}
