//! The sockets that the configured routers need, opened and closed as interfaces come and go.

use super::event::SocketView;
use super::slots::Slots;
use super::socket::{AdvertSocket, Outgoing, Place};
use crate::poller::{FIRST_SOCKET, Poller};
use standfast_vrrp::packet::{PROTOCOL_AH, PROTOCOL_VRRP};
use standfast_vrrp::{Authentication, Family, Link, NodeConfig, RouterConfig};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};

/// Interface, family and IP protocol.
type Key = (Link, Family, u8);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Served {
    Multicast(IpAddr),
    Unicast(Option<IpAddr>),
}

struct Open {
    token: u64,
    socket: AdvertSocket,
}

/// Open sockets by what they serve.
#[derive(Default)]
pub(super) struct Sockets {
    wanted: BTreeMap<Key, BTreeSet<IpAddr>>,
    /// What each socket serves, a multicast group or the source of unicast adverts, and which routers.
    served: BTreeMap<(Key, Served), Vec<(String, u8)>>,
    open: BTreeMap<Key, Open>,
    tokens: BTreeMap<u64, Key>,
    next: u64,
}

impl Sockets {
    /// Wants sockets for these routers from here on; call [`Sockets::align`] afterwards.
    pub(super) fn want(&mut self, config: &NodeConfig) {
        self.wanted.clear();
        self.served.clear();
        for router in config.routers.iter().flat_map(RouterConfig::halves) {
            let key = (router.link, router.family, protocol(router));
            let groups = self.wanted.entry(key).or_default();
            let served = if router.unicast_peers.is_empty() {
                groups.insert(router.multicast_group);
                Served::Multicast(router.multicast_group)
            } else {
                Served::Unicast(router.source)
            };
            self.served.entry((key, served)).or_default().push((router.name.clone(), router.vrid));
        }
    }

    /// keepalived's words for what is open; a file descriptor of -1 is none.
    pub(super) fn lines(&self, slots: &Slots) -> Vec<String> {
        let line = |(key, served): &(Key, Served)| {
            let index = slots.get(key.0).and_then(|slot| slot.interface.as_ref()).map_or(0, |known| known.index);
            let fd = self.open.get(key).map_or(-1, |open| open.socket.as_fd().as_raw_fd());
            let (kind, address) = match served {
                Served::Multicast(group) => ("multicast", Some(*group)),
                Served::Unicast(source) => (", unicast", source.or_else(|| slots.get(key.0)?.told_source(key.1))),
            };
            let address = address.map_or_else(|| "any".to_owned(), |address| address.to_string());
            let (family, protocol) = (key.1, key.2);
            format!("ifindex({index:3}), family({family}), proto({protocol}), fd({fd},{fd}) {kind}, address({address})")
        };
        self.served.keys().map(line).collect()
    }

    pub(super) fn views(&self, slots: &Slots) -> Vec<SocketView> {
        let view = |((key, served), routers): (&(Key, Served), &Vec<(String, u8)>)| SocketView {
            descriptor: self.open.get(key).map(|open| open.socket.as_fd().as_raw_fd()),
            link: key.0,
            family: key.1,
            protocol: key.2,
            unicast: match served {
                Served::Multicast(_) => None,
                Served::Unicast(source) => Some(source.or_else(|| slots.get(key.0)?.told_source(key.1))),
            },
            routers: routers.clone(),
        };
        self.served.iter().map(view).collect()
    }

    /// As [`Sockets::want`], and what was wanted before stays wanted.
    pub(super) fn want_besides(&mut self, config: &NodeConfig) {
        let before = std::mem::take(&mut self.wanted);
        self.want(config);
        for (key, groups) in before {
            self.wanted.entry(key).or_insert(groups);
        }
    }

    /// Opens what is wanted and possible, closes the rest. A socket at the right place is left alone.
    pub(super) fn align(&mut self, slots: &Slots, poller: &Poller) {
        let places: BTreeMap<Key, Place> =
            self.wanted.iter().filter_map(|(key, groups)| Some((*key, place(*key, groups, slots)?))).collect();
        self.open.retain(|key, open| places.get(key) == Some(open.socket.place()));
        for (key, place) in places {
            if !self.open.contains_key(&key) {
                self.open(key, place, poller);
            }
        }
        self.tokens = self.open.iter().map(|(key, open)| (open.token, *key)).collect();
    }

    /// Failing to open is no end: the interface may be on its way out, and the next report about it tries again.
    fn open(&mut self, key: Key, place: Place, poller: &Poller) {
        let token = FIRST_SOCKET + self.next;
        let name = place.interface.as_ref().map_or_else(|| "any".to_owned(), |(name, _)| name.clone());
        let opened = AdvertSocket::open(place).and_then(|socket| {
            poller.watch(&socket, token)?;
            Ok(socket)
        });
        match opened {
            Ok(socket) => {
                self.next += 1;
                self.open.insert(key, Open { token, socket });
            }
            Err(error) => tracing::warn!(target: "vrrp", "cannot open a VRRP socket on interface {name}: {error}"),
        }
    }

    /// The socket that reported data, with the link and protocol that it serves.
    pub(super) fn readable(&self, token: u64) -> Option<(Link, u8, &AdvertSocket)> {
        let key = self.tokens.get(&token)?;
        self.open.get(key).map(|open| (key.0, key.2, &open.socket))
    }

    pub(super) fn send(&self, link: Link, advert: &Outgoing<'_>) -> nix::Result<()> {
        let key = (link, Family::of(&advert.source), advert.protocol);
        self.open.get(&key).ok_or(nix::Error::ENODEV)?.socket.send(advert)
    }
}

fn protocol(router: &RouterConfig) -> u8 {
    if matches!(router.authentication, Authentication::Ah(_)) { PROTOCOL_AH } else { PROTOCOL_VRRP }
}

fn place(key: Key, groups: &BTreeSet<IpAddr>, slots: &Slots) -> Option<Place> {
    let (link, family, protocol) = key;
    let interface = match link {
        Link(0) => None,
        link => slots.get(link)?.interface.as_ref().map(|known| (known.name.clone(), known.index)).map(Some)?,
    };
    Some(Place { interface, family, protocol, groups: groups.clone() })
}
