//! VRRP wire formats and state machine.
//!
//! This crate opens no socket, reads no clock and starts no thread. A [`Node`] is all the VRRP instances of one host:
//! the caller hands it datagrams, timer expiries and the verdicts of trackers, each with the current time, and carries
//! out the [`Effect`]s that come back, in order. Given the same inputs it gives the same effects.
//!
//! ```
//! use standfast_vrrp::{Effect, Family, Link, Node, NodeConfig, RouterConfig};
//! # fn drive(start: std::time::Instant) {
//! let link = Link(2);
//! let mut vi_1 = RouterConfig::new("VI_1", link, 51);
//! vi_1.addresses = vec!["10.77.0.200".parse().unwrap()];
//! let mut node = Node::new(NodeConfig { routers: vec![vi_1], ..NodeConfig::default() }, start);
//! node.set_source(link, Family::V4, Some("10.77.0.1".parse().unwrap()), start);
//! while let Some((deadline, reason)) = node.poll_timeout() {
//!     println!("waiting until {deadline:?}: {reason}");
//!     node.handle_timeout(deadline);
//!     while let Some(effect) = node.poll_effect() {
//!         if let Effect::Advertise { payload, .. } = effect {
//!             println!("the first advert: {payload:02x?}");
//!             return;
//!         }
//!     }
//! }
//! # }
//! ```

#![forbid(unsafe_code)]

pub mod bfd;
mod config;
mod effect;
mod election;
mod group;
pub mod neighbour;
mod node;
pub mod packet;
pub mod priority;
mod reconfigure;
mod report;
mod restraint;
mod router;
mod timer;
mod view;

pub use config::{
    AnnounceConfig, AntiReplay, Authentication, Authenticator, AuthenticatorMode, Family, GroupConfig, HmacKey, Link,
    NodeConfig, PeerTtl, RouterConfig, TrackerConfig, TrackerName, TrackerStatus, Version,
};
pub use effect::{Effect, RouterId, State, TransitionReason};
pub use node::{Datagram, Node};
pub use packet::Rejection;
pub use report::{Level, Report, ReportKind};
pub use timer::TimerReason;
pub use view::{GroupView, Rival, RouterView, Statistics, Transition};
