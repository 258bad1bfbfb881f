//! The loop of the netlink thread.

use super::address::AddressSpec;
use super::announce::Announcer;
use super::interface::{Change, Interface, Table};
use super::memory::Memory;
use super::packet::PacketSocket;
use super::{Command, Event, Options, Subscriber};
use futures::channel::mpsc::UnboundedReceiver as Unsolicited;
use futures::{Stream, StreamExt, TryStreamExt};
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use rtnetlink::MulticastGroup;
use rtnetlink::sys::AsyncSocket as _;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedReceiver;

/// The kernel answers at once; this only bounds the wait for an answer that was lost.
const ANSWER_BOUND: Duration = Duration::from_secs(1);
/// Room for messages of the kernel while a command is carried out, in bytes.
const RECEIVE_BUFFER: u32 = 1 << 20;
const NO_INTERFACE: u32 = 0;

/// What outlives a panic of the worker.
pub(super) struct Estate {
    memory: Memory,
    subscribers: Vec<Subscriber>,
    /// Addresses that routers hold, by interface.
    owned: HashMap<(u32, IpAddr), Owned>,
}

struct Owned {
    owner: Arc<str>,
    spec: AddressSpec,
}

impl Estate {
    pub(super) fn new(options: Options) -> Self {
        Self { memory: Memory::new(options.memory), subscribers: Vec::new(), owned: HashMap::new() }
    }
}

pub(super) struct Worker<'a> {
    kernel: rtnetlink::Handle,
    reports: Reports,
    packets: nix::Result<PacketSocket>,
    table: Table,
    announcer: Announcer,
    estate: &'a mut Estate,
    /// Removals of ours whose report is still to come.
    expected: HashMap<(u32, IpAddr), u32>,
    leaving: bool,
}

impl<'a> Worker<'a> {
    pub(super) async fn open(estate: &'a mut Estate) -> io::Result<Self> {
        let (connection, kernel, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let reports = monitor()?;
        let table = read_table(&kernel).await.map_err(io::Error::other)?;
        let (packets, announcer) = (PacketSocket::open(), Announcer::default());
        let expected = HashMap::new();
        let mut worker = Self { kernel, reports, packets, table, announcer, estate, expected, leaving: false };
        worker.find_lost();
        Ok(worker)
    }

    /// Returns when the last handle is gone; an error means that the kernel's reports have ended.
    pub(super) async fn run(mut self, commands: &mut UnboundedReceiver<Command>) -> io::Result<()> {
        loop {
            let next = self.send_announcements();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command).await,
                    None => return Ok(()),
                },
                report = self.reports.next() => match report {
                    Some((message, _)) => self.take_report(message).await,
                    None => return Err(io::Error::other("the kernel's netlink reports have ended")),
                },
                () = sleep_until(next) => {}
            }
        }
    }

    async fn carry_out(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriber) => self.subscribe(subscriber),
            Command::Snapshot(reply) => drop(reply.try_send(self.snapshot())),
            Command::Recover(configured) => self.recover(&configured).await,
            Command::Remember(configured) => self.remember(configured),
            Command::Leave => self.leaving = true,
            Command::Forget => self.estate.memory.forget(),
            Command::SetPace(pace) => self.announcer.set_pace(pace),
            Command::Schedule(scheduling) => scheduling.apply(),
            Command::SetAddresses { owner, addresses } => self.set(&owner, &addresses).await,
            Command::ClearAddresses { owner, addresses } => self.clear(&owner, &addresses).await,
            Command::Announce { owner, addresses, rounds } => self.announce(&owner, &addresses, rounds),
            Command::Barrier(reply) => drop(reply.try_send(())),
            #[cfg(test)]
            Command::Panic => std::panic::panic_any("asked to"),
        }
    }

    fn subscribe(&mut self, mut subscriber: Subscriber) {
        subscriber(Event::Snapshot(self.snapshot()));
        self.estate.subscribers.push(subscriber);
    }

    fn snapshot(&self) -> Vec<Arc<Interface>> {
        self.table.interfaces().cloned().collect()
    }

    fn publish(&mut self, event: &Event) {
        for subscriber in &mut self.estate.subscribers {
            subscriber(event.clone());
        }
    }

    async fn recover(&mut self, configured: &[AddressSpec]) {
        let mut left = self.estate.memory.recall();
        left.extend_from_slice(configured);
        let mut seen = BTreeSet::new();
        let left = left.iter().filter(|spec| !self.is_owned(spec) && self.stands(spec));
        let left: Vec<_> = left.filter(|spec| seen.insert((&spec.interface, spec.address))).collect();
        for spec in &left {
            tracing::info!(target: "vrrp", "removing {spec}, left behind by a daemon that did not stop cleanly");
        }
        self.delete(&left).await;
        self.remember(configured.to_vec());
    }

    fn remember(&self, mut configured: Vec<AddressSpec>) {
        configured.extend(self.estate.owned.values().map(|owned| owned.spec.clone()));
        self.estate.memory.store(&configured);
    }

    async fn set(&mut self, owner: &Arc<str>, addresses: &[AddressSpec]) {
        let mut answers = Vec::with_capacity(addresses.len());
        for spec in addresses {
            match self.index(spec) {
                NO_INTERFACE => tracing::warn!(target: "vrrp", "({owner}) cannot set {spec}: no such interface"),
                index => answers.push((spec, index, self.kernel.request(spec.add(index)))),
            }
        }
        for (spec, index, answer) in answers {
            match outcome(answer).await {
                Ok(()) | Err(Errno::EEXIST) => {
                    let owned = Owned { owner: Arc::clone(owner), spec: spec.clone() };
                    self.estate.owned.insert((index, spec.address), owned);
                }
                Err(error) => tracing::warn!(target: "vrrp", "({owner}) cannot set {spec}: {}", error.desc()),
            }
        }
    }

    fn announce(&mut self, owner: &Arc<str>, addresses: &[AddressSpec], rounds: u32) {
        for spec in addresses.iter().filter(|_| rounds > 0) {
            let kind = if spec.address.is_ipv4() { "gratuitous ARPs" } else { "Unsolicited Neighbour Adverts" };
            let (interface, address) = (&spec.interface, spec.address);
            tracing::debug!(target: "vrrp", "({owner}) Sending/queueing {kind} on {interface} for {address}");
        }
        self.announcer.enqueue(owner, addresses, rounds);
    }

    async fn clear(&mut self, owner: &Arc<str>, addresses: &[AddressSpec]) {
        self.announcer.cancel(owner);
        let standing: Vec<_> = addresses.iter().filter(|spec| self.is_owned(spec) || self.stands(spec)).collect();
        self.delete(&standing).await;
    }

    async fn delete(&mut self, addresses: &[&AddressSpec]) {
        let mut answers = Vec::with_capacity(addresses.len());
        for spec in addresses {
            let index = self.index(spec);
            self.estate.owned.remove(&(index, spec.address));
            answers.push((spec, index, self.kernel.request(spec.delete(index))));
        }
        for (spec, index, answer) in answers {
            match outcome(answer).await {
                Ok(()) => {
                    self.expect_removal(index, spec.address);
                    self.restore_siblings(index, spec).await;
                }
                Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot remove {spec}: {}", error.desc()),
            }
        }
    }

    /// Unless `promote_secondaries` is set, the kernel removes all IPv4 addresses of a network with the first of them;
    /// those that other routers hold are put back at once.
    async fn restore_siblings(&mut self, index: u32, removed: &AddressSpec) {
        if self.leaving || self.table.is_secondary(index, removed.address) {
            return;
        }
        let held = self.estate.owned.iter().filter(|((on, _), owned)| *on == index && owned.spec.is_sibling(removed));
        let siblings: Vec<AddressSpec> = held.map(|(_, owned)| owned.spec.clone()).collect();
        for spec in siblings {
            match outcome(self.kernel.request(spec.add(index))).await {
                Ok(()) => {
                    self.expect_removal(index, spec.address);
                    self.table.doubt_secondaries(index);
                }
                Err(Errno::EEXIST) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot put {spec} back: {}", error.desc()),
            }
        }
    }

    fn expect_removal(&mut self, index: u32, address: IpAddr) {
        *self.expected.entry((index, address)).or_default() += 1;
    }

    async fn take_report(&mut self, message: NetlinkMessage<RouteNetlinkMessage>) {
        match message.payload {
            NetlinkPayload::InnerMessage(message) => {
                for change in self.table.apply(&message) {
                    self.take_change(change);
                }
            }
            NetlinkPayload::Overrun(_) => self.resynchronise().await,
            _ => {}
        }
    }

    fn take_change(&mut self, change: Change) {
        match change {
            Change::Changed(interface) => self.publish(&Event::Changed(interface)),
            Change::Removed(interface) => {
                self.estate.owned.retain(|(index, _), _| *index != interface.index);
                self.expected.retain(|(index, _), _| *index != interface.index);
                self.publish(&Event::Removed(interface));
            }
            Change::AddressRemoved { index, address } => self.address_removed(index, address),
        }
    }

    fn address_removed(&mut self, index: u32, address: IpAddr) {
        if let Some(expected) = self.expected.get_mut(&(index, address)) {
            *expected -= 1;
            if *expected == 0 {
                self.expected.remove(&(index, address));
            }
            return;
        }
        let Some(Owned { owner, .. }) = self.estate.owned.remove(&(index, address)) else { return };
        let interface = self.table.name(index);
        tracing::info!(target: "vrrp", "Netlink reflector reports IP {address} removed from {interface}");
        self.publish(&Event::AddressLost { owner, interface, address });
    }

    /// Messages were dropped: reads everything again and finds what was lost meanwhile.
    async fn resynchronise(&mut self) {
        tracing::warn!(target: "vrrp", "the kernel dropped netlink messages; reading all interfaces again");
        match read_table(&self.kernel).await {
            Ok(table) => self.table = table,
            Err(error) => return tracing::error!(target: "vrrp", "cannot read the interfaces: {error}"),
        }
        self.expected.clear();
        self.find_lost();
        self.tell_all();
    }

    /// Gives every subscriber the whole picture.
    pub(super) fn tell_all(&mut self) {
        let snapshot = self.snapshot();
        self.publish(&Event::Snapshot(snapshot));
    }

    fn find_lost(&mut self) {
        let (table, owned) = (&self.table, &self.estate.owned);
        let lost: Vec<_> = owned.keys().filter(|(index, address)| !table.has(*index, *address)).copied().collect();
        for (index, address) in lost {
            self.address_removed(index, address);
        }
    }

    fn send_announcements(&mut self) -> Option<Instant> {
        let (table, packets) = (&self.table, &self.packets);
        self.announcer.run(Instant::now(), |interface, address| super::frame::send(packets, table, interface, address))
    }

    fn index(&self, spec: &AddressSpec) -> u32 {
        self.table.by_name(&spec.interface).map_or(NO_INTERFACE, |interface| interface.index)
    }

    fn is_owned(&self, spec: &AddressSpec) -> bool {
        self.estate.owned.contains_key(&(self.index(spec), spec.address))
    }

    fn stands(&self, spec: &AddressSpec) -> bool {
        self.table.holds(self.index(spec), spec.address, spec.kernel_prefix_len())
    }
}

async fn read_table(kernel: &rtnetlink::Handle) -> Result<Table, rtnetlink::Error> {
    let mut table = Table::default();
    let links: Vec<_> = kernel.link().get().execute().try_collect().await?;
    let addresses: Vec<_> = kernel.address().get().execute().try_collect().await?;
    for link in links {
        table.apply(&RouteNetlinkMessage::NewLink(link));
    }
    for address in addresses {
        table.apply(&RouteNetlinkMessage::NewAddress(address));
    }
    Ok(table)
}

type Reports = Unsolicited<(NetlinkMessage<RouteNetlinkMessage>, rtnetlink::sys::SocketAddr)>;

fn monitor() -> io::Result<Reports> {
    let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
    let (mut connection, _, reports) = rtnetlink::new_multicast_connection(&groups)?;
    connection.socket_mut().socket_mut().set_rx_buf_sz(RECEIVE_BUFFER)?;
    tokio::spawn(connection);
    Ok(reports)
}

async fn outcome<S>(answer: Result<S, rtnetlink::Error>) -> Result<(), Errno>
where
    S: Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Unpin,
{
    let mut answer = answer.map_err(|_| Errno::EPIPE)?;
    match tokio::time::timeout(ANSWER_BOUND, answer.next()).await {
        Err(_) => Err(Errno::ETIMEDOUT),
        Ok(Some(NetlinkMessage { payload: NetlinkPayload::Error(error), .. })) => {
            error.code.map_or(Ok(()), |code| Err(Errno::from_raw(code.get().saturating_abs())))
        }
        Ok(_) => Ok(()),
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => std::future::pending().await,
    }
}
