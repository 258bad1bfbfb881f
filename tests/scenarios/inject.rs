//! Adverts of a stranger, right or wrong.
//!
//! Options: `prio N`, `ver N`, `vips A,B|none`, `vrid N`, `ttl N`, `src A`, `unicast A`, `adv N`, `type N`, `verover N`,
//! `count N` (addresses claimed), `authtype N`, `cut N` (octets left out), `extra N`, `badck`.

use socket2::{Domain, Protocol, Socket, Type};
use standfast_labkit::Host;
use standfast_vrrp::packet::{AdvertSpec, ipv4_header};
use standfast_vrrp::{Authentication, Version};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

const VRRP: i32 = 112;

struct Options<'a>(Vec<&'a str>);

impl Options<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|word| *word == name)?;
        self.0.get(at + 1).copied()
    }

    fn number(&self, name: &str) -> Option<u8> {
        self.text(name).map(|text| text.parse().unwrap())
    }
}

pub fn inject(host: &Host, options: &str) {
    let options = Options(options.split_whitespace().collect());
    let vips = options.text("vips").unwrap_or("10.77.0.200");
    let addresses: Vec<IpAddr> = vips.split(',').filter(|vip| *vip != "none").map(|vip| vip.parse().unwrap()).collect();
    let six = addresses.first().is_some_and(IpAddr::is_ipv6);
    let own: IpAddr = if six { "fe80::77:ff:fe00:64" } else { "10.77.0.100" }.parse().unwrap();
    let source = options.text("src").map_or(own, |source| source.parse().unwrap());
    let group: IpAddr = if six { "ff02::12" } else { "224.0.0.18" }.parse().unwrap();
    let destination = options.text("unicast").map_or(group, |destination| destination.parse().unwrap());
    let message = message(&options, &addresses, source, destination);
    let ttl = options.number("ttl").unwrap_or(255);
    host.enter(|| match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => send_v4(source, destination, ttl, &message),
        (_, IpAddr::V6(destination)) => send_v6(destination, ttl, &message),
        _ => panic!("a source and a destination of two families"),
    })
    .unwrap();
}

fn message(options: &Options<'_>, addresses: &[IpAddr], source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let version = if options.number("ver") == Some(3) { Version::V3 } else { Version::V2 };
    let spec = AdvertSpec {
        version,
        vrid: options.number("vrid").unwrap_or(51),
        priority: options.number("prio").unwrap_or(90),
        interval: Duration::from_secs(options.number("adv").unwrap_or(1).into()),
        authentication: &Authentication::None,
        addresses,
        plain_checksum: false,
    };
    let mut message = spec.encode(&source, &destination);
    let before = sum(&message);
    let version = options.number("verover").unwrap_or(version.number());
    message[0] = version << 4 | options.number("type").unwrap_or(1);
    message[3] = options.number("count").unwrap_or(message[3]);
    if let Some(kind) = options.number("authtype") {
        message[4] = kind;
    }
    repair(&mut message, before);
    if options.has("badck") {
        message[6] ^= 0x55;
    }
    let length = message.len().saturating_sub(options.number("cut").unwrap_or(0).into());
    message.truncate(length);
    message.extend(std::iter::repeat_n(0, options.number("extra").unwrap_or(0).into()));
    message
}

fn sum(message: &[u8]) -> u32 {
    message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

/// Makes the checksum right again after octets of the message were changed.
fn repair(message: &mut [u8], before: u32) {
    let (after, was) = (sum(message), u32::from(u16::from_be_bytes([message[6], message[7]])));
    let modulus = 0xffff;
    let right = (was + before % modulus + modulus - after % modulus) % modulus;
    message[6..8].copy_from_slice(&u16::try_from(right).unwrap().to_be_bytes());
}

fn send_v4(source: Ipv4Addr, destination: Ipv4Addr, ttl: u8, message: &[u8]) {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(VRRP))).unwrap();
    socket.set_header_included_v4(true).unwrap();
    socket.bind_device(Some(b"eth0")).unwrap();
    let mut datagram = ipv4_header(source, destination, 112, ttl, 1, message.len()).to_vec();
    datagram.extend(message);
    socket.send_to(&datagram, &SocketAddr::new(destination.into(), 0).into()).unwrap();
}

fn send_v6(destination: Ipv6Addr, ttl: u8, message: &[u8]) {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::from(VRRP))).unwrap();
    socket.bind_device(Some(b"eth0")).unwrap();
    socket.set_multicast_hops_v6(ttl.into()).unwrap();
    socket.set_unicast_hops_v6(ttl.into()).unwrap();
    socket.send_to(message, &SocketAddr::new(destination.into(), 0).into()).unwrap();
}
