//! `HOST[:PORT]` and numbers, as ipvsadm reads them.

use std::net::{IpAddr, Ipv6Addr};

use super::names::inet_aton;
use super::{Names, Protocol};

/// Address and port of `text`; the port is `None` when it is not there.
pub(super) fn socket(text: &str, protocol: Protocol, names: &dyn Names) -> Option<(IpAddr, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once("]:")?;
        let address: Ipv6Addr = address.parse().ok()?;
        return Some((address.into(), Some(port_number(port, protocol, names)?)));
    }
    if let Ok(address) = text.parse::<Ipv6Addr>() {
        return Some((address.into(), None));
    }
    match text.split_once(':') {
        Some((host, port)) => Some((host_address(host, names)?, Some(port_number(port, protocol, names)?))),
        None => Some((host_address(text, names)?, None)),
    }
}

fn host_address(host: &str, names: &dyn Names) -> Option<IpAddr> {
    if host.is_empty() {
        return None;
    }
    inet_aton(host).map(IpAddr::V4).or_else(|| names.address(host))
}

fn port_number(text: &str, protocol: Protocol, names: &dyn Names) -> Option<u16> {
    match number(text, 0, i64::from(u16::MAX)) {
        Some(port) => u16::try_from(port).ok(),
        None => names.port(text, protocol),
    }
}

/// A decimal number between two bounds, with blanks and a sign before it as strtol(3) allows.
pub(super) fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let number: i64 = text.trim_ascii_start().parse().ok()?;
    (least..=most).contains(&number).then_some(number)
}
