//! The host's interfaces, addresses and neighbours, followed by rtnetlink.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::socket::SockProtocol;

use super::netlink::{CREATE, DUMP, REQUEST, Received, Socket, Writer, attributes, field16, field32};

/// An Ethernet address.
pub(super) type Mac = [u8; 6];

const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const DELETE_ADDRESS: u16 = 21;
const GET_ADDRESS: u16 = 22;
const NEW_ROUTE: u16 = 24;
const DELETE_ROUTE: u16 = 25;
const GET_ROUTE: u16 = 26;
const NEW_NEIGHBOUR: u16 = 28;
const DELETE_NEIGHBOUR: u16 = 29;
const GET_NEIGHBOUR: u16 = 30;

const GROUP_LINK: u32 = 0x1;
const GROUP_NEIGHBOUR: u32 = 0x4;
const GROUP_ADDRESS: u32 = 0x10 | 0x100;
const GROUP_ROUTE: u32 = 0x40 | 0x400;

const ETHERNET: u16 = 1;
const INTERFACE_UP: u32 = 1;
const FAMILY_V4: u8 = libc::AF_INET as u8;
const FAMILY_V6: u8 = libc::AF_INET6 as u8;
const STATE_STALE: u16 = 0x04;
const STATE_FAILED: u16 = 0x20;
/// REACHABLE, STALE, DELAY, PROBE, NOARP, PERMANENT: the link address may be used.
const STATE_VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const NEIGHBOUR_USE: u8 = 1;

/// Beyond this many the kernel is asked again.
const ROUTES_KEPT: usize = 16 * 1024;

const ROUTE_UNICAST: u8 = 1;
const ROUTE_LOCAL: u8 = 2;

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// Name.
    pub(super) name: String,
    /// Link address.
    pub(super) mac: Mac,
    /// Largest IP packet in bytes.
    pub(super) mtu: usize,
    /// Whether it is set up.
    pub(super) up: bool,
    /// Whether packets arrive on it for the host's own stack with an Ethernet header: not a loopback, no tunnel, no port of a bridge
    /// or bond.
    pub(super) usable: bool,
}

/// An entry of the neighbour table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Neighbour {
    mac: Option<Mac>,
    state: u16,
}

/// Where packets to an address go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextHop {
    /// Through this interface, to this neighbour.
    Via {
        /// Interface index.
        interface: u32,
        /// The neighbour's link address.
        mac: Mac,
        /// The interface's own link address.
        source: Mac,
        /// Largest IP packet in bytes.
        mtu: usize,
        /// The address from which the host would send.
        local: Option<IpAddr>,
    },
    /// The neighbour is being asked for.
    Pending,
    /// No route, or nobody answers.
    Unreachable,
    /// The address is the host's own.
    Local,
}

/// What changed, as far as others care.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Interfaces.
    pub(super) links: bool,
    /// The host's own addresses.
    pub(super) addresses: bool,
    /// Where packets go.
    pub(super) hops: bool,
}

/// The host as the kernel describes it.
#[derive(Debug)]
pub(super) struct Topology {
    events: Socket,
    requests: Socket,
    links: BTreeMap<u32, Link>,
    addresses: BTreeSet<(u32, IpAddr)>,
    neighbours: HashMap<(u32, IpAddr), Neighbour>,
    /// Answers of the kernel, until something changes that may change them.
    routes: HashMap<IpAddr, Option<Route>>,
}

impl Topology {
    /// Subscribes to changes, then reads everything.
    ///
    /// # Errors
    /// What the kernel says.
    pub(super) fn open() -> io::Result<Self> {
        let groups = GROUP_LINK | GROUP_NEIGHBOUR | GROUP_ADDRESS | GROUP_ROUTE;
        let mut topology = Self {
            events: Socket::open(SockProtocol::NetlinkRoute, groups)?,
            requests: Socket::open(SockProtocol::NetlinkRoute, 0)?,
            links: BTreeMap::new(),
            addresses: BTreeSet::new(),
            neighbours: HashMap::new(),
            routes: HashMap::new(),
        };
        topology.read_all()?;
        Ok(topology)
    }

    /// All interfaces by index.
    pub(super) fn links(&self) -> &BTreeMap<u32, Link> {
        &self.links
    }

    /// The host's own addresses.
    pub(super) fn own_addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses.iter().map(|(_, address)| *address).collect()
    }

    /// Takes in the changes that the kernel has announced.
    pub(super) fn follow(&mut self) -> Changes {
        let mut changes = Changes::default();
        loop {
            match self.events.receive() {
                Ok(None) => return changes,
                Ok(Some(datagram)) => {
                    let datagram = datagram.to_vec();
                    super::netlink::messages(&datagram).for_each(|m| self.apply(m, &mut changes));
                }
                Err(error) => {
                    tracing::debug!(%error, "rtnetlink events were lost: reading everything again");
                    if let Err(error) = self.read_all() {
                        tracing::warn!(%error, "read interfaces, addresses and neighbours");
                    }
                    changes = Changes { links: true, addresses: true, hops: true };
                }
            }
        }
    }

    /// Finds where packets to `address` go, and asks the kernel to resolve or confirm the neighbour where that is due.
    pub(super) fn next_hop(&mut self, address: IpAddr) -> NextHop {
        let Some(route) = self.route(address) else { return NextHop::Unreachable };
        let Some(interface) = route.interface else { return NextHop::Local };
        let Some(link) = self.links.get(&interface).filter(|l| l.up && l.usable) else { return NextHop::Unreachable };
        let (source, mtu) = (link.mac, route.mtu.map_or(link.mtu, |m| m.min(link.mtu)));
        let neighbour = self.neighbours.get(&(interface, route.next)).copied();
        match neighbour {
            Some(Neighbour { mac: Some(mac), state }) if state & STATE_VALID != 0 => {
                if state == STATE_STALE {
                    self.resolve(interface, route.next);
                }
                NextHop::Via { interface, mac, source, mtu, local: route.source }
            }
            Some(Neighbour { state: STATE_FAILED, .. }) => NextHop::Unreachable,
            _ => {
                self.resolve(interface, route.next);
                NextHop::Pending
            }
        }
    }

    /// Asks again for a neighbour that did not answer.
    pub(super) fn retry(&mut self, address: IpAddr) {
        if let Some(Route { interface: Some(interface), next, .. }) = self.route(address) {
            self.resolve(interface, next);
        }
    }

    fn read_all(&mut self) -> io::Result<()> {
        self.links.clear();
        self.addresses.clear();
        self.neighbours.clear();
        self.routes.clear();
        for (kind, header) in [(GET_LINK, 16), (GET_ADDRESS, 8), (GET_NEIGHBOUR, 12)] {
            let mut request = Writer::default();
            request.message(kind, REQUEST | DUMP, 1).raw(&vec![0; header]);
            let mut answers = Vec::new();
            self.requests.exchange(&request, |m| answers.push((m.kind, m.payload.to_vec())))?;
            for (kind, payload) in &answers {
                self.apply(Received { kind: *kind, payload }, &mut Changes::default());
            }
        }
        Ok(())
    }

    fn apply(&mut self, message: Received<'_>, changes: &mut Changes) {
        match message.kind {
            NEW_LINK | DELETE_LINK => self.apply_link(message, changes),
            NEW_ADDRESS | DELETE_ADDRESS => self.apply_address(message, changes),
            NEW_NEIGHBOUR | DELETE_NEIGHBOUR => self.apply_neighbour(message, changes),
            NEW_ROUTE | DELETE_ROUTE => {
                self.routes.clear();
                changes.hops = true;
            }
            _ => {}
        }
    }

    fn apply_link(&mut self, message: Received<'_>, changes: &mut Changes) {
        let Some((index, link)) = parse_link(message.payload) else { return };
        let changed = if message.kind == DELETE_LINK {
            self.neighbours.retain(|(interface, _), _| *interface != index);
            self.addresses.retain(|(interface, _)| *interface != index);
            self.links.remove(&index).is_some()
        } else {
            self.links.insert(index, link.clone()) != Some(link)
        };
        if changed {
            self.routes.clear();
        }
        changes.links |= changed;
        changes.hops |= changed;
        changes.addresses |= changed && message.kind == DELETE_LINK;
    }

    fn apply_address(&mut self, message: Received<'_>, changes: &mut Changes) {
        let Some(entry) = parse_address(message.payload) else { return };
        let changed = match message.kind {
            NEW_ADDRESS => self.addresses.insert(entry),
            _ => self.addresses.remove(&entry),
        };
        if changed {
            self.routes.clear();
            *changes = Changes { addresses: true, hops: true, ..*changes };
        }
    }

    fn apply_neighbour(&mut self, message: Received<'_>, changes: &mut Changes) {
        let Some((key, neighbour)) = parse_neighbour(message.payload) else { return };
        if message.kind == DELETE_NEIGHBOUR {
            self.neighbours.remove(&key);
        } else {
            self.neighbours.insert(key, neighbour);
        }
        changes.hops = true;
    }

    fn route(&mut self, address: IpAddr) -> Option<Route> {
        if let Some(known) = self.routes.get(&address) {
            return *known;
        }
        let route = self.ask_route(address);
        if self.routes.len() >= ROUTES_KEPT {
            self.routes.clear();
        }
        self.routes.insert(address, route);
        route
    }

    fn ask_route(&mut self, address: IpAddr) -> Option<Route> {
        let (family, octets) = octets(address);
        let mut request = Writer::default();
        let bits = (octets.len() * 8) as u8;
        request.message(GET_ROUTE, REQUEST, 1).raw(&[family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).attribute(1, &octets);
        let mut route = None;
        let result = self.requests.exchange(&request, |m| {
            if m.kind == NEW_ROUTE {
                route = parse_route(m.payload, address);
            }
        });
        if let Err(error) = result {
            tracing::debug!(%address, %error, "no route");
        }
        route
    }

    fn resolve(&mut self, interface: u32, address: IpAddr) {
        let (family, octets) = octets(address);
        let mut header = [0; 12];
        header[0] = family;
        header[4..8].copy_from_slice(&interface.to_ne_bytes());
        header[10] = NEIGHBOUR_USE;
        let mut request = Writer::default();
        request.message(NEW_NEIGHBOUR, REQUEST | CREATE, 1).raw(&header).attribute(1, &octets);
        if let Err(error) = self.requests.exchange(&request, |_| ()) {
            tracing::debug!(%address, interface, %error, "ask the kernel to resolve a neighbour");
        }
    }
}

impl AsFd for Topology {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    /// `None`: local.
    interface: Option<u32>,
    next: IpAddr,
    mtu: Option<usize>,
    source: Option<IpAddr>,
}

/// `struct rtmsg`; the attributes RTA_OIF 4, RTA_GATEWAY 5, RTA_PREFSRC 7, RTA_METRICS 8 (RTAX_MTU 2), RTA_VIA 18.
fn parse_route(payload: &[u8], destination: IpAddr) -> Option<Route> {
    let kind = *payload.get(7)?;
    let mut route = Route { interface: None, next: destination, mtu: None, source: None };
    if kind == ROUTE_LOCAL {
        return Some(route);
    }
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            4 => route.interface = field32(value, 0),
            5 => route.next = address(value).unwrap_or(destination),
            7 => route.source = address(value),
            18 => route.next = value.get(2..).and_then(address).unwrap_or(destination),
            8 => {
                route.mtu =
                    attributes(value).find(|(k, _)| *k == 2).and_then(|(_, v)| field32(v, 0)).map(|m| m as usize);
            }
            _ => {}
        }
    }
    (kind == ROUTE_UNICAST && route.interface.is_some()).then_some(route)
}

/// `struct ifinfomsg`; IFLA_ADDRESS 1, IFLA_IFNAME 3, IFLA_MTU 4, IFLA_LINKINFO 18 with IFLA_INFO_SLAVE_KIND 4.
fn parse_link(payload: &[u8]) -> Option<(u32, Link)> {
    let bridge_message = *payload.first()? != 0;
    let (kind, index, flags) = (field16(payload, 2)?, field32(payload, 4)?, field32(payload, 8)?);
    let mut link = Link {
        name: String::new(),
        mac: [0; 6],
        mtu: 0,
        up: flags & INTERFACE_UP != 0,
        usable: kind == ETHERNET && index != super::LOOPBACK,
    };
    for (kind, value) in attributes(payload.get(16..)?) {
        match kind {
            1 => link.mac = mac(value).unwrap_or_default(),
            3 => link.name = text(value),
            4 => link.mtu = field32(value, 0)? as usize,
            18 => link.usable &= !is_port(value),
            _ => {}
        }
    }
    (!bridge_message).then_some((index, link))
}

/// Whether the interface hands its frames to another one before the host's stack sees them.
fn is_port(link_info: &[u8]) -> bool {
    let port_kind = attributes(link_info).find(|(kind, _)| *kind == 4).map(|(_, value)| text(value));
    port_kind.is_some_and(|kind| kind != "vrf")
}

/// `struct ifaddrmsg`; IFA_ADDRESS 1, IFA_LOCAL 2 (the own end of a point-to-point address).
fn parse_address(payload: &[u8]) -> Option<(u32, IpAddr)> {
    let index = field32(payload, 4)?;
    let find = |wanted| attributes(payload.get(8..).unwrap_or_default()).find(|(kind, _)| *kind == wanted);
    let (_, value) = find(2).or_else(|| find(1))?;
    Some((index, address(value)?))
}

/// `struct ndmsg`; NDA_DST 1, NDA_LLADDR 2. Bridge forwarding entries are none of ours.
fn parse_neighbour(payload: &[u8]) -> Option<((u32, IpAddr), Neighbour)> {
    let family = *payload.first()?;
    let (index, state) = (field32(payload, 4)?, field16(payload, 8)?);
    let mut entry = (None, None);
    for (kind, value) in attributes(payload.get(12..)?) {
        match kind {
            1 => entry.0 = address(value),
            2 => entry.1 = mac(value),
            _ => {}
        }
    }
    let address = entry.0.filter(|_| family == FAMILY_V4 || family == FAMILY_V6)?;
    Some(((index, address), Neighbour { mac: entry.1, state }))
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.len() {
        4 => Some(IpAddr::from(*value.first_chunk::<4>()?)),
        16 => Some(IpAddr::from(*value.first_chunk::<16>()?)),
        _ => None,
    }
}

fn octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(a) => (FAMILY_V4, a.octets().to_vec()),
        IpAddr::V6(a) => (FAMILY_V6, a.octets().to_vec()),
    }
}

fn mac(value: &[u8]) -> Option<Mac> {
    value.try_into().ok()
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes_of(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        fill(writer.message(0, 0, 0));
        writer.bytes()[16..].to_vec()
    }

    #[test]
    fn a_bridge_port_is_not_usable_and_a_vrf_member_is() {
        for (kind, usable) in [("bridge", false), ("bond", false), ("vrf", true)] {
            let payload = attributes_of(|w| {
                w.raw(&[0, 0, 1, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]).string(3, "eth0").nest(18, |info| {
                    info.string(4, kind);
                });
            });
            let (index, link) = parse_link(&payload).unwrap();
            assert_eq!((index, link.name.as_str(), link.up, link.usable), (7, "eth0", true, usable), "{kind}");
        }
    }

    #[test]
    fn truncated_messages_are_ignored() {
        let whole = attributes_of(|w| {
            w.raw(&[2, 32, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0])
                .attribute(4, &3u32.to_ne_bytes())
                .attribute(5, &[10, 0, 0, 9]);
        });
        let destination = "10.9.9.9".parse().unwrap();
        let route = parse_route(&whole, destination).unwrap();
        assert_eq!(route, Route { interface: Some(3), next: "10.0.0.9".parse().unwrap(), mtu: None, source: None });
        for length in 0..whole.len() {
            let cut = &whole[..length];
            parse_route(cut, destination);
            parse_link(cut);
            parse_address(cut);
            parse_neighbour(cut);
        }
    }
}
