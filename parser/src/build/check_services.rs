//! What the keywords of a virtual server mean together.

use super::Builder;
use super::checker::{CheckerDefaults, CheckerDraft};
use super::forwarding::Forwarding;
use super::named::Kind;
use super::real_server::RealServerDraft;
use super::virtual_server::{DEFAULT_PERSISTENCE, VirtualServerDraft};
use crate::diagnostic::Diagnostic;
use crate::model::{CheckerKind, ForwardingMethod, Protocol, RealServer, Tunnel, VirtualServer, VirtualTarget};
use crate::span::Span;
use std::net::SocketAddr;
use std::time::Duration;

/// The virtual server as far as its real servers need it.
struct Frame {
    label: Label,
    /// `None` for marks and groups.
    address: Option<SocketAddr>,
    fwmark: bool,
    forwarding: Forwarding,
}

impl Frame {
    fn new(label: Label, forwarding: Forwarding) -> Self {
        let address = match label.0 {
            VirtualTarget::Address(address) => Some(address),
            _ => None,
        };
        let fwmark = matches!(label.0, VirtualTarget::Fwmark(_));
        Self { label, address, fwmark, forwarding }
    }
}

impl Builder<'_> {
    /// The service with every default, or `None` when nothing is left of it.
    pub(super) fn settle_service(
        &mut self,
        target: VirtualTarget,
        span: Span,
        mut draft: VirtualServerDraft,
    ) -> Option<VirtualServer> {
        let protocol = self.service_protocol(&target, span, &draft);
        let label = Label(target, protocol);
        let forwarding = self.service_forwarding(&label, span, &draft);
        let scheduler = self.service_scheduler(&label, span, &mut draft);
        let frame = Frame::new(label, forwarding);
        let persistence_timeout = self.persistence(&frame, span, &draft);
        let real_servers = self.settle_real_servers(&frame, &mut draft);
        if real_servers.is_empty() {
            let text = format!("virtual server {} has no real servers", frame.label);
            let found = Diagnostic::error("no-real-server", text).at(span);
            self.report(found.help("it is ignored"));
            return None;
        }
        let one_packet = self.one_packet(&frame, protocol, draft.one_packet);
        let (quorum, hysteresis) = self.quorum(&frame, span, &draft, &real_servers);
        let smtp_alert = draft.smtp_alert.or(self.checker_alert()).unwrap_or(false);
        Some(VirtualServer {
            persistence_timeout,
            one_packet,
            quorum,
            hysteresis,
            smtp_alert,
            scheduler,
            ..assemble(frame, span, draft, real_servers)
        })
    }

    fn one_packet(&mut self, frame: &Frame, protocol: Protocol, asked: Option<Span>) -> bool {
        let Some(span) = asked.filter(|_| protocol != Protocol::Udp && !frame.fwmark) else {
            return asked.is_some();
        };
        let text = format!("virtual server {}: `ops` is for UDP", frame.label);
        self.report(Diagnostic::error("ops-without-udp", text).at(span).help("the line is ignored"));
        false
    }

    fn checker_alert(&self) -> Option<bool> {
        self.config.globals.smtp_alert_checker.or(self.config.globals.smtp_alert)
    }

    fn service_protocol(&mut self, target: &VirtualTarget, span: Span, draft: &VirtualServerDraft) -> Protocol {
        match (target, draft.protocol) {
            (VirtualTarget::Fwmark(mark), Some((protocol, at))) => {
                let text = format!("virtual server FWM {mark}: the mark decides, not the protocol");
                let found = Diagnostic::warning("fwmark-protocol", text).at(at);
                self.report(found.help("the line is ignored"));
                protocol
            }
            (VirtualTarget::Fwmark(_), None) => Protocol::Tcp,
            (_, Some((protocol, _))) => protocol,
            (_, None) => {
                let found = Diagnostic::error("no-protocol", "this virtual server has no `protocol`").at(span);
                self.report(found.help("UDP is used; most want `protocol TCP`"));
                Protocol::Udp
            }
        }
    }

    fn service_forwarding(&mut self, label: &Label, span: Span, draft: &VirtualServerDraft) -> Forwarding {
        draft.forwarding.unwrap_or_else(|| {
            let text = format!("virtual server {label} has no `lb_kind`");
            self.report(Diagnostic::error("no-forwarding", text).at(span).help("NAT is used"));
            Forwarding { method: ForwardingMethod::Nat, tunnel: Tunnel::default() }
        })
    }

    fn service_scheduler(&mut self, label: &Label, span: Span, draft: &mut VirtualServerDraft) -> String {
        draft.scheduler.take().unwrap_or_else(|| {
            let text = format!("virtual server {label} has no `lb_algo`");
            self.report(Diagnostic::error("no-scheduler", text).at(span).help("wlc is used"));
            "wlc".to_owned()
        })
    }

    fn persistence(&mut self, frame: &Frame, span: Span, draft: &VirtualServerDraft) -> Option<Duration> {
        let implies = draft.persistence_granularity.is_some() || draft.persistence_engine.is_some();
        let implied = implies.then_some(DEFAULT_PERSISTENCE);
        let asked = draft.persistence_timeout.or(implied);
        if asked.is_none() && frame.address.is_some_and(|a| a.port() == 0) {
            let text = format!("virtual server {} has no port, which needs persistence", frame.label);
            let found = Diagnostic::error("no-port", text).at(span);
            self.report(found.help("`persistence_timeout 360` is used"));
            return Some(DEFAULT_PERSISTENCE);
        }
        asked
    }

    fn settle_real_servers(&mut self, frame: &Frame, draft: &mut VirtualServerDraft) -> Vec<RealServer> {
        let mut servers: Vec<RealServer> = Vec::with_capacity(draft.real_servers.len());
        let mut seen = Seen::default();
        let mut drafts = (std::mem::take(&mut draft.real_servers), std::mem::take(&mut draft.checkers));
        let mut checkers = drafts.1.drain(..);
        for server in drafts.0.drain(..) {
            let own = checkers.by_ref().take(server.checkers);
            let Some(address) = self.real_address(frame, &server) else {
                own.for_each(drop);
                continue;
            };
            if seen.insert(address, &servers) {
                servers.push(self.settle_real_server(frame, draft, address, server, own));
                continue;
            }
            own.for_each(drop);
            let text = format!("virtual server {}: real server {address} is given twice", frame.label);
            let found = Diagnostic::error("duplicate-real-server", text).at(server.span);
            self.report(found.help("the second one is removed"));
        }
        drop(checkers);
        self.spare_drafts = drafts;
        servers
    }

    fn settle_real_server(
        &self,
        frame: &Frame,
        outer: &VirtualServerDraft,
        address: SocketAddr,
        server: RealServerDraft,
        own: impl Iterator<Item = CheckerDraft>,
    ) -> RealServer {
        let forwarding = server.forwarding.unwrap_or(frame.forwarding);
        let common = server.common.within(outer.common);
        let virtualhost = server.virtualhost.or_else(|| outer.virtualhost.clone());
        let defaults = CheckerDefaults {
            server: address,
            virtualhost: virtualhost.as_deref(),
            outer: common,
            log_all_failures: self.config.globals.checker_log_all_failures,
        };
        let easing = server.easing.within(outer.easing);
        // Collecting in place would keep the room of the larger drafts.
        let mut checkers = Vec::with_capacity(server.checkers);
        checkers.extend(own.map(|c| c.settle(defaults)));
        RealServer {
            address,
            weight: server.weight.or(outer.weight).unwrap_or(1),
            forwarding: forwarding.method,
            tunnel: forwarding.tunnel,
            inhibit_on_failure: server.inhibit_on_failure.unwrap_or(outer.inhibit_on_failure),
            upper_threshold: server.upper_threshold,
            lower_threshold: server.lower_threshold,
            alpha: common.alpha.unwrap_or(false),
            notify_up: server.notify_up,
            notify_down: server.notify_down,
            virtualhost,
            smtp_alert: server.smtp_alert.or(self.checker_alert()).unwrap_or(true),
            checkers,
            snmp_name: server.snmp_name,
            slow_start: easing.slow_start,
            drain_timeout: easing.drain_timeout,
            passive_health: easing.passive_health,
            span: server.span,
        }
    }

    /// Address and port that the server gets; `None` when it cannot serve this service.
    fn real_address(&mut self, frame: &Frame, server: &RealServerDraft) -> Option<SocketAddr> {
        let forwarding = server.forwarding.unwrap_or(frame.forwarding);
        Some(SocketAddr::new(server.address, self.real_port(frame, server, forwarding.method)?))
    }

    /// The port that the server gets; `None` when it cannot serve this service.
    fn real_port(&mut self, frame: &Frame, server: &RealServerDraft, forwarding: ForwardingMethod) -> Option<u16> {
        let Some(service) = frame.address else {
            return Some(self.fwmark_port(frame, server, forwarding));
        };
        if service.is_ipv6() != server.address.is_ipv6()
            && !matches!(forwarding, ForwardingMethod::Tun | ForwardingMethod::FullNat)
        {
            let text = format!("real server {} is not of the family of virtual server {}", server.address, frame.label);
            let found = Diagnostic::error("mixed-families", text).at(server.span);
            self.report(found.help("the server is ignored; only TUN crosses families"));
            return None;
        }
        let Some(port) = server.port else {
            return Some(service.port());
        };
        if matches!(forwarding, ForwardingMethod::Nat | ForwardingMethod::FullNat) || port == service.port() {
            return Some(port);
        }
        let text = format!("port {port} differs from the port of virtual server {}", frame.label);
        let found = Diagnostic::warning("port-mismatch", text).at(server.span);
        self.report(found.help(format!("DR and TUN keep the port: {} is used", service.port())));
        Some(service.port())
    }

    /// Only translation gives the server of a mark a port of its own.
    fn fwmark_port(&mut self, frame: &Frame, server: &RealServerDraft, forwarding: ForwardingMethod) -> u16 {
        if !frame.fwmark || matches!(forwarding, ForwardingMethod::Nat | ForwardingMethod::FullNat) {
            return server.port.unwrap_or(0);
        }
        if server.port.is_some_and(|p| p != 0) {
            let text = format!("virtual server {} serves a mark: the port of the server has no meaning", frame.label);
            let found = Diagnostic::warning("fwmark-port", text).at(server.span);
            self.report(found.help("only NAT changes ports; it is ignored"));
        }
        0
    }

    fn quorum(&mut self, frame: &Frame, span: Span, draft: &VirtualServerDraft, servers: &[RealServer]) -> (u32, u32) {
        let total: i64 = servers.iter().map(|s| i64::from(s.weight)).sum();
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        let mut quorum = draft.quorum.unwrap_or(1);
        if quorum > total {
            let text = format!("quorum {quorum} of {} is more than all weights, {total}", frame.label);
            let found = Diagnostic::warning("large-quorum", text).at(span);
            let help = match total {
                0 => "no server gets connections; give one a `weight` above 0".to_owned(),
                _ => format!("quorum {total} is used"),
            };
            self.report(found.help(help));
            quorum = total.max(1);
        }
        if draft.hysteresis > 0 && draft.hysteresis >= quorum {
            let text = format!("hysteresis {} of {} is not below the quorum {quorum}", draft.hysteresis, frame.label);
            self.report(Diagnostic::error("large-hysteresis", text).at(span).help("0 is used"));
            return (quorum, 0);
        }
        (quorum, draft.hysteresis)
    }

    /// Services beside each other.
    pub(super) fn check_services(&mut self) {
        self.check_twins();
        self.check_server_groups();
        self.check_trackers_of_servers();
        self.check_owners();
    }

    /// keepalived is silent about groups that do not exist.
    fn check_server_groups(&mut self) {
        for server in &self.config.virtual_servers {
            let VirtualTarget::Group(name) = &server.target else {
                continue;
            };
            if self.named.index(Kind::ServerGroup, name).is_none() {
                let names = self.config.virtual_server_groups.iter().map(|group| group.name.as_str());
                let near = self.nearest_name(name, names);
                let text = format!("there is no virtual_server_group `{name}`");
                let found = Diagnostic::trap("unknown-group", text).at(server.span);
                self.diagnostics
                    .push(found.help("this virtual server has no address and serves nothing").suggest(near));
            }
        }
    }

    fn check_twins(&mut self) {
        let mut services: Vec<_> = self.config.virtual_servers.iter().collect();
        // Stable: of services with one target, the first in the file stays the first.
        services.sort_by(|a, b| (&a.target, a.protocol).cmp(&(&b.target, b.protocol)));
        let pairs = services.iter().zip(services.iter().skip(1));
        for (first, second) in pairs.filter(|(a, b)| a.target == b.target && a.protocol == b.protocol) {
            let text = format!("virtual server {} is given twice", Label(second.target.clone(), second.protocol));
            let found = Diagnostic::trap("duplicate-service", text).at(second.span);
            self.diagnostics.push(found.related(first.span, "the first one"));
        }
    }

    /// Checkers by name need something of that name, wherever it stands.
    fn check_trackers_of_servers(&mut self) {
        let named = &self.named;
        let mut found = Vec::new();
        for server in self.config.virtual_servers.iter_mut().flat_map(|service| &mut service.real_servers) {
            server.checkers.retain(|checker| {
                let (kind, what, name) = match &checker.kind {
                    CheckerKind::File(tracked) => (Kind::TrackFile, "track_file", &tracked.name),
                    CheckerKind::Bfd(name) => (Kind::Bfd, "bfd_instance", name),
                    _ => return true,
                };
                let known = named.index(kind, name).is_some();
                if !known {
                    let text = format!("there is no {what} `{name}` for this checker");
                    found.push(Diagnostic::error("unknown-tracker", text).at(checker.span));
                }
                known
            });
        }
        found.into_iter().for_each(|d| self.report(d.help("the checker is ignored: the server counts as healthy")));
    }

    /// Where instances own addresses, those of the services should be among them.
    fn check_owners(&mut self) {
        let addresses = |i: &crate::model::VrrpInstance| {
            i.addresses.iter().chain(&i.excluded_addresses).map(|a| a.address).collect::<Vec<_>>()
        };
        let owned: std::collections::HashSet<_> = self.config.instances.iter().flat_map(addresses).collect();
        if owned.is_empty() {
            return;
        }
        for server in &self.config.virtual_servers {
            let VirtualTarget::Address(address) = server.target else {
                continue;
            };
            if !owned.contains(&address.ip()) {
                let text = format!("no vrrp_instance owns {}, the address of this virtual server", address.ip());
                let found = Diagnostic::trap("service-without-owner", text).at(server.span);
                self.diagnostics.push(found.help("clients reach it only if something else brings the address here"));
            }
        }
    }
}

/// The service as its keywords said it; what several of them decide together is filled in by the caller.
fn assemble(frame: Frame, span: Span, draft: VirtualServerDraft, real_servers: Vec<RealServer>) -> VirtualServer {
    // Marks and groups have no address of their own: their servers tell the family.
    let family = frame.address.or(real_servers.first().map(|server| server.address));
    let full = if family.is_some_and(|a| a.is_ipv6()) { 128 } else { 32 };
    let port = frame.address.map_or(0, |a| a.port());
    VirtualServer {
        target: frame.label.0,
        protocol: frame.label.1,
        scheduler: String::new(),
        persistence_timeout: None,
        one_packet: false,
        quorum: 1,
        hysteresis: 0,
        smtp_alert: false,
        scheduler_flags: draft.flags,
        family: draft.family,
        forwarding: frame.forwarding.method,
        tunnel: frame.forwarding.tunnel,
        source_pool: draft.source_pool,
        client_address: draft.client_address,
        tunnel_mss_clamp: draft.tunnel_mss_clamp,
        persistence_engine: draft.persistence_engine,
        snmp_name: draft.snmp_name,
        persistence_granularity: draft.persistence_granularity.unwrap_or(full),
        delay_loop: draft.common.delay_loop.unwrap_or(Duration::from_secs(60)),
        alpha: draft.common.alpha.unwrap_or(false),
        omega: draft.omega,
        quorum_up: draft.quorum_up,
        quorum_down: draft.quorum_down,
        ha_suspend: draft.ha_suspend,
        virtualhost: draft.virtualhost,
        sorry_server: draft.sorry.map(|sorry| sorry.settle(port, frame.forwarding)),
        real_servers,
        span,
    }
}

/// Addresses of a service's servers, once there are more than a few.
#[derive(Default)]
struct Seen(std::collections::HashSet<SocketAddr>);

impl Seen {
    /// How many addresses are compared one by one.
    const FEW: usize = 16;

    /// False when the address is that of one of the servers before it.
    fn insert(&mut self, address: SocketAddr, before: &[RealServer]) -> bool {
        if before.len() < Self::FEW {
            return before.iter().all(|server| server.address != address);
        }
        if self.0.is_empty() {
            self.0.extend(before.iter().map(|server| server.address));
        }
        self.0.insert(address)
    }
}

/// keepalived's name of a service, written only where somebody reads it.
struct Label(VirtualTarget, Protocol);

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let protocol = match self.1 {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        match &self.0 {
            VirtualTarget::Address(address) => write!(f, "[{}]:{protocol}:{}", address.ip(), address.port()),
            VirtualTarget::Fwmark(mark) => write!(f, "FWM {mark}"),
            VirtualTarget::Group(name) => write!(f, "[{name}]"),
        }
    }
}
