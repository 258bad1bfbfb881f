//! The life of the BFD thread: wait, receive, obey, act; begin again after a panic; end on request.

use super::Report;
use super::shell::Shell;
use crate::poller::{Bell, Poller};
use crate::scheduling::{Part, Scheduling};
use standfast_vrrp::bfd::{SessionConfig, SessionView};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Panics that follow each other are slowed down to this pace.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

pub(super) enum Command {
    Configure(Vec<SessionConfig>),
    Views(oneshot::Sender<Vec<SessionView>>),
    Stop,
}

pub(super) fn run(
    mut sessions: Vec<SessionConfig>,
    scheduling: Scheduling,
    report: &Report,
    commands: &Receiver<Command>,
    bell: &Bell,
) {
    scheduling.apply(Part::Bfd);
    loop {
        let life = catch_unwind(AssertUnwindSafe(|| live(&mut sessions, report, commands, bell)));
        match life {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                return tracing::error!(target: "vrrp", "the BFD thread cannot go on: {}", error.desc());
            }
            Err(_) => tracing::error!(target: "vrrp", "the BFD thread panicked and begins again"),
        }
        std::thread::sleep(PANIC_PAUSE);
    }
}

fn live(
    sessions: &mut Vec<SessionConfig>,
    report: &Report,
    commands: &Receiver<Command>,
    bell: &Bell,
) -> nix::Result<()> {
    let mut poller = Poller::new(bell.clone())?;
    // Whatever rang before a panic may still wait in the channel.
    bell.ring();
    let mut shell = Shell::new(Report::clone(report));
    shell.configure(sessions.clone(), &poller);
    loop {
        let tokens = poller.wait(shell.deadline())?;
        // Packets that are here already must keep a late timer from taking their sender for dead.
        tokens.into_iter().for_each(|token| shell.receive(token));
        if obey(&mut shell, &poller, sessions, commands) {
            shell.stop();
            return Ok(());
        }
        shell.settle();
    }
}

/// Returns true when the thread is to stop.
fn obey(shell: &mut Shell, poller: &Poller, sessions: &mut Vec<SessionConfig>, commands: &Receiver<Command>) -> bool {
    loop {
        match commands.try_recv() {
            Ok(Command::Configure(wanted)) => {
                sessions.clone_from(&wanted);
                shell.configure(wanted, poller);
            }
            Ok(Command::Views(reply)) => drop(reply.send(shell.views())),
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
        }
    }
}
