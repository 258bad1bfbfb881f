//! The standfast daemon as a library: everything that owns sockets, netlink, clocks, signals and processes.

pub mod bfd;
pub mod check;
pub mod cli;
pub mod config;
pub mod configuration;
pub mod control;
pub mod daemonize;
pub mod dataplane;
pub mod dump;
pub mod health;
pub mod iproute;
pub mod ipvsadm;
pub mod logging;
pub mod machine;
pub mod netlink;
mod nftables;
pub mod notify;
pub mod pidfile;
mod poller;
pub mod run;
pub mod scheduling;
pub mod signals;
pub mod supervisor;
pub mod track;
pub mod translate;
pub mod users;
pub mod vrrp;
