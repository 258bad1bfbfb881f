//! IPVS in userspace: the forwarding engine of Standfast.
//!
//! A [`Director`] holds virtual services with their destinations, chooses a destination for each connection as the
//! Linux kernel's IPVS would, remembers the choice, and rewrites packets in place. The caller hands it bytes and time
//! and carries out the [`Verdict`].
//!
//! What this crate does not do: it opens no socket, reads no clock, starts no thread, knows no route, interface or MAC
//! address, fragments nothing and checks no MTU (see [`Director::error_reply`] for the answer to a packet that the
//! driver finds too big). Time is an argument and randomness is [`Options::seed`].
//!
//! Nothing on the packet path allocates: the tables are laid out when the director is made.

#![forbid(unsafe_code)]

mod address;
mod connection;
mod director;
mod forward;
mod hash;
mod packet;
mod persistence;
mod scheduler;
mod service;
mod stats;
pub mod sync;
mod verdict;

pub use connection::{ConnectionView, State, Timeouts};
pub use director::{
    Carried, Claims, ConnReuse, ConnectionId, Course, Credit, Defence, Director, Ends, Offer, Options, Released,
    Settings,
};
pub use forward::mss::clamp_mss;
pub use forward::tunnel::{Tunnel, TunnelChecksum, TunnelHeaders, TunnelKind};
pub use packet::icmp::IcmpError;
pub use packet::{Frame, Ingress, ReplyBuffer};
pub use persistence::{Persistence, PersistenceEngine};
pub use scheduler::{SchedulerFlags, SchedulerKind};
pub use service::{
    ClientTold, DestinationConfig, DestinationView, Error, Forwarding, FullNat, Protocol, ServiceConfig, ServiceId,
    ServiceKey, ServiceView,
};
pub use stats::{Counters, Failures, Rates, Stats};
pub use verdict::{DropReason, HopId, PassReason, Verdict};
