//! The kernel's IPVS as the forwarding table, over generic netlink (family `IPVS`, `include/uapi/linux/ip_vs.h`).
//!
//! ```text
//!   pools ──changes──┐
//!   control socket ──┼──> Handle ──asks──> thread: Estate (what is ours) ──orders──> codec ──> kernel
//!   lvs_sync_daemon ─┘                      Clerk
//! ```
//!
//! The codec (`encode`, `decode`) and the estate are pure; the socket is the only part that speaks with the kernel, from a
//! thread of its own, so that nobody waits on it. What others have put into the kernel's table is left alone.

mod census;
mod clerk;
mod connections;
mod decode;
mod encode;
mod estate;
mod order;
mod socket;
#[cfg(test)]
mod tests;
mod thread;
mod uapi;

use std::io;

pub use census::Census;
use order::Order;
pub use thread::Handle;

/// Why the kernel's IPVS is not at our service.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel has none.
    #[error("this kernel has no IPVS (module ip_vs)")]
    Absent,
    /// The system refuses something.
    #[error("the kernel's IPVS: cannot {doing}: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    fn system(doing: &'static str) -> impl Fn(io::Error) -> Error {
        move |source| Error::System { doing, source }
    }
}
