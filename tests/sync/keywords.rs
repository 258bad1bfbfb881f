//! Each keyword of the sync daemons, by what a listener beside the director sees.

use super::common::{Daemon, ELECTION, SOON, plugged};
use super::ipvsadm;
use super::wire::{Capture, Frame};
use standfast_ipvs::sync::{Entry, Extension, Flags, Message, Version};
use standfast_labkit::{Host, Lab, eventually, wait_until};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;

const VIP: &str = "10.7.0.100";
/// A datagram waits two seconds for more entries.
const BATCH: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(30);
/// Each packet of a client makes its connection be told.
const EACH_PACKET: &str = "lvs_sync_threshold 0\nlvs_sync_period 1\n";
/// A port of the client that nothing but the end of a test uses.
const LAST: u16 = 4999;

/// A director with a UDP service and a persistent one, and a neighbour that is client, server and listener.
struct Site {
    neighbour: Host,
    director: Daemon,
    capture: Capture,
    _lab: Lab,
}

/// A datagram of the director to a group.
struct Datagram {
    group: IpAddr,
    port: u16,
    ttl: u8,
    payload: Vec<u8>,
}

impl Site {
    fn new(name: &str, globals: &str) -> Site {
        let lab = Lab::new(name).unwrap();
        let switch = lab.switch("lan").unwrap();
        let neighbour = plugged(&lab, &switch, "neighbour", "10.7.0.2/24").0;
        neighbour.ip("addr add 10.7.0.21/24 dev eth0").unwrap();
        neighbour.ip("route add 224.0.0.0/4 dev eth0").unwrap();
        let host = plugged(&lab, &switch, "director", "10.7.0.11/24").0;
        host.ip(&format!("addr add {VIP}/24 dev eth0")).unwrap();
        let capture = Capture::start(&neighbour);
        let director = Daemon::start(&lab, &host, &configuration(globals));
        director.await_log("Started the master sync daemon", BATCH);
        // The answer comes behind all that was ordered before: the engine tells from here on.
        eventually(SOON, "both services", || ipvsadm(&director, "-Ln").0.matches("10.7.0.21:").count() == 2);
        Site { neighbour, director, capture, _lab: lab }
    }

    /// Sends packets to a service from a port of the neighbour.
    fn knock(&self, service: u16, from: u16, packets: usize, pause: Duration) {
        let socket = self.neighbour.enter(|| UdpSocket::bind(("10.7.0.2", from))).unwrap().unwrap();
        for _ in 0..packets {
            socket.send_to(b"x", (VIP, service)).unwrap();
            std::thread::sleep(pause);
        }
    }

    fn datagrams(&self) -> Vec<Datagram> {
        let told = |datagram: &Datagram| Message::parse(&datagram.payload).is_ok_and(|message| message.count > 0);
        self.capture.frames().iter().filter_map(datagram).filter(told).collect()
    }

    /// What was told so far of clients at this port; 0 stands for templates.
    fn told(&self, client: u16) -> usize {
        let of = |entry: &Entry<'_>| entry.client.port() == client && entry.flags.has(Flags::TEMPLATE) == (client == 0);
        let datagrams = self.datagrams();
        let messages = datagrams.iter().map(|datagram| Message::parse(&datagram.payload).unwrap());
        messages.map(|message| message.entries().filter(of).count()).sum()
    }

    /// Until another connection, which was made after all others, has been told.
    fn await_the_last(&self, packets: usize) {
        self.knock(53, LAST, packets, PAUSE);
        eventually(BATCH, "the last connection", || self.told(LAST) > 0);
    }

    /// Says as a director of this kind that it is there.
    fn greet(&self) {
        let socket = self.neighbour.enter(|| UdpSocket::bind("10.7.0.2:0")).unwrap().unwrap();
        socket.send_to(&Extension::Hello { daemon: 77, request: 0 }.datagram(7), ("224.0.0.81", 8848)).unwrap();
    }
}

fn configuration(globals: &str) -> String {
    let service = |port: u16, more: &str| {
        format!(
            "virtual_server {VIP} {port} {{\n lb_algo rr\n lb_kind NAT\n protocol UDP\n {more}\n real_server 10.7.0.21 {port} {{\n }}\n}}\n"
        )
    };
    format!("global_defs {{\n{globals}\n}}\n{}{}", service(53, ""), service(54, "persistence_timeout 60"))
}

fn datagram(frame: &Frame) -> Option<Datagram> {
    let packet = frame.bytes.get(14..)?;
    let (group, ttl, udp) = match frame.bytes.get(12..14)? {
        [0x08, 0x00] if packet.get(9) == Some(&17) => {
            (IpAddr::from(Ipv4Addr::from(*packet.get(16..)?.first_chunk::<4>()?)), *packet.get(8)?, packet.get(20..)?)
        }
        [0x86, 0xdd] if packet.get(6) == Some(&17) => {
            (IpAddr::from(Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?)), *packet.get(7)?, packet.get(40..)?)
        }
        _ => return None,
    };
    let port = u16::from_be_bytes(*udp.get(2..)?.first_chunk()?);
    let length = usize::from(u16::from_be_bytes(*udp.get(4..)?.first_chunk()?));
    let payload = udp.get(8..length)?.to_vec();
    group.is_multicast().then_some(Datagram { group, port, ttl, payload })
}

pub fn the_line_of_the_daemon_says_where_and_how() {
    let line = "lvs_sync_daemon eth0 id 9 maxlen 200 port 9001 ttl 5 group 224.0.1.99\n";
    let site = Site::new("sync-line", &format!("{line}{EACH_PACKET}"));
    (2000..2020).for_each(|port| site.knock(53, port, 1, PAUSE));
    eventually(BATCH, "all connections", || (2000..2020).all(|port| site.told(port) > 0));
    let datagrams = site.datagrams();
    assert!(datagrams.len() >= 4, "five entries fit: {}", datagrams.len());
    for datagram in &datagrams {
        let message = Message::parse(&datagram.payload).unwrap();
        let said = (datagram.group, datagram.port, datagram.ttl, message.syncid);
        assert_eq!(said, (IpAddr::from([224, 0, 1, 99]), 9001, 5, 9));
        assert!(datagram.payload.len() <= 200, "{} bytes", datagram.payload.len());
    }
}

pub fn an_ipv6_group() {
    let site = Site::new("sync-v6", &format!("lvs_sync_daemon eth0 group ff02::51\n{EACH_PACKET}"));
    // Until its address has been found to be the only one, the interface has none to send from.
    let mut ports = 2000..3000;
    eventually(BATCH, "a datagram", || {
        ports.next().into_iter().for_each(|port| site.knock(53, port, 1, PAUSE));
        (2000..ports.start).any(|port| site.told(port) > 0)
    });
    let datagrams = site.datagrams();
    assert!(datagrams.iter().all(|datagram| datagram.group == "ff02::51".parse::<IpAddr>().unwrap()));
    assert!(datagrams.iter().all(|datagram| (datagram.port, datagram.ttl) == (8848, 1)));
}

pub fn threshold_and_period() {
    let site = Site::new("sync-period", "lvs_sync_daemon eth0\nlvs_sync_threshold 2\nlvs_sync_period 4\n");
    site.knock(53, 2000, 10, PAUSE);
    site.knock(53, 2001, 1, PAUSE);
    site.await_the_last(2);
    assert_eq!(site.told(2000), 3, "with the second, sixth and tenth packet");
    assert_eq!(site.told(2001), 0, "its second packet never came");
}

pub fn the_refresh_period_spares_entries() {
    let refresh = "lvs_sync_refresh_period 60\n";
    let site = Site::new("sync-refresh", &format!("lvs_sync_daemon eth0\n{EACH_PACKET}{refresh}"));
    site.knock(53, 2000, 10, PAUSE);
    site.await_the_last(1);
    assert_eq!(site.told(2000), 1);
}

pub fn retries_within_the_refresh_period() {
    let refresh = "lvs_sync_refresh_period 4\nlvs_sync_retries 2\n";
    let site = Site::new("sync-retries", &format!("lvs_sync_daemon eth0\n{EACH_PACKET}{refresh}"));
    // Half a second after the one before: an eighth of the refresh period.
    site.knock(53, 2000, 12, Duration::from_millis(150));
    site.await_the_last(1);
    assert!((2..12).contains(&site.told(2000)), "told {} times", site.told(2000));
}

pub fn persistence_alone() {
    let mode = "lvs_sync_persist_mode\n";
    let site = Site::new("sync-persist", &format!("lvs_sync_daemon eth0\n{EACH_PACKET}{mode}"));
    site.knock(54, 2000, 3, PAUSE);
    site.await_the_last(1);
    assert_eq!(site.told(2000), 0, "a connection of a template");
    assert!(site.told(0) > 0, "its template");
}

pub fn several_ports() {
    let site = Site::new("sync-ports", &format!("lvs_sync_daemon eth0 port 9000\n{EACH_PACKET}lvs_sync_ports 3\n"));
    (2000..2012).for_each(|port| site.knock(53, port, 1, PAUSE));
    eventually(BATCH, "all connections", || (2000..2012).all(|port| site.told(port) > 0));
    let mut ports: Vec<u16> = site.datagrams().iter().map(|datagram| datagram.port).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports, [9000, 9001, 9002]);
}

pub fn version_0() {
    let site = Site::new("sync-v0", &format!("lvs_sync_daemon eth0\n{EACH_PACKET}lvs_sync_version 0\n"));
    site.knock(53, 2000, 1, PAUSE);
    eventually(BATCH, "the connection", || site.told(2000) > 0);
    let datagrams = site.datagrams();
    assert!(datagrams.iter().all(|datagram| Message::parse(&datagram.payload).unwrap().version == Version::V0));
}

pub fn at_once_to_directors_of_this_kind() {
    let site = Site::new("sync-at-once", "lvs_sync_daemon eth0 id 7\n");
    site.greet();
    site.director.await_log("Connections are told at once", SOON);
    site.knock(53, 2000, 1, PAUSE);
    eventually(SOON, "a connection of one packet", || site.told(2000) > 0);
}

pub fn at_once_can_be_switched_off() {
    let site = Site::new("sync-later", "lvs_sync_daemon eth0 id 7\nlvs_sync_at_once off\n");
    site.greet();
    site.knock(53, 2000, 1, PAUSE);
    site.greet();
    site.await_the_last(3);
    assert_eq!(site.told(2000), 0, "the kernel's rules ask for three packets");
    assert!(!site.director.log().contains("Connections are told at once"));
}

pub fn daemons_follow_the_instance_that_has_them() {
    let lab = Lab::new("sync-instance").unwrap();
    let switch = lab.switch("lan").unwrap();
    let (host, port) = plugged(&lab, &switch, "director", "10.7.0.11/24");
    let instance = "vrrp_instance VI_1 {\n state BACKUP\n interface eth0\n virtual_router_id 33\n priority 100\n \
                    lvs_sync_daemon_interface eth0\n virtual_ipaddress {\n 10.7.0.100\n }\n}\n";
    let daemon = Daemon::start(&lab, &host, &format!("{instance}{}", configuration("vrrp_version 3")));
    let runs = |role: &str| {
        let line =
            format!("{role} sync daemon (mcast=eth0, syncid=33, maxlen=1472, group=224.0.0.81, port=8848, ttl=1)");
        eventually(ELECTION, &line, || ipvsadm(&daemon, "-l --daemon").0 == line);
    };
    runs("backup");
    daemon.await_log("(VI_1) Entering MASTER STATE", ELECTION);
    runs("master");
    switch.host().ip(&format!("link set {port} down")).unwrap();
    daemon.await_log("(VI_1) Entering FAULT STATE", ELECTION);
    runs("backup");
}

pub fn services_in_a_namespace_of_their_own() {
    let lab = Lab::new("sync-namespace").unwrap();
    let (lan, other) = (lab.switch("lan").unwrap(), lab.switch("other").unwrap());
    let client = plugged(&lab, &lan, "client", "10.7.0.2/24").0;
    let director = plugged(&lab, &other, "director", "10.9.0.11/24").0;
    let name = format!("services-{}", std::process::id());
    director.ip(&format!("netns add {name}")).unwrap();
    lan.plug(&director, "inner").unwrap();
    director.ip(&format!("link set inner netns {name}")).unwrap();
    for words in ["link set lo up", "link set inner up", "addr add 10.7.0.100/24 dev inner"] {
        director.ip(&format!("-n {name} {words}")).unwrap();
    }
    let globals = format!("}}\nnet_namespace_ipvs {name}\nglobal_defs {{\nlvs_sync_daemon inner id 7");
    let daemon = Daemon::start(&lab, &director, &configuration(&globals));
    daemon.await_log("Startup complete", SOON);
    let socket = client.enter(|| UdpSocket::bind("10.7.0.2:2000")).unwrap().unwrap();
    let forwarded = wait_until(SOON, || {
        socket.send_to(b"x", (VIP, 53)).unwrap();
        ipvsadm(&daemon, "-Lnc").0.contains("10.7.0.2:2000")
    });
    assert!(forwarded.is_some(), "{}", daemon.log());
    let both = ipvsadm(&daemon, "-l --daemon").0;
    assert!(
        both.contains("master sync daemon (mcast=inner, syncid=7") && both.contains("backup sync daemon"),
        "{both}"
    );
    director.ip(&format!("netns delete {name}")).unwrap();
}
