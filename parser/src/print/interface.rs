use super::Printer;
use super::words::{script, word};
use crate::model::{
    Config, ExtraGarp, Family, Ipvlan, IpvlanMode, Linkbeat, VirtualAddress, Vmac, VmacAddress, VrrpInstance,
};

impl Printer {
    /// Track groups first: what belongs to them names them.
    pub(super) fn statics(&mut self, config: &Config) {
        for group in &config.track_groups {
            let members: Vec<String> = group.members.iter().map(|m| word(m)).collect();
            self.block(&format!("track_group {}", word(&group.name)), |p| p.list("group", &members));
        }
        self.addresses("static_ipaddress", &config.statics.addresses);
        self.routes("static_routes", &config.statics.routes);
        self.rules("static_rules", &config.statics.rules);
        self.interfaces(config);
    }

    fn interfaces(&mut self, config: &Config) {
        for group in &config.garp_groups {
            let interfaces: Vec<String> = group.interfaces.iter().map(|name| word(name)).collect();
            self.block("garp_group", |p| {
                p.seconds("garp_interval", group.garp_interval);
                p.seconds("gna_interval", group.gna_interval);
                p.list("interfaces", &interfaces);
            });
        }
        self.flag("linkbeat_use_polling", config.linkbeat_use_polling);
        let beat = |kind: Linkbeat| match kind {
            Linkbeat::Any => "",
            Linkbeat::Mii => " MII",
            Linkbeat::Ethtool => " ETHTOOL",
            Linkbeat::Ioctl => " IOCTL",
        };
        let lines = config.linkbeat_interfaces.iter().map(|i| format!("{}{}", word(&i.name), beat(i.kind)));
        self.list("linkbeat_interfaces", &lines.collect::<Vec<_>>());
        let delay = super::seconds;
        let lines =
            config.interface_delays.iter().map(|i| format!("{} {} {}", word(&i.name), delay(i.down), delay(i.up)));
        self.list("interface_up_down_delays", &lines.collect::<Vec<_>>());
    }

    pub(super) fn network(&mut self, instance: &VrrpInstance) {
        self.optional("use_vmac", instance.vmac.as_ref().map(vmac_words));
        self.flag("use_vmac_addr", instance.vmac_addresses);
        self.flag("vmac_xmit_base", instance.vmac_xmit_base);
        self.optional("use_ipvlan", instance.ipvlan.as_ref().map(ipvlan_words));
        self.text("vrf", instance.vrf.as_deref());
        self.routes("virtual_routes", &instance.routes);
        self.rules("virtual_rules", &instance.rules);
        let shows = instance.addresses.first().is_some_and(|first| first.address.is_ipv6());
        self.flag("native_ipv6", instance.family == Family::V6 && !shows);
        self.flag("promote_secondaries", instance.promote_secondaries);
        self.optional("mcast_dst_ip", instance.multicast_group);
        self.flag("track_src_ip", instance.track_source);
        self.flag("unicast_fault_no_peer", instance.unicast_fault_no_peer);
        self.switch("v3_checksum_as_v2", instance.v3_checksum_as_v2);
        self.switch("owner_ignore_adverts", instance.owner_ignore_adverts);
        self.flag("no_virtual_ipaddress", instance.no_virtual_ipaddress);
        self.optional("kernel_rx_buf_size", instance.kernel_rx_buf_size);
        self.extra_garp("garp_extra_if", instance.extra_garp);
        self.flag("linkbeat_use_polling", instance.linkbeat_use_polling);
        self.flag("dual_stack", instance.dual_stack);
        self.optional("split_brain_notify", instance.split_brain_notify.as_ref().map(script));
        self.flag("split_brain_heal", instance.split_brain_heal);
    }

    pub(super) fn extra_garp(&mut self, keyword: &str, given: Option<ExtraGarp>) {
        let all = |all| if all { "all " } else { "" };
        self.optional(keyword, given.map(|given| format!("{}{}", all(given.all), given.interval.as_secs())));
    }

    pub(super) fn addresses(&mut self, keyword: &str, addresses: &[VirtualAddress]) {
        let lines: Vec<String> = addresses.iter().map(address_line).collect();
        self.list(keyword, &lines);
    }
}

fn vmac_words(vmac: &Vmac) -> String {
    let octets = |octets: &[u8]| octets.iter().map(|o| format!("{o:02x}")).collect::<Vec<_>>().join(":");
    let mac = match vmac.mac {
        VmacAddress::Standard => None,
        VmacAddress::Prefix(given) => Some(format!("{}:", octets(&given))),
        VmacAddress::Full(given) => Some(octets(&given)),
    };
    let name = vmac.name.as_ref().map(|name| format!("name {}", word(name)));
    let notify = vmac.netlink_notify.then(|| "netlink_notify_msg".to_owned());
    let group = vmac.group.map(|group| format!("group {group}"));
    [name, mac, notify, group].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn ipvlan_words(ipvlan: &Ipvlan) -> String {
    let name = ipvlan.name.as_ref().map(|name| format!("name {}", word(name)));
    let address = ipvlan.address.map(|(address, prefix)| format!("{address}/{prefix}"));
    let mode = match ipvlan.mode {
        IpvlanMode::Bridge => "bridge",
        IpvlanMode::Private => "private",
        IpvlanMode::Vepa => "vepa",
    };
    let group = ipvlan.group.map(|group| format!("group {group}"));
    [name, address, Some(mode.to_owned()), group].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn address_line(address: &VirtualAddress) -> String {
    let mut line = format!("{}/{}", address.address, address.prefix_len);
    let mut option = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            line.push_str(&format!(" {name} {value}"));
        }
    };
    option("brd", address.broadcast.map(|b| b.to_string()));
    option("dev", address.dev.as_deref().map(word));
    option("scope", Some(address.scope.to_string()));
    option("label", address.label.as_deref().map(word));
    option("peer", address.peer.map(|(peer, prefix)| format!("{peer}/{prefix}")));
    let options = &address.options;
    option("preferred_lft", options.preferred_lifetime.map(lifetime));
    option("track_group", options.track_group.as_deref().map(word));
    let flags = [
        ("home", options.home),
        ("-nodad", options.detect_duplicates),
        ("mngtmpaddr", options.manage_temporary),
        ("noprefixroute", options.no_prefix_route),
        ("autojoin", options.auto_join),
        ("no_track", options.no_track),
        ("use_vmac", options.use_vmac),
    ];
    for (name, _) in flags.iter().filter(|(_, on)| *on) {
        line.push_str(&format!(" {name}"));
    }
    line
}

fn lifetime(seconds: u32) -> String {
    if seconds == u32::MAX { "forever".to_owned() } else { seconds.to_string() }
}
