//! Hosts that run VRRP: ours inside this process, or the distribution's keepalived.

use crate::logs;
use standfast::netlink::{self, AddressSpec, Belongings};
use standfast::vrrp::{self, RouterSetup, VrrpEvent, VrrpSetup};
use standfast_labkit::{Host, Lab, Process, Switch, wait_until};
use standfast_vrrp::{Link, RouterConfig, State};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

pub const VIP: &str = "10.77.0.200";
/// Longer than any election at one second adverts: 3 adverts, a skew below one, and room for a busy machine.
pub const ELECTION: Duration = Duration::from_secs(8);

/// Two directors and a client on one switch.
pub struct Lan {
    pub lab: Lab,
    pub switch: Switch,
    pub one: Host,
    pub two: Host,
    pub client: Host,
}

impl Lan {
    pub fn new(name: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let switch = lab.switch("lan").unwrap();
        let [one, two, client] = [("d1", 1), ("d2", 2), ("c", 100)].map(|(name, last)| {
            let host = lab.host(name).unwrap();
            // No solicitations and detection of duplicates between the frames that tests count.
            host.sysctl("net.ipv6.conf.default.accept_dad", "0").unwrap();
            switch.plug(&host, "eth0").unwrap();
            host.ip(&format!("link set eth0 address 02:77:00:00:00:{last:02x}")).unwrap();
            host.ip(&format!("addr add 10.77.0.{last}/24 dev eth0")).unwrap();
            host
        });
        Self { lab, switch, one, two, client }
    }
}

/// An instance with a name that no other test uses, at `priority` with adverts each `interval`.
pub fn instance(priority: u8, interval: Duration) -> RouterSetup {
    let mut config = RouterConfig::new(&logs::unique_name(), Link(0), 51);
    config.priority = priority;
    config.advert_interval = interval;
    if interval < Duration::from_secs(1) {
        config.version = standfast_vrrp::Version::V3;
    }
    let addresses = vec![AddressSpec::new("eth0", VIP.parse().unwrap(), 24)];
    config.addresses = addresses.iter().map(|spec| spec.address).collect();
    let belongings = Belongings::of(addresses);
    RouterSetup { config, interface: Some("eth0".into()), track_primary: true, extra: Arc::default(), belongings }
}

pub fn second(priority: u8) -> RouterSetup {
    instance(priority, Duration::from_secs(1))
}

/// Our VRRP in a host.
pub struct Director {
    pub host: Host,
    pub name: String,
    pub setup: VrrpSetup,
    handle: Option<vrrp::Handle>,
    events: UnboundedReceiver<VrrpEvent>,
    seen: Vec<VrrpEvent>,
}

impl Director {
    pub fn start(host: &Host, router: RouterSetup) -> Self {
        Self::start_with(host, VrrpSetup { routers: vec![router], ..VrrpSetup::default() }, None)
    }

    pub fn start_with(host: &Host, setup: VrrpSetup, memory: Option<PathBuf>) -> Self {
        let (sender, events) = unbounded_channel();
        let name = setup.routers[0].config.name.clone();
        let given = setup.clone();
        let handle = host
            .enter(move || {
                let netlink = netlink::start(netlink::Options { memory }).unwrap();
                vrrp::start(given, &netlink, sender).unwrap()
            })
            .unwrap();
        Self { host: host.clone(), name, setup, handle: Some(handle), events, seen: Vec::new() }
    }

    pub fn handle(&self) -> &vrrp::Handle {
        self.handle.as_ref().unwrap()
    }

    pub fn states(&mut self) -> Vec<State> {
        while let Ok(event) = self.events.try_recv() {
            self.seen.push(event);
        }
        let to = |event: &VrrpEvent| match event {
            VrrpEvent::Transition { to, .. } => Some(*to),
            _ => None,
        };
        self.seen.iter().filter_map(to).collect()
    }

    pub fn state(&mut self) -> Option<State> {
        self.states().last().copied()
    }

    #[track_caller]
    pub fn await_state(&mut self, state: State, limit: Duration) -> Duration {
        let took = wait_until(limit, || self.state() == Some(state));
        let states = self.states();
        took.unwrap_or_else(|| panic!("{} went {states:?}, not {state}, in {limit:?}\n{}", self.name, logs::all()))
    }

    pub fn has(&self, address: &str) -> bool {
        self.host.has_address("eth0", address)
    }

    pub fn logged(&self, text: &str) -> bool {
        logs::contain(&format!("({}) {text}", self.name))
    }

    pub fn stop(&mut self) {
        let handle = self.handle.take().unwrap();
        assert!(block_on(handle.stop(Duration::from_secs(5))), "the VRRP thread does not end");
    }
}

impl Drop for Director {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            block_on(handle.stop(Duration::from_secs(5)));
        }
    }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// The distribution's keepalived in a host.
pub struct Keepalived {
    pub process: Process,
}

impl Keepalived {
    /// Starts it with `instance` as the inside of its `vrrp_instance` block.
    pub fn start(lan: &Lan, host: &Host, instance: &str) -> Self {
        let text = format!(
            "global_defs {{\n router_id LAB\n}}\nvrrp_instance VI_1 {{\n interface eth0\n virtual_router_id 51\n{instance}\n}}\n"
        );
        let file = |kind: &str| lan.lab.scratch().join(format!("{}.{kind}", host.name()));
        let configuration = lan.lab.file(&format!("{}.conf", host.name()), &text).unwrap();
        let mut command = host.command("keepalived");
        command.args(["-n", "-l", "-D", "-P", "-f"]).arg(configuration);
        command.arg("-p").arg(file("pid")).arg("-r").arg(file("vrrp.pid"));
        Self { process: host.start_command(&mut command).unwrap() }
    }

    pub fn logged(&self, text: &str) -> bool {
        self.process.output().contains(text)
    }

    #[track_caller]
    pub fn await_log(&self, text: &str, limit: Duration) -> Duration {
        let took = wait_until(limit, || self.logged(text));
        took.unwrap_or_else(|| {
            panic!("keepalived did not log {text:?}:\n{}\nours:\n{}", self.process.output(), logs::all())
        })
    }
}

pub fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}
