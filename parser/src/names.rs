//! Names that the kernel's tools have for numbers: routing tables, protocols and their like.

/// What a name is a name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NameTable {
    /// Routing tables (`rt_tables`).
    Table,
    /// Routing protocols (`rt_protos`).
    Protocol,
    /// Scopes (`rt_scopes`).
    Scope,
    /// Realms (`rt_realms`).
    Realm,
    /// Values of the TOS field (`rt_dsfield`).
    Dsfield,
    /// Groups of interfaces (`group`).
    Group,
    /// IP protocols (`/etc/protocols`).
    IpProtocol,
}

impl NameTable {
    /// The largest number.
    #[must_use]
    pub const fn most(self) -> u32 {
        match self {
            Self::Table | Self::Group => u32::MAX,
            Self::Realm => 0xffff,
            _ => 0xff,
        }
    }

    /// What a number of this table is called in messages.
    pub(crate) const fn what(self) -> &'static str {
        match self {
            Self::Table => "routing table",
            Self::Protocol => "routing protocol",
            Self::Scope => "scope",
            Self::Realm => "realm",
            Self::Dsfield => "TOS value",
            Self::Group => "interface group",
            Self::IpProtocol => "IP protocol",
        }
    }
}

/// Looks up a name that is not built in, such as one of `/etc/iproute2/rt_tables`.
pub type Names = Box<dyn Fn(NameTable, &str) -> Option<u32>>;

/// A number as C's `strtoul` with base 0 reads it.
pub(crate) fn number(text: &str) -> Option<u64> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+'));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    match digits.strip_prefix('0') {
        Some(octal) if !octal.is_empty() => u64::from_str_radix(octal, 8).ok(),
        _ => digits.parse().ok(),
    }
}

/// Names that hold on every machine.
pub(crate) fn built_in(table: NameTable, name: &str) -> Option<u32> {
    let list: &[(&str, u32)] = match table {
        NameTable::Table => &[("default", 253), ("main", 254), ("local", 255)],
        NameTable::Protocol => &PROTOCOLS,
        NameTable::Scope => &[("global", 0), ("site", 200), ("link", 253), ("host", 254), ("nowhere", 255)],
        NameTable::Group => &[("default", 0)],
        NameTable::IpProtocol => &[("icmp", 1), ("tcp", 6), ("udp", 17), ("ipv6-icmp", 58), ("sctp", 132)],
        NameTable::Realm | NameTable::Dsfield => &[],
    };
    list.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

/// `RTPROT_*` of the kernel's rtnetlink.
const PROTOCOLS: [(&str, u32); 15] = [
    ("none", 0),
    ("redirect", 1),
    ("kernel", 2),
    ("boot", 3),
    ("static", 4),
    ("gated", 8),
    ("ra", 9),
    ("mrt", 10),
    ("zebra", 11),
    ("bird", 12),
    ("dnrouted", 13),
    ("xorp", 14),
    ("ntk", 15),
    ("dhcp", 16),
    ("babel", 42),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_bases_of_c() {
        assert_eq!(number("10"), Some(10));
        assert_eq!(number("0x10"), Some(16));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0"), Some(0));
        assert_eq!(number("1a"), None);
        assert_eq!(number("-1"), None);
        assert_eq!(number("0x"), None);
    }
}
