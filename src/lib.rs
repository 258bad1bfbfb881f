//! The standfast daemon as a library: everything that owns sockets, netlink, clocks, signals and processes.

pub mod cli;
pub mod config;
pub mod daemonize;
pub mod dataplane;
pub mod health;
pub mod logging;
pub mod netlink;
pub mod notify;
pub mod pidfile;
pub mod signals;
pub mod translate;
pub mod users;
pub mod vrrp;
