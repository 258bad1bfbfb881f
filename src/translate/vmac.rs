//! Interfaces of the virtual routers themselves: their names, and what goes through them.

use crate::netlink::{VmacKind, VmacSpec};
use standfast_parser::model::{Config, Family, Ipvlan, VirtualAddress, VmacAddress, VrrpInstance};
use std::collections::BTreeMap;

const DEFAULT_PREFIX: &str = "vrrp";
/// The longest name of an interface, in bytes.
const LONGEST: usize = 15;

/// The interfaces of a configuration, by instance.
#[derive(Debug, Default)]
pub(super) struct Vmacs {
    specs: Vec<VmacSpec>,
    /// Name by instance and base.
    names: BTreeMap<(String, String), String>,
    /// Name of the ipvlan by instance.
    ipvlans: BTreeMap<String, String>,
    /// For addresses of instances without one.
    fallback: String,
}

impl Vmacs {
    /// Chooses names for all of them.
    pub(super) fn new(config: &Config) -> Self {
        let mut vmacs = Self { fallback: config.globals.fallback_interface().to_owned(), ..Self::default() };
        for instance in &config.instances {
            vmacs.add_own(config, instance);
            vmacs.add_ipvlan(config, instance);
        }
        for instance in &config.instances {
            vmacs.add_of_addresses(config, instance);
        }
        vmacs
    }

    /// Every interface to be made.
    pub(super) fn specs(&self) -> Vec<VmacSpec> {
        self.specs.clone()
    }

    /// The interface that adverts leave through.
    pub(super) fn sender<'a>(&'a self, instance: &'a VrrpInstance) -> Option<&'a str> {
        let base = instance.interface.as_deref().or(instance.vrf.as_deref())?;
        let on_base = instance.vmac_xmit_base || instance.vmac.is_none();
        let own = if on_base { base } else { self.interface(instance, base) };
        Some(self.ipvlans.get(&instance.name).map_or(own, String::as_str))
    }

    /// Whether an interface is one of these.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.specs.iter().any(|spec| spec.name == name)
    }

    /// The interface that stands for `base` in an instance: its VMAC or `base` itself.
    pub(super) fn interface<'a>(&'a self, instance: &VrrpInstance, base: &'a str) -> &'a str {
        self.names.get(&(instance.name.clone(), base.to_owned())).map_or(base, String::as_str)
    }

    /// Where an address belongs: on its own VMAC, on the instance's, or where the line says.
    pub(super) fn place<'a>(&'a self, instance: &'a VrrpInstance, line: &'a VirtualAddress) -> &'a str {
        let own = instance.interface.as_deref().unwrap_or(&self.fallback);
        let is_plain = instance.vmac.is_none() && !line.options.use_vmac;
        match line.dev.as_deref() {
            None if is_plain => own,
            None => self.interface(instance, own),
            Some(base) if wants(instance, line) => self.interface(instance, base),
            Some(base) => base,
        }
    }

    fn add_own(&mut self, config: &Config, instance: &VrrpInstance) {
        if let (Some(vmac), Some(base)) = (&instance.vmac, &instance.interface) {
            let name = vmac.name.clone();
            let prefix = config.globals.vmac_prefix.as_deref().unwrap_or(DEFAULT_PREFIX);
            self.add(instance, base, name, prefix, instance.family == Family::V6 && !instance.vmac_xmit_base);
        }
    }

    fn add_ipvlan(&mut self, config: &Config, instance: &VrrpInstance) {
        if let (Some(ipvlan), Some(base)) = (&instance.ipvlan, &instance.interface) {
            let prefix = config.globals.vmac_prefix.as_deref().unwrap_or(DEFAULT_PREFIX);
            let name = ipvlan.name.clone().unwrap_or_else(|| self.free_name(prefix, instance));
            let Ipvlan { mode, address, group, .. } = *ipvlan;
            let kind = VmacKind::Ipvlan { mode, address };
            let spec = VmacSpec { group, kind, ..spec(instance, base, &name) };
            self.specs.push(spec);
            self.ipvlans.insert(instance.name.clone(), name);
        }
    }

    fn add_of_addresses(&mut self, config: &Config, instance: &VrrpInstance) {
        let globals = &config.globals;
        let prefix = globals.vmac_addr_prefix.as_deref().or(globals.vmac_prefix.as_deref()).unwrap_or(DEFAULT_PREFIX);
        for line in instance.addresses.iter().chain(&instance.excluded_addresses) {
            let elsewhere = line.dev.as_deref().filter(|_| wants(instance, line));
            let here = instance.interface.as_deref().filter(|_| line.dev.is_none() && line.options.use_vmac);
            if let Some(base) = elsewhere.or(here) {
                self.add(instance, base, None, prefix, false);
            }
        }
    }

    fn add(&mut self, instance: &VrrpInstance, base: &str, name: Option<String>, prefix: &str, link_local: bool) {
        let key = (instance.name.clone(), base.to_owned());
        if self.names.contains_key(&key) {
            return;
        }
        let name = name.unwrap_or_else(|| self.free_name(prefix, instance));
        self.specs.push(VmacSpec { link_local, ..spec(instance, base, &name) });
        self.names.insert(key, name);
    }

    /// `vrrp.51`, or one with the family or a number where that is taken.
    fn free_name(&self, prefix: &str, instance: &VrrpInstance) -> String {
        let vrid = instance.virtual_router_id;
        let family = if instance.family == Family::V4 { 4 } else { 6 };
        let plain = std::iter::once(format!("{prefix}.{vrid}"));
        let with_family = std::iter::once(format!("{prefix}{family}.{vrid}"));
        let numbered = (2..=self.specs.len() + 2).map(|number| format!("{prefix}.{vrid}-{number}"));
        let free = |name: &String| name.len() <= LONGEST && !self.specs.iter().any(|spec| spec.name == *name);
        plain.chain(with_family).chain(numbered).find(free).unwrap_or_else(|| format!("vm{}.{vrid}", self.specs.len()))
    }
}

/// A VMAC.
fn spec(instance: &VrrpInstance, base: &str, name: &str) -> VmacSpec {
    VmacSpec {
        router: instance.name.as_str().into(),
        name: name.to_owned(),
        base: base.to_owned(),
        kind: VmacKind::Macvlan(mac(instance)),
        group: instance.vmac.as_ref().and_then(|vmac| vmac.group),
        link_local: false,
        ipv4: instance.family == Family::V4,
    }
}

fn wants(instance: &VrrpInstance, line: &VirtualAddress) -> bool {
    line.options.use_vmac || instance.vmac_addresses
}

/// RFC 9568 section 7.3.
fn mac(instance: &VrrpInstance) -> [u8; 6] {
    let vrid = instance.virtual_router_id;
    let family = if instance.family == Family::V4 { 1 } else { 2 };
    match instance.vmac.as_ref().map(|vmac| vmac.mac).unwrap_or_default() {
        VmacAddress::Standard => [0, 0, 0x5e, 0, family, vrid],
        VmacAddress::Prefix([a, b, c, d, e]) => [a, b, c, d, e, vrid],
        VmacAddress::Full(mac) => mac,
    }
}
