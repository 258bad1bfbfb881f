//! Keywords that keepalived does not have, each off unless it is written but for `lvs_busy_poll` and `lvs_offload`.

use super::shape::Shape::*;
use super::shape::*;
use super::{Keyword, k, keywords};

keywords! { GLOBAL_EXTRAS {
    k("lvs_backend", Word, "embedded / kernel / auto", "embedded", "who forwards: this daemon, the kernel's IPVS, or the kernel's where it has one", 3).ours();
    k("lvs_sync_threshold", integer(0, 2_147_483_647), "PACKETS", "3", "told with this packet of each period (embedded engine; the kernel's has sysctl net.ipv4.vs.sync_*)", 3).ours();
    k("lvs_sync_period", integer(0, 2_147_483_647), "PACKETS", "50", "packets of a period; 0 tells a connection once", 3).ours();
    k("lvs_sync_refresh_period", seconds(0, 86_400_000_000), "TIMER", "0 (off)", "a connection is not told again so soon unless its state or time-out changed", 3).ours();
    k("lvs_sync_retries", integer(0, 3), "N", "0", "times that it is told again within the refresh period all the same", 3).ours();
    k("lvs_sync_persist_mode", Switch, "[BOOL]", "off", "persistence templates are told, their connections not", 3).ours();
    k("lvs_sync_ports", integer(1, 64), "N", "1", "ports from that of lvs_sync_daemon on", 3).ours();
    k("lvs_sync_version", integer(0, 1), "0 / 1", "1", "of the protocol; 0 knows IPv4 alone", 3).ours();
    k("lvs_sync_at_once", Switch, "[BOOL]", "on", "directors of this kind are told of a connection with its first packet", 3).ours();
    k("lvs_sync_key", Word, "SECRET / hex:DIGITS / file:PATH", "none", "32 to 64 octets; datagrams are signed (HMAC-SHA-256), others and replays are refused", 3).ours();
    k("lvs_sysctl", Words, "NAME VALUE ...", "the kernel's", "settings of the embedded engine by their names in net.ipv4.vs: expire_nodest_conn, drop_entry, ...; see docs/forwarding.md", 3).ours();
    k("lvs_busy_poll", integer(0, 100_000), "MICROSECONDS", "50, or 0 where the kernel carries connections", "the forwarding thread looks for packets this long at most before it sleeps, while they come that close; 0 never", 3).ours();
    k("lvs_offload", Switch, "[BOOL]", "on", "the kernel carries the plain packets of established connections, where it can (Linux 6.6); off leaves all to the forwarding thread", 3).ours();
    k("web_address", Word, "ADDRESS[:PORT]", "off", "serves metrics, health and a status page there, on port 9650 unless another is named", 3).ours();
} }

keywords! { EASING {
    k("slow_start", seconds(0, 86_400_000_000), "TIMER", "off", "the weight grows from 1 in this time after a recovery", 3).ours();
    k("drain_timeout", seconds(0, 86_400_000_000), "TIMER", "off", "connections to a server that was taken out last this long at most", 3).ours();
    k("passive_health", Words, "failures N window SECS suspend SECS", "off", "so many failed connections keep new ones away", 3).ours();
} }

keywords! { FULL_NAT {
    k("source_pool", Words, "FIRST-LAST / NETWORK ...", "none", "addresses towards the servers with lb_kind FULLNAT", 3).ours();
    k("client_address", Word, "none / toa / proxy / proxy_v1", "none", "how servers behind FULLNAT learn the client's address", 3).ours();
    k("tun_mss_clamp", Switch, "[BOOL]", "off", "lowers the MSS in SYNs to what fits the tunnel", 3).ours();
} }

keywords! { INSTANCE_EXTRAS {
    k("dual_stack", Flag, "-", "off", "addresses of both families, adverts of both", 3).ours();
    k("split_brain_notify", Script, "SCRIPT [USER [GROUP]]", "none", "run when two masters are seen; extra args: INSTANCE name PEER", 3).ours();
    k("split_brain_heal", Switch, "[BOOL]", "off", "announces the addresses again when two masters became one", 3).ours();
} }

keywords! { HTTP_EXTRAS {
    k("tls_expiry_min", integer(0, 36_500), "DAYS", "off", "the server's certificate must be valid for this long, SSL_GET only", 3).ours();
    k("method", Word, "METHOD", "GET", "", 3).ours();
    k("header", Words, "NAME VALUE", "none", "sent with each request; may be repeated", 3).ours();
    k("basic_auth", Words, "USER PASSWORD", "none", "", 3).ours();
} }

keywords! { URL_EXTRAS {
    k("body_match", Word, "STR", "none", "the body must contain this text", 3).ours();
} }

keywords! { GRPC_CHECK_OWN {
    k("service", Word, "NAME", "the server as a whole", "name in the grpc.health.v1 request", 3).ours();
    k("tls", Switch, "[BOOL]", "off", "HTTP/2 over TLS", 3).ours();
} }

keywords! { CHECKER_EXTRAS {
    k("GRPC_CHECK", Nested, "{ block }", "-", "gRPC health checker", 3).ours();
} }
