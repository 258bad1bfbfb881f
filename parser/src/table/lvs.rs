//! Keywords of virtual and real servers.

use super::ours::{CHECKER_EXTRAS, EASING, FULL_NAT};
use super::shape::Shape::*;
use super::shape::*;
use super::{Block, Keyword, k, keywords};

keywords! { VIRTUAL_SERVER_OWN {
    k("ip_family", Word, "inet / inet6", "from addresses", "only needed for fwmark + all-tunnel over the kernel's IPVS; the embedded engine takes both", 2);
    k("retry", strict(1, 4294967295), "N>=1", "per checker", "default for RS", 2);
    k("delay_before_retry", seconds(0, 18446744073709551615), "TIMER", "per checker", "default for RS", 2);
    k("warmup", seconds(0, 18446744073709551615), "TIMER", "= delay_loop", "max random initial delay", 2);
    k("connect_timeout", seconds(1, 4294967295), "TIMER", "5", "default for RS", 2);
    k("delay_loop", seconds(1, 18446744073709551615), "TIMER >0", "60", "check interval; 0 is invalid", 1);
    k("inhibit_on_failure", Flag, "-", "off", "weight 0 instead of removal", 2);
    k("lb_algo", Word, "SCHED (lower case)", "wlc (reported when absent)", "rr wrr lc wlc lblc lblcr dh sh mh sed nq fo ovf twos", 1);
    k("lvs_sched", Word, "SCHED", "wlc", "same as lb_algo", 2);
    k("hashed", Flag, "-", "on", "historic flag, no effect but gives an odd error \"only applies to sh scheduler\"", 3).never("every service is found by a hash");
    k("ops", Flag, "-", "off", "one packet scheduling, UDP only", 2);
    k("flag-1", Flag, "-", "off", "scheduler flag 1", 3);
    k("flag-2", Flag, "-", "off", "scheduler flag 2", 3);
    k("flag-3", Flag, "-", "off", "scheduler flag 3", 3).never("no scheduler knows a third flag");
    k("sh-port", Flag, "-", "off", "sh flag; lb_algo must come first", 3);
    k("sh-fallback", Flag, "-", "off", "sh flag", 2);
    k("mh-port", Flag, "-", "off", "mh flag", 2);
    k("mh-fallback", Flag, "-", "off", "mh flag", 2);
    k("lb_kind", Words, "NAT / DR / TUN [type ipip/gue port N/gre] [nocsum/csum/remcsum] (upper case)", "NAT (reported when absent)", "forwarding method", 1);
    k("lvs_method", Words, "as lb_kind", "NAT", "same as lb_kind", 2);
    k("persistence_engine", Word, "NAME", "none", "e.g. sip", 3);
    k("persistence_timeout", optional_integer(1, 2_678_400), "[SECS 1..2678400]", "off; 360 if no value", "literal 0 is reported invalid, persistence stays off", 1);
    k("persistence_granularity", Word, "NETMASK (v4 dotted, v6 length)", "/32", "implies persistence 360", 2);
    k("protocol", Word, "TCP / UDP / SCTP (any case)", "UDP (reported when absent)", "must be absent for fwmark (reported)", 1);
    k("ha_suspend", Flag, "-", "off", "suspend checks while VIP is not local", 2);
    k("smtp_alert", Switch, "[BOOL]", "global or off", "mail on quorum change", 2);
    k("virtualhost", Word, "STR", "none", "default Host for HTTP_GET/SSL_GET", 2).mild();
    k("snmp_name", Word, "STR", "none", "", 3).never("there is no SNMP agent here; read the JSON dump or the metrics").mild();
    k("alpha", Flag, "-", "off", "RS start down until checked", 2);
    k("omega", Flag, "-", "off", "run notifies at shutdown", 2);
    k("quorum_up", Script, "SCRIPT [USER [GROUP]]", "none", "", 2);
    k("quorum_down", Script, "SCRIPT [USER [GROUP]]", "none", "", 2);
    k("quorum", integer(1, 4294967295), "N>=1", "1", "min total weight; reduced if above the sum", 2);
    k("hysteresis", integer(0, 4294967295), "N", "0", "must be < quorum", 2);
    k("weight", integer(1, 2147483647), "N>=1", "1", "default RS weight", 2);
    k("sorry_server", Words, "IP [PORT]", "none", "used when quorum is lost", 1);
    k("sorry_server_inhibit", Flag, "-", "off", "must follow sorry_server", 2);
    k("sorry_server_lvs_method", Words, "as lb_kind", "vs method", "must follow sorry_server", 2).mild();
    k("real_server", Nested, "IP [PORT] { block }", "required >=1", "no RS = virtual server removed (reported)", 1).named();
} }

/// `/virtual_server`.
pub(crate) static VIRTUAL_SERVER: Block = Block::new("/virtual_server", &[VIRTUAL_SERVER_OWN, EASING, FULL_NAT]);

keywords! { FORWARDING_OWN {
    k("NAT", Flag, "-", "-", "addresses are translated", 1);
    k("DR", Flag, "-", "-", "direct routing", 1);
    k("TUN", Flag, "-", "-", "tunnelling", 2);
    k("FULLNAT", Flag, "-", "-", "both addresses are translated", 3).ours();
    k("type", Word, "ipip / gre / gue", "ipip", "of TUN; gue needs port", 3);
    k("port", Word, "N", "-", "UDP port of gue", 3);
    k("nocsum", Flag, "-", "on", "", 3);
    k("csum", Flag, "-", "off", "gue and gre", 3);
    k("remcsum", Flag, "-", "off", "gue", 3);
} }

/// Words after `lb_kind`, `lvs_method` and `sorry_server_lvs_method`.
pub(crate) static FORWARDING: Block = Block::new("/virtual_server/lb_kind/*", &[FORWARDING_OWN]);

keywords! { REAL_SERVER_OWN {
    k("weight", integer(0, 2147483647), "0..2147483647", "vs weight (1)", "IPVS weight", 1);
    k("lvs_method", Words, "as lb_kind", "vs method", "", 2);
    k("uthreshold", integer(0, 4294967295), "N", "0", "max connections", 2);
    k("lthreshold", integer(0, 4294967295), "N", "0", "min connections", 2);
    k("inhibit_on_failure", Switch, "[BOOL]", "vs", "weight 0 instead of removal", 2);
    k("notify_up", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments", 2);
    k("notify_down", Script, "SCRIPT [USER [GROUP]]", "none", "no extra arguments", 1);
    k("alpha", Switch, "[BOOL]", "vs", "", 2);
    k("retry", strict(1, 4294967295), "N>=1", "vs", "", 2);
    k("delay_before_retry", seconds(0, 18446744073709551615), "TIMER", "vs", "", 2);
    k("warmup", seconds(0, 18446744073709551615), "TIMER", "vs", "", 2);
    k("connect_timeout", seconds(1, 4294967295), "TIMER", "vs (5)", "", 2);
    k("delay_loop", seconds(1, 18446744073709551615), "TIMER", "vs (60)", "", 2);
    k("smtp_alert", Switch, "[BOOL]", "global, else ON", "mail on RS up/down (note: default on)", 2);
    k("virtualhost", Word, "STR", "vs", "", 2).mild();
    k("snmp_name", Word, "STR", "none", "", 3).never("there is no SNMP agent here; read the JSON dump or the metrics").mild();
    k("MISC_CHECK", Nested, "{ block }", "-", "script checker", 2);
    k("SMTP_CHECK", Nested, "{ block }", "-", "SMTP HELO checker", 2);
    k("TCP_CHECK", Nested, "{ block }", "-", "TCP connect checker", 1);
    k("PING_CHECK", Nested, "{ block }", "-", "ICMP echo checker", 2);
    k("UDP_CHECK", Nested, "{ block }", "-", "UDP checker", 2);
    k("HTTP_GET", Nested, "{ block }", "-", "HTTP checker", 1);
    k("SSL_GET", Nested, "{ block }", "-", "HTTPS checker", 2);
    k("DNS_CHECK", Nested, "{ block }", "-", "DNS checker", 2);
    k("FILE_CHECK", Nested, "{ block }", "-", "track_file checker", 2);
    k("BFD_CHECK", Nested, "{ block }", "-", "bfd_instance checker", 3);
} }

/// `/virtual_server/real_server`.
pub(crate) static REAL_SERVER: Block =
    Block::new("/virtual_server/real_server", &[REAL_SERVER_OWN, EASING, CHECKER_EXTRAS]);
