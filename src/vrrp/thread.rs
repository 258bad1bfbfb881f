//! The life of the VRRP thread: wait, receive, obey, act; begin again after a panic; end on request.

use super::event::{Views, VrrpEvent};
use super::rehearsal::Rehearsal;
use super::setup::VrrpSetup;
use super::shell::{Shell, World};
use crate::netlink::Event;
use crate::poller::{Bell, Poller};
use crate::scheduling::Part;
use standfast_vrrp::{TrackerName, TrackerStatus};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Commands taken before the thread looks at its sockets and timers again.
const BATCH: usize = 64;
/// Panics that follow each other faster are slowed down to this pace, which is still quicker than any election.
const PANIC_PAUSE: Duration = Duration::from_millis(100);
/// The kernel removes addresses in microseconds; this only bounds a stop that goes wrong.
const REMOVAL_BOUND: Duration = Duration::from_secs(3);

pub(super) enum Command {
    Netlink(Event),
    SetTracker(TrackerName, TrackerStatus),
    Reconfigure(Box<VrrpSetup>),
    ClearStatistics,
    Views(oneshot::Sender<Views>),
    Rehearse(oneshot::Sender<Rehearsal>),
    Ping(oneshot::Sender<()>),
    Hold(String, Option<Duration>),
    Yield(String, Duration, oneshot::Sender<Result<(), String>>),
    Stop,
    #[cfg(test)]
    Panic,
}

enum End {
    Stopped,
    Failed(nix::Error),
}

pub(super) fn run(mut world: World, commands: &Receiver<Command>, bell: &Bell) {
    world.setup.scheduling.apply(Part::Vrrp);
    let error = loop {
        let began = Instant::now();
        let life = catch_unwind(AssertUnwindSafe(|| live(&mut world, commands, bell)));
        match life {
            Ok(End::Stopped) => break None,
            Ok(End::Failed(error)) => break Some(format!("the VRRP thread cannot go on: {}", error.desc())),
            Err(panic) => report_panic(&world, panic.as_ref()),
        }
        std::thread::sleep(PANIC_PAUSE.saturating_sub(began.elapsed()));
    };
    if let Some(error) = &error {
        tracing::error!(target: "vrrp", "{error}");
    }
    release(&world);
    let _ = world.events.send(VrrpEvent::Ended { error });
}

/// Waits until the addresses are gone, so that the process may end.
fn release(world: &World) {
    if world.setup.keep_addresses {
        return;
    }
    world.netlink.set_vmacs(Vec::new());
    world.netlink.set_sysctls(Vec::new());
    world.netlink.set_statics(Arc::default());
    if world.netlink.settle(REMOVAL_BOUND) {
        world.netlink.forget();
    } else {
        tracing::warn!(target: "vrrp", "the addresses could not be removed in time; the next start will remove them");
    }
}

fn live(world: &mut World, commands: &Receiver<Command>, bell: &Bell) -> End {
    let mut poller = match Poller::new(bell.clone()) {
        Ok(poller) => poller,
        Err(error) => return End::Failed(error),
    };
    // Whatever rang before the panic may still wait in the channel.
    bell.ring();
    let mut shell = Shell::start(world, &poller);
    loop {
        let tokens = match poller.wait(shell.deadline()) {
            Ok(tokens) => tokens,
            Err(error) => return End::Failed(error),
        };
        shell.tell_time();
        // Sockets come first: an advert that is here already must keep a late timer from electing a second master.
        for token in tokens {
            shell.receive(token);
        }
        if obey(&mut shell, &poller, commands, bell) {
            shell.stop();
            return End::Stopped;
        }
        shell.settle();
    }
}

/// Returns true when the thread is to stop.
fn obey(shell: &mut Shell<'_>, poller: &Poller, commands: &Receiver<Command>, bell: &Bell) -> bool {
    for _ in 0..BATCH {
        match commands.try_recv() {
            Ok(Command::Netlink(event)) => shell.take_report(event, poller),
            Ok(Command::SetTracker(tracker, status)) => shell.set_tracker(tracker, status),
            Ok(Command::Reconfigure(setup)) => shell.reconfigure(*setup, poller),
            Ok(Command::ClearStatistics) => shell.clear_statistics(),
            Ok(Command::Hold(name, lasts)) => shell.hold_preemption(&name, lasts),
            Ok(Command::Yield(name, lasts, reply)) => drop(reply.send(shell.yield_mastership(&name, lasts))),
            Ok(Command::Ping(reply)) => drop(reply.send(())),
            Ok(Command::Rehearse(reply)) => drop(reply.send(shell.rehearsal())),
            Ok(Command::Views(reply)) => drop(reply.send(shell.views())),
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => return true,
            Err(TryRecvError::Empty) => return false,
            #[cfg(test)]
            Ok(Command::Panic) => std::panic::panic_any("asked to"),
        }
    }
    bell.ring();
    false
}

fn report_panic(world: &World, panic: &(dyn std::any::Any + Send)) {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    tracing::error!(target: "vrrp", "the VRRP thread panicked and begins again: {message}");
    let _ = world.events.send(VrrpEvent::Restarted { message });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink;
    use std::collections::BTreeMap;
    use std::sync::mpsc::channel;
    use tokio::sync::mpsc::unbounded_channel;

    #[test]
    fn a_panic_is_told_and_the_thread_begins_again() {
        let netlink = netlink::start(netlink::Options::default()).expect("a netlink thread");
        let (events, mut told) = unbounded_channel();
        let (interfaces, trackers) = (BTreeMap::new(), BTreeMap::new());
        let world = World { setup: VrrpSetup::default(), netlink, events, interfaces, trackers };
        let (commands, received) = channel();
        let bell = Bell::new().expect("a bell");
        let (reply, views) = oneshot::channel();
        for command in [Command::Panic, Command::Panic, Command::Views(reply), Command::Stop] {
            commands.send(command).expect("somebody listens");
        }
        run(world, &received, &bell);
        let restarted = VrrpEvent::Restarted { message: "asked to".to_owned() };
        for event in [restarted.clone(), restarted, VrrpEvent::Ended { error: None }] {
            assert_eq!(told.blocking_recv(), Some(event));
        }
        assert!(views.blocking_recv().expect("an answer").routers.is_empty());
    }
}
