//! What a node wants done.

use crate::config::{Link, TrackerName};
use crate::report::Report;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A router of a node. Identifiers are never used twice in the life of a node and survive a change of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub u32);

/// State of a router or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Configured, not started, or waiting for the first verdict of a tracker.
    Init,
    /// Listening to a master, or for one.
    Backup,
    /// Holding the addresses.
    Master,
    /// Something that it depends on is down.
    Fault,
    /// Ended with the node.
    Stop,
    /// Taken out of the configuration.
    Deleted,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Init => "INIT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
            Self::Fault => "FAULT",
            Self::Stop => "STOP",
            Self::Deleted => "DELETED",
        })
    }
}

/// Why a router changed its state. `Display` gives a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransitionReason {
    /// The node started, or the router was added.
    Started,
    /// The owner of the addresses (priority 255) is master from the start.
    Owner,
    /// No advert for the master down interval.
    AdvertTimeout,
    /// The master said goodbye with priority 0 and the skew time passed.
    MasterResigned,
    /// Another member of the sync group changed.
    Group(Arc<str>),
    /// An advert with a higher priority.
    HigherPriority {
        /// Who sent it.
        from: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// An advert with the same priority from a higher address.
    HigherAddress {
        /// Who sent it.
        from: IpAddr,
    },
    /// A tracker with weight zero is down.
    Tracker(TrackerName),
    /// The interface has no address to send from.
    NoSource,
    /// A unicast router has no peers.
    NoPeers,
    /// Nothing that it depends on is down any more.
    Recovered,
    /// Somebody removed a virtual address.
    AddressLost(IpAddr),
    /// Somebody removed a route or a rule, described here.
    PolicyLost(Arc<str>),
    /// The advert timer fired so late that another master must exist.
    TimerLate,
    /// A person ordered it.
    Ordered,
    /// The node is stopped.
    Stopped,
    /// A reload removed the router or gave it another identity.
    Removed,
}

impl fmt::Display for TransitionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Owner => f.write_str("owner of the addresses (priority 255)"),
            Self::AdvertTimeout => f.write_str("no advert from a master in time"),
            Self::MasterResigned => f.write_str("the master resigned with priority 0"),
            Self::Group(name) => write!(f, "sync group {name} follows another member"),
            Self::HigherPriority { from, priority } => {
                write!(f, "advert from {from} with higher priority {priority}")
            }
            Self::HigherAddress { from } => {
                write!(f, "advert from {from} with equal priority and higher address")
            }
            Self::Tracker(name) => write!(f, "{name} is down"),
            Self::NoSource => f.write_str("the interface has no address to send from"),
            Self::NoPeers => f.write_str("unicast without any peers"),
            Self::Recovered => f.write_str("no fault is left"),
            Self::AddressLost(address) => write!(f, "somebody removed {address}"),
            Self::PolicyLost(what) => write!(f, "somebody removed {what}"),
            Self::TimerLate => f.write_str("the advert timer fired too late"),
            Self::Ordered => f.write_str("a person ordered it"),
            Self::Stopped => f.write_str("stopped"),
            Self::Removed => f.write_str("removed from the configuration"),
        }
    }
}

/// Something to be done by the caller, in the order in which effects come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send one advert. There is one effect for each destination: version 3 and AH cover the destination.
    Advertise {
        /// Whose advert.
        router: RouterId,
        /// Interface to send from; `Link(0)` leaves it to the routing table.
        link: Link,
        /// IP source.
        source: IpAddr,
        /// IP destination: the multicast group or a unicast peer.
        destination: IpAddr,
        /// TTL or hop limit. TOS or traffic class is always 0xC0.
        ttl: u8,
        /// IP protocol: 112, or 51 with AH.
        protocol: u8,
        /// IPv4 identification, counted from 1 for each router. AH covers it, so the header must be the caller's own
        /// (`IP_HDRINCL`), see [`crate::packet::ipv4_header`].
        identification: u16,
        /// What follows the IP header.
        payload: Vec<u8>,
    },
    /// Put all addresses of the router on their interfaces (advertised and excluded). Idempotent.
    SetAddresses {
        /// Whose addresses.
        router: RouterId,
    },
    /// Take all addresses of the router off. Idempotent; at the start it removes what a crash left behind.
    ClearAddresses {
        /// Whose addresses.
        router: RouterId,
    },
    /// The router is master and a reload took place: take off the addresses that the old configuration had and the new
    /// one has not, put on those that are missing, and leave the others alone. Idempotent.
    UpdateAddresses {
        /// Whose addresses.
        router: RouterId,
    },
    /// Gratuitous ARP or unsolicited neighbour advertisements: `rounds` times over all addresses of the router.
    Announce {
        /// Whose addresses.
        router: RouterId,
        /// Packets for each address.
        rounds: u32,
    },
    /// One gratuitous ARP or unsolicited neighbour advertisement on each interface that has addresses of the router and sends
    /// none of its adverts, so that switches remember where it is.
    AnnounceExtra {
        /// Whose addresses.
        router: RouterId,
    },
    /// One gratuitous ARP or unsolicited neighbour advertisement for the address that unicast adverts are sent to: the master may have
    /// forgotten where it is.
    AnnounceSource {
        /// Whose address.
        router: RouterId,
        /// Its interface.
        link: Link,
        /// The address.
        address: IpAddr,
    },
    /// A router changed its state: notification scripts, FIFOs, mail.
    Transition {
        /// Which router.
        router: RouterId,
        /// State before.
        from: State,
        /// State after.
        to: State,
        /// Effective priority after.
        priority: u8,
        /// Why.
        reason: TransitionReason,
    },
    /// A group changed its state. Follows the last member's own transition.
    GroupTransition {
        /// Name of the group.
        group: Arc<str>,
        /// State after.
        to: State,
    },
    /// `notify_master_rx_lower_pri`.
    MasterReceivedLowerPriority {
        /// Which router.
        router: RouterId,
    },
    /// Another master was heard again and again, or ceased to be heard (`split_brain_notify`).
    SplitBrain {
        /// Which router.
        router: RouterId,
        /// The other master.
        rival: IpAddr,
        /// Whether it is gone.
        over: bool,
    },
    /// The effective priority changed (`notify_priority_changes`).
    PriorityChanged {
        /// Which router.
        router: RouterId,
        /// Effective priority after.
        priority: u8,
        /// Its state.
        state: State,
    },
    /// An advert for an identifier that no router of this link has, at most ten a second (`log_unknown_vrids`).
    UnknownVrid {
        /// Where it came in.
        link: Link,
        /// The identifier.
        vrid: u8,
        /// Who sent it.
        from: IpAddr,
    },
    /// A log line.
    Report(Report),
}
