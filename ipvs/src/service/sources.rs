//! The source addresses of full NAT, laid out before the first packet.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::FullNat;

/// A service's source addresses of each family.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) v4: Vec<Ipv4Addr>,
    pub(crate) v6: Vec<Ipv6Addr>,
}

impl Sources {
    pub(super) fn new(config: &FullNat) -> Sources {
        Sources { v4: config.addresses(), v6: config.addresses() }
    }
}
