//! Keywords of sync groups and instances.

use super::ours::INSTANCE_EXTRAS;
use super::shape::Shape::*;
use super::shape::*;
use super::{Block, Keyword, k, keywords};

keywords! { VRRP_SYNC_GROUP_OWN {
    k("group", Entries, "{ values }", "required", "instance names, any number per line", 1);
    k("track_interface", Entries, "{ values }", "none", "applies to all members", 2);
    k("track_script", Entries, "{ values }", "none", "applies to all members", 2);
    k("track_file", Entries, "{ values }", "none", "applies to all members", 2);
    k("track_process", Entries, "{ values }", "none", "applies to all members", 2);
    k("track_bfd", Entries, "{ values }", "none", "applies to all members", 2);
    k("notify_backup", Script, "SCRIPT [USER [GROUP]]", "none", "group became BACKUP", 2);
    k("notify_master", Script, "SCRIPT [USER [GROUP]]", "none", "group became MASTER", 2);
    k("notify_fault", Script, "SCRIPT [USER [GROUP]]", "none", "group became FAULT", 2);
    k("notify_stop", Script, "SCRIPT [USER [GROUP]]", "none", "daemon stops", 2);
    k("notify", Script, "SCRIPT [USER [GROUP]]", "none", "any change, extra args: GROUP name STATE 0", 2);
    k("smtp_alert", Switch, "[BOOL]", "global or off", "mail on change", 2);
    k("global_tracking", Flag, "-", "-", "deprecated, same as sync_group_tracking_weight", 3).deprecated("sync_group_tracking_weight");
    k("sync_group_tracking_weight", Flag, "-", "off", "allow weighted trackers on members", 3);
    k("notify_priority_changes", Switch, "[BOOL]", "global", "fifo priority records", 3);
} }

/// `/vrrp_sync_group`.
pub(crate) static VRRP_SYNC_GROUP: Block = Block::new("/vrrp_sync_group", &[VRRP_SYNC_GROUP_OWN]);

keywords! { VRRP_INSTANCE_OWN {
    k("use_vmac", OptionalWords, "[[name] IF] [MAC] [netlink_notify_msg] [group ID]", "off; name vrrp.VRID", "macvlan with 00:00:5e:00:01:VRID", 2);
    k("use_vmac_addr", Flag, "-", "off", "macvlans also for VIPs on other interfaces", 3);
    k("vmac_xmit_base", Flag, "-", "off", "send adverts from base interface", 2);
    k("use_ipvlan", OptionalWords, "[[name] IF] [IP] [bridge/private/vepa] [group ID]", "off", "ipvlan L2", 2);
    k("unicast_peer", Entries, "{ values }", "none (multicast)", "peers: IP [min_ttl N] [max_ttl N]; ONE per line", 1);
    k("unicast_fault_no_peer", Flag, "-", "off", "FAULT instead of multicast when no peers", 3);
    k("check_unicast_src", Flag, "-", "global", "source must be a peer", 2);
    k("old_unicast_checksum", OptionalWord, "[never]", "auto", "pre-1.3.6 v3 checksum (build option)", 3);
    k("native_ipv6", Flag, "-", "-", "deprecated, force IPv6", 3).deprecated("");
    k("state", Word, "MASTER / BACKUP (upper case)", "BACKUP, or MASTER if priority 255", "initial state; other text reported and BACKUP used", 1);
    k("interface", Word, "IF", "required unless unicast_src_ip+peer", "interface for adverts and VIPs", 1);
    k("vrf", Word, "IF", "none", "VRF for unicast without interface", 3);
    k("dont_track_primary", Flag, "-", "off", "ignore faults of own interface", 1);
    k("track_interface", Entries, "{ values }", "own interface only", "IF [weight -253..253 [reverse]]", 1);
    k("track_script", Entries, "{ values }", "none", "NAME [weight -253..253 [reverse/noreverse]]; vrrp_script must be defined EARLIER in the file", 1);
    k("track_file", Entries, "{ values }", "none", "NAME [weight -254..254 [reverse/noreverse]]", 2);
    k("track_process", Entries, "{ values }", "none", "NAME [weight -254..254 [reverse/noreverse]]", 2);
    k("track_bfd", Entries, "{ values }", "none", "NAME [weight -253..253 [reverse/noreverse]]", 2);
    k("mcast_src_ip", Address, "IP", "primary IP of interface", "source address", 1);
    k("unicast_src_ip", Address, "IP", "primary IP of interface", "source address; marks instance as unicast-configured", 1);
    k("mcast_dst_ip", Address, "MCAST IP", "global group", "destination", 3);
    k("track_src_ip", Flag, "-", "off", "FAULT if source address vanishes", 3);
    k("virtual_router_id", strict(1, 255), "1..255", "required (missing = daemon exits 2)", "VRID", 1);
    k("unicast_ttl", integer(0, 255), "0..255", "255 (IPv4)", "TTL of unicast adverts", 2);
    k("version", integer(2, 3), "2..3", "vrrp_version", "VRRP version", 2);
    k("priority", strict(1, 255).repair(100), "1..255", "100, but 255 if state MASTER and not given", "base priority; invalid text gives 100", 1);
    k("advert_int", seconds(10000, 255000000), "DEC 0.01..255", "1", "advert interval; v2 rounds to integer seconds, v3 to 10 ms (max 40.95)", 1);
    k("virtual_ipaddress", Entries, "{ values }", "should have one", "VIPs, one per line", 1);
    k("virtual_ipaddress_excluded", Entries, "{ values }", "none", "VIPs not in adverts", 2);
    k("no_virtual_ipaddress", Flag, "-", "off", "no VIPs on purpose", 3).since_2_3();
    k("promote_secondaries", Flag, "-", "off", "sysctl on the interface", 2);
    k("linkbeat_use_polling", Flag, "-", "off", "deprecated here", 3).deprecated("").never("the kernel reports the state of every link; nothing is polled");
    k("v3_checksum_as_v2", Switch, "[BOOL]", "global", "", 3).since_2_3();
    k("virtual_routes", Entries, "{ values }", "none", "routes while MASTER", 2);
    k("virtual_rules", Entries, "{ values }", "none", "rules while MASTER", 2);
    k("accept", Flag, "-", "on unless strict", "answer on VIP", 2);
    k("no_accept", Flag, "-", "off", "drop packets to VIP when not owner (nftables)", 2);
    k("skip_check_adv_addr", Switch, "[BOOL]", "global", "argument off is treated as on (bug)", 3);
    k("strict_mode", Switch, "[BOOL]", "vrrp_strict", "per instance strict", 3);
    k("preempt", Flag, "-", "on", "clears nopreempt", 2);
    k("nopreempt", Flag, "-", "off", "lower prio master stays; ignored (with error) if state MASTER", 1);
    k("preempt_delay", seconds(0, 1000000000), "DEC 0..1000", "0", "delay before preempting; ignored (with error) if state MASTER", 2);
    k("debug", integer(0, 4), "0..4", "0", "no effect", 2);
    k("notify_backup", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments", 1);
    k("notify_master", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments", 1);
    k("notify_fault", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments", 1);
    k("notify_stop", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments, 1 s kill timer", 1);
    k("notify_deleted", OptionalScript, "[SCRIPT [USER [GROUP]]]", "FAULT sent", "instance removed on reload: DELETED instead of FAULT", 3);
    k("notify", Script, "SCRIPT [USER [GROUP]]", "none", "extra args: INSTANCE name STATE priority", 1);
    k("notify_master_rx_lower_pri", Script, "SCRIPT [USER [GROUP]]", "none", "master saw lower prio advert", 2);
    k("smtp_alert", Switch, "[BOOL]", "global or off", "mail on change", 1);
    k("notify_priority_changes", Switch, "[BOOL]", "group/global", "fifo priority records", 3);
    k("lvs_sync_daemon_interface", Word, "IF", "-", "deprecated, use global lvs_sync_daemon", 1).deprecated("lvs_sync_daemon");
    k("garp_master_delay", integer(0, 4294), "SECS", "global (5)", "second GARP set delay", 1);
    k("garp_master_refresh", integer(0, 4294967295), "SECS", "global (0)", "periodic GARP", 2);
    k("garp_master_repeat", integer(1, 4294967295).repair(1), "N", "global (5)", "GARPs per set", 2);
    k("garp_master_refresh_repeat", integer(1, 4294967295).repair(1), "N", "global (1)", "GARPs per refresh", 2);
    k("garp_lower_prio_delay", integer(0, 4294), "SECS", "global", "second set after lower prio advert", 2);
    k("garp_lower_prio_repeat", integer(0, 2147483647), "N", "global", "GARPs after lower prio advert", 2);
    k("down_timer_adverts", integer(1, 100), "1..100", "3", "adverts missed", 3);
    k("timer_expired_backup", optional_integer(1, 254), "[1..254]", "off", "needs nopreempt", 3).since_2_3();
    k("thread_timer_expired", optional_integer(1, 254), "[1..254]", "-", "release-notes alias of timer_expired_backup, reported", 3).since_2_3().deprecated("timer_expired_backup");
    k("garp_extra_if", Words, "[all] SECS", "global", "periodic GARP on extra interfaces", 3).mild();
    k("vmac_garp_intvl", Words, "[all] SECS", "-", "deprecated name of garp_extra_if", 3).deprecated("garp_extra_if").mild();
    k("lower_prio_no_advert", Switch, "[BOOL]", "global", "", 3);
    k("higher_prio_send_advert", Switch, "[BOOL]", "global", "", 2);
    k("owner_ignore_adverts", Switch, "[BOOL]", "global", "", 3).since_2_3();
    k("kernel_rx_buf_size", integer(0, 4294967295), "BYTES", "global policy", "rx buffer", 3).never("the sockets have room for 256 KB of adverts").mild();
    k("authentication", Nested, "{ block }", "none", "VRRPv2 auth; ignored with error for v3 and strict", 1);
    k("auth_hmac", Nested, "{ block }", "none", "keepalived HMAC extension", 3).since_2_3();
} }

/// `/vrrp_instance`.
pub(crate) static VRRP_INSTANCE: Block = Block::new("/vrrp_instance", &[VRRP_INSTANCE_OWN, INSTANCE_EXTRAS]);

keywords! { AUTHENTICATION_OWN {
    k("auth_type", Word, "PASS / AH (upper case)", "none", "other text reported, auth stays off", 1);
    k("auth_pass", Word, "STR", "none", "first 8 bytes used, longer is reported", 1);
} }

/// `/vrrp_instance/authentication`.
pub(crate) static AUTHENTICATION: Block = Block::new("/vrrp_instance/authentication", &[AUTHENTICATION_OWN]);

keywords! { AUTH_HMAC_OWN {
    k("key", Words, "ID 1..255 (ASCII / hex:HH.. / file:PATH), 32..64 bytes", "none", "shared key", 3).since_2_3();
    k("active_key", integer(1, 255), "1..255", "0", "key used to sign", 3).since_2_3();
    k("time_window", integer(1, 300), "1..300", "max(3*advert_int,5)", "freshness window", 3).since_2_3();
    k("anti_replay", Word, "time / monotonic", "time", "", 3).since_2_3();
    k("mode", Word, "enforce / permissive / receive-only", "enforce", "", 3).since_2_3();
} }

/// `/vrrp_instance/auth_hmac`.
pub(crate) static AUTH_HMAC: Block = Block::new("/vrrp_instance/auth_hmac", &[AUTH_HMAC_OWN]);

keywords! { VIRTUAL_IPADDRESS_OWN {
    k("*", Words, "IP[/MASK] [brd/broadcast IP/+/-] [dev IF] [use_vmac] [scope S] [label L] [peer IP] [home] [-nodad] [mngtmpaddr] [noprefixroute] [autojoin] [no_track] [preferred_lft N/forever]", "mask /32 or /128, dev = instance interface", "exactly one address per line; a second address on the line is \"Unknown configuration entry\"", 1);
} }

/// `/vrrp_instance/virtual_ipaddress`.
pub(crate) static VIRTUAL_IPADDRESS: Block = Block::new("/vrrp_instance/virtual_ipaddress", &[VIRTUAL_IPADDRESS_OWN]);

keywords! { VIRTUAL_IPADDRESS_EXCLUDED_OWN {
    k("*", Words, "IP[/MASK] [brd/broadcast IP/+/-] [dev IF] [use_vmac] [scope S] [label L] [peer IP] [home] [-nodad] [mngtmpaddr] [noprefixroute] [autojoin] [no_track] [preferred_lft N/forever]", "mask /32 or /128, dev = instance interface", "exactly one address per line; a second address on the line is \"Unknown configuration entry\"", 2);
} }

/// `/vrrp_instance/virtual_ipaddress_excluded`.
pub(crate) static VIRTUAL_IPADDRESS_EXCLUDED: Block =
    Block::new("/vrrp_instance/virtual_ipaddress_excluded", &[VIRTUAL_IPADDRESS_EXCLUDED_OWN]);

keywords! { ADDRESS_OPTIONS_OWN {
    k("brd", Word, "IP / + / -", "none", "broadcast address; + sets the host bits, - clears them", 2);
    k("broadcast", Word, "IP / + / -", "none", "same as brd", 2);
    k("dev", Word, "IF", "the instance's interface", "", 1);
    k("scope", Word, "global / site / link / host / nowhere / N", "global", "IPv4 only", 2);
    k("label", Word, "STR", "none", "IPv4 only", 2);
    k("peer", Word, "IP[/MASK]", "none", "", 3);
    k("home", Flag, "-", "off", "home address of mobile IPv6", 3);
    k("-nodad", Flag, "-", "off", "leaves duplicate address detection on", 3);
    k("mngtmpaddr", Flag, "-", "off", "the kernel makes temporary addresses from it, IPv6 only", 3);
    k("noprefixroute", Flag, "-", "off", "no route to the address' network", 3);
    k("autojoin", Flag, "-", "off", "joins the multicast group", 3);
    k("no_track", Flag, "-", "off", "the loss of the address is no reason to act", 3);
    k("preferred_lft", Word, "SECONDS / forever", "forever; 0 for IPv6 /128", "", 3);
    k("use_vmac", Flag, "-", "off", "on a macvlan interface of its own", 3);
    k("track_group", Word, "NAME", "none", "static addresses only", 3);
} }

/// Options of the lines of `virtual_ipaddress` and `static_ipaddress`.
pub(crate) static ADDRESS_OPTIONS: Block = Block::new("/vrrp_instance/virtual_ipaddress/*", &[ADDRESS_OPTIONS_OWN]);

keywords! { VIRTUAL_ROUTES_OWN {
    k("*", Words, "[inet/inet6] [to] DST[/MASK] or default, [unicast/blackhole/unreachable/prohibit/throw/local/...] via/gw IP [or IP] dev/oif IF src/from IP table/scope/metric/priority/preference/protocol/tos/mtu/advmss/... nexthop ... add/append/prepend no_track track_group G", "table main", "ip route syntax", 2);
} }

/// `/vrrp_instance/virtual_routes`.
pub(crate) static VIRTUAL_ROUTES: Block = Block::new("/vrrp_instance/virtual_routes", &[VIRTUAL_ROUTES_OWN]);

keywords! { VIRTUAL_RULES_OWN {
    k("*", Words, "from/to PREFIX table/lookup T preference/order/priority N fwmark N[/M] iif/dev IF oif IF tos N goto N nop type realms suppress_prefixlength suppress_ifgroup tunnel-id uidrange l3mdev protocol ipproto sport dport no_track track_group G", "-", "ip rule syntax", 2);
} }

/// `/vrrp_instance/virtual_rules`.
pub(crate) static VIRTUAL_RULES: Block = Block::new("/vrrp_instance/virtual_rules", &[VIRTUAL_RULES_OWN]);

keywords! { UNICAST_PEER_OWN {
    k("*", Words, "IP [min_ttl 0..255] [max_ttl 0..255]", "0 255", "one peer per line", 1);
} }

/// `/vrrp_instance/unicast_peer`.
pub(crate) static UNICAST_PEER: Block = Block::new("/vrrp_instance/unicast_peer", &[UNICAST_PEER_OWN]);

keywords! { INSTANCE_TRACK_INTERFACE_OWN {
    k("*", Words, "IF [weight -253..253 [reverse]]", "0 (= FAULT)", "own interface is tracked implicitly and reported if listed unweighted", 1);
} }

/// `/vrrp_instance/track_interface`.
pub(crate) static INSTANCE_TRACK_INTERFACE: Block =
    Block::new("/vrrp_instance/track_interface", &[INSTANCE_TRACK_INTERFACE_OWN]);

keywords! { INSTANCE_TRACK_SCRIPT_OWN {
    k("*", Words, "NAME [weight -253..253 [reverse/noreverse]]", "weight of vrrp_script", "", 1);
} }

/// `/vrrp_instance/track_script`.
pub(crate) static INSTANCE_TRACK_SCRIPT: Block =
    Block::new("/vrrp_instance/track_script", &[INSTANCE_TRACK_SCRIPT_OWN]);

keywords! { INSTANCE_TRACK_FILE_OWN {
    k("*", Words, "NAME [weight -254..254 [reverse/noreverse]]", "weight of track_file", "", 2);
} }

/// `/vrrp_instance/track_file`.
pub(crate) static INSTANCE_TRACK_FILE: Block = Block::new("/vrrp_instance/track_file", &[INSTANCE_TRACK_FILE_OWN]);

keywords! { INSTANCE_TRACK_PROCESS_OWN {
    k("*", Words, "NAME [weight -254..254 [reverse/noreverse]]", "weight of vrrp_track_process", "", 2);
} }

/// `/vrrp_instance/track_process`.
pub(crate) static INSTANCE_TRACK_PROCESS: Block =
    Block::new("/vrrp_instance/track_process", &[INSTANCE_TRACK_PROCESS_OWN]);

keywords! { INSTANCE_TRACK_BFD_OWN {
    k("*", Words, "NAME [weight -253..253 [reverse/noreverse]]", "weight of bfd_instance", "", 2);
} }

/// `/vrrp_instance/track_bfd`.
pub(crate) static INSTANCE_TRACK_BFD: Block = Block::new("/vrrp_instance/track_bfd", &[INSTANCE_TRACK_BFD_OWN]);
