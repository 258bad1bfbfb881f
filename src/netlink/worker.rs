//! The loop of the netlink thread.

use super::address::AddressSpec;
use super::announce::Announcer;
use super::interface::{Change, Interface, Table};
use super::kernel::{Heard, Kernel, Message, Reports};
use super::memory::Memory;
use super::packet::PacketSocket;
use super::{Command, Event, Options, Subscriber};
use crate::poller::{Bell, FIRST_SOCKET, Poller};
use netlink_packet_core::NetlinkPayload;
use nix::errno::Errno;
use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

/// Commands carried out before the thread looks at its announcements again, and datagrams read before its commands.
const BATCH: usize = 64;
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
    kernel: Kernel,
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
    pub(super) fn open(estate: &'a mut Estate) -> io::Result<Self> {
        let reports = Reports::open()?;
        let mut kernel = Kernel::open()?;
        let table = kernel.read_table()?;
        let (packets, announcer) = (PacketSocket::open(), Announcer::default());
        let expected = HashMap::new();
        let mut worker = Self { kernel, reports, packets, table, announcer, estate, expected, leaving: false };
        worker.find_lost();
        Ok(worker)
    }

    /// Returns when the last handle is gone; an error means that the kernel's reports have ended.
    pub(super) fn run(mut self, commands: &Receiver<Command>, bell: &Bell) -> io::Result<()> {
        let mut poller = Poller::new(bell.clone())?;
        poller.watch(&self.reports, FIRST_SOCKET)?;
        // Whatever rang before a panic may still wait in the channel.
        bell.ring();
        loop {
            let next = self.send_announcements();
            let tokens = poller.wait(next)?;
            if self.obey(commands, bell) {
                return Ok(());
            }
            if !tokens.is_empty() {
                self.take_reports()?;
            }
        }
    }

    /// Returns true when the last handle is gone. Announcements go out between two commands.
    fn obey(&mut self, commands: &Receiver<Command>, bell: &Bell) -> bool {
        for _ in 0..BATCH {
            match commands.try_recv() {
                Ok(command) => self.carry_out(command),
                Err(TryRecvError::Disconnected) => return true,
                Err(TryRecvError::Empty) => return false,
            }
            self.send_announcements();
        }
        bell.ring();
        false
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Subscribe(subscriber) => self.subscribe(subscriber),
            Command::Snapshot(reply) => drop(reply.try_send(self.snapshot())),
            Command::Recover(configured) => self.recover(&configured),
            Command::Remember(configured) => self.remember(configured),
            Command::Leave => self.leaving = true,
            Command::Forget => self.estate.memory.forget(),
            Command::SetPace(pace) => self.announcer.set_pace(pace),
            Command::Schedule(scheduling) => scheduling.apply(),
            Command::SetAddresses { owner, addresses } => self.set(&owner, &addresses),
            Command::ClearAddresses { owner, addresses } => self.clear(&owner, &addresses),
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

    fn recover(&mut self, configured: &[AddressSpec]) {
        let mut left = self.estate.memory.recall();
        left.extend_from_slice(configured);
        let mut seen = BTreeSet::new();
        let left = left.iter().filter(|spec| !self.is_owned(spec) && self.stands(spec));
        let left: Vec<_> = left.filter(|spec| seen.insert((&spec.interface, spec.address))).collect();
        for spec in &left {
            tracing::info!(target: "vrrp", "removing {spec}, left behind by a daemon that did not stop cleanly");
        }
        self.delete(&left);
        self.remember(configured.to_vec());
    }

    fn remember(&self, mut configured: Vec<AddressSpec>) {
        configured.extend(self.estate.owned.values().map(|owned| owned.spec.clone()));
        self.estate.memory.store(&configured);
    }

    fn set(&mut self, owner: &Arc<str>, addresses: &[AddressSpec]) {
        let (mut placed, mut requests) = (Vec::with_capacity(addresses.len()), Vec::with_capacity(addresses.len()));
        for spec in addresses {
            match self.index(spec) {
                NO_INTERFACE => tracing::warn!(target: "vrrp", "({owner}) cannot set {spec}: no such interface"),
                index => {
                    placed.push((spec, index));
                    requests.push(spec.add(index));
                }
            }
        }
        for ((spec, index), outcome) in placed.into_iter().zip(self.kernel.carry_out(&mut requests)) {
            match outcome {
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

    fn clear(&mut self, owner: &Arc<str>, addresses: &[AddressSpec]) {
        self.announcer.cancel(owner);
        let standing: Vec<_> = addresses.iter().filter(|spec| self.is_owned(spec) || self.stands(spec)).collect();
        self.delete(&standing);
    }

    fn delete(&mut self, addresses: &[&AddressSpec]) {
        let placed: Vec<_> = addresses.iter().map(|spec| (*spec, self.index(spec))).collect();
        let mut requests: Vec<Message> = placed.iter().map(|(spec, index)| spec.delete(*index)).collect();
        for (spec, index) in &placed {
            self.estate.owned.remove(&(*index, spec.address));
        }
        for ((spec, index), outcome) in placed.into_iter().zip(self.kernel.carry_out(&mut requests)) {
            match outcome {
                Ok(()) => {
                    self.expect_removal(index, spec.address);
                    self.restore_siblings(index, spec);
                }
                Err(Errno::EADDRNOTAVAIL | Errno::ENODEV) => {}
                Err(error) => tracing::warn!(target: "vrrp", "cannot remove {spec}: {}", error.desc()),
            }
        }
    }

    /// Unless `promote_secondaries` is set, the kernel removes all IPv4 addresses of a network with the first of them;
    /// those that other routers hold are put back at once.
    fn restore_siblings(&mut self, index: u32, removed: &AddressSpec) {
        if self.leaving || self.table.is_secondary(index, removed.address) {
            return;
        }
        let held = self.estate.owned.iter().filter(|((on, _), owned)| *on == index && owned.spec.is_sibling(removed));
        let siblings: Vec<AddressSpec> = held.map(|(_, owned)| owned.spec.clone()).collect();
        for spec in siblings {
            match self.kernel.ask(spec.add(index)) {
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

    fn take_reports(&mut self) -> io::Result<()> {
        let mut changes = Vec::new();
        for _ in 0..BATCH {
            match self.reports.hear()? {
                Heard::Messages(messages) => messages.iter().for_each(|message| self.read(message, &mut changes)),
                Heard::Nothing => break,
                Heard::Overrun => self.resynchronise(),
            }
        }
        changes.into_iter().for_each(|change| self.take_change(change));
        Ok(())
    }

    /// Hundreds of addresses come at once when routers become master: of an interface that changes again and again, only
    /// the last picture is news.
    fn read(&mut self, message: &Message, changes: &mut Vec<Change>) {
        let NetlinkPayload::InnerMessage(message) = &message.payload else { return };
        for change in self.table.apply(message) {
            if let (Some(Change::Changed(last)), Change::Changed(next)) = (changes.last(), &change)
                && last.index == next.index
                && last.is_usable() == next.is_usable()
            {
                changes.pop();
            }
            changes.push(change);
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
    fn resynchronise(&mut self) {
        tracing::warn!(target: "vrrp", "the kernel dropped netlink messages; reading all interfaces again");
        match self.kernel.read_table() {
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
