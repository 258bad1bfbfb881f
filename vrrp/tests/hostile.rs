//! Anything may come from the network, at any moment and in any order.

mod support;

use proptest::prelude::*;
use standfast_vrrp::packet::{Advert, AdvertSpec, open, seal};
use standfast_vrrp::*;
use std::time::Duration;
use support::*;

fn addresses(family: Family) -> BoxedStrategy<Vec<std::net::IpAddr>> {
    let address = match family {
        Family::V4 => any::<[u8; 4]>().prop_map(std::net::IpAddr::from).boxed(),
        Family::V6 => any::<[u8; 16]>().prop_map(std::net::IpAddr::from).boxed(),
    };
    prop::collection::vec(address, 0..=255).boxed()
}

fn authentication() -> impl Strategy<Value = Authentication> {
    prop_oneof![
        Just(Authentication::None),
        any::<[u8; 8]>().prop_map(Authentication::Pass),
        any::<[u8; 8]>().prop_map(Authentication::Ah),
    ]
}

fn router() -> impl Strategy<Value = RouterConfig> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let shape = (family, any::<bool>()).prop_flat_map(|(family, second)| {
        let version = if second && family == Family::V4 { Version::V2 } else { Version::V3 };
        (Just(family), Just(version), addresses(family), authentication(), any::<u8>(), 1..=4095_u64)
    });
    shape.prop_map(|(family, version, addresses, authentication, vrid, interval)| RouterConfig {
        version,
        family,
        addresses,
        authentication,
        multicast_group: RouterConfig::default_group(family),
        advert_interval: match version {
            Version::V2 => Duration::from_secs(interval % 255 + 1),
            Version::V3 => Duration::from_millis(interval * 10),
        },
        ..RouterConfig::new("VI_1", LINK, vrid)
    })
}

fn source_of(family: Family) -> std::net::IpAddr {
    ip(match family {
        Family::V4 => "10.77.0.2",
        Family::V6 => "fe80::2",
    })
}

fn node() -> Lab {
    let v6 = RouterConfig {
        version: Version::V3,
        family: Family::V6,
        addresses: vec![ip("fe80::77")],
        multicast_group: RouterConfig::default_group(Family::V6),
        ..vi("VI_6", 51, 100)
    };
    let v3 = RouterConfig { version: Version::V3, ..vi("VI_3", 52, 100) };
    let ah = RouterConfig { authentication: Authentication::Ah(*b"secret77"), ..vi("VI_A", 53, 100) };
    let mut lab = Lab::new(node_of(vec![vi("VI_1", 51, 100), v3, ah, v6]));
    lab.run_to(100);
    lab
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_sent_is_read_again(config in router(), priority: u8) {
        let source = source_of(config.family);
        let octets = AdvertSpec::of(&config, priority).encode(&source, &config.multicast_group);
        let advert = Advert::parse(&octets, config.family, false).unwrap();
        prop_assert_eq!(advert.vrid(), config.vrid);
        prop_assert_eq!(advert.priority(), priority);
        prop_assert_eq!(advert.interval(), config.advert_interval);
        prop_assert!(advert.addresses().eq(config.addresses.iter().copied()));
        let expectation = packet::Expectation {
            config: &config,
            source,
            destination: config.multicast_group,
            ttl: Some(255),
            compare_addresses: true,
        };
        prop_assert_eq!(advert.check(&expectation), Ok(()));
    }

    #[test]
    fn one_wrong_bit_is_noticed(config in router(), priority: u8, place: prop::sample::Index, bit in 0..8_u32) {
        let source = source_of(config.family);
        let mut octets = AdvertSpec::of(&config, priority).encode(&source, &config.multicast_group);
        let place = place.index(octets.len());
        octets[place] ^= 1 << bit;
        let expectation = packet::Expectation {
            config: &config,
            source,
            destination: config.multicast_group,
            ttl: Some(255),
            compare_addresses: true,
        };
        let verdict = Advert::parse(&octets, config.family, false).and_then(|advert| advert.check(&expectation));
        prop_assert!(verdict.is_err());
    }

    #[test]
    fn what_is_sealed_is_opened(message: Vec<u8>, key: [u8; 8], identification: u16, ttl: u8, sequence: u32) {
        let spec = packet::Seal {
            key,
            source: [10, 77, 0, 2].into(),
            destination: [224, 0, 0, 18].into(),
            identification,
            ttl,
            sequence,
        };
        let sealed = seal(&spec, &message);
        let header = packet::ipv4_header(spec.source, spec.destination, 51, ttl, identification, sealed.len());
        prop_assert_eq!(open(key, &header, &sealed), Ok((message.as_slice(), sequence)));
    }

    #[test]
    fn no_octets_can_upset_the_parser(octets: Vec<u8>, six: bool, with_ah: bool) {
        let family = if six { Family::V6 } else { Family::V4 };
        if let Ok(advert) = Advert::parse(&octets, family, with_ah) {
            prop_assert_eq!(advert.addresses().count(), usize::from(advert.count()));
            let _ = (advert.interval(), advert.authentication());
        }
        let _ = open(*b"secret77", &octets, &octets);
    }

    #[test]
    fn no_datagrams_can_upset_a_node(
        datagrams in prop::collection::vec((any::<Vec<u8>>(), any::<Option<u8>>(), 50..54_u8, 0..3_000_u64), 0..40),
    ) {
        let mut lab = node();
        let mut at = 100;
        for (payload, ttl, vrid, pause) in datagrams {
            at += pause;
            lab.run_to(at);
            for (protocol, source) in [(112, "10.77.0.2"), (51, "10.77.0.2"), (112, "fe80::2")] {
                let mut payload = payload.clone();
                if let Some(octet) = payload.get_mut(if protocol == 51 { 25 } else { 1 }) {
                    *octet = vrid;
                }
                let destination = RouterConfig::default_group(Family::of(&ip(source)));
                let header = [0x45; 20];
                let ip_header = &header[..];
                let source = ip(source);
                let datagram = Datagram { link: LINK, source, destination, ttl, protocol, ip_header, payload: &payload };
                lab.node.receive(&datagram, lab.now);
            }
            lab.collect();
            prop_assert!(lab.node.poll_timeout().is_some());
        }
    }

    /// A stranger who knows no password may say what he likes in well-formed adverts: the node stays whole.
    #[test]
    fn well_formed_adverts_of_strangers_leave_a_whole_node(
        adverts in prop::collection::vec((any::<u8>(), 1..4095_u64, 0..2_000_u64, any::<bool>()), 1..60),
    ) {
        let mut lab = node();
        let mut at = 100;
        for (priority, interval, pause, third) in adverts {
            at += pause;
            lab.run_to(at);
            let mut config = if third { vi("VI_3", 52, 100) } else { vi("VI_1", 51, 100) };
            if third {
                config.version = Version::V3;
                config.advert_interval = Duration::from_millis(interval * 10);
            }
            lab.hear(&config, "10.77.0.2", priority);
            for view in lab.node.views() {
                let waits = |reason| view.timers.iter().any(|timer| timer.1 == reason);
                prop_assert_eq!(view.state == State::Master, waits(TimerReason::Advertise));
                let listens = waits(TimerReason::MasterDown) || waits(TimerReason::Skew);
                prop_assert_eq!(view.state == State::Backup, listens);
            }
        }
        lab.run_to(at + 170_000);
        prop_assert!(lab.node.views().iter().all(|view| view.state == State::Master));
    }

    #[test]
    fn extreme_configurations_neither_panic_nor_spin(
        interval in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), Just(Duration::from_secs(u64::MAX))],
        adverts: u8,
        priority: u8,
        startup in prop_oneof![Just(Duration::ZERO), Just(Duration::MAX)],
    ) {
        let mut config = vi("VI_1", 51, priority);
        config.advert_interval = interval;
        config.down_timer_adverts = adverts;
        config.preempt_delay = interval;
        config.announce.refresh = Duration::MAX;
        config.announce.delay = Duration::MAX;
        config.timer_expired_backup = Some(priority);
        let mut lab = Lab::new(NodeConfig { startup_delay: startup, ..node_of(vec![config.clone()]) });
        lab.run_to(20_000);
        lab.hear(&config, "10.77.0.2", 1);
        prop_assert!(lab.effects.len() < 5_000);
    }
}
