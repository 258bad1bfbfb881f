//! Rules of the routing policy to set, and the netlink messages that set and remove them.

use super::kernel::{Message, family_of, request};
use super::route::realm;
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::rule::{
    RuleAction as Action, RuleAttribute, RuleFlags, RuleMessage, RulePortRange, RuleUidRange,
};
use standfast_parser::model::{Rule, RuleAction};
use standfast_parser::span::Span;
use std::fmt;

/// One rule that a virtual router sets, or that is there while the daemon runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSpec(Rule);

impl RuleSpec {
    /// The configuration's `line`; where it stands in the file makes no difference.
    #[must_use]
    pub fn from_config(line: &Rule) -> Self {
        Self(Rule { span: Span::default(), ..line.clone() })
    }

    /// Whether its loss matters.
    #[must_use]
    pub fn is_tracked(&self) -> bool {
        self.0.track
    }

    /// The interface whose packets it looks at.
    #[must_use]
    pub fn interface(&self) -> Option<&str> {
        self.0.input.as_deref()
    }

    /// `RTM_NEWRULE`, refused by the kernel with `EEXIST` if the same rule stands.
    pub(super) fn add(&self) -> Message {
        request(RouteNetlinkMessage::NewRule(self.message()), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// `RTM_DELRULE`.
    pub(super) fn delete(&self) -> Message {
        request(RouteNetlinkMessage::DelRule(self.message()), 0)
    }

    /// Whether a message of the kernel is about this rule.
    pub(super) fn is(&self, message: &RuleMessage) -> bool {
        let own = self.message();
        let same = |wanted: &RuleAttribute| {
            matches!(wanted, RuleAttribute::Protocol(_)) || message.attributes.contains(wanted)
        };
        (own.header.family, own.header.dst_len, own.header.src_len, own.header.tos, own.header.action)
            == (
                message.header.family,
                message.header.dst_len,
                message.header.src_len,
                message.header.tos,
                message.header.action,
            )
            && own.attributes.iter().all(same)
    }

    fn message(&self) -> RuleMessage {
        let rule = &self.0;
        let mut message = RuleMessage::default();
        message.header.family = family_of(rule.family);
        message.header.tos = rule.tos;
        if rule.invert {
            message.header.flags = RuleFlags::Invert;
        }
        let attributes = &mut message.attributes;
        attributes.push(RuleAttribute::Priority(rule.priority));
        if let Some(from) = rule.from.filter(|net| net.prefix_len() > 0) {
            message.header.src_len = from.prefix_len();
            attributes.push(RuleAttribute::Source(from.network()));
        }
        if let Some(to) = rule.to.filter(|net| net.prefix_len() > 0) {
            message.header.dst_len = to.prefix_len();
            attributes.push(RuleAttribute::Destination(to.network()));
        }
        message.header.action = self.action(attributes);
        if let RuleAction::Table(table) = rule.action {
            // Larger numbers go into the attribute alone (RT_TABLE_UNSPEC).
            message.header.table = u8::try_from(table).unwrap_or_default();
        }
        self.selectors(attributes);
        message
    }

    fn action(&self, attributes: &mut Vec<RuleAttribute>) -> Action {
        match self.0.action {
            RuleAction::Table(table) => {
                attributes.push(RuleAttribute::Table(table));
                Action::ToTable
            }
            RuleAction::L3mdev => {
                attributes.push(RuleAttribute::L3MDev(true));
                Action::ToTable
            }
            RuleAction::Goto(priority) => {
                attributes.push(RuleAttribute::Goto(priority));
                Action::Goto
            }
            RuleAction::Nop => Action::Nop,
            RuleAction::Blackhole => Action::Blackhole,
            RuleAction::Unreachable => Action::Unreachable,
            RuleAction::Prohibit => Action::Prohibit,
        }
    }

    fn selectors(&self, attributes: &mut Vec<RuleAttribute>) {
        let rule = &self.0;
        let ports = |(start, end): (u16, u16)| RulePortRange { start, end };
        attributes.extend(rule.input.clone().map(RuleAttribute::Iifname));
        attributes.extend(rule.output.clone().map(RuleAttribute::Oifname));
        if let Some((mark, mask)) = rule.fwmark {
            attributes.push(RuleAttribute::FwMark(mark));
            attributes.extend(mask.map(RuleAttribute::FwMask));
        }
        attributes.extend(rule.realms.map(|both| RuleAttribute::Realm(realm(both))));
        attributes.extend(rule.suppress_prefix_length.map(RuleAttribute::SuppressPrefixLen));
        attributes.extend(rule.suppress_group.map(RuleAttribute::SuppressIfGroup));
        attributes.extend(rule.tunnel_id.map(RuleAttribute::TunId));
        attributes.extend(rule.user_ids.map(|(start, end)| RuleAttribute::UidRange(RuleUidRange { start, end })));
        attributes.extend(rule.ip_protocol.map(|number| RuleAttribute::IpProtocol(i32::from(number).into())));
        attributes.extend(rule.source_ports.map(ports).map(RuleAttribute::SourcePortRange));
        attributes.extend(rule.destination_ports.map(ports).map(RuleAttribute::DestinationPortRange));
        attributes.extend(rule.protocol.map(|number| RuleAttribute::Protocol(number.into())));
    }
}

impl fmt::Display for RuleSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.0;
        match rule.from {
            Some(from) => write!(f, "from {from}")?,
            None => f.write_str("from all")?,
        }
        if let Some(to) = rule.to {
            write!(f, " to {to}")?;
        }
        if let Some(input) = &rule.input {
            write!(f, " iif {input}")?;
        }
        write!(f, " priority {}", rule.priority)?;
        match rule.action {
            RuleAction::Table(table) => write!(f, " lookup {table}"),
            _ => Ok(()),
        }
    }
}
