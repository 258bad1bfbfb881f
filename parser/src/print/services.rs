use super::Printer;
use super::words::{script, word};
use crate::model::{
    ClientAddress, Family, ForwardingMethod, GroupEntry, PassiveHealth, Protocol, RealServer, SchedulerFlags,
    SorryServer, Tunnel, TunnelChecksum, TunnelKind, VirtualServer, VirtualServerGroup, VirtualTarget,
};

impl Printer {
    pub(super) fn virtual_server_group(&mut self, group: &VirtualServerGroup) {
        let line = |entry: &GroupEntry| match entry {
            GroupEntry::Addresses { first, last, port } if first == last => format!("{first} {port}"),
            GroupEntry::Addresses { first, last, port } => format!("{first}-{last} {port}"),
            GroupEntry::Fwmark(mark) => format!("fwmark {mark}"),
        };
        let lines: Vec<String> = group.entries.iter().map(line).collect();
        self.block(&format!("virtual_server_group {}", word(&group.name)), |p| lines.iter().for_each(|l| p.line(l)));
    }

    pub(super) fn virtual_server(&mut self, server: &VirtualServer) {
        let target = match &server.target {
            VirtualTarget::Address(address) => format!("{} {}", address.ip(), address.port()),
            VirtualTarget::Fwmark(mark) => format!("fwmark {mark}"),
            VirtualTarget::Group(name) => format!("group {}", word(name)),
        };
        self.block(&format!("virtual_server {target}"), |p| {
            p.seconds("delay_loop", server.delay_loop);
            p.value("lb_algo", &server.scheduler);
            p.scheduler_flags(server.scheduler_flags);
            p.optional("ip_family", server.family.map(|f| if f == Family::V4 { "inet" } else { "inet6" }));
            p.value("lb_kind", forwarding(server.forwarding, server.tunnel));
            p.full_nat(server);
            p.flag("tun_mss_clamp", server.tunnel_mss_clamp);
            p.text("persistence_engine", server.persistence_engine.as_deref());
            p.text("snmp_name", server.snmp_name.as_deref());
            p.value("protocol", protocol(server.protocol));
            p.persistence(server);
            p.flag("ops", server.one_packet);
            p.flag("alpha", server.alpha);
            p.flag("omega", server.omega);
            p.quorum(server);
            p.flag("ha_suspend", server.ha_suspend);
            p.text("virtualhost", server.virtualhost.as_deref());
            p.switch("smtp_alert", server.smtp_alert);
            if let Some(sorry) = &server.sorry_server {
                p.sorry_server(sorry);
            }
            server.real_servers.iter().for_each(|r| p.real_server(r));
        });
    }

    fn scheduler_flags(&mut self, flags: SchedulerFlags) {
        self.flag("flag-1", flags.first);
        self.flag("flag-2", flags.second);
        self.flag("flag-3", flags.third);
    }

    fn full_nat(&mut self, server: &VirtualServer) {
        for (first, last) in &server.source_pool {
            self.value("source_pool", format!("{first}-{last}"));
        }
        let told = match server.client_address {
            ClientAddress::Hidden => return,
            ClientAddress::TcpOption => "toa",
            ClientAddress::ProxyProtocol => "proxy",
            ClientAddress::ProxyText => "proxy_v1",
        };
        self.value("client_address", told);
    }

    fn easing(&mut self, server: &RealServer) {
        self.optional("slow_start", server.slow_start.map(super::seconds));
        self.optional("drain_timeout", server.drain_timeout.map(super::seconds));
        let words = |p: PassiveHealth| {
            let (window, suspend) = (p.window.as_secs(), p.suspend.as_secs());
            format!("failures {} window {window} suspend {suspend}", p.failures)
        };
        self.optional("passive_health", server.passive_health.map(words));
    }

    fn persistence(&mut self, server: &VirtualServer) {
        let Some(timeout) = server.persistence_timeout else {
            return;
        };
        self.seconds("persistence_timeout", timeout);
        let prefix = server.persistence_granularity;
        let v6 = matches!(server.target, VirtualTarget::Address(a) if a.is_ipv6());
        if v6 || prefix > 32 {
            self.value("persistence_granularity", prefix);
        } else {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            self.value("persistence_granularity", std::net::Ipv4Addr::from(mask));
        }
    }

    fn quorum(&mut self, server: &VirtualServer) {
        self.value("quorum", server.quorum);
        self.value("hysteresis", server.hysteresis);
        self.optional("quorum_up", server.quorum_up.as_deref().map(script));
        self.optional("quorum_down", server.quorum_down.as_deref().map(script));
    }

    fn sorry_server(&mut self, sorry: &SorryServer) {
        self.value("sorry_server", format!("{} {}", sorry.address.ip(), sorry.address.port()));
        self.value("sorry_server_lvs_method", forwarding(sorry.forwarding, sorry.tunnel));
        self.flag("sorry_server_inhibit", sorry.inhibit);
    }

    fn real_server(&mut self, server: &RealServer) {
        let head = format!("real_server {} {}", server.address.ip(), server.address.port());
        self.block(&head, |p| {
            p.value("weight", server.weight);
            p.value("lvs_method", forwarding(server.forwarding, server.tunnel));
            p.text("snmp_name", server.snmp_name.as_deref());
            p.easing(server);
            p.switch("inhibit_on_failure", server.inhibit_on_failure);
            p.value("uthreshold", server.upper_threshold);
            p.value("lthreshold", server.lower_threshold);
            p.switch("alpha", server.alpha);
            p.optional("notify_up", server.notify_up.as_deref().map(script));
            p.optional("notify_down", server.notify_down.as_deref().map(script));
            p.text("virtualhost", server.virtualhost.as_deref());
            p.switch("smtp_alert", server.smtp_alert);
            server.checkers.iter().for_each(|c| p.checker(c));
        });
    }
}

fn forwarding(given: ForwardingMethod, tunnel: Tunnel) -> String {
    let kind = match tunnel.kind {
        TunnelKind::Ipip => String::new(),
        TunnelKind::Gre => " type gre".to_owned(),
        TunnelKind::Gue { port } => format!(" type gue port {port}"),
    };
    let checksum = match tunnel.checksum {
        TunnelChecksum::None => "",
        TunnelChecksum::Full => " csum",
        TunnelChecksum::Remote => " remcsum",
    };
    format!("{}{kind}{checksum}", method(given))
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "NAT",
        ForwardingMethod::Dr => "DR",
        ForwardingMethod::Tun => "TUN",
        ForwardingMethod::FullNat => "FULLNAT",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}
