//! What clients of the control socket ask and order.

use super::services::Services;
use super::virtual_routers::VirtualRouters;
use super::{Next, Supervisor};
use crate::control::{self, Answer, Failure, Incoming, Request, ServerName};
use crate::dataplane::{ServiceSnapshot, Snapshot};
use crate::forwarder::{Choice, Forwarder};
use crate::health::{Health, Plan, ServerAction, ServerOrder};
use crate::ipvsadm::Connection;
use crate::status::{EntryKind, Remembered, Sources, Status, picture};
use standfast_ipvs::{ConnectionView, ServiceId};
use standfast_parser::model::LvsBackend;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::oneshot;

/// Connections of a client in one answer.
const MOST_REMEMBERED: usize = 50;
/// Events in one answer.
const MOST_EVENTS: usize = 500;
/// Longest time that a client may wait for an event: it must be shorter than the client's and the server's patience.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long the picture waits for the number of announcements.
const KERNEL_PATIENCE: Duration = Duration::from_millis(250);

/// What becomes of a call.
type Outcome = Result<Answer, Failure>;

impl Supervisor<'_> {
    /// Has a call carried out by a task of its own, a reload apart. The first service that is made by hand starts the data plane.
    pub(super) async fn answer(&mut self, (request, reply): Incoming) -> Next {
        if let Request::Reload { file, refuse_destructive } = request {
            send(reply, self.reload_by_order(file, refuse_destructive).await);
            return Next::Live;
        }
        let request = match self.answer_sync(request) {
            Ok(outcome) => {
                send(reply, outcome);
                return Next::Live;
            }
            Err(request) => request,
        };
        let work = self.work(request);
        tokio::spawn(async move { send(reply, work.await) });
        Next::Live
    }

    /// The services, started without any of the file's where there are none yet.
    pub(super) fn services_for_calls(&mut self) -> &Services {
        let (config, outbox, told) = (&self.config, &self.outbox, self.options.backend);
        self.services.get_or_insert_with(|| Services::start(Plan::default(), config, Choice::of(config, told), outbox))
    }

    /// Whether the kernel's table is the one that is meant, whether the file has services or not.
    pub(super) fn asks_for_kernel(&self) -> bool {
        Choice::of(&self.config, self.options.backend).backend == LvsBackend::Kernel
    }

    fn work(&mut self, request: Request) -> futures::future::BoxFuture<'static, Outcome> {
        use futures::FutureExt as _;
        match request {
            Request::Status => {
                let asked = self.status();
                async { Ok(Answer::Status(Box::new(asked.await))) }.boxed()
            }
            Request::Events { after, wait_ms } => {
                let journal = self.journal.clone();
                let wait = Duration::from_millis(wait_ms).min(LONGEST_WAIT);
                async move { Ok(Answer::Events(journal.wait_after(after, MOST_EVENTS, wait).await)) }.boxed()
            }
            Request::Client { client, port } => {
                remembered(self.services.as_ref().and_then(Services::forwarder), client, port).boxed()
            }
            Request::Failover { instance, lasts_ms } => {
                self.failover(instance, Duration::from_millis(lasts_ms)).boxed()
            }
            Request::Drain { server, deadline_ms } => {
                self.order(server, ServerAction::Drain { deadline: deadline_ms.map(Duration::from_millis) }).boxed()
            }
            Request::Weight { server, weight, lasts_ms } => {
                self.order(server, ServerAction::Weight { weight, lasts: lasts_ms.map(Duration::from_millis) }).boxed()
            }
            Request::Plan { file } => self.plan(file).boxed(),
            Request::Undrain { server } => self.order(server, ServerAction::Undo).boxed(),
            Request::Pause { server, lasts_ms } => {
                self.order(server, ServerAction::Pause { lasts: lasts_ms.map(Duration::from_millis) }).boxed()
            }
            Request::Resume { server } => self.order(server, ServerAction::Resume).boxed(),
            request => self.table(request).boxed(),
        }
    }

    fn table(&mut self, request: Request) -> impl Future<Output = Outcome> + use<> {
        if request.makes_something() || self.asks_for_kernel() {
            self.services_for_calls();
        }
        control::answer(request, self.services.as_ref().and_then(Services::forwarder))
    }

    fn order(&self, name: ServerName, action: ServerAction) -> impl Future<Output = Outcome> + use<> {
        let order = ServerOrder { server: name.server, service: name.service, action };
        let asked = self.services.as_ref().map(|services| services.health().obey(order));
        async {
            let Some(asked) = asked else { return Err(Failure::new("there are no virtual servers")) };
            asked.await.map(Answer::Told).map_err(Failure::new)
        }
    }

    fn failover(&self, instance: String, lasts: Duration) -> impl Future<Output = Outcome> + use<> {
        let asked = self.routers.as_ref().map(|routers| routers.yield_mastership(instance.clone(), lasts));
        let journal = self.journal.clone();
        async move {
            let Some(asked) = asked else { return Err(Failure::new("VRRP does not run")) };
            asked.await.map_err(Failure::new)?;
            let text = format!("failover; a lesser master is left in place for {} s", lasts.as_secs_f64());
            journal.write(EntryKind::Order, instance.clone(), text, SystemTime::now());
            tracing::info!(target: "vrrp", "({instance}) Ordered: failover, for {} s", lasts.as_secs_f64());
            Ok(Answer::Told(vec![format!("{instance} has resigned")]))
        }
    }

    /// Asks every part; the answers are awaited elsewhere.
    pub(super) fn status(&self) -> impl Future<Output = Status> + Send + use<> {
        let views = self.routers.as_ref().map(VirtualRouters::views);
        let sessions = self.sessions.views();
        let reports = self.services.as_ref().map(Services::health).map(Health::reports);
        let forwarder = self.services.as_ref().and_then(Services::forwarder);
        let config = std::sync::Arc::clone(&self.config);
        let path = self.file.display().to_string();
        let host = self.machine.host.clone();
        let (started, configured, latest_event) = (self.started, self.configured, self.journal.latest());
        let announced = self.routers.as_ref().map(VirtualRouters::announced);
        let (reloads, notifications, sync) = (self.reloads, self.notifier.tally(), self.sync.picture());
        async move {
            let views = match views {
                Some(views) => views.await,
                None => Default::default(),
            };
            let sessions = sessions.await;
            let reports = match reports {
                Some(reports) => reports.await,
                None => Vec::new(),
            };
            // An engine that has died is told by the supervisor; here it is one without services.
            let snapshot = match &forwarder {
                Some(forwarder) => forwarder.snapshot().await,
                None => None,
            };
            // The kernel holds that thread up at times; the rest of the picture does not wait for it.
            let announced = match announced {
                Some(asked) => tokio::time::timeout(KERNEL_PATIENCE, asked).await.ok().flatten(),
                None => None,
            };
            picture(&Sources {
                config: &config,
                path: &path,
                host: &host,
                started,
                configured,
                latest_event,
                views: &views,
                sessions: &sessions,
                reports: &reports,
                engine: snapshot.as_ref(),
                announced: announced.as_ref(),
                reloads,
                notifications,
                sync,
                forwarder: forwarder.as_ref().map(Forwarder::name),
                now: (Instant::now(), SystemTime::now()),
            })
        }
    }
}

fn send(reply: oneshot::Sender<Outcome>, outcome: Outcome) {
    if reply.send(outcome).is_err() {
        tracing::debug!("a client of the control socket did not wait for its reply");
    }
}

/// Looks through all connections, page by page, so that whoever forwards is never held up.
async fn remembered(forwarder: Option<Forwarder>, client: IpAddr, port: Option<u16>) -> Outcome {
    let Some(forwarder) = forwarder else { return Ok(Answer::Client(Vec::new())) };
    let (mut found, mut skip) = (Vec::new(), 0);
    let snapshot = forwarder.snapshot().await.ok_or_else(|| Failure::new("forwarding has stopped"))?;
    loop {
        let page = page(&forwarder, skip).await;
        if page.is_empty() || found.len() >= MOST_REMEMBERED {
            break;
        }
        skip += page.len();
        found.extend(page.into_iter().filter(|(kept, marked)| concerns(kept, *marked, client, port, &snapshot)));
    }
    found.truncate(MOST_REMEMBERED);
    Ok(Answer::Client(found.into_iter().map(|(kept, _)| kept).collect()))
}

/// Connections from the `skip`th on, and whether each is the template of a firewall mark.
async fn page(forwarder: &Forwarder, skip: usize) -> Vec<(Remembered, bool)> {
    match forwarder {
        Forwarder::Embedded(engine) => {
            let views = engine.connections(skip).await.unwrap_or_default();
            views.iter().map(|view| (remember(view), view.protocol == 0)).collect()
        }
        Forwarder::Kernel(kernel) => match kernel.call(Request::Connections { skip }).await {
            Ok(Ok(Answer::Connections(page))) => page.iter().map(remember_kernels).collect(),
            _ => Vec::new(),
        },
    }
}

fn concerns(kept: &Remembered, marked: bool, client: IpAddr, port: Option<u16>, snapshot: &Snapshot) -> bool {
    if kept.template {
        return masked(client, prefix_of(kept, marked, snapshot)) == kept.client.ip();
    }
    kept.client.ip() == client && port.is_none_or(|port| kept.client.port() == port)
}

/// How much of a client's address its service's templates keep.
fn prefix_of(kept: &Remembered, marked: bool, snapshot: &Snapshot) -> u8 {
    let serves = |held: &&ServiceSnapshot| match held.service.config.id {
        ServiceId::Address(key) => SocketAddr::new(key.address, key.port) == kept.service,
        ServiceId::Fwmark(_) => marked,
    };
    let held = snapshot.services.iter().find(serves);
    held.and_then(|held| held.service.config.persistence).map_or(128, |persistence| persistence.prefix_len)
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

fn remember(view: &ConnectionView) -> Remembered {
    Remembered {
        client: view.client,
        service: view.service,
        server: view.server,
        template: view.template,
        state: view.state.to_string(),
        expires_in_ms: u64::try_from(view.expires_in.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The kernel's list names templates by their clients' port alone.
fn remember_kernels(connection: &Connection) -> (Remembered, bool) {
    let kept = Remembered {
        client: connection.client,
        service: connection.service,
        server: connection.server,
        template: connection.client.port() == 0,
        state: connection.state.clone(),
        expires_in_ms: connection.expires.saturating_mul(1000),
    };
    (kept, connection.protocol.is_none())
}
