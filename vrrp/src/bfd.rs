//! Bidirectional forwarding detection: RFC 5880 in asynchronous mode, RFC 5881 over one hop, RFC 5883 over several.
//!
//! No authentication, no echo function; demand mode only where the peer asks for it. A [`Bfd`] is all sessions of one host,
//! under the same rules as a [`Node`](crate::Node): datagrams, expiries and the time go in, [`Effect`]s come out. The
//! dice are a seed given once: the same seed and inputs give the same packets.

mod dice;
mod packet;
mod session;
mod table;

pub use packet::{Diagnostic, LENGTH, Malformed, Packet, State};
pub use session::{Expired, SessionConfig, SessionView, TimerReason};
pub use table::{Bfd, Datagram, Effect};

/// UDP port of sessions over one hop (RFC 5881 section 4).
pub const PORT: u16 = 3784;
/// UDP port of sessions over several hops (RFC 5883 section 5).
pub const MULTIHOP_PORT: u16 = 4784;
/// UDP source ports (RFC 5881 section 4).
pub const SOURCE_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
