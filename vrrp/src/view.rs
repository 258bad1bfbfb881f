//! Answers to "what is it doing, and why".

use crate::config::{Family, Link, TrackerName, Version};
use crate::effect::{RouterId, State, TransitionReason};
use crate::packet::Rejection;
use crate::priority::Vote;
use crate::timer::TimerReason;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A change of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// When.
    pub at: Instant,
    /// State before.
    pub from: State,
    /// State after.
    pub to: State,
    /// Why.
    pub reason: TransitionReason,
}

/// Another master, heard while being master: the network was divided, or a peer does not accept our adverts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// Who it is.
    pub address: IpAddr,
    /// Its priority.
    pub priority: u8,
    /// Why its latest advert was refused; `None` where it counted.
    pub refused: Option<Rejection>,
    /// When it was heard first.
    pub since: Instant,
    /// When it was heard last.
    pub at: Instant,
    /// Its adverts so far.
    pub adverts: u32,
    /// Whether it was told of as a split brain.
    pub told: bool,
}

/// Everything about one router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterView {
    /// Identifier.
    pub id: RouterId,
    /// Name.
    pub name: Arc<str>,
    /// Interface.
    pub link: Link,
    /// Virtual router identifier.
    pub vrid: u8,
    /// Family of the adverts.
    pub family: Family,
    /// Protocol version.
    pub version: Version,
    /// State.
    pub state: State,
    /// Configured priority.
    pub base_priority: u8,
    /// Priority with all votes.
    pub effective_priority: u8,
    /// Votes by name.
    pub votes: Vec<Vote>,
    /// The tracker whose first verdict an INIT router waits for.
    pub waiting_for: Option<TrackerName>,
    /// Address that adverts come from.
    pub source: Option<IpAddr>,
    /// Address that adverts of the other family come from, with `dual_stack`.
    pub second_source: Option<IpAddr>,
    /// The master that was heard last, with its priority; `None` while being master or before hearing any.
    pub master: Option<(IpAddr, u8)>,
    /// The lesser master that was heard last since MASTER was entered.
    pub rival: Option<Rival>,
    /// Interval configured.
    pub advert_interval: Duration,
    /// Interval that counts: version 3 backups adopt the master's.
    pub master_interval: Duration,
    /// Skew time.
    pub skew: Duration,
    /// Master down interval.
    pub master_down: Duration,
    /// Every deadline that is set, earliest first.
    pub timers: Vec<(Instant, TimerReason)>,
    /// The timer ran out and only other members of the sync group keep it from being master.
    pub wants_master: bool,
    /// The end of `preempt_delay` where it is running or over.
    pub preempt_at: Option<Instant>,
    /// Sync group.
    pub group: Option<Arc<str>>,
    /// The latest changes of state, oldest first, sixteen at most.
    pub history: Vec<Transition>,
    /// Counters.
    pub statistics: Statistics,
}

impl RouterView {
    /// The earliest deadline and its reason.
    #[must_use]
    pub fn next(&self) -> Option<(Instant, TimerReason)> {
        self.timers.first().copied()
    }

    /// The latest change of state.
    #[must_use]
    pub fn last_transition(&self) -> Option<&Transition> {
        self.history.last()
    }
}

/// Everything about one sync group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Name.
    pub name: Arc<str>,
    /// State of all members.
    pub state: State,
    /// Members in file order.
    pub members: Vec<RouterId>,
}

/// Counters of one router since it was added: those of keepalived's statistics file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Adverts accepted.
    pub adverts_received: u64,
    /// Adverts sent, each destination counted.
    pub adverts_sent: u64,
    /// Times MASTER was entered.
    pub became_master: u64,
    /// Times MASTER was left.
    pub released_master: u64,
    /// Wrong lengths.
    pub length_errors: u64,
    /// Wrong TTL or hop limit.
    pub ttl_errors: u64,
    /// Wrong packet type or version.
    pub type_errors: u64,
    /// Wrong checksums.
    pub checksum_errors: u64,
    /// Wrong advertisement interval.
    pub interval_errors: u64,
    /// Wrong number or list of addresses, or a source that is no peer.
    pub address_errors: u64,
    /// Authentication types that do not exist.
    pub unknown_authentication: u64,
    /// Authentication types other than ours.
    pub authentication_mismatches: u64,
    /// Wrong passwords and digests.
    pub authentication_failures: u64,
    /// Adverts with priority 0 heard.
    pub priority_zero_received: u64,
    /// Adverts with priority 0 sent.
    pub priority_zero_sent: u64,
}

impl Statistics {
    pub(crate) fn reject(&mut self, rejection: &Rejection) {
        let counter = match rejection {
            Rejection::TooShort { .. } | Rejection::Truncated { .. } | Rejection::TooLong { .. } => {
                &mut self.length_errors
            }
            Rejection::HopLimit { .. } | Rejection::PeerHopLimit { .. } => &mut self.ttl_errors,
            Rejection::Version { .. } | Rejection::Type { .. } => &mut self.type_errors,
            Rejection::Checksum(_) => &mut self.checksum_errors,
            Rejection::Interval { .. } => &mut self.interval_errors,
            Rejection::AddressCount { .. } | Rejection::AddressMissing { .. } | Rejection::UnicastSource(_) => {
                &mut self.address_errors
            }
            Rejection::UnknownAuthenticationType(_) => &mut self.unknown_authentication,
            Rejection::AuthenticationType { .. } | Rejection::HmacMissing => &mut self.authentication_mismatches,
            Rejection::Password
            | Rejection::AhHeader
            | Rejection::AhDigest
            | Rejection::HmacMalformed
            | Rejection::HmacKey(_)
            | Rejection::HmacInvalid
            | Rejection::HmacStale
            | Rejection::HmacReplayed => &mut self.authentication_failures,
        };
        *counter += 1;
    }
}
