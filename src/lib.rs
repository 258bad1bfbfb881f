//! The standfast daemon as a library: everything that owns sockets, netlink, clocks, signals and processes.

pub mod cli;
pub mod daemonize;
pub mod logging;
pub mod pidfile;
pub mod signals;
