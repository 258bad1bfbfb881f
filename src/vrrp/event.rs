//! What the VRRP thread tells the supervisor, and what it answers.

use crate::netlink::Interface;
use standfast_vrrp::{Family, GroupView, Link, RouterView, State, TransitionReason};
use std::net::IpAddr;
use std::sync::Arc;

/// Something that scripts, FIFOs or mails may be told. Sending one never waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VrrpEvent {
    /// An instance changed its state.
    Transition {
        /// Name of the instance.
        router: Arc<str>,
        /// State before.
        from: State,
        /// State after.
        to: State,
        /// Effective priority after.
        priority: u8,
        /// Why.
        reason: TransitionReason,
    },
    /// A sync group changed its state.
    GroupTransition {
        /// Name of the group.
        group: Arc<str>,
        /// State after.
        to: State,
    },
    /// A master heard an advert of a lower priority.
    MasterReceivedLowerPriority {
        /// Name of the instance.
        router: Arc<str>,
    },
    /// Another master was heard again and again, or ceased to be heard.
    SplitBrain {
        /// Name of the instance.
        router: Arc<str>,
        /// The other master.
        rival: IpAddr,
        /// Whether it is gone.
        over: bool,
    },
    /// The effective priority of an instance changed.
    PriorityChanged {
        /// Name of the instance.
        router: Arc<str>,
        /// Effective priority after.
        priority: u8,
        /// Its state.
        state: State,
    },
    /// The thread panicked and began again from INIT.
    Restarted {
        /// What the panic said.
        message: String,
    },
    /// The thread ended: after a stop, or because the system refused what it cannot do without.
    Ended {
        /// Why, unless it was asked to.
        error: Option<String>,
    },
}

/// The state of everything, for dumps.
#[derive(Debug, Clone, Default)]
pub struct Views {
    /// Every instance in file order.
    pub routers: Vec<RouterView>,
    /// Every sync group in file order.
    pub groups: Vec<GroupView>,
    /// Interfaces in use by link: name, and what the kernel says if it exists.
    pub links: Vec<(Link, String, Option<Arc<Interface>>)>,
    /// Every interface of the network namespace, by kernel index.
    pub interfaces: Vec<Arc<Interface>>,
    /// What adverts come and go through.
    pub sockets: Vec<SocketView>,
}

/// A socket, and whose adverts it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketView {
    /// File descriptor; `None` while its interface is missing.
    pub descriptor: Option<i32>,
    /// Interface; `Link(0)` is any.
    pub link: Link,
    /// Family of the adverts.
    pub family: Family,
    /// IP protocol: 112, or 51 where they carry an authentication header.
    pub protocol: u8,
    /// For unicast, the source of what is sent, once there is one.
    pub unicast: Option<Option<IpAddr>>,
    /// Names and VRIDs of the instances.
    pub routers: Vec<(String, u8)>,
}

impl Views {
    /// Name of the interface behind a link; empty for "any".
    #[must_use]
    pub fn interface_name(&self, link: Link) -> &str {
        self.links.iter().find(|(known, ..)| *known == link).map_or("", |(_, name, _)| name)
    }
}
