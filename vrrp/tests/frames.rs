//! Adverts of keepalived in thirty configurations, octet for octet: made here, and read here.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use standfast_vrrp::packet::{self, Advert, AdvertSpec, Expectation, PROTOCOL_AH, PROTOCOL_VRRP, Seal};
use standfast_vrrp::{Authentication, Family, Link, RouterConfig, Version};
use std::net::IpAddr;
use std::time::Duration;

const FRAMES: &str = include_str!("fixtures/keepalived-adverts.txt");
const IPV6_HEADER: usize = 40;

struct Frame {
    name: &'static str,
    config: RouterConfig,
    priority: u8,
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    packet: Vec<u8>,
}

impl Frame {
    fn read(line: &'static str) -> Self {
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [name, version, vrid, priority, interval, auth, checksum, source, destination, ttl, addresses, packet] =
            fields.try_into().unwrap();
        let mut config = RouterConfig::new(name, Link(1), vrid.parse().unwrap());
        config.version = if version == "3" { Version::V3 } else { Version::V2 };
        config.advert_interval = Duration::from_millis(interval.parse().unwrap());
        config.addresses = addresses.split(',').map(|address| address.parse().unwrap()).collect();
        config.family = Family::of(&config.addresses[0]);
        config.multicast_group = RouterConfig::default_group(config.family);
        config.old_unicast_checksum = checksum == "old";
        config.authentication = authentication(auth);
        let (source, destination): (IpAddr, IpAddr) = (source.parse().unwrap(), destination.parse().unwrap());
        if destination.is_multicast() {
            config.multicast_group = destination;
        } else {
            config.unicast_peers = vec![destination];
        }
        let (priority, ttl, packet) = (priority.parse().unwrap(), ttl.parse().unwrap(), octets(packet));
        Self { name, config, priority, source, destination, ttl, packet }
    }

    fn header_len(&self) -> usize {
        if self.config.family == Family::V4 { usize::from(self.packet[0] & 0xf) * 4 } else { IPV6_HEADER }
    }

    fn payload(&self) -> &[u8] {
        &self.packet[self.header_len()..]
    }

    fn identification(&self) -> u16 {
        u16::from_be_bytes([self.packet[4], self.packet[5]])
    }
}

fn authentication(text: &str) -> Authentication {
    let key = |text: &str| {
        let mut key = [0; 8];
        key[..text.len()].copy_from_slice(text.as_bytes());
        key
    };
    match text.split_once(':') {
        Some(("pass", password)) => Authentication::Pass(key(password)),
        Some(("ah", password)) => Authentication::Ah(key(password)),
        _ => Authentication::None,
    }
}

fn octets(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn frames() -> Vec<Frame> {
    FRAMES.lines().filter(|line| !line.starts_with('#')).map(Frame::read).collect()
}

#[test]
fn there_are_thirty_configurations() {
    let mut names: Vec<&str> = frames().iter().map(|frame| frame.name).collect();
    names.dedup();
    assert_eq!((names.len(), frames().len()), (30, 60));
}

#[test]
fn what_is_sent_is_keepalived_s_octet_for_octet() {
    for frame in frames() {
        let old = frame.config.old_unicast_checksum;
        let summed = if old { frame.config.multicast_group } else { frame.destination };
        let message = AdvertSpec::of(&frame.config, frame.priority).encode(&frame.source, &summed);
        let (protocol, payload) = match (&frame.config.authentication, frame.source, frame.destination) {
            (Authentication::Ah(key), IpAddr::V4(source), IpAddr::V4(destination)) => {
                let (identification, ttl) = (frame.identification(), frame.ttl);
                let sequence = u32::from_be_bytes(frame.payload()[8..12].try_into().unwrap());
                let seal = Seal { key: *key, source, destination, identification, ttl, sequence };
                (PROTOCOL_AH, packet::seal(&seal, &message))
            }
            _ => (PROTOCOL_VRRP, message),
        };
        assert_eq!(payload, frame.payload(), "{} at priority {}", frame.name, frame.priority);
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (frame.source, frame.destination) {
            let header =
                packet::ipv4_header(source, destination, protocol, frame.ttl, frame.identification(), payload.len());
            assert_eq!(header, frame.packet[..header.len()], "{}", frame.name);
        }
    }
}

#[test]
fn what_is_received_passes_all_checks() {
    for frame in frames() {
        let with_ah = matches!(frame.config.authentication, Authentication::Ah(_));
        let message = match frame.config.authentication {
            Authentication::Ah(key) => {
                packet::open(key, &frame.packet[..frame.header_len()], frame.payload()).unwrap().0
            }
            _ => frame.payload(),
        };
        let advert = Advert::parse(message, frame.config.family, with_ah).unwrap();
        let expectation = Expectation {
            config: &frame.config,
            source: frame.source,
            destination: frame.destination,
            ttl: Some(frame.ttl),
            compare_addresses: true,
        };
        assert_eq!(advert.check(&expectation), Ok(()), "{}", frame.name);
        assert_eq!((advert.vrid(), advert.priority()), (frame.config.vrid, frame.priority), "{}", frame.name);
        assert_eq!(advert.interval(), frame.config.advert_interval, "{}", frame.name);
        assert!(advert.addresses().eq(frame.config.addresses.iter().copied()), "{}", frame.name);
    }
}

/// Every octet counts: one that is different is noticed, unless nobody looks at it.
#[test]
fn a_damaged_advert_is_refused() {
    for frame in frames().into_iter().filter(|frame| frame.config.authentication == Authentication::None) {
        for at in 0..frame.payload().len() {
            let mut message = frame.payload().to_vec();
            message[at] ^= 0x10;
            let advert = Advert::parse(&message, frame.config.family, false);
            let expectation = Expectation {
                config: &frame.config,
                source: frame.source,
                destination: frame.destination,
                ttl: Some(frame.ttl),
                compare_addresses: true,
            };
            assert!(advert.and_then(|advert| advert.check(&expectation)).is_err(), "{} octet {at}", frame.name);
        }
    }
}
