//! The control socket: questions and orders for a running daemon, a line of JSON each.
//!
//! The socket lies beside the pid file and has its name with the ending `.sock` (`/run/keepalived.pid`,
//! `/run/keepalived.sock`), mode 0600. A client writes one [`Call`] a line and reads one [`Reply`] a line.
//! Nothing here can hold the daemon up: calls are read by tasks of their own, bounded in number, size and time.

mod client;
mod message;
mod server;
mod table;

use std::path::{Path, PathBuf};

pub use client::{Client, ClientError};
pub use message::{Answer, Call, Failure, Outcome, Reply, Request, ServerName, VERSION};
pub use server::{Inbox, Incoming, Server};
pub use table::answer;

/// Where the daemon with this pid file listens.
#[must_use]
pub fn socket_of(pid_file: &Path) -> PathBuf {
    pid_file.with_extension("sock")
}

/// Where a client looks for the daemon: `STANDFAST_SOCKET`, else beside the default pid file.
#[must_use]
pub fn socket() -> PathBuf {
    std::env::var_os("STANDFAST_SOCKET").map_or_else(|| PathBuf::from("/run/keepalived.sock"), PathBuf::from)
}
