//! A master of priority 200 that speaks, falls silent or resigns on command.

use standfast::netlink::PacketSocket;
use standfast_labkit::Host;
use standfast_vrrp::packet::{AdvertSpec, PROTOCOL_VRRP, ipv4_header};
use standfast_vrrp::{Link, RouterConfig, Version};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

pub struct FakeMaster {
    socket: PacketSocket,
    index: u32,
    interval: Duration,
    config: RouterConfig,
}

impl FakeMaster {
    pub fn new(host: &Host, interval: Duration) -> Self {
        let open = || (PacketSocket::open().unwrap(), nix::net::if_::if_nametoindex("eth0").unwrap());
        let (socket, index) = host.enter(open).unwrap();
        let mut config = RouterConfig::new("fake", Link(0), 51);
        config.version = Version::V3;
        config.advert_interval = interval;
        config.addresses = vec![IpAddr::from([10, 77, 0, 200])];
        Self { socket, index, interval, config }
    }

    pub fn reign(&self, adverts: u32) {
        for number in 0..adverts {
            if number > 0 {
                std::thread::sleep(self.interval);
            }
            self.advertise(200);
        }
    }

    pub fn resign(&self) {
        self.advertise(0);
    }

    fn advertise(&self, priority: u8) {
        let payload = AdvertSpec::of(&self.config, priority).encode(&SOURCE.into(), &GROUP.into());
        let mut frame = vec![1, 0, 0x5e, 0, 0, 0x12, 2, 0x77, 0, 0, 0, 100, 8, 0];
        frame.extend(ipv4_header(SOURCE, GROUP, PROTOCOL_VRRP, 255, 1, payload.len()));
        frame.extend(payload);
        self.socket.send(self.index, &frame).unwrap();
    }
}
