//! The nftables messages of the claim, as `include/uapi/linux/netfilter/nf_tables.h` lays them out.
//!
//! ```text
//! table netdev standfast-PID {            # flags owner: goes with the socket
//!   set services4 { ipv4_addr . inet_proto . inet_service }      (and services6)
//!   set servers4  { ipv4_addr . inet_proto . inet_service }      (and servers6)
//!   set anyport-services4, anyport-servers4 { ipv4_addr . inet_proto }
//!   set own4, sources4 { ipv4_addr }                             (and own6, sources6)
//!   chain claimed {
//!     meta pkttype != host accept
//!     ether type ip ip daddr . meta l4proto . th dport @services4 drop
//!     ether type ip ip saddr . meta l4proto . th sport @servers4 ip daddr != @own4 drop
//!     ether type ip ip saddr . meta l4proto . th sport @servers4 ip daddr @sources4 th dport < 32768 drop
//!     (and all without the port, and all of them for ip6)
//!   }
//!   chain in2 { type filter hook ingress device eth0 priority -500; jump claimed }
//! }
//!
//! table netdev standfast-will-PID-TIME {  # without an owner: outlives the process for some seconds
//!   set alive { pkt_type; timeout; elements = { host timeout 7s } }
//!   (sets, chains and hooks as above, behind the claim's; in place of the first rule:)
//!     meta pkttype != @alive accept
//! }
//!
//! table inet standfast-PID {              # only where there are marks, or servers on the host itself
//!   chain input { type filter hook input priority 98; meta mark 7 queue num 4711 }
//!   chain output { type filter hook output priority 98; ip saddr 10.0.0.2 tcp sport 8081 queue num 4711 }
//! }                                     (each rule with `meta priority set 0x5346fff0` before the queue)
//!
//! table inet standfast-will-PID-TIME {    # the same that outlives the process: what has not passed the queue's rules is dropped
//!   set alive { as above }
//!   chain input { type filter hook input priority 99; meta pkttype != @alive accept; meta priority 0x5346fff0 accept; meta mark 7 drop }
//!   (and output)
//! }
//! ```

use std::net::IpAddr;
use std::time::Duration;

use standfast_ipvs::FullNat;

use crate::dataplane::netlink::{APPEND, CREATE, DUMP, EXCLUSIVE, REQUEST, Writer};

use super::{Diverted, Flow};
use crate::nftables::{
    ACCEPT, BATCH_BEGIN, BATCH_END, DELETE_ELEMENT, DELETE_TABLE, DROP, EQUAL, LOCAL_IN, LOCAL_OUT, META_L4PROTO,
    NETWORK_HEADER, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, NEW_SET, NEW_TABLE, REGISTER, Rule, TABLE_OWNER,
    TRANSPORT_HEADER, TYPE_IPV4, TYPE_IPV6,
};

const SUBSYSTEM: u16 = 10 << 8;
const GET_TABLE: u16 = SUBSYSTEM | 1;
const DELETE_CHAIN: u16 = SUBSYSTEM | 5;
const GET_ELEMENTS: u16 = SUBSYSTEM | 13;

pub(super) const FAMILY_NETDEV: u8 = 5;
pub(super) const FAMILY_INET: u8 = 1;
const INGRESS: u32 = 0;
/// Of the claim; what it leaves behind comes after it.
const PRIORITY: i32 = -500;
/// Where IPVS stands: behind the host's own packet filter (`NF_IP_PRI_NAT_SRC - 2`).
const QUEUE_PRIORITY: i32 = 98;

/// The priority of packets that have passed the queue's rules. It means nothing to a packet that arrives; to the answer of a server here,
/// if the engine does not want it, the usual class.
const SEEN: u32 = 0x5346_fff0;

const JUMP: u32 = (-3i32) as u32;

const LINK_HEADER: u32 = 0;
const META_PRIORITY: u32 = 2;
const META_MARK: u32 = 3;
const META_NFPROTO: u32 = 15;
const META_PKTTYPE: u32 = 19;
const NOT_EQUAL: u32 = 1;
const LESS: u32 = 2;

/// `nft`'s numbers for ipv4_addr, ipv6_addr, inet_proto, inet_service: they only make `nft list` readable.
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_PKTTYPE: u32 = 31;

const COMMON_CHAIN: &str = "claimed";
pub(super) const ALIVE: &str = "alive";
/// `NFT_SET_TIMEOUT`.
const WITH_TIMEOUTS: u32 = 0x10;
/// `PACKET_HOST`.
const HOST: [u8; 1] = [0];

/// How long a table holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Term {
    /// As long as its socket.
    Socket,
    /// As long as the element of its set `alive`.
    Element,
}

/// A set of the claim's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::dataplane) enum SetName {
    /// Virtual services by destination.
    Services,
    /// Virtual services of all ports, by destination.
    ServicesAnyPort,
    /// NAT servers by source.
    Servers,
    /// NAT servers of all ports, by source.
    ServersAnyPort,
    /// The host's own addresses.
    Own,
    /// Those of them that full NAT uses.
    Sources,
}

impl SetName {
    /// Every set.
    pub(super) const ALL: [Self; 6] =
        [Self::Services, Self::ServicesAnyPort, Self::Servers, Self::ServersAnyPort, Self::Own, Self::Sources];

    fn text(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Self::Services, false) => "services4",
            (Self::Services, true) => "services6",
            (Self::ServicesAnyPort, false) => "anyport-services4",
            (Self::ServicesAnyPort, true) => "anyport-services6",
            (Self::Servers, false) => "servers4",
            (Self::Servers, true) => "servers6",
            (Self::ServersAnyPort, false) => "anyport-servers4",
            (Self::ServersAnyPort, true) => "anyport-servers6",
            (Self::Own, false) => "own4",
            (Self::Own, true) => "own6",
            (Self::Sources, false) => "sources4",
            (Self::Sources, true) => "sources6",
        }
    }
}

/// How a rule hands packets to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueBy {
    /// `queue` of nftables (CONFIG_NFT_QUEUE).
    Expression,
    /// `NFQUEUE` of iptables (CONFIG_NETFILTER_XT_TARGET_NFQUEUE, CONFIG_NFT_COMPAT).
    Target,
}

/// Asks for all tables of a family.
pub(super) fn ask_for_tables(family: u8) -> Writer {
    let mut writer = Writer::default();
    writer.message(GET_TABLE, REQUEST | DUMP, 0).raw(&[family, 0, 0, 0]);
    writer
}

/// Asks for the elements of a set.
pub(super) fn ask_for_elements(family: u8, table: &str, set: &str) -> Writer {
    let mut writer = Writer::default();
    writer.message(GET_ELEMENTS, REQUEST | DUMP, 0).raw(&[family, 0, 0, 0]).string(1, table).string(2, set);
    writer
}

/// What becomes of packets that are diverted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// They are handed to a queue, by a table that goes with its socket.
    Queue(u16, QueueBy),
    /// They are dropped unless they were handed to a queue before, by a table that stays behind and holds so long.
    Drop(Duration),
}

/// A transaction: all of it takes effect at once, or nothing.
#[derive(Debug)]
pub(in crate::dataplane) struct Batch<'a> {
    table: &'a str,
    family: u8,
    writer: Writer,
    sequence: u32,
}

impl<'a> Batch<'a> {
    /// Begins a transaction on the table of that name.
    pub(super) fn new(table: &'a str) -> Self {
        Self::of_family(table, FAMILY_NETDEV)
    }

    /// The same for a table of the family `inet`.
    pub(super) fn inet(table: &'a str) -> Self {
        Self::of_family(table, FAMILY_INET)
    }

    pub(super) fn of_family(table: &'a str, family: u8) -> Self {
        let mut writer = Writer::default();
        writer.message(BATCH_BEGIN, REQUEST, 0).raw(&[0, 0, 0, 10]);
        Self { table, family, writer, sequence: 0 }
    }

    /// Ends the transaction.
    pub(super) fn finish(mut self) -> Writer {
        self.writer.message(BATCH_END, REQUEST, self.sequence + 1).raw(&[0, 0, 0, 10]);
        self.writer
    }

    /// Deletes the table.
    pub(super) fn delete(&mut self) {
        let table = self.table;
        self.message(DELETE_TABLE, 0).string(1, table);
    }

    /// Deletes a table that may be there.
    pub(super) fn clear(&mut self) {
        let table = self.table;
        self.message(NEW_TABLE, CREATE).string(1, table);
        self.delete();
    }

    /// Has the element of a table that holds by it end after so long, counted from here.
    pub(super) fn prolong(&mut self, fresh: bool, holds: Duration) {
        let table = self.table;
        let milliseconds = u64::try_from(holds.as_millis()).unwrap_or(u64::MAX);
        let kinds = if fresh { &[NEW_ELEMENT][..] } else { &[DELETE_ELEMENT, NEW_ELEMENT] };
        for kind in kinds {
            let flags = if *kind == NEW_ELEMENT { CREATE } else { 0 };
            self.message(*kind, flags).string(1, table).string(2, ALIVE).nest(3, |list| {
                list.nest(1, |element| {
                    element.nest(1, |data| {
                        data.attribute(1, &HOST);
                    });
                    if *kind == NEW_ELEMENT {
                        element.attribute(4, &milliseconds.to_be_bytes());
                    }
                });
            });
        }
    }

    fn alive_set(&mut self) {
        let (table, id) = (self.table, self.sequence + 1);
        self.message(NEW_SET, CREATE | EXCLUSIVE)
            .string(1, table)
            .string(2, ALIVE)
            .be32(3, WITH_TIMEOUTS)
            .be32(4, TYPE_PKTTYPE)
            .be32(5, HOST.len() as u32)
            .be32(10, id);
    }

    /// Creates the table, its sets and the chain that all interfaces share.
    pub(super) fn create(&mut self, term: Term) {
        let table = self.table;
        let owner = if term == Term::Socket { TABLE_OWNER } else { 0 };
        self.message(NEW_TABLE, CREATE | EXCLUSIVE).string(1, table).be32(2, owner);
        if term == Term::Element {
            self.alive_set();
        }
        for v6 in [false, true] {
            SetName::ALL.iter().for_each(|name| self.set(*name, v6));
        }
        self.message(NEW_CHAIN, CREATE | EXCLUSIVE).string(1, table).string(3, COMMON_CHAIN);
        self.rule(COMMON_CHAIN, |r| {
            r.meta(META_PKTTYPE, REGISTER[0]);
            match term {
                Term::Socket => r.compare(NOT_EQUAL, REGISTER[0], &HOST),
                Term::Element => r.lookup(ALIVE, REGISTER[0], true),
            };
            r.verdict(ACCEPT, None);
        });
        for v6 in [false, true] {
            for name in [SetName::Services, SetName::ServicesAnyPort] {
                self.rule(COMMON_CHAIN, |r| {
                    r.flow(name, v6).look_up(name, v6, false).verdict(DROP, None);
                });
            }
            for name in [SetName::Servers, SetName::ServersAnyPort] {
                self.rule(COMMON_CHAIN, |r| {
                    r.flow(name, v6).look_up(name, v6, false);
                    r.address(v6, false).look_up(SetName::Own, v6, true).verdict(DROP, None);
                });
                self.rule(COMMON_CHAIN, |r| {
                    r.flow(name, v6).look_up(name, v6, false);
                    r.address(v6, false).look_up(SetName::Sources, v6, false);
                    r.payload(TRANSPORT_HEADER, 2, 2, REGISTER[0]);
                    r.compare(LESS, REGISTER[0], &FullNat::PORTS.end.to_be_bytes()).verdict(DROP, None);
                });
            }
        }
    }

    /// Makes the table for marked packets and the answers of servers on this host; one that was there goes.
    pub(super) fn divert(&mut self, exists: bool, diverted: &Diverted, fate: Fate) {
        if exists {
            self.delete();
        }
        if diverted.is_empty() {
            return;
        }
        let (table, owner) = (self.table, if matches!(fate, Fate::Queue(..)) { TABLE_OWNER } else { 0 });
        self.message(NEW_TABLE, CREATE | EXCLUSIVE).string(1, table).be32(2, owner);
        if let Fate::Drop(holds) = fate {
            self.alive_set();
            self.prolong(true, holds);
        }
        self.host_chain("input", LOCAL_IN, fate);
        self.host_chain("output", LOCAL_OUT, fate);
        for mark in &diverted.marks {
            self.rule("input", |r| {
                r.meta(META_MARK, REGISTER[0]).compare(EQUAL, REGISTER[0], &mark.to_ne_bytes()).meet(fate);
            });
        }
        for flow in &diverted.answers {
            self.rule("output", |r| {
                r.from(flow).meet(fate);
            });
        }
    }

    /// A chain where the host's own packets begin or end.
    fn host_chain(&mut self, chain: &str, hook: u32, fate: Fate) {
        let (table, behind) = (self.table, i32::from(matches!(fate, Fate::Drop(_))));
        self.message(NEW_CHAIN, CREATE).string(1, table).string(3, chain).string(7, "filter").be32(5, ACCEPT).nest(
            4,
            |place| {
                place.be32(1, hook).be32(2, (QUEUE_PRIORITY + behind) as u32);
            },
        );
        if let Fate::Drop(_) = fate {
            self.rule(chain, |r| {
                r.meta(META_PKTTYPE, REGISTER[0]).lookup(ALIVE, REGISTER[0], true).verdict(ACCEPT, None);
            });
            self.rule(chain, |r| {
                r.meta(META_PRIORITY, REGISTER[0])
                    .compare(EQUAL, REGISTER[0], &SEEN.to_ne_bytes())
                    .verdict(ACCEPT, None);
            });
        }
    }

    /// Hooks the claim on an interface, through a chain of its own.
    pub(super) fn hook(&mut self, term: Term, chain: &str, interface: &str) {
        let table = self.table;
        let priority = if term == Term::Socket { PRIORITY } else { PRIORITY + 1 };
        self.message(NEW_CHAIN, CREATE).string(1, table).string(3, chain).string(7, "filter").be32(5, ACCEPT).nest(
            4,
            |hook| {
                hook.be32(1, INGRESS).be32(2, priority as u32).string(3, interface);
            },
        );
        self.rule(chain, |r| {
            r.verdict(JUMP, Some(COMMON_CHAIN));
        });
    }

    /// Takes an interface's chain away.
    pub(super) fn unhook(&mut self, chain: &str) {
        let table = self.table;
        self.message(DELETE_CHAIN, 0).string(1, table).string(3, chain);
    }

    /// Adds or deletes elements of one set; all of one address family.
    pub(super) fn elements(&mut self, add: bool, name: SetName, v6: bool, keys: &[Vec<u8>]) {
        let table = self.table;
        let kind = if add { NEW_ELEMENT } else { DELETE_ELEMENT };
        let flags = if add { CREATE } else { 0 };
        self.message(kind, flags).string(1, table).string(2, name.text(v6)).nest(3, |list| {
            for key in keys {
                list.nest(1, |element| {
                    element.nest(1, |data| {
                        data.attribute(1, key);
                    });
                });
            }
        });
    }

    fn set(&mut self, name: SetName, v6: bool) {
        let table = self.table;
        let address = if v6 { (TYPE_IPV6, 16) } else { (TYPE_IPV4, 4) };
        let (kind, length) = match name {
            SetName::Own | SetName::Sources => address,
            SetName::ServicesAnyPort | SetName::ServersAnyPort => ((address.0 << 6) | TYPE_PROTOCOL, address.1 + 4),
            SetName::Services | SetName::Servers => {
                ((address.0 << 12) | (TYPE_PROTOCOL << 6) | TYPE_PORT, address.1 + 8)
            }
        };
        let id = self.sequence + 1;
        self.message(NEW_SET, CREATE | EXCLUSIVE)
            .string(1, table)
            .string(2, name.text(v6))
            .be32(3, 0)
            .be32(4, kind)
            .be32(5, length)
            .be32(10, id);
    }

    fn rule(&mut self, chain: &str, expressions: impl FnOnce(&mut Rule<'_>)) {
        let table = self.table;
        self.message(NEW_RULE, CREATE | APPEND).string(1, table).string(2, chain).nest(4, |list| {
            expressions(&mut Rule::new(list));
        });
    }

    fn message(&mut self, kind: u16, flags: u16) -> &mut Writer {
        let family = self.family;
        self.sequence += 1;
        self.writer.message(kind, REQUEST | flags, self.sequence).raw(&[family, 0, 0, 0])
    }
}

/// The expressions of the claim's rules.
trait FlowRule {
    /// What the set is looked up by, side by side in the registers: address and protocol, and the port unless all count.
    fn flow(&mut self, name: SetName, v6: bool) -> &mut Self;
    /// The frame's type and its source or destination address.
    fn address(&mut self, v6: bool, source: bool) -> &mut Self;
    /// A flow end as the source.
    fn from(&mut self, flow: &Flow) -> &mut Self;
    /// What becomes of a packet that is diverted.
    fn meet(&mut self, fate: Fate) -> &mut Self;
    /// Hands the packet to a queue.
    fn queue(&mut self, number: u16, by: QueueBy) -> &mut Self;
    /// Looks the registers up in a set.
    fn look_up(&mut self, name: SetName, v6: bool, inverted: bool) -> &mut Self;
}

impl FlowRule for Rule<'_> {
    fn flow(&mut self, name: SetName, v6: bool) -> &mut Self {
        let source = matches!(name, SetName::Servers | SetName::ServersAnyPort);
        let next = if v6 { 4 } else { 1 };
        self.address(v6, source).meta(META_L4PROTO, REGISTER[next]);
        if matches!(name, SetName::Services | SetName::Servers) {
            self.payload(TRANSPORT_HEADER, if source { 0 } else { 2 }, 2, REGISTER[next + 1]);
        }
        self
    }

    /// Loaded from the link header, the type of a frame
    /// whose VLAN tag was taken off is that of the tag: such frames belong to the VLAN interface.
    fn address(&mut self, v6: bool, source: bool) -> &mut Self {
        let ethertype: [u8; 2] = if v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let (offset, length) = match (v6, source) {
            (false, true) => (12, 4),
            (false, false) => (16, 4),
            (true, true) => (8, 16),
            (true, false) => (24, 16),
        };
        self.payload(LINK_HEADER, 12, 2, REGISTER[0]).compare(EQUAL, REGISTER[0], &ethertype).payload(
            NETWORK_HEADER,
            offset,
            length,
            REGISTER[0],
        )
    }

    fn from(&mut self, flow: &Flow) -> &mut Self {
        let v6 = flow.address.is_ipv6();
        let (family, offset) = if v6 { (10, 8) } else { (2, 12) };
        let address = address_key(flow.address);
        self.meta(META_NFPROTO, REGISTER[0]).compare(EQUAL, REGISTER[0], &[family]);
        self.payload(NETWORK_HEADER, offset, address.len() as u32, REGISTER[0]).compare(EQUAL, REGISTER[0], &address);
        self.meta(META_L4PROTO, REGISTER[0]).compare(EQUAL, REGISTER[0], &[flow.protocol]);
        if flow.port != 0 {
            let port = flow.port.to_be_bytes();
            self.payload(TRANSPORT_HEADER, 0, 2, REGISTER[0]).compare(EQUAL, REGISTER[0], &port);
        }
        self
    }

    fn meet(&mut self, fate: Fate) -> &mut Self {
        match fate {
            Fate::Queue(number, by) => self.set_meta(META_PRIORITY, REGISTER[0], &SEEN.to_ne_bytes()).queue(number, by),
            Fate::Drop(_) => self.verdict(DROP, None),
        }
    }

    /// Kernels have the expression `queue`, the target `NFQUEUE` of iptables, or both.
    fn queue(&mut self, number: u16, by: QueueBy) -> &mut Self {
        match by {
            QueueBy::Expression => self.expression("queue", |data| {
                data.attribute(1, &number.to_be_bytes()).attribute(2, &1u16.to_be_bytes());
            }),
            QueueBy::Target => self.expression("target", |data| {
                let [low, high] = number.to_ne_bytes();
                data.string(1, "NFQUEUE").be32(2, 0).attribute(3, &[low, high, 0, 0, 0, 0, 0, 0]);
            }),
        }
    }

    fn look_up(&mut self, name: SetName, v6: bool, inverted: bool) -> &mut Self {
        self.lookup(name.text(v6), REGISTER[0], inverted)
    }
}

/// The element for a flow end: each part fills whole registers. Port 0 stands for all and is left out.
pub(super) fn flow_key(flow: &Flow) -> Vec<u8> {
    let mut key = address_key(flow.address);
    key.extend_from_slice(&[flow.protocol, 0, 0, 0]);
    if flow.port != 0 {
        key.extend_from_slice(&flow.port.to_be_bytes());
        key.extend_from_slice(&[0, 0]);
    }
    key
}

/// The element of `own` for an address.
pub(super) fn address_key(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    }
}
