//! Checkers of a real server.

use super::http::HttpDraft;
use super::virtual_server::Inherited;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{Checker, CheckerKind, MiscCheck, Script, ScriptUser, TrackedWeight, UdpCheck};
use crate::span::Span;
use crate::table::{self, Block, Range};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Records that DNS_CHECK can ask for.
const RECORD_TYPES: [&str; 9] = ["A", "NS", "CNAME", "SOA", "MX", "TXT", "AAAA", "RRSIG", "DNSKEY"];

/// What the keywords of a checker said.
#[derive(Debug, Default)]
pub(super) struct CheckerDraft {
    common: Inherited,
    connect_ip: Option<IpAddr>,
    connect_port: Option<u16>,
    bind_ip: Option<IpAddr>,
    bind_port: Option<u16>,
    bind_if: Option<String>,
    fwmark: Option<u32>,
    log_all_failures: Option<bool>,
    kind: KindDraft,
    span: Span,
}

#[derive(Debug, Default)]
enum KindDraft {
    #[default]
    Tcp,
    Ping,
    Http(Box<HttpDraft>),
    Misc {
        script: Option<Box<Script>>,
        user: Option<ScriptUser>,
        timeout: Option<Duration>,
        dynamic: bool,
    },
    Smtp(Option<String>),
    Dns {
        record: Option<String>,
        name: Option<String>,
    },
    Grpc {
        service: String,
        tls: bool,
    },
    Udp(UdpCheck),
    File(Option<TrackedWeight>),
    Bfd(Option<String>),
}

/// What a checker inherits when nothing was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckerDefaults<'a> {
    pub(super) server: SocketAddr,
    pub(super) virtualhost: Option<&'a str>,
    pub(super) outer: Inherited,
    pub(super) log_all_failures: bool,
}

impl<'t> Builder<'t> {
    pub(super) fn checker(&mut self, item: &Item<'t>, block: &'static Block, server: IpAddr) -> Option<CheckerDraft> {
        let mut draft = CheckerDraft { kind: kind_of(item.name()), span: item.span(), ..CheckerDraft::default() };
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, block) {
                self.checker_keyword(&mut draft, &child);
            }
        }
        self.check_connection(item, &mut draft, server);
        self.complete(item, &mut draft).then_some(draft)
    }

    /// Addresses that cannot work together.
    fn check_connection(&mut self, item: &Item<'t>, draft: &mut CheckerDraft, server: IpAddr) {
        let towards = draft.connect_ip.unwrap_or(server);
        if let Some(bind) = draft.bind_ip.take_if(|bind| bind.is_ipv4() != towards.is_ipv4()) {
            let text = format!("`bindto {bind}` is not of the family of {towards}, which is checked");
            self.report(Diagnostic::error("bind-family", text).at(item.span()).help("the line is ignored"));
        }
        let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        if draft.bind_if.is_none() && draft.connect_ip.as_ref().is_some_and(link_local) {
            let text = format!("the link-local address {towards} needs `bind_if`");
            let help = "name the interface that leads there";
            self.report(Diagnostic::error("link-local", text).at(item.span()).help(help));
        }
    }

    fn checker_keyword(&mut self, draft: &mut CheckerDraft, item: &Item<'t>) {
        if draft.common.keyword(item) || draft.connection(item) {
            return;
        }
        match &mut draft.kind {
            KindDraft::Http(http) => {
                self.http_keyword(http, &mut draft.common, item);
            }
            KindDraft::Smtp(_) if item.name() == "host" => self.smtp_host(draft, item),
            KindDraft::Smtp(name) | KindDraft::Bfd(name) => *name = item.text_value(),
            KindDraft::Udp(check) => {
                self.udp_keyword(check, item);
            }
            KindDraft::File(tracked) => self.file_keyword(tracked, item),
            KindDraft::Dns { record, name } => match item.name() {
                "type" => *record = self.record_type(item).or(record.take()),
                _ => *name = item.text_value(),
            },
            KindDraft::Grpc { service, tls } => match item.name() {
                "service" => *service = item.text_value().unwrap_or_default(),
                _ => *tls = item.switch(),
            },
            kind @ KindDraft::Misc { .. } => kind.misc_keyword(item),
            KindDraft::Tcp | KindDraft::Ping => {}
        }
    }

    /// `host { ... }`: the old way to say where to connect.
    fn smtp_host(&mut self, draft: &mut CheckerDraft, item: &Item<'t>) {
        for child in self.children(item.id) {
            if let Some(child) = self.item(child, &table::HOST)
                && !draft.connection(&child)
            {
                draft.common.keyword(&child);
            }
        }
    }

    fn udp_keyword(&mut self, check: &mut UdpCheck, item: &Item<'t>) -> bool {
        match item.name() {
            "payload" => {
                let bytes = self.hex(item).filter(|bytes| !bytes.is_empty());
                check.payload = bytes.map(|bytes| bytes.into_iter().map(Option::unwrap_or_default).collect());
            }
            "require_reply" => check.require_reply = self.hex(item),
            "min_reply_length" => check.min_reply_length = item.port().unwrap_or(check.min_reply_length),
            "max_reply_length" => check.max_reply_length = item.port().unwrap_or(check.max_reply_length),
            _ => return false,
        }
        true
    }

    /// Bytes in hexadecimal over all arguments.
    fn hex(&mut self, item: &Item<'t>) -> Option<Vec<Option<u8>>> {
        let words: Vec<Vec<char>> = item.arguments().iter().map(|a| a.text.chars().collect()).collect();
        let bytes: Option<Vec<_>> = words.iter().flat_map(|digits| digits.chunks(2)).map(hex_byte).collect();
        if bytes.is_none() {
            let text = format!("`{}` needs hexadecimal digits", item.name());
            let found = Diagnostic::error("invalid-hex", text).at(item.argument_span());
            self.report(found.help("the line is ignored"));
        }
        bytes
    }

    fn record_type(&mut self, item: &Item<'t>) -> Option<String> {
        let word = item.word()?;
        if RECORD_TYPES.contains(&word.to_ascii_uppercase().as_str()) {
            return Some(word.to_owned());
        }
        let text = format!("unknown type `{word}` of a DNS record");
        let found = Diagnostic::error("unknown-record", text).at(item.argument_span());
        self.report(found.help(format!("{} exist; the line is ignored", RECORD_TYPES.join(", "))));
        None
    }

    fn file_keyword(&mut self, tracked: &mut Option<TrackedWeight>, item: &Item<'t>) {
        let entry = tracked.get_or_insert(TrackedWeight { name: String::new(), weight: None, reverse: None });
        if item.name() == "track_file" {
            entry.name = item.text_value().unwrap_or_default();
            return;
        }
        let range = Range { min: -i128::from(i32::MAX), max: i128::from(i32::MAX), strict: true, repair: None };
        let weight = item.argument(0).and_then(|word| self.number("weight", word, range, 1));
        entry.weight = weight.and_then(|weight| i32::try_from(weight).ok()).or(entry.weight);
        entry.reverse = Some(self.reverse_option(item.argument(1)));
    }

    /// Whether a checker has everything that it cannot do without; reported when it has not.
    fn complete(&mut self, item: &Item<'t>, draft: &mut CheckerDraft) -> bool {
        let problem = match &mut draft.kind {
            KindDraft::Http(http) if http.urls.is_empty() => Some("no `url` with a `path`"),
            KindDraft::Misc { script: None, .. } => Some("no `misc_path`"),
            KindDraft::Misc { script, user, .. } => {
                if let Some(script) = script {
                    script.user = user.take();
                }
                None
            }
            KindDraft::Udp(check) if check.min_reply_length > check.max_reply_length => {
                let (least, most) = (check.min_reply_length, check.max_reply_length);
                let text =
                    format!("`min_reply_length` {least} is more than `max_reply_length` {most}: every check fails");
                self.report(Diagnostic::error("reply-length", text).at(item.span()));
                None
            }
            KindDraft::File(None) => Some("no `track_file`"),
            KindDraft::File(Some(tracked)) if tracked.name.is_empty() => Some("no `track_file`"),
            KindDraft::Bfd(None) => Some("no `name`"),
            _ => None,
        };
        let Some(problem) = problem else {
            return true;
        };
        let text = format!("`{}` has {problem}", item.name());
        let found = Diagnostic::error("incomplete-checker", text).at(item.span());
        self.report(found.help("the checker is ignored: the server counts as healthy"));
        false
    }
}

impl CheckerDraft {
    fn connection(&mut self, item: &Item<'_>) -> bool {
        match item.name() {
            "connect_ip" => self.connect_ip = item.address().or(self.connect_ip),
            "connect_port" => self.connect_port = item.port().or(self.connect_port),
            "bindto" => self.bind_ip = item.address().or(self.bind_ip),
            "bind_port" => self.bind_port = item.port().or(self.bind_port),
            "bind_if" => self.bind_if = item.text_value(),
            "fwmark" => self.fwmark = item.unsigned().or(self.fwmark),
            "log_all_failures" => self.log_all_failures = Some(item.switch()),
            _ => return false,
        }
        true
    }

    pub(super) fn settle(self, defaults: CheckerDefaults<'_>) -> Checker {
        let common = self.kind.relevant(self.common.within(defaults.outer));
        let delay_loop = common.delay_loop.unwrap_or(Duration::from_secs(60));
        let (retry, delay_before_retry) = self.kind.judgement(delay_loop);
        let connect_ip = self.connect_ip.unwrap_or(defaults.server.ip());
        let connect = SocketAddr::new(connect_ip, self.connect_port.unwrap_or(defaults.server.port()));
        Checker {
            connect,
            bind: bind(self.bind_ip, self.bind_port, connect.ip()),
            bind_if: self.bind_if,
            fwmark: self.fwmark,
            connect_timeout: common.connect_timeout.unwrap_or(Duration::from_secs(5)),
            delay_loop,
            warmup: common.warmup,
            retry: common.retry.unwrap_or(retry),
            delay_before_retry: common.delay_before_retry.unwrap_or(delay_before_retry),
            alpha: common.alpha.unwrap_or(false),
            log_all_failures: self.log_all_failures.unwrap_or(defaults.log_all_failures),
            kind: self.kind.settle(delay_loop, defaults.virtualhost),
            span: self.span,
        }
    }
}

impl KindDraft {
    fn misc_keyword(&mut self, item: &Item<'_>) {
        let Self::Misc { script, user, timeout, dynamic } = self else {
            return;
        };
        match item.name() {
            "misc_path" => *script = item.script().map(Box::new),
            "misc_timeout" => *timeout = item.seconds().or(*timeout),
            "misc_dynamic" => *dynamic = true,
            "user" => *user = super::script::user_of(item),
            _ => {}
        }
    }

    /// The settings that mean something to this kind.
    fn relevant(&self, settings: Inherited) -> Inherited {
        match self {
            Self::File(_) | Self::Bfd(_) => Inherited { alpha: settings.alpha, ..Inherited::default() },
            Self::Misc { .. } => Inherited { connect_timeout: None, ..settings },
            _ => settings,
        }
    }

    /// Default retries and the pause between them.
    fn judgement(&self, delay_loop: Duration) -> (u32, Duration) {
        match self {
            Self::Http(_) => (1, Duration::from_secs(3)),
            Self::Misc { .. } => (0, Duration::from_secs(1)),
            Self::Dns { .. } => (3, delay_loop),
            _ => (1, Duration::from_secs(1)),
        }
    }

    fn settle(self, delay_loop: Duration, virtualhost: Option<&str>) -> CheckerKind {
        match self {
            Self::Tcp => CheckerKind::Tcp,
            Self::Ping => CheckerKind::Ping,
            Self::Http(http) => CheckerKind::Http(Box::new(http.settle(virtualhost))),
            Self::Misc { script: Some(script), timeout, dynamic, .. } => {
                let timeout = timeout.unwrap_or(delay_loop);
                CheckerKind::Misc(Box::new(MiscCheck { script: *script, timeout, dynamic }))
            }
            // `complete` lets no such checker pass.
            Self::Misc { script: None, .. } => CheckerKind::Ping,
            Self::Smtp(name) => {
                CheckerKind::Smtp { helo_name: name.unwrap_or_else(|| "smtpchecker.keepalived.org".to_owned()) }
            }
            Self::Dns { record, name } => CheckerKind::Dns {
                record: record.unwrap_or_else(|| "SOA".to_owned()).to_ascii_uppercase(),
                name: name.unwrap_or_else(|| ".".to_owned()),
            },
            Self::Grpc { service, tls } => CheckerKind::Grpc { service, tls },
            Self::Udp(check) => CheckerKind::Udp(Box::new(check)),
            Self::File(tracked) => {
                CheckerKind::File(tracked.unwrap_or(TrackedWeight { name: String::new(), weight: None, reverse: None }))
            }
            Self::Bfd(name) => CheckerKind::Bfd(name.unwrap_or_default()),
        }
    }
}

fn kind_of(name: &str) -> KindDraft {
    match name {
        "HTTP_GET" | "SSL_GET" => KindDraft::Http(Box::new(HttpDraft::new(name == "SSL_GET"))),
        "GRPC_CHECK" => KindDraft::Grpc { service: String::new(), tls: false },
        "MISC_CHECK" => KindDraft::Misc { script: None, user: None, timeout: None, dynamic: false },
        "SMTP_CHECK" => KindDraft::Smtp(None),
        "DNS_CHECK" => KindDraft::Dns { record: None, name: None },
        "UDP_CHECK" => {
            KindDraft::Udp(UdpCheck { payload: None, require_reply: None, min_reply_length: 0, max_reply_length: 255 })
        }
        "FILE_CHECK" => KindDraft::File(None),
        "BFD_CHECK" => KindDraft::Bfd(None),
        "PING_CHECK" => KindDraft::Ping,
        _ => KindDraft::Tcp,
    }
}

/// One or two digits; `x` stands for any digit and makes its byte a wildcard.
fn hex_byte(digits: &[char]) -> Option<Option<u8>> {
    if digits.iter().any(|digit| matches!(digit, 'x' | 'X')) {
        return Some(None);
    }
    let value = digits.iter().try_fold(0, |value, digit| Some(value * 16 + digit.to_digit(16)?))?;
    Some(u8::try_from(value).ok())
}

fn bind(address: Option<IpAddr>, port: Option<u16>, towards: IpAddr) -> Option<SocketAddr> {
    let any = match towards {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    (address.is_some() || port.is_some()).then(|| SocketAddr::new(address.unwrap_or(any), port.unwrap_or(0)))
}
