//! What is ours in the kernel's table, and how it gets there. Everything else in it is left alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use standfast_ipvs::{DestinationConfig, ServiceConfig, ServiceId};

use super::census::{Census, place};
use super::order::{Order, Refusal, Shown};
use super::socket::Ipvs;
use crate::health::TableChange;
use crate::ipvsadm::{Method, Server, Service, Target, convert};

/// Something for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Remark {
    /// Something is not as it should be and stays so.
    Error(String),
    /// Something should be seen.
    Warning(String),
}

/// What was put into the table.
#[derive(Debug, Default)]
pub(super) struct Estate {
    census: Census,
    held: BTreeMap<ServiceId, Held>,
}

#[derive(Debug)]
struct Held {
    service: Service,
    /// The kernel has taken it.
    stands: bool,
    servers: BTreeMap<SocketAddr, Server>,
}

impl Held {
    /// Puts the whole service into a table in which it is not.
    fn restore<K: Ipvs>(&mut self, turn: &mut Turn<'_, K>) {
        let target = self.service.target;
        if self.stands {
            let text = format!("Service {} was gone from the kernel's table; it is put back", Shown(&target));
            turn.remarks.push(Remark::Warning(text));
        }
        self.stands = turn.carry_out(&Order::AddService(self.service.clone()));
        if self.stands {
            for server in self.servers.values() {
                turn.carry_out(&Order::AddServer(target, server.clone()));
            }
        }
    }
}

/// A server is added or edited; where it is there already, or gone, it is the other of the two.
#[derive(Debug, Clone, Copy)]
enum Put {
    Add,
    Edit,
}

impl Put {
    fn orders(self, target: Target, server: Server) -> [Order; 2] {
        let (add, edit) = (Order::AddServer(target, server.clone()), Order::EditServer(target, server));
        match self {
            Put::Add => [add, edit],
            Put::Edit => [edit, add],
        }
    }
}

/// A row of changes under way.
struct Turn<'a, K> {
    kernel: &'a mut K,
    remarks: Vec<Remark>,
}

impl<K: Ipvs> Turn<'_, K> {
    fn refuse(&mut self, order: &Order, refusal: &Refusal) {
        self.remarks.push(Remark::Error(format!("The kernel's IPVS refuses {order}: {}", refusal.words)));
    }

    /// Whether it was done; a refusal is told.
    fn carry_out(&mut self, order: &Order) -> bool {
        let done = self.kernel.order(order);
        if let Err(refusal) = &done {
            self.refuse(order, refusal);
        }
        done.is_ok()
    }

    /// Takes something away; what is gone already needs no word.
    fn take_away(&mut self, order: &Order) {
        match self.kernel.order(order) {
            Err(Refusal { code: libc::ESRCH | libc::ENOENT, .. }) | Ok(()) => {}
            Err(refusal) => self.refuse(order, &refusal),
        }
    }
}

impl Estate {
    /// Takes over what the file says of servers and marks.
    pub(super) fn learn(&mut self, census: Census) {
        self.census = census;
    }

    /// Brings the kernel's table in line with changes, in order.
    pub(super) fn apply(&mut self, changes: &[TableChange], kernel: &mut impl Ipvs) -> Vec<Remark> {
        let mut turn = Turn { kernel, remarks: Vec::new() };
        for (at, change) in changes.iter().enumerate() {
            match change {
                TableChange::AddService(config) => {
                    self.add_service(config, changes.get(at..).unwrap_or_default(), &mut turn);
                }
                TableChange::EditService(config) => self.edit_service(config, &mut turn),
                TableChange::RemoveService(id) => self.remove_service(*id, &mut turn),
                TableChange::AddDestination(id, config) => self.put(*id, config, Put::Add, &mut turn),
                TableChange::EditDestination(id, config) => self.put(*id, config, Put::Edit, &mut turn),
                TableChange::RemoveDestination(id, server) => self.remove_server(*id, *server, &mut turn),
            }
        }
        turn.remarks
    }

    fn add_service<K: Ipvs>(&mut self, config: &ServiceConfig, follows: &[TableChange], turn: &mut Turn<'_, K>) {
        let service = self.service(config);
        let order = Order::AddService(service.clone());
        let stands = match turn.kernel.order(&order) {
            Ok(()) => true,
            Err(Refusal { code: libc::EEXIST, .. }) => self.take_over(config.id, &service, follows, turn),
            Err(refusal) => {
                turn.refuse(&order, &refusal);
                false
            }
        };
        self.held.insert(config.id, Held { service, stands, servers: BTreeMap::new() });
    }

    /// A service of the file's that is there already, as after a daemon that was killed: its options become those of the file, and
    /// servers of the file that shall not serve at present go. Servers that the file does not know are somebody else's.
    fn take_over<K: Ipvs>(
        &self,
        id: ServiceId,
        service: &Service,
        follows: &[TableChange],
        turn: &mut Turn<'_, K>,
    ) -> bool {
        let stands = turn.carry_out(&Order::EditService(service.clone()));
        let target = service.target;
        for found in turn.kernel.servers(&target).unwrap_or_default() {
            let at = SocketAddr::new(found.server.address, found.server.port);
            let comes = |change: &TableChange| matches!(change, TableChange::AddDestination(of, config) if *of == id && place(config) == at);
            if follows.iter().any(comes) {
                continue;
            }
            if self.census.knows(id, at) {
                turn.take_away(&Order::RemoveServer(target, at.ip(), at.port()));
            } else {
                turn.remarks.push(Remark::Warning(format!(
                    "Service {} has a server {at} in the kernel's table that the file does not know; it stays (lvs_flush empties the table at start)",
                    Shown(&target)
                )));
            }
        }
        stands
    }

    fn edit_service<K: Ipvs>(&mut self, config: &ServiceConfig, turn: &mut Turn<'_, K>) {
        let service = self.service(config);
        let Some(held) = self.held.get_mut(&config.id) else { return };
        let before = std::mem::replace(&mut held.service, service.clone());
        if before.target != service.target {
            turn.take_away(&Order::RemoveService(before.target));
            held.stands = false;
            return held.restore(turn);
        }
        let order = Order::EditService(service);
        match turn.kernel.order(&order) {
            Ok(()) => held.stands = true,
            Err(Refusal { code: libc::ESRCH, .. }) => held.restore(turn),
            Err(refusal) => turn.refuse(&order, &refusal),
        }
    }

    fn remove_service<K: Ipvs>(&mut self, id: ServiceId, turn: &mut Turn<'_, K>) {
        if let Some(held) = self.held.remove(&id).filter(|held| held.stands) {
            turn.take_away(&Order::RemoveService(held.service.target));
        }
    }

    fn put<K: Ipvs>(&mut self, id: ServiceId, config: &DestinationConfig, put: Put, turn: &mut Turn<'_, K>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        let (server, target) = (convert::server_of(config), held.service.target);
        if server.method == Method::FullNat {
            let text = format!(
                "The kernel's IPVS has no full NAT: server {} of {} gets no connections",
                place(config),
                Shown(&target)
            );
            return turn.remarks.push(Remark::Error(text));
        }
        held.servers.insert(place(config), server.clone());
        if !held.stands {
            return;
        }
        let [order, otherwise] = put.orders(target, server);
        match turn.kernel.order(&order) {
            Ok(()) => {}
            Err(Refusal { code: libc::ESRCH, .. }) => held.restore(turn),
            Err(Refusal { code: libc::EEXIST | libc::ENOENT, .. }) => {
                turn.carry_out(&otherwise);
            }
            Err(refusal) => turn.refuse(&order, &refusal),
        }
    }

    fn remove_server<K: Ipvs>(&mut self, id: ServiceId, server: SocketAddr, turn: &mut Turn<'_, K>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        if held.servers.remove(&server).is_some() && held.stands {
            turn.take_away(&Order::RemoveServer(held.service.target, server.ip(), server.port()));
        }
    }

    /// A service as the kernel has it: that of a mark has a family.
    fn service(&self, config: &ServiceConfig) -> Service {
        let service = convert::service(config);
        match service.target {
            Target::Mark { mark, .. } if self.census.is_ipv6(mark) => {
                let whole = service.prefix <= 32;
                let prefix = if whole { 128 } else { service.prefix };
                Service { target: Target::Mark { mark, ipv6: true }, prefix, ..service }
            }
            _ => service,
        }
    }
}
