//! Builds and sends one announcement.

use super::interface::{Interface, Table};
use super::packet::PacketSocket;
use standfast_vrrp::neighbour;
use std::net::IpAddr;

/// Announces `address` on `interface`; failures are logged, as keepalived does. Whether it went out.
pub(super) fn send(packets: &nix::Result<PacketSocket>, table: &Table, interface: &str, address: IpAddr) -> bool {
    let sent = try_send(packets, table.by_name(interface).map(AsRef::as_ref), address);
    match sent {
        Ok(()) => tracing::debug!(target: "vrrp", "Sending {} on {interface} for {address}", kind(address)),
        Err(error) => {
            let (kind, code, text) = (kind(address), error as i32, error.desc());
            tracing::warn!(target: "vrrp", "Error {code} ({text}) sending {kind} on {interface} for {address}");
        }
    }
    sent.is_ok()
}

fn try_send(packets: &nix::Result<PacketSocket>, interface: Option<&Interface>, address: IpAddr) -> nix::Result<()> {
    let packets = packets.as_ref().map_err(|error| *error)?;
    let interface = interface.ok_or(nix::errno::Errno::ENODEV)?;
    let mac = interface.mac.ok_or(nix::errno::Errno::EAFNOSUPPORT)?;
    match address {
        IpAddr::V4(address) => packets.send(interface.index, &neighbour::gratuitous_arp(mac, address)),
        IpAddr::V6(address) => {
            let frame = neighbour::unsolicited_na(mac, address, forwards(&interface.name));
            packets.send(interface.index, &frame)
        }
    }
}

fn kind(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "gratuitous ARP" } else { "unsolicited Neighbour Advert" }
}

/// RFC 4861 section 4.4: the router flag belongs only to interfaces that forward.
fn forwards(interface: &str) -> bool {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/forwarding");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() != "0")
}
