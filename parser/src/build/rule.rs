//! Lines of `virtual_rules` and `static_rules`.

use super::item::Argument;
use super::route::RTPROT_KEEPALIVED;
use super::words::{Read, Words};
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{Family, Rule, RuleAction};
use crate::names::{self, NameTable};

/// Priority of the first rule of a family that has none.
pub(super) const FIRST_PRIORITY: u32 = 16_384;

/// A rule while its line is read.
struct Draft {
    family: Option<Family>,
    priority: Option<u32>,
    action: Option<RuleAction>,
    /// What else was said. Its family, priority and action mean nothing.
    rule: Rule,
}

impl<'t> Builder<'t> {
    /// The rules of a block. Only static ones may belong to a track group.
    pub(super) fn rules(&mut self, item: &Item<'t>, grouped: bool) -> Vec<Rule> {
        let lines = self.children(item.id);
        lines.filter_map(|id| self.rule(&self.entry(id), grouped)).collect()
    }

    fn rule(&mut self, line: &[Argument<'t>], grouped: bool) -> Option<Rule> {
        let mut words = Words::new(line)?;
        let first = *line.first()?;
        let mut draft = Draft::new(first);
        while let Some(word) = words.next() {
            self.rule_word(&mut draft, word, &mut words, grouped).ok()?;
        }
        self.settle_rule(draft, first).ok()
    }

    fn rule_word(
        &mut self,
        draft: &mut Draft,
        word: Argument<'t>,
        words: &mut Words<'_, 't>,
        grouped: bool,
    ) -> Read<()> {
        let rule = &mut draft.rule;
        match word.text {
            "inet" => self.same_family(word, &mut draft.family, Family::V4)?,
            "inet6" => self.same_family(word, &mut draft.family, Family::V6)?,
            "not" => rule.invert = true,
            "from" => {
                let value = self.value(words)?;
                rule.from = self.network(value, &mut draft.family)?;
            }
            "to" => {
                let value = self.value(words)?;
                rule.to = self.network(value, &mut draft.family)?;
            }
            "dev" | "iif" => rule.input = Some(self.device_of(words, "rule")?),
            "oif" => rule.output = Some(self.device_of(words, "rule")?),
            "no_track" => rule.track = false,
            "track_group" if grouped => rule.track_group = self.track_group_name(words)?,
            "fwmark" => rule.fwmark = Some(self.mark(words)?),
            "uidrange" => rule.user_ids = Some(self.number_range(words)?),
            "sport" => rule.source_ports = Some(self.number_range(words)?),
            "dport" => rule.destination_ports = Some(self.number_range(words)?),
            _ => return self.rule_number(draft, word, words),
        }
        Ok(())
    }

    fn rule_number(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        let rule = &mut draft.rule;
        match word.text {
            "priority" | "preference" | "order" => draft.priority = Some(self.bounded(words, u32::MAX.into())?),
            "tos" | "dsfield" => rule.tos = self.named(words, NameTable::Dsfield)?,
            "realms" => {
                self.same_family(word, &mut draft.family, Family::V4)?;
                rule.realms = Some(self.realms(words)?);
            }
            "suppress_prefixlength" | "sup_pl" => {
                rule.suppress_prefix_length = Some(self.bounded(words, i32::MAX.unsigned_abs().into())?);
            }
            "suppress_ifgroup" | "sup_group" => rule.suppress_group = Some(self.named(words, NameTable::Group)?),
            "tunnel-id" => rule.tunnel_id = Some(self.bounded(words, u64::MAX)?),
            "protocol" => rule.protocol = Some(self.bounded(words, 255)?),
            "ipproto" => rule.ip_protocol = Some(self.named(words, NameTable::IpProtocol)?),
            _ => return self.rule_action(draft, word, words),
        }
        Ok(())
    }

    fn rule_action(&mut self, draft: &mut Draft, word: Argument<'t>, words: &mut Words<'_, 't>) -> Read<()> {
        let named = if word.text == "type" { self.value(words)? } else { word };
        let action = match named.text {
            "table" | "lookup" => RuleAction::Table(self.rule_table(words)?),
            "l3mdev" => RuleAction::L3mdev,
            "goto" => RuleAction::Goto(self.bounded(words, u32::MAX.into())?),
            "nop" => RuleAction::Nop,
            "blackhole" => RuleAction::Blackhole,
            "unreachable" => RuleAction::Unreachable,
            "prohibit" => RuleAction::Prohibit,
            other => return self.refuse(named, "unknown-option", format!("unknown option `{other}` of a rule")),
        };
        if draft.action.is_some() {
            let text = "a rule does one thing: table, l3mdev, goto, nop, blackhole, unreachable or prohibit";
            return self.refuse(named, "second-action", text.to_owned());
        }
        draft.action = Some(action);
        Ok(())
    }

    fn rule_table(&mut self, words: &mut Words<'_, 't>) -> Read<u32> {
        let at = words.rest_first();
        let table = self.named(words, NameTable::Table)?;
        match at {
            Some(at) if table == 0 => self.refuse(at, "out-of-range", "a rule cannot use table 0".to_owned()),
            _ => Ok(table),
        }
    }

    /// `MARK[/MASK]`.
    fn mark(&mut self, words: &mut Words<'_, 't>) -> Read<(u32, Option<u32>)> {
        let value = self.value(words)?;
        let number = |text: &str| names::number(text).and_then(|number| u32::try_from(number).ok());
        let read = match value.text.split_once('/') {
            Some((mark, mask)) => number(mark).zip(number(mask)).map(|(mark, mask)| (mark, Some(mask))),
            None => number(value.text).map(|mark| (mark, None)),
        };
        match read {
            Some(mark) => Ok(mark),
            None => self.refuse(value, "invalid-number", format!("`{}` is not a firewall mark", value.text)),
        }
    }

    /// `FIRST-LAST` or one number.
    fn number_range<N: std::str::FromStr + Copy + PartialOrd>(&mut self, words: &mut Words<'_, 't>) -> Read<(N, N)> {
        let value = self.value(words)?;
        let (first, last) = value.text.split_once('-').unwrap_or((value.text, value.text));
        match first.parse().ok().zip(last.parse().ok()) {
            Some((first, last)) if first <= last => Ok((first, last)),
            _ => self.refuse(value, "invalid-number", format!("`{}` is not a range such as 10-20", value.text)),
        }
    }

    fn settle_rule(&mut self, draft: Draft, first: Argument<'t>) -> Read<Rule> {
        let Some(action) = draft.action else {
            let text = "this rule does nothing: it has no `table`, `goto` or other action";
            return self.refuse(first, "no-action", text.to_owned());
        };
        self.check_goto(&draft, action, first)?;
        let to_table = matches!(action, RuleAction::Table(_) | RuleAction::L3mdev);
        let for_table = draft.rule.realms.is_some()
            || draft.rule.suppress_prefix_length.is_some()
            || draft.rule.suppress_group.is_some();
        if for_table && !to_table {
            return self.refuse(first, "no-table", "realms and suppressors need a `table`".to_owned());
        }
        let family = draft.family.unwrap_or(Family::V4);
        let priority = match draft.priority {
            Some(priority) => priority,
            None => self.next_priority(family, first),
        };
        let mut rule = Rule { family, priority, action, ..draft.rule };
        self.settle_tracking_of_rule(&mut rule, first);
        Ok(rule)
    }

    fn check_goto(&mut self, draft: &Draft, action: RuleAction, first: Argument<'t>) -> Read<()> {
        let RuleAction::Goto(target) = action else { return Ok(()) };
        match draft.priority {
            Some(priority) if priority < target => Ok(()),
            Some(priority) => {
                self.refuse(first, "backward-goto", format!("`goto {target}` must lead past priority {priority}"))
            }
            None => self.refuse(first, "no-priority", "a rule with `goto` needs a `priority`".to_owned()),
        }
    }

    /// Rules without a priority count down from the first one's.
    fn next_priority(&mut self, family: Family, first: Argument<'t>) -> u32 {
        let slot = &mut self.next_rule_priority[usize::from(family == Family::V6)];
        let priority = *slot;
        *slot = slot.saturating_sub(1);
        let found = Diagnostic::error("no-priority", "this rule has no `priority`").at(first.span);
        self.report(found.help(format!("{priority} is used, which is probably not what you want")));
        priority
    }

    fn settle_tracking_of_rule(&mut self, rule: &mut Rule, first: Argument<'t>) {
        if rule.track && rule.protocol.is_some_and(|protocol| protocol != RTPROT_KEEPALIVED) {
            let found = Diagnostic::error("tracked-protocol", "a tracked rule has the protocol keepalived (18)");
            self.report(found.at(first.span).help("`protocol` is ignored; say `no_track` to keep it"));
        }
        if rule.track {
            rule.protocol = Some(RTPROT_KEEPALIVED);
        }
        if rule.track_group.is_some() && rule.input.is_none() {
            let found = Diagnostic::error("untracked-rule", "`track_group` needs `iif`").at(first.span);
            self.report(found.help("`track_group` is ignored"));
            rule.track_group = None;
        }
    }
}

impl Draft {
    fn new(first: Argument<'_>) -> Self {
        Self {
            family: None,
            priority: None,
            action: None,
            rule: Rule {
                family: Family::V4,
                invert: false,
                from: None,
                to: None,
                input: None,
                output: None,
                fwmark: None,
                tos: 0,
                priority: 0,
                action: RuleAction::Nop,
                realms: None,
                suppress_prefix_length: None,
                suppress_group: None,
                tunnel_id: None,
                user_ids: None,
                protocol: None,
                ip_protocol: None,
                source_ports: None,
                destination_ports: None,
                track: true,
                track_group: None,
                span: first.span,
            },
        }
    }
}
