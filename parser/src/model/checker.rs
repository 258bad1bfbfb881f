//! Checkers of real servers.

use super::{Script, TrackedWeight};
use crate::span::Span;
use std::net::SocketAddr;
use std::time::Duration;

/// One checker of a real server, every common option resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Checker {
    /// `connect_ip` and `connect_port`, the server's own when absent.
    pub connect: SocketAddr,
    /// `bindto` and `bind_port`.
    pub bind: Option<SocketAddr>,
    /// `bind_if`.
    pub bind_if: Option<String>,
    /// `fwmark`.
    pub fwmark: Option<u32>,
    /// `connect_timeout`, default 5 s.
    pub connect_timeout: Duration,
    /// `delay_loop`, inherited.
    pub delay_loop: Duration,
    /// `warmup`: the first check comes at random within this time after start; `None` is `delay_loop`.
    pub warmup: Option<Duration>,
    /// `retry`: attempts after the first before it counts as failed (1; MISC 0; DNS 3).
    pub retry: u32,
    /// `delay_before_retry`: 1 s (HTTP 3 s).
    pub delay_before_retry: Duration,
    /// `alpha`, inherited.
    pub alpha: bool,
    /// `log_all_failures`.
    pub log_all_failures: bool,
    /// What is checked.
    pub kind: CheckerKind,
    /// Head of the block.
    pub span: Span,
}

/// Kinds of checker.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckerKind {
    /// `TCP_CHECK`.
    Tcp,
    /// `HTTP_GET` (`tls` false) or `SSL_GET`.
    Http(Box<HttpCheck>),
    /// `MISC_CHECK`.
    Misc(Box<MiscCheck>),
    /// `SMTP_CHECK`, with `helo_name`.
    Smtp {
        /// Name given to the server.
        helo_name: String,
    },
    /// `GRPC_CHECK`, which keepalived does not have: grpc.health.v1.
    Grpc {
        /// `service`; empty asks for the server as a whole.
        service: String,
        /// `tls`.
        tls: bool,
    },
    /// `DNS_CHECK`.
    Dns {
        /// Record type in capitals, default `SOA`.
        record: String,
        /// Name asked for, default `.`.
        name: String,
    },
    /// `PING_CHECK`.
    Ping,
    /// `UDP_CHECK`.
    Udp(Box<UdpCheck>),
    /// `FILE_CHECK`: the name of a `track_file`.
    File(TrackedWeight),
    /// `BFD_CHECK`: the name of a `bfd_instance`.
    Bfd(String),
}

impl CheckerKind {
    /// The name of its block.
    #[must_use]
    pub fn keyword(&self) -> &'static str {
        match self {
            Self::Tcp => "TCP_CHECK",
            Self::Http(check) if check.tls => "SSL_GET",
            Self::Http(_) => "HTTP_GET",
            Self::Misc(_) => "MISC_CHECK",
            Self::Smtp { .. } => "SMTP_CHECK",
            Self::Grpc { .. } => "GRPC_CHECK",
            Self::Dns { .. } => "DNS_CHECK",
            Self::Ping => "PING_CHECK",
            Self::Udp(_) => "UDP_CHECK",
            Self::File(_) => "FILE_CHECK",
            Self::Bfd(_) => "BFD_CHECK",
        }
    }
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpCheck {
    /// `payload`: bytes to send; `None` sends random ones.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`: a reply must come. Its expected bytes, `None` standing for any; empty accepts all replies.
    pub require_reply: Option<Vec<Option<u8>>>,
    /// `min_reply_length`.
    pub min_reply_length: u16,
    /// `max_reply_length`.
    pub max_reply_length: u16,
}

/// `HTTP_GET` or `SSL_GET`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCheck {
    /// `SSL_GET`.
    pub tls: bool,
    /// `enable_sni`.
    pub enable_sni: bool,
    /// `http_protocol`.
    pub http_protocol: HttpProtocol,
    /// `sni_name`: name for SNI, the Host header's when absent.
    pub sni_name: Option<String>,
    /// `tls_compliant`: the server must close TLS as the standard says; default of the URLs.
    pub tls_compliant: bool,
    /// `tls_expiry_min`: days for which the server's certificate must still be valid.
    pub tls_expiry_min: Option<u32>,
    /// `method`, default `GET`.
    pub method: Option<String>,
    /// `header NAME VALUE`, in the order of the file.
    pub headers: Vec<(String, String)>,
    /// `basic_auth USER PASSWORD`.
    pub basic_auth: Option<(String, String)>,
    /// `fast_recovery`: no pauses between URLs while nothing is known against the server.
    pub fast_recovery: bool,
    /// `url` blocks; never empty.
    pub urls: Vec<HttpUrl>,
}

/// `http_protocol`, default `1.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpProtocol {
    /// HTTP/1.0 without `Connection`.
    V1_0,
    /// `1.0C`: HTTP/1.0 with `Connection: close`.
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    V1_1,
}

/// One `url` block.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpUrl {
    /// `path`.
    pub path: String,
    /// `virtualhost`, the server's when absent; `None` sends `IP:PORT`.
    pub virtualhost: Option<String>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: inclusive ranges; empty accepts 200..=299.
    pub status_codes: Vec<(u16, u16)>,
    /// `tls_compliant`, the checker's when absent.
    pub tls_compliant: bool,
    /// `body_match`: text that the body must contain.
    pub body_match: Option<String>,
    /// `regex`: source text of the expression.
    pub regex: Option<String>,
    /// `regex_no_match`: a match is a failure.
    pub regex_no_match: bool,
    /// `regex_options`, PCRE's names.
    pub regex_options: Vec<String>,
    /// `regex_min_offset`: bytes of the body that are passed over.
    pub regex_min_offset: u32,
    /// `regex_max_offset`: the last byte at which a match may begin.
    pub regex_max_offset: Option<u32>,
}

/// `MISC_CHECK`.
#[derive(Debug, Clone, PartialEq)]
pub struct MiscCheck {
    /// `misc_path`, with `user`.
    pub script: Script,
    /// `misc_timeout`, `delay_loop` when absent.
    pub timeout: Duration,
    /// `misc_dynamic`: exit codes 2..=255 set the weight to code - 2.
    pub dynamic: bool,
}
