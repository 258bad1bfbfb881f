//! Lines of `virtual_routes` and `static_routes`.

use super::item::Argument;
use super::words::{Read, Words};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{CongestionControl, Family, MetricKind, Nexthop, Route, RouteKind, RouteMetric, RoutePlacement};
use crate::names::NameTable;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// keepalived's number among the routing protocols.
pub(super) const RTPROT_KEEPALIVED: u8 = 18;
/// The table `main`.
const MAIN: u32 = 254;
/// Shortest and longest times for `rtt` and its like, in milliseconds.
const RTT_RANGE: (u64, u64) = (200, 120_000);

/// A route while its line is read.
struct Draft {
    family: Option<Family>,
    /// `Some(None)` is `default`.
    destination: Option<Option<IpNet>>,
    kind: RouteKind,
    placement: RoutePlacement,
    /// What else was said. Its family, destination, kind and placement mean nothing.
    route: Route,
}

/// How the value of a metric is written.
#[derive(Clone, Copy)]
enum Unit {
    Count,
    Byte,
    Bool,
    /// Milliseconds or, with a unit, seconds; the kernel counts in parts of a millisecond.
    Time(u64),
}

/// Name, number, whether `lock` may stand before the value, and unit.
const METRICS: [(&str, MetricKind, bool, Unit); 14] = [
    ("mtu", MetricKind::Mtu, true, Unit::Count),
    ("hoplimit", MetricKind::HopLimit, false, Unit::Byte),
    ("advmss", MetricKind::AdvertisedMss, true, Unit::Count),
    ("rtt", MetricKind::Rtt, true, Unit::Time(8)),
    ("rttvar", MetricKind::RttVar, true, Unit::Time(4)),
    ("reordering", MetricKind::Reordering, true, Unit::Count),
    ("window", MetricKind::Window, false, Unit::Count),
    ("cwnd", MetricKind::CongestionWindow, true, Unit::Count),
    ("ssthresh", MetricKind::SlowStartThreshold, true, Unit::Count),
    ("rto_min", MetricKind::MinimumRto, true, Unit::Time(1)),
    ("initcwnd", MetricKind::InitialCongestionWindow, false, Unit::Count),
    ("initrwnd", MetricKind::InitialReceiveWindow, false, Unit::Count),
    ("quickack", MetricKind::QuickAck, false, Unit::Bool),
    ("fastopen_no_cookie", MetricKind::FastOpenNoCookie, false, Unit::Bool),
];

impl<'t> Builder<'t> {
    /// The routes of a block. Only static ones may belong to a track group.
    pub(super) fn routes(&mut self, item: &Item<'t>, grouped: bool) -> Vec<Route> {
        let lines = self.children(item.id);
        lines.filter_map(|id| self.route(&self.entry(id), grouped)).collect()
    }

    fn route(&mut self, line: &[Argument<'t>], grouped: bool) -> Option<Route> {
        let mut words = Words::new(line)?;
        let first = *line.first()?;
        let mut draft = Draft::new(first);
        while let Some(word) = words.next() {
            if word.text == "nexthop" {
                self.nexthops(&mut draft, word, &mut words).ok()?;
                break;
            }
            self.route_word(&mut draft, word, &mut words, grouped).ok()?;
        }
        self.settle_route(draft, first)
    }

    fn route_word(
        &mut self,
        draft: &mut Draft,
        word: Argument<'t>,
        words: &mut Words<'_, 't>,
        grouped: bool,
    ) -> Read<()> {
        if let Some(metric) = METRICS.iter().find(|(name, ..)| *name == word.text) {
            return self.metric(draft, metric, words);
        }
        let route = &mut draft.route;
        match word.text {
            "inet" => self.same_family(word, &mut draft.family, Family::V4)?,
            "inet6" => self.same_family(word, &mut draft.family, Family::V6)?,
            "src" => route.source = Some(self.address_of(words, &mut draft.family)?),
            "via" | "gw" => self.via(draft, word, words)?,
            "or" => self.or(draft, word, words)?,
            "from" => self.route_from(draft, words)?,
            "dev" | "oif" => route.dev = Some(self.device_of(words, "route")?),
            "vrf" => route.vrf = Some(self.text_of(words)?),
            "onlink" => route.onlink = true,
            "no_track" => route.track = false,
            "track_group" if grouped => route.track_group = self.track_group_name(words)?,
            "add" => draft.placement = RoutePlacement::Add,
            "append" => draft.placement = RoutePlacement::Append,
            "prepend" => draft.placement = RoutePlacement::Prepend,
            _ => return self.route_number(draft, word, words),
        }
        Ok(())
    }

    fn route_number(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        let route = &mut draft.route;
        match word.text {
            "tos" | "dsfield" => route.tos = self.named(words, NameTable::Dsfield)?,
            "table" => route.table = self.named(words, NameTable::Table)?,
            "protocol" => route.protocol = Some(self.named(words, NameTable::Protocol)?),
            "scope" => route.scope = Some(self.named(words, NameTable::Scope)?),
            "metric" | "priority" | "preference" => route.metric = Some(self.bounded(words, u32::MAX.into())?),
            "realms" => {
                self.same_family(word, &mut draft.family, Family::V4)?;
                route.realms = Some(self.realms(words)?);
            }
            "expires" => {
                self.same_family(word, &mut draft.family, Family::V6)?;
                route.expires = Some(self.bounded(words, u32::MAX.into())?);
            }
            "pref" => self.route_preference(draft, word, words)?,
            "features" => self.features(draft, words)?,
            "congctl" => {
                let lock = words.take("lock");
                route.congestion_control = Some(CongestionControl { name: self.text_of(words)?, lock });
            }
            "ttl-propagate" => route.ttl_propagate = self.ttl_propagate(words)?,
            "encap" => route.encap = Some(self.encap(words)?),
            "as" => return self.refuse(word, "unsupported", "`as` needs MPLS, which is not supported".to_owned()),
            _ => return self.destination(draft, word, words),
        }
        Ok(())
    }

    /// `[to] [KIND] NETWORK`.
    fn destination(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        let mut word = if word.text == "to" { self.value(words)? } else { word };
        if let Some(kind) = kind_of(word.text) {
            draft.kind = kind;
            word = self.value(words)?;
        }
        draft.destination = Some(self.network(word, &mut draft.family)?);
        Ok(())
    }

    fn via(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        if word.text == "gw" {
            let found = Diagnostic::deprecated("deprecated", "`gw` is deprecated in routes").at(word.span);
            self.report(found.help("use `via`"));
        }
        if words.take("inet6") {
            self.same_family(word, &mut draft.family, Family::V6)?;
        } else if words.take("inet") {
            self.same_family(word, &mut draft.family, Family::V4)?;
        }
        draft.route.via = Some(self.address_of(words, &mut draft.family)?);
        Ok(())
    }

    /// `via A or B`: the old way to write two next hops.
    fn or(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        let found = Diagnostic::deprecated("deprecated", "`or` is deprecated in routes").at(word.span);
        self.report(found.help("write `nexthop via A nexthop via B`"));
        let second = self.address_of(words, &mut draft.family)?;
        let ways = [draft.route.via.take(), Some(second)];
        draft.route.nexthops.extend(ways.map(|via| Nexthop { via, ..Nexthop::default() }));
        Ok(())
    }

    fn route_from(&mut self, draft: &mut Draft, words: &mut Words<'_, 't>) -> Read<()> {
        let value = self.value(words)?;
        self.same_family(value, &mut draft.family, Family::V6)?;
        draft.route.from = self.network(value, &mut draft.family)?;
        Ok(())
    }

    fn route_preference(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        self.same_family(word, &mut draft.family, Family::V6)?;
        draft.route.preference = Some(match words.peek() {
            Some("low") => 3,
            Some("medium") => 0,
            Some("high") => 1,
            _ => {
                draft.route.preference = Some(self.bounded(words, 255)?);
                return Ok(());
            }
        });
        words.next();
        Ok(())
    }

    fn features(&mut self, draft: &mut Draft, words: &mut Words<'_, 't>) -> Read<()> {
        let value = self.value(words)?;
        if value.text == "ecn" {
            draft.set(RouteMetric { kind: MetricKind::Features, value: 1, lock: false });
            return Ok(());
        }
        let text = format!("unknown feature `{}` of a route", value.text);
        self.report(Diagnostic::error("unknown-option", text).at(value.span).help("`ecn` exists; it is ignored"));
        Ok(())
    }

    fn ttl_propagate(&mut self, words: &mut Words<'_, 't>) -> Read<Option<bool>> {
        let value = self.value(words)?;
        match value.text {
            "enabled" => Ok(Some(true)),
            "disabled" => Ok(Some(false)),
            other => {
                let text = format!("`ttl-propagate` is enabled or disabled, not `{other}`");
                self.refuse(value, "unknown-option", text)
            }
        }
    }

    fn metric(
        &mut self,
        draft: &mut Draft,
        (_, kind, lockable, unit): &(&str, MetricKind, bool, Unit),
        words: &mut Words<'_, 't>,
    ) -> Read<()> {
        let lock = *lockable && words.take("lock");
        let value = match unit {
            Unit::Count => self.bounded(words, u32::MAX.into())?,
            Unit::Byte => self.bounded(words, 255)?,
            Unit::Bool => self.bounded(words, 1)?,
            Unit::Time(parts) => self.round_trip(words, *parts)?,
        };
        draft.set(RouteMetric { kind: *kind, value, lock });
        Ok(())
    }

    /// A time: a bare number is in the kernel's unit, `ms` and `s` are converted; kept within what TCP accepts.
    fn round_trip(&mut self, words: &mut Words<'_, 't>, parts: u64) -> Read<u32> {
        let value = self.value(words)?;
        let lower = value.text.to_ascii_lowercase();
        let stem = ["secs", "sec", "s"].iter().find_map(|unit| lower.strip_suffix(unit));
        let (digits, places, factor) = match stem {
            None => (lower.as_str(), 0, 1),
            Some(stem) => stem.strip_suffix('m').map_or((stem, 3, parts), |digits| (digits, 0, parts)),
        };
        let number = crate::value::decimal(digits, places).filter(|n| n.rest.is_empty() && !digits.starts_with('-'));
        let Some(number) = number.and_then(|n| u64::try_from(n.value).ok()) else {
            return self.refuse(value, "invalid-number", format!("`{}` is not a time", value.text));
        };
        let (low, high) = (RTT_RANGE.0 * parts, RTT_RANGE.1 * parts);
        Ok(u32::try_from(number.saturating_mul(factor).clamp(low, high)).unwrap_or(u32::MAX))
    }

    fn nexthops(&mut self, draft: &mut Draft, first: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        if !draft.route.nexthops.is_empty() {
            let text = "next hops cannot be added to a route with `or`";
            self.report(Diagnostic::error("mixed-nexthops", text).at(first.span).help("they are ignored"));
            return Ok(());
        }
        let mut hop = Nexthop::default();
        while let Some(word) = words.next() {
            match word.text {
                "nexthop" => draft.route.nexthops.push(std::mem::take(&mut hop)),
                "via" => {
                    let _ = words.take("inet") || words.take("inet6");
                    hop.via = Some(self.address_of(words, &mut draft.family)?);
                }
                "dev" => hop.dev = Some(self.device_of(words, "route")?),
                "weight" => hop.weight = Some(self.hop_weight(words)?),
                "onlink" => hop.onlink = true,
                "encap" => hop.encap = Some(self.encap(words)?),
                "realms" => {
                    self.same_family(word, &mut draft.family, Family::V4)?;
                    hop.realms = Some(self.realms(words)?);
                }
                other => {
                    let text = format!("`{other}` does not belong behind a `nexthop`");
                    return self.refuse(word, "unknown-option", text);
                }
            }
        }
        draft.route.nexthops.push(hop);
        Ok(())
    }

    fn hop_weight(&mut self, words: &mut Words<'_, 't>) -> Read<u16> {
        let at = words.rest_first();
        match self.bounded(words, 256)? {
            0 => match at {
                Some(at) => self.refuse(at, "out-of-range", "the weight of a next hop is 1 to 256".to_owned()),
                None => Ok(1),
            },
            weight => Ok(weight),
        }
    }

    fn settle_route(&mut self, draft: Draft, first: Argument<'t>) -> Option<Route> {
        let Some(destination) = draft.destination else {
            return self.refuse(first, "no-destination", "this route has no destination".to_owned()).ok();
        };
        let family = draft.family.unwrap_or(Family::V4);
        let everything = match family {
            Family::V4 => IpNet::V4(Ipv4Net::default()),
            Family::V6 => IpNet::V6(Ipv6Net::default()),
        };
        let mut route = Route {
            family,
            kind: draft.kind,
            placement: draft.placement,
            destination: destination.unwrap_or(everything),
            ..draft.route
        };
        self.settle_tracking_of_route(&mut route, first);
        Some(route)
    }

    fn settle_tracking_of_route(&mut self, route: &mut Route, first: Argument<'t>) {
        if route.track && route.protocol.is_some_and(|protocol| protocol != RTPROT_KEEPALIVED) {
            let text = "a tracked route has the protocol keepalived";
            let found = Diagnostic::error("tracked-protocol", text).at(first.span);
            self.report(found.help("`protocol` is ignored; say `no_track` to keep it"));
        }
        if route.track || route.protocol.is_none() {
            route.protocol = Some(RTPROT_KEEPALIVED);
        }
        if route.track && route.dev.is_none() {
            let found = Diagnostic::error("untracked-route", "a route without `dev` cannot be tracked").at(first.span);
            self.report(found.help("its loss will not be noticed; say `no_track` if that is meant"));
            route.track = false;
        }
        if route.track_group.is_some() && route.dev.is_none() {
            let found = Diagnostic::error("untracked-route", "`track_group` needs `dev`").at(first.span);
            self.report(found.help("`track_group` is ignored"));
            route.track_group = None;
        }
    }
}

impl Draft {
    fn new(first: Argument<'_>) -> Self {
        Self {
            family: None,
            destination: None,
            kind: RouteKind::default(),
            placement: RoutePlacement::default(),
            route: Route {
                family: Family::V4,
                kind: RouteKind::default(),
                destination: IpNet::V4(Ipv4Net::default()),
                from: None,
                source: None,
                encap: None,
                via: None,
                dev: None,
                table: MAIN,
                vrf: None,
                metric: None,
                protocol: None,
                scope: None,
                tos: 0,
                realms: None,
                onlink: false,
                expires: None,
                preference: None,
                ttl_propagate: None,
                metrics: Vec::new(),
                congestion_control: None,
                nexthops: Vec::new(),
                placement: RoutePlacement::default(),
                track: true,
                track_group: None,
                span: first.span,
            },
        }
    }

    /// The last value of a metric counts.
    fn set(&mut self, metric: RouteMetric) {
        self.route.metrics.retain(|known| known.kind != metric.kind);
        self.route.metrics.push(metric);
    }
}

fn kind_of(word: &str) -> Option<RouteKind> {
    Some(match word {
        "unicast" => RouteKind::Unicast,
        "local" => RouteKind::Local,
        "broadcast" | "brd" => RouteKind::Broadcast,
        "anycast" => RouteKind::Anycast,
        "multicast" => RouteKind::Multicast,
        "blackhole" => RouteKind::Blackhole,
        "unreachable" => RouteKind::Unreachable,
        "prohibit" => RouteKind::Prohibit,
        "throw" => RouteKind::Throw,
        "nat" => RouteKind::Nat,
        "xresolve" => RouteKind::ExternalResolver,
        _ => return None,
    })
}
