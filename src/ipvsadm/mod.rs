//! ipvsadm's language: its command line, its table listings, its messages and exit codes, over the embedded engine or the
//! kernel's IPVS.
//!
//! Everything here is text in and text out: [`parse`] makes a [`Command`] of arguments, [`Listing`] and [`save`] make
//! text of a [`Table`]. Names of hosts and ports come from a [`Names`]. Source: ipvsadm(8) and what ipvsadm 1.31 prints.

mod address;
pub(crate) mod convert;
mod line;
mod listing;
mod model;
mod names;
mod option;
mod parse;
mod run;
mod save;
mod scan;
mod sort;
mod tunnel;

#[cfg(test)]
mod tests;

pub use line::split;
pub use listing::{Listing, View};
pub use model::{
    Connection, Counts, Daemon, DaemonSettings, Entry, Method, Persistence, Protocol, Rates, Role, SchedulerFlag,
    Server, ServerEntry, Service, Table, Target, TimeoutSeconds, Tunnel, TunnelChecksum, TunnelKind,
};
pub use names::{Names, SystemNames};
pub use parse::{Command, ListCommand, Refusal, parse};
pub use run::run;
pub use save::save;

/// First words of `-h` and `-v`: scripts look for ipvsadm's version, so it stands before ours.
pub const VERSION: &str = concat!("ipvsadm v1.31 (Standfast ", env!("CARGO_PKG_VERSION"), ", IPVS v1.2.1)");

/// What `-h` prints after the version.
pub const USAGE: &str = include_str!("usage.txt");
