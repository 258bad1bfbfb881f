use super::Printer;
use super::words::{script, word};
use crate::model::{
    ForwardingMethod, GroupEntry, Protocol, RealServer, SorryServer, VirtualServer, VirtualServerGroup, VirtualTarget,
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
            p.value("lb_kind", method(server.forwarding));
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
            server.kept.iter().for_each(|s| p.statement(s));
            server.real_servers.iter().for_each(|r| p.real_server(r));
        });
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
        self.optional("quorum_up", server.quorum_up.as_ref().map(script));
        self.optional("quorum_down", server.quorum_down.as_ref().map(script));
    }

    fn sorry_server(&mut self, sorry: &SorryServer) {
        self.value("sorry_server", format!("{} {}", sorry.address.ip(), sorry.address.port()));
        self.value("sorry_server_lvs_method", method(sorry.forwarding));
        self.flag("sorry_server_inhibit", sorry.inhibit);
    }

    fn real_server(&mut self, server: &RealServer) {
        let head = format!("real_server {} {}", server.address.ip(), server.address.port());
        self.block(&head, |p| {
            p.value("weight", server.weight);
            p.value("lvs_method", method(server.forwarding));
            p.switch("inhibit_on_failure", server.inhibit_on_failure);
            p.value("uthreshold", server.upper_threshold);
            p.value("lthreshold", server.lower_threshold);
            p.switch("alpha", server.alpha);
            p.optional("notify_up", server.notify_up.as_ref().map(script));
            p.optional("notify_down", server.notify_down.as_ref().map(script));
            p.text("virtualhost", server.virtualhost.as_deref());
            p.switch("smtp_alert", server.smtp_alert);
            server.kept.iter().for_each(|s| p.statement(s));
            server.checkers.iter().for_each(|c| p.checker(c));
        });
    }
}

fn method(method: ForwardingMethod) -> &'static str {
    match method {
        ForwardingMethod::Nat => "NAT",
        ForwardingMethod::Dr => "DR",
        ForwardingMethod::Tun => "TUN",
    }
}

fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Sctp => "SCTP",
    }
}
