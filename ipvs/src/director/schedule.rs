//! Opening connections: the scheduler, or the template that remembers the client.

use super::path::{Packet, Path, Target};
use crate::address::Address;
use crate::connection::state::ticks;
use crate::connection::tcp::View;
use crate::connection::{Connection, Key, Links, Method, NONE, State};
use crate::forward::nat;
use crate::forward::proxy::Prologue;
use crate::packet::checksum::Change;
use crate::packet::icmp::IcmpError;
use crate::packet::segment::TcpFlags;
use crate::persistence::{Persistence, PersistenceEngine, call_id};
use crate::scheduler::Flow;
use crate::service::{Destination, Protocol, ServiceId};
use crate::verdict::{Decision, DropReason, HopId, PassReason};

/// Sources in use that are passed over for one connection: with more, the pool is as good as exhausted.
const SOURCE_PROBES: usize = 256;
const FULL: Decision = Decision::Drop(DropReason::ConnectionLimit);

/// A destination chosen, with the template that it was chosen by.
#[derive(Debug, Clone, Copy)]
struct Choice {
    destination: u32,
    control: u32,
}

impl<A: Address> Path<'_, A> {
    /// Schedules a packet's connection and makes its entry.
    pub(super) fn open(&mut self, service: u32, packet: &Packet<'_, '_, A>) -> Result<Target<A>, Decision> {
        let persistence = self.core.registry.service(service).and_then(|service| service.config.persistence);
        let choice = match persistence {
            Some(persistence) => self.choose_by_template(service, packet, persistence)?,
            None => Choice { destination: self.choose(service, packet)?, control: NONE },
        };
        let mut target = self.target(service, packet, choice, persistence.is_some())?;
        if target.method == Method::FullNat {
            target.source = self.source(service, packet, &target)?;
            target.inserted = self.prologue(service, packet).map_or(0, |prologue| prologue.mark());
        }
        if target.method == Method::FullNat || !self.is_one_packet(service, packet) {
            self.remember(packet, choice, target)?;
        } else if choice.control != NONE && self.core.sync.is_some() {
            self.tell_template_alone(choice.control, packet);
        }
        self.count_connection(service, choice.destination, packet.header.end);
        Ok(target)
    }

    /// Asks the scheduler; without a destination the client gets "port unreachable".
    fn choose(&mut self, service: u32, packet: &Packet<'_, '_, A>) -> Result<u32, Decision> {
        let flow = Flow {
            source: packet.header.source.ip(),
            source_port: packet.segment.source_port,
            destination: packet.header.destination.ip(),
            now: self.tick,
        };
        match self.core.registry.schedule(service, &flow) {
            Some(destination) => Ok(destination),
            // A connection that may be FTP's data may be anything else too.
            None if self.is_ftp_data(service, packet) => Err(Decision::Pass(PassReason::NotOurs)),
            None => Err(self.reply(packet, IcmpError::PortUnreachable).unwrap_or_else(|decision| decision)),
        }
    }

    fn is_ftp_data(&self, service: u32, packet: &Packet<'_, '_, A>) -> bool {
        let service = self.core.registry.service(service);
        service.is_some_and(|service| {
            service.takes_ftp_data() && service.config.id.port() != packet.segment.destination_port
        })
    }

    fn choose_by_template(
        &mut self,
        service: u32,
        packet: &Packet<'_, '_, A>,
        persistence: Persistence,
    ) -> Result<Choice, Decision> {
        let key = self.template_key(service, packet, persistence)?;
        let choice = match self.valid_template(&key, packet.ingress.mark) {
            Some(choice) => choice,
            None => self.new_template(service, packet, key, ticks(persistence.timeout))?,
        };
        let lifetime = self.table.get(choice.control).map_or(0, |template| template.timeout);
        self.table.prolong(choice.control, self.now.wrapping_add(lifetime));
        Ok(choice)
    }

    /// A template of the service's port remembers that port; one of all ports or of a mark remembers the client only.
    /// One of a call has a number made of the Call-ID in the place of the client.
    fn template_key(
        &self,
        service: u32,
        packet: &Packet<'_, '_, A>,
        persistence: Persistence,
    ) -> Result<Key<A>, Decision> {
        let (client, client_port) = match persistence.engine {
            Some(PersistenceEngine::Sip) if packet.segment.protocol == Protocol::Udp => {
                let id = call_id(packet.payload()).ok_or(Decision::Drop(DropReason::NoCall))?;
                self.table.stand_in(id)
            }
            _ => (packet.header.source.masked(persistence.prefix_len), 0),
        };
        let (protocol, address, port) = match self.core.registry.service(service).map(|service| service.config.id) {
            Some(ServiceId::Fwmark(mark)) => (0, A::from_mark(mark), 0),
            // Clients' data connections go where their control connection went.
            Some(ServiceId::Address(key)) if key.is_ftp() => (packet.header.protocol, packet.header.destination, 0),
            Some(ServiceId::Address(key)) => (packet.header.protocol, packet.header.destination, key.port),
            None => (packet.header.protocol, packet.header.destination, packet.segment.destination_port),
        };
        Ok(Key {
            source: client,
            destination: address,
            source_port: client_port,
            destination_port: port,
            protocol,
            template: true,
        })
    }

    /// The template, if its destination may still be used; otherwise it is hidden until its time is over.
    fn valid_template(&mut self, key: &Key<A>, mark: u32) -> Option<Choice> {
        let (control, _) = self.find_live(key)?;
        self.bind(control, mark);
        let destination = self.table.get(control)?.destination;
        let expire_quiescent = self.core.settings.expire_quiescent_template;
        let usable = self
            .core
            .registry
            .destination(destination)
            .is_some_and(|destination| destination.available && !(expire_quiescent && destination.weight() == 0));
        if !usable {
            self.table.hide_template(control);
            return None;
        }
        Some(Choice { destination, control })
    }

    fn new_template(
        &mut self,
        service: u32,
        packet: &Packet<'_, '_, A>,
        key: Key<A>,
        lifetime: u32,
    ) -> Result<Choice, Decision> {
        let destination = self.choose(service, packet)?;
        let held = self.core.registry.destination(destination);
        let port = held.map_or(0, |held| held.config.port);
        let template = Connection {
            client: key.source,
            service: key.destination,
            server: held.and_then(|held| A::from_ip(held.config.address)).unwrap_or(A::UNSPECIFIED),
            client_port: key.source_port,
            service_port: key.destination_port,
            server_port: if key.destination_port == 0 { 0 } else { port },
            protocol: key.protocol,
            state: State::None,
            method: held.map_or(Method::Local, Destination::method),
            template: true,
            inactive: false,
            heard: 0,
            hop: HopId(0),
            destination,
            control: NONE,
            controlled: 0,
            slot: 0,
            inserted: 0,
            packets: 0,
            expires: self.now.wrapping_add(lifetime),
            timeout: lifetime,
            change: Change::NONE,
            links: Links::NONE,
        };
        let control = self.begin(template).ok_or(FULL)?;
        Ok(Choice { destination, control })
    }

    /// The server's address and port. Under persistence, only packets to the service's own port get the
    /// destination's.
    fn target(
        &self,
        service: u32,
        packet: &Packet<'_, '_, A>,
        choice: Choice,
        persistent: bool,
    ) -> Result<Target<A>, Decision> {
        let internal = Decision::Drop(DropReason::Internal);
        let destination = self.core.registry.destination(choice.destination).ok_or(internal)?;
        let service_port = self.core.registry.service(service).map_or(0, |service| service.config.id.port());
        if let Some(port) = destination.local_port() {
            let (address, asked) = (packet.header.destination, packet.segment.destination_port);
            let change = nat::change((address, asked), (address, port));
            return Ok(Target {
                method: Method::Nat,
                address,
                port,
                change,
                destination: choice.destination,
                source: 0,
                inserted: 0,
            });
        }
        let method = destination.method();
        let address = A::from_ip(destination.config.address);
        let asked = packet.segment.destination_port;
        let own = destination.config.port != 0 && (!persistent || asked == service_port);
        // A tunnel may lead to a server of the other family, which the entry has no room for.
        let elsewhere = matches!(method, Method::Local | Method::Tunnel).then_some(A::UNSPECIFIED);
        let address = address.or(elsewhere).ok_or(internal)?;
        let port = if own { destination.config.port } else { asked };
        let change = nat::change((packet.header.destination, asked), (address, port));
        Ok(Target { method, address, port, change, destination: choice.destination, source: 0, inserted: 0 })
    }

    /// The source that a server behind full NAT will see, packed.
    fn source(&mut self, service: u32, packet: &Packet<'_, '_, A>, target: &Target<A>) -> Result<u32, Decision> {
        let server = (target.address, target.port);
        for _ in 0..SOURCE_PROBES {
            let service = self.core.registry.service(service).ok_or(Decision::Drop(DropReason::Internal))?;
            let pool = A::sources(&service.sources);
            let Some((source, key)) = self.table.next_source(pool, server, packet.header.protocol) else { break };
            if self.find_live(&key).is_none() {
                return Ok(source.pack());
            }
        }
        Err(Decision::Drop(DropReason::SourcesInUse))
    }

    /// The header that is to come before the client's bytes. Of a connection that is met half way it is too late for one.
    fn prologue(&self, service: u32, packet: &Packet<'_, '_, A>) -> Option<Prologue> {
        let told = self.core.registry.service(service)?.config.full_nat.client;
        let Packet { header, segment, .. } = packet;
        let begins = segment.protocol == Protocol::Tcp && segment.flags.has(TcpFlags::SYN);
        let service = (header.destination, segment.destination_port);
        begins.then(|| Prologue::new(told, (header.source, segment.source_port), service)).flatten()
    }

    fn is_one_packet(&self, service: u32, packet: &Packet<'_, '_, A>) -> bool {
        let one_packet = self.core.registry.service(service).is_some_and(|service| service.config.one_packet);
        one_packet && packet.segment.protocol == Protocol::Udp
    }

    fn remember(&mut self, packet: &Packet<'_, '_, A>, choice: Choice, target: Target<A>) -> Result<(), Decision> {
        let connection = Connection {
            client: packet.header.source,
            service: packet.header.destination,
            server: target.address,
            client_port: packet.segment.source_port,
            service_port: packet.segment.destination_port,
            server_port: target.port,
            protocol: packet.header.protocol,
            state: State::None,
            method: target.method,
            template: false,
            inactive: packet.segment.protocol != Protocol::Tcp,
            heard: 0,
            hop: packet.ingress.client_hop,
            destination: choice.destination,
            control: choice.control,
            controlled: 0,
            slot: 0,
            inserted: target.inserted,
            packets: 1,
            expires: self.now,
            timeout: target.source,
            change: target.change,
            links: Links::NONE,
        };
        let id = self.begin(connection).ok_or(FULL)?;
        let view = if target.method.is_two_way() { View::Client } else { View::ClientOnly };
        self.advance(id, view, packet.segment.flags);
        if self.core.sync.is_some() {
            self.tell(id, packet);
        }
        Ok(())
    }

    fn count_connection(&mut self, service: u32, destination: u32, bytes: usize) {
        if let Some(destination) = self.core.registry.destination_mut(destination) {
            destination.stats.connections += 1;
        }
        if let Some(service) = self.core.registry.service_mut(service) {
            service.stats.connections += 1;
        }
        self.core.count_in(destination, bytes);
    }
}
