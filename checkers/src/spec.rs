use crate::judge::{JudgeKind, JudgeSettings};
use crate::pattern::BodyPattern;
use crate::probe::http::TlsIdentity;
use crate::script::Command;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Names one checker for as long as it lives, also over [`Runner::update`](crate::Runner::update). The caller chooses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckerId(pub u64);

/// One checker of one real server.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckerSpec {
    /// Identity.
    pub id: CheckerId,
    /// What is done at each attempt.
    pub probe: ProbeSpec,
    /// How attempts become a verdict.
    pub settings: JudgeSettings,
    /// The real server in keepalived's notation for log lines: `[10.1.0.1]:tcp:80`.
    pub service: String,
    /// The virtual server in the same notation: `[10.0.0.100]:tcp:80`.
    pub virtual_service: String,
}

/// What a checker tells about its server. Only judged transitions, never single attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckEvent {
    /// The checker's verdict is up.
    Up {
        /// The checker.
        id: CheckerId,
        /// It is the checker's first verdict.
        first: bool,
        /// Mail body that keepalived would send about it (`=> TCP CHECK succeed on service <=`).
        mail: Option<String>,
    },
    /// The checker's verdict is down.
    Down {
        /// The checker.
        id: CheckerId,
        /// It is the checker's first verdict.
        first: bool,
        /// Why the last attempt failed, in words, for dumps and detailed logs.
        reason: String,
        /// Mail body that keepalived would send about it.
        mail: Option<String>,
    },
    /// The checker asks for another weight of its server; `None` goes back to the configured one.
    Weight {
        /// The checker.
        id: CheckerId,
        /// The weight asked for.
        weight: Option<i32>,
    },
    /// A log line, keepalived's text.
    Log {
        /// The checker.
        id: CheckerId,
        /// The line without time and program name.
        text: String,
    },
}

impl CheckEvent {
    /// The checker that it comes from.
    pub fn id(&self) -> CheckerId {
        match self {
            Self::Up { id, .. } | Self::Down { id, .. } | Self::Weight { id, .. } | Self::Log { id, .. } => *id,
        }
    }
}

/// Kinds of probe.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeSpec {
    /// `TCP_CHECK`: a connection is established and closed.
    Tcp(ConnectSpec),
    /// `HTTP_GET` and `SSL_GET`.
    Http(HttpSpec),
    /// `MISC_CHECK`: a program's exit status.
    Misc(MiscSpec),
    /// `SMTP_CHECK`.
    Smtp(SmtpSpec),
    /// `DNS_CHECK`.
    Dns(DnsSpec),
    /// `UDP_CHECK`.
    Udp(UdpSpec),
    /// `PING_CHECK`; ports do not matter.
    Ping(ConnectSpec),
    /// `GRPC_CHECK`.
    Grpc(GrpcSpec),
}

impl ProbeSpec {
    /// How long an attempt may last, where that is one span of time from its start.
    pub(crate) fn limit(&self) -> Option<Duration> {
        match self {
            Self::Tcp(connect) | Self::Ping(connect) => Some(connect.timeout),
            Self::Dns(dns) => Some(dns.connect.timeout),
            Self::Udp(udp) => Some(udp.connect.timeout),
            Self::Http(_) | Self::Misc(_) | Self::Smtp(_) | Self::Grpc(_) => None,
        }
    }

    /// The way in which attempts of this kind are judged.
    pub fn judge_kind(&self) -> JudgeKind {
        match self {
            Self::Tcp(_) => JudgeKind::Tcp,
            Self::Http(http) => JudgeKind::Http {
                paths: http.urls.iter().map(|url| url.path.clone()).collect(),
                fast_recovery: http.fast_recovery,
            },
            Self::Misc(misc) => JudgeKind::Misc { program: misc.command.program().to_owned(), dynamic: misc.dynamic },
            Self::Smtp(_) => JudgeKind::Smtp,
            Self::Dns(_) => JudgeKind::Dns,
            Self::Udp(_) => JudgeKind::Udp,
            Self::Ping(_) => JudgeKind::Ping,
            Self::Grpc(_) => JudgeKind::Grpc,
        }
    }
}

/// Where and how a probe connects.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConnectSpec {
    /// `connect_ip` and `connect_port`. An IPv6 link-local address carries its scope or is used with `bind_if`.
    pub target: SocketAddr,
    /// `bindto`: source address.
    pub bind_ip: Option<IpAddr>,
    /// `bind_port`: source port.
    pub bind_port: Option<u16>,
    /// `bind_if`: device to send from (`SO_BINDTODEVICE`).
    pub bind_if: Option<String>,
    /// `fwmark`: mark of the packets (`SO_MARK`), needs CAP_NET_ADMIN.
    pub fwmark: Option<u32>,
    /// `connect_timeout`: limit of each step of the exchange.
    pub timeout: Duration,
}

impl ConnectSpec {
    /// A connection to `target` with nothing special about it.
    pub fn new(target: SocketAddr, timeout: Duration) -> Self {
        Self { target, bind_ip: None, bind_port: None, bind_if: None, fwmark: None, timeout }
    }
}

/// `HTTP_GET` and `SSL_GET`.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpSpec {
    /// Where to connect. Each step (connect with TLS, answer's head, rest) may take `timeout`.
    pub connect: ConnectSpec,
    /// `SSL_GET`. Certificates are not verified, as in keepalived.
    pub tls: bool,
    /// The certificate shown to a server that asks for one.
    pub identity: Option<TlsIdentity>,
    /// `enable_sni`: the virtual host goes into the TLS greeting.
    pub enable_sni: bool,
    /// `http_protocol`.
    pub protocol: HttpProtocol,
    /// `fast_recovery`: URLs are checked without pauses until the first verdict and while recovering.
    pub fast_recovery: bool,
    /// What keepalived does not ask for.
    pub extras: HttpExtras,
    /// `url` blocks, checked in turn, one an attempt. With none the checker never probes and never gives a verdict.
    pub urls: Vec<HttpUrl>,
}

impl HttpSpec {
    /// `HTTP_GET` with these URLs and nothing special about it, in HTTP/1.0.
    #[must_use]
    pub fn new(connect: ConnectSpec, urls: Vec<HttpUrl>) -> Self {
        Self {
            connect,
            tls: false,
            identity: None,
            enable_sni: false,
            protocol: HttpProtocol::V1_0,
            fast_recovery: false,
            extras: HttpExtras::default(),
            urls,
        }
    }
}

/// What a request carries, and an answer is measured by, beyond keepalived's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpExtras {
    /// `method`; `None` is GET.
    pub method: Option<String>,
    /// `header`: names and values behind keepalived's own headers; one of the same name is replaced.
    pub headers: Vec<(String, String)>,
    /// `basic_auth`: user and password.
    pub basic_auth: Option<(String, String)>,
    /// `sni_name`: the name in the TLS greeting in place of the virtual host.
    pub sni_name: Option<String>,
    /// `tls_expiry_min`: the time for which the server's certificate must still be valid.
    pub expiry_min: Option<Duration>,
}

/// `http_protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HttpProtocol {
    /// HTTP/1.0 without `Connection`.
    V1_0,
    /// HTTP/1.0 with `Connection: close`.
    V1_0Close,
    /// HTTP/1.1 with `Connection: close`.
    V1_1,
}

/// One `url` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// `path`: the request target, sent as written.
    pub path: String,
    /// `virtualhost`: the Host header; `None` sends the target's address and port.
    pub virtualhost: Option<String>,
    /// `digest`: MD5 of the body.
    pub digest: Option<[u8; 16]>,
    /// `status_code`: inclusive ranges; empty accepts 200 to 299.
    pub status_codes: Vec<(u16, u16)>,
    /// `regex` and its companions.
    pub pattern: Option<BodyPattern>,
    /// `body_match`: text that the beginning of the body must contain.
    pub body_match: Option<String>,
    /// `tls_compliant`: an answer that ends without the farewell of TLS is a failure.
    pub tls_compliant: bool,
}

impl HttpUrl {
    /// Any answer of 200 to 299 to a request for this path passes.
    #[must_use]
    pub fn new(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            virtualhost: None,
            digest: None,
            status_codes: Vec::new(),
            pattern: None,
            body_match: None,
            tls_compliant: false,
        }
    }
}

/// `MISC_CHECK`.
#[derive(Debug, Clone, PartialEq)]
pub struct MiscSpec {
    /// `misc_path`, with user and `misc_timeout`.
    pub command: Command,
    /// `misc_dynamic`: exit status 2 to 255 asks for weight status - 2.
    pub dynamic: bool,
}

/// `SMTP_CHECK`: greeting 220, HELO answered with 250, QUIT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSpec {
    /// Where to connect. Each line may take `timeout`.
    pub connect: ConnectSpec,
    /// `helo_name`; keepalived's default is `smtpchecker.keepalived.org`.
    pub helo_name: String,
}

/// `GRPC_CHECK`: the unary `Check` of grpc.health.v1, answered with SERVING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcSpec {
    /// Where to connect. Each step (connect with TLS, answer) may take `timeout`.
    pub connect: ConnectSpec,
    /// The service asked about; empty is the server as a whole.
    pub service: String,
    /// HTTP/2 over TLS (ALPN `h2`), without an opinion about certificates; else with prior knowledge.
    pub tls: bool,
    /// The certificate shown to a server that asks for one.
    pub identity: Option<TlsIdentity>,
}

/// `DNS_CHECK`: one question over UDP, any answer without an error code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsSpec {
    /// Where to ask.
    pub connect: ConnectSpec,
    /// `type`: number of the record type, 6 (SOA) by default.
    pub record_type: u16,
    /// `name`: the domain, with or without its last dot; empty or `.` is the root.
    pub name: String,
}

impl DnsSpec {
    /// The record type that keepalived asks for by default.
    pub const SOA: u16 = 6;

    /// The number of a record type that keepalived's `type` knows by name.
    pub fn type_number(name: &str) -> Option<u16> {
        let number = match name {
            "A" => 1,
            "NS" => 2,
            "CNAME" => 5,
            "SOA" => Self::SOA,
            "MX" => 15,
            "TXT" => 16,
            "AAAA" => 28,
            "RRSIG" => 46,
            "DNSKEY" => 48,
            _ => return None,
        };
        Some(number)
    }
}

/// `UDP_CHECK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpSpec {
    /// Where to send. Without `reply` an attempt passes when `timeout` has gone by without an ICMP error.
    pub connect: ConnectSpec,
    /// `payload`; random bytes if `None`.
    pub payload: Option<Vec<u8>>,
    /// `require_reply`.
    pub reply: Option<UdpReply>,
}

/// `require_reply`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UdpReply {
    /// Bytes that the reply must begin with, as far as it goes; empty takes any reply.
    pub pattern: Vec<u8>,
    /// Bits of the pattern that may differ, byte for byte; missing bytes are 0.
    pub ignored_bits: Vec<u8>,
    /// `min_reply_length`, 0 by default. Only with a pattern.
    pub min_length: u16,
    /// `max_reply_length`, 255 by default. Only with a pattern.
    pub max_length: u16,
}
