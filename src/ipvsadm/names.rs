//! Names of hosts and ports.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use super::Protocol;

/// Where names come from.
pub trait Names {
    /// The IPv4 address of a host's name.
    fn address(&self, host: &str) -> Option<IpAddr>;
    /// The port of a service's name.
    fn port(&self, service: &str, protocol: Protocol) -> Option<u16>;
    /// The name of an address.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a port.
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
}

/// The machine's own: its resolver, `/etc/hosts` and `/etc/services`.
#[derive(Debug, Default)]
pub struct SystemNames {
    hosts: String,
    services: String,
}

impl SystemNames {
    /// Reads the two files; what is missing or unreadable names nothing.
    pub fn read() -> SystemNames {
        let text = |path| std::fs::read_to_string(path).unwrap_or_default();
        SystemNames { hosts: text("/etc/hosts"), services: text("/etc/services") }
    }

    /// Lines of `/etc/services`: name, port, protocol, aliases.
    fn entries(&self) -> impl Iterator<Item = (u16, &str, Vec<&str>)> {
        records(&self.services).filter_map(|words| {
            let (port, protocol) = words.get(1)?.split_once('/')?;
            let names = words.iter().enumerate().filter(|(i, _)| *i != 1).map(|(_, word)| *word).collect();
            Some((port.parse().ok()?, protocol, names))
        })
    }
}

/// The words of each line that says something.
fn records(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let words = |line: &'_ str| line.split('#').next().unwrap_or_default().len();
    text.lines().map(move |line| line.get(..words(line)).unwrap_or_default().split_whitespace().collect())
}

impl Names for SystemNames {
    fn address(&self, host: &str) -> Option<IpAddr> {
        let found = (host, 0).to_socket_addrs().ok()?.map(|address: SocketAddr| address.ip());
        let mut found: Vec<IpAddr> = found.collect();
        found.sort_by_key(IpAddr::is_ipv6);
        found.first().copied()
    }

    fn port(&self, service: &str, protocol: Protocol) -> Option<u16> {
        let wanted = protocol.lower_name();
        self.entries().find(|(_, proto, names)| *proto == wanted && names.contains(&service)).map(|(port, ..)| port)
    }

    fn host(&self, address: IpAddr) -> Option<String> {
        let line = records(&self.hosts)
            .find(|words| words.first().and_then(|word| word.parse::<IpAddr>().ok()) == Some(address))?;
        line.get(1).map(|name| (*name).to_owned())
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        let wanted = protocol.lower_name();
        let (.., names) = self.entries().find(|(number, proto, _)| *proto == wanted && *number == port)?;
        names.first().map(|name| (*name).to_owned())
    }
}

/// The old forms of an IPv4 address, as inet_aton(3) reads them: one to four parts, decimal, octal or hexadecimal.
pub(super) fn inet_aton(text: &str) -> Option<Ipv4Addr> {
    let text = text.split_ascii_whitespace().next()?;
    let parts: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * leading.len() as u32;
    if *last >= 1 << room {
        return None;
    }
    let high = leading.iter().fold(0, |sum, part| sum << 8 | part);
    u32::try_from(high << room | last).ok().map(Ipv4Addr::from_bits)
}

/// A number in C's notation.
fn number(text: &str) -> Option<u64> {
    let digits = |text: &str, radix| {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(radix));
        plain.then(|| u64::from_str_radix(text, radix).ok()).flatten().filter(|number| *number <= u64::from(u32::MAX))
    };
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}
