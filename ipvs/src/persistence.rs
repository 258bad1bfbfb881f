//! Persistence: one client's connections go to one server.

use std::time::Duration;

/// `ipvsadm -p`: how long and how widely a client is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// How long after its latest new connection a client is remembered.
    pub timeout: Duration,
    /// Bits of the client's address that count (granularity): 32 or 128 for each client alone.
    pub prefix_len: u8,
}
