//! `virtual_server_group`.

use super::item::Argument;
use super::named::Kind;
use super::{Builder, Item};
use crate::diagnostic::Diagnostic;
use crate::model::{GroupEntry, VirtualServerGroup};
use crate::value::full_prefix;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

impl<'t> Builder<'t> {
    pub(super) fn virtual_server_group(&mut self, item: &Item<'t>) {
        let Some(name) = self.block_name(item) else {
            return;
        };
        let mut entries = Vec::new();
        for id in self.children(item.id) {
            let entry = self.entry(id);
            entries.extend(self.group_entry(&entry));
        }
        if let Some(first) = self.named.head(Kind::ServerGroup, name) {
            let text = format!("virtual_server_group `{name}` exists already; the first one is used");
            let found = Diagnostic::trap("duplicate-group", text).at(item.argument_span());
            let found = found.related(first, "the first one");
            return self.report(found);
        }
        let span = item.argument_span();
        if entries.is_empty() {
            let found = Diagnostic::error("empty-group", format!("virtual_server_group `{name}` has no entries"));
            return self.report(found.at(span).help("it is removed"));
        }
        self.named.insert(Kind::ServerGroup, name, self.config.virtual_server_groups.len(), span);
        self.config.virtual_server_groups.push(VirtualServerGroup { name: name.to_owned(), entries, span });
    }

    fn group_entry(&mut self, entry: &[Argument<'t>]) -> Option<GroupEntry> {
        match entry {
            [kind, mark, ..] if kind.text == "fwmark" => match mark.text.parse() {
                Ok(mark) => Some(GroupEntry::Fwmark(mark)),
                Err(_) => self.bad_entry(*mark, "a firewall mark is a number"),
            },
            [addresses] => self.addresses(*addresses, 0),
            [addresses, port, ..] => {
                let Ok(number) = port.text.parse::<u16>() else {
                    return self.bad_entry(*port, "a port is a number from 0 to 65535");
                };
                self.addresses(*addresses, number)
            }
            [] => None,
        }
    }

    fn bad_entry(&mut self, argument: Argument<'t>, help: &str) -> Option<GroupEntry> {
        let text = format!("`{}` is no part of a virtual server group", argument.text);
        let found = Diagnostic::error("invalid-group-entry", text).at(argument.span);
        self.report(found.help(format!("{help}; the line is ignored")));
        None
    }

    fn addresses(&mut self, argument: Argument<'t>, port: u16) -> Option<GroupEntry> {
        match address_range(argument.text) {
            Some((first, last)) => Some(GroupEntry::Addresses { first, last, port }),
            None => self.bad_entry(argument, "an address, a range such as 10.0.0.1-9, or a network"),
        }
    }
}

pub(super) fn address_range(text: &str) -> Option<(IpAddr, IpAddr)> {
    if let Some((first, last)) = text.split_once('-') {
        let first: IpAddr = first.parse().ok()?;
        let last = last.parse().ok().or_else(|| last_of_range(first, last))?;
        return (first.is_ipv4() == last.is_ipv4() && first <= last).then_some((first, last));
    }
    if let Some((address, prefix)) = text.split_once('/') {
        let first: IpAddr = address.parse().ok()?;
        let prefix = prefix.parse().ok().filter(|p| *p <= full_prefix(first))?;
        let network = IpNet::new(first, prefix).ok()?;
        return Some((first, network.broadcast()));
    }
    let address = text.parse().ok()?;
    Some((address, address))
}

/// The last octet in decimal, or the last group in hexadecimal.
fn last_of_range(first: IpAddr, last: &str) -> Option<IpAddr> {
    match first {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Some(IpAddr::V4(Ipv4Addr::new(a, b, c, last.parse().ok()?)))
        }
        IpAddr::V6(address) => {
            let group = u16::from_str_radix(last, 16).ok()?;
            Some(IpAddr::V6(Ipv6Addr::from((u128::from(address) & !0xffff) | u128::from(group))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> Option<String> {
        address_range(text).map(|(a, b)| format!("{a} {b}"))
    }

    #[test]
    fn ranges_networks_and_single_addresses() {
        assert_eq!(range("10.0.0.1").as_deref(), Some("10.0.0.1 10.0.0.1"));
        assert_eq!(range("10.0.0.1-9").as_deref(), Some("10.0.0.1 10.0.0.9"));
        assert_eq!(range("10.9.9.32/30").as_deref(), Some("10.9.9.32 10.9.9.35"));
        assert_eq!(range("fe80::1-ff").as_deref(), Some("fe80::1 fe80::ff"));
        assert_eq!(range("10.0.0.9-1"), None);
        assert_eq!(range("10.0.0.1/33"), None);
        assert_eq!(range("10.0.0.1-fe80::1"), None);
    }
}
