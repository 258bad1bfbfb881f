//! `no_accept`: an address that the host holds for others to see, but whose packets it neither takes nor sends.
//!
//! ```text
//! table ip6 keepalived {                       # flags owner: goes with the socket; `table ip` without neighbour discovery
//!   set vips { ipv6_addr }
//!   set vips_link_local { ipv6_addr . iface_index }
//!   chain in {
//!     type filter hook input priority -1
//!     icmpv6 type nd-neighbor-solicit accept, icmpv6 type nd-neighbor-advert accept
//!     ip6 daddr . iif @vips_link_local drop
//!     ip6 daddr @vips drop
//!   }
//!   chain out { the same with saddr and oif }
//! }
//! ```

use crate::dataplane::netlink::{APPEND, CREATE, EXCLUSIVE, REQUEST, Socket, Writer};
use crate::nftables::{
    ACCEPT, BATCH_BEGIN, BATCH_END, DELETE_ELEMENT, DELETE_TABLE, DROP, EQUAL, LOCAL_IN, LOCAL_OUT, META_L4PROTO,
    NETWORK_HEADER, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, NEW_SET, NEW_TABLE, REGISTER, Rule, TABLE_OWNER,
    TRANSPORT_HEADER, TYPE_IPV4, TYPE_IPV6,
};
use nix::sys::socket::SockProtocol;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

const FAMILY_IPV4: u8 = 2;
const FAMILY_IPV6: u8 = 10;
const META_IIF: u32 = 4;
const META_OIF: u32 = 5;
/// `nft`'s number for iface_index.
const TYPE_INTERFACE: u32 = 40;
const ICMPV6: u8 = 58;
const NEIGHBOUR_DISCOVERY: [u8; 2] = [135, 136];
const ADDRESSES: &str = "vips";
const LINK_LOCAL: &str = "vips_link_local";

/// What `nftables` of `global_defs` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirewallOptions {
    /// Name of the tables.
    pub table: String,
    /// `nftables_priority` of the chains.
    pub priority: i32,
    /// `nftables_counters`.
    pub counters: bool,
}

impl Default for FirewallOptions {
    fn default() -> Self {
        Self { table: "keepalived".to_owned(), priority: -1, counters: false }
    }
}

/// An address, and its interface's index where it is link-local.
type Key = (IpAddr, u32);

/// The addresses whose packets are dropped.
#[derive(Debug, Default)]
pub(super) struct Firewall {
    pub(super) options: FirewallOptions,
    wanted: BTreeMap<Arc<str>, BTreeSet<Key>>,
    installed: BTreeSet<Key>,
    tables: Option<Tables>,
}

#[derive(Debug)]
struct Tables {
    socket: Socket,
    name: String,
    families: BTreeSet<u8>,
}

impl Firewall {
    /// Drops the packets of these addresses (with the index of their interface), and no others of this router.
    pub(super) fn block(&mut self, owner: &Arc<str>, addresses: impl Iterator<Item = (IpAddr, u32)>) {
        let keys: BTreeSet<Key> = addresses.map(key).collect();
        if self.wanted.get(owner).map_or(keys.is_empty(), |known| *known == keys) {
            return;
        }
        if keys.is_empty() {
            tracing::info!(target: "vrrp", "({owner}) removing firewall drop rule");
            self.wanted.remove(owner);
        } else {
            tracing::info!(target: "vrrp", "({owner}) setting firewall drop rule");
            self.wanted.insert(Arc::clone(owner), keys);
        }
        self.align();
    }

    /// Lets the packets of these addresses of a router pass.
    pub(super) fn pass(&mut self, owner: &Arc<str>, addresses: impl Iterator<Item = (IpAddr, u32)>) {
        let Some(keys) = self.wanted.get_mut(owner) else { return };
        for address in addresses {
            keys.remove(&key(address));
        }
        if keys.is_empty() {
            tracing::info!(target: "vrrp", "({owner}) removing firewall drop rule");
            self.wanted.remove(owner);
        }
        self.align();
    }

    fn align(&mut self) {
        let wanted: BTreeSet<Key> = self.wanted.values().flatten().copied().collect();
        if wanted == self.installed {
            return;
        }
        match self.try_align(&wanted) {
            Ok(()) => self.installed = wanted,
            Err(error) => tracing::warn!(
                target: "vrrp",
                "cannot keep packets from addresses with no_accept: {error} (the kernel needs nf_tables with table owners, \
                 Linux 5.12)"
            ),
        }
    }

    fn try_align(&mut self, wanted: &BTreeSet<Key>) -> io::Result<()> {
        let tables = match &mut self.tables {
            Some(tables) => tables,
            none => none.insert(Tables::open(&self.options.table)?),
        };
        for family in [FAMILY_IPV4, FAMILY_IPV6] {
            let of_family = |key: &&Key| family_of(key) == family;
            if wanted.iter().any(|key| family_of(key) == family) {
                tables.create(family, &self.options)?;
            }
            let gained: Vec<&Key> = wanted.difference(&self.installed).filter(of_family).collect();
            let lost: Vec<&Key> = self.installed.difference(wanted).filter(of_family).collect();
            tables.commit(family, |batch| {
                batch.elements(NEW_ELEMENT, CREATE, &gained);
                batch.elements(DELETE_ELEMENT, 0, &lost);
            })?;
        }
        Ok(())
    }
}

impl Tables {
    fn open(name: &str) -> io::Result<Self> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0)?;
        Ok(Self { socket, name: name.to_owned(), families: BTreeSet::new() })
    }

    /// A table of that name that belongs to nobody, left behind by a killed keepalived, is replaced; beside one that belongs
    /// to another daemon, ours gets a name with our process id.
    fn create(&mut self, family: u8, options: &FirewallOptions) -> io::Result<()> {
        if self.families.contains(&family) {
            return Ok(());
        }
        if self.commit(family, |batch| batch.create(options)).is_err() {
            let _ = self.commit(family, |batch| {
                batch.message(DELETE_TABLE, 0);
            });
            if self.commit(family, |batch| batch.create(options)).is_err() {
                self.name = format!("{}-{}", options.table, std::process::id());
                self.commit(family, |batch| batch.create(options))?;
            }
        }
        self.families.insert(family);
        Ok(())
    }

    fn commit(&mut self, family: u8, fill: impl FnOnce(&mut Batch<'_>)) -> io::Result<()> {
        let mut batch = Batch::new(&self.name, family);
        fill(&mut batch);
        if batch.sequence == 0 {
            return Ok(());
        }
        self.socket.exchange(&batch.finish(), |_| ())
    }
}

/// A transaction on one table.
struct Batch<'a> {
    table: &'a str,
    family: u8,
    writer: Writer,
    sequence: u32,
}

impl<'a> Batch<'a> {
    fn new(table: &'a str, family: u8) -> Self {
        let mut writer = Writer::default();
        writer.message(BATCH_BEGIN, REQUEST, 0).raw(&[0, 0, 0, 10]);
        Self { table, family, writer, sequence: 0 }
    }

    fn finish(mut self) -> Writer {
        self.writer.message(BATCH_END, REQUEST, self.sequence + 1).raw(&[0, 0, 0, 10]);
        self.writer
    }

    fn create(&mut self, options: &FirewallOptions) {
        self.message(NEW_TABLE, CREATE | EXCLUSIVE).be32(2, TABLE_OWNER);
        match self.family {
            FAMILY_IPV4 => self.set(ADDRESSES, TYPE_IPV4, 4),
            _ => {
                self.set(ADDRESSES, TYPE_IPV6, 16);
                self.set(LINK_LOCAL, (TYPE_IPV6 << 6) | TYPE_INTERFACE, 20);
            }
        }
        for (chain, hook, incoming) in [("in", LOCAL_IN, true), ("out", LOCAL_OUT, false)] {
            self.message(NEW_CHAIN, CREATE).string(3, chain).string(7, "filter").be32(5, ACCEPT).nest(4, |place| {
                place.be32(1, hook).be32(2, options.priority.cast_unsigned());
            });
            self.rules(chain, incoming, options.counters);
        }
    }

    fn rules(&mut self, chain: &str, incoming: bool, counters: bool) {
        let (offset, length, interface) = match (self.family, incoming) {
            (FAMILY_IPV4, true) => (16, 4, None),
            (FAMILY_IPV4, false) => (12, 4, None),
            (_, true) => (24, 16, Some(META_IIF)),
            (_, false) => (8, 16, Some(META_OIF)),
        };
        if let Some(interface) = interface {
            for kind in NEIGHBOUR_DISCOVERY {
                self.rule(chain, counters, ACCEPT, |rule| {
                    rule.meta(META_L4PROTO, REGISTER[0]).compare(EQUAL, REGISTER[0], &[ICMPV6]);
                    rule.payload(TRANSPORT_HEADER, 0, 1, REGISTER[0]).compare(EQUAL, REGISTER[0], &[kind]);
                });
            }
            self.rule(chain, counters, DROP, |rule| {
                rule.payload(NETWORK_HEADER, offset, length, REGISTER[0]).meta(interface, REGISTER[4]);
                rule.lookup(LINK_LOCAL, REGISTER[0], false);
            });
        }
        self.rule(chain, counters, DROP, |rule| {
            rule.payload(NETWORK_HEADER, offset, length, REGISTER[0]).lookup(ADDRESSES, REGISTER[0], false);
        });
    }

    fn rule(&mut self, chain: &str, counters: bool, verdict: u32, conditions: impl FnOnce(&mut Rule<'_>)) {
        self.message(NEW_RULE, CREATE | APPEND).string(2, chain).nest(4, |list| {
            let mut rule = Rule::new(list);
            conditions(&mut rule);
            if counters {
                rule.expression("counter", |_| ());
            }
            rule.verdict(verdict, None);
        });
    }

    fn set(&mut self, name: &str, kind: u32, length: u32) {
        let id = self.sequence + 1;
        let message = self.message(NEW_SET, CREATE | EXCLUSIVE);
        message.string(2, name).be32(3, 0).be32(4, kind).be32(5, length).be32(10, id);
    }

    fn elements(&mut self, kind: u16, flags: u16, keys: &[&Key]) {
        for (set, link_local) in [(ADDRESSES, false), (LINK_LOCAL, true)] {
            let keys: Vec<_> = keys.iter().filter(|(_, index)| (*index != 0) == link_local).collect();
            if keys.is_empty() {
                continue;
            }
            self.message(kind, flags).string(2, set).nest(3, |list| {
                for key in keys {
                    list.nest(1, |element| {
                        element.nest(1, |data| {
                            data.attribute(1, &octets(key));
                        });
                    });
                }
            });
        }
    }

    fn message(&mut self, kind: u16, flags: u16) -> &mut Writer {
        self.sequence += 1;
        let message = self.writer.message(kind, REQUEST | flags, self.sequence).raw(&[self.family, 0, 0, 0]);
        message.string(1, self.table)
    }
}

/// The same link-local address may be somebody else's on another interface.
fn key((address, index): (IpAddr, u32)) -> Key {
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    (address, if link_local { index } else { 0 })
}

fn family_of((address, _): &Key) -> u8 {
    if address.is_ipv4() { FAMILY_IPV4 } else { FAMILY_IPV6 }
}

fn octets((address, index): &Key) -> Vec<u8> {
    let mut octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    if *index != 0 {
        octets.extend_from_slice(&index.to_ne_bytes());
    }
    octets
}
