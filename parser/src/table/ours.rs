//! Keywords that keepalived does not have, each off unless it is written.

use super::shape::Shape::*;
use super::shape::*;
use super::{Keyword, k, keywords};

keywords! { GLOBAL_EXTRAS {
    k("lvs_busy_poll", integer(0, 100_000), "MICROSECONDS", "0", "the forwarding thread looks for packets this long before it sleeps; costs a processor", 3).ours();
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
