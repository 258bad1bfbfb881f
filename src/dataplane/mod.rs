//! The data plane: moves frames between the kernel and the forwarding engine `standfast_ipvs`.
//!
//! ```text
//!   Handle ──apply──> control thread ──orders──> worker thread
//!                     │ nftables claim            │ Director
//!                     │ rtnetlink: links,         │ AF_PACKET ring in, sendmmsg out
//!                     │ addresses, neighbours     │
//!                     └──<── which next hop? ─────┘
//! ```
//!
//! The worker owns the packet path and waits for nothing but packets and orders: whatever may wait inside the kernel
//! (nftables transactions, route and neighbour requests) is done by the control thread.
//!
//! Packets are taken from all Ethernet interfaces of the network namespace except ports of bridges and bonds, whose
//! packets show on the bridge or bond itself; frames with a VLAN tag are taken on the VLAN interface. The host's own
//! stack is kept away from claimed packets (the claim); packets that the engine leaves to the host although the
//! claim kept them from it are put back through the loopback interface. Traffic that the director itself makes towards
//! a virtual address does not pass the engine.

mod carrying;
mod claim;
mod command;
mod control;
mod egress;
mod encapsulation;
mod engine;
mod filter;
mod fragments;
mod handle;
mod hops;
mod memory;
pub(crate) mod netlink;
mod offload;
mod packet_socket;
mod parking;
mod patience;
mod queue;
mod reinjection;
mod ring;
mod routes;
mod segmentation;
mod size;
mod sync;
mod territory;
mod topology;
mod worker;

use std::io;

pub use command::{Command, DriverCounters, ServiceSnapshot, Snapshot};
pub use handle::{Dataplane, Handle, Options};
pub use sync::{Parcel, SyncIn, SyncOut};
pub(crate) use territory::upper_layer;

/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;

/// Why the data plane cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket or ring could not be set up.
    #[error("data plane: cannot {doing}: {source}{advice}")]
    Socket {
        /// What was being done.
        doing: &'static str,
        /// What to do about it, empty if that is not known.
        advice: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The host's own stack cannot be kept away from a service's packets.
    #[error("data plane: cannot {doing}: {advice}")]
    Claim {
        /// What was being done.
        doing: String,
        /// What to do about it.
        advice: String,
    },
    /// The engine refuses the command as ipvsadm would.
    #[error(transparent)]
    Engine(#[from] standfast_ipvs::Error),
    /// The data plane has been stopped.
    #[error("the data plane is stopped")]
    Stopped,
}

impl Error {
    /// The same claim error for another command.
    fn again(&self) -> Self {
        match self {
            Self::Claim { doing, advice } => Self::Claim { doing: doing.clone(), advice: advice.clone() },
            other => Self::Claim { doing: "claim the service's packets".to_owned(), advice: other.to_string() },
        }
    }

    fn socket(doing: &'static str, source: io::Error) -> Self {
        let advice = match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => " (CAP_NET_RAW and CAP_NET_ADMIN are needed in this network namespace)",
            Some(libc::ENOMEM | libc::ENOBUFS) => " (not enough memory for the receive ring)",
            _ => "",
        };
        Self::Socket { doing, advice, source }
    }
}
