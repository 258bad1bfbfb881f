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
use std::collections::HashMap;
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

pub(super) struct Worker {
    kernel: rtnetlink::Handle,
    reports: Reports,
    packets: nix::Result<PacketSocket>,
    table: Table,
    announcer: Announcer,
    memory: Memory,
    subscribers: Vec<Subscriber>,
    owned: HashMap<(u32, IpAddr), Arc<str>>,
    /// Removals of ours whose report is still to come.
    expected: HashMap<(u32, IpAddr), u32>,
}

impl Worker {
    pub(super) async fn open(options: Options) -> io::Result<Self> {
        let (connection, kernel, _) = rtnetlink::new_connection()?;
        tokio::spawn(connection);
        let reports = monitor()?;
        let mut worker = Self {
            kernel,
            reports,
            packets: PacketSocket::open(),
            table: Table::default(),
            announcer: Announcer::default(),
            memory: Memory::new(options.memory),
            subscribers: Vec::new(),
            owned: HashMap::new(),
            expected: HashMap::new(),
        };
        worker.table = worker.read_table().await.map_err(io::Error::other)?;
        Ok(worker)
    }

    pub(super) async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            let next = self.send_announcements();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.carry_out(command).await,
                    None => return,
                },
                report = self.reports.next() => match report {
                    Some((message, _)) => self.take_report(message).await,
                    None => return tracing::error!(target: "vrrp", "the kernel's netlink reports have ended"),
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
            Command::Forget => self.memory.forget(),
            Command::SetPace(pace) => self.announcer.set_pace(pace),
            Command::SetAddresses { owner, addresses } => self.set(&owner, &addresses).await,
            Command::ClearAddresses { owner, addresses } => self.clear(&owner, &addresses).await,
            Command::Announce { owner, addresses, rounds } => self.announce(&owner, &addresses, rounds),
            Command::Barrier(reply) => drop(reply.try_send(())),
        }
    }

    fn subscribe(&mut self, mut subscriber: Subscriber) {
        subscriber(Event::Snapshot(self.snapshot()));
        self.subscribers.push(subscriber);
    }

    fn snapshot(&self) -> Vec<Arc<Interface>> {
        self.table.interfaces().cloned().collect()
    }

    fn publish(&mut self, event: &Event) {
        for subscriber in &mut self.subscribers {
            subscriber(event.clone());
        }
    }

    async fn recover(&mut self, configured: &[AddressSpec]) {
        let mut left = self.memory.recall();
        left.extend_from_slice(configured);
        let left: Vec<_> = left.iter().filter(|spec| !self.is_owned(spec) && self.stands(spec)).collect();
        for spec in &left {
            tracing::info!(target: "vrrp", "removing {spec}, left behind by a daemon that did not stop cleanly");
        }
        self.delete(&left).await;
        self.remember(configured.to_vec());
    }

    fn remember(&self, mut configured: Vec<AddressSpec>) {
        configured.extend(self.owned.keys().filter_map(|(index, address)| self.owned_spec(*index, *address)));
        self.memory.store(&configured);
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
                Ok(()) | Err(Errno::EEXIST) => drop(self.owned.insert((index, spec.address), Arc::clone(owner))),
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
            self.owned.remove(&(index, spec.address));
            answers.push((spec, index, self.kernel.request(spec.delete(index))));
        }
        for (spec, index, answer) in answers {
            match outcome(answer).await {
                Ok(()) => *self.expected.entry((index, spec.address)).or_default() += 1,
                Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot remove {spec}: {}", error.desc()),
            }
        }
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
                self.owned.retain(|(index, _), _| *index != interface.index);
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
        let Some(owner) = self.owned.remove(&(index, address)) else { return };
        let interface = self.table.name(index);
        tracing::info!(target: "vrrp", "Netlink reflector reports IP {address} removed from {interface}");
        self.publish(&Event::AddressLost { owner, interface, address });
    }

    /// Messages were dropped: reads everything again and finds what was lost meanwhile.
    async fn resynchronise(&mut self) {
        tracing::warn!(target: "vrrp", "the kernel dropped netlink messages; reading all interfaces again");
        match self.read_table().await {
            Ok(table) => self.table = table,
            Err(error) => return tracing::error!(target: "vrrp", "cannot read the interfaces: {error}"),
        }
        self.expected.clear();
        let lost: Vec<_> =
            self.owned.keys().filter(|(index, address)| !self.table.has(*index, *address)).copied().collect();
        for (index, address) in lost {
            self.address_removed(index, address);
        }
        let snapshot = self.snapshot();
        self.publish(&Event::Snapshot(snapshot));
    }

    async fn read_table(&self) -> Result<Table, rtnetlink::Error> {
        let mut table = Table::default();
        let links: Vec<_> = self.kernel.link().get().execute().try_collect().await?;
        let addresses: Vec<_> = self.kernel.address().get().execute().try_collect().await?;
        for link in links {
            table.apply(&RouteNetlinkMessage::NewLink(link));
        }
        for address in addresses {
            table.apply(&RouteNetlinkMessage::NewAddress(address));
        }
        Ok(table)
    }

    fn send_announcements(&mut self) -> Option<Instant> {
        let (table, packets) = (&self.table, &self.packets);
        self.announcer.run(Instant::now(), |interface, address| super::frame::send(packets, table, interface, address))
    }

    fn index(&self, spec: &AddressSpec) -> u32 {
        self.table.by_name(&spec.interface).map_or(NO_INTERFACE, |interface| interface.index)
    }

    fn is_owned(&self, spec: &AddressSpec) -> bool {
        self.owned.contains_key(&(self.index(spec), spec.address))
    }

    fn stands(&self, spec: &AddressSpec) -> bool {
        self.table.holds(self.index(spec), spec.address, spec.kernel_prefix_len())
    }

    fn owned_spec(&self, index: u32, address: IpAddr) -> Option<AddressSpec> {
        let interface = self.table.interfaces().find(|interface| interface.index == index)?;
        let held = interface.addresses.iter().find(|held| held.address == address)?;
        Some(AddressSpec::new(&interface.name, address, held.prefix_len))
    }
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
