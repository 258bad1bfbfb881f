//! A node under a virtual clock, told as a trace: time in milliseconds, log lines and effects as text.

#![allow(dead_code, reason = "every test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]
#![allow(clippy::disallowed_methods, reason = "tests own the clock")]

use standfast_vrrp::*;
use std::net::IpAddr;
use std::time::{Duration, Instant};

pub const LINK: Link = Link(2);

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn vi(name: &str, vrid: u8, priority: u8) -> RouterConfig {
    let mut config = RouterConfig::new(name, LINK, vrid);
    config.priority = priority;
    config.addresses = vec![ip("10.77.0.200")];
    config
}

pub fn node_of(routers: Vec<RouterConfig>) -> NodeConfig {
    NodeConfig { routers, ..NodeConfig::default() }
}

/// One node at 10.77.0.1 and whatever a test injects.
pub struct Lab {
    pub start: Instant,
    pub now: Instant,
    pub node: Node,
    pub trace: Vec<String>,
    pub effects: Vec<Effect>,
}

impl Lab {
    pub fn new(config: NodeConfig) -> Self {
        let mut lab = Self::without_source(config);
        lab.node.set_source(LINK, Family::V4, Some(ip("10.77.0.1")), lab.now);
        lab.node.set_source(LINK, Family::V6, Some(ip("fe80::1")), lab.now);
        lab
    }

    pub fn without_source(config: NodeConfig) -> Self {
        let start = Instant::now();
        Self { start, now: start, node: Node::new(config, start), trace: Vec::new(), effects: Vec::new() }
    }

    /// Lets the clock run up to `ms` milliseconds after the start, firing every timer at its own moment.
    pub fn run_to(&mut self, ms: u64) -> &mut Self {
        let end = self.start + Duration::from_millis(ms);
        self.collect();
        while let Some((deadline, _)) = self.node.poll_timeout().filter(|(deadline, _)| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.node.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        self
    }

    pub fn hear(&mut self, config: &RouterConfig, from: &str, priority: u8) -> &mut Self {
        let destination = config.multicast_group;
        let payload = packet::AdvertSpec::of(config, priority).encode(&ip(from), &destination);
        self.hear_raw(from, destination, 255, &payload)
    }

    pub fn hear_raw(&mut self, from: &str, destination: IpAddr, ttl: u8, payload: &[u8]) -> &mut Self {
        let datagram = Datagram {
            link: LINK,
            source: ip(from),
            destination,
            ttl: Some(ttl),
            protocol: 112,
            ip_header: &[],
            payload,
        };
        self.node.receive(&datagram, self.now);
        self.collect();
        self
    }

    pub fn collect(&mut self) {
        let at = self.now.duration_since(self.start).as_millis();
        while let Some(effect) = self.node.poll_effect() {
            self.trace.push(format!("{at} {}", self.tell(&effect)));
            self.effects.push(effect);
        }
    }

    fn tell(&self, effect: &Effect) -> String {
        match effect {
            Effect::Advertise { payload, destination, .. } => {
                format!("> advert vrid {} prio {} to {destination}", payload[1], payload[2])
            }
            Effect::SetAddresses { router } => format!("> set {}", router.0),
            Effect::ClearAddresses { router } => format!("> clear {}", router.0),
            Effect::UpdateAddresses { router } => format!("> update {}", router.0),
            Effect::Announce { router, rounds } => format!("> announce {} x{rounds}", router.0),
            Effect::AnnounceExtra { router } => format!("> announce extra {}", router.0),
            Effect::AnnounceSource { router, address, .. } => format!("> announce source {} {address}", router.0),
            Effect::Transition { router, from, to, priority, .. } => {
                format!("> notify {} {from}->{to} {priority}", router.0)
            }
            Effect::GroupTransition { group, to } => format!("> notify {group} {to}"),
            Effect::MasterReceivedLowerPriority { router } => format!("> lower {}", router.0),
            Effect::PriorityChanged { router, priority, .. } => format!("> priority {} {priority}", router.0),
            Effect::SplitBrain { router, rival, over } => format!("> split {} {rival} over {over}", router.0),
            Effect::UnknownVrid { vrid, from, .. } => format!("> unknown vrid {vrid} from {from}"),
            Effect::Report(report) => report.to_string(),
        }
    }

    /// The trace since the last call.
    pub fn take(&mut self) -> Vec<String> {
        self.collect();
        std::mem::take(&mut self.trace)
    }

    /// A moment, in nanoseconds after the start.
    pub fn at(&self, nanoseconds: u64) -> Instant {
        self.start + Duration::from_nanos(nanoseconds)
    }

    /// The first router.
    pub fn view(&self) -> RouterView {
        self.node.views().remove(0)
    }

    pub fn state(&self) -> State {
        self.view().state
    }

    /// The log lines since the last call.
    pub fn log(&mut self) -> Vec<String> {
        self.take().into_iter().filter(|line| !line.contains("> ")).collect()
    }
}
