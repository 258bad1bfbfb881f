//! Telling connections to another director: the wire format of IPVS's sync daemon and the rules of its two ends.
//!
//! ```text
//!   Director ──records──> Packer ──datagrams──>  (224.0.0.81:8848)  ──> Message ──entries──> Director
//!    announces a client's  fills and times them                          checks all of it     adopts
//!    packet if the rules say so                                          before the first use
//! ```
//!
//! A record is an entry of protocol version 1 as it stands in a datagram. The packet path writes records into an
//! [`Outbox`] of fixed size, from which the caller takes them. Source of format and rules: the recordings of Linux
//! 6.1's ip_vs (net/netfilter/ipvs/ip_vs_sync.c describes the same).

mod entry;
mod extension;
mod message;
mod outbox;
mod packer;
mod rules;
mod seal;
mod v0;

pub(crate) use entry::Plain;
pub use entry::{EngineData, Entry, Flags, LONGEST_RECORD};
pub use extension::Extension;
pub(crate) use message::Part;
pub use message::{Message, Rejection, Version};
pub use outbox::Outbox;
pub use packer::{Format, Packer};
pub use rules::SyncSettings;
pub(crate) use rules::{HalfOpen, Mark, Subject, Words};
pub use seal::{Guard, Seal, Stamp};

/// What became of an entry that another director sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adoption {
    /// There was no such connection.
    Created,
    /// A connection that was known has the sent state and time-out.
    Refreshed,
    /// The end of a connection in whose place there is another by now.
    Outdated,
    /// A kind of connection that this engine does not forward: another protocol, state or forwarding method.
    Unsupported,
    /// The table is full.
    Full,
}
