//! Checkers and pools as the checkers crate takes them.

use super::names;
use standfast_checkers::pool::{PoolChecker, PoolConfig, ServerConfig, ServerId, SorryConfig};
use standfast_checkers::script::Command;
use standfast_checkers::{
    CheckerId, CheckerSpec, ConnectSpec, HttpProtocol, HttpSpec, HttpUrl, JudgeSettings, MiscSpec, ProbeSpec,
};
use standfast_parser::model::{self, Checker, CheckerKind, HttpCheck, MiscCheck, RealServer, Script, VirtualServer};

/// Makes a script of the file a command that may run; `None` drops it.
pub type Prepare<'a> = dyn FnMut(&Script) -> Option<Command> + 'a;

/// A checker's specification; `None` where its program may not run.
pub fn spec(
    id: CheckerId,
    checker: &Checker,
    server: &RealServer,
    service: &VirtualServer,
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
        service: names::socket(server.address, service.protocol),
        virtual_service: names::virtual_server(service),
    })
}

/// A pool without its servers.
#[must_use]
pub fn pool(service: &VirtualServer) -> PoolConfig {
    PoolConfig {
        service: names::virtual_server(service),
        quorum: service.quorum,
        hysteresis: service.hysteresis,
        omega: service.omega,
        sorry: service
            .sorry_server
            .as_ref()
            .map(|sorry| SorryConfig { name: names::socket(sorry.address, service.protocol), inhibit: sorry.inhibit }),
        servers: Vec::new(),
    }
}

/// A server of a pool.
#[must_use]
pub fn server(id: ServerId, server: &RealServer, service: &VirtualServer, checkers: Vec<PoolChecker>) -> ServerConfig {
    ServerConfig {
        id,
        name: names::socket(server.address, service.protocol),
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
        // The parser lists these among the keywords that are not acted on.
        CheckerKind::Smtp { .. }
        | CheckerKind::Dns { .. }
        | CheckerKind::Ping
        | CheckerKind::Udp(_)
        | CheckerKind::File(_)
        | CheckerKind::Bfd(_) => None,
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
        enable_sni: check.enable_sni,
        protocol: match check.http_protocol {
            model::HttpProtocol::V1_0 => HttpProtocol::V1_0,
            model::HttpProtocol::V1_0Close => HttpProtocol::V1_0Close,
            model::HttpProtocol::V1_1 => HttpProtocol::V1_1,
        },
        fast_recovery: false,
        urls: check
            .urls
            .iter()
            .map(|url| HttpUrl {
                path: url.path.clone(),
                virtualhost: url.virtualhost.clone(),
                digest: url.digest,
                status_codes: url.status_codes.clone(),
            })
            .collect(),
    }
}

fn misc(check: &MiscCheck, prepare: &mut Prepare<'_>) -> Option<ProbeSpec> {
    let command = prepare(&check.script)?.with_timeout(check.timeout);
    Some(ProbeSpec::Misc(MiscSpec { command, dynamic: check.dynamic }))
}
