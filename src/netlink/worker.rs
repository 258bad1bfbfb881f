//! The loop of the netlink thread.

use super::announce::Announcer;
use super::conflict::{Claim, Watch};
use super::estate::{Estate, Owner};
use super::interface::{Change, Interface, Table};
use super::kernel::{Heard, Kernel, Message, Reports};
use super::packet::PacketSocket;
use super::{Command, Event, Subscriber};
use crate::poller::{Bell, FIRST_SOCKET, Poller};
use crate::scheduling::Part;
use netlink_packet_core::NetlinkPayload;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Instant;

/// Commands carried out before the thread looks at its announcements again, and datagrams read before its commands.
const BATCH: usize = 64;

pub(super) struct Worker<'a> {
    pub(super) kernel: Kernel,
    reports: Reports,
    packets: nix::Result<PacketSocket>,
    pub(super) table: Table,
    pub(super) announcer: Announcer,
    pub(super) estate: &'a mut Estate,
    /// Removals of ours whose report is still to come.
    pub(super) expected: HashMap<(u32, IpAddr), u32>,
    /// Losses to be told of after everything else that was reported with them.
    pub(super) losses: Vec<Event>,
    /// Interfaces that were usable when they were last heard of.
    usable: HashMap<u32, bool>,
    /// Whether routes and rules are heard of.
    hears_policy: bool,
    pub(super) leaving: bool,
    pub(super) conflicts: Watch,
    /// Whether addresses came or went since the conflicts were looked for.
    pub(super) addresses_changed: bool,
}

impl<'a> Worker<'a> {
    pub(super) fn open(estate: &'a mut Estate) -> io::Result<Self> {
        let reports = Reports::open()?;
        let mut kernel = Kernel::open()?;
        let table = kernel.read_table()?;
        let (packets, announcer, leaving) = (PacketSocket::open(), Announcer::default(), estate.leaving);
        let usable = table.interfaces().map(|interface| (interface.index, interface.is_usable())).collect();
        let (expected, hears_policy) = (HashMap::new(), false);
        let mut worker = Self {
            kernel,
            reports,
            packets,
            table,
            announcer,
            estate,
            expected,
            losses: Vec::new(),
            usable,
            hears_policy,
            leaving,
            conflicts: Watch::default(),
            addresses_changed: true,
        };
        worker.find_lost();
        worker.tell_losses();
        Ok(worker)
    }

    /// Returns when the last handle is gone; an error means that the kernel's reports have ended.
    pub(super) fn run(mut self, commands: &Receiver<Command>, bell: &Bell) -> io::Result<()> {
        let mut poller = Poller::new(bell.clone())?;
        poller.watch(&self.reports, FIRST_SOCKET)?;
        // Whatever rang before a panic may still wait in the channel.
        bell.ring();
        loop {
            let next = [self.send_announcements(), self.conflicts.next()].into_iter().flatten().min();
            let tokens = poller.wait(next)?;
            if self.obey(commands, bell) {
                return Ok(());
            }
            if tokens.contains(&FIRST_SOCKET) {
                self.take_reports()?;
            }
            self.send_announcements();
            self.look_for_conflicts(&poller);
        }
    }

    fn look_for_conflicts(&mut self, poller: &Poller) {
        let now = Instant::now();
        if std::mem::take(&mut self.addresses_changed) {
            let held = self.estate.virtual_addresses();
            match self.conflicts.set(held) {
                Ok(Some(sockets)) => {
                    for (token, socket) in (FIRST_SOCKET + 1..).zip(sockets) {
                        let _ = poller.watch(socket, token);
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(target: "vrrp", "cannot watch for conflicts of addresses: {error}"),
            }
        }
        self.conflicts.listen(now);
        for claim in self.conflicts.due(now) {
            self.report_conflict(&claim);
        }
    }

    fn report_conflict(&self, claim: &Claim) {
        let Some(owner) = self.estate.holder(claim.index, claim.address) else { return };
        // A bridge hands our own announcements back.
        if self.table.interfaces().any(|interface| interface.mac == Some(claim.mac.0)) {
            return;
        }
        let (address, mac, interface) = (claim.address, claim.mac, self.table.name(claim.index));
        tracing::warn!(
            target: "vrrp",
            "{owner} address {address} on {interface} is also used by {mac}: two masters, or another host with this address"
        );
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
            Command::Remember(configured) => self.estate.remember(configured),
            Command::Leave => self.leaving = true,
            Command::Forget => self.estate.memory.forget(),
            Command::SetPace(pace) => self.announcer.set_pace(pace),
            Command::Schedule(scheduling) => scheduling.apply(Part::Vrrp),
            Command::SetStatics(statics) => self.set_statics(&statics),
            Command::SetSysctls(wanted) => self.estate.sysctls.apply(&wanted),
            Command::SetFirewall(options) => self.estate.firewall.options = options,
            Command::SetVmacs(wanted) => self.set_vmacs(wanted),
            Command::Set { owner, belongings } => self.set(&Owner::Router(owner), &belongings),
            Command::Clear { owner, belongings } => {
                self.announcer.cancel(&owner);
                self.clear(&Owner::Router(owner), &belongings);
            }
            Command::Announce { owner, belongings, rounds } => self.announce(&owner, &belongings.addresses, rounds),
            Command::Announced(reply) => drop(reply.send(self.announcer.sent().clone())),
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

    pub(super) fn publish(&mut self, event: &Event) {
        for subscriber in &mut self.estate.subscribers {
            subscriber(event.clone());
        }
    }

    /// Routes and rules are heard of from the first one that somebody sets: a router with the whole internet's table reports
    /// many.
    pub(super) fn hear_policy(&mut self) {
        if self.hears_policy {
            return;
        }
        match self.reports.hear_policy() {
            Ok(()) => self.hears_policy = true,
            Err(error) => tracing::warn!(target: "vrrp", "cannot watch routes and rules: {error}"),
        }
    }

    /// A link that goes down takes its routes and IPv6 addresses with it, and is told of last; nobody has removed them. So losses
    /// are told of when the kernel is done.
    fn take_reports(&mut self) -> io::Result<()> {
        self.read_reports()?;
        if !self.losses.is_empty() {
            self.kernel.settle();
            self.read_reports()?;
            self.tell_losses();
        }
        Ok(())
    }

    fn tell_losses(&mut self) {
        for loss in std::mem::take(&mut self.losses) {
            self.publish(&loss);
        }
    }

    fn read_reports(&mut self) -> io::Result<()> {
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
        let is_ours = self.kernel.is_author(message);
        let NetlinkPayload::InnerMessage(message) = &message.payload else { return };
        if !is_ours {
            self.policy_removed(message);
        }
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
            Change::Changed(interface) => {
                let index = interface.index;
                let became_usable = self.usable.insert(index, interface.is_usable()) != Some(true);
                let (name, usable) = (interface.name.clone(), interface.is_usable());
                self.publish(&Event::Changed(interface));
                self.tend_vmacs(&name);
                if became_usable && usable {
                    self.restore_statics(&name);
                }
            }
            Change::Removed(interface) => {
                self.clear_renamed(interface.index);
                self.estate.forget_interface(interface.index);
                self.expected.retain(|(index, _), _| *index != interface.index);
                self.usable.remove(&interface.index);
                let name = interface.name.clone();
                self.publish(&Event::Removed(interface));
                self.tend_vmacs(&name);
            }
            Change::AddressRemoved { index, address } => self.address_removed(index, address),
        }
    }

    /// An interface that goes on under another name keeps nothing of what was set on it.
    fn clear_renamed(&mut self, index: u32) {
        if self.table.name(index).is_empty() {
            return;
        }
        let mut requests = self.estate.removals(index);
        // What has gone with another one is no fault.
        let _ = self.kernel.carry_out(&mut requests);
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
        self.restore_policy();
        self.tell_all();
    }

    /// Gives every subscriber the whole picture.
    pub(super) fn tell_all(&mut self) {
        let snapshot = self.snapshot();
        self.publish(&Event::Snapshot(snapshot));
    }

    fn send_announcements(&mut self) -> Option<Instant> {
        let (table, packets) = (&self.table, &self.packets);
        self.announcer.run(Instant::now(), |interface, address| super::frame::send(packets, table, interface, address))
    }
}
