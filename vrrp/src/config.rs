//! What a node is told: its routers, its sync groups and what they watch.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Everything that one host runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeConfig {
    /// VRRP instances in file order.
    pub routers: Vec<RouterConfig>,
    /// Sync groups in file order.
    pub groups: Vec<GroupConfig>,
    /// `vrrp_startup_delay`: added to the first master down interval after start. A reload does not repeat it.
    pub startup_delay: Duration,
    /// `log_unknown_vrids`: an advert for an identifier that no router has is told, see [`Effect::UnknownVrid`].
    ///
    /// [`Effect::UnknownVrid`]: crate::Effect::UnknownVrid
    pub log_unknown_vrids: bool,
}

/// A network interface by its kernel index. `Link(0)` stands for "any": a unicast router without an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link(pub u32);

/// Protocol version of the adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768: whole seconds, optional authentication, IPv4 only.
    V2,
    /// RFC 9568: centiseconds, no authentication.
    V3,
}

impl Version {
    /// The number in the packet.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// Address family of a router's adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: &IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// Octets of an address: 4 or 16.
    #[must_use]
    pub fn address_len(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Authentication of version 2 adverts (RFC 2338 section 5.3.6; RFC 3768 dropped it, the field kept it).
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Authentication {
    /// Type 0.
    #[default]
    None,
    /// Type 1: the password, padded with zeros.
    Pass([u8; 8]),
    /// Type 2: the key of HMAC-MD5-96 in an IP authentication header, padded with zeros.
    Ah([u8; 8]),
}

impl Authentication {
    /// The type octet of the packet.
    #[must_use]
    pub fn type_octet(&self) -> u8 {
        match self {
            Self::None => 0,
            Self::Pass(_) => 1,
            Self::Ah(_) => 2,
        }
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Pass(_) => "Pass(..)",
            Self::Ah(_) => "Ah(..)",
        })
    }
}

/// `auth_hmac`: a trailer behind every advert, for either version and family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticator {
    /// Keys that received trailers may name.
    pub keys: Vec<HmacKey>,
    /// `active_key`: the key that adverts are signed with.
    pub active_key: u8,
    /// `anti_replay`.
    pub anti_replay: AntiReplay,
    /// `mode`.
    pub mode: AuthenticatorMode,
}

/// One key of `auth_hmac`.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Number, 1..=255.
    pub id: u8,
    /// 32 to 64 octets; what goes beyond 64 is not used.
    pub key: Vec<u8>,
}

impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacKey({}, ..)", self.id)
    }
}

/// `anti_replay`: what makes an advert fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AntiReplay {
    /// Its time is within `window` of ours, and later than the sender's last.
    Time {
        /// `time_window`, whole seconds.
        window: Duration,
    },
    /// Its sequence is higher than the sender's last.
    Monotonic,
}

/// `mode` of `auth_hmac`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticatorMode {
    /// Adverts are signed, and taken with a valid trailer only.
    Enforce,
    /// Adverts are signed, and those without a trailer are taken as well.
    Permissive,
    /// Adverts are not signed; trailers of others are verified.
    ReceiveOnly,
}

/// One VRRP instance, every default applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterConfig {
    /// Name of the instance, as log lines show it.
    pub name: String,
    /// Interface that adverts use.
    pub link: Link,
    /// Virtual router identifier, 1..=255.
    pub vrid: u8,
    /// Protocol version.
    pub version: Version,
    /// Family of the adverts and of all `addresses`.
    pub family: Family,
    /// Base priority, 1..=255; 255 is the address owner.
    pub priority: u8,
    /// `state MASTER`. Of consequence only at priority 255, as in keepalived: such a router is master from the start.
    pub starts_as_master: bool,
    /// Advertisement interval: whole seconds for version 2, 10 ms to 40.95 s for version 3.
    pub advert_interval: Duration,
    /// False for `nopreempt`.
    pub preempt: bool,
    /// How long adverts of a lower priority are respected before they are discarded.
    pub preempt_delay: Duration,
    /// Authentication of version 2.
    pub authentication: Authentication,
    /// `auth_hmac`.
    pub authenticator: Option<Authenticator>,
    /// Advertised addresses in file order, at most 255.
    pub addresses: Vec<IpAddr>,
    /// `mcast_src_ip` or `unicast_src_ip`; otherwise the interface's address, see [`Node::set_source`].
    ///
    /// [`Node::set_source`]: crate::Node::set_source
    pub source: Option<IpAddr>,
    /// `unicast_peer`; empty means multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// `check_unicast_src`: adverts of a source that is no peer are rejected.
    pub check_unicast_source: bool,
    /// `min_ttl` and `max_ttl` of unicast peers, where they are set.
    pub peer_ttls: Vec<PeerTtl>,
    /// `unicast_ttl`; `None` is 255 for IPv4 and the kernel's 64 for IPv6, as keepalived sends them.
    pub unicast_ttl: Option<u8>,
    /// `old_unicast_checksum`: version 3 unicast adverts carry the checksum of the multicast destination.
    pub old_unicast_checksum: bool,
    /// `v3_checksum_as_v2`: checksums of version 3 over IPv4 leave out the pseudo header, as RFC 9568 section 5.2.8 is read
    /// by some; received adverts may have it or not.
    pub v3_checksum_as_v2: bool,
    /// `unicast_fault_no_peer` with none of `unicast_peers` left: FAULT, and no multicast.
    pub lacks_peers: bool,
    /// `owner_ignore_adverts`: while its priority is 255 it listens to nobody.
    pub owner_ignore_adverts: bool,
    /// Destination of multicast adverts.
    pub multicast_group: IpAddr,
    /// `down_timer_adverts`: missed adverts until the master counts as gone.
    pub down_timer_adverts: u8,
    /// `vrrp_strict`: adverts of a lower priority are answered with no gratuitous ARP.
    pub strict: bool,
    /// `skip_check_adv_addr`: addresses of an advert of the known master are not compared again.
    pub skip_check_adv_addr: bool,
    /// `lower_prio_no_advert`: a master does not answer an advert of a lower priority.
    pub lower_prio_no_advert: bool,
    /// `higher_prio_send_advert`: a master that gives way sends one last advert.
    pub higher_prio_send_advert: bool,
    /// `split_brain_heal`: the addresses are announced again when another master has ceased to be heard.
    pub split_brain_heal: bool,
    /// `timer_expired_backup`: a master whose advert timer fires so late that a router of this priority must have taken
    /// over gives way by itself before it says anything. keepalived's default for the number is 254.
    pub timer_expired_backup: Option<u8>,
    /// Gratuitous ARP and unsolicited neighbour advertisements.
    pub announce: AnnounceConfig,
    /// `dual_stack`: the other family's half, with its `family`, `version`, `addresses`, `source`, `unicast_peers` and
    /// `multicast_group`; priority, state and timers are those of the router itself.
    pub companion: Option<Box<RouterConfig>>,
    /// What votes on the priority. The instance's own interface belongs here too, unless `dont_track_primary`.
    pub trackers: Vec<TrackerConfig>,
}

impl RouterConfig {
    /// An IPv4 version 2 instance with keepalived's defaults: priority 100, one second, preemption.
    #[must_use]
    pub fn new(name: &str, link: Link, vrid: u8) -> Self {
        Self {
            name: name.to_owned(),
            link,
            vrid,
            version: Version::V2,
            family: Family::V4,
            priority: 100,
            starts_as_master: false,
            advert_interval: Duration::from_secs(1),
            preempt: true,
            preempt_delay: Duration::ZERO,
            authentication: Authentication::None,
            authenticator: None,
            addresses: Vec::new(),
            source: None,
            unicast_peers: Vec::new(),
            check_unicast_source: false,
            peer_ttls: Vec::new(),
            unicast_ttl: None,
            old_unicast_checksum: false,
            v3_checksum_as_v2: false,
            lacks_peers: false,
            owner_ignore_adverts: false,
            multicast_group: Self::default_group(Family::V4),
            down_timer_adverts: 3,
            strict: false,
            skip_check_adv_addr: false,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            split_brain_heal: false,
            timer_expired_backup: None,
            announce: AnnounceConfig::default(),
            companion: None,
            trackers: Vec::new(),
        }
    }

    /// The half that speaks a family: the router itself, or its companion.
    pub(crate) fn half(&self, family: Family) -> Option<&RouterConfig> {
        self.halves().find(|half| half.family == family)
    }

    /// The router itself, then its companion.
    pub fn halves(&self) -> impl Iterator<Item = &RouterConfig> {
        std::iter::once(self).chain(self.companion.as_deref())
    }

    /// 224.0.0.18 or ff02::12 (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
    #[must_use]
    pub fn default_group(family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::new(224, 0, 0, 18)),
            Family::V6 => IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12)),
        }
    }

    pub(crate) fn is_unicast(&self) -> bool {
        !self.unicast_peers.is_empty()
    }

    pub(crate) fn ttl(&self) -> u8 {
        let unicast = match self.family {
            Family::V4 => 255,
            Family::V6 => 64,
        };
        if self.is_unicast() { self.unicast_ttl.unwrap_or(unicast) } else { 255 }
    }
}

/// TTLs or hop limits within which adverts of one unicast peer are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerTtl {
    /// The peer.
    pub peer: IpAddr,
    /// Lowest TTL that is taken.
    pub min: u8,
    /// Highest TTL that is taken.
    pub max: u8,
}

/// How often addresses are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnnounceConfig {
    /// `garp_master_repeat`: rounds over all addresses when an instance becomes master.
    pub repeat: u32,
    /// `garp_master_delay`: when the rounds are repeated; zero means never.
    pub delay: Duration,
    /// `garp_master_refresh`: period of refreshes; zero means none.
    pub refresh: Duration,
    /// `garp_master_refresh_repeat`: rounds of a refresh.
    pub refresh_repeat: u32,
    /// `garp_extra_if`: period of announcements on interfaces that send no adverts; zero means none.
    pub extra: Duration,
    /// `garp_lower_prio_repeat`: rounds after an advert of a lower priority.
    pub lower_prio_repeat: u32,
    /// `garp_lower_prio_delay`: when these rounds are repeated; zero means never.
    pub lower_prio_delay: Duration,
}

impl Default for AnnounceConfig {
    fn default() -> Self {
        Self {
            repeat: 5,
            delay: Duration::from_secs(5),
            refresh: Duration::ZERO,
            refresh_repeat: 1,
            extra: Duration::ZERO,
            lower_prio_repeat: 5,
            lower_prio_delay: Duration::from_secs(5),
        }
    }
}

/// What is watched, by kind and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackerName {
    /// `track_interface`.
    Interface(String),
    /// `track_script`.
    Script(String),
    /// `track_process`.
    Process(String),
    /// `track_file`.
    File(String),
    /// `track_bfd`.
    Bfd(String),
    /// `track_src_ip`: whether an interface has this address, which adverts are sent from.
    Source(IpAddr),
}

impl fmt::Display for TrackerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface(name) => write!(f, "interface {name}"),
            Self::Script(name) => write!(f, "script {name}"),
            Self::Process(name) => write!(f, "process {name}"),
            Self::File(name) => write!(f, "file {name}"),
            Self::Bfd(name) => write!(f, "bfd {name}"),
            Self::Source(address) => write!(f, "source address {address}"),
        }
    }
}

/// A tracker's vote on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackerConfig {
    /// What is watched.
    pub tracker: TrackerName,
    /// -253..=253: positive counts while up, negative while down, zero makes "down" a fault. Files: a factor.
    pub weight: i32,
    /// Turns the sign of the weight; with weight zero "up" is the fault.
    pub reverse: bool,
}

/// The latest verdict of a tracker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrackerStatus {
    /// No verdict yet. An instance that watches it with weight zero does not leave INIT before there is one.
    #[default]
    Unknown,
    /// Up, succeeded, running.
    Up,
    /// Down, failed, absent.
    Down,
    /// The number that a tracked file holds. -254 and below, times the weight, is a fault; with weight zero any number
    /// other than zero is.
    Value(i32),
}

/// `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupConfig {
    /// Name of the group.
    pub name: String,
    /// Names of its instances, in file order. Unknown names are ignored; an instance belongs to the first group that names it.
    pub members: Vec<String>,
    /// What votes on every member.
    pub trackers: Vec<TrackerConfig>,
}
