//! Keywords of the top level.

use super::shape::Shape::*;
use super::shape::*;
use super::{Block, Keyword, k, keywords};

keywords! { ROOT_OWN {
    k("linkbeat_use_polling", Flag, "-", "off", "poll all interfaces' link state (MII/ETHTOOL/IOCTL) instead of netlink", 3).never("the kernel reports the state of every link; nothing is polled");
    k("net_namespace", OptionalWord, "NAME", "none", "run whole daemon in network namespace NAME (also implies pid dir /run/keepalived; not changeable on reload)", 2);
    k("net_namespace_ipvs", OptionalWord, "[NAME]", "same ns", "namespace in which services are forwarded, whoever forwards (no NAME: that of process 1)", 3);
    k("namespace_with_ipsets", Flag, "-", "off", "allow ipsets together with net_namespace on old kernels", 3).never("addresses are dropped by nftables sets; ipsets are not used");
    k("use_pid_dir", Flag, "-", "off", "pid files in /run/keepalived/ instead of /run/", 3);
    k("instance", Word, "NAME", "none", "instance name: pid files + syslog ident get _NAME suffix (implies use_pid_dir)", 2).mild();
    k("child_wait_time", integer(0, 4294967295), "SECS", "5", "time parent waits for children at shutdown", 2);
    k("global_defs", Nested, "{ block }", "-", "global definitions; may appear many times, merged, last value wins", 1);
    k("track_group", Nested, "NAME { block }", "-", "vrrp instances that track static addresses/routes/rules", 2);
    k("static_ipaddress", Entries, "{ values }", "-", "permanent addresses (not moved by VRRP)", 2);
    k("static_routes", Entries, "{ values }", "-", "permanent routes", 2);
    k("static_rules", Entries, "{ values }", "-", "permanent ip rules", 2);
    k("vrrp_sync_group", Nested, "NAME { block }", "-", "instances that change state together", 1);
    k("garp_group", Nested, "{ block }", "-", "rate limiting of gratuitous ARP/NA per interface(s)", 2);
    k("linkbeat_interfaces", Entries, "{ values }", "-", "interfaces using polled link detection: IFNAME [MII/ETHTOOL/IOCTL]", 3).never("the kernel reports the state of every link; nothing is polled");
    k("vrrp_instance", Nested, "NAME { block }", "-", "a VRRP virtual router", 1);
    k("vrrp_script", Nested, "NAME { block }", "-", "periodic health script", 1).named();
    k("vrrp_track_process", Nested, "NAME { block }", "-", "process presence tracker (proc connector)", 2).named();
    k("track_file", Nested, "NAME { block }", "-", "file value tracker (inotify), usable by VRRP and FILE_CHECK", 2).named();
    k("vrrp_track_file", Nested, "NAME { block }", "-", "deprecated synonym of track_file (after 2.0.20)", 3).deprecated("track_file").named();
    k("interface_up_down_delays", Entries, "{ values }", "-", "IFNAME DOWN_DELAY [UP_DELAY] debounce of link state, 0..255 s", 3);
    k("SSL", Nested, "{ block }", "auto context", "certificate that checks over TLS show to servers that ask for one", 3);
    k("virtual_server_group", Entries, "NAME { values }", "-", "set of VIP[-range][/mask] [port] and fwmark entries", 2).named();
    k("virtual_server", Nested, "(IP [PORT] / fwmark N / group NAME) { block }", "-", "IPVS virtual service", 1).named();
    k("bfd_instance", Nested, "NAME { block }", "-", "BFD session (name max 31 chars)", 2);
} }

/// `/`.
pub(crate) static ROOT: Block = Block::new("/", &[ROOT_OWN]);
