//! All services and destinations, and the changes that the daemon makes to them.

use std::net::IpAddr;

use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use super::destination::{Destination, admit};
use super::{DestinationConfig, Error, Forwarding, Protocol, ServiceConfig, ServiceId, ServiceKey, Sources};
use crate::connection::NONE;
use crate::scheduler::{Flow, Pool, Schedule};
use crate::stats::{Estimator, Rates, Stats};

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) config: ServiceConfig,
    /// Numbers of its destinations: the latest added first, as in the kernel.
    pub(crate) order: Vec<u32>,
    /// The source addresses of full NAT.
    pub(crate) sources: Sources,
    scheduler: Box<dyn Schedule>,
    pub(crate) stats: Stats,
    pub(crate) estimator: Estimator,
}

impl Service {
    /// Whether connections to other ports of its address may be its clients' FTP data.
    pub(crate) fn takes_ftp_data(&self) -> bool {
        is_ftp(&self.config.id) && self.config.persistence.is_some()
    }
}

/// A service as `ipvsadm -Ln` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceView {
    /// Its configuration.
    pub config: ServiceConfig,
    /// Its counters.
    pub stats: Stats,
    /// Its rates as of the latest even second.
    pub rates: Rates,
}

/// Hashes service keys with the director's seed.
#[derive(Debug, Clone, Copy)]
struct Seeded([u64; 2]);

impl std::hash::BuildHasher for Seeded {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0[0], self.0[1])
    }
}

#[derive(Debug)]
pub(crate) struct Registry {
    services: Vec<Option<Service>>,
    numbers: HashMap<ServiceId, u32, Seeded>,
    destinations: Vec<Destination>,
    /// The tick as of the latest change.
    now: u64,
    marks: usize,
    ftp: usize,
    /// How many services each virtual address of IPv4 has.
    addresses: HashMap<IpAddr, usize, Seeded>,
    seed: [u64; 2],
}

impl Registry {
    pub(crate) fn new(seed: [u64; 2]) -> Registry {
        Registry {
            services: Vec::new(),
            numbers: HashMap::with_hasher(Seeded(seed)),
            destinations: Vec::new(),
            now: 0,
            marks: 0,
            ftp: 0,
            addresses: HashMap::with_hasher(Seeded(seed)),
            seed,
        }
    }

    /// The tick of the changes to come.
    pub(crate) fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// Whether it is the host's own address, from which no packet comes in. Linux asks that of IPv4 only.
    pub(crate) fn is_virtual(&self, address: IpAddr) -> bool {
        self.addresses.get(&address).is_some_and(|services| *services > 0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The service for a packet: by mark, by its port, as FTP's data, or one of all ports.
    pub(crate) fn find(&self, mark: u32, protocol: Protocol, address: IpAddr, port: u16) -> Option<u32> {
        let number = |id| self.numbers.get(&id).copied();
        let by_key = |port| number(ServiceId::Address(ServiceKey { protocol, address, port }));
        let by_mark = (mark != 0 && self.marks != 0).then(|| number(ServiceId::Fwmark(mark))).flatten();
        by_mark.or_else(|| by_key(port)).or_else(|| self.find_ftp(protocol, address, port)).or_else(|| by_key(0))
    }

    fn find_ftp(&self, protocol: Protocol, address: IpAddr, port: u16) -> Option<u32> {
        let key = ServiceKey { protocol, address, port }.of_ftp_data().filter(|_| self.ftp > 0)?;
        let number = self.numbers.get(&ServiceId::Address(key)).copied()?;
        self.service(number).filter(|service| service.takes_ftp_data()).map(|_| number)
    }

    /// The destination of a connection that another director has told of: the service's of that address, and of that
    /// port or of all.
    pub(crate) fn find_destination(
        &self,
        mark: u32,
        protocol: Option<Protocol>,
        service: (IpAddr, u16),
        server: (IpAddr, u16),
    ) -> Option<u32> {
        let by_mark = || self.numbers.get(&ServiceId::Fwmark(mark)).copied().filter(|_| mark != 0);
        let number = match protocol {
            Some(protocol) => self.find(mark, protocol, service.0, service.1)?,
            None => by_mark()?,
        };
        let of_mark = matches!(self.service(number)?.config.id, ServiceId::Fwmark(_));
        let exact = self.position_of(number, server.0, server.1);
        let any_port = || {
            let service = self.service(number)?;
            let fits = |held: &Destination| held.config.address == server.0 && (of_mark || held.config.port == 0);
            service.order.iter().copied().find(|held| self.destination(*held).is_some_and(fits))
        };
        exact.map(|(_, number)| number).or_else(any_port)
    }

    pub(crate) fn service(&self, number: u32) -> Option<&Service> {
        self.services.get(number as usize)?.as_ref()
    }

    #[inline]
    pub(crate) fn service_mut(&mut self, number: u32) -> Option<&mut Service> {
        self.services.get_mut(number as usize)?.as_mut()
    }

    pub(crate) fn destination(&self, number: u32) -> Option<&Destination> {
        self.destinations.get(number as usize)
    }

    #[inline]
    pub(crate) fn destination_mut(&mut self, number: u32) -> Option<&mut Destination> {
        self.destinations.get_mut(number as usize)
    }

    /// Takes two seconds' events into the rates.
    pub(crate) fn estimate(&mut self) {
        for service in self.services.iter_mut().flatten() {
            service.estimator.update(&service.stats);
        }
        for destination in &mut self.destinations {
            destination.estimator.update(&destination.stats);
        }
    }

    /// All services, in the order of their addresses.
    pub(crate) fn services(&self) -> Vec<&Service> {
        let mut services: Vec<_> = self.services.iter().flatten().collect();
        services.sort_by_key(|service| service.config.id);
        services
    }

    /// Destinations in use and those that connections still refer to.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.destinations.iter().filter(|destination| destination.available || destination.references() > 0)
    }

    pub(crate) fn service_of(&self, id: &ServiceId) -> Result<&Service, Error> {
        self.number(id).and_then(|number| self.service(number).ok_or(Error::NoSuchService))
    }

    /// Lets the service's scheduler choose.
    pub(crate) fn schedule(&mut self, number: u32, flow: &Flow) -> Option<u32> {
        let service = self.services.get_mut(number as usize)?.as_mut()?;
        service.scheduler.pick(Pool::new(&service.order, &self.destinations), flow)
    }

    pub(crate) fn add_service(&mut self, config: ServiceConfig) -> Result<(), Error> {
        check(&config)?;
        if self.numbers.contains_key(&config.id) {
            return Err(Error::ServiceExists);
        }
        let id = config.id;
        let scheduler = config.scheduler.build(config.flags, self.seed);
        let sources = Sources::new(&config.full_nat);
        let service = Service {
            config,
            order: Vec::new(),
            sources,
            scheduler,
            stats: Stats::default(),
            estimator: Estimator::default(),
        };
        let number = self.place(service);
        self.numbers.insert(id, number);
        self.marks += usize::from(matches!(id, ServiceId::Fwmark(_)));
        self.ftp += usize::from(is_ftp(&id));
        if let ServiceId::Address(key @ ServiceKey { address: IpAddr::V4(_), .. }) = id {
            *self.addresses.entry(key.address).or_default() += 1;
        }
        Ok(())
    }

    fn place(&mut self, service: Service) -> u32 {
        let number = self.services.iter().position(Option::is_none).unwrap_or(self.services.len());
        match self.services.get_mut(number) {
            Some(place) => *place = Some(service),
            None => self.services.push(Some(service)),
        }
        number as u32
    }

    pub(crate) fn edit_service(&mut self, config: ServiceConfig) -> Result<(), Error> {
        check(&config)?;
        let number = self.number(&config.id)?;
        let seed = self.seed;
        let service = self.services.get_mut(number as usize).and_then(Option::as_mut).ok_or(Error::NoSuchService)?;
        if (service.config.scheduler, service.config.flags) != (config.scheduler, config.flags) {
            service.scheduler = config.scheduler.build(config.flags, seed);
            service.scheduler.changed(Pool::new(&service.order, &self.destinations));
        }
        service.sources = Sources::new(&config.full_nat);
        service.config = config;
        Ok(())
    }

    /// Sets counters to zero: of one service and its destinations, or of all.
    pub(crate) fn zero(&mut self, id: Option<&ServiceId>) -> Result<(), Error> {
        let numbers: Vec<u32> = match id {
            Some(id) => vec![self.number(id)?],
            None => self.numbers.values().copied().collect(),
        };
        for number in numbers {
            let Some(service) = self.services.get_mut(number as usize).and_then(Option::as_mut) else { continue };
            service.stats = Stats::default();
            service.estimator.restart();
            for destination in &service.order {
                if let Some(destination) = self.destinations.get_mut(*destination as usize) {
                    destination.stats = Stats::default();
                    destination.estimator.restart();
                }
            }
        }
        Ok(())
    }

    pub(crate) fn remove_service(&mut self, id: &ServiceId) -> Result<(), Error> {
        let number = self.number(id)?;
        let service = self.services.get_mut(number as usize).and_then(Option::take);
        for destination in service.iter().flat_map(|service| &service.order) {
            if let Some(destination) = self.destinations.get_mut(*destination as usize) {
                destination.leave(self.now);
                destination.owner = NONE;
            }
        }
        self.numbers.remove(id);
        self.marks -= usize::from(matches!(id, ServiceId::Fwmark(_)));
        self.ftp -= usize::from(is_ftp(id));
        if let ServiceId::Address(key) = id
            && let Some(services) = self.addresses.get_mut(&key.address)
        {
            *services -= 1;
        }
        Ok(())
    }

    pub(crate) fn add_destination(&mut self, id: &ServiceId, config: DestinationConfig) -> Result<(), Error> {
        let owner = self.number(id)?;
        let config = admit(config, id)?;
        self.check_sources(owner, &config)?;
        if self.position(owner, &config).is_some() {
            return Err(Error::DestinationExists);
        }
        let number = self.revive(id, owner, &config).unwrap_or_else(|| self.new_destination(id, owner, config));
        self.change(owner, |service| service.order.insert(0, number));
        Ok(())
    }

    fn check_sources(&self, owner: u32, config: &DestinationConfig) -> Result<(), Error> {
        let service = self.service(owner).ok_or(Error::NoSuchService)?;
        let family = |(first, _): &(IpAddr, IpAddr)| first.is_ipv4() == config.address.is_ipv4();
        match config.forwarding {
            Forwarding::FullNat if !service.config.full_nat.sources.iter().any(family) => Err(Error::NoSource),
            _ => Ok(()),
        }
    }

    /// A removed destination comes back with its counters while it is remembered.
    fn revive(&mut self, id: &ServiceId, owner: u32, config: &DestinationConfig) -> Option<u32> {
        let same =
            |old: &Destination| old.is_remembered(self.now) && old.service == *id && same_place(&old.config, config);
        let number = self.destinations.iter().position(same)?;
        let destination = self.destinations.get_mut(number)?;
        destination.edit(config.clone());
        destination.latest_weight = config.weight;
        destination.available = true;
        if destination.owner == NONE {
            // Of a service that was removed too: another one counts from zero.
            destination.stats = Stats::default();
            destination.estimator.restart();
        }
        destination.owner = owner;
        Some(number as u32)
    }

    fn new_destination(&mut self, id: &ServiceId, owner: u32, config: DestinationConfig) -> u32 {
        let destination = Destination::new(config, *id, owner);
        let free = |old: &Destination| !old.available && !old.is_remembered(self.now);
        match self.destinations.iter().position(free) {
            Some(number) => {
                if let Some(place) = self.destinations.get_mut(number) {
                    *place = destination;
                }
                number as u32
            }
            None => {
                self.destinations.push(destination);
                (self.destinations.len() - 1) as u32
            }
        }
    }

    pub(crate) fn edit_destination(&mut self, id: &ServiceId, config: DestinationConfig) -> Result<(), Error> {
        let owner = self.number(id)?;
        let config = admit(config, id)?;
        self.check_sources(owner, &config)?;
        let (_, number) = self.position(owner, &config).ok_or(Error::NoSuchDestination)?;
        if let Some(destination) = self.destination_mut(number) {
            destination.edit(config);
        }
        self.change(owner, |_| ());
        Ok(())
    }

    pub(crate) fn remove_destination(&mut self, id: &ServiceId, address: IpAddr, port: u16) -> Result<(), Error> {
        let owner = self.number(id)?;
        let (position, number) = self.position_of(owner, address, port).ok_or(Error::NoSuchDestination)?;
        if let Some(service) = self.services.get_mut(owner as usize).and_then(Option::as_mut) {
            service.scheduler.removing(Pool::new(&service.order, &self.destinations), number);
        }
        let now = self.now;
        if let Some(destination) = self.destination_mut(number) {
            destination.leave(now);
        }
        self.change(owner, |service| {
            service.order.remove(position);
        });
        Ok(())
    }

    /// Changes a service's list and tells its scheduler.
    fn change(&mut self, owner: u32, change: impl FnOnce(&mut Service)) {
        if let Some(service) = self.services.get_mut(owner as usize).and_then(Option::as_mut) {
            change(service);
            service.scheduler.changed(Pool::new(&service.order, &self.destinations));
        }
    }

    fn number(&self, id: &ServiceId) -> Result<u32, Error> {
        self.numbers.get(id).copied().ok_or(Error::NoSuchService)
    }

    fn position(&self, owner: u32, config: &DestinationConfig) -> Option<(usize, u32)> {
        self.position_of(owner, config.address, config.port)
    }

    /// Where a destination stands in its service's list, and its number.
    fn position_of(&self, owner: u32, address: IpAddr, port: u16) -> Option<(usize, u32)> {
        let service = self.service(owner)?;
        let matches = |number: &u32| {
            self.destination(*number).is_some_and(|held| held.config.address == address && held.config.port == port)
        };
        let position = service.order.iter().position(matches)?;
        Some((position, service.order.get(position).copied().unwrap_or(NONE)))
    }
}

fn is_ftp(id: &ServiceId) -> bool {
    matches!(id, ServiceId::Address(key) if key.is_ftp())
}

fn same_place(old: &DestinationConfig, new: &DestinationConfig) -> bool {
    (old.address, old.port) == (new.address, new.port)
}

fn check(config: &ServiceConfig) -> Result<(), Error> {
    match config.id {
        ServiceId::Address(key) if key.port == 0 && config.persistence.is_none() => Err(Error::ZeroPort),
        ServiceId::Address(key) if config.one_packet && key.protocol != Protocol::Udp => Err(Error::OnePacketNeedsUdp),
        _ => Ok(()),
    }
}
