//! The engine's part: from what the director offers to flows with their ways, and the turn's end.

use std::time::Instant;

use standfast_ipvs::{Course, Offer};

use super::Legs;
use crate::dataplane::engine::Engine;
use crate::dataplane::hops::Hop;
use crate::dataplane::offload::{Carriage, Flow};
use crate::dataplane::topology::NextHop;

impl Engine {
    /// Hears what the director says after a packet.
    #[cold]
    pub(in crate::dataplane) fn attend_carriage(&mut self, now: Instant) {
        let Some(mut carrying) = self.carrying.take() else { return };
        carrying.settle(&mut self.director, now);
        if let Some(offer) = self.director.take_offer() {
            let can = |hop: Hop| carrying.kernel.carries_on(hop.interface);
            match self.legs(&offer, now).filter(|legs| legs.arrivals().all(can)) {
                Some(legs) => carrying.accept(&mut self.director, offer.connection, legs, now),
                None => self.director.decline(offer.connection),
            }
        }
        self.carrying = Some(carrying);
    }

    /// The turn's end: flows begin and end, and some slots are read. True while there is more to read.
    pub(in crate::dataplane) fn tend_carriage(&mut self, ring_is_empty: bool, now: Instant) -> bool {
        let Some(carrying) = &mut self.carrying else { return false };
        if self.director.has_carriage_news() {
            carrying.settle(&mut self.director, now);
        }
        carrying.enter(&mut self.director, ring_is_empty, now);
        carrying.go_round(&mut self.director, now)
    }

    /// Has everything that was carried before credited by the end of the round that begins.
    pub(in crate::dataplane) fn read_carriage(&mut self) {
        if let Some(carrying) = &mut self.carrying {
            carrying.begin_round();
        }
    }

    /// When to call [`Engine::tend_carriage`] next.
    pub(in crate::dataplane) fn poll_carriage(&self) -> Option<Instant> {
        self.carrying.as_ref()?.due()
    }

    /// Something has changed that all flows may depend on.
    pub(in crate::dataplane) fn void_carriage(&mut self) {
        if let Some(carrying) = &mut self.carrying {
            carrying.void(&mut self.director);
        }
    }

    /// A way is known that was not: what was declined for want of it may be offered again.
    pub(in crate::dataplane) fn renew_carriage(&mut self) {
        self.director.renew_offers();
    }

    /// The ways of an offered connection, if they are known and lead through interfaces of ours.
    fn legs(&mut self, offer: &Offer, now: Instant) -> Option<Legs> {
        let client = self.hops.get(offer.client_hop.0)?;
        let port = self.ports.get(&client.interface)?;
        let way_back = Way { interface: client.interface, target: client.mac, sender: port.mac, mtu: port.mtu };
        let NextHop::Via { interface, mac, source, mtu, .. } = self.routes.way(offer.server, now).next else {
            return None;
        };
        let way = Way { interface, target: mac, sender: source, mtu };
        let to_client = match &offer.to_client {
            Some(course) => Some(way_back.leg(offer.protocol, course, self.hops.get(offer.sender_hop.0)?)),
            None => None,
        };
        Some(Legs { to_server: way.leg(offer.protocol, &offer.to_server, client), to_client })
    }
}

/// The link level of a flow that leaves.
struct Way {
    interface: u32,
    target: [u8; 6],
    sender: [u8; 6],
    mtu: usize,
}

impl Way {
    fn leg(&self, protocol: u8, course: &Course, from: Hop) -> (Flow, Carriage) {
        let flow = Flow {
            protocol,
            source: course.arrives.source,
            destination: course.arrives.destination,
            interface: from.interface,
            neighbour: from.mac,
        };
        let carriage = Carriage {
            source: course.leaves.source,
            destination: course.leaves.destination,
            interface: self.interface,
            target: self.target,
            sender: self.sender,
            mtu: u32::try_from(self.mtu).unwrap_or(u32::MAX),
        };
        (flow, carriage)
    }
}

impl Legs {
    /// Where the flows arrive.
    fn arrivals(&self) -> impl Iterator<Item = Hop> {
        let flows = [Some(&self.to_server), self.to_client.as_ref()].into_iter().flatten();
        flows.map(|(flow, _)| Hop { interface: flow.interface, mac: flow.neighbour })
    }
}
