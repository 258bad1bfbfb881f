//! Health checks: probes, the judgement of their results, and the pools that follow from it.
//!
//! The crate does not know the configuration file, does not write to any forwarding table, runs no notification and sends
//! no mail. It turns [`CheckerSpec`]s into [`CheckEvent`]s ([`Runner`]) and events into [`pool::PoolEffect`]s
//! ([`pool::Pool`]); carrying the effects out is the daemon's part.
//!
//! [`judge`] and [`pool`] are pure: time and dice are arguments. [`probe`], [`script`] and [`Runner`] are the shell and need a
//! tokio runtime with I/O and time enabled.
#![deny(unsafe_code)]

pub mod judge;
mod pattern;
pub mod pool;
pub mod probe;
mod runner;
pub mod script;
mod spec;

pub use judge::JudgeSettings;
pub use pattern::{BodyPattern, PatternError, PatternSettings};
pub use probe::http::{IdentityError, TlsIdentity};
pub use runner::{Runner, RunnerOptions, Statistics, Tally};
pub use spec::{
    CheckEvent, CheckerId, CheckerSpec, ConnectSpec, DnsSpec, GrpcSpec, HttpExtras, HttpProtocol, HttpSpec, HttpUrl,
    MiscSpec, ProbeSpec, SmtpSpec, UdpReply, UdpSpec,
};
