//! Keywords of the small top-level blocks.

use super::shape::Shape::*;
use super::shape::*;
use super::{Block, Keyword, k, keywords};

keywords! { TRACK_GROUP_OWN {
    k("group", Entries, "{ values }", "required", "instance names", 2);
} }

/// `/track_group`.
pub(crate) static TRACK_GROUP: Block = Block::new("/track_group", &[TRACK_GROUP_OWN]);

keywords! { STATIC_IPADDRESS_OWN {
    k("*", Words, "IP[/MASK] [brd IP/+/-] [dev IF] [scope S] [label L] [peer IP] [home] [-nodad] [mngtmpaddr] [noprefixroute] [autojoin] [no_track] [preferred_lft N/forever] [track_group G]", "mask /32 or /128, dev default_interface", "one address per line", 2);
} }

/// `/static_ipaddress`.
pub(crate) static STATIC_IPADDRESS: Block = Block::new("/static_ipaddress", &[STATIC_IPADDRESS_OWN]);

keywords! { STATIC_ROUTES_OWN {
    k("*", Words, "[inet/inet6] [to] DST[/MASK] or default, [unicast/blackhole/unreachable/prohibit/throw/local/...] via/gw IP [or IP] dev/oif IF src/from IP table/scope/metric/priority/preference/protocol/tos/mtu/advmss/... nexthop ... add/append/prepend no_track track_group G", "table main", "ip route syntax without abbreviations", 2);
} }

/// `/static_routes`.
pub(crate) static STATIC_ROUTES: Block = Block::new("/static_routes", &[STATIC_ROUTES_OWN]);

keywords! { STATIC_RULES_OWN {
    k("*", Words, "from/to PREFIX table/lookup T preference/order/priority N fwmark N[/M] iif/dev IF oif IF tos N goto N nop type realms suppress_prefixlength suppress_ifgroup tunnel-id uidrange l3mdev protocol ipproto sport dport no_track track_group G", "preference auto", "ip rule syntax without abbreviations", 2);
} }

/// `/static_rules`.
pub(crate) static STATIC_RULES: Block = Block::new("/static_rules", &[STATIC_RULES_OWN]);

keywords! { GARP_GROUP_OWN {
    k("garp_interval", seconds(0, 2147483647), "DEC secs", "0", "gap between GARPs", 2);
    k("gna_interval", seconds(0, 2147483647), "DEC secs", "0", "gap between NAs", 2);
    k("interface", Word, "IF", "-", "single interface", 3);
    k("interfaces", Entries, "{ values }", "-", "aggregated interfaces", 2);
} }

/// `/garp_group`.
pub(crate) static GARP_GROUP: Block = Block::new("/garp_group", &[GARP_GROUP_OWN]);

keywords! { LINKBEAT_INTERFACES_OWN {
    k("*", Words, "IFNAME [MII/ETHTOOL/IOCTL]", "MII", "one per line", 3);
} }

/// `/linkbeat_interfaces`.
pub(crate) static LINKBEAT_INTERFACES: Block = Block::new("/linkbeat_interfaces", &[LINKBEAT_INTERFACES_OWN]);

keywords! { INTERFACE_UP_DOWN_DELAYS_OWN {
    k("*", Words, "IFNAME DOWN [UP]", "0", "TIMERs 0..255", 3);
} }

/// `/interface_up_down_delays`.
pub(crate) static INTERFACE_UP_DOWN_DELAYS: Block =
    Block::new("/interface_up_down_delays", &[INTERFACE_UP_DOWN_DELAYS_OWN]);

keywords! { SSL_OWN {
    k("password", Word, "STR", "-", "key password", 3).mild();
    k("ca", Word, "PATH", "-", "CA file", 3).mild();
    k("certificate", Word, "PATH", "-", "client certificate", 3).mild();
    k("key", Word, "PATH", "-", "client key", 3);
} }

/// `/SSL`.
pub(crate) static SSL: Block = Block::new("/SSL", &[SSL_OWN]);

keywords! { VIRTUAL_SERVER_GROUP_OWN {
    k("*", Words, "IP[-LAST_OCTET / -IP / /MASK] [PORT], or fwmark N [inet/inet6]", "port 0", "VIPs sharing the same real servers; port 0 forces persistence", 2);
} }

/// `/virtual_server_group`.
pub(crate) static VIRTUAL_SERVER_GROUP: Block = Block::new("/virtual_server_group", &[VIRTUAL_SERVER_GROUP_OWN]);

keywords! { BFD_INSTANCE_OWN {
    k("source_ip", Address, "IP", "any", "", 3);
    k("neighbor_ip", Address, "IP", "required", "", 3);
    k("neighbour_ip", Address, "IP", "required", "synonym", 3);
    k("min_rx", millis(1000, 4294967000), "DEC ms", "10", "", 2);
    k("min_tx", millis(1000, 4294967000), "DEC ms", "10", "", 2);
    k("idle_tx", millis(1000000, 4294967000), "DEC ms >=1000", "1000", "", 2);
    k("multiplier", integer(1, 255), "1..255", "5", "", 2);
    k("passive", Flag, "-", "off", "", 3);
    k("ttl", integer(1, 255), "1..255", "255", "IPv4", 2);
    k("hoplimit", integer(1, 255), "1..255", "64", "IPv6", 2);
    k("max_hops", integer(-1, 255), "-1..255", "0", "allowed TTL drop", 2);
    k("multihop", Switch, "[BOOL]", "off", "port 4784", 3).since_2_3();
    k("weight", Words, "-253..253 [reverse]", "0", "default weight for track_bfd", 2);
    k("vrrp", Flag, "-", "both", "send events only to vrrp", 2);
    k("checker", Flag, "-", "both", "send events only to checker", 3);
} }

/// `/bfd_instance`.
pub(crate) static BFD_INSTANCE: Block = Block::new("/bfd_instance", &[BFD_INSTANCE_OWN]);

keywords! { VRRP_TRACK_PROCESS_OWN {
    k("process", Words, "CMD [ARG...]", "required", "name matched against /proc/PID/comm (15 chars) or cmdline if args", 2);
    k("param_match", OptionalWords, "[initial/partial]", "exact", "argument matching", 2);
    k("weight", Words, "-254..254 [reverse]", "0", "second weight line ignored", 2).mild();
    k("quorum", integer(1, 65535), "1..65535", "1", "min processes", 2);
    k("quorum_max", integer(0, 65535), "0..65535", "unlimited", "max processes", 2);
    k("delay", seconds(1, 3600000000), "DEC secs 0.000001..3600", "0", "sets both delays", 2);
    k("terminate_delay", seconds(1, 3600000000), "DEC secs", "0", "", 2);
    k("fork_delay", seconds(1, 3600000000), "DEC secs", "0", "", 2);
    k("full_command", Flag, "-", "off", "match cmdline", 2);
} }

/// `/vrrp_track_process`.
pub(crate) static VRRP_TRACK_PROCESS: Block = Block::new("/vrrp_track_process", &[VRRP_TRACK_PROCESS_OWN]);

keywords! { TRACK_FILE_OWN {
    k("file", Word, "PATH", "required", "file holding a number", 2).mild();
    k("weight", Words, "-254..254 [reverse]", "1", "multiplier; 0 = non-zero value is FAULT", 2).mild();
    k("init_file", OptionalWords, "[VALUE] [overwrite]", "no", "create file at start", 2);
} }

/// `/track_file`.
pub(crate) static TRACK_FILE: Block = Block::new("/track_file", &[TRACK_FILE_OWN]);

keywords! { VRRP_SCRIPT_OWN {
    k("script", Command, "SCRIPT (quote it when it has arguments)", "required", "only the first (quoted) word is used: unquoted arguments are silently dropped", 1).quiet();
    k("interval", seconds(0, 4294000000), "DEC secs (ms resolution)", "1", "0 becomes 1 with error", 1);
    k("timeout", seconds(0, 4294000000), "DEC secs", "= interval", "0 becomes 1 with error", 1);
    k("weight", Words, "-253..253 [reverse]", "0 (failure = FAULT)", "priority change; an out-of-range value is reported but still used", 1);
    k("rise", integer(1, 2147483647).repair(1), "N>=1", "1", "successes to be up", 1);
    k("fall", integer(1, 2147483647).repair(1), "N>=1", "1", "failures to be down", 1);
    k("user", Words, "USER [GROUP]", "script_user", "uid/gid", 1);
    k("init_fail", Flag, "-", "off", "start in failed state", 2);
} }

/// `/vrrp_script`.
pub(crate) static VRRP_SCRIPT: Block = Block::new("/vrrp_script", &[VRRP_SCRIPT_OWN]);
