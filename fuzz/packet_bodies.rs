//! What the fuzz targets of packets check. The tests of `standfast-vrrp` run the same functions over `fuzz/corpus_advert` and
//! `fuzz/corpus_bfd`.

use standfast_vrrp::bfd::{self, Bfd, Packet, SessionConfig};
use standfast_vrrp::packet::{Advert, PROTOCOL_AH, PROTOCOL_VRRP};
use standfast_vrrp::{
    AntiReplay, Authentication, Authenticator, AuthenticatorMode, Datagram, Family, HmacKey, Link, Node, NodeConfig,
    RouterConfig, Version,
};
use std::net::IpAddr;
use std::time::{Duration, Instant};

const LINK: Link = Link(2);

/// The first octet chooses the kind of router, the second the TTL; the rest is a datagram. It may be an advert or not, but it
/// upsets nothing, and a router that took it can still be driven.
pub fn advert(bytes: &[u8], now: Instant) {
    let [kind, ttl, payload @ ..] = bytes else { return };
    let family = if kind & 1 == 0 { Family::V4 } else { Family::V6 };
    for with_ah in [false, true] {
        let _ = Advert::parse(payload, family, with_ah);
    }
    let _ = Advert::parse_signed(payload, family);
    let mut node = Node::new(NodeConfig { routers: vec![router(*kind, family)], ..NodeConfig::default() }, now);
    let (own, from, group) = addresses(family);
    node.set_source(LINK, family, Some(own), now);
    node.set_clock(Duration::from_secs(1_800_000_000), now);
    let later = now + Duration::from_secs(u64::from(kind >> 4) / 2);
    drive(&mut node, later);
    let protocol = if kind & 8 == 0 { PROTOCOL_VRRP } else { PROTOCOL_AH };
    let ip_header = payload.get(..20).unwrap_or_default();
    let datagram =
        Datagram { link: LINK, source: from, destination: group, ttl: Some(*ttl), protocol, ip_header, payload };
    node.receive(&datagram, later);
    drive(&mut node, later + Duration::from_secs(5));
}

fn router(kind: u8, family: Family) -> RouterConfig {
    let mut config = RouterConfig::new("VI_1", LINK, 51);
    let [vip] = match family {
        Family::V4 => [IpAddr::from([10, 77, 0, 200])],
        Family::V6 => [IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 0x77])],
    };
    (config.family, config.addresses) = (family, vec![vip]);
    config.multicast_group = RouterConfig::default_group(family);
    config.version = if kind & 2 == 0 && family == Family::V4 { Version::V2 } else { Version::V3 };
    if kind & 4 != 0 {
        config.authentication = Authentication::Pass(*b"secret\0\0");
        let keys = vec![HmacKey { id: 1, key: vec![7; 32] }];
        let anti_replay = AntiReplay::Monotonic;
        config.authenticator =
            Some(Authenticator { keys, active_key: 1, anti_replay, mode: AuthenticatorMode::Permissive });
    }
    if kind & 8 != 0 {
        config.authentication = Authentication::Ah(*b"secret\0\0");
    }
    config
}

fn addresses(family: Family) -> (IpAddr, IpAddr, IpAddr) {
    let group = RouterConfig::default_group(family);
    match family {
        Family::V4 => ([10, 77, 0, 1].into(), [10, 77, 0, 2].into(), group),
        Family::V6 => ([0xfe80, 0, 0, 0, 0, 0, 0, 1].into(), [0xfe80, 0, 0, 0, 0, 0, 0, 2].into(), group),
    }
}

fn drive(node: &mut Node, end: Instant) {
    for _ in 0..10_000 {
        while node.poll_effect().is_some() {}
        match node.poll_timeout() {
            Some((at, _)) if at <= end => node.handle_timeout(at),
            _ => return,
        }
    }
    panic!("the router spins");
}

/// What is read is written as it stood, and no packet upsets a session.
pub fn bfd(bytes: &[u8], now: Instant) {
    if let Ok(packet) = Packet::parse(bytes) {
        assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
    }
    let neighbor = IpAddr::from([10, 0, 0, 2]);
    let mut sessions = Bfd::new(7);
    let millisecond = Duration::from_millis(1);
    let config = SessionConfig {
        name: "peer".to_owned(),
        neighbor,
        source: None,
        min_rx: 10 * millisecond,
        min_tx: 10 * millisecond,
        idle_tx: 1000 * millisecond,
        multiplier: 3,
        passive: bytes.len() % 2 == 1,
        ttl: 255,
        max_hops: None,
        multihop: false,
    };
    sessions.configure(vec![config], now);
    for payload in bytes.chunks(bfd::LENGTH) {
        sessions.receive(&bfd::Datagram { source: neighbor, ttl: None, multihop: false, payload }, now);
    }
    let end = now + Duration::from_secs(2);
    for _ in 0..10_000 {
        while sessions.poll_effect().is_some() {}
        match sessions.poll_timeout() {
            Some((at, _)) if at <= end => sessions.handle_timeout(at),
            _ => return,
        }
    }
    panic!("the session spins");
}
