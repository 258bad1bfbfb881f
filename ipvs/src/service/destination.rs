//! A destination with its load.

use super::{DestinationConfig, Error, Forwarding, ServiceId};
use crate::connection::Method;
use crate::connection::state::TICKS;
use crate::forward::tunnel::Tunnel;
use crate::stats::{Estimator, Failures, Rates, Stats};

/// A destination, in use or (with connections left) in the trash.
#[derive(Debug, Clone)]
pub(crate) struct Destination {
    pub(crate) config: DestinationConfig,
    /// The service that it belongs to, also while that is deleted.
    pub(crate) service: ServiceId,
    /// The number of that service until it is deleted.
    pub(crate) owner: u32,
    /// In its service's list.
    pub(crate) available: bool,
    /// The tick at which it was taken out of that.
    pub(crate) removed: u64,
    pub(crate) overloaded: bool,
    /// Its latest weight that was not 0.
    pub(crate) latest_weight: u32,
    pub(crate) active: u32,
    pub(crate) inactive: u32,
    pub(crate) persistent: u32,
    pub(crate) stats: Stats,
    pub(crate) estimator: Estimator,
    pub(crate) failures: Failures,
    /// How packets travel to it, now or when it was a tunnel's end.
    pub(crate) tunnel: Tunnel,
    /// The largest packet that passes on the way to a tunnel's end, if a router has told.
    pub(crate) path_mtu: Option<PathMtu>,
}

/// What a router said about the size of packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathMtu {
    pub(crate) bytes: u16,
    /// The tick at which it is forgotten, Linux's `ip_rt_mtu_expires` later.
    expires: u32,
}

impl PathMtu {
    const LIFETIME: u32 = 600 * TICKS;
    /// Less is not believed: Linux's `ip_rt_min_pmtu`.
    const LEAST: u16 = 552;

    pub(crate) fn new(bytes: u16, now: u32) -> PathMtu {
        PathMtu { bytes: bytes.max(Self::LEAST), expires: now.wrapping_add(Self::LIFETIME) }
    }

    pub(crate) fn is_fresh(&self, now: u32) -> bool {
        self.expires.wrapping_sub(now) as i32 > 0
    }
}

impl Destination {
    pub(crate) fn new(config: DestinationConfig, service: ServiceId, owner: u32) -> Destination {
        Destination {
            tunnel: config.forwarding.tunnel().unwrap_or_default(),
            path_mtu: None,
            latest_weight: config.weight,
            config,
            service,
            owner,
            available: true,
            removed: 0,
            overloaded: false,
            active: 0,
            inactive: 0,
            persistent: 0,
            stats: Stats::default(),
            estimator: Estimator::default(),
            failures: Failures::default(),
        }
    }

    pub(crate) fn weight(&self) -> u32 {
        self.config.weight
    }

    /// Whether a scheduler may choose it.
    pub(crate) fn is_open(&self) -> bool {
        self.config.weight > 0 && !self.overloaded
    }

    /// How long a destination that was removed is remembered with its counters, as in the kernel (`IP_VS_DEST_TRASH_PERIOD`).
    const REMEMBERED: u64 = 120 * TICKS as u64;

    /// Whether it was removed and may come back as it was: it still has connections, or has not been gone for long.
    pub(crate) fn is_remembered(&self, now: u64) -> bool {
        !self.available && (self.references() > 0 || now.saturating_sub(self.removed) < Self::REMEMBERED)
    }

    /// Takes it out of its service's list.
    pub(crate) fn leave(&mut self, now: u64) {
        self.available = false;
        self.removed = now;
    }

    /// Connections and templates that refer to it.
    pub(crate) fn references(&self) -> u32 {
        self.active + self.inactive + self.persistent
    }

    pub(crate) fn method(&self) -> Method {
        match self.config.forwarding {
            _ if self.config.address.is_loopback() => Method::Local,
            Forwarding::Local => Method::Local,
            Forwarding::Nat => Method::Nat,
            Forwarding::FullNat => Method::FullNat,
            Forwarding::Tunnel(_) => Method::Tunnel,
            Forwarding::Dr => Method::Dr,
        }
    }

    /// The port of a server on this host, where it is another than the one that clients ask for.
    pub(crate) fn local_port(&self) -> Option<u16> {
        let port = self.config.port;
        let asked = self.service.port();
        let moved = self.config.address.is_loopback() && self.config.forwarding == Forwarding::Nat;
        (moved && port != 0 && asked != 0 && port != asked).then_some(port)
    }

    /// Judges the load after a connection has come or gone, and after an edit: overload begins at the upper threshold and
    /// ends below the lower one, or below three quarters of the upper.
    pub(crate) fn judge_load(&mut self) {
        let total = u64::from(self.active) + u64::from(self.inactive);
        let (upper, lower) = (u64::from(self.config.upper_threshold), u64::from(self.config.lower_threshold));
        self.overloaded = match (lower, upper) {
            (_, 0) => false,
            (_, upper) if total >= upper => true,
            (0, upper) => self.overloaded && total * 4 >= upper * 3,
            (lower, _) => self.overloaded && total >= lower,
        };
    }

    /// Takes over what an edit may change.
    pub(crate) fn edit(&mut self, config: DestinationConfig) {
        self.tunnel = config.forwarding.tunnel().unwrap_or(self.tunnel);
        if config.weight > 0 {
            self.latest_weight = config.weight;
        }
        self.config = config;
        self.judge_load();
    }
}

/// Checks a destination for its service, and gives it the port that its forwarding method needs.
pub(super) fn admit(mut config: DestinationConfig, service: &ServiceId) -> Result<DestinationConfig, Error> {
    if config.lower_threshold > config.upper_threshold || config.weight > i32::MAX as u32 {
        return Err(Error::OutOfRange);
    }
    if let ServiceId::Address(key) = service {
        let same_family = key.address.is_ipv4() == config.address.is_ipv4();
        if !same_family && !matches!(config.forwarding, Forwarding::Local | Forwarding::Tunnel(_)) {
            return Err(Error::FamilyMismatch);
        }
        if !matches!(config.forwarding, Forwarding::Nat | Forwarding::FullNat) {
            config.port = key.port;
        }
    }
    Ok(config)
}

/// A line of `ipvsadm -Ln`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationView {
    /// Its configuration as accepted.
    pub config: DestinationConfig,
    /// Connections in an active state.
    pub active: u32,
    /// Other connections.
    pub inactive: u32,
    /// Persistence templates.
    pub persistent: u32,
    /// Whether it is passed over because of its thresholds.
    pub overloaded: bool,
    /// Its counters.
    pub stats: Stats,
    /// Its rates as of the latest even second.
    pub rates: Rates,
    /// What it did to connections.
    pub failures: Failures,
}

impl From<&Destination> for DestinationView {
    fn from(destination: &Destination) -> Self {
        DestinationView {
            config: destination.config.clone(),
            active: destination.active,
            inactive: destination.inactive,
            persistent: destination.persistent,
            overloaded: destination.overloaded,
            stats: destination.stats,
            rates: destination.estimator.rates(),
            failures: destination.failures,
        }
    }
}
