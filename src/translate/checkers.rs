//! Checkers and pools as the checkers crate takes them.

use super::{names, vrrp};
use crate::scheduling::{Priority, Scheduling};
use standfast_checkers::pool::{PoolChecker, PoolConfig, ServerConfig, ServerId, SorryConfig};
use standfast_checkers::script::Command;
use standfast_checkers::{
    BodyPattern, CheckerId, CheckerSpec, ConnectSpec, DnsSpec, GrpcSpec, HttpExtras, HttpProtocol, HttpSpec, HttpUrl,
    JudgeSettings, MiscSpec, PatternSettings, ProbeSpec, SmtpSpec, UdpReply, UdpSpec,
};
use standfast_parser::model::{
    self, Checker, CheckerKind, Globals, HttpCheck, MiscCheck, Protocol, RealServer, Script, UdpCheck, VirtualServer,
};
use std::time::Duration;

/// Makes a script of the file a command that may run; `None` drops it.
pub type Prepare<'a> = dyn FnMut(&Script) -> Option<Command> + 'a;

/// The two names that stand in a checker's log lines, in keepalived's notation.
#[derive(Debug, Clone)]
pub struct Names {
    /// `[10.1.0.1]:tcp:80`.
    pub server: String,
    /// `[10.0.0.100]:tcp:80`.
    pub service: String,
}

/// How the threads of the probes run, as `checker_*` say; `None` is like any other.
#[must_use]
pub fn scheduling(globals: &Globals) -> Option<Scheduling> {
    let told = vrrp::part_scheduling(&globals.checker_process)?;
    let priority = if told.priority == Priority::Automatic { Priority::Ordinary } else { told.priority };
    Some(Scheduling { priority, ..told })
}

/// A checker's specification; `None` where its program may not run.
pub fn spec(
    id: CheckerId,
    checker: &Checker,
    names: &Names,
    log_all_failures: bool,
    prepare: &mut Prepare<'_>,
) -> Option<CheckerSpec> {
    Some(CheckerSpec {
        id,
        probe: probe(checker, prepare)?,
        settings: JudgeSettings {
            delay_loop: checker.delay_loop,
            retry: checker.retry,
            delay_before_retry: checker.delay_before_retry,
            warmup: checker.warmup.unwrap_or(checker.delay_loop),
            alpha: checker.alpha,
            log_all_failures: checker.log_all_failures || log_all_failures,
        },
        service: names.server.clone(),
        virtual_service: names.service.clone(),
    })
}

/// A pool without its servers.
#[must_use]
pub fn pool(service: &VirtualServer, transport: Option<Protocol>, init_notifies: bool) -> PoolConfig {
    PoolConfig {
        service: names::virtual_server(service),
        quorum: service.quorum,
        hysteresis: service.hysteresis,
        omega: service.omega,
        init_notifies,
        sorry: service
            .sorry_server
            .as_ref()
            .map(|sorry| SorryConfig { name: names::socket(sorry.address, transport), inhibit: sorry.inhibit }),
        servers: Vec::new(),
    }
}

/// A server of a pool.
#[must_use]
pub fn server(id: ServerId, server: &RealServer, name: &str, checkers: Vec<PoolChecker>) -> ServerConfig {
    ServerConfig {
        id,
        name: name.to_owned(),
        weight: server.weight,
        inhibit_on_failure: server.inhibit_on_failure,
        checkers,
    }
}

fn probe(checker: &Checker, prepare: &mut Prepare<'_>) -> Option<ProbeSpec> {
    match &checker.kind {
        CheckerKind::Tcp => Some(ProbeSpec::Tcp(connect(checker))),
        CheckerKind::Http(check) => Some(ProbeSpec::Http(http(checker, check))),
        CheckerKind::Misc(check) => misc(check, prepare),
        CheckerKind::Smtp { helo_name } => {
            Some(ProbeSpec::Smtp(SmtpSpec { connect: connect(checker), helo_name: helo_name.clone() }))
        }
        CheckerKind::Dns { record, name } => Some(ProbeSpec::Dns(DnsSpec {
            connect: connect(checker),
            // As keepalived: an unknown type leaves the default.
            record_type: DnsSpec::type_number(record).unwrap_or(DnsSpec::SOA),
            name: name.clone(),
        })),
        CheckerKind::Grpc { service, tls } => Some(ProbeSpec::Grpc(GrpcSpec {
            connect: connect(checker),
            service: service.clone(),
            tls: *tls,
            identity: None,
        })),
        CheckerKind::Ping => Some(ProbeSpec::Ping(connect(checker))),
        CheckerKind::Udp(check) => Some(ProbeSpec::Udp(udp(checker, check))),
        // These make no attempts: the pools hear of what they follow.
        CheckerKind::File(_) | CheckerKind::Bfd(_) => None,
    }
}

fn connect(checker: &Checker) -> ConnectSpec {
    ConnectSpec {
        target: checker.connect,
        bind_ip: checker.bind.map(|bind| bind.ip()).filter(|address| !address.is_unspecified()),
        bind_port: checker.bind.map(|bind| bind.port()).filter(|port| *port != 0),
        bind_if: checker.bind_if.clone(),
        fwmark: checker.fwmark,
        timeout: checker.connect_timeout,
    }
}

fn http(checker: &Checker, check: &HttpCheck) -> HttpSpec {
    HttpSpec {
        connect: connect(checker),
        tls: check.tls,
        identity: None,
        enable_sni: check.enable_sni,
        protocol: match check.http_protocol {
            model::HttpProtocol::V1_0 => HttpProtocol::V1_0,
            model::HttpProtocol::V1_0Close => HttpProtocol::V1_0Close,
            model::HttpProtocol::V1_1 => HttpProtocol::V1_1,
        },
        fast_recovery: check.fast_recovery,
        extras: HttpExtras {
            method: check.method.clone(),
            headers: check.headers.clone(),
            basic_auth: check.basic_auth.clone(),
            sni_name: check.sni_name.clone(),
            expiry_min: check.tls_expiry_min.map(|days| Duration::from_secs(u64::from(days) * 86_400)),
        },
        urls: check
            .urls
            .iter()
            .map(|url| HttpUrl {
                path: url.path.clone(),
                virtualhost: url.virtualhost.clone(),
                digest: url.digest,
                status_codes: url.status_codes.clone(),
                pattern: pattern(url),
                body_match: url.body_match.clone(),
                tls_compliant: url.tls_compliant,
            })
            .collect(),
    }
}

/// As keepalived, an expression that cannot be compiled is told and left out.
fn pattern(url: &model::HttpUrl) -> Option<BodyPattern> {
    let settings = PatternSettings {
        regex: url.regex.clone()?,
        inverted: url.regex_no_match,
        options: url.regex_options.clone(),
        min_offset: usize::try_from(url.regex_min_offset).unwrap_or(usize::MAX),
        max_offset: url.regex_max_offset.map(|offset| usize::try_from(offset).unwrap_or(usize::MAX)),
    };
    match BodyPattern::new(settings) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            tracing::warn!(target: "healthcheck", "url `{}` is checked without its pattern: {error}", url.path);
            None
        }
    }
}

fn udp(checker: &Checker, check: &UdpCheck) -> UdpSpec {
    let reply = check.require_reply.as_ref().map(|bytes| UdpReply {
        pattern: bytes.iter().map(|byte| byte.unwrap_or_default()).collect(),
        ignored_bits: bytes.iter().map(|byte| if byte.is_none() { u8::MAX } else { 0 }).collect(),
        min_length: check.min_reply_length,
        max_length: check.max_reply_length,
    });
    UdpSpec { connect: connect(checker), payload: check.payload.clone(), reply }
}

fn misc(check: &MiscCheck, prepare: &mut Prepare<'_>) -> Option<ProbeSpec> {
    let command = prepare(&check.script)?.with_timeout(check.timeout);
    Some(ProbeSpec::Misc(MiscSpec { command, dynamic: check.dynamic }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(kind: CheckerKind) -> Checker {
        Checker {
            connect: "10.1.0.1:53".parse().unwrap(),
            bind: Some("10.1.0.254:0".parse().unwrap()),
            bind_if: Some("eth1".to_owned()),
            fwmark: Some(7),
            connect_timeout: Duration::from_secs(2),
            delay_loop: Duration::from_secs(3),
            warmup: None,
            retry: 1,
            delay_before_retry: Duration::from_secs(1),
            alpha: false,
            log_all_failures: false,
            kind,
            span: Default::default(),
        }
    }

    fn probe_of(kind: CheckerKind) -> Option<ProbeSpec> {
        probe(&checker(kind), &mut |_| None)
    }

    fn expected_connect() -> ConnectSpec {
        ConnectSpec {
            bind_ip: Some("10.1.0.254".parse().unwrap()),
            bind_if: Some("eth1".to_owned()),
            fwmark: Some(7),
            ..ConnectSpec::new("10.1.0.1:53".parse().unwrap(), Duration::from_secs(2))
        }
    }

    #[test]
    fn connection_options_reach_every_kind() {
        let connect = expected_connect();
        assert_eq!(probe_of(CheckerKind::Tcp), Some(ProbeSpec::Tcp(connect.clone())));
        assert_eq!(probe_of(CheckerKind::Ping), Some(ProbeSpec::Ping(connect.clone())));
        let helo_name = "checker".to_owned();
        let smtp = SmtpSpec { connect: connect.clone(), helo_name: helo_name.clone() };
        assert_eq!(probe_of(CheckerKind::Smtp { helo_name }), Some(ProbeSpec::Smtp(smtp)));
        for (record, record_type) in [("AAAA", 28), ("NONSENSE", 6)] {
            let dns = DnsSpec { connect: connect.clone(), record_type, name: "example.com".to_owned() };
            let kind = CheckerKind::Dns { record: record.to_owned(), name: "example.com".to_owned() };
            assert_eq!(probe_of(kind), Some(ProbeSpec::Dns(dns)));
        }
    }

    #[test]
    fn wildcards_of_a_udp_reply_become_ignored_bits() {
        let check = UdpCheck {
            payload: Some(vec![1, 2]),
            require_reply: Some(vec![Some(0xab), None]),
            min_reply_length: 1,
            max_reply_length: 9,
        };
        let reply = UdpReply { pattern: vec![0xab, 0], ignored_bits: vec![0, 0xff], min_length: 1, max_length: 9 };
        let udp = UdpSpec { connect: expected_connect(), payload: Some(vec![1, 2]), reply: Some(reply) };
        assert_eq!(probe_of(CheckerKind::Udp(Box::new(check))), Some(ProbeSpec::Udp(udp)));
    }
}
