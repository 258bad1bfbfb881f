//! Instances and sync groups as the VRRP node takes them.

use super::vmac::Vmacs;
use crate::netlink::{AddressSpec, Belongings, FirewallOptions, Pace, PaceGroup, RouteSpec, RuleSpec};
use crate::vrrp::{Delay, Priority, RouterSetup, Scheduling, VrrpSetup};
use nix::sched::CpuSet;
use standfast_parser::model::{
    self, AuthHmac, Config, Garp, Globals, HmacMode, HmacSecret, InitialState, ProcessSettings, SyncGroup,
    TrackedInterface, TrackedWeight, UnicastPeer, VrrpInstance,
};
use standfast_vrrp::{
    AnnounceConfig, AntiReplay, Authentication, Authenticator, AuthenticatorMode, Family, GroupConfig, HmacKey, Link,
    PeerTtl, RouterConfig, TrackerConfig, TrackerName, Version,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Arc;

/// Priority of the owner of the addresses.
const OWNER: u8 = standfast_vrrp::priority::OWNER;
/// More than any key, in hexadecimal, with blanks around it.
const LARGEST_KEY_FILE: u64 = 4096;

/// What the VRRP thread needs of a configuration.
///
/// `scripts` are the names of the track scripts that run: one that cannot is left out of every instance, as keepalived
/// does. Links, and the votes of the instances' own interfaces, are the thread's to fill in.
#[must_use]
pub fn setup(config: &Config, scripts: &BTreeSet<String>) -> VrrpSetup {
    let globals = &config.globals;
    let vmacs = Vmacs::new(config);
    VrrpSetup {
        routers: config.instances.iter().map(|instance| router_setup(config, &vmacs, instance, scripts)).collect(),
        vmacs: vmacs.specs(),
        groups: config.sync_groups.iter().map(|found| group(config, found, scripts)).collect(),
        startup_delay: globals.vrrp_startup_delay,
        pace: pace(config),
        dynamic_interfaces: globals.dynamic_interfaces,
        log_unknown_vrids: globals.log_unknown_vrids,
        promote_secondaries: promoting(config),
        disable_local_igmp: globals.disable_local_igmp,
        interface_delays: config.interface_delays.iter().map(delay).collect(),
        firewall: firewall(&globals.nftables),
        statics: Arc::new(statics(config)),
        scheduling: scheduling(globals),
        ..VrrpSetup::default()
    }
}

fn delay(line: &model::InterfaceDelay) -> (String, Delay) {
    (line.name.clone(), Delay { down: line.down, up: line.up })
}

fn pace(config: &Config) -> Pace {
    let group = |group: &model::GarpGroup| PaceGroup {
        garp: group.garp_interval,
        gna: group.gna_interval,
        interfaces: group.interfaces.clone(),
    };
    Pace {
        garp: config.globals.garp_interval,
        gna: config.globals.gna_interval,
        groups: config.garp_groups.iter().map(group).collect(),
    }
}

fn firewall(nftables: &model::Nftables) -> FirewallOptions {
    let default = FirewallOptions::default();
    FirewallOptions {
        table: nftables.table.clone().unwrap_or(default.table),
        priority: nftables.priority.unwrap_or(default.priority),
        counters: nftables.counters,
    }
}

fn promoting(config: &Config) -> Vec<String> {
    let promoting = config.instances.iter().filter(|instance| instance.promote_secondaries);
    let interfaces: BTreeSet<&String> = promoting.filter_map(|instance| instance.interface.as_ref()).collect();
    interfaces.into_iter().cloned().collect()
}

fn statics(config: &Config) -> Belongings {
    let default = config.globals.fallback_interface();
    let statics = &config.statics;
    Belongings {
        addresses: statics.addresses.iter().map(|line| AddressSpec::from_config(line, default)).collect(),
        routes: statics.routes.iter().map(RouteSpec::from_config).collect(),
        rules: statics.rules.iter().map(RuleSpec::from_config).collect(),
        no_accept: false,
    }
}

/// What is not told is above the health checks, with room for the netlink thread between them: they may not delay an advert.
fn scheduling(globals: &Globals) -> Scheduling {
    let told = part_scheduling(&globals.vrrp_process).unwrap_or_default();
    match (told.priority, globals.checker_process.rt_priority) {
        (Priority::Automatic, Some(checks)) => {
            Scheduling { priority: Priority::Realtime(checks.saturating_add(2).min(99)), ..told }
        }
        _ => told,
    }
}

/// How the BFD thread runs: as `bfd_*` say, else just behind VRRP.
#[must_use]
pub fn bfd_scheduling(globals: &Globals) -> Scheduling {
    part_scheduling(&globals.bfd_process).unwrap_or_else(|| scheduling(globals).below())
}

/// `None` where nothing is said.
pub(super) fn part_scheduling(settings: &ProcessSettings) -> Option<Scheduling> {
    let ProcessSettings { rt_priority, priority, no_swap, ref cpu_affinity, .. } = *settings;
    if rt_priority.is_none() && priority.is_none() && !no_swap && cpu_affinity.is_empty() {
        return None;
    }
    let priority = match (rt_priority, priority) {
        (Some(priority), _) => Priority::Realtime(priority),
        (None, Some(nice)) => Priority::Nice(nice),
        (None, None) => Priority::Automatic,
    };
    Some(Scheduling { priority, affinity: affinity(cpu_affinity), lock_memory: no_swap })
}

/// Numbers that no machine has are left out.
fn affinity(processors: &[u32]) -> Option<CpuSet> {
    let mut set = CpuSet::new();
    let chosen = processors.iter().filter(|number| set.set(**number as usize).is_ok()).count();
    (chosen > 0).then_some(set)
}

fn router_setup(config: &Config, vmacs: &Vmacs, instance: &VrrpInstance, scripts: &BTreeSet<String>) -> RouterSetup {
    let addresses = instance.addresses.iter().chain(&instance.excluded_addresses);
    let addresses: Vec<_> = addresses.map(|line| AddressSpec::placed(line, vmacs.place(instance, line))).collect();
    let extra = extra(vmacs, instance, &addresses);
    let mut config = router(config, instance, scripts);
    config.announce.extra =
        instance.extra_garp.filter(|_| !extra.is_empty()).map(|extra| extra.interval).unwrap_or_default();
    RouterSetup {
        config,
        extra: Arc::new(Belongings::of(extra)),
        belongings: Belongings {
            addresses,
            routes: instance.routes.iter().map(RouteSpec::from_config).collect(),
            rules: instance.rules.iter().map(RuleSpec::from_config).collect(),
            // RFC 9568 section 6.4.3: the owner of the addresses accepts in any case.
            no_accept: !instance.accept && instance.priority != OWNER,
        },
        interface: vmacs.sender(instance).map(str::to_owned),
        track_primary: !instance.dont_track_primary,
    }
}

/// `garp_extra_if`: the first address of each interface that sends no adverts, so that switches do not forget where it is.
fn extra(vmacs: &Vmacs, instance: &VrrpInstance, addresses: &[AddressSpec]) -> Vec<AddressSpec> {
    let Some(wanted) = instance.extra_garp else { return Vec::new() };
    let sender = vmacs.sender(instance);
    let is_meant = |interface: &str| Some(interface) != sender && (wanted.all || vmacs.contains(interface));
    let mut first: BTreeMap<&str, &AddressSpec> = BTreeMap::new();
    for spec in addresses.iter().filter(|spec| is_meant(&spec.interface)) {
        first.entry(&spec.interface).or_insert(spec);
    }
    first.into_values().cloned().collect()
}

fn router(config: &Config, instance: &VrrpInstance, scripts: &BTreeSet<String>) -> RouterConfig {
    let mut router = half(config, instance, family(instance.family), scripts);
    let other = if router.family == Family::V4 { Family::V6 } else { Family::V4 };
    let companion = RouterConfig {
        version: Version::V3,
        source: None,
        authentication: Authentication::None,
        trackers: Vec::new(),
        ..half(config, instance, other, scripts)
    };
    router.companion = (instance.dual_stack && !companion.addresses.is_empty()).then(|| Box::new(companion));
    router
}

/// The part of an instance that speaks one family; without `dual_stack` there is no other.
fn half(config: &Config, instance: &VrrpInstance, family: Family, scripts: &BTreeSet<String>) -> RouterConfig {
    let is_own = |address: &IpAddr| Family::of(address) == family;
    RouterConfig {
        version: if instance.version == 3 { Version::V3 } else { Version::V2 },
        family,
        priority: instance.priority,
        starts_as_master: instance.state == InitialState::Master,
        advert_interval: instance.advert_int,
        preempt: instance.preempt,
        preempt_delay: instance.preempt_delay,
        authentication: authentication(&instance.auth),
        authenticator: instance.auth_hmac.as_ref().map(|given| authenticator(&instance.name, given)),
        addresses: instance.addresses.iter().map(|address| address.address).filter(is_own).collect(),
        source: instance.source,
        unicast_peers: instance.unicast_peers.iter().map(|peer| peer.address).filter(is_own).collect(),
        peer_ttls: instance.unicast_peers.iter().filter_map(peer_ttl).collect(),
        unicast_ttl: instance.unicast_ttl,
        check_unicast_source: instance.check_unicast_src,
        old_unicast_checksum: instance.old_unicast_checksum,
        v3_checksum_as_v2: instance.v3_checksum_as_v2,
        lacks_peers: instance.unicast_fault_no_peer && instance.unicast_peers.is_empty(),
        owner_ignore_adverts: instance.priority == OWNER && (instance.owner_ignore_adverts || instance.strict),
        split_brain_heal: instance.split_brain_heal,
        timer_expired_backup: instance.timer_expired_backup,
        multicast_group: instance.multicast_group.filter(is_own).unwrap_or(match family {
            Family::V4 => IpAddr::V4(config.globals.vrrp_mcast_group4),
            Family::V6 => IpAddr::V6(config.globals.vrrp_mcast_group6),
        }),
        down_timer_adverts: instance.down_timer_adverts,
        strict: instance.strict,
        skip_check_adv_addr: instance.skip_check_adv_addr,
        lower_prio_no_advert: instance.lower_prio_no_advert,
        higher_prio_send_advert: instance.higher_prio_send_advert,
        announce: announce(&instance.garp),
        trackers: trackers(config, instance, scripts),
        ..RouterConfig::new(&instance.name, Link(0), instance.virtual_router_id)
    }
}

fn peer_ttl(peer: &UnicastPeer) -> Option<PeerTtl> {
    let limited = (peer.min_ttl, peer.max_ttl) != (0, 255);
    limited.then_some(PeerTtl { peer: peer.address, min: peer.min_ttl, max: peer.max_ttl })
}

fn group(config: &Config, group: &SyncGroup, scripts: &BTreeSet<String>) -> GroupConfig {
    let interfaces = group.track_interfaces.iter().map(tracked_interface);
    let scripts = group.track_scripts.iter().filter_map(|tracked| tracked_script(config, tracked, scripts));
    let files = group.track_files.iter().filter_map(|tracked| tracked_file(config, tracked));
    let processes = group.track_processes.iter().filter_map(|tracked| tracked_process(config, tracked));
    let sessions = group.track_bfds.iter().filter_map(|tracked| tracked_session(config, tracked));
    GroupConfig {
        name: group.name.clone(),
        members: group.members.clone(),
        trackers: interfaces.chain(scripts).chain(files).chain(processes).chain(sessions).collect(),
    }
}

fn trackers(config: &Config, instance: &VrrpInstance, scripts: &BTreeSet<String>) -> Vec<TrackerConfig> {
    let interfaces = instance.track_interfaces.iter().map(tracked_interface);
    let scripts = instance.track_scripts.iter().filter_map(|tracked| tracked_script(config, tracked, scripts));
    let files = instance.track_files.iter().filter_map(|tracked| tracked_file(config, tracked));
    let processes = instance.track_processes.iter().filter_map(|tracked| tracked_process(config, tracked));
    let sessions = instance.track_bfds.iter().filter_map(|tracked| tracked_session(config, tracked));
    let source = instance.source.filter(|_| instance.track_source).map(|source| TrackerConfig {
        tracker: TrackerName::Source(source),
        weight: 0,
        reverse: false,
    });
    let statics = tracked_statics(config, &instance.name);
    interfaces.chain(scripts).chain(files).chain(processes).chain(sessions).chain(source).chain(statics).collect()
}

/// The interfaces of static addresses, routes and rules whose `track_group` the instance belongs to.
fn tracked_statics<'a>(config: &'a Config, instance: &'a str) -> impl Iterator<Item = TrackerConfig> {
    let of_instance = move |group: &Option<String>| {
        let groups =
            || config.track_groups.iter().filter(|group| group.members.iter().any(|member| member == instance));
        group.as_ref().is_some_and(|name| groups().any(|group| group.name == *name))
    };
    let statics = &config.statics;
    let addresses = statics.addresses.iter().map(|line| (&line.options.track_group, line.dev.as_ref()));
    let routes = statics.routes.iter().map(|line| (&line.track_group, line.dev.as_ref()));
    let rules = statics.rules.iter().map(|line| (&line.track_group, line.input.as_ref()));
    let tracked = addresses.chain(routes).chain(rules).filter(move |(group, _)| of_instance(group));
    tracked.filter_map(|(_, interface)| interface).map(|interface| TrackerConfig {
        tracker: TrackerName::Interface(interface.clone()),
        weight: 0,
        reverse: false,
    })
}

fn tracked_interface(interface: &TrackedInterface) -> TrackerConfig {
    TrackerConfig {
        tracker: TrackerName::Interface(interface.name.clone()),
        weight: interface.weight,
        reverse: interface.reverse,
    }
}

fn tracked_script(config: &Config, tracked: &TrackedWeight, runnable: &BTreeSet<String>) -> Option<TrackerConfig> {
    let script = config.scripts.iter().find(|script| script.name == tracked.name)?;
    let (weight, reverse) = tracked.weighed((script.weight, script.reverse));
    runnable.contains(&script.name).then(|| TrackerConfig {
        tracker: TrackerName::Script(script.name.clone()),
        weight,
        reverse,
    })
}

fn tracked_file(config: &Config, tracked: &TrackedWeight) -> Option<TrackerConfig> {
    let file = config.track_files.iter().find(|file| file.name == tracked.name)?;
    let (weight, reverse) = tracked.weighed((file.weight, file.reverse));
    Some(TrackerConfig { tracker: TrackerName::File(file.name.clone()), weight, reverse })
}

fn tracked_process(config: &Config, tracked: &TrackedWeight) -> Option<TrackerConfig> {
    let process = config.track_processes.iter().find(|process| process.name == tracked.name)?;
    let (weight, reverse) = tracked.weighed((process.weight, process.reverse));
    Some(TrackerConfig { tracker: TrackerName::Process(process.name.clone()), weight, reverse })
}

fn tracked_session(config: &Config, tracked: &TrackedWeight) -> Option<TrackerConfig> {
    let session = config.bfd_instances.iter().find(|session| session.name == tracked.name && session.vrrp)?;
    let (weight, reverse) = tracked.weighed((session.weight, session.reverse));
    Some(TrackerConfig { tracker: TrackerName::Bfd(session.name.clone()), weight, reverse })
}

fn family(family: model::Family) -> Family {
    match family {
        model::Family::V4 => Family::V4,
        model::Family::V6 => Family::V6,
    }
}

fn authentication(auth: &model::Auth) -> Authentication {
    match auth {
        model::Auth::None => Authentication::None,
        model::Auth::Pass(password) => Authentication::Pass(*password),
        model::Auth::Ah(key) => Authentication::Ah(*key),
    }
}

/// A key file that cannot be read leaves its key out: nothing is signed or verified with it.
fn authenticator(name: &str, given: &AuthHmac) -> Authenticator {
    let key = |key: &model::HmacKey| match octets(&key.secret) {
        Ok(octets) => Some(HmacKey { id: key.id, key: octets }),
        Err(problem) => {
            tracing::error!(target: "vrrp", "({name}) auth_hmac key {} cannot be used: {problem}", key.id);
            None
        }
    };
    Authenticator {
        keys: given.keys.iter().filter_map(key).collect(),
        active_key: given.active_key,
        anti_replay: match given.monotonic {
            true => AntiReplay::Monotonic,
            false => AntiReplay::Time { window: given.time_window },
        },
        mode: match given.mode {
            HmacMode::Enforce => AuthenticatorMode::Enforce,
            HmacMode::Permissive => AuthenticatorMode::Permissive,
            HmacMode::ReceiveOnly => AuthenticatorMode::ReceiveOnly,
        },
    }
}

/// The octets of a secret, from its file if it has one.
///
/// # Errors
/// Why they cannot be had.
pub(crate) fn octets(secret: &HmacSecret) -> Result<Vec<u8>, String> {
    let path = match secret {
        HmacSecret::Octets(octets) => return Ok(octets.clone()),
        HmacSecret::File(path) => path,
    };
    let text = read_key(path).map_err(|error| format!("{path}: {error}"))?;
    AuthHmac::octets(text.trim_ascii()).ok_or_else(|| format!("{path} does not hold 32 to 64 octets"))
}

fn read_key(path: &str) -> io::Result<Vec<u8>> {
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::new();
    file.take(LARGEST_KEY_FILE).read_to_end(&mut text)?;
    Ok(text)
}

fn announce(garp: &Garp) -> AnnounceConfig {
    AnnounceConfig {
        repeat: garp.repeat,
        delay: garp.delay,
        refresh: garp.refresh,
        refresh_repeat: garp.refresh_repeat,
        lower_prio_repeat: garp.lower_prio_repeat,
        lower_prio_delay: garp.lower_prio_delay,
        ..AnnounceConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_parser::{MemoryLoader, Options, parse};
    use std::path::Path;

    fn setup_of(text: &str) -> VrrpSetup {
        let config = parse(&MemoryLoader::single("a.conf", text), Path::new("a.conf"), &Options::default()).config;
        setup(&config, &BTreeSet::new())
    }

    fn with_instance(globals: &str, instance: &str) -> VrrpSetup {
        setup_of(&format!(
            "global_defs {{\n{globals}\n}}\nvrrp_instance A {{\ninterface eth0\nvirtual_router_id 7\n{instance}\n\
             virtual_ipaddress {{\n10.0.0.9\n}}\n}}\n"
        ))
    }

    #[test]
    fn options_of_unicast_and_timers_reach_the_router() {
        let setup = with_instance(
            "",
            "unicast_peer {\n10.0.0.2\n10.0.0.3 min_ttl 250\n}\nunicast_ttl 9\ncheck_unicast_src\nold_unicast_checksum\n\
             nopreempt\ntimer_expired_backup 200",
        );
        let router = &setup.routers[0].config;
        assert_eq!(router.unicast_peers, [IpAddr::from([10, 0, 0, 2]), IpAddr::from([10, 0, 0, 3])]);
        assert_eq!(router.peer_ttls, [PeerTtl { peer: [10, 0, 0, 3].into(), min: 250, max: 255 }]);
        assert_eq!((router.unicast_ttl, router.timer_expired_backup), (Some(9), Some(200)));
        assert!(router.check_unicast_source && router.old_unicast_checksum);
    }

    #[test]
    fn sources_owners_and_checksums_reach_the_router() {
        let setup = with_instance(
            "log_unknown_vrids",
            "priority 255\nstate MASTER\nmcast_dst_ip 224.0.0.77\nmcast_src_ip 10.0.0.3\ntrack_src_ip\nversion 3\n\
             v3_checksum_as_v2\nowner_ignore_adverts",
        );
        let router = &setup.routers[0].config;
        assert!(setup.log_unknown_vrids && router.owner_ignore_adverts && router.v3_checksum_as_v2);
        assert_eq!(router.multicast_group, IpAddr::from([224, 0, 0, 77]));
        assert_eq!(router.trackers[0].tracker, TrackerName::Source([10, 0, 0, 3].into()));
        assert!(with_instance("", "unicast_src_ip 10.0.0.3\nunicast_fault_no_peer").routers[0].config.lacks_peers);
        assert!(!with_instance("", "priority 100\nowner_ignore_adverts").routers[0].config.owner_ignore_adverts);
    }

    #[test]
    fn the_global_check_of_sources_holds_for_every_instance() {
        assert!(with_instance("vrrp_check_unicast_src", "").routers[0].config.check_unicast_source);
        assert!(!with_instance("", "").routers[0].config.check_unicast_source);
    }

    #[test]
    fn affinity_names_processors() {
        let of = |globals: &str| with_instance(globals, "").scheduling.affinity;
        let is_set = |set: CpuSet, number| set.is_set(number).unwrap_or(false);
        let set = of("vrrp_cpu_affinity 1 3").expect("a set");
        assert_eq!([0, 1, 2, 3].map(|number| is_set(set, number)), [false, true, false, true]);
        assert_eq!((of(""), of("vrrp_cpu_affinity 100000")), (None, None));
    }

    #[test]
    fn real_time_goes_before_nice() {
        let of = |globals: &str| with_instance(globals, "").scheduling;
        assert_eq!(of(""), Scheduling::default());
        assert_eq!(of("vrrp_priority -5").priority, Priority::Nice(-5));
        assert_eq!(of("checker_rt_priority 50").priority, Priority::Realtime(52));
        assert_eq!(of("checker_rt_priority 50\nvrrp_rt_priority 10").priority, Priority::Realtime(10));
        let both = of("vrrp_priority -5\nvrrp_rt_priority 50\nvrrp_no_swap");
        assert_eq!(both, Scheduling { priority: Priority::Realtime(50), lock_memory: true, ..Scheduling::default() });
    }
}
