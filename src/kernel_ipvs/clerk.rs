//! What the thread does with what it is asked.

use std::io;
use std::time::Duration;

use standfast_ipvs as engine;
use tracing::{error, info, warn};

use super::Error;
use super::connections::Pages;
use super::estate::{Estate, Remark};
use super::order::Order;
use super::socket::{Ipvs, Kernel};
use super::thread::Ask;
use crate::control::{Answer, Failure, Request};
use crate::dataplane::{DriverCounters, ServiceSnapshot, Snapshot};
use crate::ipvsadm::{Counts, DaemonSettings, Entry, Role, ServerEntry, Table, TimeoutSeconds, convert};

/// The kernel's table, what is ours of it, and where a reader of connections has got to.
pub(super) struct Clerk {
    kernel: Kernel,
    estate: Estate,
    pages: Pages,
    /// Time-outs from before the first order of the file.
    former_timeouts: Option<TimeoutSeconds>,
}

impl Clerk {
    pub(super) fn new(kernel: Kernel) -> Clerk {
        Clerk { kernel, estate: Estate::default(), pages: Pages::default(), former_timeouts: None }
    }

    /// Serves anything but the end.
    pub(super) fn serve(&mut self, ask: Ask) {
        match ask {
            Ask::Census(census) => self.estate.learn(census),
            Ask::Changes(changes) => {
                let remarks = self.estate.apply(&changes, &mut self.kernel);
                remarks.iter().for_each(tell);
            }
            Ask::Timeouts(Some(timeouts)) => self.set_timeouts(timeouts),
            Ask::Timeouts(None) => self.put_timeouts_back(),
            Ask::Daemon(role, Some(settings), _) => self.start_daemon(role, settings),
            Ask::Daemon(role, None, id) => self.stop_daemon(role, id),
            // Who asked may have gone away.
            Ask::Snapshot(reply) => drop(reply.send(self.snapshot())),
            Ask::Call(request, reply) => drop(reply.send(self.answer(request))),
            Ask::LetGo | Ask::Stop { .. } => {}
        }
    }

    /// Carries out an order of the file; a refusal is logged.
    pub(super) fn order(&mut self, order: &Order) {
        if let Err(refusal) = self.kernel.order(order) {
            error!(target: "healthcheck", "The kernel's IPVS refuses {order}: {}", refusal.words);
        }
    }

    fn set_timeouts(&mut self, timeouts: TimeoutSeconds) {
        if self.former_timeouts.is_none() {
            self.former_timeouts = self.kernel.timeouts().ok().flatten();
        }
        self.order(&Order::SetTimeouts(timeouts));
    }

    /// As keepalived does at its end.
    pub(super) fn put_timeouts_back(&mut self) {
        if let Some(former) = self.former_timeouts.take() {
            self.order(&Order::SetTimeouts(former));
        }
    }

    /// One that runs already, as after a daemon that was killed, runs with other settings, perhaps.
    fn start_daemon(&mut self, role: Role, settings: DaemonSettings) {
        let id = settings.syncid.unwrap_or(0);
        let interface = settings.interface.clone().unwrap_or_default();
        let order = Order::StartDaemon(role, settings);
        let mut done = self.kernel.order(&order);
        if done.as_ref().is_err_and(|refusal| refusal.code == libc::EEXIST) {
            self.order(&Order::StopDaemon(role, id));
            done = self.kernel.order(&order);
        }
        match done {
            Ok(()) => info!(
                target: "healthcheck",
                "Started the {} sync daemon of the kernel's IPVS on {interface}, syncid {id}", role.word()
            ),
            Err(refusal) => error!(target: "healthcheck", "The kernel's IPVS refuses {order}: {}", refusal.words),
        }
    }

    fn stop_daemon(&mut self, role: Role, id: u8) {
        match self.kernel.order(&Order::StopDaemon(role, id)) {
            Ok(()) => {
                info!(target: "healthcheck", "Stopped the {} sync daemon of the kernel's IPVS", role.word());
            }
            Err(refusal) => warn!(
                target: "healthcheck",
                "The kernel's IPVS refuses the end of the {} sync daemon: {}", role.word(), refusal.words
            ),
        }
    }

    fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let read = Error::system("read its table");
        let entries = self.kernel.entries().map_err(&read)?;
        let timeouts = self.kernel.timeouts().map_err(&read)?;
        let services: Vec<ServiceSnapshot> = entries.iter().filter_map(service_snapshot).collect();
        let held = entries.iter().flat_map(|entry| &entry.servers);
        let connections = held.map(|server| u64::from(server.active) + u64::from(server.inactive)).sum::<u64>();
        Ok(Snapshot {
            services,
            timeouts: timeouts.map_or_else(engine::Timeouts::default, durations),
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
            carried: 0,
            engine: engine::Counters::default(),
            driver: DriverCounters::default(),
        })
    }

    fn answer(&mut self, request: Request) -> Result<Answer, Failure> {
        let order = match request {
            Request::Services => return self.table().map(Answer::Services).map_err(|error| unreadable(&error)),
            Request::Timeouts => return self.timeouts().map(Answer::Timeouts).map_err(|error| unreadable(&error)),
            Request::Daemons => return self.kernel.daemons().map(Answer::Daemons).map_err(|error| unreadable(&error)),
            Request::Connections { skip } => {
                return self.pages.page(skip).map(Answer::Connections).map_err(|error| unreadable(&error));
            }
            other => order_of(other)?,
        };
        self.kernel.order(&order).map(|()| Answer::Done).map_err(|refusal| Failure::new(refusal.words))
    }

    fn table(&mut self) -> io::Result<Table> {
        let size = self.kernel.table_size()?.unwrap_or_default();
        Ok(Table { size, entries: self.kernel.entries()? })
    }

    fn timeouts(&mut self) -> io::Result<TimeoutSeconds> {
        let none = TimeoutSeconds { tcp: 0, tcpfin: 0, udp: 0 };
        Ok(self.kernel.timeouts()?.unwrap_or(none))
    }
}

fn tell(remark: &Remark) {
    match remark {
        Remark::Error(text) => error!(target: "healthcheck", "{text}"),
        Remark::Warning(text) => warn!(target: "healthcheck", "{text}"),
    }
}

fn unreadable(error: &io::Error) -> Failure {
    Failure::new(format!("the kernel's IPVS cannot be read: {error}"))
}

fn order_of(request: Request) -> Result<Order, Failure> {
    Ok(match request {
        Request::AddService(service) => Order::AddService(service),
        Request::EditService(service) => Order::EditService(service),
        Request::RemoveService(target) => Order::RemoveService(target),
        Request::AddServer(target, server) => Order::AddServer(target, server),
        Request::EditServer(target, server) => Order::EditServer(target, server),
        Request::RemoveServer(target, address, port) => Order::RemoveServer(target, address, port),
        Request::Clear => Order::Flush,
        Request::Zero(target) => Order::Zero(target),
        Request::SetTimeouts(timeouts) => Order::SetTimeouts(timeouts),
        Request::StartDaemon(role, settings) => Order::StartDaemon(role, settings),
        Request::StopDaemon(role, id) => Order::StopDaemon(role, id.unwrap_or(0)),
        _ => return Err(Failure::new(convert::INVALID)),
    })
}

/// A service as those see it who know the engine's; none where the engine has no such thing.
fn service_snapshot(entry: &Entry) -> Option<ServiceSnapshot> {
    let config = convert::service_config(&entry.service).ok()?;
    let service = engine::ServiceView { config, stats: convert::stats(&entry.counts), rates: rates(&entry.rates) };
    Some(ServiceSnapshot { service, destinations: entry.servers.iter().filter_map(destination).collect() })
}

fn destination(entry: &ServerEntry) -> Option<engine::DestinationView> {
    Some(engine::DestinationView {
        config: convert::destination(&entry.server).ok()?,
        active: entry.active,
        inactive: entry.inactive,
        persistent: entry.persistent,
        overloaded: false,
        stats: convert::stats(&entry.counts),
        rates: rates(&entry.rates),
        failures: engine::Failures::default(),
    })
}

fn rates(counts: &Counts) -> engine::Rates {
    engine::Rates {
        connections: counts.connections,
        in_packets: counts.in_packets,
        out_packets: counts.out_packets,
        in_bytes: counts.in_bytes,
        out_bytes: counts.out_bytes,
    }
}

fn durations(timeouts: TimeoutSeconds) -> engine::Timeouts {
    let [tcp, tcp_fin, udp] =
        [timeouts.tcp, timeouts.tcpfin, timeouts.udp].map(|seconds| Duration::from_secs(seconds.into()));
    engine::Timeouts { tcp, tcp_fin, udp }
}
