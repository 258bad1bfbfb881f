//! Lines of `virtual_ipaddress`.

use super::item::Argument;
use super::{Builder, Item};
use crate::Need;
use crate::diagnostic::Diagnostic;
use crate::model::{AddressOptions, VirtualAddress};
use crate::suggest::nearest;
use crate::table::{self, Range, Shape};
use crate::value::{address_and_prefix, full_prefix};
use ipnet::IpNet;
use std::net::IpAddr;

impl<'t> Builder<'t> {
    /// The addresses of a block, one on each line.
    pub(super) fn virtual_addresses(&mut self, item: &Item<'t>) -> Vec<VirtualAddress> {
        let children = self.children(item.id);
        children.filter_map(|id| self.virtual_address(&self.entry(id), false)).collect()
    }

    pub(super) fn virtual_address(&mut self, entry: &[Argument<'t>], fixed: bool) -> Option<VirtualAddress> {
        let (first, mut options) = entry.split_first()?;
        let (address, prefix_len) = self.prefixed_address(*first)?;
        let mut found = VirtualAddress {
            address,
            prefix_len,
            broadcast: None,
            dev: None,
            scope: 0,
            label: None,
            peer: None,
            options: AddressOptions::default(),
            span: first.span,
        };
        while let Some((option, rest)) = options.split_first() {
            options = self.address_option(&mut found, *option, rest, fixed);
        }
        Some(found)
    }

    /// `IP[/PREFIX]`; a bad prefix becomes the full one.
    pub(super) fn prefixed_address(&mut self, argument: Argument<'t>) -> Option<(IpAddr, u8)> {
        let (address, prefix) = address_and_prefix(argument.text);
        let Some(address) = address else {
            let text = format!("`{}` is not an IP address", argument.text);
            let mut found = Diagnostic::error("invalid-address", text).at(argument.span);
            found = found.help(address_help(argument.text));
            self.report(found);
            return None;
        };
        let full = full_prefix(address);
        let Some(prefix) = prefix else {
            return Some((address, full));
        };
        let range = Range { min: 0, max: i128::from(full), strict: false, repair: Some(i64::from(full)) };
        let text = Argument { text: prefix, ..argument };
        let read = self.number("prefix length", text, range, 1);
        Some((address, read.and_then(|v| u8::try_from(v).ok()).unwrap_or(full)))
    }

    /// Reads one option; gives the words after it.
    fn address_option<'a>(
        &mut self,
        found: &mut VirtualAddress,
        option: Argument<'t>,
        rest: &'a [Argument<'t>],
        fixed: bool,
    ) -> &'a [Argument<'t>] {
        // Only static addresses have groups, only virtual ones a VMAC.
        let foreign = option.text == if fixed { "use_vmac" } else { "track_group" };
        let known = if foreign { None } else { self.option(&table::ADDRESS_OPTIONS, option) };
        let Some(keyword) = known else {
            self.unknown_address_option(option);
            return rest;
        };
        if keyword.shape == Shape::Flag {
            address_flag(&mut found.options, keyword.name);
            return rest;
        }
        let Some((value, rest)) = rest.split_first() else {
            let text = format!("`{}` needs a value", option.text);
            self.report(Diagnostic::error("missing-value", text).at(option.span).help("it is ignored"));
            return rest;
        };
        self.address_value(found, option, *value);
        rest
    }

    fn unknown_address_option(&mut self, option: Argument<'t>) {
        let text = format!("unknown option `{}` of an address", option.text);
        let mut found = Diagnostic::error("unknown-option", text).at(option.span);
        if address_and_prefix(option.text).0.is_some() {
            found = found.help("each address needs a line of its own; this one is ignored");
        } else if self.diagnostics.wants_hint() {
            found = found.suggest(nearest(option.text, table::ADDRESS_OPTIONS.keywords().map(|keyword| keyword.name)));
            found = found.help("the word is ignored; options are `dev`, `scope`, `label`, `brd`, `peer` and others");
        }
        self.report(found);
    }

    fn address_value(&mut self, found: &mut VirtualAddress, option: Argument<'t>, value: Argument<'t>) {
        match option.text {
            "dev" => {
                self.mention(&value, format!("address {}", found.address), Need::Line);
                found.dev = Some(value.text.to_owned());
            }
            "label" => found.label = self.label(value),
            "preferred_lft" => {
                let read = self.lifetime(value);
                found.options.preferred_lifetime = read.or(found.options.preferred_lifetime);
            }
            "track_group" => found.options.track_group = self.group_of_static(value),
            "scope" => found.scope = self.scope(value),
            "peer" => found.peer = self.prefixed_address(value),
            _ => found.broadcast = self.broadcast(found.address, found.prefix_len, value),
        }
    }

    fn label(&mut self, value: Argument<'t>) -> Option<String> {
        if value.text.len() <= LONGEST_LABEL {
            return Some(value.text.to_owned());
        }
        let text = format!("the label `{}` has more than {LONGEST_LABEL} characters", value.text);
        self.report(Diagnostic::error("long-label", text).at(value.span).help("it is ignored"));
        None
    }

    fn lifetime(&mut self, value: Argument<'t>) -> Option<u32> {
        if value.text == "forever" {
            return Some(u32::MAX);
        }
        let range = Range { min: 0, max: i128::from(u32::MAX), strict: false, repair: None };
        self.number("preferred_lft", value, range, 1).and_then(|seconds| u32::try_from(seconds).ok())
    }

    fn scope(&mut self, value: Argument<'t>) -> u8 {
        let named = match value.text {
            "global" => Some(0),
            "site" => Some(200),
            "link" => Some(253),
            "host" => Some(254),
            "nowhere" => Some(255),
            number => number.parse().ok(),
        };
        named.unwrap_or_else(|| {
            let text = format!("unknown scope `{}`", value.text);
            let help = "global, site, link, host, nowhere or a number; global is used";
            self.report(Diagnostic::error("invalid-scope", text).at(value.span).help(help));
            0
        })
    }

    fn broadcast(&mut self, address: IpAddr, prefix: u8, value: Argument<'t>) -> Option<IpAddr> {
        let net = IpNet::new(address, prefix).ok();
        match value.text {
            _ if address.is_ipv6() => {
                let found = Diagnostic::error("invalid-broadcast", "IPv6 has no broadcast address").at(value.span);
                self.report(found.help("it is ignored"));
                None
            }
            "+" => net.map(|n| n.broadcast()),
            "-" => net.map(|n| n.network()),
            text => match text.parse() {
                Ok(IpAddr::V4(address)) => Some(IpAddr::V4(address)),
                _ => {
                    let text = format!("`{text}` is not a broadcast address");
                    self.report(Diagnostic::error("invalid-broadcast", text).at(value.span).help("it is ignored"));
                    None
                }
            },
        }
    }
}

/// The kernel's names of interfaces and labels have 16 bytes with the final zero.
const LONGEST_LABEL: usize = 15;

fn address_flag(options: &mut AddressOptions, name: &str) {
    let slot = match name {
        "home" => &mut options.home,
        "-nodad" => &mut options.detect_duplicates,
        "mngtmpaddr" => &mut options.manage_temporary,
        "noprefixroute" => &mut options.no_prefix_route,
        "autojoin" => &mut options.auto_join,
        "no_track" => &mut options.no_track,
        _ => &mut options.use_vmac,
    };
    *slot = true;
}

fn address_help(text: &str) -> String {
    let keyword = table::blocks_with(text).next().is_some();
    if keyword || text == "{" || text == "}" {
        return "this looks like a keyword: is a `}` missing above?".to_owned();
    }
    if text.starts_with('\'') {
        return "single quotes are part of the word; use double quotes or none".to_owned();
    }
    "the line is ignored".to_owned()
}
