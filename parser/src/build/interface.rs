//! Interfaces, routes and sockets of an instance.

use super::item::Argument;
use super::words::Words;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{ExtraGarp, Ipvlan, IpvlanMode, Route, Rule, Script, Vmac, VmacAddress};
use crate::names::NameTable;
use crate::span::Span;
use crate::table::Range;
use crate::value::address_and_prefix;
use std::net::IpAddr;
use std::time::Duration;

/// Names of interfaces have 16 bytes with the final zero.
const LONGEST_NAME: usize = 15;

/// What the keywords of an instance said about its interfaces.
#[derive(Debug, Default)]
pub(super) struct NetworkDraft {
    pub(super) vmac: Option<Vmac>,
    pub(super) vmac_addresses: bool,
    pub(super) vmac_xmit_base: Option<Span>,
    pub(super) ipvlan: Option<Ipvlan>,
    pub(super) ipvlan_span: Option<Span>,
    pub(super) vrf: Option<(String, Span)>,
    pub(super) routes: Vec<Route>,
    pub(super) rules: Vec<Rule>,
    pub(super) promote_secondaries: bool,
    pub(super) multicast_group: Option<(IpAddr, Span)>,
    pub(super) track_source: bool,
    pub(super) unicast_fault_no_peer: bool,
    pub(super) v3_checksum_as_v2: Option<bool>,
    pub(super) owner_ignore_adverts: Option<bool>,
    pub(super) no_virtual_ipaddress: bool,
    pub(super) native_ipv6: bool,
    pub(super) kernel_rx_buf_size: Option<u32>,
    pub(super) extra_garp: Option<ExtraGarp>,
    pub(super) linkbeat_use_polling: bool,
    pub(super) dual_stack: bool,
    pub(super) split_brain_notify: Option<Script>,
    pub(super) split_brain_heal: bool,
}

impl<'t> Builder<'t> {
    pub(super) fn network_keyword(&mut self, draft: &mut NetworkDraft, item: &Item<'t>) -> bool {
        match item.name() {
            "use_vmac" => self.use_vmac(draft, item),
            "use_ipvlan" => self.use_ipvlan(draft, item),
            "vrf" => draft.vrf = item.text_value().map(|name| (name, item.span())),
            "vmac_xmit_base" => draft.vmac_xmit_base = Some(item.span()),
            "virtual_routes" => draft.routes.append(&mut self.routes(item, false)),
            "virtual_rules" => draft.rules.append(&mut self.rules(item, false)),
            "mcast_dst_ip" => self.multicast_destination(draft, item),
            "garp_extra_if" | "vmac_garp_intvl" => draft.extra_garp = self.extra_garp(item).or(draft.extra_garp),
            "v3_checksum_as_v2" => draft.v3_checksum_as_v2 = Some(item.switch()),
            "owner_ignore_adverts" => draft.owner_ignore_adverts = Some(item.switch()),
            "kernel_rx_buf_size" => draft.kernel_rx_buf_size = item.unsigned().or(draft.kernel_rx_buf_size),
            "split_brain_notify" => self.set_script(&mut draft.split_brain_notify, item),
            "split_brain_heal" => draft.split_brain_heal = item.switch(),
            name => return draft.flag(name),
        }
        true
    }

    fn use_vmac(&mut self, draft: &mut NetworkDraft, item: &Item<'t>) {
        let mut vmac = draft.vmac.take().unwrap_or_default();
        let arguments = item.arguments();
        let mut words = Words::new(&arguments);
        while let Some(word) = words.as_mut().and_then(Words::next) {
            let Some(words) = words.as_mut() else { break };
            match word.text {
                "netlink_notify_msg" => vmac.netlink_notify = true,
                "group" => vmac.group = self.named(words, NameTable::Group).ok().or(vmac.group),
                "name" => {
                    if let Ok(value) = self.value(words) {
                        self.interface_name(&mut vmac.name, value);
                    }
                }
                text if text.contains(':') => vmac.mac = self.vmac_address(word).unwrap_or(vmac.mac),
                _ => self.interface_name(&mut vmac.name, word),
            }
        }
        draft.vmac = Some(vmac);
    }

    fn interface_name(&mut self, slot: &mut Option<String>, word: Argument<'t>) {
        let problem = if slot.is_some() {
            "the interface has a name already"
        } else if word.text.len() > LONGEST_NAME || word.text.contains(['/', ':']) || matches!(word.text, "." | "..") {
            "an interface name has up to 15 characters, and neither `/` nor `:`"
        } else if !self.interface_names.insert(word.text) {
            "another instance uses this interface name"
        } else {
            *slot = Some(word.text.to_owned());
            return;
        };
        let found = Diagnostic::error("interface-name", problem).at(word.span);
        self.report(found.help(format!("`{}` is ignored", word.text)));
    }

    fn vmac_address(&mut self, word: Argument<'t>) -> Option<VmacAddress> {
        let address = mac(word.text);
        let problem = match address {
            None => "this is no MAC address",
            Some(VmacAddress::Full([first, ..]) | VmacAddress::Prefix([first, ..])) if first & 1 == 1 => {
                "this MAC address is a group's"
            }
            Some(VmacAddress::Full([0, 0, 0x5e, 0, 1 | 2, _]) | VmacAddress::Prefix([0, 0, 0x5e, 0, 1 | 2])) => {
                "addresses of this form are made by VRRP itself"
            }
            found => return found,
        };
        let found = Diagnostic::error("invalid-mac", problem).at(word.span);
        self.report(found.help("six octets, or five and the virtual_router_id follows; it is ignored"));
        None
    }

    fn use_ipvlan(&mut self, draft: &mut NetworkDraft, item: &Item<'t>) {
        if draft.ipvlan.is_some() {
            let found = Diagnostic::error("duplicate-ipvlan", "`use_ipvlan` is given already").at(item.span());
            return self.report(found.help("the line is ignored"));
        }
        let mut ipvlan = Ipvlan::default();
        let mut mode = None;
        let arguments = item.arguments();
        let mut words = Words::new(&arguments);
        while let Some(word) = words.as_mut().and_then(Words::next) {
            let Some(words) = words.as_mut() else { break };
            match word.text {
                "bridge" | "private" | "vepa" => self.ipvlan_mode(&mut mode, word),
                "group" => ipvlan.group = self.named(words, NameTable::Group).ok().or(ipvlan.group),
                "name" => {
                    if let Ok(value) = self.value(words) {
                        self.interface_name(&mut ipvlan.name, value);
                    }
                }
                text if address_and_prefix(text).0.is_some() => self.ipvlan_address(&mut ipvlan, word),
                _ => self.interface_name(&mut ipvlan.name, word),
            }
        }
        ipvlan.mode = mode.unwrap_or_default();
        draft.ipvlan = Some(ipvlan);
        draft.ipvlan_span = Some(item.span());
    }

    fn ipvlan_mode(&mut self, mode: &mut Option<IpvlanMode>, word: Argument<'t>) {
        if mode.is_some() {
            let found = Diagnostic::error("duplicate-mode", "the interface has a mode already").at(word.span);
            return self.report(found.help(format!("`{}` is ignored", word.text)));
        }
        *mode = Some(match word.text {
            "private" => IpvlanMode::Private,
            "vepa" => IpvlanMode::Vepa,
            _ => IpvlanMode::Bridge,
        });
    }

    fn ipvlan_address(&mut self, ipvlan: &mut Ipvlan, word: Argument<'t>) {
        if ipvlan.address.is_some() {
            let found = Diagnostic::error("duplicate-address", "the interface has an address already").at(word.span);
            return self.report(found.help(format!("`{}` is ignored", word.text)));
        }
        ipvlan.address = self.prefixed_address(word);
    }

    fn multicast_destination(&mut self, draft: &mut NetworkDraft, item: &Item<'t>) {
        match item.address() {
            Some(group) if group.is_multicast() => draft.multicast_group = Some((group, item.argument_span())),
            Some(group) => {
                let text = format!("{group} is no multicast address");
                let found = Diagnostic::error("invalid-address", text).at(item.argument_span());
                self.report(found.help("the line is ignored"));
            }
            None => {}
        }
    }

    /// `[all] SECONDS`, where 0 turns it off; `None` when it is reported.
    pub(super) fn extra_garp(&mut self, item: &Item<'t>) -> Option<ExtraGarp> {
        let (mut all, mut interval) = (false, None);
        for word in &item.arguments() {
            if word.text == "all" {
                all = true;
                continue;
            }
            let range = Range { min: 1, max: 86_400, strict: true, repair: None };
            let seconds = self.number(item.name(), *word, range, 1)?;
            interval = u64::try_from(seconds).ok().map(Duration::from_secs);
        }
        if interval.is_none() {
            let found = Diagnostic::error("missing-value", format!("`{}` needs a time", item.name()));
            self.report(found.at(item.span()).help("the line is ignored"));
        }
        interval.map(|interval| ExtraGarp { interval, all })
    }
}

impl NetworkDraft {
    fn flag(&mut self, name: &str) -> bool {
        let slot = match name {
            "use_vmac_addr" => &mut self.vmac_addresses,
            "promote_secondaries" => &mut self.promote_secondaries,
            "track_src_ip" => &mut self.track_source,
            "unicast_fault_no_peer" => &mut self.unicast_fault_no_peer,
            "no_virtual_ipaddress" => &mut self.no_virtual_ipaddress,
            "native_ipv6" => &mut self.native_ipv6,
            "dual_stack" => &mut self.dual_stack,
            "linkbeat_use_polling" => &mut self.linkbeat_use_polling,
            _ => return false,
        };
        *slot = true;
        true
    }
}

/// Six octets, or five and perhaps a colon.
fn mac(text: &str) -> Option<VmacAddress> {
    let octet = |text: &str| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(text, 16).ok())?
    };
    let octets: Option<Vec<u8>> = text.strip_suffix(':').unwrap_or(text).split(':').map(octet).collect();
    match octets?.as_slice() {
        [a, b, c, d, e] => Some(VmacAddress::Prefix([*a, *b, *c, *d, *e])),
        [a, b, c, d, e, f] if !text.ends_with(':') => Some(VmacAddress::Full([*a, *b, *c, *d, *e, *f])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_may_leave_the_last_octet_to_the_router_id() {
        assert_eq!(mac("2:0:0:0:0:1"), Some(VmacAddress::Full([2, 0, 0, 0, 0, 1])));
        assert_eq!(mac("02:00:5e:aa:bb:"), Some(VmacAddress::Prefix([2, 0, 0x5e, 0xaa, 0xbb])));
        assert_eq!(mac("02:00:5e:aa:bb"), Some(VmacAddress::Prefix([2, 0, 0x5e, 0xaa, 0xbb])));
        assert_eq!(mac("02:00:5e:aa"), None);
        assert_eq!(mac("02:00:5e:aa:bb:cc:dd"), None);
        assert_eq!(mac("02:00:5e:aa:bb:123"), None);
    }
}
