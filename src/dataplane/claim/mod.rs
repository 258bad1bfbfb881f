//! The claim: the host's own stack must neither see nor answer what a virtual service owns.
//!
//! The rules live in an nftables table of the `netdev` family whose owner is our netlink socket, so that they go with
//! the process however it ends; what the host's own stack must not see for some seconds more is in the [`will`]. Packet taps run before the ingress hook: the engine sees every packet that the rules
//! drop. Neither the `nft` program nor a library is needed, only `CAP_NET_ADMIN` in the network namespace and Linux 5.12.
//!
//! ICMP is never claimed. Packets are claimed by address *and* port, so that everything else on a virtual address
//! stays with the host.

mod diversion;
mod ended;
mod rules;
mod will;

pub(super) use diversion::Diversion;
pub(super) use will::Will;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use super::Error;
use super::netlink::Socket;
use rules::{Batch, SetName, Term, address_key, flow_key};

const ELEMENTS_PER_MESSAGE: usize = 500;

/// One end of flows: protocol, address and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Flow {
    /// IP protocol number.
    pub(super) protocol: u8,
    /// Virtual address, or a NAT server's.
    pub(super) address: IpAddr,
    /// Port in host order; 0 stands for all.
    pub(super) port: u16,
}

/// What is claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims {
    /// Packets to these belong to the engine.
    pub(super) services: BTreeSet<Flow>,
    /// Packets from these, unless to the host itself, belong to the engine.
    pub(super) servers: BTreeSet<Flow>,
    /// The host's own addresses.
    pub(super) own: BTreeSet<IpAddr>,
    /// Packets with these firewall marks belong to the engine.
    pub(super) marks: BTreeSet<u32>,
    /// Own addresses to which servers behind full NAT answer: such packets belong to the engine if their port is full NAT's.
    pub(super) sources: BTreeSet<IpAddr>,
}

/// What cannot be taken from the packet socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diverted {
    /// Packets with these marks, which the firewall sets after the packet sockets have seen them.
    pub(super) marks: BTreeSet<u32>,
    /// Answers of NAT servers on the host itself, which never arrive anywhere.
    pub(super) answers: BTreeSet<Flow>,
}

impl Diverted {
    fn is_empty(&self) -> bool {
        self.marks.is_empty() && self.answers.is_empty()
    }
}

impl Claims {
    /// What has to come by a queue.
    pub(super) fn diverted(&self) -> Diverted {
        let local = |flow: &&Flow| self.own.contains(&flow.address);
        Diverted { marks: self.marks.clone(), answers: self.servers.iter().filter(local).copied().collect() }
    }

    /// The elements of each set.
    fn keys(&self) -> Vec<(SetName, bool, BTreeSet<Vec<u8>>)> {
        let sets = SetName::ALL.iter().flat_map(|name| [(*name, false), (*name, true)]);
        sets.map(|(name, v6)| (name, v6, self.keys_of(name, v6))).collect()
    }

    fn keys_of(&self, name: SetName, v6: bool) -> BTreeSet<Vec<u8>> {
        let flows = |set: &BTreeSet<Flow>, any_port: bool| {
            let wanted = |f: &&Flow| f.address.is_ipv6() == v6 && (f.port == 0) == any_port;
            set.iter().filter(wanted).map(flow_key).collect()
        };
        match name {
            SetName::Services => flows(&self.services, false),
            SetName::ServicesAnyPort => flows(&self.services, true),
            SetName::Servers => flows(&self.servers, false),
            SetName::ServersAnyPort => flows(&self.servers, true),
            SetName::Sources => self.sources.iter().filter(|a| a.is_ipv6() == v6).map(|a| address_key(*a)).collect(),
            SetName::Own => self.own.iter().filter(|a| a.is_ipv6() == v6).map(|a| address_key(*a)).collect(),
        }
    }
}

/// The table in the kernel, as far as the kernel confirmed it.
#[derive(Debug)]
pub(super) struct Claim {
    socket: Socket,
    table: String,
    term: Term,
    installed: Claims,
    hooks: BTreeMap<u32, String>,
}

impl Claim {
    /// Creates the table, empty.
    ///
    /// # Errors
    /// [`Error::Claim`] with what to do about it.
    pub(super) fn create() -> Result<Self, Error> {
        let mut claim = Self::unmade(format!("standfast-{}", std::process::id()), Term::Socket)?;
        let made = claim.commit(|batch| {
            batch.create(Term::Socket);
        });
        made.map_err(|e| refusal("create the nftables table", &e))?;
        Ok(claim)
    }

    /// Creates a table that claims what `living` does and holds so long.
    fn bequeath(living: &Claim, holds: Duration) -> Result<Self, Error> {
        let mut claim = Self::unmade(will_name(), Term::Element)?;
        let made = claim.commit(|batch| {
            batch.clear();
            batch.create(Term::Element);
            batch.prolong(true, holds);
        });
        made.map_err(|e| refusal("create the nftables table that stays behind", &e))?;
        claim.update(&living.installed)?;
        drop(claim.hook(&living.hooks));
        Ok(claim)
    }

    fn unmade(table: String, term: Term) -> Result<Self, Error> {
        let socket = Socket::open(SockProtocol::NetlinkNetFilter, 0).map_err(|e| refusal("open nfnetlink", &e))?;
        Ok(Self { socket, table, term, installed: Claims::default(), hooks: BTreeMap::new() })
    }

    /// Has a table that stays behind hold so long from here on.
    fn prolong(&mut self, holds: Duration) -> Result<(), Error> {
        // On a machine that stood still it may have ended.
        let prolonged = self.commit(|batch| {
            batch.prolong(false, holds);
        });
        let prolonged = prolonged.or_else(|_| {
            self.commit(|batch| {
                batch.prolong(true, holds);
            })
        });
        prolonged.map_err(|e| refusal("prolong the nftables table that stays behind", &e))
    }

    fn delete(&mut self) -> io::Result<()> {
        self.commit(|batch| {
            batch.delete();
        })
    }

    /// Brings the sets to `wanted`, by differences and in one transaction.
    ///
    /// # Errors
    /// [`Error::Claim`]; the kernel's sets are then as they were.
    pub(super) fn update(&mut self, wanted: &Claims) -> Result<(), Error> {
        if self.installed == *wanted {
            return Ok(());
        }
        let (before, after) = (self.installed.keys(), wanted.keys());
        self.commit(|batch| {
            for ((name, v6, old), (_, _, new)) in before.iter().zip(&after) {
                each_chunk(new.difference(old), |keys| batch.elements(true, *name, *v6, keys));
                each_chunk(old.difference(new), |keys| batch.elements(false, *name, *v6, keys));
            }
        })
        .map_err(|e| refusal("change the nftables sets", &e))?;
        self.installed = wanted.clone();
        Ok(())
    }

    /// Hooks the claim on exactly these interfaces (index and name); one that was renamed is hooked anew in one
    /// transaction. Gives the indices that are not hooked, with the reason.
    pub(super) fn hook(&mut self, wanted: &BTreeMap<u32, String>) -> Vec<(u32, Error)> {
        let gone: Vec<u32> = self.hooks.keys().filter(|i| !wanted.contains_key(i)).copied().collect();
        for index in gone {
            self.unhook(index);
        }
        wanted.iter().filter_map(|(index, name)| self.hook_one(*index, name).err().map(|e| (*index, e))).collect()
    }

    fn hook_one(&mut self, index: u32, name: &str) -> Result<(), Error> {
        if self.hooks.get(&index).is_some_and(|known| known == name) {
            return Ok(());
        }
        let (chain, term) = (chain_name(index), self.term);
        if self.hooks.contains_key(&index) {
            let renamed = self.commit(|batch| {
                batch.unhook(&chain);
                batch.hook(term, &chain, name);
            });
            if renamed.is_ok() {
                self.hooks.insert(index, name.to_owned());
                return Ok(());
            }
            self.unhook(index);
        }
        self.commit(|batch| batch.hook(term, &chain, name))
            .map_err(|e| refusal(&format!("hook interface {name}"), &e))?;
        self.hooks.insert(index, name.to_owned());
        Ok(())
    }

    /// The kernel takes the chain of a vanished interface away by itself, so a refusal means nothing here.
    fn unhook(&mut self, index: u32) {
        let chain = chain_name(index);
        if let Err(error) = self.commit(|batch| batch.unhook(&chain)) {
            tracing::debug!(%error, index, "claim chain was gone already");
        }
        self.hooks.remove(&index);
    }

    fn commit(&mut self, fill: impl FnOnce(&mut Batch<'_>)) -> io::Result<()> {
        let mut batch = Batch::new(&self.table);
        fill(&mut batch);
        self.socket.exchange(&batch.finish(), |_| ())
    }
}

/// What names of tables that stay behind begin with.
const WILL: &str = "standfast-will";

/// In a container each process may have the number of the one before: the time tells them apart.
fn will_name() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{WILL}-{}-{:x}", std::process::id(), since.as_secs())
}

fn chain_name(index: u32) -> String {
    format!("in{index}")
}

fn each_chunk<'a>(keys: impl Iterator<Item = &'a Vec<u8>>, mut send: impl FnMut(&[Vec<u8>])) {
    let keys: Vec<_> = keys.cloned().collect();
    keys.chunks(ELEMENTS_PER_MESSAGE).for_each(&mut send);
}

fn refusal(doing: &str, error: &io::Error) -> Error {
    let advice = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => "CAP_NET_ADMIN is needed in this network namespace".to_owned(),
        Some(libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT | libc::EINVAL | libc::ENOENT) => {
            "the kernel needs nf_tables with the netdev family (CONFIG_NF_TABLES_NETDEV) and table owners (Linux 5.12)"
                .to_owned()
        }
        _ => error.to_string(),
    };
    Error::Claim { doing: doing.to_owned(), advice }
}
