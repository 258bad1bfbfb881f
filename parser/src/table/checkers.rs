//! Keywords of the checkers.

use super::ours::{GRPC_CHECK_OWN, HTTP_EXTRAS, URL_EXTRAS};
use super::shape::Shape::*;
use super::shape::*;
use super::{Block, Keyword, k, keywords};

/// `/virtual_server/real_server/TCP_CHECK`.
pub(crate) static TCP_CHECK: Block = Block::new("/virtual_server/real_server/TCP_CHECK", &[CONNECTION, JUDGEMENT]);

/// `/virtual_server/real_server/PING_CHECK`.
pub(crate) static PING_CHECK: Block = Block::new("/virtual_server/real_server/PING_CHECK", &[CONNECTION, JUDGEMENT]);

keywords! { UDP_CHECK_OWN {
    k("payload", Word, "HEX", "random", "bytes to send", 3).mild();
    k("require_reply", OptionalWords, "[HEX with x wildcards]", "off", "reply must arrive (and match)", 3);
    k("min_reply_length", integer(0, 65535), "0..65535", "0", "", 3);
    k("max_reply_length", integer(0, 65535), "0..65535", "255", "", 3);
} }

/// `/virtual_server/real_server/UDP_CHECK`.
pub(crate) static UDP_CHECK: Block =
    Block::new("/virtual_server/real_server/UDP_CHECK", &[CONNECTION, JUDGEMENT, UDP_CHECK_OWN]);

keywords! { DNS_CHECK_OWN {
    k("type", Word, "A/NS/CNAME/SOA/MX/TXT/AAAA...", "SOA", "", 2);
    k("name", Word, "DOMAIN", ". (root)", "", 2);
} }

/// `/virtual_server/real_server/DNS_CHECK`.
pub(crate) static DNS_CHECK: Block =
    Block::new("/virtual_server/real_server/DNS_CHECK", &[CONNECTION, JUDGEMENT, DNS_CHECK_OWN]);

keywords! { SMTP_CHECK_OWN {
    k("helo_name", Word, "STR", "smtpchecker.keepalived.org", "", 2).mild();
    k("host", Nested, "{ block }", "-", "legacy multi-host form: block with the connection keywords", 2);
} }

/// `/virtual_server/real_server/SMTP_CHECK`.
pub(crate) static SMTP_CHECK: Block =
    Block::new("/virtual_server/real_server/SMTP_CHECK", &[CONNECTION, JUDGEMENT, SMTP_CHECK_OWN]);

/// `/virtual_server/real_server/SMTP_CHECK/host`.
pub(crate) static HOST: Block = Block::new("/virtual_server/real_server/SMTP_CHECK/host", &[CONNECTION]);

keywords! { HTTP_OWN {
    k("nb_get_retry", integer(0, 4294967295), "N", "-", "deprecated, use retry; ONLY valid in HTTP_GET/SSL_GET but found in TCP_CHECK in half of all LVS configs", 1).deprecated("retry");
    k("virtualhost", Word, "STR", "rs/vs", "Host header", 2).mild();
    k("http_protocol", Word, "1.0 / 1.1 / 1.0C", "1.0", "", 2).mild();
    k("enable_sni", Switch, "[BOOL]", "off", "SSL_GET only", 2);
    k("sni_name", Word, "STR", "-", "", 3).since_2_3();
    k("fast_recovery", Switch, "[BOOL]", "off", "", 3);
    k("url", Nested, "{ block }", "required >=1", "checked in turn, one per delay_loop", 1);
} }

/// `/virtual_server/real_server/HTTP_GET`.
pub(crate) static HTTP_GET: Block =
    Block::new("/virtual_server/real_server/HTTP_GET", &[CONNECTION, JUDGEMENT, HTTP_OWN, HTTP_EXTRAS]);

keywords! { URL_OWN {
    k("path", Word, "STR", "required", "", 1);
    k("digest", Word, "MD5 32 hex", "none", "body MD5", 1);
    k("status_code", Words, "CODE / LO-HI ...", "200-299", "", 1).quiet();
    k("virtualhost", Word, "STR", "checker/rs/vs", "", 2).mild();
    k("regex", Word, "STR", "none", "PCRE2 on body", 2).quiet();
    k("regex_no_match", Flag, "-", "off", "invert", 3);
    k("regex_options", OptionalWords, "OPT...", "none", "", 3);
    k("regex_min_offset", integer(0, 4294967295), "N", "0", "", 3).quiet();
    k("regex_max_offset", integer(0, 4294967295), "N", "none", "", 3).quiet();
    k("regex_stack", Words, "START MAX", "-", "JIT stack", 3).quiet();
    k("tls_compliant", Switch, "[BOOL]", "off", "", 3).since_2_3();
} }

/// `/virtual_server/real_server/HTTP_GET/url`.
pub(crate) static URL: Block = Block::new("/virtual_server/real_server/HTTP_GET/url", &[URL_OWN, URL_EXTRAS]);

keywords! { SSL_GET_OWN {
    k("tls_compliant", Switch, "[BOOL]", "off", "", 3).since_2_3();
} }

/// `/virtual_server/real_server/SSL_GET`.
pub(crate) static SSL_GET: Block =
    Block::new("/virtual_server/real_server/SSL_GET", &[CONNECTION, JUDGEMENT, HTTP_OWN, SSL_GET_OWN, HTTP_EXTRAS]);

/// `/virtual_server/real_server/GRPC_CHECK`.
pub(crate) static GRPC_CHECK: Block =
    Block::new("/virtual_server/real_server/GRPC_CHECK", &[CONNECTION, JUDGEMENT, GRPC_CHECK_OWN]);

keywords! { MISC_CHECK_OWN {
    k("misc_path", Command, "SCRIPT (quoted when it has args)", "required", "", 2).quiet();
    k("misc_timeout", integer(0, 4294), "SECS", "= delay_loop", "", 2);
    k("misc_dynamic", Flag, "-", "off", "exit 2..255 sets weight exit-2", 2);
    k("user", Words, "USER [GROUP]", "script_user", "", 2).mild();
} }

/// `/virtual_server/real_server/MISC_CHECK`.
pub(crate) static MISC_CHECK: Block =
    Block::new("/virtual_server/real_server/MISC_CHECK", &[JUDGEMENT, MISC_CHECK_OWN]);

keywords! { FILE_CHECK_OWN {
    k("track_file", Word, "NAME", "required", "must be a track_file", 2);
    k("weight", Words, "INT [reverse/noreverse]", "track_file weight", "", 2).mild();
} }

/// `/virtual_server/real_server/FILE_CHECK`.
pub(crate) static FILE_CHECK: Block = Block::new("/virtual_server/real_server/FILE_CHECK", &[FILE_CHECK_OWN]);

keywords! { BFD_CHECK_OWN {
    k("name", Word, "NAME", "required", "must be a bfd_instance", 2).mild();
    k("alpha", Switch, "[BOOL]", "rs/vs", "", 2);
} }

/// `/virtual_server/real_server/BFD_CHECK`.
pub(crate) static BFD_CHECK: Block = Block::new("/virtual_server/real_server/BFD_CHECK", &[BFD_CHECK_OWN]);

keywords! { CONNECTION {
    k("connect_ip", Address, "IP", "rs ip", "", 2);
    k("connect_port", integer(1, 65535), "1..65535", "rs port", "", 2);
    k("bindto", Address, "IP", "any", "source address", 2);
    k("bind_port", integer(1, 65535), "1..65535", "any", "source port", 3);
    k("bind_if", Word, "IF", "none", "needed for IPv6 link local", 3);
    k("connect_timeout", seconds(1, 4294967295), "TIMER", "rs/vs (5)", "", 2);
    k("fwmark", integer(0, 4294967295), "N", "0", "SO_MARK", 3);
} }

keywords! { JUDGEMENT {
    k("retry", integer(0, 4294967295), "N>=0", "rs/vs, else 1", "extra tries after failure of an up server", 2);
    k("delay_before_retry", seconds(0, 18446744073709551615), "TIMER", "rs/vs, else 1", "", 2);
    k("warmup", seconds(0, 18446744073709551615), "TIMER", "rs/vs, else delay_loop", "", 2);
    k("delay_loop", seconds(1, 18446744073709551615), "TIMER", "rs/vs (60)", "", 2);
    k("alpha", Switch, "[BOOL]", "rs/vs", "", 2);
    k("log_all_failures", Switch, "[BOOL]", "global", "", 3);
} }
