//! How a packet is rewritten for its next hop.

pub(crate) mod client_option;
pub(crate) mod icmp;
pub(crate) mod mss;
pub(crate) mod nat;
pub(crate) mod proxy;
pub(crate) mod tunnel;
