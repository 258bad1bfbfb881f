//! The control thread: everything that may wait inside the kernel, so that the worker never does.

mod host;
mod model;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use standfast_ipvs::sync::SyncSettings;
use standfast_ipvs::{ConnectionView, Director, Settings, Timeouts};
use tokio::sync::oneshot;

use super::Error;
use super::claim::{Claim, Claims, Diversion, Will};
use super::command::{Command, Snapshot};
use super::engine::Ports;
use super::offload::Programs;
use super::topology::{Changes, NextHop, Topology};
use super::worker::{Line, Order};

/// What others ask of the control thread.
#[derive(Debug)]
pub(super) enum Request {
    /// Apply commands, in order; answer for each.
    Apply(Vec<Command>, oneshot::Sender<Vec<Result<(), Error>>>),
    /// Describe the running state.
    Snapshot(oneshot::Sender<Snapshot>),
    /// Describe connections from the given number on.
    Connections(usize, oneshot::Sender<Vec<ConnectionView>>),
    /// Pass an order on to the worker, behind all commands so far.
    Pass(Box<Order>),
    /// Find the way to an address.
    Resolve(IpAddr),
    /// Let the claim hold so long after a kill.
    Outlive(Duration),
    /// The worker lost everything.
    WorkerRestarted,
    /// End.
    Stop,
}

/// The line to the control thread.
#[derive(Debug, Clone)]
pub(super) struct Wake {
    /// Requests.
    pub(super) requests: Sender<Request>,
    /// Wakes the control thread.
    pub(super) event: Arc<EventFd>,
}

impl Wake {
    /// Sends a request; a control thread that has ended drops what it is asked.
    pub(super) fn send(&self, request: Request) {
        if self.requests.send(request).is_err() || self.event.write(1).is_err() {
            tracing::debug!("the data plane's control thread is gone");
        }
    }
}

/// The control thread's state.
pub(super) struct Control {
    requests: Receiver<Request>,
    event: Arc<EventFd>,
    worker: Line,
    receiver: OwnedFd,
    /// What has the kernel carry connections, where it can.
    programs: Option<Programs>,
    topology: Topology,
    claim: Claim,
    will: Will,
    diversion: Diversion,
    /// Sees no packet: it judges commands before they are carried out, and remembers what a restarted worker has to know.
    shadow: Director,
    timeouts: Option<Timeouts>,
    settings: Option<Settings>,
    sync: Option<SyncSettings>,
    claims: Claims,
    ports: Arc<Ports>,
    ignored: BTreeSet<u32>,
    servers: BTreeSet<IpAddr>,
    guests: BTreeSet<IpAddr>,
    known: HashMap<IpAddr, NextHop>,
    unhooked: BTreeSet<u32>,
}

impl Control {
    /// Creates the claim, empty, and reads what the host looks like.
    ///
    /// # Errors
    /// [`Error::Claim`] or [`Error::Socket`].
    pub(super) fn open(
        (requests, event): (Receiver<Request>, Arc<EventFd>),
        worker: Line,
        (receiver, programs): (OwnedFd, Option<Programs>),
        shadow: Director,
    ) -> Result<Self, Error> {
        let claim = Claim::create()?;
        let topology = Topology::open().map_err(|e| Error::socket("read interfaces, addresses and neighbours", e))?;
        let mut control = Self {
            requests,
            event,
            worker,
            receiver,
            programs,
            topology,
            claim,
            will: Will::default(),
            diversion: Diversion::open()?,
            shadow,
            timeouts: None,
            settings: None,
            sync: None,
            claims: Claims::default(),
            ports: Arc::default(),
            ignored: BTreeSet::new(),
            servers: BTreeSet::new(),
            guests: BTreeSet::new(),
            known: HashMap::new(),
            unhooked: BTreeSet::new(),
        };
        control.take_in(Changes { links: true, addresses: true, hops: true });
        Ok(control)
    }

    /// Works until it is told to stop. The claim ends with it; should it end by a panic, the worker ends too, so that clients are not
    /// answered twice.
    pub(super) fn run_guarded(self) {
        let worker = self.worker.clone();
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            tracing::error!(
                "the data plane's control thread failed: virtual services are left to the host's own stack"
            );
            worker.send(Order::Stop);
        }
    }

    fn run(mut self) {
        loop {
            let changes = self.topology.follow();
            self.take_in(changes);
            while let Ok(request) = self.requests.try_recv() {
                if matches!(request, Request::Stop) {
                    self.worker.send(Order::Stop);
                    return;
                }
                self.serve(request);
            }
            self.will.tend(&self.claim, self.diversion.installed(), Instant::now());
            self.wait();
        }
    }

    fn wait(&self) {
        let mut ready =
            [PollFd::new(self.topology.as_fd(), PollFlags::POLLIN), PollFd::new(self.event.as_fd(), PollFlags::POLLIN)];
        let left = self.will.due().map(|due| due.saturating_duration_since(Instant::now()) + Duration::from_millis(1));
        let timeout = left.map_or(PollTimeout::NONE, |left| PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
        if let Err(error) = poll(&mut ready, timeout) {
            tracing::debug!(%error, "poll");
        }
        let woken = ready[1].revents().is_some_and(|e| e.contains(PollFlags::POLLIN));
        if woken && let Err(error) = self.event.read() {
            tracing::trace!(%error, "eventfd");
        }
    }

    fn serve(&mut self, request: Request) {
        match request {
            Request::Apply(commands, reply) => {
                let results = self.apply(commands);
                if reply.send(results).is_err() {
                    tracing::trace!("nobody waits for the results");
                }
            }
            Request::Snapshot(reply) => self.worker.send(Order::Snapshot(reply)),
            Request::Connections(skip, reply) => self.worker.send(Order::Connections(skip, reply)),
            Request::Pass(order) => self.worker.send(*order),
            Request::Resolve(address) => self.resolve(address),
            Request::Outlive(lasts) => self.will.set(lasts, Instant::now()),
            Request::WorkerRestarted => self.replay(),
            Request::Stop => {}
        }
    }

    /// Applies commands: judged, claimed, then carried out. What is no longer wanted stays claimed until the worker has been
    /// told, so that no packet of a service is ever answered by the host's stack in between.
    fn apply(&mut self, commands: Vec<Command>) -> Vec<Result<(), Error>> {
        let before = model::commands(&self.shadow, None, None);
        let mut accepted = Vec::new();
        let results: Vec<_> = commands.into_iter().map(|command| self.judge(command, &mut accepted)).collect();
        let wanted = self.wanted_claims();
        if let Err(error) = self.install(model::union(&self.claims, &wanted)) {
            tracing::error!(%error, "services are not taken over: the host's own stack would answer for them");
            model::restore(&mut self.shadow, &before);
            return results.into_iter().map(|result| result.and(Err(error.again()))).collect();
        }
        self.remember_settings(&accepted);
        self.find_servers();
        self.worker.send(Order::Commands(accepted));
        if let Err(error) = self.install(wanted) {
            tracing::warn!(%error, "claims of removed services stay");
        }
        results
    }

    fn judge(&mut self, command: Command, accepted: &mut Vec<Command>) -> Result<(), Error> {
        command.apply(&mut self.shadow)?;
        accepted.push(command);
        Ok(())
    }

    fn remember_settings(&mut self, accepted: &[Command]) {
        for command in accepted {
            match command {
                Command::SetTimeouts(timeouts) => self.timeouts = Some(*timeouts),
                Command::SetSettings(settings) => self.settings = Some(*settings),
                Command::SetSync(settings) => self.sync = *settings,
                _ => {}
            }
        }
    }

    /// Tells a worker that lost everything all that it has to know.
    fn replay(&mut self) {
        self.worker.send(Order::Reset);
        self.worker.send(Order::Ports(Arc::clone(&self.ports)));
        self.send_territory();
        for (address, next) in &self.known {
            self.worker.send(Order::Hop(*address, *next));
        }
        self.worker.send(Order::Commands(model::commands(&self.shadow, self.timeouts, self.settings)));
        self.worker.send(Order::Commands(vec![Command::SetSync(self.sync)]));
    }
}
