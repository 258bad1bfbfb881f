//! Log lines, word for word those that people search keepalived's logs for.

use crate::config::{Family, TrackerName};
use crate::effect::State;
use crate::packet::Rejection;
use crate::view::Rival;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Shown only where details are asked for (`-D`).
    Detail,
    /// The ordinary course of things.
    Info,
    /// Out of the ordinary, without harm so far.
    Notice,
    /// Somebody should look.
    Warning,
}

/// One log line about an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Name of the instance or group.
    pub subject: Arc<str>,
    /// What happened.
    pub kind: ReportKind,
}

/// What a log line tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportKind {
    /// BACKUP is entered.
    EnteringBackup {
        /// Straight from the start.
        init: bool,
    },
    /// MASTER is entered.
    EnteringMaster,
    /// FAULT is entered.
    EnteringFault,
    /// FAULT from the start; follows its reasons.
    FaultAtStart,
    /// A tracker is a fault at the start.
    TrackerDownAtStart {
        /// Which.
        tracker: TrackerName,
        /// What a file's value amounts to, weighed.
        sum: i32,
    },
    /// A group begins in FAULT because this member does.
    GroupFaultAtStart {
        /// Name of the instance.
        member: Arc<str>,
    },
    /// The interface has no address at the start.
    NoSourceAtStart(Family),
    /// A unicast router has no peers at the start.
    NoPeers,
    /// The owner of the addresses dropped somebody's advert.
    OwnerIgnores(IpAddr),
    /// A tracked file's value became a fault (true) or ceased to be one.
    FileFault {
        /// Name of the tracked file.
        file: String,
        /// Whether it is a fault.
        fault: bool,
    },
    /// A tracked BFD session came up or went down.
    BfdChanged {
        /// Name of the session.
        session: String,
        /// Whether it is up.
        up: bool,
    },
    /// Two routers say that the addresses are their own; this one gives way.
    TwoOwners,
    /// No advert came in time.
    AdvertTimeout,
    /// A backup's timer fired so late that it listens once more.
    Overslept(Duration),
    /// Addresses are put on.
    SettingAddresses,
    /// Addresses are taken off.
    RemovingAddresses,
    /// An advert with priority 0 was sent.
    SentPriorityZero,
    /// A master gives way.
    HigherPriority {
        /// Sender.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our priority.
        ours: u8,
    },
    /// A master gives way to an equal.
    HigherAddress {
        /// Sender.
        from: IpAddr,
        /// Priority of both.
        priority: u8,
    },
    /// A master hears a lesser one.
    LowerPriorityAsMaster {
        /// Sender.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
        /// Our priority.
        ours: u8,
        /// Whether it is answered with an advert.
        election: bool,
    },
    /// A backup hears a lesser master and lets its timer run.
    LowerPriorityAsBackup {
        /// Sender.
        from: IpAddr,
        /// Its priority.
        theirs: u8,
    },
    /// The master resigned.
    PriorityZeroAsBackup,
    /// Another master resigned.
    PriorityZeroAsMaster,
    /// Another master stays one.
    SplitBrain {
        /// What is known of it.
        rival: Rival,
        /// Our priority.
        ours: u8,
    },
    /// Another master has ceased to be heard.
    SplitBrainOver {
        /// Who it was.
        from: IpAddr,
        /// From its first advert to its last.
        lasted: Duration,
        /// Whether the addresses are announced again.
        heals: bool,
    },
    /// A vote changed the priority.
    PriorityChanged {
        /// Effective priority before.
        from: u8,
        /// Effective priority after.
        to: u8,
    },
    /// `preempt_delay` begins.
    PreemptDelay(Duration),
    /// Version 3: the master's interval is adopted.
    IntervalLearnt {
        /// Interval before.
        from: Duration,
        /// Interval of the master.
        to: Duration,
    },
    /// Version 3: as master, the own interval counts again.
    IntervalRestored {
        /// Interval learnt.
        from: Duration,
        /// Interval configured.
        to: Duration,
    },
    /// An advert was dropped.
    Rejected(Rejection),
    /// A master's timer fired so late that it gives way.
    TimerLate(Duration),
    /// A unicast router that is back tells its peers where it is.
    AnnouncingSource(IpAddr),
    /// Members of a group follow the first one.
    GroupSync(State),
    /// `vrrp_startup_delay` begins.
    StartupDelay(Duration),
}

impl Report {
    /// How much the line matters. What keepalived 2.2.7 prints without `-D` is at least [`Level::Info`].
    #[must_use]
    pub fn level(&self) -> Level {
        match &self.kind {
            ReportKind::AdvertTimeout
            | ReportKind::Overslept(_)
            | ReportKind::SettingAddresses
            | ReportKind::RemovingAddresses
            | ReportKind::SentPriorityZero
            | ReportKind::AnnouncingSource(_)
            | ReportKind::PriorityZeroAsBackup
            | ReportKind::PriorityZeroAsMaster => Level::Detail,
            ReportKind::SplitBrain { .. } | ReportKind::TwoOwners => Level::Warning,
            ReportKind::Rejected(_) | ReportKind::OwnerIgnores(_) | ReportKind::TimerLate(_) => Level::Notice,
            _ => Level::Info,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.subject;
        match &self.kind {
            ReportKind::GroupSync(state) => {
                write!(f, "VRRP_Group({name}) Syncing instances to {state} state")
            }
            ReportKind::StartupDelay(delay) => {
                write!(f, "Delaying startup for {} seconds", delay.as_secs_f64())
            }
            ReportKind::Rejected(rejection @ Rejection::TooShort { .. }) => write!(f, "{rejection}"),
            ReportKind::TrackerDownAtStart { tracker, sum } => write_down_at_start(f, name, tracker, *sum),
            ReportKind::GroupFaultAtStart { member } => {
                write!(f, "VRRP_Group({name}): Syncing {member} to FAULT state")
            }
            ReportKind::AnnouncingSource(address) => {
                let packet = if address.is_ipv4() { "ARP" } else { "NA" };
                write!(f, "{name}: sending gratuitous {packet} for {address}")
            }
            ReportKind::FileFault { file, fault: true } => {
                write!(f, "({name}): tracked file {file} now FAULT state")
            }
            ReportKind::FileFault { file, fault: false } => {
                write!(f, "({name}): tracked file {file} leaving FAULT state")
            }
            ReportKind::BfdChanged { session, up } => {
                let state = if *up { "UP" } else { "DOWN" };
                write!(f, "VRRP_Instance({name}) Tracked BFD instance {session} is {state}")
            }
            kind => write!(f, "({name}) {kind}"),
        }
    }
}

/// The line without the subject; the kinds that do not begin with it are [`Report`]'s own.
impl fmt::Display for ReportKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EnteringBackup { init: true } => f.write_str("Entering BACKUP STATE (init)"),
            Self::EnteringBackup { init: false } => f.write_str("Entering BACKUP STATE"),
            Self::EnteringMaster => f.write_str("Entering MASTER STATE"),
            Self::EnteringFault => f.write_str("Entering FAULT STATE"),
            Self::FaultAtStart => f.write_str("entering FAULT state"),
            Self::NoSourceAtStart(family) => {
                write!(f, "entering FAULT state (no {family} address for interface)")
            }
            Self::NoPeers => f.write_str("Cannot use unicast without any peers - going to fault state"),
            Self::OwnerIgnores(from) => write!(f, "Dropping packet(s) from {from} since we are address owner"),
            Self::BfdChanged { session, up } => write!(f, "tracked BFD session {session}: up {up}"),
            Self::TwoOwners => f.write_str(
                "CONFIGURATION ERROR: local instance and a remote instance are both configured as address owner, please fix - \
                 reducing local priority",
            ),
            Self::AdvertTimeout => f.write_str("Receive advertisement timeout"),
            Self::Overslept(late) => {
                write!(f, "woke {:.3} seconds late, listening once more before taking over", late.as_secs_f64())
            }
            Self::SettingAddresses => f.write_str("setting VIPs."),
            Self::RemovingAddresses => f.write_str("removing VIPs."),
            Self::SentPriorityZero => f.write_str("sent 0 priority"),
            Self::PriorityZeroAsBackup => f.write_str("Backup received priority 0 advertisement"),
            Self::PriorityZeroAsMaster => f.write_str("Master received priority 0 message"),
            Self::PriorityChanged { from, to } => {
                write!(f, "Changing effective priority from {from} to {to}")
            }
            Self::PreemptDelay(delay) => {
                write!(f, "start preempt delay ({}.{:06})", delay.as_secs(), delay.subsec_micros())
            }
            Self::IntervalLearnt { from, to } => {
                let (from, to) = (from.as_millis(), to.as_millis());
                write!(f, "advertisement interval updated from {from}ms to {to}ms by master")
            }
            Self::IntervalRestored { from, to } => {
                let (from, to) = (from.as_millis(), to.as_millis());
                write!(f, "changing advert interval from {from}ms to locally configured {to}ms")
            }
            Self::Rejected(rejection) => write!(f, "{rejection}"),
            Self::TimerLate(late) => {
                write!(f, "advert timer fired {:.6} seconds late, giving way", late.as_secs_f64())
            }
            Self::TrackerDownAtStart { tracker, .. } => write!(f, "{tracker} is down at the start"),
            Self::GroupFaultAtStart { member } => write!(f, "{member} has a fault at the start"),
            Self::FileFault { file, fault } => write!(f, "tracked file {file}: fault {fault}"),
            Self::AnnouncingSource(address) => write!(f, "announces {address}"),
            Self::GroupSync(state) => write!(f, "Syncing instances to {state} state"),
            Self::StartupDelay(delay) => write!(f, "startup delayed by {delay:?}"),
            other => other.about_another_advert(f),
        }
    }
}

impl ReportKind {
    fn about_another_advert(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HigherPriority { from, theirs, ours } => {
                write!(f, "Master received advert from {from} with higher priority {theirs}, ours {ours}")
            }
            Self::HigherAddress { from, priority } => write!(
                f,
                "Master received advert from {from} with same priority {priority} but higher IP address than ours"
            ),
            Self::LowerPriorityAsMaster { from, theirs, ours, election } => {
                let tail = if *election { ", forcing new election" } else { "" };
                write!(f, "Received advert from {from} with lower priority {theirs}, ours {ours}{tail}")
            }
            Self::LowerPriorityAsBackup { from, theirs } => {
                write!(f, "received lower priority ({theirs}) advert from {from} - discarding")
            }
            Self::SplitBrain { rival, ours } => write_split_brain(f, rival, *ours),
            Self::SplitBrainOver { from, lasted, heals } => {
                let tail = if *heals { ", announcing the addresses again" } else { "" };
                write!(f, "Split brain is over: {from} is silent, after {:.1} s{tail}", lasted.as_secs_f64())
            }
            _ => Ok(()),
        }
    }
}

fn write_down_at_start(f: &mut fmt::Formatter<'_>, name: &str, tracker: &TrackerName, sum: i32) -> fmt::Result {
    match tracker {
        TrackerName::File(file) => {
            write!(f, "({name}): entering FAULT state (tracked file {file} has status {sum})")
        }
        TrackerName::Process(process) => {
            write!(f, "({name}) entering FAULT state (tracked process {process} quorum not achieved)")
        }
        TrackerName::Script(script) => write!(f, "({name}): entering FAULT state due to script {script}"),
        TrackerName::Source(_) => write!(f, "({name}): entering FAULT state (src address not configured)"),
        TrackerName::Interface(_) | TrackerName::Bfd(_) => {
            write!(f, "({name}): entering FAULT state ({tracker} down)")
        }
    }
}

fn write_split_brain(f: &mut fmt::Formatter<'_>, rival: &Rival, ours: u8) -> fmt::Result {
    let (from, priority, adverts) = (rival.address, rival.priority, rival.adverts);
    write!(f, "Split brain: {from} is master, too, with priority {priority}, ours {ours} ({adverts} adverts): ")?;
    match &rival.refused {
        Some(rejection) => write!(f, "its adverts are refused here, {rejection}"),
        None => f.write_str("it does not hear us or refuses our adverts"),
    }
}
