//! The kernel carries the plain data packets of established connections; the engine decides.
//!
//! ```text
//!   frame ──> ring's filter (receive) ──> tcx program of its port (redirect) ──> host's own stack
//!                 │ known, current, fits?      │ decision for this very packet?
//!                 │ yes: decision, count       │ yes: rewrite, send on the way's interface
//!                 └ no: classic filter ──> ring, engine
//! ```
//!
//! Both programs run for the same packet one after the other on one processor, so the filter leaves its decision in memory of
//! that processor and the port's program takes it: no packet is handled twice, and what the filter does not take is as if
//! neither were there. A FIN or RST makes the filter itself forget both directions before the engine gets it, so that all behind it is the
//! engine's too.
//!
//! The programs are made here, instruction by instruction; nothing but Linux 6.6, `CAP_BPF` and `CAP_NET_ADMIN` outside of user namespaces is
//! needed. They end with the process: without the ring's socket no decision is made, and the ports' links are descriptors.
//!
//! What this does not do: choose connections, or count and expire them. That is the worker's and the director's.

mod assembler;
mod carrier;
mod classic;
mod layout;
mod programs;
mod receive;
mod redirect;
mod system;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

pub(in crate::dataplane) use carrier::Carrier;
pub(in crate::dataplane) use programs::Programs;

use super::topology::Mac;

/// One direction of a connection, as its packets arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataplane) struct Flow {
    /// IP protocol number; only TCP and UDP are ever carried.
    pub(in crate::dataplane) protocol: u8,
    /// Address and port that it comes from.
    pub(in crate::dataplane) source: SocketAddr,
    /// Address and port that it is for.
    pub(in crate::dataplane) destination: SocketAddr,
    /// Interface of arrival. From another one its packets are the engine's.
    pub(in crate::dataplane) interface: u32,
    /// The Ethernet sender. From another one its packets are the engine's.
    pub(in crate::dataplane) neighbour: Mac,
}

/// What becomes of a flow's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dataplane) struct Carriage {
    /// Address and port that they get as their source; of the flow's family.
    pub(in crate::dataplane) source: SocketAddr,
    /// Address and port that they get as their destination; of the flow's family.
    pub(in crate::dataplane) destination: SocketAddr,
    /// Interface to send on.
    pub(in crate::dataplane) interface: u32,
    /// Ethernet address of the next hop.
    pub(in crate::dataplane) target: Mac,
    /// Ethernet address to send from.
    pub(in crate::dataplane) sender: Mac,
    /// Largest IP packet of the way in bytes: larger ones are the engine's.
    pub(in crate::dataplane) mtu: u32,
}

/// What a slot has carried since it was cleared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::dataplane) struct Tally {
    /// Packets; a superpacket is one.
    pub(in crate::dataplane) packets: u64,
    /// Their bytes, from the IP header on.
    pub(in crate::dataplane) bytes: u64,
    /// When the last one came, up to a tick of the kernel's clock (1 to 10 ms) too early. None before the first.
    pub(in crate::dataplane) latest: Option<Instant>,
}

/// Why the kernel carries nothing.
#[derive(Debug, thiserror::Error)]
pub(in crate::dataplane) enum Unavailable {
    /// Ordinary in a container or a user namespace.
    #[error("cannot {doing}: CAP_BPF and CAP_NET_ADMIN are needed, outside of a user namespace")]
    Forbidden {
        /// What was being done.
        doing: &'static str,
    },
    /// Ordinary on an older kernel.
    #[error("cannot {doing}: the kernel is older than Linux 6.6, or was built without eBPF or tcx")]
    Unsupported {
        /// What was being done.
        doing: &'static str,
    },
    /// Anything else.
    #[error("cannot {doing}: {source}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the kernel said, with its verifier's last words.
        source: io::Error,
    },
}

impl Unavailable {
    fn of(doing: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden { doing },
            Some(libc::ENOSYS | libc::EINVAL | libc::EOPNOTSUPP) => Self::Unsupported { doing },
            _ => Self::Failed { doing, source },
        }
    }

    /// Whether this is nothing that somebody should look into.
    pub(in crate::dataplane) fn is_ordinary(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// Makes the maps for so many connections (two slots each; 160 bytes a slot, taken at once) and the program for the ports. The
/// first half is the control thread's, the second the worker's.
///
/// # Errors
/// [`Unavailable`]; nothing is left behind.
pub(in crate::dataplane) fn open(connections: u32) -> Result<(Programs, Carrier), Unavailable> {
    let slots = connections.checked_mul(2).filter(|slots| *slots > 0);
    let too_many = || Unavailable::of("make so many slots", io::ErrorKind::OutOfMemory.into());
    programs::open(slots.ok_or_else(too_many)?)
}
