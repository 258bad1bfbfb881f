//! Every interface of the network namespace, in use or not.

use super::Sources;
use super::data::Page;
use crate::netlink::{Interface, InterfaceAddress};
use netlink_packet_route::link::LinkFlags;
use standfast_vrrp::TrackerName;
use std::net::IpAddr;

/// `ARPHRD_ETHER` and `ARPHRD_LOOPBACK`.
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;

pub(super) fn all(page: &mut Page, sources: &Sources<'_>) {
    page.heading("Interfaces");
    for interface in &sources.views.interfaces {
        present(page, sources, interface);
    }
    for (_, name, interface) in &sources.views.links {
        if interface.is_none() {
            page.row(1, "Name", name);
            page.line(3, "index = 0 (deleted)");
            tracking(page, sources, name);
        }
    }
}

fn present(page: &mut Page, sources: &Sources<'_>, interface: &Interface) {
    page.row(1, "Name", &interface.name);
    page.row(3, "index", interface.index);
    addresses(page, sources, interface);
    if interface.nature.hardware != LOOPBACK {
        let broadcast = interface.nature.broadcast_mac;
        interface.mac.iter().for_each(|mac| page.row(3, "MAC", hardware_address(mac)));
        broadcast.iter().for_each(|mac| page.row(3, "MAC broadcast", hardware_address(mac)));
    }
    page.row(3, "State", state(interface));
    delays(page, sources, &interface.name);
    base(page, sources, interface);
    page.row(3, "MTU", interface.mtu);
    match interface.nature.hardware {
        ETHERNET => page.row(3, "HW Type", "ETHERNET"),
        LOOPBACK => page.row(3, "HW Type", "LOOPBACK"),
        other => page.row(3, "HW Type", format_args!("UNKNOWN ({other})")),
    }
    page.line(3, "NIC netlink status update");
    if let Some(table) = interface.vrf_table {
        page.line(3, format_args!("VRF master table {table}"));
    }
    tracking(page, sources, &interface.name);
}

/// Those that adverts may come from. Virtual addresses are told with their instances.
fn addresses(page: &mut Page, sources: &Sources<'_>, interface: &Interface) {
    let instances = &sources.config.instances;
    let lists = instances.iter().flat_map(|instance| [&instance.addresses, &instance.excluded_addresses]);
    let of_routers: Vec<(IpAddr, u8)> = lists.flatten().map(|address| (address.address, address.prefix_len)).collect();
    let own = |held: &&InterfaceAddress| !of_routers.contains(&(held.address, held.prefix_len));
    for (family, four) in [("IPv4", true), ("IPv6", false)] {
        let held = interface.addresses.iter().filter(own).map(|held| held.address);
        let held: Vec<IpAddr> =
            held.filter(|address| if four { address.is_ipv4() } else { is_link_local(address) }).collect();
        match held.split_first() {
            None => page.row(3, &format!("{family} address"), "(none)"),
            Some((first, more)) => {
                page.row(3, &format!("{family} address"), first);
                if !more.is_empty() {
                    page.line(3, format_args!("Additional {family} addresses :"));
                    more.iter().for_each(|address| page.line(5, address));
                }
            }
        }
    }
}

fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

fn hardware_address(mac: &[u8; 6]) -> String {
    mac.map(|octet| format!("{octet:02x}")).join(":")
}

fn state(interface: &Interface) -> String {
    let flags = interface.nature.flags;
    let not = |yes: bool| if yes { "" } else { "not " };
    let notes = [
        (!flags.contains(LinkFlags::Broadcast), ", no broadcast"),
        (flags.contains(LinkFlags::Loopback), ", loopback"),
        (flags.contains(LinkFlags::Pointopoint), ", point to point"),
        (flags.contains(LinkFlags::Noarp), ", no arp"),
        (!flags.contains(LinkFlags::Multicast), ", no multicast"),
    ];
    let notes: String = notes.into_iter().filter_map(|(holds, text)| holds.then_some(text)).collect();
    format!("{}UP, {}RUNNING{notes}", not(interface.up), not(interface.running))
}

fn delays(page: &mut Page, sources: &Sources<'_>, name: &str) {
    let found = sources.config.interface_delays.iter().find(|delay| delay.name == name);
    let (down, up) = found.map(|delay| (delay.down, delay.up)).unwrap_or_default();
    page.row(3, "Up debounce timer", format_args!("{}us", up.as_micros()));
    page.row(3, "Down debounce timer", format_args!("{}us", down.as_micros()));
}

fn base(page: &mut Page, sources: &Sources<'_>, interface: &Interface) {
    let named = |index: u32| sources.views.interfaces.iter().find(|other| other.index == index);
    if let Some(base) = interface.base.and_then(named).filter(|base| base.index != interface.index) {
        page.row(3, "Underlying interface", &base.name);
    }
}

/// Who follows the interface; the one that an instance runs on has weight 0.
fn tracking(page: &mut Page, sources: &Sources<'_>, name: &str) {
    let named = TrackerName::Interface(name.to_owned());
    let of = |router: &standfast_vrrp::RouterView| {
        let votes = router.votes.iter().filter(|vote| vote.tracker == named);
        votes.map(|vote| format!("{}, weight {}", router.name, vote.weight)).collect::<Vec<_>>()
    };
    let lines: Vec<String> = sources.views.routers.iter().flat_map(of).collect();
    if !lines.is_empty() {
        page.line(3, "Tracking VRRP instances :");
        lines.iter().for_each(|line| page.line(5, line));
    }
}
