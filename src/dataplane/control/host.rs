//! What the control thread does about the host: its interfaces, addresses and ways.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use standfast_ipvs::Forwarding;

use super::{Control, model};
use crate::dataplane::claim::Claims;
use crate::dataplane::engine::{Port, Ports};
use crate::dataplane::filter::{self, Instruction};
use crate::dataplane::packet_socket::{attach_ebpf, attach_filter};
use crate::dataplane::territory::Territory;
use crate::dataplane::topology::{Changes, Link, NextHop};
use crate::dataplane::worker::Order;
use crate::dataplane::{Error, LOOPBACK};

/// Addresses that are no servers but were asked for: clients whose way back was forgotten.
const GUESTS: usize = 4096;

impl Control {
    /// Reacts to changes of the host.
    pub(super) fn take_in(&mut self, changes: Changes) {
        if changes.links {
            self.follow_links();
        }
        if changes.addresses
            && let Err(error) = self.install(self.wanted_claims())
        {
            tracing::error!(%error, "the claim does not know the host's addresses any more");
        }
        if changes.hops {
            self.refresh_hops();
        }
    }

    /// What has to be claimed at present.
    pub(super) fn wanted_claims(&self) -> Claims {
        model::claims(&self.shadow, self.topology.own_addresses())
    }

    /// Makes `claims` so, in the order in which no packet is dropped unseen: the filter first, then the claim, and the worker, who
    /// must know what the claim drops.
    pub(super) fn install(&mut self, claims: Claims) -> Result<(), Error> {
        if claims == self.claims {
            return Ok(());
        }
        self.attach(&model::union(&self.claims, &claims))?;
        self.claim.update(&claims)?;
        self.will.update(&claims);
        self.divert(&claims);
        self.will.divert(self.diversion.installed());
        self.claims = claims;
        self.send_territory();
        self.attach(&self.claims)
    }

    /// Where the kernel cannot divert packets, whatever needs no mark is served all the same.
    fn divert(&mut self, claims: &Claims) {
        match self.diversion.update(&claims.diverted()) {
            Ok(Some(queue)) => self.worker.send(Order::Queue(Box::new(queue))),
            Ok(None) => {}
            Err(error) => tracing::error!(%error, "some services get no packets; all others are served"),
        }
    }

    /// Tells the worker what the claim covers.
    pub(super) fn send_territory(&self) {
        self.worker.send(Order::Territory(Box::new(Territory::new(self.claims.clone()))));
    }

    /// Has the ways to all servers looked up, so that they are known before the first packet.
    pub(super) fn find_servers(&mut self) {
        let remote = |d: &standfast_ipvs::DestinationView| d.config.forwarding != Forwarding::Local;
        let services = self.shadow.services();
        let destinations = services.iter().filter_map(|s| self.shadow.destinations(&s.config.id).ok()).flatten();
        self.servers = destinations.filter(remote).map(|d| d.config.address).filter(|a| !a.is_loopback()).collect();
        self.known.retain(|address, _| self.servers.contains(address) || self.guests.contains(address));
        let unknown: Vec<_> = self.servers.iter().filter(|a| !self.known.contains_key(a)).copied().collect();
        unknown.into_iter().for_each(|address| self.find(address));
    }

    /// Looks an address up for the worker, and has a neighbour that did not answer asked again.
    pub(super) fn resolve(&mut self, address: IpAddr) {
        if !self.servers.contains(&address) {
            if self.guests.len() >= GUESTS {
                self.guests.clear();
                self.known.retain(|known, _| self.servers.contains(known));
            }
            self.guests.insert(address);
        }
        self.known.remove(&address);
        self.find(address);
        if self.known.get(&address) == Some(&NextHop::Unreachable) {
            self.topology.retry(address);
        }
    }

    fn find(&mut self, address: IpAddr) {
        let next = self.topology.next_hop(address);
        if self.known.insert(address, next) != Some(next) {
            tracing::trace!(%address, ?next, "next hop");
            self.worker.send(Order::Hop(address, next));
        }
    }

    fn refresh_hops(&mut self) {
        let addresses: Vec<_> = self.known.keys().copied().collect();
        addresses.into_iter().for_each(|address| self.find(address));
    }

    fn follow_links(&mut self) {
        let usable = |link: &Link| link.usable;
        let links = self.topology.links();
        let wanted: BTreeMap<u32, String> =
            links.iter().filter(|(_, link)| usable(link)).map(|(index, link)| (*index, link.name.clone())).collect();
        let refused = self.claim.hook(&wanted);
        self.will.hook(&wanted);
        self.report_unhooked(&refused);
        let hooked = |index: &u32| wanted.contains_key(index) && !self.unhooked.contains(index);
        let links = self.topology.links();
        let port = |(index, link): (&u32, &Link)| (*index, Port { mac: link.mac, mtu: link.mtu });
        let ports: Ports = links.iter().filter(|(index, _)| hooked(index)).map(port).collect();
        self.ignored =
            links.keys().filter(|index| !ports.contains_key(index) && **index != LOOPBACK).copied().collect();
        if *self.ports != ports {
            self.ports = Arc::new(ports);
            self.programs.iter_mut().for_each(|programs| programs.follow(&self.ports));
            self.worker.send(Order::Ports(Arc::clone(&self.ports)));
        }
        if let Err(error) = self.attach(&self.claims) {
            tracing::error!(%error, "the packet filter is not up to date");
        }
    }

    /// An interface without the claim is none of ours: the host's own stack would answer beside the engine.
    fn report_unhooked(&mut self, refused: &[(u32, Error)]) {
        let links = self.topology.links();
        for (index, error) in refused.iter().filter(|(index, _)| !self.unhooked.contains(index)) {
            let name = links.get(index).map(|link| link.name.as_str());
            tracing::error!(%error, interface = name, "packets of virtual services are left to the host's own stack on this interface");
        }
        self.unhooked = refused.iter().map(|(index, _)| *index).collect::<BTreeSet<_>>();
    }

    fn attach(&self, claims: &Claims) -> Result<(), Error> {
        let program = filter::program(claims, &self.ignored);
        if self.attach_with_lookup(&program) {
            return Ok(());
        }
        attach_filter(&self.receiver, &program).map_err(|e| Error::socket("attach the packet filter", e))
    }

    /// Attaches the filter that looks for carried flows before anything else. Without it none is carried: the engine gets their packets.
    fn attach_with_lookup(&self, program: &[Instruction]) -> bool {
        let Some(programs) = &self.programs else { return false };
        let attached = programs.filter(program).and_then(|filter| attach_ebpf(&self.receiver, &filter));
        attached.inspect_err(|error| tracing::warn!(%error, "the kernel carries no connections")).is_ok()
    }
}
