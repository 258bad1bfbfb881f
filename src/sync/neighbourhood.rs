//! Which hosts are on the networks of an interface.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;

/// How often a stranger may have the addresses read again.
const PAUSE: Duration = Duration::from_secs(1);

/// The networks of an interface, read again when a host is on none of them.
#[derive(Debug)]
pub(super) struct Neighbourhood {
    interface: String,
    networks: Vec<IpNet>,
    read: Option<Instant>,
}

impl Neighbourhood {
    pub(super) fn of(interface: &str) -> Neighbourhood {
        Neighbourhood { interface: interface.to_owned(), networks: Vec::new(), read: None }
    }

    /// Whether a host is on a network of the interface.
    pub(super) fn holds(&mut self, host: IpAddr, now: Instant) -> bool {
        if self.knows(host) {
            return true;
        }
        if self.read.is_some_and(|read| now < read + PAUSE) {
            return false;
        }
        self.read = Some(now);
        self.networks = networks(&self.interface);
        self.knows(host)
    }

    fn knows(&self, host: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&host))
    }
}

fn networks(interface: &str) -> Vec<IpNet> {
    let addresses = match nix::ifaddrs::getifaddrs() {
        Ok(addresses) => addresses,
        Err(error) => {
            tracing::debug!("the addresses of {interface} cannot be read: {error}");
            return Vec::new();
        }
    };
    let network = |held: nix::ifaddrs::InterfaceAddress| {
        let address = ip(held.address.as_ref()?)?;
        IpNet::with_netmask(address, ip(held.netmask.as_ref()?)?).ok()
    };
    addresses.filter(|held| held.interface_name == interface).filter_map(network).collect()
}

fn ip(storage: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_networks_are_known_and_others_not() {
        let (mut neighbourhood, now) = (Neighbourhood::of("lo"), Instant::now());
        assert!(neighbourhood.holds("127.1.2.3".parse().unwrap(), now));
        assert!(!neighbourhood.holds("192.0.2.1".parse().unwrap(), now));
        assert!(!Neighbourhood::of("there-is-none").holds("127.0.0.1".parse().unwrap(), now));
    }
}
