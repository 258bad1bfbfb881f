use super::Printer;
use super::words::word;
use crate::model::{
    Family, MetricKind, Nexthop, Route, RouteEncap, RouteKind, RouteMetric, RoutePlacement, Rule, RuleAction,
    TunnelHeader,
};
use std::fmt::Display;

impl Printer {
    pub(super) fn routes(&mut self, keyword: &str, routes: &[Route]) {
        let lines: Vec<String> = routes.iter().map(route_line).collect();
        self.list(keyword, &lines);
    }

    pub(super) fn rules(&mut self, keyword: &str, rules: &[Rule]) {
        let lines: Vec<String> = rules.iter().map(rule_line).collect();
        self.list(keyword, &lines);
    }
}

/// Words of a line.
#[derive(Default)]
struct Line(String);

impl Line {
    fn flag(&mut self, text: &str, on: bool) {
        if on {
            if !self.0.is_empty() {
                self.0.push(' ');
            }
            self.0.push_str(text);
        }
    }

    fn option(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.flag(&format!("{name} {value}"), true);
        }
    }

    fn name(&mut self, name: &str, value: Option<&String>) {
        self.option(name, value.map(|value| word(value)));
    }
}

fn route_line(route: &Route) -> String {
    let mut line = Line::default();
    line.flag(route.kind.word(), route.kind != RouteKind::Unicast);
    line.flag(&route.destination.to_string(), true);
    line.option("from", route.from);
    line.option("src", route.source);
    encap(&mut line, route.encap.as_ref());
    line.option("via", route.via);
    line.name("dev", route.dev.as_ref());
    line.option("table", Some(route.table));
    line.name("vrf", route.vrf.as_ref());
    line.option("metric", route.metric);
    line.option("protocol", route.protocol);
    line.option("scope", route.scope);
    line.option("tos", Some(route.tos).filter(|tos| *tos != 0));
    line.option("realms", route.realms.map(realms));
    line.flag("onlink", route.onlink);
    line.option("expires", route.expires);
    line.option("pref", route.preference);
    line.option("ttl-propagate", route.ttl_propagate.map(|on| if on { "enabled" } else { "disabled" }));
    route.metrics.iter().for_each(|metric| line.flag(&metric_words(metric), true));
    if let Some(congestion) = &route.congestion_control {
        line.option(if congestion.lock { "congctl lock" } else { "congctl" }, Some(word(&congestion.name)));
    }
    line.flag("add", route.placement == RoutePlacement::Add);
    line.flag("append", route.placement == RoutePlacement::Append);
    line.flag("no_track", !route.track);
    line.name("track_group", route.track_group.as_ref());
    route.nexthops.iter().for_each(|hop| nexthop(&mut line, hop));
    line.0
}

fn encap(line: &mut Line, encap: Option<&RouteEncap>) {
    match encap {
        None => {}
        Some(RouteEncap::Mpls(labels)) => {
            let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
            line.option("encap mpls", Some(labels.join("/")));
        }
        Some(RouteEncap::Ip(header)) => tunnel_header(line, "encap ip", header, "tos", "ttl"),
        Some(RouteEncap::Ip6(header)) => tunnel_header(line, "encap ip6", header, "tc", "hoplimit"),
        Some(RouteEncap::Ila(locator)) => {
            let part = |shift: u32| format!("{:x}", locator >> shift & 0xffff);
            line.option("encap ila", Some([48, 32, 16, 0].map(part).join(":")));
        }
    }
}

fn tunnel_header<A: Display + Copy>(line: &mut Line, kind: &str, header: &TunnelHeader<A>, tos: &str, ttl: &str) {
    line.flag(kind, true);
    line.option("id", header.id);
    line.option("dst", header.destination);
    line.option("src", header.source);
    line.option(tos, header.tos);
    line.option(ttl, header.ttl);
    line.option("flags", header.flags);
}

fn nexthop(line: &mut Line, hop: &Nexthop) {
    line.flag("nexthop", true);
    encap(line, hop.encap.as_ref());
    line.option("via", hop.via);
    line.name("dev", hop.dev.as_ref());
    line.option("weight", hop.weight);
    line.flag("onlink", hop.onlink);
    line.option("realms", hop.realms.map(realms));
}

fn realms(realms: u32) -> String {
    format!("{}/{}", realms >> 16, realms & 0xffff)
}

fn metric_words(metric: &RouteMetric) -> String {
    let name = match metric.kind {
        MetricKind::Mtu => "mtu",
        MetricKind::Window => "window",
        MetricKind::Rtt => "rtt",
        MetricKind::RttVar => "rttvar",
        MetricKind::SlowStartThreshold => "ssthresh",
        MetricKind::CongestionWindow => "cwnd",
        MetricKind::AdvertisedMss => "advmss",
        MetricKind::Reordering => "reordering",
        MetricKind::HopLimit => "hoplimit",
        MetricKind::InitialCongestionWindow => "initcwnd",
        MetricKind::Features => return "features ecn".to_owned(),
        MetricKind::MinimumRto => "rto_min",
        MetricKind::InitialReceiveWindow => "initrwnd",
        MetricKind::QuickAck => "quickack",
        MetricKind::FastOpenNoCookie => "fastopen_no_cookie",
    };
    format!("{name}{} {}", if metric.lock { " lock" } else { "" }, metric.value)
}

fn rule_line(rule: &Rule) -> String {
    let mut line = Line::default();
    line.flag("inet6", rule.family == Family::V6 && rule.from.is_none() && rule.to.is_none());
    line.flag("not", rule.invert);
    line.option("from", rule.from);
    line.option("to", rule.to);
    line.name("iif", rule.input.as_ref());
    line.name("oif", rule.output.as_ref());
    line.option(
        "fwmark",
        rule.fwmark.map(|(mark, mask)| mask.map_or(mark.to_string(), |mask| format!("{mark}/{mask}"))),
    );
    line.option("tos", Some(rule.tos).filter(|tos| *tos != 0));
    line.option("realms", rule.realms.map(realms));
    line.option("suppress_prefixlength", rule.suppress_prefix_length);
    line.option("suppress_ifgroup", rule.suppress_group);
    line.option("tunnel-id", rule.tunnel_id);
    line.option("uidrange", rule.user_ids.map(range));
    line.option("protocol", rule.protocol);
    line.option("ipproto", rule.ip_protocol);
    line.option("sport", rule.source_ports.map(range));
    line.option("dport", rule.destination_ports.map(range));
    line.option("priority", Some(rule.priority));
    line.flag(&action(rule.action), true);
    line.flag("no_track", !rule.track);
    line.name("track_group", rule.track_group.as_ref());
    line.0
}

fn range<N: Display>((first, last): (N, N)) -> String {
    format!("{first}-{last}")
}

fn action(action: RuleAction) -> String {
    match action {
        RuleAction::Table(table) => format!("table {table}"),
        RuleAction::L3mdev => "l3mdev".to_owned(),
        RuleAction::Goto(priority) => format!("goto {priority}"),
        RuleAction::Nop => "nop".to_owned(),
        RuleAction::Blackhole => "blackhole".to_owned(),
        RuleAction::Unreachable => "unreachable".to_owned(),
        RuleAction::Prohibit => "prohibit".to_owned(),
    }
}
